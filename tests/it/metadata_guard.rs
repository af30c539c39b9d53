//! Validation of updates against the org's fields.

use masshook::guard::guard;
use masshook::update::{Assignment, UpdateMethod};
use masshook::zoho::metadata::{FieldKind, Freshness};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::harness::{Answer, Harness, World};

async fn strict() -> World {
    Harness::new()
        .config(|config| config.replace("guard: off", "guard: strict"))
        .start()
        .await
}

async fn set(world: &World, fields: Value) -> Answer {
    let request = json!({"module": "Leads", "fields": fields, "ids": [world.id("Leads", 7)]});
    world.post_job("", &request, &[]).await
}

#[tokio::test]
async fn invalid_values_are_rejected_before_any_call() {
    let world = strict().await;
    for (fields, code, reported) in [
        (json!({"Ratng": "Active"}), "FIELD_UNKNOWN", "`Rating`"),
        (
            json!({"Rating": "active"}),
            "PICKLIST_VALUE_UNKNOWN",
            "\"Active\"",
        ),
        (
            json!({"Lead_Source": "Fax Campaign"}),
            "PICKLIST_VALUE_UNKNOWN",
            "not in use",
        ),
        (
            json!({"Topics": "CRM"}),
            "VALUE_MISTYPED",
            "list of strings",
        ),
        (
            json!({"Credit_Limit": 7}),
            "FIELD_NOT_VISIBLE",
            "`Credit_Limit`",
        ),
        (json!({"Lead_Score": 7}), "FIELD_READ_ONLY", "`Lead_Score`"),
        (json!({"Phone": "1"}), "FIELD_NOT_UPDATABLE", "`Phone`"),
        (json!({"Company": null}), "VALUE_MISSING", "`Company`"),
        (json!({"City": "x".repeat(201)}), "VALUE_TOO_LONG", "201"),
    ] {
        let answer = set(&world, fields.clone()).await;
        let job = answer.job();
        assert_eq!(
            (&job["status"], &job["error"]["code"]),
            (&json!("failed"), &json!(code)),
            "{job:#}"
        );
        assert!(
            job["error"]
                .to_string()
                .contains(&reported.replace('"', "\\\"")),
            "{fields}: {}",
            job["error"]
        );
        assert!(job["error"]["advice"].is_string());
    }
    let several = set(&world, json!({"Ratng": "Active", "Lead_Source": "webinar"})).await;
    let reported = several.job()["error"]["message"].to_string();
    assert!(
        reported.contains("Ratng") && reported.contains("webinar"),
        "{reported}"
    );
    // Read once, and again before each of the other nine is rejected.
    assert_eq!(
        (
            world.count("mass_update_post").await,
            world.count("fields").await
        ),
        (0, 10)
    );
}

/// Returns the fields of Leads without the option `CRM` of `Topics`.
async fn without_an_option(world: &World) -> Value {
    let client = world.client();
    let give_up = world.now() + std::time::Duration::from_secs(86_400);
    let leads = "Leads".parse().expect("a module");
    let fields = client.fields(&leads, Freshness::Cached, give_up).await;
    let fields = fields.expect("fields");
    let fields = fields.iter().map(|field| {
        let options = field.options.iter().filter(|option| option.actual != "CRM");
        let options = options.map(|option| {
            json!({"display_value": option.display, "actual_value": option.actual, "type": "used"})
        });
        json!({
            "api_name": field.name.as_str(), "field_label": field.label, "data_type": field.data_type,
            "mass_update": field.mass_update, "visible": field.visible, "pick_list_values": options.collect::<Vec<_>>(),
        })
    });
    json!({"fields": fields.collect::<Vec<_>>()})
}

#[tokio::test]
async fn new_picklist_option_is_accepted_after_refresh() {
    let world = strict().await;
    let before = without_an_option(&world).await;
    let old = json!({"kind": "fields", "status": 200, "body": before});
    world.faults(&json!({"next": [old]})).await;
    let read = world.count("fields").await;
    let billing = set(&world, json!({"Topics": ["Billing"]})).await;
    assert_eq!(billing.job()["status"], "succeeded", "{:#}", billing.body);
    let crm = set(&world, json!({"Topics": ["CRM"]})).await;
    assert_eq!(crm.job()["status"], "succeeded", "{:#}", crm.body);
    assert_eq!(
        world.count("fields").await - read,
        2,
        "cached, then refreshed"
    );
}

