//! `masshook preview`: shows the update requests and calls that an event would cause.

mod against;
mod report;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use self::report::RoutePreview;
use super::config_file::{ConfigFile, report_config_error};
use super::event_file::{EventFile, first_trigger};
use super::explain;
use super::offline::offline_app;
use super::sender::{no_route, only_route};
use super::terminal::{ExitStatus, OutputFormat, print_error, print_json, print_line, read_input};
use crate::app::{App, PreviewOutcome, RequestContent, Verification};
use crate::config::Config;
use crate::inbound::rejection::Rejection;
use crate::inbound::{AwsEvent, InboundRequest};
use crate::trigger::Trigger;

/// Arguments of `masshook preview`.
#[derive(Debug, Args)]
pub(super) struct PreviewArgs {
    /// Route; not needed if the event's path names it, or if the config has one route.
    #[arg(long)]
    route: Option<String>,
    /// Event file, or `-` for stdin: a bare JSON body or any Lambda event. With --against there may be several.
    #[arg(value_name = "EVENT", required_unless_present = "data")]
    events: Vec<PathBuf>,
    /// Show what another config would do differently with the events. Exits with 1 if something differs.
    #[arg(long, value_name = "FILE", conflicts_with = "explain")]
    against: Option<PathBuf>,
    /// Data folder of `masshook serve`: with --against its stored deliveries, dead letters and those in progress, are compared.
    #[arg(long, value_name = "DIR", requires = "against")]
    data: Option<PathBuf>,
    /// Explain why each route (or the given one) accepts or ignores the event.
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    output: OutputFormat,
    #[command(flatten)]
    config: ConfigFile,
}

/// Runs the command.
pub(super) async fn run(args: PreviewArgs) -> ExitStatus {
    let config = match args.config.load() {
        Ok(config) => config,
        Err(error) => return report_config_error(&error, args.output),
    };
    if let Some(other) = &args.against {
        return against::run(&args, config, other).await;
    }
    let [file] = args.events.as_slice() else {
        return args
            .output
            .usage_error("several event files can be compared with --against only");
    };
    let event = match read_event(&args, file, &config).await {
        Ok(event) => event,
        Err(why) => {
            print_error(&why);
            return ExitStatus::UsageError;
        }
    };
    let app = offline_app(config);
    let route = args.route.as_deref();
    match args.explain {
        true => explain_event(&app, event, route, args.output).await,
        false => preview_event(&app, event, route, args.output).await,
    }
}

async fn read_event(args: &PreviewArgs, path: &Path, config: &Config) -> Result<EventFile, String> {
    let file = match path == Path::new("-") {
        true => "stdin".to_owned(),
        false => path.display().to_string(),
    };
    let text = String::from_utf8(read_input(path)?);
    let text = text.map_err(|_| format!("{file}: is not UTF-8"))?;
    let parse = async |route: Option<&str>| {
        // A bare body is assumed to come from the first trigger that its route listens to.
        let trigger = route.map_or(Trigger::Http, |route| first_trigger(config, route));
        let event = EventFile::parse(&text, route, trigger, config).await;
        event.map_err(|why| format!("{file}: {why}"))
    };
    match &args.route {
        Some(name) if !config.routes.contains_key(name) => Err(no_route(config, name)),
        Some(name) => parse(Some(name)).await,
        // Only a bare body does not name its route. A list may be one.
        None => match (parse(None).await, only_route(config)) {
            (Err(_) | Ok(EventFile::AwsEvents(_)), Ok(only)) => parse(Some(only)).await,
            (event, _) => event,
        },
    }
}

async fn preview_event(
    app: &App,
    event: EventFile,
    route: Option<&str>,
    output: OutputFormat,
) -> ExitStatus {
    let preview = match event {
        EventFile::NoUpdate(why) => {
            output.print(&json!({"updates": [], "note": why}), &why);
            return ExitStatus::Success;
        }
        EventFile::UpdateRequest(request) => {
            let update = app.check(&request);
            update.map(|update| RoutePreview::of_update_request(app, update))
        }
        EventFile::Request(request, content) => preview_request(app, &request, content).await,
        EventFile::Refused(rejection) => Err(rejection),
        EventFile::AwsEvents(events) => {
            return preview_aws_events(app, &events, route, output).await;
        }
    };
    match &preview {
        Ok(preview) => output.print(&preview.to_json(), preview.to_text()),
        Err(rejection) => print_refusal(rejection, output),
    }
    ExitStatus::from_success(is_accepted(&preview))
}

