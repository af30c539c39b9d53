//! Where the row of a job is. Ids are random: in one index of all ids, each new job would read and change a page of its own
//! once there are many. The index therefore has parts in the order of the rows, so that new ids are near each other, and
//! filters in memory tell which of the full parts do not contain an id.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use fastbloom::BloomFilter;
use rusqlite::{Connection, OptionalExtension, params};

use crate::job::JobId;

/// Rows of unfinished jobs that a connection remembers.
const ROWS: usize = 4_096;

/// A part has 65,536 row numbers: at most 4 MB of ids. Files contain this number, and so do the statements below: another one
/// needs a new version of the tables.
const PART_BITS: u32 = 16;

/// The index of ids. It tells ids apart within one part only.
pub(super) const JOBS_ID: &str = "CREATE UNIQUE INDEX jobs_id ON jobs (number >> 16, id)";

/// The row of an id in one part.
pub(super) const IN_PART: &str = "SELECT number FROM jobs WHERE number >> 16 = ?1 AND id = ?2";

/// The number of ids in one part, and the ids.
pub(super) const PART_COUNT: &str = "SELECT count(*) FROM jobs WHERE number >> 16 = ?1";
pub(super) const PART_IDS: &str = "SELECT id FROM jobs WHERE number >> 16 = ?1";

/// The latest part of the rows before a row.
pub(super) const PART_BELOW: &str = "SELECT max(number) >> 16 FROM jobs WHERE number < ?1";

/// The row of the next job. No row is used twice, so the parts before that of this row take no more jobs.
const NEXT_ROW: &str = "SELECT seq + 1 FROM sqlite_sequence WHERE name = 'jobs'";

/// An id that is not in a full part passes its filter with this probability.
const FALSE_POSITIVES: f64 = 0.01;

/// Whether the index has parts. A large file of an earlier version has one index of all ids.
const HAS_PARTS: &str = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'jobs_id')";

/// What a connection knows of the rows of jobs.
#[derive(Debug)]
pub(super) struct JobIndex {
    has_parts: bool,
    rows: RefCell<HashMap<JobId, i64>>,
    full: RefCell<FullParts>,
}

/// The parts that take no more jobs.
#[derive(Debug, Default)]
struct FullParts {
    /// The part of the next job, before which the others were listed.
    next: i64,
    /// The filter of each. None until its ids are read.
    filters: BTreeMap<i64, Option<BloomFilter>>,
}

impl JobIndex {
    /// The index of an open database.
    pub(super) fn of(connection: &Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            has_parts: has_parts(connection)?,
            rows: RefCell::default(),
            full: RefCell::default(),
        })
    }

    /// Remembers where the row of an unfinished job is. Another process may delete the row and, where the index has no parts,
    /// give its number to another job.
    pub(super) fn remember(&self, id: &JobId, row: i64) {
        let mut rows = self.rows.borrow_mut();
        if rows.len() >= ROWS {
            rows.clear();
        }
        rows.insert(id.clone(), row);
    }

    /// Where the row of a job was.
    pub(super) fn remembered(&self, id: &JobId) -> Option<i64> {
        self.rows.borrow().get(id).copied()
    }

    /// Forgets the row of a job that has finished.
    pub(super) fn forget(&self, id: &JobId) {
        self.rows.borrow_mut().remove(id);
    }

    /// Forgets everything, because the transaction is undone in which it may have been read.
    pub(super) fn forget_all(&self) {
        self.rows.take();
        self.full.take();
    }

    /// Finds the row of a job.
    pub(super) fn find(
        &self,
        connection: &Connection,
        id: &JobId,
    ) -> rusqlite::Result<Option<i64>> {
        if !self.has_parts {
            let select = "SELECT rowid FROM jobs WHERE id = ?1";
            let mut select = connection.prepare_cached(select)?;
            return select.query_row([id.as_str()], |row| row.get(0)).optional();
        }
        let mut next = connection.prepare_cached(NEXT_ROW)?;
        let next: Option<i64> = next.query_row([], |row| row.get(0)).optional()?;
        let next = next.map_or(0, |next| next >> PART_BITS);
        if let Some(row) = find_in_part(connection, next, id)? {
            return Ok(Some(row));
        }
        let mut full = self.full.borrow_mut();
        full.update(connection, next)?;
        for part in full.that_may_contain(id) {
            if let Some(row) = find_in_part(connection, part, id)? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// The condition of a query of one part, whose number is its first parameter, and the numbers of all parts.
    pub(super) fn parts(
        &self,
        connection: &Connection,
    ) -> rusqlite::Result<(&'static str, Vec<i64>)> {
        Ok(match self.has_parts {
            true => {
                let parts = parts_before(connection, i64::MAX);
                ("number >> 16 = ?1", parts.collect::<Result<_, _>>()?)
            }
            false => ("?1 IS NOT NULL", vec![0]),
        })
    }
}

impl FullParts {
    /// Lists the parts before `next`, and reads the ids of one of them, as reading all could take seconds. Parts that are not
    /// read yet may contain any id.
    fn update(&mut self, connection: &Connection, next: i64) -> rusqlite::Result<()> {
        if self.next != next {
            let mut known = std::mem::take(&mut self.filters);
            for part in parts_before(connection, next << PART_BITS) {
                let part = part?;
                self.filters.insert(part, known.remove(&part).flatten());
            }
            self.next = next;
        }
        let mut latest_first = self.filters.iter_mut().rev();
        if let Some((part, filter)) = latest_first.find(|(_, filter)| filter.is_none()) {
            *filter = Some(read_filter(connection, *part)?);
        }
        Ok(())
    }

    /// The latest first.
    fn that_may_contain(&self, id: &JobId) -> impl Iterator<Item = i64> {
        let parts = self.filters.iter().rev().filter(|(_, filter)| {
            let filter = filter.as_ref();
            filter.is_none_or(|filter| filter.contains(id.as_str()))
        });
        parts.map(|(part, _)| *part)
    }
}

/// Whether the index of a database has parts.
pub(super) fn has_parts(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row(HAS_PARTS, [], |row| row.get(0))
}

/// The parts with rows before a row, the latest first.
fn parts_before(
    connection: &Connection,
    before: i64,
) -> impl Iterator<Item = rusqlite::Result<i64>> {
    let below = move |before: i64| -> rusqlite::Result<Option<i64>> {
        let mut select = connection.prepare_cached(PART_BELOW)?;
        select.query_row([before], |row| row.get(0))
    };
    std::iter::successors(below(before).transpose(), move |part| {
        let part = part.as_ref().ok()?;
        below(part << PART_BITS).transpose()
    })
}

fn find_in_part(connection: &Connection, part: i64, id: &JobId) -> rusqlite::Result<Option<i64>> {
    let mut select = connection.prepare_cached(IN_PART)?;
    select
        .query_row(params![part, id.as_str()], |row| row.get(0))
        .optional()
}

fn read_filter(connection: &Connection, part: i64) -> rusqlite::Result<BloomFilter> {
    let mut count = connection.prepare_cached(PART_COUNT)?;
    let count: i64 = count.query_row([part], |row| row.get(0))?;
    let count = usize::try_from(count).unwrap_or_default();
    let mut filter = BloomFilter::with_false_pos(FALSE_POSITIVES).expected_items(count);
    let mut ids = connection.prepare_cached(PART_IDS)?;
    let mut rows = ids.query([part])?;
    while let Some(row) = rows.next()? {
        filter.insert(row.get_ref(0)?.as_str()?);
    }
    Ok(filter)
}
