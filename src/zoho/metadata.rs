//! An org's metadata: fields, modules, custom views, territories, prices of APIs. Each list is read when it is first
//! needed and cached for ten minutes. Concurrent readers share one request.

mod cache;
mod types;
mod wire;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::transport::ApiRequest;
use super::{Client, Error, answer};
use crate::codes::Cause;
use crate::metrics::RequestKind;
use crate::outcome::Refusal;
use crate::sync;
use crate::update::ModuleName;
use cache::Cache;
pub use types::{
    Api, CustomView, Field, FieldKind, Module, Operation, Org, PicklistOption, Territory,
    Uniqueness, User,
};

/// How long a list stays in the cache.
const CACHE_LIFETIME: Duration = Duration::from_secs(600);

/// Pages of one list that are read: 20,000 custom views, 200,000 territories.
const PAGES: usize = 100;

/// How old the metadata may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Cached metadata is sufficient.
    Cached,
    /// Metadata that is read now: the wanted entry may have been created just before.
    Fresh,
}

/// The cached metadata of a connection.
#[derive(Debug, Default)]
pub(super) struct MetadataCache {
    fields: Cache<ModuleName, [Field]>,
    modules: Cache<(), [Module]>,
    custom_views: Cache<ModuleName, [CustomView]>,
    territories: Cache<(), [Territory]>,
    users: Cache<(), [User]>,
    apis: Cache<Option<String>, [Api]>,
    org: Cache<(), Org>,
    /// Missing scopes that a warning was logged for.
    reported_scopes: Mutex<BTreeSet<&'static str>>,
}

/// A list that Zoho's API serves.
#[derive(Clone, Copy, Debug)]
struct ListEndpoint {
    /// The rest of the path after the API's version.
    endpoint: &'static str,
    /// The key of the list in the answer.
    key: &'static str,
    /// The scope that it needs.
    scope: &'static str,
    /// What does not work without it.
    without: &'static str,
    /// Entries per page, if the list has pages.
    per_page: Option<usize>,
}

const FIELDS: ListEndpoint = ListEndpoint {
    endpoint: "settings/fields",
    key: "fields",
    scope: "ZohoCRM.settings.fields.READ",
    without: "updates are sent without being checked against the org's fields",
    per_page: None,
};

const MODULES: ListEndpoint = ListEndpoint {
    endpoint: "settings/modules",
    key: "modules",
    scope: "ZohoCRM.settings.modules.READ",
    without: "the org's modules cannot be listed",
    per_page: None,
};

const CUSTOM_VIEWS: ListEndpoint = ListEndpoint {
    endpoint: "settings/custom_views",
    key: "custom_views",
    scope: "ZohoCRM.settings.custom_views.READ",
    without: "custom views cannot be found by name",
    per_page: Some(200),
};

const TERRITORIES: ListEndpoint = ListEndpoint {
    endpoint: "settings/territories",
    key: "territories",
    scope: "ZohoCRM.settings.territories.READ",
    without: "territories cannot be found by name",
    per_page: Some(2_000),
};

const USERS: ListEndpoint = ListEndpoint {
    endpoint: "users",
    key: "users",
    scope: "ZohoCRM.users.READ",
    without: "owners cannot be found by e-mail address",
    per_page: Some(200),
};

const APIS: ListEndpoint = ListEndpoint {
    endpoint: "__apis",
    key: "__apis",
    scope: "ZohoCRM.apis.READ",
    without: "the price of calls is not known",
    per_page: None,
};

const ORG: ListEndpoint = ListEndpoint {
    endpoint: "org",
    key: "org",
    scope: "ZohoCRM.org.READ",
    without: "the org's edition is not known",
    per_page: None,
};

impl ListEndpoint {
    /// The endpoint with the query of one page.
    fn page_endpoint(&self, query: &[(&str, &str)], page: usize) -> String {
        let mut encoded = form_urlencoded::Serializer::new(String::new());
        encoded.extend_pairs(query);
        if let Some(per_page) = self.per_page {
            encoded.append_pair("page", &page.to_string());
            encoded.append_pair("per_page", &per_page.to_string());
        }
        let encoded = encoded.finish();
        let mark = if encoded.is_empty() { "" } else { "?" };
        format!("{}{mark}{encoded}", self.endpoint)
    }
}

impl Client {
    /// Reads the fields of a module; none if Zoho has no such list.
    ///
    /// # Errors
    /// The list cannot be read; see [`Error::lacks_scope`].
    pub async fn fields(
        &self,
        module: &ModuleName,
        freshness: Freshness,
        give_up: Timestamp,
    ) -> Result<Arc<[Field]>, Error> {
        let query = [("module", module.as_str())];
        let read = || self.read_list(&FIELDS, &query, give_up, wire::field);
        self.metadata
            .fields
            .get(module, freshness, give_up, &*self.clock, read)
            .await
    }

    /// The number of times that the fields of a module were read. It changes when [`Client::fields`] reads them.
    pub fn field_reads(&self, module: &ModuleName) -> u64 {
        self.metadata.fields.reads(module)
    }

    /// Reads the modules of the org.
    ///
    /// # Errors
    /// The list cannot be read; see [`Error::lacks_scope`].
    pub async fn modules(
        &self,
        freshness: Freshness,
        give_up: Timestamp,
    ) -> Result<Arc<[Module]>, Error> {
        let read = || self.read_list(&MODULES, &[], give_up, wire::module);
        self.metadata
            .modules
            .get(&(), freshness, give_up, &*self.clock, read)
            .await
    }

