//! Runs a route's jq program over a delivery. Pure: no I/O, bounded time and memory.
//!
//! The engine is jaq. It was made for people who run their own programs over their own files; here a slip in a program
//! must not hang a server, and a hostile body must not bring one down. So the engine runs behind a fence:
//!
//! - **Names.** A program sees the filters of an allow-list ([`natives`]): nothing that reads the environment, files or
//!   the clock, writes, or ends the process.
//! - **Steps.** The engine asks its host for the compiled terms at every step it takes; our answer counts the step,
//!   looks at the depth of the stack, and now and then at the clock ([`fence`]).
//! - **Values.** The engine is generic over its values; ours ([`value`]) count what is about to be allocated, how deep it
//!   is nested and how far every loop has come, before they do it.
//! - **The end.** When a limit is reached, the evaluation is unwound from where it stands. A program cannot catch that.
//!   It runs on a thread of its own with a stack of known size, and the thread is gone afterwards.

mod compile;
mod document;
mod failure;
mod fence;
mod keys;
mod locate;
mod natives;
mod operators;
mod pattern;
mod terms;
mod value;
mod walk;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jaq_core::{Ctx, Filter, ValT as _, Vars};
use jaq_json::Val;
use serde_json::Value;

use crate::update::{Method, UpdateRequest};

pub use compile::CompileError;
pub use document::{Document, NotJson};
pub use failure::{Failing, Failure, Place};
pub use terms::{JudgedTerm, Judgement};

use compile::Marks;
use fence::{Allowance, Ended, Stop};
use natives::{Engine, Terms};
use value::V;
use walk::NotJsonValue;

/// What a program sees of a delivery.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The body: `.`
    pub body: &'a Document,
    /// The headers, names in lower case: `$headers`
    pub headers: &'a BTreeMap<String, String>,
    /// The query parameters: `$query`
    pub query: &'a BTreeMap<String, String>,
    /// The route's name: `$route`
    pub route: &'a str,
    /// When the delivery came: `$received_at`, a string in RFC 3339
    pub received_at: jiff::Timestamp,
    /// The body as text, byte for byte; `None` if it is none: `$raw`
    pub raw: Option<&'a str>,
    /// What brought the delivery: `$trigger`
    pub trigger: &'a BTreeMap<String, String>,
}

/// What a program may use and yield.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the body, headers and query together. Default: 1 MiB.
    pub input_bytes: usize,
    /// Outputs. Default: 100.
    pub outputs: usize,
    /// Bytes of all outputs together, as JSON text, roughly. Default: 4 MiB.
    pub output_bytes: usize,
    /// Time on the clock. Default: 250 ms; a small Lambda with a fraction of a processor may want more.
    pub time: Duration,
    /// Steps of the engine. Default: 5 million, which is more than the default time allows on most machines; tests use
    /// it because, unlike time, it always gives the same answer.
    pub steps: u64,
    /// Bytes allocated for values, counted without what is freed meanwhile. Default: 128 MiB.
    pub memory_bytes: usize,
    /// Bytes of stack. Default: 16 MiB.
    pub stack_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            input_bytes: 1 << 20,
            outputs: 100,
            output_bytes: 4 << 20,
            time: Duration::from_millis(250),
            steps: 5_000_000,
            memory_bytes: 128 << 20,
            stack_bytes: 16 << 20,
        }
    }
}

