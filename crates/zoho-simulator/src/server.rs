//! The HTTP side: a request is taken apart, treated, and its answer written.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, State as Shared};
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use jiff::Timestamp;

use crate::admin;
use crate::answer::{Answer, Content};
use crate::connection::Cut;
use crate::endpoint::Endpoint;
use crate::limits;
use crate::state::{Request, State};

/// Bytes that a body may have.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// The value of every cookie: nothing is behind it, and no client of an API sends it back.
const COOKIE: &str = "5150b4f1-0000-4000-8000-51a1a7ed0000";

/// The build of the CRM that answers.
const CLIENT_VERSION: &str = "14021";

/// The state that all requests share. It is locked only while nothing is awaited.
pub(crate) type SharedState = Arc<Mutex<State>>;

/// The state, even if a request panicked while it held it.
pub(crate) fn lock(state: &SharedState) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a request comes in: the state, and which of its data centres is asked.
pub(crate) type Door = (SharedState, usize);

/// One service for every path: Zoho has answers of its own for what a router would refuse.
pub(crate) fn service(door: Door) -> axum::Router {
    axum::Router::new().fallback(handle).with_state(door)
}

/// Counts a CRM request as in flight until it is answered, or its client goes away.
struct Flight<'a> {
    state: &'a SharedState,
    complex: bool,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let log = &mut lock(self.state).log;
        log.in_flight -= 1;
        log.complex_in_flight -= usize::from(self.complex);
    }
}

async fn handle(
    Shared((state, center)): Shared<Door>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: axum::extract::Request,
) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MOST_BYTES).await else {
        return write(Answer::empty(413));
    };
    let method = head.method.as_str().to_owned();
    let path = head.uri.path().to_owned();
    if let Some(path) = path.strip_prefix("/_sim/") {
        return write(admin::serve(&mut lock(&state), &method, path, &body));
    }
    let query = head.uri.query().unwrap_or_default();
    let request = Request {
        center,
        endpoint: Endpoint::of(&method, &path),
        query: form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect(),
        headers: head.headers,
        method,
        path,
        body,
    };
    let treatment = lock(&state).arrive(&request);
    let _flight = (!request.endpoint.accounts()).then(|| Flight {
        state: &state,
        complex: limits::complex(&request),
    });
    if !treatment.before.is_zero() {
        tokio::time::sleep(treatment.before).await;
    }
    let worked = treatment.apply.then(|| lock(&state).serve(&request));
    if !treatment.after.is_zero() {
        tokio::time::sleep(treatment.after).await;
    }
    if treatment.cut {
        cut.now();
    }
    let answer = treatment
        .instead
        .or(worked)
        .unwrap_or_else(|| Answer::plain(500));
    let now = lock(&state).now();
    let mut response = write(dressed(answer, &request, now));
    // What a script says stands in the place of what is usual.
    set(response.headers_mut(), treatment.headers);
    response
}

/// What recorded answers carry beside their content. The date is that of the clock that everything here goes by.
fn dressed(answer: Answer, request: &Request, now: Timestamp) -> Answer {
    let json = matches!(answer.body, Content::Json(_));
    let answer = answer.with("Date", now.strftime("%a, %d %b %Y %H:%M:%S GMT"));
    let cookie = |name: &str| format!("{name}={COOKIE};path=/;Secure;priority=high");
    if request.endpoint.accounts() {
        let answer = answer.with("X-Frame-Options", "SAMEORIGIN");
        return ["iamcsr", "_zcsr_tmp"]
            .into_iter()
            .fold(answer, |answer, name| {
                answer.with("Set-Cookie", cookie(name))
            });
    }
    let answer = answer.with("clientVersion", CLIENT_VERSION);
    let answer = match json {
        true => answer.with("Content-Disposition", "attachment; filename=response.json"),
        false => answer,
    };
    ["crmcsr", "_zcsr_tmp", "JSESSIONID"]
        .into_iter()
        .fold(answer, |answer, name| {
            answer.with("Set-Cookie", cookie(name))
        })
}

fn write(answer: Answer) -> Response {
    let (content_type, body) = match answer.body {
        Content::Json(text) => ("application/json;charset=UTF-8", Body::from(text)),
        Content::Html(page) => ("text/html;charset=UTF-8", Body::from(page)),
        Content::Empty => ("", Body::empty()),
    };
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::SERVER, HeaderValue::from_static("ZGS"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-store, no-cache, must-revalidate, private"),
    );
    if !content_type.is_empty() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
            headers.append(name, value);
        }
    }
    response
}

/// Sets headers; one that HTTP does not allow is left out.
fn set(headers: &mut HeaderMap, given: Vec<(String, String)>) {
    for (name, value) in given {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
            headers.insert(name, value);
        }
    }
}
