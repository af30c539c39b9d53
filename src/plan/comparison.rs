//! The cost of both update methods for one update request, and the choice between them.

use std::fmt;

use serde_json::{Value, json};

use super::build::{RecordCount, mass_updates, record_updates};
use super::credits::{CreditCost, CreditPrices};
use super::{Call, CallKind, PlanLimits};
use crate::update::{UpdateMethod, UpdateRequest};

/// Why an update method was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MethodReason {
    /// `update_by` names it.
    Requested,
    /// It takes fewer calls.
    FewerCalls,
    /// Both methods take the same number of calls.
    SameCalls,
    /// No mass update can set all of the fields.
    Fields,
    /// Only mass updates can update a custom view.
    View,
}

impl MethodReason {
    /// The keyword in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "asked",
            Self::FewerCalls => "fewer_calls",
            Self::SameCalls => "as_many_calls",
            Self::Fields => "fields",
            Self::View => "view",
        }
    }
}

impl fmt::Display for MethodReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Requested => "selected by `update_by` (default: mass_update)",
            Self::FewerCalls => "fewer calls",
            Self::SameCalls => "the other method takes as many calls",
            Self::Fields => "no mass update sets all of the fields",
            Self::View => "nothing else updates a custom view",
        })
    }
}

/// The cost of both update methods for one update request, and the method that its plan uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodComparison {
    /// The cost of mass updates; none if they cannot set every field.
    pub mass_update: Option<CreditCost>,
    /// The cost of record updates; none for a custom view.
    pub records: Option<CreditCost>,
    /// The kind of the calls of the chosen method.
    pub chosen: CallKind,
    /// Why that method was chosen.
    pub reason: MethodReason,
}

impl MethodComparison {
    /// Compares both methods and returns the calls of the chosen one.
    pub(super) fn choose(
        request: &UpdateRequest,
        count: RecordCount,
        limits: &PlanLimits,
    ) -> (Self, Vec<Call>) {
        let needs_records = request.needs_records();
        let cost = |calls: &[Call]| CreditCost::of(calls, CreditPrices::DOCUMENTED);
        let mass_calls = mass_updates(request, count, limits);
        let mass_update = Some(cost(&mass_calls)).filter(|_| !needs_records);
        let RecordCount::Ids(count) = count else {
            let comparison = Self {
                mass_update,
                records: None,
                chosen: CallKind::Scheduled,
                reason: MethodReason::View,
            };
            return (comparison, mass_calls);
        };
        let record_calls = record_updates(request, count, limits);
        let (by_records, reason) = match request.update_by {
            UpdateMethod::MassUpdate => (false, MethodReason::Requested),
            UpdateMethod::Records => (true, MethodReason::Requested),
            UpdateMethod::Auto if needs_records => (true, MethodReason::Fields),
            UpdateMethod::Auto if record_calls.len() == mass_calls.len() => {
                (false, MethodReason::SameCalls)
            }
            UpdateMethod::Auto => (
                record_calls.len() < mass_calls.len(),
                MethodReason::FewerCalls,
            ),
        };
        let records = Some(cost(&record_calls));
        let (chosen, calls) = match by_records {
            true => (CallKind::Records, record_calls),
            false => (CallKind::Immediate, mass_calls),
        };
        let comparison = Self {
            mass_update,
            records,
            chosen,
            reason,
        };
        (comparison, calls)
    }

    /// The same comparison at the prices that an org pays. The choice depends on calls alone, so it stays.
    #[must_use]
    pub fn at(self, prices: CreditPrices) -> Self {
        Self {
            mass_update: self.mass_update.map(|cost| cost.at(prices.mass_update)),
            ..self
        }
    }

    /// Both methods with their cost, and with the reason for the chosen one.
    fn rows(self) -> [(UpdateMethod, String); 2] {
        let row = |method, cost: Option<CreditCost>, impossible: &str| {
            let cost = cost.map_or_else(|| impossible.to_owned(), |cost| cost.to_string());
            let text = match Some(method) == self.chosen.method() {
                true => format!("{cost}; chosen: {}", self.reason),
                false => cost,
            };
            (method, text)
        };
        [
            row(
                UpdateMethod::MassUpdate,
                self.mass_update,
                "not possible: it does not set all of the fields",
            ),
            row(
                UpdateMethod::Records,
                self.records,
                "not possible: a custom view is only mass-updated",
            ),
        ]
    }

    /// Both methods in one line.
    pub fn in_a_line(self) -> String {
        let rows = self
            .rows()
            .map(|(method, text)| format!("by {method} {text}"));
        rows.join("; ")
    }

    /// The cost of both methods, for machines.
    pub(super) fn to_json(self) -> Value {
        json!({
            "mass_update": self.mass_update.map(CreditCost::to_json),
            "records": self.records.map(CreditCost::to_json),
        })
    }
}

impl fmt::Display for MethodComparison {
    /// Writes one line for each method.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (method, text) in self.rows() {
            write!(formatter, "\n  by {method:<12} {text}")?;
        }
        Ok(())
    }
}
