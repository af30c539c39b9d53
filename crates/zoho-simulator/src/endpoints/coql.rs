//! `POST coql`: checks a query against the module and runs it.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::authorization::check_scopes;
use crate::coql::{CoqlCondition, CoqlOperator, CoqlQuery};
use crate::endpoint::known;
use crate::faults::Faults;
use crate::org::field::FieldType;
use crate::org::module::Module;
use crate::org::schema::CONVERTED;
use crate::request_body;
use crate::response::{ApiResponse, EndpointResult, reject};
use crate::scope::RequiredScope;
use crate::state::State;

/// Limits of one query.
const MAX_COLUMNS: usize = 500;
const MAX_CONDITIONS: usize = 25;
const MAX_ROWS: usize = 2000;
/// The largest offset. Later rows need a condition on the id.
const MAX_OFFSET: usize = 100_000;

/// Handles a query.
pub(super) fn query(state: &State, body: &[u8], scopes: &[String]) -> EndpointResult<ApiResponse> {
    let query = CoqlQuery::parse(&request_body::query_text(body)?)?;
    let module = state.org.require_module(&query.module)?;
    check_scopes(state, &[RequiredScope::read_records(&query.module)], scopes)?;
    check(&query, module, &state.faults)?;
    let view = match &query.view {
        None => None,
        Some(id) => Some(module.view(id)?),
    };
    let mut indexes: Vec<u64> = (0..module.records)
        .filter(|index| view.is_none_or(|view| view.matches(|field| module.value(*index, field))))
        .filter(|index| matches(&query.condition, module, *index))
        .collect();
    if let Some((field, descending)) = &query.order {
        indexes.sort_by(|one, other| {
            let order = compare(&value(module, *one, field), &value(module, *other, field));
            if *descending { order.reverse() } else { order }
        });
    }
    Ok(respond(&query, module, &indexes))
}

/// Checks the columns, operators and limits of a query.
fn check(query: &CoqlQuery, module: &Module, faults: &Faults) -> EndpointResult<()> {
    let max_values = faults.coql_values;
    let mut seen = BTreeSet::new();
    for column in &query.columns {
        if !seen.insert(column) {
            let details = json!({"column_name": column});
            return reject(ApiResponse::error(
                400,
                "DUPLICATE_DATA",
                details,
                "duplicate columns in the query",
            ));
        }
    }
    let simulated_type = |column: &str| match column {
        "id" => Some(FieldType::BigInt),
        CONVERTED if !faults.coql_converted => None,
        _ => {
            let field = module.schema.visible_field(column);
            field.map(|field| field.field_type)
        }
    };
    let field_type = |column: &str| match simulated_type(column) {
        Some(field_type) => Ok(field_type),
        None if is_unsimulated(column, module) => {
            reject(ApiResponse::not_simulated(json!({"column_name": column})))
        }
        None => invalid_query(
            json!({"column_name": column}),
            "column given seems to be invalid",
        ),
    };
    let ordered = query.order.as_ref().map(|(field, _)| field);
    for column in query.columns.iter().chain(ordered) {
        field_type(column)?;
    }
    let comparisons = query.condition.comparisons();
    for (column, operator) in &comparisons {
        let field_type = field_type(column)?;
        if !operator.supports(field_type) {
            return invalid_query(
                json!({"column_name": column, "operator": operator.name(), "reason": "invalid operator found"}),
                "invalid query formed",
            );
        }
        if let CoqlOperator::In(values, _) = operator
            && values.len() > max_values
        {
            return limit_exceeded("in", max_values);
        }
    }
    for (what, count, max) in [
        ("columns", query.columns.len(), MAX_COLUMNS),
        ("criteria", comparisons.len(), MAX_CONDITIONS),
        ("limit", query.limit, MAX_ROWS),
        ("offset", query.offset, MAX_OFFSET),
    ] {
        if count > max {
            return limit_exceeded(what, max);
        }
    }
    if query.limit == 0 {
        return reject(ApiResponse::error(
            400,
            "INVALID_DATA",
            json!({}),
            "limit should be greater than 0",
        ));
    }
    Ok(())
}

/// Whether Zoho has this column and the simulator does not: a standard field, or a field of a record that a lookup names.
fn is_unsimulated(column: &str, module: &Module) -> bool {
    match column.split_once('.') {
        None => known::is_field(column),
        Some((lookup, _)) => {
            known::is_field(lookup)
                || module.schema.visible_field(lookup).is_some_and(|field| {
                    matches!(field.field_type, FieldType::Lookup | FieldType::Owner)
                })
        }
    }
}

