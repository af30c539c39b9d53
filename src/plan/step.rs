//! The steps of a plan and their endpoints.

use super::{Call, CallKind};
use crate::update::StepKind;

/// The steps of `calls`, in order.
pub(super) fn steps_of(calls: &[Call]) -> Vec<StepKind> {
    let mut steps: Vec<StepKind> = calls.iter().map(Call::step).collect();
    steps.dedup();
    steps
}

/// The endpoints of `calls`, in the order in which they are called.
pub(super) fn endpoints(calls: &[Call], path: impl Fn(CallKind) -> String) -> String {
    let mut kinds: Vec<_> = calls.iter().map(|call| call.target.kind()).collect();
    kinds.dedup();
    let endpoint = |kind: CallKind| format!("{} {}", kind.verb(), path(kind));
    let endpoints: Vec<String> = kinds.into_iter().map(endpoint).collect();
    endpoints.join(", then ")
}
