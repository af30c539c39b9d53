//! Body decoders: JSON, form, multipart, XML, content encodings, charsets. Content type, content encoding and the body,
//! the first two a line each.

use std::sync::LazyLock;

use masshook::mapping::{self, Document, EvalError, Limits, MappingInput, Program};
use serde_json::Value;
use webhook_verify::body::{Body, unpack};

/// Bytes that a body may have here: few, so that what grows shows.
const LIMIT: usize = 64 << 10;

/// How much longer a tree's text may be than the body: a control character of one byte is written with six, and
/// windows-1252 has letters that take three bytes.
const GROWTH: usize = 6;

/// Passes a body on as it is.
static AS_IT_IS: LazyLock<Program> = LazyLock::new(|| mapping::program("."));

/// Decodes the body, and asserts that nothing is larger or deeper than it may be, and that a mapping can read it.
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
                passes(&document, None);
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
            passes(&document, Some(&tree));
        }
    }
}

/// A document that was let in is one that a mapping can read, and passes on as it is.
fn passes(document: &Document, tree: Option<&Value>) {
    let (headers, query) = Default::default();
    let input = MappingInput {
        body: document,
        headers: &headers,
        query: &query,
        route: "fuzz",
        received_at: jiff::Timestamp::UNIX_EPOCH,
        raw: Some(document.text()),
        trigger: &query,
    };
    let limits = Limits {
        time: std::time::Duration::from_secs(20),
        ..Limits::default()
    };
    match input.run_blocking(&AS_IT_IS, &limits) {
        Ok(outputs) => {
            assert_eq!(outputs.len(), 1);
            assert!(
                tree.is_none_or(|tree| *tree == outputs[0]),
                "{}",
                outputs[0]
            );
        }
        // Numbers of a sender's own choice may be beyond what can be passed on exactly.
        Err(EvalError::InexactNumber { .. }) => assert!(tree.is_none()),
        Err(EvalError::InputTooLarge { .. }) => assert!(document.text().len() > limits.input_bytes),
        Err(error) => panic!("{error}: {}", document.text()),
    }
}
