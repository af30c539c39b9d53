//! Routes with `order_by`: an older delivery does not overwrite the records of a newer one.

mod creation;
mod workers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use masshook::app::App;
use masshook::job::{Job, JobId, JobStatus};
use masshook::store::Store;
use masshook::store::delivery::StoredDelivery;
use masshook::store::sqlite::SqliteStore;
use serde_json::{Value, json};

use crate::harness::{Answer, Harness, Request, World, enqueue_delivery};

const ROUTE: &str = r#"
  ordered:
    verify: { scheme: none }
    delivery_id: .event
    order_by: .at
    map: '.updates[]? // {module: "Leads", fields: (if .city then {City: .city} else null end), tags, owner, ids, cvid, match} | with_entries(select(.value != null))'
"#;

async fn world() -> World {
    Harness::new().routes(ROUTE).start().await
}

async fn send(world: &World, body: &Value) -> Answer {
    world
        .send(Request::json("/hooks/ordered", body.to_string()))
        .await
}

/// Delivers a city for a lead; the event is its value of `order_by`.
async fn deliver(world: &World, at: Value, city: &str, lead: &str) -> Value {
    let event = format!("{at} {city}");
    let body = json!({"event": event, "at": at, "city": city, "ids": [lead]});
    let answer = send(world, &body).await;
    answer.job().clone()
}

async fn city(world: &World, lead: &str) -> Value {
    world.record("Leads", lead).await["City"].clone()
}

fn counts(updated: u64, superseded: u64) -> Value {
    let total = updated + superseded;
    json!({"total": total, "updated": updated, "failed": 0, "pending": 0, "superseded": superseded})
}

#[tokio::test]
async fn older_delivery_is_superseded() {
    let world = world().await;
    let lead = world.lead(1);
    for (at, late) in [
        (
            json!("2026-11-27T10:00:00Z"),
            json!("2026-11-27T11:00:00+02:00"),
        ),
        (json!("2026-11-28"), json!("2026-11-27T23:59:59.999Z")),
        (
            json!("2026-11-29T00:00:00+0000"),
            json!("Sat, 28 Nov 2026 20:00:00 GMT"),
        ),
    ] {
        let newer = deliver(&world, at.clone(), "new", &lead).await;
        assert_eq!(newer["counts"], counts(1, 0), "{newer:#}");
        let calls = world.count("mass_update_post").await;
        let older = deliver(&world, late, "old", &lead).await;
        assert_eq!(older["status"], "succeeded", "{older:#}");
        assert_eq!(older["counts"], counts(0, 1), "{older:#}");
        assert_eq!(world.count("mass_update_post").await, calls);
        assert_eq!(city(&world, &lead).await, "new");
        let path = format!("/jobs/{}", older["id"].as_str().expect("an id"));
        let stored = world.send(Request::get(&path).authorized()).await.body;
        let history = stored["history"].as_array().expect("a history").iter();
        let events: Vec<&str> = history
            .filter_map(|entry| entry["event"].as_str())
            .collect();
        assert!(events.contains(&"superseded"), "{stored:#}");
        assert!(stored["order"].is_string(), "{stored:#}");
    }
    // Jobs without an order have no such count.
    let body = json!({"module": "Leads", "fields": {"City": "Bonn"}, "ids": [lead]});
    let answer = world.post_job("", &body, &[]).await;
    assert!(
        answer.job()["counts"].get("superseded").is_none(),
        "{answer:?}"
    );
}

#[tokio::test]
async fn numbers_are_compared_exactly() {
    let world = world().await;
    let lead = world.lead(1);
    // These are one number as floats.
    deliver(&world, json!("6486202000000008002"), "new", &lead).await;
    let older = deliver(&world, json!("6486202000000008001"), "old", &lead).await;
    assert_eq!(older["counts"], counts(0, 1), "{older:#}");
    let older = deliver(&world, json!(12), "old", &lead).await;
    assert_eq!(older["counts"], counts(0, 1), "{older:#}");
    assert_eq!(city(&world, &lead).await, "new");
}

