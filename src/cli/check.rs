//! `masshook check`: the config as it stands, what its routes make of examples, and with `--live` what Zoho says to its
//! connections and to what the examples would have them do.

mod examples;
mod live;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use super::auth::unusable;
use super::finding::{Bearing, Finding, are_good, lines};
use super::preview::offline;
use super::{Verdict, say};
use crate::config::Config;
use examples::{Example, found_beside, named};
pub(super) use live::client;

/// `masshook check`.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// Also asks Zoho: each connection's token, scopes, prices and edition, and the modules, fields, views and territories
    /// of every example. Nothing is changed.
    #[arg(long)]
    live: bool,
    /// An event that a route is to take: a bare body, or any Lambda event. May be given several times.
    #[arg(long, value_name = "FILE")]
    event: Vec<PathBuf>,
    /// A folder with `event.json`, or with folders that have one; where `expected.json` stands beside it, it holds the
    /// update requests that must come of it. Default: the config's own folder, and `examples` in it.
    #[arg(long, value_name = "DIR")]
    examples: Option<PathBuf>,
    /// One JSON document on stdout, and nothing else there.
    #[arg(long)]
    pub(super) json: bool,
    /// The config file; default: MASSHOOK_CONFIG, ./masshook.yaml, /opt/masshook.yaml.
    #[arg(long)]
    pub(super) config: Option<PathBuf>,
}

/// Runs the command. A config that could be loaded is right in itself.
pub(super) async fn run(check: Check, config: Config, path: PathBuf) -> Verdict {
    let files = match named(&check.event, check.examples.as_deref()) {
        Ok(files) if check.examples.is_none() => [files, found_beside(&path)].concat(),
        Ok(files) => files,
        Err(why) => return unusable(&why, check.json),
    };
    let app = offline(config);
    let config = app.config();
    let mut shown = Vec::with_capacity(files.len());
    for file in &files {
        shown.push(Example::of(&app, file).await);
    }
    let mut connections: BTreeMap<&str, Vec<Finding>> = BTreeMap::new();
    if check.live {
        for name in config.connections.keys() {
            connections.insert(name, live::findings(config, name, &shown).await);
        }
    }
    let examples: Vec<Finding> = shown.iter().map(Example::finding).collect();
    let good = are_good(examples.iter().chain(connections.values().flatten()));
    let list = |findings: &[Finding]| findings.iter().map(Finding::json).collect::<Value>();
    if check.json {
        let routes = config.routes.iter();
        let routes: Map<String, Value> = routes
            .map(|(name, route)| (name.clone(), json!({"verify": route.verify.to_string()})))
            .collect();
        let mut document =
            json!({"ok": good, "routes": routes, "examples": list(&examples), "problems": []});
        if check.live {
            let all = connections.iter();
            document["connections"] = all
                .map(|(name, found)| ((*name).to_owned(), list(found)))
                .collect();
        }
        say(&document.to_string());
    } else {
        let routes = config.routes.iter();
        let routes: Vec<Finding> = routes
            .map(|(name, route)| Finding::new(name, Bearing::Good, route.verify.to_string()))
            .collect();
        let mut text = Vec::new();
        let mut part = |heading: String, findings: &[Finding]| {
            if !findings.is_empty() {
                text.push(heading);
                text.extend(lines(findings));
            }
        };
        part("routes".to_owned(), &routes);
        part("examples".to_owned(), &examples);
        for (name, findings) in &connections {
            let accounts = config.connections[*name].accounts();
            part(format!("connection {name}, {accounts}"), findings);
        }
        text.push(format!(
            "{}: {}, {}, {}",
            if good { "ok" } else { "not ok" },
            counted(routes.len(), "route"),
            counted(examples.len(), "example"),
            counted(config.connections.len(), "connection"),
        ));
        say(&text.join("\n"));
    }
    match good {
        true => Verdict::Done,
        false => Verdict::Negative,
    }
}

/// `1 route`, `2 routes`.
fn counted<N: Display + PartialEq + From<u8>>(count: N, what: &str) -> String {
    let plural = if count == N::from(1) { "" } else { "s" };
    format!("{count} {what}{plural}")
}
