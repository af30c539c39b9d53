//! Decides what follows from one attempt at a call. Pure.

use std::time::Duration;

use super::Error;
use crate::codes::Cause;
use crate::outcome::Refusal;
use crate::retry::Policy;

/// Attempts at one call within one turn, before the job waits for a later turn.
const RETRIES: Policy = Policy {
    attempts: 4,
    base: Duration::from_millis(500),
    cap: Duration::from_secs(8),
};

/// The minimum wait of a call whose attempts within the turn are used up.
pub(super) const NEXT_TURN: Duration = Duration::from_secs(15);

/// Whether a call may be sent again if its outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// A second call changes nothing that the first has not changed: it sets the same values, or it reads.
    Safe,
    /// A second call would change the records again: it adds options.
    Never,
}

/// One attempt at a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    /// Counts from 1.
    pub(super) number: u32,
    /// Whether an earlier attempt of this call fetched another access token.
    pub(super) reauthenticated: bool,
    pub(super) repeat: Repeat,
    /// Time until nothing more may be sent in this turn.
    pub(super) left: Duration,
    /// Jitter, from 0 to 1.
    pub(super) random: f64,
}

/// What follows from an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<T> {
    /// The call is over.
    Return(Result<T, Error>),
    /// Send the call again after the wait, because of the refusal.
    Retry(Duration, Refusal),
    /// Fetch another access token, then send the call again.
    Reauthenticate,
}

/// Decides what follows from the answer to an attempt.
pub(super) fn next<T>(attempt: &Attempt, answer: Result<T, Error>) -> Next<T> {
    let error = match answer {
        Err(Error::Reauthenticate(_)) if !attempt.reauthenticated => return Next::Reauthenticate,
        Err(Error::RetryLater(refusal, asked)) => return attempt.retry(refusal, asked),
        Err(Error::Refused(refusal)) => attempt.refused(refusal),
        other => return Next::Return(other),
    };
    Next::Return(Err(error))
}

impl Attempt {
    fn retry<T>(&self, refusal: Refusal, asked: Duration) -> Next<T> {
        if self.repeat == Repeat::Never && is_outcome_open(&refusal) {
            return Next::Return(Err(Error::OutcomeUnknown(refusal)));
        }
        let wait = RETRIES.wait(self.number, Some(asked), self.random);
        match wait.filter(|wait| *wait < self.left) {
            Some(wait) => Next::Retry(wait, refusal),
            None => Next::Return(Err(Error::RetryLater(refusal, asked.max(NEXT_TURN)))),
        }
    }

    /// An empty custom view after an attempt without an answer: that attempt may have emptied the view.
    fn refused(&self, refusal: Refusal) -> Error {
        let retried = self.number > 1 + u32::from(self.reauthenticated);
        match refusal.cause() {
            Some(Cause::NoRecords) if retried => Error::Refused(Refusal::of(Cause::OutcomeUnknown)),
            Some(_) | None => Error::Refused(refusal),
        }
    }
}