/// Numbers keep digits that no float has, and "never" is a time.
#[tokio::test]
async fn long_numbers_and_distant_times_are_compared() {
    let world = world().await;
    let post = async |at: &str, city: &str, lead: &str| {
        let event = format!("{city} {lead}");
        let body = format!(r#"{{"event":"{event}","at":{at},"city":"{city}","ids":["{lead}"]}}"#);
        world.send(Request::json("/hooks/ordered", body)).await
    };
    for (place, newer, older) in [
        (1, "99999999999999999999", "99999999999999999998"),
        (2, "1700000000.1234567890123", "1700000000.1234567890122"),
        (3, "9007199254740993.5", "9007199254740993.4"),
        (
            4,
            r#""9999-12-31T23:59:59Z""#,
            r#""9999-12-31T23:59:58.9999999999999Z""#,
        ),
    ] {
        let lead = world.lead(place);
        let job = post(newer, "new", &lead).await.job().clone();
        assert_eq!(job["counts"], counts(1, 0), "{newer}: {job:#}");
        let job = post(older, "old", &lead).await.job().clone();
        assert_eq!(job["counts"], counts(0, 1), "{older}: {job:#}");
    }
    let lead = world.lead(5);
    for at in ["999999999999999999999", r#""2026-11-27T10:00:00+25:59""#] {
        let refused = post(at, "bad", &lead).await;
        assert_eq!(
            (refused.status, refused.body["code"].as_str()),
            (422, Some("mapping_failed")),
            "{refused:?}"
        );
    }
    let refused = post("1e400", "bad", &lead).await;
    let detail = refused.body["detail"].as_str().expect("a detail");
    assert!(detail.contains("number out of range"), "{detail}");
    assert!(detail.contains("send a larger one as a string"), "{detail}");
    assert!(!detail.contains("is not JSON"), "{detail}");
}

/// Of equal values the later delivery wins, and a redelivery is no other delivery.
#[tokio::test]
async fn equal_values_are_ordered_by_receipt() {
    let world = world().await;
    let lead = world.lead(1);
    deliver(&world, json!(5), "first", &lead).await;
    world.clock.advance(Duration::from_secs(1));
    let second = deliver(&world, json!(5), "second", &lead).await;
    assert_eq!(second["counts"], counts(1, 0), "{second:#}");
    let again = deliver(&world, json!(5), "first", &lead).await;
    assert_eq!(again["counts"], counts(1, 0), "{again:#}");
    assert_eq!(city(&world, &lead).await, "second");
}

#[tokio::test]
async fn update_requests_of_one_delivery_are_all_sent() {
    let world = world().await;
    let (one, two) = (world.lead(1), world.lead(2));
    let update =
        |field: &str, ids: Value| json!({"module": "Leads", "fields": {field: "Bonn"}, "ids": ids});
    let both = [
        update("City", json!([one, two])),
        update("Company", json!([one])),
    ];
    let body = json!({"event": "e1", "at": 7, "updates": both});
    let answer = send(&world, &body).await;
    let jobs = answer.body["jobs"].as_array().expect("jobs");
    assert!(
        jobs.iter().all(|job| job["status"] == "succeeded"),
        "{answer:?}"
    );
    let record = world.record("Leads", &one).await;
    assert_eq!(
        (&record["City"], &record["Company"]),
        (&json!("Bonn"), &json!("Bonn"))
    );
    // A later delivery with an older value for one of two records, and two fields in turn.
    deliver(&world, json!(9), "Cologne", &two).await;
    let fields = json!({"City": "Kiel", "Company": "Kiel"});
    let body = json!({"event": "e2", "at": 8, "updates": [{"module": "Leads", "fields": fields, "ids": [one, two]}]});
    let job = send(&world, &body).await.job().clone();
    assert_eq!(job["counts"], counts(1, 1), "{job:#}");
    let (first, second) = (
        world.record("Leads", &one).await,
        world.record("Leads", &two).await,
    );
    assert_eq!(
        (&first["City"], &first["Company"]),
        (&json!("Kiel"), &json!("Kiel"))
    );
    assert_eq!(second["City"], "Cologne");
    assert_ne!(second["Company"], "Kiel");
}

#[tokio::test]
async fn refused_newer_delivery_lets_older_pass() {
    let world = world().await;
    let lead = world.lead(1);
    let too_long = "x".repeat(300);
    let refused = deliver(&world, json!(2), &too_long, &lead).await;
    assert_eq!(refused["status"], "failed", "{refused:#}");
    let older = deliver(&world, json!(1), "old", &lead).await;
    assert_eq!(older["counts"], counts(1, 0), "{older:#}");
    assert_eq!(city(&world, &lead).await, "old");
}

#[tokio::test]
async fn matched_records_have_an_order() {
    let world = world().await;
    let by_mail = json!({"field": "Email", "values": ["lead1@example.com", "lead2@example.com"]});
    let body = json!({"event": "e1", "at": 2, "city": "new", "match": by_mail});
    let job = send(&world, &body).await.job().clone();
    assert_eq!(job["counts"], counts(2, 0), "{job:#}");
    let body = json!({"event": "e2", "at": 1, "city": "old", "match": by_mail});
    let job = send(&world, &body).await.job().clone();
    assert_eq!(job["counts"], counts(0, 2), "{job:#}");
    assert_eq!(city(&world, &world.id("Leads", 0)).await, "new");
}

/// Delivers changes of a lead; the event is the value of `order_by`, and what changes.
async fn change(world: &World, at: u8, lead: &str, changes: Value) -> Value {
    let mut body = json!({"event": format!("{at} {changes}"), "at": at, "ids": [lead]});
    let keys = changes.as_object().expect("an object").clone();
    body.as_object_mut().expect("an object").extend(keys);
    send(world, &body).await.job().clone()
}

fn tags(record: &Value) -> Vec<&str> {
    let tags = record["Tag"].as_array().into_iter().flatten();
    tags.filter_map(|tag| tag["name"].as_str()).collect()
}

/// Fields, tags and the owner have orders of their own: what a newer delivery did not change, an older one changes.
#[tokio::test]
async fn older_step_passes_where_newer_one_failed() {
    let world = world().await;
    let lead = world.lead(1);
    let too_long = "x".repeat(300);
    let both = json!({"city": too_long, "tags": {"add": ["New"]}});
    let newer = change(&world, 5, &lead, both).await;
    assert_eq!(newer["status"], "partially_succeeded", "{newer:#}");
    let older = change(&world, 3, &lead, json!({"city": "old"})).await;
    assert_eq!(older["counts"], counts(1, 0), "{older:#}");
    assert_eq!(city(&world, &lead).await, "old");
    // Adding and removing tags is one change.
    let calls = world.count("remove_tags").await;
    let older = change(&world, 4, &lead, json!({"tags": {"remove": ["New"]}})).await;
    assert_eq!(older["counts"], counts(0, 1), "{older:#}");
    assert_eq!(world.count("remove_tags").await, calls);
    // A delivery that is newer in one step only: its other step is superseded, and the record counts so.
    let both =
        json!({"city": "newer", "tags": {"add": ["Old"]}, "owner": {"id": "5725767000000411002"}});
    let mixed = change(&world, 4, &lead, both).await;
    assert_eq!(mixed["status"], "succeeded", "{mixed:#}");
    assert_eq!(mixed["counts"], counts(0, 1), "{mixed:#}");
    let steps = mixed["steps"].as_array().expect("steps").iter();
    let steps: Vec<&Value> = steps.map(|step| &step["counts"]).collect();
    assert_eq!(
        steps,
        [&counts(1, 0), &counts(0, 1), &counts(1, 0)],
        "{mixed:#}"
    );
    let record = world.record("Leads", &lead).await;
    assert_eq!(
        (&record["City"], tags(&record)),
        (&json!("newer"), vec!["New"])
    );
    assert_eq!(record["Owner"]["id"], "5725767000000411002");
}

/// Zoho's answer leaves a record out: it may be updated, so the newer delivery counts as sent for it.
#[tokio::test]
async fn record_without_answer_is_not_overwritten() {
    let world = world().await;
    let (one, two) = (world.lead(1), world.lead(2));
    let updated = json!({"code": "SUCCESS", "details": {"id": one}, "message": "record updated", "status": "success"});
    let answer = json!({"kind": "mass_update_post", "status": 200, "apply": true, "body": {"data": [updated]}});
    world.faults(&json!({"next": [answer]})).await;
    let body = json!({"event": "new", "at": 2, "city": "new", "ids": [one, two]});
    let newer = send(&world, &body).await.job().clone();
    assert_eq!(newer["failures"][0]["code"], "NOT_ANSWERED", "{newer:#}");
    let body = json!({"event": "old", "at": 1, "city": "old", "ids": [one, two]});
    let older = send(&world, &body).await.job().clone();
    assert_eq!(older["counts"], counts(0, 2), "{older:#}");
    for lead in [one, two] {
        assert_eq!(city(&world, &lead).await, "new");
    }
}

#[tokio::test]
async fn order_is_kept_for_a_week() {
    let world = world().await;
    let lead = world.lead(1);
    deliver(&world, json!(2), "new", &lead).await;
    world.clock.advance(Duration::from_secs(6 * 24 * 3600));
    let late = deliver(&world, json!(1), "late", &lead).await;
    assert_eq!(late["counts"], counts(0, 1), "{late:#}");
    world.clock.advance(Duration::from_secs(2 * 24 * 3600));
    let later = deliver(&world, json!(1.5), "later", &lead).await;
    assert_eq!(later["counts"], counts(1, 0), "{later:#}");
}

#[tokio::test]
async fn delivery_without_order_is_refused() {
    let world = world().await;
    let lead = world.lead(1);
    for (at, found) in [
        (json!(null), "yields null"),
        (json!(false), "yields a boolean"),
        (json!({"seconds": 5}), "yields an object"),
        (json!([5]), "yields an array"),
        (json!("soon"), "neither a time nor a number"),
        (json!(""), "neither a time nor a number"),
        (json!(1e300), "20 digits"),
    ] {
        let body = json!({"event": "e", "at": at, "city": "Bonn", "ids": [lead]});
        let answer = send(&world, &body).await;
        assert_eq!(answer.status, 422, "{answer:?}");
        assert_eq!(answer.body["code"], "mapping_failed");
        let detail = answer.body["detail"].as_str().expect("a detail");
        assert!(
            detail.contains("`order_by`") && detail.contains(found),
            "{detail}"
        );
        assert!(!detail.contains("soon"), "{detail}");
    }
    let ids: Vec<String> = (0..501).map(|place| world.lead(place)).collect();
    for (key, selector, found) in [
        ("ids", json!(ids), "at most 500 records"),
        ("cvid", json!("7"), "a custom view"),
    ] {
        let body = json!({"event": "e", "at": 1, "city": "Bonn", key: selector});
        let answer = send(&world, &body).await;
        assert_eq!(answer.status, 422, "{answer:?}");
        assert!(answer.text.contains(found), "{answer:?}");
    }
    assert_eq!(world.count("token").await, 0);
}

#[tokio::test]
async fn number_after_time_fails_before_any_call() {
    let world = world().await;
    let lead = world.lead(1);
    deliver(&world, json!("2026-11-27"), "new", &lead).await;
    let calls = world.count("mass_update_post").await;
    let job = deliver(&world, json!(1_800_000_000), "other", &lead).await;
    assert_eq!(job["status"], "failed", "{job:#}");
    assert_eq!(job["error"]["code"], "ORDER_INCOMPARABLE", "{job:#}");
    assert_eq!(world.count("mass_update_post").await, calls);
}

async fn enqueue(app: &App, body: &Value) -> JobId {
    enqueue_delivery(app, "ordered", body).await
}

async fn job(store: &dyn Store, id: &JobId) -> Job {
    store.get(id).await.expect("read").expect("a job")
}

/// Runs turns of all workers side by side, with some time between them, until all jobs have finished.
async fn finish(world: &World, workers: &[App], store: &dyn Store, ids: &[JobId]) {
    for _ in 0..400 {
        let turns = workers.iter().map(|worker| worker.run_turn(&[], None));
        for turn in futures_util::future::join_all(turns).await {
            turn.expect("the store answers");
        }
        let mut open = 0;
        for id in ids {
            open += usize::from(!job(store, id).await.status().is_final());
        }
        if open == 0 {
            return;
        }
        world.clock.advance(Duration::from_secs(10));
    }
    panic!("some jobs never finish");
}
