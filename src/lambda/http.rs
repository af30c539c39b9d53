//! HTTP requests from API Gateway, Function URLs and load balancers, and responses in their formats.
//!
//! A malformed request gets status 400 and never fails the invocation, which AWS would report as 502. Requests are therefore
//! read here and not by `lambda_http`, whose conversion panics if the path or the `Host` header is not valid in a URL. Responses use
//! the types of `lambda_http`.

use std::borrow::Cow;
use std::net::IpAddr;

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

use super::base_path::base_of;
use super::error::InvokeError;
use super::query::possible_queries;
use crate::api::{ClientAddress, OtherQueries, PublishedUnder, check_header_count};
use crate::inbound::rejection::Rejection;

/// Format of a request and its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HttpFormat {
    /// HTTP API with payload format 2.0, and Function URL.
    V2,
    /// REST API, and HTTP API with payload format 1.0.
    V1,
    /// Application Load Balancer.
    Alb,
}

/// An HTTP request in an event: the request, or the reason that the event contains none.
#[derive(Debug)]
pub struct HttpEvent {
    format: HttpFormat,
    request: Result<Request<Bytes>, Rejection>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProxyEvent<'a> {
    version: Option<String>,
    request_context: RequestContext,
    raw_path: Option<String>,
    raw_query_string: Option<String>,
    cookies: Option<Vec<String>>,
    http_method: Option<String>,
    path: Option<String>,
    resource: Option<String>,
    route_key: Option<String>,
    path_parameters: Option<Map<String, Value>>,
    headers: Option<Map<String, Value>>,
    multi_value_headers: Option<Map<String, Value>>,
    query_string_parameters: Option<Map<String, Value>>,
    multi_value_query_string_parameters: Option<Map<String, Value>>,
    #[serde(borrow)]
    body: Option<Cow<'a, str>>,
    is_base64_encoded: Option<bool>,
}

#[derive(Deserialize)]
struct RequestContext {
    http: Option<HttpContext>,
    identity: Option<Identity>,
    elb: Option<serde::de::IgnoredAny>,
    stage: Option<String>,
}

#[derive(Deserialize)]
struct HttpContext {
    method: String,
    #[serde(rename = "sourceIp")]
    source_ip: Option<String>,
}

/// Who sent a request with payload format 1.0.
#[derive(Deserialize)]
struct Identity {
    #[serde(rename = "sourceIp")]
    source_ip: Option<String>,
}

impl HttpEvent {
    /// Reads an event that has a `requestContext`.
    pub(super) fn parse(event: &RawValue) -> Result<Self, InvokeError> {
        let unknown = |why: &str| {
            InvokeError::unknown_event(format!(
                "the event has a `requestContext`, but is not an HTTP API v2, REST v1, Function URL or ALB request: {why}"
            ))
        };
        let parsed: ProxyEvent<'_> =
            serde_json::from_str(event.get()).map_err(|error| unknown(&error.to_string()))?;
        let (format, method) = match (&parsed.request_context, &parsed.http_method) {
            (
                RequestContext {
                    http: Some(http), ..
                },
                _,
            ) => (HttpFormat::V2, http.method.clone()),
            (RequestContext { elb: Some(_), .. }, Some(method)) => {
                (HttpFormat::Alb, method.clone())
            }
            (_, Some(method)) => (HttpFormat::V1, method.clone()),
            (_, None) => {
                return Err(unknown(
                    "it has neither `requestContext.http` nor `httpMethod`",
                ));
            }
        };
        let request = parsed.request(format, &method);
        Ok(Self { format, request })
    }

    /// The request for the router: the path without the API's stage, the body decoded.
    ///
    /// # Errors
    /// [`Rejection`] if the event does not contain a valid HTTP request.
    pub fn into_request(self) -> Result<Request<Body>, Rejection> {
        self.request.map(|request| request.map(Body::from))
    }

