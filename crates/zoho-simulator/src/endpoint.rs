//! Which of Zoho's endpoints a request is for, and the scopes that it needs.

/// An endpoint that is played. Module names are as they stand in the path.
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
    /// `GET {module}/{id}`.
    Record(String, String),
    /// `PUT {module}`.
    PutRecords(String),
    /// `GET __apis`.
    Apis,
    /// `GET org`.
    Org,
    /// `GET users`.
    Users,
    /// `GET {module}/actions/count`.
    Count(String),
    /// A version of the API that is not played.
    OtherVersion,
    /// An endpoint that does not take this method.
    WrongMethod,
    /// No such path.
    Unknown,
}

/// A scope that must be granted: for the whole service, or for one of its modules.
pub(crate) struct Need {
    service: &'static str,
    module: Option<String>,
    operation: &'static str,
}

impl Endpoint {
    /// The endpoint of a method and path.
    pub(crate) fn of(method: &str, path: &str) -> Self {
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let (wanted, endpoint) = match segments.as_slice() {
            ["oauth", "v2", "token"] => ("POST", Self::Token),
            ["oauth", "v2", "auth"] => ("POST", Self::TokenAlias),
            ["oauth", "v2", "token", "revoke"] | ["oauth", "v2", "revoke", "token"] => {
                ("POST", Self::Revoke)
            }
            ["oauth", "serverinfo"] => ("GET", Self::ServerInfo),
            ["crm", "v7", rest @ ..] => match Self::of_crm(method, rest) {
                Some(found) => found,
                None => return Self::Unknown,
            },
            ["crm", version, ..] if is_version(version) => return Self::OtherVersion,
            _ => return Self::Unknown,
        };
        if method == wanted {
            endpoint
        } else {
            Self::WrongMethod
        }
    }

    fn of_crm(method: &str, segments: &[&str]) -> Option<(&'static str, Self)> {
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
            [module, "actions", "mass_update"] if method == "GET" => {
                ("GET", Self::MassUpdateStatus(owned(module)))
            }
            [module, "actions", "mass_update"] => ("POST", Self::MassUpdate(owned(module))),
            [module, "actions", "count"] => ("GET", Self::Count(owned(module))),
            [module, "search"] => ("GET", Self::Search(owned(module))),
            [module] => ("PUT", Self::PutRecords(owned(module))),
            [module, id] => ("GET", Self::Record(owned(module), owned(id))),
            _ => return None,
        })
    }

    /// The name under which the admin counts it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Token | Self::TokenAlias => "token",
            Self::Revoke => "revoke",
            Self::ServerInfo => "serverinfo",
            Self::MassUpdate(_) => "mass_update_post",
            Self::MassUpdateStatus(_) => "mass_update_get",
            Self::Fields(_) => "fields",
            Self::Modules(_) => "modules",
            Self::CustomViews(_) => "custom_views",
            Self::Territories(_) | Self::ChildTerritories(_) => "territories",
            Self::Search(_) => "search",
            Self::Coql => "coql",
            Self::Record(..) => "records_get",
            Self::PutRecords(_) => "records_put",
            Self::Apis => "apis",
            Self::Org => "org",
            Self::Users => "users",
            Self::Count(_) => "count",
            Self::OtherVersion => "other_version",
            Self::WrongMethod => "wrong_method",
            Self::Unknown => "unknown",
        }
    }

    /// Whether it belongs to the accounts server.
    pub(crate) fn accounts(&self) -> bool {
        matches!(
            self,
            Self::Token | Self::TokenAlias | Self::Revoke | Self::ServerInfo
        )
    }

    /// The scopes that it needs, all of them.
    pub(crate) fn needs(&self) -> Vec<Need> {
        let need = |service, module: Option<&String>, operation| Need {
            service,
            module: module.cloned(),
            operation,
        };
        match self {
            Self::MassUpdate(module) => vec![need("ZohoCRM.mass_update", Some(module), "UPDATE")],
            Self::MassUpdateStatus(module) => {
                vec![need("ZohoCRM.mass_update", Some(module), "READ")]
            }
            Self::Fields(_) => vec![need("ZohoCRM.settings.fields", None, "READ")],
            Self::Modules(_) => vec![need("ZohoCRM.settings.modules", None, "READ")],
            Self::CustomViews(_) => vec![need("ZohoCRM.settings.custom_views", None, "READ")],
            Self::Territories(_) | Self::ChildTerritories(_) => {
                vec![need("ZohoCRM.settings.territories", None, "READ")]
            }
            Self::Search(module) => vec![
                need("ZohoCRM.modules", Some(module), "READ"),
                need("ZohoSearch.securesearch", None, "READ"),
            ],
            Self::Coql => vec![need("ZohoCRM.coql", None, "READ")],
            Self::Record(module, _) => vec![need("ZohoCRM.modules", Some(module), "READ")],
            Self::PutRecords(module) => vec![need("ZohoCRM.modules", Some(module), "UPDATE")],
            Self::Apis => vec![need("ZohoCRM.apis", None, "READ")],
            Self::Org => vec![need("ZohoCRM.org", None, "READ")],
            Self::Users => vec![need("ZohoCRM.users", None, "READ")],
            Self::Count(module) => vec![
                need("ZohoCRM.modules", Some(module), "READ"),
                need("ZohoSearch.securesearch", None, "READ"),
                need("ZohoCRM.settings.layouts", None, "READ"),
            ],
            Self::Token
            | Self::TokenAlias
            | Self::Revoke
            | Self::ServerInfo
            | Self::OtherVersion
            | Self::WrongMethod
            | Self::Unknown => Vec::new(),
        }
    }
}

