//! `masshook health`, which container health checks run.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::harness::{Harness, free_port};

fn health(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_masshook"));
    let output = command.arg("health").args(arguments).output();
    output.expect("it runs")
}

#[tokio::test]
async fn running_server_is_healthy() {
    let world = Harness::new().served().start().await;
    // The URL of the server, and that of its health.
    for path in ["", "/health", "/health/"] {
        let url = world.url(path);
        let output = tokio::task::spawn_blocking(move || health(&["--url", &url, "--json"])).await;
        let output = output.expect("no panic");
        assert!(output.status.success(), "{output:?}");
        let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(
            (&answer["healthy"], &answer["status"]),
            (&json!(true), &json!(200))
        );
    }
}

#[test]
fn absent_server_is_unhealthy() {
    let url = format!("http://127.0.0.1:{}", free_port());
    let output = health(&["--url", &url, "--timeout", "2"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("does not answer"), "{text}");
}

#[test]
fn invalid_url_is_a_usage_error() {
    for arguments in [["--url", "nonsense"], ["--timeout", "0"]] {
        let output = health(&arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
}
