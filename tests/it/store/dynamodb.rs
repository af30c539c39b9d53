//! What DynamoDB guarantees beyond the other stores: torn writes are not visible, lost answers are retried safely, and errors do
//! not contain AWS's messages.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use axum::Router;
use axum::http::StatusCode;
use masshook::aws::dynamodb::DynamoStore;
use masshook::job::{Job, JobId};
use masshook::outcome::Refusal;
use masshook::plan::CallKind;
use masshook::store::{AddResult, Claim, Jobs, Lease, StoreError};
use masshook::update::{Records, Selector};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::fixture::{Fixture, clock, retention};
use crate::harness::{Moto, ProxyAction, faulty_proxy, free_port, sdk_config};

fn store_behind(url: &str, fixture: &Fixture) -> DynamoStore {
    DynamoStore::with_config(fixture.table(), sdk_config(url))
        .with_retention(retention(&fixture.clock))
}

/// A job whose request is so large that it is stored in parts.
fn large(fixture: &Fixture, delivery: &str) -> Job {
    let mut random = fastrand::Rng::with_seed(7);
    let ids: std::collections::BTreeSet<u64> =
        (0..40_000).map(|_| random.u64(1..1 << 62)).collect();
    let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
    fixture.job_for(
        delivery,
        &json!({"module": "Leads", "fields": {"Score": 1}, "ids": ids}),
    )
}

/// Makes the job's state so large that it is stored in parts, too.
fn refuse_all(job: &mut Job, fixture: &Fixture, why: &str) {
    let refusal = Refusal::zoho("REFUSED".to_owned(), why.to_owned());
    job.abandon(CallKind::Immediate, &refusal, fixture.now());
    let Selector::Records(Records::Ids(ids)) = job.request.selector.clone() else {
        panic!("ids");
    };
    job.failed_ids.extend(ids);
}

/// The sort keys of all items of a job, each with its TTL.
async fn stored(fixture: &Fixture, id: &JobId) -> Vec<(String, Option<AttributeValue>)> {
    stored_items(fixture, &format!("job#{id}")).await
}

/// The sort keys of all items under a partition key, each with its TTL.
pub(super) async fn stored_items(
    fixture: &Fixture,
    pk: &str,
) -> Vec<(String, Option<AttributeValue>)> {
    let client = aws_sdk_dynamodb::Client::new(&Moto::shared().sdk_config());
    let pages = client
        .query()
        .table_name(fixture.table())
        .key_condition_expression("pk = :pk")
        .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()))
        .into_paginator()
        .items()
        .send()
        .collect::<Result<Vec<HashMap<_, _>>, _>>()
        .await;
    let items = pages.expect("moto answers");
    let items = items.iter().map(|item| {
        (
            item["sk"].as_s().expect("text").clone(),
            item.get("ends").cloned(),
        )
    });
    items.collect()
}

/// Checks that an unfinished job does not expire: its head has no TTL, and its parts have one that is later than that of a job
/// which finishes now.
fn assert_kept(items: &[(String, Option<AttributeValue>)], fixture: &Fixture) {
    let finished = retention(&fixture.clock).expires_at().as_second();
    for (key, ends) in items {
        let ends = ends.as_ref().map(|ends| {
            let seconds = ends.as_n().expect("a number");
            seconds.parse::<i64>().expect("seconds")
        });
        assert_eq!(ends.is_none(), key == "head", "{key}");
        assert!(ends.is_none_or(|ends| ends > finished), "{key}");
    }
}

