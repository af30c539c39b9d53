//! The preview of one route, as text and as JSON.

use serde_json::{Value, json};

use crate::app::{App, PreviewOutcome, Verification};
use crate::cli::table::fitted;
use crate::cli::text::truncated;
use crate::inbound::IgnoreReason;
use crate::plan::{PlanLimits, PlanPreview};
use crate::update::{OrderValue, UpdateRequest};

/// Maximum characters of the JSON of a call, or of a part of the request, in the text output.
const MAX_CALL_CHARS: usize = 1_500;

/// The columns of a label.
const LABEL: usize = 11;

/// The columns of a method in a plan.
const METHOD: usize = 18;

/// What a route would do with an event.
pub(super) struct RoutePreview {
    pub(super) verification: Verification,
    route: Option<String>,
    /// What Zoho's calls may carry.
    limits: PlanLimits,
    delivery_id: Option<String>,
    updates: Vec<UpdateRequest>,
    /// The value of the route's `order_by`.
    order: Option<OrderValue>,
    /// Why there are no update requests.
    ignored: Option<IgnoreReason>,
    /// What the route does instead of mapping the request.
    response: Option<String>,
    /// What was repaired in the body.
    body_note: Option<String>,
}

impl RoutePreview {
    pub(super) fn new(
        app: &App,
        route: String,
        verification: Verification,
        outcome: PreviewOutcome,
    ) -> Self {
        let preview = Self {
            verification,
            limits: app.plan_limits(Some(&route)),
            route: Some(route),
            delivery_id: None,
            updates: Vec::new(),
            order: None,
            ignored: None,
            response: None,
            body_note: None,
        };
        let response = outcome.unmapped();
        match outcome {
            PreviewOutcome::Delivery(mapped) => Self {
                delivery_id: Some(mapped.delivery_id),
                updates: mapped.updates,
                order: mapped.order,
                ignored: mapped.ignored,
                body_note: mapped.body_note,
                ..preview
            },
            PreviewOutcome::Handshake(_) | PreviewOutcome::Subscription => Self {
                response,
                ..preview
            },
        }
    }

    /// The preview of an update request that was sent directly.
    pub(super) fn of_update_request(app: &App, update: UpdateRequest) -> Self {
        let why = "an update request needs no verification".to_owned();
        Self {
            verification: Verification::NotRequired(why),
            route: None,
            limits: app.plan_limits(None),
            delivery_id: None,
            updates: vec![update],
            order: None,
            ignored: None,
            response: None,
            body_note: None,
        }
    }

    fn plans(&self) -> impl Iterator<Item = (&UpdateRequest, PlanPreview<'_>)> {
        self.updates
            .iter()
            .map(|update| (update, PlanPreview::of(update, &self.limits)))
    }

    pub(super) fn to_json(&self) -> Value {
        let updates: Vec<Value> = self
            .plans()
            .map(|(update, plan)| json!({"request": update.to_json(), "plan": plan.to_json()}))
            .collect();
        let mut preview = json!({
            "route": self.route,
            "delivery_id": self.delivery_id,
            "verification": self.verification.to_string(),
            "order": self.order.map(|order| order.to_string()),
            "updates": updates,
            "ignored": self.ignored.map(|why| why.to_string()),
            "handshake": self.response,
        });
        if let Some(note) = &self.body_note {
            preview["note"] = note.as_str().into();
        }
        preview
    }

    pub(super) fn to_text(&self) -> String {
        let mut lines = Vec::new();
        if let Some(route) = &self.route {
            lines.push(format!("route      {route}"));
            lines.push(labelled("signature", &self.verification));
        }
        if let Some(response) = &self.response {
            lines.push(labelled("handshake", response));
            return lines.join("\n");
        }
        let note = self.body_note.iter();
        lines.extend(note.map(|note| labelled("note", note)));
        if let Some(why) = self.ignored {
            lines.push(labelled("ignored", &format!("{why}; see --explain")));
            return lines.join("\n");
        }
        if let Some(id) = &self.delivery_id {
            lines.push(format!("delivery   {id}"));
        }
        if let Some(order) = &self.order {
            lines.push(format!("order      {order}"));
        }
        for (update, plan) in self.plans() {
            let plan_text = plan.to_string();
            let (head, calls) = plan_text.split_once('\n').unwrap_or((&plan_text, ""));
            lines.push(labelled("plan", &head));
            lines.extend(calls.lines().map(method_line));
            if let PlanPreview::Pending(_) = plan {
                // Its calls, which would show this, are not known yet.
                let request = update.to_json();
                for key in ["fields", "tags", "owner", "match"] {
                    lines.extend(request.get(key).map(|value| request_line(key, value)));
                }
            }
            for (call, body) in plan.calls() {
                lines.push(format!("{:>5}. {}", call.seq, shown(&body)));
            }
            lines.push(labelled("automation", &plan.automation()));
            for warning in plan.warnings() {
                lines.push(labelled("note", &warning));
            }
        }
        lines.join("\n")
    }
}

/// A text behind its label. On a terminal it breaks between words; JSON does not, so that it can be copied.
fn labelled(label: &str, text: &impl ToString) -> String {
    let text = fitted(&text.to_string(), LABEL);
    format!("{label:<width$}{text}", width = LABEL)
}

/// A line of a plan. Those that compare the methods break between words on a terminal.
fn method_line(line: &str) -> String {
    match line.split_at_checked(METHOD) {
        Some((method, text)) if method.starts_with("  by ") => {
            format!("{method}{}", fitted(text, METHOD))
        }
        _ => line.to_owned(),
    }
}

/// A part of an update request, as a line.
fn request_line(key: &str, value: &Value) -> String {
    format!("{key:<10} {}", shown(value))
}

/// A value as JSON, cut if it is long.
fn shown(value: &Value) -> String {
    let json = value.to_string();
    let shown = truncated(&json, MAX_CALL_CHARS);
    match shown == json {
        true => shown,
        false => format!("{shown} (complete with --json)"),
    }
}
