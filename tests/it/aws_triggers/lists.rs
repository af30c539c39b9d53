//! Lists of events: custom buses of EventBridge, and pipes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;

const LIST_ROUTES: &str = r#"
  bus:
    on: eventbridge
    when: .data == null
    map: '{module: "Leads", fields: {Rating: "Active"}, ids: (.detail.ids? // .ids), reference: {trigger: $trigger, kind: $headers.kind}}'
  stream:
    on: eventbridge
    when: .data != null
    map: '{module: "Leads", fields: {Rating: "Active"}, ids: (.data | @base64d | fromjson | .ids), reference: {trigger: $trigger}}'
  queue:
    on: sqs
    map: '{module: "Leads", fields: {Rating: "Active"}, ids: .ids, reference: {trigger: $trigger}}'
"#;

async fn stage(mode: ExecutionMode) -> Stage {
    Stage::of(Harness::new().routes(LIST_ROUTES), mode).await
}

fn kinesis(id: &str, data: &Value) -> Value {
    json!({"eventSource": "aws:kinesis", "eventID": id, "partitionKey": "p", "data": STANDARD.encode(data.to_string())})
}

#[tokio::test]
async fn custom_bus_list_yields_one_delivery_per_event() {
    let stage = stage(durable()).await;
    let ids = json!([stage.lead(0)]);
    let classic = json!({"id": "e1", "source": "s", "detail-type": "t", "detail": {"ids": ids}});
    let system = |id: &str| json!({"aws:EventId": id, "aws:DeliveryType": "REPLAY", "aws:ReplayName": "again"});
    let list = json!([
        classic,
        {"Data": classic, "SystemMetadata": {"aws:EventId": "e2", "aws:DeliveryType": "LIVE"}},
        {"Data": {"ids": ids}, "Metadata": {"kind": "order"}, "SystemMetadata": system("e3")},
        {"ids": ids},
        {"Data": {"ids": "none"}, "SystemMetadata": system("e4")},
    ]);
    let answer = stage.invoke(&list).await;
    assert_eq!(
        answer["jobs"].as_array().map(Vec::len),
        Some(4),
        "{answer:#}"
    );
    assert_eq!(
        (&answer["kept"], &answer["ignored"]),
        (&json!(1), &json!(0))
    );
    assert!(answer.get("batchItemFailures").is_none(), "{answer:#}");
    let mut references = stage.references().await;
    references.sort_by_key(Value::to_string);
    assert_eq!(
        json!(references),
        json!([
            {"trigger": {"delivery-type": "LIVE", "id": "e2", "type": "eventbridge"}, "kind": null},
            {"trigger": {"delivery-type": "REPLAY", "id": "e3", "replay-name": "again", "type": "eventbridge"}, "kind": "order"},
            {"trigger": {"id": "e1", "type": "eventbridge"}, "kind": null},
            {"trigger": {"type": "eventbridge"}, "kind": null},
        ])
    );
    // The whole list again, as after an error: the same jobs.
    let again = stage.invoke(&list).await;
    assert_eq!(again["jobs"], answer["jobs"]);
    assert_eq!(stage.references().await.len(), 4);
    // One event without a list, as with a batch size of 1.
    let single = stage.invoke(&list[2]).await;
    assert_eq!(single["jobs"][0]["id"], answer["jobs"][2]["id"]);
    assert_eq!(stage.invoke(&json!([])).await["jobs"], json!([]));
}

/// In inline mode an event that cannot be mapped is not stored, so it must be delivered again.
#[tokio::test]
async fn pipe_retries_only_records_that_failed() {
    let stage = stage(ExecutionMode::Inline).await;
    let good = json!({"ids": [stage.lead(0)]});
    let bad = json!({"ids": "none"});
    let list = json!([
        kinesis("s:1", &good),
        kinesis("s:2", &bad),
        kinesis("s:3", &good)
    ]);
    let answer = stage.invoke(&list).await;
    assert_eq!(
        answer["batchItemFailures"],
        json!([{"itemIdentifier": "s:2"}])
    );
    assert_eq!(
        answer["jobs"].as_array().map(Vec::len),
        Some(2),
        "{answer:#}"
    );

    let message = |id: &str, body: &Value| json!({"eventSource": "aws:sqs", "eventSourceARN": ORDERS, "messageId": id, "body": body.to_string()});
    let list = json!([message("m1", &bad), message("m2", &good)]);
    let answer = stage.invoke(&list).await;
    assert_eq!(
        answer["batchItemFailures"],
        json!([{"itemIdentifier": "m1"}])
    );

    // Without an id to name, the list is retried as a whole; the good event is processed now.
    let list = json!([{"ids": "none"}, {"ids": [stage.lead(1)]}]);
    let before = stage.references().await.len();
    stage.try_invoke(&list).await.expect_err("one event failed");
    assert_eq!(stage.references().await.len(), before + 1);
}
