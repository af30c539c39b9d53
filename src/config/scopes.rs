//! The OAuth scopes that a connection's token needs. Pure.
//!
//! The output of a route's jq program is unknown until it runs. The keys that occur in the program show which features it
//! can use; the scopes of all other features are optional.

mod coverage;

use std::collections::BTreeSet;

use super::{Config, Route};
use crate::job::OnUnknownOutcome;
use crate::mapping::Program;
use crate::update::{Named, Selector, UpdateMethod, UpdateRequest, UserReference};
use crate::zoho::{Connection, MetadataGuard};
pub use coverage::{Scope, ScopeCoverage};

/// A feature of update requests that needs OAuth scopes of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ScopedFeature {
    /// Selection of records by the value of a field.
    Match,
    /// Selection of a custom view by name.
    View,
    /// Selection of a territory by name.
    Territory,
    /// Creation of records for values that no record has.
    Create,
    /// Record updates instead of mass updates.
    Records,
    /// Changes of tags.
    Tags,
    /// Changes of owners.
    Owner,
    /// Selection of an owner by e-mail address.
    OwnerEmail,
    /// Reading records back if the outcome of a call is unknown.
    Reread,
}

impl ScopedFeature {
    /// Returns the features that a route's program can use, judged by the keys that occur in it.
    fn of_program(program: &Program) -> BTreeSet<Self> {
        let keys = program.keys();
        let by_key = [
            ("match", Self::Match),
            ("view", Self::View),
            ("territory.name", Self::Territory),
            ("update_by", Self::Records),
            ("tags", Self::Tags),
            ("owner", Self::Owner),
            ("owner.email", Self::OwnerEmail),
        ];
        let named = by_key.into_iter().filter(|(key, _)| keys.contains(*key));
        let mut features: BTreeSet<Self> = named.map(|(_, feature)| feature).collect();
        // The value of `on_none` may also be another one, so the program's text decides.
        let is_on_none = |key: &String| key == "on_none" || key.ends_with(".on_none");
        if keys.iter().any(is_on_none) && program.location_of("create").is_some() {
            features.insert(Self::Create);
        }
        features
    }

    /// Returns the features that an update request uses.
    pub fn of_request(request: &UpdateRequest) -> BTreeSet<Self> {
        let mut features = BTreeSet::new();
        if request.effective_method() != UpdateMethod::MassUpdate {
            features.insert(Self::Records);
        }
        if !request.tags.is_empty() {
            features.insert(Self::Tags);
        }
        if let Some(owner) = &request.owner {
            features.insert(Self::Owner);
            if let UserReference::Email(_) = owner.user {
                features.insert(Self::OwnerEmail);
            }
        }
        match &request.selector {
            Selector::Records(_) => {}
            Selector::Match(query) => {
                features.insert(Self::Match);
                if query.creates() {
                    features.insert(Self::Create);
                }
            }
            Selector::Named(named) => {
                if let Named::Name(_) = named.view {
                    features.insert(Self::View);
                }
                if let Some(territory) = &named.territory
                    && let Named::Name(_) = territory.territory
                {
                    features.insert(Self::Territory);
                }
            }
        }
        features
    }
}

impl Connection {
    /// Returns the scopes of the connection's token: first those that `features` need, then the optional ones.
    pub fn scopes(&self, features: &BTreeSet<ScopedFeature>) -> Vec<Scope> {
        let has = |feature| features.contains(&feature);
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
                "progress of a custom view's update",
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
                "ZohoCRM.modules.CREATE",
                has(ScopedFeature::Create),
                "`on_none: create`",
            ),
            Scope::of(
                "ZohoCRM.modules.UPDATE",
                has(ScopedFeature::Records),
                "`update_by: records` and `auto`",
            ),
            Scope::of("ZohoCRM.modules.WRITE", has(ScopedFeature::Tags), "`tags`"),
            Scope::of(
                "ZohoCRM.change_owner.CREATE",
                has(ScopedFeature::Owner),
                "`owner`",
            ),
            Scope::of(
                "ZohoCRM.change_owner.READ",
                has(ScopedFeature::Owner),
                "`owner`, progress of a custom view's change",
            ),
            Scope::of(
                "ZohoCRM.users.READ",
                has(ScopedFeature::OwnerEmail),
                "`owner`, by e-mail address",
            ),
            Scope::of(
                "ZohoCRM.settings.modules.READ",
                false,
                "`check --live`: modules",
            ),
            Scope::of("ZohoCRM.apis.READ", false, "`check --live`: prices"),
            Scope::of("ZohoCRM.org.READ", false, "`check --live`: the edition"),
        ]);
        // A stable sort: needed scopes first, otherwise in the order above.
        scopes.sort_by_key(|scope| !scope.needed);
        scopes
    }
}

impl Config {
    /// Returns the features that the jobs of a connection can use.
    pub fn scoped_features(&self, connection: &str) -> BTreeSet<ScopedFeature> {
        let routes = self.routes.values();
        let own = routes.filter(|route| route.connection == connection);
        let of_route = |route: &Route| {
            let mut features = ScopedFeature::of_program(&route.map);
            if route.update_by != UpdateMethod::MassUpdate {
                features.insert(ScopedFeature::Records);
            }
            features
        };
        let mut features: BTreeSet<ScopedFeature> = own.flat_map(of_route).collect();
        if self.can_reread(connection) {
            features.insert(ScopedFeature::Reread);
        }
        features
    }

