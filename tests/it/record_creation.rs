//! `on_none: create`: records for the values of a `match` that no record has.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use masshook::store::Store;
use masshook::store::sqlite::SqliteStore;
use serde_json::{Value, json};

use crate::harness::{Harness, Received, Request, World, enqueue_delivery, text};

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

/// The events arrive within one window, which only the injected clock ends: however slow the machine is.
#[tokio::test]
async fn thousand_events_take_twenty_queries_and_four_upserts() {
    let route = "  people: { verify: { scheme: none }, delivery_id: .event, map: .update }\n";
    let config = |config: String| format!("{config}batch_window: 60s\n");
    let world = Harness::new().routes(route).config(config).start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_file(folder.path().join("jobs.db")));
    let worker = world.worker(&store);
    let delivery = |number: usize| {
        let email = match number {
            1..=600 => format!("lead{number}@example.com"),
            _ => format!("new{number}@example.com"),
        };
        let mut update = wanted(&[email.as_str()], whole(&format!("N{number}")));
        update["reference"] = json!(number);
        update["callback_url"] = json!(world.receiver.url("/zoho"));
        json!({"event": format!("e{number}"), "update": update})
    };
    let calls = async || {
        [
            world.count("coql").await,
            world.count("mass_update_post").await,
            world.count("upsert").await,
        ]
    };
    for number in 1..=1_000 {
        enqueue_delivery(&worker, "people", &delivery(number)).await;
    }
    worker.run_turn(&[], None).await.expect("a turn");
    assert_eq!(calls().await, [0, 0, 0], "the window is open");
    for _ in 0..30 {
        world.clock.advance(Duration::from_secs(60));
        worker.run_turn(&[], None).await.expect("a turn");
        if world.receiver.all().len() >= 1_000 {
            break;
        }
    }
    let before = calls().await;
    assert_eq!(before, [20, 2, 4]);
    let callbacks = world.receiver.all();
    let mut references = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for callback in callbacks.iter().map(Received::verified_at_its_time) {
        let data = &callback["data"];
        assert_eq!(callback["type"], "job.succeeded");
        let number = data["reference"].as_u64().expect("a number");
        assert!(references.insert(number), "{number} is reported twice");
        let is_new = number > 600;
        let counts = json!({"total": 1, "updated": u8::from(!is_new), "created": u8::from(is_new), "failed": 0, "pending": 0});
        assert_eq!(data["counts"], counts, "{data:#}");
        if is_new {
            let new = &data["new_records"][0];
            assert_eq!(new["value"], json!(format!("new{number}@example.com")));
            assert!(ids.insert(text(&new["id"])));
        }
    }
    assert_eq!((references.len(), ids.len()), (1_000, 400));
    for number in 1..=1_000 {
        enqueue_delivery(&worker, "people", &delivery(number)).await;
    }
    world.clock.advance(Duration::from_secs(60));
    worker.run_turn(&[], None).await.expect("a turn");
    assert_eq!(calls().await, before, "the same deliveries again: nothing");
    assert_eq!(world.receiver.all().len(), 1_000);
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
}

fn tags(record: &Value) -> Vec<String> {
    let tags = record["Tag"].as_array().into_iter().flatten();
    tags.map(|tag| text(&tag["name"])).collect()
}

fn steps(job: &Value) -> Vec<(String, String, Value)> {
    let steps = job["steps"].as_array().expect("steps").iter();
    steps
        .map(|step| {
            (
                text(&step["step"]),
                text(&step["status"]),
                step["counts"].clone(),
            )
        })
        .collect()
}

#[tokio::test]
async fn created_and_found_records_get_tags() {
    let world = Harness::new().start().await;
    // The token's user loses access to a record that gets another owner, so the owner comes after the tags.
    world.faults(&json!({"owner_takes_access": true})).await;
    let values = ["lead1@example.com", "t1@example.com", "t2@example.com"];
    let mut request = wanted(&values, whole("T"));
    request["tags"] = json!({"add": ["Webinar"], "remove": ["Cold"]});
    request["owner"] = json!({"id": "5725767000000411002", "notify": true});
    let job = post(&world, &request).await;
    assert_eq!(job["status"], "succeeded", "{job:#}");
    let counts = |created: u8, updated: u8| json!({"total": 3, "updated": updated, "created": created, "failed": 0, "pending": 0});
    assert_eq!(job["counts"], counts(2, 1));
    let all = json!({"total": 3, "updated": 3, "failed": 0, "pending": 0});
    let create = json!({"total": 2, "updated": 0, "created": 2, "failed": 0, "pending": 0});
    let fields = json!({"total": 1, "updated": 1, "failed": 0, "pending": 0});
    let expected = [
        ("create", create),
        ("fields", fields),
        ("add_tags", all.clone()),
        ("remove_tags", all.clone()),
        ("owner", all),
    ];
    let expected = expected.map(|(step, counts)| (step.to_owned(), "succeeded".to_owned(), counts));
    assert_eq!(steps(&job), expected, "{job:#}");
    for kind in ["upsert", "add_tags", "remove_tags", "change_owner"] {
        assert_eq!(world.count(kind).await, 1, "{kind}");
    }
    for new in job["new_records"].as_array().expect("records") {
        let lead = world.record("Leads", &text(&new["id"])).await;
        assert_eq!(tags(&lead), ["Webinar"], "{lead:#}");
        assert_eq!(lead["Owner"]["id"], "5725767000000411002");
    }
    let found = world.record("Leads", &world.id("Leads", 0)).await;
    assert_eq!(tags(&found), ["Webinar"]);
}

