//! Judges every request to the console before it is routed: a layer over all paths.
//!
//! A path is refused unless it has one spelling only, so no other spelling of a path passes a check that the path itself
//! would fail. Paths other than files of the page need the token.

use std::sync::Arc;
use std::time::Instant;

use ::http::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, ORIGIN,
    REFERRER_POLICY, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use ::http::request::Parts;
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::assets::{self, Asset};
use super::hosts::AllowedHosts;
use super::token::{Credential, WrongTokens};
use crate::app::App;
use crate::config::HostAndPort;
use crate::inbound::rejection::Rejection;

/// What the page may do: load its own files, and talk to its own listener.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
    require-trusted-types-for 'script'; trusted-types 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Headers of every response.
const HEADERS: [(HeaderName, &str); 8] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=()",
    ),
];

/// Paths whose POST changes nothing, so that a read-only console answers it.
const READING_POSTS: &[&str] = &["/api/playground"];

/// The path that the key for metrics opens, too.
pub(super) const METRICS_PATH: &str = "/metrics";

/// The guard of a console.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) hosts: AllowedHosts,
    pub(super) credential: Credential,
    pub(super) read_only: bool,
    pub(super) wrong_tokens: WrongTokens,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// The target is no plain path, or the path has another spelling.
    #[error(
        "the console serves plain paths only: no percent-encoding, no empty or dot segments, no whole URL"
    )]
    Target,
    /// The `Host` header is missing or of another site.
    #[error(
        "the console does not serve this host; open it under the address that it printed, or add the name to `console.hosts`"
    )]
    Host,
    /// The request comes from a page of another site.
    #[error(
        "the request comes from a page of another site; open the console by typing its address"
    )]
    OtherSite,
    /// The method is not served.
    #[error("the console serves GET, HEAD and POST only")]
    Method,
    /// The token is missing.
    #[error(
        "this needs the header `Authorization: Bearer` with the token that the console printed when it started, or with the key of `console.key`"
    )]
    TokenMissing,
    /// The token is wrong.
    #[error("the token is wrong; a new one is printed each time the console starts")]
    TokenWrong,
    /// Too many wrong tokens.
    #[error(
        "too many wrong tokens; wait a few seconds and use the token that the console printed when it started"
    )]
    TooManyWrongTokens,
    /// The path does not exist.
    #[error("there is nothing here; the console's API is below /api")]
    NoSuchPath,
    /// The console is read-only.
    #[error(
        "this console is read-only; start it without `--console-read-only` (`masshook console`: without `--read-only`), or use the command line"
    )]
    ReadOnly,
}

