//! Why an event is for a route, or is not: what the route asks of it, in the order in which it asks.

use http::Method;

use super::rejection::Rejection;
use super::{App, InboundRequest};
use crate::config::{Route, Verify};
use crate::inbound::trigger::Trigger;
use crate::mapping::{Input, Judgement};

/// What a route asks of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// That it comes by a trigger that the route's `on` names.
    Trigger,
    /// That it is sent to the route's path.
    Path,
    /// That it names the route.
    Name,
    /// That it is a delivery, and not its sender's handshake.
    Delivery,
    /// That its method is one of those that deliver.
    Method,
    /// That it is genuine.
    Signature,
    /// That its body can be read.
    Body,
    /// That the route's `when` holds.
    When,
    /// That the route's `map` makes something of it.
    Map,
}

impl Condition {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trigger => "trigger",
            Self::Path => "path",
            Self::Name => "route",
            Self::Delivery => "delivery",
            Self::Method => "method",
            Self::Signature => "signature",
            Self::Body => "body",
            Self::When => "when",
            Self::Map => "map",
        }
    }
}

/// A condition, and whether an event meets it.
#[derive(Debug)]
pub struct Asked {
    /// Which.
    pub condition: Condition,
    /// Whether it does; `None` if that cannot be told here.
    pub met: Option<bool>,
    /// Why, in a sentence. No secret stands in it.
    pub found: String,
    /// More about it, over several lines: it may hold people's data, and is for the terminal.
    pub at_length: Option<String>,
    /// The terms of `when`.
    pub judgement: Option<Judgement>,
}

/// Why an event is for a route, or is not.
#[derive(Debug)]
pub struct Explanation {
    /// The route.
    pub route: String,
    /// What was asked, in order.
    pub asked: Vec<Asked>,
}

impl Explanation {
    /// The first condition that the event does not meet. With none, the event is for the route.
    pub fn first_false(&self) -> Option<&Asked> {
        self.asked.iter().find(|asked| asked.met == Some(false))
    }

    /// Notes an answer; says whether the event may still be for the route.
    fn note(&mut self, condition: Condition, met: Option<bool>, found: impl Into<String>) -> bool {
        self.asked.push(Asked {
            condition,
            met,
            found: found.into(),
            at_length: None,
            judgement: None,
        });
        met != Some(false)
    }

    fn refused(&mut self, condition: Condition, rejection: &Rejection) {
        self.asked.push(Asked {
            condition,
            met: Some(false),
            found: rejection.to_string(),
            at_length: rejection.at_length(),
            judgement: None,
        });
    }
}

impl App {
    /// Asks each route of the config whether an event is for it. Nothing is stored, sent or confirmed.
    pub async fn explain(&self, event: &InboundRequest) -> Vec<Explanation> {
        let mut explanations = Vec::with_capacity(self.config.routes.len());
        for (name, route) in &self.config.routes {
            let mut explanation = Explanation {
                route: name.clone(),
                asked: Vec::new(),
            };
            self.ask(&mut explanation, route, event).await;
            explanations.push(explanation);
        }
        explanations
    }

    async fn ask(&self, told: &mut Explanation, route: &Route, event: &InboundRequest) {
        let trigger = event.origin.trigger;
        let hears = route.hears(trigger);
        let found = match hears {
            true => trigger.to_string(),
            false => {
                let named: Vec<&str> = route.on.iter().map(|trigger| trigger.as_str()).collect();
                format!(
                    "it comes by `{trigger}`, and `on` names {}",
                    named.join(", ")
                )
            }
        };
        if !told.note(Condition::Trigger, Some(hears), found) {
            return;
        }
        if trigger.brings_proof() && !addressed(told, event) {
            return;
        }
        let mut event = InboundRequest {
            route: told.route.clone(),
            ..event.clone()
        };
        // A secret that cannot be had is told of with the signature.
        if let Ok(Some((_, handshake))) = self.handshake(route, &event).await {
            let found = match handshake.needs_verification {
                true => {
                    "it is its sender's handshake: answered if its signature holds, and not mapped"
                }
                false => "it is its sender's handshake, which is answered; nothing is mapped",
            };
            told.note(Condition::Delivery, Some(false), found);
            return;
        }
        if trigger == Trigger::Http && !method(told, route, &event) {
            return;
        }
        // A wrong signature says nothing of what the route would make of a right one, so the rest is asked all the same.
        match self.prove(route, &event).await {
            Ok(genuine) if genuine.subscribe.is_some() => {
                let found = "Amazon SNS asks for a confirmation, which it gets; nothing is mapped";
                told.note(Condition::Delivery, Some(false), found);
                return;
            }
            Ok(genuine) => {
                event.is_called(genuine.delivery_id);
                let found = match &route.verify {
                    Verify::Schemes(_) => format!("verified: {}", route.verify),
                    Verify::Nothing | Verify::ByAws => route.verify.to_string(),
                };
                told.note(Condition::Signature, Some(true), found);
            }
            Err(Rejection::Secret(error)) => {
                told.note(Condition::Signature, None, format!("not checked: {error}"));
            }
            Err(rejection) => told.refused(Condition::Signature, &rejection),
        }
        event.leave_out_secrets(&route.verify);
        let seen = match self.see(&event) {
            Ok(seen) => seen,
            Err(rejection) => return told.refused(Condition::Body, &rejection),
        };
        let input = seen.input(&event.route, self.clock.now());
        if self.predicate(told, route, &input).await {
            self.yields(told, route, &event, &input).await;
        }
    }

