//! The JSON Schema of `masshook schema` and the config's parser agree, as an independent validator judges.

use std::process::Command;

use masshook::config::{CompileMode, Config};
use serde_json::{Map, Value, json};

use crate::harness::{self, repo_path};

/// What the parser reports about an instance: nothing, or its problems.
fn problems(config: &Value) -> Vec<String> {
    let parsed = Config::parse(&config.to_string(), CompileMode::Lazy);
    let found = parsed.err().unwrap_or_default();
    found.iter().map(ToString::to_string).collect()
}

/// What the validator reports about each instance: nothing, or its first error.
fn schema_errors(instances: &[Value]) -> Vec<Option<String>> {
    harness::schema_errors(&Config::schema(), instances)
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("YAML")
}

/// A config with one route that is verified like this.
fn verified_by(verify: &Value) -> Value {
    json!({"connections": {"default": {"credentials": "env:ZOHO"}},
        "routes": {"a": {"verify": verify, "map": "empty", "public_url": "https://hooks.example.com/hooks/a"}}})
}

/// Every config in the repository, by its place: files, blocks of the documents, and each scheme as a custom one.
fn configs() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    let files = Command::new("git")
        .args(["ls-files", "*.yaml", "*.md"])
        .current_dir(repo_path("."))
        .output()
        .expect("git");
    let files = String::from_utf8(files.stdout).expect("text");
    for file in files.lines() {
        let text = std::fs::read_to_string(repo_path(file)).expect("a file");
        if file.ends_with(".md") {
            for (index, block) in text.split("```yaml\n").skip(1).enumerate() {
                let (block, _) = block.split_once("```").expect("the end of a block");
                found.extend(as_config(block).map(|config| (format!("{file}[{index}]"), config)));
            }
        } else if file.ends_with("masshook.yaml") {
            found.push((file.to_owned(), yaml(&text)));
        } else if file.starts_with("crates/webhook-verify/schemes/") {
            let mut verify = yaml(&text);
            verify["scheme"] = json!("custom");
            verify["secret"] = json!("secretsmanager:sender");
            let names = ["org", "webhook", "dc"].map(|name| (name, format!("{{param:{name}}}")));
            let mut params: Map<String, Value> = names
                .iter()
                .filter(|(_, token)| text.contains(token))
                .map(|(name, _)| ((*name).to_owned(), json!("x")))
                .collect();
            if text.contains("type: sns") {
                params.insert(
                    "topic".to_owned(),
                    json!("arn:aws:sns:eu-west-1:123456789012:t"),
                );
            }
            if !params.is_empty() {
                verify["params"] = Value::Object(params);
            }
            found.push((file.to_owned(), verified_by(&verify)));
        } else if file.ends_with("custom_schemes.yaml") {
            let routes = yaml(&text)["routes"].clone();
            for (name, route) in routes.as_object().expect("routes") {
                let verify = route["verify"]
                    .to_string()
                    .replace("SECRETS", "env:SENDERS");
                let verify = serde_json::from_str(&verify).expect("JSON");
                found.push((format!("{file} {name}"), verified_by(&verify)));
            }
        }
    }
    found
}

/// A block of a document as a whole config: it is one, or routes, or keys of one route. `None` if it is something else.
fn as_config(block: &str) -> Option<Value> {
    let document: Value = serde_saphyr::from_str(&block.replace("map: …", "map: empty")).ok()?;
    let object = document.as_object()?;
    let has = |keys: &[&str]| keys.iter().any(|key| object.contains_key(*key));
    let is_route = |route: &Value| route.get("map").is_some() || route.get("verify").is_some();
    let mut config = if has(&["connections", "routes", "callbacks", "api", "limits"]) {
        document
    } else if has(&["verify", "map"]) {
        json!({"routes": {"a": document}})
    } else if object.values().all(is_route) {
        json!({"routes": document})
    } else {
        return None;
    };
    if config.get("connections").is_none() {
        config["connections"] = json!({"default": {"credentials": "env:ZOHO"}});
    }
    let routes = config.get_mut("routes").and_then(Value::as_object_mut);
    for route in routes.into_iter().flat_map(Map::values_mut) {
        if route.get("map").is_none() {
            route["map"] = json!("empty");
        }
    }
    Some(config)
}

