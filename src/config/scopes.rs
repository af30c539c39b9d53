//! The OAuth scopes that a connection's token needs. Pure. What a route's jq program puts out is not known before it runs;
//! the keys that it writes down tell what it may ask for. What none of them asks for is optional.

use std::collections::BTreeSet;

use super::{Config, Route};
use crate::job::OnUnknownOutcome;
use crate::mapping::Program;
use crate::update::{ModuleName, Named, Selector, UpdateMethod, UpdateRequest};
use crate::zoho::{Connection, MetadataGuard};

/// What an update request may ask for that takes scopes of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ScopedFeature {
    /// Records by the value of a field.
    Match,
    /// A custom view by its name.
    View,
    /// A territory by its name.
    Territory,
    /// Updates of records by themselves.
    Records,
    /// That records are read when the outcome of a call is unclear.
    Reread,
}

impl ScopedFeature {
    /// What a route's program may ask for, by the keys that it writes down.
    fn of_program(program: &Program) -> BTreeSet<Self> {
        let keys = program.keys();
        let uses = [
            ("match", Self::Match),
            ("view", Self::View),
            ("territory.name", Self::Territory),
            ("update_by", Self::Records),
        ];
        let named = uses.into_iter().filter(|(key, _)| keys.contains(*key));
        named.map(|(_, found)| found).collect()
    }

    /// What an update request asks for.
    pub fn of_request(request: &UpdateRequest) -> BTreeSet<Self> {
        let mut uses = BTreeSet::new();
        if request.effective_method() != UpdateMethod::MassUpdate {
            uses.insert(Self::Records);
        }
        match &request.selector {
            Selector::Records(_) => {}
            Selector::Match(_) => {
                uses.insert(Self::Match);
            }
            Selector::Named(named) => {
                if let Named::Name(_) = named.view {
                    uses.insert(Self::View);
                }
                if let Some(territory) = &named.territory
                    && let Named::Name(_) = territory.territory
                {
                    uses.insert(Self::Territory);
                }
            }
        }
        uses
    }
}

/// A scope, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Zoho's name for it.
    pub name: &'static str,
    /// Whether the config needs it.
    pub needed: bool,
    /// What needs it.
    pub what_for: &'static str,
}

/// How far granted scopes reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScopeCoverage {
    /// To everything.
    Whole,
    /// To these modules, in the words of scopes: `leads`, `salesorders`, `custom`.
    Modules(BTreeSet<String>),
    /// To nothing.
    Nothing,
}

impl ScopeCoverage {
    /// Whether it reaches to a module.
    pub fn reaches(&self, module: &ModuleName) -> bool {
        match self {
            Self::Whole => true,
            Self::Modules(words) => words.contains(&word(module)),
            Self::Nothing => false,
        }
    }
}

/// A module in the words of scopes: lower case without underscores, and one word for all that orgs made.
fn word(module: &ModuleName) -> String {
    match module.as_str() {
        "Tasks" | "Calls" | "Events" => "activities".to_owned(),
        name if module.is_standard() => name.replace('_', "").to_lowercase(),
        _ => "custom".to_owned(),
    }
}

/// The one service for which Zoho documents no `ALL`.
const MASS_UPDATE: &str = "zohocrm.mass_update.";

/// Services whose scopes may be narrowed to a module.
const BY_MODULE: [&str; 2] = [MASS_UPDATE, "zohocrm.modules."];

impl Scope {
    const fn of(name: &'static str, needed: bool, what_for: &'static str) -> Self {
        Self {
            name,
            needed,
            what_for,
        }
    }

