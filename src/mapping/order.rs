//! A route's `order_by`: a jq expression that says which delivery of a record is newer.

use std::collections::BTreeSet;

use serde_json::Value;

use super::OutputError;
use crate::update::{
    InvalidOrder, MAX_ORDERED_RECORDS, Match, OrderValue, Records, Selector, UpdateRequest,
};

/// What an `order_by` yields instead of a time or a number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("yields {found} instead of one time or number; {advice}")]
pub struct NotOrder {
    /// The kind of value, or the number of outputs. It contains no value of the delivery.
    pub found: String,
    /// How to correct the expression.
    pub advice: &'static str,
}

/// The value that an `order_by` yields.
///
/// # Errors
/// [`NotOrder`] if `outputs` is anything but one time or number.
pub fn to_order(outputs: &[Value]) -> Result<OrderValue, NotOrder> {
    const MISSING: &str =
        "every delivery needs one: name a field that is always set, or ignore others with `when`";
    let not_order = |found: String, advice| Err(NotOrder { found, advice });
    let value = match outputs {
        [value] => value,
        [] => return not_order("nothing".to_owned(), MISSING),
        several => {
            let advice = "take the latest, as in `[.events[].at] | max`";
            return not_order(format!("{} values", several.len()), advice);
        }
    };
    OrderValue::try_from(value).or_else(|error| {
        let advice = match error {
            InvalidOrder::Kind("null") => MISSING,
            InvalidOrder::Kind(_) => "name a field with a time or a number, such as `.updated_at`",
            InvalidOrder::Text => {
                "write a time as `2026-11-27T16:42:53Z` (RFC 3339) or `2026-11-27`; jq's `strptime(…) | todate` makes one"
            }
            InvalidOrder::TooLarge => "use seconds, milliseconds or a version",
        };
        not_order(error.to_string(), advice)
    })
}

/// The update requests whose records have no order: those with a custom view, and those with too many records, as far as is known.
///
/// # Errors
/// One for each of them.
pub fn check_ordered(updates: &[UpdateRequest]) -> Result<(), Vec<OutputError>> {
    let problem = |update: &UpdateRequest| {
        match &update.selector {
        Selector::Records(Records::Ids(ids)) if ids.len() > MAX_ORDERED_RECORDS => Some((
            "/ids",
            format!(
                "{} ids; the `order_by` of the route keeps the order of at most {MAX_ORDERED_RECORDS} records of an update request: split it",
                ids.len()
            ),
        )),
        Selector::Match(query) if query.creates() && distinct(query) > MAX_ORDERED_RECORDS => Some((
            "/match/values",
            format!(
                "{} values, each of which has a record or gets one; the `order_by` of the route keeps the order of at most {MAX_ORDERED_RECORDS} records of an update request: split it",
                distinct(query)
            ),
        )),
        Selector::Records(Records::Ids(_)) | Selector::Match(_) => None,
        Selector::Records(Records::View { .. }) | Selector::Named(_) => Some((
            "",
            "a custom view, whose records masshook does not know; the `order_by` of the route needs `ids` or `match`"
                .to_owned(),
        )),
    }
    };
    let errors = updates.iter().enumerate().filter_map(|(index, update)| {
        let (pointer, message) = problem(update)?;
        Some(OutputError {
            output: index + 1,
            pointer: pointer.to_owned(),
            message,
        })
    });
    let errors: Vec<OutputError> = errors.collect();
    match errors.is_empty() {
        true => Ok(()),
        false => Err(errors),
    }
}

/// The number of values that certainly have different records.
fn distinct(query: &Match) -> usize {
    let values = query.values.iter();
    let values: BTreeSet<String> = values.map(|value| value.as_str().to_lowercase()).collect();
    values.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn order_by_yields_one_time_or_number() {
        assert!(to_order(&[json!(7)]).is_ok());
        assert!(to_order(&[json!("2026-11-27")]).is_ok());
        for (outputs, found) in [
            (vec![], "nothing"),
            (vec![json!(null)], "null"),
            (vec![json!(false)], "a boolean"),
            (vec![json!({"at": 1})], "an object"),
            (vec![json!("secret")], "a string that is neither"),
            (vec![json!(1), json!(2)], "2 values"),
        ] {
            let error = to_order(&outputs).expect_err("no order").to_string();
            assert!(error.starts_with(&format!("yields {found}")), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn views_and_many_ids_have_no_order() {
        let request = |selector: Value| {
            let mut request = json!({"module": "Leads", "fields": {"City": "Bonn"}});
            let selector = selector.as_object().cloned().expect("an object");
            request.as_object_mut().expect("an object").extend(selector);
            UpdateRequest::parse(&request).expect("a request")
        };
        let emails = |count: u32| -> Vec<String> {
            (0..count).map(|n| format!("{n}@example.com")).collect()
        };
        let ids: Vec<String> = (1..=501).map(|id: u32| id.to_string()).collect();
        let updates = [
            request(json!({"ids": ids[..500]})),
            request(json!({"ids": ids})),
            request(json!({"cvid": "7"})),
            request(json!({"view": "Stale leads"})),
            request(json!({"match": {"field": "Email", "values": ["a@example.com"]}})),
            request(json!({"match": {"field": "Email", "values": emails(501)}})),
            request(
                json!({"match": {"field": "Email", "values": emails(500), "on_none": "create"}}),
            ),
            request(
                json!({"match": {"field": "Email", "values": emails(501), "on_none": "create"}}),
            ),
        ];
        let errors = check_ordered(&updates).expect_err("problems");
        let outputs: Vec<usize> = errors.iter().map(|error| error.output).collect();
        assert_eq!(outputs, [2, 3, 4, 8]);
    }
}
