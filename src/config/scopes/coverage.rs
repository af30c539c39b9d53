//! OAuth scopes and how much of one a list of granted scopes covers. Pure.

use std::collections::BTreeSet;

use crate::update::ModuleName;

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
    /// Only these modules, in the spelling of scopes: `leads`, `salesorders`, `custom`.
    Modules(BTreeSet<String>),
    /// No module.
    Nothing,
}

impl ScopeCoverage {
    /// Whether the coverage includes a module.
    pub fn includes(&self, module: &ModuleName) -> bool {
        match self {
            Self::Whole => true,
            Self::Modules(names) => names.contains(&scope_module(module)),
            Self::Nothing => false,
        }
    }
}

/// Spells a module as scopes do: lower case without underscores, and `custom` for every module that an org created.
fn scope_module(module: &ModuleName) -> String {
    match module.as_str() {
        "Tasks" | "Calls" | "Events" => "activities".to_owned(),
        name if module.is_standard() => name.replace('_', "").to_lowercase(),
        _ => "custom".to_owned(),
    }
}

/// The only service for which Zoho documents no `ALL`.
const MASS_UPDATE: &str = "zohocrm.mass_update.";

/// Services whose scopes can be limited to a module.
const BY_MODULE: [&str; 2] = [MASS_UPDATE, "zohocrm.modules."];

impl Scope {
    pub(super) const fn of(name: &'static str, needed: bool, what_for: &'static str) -> Self {
        Self {
            name,
            needed,
            what_for,
        }
    }

    /// Returns how much of this scope the granted scopes cover. A granted scope covers it if it is the same scope in any
    /// case, or the `ALL` of a service that contains it; either may be limited to a module.
    pub fn coverage<'a>(&self, granted: impl Iterator<Item = &'a str>) -> ScopeCoverage {
        let name = self.name.to_ascii_lowercase();
        let service = BY_MODULE.iter().find(|service| name.starts_with(**service));
        let mut modules = BTreeSet::new();
        for granted in granted {
            let granted = granted.to_ascii_lowercase();
            let whole = granted.strip_suffix("all");
            let whole = whole.filter(|whole| *whole != MASS_UPDATE);
            if granted == name
                || whole.is_some_and(|whole| whole.ends_with('.') && name.starts_with(whole))
            {
                return ScopeCoverage::Whole;
            }
            let Some(service) = service else { continue };
            let rest = granted.strip_prefix(service);
            let limited = rest.and_then(|rest| rest.split_once('.'));
            let Some((module, operation)) = limited else {
                continue;
            };
            let all = operation == "all" && *service != MASS_UPDATE;
            if all || name.strip_prefix(service) == Some(operation) {
                modules.insert(module.to_owned());
            }
        }
        match modules.is_empty() {
            true => ScopeCoverage::Nothing,
            false => ScopeCoverage::Modules(modules),
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
            ScopeCoverage::Modules(leads)
        );
        assert_eq!(
            read.coverage(["ZohoCRM.modules.ALL"].into_iter()),
            ScopeCoverage::Whole
        );
    }
}