    /// Reads all custom views of a module that the token's user sees.
    ///
    /// # Errors
    /// The list cannot be read; see [`Error::lacks_scope`].
    pub async fn custom_views(
        &self,
        module: &ModuleName,
        freshness: Freshness,
        give_up: Timestamp,
    ) -> Result<Arc<[CustomView]>, Error> {
        let query = [("module", module.as_str())];
        let read = || self.read_list(&CUSTOM_VIEWS, &query, give_up, wire::custom_view);
        self.metadata
            .custom_views
            .get(module, freshness, give_up, &*self.clock, read)
            .await
    }

    /// Reads all territories of the org.
    ///
    /// # Errors
    /// The list cannot be read; see [`Error::lacks_scope`].
    pub async fn territories(
        &self,
        freshness: Freshness,
        give_up: Timestamp,
    ) -> Result<Arc<[Territory]>, Error> {
        let read = || self.read_list(&TERRITORIES, &[], give_up, wire::territory);
        self.metadata
            .territories
            .get(&(), freshness, give_up, &*self.clock, read)
            .await
    }

    /// Reads all users of the org, active or not.
    ///
    /// # Errors
    /// The list cannot be read; see [`Error::lacks_scope`].
    pub async fn users(
        &self,
        freshness: Freshness,
        give_up: Timestamp,
    ) -> Result<Arc<[User]>, Error> {
        let query = [("type", "AllUsers")];
        let read = || self.read_list(&USERS, &query, give_up, wire::user);
        self.metadata
            .users
            .get(&(), freshness, give_up, &*self.clock, read)
            .await
    }

    /// Reads the APIs of the org with their scopes and prices; with a service, such as `mass_update`, those of its scope.
    ///
    /// # Errors
    /// The list cannot be read; see [`Error::lacks_scope`].
    pub async fn apis(
        &self,
        service: Option<&str>,
        freshness: Freshness,
        give_up: Timestamp,
    ) -> Result<Arc<[Api]>, Error> {
        let filter = service.map(|service| {
            json!({
                "field": {"api_name": "operation_types.oauth_scope"},
                "comparator": "equals",
                "value": service,
            })
            .to_string()
        });
        let query: Vec<(&str, &str)> = filter.iter().map(|text| ("filters", &**text)).collect();
        let read = || self.read_list(&APIS, &query, give_up, wire::api);
        let service = service.map(str::to_owned);
        self.metadata
            .apis
            .get(&service, freshness, give_up, &*self.clock, read)
            .await
    }

    /// Reads the org itself.
    ///
    /// # Errors
    /// The list cannot be read; see [`Error::lacks_scope`].
    pub async fn org(&self, freshness: Freshness, give_up: Timestamp) -> Result<Arc<Org>, Error> {
        let read = async || {
            let orgs = self.read_list(&ORG, &[], give_up, wire::org).await?;
            Ok(Arc::new(orgs.first().cloned().unwrap_or_default()))
        };
        self.metadata
            .org
            .get(&(), freshness, give_up, &*self.clock, read)
            .await
    }

    /// Reads all pages of a list.
    async fn read_list<T>(
        &self,
        listing: &ListEndpoint,
        query: &[(&str, &str)],
        give_up: Timestamp,
        read: fn(&Value) -> Option<T>,
    ) -> Result<Arc<[T]>, Error> {
        let mut found = Vec::new();
        for page in 1..=PAGES {
            let answer = self.page(listing, query, page, give_up).await;
            let answer = answer.map_err(|error| self.explain(listing, error))?;
            let entries = answer[listing.key].as_array().map_or(&[][..], |list| list);
            found.extend(entries.iter().filter_map(read));
            let more = answer["info"]["more_records"] == true && !entries.is_empty();
            if listing.per_page.is_none() || !more {
                return Ok(found.into());
            }
        }
        let message = format!("{} has more than {PAGES} pages", listing.endpoint);
        Err(Error::Refused(Refusal::with(Cause::ListTooLong, message)))
    }

    async fn page(
        &self,
        listing: &ListEndpoint,
        query: &[(&str, &str)],
        page: usize,
        give_up: Timestamp,
    ) -> Result<Value, Error> {
        let endpoint = listing.page_endpoint(query, page);
        let judge = |raw: &answer::RawAnswer<'_>| answer::document(raw, listing.key);
        let request = ApiRequest::get(RequestKind::Metadata, &endpoint, give_up);
        self.call(&request, judge).await.outcome
    }

    /// Adds advice to the error of a list. A missing scope is logged once, with the feature that does not work without it.
    fn explain(&self, listing: &ListEndpoint, error: Error) -> Error {
        if !error.lacks_scope() {
            return error;
        }
        let ListEndpoint { scope, without, .. } = listing;
        let mut reported = sync::lock(&self.metadata.reported_scopes);
        if reported.insert(scope) {
            tracing::warn!(
                connection = self.name,
                scope,
                "the token lacks the scope {scope}, and {without}"
            );
        }
        error.with_advice(&format!(
            "make a new refresh token that has the scope {scope} too: without it {without}"
        ))
    }
}
