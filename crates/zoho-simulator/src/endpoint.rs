//! The served endpoints: resolution from method and path, and the scopes that they require.

mod api_version;
pub(crate) mod known;
mod required_scopes;

pub(crate) use api_version::ApiVersion;

/// An endpoint. Module names and ids are as in the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// `POST /oauth/v2/token`.
    Token,
    /// `POST /oauth/v2/auth`: the CRM pages' path for the client-credentials grant.
    TokenAlias,
    /// `POST /oauth/v2/token/revoke` and `/oauth/v2/revoke/token`.
    Revoke,
    /// `GET /oauth/serverinfo`.
    ServerInfo,
    /// `POST {module}/actions/mass_update`.
    MassUpdate(String),
    /// `GET {module}/actions/mass_update`.
    MassUpdateStatus(String),
    /// `POST {module}/actions/add_tags`.
    AddTags(String),
    /// `POST {module}/actions/remove_tags`.
    RemoveTags(String),
    /// `POST {module}/actions/change_owner`.
    ChangeOwner(String),
    /// `POST {module}/actions/mass_change_owner`.
    MassChangeOwner(String),
    /// `GET {module}/actions/mass_change_owner`.
    MassChangeOwnerStatus(String),
    /// `GET settings/fields`, or one field.
    Fields(Option<String>),
    /// `GET settings/modules`, or one module.
    Modules(Option<String>),
    /// `GET settings/custom_views`, or one view.
    CustomViews(Option<String>),
    /// `GET settings/territories`, or one territory.
    Territories(Option<String>),
    /// `GET settings/territories/{id}/__child_territories`.
    ChildTerritories(String),
    /// `GET {module}/search`.
    Search(String),
    /// `POST coql`.
    Coql,
    /// `GET {module}`.
    Records(String),
    /// `GET {module}/{id}`.
    Record(String, String),
    /// `PUT {module}`.
    PutRecords(String),
    /// `PUT {module}/{id}`.
    PutRecord(String, String),
    /// `POST {module}/upsert`.
    Upsert(String),
    /// `GET __apis`.
    Apis,
    /// `GET org`.
    Org,
    /// `GET users`.
    Users,
    /// `GET {module}/actions/count`.
    Count(String),
    /// A request that Zoho serves and the simulator does not, in v7 and v8 or in another version of its API.
    NotSimulated,
    /// An API version that Zoho does not have.
    OtherVersion,
    /// A known path with a method that it does not support.
    WrongMethod,
    /// No such path.
    Unknown,
}

impl Endpoint {
    /// Resolves the endpoint of a method and path.
    pub(crate) fn resolve(method: &str, path: &str) -> Self {
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let (expected_method, endpoint) = match segments.as_slice() {
            ["oauth", "v2", "token"] => ("POST", Self::Token),
            ["oauth", "v2", "auth"] => ("POST", Self::TokenAlias),
            ["oauth", "v2", "token", "revoke"] | ["oauth", "v2", "revoke", "token"] => {
                ("POST", Self::Revoke)
            }
            ["oauth", "serverinfo"] => ("GET", Self::ServerInfo),
            ["crm", "v7" | "v8", rest @ ..] => match Self::resolve_crm(method, rest) {
                Some((expected, found)) if method == expected => return found,
                _ if known::is_request(method, rest) => return Self::NotSimulated,
                Some(found) => found,
                None => return Self::Unknown,
            },
            ["crm", version, ..] if known::is_version(version) => return Self::NotSimulated,
            ["crm", "bulk", ..] => return Self::NotSimulated,
            ["crm", version, ..] if is_version(version) => return Self::OtherVersion,
            _ => return Self::Unknown,
        };
        if method == expected_method {
            endpoint
        } else {
            Self::WrongMethod
        }
    }

