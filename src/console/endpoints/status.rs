//! `GET /api/status`: what the console shows, and the counts in its navigation.

use std::sync::Arc;

use ::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::super::listener::{ConsoleSettings, ConsoleStore};
use crate::api::json_response;
use crate::app::App;

pub(super) async fn show(app: Arc<App>, settings: Arc<ConsoleSettings>) -> Response {
    let store = match settings.store {
        ConsoleStore::Sqlite => "sqlite",
        ConsoleStore::DynamoDb => "dynamodb",
    };
    // The page asks for its status every few seconds, which must not be billed.
    let dead_letters = match app.store().has_billed_reads() {
        true => None,
        false => app.store().count_dead_letters().await.ok(),
    };
    let args = &settings.cli_args;
    let mut status = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "store": store,
        "config": settings.config.to_json(),
        "read_only": settings.read_only,
        "receives_callbacks": settings.callbacks.is_some(),
        "public_url": settings.server_url,
        "cli_args": {"data": args.data, "config": args.config},
        "routes": app.config().routes.keys().collect::<Vec<_>>(),
        "counts": {},
        "now": format!("{:.3}", app.now()),
    });
    if let Some(count) = dead_letters {
        status["counts"]["dead_letters"] = json!(count);
    }
    json_response(StatusCode::OK, &status)
}
