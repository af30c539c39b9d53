use super::*;
use crate::clock::ManualClock;
use crate::job::sqlite::SqliteStore;
use crate::update::UpdateRequest;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A machine: its clock, and its way to the store.
struct Machine {
    clock: ManualClock,
    store: SteadyStore,
}

impl Machine {
    async fn claim(&self, job: &Job) -> Claim {
        let now = self.clock.now();
        let claim = self.store.claim(&job.id, now, now + MINUTE).await;
        claim.expect("an answer")
    }

    async fn gets(&self, job: &Job) -> bool {
        matches!(self.claim(job).await, Claim::Acquired(..))
    }

    async fn locks(&self, holder: &LockHolder, time: Duration) -> bool {
        let now = self.clock.now();
        let lock = self.store.lock("name", holder, now, now + time).await;
        lock.expect("an answer").is_some()
    }

    fn jumps(&self, by: Duration) {
        self.clock.set(self.clock.now() + by);
    }
}

/// Machines over one store, which has a job.
async fn machines<const COUNT: usize>() -> ([Machine; COUNT], Job) {
    let start = Timestamp::from_second(1_800_000_000).expect("a moment");
    let store: Arc<dyn JobStore> = Arc::new(SqliteStore::in_memory());
    let request = serde_json::json!({"module": "Leads", "fields": {"Score": 1}, "ids": ["7"]});
    let request = UpdateRequest::parse(&request).expect("a request");
    let id = JobId::derive("r", "d", 0);
    let job = Job::new(id, None, "default".to_owned(), request, None, start);
    store.add(&job, None).await.expect("added");
    let machines = std::array::from_fn(|_| {
        let clock = ManualClock::at(start);
        let store = SteadyStore::over(store.clone(), Arc::new(clock.clone()));
        Machine { clock, store }
    });
    (machines, job)
}

fn pass(machines: &[&Machine], time: Duration) {
    machines
        .iter()
        .for_each(|machine| machine.clock.advance(time));
}

#[tokio::test]
async fn a_jump_of_the_clock_steals_no_lease() {
    let ([machine], job) = machines().await;
    let Claim::Acquired(_, mut lease) = machine.claim(&job).await else {
        panic!("the job is free");
    };
    machine.jumps(24 * HOUR);
    let jumped = machine.clock.now();
    for _ in 0..2 {
        let stolen = machine.claim(&job).await;
        assert!(
            matches!(stolen, Claim::Busy { until } if until > jumped),
            "{stolen:?}"
        );
        assert_eq!(machine.store.due(jumped, 10).await.expect("an answer"), []);
        let written = machine.store.checkpoint(&job, &mut lease).await;
        written.expect("written");
    }
    let released = machine.store.release(&job, lease, Some(jumped)).await;
    released.expect("released");
    let due = machine.store.due(jumped, 10).await.expect("an answer");
    assert_eq!(due, [job.id]);
}

#[tokio::test]
async fn a_lease_ends_when_its_time_has_passed() {
    let ([machine], job) = machines().await;
    let Claim::Acquired(_, mut stale) = machine.claim(&job).await else {
        panic!("the job is free");
    };
    machine.clock.advance(MINUTE);
    let now = machine.clock.now();
    let due = machine.store.due(now, 10).await.expect("an answer");
    assert_eq!(due, std::slice::from_ref(&job.id));
    let Claim::Acquired(_, mut lease) = machine.claim(&job).await else {
        panic!("the lease is over");
    };
    let lost = machine.store.checkpoint(&job, &mut stale).await;
    assert!(matches!(lost, Err(StoreError::LeaseLost(_))), "{lost:?}");
    lease.until = now + 2 * MINUTE;
    let written = machine.store.checkpoint(&job, &mut lease).await;
    written.expect("written");
    machine.clock.advance(MINUTE);
    let prolonged = machine.claim(&job).await;
    assert!(matches!(prolonged, Claim::Busy { .. }), "{prolonged:?}");
}

#[tokio::test]
async fn nor_does_it_steal_a_lock() {
    let ([machine], _) = machines().await;
    let (one, other) = (LockHolder::unique(), LockHolder::unique());
    assert!(machine.locks(&one, MINUTE).await);
    machine.jumps(24 * HOUR);
    assert!(!machine.locks(&other, MINUTE).await);
    let unlocked = machine.store.unlock("name", &one).await;
    unlocked.expect("given back");
    assert!(machine.locks(&other, MINUTE).await);
    machine.clock.advance(MINUTE);
    assert!(machine.locks(&one, MINUTE).await);
}

