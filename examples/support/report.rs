//! The printed results of a benchmark.

#![allow(dead_code, reason = "each benchmark uses a part of it")]

use std::process::ExitCode;

/// The build profile of this program.
pub(crate) fn profile() -> &'static str {
    if cfg!(debug_assertions) {
        "dev"
    } else {
        "release"
    }
}

/// The printed results of a benchmark, and whether they meet the requirements.
pub(crate) struct BenchmarkReport {
    passed: bool,
}

impl BenchmarkReport {
    /// Starts the report.
    pub(crate) fn new(name: &str) -> Self {
        println!("{name} ({} profile)", profile());
        Self { passed: true }
    }

    /// Prints a result without a requirement.
    pub(crate) fn result(&self, name: &str, value: impl std::fmt::Display) {
        println!("  {name:<34} {value}");
    }

    /// Prints a result and whether it meets its requirement.
    pub(crate) fn requirement(
        &mut self,
        name: &str,
        value: impl std::fmt::Display,
        required: &str,
        is_met: bool,
    ) {
        let verdict = if is_met { "met" } else { "NOT MET" };
        println!("  {name:<34} {value}  (required: {required}; {verdict})");
        self.passed &= is_met;
    }

    /// The exit code: 0 only if every requirement is met.
    pub(crate) fn exit_code(self) -> ExitCode {
        if self.passed {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// A memory value of a process from `/proc/{pid}/status`, in MiB.
pub(crate) fn memory_mib(pid: u32, key: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|line| line.trim_start_matches(':').split_whitespace().next());
    let kib: f64 = number
        .and_then(|kib| kib.parse().ok())
        .expect("a number of KiB");
    kib / 1024.0
}
