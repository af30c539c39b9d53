//! The Zoho client against the simulator: tokens, retries, refusals.

use serde_json::{Value, json};

use crate::harness::{Answer, CALLBACK_SECRET, Harness, SENDER_SECRET, World};

async fn update(world: &World) -> Answer {
    let body = json!({"module": "Leads", "fields": {"Rating": "Active"}, "ids": [world.id("Leads", 1), world.id("Leads", 2)]});
    world.post_job("", &body, &[]).await
}

async fn view(world: &World, name: &str) -> Answer {
    let id = world.zoho()["views"]["Leads"][name]["id"].clone();
    world
        .post_job(
            "",
            &json!({"module": "Leads", "fields": {"Lead_Status": "Contacted"}, "cvid": id}),
            &[],
        )
        .await
}

fn assert_ends(answer: &Answer, status: &str, code: &str) {
    let job = answer.job();
    assert_eq!(
        (&job["status"], &job["error"]["code"]),
        (&json!(status), &json!(code)),
        "{job:#}"
    );
}

#[tokio::test]
async fn token_is_cached_until_it_expires() {
    let world = Harness::new().start().await;
    for _ in 0..3 {
        assert_eq!(update(&world).await.job()["status"], "succeeded");
    }
    assert_eq!(world.count("token").await, 1);
    // Zoho revokes it early: one refresh, one retry.
    world.faults(&json!({"expire_tokens": true})).await;
    let answer = update(&world).await;
    assert_eq!(
        (
            &answer.job()["status"],
            &answer.job()["calls"][0]["attempts"]
        ),
        (&json!("succeeded"), &json!(2))
    );
    assert_eq!(world.count("token").await, 2);
    // It has expired by our clock: no call is sent with it.
    world.clock.advance(std::time::Duration::from_secs(3541));
    assert_eq!(update(&world).await.job()["calls"][0]["attempts"], 1);
    assert_eq!(world.count("token").await, 3);
}

#[tokio::test]
async fn token_response_variants_are_understood() {
    let world = Harness::new().rude().start().await;
    for faults in [
        json!({"invalid_token_code": "INVALID_OAUTHTOKEN", "expire_tokens": true}),
        json!({"expires_in_ms": true, "expire_tokens": true}),
        json!({"omit_api_domain": true, "omit_scope": true, "expire_tokens": true}),
    ] {
        world.faults(&faults).await;
        assert_eq!(
            update(&world).await.job()["status"],
            "succeeded",
            "{faults}"
        );
    }
}

#[tokio::test]
async fn refused_fresh_token_names_data_centre() {
    let world = Harness::new().start().await;
    world.faults(&json!({"foreign_data_center": true})).await;
    let answer = update(&world).await;
    assert_ends(&answer, "failed", "INVALID_TOKEN");
    assert!(
        answer.job()["error"]["advice"]
            .as_str()
            .is_some_and(|advice| advice.contains("data_center"))
    );
    assert_eq!(
        (
            world.count("token").await,
            world.count("mass_update_post").await
        ),
        (2, 2)
    );
}

#[tokio::test]
async fn invalid_credentials_fail_job_with_advice() {
    for (secret, code) in [
        ("wrong-client", "invalid_client"),
        ("not-json", "BAD_CREDENTIALS"),
        ("gone", "SECRET_UNAVAILABLE"),
    ] {
        let reference = format!("secretsmanager:{secret}");
        let world = Harness::new()
            .rude()
            .config(|config| config.replace("secretsmanager:zoho", &reference))
            .start()
            .await;
        let answer = update(&world).await;
        assert_ends(&answer, "failed", code);
        assert!(answer.job()["error"]["advice"].is_string());
        assert!(!answer.body.to_string().contains("hunter2"));
        assert_eq!(world.count("mass_update_post").await, 0);
    }
}

#[tokio::test]
async fn wrong_data_centre_is_detected_at_both_hosts() {
    let elsewhere = "was registered in another data centre";
    for (code, is_told) in [
        ("invalid_client", true),
        ("invalid_client_secret", false),
        ("invalid_code", false),
    ] {
        let world = Harness::new().start().await;
        let refusal = json!({"kind": "token", "status": 200, "body": {"error": code}, "times": 9});
        world.faults(&json!({"next": [refusal]})).await;
        let answer = update(&world).await;
        assert_ends(&answer, "failed", code);
        let message = answer.job()["error"]["message"].to_string();
        let names = message.contains("(data centre us)") && message.contains(elsewhere);
        assert_eq!(names, is_told, "{message}");
        assert_eq!(world.count("token").await, 1, "{code} is no loop");
    }
    let world = Harness::new().start().await;
    let faults = json!({"foreign_data_center": true, "api_domain": "https://www.zohoapis.eu"});
    world.faults(&faults).await;
    let answer = update(&world).await;
    assert_ends(&answer, "failed", "INVALID_TOKEN");
    let message = answer.job()["error"]["message"].to_string();
    assert!(
        message.contains("the token is for eu, the connection says us"),
        "{message}"
    );
}

