//! Conformance with Zoho's Python SDK, which runs unchanged against the simulator: how it parses the responses, and how its
//! requests differ from masshook's for the same work.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use masshook::lookup::{LookupField, LookupRequest, lookup_requests};
use masshook::update::MatchValue;
use masshook::zoho::metadata::Freshness;
use serde_json::{Value, json};

use crate::harness::{Harness, Request, World, repo_path, zoho_sdk};

/// The output of `tests/tools/zoho_sdk.py` by step.
struct SdkSteps(BTreeMap<String, Value>);

impl SdkSteps {
    fn of(&self, step: &str) -> &Value {
        self.0.get(step).unwrap_or_else(|| panic!("no step {step}"))
    }

    /// The HTTP status of a step, and the SDK class of its response.
    fn response(&self, step: &str) -> (u64, &str) {
        let line = self.of(step);
        let class = line["class"].as_str().unwrap_or_default();
        (line["status"].as_u64().unwrap_or_default(), class)
    }

    /// The codes of the entries in a step's response.
    fn codes(&self, step: &str) -> Vec<&str> {
        let entries = self.of(step)["entries"].as_array().expect("entries");
        entries
            .iter()
            .filter_map(|entry| entry["code"].as_str())
            .collect()
    }
}

/// Values that a COQL query cannot contain.
const COMPANY: &str = "Smith (Bonn), \"Sons\" & Söhne \\ Ltd";
const MAIL: &str = "o'brien+1@example.com";

/// The request with which masshook looks up leads by one of these values.
fn question(field: &str, values: &[&str]) -> LookupRequest {
    let column = LookupField {
        module: "Leads".parse().expect("a module"),
        field: field.parse().expect("a field"),
    };
    let value = |text: &&str| MatchValue::try_from((*text).to_owned()).expect("a value");
    let values: Vec<MatchValue> = values.iter().map(value).collect();
    let mut lookup_requests = lookup_requests(&column, &values);
    let (question, _) = lookup_requests.pop().expect("a question");
    assert!(lookup_requests.is_empty());
    question
}

/// The input of the SDK for the same request.
fn sdk_input(question: &LookupRequest) -> Value {
    match question {
        LookupRequest::Query(query) => json!(query.text()),
        LookupRequest::Search(search) => {
            let parameters: BTreeMap<_, _> = search.parameters().into_iter().collect();
            json!(parameters)
        }
    }
}

/// Runs all steps of the SDK.
async fn run_sdk(world: &World) -> SdkSteps {
    let zoho = world.zoho();
    let code = json!({"scope": "ZohoCRM.modules.ALL,ZohoCRM.users.READ,ZohoCRM.org.READ"});
    let (_, code) = world
        .zoho_request("POST", "/_sim/grant_code", Some(&code))
        .await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut input = world.simulator.announcement()["credentials"].clone();
    input["api_url"] = json!(world.simulator.url());
    input["folder"] = json!(folder.path());
    input["ids"] = json!([world.id("Leads", 0), world.id("Leads", 1)]);
    input["locked"] = zoho["modules"]["Leads"]["conditions"]["locked"].clone();
    input["cvid"] = zoho["views"]["Leads"]["some"]["id"].clone();
    input["territory"] = zoho["territories"]["EMEA"]["id"].clone();
    input["grant_code"] = code["code"].clone();
    input["queries"] = json!({
        "coql": sdk_input(&question("Email", &["lead1@example.com", "lead2@example.com"])),
        "coql_none": "select id from Leads where Email = 'nobody@example.com'",
        "coql_wrong": "select id from Leads",
    });
    input["searches"] = json!({
        "search": {"email": "lead2@example.com"},
        "search_company": sdk_input(&question("Company", &[COMPANY])),
        "search_mail": sdk_input(&question("Email", &[MAIL])),
        "search_none": {"email": "nobody@example.com"},
    });
    let run = move || {
        let mut sdk = Command::new(zoho_sdk())
            .arg(repo_path("tests/tools/zoho_sdk.py"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("NO_PROXY", "*")
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Python runs");
        let mut stdin = sdk.stdin.take().expect("a pipe");
        stdin
            .write_all(input.to_string().as_bytes())
            .expect("written");
        drop(stdin);
        sdk.wait_with_output().expect("finished")
    };
    let output = tokio::task::spawn_blocking(run).await.expect("joined");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines = text.lines().map(|line| {
        let line: Value = serde_json::from_str(line).expect("a line of JSON");
        (line["step"].as_str().expect("a step").to_owned(), line)
    });
    SdkSteps(lines.collect())
}

#[tokio::test]
async fn zoho_sdk_parses_simulator_responses() {
    let world = Harness::new().start().await;
    let steps = run_sdk(&world).await;
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
    let status = steps.of("status");
    assert_eq!(steps.response("status"), (200, "MassUpdateResponseWrapper"));
    assert_eq!(status["job"], "SCHEDULED");
    assert_eq!(status["total"], status["sum"]);
    // An empty result is 204 or 404 without a body, which the SDK does not treat as an error.
    for (step, status) in [
        ("no_such_job", 404),
        ("coql_none", 204),
        ("search_company", 204),
        ("search_mail", 204),
        ("search_none", 204),
    ] {
        assert_eq!(steps.response(step), (status, ""), "{step}");
    }
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
            "Bonn",
            "new@example.com",
            "two\nlines"
        ])
    );
}

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
    assert!(
        header
            .as_str()
            .is_some_and(|header| header.ends_with(":6.0.0"))
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
    let world = Harness::new()
        .simulator(|settings| settings.job_duration = Duration::ZERO)
        .config(|config| {
            let route =
                "  records: { verify: { scheme: none }, update_by: records, map: '.updates[]' }\n";
            config + route
        })
        .start()
        .await;
    run_sdk(&world).await;
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
