//! The health of the engine's loop.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::api::HealthCheck;
use crate::inbound::rejection::Rejection;
use crate::sync;

/// How long the loop may go without a completed turn, and how long a failure of the store counts.
const STALL_LIMIT: Duration = Duration::from_secs(30);

/// Records that the engine's loop runs and that its turns succeed.
#[derive(Debug)]
pub(super) struct Heartbeat(Mutex<Beats>);

#[derive(Debug)]
struct Beats {
    /// When the loop last started a pass.
    ticked: Instant,
    /// When a turn last succeeded.
    succeeded: Instant,
    /// Why the last turn failed, if it did.
    turn_failure: Option<String>,
    /// When a request last found the store unable to take its job.
    refused: Option<Instant>,
}

impl Heartbeat {
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(Beats {
            ticked: now,
            succeeded: now,
            turn_failure: None,
            refused: None,
        }))
    }

    /// Records a pass of the loop.
    pub(super) fn tick(&self, now: Instant) {
        sync::lock(&self.0).ticked = now;
    }

    /// Records the end of a turn. Returns whether its failure is a new one.
    pub(super) fn turn_ended(&self, result: Result<(), String>, now: Instant) -> bool {
        let mut beats = sync::lock(&self.0);
        let failure = result.err();
        if failure.is_none() {
            beats.succeeded = now;
        }
        let is_new = failure.is_some() && failure != beats.turn_failure;
        beats.turn_failure = failure;
        is_new
    }

    /// Records that the store could not take a job.
    pub(super) fn store_refused(&self, now: Instant) {
        sync::lock(&self.0).refused = Some(now);
    }

    /// Checks the health at a time.
    ///
    /// # Errors
    /// [`Rejection::Unhealthy`].
    pub(super) fn check_at(&self, now: Instant) -> Result<(), Rejection> {
        let beats = sync::lock(&self.0);
        let since = |at: Instant| now.saturating_duration_since(at);
        let (stalled, unsuccessful) = (since(beats.ticked), since(beats.succeeded));
        let reason = if stalled > STALL_LIMIT {
            format!("the engine has not run for {} s", stalled.as_secs())
        } else if unsuccessful > STALL_LIMIT {
            let seconds = unsuccessful.as_secs();
            match &beats.turn_failure {
                Some(_) => {
                    format!("the engine has failed for {seconds} s; see the log for the reason")
                }
                None => format!("the engine has not completed a turn for {seconds} s"),
            }
        } else if let Some(refused) = beats.refused.filter(|at| since(*at) <= STALL_LIMIT) {
            let seconds = since(refused).as_secs();
            format!("the job store failed {seconds} s ago; see the log for the reason")
        } else {
            return Ok(());
        };
        Err(Rejection::Unhealthy(reason))
    }
}

impl HealthCheck for Heartbeat {
    fn check(&self) -> Result<(), Rejection> {
        self.check_at(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    fn reason(heartbeat: &Heartbeat, at: Instant) -> Option<String> {
        let checked = heartbeat.check_at(at).err();
        checked.map(|rejection| {
            assert_eq!(
                (rejection.status().as_u16(), rejection.code()),
                (503, "unhealthy")
            );
            rejection.to_string()
        })
    }

    #[test]
    fn loop_that_stops_is_unhealthy_after_30_seconds() {
        let start = Instant::now();
        let heartbeat = Heartbeat::new(start);
        assert_eq!(reason(&heartbeat, after(start, 30)), None);
        let stalled = reason(&heartbeat, after(start, 31));
        assert_eq!(stalled.as_deref(), Some("the engine has not run for 31 s"));
        heartbeat.tick(after(start, 40));
        heartbeat.turn_ended(Ok(()), after(start, 40));
        assert_eq!(reason(&heartbeat, after(start, 41)), None);
    }

    #[test]
    fn turns_that_hang_or_fail_are_unhealthy() {
        let start = Instant::now();
        let heartbeat = Heartbeat::new(start);
        heartbeat.tick(after(start, 35));
        let hung = reason(&heartbeat, after(start, 36)).expect("unhealthy");
        assert!(hung.contains("not completed a turn"), "{hung}");
        let failed = || Err("disk full".to_owned());
        assert!(heartbeat.turn_ended(failed(), after(start, 37)));
        assert!(!heartbeat.turn_ended(failed(), after(start, 38)), "known");
        let failing = reason(&heartbeat, after(start, 38)).expect("unhealthy");
        assert!(
            failing.contains("has failed") && !failing.contains("disk"),
            "{failing}"
        );
        heartbeat.turn_ended(Ok(()), after(start, 39));
        assert_eq!(reason(&heartbeat, after(start, 40)), None);
    }

    #[test]
    fn store_that_takes_nothing_is_unhealthy_for_a_while() {
        let start = Instant::now();
        let heartbeat = Heartbeat::new(start);
        heartbeat.store_refused(start);
        assert!(reason(&heartbeat, after(start, 1)).is_some());
        heartbeat.tick(after(start, 31));
        heartbeat.turn_ended(Ok(()), after(start, 31));
        assert_eq!(reason(&heartbeat, after(start, 31)), None);
    }
}
