//! What the playground is asked to run.

use std::collections::BTreeMap;

use http::Method;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::config::{Route, VerifyConfig};
use crate::inbound::NamedRoute;
use crate::inbound::rejection::Rejection;
use crate::mapping::{self, Program};
use crate::trigger::Trigger;
use crate::update::UpdateMethod;

/// A request to the playground: a route, programs or both, and one event.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaygroundRequest {
    /// The route whose programs are run, or with which the edited ones are compared.
    #[serde(default)]
    pub route: Option<String>,
    /// Programs that replace those of the route. What is left out stays as it is deployed.
    #[serde(default)]
    pub config: Option<EditedPrograms>,
    /// The event: the id of a stored delivery.
    #[serde(default)]
    pub delivery: Option<String>,
    /// The event: the sample of a sender, by the name of its scheme.
    #[serde(default)]
    pub sample: Option<String>,
    /// The event: a JSON body.
    #[serde(default)]
    pub body: Option<Box<RawValue>>,
    /// The event: the text of a body of any content type.
    #[serde(default)]
    pub text: Option<String>,
    /// Headers of the event, besides those of a sample.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The query of the event, without the question mark.
    #[serde(default)]
    pub query: String,
}

/// The keys of a route that the playground edits.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EditedPrograms {
    #[serde(default)]
    when: Option<Expressions>,
    #[serde(default)]
    delivery_id: Option<String>,
    #[serde(default)]
    map: Option<String>,
    #[serde(default)]
    order_by: Option<String>,
    #[serde(default)]
    update_by: Option<UpdateMethod>,
}

/// One expression of `when`, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Expressions {
    One(String),
    Many(Vec<String>),
}

impl Expressions {
    fn sources(&self) -> &[String] {
        match self {
            Self::One(source) => std::slice::from_ref(source),
            Self::Many(sources) => sources,
        }
    }
}

/// The programs to run.
pub(super) struct Programs {
    when: Vec<Program>,
    delivery_id: Option<Program>,
    map: Program,
    order_by: Option<Program>,
    update_by: UpdateMethod,
}

/// The program, compiled already if the route has the same one.
fn program<'p>(source: &str, known: impl IntoIterator<Item = &'p Program>) -> Program {
    let mut known = known.into_iter();
    let known = known.find(|program| program.source() == source);
    known.cloned().unwrap_or_else(|| mapping::program(source))
}

/// A program that a route need not have: the edited one unless it is blank, or that of the route.
fn optional_program(
    edited: Option<&str>,
    route: Option<&Route>,
    of_route: impl Fn(&Route) -> Option<&Program>,
) -> Option<Program> {
    let known = route.and_then(of_route);
    match edited {
        Some(source) if source.trim().is_empty() => None,
        Some(source) => Some(program(source, known)),
        None => known.cloned(),
    }
}

impl PlaygroundRequest {
    /// The programs to run: the edited ones, and those of the route for the rest.
    ///
    /// # Errors
    /// [`Rejection::PlaygroundInput`] without a route and without `map`.
    pub(super) fn programs(&self, route: Option<NamedRoute<'_>>) -> Result<Programs, Rejection> {
        let route = route.map(|route| route.settings);
        let default = EditedPrograms::default();
        let edited = self.config.as_ref().unwrap_or(&default);
        let map = match (&edited.map, route) {
            (Some(source), route) => program(source, route.map(|route| &route.map)),
            (None, Some(route)) => route.map.clone(),
            (None, None) => {
                let why = "it names no `route`, so it needs a `map` under `config`";
                return Err(Rejection::PlaygroundInput(why.to_owned()));
            }
        };
        let when = match (&edited.when, route) {
            (Some(expressions), route) => {
                let sources = expressions.sources().iter();
                let known = || route.into_iter().flat_map(|route| &route.when);
                sources.map(|source| program(source, known())).collect()
            }
            (None, route) => route.map(|route| route.when.clone()).unwrap_or_default(),
        };
        let delivery_id = optional_program(edited.delivery_id.as_deref(), route, |route| {
            route.delivery_id.as_ref()
        });
        let order_by = optional_program(edited.order_by.as_deref(), route, |route| {
            route.order_by.as_ref()
        });
        let update_by = edited.update_by.or(route.map(|route| route.update_by));
        Ok(Programs {
            when,
            delivery_id,
            map,
            order_by,
            update_by: update_by.unwrap_or_default(),
        })
    }
}

impl Programs {
    /// Whether they differ from those of a route.
    pub(super) fn differs_from(&self, route: &Route) -> bool {
        let sources = |programs: &[Program]| -> Vec<String> {
            let sources = programs.iter().map(Program::source);
            sources.map(str::to_owned).collect()
        };
        let source =
            |program: &Option<Program>| program.as_ref().map(|one| one.source().to_owned());
        sources(&self.when) != sources(&route.when)
            || source(&self.delivery_id) != source(&route.delivery_id)
            || source(&self.order_by) != source(&route.order_by)
            || self.map.source() != route.map.source()
            || self.update_by != route.update_by
    }

    /// The settings of a route with these programs. Without a route, one that verifies nothing.
    pub(super) fn settings(self, route: Option<NamedRoute<'_>>) -> Route {
        let Self {
            when,
            delivery_id,
            map,
            order_by,
            update_by,
        } = self;
        match route {
            Some(route) => Route {
                when,
                delivery_id,
                map,
                order_by,
                update_by,
                ..route.settings.clone()
            },
            None => Route {
                on: vec![Trigger::Http],
                http_methods: vec![Method::POST],
                verify: VerifyConfig::Disabled(Vec::new()),
                cloudevents: None,
                when,
                delivery_id,
                map,
                order_by,
                order_for: None,
                callback_url: None,
                update_by,
                connection: String::new(),
                public_url: None,
                handshake_secret: Vec::new(),
                reenroll: false,
                batch_window: None,
                track_for: None,
                on_unknown_outcome: None,
                callback_on: None,
            },
        }
    }
}
