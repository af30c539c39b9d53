//! The metadata that the client reads from an org.

use std::time::Duration;

use jiff::Timestamp;
use masshook::update::ModuleName;
use masshook::zoho::metadata::{FieldKind, Freshness};
use masshook::zoho::{self, Client};
use serde_json::json;

use crate::harness::{Harness, World};

fn leads() -> ModuleName {
    "Leads".parse().expect("a module")
}

async fn world() -> (World, Client, Timestamp) {
    let world = Harness::new().start().await;
    let client = world.client();
    let give_up = world.now() + Duration::from_secs(86_400);
    (world, client, give_up)
}

#[tokio::test]
async fn client_reads_all_org_metadata() {
    let (world, client, give_up) = world().await;
    let kept = Freshness::Cached;
    let fields = client
        .fields(&leads(), kept, give_up)
        .await
        .expect("fields");
    let field = |name: &str| {
        let found = fields.iter().find(|field| field.name.as_str() == name);
        found.unwrap_or_else(|| panic!("{name}"))
    };
    assert_eq!(field("Topics").kind, FieldKind::MultiSelect);
    assert!(field("Lead_Source").mass_update && !field("Email").mass_update);
    assert!(!field("Credit_Limit").visible && field("Lead_Score").read_only);
    assert!(field("Company").mandatory);
    let modules = client.modules(kept, give_up).await.expect("modules");
    assert!(
        modules
            .iter()
            .any(|module| module.name.as_str() == "Subscriptions" && module.custom)
    );
    let views = client
        .custom_views(&leads(), kept, give_up)
        .await
        .expect("views");
    let wanted = world.zoho()["views"]["Leads"]["some"]["id"].clone();
    assert!(
        views
            .iter()
            .any(|view| wanted == view.id.to_string() && view.name == "Hot Webinar Leads")
    );
    let territories = client
        .territories(kept, give_up)
        .await
        .expect("territories");
    let named = |name: &str| {
        let found = territories.iter().find(|territory| territory.name == name);
        found.unwrap_or_else(|| panic!("{name}"))
    };
    assert_eq!(named("World").reports_to, None);
    assert_eq!(named("Germany").reports_to, Some(named("EMEA").id));
    let apis = client
        .apis(Some("mass_update"), kept, give_up)
        .await
        .expect("APIs");
    let api = apis
        .iter()
        .find(|api| api.path == "/crm/v7/Leads/actions/mass_update");
    let post = api.and_then(|api| {
        api.operations
            .iter()
            .find(|operation| operation.method == "POST")
    });
    let post = post.expect("the price of a mass update");
    assert!(post.max_credits.is_some() && post.oauth_scope.to_lowercase().contains("leads.update"));
    let org = client.org(kept, give_up).await.expect("the org");
    assert_eq!(org.time_zone.as_deref(), Some("Asia/Kolkata"));
}

#[tokio::test]
async fn concurrent_reads_share_one_request_per_module() {
    let (world, client, give_up) = world().await;
    let leads = leads();
    let ask = || {
        let asking = (0..1_000).map(|_| client.fields(&leads, Freshness::Cached, give_up));
        futures_util::future::join_all(asking)
    };
    assert!(ask().await.iter().all(Result::is_ok));
    assert_eq!(world.count("fields").await, 1);
    world.clock.advance(Duration::from_secs(599));
    assert!(ask().await.iter().all(Result::is_ok));
    assert_eq!(world.count("fields").await, 1);
    world.clock.advance(Duration::from_secs(1));
    assert!(ask().await.iter().all(Result::is_ok));
    assert_eq!(world.count("fields").await, 2);
    let fresh = client.fields(&leads, Freshness::Fresh, give_up).await;
    assert!(fresh.is_ok());
    assert_eq!(world.count("fields").await, 3);
    // Failures are retried once for all readers, and not cached.
    world.clock.advance(Duration::from_secs(600));
    world
        .faults(&json!({"next": [{"kind": "fields", "status": 500, "times": 4}]}))
        .await;
    let outcomes = ask().await;
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, Err(zoho::Error::RetryLater(..))))
    );
    assert_eq!(world.count("fields").await, 7);
    assert!(ask().await.iter().all(Result::is_ok));
    assert_eq!(world.count("fields").await, 8);
}

#[tokio::test]
async fn missing_scope_is_cached_until_fresh_read() {
    let (world, client, give_up) = world().await;
    let scopes = json!({"scopes": "ZohoCRM.mass_update.UPDATE"});
    world.faults(&scopes).await;
    for _ in 0..3 {
        let outcome = client
            .custom_views(&leads(), Freshness::Cached, give_up)
            .await;
        let failed = outcome.expect_err("no scope");
        assert!(failed.lacks_scope());
        let zoho::Error::Denied(refusal) = failed else {
            panic!("{failed:?}");
        };
        let advice = refusal.advice.expect("advice");
        assert!(
            advice.contains("ZohoCRM.settings.custom_views.READ"),
            "{advice}"
        );
    }
    assert_eq!(world.count("custom_views").await, 1);
    world.faults(&json!({"reset": true})).await;
    assert!(
        client
            .custom_views(&leads(), Freshness::Cached, give_up)
            .await
            .is_err()
    );
    assert!(
        client
            .custom_views(&leads(), Freshness::Fresh, give_up)
            .await
            .is_ok()
    );
    assert_eq!(world.count("custom_views").await, 2);
}

#[tokio::test]
async fn unknown_module_is_denied_with_its_code() {
    let (_world, client, give_up) = world().await;
    let nothing: ModuleName = "Nothing".parse().expect("a name");
    let failed = client
        .fields(&nothing, Freshness::Cached, give_up)
        .await
        .expect_err("no module");
    assert!(!failed.lacks_scope());
    assert!(
        matches!(&failed, zoho::Error::Denied(refusal) if refusal.code == "INVALID_MODULE"),
        "{failed:?}"
    );
    let apis = client
        .apis(Some("nothing"), Freshness::Cached, give_up)
        .await;
    assert_eq!(apis.map(|apis| apis.len()), Ok(0), "204 is an empty list");
}
