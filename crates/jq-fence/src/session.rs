//! Runs compiled programs over one input, on a thread with a stack of known size.

use std::marker::PhantomData;
use std::time::Instant;

use jaq_core::{Ctx, Filter, Vars};
use jaq_json::{Num, Val};
use serde_json::Value;

use crate::engine::{Engine, Terms};
use crate::error::EvalError;
use crate::failure::{Failure, truncated};
use crate::fence::{self, Deadlines, Outcome, Quotas, STACK_RESERVE};
use crate::limits::Limits;
use crate::locate;
use crate::pool::Overload;
use crate::program::{Input, Program};
use crate::shape;
use crate::value::FencedValue;
use crate::value::json::{self, ExportError};
use crate::value::numeral;

/// Characters of an error message that are kept.
const MAX_MESSAGE: usize = 500;

/// The thread that carries out some work, with a stack that is large enough for programs. Only the crate makes one, and it
/// cannot leave its thread.
#[derive(Debug)]
pub struct Worker {
    stack_bytes: usize,
    memory_bytes: usize,
    /// The wall-clock time at which programs end.
    deadline: Option<Instant>,
    not_send: PhantomData<*const ()>,
}

impl Worker {
    /// This thread, whose stack has `stack_bytes` and [`STACK_RESERVE`].
    pub(crate) fn new(stack_bytes: usize, memory_bytes: usize, deadline: Option<Instant>) -> Self {
        Self {
            stack_bytes,
            memory_bytes,
            deadline,
            not_send: PhantomData,
        }
    }

    /// Calls `work` on a thread of its own and blocks until it ends.
    ///
    /// # Errors
    /// [`Overload::NoThread`].
    pub(crate) fn on_own_thread<T: Send>(
        stack_bytes: usize,
        work: impl FnOnce(&Self) -> T + Send,
    ) -> Result<T, Overload> {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new()
                .name("jq".to_owned())
                .stack_size(stack_bytes.saturating_add(STACK_RESERVE))
                .spawn_scoped(scope, move || {
                    work(&Self::new(stack_bytes, usize::MAX, None))
                });
            let thread = thread.map_err(|error| Overload::NoThread(error.to_string()))?;
            Ok(match thread.join() {
                Ok(value) => value,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })
    }

    /// Reads an input, over which programs can be run then.
    ///
    /// # Errors
    /// [`EvalError`] if the input is too large for the limits.
    pub fn open(&self, input: &Input<'_>, limits: &Limits) -> Result<Session<'_>, EvalError> {
        Session::open(self, input, limits)
    }
}

/// An input, read once for all programs that run over it. They share its processor time; each has steps, memory and outputs
/// of its own.
pub struct Session<'w> {
    worker: &'w Worker,
    limits: Limits,
    deadlines: Deadlines,
    /// Bytes that the input leaves for the values of a program.
    memory_left: usize,
    document: FencedValue,
    variables: Vec<FencedValue>,
    /// Whether outputs that are long numbers become strings, with all of their digits.
    keeps_digits: bool,
}

