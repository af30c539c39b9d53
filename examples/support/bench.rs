//! Shared parts of the benchmarks. A benchmark called with masshook's arguments runs masshook itself, so that the measured
//! server is a separate process of the same build.

#![allow(dead_code, reason = "each benchmark uses a part of it")]

#[path = "../../tests/it/harness/answer.rs"]
pub(crate) mod answer;
#[path = "../../tests/it/harness/builder.rs"]
pub(crate) mod builder;
#[path = "../../tests/it/harness/net.rs"]
pub(crate) mod net;
#[path = "../../tests/it/harness/random_kills.rs"]
pub(crate) mod random_kills;
#[path = "../../tests/it/harness/receiver.rs"]
pub(crate) mod receiver;
#[path = "../../tests/it/harness/served.rs"]
pub(crate) mod served;
#[path = "../../tests/it/harness/zoho.rs"]
pub(crate) mod zoho;

#[path = "report.rs"]
pub(crate) mod report;

use std::process::ExitCode;

use masshook::cli::{Arguments, run};
use mimalloc::MiMalloc;

/// That of the program `masshook`.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Runs masshook if the arguments are masshook's.
pub(crate) async fn run_as_masshook() -> Option<ExitCode> {
    let command = std::env::args().nth(1)?;
    let is_masshook = matches!(command.as_str(), "serve" | "jobs" | "deliveries");
    if !is_masshook {
        return None;
    }
    Some(run(Arguments::from_command_line()).await.into())
}
