//! Deliveries in SQLite.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, named_params, params};
use tokio::sync::watch;

use super::columns::{count, moment, ms};
use super::session::Session;
use super::{Database, SqliteStore, delivery_log, maintenance, schema};
use crate::job::{DeadLetterReason, JobId, JobSource};
use crate::store::delivery::{self, DeadLetterSummary, EncodedDelivery, StoredDelivery};
use crate::store::delivery_log::{DeliveryFilter, DeliveryPage, DeliverySummary, LogEntry};
use crate::store::error::StoreError;
use crate::store::{Deliveries, PageRequest};

/// The columns of a delivery.
pub(super) struct DeliveryRow {
    id: String,
    route: String,
    at: Timestamp,
    dead_letter: Option<DeadLetterReason>,
    envelope: String,
    body: Bytes,
}

impl DeliveryRow {
    /// Encodes a delivery.
    pub(super) fn of(delivery: &StoredDelivery) -> Result<Self, StoreError> {
        Ok(Self {
            id: delivery.id.clone(),
            route: delivery.route.clone(),
            at: delivery.at,
            dead_letter: delivery.dead_letter.clone(),
            envelope: delivery::encode_envelope(delivery)?,
            body: delivery.body.clone(),
        })
    }
}

#[async_trait]
impl Deliveries for SqliteStore {
    async fn put_delivery(&self, delivery: &StoredDelivery) -> Result<(), StoreError> {
        let row = DeliveryRow::of(delivery)?;
        self.write(move |session| {
            insert(&session.connection, "REPLACE", &row, session.expires_at()).map(drop)
        })
        .await
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetterSummary>, StoreError> {
        self.read(move |session| list_dead_letters(session, limit))
            .await
    }

    async fn count_dead_letters(&self) -> Result<u64, StoreError> {
        self.read(|session| {
            let query = "SELECT count(*) FROM deliveries
                         WHERE dead_since IS NOT NULL AND (ended IS NULL OR ended > ?1)";
            let mut query = session.connection.prepare_cached(query)?;
            let horizon = ms(session.horizon());
            query.query_row([horizon], |row| row.get(0).map(i64::unsigned_abs))
        })
        .await
    }

    fn kept_for(&self) -> Option<Duration> {
        self.period
    }

    fn has_delivery_log(&self) -> bool {
        true
    }

    async fn log_deliveries(&self, entries: &[LogEntry], keep: usize) -> Result<(), StoreError> {
        let encoded = entries.iter().map(|entry| {
            let json = serde_json::to_string(entry);
            json.map(|json| (entry.clone(), json))
        });
        let encoded: Vec<_> = encoded
            .collect::<Result<_, _>>()
            .map_err(|error| StoreError::Failed(error.to_string()))?;
        self.write(move |session| delivery_log::append(session, &encoded, keep))
            .await?;
        self.report_change();
        Ok(())
    }

    async fn log_replay(
        &self,
        delivery: &str,
        jobs: &[JobId],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let (delivery, jobs) = (delivery.to_owned(), jobs.to_vec());
        self.write(move |session| {
            delivery_log::add_replay(&session.connection, &delivery, &jobs, at)
        })
        .await?;
        self.report_change();
        Ok(())
    }

    async fn list_deliveries(
        &self,
        filter: &DeliveryFilter,
        page: &PageRequest,
    ) -> Result<DeliveryPage, StoreError> {
        let (filter, page) = (filter.clone(), page.clone());
        self.list_rows(move |session| delivery_log::list(session, &filter, &page))
            .await
    }

    async fn logged_delivery(&self, id: &str) -> Result<Option<DeliverySummary>, StoreError> {
        let id = id.to_owned();
        self.list_rows(move |session| delivery_log::get(session, &id))
            .await
    }

    async fn delivery_ids(&self, prefix: &str, limit: usize) -> Result<Vec<String>, StoreError> {
        let prefix = prefix.to_owned();
        self.list_rows(move |session| {
            delivery_log::ids_with_prefix(&session.connection, &prefix, limit)
        })
        .await
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    async fn delivery(&self, id: &str) -> Result<Option<StoredDelivery>, StoreError> {
        let id = id.to_owned();
        let found = self.read(move |session| get(session, &id));
        found.await?.map(EncodedDelivery::decode).transpose()
    }

    async fn restore(&self, id: &str, since: Timestamp) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.write(move |session| restore(&session.connection, &id, since))
            .await
    }

    async fn delete_delivery(
        &self,
        id: &str,
        since: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        let id = id.to_owned();
        self.write(move |session| {
            maintenance::overwriting(&session.connection, |connection| {
                delete(connection, &id, since)
            })
        })
        .await
    }

    async fn delete_log_entries(&self, ids: &[String]) -> Result<(), StoreError> {
        let ids = ids.to_vec();
        self.write(move |session| {
            maintenance::overwriting(&session.connection, |connection| {
                let mut delete =
                    connection.prepare_cached("DELETE FROM delivery_log WHERE id = ?1")?;
                ids.iter().try_for_each(|id| delete.execute([id]).map(drop))
            })
        })
        .await
    }

    async fn scrub(&self) -> Result<(), StoreError> {
        let Database::File { writer, .. } = &*self.database else {
            return Ok(());
        };
        let path = writer.path().to_owned();
        // A connection of its own, because the writer has a transaction open.
        let scrubbed = tokio::task::spawn_blocking(move || {
            let connection = schema::open(Some(&path))?;
            maintenance::rewrite(&connection)
        });
        let scrubbed = scrubbed.await;
        let scrubbed = scrubbed.map_err(|error| StoreError::Failed(error.to_string()))?;
        match scrubbed.map_err(|error| super::store_error(&error))? {
            true => Ok(()),
            false => Err(StoreError::Unavailable(
                "another process reads the file, so its write-ahead log cannot be emptied"
                    .to_owned(),
            )),
        }
    }
}

/// Stores the delivery of a new job, unless it is stored already.
pub(super) fn insert_new(
    connection: &Connection,
    row: &DeliveryRow,
    horizon: Timestamp,
) -> rusqlite::Result<()> {
    if insert(connection, "IGNORE", row, None)? {
        return Ok(());
    }
    let expired = connection
        .prepare_cached("DELETE FROM deliveries WHERE id = ?1 AND ended <= ?2")?
        .execute(params![row.id, ms(horizon)])?;
    if expired == 1 {
        insert(connection, "IGNORE", row, None)?;
    }
    Ok(())
}

/// Inserts a row; `on_conflict` is SQLite's conflict clause. Returns whether a row was inserted.
fn insert(
    connection: &Connection,
    on_conflict: &str,
    row: &DeliveryRow,
    expires_at: Option<Timestamp>,
) -> rusqlite::Result<bool> {
    let insert = format!(
        "INSERT OR {on_conflict} INTO deliveries (id, route, at, code, reason, job, dead_since, envelope, body, ended)
         VALUES (:id, :route, :at, :code, :reason, :job, :dead_since, :envelope, :body, :ended)"
    );
    let dead = row.dead_letter.as_ref();
    let inserted = connection.prepare_cached(&insert)?.execute(named_params! {
        ":id": row.id,
        ":route": row.route,
        ":at": ms(row.at),
        ":code": dead.map(|dead| &dead.code),
        ":reason": dead.map(|dead| &dead.reason),
        ":job": dead.and_then(|dead| dead.job.as_ref()).map(JobId::as_str),
        ":dead_since": dead.map(|dead| ms(dead.since)),
        ":envelope": row.envelope,
        ":body": row.body.as_ref(),
        ":ended": expires_at.map(ms),
    })?;
    Ok(inserted == 1)
}

/// Turns a delivery into a dead letter.
pub(super) fn dead_letter(
    connection: &Connection,
    id: &str,
    reason: &DeadLetterReason,
    expires_at: Option<Timestamp>,
) -> rusqlite::Result<()> {
    let update = "UPDATE deliveries SET code = ?1, reason = ?2, job = ?3, dead_since = ?4, ended = ?5 WHERE id = ?6";
    connection.prepare_cached(update)?.execute(params![
        reason.code,
        reason.reason,
        reason.job.as_ref().map(JobId::as_str),
        ms(reason.since),
        expires_at.map(ms),
        id,
    ])?;
    Ok(())
}

/// Releases the delivery of a job that needs no dead letter.
pub(super) fn release(
    connection: &Connection,
    source: &JobSource,
    expires_at: Option<Timestamp>,
) -> rusqlite::Result<()> {
    if !source.shared {
        return delete(connection, &source.delivery, None).map(|_| ());
    }
    let update = "UPDATE deliveries SET ended = ?1 WHERE id = ?2 AND dead_since IS NULL";
    connection
        .prepare_cached(update)?
        .execute(params![expires_at.map(ms), source.delivery])?;
    Ok(())
}

/// Turns a dead letter back into a delivery in progress, if it has been a dead letter since this moment.
fn restore(connection: &Connection, id: &str, since: Timestamp) -> rusqlite::Result<()> {
    let update = "UPDATE deliveries SET code = NULL, reason = NULL, job = NULL, dead_since = NULL, ended = NULL
                  WHERE id = ?1 AND dead_since = ?2";
    connection
        .prepare_cached(update)?
        .execute(params![id, ms(since)])?;
    Ok(())
}

/// Restores the dead letter of a parked job.
pub(super) fn restore_parked(
    connection: &Connection,
    job: &JobId,
    delivery: Option<&str>,
) -> rusqlite::Result<()> {
    let select = "SELECT id, dead_since FROM deliveries WHERE job = ?1 AND id = ?2";
    let dead: Option<(String, i64)> = connection
        .prepare_cached(select)?
        .query_row(params![job.as_str(), delivery], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    dead.map_or(Ok(()), |(id, since)| {
        restore(connection, &id, moment(since))
    })
}

/// The latest dead letters. Expired ones are about to be deleted; a list skips only some of them.
pub(super) const DEAD_LETTERS: &str = "SELECT id, route, at, code, reason, job, dead_since, bytes FROM
     (SELECT id, route, at, code, reason, job, dead_since, length(body) AS bytes, ended FROM deliveries
      WHERE dead_since IS NOT NULL ORDER BY dead_since DESC, id DESC LIMIT ?2 + 2000)
     WHERE ended IS NULL OR ended > ?1 LIMIT ?2";

fn list_dead_letters(session: &Session, limit: usize) -> rusqlite::Result<Vec<DeadLetterSummary>> {
    let horizon = session.horizon();
    let mut query = session.connection.prepare_cached(DEAD_LETTERS)?;
    let rows = query.query_map(params![ms(horizon), count(limit)], |row| {
        let bytes: i64 = row.get(7)?;
        Ok(DeadLetterSummary {
            id: row.get(0)?,
            route: row.get(1)?,
            at: moment(row.get(2)?),
            dead_letter: dead_letter_reason(row)?,
            body_bytes: bytes.unsigned_abs(),
        })
    })?;
    rows.collect()
}

fn get(session: &Session, id: &str) -> rusqlite::Result<Option<EncodedDelivery>> {
    let query =
        "SELECT id, route, at, code, reason, job, dead_since, envelope, body FROM deliveries
                 WHERE id = ?1 AND (ended IS NULL OR ended > ?2)";
    session
        .connection
        .prepare_cached(query)?
        .query_row(params![id, ms(session.horizon())], |row| {
            Ok(EncodedDelivery {
                id: row.get(0)?,
                route: row.get(1)?,
                at: moment(row.get(2)?),
                dead_letter: is_dead_letter(row)?
                    .then(|| dead_letter_reason(row))
                    .transpose()?,
                envelope: row.get(7)?,
                body: row.get(8)?,
            })
        })
        .optional()
}

/// Deletes a delivery, or a dead letter since a moment. Returns whether it was deleted.
fn delete(connection: &Connection, id: &str, since: Option<Timestamp>) -> rusqlite::Result<bool> {
    let deleted = connection
        .prepare_cached("DELETE FROM deliveries WHERE id = ?1 AND (?2 IS NULL OR dead_since = ?2)")?
        .execute(params![id, since.map(ms)])?;
    Ok(deleted == 1)
}

fn is_dead_letter(row: &Row<'_>) -> rusqlite::Result<bool> {
    Ok(row.get_ref(6)? != ValueRef::Null)
}

/// Reads the reason from columns 3 to 6.
fn dead_letter_reason(row: &Row<'_>) -> rusqlite::Result<DeadLetterReason> {
    let job: Option<String> = row.get(5)?;
    Ok(DeadLetterReason {
        code: row.get(3)?,
        reason: row.get(4)?,
        job: job.as_deref().map(JobId::from_outside),
        since: moment(row.get(6)?),
    })
}
