//! The counters of routes and connections: atomics in arrays, indexed by fixed sets of labels.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::labels::{CODES, DeliveryOutcome, RequestKind, code_index};
use super::{OTHER, Totals};
use crate::job::JobStatus;
use crate::trigger::Trigger;

/// Modules of one route that have counters of their own. Further ones count as [`OTHER`].
pub(super) const MODULES: usize = 16;

/// Upper bounds of the buckets of job durations, in seconds. A job may track a custom view for days.
const JOB_BOUNDS: [f64; 14] = [
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 21_600.0, 86_400.0,
];

/// Upper bounds of the buckets of request durations, in seconds.
const REQUEST_BOUNDS: [f64; 12] = [
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0,
];

/// The statuses of finished jobs.
pub(super) const FINAL_STATUSES: [JobStatus; 3] = [
    JobStatus::Succeeded,
    JobStatus::PartiallySucceeded,
    JobStatus::Failed,
];

/// The values of the label `outcome` of records.
pub(super) const RECORD_OUTCOMES: [&str; 5] =
    ["updated", "failed", "unknown", "superseded", "created"];

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The distribution of durations.
#[derive(Debug)]
pub(super) struct Histogram {
    bounds: &'static [f64],
    /// One for each bound, and one for all longer durations.
    buckets: Box<[Counter]>,
    microseconds: Counter,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            buckets: (0..=bounds.len()).map(|_| Counter::default()).collect(),
            microseconds: Counter::default(),
        }
    }

    pub(super) fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        self.buckets[bucket].add(1);
        let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.microseconds.add(microseconds);
    }

    /// The sum in seconds.
    pub(super) fn sum(&self) -> f64 {
        self.microseconds.get() as f64 / 1e6
    }

    /// The upper bound of each bucket, and its own count.
    pub(super) fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let counts = self.buckets.iter().map(Counter::get);
        bounds.zip(counts).collect()
    }
}

/// The counters of one route.
#[derive(Debug)]
pub(super) struct RouteCounters {
    pub(super) name: String,
    deliveries: [[Counter; DeliveryOutcome::ALL.len()]; Trigger::ALL.len()],
    jobs: [Counter; FINAL_STATUSES.len()],
    pub(super) durations: Histogram,
    /// Filled from the front. A slot never changes once it is filled.
    modules: [OnceLock<ModuleCounters>; MODULES],
    other_module: [Counter; RECORD_OUTCOMES.len()],
}

/// The records of one module.
#[derive(Debug)]
struct ModuleCounters {
    name: String,
    records: [Counter; RECORD_OUTCOMES.len()],
}

impl RouteCounters {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            deliveries: Default::default(),
            jobs: Default::default(),
            durations: Histogram::new(&JOB_BOUNDS),
            modules: Default::default(),
            other_module: Default::default(),
        }
    }

    pub(super) fn deliveries(&self, trigger: Trigger, outcome: DeliveryOutcome) -> &Counter {
        &self.deliveries[trigger as usize][outcome as usize]
    }

    /// The counter of finished jobs with a status. An unfinished job counts as failed, which never happens.
    pub(super) fn jobs(&self, status: JobStatus) -> &Counter {
        let place = FINAL_STATUSES.iter().position(|known| *known == status);
        &self.jobs[place.unwrap_or(FINAL_STATUSES.len() - 1)]
    }

    /// The counters of the records of a module, in the order of [`RECORD_OUTCOMES`].
    pub(super) fn records(&self, module: &str) -> &[Counter; RECORD_OUTCOMES.len()] {
        let new = || ModuleCounters {
            name: module.to_owned(),
            records: Default::default(),
        };
        let mut slots = self.modules.iter().map(|slot| slot.get_or_init(new));
        let found = slots.find(|slot| slot.name == module);
        found.map_or(&self.other_module, |slot| &slot.records)
    }

    /// The records by module.
    pub(super) fn modules(&self) -> Vec<(&str, &[Counter; RECORD_OUTCOMES.len()])> {
        let slots = self.modules.iter().filter_map(OnceLock::get);
        let slots = slots.map(|slot| (slot.name.as_str(), &slot.records));
        slots.chain([(OTHER, &self.other_module)]).collect()
    }

    pub(super) fn add_to(&self, totals: &mut Totals) {
        for trigger in &self.deliveries {
            totals.deliveries += trigger.iter().map(Counter::get).sum::<u64>();
            totals.refused += trigger[DeliveryOutcome::Refused as usize].get();
        }
        totals.jobs += self.jobs.iter().map(Counter::get).sum::<u64>();
        let updated = self
            .modules()
            .into_iter()
            .map(|(_, records)| records[0].get() + records[4].get());
        totals.records += updated.sum::<u64>();
    }
}

/// The counters of one connection.
#[derive(Debug)]
pub(super) struct ConnectionCounters {
    pub(super) name: String,
    /// One for each kind and code.
    requests: Vec<Counter>,
    pub(super) durations: Histogram,
    pub(super) saved: Counter,
    pub(super) throttles: Counter,
}

impl ConnectionCounters {
    pub(super) fn new(name: &str) -> Self {
        let count = RequestKind::ALL.len() * CODES.len();
        Self {
            name: name.to_owned(),
            requests: (0..count).map(|_| Counter::default()).collect(),
            durations: Histogram::new(&REQUEST_BOUNDS),
            saved: Counter::default(),
            throttles: Counter::default(),
        }
    }

    pub(super) fn requests(&self, kind: RequestKind, code: &str) -> &Counter {
        &self.requests[kind as usize * CODES.len() + code_index(code)]
    }

    /// The counts of requests that were made, by kind and code.
    pub(super) fn request_counts(&self) -> impl Iterator<Item = (RequestKind, &'static str, u64)> {
        let kinds = RequestKind::ALL.iter();
        let labels = kinds.flat_map(|kind| CODES.iter().map(move |code| (*kind, *code)));
        let counted = labels.zip(&self.requests);
        let counted = counted.map(|((kind, code), counter)| (kind, code, counter.get()));
        counted.filter(|(.., count)| *count > 0)
    }

    pub(super) fn add_to(&self, totals: &mut Totals) {
        let calls = self.request_counts().map(|(.., count)| count);
        totals.calls += calls.sum::<u64>();
        totals.calls_saved += self.saved.get();
        totals.throttles += self.throttles.get();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_on_a_bound_is_below_it() {
        let histogram = Histogram::new(&REQUEST_BOUNDS);
        for milliseconds in [0, 10, 11, 31_000] {
            histogram.observe(Duration::from_millis(milliseconds));
        }
        let counts: Vec<u64> = histogram
            .buckets()
            .iter()
            .map(|(_, count)| *count)
            .collect();
        assert_eq!(counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert!((histogram.sum() - 31.021).abs() < 1e-9);
    }

    /// A mapping may take the module from the sender's body.
    #[test]
    fn modules_of_a_route_are_bounded() {
        let route = RouteCounters::new("form");
        for number in 0..1_000 {
            route.records(&format!("Module{number}"))[0].add(1);
        }
        route.records("Module3")[0].add(1);
        let modules = route.modules();
        assert_eq!(modules.len(), MODULES + 1);
        assert_eq!((modules[3].0, modules[3].1[0].get()), ("Module3", 2));
        let (name, records) = modules[MODULES];
        assert_eq!((name, records[0].get()), (OTHER, 1_000 - MODULES as u64));
    }
}
