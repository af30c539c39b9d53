//! The fence around a running program. Every step of the interpreter and every operation on a value passes through
//! [`spend`] or [`allocate`]; when a limit is reached, the whole evaluation is unwound from there. jq's `try`, `//` and
//! `?` never see it, because it is not a jq error.
//!
//! The state is thread-local: an evaluation has a thread to itself, with a stack of known size.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

/// How deep values may be nested. Whatever walks a value may therefore recurse.
pub(super) const MAX_DEPTH: u32 = 200;

/// How many steps away from its origin a value may be, as in `.[1:] | .[1:] | …`. The engine keeps such ways in linked
/// lists that are dropped recursively, so their length is bounded.
pub(super) const MAX_HOPS: u32 = 50_000;

/// How often recursive definitions may hand a filter on to themselves; the engine chains these, and drops the chain
/// recursively.
const MAX_HANDED_ON: u32 = 20_000;

/// Stack kept free below the limit, for dropping what was built.
const STACK_RESERVE: usize = 64 << 20;

/// Steps between two looks at the clock.
const CLOCK_EVERY: u64 = 512;

/// Which limit ended an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    Time,
    Steps,
    Memory,
    Stack,
    Depth,
}

/// What an evaluation may use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    pub(super) time: Duration,
    pub(super) steps: u64,
    pub(super) memory: usize,
    pub(super) stack: usize,
}

struct Fence {
    steps: Cell<u64>,
    until_clock: Cell<u64>,
    deadline: Cell<Option<Instant>>,
    memory: Cell<usize>,
    handed_on: Cell<u32>,
    stack: Cell<usize>,
    base: Cell<usize>,
}

thread_local! {
    // Outside an evaluation nothing is limited.
    static FENCE: Fence = const {
        Fence {
            steps: Cell::new(u64::MAX),
            until_clock: Cell::new(u64::MAX),
            deadline: Cell::new(None),
            memory: Cell::new(usize::MAX),
            handed_on: Cell::new(u32::MAX),
            stack: Cell::new(usize::MAX),
            base: Cell::new(0),
        }
    };
}

/// How an evaluation came to its end.
pub(super) enum Ended<T> {
    /// By itself.
    Done(T),
    /// At a limit.
    Stopped(Stop),
    /// The engine panicked; with its message.
    Panicked(String),
}

/// Runs `work` within `allowance` on a thread of its own and passes what became of it to `done`. The thread ends soon
/// after the deadline at the latest.
///
/// # Errors
/// When the system gives no thread.
pub(super) fn spawn<T: 'static>(
    allowance: Allowance,
    work: impl FnOnce() -> T + Send + 'static,
    done: impl FnOnce(Ended<T>) + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let deadline = Instant::now().checked_add(allowance.time);
    std::thread::Builder::new()
        .name("mapping".to_owned())
        .stack_size(allowance.stack.saturating_add(STACK_RESERVE))
        .spawn(move || {
            FENCE.with(|fence| {
                fence.steps.set(allowance.steps);
                fence.until_clock.set(CLOCK_EVERY);
                fence.deadline.set(deadline);
                fence.memory.set(allowance.memory);
                fence.handed_on.set(MAX_HANDED_ON);
                fence.stack.set(allowance.stack);
                fence.base.set(address());
            });
            let ended = match catch_unwind(AssertUnwindSafe(work)) {
                Ok(value) => Ended::Done(value),
                Err(payload) => ended(payload),
            };
            done(ended);
        })
}

fn ended<T>(payload: Box<dyn Any + Send>) -> Ended<T> {
    let payload = match payload.downcast::<Stop>() {
        Ok(stop) => return Ended::Stopped(*stop),
        Err(payload) => payload,
    };
    let message = match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => payload
            .downcast::<&str>()
            .map_or_else(|_| "no message".to_owned(), |message| message.to_string()),
    };
    Ended::Panicked(message)
}

/// Ends the evaluation. Values that are being dropped while that goes on may come here again; a second unwinding would
/// abort the process, so they are let through.
pub(super) fn stop(stop: Stop) {
    if !std::thread::panicking() {
        resume_unwind(Box::new(stop));
    }
}

/// One step of the interpreter: costs a step and looks at the stack.
#[inline]
pub(super) fn step() {
    spend(1);
    FENCE.with(|fence| {
        if fence.base.get().abs_diff(address()) > fence.stack.get() {
            stop(Stop::Stack);
        }
    });
}

/// Costs `steps` steps, and looks at the clock now and then.
#[inline]
pub(super) fn spend(steps: u64) {
    FENCE.with(|fence| {
        let Some(left) = fence.steps.get().checked_sub(steps) else {
            fence.steps.set(0);
            return stop(Stop::Steps);
        };
        fence.steps.set(left);
        match fence.until_clock.get().checked_sub(steps) {
            Some(left) => fence.until_clock.set(left),
            None => {
                fence.until_clock.set(CLOCK_EVERY);
                look_at_clock();
            }
        }
    });
}

/// Ends the evaluation when its time is over; for work that takes longer than its steps tell.
pub(super) fn look_at_clock() {
    let deadline = FENCE.with(|fence| fence.deadline.get());
    if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
        stop(Stop::Time);
    }
}

/// Accounts for `bytes` bytes about to be allocated. What is freed is not given back: the sum of all allocations bounds
/// what can be alive at once.
pub(super) fn allocate(bytes: usize) {
    FENCE.with(|fence| match fence.memory.get().checked_sub(bytes) {
        Some(left) => fence.memory.set(left),
        None => {
            fence.memory.set(0);
            stop(Stop::Memory);
        }
    });
    spend(bytes as u64 / 256);
}

/// Counts a recursive call that hands a filter on.
pub(super) fn hand_on() {
    FENCE.with(|fence| match fence.handed_on.get().checked_sub(1) {
        Some(left) => fence.handed_on.set(left),
        None => stop(Stop::Stack),
    });
}

/// Where on the stack we are.
#[inline(never)]
fn address() -> usize {
    let marker = 0_u8;
    std::ptr::from_ref(&marker).addr()
}
