//! Runs a route's programs over a verified delivery.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::cloud_events::Attributes;
use super::decoding::DecodedBody;
use super::delivery::DeliveryContent;
use super::rejection::Rejection;
use super::{Delivery, NamedRoute};
use crate::config::Limits;
use crate::mapping::{self, EvalError, MappingInput, Pool, Program, ProgramKey, Session, Worker};
use crate::update::{OrderValue, UpdateMethod, UpdateRequest};

/// Result of mapping a delivery.
#[derive(Clone, Debug, PartialEq)]
pub struct MappingOutcome {
    /// The id that distinguishes the delivery from all others of its route.
    pub delivery_id: String,
    /// The update requests; empty if the route ignores the delivery.
    pub updates: Vec<UpdateRequest>,
    /// The value of the route's `order_by`, if it has one and the delivery is not ignored.
    pub order: Option<OrderValue>,
    /// Why the route ignores the delivery.
    pub ignored: Option<IgnoreReason>,
    /// What was repaired in the body, or left out.
    pub body_note: Option<String>,
    /// How long the conditions of `when` took.
    pub when_took: Duration,
}

/// Why a route ignores a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IgnoreReason {
    /// An expression of `when` is false.
    When(ProgramKey),
    /// `map` has no output.
    Map,
}

impl fmt::Display for IgnoreReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::When(key) => write!(formatter, "`{key}` is false"),
            Self::Map => formatter.write_str("`map` yields nothing"),
        }
    }
}

/// The programs of a route.
#[derive(Clone)]
struct RoutePrograms {
    route: String,
    when: Vec<Program>,
    delivery_id: Option<Program>,
    map: Program,
    order_by: Option<Program>,
    update_by: UpdateMethod,
}

impl RoutePrograms {
    fn of(route: NamedRoute<'_>) -> Self {
        Self {
            route: route.name.to_owned(),
            when: route.settings.when.clone(),
            delivery_id: route.settings.delivery_id.clone(),
            map: route.settings.map.clone(),
            order_by: route.settings.order_by.clone(),
            update_by: route.settings.update_by,
        }
    }

    fn contain(&self, word: &str) -> bool {
        let programs = self.when.iter().chain(&self.delivery_id);
        let programs = programs.chain([&self.map]).chain(&self.order_by);
        programs
            .into_iter()
            .any(|program| program.source().contains(word))
    }
}

impl Delivery<'_> {
    /// Maps the delivery to update requests, on one of `threads`.
    ///
    /// # Errors
    /// [`Rejection`] if the body cannot be read, a program fails, or resources are short.
    pub async fn map(&self, limits: &Limits, threads: &Pool) -> Result<MappingOutcome, Rejection> {
        self.with_mapper(limits, threads, |mapper| {
            let started = Instant::now();
            for index in 0..mapper.when().len() {
                if !mapper.holds(index)? {
                    let ignored = mapper.ignored(IgnoreReason::When(mapper.key(index)));
                    let when_took = started.elapsed();
                    return Ok(MappingOutcome {
                        when_took,
                        ..ignored
                    });
                }
            }
            let when_took = started.elapsed();
            let outcome = mapper.map()?;
            Ok(MappingOutcome {
                when_took,
                ..outcome
            })
        })
        .await?
    }

    /// Decodes the body on one of `threads`, and calls `work` there. All programs of the delivery run in this one visit.
    ///
    /// # Errors
    /// [`Rejection::Body`], [`Rejection::NotJson`], [`Rejection::Mapping`] if the input is too large, and
    /// [`Rejection::Overloaded`].
    pub(crate) async fn with_mapper<T: Send + 'static>(
        &self,
        limits: &Limits,
        threads: &Pool,
        work: impl FnOnce(&Mapper<'_>) -> T + Send + 'static,
    ) -> Result<T, Rejection> {
        let (content, limits) = (self.content().clone(), *limits);
        let programs = RoutePrograms::of(self.route());
        let bytes = content.body.len();
        let visit = move |worker: &Worker| {
            let mapper = Mapper::open(worker, programs, &content, &limits)?;
            Ok(work(&mapper))
        };
        threads
            .run(bytes, visit)
            .await
            .map_err(Rejection::Overloaded)?
    }
}

