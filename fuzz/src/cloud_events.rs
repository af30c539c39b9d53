//! Target of the reader of CloudEvents, in both modes.
//!
//! The input is lines with headers, an empty line, and the body.

use http::{HeaderMap, HeaderName, HeaderValue};
use masshook::inbound::cloud_events::{
    Attributes, CloudEventError, ContentMode, EventData, StructuredEvent,
};

/// Reads the event, and asserts that what is accepted has the required attributes, with names that jq programs can use, and that
/// errors are short.
pub fn run(data: &[u8]) {
    const EMPTY_LINE: &[u8] = b"\n\n";
    let at = data
        .windows(EMPTY_LINE.len())
        .position(|window| window == EMPTY_LINE);
    let (head, body) = match at {
        Some(at) => (&data[..at], &data[at + EMPTY_LINE.len()..]),
        None => (data, &[][..]),
    };
    let headers = headers(head);
    match ContentMode::of(&headers) {
        Ok(ContentMode::Binary) => assert_read(Attributes::of_headers(&headers)),
        Ok(ContentMode::Structured) => assert_structured(body),
        Err(error) => assert_short(&error),
    }
    // A message of a queue has no headers.
    assert_structured(body);
}

fn headers(head: &[u8]) -> HeaderMap {
    let lines = head.split(|byte| *byte == b'\n');
    let pairs = lines.filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        let value = line[colon + 1..].trim_ascii();
        Some((name, HeaderValue::from_bytes(value).ok()?))
    });
    let mut headers = HeaderMap::new();
    for (name, value) in pairs.take(100) {
        headers.append(name, value);
    }
    headers
}

fn assert_structured(body: &[u8]) {
    match StructuredEvent::read(body) {
        Ok(event) => {
            if let EventData::Bytes(bytes) = &event.data {
                assert!(bytes.len() <= body.len());
            }
            assert_read(Ok(event.attributes));
        }
        Err(error) => assert_short(&error),
    }
}

fn assert_read(read: Result<Attributes, CloudEventError>) {
    match read {
        Ok(attributes) => {
            for name in ["id", "source", "type", "specversion"] {
                assert!(!attributes.as_map()[name].is_empty(), "{name}");
            }
            let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            for (name, value) in attributes.as_map() {
                assert!(name.bytes().all(is_plain), "{name}");
                assert!(!value.contains(char::is_control), "{name}");
            }
            let id = attributes.delivery_id();
            assert!(
                id.split_once(' ')
                    .is_some_and(|(source, _)| source == attributes.as_map()["source"])
            );
        }
        Err(error) => assert_short(&error),
    }
}

fn assert_short(error: &CloudEventError) {
    assert!(error.to_string().len() < 1_000, "{error}");
}
