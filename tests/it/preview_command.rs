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

/// Runs `preview --against`, and returns its status and its JSON.
fn compare(arguments: &[&str]) -> (Option<i32>, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_masshook"))
        .args(["preview", "--json"])
        .args(arguments)
        .output()
        .expect("run");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let document = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{error}"));
    (output.status.code(), document)
}

#[test]
fn comparison_shows_what_another_config_changes() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let config = CONFIG.replace("WHEN", "'true'");
    let other = config
        .replace(
            "fields: {Rating: \"Active\"}, ids: [.id]",
            "fields: {Rating: \"Hot\", Lead_Source: \"Chat\"}, ids: [.id, \"5725767000000100004\"]",
        )
        .replace("'true'", "'.skip | not'");
    let (config, other) = (write("a.yaml", &config), write("b.yaml", &other));
    let event = |name: &str, body: Value| write(name, &delivery("open", &body).to_string());
    let changed = event("changed.json", json!({"id": "5725767000000100003"}));
    let ignored = event(
        "ignored.json",
        json!({"id": "5725767000000100003", "skip": true}),
    );
    let same = event("same.json", json!({}));

    let arguments = ["--config", &config, "--against", &other];
    let (code, document) = compare(&[&arguments[..], &[&changed, &ignored, &same]].concat());
    assert_eq!(code, Some(1), "{document:#}");
    assert_eq!(
        (&document["compared"], &document["different"]),
        (&json!(3), &json!(2))
    );
    let entries = |place: usize| document["comparisons"][place]["routes"][0]["difference"].clone();
    assert_eq!(
        entries(0),
        json!([
            {"op": "change", "path": "/fields/Rating", "from": "Active", "to": "Hot"},
            {"op": "add", "path": "/fields/Lead_Source", "to": "Chat"},
            {"op": "change", "path": "/ids", "from": ["5725767000000100003"],
                "to": ["5725767000000100003", "5725767000000100004"], "added": 1, "removed": 0},
            {"op": "change", "path": "calls", "from": 1, "to": 2},
        ]),
        "{document:#}"
    );
    assert_eq!(entries(1)[0]["path"], "outcome");
    assert!(
        entries(1)[0]["to"]
            .as_str()
            .is_some_and(|to| to.starts_with("ignored: "))
    );
    assert_eq!(entries(2), json!([]));
    let (code, _) = compare(&[&arguments[..], &[&same]].concat());
    assert_eq!(code, Some(0));
    let arguments = ["--config", &config, "--against", &config];
    let (code, document) = compare(&[&arguments[..], &[&changed, &ignored]].concat());
    assert_eq!((code, &document["different"]), (Some(0), &json!(0)));

    // A route that is gone takes nothing.
    let gone = write(
        "c.yaml",
        &CONFIG
            .replace("WHEN", "'true'")
            .replace("  open:", "  renamed:"),
    );
    let arguments = ["--config", &config, "--against", &gone];
    let (code, document) = compare(&[&arguments[..], &[&changed]].concat());
    let entry = &document["comparisons"][0]["routes"][0]["difference"][0];
    assert_eq!(
        (code, &entry["path"]),
        (Some(1), &json!("outcome")),
        "{document:#}"
    );
}

#[test]
fn comparison_needs_events_or_stored_deliveries() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("a.yaml");
    std::fs::write(&config, CONFIG.replace("WHEN", "'true'")).expect("written");
    let config = config.display().to_string();
    let data = folder.path().join("nothing").display().to_string();
    for (arguments, part) in [
        (vec!["--against", &config, "--data", &data], "there is no "),
        (vec!["a.json", "b.json"], "--against only"),
    ] {
        let arguments = [&["--config", &config][..], &arguments].concat();
        let (code, document) = compare(&arguments);
        assert_eq!(code, Some(2), "{document}");
        assert!(document.to_string().contains(part), "{document}");
    }
}

