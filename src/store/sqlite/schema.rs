//! The tables, and opening a database.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use super::job_index;
use super::maintenance::LOG_BYTES;

/// The version of the tables. The file contains it.
const VERSION: i64 = 8;

/// How long a statement waits for another process, such as the command line beside the server.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The number of pages in the write-ahead log at which a commit copies them into the database.
const CHECKPOINT_PAGES: u32 = 2_000;

/// The wait between two attempts to switch to the write-ahead log.
const WAL_RETRY_WAIT: Duration = Duration::from_millis(20);

/// Jobs, and the requests that are too large for a job's row, because SQLite rewrites a whole row. Requests have no row ids,
/// so that each is one entry of one tree. `ended` is the moment at which a row expires.
const JOBS: &str = "
    CREATE TABLE jobs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL,
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
        code TEXT,
        reference TEXT,
        digest TEXT,
        delivery TEXT,
        request TEXT,
        state TEXT NOT NULL
    ) STRICT;
    CREATE TABLE requests (
        id TEXT PRIMARY KEY,
        stored TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TRIGGER jobs_deleted AFTER DELETE ON jobs BEGIN
        DELETE FROM requests WHERE id = old.id;
    END;
    CREATE INDEX jobs_ended ON jobs (ended) WHERE ended IS NOT NULL;
    CREATE UNIQUE INDEX jobs_listed ON jobs (listed);
";

const LOCKS: &str = "
    CREATE TABLE locks (
        name TEXT PRIMARY KEY,
        holder TEXT NOT NULL,
        until INTEGER NOT NULL
    ) STRICT;
";

/// From the versions up to 7, whose jobs had one index of all ids.
const FORMER_JOBS: &str = "
    ALTER TABLE requests RENAME TO former_requests;
    ALTER TABLE jobs RENAME TO former_jobs;
    DROP INDEX IF EXISTS jobs_ended;
    DROP INDEX IF EXISTS jobs_listed;
";
const FORMER_COLUMNS: &str = "id, version, leased_until, due, parked, ended, route, connection, module, status, callback, created_at, \
                              finished_at, listed, code, reference, digest, delivery, request, state";

/// How far the time of retention has advanced, in one row.
const RETENTION: &str = "
    CREATE TABLE retention (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        reached INTEGER NOT NULL
    ) STRICT;
";

/// Indices of the queries on due jobs and of lists. `jobs_due_leased` contains all that its query reads.
const INDICES: &str = "
    DROP INDEX IF EXISTS jobs_due;
    CREATE INDEX IF NOT EXISTS jobs_due_leased ON jobs (due, id, leased_until) WHERE due IS NOT NULL;
    CREATE INDEX IF NOT EXISTS jobs_status ON jobs (status, listed);
    CREATE INDEX IF NOT EXISTS jobs_route ON jobs (route, listed);
    CREATE INDEX IF NOT EXISTS jobs_connection ON jobs (connection, listed);
    CREATE INDEX IF NOT EXISTS jobs_reference ON jobs (reference, listed) WHERE reference IS NOT NULL;
    CREATE INDEX IF NOT EXISTS jobs_code ON jobs (code, listed) WHERE code IS NOT NULL;
    CREATE INDEX IF NOT EXISTS jobs_undeliverable ON jobs (listed) WHERE callback = 'undeliverable';
    CREATE INDEX IF NOT EXISTS jobs_parked ON jobs (listed) WHERE parked IS NOT NULL;
    DROP INDEX IF EXISTS deliveries_dead;
    CREATE INDEX IF NOT EXISTS deliveries_listed ON deliveries (dead_since, id) WHERE dead_since IS NOT NULL;
";

/// A file of an earlier version with more rows keeps its former indices, because a start must not wait for new ones. Its
/// lists are slower.
const INDEXED_ROWS: i64 = 50_000;

/// A larger file of an earlier version keeps its former tables of jobs, for the same reason. New jobs are slower.
const COPIED_BYTES: i64 = 64 * 1024 * 1024;

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
    CREATE INDEX deliveries_ended ON deliveries (ended) WHERE ended IS NOT NULL;
";

/// The latest deliveries, in the order in which they were logged. `delivery` is the stored delivery, if there is one.
const DELIVERY_LOG: &str = "
    CREATE TABLE IF NOT EXISTS delivery_log (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        delivery TEXT,
        class TEXT NOT NULL,
        at INTEGER NOT NULL,
        entry TEXT NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS delivery_log_class ON delivery_log (class, seq);
    CREATE INDEX IF NOT EXISTS delivery_log_delivery ON delivery_log (delivery) WHERE delivery IS NOT NULL;
";

/// The order of records of routes with `order_by`. `ended` is the moment at which it expires.
const RECORD_ORDERS: &str = "
    CREATE TABLE IF NOT EXISTS record_orders (
        name TEXT PRIMARY KEY,
        stored TEXT NOT NULL,
        ended INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS record_orders_ended ON record_orders (ended);
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

/// The columns of jobs that later versions added. The summaries of older jobs have no counts, and their requests are all in
/// the table of requests.
const ADDED_COLUMNS: [&str; 4] = ["code", "reference", "digest", "request"];

/// Opens the database in a file, or a new one in memory.
pub(super) fn open(file: Option<&Path>) -> rusqlite::Result<Connection> {
    let mut connection = match file {
        None => Connection::open_in_memory()?,
        Some(path) => {
            make_private(path)?;
            let connection = Connection::open(path)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            // This has an effect on new files only.
            connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
            use_wal(&connection)?;
            // An acknowledged job must survive a power cut too.
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
            connection.pragma_update(None, "journal_size_limit", LOG_BYTES.cast_signed())?;
            connection
        }
    };
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    if version(&connection)? != VERSION {
        migrate(&mut connection)?;
    }
    Ok(connection)
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    number(connection, "user_version")
}

/// Fails if the tables are not those of this program. Each request begins with it.
pub(super) fn check_version(connection: &Connection) -> rusqlite::Result<()> {
    let mut select = connection.prepare_cached("PRAGMA user_version")?;
    match select.query_row([], |row| row.get(0))? {
        VERSION => Ok(()),
        version => Err(unknown(version)),
    }
}

fn unknown(version: i64) -> rusqlite::Error {
    refused(format!(
        "the file's tables have version {version}, and this program knows {VERSION}"
    ))
}

/// The value of a pragma.
pub(super) fn number(connection: &Connection, pragma: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, pragma, |row| row.get(0))
}

/// Creates the tables, or changes those of an earlier version.
fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    // Two processes may open a new file at once.
    let setup = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version = version(&setup)?;
    match version {
        0 => {
            create_jobs(&setup)?;
            setup.execute_batch(LOCKS)?;
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
        3..=7 | VERSION => {}
        _ => return Err(unknown(version)),
    }
    if version != VERSION {
        if version < 4 {
            setup.execute_batch(RETENTION)?;
        }
        if version > 0 {
            add_missing_columns(&setup)?;
        }
        setup.execute_batch(DELIVERY_LOG)?;
        setup.execute_batch(RECORD_ORDERS)?;
        if version > 0 && has_small_former_jobs(&setup)? {
            copy_jobs(&setup)?;
        }
        let rows: Option<i64> =
            setup.query_row("SELECT max(rowid) FROM jobs", [], |row| row.get(0))?;
        if rows.is_none_or(|rows| rows <= INDEXED_ROWS) {
            setup.execute_batch(INDICES)?;
        }
        setup.pragma_update(None, "user_version", VERSION)?;
    }
    setup.commit()
}

/// Whether the jobs have one index of all ids, and are few enough to be copied.
fn has_small_former_jobs(setup: &Connection) -> rusqlite::Result<bool> {
    let pages = number(setup, "page_count")? - number(setup, "freelist_count")?;
    let is_small = pages.saturating_mul(number(setup, "page_size")?) <= COPIED_BYTES;
    Ok(is_small && !job_index::has_parts(setup)?)
}

/// Copies the jobs to new tables.
fn copy_jobs(setup: &Connection) -> rusqlite::Result<()> {
    setup.execute_batch(FORMER_JOBS)?;
    create_jobs(setup)?;
    setup.execute_batch(&format!(
        "INSERT INTO jobs (number, {FORMER_COLUMNS}) SELECT rowid, {FORMER_COLUMNS} FROM former_jobs ORDER BY rowid;
         INSERT INTO requests (id, stored) SELECT id, stored FROM former_requests;
         DROP TABLE former_requests;
         DROP TABLE former_jobs;"
    ))
}

fn create_jobs(setup: &Connection) -> rusqlite::Result<()> {
    setup.execute_batch(JOBS)?;
    setup.execute_batch(job_index::JOBS_ID)
}

/// Adds the columns that the table of jobs lacks.
fn add_missing_columns(setup: &Connection) -> rusqlite::Result<()> {
    for column in ADDED_COLUMNS {
        let query = "SELECT EXISTS (SELECT 1 FROM pragma_table_info('jobs') WHERE name = ?1)";
        let exists: bool = setup.query_row(query, [column], |row| row.get(0))?;
        if !exists {
            setup.execute_batch(&format!("ALTER TABLE jobs ADD COLUMN {column} TEXT"))?;
        }
    }
    Ok(())
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

pub(super) fn refused(reason: String) -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
    rusqlite::Error::SqliteFailure(code, Some(reason))
}
