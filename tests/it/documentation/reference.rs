//! The reference of config keys and the table of presets, generated from the schema and from
//! `examples/every-key/masshook.yaml`, which uses each key once.
//! `UPDATE_CONFIGURATION=1 cargo test --test it configuration_pages_match_schema` writes them into the pages.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use masshook::config::Config;
use serde_json::{Map, Value, json};
use webhook_verify::scheme::{PRESETS, Scheme};

use super::text;
use crate::harness::repo_path;

/// A table of keys.
struct Section {
    title: &'static str,
    /// The definitions in the schema; empty: the whole config.
    definitions: &'static [&'static str],
    /// Where values stand in the example; `*` is any name or index.
    places: &'static [&'static str],
    /// Whether the keys that name a part of a request may stand beside these. They have a table of their own.
    has_part: bool,
}

impl Section {
    const fn new(
        title: &'static str,
        definitions: &'static [&'static str],
        places: &'static [&'static str],
    ) -> Self {
        Self {
            title,
            definitions,
            places,
            has_part: false,
        }
    }

    const fn with_part(mut self) -> Self {
        self.has_part = true;
        self
    }
}

const CONFIGURATION: [Section; 9] = [
    Section::new("Top level", &[""], &[""]),
    Section::new("`connections.NAME`", &["Connection"], &["/connections/*"]),
    Section::new("`routes.NAME`", &["Route"], &["/routes/*"]),
    Section::new(
        "`routes.NAME.cloudevents`",
        &["CloudEvents"],
        &["/routes/*/cloudevents"],
    ),
    Section::new("`api`", &["Api"], &["/api"]),
    Section::new("`callbacks`", &["Callbacks"], &["/callbacks"]),
    Section::new("`console`", &["Console"], &["/console"]),
    Section::new(
        "`delivery_log`",
        &["DeliveryLogSettings"],
        &["/delivery_log"],
    ),
    Section::new("`limits`", &["Limits"], &["/limits"]),
];

const SIGNATURES: [Section; 9] = [
    Section::new("`verify`", &["SchemeConfig"], &["/routes/*/verify"]),
    Section::new(
        "`verify` with `scheme: custom`",
        &[
            "Scheme",
            "SchemeSpec",
            "HashedMessage",
            "SignedMessage",
            "Jws",
            "SharedSecret",
        ],
        &["/routes/*/verify", "/routes/*/verify/alternatives/*"],
    ),
    Section::new(
        "`signature`: a part of the request, and",
        &["Signature"],
        &["/routes/*/verify/signature"],
    )
    .with_part(),
    Section::new(
        "`timestamp`: a part of the request, and",
        &["TimestampRule"],
        &["/routes/*/verify/timestamp"],
    )
    .with_part(),
    Section::new(
        "`secret_format`",
        &["SecretFormat"],
        &["/routes/*/verify/secret_format"],
    ),
    Section::new(
        "`token`: a part of the request, and",
        &["TokenLocation"],
        &["/routes/*/verify/token"],
    )
    .with_part(),
    Section::new(
        "Parts of a request",
        &["ValueSelector"],
        &[
            "/routes/*/verify/signature",
            "/routes/*/verify/timestamp",
            "/routes/*/verify/token",
            "/routes/*/verify/delivery_id",
            "/routes/*/verify/handshakes/*/when/*",
        ],
    ),
    Section::new(
        "`handshakes`; a condition of `when` has a part of the request, and",
        &["HandshakeSpec", "HandshakeCondition"],
        &[
            "/routes/*/verify/handshakes/*",
            "/routes/*/verify/handshakes/*/when/*",
        ],
    )
    .with_part(),
    Section::new(
        "`answer` and `accepted`",
        &["ReplySpec"],
        &[
            "/routes/*/verify/handshakes/*/answer",
            "/routes/*/verify/accepted",
        ],
    ),
];

/// The schema and the example.
struct Reference {
    schema: Value,
    example: Value,
}

/// One key: its schema, and whether it is required wherever it may stand.
struct Key {
    name: String,
    schema: Value,
    is_required: bool,
}

impl Reference {
    fn read() -> Self {
        let example = text("examples/every-key/masshook.yaml");
        Self {
            schema: Config::schema(),
            example: serde_saphyr::from_str(&example).expect("YAML"),
        }
    }

    fn definition(&self, name: &str) -> &Value {
        match name {
            "" => &self.schema,
            name => &self.schema["$defs"][name],
        }
    }

