//! Compares what the routes of two configs do with an event. Nothing is sent and nothing is stored.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::difference::Difference;
use super::run::{ProgramRun, run_programs};
use crate::app::App;
use crate::inbound::rejection::Rejection;
use crate::inbound::{AwsEvent, Delivery, InboundRequest, NamedRoute};
use crate::store::delivery::StoredDelivery;

/// An event to compare.
#[derive(Clone, Copy, Debug)]
pub enum ComparedEvent<'a> {
    /// A request for a route.
    Request(&'a InboundRequest),
    /// A stored delivery.
    Stored(&'a StoredDelivery),
    /// An event for each route that listens to its trigger.
    Aws(&'a AwsEvent),
}

/// What the same route of two configs does with an event.
#[derive(Debug)]
pub struct RouteComparison {
    /// The route.
    pub route: String,
    difference: Difference,
}

impl RouteComparison {
    /// Whether the two do something else.
    pub fn differs(&self) -> bool {
        self.difference.changes().next().is_some()
    }

    /// The changes as JSON.
    pub fn to_json(&self) -> Value {
        let changes: Vec<Value> = self
            .difference
            .changes()
            .map(|entry| json!(entry))
            .collect();
        json!({"route": self.route, "difference": changes})
    }

    /// The changes, one in each line.
    pub fn lines(&self) -> Vec<String> {
        let changes = self.difference.changes();
        changes.map(ToString::to_string).collect()
    }
}

/// What one config does with an event.
struct Side {
    run: ProgramRun,
    connection: String,
    callback_url: Option<String>,
}

impl App {
    /// Compares this config with another for an event: for its route, or for each route of either config that listens to it.
    ///
    /// # Errors
    /// [`Rejection::NoSuchRoute`] if neither has the route, [`Rejection::Overloaded`].
    pub async fn compare_with(
        &self,
        other: &Self,
        event: ComparedEvent<'_>,
    ) -> Result<Vec<RouteComparison>, Rejection> {
        let (names, may_listen): (BTreeSet<&str>, _) = match event {
            ComparedEvent::Request(request) => ([request.route.as_str()].into(), false),
            ComparedEvent::Stored(stored) => ([stored.route.as_str()].into(), false),
            ComparedEvent::Aws(_) => {
                let names = self.config.routes.keys().chain(other.config.routes.keys());
                (names.map(String::as_str).collect(), true)
            }
        };
        let mut comparisons = Vec::new();
        for name in names {
            let (before, after) = (
                self.side(name, event).await?,
                other.side(name, event).await?,
            );
            if before.is_none() && after.is_none() {
                if may_listen {
                    continue;
                }
                self.route(name)?;
            }
            comparisons.push(RouteComparison {
                route: name.to_owned(),
                difference: difference_of(before.as_ref(), after.as_ref()),
            });
        }
        Ok(comparisons)
    }

    /// Runs a route on an event; none if the config has no such route, or if it does not listen to the event.
    async fn side(&self, name: &str, event: ComparedEvent<'_>) -> Result<Option<Side>, Rejection> {
        let Ok(route) = self.route(name) else {
            return Ok(None);
        };
        let now = self.clock.now();
        let delivery = match event {
            ComparedEvent::Request(request) => {
                Some(Delivery::for_preview(request.clone(), route, None, now))
            }
            ComparedEvent::Stored(stored) => Some(Delivery::replayed(stored, route)),
            ComparedEvent::Aws(event) => Delivery::from_aws(event, route, now),
        };
        match delivery {
            Some(delivery) => Ok(Some(self.run_side(&delivery, route).await?)),
            None => Ok(None),
        }
    }

    async fn run_side(
        &self,
        delivery: &Delivery<'_>,
        route: NamedRoute<'_>,
    ) -> Result<Side, Rejection> {
        let threads = &self.playground_threads;
        let running = delivery.with_mapper(&self.config.limits, threads, run_programs);
        let run = match running.await {
            Ok(run) => run?,
            Err(rejection @ Rejection::Overloaded(_)) => return Err(rejection),
            Err(rejection) => ProgramRun::refused(&rejection),
        };
        let callback_url = route.settings.callback_url.as_ref();
        Ok(Side {
            run: ProgramRun {
                limits: self.plan_limits(Some(route.name)),
                ..run
            },
            connection: route.settings.connection.clone(),
            callback_url: callback_url.map(ToString::to_string),
        })
    }
}

fn difference_of(before: Option<&Side>, after: Option<&Side>) -> Difference {
    let run = |side: Option<&'_ Side>| side.map(|side| side.run.clone());
    let (from, to) = (run(before), run(after));
    let mut difference = Difference::of_runs(from.as_ref(), to.as_ref());
    // Where one of them does nothing, its other settings do not matter.
    let (Some(before), Some(after)) = (before, after) else {
        return difference;
    };
    if before.run.updates().is_empty() || after.run.updates().is_empty() {
        return difference;
    }
    let pairs = [
        (
            "delivery_id",
            json!(before.run.delivery_id()),
            json!(after.run.delivery_id()),
        ),
        (
            "connection",
            json!(before.connection),
            json!(after.connection),
        ),
        (
            "callback_url",
            json!(before.callback_url),
            json!(after.callback_url),
        ),
    ];
    for (name, from, to) in pairs {
        difference.compare(name, &from, &to);
    }
    difference
}
