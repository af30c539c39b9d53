//! The threads of a pool, and sessions on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

use super::limits;
use crate::*;

fn pool(threads: usize) -> Arc<Pool> {
    Arc::new(Pool::new(PoolSettings {
        threads,
        ..PoolSettings::default()
    }))
}

fn document() -> Document {
    Document::from_json(br#"{"a": [1, 2], "key": "Jane"}"#).unwrap()
}

/// Runs `source` in a session of its own.
async fn run(pool: &Pool, source: &str, limits: Limits) -> Result<Vec<Value>, EvalError> {
    let program = Program::new(source, &Host::PLAIN);
    let ran = pool.run(1, move |worker| session(worker, &limits)?.run(&program));
    ran.await.unwrap()
}

fn session<'w>(worker: &'w Worker, limits: &Limits) -> Result<Session<'w>, EvalError> {
    let input = Input {
        document: &document(),
        variables: &[],
    };
    worker.open(&input, limits)
}

/// The name of the thread on which work is done.
async fn thread(pool: &Pool) -> std::thread::ThreadId {
    let id = pool.run(1, |_| std::thread::current().id());
    id.await.unwrap()
}

#[tokio::test]
async fn thread_survives_every_ending_of_a_program() {
    end_in_every_way(&pool(1)).await;
}

#[test]
fn program_thread_survives_every_ending_of_a_program() {
    let main = || {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(async {
            let pool = pool(1);
            end_in_every_way(&pool).await;
            assert_eq!(thread(&pool).await, std::thread::current().id());
            // Compiled on this thread, and on one of its own.
            for depth in [1_300, 10_000] {
                let nested = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
                let result = run(&pool, &nested, limits()).await;
                assert!(result.is_err(), "{result:?}");
            }
        });
    };
    on_program_thread(main).unwrap();
}

#[test]
fn panic_on_program_thread_continues_in_caller() {
    let panicking = std::panic::catch_unwind(|| on_program_thread(|| panic!("a defect")));
    assert_eq!(
        *panicking.unwrap_err().downcast_ref::<&str>().unwrap(),
        "a defect"
    );
}

/// Runs programs that end in different ways. All of them run on the same thread.
async fn end_in_every_way(pool: &Pool) {
    let first = thread(pool).await;
    let short = Limits {
        time: Duration::from_millis(20),
        steps: u64::MAX,
        ..limits()
    };
    for source in [
        "def f: f; f",
        "def f: 1 + f; f",
        "def f(g): f(g | g); f(.)",
        "[limit(1e9; repeat(1))]",
        "reduce range(1e9) as $i (\"ab\"; . + .)",
        "[.] | until(false; [.])",
        "range(1e9)",
        ".key.b",
        "error({code: .key})",
        ".a | map(error) ",
        "((",
        "nan",
        "try error(\"x\") catch .",
    ] {
        for limits in [limits(), short] {
            let alone = Program::new(source, &Host::PLAIN).run_blocking(
                &Input {
                    document: &document(),
                    variables: &[],
                },
                &limits,
            );
            let pooled = run(pool, source, limits).await;
            if limits != short {
                assert_eq!(pooled, alone, "{source}");
            }
            // No state of a run reaches the next one: values in messages are redacted in some runs only.
            let next = run(pool, "[.a[] + 1], (try (.key | .b) catch .)", limits).await;
            let message = "cannot index \"Jane\" with \"b\"";
            assert_eq!(next, Ok(vec![json!([2, 3]), json!(message)]), "{source}");
        }
    }
    assert_eq!(thread(pool).await, first);
}

#[tokio::test]
async fn panic_continues_in_caller_and_keeps_thread() {
    let pool = pool(1);
    let first = thread(&pool).await;
    let panicking = {
        let pool = pool.clone();
        tokio::spawn(async move { pool.run(1, |_| panic!("a defect")).await })
    };
    assert!(panicking.await.unwrap_err().is_panic());
    assert_eq!(thread(&pool).await, first);
}