#[tokio::test]
async fn clock_skew_does_not_disturb_token_or_waits() {
    let world = Harness::new().start().await;
    let (status, _) = world
        .zoho_request("POST", "/_sim/clock", Some(&json!({"advance_s": 600})))
        .await;
    assert_eq!(status, 200);
    let throttled =
        json!({"kind": "mass_update_post", "status": 429, "headers": {"Retry-After": "3"}});
    world.faults(&json!({"next": [throttled]})).await;
    let before = world.now();
    assert_eq!(update(&world).await.job()["status"], "succeeded");
    let waited = world.now().duration_since(before).as_secs();
    assert!((3..60).contains(&waited), "{waited} s");
    world.clock.advance(std::time::Duration::from_secs(3_400));
    assert_eq!(update(&world).await.job()["calls"][0]["attempts"], 1);
    assert_eq!(world.count("token").await, 1);
}

#[tokio::test]
async fn token_throttle_is_honoured_for_its_window() {
    for faults in [
        json!({"mints_per_window": 0}),
        json!({"mints_per_window": 0, "localised_error": true, "throttle_status": 200}),
    ] {
        let world = Harness::new().start().await;
        world.faults(&faults).await;
        // Three calls of one job and another job send one token request together.
        let ids: Vec<String> = (0..1_200).map(|place| world.id("Leads", place)).collect();
        let wide = json!({"module": "Leads", "fields": {"Rating": "Active"}, "ids": ids});
        let answer = world.post_job("", &wide, &[]).await;
        assert_eq!(
            (answer.status, &answer.job()["status"]),
            (503, &json!("queued"))
        );
        assert!(answer.headers.contains_key("retry-after"));
        assert_eq!(
            update(&world).await.job()["calls"][0]["error"]["code"],
            "TOKEN_THROTTLED"
        );
        assert_eq!(world.count("token").await, 1);
        world.faults(&json!({"mints_per_window": 10})).await;
        world.clock.advance(std::time::Duration::from_secs(600));
        assert_eq!(update(&world).await.job()["status"], "succeeded");
        assert_eq!(world.count("token").await, 2);
    }
}

#[tokio::test]
async fn transient_errors_are_retried_after_retry_after() {
    let world = Harness::new().start().await;
    for (next, attempts) in [
        (
            json!([{"kind": "mass_update_post", "status": 500}, {"kind": "mass_update_post", "status": 502, "html": "<h1>Bad Gateway</h1>"}]),
            3,
        ),
        (
            json!([{"kind": "mass_update_post", "status": 429, "headers": {"Retry-After": "3"}}]),
            2,
        ),
        (json!([{"kind": "mass_update_post", "reset": true}]), 2),
        (
            json!([{"kind": "mass_update_post", "reset_after_apply": true}]),
            2,
        ),
        (
            json!([{"kind": "mass_update_post", "status": 200, "html": "<p>welcome</p>"}]),
            2,
        ),
        (
            json!([{"kind": "token", "status": 500}, {"kind": "token", "html": "<p>accounts</p>", "status": 200}]),
            1,
        ),
    ] {
        world
            .faults(&json!({"next": next, "expire_tokens": next[0]["kind"] == "token"}))
            .await;
        if next[0]["kind"] == "token" {
            world.clock.advance(std::time::Duration::from_secs(4000));
        }
        let before = world.now();
        let answer = update(&world).await;
        let job = answer.job();
        assert_eq!(
            (&job["status"], &job["calls"][0]["attempts"]),
            (&json!("succeeded"), &json!(attempts)),
            "{next}: {job:#}"
        );
        if next[0]["status"] == 429 {
            assert!(
                world.now() >= before + std::time::Duration::from_secs(3),
                "Retry-After is a lower bound"
            );
        }
    }
}

