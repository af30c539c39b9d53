//! Explains why a route accepts an event or not: the conditions of the route, in the order in which they are checked.

use http::Method;
use jiff::Timestamp;

use super::preview::{RequestContent, Verification};
use crate::config::{Config, Route};
use crate::inbound::rejection::Rejection;
use crate::inbound::{Delivery, InboundRequest, Mapper, NamedRoute, Verifier};
use crate::mapping::{self, PathValue, Pool, Program, ProgramKey};
use crate::trigger::Trigger;

/// A condition under which a route accepts an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The event comes by a trigger that the route's `on` names.
    Trigger,
    /// The event is sent to the route's path.
    Path,
    /// The event names the route.
    Name,
    /// The event is a delivery, not a handshake of its sender.
    Delivery,
    /// The HTTP method is one of the route's `http_methods`.
    Method,
    /// The signature is valid.
    Signature,
    /// The body can be decoded.
    Body,
    /// Every expression of the route's `when` is true.
    When,
    /// The route's `map` yields an update request.
    Map,
    /// The route's `order_by` yields a time or a number.
    Order,
}

impl Condition {
    /// The name of the condition in output.
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
            Self::Order => "order_by",
        }
    }
}

/// Whether an event meets one condition of a route.
#[derive(Debug)]
pub struct ConditionResult {
    /// The condition.
    pub condition: Condition,
    /// Whether the event meets it; `None` if that cannot be determined here.
    pub met: Option<bool>,
    /// The reason, in one sentence without secrets.
    pub found: String,
    /// Details, over several lines. They may contain personal data, so they are for the terminal.
    pub details: Option<String>,
    /// The expressions of `when`.
    pub expressions: Vec<ExpressionResult>,
}

impl ConditionResult {
    fn new(condition: Condition, met: Option<bool>, found: impl Into<String>) -> Self {
        Self {
            condition,
            met,
            found: found.into(),
            details: None,
            expressions: Vec::new(),
        }
    }

    fn refused(condition: Condition, rejection: &Rejection) -> Self {
        Self {
            details: rejection.long_details(),
            ..Self::new(condition, Some(false), rejection.to_string())
        }
    }
}

/// The result of one expression of `when`.
#[derive(Debug)]
pub struct ExpressionResult {
    /// The expression.
    pub text: String,
    /// What it yields; `None` if it was not evaluated, because an earlier one is false.
    pub holds: Option<bool>,
    /// The values at the paths that it reads, if it is false.
    pub values: Vec<PathValue>,
    /// The keys and types of the body, if a path that it reads is absent there.
    pub body_shape: Option<String>,
}

impl ExpressionResult {
    fn unevaluated(expression: &Program) -> Self {
        Self {
            text: expression.source().to_owned(),
            holds: None,
            values: Vec::new(),
            body_shape: None,
        }
    }

    /// What made the expression false, over several lines.
    fn details(&self) -> String {
        let mut lines = vec![self.text.trim_end().to_owned()];
        let values = self.values.iter();
        lines.extend(values.map(|value| format!("{} is {}", value.path, value.value)));
        let shape = self.body_shape.iter();
        lines.extend(shape.map(|shape| format!("in the input {shape}")));
        lines.join("\n")
    }
}

/// Why a route accepts an event or not.
#[derive(Debug)]
pub struct Explanation {
    /// The route.
    pub route: String,
    /// The conditions that were checked, in order.
    pub conditions: Vec<ConditionResult>,
}

impl Explanation {
    /// The first condition that the event does not meet. If there is none, the route accepts the event.
    pub fn first_false(&self) -> Option<&ConditionResult> {
        let mut conditions = self.conditions.iter();
        conditions.find(|result| result.met == Some(false))
    }

    /// Adds a result. Returns whether the route may still accept the event.
    fn add(&mut self, condition: Condition, met: Option<bool>, found: impl Into<String>) -> bool {
        self.conditions
            .push(ConditionResult::new(condition, met, found));
        met != Some(false)
    }

    fn add_rejection(&mut self, condition: Condition, rejection: &Rejection) {
        self.conditions
            .push(ConditionResult::refused(condition, rejection));
    }
}

