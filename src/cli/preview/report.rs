//! The preview of one route, as text and as JSON.

use std::fmt;

use serde_json::{Value, json};

use crate::cli::text::truncated;
use crate::inbound::{IgnoreReason, MappingOutcome};
use crate::plan::{PlanLimits, PlanPreview};
use crate::update::UpdateRequest;

/// Maximum characters of a call's JSON in the text output.
const MAX_CALL_CHARS: usize = 1_500;

/// Result of verifying a delivery.
pub(super) enum Verification {
    /// The signature is valid.
    Verified(String),
    /// The route verifies no signature.
    NotRequired(String),
    /// The server would refuse the delivery.
    Refused(String),
    /// The secrets cannot be read here.
    NotChecked(String),
}

impl Verification {
    pub(super) fn is_refused(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verified(how) => write!(formatter, "verified: {how}"),
            Self::NotRequired(why) => formatter.write_str(why),
            Self::Refused(why) => write!(formatter, "REFUSED, the response would be 401: {why}"),
            Self::NotChecked(why) => write!(formatter, "not checked: {why}"),
        }
    }
}

/// What a route would do with an event.
pub(super) struct RoutePreview {
    pub(super) verification: Verification,
    route: Option<String>,
    delivery_id: Option<String>,
    updates: Vec<UpdateRequest>,
    /// Why there are no update requests.
    ignored: Option<IgnoreReason>,
}

impl RoutePreview {
    pub(super) fn new(route: String, verification: Verification, mapped: MappingOutcome) -> Self {
        Self {
            verification,
            route: Some(route),
            delivery_id: Some(mapped.delivery_id),
            updates: mapped.updates,
            ignored: mapped.ignored,
        }
    }

    /// The preview of an update request that was sent directly.
    pub(super) fn of_update_request(update: UpdateRequest) -> Self {
        let why = "an update request needs no verification".to_owned();
        Self {
            verification: Verification::NotRequired(why),
            route: None,
            delivery_id: None,
            updates: vec![update],
            ignored: None,
        }
    }

    fn plans(&self) -> impl Iterator<Item = (&UpdateRequest, PlanPreview<'_>)> {
        self.updates
            .iter()
            .map(|update| (update, PlanPreview::of(update, &PlanLimits::ZOHO)))
    }

    pub(super) fn to_json(&self) -> Value {
        let updates: Vec<Value> = self
            .plans()
            .map(|(update, plan)| json!({"request": update.to_json(), "plan": plan.to_json()}))
            .collect();
        json!({
            "route": self.route,
            "delivery_id": self.delivery_id,
            "verification": self.verification.to_string(),
            "updates": updates,
            "ignored": self.ignored.map(|why| why.to_string()),
        })
    }

    pub(super) fn to_text(&self) -> String {
        let mut lines = Vec::new();
        if let Some(route) = &self.route {
            lines.push(format!("route      {route}"));
            lines.push(format!("signature  {}", self.verification));
        }
        if let Some(why) = self.ignored {
            lines.push(format!("ignored    {why}; see --explain"));
            return lines.join("\n");
        }
        if let Some(id) = &self.delivery_id {
            lines.push(format!("delivery   {id}"));
        }
        for (_, plan) in self.plans() {
            lines.push(format!("plan       {plan}"));
            for (call, body) in plan.calls() {
                let body = body.to_string();
                let shown = truncated(&body, MAX_CALL_CHARS);
                let hint = match shown == body {
                    true => "",
                    false => " (complete with --json)",
                };
                lines.push(format!("{:>5}. {shown}{hint}", call.seq));
            }
            lines.push(format!("automation {}", plan.automation()));
            for warning in plan.warnings() {
                lines.push(format!("note       {warning}"));
            }
        }
        lines.join("\n")
    }
}
