//! Tests of published keys: fetches, the cache, and the allowed URLs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use base64::Engine;
use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::encoding::{BASE64, BASE64_URL};
use super::shapes::{NOW, chosen, headers};
use super::*;

/// Returns responses from a list, and counts the fetches.
#[derive(Debug)]
struct Published(Vec<Result<String, FetchError>>, AtomicUsize);

#[async_trait]
impl KeyFetcher for Published {
    async fn fetch(&self, _: &str) -> Result<String, FetchError> {
        let at = self.1.fetch_add(1, Ordering::SeqCst);
        // Lets other tasks run during the fetch.
        tokio::task::yield_now().await;
        self.0[at.min(self.0.len() - 1)].clone()
    }
}

impl Published {
    fn new(answers: Vec<Result<String, FetchError>>) -> Arc<Self> {
        Arc::new(Self(answers, AtomicUsize::new(0)))
    }

    fn fetches(&self) -> usize {
        self.1.load(Ordering::SeqCst)
    }
}

fn unavailable<T>(reason: &str) -> Result<T, FetchError> {
    Err(FetchError::Unavailable(reason.to_owned()))
}

fn vectors_of(source: &str) -> Value {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let text = std::fs::read(root.join(source).join("vector.json")).expect("vectors");
    serde_json::from_slice(&text).expect("JSON")
}

#[tokio::test]
async fn published_keys_are_fetched_and_cached() {
    let record = json!({"scheme": "zoho-desk", "params": {"org": 2_389_290, "webhook": "231057000000999001", "dc": "eu"}});
    let scheme = chosen(&record).expect("a scheme");
    assert!(!scheme.needs_secret());
    let vector = vectors_of("zoho-desk")["vectors"][0].clone();
    let pem = vector["secret"].as_str().expect("a key");
    let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = BASE64.decode(der).expect("base64");
    // The modulus of a 2048-bit key is always at the same offset.
    let (n, e) = (
        BASE64_URL.encode(&der[33..289]),
        BASE64_URL.encode(&der[291..]),
    );
    let set =
        json!({"keys": [{"kty": "EC", "kid": "k1"}, {"kty": "RSA", "kid": "k1", "n": n, "e": e}]})
            .to_string();
    let token = vector["headers"]["X-ZDesk-JWT"].as_str().expect("a token");
    let head = headers(&[("x-zdesk-jwt", token)]);
    let request = WebhookRequest::new(&head, b"[]");
    let now = Timestamp::from_second(1_719_921_610).expect("a time");
    let url = keys_url(&scheme, &request, now).expect("a URL");
    assert_eq!(
        url.as_deref(),
        Some("https://desk.zoho.eu/.well-known/jwks.json")
    );

    // An empty key set, then the right one, then an outage.
    let answers = vec![Ok("{}".to_owned()), Ok(set), unavailable("503")];
    let published = Published::new(answers);
    let cached = KeyCache::new(published.clone());
    let check = |at: Timestamp| verify_fetching(&scheme, &request, &[], at, &cached);
    assert_eq!(check(now).await, Err(VerifyError::NoMatch));
    assert_eq!(check(now).await, Err(VerifyError::NoMatch));
    assert_eq!(
        published.1.load(Ordering::SeqCst),
        1,
        "a forged request causes no fetch"
    );
    let later = now + std::time::Duration::from_secs(100);
    assert!(check(later).await.is_ok());
    assert!(check(later).await.is_ok());
    assert_eq!(published.1.load(Ordering::SeqCst), 2);
    let expired = now + std::time::Duration::from_secs(7_200);
    assert_eq!(
        check(expired).await,
        Err(VerifyError::Expired),
        "the cached keys are used during an outage"
    );
    let fresh = KeyCache::new(Published::new(vec![unavailable("503")]));
    let error = verify_fetching(&scheme, &request, &[], now, &fresh)
        .await
        .expect_err("refused");
    assert!(error.is_transient());
}

