//! How a route's deliveries prove where they come from.

use std::fmt;

use schemars::JsonSchema;

use super::{OneOrMany, read_secrets};
use crate::inbound::scheme::{Choice, PRESETS, Scheme};
use crate::reader::{Node, Problems};
use crate::secrets::SecretRef;

/// How a delivery proves where it comes from.
#[derive(Debug)]
pub enum Verify {
    /// Not at all: anybody may deliver.
    Nothing,
    /// By AWS: the route listens to nothing that anybody could reach who has no permission there.
    ByAws,
    /// By any of these.
    Schemes(Vec<Proof>),
}

/// A signature scheme and its secrets.
#[derive(Debug)]
pub struct Proof {
    /// How the proof is made.
    pub scheme: Scheme,
    /// Its secrets; several while rotating.
    pub secrets: Vec<SecretRef>,
}

impl JsonSchema for Verify {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Verify".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        OneOrMany::<Proof>::json_schema(generator)
    }
}

impl JsonSchema for Proof {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Proof".into()
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

impl Verify {
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
                Self::Nothing | Self::ByAws => return Some(verify),
                Self::Schemes(more) => proofs.extend(more),
            }
        }
        Some(Self::Schemes(proofs))
    }

    fn read_one(node: &Node<'_>, alone: bool, problems: &mut Problems) -> Option<Self> {
        let mut object = node.object(problems)?;
        let choice = Choice::read(&mut object, problems);
        if let Some(Choice::Nothing) = choice {
            if !alone {
                node.problem(
                    problems,
                    "`scheme: none` among others would let anybody in; leave it out",
                );
            }
            object.finish(problems);
            return Some(Self::Nothing);
        }
        let given = object.optional("secret");
        let secrets = read_secrets(&mut object, "secret", problems);
        let needed = match &choice {
            Some(Choice::Scheme(scheme)) => scheme.needs_secret(),
            Some(Choice::Nothing) | None => true,
        };
        if needed && given.is_none_or(|node| node.value.as_array().is_some_and(Vec::is_empty)) {
            problems.add(
                &object.at,
                "`secret` is missing: where is the key of the signature?",
            );
        }
        object.finish(problems);
        match choice? {
            Choice::Nothing => Some(Self::Nothing),
            Choice::Scheme(scheme) => Some(Self::Schemes(vec![Proof {
                scheme: *scheme,
                secrets,
            }])),
        }
    }

    /// Whether the sender signs the URL that it calls.
    pub(super) fn needs_url(&self) -> bool {
        match self {
            Self::Nothing | Self::ByAws => false,
            Self::Schemes(proofs) => proofs.iter().any(|proof| proof.scheme.needs_url()),
        }
    }
}

impl fmt::Display for Verify {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => formatter.write_str("not verified: anybody may deliver"),
            Self::ByAws => formatter.write_str("AWS decides who may send"),
            Self::Schemes(proofs) => {
                let sentences: Vec<String> =
                    proofs.iter().map(|proof| proof.scheme.describe()).collect();
                formatter.write_str(&sentences.join(" Or: "))
            }
        }
    }
}
