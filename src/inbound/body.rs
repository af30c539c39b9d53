//! Decodes a delivery's body, by its content type, into a document for the mapping.

use serde_json::{Map, Value};

/// Pairs that a form may have. PHP's default is a tenth of it; no known sender comes near.
const MAX_PAIRS: usize = 10_000;

/// Levels that bracket keys may nest.
const MAX_DEPTH: usize = 16;

/// A body, decoded as far as its content type goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Body<'a> {
    /// UTF-8 text that is said to be JSON, without a byte order mark. Not parsed yet, so that no number has gone
    /// through a float.
    Json(&'a [u8]),
    /// A tree made from a form, or the empty object for an empty body.
    Tree(Value),
}

/// Why a body cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The content type is none that we read.
    #[error(
        "content type `{0}` is not supported; supported: application/json (and other types that end in +json), \
         application/x-www-form-urlencoded"
    )]
    Unsupported(String),
    /// There is no content type, and the body does not look like JSON.
    #[error("no content type is given, and the body does not look like JSON")]
    Untyped,
    /// The text is in another charset.
    #[error("charset `{0}` is not supported; send UTF-8")]
    Charset(String),
    /// The text is not UTF-8.
    #[error("the body is not UTF-8 text")]
    NotUtf8,
    /// The form has too many pairs.
    #[error("the form has more than {MAX_PAIRS} fields")]
    TooManyPairs,
    /// The form's bracket keys nest too deeply.
    #[error("a form key nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// One form key is used both for a value and for a group of values.
    #[error("form key `{0}` is used both as a field and as a group of fields")]
    Conflict(String),
}

/// Decodes `body` as its `content_type` says. An empty body is the empty object, whatever its type.
///
/// Form fields become strings under their keys; a repeated key, and a key that ends in `[]`, becomes a list; brackets
/// make nested objects: `data[merges][FNAME]` (Mailchimp, PHP, Rails). A number in brackets is a key like any other.
///
/// # Errors
/// What is not supported, or what is wrong with the form.
pub fn decode<'a>(content_type: Option<&str>, body: &'a [u8]) -> Result<Body<'a>, BodyError> {
    if body.is_empty() {
        return Ok(Body::Tree(Value::Object(Map::new())));
    }
    let declared = content_type.map(str::trim).filter(|text| !text.is_empty());
    let (essence, charset) = declared.map_or((String::new(), None), split_type);
    let looks_like_json = || {
        let text = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
        matches!(text.trim_ascii_start().first(), Some(b'{' | b'['))
    };
    let form = essence == "application/x-www-form-urlencoded";
    let json = matches!(essence.as_str(), "application/json" | "text/json")
        || essence.ends_with("+json")
        || (matches!(essence.as_str(), "" | "text/plain") && looks_like_json());
    if !form && !json {
        return Err(if essence.is_empty() {
            BodyError::Untyped
        } else {
            BodyError::Unsupported(clip(&essence))
        });
    }
    match charset {
        Some(name) if !matches!(name.as_str(), "utf-8" | "utf8" | "us-ascii") => {
            return Err(BodyError::Charset(clip(&name)));
        }
        _ => {}
    }
    let text = std::str::from_utf8(body).map_err(|_| BodyError::NotUtf8)?;
    if form {
        return decode_form(text).map(Body::Tree);
    }
    Ok(Body::Json(
        body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body),
    ))
}

/// Some .NET senders put it before their JSON, where it does not belong (RFC 8259 section 8.1).
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The lower-case type, and the charset if one is named.
fn split_type(text: &str) -> (String, Option<String>) {
    let mut parts = text.split(';');
    let essence = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let charset = parts
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .map(|(_, value)| value.trim().trim_matches('"').to_ascii_lowercase());
    (essence, charset)
}

fn decode_form(text: &str) -> Result<Value, BodyError> {
    let mut root = Map::new();
    // A trailing line end is no part of the last field: hand-made requests often have one.
    let text = text.trim_end_matches(['\r', '\n']);
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    for (count, pair) in pairs.enumerate() {
        if count == MAX_PAIRS {
            return Err(BodyError::TooManyPairs);
        }
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (unescape(key)?, unescape(value)?);
        let (name, brackets) = split_key(&key)?;
        let conflict = || BodyError::Conflict(clip(&key));
        insert(&mut root, name, &brackets, value).ok_or_else(conflict)?;
    }
    Ok(Value::Object(root))
}

