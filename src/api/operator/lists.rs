//! Lists of jobs and deliveries, and single ones.

use std::sync::Arc;
use std::time::Duration;

use ::http::StatusCode;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::Response;

use super::answer::json_answer;
use super::view::{DeliveryListView, JobListView};
use crate::api::InvocationDeadline;
use crate::api::path::PathText;
use crate::app::App;
use crate::app::operations::ListQuery;
use crate::inbound::rejection::Rejection;
use crate::job::view::JobView;

/// `GET /jobs`.
pub(in crate::api) async fn list_jobs(
    State(app): State<Arc<App>>,
    deadline: Option<Extension<InvocationDeadline>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Rejection> {
    let query = ListQuery::of_jobs(&query.unwrap_or_default(), app.store(), app.now())?;
    let query = without_billed_wait(query, &deadline);
    let page = query.cursors.encode(app.list_jobs(&query).await?);
    Ok(json_answer(StatusCode::OK, &JobListView::of(&page)))
}

/// `GET /deliveries`.
pub(in crate::api) async fn list_deliveries(
    State(app): State<Arc<App>>,
    deadline: Option<Extension<InvocationDeadline>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Rejection> {
    let query = ListQuery::of_deliveries(&query.unwrap_or_default(), app.store(), app.now())?;
    let query = without_billed_wait(query, &deadline);
    let page = query.cursors.encode(app.list_deliveries(&query).await?);
    Ok(json_answer(StatusCode::OK, &DeliveryListView::of(&page)))
}

/// A function does not wait: its time is billed.
fn without_billed_wait<F>(
    query: ListQuery<F>,
    deadline: &Option<Extension<InvocationDeadline>>,
) -> ListQuery<F> {
    let wait = match deadline {
        Some(_) => Duration::ZERO,
        None => query.wait,
    };
    ListQuery { wait, ..query }
}

/// `GET /jobs/{id}`.
pub(in crate::api) async fn show_job(
    State(app): State<Arc<App>>,
    PathText(id): PathText<String>,
) -> Result<Response, Rejection> {
    let jobs = app.job_operations();
    let job = jobs.job(&jobs.find_job(&id).await?).await?;
    let view = JobView {
        replay: jobs.replay_of(&job).await?.map(|id| id.to_string()),
        ..JobView::in_full(&job)
    };
    Ok(json_answer(StatusCode::OK, &view))
}
