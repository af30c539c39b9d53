//! `masshook preview --explain`: prints why each route accepts an event or not.

use serde_json::{Value, json};

use super::styled::{StyledText, Tone};
use super::table::fitted;
use super::terminal::{ExitStatus, print_json, print_line, print_styled};
use crate::app::{App, Condition, ConditionResult, Explanation, ExpressionResult, RequestContent};
use crate::inbound::InboundRequest;

/// Columns before the details of a condition.
const INDENT: usize = 19;

/// Explains events for every route, or for one. Negative if an event is accepted by no route.
pub(super) async fn run(
    app: &App,
    events: &[InboundRequest],
    content: RequestContent,
    only: Option<&str>,
    json: bool,
) -> ExitStatus {
    let mut explained = Vec::with_capacity(events.len());
    for event in events {
        let mut explanations = app.explain(event, content).await;
        explanations.retain(|explanation| only.is_none_or(|only| only == explanation.route));
        explained.push((event, explanations));
    }
    if json {
        let events = explained.iter().map(|(event, explanations)| {
            let routes: Vec<Value> = explanations.iter().map(route_json).collect();
            json!({"trigger": event.origin.trigger, "id": event.origin.id(), "routes": routes})
        });
        print_json(&json!({"explained": events.collect::<Vec<_>>()}));
    } else {
        let several = explained.len() > 1;
        for (number, (event, explanations)) in explained.iter().enumerate() {
            if several {
                let id = event.origin.id().unwrap_or("without an id");
                print_line(&format!(
                    "event {} of {}: {id}",
                    number + 1,
                    explained.len()
                ));
            }
            let widths = explanations.iter().map(|one| one.route.chars().count());
            let width = widths.max().unwrap_or_default();
            for explanation in explanations {
                print_styled(&route_text(explanation, width));
            }
        }
    }
    let is_accepted = |explanations: &[Explanation]| {
        let mut explanations = explanations.iter();
        explanations.any(|explanation| {
            let first = explanation.first_false();
            first.is_none_or(|result| result.condition == Condition::Delivery)
        })
    };
    match explained
        .iter()
        .all(|(_, explanations)| is_accepted(explanations))
    {
        true => ExitStatus::Success,
        false => ExitStatus::Negative,
    }
}

/// Prints the explanation of an event that is for no route by its nature.
pub(super) fn print_note(note: &str, json: bool) {
    match json {
        true => print_json(&json!({"explained": [], "note": note})),
        false => print_line(note),
    }
}

fn route_text(explanation: &Explanation, width: usize) -> StyledText {
    let first = explanation.first_false();
    let mut text = StyledText::default();
    text.push(Tone::Heading, &*explanation.route);
    let gap = width.saturating_sub(explanation.route.chars().count()) + 2;
    text.push_plain(" ".repeat(gap));
    // Most routes have nothing to do with an event. One line is enough for them.
    if let Some(result) = first
        && matches!(
            result.condition,
            Condition::Trigger | Condition::Path | Condition::Name
        )
    {
        let condition = result.condition.as_str();
        let verdict = format!("ignored ({condition}): {}", result.found);
        text.push_plain(fitted(&verdict, width + 2));
        return text;
    }
    match first {
        None => text.push(Tone::Good, "accepts it"),
        Some(result) if result.condition == Condition::Delivery => {
            text.push_plain("answers it without mapping it");
        }
        Some(result) => text.push_plain(format!("ignored ({})", result.condition.as_str())),
    }
    for result in &explanation.conditions {
        let (tone, word) = match result.met {
            Some(true) => (Tone::Good, "ok"),
            Some(false) => (Tone::Bad, "FALSE"),
            None => (Tone::Doubtful, "note"),
        };
        text.push_plain("\n  ");
        text.push(tone, word);
        let condition = result.condition.as_str();
        let gap = 6 - word.len();
        let found = fitted(&result.found, INDENT);
        text.push_plain(format!("{:gap$}{condition:<9}  {found}", ""));
        let details = result.details.iter().flat_map(|details| details.lines());
        for line in details {
            text.push_plain(format!("\n{:INDENT$}{line}", ""));
        }
    }
    text
}

fn route_json(explanation: &Explanation) -> Value {
    let first = explanation.first_false();
    let conditions: Vec<Value> = explanation.conditions.iter().map(condition_json).collect();
    json!({
        "route": explanation.route,
        "takes": first.is_none(),
        "first_false": first.map(|result| result.condition.as_str()),
        "conditions": conditions,
    })
}

fn condition_json(result: &ConditionResult) -> Value {
    let mut json = json!({
        "condition": result.condition.as_str(),
        "met": result.met,
        "found": result.found,
    });
    if let Some(details) = &result.details {
        json["at_length"] = json!(details);
    }
    if !result.expressions.is_empty() {
        json["expressions"] = result.expressions.iter().map(expression_json).collect();
    }
    json
}

fn expression_json(expression: &ExpressionResult) -> Value {
    let values = expression.values.iter();
    let values = values.map(|value| json!({"path": value.path, "value": value.value}));
    json!({
        "text": expression.text,
        "holds": expression.holds,
        "values": values.collect::<Vec<_>>(),
        "body": expression.body_shape,
    })
}