#[tokio::test]
async fn sns_message_needs_amazon_url_and_known_topic() {
    let vectors = vectors_of("aws-sns");
    let vector = &vectors["vectors"][1];
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/aws-sns");
    let body =
        std::fs::read(root.join(vector["body_file"].as_str().expect("a file"))).expect("a body");
    let message: Value = serde_json::from_slice(&body).expect("JSON");
    let certificate = vector["secret"].as_str().expect("a certificate").to_owned();
    let cached = KeyCache::new(Published::new(vec![Ok(certificate.clone())]));
    let none = HeaderMap::new();
    let scheme = |topic: &str| {
        chosen(&json!({"scheme": "aws-sns", "params": {"topic": topic}})).expect("a scheme")
    };
    let topic = message["TopicArn"].as_str().expect("a topic");
    let good = scheme(&format!("arn:aws:sns:x, {topic}"));
    let request = WebhookRequest::new(&none, &body);
    let verified = verify_fetching(&good, &request, &[], NOW, &cached)
        .await
        .expect("verified");
    assert_eq!(verified.delivery_id(), message["MessageId"].as_str());
    assert!(verified.delivery_id_is_signed());
    // A route with the certificate as a secret fetches none. A second, outdated certificate is ignored.
    let unreachable = KeyCache::new(Published::new(vec![unavailable("no way out")]));
    let other = vectors["vectors"][5]["secret"].as_str().expect("another");
    let certificates = [other, &certificate].map(SecretString::from);
    let check = |secrets| verify_fetching(&good, &request, secrets, NOW, &unreachable);
    assert!(check(&certificates).await.is_ok());
    assert_eq!(check(&certificates[..1]).await, Err(VerifyError::NoMatch));
    assert!(matches!(check(&[]).await, Err(VerifyError::NoKeys(_))));
    assert_eq!(check_secret(&good, &certificates[0]), Ok(()));
    let cut = SecretString::from("-----BEGIN CERTIFICATE-----");
    assert_eq!(check_secret(&good, &cut), Err(InvalidSecret::NotAPublicKey));
    let foreign = scheme("arn:aws:sns:us-east-2:1:other");
    assert_eq!(
        verify_fetching(&foreign, &request, &[], NOW, &cached).await,
        Err(VerifyError::WrongTopic)
    );
    insta::assert_snapshot!(
        chosen(&json!({"scheme": "aws-sns"})).expect_err("refused"),
        @"(top level): this scheme needs `params` with `topic`"
    );

    for url in [
        "http://sns.us-east-1.amazonaws.com/a.pem",
        "https://sns.us-east-1.amazonaws.com.evil.example/a.pem",
        "https://sns.us-east-1.amazonaws.com@evil.example/a.pem",
        "https://sns.us-east-1.amazonaws.com:8443/a.pem",
        "https://sns.evil.example/a.pem#.amazonaws.com",
        "https://sns.a.b.amazonaws.com/a.pem",
        "https://s3.us-east-1.amazonaws.com/a.pem",
        "https://sns.us-east-1.amazonaws.com/a.pem?x",
        "https://sns.us-east-1.amazonaws.com/a",
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.us-east-2.amazonaws.com.cn/SimpleNotificationService-0.pem",
        "https://sns.us-east-2.amazonaws.com/SimpleNotificationService-.pem",
        "https://sns.us-east-2.amazonaws.com/SimpleNotificationService-0/1.pem",
        "https://sns.us-east-2.amazonaws.com/x/SimpleNotificationService-0.pem",
        "https://sns.us-east-2.amazonaws.com/cert.pem",
    ] {
        let mut forged = message.clone();
        forged["SigningCertURL"] = json!(url);
        let forged = forged.to_string();
        let request = WebhookRequest::new(&none, forged.as_bytes());
        assert_eq!(
            keys_url(&good, &request, NOW),
            Err(VerifyError::ForeignCertificate),
            "{url}"
        );
        assert!(verify(&good, &request, &[], NOW).is_err(), "{url}");
    }
    let confirmation = std::fs::read(root.join("handshake-request.json")).expect("a body");
    let url = subscribe_url(&confirmation).expect("a URL");
    assert_eq!(url.host_str(), Some("sns.us-west-2.amazonaws.com"));
    assert_eq!(subscribe_url(&body), None);
    for url in [
        "https://evil.example/",
        "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription",
    ] {
        let mut forged: Value = serde_json::from_slice(&confirmation).expect("JSON");
        forged["SubscribeURL"] = json!(url);
        assert_eq!(subscribe_url(forged.to_string().as_bytes()), None, "{url}");
    }
}

