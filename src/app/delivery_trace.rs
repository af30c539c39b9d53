//! Follows one delivery through the door, for the log of deliveries.

use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use serde_json::Value;

use super::App;
use super::delivery_log::DeliveryLog;
use super::flow::shown_name;
use super::intake::NewJobs;
use crate::clock::Clock;
use crate::config::{Route, VerifyConfig};
use crate::inbound::rejection::Rejection;
use crate::inbound::{Delivery, IgnoreReason, InboundRequest};
use crate::job::Job;
use crate::mapping::ProgramKey;
use crate::store::delivery_log::{
    DeliveryError, DeliveryOutcome, JOBS_SHOWN, LogClass, LogEntry, Step, StepName,
};
use crate::store::truncated;

/// The longest reason, in characters.
const MAX_REASON: usize = 300;

/// The longest detail of an error, in characters.
const MAX_DETAIL: usize = 2_000;

/// The number of single errors that an entry keeps.
const MAX_ERRORS: usize = 10;

/// One delivery on its way, and what is known of it.
pub(super) struct DeliveryTrace {
    log: DeliveryLog,
    clock: Arc<dyn Clock>,
    started: Duration,
    step_started: Duration,
    is_verified: bool,
    /// How many conditions `when` of the route has.
    conditions: usize,
    entry: LogEntry,
}

impl App {
    /// Begins the trace of a request, if there is a log.
    pub(super) fn trace_request(
        &self,
        request: &InboundRequest,
        sender: Option<String>,
    ) -> Option<DeliveryTrace> {
        let content_type = request.headers.get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let entry = LogEntry {
            trigger: Some(request.origin.trigger),
            sender,
            content_type: content_type.map(|text| truncated(text, 100)),
            ..self.new_entry(&request.route, request.body.len())?
        };
        let mut trace = self.start_trace(entry);
        let kind = trace
            .entry
            .content_type
            .as_deref()
            .unwrap_or("no content type");
        let detail = format!("{} {} bytes, {kind}", request.method, request.body.len());
        trace.finish_step(StepName::Received, true, detail);
        Some(trace)
    }

    /// Begins the trace of an event that AWS has authenticated, if there is a log.
    pub(super) fn trace_event(&self, delivery: &Delivery<'_>) -> Option<DeliveryTrace> {
        let bytes = delivery.body_bytes();
        let entry = LogEntry {
            trigger: Some(delivery.trigger()),
            ..self.new_entry(delivery.route().name, bytes)?
        };
        let mut trace = self.start_trace(entry);
        trace.finish_step(StepName::Received, true, format!("{bytes} bytes"));
        trace.verified(delivery.route().settings);
        Some(trace)
    }

    fn new_entry(&self, route: &str, bytes: usize) -> Option<LogEntry> {
        self.delivery_log.is_on().then(|| LogEntry {
            // Log lines have it before the entry is recorded.
            id: format!("dlv_{:032x}", fastrand::u128(..)),
            delivery: None,
            class: LogClass::Stranger,
            received_at: self.clock.now(),
            route: shown_name(route),
            trigger: None,
            outcome: DeliveryOutcome::Refused,
            code: None,
            reason: None,
            ignored_by: None,
            status: None,
            jobs: Vec::new(),
            jobs_count: 0,
            records: None,
            took_ms: None,
            sender: None,
            bytes: Some(bytes as u64),
            content_type: None,
            steps: Vec::new(),
            error: None,
            replays: Vec::new(),
            left_out: 0,
        })
    }

    fn start_trace(&self, entry: LogEntry) -> DeliveryTrace {
        let started = self.clock.elapsed();
        DeliveryTrace {
            log: self.delivery_log.clone(),
            clock: self.clock.clone(),
            started,
            step_started: started,
            is_verified: false,
            conditions: 0,
            entry,
        }
    }
}

impl DeliveryTrace {
    fn finish_step(&mut self, name: StepName, ok: bool, detail: impl Into<String>) {
        let now = self.clock.elapsed();
        let took = now.saturating_sub(self.step_started);
        self.step_started = now;
        self.add_step(name, ok, detail.into(), Some(took));
    }

