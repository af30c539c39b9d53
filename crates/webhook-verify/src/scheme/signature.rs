//! The location and format of signatures, signed times and secrets.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use super::keywords::{Encoding, SecretEncoding, TimestampUnit};
use super::selector::{KINDS, ValueSelector, listed};
use strict_reader::{Node, Object, Problems};

/// Maximum tolerance for a signed time, in seconds. A day covers every sender's clock; a longer one is likely a typo.
pub(super) const MAX_TOLERANCE_S: u64 = 86_400;

/// Default tolerance for a signed time, as in Standard Webhooks, Stripe and Slack.
const DEFAULT_TOLERANCE_S: u64 = 300;

/// The location and format of a signature.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Signature {
    /// The location. A header whose name ends in `-*` stands for all headers with a number there, such as
    /// `X-Sig-*` for `X-Sig-1` and `X-Sig-2`; each contains a signature, and one of them must be valid.
    #[schemars(flatten)]
    pub at: ValueSelector,
    /// The layout of the signatures at this location.
    #[schemars(flatten)]
    pub layout: SignatureLayout,
    /// Prefix of the signature, case-insensitive. Items of a list without it belong to another version and are skipped.
    pub prefix: Option<String>,
    /// Whether a signature without the prefix is accepted too.
    #[schemars(default)]
    pub prefix_optional: bool,
    /// The encoding of its bytes.
    pub encoding: Encoding,
}

/// The layout of signatures at their location, by `format`.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(tag = "format", rename_all = "lowercase", transform = plain_is_the_default)]
pub enum SignatureLayout {
    /// The value is the signature. The default.
    Plain,
    /// Pairs such as `t=…,v1=…`; every value with the key `key` is a signature.
    Kv {
        /// Separator between pairs.
        #[schemars(length(min = 1))]
        pair_sep: String,
        /// Separator between a pair's key and value.
        #[schemars(length(min = 1))]
        kv_sep: String,
        /// The key of signatures; pairs with other keys belong to another version and are skipped.
        #[schemars(length(min = 1))]
        key: String,
    },
    /// A list of signatures.
    List {
        /// Separator between items.
        #[schemars(length(min = 1))]
        item_sep: String,
    },
}

fn plain_is_the_default(schema: &mut Schema) {
    let variants = schema.get_mut("oneOf").and_then(Value::as_array_mut);
    for variant in variants.into_iter().flatten() {
        if variant.pointer("/properties/format/const") == Some(&Value::from("plain"))
            && let Some(variant) = variant.as_object_mut()
        {
            variant.remove("required");
        }
    }
}

/// The location, format and tolerance of a signed time.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TimestampRule {
    /// The location.
    #[schemars(flatten)]
    pub at: TimestampLocation,
    /// The format.
    #[schemars(default)]
    pub unit: TimestampUnit,
    /// Maximum difference in seconds, past or future, from the time of receipt; 0 disables the check.
    #[schemars(default = "default_tolerance", range(max = MAX_TOLERANCE_S))]
    pub tolerance_s: u64,
}

fn default_tolerance() -> u64 {
    DEFAULT_TOLERANCE_S
}

/// The location of a signed time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimestampLocation {
    /// The pair with this key, at the location of the signature.
    Kv(String),
    /// A part of the delivery.
    Part(ValueSelector),
}

impl JsonSchema for TimestampLocation {
    fn schema_name() -> Cow<'static, str> {
        "TimestampLocation".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = ValueSelector::json_schema(generator);
        if let Some(Value::Array(variants)) = schema.get_mut("oneOf") {
            variants.push(json!({
                "type": "object",
                "properties": { "kv": { "type": "string" } },
                "required": ["kv"],
                "additionalProperties": false,
                "description": "The pair with this key, at the location of the signature.",
            }));
        }
        schema
    }
}

/// The format of the key in a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct SecretFormat {
    /// The encoding of the key.
    #[schemars(default)]
    pub encoding: SecretEncoding,
    /// Prefixes that are not part of the key. The first that matches is removed.
    #[schemars(default, inner(length(min = 1)))]
    pub strip_prefix: Vec<String>,
}

