//! What the HTTP API answers, good and bad.

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::harness::world::{API_KEY, Answer, World};

fn problem(answer: &Answer, status: StatusCode, code: &str) {
    assert_eq!(
        (answer.status, &answer.body["code"]),
        (status, &json!(code)),
        "{answer:#?}"
    );
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(answer.body["status"], status.as_u16());
    for member in ["type", "title", "detail"] {
        assert!(answer.body[member].is_string(), "{member} in {answer:#?}");
    }
}

fn request(method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .body(body.into())
        .expect("a request")
}

fn update(world: &World) -> Value {
    json!({"module": "Leads", "fields": {"Rating": "Active"}, "ids": [world.id("Leads", 1)]})
}

#[tokio::test]
async fn health_needs_no_key() {
    let world = World::start(&[]).await;
    let answer = world.send(request("GET", "/health", "")).await;
    assert_eq!(
        (answer.status, answer.body),
        (StatusCode::OK, json!({"status": "ok"}))
    );
}

#[tokio::test]
async fn unverified_requests_are_rejected_without_calls() {
    let world = World::start(&[]).await;
    let body = json!({"kind": "form", "event": "x", "ids": [world.id("Leads", 0)]}).to_string();
    problem(
        &world
            .send(request("POST", "/hooks/form", body.clone()))
            .await,
        StatusCode::UNAUTHORIZED,
        "not_verified",
    );
    let mut forged = request("POST", "/hooks/form", body);
    forged.headers_mut().insert(
        "typeform-signature",
        "sha256=aGVsbG8=".parse().expect("a value"),
    );
    problem(
        &world.send(forged).await,
        StatusCode::UNAUTHORIZED,
        "not_verified",
    );
    problem(
        &world.send(request("POST", "/hooks/other", "{}")).await,
        StatusCode::NOT_FOUND,
        "no_such_route",
    );
    problem(
        &world.send(request("GET", "/hooks/form", "")).await,
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
    );
    problem(
        &world.send(request("GET", "/elsewhere", "")).await,
        StatusCode::NOT_FOUND,
        "no_such_path",
    );
    let large = "x".repeat(2_000_001);
    problem(
        &world.send(request("POST", "/hooks/form", large)).await,
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
    );
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
    let world = World::start(&[]).await;
    let answer = world
        .deliver(&json!({"kind": "form", "event": "a", "ids": ["12", "x"], "module": "leads"}))
        .await;
    problem(&answer, StatusCode::UNPROCESSABLE_ENTITY, "not_mappable");
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
    problem(&answer, StatusCode::UNPROCESSABLE_ENTITY, "not_mappable");
    let answer = world
        .deliver(&json!({"kind": "form", "event": "c", "ids": [], "fields": "none"}))
        .await;
    problem(&answer, StatusCode::UNPROCESSABLE_ENTITY, "not_mappable");

    let broken = world
        .send(request("POST", "/hooks/view", "{\"view\": "))
        .await;
    problem(
        &broken,
        StatusCode::UNPROCESSABLE_ENTITY,
        "body_not_readable",
    );
    let mut xml = request("POST", "/hooks/view", "<a>");
    xml.headers_mut()
        .insert("content-type", "application/xml".parse().expect("a value"));
    problem(
        &world.send(xml).await,
        StatusCode::UNPROCESSABLE_ENTITY,
        "body_not_readable",
    );
    assert_eq!(world.count("token").await, 0);
}

#[tokio::test]
async fn failing_map_names_program_and_location() {
    let world = World::start_with(
        &[],
        |_| {},
        |config| config.replace(".view}", "(.view | error)}"),
    )
    .await;
    let answer = world
        .send(request("POST", "/hooks/view", "{\"view\": \"no way\"}"))
        .await;
    problem(&answer, StatusCode::UNPROCESSABLE_ENTITY, "mapping_failed");
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
    let world = World::start(&[]).await;
    let answer = world.deliver(&json!({"kind": "something else"})).await;
    assert_eq!(
        (answer.status, answer.body),
        (StatusCode::OK, json!({"jobs": []}))
    );
}

#[tokio::test]
async fn jobs_endpoint_requires_the_key() {
    let world = World::start(&[]).await;
    let body = update(&world);
    problem(
        &world.send(request("POST", "/jobs", body.to_string())).await,
        StatusCode::UNAUTHORIZED,
        "unauthorized",
    );
    let mut wrong = request("GET", "/jobs/job_1", "");
    wrong.headers_mut().insert(
        "authorization",
        format!("Bearer {API_KEY}x").parse().expect("a value"),
    );
    problem(
        &world.send(wrong).await,
        StatusCode::UNAUTHORIZED,
        "unauthorized",
    );

    let closed = World::start_with(
        &[],
        |_| {},
        |config| config.replace("api: { key: secretsmanager:api-key }", ""),
    )
    .await;
    problem(
        &closed.post_job("", &body, &[]).await,
        StatusCode::FORBIDDEN,
        "api_closed",
    );
    let lost = World::start_with(
        &[],
        |_| {},
        |config| config.replace("secretsmanager:api-key", "secretsmanager:gone"),
    )
    .await;
    problem(
        &lost.post_job("", &body, &[]).await,
        StatusCode::INTERNAL_SERVER_ERROR,
        "secret_unavailable",
    );
}

#[tokio::test]
async fn dry_run_returns_the_plan_without_calls() {
    let world = World::start(&[]).await;
    let answer = world.post_job("?dry_run=true", &update(&world), &[]).await;
    assert_eq!(answer.status, StatusCode::OK);
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
    let world = World::calm(&[]).await;
    let body = update(&world);
    let key = [("idempotency-key", "\"order-7\"")];
    let first = world.post_job("", &body, &key).await;
    let again = world.post_job("", &body, &key).await;
    assert_eq!(first.job(), again.job());
    assert_eq!(world.count("mass_update_post").await, 1);
    let mut other = body.clone();
    other["fields"] = json!({"Rating": "Acquired"});
    let answer = world.post_job("", &other, &key).await;
    problem(
        &answer,
        StatusCode::UNPROCESSABLE_ENTITY,
        "idempotency_key_reused",
    );
    let without = world.post_job("", &body, &[]).await;
    assert_ne!(without.job()["id"], first.job()["id"]);

    let mut show = request(
        "GET",
        first.job()["status_url"].as_str().expect("a URL"),
        "",
    );
    show.headers_mut().insert(
        "authorization",
        format!("bearer {API_KEY}").parse().expect("a value"),
    );
    let shown = world.send(show).await;
    assert_eq!(
        (&shown.body["id"], &shown.body["status"]),
        (&first.job()["id"], &json!("succeeded"))
    );
    let mut absent = request("GET", "/jobs/job_absent", "");
    absent.headers_mut().insert(
        "authorization",
        format!("Bearer {API_KEY}").parse().expect("a value"),
    );
    problem(
        &world.send(absent).await,
        StatusCode::NOT_FOUND,
        "no_such_job",
    );
}

#[tokio::test]
async fn invalid_update_request_returns_422_without_job() {
    let world = World::start(&[]).await;
    let answer = world
        .post_job(
            "",
            &json!({"module": "Leads", "fields": {"Email": "a@b"}, "ids": []}),
            &[],
        )
        .await;
    problem(
        &answer,
        StatusCode::UNPROCESSABLE_ENTITY,
        "invalid_update_request",
    );
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
    problem(
        &answer,
        StatusCode::UNPROCESSABLE_ENTITY,
        "callback_refused",
    );
    assert_eq!(world.count("token").await, 0);
}
