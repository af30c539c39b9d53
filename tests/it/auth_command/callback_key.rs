//! `masshook auth --callback-key`: keys that sign callbacks.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::interface_judges;

/// Runs a command with this config; returns exit code and document.
fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_masshook"))
        .args(arguments)
        .args(["--json", "--config", "masshook.yaml"])
        .current_dir(folder)
        .env_clear()
        .env(
            "ZOHO",
            r#"{"client_id": "1", "client_secret": "2", "refresh_token": "3"}"#,
        )
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    // A message may name the prefix of private keys, but no key.
    let shown = ["whsk_", "whsec_"]
        .iter()
        .flat_map(|prefix| text.split(prefix).skip(1));
    for rest in shown {
        assert!(
            !rest.starts_with(|c: char| c.is_ascii_alphanumeric()),
            "{text}"
        );
    }
    let document = serde_json::from_slice(&output.stdout);
    let document = document.unwrap_or_else(|error| panic!("{error}: {text}{:?}", output.stderr));
    (output.status.code(), document)
}

fn folder_with(signing_secret: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let config = format!(
        "connections: {{ default: {{ credentials: env:ZOHO }} }}\ncallbacks: {{ signing_secret: {signing_secret} }}\n"
    );
    std::fs::write(folder.path().join("masshook.yaml"), config).expect("written");
    folder
}

#[test]
fn callback_keys_fill_the_empty_places() {
    let folder = folder_with("[\"file:keys/first.key\", \"file:second.key\"]");
    let folder = folder.path();
    let make = |kind| run(folder, &["auth", "--callback-key", kind]);

    let (code, made) = make("ed25519");
    assert_eq!(code, Some(0), "{made}");
    assert_eq!(
        (&made["kind"], &made["saved"]),
        (&"ed25519".into(), &"file:keys/first.key".into())
    );
    let public = made["public_key"]
        .as_str()
        .expect("a public key")
        .to_owned();
    let private = std::fs::read_to_string(folder.join("keys/first.key")).expect("a file");
    assert!(private.starts_with("whsk_"));

    let (code, made) = make("hmac");
    assert_eq!(code, Some(0), "{made}");
    assert_eq!(
        (&made["saved"], &made["public_key"]),
        (&"file:second.key".into(), &Value::Null)
    );

    // No key is replaced.
    let (code, refused) = make("ed25519");
    assert_eq!(code, Some(2), "{refused}");
    assert!(
        refused.to_string().contains("has a secret already"),
        "{refused}"
    );
    let unchanged = std::fs::read_to_string(folder.join("keys/first.key")).expect("a file");
    assert_eq!(unchanged, private);

    // `check` shows the public key, and an implementation of Ed25519 that shares no code agrees.
    let (code, checked) = run(folder, &["check"]);
    assert_eq!(code, Some(0), "{checked}");
    assert!(checked.to_string().contains(&public), "{checked}");
    let script = "import base64, sys
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
raw = base64.b64decode(sys.argv[1].strip().removeprefix('whsk_'))
public = Ed25519PrivateKey.from_private_bytes(raw[:32]).public_key().public_bytes_raw()
assert raw[32:] == public
print('whpk_' + base64.b64encode(public).decode())";
    let judged = Command::new(interface_judges())
        .args(["-c", script, &private])
        .output();
    let judged = judged.expect("Python runs");
    assert_eq!(
        String::from_utf8_lossy(&judged.stdout).trim(),
        public,
        "{judged:?}"
    );
}

#[test]
fn unusable_callback_keys_are_reported() {
    let folder = folder_with("\"file:callback.key\"");
    let folder = folder.path();
    let public = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    for (key, problem) in [
        (public, "it is a public key"),
        (
            "whsk_c2hvcnQ=",
            "its key has 5 bytes, but a private Ed25519 key has 32",
        ),
    ] {
        std::fs::write(folder.join("callback.key"), key).expect("written");
        let (code, checked) = run(folder, &["check"]);
        assert_eq!(code, Some(1), "{checked}");
        assert!(checked.to_string().contains(problem), "{checked}");
    }
    let nowhere = folder_with("\"env:CALLBACKS\"");
    let (code, refused) = run(nowhere.path(), &["auth", "--callback-key", "hmac"]);
    assert_eq!(code, Some(2), "{refused}");
    assert!(
        refused
            .to_string()
            .contains("env:CALLBACKS cannot be set from here"),
        "{refused}"
    );
}
