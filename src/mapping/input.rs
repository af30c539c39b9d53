//! What a route's jq programs are given.

use std::collections::BTreeMap;

use jq_fence::{Document, EvalError, Host, Input, Limits, Program, Session, Worker};
use serde_json::{Value, json};

use super::advice;

static HOST: Host = Host {
    variables: &[
        "$headers",
        "$query",
        "$route",
        "$received_at",
        "$raw",
        "$trigger",
    ],
    advice: advice::instead_of,
};

/// A jq program of a route.
pub fn program(source: impl Into<String>) -> Program {
    Program::new(source, &HOST)
}

/// What a route's jq programs are given.
#[derive(Clone, Copy, Debug)]
pub struct MappingInput<'a> {
    /// The body: `.`
    pub body: &'a Document,
    /// The headers, with lower-case names: `$headers`
    pub headers: &'a BTreeMap<String, String>,
    /// The query parameters: `$query`
    pub query: &'a BTreeMap<String, String>,
    /// The route's name: `$route`
    pub route: &'a str,
    /// When the delivery was received: `$received_at`, a string in RFC 3339
    pub received_at: jiff::Timestamp,
    /// The body as text, byte for byte; `None` if it is not UTF-8: `$raw`
    pub raw: Option<&'a str>,
    /// The trigger of the delivery: `$trigger`
    pub trigger: &'a BTreeMap<String, String>,
    /// The attributes of a CloudEvent: `$trigger.cloudevent`
    pub cloud_event: Option<&'a BTreeMap<String, String>>,
}

impl MappingInput<'_> {
    /// Reads the input on a thread that runs programs. `limits.input_bytes` bounds the body, headers, query and trigger
    /// together.
    ///
    /// # Errors
    /// [`EvalError`] if the input is too large.
    pub fn open<'w>(&self, worker: &'w Worker, limits: &Limits) -> Result<Session<'w>, EvalError> {
        self.check_size(limits)?;
        let input = Input {
            document: self.body,
            variables: &self.variables(),
        };
        worker.open(&input, limits)
    }

    /// Runs a program of the route on a thread of its own and blocks until it ends.
    ///
    /// # Errors
    /// [`EvalError`] if the program does not compile, fails, or reaches a limit.
    pub fn run_blocking(
        &self,
        program: &Program,
        limits: &Limits,
    ) -> Result<Vec<Value>, EvalError> {
        self.check_size(limits)?;
        let input = Input {
            document: self.body,
            variables: &self.variables(),
        };
        program.run_blocking(&input, limits)
    }

    fn check_size(&self, limits: &Limits) -> Result<(), EvalError> {
        let pairs = self.headers.iter().chain(self.query).chain(self.trigger);
        let pairs = pairs.chain(self.cloud_event.into_iter().flatten());
        let bytes: usize = pairs.map(|(name, value)| name.len() + value.len()).sum();
        match bytes.saturating_add(self.body.text().len()) > limits.input_bytes {
            true => Err(EvalError::InputTooLarge {
                limit: limits.input_bytes,
            }),
            false => Ok(()),
        }
    }

    /// The values of [`HOST`]'s variables.
    fn variables(&self) -> [Value; 6] {
        let mut trigger = json!(self.trigger);
        if let Some(attributes) = self.cloud_event {
            trigger["cloudevent"] = json!(attributes);
        }
        [
            json!(self.headers),
            json!(self.query),
            json!(self.route),
            // jq's `fromdate` takes whole seconds only.
            json!(format!("{:.0}", self.received_at)),
            json!(self.raw),
            trigger,
        ]
    }
}
