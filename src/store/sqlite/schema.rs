//! The tables, and opening a database.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode};

use super::columns::ms;

/// The version of the tables. The file contains it.
const VERSION: i64 = 3;

/// How long a statement waits for another process, such as the command line beside the server.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The wait between two attempts to switch to the write-ahead log.
const WAL_RETRY_WAIT: Duration = Duration::from_millis(20);

/// Requests have a separate table, because SQLite rewrites a whole row and a request may be large. `ended` is the moment at
/// which a row expires.
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
";

/// Values that all processes share, such as access tokens.
const SHARED_VALUES: &str = "
    CREATE TABLE shared_values (
        key TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT;
";

/// `code`, `reason`, `job` and `dead_since` are set only for dead letters.
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

/// From version 1, which stored only deliveries without jobs.
const FROM_VERSION_1: &str = "
    ALTER TABLE jobs ADD COLUMN delivery TEXT;
    INSERT INTO deliveries (id, route, at, code, reason, dead_since, envelope, body, ended)
        SELECT id, route, at, code, reason, at, envelope, body, ended FROM former;
    DROP TABLE former;
";

/// From version 2, which had a table of its own for tokens. They are fetched again.
const FROM_VERSION_2: &str = "DROP TABLE IF EXISTS tokens";

/// Opens the database in a file, or a new one in memory.
pub(super) fn open(file: Option<&Path>) -> rusqlite::Result<Connection> {
    let mut connection = match file {
        None => Connection::open_in_memory()?,
        Some(path) => {
            make_private(path)?;
            let connection = Connection::open(path)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            use_wal(&connection)?;
            // An acknowledged job must survive a power cut too.
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
            setup.execute_batch(SHARED_VALUES)?;
        }
        1 => {
            setup.execute_batch(
                "ALTER TABLE deliveries RENAME TO former; DROP INDEX deliveries_at",
            )?;
            setup.execute_batch(DELIVERIES)?;
            setup.execute_batch(FROM_VERSION_1)?;
            setup.execute_batch(FROM_VERSION_2)?;
            setup.execute_batch(SHARED_VALUES)?;
        }
        2 => {
            setup.execute_batch(FROM_VERSION_2)?;
            setup.execute_batch(SHARED_VALUES)?;
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

/// Switches to the write-ahead log, which a file needs once. SQLite's busy timeout does not apply to this: of two processes
/// that open a new file at the same time, one fails at once with `SQLITE_BUSY`.
fn use_wal(connection: &Connection) -> rusqlite::Result<()> {
    let tries = BUSY_TIMEOUT.as_millis() / WAL_RETRY_WAIT.as_millis();
    for _ in 0..tries {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                std::thread::sleep(WAL_RETRY_WAIT);
            }
            done => return done,
        }
    }
    connection.pragma_update(None, "journal_mode", "WAL")
}

/// Creates the file with access for its owner only, because it contains deliveries and tokens. SQLite gives the files beside
/// it the same mode. An existing file keeps its mode.
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

fn refused(reason: String) -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
    rusqlite::Error::SqliteFailure(code, Some(reason))
}

/// Deletes expired rows.
pub(super) fn delete_expired(connection: &Connection, horizon: Timestamp) -> rusqlite::Result<()> {
    for delete in [
        "DELETE FROM jobs WHERE ended <= ?1",
        "DELETE FROM deliveries WHERE ended <= ?1",
    ] {
        connection.prepare_cached(delete)?.execute([ms(horizon)])?;
    }
    Ok(())
}
