//! How a job records its history.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    Entry, History, IntakeTimes, MAX_ERROR_CHARS, Omitted, SHARED_ID_CHARS, SHARED_WITH_SHOWN,
    Sharing, Step, WaitReason,
};
use crate::clock::after;
use crate::codes::Cause;
use crate::job::{Job, JobId};
use crate::outcome::{Refusal, SentRequest};

/// Pauses before a request that are too short to be recorded.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);

/// The same for the time until a request has its permits. It includes requests to the store, even if nobody else has one.
const SHORTEST_QUEUE: Duration = Duration::from_millis(100);

/// One attempt to deliver a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallbackAttempt {
    /// When it was sent.
    pub sent_at: Timestamp,
    /// The time until its answer, or until it was given up.
    pub took: Duration,
    /// The status of the answer.
    pub status: Option<u16>,
}

impl Sharing {
    /// The jobs with which `own` shares a request for `jobs`, each of which is named once.
    pub fn of(own: &JobId, jobs: &[JobId]) -> Self {
        let others = jobs.len().saturating_sub(1) as u64;
        let ids = jobs.iter().filter(|id| *id != own).take(SHARED_WITH_SHOWN);
        let short = |id: &JobId| {
            let id = id.as_str();
            id.strip_prefix("job_")
                .unwrap_or(id)
                .chars()
                .take(SHARED_ID_CHARS)
                .collect()
        };
        Self {
            others,
            ids: ids.map(short).collect(),
        }
    }
}

impl Omitted {
    /// Counts a step that this version cannot read.
    pub(super) fn add_unreadable(&mut self, at: i64) {
        if self.count() == 0 {
            (self.from, self.to) = (at, at);
        }
        (self.from, self.to) = (self.from.min(at), self.to.max(at));
        self.others += 1;
    }
}

impl Job {
    /// Records how the job arrived.
    #[must_use]
    pub fn with_intake_times(mut self, times: IntakeTimes) -> Self {
        let step = Step::Received {
            verified: times.verified.map(millis),
            mapped: times.mapped.map(millis),
        };
        let at = -i64::try_from(millis(times.elapsed)).unwrap_or(i64::MAX);
        self.history.push(Entry { at, step });
        self
    }

    /// Milliseconds since the job was accepted.
    pub(super) fn since_start(&self, at: Timestamp) -> i64 {
        at.as_millisecond()
            .saturating_sub(self.created_at.as_millisecond())
    }

    /// Adds a step. A clock that is set back puts no step before the acceptance.
    fn push(&mut self, at: Timestamp, step: Step) {
        let at = self.since_start(at).max(0);
        self.history.push(Entry { at, step });
    }

    /// Records that the job, or one of its calls, waits from `now` until `until`.
    pub(in crate::job) fn record_wait(
        &mut self,
        now: Timestamp,
        until: Option<Timestamp>,
        reason: WaitReason,
        call: Option<usize>,
    ) {
        if let Some(until) = until.filter(|until| *until > now) {
            let until = self.since_start(until);
            self.push(
                now,
                Step::Wait {
                    until,
                    reason,
                    call,
                },
            );
        }
    }

    /// Records an attempt at the preparation that ended now.
    pub(in crate::job) fn record_prepared(
        &mut self,
        took: Duration,
        refusal: Option<&Refusal>,
        now: Timestamp,
    ) {
        let at = now.saturating_sub(took).unwrap_or(now);
        let step = Step::Prepared {
            took: millis(took),
            code: refusal.map(|refusal| refusal.code.clone()),
        };
        self.push(at, step);
    }

    /// Records the requests that were sent for a call, and for the calls of other jobs with it.
    pub fn record_requests(&mut self, seq: usize, requests: &[SentRequest], sharing: &Sharing) {
        self.record_attempts(seq, u32::try_from(requests.len()).unwrap_or(u32::MAX));
        if !requests.is_empty() {
            self.history.remove_announcement(seq);
        }
        for request in requests {
            for (waited, shortest, reason) in [
                (request.throttled, SHORTEST_WAIT, WaitReason::RetryAfter),
                (request.queued, SHORTEST_QUEUE, WaitReason::Concurrency),
            ] {
                if waited >= shortest {
                    let since = request
                        .sent_at
                        .saturating_sub(waited)
                        .unwrap_or(request.sent_at);
                    self.record_wait(since, Some(request.sent_at), reason, Some(seq));
                }
            }
            let step = Step::Call {
                seq,
                took: Some(millis(request.took)),
                status: request.status,
                code: request.code().map(str::to_owned),
                refused: 0,
                sharing: sharing.clone(),
            };
            self.push(request.sent_at, step);
            let answered_at = after(request.sent_at, request.took);
            let until = request.retry_in.map(|wait| after(answered_at, wait));
            let reason = request
                .error
                .as_ref()
                .map_or(WaitReason::Retry, WaitReason::of);
            self.record_wait(answered_at, until, reason, Some(seq));
        }
    }

