//! The API of the console.

mod status;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;

use super::listener::ConsoleSettings;
use crate::api::operator;
use crate::app::App;

/// The router of all paths below `/api`.
pub(super) fn router(settings: &ConsoleSettings) -> Router<Arc<App>> {
    let settings = Arc::new(settings.clone());
    let show_status = move |State(app): State<Arc<App>>| status::show(app, settings.clone());
    operator::router().route("/status", get(show_status))
}
