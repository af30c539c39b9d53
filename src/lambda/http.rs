//! HTTP requests as API Gateway, Function URLs and load balancers pass them on, and answers as they want them.
//!
//! What a sender wrote can be anything. What cannot be a request is answered 400, and never ends the invocation: AWS would
//! make a 502 of that. So requests are read here rather than by `lambda_http`, whose conversion panics where a path or a
//! `Host` is no part of a URL; answers are its types.

use std::borrow::Cow;

use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use lambda_http::aws_lambda_events::alb::AlbTargetGroupResponse;
use lambda_http::aws_lambda_events::apigw::{ApiGatewayProxyResponse, ApiGatewayV2httpResponse};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use super::InvokeError;
use crate::api::few_headers;
use crate::app::rejection::Rejection;

/// Which format a request came in, and its answer goes out in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// HTTP API with payload 2.0, and Function URL.
    V2,
    /// REST API, and HTTP API with payload 1.0.
    V1,
    /// Application load balancer.
    Alb,
}

/// A request that came as an event, or why it cannot be one.
#[derive(Debug)]
pub struct HttpEvent {
    format: Format,
    request: Result<Request<Bytes>, Rejection>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    version: Option<String>,
    request_context: Context,
    raw_path: Option<String>,
    raw_query_string: Option<String>,
    cookies: Option<Vec<String>>,
    http_method: Option<String>,
    path: Option<String>,
    headers: Option<Map<String, Value>>,
    multi_value_headers: Option<Map<String, Value>>,
    query_string_parameters: Option<Map<String, Value>>,
    multi_value_query_string_parameters: Option<Map<String, Value>>,
    #[serde(borrow)]
    body: Option<Cow<'a, str>>,
    is_base64_encoded: Option<bool>,
}

#[derive(Deserialize)]
struct Context {
    http: Option<Http>,
    elb: Option<serde::de::IgnoredAny>,
    stage: Option<String>,
}

#[derive(Deserialize)]
struct Http {
    method: String,
}

impl HttpEvent {
    /// Reads an event with a `requestContext`.
    pub(super) fn read(event: &RawValue) -> Result<Self, InvokeError> {
        let unknown = |why: &str| {
            super::detect::unknown(format!(
                "the event has a `requestContext`, but is no HTTP API v2, REST v1, Function URL or ALB request: {why}"
            ))
        };
        let wire: Wire<'_> =
            serde_json::from_str(event.get()).map_err(|error| unknown(&error.to_string()))?;
        let (format, method) = match (&wire.request_context, &wire.http_method) {
            (
                Context {
                    http: Some(http), ..
                },
                _,
            ) => (Format::V2, http.method.clone()),
            (Context { elb: Some(_), .. }, Some(method)) => (Format::Alb, method.clone()),
            (_, Some(method)) => (Format::V1, method.clone()),
            (_, None) => {
                return Err(unknown(
                    "it has neither `requestContext.http` nor `httpMethod`",
                ));
            }
        };
        let request = wire.request(format, &method);
        Ok(Self { format, request })
    }

    /// The request, as the router takes it: the path without the API's stage, the body decoded.
    ///
    /// # Errors
    /// [`Rejection`], if what came cannot be a request.
    pub fn into_request(self) -> Result<Request<Body>, Rejection> {
        self.request.map(|request| request.map(Body::from))
    }

    /// Answers the request by `service`, in the format of whoever passed it on.
    pub(super) async fn answer<F: Future<Output = Response>>(
        self,
        service: impl FnOnce(Request<Body>) -> F,
    ) -> Result<Box<RawValue>, InvokeError> {
        let format = self.format;
        let response = match self.into_request() {
            Ok(request) => service(request).await,
            Err(rejection) => rejection.into_response(),
        };
        written(response, format).await
    }
}

fn malformed(what: &str) -> Rejection {
    Rejection::Unreceived(what.to_owned())
}