    /// Whether a job of a connection can read records back after a call with an unknown outcome.
    fn can_reread(&self, connection: &str) -> bool {
        // Update requests that arrive without a route use the default connection.
        let is_default = self.default_connection() == Some(connection);
        let mut routes = self.routes.values();
        let by_route = routes.any(|route| {
            route.connection == connection
                && route.on_unknown_outcome.unwrap_or(self.on_unknown_outcome)
                    == OnUnknownOutcome::Reread
        });
        by_route || (is_default && self.on_unknown_outcome == OnUnknownOutcome::Reread)
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
        let scopes = config.connections["default"].scopes(&config.scoped_features("default"));
        let needed = scopes.iter().filter(|scope| scope.needed);
        needed.map(|scope| scope.name).collect()
    }

    #[test]
    fn field_scope_is_needed_with_strict_guard() {
        let mass_update = ["ZohoCRM.mass_update.UPDATE", "ZohoCRM.mass_update.READ"];
        assert_eq!(needed("off", "."), mass_update);
        assert_eq!(needed("strict", ".")[..2], mass_update);
        assert_eq!(needed("strict", ".")[2..], ["ZohoCRM.settings.fields.READ"]);
    }

    #[test]
    fn lookup_scopes_follow_keys_of_own_routes() {
        let lookups = |map| needed("off", map)[2..].to_vec();
        assert_eq!(
            lookups("{module: \"Leads\"} + {match: {}}"),
            ["ZohoCRM.coql.READ", "ZohoCRM.modules.READ"]
        );
        assert_eq!(
            lookups("{view: .v, territory: {name: .t}}"),
            [
                "ZohoCRM.settings.custom_views.READ",
                "ZohoCRM.settings.territories.READ"
            ]
        );
        assert!(lookups("{cvid: .v, territory: {id: .t}, reference: {name: 1}}").is_empty());
    }

    #[test]
    fn creation_needs_scope_for_new_records() {
        let lookups = |map| needed("off", map)[2..].to_vec();
        let create = "{match: {field: \"Email\", values: [.e], on_none: \"create\"}}";
        let wanted = [
            "ZohoCRM.coql.READ",
            "ZohoCRM.modules.READ",
            "ZohoCRM.modules.CREATE",
        ];
        assert_eq!(lookups(create), wanted);
        let succeed = create.replace("\"create\"", "\"succeed\"");
        assert_eq!(lookups(&succeed), wanted[..2]);
    }

    #[test]
    fn record_updates_need_records_scope() {
        let with = |keys: &str, map: &str| {
            let text = format!(
                "connections:\n  default: {{ credentials: env:X }}\n  other: {{ credentials: env:Y }}\n\
                 routes:\n  form: {{ verify: {{ scheme: none }}, map: '{map}', {keys} }}\n"
            );
            let config = Config::parse(&text, CompileMode::Lazy).expect("a config");
            let scopes = config.connections["default"].scopes(&config.scoped_features("default"));
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
    fn reread_needs_scopes_for_reading_records() {
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
                let scopes = config.connections[name].scopes(&config.scoped_features(name));
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
    fn request_features_follow_its_selector() {
        let features = |selector: serde_json::Value| {
            let mut request = json!({"module": "Leads", "fields": {"City": "Bonn"}});
            let selector = selector.as_object().cloned().expect("an object");
            request.as_object_mut().expect("an object").extend(selector);
            let request = UpdateRequest::parse(&request).expect("a request");
            Vec::from_iter(ScopedFeature::of_request(&request))
        };
        assert_eq!(features(json!({"ids": [1]})), []);
        let matched = json!({"match": {"field": "Email", "values": ["a@b.de"]}});
        assert_eq!(features(matched), [ScopedFeature::Match]);
        let created =
            json!({"match": {"field": "Email", "values": ["a@b.de"], "on_none": "create"}});
        assert_eq!(
            features(created),
            [ScopedFeature::Match, ScopedFeature::Create]
        );
        assert_eq!(features(json!({"view": "Hot"})), [ScopedFeature::View]);
        let named = json!({"view": "Hot", "territory": {"name": "EMEA"}});
        assert_eq!(
            features(named),
            [ScopedFeature::View, ScopedFeature::Territory]
        );
        let view_by_id = json!({"cvid": "5", "territory": {"name": "EMEA"}});
        assert_eq!(features(view_by_id), [ScopedFeature::Territory]);
    }

    #[test]
    fn actions_need_their_scopes() {
        let actions = |map| needed("off", map)[2..].to_vec();
        assert_eq!(actions("{tags: {add: [.tag]}}"), ["ZohoCRM.modules.WRITE"]);
        let owner = ["ZohoCRM.change_owner.CREATE", "ZohoCRM.change_owner.READ"];
        assert_eq!(actions("{owner: {id: .owner}}"), owner);
        assert_eq!(actions("{owner: {email: .owner}}")[..2], owner);
        assert_eq!(
            actions("{owner: {email: .owner}}")[2..],
            ["ZohoCRM.users.READ"]
        );
        assert!(actions("{reference: {owner: 1, tags: 2}}").is_empty());
        let request = json!({"module": "Leads", "ids": [1], "tags": {"add": ["a"]}, "owner": {"email": "a@b.de"}});
        let request = UpdateRequest::parse(&request).expect("a request");
        let expected = [
            ScopedFeature::Tags,
            ScopedFeature::Owner,
            ScopedFeature::OwnerEmail,
        ];
        assert_eq!(
            Vec::from_iter(ScopedFeature::of_request(&request)),
            expected
        );
    }
}
