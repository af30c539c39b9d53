//! The OpenAPI document of the HTTP API and of the callbacks, made of the table of operations and of the types. Pure.

mod callbacks;
mod hooks;
mod parameters;
mod schemas;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::operations::{
    Answer, Content, ErrorCode, OPERATIONS, Operation, Query, RequestBody, SchemaOf,
};
use crate::inbound::rejection::ProblemDetails;
use parameters::{bulk_filter, header, path_parameter, query_parameters};
use schemas::Schemas;

/// Errors of every operation.
const COMMON: &[ErrorCode] = &[
    (400, "body_not_received"),
    (408, "request_timeout"),
    (414, "url_too_long"),
    (431, "too_many_headers"),
    (500, "defect"),
    (503, "overloaded"),
    (505, "http_version_not_supported"),
];

/// Errors of every operation with the key of the API.
const WITH_KEY: &[ErrorCode] = &[
    (400, "path_invalid"),
    (401, "unauthorized"),
    (403, "api_closed"),
    (500, "secret_unavailable"),
    (503, "unavailable"),
];

/// Errors of `/health`.
const HEALTH: &[ErrorCode] = &[(503, "unhealthy")];

/// The OpenAPI document of an API whose paths begin with `base`.
pub fn document(base: &str) -> Value {
    let mut schemas = Schemas::default();
    let mut paths = Map::new();
    hooks::add_all(&mut paths, &mut schemas);
    for operation in &OPERATIONS {
        let described = operation_json(operation, &mut schemas);
        add(
            &mut paths,
            operation.path,
            operation.verb.as_str(),
            described,
        );
    }
    add(&mut paths, "/health", "get", health_json(&mut schemas));
    add(
        &mut paths,
        "/openapi.json",
        "get",
        document_json(&mut schemas),
    );
    let webhooks = callbacks::webhooks(&mut schemas);
    let server = if base.is_empty() { "/" } else { base };
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "masshook",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Turn any webhook into a Zoho CRM mass update, and report the job's outcome to a callback URL",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": server }],
        "tags": tags(),
        "paths": paths,
        "webhooks": webhooks,
        "components": {
            "schemas": schemas.into_components(),
            "securitySchemes": {
                "api_key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The key that `api.key` of the config names.",
                },
            },
        },
    })
}

fn tags() -> Value {
    json!([
        { "name": "hooks", "description": "Deliveries of webhooks. The scheme of the route verifies them." },
        { "name": "jobs", "description": "Update requests and jobs. The console has the operations on jobs under `/api`, behind its own guard." },
        { "name": "deliveries", "description": "Stored deliveries and dead letters. The console has these operations under `/api`, behind its own guard." },
        { "name": "service", "description": "The service itself." },
        { "name": "callbacks", "description": "What masshook sends to the callback URL of a job." },
    ])
}

/// Adds an operation to its path.
fn add(paths: &mut Map<String, Value>, path: &str, method: &str, operation: Value) {
    let methods = paths.entry(path).or_insert_with(|| json!({}));
    methods[method] = operation;
}

fn operation_json(operation: &Operation, schemas: &mut Schemas) -> Value {
    let mut parameters = query_parameters(operation.query);
    if operation.path.contains("{id}") {
        let what = match operation.path.starts_with("/jobs/") {
            true => {
                "The id of a job, or its unique beginning of at least six characters after `job_`."
            }
            false => {
                "The id of a delivery, or its unique beginning of at least six characters after `dlv_`."
            }
        };
        parameters.push(path_parameter("id", what));
    }
    if matches!(operation.query, Query::DryRun) {
        let key = json!({ "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$" });
        let what =
            "Requests with the same key share one job. Without it each request gets a new job.";
        parameters.push(header("Idempotency-Key", what, &key));
    }
    let mut json = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.subject.tag()],
        "security": [{ "api_key": [] }],
        "parameters": parameters,
        "responses": operation_responses(operation, schemas),
    });
    if let Some(schema) = request_schema(operation.body, schemas) {
        json["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": schema } },
        });
    }
    json
}

fn request_schema(body: RequestBody, schemas: &mut Schemas) -> Option<Value> {
    match body {
        RequestBody::None => None,
        RequestBody::Json(of) => Some(schemas.of_request(of)),
        RequestBody::Bulk(filters) => Some(json!({
            "type": "object",
            "properties": {
                "filter": bulk_filter(filters),
                "expected": {
                    "type": "integer",
                    "minimum": 0,
                    "maximum": u32::MAX,
                    "description": "The number of entries that match. If another number matches, nothing is done.",
                },
            },
            "required": ["filter", "expected"],
            "additionalProperties": false,
        })),
    }
}

