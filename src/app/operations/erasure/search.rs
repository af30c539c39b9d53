//! Searches jobs, deliveries and entries of the log for a value.

use icu_normalizer::ComposingNormalizerBorrowed;
use serde_json::Value;

use crate::job::Job;
use crate::job::view::JobView;
use crate::outcome::NewRecordOutcome;
use crate::store::delivery::StoredDelivery;
use crate::store::delivery_log::LogEntry;

/// Parts of an update request that name masshook's or Zoho's own things.
const OWN_PARTS: [&str; 7] = [
    "module",
    "update_by",
    "over_write",
    "field",
    "on_many",
    "on_none",
    "include_child",
];

/// Parts of a job's view that contain what senders sent or what Zoho answered about it.
const OUTCOME_PARTS: [&str; 4] = ["message", "value", "notes", "order"];

/// Texts within texts that are read, such as the JSON in a text of a JSON document.
const MAX_DEPTH: usize = 8;

/// Whether the values of a job's request or of its results contain a value.
pub(super) fn job_contains(job: &Job, value: &str) -> bool {
    let view = serde_json::to_value(JobView::in_full(job)).unwrap_or_default();
    request_contains(&job.request.to_json(), value)
        || outcome_contains(&view, value)
        || job.new_records().any(|(new, outcome)| {
            let record = outcome.and_then(NewRecordOutcome::id);
            let record = record.map(|id| id.to_string());
            text_contains(new.as_str(), value)
                || record.is_some_and(|record| text_contains(&record, value))
        })
}

