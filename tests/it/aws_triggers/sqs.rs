//! Events of SQS: batches, FIFO queues, SNS in SQS, and wake-ups.

use super::*;

#[tokio::test]
async fn sqs_batch_reports_each_failed_message() {
    let stage = Stage::inline().await;
    let good = |place: u64| json!({"ids": [stage.lead(place)]}).to_string();
    let batch = json!({"Records": [
        message("m1", ORDERS, &good(0)),
        message("m2", ORDERS, r#"{"ids": "none"}"#),
        message("m3", ORDERS, &good(1)),
        message("m4", ORDERS, r#"{"kind": "foreign"}"#),
        message("m5", "arn:aws:sqs:eu-west-1:123456789012:elsewhere", "7"),
        message("m6", ORDERS, "plain text"),
    ]});
    assert_eq!(stage.invoke(&batch).await, failures(&["m2"]));
    let references = stage.references().await;
    assert_eq!(references.len(), 3);
    assert_eq!(
        references[0],
        json!({"said": "plain text", "attributes": {"source": "tally", "Blob": "MTEwMA=="},
            "trigger": {"type": "sqs", "id": "m6", "queue": ORDERS, "group": "g"}})
    );
    // They make the same change, so they share a call.
    assert_eq!(stage.world.count("mass_update_post").await, 1);
    // Redelivered messages cause no further calls.
    assert_eq!(stage.invoke(&batch).await, failures(&["m2"]));
    assert_eq!(stage.world.count("mass_update_post").await, 1);
}

#[tokio::test]
async fn sqs_batch_of_1000_shares_calls() {
    let stage = Stage::inline().await;
    let record = |number: u64| {
        message(
            &format!("m{number}"),
            ORDERS,
            &json!({"ids": [stage.lead(number)]}).to_string(),
        )
    };
    let records: Vec<Value> = (0..1_000).map(record).collect();
    assert_eq!(
        stage.invoke(&json!({ "Records": records })).await,
        failures(&[])
    );
    assert_eq!(stage.world.count("mass_update_post").await, 2);
}

#[tokio::test]
async fn fifo_batch_stops_at_first_failure() {
    let stage = Stage::inline().await;
    let fifo = format!("{ORDERS}.fifo");
    let good = |place: u64| json!({"ids": [stage.lead(place)]}).to_string();
    let batch = json!({"Records": [
        message("m1", &fifo, &good(0)),
        message("m2", &fifo, r#"{"ids": "none"}"#),
        message("m3", &fifo, &good(1)),
        message("m4", &fifo, &good(2)),
    ]});
    assert_eq!(stage.invoke(&batch).await, failures(&["m2", "m3", "m4"]));
    assert_eq!(stage.references().await.len(), 1);
}

#[tokio::test]
async fn sns_in_sqs_is_unwrapped_unless_raw() {
    let stage = Stage::inline().await;
    let wrapped = |id: &str, said: &str| notification(id, said).to_string();
    let batch = json!({"Records": [
        message("q1", ORDERS, &wrapped("n1", r#"{"a": 1}"#)),
        message("q2", ORDERS, r#"{"a": 2}"#),
        message("q3", ORDERS, &wrapped("n1", r#"{"a": 1}"#)),
        message("q4", ORDERS, r#"{"Type": "Notification", "MessageId": "x", "TopicArn": "mine", "Message": "m"}"#),
    ]});
    assert_eq!(stage.invoke(&batch).await, failures(&[]));
    let references = stage.references().await;
    let seen: Vec<(&Value, &Value, &Value)> = references
        .iter()
        .map(|one| {
            (
                &one["said"],
                &one["trigger"]["id"],
                &one["trigger"]["topic"],
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (
                &json!({"Type": "Notification", "MessageId": "x", "TopicArn": "mine", "Message": "m"}),
                &json!("q4"),
                &Value::Null
            ),
            // The topic delivered one event twice.
            (&json!({"a": 1}), &json!("n1"), &json!(TOPIC)),
            (&json!({"a": 2}), &json!("q2"), &Value::Null),
        ]
    );
    assert_eq!(references[1]["attributes"]["Source"], "tally\nform");
}

#[tokio::test]
async fn durable_unmappable_event_is_stored_and_replayed() {
    let stage = Stage::durable().await;
    let batch = json!({"Records": [
        message("m1", ORDERS, &json!({"ids": [stage.lead(0)]}).to_string()),
        message("m2", ORDERS, r#"{"ids": "none"}"#),
        message("m3", ORDERS, r#"{"ids": "none"}"#),
        message("m4", ORDERS, r#"{"ids": "#),
    ]});
    assert_eq!(
        stage.invoke(&batch).await,
        failures(&[]),
        "nothing must be redelivered"
    );
    assert_eq!(stage.references().await.len(), 1);
    let event = partner_event(&json!({"ids": [], "both": true, "order": 7, "contacts": ["x"]}));
    assert_eq!(
        stage.invoke(&event).await,
        json!({"jobs": [], "ignored": 0, "kept": 2})
    );
    assert_eq!(
        stage.invoke(&event).await["kept"],
        2,
        "a duplicate event is stored once"
    );

    let kept = stage.store.dead_letters(100).await.expect("a list");
    let mut shown: Vec<(&str, &str)> = kept
        .iter()
        .map(|one| (one.route.as_str(), one.dead_letter.code.as_str()))
        .collect();
    shown.sort_unstable();
    assert_eq!(
        shown,
        [
            ("partner", "not_mappable"),
            ("partner-too", "not_mappable"),
            ("queue", "body_not_readable"),
            ("queue", "not_mappable"),
            ("queue", "not_mappable"),
        ]
    );

    // After the route is fixed, a replay gives it the original input.
    let one = kept
        .iter()
        .find(|one| one.route == "queue" && one.dead_letter.code == "not_mappable");
    let kept = stage
        .store
        .delivery(&one.expect("kept").id)
        .await
        .expect("read")
        .expect("kept");
    let fixed = Harness::new()
        .config(|config| {
            config
                + &ROUTES
                    .replace("(.ids? // [$ID])", "[\"12\"]")
                    .replace("$ID", "\"12\"")
        })
        .start()
        .await;
    let fixed = fixed.app(stage.store.clone(), durable());
    let accepted = fixed.replay(&kept).await.expect("accepted");
    let reference = accepted.jobs()[0]
        .request
        .reference
        .clone()
        .expect("a reference");
    assert_eq!(reference["trigger"]["queue"], ORDERS);
    assert_eq!(reference["attributes"]["source"], "tally");
    let id = reference["trigger"]["id"].as_str().expect("an id");
    assert_eq!(accepted.jobs()[0].id, JobId::derive("queue", id, 1));
    assert_eq!(
        stage.store.dead_letters(100).await.expect("a list").len(),
        4
    );
}

#[tokio::test]
async fn wake_ups_are_accepted_from_own_queue_only() {
    let stage = Stage::durable().await;
    let request =
        json!({"module": "Leads", "fields": {"Rating": "Active"}, "ids": [stage.lead(0)]});
    let accepted = stage
        .app
        .request(&request, Some("k"), masshook::trigger::Trigger::Http, None)
        .await
        .expect("accepted");
    let id = accepted.jobs()[0].id.clone();
    let wake_up = wakeup::message(std::slice::from_ref(&id));
    let status = async || {
        stage
            .store
            .get(&id)
            .await
            .expect("read")
            .expect("a job")
            .status()
    };

    // A wake-up from another queue is treated as an ordinary event.
    let foreign = json!({"Records": [message("m1", ORDERS, &wake_up)]});
    assert_eq!(stage.invoke(&foreign).await, failures(&[]));
    assert_eq!(status().await, JobStatus::Queued);
    assert_eq!(
        stage.references().await[0]["said"],
        json!({"v": 1, "jobs": [id.as_str()]})
    );

    // Messages in one batch are dispatched one by one.
    let own =
        json!({"Records": [message("m2", WAKE_UPS, &wake_up), message("m3", WAKE_UPS, "{}")]});
    assert_eq!(stage.invoke(&own).await, failures(&["m3"]));
    assert_eq!(status().await, JobStatus::Succeeded);
}
