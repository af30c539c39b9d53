//! The app that serves new requests, which a reload of the config replaces.

use std::sync::Arc;

use axum::Router;
use tokio::sync::watch;

use super::heartbeat::Heartbeat;
use crate::api::router_with_health;
use crate::app::App;

/// The app in use, shared by all connections and the engine's loop. A request or turn keeps the app that it began with.
#[derive(Clone, Debug)]
pub struct CurrentApp(Arc<watch::Sender<Arc<App>>>);

impl CurrentApp {
    /// Starts with an app.
    pub fn new(app: App) -> Self {
        Self(Arc::new(watch::Sender::new(Arc::new(app))))
    }

    /// Replaces the app for everything that begins from now on.
    pub fn replace(&self, app: App) {
        self.0.send_replace(Arc::new(app));
    }

    /// The app in use.
    pub fn app(&self) -> Arc<App> {
        self.0.borrow().clone()
    }

    /// Whether an app is the one in use.
    pub(super) fn is_current(&self, app: &Arc<App>) -> bool {
        Arc::ptr_eq(&self.0.borrow(), app)
    }

    /// The router of the app in use, rebuilt whenever the app is replaced.
    pub(super) fn routes(&self, heartbeat: Arc<Heartbeat>) -> Routes {
        let health = heartbeat.clone();
        let build = move |app| router_with_health(app, health.clone());
        self.routes_of(Arc::new(build), Some(heartbeat))
    }

    /// Another router over the app in use, rebuilt whenever the app is replaced.
    pub(super) fn routes_of(
        &self,
        build: BuildRouter,
        heartbeat: Option<Arc<Heartbeat>>,
    ) -> Routes {
        let mut changes = self.0.subscribe();
        let app = changes.borrow_and_update().clone();
        let router = build(app.clone());
        Routes {
            changes,
            app,
            router,
            build,
            heartbeat,
        }
    }
}

/// Builds the router of an app.
pub(super) type BuildRouter = Arc<dyn Fn(Arc<App>) -> Router + Send + Sync>;

/// The router of the app in use.
#[derive(Clone)]
pub(super) struct Routes {
    changes: watch::Receiver<Arc<App>>,
    app: Arc<App>,
    router: Router,
    build: BuildRouter,
    /// What the health of the process is judged by; a listener beside it has none.
    heartbeat: Option<Arc<Heartbeat>>,
}

impl Routes {
    /// The router for a request that begins now.
    pub(super) fn router(&mut self) -> Router {
        self.refresh();
        self.router.clone()
    }

    /// Lets go of an app that has been replaced.
    pub(super) fn refresh(&mut self) {
        if self.changes.has_changed().unwrap_or_default() {
            self.app = self.changes.borrow_and_update().clone();
            self.router = (self.build)(self.app.clone());
        }
    }

    /// Maximum bytes of a request body.
    pub(super) fn max_body_bytes(&self) -> usize {
        self.app.max_body_bytes()
    }

    /// Records a failure of the store.
    pub(super) fn store_refused(&self, now: std::time::Instant) {
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat.store_refused(now);
        }
    }
}
