//! Hostile requests: the server and the Lambda program reject each with a reason, within their limits, and keep
//! running.

mod bodies;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::harness::{Request, ServerAndLambda, gzipped, sign};

/// The largest body that is accepted.
const MAX_BODY: usize = 2_000_000;

/// The memory limit for all of this: a few bodies at once, never an unpacked bomb.
const PEAK_KIB: u64 = 160 << 10;

/// A handshake that echoes its query.
const CHALLENGE: &str = concat!(
    r#"
  challenge:
    verify:
      scheme: custom
      type: bearer
      secret: file:"#,
    env!("CARGO_MANIFEST_DIR"),
    r#"/Cargo.toml
      handshakes: [{ method: GET, when: [{ query: q }], answer: { headers: { X-Echo: "{query:q}" }, text: "{query:q}" } }]
    map: empty
"#
);

async fn start_both() -> ServerAndLambda {
    ServerAndLambda::start(CHALLENGE.trim_start_matches('\n')).await
}

fn typed(content_type: &str, body: impl Into<Vec<u8>>) -> Request {
    Request::post("/hooks/form", body).with("content-type", content_type)
}

fn json_body(body: impl Into<Vec<u8>>) -> Request {
    typed("application/json", body)
}

#[tokio::test]
async fn injection_attempts_are_rejected_or_stay_data() {
    let both = start_both().await;
    let good = json!({"event": "x", "ids": []}).to_string();
    let good =
        |target: &str| Request::post(target, good.clone()).with("content-type", "application/json");
    let many = (0..10_000).map(|number| (format!("x-{number}"), "1".to_owned()));

    // The envelope of an event can contain any header.
    let mut crowd = good("/hooks/form");
    crowd.headers.extend(many.clone());
    let envelopes: [(&str, Request, u16, &str, &str); 6] = [
        (
            "10,000 headers",
            crowd,
            431,
            "too_many_headers",
            "at most 100",
        ),
        (
            "a header in a header",
            good("/hooks/form").with("x-a", "1\r\nx-b: 2"),
            400,
            "body_not_received",
            "`x-a`",
        ),
        (
            "a null byte in a header",
            good("/hooks/form").with("x-a", "1\0"),
            400,
            "body_not_received",
            "`x-a`",
        ),
        (
            "a name that is none",
            good("/hooks/form").with("x a", "1"),
            400,
            "body_not_received",
            "x a",
        ),
        (
            "a header in the query",
            good("/hooks/form?a=1\r\nx-b: 2"),
            400,
            "body_not_received",
            "control character",
        ),
        (
            "a null byte in the query",
            good("/hooks/form?a=\0"),
            400,
            "body_not_received",
            "control character",
        ),
    ];
    for (name, request, status, code, reason) in envelopes {
        let answer = request.send_to_lambda(&both.function).await;
        assert_eq!(
            (answer.status, answer.problem_code()),
            (status, code),
            "{name}"
        );
        let detail = answer.body["detail"].to_string();
        assert!(detail.contains(reason), "{name}: {detail}");
        both.assert_healthy(name).await;
    }

    // The same on the socket.
    let wire = |head: &str| format!("{head}\r\nhost: x\r\ncontent-length: 0\r\n\r\n");
    let crowd: String = many
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let post = "POST /hooks/form HTTP/1.1";
    let requests = [
        (
            "10,000 headers",
            wire(&format!("{post}\r\n{}", crowd.trim_end())),
            431,
            "too_many_headers",
        ),
        (
            "101 headers",
            wire(&format!(
                "{post}\r\n{}",
                crowd[..crowd.find("x-100:").unwrap_or(0)].trim_end()
            )),
            431,
            "too_many_headers",
        ),
        (
            "a header of a megabyte",
            wire(&format!("{post}\r\nx-a: {}", "a".repeat(1 << 20))),
            431,
            "too_many_headers",
        ),
        (
            "a URL of 100,000 bytes",
            wire(&format!(
                "POST /hooks/form?{} HTTP/1.1",
                "a".repeat(100_000)
            )),
            414,
            "url_too_long",
        ),
        (
            "a null byte in a header",
            wire(&format!("{post}\r\nx-a: 1\0")),
            400,
            "body_not_received",
        ),
        (
            "a line end in a header",
            wire(&format!("{post}\r\nx-a: 1\rx-b: 2")),
            400,
            "body_not_received",
        ),
        (
            "a name that is none",
            wire(&format!("{post}\r\nx a: 1")),
            400,
            "body_not_received",
        ),
        (
            "a null byte in the query",
            wire("POST /hooks/form?a=\0 HTTP/1.1"),
            400,
            "body_not_received",
        ),
        (
            "two lengths",
            wire(&format!("{post}\r\ncontent-length: 5")),
            400,
            "body_not_received",
        ),
        (
            "no HTTP",
            "\x16\x03\x01\x02\0\x01\0\x01\u{7f}\r\n\r\n".to_owned(),
            400,
            "body_not_received",
        ),
    ];
    for (name, request, status, code) in requests {
        let answer = both.send_bytes(request.as_bytes()).await;
        assert_eq!(
            (answer.status, answer.problem_code()),
            (status, code),
            "{name}"
        );
        both.assert_healthy(name).await;
    }

    // Escaped, they are data, and no answer echoes them into a header.
    for target in [
        "/hooks/challenge?q=a%0D%0Aset-cookie:%20b",
        "/hooks/challenge?q=%00",
    ] {
        for answer in both.send(&Request::get(target)).await {
            assert_eq!(
                (answer.status, answer.problem_code()),
                (405, "method_not_allowed")
            );
            assert!(answer.headers.get("set-cookie").is_none(), "{answer:?}");
        }
    }
    for target in ["/hooks/fo%00rm", "/hooks/form%0D%0A"] {
        for answer in both.send(&good(target)).await {
            assert_eq!(
                (answer.status, answer.problem_code()),
                (404, "no_such_route")
            );
        }
    }
    both.assert_healthy("data").await;
}

