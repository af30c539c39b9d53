//! The same random operations on SQLite and on a simple model of a store.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use masshook::job::{Job, JobId};
use masshook::store::{AddResult, Claim, Lease, LockHolder, Store, StoreError};
use proptest::prelude::*;

use super::fixture::Fixture;

/// The number of jobs, of locks and of drivers.
const COUNT: usize = 3;

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
        extension: u64,
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
    let number = 0..COUNT;
    let seconds = 1..20_u64;
    prop_oneof![
        2 => number.clone().prop_map(Step::Add),
        4 => (number.clone(), number.clone(), seconds.clone())
            .prop_map(|(driver, job, seconds)| Step::Claim { driver, job, seconds }),
        4 => (number.clone(), 0..9_u64).prop_map(|(driver, extension)| Step::Checkpoint { driver, extension }),
        3 => (number.clone(), proptest::option::of(0..20_u64)).prop_map(|(driver, due)| Step::Release { driver, due }),
        1 => number.clone().prop_map(Step::Park),
        1 => number.clone().prop_map(Step::Unpark),
        2 => (number.clone(), number.clone(), seconds)
            .prop_map(|(driver, lock, seconds)| Step::Lock { driver, lock, seconds }),
        1 => (number.clone(), number).prop_map(|(driver, lock)| Step::Unlock { driver, lock }),
        3 => (1..15_u64).prop_map(Step::Pass),
    ]
}

/// A job in the model.
#[derive(Clone)]
struct ModelJob {
    job: Job,
    /// The number of the claim that may write the job; zero for none.
    claim: u64,
    leased_until: Timestamp,
    due: Option<Timestamp>,
    parked: bool,
}

/// The lease of a driver, which may be stale.
struct DriverLease {
    job: Job,
    lease: Lease,
    claim: u64,
}

#[derive(Default)]
struct Model {
    jobs: BTreeMap<JobId, ModelJob>,
    locks: BTreeMap<String, (usize, Timestamp)>,
    claims: u64,
}

/// A store and its model, to which the same steps are applied.
struct Run {
    fixture: Fixture,
    model: Model,
    jobs: Vec<Job>,
    holders: Vec<LockHolder>,
    leases: BTreeMap<usize, DriverLease>,
}

impl Run {
    fn new() -> Self {
        let fixture = Fixture::in_memory();
        let jobs = (0..COUNT).map(|number| fixture.job(&number.to_string()));
        Self {
            jobs: jobs.collect(),
            model: Model::default(),
            holders: (0..COUNT).map(|_| LockHolder::unique()).collect(),
            leases: BTreeMap::new(),
            fixture,
        }
    }

    async fn apply(&mut self, step: Step) {
        match step {
            Step::Add(number) => self.add(number).await,
            Step::Claim {
                driver,
                job,
                seconds,
            } => self.claim(driver, job, seconds).await,
            Step::Checkpoint { driver, extension } => self.checkpoint(driver, extension).await,
            Step::Release { driver, due } => self.release(driver, due).await,
            Step::Park(number) => self.park(number).await,
            Step::Unpark(number) => self.unpark(number).await,
            Step::Lock {
                driver,
                lock,
                seconds,
            } => self.lock(driver, lock, seconds).await,
            Step::Unlock { driver, lock } => self.unlock(driver, lock).await,
            Step::Pass(seconds) => self.fixture.advance(seconds),
        }
        let store = self.fixture.store.as_ref();
        assert_agrees(store, &self.model, self.fixture.now()).await;
    }

    async fn add(&mut self, number: usize) {
        let job = &self.jobs[number];
        let expected = match self.model.jobs.contains_key(&job.id) {
            true => AddResult::Existing,
            false => AddResult::New,
        };
        let added = self.fixture.store.add(job, None).await;
        assert_eq!(added.expect("added"), expected);
        let entry = self.model.jobs.entry(job.id.clone());
        entry.or_insert_with(|| ModelJob {
            job: job.clone(),
            claim: 0,
            leased_until: Timestamp::MIN,
            due: Some(job.created_at),
            parked: false,
        });
    }

