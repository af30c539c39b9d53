//! Calls whose outcome is unknown: reads their records to find out on which of them Zoho performed the call.

use std::collections::BTreeSet;

use super::batch::CallRef;
use super::{Engine, TurnDeadlines};
use crate::job::{CallEvent, Evidence, Job};
use crate::update::{ModuleName, RecordId};
use crate::zoho::CallResult;

/// The reason if a driver crashed after it had announced a call.
const CRASHED: &str = "masshook was stopped between the call and its answer";

/// A call whose outcome is unknown.
pub(super) struct UnresolvedCall {
    pub(super) call: CallRef,
    connection: String,
    module: ModuleName,
    /// The records to read; none if no record can show the outcome.
    evidence: Option<Evidence>,
}

/// The records on which a call was performed; `None` if that can never be known.
pub(super) type Resolution = Option<CallResult<BTreeSet<RecordId>>>;

impl UnresolvedCall {
    /// A call of a job.
    pub(super) fn of(job: &Job, call: CallRef) -> Self {
        Self {
            call,
            connection: job.connection.clone(),
            module: job.request.module.clone(),
            evidence: job.evidence(call.seq),
        }
    }
}

impl Engine {
    /// Reads the records of a call whose outcome is unknown.
    pub(super) async fn resolve(
        &self,
        unresolved: UnresolvedCall,
        turn: TurnDeadlines,
    ) -> Option<Resolution> {
        let Some(Evidence { ids, sets }) = unresolved.evidence else {
            return Some(None);
        };
        let client = self.connections.get(&unresolved.connection)?;
        let module = &unresolved.module;
        Some(Some(client.reread(module, &ids, &sets, turn.give_up).await))
    }
}

/// What a resolution means for its call.
pub(super) fn resolution_event(resolution: Resolution) -> CallEvent {
    let Some(CallResult { outcome, .. }) = resolution else {
        return CallEvent::outcome_unknown(CRASHED);
    };
    match outcome {
        Ok(found) => CallEvent::FoundUpdated(found),
        Err(error) => match error.retry_after() {
            Some(wait) => CallEvent::NeedsReread {
                reason: error.into_refusal(),
                wait,
            },
            None => CallEvent::outcome_unknown(&format!(
                "its records cannot be read: {}",
                error.refusal()
            )),
        },
    }
}