impl Refusal {
    fn status_and_code(self) -> (StatusCode, &'static str) {
        match self {
            Self::Target => (StatusCode::BAD_REQUEST, "console_path_invalid"),
            Self::Host => (StatusCode::MISDIRECTED_REQUEST, "console_host_refused"),
            Self::OtherSite => (StatusCode::FORBIDDEN, "console_origin_refused"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::TokenMissing | Self::TokenWrong => {
                (StatusCode::UNAUTHORIZED, "console_token_wrong")
            }
            Self::TooManyWrongTokens => (StatusCode::TOO_MANY_REQUESTS, "console_token_wrong"),
            Self::NoSuchPath => (StatusCode::NOT_FOUND, "no_such_path"),
            Self::ReadOnly => (StatusCode::FORBIDDEN, "console_read_only"),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, code) = self.status_and_code();
        let problem = json!({
            "type": format!("urn:masshook:problem:{code}"),
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "code": code,
            "detail": self.to_string(),
        });
        let content_type = [(CONTENT_TYPE, "application/problem+json")];
        let mut response = (status, content_type, problem.to_string()).into_response();
        let extra = match self {
            Self::Method => Some((ALLOW, "GET, HEAD, POST")),
            Self::TokenMissing | Self::TokenWrong => Some((WWW_AUTHENTICATE, "Bearer")),
            Self::TooManyWrongTokens => Some((RETRY_AFTER, "5")),
            Self::Target | Self::Host | Self::OtherSite | Self::NoSuchPath | Self::ReadOnly => None,
        };
        if let Some((name, value)) = extra {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// What a request that passed may have.
#[derive(Debug)]
enum Passed {
    /// A file of the page.
    Asset(&'static Asset),
    /// Anything else, with the right token.
    WithToken,
}

/// The layer: judges the request, routes it, and sets the headers of the response.
pub(super) async fn guard(
    State((guard, app)): State<(Arc<Guard>, Arc<App>)>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let mut response = match guard.judge(&parts) {
        Err(refusal) => refusal.into_response(),
        Ok(Passed::Asset(asset)) => asset.respond(&parts.method),
        Ok(Passed::WithToken) => match guard.check_token(&app, &parts).await {
            Err(response) => response,
            Ok(()) => next.run(Request::from_parts(parts, body)).await,
        },
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

impl Guard {
    /// Judges a request by everything but its token.
    fn judge(&self, parts: &Parts) -> Result<Passed, Refusal> {
        let path = plain_path(&parts.uri).ok_or(Refusal::Target)?;
        let host = self.checked_host(&parts.headers)?;
        let asset = assets::find(path);
        check_site(&parts.headers, &host, asset.is_some())?;
        if let Some(asset) = asset {
            return Ok(Passed::Asset(asset));
        }
        let reads = parts.method == Method::GET || parts.method == Method::HEAD;
        if !reads && parts.method != Method::POST {
            return Err(Refusal::Method);
        }
        if self.read_only && !reads && !READING_POSTS.contains(&path) {
            return Err(Refusal::ReadOnly);
        }
        Ok(Passed::WithToken)
    }

    fn checked_host(&self, headers: &HeaderMap) -> Result<HostAndPort, Refusal> {
        let host = only_value(headers, &HOST).and_then(|host| host.parse().ok());
        host.filter(|host| self.hosts.allows(host))
            .ok_or(Refusal::Host)
    }

    async fn check_token(&self, app: &App, parts: &Parts) -> Result<(), Response> {
        let headers = &parts.headers;
        if headers.get(AUTHORIZATION).is_none() {
            return Err(Refusal::TokenMissing.into_response());
        }
        let given = only_value(headers, &AUTHORIZATION).and_then(bearer_token);
        let is_right = match (&self.credential, given) {
            (_, None) => false,
            (Credential::Token(token), Some(given)) => token.matches(given),
            (Credential::ConfiguredKey, Some(given)) => app
                .is_console_key(given)
                .await
                .map_err(Rejection::into_response)?,
        };
        let may_scrape = match (is_right, given) {
            (false, Some(given)) if parts.uri.path() == METRICS_PATH => app
                .is_metrics_key(given)
                .await
                .map_err(Rejection::into_response)?,
            (_, _) => false,
        };
        match is_right || may_scrape {
            true => Ok(()),
            false => Err(self.refuse_token(Instant::now()).into_response()),
        }
    }

    fn refuse_token(&self, now: Instant) -> Refusal {
        match self.wrong_tokens.count(now) {
            true => {
                tracing::warn!("401 a request to the console has a wrong token");
                Refusal::TokenWrong
            }
            false => Refusal::TooManyWrongTokens,
        }
    }
}

/// The path, if it has one spelling only.
fn plain_path(uri: &Uri) -> Option<&str> {
    if uri.scheme().is_some() || uri.authority().is_some() {
        return None;
    }
    let path = uri.path();
    let rest = path.strip_prefix('/')?;
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b':');
    let is_plain =
        |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(allowed);
    (rest.is_empty() || rest.split('/').all(is_plain)).then_some(path)
}

/// Refuses requests that a page of another site makes.
fn check_site(headers: &HeaderMap, host: &HostAndPort, is_asset: bool) -> Result<(), Refusal> {
    if headers.contains_key(ORIGIN) {
        let is_own = only_value(headers, &ORIGIN).is_some_and(|origin| host.is_origin(origin));
        if !is_own {
            return Err(Refusal::OtherSite);
        }
    }
    let name = HeaderName::from_static("sec-fetch-site");
    if !headers.contains_key(&name) {
        // A program, or an old browser.
        return Ok(());
    }
    match only_value(headers, &name) {
        Some("same-origin" | "none") => Ok(()),
        // A link on a page of the same machine, such as a dashboard on another port.
        Some("same-site") if is_asset => Ok(()),
        _ => Err(Refusal::OtherSite),
    }
}

/// The value of a header that occurs once.
fn only_value<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    match values.next() {
        None => value.to_str().ok(),
        Some(_) => None,
    }
}

fn bearer_token(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_of(target: &str) -> Option<String> {
        let uri: Uri = target.parse().ok()?;
        plain_path(&uri).map(str::to_owned)
    }

    #[test]
    fn path_with_another_spelling_is_refused() {
        for path in [
            "/",
            "/api/status",
            "/api/jobs/job_0af3",
            "/app.js",
            "/api/routes/a.b:c",
        ] {
            assert_eq!(path_of(path).as_deref(), Some(path));
        }
        assert_eq!(path_of("/api/jobs?q=%2e%2e/").as_deref(), Some("/api/jobs"));
        for target in [
            "*",
            "http://127.0.0.1/api/status",
            "127.0.0.1:80",
            "//api/status",
            "/api//status",
            "/api/",
            "/api/.",
            "/api/../metrics",
            "/./api",
            "/%61pi/status",
            "/api%2fstatus",
            "/%2e%2e/api",
            "/api/%00",
            "/api;x/status",
            "/api\\status",
            "/api/\u{e9}",
        ] {
            assert_eq!(path_of(target), None, "{target}");
        }
    }
}