impl std::fmt::Debug for Session<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Session")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl<'w> Session<'w> {
    fn open(worker: &'w Worker, input: &Input<'_>, limits: &Limits) -> Result<Self, EvalError> {
        let limits = Limits {
            stack_bytes: limits.stack_bytes.min(worker.stack_bytes),
            memory_bytes: limits.memory_bytes.min(worker.memory_bytes),
            ..*limits
        };
        if input.document.text().len() > limits.input_bytes {
            return Err(EvalError::InputTooLarge {
                limit: limits.input_bytes,
            });
        }
        let mut session = Self {
            worker,
            limits,
            deadlines: Deadlines::after(limits.time, worker.deadline),
            memory_left: limits.memory_bytes,
            document: FencedValue::leaf(jaq_json::Val::Null),
            variables: Vec::new(),
            keeps_digits: false,
        };
        let (values, memory_left) = session.fenced(|| {
            let internal = |error: String| EvalError::failed(Failure::internal(error));
            let document = input.document.to_value().map_err(internal)?;
            let variables = input.variables.iter().map(|value| {
                FencedValue::import(value).map_err(|error| internal(error.to_string()))
            });
            Ok((document, variables.collect::<Result<Vec<_>, _>>()?))
        });
        (session.document, session.variables) = values?;
        session.memory_left = memory_left;
        Ok(session)
    }

    /// Runs a program. One that fails runs once more, with as much processor time as the session had at its start, to locate
    /// the error.
    ///
    /// # Errors
    /// [`EvalError`] if the program does not compile, fails, or reaches a limit. The next program can be run nevertheless.
    pub fn run(&self, program: &Program) -> Result<Vec<Value>, EvalError> {
        let filter = program.filter()?;
        let failure = match self.evaluate(&filter, program, None) {
            Err(EvalError::Failed(failure)) => failure,
            result => return result,
        };
        Err(EvalError::Failed(match program.instrumented() {
            Some(filter) => self.located(failure, &filter, program),
            None => failure,
        }))
    }

    /// Runs a program like [`Session::run`]. An output that is a number of the input with a fraction, or with more digits than 64
    /// bits hold, becomes a string with all of its digits.
    ///
    /// # Errors
    /// Those of [`Session::run`].
    pub fn run_exact(&self, program: &Program) -> Result<Vec<Value>, EvalError> {
        let exact = Session {
            document: self.document.clone(),
            variables: self.variables.clone(),
            keeps_digits: true,
            ..*self
        };
        exact.run(program)
    }

    /// Runs an instrumented program that failed, and adds the location that it finds. Instrumentation costs steps and stack,
    /// so that run may end differently; the failure then has no location.
    fn located(
        &self,
        failure: Box<Failure>,
        instrumented: &Filter<Engine>,
        program: &Program,
    ) -> Box<Failure> {
        let again = Session {
            deadlines: Deadlines::after(self.limits.time, self.worker.deadline),
            document: self.document.clone(),
            variables: self.variables.clone(),
            ..*self
        };
        let result = again.evaluate(instrumented, program, Some(program.source()));
        // The state of a search must not reach the next run of this thread.
        locate::end();
        match result {
            Err(EvalError::Failed(found)) => Box::new(Failure {
                message: failure.message,
                ..*found
            }),
            Ok(_) | Err(_) => failure,
        }
    }

    /// Calls `work` within the limits. Returns its result and the bytes of memory that it left.
    fn fenced<T>(
        &self,
        work: impl FnOnce() -> Result<T, EvalError>,
    ) -> (Result<T, EvalError>, usize) {
        let quotas = Quotas {
            deadlines: self.deadlines,
            steps: self.limits.steps,
            memory: self.memory_left,
            stack: self.limits.stack_bytes,
        };
        let (outcome, memory_left) = fence::run(quotas, work);
        let result = match outcome {
            Outcome::Finished(result) => result,
            Outcome::LimitReached(limit) => Err(EvalError::at_limit(limit, &self.limits)),
            Outcome::Refused(message) => Err(EvalError::failed(Failure::internal(message))),
            Outcome::Panicked(message) => Err(EvalError::failed(Failure::internal(format!(
                "the jq engine panicked ({message}); please report the program"
            )))),
        };
        (result, memory_left)
    }

    /// The document's keys and types, on one line of bounded length: `{id: number, tags: [string, … 3 in all]}`. It contains
    /// no values, so it may appear where personal data may not.
    pub fn shape(&self) -> String {
        shape::of_val(&self.document.val)
    }

    /// Runs a filter. With `searched`, the text of its program, it is instrumented to locate an error.
    fn evaluate(
        &self,
        filter: &Filter<Engine>,
        program: &Program,
        searched: Option<&str>,
    ) -> Result<Vec<Value>, EvalError> {
        let mut variables = self.variables.clone();
        variables.resize(program.variables(), FencedValue::leaf(jaq_json::Val::Null));
        let (result, _) = self.fenced(|| {
            if let Some(source) = searched {
                locate::begin(source.to_owned());
            }
            self.outputs(filter, variables)
        });
        result
    }

    fn outputs(
        &self,
        filter: &Filter<Engine>,
        variables: Vec<FencedValue>,
    ) -> Result<Vec<Value>, EvalError> {
        let context = Ctx::<Engine>::new(Terms::new(&filter.lut), Vars::new(variables));
        let mut outputs = Vec::new();
        let mut budget = self.limits.output_bytes;
        for output in filter.id.run((context, self.document.clone())) {
            let output = output.map_err(|exception| {
                EvalError::failed(match exception.get_err() {
                    Ok(error) => failure_of(&error.into_val()),
                    Err(_) => Failure::internal("the program broke out of a label that had ended"),
                })
            })?;
            if outputs.len() == self.limits.outputs {
                return Err(EvalError::TooManyOutputs {
                    limit: self.limits.outputs,
                });
            }
            outputs.push(self.export(&output, outputs.len() + 1, &mut budget)?);
        }
        Ok(outputs)
    }

    /// An output as JSON; `number` counts outputs from 1.
    fn export(
        &self,
        output: &FencedValue,
        number: usize,
        budget: &mut usize,
    ) -> Result<Value, EvalError> {
        if let Val::Num(num @ (Num::BigInt(_) | Num::Dec(_))) = &output.val
            && self.keeps_digits
        {
            return Ok(Value::String(numeral::text(num)));
        }
        json::to_json(&output.val, budget).map_err(|error| match error {
            ExportError::NotFinite => EvalError::NotANumber { output: number },
            ExportError::Inexact(text) => EvalError::InexactNumber {
                output: number,
                number: text,
            },
            ExportError::TooLarge => EvalError::TooLarge {
                limit: self.limits.output_bytes,
            },
            ExportError::NotText => EvalError::NotText { output: number },
        })
    }
}

/// The failure of a program that ended with this error.
fn failure_of(error: &FencedValue) -> Failure {
    let message = error
        .as_str()
        .map_or_else(|| error.to_string(), |text| truncated(text, MAX_MESSAGE));
    let (safe_message, part) = locate::finish(error).unzip();
    Failure {
        message,
        safe_message: safe_message.map(|text| truncated(&text, MAX_MESSAGE)),
        part: part.flatten(),
    }
}
