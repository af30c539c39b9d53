//! The OAuth scopes that a connection's token needs. Pure. What a route's jq program puts out is not known before it runs,
//! so what only some update requests need is optional.

use super::{Config, Connection, Guarding};
use crate::job::Unclear;

/// A scope, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Zoho's name for it.
    pub name: &'static str,
    /// Whether nothing works without it.
    pub needed: bool,
    /// What needs it.
    pub what_for: &'static str,
}

impl Scope {
    const fn needed(name: &'static str, what_for: &'static str) -> Self {
        Self {
            name,
            needed: true,
            what_for,
        }
    }

    const fn optional(name: &'static str, what_for: &'static str) -> Self {
        Self {
            name,
            needed: false,
            what_for,
        }
    }

    /// Whether one of the granted scopes covers it: it itself, in any case, or an `ALL` of what it is a part of.
    pub fn is_covered<'a>(&self, mut granted: impl Iterator<Item = &'a str>) -> bool {
        let name = self.name.to_ascii_lowercase();
        granted.any(|granted| {
            let granted = granted.to_ascii_lowercase();
            let whole = granted.strip_suffix("all");
            granted == name
                || whole.is_some_and(|whole| whole.ends_with('.') && name.starts_with(whole))
        })
    }
}

const NEEDED: [Scope; 2] = [
    Scope::needed("ZohoCRM.mass_update.UPDATE", "every mass update"),
    Scope::needed(
        "ZohoCRM.mass_update.READ",
        "how a custom view's update goes on",
    ),
];

const FIELDS: Scope = Scope::needed("ZohoCRM.settings.fields.READ", "`guard: strict`");

/// Those of the optional ones without which `unclear: reread` cannot do what it says.
const REREAD: [Scope; 2] = [
    Scope::needed("ZohoCRM.coql.READ", "`match`; `unclear: reread`"),
    Scope::needed("ZohoCRM.modules.READ", "`match`; `unclear: reread`"),
];

const OPTIONAL: [Scope; 9] = [
    Scope::optional("ZohoCRM.coql.READ", "`match`, by a query"),
    Scope::optional("ZohoCRM.modules.READ", "`match`, the records found"),
    Scope::optional(
        "ZohoSearch.securesearch.READ",
        "`match`, values that no query can hold",
    ),
    Scope::optional("ZohoCRM.settings.custom_views.READ", "`view`, by its name"),
    Scope::optional(
        "ZohoCRM.settings.territories.READ",
        "`territory`, by its name",
    ),
    Scope::optional("ZohoCRM.modules.UPDATE", "`method: records` and `auto`"),
    Scope::optional("ZohoCRM.settings.modules.READ", "`check --live`: modules"),
    Scope::optional("ZohoCRM.apis.READ", "`check --live`: prices"),
    Scope::optional("ZohoCRM.org.READ", "`check --live`: the edition"),
];

impl Config {
    /// The scopes of a connection's token: those that it needs, then those that only some update requests need.
    pub fn scopes(&self, name: &str, connection: &Connection) -> Vec<Scope> {
        let guard = match connection.guard {
            Guarding::Strict => Some(FIELDS),
            Guarding::Off => None,
        };
        let rereads = self.rereads(name);
        let optional = OPTIONAL.into_iter().map(|scope| {
            let read = REREAD.iter().find(|read| read.name == scope.name);
            read.filter(|_| rereads).copied().unwrap_or(scope)
        });
        let all = NEEDED.into_iter().chain(guard).chain(optional);
        let (needed, optional): (Vec<_>, Vec<_>) = all.partition(|scope| scope.needed);
        needed.into_iter().chain(optional).collect()
    }

    /// Whether some job that goes through a connection may have its records read when the outcome of a call is unclear.
    fn rereads(&self, connection: &str) -> bool {
        // Update requests that came by no route.
        let others = self.default_connection() == Some(connection);
        let mut routes = self.routes.values();
        let by_route = routes.any(|route| {
            route.connection == connection
                && route.unclear.unwrap_or(self.unclear) == Unclear::Reread
        });
        by_route || (others && self.unclear == Unclear::Reread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Programs;

    fn needed(guard: &str) -> Vec<&'static str> {
        let text =
            format!("connections:\n  default:\n    credentials: env:X\n    guard: {guard}\n");
        let config = Config::parse(&text, Programs::Lazily).expect("a config");
        let scopes = config.scopes("default", &config.connections["default"]);
        let needed = scopes.iter().filter(|scope| scope.needed);
        needed.map(|scope| scope.name).collect()
    }

    #[test]
    fn the_guard_decides_about_the_fields() {
        let mass_update = ["ZohoCRM.mass_update.UPDATE", "ZohoCRM.mass_update.READ"];
        assert_eq!(needed("off"), mass_update);
        assert_eq!(needed("strict")[..2], mass_update);
        assert_eq!(needed("strict")[2..], ["ZohoCRM.settings.fields.READ"]);
    }

    #[test]
    fn who_has_records_reread_needs_the_right_to_read_them() {
        let config = |global: &str, route: &str| {
            let text = format!(
                "connections:\n  default:\n    credentials: env:X\n  other:\n    credentials: env:Y\nunclear: {global}\n\
                 routes:\n  r:\n    verify: {{ scheme: none }}\n    map: .\n    unclear: {route}\n    connection: other\n"
            );
            Config::parse(&text, Programs::Lazily).expect("a config")
        };
        for (global, route, default, other) in [
            ("report", "reread", false, true),
            ("reread", "report", true, false),
            ("reread", "reread", true, true),
        ] {
            let config = config(global, route);
            let needs = |name: &str| {
                let scopes = config.scopes(name, &config.connections[name]);
                let needed = scopes.iter().filter(|scope| scope.needed);
                needed
                    .filter(|scope| scope.name == "ZohoCRM.coql.READ")
                    .count()
                    == 1
            };
            assert_eq!(
                (needs("default"), needs("other")),
                (default, other),
                "{global}, {route}"
            );
        }
    }

    #[test]
    fn an_all_covers_its_parts_and_nothing_beside() {
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
            assert_eq!(
                FIELDS.is_covered([granted].into_iter()),
                covered,
                "{granted}"
            );
        }
        assert!(!FIELDS.is_covered(std::iter::empty()));
    }
}
