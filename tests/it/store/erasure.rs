//! Erasure of a person's data, in every store.

use std::time::Duration;

use jiff::SignedDuration;
use masshook::app::operations::{Erasure, ErasureQuery};
use masshook::job::{Job, JobOrder, OrderKey};
use masshook::store::delivery::StoredDelivery;
use masshook::store::{AddResult, RecordClaim, StoreError};
use masshook::update::{ChangeKind, value_digest};
use serde_json::json;

use super::delivery_fixture::{add_with_delivery, delivery, noise, read, succeed};
use super::fixture::Fixture;

const ADA: &str = "ada@example.com";

async fn find(fixture: &Fixture, value: &str) -> Erasure {
    let query = ErasureQuery::Value(value.to_owned());
    let found = Erasure::find(&*fixture.store, &query).await;
    found.expect("an answer")
}

async fn is_stored(fixture: &Fixture, job: &Job) -> bool {
    fixture.store.get(&job.id).await.expect("read").is_some()
}

/// Adds a job that matches an e-mail address.
async fn job_about(fixture: &Fixture, name: &str, email: &str) -> Job {
    let request = json!({
        "module": "Leads",
        "fields": {"Lead_Status": "Contacted"},
        "match": {"field": "Email", "values": [email]},
        "reference": format!("ref-{name}"),
    });
    let job = fixture.job_for(name, &request);
    let added = fixture.store.add(&job, None).await;
    assert_eq!(added.expect("added"), AddResult::New);
    job
}

/// Jobs, deliveries in progress and dead letters with the value go, in any spelling and size; those of others stay.
pub(super) async fn value_is_erased_everywhere(fixture: &Fixture) {
    let of_ada = job_about(fixture, "ada", "Ada@Example.com").await;
    let of_bob = job_about(fixture, "bob", "xada@example.com").await;
    let mut form = b"email=ada%40example.com&note=".to_vec();
    form.extend(hex::encode(noise(300_000)).bytes());
    let (in_progress, stored) = add_with_delivery(fixture, "form", false, form).await;
    let (other, other_stored) = add_with_delivery(
        fixture,
        "other",
        false,
        b"{\"email\":\"bob@example.com\"}".to_vec(),
    )
    .await;
    let dead = delivery(
        fixture,
        "dlv_dead",
        b"{\"e\":\"ada\\u0040example.com\"}".to_vec(),
    );
    fixture.store.put_delivery(&dead).await.expect("stored");

    let found = find(fixture, ADA).await;
    assert!(found.jobs.contains(&of_ada.id) && found.jobs.contains(&in_progress.id));
    assert_eq!(found.jobs.len(), 2, "{found:?}");
    assert_eq!(found.unfinished, found.jobs);
    let deliveries: Vec<&str> = found.deliveries.iter().map(String::as_str).collect();
    assert_eq!(deliveries.len(), 2, "{found:?}");
    assert!(deliveries.contains(&"dlv_dead") && deliveries.contains(&stored.id.as_str()));

    found.erase(&*fixture.store).await.expect("erased");
    assert!(find(fixture, ADA).await.is_empty());
    for gone in [&of_ada, &in_progress] {
        assert!(!is_stored(fixture, gone).await);
    }
    assert!(read(fixture, &stored.id).await.is_none());
    assert!(read(fixture, "dlv_dead").await.is_none());
    for there in [&of_bob, &other] {
        assert!(is_stored(fixture, there).await);
    }
    assert_eq!(read(fixture, &other_stored.id).await, Some(other_stored));
}

pub(super) async fn reference_selects_its_jobs_only(fixture: &Fixture) {
    let first = job_about(fixture, "first", ADA).await;
    let second = job_about(fixture, "second", ADA).await;
    let query = ErasureQuery::Reference("ref-first".to_owned());
    let found = Erasure::find(&*fixture.store, &query)
        .await
        .expect("an answer");
    assert_eq!(found.jobs.iter().collect::<Vec<_>>(), [&first.id]);
    found.erase(&*fixture.store).await.expect("erased");
    assert!(!is_stored(fixture, &first).await);
    assert!(is_stored(fixture, &second).await);
}

