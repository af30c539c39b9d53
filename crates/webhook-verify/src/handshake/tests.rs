//! Tests of handshakes, with the requests and responses that senders document.

use std::path::Path;

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::scheme::PRESETS;
use strict_reader::{Node, Problems};

fn preset(name: &str) -> Scheme {
    Scheme::preset(name).expect("a preset")
}

fn file(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    std::fs::read_to_string(root.join(name)).expect("a file")
}

/// Responds to a request in text form: a request line, headers, and a body.
fn respond_to(scheme: &Scheme, request: &str, secrets: &[SecretString]) -> Option<Handshake> {
    let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
    let mut lines = head.lines();
    let mut line = lines.next().expect("a request line").split(' ');
    let (method, target) = (line.next().expect("a method"), line.next().expect("a path"));
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let mut headers = HeaderMap::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").expect("a header");
        let name: http::HeaderName = name.parse().expect("a name");
        headers.insert(name, HeaderValue::from_str(value).expect("a value"));
    }
    let request = WebhookRequest::new(&headers, body.trim_end().as_bytes())
        .method(method)
        .query(query);
    respond(scheme, &request, HandshakeSecrets::OfDeliveries(secrets))
}

#[test]
fn documented_handshake_gets_documented_response() {
    let slack = file("slack/handshake-request.json");
    let slack = format!("POST /hooks/slack HTTP/1.1\nContent-Type: application/json\n\n{slack}");
    let cases = [
        (
            "dropbox",
            "dropbox",
            file("dropbox/handshake-request.txt"),
            "",
            false,
        ),
        (
            "mailchimp",
            "mailchimp",
            file("mailchimp/handshake-request.txt"),
            "c2f7e1",
            false,
        ),
        (
            "meta",
            "meta-leadads",
            file("meta-leadads/handshake-request.txt"),
            "meatyhamhock",
            false,
        ),
        (
            "microsoft-graph",
            "microsoft-graph",
            file("microsoft-graph/handshake-request.txt"),
            "",
            false,
        ),
        ("slack", "slack", slack, "", true),
    ];
    for (name, folder, request, secret, verified) in cases {
        let secrets = [SecretString::from(secret)];
        let found = respond_to(&preset(name), &request, &secrets).expect(name);
        let expected = file(&format!("{folder}/handshake-response.txt"));
        let (head, body) = expected.split_once("\n\n").unwrap_or((&expected, ""));
        assert_eq!(found.body, body.trim_end(), "{name}");
        assert_eq!(found.status, StatusCode::OK, "{name}");
        assert_eq!(found.needs_verification, verified, "{name}");
        if let Some(content_type) = &found.content_type {
            assert!(
                head.contains(&format!("Content-Type: {content_type}")),
                "{name}"
            );
        }
    }
}

#[test]
fn other_request_gets_no_response() {
    let none = |name: &str, request: &str, secret: &str| {
        let secrets = [SecretString::from(secret)];
        assert!(
            respond_to(&preset(name), request, &secrets).is_none(),
            "{name} {request}"
        );
    };
    none(
        "meta",
        "GET /?hub.mode=subscribe&hub.challenge=1&hub.verify_token=wrong HTTP/1.1",
        "right",
    );
    none(
        "meta",
        "GET /?hub.mode=subscribe&hub.challenge=1&hub.verify_token= HTTP/1.1",
        "",
    );
    none("dropbox", "POST /?challenge=1 HTTP/1.1", "");
    none("dropbox", "GET /?challenge=1&challenge=2 HTTP/1.1", "");
    none("dropbox", "GET / HTTP/1.1", "");
    none(
        "slack",
        "POST / HTTP/1.1\n\n{\"type\":\"event_callback\",\"challenge\":\"x\"}",
        "",
    );
    none("stripe", "GET / HTTP/1.1", "");
    none(
        "dropbox",
        &format!("GET /?challenge={} HTTP/1.1", "x".repeat(10_000)),
        "",
    );
}

#[test]
fn ping_response_needs_verification() {
    let found =
        respond_to(&preset("discord"), "POST / HTTP/1.1\n\n{\"type\":1}", &[]).expect("a PING");
    assert_eq!(found.body, "{\"type\":1}");
    assert_eq!(found.content_type.as_deref(), Some("application/json"));
    assert!(found.needs_verification);
    assert!(preset("discord").bare_refusals());
    for name in ["intercom", "zoho-desk", "token"] {
        let found = respond_to(&preset(name), "HEAD / HTTP/1.1", &[]).expect(name);
        assert_eq!((found.status, found.body.as_str()), (StatusCode::OK, ""));
    }
}

