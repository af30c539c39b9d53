//! The log of deliveries in SQLite, and lists of dead letters.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::columns::{count, moment, ms};
use super::session::Session;
use crate::job::{DeadLetterReason, JobId};
use crate::store::delivery;
use crate::store::delivery_log::{
    DeliveryFilter, DeliveryPage, DeliverySummary, LogClass, LogEntry, StoredParts,
};
use crate::store::listing::{ListKey, ListPosition, PageRequest};

/// The log is cut to its shares once in so many entries.
const TRIM_ENTRIES: i64 = 64;

/// Expired entries that one trim deletes.
const EXPIRED_ENTRIES: i64 = 256;

/// Rows that one page reads at most.
const PAGE_ROWS: usize = 20_000;

/// The time after which a page ends. It is checked every [`CHECK_ROWS`] rows.
const PAGE_TIME: Duration = Duration::from_millis(80);

const CHECK_ROWS: usize = 64;

/// The columns of a dead letter, in the order that `dead_letter` reads.
const DEAD_LETTER: &str = "d.code, d.reason, d.job, d.dead_since";

/// Appends encoded entries, and cuts the log.
pub(super) fn append(
    session: &Session,
    entries: &[(LogEntry, String)],
    keep: usize,
) -> rusqlite::Result<()> {
    let connection = &session.connection;
    let mut insert = connection.prepare_cached(
        "INSERT INTO delivery_log (id, delivery, class, at, entry) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (id) DO NOTHING",
    )?;
    let mut latest = None;
    for (entry, json) in entries {
        let class = entry.class.as_str();
        let at = ms(entry.received_at);
        let inserted = insert.execute(params![entry.id, entry.delivery, class, at, json])?;
        if inserted == 0 {
            let select = "SELECT coalesce(max(seq), 0) + 1 FROM delivery_log";
            let number: i64 = connection
                .prepare_cached(select)?
                .query_row([], |row| row.get(0))?;
            let id = entry.with_suffix(number.unsigned_abs());
            insert.execute(params![id, entry.delivery, class, at, json])?;
        }
        latest = Some(connection.last_insert_rowid());
    }
    let first = latest.map(|latest| latest - count(entries.len()));
    match (first, latest) {
        (Some(first), Some(latest)) if first / TRIM_ENTRIES < latest / TRIM_ENTRIES => {
            trim(session, keep)
        }
        _ => Ok(()),
    }
}