#[tokio::test]
async fn what_another_machine_drives_is_left_to_it() {
    let ([a, b], job) = machines().await;
    let all = [&a, &b];
    let Claim::Acquired(_, mut lease) = a.claim(&job).await else {
        panic!("the job is free");
    };
    b.jumps(6 * HOUR);
    pass(&all, MINUTE / 2);
    assert!(!b.gets(&job).await);
    let written = a.store.checkpoint(&job, &mut lease).await;
    written.expect("its own still");
    // Now `a` is dead. Its lease ends when its time has passed, not before.
    pass(&all, MINUTE / 2 - Duration::from_secs(1));
    assert!(!b.gets(&job).await);
    pass(&all, Duration::from_secs(1));
    assert!(b.gets(&job).await);
}

#[tokio::test]
async fn a_clock_that_was_put_right_holds_nobody_up_for_ever() {
    let ([a, b], job) = machines().await;
    let id = job.id.clone();
    b.clock.set(b.clock.now() - 6 * HOUR);
    b.store.due(b.clock.now(), 10).await.expect("an answer");
    b.jumps(6 * HOUR);
    // By the clock as `b` knew it, this lease lasts for six hours more. `a` dies, or it does not.
    for dies in [false, true] {
        let Claim::Acquired(_, lease) = a.claim(&job).await else {
            panic!("{id} is free");
        };
        let all = [&a, &b];
        pass(&all, MINUTE);
        assert!(!b.gets(&job).await);
        pass(&all, LONGEST_LEASE / 2);
        assert!(!b.gets(&job).await);
        if !dies {
            let released = a.store.release(&job, lease, None).await;
            released.expect("released");
            continue;
        }
        pass(&all, LONGEST_LEASE / 2);
        assert!(b.gets(&job).await);
    }
}

#[tokio::test]
async fn nor_is_a_lock_of_another_machine_stolen() {
    let ([a, b], _) = machines().await;
    let all = [&a, &b];
    let (one, other) = (LockHolder::unique(), LockHolder::unique());
    assert!(a.locks(&one, 10 * MINUTE).await);
    b.jumps(6 * HOUR);
    assert!(!b.locks(&other, MINUTE).await);
    pass(&all, 10 * MINUTE);
    assert!(b.locks(&other, MINUTE).await);
    // When no lock from before the jump can be left, the clock is believed.
    b.store.unlock("name", &other).await.expect("given back");
    pass(&all, LONGEST_LOCK);
    assert!(a.locks(&one, MINUTE).await);
    assert!(b.locks(&other, MINUTE).await);
}

#[test]
fn only_a_leap_ahead_is_a_jump() {
    let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).expect("a moment");
    let passed = Duration::from_secs;
    let mut pace = Pace::of(at(0), passed(0));
    assert_eq!(pace.jump(at(14), passed(10)), None, "a step");
    assert_eq!(pace.jump(at(1), passed(11)), None, "set back");
    let jump = |steady, since| {
        Some(Jump {
            steady: at(steady),
            since: passed(since),
        })
    };
    assert_eq!(pace.jump(at(100), passed(12)), jump(2, 12));
    assert_eq!(pace.jump(at(900), passed(20)), jump(10, 12));
    assert_eq!(pace.jump(at(15), passed(25)), None, "right again");
    assert_eq!(pace.jump(at(100), passed(26)), jump(16, 26));
}

#[tokio::test]
async fn what_was_given_out_after_a_jump_ends_in_its_time() {
    let ([machine], job) = machines().await;
    machine.jumps(HOUR);
    let Claim::Acquired(_, mut lease) = machine.claim(&job).await else {
        panic!("the job is free");
    };
    machine.clock.advance(MINUTE);
    assert!(machine.gets(&job).await);
    let lost = machine.store.checkpoint(&job, &mut lease).await;
    assert!(matches!(lost, Err(StoreError::LeaseLost(_))), "{lost:?}");
}

/// A process that stood still drove nothing: what it held is free, and its clock did not jump.
#[tokio::test]
async fn after_a_standstill_nothing_is_held() {
    let ([machine, other], job) = machines().await;
    assert!(machine.gets(&job).await);
    assert!(machine.locks(&LockHolder::unique(), MINUTE).await);
    machine.jumps(HOUR);
    other.clock.advance(HOUR);
    assert!(!machine.gets(&job).await);
    machine.store.resumed();
    assert!(machine.gets(&job).await);
    assert!(machine.locks(&LockHolder::unique(), MINUTE).await);
}
