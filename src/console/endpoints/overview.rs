//! `GET /api/overview`: counts of the last hours, and what needs attention. It costs the same however many jobs are stored.

use std::sync::Arc;

use ::http::StatusCode;
use axum::response::Response;

use super::super::listener::ConsoleSettings;
use crate::api::json_response;
use crate::app::App;

/// The hours that are shown by default.
const HOURS: u32 = 24;

pub(super) async fn show(app: Arc<App>, settings: Arc<ConsoleSettings>, query: String) -> Response {
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    let hours = parameters.find(|(key, _)| key == "hours");
    let hours = hours.and_then(|(_, value)| value.parse().ok());
    let overview = app
        .overview(&settings.activity, hours.unwrap_or(HOURS))
        .await;
    json_response(StatusCode::OK, &overview)
}
