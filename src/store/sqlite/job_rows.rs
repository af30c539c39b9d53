//! The statements on the table of jobs.

use std::sync::OnceLock;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, named_params, params};

use super::FINISHED_IN_MEMORY;
use super::columns::{count, moment, ms, name};
use super::deliveries::{self, DeliveryRow};
use super::session::Session;
use crate::job::{DeadLetterReason, Job, JobId, JobSource};
use crate::store::document;
use crate::store::error::StoreError;
use crate::store::lease::AddResult;
use crate::store::listing::JobSummary;

/// The columns of a job.
pub(super) struct JobRow {
    summary: JobSummary,
    source: Option<JobSource>,
    state: String,
}

impl JobRow {
    /// Encodes a job.
    pub(super) fn of(job: &Job) -> Result<Self, StoreError> {
        Ok(Self {
            summary: JobSummary::of(job),
            source: job.source.clone(),
            state: document::encode_state(job)?,
        })
    }
}

/// A new job.
pub(super) struct NewRow {
    pub(super) row: JobRow,
    pub(super) request: String,
    /// The delivery that it came from.
    pub(super) delivery: Option<DeliveryRow>,
    /// When the job is due.
    pub(super) due: Option<Timestamp>,
}

/// A write under a lease.
pub(super) struct RowUpdate {
    /// The request, if it has changed.
    pub(super) request: Option<String>,
    /// The version that the row must have.
    pub(super) version: u64,
    /// The end of the lease.
    pub(super) leased_until: Timestamp,
    /// When the job is due.
    pub(super) due: Option<Timestamp>,
    /// Why the job's delivery becomes a dead letter; only for a job that is never due again.
    pub(super) dead_letter: Option<DeadLetterReason>,
}

/// The answer to a claim.
pub(super) enum ClaimedRow {
    Acquired {
        version: u64,
        request: String,
        state: String,
    },
    Busy(Timestamp),
    Parked(String),
    NotFound,
}

pub(super) fn add(session: &Session, new: &NewRow) -> rusqlite::Result<AddResult> {
    let job = &new.row.summary;
    let (adding, horizon) = (&session.connection, session.horizon());
    if session.keeps_by_number() {
        adding.prepare_cached(
            "DELETE FROM jobs WHERE due IS NULL AND parked IS NULL AND rowid NOT IN
             (SELECT rowid FROM jobs WHERE due IS NULL AND parked IS NULL ORDER BY rowid DESC LIMIT ?1)",
        )?
        .execute([FINISHED_IN_MEMORY])?;
    }
    if let Some(existing) = session.job_index.find(adding, &job.id)? {
        let expired = adding
            .prepare_cached("DELETE FROM jobs WHERE rowid = ?1 AND ended <= ?2")?
            .execute(params![existing, ms(horizon)])?;
        if expired == 0 {
            return Ok(AddResult::Existing);
        }
    }
    insert(session, new)?;
    if in_row(&new.request).is_none() {
        adding
            .prepare_cached("INSERT INTO requests (id, stored) VALUES (?1, ?2)")?
            .execute([job.id.as_str(), &new.request])?;
    }
    if let Some(delivery) = &new.delivery {
        deliveries::insert_new(adding, delivery, horizon)?;
    }
    Ok(AddResult::New)
}

