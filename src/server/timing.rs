//! The phases of a connection and their deadlines. Pure: time is an argument.

use std::sync::Mutex;

use tokio::time::Instant;

use super::limits::ServerLimits;
use crate::sync;

/// The phase of a connection. Its input and output, its requests and the list of connections share it.
#[derive(Debug)]
pub(super) struct Timing {
    limits: ServerLimits,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Whether a part of the current request's body is still to be read.
    body_unread: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// No byte of the next request has arrived.
    Waiting { since: Instant, until: Instant },
    /// The head of a request is arriving.
    Head { until: Instant },
    /// The request is being handled. Its body has a deadline of its own.
    Handling,
    /// The response is being written.
    Responding { until: Instant },
}

impl Timing {
    /// A new connection.
    pub(super) fn new(limits: ServerLimits, now: Instant) -> Self {
        let until = now + limits.head;
        Self {
            limits,
            state: Mutex::new(State {
                phase: Phase::Waiting { since: now, until },
                body_unread: false,
            }),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        sync::lock(&self.state).phase
    }

    /// Whether the head of a request is incomplete.
    pub(super) fn is_head_incomplete(&self) -> bool {
        matches!(self.phase(), Phase::Head { .. })
    }

    /// Records bytes from the client. Returns whether they are part of a head.
    pub(super) fn bytes_read(&self, now: Instant) -> bool {
        let mut state = sync::lock(&self.state);
        if let Phase::Waiting { .. } = state.phase {
            let until = now + self.limits.head;
            state.phase = Phase::Head { until };
        }
        matches!(state.phase, Phase::Head { .. })
    }

    /// Records the end of a request's head. Returns the deadline of its body.
    pub(super) fn head_read(&self, has_body: bool, now: Instant) -> Instant {
        let mut state = sync::lock(&self.state);
        state.phase = Phase::Handling;
        state.body_unread = has_body;
        now + self.limits.body
    }

    /// Records the end of a request's body.
    pub(super) fn body_read(&self) {
        sync::lock(&self.state).body_unread = false;
    }

    /// Records that the response is ready to be written.
    pub(super) fn response_ready(&self, now: Instant) {
        let until = now + self.limits.response;
        sync::lock(&self.state).phase = Phase::Responding { until };
    }

    /// Records that everything so far is written.
    pub(super) fn flushed(&self, now: Instant) {
        let mut state = sync::lock(&self.state);
        if let Phase::Responding { .. } = state.phase {
            let until = now + self.limits.idle;
            state.phase = Phase::Waiting { since: now, until };
        }
    }

    /// Whether the client may still be sending a body that nobody reads.
    pub(super) fn has_unread_body(&self) -> bool {
        sync::lock(&self.state).body_unread
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_phase_has_its_deadline() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let timing = Timing::new(ServerLimits::default(), start);
        let waiting = |since, until| Phase::Waiting {
            since: at(since),
            until: at(until),
        };
        assert_eq!(timing.phase(), waiting(0, 10));
        // The head's time is not extended by more bytes.
        assert!(timing.bytes_read(at(1)));
        assert!(timing.bytes_read(at(5)));
        assert_eq!(timing.phase(), Phase::Head { until: at(11) });
        assert_eq!(timing.head_read(true, at(6)), at(36));
        assert!(!timing.bytes_read(at(7)), "the body");
        // A flush before the response, as of `100 Continue`, ends nothing.
        timing.flushed(at(7));
        assert_eq!(timing.phase(), Phase::Handling);
        assert!(timing.has_unread_body());
        timing.body_read();
        timing.response_ready(at(8));
        assert_eq!(timing.phase(), Phase::Responding { until: at(38) });
        timing.flushed(at(9));
        assert_eq!(timing.phase(), waiting(9, 69));
        assert!(!timing.has_unread_body());
    }
}
