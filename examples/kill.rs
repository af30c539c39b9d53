//! Kills `masshook serve` with SIGKILL at random moments during many jobs, while the simulated Zoho fails, throttles and
//! resets connections.
//!
//! ```text
//! cargo run --release --example kill [JOBS] [KILLS]
//! ```
#![allow(clippy::print_stdout, reason = "a benchmark prints its results")]

#[path = "support/bench.rs"]
mod bench;

use std::process::ExitCode;

use bench::builder::Harness;
use bench::random_kills::RandomKills;

#[tokio::main]
async fn main() -> ExitCode {
    if let Some(code) = bench::run_as_masshook().await {
        return code;
    }
    let number = |place, default| {
        let given = std::env::args().nth(place);
        given.map_or(default, |given| given.parse().expect("a number"))
    };
    let plan = RandomKills {
        jobs: number(1, 2_000),
        kills: number(2, 20),
    };
    // The last few records of a module cannot be updated.
    let records = plan.jobs as u64 + 20;
    let harness =
        Harness::new().simulator(|zoho| zoho.records = [("Leads".to_owned(), records)].into());
    let mut world = harness.served().prepare().await;
    // Panics if a job is lost or if two callbacks with one id differ.
    let kills = world.kill_at_random(&plan).await;
    let title = format!(
        "{} jobs, {} kills, rate_5xx 0.1, rate_429 0.05, reset_after_apply 0.05",
        plan.jobs, plan.kills
    );
    let mut report = bench::report::BenchmarkReport::new(&title);
    println!("  {}", kills.figures().replace('\n', "\n  "));
    report.requirement("jobs finished with one callback", plan.jobs, "all", true);
    report.requirement(
        "kills during running jobs",
        kills.unfinished_at_kills > 0,
        "true",
        kills.unfinished_at_kills > 0,
    );
    report.exit_code()
}
