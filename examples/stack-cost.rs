//! Prints what AWS bills for an event: write and read units of DynamoDB, messages sent, and dollars for a million events. It runs
//! the tests of `tests/it/aws_stack/cost.rs` on the emulated stack; they fail above their limits.
//!
//! `cargo run --example stack-cost`

use std::process::{Command, ExitCode};

fn main() -> std::io::Result<ExitCode> {
    let tests = ["test", "--quiet", "--test", "it", "aws_stack::cost"];
    let status = Command::new(env!("CARGO"))
        .args(tests)
        .args(["--", "--nocapture", "--test-threads", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()?;
    Ok(match status.success() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
