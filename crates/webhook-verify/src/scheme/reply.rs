//! What is answered: to a handshake, and to an accepted delivery.

use std::collections::BTreeMap;

use http::header::X_CONTENT_TYPE_OPTIONS;
use http::{HeaderName, StatusCode};
use schemars::JsonSchema;
use serde_json::Value;

use super::selector::ValueSelector;
use super::template::ReplyTemplate;
use strict_reader::{Node, Problems};

/// A request with which a sender tries out an address, and what it wants to hear. Or the name of a common one: `ok`
/// (GET and HEAD: an empty 200) or `challenge` (GET with `challenge` in the query: repeated as text).
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct HandshakeSpec {
    /// The methods of such a request; absent: any.
    #[schemars(default, with = "Option<super::spec::OneOrMany<String>>")]
    pub method: Vec<String>,
    /// What must be in it.
    #[schemars(default)]
    pub when: Vec<HandshakeCondition>,
    /// Whether it must be verified like a delivery before it is answered.
    #[schemars(default)]
    pub verified: bool,
    /// The part in which the sender hands over the secret that it is going to sign with; it must be there. The route keeps
    /// it where its `secret` points to, and only then is the answer given.
    pub enroll: Option<ValueSelector>,
    /// The answer.
    pub answer: ReplySpec,
}

/// What must be in a request.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct HandshakeCondition {
    /// The part that must be there.
    #[schemars(flatten)]
    pub at: ValueSelector,
    /// What it must be; absent: anything.
    pub equals: Option<String>,
    /// Whether it must be one of the secrets.
    #[schemars(default)]
    pub secret: bool,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ReplySpec {
    /// Its status, 200 to 299.
    #[schemars(default = "ok", with = "u16", range(min = 200, max = 299))]
    pub status: StatusCode,
    /// Its content type; absent: text/plain, or application/json for `json`.
    pub content_type: Option<String>,
    /// Headers of its own, with tokens such as `{header:X-Hook-Secret}`.
    #[schemars(default, with = "BTreeMap<String, String>")]
    pub headers: Vec<(HeaderName, ReplyTemplate)>,
    /// Its content.
    #[schemars(flatten)]
    pub content: ReplyContent,
}

fn ok() -> u16 {
    200
}

/// The content of an answer.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum ReplyContent {
    /// Text with tokens such as `{query:challenge}`.
    Text(#[schemars(with = "String")] ReplyTemplate),
    /// A JSON document; its strings may have tokens.
    Json(#[schemars(with = "Value")] JsonTemplate),
    /// Text as it stands, with braces and all.
    Raw(String),
}

/// A JSON document whose strings may have tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonTemplate {
    /// Something without strings.
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
                    "cannot be `verified` too: the secret to verify with is only being handed over",
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
        if exchange.takes_deliveries() {
            node.problem(
                problems,
                "would take every delivery for a handshake; say what is in it under `when`",
            );
        }
        Some(exchange)
    }

    fn takes_deliveries(&self) -> bool {
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
                || matches!(&content, Some(ReplyContent::Text(echo)) if echo.repeats())
                    && !content_type.starts_with("text/plain"))
        {
            // Anything else that repeats a stranger's text could run in a browser.
            node.problem(
                problems,
                "must be text/plain where a part of the request is repeated",
            );
        }
        Some(Self {
            status: status.unwrap_or(StatusCode::OK),
            content_type,
            headers: headers.unwrap_or_default(),
            content: content?,
        })
    }

    /// Its content type; empty content without one has none.
    pub fn content_type(&self) -> Option<&str> {
        let default = match &self.content {
            ReplyContent::Json(_) => Some("application/json"),
            ReplyContent::Raw(text) if text.is_empty() => None,
            ReplyContent::Text(_) | ReplyContent::Raw(_) => Some("text/plain"),
        };
        self.content_type.as_deref().or(default)
    }
}

/// Headers of an answer. A browser or a proxy may act on others, so only those of a sender's own repeat what it sent.
fn read_headers(
    node: &Node<'_>,
    problems: &mut Problems,
) -> Option<Vec<(HeaderName, ReplyTemplate)>> {
    let object = node.object(problems)?;
    let mut headers = Vec::new();
    for (name, node) in object.entries() {
        let echo: Option<ReplyTemplate> = node.parse(problems);
        let lower = name.to_ascii_lowercase();
        let own = lower.starts_with("x-") && lower != X_CONTENT_TYPE_OPTIONS.as_str();
        match name.parse::<HeaderName>() {
            Ok(name) if own => headers.extend(echo.map(|echo| (name, echo))),
            Ok(_) | Err(_) => node.problem(problems, "is not a header of a sender's own: X-Name"),
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