#[tokio::test]
async fn unsuitable_match_field_is_rejected_before_lookup() {
    let world = strict().await;
    for field in ["Topics", "Description"] {
        let request = json!({
            "module": "Leads", "fields": {"Rating": "Active"}, "match": {"field": field, "values": ["CRM"]},
        });
        let answer = world.post_job("", &request, &[]).await;
        let error = &answer.job()["error"];
        assert_eq!(error["code"], "MATCH_FIELD_UNSUITABLE", "{error:#}");
        assert!(error["message"].to_string().contains(field), "{error:#}");
    }
    assert_eq!(world.count("coql").await, 0);
}

#[tokio::test]
async fn corrected_values_are_sent_and_noted() {
    let world = strict().await;
    let answer = set(
        &world,
        json!({"Lead_Source": "Houston", "Last_Webinar": "2026-02-28T00:00:00Z"}),
    )
    .await;
    let job = answer.job();
    assert_eq!(job["status"], "succeeded", "{job:#}");
    assert!(
        job["notes"].to_string().contains("Houston Showroom"),
        "{}",
        job["notes"]
    );
    let record = world.record("Leads", &world.id("Leads", 7)).await;
    assert_eq!(
        (&record["Lead_Source"], &record["Last_Webinar"]),
        (&json!("Houston Showroom"), &json!("2026-02-28"))
    );
}

#[tokio::test]
async fn missing_scope_disables_the_guard() {
    let world = strict().await;
    world
        .faults(&json!({"scopes": "ZohoCRM.mass_update.UPDATE"}))
        .await;
    for _ in 0..3 {
        assert_eq!(
            set(&world, json!({"Rating": "Active"})).await.job()["status"],
            "succeeded"
        );
    }
    assert_eq!(
        world.count("fields").await,
        1,
        "a missing scope is requested once"
    );
    assert_eq!(
        set(&world, json!({"Rating": "active"})).await.job()["error"]["code"],
        "INVALID_DATA"
    );
}

#[tokio::test]
async fn metadata_outage_is_retried() {
    let world = strict().await;
    world
        .faults(&json!({"next": [{"kind": "fields", "status": 503, "times": 6}]}))
        .await;
    assert_eq!(
        set(&world, json!({"Rating": "Active"})).await.job()["status"],
        "succeeded"
    );
}

/// Values of all types, valid and invalid.
fn values(options: Vec<String>) -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        3 => prop::sample::select(options).prop_map(Value::from),
        1 => prop::sample::select(vec!["", "2026-02-28", "2026-02-28T00:00:00Z", "12"]).prop_map(Value::from),
        1 => "[a-zé ]{0,260}".prop_map(Value::from),
    ];
    prop_oneof![
        4 => text.clone(),
        2 => prop::collection::vec(text, 0..4).prop_map(Value::from),
        1 => any::<i32>().prop_map(Value::from),
        1 => (0_i32..10_000).prop_map(|cents| json!(f64::from(cents) / 100.0)),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ]
}

#[tokio::test]
async fn guarded_values_are_accepted_by_the_simulator() {
    let world = Harness::new().start().await;
    let client = world.client();
    let give_up = world.now() + std::time::Duration::from_secs(86_400);
    let leads = "Leads".parse().expect("a module");
    let fields = client
        .fields(&leads, Freshness::Cached, give_up)
        .await
        .expect("fields");
    let mut runner = TestRunner::deterministic();
    let mut taken = 0;
    // A layout is an id of the org, and metadata does not show which field is the primary of a rule.
    let in_rules = ["Salutation", "Fax"];
    let known = fields.iter().filter(|field| {
        field.kind != FieldKind::Object && !in_rules.contains(&field.name.as_str())
    });
    for field in known {
        let mut options: Vec<String> = field
            .options
            .iter()
            .flat_map(|choice| [choice.actual.clone(), choice.display.clone()])
            .collect();
        options.push("Nonsense".to_owned());
        let strategy = values(options);
        for _ in 0..30 {
            let value = strategy.new_tree(&mut runner).expect("a value").current();
            let asked = [Assignment {
                field: field.name.clone(),
                value,
            }];
            let Ok(guarded) = guard(&fields, &asked, true, UpdateMethod::MassUpdate) else {
                continue;
            };
            taken += 1;
            let sent = &guarded.assignments[0];
            let name = sent.field.as_str();
            let request = json!({"module": "Leads", "fields": {name: sent.value}, "ids": [world.id("Leads", 7)], "over_write": true});
            let answer = world.post_job("", &request, &[]).await;
            assert_eq!(
                answer.job()["status"],
                "succeeded",
                "{request}: {:#}",
                answer.body
            );
        }
    }
    assert!(taken > 100, "only {taken} values passed");
}
