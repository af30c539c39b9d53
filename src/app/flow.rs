//! Processes a delivery: finds its route, verifies it, maps it and stores its jobs.

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tracing::Span;
use webhook_verify::handshake::Handshake;

use super::delivery_trace::DeliveryTrace;
use super::explain::{Explainer, Explanation};
use super::jobs::{Reception, new_jobs};
use super::preview::RequestContent;
use super::{Acceptance, App};
use crate::inbound::rejection::Rejection;
use crate::inbound::{AwsEvent, Delivery, InboundRequest, MappingOutcome, NamedRoute, Verified};
use crate::job::{Job, JobId};
use crate::metrics::DeliveryOutcome;
use crate::store::delivery::StoredDelivery;
use crate::store::truncated;
use crate::trigger::Trigger;
use strict_reader::nearest;

/// The response to a request for a route.
#[derive(Debug)]
pub enum HookResponse {
    /// The response to a handshake.
    Handshake(Handshake),
    /// An accepted delivery.
    Delivery {
        /// Its jobs.
        accepted: Acceptance,
        /// The response that its sender expects, if it expects a particular one.
        reply: Option<Handshake>,
        /// The id of its entry in the log of deliveries, if there is one.
        id: Option<String>,
    },
}

impl HookResponse {
    /// The HTTP status of the response.
    pub fn status(&self) -> u16 {
        match self {
            Self::Handshake(handshake) => handshake.status.as_u16(),
            Self::Delivery { accepted, .. } if accepted.needs_redelivery() => 503,
            Self::Delivery {
                reply: Some(reply), ..
            } => reply.status.as_u16(),
            Self::Delivery {
                accepted: Acceptance::Queued(jobs),
                ..
            } if !jobs.is_empty() => 202,
            Self::Delivery { .. } => 200,
        }
    }
}

impl App {
    /// Handles a request for a route. `deadline` is when the caller stops waiting.
    ///
    /// # Errors
    /// [`Rejection`]; no job was stored then.
    pub async fn deliver(
        &self,
        request: InboundRequest,
        deadline: Option<Timestamp>,
    ) -> Result<HookResponse, Rejection> {
        self.deliver_from(request, None, deadline).await
    }

    /// Handles a request as [`Self::deliver`] does. `sender` is the address that the log of deliveries shows.
    ///
    /// # Errors
    /// [`Rejection`]; no job was stored then.
    pub async fn deliver_from(
        &self,
        request: InboundRequest,
        sender: Option<String>,
        deadline: Option<Timestamp>,
    ) -> Result<HookResponse, Rejection> {
        let (route, trigger) = (request.route.clone(), request.origin.trigger);
        let mut trace = self.trace_request(&request, sender);
        match self.handle_request(request, deadline, &mut trace).await {
            Ok((mut response, outcome)) => {
                if let Some(outcome) = outcome {
                    self.metrics.count_delivery(&route, trigger, outcome);
                    if let Some(trace) = trace {
                        let recording = trace.accepted(outcome, Some(response.status()));
                        let recorded = Box::pin(recording).await;
                        if let HookResponse::Delivery { id, .. } = &mut response {
                            *id = Some(recorded);
                        }
                    }
                }
                Ok(response)
            }
            Err(rejection) => {
                self.count_refusal(&route, trigger, &rejection);
                if let Some(trace) = trace {
                    let status = rejection.status().as_u16();
                    let id = Box::pin(trace.refused(&rejection, Some(status))).await;
                    // The line about the refusal is logged in this span.
                    Span::current().record("delivery.id", id);
                }
                Err(rejection)
            }
        }
    }

    /// Counts a delivery that is answered with an error.
    pub fn count_refusal(&self, route: &str, trigger: Trigger, rejection: &Rejection) {
        let outcome = DeliveryOutcome::Refused;
        self.metrics.count_delivery(route, trigger, outcome);
        if rejection.is_about_mapping() {
            self.metrics.count_unmappable(route);
        }
    }

