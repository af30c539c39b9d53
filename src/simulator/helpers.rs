//! The endpoints around mass update.

use jiff::Timestamp;

use super::answer::Answer;
use super::state::{Request, State};

/// Answers a request whose token and scopes are good.
pub(super) fn serve(
    _state: &mut State,
    _request: &Request,
    _scopes: &[String],
    _now: Timestamp,
) -> Answer {
    Answer::plain(500)
}
