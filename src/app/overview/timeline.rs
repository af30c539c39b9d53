//! What the process did in each of the last 24 hours' periods of five minutes: sums that are sampled from its counters. A
//! sample costs the same however many jobs are stored.

use std::collections::VecDeque;
use std::ops::AddAssign;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::metrics::Totals;

/// The length of a period, in seconds.
const PERIOD: i64 = 300;

/// The periods that are kept.
const PERIODS: usize = 24 * 12;

/// Plots with these hours have this many periods in a bucket, at most 48 buckets.
const BUCKETS: [(u32, usize); 3] = [(1, 1), (6, 2), (24, 6)];

/// What was done in a period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sums {
    deliveries: u64,
    refused: u64,
    jobs: u64,
    records: u64,
    calls: u64,
    calls_saved: u64,
    throttles: u64,
}

impl Sums {
    /// What was counted between two readings of the counters.
    fn between(before: &Totals, after: &Totals) -> Self {
        Self {
            deliveries: after.deliveries.saturating_sub(before.deliveries),
            refused: after.refused.saturating_sub(before.refused),
            jobs: after.jobs.saturating_sub(before.jobs),
            records: after.records.saturating_sub(before.records),
            calls: after.calls.saturating_sub(before.calls),
            calls_saved: after.calls_saved.saturating_sub(before.calls_saved),
            throttles: after.throttles.saturating_sub(before.throttles),
        }
    }
}

impl AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        self.deliveries += other.deliveries;
        self.refused += other.refused;
        self.jobs += other.jobs;
        self.records += other.records;
        self.calls += other.calls;
        self.calls_saved += other.calls_saved;
        self.throttles += other.throttles;
    }
}

/// A period with its sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Period {
    /// Its number since 1970.
    number: i64,
    #[serde(flatten)]
    sums: Sums,
}

/// The sums of the last 24 hours, as they are stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Timeline {
    /// Since when deliveries are counted.
    since: Timestamp,
    /// Ascending; periods without anything are left out.
    periods: VecDeque<Period>,
    /// The counters at the last sample. They begin anew with each process.
    #[serde(skip)]
    last: Totals,
}

impl Timeline {
    /// A timeline that begins now.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            since: now,
            periods: VecDeque::new(),
            last: Totals::default(),
        }
    }

    /// Adds a stored timeline of earlier processes.
    pub(crate) fn continue_from(&mut self, stored: Self, now: Timestamp) {
        let oldest = period_of(now) - PERIODS as i64;
        // What a clock that was ahead has counted for the future is of no use.
        let kept = stored.periods.into_iter();
        let kept = kept.filter(|period| (oldest + 1..=period_of(now)).contains(&period.number));
        let mut own = std::mem::take(&mut self.periods);
        self.periods = kept.collect();
        for period in own.drain(..) {
            self.add(period.number, period.sums);
        }
        self.since = self.since.min(stored.since);
    }

    /// Takes a reading of the counters into account. Returns whether anything was counted since the last one.
    pub(crate) fn sample(&mut self, totals: Totals, now: Timestamp) -> bool {
        let sums = Sums::between(&self.last, &totals);
        self.last = totals;
        let has_changed = sums != Sums::default();
        if has_changed {
            self.add(period_of(now), sums);
        }
        has_changed
    }

    fn add(&mut self, number: i64, sums: Sums) {
        match self.periods.back_mut() {
            // A clock that was set back adds to the latest period.
            Some(last) if last.number >= number => last.sums += sums,
            Some(_) | None => self.periods.push_back(Period { number, sums }),
        }
        let latest = self.periods.back().map_or(number, |last| last.number);
        let is_old = |period: &Period| period.number <= latest - PERIODS as i64;
        while self.periods.front().is_some_and(is_old) {
            self.periods.pop_front();
        }
    }

    /// The buckets and totals of the last hours, which are rounded up to 1, 6 or 24.
    pub(crate) fn to_json(&self, now: Timestamp, hours: u32) -> Value {
        let found = BUCKETS.iter().find(|(known, _)| *known >= hours);
        let (hours, width) = found.copied().unwrap_or(BUCKETS[BUCKETS.len() - 1]);
        let width = width as i64;
        let count = i64::from(hours) * 3_600 / PERIOD / width;
        // Buckets begin at full multiples of their width; the last one is not over yet.
        let last = period_of(now).div_euclid(width);
        let first = last - count + 1;
        let mut buckets = vec![Sums::default(); usize::try_from(count).unwrap_or_default()];
        let mut totals = Sums::default();
        for period in &self.periods {
            let bucket = period.number.div_euclid(width) - first;
            let bucket = usize::try_from(bucket).ok();
            if let Some(bucket) = bucket.and_then(|bucket| buckets.get_mut(bucket)) {
                *bucket += period.sums;
                totals += period.sums;
            }
        }
        let buckets = (first..).zip(buckets).map(|(bucket, sums)| {
            let start = Timestamp::from_second(bucket * width * PERIOD).unwrap_or(now);
            let mut bucket = json!(sums);
            bucket["at"] = format!("{start:.3}").into();
            bucket
        });
        json!({
            "hours": hours,
            "since": format!("{:.3}", self.since),
            "buckets": buckets.collect::<Vec<_>>(),
            "totals": totals,
        })
    }
}

