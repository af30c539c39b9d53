//! What the functions may do: no more than they need, and the inbound function nothing with access tokens.

use aws_sdk_dynamodb::types::AttributeValue;

use super::*;

/// A delivery that does not fit into one item. Its ids are under the key `ids` or, if the route cannot map it, another.
fn large_form(event: &str, key: &str) -> serde_json::Value {
    let padding = (0..45_000).map(|_| format!("{:016x}", fastrand::u64(..)));
    let padding: String = padding.collect();
    let ids = (0..2_000).map(|_| fastrand::u64(1..1 << 62).to_string());
    let ids: Vec<String> = ids.collect();
    json!({"event": event, key: ids, "padding": padding})
}

/// The proxies in front of moto refuse everything that template.yaml does not permit.
#[tokio::test]
async fn functions_need_no_more_than_their_policies() {
    let mut stack = Stack::start("aws-policy").await;
    let many: Vec<String> = (0..900).map(|number| stack.lead(number)).collect();
    let form = json!({"event": "many", "ids": many});
    let id = stack.form(&form).await.job_id();
    for _ in 0..2 {
        let large = large_form("large", "ids");
        assert_eq!(stack.form(&large).await.status, 202);
        // The second one replaces the dead letter and its parts.
        let unmappable = large_form("bad", "others");
        assert_eq!(stack.form(&unmappable).await.status, 422);
    }
    assert_eq!(stack.form(&form).await.job_id(), id, "a duplicate");
    assert_eq!(stack.get_job("job_0").await.status, 404);
    let view = stack.view("some").await;
    stack.finish(&id).await;
    stack.finish(&view.job_id()).await;
    stack
        .worker
        .invoke(&sample_event("sweep-schedule.json"))
        .await;
    assert_eq!(stack.inbound_policy.denied(), [""; 0]);
    assert_eq!(stack.worker_policy.denied(), [""; 0]);
    insta::assert_snapshot!(stack.inbound_policy.allowed().join("\n"), @r"
    dynamodb:GetItem Table.Arn job
    dynamodb:PutItem Table.Arn delivery
    dynamodb:PutItem Table.Arn job
    dynamodb:Query Table.Arn job
    secretsmanager:GetSecretValue InboundSecretArns
    sqs:SendMessage Queue.Arn
    ssm:GetParameter InboundSecretArns
    ");
    let worker = stack.worker_policy.allowed();
    for call in [
        "dynamodb:ConditionCheckItem Table.Arn lock",
        "dynamodb:PutItem Table.Arn value",
        "dynamodb:Query ${Table.Arn}/index/due due",
    ] {
        assert!(worker.iter().any(|made| made == call), "{call}: {worker:?}");
    }
}

/// The inbound function's part of the table is not enough to make the worker send the token elsewhere.
#[tokio::test]
async fn stored_token_is_encrypted_and_forged_one_unused() {
    let mut stack = Stack::start("aws-token").await;
    let lead = stack.lead(1);
    let id = stack
        .form(&json!({"event": "e1", "ids": [lead]}))
        .await
        .job_id();
    stack.finish(&id).await;
    let client = aws_sdk_dynamodb::Client::new(&Moto::shared().sdk_config());
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let stored = client
        .get_item()
        .table_name("aws-token")
        .key("pk", text("value#token/default"))
        .key("sk", text("head"));
    let stored = stored.send().await.expect("read").item.expect("a token");
    let shown = format!("{stored:?}");
    assert!(
        !shown.contains("1000.") && !shown.contains("http"),
        "{shown}"
    );

    let forged = json!({
        "token": {"access": "1000.forged", "api": stack.receiver.url("/stolen")},
        "expires_at": 4_102_444_800_000_i64,
    });
    let mut item = stored;
    item.insert("value".to_owned(), text(&forged.to_string()));
    let put = client
        .put_item()
        .table_name("aws-token")
        .set_item(Some(item));
    put.send().await.expect("written");
    let other = stack.another_worker(&[]);
    let second = stack.lead(2);
    let id = stack
        .form(&json!({"event": "e2", "ids": [second]}))
        .await
        .job_id();
    for _ in 0..PATIENCE {
        if stack.is_final(&id).await {
            break;
        }
        stack.queue.poll(&other, 1).await;
    }
    assert_eq!(stack.job(&id).await["status"], "succeeded");
    assert!(stack.is_updated(&second).await);
    assert_eq!(
        stack.count("token").await,
        2,
        "the forged token is replaced"
    );
    let received = stack.receiver.all();
    assert!(
        received
            .iter()
            .all(|one| !format!("{one:?}").contains("stolen"))
    );
    let logs = other.logs();
    assert!(
        logs.contains("was not encrypted under the credentials"),
        "{logs}"
    );
}