    /// Asks for `when`; says whether it holds.
    async fn predicate(&self, told: &mut Explanation, route: &Route, input: &Input<'_>) -> bool {
        let Some(when) = &route.when else {
            return told.note(Condition::When, Some(true), "the route has none");
        };
        let judged = when.judge(input, &self.config.limits.mapping()).await;
        let judgement = match judged {
            Ok(judgement) => judgement,
            Err(error) => {
                let (route, key) = (input.route.to_owned(), "when");
                let failed = Rejection::Mapping { route, key, error };
                told.refused(Condition::When, &failed);
                return false;
            }
        };
        let count = judgement.terms.len();
        let (found, at_length) = match judgement.first_false() {
            None if judgement.holds && count > 1 => (format!("holds, all {count} terms"), None),
            None if judgement.holds => ("holds".to_owned(), None),
            None => ("is false".to_owned(), None),
            Some(term) => {
                let place = judgement.terms.iter().position(|one| one == term);
                let place = place.map_or(0, |place| place + 1);
                let found = match count {
                    1 => "is false".to_owned(),
                    _ => format!("term {place} of {count} is the first to be false"),
                };
                let mut lines = vec![term.place.excerpt()];
                let looked_at = term.looked_at.iter();
                lines.extend(looked_at.map(|(text, value)| format!("{text} is {value}")));
                let shape = term.shape.as_ref();
                lines.extend(shape.map(|shape| format!("in the input {shape}")));
                (found, Some(lines.join("\n")))
            }
        };
        let holds = judgement.holds;
        told.asked.push(Asked {
            condition: Condition::When,
            met: Some(holds),
            found,
            at_length,
            judgement: Some(judgement),
        });
        holds
    }

    async fn yields(
        &self,
        told: &mut Explanation,
        route: &Route,
        event: &InboundRequest,
        input: &Input<'_>,
    ) {
        match self.mapped(route, event, input).await {
            Ok(mapped) => {
                let found = match mapped.updates.len() {
                    0 => "yields nothing, so the event is ignored".to_owned(),
                    1 => "yields 1 update request".to_owned(),
                    several => format!("yields {several} update requests"),
                };
                told.note(Condition::Map, Some(!mapped.updates.is_empty()), found);
            }
            Err(rejection) => told.refused(Condition::Map, &rejection),
        }
    }
}

/// Asks whether an event is sent to this route by name.
fn addressed(told: &mut Explanation, event: &InboundRequest) -> bool {
    let to = told.route == event.route;
    let (condition, found) = match (event.origin.trigger, to) {
        (Trigger::Http, true) => (Condition::Path, format!("/hooks/{}", told.route)),
        (Trigger::Http, false) => (
            Condition::Path,
            format!("it was sent to /hooks/{}", event.route),
        ),
        (_, true) => (Condition::Name, told.route.clone()),
        (_, false) => (Condition::Name, format!("it names `{}`", event.route)),
    };
    told.note(condition, Some(to), found)
}

fn method(told: &mut Explanation, route: &Route, event: &InboundRequest) -> bool {
    let delivers = route.takes(&event.method);
    let found = match delivers {
        true => event.method.to_string(),
        false => {
            let methods = route.http_methods.iter().map(Method::as_str);
            let methods = methods.collect::<Vec<_>>().join(" and ");
            format!("{} delivers nothing; {methods} do", event.method)
        }
    };
    told.note(Condition::Method, Some(delivers), found)
}
