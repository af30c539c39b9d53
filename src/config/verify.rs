//! How a route's deliveries prove where they come from.

use std::fmt;

use schemars::JsonSchema;

use super::{OneOrMany, read_secrets};
use crate::secrets::SecretRef;
use strict_reader::{Node, Problems};
use webhook_verify::scheme::{PRESETS, Scheme, SchemeChoice};

/// How a delivery proves where it comes from.
#[derive(Debug)]
pub enum VerifyConfig {
    /// Not at all: anybody may deliver.
    Disabled,
    /// By AWS: the route listens to nothing that anybody could reach who has no permission there.
    ByAws,
    /// By any of these.
    Schemes(Vec<SchemeConfig>),
}

/// A signature scheme and its secrets.
#[derive(Debug)]
pub struct SchemeConfig {
    /// How the proof is made.
    pub scheme: Scheme,
    /// Its secrets; several while rotating.
    pub secrets: Vec<SecretRef>,
}

impl SchemeConfig {
    /// Where the secret is kept that the sender hands over; none if it does not.
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
        OneOrMany::<SchemeConfig>::json_schema(generator)
    }
}

impl JsonSchema for SchemeConfig {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SchemeConfig".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let schemes: Vec<&str> = PRESETS.iter().copied().chain(["custom", "none"]).collect();
        schemars::json_schema!({
            "type": "object",
            "description": "How a delivery proves where it comes from.",
            "properties": {
                "scheme": {
                    "enum": schemes,
                    "description": "A preset; `custom`, with a record of its own beside it; or `none`: anybody may deliver.",
                },
                "secret": OneOrMany::<SecretRef>::json_schema(generator),
                "tolerance_s": {
                    "type": "integer", "minimum": 0, "maximum": 86_400,
                    "description": "Seconds that a signed timestamp may be off; 0 switches the check off.",
                },
                "params": {
                    "type": "object", "additionalProperties": { "type": "string" },
                    "description": "What the scheme must know of you, such as the topic of Amazon SNS.",
                },
            },
            "required": ["scheme"],
            "if": { "properties": { "scheme": { "const": "custom" } } },
            "then": generator.subschema_for::<Scheme>(),
            "unevaluatedProperties": false,
        })
    }
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
        let mut proofs = Vec::new();
        for verify in read.into_iter().collect::<Option<Vec<Self>>>()? {
            match verify {
                Self::Disabled | Self::ByAws => return Some(verify),
                Self::Schemes(more) => proofs.extend(more),
            }
        }
        Some(Self::Schemes(proofs))
    }

    fn read_one(node: &Node<'_>, alone: bool, problems: &mut Problems) -> Option<Self> {
        let mut object = node.object(problems)?;
        let choice = SchemeChoice::read(&mut object, problems);
        if let Some(SchemeChoice::Disabled) = choice {
            if !alone {
                node.problem(
                    problems,
                    "`scheme: none` among others would let anybody in; leave it out",
                );
            }
            object.finish(problems);
            return Some(Self::Disabled);
        }
        let given = object.optional("secret");
        let secrets = read_secrets(&mut object, "secret", problems);
        let needed = match &choice {
            Some(SchemeChoice::Scheme(scheme)) => scheme.needs_secret(),
            Some(SchemeChoice::Disabled) | None => true,
        };
        if needed
            && given
                .as_ref()
                .is_none_or(|node| node.value.as_array().is_some_and(Vec::is_empty))
        {
            problems.add(
                &object.at,
                "`secret` is missing: where is the key of the signature?",
            );
        }
        if let (Some(SchemeChoice::Scheme(scheme)), Some(given)) = (&choice, &given)
            && scheme.enrolls_secret()
        {
            check_place(given, &secrets, problems);
        }
        object.finish(problems);
        match choice? {
            SchemeChoice::Disabled => Some(Self::Disabled),
            SchemeChoice::Scheme(scheme) => Some(Self::Schemes(vec![SchemeConfig {
                scheme: *scheme,
                secrets,
            }])),
        }
    }

    fn proofs(&self) -> &[SchemeConfig] {
        match self {
            Self::Disabled | Self::ByAws => &[],
            Self::Schemes(proofs) => proofs,
        }
    }

    /// Where the secrets are to be kept that senders hand over.
    pub fn enrolled_secrets(&self) -> impl Iterator<Item = &SecretRef> {
        self.proofs()
            .iter()
            .filter_map(SchemeConfig::enrolled_secret)
    }

    /// Where all its secrets are.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &SecretRef> {
        self.proofs().iter().flat_map(|proof| &proof.secrets)
    }

    /// Whether the sender signs the URL that it calls.
    pub(super) fn needs_url(&self) -> bool {
        self.proofs().iter().any(|proof| proof.scheme.needs_url())
    }
}

impl fmt::Display for VerifyConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disabled => formatter.write_str("not verified: anybody may deliver"),
            Self::ByAws => formatter.write_str("AWS decides who may send"),
            Self::Schemes(proofs) => {
                let sentences: Vec<String> =
                    proofs.iter().map(|proof| proof.scheme.describe()).collect();
                formatter.write_str(&sentences.join(" Or: "))
            }
        }
    }
}

/// What a sender hands over is kept in one place, which this program can write to.
fn check_place(node: &Node<'_>, secrets: &[SecretRef], problems: &mut Problems) {
    if secrets.len() > 1 {
        node.problem(
            problems,
            "must be one secret: the sender hands it over, and it is kept there",
        );
    }
    let places = secrets.iter();
    for unwritable in places.filter_map(|reference| reference.check_writable().err()) {
        let message = format!("{unwritable}; the sender's secret is to be kept there");
        node.problem(problems, message);
    }
}
