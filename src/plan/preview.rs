//! The plan of an update request, as far as it is known without calling Zoho.

use std::fmt;

use serde_json::{Value, json};

use super::build::{RecordCount, all_calls, upserts};
use super::step::{endpoints, steps_of};
use super::warnings::{Automation, Warning};
use super::{Call, CallKind, CreditCost, CreditPrices, MethodComparison, Plan, PlanLimits};
use crate::update::{
    ApiVersion, MAX_IDS, Named, NamedTerritory, NamedView, NewRecords, Records, Resolved, Selector,
    StepKind, UpdateMethod, UpdateRequest, UserReference,
};

/// The plan of an update request, or its bounds if the records have to be looked up first.
#[derive(Clone, Debug)]
pub enum PlanPreview<'a> {
    /// The plan.
    Planned(Resolved<'a>, Plan),
    /// The bounds of a plan that depends on a look-up.
    Pending(PendingPlan<'a>),
}

/// The bounds of a plan that depends on look-ups: of its records, or of its owner.
#[derive(Clone, Debug)]
pub struct PendingPlan<'a> {
    api_version: ApiVersion,
    request: &'a UpdateRequest,
    /// The comparison for the largest possible number of records; none if no field is set.
    comparison: Option<MethodComparison>,
    /// The calls for the largest possible number of records.
    calls: Vec<Call>,
    /// The cost if a record is created for every value; none if the request creates no records.
    creation: Option<CreditCost>,
}