fn period_of(now: Timestamp) -> i64 {
    now.as_second().div_euclid(PERIOD)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_100 + seconds).expect("a time")
    }

    fn totals(deliveries: u64) -> Totals {
        Totals {
            deliveries,
            calls_saved: 2 * deliveries,
            ..Totals::default()
        }
    }

    #[test]
    fn samples_are_counted_in_their_bucket_once() {
        let mut timeline = Timeline::new(at(0));
        assert!(timeline.sample(totals(3), at(0)));
        assert!(!timeline.sample(totals(3), at(10)));
        assert!(timeline.sample(totals(5), at(3_000)));
        let hour = timeline.to_json(at(3_000), 1);
        assert_eq!(hour["buckets"].as_array().map(Vec::len), Some(12));
        assert_eq!(hour["totals"]["deliveries"], 5);
        assert_eq!(hour["totals"]["calls_saved"], 10);
        assert_eq!(hour["buckets"][11]["deliveries"], 2);
        assert_eq!(hour["buckets"][1]["deliveries"], 3);
        for (hours, buckets) in [(0, 12), (3, 36), (24, 48), (1_000, 48)] {
            let plot = timeline.to_json(at(3_000), hours);
            assert_eq!(plot["buckets"].as_array().map(Vec::len), Some(buckets));
            assert_eq!(plot["totals"]["deliveries"], 5, "{hours}");
        }
        assert_eq!(timeline.to_json(at(90_000), 24)["totals"]["deliveries"], 0);
    }

    #[test]
    fn stored_timeline_survives_a_restart() {
        let mut before = Timeline::new(at(0));
        before.sample(totals(7), at(600));
        let stored = serde_json::to_string(&before).expect("JSON");
        // The next process begins with a delivery before it has read what is stored.
        let mut after = Timeline::new(at(900));
        after.sample(totals(1), at(900));
        after.continue_from(serde_json::from_str(&stored).expect("a timeline"), at(900));
        after.sample(totals(2), at(960));
        let day = after.to_json(at(960), 24);
        assert_eq!(day["totals"]["deliveries"], 9);
        assert_eq!(day["since"], format!("{:.3}", at(0)));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_counted_twice(steps in prop::collection::vec((0_u64..100, -400_i64..2_000), 1..60)) {
            let mut timeline = Timeline::new(at(0));
            let (mut deliveries, mut seconds) = (0, 0);
            for (more, step) in steps {
                deliveries += more;
                seconds = (seconds + step).clamp(0, 80_000);
                timeline.sample(totals(deliveries), at(seconds));
            }
            let latest = timeline.periods.back().map_or(0, |last| last.number * PERIOD);
            let now = Timestamp::from_second(latest.max(at(seconds).as_second())).expect("a time");
            let day = timeline.to_json(now, 24);
            prop_assert_eq!(day["totals"]["deliveries"].as_u64(), Some(deliveries));
            prop_assert!(timeline.periods.len() <= PERIODS);
        }
    }
}
