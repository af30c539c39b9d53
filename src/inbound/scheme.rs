//! A signature scheme as data: one declarative record per vendor, and the presets.
//!
//! A record says where a signature stands, what it covers and how the secret becomes a key; the one interpreter in
//! [`super::verify`] does the rest. Presets are such records too, read by the same code as a route's own record.

use std::fmt;
use std::str::FromStr;

use http::HeaderName;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use crate::reader::{Node, Object, Problem, Problems, nearest};

/// Longest tolerance for a signed time, in seconds. A day covers every sender's clock; more is a slip of the pen.
const MAX_TOLERANCE_S: u64 = 86_400;

/// Tolerance where a record names none: what Standard Webhooks, Stripe and Slack all use.
const DEFAULT_TOLERANCE_S: u64 = 300;

macro_rules! presets {
    ($($name:literal),+ $(,)?) => {
        /// The names that [`Scheme::preset`] knows.
        pub const PRESETS: &[&str] = &[$($name),+];

        fn preset_text(name: &str) -> Option<&'static str> {
            match name {
                $($name => Some(include_str!(concat!("schemes/", $name, ".yaml"))),)+
                _ => None,
            }
        }
    };
}

presets!(
    "standard-webhooks",
    "svix",
    "stripe",
    "github",
    "github-sha1",
    "shopify",
    "typeform",
    "slack",
    "paddle",
    "zoho-payments",
    "meta",
    "dropbox",
    "formstack",
    "segment",
    "intercom",
);

/// How a sender signs its deliveries.
///
/// As a record: either the keys of one recipe, or `alternatives`, a list of recipes of which any may match; with `note`
/// and `source` beside them for the reader.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct Scheme {
    #[schemars(skip)]
    name: String,
    /// What a person should know about it.
    note: Option<String>,
    /// Where the sender documents it.
    source: Option<String>,
    #[schemars(flatten, with = "RecipesRecord")]
    recipes: Vec<Recipe>,
}

/// The two ways to write recipes down; only its JSON Schema is used.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "stands for the record's shape in the JSON Schema")]
enum RecipesRecord {
    One(Box<Recipe>),
    Several {
        /// Recipes of which any may match.
        #[schemars(length(min = 1))]
        alternatives: Vec<Recipe>,
    },
}

/// One way of signing, by its `type`.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(tag = "type", rename_all = "lowercase")]
pub enum Recipe {
    /// A keyed hash (RFC 2104) over parts of the delivery.
    Hmac(Hmac),
}

/// A keyed hash over parts of the delivery.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct Hmac {
    /// The hash function.
    pub algorithm: Algorithm,
    /// Where the signature stands and how it is written.
    pub signature: Signature,
    /// What is signed.
    #[schemars(with = "String")]
    pub signed: Signed,
    /// The signed time; absent: the sender signs none.
    pub timestamp: Option<TimestampRule>,
    /// How the secret's text becomes the key.
    #[schemars(default)]
    pub secret_format: SecretFormat,
    /// The header that names the delivery, the same for every retry; absent: the sender has none.
    pub delivery_id: Option<Selector>,
}

/// A part of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum Selector {
    /// The value of the header with this name.
    Header(#[schemars(with = "String")] HeaderName),
}

/// Where the signature stands and how it is written.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Signature {
    /// Where it stands.
    #[schemars(flatten)]
    pub at: Selector,
    /// How signatures are laid out there.
    #[schemars(flatten)]
    pub layout: Layout,
    /// What stands before the signature, in any case. In a list, items without it are of another version and skipped.
    pub prefix: Option<String>,
    /// Whether a signature without the prefix counts too.
    #[schemars(default)]
    pub prefix_optional: bool,
    /// How its bytes are written.
    pub encoding: Encoding,
}

