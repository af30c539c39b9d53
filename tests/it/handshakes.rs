//! Handshakes, in the server and in the Lambda program: the probes of senders, and the answers that they check.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::harness::{Answer, Harness, Request, SENDER_SECRET, ServerAndLambda, repo_path};

const KEY: &str = "key-of-the-handshakes";

/// A route of each kind; `KEY` is the location of the key. A handshake that signs for anybody needs a location of its own.
const ROUTES: &str = r#"
  discord: { verify: { scheme: discord, secret: DISCORD, tolerance_s: 0 }, map: empty }
  xero: { verify: { scheme: xero, secret: KEY }, map: empty }
  slack: { verify: { scheme: slack, secret: KEY, tolerance_s: 0 }, map: empty }
  dropbox: { verify: { scheme: dropbox, secret: KEY }, map: empty }
  meta: { verify: { scheme: meta, secret: KEY }, handshake_secret: KEY, map: empty }
  graph: { verify: { scheme: microsoft-graph, secret: KEY }, map: empty }
  token: { verify: { scheme: token, secret: KEY }, map: empty }
  stripe: { verify: { scheme: stripe, secret: KEY }, map: empty }
  zoom:
    verify:
      scheme: custom
      secret: OWN-ZOOM
      type: hmac
      algorithm: sha256
      signature: { header: x-zm-signature, prefix: "v0=", encoding: hex }
      signed: "v0:{timestamp}:{body}"
      timestamp: { header: x-zm-request-timestamp }
      handshakes:
        - method: POST
          when: [{ json: /event, equals: endpoint.url_validation }]
          answer: { json: { plainToken: "{json:/payload/plainToken}", encryptedToken: "{hmac_hex:json:/payload/plainToken}" } }
    map: empty
  linkedin:
    verify:
      scheme: custom
      secret: OWN-LINKEDIN
      type: hmac
      algorithm: sha256
      signature: { header: X-LI-Signature, encoding: hex }
      signed: "hmacsha256={body}"
      handshakes:
        - method: GET
          when: [{ query: challengeCode }]
          answer: { json: { challengeCode: "{query:challengeCode}", challengeResponse: "{hmac_hex:query:challengeCode}" } }
    map: empty
  monday:
    verify:
      scheme: custom
      secret: KEY
      type: bearer
      handshakes: [{ method: POST, when: [{ json: /challenge }], answer: { json: { challenge: "{json:/challenge}" } } }]
    map: empty
  header:
    verify:
      scheme: custom
      secret: KEY
      type: bearer
      handshakes: [{ method: [GET, OPTIONS], when: [{ header: X-Challenge }], answer: { status: 204, headers: { X-Challenge-Reply: "{header:X-Challenge}" } } }]
    map: empty
"#;

/// Routes whose handshakes stand beside a preset, `scheme: none`, and a scheme that signs the body alone.
const MORE_ROUTES: &str = r#"
  crc:
    verify:
      scheme: custom
      secret: OWN-CRC
      type: hmac
      algorithm: sha256
      signature: { header: X-Sig, encoding: hex }
      signed: "{body}"
      handshakes: [{ method: GET, when: [{ query: crc_token, token: true }], answer: { text: "{hmac_hex:query:crc_token}" } }]
    map: empty
  typed: { verify: { scheme: typeform, secret: KEY, handshakes: [challenge] }, map: empty }
  fit:
    verify:
      scheme: none
      handshakes:
        - { method: GET, when: [{ query: verify, secret: true }], answer: { status: 204 } }
        - { method: GET, when: [{ query: verify }], answer: { status: 404 } }
        - { method: POST, when: [{ header: X-Event, absent: true }], answer: { status: 410, text: gone } }
    handshake_secret: KEY
    map: empty
"#;

/// The key of a route whose handshake signs for anybody.
fn own_key(route: &str) -> String {
    format!("{KEY}-{route}")
}

async fn start_both() -> (ServerAndLambda, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let keep = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        format!("'file:{}'", path.display())
    };
    let vectors = vectors("discord");
    let routes = format!("{ROUTES}{}", MORE_ROUTES.trim_start_matches('\n'));
    let routes = routes
        .replace(
            "DISCORD",
            &keep("discord", vectors[0]["secret"].as_str().expect("a key")),
        )
        .replace("KEY", &keep("key", KEY))
        .replace("OWN-ZOOM", &keep("zoom", &own_key("zoom")))
        .replace("OWN-LINKEDIN", &keep("linkedin", &own_key("linkedin")))
        .replace("OWN-CRC", &keep("crc", &own_key("crc")));
    let both = ServerAndLambda::start(routes.trim_start_matches('\n')).await;
    (both, folder)
}

fn vectors(source: &str) -> Value {
    let text = std::fs::read_to_string(
        repo_path("crates/webhook-verify/tests/vectors")
            .join(source)
            .join("vector.json"),
    );
    let mut file: Value = serde_json::from_str(&text.expect("vectors")).expect("JSON");
    file["vectors"].take()
}

