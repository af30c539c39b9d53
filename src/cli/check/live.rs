//! What Zoho says to a connection, and to what the examples of its routes would have it do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::super::finding::{Bearing, Finding};
use super::super::scopes::judged;
use super::counted;
use super::examples::Example;
use crate::aws::secrets::SecretsManager;
use crate::clock::{Clock, SystemClock};
use crate::codes::Cause;
use crate::config::{Config, Connection, Use};
use crate::engine::preview_preparation;
use crate::http::{Http, HttpSettings};
use crate::job::{PreparationOutcome, PreparationResult};
use crate::plan::{Limits, Plan, RECORDS_PER_CREDIT, Tariff, Ways, Why, mass_update_path};
use crate::secrets::Secrets;
use crate::update::{
    Assignment, Method, ModuleName, Records, Selector, Territory, UpdateRequest, ViewId,
};
use crate::zoho::limits::Edition;
use crate::zoho::metadata::{Freshness, Operation};
use crate::zoho::{self, CLOCK_OFF, Client, TokenStatus};

/// How long one connection is tried.
const PATIENCE: Duration = Duration::from_secs(60);

/// The smallest window in which senders' signatures and our own are good.
const WINDOW: SignedDuration = SignedDuration::from_secs(300);

/// What Zoho calls mass updates where it lists its APIs.
const MASS_UPDATE: Option<&str> = Some("mass_update");

/// An update request of an example that goes through the connection.
struct Asked<'a> {
    /// The route, or the file.
    by: &'a str,
    update: &'a UpdateRequest,
}

/// Asks Zoho for everything that a connection needs. Nothing is changed.
pub(super) async fn findings(config: &Config, name: &str, examples: &[Example]) -> Vec<Finding> {
    let connection = &config.connections[name];
    let client = client(name, connection);
    let give_up = SystemClock
        .now()
        .saturating_add(PATIENCE)
        .unwrap_or_default();
    let token_status = match client.token_status().await {
        Ok(token_status) => token_status,
        Err(failed) => return vec![Finding::of("token", Err(failed))],
    };
    let fresh = format!("fresh, for {}", token_status.api);
    let mut findings = vec![Finding::new("token", Bearing::Good, fresh)];
    findings.extend(clock(&token_status));
    let asked = asked_of(config, name, examples);
    let modules: BTreeSet<ModuleName> = asked
        .iter()
        .map(|asked| asked.update.module.clone())
        .collect();
    let mut uses = config.uses(name);
    uses.extend(asked.iter().flat_map(|asked| Use::of_request(asked.update)));
    let scopes = connection.scopes(&uses);
    match &token_status.scopes {
        Some(granted) => findings.extend(judged(&scopes, granted, &modules)),
        None => findings.push(unnamed(&client, &modules, give_up).await),
    }
    let mass_updated = asked.iter().map(|asked| asked.update);
    let mass_updated = mass_updated.filter(|update| update.way() != Method::Records);
    let mass_updated = mass_updated.map(|update| update.module.clone()).collect();
    findings.push(prices(&client, &mass_updated, give_up).await);
    if uses.contains(&Use::Records) {
        let price = format!("PUT 1 credit for {RECORDS_PER_CREDIT} records, as Zoho documents");
        findings.push(Finding::new("record updates", Bearing::Good, price));
    }
    let (edition, views) = edition(&client, connection, give_up).await;
    findings.push(edition);
    findings.push(served(&client, &modules, give_up).await);
    let territories = client.territories(Freshness::Cached, give_up).await;
    let territories = territories.map(|found| (Bearing::Good, found.len().to_string()));
    findings.push(Finding::of("territories", territories));
    for Asked { by, update } in &asked {
        findings.push(rehearsed(&client, by, update, views, give_up).await);
    }
    findings.extend(unseen(config, name, &asked));
    findings
}

