//! Tests of each kind of scheme with custom records, and of attacks against them.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use base64::Engine;
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::encoding::{BASE64, BASE64_URL};
use super::*;
use crate::scheme::{Algorithm, PRESETS, SchemeChoice};
use strict_reader::{Node, Problems};

pub(super) const NOW: Timestamp = Timestamp::constant(1_700_000_000, 0);

/// Reads the scheme of a `verify` entry.
pub(super) fn chosen(record: &Value) -> Result<Scheme, String> {
    let mut problems = Problems::default();
    let mut object = Node::root(record).object(&mut problems).expect("an object");
    let choice = SchemeChoice::read(&mut object, &mut problems);
    object.finish(&mut problems);
    match problems.finish(choice) {
        Ok(SchemeChoice::Scheme(scheme)) => Ok(*scheme),
        Ok(SchemeChoice::Disabled(_)) => Err("none".to_owned()),
        Err(problems) => Err(problems
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")),
    }
}

/// A scheme of a fictional vendor in `tests/custom_schemes.yaml`, which the integration tests use too.
fn vendor(name: &str) -> Scheme {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/custom_schemes.yaml");
    let text = std::fs::read_to_string(path).expect("the vendors");
    let vendors: Value = serde_saphyr::from_str(&text).expect("YAML");
    let mut record = vendors["routes"][name]["verify"].clone();
    record.as_object_mut().expect(name).remove("secret");
    chosen(&record).expect("a scheme")
}

fn custom(mut record: Value) -> Scheme {
    record["scheme"] = json!("custom");
    chosen(&record).expect("a scheme")
}

pub(super) fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let named = pairs.iter().map(|(name, value)| {
        let name: HeaderName = name.parse().expect("a name");
        (name, HeaderValue::from_str(value).expect("a value"))
    });
    named.collect()
}

fn key(text: &str) -> [SecretString; 1] {
    [SecretString::from(text)]
}

fn hmac_hex(key: &str, text: &[u8]) -> String {
    let mut mac = mac::AnyMac::new(Algorithm::Sha256, key.as_bytes());
    mac.update(text);
    hex::encode(mac.finish())
}

#[test]
fn secret_is_read_from_every_location() {
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let multipart = [("content-type", "multipart/form-data; boundary=X")];
    let part =
        "--X\r\nContent-Disposition: form-data; name=\"auth[key]\"\r\n\r\ns3cret\r\n--X--\r\n";
    let token_header = [("x-sorrel-token", "token s3cret")];
    let cases = [
        ("teak", &[][..], "", "k=s3cret&x=1", ""),
        ("teak", &[][..], "", "x=1&k=s3%63ret", ""),
        ("ulmus", &form[..], "auth%5Bkey%5D=s3cret", "", ""),
        ("ulmus", &multipart[..], part, "", ""),
        (
            "viburnum",
            &[][..],
            r#"{"items":[{"state":"s3cret"}]}"#,
            "",
            "",
        ),
        ("tulip", &[][..], "", "", "/x/s3cret/"),
        ("sorrel", &token_header[..], "", "", ""),
    ];
    for (token, head, body, query, path) in cases {
        let scheme = vendor(token);
        let head = headers(head);
        let request = WebhookRequest::new(&head, body.as_bytes())
            .query(query)
            .path(path);
        assert!(
            verify(&scheme, &request, &key("s3cret"), NOW).is_ok(),
            "{token}"
        );
        let rotating = [key("other"), key("s3cret")].concat();
        assert!(verify(&scheme, &request, &rotating, NOW).is_ok(), "{token}");
        for wrong in ["s3cre", "s3crett", "S3CRET", ""] {
            assert!(
                verify(&scheme, &request, &key(wrong), NOW).is_err(),
                "{token}"
            );
        }
        let bare = HeaderMap::new();
        let bare = WebhookRequest::new(&bare, b"");
        assert!(verify(&scheme, &bare, &key(""), NOW).is_err(), "{token}");
    }
}

