//! Reads specs from records, and rejects insecure ones.

use std::collections::BTreeMap;

use super::selector::ValueSelector;
use super::signature::{
    SecretFormat, Signature, SignatureLayout, TimestampLocation, TimestampRule,
};
use super::spec::{
    HashedMessage, Jws, ProofKind, SchemeSpec, SharedSecret, SignedMessage, TokenLocation,
    type_list,
};
use super::template::{SignedSegment, SignedTemplate, param_names};
use strict_reader::{Node, Object, Problems};

impl SchemeSpec {
    pub(super) fn read(object: &mut Object<'_>, problems: &mut Problems) -> Option<Self> {
        let delivery_id = read_delivery_id(object, problems);
        let kind = object.required("type", problems);
        let name = kind.as_ref().and_then(|kind| kind.string(problems));
        let proof = match name {
            Some("hmac") => HashedMessage::read(object, problems).map(ProofKind::Hmac),
            Some("digest") => {
                let hashed = HashedMessage::read(object, problems);
                if let (Some(kind), Some(hashed)) = (&kind, &hashed)
                    && !hashed.message.signed.has(&SignedSegment::Secret)
                {
                    kind.problem(
                        problems,
                        "needs {secret} in `signed`: without it, deliveries can be forged",
                    );
                }
                hashed.map(ProofKind::Digest)
            }
            Some("ed25519") => SignedMessage::read(object, problems).map(ProofKind::Ed25519),
            Some("ecdsa") => SignedMessage::read(object, problems).map(ProofKind::Ecdsa),
            Some("rsa") => HashedMessage::read(object, problems).map(ProofKind::Rsa),
            Some("jws") => Jws::read(object, problems).map(ProofKind::Jws),
            Some("equals") => TokenLocation::read(object, problems)
                .map(|token| ProofKind::Equals(SharedSecret { token })),
            Some("basic") => Some(ProofKind::Basic),
            Some("bearer") => Some(ProofKind::Bearer),
            Some("sns") => Some(ProofKind::Sns),
            Some(_) | None => {
                if let Some(kind) = kind.filter(|_| name.is_some()) {
                    let message = format!("is not a known type of proof; known: {}", type_list());
                    kind.problem(problems, message);
                }
                // Read on as the most common type, to report the other problems of the record too.
                HashedMessage::read(object, problems).map(ProofKind::Hmac)
            }
        };
        let proof = proof?;
        let keyed = !matches!(proof, ProofKind::Digest(_));
        let spec = Self { proof, delivery_id };
        if keyed
            && let Some(message) = spec.message()
            && message.signed.has(&SignedSegment::Secret)
        {
            problems.add(
                &object.at,
                "`signed` contains {secret}, which only `type: digest` may",
            );
        }
        Some(spec)
    }
}

fn read_delivery_id(object: &mut Object<'_>, problems: &mut Problems) -> Vec<ValueSelector> {
    let nodes = object.optional("delivery_id");
    let nodes = nodes.map(|node| node.one_or_many()).unwrap_or_default();
    let selectors = nodes
        .iter()
        .filter_map(|node| ValueSelector::read(node, problems));
    selectors.collect()
}

impl HashedMessage {
    fn read(object: &mut Object<'_>, problems: &mut Problems) -> Option<Self> {
        let algorithm = object
            .required("algorithm", problems)
            .and_then(|node| node.parse(problems));
        let message = SignedMessage::read(object, problems);
        Some(Self {
            algorithm: algorithm?,
            message: message?,
        })
    }
}

fn flag(object: &mut Object<'_>, key: &'static str, problems: &mut Problems) -> bool {
    let node = object.optional(key);
    node.and_then(|node| node.boolean(problems))
        .unwrap_or_default()
}

impl SignedMessage {
    fn read(object: &mut Object<'_>, problems: &mut Problems) -> Option<Self> {
        let signature = object
            .required("signature", problems)
            .and_then(|node| Signature::read(&node, problems));
        let signed_node = object.required("signed", problems);
        let signed: Option<SignedTemplate> =
            signed_node.as_ref().and_then(|node| node.parse(problems));
        let timestamp_node = object.optional("timestamp");
        let timestamp = timestamp_node
            .as_ref()
            .and_then(|node| TimestampRule::read(node, problems));
        let secret_format = match object.optional("secret_format") {
            None => Some(SecretFormat::default()),
            Some(node) => SecretFormat::read(&node, problems),
        };
        let variants = object.optional("url_variants");
        let variants = variants.and_then(|node| node.list(problems));
        let url_variants = variants.unwrap_or_default();
        let url_variants = url_variants
            .iter()
            .filter_map(|node| node.parse(problems))
            .collect();
        let body_hash = object
            .optional("body_hash")
            .and_then(|node| ValueSelector::read(&node, problems));
        let each = object
            .optional("each")
            .and_then(|node| node.parse(problems));
        let partial = flag(object, "partial", problems);
        if let (Some(node), Some(rule), Some(signature)) = (&timestamp_node, &timestamp, &signature)
        {
            check_kv_timestamp(node, rule, &signature.layout, problems);
        }
        let message = Self {
            signature: signature?,
            signed: signed?,
            timestamp,
            secret_format: secret_format?,
            url_variants,
            body_hash,
            each,
            partial,
        };
        message.check(signed_node.as_ref()?, timestamp_node.as_ref(), problems);
        Some(message)
    }

