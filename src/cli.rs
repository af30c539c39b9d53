//! The command line.

mod auth;
mod check;
mod demo;
mod event;
mod explain;
mod finding;
mod jobs;
mod preview;
mod scopes;
mod send;
mod sender;
mod serve;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use async_trait::async_trait;
use clap::{Parser, Subcommand};
use secrecy::SecretString;

use crate::config::{Config, ConfigError, Programs};
use crate::secrets::{Missing, SecretStore};
use crate::telemetry;
use zoho_simulator::Simulator;

/// Any webhook in, one Zoho CRM mass update out, and the job's fate forwarded to whoever asked.
#[derive(Debug, Parser)]
#[command(name = "masshook", version, about)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows the whole job, offline: three webhooks become mass updates of a simulated Zoho CRM.
    Demo,
    /// Shows what a route would do with an event, offline: the update requests and the exact calls.
    Preview {
        /// The route; not needed for an event whose path names it.
        #[arg(long)]
        route: Option<String>,
        /// The event: a bare JSON body, or any Lambda event.
        event: PathBuf,
        /// Says instead, for every route or the one that was named, why the event is for it or is not: which condition is
        /// the first to be false, and of `when` which term.
        #[arg(long)]
        explain: bool,
        /// One JSON document on stdout, and nothing else there.
        #[arg(long)]
        json: bool,
        /// The config file; default: MASSHOOK_CONFIG, ./masshook.yaml, /opt/masshook.yaml.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Checks the config file (every key, every reference between its parts, every jq program), what its routes make of
    /// examples, and with `--live` what Zoho says to both.
    ///
    /// Exit codes: 0 all is as it should be (notes do not count), 1 something is not, 2 wrong usage or a config that cannot
    /// be read.
    Check(check::Check),
    /// Makes a connection's credentials of a grant code, or of client credentials, proves them, and writes them where the
    /// config says that they are.
    Auth(auth::Auth),
    /// Sends a sample delivery, freshly signed as its sender would, to a server.
    Send(send::Send),
    /// Prints the Lambda event that such a delivery would be, for `sam local invoke` and `cargo lambda invoke`. It holds
    /// what proves it, tokens included.
    Event(event::Event),
    /// Runs a simulated Zoho: accounts server and CRM, on one port for each of three data centres.
    Simulate {
        /// Where it listens.
        #[arg(long, default_value = "127.0.0.1:9090")]
        listen: SocketAddr,
        /// Misbehaves, at random from this seed.
        #[arg(long, value_name = "SEED")]
        rude: Option<u64>,
        /// How long each CRM call takes, in milliseconds.
        #[arg(long, default_value_t = 0)]
        latency_ms: u64,
        /// How long a scheduled job takes, in seconds.
        #[arg(long, default_value_t = 3)]
        job_seconds: u64,
        /// How many records a module has.
        #[arg(long, value_name = "MODULE=N", value_parser = module_count)]
        records: Vec<(String, u64)>,
    },
    /// Runs the durable server of one machine: the HTTP API and the engine, over a SQLite file.
    Serve {
        /// The config file; default: MASSHOOK_CONFIG, ./masshook.yaml, /opt/masshook.yaml.
        #[arg(long)]
        config: Option<PathBuf>,
        /// Where it listens.
        #[arg(long, default_value = "127.0.0.1:8080")]
        listen: SocketAddr,
        /// The folder that jobs are kept in; it is made if it is not there.
        #[arg(long, default_value = "masshook-data")]
        data: PathBuf,
        /// Ends the process at a point on the way, for tests.
        #[cfg(feature = "failpoints")]
        #[arg(long, hide = true, value_name = "NAME:N")]
        crash_at: Option<String>,
    },
    /// Looks into the jobs of a store, and sets right what ended wrong.
    #[command(subcommand)]
    Jobs(jobs::Jobs),
    /// Deliveries that came to nothing, and how to take them again.
    #[command(subcommand)]
    Deliveries(jobs::Deliveries),
    /// Prints the JSON Schema of masshook.yaml, for editors.
    Schema,
}

fn module_count(text: &str) -> Result<(String, u64), String> {
    let (module, count) = text
        .split_once('=')
        .ok_or("write MODULE=N, as in Leads=50000")?;
    Ok((
        module.to_owned(),
        count.parse().map_err(|_| "N must be a whole number")?,
    ))
}

/// What a command came to, as its exit code says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Done.
    Done,
    /// The answer is no.
    Negative,
    /// Wrong usage, or a wrong config.
    Unusable,
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Done => Self::SUCCESS,
            Verdict::Negative => Self::from(1),
            Verdict::Unusable => Self::from(2),
        }
    }
}

