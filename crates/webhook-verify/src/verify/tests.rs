//! Tests of signing and verifying.

use std::str::FromStr;

use super::*;
use crate::scheme::Encoding;
use crate::scheme::PRESETS;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::{Value, json};
use strict_reader::{Node, Problems};

const NOW: Timestamp = Timestamp::constant(1_700_000_000, 0);
const SECRET: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn secrets(texts: &[&str]) -> Vec<SecretString> {
    texts.iter().map(|text| SecretString::from(*text)).collect()
}

fn preset(name: &str) -> Scheme {
    Scheme::preset(name).expect("a preset")
}

fn signed(scheme: &Scheme, secrets: &[SecretString], body: &[u8]) -> HeaderMap {
    let mut delivery = OutgoingWebhook::new("msg_1", body);
    sign(scheme, secrets, NOW, &mut delivery).expect("signed");
    delivery.headers
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(
            HeaderName::from_str(name).expect("a name"),
            HeaderValue::from_str(value).expect("a value"),
        );
    }
    headers
}

fn custom(record: &Value) -> Scheme {
    let mut problems = Problems::default();
    let mut object = Node::root(record).object(&mut problems).expect("an object");
    let scheme = Scheme::read(&mut object, &mut problems);
    problems.finish(scheme).expect("a scheme")
}

#[test]
fn missing_or_ambiguous_header_is_rejected() {
    let scheme = preset("standard-webhooks");
    let keys = secrets(&[SECRET]);
    let good = signed(&scheme, &keys, b"{}");
    let error = |headers: &HeaderMap| {
        verify(&scheme, &WebhookRequest::new(headers, b"{}"), &keys, NOW).expect_err("refused")
    };
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let mut headers = good.clone();
        headers.remove(name);
        assert_eq!(
            error(&headers),
            VerifyError::MissingHeader {
                header: name.to_owned()
            }
        );
    }
    for name in ["webhook-id", "webhook-timestamp"] {
        let mut headers = good.clone();
        headers.append(name, HeaderValue::from_static("1700000001"));
        assert_eq!(
            error(&headers),
            VerifyError::RepeatedHeader {
                header: name.to_owned()
            }
        );
        let mut headers = good.clone();
        headers.append(name, good[name].clone());
        assert!(verify(&scheme, &WebhookRequest::new(&headers, b"{}"), &keys, NOW).is_ok());
    }
    let mut headers = good.clone();
    headers.append("webhook-signature", HeaderValue::from_static("v1,AAAA"));
    assert!(verify(&scheme, &WebhookRequest::new(&headers, b"{}"), &keys, NOW).is_ok());
    headers.insert("webhook-signature", HeaderValue::from_static("v2,AAAA"));
    insta::assert_snapshot!(error(&headers), @"header webhook-signature holds no signature of this form: `v1,` and base64, with ` ` between several; is this the right scheme?");
    headers.insert("webhook-signature", HeaderValue::from_static("v1,AAAA"));
    assert_eq!(error(&headers), VerifyError::NoMatch);
    assert_eq!(
        verify(&scheme, &WebhookRequest::new(&good, b"{}"), &[], NOW),
        Err(VerifyError::MissingSecret)
    );
    let none = HeaderMap::new();
    insta::assert_snapshot!(
        verify(&preset("svix"), &WebhookRequest::new(&none, b""), &keys, NOW).expect_err("refused"),
        @"header svix-signature or webhook-signature is missing: is this the right scheme, and does the sender have signing switched on?"
    );
}

#[test]
fn signature_with_two_timestamps_is_rejected() {
    let scheme = preset("stripe");
    let keys = secrets(&[SECRET]);
    let mut headers = signed(&scheme, &keys, b"{}");
    let value = headers["stripe-signature"]
        .to_str()
        .expect("text")
        .to_owned();
    headers.insert(
        "stripe-signature",
        format!("t=1,{value}").parse().expect("a value"),
    );
    insta::assert_snapshot!(
        verify(&scheme, &WebhookRequest::new(&headers, b"{}"), &keys, NOW).expect_err("refused"),
        @"header stripe-signature holds no signature of this form: one `t=` with the time and `v1=` with hex, `,` between them; is this the right scheme?"
    );
}

