//! Where the row of a job is. Ids are random: in one index of all ids, each new job would read and change a page of its own
//! once there are many. The index therefore has parts in the order of the rows, so that new ids are near each other, and
//! filters in memory tell which of the full parts do not contain an id.

use std::cell::{Ref, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

use fastbloom::BloomFilter;
use rusqlite::{Connection, OptionalExtension, params};

use super::part_filters::{PartFilters, filter_for};
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

/// Whether the index has parts. A large file of an earlier version has one index of all ids.
const HAS_PARTS: &str = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'jobs_id')";

/// What a connection knows of the rows of jobs.
#[derive(Debug)]
pub(super) struct JobIndex {
    has_parts: bool,
    rows: RefCell<HashMap<JobId, i64>>,
    full: RefCell<FullParts>,
    filters: Arc<PartFilters>,
}

/// The parts that take no more jobs.
#[derive(Debug, Default)]
struct FullParts {
    /// The part of the next job, before which the others were listed.
    next: i64,
    /// Those with jobs, the latest first.
    parts: Vec<i64>,
}

impl JobIndex {
    /// The index of an open database. All connections to it share the filters.
    pub(super) fn of(connection: &Connection, filters: Arc<PartFilters>) -> rusqlite::Result<Self> {
        Ok(Self {
            has_parts: has_parts(connection)?,
            rows: RefCell::default(),
            full: RefCell::default(),
            filters,
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
        let next = part_of(next_row(connection)?);
        if let Some(row) = find_in_part(connection, next, id)? {
            return Ok(Some(row));
        }
        let full = self.full_parts(connection, next)?;
        for part in self.filters.that_may_contain(id, &full) {
            if let Some(row) = find_in_part(connection, part, id)? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Whether all full parts have filters.
    #[cfg(test)]
    pub(super) fn has_all_filters(&self, connection: &Connection) -> rusqlite::Result<bool> {
        Ok(self.filters.are_complete(part_of(next_row(connection)?)))
    }

    /// Reads the ids of the latest full part without a filter. Returns whether there was one: reading all could take seconds.
    /// The transaction must be one that only reads, as what is written in it may be undone.
    pub(super) fn read_filter(&self, connection: &Connection) -> rusqlite::Result<bool> {
        if !self.has_parts {
            return Ok(false);
        }
        let next = part_of(next_row(connection)?);
        let full = self.full_parts(connection, next)?;
        let Some(part) = self.filters.first_without(&full) else {
            self.filters.complete(next, &full);
            return Ok(false);
        };
        let filter = read_ids(connection, part).inspect_err(|error| {
            tracing::warn!(
                "the ids of the jobs in rows {} to {} cannot be read, so until the next start every look-up searches them: {error}",
                part << PART_BITS,
                ((part + 1) << PART_BITS) - 1
            );
        });
        self.filters.add(part, filter.ok());
        Ok(true)
    }

    /// The parts before `next` with jobs, the latest first.
    fn full_parts(
        &self,
        connection: &Connection,
        next: i64,
    ) -> rusqlite::Result<Ref<'_, Vec<i64>>> {
        if self.full.borrow().next != next {
            let parts = parts_before(connection, next << PART_BITS).collect::<Result<_, _>>()?;
            self.full.replace(FullParts { next, parts });
        }
        Ok(Ref::map(self.full.borrow(), |full| &full.parts))
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

fn next_row(connection: &Connection) -> rusqlite::Result<i64> {
    let mut select = connection.prepare_cached(NEXT_ROW)?;
    let row = select.query_row([], |row| row.get(0)).optional()?;
    Ok(row.unwrap_or_default())
}

fn part_of(row: i64) -> i64 {
    row >> PART_BITS
}

fn find_in_part(connection: &Connection, part: i64, id: &JobId) -> rusqlite::Result<Option<i64>> {
    let mut select = connection.prepare_cached(IN_PART)?;
    select
        .query_row(params![part, id.as_str()], |row| row.get(0))
        .optional()
}

/// The filter of a part.
fn read_ids(connection: &Connection, part: i64) -> rusqlite::Result<BloomFilter> {
    let mut count = connection.prepare_cached(PART_COUNT)?;
    let count: i64 = count.query_row([part], |row| row.get(0))?;
    let mut filter = filter_for(usize::try_from(count).unwrap_or_default());
    let mut ids = connection.prepare_cached(PART_IDS)?;
    let mut rows = ids.query([part])?;
    while let Some(row) = rows.next()? {
        filter.insert(row.get_ref(0)?.as_str()?);
    }
    Ok(filter)
}
