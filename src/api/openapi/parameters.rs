//! The parameters of operations.

use serde_json::{Map, Value, json};

use crate::api::operations::Query;
use crate::app::operations::{MAX_LIMIT, MAX_VALUE, MAX_WAIT, PAGE_PARAMETERS};
use crate::store::StatusFilter;
use crate::store::delivery_log::OutcomeFilter;
use crate::trigger::Trigger;

/// The query parameters of an operation.
pub(super) fn query_parameters(query: Query) -> Vec<Value> {
    match query {
        Query::None => Vec::new(),
        Query::DryRun => {
            let schema = json!({ "type": "string", "enum": ["true", "false", ""] });
            vec![query_parameter(
                "dry_run",
                "Whether to answer with the plan, and store nothing.",
                schema,
            )]
        }
        Query::List(filters) => {
            let filters = filters.iter().copied();
            let names = filters.clone().chain(PAGE_PARAMETERS);
            let is_of_jobs = filters.clone().any(|name| name == "status");
            names
                .map(|name| {
                    let (description, schema) = described(name, is_of_jobs);
                    query_parameter(name, description, schema)
                })
                .collect()
        }
    }
}

/// The `filter` of an operation on all that match.
pub(super) fn bulk_filter(filters: &[&str]) -> Value {
    let is_of_jobs = filters.contains(&"status");
    let properties = filters.iter().map(|name| {
        let (description, mut schema) = described(name, is_of_jobs);
        if *name == "outcome" {
            schema = json!({ "enum": ["dead_letter", ""] });
        }
        let schema = json!({ "anyOf": [schema, { "type": "null" }], "description": description });
        ((*name).to_owned(), schema)
    });
    json!({
        "type": "object",
        "properties": Map::from_iter(properties),
        "additionalProperties": false,
    })
}

/// The parameter of a path.
pub(super) fn path_parameter(name: &str, description: &str) -> Value {
    json!({
        "name": name,
        "in": "path",
        "required": true,
        "description": description,
        "schema": { "type": "string", "minLength": 1 },
    })
}

/// A header of a request.
pub(super) fn header(name: &str, description: &str, schema: &Value) -> Value {
    json!({ "name": name, "in": "header", "description": description, "schema": schema })
}

fn query_parameter(name: &str, description: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "query", "description": description, "schema": schema })
}

/// The description and the schema of a parameter. An empty value counts as none.
fn described(name: &str, is_of_jobs: bool) -> (&'static str, Value) {
    let text = || json!({ "type": "string", "maxLength": MAX_VALUE });
    let among = |names: Vec<&str>| {
        let names: Vec<&str> = names.into_iter().chain([""]).collect();
        json!({ "type": "string", "enum": names })
    };
    let number = |least: usize, most: usize, default: usize| {
        let number = json!({ "type": "integer", "minimum": least, "maximum": most });
        let absent = json!({ "type": "string", "maxLength": 0 });
        json!({ "anyOf": [number, absent], "default": default })
    };
    let moment = || {
        json!({
            "type": "string",
            "anyOf": [
                { "format": "date-time" },
                { "pattern": "^[0-9]{1,9}[smhd]$" },
                { "maxLength": 0 },
            ],
        })
    };
    let cursor =
        || json!({ "type": "string", "pattern": "^([0-9]{1,19}(\\.[A-Za-z0-9_-]{0,100})?)?$" });
    match name {
        "status" => (
            "Jobs with this status.",
            among(StatusFilter::ALL.iter().map(|(_, name)| *name).collect()),
        ),
        "outcome" => (
            "Deliveries with this outcome.",
            among(OutcomeFilter::ALL.iter().map(|(_, name)| *name).collect()),
        ),
        "trigger" => (
            "Deliveries that came through this trigger.",
            among(Trigger::ALL.iter().map(|(_, name)| *name).collect()),
        ),
        "route" if is_of_jobs => ("Jobs of this route; `/jobs` for jobs without one.", text()),
        "route" => ("Deliveries for this route.", text()),
        "connection" => ("Jobs of this connection.", text()),
        "reference" => (
            "Jobs with this reference: the text itself, or another value as JSON.",
            text(),
        ),
        "code" => ("Entries that failed with this code.", text()),
        "since" => (
            "Entries of this time or later: RFC 3339, or an age such as `30m`, `24h` or `7d`.",
            moment(),
        ),
        "until" => (
            "Entries before this time, in the form of `since`.",
            moment(),
        ),
        "q" => (
            "Entries of which an id, a code, a reason or another text contains this text.",
            text(),
        ),
        "cursor" => (
            "`next` of the page before. Not together with `after`.",
            cursor(),
        ),
        "after" => (
            "Entries newer than this `latest`. Not together with `cursor`.",
            cursor(),
        ),
        "limit" => ("The largest number of entries.", number(1, MAX_LIMIT, 50)),
        "wait" => (
            "Seconds to wait for entries that are newer than `after`.",
            number(
                0,
                usize::try_from(MAX_WAIT.as_secs()).unwrap_or(usize::MAX),
                0,
            ),
        ),
        _ => ("", text()),
    }
}