#[tokio::test]
async fn broken_envelope_is_answered_with_a_problem() {
    let both = start_both().await;
    let event = || Request::post("/hooks/form", "{\"ids\":[]}").event();
    let with = |key: &str, value: Value| {
        let mut event = event();
        event[key] = value;
        event
    };
    let broken = [
        (
            "cut off Base64",
            with("body", json!("eyJpZHMiOlsiMSJdf")),
            "base64",
        ),
        ("no Base64", with("body", json!("{\"ids\":[]}")), "base64"),
        (
            "headers that are no texts",
            with("headers", json!({"a": 1})),
            "headers",
        ),
        (
            "headers in headers",
            with("headers", json!({"a": {"b": "c"}})),
            "headers",
        ),
        (
            "cookies with line ends",
            with("cookies", json!(["a=b\r\nc: d"])),
            "cookies",
        ),
    ];
    for (name, event, reason) in broken {
        let answer = both.function.invoke(&event).await;
        assert_eq!(answer["statusCode"], 400, "{name}: {answer}");
        let problem: Value =
            serde_json::from_str(answer["body"].as_str().expect("text")).expect("JSON");
        assert_eq!(problem["code"], "body_not_received", "{name}");
        let detail = problem["detail"].to_string();
        assert!(detail.contains(reason), "{name}: {detail}");
        both.assert_healthy(name).await;
    }
}

/// Returns a body's HMAC-SHA256 in hexadecimal.
fn github_signature(key: &str, body: &[u8]) -> String {
    let headers = sign("github", key, Timestamp::UNIX_EPOCH, body);
    let header = headers["x-hub-signature-256"].to_str();
    let (_, hex) = header.expect("text").split_once('=').expect("a prefix");
    hex.to_owned()
}

/// RFC 9110, sections 11.1 and 8.3.1: names of schemes, types and codings are case-insensitive.
#[tokio::test]
async fn auth_scheme_names_are_case_insensitive() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("key");
    std::fs::write(&key, "ada:open-sesame").expect("written");
    let route = |name: &str| {
        format!(
            "  {name}:\n    verify: {{ scheme: {name}, secret: 'file:{}' }}\n    map: empty\n",
            key.display()
        )
    };
    let both = ServerAndLambda::start(&format!(
        "{}{}{}",
        route("bearer"),
        route("basic"),
        route("github")
    ))
    .await;
    let request = |route: &str, name: &str, value: &str| {
        Request::post(&format!("/hooks/{route}"), gzipped(b"{}"))
            .with("content-type", "Application/JSON; Charset=UTF-8")
            .with("Content-Encoding", "GZip")
            .with(name, value)
    };
    for (route, value) in [
        ("bearer", "bEaReR ada:open-sesame"),
        ("basic", "BASIC YWRhOm9wZW4tc2VzYW1l"),
    ] {
        for answer in both.send(&request(route, "AUTHORIZATION", value)).await {
            assert_eq!(answer.status, 200, "{value}: {answer:?}");
        }
    }
    let hex = github_signature("ada:open-sesame", &gzipped(b"{}"));
    for prefix in ["sha256=", "SHA256=", "Sha256="] {
        let value = format!("{prefix}{}", hex.to_uppercase());
        for answer in both
            .send(&request("github", "X-Hub-Signature-256", &value))
            .await
        {
            assert_eq!(answer.status, 200, "{value}: {answer:?}");
        }
    }
    for (route, name, value) in [
        ("bearer", "authorization", "Basic YWRhOm9wZW4tc2VzYW1l"),
        ("basic", "authorization", "Bearer ada:open-sesame"),
        ("bearer", "authorization", "Bearer ADA:OPEN-SESAME"),
        ("github", "x-hub-signature-256", &format!("SHA512={hex}")),
        (
            "github",
            "x-hub-signature-256",
            &format!("SHA256={}", hex.replace('a', "b")),
        ),
    ] {
        for answer in both.send(&request(route, name, value)).await {
            assert_eq!(
                (answer.status, answer.problem_code()),
                (401, "not_verified"),
                "{value}"
            );
        }
    }
    both.assert_healthy("schemes").await;
}
