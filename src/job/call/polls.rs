//! When the status of a Zoho job is polled.

use std::time::Duration;

use crate::outcome::Progress;

/// The longest gap between two polls of a Zoho job. A longer gap means that masshook was down, or that the clock jumped.
pub(super) const MAX_POLL_GAP: Duration = Duration::from_secs(300);

/// The shortest gap that an estimate of the job's end leads to.
const MIN_ESTIMATED_GAP: Duration = Duration::from_secs(15);

/// How much later than its estimated end a job is polled, and the same as a part of the remaining time.
const ESTIMATE_MARGIN: Duration = Duration::from_secs(10);
const ESTIMATE_MARGIN_PARTS: u32 = 10;

/// The regular gap before the next poll after `polls` polls: from two seconds to five minutes, growing by half each time.
pub(in crate::job) fn poll_gap(polls: u32) -> Duration {
    let steps = polls.min(15);
    Duration::from_secs_f64(2.0 * 1.5_f64.powi(steps.cast_signed())).min(MAX_POLL_GAP)
}

/// The gap before the next poll, `elapsed` after the submission. It ends shortly after the job's end, as estimated from the
/// counts, if that is before the next regular poll. There is never more than one poll more than regular ones.
pub(super) fn next_gap(polls: u32, elapsed: Duration, counts: Option<Progress>) -> Duration {
    let regular = poll_gap(polls);
    let (made, next_regular) = regular_polls(elapsed);
    if polls > made {
        let until_regular = next_regular.saturating_sub(elapsed);
        return until_regular.max(MIN_ESTIMATED_GAP).min(regular);
    }
    let remaining = counts.and_then(|counts| remaining_time(elapsed, counts));
    remaining.map_or(regular, |remaining| {
        let margin = ESTIMATE_MARGIN + remaining / ESTIMATE_MARGIN_PARTS;
        let gap = remaining.saturating_add(margin).max(MIN_ESTIMATED_GAP);
        gap.min(regular)
    })
}

/// How many regular polls are made until `elapsed`, and when the next one is made.
fn regular_polls(elapsed: Duration) -> (u32, Duration) {
    let (mut made, mut next) = (0, poll_gap(0));
    while next <= elapsed && poll_gap(made) < MAX_POLL_GAP {
        made += 1;
        next += poll_gap(made);
    }
    // From here on all gaps are the same.
    let more = elapsed.saturating_sub(next).as_secs() / MAX_POLL_GAP.as_secs();
    let more = u32::try_from(more).unwrap_or(u32::MAX);
    match next <= elapsed {
        true => (
            made.saturating_add(more).saturating_add(1),
            next.saturating_add(MAX_POLL_GAP.saturating_mul(more.saturating_add(1))),
        ),
        false => (made, next),
    }
}

/// How long a job goes on if it keeps its pace.
fn remaining_time(elapsed: Duration, counts: Progress) -> Option<Duration> {
    let done = counts.updated.saturating_add(counts.failed);
    let left = counts.total.checked_sub(done)?;
    let millis = elapsed.as_millis().checked_mul(u128::from(left))?;
    let millis = millis.checked_div(u128::from(done))?;
    u64::try_from(millis).ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Polls a job until it has ended: the number of polls, and how long after its end the last one is. `lag` delays each poll.
    fn track(duration: u64, lag: u64, counts: impl Fn(u64) -> Option<Progress>) -> (u32, u64) {
        let (mut polls, mut now) = (0, 2 + lag);
        while now < duration {
            polls += 1;
            let gap = next_gap(polls, Duration::from_secs(now), counts(now));
            now += gap.as_secs() + u64::from(gap.subsec_nanos() > 0) + lag;
        }
        (polls + 1, now - duration)
    }

    fn progress(total: u64, updated: u64) -> Option<Progress> {
        Some(Progress {
            total,
            updated,
            not_updated: total - updated,
            failed: 0,
        })
    }

    #[test]
    fn ten_minute_job_is_noticed_within_a_minute() {
        let (polls, late) = track(600, 1, |now| progress(10_000, 10_000 * now / 600));
        let (regular, regularly_late) = track(600, 1, |_| None);
        assert!(late <= 60, "{late}");
        assert!(polls <= regular, "{polls} and {regular}");
        assert!(regularly_late > 60, "{regularly_late}");
    }

    proptest! {
        #[test]
        fn steady_job_is_noticed_within_a_minute(
            duration in 1..10_000_u64, total in 10_000..50_000_u64, lag in 0..4_u64,
        ) {
            let (polls, late) = track(duration, lag, |now| progress(total, total * now / duration));
            let (made, _) = regular_polls(Duration::from_secs(duration + late));
            prop_assert!(late <= 60, "{late} s late");
            prop_assert!(polls <= made + 1, "{polls} and {made}");
        }

        #[test]
        fn job_of_any_pace_needs_one_more_poll_at_most(
            duration in 1..40_000_u64, stops_at in 1..100_u64, lag in 0..4_u64,
        ) {
            let (polls, late) = track(duration, lag, |_| progress(100, stops_at));
            let (made, _) = regular_polls(Duration::from_secs(duration + late));
            prop_assert!(late <= 301 + lag, "{late} s late");
            prop_assert!(polls <= made + 1, "{polls} and {made}");
        }
    }
}