/// Runs the programs of a route over a delivery whose body is decoded.
pub(crate) struct Mapper<'a> {
    session: Session<'a>,
    programs: RoutePrograms,
    content: &'a DeliveryContent,
    lone_surrogates: usize,
    part_problems: Vec<String>,
    /// The delivery id of a CloudEvent.
    event_id: Option<String>,
}

impl<'a> Mapper<'a> {
    fn open(
        worker: &'a Worker,
        programs: RoutePrograms,
        content: &'a DeliveryContent,
        limits: &Limits,
    ) -> Result<Self, Rejection> {
        let DecodedBody {
            document: body,
            unpacked,
            part_problems,
            attributes,
        } = content.decode(&programs.route, limits.max_body_bytes)?;
        // Copies of what the programs do not use would cost more than most programs.
        let used = |word, values: fn(&DeliveryContent) -> BTreeMap<String, String>| {
            if programs.contain(word) {
                values(content)
            } else {
                BTreeMap::new()
            }
        };
        let raw = std::str::from_utf8(&unpacked).ok();
        let input = MappingInput {
            body: &body,
            headers: &used("$headers", DeliveryContent::header_values),
            query: &used("$query", DeliveryContent::parameters),
            route: &programs.route,
            received_at: content.received_at,
            raw: raw.filter(|_| programs.contain("$raw")),
            trigger: &used("$trigger", |content| content.origin.variable()),
            cloud_event: attributes.as_ref().map(Attributes::as_map),
        };
        let key = match programs.when.len() {
            0 => ProgramKey::Map,
            count => ProgramKey::of_when(0, count),
        };
        let session = input.open(worker, &limits.mapping());
        Ok(Self {
            session: session.map_err(|error| failed(&programs.route, key, error))?,
            lone_surrogates: body.lone_surrogates(),
            part_problems,
            event_id: attributes.as_ref().map(Attributes::delivery_id),
            programs,
            content,
        })
    }

    /// The expressions of the route's `when`.
    pub(crate) fn when(&self) -> &[Program] {
        &self.programs.when
    }

    /// The route's `map`.
    pub(crate) fn map_program(&self) -> &Program {
        &self.programs.map
    }

    /// The route's `order_by`.
    pub(crate) fn order_program(&self) -> Option<&Program> {
        self.programs.order_by.as_ref()
    }

    /// The key of an expression of `when`.
    pub(crate) fn key(&self, index: usize) -> ProgramKey {
        ProgramKey::of_when(index, self.programs.when.len())
    }

