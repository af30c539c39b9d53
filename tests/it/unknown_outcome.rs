//! Calls with an unknown outcome: options that are appended to multi-select picklists must not be appended twice.

use std::sync::Arc;
use std::time::Duration;

use masshook::store::Store;
use masshook::store::sqlite::SqliteStore;
use serde_json::{Value, json};

use crate::harness::{Harness, World, enqueue};

/// The option that is appended; no record has it.
const OPTION: &str = "Billing";

async fn world(lines: &str) -> World {
    Harness::new()
        .config(|config| format!("{config}{lines}"))
        .start()
        .await
}

fn adding(world: &World, places: &[u64]) -> Value {
    let ids: Vec<String> = places
        .iter()
        .map(|place| world.id("Leads", *place))
        .collect();
    json!({"module": "Leads", "fields": {"Topics": [OPTION]}, "ids": ids})
}

async fn topics(world: &World, place: u64) -> Value {
    world.record("Leads", &world.id("Leads", place)).await["Topics"].clone()
}

/// Returns the ids of each mass update, in order.
async fn sent(world: &World) -> Vec<Value> {
    let requests = world.requests().await;
    let requests = requests.as_array().expect("requests").iter();
    let updates = requests.filter(|request| request["kind"] == "mass_update_post");
    updates
        .map(|request| request["body"]["ids"].clone())
        .collect()
}

/// Faults after which the outcome of a call is unknown, and whether Zoho applied the call.
fn unclear() -> Vec<(Value, bool)> {
    let entry = |more: Value| {
        let mut entry = json!({"kind": "mass_update_post"});
        let more = more.as_object().expect("an object").clone();
        entry.as_object_mut().expect("an object").extend(more);
        entry
    };
    vec![
        (entry(json!({"reset_after_apply": true})), true),
        (entry(json!({"reset": true})), false),
        (entry(json!({"status": 500, "apply": true})), true),
        (entry(json!({"status": 503})), false),
        (
            entry(json!({"status": 502, "html": "<h1>Bad Gateway</h1>"})),
            false,
        ),
        (
            entry(json!({"status": 200, "html": "<p>welcome</p>", "apply": true})),
            true,
        ),
    ]
}

#[tokio::test]
async fn unknown_outcome_is_reported_and_not_retried() {
    let world = world("").await;
    for (place, (fault, applied)) in (1_u64..).zip(unclear()) {
        world.faults(&json!({"next": [fault]})).await;
        let before = world.count("mass_update_post").await;
        let answer = world.post_job("", &adding(&world, &[place]), &[]).await;
        let job = answer.job();
        assert_eq!(
            (
                &job["status"],
                &job["error"]["code"],
                &job["calls"][0]["attempts"]
            ),
            (&json!("failed"), &json!("OUTCOME_UNKNOWN"), &json!(1)),
            "{fault}: {job:#}"
        );
        let failure = &job["failures"][0];
        assert_eq!(
            (&failure["id"], &failure["code"]),
            (&json!(world.id("Leads", place)), &json!("OUTCOME_UNKNOWN"))
        );
        assert!(
            failure["advice"]
                .to_string()
                .contains("on_unknown_outcome: reread"),
            "{failure:#}"
        );
        assert_eq!(
            job["counts"],
            json!({"total": 1, "updated": 0, "failed": 1, "pending": 0})
        );
        assert_eq!(world.count("mass_update_post").await - before, 1);
        let there = topics(&world, place).await;
        assert_eq!(
            there.as_array().expect("a list").contains(&json!(OPTION)),
            applied,
            "{fault}"
        );
    }
    assert_eq!(world.count("coql").await, 0);
}

