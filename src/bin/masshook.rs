//! The command line and the local server.

use std::process::ExitCode;

use clap::Parser;
use masshook::cli::{Arguments, run};

#[tokio::main]
async fn main() -> ExitCode {
    run(Arguments::parse()).await.into()
}
