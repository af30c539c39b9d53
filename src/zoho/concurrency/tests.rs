use super::*;
use crate::clock::ManualClock;
use std::collections::HashMap;

/// Locks with holders and expiry, as in a store.
#[derive(Debug, Default)]
struct Locks(Mutex<HashMap<String, (usize, Timestamp)>>);

#[derive(Debug)]
struct Process(Arc<Locks>, usize);

#[async_trait]
impl SharedPermits for Process {
    async fn acquire(
        &self,
        permit: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, String> {
        let mut locks = self.0.0.lock().expect("locks");
        let free = locks
            .get(permit)
            .is_none_or(|(by, ends)| *by == self.1 || *ends <= now);
        if free {
            locks.insert(permit.to_owned(), (self.1, until));
        }
        Ok(free)
    }

    async fn release(&self, permit: &str) {
        let mut locks = self.0.0.lock().expect("locks");
        if locks.get(permit).is_some_and(|(by, _)| *by == self.1) {
            locks.remove(permit);
        }
    }
}

fn clock() -> ManualClock {
    ManualClock::at(Timestamp::UNIX_EPOCH)
}

fn process(
    number: usize,
    limit: usize,
    locks: &Arc<Locks>,
    clock: &ManualClock,
) -> ConcurrencyLimit {
    ConcurrencyLimit::new("c".to_owned(), limit, Arc::new(clock.clone()))
        .shared(Arc::new(Process(locks.clone(), number)))
}

#[tokio::test]
async fn two_processes_together_keep_to_the_limit() {
    let (clock, locks) = (clock(), Arc::default());
    let (a, b) = (process(1, 3, &locks, &clock), process(2, 3, &locks, &clock));
    let first = a.acquire().await.expect("a permit");
    let second = a.acquire().await.expect("a permit");
    let third = b.acquire().await.expect("a permit");
    assert!(
        futures_util::future::poll_immediate(b.acquire())
            .await
            .is_none(),
        "b waits for its own"
    );
    drop(third);
    let third = b.acquire().await.expect("its own again");
    // b cannot acquire what a keeps idle before a releases it.
    drop((first, second, third));
    clock.advance(FULL_FOR);
    let _own = b.acquire().await.expect("its own again");
    assert!(
        futures_util::future::poll_immediate(b.acquire())
            .await
            .is_none()
    );
    a.release_idle().await;
    clock.advance(FULL_FOR);
    let _more = b.acquire().await.expect("one of a's");
    assert_eq!(b.0.state().ours.len(), 2);
}

#[tokio::test]
async fn process_without_permit_fails_at_once() {
    let (clock, locks) = (clock(), Arc::default());
    let (a, b) = (process(1, 1, &locks, &clock), process(2, 1, &locks, &clock));
    let held = a.acquire().await.expect("a permit");
    assert!(b.acquire().await.is_err());
    drop(held);
    a.release_idle().await;
    assert!(b.acquire().await.is_err(), "no second try at once");
    clock.advance(FULL_FOR);
    b.acquire().await.expect("a permit");
}

#[tokio::test]
async fn expired_permit_goes_to_another_process() {
    let (clock, locks) = (clock(), Arc::default());
    let (a, b) = (process(1, 1, &locks, &clock), process(2, 1, &locks, &clock));
    drop(a.acquire().await.expect("a permit"));
    clock.advance(LEASE - MARGIN);
    drop(a.acquire().await.expect("renewed"));
    clock.advance(LEASE - Duration::from_secs(1));
    assert!(b.acquire().await.is_err());
    clock.advance(FULL_FOR);
    let theirs = b.acquire().await.expect("the expired permit");
    assert!(a.acquire().await.is_err());
    drop(theirs);
}

#[tokio::test]
async fn unshared_limit_has_all_permits_at_once() {
    let limit = ConcurrencyLimit::new("c".to_owned(), 2, Arc::new(clock()));
    let held = (
        limit.acquire().await.expect("one"),
        limit.acquire().await.expect("two"),
    );
    assert!(
        futures_util::future::poll_immediate(limit.acquire())
            .await
            .is_none()
    );
    drop(held);
    limit.release_idle().await;
    limit.acquire().await.expect("still there");
}

/// A store that answers only when the test lets it.
#[derive(Debug, Default)]
struct SlowStore {
    acquired: Mutex<Vec<String>>,
    answers: Notify,
}

#[async_trait]
impl SharedPermits for SlowStore {
    async fn acquire(
        &self,
        permit: &str,
        _now: Timestamp,
        _until: Timestamp,
    ) -> Result<bool, String> {
        sync::lock(&self.acquired).push(permit.to_owned());
        self.answers.notified().await;
        Ok(true)
    }

    async fn release(&self, permit: &str) {
        sync::lock(&self.acquired).retain(|acquired| acquired != permit);
    }
}

#[tokio::test]
async fn permit_of_cancelled_waiter_is_used_or_released() {
    let store = Arc::new(SlowStore::default());
    let limit = ConcurrencyLimit::new("c".to_owned(), 3, Arc::new(clock()));
    let limit = Arc::new(limit.shared(store.clone()));
    let waiter = tokio::spawn({
        let limit = limit.clone();
        async move { limit.acquire().await.map(drop) }
    });
    while sync::lock(&store.acquired).is_empty() {
        tokio::task::yield_now().await;
    }
    waiter.abort();
    store.answers.notify_one();
    let first = limit.acquire().await.expect("the waiter's permit");
    assert_eq!(sync::lock(&store.acquired).len(), 1);
    // An answer of Zoho overtakes the store.
    let mut second = std::pin::pin!(limit.acquire());
    assert!(futures_util::poll!(second.as_mut()).is_pending());
    while sync::lock(&store.acquired).len() < 2 {
        tokio::task::yield_now().await;
    }
    drop(first);
    let second = second.await.expect("the first one's permit");
    store.answers.notify_one();
    let third = limit.acquire().await.expect("the late permit");
    assert_eq!(sync::lock(&store.acquired).len(), 2);
    drop((second, third));
    limit.release_idle().await;
    assert!(sync::lock(&store.acquired).is_empty());
}
