//! Tests of the diagnosis of refused heads.

use proptest::prelude::*;

use super::*;

fn reason(status: &str, lines: &str) -> (u16, &'static str, String) {
    let head = format!("{}\r\n\r\nbody", lines.replace('\n', "\r\n"));
    let rejection = diagnose(head.as_bytes(), status, 1_000).expect("a rejection");
    (
        rejection.status().as_u16(),
        rejection.code(),
        rejection.to_string(),
    )
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn refused_head_is_named_for_what_it_is() {
    let post = "POST /hooks/x HTTP/1.1\nhost: x";
    let many = "\na: b".repeat(101);
    for (status, lines, code, number, text) in [
        (
            "431",
            format!("{post}\ncontent-length: 18446744073709551615"),
            "body_too_large",
            413,
            "1000 bytes",
        ),
        (
            "400",
            format!("{post}\nContent-Length: 18446744073709551616"),
            "body_too_large",
            413,
            "1000 bytes",
        ),
        (
            "400",
            format!("{post}\ncontent-length: 1{}", "0".repeat(500)),
            "body_too_large",
            413,
            "1000",
        ),
        (
            "400",
            format!("{post}\ncontent-length: -1"),
            "body_not_received",
            400,
            "`-1`",
        ),
        (
            "400",
            format!("{post}\ncontent-length: +5"),
            "body_not_received",
            400,
            "`+5`",
        ),
        (
            "400",
            format!("{post}\ncontent-length: 0x10"),
            "body_not_received",
            400,
            "`0x10`",
        ),
        (
            "400",
            format!("{post}\ncontent-length:"),
            "body_not_received",
            400,
            "``",
        ),
        (
            "400",
            format!("{post}\ncontent-length: 5\ncontent-length: 6"),
            "body_not_received",
            400,
            "several",
        ),
        (
            "400",
            format!("{post}\ntransfer-encoding: gzip"),
            "body_not_received",
            400,
            "`gzip`",
        ),
        (
            "400",
            format!("{post}\ntransfer-encoding: chunked, gzip"),
            "body_not_received",
            400,
            "only `chunked`",
        ),
        (
            "400",
            "GET / HTTP/2.0".to_owned(),
            "http_version_not_supported",
            505,
            "HTTP/1.1",
        ),
        (
            "400",
            "GET / HTTP/3".to_owned(),
            "http_version_not_supported",
            505,
            "HTTP/1.1",
        ),
        (
            "400",
            "GET / HTTP/0.9".to_owned(),
            "http_version_not_supported",
            505,
            "HTTP/1.1",
        ),
        (
            "400",
            "hello".to_owned(),
            "body_not_received",
            400,
            "request line",
        ),
        (
            "400",
            format!("{post}\nx a: 1"),
            "body_not_received",
            400,
            "malformed",
        ),
        (
            "431",
            format!("{post}{many}"),
            "too_many_headers",
            431,
            "102 headers",
        ),
        (
            "431",
            format!("{post}\na: {}", "b".repeat(10_000)),
            "too_many_headers",
            431,
            "too long",
        ),
        ("414", "GET /".to_owned(), "url_too_long", 414, "URL"),
    ] {
        let (found_number, found_code, found_text) = reason(status, &lines);
        let name = &lines[..lines.len().min(90)];
        assert_eq!((found_code, found_number), (code, number), "{name}");
        assert!(found_text.contains(text), "{name}: {found_text}");
    }
    assert!(diagnose(b"", "401", 1).is_none());
    assert!(is_http2(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    assert!(!is_http2(b"PRI * HTTP/2.0"));
}

proptest! {
    #[test]
    fn every_head_has_a_diagnosis(head: Vec<u8>) {
        for status in ["400", "414", "431"] {
            let rejection = diagnose(&head, status, 1_000).expect("a rejection");
            prop_assert!(rejection.status().is_client_error() || rejection.status() == 505);
        }
    }
}
