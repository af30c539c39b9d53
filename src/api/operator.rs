//! The operator API: lists of jobs and deliveries, and what operators do with them. It is mounted behind the key of the API,
//! and behind the guard of the console.

mod actions;
mod answer;
mod deliveries;
mod lists;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::{only_post, readable};
use crate::app::App;
pub use deliveries::delivery_json;
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
        .route(
            "/deliveries/{id}",
            get(deliveries::show_delivery).fallback(readable),
        )
        .route(
            "/deliveries/{id}/body",
            get(deliveries::show_body).fallback(readable),
        )
        .route(
            "/dead-letters",
            get(deliveries::dead_letters).fallback(readable),
        )
        .merge(actions())
}

/// What changes jobs and deliveries.
fn actions() -> Router<Arc<App>> {
    let routes = [
        ("/jobs/{id}/replay", post(actions::replay_job)),
        ("/jobs/{id}/redeliver", post(actions::redeliver_job)),
        ("/jobs/replay", post(actions::replay_jobs)),
        ("/jobs/redeliver", post(actions::redeliver_jobs)),
        ("/deliveries/{id}/replay", post(actions::replay_delivery)),
        ("/deliveries/{id}/discard", post(actions::discard)),
        ("/deliveries/replay", post(actions::replay_deliveries)),
        ("/deliveries/discard", post(actions::discard_all)),
    ];
    let routes = routes.into_iter();
    routes.fold(Router::new(), |router, (path, methods)| {
        router.route(path, methods.fallback(only_post))
    })
}
