//! Calls that must not be sent twice: what is written down before they are sent, and how it is found out what became of
//! those that nobody answered.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use tokio::sync::{mpsc, oneshot};

use super::effects::Done;
use super::work::CallRef;
use super::{CLAIMS_AT_ONCE, Engine, LeasedJob, TurnDeadlines};
use crate::failpoint::reach;
use crate::job::{CallEvent, Evidence, Job};
use crate::outcome::Refusal;
use crate::update::{ModuleName, RecordId};
use crate::zoho::CallResult;

/// Said of a call that was about to be sent when its driver was lost.
const LOST: &str = "masshook was stopped between the call and its answer";

/// A call in doubt.
pub(super) struct UnresolvedCall {
    pub(super) part: CallRef,
    connection: String,
    module: ModuleName,
    /// What is to be read; none if there is nothing that could tell.
    evidence: Option<Evidence>,
}

/// What was found out about a call in doubt: the records on which it was carried out; none if that will never be known.
pub(super) type Resolution = Option<CallResult<BTreeSet<RecordId>>>;

impl UnresolvedCall {
    /// The doubt about a job's call.
    pub(super) fn of(job: &Job, part: CallRef) -> Self {
        Self {
            part,
            connection: job.connection.clone(),
            module: job.request.module.clone(),
            evidence: job.evidence(part.seq),
        }
    }
}

impl Engine {
    /// Has it written down for every job of a batch that it is about to be sent, and says whether that was done.
    pub(super) async fn announce(&self, parts: &[CallRef], tell: &mpsc::Sender<Done>) -> bool {
        let (written, answer) = oneshot::channel();
        let announcement = Done::Announced(parts.to_vec(), written);
        tell.send(announcement).await.is_ok() && answer.await.unwrap_or(false)
    }

    /// Writes down, for the jobs that these calls are of, that they are about to be sent, or that they were not after all.
    /// Says whether that was done for all.
    pub(super) async fn mark(
        &self,
        held: &mut [LeasedJob],
        parts: &[CallRef],
        sending: bool,
    ) -> bool {
        let mut changed = BTreeSet::new();
        for part in parts {
            let Some(held) = held.get_mut(part.job) else {
                continue;
            };
            let marked = match sending {
                true => held.job.begin_send(part.seq),
                false => held.job.cancel_send(part.seq),
            };
            if marked {
                changed.insert(part.job);
            }
        }
        let to_write = held
            .iter_mut()
            .enumerate()
            .filter(|(place, _)| changed.contains(place));
        futures_util::stream::iter(to_write)
            .for_each_concurrent(CLAIMS_AT_ONCE, |(_, held)| self.checkpoint(held))
            .await;
        reach("send.announced");
        let mut jobs = parts.iter().filter_map(|part| held.get(part.job));
        jobs.all(|held| held.failed.is_none())
    }

    /// Finds out about a call in doubt.
    pub(super) async fn clarify(&self, doubt: UnresolvedCall, turn: TurnDeadlines) -> Option<Done> {
        let UnresolvedCall {
            part,
            connection,
            module,
            evidence,
        } = doubt;
        let Some(Evidence { ids, sets }) = evidence else {
            return Some(Done::Clarified(part, None));
        };
        let client = self.connections.get(&connection)?;
        let read = client.reread(&module, &ids, &sets, turn.give_up).await;
        Some(Done::Clarified(part, Some(read)))
    }
}

/// What that means for the call.
pub(super) fn clarified_event(clarified: Resolution) -> CallEvent {
    let outcome = match clarified {
        None => return CallEvent::outcome_unknown(LOST),
        Some(CallResult { outcome, .. }) => outcome,
    };
    match outcome {
        Ok(found) => CallEvent::FoundUpdated(found),
        Err(error) => match error.retry_after() {
            Some(wait) => CallEvent::NeedsReread {
                why: error.into_refusal(),
                wait,
            },
            None => unreadable(error.refusal()),
        },
    }
}

/// The records cannot be read, so nobody will know.
fn unreadable(why: &Refusal) -> CallEvent {
    CallEvent::outcome_unknown(&format!("its records cannot be read: {why}"))
}
