//! `POST coql`: the subset of Zoho's query language that a look-up of ids needs, with the whole of its conditions.
//! [`parse`] reads a query; here it is checked against the module and answered.

mod parse;

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use self::parse::{Condition, Operator, Query};
use crate::answer::Answer;
use crate::body::{Checked, refuse};
use crate::endpoint::Need;
use crate::fields::Kind;
use crate::records;
use crate::state::State;
use crate::views;
use crate::world::Module;

/// Columns of one query.
const MOST_COLUMNS: usize = 500;
/// Conditions of one query.
const MOST_CONDITIONS: usize = 25;
/// Rows of one answer.
const MOST_ROWS: usize = 2000;
/// Rows that can be skipped; beyond them only a condition on the id leads on.
const MOST_SKIPPED: usize = 100_000;

/// Answers a query.
pub(crate) fn serve(state: &State, body: &[u8], scopes: &[String]) -> Checked<Answer> {
    let query = Query::parse(&text(body)?)?;
    let module = records::module(&state.world, &query.module)?;
    if let Some(refusal) = state.refuse_scope(vec![Need::to_read(&query.module)], scopes) {
        return refuse(refusal);
    }
    check(&query, module, state.faults.coql_values)?;
    let view = match &query.view {
        None => None,
        Some(id) => Some(views::find(module, id)?),
    };
    let mut found: Vec<u64> = (0..module.records)
        .filter(|place| view.is_none_or(|view| view.holds(|field| module.value(*place, field))))
        .filter(|place| holds(&query.condition, module, *place))
        .collect();
    if let Some((field, descending)) = &query.order {
        found.sort_by(|one, other| {
            let order = compare(&value(module, *one, field), &value(module, *other, field));
            if *descending { order.reverse() } else { order }
        });
    }
    Ok(answer(&query, module, &found))
}

/// What a query costs: one credit for up to 200 rows, two for up to 1,000, three for more.
pub(crate) fn price(body: &[u8]) -> u64 {
    let query = text(body).and_then(|text| Query::parse(&text));
    match query.map_or(0, |query| query.limit) {
        0..=200 => 1,
        201..=1000 => 2,
        _ => 3,
    }
}

fn text(body: &[u8]) -> Checked<String> {
    match records::object(body)?.get("select_query") {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) | None => refuse(Answer::error(
            400,
            "MANDATORY_NOT_FOUND",
            json!({"api_name": "select_query"}),
            "required field not found",
        )),
    }
}

fn check(query: &Query, module: &Module, most_values: usize) -> Checked<()> {
    let mut seen = BTreeSet::new();
    for column in &query.columns {
        if !seen.insert(column) {
            let details = json!({"column_name": column});
            return refuse(Answer::error(
                400,
                "DUPLICATE_DATA",
                details,
                "duplicate columns in the query",
            ));
        }
    }
    let kind = |column: &str| match column {
        "id" => Some(Kind::BigInt),
        _ => module.schema.field(column).map(|field| field.kind),
    };
    let ordered = query.order.as_ref().map(|(field, _)| field);
    for column in query.columns.iter().chain(ordered) {
        if kind(column).is_none() {
            return invalid_query(
                json!({"column_name": column}),
                "column given seems to be invalid",
            );
        }
    }
    let comparisons = query.condition.comparisons();
    for (column, operator) in &comparisons {
        let Some(kind) = kind(column) else {
            return invalid_query(
                json!({"column_name": column}),
                "column given seems to be invalid",
            );
        };
        if !operator.suits(kind) {
            return invalid_query(
                json!({"column_name": column, "operator": operator.name(), "reason": "invalid operator found"}),
                "invalid query formed",
            );
        }
        if let Operator::In(values, _) = operator
            && values.len() > most_values
        {
            return too_many("in", most_values);
        }
    }
    for (what, count, most) in [
        ("columns", query.columns.len(), MOST_COLUMNS),
        ("criteria", comparisons.len(), MOST_CONDITIONS),
        ("limit", query.limit, MOST_ROWS),
        ("offset", query.offset, MOST_SKIPPED),
    ] {
        if count > most {
            return too_many(what, most);
        }
    }
    if query.limit == 0 {
        return refuse(Answer::error(
            400,
            "INVALID_DATA",
            json!({}),
            "limit should be greater than 0",
        ));
    }
    Ok(())
}

