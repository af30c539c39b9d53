//! What every store guarantees about locks and shared values.

use std::sync::Arc;

use masshook::job::JobId;
use masshook::store::{LockHolder, StoreError};
use secrecy::{ExposeSecret, SecretString};

use super::fixture::{Fixture, winners};

pub(super) async fn lock_has_one_holder(fixture: &Fixture) {
    let (one, other) = (
        LockHolder::unique(),
        LockHolder::job(&JobId::derive("r", "d", 0)),
    );
    let lock = |holder, seconds| {
        fixture.store.lock(
            "default/Leads/7",
            holder,
            fixture.now(),
            fixture.after(seconds),
        )
    };
    let won = lock(&one, 60).await.expect("an answer").expect("free");
    assert_eq!((won.holder, won.until), (one.clone(), fixture.after(60)));
    assert_eq!(lock(&other, 60).await.expect("an answer"), None);
    let elsewhere = fixture
        .store
        .lock("default/Leads/8", &other, fixture.now(), fixture.after(1));
    assert!(elsewhere.await.expect("an answer").is_some());
    fixture.advance(50);
    assert!(
        lock(&one, 60).await.expect("an answer").is_some(),
        "extended"
    );
    fixture.advance(50);
    assert_eq!(lock(&other, 60).await.expect("an answer"), None);
    fixture
        .store
        .unlock("default/Leads/7", &other)
        .await
        .expect("ignored");
    assert_eq!(lock(&other, 60).await.expect("an answer"), None);
    fixture
        .store
        .unlock("default/Leads/7", &one)
        .await
        .expect("released");
    assert!(lock(&other, 60).await.expect("an answer").is_some());
    fixture.advance(60);
    assert!(
        lock(&one, 60).await.expect("an answer").is_some(),
        "expired"
    );
    fixture
        .store
        .unlock("nothing", &one)
        .await
        .expect("ignored");
}

pub(super) async fn concurrent_locks_have_one_winner(fixture: &Fixture) {
    let (now, until) = (fixture.now(), fixture.after(60));
    for round in 0..3 {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..32 {
            let store = Arc::clone(&fixture.store);
            let name = format!("round {round}");
            tasks.spawn(async move {
                let lock = store.lock(&name, &LockHolder::unique(), now, until).await;
                lock.expect("an answer").is_some()
            });
        }
        assert_eq!(winners(tasks).await, 1);
    }
}

pub(super) async fn value_is_written_under_its_lock(fixture: &Fixture) {
    assert!(
        fixture
            .store
            .value("default")
            .await
            .expect("read")
            .is_none()
    );
    let lock = |holder| async move {
        let lock = fixture
            .store
            .lock("token/default", &holder, fixture.now(), fixture.after(30))
            .await;
        lock.expect("an answer").expect("free")
    };
    let read = || async {
        let value = fixture.store.value("default").await.expect("read");
        let value = value.expect("a value");
        assert!(!format!("{value:?} {:?}", fixture.store).contains("top-secret"));
        value.expose_secret().to_owned()
    };
    let first = lock(LockHolder::unique()).await;
    let secret = SecretString::from("top-secret".to_owned());
    fixture
        .store
        .put_value("default", &secret, &first)
        .await
        .expect("written");
    assert_eq!(read().await, "top-secret");

    fixture.advance(30);
    let second = lock(LockHolder::unique()).await;
    let other = SecretString::from("other".to_owned());
    let refused = fixture.store.put_value("default", &other, &first).await;
    assert!(
        matches!(&refused, Err(StoreError::LockLost(name)) if name == "token/default"),
        "{refused:?}"
    );
    assert_eq!(read().await, "top-secret", "the expired lock wrote nothing");
    fixture
        .store
        .put_value("default", &other, &second)
        .await
        .expect("written");
    assert_eq!(read().await, "other");
    fixture
        .store
        .unlock("token/default", &second.holder)
        .await
        .expect("released");
    let refused = fixture.store.put_value("default", &secret, &second).await;
    assert!(
        matches!(refused, Err(StoreError::LockLost(_))),
        "{refused:?}"
    );
}
