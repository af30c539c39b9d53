//! `masshook preview`: what a route would do with an event.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use axum::body::to_bytes;
use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Offline, Verdict, complain, explain, say};
use crate::api::update_request;
use crate::app::rejection::Rejection;
use crate::app::{App, Arrival, Edges, Ignored, Mapped, Notice};
use crate::clock::SystemClock;
use crate::config::{Config, Verify};
use crate::engine::ExecutionMode;
use crate::inbound::trigger::{Origin, Trigger};
use crate::job::sqlite::SqliteStore;
use crate::lambda::{Invocation, SqsMessage};
use crate::plan::{Limits, Outlook};
use crate::update::UpdateRequest;

/// How the word on a bad signature begins.
const REFUSED: &str = "REFUSED";

/// What is said of events that only wake jobs.
const WAKES: &str = "this event wakes jobs that are there already, so there is nothing to plan";

/// What is shown of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    /// What the route that it is for would do.
    Plan,
    /// Why it is for a route, or is not.
    Why,
}

/// What an event asks for.
enum Asked {
    /// A delivery for a route.
    Delivery(Box<Arrival>),
    /// Events of AWS's own triggers, each for every route that listens.
    Notices(Vec<Notice>),
    /// An update request.
    Update(Value),
    /// Nothing that leads to a call.
    Nothing(String),
}

/// What a route would do.
struct Preview {
    route: Option<String>,
    delivery_id: Option<String>,
    verification: String,
    /// Whether the delivery itself would be turned away.
    refused: bool,
    updates: Vec<UpdateRequest>,
    /// Why there are none.
    ignored: Option<Ignored>,
}

/// Runs the command.
pub(super) async fn run(
    config: Config,
    route: Option<String>,
    event: &Path,
    show: Show,
    json: bool,
) -> Verdict {
    let text = match std::fs::read_to_string(event) {
        Ok(text) => text,
        Err(error) => {
            complain(&format!("{}: {error}", event.display()));
            return Verdict::Unusable;
        }
    };
    if let Some(name) = route.as_ref()
        && show == Show::Why
        && !config.routes.contains_key(name)
    {
        complain(&format!("there is no route `{name}` in the config"));
        return Verdict::Unusable;
    }
    // A bare body came by something that the route listens to.
    let heard = route.as_ref().and_then(|name| config.routes.get(name));
    let heard = heard.and_then(|route| route.on.first().copied());
    let asked = match read(&text, route.as_deref(), heard.unwrap_or(Trigger::Http)).await {
        Ok(asked) => asked,
        Err(why) => {
            complain(&format!("{}: {why}", event.display()));
            return Verdict::Unusable;
        }
    };
    let app = offline(config);
    if show == Show::Why {
        return why(&app, asked, route.as_deref(), json).await;
    }
    let preview = match asked {
        Asked::Nothing(why) => {
            if json {
                say(&json!({"updates": [], "note": why}).to_string());
            } else {
                say(&why);
            }
            return Verdict::Done;
        }
        Asked::Update(request) => app.check(&request).map(|update| Preview {
            route: None,
            delivery_id: None,
            verification: "an update request needs none".to_owned(),
            refused: false,
            updates: vec![update],
            ignored: None,
        }),
        Asked::Delivery(arrival) => deliver(&app, *arrival).await,
        Asked::Notices(notices) => return hear(&app, &notices, route.as_deref(), json).await,
    };
    let verdict = verdict_on(&preview);
    match &preview {
        Ok(preview) if json => say(&preview.to_json().to_string()),
        Ok(preview) => say(&preview.to_text()),
        Err(rejection) if json => say(&rejection.problem().to_string()),
        Err(rejection) => complain_of(rejection),
    }
    verdict
}

/// Says why an event is for a route, or is not.
async fn why(app: &App, asked: Asked, only: Option<&str>, json: bool) -> Verdict {
    let events: Vec<Arrival> = match asked {
        Asked::Delivery(arrival) => vec![*arrival],
        Asked::Notices(notices) => {
            let arrivals = notices.iter().map(|notice| notice.arrival(String::new()));
            arrivals.collect()
        }
        Asked::Update(_) => {
            let why = "an update request is for no route: it says itself what to do";
            explain::nothing(why, json);
            return Verdict::Done;
        }
        Asked::Nothing(why) => {
            explain::nothing(&why, json);
            return Verdict::Done;
        }
    };
    explain::run(app, &events, only, json).await
}

/// The whole of masshook, with nothing behind it: for looking at what it would do.
pub(super) fn offline(config: Config) -> App {
    App::new(
        config,
        Edges {
            clock: Arc::new(SystemClock),
            store: Arc::new(SqliteStore::in_memory()),
            secrets_manager: Arc::new(Offline),
            mode: ExecutionMode::Inline,
            runtime_api: None,
            sns_endpoint: None,
        },
    )
}

