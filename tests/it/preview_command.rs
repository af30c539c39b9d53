//! `masshook preview`: ignored and refused events, and failing mappings.

use std::process::Command;

use serde_json::{Value, json};

const CONFIG: &str = r#"
connections: { default: { credentials: env:ZOHO } }
routes:
  open:
    verify: { scheme: none }
    when: WHEN
    map: 'if .id then {module: "Leads", fields: {Rating: "Active"}, ids: [.id]} else empty end'
  queue:
    on: sqs
    map: '{module: "Deals", fields: {Stage: "Closed Won"}, ids: [.id]}'
"#;

/// An HTTP delivery to a route.
fn delivery(route: &str, body: &Value) -> Value {
    let path = format!("/hooks/{route}");
    json!({"version": "2.0", "rawPath": path, "rawQueryString": "", "headers": {}, "body": body.to_string(),
        "requestContext": {"stage": "$default", "http": {"method": "POST", "path": path}}})
}

#[test]
fn preview_refuses_event_of_other_trigger() {
    let event = delivery("queue", &json!({}));
    let (code, complained) = preview(&json!("true"), &event);
    assert_eq!(code, Some(1));
    assert!(
        complained.contains("route `queue` does not listen to `http`"),
        "{complained}"
    );
}

#[test]
fn preview_fails_if_expression_yields_no_boolean() {
    let event = delivery("open", &json!({"id": "1", "n": null}));
    for (when, part) in [
        (
            json!("."),
            "the `when` of route `open` yields an object instead of true or false; compare",
        ),
        (
            json!(["true", ".n"]),
            "the `when[1]` of route `open` yields null instead of true or false; compare",
        ),
    ] {
        let (code, said) = preview(&when, &event);
        assert_eq!(code, Some(1));
        assert!(said.contains(part), "{when}: {said}");
    }
}

#[test]
fn preview_names_reason_for_ignored_event() {
    let event = delivery("open", &json!({}));
    for (when, reason) in [
        (json!("false"), "`when` is false"),
        (json!(["true", ".id == 1"]), "`when[1]` is false"),
        (json!("true"), "`map` yields nothing"),
    ] {
        let (code, said) = preview(&when, &event);
        assert_eq!(code, Some(0));
        let line = format!("ignored    {reason}; see --explain");
        assert!(said.contains(&line), "{said}");
    }
}

/// Runs `masshook preview` with this `when` of the route `open`. Returns the exit status and the output.
fn preview(when: &Value, event: &Value) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let (config, path) = (
        folder.path().join("masshook.yaml"),
        folder.path().join("event.json"),
    );
    std::fs::write(&config, CONFIG.replace("WHEN", &when.to_string())).expect("written");
    std::fs::write(&path, event.to_string()).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_masshook"))
        .args(["preview", "--config"])
        .args([&config, &path])
        .output()
        .expect("masshook");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// The line, a caret, and the input with its values.
#[test]
fn failing_mapping_is_shown_with_excerpt_and_input() {
    let folder = tempfile::tempdir().expect("a folder");
    let (config, event) = (
        folder.path().join("masshook.yaml"),
        folder.path().join("event.json"),
    );
    std::fs::write(
        &config,
        "connections: { default: { credentials: env:ZOHO } }\nroutes:\n  r:\n    verify: { scheme: none }\n    map: |\n      { module: \"Leads\",\n        fields: { Rating: (.answers.rating | tonumber) },\n        ids: [.id] }\n",
    )
    .expect("written");
    std::fs::write(
        &event,
        json!({"id": "1", "answers": {"rating": "high"}}).to_string(),
    )
    .expect("written");
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_masshook"))
            .args(["preview", "--route", "r", "--config"])
            .args([&config, &event])
            .args(arguments)
            .output()
            .expect("masshook")
    };
    let output = run(&[]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    let complained = String::from_utf8(output.stderr).expect("text");
    for part in [
        "refused: the `map` of route `r` failed: the program failed: line 2, column 40:",
        "2 |   fields: { Rating: (.answers.rating | tonumber) },\n",
        "  |                                        ^\n",
        "on the input \"high\"",
    ] {
        assert!(complained.contains(part), "{part}: {complained}");
    }
    let problem: Value = serde_json::from_slice(&run(&["--json"]).stdout).expect("JSON");
    assert_eq!(
        problem["errors"],
        json!([{"program": "map", "line": 2, "column": 40, "text": "  fields: { Rating: (.answers.rating | tonumber) },", "input": "string"}])
    );
}

