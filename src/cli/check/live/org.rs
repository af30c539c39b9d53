//! Checks of the org: prices, edition, modules and territories.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::cli::finding::{Finding, Severity};
use crate::cli::text::count_of;
use crate::plan::{CallKind, CreditPrices};
use crate::update::ModuleName;
use crate::zoho::Client;
use crate::zoho::Connection;
use crate::zoho::limits::Edition;
use crate::zoho::metadata::{Freshness, Operation};

/// Zoho's name of mass updates in its list of APIs.
const MASS_UPDATE_API: Option<&str> = Some("mass_update");

/// Checks the price of mass updates, and that Zoho offers them for the modules.
pub(super) async fn check_prices(
    client: &Client,
    modules: &BTreeSet<ModuleName>,
    deadline: Timestamp,
) -> Finding {
    let apis = client
        .apis(MASS_UPDATE_API, Freshness::Cached, deadline)
        .await;
    let outcome = apis.map(|apis| {
        let is_offered = |module: &&ModuleName| {
            let path = client
                .api_version()
                .path(&CallKind::Immediate.endpoint(module));
            apis.iter().any(|api| api.path == path)
        };
        let missing: Vec<&str> = modules
            .iter()
            .filter(|module| !is_offered(module))
            .map(ModuleName::as_str)
            .collect();
        if apis.is_empty() {
            let message = "Zoho lists no mass update for this user".to_owned();
            return (Severity::Bad, message);
        }
        if !missing.is_empty() {
            let message = format!("Zoho lists no mass update for {}", missing.join(", "));
            return (Severity::Bad, message);
        }
        // One entry for each price. Usually all modules share one.
        let mut prices: BTreeMap<String, usize> = BTreeMap::new();
        for api in apis.iter() {
            let operations: Vec<String> = api.operations.iter().map(price_text).collect();
            *prices.entry(operations.join(", ")).or_default() += 1;
        }
        let prices: Vec<String> = prices
            .into_iter()
            .map(|(price, count)| format!("{}: {price}", count_of(count, "module")))
            .collect();
        (Severity::Ok, prices.join("; "))
    });
    Finding::from_call("mass update", outcome)
}

fn price_text(operation: &Operation) -> String {
    let credits = match (operation.min_credits, operation.max_credits) {
        (Some(min), Some(max)) if min != max => format!("{min} to {max} credits"),
        (Some(credits), _) | (None, Some(credits)) => count_of(credits, "credit"),
        (None, None) => "unknown credits".to_owned(),
    };
    format!("{} {credits}", operation.method)
}

/// The org's prices for calls of a module, as far as Zoho reports them.
pub(super) async fn credit_prices(
    client: &Client,
    module: &ModuleName,
    deadline: Timestamp,
) -> CreditPrices {
    // `check_prices` has read the list, so this is answered from the cache.
    let apis = client
        .apis(MASS_UPDATE_API, Freshness::Cached, deadline)
        .await;
    let path = client
        .api_version()
        .path(&CallKind::Immediate.endpoint(module));
    let post = apis.iter().flat_map(|apis| apis.iter());
    let mut post = post
        .filter(|api| api.path == path)
        .flat_map(|api| &api.operations)
        .filter(|operation| operation.method == "POST");
    let fixed_price = |operation: &Operation| match (operation.min_credits, operation.max_credits) {
        (Some(min), Some(max)) if min != max => None,
        (min, max) => min.or(max),
    };
    CreditPrices {
        mass_update: post.next().and_then(fixed_price),
    }
}

/// Checks the edition's limits. Also returns whether the edition offers custom views, if known.
pub(super) async fn check_edition(
    client: &Client,
    connection: &Connection,
    deadline: Timestamp,
) -> (Finding, Option<bool>) {
    let org = client.org(Freshness::Cached, deadline).await;
    let mut views_available = None;
    let outcome = org.map(|org| {
        let name = org.edition.clone().unwrap_or_default();
        let Some(edition) = Edition::of_org(&name) else {
            return (Severity::Note, format!("edition `{name}` is unknown"));
        };
        views_available = Some(edition.has_views());
        let (limit, configured) = (edition.max_concurrency(), connection.max_concurrency);
        let views = match edition.has_views() {
            true => "views",
            false => "no views",
        };
        let message =
            format!("{edition}: {views}, {limit} concurrent calls; the config uses {configured}");
        match configured > limit {
            true => (Severity::Bad, message),
            false => (Severity::Ok, message),
        }
    });
    (Finding::from_call("edition", outcome), views_available)
}

/// Checks that the org has the modules and that the API serves them.
pub(super) async fn check_modules(
    client: &Client,
    modules: &BTreeSet<ModuleName>,
    deadline: Timestamp,
) -> Finding {
    let known = client.modules(Freshness::Cached, deadline).await;
    let outcome = known.map(|known| {
        let served: BTreeSet<&ModuleName> = known
            .iter()
            .filter(|module| module.api_supported)
            .map(|module| &module.name)
            .collect();
        let missing = modules.iter().filter(|module| !served.contains(module));
        let missing: Vec<&str> = missing.map(ModuleName::as_str).collect();
        match missing.is_empty() {
            true => (Severity::Ok, format!("{} served by the API", served.len())),
            false => {
                let missing = missing.join(", ");
                let message = format!("the org has no {missing}, or the API does not serve it");
                (Severity::Bad, message)
            }
        }
    });
    Finding::from_call("modules", outcome)
}

/// Checks that territories can be read.
pub(super) async fn check_territories(client: &Client, deadline: Timestamp) -> Finding {
    let territories = client.territories(Freshness::Cached, deadline).await;
    let outcome = territories.map(|found| (Severity::Ok, found.len().to_string()));
    Finding::from_call("territories", outcome)
}
