//! Responds to handshakes: requests with which senders verify an endpoint. Pure.

#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::scheme::{
    Algorithm, HandshakeCondition, HandshakeSpec, JsonTemplate, ReplyContent, ReplySegment,
    ReplySpec, ReplyTemplate, Scheme, SignedChallenge, ValueSelector, is_token,
};
use super::verify::mac::{AnyMac, constant_time_eq};
use super::verify::{RequestParts, WebhookRequest};

/// Maximum bytes of a response. Challenges have a few dozen characters, validation tokens a few hundred.
const MAX_RESPONSE: usize = 8 * 1024;

/// Maximum bytes of an enrolled secret. Those of Asana and Notion have fewer than 100 characters.
const MAX_SECRET: usize = 1024;

/// A response that replaces the default one for deliveries.
#[derive(Clone)]
pub struct Handshake {
    /// Status.
    pub status: StatusCode,
    /// Content type; send it with `X-Content-Type-Options: nosniff`.
    pub content_type: Option<String>,
    /// Additional headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Body.
    pub body: String,
    /// Whether the request must be verified like a delivery before the response is sent.
    pub needs_verification: bool,
    /// The secret that the sender hands over. It must be stored before the response is sent.
    pub enrolled_secret: Option<SecretString>,
}

impl Handshake {
    /// The response to a request whose confirmation was sent separately.
    pub fn confirmed() -> Self {
        Self {
            status: StatusCode::OK,
            content_type: None,
            headers: Vec::new(),
            body: String::new(),
            needs_verification: false,
            enrolled_secret: None,
        }
    }
}

impl std::fmt::Debug for Handshake {
    /// Omits the body, which may be derived from a secret.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Handshake")
            .field("status", &self.status)
            .field("content_type", &self.content_type)
            .field("body_bytes", &self.body.len())
            .field("needs_verification", &self.needs_verification)
            .field("enrolls_secret", &self.enrolled_secret.is_some())
            .finish_non_exhaustive()
    }
}

/// The secrets of a handshake.
#[derive(Clone, Copy)]
pub enum HandshakeSecrets<'a> {
    /// Those that verify the deliveries of the scheme.
    OfDeliveries(&'a [SecretString]),
    /// Secrets of the handshake's own, such as Meta's verify token, which is no key and is sent in URLs.
    OfHandshakes(&'a [SecretString]),
}

impl<'a> HandshakeSecrets<'a> {
    fn all(self) -> &'a [SecretString] {
        match self {
            Self::OfDeliveries(secrets) | Self::OfHandshakes(secrets) => secrets,
        }
    }
}

/// The response to a handshake of this scheme; `None` if the request is not a handshake. With a secret that verifies
/// deliveries, tokens are all that a handshake signs for anybody who asks.
pub fn respond(
    scheme: &Scheme,
    request: &WebhookRequest<'_>,
    secrets: HandshakeSecrets<'_>,
) -> Option<Handshake> {
    let is_shared = matches!(secrets, HandshakeSecrets::OfDeliveries(_));
    let signable = |exchange: &HandshakeSpec| match is_shared && scheme.signs_for_anybody(exchange)
    {
        true => SignedChallenge::Token,
        false => SignedChallenge::AnyText,
    };
    find_response(scheme.handshakes(), request, secrets.all(), signable)
}

/// The response to a handshake of a route whose deliveries are not verified; `None` if the request is not a handshake.
pub fn respond_unverified(
    handshakes: &[HandshakeSpec],
    request: &WebhookRequest<'_>,
    secrets: &[SecretString],
) -> Option<Handshake> {
    find_response(handshakes, request, secrets, |_| SignedChallenge::AnyText)
}

fn find_response(
    handshakes: &[HandshakeSpec],
    request: &WebhookRequest<'_>,
    secrets: &[SecretString],
    signable: impl Fn(&HandshakeSpec) -> SignedChallenge,
) -> Option<Handshake> {
    let parts = RequestParts::new(request);
    handshakes.iter().find_map(|exchange| {
        if !matches(exchange, &parts, secrets) {
            return None;
        }
        let source = ReplySource {
            parts: &parts,
            secrets,
            signable: signable(exchange),
        };
        let enrolled_secret = match &exchange.enroll {
            Some(selector) => Some(secret_in(selector, &parts)?),
            None => None,
        };
        let answer = render(&exchange.answer, exchange.verified, &source)?;
        Some(Handshake {
            enrolled_secret,
            ..answer
        })
    })
}

/// The secret in a handshake. It must be visible ASCII, so that every store returns it unchanged.
fn secret_in(selector: &ValueSelector, parts: &RequestParts<'_>) -> Option<SecretString> {
    let text = text(selector, parts)?;
    let is_storable = text.len() <= MAX_SECRET && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_storable.then(|| text.into())
}

