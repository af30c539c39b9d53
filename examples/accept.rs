//! Measures how many unique deliveries a second `masshook serve` accepts over 64 connections while its engine drives their
//! jobs, beside plain commits of rows of the same size on the same disk.
//!
//! ```text
//! cargo run --release --example accept [SECONDS] [CONNECTIONS] [PER_SECOND] [PROGRAM]
//! ```
//!
//! `PER_SECOND` limits the load, 0 does not. `PROGRAM` is the `masshook` to measure, instead of this build.
#![allow(clippy::print_stdout, reason = "a benchmark prints its results")]

#[path = "support/bench.rs"]
mod bench;
#[path = "support/load.rs"]
mod load;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bench::builder::Harness;
use bench::served::{Served, form};
use rusqlite::Connection;

/// Records of the simulated Zoho.
const RECORDS: u64 = 20_000;

/// How long the plain commits are measured.
const COMMITS_TIME: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> ExitCode {
    if let Some(code) = bench::run_as_masshook().await {
        return code;
    }
    let number = |place| {
        let given = std::env::args().nth(place);
        given.map(|given| given.parse::<u64>().expect("a number"))
    };
    let (seconds, connections) = (number(1).unwrap_or(10), number(2).unwrap_or(64));
    let harness =
        Harness::new().simulator(|zoho| zoho.records = [("Leads".to_owned(), RECORDS)].into());
    let mut served = harness
        .served()
        .environment(vec![("RUST_LOG".to_owned(), "warn".to_owned())]);
    if let Some(program) = std::env::args().nth(4) {
        served = served.program(Path::new(&program));
    }
    let world = served.start().await;
    let title = format!("{connections} connections, {seconds} s, unique deliveries");
    let mut report = bench::report::BenchmarkReport::new(&title);

    let records: Vec<String> = (0..RECORDS - 20)
        .map(|place| world.id("Leads", place))
        .collect();
    let address = world.url("").replace("http://", "");
    let idle = bench::report::memory_mib(world.pid(), "VmRSS");
    let load = load::run(
        &address,
        usize::try_from(connections).expect("a number"),
        Duration::from_secs(seconds),
        number(3).filter(|rate| *rate > 0).map(|rate| rate as f64),
        move |number| {
            let id = &records[usize::try_from(number).expect("a number") % records.len()];
            form(&number.to_string(), std::slice::from_ref(id)).to_string()
        },
    )
    .await;
    let finished = count(&world, "finished_at IS NOT NULL");
    let memory = bench::report::memory_mib(world.pid(), "VmHWM");
    let accepted = load.accepted.len();
    let drained = drain(&world).await;
    let commits = commits_per_second(&world.data().join("commits.db"), &world.data());

    report.result("plain commits/s", format!("{commits:.0}"));
    let rate = load.rate();
    report.requirement("accepted/s", format!("{rate:.0}"), "5000", rate >= 5_000.0);
    let ratio = rate / commits;
    report.requirement(
        "accepted / plain commits",
        format!("{ratio:.2}"),
        "1.5",
        ratio >= 1.5,
    );
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        report.result(name, format!("{:.1?}", load.percentile(share)));
    }
    report.result("answered with 503", load.refused);
    report.requirement("other answers", load.failed, "0", load.failed == 0);
    report.result(
        "finished at the end of the load",
        format!("{finished} of {accepted}"),
    );
    report.result("all finished after another", format!("{drained:.1?}"));
    report.result(
        "memory idle / after the drain",
        format!(
            "{idle:.0} / {:.0} MiB",
            bench::report::memory_mib(world.pid(), "VmRSS")
        ),
    );
    report.requirement(
        "peak memory under load",
        format!("{memory:.0} MiB"),
        "64 MiB",
        memory <= 64.0,
    );
    report.exit_code()
}

/// The number of jobs that meet a condition.
fn count(world: &Served, condition: &str) -> u64 {
    let database = Connection::open(world.data().join("masshook.db")).expect("opened");
    database.busy_timeout(Duration::from_secs(10)).expect("set");
    let query = format!("SELECT count(*) FROM jobs WHERE {condition}");
    let count = database.query_row(&query, [], |row| row.get::<_, i64>(0));
    count.expect("a number").unsigned_abs()
}

/// Waits until every job has finished.
async fn drain(world: &Served) -> Duration {
    let start = Instant::now();
    while count(world, "due IS NOT NULL") > 0 {
        assert!(
            start.elapsed() < Duration::from_secs(600),
            "{}",
            world.log()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    start.elapsed()
}

/// Commits a second of one row each, as large as the rows of one job and its delivery, each on the disk before the next.
fn commits_per_second(path: &Path, data: &Path) -> f64 {
    let store = Connection::open(data.join("masshook.db")).expect("opened");
    let bytes: i64 = store
        .query_row(
            "SELECT avg(length(state) + length(stored)) FROM jobs JOIN requests USING (id) LIMIT 1",
            [],
            |row| row.get::<_, f64>(0).map(|bytes| bytes as i64),
        )
        .expect("the size of a job");
    let plain = Connection::open(path).expect("opened");
    plain
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE rows (id TEXT PRIMARY KEY, value TEXT NOT NULL);",
        )
        .expect("a table");
    let value = "x".repeat(usize::try_from(bytes).expect("a size"));
    let (start, mut commits) = (Instant::now(), 0_u32);
    while start.elapsed() < COMMITS_TIME {
        let id = format!("{:032x}", fastrand::u128(..));
        plain
            .prepare_cached("INSERT INTO rows VALUES (?1, ?2)")
            .and_then(|mut insert| insert.execute([&id, &value]))
            .expect("committed");
        commits += 1;
    }
    f64::from(commits) / start.elapsed().as_secs_f64()
}
