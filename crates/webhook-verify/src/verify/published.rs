//! Tests of published keys: fetches, the cache, and the allowed URLs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use base64::Engine;
use http::HeaderMap;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::encoding::{BASE64, BASE64_URL};
use super::shapes::{NOW, chosen, headers};
use super::*;

/// Returns responses from a list, and counts the fetches.
#[derive(Debug)]
pub(super) struct Published(Vec<Result<String, FetchError>>, AtomicUsize);

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
    pub(super) fn new(answers: Vec<Result<String, FetchError>>) -> Arc<Self> {
        Arc::new(Self(answers, AtomicUsize::new(0)))
    }

    pub(super) fn fetches(&self) -> usize {
        self.1.load(Ordering::SeqCst)
    }
}

pub(super) fn unavailable<T>(reason: &str) -> Result<T, FetchError> {
    Err(FetchError::Unavailable(reason.to_owned()))
}

pub(super) fn vectors_of(source: &str) -> Value {
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
