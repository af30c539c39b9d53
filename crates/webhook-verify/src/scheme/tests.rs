//! Tests of reading, describing and rejecting records.

use super::presets::preset_text;
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
fn preset_records_are_valid() {
    for name in PRESETS {
        let text = preset_text(name).expect("a record");
        if let Err(problems) = Scheme::from_yaml(name, text) {
            panic!("{name}: {problems:?}");
        }
        let scheme = Scheme::preset(name).expect("a preset");
        assert_eq!(scheme.name(), *name);
        let text = |text: Option<&str>| text.unwrap_or_default().trim().to_owned();
        let (note, source) = (text(scheme.note()), text(scheme.source()));
        assert!(source.starts_with("https://"), "{name}: {source}");
        assert!(text(scheme.timeout()).ends_with('.'), "{name}: the timeout");
        // Each preset has a delivery id, or its note explains that a hash replaces it.
        let mut specs = scheme.specs().iter();
        let has_ids = specs.all(|spec| !spec.delivery_id.is_empty());
        let note = note.replace('\n', " ");
        assert!(
            has_ids || note.contains("hash is used instead"),
            "{name}: {note}"
        );
    }
    assert_eq!(Scheme::preset("unknown"), None);
    assert_eq!(Scheme::nearest_preset("stirpe"), Some("stripe"));
}

#[test]
fn preset_description_is_one_sentence() {
    let describe = |name| Scheme::preset(name).expect("a preset").describe();
    insta::assert_snapshot!(describe("stripe"), @"HMAC-SHA256 of `{timestamp}.{body}`, hex under key v1 of header stripe-signature, at most 300 s old or ahead.");
    insta::assert_snapshot!(describe("typeform"), @"HMAC-SHA256 of `{body}`, base64 in header typeform-signature after `sha256=`, no time is signed.");
    insta::assert_snapshot!(describe("svix"), @"HMAC-SHA256 with a key in base64 of `{header:svix-id}.{timestamp}.{body}`, base64 listed in header svix-signature after `v1,`, at most 300 s old or ahead; or HMAC-SHA256 with a key in base64 of `{header:webhook-id}.{timestamp}.{body}`, base64 listed in header webhook-signature after `v1,`, at most 300 s old or ahead.");
}

