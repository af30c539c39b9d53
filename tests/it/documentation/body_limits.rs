//! The numbers that docs/mapping.md promises for bodies, compared with the decoder.

use serde_json::Value;
use webhook_verify::body::{Body, decode};

use super::text;

/// The number before `unit` in the page's row for bodies of a kind.
fn promised(kind: &str, unit: &str) -> usize {
    let page = text("docs/mapping.md");
    let start = format!("| {kind} | ");
    let row = page.lines().find(|line| line.starts_with(&start));
    let row = row.unwrap_or_else(|| panic!("no row {kind}"));
    let number_before = |(at, _): (usize, &str)| {
        let number = row[..at].split_whitespace().last()?;
        let number = number.trim_start_matches('(').replace(',', "");
        number.parse().ok()
    };
    let mut found = row.match_indices(unit).filter_map(number_before);
    found
        .next()
        .unwrap_or_else(|| panic!("{kind}: no number of{unit}"))
}

fn is_accepted(content_type: &str, body: &str) -> bool {
    match decode(Some(content_type), body.as_bytes()) {
        Ok(Body::Json(text)) => masshook::mapping::Document::from_json(text).is_ok(),
        Ok(Body::Tree(tree)) => tree != Value::Null,
        Err(_) => false,
    }
}

fn nested(open: &str, close: &str, levels: usize) -> String {
    format!("{}{}", open.repeat(levels), close.repeat(levels))
}

#[test]
fn promised_body_limits_are_exact() {
    type Make = fn(usize) -> String;
    const FORM: &str = "application/x-www-form-urlencoded";
    let cases: [(&str, &str, &str, Make); 8] = [
        ("JSON", " levels", "application/json", |count| {
            nested("[", "]", count)
        }),
        ("form", " levels", FORM, |count| {
            format!("a{}=1", "[b]".repeat(count - 1))
        }),
        ("form", " fields", FORM, |count| "a=1&".repeat(count)),
        (
            "multipart",
            " parts",
            "multipart/form-data; boundary=X",
            |count| {
                let part = "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n";
                format!("{}--X--\r\n", part.repeat(count))
            },
        ),
        ("XML", " levels", "text/xml", |count| {
            nested("<a>", "</a>", count)
        }),
        ("XML", " elements and attributes", "text/xml", |count| {
            format!("<a>{}</a>", "<b/>".repeat(count - 1))
        }),
        ("XML", " elements and attributes", "text/xml", |count| {
            let attributes: String = (1..count).map(|index| format!(" a{index}='1'")).collect();
            format!("<a{attributes}/>")
        }),
        ("XML", " elements and attributes", "text/xml", |count| {
            format!(
                "<a>{}</a>",
                "<b c='1'/>".repeat((count - 1) / 2) + &"<d/>".repeat((count - 1) % 2)
            )
        }),
    ];
    for (kind, unit, content_type, body) in cases {
        let limit = promised(kind, unit);
        assert!(
            is_accepted(content_type, &body(limit)),
            "{kind}: {limit}{unit}"
        );
        assert!(
            !is_accepted(content_type, &body(limit + 1)),
            "{kind}: more than {limit}{unit}"
        );
    }
}
