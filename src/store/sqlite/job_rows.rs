//! The statements on the table of jobs.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, named_params, params};

use super::columns::{count, from_name, moment, ms, name};
use super::deliveries::{self, DeliveryRow};
use crate::job::{DeadLetterReason, Job, JobId, JobSource};
use crate::store::document;
use crate::store::error::StoreError;
use crate::store::lease::AddResult;
use crate::store::listing::{JobFilter, JobSummary, ListKey};

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
    /// When it is deleted.
    pub(super) expires_at: Option<Timestamp>,
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
    /// When it is deleted.
    pub(super) expires_at: Option<Timestamp>,
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

pub(super) fn add(
    connection: &mut Connection,
    new: &NewRow,
    horizon: Timestamp,
    keep_finished: Option<u32>,
) -> rusqlite::Result<AddResult> {
    let (row, job) = (&new.row, &new.row.summary);
    let adding = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if let Some(keep) = keep_finished {
        adding.prepare_cached(
            "DELETE FROM jobs WHERE due IS NULL AND parked IS NULL AND rowid NOT IN
             (SELECT rowid FROM jobs WHERE due IS NULL AND parked IS NULL ORDER BY rowid DESC LIMIT ?1)",
        )?
        .execute([keep])?;
    }
    adding
        .prepare_cached("DELETE FROM jobs WHERE id = ?1 AND ended <= ?2")?
        .execute(params![job.id.as_str(), ms(horizon)])?;
    let added = adding.prepare_cached(
        "INSERT INTO jobs (id, version, leased_until, due, ended, route, connection, module, status, callback,
                           created_at, finished_at, listed, state, delivery)
         VALUES (:id, 1, 0, :due, :ended, :route, :connection, :module, :status, :callback, :created_at, :finished_at,
                 :listed, :state, :delivery)
         ON CONFLICT DO NOTHING",
    )?
    .execute(named_params! {
        ":id": job.id.as_str(),
        ":due": new.due.map(ms),
        ":ended": new.expires_at.map(ms),
        ":route": job.route,
        ":connection": job.connection,
        ":module": job.module,
        ":status": name(&job.status),
        ":callback": job.callback.as_ref().map(name),
        ":created_at": ms(job.created_at),
        ":finished_at": job.finished_at.map(ms),
        ":listed": ListKey::new(job.created_at, job.id.as_str()).as_str(),
        ":state": row.state,
        ":delivery": row.source.as_ref().map(|source| &source.delivery),
    })?;
    if added == 0 {
        return Ok(AddResult::Existing);
    }
    adding
        .prepare_cached("INSERT INTO requests (id, stored) VALUES (?1, ?2)")?
        .execute([job.id.as_str(), &new.request])?;
    if let Some(delivery) = &new.delivery {
        deliveries::insert_new(&adding, delivery, horizon)?;
    }
    adding.commit()?;
    Ok(AddResult::New)
}

