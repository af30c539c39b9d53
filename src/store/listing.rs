//! Lists of jobs.

use jiff::Timestamp;

use crate::job::{CallbackStatus, Job, JobId, JobStatus};

/// Which jobs [`Jobs::list`](super::Jobs::list) returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JobFilter {
    /// Every job.
    #[default]
    All,
    /// Jobs with this status.
    Status(JobStatus),
    /// Jobs whose callback was given up.
    Undeliverable,
    /// Parked jobs.
    Parked,
}

impl JobFilter {
    /// Whether the list contains this job.
    pub fn matches(self, job: &JobSummary) -> bool {
        match self {
            Self::All => true,
            Self::Status(status) => job.status == status,
            Self::Undeliverable => job.callback == Some(CallbackStatus::Undeliverable),
            Self::Parked => job.parked.is_some(),
        }
    }
}

/// A job in a list. It is stored beside the job, so that a job that cannot be read is listed all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSummary {
    /// The job's id.
    pub id: JobId,
    /// The route of its delivery.
    pub route: Option<String>,
    /// Its connection.
    pub connection: String,
    /// Its module.
    pub module: String,
    /// Its status.
    pub status: JobStatus,
    /// The status of its callback.
    pub callback: Option<CallbackStatus>,
    /// Why it is parked, if it is.
    pub parked: Option<String>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it finished.
    pub finished_at: Option<Timestamp>,
}

impl JobSummary {
    /// The summary of a job that is not parked.
    pub fn of(job: &Job) -> Self {
        Self {
            id: job.id.clone(),
            route: job.route.clone(),
            connection: job.connection.clone(),
            module: job.request.module.to_string(),
            status: job.status(),
            callback: job.callback.as_ref().map(|callback| callback.status),
            parked: None,
            created_at: job.created_at,
            finished_at: job.finished_at,
        }
    }
}

/// One page of a list, the latest job first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobPage {
    /// The jobs.
    pub jobs: Vec<JobSummary>,
    /// The position of the next page, if there is one.
    pub next: Option<String>,
}

/// A position in a list that has the latest entry first: the entry's moment, then its id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ListKey(String);

impl ListKey {
    /// The position of an entry.
    pub(crate) fn new(at: Timestamp, id: &str) -> Self {
        // A moment before 1970 sorts as 1970: nothing was accepted then.
        Self(format!("{:015}#{id}", at.as_millisecond().max(0)))
    }

    /// A position from outside. It need not be the position of an entry.
    pub(crate) fn from_outside(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The position as text, which sorts as the position does.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}