    async fn claim(&mut self, driver: usize, job: usize, seconds: u64) {
        let (now, until) = (self.fixture.now(), self.fixture.after(seconds));
        let id = &self.jobs[job].id;
        let claim = self.fixture.store.claim(id, now, until).await;
        match (claim.expect("an answer"), self.model.jobs.get_mut(id)) {
            (Claim::NotFound, None) => {}
            (Claim::Parked { .. }, Some(known)) => assert!(known.parked),
            (Claim::Busy { until }, Some(known)) => {
                assert!(!known.parked && known.leased_until > now);
                assert_eq!(until, known.leased_until);
            }
            (Claim::Acquired(job, lease), Some(known)) => {
                assert!(!known.parked && known.leased_until <= now);
                assert_eq!(*job, known.job);
                self.model.claims += 1;
                let claim = self.model.claims;
                (known.claim, known.leased_until, known.due) = (claim, until, Some(until));
                let job = *job;
                self.leases
                    .insert(driver, DriverLease { job, lease, claim });
            }
            (claim, None) => panic!("no such job, but {claim:?}"),
            (Claim::NotFound | Claim::NotDue, Some(_)) => panic!("job {id} is missing"),
        }
    }

    async fn checkpoint(&mut self, driver: usize, extension: u64) {
        let Some(held) = self.leases.get_mut(&driver) else {
            return;
        };
        held.job.record_attempts(1, 1);
        held.lease.until += Duration::from_secs(extension);
        let store = &self.fixture.store;
        let written = store.checkpoint(&held.job, &mut held.lease).await;
        let known = self.model.jobs.get_mut(&held.job.id).expect("claimed");
        check(&written, known.claim == held.claim);
        if written.is_ok() {
            known.job = held.job.clone();
            (known.leased_until, known.due) = (held.lease.until, Some(held.lease.until));
        }
    }

    async fn release(&mut self, driver: usize, due: Option<u64>) {
        let Some(mut held) = self.leases.remove(&driver) else {
            return;
        };
        held.job.record_attempts(1, 1);
        let due = due.map(|seconds| self.fixture.after(seconds));
        let written = self.fixture.store.release(&held.job, held.lease, due).await;
        let known = self.model.jobs.get_mut(&held.job.id).expect("claimed");
        check(&written, known.claim == held.claim);
        if written.is_ok() {
            (known.job, known.claim) = (held.job, 0);
            (known.leased_until, known.due) = (Timestamp::MIN, due);
        }
    }

    async fn park(&mut self, number: usize) {
        let id = &self.jobs[number].id;
        let parked = self.fixture.store.park(id, "a reason").await;
        parked.expect("parked");
        if let Some(known) = self.model.jobs.get_mut(id) {
            (known.parked, known.due, known.claim) = (true, None, 0);
            known.leased_until = Timestamp::MIN;
        }
    }

    async fn unpark(&mut self, number: usize) {
        let (id, now) = (&self.jobs[number].id, self.fixture.now());
        let unparked = self.fixture.store.unpark(id, now).await;
        let known = self.model.jobs.get_mut(id).filter(|known| known.parked);
        assert_eq!(unparked.expect("an answer"), known.is_some());
        if let Some(known) = known {
            (known.parked, known.due) = (false, Some(now));
        }
    }

    async fn lock(&mut self, driver: usize, lock: usize, seconds: u64) {
        let (now, until) = (self.fixture.now(), self.fixture.after(seconds));
        let name = format!("lock {lock}");
        let holder = &self.holders[driver];
        let won = self.fixture.store.lock(&name, holder, now, until).await;
        let won = won.expect("an answer").is_some();
        let free = |(holder, until): &(usize, Timestamp)| *holder == driver || *until <= now;
        assert_eq!(won, self.model.locks.get(&name).is_none_or(free));
        if won {
            self.model.locks.insert(name, (driver, until));
        }
    }

    async fn unlock(&mut self, driver: usize, lock: usize) {
        let name = format!("lock {lock}");
        let unlocked = self.fixture.store.unlock(&name, &self.holders[driver]);
        unlocked.await.expect("an answer");
        let held = self.model.locks.get(&name);
        if held.is_some_and(|(holder, _)| *holder == driver) {
            self.model.locks.remove(&name);
        }
    }
}

fn check(written: &Result<(), StoreError>, expected: bool) {
    match written {
        Ok(()) => assert!(expected, "a stale lease wrote"),
        Err(StoreError::LeaseLost(_)) => assert!(!expected, "a valid lease was refused"),
        Err(other) => panic!("{other:?}"),
    }
}

async fn assert_agrees(store: &dyn Store, model: &Model, now: Timestamp) {
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
        runtime.block_on(async {
            let mut run = Run::new();
            for step in steps {
                run.apply(step).await;
            }
        });
    }
}