/// Makes a POST that is signed with [`KEY`].
fn signed(scheme: &str, route: &str, body: &str, now: i64) -> Request {
    let now = Timestamp::from_second(now).expect("a time");
    Request::json(&format!("/hooks/{route}"), body).signed(scheme, KEY, now)
}

/// Checks for a 401 without content and content type.
fn is_bare(answer: &Answer, name: &str) {
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (401, ""),
        "{name}: {answer:?}"
    );
    assert!(
        answer.headers.get("content-type").is_none(),
        "{name}: {answer:?}"
    );
}

#[tokio::test]
async fn failed_verification_returns_bare_401_where_needed() {
    let (both, _folder) = start_both().await;
    // Discord's ping is answered. A forged ping, which Discord sends as a test, is rejected.
    let vectors = vectors("discord");
    let body = std::fs::read(repo_path(
        "crates/webhook-verify/tests/vectors/discord/body.json",
    ))
    .expect("a body");
    let ping = |body: Vec<u8>| {
        let request = Request::post("/hooks/discord", body);
        let headers = vectors[0]["headers"].as_object().expect("headers").iter();
        let own = headers.filter(|(name, _)| name.as_str() != "User-Agent");
        own.fold(request, |request, (name, value)| {
            request.with(name, value.as_str().expect("text"))
        })
    };
    for answer in both.send(&ping(body.clone())).await {
        assert_eq!((answer.status, answer.body), (200, json!({"type": 1})));
        assert_eq!(answer.headers["content-type"], "application/json");
    }
    let forged = [body, b" ".to_vec()].concat();
    for answer in both.send(&ping(forged)).await {
        is_bare(&answer, "discord");
    }
    // Xero's intent to receive: one good signature, several bad ones.
    let intent =
        r#"{"events":[],"lastEventSequence":0,"firstEventSequence":0,"entropy":"S0m3r4Nd0mt3xt"}"#;
    for answer in both.send(&signed("xero", "xero", intent, 0)).await {
        assert_eq!(
            (answer.status, answer.text.as_str()),
            (200, ""),
            "{answer:?}"
        );
        assert!(answer.headers.get("content-type").is_none(), "{answer:?}");
    }
    let unsigned = Request::post("/hooks/xero", intent);
    let garbled = Request::post("/hooks/xero", intent).with("x-xero-signature", "%%%");
    let forged = Request {
        body: intent.replace("3xt", "4xt").into(),
        ..signed("xero", "xero", intent, 0)
    };
    for (name, request) in [
        ("unsigned", unsigned),
        ("garbled", garbled),
        ("forged", forged),
    ] {
        for answer in both.send(&request).await {
            is_bare(&answer, name);
        }
    }
    // Other senders get a problem document with the reason.
    for answer in both.send(&Request::post("/hooks/stripe", "{}")).await {
        assert_eq!(
            (answer.status, answer.problem_code()),
            (401, "not_verified")
        );
    }
}

/// A stranger asks for the signature of a body, then sends the body with it.
#[tokio::test]
async fn challenge_signature_proves_no_delivery() {
    let (both, _folder) = start_both().await;
    let body = r#"{"id":1}"#;
    let asked = Request::get(&format!(
        "/hooks/crc?crc_token={}",
        body.replace('"', "%22")
    ));
    for answer in both.send(&asked).await {
        assert_eq!(answer.status, 405, "{answer:?}");
    }
    for answer in both.send(&Request::get("/hooks/crc?crc_token=abc")).await {
        assert_eq!((answer.status, answer.text.len()), (200, 64), "{answer:?}");
        let forged = Request::post("/hooks/crc", "abc")
            .with("content-type", "application/x-www-form-urlencoded")
            .with("x-sig", &answer.text);
        for answer in both.send(&forged).await {
            assert_eq!(answer.status, 401, "{answer:?}");
            assert!(answer.text.contains("a single token"), "{answer:?}");
        }
    }
    let zoom = json!({"event": "endpoint.url_validation", "payload": {"plainToken": format!("v0:1:{body}")}});
    for answer in both
        .send(&Request::json("/hooks/zoom", zoom.to_string()))
        .await
    {
        assert_eq!(answer.status, 401, "{answer:?}");
        assert!(!answer.text.contains("encryptedToken"), "{answer:?}");
    }
}

/// `serve` refuses such a config at its start. Lambda reads its secrets when they are first used.
#[tokio::test]
async fn handshake_with_secret_of_deliveries_is_not_signed() {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("copy");
    std::fs::write(&copy, SENDER_SECRET).expect("written");
    let copy = format!("file:{}", copy.display());
    let handshake = r#"handshakes: [{ method: GET, when: [{ query: x }], answer: { text: "{hmac_hex:query:x}" } }]"#;
    // Deliveries of the harness's own route are signed with the same secret.
    let routes = format!(
        "  signs:\n    verify: {{ scheme: none, {handshake} }}\n    handshake_secret: {copy}\n    map: empty\n"
    );
    let world = Harness::new().routes(&routes).start().await;
    let answer = world.send(Request::get("/hooks/signs?x=abc")).await;
    assert_eq!(
        (answer.status, answer.problem_code()),
        (500, "secret_unavailable")
    );
    assert!(!answer.text.contains(SENDER_SECRET), "{answer:?}");
}