#[test]
fn item_without_token_is_rejected() {
    let scheme = Scheme::preset("microsoft-graph").expect("a preset");
    let none = HeaderMap::new();
    let check = |body: &str| {
        verify(
            &scheme,
            &WebhookRequest::new(&none, body.as_bytes()),
            &key("s"),
            NOW,
        )
    };
    assert!(check(r#"{"value":[{"clientState":"s"},{"clientState":"s"}]}"#).is_ok());
    for body in [
        r#"{"value":[{"clientState":"s"},{"clientState":"x"}]}"#,
        r#"{"value":[{"clientState":"s"},{}]}"#,
        r#"{"value":[]}"#,
        r#"{"value":{"clientState":"s"}}"#,
        "[",
    ] {
        assert!(check(body).is_err(), "{body}");
    }
}

#[test]
fn unsigned_item_beside_signed_one_is_rejected() {
    let scheme = Scheme::preset("adyen").expect("a preset");
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/adyen/body.json");
    let body = std::fs::read(path).expect("a body");
    let secrets = key("DFB1EB5485895CFA84146406857104ABB4CBCABDC8AAF103A624C8F6A3EAAB00");
    let none = HeaderMap::new();
    let check = |body: &Value| {
        verify(
            &scheme,
            &WebhookRequest::new(&none, body.to_string().as_bytes()),
            &secrets,
            NOW,
        )
    };
    let good: Value = serde_json::from_slice(&body).expect("JSON");
    let verified = check(&good).expect("verified");
    insta::assert_snapshot!(verified.delivery_id().expect("an id"), @r#"["pspReference","REPORT_AVAILABLE","true"]"#);
    let mut more = good.clone();
    let mut forged = good["notificationItems"][0].clone();
    forged["NotificationRequestItem"]["pspReference"] = json!("other");
    more["notificationItems"]
        .as_array_mut()
        .expect("a list")
        .push(forged);
    assert_eq!(check(&more), Err(VerifyError::NoMatch));
    assert!(check(&json!({"notificationItems": []})).is_err());
}

#[test]
fn url_signature_with_another_body_is_rejected() {
    let scheme = Scheme::preset("twilio").expect("a preset");
    let url = "https://mycompany.com/myapp.php?foo=1";
    let mut mac = mac::AnyMac::new(Algorithm::Sha1, b"12345");
    mac.update(url.as_bytes());
    let signature = BASE64.encode(mac.finish());
    let urls = [url.to_owned()];
    let other_urls = ["https://mycompany.com/other".to_owned()];
    let json = headers(&[
        ("x-twilio-signature", &signature),
        ("content-type", "application/json"),
    ]);
    let empty = WebhookRequest::new(&json, b"").urls(&urls);
    assert!(verify(&scheme, &empty, &key("12345"), NOW).is_ok());
    let replayed = WebhookRequest::new(&json, b"{\"forged\":true}").urls(&urls);
    assert_eq!(
        verify(&scheme, &replayed, &key("12345"), NOW),
        Err(VerifyError::UncoveredBody)
    );
    let nowhere = WebhookRequest::new(&json, b"");
    let error = verify(&scheme, &nowhere, &key("12345"), NOW).expect_err("refused");
    assert!(error.is_misconfiguration());
    let elsewhere = WebhookRequest::new(&json, b"").urls(&other_urls);
    assert_eq!(
        verify(&scheme, &elsewhere, &key("12345"), NOW),
        Err(VerifyError::NoMatchWithUrl)
    );
}

#[test]
fn custom_record_signs_every_token() {
    let text = b"linkedin=k1:POST:https://h/x?q=7:7:9:{\"n\":9}:dc65:X";
    let text =
        String::from_utf8_lossy(text).replace("dc65", &hex::encode(Sha256::digest(b"{\"n\":9}")));
    let scheme = custom(json!({
        "type": "hmac", "algorithm": "sha256",
        "signed": "linkedin={param:k}:{method}:{url}:{query:q}:{json:/n}:{body}:{sha256_body}:{header:X-H}",
        "signature": {"query": "sig", "encoding": "hex"}, "params": {"k": "k1"},
        "delivery_id": [{"json": "/n"}, {"query": "q"}],
    }));
    let query = format!("q=7&sig={}", hmac_hex("s", text.as_bytes()));
    let head = headers(&[("x-h", "X")]);
    let urls = ["https://h/x?q=7".to_owned()];
    let request = WebhookRequest::new(&head, b"{\"n\":9}")
        .urls(&urls)
        .query(&query);
    let verified = verify(&scheme, &request, &key("s"), NOW).expect("verified");
    assert_eq!(verified.delivery_id(), Some("[\"9\",\"7\"]"));
    assert!(verified.delivery_id_is_signed());
    let other = WebhookRequest::new(&head, b"{\"n\":8}")
        .urls(&urls)
        .query(&query);
    assert!(verify(&scheme, &other, &key("s"), NOW).is_err());

    // A list without a time, then a signature, a time and a token inside the body.
    let listed = vendor("hazel");
    let value = format!("v1=00,v2=11, v1={}", hmac_hex("s", b"x"));
    let head = headers(&[("x-hazel-signature", &value)]);
    assert!(verify(&listed, &WebhookRequest::new(&head, b"x"), &key("s"), NOW).is_ok());
    let inside = vendor("larch");
    let body = json!({"proof": {"time": "1700000000", "token": "t", "signature": hmac_hex("s", b"1700000000t")}});
    let body = body.to_string();
    let none = HeaderMap::new();
    assert!(
        verify(
            &inside,
            &WebhookRequest::new(&none, body.as_bytes()),
            &key("s"),
            NOW
        )
        .is_ok()
    );
}

#[test]
fn public_key_is_read_in_every_format() {
    let random = SystemRandom::new();
    let curve = &ECDSA_P256_SHA256_ASN1_SIGNING;
    let pair = EcdsaKeyPair::generate(curve).expect("a key");
    let signature = pair.sign(&random, b"1700000000body").expect("signed");
    let value = BASE64.encode(signature.as_ref());
    let scheme = vendor("oak");
    let head = headers(&[("x-oak-signature", &value), ("x-oak-time", "1700000000")]);
    let der = aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(
        pair.public_key(),
    )
    .expect("DER");
    let encoded = BASE64.encode(der.as_ref());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{encoded}\n-----END PUBLIC KEY-----\n");
    for public in [BASE64.encode(pair.public_key().as_ref()), encoded, pem] {
        assert!(
            verify(
                &scheme,
                &WebhookRequest::new(&head, b"body"),
                &key(&public),
                NOW
            )
            .is_ok()
        );
        assert_eq!(
            verify(
                &scheme,
                &WebhookRequest::new(&head, b"bodx"),
                &key(&public),
                NOW
            ),
            Err(VerifyError::NoMatch)
        );
        assert_eq!(check_secret(&scheme, &key(&public)[0]), Ok(()));
    }
    for (public, cause) in [
        ("", InvalidSecret::Empty),
        ("!", InvalidSecret::NotBase64),
        ("AAAA", InvalidSecret::NotAPublicKey),
    ] {
        assert_eq!(check_secret(&scheme, &key(public)[0]), Err(cause));
        assert!(
            verify(
                &scheme,
                &WebhookRequest::new(&head, b"body"),
                &key(public),
                NOW
            )
            .is_err()
        );
    }

    let pair = Ed25519KeyPair::generate().expect("a key");
    let signature = hex::encode(pair.sign(b"1700000000body"));
    let head = headers(&[
        ("x-nutmeg-signature", &signature),
        ("x-nutmeg-time", "1700000000"),
    ]);
    let scheme = vendor("nutmeg");
    let public = hex::encode(pair.public_key().as_ref());
    assert!(
        verify(
            &scheme,
            &WebhookRequest::new(&head, b"body"),
            &key(&public),
            NOW
        )
        .is_ok()
    );
    assert!(
        verify(
            &scheme,
            &WebhookRequest::new(&head, b"Body"),
            &key(&public),
            NOW
        )
        .is_err()
    );
}

#[test]
fn any_of_several_schemes_may_match() {
    let (stripe, bearer) = (Scheme::preset("stripe"), Scheme::preset("bearer"));
    let (stripe, bearer) = (stripe.expect("a preset"), bearer.expect("a preset"));
    let (one, two) = (key("1"), key("2"));
    let schemes = [(&stripe, &one[..]), (&bearer, &two[..])];
    let head = headers(&[("authorization", "bearer 2")]);
    let (scheme, _) = verify_any(schemes, &WebhookRequest::new(&head, b""), NOW).expect("verified");
    assert_eq!(scheme.name(), "bearer");
    let none = HeaderMap::new();
    let error = verify_any(schemes, &WebhookRequest::new(&none, b""), NOW).expect_err("refused");
    insta::assert_snapshot!(error, @"header stripe-signature or authorization is missing: is this the right scheme, and does the sender have signing switched on?");
    assert_eq!(
        verify_any([], &WebhookRequest::new(&none, b""), NOW),
        Err(VerifyError::MissingSecret)
    );
}

#[test]
fn insecure_record_is_rejected() {
    let problem = |mut record: Value| {
        record["scheme"] = json!("custom");
        chosen(&record).expect_err("refused")
    };
    let signature = json!({"header": "X-Sig", "encoding": "hex"});
    insta::assert_snapshot!(problem(json!({"type": "digest", "algorithm": "sha256", "signed": "{body}", "signature": signature})), @"type: needs {secret} in `signed`: without it, deliveries can be forged");
    insta::assert_snapshot!(problem(json!({"type": "hmac", "algorithm": "sha256", "signed": "{secret}{body}", "signature": signature})), @"(top level): `signed` contains {secret}, which only `type: digest` may");
    insta::assert_snapshot!(problem(json!({"type": "jws", "algorithm": "none", "token": {"header": "X"}})), @"
    algorithm: `none` is not known here; known: HS256, RS256
    token: does not cover the body: set `body_hash_claim` or `partial: true`
    ");
    insta::assert_snapshot!(problem(json!({"type": "jws", "algorithm": "RS256", "token": {"header": "X"}, "partial": true, "jwks_url": "http://keys.example/"})), @"jwks_url: must start with https:// and a host that no parameter can replace");
    insta::assert_snapshot!(problem(json!({"type": "jws", "algorithm": "RS256", "token": {"header": "X"}, "partial": true, "lifetime": 1})), @"lifetime: unknown key; known here: scheme, note, source, timeout, handshakes, accepted, bare_refusals, alternatives, delivery_id, type, algorithm, token, claims, body_hash_claim, must_expire, jwks_url, partial, tolerance_s, params");
    insta::assert_snapshot!(problem(json!({"type": "equals", "token": {"header": "X", "query": "k"}})), @"token: must have exactly one of `header`, `query`, `form`, `json` and `path`");
}

#[test]
fn token_with_wrong_claim_is_rejected() {
    let scheme = custom(json!({
        "type": "jws", "algorithm": "HS256", "token": {"header": "Authorization", "prefix": "Bearer "},
        "claims": {"aud": "us"}, "must_expire": true, "partial": true,
    }));
    let token = |header: Value, claims: Value| {
        let part = |value: Value| BASE64_URL.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let mut mac = mac::AnyMac::new(Algorithm::Sha256, b"s");
        mac.update(signed.as_bytes());
        format!("Bearer {signed}.{}", BASE64_URL.encode(mac.finish()))
    };
    let check = |token: &str| {
        let head = headers(&[("authorization", token)]);
        verify(&scheme, &WebhookRequest::new(&head, b""), &key("s"), NOW).map(|_| ())
    };
    let plain = json!({"alg": "HS256"});
    let seconds = NOW.as_second();
    let good = json!({"aud": ["x", "us"], "exp": seconds + 10, "iat": seconds});
    assert_eq!(check(&token(plain.clone(), good.clone())), Ok(()));
    assert_eq!(
        check(&token(
            plain.clone(),
            json!({"aud": "us", "exp": (seconds + 10) * 1_000})
        )),
        Ok(())
    );
    assert_eq!(
        check(&token(plain.clone(), json!({"aud": "us", "exp": seconds}))),
        Err(VerifyError::Expired)
    );
    for claims in [
        json!({"aud": "us"}),
        json!({"aud": "us", "exp": "x"}),
        json!({"aud": ["x"], "exp": seconds + 1}),
    ] {
        assert!(matches!(
            check(&token(plain.clone(), claims)),
            Err(VerifyError::WrongClaim { .. })
        ));
    }
    let early = json!({"aud": "us", "exp": seconds + 9_000, "nbf": seconds + 400});
    assert!(matches!(
        check(&token(plain, early)),
        Err(VerifyError::FromTheFuture { .. })
    ));
    for header in [
        json!({"alg": "none"}),
        json!({"alg": "hs256"}),
        json!({"alg": "HS256", "crit": ["b64"]}),
        json!([]),
    ] {
        assert!(matches!(
            check(&token(header, good.clone())),
            Err(VerifyError::MalformedSignature { .. })
        ));
    }
}

proptest! {
    #[test]
    fn arbitrary_request_is_rejected(
        name in prop::sample::select(PRESETS),
        values in prop::collection::vec("[ -~]{0,60}", 8),
        content_type in "(application/json|application/x-www-form-urlencoded|multipart/form-data; boundary=X|text/plain)",
        body in prop_oneof![any::<Vec<u8>>(), "(\\{|\\}|\"[a-z]\"|:|\\[|\\]|,|1|&|=|--X|\r\n){0,30}".prop_map(String::into_bytes)],
        url in "(https://|h|/|\\?|#|@|:|%4|%|k=x){0,12}",
        seconds in -10_000_000_000_i64..200_000_000_000,
    ) {
        let mut scheme = Scheme::preset(name).expect("a preset");
        let params = scheme.needed_params().into_iter().map(|name| (name, "p".to_owned()));
        scheme.set_params(params.collect()).expect("all");
        let names = ["x-signature", "authorization", "stripe-signature", "webhook-signature", "x-zdesk-jwt",
            "x-webhook-signature", "x-hub-signature", "x-twilio-signature"];
        let pairs: Vec<(&str, &str)> = names.into_iter().zip(values.iter().map(String::as_str)).collect();
        let mut head = headers(&pairs);
        head.insert("content-type", HeaderValue::from_str(&content_type).expect("a value"));
        let request = WebhookRequest::new(&head, &body).urls(std::slice::from_ref(&url)).query(&url).path(&url).keys(&url);
        let now = Timestamp::from_second(seconds).unwrap_or(NOW);
        prop_assert!(verify(&scheme, &request, &key("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), now).is_err());
        let _ = keys_url(&scheme, &request, NOW);
    }
}