    fn resolve_crm(method: &str, segments: &[&str]) -> Option<(&'static str, Self)> {
        let owned = |text: &&str| (*text).to_owned();
        Some(match segments {
            ["coql"] => ("POST", Self::Coql),
            ["__apis"] => ("GET", Self::Apis),
            ["org"] => ("GET", Self::Org),
            ["users"] => ("GET", Self::Users),
            ["settings", "fields"] => ("GET", Self::Fields(None)),
            ["settings", "fields", id] => ("GET", Self::Fields(Some(owned(id)))),
            ["settings", "modules"] => ("GET", Self::Modules(None)),
            ["settings", "modules", name] => ("GET", Self::Modules(Some(owned(name)))),
            ["settings", "custom_views"] => ("GET", Self::CustomViews(None)),
            ["settings", "custom_views", id] => ("GET", Self::CustomViews(Some(owned(id)))),
            ["settings", "territories"] => ("GET", Self::Territories(None)),
            ["settings", "territories", id] => ("GET", Self::Territories(Some(owned(id)))),
            ["settings", "territories", id, "__child_territories"] => {
                ("GET", Self::ChildTerritories(owned(id)))
            }
            ["settings", ..] | [] | [""] => return None,
            // Not a module.
            [root, ..] if known::is_root(root) => return None,
            [module, "actions", "mass_update"] if method == "GET" => {
                ("GET", Self::MassUpdateStatus(owned(module)))
            }
            [module, "actions", "mass_update"] => ("POST", Self::MassUpdate(owned(module))),
            [module, "actions", "add_tags"] => ("POST", Self::AddTags(owned(module))),
            [module, "actions", "remove_tags"] => ("POST", Self::RemoveTags(owned(module))),
            [module, "actions", "change_owner"] => ("POST", Self::ChangeOwner(owned(module))),
            [module, "actions", "mass_change_owner"] if method == "GET" => {
                ("GET", Self::MassChangeOwnerStatus(owned(module)))
            }
            [module, "actions", "mass_change_owner"] => {
                ("POST", Self::MassChangeOwner(owned(module)))
            }
            [module, "actions", "count"] => ("GET", Self::Count(owned(module))),
            [module, "search"] => ("GET", Self::Search(owned(module))),
            [module, "upsert"] => ("POST", Self::Upsert(owned(module))),
            [module] if method == "GET" => ("GET", Self::Records(owned(module))),
            [module] => ("PUT", Self::PutRecords(owned(module))),
            [_, "actions" | "deleted" | "timeline"] => return None,
            [module, id] if method == "PUT" => ("PUT", Self::PutRecord(owned(module), owned(id))),
            [module, id] => ("GET", Self::Record(owned(module), owned(id))),
            _ => return None,
        })
    }

