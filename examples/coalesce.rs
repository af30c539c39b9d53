//! Measures call sharing: 1,000 deliveries of one record each, with equal fields, into `masshook serve` with a batch window
//! of two seconds.
//!
//! ```text
//! cargo run --release --example coalesce
//! ```
#![allow(clippy::print_stdout, reason = "a benchmark prints its results")]

#[path = "support/bench.rs"]
mod bench;

use std::process::ExitCode;
use std::time::Instant;

use bench::builder::Harness;
use bench::served::{form, text};
use futures_util::StreamExt;
use serde_json::json;

const DELIVERIES: usize = 1_000;

#[tokio::main]
async fn main() -> ExitCode {
    if let Some(code) = bench::run_as_masshook().await {
        return code;
    }
    let harness = Harness::new().config(|config| config + "batch_window: 2s\n");
    let mut world = harness.served().prepare().await;
    let bad = text(&world.zoho()["modules"]["Leads"]["conditions"]["locked"]);
    let mut records: Vec<String> = (0..DELIVERIES as u64)
        .map(|place| world.id("Leads", place))
        .collect();
    records[500] = bad.clone();
    world.start(&[]).await;

    // Start right after a window opens, so that a burst of two seconds falls into one window.
    let since = unix_millis() % 2_000;
    tokio::time::sleep(std::time::Duration::from_millis(2_000 - since)).await;
    let begun = Instant::now();
    futures_util::stream::iter(records.iter().enumerate())
        .map(|(number, id)| {
            let delivery = form(&number.to_string(), std::slice::from_ref(id));
            let world = &world;
            async move { world.submit(&delivery).await }
        })
        .buffer_unordered(32)
        .collect::<Vec<_>>()
        .await;
    let accepted = begun.elapsed();
    world.wait_for_jobs(DELIVERIES).await;
    let finished = begun.elapsed();

    let callbacks = world.callbacks();
    let matching = callbacks.values().filter(|callback| {
        let data = &callback["data"];
        let number: usize = text(&data["reference"]).parse().expect("a number");
        let failed = u64::from(records[number] == bad);
        let named = data["failures"].as_array().is_some_and(|failures| {
            failures.len() as u64 == failed && failures.iter().all(|failure| failure["id"] == bad)
        });
        named
            && data["counts"]
                == json!({"total": 1, "updated": 1 - failed, "failed": failed, "pending": 0})
    });
    let matching = matching.count();
    let mut report =
        bench::report::BenchmarkReport::new("1,000 deliveries of one record, batch_window 2s");
    report.result("all accepted after", format!("{accepted:.2?}"));
    report.result("all callbacks after", format!("{finished:.2?}"));
    let posts = world.count("mass_update_post").await;
    report.requirement("mass updates", posts, "2", posts == 2);
    let tokens = world.count("token").await;
    report.requirement("token requests", tokens, "1", tokens == 1);
    let sent = world.receiver.all().len();
    report.requirement(
        "callbacks verified",
        callbacks.len(),
        "1000",
        callbacks.len() == DELIVERIES && sent == DELIVERIES,
    );
    report.requirement(
        "callbacks with the right record",
        matching,
        "1000",
        matching == DELIVERIES,
    );
    report.exit_code()
}

/// Milliseconds since the Unix epoch.
fn unix_millis() -> u64 {
    use masshook::clock::{Clock, SystemClock};
    SystemClock.now().as_millisecond().unsigned_abs()
}