    /// Passes the request to `service` and returns its response in the format of the request.
    pub(super) async fn respond<F: Future<Output = Response>>(
        self,
        service: impl FnOnce(Request<Body>) -> F,
    ) -> Result<Box<RawValue>, InvokeError> {
        let format = self.format;
        let response = match self.into_request() {
            Ok(request) => service(request).await,
            Err(rejection) => rejection.into_response(),
        };
        response_event(response, format).await
    }
}

fn malformed(what: &str) -> Rejection {
    Rejection::BodyNotReceived(what.to_owned())
}

impl ProxyEvent<'_> {
    fn request(self, format: HttpFormat, method: &str) -> Result<Request<Bytes>, Rejection> {
        let mut request = Request::new(Bytes::new());
        *request.method_mut() =
            Method::try_from(method).map_err(|_| malformed("its method is not an HTTP method"))?;
        let (path, base) = self.path(format);
        let mut queries = self.queries(format)?.into_iter();
        *request.uri_mut() = self.uri(path, &queries.next().unwrap_or_default())?;
        if !base.is_empty() {
            let base = PublishedUnder(base.to_owned());
            request.extensions_mut().insert(base);
        }
        let other_queries: Vec<String> = queries.collect();
        if !other_queries.is_empty() {
            let other_queries = OtherQueries(other_queries);
            request.extensions_mut().insert(other_queries);
        }
        *request.headers_mut() = self.headers()?;
        if let Some(address) = self.client_address(format, request.headers()) {
            request.extensions_mut().insert(ClientAddress(address));
        }
        let body = self.body.unwrap_or_default();
        *request.body_mut() = match self.is_base64_encoded {
            Some(true) => STANDARD
                .decode(body.as_bytes())
                .map_err(|_| {
                    malformed("its body is not base64, although `isBase64Encoded` is true")
                })?
                .into(),
            Some(false) | None => Bytes::from(body.into_owned()),
        };
        Ok(request)
    }

    /// The path below the base path, and the base path.
    fn path(&self, format: HttpFormat) -> (&str, &str) {
        let path = self.raw_path.as_ref().or(self.path.as_ref());
        let path = self.without_stage(format, path.map_or("/", String::as_str));
        let route = self.route_key.as_deref();
        let template = match format {
            HttpFormat::V2 => route.and_then(|key| Some(key.split_once(' ')?.1)),
            HttpFormat::V1 => self.resource.as_deref(),
            HttpFormat::Alb => None,
        };
        let base = base_of(path, template, self.path_parameters.as_ref());
        (path.strip_prefix(base).unwrap_or(path), base)
    }

    /// The query as it was sent; several if it is known only without its encoding, the most likely one first.
    fn queries(&self, format: HttpFormat) -> Result<Vec<String>, Rejection> {
        if let Some(raw) = &self.raw_query_string {
            return Ok(vec![raw.clone()]);
        }
        let pairs = self.query_pairs()?;
        Ok(match format {
            // Load balancers pass the query as it was sent, REST APIs decode it.
            HttpFormat::Alb => {
                let pairs = pairs.into_iter();
                let pairs: Vec<String> = pairs
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                vec![pairs.join("&")]
            }
            HttpFormat::V1 | HttpFormat::V2 => possible_queries(&pairs),
        })
    }

    fn uri(&self, path: &str, query: &str) -> Result<Uri, Rejection> {
        let written = self.raw_query_string.iter().chain(&self.raw_path);
        if written
            .into_iter()
            .any(|text| text.contains(char::is_control))
        {
            return Err(malformed("its path or query contains a control character"));
        }
        let mut text = String::from("/");
        text.push_str(&escaped(path.trim_start_matches('/')).replace('?', "%3F"));
        if !query.is_empty() {
            text.push('?');
            text.push_str(&escaped(query));
        }
        Uri::try_from(text).map_err(|_| malformed("its path and query are not a URL, or too long"))
    }

    /// The path without the stage. HTTP APIs put a named stage, but not `$default`, into the path; REST APIs leave it out.
    fn without_stage<'p>(&self, format: HttpFormat, path: &'p str) -> &'p str {
        let in_path = match format {
            HttpFormat::V2 => true,
            HttpFormat::V1 => self.version.as_deref() == Some("1.0"),
            HttpFormat::Alb => false,
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
        .ok_or_else(|| malformed("its query parameters are not strings"))
    }

    /// The sender's address, as AWS saw it. A load balancer appends it to a header that anybody can begin.
    fn client_address(&self, format: HttpFormat, headers: &HeaderMap) -> Option<String> {
        let context = &self.request_context;
        let address = match format {
            HttpFormat::V2 => context.http.as_ref()?.source_ip.clone()?,
            HttpFormat::V1 => context.identity.as_ref()?.source_ip.clone()?,
            HttpFormat::Alb => {
                let forwarded = headers.get_all("x-forwarded-for").iter().next_back()?;
                let last = forwarded.to_str().ok()?.rsplit(',').next()?;
                last.trim().to_owned()
            }
        };
        let address: IpAddr = address.parse().ok()?;
        Some(address.to_string())
    }

    fn headers(&self) -> Result<HeaderMap, Rejection> {
        let pairs = pairs(self.multi_value_headers.as_ref(), self.headers.as_ref());
        let pairs = pairs.ok_or_else(|| malformed("its headers are not strings"))?;
        check_header_count(pairs.len())?;
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let shown = || name.chars().take(80).collect::<String>();
            let header = HeaderName::try_from(name)
                .map_err(|_| malformed(&format!("{:?} is not a header name", shown())))?;
            let value = HeaderValue::try_from(value)
                .map_err(|_| malformed(&format!("the value of header `{}` is invalid", shown())))?;
            headers.append(header, value);
        }
        if let Some(cookies) = self.cookies.as_ref().filter(|cookies| !cookies.is_empty()) {
            let value = HeaderValue::try_from(cookies.join("; "))
                .map_err(|_| malformed("its cookies are not a header value"))?;
            headers.insert(COOKIE, value);
        }
        Ok(headers)
    }
}

