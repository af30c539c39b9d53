//! Custom views and territories by name.

use serde_json::{Value, json};

use crate::harness::{Harness, World};

async fn update(world: &World, selector: Value) -> Value {
    let mut request = json!({"module": "Leads", "fields": {"Industry": "Education"}});
    for (key, value) in selector.as_object().expect("an object") {
        request[key] = value.clone();
    }
    world.post_job("", &request, &[]).await.job().clone()
}

#[tokio::test]
async fn view_and_territory_names_resolve_once() {
    let world = Harness::new().start().await;
    for _ in 0..2 {
        let job = update(
            &world,
            json!({"view": "Hot Webinar Leads", "territory": {"name": "EMEA", "include_child": true}}),
        )
        .await;
        assert_eq!(job["status"], "succeeded", "{job:#}");
    }
    let requests = world.requests().await.to_string();
    assert!(
        requests.contains("5725767000000087511"),
        "the view's id is sent"
    );
    assert!(
        requests.contains("5725767000000430409"),
        "the territory's id is sent"
    );
    assert_eq!(
        (
            world.count("custom_views").await,
            world.count("territories").await
        ),
        (1, 1)
    );
}

#[tokio::test]
async fn unknown_or_ambiguous_name_sends_no_call() {
    let world = Harness::new().start().await;
    for (selector, code, reported) in [
        (
            json!({"view": "Stale Leads"}),
            "NAME_AMBIGUOUS",
            "5725767000000087519, 5725767000000087521",
        ),
        (
            json!({"view": "hot webinar leads"}),
            "NAME_UNKNOWN",
            "did you mean `Hot Webinar Leads`?",
        ),
        (
            json!({"view": "All Leads", "territory": {"name": "North"}}),
            "NAME_AMBIGUOUS",
            "5725767000000430415, 5725767000000430417",
        ),
        (
            json!({"cvid": "5725767000000087501", "territory": {"name": "Atlantis"}}),
            "NAME_UNKNOWN",
            "no territory has the name `Atlantis`",
        ),
    ] {
        let job = update(&world, selector).await;
        assert_eq!(
            (&job["status"], &job["error"]["code"]),
            (&json!("failed"), &json!(code)),
            "{job:#}"
        );
        let message = job["error"]["message"].as_str().expect("a message");
        assert!(message.contains(reported), "{message}");
        let advice = job["error"]["advice"].as_str().expect("advice");
        let is_about_territory = message.contains("no territory");
        assert_eq!(
            advice.contains("Territory Management"),
            is_about_territory,
            "{advice}"
        );
        assert!(!is_about_territory || !advice.contains("share"), "{advice}");
    }
    assert_eq!(world.count("mass_update_post").await, 0);
}

#[tokio::test]
async fn missing_scope_is_named_in_the_error() {
    let world = Harness::new().start().await;
    world
        .faults(&json!({"scopes": "ZohoCRM.mass_update.UPDATE"}))
        .await;
    let job = update(&world, json!({"view": "All Leads"})).await;
    assert_eq!(job["error"]["code"], "OAUTH_SCOPE_MISMATCH", "{job:#}");
    let advice = job["error"]["advice"].to_string();
    assert!(
        advice.contains("ZohoCRM.settings.custom_views.READ"),
        "{advice}"
    );
}
