//! Lists of jobs. Each query walks one index from the latest entry down; what else the filter requires is compared row by row.
//! A page ends early after many rows, so that a filter with few matches is answered in pages and not late.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Row, params};

use super::columns::{count, from_name, moment, ms, name};
use super::session::Session;
use crate::job::{CallbackStatus, Counts, JobId, JobStatus};
use crate::store::listing::{
    JobFilter, JobPage, JobSummary, ListKey, ListPosition, NO_ROUTE, PageRequest, StatusFilter,
};

/// Rows that one page reads at most.
pub(super) const PAGE_ROWS: usize = 20_000;

/// The time after which a page ends. It is checked every [`CHECK_ROWS`] rows.
const PAGE_TIME: Duration = Duration::from_millis(80);

const CHECK_ROWS: usize = 128;

const COLUMNS: &str = "id, route, connection, module, status, callback, parked, created_at, finished_at, ended, code, \
                       digest, delivery, rowid";

/// The condition that one index answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lead {
    /// None: every job.
    All,
    Reference,
    Code,
    Undeliverable,
    Parked,
    Status,
    Route,
    NoRoute,
    Connection,
}

impl Lead {
    #[cfg(test)]
    pub(super) const ALL: [Self; 9] = [
        Self::All,
        Self::Reference,
        Self::Code,
        Self::Undeliverable,
        Self::Parked,
        Self::Status,
        Self::Route,
        Self::NoRoute,
        Self::Connection,
    ];

    /// The condition of a filter that probably has the fewest matches.
    fn of(filter: &JobFilter) -> Self {
        if filter.reference.is_some() {
            return Self::Reference;
        }
        if filter.code.is_some() {
            return Self::Code;
        }
        match (filter.status, filter.route.as_deref()) {
            (Some(StatusFilter::Undeliverable), _) => Self::Undeliverable,
            (Some(StatusFilter::Parked), _) => Self::Parked,
            (Some(StatusFilter::Status(status)), _) if status != JobStatus::Succeeded => {
                Self::Status
            }
            (_, Some(NO_ROUTE)) => Self::NoRoute,
            (_, Some(_)) => Self::Route,
            (Some(_), None) => Self::Status,
            (None, None) if filter.connection.is_some() => Self::Connection,
            (None, None) => Self::All,
        }
    }

    /// The query. Its parameters are the positions between which it reads, and the value of the condition.
    pub(super) fn query(self) -> String {
        let condition = match self {
            Self::All => "?3 IS NULL",
            Self::Reference => "reference = ?3",
            Self::Code => "code = ?3",
            Self::Undeliverable => "callback = 'undeliverable' AND ?3 IS NULL",
            Self::Parked => "parked IS NOT NULL AND ?3 IS NULL",
            Self::Status => "status = ?3",
            Self::Route => "route = ?3",
            Self::NoRoute => "route IS NULL AND ?3 IS NULL",
            Self::Connection => "connection = ?3",
        };
        format!(
            "SELECT {COLUMNS} FROM jobs WHERE {condition} AND listed < ?1 AND listed >= ?2 ORDER BY listed DESC"
        )
    }

    fn value(self, filter: &JobFilter) -> Option<String> {
        match self {
            Self::All | Self::Undeliverable | Self::Parked | Self::NoRoute => None,
            Self::Reference => filter.reference_text(),
            Self::Code => filter.code.clone(),
            Self::Status => match filter.status {
                Some(StatusFilter::Status(status)) => name(&status),
                Some(StatusFilter::Undeliverable | StatusFilter::Parked) | None => None,
            },
            Self::Route => filter.route.clone(),
            Self::Connection => filter.connection.clone(),
        }
    }
}

/// The jobs that are newer than a position, the latest first.
pub(super) fn newer_query() -> String {
    format!("SELECT {COLUMNS} FROM jobs WHERE rowid > ?1 ORDER BY rowid DESC")
}

/// One page of a list.
pub(super) fn list(
    session: &Session,
    filter: &JobFilter,
    page: &PageRequest,
) -> rusqlite::Result<JobPage> {
    let latest: Option<i64> = session
        .connection
        .prepare_cached("SELECT max(rowid) FROM jobs")?
        .query_row([], |row| row.get(0))?;
    let latest = latest.unwrap_or_default();
    if let ListPosition::Newer(position) = &page.from {
        // A position of another file may be beyond the end of this one.
        let position = position.parse().unwrap_or(0).min(latest);
        let mut query = session.connection.prepare_cached(&newer_query())?;
        let rows = query.query([position])?;
        return read_page(session, filter, page.limit, latest, rows);
    }
    let lead = Lead::of(filter);
    let below = match &page.from {
        ListPosition::Before(position) => ListKey::from_outside(position),
        // The positions of all jobs are digits.
        ListPosition::Start | ListPosition::Newer(_) => ListKey::from_outside("~"),
    };
    let below = match filter.until {
        Some(until) => below.min(ListKey::at(until)),
        None => below,
    };
    let since = ListKey::at(filter.since.unwrap_or(Timestamp::UNIX_EPOCH));
    let mut query = session.connection.prepare_cached(&lead.query())?;
    let rows = query.query(params![below.as_str(), since.as_str(), lead.value(filter)])?;
    read_page(session, filter, page.limit, latest, rows)
}