const SENDERS: &str = r#"
connections: { default: { credentials: env:ZOHO } }
routes:
  github:
    verify: { scheme: github, secret: env:PREVIEW_TEST_KEY }
    map: '{module: "Leads", fields: {Rating: "Active"}, match: {field: "Email", values: [.email]}}'
  slack:
    verify: { scheme: slack, secret: env:PREVIEW_TEST_KEY }
    map: '{module: "Leads", fields: {Rating: "Active"}, ids: ["1"]}'
  dropbox:
    verify: { scheme: dropbox, secret: env:PREVIEW_TEST_KEY }
    map: '{module: "Leads", fields: {Rating: "Active"}, ids: ["1"]}'
"#;

/// An HTTP API event.
fn request(method: &str, path: &str, query: &str, body: &Value) -> Value {
    json!({"version": "2.0", "rawPath": path, "rawQueryString": query, "headers": {}, "body": body.to_string(),
        "requestContext": {"stage": "$default", "http": {"method": method, "path": path}}})
}

/// Runs `masshook preview` with the config `SENDERS`. Returns the exit status and the output.
fn preview_sender(event: &Value, arguments: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let (config, path) = (
        folder.path().join("masshook.yaml"),
        folder.path().join("event.json"),
    );
    std::fs::write(&config, SENDERS).expect("written");
    std::fs::write(&path, event.to_string()).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_masshook"))
        .env("PREVIEW_TEST_KEY", "a-key-for-previews")
        .arg("preview")
        .args(arguments)
        .arg("--config")
        .args([&config, &path])
        .output()
        .expect("masshook");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.code(), said)
}

#[test]
fn preview_of_handshake_plans_nothing() {
    let challenge = json!({"type": "url_verification", "challenge": "c"});
    for (event, code, signature) in [
        // This handshake needs no signature.
        (
            request("GET", "/hooks/dropbox", "challenge=abc", &json!({})),
            0,
            "a handshake needs none",
        ),
        // This one needs a signature, and has none.
        (
            request("POST", "/hooks/slack", "", &challenge),
            1,
            "REFUSED, the response would be 401",
        ),
    ] {
        let (exit, said) = preview_sender(&event, &[]);
        assert_eq!(exit, Some(code), "{said}");
        assert!(said.contains(&format!("signature  {signature}")), "{said}");
        assert!(
            said.contains("handshake  a handshake of the sender"),
            "{said}"
        );
        assert!(!said.contains("plan "), "{said}");
        let (_, said) = preview_sender(&event, &["--json"]);
        let document: Value = serde_json::from_str(said.trim()).expect("JSON");
        assert_eq!(document["updates"], json!([]));
    }
}

#[test]
fn preview_refuses_what_the_server_refuses() {
    for (method, path, problem) in [
        ("POST", "/nowhere", "there is nothing here"),
        ("POST", "/", "there is nothing here"),
        ("POST", "/hooks/unknown", "there is no route `unknown`"),
        ("DELETE", "/jobs", "does not take that method"),
        ("GET", "/hooks/github", "does not take that method"),
    ] {
        let event = request(method, path, "", &json!({}));
        for (arguments, text) in [(&[][..], "refused: "), (&["--json"][..], "\"status\":4")] {
            let (exit, said) = preview_sender(&event, arguments);
            assert_eq!(exit, Some(1), "{method} {path}: {said}");
            assert!(
                said.contains(problem) && said.contains(text),
                "{method} {path}: {said}"
            );
        }
    }
    for (method, path) in [("GET", "/health"), ("GET", "/jobs/job_1")] {
        let (exit, said) = preview_sender(&request(method, path, "", &json!({})), &[]);
        assert_eq!(exit, Some(0));
        assert!(said.contains("nothing to plan"), "{said}");
    }
}

#[test]
fn bare_body_is_previewed_without_signature() {
    let (exit, said) = preview_sender(&json!({"email": "a@example.com"}), &["--route", "github"]);
    assert_eq!(exit, Some(0), "{said}");
    for part in [
        "signature  not checked: the file is a bare body",
        "1 value of Email to look up first",
        "fields     {\"Rating\":\"Active\"}",
        "match      {\"field\":\"Email\",\"values\":[\"a@example.com\"]",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let arguments = ["--route", "github", "--explain"];
    let (exit, said) = preview_sender(&json!({"email": "a@example.com"}), &arguments);
    assert_eq!(exit, Some(0), "{said}");
    assert!(said.contains("note  signature  not checked"), "{said}");
}

/// Senders such as HubSpot send lists, and EventBridge sends lists of events.
#[test]
fn list_is_the_body_of_the_named_route() {
    let list = json!([{"email": "a@example.com"}]);
    let (exit, said) = preview_sender(&list, &["--route", "slack"]);
    assert_eq!(exit, Some(0), "{said}");
    assert!(said.contains("1 call to POST"), "{said}");
    let (exit, said) = preview_sender(&list, &[]);
    assert_eq!(exit, Some(1), "{said}");
    assert!(said.contains("no route listens to eventbridge"), "{said}");
}
