//! The order of records with several processes.

use super::*;

#[expect(
    clippy::disallowed_methods,
    reason = "a seed of the one who runs the test"
)]
fn seed() -> u64 {
    let seed = std::env::var("MASSHOOK_TEST_SEED").ok();
    seed.and_then(|seed| seed.parse().ok()).unwrap_or(7)
}

/// The replay of an old dead letter overwrites nothing newer.
#[tokio::test]
async fn replayed_dead_letter_is_superseded() {
    let world = world().await;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory());
    let workers = [world.worker(&store)];
    let lead = world.lead(1);
    world.faults(&json!({"may_mass_update": false})).await;
    let old = json!({"event": "old", "at": 1, "city": "old", "ids": [lead]});
    let failed = enqueue(&workers[0], &old).await;
    finish(&world, &workers, &*store, std::slice::from_ref(&failed)).await;
    world.faults(&json!({"reset": true})).await;
    let new = json!({"event": "new", "at": 2, "city": "new", "ids": [lead]});
    let newer = enqueue(&workers[0], &new).await;
    finish(&world, &workers, &*store, &[newer]).await;
    let id = StoredDelivery::id_of("ordered", "old");
    let dead = store
        .delivery(&id)
        .await
        .expect("read")
        .expect("a dead letter");
    let replayed = workers[0].replay(&dead).await.expect("replayed");
    let replay = replayed.jobs()[0].id.clone();
    assert_ne!(replay, failed);
    finish(&world, &workers, &*store, std::slice::from_ref(&replay)).await;
    let replay = job(&*store, &replay).await;
    assert_eq!(replay.counts().superseded, Some(1), "{replay:#?}");
    assert_eq!(city(&world, &lead).await, "new");
}

/// A thousand records, three deliveries each in random order, through two processes that run turns side by side over one
/// store, with an unreliable Zoho: the newest value stands in every record, and Zoho never received an older one after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newest_value_stands_in_every_record() {
    const RECORDS: u64 = 1_000;
    const VALUES: u64 = 3;
    let world = Harness::new().routes(ROUTE).rude().start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_file(folder.path().join("jobs.db")));
    let workers = [world.worker(&store), world.worker(&store)];
    let mut random = fastrand::Rng::with_seed(seed());
    let mut deliveries: Vec<(u64, u64)> = (0..RECORDS)
        .flat_map(|record| (1..=VALUES).map(move |at| (record, at)))
        .collect();
    random.shuffle(&mut deliveries);
    let mut ids = Vec::new();
    for (round, chunk) in deliveries.chunks(600).enumerate() {
        for (record, at) in chunk {
            let lead = world.lead(*record);
            let body = json!({"event": format!("{record}/{at}"), "at": at, "city": format!("v{at}"), "ids": [lead]});
            let worker = &workers[usize::from(random.bool())];
            ids.push(enqueue(worker, &body).await);
        }
        if round % 2 == 0 {
            let (one, two) = tokio::join!(
                workers[0].run_turn(&[], None),
                workers[1].run_turn(&[], None)
            );
            one.expect("a turn");
            two.expect("a turn");
            world.clock.advance(Duration::from_secs(1));
        }
    }
    finish(&world, &workers, &*store, &ids).await;

    let newest = format!("v{VALUES}");
    let (mut updated, mut superseded) = (0, 0);
    for id in &ids {
        let job = job(&*store, id).await;
        assert_eq!(job.status(), JobStatus::Succeeded, "{job:#?}");
        updated += job.counts().updated;
        superseded += job.counts().superseded.expect("an order");
    }
    assert_eq!(updated + superseded, RECORDS * VALUES);
    eprintln!("{updated} records updated, {superseded} left to a newer delivery");
    for record in 0..RECORDS {
        assert_eq!(
            city(&world, &world.lead(record)).await,
            json!(newest),
            "{record}"
        );
    }
    let requests = world.requests().await;
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for request in requests.as_array().expect("requests") {
        let value = request["body"]["data"][0]["City"].as_str();
        let Some(value) = value.and_then(|city| city.strip_prefix('v')?.parse().ok()) else {
            continue;
        };
        for id in request["body"]["ids"].as_array().expect("ids") {
            let id = id.as_str().expect("an id").to_owned();
            let before = last.insert(id.clone(), value).unwrap_or_default();
            assert!(before <= value, "{id}: v{value} was sent after v{before}");
        }
    }
}
