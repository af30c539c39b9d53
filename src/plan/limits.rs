//! Zoho's limits on one call.

use crate::update::{ApiVersion, ModuleName};

/// The most that one call to a version of Zoho's API may carry.
#[derive(Clone, Copy, Debug)]
pub struct PlanLimits {
    /// The version of the API.
    pub api_version: ApiVersion,
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
    /// Zoho's limits, which are the same in v7 and v8: 500 ids; one field, in Deals three
    /// (<https://www.zoho.com/crm/developer/docs/api/v7/mass-update-records.html>); 100 records
    /// (<https://www.zoho.com/crm/developer/docs/api/v7/update-records.html>).
    pub const ZOHO: Self = Self::of(ApiVersion::V7);

    /// The limits of a version.
    pub const fn of(api_version: ApiVersion) -> Self {
        Self {
            api_version,
            ids_per_call: 500,
            fields_per_call: 1,
            fields_per_deals_call: 3,
            records_per_call: 100,
        }
    }

    /// Fields in one mass update of `module`, at least one.
    pub(super) fn fields(&self, module: &ModuleName) -> usize {
        match module.as_str() {
            "Deals" => self.fields_per_deals_call.max(1),
            _ => self.fields_per_call.max(1),
        }
    }
}
