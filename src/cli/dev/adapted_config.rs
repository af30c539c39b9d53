//! Adapts the user's config to this machine: the connections reach the simulator, and missing secrets are made up.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::config::map_secret_references;

/// A data centre of the simulator.
#[derive(Clone, Debug)]
pub(super) struct SimulatedCenter {
    /// Its URL, for both `accounts_url` and `api_url`.
    pub(super) url: String,
    /// The reference to its credentials.
    pub(super) credentials: String,
}

/// Adapts a valid config. `centers` are the simulator's data centres by name; connections to any other use `us`.
/// `references` replaces references to secrets.
pub(super) fn adapted(
    mut document: Value,
    centers: &BTreeMap<String, SimulatedCenter>,
    references: &BTreeMap<String, String>,
) -> Value {
    if let Some(connections) = document
        .get_mut("connections")
        .and_then(Value::as_object_mut)
    {
        for connection in connections.values_mut().filter_map(Value::as_object_mut) {
            adapt_connection(connection, centers);
        }
    }
    for part in ["api", "callbacks", "console", "routes"] {
        if let Some(part) = document.get_mut(part) {
            map_secret_references(part, &mut |text| references.get(text).cloned());
        }
    }
    document
}

fn adapt_connection(
    connection: &mut Map<String, Value>,
    centers: &BTreeMap<String, SimulatedCenter>,
) {
    let named = connection.get("data_center").and_then(Value::as_str);
    let found = named.and_then(|name| centers.get_key_value(name));
    let Some((name, center)) = found.or_else(|| centers.get_key_value("us")) else {
        return;
    };
    let set = [
        ("credentials", &center.credentials),
        ("accounts_url", &center.url),
        ("api_url", &center.url),
        ("data_center", name),
    ];
    for (key, value) in set {
        connection.insert(key.to_owned(), json!(value));
    }
    // The simulator has one environment, and its tokens are of this process only.
    for key in ["token_cache", "environment"] {
        connection.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_reach_simulator_with_made_up_secrets() {
        let center = |port: u16| SimulatedCenter {
            url: format!("http://127.0.0.1:{port}"),
            credentials: format!("file:/dev/{port}"),
        };
        let centers = BTreeMap::from([("us".to_owned(), center(1)), ("eu".to_owned(), center(2))]);
        let document = json!({
            "connections": {
                "default": {"credentials": "secretsmanager:z", "data_center": "jp", "token_cache": "secretsmanager:t", "max_concurrency": 3},
                "other": {"credentials": "env:Z", "data_center": "eu", "environment": "sandbox"},
            },
            "callbacks": {"signing_secret": ["env:A", "env:B"]},
            "routes": {"r": {
                "verify": [{"scheme": "stripe", "secret": "env:A"}, {"scheme": "custom", "token": {"header": "env:A"}, "secret": ["env:C"]}],
                "map": "env:A",
            }},
        });
        let references = BTreeMap::from([("env:A".to_owned(), "file:/a".to_owned())]);
        let adapted = adapted(document, &centers, &references);
        assert_eq!(
            adapted,
            json!({
                "connections": {
                    "default": {"credentials": "file:/dev/1", "data_center": "us", "max_concurrency": 3,
                        "accounts_url": "http://127.0.0.1:1", "api_url": "http://127.0.0.1:1"},
                    "other": {"credentials": "file:/dev/2", "data_center": "eu",
                        "accounts_url": "http://127.0.0.1:2", "api_url": "http://127.0.0.1:2"},
                },
                "callbacks": {"signing_secret": ["file:/a", "env:B"]},
                "routes": {"r": {
                    "verify": [{"scheme": "stripe", "secret": "file:/a"}, {"scheme": "custom", "token": {"header": "env:A"}, "secret": ["env:C"]}],
                    "map": "env:A",
                }},
            })
        );
    }
}
