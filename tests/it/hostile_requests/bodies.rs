//! Malformed bodies.

use super::*;

/// Compresses 1,500 MiB into a body that is small enough to be accepted.
fn bomb() -> Vec<u8> {
    gzipped(&vec![b' '; 1 << 20]).repeat(1_500)
}

fn nested(open: &str, close: &str, levels: usize) -> String {
    format!("{}{}", open.repeat(levels), close.repeat(levels))
}

/// Each malformed body, the status and code of its rejection, and a part of the reason.
fn bodies() -> Vec<(&'static str, Request, (u16, &'static str), &'static str)> {
    let unreadable = (422, "body_not_readable");
    let too_large = (413, "body_too_large");
    let part = "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n";
    let xml = "application/xml";
    let form = "application/x-www-form-urlencoded";
    let multipart = "multipart/form-data; boundary=X";
    let charset = "application/json; charset=utf-7";
    vec![
        (
            "an unknown charset",
            typed(charset, "{}"),
            unreadable,
            "charset `utf-7`",
        ),
        (
            "bytes of another charset",
            json_body(b"{\"n\":\"Jos\xE9\"}"),
            unreadable,
            "not UTF-8",
        ),
        (
            "a form in another charset",
            typed(form, "n=Jos%E9"),
            unreadable,
            "not UTF-8",
        ),
        (
            "a zip bomb",
            json_body(bomb()).with("content-encoding", "gzip"),
            too_large,
            "decoded body",
        ),
        (
            "a cut off gzip",
            json_body(&gzipped(b"{\"a\":1}")[..12]).with("content-encoding", "gzip"),
            unreadable,
            "incomplete",
        ),
        (
            "gzip in gzip",
            json_body(gzipped(&gzipped(b"{}"))).with("content-encoding", "gzip, gzip"),
            unreadable,
            "content encoding",
        ),
        (
            "brotli",
            json_body("x").with("content-encoding", "br"),
            unreadable,
            "content encoding `br`",
        ),
        (
            "101 levels",
            json_body(nested("[", "]", 101)),
            unreadable,
            "nested more than 100 levels",
        ),
        (
            "a million levels",
            json_body("[".repeat(1_000_000)),
            unreadable,
            "nested more than 100 levels",
        ),
        (
            "300,000 levels of objects",
            json_body("{\"a\":".repeat(300_000)),
            unreadable,
            "nested more than 100 levels",
        ),
        (
            "65 elements in each other",
            typed(xml, nested("<a>", "</a>", 65)),
            unreadable,
            "nests deeper",
        ),
        (
            "500,000 elements in each other",
            typed(xml, "<a>".repeat(500_000)),
            unreadable,
            "nests deeper",
        ),
        (
            "brackets in brackets",
            typed(form, format!("a{}=1", "[b]".repeat(17))),
            unreadable,
            "nests deeper than 16",
        ),
        (
            "a key twice",
            json_body(r#"{"ids":["1"],"ids":["2"]}"#),
            unreadable,
            "`ids` stands twice",
        ),
        (
            "a key twice, escaped",
            json_body(r#"{"a":{"b":1,"\u0062":2}}"#),
            unreadable,
            "`b` stands twice",
        ),
        (
            "a field that is a group too",
            typed(form, "a=1&a[b]=2"),
            unreadable,
            "both as a field and as a group",
        ),
        (
            "a million fields",
            typed(form, "k&".repeat(1_000_000)),
            unreadable,
            "more than 10000 fields",
        ),
        (
            "a million keys",
            typed(
                form,
                (0..200_000).map(|n| format!("k{n}=&")).collect::<String>(),
            ),
            unreadable,
            "more than 10000 fields",
        ),
        (
            "1,001 parts",
            typed(multipart, format!("{}--X--\r\n", part.repeat(1_001))),
            unreadable,
            "more than 1000 parts",
        ),
        (
            "a part without an end",
            typed(multipart, part),
            unreadable,
            "multipart",
        ),
        (
            "a form without a boundary",
            typed("multipart/form-data", part),
            unreadable,
            "multipart",
        ),
        (
            "entities that grow",
            typed(xml, "<!DOCTYPE a [<!ENTITY b \"&c;&c;\">]><a>&b;</a>"),
            unreadable,
            "document type",
        ),
        (
            "50,001 elements",
            typed(xml, format!("<a>{}</a>", "<b/>".repeat(50_001))),
            unreadable,
            "too many elements",
        ),
        (
            "NaN",
            json_body(r#"{"amount":NaN}"#),
            unreadable,
            "not a JSON document",
        ),
        (
            "Infinity",
            json_body(r#"{"amount":-Infinity}"#),
            unreadable,
            "not a JSON document",
        ),
        (
            "a number beyond all floats",
            json_body(r#"{"amount":1e999}"#),
            unreadable,
            "not a JSON document",
        ),
        (
            "a hexadecimal number",
            json_body(r#"{"amount":0x10}"#),
            unreadable,
            "not a JSON document",
        ),
        (
            "a number with a leading zero",
            json_body(r#"{"amount":010}"#),
            unreadable,
            "not a JSON document",
        ),
        (
            "a number of a million digits",
            json_body(format!("[{}]", "9".repeat(1_000_000))),
            unreadable,
            "number out of range",
        ),
        (
            "a number of a thousand decimals",
            json_body(format!("[0.{}]", "1".repeat(1_000))),
            unreadable,
            "more than 400 digits",
        ),
        (
            "a null byte",
            json_body(b"{\"a\":\"x\0y\"}"),
            unreadable,
            "not a JSON document",
        ),
        (
            "null bytes and nothing else",
            json_body(vec![0; 1_000]),
            unreadable,
            "not a JSON document",
        ),
        (
            "half characters that make two keys equal",
            json_body(r#"{"\ud800":1,"\udbff":2}"#),
            unreadable,
            "stands twice",
        ),
        (
            "half a character outside a string",
            json_body(r#"{"a":\ud800}"#),
            unreadable,
            "not a JSON document",
        ),
        (
            "a type that is not read",
            typed("application/octet-stream", "x"),
            unreadable,
            "is not supported",
        ),
        (
            "more than is taken in",
            json_body(vec![b' '; MAX_BODY + 1]),
            too_large,
            "larger than",
        ),
    ]
}

#[tokio::test]
async fn malformed_bodies_are_rejected_with_reason() {
    let both = start_both().await;
    for (name, request, (status, code), reason) in bodies() {
        for answer in both.send(&request).await {
            assert_eq!(
                (answer.status, answer.problem_code()),
                (status, code),
                "{name}"
            );
            let detail = answer.body["detail"].to_string();
            assert!(detail.contains(reason), "{name}: {detail}");
            assert!(
                answer.text.len() < 2_000,
                "{name}: nothing long is repeated"
            );
        }
        both.assert_healthy(name).await;
    }
    assert!(
        both.peak_memory_kib() < PEAK_KIB,
        "{} KiB",
        both.peak_memory_kib()
    );
    let log = both.served.log();
    assert!(!log.contains("panicked"), "{log}");
    assert!(!both.function.logs().contains("panicked"));
}