/// Checks an event against the routes of a config. Stores, sends and confirms nothing.
pub(super) struct Explainer<'a> {
    pub(super) config: &'a Config,
    pub(super) mapping_threads: &'a Pool,
    pub(super) verifier: &'a Verifier,
    pub(super) now: Timestamp,
    pub(super) content: RequestContent,
}

impl Explainer<'_> {
    /// Checks an event against each route.
    pub(super) async fn explain(&self, event: &InboundRequest) -> Vec<Explanation> {
        let mut explanations = Vec::with_capacity(self.config.routes.len());
        for (name, route) in &self.config.routes {
            let mut explanation = Explanation {
                route: name.clone(),
                conditions: Vec::new(),
            };
            self.explain_route(&mut explanation, route, event).await;
            explanations.push(explanation);
        }
        explanations
    }

    async fn explain_route(
        &self,
        explanation: &mut Explanation,
        route: &Route,
        event: &InboundRequest,
    ) {
        let trigger = event.origin.trigger;
        if !check_trigger(explanation, route, trigger)
            || (trigger.has_signatures() && !check_address(explanation, event))
        {
            return;
        }
        let event = InboundRequest {
            route: explanation.route.clone(),
            ..event.clone()
        };
        // A secret that cannot be read is reported with the signature.
        if let Ok(Some((_, handshake))) = self.verifier.find_handshake(route, &event).await {
            if handshake.needs_verification
                && let Err(rejection) = self.verifier.check_signature(route, &event, self.now).await
                && !explain_failed_signature(explanation, rejection, self.content)
            {
                return;
            }
            let found = "a handshake of the sender, which gets a response; not mapped";
            explanation.add(Condition::Delivery, Some(false), found);
            return;
        }
        if trigger == Trigger::Http && !check_method(explanation, route, &event) {
            return;
        }
        // The conditions of a route are independent of the signature, so a wrong one does not end the explanation.
        let now = self.now;
        let mut delivery_id = None;
        match self.verifier.check_signature(route, &event, now).await {
            Ok(check) if check.subscription.is_some() => {
                let found =
                    "a subscription confirmation of Amazon SNS, which gets a response; not mapped";
                explanation.add(Condition::Delivery, Some(false), found);
                return;
            }
            Ok(check) => {
                delivery_id = check.delivery_id;
                let verification = Verification::passed(&route.verify).to_string();
                explanation.add(Condition::Signature, Some(true), verification);
            }
            Err(rejection) => {
                explain_failed_signature(explanation, rejection, self.content);
            }
        }
        let name = explanation.route.clone();
        let named = NamedRoute {
            name: &name,
            settings: route,
        };
        let delivery = Delivery::for_preview(event, named, delivery_id, now);
        let explaining =
            delivery.with_mapper(&self.config.limits, self.mapping_threads, explain_programs);
        match explaining.await {
            Ok(conditions) => explanation.conditions.extend(conditions),
            Err(rejection) => explanation.add_rejection(Condition::Body, &rejection),
        }
    }
}

/// Explains what the programs of a route yield.
fn explain_programs(mapper: &Mapper<'_>) -> Vec<ConditionResult> {
    let mut conditions = Vec::new();
    if let Some(note) = mapper.body_note() {
        conditions.push(ConditionResult::new(Condition::Body, Some(true), note));
    }
    let when = explain_when(mapper);
    let is_met = when.met == Some(true);
    conditions.push(when);
    if is_met {
        conditions.extend(explain_map(mapper));
    }
    conditions
}

/// Adds the result of a signature that is not valid or not checked. Returns whether the route may still accept the event.
fn explain_failed_signature(
    explanation: &mut Explanation,
    rejection: Rejection,
    content: RequestContent,
) -> bool {
    match Verification::failed(rejection, content) {
        Ok(Verification::Refused(why)) => explanation.add(Condition::Signature, Some(false), why),
        Ok(verification) => explanation.add(Condition::Signature, None, verification.to_string()),
        Err(rejection) => {
            explanation.add_rejection(Condition::Signature, &rejection);
            false
        }
    }
}