    fn add_step(&mut self, name: StepName, ok: bool, detail: String, took: Option<Duration>) {
        self.entry.steps.push(Step {
            name,
            ok,
            detail: truncated(&detail, MAX_REASON),
            took_ms: took.map(ms),
        });
    }

    /// The signature holds, or none is needed.
    pub(super) fn verified(&mut self, route: &Route) {
        self.is_verified = true;
        self.conditions = route.when.len();
        let detail = match &route.verify {
            VerifyConfig::Schemes(_) => "the signature is valid",
            VerifyConfig::Disabled(_) => "the route verifies nothing",
            VerifyConfig::ByAws => "AWS has authenticated the event",
        };
        self.finish_step(StepName::Verified, true, detail);
    }

    /// The route's programs have run.
    pub(super) fn mapped(&mut self, new: &NewJobs) {
        let accepted = match new.ignored {
            Some(reason @ IgnoreReason::When(_)) => reason.to_string(),
            _ => conditions_hold(self.conditions),
        };
        let ok = !matches!(new.ignored, Some(IgnoreReason::When(_)));
        self.add_step(StepName::Accepted, ok, accepted, Some(new.when_took));
        let took = self.clock.elapsed().saturating_sub(self.step_started);
        if ok {
            let requests = new.jobs.len();
            let detail = match requests {
                0 => "`map` yields nothing".to_owned(),
                1 => "1 update request".to_owned(),
                _ => format!("{requests} update requests"),
            };
            let took = took.saturating_sub(new.when_took);
            self.add_step(StepName::Mapped, true, detail, Some(took));
        }
        self.step_started = self.clock.elapsed();
        if let Some(reason) = new.ignored {
            self.entry.ignored_by = Some(match reason {
                IgnoreReason::When(key) => key.to_string(),
                IgnoreReason::Map => ProgramKey::Map.to_string(),
            });
            self.entry.reason = Some(reason.to_string());
        }
        self.entry.delivery.clone_from(&new.delivery_id);
        self.set_jobs(&new.jobs);
    }

    /// The jobs that will be stored.
    fn set_jobs(&mut self, jobs: &[Job]) {
        let ids = jobs.iter().take(JOBS_SHOWN).map(|job| job.id.to_string());
        self.entry.jobs = ids.collect();
        self.entry.jobs_count = jobs.len() as u64;
        let totals: Vec<u64> = jobs.iter().map(|job| job.counts().total).collect();
        let is_known = !totals.is_empty() && totals.iter().all(|total| *total > 0);
        self.entry.records = is_known.then(|| totals.iter().sum());
    }

    /// Sets the id under which the refused delivery is stored as a dead letter.
    pub(super) fn with_dead_letter(mut self, id: Option<String>) -> Self {
        self.entry.delivery = id;
        self
    }

    /// Records the accepted, duplicate or ignored delivery, which is answered with this status. Returns the id of its entry.
    pub(super) async fn accepted(
        mut self,
        outcome: DeliveryOutcome,
        status: Option<u16>,
    ) -> String {
        let class = match outcome {
            DeliveryOutcome::Accepted => LogClass::Accepted,
            DeliveryOutcome::Duplicate => LogClass::Duplicate,
            DeliveryOutcome::Ignored => LogClass::Ignored,
            DeliveryOutcome::Refused => LogClass::Refused,
        };
        let detail = match (class, self.entry.jobs_count) {
            (LogClass::Ignored, _) => None,
            (LogClass::Duplicate, _) => Some("its jobs existed already".to_owned()),
            (_, 1) => Some("1 job".to_owned()),
            (_, count) => Some(format!("{count} jobs")),
        };
        if let Some(detail) = detail {
            self.finish_step(StepName::Stored, true, detail);
        }
        self.entry.outcome = outcome;
        self.entry.status = status;
        self.record(class).await
    }

