//! The statements about kept deliveries.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::jobs::count;
use super::schema::{moment, ms};
use crate::job::delivery::{DeliverySummary, KeptDelivery};

pub(super) fn keep(
    connection: &Connection,
    delivery: &KeptDelivery,
    envelope: &str,
    end: Option<Timestamp>,
) -> rusqlite::Result<()> {
    let insert =
        "INSERT OR REPLACE INTO deliveries (id, route, at, code, reason, envelope, body, ended)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    connection.prepare_cached(insert)?.execute(params![
        delivery.id,
        delivery.route,
        ms(delivery.at),
        delivery.code,
        delivery.reason,
        envelope,
        delivery.body.as_ref(),
        end.map(ms),
    ])?;
    Ok(())
}

pub(super) fn list(
    connection: &Connection,
    limit: usize,
    horizon: Timestamp,
) -> rusqlite::Result<Vec<DeliverySummary>> {
    let query = "SELECT id, route, at, code, reason, length(body) FROM deliveries
                 WHERE ended IS NULL OR ended > ?1 ORDER BY at DESC, id DESC LIMIT ?2";
    let mut query = connection.prepare_cached(query)?;
    let rows = query.query_map(params![ms(horizon), count(limit)], summary)?;
    rows.collect()
}

/// The summary, the stored headers and query, and the body.
pub(super) fn get(
    connection: &Connection,
    id: &str,
    horizon: Timestamp,
) -> rusqlite::Result<Option<(DeliverySummary, String, Vec<u8>)>> {
    let query = "SELECT id, route, at, code, reason, length(body), envelope, body FROM deliveries
                 WHERE id = ?1 AND (ended IS NULL OR ended > ?2)";
    connection
        .prepare_cached(query)?
        .query_row(params![id, ms(horizon)], |row| {
            Ok((summary(row)?, row.get(6)?, row.get(7)?))
        })
        .optional()
}

pub(super) fn forget(connection: &Connection, id: &str) -> rusqlite::Result<bool> {
    let deleted = connection
        .prepare_cached("DELETE FROM deliveries WHERE id = ?1")?
        .execute([id])?;
    Ok(deleted == 1)
}

fn summary(row: &Row<'_>) -> rusqlite::Result<DeliverySummary> {
    let bytes: i64 = row.get(5)?;
    Ok(DeliverySummary {
        id: row.get(0)?,
        route: row.get(1)?,
        at: moment(row.get(2)?),
        code: row.get(3)?,
        reason: row.get(4)?,
        body_bytes: bytes.unsigned_abs(),
    })
}
