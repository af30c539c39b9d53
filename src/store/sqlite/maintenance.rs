//! Maintenance of a database file in short steps between requests: deletes expired rows, shortens the write-ahead log, and
//! gives free space back. A thread that reads has the filters of the index of jobs to read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode};

use super::columns::{count, ms};
use super::schema::number;
use super::session::Session;
use super::worker::{Access, begin, end_transaction};

/// Expired rows of one statement. A row may have a megabyte.
const ROWS: u32 = 16;

/// A transaction that deletes ends once it has taken this long. Requests wait behind it.
const STEP_TIME: Duration = Duration::from_millis(20);

/// After a step that writes, requests have the thread for this many times as long as the step took.
const PAUSE_FACTOR: u32 = 4;

/// The wait between two steps if there is nothing to delete.
const IDLE_WAIT: Duration = Duration::from_millis(250);

/// How often the time of retention is stored.
const STORE_TIME: Duration = Duration::from_secs(10);

/// The size of the write-ahead log that is left in place, because the next commits use it again.
pub(super) const LOG_BYTES: u64 = 16 * 1024 * 1024;

/// Free pages that are left in the file, because the next jobs use them again.
const FREE_PAGES: i64 = 4_096;

/// How long an erasure waits for other processes that use the file.
const REWRITE_TIME: Duration = Duration::from_secs(10);

/// The wait between two attempts of an erasure.
const REWRITE_RETRY_WAIT: Duration = Duration::from_millis(50);

/// The size of a file that is written anew by way of memory; a larger one takes a temporary file.
const REWRITTEN_IN_MEMORY: i64 = 64 * 1024 * 1024;

/// Free pages that one step gives back.
const VACUUM_PAGES: u32 = 256;

/// The oldest expired rows of a table.
pub(super) const DELETE_EXPIRED: [&str; 3] = [
    "DELETE FROM jobs WHERE rowid IN (SELECT rowid FROM jobs WHERE ended <= ?1 ORDER BY ended LIMIT ?2)",
    "DELETE FROM deliveries WHERE rowid IN (SELECT rowid FROM deliveries WHERE ended <= ?1 ORDER BY ended LIMIT ?2)",
    "DELETE FROM record_orders WHERE rowid IN (SELECT rowid FROM record_orders WHERE ended <= ?1 ORDER BY ended LIMIT ?2)",
];

/// Whether there are expired rows.
pub(super) const HAS_EXPIRED: &str = "SELECT EXISTS (SELECT 1 FROM jobs WHERE ended <= ?1)
     OR EXISTS (SELECT 1 FROM deliveries WHERE ended <= ?1)
     OR EXISTS (SELECT 1 FROM record_orders WHERE ended <= ?1)";

/// The store takes no new jobs while more jobs than one turn takes have waited for this long. Until then it takes what comes,
/// because some senders repeat nothing.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// The number of jobs that one turn takes.
pub(super) const TURN_JOBS: usize = 1_000;

/// Whether more than a number of jobs are due since before a moment. Leased jobs are not due.
pub(super) const HAS_BACKLOG: &str =
    "SELECT EXISTS (SELECT 1 FROM jobs WHERE due <= ?1 ORDER BY due, id LIMIT 1 OFFSET ?2)";

/// When the next step is due.
#[derive(Debug)]
pub(super) struct Maintenance {
    access: Access,
    /// None until this process drives jobs. The command line beside a server deletes nothing.
    next: Option<Instant>,
    time_stored: Option<Instant>,
    has_backlog: Arc<AtomicBool>,
    has_failed: bool,
}

impl Maintenance {
    /// No steps are allowed yet. Each of a thread that writes sets `has_backlog`.
    pub(super) fn new(access: Access, has_backlog: Arc<AtomicBool>) -> Self {
        Self {
            access,
            next: None,
            time_stored: None,
            has_backlog,
            has_failed: false,
        }
    }

    /// Allows steps from now on.
    pub(super) fn allow(&mut self) {
        self.next.get_or_insert_with(Instant::now);
    }