fn read_page(
    session: &Session,
    filter: &JobFilter,
    limit: usize,
    latest: i64,
    mut rows: rusqlite::Rows<'_>,
) -> rusqlite::Result<JobPage> {
    let (horizon, started) = (ms(session.horizon()), Instant::now());
    let mut page = JobPage {
        latest: Some(latest.to_string()),
        ..JobPage::default()
    };
    let mut visited = 0;
    while let Some(row) = rows.next()? {
        visited += 1;
        let ended: Option<i64> = row.get(9)?;
        let is_live = ended.is_none_or(|ended| ended > horizon);
        let job = match is_live && may_match(filter, row)? {
            true => Some(summary(row)?).filter(|job| filter.matches(job)),
            false => None,
        };
        page.entries.extend(job);
        let is_late = visited % CHECK_ROWS == 0 && started.elapsed() >= PAGE_TIME;
        if page.entries.len() >= limit || visited >= PAGE_ROWS || is_late {
            let key = ListKey::new(moment(row.get(7)?), row.get_ref(0)?.as_str()?);
            page.next = Some(key.to_cursor());
            break;
        }
    }
    Ok(page)
}

/// Whether a row can match, by the columns that are cheap to compare. [`JobFilter::matches`] decides.
fn may_match(filter: &JobFilter, row: &Row<'_>) -> rusqlite::Result<bool> {
    let equals = |wanted: Option<&str>, column: usize| -> rusqlite::Result<bool> {
        let value = row.get_ref(column)?;
        Ok(wanted.is_none_or(|wanted| {
            value
                .as_str_or_null()
                .is_ok_and(|value| value == Some(wanted))
        }))
    };
    let status = match filter.status {
        Some(StatusFilter::Status(status)) => Some(status.as_str()),
        Some(StatusFilter::Undeliverable | StatusFilter::Parked) | None => None,
    };
    let route = filter.route.as_deref().filter(|route| *route != NO_ROUTE);
    Ok(equals(status, 4)?
        && equals(route, 1)?
        && equals(filter.connection.as_deref(), 2)?
        && equals(filter.code.as_deref(), 10)?)
}

fn summary(row: &Row<'_>) -> rusqlite::Result<JobSummary> {
    let callback: Option<String> = row.get(5)?;
    let callback: Option<CallbackStatus> = callback
        .map(|callback| from_name(5, callback))
        .transpose()?;
    let finished_at: Option<i64> = row.get(8)?;
    let mut summary = JobSummary {
        id: JobId::from_outside(row.get_ref(0)?.as_str()?),
        route: row.get(1)?,
        connection: row.get(2)?,
        module: row.get(3)?,
        status: from_name(4, row.get(4)?)?,
        callback,
        parked: row.get(6)?,
        created_at: moment(row.get(7)?),
        finished_at: finished_at.map(moment),
        code: row.get(10)?,
        delivery: row.get(12)?,
        reference: None,
        counts: Counts::default(),
        failure: None,
        lookup: None,
    };
    summary.set_digest(row.get_ref(11)?.as_str_or_null()?);
    Ok(summary)
}

/// The ids that begin with a text.
pub(super) fn ids_with_prefix(
    session: &Session,
    prefix: &str,
    limit: usize,
) -> rusqlite::Result<Vec<String>> {
    let (in_part, parts) = session.job_index.parts(&session.connection)?;
    let select = format!(
        "SELECT id FROM jobs WHERE {in_part} AND id >= ?2 AND id < ?3 AND (ended IS NULL OR ended > ?4) ORDER BY id LIMIT ?5"
    );
    let mut query = session.connection.prepare_cached(&select)?;
    let (end, horizon) = (format!("{prefix}~"), ms(session.horizon()));
    let mut ids: Vec<String> = Vec::new();
    for part in parts {
        let parameters = params![part, prefix, end, horizon, count(limit)];
        for id in query.query_map(parameters, |row| row.get(0))? {
            ids.push(id?);
        }
    }
    ids.sort_unstable();
    ids.truncate(limit);
    Ok(ids)
}