impl Need {
    /// The need of one module's records, for an endpoint whose module stands in its body.
    pub(crate) fn to_read(module: &str) -> Self {
        Self {
            service: "ZohoCRM.modules",
            module: Some(module.to_owned()),
            operation: "READ",
        }
    }

    /// The module whose records are needed.
    pub(crate) fn module(&self) -> Option<&str> {
        self.module.as_deref()
    }

    /// The narrowest scope that meets it.
    pub(crate) fn scope(&self, custom: bool) -> String {
        match self.spelt(custom) {
            Some(module) => format!("{}.{module}.{}", self.service, self.operation),
            None => format!("{}.{}", self.service, self.operation),
        }
    }

    fn spelt(&self, custom: bool) -> Option<String> {
        let module = self.module.as_ref()?;
        Some(if custom {
            "custom".to_owned()
        } else {
            module.replace('_', "").to_lowercase()
        })
    }

    /// Whether the granted scopes cover this need. Scopes spell modules without underscores, in any case, and all
    /// custom modules as `custom`.
    pub(crate) fn met<'a>(&self, mut granted: impl Iterator<Item = &'a str>, custom: bool) -> bool {
        let mut good = vec![
            format!("{}.{}", self.service, self.operation),
            self.scope(custom),
        ];
        // No `.ALL` is documented for mass updates.
        if self.service != "ZohoCRM.mass_update" {
            good.push(format!("{}.ALL", self.service));
            if let Some(module) = self.spelt(custom) {
                good.push(format!("{}.{module}.ALL", self.service));
            }
        }
        if self.service.starts_with("ZohoCRM.settings.") {
            good.push("ZohoCRM.settings.ALL".to_owned());
        }
        granted.any(|scope| good.iter().any(|good| good.eq_ignore_ascii_case(scope)))
    }
}

/// `v2`, `v2.1`, `v8`: what stands in the place of a version.
fn is_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|number| {
        number.starts_with(|first: char| first.is_ascii_digit()) && number.parse::<f32>().is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_endpoints() {
        let leads = || "Leads".to_owned();
        for (method, path, wanted) in [
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
            ("PUT", "/crm/v7/Leads", Endpoint::PutRecords(leads())),
            ("GET", "/", Endpoint::Unknown),
        ] {
            assert_eq!(Endpoint::of(method, path), wanted, "{method} {path}");
        }
    }

    #[test]
    fn scopes_cover_needs() {
        let post = Endpoint::MassUpdate("Leads".to_owned());
        let met = |scope: &'static str, custom| post.needs()[0].met([scope].into_iter(), custom);
        assert!(met("ZohoCRM.mass_update.UPDATE", false));
        assert!(met("ZohoCRM.mass_update.leads.UPDATE", false));
        assert!(met("ZohoCRM.mass_update.Leads.UPDATE", false));
        assert!(met("ZohoCRM.mass_update.custom.UPDATE", true));
        assert!(!met("ZohoCRM.mass_update.deals.UPDATE", false));
        assert!(!met("ZohoCRM.mass_update.READ", false));
        assert!(!met("ZohoCRM.mass_update.ALL", false));
        assert!(!met("ZohoCRM.modules.ALL", false));
        assert!(Need::to_read("Leads").met(["ZohoCRM.modules.ALL"].into_iter(), false));
        assert!(Endpoint::Fields(None).needs()[0].met(["ZohoCRM.settings.ALL"].into_iter(), false));
    }
}