    /// The input of the programs, on which others can be run.
    pub(crate) fn session(&self) -> &Session<'a> {
        &self.session
    }

    /// What was repaired in the body, or left out.
    pub(crate) fn body_note(&self) -> Option<String> {
        let count = self.lone_surrogates;
        let escapes = match count {
            0 if self.part_problems.is_empty() => return None,
            0 => return Some(self.part_problems.join("; ")),
            1 => "1 escape of the body is a lone surrogate".to_owned(),
            _ => format!("{count} escapes of the body are lone surrogates"),
        };
        let why = "half of a character, as of a text cut in the middle; taken as U+FFFD";
        Some(format!("{escapes}: {why}"))
    }

    /// Whether an expression of `when` is true.
    ///
    /// # Errors
    /// [`Rejection::Mapping`], [`Rejection::NotBoolean`], [`Rejection::Overloaded`].
    pub(crate) fn holds(&self, index: usize) -> Result<bool, Rejection> {
        let (expression, key) = (&self.programs.when[index], self.key(index));
        let outputs = self.run(key, expression)?;
        mapping::to_boolean(expression, &outputs).map_err(|error| Rejection::NotBoolean {
            route: self.programs.route.clone(),
            key,
            error,
        })
    }

    /// Maps a delivery for which `when` holds.
    ///
    /// # Errors
    /// [`Rejection`] if a program fails or an output is not an update request.
    pub(crate) fn map(&self) -> Result<MappingOutcome, Rejection> {
        let programs = &self.programs;
        let own_id = match &programs.delivery_id {
            Some(program) => {
                let outputs = self.run(ProgramKey::DeliveryId, program)?;
                outputs.into_iter().next().and_then(as_id)
            }
            None => None,
        };
        let delivery_id = own_id
            .or_else(|| self.content.signed_event_id().map(str::to_owned))
            .or_else(|| self.event_id.clone())
            .or_else(|| self.content.origin.id().map(str::to_owned))
            .unwrap_or_else(|| self.content.fingerprint());
        let outputs = self.run(ProgramKey::Map, &programs.map)?;
        let unmappable = |outputs| Rejection::Unmappable {
            route: programs.route.clone(),
            outputs,
        };
        let updates = mapping::update_requests(&outputs, programs.update_by).map_err(unmappable)?;
        let order = match updates.is_empty() {
            true => None,
            false => self.order(&updates)?,
        };
        Ok(MappingOutcome {
            delivery_id,
            ignored: updates.is_empty().then_some(IgnoreReason::Map),
            updates,
            order,
            body_note: self.body_note(),
            when_took: Duration::ZERO,
        })
    }

    /// The value of the route's `order_by`, if it has one.
    fn order(&self, updates: &[UpdateRequest]) -> Result<Option<OrderValue>, Rejection> {
        let Some(program) = &self.programs.order_by else {
            return Ok(None);
        };
        let route = || self.programs.route.clone();
        mapping::check_ordered(updates).map_err(|outputs| Rejection::Unmappable {
            route: route(),
            outputs,
        })?;
        // Ids and versions may have more digits than a number of JSON can have here.
        let outputs = self.session.run_exact(program);
        let outputs =
            outputs.map_err(|error| failed(&self.programs.route, ProgramKey::OrderBy, error))?;
        let order = mapping::to_order(&outputs);
        order.map(Some).map_err(|error| Rejection::NotOrder {
            route: route(),
            error,
        })
    }

    fn ignored(&self, reason: IgnoreReason) -> MappingOutcome {
        MappingOutcome {
            delivery_id: String::new(),
            updates: Vec::new(),
            order: None,
            ignored: Some(reason),
            body_note: self.body_note(),
            when_took: Duration::ZERO,
        }
    }

    fn run(&self, key: ProgramKey, program: &Program) -> Result<Vec<Value>, Rejection> {
        let result = self.session.run(program);
        result.map_err(|error| failed(&self.programs.route, key, error))
    }
}

/// The rejection for a program without a result. A lack of resources is no fault of the program or of the body.
fn failed(route: &str, key: ProgramKey, error: EvalError) -> Rejection {
    if let EvalError::Unavailable(overload) = error {
        return Rejection::Overloaded(overload);
    }
    Rejection::Mapping {
        route: route.to_owned(),
        key,
        error,
    }
}

impl DeliveryContent {
    /// Headers with lower-case names; repeated ones are joined by commas (RFC 9110 section 5.3). A message has attributes
    /// instead, under their own names.
    fn header_values(&self) -> BTreeMap<String, String> {
        let mut values = self.origin.attributes.clone();
        for (name, value) in &self.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            values
                .entry(name.as_str().to_owned())
                .and_modify(|joined| {
                    joined.push_str(", ");
                    joined.push_str(&value);
                })
                .or_insert_with(|| value.into_owned());
        }
        values
    }
}

/// The delivery id in the output of a `delivery_id` program. Only strings and numbers distinguish deliveries:
/// `.a // false` must not give all of them the same job.
fn as_id(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
