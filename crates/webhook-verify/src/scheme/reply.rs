//! Responses to handshakes and to accepted deliveries.

use std::collections::BTreeMap;

use http::header::X_CONTENT_TYPE_OPTIONS;
use http::{HeaderName, StatusCode};
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use super::selector::ValueSelector;
use super::template::ReplyTemplate;
use strict_reader::{Node, Problems};

/// The name of a common handshake; only its JSON Schema is used.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "stands for the name's shape in the JSON Schema")]
pub(super) enum CommonHandshake {
    /// GET and HEAD: an empty 200 response.
    Ok,
    /// GET with `challenge` in the query: echoed as text.
    Challenge,
}

/// A request with which a sender verifies an endpoint, and the response to it.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct HandshakeSpec {
    /// HTTP methods of the request; absent: any.
    #[schemars(default, with = "Option<super::spec::OneOrMany<String>>")]
    pub method: Vec<String>,
    /// Conditions that the request must meet.
    #[schemars(default)]
    pub when: Vec<HandshakeCondition>,
    /// Whether the request must be verified like a delivery before the response is sent.
    #[schemars(default)]
    pub verified: bool,
    /// The location of the secret with which the sender will sign; required in the request. The route stores the secret
    /// where its `secret` points to before the response is sent.
    pub enroll: Option<ValueSelector>,
    /// The response.
    pub answer: ReplySpec,
}

/// A condition that a request must meet.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct HandshakeCondition {
    /// The part of the request that must exist.
    #[schemars(flatten)]
    pub at: ValueSelector,
    /// Its required value; absent: any.
    #[schemars(with = "Option<TextOrNumber>")]
    pub equals: Option<String>,
    /// Whether its value must be one of the secrets.
    #[schemars(default)]
    pub secret: bool,
}

/// A text, or a number that stands for its text; only its JSON Schema is used.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "stands for the value's shape in the JSON Schema")]
enum TextOrNumber {
    Text(String),
    Number(f64),
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields, transform = body_is_optional)]
pub struct ReplySpec {
    /// Status, 200 to 299.
    #[schemars(default = "ok", with = "u16", range(min = 200, max = 299))]
    pub status: StatusCode,
    /// Content type; absent: text/plain, or application/json for `json`.
    pub content_type: Option<String>,
    /// Headers, with tokens such as `{header:X-Hook-Secret}`.
    #[schemars(default, with = "BTreeMap<String, String>", extend("propertyNames" = {"pattern": "^[Xx]-"}))]
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

fn ok() -> u16 {
    200
}

/// The body of a response.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum ReplyContent {
    /// Text with tokens such as `{query:challenge}`.
    Text(#[schemars(with = "String")] ReplyTemplate),
    /// A JSON document; its strings may contain tokens.
    Json(#[schemars(with = "Value")] JsonTemplate),
    /// Text without tokens; braces have no meaning.
    Raw(String),
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

impl HandshakeSpec {
    pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        if node.value.is_string() {
            return match node.string(problems)? {
                "ok" => Some(Self::ok()),
                "challenge" => Self::challenge(),
                _ => {
                    node.problem(problems, "is not a common handshake; known: ok, challenge");
                    None
                }
            };
        }
        let mut object = node.object(problems)?;
        let methods = object.optional("method");
        let methods = methods.map(|node| node.one_or_many()).unwrap_or_default();
        let method = methods
            .iter()
            .filter_map(|node| node.string(problems))
            .map(str::to_ascii_uppercase)
            .collect();
        let conditions = object.optional("when");
        let conditions = conditions.and_then(|node| node.list(problems));
        let when: Vec<HandshakeCondition> = conditions
            .unwrap_or_default()
            .iter()
            .filter_map(|node| HandshakeCondition::read(node, problems))
            .collect();
        let verified = object.optional("verified");
        let verified = verified.and_then(|node| node.boolean(problems));
        let enroll = object.optional("enroll").and_then(|node| {
            if verified == Some(true) {
                node.problem(
                    problems,
                    "cannot be combined with `verified`: the secret is not known before this handshake",
                );
            }
            ValueSelector::read(&node, problems)
        });
        let answer = object
            .required("answer", problems)
            .and_then(|node| ReplySpec::read(&node, problems));
        object.finish(problems);
        let exchange = Self {
            method,
            when,
            verified: verified.unwrap_or_default(),
            enroll,
            answer: answer?,
        };
        if exchange.matches_deliveries() {
            node.problem(
                problems,
                "would match every delivery: add conditions under `when`",
            );
        }
        Some(exchange)
    }

    fn matches_deliveries(&self) -> bool {
        let posts = self.method.is_empty() || self.method.iter().any(|method| method == "POST");
        posts && self.when.is_empty() && self.enroll.is_none()
    }

    fn ok() -> Self {
        Self {
            method: vec!["GET".to_owned(), "HEAD".to_owned()],
            when: Vec::new(),
            verified: false,
            enroll: None,
            answer: ReplySpec {
                status: StatusCode::OK,
                content_type: None,
                headers: Vec::new(),
                content: ReplyContent::Raw(String::new()),
            },
        }
    }

    fn challenge() -> Option<Self> {
        let content = ReplyContent::Text("{query:challenge}".parse().ok()?);
        Some(Self {
            method: vec!["GET".to_owned()],
            when: vec![HandshakeCondition {
                at: ValueSelector::Query("challenge".to_owned()),
                equals: None,
                secret: false,
            }],
            answer: ReplySpec {
                content,
                ..Self::ok().answer
            },
            ..Self::ok()
        })
    }
}

impl HandshakeCondition {
    fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = node.object(problems)?;
        let at = ValueSelector::read_in(&mut object, problems);
        let equals = object.optional("equals").and_then(|node| match node.value {
            Value::Number(number) => Some(number.to_string()),
            Value::Null
            | Value::Bool(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => node.string(problems).map(str::to_owned),
        });
        let secret = object.optional("secret");
        let secret = secret.and_then(|node| node.boolean(problems));
        object.finish(problems);
        Some(Self {
            at: at?,
            equals,
            secret: secret.unwrap_or_default(),
        })
    }
}

impl ReplySpec {
    pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = node.object(problems)?;
        let status = object
            .optional("status")
            .and_then(|node| node.whole(200..=299, problems))
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
        Some(Self {
            status: status.unwrap_or(StatusCode::OK),
            content_type,
            headers: headers.unwrap_or_default(),
            content: content?,
        })
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