#[tokio::test]
async fn known_or_idempotent_calls_are_retried() {
    let world = world("").await;
    let throttled = json!({"next": [{"kind": "mass_update_post", "status": 429}]});
    let unclear = json!({"next": [{"kind": "mass_update_post", "status": 500}]});
    let mut replacing = adding(&world, &[2]);
    replacing["over_write"] = json!(true);
    let mut plain = adding(&world, &[3]);
    plain["fields"] = json!({"Rating": "Active"});
    for (fault, request) in [
        (&throttled, adding(&world, &[1])),
        (&unclear, replacing),
        (&unclear, plain),
    ] {
        world.faults(fault).await;
        let answer = world.post_job("", &request, &[]).await;
        let job = answer.job();
        assert_eq!(
            (&job["status"], &job["calls"][0]["attempts"]),
            (&json!("succeeded"), &json!(2)),
            "{fault} {request}: {job:#}"
        );
    }
    // Without a token no call is sent, so the outcome is known.
    world
        .faults(
            &json!({"expire_tokens": true, "next": [{"kind": "token", "status": 500, "times": 9}]}),
        )
        .await;
    world.clock.advance(Duration::from_secs(4_000));
    let answer = world.post_job("", &adding(&world, &[4]), &[]).await;
    assert_eq!(answer.job()["status"], "succeeded", "{:#}", answer.body);
}

#[tokio::test]
async fn reread_resends_only_records_without_options() {
    let world = world("on_unknown_outcome: reread\n").await;
    for (place, (fault, applied)) in (1_u64..).zip(unclear()) {
        world.faults(&json!({"next": [fault]})).await;
        let before = [
            world.count("mass_update_post").await,
            world.count("coql").await,
        ];
        let answer = world.post_job("", &adding(&world, &[place]), &[]).await;
        assert_eq!(
            answer.job()["status"],
            "succeeded",
            "{fault}: {:#}",
            answer.job()
        );
        let after = [
            world.count("mass_update_post").await,
            world.count("coql").await,
        ];
        let posts = if applied { 1 } else { 2 };
        assert_eq!(
            [after[0] - before[0], after[1] - before[1]],
            [posts, 1],
            "{fault}"
        );
        let there = topics(&world, place).await;
        assert!(
            there.as_array().expect("a list").contains(&json!(OPTION)),
            "{fault}"
        );
    }

    // One of two records already has the option: only the other is sent again.
    world
        .faults(&json!({"next": [{"kind": "mass_update_post", "reset": true}]}))
        .await;
    let answer = world.post_job("", &adding(&world, &[1, 20]), &[]).await;
    assert_eq!(
        (&answer.job()["status"], &answer.job()["counts"]["updated"]),
        (&json!("succeeded"), &json!(2)),
        "{:#}",
        answer.body
    );
    assert_eq!(
        sent(&world).await.last(),
        Some(&json!([world.id("Leads", 20)]))
    );

    // A refusal of the second call applies only to the records in it.
    world
        .faults(&json!({"next": [{"kind": "mass_update_post", "reset": true}]}))
        .await;
    let mut unknown = adding(&world, &[1]);
    unknown["ids"] = json!([world.id("Leads", 1), "9999999999999999999"]);
    let answer = world.post_job("", &unknown, &[]).await;
    let job = answer.job();
    assert_eq!(
        job["counts"],
        json!({"total": 2, "updated": 1, "failed": 1, "pending": 0}),
        "{job:#}"
    );
    assert_eq!(
        (&job["status"], &job["failures"][0]["code"]),
        (&json!("partially_succeeded"), &json!("INVALID_DATA"))
    );
}

#[tokio::test]
async fn unreadable_records_are_reported_as_unknown() {
    let world = world("on_unknown_outcome: reread\n").await;
    let unclear = json!({"kind": "mass_update_post", "reset_after_apply": true});
    // The records of a view may have changed since the call.
    world.faults(&json!({"next": [unclear]})).await;
    let view = json!({"module": "Leads", "fields": {"Topics": [OPTION]}, "cvid": world.zoho()["views"]["Leads"]["some"]["id"]});
    let answer = world.post_job("", &view, &[]).await;
    let job = answer.job();
    assert_eq!(
        (&job["status"], &job["error"]["code"]),
        (&json!("failed"), &json!("OUTCOME_UNKNOWN")),
        "{job:#}"
    );
    assert_eq!(world.count("mass_update_post").await, 1);

    // Without the scope to read, the error names it.
    let reading = json!({"kind": "coql", "status": 401, "body": {
        "code": "OAUTH_SCOPE_MISMATCH", "details": {}, "message": "invalid oauth scope to access this URL", "status": "error",
    }});
    world.faults(&json!({"next": [unclear, reading]})).await;
    let answer = world.post_job("", &adding(&world, &[1]), &[]).await;
    let error = &answer.job()["error"];
    assert_eq!(error["code"], "OUTCOME_UNKNOWN", "{error:#}");
    assert!(
        error["message"].to_string().contains("ZohoCRM.coql.READ"),
        "{error:#}"
    );

    // If Zoho is unavailable, the read is retried.
    let busy = json!({"kind": "coql", "status": 503, "times": 6});
    world.faults(&json!({"next": [unclear, busy]})).await;
    let answer = world.post_job("", &adding(&world, &[2]), &[]).await;
    assert_eq!(answer.job()["status"], "succeeded", "{:#}", answer.body);
    assert_eq!(world.count("mass_update_post").await, 3);
}

