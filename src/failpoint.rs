//! Points between two effects at which a test aborts the process: nothing is flushed, released or reported. Only the
//! feature `failpoints` compiles them in; without it [`fail_point`] is empty.

/// The names of all points. The crash tests abort the process at each of them.
pub const POINTS: &[&str] = &[
    "accept.before_add",
    "accept.added",
    "accept.woken",
    "delivery.before",
    "delivery.stored",
    "drive.claimed",
    "prepare.before",
    "lookup.answered",
    "prepare.answered",
    "prepare.recorded",
    "order.claimed",
    "order.created",
    "order.settled",
    "send.locked",
    "send.announced",
    "zoho.sending",
    "zoho.answered",
    "token.locked",
    "token.granted",
    "token.cached",
    "token.unlocked",
    "token_cache.leasing",
    "token_cache.leased",
    "token_cache.writing",
    "token_cache.written",
    "record.before",
    "record.written",
    "poll.answered",
    "poll.recorded",
    "poll.unlocked",
    "callback.before",
    "callback.answered",
    "release.before",
    "release.unlocked",
    "release.released",
    "release.woken",
];

#[cfg(feature = "failpoints")]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static ARMED: OnceLock<(String, AtomicU32)> = OnceLock::new();

    /// Aborts the process when it reaches a point: `NAME` for the first time, `NAME:N` for the N-th time.
    ///
    /// # Errors
    /// The argument is malformed, its point does not exist, or a point is already armed.
    pub fn arm(point: &str) -> Result<(), String> {
        let (name, times) = point.split_once(':').unwrap_or((point, "1"));
        let times: u32 = times
            .parse()
            .map_err(|_| format!("{point}: write NAME:N"))?;
        if !super::POINTS.contains(&name) || times == 0 {
            return Err(format!("there is no fail point `{point}`"));
        }
        ARMED
            .set((name.to_owned(), AtomicU32::new(times)))
            .map_err(|_| "a fail point is already armed".to_owned())
    }

    /// Aborts the process if this point is armed and its count is reached.
    pub(crate) fn fail_point(name: &str) {
        debug_assert!(super::POINTS.contains(&name), "{name}");
        if let Some((armed, left)) = ARMED.get()
            && armed == name
            && left.fetch_sub(1, Ordering::SeqCst) == 1
        {
            std::process::abort();
        }
    }
}

#[cfg(feature = "failpoints")]
pub use armed::arm;
#[cfg(feature = "failpoints")]
pub(crate) use armed::fail_point;

/// Does nothing without the feature `failpoints`.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub(crate) const fn fail_point(_: &str) {}
