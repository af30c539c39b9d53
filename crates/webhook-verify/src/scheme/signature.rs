//! Where a signature stands and how it is written; the signed time; the secret's format.

use schemars::{JsonSchema, Schema};
use serde_json::Value;

use super::keywords::{Encoding, SecretEncoding, TimestampUnit};
use super::selector::{KINDS, ValueSelector, listed};
use strict_reader::{Node, Object, Problems};

/// Longest tolerance for a signed time, in seconds. A day covers every sender's clock; more is a slip of the pen.
pub(super) const MAX_TOLERANCE_S: u64 = 86_400;

/// Tolerance where a record names none: what Standard Webhooks, Stripe and Slack all use.
const DEFAULT_TOLERANCE_S: u64 = 300;

/// Where the signature stands and how it is written.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Signature {
    /// Where it stands.
    #[schemars(flatten)]
    pub at: ValueSelector,
    /// How signatures are laid out there.
    #[schemars(flatten)]
    pub layout: SignatureLayout,
    /// What stands before the signature, in any case. In a list, items without it are of another version and skipped.
    pub prefix: Option<String>,
    /// Whether a signature without the prefix counts too.
    #[schemars(default)]
    pub prefix_optional: bool,
    /// How its bytes are written.
    pub encoding: Encoding,
}

/// How signatures are laid out in their place, by `format`.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(tag = "format", rename_all = "lowercase", transform = plain_is_the_default)]
pub enum SignatureLayout {
    /// The value is the signature. The default.
    Plain,
    /// Pairs such as `t=…,v1=…`; every value under `key` is a signature.
    Kv {
        /// Between pairs.
        #[schemars(length(min = 1))]
        pair_sep: String,
        /// Between a pair's key and its value.
        #[schemars(length(min = 1))]
        kv_sep: String,
        /// The key of signatures; pairs with other keys are of another version and skipped.
        #[schemars(length(min = 1))]
        key: String,
    },
    /// A list of signatures.
    List {
        /// Between items.
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

/// The time that the sender signed.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TimestampRule {
    /// Where it stands.
    #[schemars(flatten)]
    pub at: TimestampLocation,
    /// How it is written.
    #[schemars(default)]
    pub unit: TimestampUnit,
    /// Seconds that it may lie in the past or in the future when the delivery arrives; 0 switches the check off.
    #[schemars(default = "default_tolerance", range(max = MAX_TOLERANCE_S))]
    pub tolerance_s: u64,
}

fn default_tolerance() -> u64 {
    DEFAULT_TOLERANCE_S
}

/// Where the signed time stands.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum TimestampLocation {
    /// Under this key, among the pairs of the signature's place.
    Kv(String),
    /// In a part of the delivery.
    #[schemars(untagged)]
    Part(ValueSelector),
}

/// How the secret's text becomes the key.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct SecretFormat {
    /// How the key is written in the secret.
    #[schemars(default)]
    pub encoding: SecretEncoding,
    /// What may stand before the key and is no part of it. The first that is there is taken off.
    #[schemars(default)]
    pub strip_prefix: Vec<String>,
}

/// Text that must be there and must not be empty.
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
        let at = ValueSelector::read_in(&mut object, problems);
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
                // The keys are known all the same.
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
