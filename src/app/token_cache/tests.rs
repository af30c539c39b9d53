//! Tests of the token cache in the store.

use std::time::Duration;

use secrecy::SecretString;

use super::*;
use crate::clock::ManualClock;
use crate::secrets::{SecretStore, SecretStoreError};
use crate::store::sqlite::SqliteStore;
use crate::zoho::MetadataGuard;
use crate::zoho::data_center::{ApiBase, DataCenter, Environment};

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

/// Credentials by the name of the secret, or an outage.
#[derive(Debug)]
struct CredentialStore;

#[async_trait]
impl SecretStore for CredentialStore {
    async fn get(&self, name: &str) -> Result<SecretString, SecretStoreError> {
        if name == "outage" {
            return Err(SecretStoreError {
                why: "throttled".to_owned(),
                transient: true,
            });
        }
        let secret = json!({"client_id": "1000.A", "client_secret": "s", "refresh_token": name});
        Ok(secret.to_string().into())
    }
}

fn connection(credentials: &str) -> Connection {
    let credentials = format!("secretsmanager:{credentials}");
    Connection {
        credentials: credentials.parse().expect("a reference"),
        data_center: DataCenter::Eu,
        environment: Environment::Production,
        accounts_url: None,
        api_url: None,
        token_cache: None,
        edition: None,
        max_concurrency: 5,
        credit_floor: 0,
        guard: MetadataGuard::Strict,
        api_version: crate::update::ApiVersion::V7,
    }
}

/// The cache of a process with these credentials.
fn cache_in(store: &Arc<SqliteStore>, credentials: &str) -> StoreTokenCache {
    let clock = Arc::new(ManualClock::at(start()));
    let secrets = Arc::new(Secrets::new(clock, Arc::new(CredentialStore)));
    let connection = Arc::new(connection(credentials));
    let (values, locks) = (Arc::clone(store), Arc::clone(store));
    StoreTokenCache::new(values, locks, connection, secrets)
}

fn store() -> (Arc<SqliteStore>, StoreTokenCache) {
    let store = Arc::new(SqliteStore::in_memory());
    let cache = cache_in(&store, "credentials");
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

/// Writes a value past the cache, as a process with access to the store can.
async fn put(store: &SqliteStore, value: &str) {
    let until = start() + Duration::from_secs(30);
    let (name, holder) = (key(CONNECTION), LockHolder::unique());
    let lock = store.lock(&name, &holder, start(), until).await;
    let lock = lock.expect("an answer").expect("not locked");
    let value = SecretString::from(value.to_owned());
    let written = store.put_value(&name, &value, &lock).await;
    written.expect("written");
    store.unlock(&name, &holder).await.expect("unlocked");
}

/// A value that this process cannot read counts as no token, so that a new one is requested.
#[tokio::test]
async fn unreadable_value_counts_as_no_token() {
    let (store, cache) = store();
    let plain = json!({
        "token": {"access": "secret", "api": "https://www.zohoapis.eu"},
        "expires_at": 4_102_444_800_000_i64,
    });
    for value in [
        "",
        "not JSON",
        "[]",
        "v1:",
        "v1:AAAA",
        "v9:AAAA",
        &plain.to_string(),
    ] {
        put(&store, value).await;
        let read = cache.read(CONNECTION).await.expect("read");
        assert_same(&read, &CachedToken::default());
    }
    for document in [
        "not JSON",
        "[]",
        r#"{"token": "a text", "expires_at": "soon"}"#,
        r#"{"token": {"access": "secret"}, "expires_at": 1700000000000}"#,
        r#"{"token": {"access": "secret", "api": "no URL"}}"#,
        r#"{"token": {"access": "secret", "api": "https://evil.example"}}"#,
    ] {
        let sealed = cache.seal.seal(&key(CONNECTION), document).await;
        put(&store, sealed.expect("sealed").expose_secret()).await;
        let read = cache.read(CONNECTION).await.expect("read");
        assert_same(&read, &CachedToken::default());
    }
}

#[tokio::test]
async fn store_contains_no_token_in_clear() {
    let (store, cache) = store();
    let cached = CachedToken {
        token: Some(token()),
        throttled_until: None,
    };
    write(&cache, &cached).await;
    let value = store.value(&key(CONNECTION)).await.expect("read");
    let value = value.expect("a value");
    for part in ["1000.secret", "zohoapis", "access"] {
        assert!(!value.expose_secret().contains(part), "{part}");
    }
    // The value of one connection is not valid for another one.
    let other = cache.seal.open("token/other", value.expose_secret()).await;
    assert_eq!(other, Ok(None));
}

/// After a rotation of the credentials, the old token is not used, and the new one replaces it.
#[tokio::test]
async fn token_of_other_credentials_is_absent() {
    let (store, cache) = store();
    let cached = CachedToken {
        token: Some(token()),
        throttled_until: None,
    };
    write(&cache, &cached).await;
    let rotated = cache_in(&store, "rotated");
    let read = rotated.read(CONNECTION).await.expect("read");
    assert_same(&read, &CachedToken::default());
    write(&rotated, &cached).await;
    assert_same(&rotated.read(CONNECTION).await.expect("read"), &cached);
}

#[tokio::test]
async fn credential_outage_is_a_cache_outage() {
    let (store, cache) = store();
    let blind = cache_in(&store, "outage");
    let read = blind.read(CONNECTION).await.expect("nothing to decrypt");
    assert_same(&read, &CachedToken::default());
    let cached = CachedToken {
        token: Some(token()),
        throttled_until: None,
    };
    write(&cache, &cached).await;
    let error = blind.read(CONNECTION).await.expect_err("an outage");
    assert!(
        error.contains("throttled") && !error.contains("1000."),
        "{error}"
    );
}

/// A token without a readable expiry counts as expired, but its throttling stays in force.
#[test]
fn token_without_expiry_has_expired() {
    let stored = json!({
        "token": {"access": "secret", "api": "https://www.zohoapis.eu"},
        "throttled_until": start().as_millisecond(),
    });
    let read = decode(&stored, "token", &connection("credentials"));
    let token = read.token.expect("a token");
    assert!(!token.is_fresh(Timestamp::UNIX_EPOCH));
    assert_eq!(read.throttled_until, Some(start()));
}
