//! Limits, scripted responses and random faults.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::harness::{LEAD, TestBench, TestResponse};
use crate::Settings;

fn update_body(city: &str) -> Value {
    json!({"data": [{"City": city}], "ids": [LEAD]})
}

#[tokio::test]
async fn unknown_switch_error_lists_known_switches() {
    let bench = TestBench::new().await;
    let response = bench.faults(json!({"latncy_ms": 1})).await;
    assert_eq!(response.status, 400);
    assert!(
        response.json["error"]
            .as_str()
            .unwrap()
            .contains("latency_ms")
    );
    let response = bench.faults(json!({"retry_after_s": 7})).await;
    assert_eq!(
        (response.status, &response.json["retry_after_s"]),
        (200, &json!(7))
    );
    assert_eq!(bench.get("/_sim/faults").await.json["retry_after_s"], 7);
}

#[tokio::test]
async fn scripted_responses_are_served_in_order() {
    let bench = TestBench::new().await;
    bench
        .faults(json!({"next": [
            {"kind": "token", "status": 503},
            {"kind": "mass_update_post", "status": 429, "headers": {"Retry-After": "3"}},
            {"kind": "mass_update_post", "status": 502},
            {"kind": "mass_update_post", "status": 504, "apply": true},
            {"kind": "mass_update_post", "status": 418, "body": {"short": true}},
            {"kind": "mass_update_post", "status": 500, "html": "<p>no</p>"},
            {"kind": "mass_update_post"},
            {"kind": "mass_update_post", "status": 401},
        ]}))
        .await;
    let response = bench.update("Leads", update_body("A")).await;
    assert_eq!(response.code(), (429, "TOO_MANY_REQUESTS"));
    assert_eq!(response.headers["retry-after"], "3");
    let response = bench.update("Leads", update_body("A")).await;
    assert_eq!(
        (response.status, response.text.contains("<html>")),
        (502, true)
    );
    assert_ne!(bench.record("Leads", LEAD).await["City"], "A");
    assert_eq!(bench.update("Leads", update_body("A")).await.status, 504);
    assert_eq!(bench.record("Leads", LEAD).await["City"], "A");
    assert_eq!(
        bench.update("Leads", update_body("B")).await.json,
        json!({"short": true})
    );
    assert_eq!(
        bench.update("Leads", update_body("B")).await.text,
        "<p>no</p>"
    );
    assert_eq!(bench.update("Leads", update_body("B")).await.status, 200);
    assert_eq!(
        bench.update("Leads", update_body("C")).await.code(),
        (401, "INVALID_TOKEN")
    );
    assert_eq!(bench.update("Leads", update_body("C")).await.status, 200);
    assert_eq!(
        bench.request_token().await.code(),
        (503, "SERVICE_UNAVAILABLE")
    );
    assert_eq!(bench.request_token().await.status, 200);
}

#[tokio::test]
async fn connection_resets_before_or_after_apply() {
    let bench = TestBench::new().await;
    let post = |city: &str| {
        bench
            .authorized("POST", "/crm/v7/Leads/actions/mass_update")
            .body(update_body(city).to_string())
            .send()
    };
    bench
        .faults(json!({"next": [
            {"kind": "mass_update_post", "reset": true},
            {"kind": "mass_update_post", "reset_after_apply": true},
        ]}))
        .await;
    assert!(post("A").await.is_err());
    assert_ne!(bench.record("Leads", LEAD).await["City"], "A");
    assert!(post("B").await.is_err());
    assert_eq!(bench.record("Leads", LEAD).await["City"], "B");
    bench.faults(json!({"reset_after_apply": 1.0})).await;
    assert!(post("C").await.is_err());
    assert_eq!(bench.record("Leads", LEAD).await["City"], "C");
    bench.faults(json!({"reset": true})).await;
    assert_eq!(post("D").await.unwrap().status(), 200);
    assert_eq!(bench.get("/_sim/stats").await.json["mass_update_post"], 4);
}

