//! The HTTP server: parses a request, applies its faults and writes its response.

mod connection;

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, State as Shared};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use tokio::net::TcpListener;

use self::connection::{ConnectionCutter, ResettableListener};
use crate::admin;
use crate::concurrency::is_complex;
use crate::endpoint::Endpoint;
use crate::request::Request;
use crate::request_handler;
use crate::response::{ApiResponse, ResponseBody};
use crate::state::State;

/// The largest request body that is read.
const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

/// The value of every cookie. It has no meaning, and API clients do not send it back.
const COOKIE: &str = "5150b4f1-0000-4000-8000-51a1a7ed0000";

/// The CRM build that responses report.
const CLIENT_VERSION: &str = "14021";

/// The state that all requests share. The lock is never held across an `await`.
type SharedState = Arc<Mutex<State>>;

/// Locks the state, even if another request panicked while it held the lock.
fn lock(state: &SharedState) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the handler of one listener needs.
#[derive(Clone)]
pub(crate) struct ServiceState {
    pub(crate) state: SharedState,
    /// Index of the data centre that listens there.
    pub(crate) data_center: usize,
}

/// Serves every path on one listener until `shutdown` completes.
pub(crate) async fn serve(
    listener: TcpListener,
    service: ServiceState,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    // One fallback instead of routes: Zoho has its own responses for what a router would reject.
    let router = axum::Router::new()
        .fallback(respond)
        .with_state(service)
        .into_make_service_with_connect_info::<ConnectionCutter>();
    axum::serve(ResettableListener(listener), router)
        .with_graceful_shutdown(shutdown)
        .await
}

/// Removes a CRM request from those in flight when it is answered or its client disconnects.
struct InFlightGuard<'a> {
    state: &'a SharedState,
    complex: bool,
}

impl Drop for InFlightGuard<'_> {
    fn drop(&mut self) {
        lock(self.state).in_flight.remove(self.complex);
    }
}

async fn respond(
    Shared(ServiceState { state, data_center }): Shared<ServiceState>,
    ConnectInfo(connection): ConnectInfo<ConnectionCutter>,
    request: axum::extract::Request,
) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
        return into_http(ApiResponse::empty(413));
    };
    let method = head.method.as_str().to_owned();
    let path = head.uri.path().to_owned();
    if let Some(path) = path.strip_prefix("/_sim/") {
        return into_http(admin::handle(&mut lock(&state), &method, path, &body));
    }
    let query = head.uri.query().unwrap_or_default();
    let request = Request {
        data_center,
        endpoint: Endpoint::resolve(&method, &path),
        query: form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect(),
        headers: head.headers,
        method,
        path,
        body,
    };
    let decision = request_handler::admit(&mut lock(&state), &request);
    let _in_flight = (!request.endpoint.is_accounts_server()).then(|| InFlightGuard {
        state: &state,
        complex: is_complex(&request),
    });
    if !decision.delay_before.is_zero() {
        tokio::time::sleep(decision.delay_before).await;
    }
    let handled = decision
        .apply
        .then(|| request_handler::handle(&mut lock(&state), &request));
    if !decision.delay_after.is_zero() {
        tokio::time::sleep(decision.delay_after).await;
    }
    if decision.reset_connection {
        connection.reset();
    }
    let response = decision
        .response
        .or(handled)
        .unwrap_or_else(|| ApiResponse::default_for(500));
    let (now, compresses) = {
        let state = lock(&state);
        (state.now(), state.faults.gzip && accepts_gzip(&request))
    };
    let response = with_standard_headers(response, &request, now);
    let mut response = match compresses {
        true => compressed(response),
        false => into_http(response),
    };
    // Scripted headers replace the standard ones.
    set_headers(response.headers_mut(), decision.headers);
    response
}

/// Adds the headers that recorded responses of Zoho carry. `Date` follows the simulator's clock.
fn with_standard_headers(response: ApiResponse, request: &Request, now: Timestamp) -> ApiResponse {
    let is_json = matches!(response.body, ResponseBody::Json(_));
    let response = response.with_header("Date", now.strftime("%a, %d %b %Y %H:%M:%S GMT"));
    if request.endpoint.is_accounts_server() {
        let response = response.with_header("X-Frame-Options", "SAMEORIGIN");
        return with_cookies(response, &["iamcsr", "_zcsr_tmp"]);
    }
    let response = response.with_header("clientVersion", CLIENT_VERSION);
    let response = match is_json {
        true => response.with_header("Content-Disposition", "attachment; filename=response.json"),
        false => response,
    };
    with_cookies(response, &["crmcsr", "_zcsr_tmp", "JSESSIONID"])
}

fn with_cookies(response: ApiResponse, names: &[&str]) -> ApiResponse {
    names.iter().fold(response, |response, name| {
        let cookie = format!("{name}={COOKIE};path=/;Secure;priority=high");
        response.with_header("Set-Cookie", cookie)
    })
}

fn into_http(response: ApiResponse) -> Response {
    let (content_type, body) = match response.body {
        ResponseBody::Json(text) => ("application/json;charset=UTF-8", Body::from(text)),
        ResponseBody::Html(page) => ("text/html;charset=UTF-8", Body::from(page)),
        ResponseBody::Empty => ("", Body::empty()),
    };
    let mut http = Response::new(body);
    *http.status_mut() =
        StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = http.headers_mut();
    headers.insert(header::SERVER, HeaderValue::from_static("ZGS"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-store, no-cache, must-revalidate, private"),
    );
    if !content_type.is_empty() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    for (name, value) in response.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
            headers.append(name, value);
        }
    }
    http
}

/// Whether a client accepts a compressed response.
fn accepts_gzip(request: &Request) -> bool {
    let accepted = request.headers.get(header::ACCEPT_ENCODING);
    let accepted = accepted.and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| accepted.split(',').any(|one| one.trim() == "gzip"))
}

/// The response with its body compressed. A response without a body is unchanged.
fn compressed(mut response: ApiResponse) -> Response {
    let text = match &mut response.body {
        ResponseBody::Json(text) | ResponseBody::Html(text) => std::mem::take(text),
        ResponseBody::Empty => return into_http(response),
    };
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let encoded = encoder
        .write_all(text.as_bytes())
        .and_then(|()| encoder.finish());
    let mut http = into_http(response);
    match encoded {
        Ok(encoded) => {
            *http.body_mut() = Body::from(encoded);
            http.headers_mut()
                .insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Err(_) => *http.body_mut() = Body::from(text),
    }
    http
}

/// Sets headers, and skips those that HTTP does not allow.
fn set_headers(headers: &mut HeaderMap, new: Vec<(String, String)>) {
    for (name, value) in new {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
            headers.insert(name, value);
        }
    }
}
