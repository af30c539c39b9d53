//! Parts of the config's JSON Schema.

use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

/// JSON Schema of a key that takes one value or a list.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "it only shapes the JSON Schema")]
pub(super) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

/// JSON Schema of a key that takes one value or a list that is not empty.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "it only shapes the JSON Schema")]
pub(super) enum OneOrMore<T> {
    One(T),
    Many(#[schemars(length(min = 1))] Vec<T>),
}

/// JSON Schema of a name that the user chooses.
pub(super) fn name() -> Value {
    json!({ "pattern": "^[A-Za-z0-9_-]{1,64}$" })
}

/// Allows null for each optional key of an object, because a key without a value counts as absent.
pub(crate) fn allow_null_for_absent(schema: &mut Schema) {
    AllowNull.transform(schema);
}

struct AllowNull;

impl Transform for AllowNull {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let required: Vec<Value> = match schema.get("required") {
            Some(Value::Array(required)) => required.clone(),
            _ => Vec::new(),
        };
        let Some(Value::Object(properties)) = schema.get_mut("properties") else {
            return;
        };
        for (key, property) in properties {
            if !required.contains(&Value::from(key.as_str())) {
                allow_null(property);
            }
        }
    }
}

fn allow_null(property: &mut Value) {
    const ANNOTATIONS: [&str; 2] = ["description", "default"];
    let Value::Object(keywords) = property else {
        return;
    };
    if allows_null(keywords) {
        return;
    }
    let is_plain = keywords.get("const").is_none() && keywords.get("enum").is_none();
    if is_plain && let Some(Value::String(kind)) = keywords.get("type") {
        let kinds = json!([kind, "null"]);
        keywords.insert("type".to_owned(), kinds);
        return;
    }
    let (outer, inner): (Map<String, Value>, Map<String, Value>) = std::mem::take(keywords)
        .into_iter()
        .partition(|(key, _)| ANNOTATIONS.contains(&key.as_str()));
    *keywords = outer;
    keywords.insert("anyOf".to_owned(), json!([inner, { "type": "null" }]));
}

/// Whether a schema allows null already. An optional type of Rust does.
fn allows_null(keywords: &Map<String, Value>) -> bool {
    let null = json!({ "type": "null" });
    let has = |key: &str, wanted: &Value| {
        let list = keywords.get(key).and_then(Value::as_array);
        list.is_some_and(|list| list.contains(wanted))
    };
    has("anyOf", &null)
        || has("type", &json!("null"))
        || keywords.get("type") == Some(&json!("null"))
}
