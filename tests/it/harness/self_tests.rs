//! Tests of the harness itself.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Harness, Moto, Receiver, Rie, RieOptions, http_client, repo_path};

// CONTRIBUTING.md shows this test.
#[tokio::test]
async fn delivery_updates_the_record_and_retries_callback() {
    let world = Harness::new().callback_statuses(&[503]).start().await;
    let lead = world.lead(3);

    let delivery = json!({"kind": "form", "event": "e1", "ids": [lead]});
    let answer = world.deliver(&delivery).await;

    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.job()["status"], "succeeded");
    assert_eq!(world.record("Leads", &lead).await["Lead_Source"], "Webinar");
    assert_eq!(world.count("mass_update_post").await, 1);
    let callbacks = world.receiver.all();
    assert_eq!(callbacks.len(), 2, "the first one was answered with 503");
    assert_eq!(callbacks[1].verified_at_its_time()["type"], "job.succeeded");
}

fn echo() -> RieOptions {
    RieOptions {
        bootstrap: repo_path("tests/tools/echo_function.py"),
        ..RieOptions::default()
    }
}

#[tokio::test]
async fn emulator_runs_function_in_clean_environment() {
    let rie = Rie::start(&RieOptions {
        env: vec![(
            "MASSHOOK_CONFIG".to_owned(),
            "/opt/masshook.yaml".to_owned(),
        )],
        timeout_s: 5,
        ..echo()
    });
    // At once: the harness must queue them.
    let (first, second) = (json!({"number": 1}), json!({"number": 2}));
    let (first, second) = tokio::join!(rie.invoke(&first), rie.invoke(&second));
    assert_eq!(
        [&first["event"], &second["event"]],
        [&json!({"number": 1}), &json!({"number": 2})]
    );
    assert_eq!(
        first["process"], second["process"],
        "the second invocation is warm"
    );
    let environment = &first["environment"];
    assert_eq!(environment["MASSHOOK_CONFIG"], "/opt/masshook.yaml");
    assert_eq!(environment["AWS_LAMBDA_FUNCTION_TIMEOUT"], "5");
    assert_eq!(
        environment["CARGO_MANIFEST_DIR"],
        json!(null),
        "cargo's environment stays out"
    );
    assert!(
        rie.logs().contains(r#"echo: {"number": 1}"#),
        "{}",
        rie.logs()
    );
}

#[tokio::test]
async fn function_ends_with_its_emulator() {
    let rie = Rie::start(&echo());
    let answer = rie.invoke(&json!({})).await;
    let process = Path::new("/proc").join(answer["process"].to_string());
    assert!(process.exists());
    drop(rie);
    let over = Instant::now() + Duration::from_secs(10);
    while process.exists() && Instant::now() < over {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!process.exists(), "{} still runs", process.display());
}

#[tokio::test]
async fn receiver_follows_script_and_keeps_order() {
    let mut receiver = Receiver::start(&[503, 410]).await;
    let client = http_client();
    let mut statuses = Vec::new();
    for number in 0..3 {
        let request = client
            .post(receiver.url("/zoho?from=test"))
            .header("webhook-id", "msg_1")
            .body(format!("{number}"));
        statuses.push(request.send().await.expect("an answer").status().as_u16());
    }
    assert_eq!(statuses, [503, 410, 200]);
    let first = receiver.next().await;
    assert_eq!(
        (first.method.as_str(), first.uri.to_string().as_str()),
        ("POST", "/zoho?from=test")
    );
    assert_eq!(first.header("webhook-id"), "msg_1");
    assert_eq!(receiver.next().await.body, "1");
    assert_eq!(receiver.wait_for(3).await[2].body, "2");
}

#[test]
fn moto_environment_contains_its_url() {
    let moto = Moto::shared();
    assert!(
        moto.environment()
            .contains(&("AWS_ENDPOINT_URL".to_owned(), moto.url()))
    );
}