/// Explains for each route why it accepts the event or not.
async fn explain_event(
    app: &App,
    event: EventFile,
    route: Option<&str>,
    output: OutputFormat,
) -> ExitStatus {
    let (events, content): (Vec<InboundRequest>, _) = match event {
        EventFile::Request(request, content) => (vec![*request], content),
        EventFile::AwsEvents(events) => {
            let requests = events.iter().map(|event| event.to_request(String::new()));
            (requests.collect(), RequestContent::Complete)
        }
        EventFile::Refused(rejection) => {
            print_refusal(&rejection, output);
            return ExitStatus::Negative;
        }
        EventFile::UpdateRequest(_) => {
            let why = "an update request is for no route: it contains the update itself";
            explain::print_note(why, output.json);
            return ExitStatus::Success;
        }
        EventFile::NoUpdate(why) => {
            explain::print_note(&why, output.json);
            return ExitStatus::Success;
        }
    };
    explain::run(app, &events, content, route, output.json).await
}

/// Whether the route would accept the event.
fn is_accepted(preview: &Result<RoutePreview, Rejection>) -> bool {
    preview
        .as_ref()
        .is_ok_and(|preview| !preview.verification.is_refused())
}

/// Prints the rejection of the whole event.
fn print_refusal(rejection: &Rejection, output: OutputFormat) {
    match output.json {
        true => print_json(&rejection.problem()),
        false => print_rejection(rejection),
    }
}

fn print_rejection(rejection: &Rejection) {
    let hint = rejection.log_hint();
    let hint = hint.map_or_else(String::new, |hint| format!("; {hint}"));
    print_error(&format!("refused: {rejection}{hint}"));
    match rejection.terminal_details() {
        // The first line may have said it all.
        Some(details) if details.trim().is_empty() => {}
        Some(details) => print_error(&details),
        None => {
            for error in rejection.errors() {
                print_error(&format!("  {error}"));
            }
        }
    }
}

/// Previews each event of a batch for each route that listens to it.
async fn preview_aws_events(
    app: &App,
    events: &[AwsEvent],
    route: Option<&str>,
    output: OutputFormat,
) -> ExitStatus {
    let mut previews = Vec::new();
    for event in events {
        for (name, outcome) in app.preview_aws_event(event).await {
            if route.is_none_or(|route| route == name) {
                previews.push(outcome.map(|mapped| {
                    let outcome = PreviewOutcome::Delivery(mapped);
                    RoutePreview::new(app, name, Verification::by_aws(), outcome)
                }));
            }
        }
    }
    if output.json {
        let documents = previews.iter().map(|preview| match preview {
            Ok(preview) => preview.to_json(),
            Err(rejection) => rejection.problem(),
        });
        print_json(&json!({"previews": documents.collect::<Vec<_>>()}));
    } else if previews.is_empty() {
        let triggers = events.iter().map(|event| event.origin.trigger.as_str());
        let triggers: BTreeSet<&str> = triggers.collect();
        let triggers: Vec<&str> = triggers.into_iter().collect();
        print_line(&format!(
            "no route listens to {}: add it to a route's `on`",
            triggers.join(", ")
        ));
    } else {
        for preview in &previews {
            match preview {
                Ok(preview) => print_line(&preview.to_text()),
                Err(rejection) => print_rejection(rejection),
            }
        }
    }
    ExitStatus::from_success(!previews.is_empty() && previews.iter().all(is_accepted))
}

async fn preview_request(
    app: &App,
    request: &InboundRequest,
    content: RequestContent,
) -> Result<RoutePreview, Rejection> {
    let (verification, outcome) = app.preview(request, content).await?;
    Ok(RoutePreview::new(
        app,
        request.route.clone(),
        verification,
        outcome,
    ))
}
