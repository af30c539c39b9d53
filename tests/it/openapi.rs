//! The OpenAPI document: it is valid, agrees with the router and the parsers, and describes every answer.

mod receivers;
mod schemathesis;

use std::process::Command;

use masshook::api::openapi;
use masshook::update::UpdateRequest;
use serde_json::{Value, json};

use crate::harness::{self, Harness, Request, interface_judges, repo_path};

/// The methods that a document can describe.
const METHODS: [&str; 7] = ["get", "put", "post", "delete", "options", "patch", "trace"];

fn document() -> Value {
    openapi::document("")
}

/// Writes the document into a folder; returns its path.
fn document_in(folder: &std::path::Path) -> std::path::PathBuf {
    let path = folder.join("masshook.json");
    std::fs::write(&path, document().to_string()).expect("written");
    path
}

/// The first errors of instances by a schema of the document, as an independent validator finds them.
fn schema_errors(name: &str, instances: &[Value]) -> Vec<Option<String>> {
    let mut schema = document();
    schema["$ref"] = json!(format!("#/components/schemas/{name}"));
    harness::schema_errors(&schema, instances)
}

#[test]
fn document_is_valid_openapi() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = document_in(folder.path());
    let output = Command::new(interface_judges())
        .args(["-m", "openapi_spec_validator", "--schema", "3.1.0"])
        .arg(path)
        .output()
        .expect("Python runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("OK"), "{text}");
}

#[test]
fn command_prints_the_document_of_the_server() {
    let output = Command::new(env!("CARGO_BIN_EXE_masshook"))
        .args(["schema", "--openapi"])
        .output()
        .expect("it runs");
    let printed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(printed, document());
}

#[tokio::test]
async fn served_document_needs_no_key_and_has_the_base() {
    let world = Harness::new()
        .config(|config| format!("base_path: /crm\n{config}"))
        .start()
        .await;
    for (path, server) in [("/openapi.json", "/"), ("/crm/openapi.json", "/crm")] {
        let answer = world.send(Request::get(path)).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.body["servers"][0]["url"], server, "{path}");
        assert_eq!(answer.body["paths"], document()["paths"], "{path}");
    }
}

/// Every operation of the document exists, and no other method of its paths does.
#[tokio::test]
async fn document_agrees_with_the_router() {
    let world = Harness::new().start().await;
    let document = document();
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.len() > 15, "{paths:?}");
    for (template, operations) in paths
        .iter()
        .filter(|(path, _)| !path.starts_with("/hooks/"))
    {
        let path = template.replace("{id}", "job_0000000000");
        let documented: Vec<&str> = METHODS
            .into_iter()
            .filter(|method| operations.get(method).is_some())
            .collect();
        for method in METHODS {
            let request = Request::new(&method.to_uppercase(), &path).authorized();
            let answer = world.send(request).await;
            let is_known = answer.body["code"] != "no_such_path";
            assert!(is_known, "{method} {path}: {answer:?}");
            let is_taken = answer.status != 405;
            assert_eq!(is_taken, documented.contains(&method), "{method} {path}");
            if !is_taken {
                let mut allowed = answer.header("allow").to_lowercase();
                allowed.retain(|character| character != ' ');
                let mut allowed: Vec<&str> = allowed.split(',').collect();
                allowed.retain(|method| *method != "head");
                allowed.sort_unstable();
                let mut documented = documented.clone();
                documented.sort_unstable();
                assert_eq!(allowed, documented, "{method} {path}");
            }
        }
    }
}

/// Problem details describe every error, and their codes are those of the table for users.
#[test]
fn documented_errors_are_problems_of_the_table() {
    let pages = ["README.md", "docs/http-api.md"].map(|page| {
        let text = std::fs::read_to_string(repo_path(page)).unwrap_or_default();
        text.lines().map(str::to_owned).collect::<Vec<String>>()
    });
    let rows = pages.concat();
    let document = document();
    let paths = document["paths"].as_object().expect("paths");
    let operations = paths
        .values()
        .flat_map(|path| path.as_object().expect("operations"));
    for (_, operation) in operations {
        let responses = operation["responses"].as_object().expect("responses");
        for (status, response) in responses
            .iter()
            .filter(|(status, _)| status.as_str() >= "400")
        {
            let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/ProblemDetails", "{response}");
            let codes = response["description"].as_str().expect("codes");
            for code in codes.split(", ") {
                let is_row = |row: &String| {
                    let mut cells = row.split(" | ");
                    let known = cells.next().is_some_and(|cell| cell.contains(code));
                    known
                        && cells
                            .next()
                            .is_some_and(|cell| cell.contains(status.as_str()))
                };
                assert!(rows.iter().any(is_row), "{status} {code} is in no table");
            }
        }
    }
}

