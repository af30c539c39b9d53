//! An open database, and the time by which its rows expire.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension};

use super::columns::{moment, ms};
use super::job_index::JobIndex;
use super::part_filters::PartFilters;
use super::schema;
use crate::clock::{Clock, after};
use crate::store::retention::Retention;

/// Prepared statements that a connection keeps.
const STATEMENTS: usize = 64;

/// The time by which rows expire. It advances with the time that processes see pass and not with the machine's clock, so
/// that a clock that jumps deletes nothing early. The file stores it, and it stands still while no server runs.
#[derive(Clone, Debug)]
pub(super) struct RetentionTime {
    clock: Arc<dyn Clock>,
    period: Duration,
    /// The stored time at the opening of the file, and the reading of the clock at that moment.
    opened: Arc<OnceLock<(Timestamp, Duration)>>,
}

impl RetentionTime {
    /// A time that starts when a database is opened.
    pub(super) fn new(retention: Retention) -> Self {
        Self {
            clock: retention.clock,
            period: retention.period,
            opened: Arc::default(),
        }
    }

    /// Reads the stored time. A new file starts with the clock's time.
    fn start(&self, connection: &Connection) -> rusqlite::Result<()> {
        let select = "SELECT reached FROM retention";
        let read = || {
            connection
                .query_row(select, [], |row| row.get(0))
                .optional()
        };
        let reached = match read()? {
            Some(reached) => reached,
            None => {
                let insert =
                    "INSERT INTO retention (id, reached) VALUES (1, ?1) ON CONFLICT DO NOTHING";
                connection.execute(insert, [ms(self.clock.now())])?;
                connection.query_row(select, [], |row| row.get(0))?
            }
        };
        // The first connection of this process decides for all.
        let _ = self.opened.set((moment(reached), self.clock.elapsed()));
        Ok(())
    }

    /// The present moment of this time.
    fn now(&self) -> Timestamp {
        match self.opened.get() {
            Some((reached, at)) => after(*reached, self.clock.elapsed().saturating_sub(*at)),
            None => self.clock.now(),
        }
    }
}

/// An open database.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: Connection,
    /// None: the latest finished jobs are kept, by number.
    time: Option<RetentionTime>,
    file: Option<Arc<OnceLock<OpenFile>>>,
    /// Where the rows of jobs are.
    pub(super) job_index: JobIndex,
}

/// The file of an open database, and the one beside it with its latest commits.
#[derive(Debug)]
pub(super) struct OpenFile {
    path: PathBuf,
    files: Vec<(PathBuf, FileId)>,
}

/// The identity of a file: its device and its number there.
type FileId = (u64, u64);

impl Session {
    /// Opens a new database in memory.
    pub(super) fn in_memory(time: Option<RetentionTime>) -> rusqlite::Result<Self> {
        Self::start(schema::open(None)?, time, None, Arc::default())
    }

    /// Opens the database in a file. `opened` is the file that the first session of this process has opened: a later one
    /// must not create another, which would end the log of the first.
    pub(super) fn in_file(
        path: &Path,
        time: Option<RetentionTime>,
        opened: Arc<OnceLock<OpenFile>>,
        filters: Arc<PartFilters>,
    ) -> rusqlite::Result<Self> {
        if let Some(first) = opened.get() {
            first.check()?;
        }
        let connection = schema::open(Some(path))?;
        let session = Self::start(connection, time, Some(opened.clone()), filters)?;
        opened.get_or_init(|| OpenFile::of(path));
        Ok(session)
    }

    fn start(
        connection: Connection,
        time: Option<RetentionTime>,
        file: Option<Arc<OnceLock<OpenFile>>>,
        filters: Arc<PartFilters>,
    ) -> rusqlite::Result<Self> {
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        // Otherwise a query with a parameter in its LIMIT is planned again at each use.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        if let Some(time) = &time {
            time.start(&connection)?;
        }
        Ok(Self {
            job_index: JobIndex::of(&connection, filters)?,
            connection,
            time,
            file,
        })
    }

    /// Rows that expired before this moment count as deleted.
    pub(super) fn horizon(&self) -> Timestamp {
        match &self.time {
            Some(time) => time.now(),
            None => Timestamp::MIN,
        }
    }

    /// When a row that is finished now expires.
    pub(super) fn expires_at(&self) -> Option<Timestamp> {
        let time = self.time.as_ref()?;
        Some(after(time.now(), time.period))
    }

    /// What is older than this moment of the clock has expired.
    pub(super) fn retention_start(&self) -> Option<Timestamp> {
        let time = self.time.as_ref()?;
        time.clock.now().checked_sub(time.period).ok()
    }

    /// The clock's time.
    pub(super) fn now(&self) -> Option<Timestamp> {
        self.time.as_ref().map(|time| time.clock.now())
    }

    /// Whether finished jobs are kept by number.
    pub(super) fn keeps_by_number(&self) -> bool {
        self.time.is_none()
    }

    /// Stores how far the time of retention has advanced.
    pub(super) fn store_time(&self) -> rusqlite::Result<()> {
        if let Some(time) = &self.time {
            schema::check_version(&self.connection)?;
            self.connection
                .prepare_cached("UPDATE retention SET reached = ?1 WHERE reached < ?1")?
                .execute([ms(time.now())])?;
        }
        Ok(())
    }

    /// Fails if the file has been deleted or replaced: SQLite would go on writing to a file that nobody finds again.
    pub(super) fn check_file(&self) -> rusqlite::Result<()> {
        match self.open_file() {
            Some(file) => file.check(),
            None => Ok(()),
        }
    }

    fn open_file(&self) -> Option<&OpenFile> {
        self.file.as_ref()?.get()
    }

    /// The size of the write-ahead log.
    pub(super) fn log_bytes(&self) -> u64 {
        let log = self.open_file().map(|file| beside(&file.path, "-wal"));
        let log = log.and_then(|log| std::fs::metadata(log).ok());
        log.map_or(0, |log| log.len())
    }
}

impl OpenFile {
    fn of(path: &Path) -> Self {
        let files = [path.to_owned(), beside(path, "-wal")];
        let files = files.into_iter().filter_map(|file| {
            let id = file_id(&std::fs::metadata(&file).ok()?);
            Some((file, id))
        });
        Self {
            path: path.to_owned(),
            files: files.collect(),
        }
    }

    fn check(&self) -> rusqlite::Result<()> {
        let gone = self.files.iter().find(|(path, id)| {
            let now = std::fs::metadata(path).ok();
            now.is_none_or(|now| file_id(&now) != *id)
        });
        match gone {
            None => Ok(()),
            Some((path, _)) => Err(schema::refused(format!(
                "{} was deleted or replaced while it was open: stop the server, restore the file, and start the server again",
                path.display()
            ))),
        }
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(unix)]
fn file_id(file: &Metadata) -> FileId {
    use std::os::unix::fs::MetadataExt;
    (file.dev(), file.ino())
}

/// Only the file's absence is noticed here.
#[cfg(not(unix))]
fn file_id(_: &Metadata) -> FileId {
    (0, 0)
}
