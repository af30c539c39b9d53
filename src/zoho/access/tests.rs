use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use super::*;
use crate::clock::ManualClock;
use crate::codes::Cause;
use crate::http::HttpSettings;
use crate::secrets::EnvironmentSecrets;
use crate::zoho::MetadataGuard;
use crate::zoho::token_cache::CachedToken;

/// A cache in which another process stores a throttle between our read and our lock.
#[derive(Debug, Default)]
struct LateThrottle(AtomicUsize);

#[async_trait]
impl TokenCache for LateThrottle {
    async fn read(&self, _: &str) -> Result<CachedToken, String> {
        let throttled = self.0.fetch_add(1, Ordering::Relaxed) > 0;
        Ok(CachedToken {
            token: None,
            throttled_until: throttled.then_some(Timestamp::constant(300, 0)),
        })
    }

    async fn lock(&self, _: &str, _: Timestamp, _: Timestamp) -> Result<Option<String>, String> {
        Ok(Some("this process".to_owned()))
    }

    async fn write(&self, _: &str, _: &CachedToken, _: &str, _: Timestamp) -> Result<(), String> {
        Err("no token was to be requested".to_owned())
    }

    async fn unlock(&self, _: &str, _: &str) {}
}

fn tokens(clock: Arc<ManualClock>) -> AccessTokens {
    let connection = Connection {
        credentials: "file:/nowhere/zoho.json".parse().expect("a reference"),
        data_center: DataCenter::Us,
        environment: crate::zoho::data_center::Environment::Production,
        accounts_url: None,
        api_url: None,
        token_cache: None,
        edition: None,
        max_concurrency: 5,
        credit_floor: 0,
        guard: MetadataGuard::Strict,
        api_version: crate::update::ApiVersion::V7,
    };
    AccessTokens::new(
        "crm".to_owned(),
        Arc::new(connection),
        Http::new(HttpSettings::default()),
        Arc::new(Secrets::new(clock.clone(), Arc::new(EnvironmentSecrets))),
        clock,
    )
}

#[tokio::test]
async fn throttle_stored_before_the_lock_is_respected() {
    let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
    let outcome = tokens(clock)
        .with_cache(Arc::new(LateThrottle::default()))
        .get()
        .await;
    match outcome {
        Err(Error::RetryLater(refusal, wait)) => {
            assert_eq!(refusal.cause(), Some(Cause::TokenThrottled));
            assert_eq!(wait, Duration::from_secs(300));
        }
        other => panic!("{other:?}"),
    }
}

/// What is remembered of a failure makes later jobs wait; the next attempt is made after the pause.
#[tokio::test]
async fn remembered_refusal_makes_later_callers_wait() {
    let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
    let tokens = tokens(clock.clone());
    let is_denied = |outcome: &Result<Token, Error>| matches!(outcome, Err(Error::Denied(_)));
    let refreshing = tokens.state.lock().await;
    // Both wait before either makes the attempt.
    let (first, second, ()) = tokio::join!(tokens.get(), tokens.get(), async { drop(refreshing) });
    assert!(is_denied(&first), "{first:?}");
    assert!(is_denied(&second), "one attempt for both: {second:?}");
    clock.advance(Duration::from_secs(20));
    match tokens.get().await {
        Err(Error::RetryLater(refusal, wait)) => {
            assert_eq!(refusal.cause(), Some(Cause::SecretMissing));
            assert_eq!(wait, REFUSED_FOR - Duration::from_secs(20));
        }
        other => panic!("{other:?}"),
    }
    clock.advance(REFUSED_FOR);
    let later = tokens.get().await;
    assert!(is_denied(&later), "another attempt: {later:?}");
}
