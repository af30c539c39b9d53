//! `masshook init`: starts a config for a sender, with an example and secrets.

pub(super) mod made_up;
mod project;
pub(super) mod senders;
mod writer;

pub(super) use writer::file_mode;

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;

use clap::Args;

use self::project::ProjectPlan;
use self::senders::{SecretsPlace, Sender};
use self::writer::{Written, write};
use super::terminal::{ExitStatus, OutputFormat};
use super::text::wrapped;
use crate::zoho::data_center::DataCenter;

/// Arguments of `masshook init`.
#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// Sender, such as stripe or calendly. On a terminal it is asked for.
    #[arg(long, value_name = "NAME")]
    sender: Option<String>,
    /// Folder for the files; created if it does not exist.
    #[arg(
        long,
        value_name = "DIR",
        default_value = ".",
        hide_default_value = true
    )]
    dir: PathBuf,
    /// Name of the route; default: that of the sender.
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// Where the secrets are.
    #[arg(long, value_enum, value_name = "PLACE")]
    secrets: Option<SecretsPlace>,
    /// Data centre of your Zoho org: us, eu, in, au, jp, cn, ca, sa, uk or ae; default: us.
    #[arg(long, value_name = "NAME")]
    data_center: Option<DataCenter>,
    #[command(flatten)]
    output: OutputFormat,
}

/// Runs the command.
pub(super) async fn run(args: InitArgs) -> ExitStatus {
    let output = args.output;
    match start(args).await {
        Ok(written) => {
            output.print(&written.to_json(), written.to_text());
            ExitStatus::Success
        }
        Err(why) => output.usage_error(&why),
    }
}

async fn start(args: InitArgs) -> Result<Written, String> {
    // What exists is known before anything is asked.
    writer::check_free(&args.dir)?;
    let plan = plan(&args)?;
    let project = plan.make().await?;
    write(&args.dir, &plan, &project)
}

/// What to make: from the arguments, or else from answers on the terminal.
fn plan(args: &InitArgs) -> Result<ProjectPlan, String> {
    let asks = args.sender.is_none() && std::io::stdin().is_terminal();
    let sender = match &args.sender {
        Some(name) => Sender::named(name)?,
        None if asks => ask(
            &format!(
                "Which sender? {}",
                wrapped(&Sender::names().join(", "), 78, 0)
            ),
            None,
            Sender::named,
        )?,
        None => {
            return Err(format!(
                "name the sender with --sender: {}",
                Sender::names().join(", ")
            ));
        }
    };
    let data_center = match args.data_center {
        Some(data_center) => data_center,
        None if asks => ask(
            "Which data centre has your Zoho org? us eu in au jp cn ca sa uk ae",
            Some("us"),
            |text| text.parse().map_err(|error| format!("{error}")),
        )?,
        None => DataCenter::default(),
    };
    let secrets = match args.secrets {
        Some(place) => place,
        None if asks => ask(
            "Where are the secrets? files (on this machine) or aws (Secrets Manager)",
            Some("files"),
            |text| {
                <SecretsPlace as clap::ValueEnum>::from_str(text, true)
                    .map_err(|_| "answer `files` or `aws`".to_owned())
            },
        )?,
        None => SecretsPlace::default(),
    };
    let route = args.route.clone().unwrap_or_else(|| sender.name.clone());
    Ok(ProjectPlan {
        sender,
        route,
        secrets,
        data_center,
    })
}

/// Asks until the answer can be used.
fn ask<T>(
    question: &str,
    default: Option<&str>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<T, String> {
    let mut terminal = std::io::stderr();
    loop {
        let shown = default.map_or_else(String::new, |default| format!(" [{default}]"));
        let _ = write!(terminal, "{question}{shown}\n> ");
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        if !read.is_ok_and(|count| count > 0) {
            return Err("there was no answer, so nothing was written".to_owned());
        }
        let answer = match (line.trim(), default) {
            ("", Some(default)) => default,
            (answer, _) => answer,
        };
        match parse(answer) {
            Ok(value) => return Ok(value),
            Err(why) => {
                let _ = writeln!(terminal, "{why}");
            }
        }
    }
}