/// Reads a required text that must not be empty.
pub(super) fn required_text(
    object: &mut Object<'_>,
    key: &'static str,
    problems: &mut Problems,
) -> Option<String> {
    let node = object.required(key, problems)?;
    let text = node.string(problems)?;
    if text.is_empty() {
        node.problem(problems, "must not be empty");
        return None;
    }
    Some(text.to_owned())
}

impl Signature {
    pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = node.object(problems)?;
        let at = ValueSelector::read_numbered(&mut object, problems);
        let layout = SignatureLayout::read(&mut object, problems);
        let prefix_node = object.optional("prefix");
        let prefix = prefix_node.as_ref().and_then(|node| node.string(problems));
        let optional_node = object.optional("prefix_optional");
        let prefix_optional = optional_node
            .as_ref()
            .and_then(|node| node.boolean(problems));
        if let (Some(node), None) = (&optional_node, &prefix_node) {
            node.problem(problems, "needs a `prefix`");
        }
        let encoding = object
            .required("encoding", problems)
            .and_then(|node| node.parse(problems));
        object.finish(problems);
        Some(Self {
            at: at?,
            layout: layout?,
            prefix: prefix
                .filter(|prefix| !prefix.is_empty())
                .map(ToOwned::to_owned),
            prefix_optional: prefix_optional.unwrap_or_default(),
            encoding: encoding?,
        })
    }
}

impl SignatureLayout {
    fn read(object: &mut Object<'_>, problems: &mut Problems) -> Option<Self> {
        let Some(node) = object.optional("format") else {
            return Some(Self::Plain);
        };
        match node.string(problems)? {
            "plain" => Some(Self::Plain),
            "kv" => {
                let pair_sep = required_text(object, "pair_sep", problems);
                let kv_sep = required_text(object, "kv_sep", problems);
                let key = required_text(object, "key", problems);
                if pair_sep.is_some() && pair_sep == kv_sep {
                    node.problem(problems, "needs a `pair_sep` that differs from `kv_sep`");
                }
                Some(Self::Kv {
                    pair_sep: pair_sep?,
                    kv_sep: kv_sep?,
                    key: key?,
                })
            }
            "list" => Some(Self::List {
                item_sep: required_text(object, "item_sep", problems)?,
            }),
            _ => {
                node.problem(problems, "is not a known format; known: plain, kv, list");
                None
            }
        }
    }
}

impl TimestampRule {
    pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = node.object(problems)?;
        let kv = object.optional("kv");
        let other = KINDS.iter().any(|kind| node.value.get(kind).is_some());
        let at = match &kv {
            Some(kv) if !other => kv
                .string(problems)
                .map(|key| TimestampLocation::Kv(key.to_owned())),
            None if other => {
                ValueSelector::read_in(&mut object, problems).map(TimestampLocation::Part)
            }
            Some(_) | None => {
                // Mark the selector keys as known, so that they are not reported again.
                KINDS.into_iter().for_each(|kind| {
                    object.optional(kind);
                });
                let kinds = [&KINDS[..], &["kv"]].concat();
                node.problem(
                    problems,
                    format!("must have exactly one of {}", listed(&kinds)),
                );
                None
            }
        };
        let unit = match object.optional("unit") {
            None => Some(TimestampUnit::default()),
            Some(node) => node.parse(problems),
        };
        let tolerance_s = match object.optional("tolerance_s") {
            None => Some(DEFAULT_TOLERANCE_S),
            Some(node) => node.whole(0..=MAX_TOLERANCE_S, problems),
        };
        object.finish(problems);
        Some(Self {
            at: at?,
            unit: unit?,
            tolerance_s: tolerance_s?,
        })
    }
}

impl SecretFormat {
    pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = node.object(problems)?;
        let encoding = match object.optional("encoding") {
            None => Some(SecretEncoding::default()),
            Some(node) => node.parse(problems),
        };
        let mut strip_prefix = Vec::new();
        let prefixes = object.optional("strip_prefix");
        for item in prefixes
            .and_then(|node| node.list(problems))
            .unwrap_or_default()
        {
            match item.string(problems) {
                Some("") => item.problem(problems, "must not be empty"),
                Some(prefix) => strip_prefix.push(prefix.to_owned()),
                None => {}
            }
        }
        object.finish(problems);
        Some(Self {
            encoding: encoding?,
            strip_prefix,
        })
    }
}