/// Names and values: from the multi-value map if there is one, else from the map with the last value of each name.
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
            // The test button of the AWS console omits values.
            Value::Null => {}
            Value::Bool(_) | Value::Number(_) | Value::Object(_) => return None,
        }
    }
    Some(pairs)
}

/// Percent-encodes all characters that a path or a query may not contain.
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

/// The response event for the caller.
async fn response_event(
    response: Response,
    format: HttpFormat,
) -> Result<Box<RawValue>, InvokeError> {
    let (parts, body) = response.into_parts();
    let status_code = i64::from(parts.status.as_u16());
    // Responses of the router are in memory, so reading them cannot fail.
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let body = match String::from_utf8(body.into()) {
        Ok(text) => lambda_http::Body::Text(text),
        Err(bytes) => lambda_http::Body::Binary(bytes.into_bytes()),
    };
    let is_base64_encoded = matches!(body, lambda_http::Body::Binary(_));
    let answer = match format {
        HttpFormat::V2 => {
            let mut answer = ApiGatewayV2httpResponse::default();
            answer.status_code = status_code;
            answer.headers = parts.headers;
            answer.body = Some(body);
            answer.is_base64_encoded = is_base64_encoded;
            to_raw_value(&answer)
        }
        HttpFormat::V1 => {
            let mut answer = ApiGatewayProxyResponse::default();
            answer.status_code = status_code;
            // A header in both maps would be sent twice.
            answer.multi_value_headers = parts.headers;
            answer.body = Some(body);
            answer.is_base64_encoded = is_base64_encoded;
            to_raw_value(&answer)
        }
        HttpFormat::Alb => {
            let mut answer = AlbTargetGroupResponse::default();
            answer.status_code = status_code;
            let reason = parts.status.canonical_reason().unwrap_or_default();
            answer.status_description = Some(format!("{status_code} {reason}"));
            // An attribute of the target group decides which of the two the load balancer reads.
            answer.headers = parts.headers.clone();
            answer.multi_value_headers = parts.headers;
            answer.body = Some(body);
            answer.is_base64_encoded = is_base64_encoded;
            to_raw_value(&answer)
        }
    };
    Ok(answer?)
}
