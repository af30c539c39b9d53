//! Points between two effects at which a test may end the process, as a power cut would: nothing is flushed, given back
//! or told to anybody. Only the feature `failpoints` compiles them in; without it a point is nothing at all.

/// Every point. A test goes through all of them, so whoever adds one adds it here.
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

    /// Lets the process end when a point is reached: `NAME`, or `NAME:N` for the N-th time.
    ///
    /// # Errors
    /// There is no such point.
    pub fn arm(wish: &str) -> Result<(), String> {
        let (name, times) = wish.split_once(':').unwrap_or((wish, "1"));
        let times: u32 = times.parse().map_err(|_| format!("{wish}: write NAME:N"))?;
        if !super::POINTS.contains(&name) || times == 0 {
            return Err(format!("there is no point `{wish}`"));
        }
        ARMED
            .set((name.to_owned(), AtomicU32::new(times)))
            .map_err(|_| "a point is armed already".to_owned())
    }

    /// A point on the way.
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

/// A point on the way.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub(crate) const fn fail_point(_: &str) {}