/// The update requests of the examples that go through a connection. One that no route made goes through the default.
fn asked_of<'a>(config: &Config, connection: &str, examples: &'a [Example]) -> Vec<Asked<'a>> {
    let all = examples.iter().flat_map(|example| {
        let updates = example.updates.iter();
        updates.map(move |(route, update)| (example, route.as_deref(), update))
    });
    let own = all.filter(|(_, route, _)| {
        let through = match route {
            Some(route) => config
                .routes
                .get(*route)
                .map(|route| route.connection.as_str()),
            None => config.default_connection(),
        };
        through == Some(connection)
    });
    own.map(|(example, route, update)| Asked {
        by: route.unwrap_or(&example.name),
        update,
    })
    .collect()
}

/// What a wrong clock breaks is not Zoho's: the ends of tokens are learnt from its answers.
fn clock(token_status: &TokenStatus) -> Option<Finding> {
    let off = token_status.ahead.abs();
    if off <= CLOCK_OFF {
        return None;
    }
    let which = if token_status.ahead.is_positive() {
        "ahead of"
    } else {
        "behind"
    };
    let bearing = match off < WINDOW {
        true => Bearing::Note,
        false => Bearing::Bad,
    };
    let found = format!(
        "this machine's is {} s {which} Zoho's: set it, or signatures of deliveries and callbacks are refused",
        off.as_secs()
    );
    Some(Finding::new("clock", bearing, found))
}

/// Zoho does not name the scopes: what can be read is tried. A scope to write cannot be tried without writing.
async fn unnamed(client: &Client, modules: &BTreeSet<ModuleName>, give_up: Timestamp) -> Finding {
    let leads = || "Leads".parse().ok();
    let Some(module) = modules.first().cloned().or_else(leads) else {
        return Finding::new("scopes", Bearing::Note, String::new());
    };
    // No job has this id: Zoho says so to whoever may ask.
    let asked = client.job_status(&module, "1", give_up).await.outcome;
    match asked {
        Err(failed) if failed.lacks_scope() => {
            let found =
                "missing: ZohoCRM.mass_update.READ; Zoho does not name those that are granted";
            Finding::new("scopes", Bearing::Bad, found.to_owned())
        }
        Err(failed @ (zoho::Error::Denied(_) | zoho::Error::RetryLater(..))) => {
            Finding::of("scopes", Err(failed))
        }
        Ok(_) | Err(zoho::Error::Refused(_)) => {
            let found = "Zoho does not name those that are granted: ZohoCRM.mass_update.READ is, ZohoCRM.mass_update.UPDATE could only be tried by an update";
            Finding::new("scopes", Bearing::Note, found.to_owned())
        }
    }
}

/// What a mass update costs, and whether the modules have it.
async fn prices(client: &Client, modules: &BTreeSet<ModuleName>, give_up: Timestamp) -> Finding {
    let apis = client.apis(MASS_UPDATE, Freshness::Cached, give_up).await;
    let judged = apis.map(|apis| {
        let has = |module: &&ModuleName| {
            let path = mass_update_path(module);
            apis.iter().any(|api| api.path == path)
        };
        let without: Vec<&str> = modules
            .iter()
            .filter(|module| !has(module))
            .map(ModuleName::as_str)
            .collect();
        if apis.is_empty() {
            let found = "Zoho lists no mass update for this user".to_owned();
            return (Bearing::Bad, found);
        }
        if !without.is_empty() {
            let found = format!("Zoho lists none for {}", without.join(", "));
            return (Bearing::Bad, found);
        }
        // One line for each price; nearly always it is one for all modules.
        let mut prices: BTreeMap<String, usize> = BTreeMap::new();
        for api in apis.iter() {
            let operations: Vec<String> = api.operations.iter().map(price).collect();
            *prices.entry(operations.join(", ")).or_default() += 1;
        }
        let prices = prices
            .into_iter()
            .map(|(price, count)| format!("{}: {price}", counted(count, "module")));
        let prices: Vec<String> = prices.collect();
        (Bearing::Good, prices.join("; "))
    });
    Finding::of("mass update", judged)
}

fn price(operation: &Operation) -> String {
    let credits = match (operation.min_credits, operation.max_credits) {
        (Some(least), Some(most)) if least != most => format!("{least} to {most} credits"),
        (Some(credits), _) | (None, Some(credits)) => counted(credits, "credit"),
        (None, None) => "unknown credits".to_owned(),
    };
    format!("{} {credits}", operation.method)
}

