//! Signature schemes as data: one declarative record per sender, and the presets.
//!
//! A record contains the location of the signature, the signed text and the format of the secret. [`super::verify`]
//! interprets all records. Presets are records too, read by the same code as a custom record. A record also describes the
//! sender's handshakes ([`super::handshake`]) and the response that it expects.

mod challenge;
mod choice;
mod describe;
mod handshake_spec;
mod keywords;
mod presets;
mod read;
mod reply;
mod selector;
mod signature;
mod spec;
mod template;
mod tokens;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

pub use challenge::{SignedChallenge, is_token};
pub use choice::SchemeChoice;
pub use handshake_spec::{HandshakeCondition, HandshakeSpec};
pub use keywords::{
    Algorithm, Encoding, JwsAlgorithm, SecretEncoding, TimestampUnit, UnknownKeyword, UrlVariant,
};
pub use presets::PRESETS;
pub use reply::{JsonTemplate, ReplyContent, ReplySpec};
pub use selector::{InvalidPointer, Pointer, ValueSelector};
pub use signature::{SecretFormat, Signature, SignatureLayout, TimestampLocation, TimestampRule};
pub use spec::{
    HashedMessage, Jws, ProofKind, SchemeSpec, SharedSecret, SignedMessage, TokenLocation,
};
pub use template::{InvalidTemplate, ReplySegment, ReplyTemplate, SignedSegment, SignedTemplate};
pub use tokens::{REPLY_TOKENS, SIGNED_TOKENS, TemplateToken};

pub(super) use template::fill_params;

use handshake_spec::CommonHandshake;
use presets::preset_text;
use strict_reader::{Node, Object, Problem, Problems, nearest};

/// A signature scheme.
///
/// A record has either the keys of one spec, or `alternatives`, a list of specs of which any may match. `note`, `source`
/// and `timeout` are documentation; `handshakes`, `accepted` and `bare_refusals` describe responses to the sender.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct Scheme {
    #[schemars(skip)]
    name: String,
    /// Notes for operators.
    note: Option<String>,
    /// URL of the sender's documentation.
    source: Option<String>,
    /// How long the sender waits for a response.
    timeout: Option<String>,
    #[schemars(flatten, with = "SpecsRecord")]
    specs: Vec<SchemeSpec>,
    /// Requests with which the sender verifies an endpoint.
    #[schemars(default, with = "Vec<HandshakeEntry>")]
    handshakes: Vec<HandshakeSpec>,
    /// The response that the sender expects for an accepted delivery; absent: any successful response.
    #[schemars(extend("properties" = {"status": {"maximum": 299}}))]
    accepted: Option<ReplySpec>,
    /// Whether a rejection must be a 401 response without a body.
    #[schemars(default)]
    bare_refusals: bool,
    #[schemars(skip)]
    params: BTreeMap<String, String>,
}

/// The two forms of a record's specs; only its JSON Schema is used.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "stands for the record's shape in the JSON Schema")]
enum SpecsRecord {
    One(Box<SchemeSpec>),
    Several {
        /// Specs of which any may match.
        #[schemars(length(min = 1), transform = refuse_unknown_keys)]
        alternatives: Vec<SchemeSpec>,
    },
}

fn refuse_unknown_keys(list: &mut Schema) {
    if let Some(Value::Object(items)) = list.get_mut("items") {
        items.insert("unevaluatedProperties".to_owned(), false.into());
    }
}

/// An entry of `handshakes`; only its JSON Schema is used.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "stands for the entry's shape in the JSON Schema")]
enum HandshakeEntry {
    Common(CommonHandshake),
    Spec(Box<HandshakeSpec>),
}

