//! Record updates: `update_by: records` and `auto`.

use serde_json::{Value, json};

use crate::harness::{Answer, Harness, Request, World};

/// Adds a route for each update method; its deliveries are lists of update requests.
fn routes(config: String) -> String {
    let route = |method: &str| {
        format!(
            "  {method}:\n    verify: {{ scheme: none }}\n    update_by: {method}\n    map: .updates[]\n"
        )
    };
    config + &["records", "auto", "mass_update"].map(route).concat()
}

async fn start() -> World {
    Harness::new().config(routes).start().await
}

/// Delivers update requests to the route of a method.
async fn deliver(world: &World, method: &str, updates: &[Value]) -> Answer {
    let body = json!({"updates": updates}).to_string();
    world
        .send(Request::json(&format!("/hooks/{method}"), body))
        .await
}

/// Returns the number of record updates and of mass updates.
async fn calls(world: &World) -> (u64, u64) {
    (
        world.count("records_put").await,
        world.count("mass_update_post").await,
    )
}

fn kinds(job: &Value) -> Vec<&str> {
    let calls = job["calls"].as_array().expect("calls");
    calls
        .iter()
        .map(|call| call["kind"].as_str().expect("a kind"))
        .collect()
}

#[tokio::test]
async fn record_updates_set_fields_mass_update_cannot() {
    let world = start().await;
    let ids: Vec<String> = (0..101).map(|place| world.id("Leads", place)).collect();
    let fields = json!({"Email": "new@example.com", "Description": "two\nlines", "Topics": ["CRM"], "City": "Bonn"});
    let update = json!({"module": "Leads", "fields": fields, "ids": ids});
    let before = world.record("Leads", &ids[100]).await["Topics"].clone();
    let answer = deliver(&world, "records", std::slice::from_ref(&update)).await;
    let job = answer.job();
    assert_eq!(job["status"], "succeeded", "{job:#}");
    assert_eq!(
        job["counts"],
        json!({"total": 101, "updated": 101, "failed": 0, "pending": 0})
    );
    assert_eq!(kinds(job), ["records", "records"]);
    assert_eq!(job["calls"][1]["records"], 1);
    assert_eq!(calls(&world).await, (2, 0));
    let lead = world.record("Leads", &ids[100]).await;
    for field in ["Email", "Description", "City"] {
        assert_eq!(lead[field], fields[field], "{field}");
    }
    // Options are appended, as by a mass update; then replaced.
    let has = |topics: &Value, topic| {
        let topics = topics.as_array().cloned().unwrap_or_default();
        topics.contains(&json!(topic))
    };
    assert!(has(&lead["Topics"], "CRM"));
    for topic in before.as_array().into_iter().flatten() {
        assert!(has(&lead["Topics"], topic.as_str().expect("a topic")));
    }
    let mut replacing = update.clone();
    replacing["fields"] = json!({"Topics": ["Billing"]});
    replacing["over_write"] = json!(true);
    let answer = deliver(&world, "records", &[replacing]).await;
    assert_eq!(answer.job()["status"], "succeeded", "{answer:?}");
    let lead = world.record("Leads", &ids[100]).await;
    assert_eq!(lead["Topics"], json!(["Billing"]));
    // The route for mass updates rejects it.
    let answer = deliver(&world, "mass_update", &[update]).await;
    assert_eq!(answer.status, 422);
    let reported = answer.body.to_string();
    assert!(
        reported.contains("/fields/Email") && reported.contains("`update_by: records`"),
        "{reported}"
    );
}

