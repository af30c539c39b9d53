//! `GET /api/connections`: what this process knows about the connections. No request is made.

use std::sync::Arc;

use ::http::StatusCode;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use crate::api::json_response;
use crate::app::App;
use crate::zoho::ConnectionStatus;

pub(super) async fn list(State(app): State<Arc<App>>) -> Response {
    let statuses = app.connection_statuses();
    let connections: Vec<Value> = statuses.iter().map(ConnectionStatus::to_json).collect();
    json_response(StatusCode::OK, &json!({"connections": connections}))
}
