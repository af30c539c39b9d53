//! Measures how many unique deliveries a second `masshook serve` accepts over 64 connections while its engine drives their
//! jobs, beside single commits of the same rows on the same disk.
//!
//! ```text
//! cargo run --release --example accept [SECONDS] [CONNECTIONS] [PER_SECOND] [FINISHED] [PROGRAM]
//! ```
//!
//! `PER_SECOND` limits the load, 0 does not. With `FINISHED` jobs in the store at the start, a server with an empty store
//! gets the same load in turns of two seconds, and the ratio is the median of all pairs of turns. `PROGRAM` is the `masshook` to
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
use rusqlite::Connection;

/// Records of the simulated Zoho.
const RECORDS: u64 = 20_000;

/// How long each kind of commits is measured.
const COMMITS_TIME: Duration = Duration::from_secs(3);

/// The time between two looks at the backlog.
const LOOK: Duration = Duration::from_millis(250);

/// How long one of two servers gets the load before it is the other's turn: what else the machine does slows both.
const TURN: Duration = Duration::from_secs(2);

/// The least rate over a filled store, as a share of the rate over an empty one.
const MIN_RATIO: f64 = 0.95;

/// Deliveries that a limited load leaves undone at most, in seconds of that load.
const MAX_BACKLOG: f64 = 3.0;

/// A few days from now, in milliseconds since 1970: when the jobs of a filled store expire.
const FAR: Duration = Duration::from_secs(20 * 24 * 3600);

/// The jobs that have not finished.
const UNFINISHED: &str = "SELECT count(*) FROM jobs WHERE due IS NOT NULL";

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

/// A server and the load that it gets.
struct Measured {
    world: Served,
    store: Connection,
    /// The accepted deliveries per second of each turn.
    rates: Vec<f64>,
    load: LoadResult,
    /// The time of the load, and until all its jobs had finished.
    whole: Duration,
    used: Processor,
    /// The largest number of unfinished jobs.
    backlog: u64,
    /// Jobs that were unfinished when the load ended, and how long they took.
    undone: u64,
    drained: Duration,
    sample: Option<SampleRows>,
}

#[tokio::main]
async fn main() -> ExitCode {
    if let Some(code) = bench::run_as_masshook().await {
        return code;
    }
    let arguments = Arguments::read();
    let receiver = LightReceiver::start();
    let mut measured = Measured::start(&arguments, arguments.finished, &receiver).await;
    let time = Duration::from_secs(arguments.seconds);
    let idle = bench::report::memory_mib(measured.world.pid(), "VmRSS");
    let mut reference = None;
    if arguments.finished == 0 {
        measured.turn(&arguments, time).await;
    } else {
        let mut empty = Measured::start(&arguments, 0, &receiver).await;
        for _ in 0..time.div_duration_f64(TURN).ceil() as u32 {
            empty.turn(&arguments, TURN).await;
            measured.turn(&arguments, TURN).await;
        }
        reference = Some(empty);
    }
    let (connections, seconds) = (arguments.connections, arguments.seconds);
    let title = format!("{connections} connections, {seconds} s, unique deliveries");
    let mut report = BenchmarkReport::new(&title);
    measured.report(&mut report, &arguments);
    let mut accepted = measured.load.accepted.len();
    if let Some(empty) = &reference {
        report_ratio(&mut report, &arguments, &measured, empty);
        accepted += empty.load.accepted.len();
    }
    let callbacks = receiver.received();
    report.requirement(
        "callbacks",
        callbacks,
        "one for each",
        callbacks == accepted as u64,
    );
    measured.report_memory(&mut report, idle);
    report_due(&report, "query for due jobs", &measured.store);
    if let Some(empty) = &reference {
        report_due(&report, "query for due jobs, empty store", &empty.store);
    }
    report.exit_code()
}

impl Measured {
    /// Starts a server over a store with so many finished jobs.
    async fn start(arguments: &Arguments, finished: u64, receiver: &LightReceiver) -> Self {
        let world = start(arguments, finished, receiver).await;
        Self {
            store: database::open(&store(&world)),
            world,
            rates: Vec::new(),
            load: LoadResult::default(),
            whole: Duration::ZERO,
            used: Processor::default(),
            backlog: 0,
            undone: 0,
            drained: Duration::ZERO,
            sample: None,
        }
    }

    /// Sends load for a time, and waits until its jobs have finished.
    async fn turn(&mut self, arguments: &Arguments, time: Duration) {
        let begun = Instant::now();
        let before = Processor::now(&self.world);
        let load = self.run_load(arguments, time).await;
        self.rates.push(load.rate());
        self.load.add(load);
        self.undone = self.unfinished();
        self.drained = self.drain().await;
        self.used.add(&Processor::now(&self.world), &before);
        self.whole += begun.elapsed();
    }

    /// Sends the load and observes the store meanwhile.
    async fn run_load(&mut self, arguments: &Arguments, time: Duration) -> LoadResult {
        let first: u64 = self.world.id("Leads", 0).parse().expect("an id");
        let address = self.world.url("").replace("http://", "");
        let turn = self.rates.len();
        let load = load::run(
            &address,
            arguments.connections,
            time,
            arguments.rate,
            move |number| {
                // The last few records of a module cannot be updated.
                let id = first + number % (RECORDS - 20);
                form(&format!("{turn}-{number}"), &[id.to_string()]).to_string()
            },
        );
        let mut load = std::pin::pin!(load);
        loop {
            tokio::select! {
                result = &mut load => return result,
                () = tokio::time::sleep(LOOK) => {}
            }
            self.backlog = self.backlog.max(self.unfinished());
            if self.sample.is_none() {
                self.sample = SampleRows::of(&self.store);
            }
        }
    }