#[test]
fn enrolled_secret_is_read_and_not_printed() {
    for name in ["asana", "notion"] {
        let scheme = preset(name);
        assert!(scheme.enrolls_secret(), "{name}");
        let request = file(&format!("{name}/handshake-request.txt"));
        let found = respond_to(&scheme, &request, &[]).expect(name);
        let secret = found
            .enrolled_secret
            .as_ref()
            .expect("a secret")
            .expose_secret();
        assert!(request.contains(secret), "{name}");
        assert_eq!((found.status, found.body.as_str()), (StatusCode::OK, ""));
        let expected = file(&format!("{name}/handshake-response.txt"));
        let headers = found.headers.iter().map(|(name, value)| {
            format!("{name}: {}", value.to_str().expect("text")).to_lowercase()
        });
        let lines = expected.lines().skip(1).filter(|line| !line.is_empty());
        let lines: Vec<String> = lines.map(str::to_lowercase).collect();
        assert_eq!(headers.collect::<Vec<_>>(), lines, "{name}");
        assert!(!format!("{found:?}").contains(secret), "{name}");
    }
    assert!(!preset("stripe").enrolls_secret());
    let hook = |value: &str| format!("POST / HTTP/1.1\nX-Hook-Secret: {value}\n\n{{}}");
    for value in ["", "two words", &"x".repeat(MAX_SECRET + 1)] {
        let found = respond_to(&preset("asana"), &hook(value), &[]);
        assert!(found.is_none(), "{value:?}");
    }
    let broken = "POST / HTTP/1.1\n\n{\"verification_token\":\"a\\r\\nb\"}";
    assert!(respond_to(&preset("notion"), broken, &[]).is_none());
}

#[test]
fn invalid_header_value_is_not_echoed() {
    let echo = custom(&json!({
        "method": "GET",
        "answer": {"headers": {"X-Echo": "{query:q}"}, "text": "{query:q}"},
    }));
    let echo = echo.expect("a scheme");
    let found = respond_to(&echo, "GET /?q=a%20b HTTP/1.1", &[]).expect("a response");
    assert_eq!(found.headers[0].1, "a b");
    for query in ["q=a%0D%0ASet-Cookie:x", "q=a%00b", "q=a%0Ab"] {
        let request = format!("GET /?{query} HTTP/1.1");
        assert!(respond_to(&echo, &request, &[]).is_none(), "{query}");
    }
}

fn custom(handshake: &Value) -> Result<Scheme, String> {
    let record = json!({"type": "bearer", "handshakes": [handshake]});
    let mut problems = Problems::default();
    let mut object = Node::root(&record)
        .object(&mut problems)
        .expect("an object");
    let scheme = Scheme::read(&mut object, &mut problems);
    object.finish(&mut problems);
    problems.finish(scheme).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })
}

#[test]
fn custom_handshake_can_sign_its_response() {
    let zoom = custom(&json!({
        "method": "POST",
        "when": [{"json": "/event", "equals": "endpoint.url_validation"}],
        "answer": {"json": {
            "plainToken": "{json:/payload/plainToken}",
            "encryptedToken": "{hmac_hex:json:/payload/plainToken}",
        }},
    }));
    let zoom = zoom.expect("a scheme");
    let request = |token: &str| {
        let body = json!({"event": "endpoint.url_validation", "payload": {"plainToken": token}});
        format!("POST / HTTP/1.1\n\n{body}")
    };
    let secrets = [SecretString::from("key")];
    // With the secret of deliveries, only tokens are signed.
    for text in [
        "v0:1700000000:{}",
        "{}",
        "a.b",
        "a b",
        "a=b",
        "ä",
        &"a".repeat(129),
    ] {
        assert!(
            respond_to(&zoom, &request(text), &secrets).is_none(),
            "{text}"
        );
    }
    let found = respond_to(&zoom, &request("a_b-C/d+1"), &secrets).expect("a response");
    let body: Value = serde_json::from_str(&found.body).expect("JSON");
    assert_eq!(body["plainToken"], "a_b-C/d+1");
    assert_eq!(body["encryptedToken"].as_str().map(str::len), Some(64));
    assert!(!format!("{found:?}").contains("plainToken"));
}

