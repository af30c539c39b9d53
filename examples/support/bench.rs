//! What the benchmarks share: each of them is masshook itself when it is called with masshook's arguments, so that the
//! server that is measured, and killed, is a process of its own.

#![allow(dead_code, reason = "each benchmark uses its part")]

#[path = "../../tests/it/harness/receiver.rs"]
pub(crate) mod receiver;
#[path = "../../tests/it/harness/serve.rs"]
pub(crate) mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use masshook::cli::{Arguments, run};

/// Runs masshook if that is what this program was called for.
pub(crate) async fn as_masshook() -> Option<ExitCode> {
    let command = std::env::args().nth(1)?;
    let ours = matches!(command.as_str(), "serve" | "jobs" | "deliveries");
    if !ours {
        return None;
    }
    Some(run(Arguments::parse()).await.into())
}

/// This program.
pub(crate) fn program() -> PathBuf {
    std::env::current_exe().expect("this program's path")
}

/// How this program was built.
pub(crate) fn profile() -> &'static str {
    if cfg!(debug_assertions) {
        "dev"
    } else {
        "release"
    }
}

/// The promises of a benchmark, and whether they were kept.
pub(crate) struct Promises {
    kept: bool,
}

impl Promises {
    /// Starts the report.
    pub(crate) fn of(name: &str) -> Self {
        println!("{name} ({} profile)", profile());
        Self { kept: true }
    }

    /// Prints a figure.
    pub(crate) fn figure(&self, name: &str, figure: impl std::fmt::Display) {
        println!("  {name:<34} {figure}");
    }

    /// Prints a figure that was promised something of.
    pub(crate) fn promise(
        &mut self,
        name: &str,
        figure: impl std::fmt::Display,
        wanted: &str,
        kept: bool,
    ) {
        let verdict = if kept { "kept" } else { "BROKEN" };
        println!("  {name:<34} {figure}  (promised: {wanted}; {verdict})");
        self.kept &= kept;
    }

    /// The exit code: 0 only if every promise was kept.
    pub(crate) fn end(self) -> ExitCode {
        if self.kept {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// A figure of a process in `/proc`, in MiB.
pub(crate) fn memory(pid: u32, figure: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix(figure));
    let number = line.and_then(|line| line.trim_start_matches(':').split_whitespace().next());
    let kib: f64 = number.and_then(|kib| kib.parse().ok()).expect("a figure");
    kib / 1024.0
}
