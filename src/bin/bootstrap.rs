//! The Lambda program: one function for every trigger.

use std::net::SocketAddr;
use std::sync::Arc;

use lambda_runtime::{LambdaEvent, service_fn};
use masshook::app::{App, Edges};
use masshook::aws::jobs::DynamoStore;
use masshook::aws::secrets::SecretsManager;
use masshook::aws::wakeups::SqsWakeUps;
use masshook::aws::{self, Mode};
use masshook::clock::SystemClock;
use masshook::config::{Config, Programs};
use masshook::engine::ExecutionMode;
use masshook::job::sqlite::SqliteStore;
use masshook::job::steady::SteadyStore;
use masshook::job::store::JobStore;
use masshook::lambda::Function;
use masshook::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::init_lambda();
    let config = match Config::find(Programs::Lazily).and_then(Config::keeping) {
        Ok(config) => config,
        Err(error) => {
            tracing::error!("{error}");
            return Err(error.into());
        }
    };
    let mode = aws::mode();
    let (store, execution): (Arc<dyn JobStore>, ExecutionMode) = match &mode {
        Mode::Inline => (Arc::new(SqliteStore::in_memory()), ExecutionMode::Inline),
        Mode::Durable { table, queue_url } => {
            let wakeups = SqsWakeUps::new(queue_url);
            let store = Arc::new(DynamoStore::new(table));
            (
                Arc::new(SteadyStore::over(store, Arc::new(SystemClock))),
                ExecutionMode::Durable(Arc::new(wakeups)),
            )
        }
        Mode::Incomplete => {
            let error = "only one of MASSHOOK_TABLE and MASSHOOK_QUEUE_URL is set; set both, or neither for inline mode";
            tracing::error!("{error}");
            return Err(error.into());
        }
    };
    let sns_endpoint = match aws::sns_endpoint() {
        Ok(endpoint) => endpoint,
        Err(error) => {
            tracing::error!("{error}");
            return Err(error.into());
        }
    };
    let app = Arc::new(App::new(
        config,
        Edges {
            clock: Arc::new(SystemClock),
            store,
            secrets_manager: Arc::new(SecretsManager::new()),
            mode: execution,
            runtime_api: runtime_api(),
            sns_endpoint,
        },
    ));
    let queue_url = match &mode {
        Mode::Durable { queue_url, .. } => Some(queue_url.as_str()),
        Mode::Inline | Mode::Incomplete => None,
    };
    let function = Function::new(app, queue_url);
    lambda_runtime::run(service_fn(|event: LambdaEvent<_>| function.invoke(event))).await
}

/// The address of the Lambda runtime API. Callbacks must not reach it, because a request there can answer invocations.
#[expect(
    clippy::disallowed_methods,
    reason = "Lambda sets this variable, not the user"
)]
fn runtime_api() -> Option<SocketAddr> {
    std::env::var("AWS_LAMBDA_RUNTIME_API").ok()?.parse().ok()
}
