//! `masshook preview --explain`: the first condition of each route that an event does not meet.

use std::process::Command;

use serde_json::{Value, json};

const SECRET: &str = "00112233445566778899aabbccddeeff";

const CONFIG: &str = r#"
connections: { default: { credentials: env:ZOHO, accounts_url: 'http://127.0.0.1:1', api_url: 'http://127.0.0.1:1' } }
routes:
  github:
    verify: { scheme: github, secret: env:SENDER }
    when:
      - $headers["x-github-event"] == "issues"
      - .action == "opened"
      - any(.issue.labels[]; .name == "crm")
      - .never.evaluated == 1
    map: '{module: "Leads", fields: {Rating: "Active"}, ids: [.id]}'
  dropbox:
    verify: { scheme: dropbox, secret: env:SENDER }
    map: '{module: "Leads", fields: {Rating: "Active"}, ids: [.id]}'
  elsewhere:
    verify: { scheme: custom, type: equals, token: { header: x-token }, secret: secretsmanager:not/here }
    map: '{module: "Leads", fields: {Rating: "Active"}, ids: [.id]}'
  open:
    verify: { scheme: none }
    when: WHEN
    map: 'if .id then {module: "Leads", fields: {Rating: "Active"}, ids: [.id]} elif .broken then {module: 7} else empty end'
  queue:
    on: sqs
    when: ($trigger.queue | endswith(":orders")) and .paid == true
    map: '{module: "Deals", fields: {Stage: "Closed Won"}, ids: [.id]}'
  bus:
    on: [eventbridge, sqs]
    when: .source? == "shop"
    map: '{module: "Deals", fields: {Stage: "Closed Won"}, ids: [.detail.id]}'
"#;

struct Explained {
    code: i32,
    text: String,
    document: Value,
}

impl Explained {
    fn route(&self, name: &str) -> &Value {
        self.route_of(0, name)
    }

    fn route_of(&self, event: usize, name: &str) -> &Value {
        let routes = self.document["explained"][event]["routes"].as_array();
        let routes = routes.unwrap_or_else(|| panic!("{}", self.document));
        let found = routes.iter().find(|route| route["route"] == name);
        found.unwrap_or_else(|| panic!("{name}: {}", self.document))
    }

    fn first_false(&self, name: &str) -> &Value {
        &self.route(name)["first_false"]
    }

    fn condition(&self, name: &str, condition: &str) -> &Value {
        let conditions = self.route(name)["conditions"].as_array();
        let mut conditions = conditions.expect("conditions").iter();
        let found = conditions.find(|result| result["condition"] == condition);
        found.unwrap_or_else(|| panic!("{condition}: {}", self.route(name)))
    }

    /// Whether the event meets a condition of a route, and the reason.
    fn found(&self, name: &str, condition: &str) -> (Option<bool>, String) {
        let result = self.condition(name, condition);
        let found = result["found"].as_str().expect("a sentence");
        (result["met"].as_bool(), found.to_owned())
    }
}

/// Runs the command with this `when` of the route `open`, once for text and once for JSON. Both must end alike.
fn explain_when(when: &Value, event: &Value, arguments: &[&str]) -> Explained {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("masshook.yaml");
    std::fs::write(&config, CONFIG.replace("WHEN", &when.to_string())).expect("written");
    let path = folder.path().join("event.json");
    std::fs::write(&path, event.to_string()).expect("written");
    let run = |json: bool| {
        Command::new(env!("CARGO_BIN_EXE_masshook"))
            .args(["preview", "--explain", "--config"])
            .arg(&config)
            .arg(&path)
            .args(arguments)
            .args(json.then_some("--json"))
            .env("SENDER", SECRET)
            .output()
            .expect("masshook")
    };
    let (text, document) = (run(false), run(true));
    let complained = String::from_utf8_lossy(&text.stderr).into_owned();
    assert_eq!(text.status.code(), document.status.code(), "{complained}");
    let text = String::from_utf8(text.stdout).expect("text") + &complained;
    assert!(!text.contains(SECRET), "{text}");
    let code = document.status.code().expect("a code");
    let document = serde_json::from_slice(&document.stdout).unwrap_or(Value::Null);
    Explained {
        code,
        text,
        document,
    }
}

fn explain(event: &Value) -> Explained {
    explain_when(&json!("true"), event, &[])
}

/// A delivery of HTTP API v2.
fn http(method: &str, path: &str, headers: &Value, body: &str) -> Value {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    json!({"version": "2.0", "rawPath": path, "rawQueryString": query, "headers": headers, "body": body,
        "requestContext": {"stage": "$default", "http": {"method": method, "path": path}}})
}

