//! What every store promises about locks and shared values.

use std::sync::Arc;

use masshook::job::JobId;
use masshook::store::{LockHolder, StoreError};
use secrecy::{ExposeSecret, SecretString};

use super::bench::Bench;

pub(super) async fn lock_has_one_holder(bench: &Bench) {
    let (one, other) = (
        LockHolder::unique(),
        LockHolder::job(&JobId::derive("r", "d", 0)),
    );
    let lock = |holder, seconds| {
        bench.store.lock(
            "default/Leads/7",
            holder,
            bench.now(),
            bench.within(seconds),
        )
    };
    let won = lock(&one, 60).await.expect("an answer").expect("free");
    assert_eq!((won.holder, won.until), (one.clone(), bench.within(60)));
    assert_eq!(lock(&other, 60).await.expect("an answer"), None);
    let elsewhere = bench
        .store
        .lock("default/Leads/8", &other, bench.now(), bench.within(1));
    assert!(elsewhere.await.expect("an answer").is_some());
    bench.pass(50);
    assert!(
        lock(&one, 60).await.expect("an answer").is_some(),
        "prolonged"
    );
    bench.pass(50);
    assert_eq!(lock(&other, 60).await.expect("an answer"), None);
    bench
        .store
        .unlock("default/Leads/7", &other)
        .await
        .expect("nothing happens");
    assert_eq!(lock(&other, 60).await.expect("an answer"), None);
    bench
        .store
        .unlock("default/Leads/7", &one)
        .await
        .expect("given back");
    assert!(lock(&other, 60).await.expect("an answer").is_some());
    bench.pass(60);
    assert!(
        lock(&one, 60).await.expect("an answer").is_some(),
        "expired"
    );
    bench
        .store
        .unlock("nothing", &one)
        .await
        .expect("nothing happens");
}

pub(super) async fn concurrent_locks_have_one_winner(bench: &Bench) {
    let (now, until) = (bench.now(), bench.within(60));
    for round in 0..3 {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..32 {
            let store = Arc::clone(&bench.store);
            let name = format!("round {round}");
            tasks.spawn(async move {
                let lock = store.lock(&name, &LockHolder::unique(), now, until).await;
                lock.expect("an answer").is_some()
            });
        }
        assert_eq!(super::jobs::winners(tasks).await, 1);
    }
}

pub(super) async fn value_is_written_under_its_lock(bench: &Bench) {
    assert!(bench.store.value("default").await.expect("read").is_none());
    let lock = |holder| async move {
        let lock = bench
            .store
            .lock("token/default", &holder, bench.now(), bench.within(30))
            .await;
        lock.expect("an answer").expect("free")
    };
    let read = || async {
        let value = bench.store.value("default").await.expect("read");
        let value = value.expect("a value");
        assert!(!format!("{value:?} {:?}", bench.store).contains("top-secret"));
        value.expose_secret().to_owned()
    };
    let first = lock(LockHolder::unique()).await;
    let secret = SecretString::from("top-secret".to_owned());
    bench
        .store
        .put_value("default", &secret, &first)
        .await
        .expect("written");
    assert_eq!(read().await, "top-secret");

    bench.pass(30);
    let second = lock(LockHolder::unique()).await;
    let other = SecretString::from("other".to_owned());
    let refused = bench.store.put_value("default", &other, &first).await;
    assert!(
        matches!(&refused, Err(StoreError::LockLost(name)) if name == "token/default"),
        "{refused:?}"
    );
    assert_eq!(read().await, "top-secret", "the old lock wrote nothing");
    bench
        .store
        .put_value("default", &other, &second)
        .await
        .expect("written");
    assert_eq!(read().await, "other");
    bench
        .store
        .unlock("token/default", &second.holder)
        .await
        .expect("released");
    let refused = bench.store.put_value("default", &secret, &second).await;
    assert!(
        matches!(refused, Err(StoreError::LockLost(_))),
        "{refused:?}"
    );
}