/// Ends a worker after it has sent the shared call of two jobs and before the answer; then another worker takes over.
async fn lost_on_its_way(lines: &str) -> (World, Vec<Value>) {
    let world = world(lines).await;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory());
    let lost = world.worker(&store);
    let jobs = [
        enqueue(&lost, &adding(&world, &[1])).await,
        enqueue(&lost, &adding(&world, &[2])).await,
    ];
    let slow = json!({"kind": "mass_update_post", "delay_ms": 600_000});
    world.faults(&json!({"next": [slow]})).await;
    let turn = tokio::spawn(async move { lost.run_turn(&[], None).await.map(|_| ()) });
    while world.count("mass_update_post").await == 0 {
        assert!(!turn.is_finished(), "the turn waits for its answer");
        tokio::task::yield_now().await;
    }
    turn.abort();
    assert!(turn.await.is_err_and(|end| end.is_cancelled()));
    world.clock.advance(Duration::from_secs(3_600));
    let next = world.worker(&store);
    let mut ended = Vec::new();
    for id in &jobs {
        for _ in 0..20 {
            next.run_turn(&[], None).await.expect("a turn");
            world.clock.advance(Duration::from_secs(60));
        }
        let job = store.get(id).await.expect("read").expect("a job");
        ended.push(serde_json::to_value(masshook::job::view::JobView::of(&job)).expect("JSON"));
    }
    (world, ended)
}

#[tokio::test]
async fn worker_lost_during_call_leaves_unknown_outcome() {
    let (world, jobs) = lost_on_its_way("").await;
    for job in &jobs {
        assert_eq!(
            (&job["status"], &job["error"]["code"]),
            (&json!("failed"), &json!("OUTCOME_UNKNOWN")),
            "{job:#}"
        );
        assert_eq!(job["failures"].as_array().map(Vec::len), Some(1));
    }
    assert_eq!(world.count("mass_update_post").await, 1);

    let (world, jobs) = lost_on_its_way("on_unknown_outcome: reread\n").await;
    for job in &jobs {
        assert_eq!(job["status"], "succeeded", "{job:#}");
    }
    assert_eq!(
        (
            world.count("mass_update_post").await,
            world.count("coql").await
        ),
        (1, 2)
    );
    for place in [1, 2] {
        let there = topics(&world, place).await;
        assert!(there.as_array().expect("a list").contains(&json!(OPTION)));
    }
}

#[tokio::test]
async fn route_overrides_on_unknown_outcome() {
    // The route overrides the global setting.
    let config = |config: String| {
        let config = config.replace(
            "    when: .kind",
            "    on_unknown_outcome: reread\n    when: .kind",
        );
        assert!(config.contains("on_unknown_outcome: reread"));
        config
    };
    let world = Harness::new().config(config).start().await;
    let unclear = json!({"kind": "mass_update_post", "reset_after_apply": true, "times": 2});
    world.faults(&json!({"next": [unclear]})).await;
    let delivery = json!({"kind": "form", "event": "e1", "ids": [world.id("Leads", 1)], "fields": {"Topics": [OPTION]}});
    let by_route = world.deliver(&delivery).await;
    assert_eq!(by_route.job()["status"], "succeeded", "{:#}", by_route.body);
    let by_api = world.post_job("", &adding(&world, &[2]), &[]).await;
    assert_eq!(by_api.job()["error"]["code"], "OUTCOME_UNKNOWN");
}