    /// Returns the keys of definitions, each once, with those of their variants.
    fn keys(&self, section: &Section) -> Vec<Key> {
        let mut keys: Vec<Key> = Vec::new();
        let mut parts = Vec::new();
        if section.has_part {
            collect(self.definition("ValueSelector"), true, &mut parts);
        }
        for definition in section.definitions {
            let definition = self.definition(definition);
            assert!(definition.is_object(), "{}", section.title);
            // A key of one kind among several is not required.
            let mut found = Vec::new();
            collect(definition, section.definitions.len() == 1, &mut found);
            let is_part = |key: &Key| parts.iter().any(|part| part.name == key.name);
            found.retain(|key| !is_part(key) && keys.iter().all(|known| known.name != key.name));
            keys.append(&mut found);
        }
        keys
    }

    /// Returns the type of a value, as a reader of YAML thinks of it.
    fn type_of(&self, schema: &Value) -> String {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.trim_start_matches("#/$defs/");
            return match name {
                "SecretRef" => "secret".to_owned(),
                "DurationSchema" | "OrderForSchema" => "duration".to_owned(),
                "ValueSelector" => "part of a request".to_owned(),
                _ => self.type_of(&self.schema["$defs"][name]),
            };
        }
        if let Some(constant) = schema.get("const") {
            return code(constant);
        }
        if let Some(values) = schema["enum"].as_array() {
            return match values.len() {
                0..=10 => values.iter().map(code).collect::<Vec<_>>().join(", "),
                _ => "name".to_owned(),
            };
        }
        for variants in ["anyOf", "oneOf"] {
            if let Some(variants) = schema[variants].as_array() {
                if schema.get("properties").is_some() || schema["type"] == "object" {
                    return "object".to_owned();
                }
                let mut types: Vec<String> = Vec::new();
                for variant in variants {
                    let one = self.type_of(variant);
                    if one != "null" && !types.contains(&one) {
                        types.push(one);
                    }
                }
                if let [one, list] = types.as_slice()
                    && list.starts_with("list of ")
                {
                    return format!("{one}; or a list");
                }
                let is_words = types.iter().all(|one| one.starts_with('`'));
                return types.join(if is_words { ", " } else { " or " });
            }
        }
        let kind = &schema["type"];
        let kinds: Vec<&str> = match kind.as_array() {
            Some(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
            None => kind.as_str().into_iter().collect(),
        };
        let kinds = kinds.into_iter().filter(|kind| *kind != "null");
        let kinds: Vec<String> = kinds.map(|kind| self.simple_type(kind, schema)).collect();
        match kinds.is_empty() {
            true if schema["type"] == "null" => "null".to_owned(),
            true if schema["allOf"].is_array() => "object".to_owned(),
            true => "any value".to_owned(),
            false => kinds.join(" or "),
        }
    }

    fn simple_type(&self, kind: &str, schema: &Value) -> String {
        match kind {
            "string" if schema["format"] == "uri" => "URL".to_owned(),
            "string" => "text".to_owned(),
            "integer" => match (schema["minimum"].as_u64(), schema["maximum"].as_u64()) {
                (Some(least), Some(most)) => format!("{least} to {most}"),
                (Some(least), None) => format!("{least} or more"),
                _ => "whole number".to_owned(),
            },
            "array" => match self.type_of(&schema["items"]) {
                items if items.starts_with('`') => format!("list of {items}"),
                items => format!("list of {items}s").replace("ys of", "ies of"),
            },
            "object" if schema["additionalProperties"].is_object() => {
                format!("map of {}s", self.type_of(&schema["additionalProperties"]))
            }
            other => other.to_owned(),
        }
    }

