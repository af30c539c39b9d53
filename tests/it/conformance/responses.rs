//! How Zoho's SDKs parse the simulator's responses.

use serde_json::{Value, json};

use super::{Sdk, SdkSteps, run_sdk};
use crate::harness::{Harness, World};

#[tokio::test]
async fn python_sdk_parses_simulator_responses() {
    assert_python_parses(Sdk::Python).await;
}

#[tokio::test]
async fn python_sdk_of_v8_parses_simulator_responses() {
    assert_python_parses(Sdk::PythonV8).await;
}

async fn assert_python_parses(sdk: Sdk) {
    let world = Harness::new().start().await;
    let steps = run_sdk(sdk, &world).await;
    let root = format!("/crm/{}/", sdk.api_version());
    let requests = world.requests().await;
    for request in requests.as_array().expect("requests") {
        let path = request["path"].as_str().expect("a path");
        assert!(
            path.starts_with(&root) || path.starts_with("/oauth/"),
            "{path}"
        );
    }
    // The SDK has read the user, the org and the API domain.
    assert_eq!(
        steps.of("token")["user"],
        "patricia.boyle@example.com:60001234567"
    );
    assert_eq!(steps.of("token")["api_domain"], world.simulator.url());
    let fields = steps.of("fields");
    assert_eq!(
        json!([
            fields["data_type"],
            fields["mass_update"],
            fields["actual_value"],
            fields["email"]
        ]),
        json!(["picklist", true, "Houston Showroom", false])
    );
    assert_common_steps(&steps);
    assert_eq!(steps.response("search_company"), (204, ""));
    let found = steps.of("coql")["found"].as_array().expect("records");
    assert_eq!(found.len(), 2);
    assert_eq!(found[0]["Email"], "lead1@example.com");
    assert_eq!(steps.of("search")["ids"], json!([world.id("Leads", 1)]));
    assert_eq!(steps.of("grant")["refresh_token"], true);
    assert!(
        steps.of("grant_again")["error"]
            .to_string()
            .contains("invalid_code")
    );
    assert_eq!(steps.of("revoked")["done"], true);
    assert_upserts(&steps);
    assert_values_sent(&world, "Bonn").await;
}

/// What both SDKs report about a record that is created and then found.
fn assert_upserts(steps: &SdkSteps) {
    for (step, action, field) in [
        ("upsert", "insert", Value::Null),
        ("upsert_again", "update", json!("Email")),
    ] {
        assert_eq!(steps.response(step), (200, "ActionWrapper"), "{step}");
        assert_eq!(steps.codes(step), ["SUCCESS"]);
        assert_eq!(
            steps.of(step)["actions"],
            json!([[action, field]]),
            "{step}"
        );
    }
}

/// What both SDKs report about the same steps.
fn assert_common_steps(steps: &SdkSteps) {
    for (step, status, class, codes) in [
        (
            "ids",
            200,
            "MassUpdateActionWrapper",
            &["SUCCESS", "SUCCESS"][..],
        ),
        (
            "append",
            200,
            "MassUpdateActionWrapper",
            &["SUCCESS", "SUCCESS"],
        ),
        (
            "over_write",
            200,
            "MassUpdateActionWrapper",
            &["SUCCESS", "SUCCESS"],
        ),
        (
            "mixed",
            207,
            "MassUpdateActionWrapper",
            &["SUCCESS", "INVALID_DATA"],
        ),
        (
            "all_failed",
            400,
            "MassUpdateActionWrapper",
            &["INVALID_DATA", "RECORD_LOCKED"],
        ),
        ("view", 200, "MassUpdateActionWrapper", &["SUCCESS"]),
        ("already", 202, "APIException", &[]),
        (
            "add_tags",
            200,
            "RecordActionWrapper",
            &["SUCCESS", "SUCCESS"],
        ),
        (
            "remove_tags",
            207,
            "RecordActionWrapper",
            &["SUCCESS", "RECORD_LOCKED"],
        ),
        (
            "change_owner",
            200,
            "ActionWrapper",
            &["SUCCESS", "SUCCESS"],
        ),
        ("mass_change_owner", 200, "ActionWrapper", &["SUCCESS"]),
        ("update", 207, "ActionWrapper", &["SUCCESS", "INVALID_DATA"]),
        (
            "not_allowed",
            400,
            "MassUpdateActionWrapper",
            &["INVALID_DATA"],
        ),
        ("no_such_view", 400, "APIException", &[]),
    ] {
        assert_eq!(steps.response(step), (status, class), "{step}");
        assert_eq!(steps.codes(step), codes, "{step}: {}", steps.of(step));
    }
    for (step, code) in [
        ("already", "ALREADY_SCHEDULED"),
        ("no_such_view", "INVALID_DATA"),
        ("coql_wrong", "SYNTAX_ERROR"),
    ] {
        assert_eq!(steps.of(step)["error"]["code"], code);
    }
    assert_eq!(steps.of("add_tags")["success_count"], "2");
    let owner = steps.of("owner_status");
    assert_eq!(steps.response("owner_status"), (200, "ResponseWrapper"));
    assert_eq!(owner["job"], "SCHEDULED");
    assert_eq!(owner["total"], owner["sum"]);
    let status = steps.of("status");
    assert_eq!(steps.response("status"), (200, "MassUpdateResponseWrapper"));
    assert_eq!(status["job"], "SCHEDULED");
    assert_eq!(status["total"], status["sum"]);
    // An empty result is 204 or 404 without a body, which the SDK does not treat as an error.
    for (step, status) in [
        ("no_such_job", 404),
        ("coql_none", 204),
        ("search_mail", 204),
        ("search_none", 204),
    ] {
        assert_eq!(steps.response(step), (status, ""), "{step}");
    }
}

