//! One run of a compiled program, on a thread of its own.

use std::sync::Arc;

use jaq_core::{Ctx, Filter, Vars};
use serde_json::Value;

use crate::document::Document;
use crate::engine::{Engine, Terms};
use crate::error::EvalError;
use crate::failure::{Failure, truncated};
use crate::fence::{self, Outcome, Quotas};
use crate::limits::Limits;
use crate::locate;
use crate::value::FencedValue;
use crate::value::json::{self, ExportError};

/// Characters of an error message that are kept.
const MAX_MESSAGE: usize = 500;

/// Everything that one run needs. It is sent to the run's thread.
#[derive(Clone)]
pub(crate) struct Evaluation {
    pub(crate) filter: Arc<Filter<Engine>>,
    /// The program's text, if the filter is instrumented to locate an error.
    pub(crate) instrumented: Option<String>,
    pub(crate) document: Document,
    pub(crate) variables: Vec<Value>,
    pub(crate) limits: Limits,
}

impl Evaluation {
    pub(crate) async fn run(self) -> Result<Vec<Value>, EvalError> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.spawn(move |result| drop(sender.send(result)))?;
        receiver.await.unwrap_or_else(|_| Err(thread_lost()))
    }

    pub(crate) fn run_blocking(self) -> Result<Vec<Value>, EvalError> {
        let (sender, receiver) = std::sync::mpsc::channel();
        let thread = self.spawn(move |result| drop(sender.send(result)))?;
        let result = receiver.recv().unwrap_or_else(|_| Err(thread_lost()));
        drop(thread.join());
        result
    }

    /// Starts the run's thread, which passes the result to `done`.
    fn spawn(
        self,
        done: impl FnOnce(Result<Vec<Value>, EvalError>) + Send + 'static,
    ) -> Result<std::thread::JoinHandle<()>, EvalError> {
        let limits = self.limits;
        let quotas = Quotas {
            time: limits.time,
            steps: limits.steps,
            memory: limits.memory_bytes,
            stack: limits.stack_bytes,
        };
        let finish = move |outcome| {
            done(match outcome {
                Outcome::Finished(result) => result,
                Outcome::LimitReached(limit) => Err(EvalError::at_limit(limit, &limits)),
                Outcome::Panicked(message) => Err(EvalError::failed(Failure::internal(format!(
                    "the jq engine panicked ({message}); please report the program"
                )))),
            });
        };
        fence::spawn(quotas, move || self.evaluate(), finish).map_err(|error| {
            EvalError::Unavailable {
                message: error.to_string(),
            }
        })
    }

    fn evaluate(&self) -> Result<Vec<Value>, EvalError> {
        let variables = self.variables.iter().map(|value| {
            FencedValue::import(value)
                .map_err(|error| EvalError::failed(Failure::internal(error.to_string())))
        });
        let variables = variables.collect::<Result<Vec<_>, _>>()?;
        if let Some(source) = &self.instrumented {
            locate::begin(source.clone());
        }
        let context = Ctx::<Engine>::new(Terms(&self.filter.lut), Vars::new(variables));
        let input = self.document.to_value();
        let mut outputs = Vec::new();
        let mut budget = self.limits.output_bytes;
        for output in self.filter.id.run((context, input)) {
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

fn thread_lost() -> EvalError {
    EvalError::Unavailable {
        message: "its thread ended without a result".to_owned(),
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
