//! `GET /deliveries/{id}` and its body, and the groups of dead letters.

use std::sync::Arc;

use ::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use ::http::{HeaderValue, StatusCode};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::answer::json_answer;
use crate::api::path::PathText;
use crate::app::App;
use crate::app::operations::{DeliveryDetails, delivery_id};
use crate::inbound::rejection::Rejection;
use crate::store::{JobSummary, time_text};

/// `GET /deliveries/{id}`.
pub(super) async fn show_delivery(
    State(app): State<Arc<App>>,
    PathText(id): PathText<String>,
) -> Result<Response, Rejection> {
    let id = delivery_id(app.store(), &id).await?;
    let details = DeliveryDetails::read(app.store(), &id).await?;
    Ok(json_answer(StatusCode::OK, &delivery_json(&details)))
}

/// The JSON of a delivery.
pub fn delivery_json(details: &DeliveryDetails) -> Value {
    let entry = &details.summary.entry;
    let stored = details.stored.as_ref();
    let content_type = stored
        .and_then(|stored| stored.headers.get(CONTENT_TYPE)?.to_str().ok())
        .or(entry.content_type.as_deref());
    let mut json = details.summary.to_json();
    json["steps"] = json!(entry.steps);
    json["error"] = json!(entry.error);
    json["body"] = json!({
        "stored": stored.is_some(),
        "bytes": stored.map_or(entry.bytes, |stored| Some(stored.body.len() as u64)),
        "content_type": content_type,
    });
    json["kept_until"] = json!(details.kept_until.map(time_text));
    json["jobs"] = details.jobs.iter().map(JobSummary::to_json).collect();
    json
}

/// `GET /deliveries/{id}/body`: the body alone, without any header.
pub(super) async fn show_body(
    State(app): State<Arc<App>>,
    PathText(id): PathText<String>,
) -> Result<Response, Rejection> {
    let id = delivery_id(app.store(), &id).await?;
    let details = DeliveryDetails::read(app.store(), &id).await?;
    let Some(stored) = details.stored else {
        return Err(Rejection::NotPossible(format!(
            "the body of delivery {id} is not stored any more: only dead letters and deliveries in progress are"
        )));
    };
    Ok(match String::from_utf8(stored.body.to_vec()) {
        Ok(text) => {
            let headers = [
                (
                    CONTENT_TYPE,
                    HeaderValue::from_static("text/plain; charset=utf-8"),
                ),
                (CACHE_CONTROL, HeaderValue::from_static("no-store")),
                (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            ];
            (StatusCode::OK, headers, text).into_response()
        }
        Err(bytes) => {
            let encoded = STANDARD.encode(bytes.as_bytes());
            json_answer(StatusCode::OK, &json!({ "base64": encoded }))
        }
    })
}

/// `GET /dead-letters`.
pub(super) async fn dead_letters(State(app): State<Arc<App>>) -> Result<Response, Rejection> {
    let groups = app.dead_letter_groups().await?;
    Ok(json_answer(StatusCode::OK, &groups.to_json()))
}
