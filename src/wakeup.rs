//! Wake-ups: hints that jobs may be due. They may be lost, duplicated, late or out of order, because the store decides which
//! jobs are due.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::job::{Job, JobId};
use crate::sync;

/// The version of the message.
const VERSION: u32 = 1;

/// A wake-up could not be sent. The next sweep finds the jobs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{jobs} jobs could not be woken ({reason})")]
pub struct WakeUpFailed {
    /// The number of jobs that were not woken.
    pub jobs: usize,
    /// The error.
    pub reason: String,
    /// Whether a retry may succeed.
    pub retryable: bool,
}

/// A job to wake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WakeUp {
    /// The job.
    pub job: JobId,
    /// Its connection, if it is known. A queue can keep the wake-ups of a busy connection from delaying those of others.
    pub connection: Option<String>,
    /// When to wake it.
    pub delay: Duration,
}

impl WakeUp {
    /// A wake-up of a job whose connection is unknown.
    pub fn of_id(job: &JobId, delay: Duration) -> Self {
        Self {
            job: job.clone(),
            connection: None,
            delay,
        }
    }

    /// A wake-up of a job.
    pub fn of(job: &Job, delay: Duration) -> Self {
        Self {
            connection: Some(job.connection.clone()),
            ..Self::of_id(&job.id, delay)
        }
    }
}

/// Sends wake-ups.
#[async_trait]
pub trait WakeUps: std::fmt::Debug + Send + Sync {
    /// Schedules a wake-up of each job after its delay.
    ///
    /// # Errors
    /// [`WakeUpFailed`] if at least one job could not be woken.
    async fn wake(&self, wake_ups: &[WakeUp]) -> Result<(), WakeUpFailed>;
}

/// The message of a wake-up.
#[derive(Serialize, Deserialize)]
struct Message {
    v: u32,
    jobs: Vec<JobId>,
}

/// A text that is not a wake-up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWakeUp {
    /// The JSON is not that of a wake-up.
    #[error("is not a wake-up: {0}")]
    Malformed(String),
    /// The version is unknown.
    #[error("is a wake-up of version {0}, and this program knows 1")]
    Version(u64),
}

/// Encodes a wake-up.
pub fn message(jobs: &[JobId]) -> String {
    let jobs: Vec<&str> = jobs.iter().map(JobId::as_str).collect();
    serde_json::json!({"v": VERSION, "jobs": jobs}).to_string()
}

/// Decodes a wake-up.
///
/// # Errors
/// [`InvalidWakeUp`].
pub fn parse(text: &str) -> Result<Vec<JobId>, InvalidWakeUp> {
    #[derive(Deserialize)]
    struct Version {
        v: u64,
    }
    let malformed = |error: serde_json::Error| InvalidWakeUp::Malformed(error.to_string());
    // The version is read first, because a message of another version may have any form.
    let Version { v } = serde_json::from_str(text).map_err(malformed)?;
    if v != u64::from(VERSION) {
        return Err(InvalidWakeUp::Version(v));
    }
    let message: Message = serde_json::from_str(text).map_err(malformed)?;
    Ok(message.jobs)
}

/// Wake-ups within one process. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct LocalWakeUps(Arc<Timers>);

#[derive(Debug, Default)]
struct Timers {
    schedule: Mutex<Schedule>,
    /// Notified when the schedule changes.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Schedule {
    /// Jobs to wake at once, which is the rule.
    ready: Vec<JobId>,
    /// The earliest wake-up of each job.
    jobs: BTreeMap<JobId, Instant>,
    /// The same wake-ups in order.
    queue: BTreeSet<(Instant, JobId)>,
}

impl LocalWakeUps {
    /// No wake-ups.
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits until jobs are due for a wake-up, and returns them. Dropping the future loses no wake-up.
    pub async fn next(&self) -> Vec<JobId> {
        loop {
            // Registered before the schedule is read, so that a change in between ends the wait.
            let changed = self.0.changed.notified();
            let (ready, next) = self.take(Instant::now());
            if !ready.is_empty() {
                return ready;
            }
            match next {
                None => changed.await,
                Some(at) => {
                    let _ = tokio::time::timeout_at(at, changed).await;
                }
            }
        }
    }