#[tokio::test]
async fn view_job_survives_ambiguous_answers() {
    for faults in [
        json!({"next": [{"kind": "mass_update_post", "reset_after_apply": true}]}),
        json!({"next": [{"kind": "mass_update_post", "reset_after_apply": true}], "already_scheduled_status": 400, "already_scheduled_in_data": true}),
        json!({"scheduled_as_object": true, "job_queued": true}),
        json!({"job_unknown_for_s": 20, "unknown_job": 404}),
        json!({"job_unknown_for_s": 20, "unknown_job": 400}),
        json!({"job_unknown_for_s": 20, "unknown_job": 204}),
        json!({"next": [{"kind": "mass_update_get", "status": 503, "times": 6}]}),
    ] {
        let world = Harness::new()
            .rude()
            .simulator(|settings| settings.job_duration = std::time::Duration::from_secs(30))
            .start()
            .await;
        world.faults(&faults).await;
        let answer = view(&world, "some").await;
        assert_eq!(
            answer.job()["status"],
            "succeeded",
            "{faults}: {:#}",
            answer.job()
        );
    }
}

#[tokio::test]
async fn scheduled_job_takes_status_from_zoho() {
    let world = Harness::new().start().await;
    let answer = view(&world, "all").await;
    let counts = &answer.job()["counts"];
    assert_eq!(
        answer.job()["status"],
        "partially_succeeded",
        "records in a bad state fail: {:#}",
        answer.job()
    );
    assert!(counts["failed"].as_u64().is_some_and(|failed| failed > 0));
    assert_ends(&view(&world, "empty").await, "failed", "NO_RECORDS_FOUND");
    world.faults(&json!({"job_fate": "fail"})).await;
    assert_eq!(view(&world, "some").await.job()["status"], "failed");
    world.faults(&json!({"job_fate": "vanish"})).await;
    assert_ends(&view(&world, "some").await, "failed", "JOB_NOT_FOUND");
    world.faults(&json!({"job_fate": "stuck"})).await;
    assert_eq!(
        view(&world, "some").await.job()["status"],
        "running",
        "a job that does not end stays running"
    );
}

#[tokio::test]
async fn permanent_refusal_fails_job_at_once() {
    let world = Harness::new().rude().start().await;
    world
        .faults(&json!({"scopes": "ZohoCRM.modules.READ"}))
        .await;
    assert_ends(&update(&world).await, "failed", "OAUTH_SCOPE_MISMATCH");
    world
        .faults(&json!({"reset": true, "no_api_access": true, "expire_tokens": true}))
        .await;
    assert_ends(&update(&world).await, "failed", "NO_PERMISSION");
    world.faults(&json!({"reset": true})).await;
    let body =
        json!({"module": "Projects", "fields": {"A": 1}, "ids": (1..=1_200).collect::<Vec<u32>>()});
    let before = world.count("mass_update_post").await;
    let answer = world.post_job("", &body, &[]).await;
    assert_ends(&answer, "failed", "INVALID_MODULE");
    assert_eq!(answer.job()["counts"]["failed"], 1_200);
    let sent = world.count("mass_update_post").await - before;
    assert!(
        (1..=3).contains(&sent),
        "calls that cannot work are not all sent: {sent}"
    );
}

#[tokio::test]
async fn denied_permission_stops_further_calls() {
    let world = Harness::new().start().await;
    world.faults(&json!({"may_mass_update": false})).await;
    let body = json!({"module": "Leads", "fields": {"City": "Bonn"}, "ids": (1..=10_000).collect::<Vec<u32>>()});
    let answer = world.post_job("", &body, &[]).await;
    assert_ends(&answer, "failed", "NO_PERMISSION");
    let advice = answer.job()["error"]["advice"].to_string();
    assert!(advice.contains("Mass Update"), "{advice}");
    let sent = world.count("mass_update_post").await;
    assert!((1..=10).contains(&sent), "{sent} of 20 calls");
}

#[tokio::test]
async fn answer_about_other_records_is_no_success() {
    let world = Harness::new().start().await;
    let other = json!({"code": "SUCCESS", "details": {"id": world.id("Leads", 99)}, "message": "record updated", "status": "success"});
    let next = json!({"kind": "mass_update_post", "status": 200, "body": {"data": [other]}});
    world.faults(&json!({"next": [next]})).await;
    let answer = update(&world).await;
    let job = answer.job();
    assert_eq!(job["status"], "succeeded", "{job:#}");
    assert_eq!(job["calls"][0]["attempts"], 2, "{job:#}");
    assert_eq!(world.count("mass_update_post").await, 2);
}

