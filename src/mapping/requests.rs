//! From the outputs of a route's `map` to update requests.

use serde_json::Value;

use crate::update::{UpdateMethod, UpdateRequest};

/// What is wrong with one output of a route's `map`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("output {output}{}{pointer}: {message}", if pointer.is_empty() { "" } else { " at " })]
pub struct OutputError {
    /// Which output, from 1.
    pub output: usize,
    /// Where in the output, as a JSON pointer; empty for the whole output.
    pub pointer: String,
    /// What is wrong, and how to correct it.
    pub message: String,
}

/// Parses the outputs of a route's `map` as update requests, which use `method` unless they name another. Without outputs,
/// the delivery is ignored.
///
/// # Errors
/// Every problem of every output.
pub fn update_requests(
    outputs: &[Value],
    method: UpdateMethod,
) -> Result<Vec<UpdateRequest>, Vec<OutputError>> {
    let mut requests = Vec::new();
    let mut errors = Vec::new();
    for (index, value) in outputs.iter().enumerate() {
        let output = index + 1;
        if value.is_null() {
            let message =
                "null is not an update request; use `empty` to ignore a delivery".to_owned();
            errors.push(OutputError {
                output,
                pointer: String::new(),
                message,
            });
            continue;
        }
        match UpdateRequest::parse_for(method, value) {
            Ok(request) => requests.push(request),
            Err(problems) => errors.extend(problems.into_iter().map(|problem| OutputError {
                output,
                pointer: problem.at.pointer(),
                message: problem.message,
            })),
        }
    }
    match errors.is_empty() {
        true => Ok(requests),
        false => Err(errors),
    }
}
