//! The command line.

mod activity;
mod auth;
mod callback_receiver;
mod check;
mod config_file;
mod console;
mod deliveries;
mod demo;
mod dev;
mod event;
mod event_file;
mod explain;
mod finding;
mod health;
mod jobs;
mod list_arguments;
mod memory_limit;
mod offline;
mod preview;
mod sample_delivery;
mod scopes;
mod send;
mod sender;
mod serve;
mod signals;
mod simulate;
mod store_location;
mod table;
mod terminal;
mod text;
mod zoho_client;

use clap::{Parser, Subcommand};

use self::terminal::{pretty_json, print_line};
use crate::api::openapi;
use crate::config::Config;
use crate::telemetry::{self, LogFormat};
pub use terminal::ExitStatus;

/// Arguments of `masshook`.
#[derive(Debug, Parser)]
#[command(name = "masshook", version, about)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a demonstration offline: three webhooks become mass updates of a simulated Zoho CRM.
    Demo,
    /// Run everything on this machine to develop a config: a simulated Zoho, the server, a callback receiver and the console.
    ///
    /// Without a config it makes one to play with, in `masshook-dev`. The config is reloaded when it is saved. Nothing leaves
    /// this machine: connections reach the simulator, and callbacks to other machines go to the receiver.
    Dev(dev::DevArgs),
    /// Show the update requests and Zoho calls that an event would cause, offline.
    Preview(preview::PreviewArgs),
    /// Check the config, run its routes on example events, and with `--live` ask Zoho about both.
    ///
    /// Exit codes: 0 nothing is wrong (notes do not count), 1 something is wrong, 2 invalid usage or a config that cannot be
    /// read.
    Check(check::CheckArgs),
    /// Obtain, verify and save the credentials of a connection.
    ///
    /// The credentials come from a grant code or are client credentials. They are saved as the secret that the config names.
    Auth(auth::AuthArgs),
    /// Send a sample delivery to a server, with a valid signature of its sender.
    Send(send::SendArgs),
    /// Print a sample delivery as a Lambda event, for `sam local invoke` and `cargo lambda invoke`.
    ///
    /// The event contains its signature and tokens.
    Event(event::EventArgs),
    /// Run a simulated Zoho: the accounts server and the CRM API, on one port for each of three data centres.
    Simulate(simulate::SimulateArgs),
    /// Run the HTTP API and the engine on this machine, with a SQLite file as the store.
    Serve(serve::ServeArgs),
    /// Serve the console over a store: the data folder of a server, or a DynamoDB table.
    Console(console::ConsoleCommandArgs),
    /// List, inspect, replay and redeliver jobs.
    #[command(subcommand)]
    Jobs(jobs::JobsCommand),
    /// List, inspect and replay dead-lettered deliveries.
    #[command(subcommand)]
    Deliveries(deliveries::DeliveriesCommand),
    /// Ask a server whether it works; exit with 1 if it does not. For container health checks.
    Health(health::HealthArgs),
    /// Print the JSON Schema of masshook.yaml, for editors, or the OpenAPI document of the HTTP API.
    Schema(SchemaArgs),
}

/// Arguments of `masshook schema`.
#[derive(Debug, clap::Args)]
struct SchemaArgs {
    /// Print the OpenAPI 3.1 document of the HTTP API and of the callbacks.
    #[arg(long)]
    openapi: bool,
}

impl Command {
    /// The form of the log lines.
    fn log_format(&self) -> LogFormat {
        if let Self::Serve(args) = self {
            return args.log_format();
        }
        if let Self::Dev(args) = self {
            return args.log_format();
        }
        LogFormat::Text
    }

    /// The log filter unless `RUST_LOG` is set. Only servers log by default; other commands print their results.
    fn log_filter(&self) -> &'static str {
        match self {
            Self::Serve(_) | Self::Dev(_) => "masshook=info,warn",
            Self::Console(_) => "masshook=warn,error",
            Self::Simulate(_) => "info",
            Self::Demo
            | Self::Preview(_)
            | Self::Check(_)
            | Self::Auth(_)
            | Self::Send(_)
            | Self::Event(_)
            | Self::Jobs(_)
            | Self::Deliveries(_)
            | Self::Health(_)
            | Self::Schema(_) => "error",
        }
    }
}

/// Runs the command line.
pub async fn run(arguments: Arguments) -> ExitStatus {
    let filter = arguments.command.log_filter();
    let is_server = matches!(
        arguments.command,
        Command::Serve(_) | Command::Dev(_) | Command::Simulate(_) | Command::Console(_)
    );
    let format = arguments.command.log_format();
    let _log = is_server.then(|| telemetry::init_server(filter, format));
    if !is_server {
        telemetry::init_command(filter);
    }
    match arguments.command {
        Command::Demo => demo::run().await,
        Command::Dev(args) => dev::run(args).await,
        Command::Preview(args) => preview::run(args).await,
        Command::Check(args) => check::run(args).await,
        Command::Auth(args) => auth::run(args).await,
        Command::Send(args) => send::run(args).await,
        Command::Event(args) => event::run(args).await,
        Command::Simulate(args) => simulate::run(args).await,
        Command::Serve(args) => serve::run(args).await,
        Command::Console(args) => console::run(args).await,
        Command::Jobs(command) => jobs::run(command).await,
        Command::Deliveries(command) => deliveries::run(command).await,
        Command::Health(args) => health::run(args).await,
        Command::Schema(SchemaArgs { openapi }) => {
            let document = match openapi {
                true => openapi::document(""),
                false => Config::schema(),
            };
            print_line(&pretty_json(&document));
            ExitStatus::Success
        }
    }
}
