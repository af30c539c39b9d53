//! The log of deliveries: the outcome of each request, without its body. It is a ring: each class of entries has a share, so
//! that strangers cannot push out what was accepted.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::delivery::StoredDelivery;
use super::listing::{Page, contains_text, time_text, truncated};
use crate::job::{DeadLetterReason, JobId};
pub use crate::outcome::DeliveryOutcome;
use crate::trigger::Trigger;

/// The number of job ids in an entry.
pub const JOBS_SHOWN: usize = 10;

/// The longest text of an entry, in characters.
const MAX_TEXT: usize = 300;

/// Entries that share a part of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogClass {
    /// Deliveries with new jobs.
    Accepted,
    /// Deliveries whose jobs existed already.
    Duplicate,
    /// Deliveries that their routes ignore.
    Ignored,
    /// Deliveries that were refused after their signature was verified.
    Refused,
    /// Requests that were refused before: anybody can send them.
    Stranger,
}

impl LogClass {
    /// All classes.
    pub const ALL: [Self; 5] = [
        Self::Accepted,
        Self::Duplicate,
        Self::Ignored,
        Self::Refused,
        Self::Stranger,
    ];

    /// The name under which it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Ignored => "ignored",
            Self::Refused => "refused",
            Self::Stranger => "stranger",
        }
    }

    /// The entries of this class in a log of `keep` entries.
    pub fn share(self, keep: usize) -> usize {
        let tenths = match self {
            Self::Accepted => 4,
            Self::Ignored | Self::Refused => 2,
            Self::Duplicate | Self::Stranger => 1,
        };
        (keep * tenths / 10).max(1)
    }
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// The entry's id: that of the stored delivery, or of its own.
    pub id: String,
    /// The stored delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
    /// The class.
    pub class: LogClass,
    /// When it was received.
    pub received_at: Timestamp,
    /// The route; for an unknown one the name in the path.
    pub route: String,
    /// The trigger, if it is known.
    pub trigger: Option<Trigger>,
    /// The outcome.
    pub outcome: DeliveryOutcome,
    /// The code of the refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why it was refused or ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The program because of which the route ignores it, such as `when[1]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignored_by: Option<String>,
    /// The HTTP status of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The first [`JOBS_SHOWN`] jobs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<String>,
    /// The number of its jobs.
    #[serde(default)]
    pub jobs_count: u64,
    /// The number of records, if all are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// The time from the request to the answer, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// The sender's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// The size of the body, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The content type of the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// What was done with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<DeliveryError>,
    /// The latest [`JOBS_SHOWN`] jobs that replays of the delivery made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replays: Vec<String>,
    /// Entries of the class that were left out since the one before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A step of a delivery through the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepName {
    /// The request was received.
    Received,
    /// Its signature was checked.
    Verified,
    /// The conditions of `when` were evaluated.
    Accepted,
    /// The program `map` was run.
    Mapped,
    /// The jobs were stored.
    Stored,
    /// An operator replayed the delivery.
    Replayed,
}

/// One step of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// The step.
    pub name: StepName,
    /// Whether it succeeded.
    pub ok: bool,
    /// What it found.
    pub detail: String,
    /// How long it took.
    pub took_ms: Option<u64>,
}

/// Why a delivery failed, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryError {
    /// The stable code.
    pub code: String,
    /// A short description.
    pub title: String,
    /// The full description.
    pub detail: String,
    /// The program that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// The line in the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The column in the line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    /// The lines of the program around the place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excerpt: Vec<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The single errors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Value>,
}

/// What a list shows of a stored delivery that is in no log.
pub(crate) struct StoredParts<'a> {
    pub(crate) id: &'a str,
    pub(crate) route: &'a str,
    pub(crate) at: Timestamp,
    pub(crate) dead_letter: Option<&'a DeadLetterReason>,
    pub(crate) bytes: Option<u64>,
    pub(crate) trigger: Option<Trigger>,
}

impl<'a> From<&'a StoredDelivery> for StoredParts<'a> {
    fn from(stored: &'a StoredDelivery) -> Self {
        Self {
            id: &stored.id,
            route: &stored.route,
            at: stored.at,
            dead_letter: stored.dead_letter.as_ref(),
            bytes: Some(stored.body.len() as u64),
            trigger: Some(stored.origin.trigger),
        }
    }
}

impl LogEntry {
    /// An entry about a stored delivery that is in no log.
    pub(crate) fn of_stored(stored: &StoredParts<'_>) -> Self {
        let dead = stored.dead_letter;
        let job = dead.and_then(|dead| dead.job.as_ref());
        // A delivery of which no job could be made.
        let refused = dead.filter(|dead| dead.job.is_none());
        let (class, outcome) = match refused {
            Some(_) => (LogClass::Refused, DeliveryOutcome::Refused),
            None => (LogClass::Accepted, DeliveryOutcome::Accepted),
        };
        Self {
            id: stored.id.to_owned(),
            delivery: Some(stored.id.to_owned()),
            class,
            received_at: stored.at,
            route: stored.route.to_owned(),
            trigger: stored.trigger,
            outcome,
            code: refused.map(|dead| dead.code.clone()),
            reason: refused.map(|dead| truncated(&dead.reason, MAX_TEXT)),
            ignored_by: None,
            status: None,
            jobs: job.map(ToString::to_string).into_iter().collect(),
            jobs_count: u64::from(job.is_some()),
            records: None,
            took_ms: None,
            sender: None,
            bytes: stored.bytes,
            content_type: None,
            steps: Vec::new(),
            error: None,
            replays: Vec::new(),
            left_out: 0,
        }
    }