fn request_contains(part: &Value, value: &str) -> bool {
    match part {
        Value::Object(parts) => parts.iter().any(|(name, part)| {
            !OWN_PARTS.contains(&name.as_str()) && request_contains(part, value)
        }),
        Value::Array(parts) => parts.iter().any(|part| request_contains(part, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            json_contains(part, value, 0)
        }
    }
}

fn outcome_contains(part: &Value, value: &str) -> bool {
    match part {
        Value::Object(parts) => parts.iter().any(|(name, part)| {
            let is_outcome =
                OUTCOME_PARTS.contains(&name.as_str()) || name == "error" && part.is_string();
            match is_outcome {
                true => json_contains(part, value, 0),
                false => outcome_contains(part, value),
            }
        }),
        Value::Array(parts) => parts.iter().any(|part| outcome_contains(part, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Whether an entry of the log contains a value that the sender sent: its address, or what an error quotes.
pub(super) fn entry_contains(entry: &LogEntry, value: &str) -> bool {
    let error = entry.error.as_ref();
    let errors = error.map(|error| &error.errors).into_iter().flatten();
    let details = errors.filter_map(|error| error["detail"].as_str());
    let texts = [&entry.sender, &entry.reason].into_iter().flatten();
    let texts = texts.chain(error.map(|error| &error.detail));
    texts.map(String::as_str).chain(details).any(|text| text_contains(text, value))
        // The path of a request to a route that does not exist.
        || key_contains(&entry.route, value)
}

/// Whether a delivery contains a value: in its body, query, headers or origin.
pub(super) fn delivery_contains(delivery: &StoredDelivery, value: &str) -> bool {
    let headers = delivery.headers.values();
    let headers = headers.map(|header| String::from_utf8_lossy(header.as_bytes()).into_owned());
    let query = delivery.query.values().cloned();
    let attributes = delivery.origin.attributes.values().cloned();
    let mut texts = headers.chain(query).chain(attributes);
    body_contains(&String::from_utf8_lossy(&delivery.body), value)
        || texts.any(|text| sent_text_contains(&text, value, 0))
}

/// Whether the values in a body contain a value: in JSON, in a form, or in any other text.
fn body_contains(body: &str, value: &str) -> bool {
    // Of two values with the same key, a JSON document has the last one only.
    (is_telling(value) && text_contains(body, value))
        || json_documents_contain(body, value, 0)
            .or_else(|| form_contains(body, value, 0))
            .unwrap_or_else(|| text_contains(body, value))
}

/// Whether a text that a sender sent contains a value: the text, or the JSON or the form that it is.
fn sent_text_contains(text: &str, value: &str, depth: usize) -> bool {
    text_contains(text, value)
        || (depth < MAX_DEPTH
            && json_documents_contain(text, value, depth + 1)
                .or_else(|| form_contains(text, value, depth + 1))
                .unwrap_or(false))
}

/// Whether a text that consists of JSON documents contains a value; none if it does not.
fn json_documents_contain(text: &str, value: &str, depth: usize) -> Option<bool> {
    let text = text.trim_start_matches('\u{feff}').trim();
    if !text.starts_with(['{', '[', '"']) {
        return None;
    }
    let documents = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let documents: Vec<Value> = documents.collect::<Result<_, _>>().ok()?;
    let mut documents = documents.iter();
    Some(documents.any(|document| json_contains(document, value, depth)))
}

/// Whether a form contains a value; none if a text is no form.
fn form_contains(text: &str, value: &str, depth: usize) -> Option<bool> {
    if !text.contains('=') || text.trim().contains(char::is_whitespace) {
        return None;
    }
    let mut fields = form_urlencoded::parse(text.trim().as_bytes());
    Some(
        fields.any(|(name, part)| {
            key_contains(&name, value) || sent_text_contains(&part, value, depth)
        }),
    )
}

/// Whether a text or a number in a document contains a value.
fn json_contains(document: &Value, value: &str, depth: usize) -> bool {
    match document {
        Value::Object(entries) => entries
            .iter()
            .any(|(key, part)| key_contains(key, value) || json_contains(part, value, depth)),
        Value::Array(items) => items.iter().any(|part| json_contains(part, value, depth)),
        Value::String(text) => sent_text_contains(text, value, depth),
        Value::Number(number) => text_contains(&number.to_string(), value),
        Value::Null | Value::Bool(_) => false,
    }
}

/// Whether a key contains a value. A key is a name, so that only addresses and long numbers are looked for in it.
fn key_contains(key: &str, value: &str) -> bool {
    is_telling(value) && text_contains(key, value)
}

/// Whether a value can only be an address or a long number, wherever it is.
fn is_telling(value: &str) -> bool {
    value.contains('@') || value.chars().filter(char::is_ascii_digit).count() >= 6
}

/// A text in the form in which texts are compared: without case, and with composed characters.
fn comparable(text: &str) -> String {
    let composed = ComposingNormalizerBorrowed::new_nfc().normalize(text);
    composed.to_lowercase()
}

/// Whether a text contains a value that is not a part of a longer one: `ada@example.com` is not in `xada@example.com`.
fn text_contains(text: &str, value: &str) -> bool {
    let (text, value) = (comparable(text), comparable(value.trim()));
    if value.is_empty() {
        return false;
    }
    text.match_indices(&value).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let mut after = text[start + value.len()..].chars();
        let continues = |next: Option<char>| next.is_some_and(char::is_alphanumeric);
        let follows = match after.next() {
            // A point may end a sentence.
            Some('.' | '-' | '_') => continues(after.next()),
            next => continues(next),
        };
        let precedes = before.is_some_and(|before| {
            before.is_alphanumeric() || ['.', '_', '+', '-'].contains(&before)
        });
        !precedes && !follows
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn value_is_found_whole_and_in_any_case() {
        for (text, is_found) in [
            ("ada@example.com", true),
            ("Ada@Example.com", true),
            ("mail: <ada@example.com>.", true),
            ("to=ada@example.com&x=1", true),
            ("xada@example.com", false),
            ("b.ada@example.com", false),
            ("ada@example.com.au", false),
            ("ada@example.company", false),
            ("", false),
        ] {
            assert_eq!(text_contains(text, "ada@example.com"), is_found, "{text}");
        }
        assert!(!text_contains("anything", ""));
        let document = json!({"a": [1, {"b": 5_725_767}]});
        assert!(json_contains(&document, "5725767", 0));
        assert!(text_contains("Jose\u{301} Petit", "jos\u{e9} petit"));
        assert!(text_contains("jos\u{e9}", " Jose\u{301} "));
    }

    #[test]
    fn value_within_nested_texts_is_found() {
        for body in [
            r#"{"note":"{\"text\":\"hello\\nada@example.com\"}"}"#,
            r#"{"Message":"{\"to\":\"\\u0061da@example.com\"}"}"#,
            r#"{"Message":"{\"m\":\"{\\\"to\\\":\\\"\\\\u0061da@example.com\\\"}\"}"}"#,
            r#"payload={"e":"ada\u0040example.com"}"#,
            "payload=%7B%22e%22%3A%22ada%5Cu0040example.com%22%7D",
            "{\"a\":1}\n{\"e\":\"ada\\u0040example.com\"}",
            r#"{"e":"ada@example.com","e":""}"#,
            r#"{"ada@example.com":{"seen":true}}"#,
            r#"{"link":"https://example.org/?email=ada%40example.com&x=1"}"#,
            "mail from ada@example.com, a=b",
        ] {
            assert!(body_contains(body, "ada@example.com"), "{body}");
            assert!(!body_contains(body, "bob@example.com"), "{body}");
        }
        let name = r#"{"j":"{\"n\":\"Andr\\u00e9 Petit\"}"}"#;
        assert!(body_contains(name, "Andr\u{e9} Petit"));
    }

    #[test]
    fn names_of_fields_are_no_values() {
        for body in [r#"{"e":"x","Leads":[true]}"#, "e=x&Leads=true"] {
            assert!(!body_contains(body, "e"), "{body}");
            assert!(!body_contains(body, "Leads"), "{body}");
            assert!(body_contains(body, "x"), "{body}");
        }
    }
}
