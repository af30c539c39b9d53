//! What the log says about a request: its span, and the line about an accepted delivery.

use ::http::{HeaderMap, StatusCode};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;
use tracing::field::Empty;

use super::trace_id::{w3c_trace_id, xray_trace_id};
use crate::app::Acceptance;
use crate::job::Job;
use crate::telemetry::continue_trace;

/// Characters of a path that are logged. Nothing behind them helps to find a mistake in a URL.
const MAX_PATH_CHARS: usize = 120;

/// Jobs that a line names.
const MAX_JOBS: usize = 3;

/// The address of the sender. An extension of requests.
#[derive(Clone, Debug)]
pub struct ClientAddress(pub String);

/// Runs a request in a span with its method, path, sender and trace ids, so that each line about it has them.
pub(super) async fn log_request(request: Request, next: Next) -> Response {
    let client = request.extensions().get::<ClientAddress>();
    let client = client.map(|client| client.0.as_str());
    let headers = request.headers();
    let path = logged_path(request.uri().path());
    let span = tracing::info_span!(
        "request",
        http.method = request.method().as_str(),
        url.path = path,
        route = path.strip_prefix("/hooks/").map(first_segment),
        client.address = client,
        delivery.id = Empty,
        trace_id = text_of(headers, "traceparent").and_then(w3c_trace_id),
        xray.trace_id = text_of(headers, "x-amzn-trace-id").and_then(xray_trace_id),
        http.status = Empty,
    );
    continue_trace(&span, headers);
    let response = next.run(request).instrument(span.clone()).await;
    span.record("http.status", response.status().as_u16());
    response
}

fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn first_segment(path: &str) -> &str {
    let segment = path.split('/').next().unwrap_or_default();
    segment.trim_end_matches('…')
}

/// A path without what may be a secret: some senders authenticate with a token below `/hooks/{route}`, and only known paths
/// are certain to have none in their second segment.
fn logged_path(path: &str) -> String {
    let mut segments = path.trim_start_matches('/').split('/');
    let first = segments.next().unwrap_or_default();
    let second = segments.next();
    let is_known = matches!(first, "hooks" | "jobs" | "health" | "deliveries");
    // A route's name has no other characters; what follows in an odd path may be the token.
    let second = second.map(|second| match second.find(|c: char| !is_of_name(c)) {
        Some(end) => (&second[..end], "…"),
        None => (second, ""),
    });
    let shown = match second {
        None => format!("/{first}"),
        Some((second, "")) if is_known && segments.next().is_some() => {
            format!("/{first}/{second}/…")
        }
        Some((second, cut)) if is_known => format!("/{first}/{second}{cut}"),
        Some(_) => format!("/{first}/…"),
    };
    shown.chars().take(MAX_PATH_CHARS).collect()
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}

/// Logs the outcome of a delivery, or of an update request if there is no route.
/// `delivery` is the id of the delivery's entry in the log of deliveries.
pub(super) fn log_accepted(
    route: Option<&str>,
    status: StatusCode,
    delivery: Option<&str>,
    accepted: &Acceptance,
) {
    let jobs = accepted.jobs();
    let Some(first) = jobs.first() else {
        return;
    };
    let source = first.source.as_ref();
    let delivery = delivery.or_else(|| source.map(|source| source.delivery.as_str()));
    let text = accepted_text(route, status, delivery, jobs);
    tracing::info!(
        http.status = status.as_u16(),
        route,
        delivery.id = delivery,
        job.id = %first.id,
        jobs = (jobs.len() > 1).then_some(jobs.len()),
        status = first.status().as_str(),
        "{text}"
    );
}

fn accepted_text(
    route: Option<&str>,
    status: StatusCode,
    delivery: Option<&str>,
    jobs: &[Job],
) -> String {
    let from = match (route, delivery) {
        (Some(route), Some(delivery)) => format!("{route} {delivery}"),
        (Some(name), None) | (None, Some(name)) => name.to_owned(),
        (None, None) => "POST /jobs".to_owned(),
    };
    let names = jobs.iter().take(MAX_JOBS).map(|job| job.id.as_str());
    let names = names.collect::<Vec<_>>().join(", ");
    let more = match jobs.len().saturating_sub(MAX_JOBS) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let state = jobs.first().map_or("", |job| job.status().as_str());
    let state = match jobs.iter().all(|job| job.status().as_str() == state) {
        true => state.replace('_', " "),
        false => "in several states".to_owned(),
    };
    format!("{} {from} -> {names}{more} {state}", status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logged_path_has_no_token() {
        for (path, shown) in [
            ("/hooks/form", "/hooks/form"),
            ("/hooks/form/s3cret", "/hooks/form/…"),
            ("/hooks/form/s3cret/more", "/hooks/form/…"),
            ("/hooks/form%2fs3cret", "/hooks/form…"),
            ("/hooks/form%2fs3cret/more", "/hooks/form…"),
            ("/hooks/form;s3cret", "/hooks/form…"),
            ("/jobs/job_1", "/jobs/job_1"),
            ("/crm/hooks/form/s3cret", "/crm/…"),
            ("/webhook/s3cret", "/webhook/…"),
            ("/", "/"),
            ("", "/"),
            ("*", "/*"),
        ] {
            assert_eq!(logged_path(path), shown, "{path}");
        }
        let long = logged_path(&format!("/hooks/{}", "a".repeat(5_000)));
        assert_eq!(long.chars().count(), MAX_PATH_CHARS);
    }
}