impl Wire<'_> {
    fn request(self, format: Format, method: &str) -> Result<Request<Bytes>, Rejection> {
        let mut request = Request::new(Bytes::new());
        *request.method_mut() =
            Method::try_from(method).map_err(|_| malformed("its method is none"))?;
        *request.uri_mut() = self.uri(format)?;
        *request.headers_mut() = self.headers()?;
        let body = self.body.unwrap_or_default();
        *request.body_mut() = match self.is_base64_encoded {
            Some(true) => STANDARD
                .decode(body.as_bytes())
                .map_err(|_| malformed("its body is said to be base64, and is not"))?
                .into(),
            Some(false) | None => Bytes::from(body.into_owned()),
        };
        Ok(request)
    }

    fn uri(&self, format: Format) -> Result<Uri, Rejection> {
        let path = self.raw_path.as_ref().or(self.path.as_ref());
        let path = self.without_stage(format, path.map_or("/", String::as_str));
        let written = self.raw_query_string.iter().chain(&self.raw_path);
        if written
            .into_iter()
            .any(|text| text.contains(char::is_control))
        {
            return Err(malformed("its path or query has a control character in it"));
        }
        let query = match (&self.raw_query_string, format) {
            (Some(raw), _) => raw.clone(),
            // Load balancers leave the query as it was written, REST APIs decode it.
            (None, Format::Alb) => {
                let pairs = self.query_pairs()?.into_iter();
                let pairs: Vec<String> = pairs
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                pairs.join("&")
            }
            (None, Format::V1 | Format::V2) => form_urlencoded::Serializer::new(String::new())
                .extend_pairs(self.query_pairs()?)
                .finish(),
        };
        let mut text = String::from("/");
        text.push_str(&escaped(path.trim_start_matches('/')).replace('?', "%3F"));
        if !query.is_empty() {
            text.push('?');
            text.push_str(&escaped(&query));
        }
        Uri::try_from(text).map_err(|_| malformed("its path and query are no URL, or too long"))
    }

    /// Named stages of HTTP APIs stand in the path, `$default` does not. REST APIs leave them out.
    fn without_stage<'p>(&self, format: Format, path: &'p str) -> &'p str {
        let in_path = match format {
            Format::V2 => true,
            Format::V1 => self.version.as_deref() == Some("1.0"),
            Format::Alb => false,
        };
        let stage = self.request_context.stage.as_deref().filter(|_| in_path);
        let without = stage.and_then(|stage| path.strip_prefix('/')?.strip_prefix(stage));
        without
            .filter(|rest| rest.is_empty() || rest.starts_with('/'))
            .unwrap_or(path)
    }

    fn query_pairs(&self) -> Result<Vec<(&str, &str)>, Rejection> {
        pairs(
            self.multi_value_query_string_parameters.as_ref(),
            self.query_string_parameters.as_ref(),
        )
        .ok_or_else(|| malformed("its query parameters are no texts"))
    }

    fn headers(&self) -> Result<HeaderMap, Rejection> {
        let pairs = pairs(self.multi_value_headers.as_ref(), self.headers.as_ref());
        let pairs = pairs.ok_or_else(|| malformed("its headers are no texts"))?;
        few_headers(pairs.len())?;
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let shown: String = name.chars().take(80).collect();
            let name = HeaderName::try_from(name)
                .map_err(|_| malformed(&format!("{shown:?} is no name of a header")))?;
            let value = HeaderValue::try_from(value)
                .map_err(|_| malformed(&format!("header `{shown}` has a value that is none")))?;
            headers.append(name, value);
        }
        if let Some(cookies) = self.cookies.as_ref().filter(|cookies| !cookies.is_empty()) {
            let value = HeaderValue::try_from(cookies.join("; "))
                .map_err(|_| malformed("its cookies are no header value"))?;
            headers.insert(COOKIE, value);
        }
        Ok(headers)
    }
}

/// Names and values: of the map with all values, if it is there, or else of the one with the last of each.
fn pairs<'a>(
    all: Option<&'a Map<String, Value>>,
    last: Option<&'a Map<String, Value>>,
) -> Option<Vec<(&'a str, &'a str)>> {
    let map = all
        .filter(|map| !map.is_empty())
        .or(last)
        .into_iter()
        .flatten();
    let mut pairs = Vec::new();
    for (name, value) in map {
        match value {
            Value::String(text) => pairs.push((name.as_str(), text.as_str())),
            Value::Array(texts) => {
                for text in texts {
                    pairs.push((name, text.as_str()?));
                }
            }
            // The test button of the console leaves values out.
            Value::Null => {}
            Value::Bool(_) | Value::Number(_) | Value::Object(_) => return None,
        }
    }
    Some(pairs)
}

/// What may stand in a path or a query as it is, and anything else percent-encoded.
fn escaped(text: &str) -> String {
    const NOT_IN_URLS: &[u8] = b"\"#<>\\^`{|}";
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !NOT_IN_URLS.contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// The answer as an event's caller wants it.
async fn written(response: Response, format: Format) -> Result<Box<RawValue>, InvokeError> {
    let (parts, body) = response.into_parts();
    let status_code = i64::from(parts.status.as_u16());
    // Our own answers come from memory: nothing is left to fail.
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let body = match String::from_utf8(body.into()) {
        Ok(text) => lambda_http::Body::Text(text),
        Err(bytes) => lambda_http::Body::Binary(bytes.into_bytes()),
    };
    let is_base64_encoded = matches!(body, lambda_http::Body::Binary(_));
    let answer = match format {
        Format::V2 => {
            let mut answer = ApiGatewayV2httpResponse::default();
            answer.status_code = status_code;
            answer.headers = parts.headers;
            answer.body = Some(body);
            answer.is_base64_encoded = is_base64_encoded;
            to_raw_value(&answer)
        }
        Format::V1 => {
            let mut answer = ApiGatewayProxyResponse::default();
            answer.status_code = status_code;
            // Named in both maps, a header would be sent twice.
            answer.multi_value_headers = parts.headers;
            answer.body = Some(body);
            answer.is_base64_encoded = is_base64_encoded;
            to_raw_value(&answer)
        }
        Format::Alb => {
            let mut answer = AlbTargetGroupResponse::default();
            answer.status_code = status_code;
            let reason = parts.status.canonical_reason().unwrap_or_default();
            answer.status_description = Some(format!("{status_code} {reason}"));
            // A load balancer reads one of the two, by an attribute of its target group.
            answer.headers = parts.headers.clone();
            answer.multi_value_headers = parts.headers;
            answer.body = Some(body);
            answer.is_base64_encoded = is_base64_encoded;
            to_raw_value(&answer)
        }
    };
    Ok(answer?)
}