fn respond(query: &CoqlQuery, module: &Module, indexes: &[u64]) -> ApiResponse {
    if query.count {
        let info = json!({"count": 1, "more_records": false});
        return ApiResponse::json(
            200,
            json!({"data": [{"COUNT(id)": indexes.len()}], "info": info}),
        );
    }
    let rest = indexes.get(query.offset..).unwrap_or_default();
    let page = &rest[..rest.len().min(query.limit)];
    if page.is_empty() {
        return ApiResponse::empty(204);
    }
    let row = |index: &u64| {
        let mut row: Map<String, Value> = query
            .columns
            .iter()
            .map(|column| (column.clone(), module.value(*index, column)))
            .collect();
        // Zoho always adds the id.
        row.insert("id".to_owned(), json!(module.record_id(*index)));
        Value::Object(row)
    };
    let rows: Vec<Value> = page.iter().map(row).collect();
    let info = json!({"count": rows.len(), "more_records": rest.len() > rows.len()});
    ApiResponse::json(200, json!({"data": rows, "info": info}))
}

fn value(module: &Module, index: u64, field: &str) -> Value {
    match field {
        "id" => json!(module.schema.first_id + index),
        _ => module.value(index, field),
    }
}

fn matches(condition: &CoqlCondition, module: &Module, index: u64) -> bool {
    match condition {
        CoqlCondition::All(conditions) => conditions.iter().all(|one| matches(one, module, index)),
        CoqlCondition::Any(conditions) => conditions.iter().any(|one| matches(one, module, index)),
        CoqlCondition::Comparison(field, operator) => {
            let value = value(module, index, field);
            let compared_to = |operand: &str| compare(&value, &json!(operand));
            match operator {
                CoqlOperator::Null(null) => value.is_null() == *null,
                CoqlOperator::In(values, negated) => {
                    let is_contained = values.contains(&query_text(&value))
                        || values.iter().any(|operand| compared_to(operand).is_eq());
                    is_contained != *negated
                }
                CoqlOperator::Less(operand) => compared_to(operand).is_lt(),
                CoqlOperator::LessOrEqual(operand) => compared_to(operand).is_le(),
                CoqlOperator::Greater(operand) => compared_to(operand).is_gt(),
                CoqlOperator::GreaterOrEqual(operand) => compared_to(operand).is_ge(),
                CoqlOperator::Like(pattern) => like(&query_text(&value), pattern),
            }
        }
    }
}

/// A value as queries write it, in lower case, because text comparisons ignore case.
fn query_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_lowercase(),
        Value::Array(options) => {
            let options: Vec<String> = options.iter().map(query_text).collect();
            options.join(";")
        }
        Value::Object(lookup) => lookup.get("id").map(query_text).unwrap_or_default(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn compare(one: &Value, other: &Value) -> Ordering {
    let (one, other) = (query_text(one), query_text(other));
    // The same instant may be written with several offsets. The texts are in lower case.
    let instant = |text: &str| text.to_uppercase().parse::<Timestamp>().ok();
    if let (Some(one), Some(other)) = (instant(&one), instant(&other)) {
        return one.cmp(&other);
    }
    // An id has more digits than a float can hold, so integers are compared first.
    match (one.parse::<i128>(), other.parse::<i128>()) {
        (Ok(one), Ok(other)) => one.cmp(&other),
        _ => match (one.parse::<f64>(), other.parse::<f64>()) {
            (Ok(one), Ok(other)) => one.total_cmp(&other),
            _ => one.cmp(&other),
        },
    }
}

/// Matches a pattern with `%` at either or both ends.
fn like(text: &str, pattern: &str) -> bool {
    let inner = pattern.trim_matches('%');
    match (pattern.starts_with('%'), pattern.ends_with('%')) {
        (true, true) => text.contains(inner),
        (true, false) => text.ends_with(inner),
        (false, true) => text.starts_with(inner),
        (false, false) => text == inner,
    }
}

fn invalid_query<T>(details: Value, message: &str) -> EndpointResult<T> {
    reject(ApiResponse::error(400, "INVALID_QUERY", details, message))
}

fn limit_exceeded<T>(what: &str, limit: usize) -> EndpointResult<T> {
    reject(ApiResponse::error(
        400,
        "LIMIT_EXCEEDED",
        json!({"by": what, "limit": limit}),
        "limit exceeded",
    ))
}
