//! What every store promises about locks and tokens.

use std::sync::Arc;

use masshook::job::JobId;
use masshook::job::store::{LockHolder, SharedToken, StoreError};
use secrecy::ExposeSecret;

use super::bench::Bench;

pub(super) async fn a_lock_has_one_holder(bench: &Bench) {
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

pub(super) async fn of_many_holders_one_wins(bench: &Bench) {
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

pub(super) async fn a_token_is_shared_under_its_lock(bench: &Bench) {
    assert!(bench.store.token("default").await.expect("read").is_none());
    let lock = |holder| async move {
        let lock = bench
            .store
            .lock("token/default", &holder, bench.now(), bench.within(30))
            .await;
        lock.expect("an answer").expect("free")
    };
    let first = lock(LockHolder::unique()).await;
    let token = SharedToken {
        value: Some("top-secret".to_owned().into()),
        expires_at: bench.within(3600),
        throttled_until: None,
    };
    bench
        .store
        .put_token("default", &token, &first)
        .await
        .expect("shared");
    let read = bench
        .store
        .token("default")
        .await
        .expect("read")
        .expect("a token");
    assert_eq!(
        read.value.as_ref().map(ExposeSecret::expose_secret),
        Some("top-secret")
    );
    assert_eq!(
        (read.expires_at, read.throttled_until),
        (token.expires_at, None)
    );
    let shown = format!("{read:?} {:?}", bench.store);
    assert!(!shown.contains("top-secret"), "{shown}");

    bench.pass(30);
    let second = lock(LockHolder::unique()).await;
    let throttled = SharedToken {
        value: None,
        expires_at: bench.now(),
        throttled_until: Some(bench.within(600)),
    };
    let refused = bench.store.put_token("default", &throttled, &first).await;
    assert!(
        matches!(&refused, Err(StoreError::LockLost(name)) if name == "token/default"),
        "{refused:?}"
    );
    let read = bench
        .store
        .token("default")
        .await
        .expect("read")
        .expect("a token");
    assert!(read.value.is_some(), "the old lock wrote nothing");
    bench
        .store
        .put_token("default", &throttled, &second)
        .await
        .expect("shared");
    let read = bench
        .store
        .token("default")
        .await
        .expect("read")
        .expect("a mark");
    assert!(read.value.is_none());
    assert_eq!(read.throttled_until, throttled.throttled_until);
    bench
        .store
        .unlock("token/default", &second.holder)
        .await
        .expect("given back");
    let refused = bench.store.put_token("default", &token, &second).await;
    assert!(
        matches!(refused, Err(StoreError::LockLost(_))),
        "{refused:?}"
    );
}