/// Undoes the URL encoding of a form (URL Standard, section 5.1), except that bytes which are not UTF-8 are an error
/// and not a replacement character.
fn unescape(text: &str) -> Result<String, BodyError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        let byte = match (first, after) {
            (b'+', _) => b' ',
            (b'%', [high, low, behind @ ..]) => match (hex_digit(*high), hex_digit(*low)) {
                (Some(high), Some(low)) => {
                    rest = behind;
                    high << 4 | low
                }
                _ => b'%',
            },
            _ => *first,
        };
        bytes.push(byte);
    }
    String::from_utf8(bytes).map_err(|_| BodyError::NotUtf8)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

/// `a[b][]` is the name `a` and the brackets `b` and ``. A key whose brackets do not pair up is a plain name.
fn split_key(key: &str) -> Result<(&str, Vec<&str>), BodyError> {
    let plain = Ok((key, Vec::new()));
    let Some((name, mut rest)) = key.split_once('[').filter(|(name, _)| !name.is_empty()) else {
        return plain;
    };
    let mut brackets = Vec::new();
    loop {
        let Some((inner, after)) = rest.split_once(']') else {
            return plain;
        };
        if inner.contains('[') {
            return plain;
        }
        brackets.push(inner);
        if brackets.len() >= MAX_DEPTH {
            return Err(BodyError::TooDeep);
        }
        match after.strip_prefix('[') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok((name, brackets)),
            None => return plain,
        }
    }
}

/// `None` if a value and a group of values meet under one key.
fn insert(
    object: &mut Map<String, Value>,
    name: &str,
    brackets: &[&str],
    value: String,
) -> Option<()> {
    let slot = object.get_mut(name);
    match (brackets, slot) {
        ([], None) => {
            object.insert(name.to_owned(), Value::String(value));
        }
        ([], Some(Value::Object(_))) => return None,
        ([], Some(Value::Array(list))) => list.push(Value::String(value)),
        ([], Some(single)) => {
            let first = single.take();
            *single = Value::Array(vec![first, Value::String(value)]);
        }
        (["", inner @ ..], None) => {
            let item = list_item(inner, value)?;
            object.insert(name.to_owned(), Value::Array(vec![item]));
        }
        (["", ..], Some(Value::Object(_))) => return None,
        (["", inner @ ..], Some(Value::Array(list))) => list.push(list_item(inner, value)?),
        (["", inner @ ..], Some(single)) => {
            let item = list_item(inner, value)?;
            let first = single.take();
            *single = Value::Array(vec![first, item]);
        }
        ([key, inner @ ..], None) => {
            let mut group = Map::new();
            insert(&mut group, key, inner, value)?;
            object.insert(name.to_owned(), Value::Object(group));
        }
        ([key, inner @ ..], Some(Value::Object(group))) => insert(group, key, inner, value)?,
        ([_, ..], Some(_)) => return None,
    }
    Some(())
}

/// What one `[]` adds to a list: the value, or a group of its own.
fn list_item(brackets: &[&str], value: String) -> Option<Value> {
    match brackets {
        [] => Some(Value::String(value)),
        ["", inner @ ..] => Some(Value::Array(vec![list_item(inner, value)?])),
        [key, inner @ ..] => {
            let mut group = Map::new();
            insert(&mut group, key, inner, value)?;
            Some(Value::Object(group))
        }
    }
}