    fn unfinished(&self) -> u64 {
        database::number(&self.store, UNFINISHED)
    }

    /// Waits until every job has finished and its callback is delivered.
    async fn drain(&self) -> Duration {
        let start = Instant::now();
        while self.unfinished() > 0 {
            assert!(
                start.elapsed() < Duration::from_secs(600),
                "{}",
                self.world.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        start.elapsed()
    }

    fn report(&self, report: &mut BenchmarkReport, arguments: &Arguments) {
        match arguments.rate {
            None => report_full_load(report, self),
            Some(rate) => report_limited_load(report, self, rate),
        }
        for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
            report.result(name, format!("{:.1?}", self.load.percentile(share)));
        }
        report.result("answered with 503 and Retry-After", self.load.refused);
        let failed = self.load.failed;
        report.requirement("other answers", failed, "0", failed == 0);
        report.result("unfinished at the end of the load", self.undone);
        report.result("most unfinished jobs", self.backlog);
        report.result(
            "all finished after another",
            format!("{:.1?}", self.drained),
        );
        let accepted = self.load.accepted.len();
        if arguments.rate.is_none() {
            let done = accepted as f64 / self.whole.as_secs_f64();
            report.requirement(
                "done/s, with callbacks",
                format!("{done:.0}"),
                "3000",
                done >= 3_000.0,
            );
        }
        self.used.report(report, accepted);
    }

    fn report_memory(&self, report: &mut BenchmarkReport, idle: f64) {
        let after = bench::report::memory_mib(self.world.pid(), "VmRSS");
        report.result(
            "memory idle / after the drain",
            format!("{idle:.0} / {after:.0} MiB"),
        );
        let peak = bench::report::memory_mib(self.world.pid(), "VmHWM");
        report.requirement(
            "peak memory",
            format!("{peak:.0} MiB"),
            "64 MiB",
            peak <= 64.0,
        );
    }
}

/// Starts the server, over a store with finished jobs if that is asked for.
async fn start(arguments: &Arguments, finished: u64, receiver: &LightReceiver) -> Served {
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
    if finished > 0 {
        world.signal("TERM");
        world.wait_for_exit().await;
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a time");
        let ended = u64::try_from((now + FAR).as_millis()).expect("a moment");
        database::fill(&store(&world), finished, ended);
        world.start(&[]).await;
    }
    world
}

fn store(world: &Served) -> PathBuf {
    world.data().join("masshook.db")
}

fn report_full_load(report: &mut BenchmarkReport, measured: &Measured) {
    let rate = measured.load.rate();
    report.requirement("accepted/s", format!("{rate:.0}"), "5000", rate >= 5_000.0);
    let Some(sample) = &measured.sample else {
        return report.requirement("rows of a delivery", "none seen", "some", false);
    };
    let file = |name: &str| measured.world.data().join(name);
    let commits = sample.commits_per_second(&measured.store, &file("commits.db"), COMMITS_TIME);
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

fn report_limited_load(report: &mut BenchmarkReport, measured: &Measured, rate: f64) {
    let accepted = measured.load.rate();
    let is_kept = accepted >= rate * 0.99;
    report.requirement(
        "accepted/s",
        format!("{accepted:.0}"),
        &format!("{rate:.0}"),
        is_kept,
    );
    let backlog = measured.backlog as f64 / rate;
    let text = format!("{backlog:.2} s");
    report.requirement(
        "largest backlog",
        text,
        "3 s of this load",
        backlog <= MAX_BACKLOG,
    );
}

/// The load over a filled store beside that over an empty one.
fn report_ratio(
    report: &mut BenchmarkReport,
    arguments: &Arguments,
    filled: &Measured,
    empty: &Measured,
) {
    let failed = empty.load.failed;
    report.requirement("other answers, empty store", failed, "0", failed == 0);
    report.result(
        "accepted/s, empty store",
        format!("{:.0}", empty.load.rate()),
    );
    for (name, share) in [("p50, empty store", 0.5), ("p99, empty store", 0.99)] {
        report.result(name, format!("{:.1?}", empty.load.percentile(share)));
    }
    empty.used.report(report, empty.load.accepted.len());
    let pairs = filled.rates.iter().zip(&empty.rates);
    let ratio = bench::report::median(pairs.map(|(filled, empty)| filled / empty));
    report.requirement(
        &format!("{} finished jobs / none", arguments.finished),
        format!("{ratio:.2}"),
        &MIN_RATIO.to_string(),
        ratio >= MIN_RATIO,
    );
}

/// The time of the query for due jobs, over the store as it is now.
fn report_due(report: &BenchmarkReport, name: &str, store: &Connection) {
    let query =
        "SELECT id FROM jobs WHERE due <= ?1 AND leased_until <= ?1 ORDER BY due, id LIMIT 1000";
    let mut query = store.prepare(query).expect("prepared");
    let (start, times) = (Instant::now(), 1_000);
    for _ in 0..times {
        let mut rows = query.query([i64::MAX]).expect("queried");
        while rows.next().expect("a row").is_some() {}
    }
    report.result(name, format!("{:.1?}", start.elapsed() / times));
}

/// Processor time of the parts of the benchmark.
#[derive(Default)]
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

    /// Adds the time from `before` to `now`.
    fn add(&mut self, now: &Self, before: &Self) {
        self.server += now.server.saturating_sub(before.server);
        self.receiver += now.receiver.saturating_sub(before.receiver);
        self.rest += now.rest.saturating_sub(before.rest);
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