#[test]
fn invalid_record_reports_all_problems() {
    let record = json!({
        "type": "magic",
        "algorithm": "md5",
        "signature": {"header": "X Sig", "format": "kv", "pair_sep": ",", "kv_sep": ",", "encoding": "hex", "item_sep": " "},
        "signed": "{timestamp}.{bodi}",
        "timestamp": {"header": "X-Time", "kv": "t", "unit": "m", "tolerance_s": 100_000},
        "secret_format": {"encoding": "rot13", "strip_prefix": [""]},
        "delivery_id": {"json": "id", "cookie": "id"},
    });
    insta::assert_snapshot!(problems_of(&record).join("\n"), @r#"
    delivery_id.json: is not a JSON pointer: it starts with `/`, as in /data/id; `*` stands for every item of a list
    delivery_id.cookie: unknown key; known here: header, query, form, json, path
    type: is not a known type of proof; known: hmac, digest, ed25519, ecdsa, rsa, jws, equals, basic, bearer, sns
    algorithm: `md5` is not known here; known: sha256, sha1, sha512
    signature.header: is not a header name
    signature: `key` is missing
    signature.format: needs a `pair_sep` that differs from `kv_sep`
    signature.item_sep: unknown key; known here: header, query, form, json, path, format, pair_sep, kv_sep, key, prefix, prefix_optional, encoding
    signed: `{bodi}` is not a known token; known: {body}, {timestamp}, {header:Name}, {query:name}, {form:name}, {json:/pointer}, {path:0}, {method}, {url}, {param:name}, {secret}, {sha256_body}, {crc32_body}, {form_sorted}, {json_escaped:/pointer}
    timestamp: must have exactly one of `header`, `query`, `form`, `json`, `path` and `kv`
    timestamp.unit: `m` is not known here; known: s, ms, iso
    timestamp.tolerance_s: must be a whole number from 0 to 86400
    secret_format.encoding: `rot13` is not known here; known: utf8, base64, hex
    secret_format.strip_prefix.0: must not be empty
    "#);
}

#[test]
fn insecure_record_is_rejected() {
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
    insta::assert_snapshot!(with(json!({"signed": "{header:X-Id}"})), @"signed: must contain {body}, {sha256_body} or {form_sorted}: without it, the body can be changed unnoticed; if the sender signs only a part of it, write `partial: true`");
    insta::assert_snapshot!(with(json!({"signed": "{timestamp}{body}"})), @"signed: contains {timestamp}, so `timestamp` must give its location");
    insta::assert_snapshot!(with(json!({"timestamp": {"header": "X-Time"}})), @"timestamp: is not signed: `signed` must contain {timestamp}, or a replay could renew it");
    insta::assert_snapshot!(with(json!({"signed": "{timestamp}{body}", "timestamp": {"kv": "t"}})), @"timestamp: `kv` needs a signature of `format: kv`");
    insta::assert_snapshot!(with(json!({"signed": "{body"})), @"signed: `{` is unmatched; a token is written {body}, {timestamp} or {header:Name}");
    insta::assert_snapshot!(with(json!({"signed": "{body}}"})), @"signed: `}` is unmatched; a token is written {body}, {timestamp} or {header:Name}");
    insta::assert_snapshot!(with(json!({"alternatives": []})), @r#"
    alternatives: must contain at least one scheme
    type: unknown key; known here: note, source, timeout, handshakes, accepted, bare_refusals, alternatives
    algorithm: unknown key; known here: note, source, timeout, handshakes, accepted, bare_refusals, alternatives
    signed: unknown key; known here: note, source, timeout, handshakes, accepted, bare_refusals, alternatives
    signature: unknown key; known here: note, source, timeout, handshakes, accepted, bare_refusals, alternatives
    "#);
}

#[test]
fn json_schema_contains_every_record_key() {
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
        "timeout",
        "handshakes",
        "accepted",
        "bare_refusals",
        "query",
        "form",
        "json",
        "path",
        "token",
        "claims",
        "body_hash_claim",
        "must_expire",
        "jwks_url",
        "partial",
        "each",
        "body_hash",
        "url_variants",
        "method",
        "when",
        "equals",
        "secret",
        "verified",
        "enroll",
        "answer",
        "headers",
        "status",
        "content_type",
        "text",
        "raw",
    ] {
        assert!(schema.contains(&format!("\"{key}\":")), "{key}");
    }
    assert!(
        !schema.contains("\"name\":"),
        "the name is not part of a record"
    );
}

/// Every token of the tables is known, and every kind of segment has a token in its table.
#[test]
fn token_tables_are_complete() {
    let mut signed = std::collections::BTreeSet::new();
    for token in SIGNED_TOKENS {
        let template: SignedTemplate = token.text.parse().expect(token.text);
        signed.insert(match &template.segments()[0] {
            SignedSegment::Literal(text) => panic!("{text} is no token"),
            SignedSegment::Body => 1,
            SignedSegment::Timestamp => 2,
            SignedSegment::Part(part) => 100 + kind_of(part),
            SignedSegment::Escaped(_) => 3,
            SignedSegment::Method => 4,
            SignedSegment::Url => 5,
            SignedSegment::Param(_) => 6,
            SignedSegment::Secret => 7,
            SignedSegment::Crc32Body => 8,
            SignedSegment::Sha256Body => 9,
            SignedSegment::FormSorted => 10,
        });
    }
    assert_eq!((signed.len(), SIGNED_TOKENS.len()), (15, 15));
    let mut replies = std::collections::BTreeSet::new();
    for token in REPLY_TOKENS {
        let template: ReplyTemplate = token.text.parse().expect(token.text);
        replies.insert(match &template.segments()[0] {
            ReplySegment::Literal(text) => panic!("{text} is no token"),
            ReplySegment::Part(part) => 100 + kind_of(part),
            ReplySegment::HmacHex(_) => 1,
            ReplySegment::HmacBase64(_) => 2,
        });
    }
    assert_eq!((replies.len(), REPLY_TOKENS.len()), (7, 7));
    let schema = schemars::schema_for!(Scheme).to_value().to_string();
    for token in SIGNED_TOKENS.iter().chain(REPLY_TOKENS) {
        assert!(schema.contains(token.text), "{}", token.text);
    }
}

fn kind_of(part: &ValueSelector) -> usize {
    match part {
        ValueSelector::Header(_) => 0,
        ValueSelector::Query(_) => 1,
        ValueSelector::Form(_) => 2,
        ValueSelector::Json(_) => 3,
        ValueSelector::Path(_) => 4,
    }
}

#[test]
fn preset_description_covers_all_proof_kinds() {
    let describe = |name| Scheme::preset(name).expect("a preset").describe();
    insta::assert_snapshot!(describe("gitlab"), @"the secret itself in header x-gitlab-token, nothing is signed.");
    insta::assert_snapshot!(describe("hubspot-v1"), @"plain SHA256 of `{secret}{body}`, hex in header x-hubspot-signature, no time is signed.");
    insta::assert_snapshot!(describe("zoho-desk"), @"JWT RS256 in header x-zdesk-jwt with fixed aud, iss, the body is not covered.");
    insta::assert_snapshot!(describe("discord"), @"Ed25519 with a key in hex of `{timestamp}{body}`, hex in header x-signature-ed25519, at most 300 s old or ahead.");
    let with_url: Vec<&str> = PRESETS
        .iter()
        .copied()
        .filter(|name| Scheme::preset(name).is_some_and(|scheme| scheme.needs_url()))
        .collect();
    assert_eq!(with_url, ["twilio", "hubspot", "hubspot-v2"]);
    assert_eq!(PRESETS.len(), 48);
}