/// How signatures are laid out in their header, by `format`.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(tag = "format", rename_all = "lowercase", transform = plain_is_the_default)]
pub enum Layout {
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
    pub at: TimestampAt,
    /// How it is written.
    #[schemars(default)]
    pub unit: Unit,
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
pub enum TimestampAt {
    /// In the header with this name.
    Header(#[schemars(with = "String")] HeaderName),
    /// Under this key, among the pairs of the signature's header.
    Kv(String),
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

/// Not one of the words that may stand here.
#[derive(Debug, thiserror::Error)]
#[error("`{found}` is not known here; known: {known}")]
pub struct UnknownWord {
    found: String,
    known: String,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
        pub enum $name {
            $($(#[$variant_doc])* #[schemars(rename = $word)] $variant,)+
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownWord { found: clip(word), known: [$($word),+].join(", ") }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(match self { $(Self::$variant => $word,)+ })
            }
        }
    };
}

words! {
    /// The hash function of a signature.
    Algorithm {
        /// SHA-256 (FIPS 180-4).
        Sha256 = "sha256",
        /// SHA-1. As a keyed hash it still holds; only for senders that offer nothing better.
        Sha1 = "sha1",
        /// SHA-512 (FIPS 180-4).
        Sha512 = "sha512",
    }
}

words! {
    /// How a signature's bytes are written.
    Encoding {
        /// Hexadecimal, in any case.
        Hex = "hex",
        /// Base64 with the standard alphabet (RFC 4648 section 4), padded or not.
        Base64 = "base64",
        /// Base64 with the URL-safe alphabet (RFC 4648 section 5), padded or not.
        Base64Url = "base64url",
    }
}

words! {
    /// How a key is written in its secret.
    SecretEncoding {
        /// The text itself is the key. The default.
        Utf8 = "utf8",
        /// Base64 with the standard alphabet, padded or not.
        Base64 = "base64",
        /// Hexadecimal, in any case.
        Hex = "hex",
    }
}

#[expect(clippy::derivable_impls, reason = "the macro writes the enum")]
impl Default for SecretEncoding {
    fn default() -> Self {
        Self::Utf8
    }
}

words! {
    /// How a signed time is written.
    Unit {
        /// Whole seconds since 1970. The default.
        Seconds = "s",
        /// Whole milliseconds since 1970.
        Milliseconds = "ms",
        /// RFC 3339.
        Iso = "iso",
    }
}

#[expect(clippy::derivable_impls, reason = "the macro writes the enum")]
impl Default for Unit {
    fn default() -> Self {
        Self::Seconds
    }
}

/// The signed text: a template of literals and `{tokens}`, parsed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    text: String,
    segments: Vec<Segment>,
}

/// A piece of the signed text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Text that stands there as it is.
    Literal(String),
    /// The body, byte for byte as it came in.
    Body,
    /// The signed time, as it was written.
    Timestamp,
    /// A header's value.
    Header(HeaderName),
}

impl Signed {
    /// The pieces in their order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

impl fmt::Display for Signed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// Not a template of a signed text.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTemplate {
    /// A token that nobody knows.
    #[error("`{{{0}}}` is not a known token; known: {{body}}, {{timestamp}}, {{header:Name}}")]
    UnknownToken(String),
    /// A token with a header name that cannot be one.
    #[error("`{0}` is not a header name")]
    HeaderName(String),
    /// A brace without its partner.
    #[error("`{0}` stands alone; a token is written {{body}}, {{timestamp}} or {{header:Name}}")]
    Brace(char),
}

impl FromStr for Signed {
    type Err = InvalidTemplate;

    fn from_str(text: &str) -> Result<Self, InvalidTemplate> {
        let mut segments = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (literal, after) = rest
                .split_once('{')
                .map_or((rest, None), |(literal, after)| (literal, Some(after)));
            if literal.contains('}') {
                return Err(InvalidTemplate::Brace('}'));
            }
            if !literal.is_empty() {
                segments.push(Segment::Literal(literal.to_owned()));
            }
            let Some(after) = after else { break };
            let (token, after) = after.split_once('}').ok_or(InvalidTemplate::Brace('{'))?;
            segments.push(token_segment(token)?);
            rest = after;
        }
        Ok(Self {
            text: text.to_owned(),
            segments,
        })
    }
}

