//! Tests of the token cache in the store.

use std::time::Duration;

use super::*;
use crate::store::sqlite::SqliteStore;

const CONNECTION: &str = "default";

fn start() -> Timestamp {
    Timestamp::from_millisecond(1_700_000_000_123).expect("a moment")
}

fn token() -> Token {
    let api = "https://www.zohoapis.eu".parse().expect("a URL");
    Token {
        access: "1000.secret".to_owned().into(),
        api: ApiBase::configured(&api),
        expires_at: start() + Duration::from_millis(3_600_456),
    }
}

fn store() -> (Arc<SqliteStore>, StoreTokenCache) {
    let store = Arc::new(SqliteStore::in_memory());
    let cache = StoreTokenCache::new(Arc::clone(&store) as _, Arc::clone(&store) as _);
    (store, cache)
}

async fn write(cache: &StoreTokenCache, cached: &CachedToken) {
    let until = start() + Duration::from_secs(30);
    let holder = cache.lock(CONNECTION, start(), until).await;
    let holder = holder.expect("an answer").expect("not locked");
    let written = cache.write(CONNECTION, cached, &holder, until).await;
    written.expect("written");
    cache.unlock(CONNECTION, &holder).await;
}

fn assert_same(read: &CachedToken, written: &CachedToken) {
    let parts = |cached: &CachedToken| {
        cached.token.as_ref().map(|token| {
            let access = token.access.expose_secret().to_owned();
            (access, token.api.join(""), token.expires_at)
        })
    };
    assert_eq!(parts(read), parts(written));
    assert_eq!(read.throttled_until, written.throttled_until);
}

#[tokio::test]
async fn expiry_and_throttling_round_trip() {
    let (_, cache) = store();
    let empty = cache.read(CONNECTION).await.expect("read");
    assert_same(&empty, &CachedToken::default());
    let throttled_until = Some(start() + Duration::from_secs(600));
    for (token, throttled_until) in [
        (Some(token()), None),
        (Some(token()), throttled_until),
        (None, throttled_until),
        (None, None),
    ] {
        let written = CachedToken {
            token,
            throttled_until,
        };
        write(&cache, &written).await;
        assert_same(&cache.read(CONNECTION).await.expect("read"), &written);
    }
}

/// A value that this version cannot read counts as no token, so that a new one is requested.
#[tokio::test]
async fn unreadable_value_counts_as_no_token() {
    let (store, cache) = store();
    let until = start() + Duration::from_secs(30);
    let (name, holder) = (key(CONNECTION), LockHolder::unique());
    let lock = store.lock(&name, &holder, start(), until).await;
    let lock = lock.expect("an answer").expect("not locked");
    for value in [
        "",
        "not JSON",
        "[]",
        r#"{"token": "a text", "expires_at": "soon"}"#,
        r#"{"token": {"access": "secret"}, "expires_at": 1700000000000}"#,
        r#"{"token": {"access": "secret", "api": "no URL"}}"#,
    ] {
        let value = SecretString::from(value.to_owned());
        let written = store.put_value(&name, &value, &lock).await;
        written.expect("written");
        let read = cache.read(CONNECTION).await.expect("read");
        assert_same(&read, &CachedToken::default());
    }
}

/// A token without a readable expiry counts as expired, but its throttling stays in force.
#[test]
fn token_without_expiry_has_expired() {
    let stored = json!({
        "token": {"access": "secret", "api": "https://www.zohoapis.eu"},
        "throttled_until": start().as_millisecond(),
    });
    let read = decode(&stored, "token");
    let token = read.token.expect("a token");
    assert!(!token.is_fresh(Timestamp::UNIX_EPOCH));
    assert_eq!(read.throttled_until, Some(start()));
}