fn github(body: &Value) -> Value {
    let body = body.to_string();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = hex::encode(aws_lc_rs::hmac::sign(&key, body.as_bytes()));
    let headers = json!({"content-type": "application/json", "x-github-event": "issues",
        "x-hub-signature-256": format!("sha256={signature}")});
    http("POST", "/hooks/github", &headers, &body)
}

#[test]
fn event_is_accepted_by_route_of_its_path() {
    let body = json!({"id": "5725767000003000064", "action": "opened", "issue": {"labels": [{"name": "crm"}]}, "never": {"evaluated": 1}});
    let taken = explain(&github(&body));
    assert_eq!(taken.code, 0, "{}", taken.text);
    assert_eq!(taken.first_false("github"), &Value::Null);
    assert!(
        taken
            .found("github", "signature")
            .1
            .starts_with("verified: HMAC-SHA256")
    );
    assert_eq!(
        taken.found("github", "when").1,
        "all 4 expressions are true"
    );
    assert_eq!(taken.found("github", "map").1, "yields 1 update request");
    assert_eq!(taken.first_false("open"), "path");
    assert_eq!(
        taken.found("open", "path").1,
        "the event was sent to /hooks/github"
    );
    assert_eq!(taken.first_false("bus"), "trigger");
    assert_eq!(
        taken.found("bus", "trigger").1,
        "the event was received by `http`, but `on` lists eventbridge, sqs"
    );
    for line in [
        "github     accepts it",
        "open       ignored (path): the event was sent to /hooks/github",
    ] {
        assert!(taken.text.contains(line), "{}", taken.text);
    }
}

#[test]
fn part_that_is_no_field_is_mentioned() {
    let part = |name: &str, text: &str| {
        format!("--X\r\nContent-Disposition: form-data{name}\r\n\r\n{text}\r\n")
    };
    let body = part("; name=id", "5725767000003000064") + &part("", "7") + "--X--\r\n";
    let headers = json!({"content-type": "multipart/form-data; boundary=X"});
    let taken = explain(&http("POST", "/hooks/open", &headers, &body));
    assert_eq!(taken.code, 0, "{}", taken.text);
    let (met, found) = taken.found("open", "body");
    assert_eq!(met, Some(true));
    assert_eq!(found, "part without a name is not a field: it has no name");
    assert_eq!(taken.first_false("open"), &Value::Null);
}

#[test]
fn first_false_expression_is_shown_with_its_values() {
    let body = json!({"id": "1", "action": "opened", "issue": {"labels": [{"name": "bug"}, {"name": "ui"}]}});
    let said = explain(&github(&body));
    assert_eq!(said.code, 1, "{}", said.text);
    assert_eq!(said.first_false("github"), "when");
    for lines in [
        "  FALSE when       `when[2]` is false\n",
        "any(.issue.labels[]; .name == \"crm\")\n",
        ".issue.labels[].name is \"bug\", \"ui\"\n",
    ] {
        assert!(said.text.contains(lines), "{}", said.text);
    }
    let expressions = &said.condition("github", "when")["expressions"];
    let expressions = expressions.as_array().expect("expressions");
    let holds: Vec<&Value> = expressions.iter().map(|one| &one["holds"]).collect();
    // The fourth is not evaluated.
    assert_eq!(
        holds,
        [&json!(true), &json!(true), &json!(false), &Value::Null]
    );
    assert_eq!(
        expressions[2],
        json!({
            "text": "any(.issue.labels[]; .name == \"crm\")",
            "holds": false,
            "values": [{"path": ".issue.labels[].name", "value": "\"bug\", \"ui\""}],
            "body": null,
        })
    );
}

#[test]
fn half_characters_of_body_are_noted() {
    let headers = json!({"content-type": "application/json"});
    let body = r#"{"id": "1", "text": "Example \ud83d"}"#;
    let explained = explain(&http("POST", "/hooks/open", &headers, body));
    assert_eq!(explained.code, 0, "{}", explained.text);
    let (met, note) = explained.found("open", "body");
    assert_eq!(met, Some(true));
    assert!(
        note.starts_with("1 escape of the body is a lone surrogate"),
        "{note}"
    );
    assert!(note.ends_with("taken as U+FFFD"), "{note}");
    assert!(explained.text.contains(&note), "{}", explained.text);

    let whole = body.replace(r"\ud83d", r"\ud83d\ude00");
    let explained = explain(&http("POST", "/hooks/open", &headers, &whole));
    let conditions = explained.route("open")["conditions"].to_string();
    assert!(!conditions.contains("surrogate"), "{conditions}");
}

