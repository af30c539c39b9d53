//! The schemas of the OpenAPI document. Requests and responses differ: a response always has its keys, a request may omit some.

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::api::operations::SchemaOf;
use crate::api::operator::view::BinaryBodyView;
use crate::api::response::AcceptedBody;
use crate::config::allow_null_for_absent;

/// Collects the schemas of the document.
pub(super) struct Schemas {
    requests: SchemaGenerator,
    responses: SchemaGenerator,
}

impl Default for Schemas {
    fn default() -> Self {
        let settings = || {
            let settings = SchemaSettings::draft2020_12();
            settings.with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
                settings.transforms.push(Box::new(Plain));
            })
        };
        Self {
            requests: settings().for_deserialize().into_generator(),
            responses: settings().for_serialize().into_generator(),
        }
    }
}

impl Schemas {
    /// The schema of a request body.
    pub(super) fn of_request(&mut self, of: SchemaOf) -> Value {
        of(&mut self.requests).to_value()
    }

    /// The schema of a response body.
    pub(super) fn of_response(&mut self, of: SchemaOf) -> Value {
        of(&mut self.responses).to_value()
    }

    pub(super) fn of_accepted_jobs(&mut self) -> Value {
        self.of_response(|generator| generator.subschema_for::<AcceptedBody>())
    }

    pub(super) fn of_binary_body(&mut self) -> Value {
        self.of_response(|generator| generator.subschema_for::<BinaryBodyView>())
    }

    /// All named schemas.
    pub(super) fn into_components(mut self) -> Map<String, Value> {
        let mut components = self.responses.take_definitions(true);
        for (name, schema) in self.requests.take_definitions(true) {
            let schema = Schema::try_from(schema).map(|mut schema| {
                allow_null_for_absent(&mut schema);
                schema.to_value()
            });
            if let Ok(schema) = schema {
                components.entry(name).or_insert(schema);
            }
        }
        components.sort_keys();
        components
    }
}

/// Writes schemas in the form that code generators understand best: a list of constants is an `enum`.
#[derive(Clone, Debug)]
struct Plain;

impl Transform for Plain {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        if let Some(object) = schema.as_object_mut() {
            constants_to_enum(object);
        }
    }
}

/// Replaces `oneOf` with constants by `enum`, and adds the descriptions of the constants to that of the schema.
fn constants_to_enum(schema: &mut Map<String, Value>) {
    let Some(Value::Array(choices)) = schema.get("oneOf") else {
        return;
    };
    let mut constants = Vec::new();
    let mut texts = Vec::new();
    for choice in choices {
        let names: Vec<&Value> = match (choice.get("const"), choice.get("enum")) {
            (Some(constant), _) => vec![constant],
            (None, Some(Value::Array(names))) => names.iter().collect(),
            (None, _) => return,
        };
        for name in names {
            let text = choice.get("description").and_then(Value::as_str);
            let name_text = name.as_str().unwrap_or_default();
            texts.extend(text.map(|text| format!("- `{name_text}`: {text}")));
            constants.push(name.clone());
        }
    }
    let described = schema.get("description").and_then(Value::as_str);
    let all: Vec<String> = described
        .map(str::to_owned)
        .into_iter()
        .chain((!texts.is_empty()).then(|| texts.join("\n")))
        .collect();
    schema.remove("oneOf");
    schema.insert("type".to_owned(), json!("string"));
    schema.insert("enum".to_owned(), Value::Array(constants));
    if !all.is_empty() {
        schema.insert("description".to_owned(), json!(all.join("\n\n")));
    }
}