#[tokio::test]
async fn parts_of_a_job_are_written_once() {
    let fixture = Fixture::in_dynamodb().await;
    let writes = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&writes);
    let url = faulty_proxy(move |operation, request| {
        let key = ["Key", "Item"]
            .iter()
            .find_map(|part| request[*part]["sk"]["S"].as_str());
        if key.is_some_and(|key| key.starts_with("part#")) {
            seen.lock().expect("no panic").push(operation.to_owned());
        }
        ProxyAction::Forward
    });
    let store = store_behind(&url.await, &fixture);
    let job = large(&fixture, "large");
    store.add(&job, None).await.expect("added");
    let parts = stored(&fixture, &job.id).await.len() - 1;
    for _ in 0..3 {
        let (_, mut lease) = acquired(&store, &fixture, &job.id).await;
        store.checkpoint(&job, &mut lease).await.expect("written");
        let due = Some(fixture.now());
        store.release(&job, lease, due).await.expect("released");
    }
    assert_kept(&stored(&fixture, &job.id).await, &fixture);
    let finished = acquired(&store, &fixture, &job.id).await.1;
    store.release(&job, finished, None).await.expect("released");
    assert_eq!(*writes.lock().expect("no panic"), vec!["PutItem"; parts]);

    // A job that takes long gets more time.
    let slow = large(&fixture, "slow");
    store.add(&slow, None).await.expect("added");
    fixture.advance(40 * 24 * 3600);
    let (_, lease) = acquired(&store, &fixture, &slow.id).await;
    let due = Some(fixture.now());
    store.release(&slow, lease, due).await.expect("released");
    assert_kept(&stored(&fixture, &slow.id).await, &fixture);
}

async fn acquired(store: &DynamoStore, fixture: &Fixture, id: &JobId) -> (Box<Job>, Lease) {
    match store.claim(id, fixture.now(), fixture.after(60)).await {
        Ok(Claim::Acquired(job, lease)) => (job, lease),
        other => panic!("not acquired: {other:?}"),
    }
}

#[tokio::test]
async fn large_job_leaves_no_orphaned_parts() {
    let fixture = Fixture::in_dynamodb().await;
    let mut job = large(&fixture, "large");
    fixture.store.add(&job, None).await.expect("added");
    fixture.store.add(&job, None).await.expect("an answer");
    let request_parts = stored(&fixture, &job.id).await.len() - 1;
    assert!(request_parts > 0, "the request needs parts");
    let (_, mut lost) = fixture.claim(&job.id).await;
    fixture.advance(60);
    let (_, mut lease) = fixture.claim(&job.id).await;
    refuse_all(&mut job, &fixture, "one");
    let mut counts = Vec::new();
    for _ in 0..3 {
        let written = fixture.store.checkpoint(&job, &mut lease).await;
        written.expect("written");
        let refused = fixture.store.checkpoint(&job, &mut lost).await;
        assert!(
            matches!(refused, Err(StoreError::LeaseLost(_))),
            "{refused:?}"
        );
        counts.push(stored(&fixture, &job.id).await.len());
    }
    assert!(counts[0] > 1 + request_parts, "the state needs parts");
    assert!(
        counts.iter().all(|count| *count == counts[0]),
        "old parts are deleted: {counts:?}"
    );
    let released = fixture
        .store
        .release(&job, lease, Some(fixture.now()))
        .await;
    released.expect("released");
    let items = stored(&fixture, &job.id).await;
    assert_eq!(items.len(), counts[0]);
    assert_kept(&items, &fixture);

    let (_, lease) = fixture.claim(&job.id).await;
    fixture
        .store
        .release(&job, lease, None)
        .await
        .expect("released");
    let items = stored(&fixture, &job.id).await;
    assert!(
        items.iter().all(|(_, ends)| ends.is_some()),
        "every item of a finished job has a TTL: {items:?}"
    );
    let (_, lease) = fixture.claim(&job.id).await;
    fixture
        .store
        .release(&job, lease, Some(fixture.now()))
        .await
        .expect("released");
    let items = stored(&fixture, &job.id).await;
    assert_kept(&items, &fixture);
}

