//! Mistakes of operators and senders: each ends in an error with code and advice, after few requests, and shows no
//! secret.

use std::sync::Arc;
use std::time::Duration;

use masshook::job::{JobId, JobStatus};
use masshook::store::Store;
use masshook::store::sqlite::SqliteStore;
use masshook::zoho::metadata::Freshness;
use serde_json::{Value, json};

use crate::harness::{Answer, Harness, World, enqueue};

/// Updates one lead.
async fn update(world: &World) -> Answer {
    let body =
        json!({"module": "Leads", "fields": {"Rating": "Active"}, "ids": [world.id("Leads", 1)]});
    world.post_job("", &body, &[]).await
}

/// Starts masshook whose connection points to another data centre, for the accounts server, the API, or both.
async fn at(center: &'static str, accounts: bool, api: bool) -> World {
    let mut world = Harness::new().start().await;
    let elsewhere = &world.simulator.announcement()["data_centers"][center]["accounts_url"];
    let elsewhere = elsewhere.as_str().expect("an address").to_owned();
    world.reconfigure(|config| {
        let lines = config.lines().map(|line| {
            let moved =
                accounts && line.contains("accounts_url:") || api && line.contains("api_url:");
            match line.split_once("http") {
                Some((key, _)) if moved => format!("{key}{elsewhere}"),
                _ => line.to_owned(),
            }
        });
        lines.collect::<Vec<_>>().join("\n")
    });
    world
}

/// Checks that a job failed with a code and advice after this many token and update requests.
async fn assert_ends(world: &World, answer: &Answer, code: &str, requests: [u64; 2]) -> Value {
    let job = answer.job();
    let error = &job["error"];
    assert_eq!(
        (&job["status"], &error["code"]),
        (&json!("failed"), &json!(code)),
        "{job:#}"
    );
    assert!(
        error["advice"]
            .as_str()
            .is_some_and(|advice| !advice.is_empty()),
        "{job:#}"
    );
    let seen = [
        world.count("token").await,
        world.count("mass_update_post").await,
    ];
    assert_eq!(seen, requests, "{code}: tokens and updates");
    let centers = &world.simulator.announcement()["data_centers"];
    for credentials in centers.as_object().expect("an object").values() {
        for key in ["client_secret", "refresh_token"] {
            let secret = credentials[key].as_str().expect("a secret");
            assert!(
                !answer.body.to_string().contains(secret),
                "{code} shows {key}"
            );
        }
    }
    error.clone()
}

/// A job that meets the remembered refusal waits, and succeeds once the credentials are accepted again.
#[tokio::test]
async fn job_after_refused_credentials_waits() {
    let world = Harness::new().start().await;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory());
    let app = world.worker(&store);
    let refusal = json!({"kind": "token", "status": 200, "body": {"error": "invalid_client"}});
    world.faults(&json!({"next": [refusal]})).await;
    let request =
        json!({"module": "Leads", "fields": {"Rating": "Active"}, "ids": [world.id("Leads", 1)]});
    let status = async |id: &JobId| store.get(id).await.expect("read").expect("a job").status();
    let first = enqueue(&app, &request).await;
    app.run_turn(&[], None).await.expect("a turn");
    assert_eq!(status(&first).await, JobStatus::Failed);
    let second = enqueue(&app, &request).await;
    app.run_turn(&[], None).await.expect("a turn");
    assert!(!status(&second).await.is_final(), "it waits");
    world.clock.advance(Duration::from_secs(61));
    app.run_turn(&[], None).await.expect("a turn");
    assert_eq!(status(&second).await, JobStatus::Succeeded);
}

