//! `masshook check --live` against the simulator.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::world::World;

/// Runs the command over a connection of this world, with further lines.
async fn check(world: &World, credentials: &Value, lines: &str) -> (Output, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("zoho.json");
    std::fs::write(&secret, credentials.to_string()).expect("written");
    let zoho = world.simulator.url();
    let text = format!(
        "connections:\n  default:\n    credentials: file:{}\n    accounts_url: {zoho}\n    api_url: {zoho}\n    {lines}\n",
        secret.display()
    );
    let config = folder.path().join("masshook.yaml");
    std::fs::write(&config, text).expect("written");
    let run = move || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_masshook"));
        let command = command.args(["check", "--live", "--json", "--config"]);
        command.arg(&config).output().expect("run")
    };
    let output = tokio::task::spawn_blocking(run).await.expect("run");
    drop(folder);
    let document = serde_json::from_slice(&output.stdout).expect("JSON");
    (output, document)
}

/// What was found of one thing.
fn found<'a>(document: &'a Value, what: &str) -> (&'a str, &'a str) {
    let list = document["connections"]["default"]
        .as_array()
        .expect("a list");
    let row = list.iter().find(|row| row["check"] == what).expect(what);
    let text = |key: &str| row[key].as_str().expect("a text");
    (text("result"), text("found"))
}

#[tokio::test]
async fn a_good_connection_is_proven() {
    let world = World::calm(&[]).await;
    let credentials = world.simulator.announcement()["credentials"].clone();
    let (output, document) = check(&world, &credentials, "edition: enterprise").await;
    assert!(output.status.success(), "{document:#}");
    assert_eq!(document["ok"], true);
    for what in ["token", "mass update", "edition", "modules", "territories"] {
        assert_eq!(found(&document, what).0, "ok", "{what}: {document:#}");
    }
    assert!(found(&document, "mass update").1.contains("POST 1 credits"));
    assert!(found(&document, "edition").1.contains("20 calls at once"));
    assert_eq!(
        world.count("mass_update_post").await,
        0,
        "nothing is changed"
    );
}

#[tokio::test]
async fn what_is_wrong_is_named_and_no_secret_shown() {
    let world = World::calm(&[]).await;
    let mut credentials = world.simulator.announcement()["credentials"].clone();
    // More calls at once than the edition has, and a scope that only a look needs.
    world
        .faults(
            &json!({"edition": "free", "scopes": "ZohoCRM.mass_update.UPDATE ZohoCRM.org.READ"}),
        )
        .await;
    let (output, document) = check(&world, &credentials, "max_concurrency: 20").await;
    assert_eq!(output.status.code(), Some(1), "{document:#}");
    assert_eq!(found(&document, "edition").0, "bad");
    assert_eq!(found(&document, "territories").0, "note");
    // Credentials that were revoked.
    credentials["refresh_token"] = json!("hunter2");
    let (output, document) = check(&world, &credentials, "").await;
    assert_eq!(output.status.code(), Some(1));
    let (result, why) = found(&document, "token");
    assert_eq!(result, "bad");
    assert!(
        why.contains("invalid_code") && why.contains("revoked"),
        "{why}"
    );
    let shown = [output.stdout, output.stderr].concat();
    assert!(!String::from_utf8_lossy(&shown).contains("hunter2"));
}
