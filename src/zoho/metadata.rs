//! What an org tells of itself: fields, modules, custom views, territories, what its APIs cost. Each is read when it is
//! first needed and kept for a while; however many ask at once, one request goes out.

mod cache;
mod wire;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Client, Error, answer};
use crate::codes::Cause;
use crate::outcome::Refusal;
use crate::update::{FieldName, ModuleName, TerritoryId, ViewId};
use cache::Cache;

/// How long what was read is good for.
const KEPT_FOR: Duration = Duration::from_secs(600);

/// Pages of one list that are read: 20,000 custom views, 200,000 territories.
const PAGES: usize = 100;

/// Which reading will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// One that is kept.
    Cached,
    /// One that ends after it was asked for: for what may just have been made.
    Fresh,
}

/// How the value of a field travels, and what it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldKind {
    /// A text.
    Text,
    /// One option of a list.
    Picklist,
    /// Some options of a list.
    MultiSelect,
    /// A whole number.
    Integer,
    /// A whole number that travels as a string of digits.
    BigInteger,
    /// A number.
    Decimal,
    /// `true` or `false`.
    Boolean,
    /// A day.
    Date,
    /// A moment.
    DateTime,
    /// Another record, a user, a layout: an object with an `id`.
    Object,
    /// Line items, subforms, files: a list of objects.
    List,
    /// A type that masshook does not know.
    Other,
}

/// One field of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its API name.
    pub name: FieldName,
    /// What the CRM's screens call it.
    pub label: String,
    /// Zoho's `data_type`.
    pub data_type: String,
    /// How its value travels.
    pub kind: FieldKind,
    /// Characters, or digits, that a value may have.
    pub length: Option<u64>,
    /// Decimal places that a value may have.
    pub decimal_place: Option<u64>,
    /// Whether a mass update may set it.
    pub mass_update: bool,
    /// Whether the token's user sees it.
    pub visible: bool,
    /// Whether it cannot be changed: by the token's user, through the API, or at all.
    pub read_only: bool,
    /// Whether it must have a value.
    pub mandatory: bool,
    /// The options of a picklist, in their order.
    pub options: Vec<PicklistOption>,
}

/// One option of a picklist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PicklistOption {
    /// What the CRM's screens show.
    pub display: String,
    /// What Zoho stores and expects.
    pub actual: String,
    /// Whether it is offered, rather than put aside.
    pub used: bool,
}

/// A module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its API name.
    pub name: ModuleName,
    /// What the CRM's screens call it.
    pub label: String,
    /// Whether APIs serve it.
    pub api_supported: bool,
    /// Whether the org made it.
    pub custom: bool,
}

/// A custom view of a module. Neither its names nor its `system_name` need be unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomView {
    /// Its id, the `cvid` of a mass update.
    pub id: ViewId,
    /// Its name.
    pub name: String,
    /// Its name as the token's user reads it.
    pub display: String,
    /// Zoho's name of a view that no user made.
    pub system_name: Option<String>,
    /// `public_views`, `other_users_views`, `shared_with_me` or `created_by_me`.
    pub category: Option<String>,
}

/// A territory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Territory {
    /// Its id.
    pub id: TerritoryId,
    /// Its name.
    pub name: String,
    /// The territory above it; the root has none.
    pub reports_to: Option<TerritoryId>,
}

/// One API of the org.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// Its path: `/crm/v7/Leads/actions/mass_update`.
    pub path: String,
    /// What can be done there.
    pub operations: Vec<Operation>,
}

/// A method of an API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The HTTP method.
    pub method: String,
    /// The scope that it needs.
    pub oauth_scope: String,
    /// The least that a call costs, in API credits.
    pub min_credits: Option<u64>,
    /// The most that a call costs, in API credits.
    pub max_credits: Option<u64>,
}

/// The org.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Org {
    /// The company's name.
    pub company: String,
    /// The edition that is paid for, as Zoho names it: `enterprise`.
    pub edition: Option<String>,
    /// The org's time zone: `Asia/Kolkata`.
    pub time_zone: Option<String>,
}

