//! The Lambda program: every trigger, one function.

use std::net::SocketAddr;
use std::sync::Arc;

use lambda_runtime::{LambdaEvent, service_fn};
use masshook::app::{App, Edges};
use masshook::aws::secrets::SecretsManager;
use masshook::clock::SystemClock;
use masshook::config::{Config, Programs};
use masshook::engine::Manner;
use masshook::job::sqlite::SqliteStore;
use masshook::{lambda, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::on_lambda();
    let config = match Config::find(Programs::Lazily) {
        Ok(config) => config,
        Err(error) => {
            tracing::error!("{error}");
            return Err(error.into());
        }
    };
    let app = Arc::new(App::new(
        config,
        Edges {
            clock: Arc::new(SystemClock),
            store: Arc::new(SqliteStore::in_memory()),
            secrets_manager: Arc::new(SecretsManager::new()),
            manner: Manner::Inline,
            runtime_api: runtime_api(),
        },
    ));
    let http = lambda::http(&app);
    lambda_runtime::run(service_fn(|event: LambdaEvent<_>| {
        lambda::invoke(&app, &http, event)
    }))
    .await
}

/// The runtime API's own address: a callback that reached it could answer invocations in our name.
#[expect(
    clippy::disallowed_methods,
    reason = "this variable is Lambda's, not ours"
)]
fn runtime_api() -> Option<SocketAddr> {
    std::env::var("AWS_LAMBDA_RUNTIME_API").ok()?.parse().ok()
}