#[tokio::test]
async fn tags_of_records_that_are_not_created_fail() {
    let world = Harness::new().start().await;
    let mut request = wanted(&["u1@example.com", "no address"], whole("U"));
    request["tags"] = json!({"add": ["Webinar"]});
    let job = post(&world, &request).await;
    assert_eq!(job["status"], "partially_succeeded", "{job:#}");
    let counts = json!({"total": 2, "updated": 0, "created": 1, "failed": 1, "pending": 0});
    assert_eq!(job["counts"], counts);
    let tagged = json!({"total": 2, "updated": 1, "failed": 1, "pending": 0});
    let tag_step = (
        "add_tags".to_owned(),
        "partially_succeeded".to_owned(),
        tagged,
    );
    assert_eq!(steps(&job)[1], tag_step, "{job:#}");
    // No record is created, so there is nothing to tag.
    let calls = world.count("add_tags").await;
    let mut request = wanted(&["no address"], whole("U"));
    request["tags"] = json!({"add": ["Webinar"]});
    let job = post(&world, &request).await;
    assert_eq!(job["status"], "failed", "{job:#}");
    let failed = json!({"total": 1, "updated": 0, "created": 0, "failed": 1, "pending": 0});
    assert_eq!(job["counts"], failed);
    assert_eq!(job["failures"][0]["code"], "INVALID_DATA", "{job:#}");
    assert_eq!(
        job["steps"][1]["error"]["code"], "RECORD_NOT_CREATED",
        "{job:#}"
    );
    assert_eq!(world.count("add_tags").await, calls);
    // Zoho refuses the tags: the record exists, and the job says what it lacks.
    world.faults(&json!({"refused_tag_characters": "!"})).await;
    let mut request = wanted(&["u2@example.com"], whole("U"));
    request["tags"] = json!({"add": ["Hot!"]});
    let job = post(&world, &request).await;
    assert_eq!(job["status"], "partially_succeeded", "{job:#}");
    let counts = json!({"total": 1, "updated": 0, "created": 0, "failed": 1, "pending": 0});
    assert_eq!(job["counts"], counts, "{job:#}");
    assert_eq!(job["new_records"][0]["action"], "created");
    assert_eq!(job["steps"][0]["counts"]["created"], 1);
    assert_created(&world, 2).await;
}

#[tokio::test]
async fn jobs_share_tag_calls_for_new_records() {
    let routes = "  people: { verify: { scheme: none }, delivery_id: tojson, map: '.updates[]' }\n";
    let world = Harness::new().routes(routes).start().await;
    let updates: Vec<Value> = (0..60)
        .map(|number| {
            let emails = ["s", "t"].map(|name| format!("{name}{number}@example.com"));
            let mut request = wanted(&[emails[0].as_str(), emails[1].as_str()], whole("S"));
            request["tags"] = json!({"add": ["Webinar"]});
            request
        })
        .collect();
    let body = json!({"updates": updates}).to_string();
    let answer = world.send(Request::json("/hooks/people", body)).await;
    let jobs = answer.body["jobs"].as_array().expect("jobs");
    assert!(
        jobs.iter().all(|job| job["counts"]["created"] == 2),
        "{answer:?}"
    );
    assert_eq!(
        [world.count("upsert").await, world.count("add_tags").await],
        [2, 1]
    );
    assert_created(&world, 120).await;
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
    let mut tagged = wanted(&values, whole("P"));
    tagged["tags"] = json!({"add": ["Webinar"]});
    let plain = answer
        .body
        .pointer("/plan/calls_at_most")
        .and_then(Value::as_u64);
    let answer = world.post_job("?dry_run=true", &tagged, &[]).await;
    let calls = answer
        .body
        .pointer("/plan/calls_at_most")
        .and_then(Value::as_u64);
    // 50,000 records that are found, and 150 that are created, 500 a call.
    assert_eq!(calls, plain.map(|calls| calls + 101), "{answer:?}");
    assert!(answer.body.to_string().contains("add_tags"), "{answer:?}");
    assert_eq!(world.count("upsert").await, 0);
}