/// Why a program gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// The program is not valid.
    #[error("the program does not compile: {0}")]
    Compile(#[from] CompileError),
    /// The program ended in an error, by itself or through its input.
    #[error("the program failed: {0}")]
    Failed(Box<Failure>),
    /// The input is larger than allowed.
    #[error(
        "the delivery has more than {limit} bytes; raise the limit or have the sender send less"
    )]
    InputTooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// The program took too long.
    #[error("the program took longer than {} ms; look for a loop without an end, or raise the time limit", limit.as_millis())]
    TimedOut {
        /// Time allowed.
        limit: Duration,
    },
    /// The program did too much.
    #[error("the program took more than {limit} steps; look for a loop without an end")]
    TooManySteps {
        /// Steps allowed.
        limit: u64,
    },
    /// The program built too much.
    #[error(
        "the program needs more than {limit} bytes of memory; look for something that grows in a loop"
    )]
    TooMuchMemory {
        /// Bytes allowed.
        limit: usize,
    },
    /// A definition calls itself too often.
    #[error(
        "the program's definitions call each other too deeply; look for a recursion without an end"
    )]
    TooMuchRecursion,
    /// A value is nested too deep.
    #[error(
        "a value is nested or indexed too deeply; look for something that wraps a value in a loop"
    )]
    TooDeep,
    /// The program yields too many outputs.
    #[error(
        "the program yields more than {limit} outputs; put many ids into one update request instead"
    )]
    TooManyOutputs {
        /// Outputs allowed.
        limit: usize,
    },
    /// The outputs are too large.
    #[error("the outputs have more than {limit} bytes; yield only what the update needs")]
    TooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// An output holds nan or infinity.
    #[error("output {output} holds a number that is nan or infinite; look for a division by zero")]
    NotANumber {
        /// Which output, from 1.
        output: usize,
    },
    /// An output holds a number that would be rounded on the way.
    #[error(
        "output {output} holds {number}, which cannot be passed on exactly as a number; use `tostring`"
    )]
    InexactNumber {
        /// Which output, from 1.
        output: usize,
        /// The number.
        number: String,
    },
    /// An output holds a string that is not UTF-8.
    #[error("output {output} holds a string that is not UTF-8; look for a wrong @base64d or @urid")]
    NotText {
        /// Which output, from 1.
        output: usize,
    },
    /// The system has no thread for the evaluation.
    #[error("the mapping cannot start: {message}")]
    Unavailable {
        /// What the system says.
        message: String,
    },
}

impl EvalError {
    /// Where the program is wrong or failed.
    pub fn place(&self) -> Option<&Place> {
        if let Self::Compile(error) = self {
            Some(&error.place)
        } else if let Self::Failed(failure) = self {
            failure.failing().map(|failing| &failing.place)
        } else {
            None
        }
    }

    /// All that is known, over several lines, for the terminal of whoever tries a program: it may hold people's data.
    pub fn at_length(&self) -> String {
        let mut lines = Vec::new();
        if let Self::Failed(failure) = self {
            lines.push(failure.told().to_owned());
        }
        lines.extend(self.place().map(Place::excerpt));
        if let Self::Failed(failure) = self
            && let Some(failing) = failure.failing()
        {
            lines.push(format!("on the input {}", failing.input));
        }
        lines.join("\n")
    }
}

/// One jq program. Cheap to create; it is compiled once, when first needed.
#[derive(Clone)]
pub struct Program {
    source: String,
    compiled: Compiled,
    /// The same with marks at its parts. Only a program that has failed needs it.
    marked: Compiled,
}

type Compiled = OnceLock<Result<Arc<Filter<Engine>>, CompileError>>;

impl std::fmt::Debug for Program {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_tuple("Program")
            .field(&self.source)
            .finish()
    }
}

/// What crosses over to the evaluation's thread.
#[derive(Clone)]
struct Job {
    filter: Arc<Filter<Engine>>,
    /// The program's text, if the place is looked for where it fails.
    searched: Option<String>,
    body: Document,
    headers: BTreeMap<String, String>,
    query: BTreeMap<String, String>,
    route: String,
    received_at: String,
    raw: Option<String>,
    trigger: BTreeMap<String, String>,
    limits: Limits,
}

