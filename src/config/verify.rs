//! How the sender of a route's deliveries is verified.

use std::fmt;

use schemars::JsonSchema;
use serde_json::json;

use super::schema::{OneOrMany, OneOrMore};
use super::values::read_secrets;
use crate::secrets::SecretRef;
use strict_reader::{Node, Problems};
use webhook_verify::scheme::{HandshakeSpec, PRESETS, Scheme, SchemeChoice};

/// How the sender of a delivery is verified.
#[derive(Clone, Debug)]
pub enum VerifyConfig {
    /// No verification: anybody may deliver. With the handshakes of the sender.
    Disabled(Vec<HandshakeSpec>),
    /// AWS authorizes the sender: the route accepts only triggers that require an AWS permission.
    ByAws,
    /// At least one of these schemes must verify the delivery.
    Schemes(Vec<SchemeConfig>),
}

/// A signature scheme and its secrets.
#[derive(Clone, Debug)]
pub struct SchemeConfig {
    /// The signature scheme.
    pub scheme: Scheme,
    /// The signing secrets; several during a rotation.
    pub secrets: Vec<SecretRef>,
}

impl SchemeConfig {
    /// Returns the location of the secret that the sender hands over in its handshake, if the scheme enrolls one.
    pub fn enrolled_secret(&self) -> Option<&SecretRef> {
        self.secrets
            .first()
            .filter(|_| self.scheme.enrolls_secret())
    }
}

impl JsonSchema for VerifyConfig {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "VerifyConfig".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        OneOrMore::<SchemeConfig>::json_schema(generator)
    }
}

impl JsonSchema for SchemeConfig {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SchemeConfig".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let schemes: Vec<&str> = PRESETS.iter().copied().chain(["custom", "none"]).collect();
        let needs_secret =
            |name: &&str| Scheme::preset(name).is_none_or(|scheme| scheme.needs_secret());
        let with_secret: Vec<&str> = PRESETS.iter().copied().filter(needs_secret).collect();
        let secret_required = json!({
            "required": ["secret"],
            "properties": { "secret": { "minItems": 1, "not": { "type": "null" } } },
        });
        let publishes_keys = json!({ "anyOf": [
            { "required": ["jwks_url"], "properties": { "jwks_url": { "type": "string" } } },
            { "required": ["type"], "properties": { "type": { "const": "sns" } } },
        ] });
        let described = |mut schema: schemars::Schema, text: &str| {
            schema.insert("description".to_owned(), text.into());
            schema
        };
        let secret = described(
            OneOrMany::<SecretRef>::json_schema(generator),
            "The secrets or public keys of the sender; several during a rotation. A preset needs one, unless the sender publishes its keys.",
        );
        let handshakes = described(
            Scheme::handshakes_schema(generator),
            "Requests with which the sender verifies an endpoint. They come before those of a preset.",
        );
        schemars::json_schema!({
            "type": "object",
            "description": "How the sender of a delivery is verified.",
            "properties": {
                "scheme": {
                    "enum": schemes,
                    "description": "A preset; `custom`, described by the other keys; or `none`: anybody may deliver.",
                },
                "secret": secret,
                "handshakes": handshakes,
                "tolerance_s": {
                    "type": "integer", "minimum": 0, "maximum": 86_400,
                    "description": "Maximum difference in seconds between a signed timestamp and the current time; 0 disables the check.",
                },
                "params": {
                    "type": "object", "additionalProperties": { "type": ["string", "integer"] },
                    "description": "Parameters of the scheme, such as the `topic` of Amazon SNS.",
                },
            },
            "required": ["scheme"],
            "if": { "properties": { "scheme": { "const": "custom" } } },
            "then": generator.subschema_for::<Scheme>(),
            "allOf": [
                {
                    "if": { "properties": { "scheme": { "enum": with_secret } } },
                    "then": secret_required,
                },
                {
                    "if": {
                        "properties": { "scheme": { "const": "custom" }, "alternatives": { "contains": { "not": publishes_keys } } },
                        "anyOf": [{ "required": ["alternatives"] }, { "not": publishes_keys }],
                    },
                    "then": secret_required,
                },
                {
                    "if": { "properties": { "scheme": { "const": "none" } } },
                    "then": { "propertyNames": { "enum": ["scheme", "handshakes"] } },
                },
            ],
            "unevaluatedProperties": false,
        })
    }
}