#[tokio::test]
async fn torn_write_is_not_visible() {
    let fixture = Fixture::in_dynamodb().await;
    // Parts are written, but the head item that refers to them is not.
    let is_head = |request: &Value| {
        let head = json!({"S": "head"});
        request["Item"]["sk"] == head || request["Key"]["sk"] == head
    };
    let url = faulty_proxy(move |operation, request| {
        let writes = ["PutItem", "UpdateItem"].contains(&operation);
        if writes && is_head(request) {
            ProxyAction::Refuse
        } else {
            ProxyAction::Forward
        }
    });
    let torn = store_behind(&url.await, &fixture);
    let mut job = large(&fixture, "large");
    let added = torn.add(&job, None).await;
    assert!(
        matches!(added, Err(StoreError::Unavailable(_))),
        "{added:?}"
    );
    let left = stored(&fixture, &job.id).await;
    assert!(
        !left.is_empty() && left.iter().all(|(_, ends)| ends.is_some()),
        "every remaining part has a TTL: {left:?}"
    );
    assert_eq!(fixture.store.get(&job.id).await.expect("read"), None);
    assert_eq!(
        fixture.store.add(&job, None).await.expect("added"),
        AddResult::New
    );

    let (_, mut lease) = fixture.claim(&job.id).await;
    fixture
        .store
        .checkpoint(&job, &mut lease)
        .await
        .expect("written");
    let before = job.clone();
    refuse_all(&mut job, &fixture, "one");
    let written = torn.checkpoint(&job, &mut lease).await;
    assert!(
        matches!(written, Err(StoreError::Unavailable(_))),
        "{written:?}"
    );
    assert_eq!(
        fixture.store.get(&job.id).await.expect("read"),
        Some(before)
    );
    fixture
        .store
        .checkpoint(&job, &mut lease)
        .await
        .expect("written");
    assert_eq!(fixture.store.get(&job.id).await.expect("read"), Some(job));
}

#[tokio::test]
async fn reader_sees_complete_states() {
    let fixture = Fixture::in_dynamodb().await;
    let mut job = large(&fixture, "large");
    fixture.store.add(&job, None).await.expect("added");
    let (_, mut lease) = fixture.claim(&job.id).await;
    refuse_all(&mut job, &fixture, "state 0");
    fixture
        .store
        .checkpoint(&job, &mut lease)
        .await
        .expect("written");
    let (store, id) = (Arc::clone(&fixture.store), job.id.clone());
    let reader = tokio::spawn(async move {
        let mut states_seen = std::collections::BTreeSet::new();
        while !states_seen.contains("state 8") {
            let read = store.get(&id).await.expect("read").expect("a job");
            let message =
                |error: &Option<Refusal>| error.as_ref().map(|error| error.message.clone());
            let states: std::collections::BTreeSet<_> =
                read.calls.iter().map(|call| message(&call.error)).collect();
            assert_eq!(states.len(), 1, "states are mixed: {states:?}");
            states_seen.extend(states.into_iter().flatten());
        }
        states_seen.len()
    });
    for number in 1..=8 {
        for call in &mut job.calls {
            call.error = Some(Refusal::zoho(
                "REFUSED".to_owned(),
                format!("state {number}"),
            ));
        }
        fixture
            .store
            .checkpoint(&job, &mut lease)
            .await
            .expect("written");
    }
    assert!(reader.await.expect("no panic") >= 1);
}

#[tokio::test]
async fn missing_parts_make_job_unreadable() {
    let fixture = Fixture::in_dynamodb().await;
    let job = large(&fixture, "large");
    fixture.store.add(&job, None).await.expect("added");
    let parts = stored(&fixture, &job.id).await;
    let (part, _) = parts
        .iter()
        .find(|(sk, _)| sk.starts_with("part#"))
        .expect("a part");
    let client = aws_sdk_dynamodb::Client::new(&Moto::shared().sdk_config());
    let deleted = client
        .delete_item()
        .table_name(fixture.table())
        .key("pk", AttributeValue::S(format!("job#{}", job.id)))
        .key("sk", AttributeValue::S(part.clone()))
        .send();
    deleted.await.expect("deleted");
    let read = fixture.store.get(&job.id).await;
    assert!(
        matches!(read, Err(StoreError::Unreadable { .. })),
        "{read:?}"
    );
    let claim = fixture
        .store
        .claim(&job.id, fixture.now(), fixture.after(60))
        .await;
    assert!(
        matches!(claim, Err(StoreError::Unreadable { .. })),
        "{claim:?}"
    );
    fixture
        .store
        .park(&job.id, "parts of it are missing")
        .await
        .expect("parked");
}

