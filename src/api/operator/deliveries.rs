//! `GET /deliveries/{id}` and its body, and the groups of dead letters.

use std::sync::Arc;

use ::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use ::http::{HeaderValue, StatusCode};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::answer::json_answer;
use super::view::{BinaryBodyView, delivery_json};
use crate::api::path::PathText;
use crate::app::App;
use crate::app::operations::{DeliveryDetails, delivery_id};
use crate::inbound::rejection::Rejection;

/// `GET /deliveries/{id}`.
pub(in crate::api) async fn show_delivery(
    State(app): State<Arc<App>>,
    PathText(id): PathText<String>,
) -> Result<Response, Rejection> {
    let id = delivery_id(app.store(), &id).await?;
    let details = DeliveryDetails::read(app.store(), &id).await?;
    Ok(json_answer(StatusCode::OK, &delivery_json(&details)))
}

/// `GET /deliveries/{id}/body`: the body alone, without any header.
pub(in crate::api) async fn show_body(
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
            json_answer(StatusCode::OK, &BinaryBodyView { base64: encoded })
        }
    })
}

/// `GET /dead-letters`.
pub(in crate::api) async fn dead_letters(
    State(app): State<Arc<App>>,
) -> Result<Response, Rejection> {
    let groups = app.dead_letter_groups().await?;
    Ok(json_answer(StatusCode::OK, &groups.view()))
}