/// Checks the expressions of `when`.
fn explain_when(mapper: &Mapper<'_>) -> ConditionResult {
    let count = mapper.when().len();
    let mut expressions = Vec::with_capacity(count);
    let mut first_false: Option<(ProgramKey, String)> = None;
    for (index, expression) in mapper.when().iter().enumerate() {
        let mut result = ExpressionResult::unevaluated(expression);
        if first_false.is_none() {
            if let Err(rejection) = evaluate(&mut result, mapper, index) {
                return ConditionResult::refused(Condition::When, &rejection);
            }
            if result.holds == Some(false) {
                first_false = Some((mapper.key(index), result.details()));
            }
        }
        expressions.push(result);
    }
    let (met, found, details) = match first_false {
        Some((key, details)) => (false, format!("`{key}` is false"), Some(details)),
        None => {
            let found = match count {
                0 => "the route has none".to_owned(),
                1 => "is true".to_owned(),
                _ => format!("all {count} expressions are true"),
            };
            (true, found, None)
        }
    };
    ConditionResult {
        details,
        expressions,
        ..ConditionResult::new(Condition::When, Some(met), found)
    }
}

/// Evaluates an expression of `when`, and if it is false, the paths that it reads.
fn evaluate(
    result: &mut ExpressionResult,
    mapper: &Mapper<'_>,
    index: usize,
) -> Result<(), Rejection> {
    let holds = mapper.holds(index)?;
    result.holds = Some(holds);
    if !holds {
        result.values = mapping::path_values(&mapper.when()[index], mapper.session());
        let is_absent = result.values.iter().any(|value| value.is_absent);
        result.body_shape = is_absent.then(|| mapper.session().shape());
    }
    Ok(())
}

/// Explains what `map` yields, and `order_by` if the route has one.
fn explain_map(mapper: &Mapper<'_>) -> Vec<ConditionResult> {
    let rejection = match mapper.map() {
        Ok(mapped) => {
            let found = match mapped.updates.len() {
                0 => "yields nothing, so the event is ignored".to_owned(),
                1 => "yields 1 update request".to_owned(),
                several => format!("yields {several} update requests"),
            };
            let map = ConditionResult::new(Condition::Map, Some(!mapped.updates.is_empty()), found);
            let order = mapped.order.map(|order| {
                ConditionResult::new(Condition::Order, Some(true), format!("yields {order}"))
            });
            return [map].into_iter().chain(order).collect();
        }
        Err(rejection) => rejection,
    };
    let is_about_order = matches!(
        rejection,
        Rejection::NotOrder { .. }
            | Rejection::Mapping {
                key: ProgramKey::OrderBy,
                ..
            }
    );
    let condition = match is_about_order {
        true => Condition::Order,
        false => Condition::Map,
    };
    vec![ConditionResult::refused(condition, &rejection)]
}

fn check_trigger(explanation: &mut Explanation, route: &Route, trigger: Trigger) -> bool {
    let listens = route.accepts_trigger(trigger);
    let found = match listens {
        true => trigger.to_string(),
        false => {
            let names: Vec<&str> = route.on.iter().map(|trigger| trigger.as_str()).collect();
            format!(
                "the event was received by `{trigger}`, but `on` lists {}",
                names.join(", ")
            )
        }
    };
    explanation.add(Condition::Trigger, Some(listens), found)
}

/// Checks whether an event is sent to this route by name.
fn check_address(explanation: &mut Explanation, event: &InboundRequest) -> bool {
    let met = explanation.route == event.route;
    let (condition, found) = match (event.origin.trigger, met) {
        (Trigger::Http, true) => (Condition::Path, format!("/hooks/{}", explanation.route)),
        (Trigger::Http, false) => (
            Condition::Path,
            format!("the event was sent to /hooks/{}", event.route),
        ),
        (_, true) => (Condition::Name, explanation.route.clone()),
        (_, false) => (
            Condition::Name,
            format!("the event names `{}`", event.route),
        ),
    };
    explanation.add(condition, Some(met), found)
}

fn check_method(explanation: &mut Explanation, route: &Route, event: &InboundRequest) -> bool {
    let met = route.accepts_method(&event.method);
    let found = match met {
        true => event.method.to_string(),
        false => {
            let methods = route.http_methods.iter().map(Method::as_str);
            let methods = methods.collect::<Vec<_>>().join(", ");
            format!("{} is not in `http_methods`: {methods}", event.method)
        }
    };
    explanation.add(Condition::Method, Some(met), found)
}
