//! The operator API: lists of jobs and deliveries, and what operators do with them. It is mounted behind the key of the API,
//! and behind the guard of the console.

mod answer;
mod lists;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use super::readable;
use crate::app::App;
pub(super) use lists::list_jobs;

/// The routes of the operator API.
pub fn router() -> Router<Arc<App>> {
    routes_beside_jobs().route("/jobs", get(list_jobs).fallback(readable))
}

/// The routes without `/jobs`, which the main listener shares with `POST /jobs`.
pub(super) fn routes_beside_jobs() -> Router<Arc<App>> {
    Router::new()
        .route("/jobs/{id}", get(lists::show_job).fallback(readable))
        .route(
            "/deliveries",
            get(lists::list_deliveries).fallback(readable),
        )
}