/// What the org pays for the calls of a module, as far as Zoho says so.
async fn tariff(client: &Client, module: &ModuleName, give_up: Timestamp) -> Tariff {
    // Read before, for the prices of all modules.
    let apis = client.apis(MASS_UPDATE, Freshness::Cached, give_up).await;
    let path = mass_update_path(module);
    let post = apis.iter().flat_map(|apis| apis.iter());
    let mut post = post
        .filter(|api| api.path == path)
        .flat_map(|api| &api.operations)
        .filter(|operation| operation.method == "POST");
    let fixed = |operation: &Operation| match (operation.min_credits, operation.max_credits) {
        (Some(least), Some(most)) if least != most => None,
        (least, most) => least.or(most),
    };
    Tariff {
        mass_update: post.next().and_then(fixed),
    }
}

/// The org's edition, and whether it updates custom views, if that is known.
async fn edition(
    client: &Client,
    connection: &Connection,
    give_up: Timestamp,
) -> (Finding, Option<bool>) {
    let org = client.org(Freshness::Cached, give_up).await;
    let mut has_views = None;
    let judged = org.map(|org| {
        let named = org.edition.clone().unwrap_or_default();
        let Some(edition) = Edition::of_org(&named) else {
            return (Bearing::Note, format!("`{named}` is not known to masshook"));
        };
        has_views = Some(edition.has_views());
        let (most, ours) = (edition.at_once(), connection.max_concurrency);
        let views = if edition.has_views() {
            "views"
        } else {
            "no views"
        };
        let found = format!("{edition}: {views}, {most} calls at once; the config uses {ours}");
        let bearing = if ours > most {
            Bearing::Bad
        } else {
            Bearing::Good
        };
        (bearing, found)
    });
    (Finding::of("edition", judged), has_views)
}

/// Whether the org has the modules, and APIs serve them.
async fn served(client: &Client, modules: &BTreeSet<ModuleName>, give_up: Timestamp) -> Finding {
    let known = client.modules(Freshness::Cached, give_up).await;
    let judged = known.map(|known| {
        let served: BTreeSet<&ModuleName> = known
            .iter()
            .filter(|module| module.api_supported)
            .map(|module| &module.name)
            .collect();
        let missing = modules.iter().filter(|module| !served.contains(module));
        let missing: Vec<&str> = missing.map(ModuleName::as_str).collect();
        match missing.is_empty() {
            true => (Bearing::Good, format!("{} served by the API", served.len())),
            false => {
                let missing = missing.join(", ");
                let found = format!("the org has no {missing}, or no API serves it");
                (Bearing::Bad, found)
            }
        }
    });
    Finding::of("modules", judged)
}

/// What an update request would be told before anything is sent: its view, its territory, its fields, its records.
async fn rehearsed(
    client: &Client,
    by: &str,
    update: &UpdateRequest,
    has_views: Option<bool>,
    give_up: Timestamp,
) -> Finding {
    let what = format!("route {by}");
    let module = &update.module;
    let PreparationResult {
        outcome,
        notes,
        lookup,
        ..
    } = preview_preparation(client, update, give_up).await;
    let mut planned = update.clone();
    let found = match outcome {
        PreparationOutcome::Ready {
            fields,
            records,
            update_by,
        } => {
            planned.fields = fields.unwrap_or(planned.fields);
            planned.update_by = update_by.unwrap_or(planned.update_by);
            let found = records.map(Selector::Records);
            planned.selector = found.unwrap_or(planned.selector);
            planned.resolved()
        }
        PreparationOutcome::Nothing => None,
        // The values of an example need not be in the org.
        PreparationOutcome::Refused(why)
            if matches!(
                why.cause(),
                Some(Cause::MatchNotFound | Cause::MatchAmbiguous)
            ) =>
        {
            return Finding::new(what, Bearing::Note, format!("{module}: {why}"));
        }
        PreparationOutcome::Refused(why) | PreparationOutcome::Postponed { why, .. } => {
            return Finding::new(what, Bearing::Bad, format!("{module}: {why}"));
        }
    };
    let names: Vec<&str> = planned
        .fields
        .iter()
        .map(|Assignment { field, .. }| field.as_str())
        .collect();
    let mut told = vec![format!("{module}: {}", names.join(", "))];
    if let Some(Records::View { cvid, territory }) = found.map(|found| found.records()) {
        if has_views == Some(false) {
            let found = format!(
                "{module}: the org's edition updates no custom views, only `ids` and `match`"
            );
            return Finding::new(what, Bearing::Bad, found);
        }
        match placed(client, module, *cvid, *territory, give_up).await {
            Ok(found) => told.extend(found),
            Err(why) => return Finding::new(what, Bearing::Bad, format!("{module}: {why}")),
        }
    }
    if let Some(lookup) = lookup {
        told.push(format!(
            "{} of {} by {} in the org",
            lookup.matched,
            counted(lookup.values, "value"),
            lookup.field
        ));
    }
    if let Some(found) = found {
        let ways = Plan::new(found, &Limits::ZOHO).ways();
        let ways = match planned.update_by == update.update_by {
            true => ways,
            // The org's own fields have decided.
            false => Ways {
                mass_update: None,
                why: Why::Fields,
                ..ways
            },
        };
        told.push(ways.at(tariff(client, module, give_up).await).in_a_line());
    }
    told.extend(notes);
    Finding::new(what, Bearing::Good, told.join("; "))
}

