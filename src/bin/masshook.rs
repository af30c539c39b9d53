//! The command line and the local server.

use std::io;
use std::process::ExitCode;

use masshook::cli::{Arguments, run};
use mimalloc::MiMalloc;
use tokio::runtime::Runtime;

/// A server's threads allocate much and free what other threads have allocated, which this allocator does at a lower cost.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> io::Result<ExitCode> {
    let arguments = Arguments::from_command_line();
    let runtime = Runtime::new()?;
    let status = runtime.block_on(run(arguments));
    // Dropping the runtime would wait for blocking calls, such as one on a locked database.
    runtime.shutdown_background();
    Ok(status.into())
}