pub(super) fn get(
    connection: &Connection,
    id: &JobId,
    horizon: Timestamp,
) -> rusqlite::Result<Option<(String, String)>> {
    let query = "SELECT stored, state FROM jobs JOIN requests USING (id)
                 WHERE id = ?1 AND (ended IS NULL OR ended > ?2)";
    connection
        .prepare_cached(query)?
        .query_row(params![id.as_str(), ms(horizon)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()
}

pub(super) fn claim(
    connection: &mut Connection,
    id: &JobId,
    now: Timestamp,
    until: Timestamp,
) -> rusqlite::Result<ClaimedRow> {
    let claiming = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // If the driver crashes, the job is due when the lease ends.
    let taken: Option<(i64, String)> = claiming
        .prepare_cached(
            "UPDATE jobs SET version = version + 1, leased_until = ?1, due = ?1, ended = NULL
             WHERE id = ?2 AND leased_until <= ?3 AND parked IS NULL AND (ended IS NULL OR ended > ?3)
             RETURNING version, state",
        )?
        .query_row(params![ms(until), id.as_str(), ms(now)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    if let Some((version, state)) = taken {
        let request = claiming
            .prepare_cached("SELECT stored FROM requests WHERE id = ?1")?
            .query_row([id.as_str()], |row| row.get(0))
            .optional()?;
        claiming.commit()?;
        return Ok(ClaimedRow::Acquired {
            version: version.cast_unsigned(),
            request: request.unwrap_or_default(),
            state,
        });
    }
    let held: Option<(i64, Option<String>)> = claiming
        .prepare_cached(
            "SELECT leased_until, parked FROM jobs WHERE id = ?1 AND (ended IS NULL OR ended > ?2)",
        )?
        .query_row(params![id.as_str(), ms(now)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    Ok(match held {
        Some((_, Some(reason))) => ClaimedRow::Parked(reason),
        Some((until, None)) => ClaimedRow::Busy(moment(until)),
        None => ClaimedRow::NotFound,
    })
}

/// Writes a job. Returns false if the row does not have the expected version.
pub(super) fn write(
    connection: &mut Connection,
    row: &JobRow,
    write: &RowUpdate,
) -> rusqlite::Result<bool> {
    let job = &row.summary;
    let writing = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let written = writing.prepare_cached(
        "UPDATE jobs SET version = version + 1, leased_until = :leased_until, due = :due, ended = :ended,
                         module = :module, status = :status, callback = :callback, finished_at = :finished_at,
                         state = :state
         WHERE id = :id AND version = :version",
    )?
    .execute(named_params! {
        ":leased_until": ms(write.leased_until),
        ":due": write.due.map(ms),
        ":ended": write.expires_at.map(ms),
        ":module": job.module,
        ":status": name(&job.status),
        ":callback": job.callback.as_ref().map(name),
        ":finished_at": job.finished_at.map(ms),
        ":state": row.state,
        ":id": job.id.as_str(),
        ":version": write.version.cast_signed(),
    })?;
    if written == 1
        && let Some(request) = &write.request
    {
        writing
            .prepare_cached("UPDATE requests SET stored = ?1 WHERE id = ?2")?
            .execute([request, job.id.as_str()])?;
    }
    if written == 1
        && write.due.is_none()
        && let Some(source) = &row.source
    {
        match &write.dead_letter {
            Some(reason) => {
                deliveries::dead_letter(&writing, &source.delivery, reason, write.expires_at)?
            }
            None => deliveries::release(&writing, source, write.expires_at)?,
        }
    }
    writing.commit()?;
    Ok(written == 1)
}

pub(super) fn due(
    connection: &Connection,
    now: Timestamp,
    limit: usize,
) -> rusqlite::Result<Vec<JobId>> {
    let query =
        "SELECT id FROM jobs WHERE due <= ?1 AND leased_until <= ?1 ORDER BY due, id LIMIT ?2";
    let mut query = connection.prepare_cached(query)?;
    let rows = query.query_map(params![ms(now), count(limit)], |row| {
        Ok(JobId::from_outside(row.get_ref(0)?.as_str()?))
    })?;
    rows.collect()
}

pub(super) fn list(
    connection: &Connection,
    filter: JobFilter,
    limit: usize,
    after: Option<&ListKey>,
    horizon: Timestamp,
) -> rusqlite::Result<Vec<JobSummary>> {
    let query = "SELECT id, route, connection, module, status, callback, parked, created_at, finished_at FROM jobs
                 WHERE (?1 IS NULL OR listed < ?1) AND (ended IS NULL OR ended > ?2) ORDER BY listed DESC";
    let mut query = connection.prepare_cached(query)?;
    let after = after.map(ListKey::as_str);
    let rows = query.query_map(params![after, ms(horizon)], |row| {
        let callback: Option<String> = row.get(5)?;
        let finished_at: Option<i64> = row.get(8)?;
        Ok(JobSummary {
            id: JobId::from_outside(row.get_ref(0)?.as_str()?),
            route: row.get(1)?,
            connection: row.get(2)?,
            module: row.get(3)?,
            status: from_name(4, row.get(4)?)?,
            callback: callback
                .map(|callback| from_name(5, callback))
                .transpose()?,
            parked: row.get(6)?,
            created_at: moment(row.get(7)?),
            finished_at: finished_at.map(moment),
        })
    })?;
    // Rows that do not match are skipped while reading, so that a large table is never collected.
    rows.filter(|job| job.as_ref().map_or(true, |job| filter.matches(job)))
        .take(limit)
        .collect()
}

pub(super) fn park(
    connection: &mut Connection,
    id: &JobId,
    reason: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let parking = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let update = "UPDATE jobs SET version = version + 1, leased_until = 0, due = NULL, ended = NULL, parked = ?1
                  WHERE id = ?2 RETURNING delivery";
    let delivery: Option<Option<String>> = parking
        .prepare_cached(update)?
        .query_row([reason, id.as_str()], |row| row.get(0))
        .optional()?;
    if let Some(delivery) = delivery.flatten() {
        deliveries::dead_letter(
            &parking,
            &delivery,
            &DeadLetterReason::for_parked_job(id, reason, now),
            None,
        )?;
    }
    parking.commit()
}

pub(super) fn unpark(
    connection: &mut Connection,
    id: &JobId,
    due: Timestamp,
) -> rusqlite::Result<bool> {
    let unparking = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let update = "UPDATE jobs SET version = version + 1, due = ?1, parked = NULL WHERE id = ?2 AND parked IS NOT NULL";
    let changed = unparking
        .prepare_cached(update)?
        .execute(params![ms(due), id.as_str()])?;
    if changed == 1 {
        deliveries::restore_parked(&unparking, id)?;
    }
    unparking.commit()?;
    Ok(changed == 1)
}

/// Ends every lease. The jobs are due at once; the driver that claims a job releases it with its real due time.
pub(super) fn break_leases(connection: &Connection, now: Timestamp) -> rusqlite::Result<usize> {
    let update = "UPDATE jobs SET version = version + 1, leased_until = 0, due = ?1
                  WHERE leased_until > 0 AND parked IS NULL";
    connection.prepare_cached(update)?.execute([ms(now)])
}