/// What is kept of a connection's metadata.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    fields: Cache<ModuleName, [Field]>,
    modules: Cache<(), [Module]>,
    custom_views: Cache<ModuleName, [CustomView]>,
    territories: Cache<(), [Territory]>,
    apis: Cache<Option<String>, [Api]>,
    org: Cache<(), Org>,
    /// Scopes whose lack was said.
    said: Mutex<BTreeSet<&'static str>>,
}

/// A list that Zoho keeps.
#[derive(Clone, Copy, Debug)]
struct Listing {
    path: &'static str,
    /// The key of the answer under which it stands.
    key: &'static str,
    /// The scope that it takes.
    scope: &'static str,
    /// What does not work without it.
    without: &'static str,
    /// Entries on a page, if it comes in pages.
    per_page: Option<usize>,
}

const FIELDS: Listing = Listing {
    path: "/crm/v7/settings/fields",
    key: "fields",
    scope: "ZohoCRM.settings.fields.READ",
    without: "updates are sent without being checked against the org's fields",
    per_page: None,
};

const MODULES: Listing = Listing {
    path: "/crm/v7/settings/modules",
    key: "modules",
    scope: "ZohoCRM.settings.modules.READ",
    without: "the org's modules cannot be listed",
    per_page: None,
};

const CUSTOM_VIEWS: Listing = Listing {
    path: "/crm/v7/settings/custom_views",
    key: "custom_views",
    scope: "ZohoCRM.settings.custom_views.READ",
    without: "custom views cannot be found by name",
    per_page: Some(200),
};

const TERRITORIES: Listing = Listing {
    path: "/crm/v7/settings/territories",
    key: "territories",
    scope: "ZohoCRM.settings.territories.READ",
    without: "territories cannot be found by name",
    per_page: Some(2_000),
};

const APIS: Listing = Listing {
    path: "/crm/v7/__apis",
    key: "__apis",
    scope: "ZohoCRM.apis.READ",
    without: "the price of calls is not known",
    per_page: None,
};

const ORG: Listing = Listing {
    path: "/crm/v7/org",
    key: "org",
    scope: "ZohoCRM.org.READ",
    without: "the org's edition is not known",
    per_page: None,
};

impl Listing {
    /// The path of one of its pages.
    fn page_path(&self, query: &[(&str, &str)], page: usize) -> String {
        let mut encoded = form_urlencoded::Serializer::new(String::new());
        encoded.extend_pairs(query);
        if let Some(per_page) = self.per_page {
            encoded.append_pair("page", &page.to_string());
            encoded.append_pair("per_page", &per_page.to_string());
        }
        let encoded = encoded.finish();
        let mark = if encoded.is_empty() { "" } else { "?" };
        format!("{}{mark}{encoded}", self.path)
    }
}

impl Client {
    /// The fields of a module; none if Zoho says nothing of them.
    ///
    /// # Errors
    /// [`Error`]; see [`Error::lacks_scope`].
    pub async fn fields(
        &self,
        module: &ModuleName,
        reading: Freshness,
        give_up: Timestamp,
    ) -> Result<Arc<[Field]>, Error> {
        let query = [("module", module.as_str())];
        let read = self.listed(&FIELDS, &query, give_up, wire::field);
        self.metadata
            .fields
            .get(module, reading, give_up, &*self.clock, read)
            .await
    }

    /// How often the fields of a module were read: it tells a reading that was kept from one that was just made.
    pub fn field_reads(&self, module: &ModuleName) -> u64 {
        self.metadata.fields.readings(module)
    }

    /// The modules of the org.
    ///
    /// # Errors
    /// [`Error`]; see [`Error::lacks_scope`].
    pub async fn modules(
        &self,
        reading: Freshness,
        give_up: Timestamp,
    ) -> Result<Arc<[Module]>, Error> {
        let read = self.listed(&MODULES, &[], give_up, wire::module);
        self.metadata
            .modules
            .get(&(), reading, give_up, &*self.clock, read)
            .await
    }

