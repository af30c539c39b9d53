//! `kill -9` of `masshook serve` at random moments during many jobs, while Zoho fails, throttles and breaks off.
//!
//! ```text
//! cargo run --release --example kill [JOBS] [KILLS]
//! ```
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[path = "support/bench.rs"]
mod bench;

use std::process::ExitCode;

use bench::serve::{Served, Storm};
use zoho_simulator::Settings;

#[tokio::main]
async fn main() -> ExitCode {
    if let Some(code) = bench::as_masshook().await {
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
        // The last few of a module are such as cannot be updated.
        records: [("Leads".to_owned(), storm.jobs as u64 + 20)].into(),
        ..Settings::default()
    };
    let mut world = Served::new(&bench::program(), &[], settings, |config| config).await;
    // It panics, and so ends with another code than 0, if anything was lost or told twice differently.
    let weathered = world.storm(&storm).await;
    let title = format!(
        "{} jobs, {} kills, rate_5xx 0.1, rate_429 0.05, reset_after_apply 0.05",
        storm.jobs, storm.kills
    );
    let mut promises = bench::Promises::of(&title);
    println!("  {}", weathered.figures().replace('\n', "\n  "));
    promises.promise("jobs finished, each told once", storm.jobs, "all", true);
    promises.promise(
        "kills that hit jobs under way",
        weathered.unfinished_at_kills > 0,
        "true",
        weathered.unfinished_at_kills > 0,
    );
    promises.end()
}
