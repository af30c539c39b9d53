//! The database of a measured server: rows to fill it with, and commits of the same rows without the server.

#![allow(dead_code, reason = "each benchmark uses a part of it")]

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

/// Jobs that have finished.
const FINISHED: &str = "
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1)
    INSERT INTO jobs (id, version, leased_until, ended, route, connection, module, status, created_at, finished_at,
                      listed, request, state)
    SELECT 'job_' || lower(hex(randomblob(16))), 3, 0, ?2 + n, 'form', 'default', 'Leads', 'succeeded', n, n,
           printf('%015d#job_%d', n, n), printf('%.*c', 150, 'x'), printf('%.*c', 1000, 'x')
    FROM numbers;
";

/// Opens the database beside the server.
pub(crate) fn open(path: &Path) -> Connection {
    let database = Connection::open(path).expect("opened");
    database.busy_timeout(Duration::from_secs(10)).expect("set");
    database
}

/// The number that a query returns.
pub(crate) fn number(database: &Connection, query: &str) -> u64 {
    let number = database.query_row(query, [], |row| row.get::<_, i64>(0));
    number.expect("a number").unsigned_abs()
}

/// Fills the database of a stopped server with finished jobs that expire from the moment `ended` on, in milliseconds.
pub(crate) fn fill(path: &Path, jobs: u64, ended: u64) {
    let database = open(path);
    let set = "PRAGMA synchronous = OFF; PRAGMA cache_size = -200000;";
    database.execute_batch(set).expect("set");
    database
        .execute(FINISHED, [jobs.cast_signed(), ended.cast_signed()])
        .expect("filled");
    database
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE);")
        .expect("filled");
    // Otherwise the first checkpoint of the measured server waits until the disk has all these jobs.
    std::fs::File::open(path)
        .and_then(|file| file.sync_all())
        .expect("on the disk");
}

/// One row of each table that a delivery adds to.
pub(crate) struct SampleRows {
    tables: Vec<(String, Vec<Value>)>,
}

impl SampleRows {
    /// Copies the rows of one unfinished job; `None` if no job is unfinished. A small request has no row of its own.
    pub(crate) fn of(database: &Connection) -> Option<Self> {
        let rows = [
            (
                "jobs",
                "SELECT * FROM jobs WHERE due IS NOT NULL AND status = 'queued' LIMIT 1",
            ),
            (
                "requests",
                "SELECT requests.* FROM requests JOIN jobs USING (id) WHERE due IS NOT NULL LIMIT 1",
            ),
            (
                "deliveries",
                "SELECT * FROM deliveries WHERE dead_since IS NULL LIMIT 1",
            ),
        ];
        let has_row = |table: &&str| {
            *table == "jobs" || number(database, &format!("SELECT count(*) FROM {table}")) > 0
        };
        let tables = rows
            .into_iter()
            .filter(|(table, _)| has_row(table))
            .map(|(table, query)| {
                let mut query = database.prepare(query).ok()?;
                let columns = query.column_count();
                let names = query.column_names();
                let names: Vec<_> = names.into_iter().map(str::to_owned).collect();
                let row = query.query_row([], |row| {
                    let columns = (0..columns).map(|column| match names[column].as_str() {
                        "number" => Ok(Value::Null),
                        _ => row.get(column),
                    });
                    columns.collect()
                });
                Some((table.to_owned(), row.ok()?))
            });
        let tables: Option<Vec<_>> = tables.collect();
        tables.map(|tables| Self { tables })
    }

    /// Commits per second of these rows, one delivery a commit, one after another, in a new database with the tables, the
    /// indices and the settings of `original`.
    pub(crate) fn commits_per_second(
        &self,
        original: &Connection,
        path: &Path,
        time: Duration,
    ) -> f64 {
        let plain = new_database(path);
        plain
            .pragma_update(None, "foreign_keys", true)
            .expect("set");
        let mut schema = original
            .prepare(
                "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'
                 ORDER BY type != 'table'",
            )
            .expect("a schema");
        let schema = schema
            .query_map([], |row| row.get::<_, String>(0))
            .expect("a schema");
        for sql in schema {
            plain
                .execute_batch(&sql.expect("a statement"))
                .expect("created");
        }
        let (start, mut commits) = (Instant::now(), 0_u32);
        while start.elapsed() < time {
            let number = format!("{:032x}", fastrand::u128(..));
            let begin = plain.prepare_cached("BEGIN IMMEDIATE");
            begin
                .and_then(|mut begin| begin.execute([]))
                .expect("begun");
            for (table, row) in &self.tables {
                insert(&plain, table, row, &number);
            }
            let commit = plain.prepare_cached("COMMIT");
            commit
                .and_then(|mut commit| commit.execute([]))
                .expect("committed");
            commits += 1;
        }
        f64::from(commits) / start.elapsed().as_secs_f64()
    }

    /// The bytes of the texts of these rows.
    pub(crate) fn bytes(&self) -> usize {
        let values = self.tables.iter().flat_map(|(_, row)| row);
        let lengths = values.map(|value| match value {
            Value::Text(text) => text.len(),
            Value::Blob(bytes) => bytes.len(),
            Value::Null | Value::Integer(_) | Value::Real(_) => 8,
        });
        lengths.sum()
    }
}

/// Inserts a row with ids of its own.
fn insert(database: &Connection, table: &str, row: &[Value], number: &str) {
    let places = vec!["?"; row.len()].join(", ");
    let mut insert = database
        .prepare_cached(&format!("INSERT INTO {table} VALUES ({places})"))
        .expect("prepared");
    let row = row.iter().map(|value| {
        if let Value::Text(text) = value
            && (33..60).contains(&text.len())
            && has_id(text)
        {
            return Value::Text(format!("{}{number}", &text[..text.len() - 32]));
        }
        value.clone()
    });
    insert.execute(params_from_iter(row)).expect("inserted");
}

/// Whether a text ends with the digits of an id.
fn has_id(text: &str) -> bool {
    let mut digits = text.as_bytes().iter().rev().take(32);
    digits.all(u8::is_ascii_hexdigit)
}

/// Commits per second of one row with `bytes` in a table of its own, each on the disk before the next.
pub(crate) fn row_commits_per_second(path: &Path, bytes: usize, time: Duration) -> f64 {
    let plain = new_database(path);
    plain
        .execute_batch("CREATE TABLE rows (id TEXT PRIMARY KEY, value TEXT NOT NULL);")
        .expect("a table");
    let value = "x".repeat(bytes);
    let (start, mut commits) = (Instant::now(), 0_u32);
    while start.elapsed() < time {
        let id = format!("{:032x}", fastrand::u128(..));
        plain
            .prepare_cached("INSERT INTO rows VALUES (?1, ?2)")
            .and_then(|mut insert| insert.execute([&id, &value]))
            .expect("committed");
        commits += 1;
    }
    f64::from(commits) / start.elapsed().as_secs_f64()
}

fn new_database(path: &Path) -> Connection {
    let database = Connection::open(path).expect("opened");
    database
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 2000;")
        .expect("set");
    database
}