#[test]
fn half_characters_of_event_are_noted() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("masshook.yaml");
    std::fs::write(&config, CONFIG.replace("WHEN", "\"true\"")).expect("written");
    let event = folder.path().join("event.json");
    let text = r#"{"id": "e", "detail-type": "\udc00", "source": "shop", "detail": {"id": "1"}}"#;
    std::fs::write(&event, text).expect("written");
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_masshook"))
            .args(arguments)
            .arg("--config")
            .args([&config, &event])
            .env("SENDER", SECRET)
            .output();
        String::from_utf8(output.expect("masshook").stdout).expect("text")
    };
    for arguments in [&["preview"][..], &["preview", "--explain"]] {
        let text = run(arguments);
        assert!(
            text.contains("1 escape of the body is a lone surrogate"),
            "{text}"
        );
    }
}

#[test]
fn conditions_before_when_are_named() {
    let opened = json!({"action": "opened"});
    let mut forged = github(&opened);
    forged["body"] = json!(json!({"action": "closed"}).to_string());
    let said = explain(&forged);
    assert_eq!(said.first_false("github"), "signature");
    assert!(
        said.found("github", "signature")
            .1
            .contains("no signature matches")
    );
    // `when` is reported besides.
    assert_eq!(said.found("github", "when").0, Some(false));

    let mut unsigned = github(&opened);
    unsigned["headers"] = json!({});
    let said = explain(&unsigned);
    assert!(
        said.found("github", "signature")
            .1
            .contains("header x-hub-signature-256 is missing")
    );

    let mut got = github(&opened);
    got["requestContext"]["http"]["method"] = json!("GET");
    let said = explain(&got);
    assert_eq!(said.first_false("github"), "method");

    let said = explain(&http("GET", "/hooks/dropbox?challenge=abc", &json!({}), ""));
    assert_eq!(said.first_false("dropbox"), "delivery");
    assert!(said.found("dropbox", "delivery").1.contains("handshake"));

    // A condition that cannot be checked here is not reported as met or as false.
    let said = explain(&http(
        "POST",
        "/hooks/elsewhere",
        &json!({"x-token": "t"}),
        "{\"id\": \"1\"}",
    ));
    let (met, found) = said.found("elsewhere", "signature");
    assert_eq!(met, None);
    assert!(
        found.starts_with("not checked: ") && found.contains("secretsmanager:not/here"),
        "{found}"
    );
    assert_eq!(said.code, 0, "{}", said.text);

    let said = explain(&http("POST", "/hooks/open", &json!({}), "{\"id\": "));
    assert_eq!(said.first_false("open"), "body");
    let said = explain(&http("POST", "/hooks/open", &json!({}), "{}"));
    assert_eq!(said.first_false("open"), "map");
    assert!(said.found("open", "map").1.contains("yields nothing"));
    let said = explain(&http(
        "POST",
        "/hooks/open",
        &json!({}),
        "{\"broken\": true}",
    ));
    assert_eq!(said.first_false("open"), "map");
    assert!(
        said.text.contains("\"pointer\":\"/module\""),
        "{}",
        said.text
    );

    let said = explain(&json!({"route": "open", "body": {"id": "1"}}));
    assert_eq!(said.first_false("open"), &Value::Null);
    assert_eq!(said.first_false("github"), "route");
}

/// An event for the route `open`.
fn open_event() -> Value {
    let body =
        json!({"id": "1", "a": {"b": false, "c": 1}, "t": true, "n": null, "list": [1, 2, 3, 4]});
    http("POST", "/hooks/open", &json!({}), &body.to_string())
}

#[test]
fn false_expression_shows_paths_that_it_reads() {
    let event = open_event();
    for (when, parts) in [
        // The pipe binds loosest: both sides read from `.a`.
        (
            ".a | .c == 1 and .b",
            &["when       `when` is false", ".a.c is 1", ".a.b is false"][..],
        ),
        (
            "(.n or .a.b) and .t",
            &[".n is null", ".a.b is false", "in the input {id: string"],
        ),
        (".t and (.a.c | not)", &[".t is true", ".a.c is 1"]),
        ("def on: . == true; .t and (.a.b | on)", &[".a.b is false"]),
        (". as $all | .t and $all.a.b", &[".a.b is false"]),
        (".t and .a.c + 1 > 5", &[".a.c is 1"]),
        (".t and \"x and y\" == .n", &[".n is null"]),
        ("any(.list[]; . > 5)", &[".list[] is 1, 2, 3, … 4 in all"]),
        (
            "$headers[\"x-kind\"] == \"deal\"",
            &["$headers[\"x-kind\"] is null"],
        ),
        ("false", &["`when` is false\n                   false\n"]),
    ] {
        let said = explain_when(&json!(when), &event, &[]);
        assert_eq!(said.first_false("open"), "when", "{when}");
        for part in parts {
            assert!(said.text.contains(part), "{when}: {part}: {}", said.text);
        }
    }
    let said = explain_when(&json!(".t or .n"), &event, &[]);
    assert_eq!(said.first_false("open"), &Value::Null, "{}", said.text);
    assert_eq!(said.found("open", "when").1, "is true");
}