    fn check(&self, signed: &Node<'_>, timestamp: Option<&Node<'_>>, problems: &mut Problems) {
        if !self.covers_body() && !self.partial {
            signed.problem(
                problems,
                "must contain {body}, {sha256_body} or {form_sorted}: without it, the body can be changed unnoticed; if the sender signs only a part of it, write `partial: true`",
            );
        }
        let signs_time = self.signed.has(&SignedSegment::Timestamp);
        if signs_time && timestamp.is_none() {
            let message = "contains {timestamp}, so `timestamp` must give its location";
            signed.problem(problems, message);
        }
        if let Some(rule) = timestamp.filter(|_| !signs_time) {
            let message =
                "is not signed: `signed` must contain {timestamp}, or a replay could renew it";
            rule.problem(problems, message);
        }
        if self.body_hash.is_some() && !self.signed.has(&SignedSegment::Url) {
            let message = "must contain {url} if there is a `body_hash`: without it, both can be changed unnoticed";
            signed.problem(problems, message);
        }
    }
}

fn check_kv_timestamp(
    node: &Node<'_>,
    rule: &TimestampRule,
    layout: &SignatureLayout,
    problems: &mut Problems,
) {
    let TimestampLocation::Kv(timestamp_key) = &rule.at else {
        return;
    };
    match layout {
        SignatureLayout::Kv { key, .. } if key != timestamp_key => {}
        SignatureLayout::Kv { .. } => node.problem(problems, "has the key of the signature itself"),
        SignatureLayout::Plain | SignatureLayout::List { .. } => {
            node.problem(problems, "`kv` needs a signature of `format: kv`");
        }
    }
}

impl TokenLocation {
    /// Reads the value of the key `token`.
    fn read(object: &mut Object<'_>, problems: &mut Problems) -> Option<Self> {
        let node = object.required("token", problems)?;
        let mut object = node.object(problems)?;
        let at = ValueSelector::read_in(&mut object, problems);
        let prefix = object.optional("prefix");
        let prefix = prefix.and_then(|node| node.string(problems).map(str::to_owned));
        object.finish(problems);
        Some(Self { at: at?, prefix })
    }
}

impl Jws {
    fn read(object: &mut Object<'_>, problems: &mut Problems) -> Option<Self> {
        let algorithm = object
            .required("algorithm", problems)
            .and_then(|node| node.parse(problems));
        let token_node = object.optional("token");
        let token = TokenLocation::read(object, problems);
        let mut claims = BTreeMap::new();
        let entries = object
            .optional("claims")
            .and_then(|node| node.object(problems));
        for (name, node) in entries.iter().flat_map(Object::entries) {
            let text = read_param_text(&node, problems);
            claims.extend(text.map(|text| (name.to_owned(), text)));
        }
        let body_hash_claim = object
            .optional("body_hash_claim")
            .and_then(|node| node.string(problems).map(str::to_owned));
        let must_expire = flag(object, "must_expire", problems);
        let jwks_node = object.optional("jwks_url");
        let jwks_url = jwks_node
            .as_ref()
            .and_then(|node| read_param_text(node, problems));
        if let (Some(node), Some(url)) = (&jwks_node, &jwks_url)
            && !has_fixed_host(url)
        {
            let message = "must start with https:// and a host that no parameter can replace";
            node.problem(problems, message);
        }
        let partial = flag(object, "partial", problems);
        if let Some(node) = token_node
            && body_hash_claim.is_none()
            && !partial
        {
            let message = "does not cover the body: set `body_hash_claim` or `partial: true`";
            node.problem(problems, message);
        }
        Some(Self {
            algorithm: algorithm?,
            token: token?,
            claims,
            body_hash_claim,
            must_expire,
            jwks_url,
            partial,
        })
    }
}

/// Whether no parameter can replace the host of a URL, except its top-level domain.
fn has_fixed_host(url: &str) -> bool {
    let host = url.strip_prefix("https://");
    let host = host.and_then(|rest| rest.split('/').next());
    host.is_some_and(|host| !host.is_empty() && !host.starts_with('{'))
}

fn read_param_text(node: &Node<'_>, problems: &mut Problems) -> Option<String> {
    let text = node.string(problems)?;
    match param_names(text) {
        Ok(_) => Some(text.to_owned()),
        Err(error) => {
            node.problem(problems, error.to_string());
            None
        }
    }
}
