//! The limits around a running program.
//!
//! Every step of the interpreter and every operation on a value passes through [`spend`] or [`allocate`]. When a limit is
//! reached, the whole evaluation is unwound from there. jq's `try`, `//` and `?` cannot catch that, because it is not a jq
//! error.
//!
//! The state is thread-local, and set for each evaluation: a thread carries out one at a time, on a stack of known size.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use crate::processor_time;

/// How deep values may be nested. A function that walks a value may therefore recurse.
pub(crate) const MAX_DEPTH: u32 = 200;

/// How many steps away from its origin a value may be, as in `.[1:] | .[1:] | …`. The engine keeps such paths in linked
/// lists that are dropped recursively, so their length is bounded.
pub(crate) const MAX_PATH_LEN: u32 = 50_000;

/// How often recursive definitions may pass a filter on to themselves. The engine chains these filters and drops the chain
/// recursively.
const MAX_FILTER_RECURSION: u32 = 20_000;

/// Bytes of an object, whose table has room for a few entries.
pub(crate) const OBJECT: usize = 320;

/// Bytes of the iterators that the engine keeps for each context, measured over many shapes of programs.
const CONTEXT: usize = 256;

/// Stack kept free beyond the limit, for dropping values.
pub(crate) const STACK_RESERVE: usize = 64 << 20;

/// Steps between two reads of the clock.
const CLOCK_INTERVAL: u64 = 512;

/// The shortest time between two reads of the processor time, which needs a system call.
const MIN_CHECK_INTERVAL: Duration = Duration::from_millis(1);

/// The limit that ended an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FenceLimit {
    /// Processor time.
    Time,
    /// Wall-clock time.
    WallClock,
    Steps,
    Memory,
    Stack,
    Depth,
}

/// When evaluations on this thread end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    /// The thread's processor time.
    processor: Duration,
    /// The wall-clock time.
    wall_clock: Option<Instant>,
    /// Before this time no deadline can have passed: a thread uses no more processor time than time passes.
    next_check: Instant,
}

impl Deadlines {
    /// Deadlines after `time` of processor time from now, and at `wall_clock`.
    pub(crate) fn after(time: Duration, wall_clock: Option<Instant>) -> Self {
        let processor = processor_time::of_this_thread().saturating_add(time);
        let mut deadlines = Self {
            processor,
            wall_clock,
            next_check: Instant::now(),
        };
        deadlines.set_next_check(Instant::now(), time);
        deadlines
    }

    fn set_next_check(&mut self, now: Instant, left: Duration) {
        let next = now.checked_add(left.max(MIN_CHECK_INTERVAL));
        let next = [next, self.wall_clock].into_iter().flatten().min();
        self.next_check = next.unwrap_or(now);
    }

    /// The deadline that has passed.
    fn check(&mut self) -> Option<FenceLimit> {
        let now = Instant::now();
        if now < self.next_check {
            return None;
        }
        if self.wall_clock.is_some_and(|deadline| now >= deadline) {
            return Some(FenceLimit::WallClock);
        }
        let used = processor_time::of_this_thread();
        match self.processor.checked_sub(used) {
            Some(left) if !left.is_zero() => {
                self.set_next_check(now, left);
                None
            }
            Some(_) | None => Some(FenceLimit::Time),
        }
    }
}

/// Limits of one evaluation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quotas {
    pub(crate) deadlines: Deadlines,
    pub(crate) steps: u64,
    pub(crate) memory: usize,
    pub(crate) stack: usize,
}

/// The unused quotas of this thread's evaluation.
struct Fence {
    steps: Cell<u64>,
    until_clock: Cell<u64>,
    deadlines: Cell<Option<Deadlines>>,
    memory: Cell<usize>,
    recursions: Cell<u32>,
    stack: Cell<usize>,
    stack_base: Cell<usize>,
}

impl Fence {
    /// Without an evaluation nothing is limited.
    const fn unlimited() -> Self {
        Self {
            steps: Cell::new(u64::MAX),
            until_clock: Cell::new(u64::MAX),
            deadlines: Cell::new(None),
            memory: Cell::new(usize::MAX),
            recursions: Cell::new(u32::MAX),
            stack: Cell::new(usize::MAX),
            stack_base: Cell::new(0),
        }
    }

    fn close(&self, quotas: Quotas) {
        self.steps.set(quotas.steps);
        self.until_clock.set(CLOCK_INTERVAL);
        self.deadlines.set(Some(quotas.deadlines));
        self.memory.set(quotas.memory);
        self.recursions.set(MAX_FILTER_RECURSION);
        self.stack.set(quotas.stack);
        self.stack_base.set(stack_address());
    }

    fn open(&self) {
        self.steps.set(u64::MAX);
        self.until_clock.set(u64::MAX);
        self.deadlines.set(None);
        self.memory.set(usize::MAX);
        self.recursions.set(u32::MAX);
        self.stack.set(usize::MAX);
    }
}

thread_local! {
    static FENCE: Fence = const { Fence::unlimited() };
}