    /// Records that a call is about to be sent, as after a crash its outcome is unknown.
    pub(in crate::job) fn record_announcement(&mut self, seq: usize, now: Timestamp) {
        let step = Step::Call {
            seq,
            took: None,
            status: None,
            code: None,
            refused: 0,
            sharing: Sharing::default(),
        };
        self.push(now, step);
    }

    /// Records that Zoho refused records of the call that was answered last.
    pub(in crate::job) fn record_refused(&mut self, seq: usize, count: usize) {
        for entry in self.history.entries.iter_mut().rev() {
            if let Step::Call {
                seq: call, refused, ..
            } = &mut entry.step
                && *call == seq
            {
                *refused = count as u64;
                return;
            }
        }
    }

    /// Records a poll of the Zoho job of a call.
    pub fn record_poll(&mut self, seq: usize, requests: &[SentRequest]) {
        let (Some(first), Some(last)) = (requests.first(), requests.last()) else {
            return;
        };
        let at = self.since_start(first.sent_at).max(0);
        let took = requests.iter().map(|request| millis(request.took)).sum();
        self.history.push_poll(at, seq, took, last);
    }

    /// Records that the records of a call with an unknown outcome were read. `found` of them are updated.
    pub fn record_reread(
        &mut self,
        seq: usize,
        requests: &[SentRequest],
        found: Result<u64, &Refusal>,
    ) {
        let Some(first) = requests.first() else {
            return;
        };
        let took = requests.iter().map(|request| millis(request.took)).sum();
        let code = found.err().map(|refusal| refusal.code.clone());
        self.history.close_announcement(seq);
        let found = found.unwrap_or_default();
        self.push(
            first.sent_at,
            Step::Reread {
                seq,
                took,
                found,
                code,
            },
        );
    }

    /// Records that records of a call were left to a newer delivery.
    pub(in crate::job) fn record_superseded(&mut self, seq: usize, count: usize, now: Timestamp) {
        if count > 0 {
            let records = count as u64;
            self.push(now, Step::Superseded { seq, records });
        }
    }

    /// Records an attempt to deliver a callback. `error` explains a missing status.
    pub(in crate::job) fn record_callback(
        &mut self,
        attempt: CallbackAttempt,
        number: u32,
        is_final: bool,
        error: Option<&str>,
    ) {
        let error = error.filter(|_| attempt.status.is_none());
        let step = Step::Callback {
            took: millis(attempt.took),
            status: attempt.status,
            attempt: u64::from(number),
            is_final,
            error: error.map(|error| error.chars().take(MAX_ERROR_CHARS).collect()),
        };
        self.push(attempt.sent_at, step);
    }
}

impl History {
    /// The place of the announcement of a call whose outcome is still open.
    fn announcement(&self, of: usize) -> Option<usize> {
        let is_of = |step: &Step| matches!(step, Step::Call { seq, .. } if *seq == of);
        let mut entries = self.entries.iter();
        entries.rposition(|entry| entry.step.is_open() && is_of(&entry.step))
    }

    /// Removes the announcement of a call whose answer is known now, or that was not sent.
    pub(in crate::job) fn remove_announcement(&mut self, seq: usize) {
        if let Some(place) = self.announcement(seq) {
            self.entries.remove(place);
        }
    }

    /// Notes that no answer to an announced call will arrive.
    fn close_announcement(&mut self, seq: usize) {
        if let Some(place) = self.announcement(seq)
            && let Step::Call { code, .. } = &mut self.entries[place].step
        {
            *code = Some(Cause::AppendOutcomeUnknown.row().code.to_owned());
        }
    }

    /// Adds a poll: to the previous one, if it had the same answer and the job only waited since.
    fn push_poll(&mut self, at: i64, polled: usize, time: u64, answer: &SentRequest) {
        let waits = self.entries.iter().rev().take_while(|entry| {
            matches!(entry.step, Step::Wait { reason: WaitReason::Poll, call, .. } if call == Some(polled))
        });
        let waits = waits.count();
        let previous = self.entries.len().checked_sub(waits + 1);
        if let Some(previous) = previous
            && let Step::Poll {
                seq,
                took,
                status,
                code,
                count,
                last,
            } = &mut self.entries[previous].step
            && *seq == polled
            && *status == answer.status
            && code.as_deref() == answer.code()
        {
            *took += time;
            *count += 1;
            *last = at.max(*last);
            self.entries.truncate(previous + 1);
            return;
        }
        let step = Step::Poll {
            seq: polled,
            took: time,
            status: answer.status,
            code: answer.code().map(str::to_owned),
            count: 1,
            last: at,
        };
        self.push(Entry { at, step });
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