    /// Records the refused delivery, which is answered with this status. Returns the id of its entry.
    pub(super) async fn refused(mut self, rejection: &Rejection, status: Option<u16>) -> String {
        self.fail_step(rejection);
        self.entry.outcome = DeliveryOutcome::Refused;
        self.entry.status = status;
        self.entry.code = Some(rejection.code().to_owned());
        self.entry.reason = Some(truncated(&rejection.to_string(), MAX_REASON));
        self.entry.error = Some(delivery_error(rejection));
        let class = match self.is_verified {
            true => LogClass::Refused,
            false => LogClass::Stranger,
        };
        self.record(class).await
    }

    /// The step at which the rejection ended the delivery.
    fn fail_step(&mut self, rejection: &Rejection) {
        let has = |name: StepName| self.entry.steps.iter().any(|step| step.name == name);
        let is_about_when = matches!(
            rejection,
            Rejection::NotBoolean { .. }
                | Rejection::Mapping {
                    key: ProgramKey::When | ProgramKey::WhenItem(_),
                    ..
                }
        );
        let is_about_map = matches!(
            rejection,
            Rejection::Unmappable { .. }
                | Rejection::NotOrder { .. }
                | Rejection::Callback(_)
                | Rejection::Mapping {
                    key: ProgramKey::Map | ProgramKey::DeliveryId | ProgramKey::OrderBy,
                    ..
                }
        );
        let name = match (self.is_verified, is_about_when) {
            (false, _) => StepName::Verified,
            (true, true) => StepName::Accepted,
            (true, false) if has(StepName::Mapped) => StepName::Stored,
            (true, false) => StepName::Mapped,
        };
        if is_about_map && !has(StepName::Accepted) {
            let detail = conditions_hold(self.conditions);
            self.add_step(StepName::Accepted, true, detail, None);
        }
        match self.entry.steps.last_mut() {
            // Nothing was checked but the path.
            Some(received) if matches!(rejection, Rejection::NoSuchRoute { .. }) => {
                received.ok = false;
                received.detail = truncated(&rejection.to_string(), MAX_REASON);
            }
            _ => self.finish_step(name, false, rejection.to_string()),
        }
    }

    /// The id of its entry, unless the delivery is stored under another one.
    pub(super) fn id(&self) -> &str {
        &self.entry.id
    }

    /// Records the entry, unless too many come at once. Returns its id.
    async fn record(mut self, class: LogClass) -> String {
        let entry = &mut self.entry;
        // A duplicate has an id of its own, which a list can shorten.
        if let Some(delivery) = &entry.delivery
            && class != LogClass::Duplicate
        {
            entry.id.clone_from(delivery);
        }
        entry.class = class;
        entry.took_ms = Some(ms(self.clock.elapsed().saturating_sub(self.started)));
        let id = entry.id.clone();
        if let Some(admitted) = self.log.admit(class) {
            self.log.record(admitted, self.entry).await;
        }
        id
    }
}

/// Why a delivery that `when` does not ignore is accepted.
fn conditions_hold(count: usize) -> String {
    match count {
        0 => "the route has no `when`".to_owned(),
        1 => "`when` holds".to_owned(),
        _ => format!("all {count} conditions of `when` hold"),
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The rejection, and the place in the program that caused it.
fn delivery_error(rejection: &Rejection) -> DeliveryError {
    let errors = rejection.errors();
    let located = errors.first().filter(|error| error["line"].is_u64());
    let text = |name: &str| located.and_then(|error| error[name].as_str());
    let number = |name: &str| located.and_then(|error| error[name].as_u64());
    let excerpt = text("text").map(str::to_owned).into_iter().collect();
    let title = rejection.status().canonical_reason().unwrap_or_default();
    let errors: Vec<Value> = match located {
        Some(_) => Vec::new(),
        None => errors.iter().take(MAX_ERRORS).cloned().collect(),
    };
    DeliveryError {
        code: rejection.code().to_owned(),
        title: title.to_owned(),
        detail: truncated(&rejection.to_string(), MAX_DETAIL),
        program: text("program").map(str::to_owned),
        line: number("line"),
        column: number("column"),
        excerpt,
        hint: rejection.log_hint(),
        errors,
    }
}
