//! Responses to handshakes and to accepted deliveries.

use std::collections::BTreeMap;

use http::header::X_CONTENT_TYPE_OPTIONS;
use http::{HeaderName, StatusCode};
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use super::selector::ValueSelector;
use super::template::{ReplySegment, ReplyTemplate};
use strict_reader::{Node, Problems};

/// A response.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields, transform = body_is_optional)]
pub struct ReplySpec {
    /// Status, 200 to 599; for an accepted delivery 200 to 299.
    #[schemars(default = "ok", with = "u16", range(min = 200, max = 599))]
    pub status: StatusCode,
    /// Content type; absent: text/plain, or application/json for `json`.
    pub content_type: Option<String>,
    /// Headers, with tokens such as `{header:X-Hook-Secret}`.
    #[schemars(default, with = "BTreeMap<String, ReplyTemplate>", extend("propertyNames" = {"pattern": "^[Xx]-"}))]
    pub headers: Vec<(HeaderName, ReplyTemplate)>,
    /// Body.
    #[schemars(flatten, with = "Option<ReplyContent>")]
    pub content: ReplyContent,
}

/// A key without a value counts as absent.
fn body_is_optional(schema: &mut Schema) {
    if let Some(Value::Array(variants)) = schema.get_mut("anyOf") {
        variants.retain(|variant| variant.get("oneOf").is_some());
        let absent = json!({ "type": "null" });
        variants.push(json!({ "properties": { "text": absent, "json": absent, "raw": absent } }));
    }
}

/// Statuses whose responses have no body (RFC 9110).
const BODILESS: [StatusCode; 3] = [
    StatusCode::NO_CONTENT,
    StatusCode::RESET_CONTENT,
    StatusCode::NOT_MODIFIED,
];

fn ok() -> u16 {
    200
}

/// The body of a response.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum ReplyContent {
    /// Text with tokens such as `{query:challenge}`.
    Text(ReplyTemplate),
    /// A JSON document; its strings may contain the tokens of `text`.
    Json(#[schemars(with = "Value")] JsonTemplate),
    /// Text without tokens; braces have no meaning.
    Raw(String),
}

impl ReplyContent {
    fn is_empty(&self) -> bool {
        matches!(self, Self::Raw(text) if text.is_empty())
    }
}

/// A JSON document whose strings may contain tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonTemplate {
    /// A null, a boolean or a number.
    Fixed(Value),
    /// A string.
    Text(ReplyTemplate),
    /// A list.
    List(Vec<JsonTemplate>),
    /// An object.
    Object(Vec<(String, JsonTemplate)>),
}

impl ReplySpec {
    /// Reads the response to an accepted delivery, whose status must be successful.
    pub(super) fn read_accepted(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let reply = Self::read(node, problems)?;
        if !reply.status.is_success() {
            let message = "must have a status from 200 to 299, or the sender would repeat deliveries that are stored";
            node.problem(problems, message);
        }
        Some(reply)
    }

    pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = node.object(problems)?;
        let status = object
            .optional("status")
            .and_then(|node| node.whole(200..=599, problems))
            .and_then(|status| u16::try_from(status).ok())
            .and_then(|status| StatusCode::from_u16(status).ok());
        let type_node = object.optional("content_type");
        let content_type = type_node
            .as_ref()
            .and_then(|node| node.string(problems).map(str::to_owned));
        let headers = object.optional("headers");
        let headers = headers.and_then(|node| read_headers(&node, problems));
        let text = object.optional("text");
        let json = object.optional("json");
        let raw = object.optional("raw");
        let content = match (text, json, raw) {
            (None, None, None) => Some(ReplyContent::Raw(String::new())),
            (Some(text), None, None) => text.parse(problems).map(ReplyContent::Text),
            (None, Some(json), None) => JsonTemplate::read(&json, problems).map(ReplyContent::Json),
            (None, None, Some(raw)) => raw
                .string(problems)
                .map(|raw| ReplyContent::Raw(raw.to_owned())),
            _ => {
                node.problem(
                    problems,
                    "must have at most one of `text`, `json` and `raw`",
                );
                None
            }
        };
        object.finish(problems);
        if let (Some(node), Some(content_type)) = (type_node, &content_type)
            && (http::HeaderValue::from_str(content_type).is_err()
                || matches!(&content, Some(ReplyContent::Text(template)) if template.echoes_request())
                    && !content_type.starts_with("text/plain"))
        {
            // An echo of unverified text with another content type could run as a script in a browser.
            node.problem(
                problems,
                "must be text/plain if the response echoes a part of the request",
            );
        }
        let status = status.unwrap_or(StatusCode::OK);
        if let Some(content) = &content
            && !content.is_empty()
            && BODILESS.contains(&status)
        {
            let message = format!("cannot have a body: status {} has none", status.as_u16());
            node.problem(problems, message);
        }
        Some(Self {
            status,
            content_type,
            headers: headers.unwrap_or_default(),
            content: content?,
        })
    }

    /// The parts of the request whose HMAC the response contains.
    pub(crate) fn signed_parts(&self) -> Vec<&ValueSelector> {
        let mut parts = Vec::new();
        let headers = self.headers.iter().map(|(_, template)| template);
        headers.for_each(|template| add_signed_parts(template, &mut parts));
        match &self.content {
            ReplyContent::Text(template) => add_signed_parts(template, &mut parts),
            ReplyContent::Json(json) => add_parts_signed_in_json(json, &mut parts),
            ReplyContent::Raw(_) => {}
        }
        parts
    }

    /// The content type; none for an empty body, unless it is set.
    pub fn content_type(&self) -> Option<&str> {
        let default = match &self.content {
            ReplyContent::Json(_) => Some("application/json"),
            ReplyContent::Raw(text) if text.is_empty() => None,
            ReplyContent::Text(_) | ReplyContent::Raw(_) => Some("text/plain"),
        };
        self.content_type.as_deref().or(default)
    }
}

/// Reads the headers of a response. Only custom headers (`X-…`) may echo the request, because browsers and proxies act on
/// the standard ones.
fn read_headers(
    node: &Node<'_>,
    problems: &mut Problems,
) -> Option<Vec<(HeaderName, ReplyTemplate)>> {
    let object = node.object(problems)?;
    let mut headers = Vec::new();
    for (name, node) in object.entries() {
        let template: Option<ReplyTemplate> = node.parse(problems);
        let lower = name.to_ascii_lowercase();
        let is_custom = lower.starts_with("x-") && lower != X_CONTENT_TYPE_OPTIONS.as_str();
        match name.parse::<HeaderName>() {
            Ok(name) if is_custom => headers.extend(template.map(|template| (name, template))),
            Ok(_) | Err(_) => node.problem(
                problems,
                "is not a custom header; its name must start with `X-`",
            ),
        }
    }
    Some(headers)
}

impl JsonTemplate {
    fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        match node.value {
            Value::String(_) => node.parse(problems).map(Self::Text),
            Value::Array(_) => {
                let items = node.list(problems)?;
                let items = items.iter().map(|item| Self::read(item, problems));
                items.collect::<Option<_>>().map(Self::List)
            }
            Value::Object(_) => {
                let entries = node.object(problems)?;
                let entries = entries
                    .entries()
                    .map(|(key, node)| Some((key.to_owned(), Self::read(&node, problems)?)));
                entries.collect::<Option<_>>().map(Self::Object)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                Some(Self::Fixed(node.value.clone()))
            }
        }
    }
}

fn add_signed_parts<'a>(template: &'a ReplyTemplate, parts: &mut Vec<&'a ValueSelector>) {
    for segment in template.segments() {
        match segment {
            ReplySegment::HmacHex(part) | ReplySegment::HmacBase64(part) => parts.push(part),
            ReplySegment::Literal(_) | ReplySegment::Part(_) => {}
        }
    }
}

fn add_parts_signed_in_json<'a>(json: &'a JsonTemplate, parts: &mut Vec<&'a ValueSelector>) {
    match json {
        JsonTemplate::Fixed(_) => {}
        JsonTemplate::Text(template) => add_signed_parts(template, parts),
        JsonTemplate::List(items) => items
            .iter()
            .for_each(|item| add_parts_signed_in_json(item, parts)),
        JsonTemplate::Object(entries) => entries
            .iter()
            .for_each(|(_, value)| add_parts_signed_in_json(value, parts)),
    }
}