/// Whether the entry names a scheme that exists.
fn is_known_scheme(node: &Node<'_>) -> bool {
    let name = node.value["scheme"].as_str();
    name.is_some_and(|name| PRESETS.contains(&name) || ["custom", "none"].contains(&name))
}

impl VerifyConfig {
    pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let nodes = node.one_or_many();
        if nodes.is_empty() {
            node.problem(
                problems,
                "is empty; name a scheme, or `{ scheme: none }` if anybody may deliver",
            );
            return None;
        }
        let alone = nodes.len() == 1;
        let read: Vec<Option<Self>> = nodes
            .iter()
            .map(|node| Self::read_one(node, alone, problems))
            .collect();
        let mut schemes = Vec::new();
        for verify in read.into_iter().collect::<Option<Vec<Self>>>()? {
            match verify {
                Self::Disabled(_) | Self::ByAws => return Some(verify),
                Self::Schemes(more) => schemes.extend(more),
            }
        }
        Some(Self::Schemes(schemes))
    }

    fn read_one(node: &Node<'_>, alone: bool, problems: &mut Problems) -> Option<Self> {
        let mut object = node.object(problems)?;
        let choice = SchemeChoice::read(&mut object, problems);
        if let Some(SchemeChoice::Disabled(handshakes)) = choice {
            if !alone {
                node.problem(
                    problems,
                    "`scheme: none` beside other schemes would accept every delivery; leave it out",
                );
            }
            object.finish(problems);
            return Some(Self::Disabled(handshakes));
        }
        if choice.is_none() && !is_known_scheme(node) {
            // Which other keys it may have depends on the scheme.
            return None;
        }
        let given = object.optional("secret");
        let secrets = read_secrets(&mut object, "secret", problems);
        let needed = match &choice {
            Some(SchemeChoice::Scheme(scheme)) => scheme.needs_secret(),
            Some(SchemeChoice::Disabled(_)) | None => true,
        };
        if needed
            && given
                .as_ref()
                .is_none_or(|node| node.value.as_array().is_some_and(Vec::is_empty))
        {
            problems.add(
                &object.at,
                "`secret` is missing; name the location of the signing key, such as secretsmanager:NAME",
            );
        }
        if let (Some(SchemeChoice::Scheme(scheme)), Some(given)) = (&choice, &given)
            && scheme.enrolls_secret()
        {
            check_enrolled_location(given, &secrets, problems);
        }
        object.finish(problems);
        match choice? {
            SchemeChoice::Disabled(handshakes) => Some(Self::Disabled(handshakes)),
            SchemeChoice::Scheme(scheme) => Some(Self::Schemes(vec![SchemeConfig {
                scheme: *scheme,
                secrets,
            }])),
        }
    }

    /// Returns the schemes, of which at least one must verify a delivery.
    pub fn schemes(&self) -> &[SchemeConfig] {
        match self {
            Self::Disabled(_) | Self::ByAws => &[],
            Self::Schemes(schemes) => schemes,
        }
    }

    /// Returns the locations of all enrolled secrets.
    pub fn enrolled_secrets(&self) -> impl Iterator<Item = &SecretRef> {
        self.schemes()
            .iter()
            .filter_map(SchemeConfig::enrolled_secret)
    }

    /// Whether a scheme signs the URL that the sender calls.
    pub(super) fn needs_url(&self) -> bool {
        self.schemes()
            .iter()
            .any(|config| config.scheme.needs_url())
    }
}

impl fmt::Display for VerifyConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disabled(_) => formatter.write_str("not verified: anybody may deliver"),
            Self::ByAws => formatter.write_str("AWS decides who may send"),
            Self::Schemes(schemes) => {
                let sentences: Vec<String> = schemes
                    .iter()
                    .map(|config| config.scheme.describe())
                    .collect();
                formatter.write_str(&sentences.join(" Or: "))
            }
        }
    }
}

/// Checks that an enrolled secret has exactly one location, which masshook can write.
fn check_enrolled_location(node: &Node<'_>, secrets: &[SecretRef], problems: &mut Problems) {
    if secrets.len() > 1 {
        node.problem(
            problems,
            "must be one secret: the location where the enrolled secret is stored",
        );
    }
    for reference in secrets {
        let Err(error) = reference.check_writable() else {
            continue;
        };
        let message = format!("{error}; the enrolled secret is stored there");
        node.problem(problems, message);
    }
}