    /// Returns the meanings of a key's words, if they have any.
    fn meanings(&self, schema: &Value, found: &mut Vec<String>) {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.trim_start_matches("#/$defs/");
            let schema = &self.schema["$defs"][name];
            if schema.get("properties").is_none() {
                self.meanings(schema, found);
            }
        }
        for variants in ["anyOf", "oneOf"] {
            for variant in schema[variants].as_array().into_iter().flatten() {
                match (&variant["const"], variant["description"].as_str()) {
                    (Value::String(word), Some(meaning)) => {
                        let meaning = one_line(meaning);
                        found.push(format!("`{word}`: {}", meaning.trim_end_matches('.')));
                    }
                    _ => self.meanings(variant, found),
                }
            }
        }
    }

    /// Returns the first value of a key in the example.
    fn example(&self, section: &Section, key: &str) -> Option<Value> {
        let places = section.places.iter();
        let mut parents = places.flat_map(|place| values_at(&self.example, place));
        parents.find_map(|parent| parent.get(key).cloned())
    }

    fn table(&self, section: &Section, out: &mut String, without_example: &mut Vec<String>) {
        write!(
            out,
            "### {}\n\n| key | type | default | example | meaning |\n| --- | --- | --- | --- | --- |\n",
            section.title
        )
        .expect("written");
        for key in self.keys(section) {
            let schema = &key.schema;
            let description = one_line(schema["description"].as_str().unwrap_or_default());
            let (mut meaning, mut default) = match description.rsplit_once("Default: ") {
                Some((meaning, default)) => (
                    meaning.trim().to_owned(),
                    default.trim_end_matches('.').to_owned(),
                ),
                None => (description, String::new()),
            };
            let value = &schema["default"];
            let is_empty = value.as_array().is_some_and(Vec::is_empty)
                || value.as_object().is_some_and(Map::is_empty);
            if key.is_required {
                "required".clone_into(&mut default);
            } else if is_empty {
                "none".clone_into(&mut default);
            } else if !value.is_null() {
                default = code(value);
            } else if default.is_empty() {
                "–".clone_into(&mut default);
            }
            let mut words = Vec::new();
            self.meanings(schema, &mut words);
            if !words.is_empty() && schema["const"].is_null() {
                write!(meaning, " {}.", words.join("; ")).expect("written");
            }
            let example = self.example(section, &key.name);
            if example.is_none() {
                without_example.push(format!("{}: {}", section.title, key.name));
            }
            let example = example.map_or_else(String::new, |value| code(&value));
            let cells = [
                format!("`{}`", key.name),
                self.type_of(schema),
                default,
                example,
                meaning,
            ];
            let cells = cells.map(|cell| cell.replace('|', "\\|"));
            writeln!(out, "| {} |", cells.join(" | ")).expect("written");
        }
        out.push('\n');
    }

    fn tables(&self, sections: &[Section]) -> String {
        let mut out = String::from("\n");
        let mut without_example = Vec::new();
        for section in sections {
            self.table(section, &mut out, &mut without_example);
        }
        assert!(
            without_example.is_empty(),
            "examples/every-key/masshook.yaml does not use:\n{}",
            without_example.join("\n")
        );
        out
    }
}

/// Adds the properties of a definition and of its variants. Keys of a variant are not required.
fn collect(schema: &Value, is_whole: bool, keys: &mut Vec<Key>) {
    let required = schema["required"].as_array().into_iter().flatten();
    let required: BTreeSet<&str> = required.filter_map(Value::as_str).collect();
    let empty = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&empty);
    let description = schema["description"].as_str();
    for (name, property) in properties {
        if let Some(word) = word_of(property) {
            add_word(name, word, description, keys);
        } else if property["type"] != "null" && keys.iter().all(|key| key.name != *name) {
            let mut property = match property.is_boolean() {
                true => json!({}),
                false => property.clone(),
            };
            // What a variant with one key means is what the key means.
            if property.get("description").is_none() && !is_whole && properties.len() == 1 {
                property["description"] = json!(description);
            }
            keys.push(Key {
                name: name.clone(),
                schema: property,
                is_required: is_whole && required.contains(name.as_str()),
            });
        }
    }
    for variants in ["allOf", "anyOf", "oneOf"] {
        for variant in schema[variants].as_array().into_iter().flatten() {
            collect(variant, false, keys);
        }
    }
}

/// The word that selects a variant, if that is what a property is.
fn word_of(property: &Value) -> Option<&Value> {
    let constant = property.get("const");
    let constant = constant.or_else(|| property["anyOf"][0].get("const"));
    constant.filter(|word| word.is_string())
}

/// Adds a word to the key whose value selects a variant.
fn add_word(name: &str, word: &Value, description: Option<&str>, keys: &mut Vec<Key>) {
    if keys.iter().all(|key| key.name != name) {
        let is_kind = name == "type";
        keys.push(Key {
            name: name.to_owned(),
            schema: json!({
                "description": if is_kind { "The kind of proof." } else { "How the value is written." },
                "oneOf": [],
            }),
            is_required: is_kind,
        });
    }
    let key = keys.iter_mut().find(|key| key.name == name);
    let words = key.and_then(|key| key.schema["oneOf"].as_array_mut());
    let word = json!({"const": word, "description": description});
    words.expect("words").push(word);
}

