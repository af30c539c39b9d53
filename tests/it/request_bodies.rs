//! The mapping input for each kind of body, in the server and in the Lambda program.

use serde_json::{Value, json};
use zoho_simulator::Settings;

use crate::harness::{Request, ServerAndLambda, SimulatedZoho, gzipped};

/// Routes that copy their mapping input into the `reference` of their jobs.
const ROUTES: &str = r#"
  seen:
    verify: { scheme: none }
    map: '{module: "Leads", fields: {Rating: "Active"}, ids: [$LEAD], reference: .}'
  inner:
    verify: { scheme: none }
    map: '{module: "Leads", fields: {Rating: "Active"}, ids: [$LEAD], reference: (.rawRequest | fromjson | .q3_email)}'
  around:
    verify: { scheme: none }
    map: '{module: "Leads", fields: {Rating: "Active"}, ids: [$LEAD], reference: {body: .id, header: $headers["x-kind"], query: $query, route: $route, raw: $raw, at: ($received_at | fromdate > 1700000000), trigger: $trigger.type}}'
"#;

async fn start_both() -> ServerAndLambda {
    let lead = SimulatedZoho::start(Settings::default()).await.lead(0);
    let routes = ROUTES.replace("$LEAD", &format!("{lead:?}"));
    ServerAndLambda::start(routes.trim_start_matches('\n')).await
}

