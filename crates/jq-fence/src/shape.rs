//! The shape of a value: its keys and types, without its contents. A shape may appear where personal data may not.

use jaq_json::Val;
use serde_json::Value;

/// Bytes of a shape, roughly.
const MAX_SHAPE: usize = 600;

/// Entries of one object in a shape.
const MAX_ENTRIES: usize = 20;

/// Characters of a key in a shape.
const MAX_KEY: usize = 40;

/// The shape of a value, on one line of bounded length.
pub(crate) fn of_val(val: &Val) -> String {
    let mut text = String::new();
    write(val, &mut text);
    text
}

fn write(val: &Val, text: &mut String) {
    match val {
        Val::Null => text.push_str("null"),
        Val::Bool(_) => text.push_str("boolean"),
        Val::Num(_) => text.push_str("number"),
        Val::BStr(_) | Val::TStr(_) => text.push_str("string"),
        Val::Arr(items) => {
            text.push('[');
            if let Some(first) = items.first() {
                write(first, text);
            }
            if items.len() > 1 {
                text.push_str(&format!(", … {} in all", items.len()));
            }
            text.push(']');
        }
        Val::Obj(entries) => {
            text.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                if index > 0 {
                    text.push_str(", ");
                }
                if index == MAX_ENTRIES || text.len() > MAX_SHAPE {
                    text.push_str(&format!("… {} in all", entries.len()));
                    break;
                }
                text.push_str(&key_text(key));
                text.push_str(": ");
                write(value, text);
            }
            text.push('}');
        }
    }
}

fn key_text(key: &Val) -> String {
    let (Val::TStr(bytes) | Val::BStr(bytes)) = key else {
        return "?".to_owned();
    };
    let key = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * MAX_KEY)]);
    let cut: String = key.chars().take(MAX_KEY).collect();
    let plain = |character: char| character.is_ascii_alphanumeric() || character == '_';
    match cut.len() < bytes.len() {
        true => Value::from(format!("{cut}…")).to_string(),
        false if !cut.is_empty() && cut.chars().all(plain) => cut,
        false => Value::from(cut).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape_of_large_value_is_bounded() {
        let shaped =
            |json: &str| of_val(&jaq_json::read::parse_single(json.as_bytes()).expect("JSON"));
        assert_eq!(
            shaped(
                r#"{"a": "Jane", "b c": [1, 2, 3], "d": {"e": null, "f": []}, "g": true, "h": [{"i": 1}]}"#
            ),
            r#"{a: string, "b c": [number, … 3 in all], d: {e: null, f: []}, g: boolean, h: [{i: number}]}"#
        );
        let key = "k".repeat(50);
        assert_eq!(
            shaped(&format!("{{\"{key}\": 1}}")),
            format!("{{\"{}…\": number}}", "k".repeat(MAX_KEY))
        );
        let many: Vec<String> = (0..5_000)
            .map(|n| format!("\"key_{n}\": {{\"x\": 1}}"))
            .collect();
        let many = shaped(&format!("{{{}}}", many.join(",")));
        assert!(
            many.ends_with("key_19: {x: number}, … 5000 in all}"),
            "{many}"
        );
        let deep = format!(
            "{}1{}",
            "{\"deeply\": {\"wide\":1,\"nested\":".repeat(48),
            "}}".repeat(48)
        );
        assert!(shaped(&deep).len() < 3_000);
    }
}
