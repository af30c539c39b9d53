//! Lists of jobs: filters, pages and positions.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::job::{CallbackStatus, Counts, Job, JobId, JobStatus, Lookup, MatchCount};

/// The longest reason of a list entry, in characters.
const MAX_REASON: usize = 300;

/// The longest text of a reference that a filter compares, in characters.
const MAX_REFERENCE: usize = 200;

/// What a job is filtered by besides its texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusFilter {
    /// Jobs with this status.
    Status(JobStatus),
    /// Jobs whose callback was given up.
    Undeliverable,
    /// Parked jobs.
    Parked,
}

impl StatusFilter {
    /// All filters with their names.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Status(JobStatus::Queued), "queued"),
        (Self::Status(JobStatus::Running), "running"),
        (Self::Status(JobStatus::Succeeded), "succeeded"),
        (
            Self::Status(JobStatus::PartiallySucceeded),
            "partially_succeeded",
        ),
        (Self::Status(JobStatus::Failed), "failed"),
        (Self::Undeliverable, "undeliverable"),
        (Self::Parked, "parked"),
    ];

    /// The filter with this name.
    pub fn parse(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, known)| *known == name);
        found.map(|(filter, _)| *filter)
    }

    /// The name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status(status) => status.as_str(),
            Self::Undeliverable => "undeliverable",
            Self::Parked => "parked",
        }
    }

    fn matches(self, job: &JobSummary) -> bool {
        match self {
            Self::Status(status) => job.status == status,
            Self::Undeliverable => job.callback == Some(CallbackStatus::Undeliverable),
            Self::Parked => job.parked.is_some(),
        }
    }
}

/// The name that filters and lists give to jobs without a route.
pub const NO_ROUTE: &str = "/jobs";

/// Which jobs [`Jobs::list`](super::Jobs::list) returns. All conditions apply; the default has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// The status.
    pub status: Option<StatusFilter>,
    /// The route; [`NO_ROUTE`] for jobs without one.
    pub route: Option<String>,
    /// The connection.
    pub connection: Option<String>,
    /// The caller's reference: a text itself, or another value as JSON.
    pub reference: Option<String>,
    /// The code of the failure.
    pub code: Option<String>,
    /// Jobs that were accepted at this moment or later.
    pub since: Option<Timestamp>,
    /// Jobs that were accepted before this moment.
    pub until: Option<Timestamp>,
    /// Text that the id, route, module, reference, code or reason contains, whatever the case.
    pub search: Option<String>,
}

impl JobFilter {
    /// Jobs with a status.
    pub fn of_status(status: StatusFilter) -> Self {
        Self {
            status: Some(status),
            ..Self::default()
        }
    }

    /// Whether the list contains this job.
    pub fn matches(&self, job: &JobSummary) -> bool {
        let equals = |wanted: &Option<String>, value: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| Some(wanted) == value)
        };
        let reference = job.reference_text();
        let wanted = self.reference_text();
        self.status.is_none_or(|status| status.matches(job))
            && equals(&self.route, Some(job.route.as_deref().unwrap_or(NO_ROUTE)))
            && equals(&self.connection, Some(&job.connection))
            && (wanted.is_none() || wanted == reference)
            && equals(&self.code, job.code.as_deref())
            && self.since.is_none_or(|since| job.created_at >= since)
            && self.until.is_none_or(|until| job.created_at < until)
            && self.contains(job)
    }

    /// The text of the reference that is compared.
    pub(crate) fn reference_text(&self) -> Option<String> {
        let reference = self.reference.as_deref().map(cut_reference);
        reference.map(str::to_owned)
    }

    fn contains(&self, job: &JobSummary) -> bool {
        let reference = job.reference_text();
        let texts = [
            Some(job.id.as_str()),
            job.route.as_deref(),
            Some(job.module.as_str()),
            reference.as_deref(),
            job.code.as_deref(),
            job.reason(),
            job.delivery.as_deref(),
        ];
        contains_text(self.search.as_deref(), texts)
    }
}

/// Whether one of the texts contains the searched one, whatever the case.
pub(crate) fn contains_text<'a>(
    search: Option<&str>,
    texts: impl IntoIterator<Item = Option<&'a str>>,
) -> bool {
    let Some(search) = search else {
        return true;
    };
    let search = search.to_lowercase();
    let mut texts = texts.into_iter().flatten();
    texts.any(|text| text.to_lowercase().contains(&search))
}

/// A job in a list. It is stored beside the job, so that a job that cannot be read is listed all the same.
#[derive(Clone, Debug, PartialEq)]
pub struct JobSummary {
    /// The job's id.
    pub id: JobId,
    /// The route of its delivery.
    pub route: Option<String>,
    /// Its connection.
    pub connection: String,
    /// Its module.
    pub module: String,
    /// The caller's own reference.
    pub reference: Option<Value>,
    /// Its status.
    pub status: JobStatus,
    /// The counts of its records.
    pub counts: Counts,
    /// How many values of its look-up have records, if it looked records up.
    pub lookup: Option<MatchCount>,
    /// The status of its callback.
    pub callback: Option<CallbackStatus>,
    /// The code of its failure.
    pub code: Option<String>,
    /// The message of its failure.
    pub failure: Option<String>,
    /// Why it is parked, if it is.
    pub parked: Option<String>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it finished.
    pub finished_at: Option<Timestamp>,
    /// The stored delivery that it came from.
    pub delivery: Option<String>,
}

/// The parts of a summary that are stored as one document.
#[derive(Default, Serialize, Deserialize)]
struct Digest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reference: Option<Value>,
    #[serde(default)]
    counts: Counts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lookup: Option<MatchCount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

