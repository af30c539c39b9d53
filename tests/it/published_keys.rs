//! Requests that need a published key: strangers' requests are refused without load on the sender's servers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{Harness, Receiver, Request, Served};

const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:orders";

const ROUTE: &str = r#"
  sns:
    verify: { scheme: aws-sns, params: { topic: "arn:aws:sns:eu-west-1:123456789012:orders" } }
    map: empty
"#;

/// Starts a server for which `amazon` is Amazon SNS.
async fn start(amazon: &Receiver) -> Served {
    let variable = ("AWS_ENDPOINT_URL_SNS".to_owned(), amazon.url(""));
    let harness = Harness::new().routes(ROUTE).served();
    harness.environment(vec![variable]).start().await
}

fn certificate_url(region: &str, id: usize) -> String {
    format!("https://sns.{region}.amazonaws.com/SimpleNotificationService-{id:032x}.pem")
}

/// A message with an invented signature.
fn message(topic: &str, certificate: &str) -> Request {
    let message = json!({
        "Type": "Notification",
        "MessageId": "m-1",
        "TopicArn": topic,
        "Message": "hello",
        "Timestamp": "2026-01-01T00:00:00.000Z",
        "SignatureVersion": "2",
        "Signature": STANDARD.encode([7; 256]),
        "SigningCertURL": certificate,
    });
    Request::json("/hooks/sns", message.to_string())
}

/// Sends 100 requests, ten at a time; returns their statuses without repetitions.
async fn statuses(served: &Served, request: impl Fn(usize) -> Request) -> Vec<u16> {
    let mut statuses = Vec::new();
    for ten in 0..10 {
        let requests: Vec<Request> = (0..10).map(|one| request(ten * 10 + one)).collect();
        let url = served.url("");
        let answers = join_all(requests.iter().map(|request| request.send_to(&url))).await;
        statuses.extend(answers.iter().map(|answer| answer.status));
    }
    statuses.sort_unstable();
    statuses.dedup();
    statuses
}

#[tokio::test]
async fn forged_sns_messages_are_401_and_not_fetched_for() {
    let amazon = Receiver::start(&[403; 300]).await;
    let served = start(&amazon).await;
    let foreign_topic = |id| {
        message(
            "arn:aws:sns:eu-west-1:1:x",
            &certificate_url("eu-west-1", id),
        )
    };
    assert_eq!(statuses(&served, foreign_topic).await, [401]);
    let foreign_region = |id| message(TOPIC, &certificate_url("us-east-1", id));
    assert_eq!(statuses(&served, foreign_region).await, [401]);
    assert!(amazon.all().is_empty(), "{} fetches", amazon.all().len());

    let one_certificate = |_| message(TOPIC, &certificate_url("eu-west-1", 0));
    assert_eq!(statuses(&served, one_certificate).await, [401]);
    assert_eq!(amazon.all().len(), 1);

    let many_certificates = |id| message(TOPIC, &certificate_url("eu-west-1", id + 1));
    assert_eq!(statuses(&served, many_certificates).await, [401]);
    let fetches = amazon.all().len();
    assert!(fetches < 40, "{fetches} fetches of 101 invented URLs");
}

#[tokio::test]
async fn certificate_outage_is_503_with_one_fetch() {
    let amazon = Receiver::start(&[500; 300]).await;
    let served = start(&amazon).await;
    let genuine = |_| message(TOPIC, &certificate_url("eu-west-1", 0));
    assert_eq!(statuses(&served, genuine).await, [503]);
    let fetches = amazon.all().len();
    assert!(fetches < 10, "{fetches} fetches of one URL");
}
