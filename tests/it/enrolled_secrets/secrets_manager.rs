//! Secrets enrolled in Secrets Manager, by functions.

use super::*;

const NOTION: &str = r#"{"id":"367cba44-b6f3-4c92-81e7-6a2e9659efd4","type":"page.content_updated","entity":{"id":"0ef104cd-477e-80e1-8571-cfd10e92339a","type":"page"}}"#;

/// Starts a function with a route for Notion, whose secret is enrolled in Secrets Manager.
fn function(name: &str, folder: &TempDir, durable: Option<&str>) -> Rie {
    let config = folder.path().join("masshook.yaml");
    let text = format!(
        "connections: {{ default: {{ credentials: env:ZOHO }} }}\nroutes:\n  notion:\n    verify: {{ scheme: notion, secret: \"secretsmanager:{name}\" }}\n    map: empty\n"
    );
    std::fs::write(&config, text).expect("written");
    let mut env = Moto::shared().environment();
    env.push(("MASSHOOK_CONFIG".to_owned(), config.display().to_string()));
    if let Some(queue) = durable {
        env.push(("MASSHOOK_TABLE".to_owned(), name.to_owned()));
        env.push(("MASSHOOK_QUEUE_URL".to_owned(), queue.to_owned()));
    }
    Rie::start(&RieOptions {
        env,
        ..RieOptions::default()
    })
}

fn token(secret: &str) -> Request {
    let body = json!({"verification_token": secret}).to_string();
    Request::json("/hooks/notion", body)
}

async fn in_secrets_manager(name: &str) -> Option<String> {
    let client = Client::new(&Moto::shared().sdk_config());
    let found = client.get_secret_value().secret_id(name).send().await;
    found.ok()?.secret_string
}

#[tokio::test]
async fn notion_token_is_enrolled_in_secrets_manager() {
    let name = "masshook/enrolled-notion";
    // As in the stack: created beforehand, without a value.
    let client = Client::new(&Moto::shared().sdk_config());
    client
        .create_secret()
        .name(name)
        .send()
        .await
        .expect("made");
    let folder = tempfile::tempdir().expect("a folder");
    let inline = function(name, &folder, None);
    let event = signed("notion", "/hooks/notion", NOTION, FIRST);
    let early = event.send_to_lambda(&inline).await;
    assert_eq!((early.status, early.problem_code()), (401, "not_verified"));

    let answer = token(FIRST).send_to_lambda(&inline).await;
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (200, ""),
        "{}",
        inline.logs()
    );
    assert_eq!(in_secrets_manager(name).await.as_deref(), Some(FIRST));
    let refused = token(SECOND).send_to_lambda(&inline).await;
    assert_eq!(
        (refused.status, refused.problem_code()),
        (409, "handshake_refused")
    );
    assert_eq!(in_secrets_manager(name).await.as_deref(), Some(FIRST));
    assert_eq!(event.send_to_lambda(&inline).await.status, 200);
    let forged = signed("notion", "/hooks/notion", NOTION, SECOND);
    assert_eq!(forged.send_to_lambda(&inline).await.status, 401);
    // Another process reads what this one has enrolled.
    let other = function(name, &folder, None);
    assert_eq!(event.send_to_lambda(&other).await.status, 200);
    for logs in [inline.logs(), other.logs()] {
        assert!(!logs.contains(FIRST) && !logs.contains(SECOND), "{logs}");
    }

    // After the secret is emptied, another can be enrolled.
    let emptied = client
        .put_secret_value()
        .secret_id(name)
        .secret_string("{}");
    emptied.send().await.expect("emptied");
    let third = function(name, &folder, None);
    assert_eq!(token(SECOND).send_to_lambda(&third).await.status, 200);
    assert_eq!(in_secrets_manager(name).await.as_deref(), Some(SECOND));
}

/// With or without a table, the id of the next secret version decides which function wins.
#[tokio::test]
async fn two_functions_enroll_one_secret() {
    let name = "enroll-race";
    Moto::shared().create_table(name).await;
    let queue = Poller::start(Moto::shared(), name).await;
    let folder = tempfile::tempdir().expect("a folder");
    for (durable, secret) in [
        (Some(queue.url.as_str()), name),
        (None, "enroll-race-inline"),
    ] {
        let client = Client::new(&Moto::shared().sdk_config());
        client
            .create_secret()
            .name(secret)
            .send()
            .await
            .expect("made");
        let function = || {
            let rie = function(name, &folder, durable);
            let config = folder.path().join("masshook.yaml");
            let text = std::fs::read_to_string(&config).expect("a config");
            let text = text.replace(
                &format!("secretsmanager:{name}\""),
                &format!("secretsmanager:{secret}\""),
            );
            std::fs::write(&config, text).expect("written");
            rie
        };
        let (one, other) = (function(), function());
        let (first, second) = (token(FIRST), token(SECOND));
        let (first, second) =
            tokio::join!(first.send_to_lambda(&one), second.send_to_lambda(&other));
        let mut statuses = [first.status, second.status];
        let kept = in_secrets_manager(secret).await.expect("a secret");
        assert_eq!(kept, if first.status == 200 { FIRST } else { SECOND });
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{first:?} {second:?}");
    }
}