    /// The request kind in `GET /_sim/stats`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Token | Self::TokenAlias => "token",
            Self::Revoke => "revoke",
            Self::ServerInfo => "serverinfo",
            Self::MassUpdate(_) => "mass_update_post",
            Self::MassUpdateStatus(_) => "mass_update_get",
            Self::AddTags(_) => "add_tags",
            Self::RemoveTags(_) => "remove_tags",
            Self::ChangeOwner(_) => "change_owner",
            Self::MassChangeOwner(_) => "mass_change_owner_post",
            Self::MassChangeOwnerStatus(_) => "mass_change_owner_get",
            Self::Fields(_) => "fields",
            Self::Modules(_) => "modules",
            Self::CustomViews(_) => "custom_views",
            Self::Territories(_) | Self::ChildTerritories(_) => "territories",
            Self::Search(_) => "search",
            Self::Coql => "coql",
            Self::Records(_) => "records_list",
            Self::Record(..) => "records_get",
            Self::PutRecords(_) | Self::PutRecord(..) => "records_put",
            Self::Upsert(_) => "upsert",
            Self::Apis => "apis",
            Self::Org => "org",
            Self::Users => "users",
            Self::Count(_) => "count",
            Self::NotSimulated => "not_simulated",
            Self::OtherVersion => "other_version",
            Self::WrongMethod => "wrong_method",
            Self::Unknown => "unknown",
        }
    }

    /// The query parameters that it honours. The accounts server reads its own.
    pub(crate) fn parameters(&self) -> &'static [&'static str] {
        match self {
            Self::MassUpdateStatus(_) | Self::MassChangeOwnerStatus(_) => &["job_id"],
            Self::Fields(_) => &["module", "type"],
            Self::CustomViews(_) => &["module", "page", "per_page"],
            Self::Territories(_) | Self::ChildTerritories(_) => &["page", "per_page"],
            Self::Search(_) => &[
                "criteria",
                "email",
                "phone",
                "word",
                "fields",
                "page",
                "per_page",
                "converted",
                "approved",
            ],
            Self::Count(_) => &[
                "criteria",
                "email",
                "phone",
                "word",
                "cvid",
                "converted",
                "approved",
            ],
            Self::Records(_) => &[
                "fields",
                "page",
                "per_page",
                "page_token",
                "sort_by",
                "sort_order",
                "ids",
                "cvid",
                "converted",
                "territory_id",
                "include_child",
            ],
            Self::Record(..) => &["fields"],
            Self::Apis => &["filters"],
            Self::Users => &["type", "page", "per_page"],
            Self::MassUpdate(_)
            | Self::AddTags(_)
            | Self::RemoveTags(_)
            | Self::ChangeOwner(_)
            | Self::MassChangeOwner(_)
            | Self::Modules(_)
            | Self::Coql
            | Self::PutRecords(_)
            | Self::PutRecord(..)
            | Self::Upsert(_)
            | Self::Org
            | Self::Token
            | Self::TokenAlias
            | Self::Revoke
            | Self::ServerInfo
            | Self::NotSimulated
            | Self::OtherVersion
            | Self::WrongMethod
            | Self::Unknown => &[],
        }
    }

    /// Whether the accounts server serves it.
    pub(crate) fn is_accounts_server(&self) -> bool {
        matches!(
            self,
            Self::Token | Self::TokenAlias | Self::Revoke | Self::ServerInfo
        )
    }
}

