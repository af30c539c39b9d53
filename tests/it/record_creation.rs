//! `on_none: create`: records for the values of a `match` that no record has.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Harness, Request, World, text};

/// The leads of the simulator before any is created.
const SEEDED: u64 = 2_000;

/// The e-mail addresses of the leads that were created.
async fn created(world: &World) -> Vec<String> {
    let mut emails = Vec::new();
    loop {
        let place = SEEDED + emails.len() as u64;
        let lead = world.record("Leads", &world.id("Leads", place)).await;
        let Some(email) = lead["Email"].as_str() else {
            return emails;
        };
        emails.push(email.to_lowercase());
    }
}

/// Asserts that so many leads were created, each with an address of its own.
async fn assert_created(world: &World, count: usize) {
    let emails = created(world).await;
    let distinct: BTreeSet<&String> = emails.iter().collect();
    assert_eq!((emails.len(), distinct.len()), (count, count), "{emails:?}");
}

/// An update request that creates leads.
fn wanted(values: &[&str], create: Value) -> Value {
    json!({"module": "Leads", "fields": {"Lead_Source": "Webinar"},
        "match": {"field": "Email", "values": values, "on_none": "create", "create": create}})
}

fn whole(name: &str) -> Value {
    json!({"Last_Name": name, "Company": "Acme"})
}

async fn post(world: &World, request: &Value) -> Value {
    world.post_job("", request, &[]).await.job().clone()
}

fn strict(config: String) -> String {
    config.replace("guard: off", "guard: strict")
}

#[tokio::test]
async fn missing_record_is_created_and_then_found() {
    let world = Harness::new().config(strict).start().await;
    let request = wanted(&["lead1@example.com", "new@example.com"], whole("New"));
    let job = post(&world, &request).await;
    assert_eq!(job["status"], "succeeded", "{job:#}");
    let counts = json!({"total": 2, "updated": 1, "created": 1, "failed": 0, "pending": 0});
    assert_eq!(job["counts"], counts);
    let new = &job["new_records"][0];
    assert_eq!(
        (&new["value"], &new["action"]),
        (&json!("new@example.com"), &json!("created"))
    );
    assert_eq!(
        (
            &job["new_records_omitted"],
            job["new_records"].as_array().map(Vec::len)
        ),
        (&json!(0), Some(1))
    );
    let kinds: Vec<&Value> = job["calls"]
        .as_array()
        .expect("calls")
        .iter()
        .map(|call| &call["kind"])
        .collect();
    assert_eq!(kinds, ["upsert", "immediate"]);
    let lead = world.record("Leads", &text(&new["id"])).await;
    let values = ["Email", "Last_Name", "Company", "Lead_Source"].map(|field| &lead[field]);
    assert_eq!(values, ["new@example.com", "New", "Acme", "Webinar"]);
    // The next event finds it, and `create` does not touch it.
    let again = post(&world, &wanted(&["NEW@example.com"], whole("Other"))).await;
    let counts = json!({"total": 1, "updated": 1, "created": 0, "failed": 0, "pending": 0});
    assert_eq!(
        (&again["counts"], &again["new_records"]),
        (&counts, &json!([]))
    );
    let lead = world.record("Leads", &text(&new["id"])).await;
    assert_eq!(lead["Last_Name"], "New");
    assert_created(&world, 1).await;
    // Other jobs have none of these keys.
    let other = post(
        &world,
        &json!({"module": "Leads", "fields": {"City": "Bonn"}, "ids": [world.id("Leads", 1)]}),
    )
    .await;
    assert_eq!(
        other["counts"],
        json!({"total": 1, "updated": 1, "failed": 0, "pending": 0})
    );
    assert!(other.get("new_records").is_none() && other.get("new_records_omitted").is_none());
}

#[tokio::test]
async fn thousand_events_take_twenty_queries_and_four_upserts() {
    let config = |config: String| {
        let matching = config.replace("ids: .ids,", "ids: .ids, match: .match,");
        format!("{matching}batch_window: 60s\n")
    };
    let world = Harness::new().config(config).served().start().await;
    let delivery = |number: usize| {
        let email = match number {
            1..=600 => format!("lead{number}@example.com"),
            _ => format!("new{number}@example.com"),
        };
        let wanted = json!({"field": "Email", "values": [email], "on_none": "create", "create": whole(&format!("N{number}"))});
        json!({"event": format!("e{number}"), "match": wanted, "reference": number})
    };
    for number in 1..=1_000 {
        world.submit(&delivery(number)).await;
    }
    world.wait_for_jobs(1_000).await;
    let calls = async || {
        [
            world.count("coql").await,
            world.count("mass_update_post").await,
            world.count("upsert").await,
        ]
    };
    let before = calls().await;
    let callbacks = world.callbacks();
    assert_eq!(callbacks.len(), 1_000);
    let mut ids = BTreeSet::new();
    for callback in callbacks.values() {
        let data = &callback["data"];
        assert_eq!(callback["type"], "job.succeeded");
        let is_new = data["reference"].as_u64().expect("a number") > 600;
        let counts = json!({"total": 1, "updated": u8::from(!is_new), "created": u8::from(is_new), "failed": 0, "pending": 0});
        assert_eq!(data["counts"], counts, "{data:#}");
        if is_new {
            let new = &data["new_records"][0];
            assert_eq!(
                new["value"],
                json!(format!("new{}@example.com", data["reference"]))
            );
            assert!(ids.insert(text(&new["id"])));
        }
    }
    assert_eq!(ids.len(), 400);
    for number in 1..=1_000 {
        world.submit(&delivery(number)).await;
    }
    assert_eq!(calls().await, before, "the same deliveries again: nothing");
    assert_eq!(world.callbacks().len(), 1_000);
    assert_eq!(before, [20, 2, 4]);
}