#[test]
fn age_is_checked_after_the_signature() {
    let scheme = preset("slack");
    let keys = secrets(&[SECRET]);
    let good = signed(&scheme, &keys, b"x");
    let at = |offset: i64, body: &[u8]| {
        let now = NOW + SignedDuration::from_secs(offset);
        verify(&scheme, &WebhookRequest::new(&good, body), &keys, now)
    };
    assert_eq!(at(300, b"x").expect("verified").signed_at(), Some(NOW));
    assert!(at(-300, b"x").is_ok());
    insta::assert_snapshot!(at(301, b"x").expect_err("refused"), @"signed 301 s ago, more than the 300 s allowed: a replay, a slow path or a wrong clock");
    insta::assert_snapshot!(at(-301, b"x").expect_err("refused"), @"signed 301 s in the future, more than the 300 s allowed: check the clocks on both sides");
    assert_eq!(at(301, b"y"), Err(VerifyError::NoMatch));
}

#[test]
fn unusable_secret_is_reported_without_its_content() {
    let scheme = preset("standard-webhooks");
    let good = signed(&scheme, &secrets(&[SECRET]), b"{}");
    let request = WebhookRequest::new(&good, b"{}");
    let error =
        verify(&scheme, &request, &secrets(&["whsec_not base64!"]), NOW).expect_err("refused");
    assert!(error.is_misconfiguration());
    insta::assert_snapshot!(error, @"secret 1 of the route cannot be used: it is not base64; was it cut, or is it another webhook's?");
    // A valid second secret still verifies deliveries.
    assert!(
        verify(
            &scheme,
            &request,
            &secrets(&["whsec_not base64!", SECRET]),
            NOW
        )
        .is_ok()
    );
    let empty = secrets(&["whsec_"]);
    assert_eq!(check_secret(&scheme, &empty[0]), Err(InvalidSecret::Empty));
    assert_eq!(
        check_secret(&preset("github"), &SecretString::from("")),
        Err(InvalidSecret::Empty)
    );
}

