//! The limits around a running program.
//!
//! Every step of the interpreter and every operation on a value passes through [`spend`] or [`allocate`]. When a limit is
//! reached, the whole evaluation is unwound from there. jq's `try`, `//` and `?` cannot catch that, because it is not a jq
//! error.
//!
//! The state is thread-local: every evaluation has a thread of its own, with a stack of known size.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

/// How deep values may be nested. A function that walks a value may therefore recurse.
pub(crate) const MAX_DEPTH: u32 = 200;

/// How many steps away from its origin a value may be, as in `.[1:] | .[1:] | …`. The engine keeps such paths in linked
/// lists that are dropped recursively, so their length is bounded.
pub(crate) const MAX_PATH_LEN: u32 = 50_000;

/// How often recursive definitions may pass a filter on to themselves. The engine chains these filters and drops the chain
/// recursively.
const MAX_FILTER_RECURSION: u32 = 20_000;

/// Stack kept free beyond the limit, for dropping values.
const STACK_RESERVE: usize = 64 << 20;

/// Steps between two reads of the clock.
const CLOCK_INTERVAL: u64 = 512;

/// The limit that ended an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FenceLimit {
    Time,
    Steps,
    Memory,
    Stack,
    Depth,
}

/// Limits of one evaluation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quotas {
    pub(crate) time: Duration,
    pub(crate) steps: u64,
    pub(crate) memory: usize,
    pub(crate) stack: usize,
}

/// The unused quotas of this thread's evaluation.
struct Fence {
    steps: Cell<u64>,
    until_clock: Cell<u64>,
    deadline: Cell<Option<Instant>>,
    memory: Cell<usize>,
    recursions: Cell<u32>,
    stack: Cell<usize>,
    stack_base: Cell<usize>,
}

thread_local! {
    // Without an evaluation nothing is limited.
    static FENCE: Fence = const {
        Fence {
            steps: Cell::new(u64::MAX),
            until_clock: Cell::new(u64::MAX),
            deadline: Cell::new(None),
            memory: Cell::new(usize::MAX),
            recursions: Cell::new(u32::MAX),
            stack: Cell::new(usize::MAX),
            stack_base: Cell::new(0),
        }
    };
}

/// How an evaluation ended.
pub(crate) enum Outcome<T> {
    /// It returned.
    Finished(T),
    /// It reached a limit.
    LimitReached(FenceLimit),
    /// The engine panicked, with this message.
    Panicked(String),
}

/// Runs `work` within `quotas` on a thread of its own and passes the outcome to `done`. The thread ends soon after the
/// deadline at the latest.
///
/// # Errors
/// If the system provides no thread.
pub(crate) fn spawn<T: 'static>(
    quotas: Quotas,
    work: impl FnOnce() -> T + Send + 'static,
    done: impl FnOnce(Outcome<T>) + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let deadline = Instant::now().checked_add(quotas.time);
    std::thread::Builder::new()
        .name("jq".to_owned())
        .stack_size(quotas.stack.saturating_add(STACK_RESERVE))
        .spawn(move || {
            FENCE.with(|fence| {
                fence.steps.set(quotas.steps);
                fence.until_clock.set(CLOCK_INTERVAL);
                fence.deadline.set(deadline);
                fence.memory.set(quotas.memory);
                fence.recursions.set(MAX_FILTER_RECURSION);
                fence.stack.set(quotas.stack);
                fence.stack_base.set(stack_address());
            });
            done(match catch_unwind(AssertUnwindSafe(work)) {
                Ok(value) => Outcome::Finished(value),
                Err(payload) => outcome_of_panic(payload),
            });
        })
}

fn outcome_of_panic<T>(payload: Box<dyn Any + Send>) -> Outcome<T> {
    let payload = match payload.downcast::<FenceLimit>() {
        Ok(limit) => return Outcome::LimitReached(*limit),
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
                check_deadline();
            }
        }
    });
}

/// Ends the evaluation if its time is over. For work that takes longer than its number of steps suggests.
pub(crate) fn check_deadline() {
    let deadline = FENCE.with(|fence| fence.deadline.get());
    if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
        abort(FenceLimit::Time);
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