fn operation_responses(operation: &Operation, schemas: &mut Schemas) -> Value {
    let errors = operation.errors.iter().copied();
    let errors = errors.chain([WITH_KEY, COMMON]).flatten();
    let mut responses = problem_responses(errors, schemas);
    for answer in operation.answers {
        let described = answer_json(answer, schemas);
        responses.insert(answer.status.to_string(), described);
    }
    if matches!(operation.query, Query::DryRun) {
        add_unfinished_jobs(&mut responses, schemas);
    }
    json!(responses)
}

/// In inline mode, 503 also reports jobs that are not finished yet.
fn add_unfinished_jobs(responses: &mut BTreeMap<String, Value>, schemas: &mut Schemas) {
    if let Some(unavailable) = responses.get_mut("503") {
        let jobs = schemas.of_accepted_jobs();
        unavailable["content"]["application/json"] = json!({ "schema": jobs });
    }
}

fn answer_json(answer: &Answer, schemas: &mut Schemas) -> Value {
    let content = match answer.content {
        Content::Json(of) => json_content(of, schemas),
        Content::PlanOrJobs => {
            let any_of = [schemas.of_accepted_jobs(), plan_schema()];
            json!({ "application/json": { "schema": { "anyOf": any_of } } })
        }
        Content::DeliveryBody => {
            let binary = schemas.of_binary_body();
            json!({
                "text/plain": { "schema": { "type": "string" } },
                "application/json": { "schema": binary },
            })
        }
    };
    json!({ "description": answer.description, "content": content })
}

fn json_content(of: SchemaOf, schemas: &mut Schemas) -> Value {
    json!({ "application/json": { "schema": schemas.of_response(of) } })
}

fn plan_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "plan": {
                "type": "object",
                "description": "What `masshook preview --json` prints as a plan.",
                "properties": {
                    "module": { "type": "string" },
                    "calls": { "type": "array", "items": { "type": "object" } },
                    "warnings": { "type": "array", "items": { "type": "object" } },
                },
                "required": ["module", "calls", "warnings"],
            },
        },
        "required": ["plan"],
    })
}

/// A response with problem details for each status, with the codes that it can have.
fn problem_responses<'a>(
    errors: impl Iterator<Item = &'a ErrorCode>,
    schemas: &mut Schemas,
) -> BTreeMap<String, Value> {
    let mut codes: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for (status, code) in errors {
        let of_status = codes.entry(*status).or_default();
        if !of_status.contains(code) {
            of_status.push(code);
        }
    }
    let schema = schemas.of_response(|generator| generator.subschema_for::<ProblemDetails>());
    let describe = |(status, codes): (u16, Vec<&str>)| {
        let codes: Vec<String> = codes.iter().map(|code| format!("`{code}`")).collect();
        let mut response = json!({
            "description": codes.join(", "),
            "content": { "application/problem+json": { "schema": schema } },
        });
        if let Some((name, description)) = problem_header(status) {
            let header = json!({ "description": description, "schema": { "type": "string" } });
            response["headers"] = json!({ name: header });
        }
        (status.to_string(), response)
    };
    codes.into_iter().map(describe).collect()
}

/// The header that problems with a status have.
fn problem_header(status: u16) -> Option<(&'static str, &'static str)> {
    match status {
        401 => Some((
            "WWW-Authenticate",
            "`Bearer`, if the key of the API is missing or wrong.",
        )),
        405 => Some(("Allow", "The methods that the path takes.")),
        503 => Some((
            "Retry-After",
            "Seconds after which to send the request again.",
        )),
        _ => None,
    }
}

fn service_json(
    (id, summary): (&str, &str),
    ok: &Value,
    errors: &[ErrorCode],
    schemas: &mut Schemas,
) -> Value {
    let mut responses = problem_responses(errors.iter().chain(COMMON), schemas);
    responses.insert("200".to_owned(), ok.clone());
    json!({
        "operationId": id,
        "summary": summary,
        "tags": ["service"],
        "security": [],
        "responses": responses,
    })
}

fn health_json(schemas: &mut Schemas) -> Value {
    let schema = json!({
        "type": "object",
        "properties": { "status": { "const": "ok" } },
        "required": ["status"],
        "additionalProperties": false,
    });
    let ok = json!({
        "description": "The process completes what it accepts",
        "content": { "application/json": { "schema": schema } },
    });
    let named = (
        "showHealth",
        "Show whether the process completes what it accepts",
    );
    service_json(named, &ok, HEALTH, schemas)
}

fn document_json(schemas: &mut Schemas) -> Value {
    let schema = json!({ "type": "object", "required": ["openapi", "info", "paths", "webhooks"] });
    let ok = json!({
        "description": "The document",
        "content": { "application/json": { "schema": schema } },
    });
    service_json(("showOpenapi", "Show this document"), &ok, &[], schemas)
}