#[tokio::test]
async fn answers_are_requested_and_read_with_gzip() {
    for gzip in [true, false] {
        let world = Harness::new().start().await;
        world.faults(&json!({"gzip": gzip})).await;
        assert_eq!(update(&world).await.job()["status"], "succeeded");
        let requests = world.requests().await;
        for request in requests.as_array().expect("requests") {
            let accepted = &request["headers"]["accept-encoding"];
            assert_eq!(accepted, "gzip", "{request:#}");
        }
    }
}

#[tokio::test]
async fn refused_field_does_not_stop_other_fields() {
    let world = Harness::new().rude().start().await;
    let body = json!({"module": "Leads", "fields": {"Rating": "Nonsense", "Industry": "Education"}, "ids": [world.id("Leads", 5)]});
    let answer = world.post_job("", &body, &[]).await;
    let job = answer.job();
    assert_eq!(job["status"], "partially_succeeded", "{job:#}");
    assert_eq!(
        (&job["calls"][0]["status"], &job["calls"][1]["status"]),
        (&json!("failed"), &json!("succeeded"))
    );
    assert_eq!(
        job["counts"],
        json!({"total": 1, "updated": 0, "failed": 1, "pending": 0})
    );
    assert_eq!(
        world.record("Leads", &world.id("Leads", 5)).await["Industry"],
        "Education"
    );
}

#[tokio::test]
async fn over_write_decides_append_or_replace() {
    let world = Harness::new().rude().start().await;
    let id = world.id("Leads", 7);
    let set = |topics: Value, over_write: bool| json!({"module": "Leads", "fields": {"Topics": topics}, "ids": [id.clone()], "over_write": over_write});
    assert_eq!(
        world
            .post_job("", &set(json!(["CRM"]), true), &[])
            .await
            .job()["status"],
        "succeeded"
    );
    assert_eq!(world.record("Leads", &id).await["Topics"], json!(["CRM"]));
    world
        .post_job("", &set(json!(["Billing"]), false), &[])
        .await;
    assert_eq!(
        world.record("Leads", &id).await["Topics"],
        json!(["CRM", "Billing"])
    );
}

#[tokio::test]
async fn mixed_answer_is_read_under_every_status() {
    for faults in [json!({"mixed_status": 200}), json!({"mixed_status": 207})] {
        let world = Harness::new().rude().start().await;
        world.faults(&faults).await;
        let ids = json!([world.id("Leads", 1), "9999999999999999999"]);
        let answer = world
            .post_job(
                "",
                &json!({"module": "Leads", "fields": {"Rating": "Active"}, "ids": ids}),
                &[],
            )
            .await;
        assert_eq!(
            answer.job()["counts"],
            json!({"total": 2, "updated": 1, "failed": 1, "pending": 0})
        );
        assert_eq!(answer.job()["failures"][0]["id"], "9999999999999999999");
    }
    for status in [200, 400] {
        let world = Harness::new().rude().start().await;
        world.faults(&json!({"all_failed_status": status})).await;
        let body = json!({"module": "Leads", "fields": {"Rating": "Active"}, "ids": ["9999999999999999998", "9999999999999999999"]});
        let answer = world.post_job("", &body, &[]).await;
        assert_eq!(
            (&answer.job()["status"], &answer.job()["counts"]["failed"]),
            (&json!("failed"), &json!(2))
        );
    }
}

#[tokio::test]
async fn secrets_appear_in_no_output() {
    let world = Harness::new().rude().start().await;
    let answer = update(&world).await;
    let delivered = world
        .deliver(&json!({"kind": "form", "event": "e", "ids": [world.id("Leads", 9)]}))
        .await;
    let requests = world.requests().await.to_string();
    let callbacks: String = world
        .receiver
        .all()
        .iter()
        .map(|callback| format!("{callback:?}"))
        .collect();
    let credentials = world.simulator.announcement()["credentials"].clone();
    let secrets = ["client_secret", "refresh_token"]
        .map(|key| credentials[key].as_str().expect("a secret").to_owned());
    for secret in secrets
        .iter()
        .map(String::as_str)
        .chain([CALLBACK_SECRET, SENDER_SECRET])
    {
        for shown in [
            &answer.body.to_string(),
            &delivered.body.to_string(),
            &requests,
            &callbacks,
        ] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
    // Credentials travel in the body, never in a URL.
    for request in world.requests().await.as_array().expect("requests") {
        assert!(
            !request["query"].to_string().contains("client"),
            "{request}"
        );
    }
}
