//! A job: one update request, its calls and their states, and its next step. Pure: no I/O, no clock.

mod apply;
pub mod call;
mod callback;
mod counts;
mod creation;
mod dead_letter;
pub mod history;
mod id;
mod model;
mod notification;
mod on_unknown_outcome;
mod order;
pub mod preparation;
mod prepare;
mod status;
mod step;
mod unknown_outcome;
pub mod view;

pub use crate::outcome::{Failure, NewRecordOutcome, Progress, Refusal, SentRequest};
pub use call::event::{CallEvent, SupersededRecords};
pub use call::status::{CallEventKind, CallStatus, InvalidTransition, RecordTally};
pub use call::{CallState, TRACK_FOR};
pub use callback::{
    CallbackFormat, CallbackOn, CallbackState, CallbackStatus, InvalidCallbackOn,
    ProgressCallbacks, ProgressSnapshot,
};
pub use dead_letter::DeadLetterReason;
pub use history::{CallbackAttempt, History, IntakeTimes, Sharing};
pub use id::JobId;
pub use model::{FAILURES_KEPT, Job, JobSource};
pub use notification::{
    CloudEventBody, Notification, NotificationBody, NotificationResult, NotificationType,
};
pub use on_unknown_outcome::{InvalidOnUnknownOutcome, OnUnknownOutcome};
pub use order::{JobOrder, OrderKey};
pub use preparation::{
    AlreadyPrepared, Lookup, MatchCount, Preparation, PreparationOutcome, PreparationResult,
    PreparationStatus,
};
pub use status::{Counts, JobStatus};
pub use step::NextStep;
pub use unknown_outcome::Evidence;

#[cfg(test)]
mod tests;
