//! The statements about kept deliveries.

use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use super::jobs::count;
use super::schema::{moment, ms};
use crate::job::delivery::{self, DeadLetterReason, DeadLetterSummary, Parts, StoredDelivery};
use crate::job::store::StoreError;
use crate::job::{JobId, JobSource};

/// A delivery as its row has it.
pub(super) struct DeliveryRow {
    pub(super) delivery: StoredDelivery,
    pub(super) envelope: String,
}

impl DeliveryRow {
    /// The row of a delivery.
    pub(super) fn of(delivery: &StoredDelivery) -> Result<Self, StoreError> {
        Ok(Self {
            envelope: delivery::envelope(delivery)?,
            delivery: delivery.clone(),
        })
    }
}

/// Keeps a delivery, in place of one with the same id.
pub(super) fn keep(
    connection: &Connection,
    kept: &DeliveryRow,
    end: Option<Timestamp>,
) -> rusqlite::Result<()> {
    insert(connection, "REPLACE", kept, end)
}

/// Keeps a delivery whose jobs are under way, unless it is kept already.
pub(super) fn keep_new(
    connection: &Connection,
    kept: &DeliveryRow,
    horizon: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM deliveries WHERE id = ?1 AND ended <= ?2")?
        .execute(params![kept.delivery.id, ms(horizon)])?;
    insert(connection, "IGNORE", kept, None)
}

fn insert(
    connection: &Connection,
    otherwise: &str,
    kept: &DeliveryRow,
    end: Option<Timestamp>,
) -> rusqlite::Result<()> {
    let insert = format!(
        "INSERT OR {otherwise} INTO deliveries (id, route, at, code, reason, job, dead_since, envelope, body, ended)
         VALUES (:id, :route, :at, :code, :reason, :job, :dead_since, :envelope, :body, :ended)"
    );
    let delivery = &kept.delivery;
    let dead = delivery.dead_letter.as_ref();
    connection.prepare_cached(&insert)?.execute(named_params! {
        ":id": delivery.id,
        ":route": delivery.route,
        ":at": ms(delivery.at),
        ":code": dead.map(|dead| &dead.code),
        ":reason": dead.map(|dead| &dead.reason),
        ":job": dead.and_then(|dead| dead.job.as_ref()).map(JobId::as_str),
        ":dead_since": dead.map(|dead| ms(dead.since)),
        ":envelope": kept.envelope,
        ":body": delivery.body.as_ref(),
        ":ended": end.map(ms),
    })?;
    Ok(())
}

/// Makes a delivery a dead letter, which is forgotten at `end`.
pub(super) fn dead_letter(
    connection: &Connection,
    id: &str,
    death: &DeadLetterReason,
    end: Option<Timestamp>,
) -> rusqlite::Result<()> {
    let update = "UPDATE deliveries SET code = ?1, reason = ?2, job = ?3, dead_since = ?4, ended = ?5 WHERE id = ?6";
    connection.prepare_cached(update)?.execute(params![
        death.code,
        death.reason,
        death.job.as_ref().map(JobId::as_str),
        ms(death.since),
        end.map(ms),
        id,
    ])?;
    Ok(())
}

/// Lets go of the delivery of a job that ended well.
pub(super) fn release(
    connection: &Connection,
    source: &JobSource,
    end: Option<Timestamp>,
) -> rusqlite::Result<()> {
    if !source.shared {
        return delete_delivery(connection, &source.delivery).map(|_| ());
    }
    let update = "UPDATE deliveries SET ended = ?1 WHERE id = ?2 AND dead_since IS NULL";
    connection
        .prepare_cached(update)?
        .execute(params![end.map(ms), source.delivery])?;
    Ok(())
}

/// Makes a dead letter that died at this moment a delivery under way.
pub(super) fn restore(
    connection: &Connection,
    id: &str,
    dead_since: Timestamp,
) -> rusqlite::Result<()> {
    let update = "UPDATE deliveries SET code = NULL, reason = NULL, job = NULL, dead_since = NULL, ended = NULL
                  WHERE id = ?1 AND dead_since = ?2";
    connection
        .prepare_cached(update)?
        .execute(params![id, ms(dead_since)])?;
    Ok(())
}

/// Makes the dead letter of a job that was put aside a delivery under way.
pub(super) fn revive_parked(connection: &Connection, job: &JobId) -> rusqlite::Result<()> {
    let select = "SELECT id, dead_since FROM deliveries WHERE job = ?1 AND id = (SELECT delivery FROM jobs WHERE id = ?1)";
    let dead: Option<(String, i64)> = connection
        .prepare_cached(select)?
        .query_row([job.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    dead.map_or(Ok(()), |(id, since)| {
        restore(connection, &id, moment(since))
    })
}

pub(super) fn list(
    connection: &Connection,
    limit: usize,
    horizon: Timestamp,
) -> rusqlite::Result<Vec<DeadLetterSummary>> {
    let query = "SELECT id, route, at, code, reason, job, dead_since, length(body) FROM deliveries
                 WHERE dead_since IS NOT NULL AND (ended IS NULL OR ended > ?1)
                 ORDER BY dead_since DESC, id DESC LIMIT ?2";
    let mut query = connection.prepare_cached(query)?;
    let rows = query.query_map(params![ms(horizon), count(limit)], |row| {
        let bytes: i64 = row.get(7)?;
        Ok(DeadLetterSummary {
            id: row.get(0)?,
            route: row.get(1)?,
            at: moment(row.get(2)?),
            dead_letter: death(row)?,
            body_bytes: bytes.unsigned_abs(),
        })
    })?;
    rows.collect()
}

pub(super) fn get(
    connection: &Connection,
    id: &str,
    horizon: Timestamp,
) -> rusqlite::Result<Option<Parts>> {
    let query =
        "SELECT id, route, at, code, reason, job, dead_since, envelope, body FROM deliveries
                 WHERE id = ?1 AND (ended IS NULL OR ended > ?2)";
    connection
        .prepare_cached(query)?
        .query_row(params![id, ms(horizon)], |row| {
            Ok(Parts {
                id: row.get(0)?,
                route: row.get(1)?,
                at: moment(row.get(2)?),
                dead_letter: is_dead(row)?.then(|| death(row)).transpose()?,
                envelope: row.get(7)?,
                body: row.get(8)?,
            })
        })
        .optional()
}

pub(super) fn delete_delivery(connection: &Connection, id: &str) -> rusqlite::Result<bool> {
    let deleted = connection
        .prepare_cached("DELETE FROM deliveries WHERE id = ?1")?
        .execute([id])?;
    Ok(deleted == 1)
}

fn is_dead(row: &Row<'_>) -> rusqlite::Result<bool> {
    Ok(row.get_ref(6)? != ValueRef::Null)
}

/// The death of a row whose columns 3 to 6 are code, reason, job and moment.
fn death(row: &Row<'_>) -> rusqlite::Result<DeadLetterReason> {
    let job: Option<String> = row.get(5)?;
    Ok(DeadLetterReason {
        code: row.get(3)?,
        reason: row.get(4)?,
        job: job.as_deref().map(JobId::from_outside),
        since: moment(row.get(6)?),
    })
}