/// Runs the command line.
pub async fn run(arguments: Arguments) -> Verdict {
    match arguments.command {
        Command::Demo => {
            telemetry::init_terminal("error");
            demo::run().await
        }
        Command::Preview {
            route,
            event,
            explain,
            json,
            config,
        } => {
            telemetry::init_terminal("error");
            let show = match explain {
                true => preview::Show::Why,
                false => preview::Show::Plan,
            };
            match load(config) {
                Ok(config) => preview::run(config, route, &event, show, json).await,
                Err(error) => unusable(&error, json),
            }
        }
        Command::Check(command) => {
            telemetry::init_terminal("error");
            let path = command.config.clone().map_or_else(Config::locate, Ok);
            let loaded = path.and_then(|path| {
                let config = Config::load(&path, Programs::Compile)?.keeping()?;
                Ok((config, path))
            });
            match loaded {
                Ok((config, path)) => check::run(command, config, path).await,
                Err(error) => unusable(&error, command.json),
            }
        }
        Command::Auth(command) => {
            telemetry::init_terminal("error");
            match load(command.config.clone()) {
                Ok(config) => auth::run(command, &config).await,
                Err(error) => unusable(&error, command.json),
            }
        }
        Command::Send(command) => {
            telemetry::init_terminal("error");
            match load(command.sender.config.clone()) {
                Ok(config) => send::run(&command, &config).await,
                Err(error) => unusable(&error, command.json),
            }
        }
        Command::Event(command) => {
            telemetry::init_terminal("error");
            match load(command.sender.config.clone()) {
                Ok(config) => event::run(&command, &config).await,
                Err(error) => unusable(&error, false),
            }
        }
        Command::Simulate {
            listen,
            rude,
            latency_ms,
            job_seconds,
            records,
        } => {
            telemetry::init_terminal("info");
            let settings = zoho_simulator::Settings {
                listen,
                rude,
                latency: Duration::from_millis(latency_ms),
                job_duration: Duration::from_secs(job_seconds),
                records: records.into_iter().collect(),
                ..zoho_simulator::Settings::default()
            };
            match Simulator::start(settings).await {
                Ok(simulator) => {
                    say(&simulator.announcement().to_string());
                    simulator.wait().await;
                    Verdict::Done
                }
                Err(error) => {
                    complain(&format!("the simulator cannot listen on {listen}: {error}"));
                    Verdict::Unusable
                }
            }
        }
        Command::Serve {
            config,
            listen,
            data,
            #[cfg(feature = "failpoints")]
            crash_at,
        } => {
            telemetry::init_terminal("masshook=info,warn");
            #[cfg(feature = "failpoints")]
            if let Some(Err(why)) = crash_at.as_deref().map(crate::failpoint::arm) {
                complain(&why);
                return Verdict::Unusable;
            }
            match load(config).and_then(Config::keeping) {
                Ok(config) => serve::run(config, listen, &data).await,
                Err(error) => unusable(&error, false),
            }
        }
        Command::Jobs(command) => {
            telemetry::init_terminal("error");
            jobs::jobs(command).await
        }
        Command::Deliveries(command) => {
            telemetry::init_terminal("error");
            jobs::deliveries(command).await
        }
        Command::Schema => {
            say(&format!("{:#}", Config::schema()));
            Verdict::Done
        }
    }
}

fn load(path: Option<PathBuf>) -> Result<Config, ConfigError> {
    match path {
        Some(path) => Config::load(&path, Programs::Compile),
        None => Config::find(Programs::Compile),
    }
}

fn unusable(error: &ConfigError, json: bool) -> Verdict {
    if json {
        let problems = match error {
            ConfigError::Invalid { problems, .. } | ConfigError::Unkeepable(problems) => {
                problem_list(problems)
            }
            ConfigError::NotFound(_) | ConfigError::Unreadable { .. } => Vec::new(),
        };
        say(
            &serde_json::json!({"ok": false, "error": error.to_string(), "problems": problems})
                .to_string(),
        );
    } else {
        complain(&error.to_string());
    }
    Verdict::Unusable
}

fn problem_list(problems: &[strict_reader::Problem]) -> Vec<serde_json::Value> {
    let entry = |problem: &strict_reader::Problem| serde_json::json!({"at": problem.at.to_string(), "message": problem.message});
    problems.iter().map(entry).collect()
}

/// For commands that fetch nothing.
#[derive(Debug)]
struct Offline;

#[async_trait]
impl SecretStore for Offline {
    async fn get(&self, _: &str) -> Result<SecretString, Missing> {
        Err(Missing {
            why: "this command works offline".to_owned(),
            transient: false,
        })
    }
}

/// Prints a line. Whoever reads it may have seen enough by then.
fn say(text: &str) {
    let printed = writeln!(std::io::stdout(), "{text}");
    if let Err(error) = printed
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        complain(&format!("stdout cannot be written: {error}"));
    }
}

#[expect(clippy::print_stderr, reason = "this is what the command line prints")]
fn complain(text: &str) {
    eprintln!("{text}");
}
