//! Wake-ups: hints that jobs may be due. One may be lost, doubled, late or out of order without harm, because the store
//! is asked all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::job::JobId;
use crate::sync;

/// The version of the message.
const VERSION: u32 = 1;

/// A wake-up could not be sent. The jobs are found by the next sweep.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{jobs} jobs could not be woken ({reason})")]
pub struct WakeUpFailed {
    /// How many of the jobs were not woken.
    pub jobs: usize,
    /// What went wrong.
    pub reason: String,
    /// Whether it may work a little later.
    pub retryable: bool,
}

/// Sends wake-ups.
#[async_trait]
pub trait WakeUps: std::fmt::Debug + Send + Sync {
    /// Asks for each job to be driven after its delay.
    ///
    /// # Errors
    /// [`WakeUpFailed`], if not all of them could be woken.
    async fn wake(&self, jobs: &[(JobId, Duration)]) -> Result<(), WakeUpFailed>;
}

/// The message of a wake-up.
#[derive(Serialize, Deserialize)]
struct Message {
    v: u32,
    jobs: Vec<JobId>,
}

/// The text is not a wake-up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWakeUp {
    /// Not the JSON of one.
    #[error("is not a wake-up: {0}")]
    Malformed(String),
    /// Of another version.
    #[error("is a wake-up of version {0}, and this program knows 1")]
    Version(u64),
}

/// The text of a wake-up.
pub fn message(jobs: &[JobId]) -> String {
    let jobs: Vec<&str> = jobs.iter().map(JobId::as_str).collect();
    serde_json::json!({"v": VERSION, "jobs": jobs}).to_string()
}

/// The jobs that a wake-up is about.
///
/// # Errors
/// [`InvalidWakeUp`].
pub fn parse(text: &str) -> Result<Vec<JobId>, InvalidWakeUp> {
    #[derive(Deserialize)]
    struct Version {
        v: u64,
    }
    let malformed = |error: serde_json::Error| InvalidWakeUp::Malformed(error.to_string());
    // The version first: a message of another one may have any form.
    let Version { v } = serde_json::from_str(text).map_err(malformed)?;
    if v != u64::from(VERSION) {
        return Err(InvalidWakeUp::Version(v));
    }
    let message: Message = serde_json::from_str(text).map_err(malformed)?;
    Ok(message.jobs)
}

/// Wake-ups within one process. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct LocalWakeUps(Arc<Alarms>);

#[derive(Debug, Default)]
struct Alarms {
    /// Each job once, at its earliest moment.
    at: Mutex<Moments>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Moments {
    jobs: BTreeMap<JobId, Instant>,
    moments: BTreeSet<(Instant, JobId)>,
}

impl LocalWakeUps {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits until some jobs are to be driven, and returns them. Dropping the future loses nothing.
    pub async fn next(&self) -> Vec<JobId> {
        loop {
            // Before the look: what comes between the look and the wait must end the wait.
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
        let mut alarms = sync::lock(&self.0.at);
        let mut ready = Vec::new();
        while let Some((at, id)) = alarms.moments.pop_first() {
            if at > now {
                alarms.moments.insert((at, id));
                return (ready, Some(at));
            }
            alarms.jobs.remove(&id);
            ready.push(id);
        }
        (ready, None)
    }
}

#[async_trait]
impl WakeUps for LocalWakeUps {
    async fn wake(&self, jobs: &[(JobId, Duration)]) -> Result<(), WakeUpFailed> {
        let now = Instant::now();
        {
            let mut alarms = sync::lock(&self.0.at);
            for (id, delay) in jobs {
                let at = now.checked_add(*delay).unwrap_or(now);
                match alarms.jobs.insert(id.clone(), at) {
                    Some(earlier) if earlier <= at => {
                        alarms.jobs.insert(id.clone(), earlier);
                        continue;
                    }
                    Some(later) => {
                        alarms.moments.remove(&(later, id.clone()));
                    }
                    None => {}
                }
                alarms.moments.insert((at, id.clone()));
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
        let alarms = LocalWakeUps::new();
        let delays = [("c", 300), ("a", 50), ("b", 100), ("a", 500), ("c", 150)];
        let delays = delays.map(|(name, ms)| (job(name), Duration::from_millis(ms)));
        let start = Instant::now();
        alarms.wake(&delays).await.expect("woken");
        let mut woken = Vec::new();
        for (name, ms) in [("a", 50), ("b", 100), ("c", 150)] {
            while !woken.contains(&job(name)) {
                woken.extend(alarms.next().await);
            }
            assert!(start.elapsed() >= Duration::from_millis(ms), "{name}");
        }
        assert_eq!(woken, [job("a"), job("b"), job("c")]);
        let patience = Duration::from_millis(500);
        let nothing = tokio::time::timeout(patience, alarms.next()).await;
        assert!(nothing.is_err(), "{nothing:?}");
    }

    #[tokio::test]
    async fn earlier_wake_up_shortens_wait() {
        let alarms = LocalWakeUps::new();
        let far = (job("far"), Duration::from_secs(600));
        alarms.wake(&[far]).await.expect("woken");
        let waiter = tokio::spawn({
            let alarms = alarms.clone();
            async move { alarms.next().await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        let near = (job("near"), Duration::ZERO);
        alarms.wake(&[near]).await.expect("woken");
        assert_eq!(waiter.await.expect("no panic"), [job("near")]);
    }
}
