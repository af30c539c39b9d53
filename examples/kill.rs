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

use bench::serve::{Served, Storm};
use zoho_simulator::Settings;

#[tokio::main]
async fn main() -> ExitCode {
    if let Some(code) = bench::run_as_masshook().await {
        return code;
    }
    let number = |place, default| {
        let given = std::env::args().nth(place);
        given.map_or(default, |given| given.parse().expect("a number"))
    };
    let storm = Storm {
        jobs: number(1, 2_000),
        kills: number(2, 20),
    };
    let settings = Settings {
        // The last few records of a module cannot be updated.
        records: [("Leads".to_owned(), storm.jobs as u64 + 20)].into(),
        ..Settings::default()
    };
    let mut world = Served::new(&bench::program(), &[], settings, |config| config).await;
    // Panics if a job is lost or if two callbacks with one id differ.
    let weathered = world.storm(&storm).await;
    let title = format!(
        "{} jobs, {} kills, rate_5xx 0.1, rate_429 0.05, reset_after_apply 0.05",
        storm.jobs, storm.kills
    );
    let mut report = bench::BenchmarkReport::new(&title);
    println!("  {}", weathered.figures().replace('\n', "\n  "));
    report.requirement("jobs finished with one callback", storm.jobs, "all", true);
    report.requirement(
        "kills during running jobs",
        weathered.unfinished_at_kills > 0,
        "true",
        weathered.unfinished_at_kills > 0,
    );
    report.exit_code()
}
