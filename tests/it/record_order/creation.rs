//! The order of records that a delivery creates.

use super::*;

/// Delivers an update request that creates leads; returns its job.
async fn create(world: &World, at: u8, city: &str, values: &[&str]) -> Value {
    let create = json!({"Last_Name": city, "Company": "Acme"});
    let wanted = json!({"field": "Email", "values": values, "on_none": "create", "create": create});
    let body = json!({"event": format!("{at} {city}"), "at": at, "city": city, "match": wanted});
    send(world, &body).await.job().clone()
}

fn creation_counts(created: u64, updated: u64, superseded: u64) -> Value {
    json!({"total": created + updated + superseded, "updated": updated, "created": created,
        "failed": 0, "pending": 0, "superseded": superseded})
}

#[tokio::test]
async fn created_record_has_an_order() {
    let world = world().await;
    let newer = create(&world, 2, "new", &["n@example.com"]).await;
    assert_eq!(newer["counts"], creation_counts(1, 0, 0), "{newer:#}");
    let lead = newer["new_records"][0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    // By its value, by its id, and together with a record that is missing.
    let older = create(&world, 1, "old", &["N@example.com"]).await;
    assert_eq!(older["counts"], creation_counts(0, 0, 1), "{older:#}");
    let older = deliver(&world, json!(1), "older", &lead).await;
    assert_eq!(older["counts"], counts(0, 1), "{older:#}");
    let older = create(&world, 1, "mixed", &["n@example.com", "m@example.com"]).await;
    assert_eq!(older["counts"], creation_counts(1, 0, 1), "{older:#}");
    assert_eq!(city(&world, &lead).await, "new");
    let newest = create(&world, 3, "newest", &["n@example.com"]).await;
    assert_eq!(newest["counts"], creation_counts(0, 1, 0), "{newest:#}");
    assert_eq!(city(&world, &lead).await, "newest");
}

/// The older delivery was planned while no record had the value. It neither creates a second one nor overwrites the first.
#[tokio::test]
async fn older_creation_is_superseded_after_its_plan() {
    let world = world().await;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory());
    let workers = [world.worker(&store)];
    let body = |event: &str, at: u8, values: &[&str]| {
        let create = json!({"Last_Name": event, "Company": "Acme"});
        let wanted =
            json!({"field": "Email", "values": values, "on_none": "create", "create": create});
        json!({"event": event, "at": at, "city": event, "tags": {"add": [event]}, "match": wanted})
    };
    // The connection breaks, so the older job keeps its plan of creating two leads.
    let outage = json!({"kind": "upsert", "reset": true, "times": 50});
    world.faults(&json!({"next": [outage]})).await;
    let old = enqueue(
        &workers[0],
        &body("old", 1, &["p@example.com", "q@example.com"]),
    )
    .await;
    workers[0].run_turn(&[], None).await.expect("a turn");
    let waiting = job(&*store, &old).await;
    assert!(
        !waiting.calls.is_empty() && !waiting.status().is_final(),
        "{waiting:#?}"
    );
    world.faults(&json!({"next": []})).await;
    let new = enqueue(&workers[0], &body("new", 2, &["p@example.com"])).await;
    finish(&world, &workers, &*store, &[old.clone(), new.clone()]).await;
    let (old, new) = (job(&*store, &old).await, job(&*store, &new).await);
    assert_eq!(new.counts().created, Some(1), "{new:#?}");
    let counts = old.counts();
    assert_eq!(
        (
            old.status(),
            counts.created,
            counts.superseded,
            counts.failed
        ),
        (JobStatus::Succeeded, Some(1), Some(1), 0),
        "{old:#?}"
    );
    let mut found = Vec::new();
    for place in 2_000..2_003 {
        let lead = world.record("Leads", &world.id("Leads", place)).await;
        if !lead["Email"].is_null() {
            let tags = tags(&lead).join(",");
            found.push(json!([
                lead["Email"],
                lead["City"],
                lead["Last_Name"],
                tags
            ]));
        }
    }
    found.sort_by_key(Value::to_string);
    assert_eq!(
        found,
        [
            json!(["p@example.com", "new", "new", "new"]),
            json!(["q@example.com", "old", "old", "old"])
        ]
    );
}

#[tokio::test]
async fn refused_creation_lets_older_pass() {
    let world = world().await;
    let too_long = "x".repeat(300);
    let refused = create(&world, 2, &too_long, &["r@example.com"]).await;
    assert_eq!(refused["status"], "failed", "{refused:#}");
    let older = create(&world, 1, "old", &["r@example.com"]).await;
    assert_eq!(older["counts"], creation_counts(1, 0, 0), "{older:#}");
}
