//! Measures a start of `masshook serve` over a database with a million expired jobs: the first answer, the answers while
//! they are deleted, and the size of the write-ahead log.
//!
//! ```text
//! cargo run --release --example expired [JOBS] [SECONDS]
//! ```
#![allow(clippy::print_stdout, reason = "a benchmark prints its results")]

#[path = "support/bench.rs"]
mod bench;
#[path = "support/database.rs"]
mod database;
#[path = "support/load.rs"]
mod load;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use bench::builder::Harness;
use bench::served::form;

#[tokio::main]
async fn main() -> ExitCode {
    if let Some(code) = bench::run_as_masshook().await {
        return code;
    }
    let number = |place, default| {
        let given = std::env::args().nth(place);
        given.map_or(default, |given| given.parse::<u64>().expect("a number"))
    };
    let (jobs, seconds) = (number(1, 1_000_000), number(2, 20));
    let mut world = Harness::new().served().start().await;
    world.signal("TERM");
    world.wait_for_exit().await;
    let path = world.data().join("masshook.db");
    fill(&path, jobs);
    let mut report =
        bench::report::BenchmarkReport::new(&format!("start over {jobs} expired jobs"));

    let id = world.id("Leads", 0);
    let start = Instant::now();
    world.start(&[]).await;
    world
        .submit(&form("first", std::slice::from_ref(&id)))
        .await;
    let first = start.elapsed();
    report.requirement(
        "first delivery accepted after",
        format!("{first:.2?}"),
        "2 s",
        first < Duration::from_secs(2),
    );
    let address = world.url("").replace("http://", "");
    let log = path.with_file_name("masshook.db-wal");
    let mut largest = 0;
    let mut load = load::LoadResult::default();
    for second in 0..seconds {
        let id = id.clone();
        let part = load::run(
            &address,
            4,
            Duration::from_secs(1),
            Some(50.0),
            move |number| {
                let event = format!("{second}-{number}");
                form(&event, std::slice::from_ref(&id)).to_string()
            },
        )
        .await;
        load.add(part);
        largest = largest.max(std::fs::metadata(&log).map_or(0, |log| log.len()));
    }
    let slowest = load.percentile(1.0);
    report.result("accepted", load.accepted.len());
    report.requirement(
        "refused or failed",
        load.refused + load.failed,
        "0",
        load.refused + load.failed == 0,
    );
    report.requirement(
        "p99 while rows are deleted",
        format!("{:.1?}", load.percentile(0.99)),
        "1 s",
        load.percentile(0.99) < Duration::from_secs(1),
    );
    report.result("slowest", format!("{slowest:.1?}"));
    let mib = largest / (1024 * 1024);
    report.requirement(
        "largest write-ahead log",
        format!("{mib} MiB"),
        "64 MiB",
        mib <= 64,
    );
    let query = "SELECT count(*) FROM jobs WHERE ended < 10000000000";
    let left = database::number(&database::open(&path), query);
    report.requirement("expired jobs left", left, "fewer than before", left < jobs);
    report.exit_code()
}

/// Fills the store with jobs that expired long ago, and a dead letter for every tenth.
fn fill(path: &std::path::Path, jobs: u64) {
    database::fill(path, jobs, 1_000);
    database::open(path)
        .execute_batch(
            "INSERT INTO deliveries (id, route, at, code, reason, dead_since, envelope, body, ended)
             SELECT 'dlv_' || id, 'form', 1, 'not_mappable', 'r', 1, '{}', x'7b7d', ended FROM jobs
             WHERE ended IS NOT NULL AND rowid % 10 = 0;
             PRAGMA wal_checkpoint(TRUNCATE);",
        )
        .expect("filled");
}
