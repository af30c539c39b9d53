//! What operators do: lists of jobs and deliveries, replays, redeliveries, discards. `api/operations.rs` mounts it behind the
//! key of the API, and the console behind its guard.

pub(super) mod actions;
mod answer;
pub(super) mod deliveries;
pub(super) mod lists;
pub(super) mod view;

use std::sync::Arc;

use axum::Router;

use super::operations;
use crate::app::App;
pub use view::delivery_json;

/// The routes of the operator API.
pub fn router() -> Router<Arc<App>> {
    operations::operator_router()
}