/// Whether Zoho may have performed a call in spite of this refusal. A throttle or a connection that was never made leaves
/// nothing open.
fn is_outcome_open(refusal: &Refusal) -> bool {
    matches!(
        refusal.cause(),
        None | Some(
            Cause::TimedOut
                | Cause::BrokenAnswer
                | Cause::InternalError
                | Cause::ServiceUnavailable
                | Cause::ServerFailed
                | Cause::AnswerUnreadable
                | Cause::AnswerMismatch
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoho::answer::{self, RawAnswer, UpdateAnswer};

    const FIRST: Attempt = Attempt {
        number: 1,
        reauthenticated: false,
        repeat: Repeat::Safe,
        left: Duration::from_secs(60),
        random: 1.0,
    };

    fn without_code(status: u16) -> Result<UpdateAnswer, Error> {
        let ids = ["11".parse().expect("an id")];
        answer::mass_update(&RawAnswer::new(status, b""), &ids)
    }

    fn refused(cause: Cause) -> Result<(), Error> {
        Err(Error::Refused(Refusal::of(cause)))
    }

    fn later(cause: Cause, seconds: u64) -> Result<(), Error> {
        let wait = Duration::from_secs(seconds);
        Err(Error::RetryLater(Refusal::of(cause), wait))
    }

    /// The decision for every status of an answer without a code, by attempt, token and repeatability.
    #[test]
    fn every_status_has_one_decision() {
        for status in 100..600 {
            for repeat in [Repeat::Safe, Repeat::Never] {
                for number in 1..=4 {
                    for reauthenticated in [false, true] {
                        let attempt = Attempt {
                            number,
                            reauthenticated,
                            repeat,
                            ..FIRST
                        };
                        let decision = match next(&attempt, without_code(status)) {
                            Next::Return(Ok(_)) => "done",
                            Next::Return(Err(Error::Reauthenticate(_))) => "token refused twice",
                            Next::Return(Err(Error::RetryLater(..))) => "later",
                            Next::Return(Err(Error::OutcomeUnknown(_))) => "unknown",
                            Next::Return(Err(Error::Refused(_))) => "refused",
                            Next::Return(Err(Error::Denied(_))) => "denied",
                            Next::Retry(..) => "retry",
                            Next::Reauthenticate => "reauthenticate",
                        };
                        let retried = if number < 4 { "retry" } else { "later" };
                        let expected = match status {
                            401 if reauthenticated => "token refused twice",
                            401 => "reauthenticate",
                            // Nothing was performed, so even an append may be sent again.
                            408 | 425 | 429 => retried,
                            200..=299 | 500.. if repeat == Repeat::Never => "unknown",
                            200..=299 | 500.. => retried,
                            300..=399 => "denied",
                            _ => "refused",
                        };
                        assert_eq!(decision, expected, "{status} {attempt:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn requested_wait_is_kept_or_left_to_a_later_turn() {
        let wait = |attempt: Attempt, asked| match next(&attempt, later(Cause::TimedOut, asked)) {
            Next::Retry(wait, _) => (true, wait.as_secs()),
            Next::Return(Err(Error::RetryLater(_, wait))) => (false, wait.as_secs()),
            other @ (Next::Return(_) | Next::Reauthenticate) => {
                panic!("{other:?}")
            }
        };
        assert_eq!(wait(FIRST, 3), (true, 3));
        assert_eq!(wait(FIRST, 9), (false, 15), "longer than a turn waits");
        assert_eq!(wait(FIRST, 90), (false, 90));
        let last_second = Attempt {
            left: Duration::from_secs(1),
            ..FIRST
        };
        assert_eq!(wait(last_second, 0), (true, 0));
        assert_eq!(wait(last_second, 3), (false, 15), "the turn ends before");
    }

    #[test]
    fn open_outcome_is_reported_unless_repeat_is_safe() {
        let append = Attempt {
            repeat: Repeat::Never,
            ..FIRST
        };
        for cause in [Cause::TimedOut, Cause::BrokenAnswer, Cause::InternalError] {
            let unknown = Error::OutcomeUnknown(Refusal::of(cause));
            assert_eq!(next(&append, later(cause, 0)), Next::Return(Err(unknown)));
            assert!(matches!(next(&FIRST, later(cause, 0)), Next::Retry(..)));
        }
        for cause in [Cause::Unreachable, Cause::TooManyRequests, Cause::ViewBusy] {
            assert!(matches!(next(&append, later(cause, 0)), Next::Retry(..)));
        }
    }

    #[test]
    fn empty_view_after_a_retry_is_unknown() {
        let outcome = |number, reauthenticated| {
            let attempt = Attempt {
                number,
                reauthenticated,
                ..FIRST
            };
            match next(&attempt, refused(Cause::NoRecords)) {
                Next::Return(Err(Error::Refused(refusal))) => refusal.cause(),
                other @ (Next::Return(_) | Next::Retry(..) | Next::Reauthenticate) => {
                    panic!("{other:?}")
                }
            }
        };
        assert_eq!(outcome(1, false), Some(Cause::NoRecords));
        assert_eq!(outcome(2, true), Some(Cause::NoRecords));
        assert_eq!(outcome(2, false), Some(Cause::OutcomeUnknown));
        assert_eq!(outcome(3, true), Some(Cause::OutcomeUnknown));
    }
}