#[tokio::test]
async fn handshakes_stand_beside_presets_and_none() {
    let (both, _folder) = start_both().await;
    let event = |name: &str| Request::json("/hooks/fit", "{}").with(name, "x");
    for (request, status, text) in [
        (Request::get("/hooks/typed?challenge=abc"), 200, "abc"),
        (Request::get("/hooks/typed"), 405, "method_not_allowed"),
        (Request::post("/hooks/typed", "{}"), 401, "not_verified"),
        (Request::get(&format!("/hooks/fit?verify={KEY}")), 204, ""),
        (Request::get("/hooks/fit?verify=wrong"), 404, ""),
        (event("X-Other"), 410, "gone"),
        (event("X-Event"), 200, "jobs"),
    ] {
        for answer in both.send(&request).await {
            assert_eq!(answer.status, status, "{request:?}: {answer:?}");
            assert!(answer.text.contains(text), "{request:?}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn get_and_head_probes_are_answered() {
    let (both, _folder) = start_both().await;
    for method in ["GET", "HEAD"] {
        for answer in both.send(&Request::new(method, "/hooks/token")).await {
            assert_eq!(
                (answer.status, answer.text.as_str()),
                (200, ""),
                "{method}: {answer:?}"
            );
        }
        for answer in both.send(&Request::new(method, "/hooks/stripe")).await {
            assert_eq!(answer.status, 405, "{method}");
        }
    }
}

#[tokio::test]
async fn challenges_are_echoed_in_each_senders_format() {
    let (both, _folder) = start_both().await;
    let hmac = |route: &str, text: &str| {
        use hmac::{Hmac, KeyInit, Mac};
        let key = own_key(route);
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key.as_bytes()).expect("a key");
        mac.update(text.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    };
    let meta = |token: &str| {
        Request::new(
            "GET",
            &format!(
                "/hooks/meta?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={token}"
            ),
        )
    };
    let text = "text/plain";
    let cases = [
        ("dropbox", Request::get("/hooks/dropbox?challenge=a%20b%3C"), 200, text, "a b<".to_owned()),
        ("meta", meta(KEY), 200, text, "1158201444".to_owned()),
        ("graph", Request::post("/hooks/graph?validationToken=Validation%3A+Testing", ""), 200, text, "Validation: Testing".to_owned()),
        ("slack", signed("slack", "slack", r#"{"type":"url_verification","challenge":"3eZbrw1a"}"#, 1_700_000_000), 200, text, "3eZbrw1a".to_owned()),
        ("monday", Request::post("/hooks/monday", r#"{"challenge":"c\"h"}"#), 200, "application/json", json!({"challenge": "c\"h"}).to_string()),
        ("zoom", Request::post("/hooks/zoom", r#"{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"}}"#), 200, "application/json",
            json!({"plainToken": "qgg8vlvZRS6UYooatFL8Aw", "encryptedToken": hmac("zoom", "qgg8vlvZRS6UYooatFL8Aw")}).to_string()),
        ("linkedin", Request::get("/hooks/linkedin?challengeCode=890e4665-4dfe"), 200, "application/json",
            json!({"challengeCode": "890e4665-4dfe", "challengeResponse": hmac("linkedin", "890e4665-4dfe")}).to_string()),
    ];
    for (name, request, status, content_type, body) in cases {
        for answer in both.send(&request).await {
            assert_eq!(
                (answer.status, answer.text.as_str()),
                (status, body.as_str()),
                "{name}: {answer:?}"
            );
            let said = answer.header("content-type");
            assert!(said.starts_with(content_type), "{name}: {said}");
            assert_eq!(
                answer.headers["x-content-type-options"], "nosniff",
                "{name}"
            );
        }
    }
    for answer in both
        .send(&Request::get("/hooks/header").with("X-Challenge", "abc"))
        .await
    {
        assert_eq!(
            (answer.status, answer.header("x-challenge-reply")),
            (204, "abc")
        );
    }
    // A request that is not one of the route's handshakes, or not verified, gets no challenge back.
    let slack = r#"{"type":"url_verification","challenge":"3eZbrw1a"}"#;
    for (request, status) in [
        (meta("wrong"), 405),
        (Request::get("/hooks/dropbox"), 405),
        (
            Request::post("/hooks/slack", slack).with("content-type", "application/json"),
            401,
        ),
        (Request::get("/hooks/header"), 405),
    ] {
        for answer in both.send(&request).await {
            assert_eq!(answer.status, status, "{request:?}: {answer:?}");
            assert!(!answer.text.contains("3eZbrw1a") && !answer.text.contains("1158201444"));
        }
    }
}
