//! Measures one delivery of 50,000 records into `masshook serve`, with a Zoho that takes 200 ms for each call. A delivery of one
//! record goes before it.
//!
//! ```text
//! cargo run --release --example wide [PROGRAM]
//! ```
//!
//! `PROGRAM` is the `masshook` to measure, instead of this build.
#![allow(clippy::print_stdout, reason = "a benchmark prints its results")]

#[path = "support/bench.rs"]
mod bench;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use bench::builder::Harness;
use bench::served::{form, text};
use jiff::Timestamp;

const RECORDS: u64 = 50_000;
const LATENCY: Duration = Duration::from_millis(200);
const CONCURRENCY: u64 = 5;

#[tokio::main]
async fn main() -> ExitCode {
    if let Some(code) = bench::run_as_masshook().await {
        return code;
    }
    let concurrency = format!("max_concurrency: {CONCURRENCY}");
    let harness = Harness::new().connection(&concurrency).simulator(|zoho| {
        zoho.latency = LATENCY;
        // The last few records of a module cannot be updated.
        zoho.records = [("Leads".to_owned(), RECORDS + 10)].into();
    });
    let mut served = harness.served();
    if let Some(program) = std::env::args_os().nth(1) {
        served = served.program(Path::new(&program));
    }
    let mut world = served.prepare().await;
    world.start(&[]).await;
    let idle = bench::report::memory_mib(world.pid(), "VmHWM");
    // So that the server has a token and knows the fields, which it reads from Zoho every ten minutes.
    world.submit(&form("first", &[world.id("Leads", 0)])).await;
    world.receiver.wait_for(1).await;
    let ids: Vec<String> = (0..RECORDS).map(|place| world.id("Leads", place)).collect();
    let job = world.submit(&form("wide", &ids)).await;
    // Wait for the callback instead of polling: serializing 50,000 records for each poll would distort the result.
    world.receiver.wait_for(2).await;
    let job = world.wait_for_job(&job[0]).await;
    let peak = bench::report::memory_mib(world.pid(), "VmHWM");

    let moment = |name: &str| -> Timestamp { text(&job[name]).parse().expect("a moment") };
    let taken = moment("finished_at").duration_since(moment("created_at"));
    let ideal = (RECORDS / 500).div_ceil(CONCURRENCY) as f64 * LATENCY.as_secs_f64();
    let ratio = taken.as_secs_f64() / ideal;
    let mut report =
        bench::report::BenchmarkReport::new("50,000 records, one field, 200 ms a call");
    let updated = job["counts"]["updated"].as_u64().unwrap_or_default();
    report.requirement("records updated", updated, "50000", updated == RECORDS);
    let posts = world.count("mass_update_post").await - 1;
    report.requirement("mass updates", posts, "exactly 100", posts == 100);
    let most = world.count("max_in_flight").await;
    report.requirement(
        "concurrent calls",
        most,
        "max_concurrency, 5",
        most == CONCURRENCY,
    );
    report.result(
        "from acceptance to completion",
        format!("{:.2} s", taken.as_secs_f64()),
    );
    report.result("ideal", format!("{ideal:.2} s"));
    report.requirement(
        "ratio",
        format!("{ratio:.3}"),
        "at most 1.08",
        ratio <= 1.08,
    );
    report.result("memory when idle (VmHWM)", format!("{idle:.1} MiB"));
    report.requirement(
        "peak memory (VmHWM)",
        format!("{peak:.1} MiB"),
        "under 64 MiB",
        peak < 64.0,
    );
    report.exit_code()
}