/// The server would not map it.
#[test]
fn check_refuses_example_that_is_a_handshake() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("written");
    write(
        "masshook.yaml",
        "connections: { default: { credentials: env:ZOHO } }\nroutes:\n  r:\n    verify: { scheme: SCHEME, secret: env:KEY }\n    map: '{module: \"Leads\", fields: {Rating: \"Active\"}, ids: [\"1\"]}'\n",
    );
    let config = std::fs::read_to_string(folder.join("masshook.yaml")).expect("a config");
    let expected = json!([{"module": "Leads", "fields": {"Rating": "Active"}, "ids": ["1"]}]);
    let topic = "arn:aws:sns:eu-west-1:123456789012:t";
    let subscription = json!({"Type": "SubscriptionConfirmation", "TopicArn": topic,
        "SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=x&Token=t"});
    for (scheme, event, says) in [
        ("discord", json!({"type": 1}), "a handshake of the sender"),
        (
            "slack",
            json!({"type": "url_verification", "challenge": "c"}),
            "a handshake of the sender",
        ),
        ("aws-sns", subscription, "a subscription of Amazon SNS"),
    ] {
        let config = match scheme {
            "aws-sns" => config.replace(
                "scheme: SCHEME, secret: env:KEY",
                &format!("scheme: aws-sns, params: {{ topic: '{topic}' }}"),
            ),
            _ => config.replace("SCHEME", scheme),
        };
        write("masshook.yaml", &config);
        write("event.json", &event.to_string());
        let check = |expected: &Value| {
            write("expected.json", &expected.to_string());
            let output = Command::new(env!("CARGO_BIN_EXE_masshook"))
                .args(["check", "--json"])
                .current_dir(folder)
                .env(
                    "KEY",
                    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
                )
                .output()
                .expect("masshook");
            let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            report["examples"][0].clone()
        };
        let example = check(&expected);
        assert_eq!(example["result"], "bad", "{scheme}: {example:#}");
        let found = example["found"].as_str().expect("a text");
        assert!(
            found.contains(says) && found.contains("not mapped"),
            "{found}"
        );
        // CI has no secrets.
        let output = Command::new(env!("CARGO_BIN_EXE_masshook"))
            .args(["check", "--json", "--skip-secrets"])
            .current_dir(folder)
            .output()
            .expect("masshook");
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(report["examples"][0]["result"], "bad", "{report:#}");
        // That nothing is updated may be intended.
        let example = check(&json!([]));
        assert_eq!(example["result"], "ok", "{scheme}: {example:#}");
    }
}

/// What somebody writes by hand has no signature. A wrong one is refused as before.
#[test]
fn direct_event_without_signature_is_previewed() {
    let body = json!({"email": "a@example.com"});
    let event = json!({"route": "github", "headers": {}, "body": body});
    let (exit, said) = preview_sender(&event, &[]);
    assert_eq!(exit, Some(0), "{said}");
    let note = "signature  not checked: the file contains no signature, without which a delivery gets 401: header x-hub-signature-256 is missing";
    assert!(said.contains(note), "{said}");
    let wrong = json!({"x-hub-signature-256": format!("sha256={}", "0".repeat(64))});
    let event = json!({"route": "github", "headers": wrong, "body": body});
    let (exit, said) = preview_sender(&event, &[]);
    assert_eq!(exit, Some(1), "{said}");
    assert!(said.contains("REFUSED"), "{said}");
}

#[test]
fn dash_is_stdin() {
    use std::io::Write as _;

    let folder = tempfile::tempdir().expect("a folder");
    let config = CONFIG.replace("WHEN", "'true'");
    std::fs::write(folder.path().join("masshook.yaml"), config).expect("written");
    let preview = |event: &str| {
        let mut process = Command::new(env!("CARGO_BIN_EXE_masshook"))
            .args(["preview", "--route", "open", "-"])
            .current_dir(folder.path())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("masshook");
        let mut input = process.stdin.take().expect("its input");
        input.write_all(event.as_bytes()).expect("written");
        drop(input);
        let output = process.wait_with_output().expect("its end");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code(),
            text(&output.stdout) + &text(&output.stderr),
        )
    };
    let (code, said) = preview(r#"{"id": "5725767000003000064"}"#);
    assert!(code == Some(0) && said.contains("mass_update"), "{said}");
    let (code, said) = preview("{");
    assert!(
        code == Some(2) && said.contains("stdin: is not JSON"),
        "{said}"
    );
}
