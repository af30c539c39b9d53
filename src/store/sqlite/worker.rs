//! The threads that work on a database file: one that writes, one that reads and one for lists. Requests that wait for the writer are
//! carried out in one transaction and answered together once it is committed, so that they share the wait for the disk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::maintenance::Maintenance;
use super::part_filters::PartFilters;
use super::schema::{self, refused};
use super::session::{OpenFile, RetentionTime, Session};
use super::store_error;
use crate::store::error::StoreError;
use crate::sync;

/// How long a request waits for the thread. A webhook's sender waits 10 to 30 s for the answer.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum requests that wait for a thread.
const MAX_WAITING: usize = 10_000;

/// Maximum requests of one transaction.
const MAX_BATCH: usize = 512;

/// No request is added to a transaction that has taken this long.
const BATCH_TIME: Duration = Duration::from_millis(20);

/// What a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Writes, in transactions of several requests.
    Write,
    /// Reads what is committed.
    Read,
}

/// A thread that works on the database file. It starts with the first request.
#[derive(Debug)]
pub(super) struct Worker {
    access: Access,
    path: PathBuf,
    time: Option<RetentionTime>,
    opened: Arc<OnceLock<OpenFile>>,
    filters: Arc<PartFilters>,
    waiting: Arc<AtomicUsize>,
    has_backlog: Arc<AtomicBool>,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    requests: Sender<Message>,
    thread: JoinHandle<()>,
}

enum Message {
    Request(Request),
    /// Maintenance is allowed: this process drives jobs.
    Maintain,
}

struct Request {
    task: Box<dyn Task>,
    since: Instant,
}

/// Work on the database, and its answer.
trait Task: Send {
    /// Does the work. It is done again if the transaction around it fails because of another task.
    fn run(&mut self, session: &Session) -> rusqlite::Result<()>;

    /// Sends the answer.
    fn answer(self: Box<Self>, done: Result<(), StoreError>);
}

struct Job<W, T> {
    work: W,
    result: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, W> Task for Job<W, T>
where
    T: Send,
    W: FnMut(&Session) -> rusqlite::Result<T> + Send,
{
    fn run(&mut self, session: &Session) -> rusqlite::Result<()> {
        self.result = Some((self.work)(session)?);
        Ok(())
    }

    fn answer(self: Box<Self>, done: Result<(), StoreError>) {
        let result = match done {
            Ok(()) => self.result.ok_or_else(thread_ended),
            Err(error) => Err(error),
        };
        // The caller may have gone.
        let _ = self.reply.send(result);
    }
}

impl Worker {
    /// A thread that is not started yet.
    pub(super) fn new(access: Access, path: PathBuf, time: Option<RetentionTime>) -> Self {
        Self {
            access,
            path,
            time,
            opened: Arc::default(),
            filters: Arc::default(),
            waiting: Arc::default(),
            has_backlog: Arc::default(),
            running: Mutex::default(),
        }
    }

    /// A thread that reads the same file. It is not started yet.
    pub(super) fn reader(&self) -> Self {
        let mut reader = Self::new(Access::Read, self.path.clone(), self.time.clone());
        reader.opened = self.opened.clone();
        reader.filters = self.filters.clone();
        reader
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether more jobs are due than this process drives in a few seconds.
    pub(super) fn has_backlog(&self) -> bool {
        self.has_backlog.load(Ordering::Relaxed)
    }

    /// Runs `work` on the thread. It may run several times; only the last run takes effect.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnMut(&Session) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        if self.waiting.load(Ordering::Relaxed) >= MAX_WAITING {
            return Err(too_many_requests());
        }
        let (reply, answer) = oneshot::channel();
        let task = Box::new(Job {
            work,
            result: None,
            reply,
        });
        let since = Instant::now();
        self.send(Message::Request(Request { task, since }))?;
        answer.await.map_err(|_| thread_ended())?
    }

    /// Allows maintenance, which the thread does between requests.
    pub(super) fn maintain(&self) {
        // An error means that the thread could not be started; the next request reports it.
        let _ = self.send(Message::Maintain);
    }