impl Program {
    /// A program, not looked at yet.
    pub fn new(source: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            compiled: OnceLock::new(),
            marked: OnceLock::new(),
        }
    }

    /// The program's text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The keys of the objects that the program writes down, each behind those that it stands under: `match`,
    /// `territory.name`. What it puts out is not known before it runs.
    pub fn keys(&self) -> BTreeSet<String> {
        compile::keys(&self.source)
    }

    /// Compiles the program, unless that was done before.
    ///
    /// # Errors
    /// When it is not valid jq or uses what a route does not have.
    pub fn check(&self) -> Result<(), CompileError> {
        self.filter().map(drop)
    }

    fn filter(&self) -> Result<Arc<Filter<Engine>>, CompileError> {
        self.compiled
            .get_or_init(|| compile::compile(&self.source, Marks::None).map(Arc::new))
            .clone()
    }

    /// Runs the program; the thread that calls is not blocked.
    ///
    /// # Errors
    /// When the program does not compile, fails, or reaches a limit.
    pub async fn run(&self, input: &Input<'_>, limits: &Limits) -> Result<Vec<Value>, EvalError> {
        let job = self.job(input, limits)?;
        let result = wait(job.clone()).await;
        let Err(EvalError::Failed(failure)) = result else {
            return result;
        };
        let again = match self.search(job) {
            Some(job) => wait(job).await,
            None => return Err(EvalError::Failed(failure)),
        };
        Err(EvalError::Failed(located(failure, again)))
    }

    /// Runs the program and waits for it.
    ///
    /// # Errors
    /// As for [`Program::run`].
    pub fn run_blocking(
        &self,
        input: &Input<'_>,
        limits: &Limits,
    ) -> Result<Vec<Value>, EvalError> {
        let job = self.job(input, limits)?;
        let result = wait_blocking(job.clone());
        let Err(EvalError::Failed(failure)) = result else {
            return result;
        };
        let again = match self.search(job) {
            Some(job) => wait_blocking(job),
            None => return Err(EvalError::Failed(failure)),
        };
        Err(EvalError::Failed(located(failure, again)))
    }

    /// The job that finds the place where this one failed.
    fn search(&self, job: Job) -> Option<Job> {
        let marked = self
            .marked
            .get_or_init(|| compile::compile(&self.source, Marks::Set).map(Arc::new));
        Some(Job {
            filter: marked.clone().ok()?,
            searched: Some(self.source.clone()),
            ..job
        })
    }

    fn job(&self, input: &Input<'_>, limits: &Limits) -> Result<Job, EvalError> {
        let pairs = input.headers.iter().chain(input.query).chain(input.trigger);
        let bytes: usize = pairs.map(|(name, value)| name.len() + value.len()).sum();
        if bytes.saturating_add(input.body.text().len()) > limits.input_bytes {
            return Err(EvalError::InputTooLarge {
                limit: limits.input_bytes,
            });
        }
        Ok(Job {
            filter: self.filter()?,
            searched: None,
            body: input.body.clone(),
            headers: input.headers.clone(),
            query: input.query.clone(),
            route: input.route.to_owned(),
            received_at: input.received_at.to_string(),
            // A copy of the body; most programs never look at it.
            raw: input
                .raw
                .filter(|_| self.source.contains("$raw"))
                .map(str::to_owned),
            trigger: input.trigger.clone(),
            limits: *limits,
        })
    }
}

async fn wait(job: Job) -> Result<Vec<Value>, EvalError> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    start(job, move |result| drop(sender.send(result)))?;
    receiver.await.unwrap_or_else(|_| Err(lost()))
}

fn wait_blocking(job: Job) -> Result<Vec<Value>, EvalError> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = start(job, move |result| drop(sender.send(result)))?;
    let result = receiver.recv().unwrap_or_else(|_| Err(lost()));
    drop(thread.join());
    result
}

/// A failure together with what the search for its place found. Marks cost steps and stack, so it may find nothing.
fn located(failure: Box<Failure>, search: Result<Vec<Value>, EvalError>) -> Box<Failure> {
    match search {
        Err(EvalError::Failed(found)) => Box::new(Failure {
            told: failure.told,
            ..*found
        }),
        Ok(_) | Err(_) => failure,
    }
}

fn lost() -> EvalError {
    EvalError::Unavailable {
        message: "its thread ended without an answer".to_owned(),
    }
}

fn start(
    job: Job,
    answer: impl FnOnce(Result<Vec<Value>, EvalError>) + Send + 'static,
) -> Result<std::thread::JoinHandle<()>, EvalError> {
    let limits = job.limits;
    let allowance = Allowance {
        time: limits.time,
        steps: limits.steps,
        memory: limits.memory_bytes,
        stack: limits.stack_bytes,
    };
    let done = move |ended| {
        answer(match ended {
            Ended::Done(result) => result,
            Ended::Stopped(stop) => Err(stopped(stop, &limits)),
            Ended::Panicked(message) => Err(failed(Failure::plain(format!(
                "the jq engine gave up ({message}); please report the program"
            )))),
        });
    };
    fence::spawn(allowance, move || evaluate(&job), done).map_err(|error| EvalError::Unavailable {
        message: error.to_string(),
    })
}

fn failed(failure: Failure) -> EvalError {
    EvalError::Failed(Box::new(failure))
}

fn stopped(stop: Stop, limits: &Limits) -> EvalError {
    match stop {
        Stop::Time => EvalError::TimedOut { limit: limits.time },
        Stop::Steps => EvalError::TooManySteps {
            limit: limits.steps,
        },
        Stop::Memory => EvalError::TooMuchMemory {
            limit: limits.memory_bytes,
        },
        Stop::Stack => EvalError::TooMuchRecursion,
        Stop::Depth => EvalError::TooDeep,
    }
}