/// Inserts the row of a job whose id has none. (A refused insertion would use a row number up.)
fn insert(session: &Session, new: &NewRow) -> rusqlite::Result<()> {
    let (row, job) = (&new.row, &new.row.summary);
    let expires_at = new.due.is_none().then(|| session.expires_at()).flatten();
    session.connection.prepare_cached(
        "INSERT INTO jobs (id, version, leased_until, due, ended, route, connection, module, status, callback,
                           created_at, finished_at, listed, code, reference, digest, delivery, request, state)
         VALUES (:id, 1, 0, :due, :ended, :route, :connection, :module, :status, :callback, :created_at, :finished_at,
                 :listed, :code, :reference, :digest, :delivery, :request, :state)",
    )?
    .execute(named_params! {
        ":id": job.id.as_str(),
        ":due": new.due.map(ms),
        ":ended": expires_at.map(ms),
        ":route": job.route,
        ":connection": job.connection,
        ":module": job.module,
        ":status": name(&job.status),
        ":callback": job.callback.as_ref().map(name),
        ":created_at": ms(job.created_at),
        ":finished_at": job.finished_at.map(ms),
        ":listed": job.key().as_str(),
        ":code": job.code,
        ":reference": job.reference_text(),
        ":digest": job.encode_digest(),
        ":request": in_row(&new.request),
        ":state": row.state,
        ":delivery": row.source.as_ref().map(|source| &source.delivery),
    })?;
    if new.due.is_some() {
        let row = session.connection.last_insert_rowid();
        session.job_index.remember(&job.id, row);
    }
    Ok(())
}

/// Runs a statement on the row of a job until it finds what it wants: where the row was, then where it is.
fn at_row<T>(
    session: &Session,
    id: &JobId,
    mut statement: impl FnMut(i64) -> rusqlite::Result<Option<T>>,
) -> rusqlite::Result<Option<T>> {
    let remembered = session.job_index.remembered(id);
    if let Some(row) = remembered
        && let Some(found) = statement(row)?
    {
        return Ok(Some(found));
    }
    match session.job_index.find(&session.connection, id)? {
        Some(row) if remembered != Some(row) => {
            session.job_index.remember(id, row);
            statement(row)
        }
        _ => Ok(None),
    }
}

/// The largest request in the row of its job, in bytes.
const MAX_IN_ROW: usize = 1_000;

/// The stored request of a job.
const REQUEST: &str =
    "coalesce(jobs.request, (SELECT stored FROM requests WHERE requests.id = jobs.id))";

/// A request that the row of its job contains.
fn in_row(request: &str) -> Option<&str> {
    Some(request).filter(|request| request.len() <= MAX_IN_ROW)
}

fn replace_request(
    writing: &Connection,
    row: i64,
    id: &JobId,
    request: &str,
) -> rusqlite::Result<()> {
    let in_row = in_row(request);
    writing
        .prepare_cached("UPDATE jobs SET request = ?1 WHERE rowid = ?2")?
        .execute(params![in_row, row])?;
    let replace = match in_row {
        Some(_) => "DELETE FROM requests WHERE id = ?1",
        None => {
            "INSERT INTO requests (id, stored) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET stored = ?2"
        }
    };
    let mut replace = writing.prepare_cached(replace)?;
    match in_row {
        Some(_) => replace.execute([id.as_str()])?,
        None => replace.execute([id.as_str(), request])?,
    };
    Ok(())
}

pub(super) fn get(session: &Session, id: &JobId) -> rusqlite::Result<Option<(String, String)>> {
    let Some(row) = session.job_index.find(&session.connection, id)? else {
        return Ok(None);
    };
    let query = format!(
        "SELECT {REQUEST}, state FROM jobs WHERE rowid = ?1 AND +id = ?2 AND (ended IS NULL OR ended > ?3)"
    );
    let parameters = params![row, id.as_str(), ms(session.horizon())];
    session
        .connection
        .prepare_cached(&query)?
        .query_row(parameters, |row| {
            let request: Option<String> = row.get(0)?;
            Ok((request.unwrap_or_default(), row.get(1)?))
        })
        .optional()
}