    fn send(&self, message: Message) -> Result<(), StoreError> {
        let mut running = sync::lock(&self.running);
        let thread = match running.take() {
            Some(thread) => running.insert(thread),
            None => running.insert(self.start()?),
        };
        if let Message::Request(_) = message {
            self.waiting.fetch_add(1, Ordering::Relaxed);
        }
        thread.requests.send(message).map_err(|_| thread_ended())
    }

    fn start(&self) -> Result<Running, StoreError> {
        let (requests, incoming) = channel();
        let database = Loop {
            access: self.access,
            path: self.path.clone(),
            time: self.time.clone(),
            opened: self.opened.clone(),
            filters: self.filters.clone(),
            waiting: self.waiting.clone(),
            incoming,
            session: None,
            maintenance: Maintenance::new(self.access, self.has_backlog.clone()),
        };
        let thread = std::thread::Builder::new()
            .name(format!("store-{:?}", self.access).to_lowercase())
            .spawn(move || database.run())
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Running { requests, thread })
    }
}

impl Drop for Worker {
    /// Waits until the thread has carried out what was sent to it and has closed the file.
    fn drop(&mut self) {
        if let Some(Running { requests, thread }) = sync::lock(&self.running).take() {
            drop(requests);
            let _ = thread.join();
        }
    }
}

/// The thread's side.
struct Loop {
    access: Access,
    path: PathBuf,
    time: Option<RetentionTime>,
    opened: Arc<OnceLock<OpenFile>>,
    filters: Arc<PartFilters>,
    waiting: Arc<AtomicUsize>,
    incoming: Receiver<Message>,
    session: Option<Session>,
    maintenance: Maintenance,
}

