//! The same operations, in any order, on SQLite and on a model of a store that is as simple as can be.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use masshook::job::{Job, JobId};
use masshook::store::{AddResult, Claim, Lease, LockHolder, Store, StoreError};
use proptest::prelude::*;

use super::bench::Bench;

/// How many jobs, locks and drivers take part.
const FEW: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Add(usize),
    Claim {
        driver: usize,
        job: usize,
        seconds: u64,
    },
    Checkpoint {
        driver: usize,
        prolong: u64,
    },
    Release {
        driver: usize,
        due: Option<u64>,
    },
    Park(usize),
    Unpark(usize),
    Lock {
        driver: usize,
        lock: usize,
        seconds: u64,
    },
    Unlock {
        driver: usize,
        lock: usize,
    },
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let few = 0..FEW;
    let seconds = 1..20_u64;
    prop_oneof![
        2 => few.clone().prop_map(Step::Add),
        4 => (few.clone(), few.clone(), seconds.clone())
            .prop_map(|(driver, job, seconds)| Step::Claim { driver, job, seconds }),
        4 => (few.clone(), 0..9_u64).prop_map(|(driver, prolong)| Step::Checkpoint { driver, prolong }),
        3 => (few.clone(), proptest::option::of(0..20_u64)).prop_map(|(driver, due)| Step::Release { driver, due }),
        1 => few.clone().prop_map(Step::Park),
        1 => few.clone().prop_map(Step::Unpark),
        2 => (few.clone(), few.clone(), seconds)
            .prop_map(|(driver, lock, seconds)| Step::Lock { driver, lock, seconds }),
        1 => (few.clone(), few).prop_map(|(driver, lock)| Step::Unlock { driver, lock }),
        3 => (1..15_u64).prop_map(Step::Pass),
    ]
}

/// A job as the model has it.
#[derive(Clone)]
struct Known {
    job: Job,
    /// Who may write it; a new number with every claim and every parking.
    writer: u64,
    leased_until: Timestamp,
    due: Option<Timestamp>,
    parked: bool,
}

/// What a driver holds, or believes that it holds.
struct Held {
    job: Job,
    lease: Lease,
    writer: u64,
}

#[derive(Default)]
struct Model {
    jobs: BTreeMap<JobId, Known>,
    locks: BTreeMap<String, (usize, Timestamp)>,
    writers: u64,
}

