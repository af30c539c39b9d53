//! The operations under `/hooks`. What a route answers depends on its sender.

use serde_json::{Map, Value, json};

use super::parameters::path_parameter;
use super::schemas::Schemas;
use super::{COMMON, add, add_unfinished_jobs, problem_responses};
use crate::api::operations::{ErrorCode, MAPPING};

/// The methods that a route can take, each with its operation.
const METHODS: [(&str, &str, &str); 6] = [
    ("post", "deliver", "Deliver a webhook"),
    ("put", "deliverByPut", "Deliver a webhook by PUT"),
    (
        "get",
        "deliverByGet",
        "Answer a handshake of a sender, or deliver a webhook by GET",
    ),
    ("patch", "deliverByPatch", "Deliver a webhook by PATCH"),
    ("delete", "deliverByDelete", "Deliver a webhook by DELETE"),
    (
        "options",
        "askForPermission",
        "Ask for permission to deliver CloudEvents (`WebHook-Request-Origin`)",
    ),
];

/// Errors of deliveries.
const ERRORS: &[ErrorCode] = &[
    (400, "path_invalid"),
    (401, "not_verified"),
    (403, "origin_refused"),
    (404, "no_such_route"),
    (404, "not_listening"),
    (404, "no_such_path"),
    (405, "method_not_allowed"),
    (409, "handshake_refused"),
    (413, "body_too_large"),
    (415, "event_format"),
    (422, "not_a_cloudevent"),
    (500, "secret_unavailable"),
    (503, "unavailable"),
];

/// Adds the operations.
pub(super) fn add_all(paths: &mut Map<String, Value>, schemas: &mut Schemas) {
    let route = path_parameter("route", "The name of a route of the config.");
    let token = path_parameter(
        "token",
        "Anything below the route, such as a token with which the sender authenticates. It may contain slashes.",
    );
    for (path, suffix, parameters) in [
        ("/hooks/{route}", "", vec![route.clone()]),
        ("/hooks/{route}/{token}", "WithToken", vec![route, token]),
    ] {
        for (method, id, summary) in METHODS {
            let mut operation = json!({
                "operationId": format!("{id}{suffix}"),
                "summary": summary,
                "description": "Only methods that `http_methods` of the route names are taken: POST and PUT unless it says otherwise.",
                "tags": ["hooks"],
                "security": [],
                "parameters": parameters,
                "responses": responses(schemas),
            });
            if !["get", "options"].contains(&method) {
                operation["requestBody"] = body();
            }
            add(paths, path, method, operation);
        }
    }
}

fn body() -> Value {
    json!({
        "description": "What the sender sends. Other content types are refused with 422 `body_not_readable`.",
        "content": {
            "application/json": { "schema": {} },
            "application/x-www-form-urlencoded": { "schema": { "type": "object" } },
            "multipart/form-data": { "schema": { "type": "object" } },
            "application/xml": { "schema": {} },
            "text/plain": { "schema": { "type": "string" } },
        },
    })
}

fn responses(schemas: &mut Schemas) -> Value {
    let mut responses = problem_responses(ERRORS.iter().chain(MAPPING).chain(COMMON), schemas);
    add_unfinished_jobs(&mut responses, schemas);
    let jobs = schemas.of_accepted_jobs();
    let done = json!({
        "description": "The finished jobs (inline mode), no jobs if the route ignores the delivery, or what the sender expects as the answer to a delivery or a handshake",
        "content": {
            "application/json": { "schema": { "anyOf": [jobs, {}] } },
            "*/*": { "schema": {} },
        },
    });
    let accepted = json!({
        "description": "The jobs are stored",
        "content": { "application/json": { "schema": jobs } },
    });
    responses.insert("200".to_owned(), done);
    responses.insert("202".to_owned(), accepted);
    json!(responses)
}
