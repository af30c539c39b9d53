//! Test vectors: examples that senders and their SDKs publish, captured deliveries, and values computed from documentation.
//! `tests/vectors/*/vector.json` has the expected result of each, `tests/vectors/presets.yaml` the presets and exceptions.
//! These tests use the verifier only; the integration tests use the same vectors end to end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;

use super::{WebhookRequest, verify};
use crate::scheme::Scheme;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

/// The presets and exceptions of the vectors.
fn metadata() -> Value {
    let text = std::fs::read_to_string(root().join("presets.yaml")).expect("presets.yaml");
    serde_saphyr::from_str(&text).expect("YAML")
}

/// The preset for a scheme of a source's vectors.
fn preset_for(metadata: &Value, source: &str, scheme: &str) -> Scheme {
    let name = metadata["presets"][source][scheme].as_str();
    let name = name.unwrap_or(source);
    Scheme::preset(name).unwrap_or_else(|| panic!("no preset {name}"))
}

fn headers(vector: &Value) -> HeaderMap {
    let named = vector["headers"].as_object().expect("headers");
    named
        .iter()
        .map(|(name, value)| {
            let name: HeaderName = name.parse().expect("a name");
            let value: HeaderValue = value.as_str().expect("text").parse().expect("a value");
            (name, value)
        })
        .collect()
}

fn secrets(vector: &Value) -> Vec<SecretString> {
    let secret = &vector["secret"];
    let texts: Vec<&str> = match secret.as_array() {
        Some(list) => list.iter().filter_map(Value::as_str).collect(),
        None => vec![secret.as_str().expect("a secret")],
    };
    texts.into_iter().map(SecretString::from).collect()
}

/// The sources with their folders and vectors.
fn sources() -> Vec<(String, PathBuf, Vec<Value>)> {
    let folders = std::fs::read_dir(root()).expect("vectors");
    let mut sources: Vec<_> = folders
        .map(|folder| folder.expect("a folder").path())
        .filter(|folder| folder.is_dir())
        .map(|folder| {
            let name = folder
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let text = std::fs::read(folder.join("vector.json")).expect("vector.json");
            let mut file: Value = serde_json::from_slice(&text).expect("JSON");
            let Value::Array(vectors) = file["vectors"].take() else {
                panic!("{name}: no vectors");
            };
            (name, folder, vectors)
        })
        .collect();
    sources.sort_by(|left, right| left.0.cmp(&right.0));
    sources
}

/// Verifies the request of a vector.
fn verify_vector(
    metadata: &Value,
    source: &str,
    folder: &Path,
    vector: &Value,
) -> Result<(), String> {
    let text = |key: &str| vector[key].as_str();
    let kind = text("scheme").expect("a scheme");
    let mut scheme = preset_for(metadata, source, kind);
    let (headers, keys) = (headers(vector), secrets(vector));
    let body = match text("body_file") {
        Some(name) => std::fs::read(folder.join(name)).expect("a body"),
        None => text("body").unwrap_or_default().as_bytes().to_vec(),
    };
    let urls = [text("url").unwrap_or_default().to_owned()];
    let request = WebhookRequest::new(&headers, &body)
        .method(text("method").unwrap_or("POST"))
        .urls(&urls);
    if kind == "handshake" {
        let answer = {
            let keys = crate::handshake::HandshakeSecrets::OfDeliveries(&keys);
            crate::handshake::respond(&scheme, &request, keys)
        };
        return answer.map(|_| ()).ok_or_else(|| "no answer".to_owned());
    }
    let mut params: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in vector["config"].as_object().into_iter().flatten() {
        params.insert(name.clone(), value.as_str().expect("text").to_owned());
    }
    params.insert("dc".to_owned(), "com".to_owned());
    if source == "aws-sns" {
        let message: Value = serde_json::from_slice(&body).expect("JSON");
        let topic = message["TopicArn"].as_str().expect("a topic").to_owned();
        params.insert("topic".to_owned(), topic);
    }
    let missing = scheme.set_params(params);
    assert!(missing.is_ok(), "{source}: {missing:?}");
    let now = match vector["now"].as_i64() {
        Some(now) => now,
        None => {
            scheme.set_tolerance(0);
            0
        }
    };
    let now = Timestamp::from_second(now).expect("a time");
    match verify(&scheme, &request, &keys, now) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn vector_results_match_their_publishers() {
    let metadata = metadata();
    let unsigned = metadata["unsigned"].as_array().expect("a list");
    let mut mismatches = Vec::new();
    let (mut count, mut without) = (0, 0);
    let sources = sources();
    for (source, folder, vectors) in &sources {
        for vector in vectors {
            count += 1;
            let case = format!("{source}/{}", vector["id"].as_str().expect("an id"));
            let expected = vector["expected"].as_str().expect("an expectation");
            if unsigned.contains(&Value::from(case.as_str())) {
                assert_eq!(expected, "valid", "{case}");
                without += 1;
                continue;
            }
            let result = verify_vector(&metadata, source, folder, vector);
            if result.is_ok() != (expected == "valid") {
                mismatches.push(format!("{case}: expected {expected}, got {result:?}"));
            }
        }
    }
    assert!(mismatches.is_empty(), "{mismatches:#?}");
    assert_eq!(without, unsigned.len());
    assert_eq!(
        (&metadata["vectors"], &metadata["sources"]),
        (&Value::from(count), &Value::from(sources.len()))
    );
}
