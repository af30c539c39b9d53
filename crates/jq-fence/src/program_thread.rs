//! A thread that carries out the work of pools itself.

use std::cell::Cell;
use std::io;
use std::panic::resume_unwind;

use crate::fence::{self, STACK_RESERVE};
use crate::limits::Limits;

/// Stack for what is beneath a program on a program thread, such as a runtime and its handlers.
const CALLERS_STACK: usize = 8 << 20;

thread_local! {
    static IS_PROGRAM_THREAD: Cell<bool> = const { Cell::new(false) };
}

/// Calls `main` on a thread whose stack is large enough for programs, and blocks until it ends. [`Pool::run`] carries out work
/// on this thread at once, within the same limits, and starts no other thread. This suits a process that handles one input
/// at a time, and saves it two changes of threads for each. A panic of `main` continues in the caller.
///
/// # Errors
/// The system provides no thread.
///
/// [`Pool::run`]: crate::Pool::run
pub fn on_program_thread<T: Send>(main: impl FnOnce() -> T + Send) -> io::Result<T> {
    let stack = Limits::default().stack_bytes + STACK_RESERVE + CALLERS_STACK;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("main".to_owned());
        let thread = thread.stack_size(stack).spawn_scoped(scope, || {
            IS_PROGRAM_THREAD.set(true);
            main()
        })?;
        thread.join().map_or_else(|panic| resume_unwind(panic), Ok)
    })
}

/// Whether the current thread carries out the work of pools.
pub(crate) fn is_current() -> bool {
    IS_PROGRAM_THREAD.get()
}

/// Whether the current thread carries out the work of pools, runs no program now, and has `bytes` of stack besides the reserve.
pub(crate) fn has_stack(bytes: usize) -> bool {
    is_current() && !fence::is_closed() && bytes <= Limits::default().stack_bytes
}
