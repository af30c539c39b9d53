//! Handshakes: the requests with which a sender verifies an endpoint, and the conditions that they meet.

use http::StatusCode;
use schemars::JsonSchema;
use serde_json::Value;

use super::reply::{ReplyContent, ReplySpec};
use super::selector::ValueSelector;
use strict_reader::{Node, Object, Problems};

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
    /// The part of the request that must exist, unless `absent` is set.
    #[schemars(flatten)]
    pub at: ValueSelector,
    /// Its required value; absent: any.
    #[schemars(with = "Option<TextOrNumber>")]
    pub equals: Option<String>,
    /// Whether its value must be one of the secrets.
    #[schemars(default)]
    pub secret: bool,
    /// Whether the part must be absent or empty instead.
    #[schemars(default)]
    pub absent: bool,
    /// Whether its value must be a token: 1 to 128 letters, digits, `-`, `_`, `+` and `/`. If the response contains the
    /// HMAC of this part, no delivery of the scheme may have a token as its signed text.
    #[schemars(default)]
    pub token: bool,
}

/// A text, or a number that stands for its text; only its JSON Schema is used.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "stands for the value's shape in the JSON Schema")]
enum TextOrNumber {
    Text(String),
    Number(f64),
}

impl HandshakeSpec {
    /// Reads the list under the key `handshakes`.
    pub fn read_list(object: &mut Object<'_>, problems: &mut Problems) -> Vec<Self> {
        let nodes = object.optional("handshakes");
        let nodes = nodes.and_then(|node| node.list(problems));
        let nodes = nodes.unwrap_or_default();
        let handshakes = nodes.iter().filter_map(|node| Self::read(node, problems));
        handshakes.collect()
    }

    /// Reads a handshake, or the name of a common one.
    fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
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

    /// The parts of the request whose HMAC the response contains.
    pub fn signed_parts(&self) -> Vec<&ValueSelector> {
        self.answer.signed_parts()
    }

    /// Whether the conditions limit every signed part to tokens.
    pub(super) fn requires_tokens(&self) -> bool {
        let is_limited = |part: &&ValueSelector| {
            let mut conditions = self.when.iter();
            conditions.any(|condition| condition.token && condition.at == **part)
        };
        self.signed_parts().iter().all(is_limited)
    }

    /// Whether the handshake cannot happen without a secret.
    pub fn needs_secret(&self) -> bool {
        self.requires_secret() || !self.signed_parts().is_empty()
    }

    /// Whether the request must contain the secret.
    pub(super) fn requires_secret(&self) -> bool {
        self.when.iter().any(|condition| condition.secret)
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
                absent: false,
                token: false,
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
        let mut flag = |key| {
            let node = object.optional(key);
            node.and_then(|node| node.boolean(problems))
                .unwrap_or_default()
        };
        let (secret, absent, token) = (flag("secret"), flag("absent"), flag("token"));
        object.finish(problems);
        if absent && (equals.is_some() || secret || token) {
            node.problem(
                problems,
                "requires the part to be absent, so it cannot require a value too",
            );
        }
        Some(Self {
            at: at?,
            equals,
            secret,
            absent,
            token,
        })
    }
}