#[test]
fn insecure_handshake_is_rejected() {
    let problem = |handshake: Value| custom(&handshake).expect_err("refused");
    insta::assert_snapshot!(problem(json!("hello")), @"handshakes.0: is not a common handshake; known: ok, challenge");
    insta::assert_snapshot!(problem(json!({"answer": {"text": "hi"}})), @"handshakes.0: would match every delivery: add conditions under `when`");
    insta::assert_snapshot!(problem(json!({"method": "GET", "answer": {"content_type": "text/html", "text": "{query:q}"}})), @"handshakes.0.answer.content_type: must be text/plain if the response echoes a part of the request");
    insta::assert_snapshot!(problem(json!({"method": "GET", "answer": {"headers": {"Set-Cookie": "{query:q}", "X-Content-Type-Options": "x", "X-A": "{b}"}}})), @"
    handshakes.0.answer.headers.Set-Cookie: is not a custom header; its name must start with `X-`
    handshakes.0.answer.headers.X-Content-Type-Options: is not a custom header; its name must start with `X-`
    handshakes.0.answer.headers.X-A: `{b}` is not a known token; known: {query:name}, {header:Name}, {form:name}, {json:/pointer}, {path:0}, {hmac_hex:query:name}, {hmac_base64:query:name}
    ");
    insta::assert_snapshot!(problem(json!({"verified": true, "enroll": {"header": "X-Secret"}, "answer": {}})), @"handshakes.0.enroll: cannot be combined with `verified`: the secret is not known before this handshake");
    insta::assert_snapshot!(problem(json!({"method": "GET", "answer": {"status": 199, "text": "", "json": 1}})), @"
    handshakes.0.answer.status: must be a whole number from 200 to 599
    handshakes.0.answer: must have at most one of `text`, `json` and `raw`
    ");
}

#[test]
fn handshake_can_require_an_absent_part() {
    let probe = custom(&json!({
        "method": "POST",
        "when": [{"header": "X-Sig", "absent": true}, {"query": "check"}],
        "answer": {"status": 404},
    }));
    let probe = probe.expect("a scheme");
    let found = respond_to(&probe, "POST /?check=1 HTTP/1.1", &[]).expect("a response");
    assert_eq!(
        (found.status, found.body.as_str()),
        (StatusCode::NOT_FOUND, "")
    );
    for request in [
        "POST /?check=1 HTTP/1.1\nX-Sig: 1\n\n{}",
        "POST / HTTP/1.1\n\n{}",
    ] {
        assert!(respond_to(&probe, request, &[]).is_none(), "{request}");
    }
    let problem = |handshake: Value| custom(&handshake).expect_err("refused");
    insta::assert_snapshot!(problem(json!({"method": "GET", "when": [{"query": "a", "absent": true, "equals": "1"}], "answer": {}})), @"handshakes.0.when.0: requires the part to be absent, so it cannot require a value too");
    insta::assert_snapshot!(problem(json!({"method": "GET", "answer": {"status": 204, "text": "x"}})), @"handshakes.0.answer: cannot have a body: status 204 has none");
    insta::assert_snapshot!(problem(json!({"method": "GET", "when": [{"header": "X-*"}], "answer": {}})), @"handshakes.0.when.0: `header` is one header here; only that of a `signature` may end in `-*`");
}

#[test]
fn delivery_reply_matches_the_documentation() {
    let headers = HeaderMap::new();
    let request = WebhookRequest::new(&headers, b"");
    let accepted = |name: &str| delivery_reply(&preset(name), &request, &[]);
    assert_eq!(accepted("adyen").expect("a response").body, "[accepted]");
    assert_eq!(
        accepted("microsoft-graph").expect("a response").status,
        StatusCode::ACCEPTED
    );
    let ack = accepted("salesforce-outbound").expect("a response");
    let expected = file("salesforce-outbound/response-ack.txt");
    assert!(
        expected.contains(&ack.body)
            && expected.contains(ack.content_type.as_deref().expect("a type"))
    );
    assert!(accepted("stripe").is_none());
}

proptest! {
    #[test]
    fn arbitrary_request_does_not_panic(
        name in prop::sample::select(PRESETS),
        method in "(GET|POST|HEAD|PUT)",
        query in "(challenge=|hub\\.mode=subscribe|hub\\.challenge=|validationToken=|&|%|%4|x|\\+){0,8}",
        body: Vec<u8>,
    ) {
        let headers = HeaderMap::new();
        let secrets = [SecretString::from("s")];
        let request = WebhookRequest::new(&headers, &body).method(&method).query(&query);
        let _ = respond(&preset(name), &request, HandshakeSecrets::OfDeliveries(&secrets));
        let _ = delivery_reply(&preset(name), &request, &secrets);
    }
}