fn answer(query: &Query, module: &Module, found: &[u64]) -> Answer {
    if query.count {
        let info = json!({"count": 1, "more_records": false});
        return Answer::json(
            200,
            json!({"data": [{"COUNT(id)": found.len()}], "info": info}),
        );
    }
    let rest = found.get(query.offset..).unwrap_or_default();
    let here = &rest[..rest.len().min(query.limit)];
    if here.is_empty() {
        return Answer::empty(204);
    }
    let row = |place: &u64| {
        let mut row: Map<String, Value> = query
            .columns
            .iter()
            .map(|column| (column.clone(), module.value(*place, column)))
            .collect();
        // Always there, asked for or not.
        row.insert("id".to_owned(), json!(module.id(*place)));
        Value::Object(row)
    };
    let rows: Vec<Value> = here.iter().map(row).collect();
    let info = json!({"count": rows.len(), "more_records": rest.len() > rows.len()});
    Answer::json(200, json!({"data": rows, "info": info}))
}

fn value(module: &Module, place: u64, field: &str) -> Value {
    match field {
        "id" => json!(module.schema.first_id + place),
        _ => module.value(place, field),
    }
}

fn holds(condition: &Condition, module: &Module, place: u64) -> bool {
    match condition {
        Condition::All(conditions) => conditions.iter().all(|one| holds(one, module, place)),
        Condition::Any(conditions) => conditions.iter().any(|one| holds(one, module, place)),
        Condition::One(field, operator) => {
            let value = value(module, place, field);
            let against = |wanted: &str| compare(&value, &json!(wanted));
            match operator {
                Operator::Null(null) => value.is_null() == *null,
                Operator::In(wanted, negated) => wanted.contains(&plain(&value)) != *negated,
                Operator::Less(wanted) => against(wanted).is_lt(),
                Operator::AtMost(wanted) => against(wanted).is_le(),
                Operator::More(wanted) => against(wanted).is_gt(),
                Operator::AtLeast(wanted) => against(wanted).is_ge(),
                Operator::Like(pattern) => like(&plain(&value), pattern),
            }
        }
    }
}

/// A value as queries write it, in lower case: text compares without regard to case.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_lowercase(),
        Value::Array(options) => {
            let options: Vec<String> = options.iter().map(plain).collect();
            options.join(";")
        }
        Value::Object(looked_up) => looked_up.get("id").map(plain).unwrap_or_default(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn compare(one: &Value, other: &Value) -> Ordering {
    let (one, other) = (plain(one), plain(other));
    // Ids are longer than a float's digits, so whole numbers come first.
    match (one.parse::<i128>(), other.parse::<i128>()) {
        (Ok(one), Ok(other)) => one.cmp(&other),
        _ => match (one.parse::<f64>(), other.parse::<f64>()) {
            (Ok(one), Ok(other)) => one.total_cmp(&other),
            _ => one.cmp(&other),
        },
    }
}

/// `%` stands for any text, at either end or both.
fn like(text: &str, pattern: &str) -> bool {
    let inner = pattern.trim_matches('%');
    match (pattern.starts_with('%'), pattern.ends_with('%')) {
        (true, true) => text.contains(inner),
        (true, false) => text.ends_with(inner),
        (false, true) => text.starts_with(inner),
        (false, false) => text == inner,
    }
}

fn invalid_query<T>(details: Value, message: &str) -> Checked<T> {
    refuse(Answer::error(400, "INVALID_QUERY", details, message))
}

fn too_many<T>(what: &str, limit: usize) -> Checked<T> {
    refuse(Answer::error(
        400,
        "LIMIT_EXCEEDED",
        json!({"by": what, "limit": limit}),
        "limit exceeded",
    ))
}
