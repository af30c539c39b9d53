//! What to do about a failed jq program, beyond what [`jq_fence`] can know.

use jq_fence::{Capability, EvalError};

/// What to use instead of a capability of jq that a route's programs do not have.
pub(super) fn instead_of(capability: Capability) -> Option<&'static str> {
    match capability {
        Capability::MoreInputs => Some("here it is the body of the delivery"),
        Capability::Exit => Some("use `error(\"…\")` to refuse a delivery or `empty` to ignore it"),
        Capability::Clock => Some("use $received_at, which is in UTC"),
        Capability::Write => Some("try it with `masshook preview` instead"),
        Capability::Environment | Capability::Modules => None,
    }
}

/// The end of an error message: what to do about the error, or nothing.
pub fn advice(error: &EvalError) -> &'static str {
    if let EvalError::TooManyOutputs { .. } = error {
        "; put many ids into one update request instead"
    } else if let EvalError::Failed(failure) = error
        && failure.is_withheld()
    {
        "; `masshook preview` shows it"
    } else {
        ""
    }
}
