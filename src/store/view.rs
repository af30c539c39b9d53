//! The public JSON of lists: jobs and deliveries of the operator API.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::delivery_log::{DeliveryOutcome, DeliverySummary};
use super::listing::{JobSummary, time_text};
use crate::job::{CallbackStatus, Counts, JobId, JobStatus, MatchCount};
use crate::trigger::Trigger;

/// A moment in RFC 3339 with milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Moment(#[schemars(extend("format" = "date-time"))] String);

impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        Self(time_text(at))
    }
}

/// A job in a list.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "JobSummary")]
pub struct JobSummaryView<'a> {
    /// The job's id.
    pub id: &'a JobId,
    /// The route of its delivery.
    pub route: Option<&'a str>,
    /// Its connection.
    pub connection: &'a str,
    /// Its module.
    pub module: &'a str,
    /// The caller's own reference.
    pub reference: Option<&'a Value>,
    /// Its status.
    pub status: JobStatus,
    /// The counts of its records.
    pub counts: Counts,
    /// How many values of its look-up have records, if it looked records up.
    pub lookup: Option<MatchCount>,
    /// The status of its callback.
    pub callback: Option<CallbackStatus>,
    /// The code of its failure.
    pub code: Option<&'a str>,
    /// Why it is parked, or failed.
    pub reason: Option<&'a str>,
    /// Whether no running version can drive it.
    pub parked: bool,
    /// When it was accepted.
    pub created_at: Moment,
    /// When it finished.
    pub finished_at: Option<Moment>,
    /// The stored delivery that it came from.
    pub delivery: Option<&'a str>,
}

impl JobSummary {
    /// The JSON of the operator API.
    pub fn view(&self) -> JobSummaryView<'_> {
        JobSummaryView {
            id: &self.id,
            route: self.route.as_deref(),
            connection: &self.connection,
            module: &self.module,
            reference: self.reference.as_ref(),
            status: self.status,
            counts: self.counts,
            lookup: self.lookup,
            callback: self.callback,
            code: self.code.as_deref(),
            reason: self.reason(),
            parked: self.parked.is_some(),
            created_at: self.created_at.into(),
            finished_at: self.finished_at.map(Moment::from),
            delivery: self.delivery.as_deref(),
        }
    }

    /// The JSON of the operator API.
    pub fn to_json(&self) -> Value {
        json!(self.view())
    }
}

/// Why the delivery is a dead letter, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "DeadLetter")]
pub struct DeadLetterView<'a> {
    /// When it became a dead letter.
    pub since: Moment,
    /// The code.
    pub code: &'a str,
    /// What happened.
    pub reason: &'a str,
    /// The job that failed; none if the delivery never had one.
    pub job: Option<&'a JobId>,
}

/// What lists and details show of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DeliveryOverview<'a> {
    /// The id of the stored delivery, or of the entry in the log.
    pub id: &'a str,
    /// When it was received.
    pub received_at: Moment,
    /// The route; for an unknown one the name in the path.
    pub route: &'a str,
    /// The trigger, if it is known.
    pub trigger: Option<Trigger>,
    /// The outcome.
    pub outcome: DeliveryOutcome,
    /// The code of the refusal.
    pub code: Option<&'a str>,
    /// Why it was refused or ignored.
    pub reason: Option<&'a str>,
    /// The program because of which the route ignores it, such as `when[1]`.
    pub ignored_by: Option<&'a str>,
    /// The HTTP status of the answer.
    pub status: Option<u16>,
    /// The number of its jobs.
    pub jobs_count: u64,
    /// The ids of the latest ten jobs that its replays made.
    pub replays: &'a [String],
    /// The number of records, if all are known.
    pub records: Option<u64>,
    /// The time from the request to the answer in milliseconds, if it is known.
    pub took_ms: Option<u64>,
    /// The sender's address.
    pub sender: Option<&'a str>,
    /// The size of the body, if it is known.
    pub bytes: Option<u64>,
    /// Why the delivery is a dead letter, if it is one.
    pub dead_letter: Option<DeadLetterView<'a>>,
    /// Entries of the log that were left out since the one before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<u64>,
}

/// A delivery in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "DeliverySummary")]
pub struct DeliverySummaryView<'a> {
    /// What lists and details show.
    #[serde(flatten)]
    pub overview: DeliveryOverview<'a>,
    /// The ids of its first ten jobs.
    pub jobs: &'a [String],
}

impl DeliverySummary {
    /// What lists and details show.
    pub fn overview(&self) -> DeliveryOverview<'_> {
        let entry = &self.entry;
        DeliveryOverview {
            id: &entry.id,
            received_at: entry.received_at.into(),
            route: &entry.route,
            trigger: entry.trigger,
            outcome: entry.outcome,
            code: entry.code.as_deref(),
            reason: entry.reason.as_deref(),
            ignored_by: entry.ignored_by.as_deref(),
            status: entry.status,
            jobs_count: entry.jobs_count,
            replays: &entry.replays,
            records: entry.records,
            took_ms: entry.took_ms,
            sender: entry.sender.as_deref(),
            bytes: entry.bytes,
            dead_letter: self.dead_letter.as_ref().map(|dead| DeadLetterView {
                since: dead.since.into(),
                code: &dead.code,
                reason: &dead.reason,
                job: dead.job.as_ref(),
            }),
            left_out: Some(entry.left_out).filter(|count| *count > 0),
        }
    }

    /// The JSON of the operator API.
    pub fn view(&self) -> DeliverySummaryView<'_> {
        DeliverySummaryView {
            overview: self.overview(),
            jobs: &self.entry.jobs,
        }
    }

    /// The JSON of the operator API.
    pub fn to_json(&self) -> Value {
        json!(self.view())
    }
}