fn token_segment(token: &str) -> Result<Segment, InvalidTemplate> {
    match token.split_once(':') {
        None if token == "body" => Ok(Segment::Body),
        None if token == "timestamp" => Ok(Segment::Timestamp),
        Some(("header", name)) => HeaderName::from_str(name)
            .map(Segment::Header)
            .map_err(|_| InvalidTemplate::HeaderName(clip(name))),
        None | Some(_) => Err(InvalidTemplate::UnknownToken(clip(token))),
    }
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
        let recipes = match object.optional("alternatives") {
            None => Recipe::read(object, problems).map(|recipe| vec![recipe]),
            Some(node) => read_alternatives(&node, problems),
        };
        Some(Self {
            name: "custom".to_owned(),
            note,
            source,
            recipes: recipes?,
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

    /// The ways of signing of which any may match; never empty.
    pub fn recipes(&self) -> &[Recipe] {
        &self.recipes
    }

    /// Changes how far a signed time may be off; 0 switches the check off. Schemes that sign no time are left as they are.
    pub fn set_tolerance(&mut self, seconds: u64) {
        for Recipe::Hmac(hmac) in &mut self.recipes {
            if let Some(rule) = &mut hmac.timestamp {
                rule.tolerance_s = seconds;
            }
        }
    }

    /// The scheme in one sentence.
    pub fn describe(&self) -> String {
        let recipes: Vec<String> = self.recipes.iter().map(Recipe::describe).collect();
        format!("{}.", recipes.join("; or "))
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

fn read_alternatives(node: &Node<'_>, problems: &mut Problems) -> Option<Vec<Recipe>> {
    let items = node.list(problems)?;
    if items.is_empty() {
        node.problem(problems, "must name at least one way of signing");
        return None;
    }
    let mut recipes = Vec::new();
    for item in items {
        let Some(mut object) = item.object(problems) else {
            continue;
        };
        recipes.extend(Recipe::read(&mut object, problems));
        object.finish(problems);
    }
    (!recipes.is_empty()).then_some(recipes)
}

impl Recipe {
    fn read(object: &mut Object<'_>, problems: &mut Problems) -> Option<Self> {
        let kind = object.required("type", problems);
        if let Some(kind) = kind
            && kind.string(problems).is_some_and(|kind| kind != "hmac")
        {
            kind.problem(problems, "is not a known type of signature; known: hmac");
        }
        Hmac::read(object, problems).map(Self::Hmac)
    }

    fn describe(&self) -> String {
        match self {
            Self::Hmac(hmac) => hmac.describe(),
        }
    }
}

impl Hmac {
    fn read(object: &mut Object<'_>, problems: &mut Problems) -> Option<Self> {
        let algorithm = object
            .required("algorithm", problems)
            .and_then(|node| node.parse(problems));
        let signature = object
            .required("signature", problems)
            .and_then(|node| Signature::read(&node, problems));
        let signed_node = object.required("signed", problems);
        let signed: Option<Signed> = signed_node.as_ref().and_then(|node| node.parse(problems));
        let timestamp_node = object.optional("timestamp");
        let timestamp = timestamp_node
            .as_ref()
            .and_then(|node| TimestampRule::read(node, problems));
        let secret_format = match object.optional("secret_format") {
            None => Some(SecretFormat::default()),
            Some(node) => SecretFormat::read(&node, problems),
        };
        let delivery_id = object
            .optional("delivery_id")
            .and_then(|node| read_selector(&node, problems));

        if let (Some(node), Some(signed)) = (&signed_node, &signed) {
            let signs = |wanted: &Segment| signed.segments().contains(wanted);
            if !signs(&Segment::Body) {
                node.problem(problems, "must contain {body}, or anybody could change it");
            }
            if signs(&Segment::Timestamp) && timestamp_node.is_none() {
                node.problem(
                    problems,
                    "contains {timestamp}; say where it stands under `timestamp`",
                );
            }
            if let Some(rule) = &timestamp_node
                && !signs(&Segment::Timestamp)
            {
                rule.problem(
                    problems,
                    "is not signed: `signed` must contain {timestamp}, or a replay could renew it",
                );
            }
        }
        if let (Some(node), Some(rule), Some(signature)) = (&timestamp_node, &timestamp, &signature)
            && let TimestampAt::Kv(wanted) = &rule.at
        {
            match &signature.layout {
                Layout::Kv { key, .. } if key != wanted => {}
                Layout::Kv { .. } => {
                    node.problem(problems, "has the key of the signature itself");
                }
                Layout::Plain | Layout::List { .. } => {
                    node.problem(problems, "`kv` needs a signature of `format: kv`");
                }
            }
        }

        Some(Self {
            algorithm: algorithm?,
            signature: signature?,
            signed: signed?,
            timestamp,
            secret_format: secret_format?,
            delivery_id,
        })
    }

    fn describe(&self) -> String {
        let Selector::Header(header) = &self.signature.at;
        let place = match &self.signature.layout {
            Layout::Plain => format!("in header {header}"),
            Layout::Kv { key, .. } => format!("under key {key} of header {header}"),
            Layout::List { .. } => format!("listed in header {header}"),
        };
        let prefix = self.signature.prefix.as_ref();
        let prefix = prefix.map_or(String::new(), |prefix| format!(" after `{prefix}`"));
        let age = match &self.timestamp {
            None => "no time is signed".to_owned(),
            Some(rule) if rule.tolerance_s == 0 => "the signed time is not checked".to_owned(),
            Some(rule) => format!("at most {} s old or ahead", rule.tolerance_s),
        };
        format!(
            "HMAC-{} of `{}`, {} {place}{prefix}, {age}",
            self.algorithm.to_string().to_uppercase(),
            self.signed,
            self.signature.encoding,
        )
    }
}

fn read_header(node: &Node<'_>, problems: &mut Problems) -> Option<HeaderName> {
    let name = HeaderName::from_str(node.string(problems)?).ok();
    if name.is_none() {
        node.problem(problems, "is not a header name");
    }
    name
}

fn read_selector(node: &Node<'_>, problems: &mut Problems) -> Option<Selector> {
    let mut object = node.object(problems)?;
    let header = object
        .required("header", problems)
        .and_then(|node| read_header(&node, problems));
    object.finish(problems);
    header.map(Selector::Header)
}

/// Text that must be there and must not be empty.
fn required_text(
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
    fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = node.object(problems)?;
        let header = object
            .required("header", problems)
            .and_then(|node| read_header(&node, problems));
        let layout = Layout::read(&mut object, problems);
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
            at: Selector::Header(header?),
            layout: layout?,
            prefix: prefix
                .filter(|prefix| !prefix.is_empty())
                .map(ToOwned::to_owned),
            prefix_optional: prefix_optional.unwrap_or_default(),
            encoding: encoding?,
        })
    }
}

impl Layout {
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
    fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = node.object(problems)?;
        let header_node = object.optional("header");
        let kv_node = object.optional("kv");
        let at = match (header_node, kv_node) {
            (Some(header), None) => read_header(&header, problems).map(TimestampAt::Header),
            (None, Some(kv)) => kv
                .string(problems)
                .map(|key| TimestampAt::Kv(key.to_owned())),
            (None, None) | (Some(_), Some(_)) => {
                node.problem(problems, "must have exactly one of `header` and `kv`");
                None
            }
        };
        let unit = match object.optional("unit") {
            None => Some(Unit::default()),
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
    fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
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

/// The start of what somebody wrote, short enough for a message.
fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problems_of(record: &Value) -> Vec<String> {
        let mut problems = Problems::default();
        let mut object = Node::root(record).object(&mut problems).expect("an object");
        let scheme = Scheme::read(&mut object, &mut problems);
        object.finish(&mut problems);
        let found = problems.finish(scheme).err().unwrap_or_default();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_preset_can_be_read() {
        for name in PRESETS {
            let text = preset_text(name).expect("a record");
            if let Err(problems) = Scheme::from_yaml(name, text) {
                panic!("{name}: {problems:?}");
            }
            assert_eq!(Scheme::preset(name).expect("a preset").name(), *name);
        }
        assert_eq!(Scheme::preset("nobody"), None);
        assert_eq!(Scheme::nearest_preset("stirpe"), Some("stripe"));
    }

    #[test]
    fn schemes_are_described_in_plain_words() {
        let describe = |name| Scheme::preset(name).expect("a preset").describe();
        insta::assert_snapshot!(describe("stripe"), @"HMAC-SHA256 of `{timestamp}.{body}`, hex under key v1 of header stripe-signature, at most 300 s old or ahead.");
        insta::assert_snapshot!(describe("typeform"), @"HMAC-SHA256 of `{body}`, base64 in header typeform-signature after `sha256=`, no time is signed.");
        insta::assert_snapshot!(describe("svix"), @"HMAC-SHA256 of `{header:svix-id}.{timestamp}.{body}`, base64 listed in header svix-signature after `v1,`, at most 300 s old or ahead; or HMAC-SHA256 of `{header:webhook-id}.{timestamp}.{body}`, base64 listed in header webhook-signature after `v1,`, at most 300 s old or ahead.");
    }

    #[test]
    fn all_problems_of_a_record_are_named_at_once() {
        let record = json!({
            "type": "magic",
            "algorithm": "md5",
            "signature": {"header": "X Sig", "format": "kv", "pair_sep": ",", "kv_sep": ",", "encoding": "hex", "item_sep": " "},
            "signed": "{timestamp}.{bodi}",
            "timestamp": {"header": "X-Time", "kv": "t", "unit": "m", "tolerance_s": 100_000},
            "secret_format": {"encoding": "rot13", "strip_prefix": [""]},
            "delivery_id": {"query": "id"},
        });
        insta::assert_snapshot!(problems_of(&record).join("\n"), @r#"
        type: is not a known type of signature; known: hmac
        algorithm: `md5` is not known here; known: sha256, sha1, sha512
        signature.header: is not a header name
        signature: `key` is missing
        signature.format: needs a `pair_sep` that differs from `kv_sep`
        signature.item_sep: unknown key; known here: header, format, pair_sep, kv_sep, key, prefix, prefix_optional, encoding
        signed: `{bodi}` is not a known token; known: {body}, {timestamp}, {header:Name}
        timestamp: must have exactly one of `header` and `kv`
        timestamp.unit: `m` is not known here; known: s, ms, iso
        timestamp.tolerance_s: must be a whole number from 0 to 86400
        secret_format.encoding: `rot13` is not known here; known: utf8, base64, hex
        secret_format.strip_prefix.0: must not be empty
        delivery_id: `header` is missing
        delivery_id.query: unknown key; known here: header
        "#);
    }

    #[test]
    fn records_that_could_not_protect_are_refused() {
        let with = |changes: Value| {
            let mut record = json!({
                "type": "hmac", "algorithm": "sha256", "signed": "{body}",
                "signature": {"header": "X-Sig", "encoding": "hex"},
            });
            for (key, value) in changes.as_object().expect("an object") {
                record[key] = value.clone();
            }
            problems_of(&record).join("\n")
        };
        assert_eq!(with(json!({})), "");
        insta::assert_snapshot!(with(json!({"signed": "{header:X-Id}"})), @"signed: must contain {body}, or anybody could change it");
        insta::assert_snapshot!(with(json!({"signed": "{timestamp}{body}"})), @"signed: contains {timestamp}; say where it stands under `timestamp`");
        insta::assert_snapshot!(with(json!({"timestamp": {"header": "X-Time"}})), @"timestamp: is not signed: `signed` must contain {timestamp}, or a replay could renew it");
        insta::assert_snapshot!(with(json!({"signed": "{timestamp}{body}", "timestamp": {"kv": "t"}})), @"timestamp: `kv` needs a signature of `format: kv`");
        insta::assert_snapshot!(with(json!({"signed": "{body"})), @"signed: `{` stands alone; a token is written {body}, {timestamp} or {header:Name}");
        insta::assert_snapshot!(with(json!({"signed": "{body}}"})), @"signed: `}` stands alone; a token is written {body}, {timestamp} or {header:Name}");
        insta::assert_snapshot!(with(json!({"alternatives": []})), @r#"
        alternatives: must name at least one way of signing
        type: unknown key; known here: note, source, alternatives
        algorithm: unknown key; known here: note, source, alternatives
        signed: unknown key; known here: note, source, alternatives
        signature: unknown key; known here: note, source, alternatives
        "#);
    }

    #[test]
    fn the_json_schema_knows_every_key_that_is_read() {
        let schema = schemars::schema_for!(Scheme).to_value().to_string();
        for key in [
            "note",
            "source",
            "alternatives",
            "type",
            "algorithm",
            "signature",
            "signed",
            "timestamp",
            "secret_format",
            "delivery_id",
            "header",
            "format",
            "pair_sep",
            "kv_sep",
            "key",
            "item_sep",
            "prefix",
            "prefix_optional",
            "encoding",
            "kv",
            "unit",
            "tolerance_s",
            "strip_prefix",
        ] {
            assert!(schema.contains(&format!("\"{key}\":")), "{key}");
        }
        assert!(
            !schema.contains("\"name\":"),
            "the name is not part of a record"
        );
    }
}
