//! A bounded set of long-lived threads for programs, with a short queue.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::fence::STACK_RESERVE;
use crate::limits::Limits;
use crate::program_thread;
use crate::session::Worker;

/// How long after its deadline a thread may still work. A native operation can take a while between two looks at the clock.
const GRACE: Duration = match cfg!(test) {
    false => Duration::from_secs(1),
    true => Duration::from_millis(50),
};

/// Pieces of work that may wait, whatever their size.
const MAX_WAITING: usize = 4_096;

/// Size of a [`Pool`]. Its memory is bounded by `threads * memory_bytes + waiting_bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// Threads that run programs at the same time. Default: as many as the machine can run, 2 to 8.
    pub threads: usize,
    /// Bytes of memory for the input and the values of a program on one thread; a lower limit of the program itself counts.
    /// Default: 128 MiB.
    pub memory_bytes: usize,
    /// Bytes of the inputs that wait for a thread. Default: 64 MiB.
    pub waiting_bytes: usize,
    /// Wall-clock time of a piece of work, with its time in the queue. It is far longer than the processor time of its
    /// programs, and ends what a machine without processor time to spare does not get done. Default: 60 s.
    pub time: Duration,
}

/// Bytes that a thread needs to run any reasonable program over a large input.
const MEMORY_OF_THREAD: usize = 64 << 20;

impl PoolSettings {
    /// The settings for a machine or container with `memory` bytes, of which programs get at most half.
    pub fn for_memory(memory: usize) -> Self {
        let default = Self::default();
        let share = memory / 2;
        let threads = (share / MEMORY_OF_THREAD).clamp(1, default.threads);
        Self {
            threads,
            memory_bytes: (share / threads).min(default.memory_bytes),
            waiting_bytes: (memory / 8).min(default.waiting_bytes),
            ..default
        }
    }
}

impl Default for PoolSettings {
    fn default() -> Self {
        let parallelism = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            threads: parallelism.clamp(2, 8),
            memory_bytes: Limits::default().memory_bytes,
            waiting_bytes: 64 << 20,
            time: Duration::from_secs(60),
        }
    }
}

/// Why a piece of work was not done, or not completely. It can be done later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Overload {
    /// Too much work waits already.
    #[error("too many inputs wait for a thread")]
    QueueFull,
    /// The system provides no thread.
    #[error("the system provides no thread: {0}")]
    NoThread(String),
    /// The work was not done in time, because other programs use the processor.
    #[error("no processor time was available for too long")]
    TookTooLong,
}

/// A piece of work that waits for a thread.
struct Task {
    id: u64,
    bytes: usize,
    deadline: Instant,
    work: Box<dyn FnOnce(&Worker) + Send>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Task>,
    waiting_bytes: usize,
    /// The threads, each with the deadline of the work that it does.
    threads: BTreeMap<u64, Option<Instant>>,
    /// Threads that wait for work.
    idle: usize,
    /// Threads that did not end their work in time and have been replaced. Each ends with its work.
    replaced: usize,
    last_id: u64,
    closed: bool,
}

impl State {
    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn remove_task(&mut self, id: u64) -> Option<Task> {
        // Ids grow with the queue.
        let index = self.waiting.binary_search_by_key(&id, |task| task.id);
        let task = self.waiting.remove(index.ok()?)?;
        self.waiting_bytes -= task.bytes;
        Some(task)
    }

    /// Gives up threads whose work is overdue, so that others can be started. At most `limit` of them may be alive.
    fn give_up_overdue_threads(&mut self, now: Instant, limit: usize) {
        while self.replaced < limit {
            let is_overdue = |deadline: &Option<Instant>| {
                deadline.is_some_and(|deadline| now > deadline + GRACE)
            };
            let mut threads = self.threads.iter();
            let Some((id, _)) = threads.find(|(_, deadline)| is_overdue(deadline)) else {
                return;
            };
            let id = *id;
            self.threads.remove(&id);
            self.replaced += 1;
        }
    }
}

/// A bounded set of long-lived threads for programs. Threads are started when they are needed and kept. Dropping the pool
/// ends them.
pub struct Pool(Arc<Shared>);

struct Shared {
    settings: PoolSettings,
    state: Mutex<State>,
    has_work: Condvar,
}

impl fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Pool")
            .field("settings", &self.0.settings)
            .finish_non_exhaustive()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.0.state().closed = true;
        self.0.has_work.notify_all();
    }
}

/// Removes a task from the queue if its caller stops waiting.
struct Waiter<'a> {
    shared: &'a Shared,
    task: u64,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let task = self.shared.state().remove_task(self.task);
        // Dropped without the lock.
        drop(task);
    }
}

