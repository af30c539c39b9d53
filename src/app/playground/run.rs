//! Runs the programs of a route, and reports each of them.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};

use super::abridged::abridged;
use super::located_error::{Hint, LocatedError};
use crate::inbound::rejection::Rejection;
use crate::inbound::{IgnoreReason, Mapper};
use crate::mapping::{self, ProgramKey};
use crate::plan::{PlanLimits, PlanPreview};
use crate::update::{OrderValue, UpdateRequest};

/// Calls that are shown.
const MAX_CALLS: usize = 30;

/// The result of one expression of `when`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct WhenResult {
    /// `when`, or `when[1]`.
    pub(super) key: String,
    pub(super) text: String,
    pub(super) result: Option<bool>,
    pub(super) error: Option<LocatedError>,
    /// What a false expression reads.
    pub(super) values: Vec<ReadValue>,
}

/// The value at a path that an expression reads.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct ReadValue {
    path: String,
    value: String,
    absent: bool,
}

/// What the programs yield.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// Update requests.
    Updates {
        updates: Vec<UpdateRequest>,
        delivery_id: String,
        order: Option<OrderValue>,
    },
    /// The route ignores the event.
    Ignored(IgnoreReason),
    /// A program failed.
    Failed,
}

/// One run of the programs.
#[derive(Clone, Debug)]
pub(super) struct ProgramRun {
    pub(super) when: Vec<WhenResult>,
    pub(super) outcome: Outcome,
    pub(super) errors: Vec<LocatedError>,
    pub(super) hints: Vec<Hint>,
    pub(super) took: Duration,
    /// What Zoho's calls may carry.
    pub(super) limits: PlanLimits,
    /// What was repaired in the body.
    pub(super) note: Option<String>,
}

/// Runs the programs. Each expression of `when` is evaluated, also after a false one, so that all of their errors are shown.
///
/// # Errors
/// [`Rejection::Overloaded`].
pub(super) fn run_programs(mapper: &Mapper<'_>) -> Result<ProgramRun, Rejection> {
    let start = Instant::now();
    let mut run = ProgramRun {
        when: Vec::new(),
        outcome: Outcome::Failed,
        errors: Vec::new(),
        hints: Vec::new(),
        took: Duration::ZERO,
        limits: PlanLimits::ZOHO,
        note: mapper.body_note(),
    };
    let mut first_false = None;
    for index in 0..mapper.when().len() {
        let result = evaluate(mapper, index)?;
        if result.result == Some(false) && run.errors.is_empty() {
            first_false = first_false.or(Some(mapper.key(index)));
        }
        // Behind a false expression the server evaluates nothing, so an error there does not count.
        if first_false.is_none() {
            run.errors.extend(result.error.clone());
        }
        if result.result != Some(true) {
            let expression = &mapper.when()[index];
            let key = mapper.key(index);
            run.hints
                .extend(Hint::all_of(key, expression, mapper.session()));
        }
        run.when.push(result);
    }
    let map = mapper.map_program();
    if run.errors.is_empty() && first_false.is_none() {
        map_event(mapper, &mut run)?;
    } else if let Err(error) = map.check() {
        run.errors
            .push(LocatedError::of_compilation(ProgramKey::Map, error));
    } else if let Some(key) = first_false {
        run.outcome = Outcome::Ignored(IgnoreReason::When(key));
    }
    run.hints
        .extend(Hint::all_of(ProgramKey::Map, map, mapper.session()));
    run.took = start.elapsed();
    Ok(run)
}

fn map_event(mapper: &Mapper<'_>, run: &mut ProgramRun) -> Result<(), Rejection> {
    match mapper.map() {
        Ok(mapped) => {
            run.outcome = match mapped.ignored {
                Some(reason) => Outcome::Ignored(reason),
                None => Outcome::Updates {
                    updates: mapped.updates,
                    delivery_id: mapped.delivery_id,
                    order: mapped.order,
                },
            };
        }
        Err(rejection @ Rejection::Overloaded(_)) => return Err(rejection),
        Err(rejection) => {
            let program = match (&rejection, mapper.order_program()) {
                (Rejection::NotOrder { .. }, Some(order_by)) => order_by,
                _ => mapper.map_program(),
            };
            let errors = LocatedError::all_of(&rejection, program);
            run.errors.extend(errors);
        }
    }
    Ok(())
}

