//! `masshook simulate`: runs the simulated Zoho.

use std::io::{ErrorKind, IsTerminal as _};
use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::signals::{StopSignals, catch_hangup};
use super::terminal::{ExitStatus, listen_error, print_error, print_json, print_line};
use zoho_simulator::Simulator;

/// Arguments of `masshook simulate`.
#[derive(Debug, Args)]
pub(super) struct SimulateArgs {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:9090")]
    listen: SocketAddr,
    /// Inject random faults, derived from this seed.
    #[arg(long, value_name = "SEED")]
    rude: Option<u64>,
    /// Duration of each CRM call, in milliseconds.
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// Duration of a scheduled job, in seconds.
    #[arg(long, default_value_t = 3)]
    job_seconds: u64,
    /// Number of records in a module. May be repeated.
    #[arg(long, value_name = "MODULE=N", value_parser = parse_record_count)]
    records: Vec<(String, u64)>,
    /// Print one JSON document, as without a terminal.
    #[arg(long)]
    json: bool,
}

/// Runs the command until the process is stopped.
pub(super) async fn run(args: SimulateArgs) -> ExitStatus {
    let listen = args.listen;
    let settings = zoho_simulator::Settings {
        listen,
        rude: args.rude,
        latency: Duration::from_millis(args.latency_ms),
        job_duration: Duration::from_secs(args.job_seconds),
        records: args.records.into_iter().collect(),
        ..zoho_simulator::Settings::default()
    };
    let signals = StopSignals::catch().and_then(|signals| Ok((signals, catch_hangup()?)));
    let (stop_signals, mut hangup) = match signals {
        Ok(signals) => signals,
        Err(error) => {
            print_error(&format!("cannot catch signals: {error}"));
            return ExitStatus::UsageError;
        }
    };
    let simulator = match Simulator::start(settings).await {
        Ok(simulator) => simulator,
        Err(error) => {
            let is_about_records = error.kind() == ErrorKind::InvalidInput;
            let why = match is_about_records {
                true => format!("--records: {error}"),
                false => listen_error(listen, "--listen", &error),
            };
            print_error(&why);
            return ExitStatus::UsageError;
        }
    };
    let announcement = simulator.announcement();
    match !args.json && std::io::stdout().is_terminal() {
        true => print_line(&announcement_text(&announcement)),
        false => print_json(&announcement),
    }
    let stop = stop_signals.received(1);
    // There is no config to reload. A closed terminal ends the simulator as SIGTERM does.
    let stop = async {
        tokio::select! {
            () = stop => {}
            _ = hangup.recv() => {}
        }
    };
    tokio::select! {
        stopped = simulator.run_until(stop) => ExitStatus::from_success(stopped.is_ok()),
        never = stop_signals.watch() => match never {},
    }
}

/// Modules whose records the announcement shows.
const SHOWN_MODULES: usize = 2;

/// Three lines: where Zoho is, how to log in, and what it contains.
fn announcement_text(announcement: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let centers = announcement["data_centers"].as_object();
    let centers = centers.into_iter().flatten();
    let centers: Vec<String> = centers
        .map(|(name, center)| format!("{name} {}", text(&center["accounts_url"])))
        .collect();
    let modules = announcement["world"]["modules"].as_object();
    let modules = modules.into_iter().flatten();
    let mut modules: Vec<String> = modules
        .map(|(name, module)| {
            let first = text(&module["first_record_id"]);
            format!("{} {name} from {first}", module["records"])
        })
        .collect();
    if let Some(more) = modules
        .len()
        .checked_sub(SHOWN_MODULES)
        .filter(|more| *more > 0)
    {
        modules.truncate(SHOWN_MODULES);
        modules.push(format!("and {more} more modules"));
    }
    format!(
        "zoho         {}   (accounts_url and api_url of a connection)\ncredentials  {}\nrecords      {}",
        centers.join(", "),
        announcement["credentials"],
        modules.join(", ")
    )
}

fn parse_record_count(text: &str) -> Result<(String, u64), String> {
    let (module, count) = text
        .split_once('=')
        .ok_or("expected MODULE=N, for example Leads=50000")?;
    let count = count.parse().map_err(|_| "N must be a whole number")?;
    Ok((module.to_owned(), count))
}
