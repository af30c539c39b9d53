//! Limits of one run of a program.

use std::time::Duration;

/// Limits of one run of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the input document. Default: 1 MiB.
    pub input_bytes: usize,
    /// Number of outputs. Default: 100.
    pub outputs: usize,
    /// Bytes of all outputs together, as JSON text, roughly. Default: 4 MiB.
    pub output_bytes: usize,
    /// Wall-clock time. Default: 250 ms; a machine with a fraction of a processor may need more.
    pub time: Duration,
    /// Steps of the interpreter. Default: 5 million, more than the default time allows on most machines. Unlike time,
    /// this limit is deterministic, so tests use it.
    pub steps: u64,
    /// Bytes allocated for values, without credit for what is freed meanwhile. Default: 128 MiB.
    pub memory_bytes: usize,
    /// Bytes of stack. Default: 16 MiB.
    pub stack_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            input_bytes: 1 << 20,
            outputs: 100,
            output_bytes: 4 << 20,
            time: Duration::from_millis(250),
            steps: 5_000_000,
            memory_bytes: 128 << 20,
            stack_bytes: 16 << 20,
        }
    }
}
