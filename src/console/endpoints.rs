//! The API of the console.

mod callbacks;
mod connections;
mod overview;
mod playground;
mod routes;
mod status;

use std::sync::Arc;

use ::http::Method;
use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::routing::{get, post};

use super::listener::ConsoleSettings;
use crate::api::{not_allowed, operator};
use crate::app::App;

/// The router of all paths below `/api`.
pub(super) fn router(settings: &ConsoleSettings) -> Router<Arc<App>> {
    let settings = Arc::new(settings.clone());
    let of = || settings.clone();
    let show_status = {
        let settings = of();
        move |State(app): State<Arc<App>>| status::show(app, settings.clone())
    };
    let show_overview = {
        let settings = of();
        move |State(app): State<Arc<App>>, RawQuery(query): RawQuery| {
            overview::show(app, settings.clone(), query.unwrap_or_default())
        }
    };
    let list_routes = {
        let settings = of();
        move |State(app): State<Arc<App>>| routes::list(app, settings.clone())
    };
    let show_route = {
        let settings = of();
        move |State(app): State<Arc<App>>, name: Path<String>| {
            routes::show(app, settings.clone(), name)
        }
    };
    let readable = || not_allowed(vec![Method::GET, Method::HEAD]);
    let writable = || not_allowed(vec![Method::POST]);
    let router = Router::new()
        .route("/status", get(show_status).fallback(readable))
        .route("/overview", get(show_overview).fallback(readable))
        .route("/routes", get(list_routes).fallback(readable))
        .route("/routes/{name}", get(show_route).fallback(readable))
        .route(
            "/routes/{name}/sample",
            post(routes::send_sample).fallback(writable),
        )
        .route("/connections", get(connections::list).fallback(readable))
        .route("/playground", post(playground::run).fallback(writable));
    let router = router.merge(operator::router());
    match settings.callbacks.clone() {
        Some(received) => {
            let list = move |RawQuery(query): RawQuery| async move {
                callbacks::list(&received, &query.unwrap_or_default())
            };
            router.route("/callbacks", get(list).fallback(readable))
        }
        None => router,
    }
}