/// Asserts that the first lead has the values that an SDK has sent.
async fn assert_values_sent(world: &World, city: &str) {
    // The records have the values that the SDK has sent.
    let lead = world.record("Leads", &world.id("Leads", 0)).await;
    assert_eq!(
        json!([
            lead["Lead_Source"],
            lead["Topics"],
            lead["City"],
            lead["Email"],
            lead["Description"]
        ]),
        json!([
            "Webinar",
            ["CRM", "Billing"],
            city,
            "new@example.com",
            "two\nlines"
        ])
    );
}

#[tokio::test]
async fn node_sdk_parses_simulator_responses() {
    let world = Harness::new().start().await;
    let steps = run_sdk(Sdk::Node, &world).await;
    assert_eq!(steps.of("token")["api_domain"], world.simulator.url());
    let zoho = world.zoho();
    let modules = zoho["modules"].as_object().expect("modules");
    let listed = steps.of("modules")["names"].as_array().expect("names");
    assert_eq!(listed.len(), modules.len());
    assert_eq!(steps.of("module")["names"], json!(["Accounts"]));
    for module in modules.keys() {
        let fields = steps.of(&format!("fields {module}"));
        assert_eq!(fields["status"], 200, "{module}");
        for list in ["formulas", "lookups"] {
            let filled = fields[list].as_array().expect("a list");
            assert!(filled.iter().all(|one| one.is_string()), "{fields}");
        }
    }
    assert_common_steps(&steps);
    // 1,999 of the 2,000 leads are not converted.
    assert_eq!(steps.of("list")["pages"], 10);
    assert_eq!(steps.of("list")["records"], 1_999);
    assert_eq!(steps.response("unmodified").0, 304);
    assert_eq!(steps.response("no_record").0, 204);
    let record = &steps.of("record")["found"][0];
    assert_eq!(record["id"], world.id("Leads", 0));
    let found = steps.of("coql")["found"].as_array().expect("records");
    assert_eq!(found.len(), 2);
    assert_eq!(found[0]["Email"], "lead1@example.com");
    let hits = steps.of("search")["found"].as_array().expect("records");
    assert_eq!(hits[0]["id"], world.id("Leads", 1));
    assert_eq!(steps.response("update_one"), (200, "ActionWrapper"));
    assert_eq!(steps.codes("update_one"), ["SUCCESS"]);
    let second = world.record("Leads", &world.id("Leads", 1)).await;
    assert_eq!(second["City"], "Cologne");
    assert_eq!(steps.of("grant")["refresh_token"], true);
    let refused = steps.of("grant_again")["error"].to_string();
    assert!(refused.contains("invalid_code"), "{refused}");
    // The SDK does not encode `&` in a parameter, so this criteria ends there.
    assert_eq!(steps.response("search_company").0, 400);
    assert_upserts(&steps);
    assert_values_sent(&world, "Bonn").await;
    // The token requests and the revocation are multipart forms.
    let requests = world.requests().await;
    let requests = requests.as_array().expect("requests");
    let forms = requests.iter().filter(|request| {
        let content_type = request["headers"]["content-type"].as_str();
        content_type.is_some_and(|text| text.starts_with("multipart/form-data"))
    });
    let kinds: Vec<&str> = forms
        .filter_map(|request| request["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["token", "token", "token", "revoke"]);
    let calls = steps.of("calls")["calls"].as_u64().expect("a number");
    assert!(calls >= 40, "{calls}");
}