#[tokio::test]
async fn jobs_for_one_new_value_make_one_record() {
    let routes = "  people: { verify: { scheme: none }, delivery_id: tojson, map: '.updates[]' }\n";
    let world = Harness::new().routes(routes).start().await;
    let deliver = async |updates: Value| {
        let body = json!({"updates": updates}).to_string();
        let answer = world.send(Request::json("/hooks/people", body)).await;
        answer.body["jobs"].as_array().expect("jobs").clone()
    };
    // Equal rows are one row, even in another letter case; both jobs report the record.
    let equal = json!([
        wanted(&["a@example.com"], whole("A")),
        wanted(&["A@Example.com"], whole("A"))
    ]);
    let jobs = deliver(equal).await;
    assert_eq!(world.count("upsert").await, 1);
    assert_eq!(
        jobs[0]["new_records"][0]["id"],
        jobs[1]["new_records"][0]["id"]
    );
    assert!(
        jobs.iter().all(|job| job["counts"]["created"] == 1),
        "{jobs:#?}"
    );
    assert_created(&world, 1).await;
    // Two submissions with different answers: one job creates the record, the other waits and updates it.
    let of = |name: &str, source: &str| {
        let mut request = wanted(&["b@example.com"], whole(name));
        request["fields"]["Lead_Source"] = json!(source);
        request
    };
    let jobs = deliver(json!([of("First", "Partner"), of("Second", "Chat")])).await;
    let creator = usize::from(jobs[1]["counts"]["created"] == 1);
    assert_eq!(jobs[creator]["counts"]["created"], 1, "{jobs:#?}");
    assert_eq!(
        jobs[1 - creator]["counts"],
        json!({"total": 1, "updated": 1, "created": 0, "failed": 0, "pending": 0})
    );
    let id = text(&jobs[creator]["new_records"][0]["id"]);
    let lead = world.record("Leads", &id).await;
    assert_eq!(lead["Last_Name"], ["First", "Second"][creator]);
    assert_eq!(lead["Lead_Source"], ["Chat", "Partner"][creator]);
    assert_created(&world, 2).await;
    // Values of one request that differ in letter case, and one value twice.
    let jobs = deliver(json!([wanted(
        &["c@example.com", "C@example.com", "c@example.com"],
        whole("C")
    )]))
    .await;
    assert_eq!(jobs[0]["counts"]["total"], 1, "{jobs:#?}");
    assert_created(&world, 3).await;
}

#[tokio::test]
async fn failures_of_new_records_name_their_values() {
    let world = Harness::new().start().await;
    let values = ["ok@example.com", "no address", "lead2@example.com"];
    let job = post(&world, &wanted(&values, whole("A"))).await;
    assert_eq!(job["status"], "partially_succeeded", "{job:#}");
    assert_eq!(
        job["counts"],
        json!({"total": 3, "updated": 1, "created": 1, "failed": 1, "pending": 0})
    );
    let failure = &job["failures"][0];
    assert_eq!(
        (&failure["value"], &failure["code"]),
        (&json!("no address"), &json!("INVALID_DATA"))
    );
    assert!(
        failure.get("id").is_none()
            && failure["advice"]
                .as_str()
                .is_some_and(|advice| !advice.is_empty())
    );
    // Without the guard Zoho itself names the missing field.
    let job = post(&world, &wanted(&["x@example.com"], json!({"Company": "A"}))).await;
    assert_eq!(job["status"], "failed");
    assert_eq!(job["failures"][0]["code"], "MANDATORY_NOT_FOUND");
    assert!(
        text(&job["failures"][0]["message"]).contains("Last_Name"),
        "{job:#}"
    );
    // The value of another unique field finds a record: Zoho updates it, and the job says so.
    let phone = world.record("Leads", &world.id("Leads", 9)).await["Phone"].clone();
    let create = json!({"Last_Name": "A", "Company": "B", "Phone": phone});
    let job = post(&world, &wanted(&["y@example.com"], create)).await;
    let new = json!({"value": "y@example.com", "id": world.id("Leads", 9), "action": "updated", "found_by": "Phone"});
    assert_eq!(job["new_records"], json!([new]));
    assert_created(&world, 1).await;
}

