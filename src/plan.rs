//! The ordered Zoho calls that an update request needs. Pure. The engine carries out the same value that `masshook preview`
//! prints.

mod build;
mod call;
mod change;
mod comparison;
mod credits;
mod limits;
mod preview;
mod step;
mod warnings;

use std::fmt;

use serde_json::{Value, json};

use crate::update::{
    ApiVersion, FieldName, ModuleName, Records, Resolved, StepKind, Territory, ViewId,
};
use build::{RecordCount, all_calls};
pub use call::{AnswerForm, Call, CallKind, Target, json_text, row, rows_body, upsert_body};
pub use change::Change;
pub use comparison::{MethodComparison, MethodReason};
pub use credits::{CreditCost, CreditPrices, RECORDS_PER_CREDIT};
pub use limits::PlanLimits;
pub use preview::{PendingPlan, PlanPreview};
pub use warnings::{Automation, Warning};

/// The calls of one update request, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    api_version: ApiVersion,
    module: ModuleName,
    scope: PlanScope,
    /// The comparison of both update methods; none if no field is set.
    comparison: Option<MethodComparison>,
    calls: Vec<Call>,
    /// The number of records that are created.
    new_records: usize,
}

/// The records that a plan updates.
#[derive(Clone, Debug, PartialEq, Eq)]
enum PlanScope {
    Ids(usize),
    View(ViewId, Option<Territory>),
}

impl Plan {
    /// Plans `request` within `limits`.
    pub fn new(request: Resolved<'_>, limits: &PlanLimits) -> Self {
        let (scope, count) = match request.records() {
            Records::Ids(ids) => (PlanScope::Ids(ids.len()), RecordCount::Ids(ids.len())),
            Records::View { cvid, territory } => {
                (PlanScope::View(*cvid, *territory), RecordCount::View)
            }
        };
        let request = request.request();
        let (comparison, calls) = all_calls(request, count, limits);
        Self {
            api_version: limits.api_version,
            module: request.module.clone(),
            scope,
            comparison,
            calls,
            new_records: request
                .new_records
                .as_ref()
                .map_or(0, |new| new.values().len()),
        }
    }

    /// The calls, in order.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// The number of groups, whose calls run one after the other.
    pub fn groups(&self) -> usize {
        self.calls.last().map_or(0, |call| call.group)
    }

    /// The steps, in order.
    pub fn steps(&self) -> Vec<StepKind> {
        step::steps_of(&self.calls)
    }

    /// The calls, in order, to be carried out.
    pub fn into_calls(self) -> Vec<Call> {
        self.calls
    }

    /// The comparison of both update methods; none if no field is set.
    pub fn comparison(&self) -> Option<MethodComparison> {
        self.comparison
    }

    /// The plan with the exact JSON of every call, for machines.
    pub fn to_json(&self, request: Resolved<'_>) -> Value {
        let calls = self.calls.iter().map(|call| {
            json!({
                "seq": call.seq,
                "kind": call.target.kind(),
                "method": call.target.kind().verb(),
                "path": self.path(call.target.kind()),
                "body": call.body(request),
            })
        });
        let mut json = json!({
            "module": self.module.as_str(),
            "update_by": self.comparison.and_then(|found| found.chosen.method()),
            "why": self.comparison.map(|found| found.reason.as_str()),
            "prices": self.comparison.map(MethodComparison::to_json),
            "calls": calls.collect::<Vec<_>>(),
        });
        if request.request().has_actions() {
            json["steps"] = json!(self.steps());
        }
        json
    }

    /// Whether later steps change the records that are created.
    fn changes_new_records(&self) -> bool {
        let PlanScope::Ids(known) = self.scope else {
            return false;
        };
        let mut ranges = self.calls.iter().filter_map(|call| call.target.named());
        ranges.any(|range| range.end > known)
    }

    /// The path that calls of a kind are sent to.
    fn path(&self, kind: CallKind) -> String {
        self.api_version.path(&kind.endpoint(&self.module))
    }
}

impl fmt::Display for PlanScope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ids(1) => formatter.write_str("1 record"),
            Self::Ids(count) => write!(formatter, "{count} records"),
            Self::View(cvid, None) => write!(formatter, "the records of custom view {cvid}"),
            Self::View(cvid, Some(Territory { id, include_child })) => {
                let below = if *include_child { " and below" } else { "" };
                write!(
                    formatter,
                    "the records of custom view {cvid} in territory {id}{below}"
                )
            }
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_upsert = |call: &&Call| call.target.new_records().is_some();
        let upserts = self.calls.iter().take_while(is_upsert).count();
        let (upserts, others) = self.calls.split_at(upserts);
        let plural = |count| if count == 1 { "" } else { "s" };
        if !upserts.is_empty() {
            let (calls, records) = (upserts.len(), self.new_records);
            let endpoint = step::endpoints(upserts, |kind| self.path(kind));
            write!(
                formatter,
                "{calls} call{} to {endpoint} for {records} new record{}",
                plural(calls),
                plural(records)
            )?;
        }
        if upserts.is_empty() || !others.is_empty() {
            let and = if upserts.is_empty() { "" } else { ", and " };
            let calls = others.len();
            let endpoints = step::endpoints(others, |kind| self.path(kind));
            let scope = match (&self.scope, self.changes_new_records()) {
                (PlanScope::Ids(0), true) => "them".to_owned(),
                (scope, true) => format!("{scope} and the new ones"),
                (scope, false) => scope.to_string(),
            };
            write!(
                formatter,
                "{and}{calls} call{} to {endpoints} for {scope}",
                plural(calls)
            )?;
        }
        for call in &self.calls {
            let kind = call.target.kind();
            let changes = match call.fields.as_slice() {
                [] => call.step().label().to_owned(),
                fields => {
                    let fields: Vec<&str> = fields.iter().map(FieldName::as_str).collect();
                    fields.join(", ")
                }
            };
            write!(formatter, "\n{:>5}. {changes:<28} {kind:<11} ", call.seq)?;
            let new = call.target.new_records();
            match call.target.named().or(new) {
                Some(range) => {
                    let (first, last, count) = (range.start + 1, range.end, range.len());
                    let what = if new.is_some() { "new " } else { "" };
                    write!(formatter, "{what}records {first}-{last} ({count})")?;
                }
                None => formatter.write_str("Zoho runs it as a job, which is tracked")?,
            }
        }
        match self.comparison {
            Some(comparison) => comparison.fmt(formatter),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