#[tokio::test]
async fn wrong_data_centre_differs_from_bad_credentials() {
    // The client is not registered in the other data centre.
    let world = at("eu", true, true).await;
    let error = assert_ends(&world, &update(&world).await, "invalid_client", [1, 0]).await;
    let said = error.to_string();
    assert!(
        said.contains("data centre us") && said.contains("registered in another"),
        "{said}"
    );
    // A token of one data centre at the API of another.
    let world = at("eu", false, true).await;
    let error = assert_ends(&world, &update(&world).await, "INVALID_TOKEN", [2, 2]).await;
    let said = error.to_string();
    assert!(
        said.contains("has just granted") && said.contains("check `data_center`"),
        "{said}"
    );
    // The client is registered there too, with a secret of its own.
    let world = at("in", true, true).await;
    let error = assert_ends(
        &world,
        &update(&world).await,
        "invalid_client_secret",
        [1, 0],
    )
    .await;
    assert!(
        !error.to_string().contains("registered in another"),
        "{error}"
    );
    // An error for invalid credentials does not mention data centres.
    let mut world = Harness::new().start().await;
    world.reconfigure(|config| config.replace("secretsmanager:zoho", "secretsmanager:revoked"));
    let error = assert_ends(&world, &update(&world).await, "invalid_code", [1, 0]).await;
    assert!(error.to_string().contains("revoked"), "{error}");
    // A second update right away waits for the next attempt, and ends with that.
    assert_ends(&world, &update(&world).await, "invalid_code", [2, 0]).await;
}

#[tokio::test]
async fn revoked_refresh_token_is_named_and_not_retried() {
    let world = Harness::new().start().await;
    assert_eq!(update(&world).await.job()["status"], "succeeded");
    let token = world.simulator.announcement()["credentials"]["refresh_token"].clone();
    let path = format!(
        "/oauth/v2/token/revoke?token={}",
        token.as_str().expect("a token")
    );
    assert_eq!(world.zoho_request("POST", &path, None).await.0, 200);
    // The access token is revoked too: one refused call, one refused refresh.
    let answer = update(&world).await;
    let error = assert_ends(&world, &answer, "invalid_code", [2, 2]).await;
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|said| said.contains("revoked")),
        "{error}"
    );
}

#[tokio::test]
async fn foreign_api_domain_gets_no_token() {
    for poison in [
        "https://www.zohoapis.com.evil.example",
        "https://evil.example/www.zohoapis.com",
        "http://www.zohoapis.com",
        "https://www.zohoapis.com@evil.example",
    ] {
        let own = |config: String| {
            let lines = config.lines().filter(|line| !line.contains("api_url:"));
            lines.collect::<Vec<_>>().join("\n")
        };
        let world = Harness::new().config(own).start().await;
        world.faults(&json!({"api_domain": poison})).await;
        let answer = update(&world).await;
        let error = assert_ends(&world, &answer, "FOREIGN_API_DOMAIN", [1, 0]).await;
        assert!(error.to_string().contains(poison), "{error}");
        // Without `api_domain` in the answer, masshook uses the data centre's address.
        world.faults(&json!({"api_domain": null})).await;
        world.clock.advance(Duration::from_secs(61));
        assert_eq!(update(&world).await.job()["status"], "succeeded");
    }
}

#[tokio::test]
async fn token_lifetime_in_ms_does_not_cause_refresh() {
    let world = Harness::new().start().await;
    world.faults(&json!({"expires_in_ms": true})).await;
    for _ in 0..3 {
        assert_eq!(update(&world).await.job()["status"], "succeeded");
    }
    assert_eq!(world.count("token").await, 1);
    world.clock.advance(Duration::from_secs(3_600));
    assert_eq!(update(&world).await.job()["calls"][0]["attempts"], 1);
    assert_eq!(world.count("token").await, 2);
}

#[tokio::test]
async fn clock_skew_costs_no_calls_or_tokens() {
    // Zoho's clock runs ahead or behind; the token expires by Zoho's clock.
    for (shift, still_good, over) in [(600, 2_900, 3_000), (-600, 4_100, 4_200)] {
        let world = Harness::new().start().await;
        let once = async |after: u64, tokens: u64| {
            world.clock.advance(Duration::from_secs(after));
            let answer = update(&world).await;
            let job = answer.job();
            assert_eq!(job["status"], "succeeded", "{job:#}");
            assert_eq!(job["calls"][0]["attempts"], 1, "{shift}: {job:#}");
            assert_eq!(
                world.count("token").await,
                tokens,
                "{shift} after {after} s"
            );
        };
        once(0, 1).await;
        let moved = world
            .zoho_request("POST", "/_sim/clock", Some(&json!({"advance_s": shift})))
            .await;
        assert_eq!(moved.0, 200);
        // One answer shows when the token expires.
        once(0, 1).await;
        once(still_good, 1).await;
        once(over - still_good, 2).await;
        let token_status = world.client().token_status().await.expect("a token");
        assert_eq!(token_status.clock_ahead.as_secs(), -shift);
    }
}