fn evaluate(mapper: &Mapper<'_>, index: usize) -> Result<WhenResult, Rejection> {
    let expression = &mapper.when()[index];
    let mut result = WhenResult {
        key: mapper.key(index).to_string(),
        text: expression.source().to_owned(),
        result: None,
        error: None,
        values: Vec::new(),
    };
    match mapper.holds(index) {
        Ok(holds) => result.result = Some(holds),
        Err(rejection @ Rejection::Overloaded(_)) => return Err(rejection),
        Err(rejection) => {
            let errors = LocatedError::all_of(&rejection, expression);
            result.error = errors.into_iter().next();
        }
    }
    if result.result == Some(false) {
        let values = mapping::path_values(expression, mapper.session());
        let values = values.into_iter().map(|value| ReadValue {
            path: value.path,
            value: value.value,
            absent: value.is_absent,
        });
        result.values = values.collect();
    }
    Ok(result)
}

impl ProgramRun {
    /// The run on an event whose body cannot be read.
    pub(super) fn refused(rejection: &Rejection) -> Self {
        Self {
            when: Vec::new(),
            outcome: Outcome::Failed,
            errors: vec![LocatedError::of_body(rejection)],
            hints: Vec::new(),
            took: Duration::ZERO,
            limits: PlanLimits::ZOHO,
            note: None,
        }
    }

    /// The update requests.
    pub(super) fn updates(&self) -> &[UpdateRequest] {
        match &self.outcome {
            Outcome::Updates { updates, .. } => updates,
            Outcome::Ignored(_) | Outcome::Failed => &[],
        }
    }

    /// Why the route ignores the event, if it does.
    pub(super) fn ignored(&self) -> Option<String> {
        match &self.outcome {
            Outcome::Ignored(reason) => Some(reason.to_string()),
            Outcome::Updates { .. } | Outcome::Failed => None,
        }
    }

    /// The id by which a redelivery is recognised.
    pub(super) fn delivery_id(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Updates { delivery_id, .. } => Some(delivery_id),
            Outcome::Ignored(_) | Outcome::Failed => None,
        }
    }

    /// The value of `order_by`.
    pub(super) fn order(&self) -> Option<OrderValue> {
        match &self.outcome {
            Outcome::Updates { order, .. } => *order,
            Outcome::Ignored(_) | Outcome::Failed => None,
        }
    }

    /// The planned calls of all update requests.
    pub(super) fn plan(&self) -> Value {
        let mut plan = PlanSummary::default();
        for (index, update) in self.updates().iter().enumerate() {
            plan.add(index, &PlanPreview::of(update, &self.limits));
        }
        match self.updates().is_empty() {
            true => Value::Null,
            false => plan.to_json(),
        }
    }
}

/// The calls of several plans.
#[derive(Default)]
struct PlanSummary {
    calls: Vec<Value>,
    omitted: usize,
    /// Calls that depend on records or views that have to be looked up.
    at_most: usize,
    /// The API credits, as far as Zoho documents them.
    credits: Option<u64>,
    undocumented: bool,
    methods: Vec<Value>,
    lookups: Vec<Value>,
    notes: Vec<String>,
}

impl PlanSummary {
    fn add(&mut self, index: usize, plan: &PlanPreview<'_>) {
        let request = index + 1;
        for (call, body) in plan.calls() {
            if self.calls.len() == MAX_CALLS {
                self.omitted += 1;
                continue;
            }
            let kind = call.target.kind();
            self.calls.push(json!({
                "request": request,
                "seq": call.seq,
                "kind": kind,
                "method": kind.verb(),
                "path": plan.path(kind),
                "records": call.target.records(),
                "body": abridged(&body),
            }));
        }
        match plan.cost() {
            Some(cost) => match cost.credits {
                Some(credits) => self.credits = Some(self.credits.unwrap_or(0) + credits),
                None => self.undocumented = true,
            },
            None => {
                let document = plan.to_json();
                let creation = &document["creation_at_most"]["calls"];
                let at_most = document["calls_at_most"].as_u64().unwrap_or(0)
                    + creation.as_u64().unwrap_or(0);
                self.at_most += usize::try_from(at_most).unwrap_or(usize::MAX);
                self.undocumented = true;
                self.lookups
                    .push(json!({"request": request, "lookup": document["lookup"], "text": plan.to_string()}));
            }
        }
        if let Some(comparison) = plan.comparison() {
            self.methods.push(json!({
                "request": request,
                "update_by": comparison.chosen.method(),
                "text": comparison.in_a_line(),
            }));
        }
        let mut notes = vec![plan.automation().to_string()];
        notes.extend(plan.warnings().iter().map(ToString::to_string));
        for note in notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "calls": self.calls,
            "calls_count": self.calls.len() + self.omitted,
            "calls_omitted": self.omitted,
            "calls_at_most": self.calls.len() + self.omitted + self.at_most,
            "credits": self.credits.filter(|_| !self.undocumented),
            "methods": self.methods,
            "lookups": self.lookups,
            "notes": self.notes,
        })
    }
}
