//! Answers of the HTTP API.

use serde_json::{Value, json};

use crate::harness::{API_KEY, Harness, Request, World};

fn request(method: &str, path: &str, body: impl Into<Vec<u8>>) -> Request {
    let request = Request::new(method, path).with_body(body);
    request.with("content-type", "application/json")
}

fn update(world: &World) -> Value {
    json!({"module": "Leads", "fields": {"Rating": "Active"}, "ids": [world.id("Leads", 1)]})
}

#[tokio::test]
async fn health_needs_no_key() {
    let world = Harness::new().rude().start().await;
    let answer = world.send(request("GET", "/health", "")).await;
    assert_eq!((answer.status, answer.body), (200, json!({"status": "ok"})));
}

#[tokio::test]
async fn unverified_requests_are_rejected_without_calls() {
    let world = Harness::new().rude().start().await;
    let body = json!({"kind": "form", "event": "x", "ids": [world.id("Leads", 0)]}).to_string();
    world
        .send(request("POST", "/hooks/form", body.clone()))
        .await
        .assert_problem(401, "not_verified");
    let forged = request("POST", "/hooks/form", body).with("typeform-signature", "sha256=aGVsbG8=");
    world.send(forged).await.assert_problem(401, "not_verified");
    world
        .send(request("POST", "/hooks/other", "{}"))
        .await
        .assert_problem(404, "no_such_route");
    world
        .send(request("GET", "/hooks/form", ""))
        .await
        .assert_problem(405, "method_not_allowed");
    world
        .send(request("GET", "/elsewhere", ""))
        .await
        .assert_problem(404, "no_such_path");
    let large = "x".repeat(2_000_001);
    world
        .send(request("POST", "/hooks/form", large))
        .await
        .assert_problem(413, "body_too_large");
    assert_eq!(
        (
            world.count("token").await,
            world.count("mass_update_post").await
        ),
        (0, 0)
    );
}

#[tokio::test]
async fn unmappable_delivery_returns_422_with_pointer() {
    let world = Harness::new().rude().start().await;
    let answer = world
        .deliver(&json!({"kind": "form", "event": "a", "ids": ["12", "x"], "module": "leads"}))
        .await;
    answer.assert_problem(422, "not_mappable");
    let errors = answer.body["errors"].as_array().expect("errors").clone();
    let places: Vec<(&Value, &Value)> = errors
        .iter()
        .map(|error| (&error["output"], &error["pointer"]))
        .collect();
    assert_eq!(
        places,
        [
            (&json!(1), &json!("/module")),
            (&json!(1), &json!("/ids/1"))
        ]
    );
    let answer = world
        .deliver(&json!({"kind": "form", "event": "b", "ids": [5.54023e17]}))
        .await;
    answer.assert_problem(422, "not_mappable");
    let answer = world
        .deliver(&json!({"kind": "form", "event": "c", "ids": [], "fields": "none"}))
        .await;
    answer.assert_problem(422, "not_mappable");

    let broken = world
        .send(request("POST", "/hooks/view", "{\"view\": "))
        .await;
    broken.assert_problem(422, "body_not_readable");
    let xml = request("POST", "/hooks/view", "<a>").with("content-type", "application/xml");
    world
        .send(xml)
        .await
        .assert_problem(422, "body_not_readable");
    assert_eq!(world.count("token").await, 0);
}

