//! `masshook deliveries`: lists, shows and replays dead letters.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;
use serde_json::{Value, json};

use super::config_file::{ConfigFile, report_config_error};
use super::store_location::{CommandOutput, OpenStore, StoreCommandError, StoreLocation, report};
use super::terminal::{ExitStatus, pretty_json};
use super::text::count_of;
use crate::api::AcceptedBody;
use crate::app::{App, Dependencies};
use crate::aws::secrets::SecretsManager;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::engine::ExecutionMode;
use crate::inbound::rejection::Rejection;
use crate::metrics::Metrics;
use crate::printable::single_line;
use crate::store::delivery::StoredDelivery;

/// A subcommand of `masshook deliveries`.
#[derive(Debug, Subcommand)]
pub(super) enum DeliveriesCommand {
    /// List dead letters, newest first.
    List {
        #[command(flatten)]
        location: StoreLocation,
        /// Maximum number of deliveries.
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Show a delivery in full, as received. Shared secrets of its sender are left out, signatures are not.
    Show {
        #[command(flatten)]
        location: StoreLocation,
        /// Delivery id.
        id: String,
    },
    /// Map a delivery again with the current config. Jobs that already succeeded are not repeated.
    Replay {
        #[command(flatten)]
        location: StoreLocation,
        /// Delivery id.
        id: String,
        #[command(flatten)]
        config: ConfigFile,
    },
}

/// Runs `masshook deliveries`.
pub(super) async fn run(command: DeliveriesCommand) -> ExitStatus {
    let (output, result) = match command {
        DeliveriesCommand::List { location, limit } => {
            (location.output, list(&location, limit).await)
        }
        DeliveriesCommand::Show { location, id } => (location.output, show(&location, &id).await),
        DeliveriesCommand::Replay {
            location,
            id,
            config,
        } => match config.load() {
            Ok(config) => (location.output, replay(&location, &id, config).await),
            Err(error) => return report_config_error(&error, location.output),
        },
    };
    report(output, result)
}

async fn list(location: &StoreLocation, limit: usize) -> Result<CommandOutput, StoreCommandError> {
    let deliveries = location.open()?.store.dead_letters(limit).await?;
    let lines: Vec<String> = deliveries
        .iter()
        .map(|delivery| {
            let dead = &delivery.dead_letter;
            let job = dead.job.as_ref().map(|job| format!("{job}: "));
            let line = format!(
                "{}  {:<24} {}  {}{}",
                delivery.at,
                delivery.route,
                delivery.id,
                job.unwrap_or_default(),
                dead.reason
            );
            single_line(&line).into_owned()
        })
        .collect();
    Ok(CommandOutput {
        document: json!({ "deliveries": deliveries }),
        text: lines.join("\n"),
    })
}

async fn find(open: &OpenStore, id: &str) -> Result<StoredDelivery, StoreCommandError> {
    let found = open.store.delivery(id).await?;
    found.ok_or_else(|| StoreCommandError::Failed(format!("there is no stored delivery {id}")))
}

async fn show(location: &StoreLocation, id: &str) -> Result<CommandOutput, StoreCommandError> {
    let delivery = find(&location.open()?, id).await?;
    let headers: Vec<Value> = delivery
        .headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    let mut document = json!({
        "id": delivery.id, "route": delivery.route, "at": delivery.at.to_string(), "dead": delivery.dead_letter,
        "trigger": delivery.origin.variable(), "headers": headers, "query": delivery.query,
    });
    match std::str::from_utf8(&delivery.body) {
        Ok(text) => document["body"] = json!(text),
        Err(_) => document["body_base64"] = json!(STANDARD.encode(&delivery.body)),
    }
    Ok(CommandOutput {
        text: pretty_json(&document),
        document,
    })
}

async fn replay(
    location: &StoreLocation,
    id: &str,
    config: Config,
) -> Result<CommandOutput, StoreCommandError> {
    let open = location.open()?;
    let delivery = find(&open, id).await?;
    if delivery.dead_letter.is_none() {
        let why = format!("delivery {id} is not a dead letter: its jobs are in progress");
        return Err(StoreCommandError::Failed(why));
    }
    let app = App::new(
        config,
        Dependencies {
            clock: Arc::new(SystemClock),
            store: open.store,
            secrets_manager: Arc::new(SecretsManager::new()),
            mode: ExecutionMode::Durable(open.wakeups),
            runtime_api: None,
            sns_endpoint: None,
            metrics: Metrics::default(),
        },
    );
    let accepted = app.replay(&delivery).await;
    let accepted = accepted.map_err(|rejection| replay_error(&rejection))?;
    let jobs = accepted.jobs().len();
    if jobs == 0 {
        let why = format!(
            "route `{}` still ignores delivery {id}, so it stays a dead letter",
            delivery.route
        );
        return Err(StoreCommandError::Failed(why));
    }
    Ok(CommandOutput {
        document: json!(AcceptedBody::of(&accepted, "")),
        text: format!("created {} from delivery {id}", count_of(jobs, "job")),
    })
}

fn replay_error(rejection: &Rejection) -> StoreCommandError {
    let errors: String = rejection
        .errors()
        .iter()
        .map(|error| format!("\n  {error}"))
        .collect();
    StoreCommandError::Failed(format!("{rejection}{errors}"))
}
