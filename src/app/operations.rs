//! What operators do with jobs and deliveries, the same for the HTTP API, the console and the command line: lists, replays,
//! redeliveries, discards, one by one or all that match a filter.

mod live;
mod query;

pub use live::MAX_WAIT;
pub(super) use live::Waits;
pub use query::{
    DELIVERY_PARAMETERS, InvalidParameter, JOB_PARAMETERS, ListQuery, Parameters, parse_moment,
};