#[test]
fn every_config_is_valid_for_parser_and_schema() {
    let configs = configs();
    let instances: Vec<Value> = configs.iter().map(|(_, config)| config.clone()).collect();
    let mut wrong = Vec::new();
    for ((place, config), error) in configs.iter().zip(schema_errors(&instances)) {
        let problems = problems(config);
        if !problems.is_empty() || error.is_some() {
            wrong.push(format!("{place}: parser {problems:?}; schema {error:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(configs.len() >= 70, "{}", configs.len());
}

/// Problems that no schema can express, because they concern the meaning of a text or several keys together.
const MEANING: [&str; 21] = [
    "`handshake_secret` is missing",
    "a stranger could have a delivery signed",
    "there is no connection `",
    "is not a URL",
    "`public_url` is missing: this sender signs",
    "`verify` is missing",
    "has nothing to verify",
    "has no effect without `order_by`",
    "this scheme needs `params`",
    "must contain {",
    "so `timestamp` must give its location",
    "is not signed: `signed` must contain",
    "needs {secret} in `signed`",
    "does not cover the body",
    "needs a `prefix`",
    "would match every delivery",
    "must start with https:// and a host",
    "must not be called",
    "needs `callbacks.signing_secret`",
    "must be text/plain if the response echoes",
    "must be a duration from one minute",
];

/// Every way to change one node of a config: other types, unknown keys, missing keys, empty lists.
fn mutations(config: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    for pointer in pointers(config, "") {
        let node = config.pointer(&pointer).expect("a node");
        for other in [
            json!(null),
            json!(true),
            json!(-1),
            json!(1.5),
            json!(7),
            json!("?"),
            json!(""),
            json!([]),
            json!({}),
        ] {
            if other != *node {
                let mut changed = config.clone();
                *changed.pointer_mut(&pointer).expect("a node") = other;
                found.push(changed);
            }
        }
        if let Some(object) = node.as_object() {
            let mut changed = config.clone();
            changed.pointer_mut(&pointer).expect("a node")["surely_unknown"] = json!("x");
            found.push(changed);
            for key in object.keys() {
                let mut changed = config.clone();
                let node = changed.pointer_mut(&pointer).expect("a node");
                node.as_object_mut().expect("an object").remove(key);
                found.push(changed);
            }
        }
    }
    found
}

fn pointers(node: &Value, at: &str) -> Vec<String> {
    let mut found = vec![at.to_owned()];
    let children: Vec<(String, &Value)> = match node {
        Value::Object(object) => object
            .iter()
            .map(|(key, child)| (key.replace('~', "~0").replace('/', "~1"), child))
            .collect(),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .map(|(index, child)| (index.to_string(), child))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    for (key, child) in children {
        found.extend(pointers(child, &format!("{at}/{key}")));
    }
    found
}

#[test]
fn parser_and_schema_refuse_the_same_forms() {
    let mut instances: Vec<Value> = configs()
        .iter()
        .flat_map(|(_, config)| mutations(config))
        .collect();
    let mut seen = std::collections::HashSet::new();
    instances.retain(|instance| seen.insert(instance.to_string()));
    let mut differences = std::collections::BTreeMap::<String, (usize, Value)>::new();
    for (instance, error) in instances.iter().zip(schema_errors(&instances)) {
        let problems = problems(instance);
        let difference = match (&problems[..], error) {
            ([], Some(error)) => format!("only the schema: {error}"),
            ([_, ..], None) => format!("only the parser: {}", problems.join("; ")),
            _ => continue,
        };
        if !MEANING.iter().any(|text| difference.contains(text)) {
            differences
                .entry(difference)
                .or_insert((0, instance.clone()))
                .0 += 1;
        }
    }
    let report: Vec<String> = differences
        .iter()
        .map(|(text, (count, example))| format!("{count} x {text}\n    {example}"))
        .collect();
    eprintln!("{} instances compared", instances.len());
    assert!(report.is_empty(), "{}", report.join("\n"));
}
