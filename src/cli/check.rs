//! `masshook check`: the config as it stands, and with `--live` what Zoho says to its connections.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::finding::{Bearing, Finding};
use super::{Verdict, say};
use crate::aws::secrets::SecretsManager;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Connection};
use crate::http::{Http, HttpSettings};
use crate::secrets::Secrets;
use crate::zoho::Client;
use crate::zoho::limits::Edition;
use crate::zoho::metadata::Reading;

/// How long one connection is tried.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the command. A config that could be loaded is right in itself.
pub(super) async fn run(config: &Config, live: bool, json: bool) -> Verdict {
    let mut connections = serde_json::Map::new();
    let mut lines: Vec<String> = config
        .routes
        .iter()
        .map(|(name, route)| format!("{name}: {}", route.verify))
        .collect();
    let mut good = true;
    if live {
        for (name, connection) in &config.connections {
            let findings = try_out(name, connection).await;
            good &= findings.iter().all(|found| found.bearing != Bearing::Bad);
            lines.push(format!("connection {name}"));
            lines.extend(findings.iter().map(Finding::line));
            let listed: Vec<Value> = findings.iter().map(Finding::json).collect();
            connections.insert(name.clone(), Value::Array(listed));
        }
    }
    if json {
        let verifies = config.routes.iter();
        let routes: serde_json::Map<String, Value> = verifies
            .map(|(name, route)| (name.clone(), json!({"verify": route.verify.to_string()})))
            .collect();
        let mut document = json!({"ok": good, "routes": routes, "problems": []});
        if live {
            document["connections"] = Value::Object(connections);
        }
        say(&document.to_string());
    } else {
        lines.push(format!(
            "{}: {} routes, {} connections",
            if good { "ok" } else { "not ok" },
            config.routes.len(),
            config.connections.len()
        ));
        say(&lines.join("\n"));
    }
    match good {
        true => Verdict::Done,
        false => Verdict::Negative,
    }
}

/// Asks Zoho for everything that a connection needs. Nothing is changed.
async fn try_out(name: &str, connection: &Connection) -> Vec<Finding> {
    let clock = SystemClock;
    let client = client(name, connection);
    let give_up = clock.now().saturating_add(PATIENCE).unwrap_or_default();
    let token = client.api().await.map(|api| {
        let found = format!("fresh, for {api}");
        (Bearing::Good, found)
    });
    let refused = token.is_err();
    let mut findings = vec![Finding::of("token", token)];
    if refused {
        return findings;
    }
    let apis = client
        .apis(Some("mass_update"), Reading::Kept, give_up)
        .await;
    findings.push(Finding::of(
        "mass update",
        apis.map(|apis| match apis.first() {
            Some(api) => {
                let prices = api.operations.iter().map(|operation| {
                    let most = operation
                        .max_credits
                        .map_or("?".to_owned(), |most| most.to_string());
                    format!("{} {most} credits", operation.method)
                });
                let prices: Vec<String> = prices.collect();
                (
                    Bearing::Good,
                    format!("{} modules; {}", apis.len(), prices.join(", ")),
                )
            }
            None => (
                Bearing::Bad,
                "Zoho lists no mass update for this user".to_owned(),
            ),
        }),
    ));
    let org = client.org(Reading::Kept, give_up).await;
    findings.push(Finding::of(
        "edition",
        org.map(|org| {
            let named = org.edition.clone().unwrap_or_default();
            match Edition::of_org(&named) {
                None => (Bearing::Note, format!("`{named}` is not known to masshook")),
                Some(edition) => {
                    let (most, ours) = (edition.at_once(), connection.max_concurrency);
                    let views = if edition.has_views() {
                        "views"
                    } else {
                        "no views"
                    };
                    let found =
                        format!("{edition}: {views}, {most} calls at once; the config uses {ours}");
                    let bearing = if ours > most {
                        Bearing::Bad
                    } else {
                        Bearing::Good
                    };
                    (bearing, found)
                }
            }
        }),
    ));
    let modules = client.modules(Reading::Kept, give_up).await;
    findings.push(Finding::of(
        "modules",
        modules.map(|modules| {
            let served = modules.iter().filter(|module| module.api_supported).count();
            (Bearing::Good, format!("{served} served by the API"))
        }),
    ));
    let territories = client.territories(Reading::Kept, give_up).await;
    findings.push(Finding::of(
        "territories",
        territories.map(|found| (Bearing::Good, found.len().to_string())),
    ));
    findings
}

/// A client of a connection, by itself.
pub(super) fn client(name: &str, connection: &Connection) -> Client {
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
