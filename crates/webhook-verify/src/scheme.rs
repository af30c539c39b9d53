//! How a sender proves itself, as data: one declarative record per vendor, and the presets.
//!
//! A record says where a signature stands, what it covers and how the secret becomes a key; the one interpreter in
//! [`super::verify`] does the rest. Presets are such records too, read by the same code as a route's own record. A
//! record also says how the sender tries out an address ([`super::handshake`]) and what it wants to hear.

mod choice;
mod describe;
mod keywords;
mod presets;
mod read;
mod reply;
mod selector;
mod signature;
mod spec;
mod template;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value;

pub use choice::SchemeChoice;
pub use keywords::{
    Algorithm, Encoding, JwsAlgorithm, SecretEncoding, TimestampUnit, UnknownKeyword, UrlVariant,
};
pub use presets::PRESETS;
pub use reply::{HandshakeCondition, HandshakeSpec, JsonTemplate, ReplyContent, ReplySpec};
pub use selector::{InvalidPointer, Pointer, ValueSelector};
pub use signature::{SecretFormat, Signature, SignatureLayout, TimestampLocation, TimestampRule};
pub use spec::{
    HashedMessage, Jws, ProofKind, SchemeSpec, SharedSecret, SignedMessage, TokenLocation,
};
pub use template::{InvalidTemplate, ReplySegment, ReplyTemplate, SignedSegment, SignedTemplate};

pub(super) use template::fill_params;

use presets::preset_text;
use strict_reader::{Node, Object, Problem, Problems, nearest};

/// How a sender proves itself.
///
/// As a record: either the keys of one recipe, or `alternatives`, a list of recipes of which any may match; with `note`,
/// `source` and `timeout` beside them for the reader, and `handshakes`, `accepted` and `bare_refusals` for the sender.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct Scheme {
    #[schemars(skip)]
    name: String,
    /// What a person should know about it.
    note: Option<String>,
    /// Where the sender documents it.
    source: Option<String>,
    /// How long the sender waits for an answer.
    timeout: Option<String>,
    #[schemars(flatten, with = "SpecsRecord")]
    specs: Vec<SchemeSpec>,
    /// How the sender tries out an address.
    #[schemars(default)]
    handshakes: Vec<HandshakeSpec>,
    /// What the sender wants to hear about an accepted delivery; absent: our own answer will do.
    accepted: Option<ReplySpec>,
    /// Whether a refusal must be a 401 without content.
    #[schemars(default)]
    bare_refusals: bool,
    #[schemars(skip)]
    params: BTreeMap<String, String>,
}

/// The two ways to write recipes down; only its JSON Schema is used.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "stands for the record's shape in the JSON Schema")]
enum SpecsRecord {
    One(Box<SchemeSpec>),
    Several {
        /// Recipes of which any may match.
        #[schemars(length(min = 1))]
        alternatives: Vec<SchemeSpec>,
    },
}

impl Scheme {
    /// The preset with this name, if there is one. Its record is parsed only now, so that an unused preset costs nothing.
    pub fn preset(name: &str) -> Option<Self> {
        // The records are part of the program and a test reads them all, so their problems never show here.
        Self::from_yaml(name, preset_text(name)?).ok()
    }

    /// The preset whose name is nearest to a misspelt one.
    pub fn nearest_preset(name: &str) -> Option<&'static str> {
        nearest(name, PRESETS.iter().copied())
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

    /// Reads a record whose keys stand in `object`, among keys of other readers; the caller finishes the object.
    /// What is wrong is noted in `problems`.
    pub fn read(object: &mut Object<'_>, problems: &mut Problems) -> Option<Self> {
        let note = optional_text(object, "note", problems);
        let source = optional_text(object, "source", problems);
        let timeout = optional_text(object, "timeout", problems);
        let handshakes = object
            .optional("handshakes")
            .and_then(|node| node.list(problems))
            .unwrap_or_default();
        let handshakes = handshakes
            .iter()
            .filter_map(|node| HandshakeSpec::read(node, problems))
            .collect();
        let accepted = object
            .optional("accepted")
            .and_then(|node| ReplySpec::read(&node, problems));
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

    /// What a person should know about this scheme.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Where the sender documents it.
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// How long the sender waits for an answer, for a person.
    pub fn timeout(&self) -> Option<&str> {
        self.timeout.as_deref()
    }

    /// The recipes of which any may match; never empty.
    pub fn specs(&self) -> &[SchemeSpec] {
        &self.specs
    }

    /// How the sender tries out an address.
    pub fn handshakes(&self) -> &[HandshakeSpec] {
        &self.handshakes
    }

    /// Whether the sender hands its secret over in a handshake.
    pub fn enrolls_secret(&self) -> bool {
        self.handshakes
            .iter()
            .any(|exchange| exchange.enroll.is_some())
    }

    /// What the sender wants to hear about an accepted delivery.
    pub fn accepted(&self) -> Option<&ReplySpec> {
        self.accepted.as_ref()
    }

    /// Whether a refusal must be a 401 without content, because the sender tests for it.
    pub fn bare_refusals(&self) -> bool {
        self.bare_refusals
    }

    /// Changes how far a signed time may be off; 0 switches the check off. Recipes that sign no time are left as they are.
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

    /// The names of the parameters that `{param:…}` stands for.
    pub fn needed_params(&self) -> Vec<String> {
        let mut names: Vec<String> = self.specs.iter().flat_map(SchemeSpec::params).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Sets the route's parameters.
    ///
    /// # Errors
    /// The names of those that are needed and not there, or empty.
    pub fn set_params(&mut self, params: BTreeMap<String, String>) -> Result<(), Vec<String>> {
        let given = |name: &String| params.get(name).is_some_and(|value| !value.is_empty());
        let mut missing = self.needed_params();
        missing.retain(|name| !given(name));
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

    /// Whether a route without a secret would let nothing in. If not, the sender's keys are fetched
    /// ([`super::verify::KeyFetcher`]).
    pub fn needs_secret(&self) -> bool {
        !self.specs.iter().all(SchemeSpec::fetches_keys)
    }

    /// Whether the public URL is part of what is signed, so that the route must know it.
    pub fn needs_url(&self) -> bool {
        let signs_url = |message: &SignedMessage| message.signed.has(&SignedSegment::Url);
        self.specs
            .iter()
            .filter_map(SchemeSpec::message)
            .any(signs_url)
    }

    /// The scheme in one sentence.
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
        node.problem(problems, "must name at least one recipe");
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

/// The start of what somebody wrote, short enough for a message.
fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}
