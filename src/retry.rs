//! Retry policies. A policy is a constant, its decision is pure, and the caller waits.

use std::time::Duration;

/// The limits of a retried operation.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Attempts in total.
    pub attempts: u32,
    /// The maximum of the first wait.
    pub base: Duration,
    /// The maximum of any wait.
    pub cap: Duration,
}

impl Policy {
    /// Returns the wait after `failed` attempts, or `None` to give up. The wait has full jitter below an exponential ceiling
    /// (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>), and is at least `requested`, the wait
    /// in the server's response. A requested wait above the cap gives up. `random` is from 0 to 1.
    pub fn wait(&self, failed: u32, requested: Option<Duration>, random: f64) -> Option<Duration> {
        if failed >= self.attempts || requested.is_some_and(|requested| requested > self.cap) {
            return None;
        }
        let ceiling = self
            .base
            .saturating_mul(1_u32 << failed.saturating_sub(1).min(20))
            .min(self.cap);
        let jittered = ceiling.mul_f64(random.clamp(0.0, 1.0));
        Some(jittered.max(requested.unwrap_or_default()))
    }
}

/// Parses a `Retry-After` header: seconds, or a date. Returns `None` if it is neither, or a date in the past.
pub fn retry_after(header: &str, now: jiff::Timestamp) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let at = jiff::fmt::rfc2822::parse(header).ok()?.timestamp();
    Duration::try_from(at.duration_since(now)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICY: Policy = Policy {
        attempts: 4,
        base: Duration::from_millis(500),
        cap: Duration::from_secs(8),
    };

    #[test]
    fn requested_wait_is_respected_up_to_the_cap() {
        let wait = |seconds| POLICY.wait(1, Some(Duration::from_secs(seconds)), 0.0);
        assert_eq!(wait(3), Some(Duration::from_secs(3)));
        assert_eq!(wait(9), None, "the wait is left to a later turn");
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_date() {
        let now = "2026-01-02T03:04:05Z".parse().expect("a time");
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(
            retry_after("Fri, 02 Jan 2026 03:05:05 GMT", now),
            Some(Duration::from_secs(60))
        );
        assert_eq!(
            retry_after("Fri, 02 Jan 2026 03:00:05 GMT", now),
            None,
            "a time in the past"
        );
        assert_eq!(retry_after("soon", now), None);
    }

    proptest! {
        #[test]
        fn waits_stay_below_ceiling_until_attempts_end(failed in 1_u32..60, random in 0.0_f64..=1.0) {
            match POLICY.wait(failed, None, random) {
                Some(wait) => {
                    prop_assert!(failed < POLICY.attempts);
                    prop_assert!(wait <= POLICY.cap);
                    prop_assert!(wait <= POLICY.base * 2_u32.pow(failed - 1));
                }
                None => prop_assert!(failed >= POLICY.attempts),
            }
        }
    }
}
