//! What operators do with jobs and deliveries.

use std::sync::Arc;

use ::http::StatusCode;
use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::Value;

use super::answer::json_answer;
use super::view::DiscardedView;
use crate::api::AcceptedBody;
use crate::api::body::read_body;
use crate::api::path::PathText;
use crate::app::App;
use crate::app::operations::{
    BulkRequest, QueuedJob, delivery_id, discard_deliveries, discard_delivery,
};
use crate::inbound::rejection::Rejection;
use crate::mapping::Document;

/// The longest body of an operation.
const MAX_BODY_BYTES: usize = 64 << 10;

/// `POST /jobs/{id}/replay`.
pub(in crate::api) async fn replay_job(
    State(app): State<Arc<App>>,
    PathText(id): PathText<String>,
) -> Result<Response, Rejection> {
    let jobs = app.job_operations();
    let replay = jobs.replay(&jobs.find_job(&id).await?).await?;
    Ok(json_answer(StatusCode::ACCEPTED, &replay.view()))
}

/// `POST /jobs/{id}/redeliver`.
pub(in crate::api) async fn redeliver_job(
    State(app): State<Arc<App>>,
    PathText(id): PathText<String>,
) -> Result<Response, Rejection> {
    let jobs = app.job_operations();
    let id = jobs.find_job(&id).await?;
    jobs.redeliver(&id).await?;
    Ok(json_answer(StatusCode::ACCEPTED, &QueuedJob::new(&id)))
}

/// `POST /jobs/replay`.
pub(in crate::api) async fn replay_jobs(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Rejection> {
    let request = BulkRequest::of_jobs(&read_json(request).await?, app.now())?;
    let done = app.job_operations().replay_all(&request).await?;
    Ok(json_answer(StatusCode::OK, &done))
}

/// `POST /jobs/redeliver`.
pub(in crate::api) async fn redeliver_jobs(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Rejection> {
    let request = BulkRequest::of_jobs(&read_json(request).await?, app.now())?;
    let done = app.job_operations().redeliver_all(&request).await?;
    Ok(json_answer(StatusCode::OK, &done))
}

/// `POST /deliveries/{id}/replay`.
pub(in crate::api) async fn replay_delivery(
    State(app): State<Arc<App>>,
    PathText(id): PathText<String>,
) -> Result<Response, Rejection> {
    let id = delivery_id(app.store(), &id).await?;
    let accepted = app.replay_delivery(&id).await?;
    let answer = AcceptedBody::of(&accepted, "");
    Ok(json_answer(StatusCode::ACCEPTED, &answer))
}

/// `POST /deliveries/{id}/discard`.
pub(in crate::api) async fn discard(
    State(app): State<Arc<App>>,
    PathText(id): PathText<String>,
) -> Result<Response, Rejection> {
    let id = delivery_id(app.store(), &id).await?;
    discard_delivery(app.store(), &id).await?;
    Ok(json_answer(
        StatusCode::OK,
        &DiscardedView { discarded: id },
    ))
}

/// `POST /deliveries/replay`.
pub(in crate::api) async fn replay_deliveries(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Rejection> {
    let request = BulkRequest::of_deliveries(&read_json(request).await?, app.now())?;
    let done = app.replay_deliveries(&request).await?;
    Ok(json_answer(StatusCode::OK, &done))
}

/// `POST /deliveries/discard`.
pub(in crate::api) async fn discard_all(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Rejection> {
    let request = BulkRequest::of_deliveries(&read_json(request).await?, app.now())?;
    let done = discard_deliveries(app.store(), &request).await?;
    Ok(json_answer(StatusCode::OK, &done))
}

async fn read_json(request: Request) -> Result<Value, Rejection> {
    let (parts, body) = request.into_parts();
    let body = read_body(body, MAX_BODY_BYTES, parts.extensions.get()).await?;
    let (body, _reserved) = body.into_parts();
    let invalid = |why: String| Rejection::InvalidParameter {
        parameter: "body".to_owned(),
        detail: format!("is not JSON: {why}"),
        allowed: Vec::new(),
    };
    // Parsers disagree about duplicate keys, so these are errors.
    let document = Document::from_json(&body).map_err(|error| invalid(error.to_string()))?;
    serde_json::from_str(document.text()).map_err(|error| invalid(error.to_string()))
}