#[test]
fn failing_expression_is_shown_with_its_location() {
    let event = open_event();
    let failed = explain_when(
        &json!([".t", ".a.b | startswith(\"x\")", ".n"]),
        &event,
        &[],
    );
    assert_eq!(
        (failed.code, failed.first_false("open")),
        (1, &json!("when"))
    );
    for part in [
        "the `when[1]` of route `open` failed",
        "1 | .a.b | startswith(\"x\")",
        "on the input false",
    ] {
        assert!(failed.text.contains(part), "{part}: {}", failed.text);
    }
    // An expression after a false one is not evaluated.
    let fine = explain_when(&json!(["false", "error(\"evaluated\")"]), &event, &[]);
    assert!(fine.text.contains("`when[0]` is false"), "{}", fine.text);
    let endless = explain_when(
        &json!([
            ".t",
            "[limit(3; repeat(1))] | length > 5",
            "last(repeat(1))"
        ]),
        &event,
        &[],
    );
    assert!(
        endless.text.contains("`when[1]` is false"),
        "{}",
        endless.text
    );
    let endless = explain_when(&json!(".t and last(repeat(1))"), &event, &[]);
    assert!(
        endless.text.contains("steps") || endless.text.contains("longer than"),
        "{}",
        endless.text
    );
}

#[test]
fn expression_without_boolean_is_an_error() {
    let event = open_event();
    for (when, parts) in [
        (
            json!("."),
            &["the `when` of route `open` yields an object instead of true or false"][..],
        ),
        (
            json!([".t", ".n"]),
            &["the `when[1]` of route `open` yields null instead of true or false; compare"],
        ),
        (json!("empty"), &["yields nothing instead of true or false"]),
        (
            json!(".list[] > 1"),
            &["yields 4 values instead of true or false"],
        ),
    ] {
        let said = explain_when(&when, &event, &[]);
        assert_eq!((said.code, said.first_false("open")), (1, &json!("when")));
        for part in parts {
            assert!(said.text.contains(part), "{when}: {part}: {}", said.text);
        }
    }
}

#[test]
fn each_message_of_a_batch_is_explained() {
    let message = |id: &str, body: &Value| {
        json!({"messageId": id, "body": body.to_string(), "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:orders"})
    };
    let paid = json!({"id": "5725767000006000001", "paid": true});
    let batch = json!({"Records": [message("m1", &paid), message("m2", &json!({"paid": false}))]});
    let said = explain(&batch);
    assert_eq!(said.code, 1, "{}", said.text);
    assert_eq!(said.route_of(0, "queue")["takes"], true);
    assert_eq!(said.route_of(1, "queue")["first_false"], "when");
    assert_eq!(said.route_of(1, "open")["first_false"], "trigger");
    assert_eq!(said.document["explained"][1]["id"], "m2");
    assert!(
        said.text.contains("event 2 of 2: m2") && said.text.contains(".paid is false"),
        "{}",
        said.text
    );

    let event = json!({"id": "e1", "detail-type": "t", "source": "store", "detail": {}});
    let said = explain_when(&json!("true"), &event, &["--route", "bus"]);
    assert_eq!(
        said.document["explained"][0]["routes"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    assert!(said.text.contains(".source? is \"store\""), "{}", said.text);

    // A bare body counts as an event of a trigger that the route listens to.
    let bare = explain_when(
        &json!("true"),
        &json!({"source": "shop", "detail": {"id": "1"}}),
        &["--route", "bus"],
    );
    assert_eq!(
        (bare.code, bare.first_false("bus")),
        (0, &Value::Null),
        "{}",
        bare.text
    );
}

#[test]
fn update_request_is_for_no_route() {
    let update = json!({"module": "Leads", "fields": {"Rating": "Active"}, "ids": ["1"]});
    let said = explain(&update);
    assert_eq!(said.code, 0);
    assert!(
        said.text.contains("an update request is for no route"),
        "{}",
        said.text
    );
    assert_eq!(said.document["explained"], json!([]));
    let said = explain_when(&json!("true"), &update, &["--route", "oepn"]);
    assert_eq!(said.code, 2);
    assert!(said.text.contains("no route `oepn`"), "{}", said.text);
}
