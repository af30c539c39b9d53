//! Filters in memory that tell which full parts of the index of ids do not contain an id. All connections of a store share
//! them. The thread for lists reads them from the file, if this process drives jobs, so that nothing else waits for it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

use fastbloom::BloomFilter;

use crate::job::JobId;
use crate::sync;

/// An id that is not in a part passes its filter with this probability. A filter has 10 bits for each id.
const FALSE_POSITIVES: f64 = 0.01;

/// All filters have the same, so that an id is hashed once for all.
const SEED: u128 = 0;

/// The filters of the parts that take no more jobs.
#[derive(Default)]
pub(super) struct PartFilters(Mutex<Filters>);

#[derive(Default)]
struct Filters {
    /// None for a part whose ids cannot be read: it may contain any.
    parts: BTreeMap<i64, Option<BloomFilter>>,
    /// A part before this one contains no ids if it has no filter.
    complete_below: i64,
}

impl fmt::Debug for PartFilters {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter
            .debug_struct("PartFilters")
            .finish_non_exhaustive()
    }
}

impl PartFilters {
    /// Which of these full parts may contain an id, in the same order.
    pub(super) fn that_may_contain(&self, id: &JobId, parts: &[i64]) -> Vec<i64> {
        let filters = sync::lock(&self.0);
        let any = filters.parts.values().flatten().next();
        let hash = any.map(|filter| filter.source_hash(id.as_str()));
        let may_contain = |part: &i64| match filters.parts.get(part) {
            Some(Some(filter)) => hash.is_none_or(|hash| filter.contains_hash(hash)),
            Some(None) => true,
            None => *part >= filters.complete_below,
        };
        parts.iter().copied().filter(may_contain).collect()
    }

    /// The first of these full parts that was not added.
    pub(super) fn first_without(&self, parts: &[i64]) -> Option<i64> {
        let filters = sync::lock(&self.0);
        let mut parts = parts.iter().copied();
        parts.find(|part| !filters.parts.contains_key(part))
    }

    /// Adds the filter of a full part; None if its ids cannot be read.
    pub(super) fn add(&self, part: i64, filter: Option<BloomFilter>) {
        sync::lock(&self.0).parts.insert(part, filter);
    }

    /// Drops the filters of other parts: before `next`, these are the only ones that contain ids, and all have a filter.
    pub(super) fn complete(&self, next: i64, parts: &[i64]) {
        let mut filters = sync::lock(&self.0);
        filters.parts.retain(|part, _| parts.contains(part));
        filters.complete_below = next;
    }

    /// Whether no part before `next` is without a filter.
    #[cfg(test)]
    pub(super) fn are_complete(&self, next: i64) -> bool {
        sync::lock(&self.0).complete_below == next
    }
}

/// An empty filter for so many ids.
pub(super) fn filter_for(ids: usize) -> BloomFilter {
    let filter = BloomFilter::with_false_pos(FALSE_POSITIVES);
    filter.seed(&SEED).expected_items(ids)
}

#[cfg(test)]
mod tests {

    use proptest::prelude::*;

    use super::*;

    fn id(part: i64, number: u32) -> JobId {
        JobId::derive("r", &format!("{part}-{number}"), 1)
    }

    /// The filter of a part with so many ids.
    fn filter(part: i64, ids: u32) -> BloomFilter {
        let mut filter = filter_for(ids as usize);
        (0..ids).for_each(|number| {
            filter.insert(id(part, number).as_str());
        });
        filter
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Kind {
        Filtered,
        Unreadable,
        Missing,
    }

    proptest! {
        /// No part is ruled out that has the id, or that has no filter.
        #[test]
        fn part_with_the_id_is_never_ruled_out(
            parts in prop::collection::btree_map(
                0..64_i64,
                prop::sample::select(vec![Kind::Filtered, Kind::Unreadable, Kind::Missing]),
                1..20,
            ),
            number in 0..50_u32,
        ) {
            let filters = PartFilters::default();
            for (part, kind) in &parts {
                match kind {
                    Kind::Filtered => filters.add(*part, Some(filter(*part, 50))),
                    Kind::Unreadable => filters.add(*part, None),
                    Kind::Missing => {}
                }
            }
            let listed: Vec<i64> = parts.keys().rev().copied().collect();
            let of_kind = |wanted| parts.iter().rev().filter(move |(_, kind)| **kind == wanted).map(|(part, _)| *part);
            prop_assert_eq!(filters.first_without(&listed), of_kind(Kind::Missing).next());
            let unfiltered = parts.values().filter(|kind| **kind != Kind::Filtered).count();
            for part in &listed {
                let found = filters.that_may_contain(&id(*part, number), &listed);
                prop_assert!(found.contains(part));
                prop_assert!(found.is_sorted_by(|one, next| one > next));
                prop_assert!(of_kind(Kind::Missing).chain(of_kind(Kind::Unreadable)).all(|part| found.contains(&part)));
            }
            let elsewhere = (0..100).map(|number| filters.that_may_contain(&id(-1, number), &listed).len() - unfiltered);
            prop_assert!(elsewhere.sum::<usize>() < 50 * listed.len());
        }
    }

    #[test]
    fn part_without_filter_is_empty_once_all_are_read() {
        let filters = PartFilters::default();
        let search = |parts: &[i64]| filters.that_may_contain(&id(0, 0), parts);
        filters.add(3, Some(filter(3, 1)));
        assert_eq!(search(&[5, 4, 3]), [5, 4]);
        // Part 4 has lost its jobs before its ids were read, and part 3 afterwards.
        filters.add(5, None);
        filters.complete(6, &[5]);
        assert_eq!(search(&[6, 5, 4, 3]), [6, 5]);
        assert_eq!(filters.first_without(&[6, 5, 3]), Some(6));
    }

    #[test]
    fn full_part_has_all_its_ids_and_few_others() {
        const IDS: u32 = 1 << 16;
        let filters = PartFilters::default();
        filters.add(0, Some(filter(0, IDS)));
        let passing = |part| {
            let found = |number: &u32| {
                !filters
                    .that_may_contain(&id(part, *number), &[0])
                    .is_empty()
            };
            (0..IDS).filter(found).count() as u32
        };
        assert_eq!(passing(0), IDS);
        assert!(passing(1) < IDS / 50);
    }
}