#[tokio::test]
async fn unknown_names_of_the_org_are_reported() {
    let world = Harness::new().start().await;
    let ask = async |module: &str, selector: Value| {
        let mut body = json!({"module": module, "fields": {"Lead_Status": "Contacted"}});
        let more = selector.as_object().cloned().expect("an object");
        body.as_object_mut().expect("an object").extend(more);
        world.post_job("", &body, &[]).await
    };
    let some = world.zoho()["views"]["Leads"]["some"]["id"].clone();
    for (module, selector, code, says) in [
        ("Leeds", json!({"ids": [1]}), "INVALID_MODULE", "module"),
        ("Leads", json!({"cvid": "1"}), "INVALID_DATA", "cvid"),
        (
            "Leads",
            json!({"cvid": some, "territory": {"id": "1"}}),
            "INVALID_DATA",
            "territory",
        ),
        (
            "Leads",
            json!({"view": "No such view"}),
            "NAME_UNKNOWN",
            "No such view",
        ),
        (
            "Leads",
            json!({"cvid": some, "territory": {"name": "Atlantis"}}),
            "NAME_UNKNOWN",
            "Atlantis",
        ),
        (
            "Leeds",
            json!({"match": {"field": "Email", "values": ["a@example.com"]}}),
            "INVALID_MODULE",
            "module",
        ),
        (
            "Leads",
            json!({"match": {"field": "E_Mail", "values": ["a@example.com"]}}),
            "INVALID_QUERY",
            "E_Mail",
        ),
        (
            "Leads",
            json!({"match": {"field": "Credit_Limit", "values": ["7"]}}),
            "INVALID_QUERY",
            "give that profile read access",
        ),
        (
            "Meetings",
            json!({"ids": [1]}),
            "INVALID_MODULE",
            "`Events` for Meetings",
        ),
        (
            "Cases",
            json!({"ids": [1]}),
            "NOT_SUPPORTED",
            "`update_by: records`",
        ),
        (
            "Cases",
            json!({"ids": [1]}),
            "NOT_SUPPORTED",
            "`api_version: v8`",
        ),
    ] {
        let before = world.count("mass_update_post").await;
        let answer = ask(module, selector.clone()).await;
        let job = answer.job();
        let error = &job["error"];
        assert_eq!(
            (&job["status"], &error["code"]),
            (&json!("failed"), &json!(code)),
            "{selector}: {job:#}"
        );
        assert!(error.to_string().contains(says), "{selector}: {error}");
        assert!(error["advice"].is_string(), "{selector}: {error}");
        assert!(
            world.count("mass_update_post").await <= before + 1,
            "{selector}"
        );
    }
    // The same through the client.
    let module = "Leeds".parse().expect("a module");
    let give_up = world.now() + Duration::from_secs(60);
    assert!(
        world
            .client()
            .fields(&module, Freshness::Cached, give_up)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn invalid_match_values_are_rejected_with_pointer() {
    let world = Harness::new().start().await;
    let long = "x".repeat(10 << 10);
    for (value, says) in [
        (json!(long), "10240 characters"),
        (json!("ü".repeat(5 << 10)), "5120 characters"),
        (json!("a\u{0}b"), "control character"),
        (json!(""), "empty"),
        (
            json!({"a": 1}),
            "must be a string or a whole number, but is an object",
        ),
        (json!(null), "but is null"),
        (json!(1.5), "but is a fractional number"),
    ] {
        let wanted = json!({"field": "Email", "values": ["a@example.com", value]});
        let body =
            json!({"module": "Leads", "fields": {"Lead_Source": "Webinar"}, "match": wanted});
        let answer = world.post_job("", &body, &[]).await;
        assert_eq!(answer.status, 422, "{answer:?}");
        let errors = answer.body["errors"].to_string();
        assert!(
            errors.contains("/match/values/1") && errors.contains(says),
            "{errors}"
        );
        assert!(
            errors.len() < 1_000,
            "a value of 10 kB is not repeated: {}",
            errors.len()
        );
    }
    assert_eq!(world.count("token").await, 0);
}
