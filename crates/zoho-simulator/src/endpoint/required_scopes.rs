//! The scopes that endpoints require.

use super::Endpoint;
use crate::scope::RequiredScope;

impl Endpoint {
    /// The scopes that it requires; all of them must be granted.
    pub(crate) fn required_scopes(&self) -> Vec<RequiredScope> {
        let scope = |service, module: Option<&String>, operation| RequiredScope {
            service,
            module: module.cloned(),
            operation,
        };
        match self {
            Self::MassUpdate(module) => vec![scope("ZohoCRM.mass_update", Some(module), "UPDATE")],
            Self::MassUpdateStatus(module) => {
                vec![scope("ZohoCRM.mass_update", Some(module), "READ")]
            }
            Self::AddTags(module) | Self::RemoveTags(module) => {
                vec![scope("ZohoCRM.modules", Some(module), "WRITE")]
            }
            Self::ChangeOwner(_) | Self::MassChangeOwner(_) => {
                vec![scope("ZohoCRM.change_owner", None, "CREATE")]
            }
            Self::MassChangeOwnerStatus(_) => vec![scope("ZohoCRM.change_owner", None, "READ")],
            Self::Fields(_) => vec![scope("ZohoCRM.settings.fields", None, "READ")],
            Self::Modules(_) => vec![scope("ZohoCRM.settings.modules", None, "READ")],
            Self::CustomViews(_) => vec![scope("ZohoCRM.settings.custom_views", None, "READ")],
            Self::Territories(_) | Self::ChildTerritories(_) => {
                vec![scope("ZohoCRM.settings.territories", None, "READ")]
            }
            Self::Search(module) => vec![
                scope("ZohoCRM.modules", Some(module), "READ"),
                scope("ZohoSearch.securesearch", None, "READ"),
            ],
            Self::Coql => vec![scope("ZohoCRM.coql", None, "READ")],
            Self::Records(module) | Self::Record(module, _) => {
                vec![scope("ZohoCRM.modules", Some(module), "READ")]
            }
            Self::PutRecords(module) | Self::PutRecord(module, _) => {
                vec![scope("ZohoCRM.modules", Some(module), "UPDATE")]
            }
            // `WRITE`, which contains it, is sufficient too.
            Self::Upsert(module) => vec![scope("ZohoCRM.modules", Some(module), "CREATE")],
            Self::Apis => vec![scope("ZohoCRM.apis", None, "READ")],
            Self::Org => vec![scope("ZohoCRM.org", None, "READ")],
            Self::Users => vec![scope("ZohoCRM.users", None, "READ")],
            Self::Count(module) => vec![
                scope("ZohoCRM.modules", Some(module), "READ"),
                scope("ZohoSearch.securesearch", None, "READ"),
                scope("ZohoCRM.settings.layouts", None, "READ"),
            ],
            Self::Token
            | Self::TokenAlias
            | Self::Revoke
            | Self::ServerInfo
            | Self::NotSimulated
            | Self::OtherVersion
            | Self::WrongMethod
            | Self::Unknown => Vec::new(),
        }
    }
}