impl<'a> PlanPreview<'a> {
    /// Previews the plan of `request` within `limits`.
    pub fn of(request: &'a UpdateRequest, limits: &PlanLimits) -> Self {
        if let Some(resolved) = request.resolved() {
            return Self::Planned(resolved, Plan::new(resolved, limits));
        }
        let count = match &request.selector {
            Selector::Match(_) => RecordCount::Ids(MAX_IDS),
            Selector::Records(Records::Ids(ids)) => RecordCount::Ids(ids.len()),
            Selector::Records(Records::View { .. }) | Selector::Named(_) => RecordCount::View,
        };
        let (comparison, calls) = all_calls(request, count, limits);
        let creation = request.creation().map(|query| {
            let new = NewRecords::new(query, query.values.clone(), false, false);
            let upserts = upserts(request, &new, limits);
            CreditCost::of(&upserts, CreditPrices::DOCUMENTED)
        });
        Self::Pending(PendingPlan {
            api_version: limits.api_version,
            request,
            comparison,
            calls,
            creation,
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
        let calls = match self {
            Self::Planned(_, plan) => plan.calls(),
            Self::Pending(pending) => &pending.calls,
        };
        let mut edits = calls.iter().filter(|call| call.step() == StepKind::Fields);
        let edits = edits.next_back().map_or(0, |call| call.group);
        let groups = calls.last().map_or(0, |call| call.group);
        Warning::all(self.request(), groups, edits)
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

    /// The comparison of both update methods; for the largest possible number of records if they have to be looked up. None
    /// if no field is set.
    pub fn comparison(&self) -> Option<MethodComparison> {
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

    /// The path that calls of a kind are sent to.
    pub fn path(&self, kind: CallKind) -> String {
        let api_version = match self {
            Self::Planned(_, plan) => plan.api_version,
            Self::Pending(pending) => pending.api_version,
        };
        api_version.path(&kind.endpoint(&self.request().module))
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

    /// Whether the update method depends on the number of records found.
    fn depends_on_count(&self) -> bool {
        let finds_ids = matches!(self.request.selector, Selector::Match(_));
        let is_auto = self.request.effective_method() == UpdateMethod::Auto;
        finds_ids && is_auto && !self.request.needs_records() && self.comparison.is_some()
    }

    fn to_json(&self) -> Value {
        let chosen = self.comparison.filter(|_| !self.depends_on_count());
        let records = match &self.request.selector {
            Selector::Records(Records::Ids(ids)) => ids.len(),
            Selector::Records(Records::View { .. }) | Selector::Match(_) | Selector::Named(_) => {
                MAX_IDS
            }
        };
        let mut json = json!({
            "module": self.request.module.as_str(),
            "lookup": self.lookup(),
            "update_by": chosen.and_then(|found| found.chosen.method()),
            "prices_at_most": self.comparison.map(MethodComparison::to_json),
            "calls": [],
            "calls_at_most": self.calls.len(),
            "records_at_most": records,
        });
        if self.request.has_actions() {
            json["steps"] = json!(steps_of(&self.calls));
        }
        if let Some(cost) = self.creation {
            let kind = CallKind::Upsert;
            json["creation_at_most"] = cost.to_json();
            json["creation_at_most"]["method"] = kind.verb().into();
            json["creation_at_most"]["path"] = self.path(kind).into();
        }
        json
    }

    fn lookup(&self) -> Value {
        let names = self.names().into_iter();
        let names: Vec<Value> = names
            .map(|(what, name)| json!({"of": what, "name": name}))
            .collect();
        match &self.request.selector {
            Selector::Match(query) => {
                let mut lookup = json!({
                    "by": "match",
                    "field": query.field.as_str(),
                    "values": query.values.len(),
                    "on_many": query.on_many.as_str(),
                    "on_none": query.on_none.as_str(),
                });
                if !names.is_empty() {
                    lookup["names"] = Value::Array(names);
                }
                lookup
            }
            Selector::Named(_) | Selector::Records(_) => json!({"by": "name", "names": names}),
        }
    }

    /// The names that have to be looked up, each with what it names.
    fn names(&self) -> Vec<(&'static str, &str)> {
        let mut names = Vec::new();
        if let Selector::Named(NamedView { view, territory }) = &self.request.selector {
            if let Named::Name(name) = view {
                names.push(("custom view", name.as_str()));
            }
            if let Some(NamedTerritory {
                territory: Named::Name(name),
                ..
            }) = territory
            {
                names.push(("territory", name.as_str()));
            }
        }
        if let Some(UserReference::Email(email)) =
            self.request.owner.as_ref().map(|owner| &owner.user)
        {
            names.push(("user", email.as_str()));
        }
        names
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
        let actions = self
            .calls
            .iter()
            .filter(|call| call.step() != StepKind::Fields);
        let all_to = match self.depends_on_count() {
            false => endpoints(&self.calls, |kind| self.path(kind)),
            true => {
                let actions: Vec<Call> = actions.cloned().collect();
                let either = format!(
                    "{}, or to {}, whichever are fewer",
                    to(CallKind::Immediate),
                    to(CallKind::Records)
                );
                match actions.as_slice() {
                    [] => either,
                    actions => format!(
                        "{either}, then {}",
                        endpoints(actions, |kind| self.path(kind))
                    ),
                }
            }
        };
        let calls = self.calls.len();
        let plural = if calls == 1 { "" } else { "s" };
        let names = self.names().into_iter();
        let names: Vec<String> = names
            .map(|(what, name)| format!("the {what} `{name}`"))
            .collect();
        let names = names.join(" and ");
        match &self.request.selector {
            Selector::Match(query) => {
                let count = query.values.len();
                let values = if count == 1 { "value" } else { "values" };
                let and = if names.is_empty() { "" } else { " and " };
                write!(
                    formatter,
                    "at most {calls} call{plural} to {all_to}, for at most {MAX_IDS} records; {count} {values} of {}{and}{names} to look \
                     up first",
                    query.field,
                )?;
                let Some(cost) = self.creation else {
                    return Ok(());
                };
                let to = to(CallKind::Upsert);
                write!(
                    formatter,
                    "; at most {cost} to {to}, for values without a record"
                )
            }
            Selector::Records(Records::Ids(ids)) => {
                let count = ids.len();
                let records = if count == 1 { "record" } else { "records" };
                write!(
                    formatter,
                    "{calls} call{plural} to {all_to} for {count} {records}, once {names} is found"
                )
            }
            Selector::Named(_) | Selector::Records(Records::View { .. }) => write!(
                formatter,
                "{calls} call{plural} to {all_to} for the records of a custom view, once {names} is found"
            ),
        }
    }
}
