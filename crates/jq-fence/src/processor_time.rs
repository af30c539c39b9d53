//! The processor time of a thread.

use std::time::Duration;

/// The processor time that this thread has used since it started.
#[cfg(unix)]
pub(crate) fn of_this_thread() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(used.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(used.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanoseconds)
}

/// The time since the first call, because the system offers no processor time without unsafe code.
#[cfg(not(unix))]
pub(crate) fn of_this_thread() -> Duration {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn waiting_thread_uses_no_processor_time() {
        let before = of_this_thread();
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let waited = receiver.recv_timeout(Duration::from_millis(300));
        drop(sender);
        assert!(waited.is_err());
        let used = of_this_thread().saturating_sub(before);
        assert!(used < Duration::from_millis(150), "{used:?}");
    }
}