/// The evaluation itself, on its own thread.
fn evaluate(job: &Job) -> Result<Vec<Value>, EvalError> {
    let strings = |map: &BTreeMap<String, String>| {
        let entries = map
            .iter()
            .map(|(name, value)| (V::text(name), V::text(value)));
        V::from_map(entries).map_err(|error| failed(Failure::plain(error.to_string())))
    };
    let variables = [
        strings(&job.headers)?,
        strings(&job.query)?,
        V::text(&job.route),
        V::text(&job.received_at),
        job.raw.as_ref().map_or(V::leaf(Val::Null), V::text),
        strings(&job.trigger)?,
    ];
    if let Some(source) = &job.searched {
        locate::begin(source.clone());
    }
    let context = Ctx::<Engine>::new(Terms(&job.filter.lut), Vars::new(variables));
    let mut outputs = Vec::new();
    let mut budget = job.limits.output_bytes;
    for output in job.filter.id.run((context, natives::read(&job.body))) {
        let output = output.map_err(|exception| match exception.get_err() {
            Ok(error) => failed(failure_of(&error.into_val())),
            Err(_) => failed(Failure::plain("it broke out of something that had ended")),
        })?;
        let number = outputs.len() + 1;
        if number > job.limits.outputs {
            return Err(EvalError::TooManyOutputs {
                limit: job.limits.outputs,
            });
        }
        let value = walk::to_value(&output.val, &mut budget).map_err(|problem| match problem {
            NotJsonValue::NotFinite => EvalError::NotANumber { output: number },
            NotJsonValue::TooBig(text) => EvalError::InexactNumber {
                output: number,
                number: text,
            },
            NotJsonValue::TooLarge => EvalError::TooLarge {
                limit: job.limits.output_bytes,
            },
            NotJsonValue::NotText => EvalError::NotText { output: number },
        })?;
        outputs.push(value);
    }
    Ok(outputs)
}

/// Characters of an error that are told.
const TOLD: usize = 500;

/// What can be told of the error that ended a program.
fn failure_of(error: &V) -> Failure {
    let told = error
        .as_str()
        .map_or_else(|| error.to_string(), |text| cut(text, TOLD));
    let (shape, failing) = locate::found(error).unzip();
    Failure {
        told,
        shape: shape.map(|shape| cut(&shape, TOLD)),
        failing: failing.flatten(),
    }
}

/// A message of at most so many characters, and a sign that there are more.
fn cut(message: &str, most: usize) -> String {
    match message.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &message[..at]),
        None => message.to_owned(),
    }
}

/// What is wrong with one output of a route's mapping.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("output {output}{}{pointer}: {message}", if pointer.is_empty() { "" } else { " at " })]
pub struct Unmappable {
    /// Which output, from 1.
    pub output: usize,
    /// Where in it, as a JSON pointer; empty for the whole output.
    pub pointer: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// The update requests that a mapping's outputs stand for, made by `method` unless they say otherwise. No output means that
/// the delivery is ignored.
///
/// # Errors
/// Every problem of every output.
pub fn updates(outputs: &[Value], method: Method) -> Result<Vec<UpdateRequest>, Vec<Unmappable>> {
    let mut requests = Vec::new();
    let mut problems = Vec::new();
    for (index, value) in outputs.iter().enumerate() {
        let output = index + 1;
        if value.is_null() {
            let message =
                "null is not an update request; use `empty` to ignore a delivery".to_owned();
            problems.push(Unmappable {
                output,
                pointer: String::new(),
                message,
            });
            continue;
        }
        match UpdateRequest::parse_for(method, value) {
            Ok(request) => requests.push(request),
            Err(found) => problems.extend(found.into_iter().map(|problem| Unmappable {
                output,
                pointer: problem.at.pointer(),
                message: problem.message,
            })),
        }
    }
    if problems.is_empty() {
        Ok(requests)
    } else {
        Err(problems)
    }
}

/// Whether a predicate such as a route's `when` holds: its first output is neither false nor null.
pub fn truthy(outputs: &[Value]) -> bool {
    !matches!(
        outputs.first(),
        None | Some(Value::Null | Value::Bool(false))
    )
}