    /// How far the granted scopes reach: it itself, in any case, or an `ALL` of what it is a part of, or either for
    /// some modules.
    pub fn cover<'a>(&self, granted: impl Iterator<Item = &'a str>) -> ScopeCoverage {
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
            let narrowed = rest.and_then(|rest| rest.split_once('.'));
            let Some((module, operation)) = narrowed else {
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

impl Connection {
    /// The scopes of its token: those that are needed for `uses`, then those that only some update requests need.
    pub fn scopes(&self, uses: &BTreeSet<ScopedFeature>) -> Vec<Scope> {
        let has = |wanted| uses.contains(&wanted);
        let reads = has(ScopedFeature::Match) || has(ScopedFeature::Reread);
        let reading = match has(ScopedFeature::Reread) {
            true => ["`match`; `on_unknown_outcome: reread`"; 2],
            false => ["`match`, by a query", "`match`, the records found"],
        };
        let mut scopes = vec![
            Scope::of("ZohoCRM.mass_update.UPDATE", true, "every mass update"),
            Scope::of(
                "ZohoCRM.mass_update.READ",
                true,
                "how a custom view's update goes on",
            ),
        ];
        if self.guard == MetadataGuard::Strict {
            scopes.push(Scope::of(
                "ZohoCRM.settings.fields.READ",
                true,
                "`guard: strict`",
            ));
        }
        scopes.extend([
            Scope::of("ZohoCRM.coql.READ", reads, reading[0]),
            Scope::of("ZohoCRM.modules.READ", reads, reading[1]),
            Scope::of(
                "ZohoSearch.securesearch.READ",
                false,
                "`match`, values that no query can hold",
            ),
            Scope::of(
                "ZohoCRM.settings.custom_views.READ",
                has(ScopedFeature::View),
                "`view`, by its name",
            ),
            Scope::of(
                "ZohoCRM.settings.territories.READ",
                has(ScopedFeature::Territory),
                "`territory`, by its name",
            ),
            Scope::of(
                "ZohoCRM.modules.UPDATE",
                has(ScopedFeature::Records),
                "`update_by: records` and `auto`",
            ),
            Scope::of(
                "ZohoCRM.settings.modules.READ",
                false,
                "`check --live`: modules",
            ),
            Scope::of("ZohoCRM.apis.READ", false, "`check --live`: prices"),
            Scope::of("ZohoCRM.org.READ", false, "`check --live`: the edition"),
        ]);
        // What is needed comes first, each in its order.
        scopes.sort_by_key(|scope| !scope.needed);
        scopes
    }
}

impl Config {
    /// What the jobs of a connection may ask for.
    pub fn uses(&self, connection: &str) -> BTreeSet<ScopedFeature> {
        let routes = self.routes.values();
        let own = routes.filter(|route| route.connection == connection);
        let of_route = |route: &Route| {
            let mut uses = ScopedFeature::of_program(&route.map);
            if route.update_by != UpdateMethod::MassUpdate {
                uses.insert(ScopedFeature::Records);
            }
            uses
        };
        let mut uses: BTreeSet<ScopedFeature> = own.flat_map(of_route).collect();
        if self.rereads(connection) {
            uses.insert(ScopedFeature::Reread);
        }
        uses
    }

    /// Whether some job that goes through a connection may have its records read when the outcome of a call is unclear.
    fn rereads(&self, connection: &str) -> bool {
        // Update requests that came by no route.
        let others = self.default_connection() == Some(connection);
        let mut routes = self.routes.values();
        let by_route = routes.any(|route| {
            route.connection == connection
                && route.on_unknown_outcome.unwrap_or(self.on_unknown_outcome)
                    == OnUnknownOutcome::Reread
        });
        by_route || (others && self.on_unknown_outcome == OnUnknownOutcome::Reread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CompileMode;
    use serde_json::json;

    fn needed(guard: &str, map: &str) -> Vec<&'static str> {
        let text = format!(
            "connections:\n  default:\n    credentials: env:X\n    guard: {guard}\n  other: {{ credentials: env:X }}\n\
             routes:\n  a:\n    verify: {{ scheme: none }}\n    map: '{map}'\n\
             \n  b:\n    connection: other\n    verify: {{ scheme: none }}\n    map: '{{match: 1, view: 1}}'\n"
        );
        let config = Config::parse(&text, CompileMode::Lazy).expect("a config");
        let scopes = config.connections["default"].scopes(&config.uses("default"));
        let needed = scopes.iter().filter(|scope| scope.needed);
        needed.map(|scope| scope.name).collect()
    }

    #[test]
    fn the_guard_decides_about_the_fields() {
        let mass_update = ["ZohoCRM.mass_update.UPDATE", "ZohoCRM.mass_update.READ"];
        assert_eq!(needed("off", "."), mass_update);
        assert_eq!(needed("strict", ".")[..2], mass_update);
        assert_eq!(needed("strict", ".")[2..], ["ZohoCRM.settings.fields.READ"]);
    }

    #[test]
    fn the_keys_of_a_connections_own_routes_decide_about_lookups() {
        let more = |map| needed("off", map)[2..].to_vec();
        assert_eq!(
            more("{module: \"Leads\"} + {match: {}}"),
            ["ZohoCRM.coql.READ", "ZohoCRM.modules.READ"]
        );
        assert_eq!(
            more("{view: .v, territory: {name: .t}}"),
            [
                "ZohoCRM.settings.custom_views.READ",
                "ZohoCRM.settings.territories.READ"
            ]
        );
        assert!(more("{cvid: .v, territory: {id: .t}, reference: {name: 1}}").is_empty());
    }

    #[test]
    fn a_route_that_updates_records_needs_their_scope() {
        let with = |keys: &str, map: &str| {
            let text = format!(
                "connections:\n  default: {{ credentials: env:X }}\n  other: {{ credentials: env:Y }}\n\
                 routes:\n  form: {{ verify: {{ scheme: none }}, map: '{map}', {keys} }}\n"
            );
            let config = Config::parse(&text, CompileMode::Lazy).expect("a config");
            let scopes = config.connections["default"].scopes(&config.uses("default"));
            let found = scopes
                .iter()
                .find(|scope| scope.name == "ZohoCRM.modules.UPDATE");
            found.expect("it is listed").needed
        };
        assert!(with("update_by: records", ".") && with("update_by: auto", "."));
        assert!(!with("update_by: mass_update", "."));
        assert!(!with("update_by: records, connection: other", "."));
        assert!(with("when: .a", "{module: \"Leads\", update_by: .how}"));
    }

    #[test]
    fn who_has_records_reread_needs_the_right_to_read_them() {
        let config = |global: &str, route: &str| {
            let text = format!(
                "connections:\n  default:\n    credentials: env:X\n  other:\n    credentials: env:Y\non_unknown_outcome: {global}\n\
                 routes:\n  r:\n    verify: {{ scheme: none }}\n    map: .\n    on_unknown_outcome: {route}\n    connection: other\n"
            );
            Config::parse(&text, CompileMode::Lazy).expect("a config")
        };
        for (global, route, default, other) in [
            ("report", "reread", false, true),
            ("reread", "report", true, false),
            ("reread", "reread", true, true),
        ] {
            let config = config(global, route);
            let needs = |name: &str| {
                let scopes = config.connections[name].scopes(&config.uses(name));
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
    fn a_request_tells_what_it_uses() {
        let of = |selector: serde_json::Value| {
            let mut request = json!({"module": "Leads", "fields": {"City": "Bonn"}});
            let more = selector.as_object().cloned().expect("an object");
            request.as_object_mut().expect("an object").extend(more);
            let request = UpdateRequest::parse(&request).expect("a request");
            Vec::from_iter(ScopedFeature::of_request(&request))
        };
        assert_eq!(of(json!({"ids": [1]})), []);
        let wanted = json!({"match": {"field": "Email", "values": ["a@b.de"]}});
        assert_eq!(of(wanted), [ScopedFeature::Match]);
        assert_eq!(of(json!({"view": "Hot"})), [ScopedFeature::View]);
        let named = json!({"view": "Hot", "territory": {"name": "EMEA"}});
        assert_eq!(of(named), [ScopedFeature::View, ScopedFeature::Territory]);
        let half = json!({"cvid": "5", "territory": {"name": "EMEA"}});
        assert_eq!(of(half), [ScopedFeature::Territory]);
    }

    fn scope(name: &'static str) -> Scope {
        Scope::of(name, true, "")
    }

    #[test]
    fn an_all_covers_its_parts_and_nothing_beside() {
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
            let cover = fields.cover([granted].into_iter());
            let wanted = if covered {
                ScopeCoverage::Whole
            } else {
                ScopeCoverage::Nothing
            };
            assert_eq!(cover, wanted, "{granted}");
        }
        assert_eq!(fields.cover(std::iter::empty()), ScopeCoverage::Nothing);
    }

    #[test]
    fn a_scope_may_reach_to_some_modules_only() {
        let update = scope("ZohoCRM.mass_update.UPDATE");
        let read = scope("ZohoCRM.modules.READ");
        // No ALL of mass updates is documented.
        for nothing in [
            "ZohoCRM.mass_update.ALL",
            "ZohoCRM.mass_update.leads.ALL",
            "ZohoCRM.mass_update.leads.READ",
        ] {
            assert_eq!(update.cover([nothing].into_iter()), ScopeCoverage::Nothing);
        }
        let granted = [
            "ZohoCRM.mass_update.Leads.UPDATE",
            "ZohoCRM.mass_update.salesorders.UPDATE",
            "ZohoCRM.mass_update.custom.UPDATE",
            "ZohoCRM.modules.leads.ALL",
        ];
        let cover = update.cover(granted.into_iter());
        for (module, reached) in [
            ("Leads", true),
            ("Sales_Orders", true),
            ("Subscriptions", true),
            ("Deals", false),
            ("Tasks", false),
        ] {
            let module = module.parse().expect("a module");
            assert_eq!(cover.reaches(&module), reached, "{module}");
        }
        let leads = BTreeSet::from(["leads".to_owned()]);
        assert_eq!(
            read.cover(granted.into_iter()),
            ScopeCoverage::Modules(leads)
        );
        assert_eq!(
            read.cover(["ZohoCRM.modules.ALL"].into_iter()),
            ScopeCoverage::Whole
        );
    }
}