pub(super) fn claim(
    session: &Session,
    id: &JobId,
    now: Timestamp,
    until: Timestamp,
) -> rusqlite::Result<ClaimedRow> {
    let (claiming, horizon) = (&session.connection, ms(session.horizon()));
    // If the driver crashes, the job is due when the lease ends.
    let mut claim = claiming.prepare_cached(&format!(
        "UPDATE jobs SET version = version + 1, leased_until = ?1, due = ?1, ended = NULL
         WHERE rowid = ?2 AND +id = ?3 AND leased_until <= ?4 AND parked IS NULL AND (ended IS NULL OR ended > ?5)
         RETURNING version, state, {REQUEST}"
    ))?;
    let taken = at_row(session, id, |row| {
        let row = params![ms(until), row, id.as_str(), ms(now), horizon];
        let claimed = claim.query_row(row, |row| {
            let request: Option<String> = row.get(2)?;
            Ok(ClaimedRow::Acquired {
                version: row.get::<_, i64>(0)?.cast_unsigned(),
                state: row.get(1)?,
                request: request.unwrap_or_default(),
            })
        });
        claimed.optional()
    })?;
    if let Some(taken) = taken {
        return Ok(taken);
    }
    let held: Option<(i64, Option<String>)> = claiming
        .prepare_cached(
            "SELECT leased_until, parked FROM jobs WHERE rowid = ?1 AND (ended IS NULL OR ended > ?2)",
        )?
        .query_row(params![session.job_index.find(claiming, id)?, horizon], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    Ok(match held {
        Some((_, Some(reason))) => ClaimedRow::Parked(reason),
        Some((until, None)) => ClaimedRow::Busy(moment(until)),
        None => ClaimedRow::NotFound,
    })
}

/// The columns that every write changes, and the two sets of columns that it changes only where they differ from the row: an
/// index is written whether or not its columns have changed.
const SET_STATE: &str =
    "version = version + 1, callback = :callback, finished_at = :finished_at, digest = :digest,
     state = :state";
const SET_STATUS: &str = "module = :module, status = :status, code = :code";
const SAME_STATUS: &str = "module IS :module AND status IS :status AND code IS :code";
const SET_TIMES: &str = "leased_until = :leased_until, due = :due, ended = :ended";
const SAME_TIMES: &str = "leased_until = :leased_until AND due IS :due AND ended IS :ended";

/// The statements that write a job: most writes under a lease keep its times, most that end one keep the status, and the last
/// statement serves all.
fn write_statements() -> &'static [String; 3] {
    static STATEMENTS: OnceLock<[String; 3]> = OnceLock::new();
    STATEMENTS.get_or_init(|| {
        let row = "WHERE rowid = :row AND +id = :id AND version = :version";
        [
            format!("UPDATE jobs SET {SET_STATE}, {SET_STATUS} {row} AND {SAME_TIMES}"),
            format!("UPDATE jobs SET {SET_STATE}, {SET_TIMES} {row} AND {SAME_STATUS}"),
            format!("UPDATE jobs SET {SET_STATE}, {SET_STATUS}, {SET_TIMES} {row}"),
        ]
    })
}

/// Writes a job. Returns false if the row does not have the expected version.
pub(super) fn write(session: &Session, row: &JobRow, write: &RowUpdate) -> rusqlite::Result<bool> {
    let (job, writing) = (&row.summary, &session.connection);
    let expires_at = write.due.is_none().then(|| session.expires_at()).flatten();
    let [keep_times, keep_status, all] = write_statements();
    let is_leased = write.leased_until > Timestamp::UNIX_EPOCH;
    let likely = if is_leased { keep_times } else { keep_status };
    let digest = job.encode_digest();
    let at = |place: i64| {
        for statement in [likely, all] {
            let written = writing.prepare_cached(statement)?.execute(named_params! {
                ":leased_until": ms(write.leased_until),
                ":due": write.due.map(ms),
                ":ended": expires_at.map(ms),
                ":module": job.module,
                ":status": name(&job.status),
                ":callback": job.callback.as_ref().map(name),
                ":finished_at": job.finished_at.map(ms),
                ":code": job.code,
                ":digest": digest,
                ":state": row.state,
                ":row": place,
                ":id": job.id.as_str(),
                ":version": write.version.cast_signed(),
            })?;
            if written == 1 {
                return Ok(Some(place));
            }
        }
        Ok(None)
    };
    let Some(place) = at_row(session, &job.id, at)? else {
        return Ok(false);
    };
    if write.due.is_none() {
        session.job_index.forget(&job.id);
    }
    if let Some(request) = &write.request {
        replace_request(writing, place, &job.id, request)?;
    }
    if write.due.is_none()
        && let Some(source) = &row.source
    {
        match &write.dead_letter {
            Some(reason) => deliveries::dead_letter(writing, &source.delivery, reason, expires_at)?,
            None => deliveries::release(writing, source, expires_at)?,
        }
    }
    Ok(true)
}

