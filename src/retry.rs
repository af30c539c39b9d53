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

/// The longest wait that a `Retry-After` header can ask for; a longer one is shortened. What Zoho limits by the day is free
/// again after this time, and it is the longest wait between two attempts at a callback.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Parses a `Retry-After` header (RFC 9110, section 10.2.3): seconds, or a date in any of the three forms. A fraction of a
/// second, which some servers send, is rounded up. Returns `None` for any other text, and for a date in the past.
pub fn retry_after(header: &str, now: jiff::Timestamp) -> Option<Duration> {
    let header = header.trim();
    seconds(header).or_else(|| {
        let wait = http_date(header)?.duration_since(now);
        Some(Duration::try_from(wait).ok()?.min(MAX_RETRY_AFTER))
    })
}

/// Parses an HTTP date (RFC 9110, section 5.6.7): IMF-fixdate, RFC 850 or asctime. Other dates of RFC 5322, such as those
/// with a numeric zone, are taken too.
pub fn http_date(text: &str) -> Option<jiff::Timestamp> {
    let text = text.trim();
    match httpdate::parse_http_date(text) {
        // A date may be later than the latest timestamp.
        Ok(date) => Some(date.try_into().unwrap_or(jiff::Timestamp::MAX)),
        Err(_) => Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp()),
    }
}

/// Parses a number of seconds of any length, with an optional fraction, as a wait.
pub(crate) fn seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return None;
    }
    // More digits than fit are a very long wait.
    let whole: u64 = whole.parse().unwrap_or(u64::MAX);
    let rounded_up = u64::from(fraction.bytes().any(|digit| digit != b'0'));
    let wait = Duration::from_secs(whole.saturating_add(rounded_up));
    Some(wait.min(MAX_RETRY_AFTER))
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
        for no_wait in [
            "soon", "", "-1", "+1", "1e3", "1.", ".5", "1.5.2", "0x10", "Fri",
        ] {
            assert_eq!(retry_after(no_wait, now), None, "{no_wait}");
        }
    }

    #[test]
    fn every_form_of_retry_after_has_one_meaning() {
        let now = "1994-11-06T08:49:07Z".parse().expect("a time");
        for (header, seconds) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 30),
            ("Sunday, 06-Nov-94 08:49:37 GMT", 30),
            ("Sun Nov  6 08:49:37 1994", 30),
            ("Sun, 06 Nov 1994 09:49:37 +0100", 30),
            (" 30 ", 30),
            ("0", 0),
            ("0030", 30),
            ("29.001", 30),
            ("30.000", 30),
            ("86401", 86_400),
            ("4294967296", 86_400),
            ("99999999999999999999999999", 86_400),
            ("99999999999999999999999999.5", 86_400),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
        ] {
            let wait = Some(Duration::from_secs(seconds));
            assert_eq!(retry_after(header, now), wait, "{header}");
        }
    }

    proptest! {
        #[test]
        fn any_header_asks_for_a_day_at_most(header in ".{0,40}|[0-9]{1,40}(\\.[0-9]{0,9})?") {
            let wait = retry_after(&header, jiff::Timestamp::UNIX_EPOCH);
            prop_assert!(wait.is_none_or(|wait| wait <= MAX_RETRY_AFTER));
        }

        #[test]
        fn dates_in_all_forms_are_equal(second in 0_i64..2_000_000_000) {
            let at = jiff::Timestamp::from_second(second).expect("a time");
            let at = at.to_zoned(jiff::tz::TimeZone::UTC);
            for form in ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"] {
                let text = at.strftime(form).to_string();
                prop_assert_eq!(http_date(&text), Some(at.timestamp()), "{}", text);
            }
        }

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