/// The keys that the parser of update requests knows at the place of a foreign key.
fn parser_keys(request: &Value, pointer: &str) -> Vec<String> {
    let problems = UpdateRequest::parse(request).expect_err("a foreign key");
    let found = problems
        .iter()
        .find(|problem| problem.at.pointer() == pointer);
    let found = found.unwrap_or_else(|| panic!("{problems:?}"));
    let (_, keys) = found
        .message
        .split_once("known here: ")
        .expect("known keys");
    let mut keys: Vec<String> = keys.split(", ").map(str::to_owned).collect();
    keys.sort();
    keys
}

#[test]
fn update_request_schema_has_the_keys_of_the_parser() {
    let foreign = "qqqqqqqqqqqqqqqqqqqq";
    for (schema, request, pointer) in [
        ("UpdateRequest", json!({foreign: 1}), format!("/{foreign}")),
        (
            "Match",
            json!({"match": {foreign: 1}}),
            format!("/match/{foreign}"),
        ),
        (
            "TagChanges",
            json!({"tags": {foreign: 1}}),
            format!("/tags/{foreign}"),
        ),
        (
            "OwnerChange",
            json!({"owner": {foreign: 1}}),
            format!("/owner/{foreign}"),
        ),
        (
            "Territory",
            json!({"cvid": "1", "territory": {foreign: 1}}),
            format!("/territory/{foreign}"),
        ),
    ] {
        let document = document();
        let properties = &document["components"]["schemas"][schema]["properties"];
        let properties = properties.as_object().expect("properties");
        let mut names: Vec<String> = properties.keys().cloned().collect();
        names.sort();
        assert_eq!(names, parser_keys(&request, &pointer), "{schema}");
    }
}

#[test]
fn update_request_schema_agrees_with_the_parser() {
    let base = json!({"module": "Leads", "fields": {"Rating": "Active"}});
    let with = |more: Value| {
        let mut request = base.clone();
        let more = more.as_object().expect("an object").clone();
        request.as_object_mut().expect("an object").extend(more);
        request
    };
    let requests = [
        with(json!({"ids": ["1", 2, "554023000000497007"]})),
        with(json!({"ids": ["1"], "cvid": null, "over_write": true, "reference": {"a": [1]}})),
        with(json!({"cvid": 7, "territory": {"id": "5", "include_child": true}})),
        with(json!({"view": "All Leads", "territory": {"name": "West"}})),
        with(
            json!({"match": {"field": "Email", "values": ["a@example.com", 5], "on_many": "fail"}, "update_by": "auto"}),
        ),
        with(
            json!({"ids": ["1"], "tags": {"add": ["Webinar"], "remove": []}, "owner": {"email": "a@example.com"}}),
        ),
        with(json!({"ids": ["1"], "callback_url": "https://example.com/x"})),
        with(json!({})),
        with(json!({"ids": []})),
        with(json!({"ids": ["01"]})),
        with(json!({"ids": [-1]})),
        with(json!({"ids": ["1"], "cvid": "2"})),
        with(json!({"ids": ["1"], "colour": "red"})),
        with(json!({"match": {"field": "E mail", "values": ["a"]}})),
        with(json!({"match": {"field": "Email", "values": [""]}})),
        with(json!({"cvid": "1", "territory": {}})),
        with(json!({"cvid": "1", "territory": {"id": "1", "name": "x"}})),
        with(json!({"ids": ["1"], "tags": {"add": ["a,b"]}})),
        with(json!({"ids": ["1"], "owner": {"id": "1", "email": "a@example.com"}})),
        with(json!({"ids": ["1"], "update_by": "magic"})),
        with(json!({"ids": ["1"], "module": "Le ads"})),
    ];
    let judged = schema_errors("UpdateRequest", &requests);
    for (request, error) in requests.iter().zip(&judged) {
        let problems = UpdateRequest::parse(request).err();
        assert_eq!(
            problems.is_some(),
            error.is_some(),
            "{request}: {problems:?}, {error:?}"
        );
    }
    let valid = judged.iter().filter(|error| error.is_none()).count();
    assert_eq!(valid, 7, "{judged:?}");
}

/// What cannot be misread as another request is refused.
#[tokio::test]
async fn misspelled_dry_run_starts_no_job() {
    let world = Harness::new().start().await;
    let update = json!({"module": "Leads", "fields": {"Rating": "Active"}, "ids": ["1"]});
    for query in ["?dry_run=yes", "?dryrun=true", "?dry_run=true&dry_run=true"] {
        let answer = world.post_job(query, &update, &[]).await;
        answer.assert_problem(400, "invalid_parameter");
    }
    let answer = world
        .post_job(
            "?dry_run=true",
            &update,
            &[("idempotency-key", &"x".repeat(256))],
        )
        .await;
    answer.assert_problem(400, "idempotency_key_invalid");
    assert_eq!(world.count("mass_update_post").await, 0);
}
