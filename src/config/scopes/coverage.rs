//! OAuth scopes and how much of one a list of granted scopes covers. Pure.

use std::collections::BTreeSet;

use crate::update::ModuleName;
use crate::zoho::scope::{ModuleService, contains_operation, normalize_word};

/// An OAuth scope of Zoho and the feature that uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Zoho's name of the scope, such as `ZohoCRM.coql.READ`.
    pub name: &'static str,
    /// Whether the config requires the scope; otherwise it is optional.
    pub needed: bool,
    /// The feature that uses the scope, as `auth --scopes` prints it.
    pub what_for: &'static str,
}

/// How much of a scope the granted scopes cover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScopeCoverage {
    /// All modules.
    Whole,
    /// Only some modules.
    Modules {
        /// The service, which has its own words for modules.
        service: ModuleService,
        /// The modules in the spelling of scopes: `leads`, `salesorders`, `custom`.
        words: BTreeSet<String>,
    },
    /// No module.
    Nothing,
}

impl ScopeCoverage {
    /// Whether the coverage includes a module.
    pub fn includes(&self, module: &ModuleName) -> bool {
        match self {
            Self::Whole => true,
            Self::Modules { service, words } => words.contains(&service.word(module)),
            Self::Nothing => false,
        }
    }
}

impl Scope {
    pub(super) const fn of(name: &'static str, needed: bool, what_for: &'static str) -> Self {
        Self {
            name,
            needed,
            what_for,
        }
    }

