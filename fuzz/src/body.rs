//! Target of the body decoders: JSON, form, multipart, XML, content encodings and charsets.
//!
//! The input is a line with the content type, a line with the content encoding, and the body.

use std::sync::LazyLock;

use masshook::mapping::{self, Document, EvalError, Limits, MappingInput, Program};
use serde_json::Value;
use webhook_verify::body::{Body, unpack};

/// Maximum body size in bytes; small, so that excessive growth is detected.
const LIMIT: usize = 64 << 10;

/// How much longer the JSON text of a decoded tree may be than the body: JSON escapes a control character of one byte with
/// six, and some characters of windows-1252 take three bytes in UTF-8.
const GROWTH: usize = 6;

/// The jq program that returns the body unchanged.
static IDENTITY: LazyLock<Program> = LazyLock::new(|| mapping::program("."));

/// Decodes the body, and asserts that the result is within the limits of size and depth and that a mapping can read it.
pub fn run(data: &[u8]) {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let mut line = || lines.next().and_then(|line| std::str::from_utf8(line).ok());
    let (Some(content_type), Some(encoding)) = (line(), line()) else {
        return;
    };
    let body = lines.next().unwrap_or_default();
    let content_type = Some(content_type).filter(|text| !text.is_empty());
    let encoding = Some(encoding).filter(|text| !text.is_empty());
    let unpacked = match unpack(content_type, encoding, body, LIMIT) {
        Ok(unpacked) => unpacked,
        Err(error) => return assert!(error.to_string().len() < 600, "{error}"),
    };
    assert!(unpacked.bytes.len() <= LIMIT);
    match unpacked.decode() {
        Err(error) => assert!(error.to_string().len() < 600, "{error}"),
        Ok(Body::Json(text)) => {
            assert!(!text.starts_with(b"\xEF\xBB\xBF") && std::str::from_utf8(text).is_ok());
            if let Ok(document) = Document::from_json(text) {
                assert_mappable(&document, None);
            }
        }
        Ok(Body::Tree(tree)) => {
            assert!(tree.is_object());
            let document = Document::from_value(&tree);
            let longest = unpacked.bytes.len() * GROWTH * 3 + 200_000;
            assert!(
                document.text().len() <= longest,
                "{}",
                document.text().len()
            );
            assert_mappable(&document, Some(&tree));
        }
    }
}

/// Asserts that a mapping can read an accepted document and return it unchanged.
fn assert_mappable(document: &Document, tree: Option<&Value>) {
    let (headers, query) = Default::default();
    let input = MappingInput {
        body: document,
        headers: &headers,
        query: &query,
        route: "fuzz",
        received_at: jiff::Timestamp::UNIX_EPOCH,
        raw: Some(document.text()),
        trigger: &query,
        cloud_event: None,
    };
    let limits = Limits {
        time: std::time::Duration::from_secs(20),
        ..Limits::default()
    };
    match input.run_blocking(&IDENTITY, &limits) {
        Ok(outputs) => {
            assert_eq!(outputs.len(), 1);
            assert!(
                tree.is_none_or(|tree| *tree == outputs[0]),
                "{}",
                outputs[0]
            );
        }
        // Some numbers cannot be represented exactly.
        Err(EvalError::InexactNumber { .. }) => assert!(tree.is_none()),
        Err(EvalError::InputTooLarge { .. }) => assert!(document.text().len() > limits.input_bytes),
        Err(error) => panic!("{error}: {}", document.text()),
    }
}
