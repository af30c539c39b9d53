//! A thousand deliveries of one record each, with equal fields, into `masshook serve` with a window of two seconds.
//!
//! ```text
//! cargo run --release --example coalesce
//! ```
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[path = "support/bench.rs"]
mod bench;

use std::process::ExitCode;
use std::time::Instant;

use bench::serve::{Served, form, text};
use futures_util::StreamExt;
use serde_json::json;
use zoho_simulator::Settings;

const DELIVERIES: usize = 1_000;

#[tokio::main]
async fn main() -> ExitCode {
    if let Some(code) = bench::as_masshook().await {
        return code;
    }
    let program = bench::program();
    let window = |config| format!("{config}batch_window: 2s\n");
    let mut world = Served::new(&program, &[], Settings::default(), window).await;
    let bad = text(&world.zoho()["modules"]["Leads"]["conditions"]["locked"]);
    let mut records: Vec<String> = (0..DELIVERIES as u64)
        .map(|place| world.id("Leads", place))
        .collect();
    records[500] = bad.clone();
    world.start(&[]).await;

    // Right after the start of a window: that is when a burst of two seconds is one window's.
    let since = jiff_millis() % 2_000;
    tokio::time::sleep(std::time::Duration::from_millis(2_000 - since)).await;
    let begun = Instant::now();
    futures_util::stream::iter(records.iter().enumerate())
        .map(|(number, id)| {
            let delivery = form(&number.to_string(), std::slice::from_ref(id));
            let world = &world;
            async move { world.accepted(&delivery).await }
        })
        .buffer_unordered(32)
        .collect::<Vec<_>>()
        .await;
    let accepted = begun.elapsed();
    world.all_finished(DELIVERIES).await;
    let finished = begun.elapsed();

    let callbacks = world.callbacks();
    let own = callbacks.values().filter(|callback| {
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
    let own = own.count();
    let mut promises = bench::Promises::of("1,000 deliveries of one record, batch_window 2s");
    promises.figure("all accepted after", format!("{accepted:.2?}"));
    promises.figure("all told after", format!("{finished:.2?}"));
    let posts = world.count("mass_update_post").await;
    promises.promise("mass updates", posts, "at most 4", posts <= 4);
    let tokens = world.count("token").await;
    promises.promise("token requests", tokens, "1", tokens == 1);
    let sent = world.receiver.all().len();
    promises.promise(
        "callbacks verified",
        callbacks.len(),
        "1000",
        callbacks.len() == DELIVERIES && sent == DELIVERIES,
    );
    promises.promise(
        "with their own record's outcome",
        own,
        "1000",
        own == DELIVERIES,
    );
    promises.end()
}

/// Milliseconds since 1970.
fn jiff_millis() -> u64 {
    use masshook::clock::{Clock, SystemClock};
    SystemClock.now().as_millisecond().unsigned_abs()
}