impl Loop {
    fn run(mut self) {
        loop {
            let wait = self.maintenance.next_step();
            let first = match wait {
                None => self
                    .incoming
                    .recv()
                    .map_err(|_| RecvTimeoutError::Disconnected),
                Some(wait) => self.incoming.recv_timeout(wait),
            };
            match first {
                Ok(Message::Request(first)) => self.serve(first),
                Ok(Message::Maintain) => self.maintenance.allow(),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.maintenance.is_due() {
                let session = self.session();
                self.maintenance.step(&session);
                self.session = session.ok();
            }
        }
        if let Some(session) = &self.session {
            self.maintenance.end(session);
        }
    }

    fn serve(&mut self, first: Request) {
        let session = match self.session() {
            Ok(session) => session,
            Err(error) => return self.refuse_all(first, &error),
        };
        match self.access {
            Access::Read => self.read(&session, first),
            Access::Write => match session
                .check_file()
                .and_then(|()| begin(&session, Access::Write))
            {
                Ok(()) => self.write(&session, first),
                Err(error) => self.refuse_all(first, &error),
            },
        }
        self.session = Some(session);
    }

    /// The open database.
    fn session(&mut self) -> rusqlite::Result<Session> {
        if let Some(session) = self.session.take() {
            return Ok(session);
        }
        let session = Session::in_file(
            &self.path,
            self.time.clone(),
            self.opened.clone(),
            self.filters.clone(),
        )?;
        if self.access == Access::Read {
            session.connection.pragma_update(None, "query_only", true)?;
        }
        Ok(session)
    }

    fn read(&self, session: &Session, request: Request) {
        if let Some(mut task) = self.accept(request) {
            // One transaction, so that all statements see the same moment.
            let begun = begin(session, Access::Read);
            let done = begun.and_then(|()| in_transaction(session, task.as_mut()));
            task.answer(done.map_err(|error| store_error(&error)));
        }
    }

    /// Carries out a request and those that wait behind it in the transaction that has begun.
    fn write(&self, session: &Session, first: Request) {
        let started = Instant::now();
        let mut batch = Vec::new();
        let mut next = Some(first);
        let mut done = Ok(());
        while let Some(request) = next.take() {
            if let Some(mut task) = self.accept(request) {
                done = run(session, task.as_mut());
                batch.push(task);
            }
            if done.is_ok() && batch.len() < MAX_BATCH && started.elapsed() < BATCH_TIME {
                next = self.next_request();
            }
        }
        match done.and_then(|()| end_transaction(session)) {
            Ok(()) => batch.into_iter().for_each(|task| task.answer(Ok(()))),
            Err(error) => retry(session, batch, error),
        }
    }

    /// The task of a request. A request that has waited too long is refused.
    fn accept(&self, request: Request) -> Option<Box<dyn Task>> {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        if request.since.elapsed() < QUEUE_TIMEOUT {
            return Some(request.task);
        }
        request.task.answer(Err(too_many_requests()));
        None
    }

    /// The next request, if one waits.
    fn next_request(&self) -> Option<Request> {
        loop {
            match self.incoming.try_recv() {
                Ok(Message::Request(request)) => return Some(request),
                Ok(Message::Maintain) => {}
                Err(_) => return None,
            }
        }
    }

    /// Refuses a request and all that wait behind it, so that none of them waits for the same timeout again. No
    /// request is answered before all are known: one that follows an answer may find the cause mended.
    fn refuse_all(&self, first: Request, error: &rusqlite::Error) {
        let behind = std::iter::from_fn(|| self.next_request());
        let refused: Vec<_> = std::iter::once(first).chain(behind).collect();
        self.waiting.fetch_sub(refused.len(), Ordering::Relaxed);
        for request in refused {
            request.task.answer(Err(store_error(error)));
        }
    }
}

/// Begins a transaction. Another program may have changed the tables.
pub(super) fn begin(session: &Session, access: Access) -> rusqlite::Result<()> {
    execute(
        session,
        match access {
            Access::Read => "BEGIN",
            Access::Write => "BEGIN IMMEDIATE",
        },
    )?;
    schema::check_version(&session.connection).or_else(|error| roll_back(session).and(Err(error)))
}

fn execute(session: &Session, statement: &str) -> rusqlite::Result<()> {
    session.connection.prepare_cached(statement)?.execute([])?;
    Ok(())
}

/// Runs a task. Its panic is its error, so that the thread goes on.
fn run(session: &Session, task: &mut dyn Task) -> rusqlite::Result<()> {
    let done = catch_unwind(AssertUnwindSafe(|| task.run(session)));
    done.unwrap_or_else(|_| Err(refused("a request ended abnormally".to_owned())))
}

/// Carries out tasks again whose transaction failed, each in a transaction of its own, so that the failure of one undoes
/// nothing of the others. Failures are rare, so tasks need no savepoints at first.
fn retry(session: &Session, batch: Vec<Box<dyn Task>>, error: rusqlite::Error) {
    let mut begun = roll_back(session);
    if begun.is_ok() && batch.len() == 1 {
        // It was alone, so the failure is its own.
        begun = Err(error);
    }
    for mut task in batch {
        // Once the file is locked, each further attempt would wait for the full busy timeout.
        begun = begun.and_then(|()| begin(session, Access::Write));
        let done = match &begun {
            Ok(()) => in_transaction(session, task.as_mut()).map_err(|error| store_error(&error)),
            Err(error) => Err(store_error(error)),
        };
        task.answer(done);
    }
}

/// Runs a task in the transaction that has begun, and ends it.
fn in_transaction(session: &Session, task: &mut dyn Task) -> rusqlite::Result<()> {
    match run(session, task) {
        Ok(()) => end_transaction(session),
        Err(error) => roll_back(session).and(Err(error)),
    }
}

/// Commits the transaction, or rolls it back if that is impossible.
pub(super) fn end_transaction(session: &Session) -> rusqlite::Result<()> {
    let committed = execute(session, "COMMIT");
    if committed.is_err() {
        roll_back(session)?;
    }
    committed
}

/// Rolls the transaction back, unless an error has done so.
pub(super) fn roll_back(session: &Session) -> rusqlite::Result<()> {
    session.job_index.forget_all();
    match session.connection.is_autocommit() {
        true => Ok(()),
        false => execute(session, "ROLLBACK"),
    }
}

fn too_many_requests() -> StoreError {
    StoreError::Unavailable("too many requests wait for the database".to_owned())
}

fn thread_ended() -> StoreError {
    StoreError::Failed("the database's thread has ended".to_owned())
}