/// Jobs of the same delivery may be about other persons, but the delivery itself goes.
pub(super) async fn other_jobs_of_a_shared_delivery_stay(fixture: &Fixture) {
    let body = json!([{"email": ADA}, {"email": "bob@example.com"}]).to_string();
    let (job, stored) = add_with_delivery(fixture, "batch", true, body.into_bytes()).await;
    let found = find(fixture, ADA).await;
    assert!(found.jobs.is_empty(), "{found:?}");
    assert!(found.deliveries.contains(&stored.id), "{found:?}");
    found.erase(&*fixture.store).await.expect("erased");
    assert!(is_stored(fixture, &job).await);
    assert!(read(fixture, &stored.id).await.is_none());
}

/// The driver of an erased job loses its lease, and nothing brings the job back.
pub(super) async fn erased_job_is_not_written_again(fixture: &Fixture) {
    let (mut job, stored) = add_with_delivery(fixture, "driven", false, ADA.into()).await;
    let (_, lease) = fixture.claim(&job.id).await;
    find(fixture, ADA)
        .await
        .erase(&*fixture.store)
        .await
        .expect("erased");
    let written = fixture
        .store
        .release(&job, lease, Some(fixture.now()))
        .await;
    assert!(
        matches!(written, Err(StoreError::LeaseLost(_))),
        "{written:?}"
    );
    assert!(!is_stored(fixture, &job).await);
    assert!(read(fixture, &stored.id).await.is_none());
    // The sender's redelivery is new.
    let again = StoredDelivery {
        dead_letter: None,
        ..stored
    };
    let added = fixture.store.add(&job, Some(&again)).await;
    assert_eq!(added.expect("added"), AddResult::New);
    succeed(fixture, &mut job).await;
}

/// The orders of a person's records go, whether they are known by an id or only by a value; those of others stay.
pub(super) async fn orders_of_records_are_erased(fixture: &Fixture) {
    let key = OrderKey {
        value: "7".parse().expect("a value"),
        received_at: fixture.now(),
    };
    let request = json!({
        "module": "Leads",
        "fields": {"Lead_Status": "Contacted"},
        "match": {"field": "Email", "values": ["bob@example.com"], "on_none": "create"},
    });
    let job = fixture.job_for("ordered", &request);
    let order = JobOrder {
        key,
        keep_for: SignedDuration::from_hours(24),
    };
    let (connection, route) = (job.connection.clone(), job.route.clone());
    let job = job.with_order(Some(order));
    fixture.store.add(&job, None).await.expect("added");
    let names = [
        "5725767000003000001".to_owned(),
        "5725767000003000002".to_owned(),
        format!("Leads.Email={}", value_digest(ADA)),
        format!("Leads.Email={}", value_digest("bob@example.com")),
    ];
    let route = route.expect("a route");
    let names = names.map(|record| RecordClaim::name_of(&connection, &route, record));
    let claim = |name: &String| RecordClaim {
        name: name.clone(),
        key,
        changes: [ChangeKind::Fields].into(),
        holder: job.id.clone(),
        until: fixture.after(60),
        keep_for: Duration::from_secs(86_400),
    };
    let claims = names.iter().map(claim).collect();
    let claimed = fixture.store.claim_records(claims, fixture.now()).await;
    assert_eq!(claimed.expect("claimed").len(), names.len());
    for (value, name) in [
        ("5725767000003000001", &names[0]),
        ("Ada@example.com", &names[2]),
    ] {
        let found = find(fixture, value).await;
        assert_eq!(found.orders.iter().collect::<Vec<_>>(), [name], "{value}");
        found.erase(&*fixture.store).await.expect("erased");
        assert!(find(fixture, value).await.is_empty(), "{value}");
    }
    for (value, name) in [
        ("5725767000003000002", &names[1]),
        ("bob@example.com", &names[3]),
    ] {
        let found = find(fixture, value).await;
        assert!(found.orders.contains(name), "{value}");
    }
}