async fn run(steps: Vec<Step>) {
    let bench = Bench::in_memory();
    let store = bench.store.as_ref();
    let mut model = Model::default();
    let jobs: Vec<Job> = (0..FEW)
        .map(|number| bench.job(&number.to_string()))
        .collect();
    let holders: Vec<LockHolder> = (0..FEW).map(|_| LockHolder::unique()).collect();
    let mut held: BTreeMap<usize, Held> = BTreeMap::new();
    for step in steps {
        let now = bench.now();
        match step {
            Step::Add(number) => {
                let job = &jobs[number];
                let expected = if model.jobs.contains_key(&job.id) {
                    AddResult::Existing
                } else {
                    AddResult::New
                };
                assert_eq!(store.add(job, None).await.expect("added"), expected);
                model.jobs.entry(job.id.clone()).or_insert_with(|| Known {
                    job: job.clone(),
                    writer: 0,
                    leased_until: Timestamp::MIN,
                    due: Some(job.created_at),
                    parked: false,
                });
            }
            Step::Claim {
                driver,
                job,
                seconds,
            } => {
                let (id, until) = (&jobs[job].id, bench.within(seconds));
                let claim = store.claim(id, now, until).await.expect("an answer");
                match (claim, model.jobs.get_mut(id)) {
                    (Claim::NotFound, None) => {}
                    (Claim::Parked { .. }, Some(known)) => assert!(known.parked),
                    (Claim::Busy { until }, Some(known)) => {
                        assert!(!known.parked && known.leased_until > now);
                        assert_eq!(until, known.leased_until);
                    }
                    (Claim::Acquired(job, lease), Some(known)) => {
                        assert!(!known.parked && known.leased_until <= now);
                        assert_eq!(*job, known.job);
                        model.writers += 1;
                        (known.writer, known.leased_until, known.due) =
                            (model.writers, until, Some(until));
                        let writer = model.writers;
                        held.insert(
                            driver,
                            Held {
                                job: *job,
                                lease,
                                writer,
                            },
                        );
                    }
                    (claim, None) => panic!("no such job, but {claim:?}"),
                    (Claim::NotFound, Some(_)) => panic!("a job is lost"),
                }
            }
            Step::Checkpoint { driver, prolong } => {
                let Some(held) = held.get_mut(&driver) else {
                    continue;
                };
                held.job.record_attempts(1, 1);
                held.lease.until += Duration::from_secs(prolong);
                let written = store.checkpoint(&held.job, &mut held.lease).await;
                let known = model.jobs.get_mut(&held.job.id).expect("it was claimed");
                check(&written, known.writer == held.writer);
                if written.is_ok() {
                    known.job = held.job.clone();
                    (known.leased_until, known.due) = (held.lease.until, Some(held.lease.until));
                }
            }
            Step::Release { driver, due } => {
                let Some(mut held) = held.remove(&driver) else {
                    continue;
                };
                held.job.record_attempts(1, 1);
                let due = due.map(|seconds| bench.within(seconds));
                let written = store.release(&held.job, held.lease, due).await;
                let known = model.jobs.get_mut(&held.job.id).expect("it was claimed");
                check(&written, known.writer == held.writer);
                if written.is_ok() {
                    (known.job, known.writer) = (held.job, 0);
                    (known.leased_until, known.due) = (Timestamp::MIN, due);
                }
            }
            Step::Park(number) => {
                let id = &jobs[number].id;
                store.park(id, "why not").await.expect("parked");
                if let Some(known) = model.jobs.get_mut(id) {
                    (known.parked, known.due, known.writer) = (true, None, 0);
                    known.leased_until = Timestamp::MIN;
                }
            }
            Step::Unpark(number) => {
                let id = &jobs[number].id;
                let unparked = store.unpark(id, now).await.expect("an answer");
                let known = model.jobs.get_mut(id).filter(|known| known.parked);
                assert_eq!(unparked, known.is_some());
                if let Some(known) = known {
                    (known.parked, known.due) = (false, Some(now));
                }
            }
            Step::Lock {
                driver,
                lock,
                seconds,
            } => {
                let (name, until) = (format!("lock {lock}"), bench.within(seconds));
                let won = store
                    .lock(&name, &holders[driver], now, until)
                    .await
                    .expect("an answer");
                let free =
                    |(holder, until): &(usize, Timestamp)| *holder == driver || *until <= now;
                assert_eq!(won.is_some(), model.locks.get(&name).is_none_or(free));
                if won.is_some() {
                    model.locks.insert(name, (driver, until));
                }
            }
            Step::Unlock { driver, lock } => {
                let name = format!("lock {lock}");
                store
                    .unlock(&name, &holders[driver])
                    .await
                    .expect("an answer");
                if model
                    .locks
                    .get(&name)
                    .is_some_and(|(holder, _)| *holder == driver)
                {
                    model.locks.remove(&name);
                }
            }
            Step::Pass(seconds) => bench.pass(seconds),
        }
        agrees(store, &model, bench.now()).await;
    }
}

fn check(written: &Result<(), StoreError>, expected: bool) {
    match written {
        Ok(()) => assert!(expected, "a stale lease wrote"),
        Err(StoreError::LeaseLost(_)) => assert!(!expected, "a good lease was refused"),
        Err(other) => panic!("{other:?}"),
    }
}

async fn agrees(store: &dyn Store, model: &Model, now: Timestamp) {
    for (id, known) in &model.jobs {
        assert_eq!(
            store.get(id).await.expect("read").as_ref(),
            Some(&known.job)
        );
    }
    let mut expected: Vec<(Timestamp, JobId)> = model
        .jobs
        .iter()
        .filter(|(_, known)| known.leased_until <= now)
        .filter_map(|(id, known)| Some((known.due.filter(|due| *due <= now)?, id.clone())))
        .collect();
    expected.sort();
    let expected: Vec<JobId> = expected.into_iter().map(|(_, id)| id).collect();
    assert_eq!(store.due(now, 100).await.expect("an answer"), expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_agrees_with_model(steps in proptest::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(run(steps));
    }
}
