//! What keeps writes to DynamoDB few: AWS charges for refused ones, too.

use masshook::job::JobId;
use masshook::store::Claim;

use super::delivery_fixture::{add_with_delivery, noise, read};
use super::dynamodb::stored_items;
use super::fixture::Fixture;

#[tokio::test]
async fn turn_claims_only_jobs_that_are_due() {
    let fixture = Fixture::in_dynamodb().await;
    let mut ids = Vec::new();
    for name in ["finished", "later", "leased"] {
        ids.push(fixture.add_job(name).await.id);
    }
    // A turn reads the other shards only if a woken job's shard has another due job.
    let shard = |id: &JobId| id.as_str().bytes().map(u32::from).sum::<u32>() % 8;
    let names = (0..).map(|number| format!("due {number}"));
    let mut near = names.filter(|name| shard(&fixture.job(name).id) == shard(&ids[2]));
    let name = near.next().expect("ids are spread over all shards");
    ids.push(fixture.add_job(&name).await.id);
    let (store, now) = (&fixture.store, fixture.now());
    for (id, due) in [(&ids[0], None), (&ids[1], Some(fixture.after(30)))] {
        let (job, lease) = fixture.claim(id).await;
        store.release(&job, lease, due).await.expect("released");
    }
    fixture.claim(&ids[2]).await;
    for woken in [&ids[..3], &ids[..]] {
        let turn = store.due_with(woken, now, 10).await.expect("an answer");
        assert_eq!(turn, ids[3..], "{woken:?}");
    }
    let later = store.due_with(&ids[..3], fixture.after(30), 10).await;
    let mut later = later.expect("an answer");
    later.sort();
    let mut expected = vec![ids[1].clone(), ids[3].clone()];
    expected.sort();
    assert_eq!(later, expected);
    let mut claims = Vec::new();
    for id in &ids {
        let claim = store.claim_due(id, now, fixture.after(60)).await;
        claims.push(match claim.expect("an answer") {
            Claim::NotDue => "not due",
            Claim::Busy { .. } => "busy",
            Claim::Acquired(..) => "acquired",
            other @ (Claim::Parked { .. } | Claim::NotFound) => panic!("{other:?}"),
        });
    }
    assert_eq!(claims, ["not due", "not due", "busy", "acquired"]);
    // Its driver crashes.
    fixture.advance(60);
    assert!(fixture.due().await.contains(&ids[3]));
    fixture.claim(&ids[3]).await;
}

/// A small delivery costs no write of its own.
#[tokio::test]
async fn small_delivery_is_in_the_item_of_its_job() {
    let fixture = Fixture::in_dynamodb().await;
    let (small, stored) = add_with_delivery(&fixture, "small", false, b"{}".to_vec()).await;
    let (large, _) = add_with_delivery(&fixture, "large", false, noise(600)).await;
    let (shared, _) = add_with_delivery(&fixture, "shared", true, b"{}".to_vec()).await;
    let mut items = Vec::new();
    for job in [&small, &large, &shared] {
        let source = job.source.as_ref().expect("a delivery");
        items.push(stored_items(&fixture, &format!("delivery#{}", source.delivery)).await);
    }
    let counts: Vec<usize> = items.iter().map(Vec::len).collect();
    assert_eq!(counts, [0, 1, 1]);
    assert!(read(&fixture, &stored.id).await == Some(stored));
}

/// Several workers share a backlog: none takes all of it, and they start at different places.
#[tokio::test]
async fn turn_takes_a_share_of_the_backlog() {
    let fixture = Fixture::in_dynamodb().await;
    let mut ids = Vec::new();
    for number in 0..400 {
        ids.push(fixture.add_job(&number.to_string()).await.id);
    }
    let (store, woken) = (&fixture.store, &ids[390..]);
    let mut turns = std::collections::BTreeSet::new();
    for _ in 0..4 {
        let turn = store.due_with(woken, fixture.now(), 1_000).await;
        let turn = turn.expect("an answer");
        assert!(woken.iter().all(|id| turn.contains(id)), "{turn:?}");
        assert_eq!(turn.len(), 310);
        turns.insert(turn);
    }
    assert!(turns.len() > 1, "all of them begin at one place");
}