/// The response that the sender expects for an accepted delivery, if it expects a particular one.
pub fn delivery_reply(
    scheme: &Scheme,
    request: &WebhookRequest<'_>,
    secrets: &[SecretString],
) -> Option<Handshake> {
    let reply = scheme.accepted()?;
    let signable = match scheme.covers_all(&reply.signed_parts()) {
        true => SignedChallenge::AnyText,
        false => SignedChallenge::Token,
    };
    let source = ReplySource {
        parts: &RequestParts::new(request),
        secrets,
        signable,
    };
    render(reply, true, &source)
}

fn matches(exchange: &HandshakeSpec, parts: &RequestParts<'_>, secrets: &[SecretString]) -> bool {
    let method = parts.request.method_name();
    let methods = &exchange.method;
    (methods.is_empty()
        || methods
            .iter()
            .any(|known| known.eq_ignore_ascii_case(method)))
        && exchange
            .when
            .iter()
            .all(|condition| is_met(condition, parts, secrets))
}

fn is_met(
    condition: &HandshakeCondition,
    parts: &RequestParts<'_>,
    secrets: &[SecretString],
) -> bool {
    if condition.absent {
        let found = parts.one(&condition.at);
        return found.is_ok_and(|found| found.is_none_or(|value| value.is_empty()));
    }
    let Some(found) = text(&condition.at, parts) else {
        return false;
    };
    let equals = condition.equals.as_ref();
    let is_secret = |secret: &SecretString| {
        let secret = secret.expose_secret();
        !secret.is_empty() && constant_time_eq(secret.as_bytes(), found.as_bytes())
    };
    equals.is_none_or(|expected| *expected == found)
        && (!condition.token || is_token(found.as_bytes()))
        && (!condition.secret || secrets.iter().any(is_secret))
}

/// The single value of a part, if it is not empty.
fn text(selector: &ValueSelector, parts: &RequestParts<'_>) -> Option<String> {
    let bytes = parts.one(selector).ok()??.into_owned();
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.is_empty())
}

/// The sources of a response.
#[derive(Clone, Copy)]
struct ReplySource<'a> {
    parts: &'a RequestParts<'a>,
    secrets: &'a [SecretString],
    signable: SignedChallenge,
}

fn render(
    reply: &ReplySpec,
    needs_verification: bool,
    source: &ReplySource<'_>,
) -> Option<Handshake> {
    let body = match &reply.content {
        ReplyContent::Raw(text) => text.clone(),
        ReplyContent::Text(template) => fill(template, source)?,
        ReplyContent::Json(json) => fill_json(json, source)?.to_string(),
    };
    let headers = reply.headers.iter().map(|(name, template)| {
        let value = HeaderValue::from_str(&fill(template, source)?).ok()?;
        Some((name.clone(), value))
    });
    let headers: Vec<(HeaderName, HeaderValue)> = headers.collect::<Option<_>>()?;
    let length = headers
        .iter()
        .map(|(_, value)| value.len())
        .sum::<usize>()
        .saturating_add(body.len());
    (length <= MAX_RESPONSE).then(|| Handshake {
        status: reply.status,
        content_type: reply.content_type().map(str::to_owned),
        headers,
        body,
        needs_verification,
        enrolled_secret: None,
    })
}

fn fill(template: &ReplyTemplate, source: &ReplySource<'_>) -> Option<String> {
    let mut filled = String::new();
    for segment in template.segments() {
        match segment {
            ReplySegment::Literal(literal) => filled.push_str(literal),
            ReplySegment::Part(selector) => filled.push_str(&text(selector, source.parts)?),
            ReplySegment::HmacHex(selector) => {
                filled.push_str(&hex::encode(hmac_of(selector, source)?));
            }
            ReplySegment::HmacBase64(selector) => {
                filled.push_str(&STANDARD.encode(hmac_of(selector, source)?));
            }
        }
    }
    Some(filled)
}

/// The HMAC-SHA256 of a part, keyed with the first secret, which is the current one.
fn hmac_of(selector: &ValueSelector, source: &ReplySource<'_>) -> Option<Vec<u8>> {
    let secret = source.secrets.first()?.expose_secret();
    let challenge = text(selector, source.parts)?;
    let is_signable = match source.signable {
        SignedChallenge::Token => is_token(challenge.as_bytes()),
        SignedChallenge::AnyText => true,
    };
    if secret.is_empty() || !is_signable {
        return None;
    }
    let mut mac = AnyMac::new(Algorithm::Sha256, secret.as_bytes());
    mac.update(challenge.as_bytes());
    Some(mac.finish())
}

fn fill_json(json: &JsonTemplate, source: &ReplySource<'_>) -> Option<Value> {
    Some(match json {
        JsonTemplate::Fixed(value) => value.clone(),
        JsonTemplate::Text(template) => Value::String(fill(template, source)?),
        JsonTemplate::List(items) => {
            let items = items.iter().map(|item| fill_json(item, source));
            Value::Array(items.collect::<Option<_>>()?)
        }
        JsonTemplate::Object(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| Some((key.clone(), fill_json(value, source)?)));
            Value::Object(entries.collect::<Option<Map<_, _>>>()?)
        }
    })
}