/// What a custom view and the territory of its records are called.
///
/// # Errors
/// Why they cannot be named; that one is not there is such a reason.
async fn placed(
    client: &Client,
    module: &ModuleName,
    view: ViewId,
    territory: Option<Territory>,
    give_up: Timestamp,
) -> Result<Vec<String>, String> {
    let views = client
        .custom_views(module, Freshness::Cached, give_up)
        .await;
    let named = views.map(|views| {
        let known = views.iter().find(|known| known.id == view);
        known.map(|known| known.name.clone())
    });
    let mut found = vec![exists(named, &format!("custom view {view}"))?];
    if let Some(territory) = territory {
        let all = client.territories(Freshness::Cached, give_up).await;
        let named = all.map(|all| {
            let known = all.iter().find(|known| known.id == territory.id);
            known.map(|known| known.name.clone())
        });
        found.push(exists(named, &format!("territory {}", territory.id))?);
    }
    Ok(found)
}

/// Whether something that was given by its id is there. A missing scope to look is no reason to refuse it.
fn exists(named: Result<Option<String>, zoho::Error>, what: &str) -> Result<String, String> {
    match named {
        Ok(Some(name)) => Ok(format!("{what} is `{name}`")),
        Ok(None) => Err(format!("there is no {what} that the token's user sees")),
        Err(failed) if failed.lacks_scope() => {
            Ok(format!("{what} was not looked up, for want of the scope"))
        }
        Err(
            zoho::Error::RetryLater(why, _) | zoho::Error::Refused(why) | zoho::Error::Denied(why),
        ) => Err(why.to_string()),
    }
}

/// Routes of which nothing is known but that they compile.
fn unseen(config: &Config, connection: &str, asked: &[Asked<'_>]) -> Option<Finding> {
    let routes = config.routes.iter();
    let own = routes.filter(|(_, route)| route.connection == connection);
    let without = own.filter(|(name, _)| !asked.iter().any(|asked| asked.by == name.as_str()));
    let without: Vec<&str> = without.map(|(name, _)| name.as_str()).collect();
    (!without.is_empty()).then(|| {
        let found = format!(
            "no update request of {} was seen, so its fields and views are not checked: show events with --event or --examples",
            without.join(", ")
        );
        Finding::new("examples", Bearing::Note, found)
    })
}

/// A client of a connection, by itself.
pub(in crate::cli) fn client(name: &str, connection: &Connection) -> Client {
    let clock = Arc::new(SystemClock);
    let secrets = Secrets::new(clock.clone(), Arc::new(SecretsManager::new()));
    let hosts = [&connection.accounts_url, &connection.api_url]
        .into_iter()
        .flatten();
    let http = Http::new(HttpSettings {
        trusted_hosts: hosts
            .filter_map(|url| url.host_str().map(str::to_owned))
            .collect(),
        ..HttpSettings::default()
    });
    Client::new(
        name.to_owned(),
        connection.clone(),
        http,
        Arc::new(secrets),
        clock,
    )
}