impl Pool {
    /// Creates a pool. No thread is started yet.
    pub fn new(settings: PoolSettings) -> Self {
        Self(Arc::new(Shared {
            settings,
            state: Mutex::default(),
            has_work: Condvar::new(),
        }))
    }

    /// Starts a thread if there is none, so that one exists when the system's threads run short. Without success, the first
    /// work tries again. A [program thread](crate::on_program_thread) needs none.
    pub fn start_first_thread(&self) {
        if program_thread::is_current() {
            return;
        }
        let mut state = self.0.state();
        if state.threads.is_empty() {
            drop(self.0.start_thread(&mut state));
        }
    }

    /// Calls `work` on a thread of the pool; the calling thread is not blocked. `bytes` is the size of the input that waits.
    /// A panic of `work` continues in the caller. Work whose caller stops waiting is not begun.
    ///
    /// On a [program thread](crate::on_program_thread), `work` is carried out at once and blocks that thread.
    ///
    /// # Errors
    /// [`Overload`]; the work can be tried again later.
    pub async fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce(&Worker) -> T + Send + 'static,
    ) -> Result<T, Overload> {
        if program_thread::is_current() {
            let deadline = Instant::now() + self.0.settings.time;
            return Ok(work(&self.0.worker(deadline)));
        }
        let (sender, receiver) = oneshot::channel::<Result<T, Box<dyn Any + Send>>>();
        let work = move |worker: &Worker| {
            let result = catch_unwind(AssertUnwindSafe(|| work(worker)));
            drop(sender.send(result));
        };
        let _waiter = self.0.enqueue(bytes, Box::new(work))?;
        let limit = self.0.settings.time + GRACE;
        match tokio::time::timeout(limit, receiver).await {
            Ok(Ok(Ok(value))) => Ok(value),
            Ok(Ok(Err(panic))) => resume_unwind(panic),
            // The task was dropped, because its time was over before it began.
            Ok(Err(_)) | Err(_) => Err(Overload::TookTooLong),
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // No critical section leaves the state half written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enqueue(
        self: &Arc<Self>,
        bytes: usize,
        work: Box<dyn FnOnce(&Worker) + Send>,
    ) -> Result<Waiter<'_>, Overload> {
        let now = Instant::now();
        let mut state = self.state();
        // An input that is larger than the queue may wait alone.
        let is_full = state.waiting_bytes.saturating_add(bytes) > self.settings.waiting_bytes;
        if (is_full && !state.waiting.is_empty()) || state.waiting.len() >= MAX_WAITING {
            return Err(Overload::QueueFull);
        }
        let id = state.next_id();
        state.waiting_bytes += bytes;
        state.waiting.push_back(Task {
            id,
            bytes,
            deadline: now + self.settings.time,
            work,
        });
        if state.waiting.len() > state.idle {
            state.give_up_overdue_threads(now, self.settings.threads);
            if state.threads.len() < self.settings.threads
                && let Err(error) = self.start_thread(&mut state)
                && state.threads.is_empty()
            {
                let task = state.remove_task(id);
                drop(state);
                drop(task);
                return Err(Overload::NoThread(error.to_string()));
            }
        }
        drop(state);
        self.has_work.notify_one();
        Ok(Waiter {
            shared: self,
            task: id,
        })
    }

    fn start_thread(self: &Arc<Self>, state: &mut State) -> std::io::Result<()> {
        let id = state.next_id();
        let shared = self.clone();
        std::thread::Builder::new()
            .name("jq".to_owned())
            .stack_size(Limits::default().stack_bytes + STACK_RESERVE)
            .spawn(move || shared.serve(id))?;
        state.threads.insert(id, None);
        Ok(())
    }

    /// Does the work of thread `id`.
    fn serve(&self, id: u64) {
        let mut state = self.state();
        loop {
            let Some(busy_until) = state.threads.get_mut(&id) else {
                // Another thread has taken this one's place.
                state.replaced -= 1;
                return;
            };
            *busy_until = None;
            if state.closed {
                return;
            }
            let Some(task) = state.waiting.pop_front() else {
                state.idle += 1;
                let woken = self.has_work.wait(state);
                state = woken.unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
                continue;
            };
            state.waiting_bytes -= task.bytes;
            state.threads.insert(id, Some(task.deadline));
            drop(state);
            self.carry_out(task);
            state = self.state();
        }
    }

    fn carry_out(&self, task: Task) {
        if Instant::now() < task.deadline {
            (task.work)(&self.worker(task.deadline));
        }
    }

    /// The current thread, for work that ends at `deadline`.
    fn worker(&self, deadline: Instant) -> Worker {
        let stack = Limits::default().stack_bytes;
        Worker::new(stack, self.settings.memory_bytes, Some(deadline))
    }
}
