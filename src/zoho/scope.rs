//! How OAuth scopes spell modules, and which operations contain others. Pure.
//! (<https://www.zoho.com/crm/developer/docs/api/v6/select-api-scopes.html>)

use crate::update::ModuleName;

/// A service whose scopes can be limited to a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleService {
    /// `ZohoCRM.mass_update`.
    MassUpdate,
    /// `ZohoCRM.modules`: the records.
    Records,
}

impl ModuleService {
    /// The service of a scope or of a part of one, in lower case.
    pub fn of(scope: &str) -> Option<Self> {
        let mut services = [Self::MassUpdate, Self::Records].into_iter();
        services.find(|service| {
            let rest = scope.strip_prefix(service.name());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    /// The service's name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::MassUpdate => "zohocrm.mass_update",
            Self::Records => "zohocrm.modules",
        }
    }

    /// The word for a module: lower case without underscores, and `custom` for every module that an org created. Mass
    /// updates have one word for tasks, calls and meetings.
    pub fn word(self, module: &ModuleName) -> String {
        match (self, module.as_str()) {
            (Self::MassUpdate, "Tasks" | "Calls" | "Events") => "activities".to_owned(),
            (Self::Records, "Notes") => "notes".to_owned(),
            (_, name) if module.is_standard() => normalize_word(name),
            _ => "custom".to_owned(),
        }
    }
}

/// A module's word as scopes spell it, from any other spelling: `Price_Books` becomes `pricebooks`.
pub fn normalize_word(word: &str) -> String {
    word.replace('_', "").to_ascii_lowercase()
}

/// Whether an operation of a service contains another. All in lower case.
pub fn contains_operation(service: &str, granted: &str, needed: &str) -> bool {
    // Zoho documents only UPDATE and READ for mass updates, and only CREATE and READ for changes of owners.
    let is_narrow = ModuleService::of(service) == Some(ModuleService::MassUpdate)
        || service == "zohocrm.change_owner";
    match granted {
        _ if granted == needed => true,
        "all" => !is_narrow,
        "write" => !is_narrow && matches!(needed, "create" | "update" | "delete"),
        _ => false,
    }
}

/// The scope that a call on a module's records needs, limited to that module.
pub(super) fn records_scope(module: &ModuleName, operation: &str) -> String {
    let word = ModuleService::Records.word(module);
    format!("ZohoCRM.modules.{word}.{operation}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_has_its_own_module_words() {
        for (module, mass_update, records) in [
            ("Leads", "leads", "leads"),
            ("Price_Books", "pricebooks", "pricebooks"),
            ("Sales_Orders", "salesorders", "salesorders"),
            ("Purchase_Orders", "purchaseorders", "purchaseorders"),
            ("Products", "products", "products"),
            ("Cases", "cases", "cases"),
            ("Tasks", "activities", "tasks"),
            ("Calls", "activities", "calls"),
            ("Events", "activities", "events"),
            ("Subscriptions", "custom", "custom"),
            ("CustomModule3", "custom", "custom"),
        ] {
            let module = module.parse().expect("a module");
            assert_eq!(ModuleService::MassUpdate.word(&module), mass_update);
            assert_eq!(ModuleService::Records.word(&module), records);
        }
    }

    #[test]
    fn write_and_all_contain_other_operations() {
        for (service, granted, needed, contains) in [
            ("zohocrm.modules", "write", "update", true),
            ("zohocrm.modules", "write", "create", true),
            ("zohocrm.modules", "write", "read", false),
            ("zohocrm.modules.leads", "all", "read", true),
            ("zohocrm.modules", "create", "update", false),
            ("zohocrm.settings.fields", "all", "read", true),
            ("zohocrm.mass_update", "update", "update", true),
            ("zohocrm.mass_update", "all", "update", false),
            ("zohocrm.change_owner", "create", "create", true),
            ("zohocrm.change_owner", "all", "create", false),
            ("zohocrm.modules.leads", "update", "write", false),
            ("zohocrm.modules.leads", "all", "write", true),
            ("zohocrm.mass_update.leads", "write", "update", false),
        ] {
            assert_eq!(
                contains_operation(service, granted, needed),
                contains,
                "{service}.{granted} for {needed}"
            );
        }
    }
}