/// What a route makes of an event; an update request has none.
pub(super) struct Made {
    pub(super) route: Option<String>,
    pub(super) updates: Result<Vec<UpdateRequest>, Rejection>,
}

/// What every route that takes an event makes of it, whoever sent it. A bare body is for the route `bare`.
///
/// # Errors
/// Why it is for no route at all.
pub(super) async fn made(app: &App, text: &str, bare: Option<&str>) -> Result<Vec<Made>, String> {
    let http = Trigger::Http;
    let asked = match (read(text, None, http).await, bare) {
        (Err(_), Some(route)) => read(text, Some(route), http).await?,
        (asked, _) => asked?,
    };
    let arrivals: Vec<Arrival> = match asked {
        Asked::Nothing(why) => return Err(why),
        Asked::Update(request) => {
            let updates = app.check(&request).map(|update| vec![update]);
            let route = None;
            return Ok(vec![Made { route, updates }]);
        }
        Asked::Delivery(arrival) => vec![*arrival],
        Asked::Notices(notices) => notices.iter().flat_map(|n| app.arrivals(n)).collect(),
    };
    if arrivals.is_empty() {
        return Err("no route listens to what brings it: name it in a route's `on`".to_owned());
    }
    let mut all = Vec::with_capacity(arrivals.len());
    for arrival in arrivals {
        let updates = app.map_unverified(&arrival).await;
        all.push(Made {
            route: Some(arrival.route),
            updates: updates.map(|mapped| mapped.updates),
        });
    }
    Ok(all)
}

fn verdict_on(preview: &Result<Preview, Rejection>) -> Verdict {
    match preview {
        Ok(preview) if !preview.refused => Verdict::Done,
        Ok(_) | Err(_) => Verdict::Negative,
    }
}

fn complain_of(rejection: &Rejection) {
    complain(&format!("refused: {rejection}"));
    match rejection.on_terminal() {
        Some(found) => complain(&found),
        None => {
            for error in rejection.errors() {
                complain(&format!("  {error}"));
            }
        }
    }
}

/// What the routes that listen would do with each event of a batch.
async fn hear(app: &App, notices: &[Notice], route: Option<&str>, json: bool) -> Verdict {
    let mut previews = Vec::new();
    for arrival in notices.iter().flat_map(|notice| app.arrivals(notice)) {
        if route.is_some_and(|route| route != arrival.route) {
            continue;
        }
        let mapped = app.map_unverified(&arrival).await;
        previews.push(mapped.map(|mapped| Preview {
            route: Some(arrival.route),
            delivery_id: Some(mapped.delivery_id),
            verification: Verify::ByAws.to_string(),
            refused: false,
            updates: mapped.updates,
            ignored: mapped.ignored,
        }));
    }
    if json {
        let shown = previews.iter().map(|preview| match preview {
            Ok(preview) => preview.to_json(),
            Err(rejection) => rejection.problem(),
        });
        say(&json!({"previews": shown.collect::<Vec<_>>()}).to_string());
    } else if previews.is_empty() {
        let triggers = notices.iter().map(|notice| notice.origin.trigger.as_str());
        let triggers: BTreeSet<&str> = triggers.collect();
        let triggers: Vec<&str> = triggers.into_iter().collect();
        say(&format!(
            "no route listens to {}: name it in a route's `on`",
            triggers.join(", ")
        ));
    } else {
        for preview in &previews {
            match preview {
                Ok(preview) => say(&preview.to_text()),
                Err(rejection) => complain_of(rejection),
            }
        }
    }
    let verdicts = previews.iter().map(verdict_on);
    verdicts
        .into_iter()
        .find(|verdict| matches!(verdict, Verdict::Negative))
        .unwrap_or(Verdict::Done)
}

async fn deliver(app: &App, arrival: Arrival) -> Result<Preview, Rejection> {
    let (verification, mapped) = match app.map(&arrival).await {
        Ok(mapped) => {
            let verify = &app.config().routes[&arrival.route].verify;
            let how = match verify {
                Verify::Schemes(_) => format!("verified: {verify}"),
                Verify::Nothing | Verify::ByAws => verify.to_string(),
            };
            (how, mapped)
        }
        Err(Rejection::Unverified { refusal, .. }) => (
            format!("{REFUSED}, would be answered 401: {refusal}"),
            app.map_unverified(&arrival).await?,
        ),
        Err(Rejection::Secret(error)) => (
            format!("not checked: {error}"),
            app.map_unverified(&arrival).await?,
        ),
        Err(other) => return Err(other),
    };
    let Mapped {
        delivery_id,
        updates,
        ignored,
    } = mapped;
    Ok(Preview {
        route: Some(arrival.route),
        delivery_id: Some(delivery_id),
        refused: verification.starts_with(REFUSED),
        verification,
        updates,
        ignored,
    })
}