#[tokio::test]
async fn lost_answer_is_retried_safely() {
    let fixture = Fixture::in_dynamodb().await;
    // The first answer to every write is lost, and the SDK sends the request again.
    let mut requests = HashMap::new();
    let url = faulty_proxy(move |operation, request| {
        let writes = ["PutItem", "UpdateItem", "DeleteItem"].contains(&operation);
        // Requests differ by their `write_id`, which the SDK repeats.
        let times = requests
            .entry(request.to_string())
            .and_modify(|times| *times += 1)
            .or_insert(1);
        if writes && *times == 1 {
            ProxyAction::LoseAnswer
        } else {
            ProxyAction::Forward
        }
    });
    let store = store_behind(&url.await, &fixture);
    for mut job in [fixture.job("small"), large(&fixture, "large")] {
        assert_eq!(store.add(&job, None).await.expect("added"), AddResult::New);
        assert_eq!(
            store.add(&job, None).await.expect("added"),
            AddResult::Existing
        );
        let claim = store.claim(&job.id, fixture.now(), fixture.after(60)).await;
        let Ok(masshook::store::Claim::Acquired(_, mut lease)) = claim else {
            panic!("{claim:?}");
        };
        job.record_attempts(1, 1);
        store.checkpoint(&job, &mut lease).await.expect("written");
        job.record_attempts(1, 1);
        store
            .release(&job, lease, Some(fixture.now()))
            .await
            .expect("released");
        assert_eq!(fixture.store.get(&job.id).await.expect("read"), Some(job));
    }
}

#[tokio::test]
async fn errors_are_classified_without_aws_messages() {
    let job = Fixture::in_memory().job("d");
    let unused = format!("http://127.0.0.1:{}", free_port());
    let store = DynamoStore::with_config("jobs", sdk_config(&unused));
    let error = store.add(&job, None).await.expect_err("not reachable");
    assert!(error.is_retryable(), "{error:?}");
    let store = DynamoStore::with_config("no-such-table", Moto::shared().sdk_config());
    let error = store.get(&job.id).await.expect_err("no such table");
    assert_eq!(
        error.to_string(),
        "the job store failed: DynamoDB table no-such-table: ResourceNotFoundException"
    );
    let cases = [
        (400, "AccessDeniedException", false),
        (400, "ValidationException", false),
        (400, "ThrottlingException", true),
        (400, "ProvisionedThroughputExceededException", true),
        (500, "InternalServerError", true),
        (503, "", true),
    ];
    for (status, code, retryable) in cases {
        let status = StatusCode::from_u16(status).expect("a status");
        let body = json!({"__type": code, "message": "about top-secret"}).to_string();
        let app = Router::new().fallback(move || std::future::ready((status, body.clone())));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let url = format!(
            "http://{}",
            listener.local_addr().expect("a bound listener")
        );
        let server = tokio::spawn(async move { axum::serve(listener, app).await });
        let store =
            DynamoStore::with_config("jobs", sdk_config(&url)).with_retention(retention(&clock()));
        let error = store.due(clock_now(), 10).await.expect_err("refused");
        server.abort();
        assert_eq!(error.is_retryable(), retryable, "{status} {code}: {error}");
        assert!(
            !format!("{error} {error:?}").contains("top-secret"),
            "{error:?}"
        );
    }
}

fn clock_now() -> jiff::Timestamp {
    masshook::clock::Clock::now(&clock())
}
