//! `masshook preview --explain`: why an event is for a route, or is not.

use serde_json::{Value, json};

use super::terminal::{ExitStatus, print_line};
use crate::app::{App, Asked, Condition, Explanation, InboundRequest};

/// Explains events to every route, or to one; whether each of them is for some route is the verdict.
pub(super) async fn run(
    app: &App,
    events: &[InboundRequest],
    only: Option<&str>,
    json: bool,
) -> ExitStatus {
    let mut explained = Vec::with_capacity(events.len());
    for event in events {
        let mut explanations = app.explain(event).await;
        explanations.retain(|explanation| only.is_none_or(|only| only == explanation.route));
        explained.push((event, explanations));
    }
    if json {
        let events = explained.iter().map(|(event, explanations)| {
            let routes: Vec<Value> = explanations.iter().map(route_json).collect();
            json!({"trigger": event.origin.trigger, "id": event.origin.id(), "routes": routes})
        });
        print_line(&json!({"explained": events.collect::<Vec<_>>()}).to_string());
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
            let widest = explanations.iter().map(|one| one.route.chars().count());
            let widest = widest.max().unwrap_or_default();
            for explanation in explanations {
                print_line(&route_text(explanation, widest));
            }
        }
    }
    let taken = |explanations: &[Explanation]| {
        let mut explanations = explanations.iter();
        explanations.any(|explanation| explanation.first_false().is_none())
    };
    match explained
        .iter()
        .all(|(_, explanations)| taken(explanations))
    {
        true => ExitStatus::Success,
        false => ExitStatus::Negative,
    }
}

/// What is said of an event that is for no route by its nature.
pub(super) fn nothing(why: &str, json: bool) {
    match json {
        true => print_line(&json!({"explained": [], "note": why}).to_string()),
        false => print_line(why),
    }
}

fn route_text(explanation: &Explanation, widest: usize) -> String {
    let first = explanation.first_false();
    let name = format!("{:<widest$}", explanation.route);
    // Most routes have nothing to do with an event, and that is said in a line.
    if let Some(asked) = first
        && matches!(
            asked.condition,
            Condition::Trigger | Condition::Path | Condition::Name
        )
    {
        let condition = asked.condition.as_str();
        return format!("{name}  not for it, by its {condition}: {}", asked.found);
    }
    let verdict = first.map_or_else(
        || "takes it".to_owned(),
        |asked| format!("not for it, by its {}", asked.condition.as_str()),
    );
    let mut lines = vec![format!("{name}  {verdict}")];
    for asked in &explanation.asked {
        let word = match asked.met {
            Some(true) => "ok",
            Some(false) => "FALSE",
            None => "note",
        };
        let condition = asked.condition.as_str();
        lines.push(format!("  {word:<5} {condition:<9}  {}", asked.found));
        let more = asked.at_length.iter().flat_map(|more| more.lines());
        lines.extend(more.map(|line| format!("{:19}{line}", "")));
    }
    lines.join("\n")
}

fn route_json(explanation: &Explanation) -> Value {
    let first = explanation.first_false();
    let asked: Vec<Value> = explanation.asked.iter().map(asked_json).collect();
    json!({
        "route": explanation.route,
        "takes": first.is_none(),
        "first_false": first.map(|asked| asked.condition.as_str()),
        "conditions": asked,
    })
}

fn asked_json(asked: &Asked) -> Value {
    let mut shown = json!({
        "condition": asked.condition.as_str(),
        "met": asked.met,
        "found": asked.found,
    });
    if let Some(more) = &asked.at_length {
        shown["at_length"] = json!(more);
    }
    if let Some(judgement) = &asked.judgement {
        let term = judgement.terms.iter().map(|term| {
            let looked_at = term.looked_at.iter();
            let looked_at = looked_at.map(|(text, value)| json!({"text": text, "value": value}));
            json!({
                "text": term.text,
                "line": term.place.line,
                "column": term.place.column,
                "holds": term.holds,
                "looked_at": looked_at.collect::<Vec<_>>(),
                "input": term.shape,
            })
        });
        shown["terms"] = term.collect();
    }
    shown
}
