//! Limits of programs.

use std::time::Duration;

/// Limits of the programs that run over one input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the input document. Default: 1 MiB.
    pub input_bytes: usize,
    /// Number of outputs of one program. Default: 100.
    pub outputs: usize,
    /// Bytes of all outputs of one program together, as JSON text, roughly. Default: 4 MiB.
    pub output_bytes: usize,
    /// Processor time of all programs of a session together. It does not pass while the thread waits for a processor.
    /// Default: 250 ms.
    pub time: Duration,
    /// Steps of the interpreter in one program. Default: 5 million, more than the default time allows on most machines. Unlike time,
    /// this limit is deterministic, so tests use it.
    pub steps: u64,
    /// Bytes allocated for the input and for the values of one program, without credit for what is freed meanwhile.
    /// Default: 128 MiB.
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
