//! The command line.

mod activity;
mod auth;
mod callback_receiver;
mod check;
mod command_tree;
mod config_file;
mod console;
mod deliveries;
mod demo;
mod dev;
mod erase;
mod event;
mod event_file;
mod explain;
mod finding;
mod generated;
mod health;
mod init;
mod jobs;
mod list_arguments;
mod memory_limit;
mod offline;
mod preview;
mod sample_delivery;
mod scopes;
mod secret_maker;
mod secrets;
mod send;
mod sender;
mod serve;
mod signals;
mod simulate;
mod store_location;
mod styled;
mod table;
mod terminal;
mod text;
mod zoho_client;

use clap::{Parser, Subcommand};

use self::terminal::{pretty_json, print_line, status_after_output};
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
    /// Start a config for a sender, with an example and secrets
    ///
    /// Writes masshook.yaml, event.json (a sample of the sender) and expected.json (the update requests that the route makes of
    /// it), the secrets with mode 0600, and what Git must ignore. Overwrites nothing. On a terminal it asks for the sender.
    Init(init::InitArgs),
    /// Run three deliveries from end to end against a simulated Zoho
    Demo,
    /// Develop a config against a simulated Zoho, with the console
    ///
    /// Runs a simulated Zoho, the server, a callback receiver and the console in one process. Without a config it makes one to play with, in `masshook-dev`. The config is reloaded when it is saved. Nothing leaves
    /// this machine: connections reach the simulator, and callbacks to other machines go to the receiver.
    Dev(dev::DevArgs),
    /// Show the update requests and calls that an event would cause
    Preview(preview::PreviewArgs),
    /// Check the config, its secrets and its example events
    ///
    /// With `--live` it also asks Zoho about connections and examples.
    ///
    /// Exit codes: 0 nothing is wrong (notes do not count), 1 something is wrong, 2 invalid usage or a config that cannot be
    /// read.
    Check(check::CheckArgs),
    /// Obtain, verify and save the credentials of a connection
    ///
    /// The credentials come from a grant code or are client credentials. They are saved as the secret that the config names.
    Auth(auth::AuthArgs),
    /// List the secrets that the config needs, or make them
    ///
    /// Lists where each secret is and whether it can be used, never the secret itself. `masshook secrets make` makes those that
    /// masshook may choose.
    Secrets(secrets::SecretsArgs),
    /// Send a sample delivery with a valid signature to a server
    Send(send::SendArgs),
    /// Print a sample delivery as a Lambda event
    ///
    /// For `sam local invoke` and `cargo lambda invoke`. The event contains its signature and tokens.
    Event(event::EventArgs),
    /// Run a simulated Zoho
    ///
    /// Runs the accounts server and the CRM API, on one port for each of three data centres.
    Simulate(simulate::SimulateArgs),
    /// Run the server on this machine, with a SQLite file as its store
    Serve(serve::ServeArgs),
    /// Serve the console over the store of a server or a stack
    Console(console::ConsoleCommandArgs),
    /// List, inspect, replay and redeliver jobs
    #[command(subcommand)]
    Jobs(jobs::JobsCommand),
    /// List, inspect, replay and discard deliveries
    #[command(subcommand)]
    Deliveries(deliveries::DeliveriesCommand),
    /// Ask a server whether it works
    ///
    /// Exits with 1 if it does not. For the health checks of containers.
    Health(health::HealthArgs),
    /// Erase what is stored about a person
    ///
    /// Finds the jobs, stored deliveries, dead letters and log entries, lists them, asks, and deletes them. Nothing changes in
    /// Zoho CRM. Refuses while such a job is unfinished, unless `--force` is given.
    Erase(erase::EraseArgs),
    /// Print the JSON Schema of masshook.yaml, or of the HTTP API
    ///
    /// For editors; with `--openapi` the OpenAPI document of the HTTP API.
    Schema(SchemaArgs),
    /// Print the script that completes commands in a shell
    Completions(generated::CompletionsArgs),
    /// Write the man pages of all commands
    Man(generated::ManArgs),
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
            Self::Init(_)
            | Self::Secrets(_)
            | Self::Demo
            | Self::Preview(_)
            | Self::Check(_)
            | Self::Auth(_)
            | Self::Send(_)
            | Self::Event(_)
            | Self::Jobs(_)
            | Self::Deliveries(_)
            | Self::Health(_)
            | Self::Erase(_)
            | Self::Schema(_)
            | Self::Completions(_)
            | Self::Man(_) => "error",
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
    let status = run_command(arguments.command).await;
    status_after_output(status)
}

async fn run_command(command: Command) -> ExitStatus {
    match command {
        Command::Init(args) => init::run(args).await,
        Command::Secrets(args) => secrets::run(args).await,
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
        Command::Erase(args) => erase::run(args).await,
        Command::Schema(SchemaArgs { openapi }) => {
            let document = match openapi {
                true => openapi::document(""),
                false => Config::schema(),
            };
            print_line(&pretty_json(&document));
            ExitStatus::Success
        }
        Command::Completions(args) => generated::completions(&args),
        Command::Man(args) => generated::man(&args),
    }
}
