//! The playground: runs a route, or an edited `when` and `map`, on an event, and compares the result with the deployed route.
//! The steps are those of [`App::preview`]. Nothing is sent and nothing is stored. Its programs have a thread of their own,
//! so that one without an end delays no delivery.

mod abridged;
mod against;
mod difference;
mod event;
mod located_error;
mod request;
mod run;
pub(super) mod yaml;

use serde_json::{Value, json};

use super::App;
use crate::inbound::rejection::Rejection;
use crate::inbound::{Delivery, NamedRoute};
use abridged::abridged;
pub use against::{ComparedEvent, RouteComparison};
use difference::Difference;
use event::PlaygroundEvent;
pub use request::PlaygroundRequest;
use run::{Outcome, ProgramRun, run_programs};

/// Update requests that are shown.
const MAX_REQUESTS: usize = 20;

impl App {
    /// Runs a route, or edited programs, on an event.
    ///
    /// # Errors
    /// [`Rejection`] if the request names no event or no programs, or resources are short. What is wrong with the programs
    /// or the body is part of the result.
    pub async fn playground(&self, request: PlaygroundRequest) -> Result<Value, Rejection> {
        let event = self.playground_event(&request).await?;
        let deployed = event.route.as_deref().or(request.route.as_deref());
        let deployed = match deployed {
            // The route of a stored delivery may be gone from the config.
            Some(name) if request.route.is_none() && event.is_stored() => self.route(name).ok(),
            Some(name) => Some(self.route(name)?),
            None => None,
        };
        let name = deployed.map_or("playground", |route| route.name);
        let edited = request.programs(deployed)?;
        let is_edited = deployed.is_none_or(|deployed| edited.differs_from(deployed.settings));
        let settings = edited.settings(deployed);
        let route = NamedRoute {
            name,
            settings: &settings,
        };
        let run = self.run_in_playground(&event, route).await?;
        let before = match deployed {
            Some(deployed) if is_edited => Some(self.run_in_playground(&event, deployed).await?),
            Some(_) => Some(run.clone()),
            None => None,
        };
        let difference = before.as_ref().map(|before| Difference::of(before, &run));
        let mut answer = run.to_json();
        answer["route"] = json!(deployed.map(|route| route.name));
        answer["event"] = event.to_json();
        answer["edited"] = json!(is_edited);
        answer["deployed"] = before.map_or(Value::Null, |before| before.to_short_json());
        answer["difference"] = json!(difference.as_ref().map(Difference::to_json));
        answer["difference_omitted"] = json!(difference.map_or(0, |difference| difference.omitted));
        answer["yaml"] = yaml::of_programs(&settings).into();
        Ok(answer)
    }

    async fn run_in_playground(
        &self,
        event: &PlaygroundEvent,
        route: NamedRoute<'_>,
    ) -> Result<ProgramRun, Rejection> {
        let now = self.clock.now();
        let delivery = match event.stored() {
            Some(stored) => Delivery::replayed(stored, route),
            None => Delivery::for_preview(
                event.request(route),
                route,
                event.delivery_id().map(str::to_owned),
                now,
            ),
        };
        let limits = self.config.limits.of_playground();
        let run = delivery.with_mapper(&limits, &self.playground_threads, run_programs);
        match run.await {
            Ok(run) => run.map(|run| ProgramRun {
                limits: self.plan_limits(Some(route.name)),
                ..run
            }),
            Err(rejection @ Rejection::Overloaded(_)) => Err(rejection),
            Err(rejection) => Ok(ProgramRun::refused(&rejection)),
        }
    }
}

impl ProgramRun {
    fn to_json(&self) -> Value {
        let mut answer = self.to_short_json();
        answer["when"] = json!(self.when);
        answer["errors"] = json!(self.errors);
        answer["hints"] = json!(self.hints);
        answer["took_ms"] = json!(self.took.as_secs_f64() * 1_000.0);
        answer["note"] = json!(self.note);
        answer["delivery_id"] = json!(self.delivery_id());
        answer
    }

    /// What the run yields, without the way there.
    fn to_short_json(&self) -> Value {
        let updates = self.updates();
        let shown = updates.iter().take(MAX_REQUESTS);
        let requests = shown.map(|update| abridged(&update.to_json()));
        json!({
            "accepted": matches!(self.outcome, Outcome::Updates { .. }),
            "ignored": self.ignored(),
            "requests": requests.collect::<Vec<_>>(),
            "requests_omitted": updates.len().saturating_sub(MAX_REQUESTS),
            "order": self.order().map(|order| order.to_string()),
            "plan": self.plan(),
            "error": self.errors.first(),
        })
    }
}
