//! `examples/routes`: each folder is a config to copy, an event, and the update requests that the one makes of the other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use masshook::config::{Config, Programs, Verify};
use serde_json::{Value, json};

use crate::support::tools::manifest;

const FILES: [&str; 3] = ["event.json", "expected.json", "masshook.yaml"];

const SECRET: &str = "00112233445566778899aabbccddeeff";

fn folders() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(manifest("examples/routes")).expect("examples/routes");
    let mut folders: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    folders.sort();
    folders
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a file");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The command line's JSON, with every secret that the config names set or not.
fn masshook(config: &Path, secrets: bool, arguments: &[&str]) -> Value {
    let text = std::fs::read_to_string(config).expect("a config");
    let mut command = Command::new(env!("CARGO_BIN_EXE_masshook"));
    command.args(arguments).arg("--config").arg(config);
    for after in text.split("env:").skip(1) {
        let end = after.find(|c: char| !c.is_ascii_uppercase() && c != '_');
        let name = &after[..end.unwrap_or(after.len())];
        if secrets {
            command.env(name, SECRET);
        } else {
            command.env_remove(name);
        }
    }
    let output = command.output().expect("masshook");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        let said = String::from_utf8_lossy(&output.stderr);
        panic!("{arguments:?}: {error}: {said}")
    })
}

/// What `masshook preview` says of an event, for the one route that takes it.
fn preview(config: &Path, secrets: bool, event: &Path) -> Value {
    let event = event.to_str().expect("a path");
    let said = masshook(config, secrets, &["preview", "--json", event]);
    // An event of AWS's own triggers may be for several routes.
    let Some(previews) = said["previews"].as_array() else {
        return said;
    };
    let [preview] = &previews[..] else {
        panic!("{event} is for {} routes", previews.len())
    };
    preview.clone()
}

fn requests(preview: &Value) -> Value {
    let updates = preview["updates"].as_array();
    let updates = updates.unwrap_or_else(|| panic!("no updates: {preview}"));
    updates
        .iter()
        .map(|update| update["request"].clone())
        .collect()
}

/// The example's delivery as its sender makes it now, with a proof that holds.
fn signed(config: &Path, route: &str, scheme: &str, delivery: &Value, folder: &Path) -> PathBuf {
    let body = folder.join("body");
    let sent = &delivery["body"];
    let text = sent
        .as_str()
        .map_or_else(|| sent.to_string(), str::to_owned);
    std::fs::write(&body, text).expect("written");
    let headers: BTreeMap<String, String> =
        serde_json::from_value(delivery["headers"].clone()).expect("headers");
    let headers: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("--header={name}={value}"))
        .collect();
    let mut arguments = vec!["event", scheme, "--route", route, "--trigger", "direct"];
    arguments.extend(["--body", body.to_str().expect("a path")]);
    arguments.extend(headers.iter().map(String::as_str));
    let event = folder.join("signed.json");
    let signed = masshook(config, true, &arguments);
    std::fs::write(&event, signed.to_string()).expect("written");
    event
}

#[test]
fn each_event_makes_the_update_requests_that_stand_beside_it() {
    let folders = folders();
    assert!(!folders.is_empty());
    for folder in folders {
        let entries = std::fs::read_dir(&folder).expect("a folder");
        let mut files: Vec<String> = entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .into_string()
                    .expect("a name")
            })
            .collect();
        files.sort();
        assert_eq!(files, FILES, "{}", folder.display());

        let path = folder.join("masshook.yaml");
        let config = Config::load(&path, Programs::Compile);
        let config = config.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let expected = read(&folder.join("expected.json"));
        let event = folder.join("event.json");
        let found = preview(&path, false, &event);
        assert_eq!(requests(&found), expected, "{}", event.display());

        let route = found["route"].as_str().expect("a route");
        assert_eq!(
            Some(route),
            folder.file_name().and_then(|name| name.to_str())
        );
        if let Verify::Schemes(proofs) = &config.routes[route].verify {
            for proof in proofs {
                let scratch = tempfile::tempdir().expect("a folder");
                let name = proof.scheme.name();
                let event = signed(&path, route, name, &read(&event), scratch.path());
                let found = preview(&path, true, &event);
                let said = found["verification"].as_str().unwrap_or_default();
                assert!(said.starts_with("verified: "), "{route}: {found}");
                assert_eq!(requests(&found), expected, "{route}, signed by {name}");
            }
        }
    }
}

/// Zoho notifies of our own update as of any other. That notification must lead to nothing.
#[test]
fn the_notification_of_an_update_by_the_notifications_route_leads_to_nothing() {
    let folder = manifest("examples/routes/zoho-crm-notifications");
    let mut event = read(&folder.join("event.json"));
    let expected = read(&folder.join("expected.json"));
    let update = &expected[0];
    let ids = update["ids"].as_array().expect("ids");
    let fields = update["fields"].as_object().expect("fields");
    let body = &mut event["body"];
    body["ids"] = json!(ids);
    let values = ids
        .iter()
        .map(|id| json!({"record_id": id, "values": fields}));
    body["affected_values"] = values.collect();
    let names: Vec<&String> = fields.keys().collect();
    let changed = ids
        .iter()
        .map(|id| json!({id.as_str().expect("an id"): names}));
    body["affected_fields"] = changed.collect();
    let scratch = tempfile::tempdir().expect("a folder");
    let path = scratch.path().join("event.json");
    std::fs::write(&path, event.to_string()).expect("written");
    let found = preview(&folder.join("masshook.yaml"), false, &path);
    assert_eq!(requests(&found), json!([]));
}