#[tokio::test]
async fn failing_map_names_program_and_location() {
    let world = Harness::new()
        .rude()
        .config(|config| config.replace(".view}", "(.view | error)}"))
        .start()
        .await;
    let answer = world
        .send(request("POST", "/hooks/view", "{\"view\": \"no way\"}"))
        .await;
    answer.assert_problem(422, "mapping_failed");
    assert!(
        answer.body["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("`map`")),
        "{answer:#?}"
    );
    let found = &answer.body["errors"][0];
    assert_eq!(found["program"], "map", "{answer:#?}");
    assert!(
        found["line"].is_u64() && found["column"].is_u64(),
        "{found}"
    );
    let text = found["text"].as_str().expect("the program's line");
    assert!(text.contains("| error"), "{text}");
    assert_eq!(found["input"], "string");
}

#[tokio::test]
async fn ignored_delivery_returns_200_without_jobs() {
    let world = Harness::new().rude().start().await;
    let answer = world.deliver(&json!({"kind": "something else"})).await;
    let expected = json!({"jobs": [], "ignored": "when is false"});
    assert_eq!((answer.status, answer.body), (200, expected));
}

#[tokio::test]
async fn jobs_endpoint_requires_the_key() {
    let world = Harness::new().rude().start().await;
    let body = update(&world);
    world
        .send(request("POST", "/jobs", body.to_string()))
        .await
        .assert_problem(401, "unauthorized");
    let wrong =
        request("GET", "/jobs/job_1", "").with("authorization", format!("Bearer {API_KEY}x"));
    world.send(wrong).await.assert_problem(401, "unauthorized");

    let closed = Harness::new()
        .rude()
        .config(|config| config.replace("api: { key: secretsmanager:api-key }", ""))
        .start()
        .await;
    closed
        .post_job("", &body, &[])
        .await
        .assert_problem(403, "api_closed");
    let lost = Harness::new()
        .rude()
        .config(|config| config.replace("secretsmanager:api-key", "secretsmanager:gone"))
        .start()
        .await;
    lost.post_job("", &body, &[])
        .await
        .assert_problem(500, "secret_unavailable");
}

#[tokio::test]
async fn dry_run_returns_the_plan_without_calls() {
    let world = Harness::new().rude().start().await;
    let answer = world.post_job("?dry_run=true", &update(&world), &[]).await;
    assert_eq!(answer.status, 200);
    let call = json!({
        "seq": 1, "kind": "immediate", "method": "POST", "path": "/crm/v7/Leads/actions/mass_update",
        "body": {"data": [{"Rating": "Active"}], "ids": [world.id("Leads", 1)]},
    });
    let plan = &answer.body["plan"];
    assert_eq!(
        *plan,
        json!({
            "module": "Leads", "update_by": "mass_update", "why": "asked",
            "prices": {"mass_update": {"calls": 1, "credits": null}, "records": {"calls": 1, "credits": 1}},
            "calls": [call], "automation": {"runs": "always"}, "warnings": [],
        })
    );
    let options = json!({"module": "Leads", "fields": {"Topics": ["CRM"]}, "view": "All Leads"});
    let answer = world.post_job("?dry_run=true", &options, &[]).await;
    let plan = &answer.body["plan"];
    assert_eq!(
        plan["automation"],
        json!({"runs": "below", "records": 1_000})
    );
    let warnings = plan["warnings"].as_array().expect("warnings");
    let codes: Vec<&Value> = warnings.iter().map(|warning| &warning["code"]).collect();
    assert_eq!(
        codes,
        ["appends", "not_repeatable", "view_changes", "counts_only"]
    );
    assert!(warnings[0]["message"].to_string().contains("`Topics`"));
    assert_eq!(world.count("token").await, 0);
}

#[tokio::test]
async fn idempotency_key_is_bound_to_one_request() {
    let world = Harness::new().start().await;
    let body = update(&world);
    let key = [("idempotency-key", "\"order-7\"")];
    let first = world.post_job("", &body, &key).await;
    let again = world.post_job("", &body, &key).await;
    assert_eq!(first.job(), again.job());
    assert_eq!(world.count("mass_update_post").await, 1);
    let mut other = body.clone();
    other["fields"] = json!({"Rating": "Acquired"});
    let answer = world.post_job("", &other, &key).await;
    answer.assert_problem(422, "idempotency_key_reused");
    let without = world.post_job("", &body, &[]).await;
    assert_ne!(without.job()["id"], first.job()["id"]);

    let show = request(
        "GET",
        first.job()["status_url"].as_str().expect("a URL"),
        "",
    )
    .with("authorization", format!("bearer {API_KEY}"));
    let shown = world.send(show).await;
    assert_eq!(
        (&shown.body["id"], &shown.body["status"]),
        (&first.job()["id"], &json!("succeeded"))
    );
    let absent =
        request("GET", "/jobs/job_absent", "").with("authorization", format!("Bearer {API_KEY}"));
    world.send(absent).await.assert_problem(404, "no_such_job");
}

#[tokio::test]
async fn invalid_update_request_returns_422_without_job() {
    let world = Harness::new().rude().start().await;
    let answer = world
        .post_job(
            "",
            &json!({"module": "Leads", "fields": {"Email": "a@b"}, "ids": []}),
            &[],
        )
        .await;
    answer.assert_problem(422, "invalid_update_request");
    let pointers: Vec<&Value> = answer.body["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| &error["pointer"])
        .collect();
    assert_eq!(pointers, ["/fields/Email", "/ids"]);
    let mut to_metadata = update(&world);
    to_metadata["callback_url"] = json!("https://169.254.169.254/latest");
    let answer = world.post_job("", &to_metadata, &[]).await;
    answer.assert_problem(422, "callback_refused");
    assert_eq!(world.count("token").await, 0);
}
