//! The plan of an update request, as far as it is known without calling Zoho.

use std::fmt;

use serde_json::{Value, json};

use super::build::RecordCount;
use super::warnings::{Automation, Warning};
use super::{Call, CallKind, CreditCost, CreditPrices, MethodComparison, Plan, PlanLimits};
use crate::update::{
    ApiVersion, MAX_IDS, Named, NamedTerritory, NamedView, Resolved, Selector, UpdateMethod,
    UpdateRequest,
};

/// The plan of an update request, or its bounds if the records have to be looked up first.
#[derive(Clone, Debug)]
pub enum PlanPreview<'a> {
    /// The plan.
    Planned(Resolved<'a>, Plan),
    /// The bounds of a plan that depends on a look-up.
    Pending(PendingPlan<'a>),
}

/// The bounds of a plan whose records have to be looked up first.
#[derive(Clone, Debug)]
pub struct PendingPlan<'a> {
    api_version: ApiVersion,
    request: &'a UpdateRequest,
    /// The comparison for the largest possible number of records.
    comparison: MethodComparison,
    /// The number of field groups, whose calls run one after the other.
    groups: usize,
    /// The largest possible number of calls.
    calls: usize,
}

impl<'a> PlanPreview<'a> {
    /// Previews the plan of `request` within `limits`.
    pub fn of(request: &'a UpdateRequest, limits: &PlanLimits) -> Self {
        if let Some(resolved) = request.resolved() {
            return Self::Planned(resolved, Plan::new(resolved, limits));
        }
        let count = match &request.selector {
            Selector::Match(_) => RecordCount::Ids(MAX_IDS),
            Selector::Records(_) | Selector::Named(_) => RecordCount::View,
        };
        let (comparison, calls) = MethodComparison::choose(request, count, limits);
        Self::Pending(PendingPlan {
            api_version: limits.api_version,
            request,
            comparison,
            groups: calls.last().map_or(0, |call| call.group),
            calls: calls.len(),
        })
    }

    fn request(&self) -> &'a UpdateRequest {
        match self {
            Self::Planned(request, _) => request.request(),
            Self::Pending(pending) => pending.request,
        }
    }

    /// Whether the CRM's automation runs for the updated records.
    pub fn automation(&self) -> Automation {
        Automation::of(self.request())
    }

    /// Effects of the plan that a user may not expect.
    pub fn warnings(&self) -> Vec<Warning> {
        let groups = match self {
            Self::Planned(_, plan) => plan.groups(),
            Self::Pending(pending) => pending.groups,
        };
        Warning::all(self.request(), groups)
    }

    /// The calls and the exact JSON of each; empty while records have to be looked up.
    pub fn calls(&self) -> Vec<(&Call, Value)> {
        match self {
            Self::Planned(request, plan) => {
                let calls = plan.calls().iter();
                calls.map(|call| (call, call.body(*request))).collect()
            }
            Self::Pending(_) => Vec::new(),
        }
    }

    /// The comparison of both update methods; for the largest possible number of records if they have to be looked up.
    pub fn comparison(&self) -> MethodComparison {
        match self {
            Self::Planned(_, plan) => plan.comparison(),
            Self::Pending(pending) => pending.comparison,
        }
    }

    /// The cost of the planned calls; none while records have to be looked up.
    pub fn cost(&self) -> Option<CreditCost> {
        match self {
            Self::Planned(_, plan) => Some(CreditCost::of(plan.calls(), CreditPrices::DOCUMENTED)),
            Self::Pending(_) => None,
        }
    }

    /// The path that every planned call is sent to.
    pub fn path(&self) -> String {
        match self {
            Self::Planned(_, plan) => plan.path(),
            Self::Pending(pending) => pending.path(pending.comparison.chosen),
        }
    }

    /// The preview, for machines.
    pub fn to_json(&self) -> Value {
        let mut json = match self {
            Self::Planned(request, plan) => plan.to_json(*request),
            Self::Pending(pending) => pending.to_json(),
        };
        let warnings: Vec<Value> = self.warnings().iter().map(Warning::to_json).collect();
        json["automation"] = self.automation().to_json();
        json["warnings"] = Value::Array(warnings);
        json
    }
}

impl PendingPlan<'_> {
    fn path(&self, kind: CallKind) -> String {
        self.api_version.path(&kind.endpoint(&self.request.module))
    }

    /// The kind of the calls; none if it depends on the number of records found.
    fn kind(&self) -> Option<CallKind> {
        let depends =
            self.request.effective_method() == UpdateMethod::Auto && !self.request.needs_records();
        Some(self.comparison.chosen).filter(|_| !depends)
    }

    fn to_json(&self) -> Value {
        json!({
            "module": self.request.module.as_str(),
            "lookup": self.lookup(),
            "update_by": self.kind().map(|kind| kind.method().as_str()),
            "prices_at_most": self.comparison.to_json(),
            "calls": [],
            "calls_at_most": self.calls,
            "records_at_most": MAX_IDS,
        })
    }

    fn lookup(&self) -> Value {
        match &self.request.selector {
            Selector::Match(query) => json!({
                "by": "match",
                "field": query.field.as_str(),
                "values": query.values.len(),
                "on_many": query.on_many.as_str(),
                "on_none": query.on_none.as_str(),
            }),
            Selector::Named(_) | Selector::Records(_) => {
                let names = self.names().into_iter();
                let names: Vec<Value> = names
                    .map(|(what, name)| json!({"of": what, "name": name}))
                    .collect();
                json!({"by": "name", "names": names})
            }
        }
    }

    /// The names that have to be looked up, each with what it names.
    fn names(&self) -> Vec<(&'static str, &str)> {
        let Selector::Named(NamedView { view, territory }) = &self.request.selector else {
            return Vec::new();
        };
        let view = match view {
            Named::Name(name) => Some(("custom view", name.as_str())),
            Named::Id(_) => None,
        };
        let territory = match territory {
            Some(NamedTerritory {
                territory: Named::Name(name),
                ..
            }) => Some(("territory", name.as_str())),
            Some(NamedTerritory {
                territory: Named::Id(_),
                ..
            })
            | None => None,
        };
        view.into_iter().chain(territory).collect()
    }
}

impl fmt::Display for PlanPreview<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Planned(_, plan) => plan.fmt(formatter),
            Self::Pending(pending) => pending.fmt(formatter),
        }
    }
}

impl fmt::Display for PendingPlan<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to = |kind: CallKind| format!("{} {}", kind.verb(), self.path(kind));
        let to = match self.kind() {
            Some(kind) => to(kind),
            None => format!(
                "{}, or to {}, whichever are fewer",
                to(CallKind::Immediate),
                to(CallKind::Records)
            ),
        };
        let plural = if self.calls == 1 { "" } else { "s" };
        match &self.request.selector {
            Selector::Match(query) => {
                let count = query.values.len();
                let values = if count == 1 { "value" } else { "values" };
                write!(
                    formatter,
                    "at most {} call{plural} to {to}, for at most {MAX_IDS} records; {count} {values} of {} to look up first",
                    self.calls, query.field,
                )
            }
            Selector::Named(_) | Selector::Records(_) => {
                let names: Vec<String> = self
                    .names()
                    .into_iter()
                    .map(|(what, name)| format!("the {what} `{name}`"))
                    .collect();
                write!(
                    formatter,
                    "{} call{plural} to {to} for the records of a custom view, once {} is found",
                    self.calls,
                    names.join(" and ")
                )
            }
        }
    }
}