/// A message of Amazon SNS without a valid signature, as a stranger writes it.
fn forged_message(topic: &str, certificate: &str) -> Vec<u8> {
    let message = json!({
        "Type": "Notification",
        "MessageId": "m-1",
        "TopicArn": topic,
        "Message": "hello",
        "Timestamp": "2026-01-01T00:00:00.000Z",
        "SignatureVersion": "2",
        "Signature": BASE64.encode([7; 256]),
        "SigningCertURL": certificate,
    });
    message.to_string().into_bytes()
}

const TOPIC: &str = "arn:aws:sns:us-east-2:123456789012:orders";

fn certificate_url(id: usize) -> String {
    format!("https://sns.us-east-2.amazonaws.com/SimpleNotificationService-{id:032x}.pem")
}

async fn check_message(body: &[u8], now: Timestamp, cache: &KeyCache) -> VerifyError {
    let scheme = chosen(&json!({"scheme": "aws-sns", "params": {"topic": TOPIC}}));
    let (scheme, none) = (scheme.expect("a scheme"), HeaderMap::new());
    let request = WebhookRequest::new(&none, body);
    let checked = verify_fetching(&scheme, &request, &[], now, cache).await;
    checked.expect_err("the signature is not valid")
}

fn seconds_later(seconds: i64) -> Timestamp {
    NOW + SignedDuration::from_secs(seconds)
}

#[tokio::test]
async fn foreign_topic_or_region_causes_no_fetch() {
    let published = Published::new(vec![unavailable("unreachable")]);
    let cache = KeyCache::new(published.clone());
    let foreign_region = certificate_url(1).replace("us-east-2", "eu-west-1");
    for (topic, url) in [
        (
            "arn:aws:sns:us-east-2:123456789012:other",
            certificate_url(1),
        ),
        (
            "arn:aws:sns:eu-west-1:123456789012:orders",
            foreign_region.clone(),
        ),
        ("", certificate_url(1)),
        (TOPIC, foreign_region),
        (
            TOPIC,
            certificate_url(1).replace("SimpleNotificationService-", ""),
        ),
        (
            TOPIC,
            "https://169.254.169.254/latest/meta-data.pem".to_owned(),
        ),
    ] {
        let error = check_message(&forged_message(topic, &url), NOW, &cache).await;
        assert!(!error.is_transient(), "{topic} {url}: {error}");
        assert!(!error.is_misconfiguration(), "{topic} {url}: {error}");
    }
    for body in [&b""[..], b"{}", b"[1]", b"not JSON"] {
        assert!(!check_message(body, NOW, &cache).await.is_transient());
    }
    assert_eq!(published.fetches(), 0);
}

#[tokio::test]
async fn absent_certificate_is_fetched_once_a_minute() {
    let absent = Err(FetchError::Absent("403".to_owned()));
    let published = Published::new(vec![absent]);
    let cache = KeyCache::new(published.clone());
    let body = forged_message(TOPIC, &certificate_url(1));
    for second in 0..120 {
        let error = check_message(&body, seconds_later(second), &cache).await;
        assert_eq!(error, VerifyError::UnknownCertificate("403".to_owned()));
    }
    assert_eq!(published.fetches(), 2);
}

#[tokio::test]
async fn concurrent_requests_share_one_fetch() {
    for answer in [
        unavailable("unreachable"),
        Ok("no certificate".to_owned()),
        Err(FetchError::Absent("404".to_owned())),
    ] {
        let published = Published::new(vec![answer]);
        let cache = KeyCache::new(published.clone());
        let body = forged_message(TOPIC, &certificate_url(1));
        let checks = (0..100).map(|_| check_message(&body, NOW, &cache));
        futures_util::future::join_all(checks).await;
        assert_eq!(published.fetches(), 1);
    }
}

#[tokio::test]
async fn outage_ends_within_seconds() {
    let published = Published::new(vec![unavailable("unreachable"), Ok("x".to_owned())]);
    let cache = KeyCache::new(published.clone());
    let body = forged_message(TOPIC, &certificate_url(1));
    assert!(check_message(&body, NOW, &cache).await.is_transient());
    assert!(
        check_message(&body, seconds_later(4), &cache)
            .await
            .is_transient()
    );
    assert_eq!(published.fetches(), 1);
    assert!(
        !check_message(&body, seconds_later(5), &cache)
            .await
            .is_transient()
    );
    assert_eq!(published.fetches(), 2);
}

