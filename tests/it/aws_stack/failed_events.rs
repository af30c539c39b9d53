//! Events that the inbound function failed to process, and `masshook deliveries redrive`.

use serde_json::Value;

use super::*;

/// The record that Lambda puts into the queue of failed events.
fn record(request_id: &str, event: &Value) -> String {
    json!({
        "version": "1.0",
        "timestamp": "2026-11-14T18:16:05.568Z",
        "requestContext": {"requestId": request_id, "condition": "RetriesExhausted", "approximateInvokeCount": 3,
            "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:masshook-inbound:live"},
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "executedVersion": "7", "functionError": "Unhandled"},
        "responsePayload": {"errorType": "store", "errorMessage": "the store does not answer"}
    })
    .to_string()
}

async fn put(url: &str, bodies: &[String]) {
    let client = aws_sdk_sqs::Client::new(&Moto::shared().sdk_config());
    for body in bodies {
        let sent = client.send_message().queue_url(url).message_body(body);
        sent.send().await.expect("moto answers");
    }
}

fn order(id: &str, lead: &str) -> Value {
    json!({"version": "0", "id": id, "detail-type": "order", "source": "com.example.orders", "account": "123456789012",
        "time": "2026-11-14T18:16:05Z", "region": "us-east-1", "resources": [], "detail": {"ids": [lead]}})
}

#[tokio::test]
async fn failed_events_are_redriven_once() {
    let mut stack = Stack::start("aws-redrive").await;
    let url = Moto::shared().create_queue("aws-redrive-failed").await;
    let (first, second, third) = (stack.lead(1), stack.lead(2), stack.lead(3));
    let update = json!({"module": "Leads", "fields": {"Lead_Source": "Webinar"}, "ids": [third]});
    let messages = [
        record("r-1", &order("e1", &first)),
        // The rule sent it twice.
        record("r-2", &order("e1", &first)),
        // From the dead-letter queue of a rule.
        order("e2", &second).to_string(),
        record("r-3", &update),
        record("r-3", &update),
    ];
    put(&url, &messages).await;

    let shown = stack.command(&["deliveries", "redrive", "--queue", &url, "--dry-run"]);
    let shown = shown["events"].as_array().expect("events");
    let kinds: Vec<_> = shown
        .iter()
        .filter_map(|one| one["kind"].as_str())
        .collect();
    assert_eq!(kinds.len(), messages.len(), "{shown:?}");
    let why = "RetriesExhausted: the store does not answer";
    assert_eq!(shown.iter().filter(|one| one["reason"] == why).count(), 4);
    assert_eq!(stack.command(&["jobs", "list"])["jobs"], json!([]));

    let done = stack.command(&["deliveries", "redrive", "--queue", &url, "--yes"]);
    let results = done["results"].as_array().expect("results");
    assert_eq!(results.len(), messages.len(), "{done}");
    let jobs = stack.command(&["jobs", "list"]);
    let jobs: Vec<String> = jobs["jobs"]
        .as_array()
        .expect("jobs")
        .iter()
        .filter_map(|job| Some(job["id"].as_str()?.to_owned()))
        .collect();
    assert_eq!(jobs.len(), 3, "repeated events are the same jobs");
    for id in &jobs {
        assert_eq!(stack.finish(id).await["status"], "succeeded");
    }
    for lead in [first, second, third] {
        assert!(stack.is_updated(&lead).await);
    }
    let again = stack.command(&["deliveries", "redrive", "--queue", &url, "--yes"]);
    assert_eq!(again["results"], json!([]));
}

#[tokio::test]
async fn events_that_fail_again_stay_in_the_queue() {
    let stack = Stack::start("aws-redrive-again").await;
    let url = Moto::shared()
        .create_queue("aws-redrive-again-failed")
        .await;
    let unknown = json!({"route": "unheard-of", "body": {}});
    let messages = [
        "not JSON".to_owned(),
        record("r-1", &json!({"sweep": true})),
        record("r-2", &unknown),
    ];
    put(&url, &messages).await;
    for _ in 0..2 {
        let run = stack.try_command(&["deliveries", "redrive", "--queue", &url, "--expect", "3"]);
        let (code, document) = run;
        assert_eq!(code, Some(1), "{document}");
        let results = document["results"].as_array().expect("results");
        assert_eq!(results.len(), messages.len(), "{document}");
        for result in results {
            assert_eq!(result["outcome"], "failed", "{document}");
            assert!(result["reason"].is_string(), "{document}");
        }
    }
    assert_eq!(stack.command(&["jobs", "list"])["jobs"], json!([]));
}

#[tokio::test]
async fn redrive_without_a_queue_is_a_usage_error() {
    let stack = Stack::start("aws-redrive-none").await;
    let (code, document) = stack.try_command(&["deliveries", "redrive", "--yes"]);
    assert_eq!(code, Some(2), "{document}");
    let url = format!("{}/123456789012/gone", Moto::shared().url());
    let (code, document) = stack.try_command(&["deliveries", "redrive", "--yes", "--queue", &url]);
    assert_eq!(code, Some(1), "{document}");
    let error = document["error"].as_str().expect("an error");
    assert!(error.contains("the queue of failed events"), "{error}");
}