#[tokio::test]
async fn session_reads_input_once_for_all_programs() {
    let items: Vec<u32> = (0..2_000).collect();
    let document = Document::from_value(&json!(items));
    // The input costs more steps than one program may take after it.
    let limits = Limits {
        steps: 3_000,
        memory_bytes: 400_000,
        ..limits()
    };
    let pool = pool(1);
    let results = pool.run(1, move |worker| {
        let input = Input {
            document: &document,
            variables: &[],
        };
        let session = worker.open(&input, &limits)?;
        let program = Program::new("length", &Host::PLAIN);
        let results: Result<Vec<_>, _> = (0..100).map(|_| session.run(&program)).collect();
        results
    });
    let results = results.await.unwrap().unwrap();
    assert_eq!(results, vec![vec![json!(2_000)]; 100]);
}

#[tokio::test]
async fn programs_of_session_share_processor_time() {
    let limits = Limits {
        time: Duration::from_millis(100),
        steps: u64::MAX,
        memory_bytes: usize::MAX,
        ..limits()
    };
    let pool = pool(1);
    let results = pool.run(1, move |worker| {
        let session = session(worker, &limits).unwrap();
        let endless = Program::new("last(range(1e18))", &Host::PLAIN);
        let short = Program::new(".a[0]", &Host::PLAIN);
        [
            session.run(&short),
            session.run(&endless),
            session.run(&short),
        ]
    });
    let timed_out = Err(EvalError::TimedOut { limit: limits.time });
    let expected = [Ok(vec![json!(1)]), timed_out.clone(), timed_out];
    assert_eq!(results.await.unwrap(), expected);
}

#[tokio::test]
async fn waiting_thread_uses_no_time_of_its_programs() {
    let limits = Limits {
        time: Duration::from_millis(100),
        ..limits()
    };
    let pool = pool(1);
    let result = pool.run(1, move |worker| {
        let session = session(worker, &limits).unwrap();
        let (sender, receiver) = mpsc::channel::<()>();
        // As a thread that gets no processor: much time passes, and none of it is its own.
        let waited = receiver.recv_timeout(Duration::from_millis(400));
        drop(sender);
        assert!(waited.is_err());
        session.run(&Program::new("[range(2000)] | length", &Host::PLAIN))
    });
    assert_eq!(result.await.unwrap(), Ok(vec![json!(2_000)]));
}

#[tokio::test]
async fn passed_wall_clock_is_no_fault_of_program() {
    let pool = Pool::new(PoolSettings {
        threads: 1,
        time: Duration::from_millis(200),
        ..PoolSettings::default()
    });
    let limits = Limits {
        steps: u64::MAX,
        memory_bytes: usize::MAX,
        ..limits()
    };
    let result = run(&pool, "last(range(1e18))", limits).await;
    assert_eq!(result, Err(EvalError::Unavailable(Overload::TookTooLong)));
}

/// Holds a thread of `pool` until the sender is dropped. Returns once the work has begun.
async fn hold(pool: &Arc<Pool>) -> mpsc::Sender<()> {
    loop {
        let (sender, receiver) = mpsc::channel::<()>();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let pool = pool.clone();
        tokio::spawn(async move {
            let work = move |_: &Worker| {
                begun.send(()).unwrap_or_default();
                receiver.recv()
            };
            drop(pool.run(1, work).await);
        });
        if has_begun.await.is_ok() {
            return sender;
        }
    }
}

#[tokio::test]
async fn full_queue_refuses_work() {
    let pool = Arc::new(Pool::new(PoolSettings {
        threads: 1,
        waiting_bytes: 100,
        ..PoolSettings::default()
    }));
    let held = hold(&pool).await;
    // More than the queue may hold waits if it waits alone.
    let first = pool.run(150, |_| 1);
    let mut first = std::pin::pin!(first);
    assert!(poll_once(first.as_mut()).is_none());
    assert_eq!(pool.run(1, |_| 2).await, Err(Overload::QueueFull));
    drop(held);
    assert_eq!(first.await, Ok(1));
    assert_eq!(pool.run(1, |_| 3).await, Ok(3));
}