/// A certificate that is cached stays in use while a stranger names any number of others.
#[tokio::test]
async fn invented_certificate_urls_are_not_all_fetched() {
    let vectors = vectors_of("aws-sns");
    let genuine = vectors["vectors"][1]["secret"]
        .as_str()
        .expect("a certificate");
    let absent = Err(FetchError::Absent("403".to_owned()));
    let published = Published::new(vec![Ok(genuine.to_owned()), absent]);
    let cache = KeyCache::new(published.clone());
    let known = forged_message(TOPIC, &certificate_url(0));
    assert_eq!(
        check_message(&known, NOW, &cache).await,
        VerifyError::NoMatch
    );
    for id in 1..1_000 {
        let body = forged_message(TOPIC, &certificate_url(id));
        let error = check_message(&body, NOW, &cache).await;
        assert!(
            matches!(error, VerifyError::UnknownCertificate(_)),
            "{error}"
        );
    }
    let fetches = published.fetches();
    assert!(fetches <= 16, "{fetches} fetches of 1,000 URLs");
    assert_eq!(
        check_message(&known, NOW, &cache).await,
        VerifyError::NoMatch
    );
    assert_eq!(
        published.fetches(),
        fetches,
        "the known certificate stays cached"
    );
    let later = forged_message(TOPIC, &certificate_url(1_000));
    check_message(&later, seconds_later(4), &cache).await;
    assert_eq!(
        published.fetches(),
        fetches + 1,
        "another one after a while"
    );
}

#[tokio::test]
async fn token_with_foreign_claims_causes_no_fetch() {
    let scheme =
        chosen(&json!({"scheme": "zoho-desk", "params": {"org": 1, "webhook": "2", "dc": "eu"}}));
    let scheme = scheme.expect("a scheme");
    let published = Published::new(vec![unavailable("unreachable")]);
    let cache = KeyCache::new(published.clone());
    let part = |value: Value| BASE64_URL.encode(value.to_string());
    let token =
        |alg: &str, claims: Value| format!("{}.{}.AAAA", part(json!({"alg": alg})), part(claims));
    let now = NOW.as_second();
    let good = json!({"iss": "orgId:1", "aud": "webhookId:2", "exp": now + 60});
    for (token, fetches) in [
        (String::new(), 0),
        ("a.b.c".to_owned(), 0),
        (token("HS256", good.clone()), 0),
        (token("none", good.clone()), 0),
        (
            token(
                "RS256",
                json!({"iss": "orgId:9", "aud": "webhookId:2", "exp": now + 60}),
            ),
            0,
        ),
        (
            token(
                "RS256",
                json!({"iss": "orgId:1", "aud": "webhookId:2", "exp": now - 60}),
            ),
            0,
        ),
        (
            token("RS256", json!({"iss": "orgId:1", "aud": "webhookId:2"})),
            0,
        ),
        (token("RS256", good), 1),
    ] {
        let head = headers(&[("x-zdesk-jwt", &token)]);
        let request = WebhookRequest::new(&head, b"[]");
        let checked = verify_fetching(&scheme, &request, &[], NOW, &cache).await;
        let error = checked.expect_err("not signed");
        assert_eq!(published.fetches(), fetches, "{token}: {error}");
        assert_eq!(error.is_transient(), fetches > 0, "{token}: {error}");
    }
}

/// An outage of one scheme's keys must not turn a genuine delivery into a permanent refusal by another scheme.
#[tokio::test]
async fn outage_takes_precedence_over_other_schemes() {
    let cache = KeyCache::new(Published::new(vec![unavailable("unreachable")]));
    let token = chosen(&json!({"scheme": "token"}));
    let (token, secrets) = (token.expect("a scheme"), [SecretString::from("s")]);
    let sns = chosen(&json!({"scheme": "aws-sns", "params": {"topic": TOPIC}})).expect("a scheme");
    let body = forged_message(TOPIC, &certificate_url(1));
    let none = HeaderMap::new();
    let request = WebhookRequest::new(&none, &body).query("token=wrong");
    let schemes: [(&Scheme, &[SecretString]); 2] = [(&token, &secrets), (&sns, &[])];
    let checked = verify_any_fetching(&schemes, &request, NOW, &cache).await;
    assert!(checked.expect_err("refused").is_transient());
}