    fn take(&self, now: Instant) -> (Vec<JobId>, Option<Instant>) {
        let mut schedule = sync::lock(&self.0.schedule);
        let mut ready = std::mem::take(&mut schedule.ready);
        while let Some((at, id)) = schedule.queue.pop_first() {
            if at > now {
                schedule.queue.insert((at, id));
                return (ready, Some(at));
            }
            schedule.jobs.remove(&id);
            ready.push(id);
        }
        (ready, None)
    }
}

#[async_trait]
impl WakeUps for LocalWakeUps {
    async fn wake(&self, wake_ups: &[WakeUp]) -> Result<(), WakeUpFailed> {
        let now = Instant::now();
        {
            let mut schedule = sync::lock(&self.0.schedule);
            for WakeUp { job: id, delay, .. } in wake_ups {
                if delay.is_zero() {
                    if let Some(later) = schedule.jobs.remove(id) {
                        schedule.queue.remove(&(later, id.clone()));
                    }
                    schedule.ready.push(id.clone());
                    continue;
                }
                let at = now.checked_add(*delay).unwrap_or(now);
                match schedule.jobs.insert(id.clone(), at) {
                    Some(earlier) if earlier <= at => {
                        schedule.jobs.insert(id.clone(), earlier);
                        continue;
                    }
                    Some(later) => {
                        schedule.queue.remove(&(later, id.clone()));
                    }
                    None => {}
                }
                schedule.queue.insert((at, id.clone()));
            }
        }
        self.0.changed.notify_one();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str) -> JobId {
        JobId::from_outside(name)
    }

    #[test]
    fn message_round_trips() {
        let jobs = [job("job_a"), job("job_b")];
        let text = message(&jobs);
        assert_eq!(text, r#"{"v":1,"jobs":["job_a","job_b"]}"#);
        assert_eq!(parse(&text), Ok(jobs.to_vec()));
        assert_eq!(
            parse(r#"{"v":2,"work":"other"}"#),
            Err(InvalidWakeUp::Version(2))
        );
        for bad in ["", "[]", "{}", r#"{"v":1}"#, r#"{"v":1,"jobs":[7]}"#] {
            assert!(
                matches!(parse(bad), Err(InvalidWakeUp::Malformed(_))),
                "{bad}"
            );
        }
    }

    #[tokio::test]
    async fn jobs_wake_once_when_due() {
        let wake_ups = LocalWakeUps::new();
        let delays = [("c", 300), ("a", 50), ("b", 100), ("a", 500), ("c", 150)];
        let delays = delays.map(|(name, ms)| WakeUp::of_id(&job(name), Duration::from_millis(ms)));
        let start = Instant::now();
        wake_ups.wake(&delays).await.expect("woken");
        let mut woken = Vec::new();
        for (name, ms) in [("a", 50), ("b", 100), ("c", 150)] {
            while !woken.contains(&job(name)) {
                woken.extend(wake_ups.next().await);
            }
            assert!(start.elapsed() >= Duration::from_millis(ms), "{name}");
        }
        assert_eq!(woken, [job("a"), job("b"), job("c")]);
        let timeout = Duration::from_millis(500);
        let next = tokio::time::timeout(timeout, wake_ups.next()).await;
        assert!(next.is_err(), "{next:?}");
    }

    #[tokio::test]
    async fn earlier_wake_up_shortens_wait() {
        let wake_ups = LocalWakeUps::new();
        let far = WakeUp::of_id(&job("far"), Duration::from_secs(600));
        wake_ups.wake(&[far]).await.expect("woken");
        let waiter = tokio::spawn({
            let wake_ups = wake_ups.clone();
            async move { wake_ups.next().await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        let near = WakeUp::of_id(&job("near"), Duration::ZERO);
        wake_ups.wake(&[near]).await.expect("woken");
        assert_eq!(waiter.await.expect("no panic"), [job("near")]);
    }
}
