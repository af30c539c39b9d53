//! How the requests of Zoho's Python SDKs differ from masshook's for the same work.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use masshook::zoho::metadata::Freshness;
use serde_json::{Value, json};

use super::{COMPANY, MAIL, Sdk, run_sdk};
use crate::harness::{Harness, Request};

/// An intended difference between the SDK's request and masshook's for the same work.
struct Difference {
    /// The JSON pointer into the request: `/headers/content-type`.
    path: &'static str,
    sdk: Value,
    masshook: Value,
    reason: &'static str,
}

const fn differs(
    path: &'static str,
    sdk: Value,
    masshook: Value,
    reason: &'static str,
) -> Difference {
    Difference {
        path,
        sdk,
        masshook,
        reason,
    }
}

/// Headers of the connection, which are not compared.
const TRANSPORT: [&str; 6] = [
    "host",
    "connection",
    "content-length",
    "accept",
    "accept-encoding",
    "user-agent",
];

/// The values of a request by their JSON pointer, without the transport headers.
fn flatten(request: &Value) -> BTreeMap<String, Value> {
    fn add(at: String, value: &Value, all: &mut BTreeMap<String, Value>) {
        let inner: Vec<(String, &Value)> = match value {
            Value::Object(map) => map
                .iter()
                .map(|(key, value)| (key.clone(), value))
                .collect(),
            Value::Array(items) => {
                let items = items.iter().enumerate();
                items
                    .map(|(index, value)| (index.to_string(), value))
                    .collect()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
        };
        for (key, value) in &inner {
            add(format!("{at}/{key}"), value, all);
        }
        if inner.is_empty() {
            all.insert(at, value.clone());
        }
    }
    let mut all = BTreeMap::new();
    for key in ["method", "path", "query", "headers", "body"] {
        add(format!("/{key}"), &request[key], &mut all);
    }
    let transport = TRANSPORT.map(|name| format!("/headers/{name}"));
    all.retain(|at, _| !transport.contains(at));
    all
}

/// Asserts that two requests have exactly these differences.
fn assert_differences(what: &str, sdk: &Value, masshook: &Value, differences: Vec<Difference>) {
    let (sdk, masshook) = (flatten(sdk), flatten(masshook));
    let places: BTreeSet<&String> = sdk.keys().chain(masshook.keys()).collect();
    let at =
        |all: &BTreeMap<String, Value>, place: &str| all.get(place).cloned().unwrap_or_default();
    let found: BTreeMap<String, (Value, Value)> = places
        .into_iter()
        .map(|place| (place.clone(), (at(&sdk, place), at(&masshook, place))))
        .filter(|(_, (sdk, masshook))| sdk != masshook)
        .collect();
    let reasons: Vec<&str> = differences
        .iter()
        .map(|difference| difference.reason)
        .collect();
    let expected: BTreeMap<String, (Value, Value)> = differences
        .into_iter()
        .map(|difference| {
            (
                difference.path.to_owned(),
                (difference.sdk, difference.masshook),
            )
        })
        .collect();
    assert_eq!(
        found, expected,
        "{what}, expected differences: {reasons:#?}"
    );
}

/// The telemetry header of the SDK.
fn telemetry(request: &Value) -> Difference {
    let header = request["headers"]["x-zoho-sdk"].clone();
    let text = header.as_str().expect("a header");
    assert!(
        text.ends_with(":6.0.0") || text.ends_with(":7.0.0"),
        "{text}"
    );
    differs(
        "/headers/x-zoho-sdk",
        header,
        Value::Null,
        "the SDK's telemetry; masshook is not a Zoho SDK",
    )
}

/// The content type of a JSON body.
fn content_type() -> Difference {
    differs(
        "/headers/content-type",
        Value::Null,
        json!("application/json"),
        "the SDK sends no content type for JSON bodies; RFC 9110 requires one, and Zoho's documentation sends it",
    )
}

#[tokio::test]
async fn masshook_requests_match_zoho_sdk() {
    assert_same_requests(Sdk::Python).await;
}

#[tokio::test]
async fn masshook_requests_match_zoho_sdk_of_v8() {
    assert_same_requests(Sdk::PythonV8).await;
}

/// Asserts that masshook's requests for the work of an SDK have only the intended differences.
async fn assert_same_requests(sdk: Sdk) {
    let version = format!("api_version: {}", sdk.api_version());
    let world = Harness::new()
        .connection(&version)
        .simulator(|settings| settings.job_duration = Duration::ZERO)
        .config(|config| {
            let route =
                "  records: { verify: { scheme: none }, update_by: records, map: '.updates[]' }\n";
            config + route
        })
        .start()
        .await;
    run_sdk(sdk, &world).await;
    let of_sdk = world.requests().await;
    let of_sdk = of_sdk.as_array().expect("requests");
    // masshook does the same work.
    let ids = [world.id("Leads", 0), world.id("Leads", 1)];
    let zoho = world.zoho();
    for body in [
        json!({"module": "Leads", "fields": {"Lead_Source": "Webinar"}, "ids": ids}),
        json!({"module": "Leads", "fields": {"Topics": ["CRM"]}, "ids": ids, "over_write": false}),
        json!({"module": "Leads", "fields": {"Topics": ["CRM", "Billing"]}, "ids": ids, "over_write": true}),
        json!({
            "module": "Leads",
            "fields": {"Lead_Status": "Contacted"},
            "cvid": zoho["views"]["Leads"]["some"]["id"],
            "territory": {"id": zoho["territories"]["EMEA"]["id"], "include_child": true},
        }),
        json!({
            "module": "Leads",
            "fields": {"Lead_Source": "Webinar"},
            "match": {"field": "Email", "values": ["lead1@example.com", "lead2@example.com"]},
        }),
        json!({
            "module": "Leads",
            "fields": {"Lead_Source": "Webinar"},
            "match": {"field": "Company", "values": [COMPANY]},
        }),
        json!({
            "module": "Leads",
            "fields": {"Lead_Source": "Webinar"},
            "match": {"field": "Email", "values": [MAIL]},
        }),
    ] {
        let answer = world.post_job("", &body, &[]).await;
        assert_eq!(answer.job()["status"], "succeeded", "{answer:?}");
    }
    let create = json!({"Last_Name": "New", "Company": "Acme"});
    let wanted = json!({"field": "Email", "values": ["created@example.org"], "on_none": "create", "create": create});
    let body = json!({"module": "Leads", "fields": {"City": "Bonn"}, "match": wanted});
    let answer = world.post_job("", &body, &[]).await;
    assert_eq!(answer.job()["counts"]["created"], 1, "{answer:?}");
    let client = world.client();
    let give_up = world.now() + Duration::from_secs(3600);
    let leads = "Leads".parse().expect("a module");
    client
        .fields(&leads, Freshness::Fresh, give_up)
        .await
        .expect("fields");
    // Two jobs that share one call, each with its own values.
    let updates = json!({"updates": [
        {"module": "Leads", "fields": {"Email": "new@example.com", "Description": "two\nlines"}, "ids": [ids[0]]},
        {"module": "Leads", "fields": {"Company": "Ours"}, "ids": ["1"]},
    ]});
    let request = Request::json("/hooks/records", updates.to_string());
    let answer = world.send(request).await;
    let statuses = [
        &answer.body["jobs"][0]["status"],
        &answer.body["jobs"][1]["status"],
    ];
    assert_eq!(statuses, ["succeeded", "failed"], "{answer:?}");
    let all = world.requests().await;
    let of_masshook = &all.as_array().expect("requests")[of_sdk.len()..];
    let nth = |all: &[Value], kind: &str, n: usize| {
        let mut found = all.iter().filter(|request| request["kind"] == kind);
        found.nth(n).unwrap_or_else(|| panic!("{kind} {n}")).clone()
    };
    let pair = |kind: &str, n: usize| (nth(of_sdk, kind, n), nth(of_masshook, kind, n));

    let (sdk, masshook) = pair("token", 0);
    assert_differences("token refresh", &sdk, &masshook, Vec::new());

    let (sdk, masshook) = pair("mass_update_post", 0);
    assert_differences(
        "ids",
        &sdk,
        &masshook,
        vec![telemetry(&sdk), content_type()],
    );

    let (sdk, masshook) = pair("mass_update_post", 1);
    let over_write = differs(
        "/body/over_write",
        json!(false),
        Value::Null,
        "Zoho's default, and a key that the specification does not list: masshook sends it only if it is true",
    );
    assert_differences(
        "append",
        &sdk,
        &masshook,
        vec![telemetry(&sdk), content_type(), over_write],
    );

    let (sdk, masshook) = pair("mass_update_post", 2);
    assert_differences(
        "over_write",
        &sdk,
        &masshook,
        vec![telemetry(&sdk), content_type()],
    );

    // In between the SDK has sent one partially and one completely rejected update.
    let (sdk, masshook) = (
        nth(of_sdk, "mass_update_post", 5),
        nth(of_masshook, "mass_update_post", 3),
    );
    let id = zoho["territories"]["EMEA"]["id"].clone();
    let number: u64 = id.as_str().and_then(|id| id.parse().ok()).expect("an id");
    let territory_id = differs(
        "/body/territory/id",
        json!(number),
        id,
        "the SDK sends a number; the documentation requires a string, which no parser converts to a float",
    );
    assert_differences(
        "view and territory",
        &sdk,
        &masshook,
        vec![telemetry(&sdk), content_type(), territory_id],
    );

    let (sdk, masshook) = pair("mass_update_get", 0);
    let job = |request: &Value| request["query"]["job_id"].clone();
    let job_id = differs(
        "/query/job_id",
        job(&sdk),
        job(&masshook),
        "each requests its own job",
    );
    assert_differences("status", &sdk, &masshook, vec![telemetry(&sdk), job_id]);

    let (sdk, mut masshook) = pair("records_put", 0);
    // The job ids determine the order of the jobs in a shared call.
    let rows = masshook["body"]["data"].as_array_mut().expect("rows");
    rows.sort_by_key(|row| row["Email"].is_null());
    let as_text = |at, id: &str| {
        differs(
            at,
            json!(id.parse::<u64>().expect("an id")),
            json!(id),
            "the SDK sends a number; the documentation requires a string, which no parser converts to a float",
        )
    };
    assert_differences(
        "records",
        &sdk,
        &masshook,
        vec![
            telemetry(&sdk),
            content_type(),
            as_text("/body/data/0/id", &ids[0]),
            as_text("/body/data/1/id", "1"),
        ],
    );

    let (sdk, masshook) = pair("upsert", 0);
    let email = |request: &Value| request["body"]["data"][0]["Email"].clone();
    let own_record = differs(
        "/body/data/0/Email",
        email(&sdk),
        email(&masshook),
        "each creates its own record",
    );
    assert_differences(
        "upsert",
        &sdk,
        &masshook,
        vec![telemetry(&sdk), content_type(), own_record],
    );

    let (sdk, masshook) = pair("fields", 0);
    assert_differences("fields", &sdk, &masshook, vec![telemetry(&sdk)]);

    let (sdk, masshook) = pair("coql", 0);
    assert_differences(
        "COQL",
        &sdk,
        &masshook,
        vec![telemetry(&sdk), content_type()],
    );

    // masshook has no counterpart of the SDK's first search.
    for (n, what) in ["criteria", "email"].into_iter().enumerate() {
        let (sdk, masshook) = (nth(of_sdk, "search", n + 1), nth(of_masshook, "search", n));
        assert!(sdk["query"][what].is_string(), "{sdk:#}");
        assert_differences("search", &sdk, &masshook, vec![telemetry(&sdk)]);
    }
}