impl JobSummary {
    /// The summary of a job that is not parked.
    pub fn of(job: &Job) -> Self {
        let (code, failure) = failure_of(job).unzip();
        Self {
            id: job.id.clone(),
            route: job.route.clone(),
            connection: job.connection.clone(),
            module: job.request.module.to_string(),
            reference: job.request.reference.clone(),
            status: job.status(),
            counts: job.counts(),
            lookup: job.preparation.lookup.as_ref().map(Lookup::match_count),
            callback: job.callback.as_ref().map(|callback| callback.status),
            code,
            failure: failure.map(|text| truncated(&text, MAX_REASON)),
            parked: None,
            created_at: job.created_at,
            finished_at: job.finished_at,
            delivery: job.source.as_ref().map(|source| source.delivery.clone()),
        }
    }

    /// Why it is parked, or failed.
    pub fn reason(&self) -> Option<&str> {
        self.parked.as_deref().or(self.failure.as_deref())
    }

    /// The position in a list.
    pub(crate) fn key(&self) -> ListKey {
        ListKey::new(self.created_at, self.id.as_str())
    }

    /// The text of the reference that filters compare.
    pub(crate) fn reference_text(&self) -> Option<String> {
        let reference = self.reference.as_ref()?;
        let text = match reference.as_str() {
            Some(text) => text.to_owned(),
            None => reference.to_string(),
        };
        Some(cut_reference(&text).to_owned())
    }

    /// The parts that stores keep in one document.
    pub(crate) fn encode_digest(&self) -> Option<String> {
        let digest = Digest {
            reference: self.reference.clone(),
            counts: self.counts,
            lookup: self.lookup,
            failure: self.failure.clone(),
        };
        serde_json::to_string(&digest).ok()
    }

    /// Sets the parts that stores keep in one document. Jobs of earlier versions have none.
    pub(crate) fn set_digest(&mut self, digest: Option<&str>) {
        let digest = digest.and_then(|text| serde_json::from_str(text).ok());
        let digest: Digest = digest.unwrap_or_default();
        self.reference = digest.reference;
        self.counts = digest.counts;
        self.lookup = digest.lookup;
        self.failure = digest.failure;
    }
}

/// The code and the message of a job's failure: of the job, of its first failed record, or of its callback.
fn failure_of(job: &Job) -> Option<(String, String)> {
    if let Some(error) = &job.error {
        return Some((error.code.clone(), error.message.clone()));
    }
    if let Some((code, message)) = job.first_failure() {
        return Some((code.to_owned(), message.to_owned()));
    }
    let callback = job.callback.as_ref();
    let callback = callback.filter(|callback| callback.status == CallbackStatus::Undeliverable)?;
    let error = callback.error.clone().unwrap_or_default();
    Some(("CALLBACK_UNDELIVERABLE".to_owned(), error))
}

fn cut_reference(text: &str) -> &str {
    let end = text.char_indices().nth(MAX_REFERENCE);
    end.map_or(text, |(end, _)| &text[..end])
}

/// A text of at most so many characters, with an ellipsis if some are missing.
pub(crate) fn truncated(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// A moment in RFC 3339 with milliseconds.
pub fn time_text(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// One page of a list, the latest entry first.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// The position of the next page, if there is one. The page need not be full then.
    pub next: Option<String>,
    /// The position behind which entries are newer than this page, whether or not they match the filter.
    pub latest: Option<String>,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            next: None,
            latest: None,
        }
    }
}

/// One page of a list of jobs.
pub type JobPage = Page<JobSummary>;

/// Which part of a list to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Maximum number of entries.
    pub limit: usize,
    /// Where to read.
    pub from: ListPosition,
}

impl PageRequest {
    /// The first page.
    pub fn first(limit: usize) -> Self {
        Self {
            limit,
            from: ListPosition::Start,
        }
    }

    /// The page at a position, or the first one.
    pub fn at(limit: usize, position: Option<&str>) -> Self {
        let from = position.map(|position| ListPosition::Before(position.to_owned()));
        Self {
            limit,
            from: from.unwrap_or(ListPosition::Start),
        }
    }

    /// The number above which a store that counts its entries reads. A position of another store may be beyond the end.
    pub(crate) fn newer_than(&self, latest: u64) -> Option<u64> {
        match &self.from {
            ListPosition::Newer(position) => Some(position.parse().unwrap_or(0).min(latest)),
            ListPosition::Start | ListPosition::Before(_) => None,
        }
    }

    /// The position below which the page begins.
    pub(crate) fn below(&self) -> Option<ListKey> {
        match &self.from {
            ListPosition::Before(position) => Some(ListKey::from_outside(position)),
            ListPosition::Start | ListPosition::Newer(_) => None,
        }
    }

    /// The latest entries that are newer than a position.
    pub fn newer(limit: usize, position: &str) -> Self {
        Self {
            limit,
            from: ListPosition::Newer(position.to_owned()),
        }
    }
}

/// Where a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListPosition {
    /// With the latest entry.
    Start,
    /// Below [`Page::next`] of another page.
    Before(String),
    /// With the latest entry, down to [`Page::latest`] of another page.
    Newer(String),
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

    /// The position before all entries of a moment and later.
    pub(crate) fn at(moment: Timestamp) -> Self {
        Self(format!("{:015}", moment.as_millisecond().max(0)))
    }

    /// A position from outside. It need not be the position of an entry.
    pub(crate) fn from_outside(text: &str) -> Self {
        Self(text.replacen('.', "#", 1))
    }

    /// The position as text, which sorts as the position does.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The position as a cursor, which a URL can contain as it is.
    pub(crate) fn to_cursor(&self) -> String {
        self.0.replacen('#', ".", 1)
    }
}
