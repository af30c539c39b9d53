//! Which receivers do not answer: an attempt to send them a callback may wait only briefly. Pure.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

/// Consecutive time-outs after which a host counts as hanging.
const TIMEOUTS: u32 = 3;

/// How long a host counts as hanging after its last time-out.
const MEMORY: SignedDuration = SignedDuration::from_secs(120);

/// Hosts that are remembered. More of them are forgotten together, which costs no more than some waiting.
const MAX_HOSTS: usize = 10_000;

/// The hosts that have timed out since they last answered.
#[derive(Debug, Default)]
pub(super) struct HostHealth(HashMap<String, Silence>);

#[derive(Debug)]
struct Silence {
    /// Attempts in a row that timed out.
    timeouts: u32,
    last: Timestamp,
    /// Whether a patient attempt is in progress: a host that is only slow answers it.
    is_probed: bool,
}

impl HostHealth {
    /// Whether the host does not answer.
    pub(super) fn is_hanging(&self, host: &str, now: Timestamp) -> bool {
        self.0
            .get(host)
            .is_some_and(|silence| silence.is_hanging(now))
    }

    /// Whether the next attempt may wait for the whole time limit: the host answers, or this attempt finds out whether it
    /// does again.
    pub(super) fn allows_patience(&mut self, host: &str, now: Timestamp) -> bool {
        match self.0.get_mut(host) {
            Some(silence) if silence.is_hanging(now) => {
                !std::mem::replace(&mut silence.is_probed, true)
            }
            Some(_) | None => true,
        }
    }

    /// Records the end of an attempt.
    pub(super) fn record(
        &mut self,
        host: &str,
        timed_out: bool,
        was_patient: bool,
        now: Timestamp,
    ) {
        if !timed_out {
            self.0.remove(host);
            return;
        }
        if self.0.len() >= MAX_HOSTS && !self.0.contains_key(host) {
            self.0.clear();
        }
        let silence = self.0.entry(host.to_owned()).or_insert(Silence {
            timeouts: 0,
            last: now,
            is_probed: false,
        });
        silence.timeouts = silence.timeouts.saturating_add(1);
        silence.last = now;
        silence.is_probed &= !was_patient;
    }
}

impl Silence {
    fn is_hanging(&self, now: Timestamp) -> bool {
        self.timeouts >= TIMEOUTS && now.duration_since(self.last) < MEMORY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hanging_host_gets_one_patient_attempt_at_a_time() {
        let mut health = HostHealth::default();
        let now = Timestamp::UNIX_EPOCH;
        for _ in 0..TIMEOUTS {
            assert!(health.allows_patience("a", now));
            health.record("a", true, true, now);
        }
        assert!(health.is_hanging("a", now) && !health.is_hanging("b", now));
        assert!(health.allows_patience("a", now), "one probes");
        assert!(!health.allows_patience("a", now));
        health.record("a", true, false, now);
        assert!(!health.allows_patience("a", now), "it still probes");
        health.record("a", true, true, now);
        assert!(health.allows_patience("a", now), "the next one probes");
        assert!(health.allows_patience("b", now));
        health.record("a", false, false, now);
        assert!(health.allows_patience("a", now) && health.allows_patience("a", now));
    }

    #[test]
    fn silent_host_is_forgotten() {
        let mut health = HostHealth::default();
        for _ in 0..TIMEOUTS {
            health.record("a", true, true, Timestamp::UNIX_EPOCH);
        }
        let later = Timestamp::UNIX_EPOCH + MEMORY;
        assert!(!health.is_hanging("a", later));
        for number in 0..=MAX_HOSTS {
            health.record(&number.to_string(), true, true, later);
        }
        assert!(health.0.len() <= MAX_HOSTS);
    }
}