/// The output of a future, if it has one now.
fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test]
async fn work_of_cancelled_caller_is_not_begun() {
    let pool = pool(1);
    let held = hold(&pool).await;
    let begun = Arc::new(AtomicUsize::new(0));
    for _ in 0..3 {
        let begun = begun.clone();
        let waiting = pool.run(1, move |_| begun.fetch_add(1, Ordering::Relaxed));
        let mut waiting = Box::pin(waiting);
        assert!(poll_once(waiting.as_mut()).is_none());
    }
    drop(held);
    assert_eq!(pool.run(1, |_| 7).await, Ok(7));
    assert_eq!(begun.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn work_beyond_its_time_in_queue_is_not_begun() {
    let pool = Arc::new(Pool::new(PoolSettings {
        threads: 1,
        time: Duration::from_millis(50),
        ..PoolSettings::default()
    }));
    let held = hold(&pool).await;
    let late = pool.run(1, |_| panic!("must not begin")).await;
    assert_eq!(late, Err::<(), _>(Overload::TookTooLong));
    drop(held);
}

#[tokio::test]
async fn thread_that_does_not_end_is_replaced() {
    let pool = Arc::new(Pool::new(PoolSettings {
        threads: 2,
        time: Duration::from_millis(10),
        ..PoolSettings::default()
    }));
    let held = [hold(&pool).await, hold(&pool).await];
    // Both are overdue once the grace is over; then further work gets new threads.
    let mut answered = None;
    while answered.is_none() {
        answered = pool.run(1, |_| 1).await.ok();
    }
    assert_eq!(answered, Some(1));
    // Those are held, too. No more threads are replaced, so that their number is bounded.
    let more = [hold(&pool).await, hold(&pool).await];
    let late = pool.run(1, |_| 1).await;
    assert_eq!(late, Err(Overload::TookTooLong));
    drop(held);
    drop(more);
    let mut answered = None;
    while answered.is_none() {
        answered = pool.run(1, |_| 1).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_callers_are_served_by_few_threads() {
    let pool = pool(3);
    let ids = Arc::new(std::sync::Mutex::new(std::collections::HashSet::new()));
    let callers: Vec<_> = (0..500)
        .map(|number| {
            let (pool, ids) = (pool.clone(), ids.clone());
            tokio::spawn(async move {
                let program = Program::new(format!(".a[0] + {number}"), &Host::PLAIN);
                let work = move |worker: &Worker| {
                    ids.lock().unwrap().insert(std::thread::current().id());
                    session(worker, &limits())?.run(&program)
                };
                pool.run(1, work).await.unwrap()
            })
        })
        .collect();
    for (number, caller) in callers.into_iter().enumerate() {
        assert_eq!(caller.await.unwrap(), Ok(vec![json!(number + 1)]));
    }
    assert!(ids.lock().unwrap().len() <= 3);
}

#[test]
fn settings_follow_available_memory() {
    let default = PoolSettings::default();
    let of = |megabytes: usize| PoolSettings::for_memory(megabytes << 20);
    assert_eq!((of(128).threads, of(128).memory_bytes), (1, 64 << 20));
    assert_eq!(of(128).waiting_bytes, 16 << 20);
    assert_eq!((of(256).threads, of(256).memory_bytes), (2, 64 << 20));
    assert_eq!(of(1 << 20), default);
    for megabytes in [0, 16, 64, 128, 192, 256, 512, 1_024, 4_096] {
        let settings = of(megabytes);
        assert!(settings.threads >= 1);
        let bytes = settings.threads * settings.memory_bytes;
        assert!(bytes <= megabytes << 19, "{settings:?}");
    }
}