#[tokio::test]
async fn guard_refuses_new_records_before_any_call() {
    let world = Harness::new().config(strict).start().await;
    let refused = async |request: Value| {
        let job = post(&world, &request).await;
        assert_eq!(job["counts"]["created"], 0, "{job:#}");
        (text(&job["error"]["code"]), text(&job["error"]["message"]))
    };
    let (code, message) = refused(wanted(&["n@example.com"], json!({"Company": "A"}))).await;
    assert_eq!(code, "FIELD_REQUIRED");
    assert!(message.contains("`Last_Name`"), "{message}");
    let mut by_city = wanted(&["Bonn"], whole("A"));
    by_city["match"]["field"] = json!("City");
    assert_eq!(refused(by_city.clone()).await.0, "MATCH_FIELD_NOT_UNIQUE");
    assert_eq!(
        [world.count("coql").await, world.count("upsert").await],
        [0, 0]
    );
    // A unique field of the org is as good as Zoho's own.
    let mut by_phone = wanted(&["+49 228 1"], whole("A"));
    by_phone["match"]["field"] = json!("Phone");
    let job = post(&world, &by_phone).await;
    assert_eq!(job["counts"]["created"], 1, "{job:#}");
    // A field that is not unique is refused without the guard, too: a repeated call would make a double.
    let world = Harness::new().start().await;
    let job = post(&world, &by_city).await;
    assert_eq!(job["error"]["code"], "MATCH_FIELD_NOT_UNIQUE");
    assert_eq!(world.count("upsert").await, 0);
}

#[tokio::test]
async fn new_record_gets_the_owner_of_the_request() {
    let world = Harness::new().start().await;
    let mut request = wanted(&["o@example.com"], whole("A"));
    request["owner"] = json!({"id": "5725767000000411001"});
    let job = post(&world, &request).await;
    assert_eq!(job["counts"]["created"], 1, "{job:#}");
    let lead = world
        .record("Leads", &text(&job["new_records"][0]["id"]))
        .await;
    assert_eq!(lead["Owner"]["id"], "5725767000000411001");
    request["tags"] = json!({"add": ["Webinar"]});
    let answer = world.post_job("", &request, &[]).await;
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!(
        answer
            .body
            .to_string()
            .contains("`tags` does not go with `on_none: create`")
    );
}

#[tokio::test]
async fn interrupted_upserts_make_no_double() {
    let world = Harness::new().start().await;
    let faults = json!([
        {"kind": "upsert", "reset_after_apply": true},
        {"kind": "upsert", "status": 429},
        {"kind": "upsert", "status": 502, "apply": true},
        {"kind": "upsert", "status": 401},
    ]);
    world.faults(&json!({"next": faults})).await;
    let values: Vec<String> = (0..150).map(|n| format!("r{n}@example.com")).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let job = post(&world, &wanted(&values, whole("R"))).await;
    assert_eq!(job["status"], "succeeded", "{job:#}");
    let counts = &job["counts"];
    let (created, updated) = (counts["created"].as_u64(), counts["updated"].as_u64());
    assert_eq!(
        created.zip(updated).map(|(one, other)| one + other),
        Some(150),
        "{counts}"
    );
    assert_created(&world, 150).await;
}

#[tokio::test]
async fn denied_upserts_fail_only_new_records() {
    let world = Harness::new().start().await;
    world.faults(&json!({"may_upsert": false})).await;
    let job = post(
        &world,
        &wanted(&["lead3@example.com", "z@example.com"], whole("Z")),
    )
    .await;
    assert_eq!(job["counts"]["created"], 0, "{job:#}");
    assert_eq!(job["counts"]["failed"], 1, "{job:#}");
    assert_eq!(job["error"]["code"], "NO_PERMISSION");
    assert_created(&world, 0).await;
}

#[tokio::test]
async fn preview_prices_the_records_to_create() {
    let world = Harness::new().start().await;
    let values: Vec<String> = (0..150).map(|n| format!("p{n}@example.com")).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let answer = world
        .post_job("?dry_run=true", &wanted(&values, whole("P")), &[])
        .await;
    let creation = answer.body.pointer("/plan/creation_at_most");
    let creation = creation.or_else(|| answer.body.get("creation_at_most"));
    let at_most =
        json!({"calls": 2, "credits": 15, "method": "POST", "path": "/crm/v7/Leads/upsert"});
    assert_eq!(creation, Some(&at_most), "{answer:?}");
    assert_eq!(world.count("upsert").await, 0);
}
