//! The tables, and how a database is opened. Moments are milliseconds since 1970.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode};

/// The version of the tables, which is noted in the file.
const VERSION: i64 = 2;

/// How long a statement waits for another process, such as the command line beside the server.
const PATIENCE: Duration = Duration::from_secs(5);

/// How soon to try again what SQLite itself does not wait for.
const WAL_GAP: Duration = Duration::from_millis(20);

/// A request is in a table of its own, because a row is always rewritten whole and a request may be large.
const TABLES: &str = "
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY,
        version INTEGER NOT NULL,
        leased_until INTEGER NOT NULL,
        due INTEGER,
        parked TEXT,
        ended INTEGER,
        route TEXT,
        connection TEXT NOT NULL,
        module TEXT NOT NULL,
        status TEXT NOT NULL,
        callback TEXT,
        created_at INTEGER NOT NULL,
        finished_at INTEGER,
        listed TEXT NOT NULL,
        state TEXT NOT NULL,
        delivery TEXT
    ) STRICT;
    CREATE INDEX jobs_due ON jobs (due) WHERE due IS NOT NULL;
    CREATE INDEX jobs_ended ON jobs (ended) WHERE ended IS NOT NULL;
    CREATE UNIQUE INDEX jobs_listed ON jobs (listed);
    CREATE TABLE requests (
        id TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
        stored TEXT NOT NULL
    ) STRICT;
    CREATE TABLE locks (
        name TEXT PRIMARY KEY,
        holder TEXT NOT NULL,
        until INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE tokens (
        name TEXT PRIMARY KEY,
        value TEXT,
        expires_at INTEGER NOT NULL,
        throttled_until INTEGER
    ) STRICT;
";

/// Of a delivery that is not dead, code, reason, job and moment are missing.
const DELIVERIES: &str = "
    CREATE TABLE deliveries (
        id TEXT PRIMARY KEY,
        route TEXT NOT NULL,
        at INTEGER NOT NULL,
        code TEXT,
        reason TEXT,
        job TEXT,
        dead_since INTEGER,
        envelope TEXT NOT NULL,
        body BLOB NOT NULL,
        ended INTEGER
    ) STRICT;
    CREATE INDEX deliveries_dead ON deliveries (dead_since) WHERE dead_since IS NOT NULL;
    CREATE INDEX deliveries_ended ON deliveries (ended) WHERE ended IS NOT NULL;
";

/// From the first version, which kept only deliveries that came to no job.
const FROM_FIRST: &str = "
    ALTER TABLE jobs ADD COLUMN delivery TEXT;
    INSERT INTO deliveries (id, route, at, code, reason, dead_since, envelope, body, ended)
        SELECT id, route, at, code, reason, at, envelope, body, ended FROM former;
    DROP TABLE former;
";

/// Opens the database in a file, or a new one in memory.
pub(super) fn open(file: Option<&Path>) -> rusqlite::Result<Connection> {
    let mut connection = match file {
        None => Connection::open_in_memory()?,
        Some(path) => {
            make_private(path)?;
            let connection = Connection::open(path)?;
            connection.busy_timeout(PATIENCE)?;
            use_wal(&connection)?;
            // A job that was acknowledged must outlive a power cut, too.
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection
        }
    };
    connection.pragma_update(None, "foreign_keys", true)?;
    // Two processes may open a new file at once.
    let setup = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version: i64 = setup.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        0 => {
            setup.execute_batch(TABLES)?;
            setup.execute_batch(DELIVERIES)?;
        }
        1 => {
            setup.execute_batch(
                "ALTER TABLE deliveries RENAME TO former; DROP INDEX deliveries_at",
            )?;
            setup.execute_batch(DELIVERIES)?;
            setup.execute_batch(FROM_FIRST)?;
        }
        VERSION => {}
        _ => {
            return Err(refused(format!(
                "the file's tables have version {version}, and this program knows {VERSION}"
            )));
        }
    }
    setup.pragma_update(None, "user_version", VERSION)?;
    setup.commit()?;
    Ok(connection)
}

/// Switches to the write-ahead log, which a file needs once in its life. SQLite does not wait its turn for that: of two
/// processes that open a new file at once, one is told at once that it is locked.
fn use_wal(connection: &Connection) -> rusqlite::Result<()> {
    let tries = PATIENCE.as_millis() / WAL_GAP.as_millis();
    for _ in 0..tries {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                std::thread::sleep(WAL_GAP);
            }
            done => return done,
        }
    }
    connection.pragma_update(None, "journal_mode", "WAL")
}

/// Makes the file for its owner alone, because deliveries and tokens are in it. SQLite gives the files beside it the
/// same mode. A file that is there already keeps what its owner chose.
fn make_private(path: &Path) -> rusqlite::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(refused(format!("{}: {error}", path.display()))),
    }
}

fn refused(why: String) -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
    rusqlite::Error::SqliteFailure(code, Some(why))
}

/// Deletes what nobody can look up any more.
pub(super) fn forget_ended(connection: &Connection, horizon: Timestamp) -> rusqlite::Result<()> {
    for delete in [
        "DELETE FROM jobs WHERE ended <= ?1",
        "DELETE FROM deliveries WHERE ended <= ?1",
    ] {
        connection.prepare_cached(delete)?.execute([ms(horizon)])?;
    }
    Ok(())
}

/// A moment as it is stored.
pub(super) fn ms(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// A stored moment.
pub(super) fn moment(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)
}