/// How an evaluation ended.
pub(crate) enum Outcome<T> {
    /// It returned.
    Finished(T),
    /// It reached a limit.
    LimitReached(FenceLimit),
    /// It needs something that cannot be done as jq does it.
    Refused(String),
    /// The engine panicked, with this message.
    Panicked(String),
}

/// Whether an evaluation is under way on this thread. Another one must not begin then.
pub(crate) fn is_closed() -> bool {
    FENCE.with(|fence| fence.deadlines.get().is_some())
}

/// Runs `work` within `quotas`. Returns its outcome, and the bytes of memory that it left. Whatever the outcome, the thread
/// can run further work: its fence is open again.
pub(crate) fn run<T>(quotas: Quotas, work: impl FnOnce() -> T) -> (Outcome<T>, usize) {
    FENCE.with(|fence| fence.close(quotas));
    let result = catch_unwind(AssertUnwindSafe(|| {
        check_deadlines();
        work()
    }));
    let memory = FENCE.with(|fence| {
        let left = fence.memory.get();
        fence.open();
        left
    });
    let outcome = match result {
        Ok(value) => Outcome::Finished(value),
        Err(payload) => outcome_of_panic(payload),
    };
    (outcome, memory)
}

fn outcome_of_panic<T>(payload: Box<dyn Any + Send>) -> Outcome<T> {
    let payload = match payload.downcast::<FenceLimit>() {
        Ok(limit) => return Outcome::LimitReached(*limit),
        Err(payload) => payload,
    };
    let payload = match payload.downcast::<Refusal>() {
        Ok(refusal) => return Outcome::Refused(refusal.0),
        Err(payload) => payload,
    };
    let message = match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => payload
            .downcast::<&str>()
            .map_or_else(|_| "no message".to_owned(), |message| message.to_string()),
    };
    Outcome::Panicked(message)
}

/// Ends the evaluation, except while values are dropped by an earlier call: a second unwinding would abort the process.
pub(crate) fn abort(limit: FenceLimit) {
    if !std::thread::panicking() {
        resume_unwind(Box::new(limit));
    }
}

/// The reason of a refusal.
struct Refusal(String);

/// Ends the evaluation because it needs something that cannot be done as jq does it. An error of jq could be caught, and the
/// program would go on with another result than in jq. The message must contain no value of the input.
pub(crate) fn refuse(message: impl Into<String>) -> ! {
    resume_unwind(Box::new(Refusal(message.into())))
}

/// Spends one step of the interpreter and checks the stack.
#[inline]
pub(crate) fn step() {
    spend(1);
    FENCE.with(|fence| {
        if fence.stack_base.get().abs_diff(stack_address()) > fence.stack.get() {
            abort(FenceLimit::Stack);
        }
    });
}

/// Spends `steps` steps and checks the deadline now and then.
#[inline]
pub(crate) fn spend(steps: u64) {
    FENCE.with(|fence| {
        let Some(left) = fence.steps.get().checked_sub(steps) else {
            fence.steps.set(0);
            return abort(FenceLimit::Steps);
        };
        fence.steps.set(left);
        match fence.until_clock.get().checked_sub(steps) {
            Some(left) => fence.until_clock.set(left),
            None => {
                fence.until_clock.set(CLOCK_INTERVAL);
                check_deadlines();
            }
        }
    });
}

/// Ends the evaluation if its time is over. For work that takes longer than its number of steps suggests.
pub(crate) fn check_deadlines() {
    let passed = FENCE.with(|fence| {
        let mut deadlines = fence.deadlines.get()?;
        let passed = deadlines.check();
        fence.deadlines.set(Some(deadlines));
        passed
    });
    if let Some(limit) = passed {
        abort(limit);
    }
}

/// Accounts for `bytes` bytes before they are allocated. Freed bytes are not credited: the sum of all allocations bounds
/// what can be alive at once.
pub(crate) fn allocate(bytes: usize) {
    FENCE.with(|fence| match fence.memory.get().checked_sub(bytes) {
        Some(left) => fence.memory.set(left),
        None => {
            fence.memory.set(0);
            abort(FenceLimit::Memory);
        }
    });
    spend(bytes as u64 / 256);
}

/// Accounts for a context of the engine. Contexts are many and short-lived, so unlike values they are credited when they are
/// dropped.
#[inline]
pub(crate) fn hold_context() {
    FENCE.with(|fence| match fence.memory.get().checked_sub(CONTEXT) {
        Some(left) => fence.memory.set(left),
        None => {
            // The context is dropped by the caller's unwinding only if it exists, so nothing is taken for this one.
            abort(FenceLimit::Memory);
        }
    });
}

/// Credits a context that was dropped.
#[inline]
pub(crate) fn release_context() {
    FENCE.with(|fence| {
        let left = fence.memory.get();
        fence.memory.set(left.saturating_add(CONTEXT));
    });
}

/// Counts a recursive call that passes a filter on.
pub(crate) fn count_recursion() {
    FENCE.with(|fence| match fence.recursions.get().checked_sub(1) {
        Some(left) => fence.recursions.set(left),
        None => abort(FenceLimit::Stack),
    });
}

/// The address of the current stack frame.
#[inline(never)]
fn stack_address() -> usize {
    let marker = 0_u8;
    std::ptr::from_ref(&marker).addr()
}