    /// Adds the jobs that a replay of the delivery made.
    pub(crate) fn add_replay(&mut self, jobs: &[JobId], at: Timestamp) {
        let ids = jobs.iter().map(ToString::to_string);
        let new: Vec<String> = ids.filter(|id| !self.replays.contains(id)).collect();
        let jobs = match jobs {
            [job] => job.to_string(),
            _ => format!("{} jobs", jobs.len()),
        };
        self.replays.extend(new);
        let excess = self.replays.len().saturating_sub(JOBS_SHOWN);
        self.replays.drain(..excess);
        let replayed = |step: &&Step| step.name == StepName::Replayed;
        if self.steps.iter().filter(replayed).count() < JOBS_SHOWN {
            self.steps.push(Step {
                name: StepName::Replayed,
                ok: true,
                detail: format!("{}: {jobs}", time_text(at)),
                took_ms: None,
            });
        }
    }

    /// Gives the entry an id of its own, because another has the id of the delivery.
    pub(crate) fn with_suffix(&self, number: u64) -> String {
        format!("{}-{number}", self.id)
    }
}

/// An entry of the log, and the dead letter of its delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliverySummary {
    /// The entry.
    pub entry: LogEntry,
    /// Why its stored delivery is a dead letter, if it is one.
    pub dead_letter: Option<DeadLetterReason>,
}

/// One page of the list of deliveries.
pub type DeliveryPage = Page<DeliverySummary>;

/// Which outcome a list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeFilter {
    /// Deliveries with this outcome.
    Outcome(DeliveryOutcome),
    /// Stored deliveries that are dead letters, the latest dead letter first.
    DeadLetter,
}

impl OutcomeFilter {
    /// All filters with their names.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Outcome(DeliveryOutcome::Accepted), "accepted"),
        (Self::Outcome(DeliveryOutcome::Duplicate), "duplicate"),
        (Self::Outcome(DeliveryOutcome::Ignored), "ignored"),
        (Self::Outcome(DeliveryOutcome::Refused), "refused"),
        (Self::DeadLetter, "dead_letter"),
    ];

    /// The filter with this name.
    pub fn parse(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, known)| *known == name);
        found.map(|(filter, _)| *filter)
    }
}

/// Which deliveries a list contains. All conditions apply; the default has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// The outcome.
    pub outcome: Option<OutcomeFilter>,
    /// The route.
    pub route: Option<String>,
    /// The code of the refusal or of the dead letter.
    pub code: Option<String>,
    /// The trigger.
    pub trigger: Option<Trigger>,
    /// Deliveries that were received at this moment or later.
    pub since: Option<Timestamp>,
    /// Deliveries that were received before this moment.
    pub until: Option<Timestamp>,
    /// Text that the id, route, code, reason, sender or a job id contains, whatever the case.
    pub search: Option<String>,
}

impl DeliveryFilter {
    /// Only dead letters.
    pub fn dead_letters() -> Self {
        Self {
            outcome: Some(OutcomeFilter::DeadLetter),
            ..Self::default()
        }
    }

    /// Whether the list contains dead letters, and not entries of the log.
    pub fn is_of_dead_letters(&self) -> bool {
        self.outcome == Some(OutcomeFilter::DeadLetter)
    }

    /// Whether the list contains this delivery.
    pub fn matches(&self, summary: &DeliverySummary) -> bool {
        let (entry, dead) = (&summary.entry, summary.dead_letter.as_ref());
        let outcome = match self.outcome {
            None => true,
            Some(OutcomeFilter::Outcome(outcome)) => entry.outcome == outcome,
            Some(OutcomeFilter::DeadLetter) => dead.is_some(),
        };
        let code = self.code.as_deref().is_none_or(|code| {
            entry.code.as_deref() == Some(code) || dead.is_some_and(|dead| dead.code == code)
        });
        let texts = [
            Some(entry.id.as_str()),
            Some(entry.route.as_str()),
            entry.code.as_deref(),
            entry.reason.as_deref(),
            entry.sender.as_deref(),
            dead.map(|dead| dead.code.as_str()),
            dead.map(|dead| dead.reason.as_str()),
        ];
        let jobs = entry.jobs.iter().map(|job| Some(job.as_str()));
        outcome
            && code
            && self
                .route
                .as_ref()
                .is_none_or(|route| *route == entry.route)
            && self
                .trigger
                .is_none_or(|trigger| entry.trigger == Some(trigger))
            && self.since.is_none_or(|since| entry.received_at >= since)
            && self.until.is_none_or(|until| entry.received_at < until)
            && contains_text(self.search.as_deref(), texts.into_iter().chain(jobs))
    }
}