fn values_at<'v>(value: &'v Value, place: &str) -> Vec<&'v Value> {
    let mut found = vec![value];
    for part in place.split('/').skip(1) {
        let mut next = Vec::new();
        for value in found {
            match (part, value) {
                ("*", Value::Object(map)) => next.extend(map.values()),
                ("*", Value::Array(list)) => next.extend(list),
                ("*", _) => {}
                (part, value) => next.extend(value.get(part)),
            }
        }
        found = next;
    }
    found
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A value as it is written in YAML.
fn code(value: &Value) -> String {
    let written = match value.as_str() {
        Some(text) if text.trim() != text || text.is_empty() => format!("{text:?}"),
        Some(text) => one_line(text),
        None => {
            let json = serde_json::to_string(value).expect("JSON");
            match json.len() {
                0..=60 => json.replace("\":", "\": ").replace(",\"", ", \""),
                _ if value.is_array() => "[…]".to_owned(),
                _ => "{…}".to_owned(),
            }
        }
    };
    match written.contains('`') {
        true => format!("`` {written} ``"),
        false => format!("`{written}`"),
    }
}

/// A row for each preset.
fn presets() -> String {
    let mut out = String::from(
        "\n| preset | what it proves | needs | documentation |\n| --- | --- | --- | --- |\n",
    );
    for name in PRESETS {
        let scheme = Scheme::preset(name).expect("a preset");
        let mut needs = Vec::new();
        if scheme.needs_secret() {
            needs.push("`secret`".to_owned());
        }
        if scheme.needs_url() {
            needs.push("`public_url`".to_owned());
        }
        let params = scheme.needed_params();
        needs.extend(params.iter().map(|name| format!("`params.{name}`")));
        if scheme.enrolls_secret() {
            needs.push("a secret that masshook may write".to_owned());
        }
        let source = scheme.source().unwrap_or_default();
        let host = source.split('/').nth(2).unwrap_or_default();
        let sentence = scheme.describe().replace('|', "\\|");
        writeln!(
            out,
            "| `{name}` | {sentence} | {} | [{host}]({source}) |",
            needs.join(", ")
        )
        .expect("written");
    }
    out
}

/// Compares a part of a page between two markers, or writes it.
fn compare(path: &str, name: &str, expected: &str) {
    let markers = [
        format!("<!-- {name}: generated, see tests/it/documentation/reference.rs -->\n"),
        format!("<!-- /{name} -->"),
    ];
    let page = text(path);
    let (before, rest) = page
        .split_once(&markers[0])
        .unwrap_or_else(|| panic!("{path} has no {}", markers[0]));
    let (stands, after) = rest.split_once(&markers[1]).expect("the second marker");
    if std::env::var_os("UPDATE_CONFIGURATION").is_some() {
        let page = [before, &markers[0], expected, &markers[1], after].concat();
        std::fs::write(repo_path(path), page).expect("the page is written");
    } else {
        assert!(
            stands == expected,
            "{path} differs from the schema: run `UPDATE_CONFIGURATION=1 cargo test --test it configuration_pages_match_schema`"
        );
    }
}

#[test]
fn configuration_pages_match_schema() {
    let reference = Reference::read();
    let tables = reference.tables(&CONFIGURATION);
    compare("docs/configuration.md", "configuration", &tables);
    let tables = reference.tables(&SIGNATURES);
    compare("docs/signatures.md", "signatures", &tables);
    compare("docs/signatures.md", "presets", &presets());
}

/// Definitions that have no keys of their own to document.
const WITHOUT_KEYS: [&str; 0] = [];

#[test]
fn every_definition_is_in_the_reference() {
    let reference = Reference::read();
    let sections = CONFIGURATION.iter().chain(&SIGNATURES);
    let known: BTreeSet<&str> = sections
        .flat_map(|section| section.definitions)
        .copied()
        .collect();
    let definitions = reference.schema["$defs"].as_object().expect("definitions");
    for (name, definition) in definitions {
        let mut keys = Vec::new();
        collect(definition, true, &mut keys);
        assert!(
            keys.is_empty()
                || known.contains(name.as_str())
                || WITHOUT_KEYS.contains(&name.as_str()),
            "no table has the keys of {name}"
        );
    }
}