#[test]
fn debug_output_contains_no_signature() {
    let (scheme, keys) = (preset("stripe"), secrets(&[SECRET]));
    let headers = signed(&scheme, &keys, b"{}");
    insta::assert_snapshot!(format!("{:?}", WebhookRequest::new(&headers, b"{}")), @r#"WebhookRequest { headers: ["stripe-signature"], body_bytes: 2, .. }"#);
}

#[test]
fn delivery_id_comes_from_the_scheme() {
    let id_of = |name: &str| {
        let (scheme, keys) = (preset(name), secrets(&[SECRET]));
        let headers = signed(&scheme, &keys, b"{}");
        verify(&scheme, &WebhookRequest::new(&headers, b"{}"), &keys, NOW).expect("verified")
    };
    assert_eq!(id_of("svix").delivery_id(), Some("msg_1"));
    assert!(id_of("svix").delivery_id_is_signed());
    assert_eq!(id_of("github").delivery_id(), Some("msg_1"));
    assert!(!id_of("github").delivery_id_is_signed());
    assert_eq!(id_of("slack").delivery_id(), None);
}

#[test]
fn rotated_secrets_sign_together_and_verify_alone() {
    let (old, new) = ("b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xk", SECRET);
    for name in ["standard-webhooks", "stripe"] {
        let scheme = preset(name);
        let headers = signed(&scheme, &secrets(&[old, new]), b"{}");
        for key in [old, new] {
            assert!(
                verify(
                    &scheme,
                    &WebhookRequest::new(&headers, b"{}"),
                    &secrets(&[key]),
                    NOW
                )
                .is_ok()
            );
        }
    }
}

#[test]
fn custom_record_round_trips_every_format() {
    let shapes = [
        json!({"type": "hmac", "algorithm": "sha512", "signed": "{body}{header:X-Topic}",
            "signature": {"header": "X-Sig", "encoding": "base64url", "prefix": "a=", "prefix_optional": true},
            "secret_format": {"encoding": "hex"}}),
        json!({"type": "hmac", "algorithm": "sha256", "signed": "{timestamp}{body}",
            "signature": {"header": "X-Sig", "encoding": "base64"},
            "timestamp": {"header": "X-Time", "unit": "iso", "tolerance_s": 60}}),
        json!({"type": "hmac", "algorithm": "sha1", "signed": "{timestamp}:{body}",
            "signature": {"header": "X-Sig", "encoding": "hex", "format": "kv", "pair_sep": ";", "kv_sep": ":", "key": "h1"},
            "timestamp": {"kv": "ts", "unit": "ms"}}),
    ];
    let keys = secrets(&["00112233445566778899aabbccddeeff"]);
    let topic = headers(&[("X-Topic", "orders")]);
    for shape in shapes {
        let scheme = custom(&shape);
        let mut delivery = OutgoingWebhook::new("1", b"{}");
        delivery.headers = topic.clone();
        sign(&scheme, &keys, NOW, &mut delivery).expect("signed");
        let headers = delivery.headers;
        verify(&scheme, &WebhookRequest::new(&headers, b"{}"), &keys, NOW).expect("verified");
        assert!(verify(&scheme, &WebhookRequest::new(&headers, b"{ }"), &keys, NOW).is_err());
    }
}

/// Whether two header values differ at most in the case of a prefix or of hexadecimal digits.
fn are_equivalent(scheme: &Scheme, left: &str, right: &str) -> bool {
    let Some(message) = scheme.specs().first().and_then(SchemeSpec::message) else {
        return false;
    };
    let prefix = message
        .signature
        .prefix
        .as_deref()
        .unwrap_or_default()
        .len();
    match message.signature.encoding {
        Encoding::Hex => left.eq_ignore_ascii_case(right),
        Encoding::Base64 | Encoding::Base64Url => {
            left.get(..prefix)
                .zip(right.get(..prefix))
                .is_some_and(|(a, b)| a.eq_ignore_ascii_case(b))
                && left.get(prefix..) == right.get(prefix..)
        }
    }
}

/// The presets that sign the body and accept the test secret.
fn signing_presets() -> Vec<&'static str> {
    let signs = |name: &&&str| {
        let scheme = preset(name);
        scheme.specs()[0].message().is_some()
            && sign(
                &scheme,
                &secrets(&[SECRET]),
                NOW,
                &mut OutgoingWebhook::new("1", b"{}"),
            )
            .is_ok()
    };
    PRESETS.iter().filter(signs).copied().collect()
}