    /// Returns how much of this scope the granted scopes cover. A granted scope covers it if it is the same scope in any
    /// case, or one of the same or a wider service whose operation contains this one; either may be limited to a module.
    pub fn coverage<'a>(&self, granted: impl Iterator<Item = &'a str>) -> ScopeCoverage {
        let name = self.name.to_ascii_lowercase();
        let (service, operation) = name.rsplit_once('.').unwrap_or(("", &name));
        let by_module = ModuleService::of(service);
        let mut words = BTreeSet::new();
        for granted in granted {
            let granted = granted.to_ascii_lowercase();
            let Some((granted_service, granted_operation)) = granted.rsplit_once('.') else {
                continue;
            };
            if !contains_operation(granted_service, granted_operation, operation) {
                continue;
            }
            let rest_of = |wide: &str, narrow: &str| -> Option<String> {
                Some(narrow.strip_prefix(wide)?.strip_prefix('.')?.to_owned())
            };
            // `ZohoCRM.settings.ALL` contains every settings scope.
            let is_wider = granted_operation == "all"
                && granted_service.contains('.')
                && rest_of(granted_service, service).is_some();
            if granted_service == service || is_wider {
                return ScopeCoverage::Whole;
            }
            if by_module.is_some() {
                words.extend(rest_of(service, granted_service).map(|word| normalize_word(&word)));
            }
        }
        match by_module {
            Some(service) if !words.is_empty() => ScopeCoverage::Modules { service, words },
            _ => ScopeCoverage::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(name: &'static str) -> Scope {
        Scope::of(name, true, "")
    }

    #[test]
    fn all_scope_covers_only_its_parts() {
        let fields = scope("ZohoCRM.settings.fields.READ");
        for (granted, covered) in [
            ("ZohoCRM.settings.fields.READ", true),
            ("zohocrm.settings.fields.read", true),
            ("ZohoCRM.settings.fields.ALL", true),
            ("ZohoCRM.settings.ALL", true),
            ("ZohoCRM.settings.fields.CREATE", false),
            ("ZohoCRM.settings.layouts.ALL", false),
            ("ZohoCRM.modules.ALL", false),
            ("ZohoCRM.settingsall", false),
            ("ALL", false),
            ("", false),
        ] {
            let coverage = fields.coverage([granted].into_iter());
            let expected = if covered {
                ScopeCoverage::Whole
            } else {
                ScopeCoverage::Nothing
            };
            assert_eq!(coverage, expected, "{granted}");
        }
        assert_eq!(fields.coverage(std::iter::empty()), ScopeCoverage::Nothing);
    }

    #[test]
    fn write_covers_record_updates() {
        let update = scope("ZohoCRM.modules.UPDATE");
        let read = scope("ZohoCRM.modules.READ");
        let of = |scope: Scope, granted| scope.coverage([granted].into_iter());
        for granted in ["ZohoCRM.modules.WRITE", "ZohoCRM.modules.ALL"] {
            assert_eq!(of(update, granted), ScopeCoverage::Whole, "{granted}");
        }
        for granted in ["ZohoCRM.modules.READ", "ZohoCRM.modules.CREATE"] {
            assert_eq!(of(update, granted), ScopeCoverage::Nothing, "{granted}");
        }
        assert_eq!(of(read, "ZohoCRM.modules.WRITE"), ScopeCoverage::Nothing);
        let events = "Events".parse().expect("a module");
        assert!(of(update, "ZohoCRM.modules.events.WRITE").includes(&events));
        assert!(!of(update, "ZohoCRM.modules.events.READ").includes(&events));
    }

    #[test]
    fn tasks_calls_and_events_have_own_words_for_records() {
        let mass_update = scope("ZohoCRM.mass_update.UPDATE");
        let records = scope("ZohoCRM.modules.READ");
        for (module, word) in [("Tasks", "tasks"), ("Calls", "calls"), ("Events", "events")] {
            let module = module.parse().expect("a module");
            let own = format!("ZohoCRM.modules.{word}.READ");
            let includes = |scope: Scope, granted: &str| {
                scope.coverage([granted].into_iter()).includes(&module)
            };
            assert!(includes(records, &own), "{own}");
            // Zoho refuses this scope since version 3.
            assert!(
                !includes(records, "ZohoCRM.modules.activities.READ"),
                "{own}"
            );
            assert!(includes(
                mass_update,
                "ZohoCRM.mass_update.activities.UPDATE"
            ));
            let other = format!("ZohoCRM.mass_update.{word}.UPDATE");
            assert!(!includes(mass_update, &other), "{other}");
        }
    }

    #[test]
    fn module_word_is_read_in_any_spelling() {
        let read = scope("ZohoCRM.modules.READ");
        for (module, granted) in [
            ("Price_Books", "ZohoCRM.modules.pricebooks.READ"),
            ("Price_Books", "ZohoCRM.modules.Price_Books.ALL"),
            ("Sales_Orders", "zohocrm.modules.SalesOrders.read"),
            ("Products", "ZohoCRM.modules.products.READ"),
            ("Subscriptions", "ZohoCRM.modules.custom.READ"),
        ] {
            let module = module.parse().expect("a module");
            assert!(
                read.coverage([granted].into_iter()).includes(&module),
                "{granted}"
            );
        }
    }

    #[test]
    fn granted_scope_may_cover_some_modules_only() {
        let update = scope("ZohoCRM.mass_update.UPDATE");
        let read = scope("ZohoCRM.modules.READ");
        // Zoho documents no ALL for mass updates.
        for uncovering in [
            "ZohoCRM.mass_update.ALL",
            "ZohoCRM.mass_update.leads.ALL",
            "ZohoCRM.mass_update.leads.READ",
        ] {
            assert_eq!(
                update.coverage([uncovering].into_iter()),
                ScopeCoverage::Nothing
            );
        }
        let granted = [
            "ZohoCRM.mass_update.Leads.UPDATE",
            "ZohoCRM.mass_update.salesorders.UPDATE",
            "ZohoCRM.mass_update.custom.UPDATE",
            "ZohoCRM.modules.leads.ALL",
        ];
        let coverage = update.coverage(granted.into_iter());
        for (module, included) in [
            ("Leads", true),
            ("Sales_Orders", true),
            ("Subscriptions", true),
            ("Deals", false),
            ("Tasks", false),
        ] {
            let module = module.parse().expect("a module");
            assert_eq!(coverage.includes(&module), included, "{module}");
        }
        let leads = BTreeSet::from(["leads".to_owned()]);
        assert_eq!(
            read.coverage(granted.into_iter()),
            ScopeCoverage::Modules {
                service: ModuleService::Records,
                words: leads,
            }
        );
        assert_eq!(
            read.coverage(["ZohoCRM.modules.ALL"].into_iter()),
            ScopeCoverage::Whole
        );
    }
}
