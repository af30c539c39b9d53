//! Tests of the load that forged requests cause on the servers with published keys.

use base64::Engine;
use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::encoding::{BASE64, BASE64_URL};
use super::published::{Published, unavailable, vectors_of};
use super::shapes::{NOW, chosen, headers};
use super::*;

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