#[tokio::test]
async fn auto_picks_the_method_with_fewer_calls() {
    let world = start().await;
    let ids: Vec<String> = (0..150).map(|place| world.id("Leads", place)).collect();
    let lead = |fields: Value, count: usize| json!({"module": "Leads", "fields": fields, "ids": ids[..count]});
    let city = json!({"City": "Bonn"});
    let two = json!({"City": "Bonn", "Rating": "Active"});
    for (update, kinds_wanted, calls_wanted) in [
        (lead(city.clone(), 150), vec!["immediate"], (0, 1)),
        (lead(two.clone(), 100), vec!["records"], (1, 0)),
        (lead(two, 150), vec!["immediate", "immediate"], (0, 2)),
        (
            lead(json!({"Email": "a@example.com"}), 1),
            vec!["records"],
            (1, 0),
        ),
    ] {
        let before = calls(&world).await;
        let answer = deliver(&world, "auto", std::slice::from_ref(&update)).await;
        let job = answer.job();
        assert_eq!(job["status"], "succeeded", "{job:#}");
        assert_eq!(kinds(job), kinds_wanted, "{update}");
        let after = calls(&world).await;
        assert_eq!((after.0 - before.0, after.1 - before.1), calls_wanted);
    }
    // A custom view needs a mass update; a field that it cannot set is rejected before any call.
    let view = world.zoho()["views"]["Leads"]["some"]["id"].clone();
    let of_view = |fields: Value| json!({"module": "Leads", "fields": fields, "cvid": view});
    let refused = deliver(
        &world,
        "auto",
        &[of_view(json!({"Email": "a@example.com"}))],
    )
    .await;
    assert_eq!(refused.status, 422);
    assert!(
        refused.body.to_string().contains("custom view"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn org_metadata_influences_auto_method() {
    let strict = |config: String| routes(config.replace("guard: off", "guard: strict"));
    let world = Harness::new().config(strict).start().await;
    let update = |field: &str, value: Value| json!({"module": "Leads", "fields": {field: value}, "ids": [world.id("Leads", 7)]});
    // Only the org's metadata shows that a mass update cannot set it.
    let number = update("Partner_Number", json!("12"));
    let answer = deliver(&world, "auto", std::slice::from_ref(&number)).await;
    let job = answer.job();
    assert_eq!(
        (&job["status"], kinds(job)),
        (&json!("succeeded"), vec!["records"])
    );
    let note = "no mass update sets `Partner_Number`, so the records themselves are updated";
    assert_eq!(job["notes"], json!([note]));
    let answer = deliver(&world, "mass_update", &[number]).await;
    let error = &answer.job()["error"];
    assert_eq!(error["code"], "FIELD_NOT_UPDATABLE");
    assert!(
        error["advice"]
            .as_str()
            .is_some_and(|advice| advice.contains("update_by: records")),
        "{error}"
    );
    // A read-only field stays read-only.
    let answer = deliver(&world, "records", &[update("Lead_Score", json!(7))]).await;
    assert_eq!(answer.job()["error"]["code"], "FIELD_READ_ONLY");
    assert_eq!(calls(&world).await, (1, 0));
    // For a custom view there is no other method.
    let view = world.zoho()["views"]["Leads"]["some"]["id"].clone();
    let of_view = json!({"module": "Leads", "fields": {"Partner_Number": "12"}, "cvid": view});
    let answer = deliver(&world, "auto", &[of_view]).await;
    assert_eq!(answer.job()["error"]["code"], "FIELD_NOT_UPDATABLE");
}

#[tokio::test]
async fn jobs_with_own_values_share_record_calls() {
    let world = start().await;
    let updates: Vec<Value> = (0..60)
        .map(|n| {
            let fields = json!({"Email": format!("own{n}@example.com")});
            json!({"module": "Leads", "fields": fields, "ids": [world.id("Leads", 2 * n), world.id("Leads", 2 * n + 1)]})
        })
        .collect();
    let answer = deliver(&world, "records", &updates).await;
    let jobs = answer.body["jobs"].as_array().expect("jobs");
    assert_eq!(jobs.len(), 60);
    assert!(jobs.iter().all(|job| job["status"] == "succeeded"));
    assert_eq!(calls(&world).await, (2, 0));
    for n in [0, 49, 50, 59] {
        let lead = world.record("Leads", &world.id("Leads", 2 * n + 1)).await;
        assert_eq!(lead["Email"], json!(format!("own{n}@example.com")));
    }
}

#[tokio::test]
async fn each_record_has_its_own_outcome() {
    let world = start().await;
    let conditions = world.zoho()["modules"]["Leads"]["conditions"].clone();
    let good = world.id("Leads", 7);
    let ids = json!([good, conditions["locked"], "1", conditions["converted"]]);
    let update = json!({"module": "Leads", "fields": {"Email": "a@example.com"}, "ids": ids});
    let mistyped = json!({"module": "Leads", "fields": {"City": 7}, "ids": [world.id("Leads", 8)]});
    let nowhere = json!({"module": "Leads", "fields": {"City": "x"}, "ids": ["2"]});
    let answer = deliver(&world, "records", &[update, mistyped, nowhere]).await;
    assert_eq!(calls(&world).await, (1, 0), "one call for all three");
    let jobs = &answer.body["jobs"];
    assert_eq!(jobs[0]["status"], "partially_succeeded", "{jobs:#}");
    assert_eq!(
        jobs[0]["counts"],
        json!({"total": 4, "updated": 1, "failed": 3, "pending": 0})
    );
    let codes = |job: &Value| -> Vec<Value> {
        let failures = job["failures"].as_array().expect("failures");
        failures
            .iter()
            .map(|failure| json!([failure["id"], failure["code"]]))
            .collect()
    };
    assert_eq!(
        codes(&jobs[0]),
        [
            json!([conditions["locked"], "RECORD_LOCKED"]),
            json!(["1", "INVALID_DATA"]),
            json!([conditions["converted"], "CONVERTED_RECORD"]),
        ]
    );
    assert_eq!(
        codes(&jobs[1]),
        [json!([world.id("Leads", 8), "INVALID_DATA"])]
    );
    assert!(
        jobs[1]["failures"][0]["advice"]
            .as_str()
            .is_some_and(|advice| !advice.is_empty())
    );
    assert_eq!(
        (&jobs[1]["status"], &jobs[2]["status"]),
        (&json!("failed"), &json!("failed"))
    );
    // Alone in a call, it is still a failure of the record, not of the call.
    let alone = json!({"module": "Leads", "fields": {"City": 7}, "ids": [world.id("Leads", 8)]});
    let answer = deliver(&world, "records", &[alone]).await;
    assert_eq!(codes(answer.job()), codes(&jobs[1]));
}

#[tokio::test]
async fn failed_record_updates_are_retried_safely() {
    let world = start().await;
    let update = json!({"module": "Leads", "over_write": true, "ids": [world.id("Leads", 7)],
        "fields": {"Email": "a@example.com", "Topics": ["CRM"]}});
    for (n, trouble) in [
        json!({"kind": "records_put", "status": 429, "times": 2}),
        json!({"kind": "records_put", "status": 503}),
        json!({"kind": "records_put", "status": 502, "apply": true}),
        json!({"kind": "records_put", "reset_after_apply": true}),
        json!({"kind": "records_put", "status": 401}),
    ]
    .into_iter()
    .enumerate()
    {
        let before = calls(&world).await.0;
        world.faults(&json!({"next": [trouble]})).await;
        let mut update = update.clone();
        update["reference"] = json!(n);
        let answer = deliver(&world, "records", &[update]).await;
        let job = answer.job();
        assert_eq!(job["status"], "succeeded", "{trouble}: {job:#}");
        assert!(calls(&world).await.0 >= before + 2, "{trouble}");
        let lead = world.record("Leads", &world.id("Leads", 7)).await;
        assert_eq!(
            (&lead["Topics"], &lead["Email"]),
            (&json!(["CRM"]), &json!("a@example.com"))
        );
    }
}

#[tokio::test]
async fn unknown_outcome_does_not_affect_other_jobs() {
    let world = start().await;
    let adding =
        json!({"module": "Leads", "fields": {"Topics": ["CRM"]}, "ids": [world.id("Leads", 7)]});
    let plain =
        json!({"module": "Leads", "fields": {"City": "Bonn"}, "ids": [world.id("Leads", 8)]});
    let lost = json!({"kind": "records_put", "reset_after_apply": true, "times": 2});
    world.faults(&json!({"next": [lost]})).await;
    let answer = deliver(&world, "records", &[adding, plain]).await;
    let jobs = &answer.body["jobs"];
    assert_eq!(
        jobs[0]["failures"][0]["code"], "OUTCOME_UNKNOWN",
        "{jobs:#}"
    );
    assert_eq!(jobs[1]["status"], "succeeded", "{jobs:#}");
    assert_eq!(
        calls(&world).await,
        (3, 0),
        "one of them once, the other twice"
    );
}

#[tokio::test]
async fn missing_scope_fails_record_updates_only() {
    let world = start().await;
    world
        .faults(&json!({"scopes": "ZohoCRM.mass_update.UPDATE,ZohoCRM.mass_update.READ"}))
        .await;
    let of = |method: &str, n: u64| json!({"module": "Leads", "update_by": method, "fields": {"City": "Bonn"}, "ids": [world.id("Leads", n)]});
    let answer = deliver(&world, "auto", &[of("records", 1), of("mass_update", 2)]).await;
    let jobs = &answer.body["jobs"];
    assert_eq!(jobs[0]["status"], "failed", "{jobs:#}");
    assert_eq!(jobs[0]["error"]["code"], "OAUTH_SCOPE_MISMATCH");
    assert_eq!(jobs[1]["status"], "succeeded", "{jobs:#}");
}

#[tokio::test]
async fn injected_faults_leave_no_record_unaccounted() {
    let world = Harness::new().rude().config(routes).start().await;
    let ids: Vec<String> = (0..310).map(|place| world.id("Leads", place)).collect();
    let fields = json!({"Email": "rude@example.com", "Last_Name": "Lovelace"});
    let answer = deliver(
        &world,
        "auto",
        &[json!({"module": "Leads", "fields": fields, "ids": ids})],
    )
    .await;
    let job = answer.job();
    assert_eq!(job["counts"]["pending"], 0, "{job:#}");
    let failed: Vec<&Value> = job["failures"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|failure| &failure["id"])
        .collect();
    for id in &ids {
        let lead = world.record("Leads", id).await;
        let set = lead["Email"] == fields["Email"] && lead["Last_Name"] == fields["Last_Name"];
        assert_ne!(set, failed.contains(&&json!(id)), "{id}: {job:#}");
    }
    for request in world.requests().await.as_array().into_iter().flatten() {
        if request["kind"] == "records_put" {
            let rows = request["body"]["data"].as_array().expect("rows");
            assert!((1..=100).contains(&rows.len()));
        }
    }
}

#[tokio::test]
async fn dry_run_prices_both_update_methods() {
    let world = start().await;
    let ids: Vec<u64> = (1..=300).collect();
    let update = json!({"module": "Leads", "update_by": "auto", "ids": ids,
        "fields": {"City": "Bonn", "Rating": "Active", "Industry": "Education", "Mobile": "1"}});
    let plan = world.post_job("?dry_run=true", &update, &[]).await.body["plan"].clone();
    assert_eq!(
        json!([plan["update_by"], plan["why"], plan["prices"]]),
        json!(["records", "fewer_calls", {
            "mass_update": {"calls": 4, "credits": null},
            "records": {"calls": 3, "credits": 30},
        }])
    );
    assert_eq!(plan["calls"].as_array().map(Vec::len), Some(3));
    assert_eq!(plan["calls"][2]["body"]["data"][99]["id"], "300");
    let matched = json!({"module": "Leads", "update_by": "auto", "fields": {"City": "Bonn"},
        "match": {"field": "Email", "values": ["a@example.com"]}});
    let plan = world.post_job("?dry_run=true", &matched, &[]).await.body["plan"].clone();
    assert_eq!(
        json!([
            plan["update_by"],
            plan["calls_at_most"],
            plan["prices_at_most"]["records"]
        ]),
        json!([null, 100, {"calls": 500, "credits": 5000}])
    );
    assert_eq!(calls(&world).await, (0, 0));
}

/// Zoho refuses the shared call as a whole, and then one of its parts: only that part's job fails.
#[tokio::test]
async fn batch_refused_as_a_whole_is_sent_apart_once() {
    for (method, kind) in [
        ("records", "records_put"),
        ("mass_update", "mass_update_post"),
    ] {
        let world = start().await;
        let form =
            json!({"code": "INVALID_DATA", "details": {}, "message": "body", "status": "error"});
        let too_large = json!({"kind": kind, "status": 413, "body": "too large"});
        let malformed = json!({"kind": kind, "status": 400, "body": form});
        world.faults(&json!({"next": [too_large, malformed]})).await;
        let updates: Vec<Value> = (0..4)
            .map(|place| {
                json!({"module": "Leads", "fields": {"City": "Bonn"}, "ids": [world.id("Leads", place)]})
            })
            .collect();
        let answer = deliver(&world, method, &updates).await;
        let jobs = answer.body["jobs"].as_array().expect("jobs").iter();
        let failed = jobs.filter(|job| job["status"] == "failed").count();
        assert_eq!(failed, 1, "{method}: {answer:?}");
        assert_eq!(world.count(kind).await, 5, "one call, and four parts");
    }
}

/// Once a part of a refused batch is denied, the parts that have not been sent wait for a later turn.
#[tokio::test]
async fn denied_part_stops_the_parts_behind_it() {
    let world = start().await;
    let form = json!({"code": "INVALID_DATA", "details": {}, "message": "body", "status": "error"});
    let scope = json!({"code": "OAUTH_SCOPE_MISMATCH", "details": {}, "message": "invalid oauth scope to access this URL", "status": "error"});
    let malformed = json!({"kind": "records_put", "status": 400, "body": form});
    let denied = json!({"kind": "records_put", "status": 401, "body": scope, "times": 100});
    world.faults(&json!({"next": [malformed, denied]})).await;
    let updates: Vec<Value> = (0..40)
        .map(|place| {
            json!({"module": "Leads", "fields": {"City": format!("Bonn {place}")}, "ids": [world.id("Leads", place)]})
        })
        .collect();
    let answer = deliver(&world, "records", &updates).await;
    let jobs = answer.body["jobs"].as_array().expect("jobs").iter();
    let codes = jobs.filter(|job| job["error"]["code"] == "OAUTH_SCOPE_MISMATCH");
    assert_eq!(codes.count(), 40, "{answer:?}");
    let calls = world.count("records_put").await;
    assert!(calls <= 10, "{calls} calls");
}

/// The values of a mass update concern all of its records, so a refusal of the values is not repeated for each job.
#[tokio::test]
async fn refused_values_are_not_tried_by_every_job() {
    let world = start().await;
    let form = json!({"code": "INVALID_DATA", "details": {}, "message": "body", "status": "error"});
    let fault = json!({"kind": "mass_update_post", "status": 400, "body": form, "times": 100});
    world.faults(&json!({"next": [fault]})).await;
    let updates: Vec<Value> = (0..40)
        .map(|place| json!({"module": "Leads", "fields": {"City": "Bonn"}, "ids": [world.id("Leads", place)]}))
        .collect();
    let answer = deliver(&world, "mass_update", &updates).await;
    let jobs = answer.body["jobs"].as_array().expect("jobs").iter();
    assert_eq!(jobs.filter(|job| job["status"] == "failed").count(), 40);
    assert_eq!(world.count("mass_update_post").await, 3);
}