/// The jobs that are due and not leased.
pub(super) const DUE: &str =
    "SELECT id FROM jobs WHERE due <= ?1 AND leased_until <= ?1 ORDER BY due, id LIMIT ?2";

pub(super) fn due(
    connection: &Connection,
    now: Timestamp,
    limit: usize,
) -> rusqlite::Result<Vec<JobId>> {
    let mut query = connection.prepare_cached(DUE)?;
    let rows = query.query_map(params![ms(now), count(limit)], |row| {
        Ok(JobId::from_outside(row.get_ref(0)?.as_str()?))
    })?;
    rows.collect()
}

/// When the job was due that waits longest.
pub(super) fn oldest_due(
    connection: &Connection,
    now: Timestamp,
) -> rusqlite::Result<Option<Timestamp>> {
    let query = "SELECT due FROM jobs WHERE due <= ?1 AND leased_until <= ?1 ORDER BY due LIMIT 1";
    let mut query = connection.prepare_cached(query)?;
    let due = query.query_row(params![ms(now)], |row| Ok(moment(row.get(0)?)));
    due.optional()
}

pub(super) fn park(
    session: &Session,
    id: &JobId,
    reason: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let parking = &session.connection;
    let update = "UPDATE jobs SET version = version + 1, leased_until = 0, due = NULL, ended = NULL, parked = ?1
                  WHERE rowid = ?2 RETURNING delivery";
    let row = session.job_index.find(parking, id)?;
    let delivery: Option<Option<String>> = parking
        .prepare_cached(update)?
        .query_row(params![reason, row], |row| row.get(0))
        .optional()?;
    if let Some(delivery) = delivery.flatten() {
        deliveries::dead_letter(
            parking,
            &delivery,
            &DeadLetterReason::for_parked_job(id, reason, now),
            None,
        )?;
    }
    Ok(())
}

pub(super) fn unpark(session: &Session, id: &JobId, due: Timestamp) -> rusqlite::Result<bool> {
    let unparking = &session.connection;
    let update = "UPDATE jobs SET version = version + 1, due = ?1, parked = NULL
                  WHERE rowid = ?2 AND parked IS NOT NULL RETURNING delivery";
    let row = session.job_index.find(unparking, id)?;
    let delivery: Option<Option<String>> = unparking
        .prepare_cached(update)?
        .query_row(params![ms(due), row], |row| row.get(0))
        .optional()?;
    let Some(delivery) = delivery else {
        return Ok(false);
    };
    deliveries::restore_parked(unparking, id, delivery.as_deref())?;
    Ok(true)
}

/// Whether there is such a job, and it has not finished.
pub(super) fn is_unfinished(session: &Session, id: &JobId) -> rusqlite::Result<bool> {
    let row = session.job_index.find(&session.connection, id)?;
    let select = "SELECT EXISTS (SELECT 1 FROM jobs WHERE rowid = ?1 AND finished_at IS NULL)";
    let mut select = session.connection.prepare_cached(select)?;
    select.query_row([row], |row| row.get(0))
}

/// Ends every lease. A leased job is always due, at the end of its lease.
pub(super) const BREAK_LEASES: &str =
    "UPDATE jobs SET version = version + 1, leased_until = 0, due = ?1
     WHERE due IS NOT NULL AND leased_until > 0 AND parked IS NULL";

/// Ends every lease. The jobs are due at once; the driver that claims a job releases it with its real due time.
pub(super) fn break_leases(connection: &Connection, now: Timestamp) -> rusqlite::Result<usize> {
    connection.prepare_cached(BREAK_LEASES)?.execute([ms(now)])
}
