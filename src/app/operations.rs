//! What operators do with jobs and deliveries, the same for the HTTP API, the console and the command line: lists, replays,
//! redeliveries, discards, one by one or all that match a filter.

mod bulk;
mod cursor;
mod dead_letter_groups;
mod deliveries;
mod erasure;
mod jobs;
mod live;
mod query;

pub use bulk::{
    BulkItem, BulkOutcome, BulkRequest, BulkResult, MAX_BULK_ITEMS, discard_deliveries,
    matching_deliveries, matching_jobs, only_dead_letters,
};
pub use cursor::{CursorForm, ListKind};
pub use dead_letter_groups::{
    DeadLetterGroup, DeadLetterGroupView, DeadLetterGroups, DeadLetterGroupsView,
};
pub use deliveries::{DeliveryDetails, delivery_id, discard_delivery};
pub use erasure::{Erasure, ErasureQuery};
pub use jobs::{JobOperations, JobReplay, JobReplayView, QueuedJob};
pub use live::MAX_WAIT;
pub(super) use live::Waits;
pub use query::{
    DELIVERY_PARAMETERS, InvalidParameter, JOB_PARAMETERS, ListQuery, MAX_LIMIT, MAX_VALUE,
    PAGE_PARAMETERS, Parameters, parse_moment,
};