fn to(route: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Request {
    let request = Request::post(&format!("/hooks/{route}"), body);
    match content_type {
        "" => request,
        _ => request.with("content-type", content_type),
    }
}

fn nested(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

/// Each request, and the expected value of `.`.
fn cases() -> Vec<(&'static str, Request, Value)> {
    let form = "application/x-www-form-urlencoded";
    let multipart = concat!(
        "--X\r\nContent-Disposition: form-data; name=\"a[b]\"\r\n\r\n1\r\n",
        "--X\r\nContent-Disposition: form-data; name=\"cv\"; filename=\"cv.pdf\"\r\nContent-Type: application/pdf\r\n\r\n%PDF\r\n--X--\r\n",
    );
    let xml = "<?xml version='1.0' encoding='ISO-8859-1'?><lead id='7'><name>Jos\u{e9}</name><tag>a</tag><tag>b</tag> note <empty/></lead>";
    let latin: Vec<u8> = xml
        .chars()
        .map(|dead_letter| u8::try_from(u32::from(dead_letter)).expect("latin"))
        .collect();
    let deep: Value = serde_json::from_str(&nested(100)).expect("JSON");
    vec![
        (
            "JSON",
            to(
                "seen",
                "application/json",
                r#"{"id":"1","n":[1,null,true]}"#,
            ),
            json!({"id": "1", "n": [1, null, true]}),
        ),
        (
            "JSON with halves of characters",
            to(
                "seen",
                "application/json",
                r#"{"cut":"Example \ud83d","\udc00":[{"x":"\ude00\ud83d"}],"whole":"\ud83d\ude00","text":"\\ud83d"}"#,
            ),
            json!({"cut": "Example \u{fffd}", "\u{fffd}": [{"x": "\u{fffd}\u{fffd}"}], "whole": "\u{1f600}", "text": "\\ud83d"}),
        ),
        (
            "half a character in JSON in a form",
            to(
                "inner",
                form,
                "rawRequest=%7B%22q3_email%22%3A%22a%5Cud83d%22%7D",
            ),
            json!("a\u{fffd}"),
        ),
        (
            "JSON of a vendor",
            to(
                "seen",
                "application/vnd.acme.v2+json; charset=utf-8",
                r#"{"id":"1"}"#,
            ),
            json!({"id": "1"}),
        ),
        (
            "JSON said to be text",
            to("seen", "text/plain; charset=UTF-8", r#" {"id":"1"}"#),
            json!({"id": "1"}),
        ),
        (
            "JSON said to be nothing",
            to("seen", "", r#"[{"id":"1"}]"#),
            json!([{"id": "1"}]),
        ),
        (
            "JSON with a mark before it",
            to("seen", "application/json", "\u{feff}{\"id\":\"1\"}"),
            json!({"id": "1"}),
        ),
        (
            "JSON in Latin-1",
            to(
                "seen",
                "application/json; charset=iso-8859-1",
                b"{\"n\":\"Jos\xE9\"}",
            ),
            json!({"n": "José"}),
        ),
        (
            "100 levels of JSON",
            to("seen", "application/json", nested(100)),
            deep,
        ),
        ("nothing", to("seen", "application/json", ""), json!({})),
        (
            "a form",
            to(
                "seen",
                form,
                "type=subscribe&data%5Bmerges%5D%5BFNAME%5D=Ada+L&t[]=1&t[]=2&x=1&x=2&e=",
            ),
            json!({"type": "subscribe", "data": {"merges": {"FNAME": "Ada L"}}, "t": ["1", "2"], "x": ["1", "2"], "e": ""}),
        ),
        (
            "a form in Windows-1252",
            to(
                "seen",
                "application/x-www-form-urlencoded; charset=windows-1252",
                "n=Jos%E9+%80",
            ),
            json!({"n": "José €"}),
        ),
        (
            "a form with a file",
            to("seen", "multipart/form-data; boundary=X", multipart),
            json!({"a": {"b": "1"}, "$files": [{"name": "cv", "filename": "cv.pdf", "content_type": "application/pdf", "bytes": 4}]}),
        ),
        (
            "XML",
            to("seen", "text/xml", latin),
            json!({"lead": {"@id": "7", "name": "José", "tag": ["a", "b"], "empty": "", "#text": "note"}}),
        ),
        (
            "gzip",
            to("seen", "application/json", gzipped(b"{\"id\":\"1\"}"))
                .with("content-encoding", "gzip"),
            json!({"id": "1"}),
        ),
        (
            "a form in gzip",
            to("seen", form, gzipped(b"a[b]=1")).with("content-encoding", "x-gzip"),
            json!({"a": {"b": "1"}}),
        ),
        (
            "JSON in a field",
            to(
                "inner",
                "multipart/form-data; boundary=X",
                "--X\r\nContent-Disposition: form-data; name=\"rawRequest\"\r\n\r\n{\"q3_email\":\"ada@example.com\"}\r\n--X--\r\n",
            ),
            json!("ada@example.com"),
        ),
        (
            "what is around",
            to("around", "application/json", gzipped(b" {\"id\":\"1\"}"))
                .with("content-encoding", "gzip")
                .with("X-Kind", "paid"),
            json!({"body": "1", "header": "paid", "query": {}, "route": "around", "raw": " {\"id\":\"1\"}", "at": true, "trigger": "http"}),
        ),
        (
            "a query",
            Request::json("/hooks/around?a=1&b=%C3%A9+x&a=2", "{}"),
            json!({"body": null, "header": null, "query": {"a": "2", "b": "é x"}, "route": "around", "raw": "{}", "at": true, "trigger": "http"}),
        ),
    ]
}

#[tokio::test]
async fn bodies_decode_alike_in_server_and_lambda() {
    let both = start_both().await;
    for (name, request, expected) in cases() {
        for (door, seen) in ["server", "function"]
            .iter()
            .zip(both.references(&request).await)
        {
            assert_eq!(seen, expected, "{name}, {door}");
        }
    }
}

/// The limit applies before and after decoding. A body of exactly this size is accepted.
#[tokio::test]
async fn body_limit_counts_before_and_after_decoding() {
    let limit = 2_000_000;
    let both = start_both().await;
    let sized = |bytes: usize| format!("[\"{}\"]", "x".repeat(bytes - 4)).into_bytes();
    let plain = |bytes| to("around", "application/json", sized(bytes));
    let packed = |bytes| {
        to("around", "application/json", gzipped(&sized(bytes))).with("content-encoding", "gzip")
    };
    for request in [plain(limit + 1), packed(limit + 1)] {
        for answer in both.send(&request).await {
            assert_eq!(
                (answer.status, answer.problem_code()),
                (413, "body_too_large")
            );
        }
    }
    for request in [plain(limit), packed(limit)] {
        // The body is read; then the mapping fails because a list has no `.id`.
        for answer in both.send(&request).await {
            assert_eq!(
                (answer.status, answer.problem_code()),
                (422, "mapping_failed")
            );
        }
    }
}
