//! `masshook check`: checks the config, reads its secrets, runs its routes on example events, and with `--live` asks Zoho
//! about connections and examples.

mod difference;
pub(super) mod examples;
mod live;
pub(super) mod notes;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::{Map, Value, json};

use self::examples::{ExampleResult, examples_beside, requested_examples};
use super::config_file::{ConfigFile, report_config_error};
use super::finding::{Finding, Severity, json_list, none_bad, text_lines};
use super::init::{file_mode, made_up};
use super::offline::{app_without_jobs, offline_app};
use super::styled::{StyledText, Tone};
use super::terminal::{ExitStatus, OutputFormat};
use super::text::count_of;
use crate::app::{SecretCheck, SecretScope, SecretState};
use crate::aws::secrets::SecretsManager;
use crate::config::{Config, ConfigError, SecretPurpose, SecretUse};

/// Arguments of `masshook check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Also read the secrets in AWS and ask Zoho, read-only: for each connection the token, scopes, prices and edition; for
    /// each example the modules, fields, views and territories.
    #[arg(long)]
    live: bool,
    /// Do not read secrets, on a machine that has none.
    #[arg(long, conflicts_with = "live")]
    skip_secrets: bool,
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
    let app = match args.live {
        true => app_without_jobs(config, Arc::new(SecretsManager::new())),
        false => offline_app(config),
    };
    let secrets = match (args.skip_secrets, args.live) {
        (true, _) => Vec::new(),
        (false, live) => {
            let scope = match live {
                true => SecretScope::All,
                false => SecretScope::Local,
            };
            let checks = app.check_secrets(scope).await;
            let uses = app.config().secret_uses();
            // Behind the uses come problems of several secrets together.
            let uses = uses.iter().map(Some).chain(std::iter::repeat(None));
            let findings = checks.iter().zip(uses);
            let findings =
                findings.map(|(check, used)| secret_finding(check, used.and_then(made_up_note)));
            findings.chain(writable_secrets(app.config())).collect()
        }
    };
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
        secrets,
        examples: examples.iter().map(ExampleResult::finding).collect(),
        notes: notes::notes(app.config()),
        connections: args.live.then_some(connections),
    };
    output.print(&report.to_json(), report.to_text());
    ExitStatus::from_success(report.is_ok())
}

fn load(file: &ConfigFile) -> Result<(Config, PathBuf), ConfigError> {
    Ok((file.load()?.check_writable_secrets()?, file.path()?))
}

/// Secret files that other users of the machine can replace. Readable ones are usual where secrets are mounted.
pub(super) fn writable_secrets(config: &Config) -> Vec<Finding> {
    let uses = config.secret_uses();
    let findings = uses.iter().filter_map(|used| {
        let path = used.reference.file()?;
        let mode = file_mode(path).filter(|mode| mode & 0o022 != 0)?;
        let message = format!(
            "{} can be replaced by other users (mode {mode:04o}): chmod 600 it",
            path.display()
        );
        Some(Finding::new(used.at.to_string(), Severity::Note, message))
    });
    findings.collect()
}

/// What is left to do with a secret that `masshook init` made up in place of a sender's.
fn made_up_note(used: &SecretUse<'_>) -> Option<String> {
    let is_of_sender = matches!(used.purpose, SecretPurpose::Verification(_));
    let file = used.reference.file().filter(|_| is_of_sender)?;
    let (reference, entry) = (used.reference, made_up::find(file)?);
    Some(match entry.is_public_key {
        true => format!(
            "{reference} is a placeholder of `masshook init`: replace it by the public key that the sender shows"
        ),
        false => format!(
            "{reference} was made up by `masshook init`: give it to the sender, or replace it by the sender's own; then delete its line in {}",
            entry.list.display()
        ),
    })
}

fn secret_finding(check: &SecretCheck, note: Option<String>) -> Finding {
    let severity = match &check.state {
        SecretState::Usable | SecretState::WithPublicKey(_) => Severity::Ok,
        SecretState::Doubtful(_) | SecretState::NotEnrolled | SecretState::Remote => Severity::Note,
        SecretState::Unavailable(_) | SecretState::Unusable(_) => Severity::Bad,
    };
    match note.filter(|_| severity == Severity::Ok) {
        Some(note) => Finding::new(&check.at, Severity::Note, note),
        None => Finding::new(&check.at, severity, check.to_string()),
    }
}

/// The findings of all checks.
struct CheckReport<'a> {
    config: &'a Config,
    secrets: Vec<Finding>,
    examples: Vec<Finding>,
    /// What does not prevent deliveries from being processed, but is not ready for real ones.
    notes: Vec<Finding>,
    /// Findings by connection; only with `--live`.
    connections: Option<BTreeMap<&'a str, Vec<Finding>>>,
}

impl CheckReport<'_> {
    fn is_ok(&self) -> bool {
        let live = self.connections.iter().flat_map(BTreeMap::values).flatten();
        none_bad(self.secrets.iter().chain(&self.examples).chain(live))
    }

    fn to_json(&self) -> Value {
        let routes = self.config.routes.iter();
        let routes: Map<String, Value> = routes
            .map(|(name, route)| (name.clone(), json!({"verify": route.verify.to_string()})))
            .collect();
        let (secrets, examples) = (json_list(&self.secrets), json_list(&self.examples));
        let mut document = json!({
            "ok": self.is_ok(),
            "routes": routes,
            "secrets": secrets,
            "examples": examples,
            "notes": json_list(&self.notes),
            "problems": [],
        });
        if let Some(connections) = &self.connections {
            let entries = connections.iter();
            document["connections"] = entries
                .map(|(name, findings)| ((*name).to_owned(), json_list(findings)))
                .collect();
        }
        document
    }

    fn to_text(&self) -> StyledText {
        let routes = self.config.routes.iter();
        let routes: Vec<Finding> = routes
            .map(|(name, route)| Finding::new(name, Severity::Ok, route.verify.to_string()))
            .collect();
        let mut text = StyledText::default();
        let mut section = |heading: String, findings: &[Finding]| {
            if !findings.is_empty() {
                text.push(Tone::Heading, heading);
                text.append(text_lines(findings));
                text.push_plain("\n");
            }
        };
        section("routes".to_owned(), &routes);
        section("secrets".to_owned(), &self.secrets);
        section("examples".to_owned(), &self.examples);
        section("notes".to_owned(), &self.notes);
        for (name, findings) in self.connections.iter().flatten() {
            let accounts = self.config.connections[*name].accounts();
            section(format!("connection {name}, {accounts}"), findings);
        }
        match self.is_ok() {
            true => text.push(Tone::Good, "ok"),
            false => text.push(Tone::Bad, "not ok"),
        }
        text.push_plain(format!(
            ": {}, {}, {}",
            count_of(routes.len(), "route"),
            count_of(self.examples.len(), "example"),
            count_of(self.config.connections.len(), "connection"),
        ));
        text
    }
}
