//! Zoho's limits on one call.

use crate::update::ModuleName;

/// The most that one call may carry.
#[derive(Clone, Copy, Debug)]
pub struct PlanLimits {
    /// Record ids in one mass update.
    pub ids_per_call: usize,
    /// Fields in one mass update, in modules other than Deals.
    pub fields_per_call: usize,
    /// Fields in one mass update in Deals.
    pub fields_per_deals_call: usize,
    /// Records in one record update, which may set any number of fields.
    pub records_per_call: usize,
}

impl PlanLimits {
    /// Zoho CRM v7: 500 ids; one field, in Deals three
    /// (<https://www.zoho.com/crm/developer/docs/api/v7/mass-update-records.html>); 100 records
    /// (<https://www.zoho.com/crm/developer/docs/api/v7/update-records.html>).
    pub const ZOHO: Self = Self {
        ids_per_call: 500,
        fields_per_call: 1,
        fields_per_deals_call: 3,
        records_per_call: 100,
    };

    /// Fields in one mass update of `module`, at least one.
    pub(super) fn fields(&self, module: &ModuleName) -> usize {
        match module.as_str() {
            "Deals" => self.fields_per_deals_call.max(1),
            _ => self.fields_per_call.max(1),
        }
    }
}