    /// Handles a request. Returns the outcome of the delivery, if it is one.
    async fn handle_request(
        &self,
        request: InboundRequest,
        deadline: Option<Timestamp>,
        trace: &mut Option<DeliveryTrace>,
    ) -> Result<(HookResponse, Option<DeliveryOutcome>), Rejection> {
        let mut reception = Reception::start(self.clock.as_ref());
        let route = self.route(&request.route)?;
        let verified = request
            .verify(route, &self.verifier, self.clock.now())
            .await?;
        reception.record_verification(self.clock.as_ref());
        let delivery = match verified {
            Verified::Handshake(handshake) => {
                self.check_signing(route).await?;
                return Ok((HookResponse::Handshake(handshake), None));
            }
            Verified::Subscription(subscription) => {
                let confirmation = Box::pin(self.verifier.confirm(&subscription)).await?;
                return Ok((HookResponse::Handshake(confirmation), None));
            }
            Verified::Delivery(delivery) => *delivery,
        };
        if let Some(trace) = trace {
            trace.verified(route.settings);
        }
        // Before the mapping, which costs more than this answer.
        self.intake.check_backlog()?;
        match new_jobs(self, &delivery, reception).await {
            Ok(new) => {
                if let Some(reason) = new.ignored {
                    let id = trace.as_ref().map(DeliveryTrace::id);
                    tracing::info!(delivery.id = id, route = route.name, because = %reason, "delivery ignored by its route: {reason}");
                }
                if let Some(trace) = trace {
                    trace.mapped(&new);
                }
                let accepting = Box::pin(self.intake.accept(new, deadline));
                let (accepted, outcome) = accepting.await?;
                let response = HookResponse::Delivery {
                    accepted,
                    reply: delivery.into_reply(),
                    id: None,
                };
                Ok((response, Some(outcome)))
            }
            Err(rejection) => {
                let stored = self.intake.store_dead_letter(&delivery, &rejection).await?;
                // With a trace, its entry has the same id and is recorded with the refusal. A field is recorded once.
                if let (Some(id), None) = (&stored, &trace) {
                    Span::current().record("delivery.id", id);
                }
                *trace = trace.take().map(|trace| trace.with_dead_letter(stored));
                Err(rejection)
            }
        }
    }

    /// Checks an event against each route of the config. Stores, sends and confirms nothing.
    pub async fn explain(
        &self,
        event: &InboundRequest,
        content: RequestContent,
    ) -> Vec<Explanation> {
        let explainer = Explainer {
            config: &self.config,
            mapping_threads: &self.mapping_threads,
            verifier: &self.verifier,
            now: self.clock.now(),
            content,
        };
        explainer.explain(event).await
    }

    /// Replays a dead letter. Of its jobs only those are repeated that failed or whose callback was given up. If the route
    /// ignores the delivery now, it stays a dead letter.
    ///
    /// # Errors
    /// [`Rejection`]; the delivery stays a dead letter then.
    pub fn replay<'a>(
        &'a self,
        stored: &'a StoredDelivery,
    ) -> BoxFuture<'a, Result<Acceptance, Rejection>> {
        Box::pin(async move {
            let route = self.route(&stored.route)?;
            let delivery = Delivery::replayed(stored, route);
            let reception = Reception::start(self.clock.as_ref());
            let new = new_jobs(self, &delivery, reception).await?;
            let accepted = self.intake.replay(new, stored).await?;
            self.log_replay(stored, accepted.jobs()).await;
            Ok(accepted)
        })
    }

    /// Adds a replay to the entry of its delivery. The replay does not depend on it.
    async fn log_replay(&self, stored: &StoredDelivery, jobs: &[Job]) {
        if jobs.is_empty() || !self.delivery_log.is_on() {
            return;
        }
        self.delivery_log.flush().await;
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id.clone()).collect();
        let logging = self.store().log_replay(&stored.id, &ids, self.clock.now());
        if let Err(error) = logging.await {
            tracing::warn!(
                delivery.id = stored.id,
                "the replay is missing in the log of deliveries: {error}"
            );
        }
    }

    /// Maps a delivery.
    ///
    /// # Errors
    /// [`Rejection`].
    pub(super) async fn map(&self, delivery: &Delivery<'_>) -> Result<MappingOutcome, Rejection> {
        let (limits, threads) = (&self.config.limits, &self.mapping_threads);
        let outcome = delivery.map(limits, threads).await?;
        if let Some(note) = &outcome.body_note {
            tracing::info!(route = delivery.route().name, "{note}");
        }
        Ok(outcome)
    }

    /// The event as a delivery for each route that listens to its trigger.
    pub(super) fn deliveries_from_aws(&self, event: &AwsEvent) -> Vec<Delivery<'_>> {
        let now = self.clock.now();
        let deliveries = self.config.routes.iter().filter_map(|(name, settings)| {
            let route = NamedRoute { name, settings };
            Delivery::from_aws(event, route, now)
        });
        deliveries.collect()
    }

    /// The route with this name.
    ///
    /// # Errors
    /// [`Rejection::NoSuchRoute`].
    pub(super) fn route(&self, name: &str) -> Result<NamedRoute<'_>, Rejection> {
        let route = self.config.routes.get_key_value(name);
        let route = route.map(|(name, settings)| NamedRoute { name, settings });
        route.ok_or_else(|| {
            let name = shown_name(name);
            let names = self.config.routes.keys().map(String::as_str);
            let nearest = nearest(&name, names).map(str::to_owned);
            Rejection::NoSuchRoute { name, nearest }
        })
    }
}

/// The part of an unknown route's name that can be a name. What follows in an odd path may be a token of the sender.
pub(super) fn shown_name(name: &str) -> String {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    match name.find(|c: char| !is_of_name(c)) {
        Some(end) => truncated(&name[..end], 80) + "…",
        None => truncated(name, 80),
    }
}