/// Tells what an event file asks for.
async fn read(text: &str, route: Option<&str>, heard: Trigger) -> Result<Asked, String> {
    let event: &RawValue =
        serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))?;
    match Invocation::parse(event) {
        Ok(Invocation::UpdateRequest(request)) if route.is_none() => {
            let request = update_request(request.get().as_bytes());
            request
                .map(Asked::Update)
                .map_err(|rejection| rejection.to_string())
        }
        Ok(Invocation::Delivery(arrival)) if route.is_none_or(|route| route == arrival.route) => {
            Ok(Asked::Delivery(Box::new(arrival)))
        }
        Ok(Invocation::Http(event)) => {
            let request = event
                .into_request()
                .map_err(|rejection| rejection.to_string())?;
            let (parts, body) = request.into_parts();
            let body = to_bytes(body, usize::MAX)
                .await
                .map_err(|error| error.to_string())?;
            let path = parts.uri.path();
            let named = path
                .strip_prefix("/hooks/")
                .map(|below| below.split_once('/').unwrap_or((below, "")));
            if path == "/jobs" && parts.method == Method::POST {
                let request = serde_json::from_slice(&body)
                    .map_err(|error| format!("its body is not JSON: {error}"))?;
                return Ok(Asked::Update(request));
            }
            let rest = named.map_or("", |(_, rest)| rest).to_owned();
            match route.or(named.map(|(route, _)| route)) {
                Some(route) => {
                    let query = parts.uri.query().unwrap_or_default().to_owned();
                    let (method, headers) = (parts.method.clone(), parts.headers);
                    let origin =
                        Origin::of(Trigger::Http).with("method", Some(parts.method.as_str()));
                    Ok(Asked::Delivery(Box::new(Arrival {
                        route: route.to_owned(),
                        method,
                        rest,
                        headers,
                        query,
                        body,
                        origin,
                    })))
                }
                None => Ok(Asked::Nothing(format!(
                    "{} {path} asks for no update, so there is nothing to plan",
                    parts.method
                ))),
            }
        }
        Ok(Invocation::AwsEvents(notices)) => Ok(Asked::Notices(notices)),
        Ok(Invocation::SqsBatch(messages))
            if messages.iter().all(SqsMessage::is_wake_up_shaped) && route.is_none() =>
        {
            Ok(Asked::Nothing(WAKES.to_owned()))
        }
        Ok(Invocation::SqsBatch(messages)) => {
            let notices = messages.iter().map(SqsMessage::to_event).collect();
            Ok(Asked::Notices(notices))
        }
        Ok(Invocation::Sweep) if route.is_none() => Ok(Asked::Nothing(WAKES.to_owned())),
        // Anything else is a bare body, as long as somebody says for which route.
        Ok(Invocation::UpdateRequest(_) | Invocation::Delivery(_) | Invocation::Sweep) | Err(_) => {
            match route {
                Some(route) => {
                    let body = Bytes::copy_from_slice(text.as_bytes());
                    Ok(Asked::Delivery(Box::new(Arrival {
                        origin: Origin::of(heard),
                        ..Arrival::post(route.to_owned(), HeaderMap::new(), body)
                    })))
                }
                None => Err("is a bare body; say with --route which route it is for".to_owned()),
            }
        }
    }
}

impl Preview {
    fn outlooks(&self) -> impl Iterator<Item = (&UpdateRequest, Outlook<'_>)> {
        self.updates
            .iter()
            .map(|update| (update, Outlook::of(update, &Limits::ZOHO)))
    }

    fn to_json(&self) -> Value {
        let updates: Vec<Value> = self
            .outlooks()
            .map(
                |(update, outlook)| json!({"request": update.to_json(), "plan": outlook.to_json()}),
            )
            .collect();
        json!({
            "route": self.route,
            "delivery_id": self.delivery_id,
            "verification": self.verification,
            "updates": updates,
            "ignored": self.ignored.map(|why| why.to_string()),
        })
    }

    fn to_text(&self) -> String {
        /// A call's JSON beyond this is cut in the text: nobody reads 500 ids.
        const SHOWN: usize = 1_500;
        let mut lines = Vec::new();
        if let Some(route) = &self.route {
            lines.push(format!("route      {route}"));
            lines.push(format!("signature  {}", self.verification));
        }
        if let Some(why) = self.ignored {
            lines.push(format!("ignored    {why}; see --explain"));
            return lines.join("\n");
        }
        if let Some(id) = &self.delivery_id {
            lines.push(format!("delivery   {id}"));
        }
        for (_, outlook) in self.outlooks() {
            lines.push(format!("plan       {outlook}"));
            for (call, body) in outlook.calls() {
                let body = body.to_string();
                let shown: String = body.chars().take(SHOWN).collect();
                let cut = if shown.len() < body.len() {
                    "… (all of it with --json)"
                } else {
                    ""
                };
                lines.push(format!("{:>5}. {shown}{cut}", call.seq));
            }
            lines.push(format!("automation {}", outlook.automation()));
            for warning in outlook.warnings() {
                lines.push(format!("note       {warning}"));
            }
        }
        lines.join("\n")
    }
}
