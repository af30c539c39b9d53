//! What AWS's own triggers bring: an event that names no route, and may be for several.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::HeaderMap;
use jiff::Timestamp;

use super::rejection::Rejection;
use super::{Acceptance, App, InboundRequest, StoredJobs};
use crate::inbound::trigger::Origin;

/// Events of one batch that are mapped and stored at once.
const AT_ONCE: usize = 16;

/// An event of one of AWS's own triggers. AWS has decided that its sender may send it.
#[derive(Clone)]
pub struct AwsEvent {
    /// Where it came from, with the id under which AWS delivers it.
    pub origin: Origin,
    /// What it says, byte for byte.
    pub body: Bytes,
}

impl AwsEvent {
    /// The event as a route takes it.
    pub fn arrival(&self, route: String) -> InboundRequest {
        InboundRequest {
            origin: self.origin.clone(),
            ..InboundRequest::post(route, HeaderMap::new(), self.body.clone())
        }
    }
}

impl fmt::Debug for AwsEvent {
    /// Without what it says: that is people's data.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AwsEvent")
            .field("origin", &self.origin)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// What became of an event.
#[derive(Debug)]
pub struct EventOutcome {
    /// The jobs of all routes that make something of it.
    pub accepted: Acceptance,
    /// The routes that could not map it, and why. It is kept for each of them.
    pub kept: BTreeMap<String, Rejection>,
}

impl EventOutcome {
    /// Whether no route made anything of it.
    pub fn is_ignored(&self) -> bool {
        self.accepted.jobs().is_empty() && self.kept.is_empty()
    }
}

/// An event on its way: its jobs are stored, and wait to be set going.
struct Prepared {
    admitted: StoredJobs,
    kept: BTreeMap<String, Rejection>,
    /// The routes that ignore it, each with its reason.
    ignored: Vec<String>,
    /// Why it has to come again.
    failed: Option<Rejection>,
}

impl App {
    /// The event as each route that listens to its trigger takes it.
    pub fn arrivals(&self, notice: &AwsEvent) -> Vec<InboundRequest> {
        let routes = self.config.routes.iter();
        let listening = routes.filter(|(_, route)| route.hears(notice.origin.trigger));
        listening
            .map(|(name, _)| notice.arrival(name.clone()))
            .collect()
    }

    /// Takes events through the flow, each on its own, and all jobs of them together. One event may be for several routes:
    /// for each that listens to its trigger and whose `when` holds. What is said of each event stands in its place.
    ///
    /// An event fails if it cannot be stored, or if it can neither be mapped nor kept: then it should come again. What did
    /// succeed of it is found again.
    pub async fn handle_events(
        &self,
        notices: &[AwsEvent],
        deadline: Option<Timestamp>,
    ) -> Vec<Result<EventOutcome, Rejection>> {
        let prepared = stream::iter(notices.iter().map(|notice| self.prepare(notice)));
        let prepared: Vec<Prepared> = prepared.buffered(AT_ONCE).collect().await;
        let mut admitted = Vec::with_capacity(prepared.len());
        let mut rest = Vec::with_capacity(prepared.len());
        let mut ignored = Vec::with_capacity(prepared.len());
        for one in prepared {
            ignored.push(one.ignored);
            admitted.push(one.admitted);
            rest.push((one.kept, one.failed));
        }
        let accepted = self.go(admitted, deadline).await;
        let outcomes = accepted.into_iter().zip(rest);
        let outcomes = outcomes.map(|(accepted, (kept, failed))| match failed {
            Some(rejection) => Err(rejection),
            None => accepted.map(|accepted| EventOutcome { accepted, kept }),
        });
        let outcomes: Vec<Result<EventOutcome, Rejection>> = outcomes.collect();
        for ((notice, outcome), routes) in notices.iter().zip(&outcomes).zip(ignored) {
            if outcome.as_ref().is_ok_and(EventOutcome::is_ignored) {
                let (trigger, id) = (notice.origin.trigger, notice.origin.id());
                let because = match routes.is_empty() {
                    true => "no route listens to it".to_owned(),
                    false => routes.join("; "),
                };
                tracing::info!(%trigger, event.id = id, because, "event ignored: no route makes anything of it");
            }
        }
        outcomes
    }

    async fn prepare(&self, notice: &AwsEvent) -> Prepared {
        let (mut wanted, mut kept, mut failed) = (Vec::new(), BTreeMap::new(), None);
        let mut ignored = Vec::new();
        for arrival in self.arrivals(notice) {
            match self.jobs_of(&arrival).await {
                Ok(more) => {
                    ignored.extend(more.ignored.map(|why| format!("{}: {why}", arrival.route)));
                    wanted.push(more);
                }
                Err(rejection) => match self.keep(&arrival, &rejection).await {
                    Ok(true) => {
                        kept.insert(arrival.route, rejection);
                    }
                    Ok(false) => failed = Some(rejection),
                    Err(unkept) => failed = Some(unkept),
                },
            }
        }
        let mut admitted = StoredJobs::default();
        for wanted in wanted {
            if let Err(rejection) = self.admit(wanted, &mut admitted).await {
                failed = Some(rejection);
            }
        }
        Prepared {
            admitted,
            kept,
            ignored,
            failed,
        }
    }
}