    /// The custom views of a module, all pages of them, as the token's user sees them.
    ///
    /// # Errors
    /// [`Error`]; see [`Error::lacks_scope`].
    pub async fn custom_views(
        &self,
        module: &ModuleName,
        reading: Freshness,
        give_up: Timestamp,
    ) -> Result<Arc<[CustomView]>, Error> {
        let query = [("module", module.as_str())];
        let read = self.listed(&CUSTOM_VIEWS, &query, give_up, wire::custom_view);
        self.metadata
            .custom_views
            .get(module, reading, give_up, &*self.clock, read)
            .await
    }

    /// The territories of the org, all pages of them; none if it has none.
    ///
    /// # Errors
    /// [`Error`]; see [`Error::lacks_scope`].
    pub async fn territories(
        &self,
        reading: Freshness,
        give_up: Timestamp,
    ) -> Result<Arc<[Territory]>, Error> {
        let read = self.listed(&TERRITORIES, &[], give_up, wire::territory);
        self.metadata
            .territories
            .get(&(), reading, give_up, &*self.clock, read)
            .await
    }

    /// The APIs of the org with their scopes and prices; with a service, such as `mass_update`, those of its scope.
    ///
    /// # Errors
    /// [`Error`]; see [`Error::lacks_scope`].
    pub async fn apis(
        &self,
        service: Option<&str>,
        reading: Freshness,
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
        let read = self.listed(&APIS, &query, give_up, wire::api);
        let service = service.map(str::to_owned);
        self.metadata
            .apis
            .get(&service, reading, give_up, &*self.clock, read)
            .await
    }

    /// The org itself.
    ///
    /// # Errors
    /// [`Error`]; see [`Error::lacks_scope`].
    pub async fn org(&self, reading: Freshness, give_up: Timestamp) -> Result<Arc<Org>, Error> {
        let read = async {
            let orgs = self.listed(&ORG, &[], give_up, wire::org).await?;
            Ok(Arc::new(orgs.first().cloned().unwrap_or_default()))
        };
        self.metadata
            .org
            .get(&(), reading, give_up, &*self.clock, read)
            .await
    }

    /// Everything on a list.
    async fn listed<T>(
        &self,
        listing: &Listing,
        query: &[(&str, &str)],
        give_up: Timestamp,
        read: fn(&Value) -> Option<T>,
    ) -> Result<Arc<[T]>, Error> {
        let mut found = Vec::new();
        for page in 1..=PAGES {
            let answer = self.page(listing, query, page, give_up).await;
            let answer = answer.map_err(|failed| self.without(listing, failed))?;
            let entries = answer[listing.key].as_array().map_or(&[][..], |list| list);
            found.extend(entries.iter().filter_map(read));
            let more = answer["info"]["more_records"] == true && !entries.is_empty();
            if listing.per_page.is_none() || !more {
                return Ok(found.into());
            }
        }
        let message = format!("{} has more than {PAGES} pages", listing.path);
        Err(Error::Refused(Refusal::with(Cause::ListTooLong, message)))
    }

    async fn page(
        &self,
        listing: &Listing,
        query: &[(&str, &str)],
        page: usize,
        give_up: Timestamp,
    ) -> Result<Value, Error> {
        let path = listing.page_path(query, page);
        let judge = |raw: &answer::RawAnswer<'_>| answer::found(raw, listing.key);
        self.call(Method::GET, &path, Bytes::new(), give_up, judge)
            .await
            .outcome
    }

    /// Why there is no such list. That a scope is missing is said once, with what does not work without it.
    fn without(&self, listing: &Listing, failed: Error) -> Error {
        if !failed.lacks_scope() {
            return failed;
        }
        let Listing { scope, without, .. } = listing;
        let mut said = self
            .metadata
            .said
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if said.insert(scope) {
            tracing::warn!(
                connection = self.name,
                scope,
                "the token lacks the scope {scope}, and {without}"
            );
        }
        failed.advising(&format!(
            "make a new refresh token that has the scope {scope} too: without it {without}"
        ))
    }
}