/// Adds the jobs of a replay to the first entry about a delivery.
pub(super) fn add_replay(
    connection: &Connection,
    delivery: &str,
    jobs: &[JobId],
    at: Timestamp,
) -> rusqlite::Result<()> {
    let select = "SELECT seq, entry FROM delivery_log WHERE delivery = ?1 ORDER BY seq LIMIT 1";
    let found: Option<(i64, String)> = connection
        .prepare_cached(select)?
        .query_row([delivery], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let found = found.and_then(|(seq, json)| {
        let mut entry: LogEntry = serde_json::from_str(&json).ok()?;
        entry.add_replay(jobs, at);
        Some((seq, serde_json::to_string(&entry).ok()?))
    });
    let Some((seq, json)) = found else {
        return Ok(());
    };
    connection
        .prepare_cached("UPDATE delivery_log SET entry = ?2 WHERE seq = ?1")?
        .execute(params![seq, json])
        .map(drop)
}

/// Deletes what exceeds the shares, and what has expired.
pub(super) fn trim(session: &Session, keep: usize) -> rusqlite::Result<()> {
    let mut delete = session.connection.prepare_cached(
        "DELETE FROM delivery_log WHERE class = ?1 AND seq <=
         (SELECT seq FROM delivery_log WHERE class = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
    )?;
    for class in LogClass::ALL {
        delete.execute(params![class.as_str(), count(class.share(keep))])?;
    }
    if let Some(start) = session.retention_start() {
        let mut delete = session.connection.prepare_cached(
            "DELETE FROM delivery_log WHERE seq IN (SELECT seq FROM delivery_log ORDER BY seq LIMIT ?1) AND at <= ?2",
        )?;
        delete.execute(params![EXPIRED_ENTRIES, ms(start)])?;
    }
    Ok(())
}

/// The entries between two positions, the latest first. Its parameters are the positions and the time of retention.
pub(super) fn entries_query() -> String {
    format!(
        "SELECT {DEAD_LETTER}, l.entry, l.seq, l.id FROM delivery_log l
         LEFT JOIN deliveries d ON d.id = l.delivery AND d.dead_since IS NOT NULL AND (d.ended IS NULL OR d.ended > ?3)
         WHERE l.seq < ?1 AND l.seq > ?2 ORDER BY l.seq DESC"
    )
}

/// The dead letters below a position, the latest first.
pub(super) fn dead_letters_query() -> String {
    format!(
        "SELECT {DEAD_LETTER}, d.id, d.route, d.at, length(d.body), d.ended, d.envelope,
                (SELECT entry FROM delivery_log l WHERE l.delivery = d.id ORDER BY l.seq LIMIT 1)
         FROM deliveries d WHERE d.dead_since IS NOT NULL AND (d.dead_since, d.id) < (?1, ?2)
         ORDER BY d.dead_since DESC, d.id DESC"
    )
}

/// One page of a list.
pub(super) fn list(
    session: &Session,
    filter: &DeliveryFilter,
    page: &PageRequest,
) -> rusqlite::Result<DeliveryPage> {
    match filter.is_of_dead_letters() {
        true => list_dead_letters(session, filter, page),
        false => list_entries(session, filter, page),
    }
}

fn list_entries(
    session: &Session,
    filter: &DeliveryFilter,
    page: &PageRequest,
) -> rusqlite::Result<DeliveryPage> {
    let select = "SELECT max(seq) FROM delivery_log";
    let latest: Option<i64> = session
        .connection
        .prepare_cached(select)?
        .query_row([], |row| row.get(0))?;
    let latest = latest.unwrap_or_default();
    let number = |position: &str| position.parse::<i64>().unwrap_or_default();
    let (below, above) = match &page.from {
        ListPosition::Start => (i64::MAX, 0),
        ListPosition::Before(position) => (number(position), 0),
        // A position of another file may be beyond the end of this one.
        ListPosition::Newer(position) => (i64::MAX, number(position).min(latest)),
    };
    let mut query = session.connection.prepare_cached(&entries_query())?;
    let rows = query.query(params![below, above, ms(session.horizon())])?;
    let found = read_page(rows, filter, page.limit, |row| {
        let json = row.get_ref(4)?.as_str()?;
        let entry = serde_json::from_str::<LogEntry>(json).ok();
        let id: String = row.get(6)?;
        let position = row.get::<_, i64>(5)?.to_string();
        let entry = entry.map(|entry| LogEntry { id, ..entry });
        Ok(Some((entry, position)))
    })?;
    Ok(DeliveryPage {
        latest: Some(latest.to_string()),
        ..found
    })
}

fn list_dead_letters(
    session: &Session,
    filter: &DeliveryFilter,
    page: &PageRequest,
) -> rusqlite::Result<DeliveryPage> {
    let select = "SELECT dead_since, id FROM deliveries WHERE dead_since IS NOT NULL ORDER BY dead_since DESC, id DESC LIMIT 1";
    let latest = session
        .connection
        .prepare_cached(select)?
        .query_row([], |row| {
            Ok(dead_letter_position(row.get(0)?, row.get_ref(1)?.as_str()?))
        })
        .optional()?;
    let (since, id) = match &page.from {
        ListPosition::Before(position) => split_position(position),
        ListPosition::Start | ListPosition::Newer(_) => (i64::MAX, String::new()),
    };
    let newer = match &page.from {
        ListPosition::Newer(position) => Some(split_position(position)),
        ListPosition::Start | ListPosition::Before(_) => None,
    };
    let horizon = ms(session.horizon());
    let mut query = session.connection.prepare_cached(&dead_letters_query())?;
    let rows = query.query(params![since, id])?;
    let found = read_page(rows, filter, page.limit, |row| {
        let (since, id): (i64, String) = (row.get(3)?, row.get(4)?);
        let position = (since, id);
        if newer.as_ref().is_some_and(|newer| position <= *newer) {
            return Ok(None);
        }
        let is_expired = row
            .get::<_, Option<i64>>(8)?
            .is_some_and(|end| end <= horizon);
        let entry = match is_expired {
            true => None,
            false => dead_letter_entry(row, &position.1)?,
        };
        Ok(Some((entry, dead_letter_position(position.0, &position.1))))
    })?;
    Ok(DeliveryPage {
        latest: Some(latest.unwrap_or_else(|| dead_letter_position(0, ""))),
        ..found
    })
}

/// Reads rows until the page is full or has read much. `read` returns the entry of a row, if it has one that can be read, and
/// its position; none ends the list.
fn read_page(
    mut rows: rusqlite::Rows<'_>,
    filter: &DeliveryFilter,
    limit: usize,
    mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<Option<(Option<LogEntry>, String)>>,
) -> rusqlite::Result<DeliveryPage> {
    let started = Instant::now();
    let (mut page, mut visited) = (DeliveryPage::default(), 0);
    while let Some(row) = rows.next()? {
        let Some((entry, position)) = read(row)? else {
            break;
        };
        visited += 1;
        if let Some(entry) = entry {
            let dead_letter = dead_letter(row)?;
            let summary = DeliverySummary { entry, dead_letter };
            page.entries
                .extend(Some(summary).filter(|summary| filter.matches(summary)));
        }
        let is_late = visited % CHECK_ROWS == 0 && started.elapsed() >= PAGE_TIME;
        if page.entries.len() >= limit || visited >= PAGE_ROWS || is_late {
            page.next = Some(position);
            break;
        }
    }
    Ok(page)
}

/// The dead letter in the first columns.
fn dead_letter(row: &Row<'_>) -> rusqlite::Result<Option<DeadLetterReason>> {
    let Some(since) = row.get::<_, Option<i64>>(3)? else {
        return Ok(None);
    };
    let job: Option<String> = row.get(2)?;
    Ok(Some(DeadLetterReason {
        code: row.get(0)?,
        reason: row.get(1)?,
        job: job.as_deref().map(JobId::from_outside),
        since: moment(since),
    }))
}

/// The entry of a dead letter: the one that was logged, or one of the stored delivery.
fn dead_letter_entry(row: &Row<'_>, id: &str) -> rusqlite::Result<Option<LogEntry>> {
    let logged = row.get_ref(10)?.as_str_or_null()?;
    let logged = logged.and_then(|json| serde_json::from_str::<LogEntry>(json).ok());
    if let Some(logged) = logged {
        let id = id.to_owned();
        return Ok(Some(LogEntry { id, ..logged }));
    }
    let bytes: i64 = row.get(7)?;
    let trigger = delivery::envelope_trigger(row.get_ref(9)?.as_str()?);
    let dead_letter = dead_letter(row)?;
    let parts = StoredParts {
        id,
        route: row.get_ref(5)?.as_str()?,
        at: moment(row.get(6)?),
        dead_letter: dead_letter.as_ref(),
        bytes: Some(bytes.unsigned_abs()),
        trigger,
    };
    Ok(Some(LogEntry::of_stored(&parts)))
}

fn dead_letter_position(since: i64, id: &str) -> String {
    ListKey::new(moment(since), id).to_cursor()
}

fn split_position(position: &str) -> (i64, String) {
    let (since, id) = position.split_once('.').unwrap_or((position, ""));
    (since.parse().unwrap_or_default(), id.to_owned())
}

/// One delivery: its entry, or one of the stored delivery.
pub(super) fn get(session: &Session, id: &str) -> rusqlite::Result<Option<DeliverySummary>> {
    let select = format!(
        "SELECT {DEAD_LETTER}, l.entry, l.id FROM delivery_log l
         LEFT JOIN deliveries d ON d.id = l.delivery AND d.dead_since IS NOT NULL AND (d.ended IS NULL OR d.ended > ?2)
         WHERE l.id = ?1"
    );
    session
        .connection
        .prepare_cached(&select)?
        .query_row(params![id, ms(session.horizon())], |row| {
            let json = row.get_ref(4)?.as_str()?;
            let Ok(entry) = serde_json::from_str::<LogEntry>(json) else {
                return Ok(None);
            };
            let (id, dead_letter) = (row.get(5)?, dead_letter(row)?);
            let entry = LogEntry { id, ..entry };
            Ok(Some(DeliverySummary { entry, dead_letter }))
        })
        .optional()
        .map(Option::flatten)
}

/// The ids of entries and of stored deliveries that begin with a text.
pub(super) fn ids_with_prefix(
    connection: &Connection,
    prefix: &str,
    limit: usize,
) -> rusqlite::Result<Vec<String>> {
    let select = "SELECT id FROM delivery_log WHERE id >= ?1 AND id < ?2
                  UNION SELECT id FROM deliveries WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3";
    let mut query = connection.prepare_cached(select)?;
    let end = format!("{prefix}~");
    let rows = query.query_map(params![prefix, end, count(limit)], |row| row.get(0))?;
    rows.collect()
}