#[tokio::test]
async fn delayed_response_follows_applied_request() {
    let bench = TestBench::new().await;
    bench
        .faults(json!({"next": [{"kind": "mass_update_post", "delay_ms": 10000}]}))
        .await;
    let request = bench
        .authorized("POST", "/crm/v7/Leads/actions/mass_update")
        .timeout(Duration::from_millis(800))
        .body(update_body("A").to_string());
    assert!(request.send().await.unwrap_err().is_timeout());
    assert_eq!(bench.record("Leads", LEAD).await["City"], "A");
}

#[tokio::test]
async fn simultaneous_requests_are_counted_and_limited() {
    let bench = TestBench::new().await;
    bench
        .faults(json!({"latency_ms": 800, "concurrency": 2, "retry_after_s": 1}))
        .await;
    let send = || async {
        let request = bench.authorized("GET", "/crm/v7/Leads/actions/mass_update?job_id=1");
        TestResponse::read(request.send().await.unwrap()).await
    };
    let started = Instant::now();
    let (one, two, three) = tokio::join!(send(), send(), send());
    assert!(started.elapsed() >= Duration::from_millis(800));
    let mut statuses = [one.status, two.status, three.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [404, 404, 429]);
    assert_eq!(bench.get("/_sim/stats").await.json["max_in_flight"], 3);
    for (variant, code) in [
        ("short", "TOO_MANY_REQUESTS"),
        ("retry_after", "TOO_MANY_REQUESTS"),
        ("rate_limit", "RATE_LIMIT_EXCEEDED"),
    ] {
        bench
            .faults(json!({"latency_ms": 0, "rate_429": 1.0, "too_many_body": variant}))
            .await;
        let response = send().await;
        assert_eq!(response.code(), (429, code));
        assert_eq!(response.headers["retry-after"], "1");
    }
}

#[tokio::test]
async fn spent_credits_cause_429_until_reset() {
    let bench = TestBench::new().await;
    bench
        .faults(json!({"credits": 4, "mass_update_credits": 2}))
        .await;
    let response = bench.update("Leads", update_body("A")).await;
    assert_eq!(response.headers["x-api-credits-remaining"], "2");
    let response = bench.update("Leads", update_body("A")).await;
    assert_eq!(
        (
            response.status,
            &response.headers["x-api-credits-remaining"]
        ),
        (200, &"0".parse().unwrap())
    );
    let response = bench.update("Leads", update_body("A")).await;
    assert_eq!(
        (
            response.status,
            &response.headers["x-api-credits-remaining"]
        ),
        (429, &"0".parse().unwrap())
    );
    bench.faults(json!({"reset": true})).await;
    let response = bench.update("Leads", update_body("A")).await;
    assert!(response.headers.get("x-api-credits-remaining").is_none());
}

#[tokio::test]
async fn same_seed_causes_same_faults() {
    let mut runs = Vec::new();
    for seed in [7, 7, 8] {
        let bench = TestBench::with(Settings {
            rude: Some(seed),
            ..Settings::default()
        })
        .await;
        bench
            .faults(json!({"latency_jitter_ms": 0, "rate_token_error": 0.0}))
            .await;
        let token = bench.request_token().await.json["access_token"]
            .as_str()
            .unwrap()
            .to_owned();
        let mut statuses = Vec::new();
        for _ in 0..60 {
            let request = bench
                .request("POST", "/crm/v7/Leads/actions/mass_update")
                .header("authorization", format!("Zoho-oauthtoken {token}"))
                .body(update_body("A").to_string());
            statuses.push(
                request
                    .send()
                    .await
                    .map_or(0, |response| response.status().as_u16()),
            );
        }
        runs.push(statuses);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
    assert!(runs[0].contains(&200) && runs[0].iter().any(|status| *status != 200));
}
