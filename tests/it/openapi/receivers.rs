//! The example receivers, whose types are generated from the document, take real callbacks.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use super::document_in;
use crate::harness::{
    CALLBACK_SECRET, Harness, Received, interface_judges, node, repo_path, typescript_tools,
};

/// A callback as a receiver gets it, for a script that reads it from standard input.
fn input(callback: &Received, key: &str) -> Value {
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let headers: serde_json::Map<String, Value> = names
        .iter()
        .map(|name| ((*name).to_owned(), json!(callback.header(name))))
        .collect();
    json!({
        "headers": headers,
        "body": String::from_utf8_lossy(&callback.body),
        "key": key,
        "now": callback.header("webhook-timestamp").parse::<u64>().expect("seconds"),
    })
}

fn run(command: &mut Command, input: &Value) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin
        .write_all(input.to_string().as_bytes())
        .expect("it reads");
    drop(stdin);
    stdout(&child.wait_with_output().expect("it ends"))
}

fn stdout(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

fn copy(example: &str, folder: &Path) {
    for entry in std::fs::read_dir(repo_path(example)).expect("an example") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        std::fs::copy(&path, folder.join(name)).expect("copied");
    }
}

/// A private key (the seed of the first vector in RFC 8032) and its public key.
const PRIVATE_KEY: &str = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
const PUBLIC_KEY: &str = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

/// Real callbacks: of an updated record and of a record that does not exist. They have two signatures: of the harness's secret
/// and of [`PRIVATE_KEY`].
async fn callbacks() -> Vec<Received> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("callback.key");
    std::fs::write(&file, PRIVATE_KEY).expect("written");
    let world = Harness::new()
        .config(|config| {
            let (before, rest) = config.split_once("signing_secret: ").expect("a key");
            let (secret, after) = rest.split_once(',').expect("its end");
            let file = file.display();
            format!("{before}signing_secret: [{secret}, \"file:{file}\"],{after}")
        })
        .start()
        .await;
    let lead = world.lead(3);
    for (event, id) in [("e1", lead.as_str()), ("e2", "999999999999999999")] {
        let delivery = json!({"kind": "form", "event": event, "ids": [id]});
        assert_eq!(world.deliver(&delivery).await.status, 200);
    }
    world.receiver.wait_for(2).await
}

#[tokio::test]
async fn generated_typescript_types_fit_real_callbacks() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    copy("examples/receivers/typescript", folder);
    let document = document_in(folder);
    let modules = typescript_tools().join("node_modules");
    std::os::unix::fs::symlink(&modules, folder.join("node_modules")).expect("linked");
    let tool = |script: &str| {
        let mut node = Command::new(node());
        node.arg(modules.join(script)).current_dir(folder);
        node
    };
    let generated = tool("openapi-typescript/bin/cli.js")
        .arg(document)
        .args(["--output", "masshook.ts"])
        .output();
    stdout(&generated.expect("it runs"));
    // The script passes a callback as the receiver's server does, and is compiled with it.
    let script = "import { readFileSync } from 'node:fs';
import { describe, isSigned } from './receiver.js';
import type { Callback } from './receiver.js';
const { headers, body, key, now } = JSON.parse(readFileSync(0, 'utf8'));
const callback: Callback = JSON.parse(body);
const wrong = Buffer.from(body + ' ');
console.log(isSigned(headers, Buffer.from(body), key, now * 1000), isSigned(headers, wrong, key, now * 1000), describe(callback));
";
    std::fs::write(folder.join("check.ts"), script).expect("written");
    let config = std::fs::read_to_string(folder.join("tsconfig.json")).expect("a config");
    let config = config.replace("\"receiver.ts\"", "\"receiver.ts\", \"check.ts\"");
    std::fs::write(folder.join("tsconfig.json"), config).expect("written");
    stdout(&tool("typescript/bin/tsc").output().expect("it runs"));
    let check = |callback: &Received, key: &str| {
        let mut node = Command::new(node());
        node.arg("check.js").current_dir(folder);
        run(&mut node, &input(callback, key))
    };
    let callbacks = callbacks().await;
    for key in [CALLBACK_SECRET, PUBLIC_KEY] {
        let updated = check(&callbacks[0], key);
        assert!(updated.starts_with("true false job_"), "{key}: {updated}");
        assert!(updated.contains(": 1 records updated"), "{updated}");
        let failed = check(&callbacks[1], key);
        assert!(failed.starts_with("true false job_"), "{key}: {failed}");
        assert!(
            failed.contains(": 1 records failed: INVALID_DATA"),
            "{failed}"
        );
    }
    let unknown = PUBLIC_KEY.replace("11qY", "21qY");
    assert!(check(&callbacks[0], &unknown).starts_with("false false job_"));
}

#[tokio::test]
async fn generated_python_types_fit_real_callbacks() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    copy("examples/receivers/python", folder);
    let document = document_in(folder);
    let python = interface_judges();
    let generated = Command::new(python.with_file_name("datamodel-codegen"))
        .arg("--input")
        .arg(document)
        .args(["--input-file-type", "openapi"])
        .args(["--output-model-type", "pydantic_v2.BaseModel"])
        .args(["--output", "masshook.py"])
        .current_dir(folder)
        .output();
    stdout(&generated.expect("it runs"));
    let script = "import json, sys
from masshook import Callback
from receiver import describe, is_signed
work = json.load(sys.stdin)
body = work['body'].encode()
callback = Callback.model_validate_json(body)
print(is_signed(work['headers'], body, work['key'], work['now']), is_signed(work['headers'], body + b' ', work['key'], work['now']), describe(callback))";
    let check = |callback: &Received, key: &str| {
        let mut command = Command::new(python);
        command.args(["-c", script]).current_dir(folder);
        run(&mut command, &input(callback, key))
    };
    let callbacks = callbacks().await;
    for key in [CALLBACK_SECRET, PUBLIC_KEY] {
        let updated = check(&callbacks[0], key);
        assert!(updated.starts_with("True False job_"), "{key}: {updated}");
        assert!(updated.contains(": 1 records updated"), "{updated}");
        let failed = check(&callbacks[1], key);
        assert!(failed.starts_with("True False job_"), "{key}: {failed}");
        assert!(
            failed.contains(": 1 records failed: INVALID_DATA"),
            "{failed}"
        );
    }
    let unknown = PUBLIC_KEY.replace("11qY", "21qY");
    assert!(check(&callbacks[0], &unknown).starts_with("False False job_"));
}
