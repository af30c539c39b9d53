//! Handles AWS events. An event names no route, and may be for several.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use jiff::Timestamp;

use super::intake::StoredJobs;
use super::jobs::{Reception, new_jobs};
use super::{Acceptance, App};
use crate::inbound::AwsEvent;
use crate::inbound::rejection::Rejection;
use crate::job::JobId;
use crate::metrics::{self, DeliveryOutcome};
use crate::trigger::Trigger;

/// Events of one batch that are mapped and stored concurrently.
const CONCURRENT_EVENTS: usize = 16;

/// Result of handling one AWS event.
#[derive(Debug)]
pub struct EventOutcome {
    /// The jobs of all routes that accept the event.
    pub accepted: Acceptance,
    /// The routes that could not map the event. It is a dead letter of each of them.
    pub dead_letters: BTreeMap<String, DeadLettered>,
}

/// An event that a route could not map.
#[derive(Debug)]
pub struct DeadLettered {
    /// The id of the stored delivery.
    pub delivery: String,
    /// Why.
    pub rejection: Rejection,
}

impl EventOutcome {
    /// Whether every route ignores the event.
    pub fn is_ignored(&self) -> bool {
        self.accepted.jobs().is_empty() && self.dead_letters.is_empty()
    }
}

/// An event whose jobs are stored, but not started.
#[derive(Default)]
struct StoredEvent {
    jobs: StoredJobs,
    dead_letters: BTreeMap<String, DeadLettered>,
    /// The routes that ignore the event, each with its reason.
    ignored: Vec<String>,
    /// Why the event must be delivered again.
    failed: Option<Rejection>,
}

impl App {
    /// Handles a batch of events; jobs of all events are started together. An event is for each route that listens to its trigger
    /// and whose `when` holds. The outcomes are in the order of the events.
    ///
    /// An event fails if it cannot be stored, or if it can neither be mapped nor become a dead letter. It should then be
    /// delivered again, which finds the jobs that are stored already.
    pub async fn handle_events(
        &self,
        events: &[AwsEvent],
        deadline: Option<Timestamp>,
    ) -> Vec<Result<EventOutcome, Rejection>> {
        let mut stored: Vec<StoredEvent> = Vec::with_capacity(events.len());
        let mut storing = FuturesOrdered::new();
        for event in events {
            if storing.len() == CONCURRENT_EVENTS {
                stored.extend(storing.next().await);
            }
            storing.push_back(self.store_event(event));
        }
        while let Some(event) = storing.next().await {
            stored.push(event);
        }
        let mut jobs = Vec::with_capacity(stored.len());
        let mut rest = Vec::with_capacity(stored.len());
        for event in stored {
            jobs.push(event.jobs);
            rest.push((event.dead_letters, event.ignored, event.failed));
        }
        let accepted = self.intake.start(jobs, deadline).await;
        let mut outcomes = Vec::with_capacity(events.len());
        for ((event, accepted), (dead_letters, ignored, failed)) in
            events.iter().zip(accepted).zip(rest)
        {
            let outcome = match failed {
                Some(rejection) => Err(rejection),
                None => accepted.map(|accepted| EventOutcome {
                    accepted,
                    dead_letters,
                }),
            };
            if outcome.as_ref().is_ok_and(EventOutcome::is_ignored) {
                log_ignored(event, &ignored);
            }
            outcomes.push(outcome);
        }
        outcomes
    }

    /// Maps an event for each of its routes, and stores the jobs.
    async fn store_event(&self, event: &AwsEvent) -> StoredEvent {
        let mut stored = StoredEvent::default();
        let mut all = Vec::new();
        let mut has_listener = false;
        let trigger = event.origin.trigger;
        for delivery in self.deliveries_from_aws(event) {
            has_listener = true;
            let route = delivery.route().name;
            let mut trace = self.trace_event(&delivery);
            let reception = Reception::start(self.clock.as_ref());
            match new_jobs(self, &delivery, reception).await {
                Ok(new) => {
                    if let Some(reason) = new.ignored {
                        let id = trace.as_ref().map(|trace| format!(" {}", trace.id()));
                        let id = id.unwrap_or_default();
                        stored.ignored.push(format!("{route}{id}: {reason}"));
                    }
                    if let Some(trace) = &mut trace {
                        trace.mapped(&new);
                    }
                    all.push((route, new, trace));
                }
                Err(rejection) => {
                    self.count_refusal(route, trigger, &rejection);
                    let put = self.intake.store_dead_letter(&delivery, &rejection).await;
                    if let Some(trace) = trace {
                        let id = put.as_ref().ok().cloned().flatten();
                        trace.with_dead_letter(id).refused(&rejection, None).await;
                    }
                    match put {
                        Ok(Some(delivery)) => {
                            let dead_lettered = DeadLettered {
                                delivery,
                                rejection,
                            };
                            stored.dead_letters.insert(route.to_owned(), dead_lettered);
                        }
                        Ok(None) => stored.failed = Some(rejection),
                        Err(not_stored) => stored.failed = Some(not_stored),
                    }
                }
            }
        }
        if !has_listener {
            let outcome = DeliveryOutcome::Ignored;
            self.metrics
                .count_delivery(metrics::OTHER, trigger, outcome);
        }
        for (route, new, trace) in all {
            let job = new.jobs.first().map(|job| job.id.clone());
            let (jobs, delivery_id) = (new.jobs.len(), new.delivery_id.clone());
            match self.intake.add(new, &mut stored.jobs).await {
                Ok(outcome) => {
                    self.metrics.count_delivery(route, trigger, outcome);
                    let mut id = delivery_id;
                    if let Some(trace) = trace {
                        id = Some(trace.accepted(outcome, None).await);
                    }
                    if let (Some(job), Some(id)) = (job, id) {
                        log_stored(trigger, route, &id, outcome, &job, jobs);
                    }
                }
                Err(rejection) => {
                    self.count_refusal(route, trigger, &rejection);
                    if let Some(trace) = trace {
                        trace.refused(&rejection, None).await;
                    }
                    stored.failed = Some(rejection);
                }
            }
        }
        stored
    }
}

/// Logs a delivery whose jobs are stored.
fn log_stored(
    trigger: Trigger,
    route: &str,
    id: &str,
    outcome: DeliveryOutcome,
    job: &JobId,
    jobs: usize,
) {
    let more = match jobs {
        1 => String::new(),
        _ => format!(" and {} more", jobs - 1),
    };
    let outcome = outcome.as_str();
    tracing::info!(%trigger, route, delivery.id = id, job.id = %job, "{trigger} {route} {id} {outcome} -> {job}{more}");
}

fn log_ignored(event: &AwsEvent, reasons: &[String]) {
    let (trigger, id) = (event.origin.trigger, event.origin.id());
    let because = match reasons.is_empty() {
        true => "no route listens to it".to_owned(),
        false => reasons.join("; "),
    };
    tracing::info!(%trigger, event.id = id, because, "event ignored: no route accepts it");
}
