//! Measures how many unique deliveries a second `masshook serve` accepts over 64 connections while its engine drives their
//! jobs, beside single commits of the same rows on the same disk.
//!
//! ```text
//! cargo run --release --example accept [SECONDS] [CONNECTIONS] [PER_SECOND] [FINISHED] [PROGRAM]
//! ```
//!
//! `PER_SECOND` limits the load, 0 does not. `FINISHED` jobs are in the store at the start. `PROGRAM` is the `masshook` to
//! measure, instead of this build.
#![allow(clippy::print_stdout, reason = "a benchmark prints its results")]

#[path = "support/bench.rs"]
mod bench;
#[path = "support/database.rs"]
mod database;
#[path = "support/light_receiver.rs"]
mod light_receiver;
#[path = "support/load.rs"]
mod load;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bench::builder::Harness;
use bench::report::BenchmarkReport;
use bench::served::{Served, form};
use database::SampleRows;
use light_receiver::LightReceiver;
use load::LoadResult;

/// Records of the simulated Zoho.
const RECORDS: u64 = 20_000;

/// How long each kind of commits is measured.
const COMMITS_TIME: Duration = Duration::from_secs(3);

/// The time between two looks at the backlog.
const LOOK: Duration = Duration::from_millis(250);

/// Deliveries that a limited load leaves undone at most, in seconds of that load.
const MAX_BACKLOG: f64 = 3.0;

/// A few days from now, in milliseconds since 1970: when the jobs of a filled store expire.
const FAR: Duration = Duration::from_secs(20 * 24 * 3600);

struct Arguments {
    seconds: u64,
    connections: usize,
    /// Deliveries a second; none for as many as the server accepts.
    rate: Option<f64>,
    finished: u64,
    program: Option<PathBuf>,
}

impl Arguments {
    fn read() -> Self {
        let number = |place, default| {
            let given = std::env::args().nth(place);
            given.map_or(default, |given| given.parse::<u64>().expect("a number"))
        };
        Self {
            seconds: number(1, 10),
            connections: usize::try_from(number(2, 64)).expect("a number"),
            rate: Some(number(3, 0))
                .filter(|rate| *rate > 0)
                .map(|rate| rate as f64),
            finished: number(4, 0),
            program: std::env::args().nth(5).map(PathBuf::from),
        }
    }
}

/// What is observed while the load runs.
#[derive(Default)]
struct Observed {
    /// The largest number of unfinished jobs.
    backlog: u64,
    sample: Option<SampleRows>,
}

#[tokio::main]
async fn main() -> ExitCode {
    if let Some(code) = bench::run_as_masshook().await {
        return code;
    }
    let arguments = Arguments::read();
    let receiver = LightReceiver::start();
    let world = start(&arguments, &receiver).await;
    let Arguments {
        seconds,
        connections,
        ..
    } = arguments;
    let title = format!("{connections} connections, {seconds} s, unique deliveries");
    let mut report = BenchmarkReport::new(&title);
    let idle = bench::report::memory_mib(world.pid(), "VmRSS");
    let before = Processor::now(&world);
    let begun = Instant::now();
    let (load, observed) = run_load(&world, &arguments).await;
    let finished = number(&world, "count(*) FROM jobs WHERE finished_at IS NOT NULL");
    let finished = finished.saturating_sub(arguments.finished);
    let memory = bench::report::memory_mib(world.pid(), "VmHWM");
    let drained = drain(&world).await;
    let whole = begun.elapsed();
    let used = Processor::now(&world).since(&before);

    if arguments.finished > 0 {
        report.result("finished jobs at the start", arguments.finished);
    }
    match arguments.rate {
        None => report_full_load(&mut report, &world, &load, &observed),
        Some(rate) => report_limited_load(&mut report, &load, &observed, rate),
    }
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        report.result(name, format!("{:.1?}", load.percentile(share)));
    }
    report.result("answered with 503 and Retry-After", load.refused);
    report.requirement("other answers", load.failed, "0", load.failed == 0);
    let accepted = load.accepted.len();
    report.result(
        "finished at the end of the load",
        format!("{finished} of {accepted}"),
    );
    report.result("most unfinished jobs", observed.backlog);
    report.result("all finished after another", format!("{drained:.1?}"));
    let callbacks = receiver.received();
    report.requirement(
        "callbacks",
        callbacks,
        "one for each",
        callbacks == accepted as u64,
    );
    if arguments.rate.is_none() {
        let done = accepted as f64 / whole.as_secs_f64();
        report.requirement(
            "done/s, with callbacks",
            format!("{done:.0}"),
            "3000",
            done >= 3_000.0,
        );
    }
    used.report(&report, accepted);
    let after = bench::report::memory_mib(world.pid(), "VmRSS");
    report.result(
        "memory idle / after the drain",
        format!("{idle:.0} / {after:.0} MiB"),
    );
    report.requirement(
        "peak memory",
        format!("{memory:.0} MiB"),
        "64 MiB",
        memory <= 64.0,
    );
    report_due(&report, &world);
    report.exit_code()
}

/// Starts the server, over a store with finished jobs if that is asked for.
async fn start(arguments: &Arguments, receiver: &LightReceiver) -> Served {
    let callback = format!("    callback_url: {}", receiver.url());
    let harness = Harness::new()
        .simulator(|zoho| zoho.records = [("Leads".to_owned(), RECORDS)].into())
        .config(move |config| {
            let lines =
                config.lines().map(
                    |line| match line.trim_start().starts_with("callback_url:") {
                        true => callback.as_str(),
                        false => line,
                    },
                );
            lines.collect::<Vec<_>>().join("\n") + "\n"
        });
    let quiet = vec![("RUST_LOG".to_owned(), "warn".to_owned())];
    let mut served = harness.served().environment(quiet);
    if let Some(program) = &arguments.program {
        served = served.program(program);
    }
    let mut world = served.start().await;
    if arguments.finished > 0 {
        world.signal("TERM");
        world.wait_for_exit().await;
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a time");
        let ended = u64::try_from((now + FAR).as_millis()).expect("a moment");
        database::fill(&store(&world), arguments.finished, ended);
        world.start(&[]).await;
    }
    world
}

