//! One delivery of 50,000 records into `masshook serve`, over a Zoho that takes 200 ms for each call.
//!
//! ```text
//! cargo run --release --example wide
//! ```
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[path = "support/bench.rs"]
mod bench;

use std::process::ExitCode;
use std::time::Duration;

use bench::serve::{Served, form, text};
use jiff::Timestamp;
use zoho_simulator::Settings;

const RECORDS: u64 = 50_000;
const LATENCY: Duration = Duration::from_millis(200);
const CONCURRENCY: u64 = 5;

#[tokio::main]
async fn main() -> ExitCode {
    if let Some(code) = bench::as_masshook().await {
        return code;
    }
    let settings = Settings {
        latency: LATENCY,
        // The last few of a module are such as cannot be updated.
        records: [("Leads".to_owned(), RECORDS + 10)].into(),
        ..Settings::default()
    };
    let concurrency = |config: String| {
        let wanted = format!("max_concurrency: {CONCURRENCY}\n    accounts_url:");
        config.replace("accounts_url:", &wanted)
    };
    let mut world = Served::new(&bench::program(), &[], settings, concurrency).await;
    world.start(&[]).await;
    let idle = bench::memory(world.pid(), "VmHWM");
    let ids: Vec<String> = (0..RECORDS).map(|place| world.id("Leads", place)).collect();
    let job = world.accepted(&form("wide", &ids)).await;
    // As its users do, it waits to be told: each look at 50,000 records would cost the program time of its own.
    world.receiver.wait_for(1).await;
    let job = world.finished(&job[0]).await;
    let peak = bench::memory(world.pid(), "VmHWM");

    let moment = |name: &str| -> Timestamp { text(&job[name]).parse().expect("a moment") };
    let taken = moment("finished_at").duration_since(moment("created_at"));
    let ideal = (RECORDS / 500).div_ceil(CONCURRENCY) as f64 * LATENCY.as_secs_f64();
    let ratio = taken.as_secs_f64() / ideal;
    let mut promises = bench::Promises::of("50,000 records, one field, 200 ms a call");
    let updated = job["counts"]["updated"].as_u64().unwrap_or_default();
    promises.promise("records updated", updated, "50000", updated == RECORDS);
    let posts = world.count("mass_update_post").await;
    promises.promise("mass updates", posts, "exactly 100", posts == 100);
    let most = world.count("max_in_flight").await;
    promises.promise("at once", most, "max_concurrency, 5", most == CONCURRENCY);
    promises.figure(
        "from acceptance to the end",
        format!("{:.2} s", taken.as_secs_f64()),
    );
    promises.figure("ideal", format!("{ideal:.2} s"));
    promises.promise(
        "ratio",
        format!("{ratio:.3}"),
        "at most 1.15",
        ratio <= 1.15,
    );
    promises.figure("memory when idle (VmHWM)", format!("{idle:.1} MiB"));
    promises.promise(
        "peak memory (VmHWM)",
        format!("{peak:.1} MiB"),
        "under 64 MiB",
        peak < 64.0,
    );
    promises.end()
}
