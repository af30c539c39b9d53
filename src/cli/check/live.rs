//! Asks Zoho about a connection and about the update requests of its examples. All calls are read-only.

mod org;
mod rehearsal;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use self::org::{check_edition, check_modules, check_prices, check_territories};
use self::rehearsal::rehearse_example;
use super::examples::ExampleResult;
use crate::cli::finding::{Finding, Severity};
use crate::cli::scopes::check_scopes;
use crate::cli::zoho_client::zoho_client;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, ScopedFeature};
use crate::plan::CallKind;
use crate::plan::RECORDS_PER_CREDIT;
use crate::update::{ModuleName, UpdateMethod, UpdateRequest};
use crate::zoho::{self, CLOCK_TOLERANCE, Client, TokenStatus};

/// Time limit for the checks of one connection.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The smallest clock tolerance among inbound and outgoing signatures.
const SIGNATURE_TOLERANCE: SignedDuration = SignedDuration::from_secs(300);

/// An update request of an example that goes through the connection.
struct ExampleUpdate<'a> {
    /// The route, or the file if no route made the request.
    source: &'a str,
    update: &'a UpdateRequest,
}

/// Checks everything that a connection needs.
pub(super) async fn check_connection(
    config: &Config,
    name: &str,
    examples: &[ExampleResult],
) -> Vec<Finding> {
    let connection = &config.connections[name];
    let client = zoho_client(name, connection);
    let deadline = SystemClock.now().saturating_add(TIMEOUT);
    let deadline = deadline.unwrap_or_default();
    let status = match client.token_status().await {
        Ok(status) => status,
        Err(failed) => return vec![Finding::from_call("token", Err(failed))],
    };
    let message = format!("fresh, for {}", status.api);
    let mut findings = vec![Finding::new("token", Severity::Ok, message)];
    findings.extend(check_clock(&status));

    let updates = updates_through(config, name, examples);
    let requests = || updates.iter().map(|example| example.update);
    let modules: BTreeSet<ModuleName> = requests().map(|update| update.module.clone()).collect();
    let mut features = config.scoped_features(name);
    features.extend(requests().flat_map(ScopedFeature::of_request));
    let scopes = connection.scopes(&features);
    match &status.scopes {
        Some(granted) => findings.extend(check_scopes(&scopes, granted, &modules)),
        None => findings.push(probe_scopes(&client, &modules, deadline).await),
    }

    let mass_updated =
        requests().filter(|update| update.effective_method() != UpdateMethod::Records);
    let mass_updated = mass_updated.map(|update| update.module.clone()).collect();
    findings.push(check_prices(&client, &mass_updated, deadline).await);
    if features.contains(&ScopedFeature::Records) {
        let message = format!(
            "PUT 1 credit for {RECORDS_PER_CREDIT} records, according to Zoho's documentation"
        );
        findings.push(Finding::new("record updates", Severity::Ok, message));
    }
    let (edition, views_available) = check_edition(&client, connection, deadline).await;
    findings.push(edition);
    findings.push(check_modules(&client, &modules, deadline).await);
    findings.push(check_territories(&client, deadline).await);
    for ExampleUpdate { source, update } in &updates {
        let finding = rehearse_example(&client, source, update, views_available, deadline).await;
        findings.push(finding);
    }
    findings.extend(routes_without_example(config, name, &updates));
    findings
}

/// The update requests of the examples that go through a connection. A request without a route uses the default
/// connection.
fn updates_through<'a>(
    config: &Config,
    connection: &str,
    examples: &'a [ExampleResult],
) -> Vec<ExampleUpdate<'a>> {
    let connection_of = |route: Option<&str>| match route {
        Some(route) => {
            let route = config.routes.get(route);
            route.map(|route| route.connection.as_str())
        }
        None => config.default_connection(),
    };
    let updates = examples.iter().flat_map(|example| {
        let updates = example.updates.iter();
        updates.map(move |(route, update)| (example, route.as_deref(), update))
    });
    updates
        .filter(|(_, route, _)| connection_of(*route) == Some(connection))
        .map(|(example, route, update)| ExampleUpdate {
            source: route.unwrap_or(&example.name),
            update,
        })
        .collect()
}

/// Compares this machine's clock with Zoho's. A wrong clock does not affect tokens, whose expiry comes from Zoho's responses,
/// but it does affect signatures.
fn check_clock(status: &TokenStatus) -> Option<Finding> {
    let offset = status.clock_ahead.abs();
    if offset <= CLOCK_TOLERANCE {
        return None;
    }
    let direction = match status.clock_ahead.is_positive() {
        true => "ahead of",
        false => "behind",
    };
    let severity = match offset < SIGNATURE_TOLERANCE {
        true => Severity::Note,
        false => Severity::Bad,
    };
    let message = format!(
        "this machine's clock is {} s {direction} Zoho's: set it, or signatures of deliveries and callbacks are refused",
        offset.as_secs()
    );
    Some(Finding::new("clock", severity, message))
}

/// Tests the read scope if Zoho does not report the granted scopes. Write scopes cannot be tested without writing.
async fn probe_scopes(
    client: &Client,
    modules: &BTreeSet<ModuleName>,
    deadline: Timestamp,
) -> Finding {
    let leads = || "Leads".parse().ok();
    let Some(module) = modules.first().cloned().or_else(leads) else {
        return Finding::new("scopes", Severity::Note, String::new());
    };
    // No job has this id. With the scope, Zoho's answer is that it does not exist.
    let kind = CallKind::Scheduled;
    match client
        .job_status(&module, kind, "1", deadline)
        .await
        .outcome
    {
        Err(failed) if failed.lacks_scope() => {
            let message =
                "missing: ZohoCRM.mass_update.READ; Zoho does not report the granted scopes";
            Finding::new("scopes", Severity::Bad, message.to_owned())
        }
        Ok(_) | Err(zoho::Error::Refused(_)) => {
            let message = "Zoho does not report the granted scopes: ZohoCRM.mass_update.READ works, ZohoCRM.mass_update.UPDATE can only be tested by an update";
            Finding::new("scopes", Severity::Note, message.to_owned())
        }
        Err(failed) => Finding::from_call("scopes", Err(failed)),
    }
}

/// Routes without an update request in the examples. Their fields and views remain unchecked.
fn routes_without_example(
    config: &Config,
    connection: &str,
    updates: &[ExampleUpdate<'_>],
) -> Option<Finding> {
    let routes = config.routes.iter();
    let own = routes.filter(|(_, route)| route.connection == connection);
    let has_example = |name: &str| updates.iter().any(|example| example.source == name);
    let without: Vec<&str> = own
        .map(|(name, _)| name.as_str())
        .filter(|name| !has_example(name))
        .collect();
    (!without.is_empty()).then(|| {
        let message = format!(
            "no example has an update request of {}, so its fields and views are not checked: add examples with --event or --examples",
            without.join(", ")
        );
        Finding::new("examples", Severity::Note, message)
    })
}
