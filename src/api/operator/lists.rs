//! Lists of jobs and deliveries, and single ones.

use std::sync::Arc;
use std::time::Duration;

use ::http::StatusCode;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::answer::json_answer;
use crate::api::InvocationDeadline;
use crate::api::path::PathText;
use crate::app::App;
use crate::app::operations::ListQuery;
use crate::inbound::rejection::Rejection;
use crate::job::view::JobView;
use crate::store::delivery_log::DeliverySummary;
use crate::store::{JobSummary, Page};

/// `GET /jobs`.
pub(in crate::api) async fn list_jobs(
    State(app): State<Arc<App>>,
    deadline: Option<Extension<InvocationDeadline>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Rejection> {
    let query = ListQuery::of_jobs(&query.unwrap_or_default(), app.now())?;
    let page = app
        .list_jobs(&without_billed_wait(query, &deadline))
        .await?;
    let jobs = page.entries.iter().map(JobSummary::to_json).collect();
    Ok(json_answer(StatusCode::OK, &page_json("jobs", jobs, &page)))
}

/// `GET /deliveries`.
pub(super) async fn list_deliveries(
    State(app): State<Arc<App>>,
    deadline: Option<Extension<InvocationDeadline>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Rejection> {
    let query = ListQuery::of_deliveries(&query.unwrap_or_default(), app.now())?;
    let query = without_billed_wait(query, &deadline);
    let page = app.list_deliveries(&query).await?;
    let entries = page.entries.iter().map(DeliverySummary::to_json).collect();
    let body = page_json("deliveries", entries, &page);
    Ok(json_answer(StatusCode::OK, &body))
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

fn page_json<T>(name: &str, entries: Vec<Value>, page: &Page<T>) -> Value {
    json!({name: entries, "next": page.next, "latest": page.latest})
}

/// `GET /jobs/{id}`.
pub(super) async fn show_job(
    State(app): State<Arc<App>>,
    PathText(id): PathText<String>,
) -> Result<Response, Rejection> {
    let jobs = app.job_operations();
    let job = jobs.job(&jobs.find_job(&id).await?).await?;
    let view = serde_json::to_value(JobView::in_full(&job))
        .map_err(|error| Rejection::Drive(error.to_string()))?;
    Ok(json_answer(StatusCode::OK, &view))
}
