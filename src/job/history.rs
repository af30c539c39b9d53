//! The history of a job: what happened to it, when, and how long it took. It is part of the job's state, which is written
//! anyway, so it costs no further write.
//!
//! Times are milliseconds since the job was accepted. Durations are measured by a monotonic clock where the work is done.
//! The history is bounded: beyond [`MAX_ENTRIES`] the oldest successful steps are replaced by their numbers, then the oldest
//! failures. How the job was received and planned, and the last steps, stay.

mod record;
mod stored;
mod view;

use std::time::Duration;

use crate::codes::Cause;
use crate::outcome::Refusal;
pub use record::CallbackAttempt;
pub use view::{HistoryEntry, HistoryEvent};

/// The largest number of entries that a history shows, the summary of the omitted ones included.
pub const MAX_ENTRIES: usize = 100;

/// The last steps, which are omitted only if nothing else can be.
const LATEST_KEPT: usize = 30;

/// The longest error of a step without an HTTP status.
const MAX_ERROR_CHARS: usize = 80;

/// The ids of other jobs that a call names.
const SHARED_WITH_SHOWN: usize = 10;

/// Characters of such an id. A unique prefix names a job.
const SHARED_ID_CHARS: usize = 12;

/// What happened to a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// By the time at which they began.
    entries: Vec<Entry>,
    omitted: Omitted,
}

/// One step of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// When it began, in milliseconds since the job was accepted.
    at: i64,
    step: Step,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// The job arrived. The durations are milliseconds.
    Received {
        verified: Option<u64>,
        mapped: Option<u64>,
    },
    /// The job waits until a moment.
    Wait {
        until: i64,
        reason: WaitReason,
        call: Option<usize>,
    },
    /// An attempt at the preparation.
    Prepared { took: u64, code: Option<String> },
    /// A call was sent; without a duration its answer was never recorded.
    Call {
        seq: usize,
        took: Option<u64>,
        status: Option<u16>,
        code: Option<String>,
        /// Records that Zoho refused one by one.
        refused: u64,
        sharing: Sharing,
    },
    /// The status of a Zoho job was read, `count` times in succession with the same answer, last at `last`.
    Poll {
        seq: usize,
        took: u64,
        status: Option<u16>,
        code: Option<String>,
        count: u64,
        last: i64,
    },
    /// The records of a call whose outcome is unknown were read.
    Reread {
        seq: usize,
        took: u64,
        found: u64,
        code: Option<String>,
    },
    /// Records were left to a newer delivery.
    Superseded { seq: usize, records: u64 },
    /// A callback was sent.
    Callback {
        took: u64,
        status: Option<u16>,
        attempt: u64,
        is_final: bool,
        /// Why there is no status.
        error: Option<String>,
    },
}

/// The jobs that a request was sent for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sharing {
    /// The number of other jobs.
    others: u64,
    /// The first characters of the ids of some of them, without `job_`.
    ids: Vec<String>,
}

/// What a job waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// The end of the batch window.
    BatchWindow,
    /// Zoho asked for a pause.
    RetryAfter,
    /// The org's credits are below the connection's floor.
    Credits,
    /// A pause before a failed request is repeated.
    Retry,
    /// Other calls of the connection have every permit.
    Concurrency,
    /// Another update of the same custom view.
    View,
    /// Another delivery of the same record.
    Record,
    /// The next poll of a Zoho job.
    Poll,
    /// Zoho may still perform a call whose outcome is unknown.
    Settling,
    /// The next attempt at a callback.
    Receiver,
}

impl WaitReason {
    /// Every reason, with its name in the stored form and its description.
    const ALL: [(Self, &'static str, &'static str); 10] = [
        (Self::BatchWindow, "b", "batch window"),
        (Self::RetryAfter, "a", "Retry-After"),
        (Self::Credits, "k", "credits below `credit_floor`"),
        (Self::Retry, "e", "retry"),
        (Self::Concurrency, "c", "concurrency limit"),
        (Self::View, "v", "another update of the view"),
        (Self::Record, "o", "another delivery of a record"),
        (Self::Poll, "p", "next poll"),
        (Self::Settling, "s", "Zoho may still perform the call"),
        (Self::Receiver, "r", "receiver"),
    ];

    /// Why a request that was refused for now is repeated later.
    pub(super) fn of(refusal: &Refusal) -> Self {
        match refusal.cause() {
            Some(Cause::TooManyRequests | Cause::ConnectionThrottled) => Self::RetryAfter,
            Some(Cause::CreditsLow) => Self::Credits,
            Some(Cause::ConnectionBusy) => Self::Concurrency,
            Some(Cause::ViewTaken | Cause::ViewBusy) => Self::View,
            Some(Cause::RecordTaken) => Self::Record,
            Some(_) | None => Self::Retry,
        }
    }

    /// Whether Zoho's limits are the reason.
    fn is_throttle(self) -> bool {
        matches!(self, Self::RetryAfter | Self::Credits)
    }

    fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(reason, ..)| *reason == self)
            .map_or("", |(_, name, _)| name)
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, known, _)| *known == name)
            .map(|(reason, ..)| *reason)
    }

    fn description(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(reason, ..)| *reason == self)
            .map_or("", |(.., text)| text)
    }
}

/// How a job arrived: the durations of the steps before it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IntakeTimes {
    /// The time since the request was received.
    pub elapsed: Duration,
    /// The duration of the verification, if there was one.
    pub verified: Option<Duration>,
    /// The duration of the mapping, if there was one.
    pub mapped: Option<Duration>,
}

/// The numbers of omitted steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Omitted {
    /// When the first of them began.
    from: i64,
    /// When the last of them began.
    to: i64,
    calls: u64,
    polls: u64,
    callbacks: u64,
    waits: u64,
    /// Other steps, and those that this version cannot read.
    others: u64,
}

impl Omitted {
    fn count(&self) -> u64 {
        self.calls + self.polls + self.callbacks + self.waits + self.others
    }

    fn add(&mut self, entry: &Entry) {
        if self.count() == 0 {
            (self.from, self.to) = (entry.at, entry.at);
        }
        (self.from, self.to) = (self.from.min(entry.at), self.to.max(entry.at));
        match &entry.step {
            Step::Call { took: Some(_), .. } => self.calls += 1,
            Step::Poll { count, .. } => self.polls += count,
            Step::Callback { .. } => self.callbacks += 1,
            Step::Wait { .. } => self.waits += 1,
            Step::Call { took: None, .. }
            | Step::Received { .. }
            | Step::Prepared { .. }
            | Step::Superseded { .. }
            | Step::Reread { .. } => self.others += 1,
        }
    }
}

impl Step {
    /// The number of entries that it is shown as.
    fn weight(&self) -> usize {
        match self {
            Self::Received { verified, mapped } => {
                1 + usize::from(verified.is_some()) + usize::from(mapped.is_some())
            }
            // Looked up and planned.
            Self::Prepared { .. } => 2,
            Self::Wait { .. }
            | Self::Call { .. }
            | Self::Poll { .. }
            | Self::Reread { .. }
            | Self::Superseded { .. }
            | Self::Callback { .. } => 1,
        }
    }

    /// Whether it is part of the beginning, which is always shown.
    fn is_beginning(&self) -> bool {
        matches!(
            self,
            Self::Received { .. } | Self::Prepared { code: None, .. }
        )
    }

    /// Whether it is a call whose answer is still awaited.
    fn is_open(&self) -> bool {
        matches!(
            self,
            Self::Call {
                took: None,
                code: None,
                ..
            }
        )
    }

    fn has_failed(&self) -> bool {
        let is_error = |status: &Option<u16>| status.is_none_or(|status| status >= 300);
        match self {
            Self::Received { .. } | Self::Wait { .. } | Self::Superseded { .. } => false,
            Self::Prepared { code, .. } | Self::Reread { code, .. } => code.is_some(),
            Self::Call {
                status,
                code,
                refused,
                ..
            } => is_error(status) || code.is_some() || *refused > 0,
            Self::Poll { status, code, .. } => is_error(status) || code.is_some(),
            Self::Callback { status, .. } => is_error(status),
        }
    }
}

impl History {
    /// Whether nothing is recorded, as in jobs of earlier versions.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.omitted.count() == 0
    }

    /// The number of steps that are only counted.
    pub fn omitted(&self) -> u64 {
        self.omitted.count()
    }

    /// Adds a step. Calls that run side by side are recorded in the order of their answers, so the entry may not be the last.
    fn push(&mut self, entry: Entry) {
        let mut entries = self.entries.iter();
        let place = entries.rposition(|other| other.at <= entry.at || other.step.is_beginning());
        let place = place.map_or(0, |place| place + 1);
        let at = place
            .checked_sub(1)
            .map_or(entry.at, |before| self.entries[before].at.max(entry.at));
        self.entries.insert(place, Entry { at, ..entry });
        while self.weight() > MAX_ENTRIES && self.omit_one() {}
    }

    /// The number of entries that are shown, with those of the acceptance, the end, and the omitted steps.
    fn weight(&self) -> usize {
        let steps: usize = self.entries.iter().map(|entry| entry.step.weight()).sum();
        steps + 2 + usize::from(self.omitted.count() > 0)
    }

    /// Omits the oldest successful step, else the oldest failure. Returns whether there is one.
    fn omit_one(&mut self) -> bool {
        let older = self.entries.len().saturating_sub(LATEST_KEPT);
        let candidates = || {
            let entries = self.entries.iter().enumerate().take(older);
            entries.filter(|(_, entry)| !entry.step.is_beginning() && !entry.step.is_open())
        };
        let succeeded = candidates().find(|(_, entry)| !entry.step.has_failed());
        let Some((place, _)) = succeeded.or_else(|| candidates().next()) else {
            return false;
        };
        let entry = self.entries.remove(place);
        self.omitted.add(&entry);
        true
    }
}
