//! The printed results of a benchmark.

#![allow(dead_code, reason = "each benchmark uses a part of it")]

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

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

/// The value in the middle, of at least one.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
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

/// The processor time that a process or thread has used; `folder` is its folder below `/proc`.
pub(crate) fn processor_time(folder: &Path) -> Duration {
    let stat = std::fs::read_to_string(folder.join("stat")).expect("a process");
    // The name may contain spaces.
    let (_, numbers) = stat.rsplit_once(')').expect("a name");
    let ticks = numbers.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    // Linux counts in hundredths of a second.
    Duration::from_millis(ticks * 10)
}

/// The processor time that the threads of this process with a name have used.
pub(crate) fn thread_time(name: &str) -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").expect("threads");
    let folders = threads.filter_map(|thread| Some(thread.ok()?.path()));
    let named = folders.filter(|folder| {
        let own = std::fs::read_to_string(folder.join("comm"));
        own.is_ok_and(|own| own.trim() == name)
    });
    named.map(|folder| processor_time(&folder)).sum()
}
