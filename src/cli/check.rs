//! `masshook check`: checks the config, runs its routes on example events, and with `--live` asks Zoho about connections and
//! examples.

mod difference;
mod examples;
mod live;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use self::examples::{ExampleResult, examples_beside, requested_examples};
use super::config_file::{ConfigFile, report_config_error};
use super::finding::{Finding, Severity, json_list, none_bad, text_lines};
use super::offline::offline_app;
use super::terminal::{ExitStatus, OutputFormat};
use super::text::count_of;
use crate::config::{Config, ConfigError};

/// Arguments of `masshook check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Also ask Zoho, read-only: for each connection the token, scopes, prices and edition; for each example the modules,
    /// fields, views and territories.
    #[arg(long)]
    live: bool,
    /// Event that a route must accept: a bare body or any Lambda event. May be repeated.
    #[arg(long, value_name = "FILE")]
    event: Vec<PathBuf>,
    /// Folder with an `event.json`, or with subfolders that contain one. An `expected.json` beside it holds the expected
    /// update requests. Default: the config's own folder and its `examples` folder.
    #[arg(long, value_name = "DIR")]
    examples: Option<PathBuf>,
    #[command(flatten)]
    output: OutputFormat,
    #[command(flatten)]
    config: ConfigFile,
}

/// Runs the command. A config that loads is valid in itself.
pub(super) async fn run(args: CheckArgs) -> ExitStatus {
    let output = args.output;
    let (config, path) = match load(&args.config) {
        Ok(loaded) => loaded,
        Err(error) => return report_config_error(&error, output),
    };
    let files = match requested_examples(&args.event, args.examples.as_deref()) {
        Ok(files) if args.examples.is_none() => [files, examples_beside(&path)].concat(),
        Ok(files) => files,
        Err(why) => return output.usage_error(&why),
    };
    let app = offline_app(config);
    let mut examples = Vec::with_capacity(files.len());
    for file in &files {
        examples.push(ExampleResult::of_file(&app, file).await);
    }
    let mut connections = BTreeMap::new();
    if args.live {
        for name in app.config().connections.keys() {
            let findings = live::check_connection(app.config(), name, &examples).await;
            connections.insert(name.as_str(), findings);
        }
    }
    let report = CheckReport {
        config: app.config(),
        examples: examples.iter().map(ExampleResult::finding).collect(),
        connections: args.live.then_some(connections),
    };
    output.print(&report.to_json(), &report.to_text());
    ExitStatus::from_success(report.is_ok())
}

fn load(file: &ConfigFile) -> Result<(Config, PathBuf), ConfigError> {
    Ok((file.load()?.check_writable_secrets()?, file.path()?))
}

/// The findings of all checks.
struct CheckReport<'a> {
    config: &'a Config,
    examples: Vec<Finding>,
    /// Findings by connection; only with `--live`.
    connections: Option<BTreeMap<&'a str, Vec<Finding>>>,
}

impl CheckReport<'_> {
    fn is_ok(&self) -> bool {
        let live = self.connections.iter().flat_map(BTreeMap::values).flatten();
        none_bad(self.examples.iter().chain(live))
    }

    fn to_json(&self) -> Value {
        let routes = self.config.routes.iter();
        let routes: Map<String, Value> = routes
            .map(|(name, route)| (name.clone(), json!({"verify": route.verify.to_string()})))
            .collect();
        let examples = json_list(&self.examples);
        let mut document =
            json!({"ok": self.is_ok(), "routes": routes, "examples": examples, "problems": []});
        if let Some(connections) = &self.connections {
            let entries = connections.iter();
            document["connections"] = entries
                .map(|(name, findings)| ((*name).to_owned(), json_list(findings)))
                .collect();
        }
        document
    }

    fn to_text(&self) -> String {
        let routes = self.config.routes.iter();
        let routes: Vec<Finding> = routes
            .map(|(name, route)| Finding::new(name, Severity::Ok, route.verify.to_string()))
            .collect();
        let mut lines = Vec::new();
        let mut section = |heading: String, findings: &[Finding]| {
            if !findings.is_empty() {
                lines.push(heading);
                lines.extend(text_lines(findings));
            }
        };
        section("routes".to_owned(), &routes);
        section("examples".to_owned(), &self.examples);
        for (name, findings) in self.connections.iter().flatten() {
            let accounts = self.config.connections[*name].accounts();
            section(format!("connection {name}, {accounts}"), findings);
        }
        lines.push(format!(
            "{}: {}, {}, {}",
            if self.is_ok() { "ok" } else { "not ok" },
            count_of(routes.len(), "route"),
            count_of(self.examples.len(), "example"),
            count_of(self.config.connections.len(), "connection"),
        ));
        lines.join("\n")
    }
}