impl Scheme {
    /// The JSON Schema of a list of handshakes.
    pub fn handshakes_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Option<Vec<HandshakeEntry>>>()
    }

    /// The preset with this name, if it exists. Its record is parsed on each call, so unused presets cost nothing.
    pub fn preset(name: &str) -> Option<Self> {
        // The records are compiled in and a test reads them all, so no problem occurs here.
        Self::from_yaml(name, preset_text(name)?).ok()
    }

    /// The preset whose name is most similar to a misspelt one.
    pub fn nearest_preset(name: &str) -> Option<&'static str> {
        nearest(name, PRESETS.iter().copied())
    }

    /// The word of `scheme` that is most similar to a misspelt one.
    pub(crate) fn nearest_choice(name: &str) -> Option<&'static str> {
        nearest(name, PRESETS.iter().copied().chain(["custom", "none"]))
    }

    fn from_yaml(name: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let record: Value = match serde_saphyr::from_str(text) {
            Ok(record) => record,
            Err(error) => {
                Node::root(&Value::Null).problem(&mut problems, error.to_string());
                return problems.finish(None);
            }
        };
        let object = Node::root(&record).object(&mut problems);
        let scheme = object.and_then(|mut object| {
            let scheme = Self::read(&mut object, &mut problems);
            object.finish(&mut problems);
            scheme
        });
        problems.finish(scheme.map(|scheme| Self {
            name: name.to_owned(),
            ..scheme
        }))
    }

    /// Reads the keys of a record from `object`, which may contain other keys too; the caller finishes the object. Errors
    /// are added to `problems`.
    pub fn read(object: &mut Object<'_>, problems: &mut Problems) -> Option<Self> {
        let note = optional_text(object, "note", problems);
        let source = optional_text(object, "source", problems);
        let timeout = optional_text(object, "timeout", problems);
        let handshakes = HandshakeSpec::read_list(object, problems);
        let accepted = object
            .optional("accepted")
            .and_then(|node| ReplySpec::read_accepted(&node, problems));
        let bare_refusals = object
            .optional("bare_refusals")
            .and_then(|node| node.boolean(problems))
            .unwrap_or_default();
        let specs = match object.optional("alternatives") {
            None => SchemeSpec::read(object, problems).map(|spec| vec![spec]),
            Some(node) => read_alternatives(&node, problems),
        };
        Some(Self {
            name: "custom".to_owned(),
            note,
            source,
            timeout,
            specs: specs?,
            handshakes,
            accepted,
            bare_refusals,
            params: BTreeMap::new(),
        })
    }

    /// The preset's name, or `custom`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Notes for operators.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// URL of the sender's documentation.
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// How long the sender waits for a response, as text.
    pub fn timeout(&self) -> Option<&str> {
        self.timeout.as_deref()
    }

    /// The specs of which any may match; never empty.
    pub fn specs(&self) -> &[SchemeSpec] {
        &self.specs
    }

    /// Requests with which the sender verifies an endpoint.
    pub fn handshakes(&self) -> &[HandshakeSpec] {
        &self.handshakes
    }

    /// Adds handshakes, which take precedence over those of the record.
    pub fn add_handshakes(&mut self, mut handshakes: Vec<HandshakeSpec>) {
        handshakes.append(&mut self.handshakes);
        self.handshakes = handshakes;
    }

    /// Whether the sender hands over its secret in a handshake.
    pub fn enrolls_secret(&self) -> bool {
        self.handshakes
            .iter()
            .any(|exchange| exchange.enroll.is_some())
    }

    /// The response that the sender expects for an accepted delivery.
    pub fn accepted(&self) -> Option<&ReplySpec> {
        self.accepted.as_ref()
    }

    /// Whether a rejection must be a 401 response without a body, because the sender tests for that.
    pub fn bare_refusals(&self) -> bool {
        self.bare_refusals
    }

    /// Sets the tolerance for signed times; 0 disables the check. Specs without a signed time do not change.
    pub fn set_tolerance(&mut self, seconds: u64) {
        for spec in &mut self.specs {
            if let Some(rule) = spec
                .message_mut()
                .and_then(|message| message.timestamp.as_mut())
            {
                rule.tolerance_s = seconds;
            }
        }
    }

    /// The names of the parameters in `{param:…}` tokens.
    pub fn needed_params(&self) -> Vec<String> {
        let mut names: Vec<String> = self.specs.iter().flat_map(SchemeSpec::params).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Sets the route's parameters.
    ///
    /// # Errors
    /// The names of the needed parameters that are missing or empty.
    pub fn set_params(&mut self, params: BTreeMap<String, String>) -> Result<(), Vec<String>> {
        let is_set = |name: &String| params.get(name).is_some_and(|value| !value.is_empty());
        let mut missing = self.needed_params();
        missing.retain(|name| !is_set(name));
        self.params = params;
        if missing.is_empty() {
            Ok(())
        } else {
            Err(missing)
        }
    }

    pub(super) fn params(&self) -> &BTreeMap<String, String> {
        &self.params
    }

    /// Whether deliveries can only be verified with a secret. If not, the sender's keys are fetched
    /// ([`super::verify::KeyFetcher`]).
    pub fn needs_secret(&self) -> bool {
        !self.specs.iter().all(SchemeSpec::fetches_keys)
    }

    /// Whether the public URL is part of the signed text, so that the route must know it.
    pub fn needs_url(&self) -> bool {
        let signs_url = |message: &SignedMessage| message.signed.has(&SignedSegment::Url);
        self.specs
            .iter()
            .filter_map(SchemeSpec::message)
            .any(signs_url)
    }

    /// Describes the scheme in one sentence.
    pub fn describe(&self) -> String {
        let specs: Vec<String> = self.specs.iter().map(SchemeSpec::describe).collect();
        format!("{}.", specs.join("; or "))
    }
}

fn optional_text(
    object: &mut Object<'_>,
    key: &'static str,
    problems: &mut Problems,
) -> Option<String> {
    let node = object.optional(key)?;
    node.string(problems).map(ToOwned::to_owned)
}

fn read_alternatives(node: &Node<'_>, problems: &mut Problems) -> Option<Vec<SchemeSpec>> {
    let items = node.list(problems)?;
    if items.is_empty() {
        node.problem(problems, "must contain at least one scheme");
        return None;
    }
    let mut specs = Vec::new();
    for item in items {
        let Some(mut object) = item.object(problems) else {
            continue;
        };
        specs.extend(SchemeSpec::read(&mut object, problems));
        object.finish(problems);
    }
    (!specs.is_empty()).then_some(specs)
}

/// The start of a text, short enough for an error message.
fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}
