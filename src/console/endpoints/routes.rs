//! `GET /api/routes`, `GET /api/routes/{name}` and `POST /api/routes/{name}/sample`.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::http::{Request as HttpRequest, StatusCode};
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::super::listener::ConsoleSettings;
use crate::api::{json_response, read_request_body, router as api_router};
use crate::app::{App, SampleDelivery};
use crate::config::RouteExample;
use crate::inbound::cloud_events::{STRUCTURED_TYPE, is_structured};
use crate::inbound::rejection::Rejection;

/// Bytes of the request for a sample, and of an example.
const MAX_BYTES: usize = 64 << 10;

/// Jobs of a sample that are named.
const MAX_JOBS: usize = 20;

/// Lists the routes.
pub(super) async fn list(app: Arc<App>, settings: Arc<ConsoleSettings>) -> Response {
    let mut routes = app.describe_routes().await;
    for route in &mut routes {
        add_url(&app, &settings, route);
    }
    json_response(StatusCode::OK, &json!({"routes": routes}))
}

/// Shows a route.
pub(super) async fn show(
    app: Arc<App>,
    settings: Arc<ConsoleSettings>,
    Path(name): Path<String>,
) -> Result<Response, Rejection> {
    let mut route = app.describe_route(&name).await?;
    add_url(&app, &settings, &mut route);
    let example = example_of(&app, &settings, &name).await;
    route["example_event"] = example.unwrap_or_default();
    Ok(json_response(StatusCode::OK, &route))
}

/// The example of a route beside the config, if there is one that the page can show.
async fn example_of(app: &App, settings: &ConsoleSettings, name: &str) -> Option<Value> {
    let (folder, route) = (settings.config.folder()?, name.to_owned());
    let is_only = app.config().routes.len() == 1;
    let read = move || RouteExample::of_route(&folder, &route, is_only);
    let example = tokio::task::spawn_blocking(read).await.ok().flatten();
    let example = example.filter(|example| !example.is_lambda_event())?;
    let body = example.body();
    let headers = example.headers();
    let mut headers: BTreeMap<String, String> = headers
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let takes_events = app.config().routes.get(name)?.cloudevents.is_some();
    let default = match takes_events && is_structured(body.as_bytes()) {
        true => STRUCTURED_TYPE,
        false => "application/json",
    };
    let content_type = headers.entry("content-type".to_owned());
    let content_type = content_type.or_insert_with(|| default.to_owned()).clone();
    (body.len() <= MAX_BYTES)
        .then(|| json!({"content_type": content_type, "headers": headers, "body": body}))
}

/// Adds the URL that the sender calls, and the commands that send a sample.
fn add_url(app: &App, settings: &ConsoleSettings, route: &mut Value) {
    let name = route["name"].as_str().unwrap_or_default().to_owned();
    let config = app.config();
    let public = config
        .routes
        .get(&name)
        .and_then(|route| route.public_url.as_ref());
    let (url, note) = match (public, &settings.server_url) {
        (Some(url), _) => (url.to_string(), "The route's `public_url`."),
        (None, Some(server)) => {
            let base = config.base_path.as_ref().map_or("", |base| base.as_str());
            (
                format!("{server}{base}/hooks/{name}"),
                "The address of this server as this machine reaches it; behind a proxy or a tunnel, use the address of that.",
            )
        }
        (None, None) => (
            format!("/hooks/{name}"),
            "Below the URL of your API: the stack's output `ApiUrl`.",
        ),
    };
    let to = match &settings.server_url {
        Some(server) => format!(" --to {server}"),
        None => String::new(),
    };
    let samples = route["samples"].as_array();
    let sample = samples.and_then(|samples| samples.first());
    let commands = match sample.and_then(|sample| sample["name"].as_str()) {
        Some("custom") | None => Vec::new(),
        Some(sender) => vec![format!("masshook send {sender} --route {name}{to}")],
    };
    route["url"] = url.into();
    route["url_note"] = note.into();
    route["commands"] = json!(commands);
}

/// The sample to send.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SampleRequest {
    /// The sender's scheme; the first one of the route by default.
    #[serde(default)]
    sender: Option<String>,
}

/// Signs a sample of a route's sender and delivers it to this server.
pub(super) async fn send_sample(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Rejection> {
    let (parts, body) = request.into_parts();
    let body = read_request_body(body, MAX_BYTES, &parts).await?;
    let invalid = |error: serde_json::Error| Rejection::SampleNotSigned(error.to_string());
    let requested: SampleRequest = match body.is_empty() {
        true => SampleRequest::default(),
        false => serde_json::from_slice(&body).map_err(invalid)?,
    };
    let sample = app.sign_sample(&name, requested.sender.as_deref()).await?;
    let response = api_router(app).oneshot(to_request(&app_path(&name, &sample), sample)?);
    let response = response.await.unwrap_or_else(|never| match never {});
    let status = response.status();
    let text = axum::body::to_bytes(response.into_body(), 4 << 20).await;
    let text = text.map_err(|error| Rejection::SampleNotSigned(error.to_string()))?;
    let answer: Value = serde_json::from_slice(&text).unwrap_or_default();
    let jobs = answer["jobs"].as_array().into_iter().flatten();
    let jobs: Vec<&Value> = jobs.map(|job| &job["id"]).take(MAX_JOBS).collect();
    let problem = (!status.is_success()).then(|| answer["detail"].clone());
    let sent = json!({"status": status.as_u16(), "jobs": jobs, "problem": problem});
    Ok(json_response(StatusCode::OK, &sent))
}

/// The path and query of a sample.
fn app_path(route: &str, sample: &SampleDelivery) -> String {
    webhook_verify::verify::request_url(&format!("/hooks/{route}"), &sample.path, &sample.query)
}

fn to_request(target: &str, sample: SampleDelivery) -> Result<Request, Rejection> {
    let request = HttpRequest::builder()
        .method(sample.method)
        .uri(target)
        .body(Body::from(sample.body));
    let mut request = request.map_err(|error| Rejection::SampleNotSigned(error.to_string()))?;
    *request.headers_mut() = sample.headers;
    Ok(request)
}