    /// The wait until the next step.
    pub(super) fn next_step(&self) -> Option<Duration> {
        let next = self.next?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    /// Whether the next step is due.
    pub(super) fn is_due(&self) -> bool {
        self.next.is_some_and(|next| next <= Instant::now())
    }

    /// Does the next step. If it fails, or if the file cannot be opened, the next one tries again.
    pub(super) fn step(&mut self, session: &rusqlite::Result<Session>) {
        let start = Instant::now();
        let done = match session {
            Ok(session) => self.work(session, start).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = &done
            && !self.has_failed
        {
            tracing::warn!("maintenance of the database failed and is tried again: {error}");
        }
        self.has_failed = done.is_err();
        let wait = match (done, self.access) {
            (Ok(true), Access::Read) => Duration::ZERO,
            (Ok(true), Access::Write) => start.elapsed() * PAUSE_FACTOR,
            _ => IDLE_WAIT,
        };
        self.next = Some(Instant::now() + wait);
    }

    /// Returns whether there is more to do.
    fn work(&mut self, session: &Session, start: Instant) -> rusqlite::Result<bool> {
        match self.access {
            Access::Read => read_filter(session),
            Access::Write => self.maintain(session, start),
        }
    }

    /// Stores the time of retention at the end of the process.
    pub(super) fn end(&self, session: &Session) {
        if self.next.is_some()
            && self.access == Access::Write
            && let Err(error) = session.store_time()
        {
            tracing::debug!("the time of retention could not be stored: {error}");
        }
    }

    /// Returns whether there is more to do.
    fn maintain(&mut self, session: &Session, start: Instant) -> rusqlite::Result<bool> {
        session.check_file()?;
        let has_backlog = has_backlog(session)?;
        self.has_backlog.store(has_backlog, Ordering::Relaxed);
        if self
            .time_stored
            .is_none_or(|stored| stored.elapsed() >= STORE_TIME)
        {
            session.store_time()?;
            self.time_stored = Some(start);
        }
        let is_unfinished = delete_expired(session, start)?;
        if session.log_bytes() > LOG_BYTES {
            shorten_log(&session.connection)?;
        }
        Ok(is_unfinished || give_space_back(&session.connection)?)
    }
}

/// Reads a filter of the index of jobs. Returns whether there was one to read.
fn read_filter(session: &Session) -> rusqlite::Result<bool> {
    begin(session, Access::Read)?;
    let read = session.job_index.read_filter(&session.connection);
    let ended = end_transaction(session);
    ended.and(read)
}

fn has_backlog(session: &Session) -> rusqlite::Result<bool> {
    let Some(now) = session.now() else {
        return Ok(false);
    };
    let since = now.saturating_sub(MAX_WAIT).unwrap_or(Timestamp::MIN);
    let mut select = session.connection.prepare_cached(HAS_BACKLOG)?;
    select.query_row((ms(since), count(TURN_JOBS)), |row| row.get(0))
}

/// Deletes expired rows for a short time. Returns whether some are left.
fn delete_expired(session: &Session, start: Instant) -> rusqlite::Result<bool> {
    let horizon = session.horizon();
    let exist = |connection: &Connection| -> rusqlite::Result<bool> {
        let mut select = connection.prepare_cached(HAS_EXPIRED)?;
        select.query_row([ms(horizon)], |row| row.get(0))
    };
    if !exist(&session.connection)? {
        return Ok(false);
    }
    begin(session, Access::Write)?;
    let deleted = delete_rows(session, || start.elapsed() < STEP_TIME);
    let ended = end_transaction(session);
    deleted.and(ended)?;
    exist(&session.connection)
}

/// Deletes expired rows while `goes_on`, within the transaction that is open.
pub(super) fn delete_rows(session: &Session, goes_on: impl Fn() -> bool) -> rusqlite::Result<()> {
    let horizon = ms(session.horizon());
    for delete in DELETE_EXPIRED {
        let mut delete = session.connection.prepare_cached(delete)?;
        while delete.execute((horizon, ROWS))? > 0 && goes_on() {}
    }
    Ok(())
}

/// Runs deletions that overwrite the deleted content with zeros.
pub(super) fn overwriting<T>(
    connection: &Connection,
    delete: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    connection.pragma_update(None, "secure_delete", true)?;
    let deleted = delete(connection);
    connection.pragma_update(None, "secure_delete", false)?;
    deleted
}

/// Writes the file anew without what deleted and changed rows have left in it, and empties the write-ahead log. Returns whether
/// the log is empty; it is not if another process goes on reading it.
///
/// Deletions of finished jobs and deliveries overwrite nothing, as that would double what they write.
pub(super) fn rewrite(connection: &Connection) -> rusqlite::Result<bool> {
    if number(connection, "page_count")?.saturating_mul(number(connection, "page_size")?)
        > REWRITTEN_IN_MEMORY
    {
        connection.pragma_update(None, "temp_store", "FILE")?;
    }
    let start = Instant::now();
    loop {
        let rewritten = connection.execute_batch("VACUUM");
        let is_over = start.elapsed() >= REWRITE_TIME;
        match rewritten {
            Ok(()) => break,
            Err(error) if is_over || !is_busy(&error) => return Err(error),
            Err(_) => std::thread::sleep(REWRITE_RETRY_WAIT),
        }
    }
    loop {
        if shorten_log(connection)? {
            return Ok(true);
        }
        if start.elapsed() >= REWRITE_TIME {
            return Ok(false);
        }
        std::thread::sleep(REWRITE_RETRY_WAIT);
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(
        code,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// Copies the write-ahead log into the database and empties it, unless another process still reads it. Returns whether it
/// is empty.
pub(super) fn shorten_log(connection: &Connection) -> rusqlite::Result<bool> {
    let timeout = number(connection, "busy_timeout")?.unsigned_abs();
    connection.busy_timeout(Duration::ZERO)?;
    let shortened = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
        row.get::<_, i64>(0).map(|busy| busy == 0)
    });
    connection.busy_timeout(Duration::from_millis(timeout))?;
    shortened
}

/// Gives free pages back to the file system. Returns whether there are more. Files of earlier versions keep theirs.
fn give_space_back(connection: &Connection) -> rusqlite::Result<bool> {
    let is_incremental = number(connection, "auto_vacuum")? == 2;
    let spare = FREE_PAGES.max(number(connection, "page_count")? / 4);
    if !is_incremental || number(connection, "freelist_count")? <= spare {
        return Ok(false);
    }
    let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))?;
    let mut freed = vacuum.query([])?;
    // Each step gives one page back.
    while freed.next()?.is_some() {}
    Ok(number(connection, "freelist_count")? > spare)
}