fn store(world: &Served) -> PathBuf {
    world.data().join("masshook.db")
}

/// The number that a query of the store returns.
fn number(world: &Served, query: &str) -> u64 {
    database::number(&database::open(&store(world)), &format!("SELECT {query}"))
}

/// Sends the load and observes the store meanwhile.
async fn run_load(world: &Served, arguments: &Arguments) -> (LoadResult, Observed) {
    let first: u64 = world.id("Leads", 0).parse().expect("an id");
    let address = world.url("").replace("http://", "");
    let time = Duration::from_secs(arguments.seconds);
    let load = load::run(
        &address,
        arguments.connections,
        time,
        arguments.rate,
        move |number| {
            // The last few records of a module cannot be updated.
            let id = first + number % (RECORDS - 20);
            form(&number.to_string(), &[id.to_string()]).to_string()
        },
    );
    let mut load = std::pin::pin!(load);
    let store = database::open(&store(world));
    let mut observed = Observed::default();
    loop {
        tokio::select! {
            result = &mut load => return (result, observed),
            () = tokio::time::sleep(LOOK) => {}
        }
        let unfinished =
            database::number(&store, "SELECT count(*) FROM jobs WHERE due IS NOT NULL");
        observed.backlog = observed.backlog.max(unfinished);
        if observed.sample.is_none() {
            observed.sample = SampleRows::of(&store);
        }
    }
}

/// Waits until every job has finished and its callback is delivered.
async fn drain(world: &Served) -> Duration {
    let store = database::open(&store(world));
    let start = Instant::now();
    while database::number(&store, "SELECT count(*) FROM jobs WHERE due IS NOT NULL") > 0 {
        assert!(
            start.elapsed() < Duration::from_secs(600),
            "{}",
            world.log()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    start.elapsed()
}

fn report_full_load(
    report: &mut BenchmarkReport,
    world: &Served,
    load: &LoadResult,
    observed: &Observed,
) {
    let rate = load.rate();
    report.requirement("accepted/s", format!("{rate:.0}"), "5000", rate >= 5_000.0);
    let Some(sample) = &observed.sample else {
        return report.requirement("rows of a delivery", "none seen", "some", false);
    };
    let original = database::open(&store(world));
    let file = |name: &str| world.data().join(name);
    let commits = sample.commits_per_second(&original, &file("commits.db"), COMMITS_TIME);
    let row = database::row_commits_per_second(&file("row.db"), sample.bytes(), COMMITS_TIME);
    report.result("single commits of the same rows/s", format!("{commits:.0}"));
    report.result("single commits of one plain row/s", format!("{row:.0}"));
    let ratio = rate / commits;
    report.requirement(
        "accepted / single commits",
        format!("{ratio:.2}"),
        "1.5",
        ratio >= 1.5,
    );
}

fn report_limited_load(
    report: &mut BenchmarkReport,
    load: &LoadResult,
    observed: &Observed,
    rate: f64,
) {
    let accepted = load.rate();
    let is_kept = accepted >= rate * 0.99;
    report.requirement(
        "accepted/s",
        format!("{accepted:.0}"),
        &format!("{rate:.0}"),
        is_kept,
    );
    let backlog = observed.backlog as f64 / rate;
    let text = format!("{backlog:.2} s");
    report.requirement(
        "largest backlog",
        text,
        "3 s of this load",
        backlog <= MAX_BACKLOG,
    );
}

/// The time of the query for due jobs, over the store as it is now.
fn report_due(report: &BenchmarkReport, world: &Served) {
    let store = database::open(&store(world));
    let query =
        "SELECT id FROM jobs WHERE due <= ?1 AND leased_until <= ?1 ORDER BY due, id LIMIT 1000";
    let mut query = store.prepare(query).expect("prepared");
    let (start, times) = (Instant::now(), 1_000);
    for _ in 0..times {
        let mut rows = query.query([i64::MAX]).expect("queried");
        while rows.next().expect("a row").is_some() {}
    }
    report.result(
        "query for due jobs",
        format!("{:.1?}", start.elapsed() / times),
    );
}

/// Processor time of the parts of the benchmark.
struct Processor {
    server: Duration,
    receiver: Duration,
    /// This process: the load, the receiver and the simulated Zoho.
    rest: Duration,
}

impl Processor {
    fn now(world: &Served) -> Self {
        Self {
            server: bench::report::processor_time(Path::new(&format!("/proc/{}", world.pid()))),
            receiver: bench::report::thread_time(light_receiver::THREAD),
            rest: bench::report::processor_time(Path::new("/proc/self")),
        }
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            server: self.server - before.server,
            receiver: self.receiver - before.receiver,
            rest: self.rest - before.rest,
        }
    }

    fn report(&self, report: &BenchmarkReport, deliveries: usize) {
        let each =
            |time: Duration| format!("{:.0} us", time.as_secs_f64() * 1e6 / deliveries as f64);
        report.result("processor time a delivery, server", each(self.server));
        let rest = self.rest.saturating_sub(self.receiver);
        report.result(
            "  receiver / load and simulator",
            format!("{} / {}", each(self.receiver), each(rest)),
        );
    }
}