/// The start of what a stranger wrote, short enough for a message.
fn clip(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn form(text: &str) -> Result<Value, BodyError> {
        match decode(Some("application/x-www-form-urlencoded"), text.as_bytes())? {
            Body::Tree(tree) => Ok(tree),
            Body::Json(_) => panic!("not a form"),
        }
    }

    #[test]
    fn json_comes_under_many_names() {
        let body = b" {\"a\":1}";
        for content_type in [
            None,
            Some(""),
            Some("application/json"),
            Some("Application/JSON; Charset=\"UTF-8\""),
            Some("application/vnd.api+json"),
            Some("application/cloudevents+json; charset=utf-8"),
            Some("text/json"),
            Some("text/plain; charset=UTF-8"),
        ] {
            assert_eq!(
                decode(content_type, body),
                Ok(Body::Json(body)),
                "{content_type:?}"
            );
        }
        assert_eq!(decode(None, b"\xEF\xBB\xBF[]"), Ok(Body::Json(b"[]")));
        for content_type in [None, Some("text/xml"), Some("application/json")] {
            assert_eq!(decode(content_type, b""), Ok(Body::Tree(json!({}))));
        }
    }

    #[test]
    fn what_is_not_supported_is_said() {
        let error = |content_type, body: &[u8]| {
            decode(content_type, body).expect_err("refused").to_string()
        };
        insta::assert_snapshot!(error(Some("text/xml"), b"<a/>"), @"content type `text/xml` is not supported; supported: application/json (and other types that end in +json), application/x-www-form-urlencoded");
        insta::assert_snapshot!(error(Some("text/plain"), b"hello"), @"content type `text/plain` is not supported; supported: application/json (and other types that end in +json), application/x-www-form-urlencoded");
        insta::assert_snapshot!(error(None, b"a=b"), @"no content type is given, and the body does not look like JSON");
        insta::assert_snapshot!(error(Some("application/json; charset=iso-8859-1"), b"{}"), @"charset `iso-8859-1` is not supported; send UTF-8");
        insta::assert_snapshot!(error(Some("application/json"), b"{\"\xFF\"}"), @"the body is not UTF-8 text");
        insta::assert_snapshot!(error(Some("application/x-www-form-urlencoded"), b"a=%FF"), @"the body is not UTF-8 text");
        insta::assert_snapshot!(error(Some("application/x-www-form-urlencoded"), b"a=1&a[b]=2"), @"form key `a[b]` is used both as a field and as a group of fields");
        assert_eq!(form("a[b]=2&a=1"), Err(BodyError::Conflict("a".to_owned())));
    }

    #[test]
    fn forms_become_trees() {
        assert_eq!(
            form(
                "type=subscribe&data[merges][FNAME]=Ann+Lee&data%5Bmerges%5D%5BLNAME%5D=%C3%84&data[id]=7&none&=x\r\n"
            ),
            Ok(json!({
                "type": "subscribe",
                "data": {"merges": {"FNAME": "Ann Lee", "LNAME": "Ä"}, "id": "7"},
                "none": "",
                "": "x",
            }))
        );
        assert_eq!(
            form("a=1&a=2&a=3&b[]=1&c=1&c[]=2&d[][x]=1&d[][x]=2&e[0][id]=5&f[g][]=1&f[g][]=2"),
            Ok(json!({
                "a": ["1", "2", "3"], "b": ["1"], "c": ["1", "2"], "d": [{"x": "1"}, {"x": "2"}],
                "e": {"0": {"id": "5"}}, "f": {"g": ["1", "2"]},
            }))
        );
        assert_eq!(
            form("a[=1&b]=2&c[x]y=3&[d]=4&e[[f]]=5&100%=6"),
            Ok(json!({"a[": "1", "b]": "2", "c[x]y": "3", "[d]": "4", "e[[f]]": "5", "100%": "6"}))
        );
        assert_eq!(
            form("payload=%7B%22a%22%3A1%7D"),
            Ok(json!({"payload": "{\"a\":1}"}))
        );
    }

    #[test]
    fn forms_are_bounded() {
        let pairs = |count: usize| "a&".repeat(count);
        assert!(form(&pairs(MAX_PAIRS)).is_ok());
        assert_eq!(form(&pairs(MAX_PAIRS + 1)), Err(BodyError::TooManyPairs));
        assert!(form(&format!("a{}=1", "[b]".repeat(MAX_DEPTH - 1))).is_ok());
        assert_eq!(
            form(&format!("a{}=1", "[b]".repeat(100_000))),
            Err(BodyError::TooDeep)
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(body: Vec<u8>, content_type: Option<String>) {
            let _ = decode(content_type.as_deref(), &body);
            let _ = decode(Some("application/x-www-form-urlencoded"), &body);
        }

        #[test]
        fn any_form_is_answered(text in "([ab]|\\[|\\]|=|&|%|\\+|4|1){0,60}") {
            let _ = form(&text);
        }

        #[test]
        fn fields_come_back_as_they_were(fields in prop::collection::btree_map("[^\\[\\]]{1,20}", ".{0,40}", 1..10)) {
            let text: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
            let expected: Map<String, Value> = fields.into_iter().map(|(key, value)| (key, Value::String(value))).collect();
            prop_assert_eq!(form(&text), Ok(Value::Object(expected)));
        }
    }
}