proptest! {
    #[test]
    fn signed_delivery_verifies(name in prop::sample::select(signing_presets()), body: Vec<u8>, id in "[a-zA-Z0-9_-]{1,40}") {
        let (scheme, keys) = (preset(name), secrets(&[SECRET]));
        let mut delivery = OutgoingWebhook::new(id.clone(), body.clone());
        sign(&scheme, &keys, NOW, &mut delivery).expect("signed");
        let headers = delivery.headers;
        let verified = verify(&scheme, &WebhookRequest::new(&headers, &body), &keys, NOW).expect("verified");
        if let Some(found) = verified.delivery_id() {
            prop_assert_eq!(found, id);
        }
        let other = secrets(&["b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xk"]);
        prop_assert!(verify(&scheme, &WebhookRequest::new(&headers, &body), &other, NOW).is_err());
    }

    #[test]
    fn changed_bit_of_body_is_rejected(name in prop::sample::select(signing_presets()), mut body in prop::collection::vec(any::<u8>(), 1..200), at: prop::sample::Index, bit in 0..8_u8) {
        let (scheme, keys) = (preset(name), secrets(&[SECRET]));
        let headers = signed(&scheme, &keys, &body);
        let at = at.index(body.len());
        body[at] ^= 1 << bit;
        prop_assert_eq!(verify(&scheme, &WebhookRequest::new(&headers, &body), &keys, NOW), Err(VerifyError::NoMatch));
    }

    #[test]
    fn changed_bit_of_signed_header_is_rejected(name in prop::sample::select(signing_presets()), which: prop::sample::Index, at: prop::sample::Index, bit in 0..8_u8) {
        let (scheme, keys) = (preset(name), secrets(&[SECRET]));
        let mut headers = signed(&scheme, &keys, b"{\"a\":1}");
        if name.starts_with("github") || name == "shopify" {
            headers.remove("x-github-delivery");
            headers.remove("x-shopify-webhook-id");
        }
        let names: Vec<HeaderName> = headers.keys().cloned().collect();
        let header = &names[which.index(names.len())];
        let before = headers[header].clone();
        let mut bytes = before.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let Ok(after) = HeaderValue::from_bytes(&bytes) else { return Ok(()) };
        headers.insert(header, after.clone());
        let result = verify(&scheme, &WebhookRequest::new(&headers, b"{\"a\":1}"), &keys, NOW);
        if result.is_ok() {
            let (before, after) = (before.to_str().expect("text"), after.to_str().expect("text"));
            prop_assert!(header.as_str().contains("signature") && are_equivalent(&scheme, before, after), "{} {} {}", header, before, after);
        }
    }

    #[test]
    fn arbitrary_headers_are_rejected(value: Vec<u8>, time: Vec<u8>, name in prop::sample::select(signing_presets())) {
        let (Ok(value), Ok(time)) = (HeaderValue::from_bytes(&value), HeaderValue::from_bytes(&time)) else { return Ok(()) };
        let (scheme, keys) = (preset(name), secrets(&[SECRET]));
        let mut headers = signed(&scheme, &keys, b"{}");
        let names: Vec<HeaderName> = headers.keys().cloned().collect();
        for header in names {
            headers.insert(&header, if header.as_str().contains("time") { time.clone() } else { value.clone() });
        }
        let result = verify(&scheme, &WebhookRequest::new(&headers, b"{}"), &keys, NOW);
        prop_assert!(result.is_err());
    }
}

#[test]
fn numbered_signature_headers_are_all_checked() {
    let record = json!({
        "type": "hmac", "algorithm": "sha256", "signed": "{body}",
        "signature": {"header": "X-Docs-Signature-*", "encoding": "base64"},
    });
    let scheme = custom(&record);
    let keys = [SecretString::from("first"), SecretString::from("second")];
    let sign_with = |key: &SecretString| {
        let mut sent = OutgoingWebhook::new("id", "{}");
        sign(&scheme, std::slice::from_ref(key), NOW, &mut sent).expect("signed");
        sent.headers["x-docs-signature-1"].clone()
    };
    let mut headers = HeaderMap::new();
    headers.insert("x-docs-signature-1", sign_with(&keys[0]));
    headers.insert("x-docs-signature-12", sign_with(&keys[1]));
    let request = WebhookRequest::new(&headers, b"{}");
    for key in &keys {
        let key = std::slice::from_ref(key);
        assert!(verify(&scheme, &request, key, NOW).is_ok());
    }
    let mut other = HeaderMap::new();
    for name in [
        "x-docs-signature-",
        "x-docs-signature-a",
        "x-docs-signature-1234",
    ] {
        other.insert(name, sign_with(&keys[0]));
    }
    let request = WebhookRequest::new(&other, b"{}");
    insta::assert_snapshot!(verify(&scheme, &request, &keys, NOW).expect_err("no header"), @"header x-docs-signature-* is missing: is this the right scheme, and does the sender have signing switched on?");
}
