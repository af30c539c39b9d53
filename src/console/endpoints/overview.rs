//! `GET /api/overview`: counts of the last hours, and what needs attention. It costs the same however many jobs are stored.

use std::sync::Arc;

use ::http::StatusCode;
use axum::response::Response;

use super::super::listener::ConsoleSettings;
use crate::api::json_response;
use crate::app::App;
use crate::app::operations::InvalidParameter;
use crate::inbound::rejection::Rejection;

/// The hours that are shown by default.
const HOURS: u32 = 24;

/// The most hours that are counted.
const MAX_HOURS: u32 = 24;

pub(super) async fn show(
    app: Arc<App>,
    settings: Arc<ConsoleSettings>,
    query: String,
) -> Result<Response, Rejection> {
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    let hours = parameters.find(|(key, _)| key == "hours");
    let hours = match hours {
        None => HOURS,
        Some((_, value)) => {
            let hours = value.parse().ok();
            let hours = hours.filter(|hours| (1..=MAX_HOURS).contains(hours));
            hours.ok_or_else(|| {
                let detail = format!("is not a whole number from 1 to {MAX_HOURS}");
                InvalidParameter::new("hours", detail)
            })?
        }
    };
    let overview = app.overview(&settings.activity, hours).await;
    Ok(json_response(StatusCode::OK, &overview))
}