/// Returns true for an API version: `v2`, `v2.1`, `v8`.
fn is_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|number| {
        number.starts_with(|first: char| first.is_ascii_digit()) && number.parse::<f32>().is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::RequiredScope;

    #[test]
    fn method_and_path_resolve_to_endpoint() {
        let leads = || "Leads".to_owned();
        for (method, path, expected) in [
            ("POST", "/oauth/v2/token", Endpoint::Token),
            ("GET", "/oauth/v2/token", Endpoint::WrongMethod),
            (
                "POST",
                "/crm/v7/Leads/actions/mass_update",
                Endpoint::MassUpdate(leads()),
            ),
            (
                "GET",
                "/crm/v7/Leads/actions/mass_update",
                Endpoint::MassUpdateStatus(leads()),
            ),
            (
                "PUT",
                "/crm/v7/Leads/actions/mass_update",
                Endpoint::WrongMethod,
            ),
            (
                "POST",
                "/crm/v7/Leads/actions/mass_updates",
                Endpoint::Unknown,
            ),
            (
                "POST",
                "/crm/v9/Leads/actions/mass_update",
                Endpoint::OtherVersion,
            ),
            ("GET", "/crm/v7/settings/fields", Endpoint::Fields(None)),
            ("GET", "/crm/v7/settings/nothing", Endpoint::Unknown),
            ("GET", "/crm/v7/Leads/search", Endpoint::Search(leads())),
            (
                "GET",
                "/crm/v7/Leads/7",
                Endpoint::Record(leads(), "7".to_owned()),
            ),
            ("GET", "/crm/v7/Leads", Endpoint::Records(leads())),
            ("GET", "/crm/v8/Leads", Endpoint::Records(leads())),
            ("PUT", "/crm/v7/Leads", Endpoint::PutRecords(leads())),
            (
                "PUT",
                "/crm/v7/Leads/7",
                Endpoint::PutRecord(leads(), "7".to_owned()),
            ),
            ("POST", "/crm/v7/Leads/upsert", Endpoint::Upsert(leads())),
            ("PUT", "/crm/v7/Leads/upsert", Endpoint::WrongMethod),
            ("GET", "/", Endpoint::Unknown),
        ] {
            assert_eq!(Endpoint::resolve(method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn unserved_requests_of_zoho_are_not_simulated() {
        for (method, path) in [
            ("POST", "/crm/v7/Leads"),
            ("DELETE", "/crm/v7/Leads"),
            ("DELETE", "/crm/v7/Leads/7"),
            ("GET", "/crm/v7/Leads/deleted"),
            ("GET", "/crm/v7/Leads/7/Notes"),
            ("GET", "/crm/v7/Leads/7/photo"),
            ("POST", "/crm/v7/Leads/7/actions/convert"),
            ("POST", "/crm/v7/Leads/7/actions/add_tags"),
            ("POST", "/crm/v7/Leads/actions/mass_delete"),
            ("POST", "/crm/v7/Leads/7/actions/change_owner"),
            ("GET", "/crm/v7/settings/layouts"),
            ("GET", "/crm/v7/settings/related_lists"),
            ("POST", "/crm/v7/settings/fields"),
            ("GET", "/crm/v7/users/7"),
            ("GET", "/crm/v7/files"),
            ("PUT", "/crm/v7/users"),
            ("POST", "/crm/v7/actions/watch"),
            ("POST", "/crm/v7/__composite_requests"),
            ("POST", "/crm/v7/files"),
            ("POST", "/crm/bulk/v7/read"),
            ("POST", "/crm/v8/Leads"),
            ("GET", "/crm/v6/Leads"),
            ("GET", "/crm/v2.1/org"),
        ] {
            let endpoint = Endpoint::resolve(method, path);
            assert_eq!(endpoint, Endpoint::NotSimulated, "{method} {path}");
        }
    }

    #[test]
    fn scopes_satisfy_requirements() {
        let post = Endpoint::MassUpdate("Leads".to_owned());
        let granted = |scope: &'static str, is_custom| {
            post.required_scopes()[0].is_granted([scope].into_iter(), is_custom)
        };
        assert!(granted("ZohoCRM.mass_update.UPDATE", false));
        assert!(granted("ZohoCRM.mass_update.leads.UPDATE", false));
        assert!(granted("ZohoCRM.mass_update.Leads.UPDATE", false));
        assert!(granted("ZohoCRM.mass_update.custom.UPDATE", true));
        assert!(!granted("ZohoCRM.mass_update.deals.UPDATE", false));
        assert!(!granted("ZohoCRM.mass_update.READ", false));
        assert!(!granted("ZohoCRM.mass_update.ALL", false));
        assert!(!granted("ZohoCRM.modules.ALL", false));
        assert!(
            RequiredScope::read_records("Leads")
                .is_granted(["ZohoCRM.modules.ALL"].into_iter(), false)
        );
        let read = |module| RequiredScope::read_records(module);
        let put = Endpoint::PutRecords("Leads".to_owned());
        let update = &put.required_scopes()[0];
        for (required, scope, expected) in [
            (&read("Tasks"), "ZohoCRM.modules.tasks.READ", true),
            (&read("Tasks"), "ZohoCRM.modules.activities.READ", false),
            (
                &read("Price_Books"),
                "ZohoCRM.modules.pricebooks.READ",
                true,
            ),
            (&read("Leads"), "ZohoCRM.modules.WRITE", false),
            (update, "ZohoCRM.modules.WRITE", true),
            (update, "ZohoCRM.modules.leads.WRITE", true),
            (update, "ZohoCRM.modules.leads.READ", false),
        ] {
            let is_granted = required.is_granted([scope].into_iter(), false);
            assert_eq!(is_granted, expected, "{scope}");
        }
        let calls = Endpoint::MassUpdate("Calls".to_owned());
        for (scope, expected) in [
            ("ZohoCRM.mass_update.activities.UPDATE", true),
            ("ZohoCRM.mass_update.calls.UPDATE", false),
        ] {
            let is_granted = calls.required_scopes()[0].is_granted([scope].into_iter(), false);
            assert_eq!(is_granted, expected, "{scope}");
        }
        assert!(
            Endpoint::Fields(None).required_scopes()[0]
                .is_granted(["ZohoCRM.settings.ALL"].into_iter(), false)
        );
    }
}
