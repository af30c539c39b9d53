//! The Lambda program: one function for every trigger.
// The future of an invocation is nested deeply.
#![recursion_limit = "256"]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lambda_runtime::{LambdaEvent, Runtime, service_fn};
use masshook::app::{App, Dependencies};
use masshook::aws::dynamodb::DynamoStore;
use masshook::aws::secrets::SecretsManager;
use masshook::aws::wakeups::SqsWakeUps;
use masshook::aws::{self, Mode};
use masshook::clock::SystemClock;
use masshook::config::{CompileMode, Config};
use masshook::engine::ExecutionMode;
use masshook::lambda::Function;
use masshook::mapping::on_program_thread;
use masshook::metrics::Metrics;
use masshook::store::Store;
use masshook::store::memory::MemoryStore;
use masshook::telemetry;
use mimalloc::MiMalloc;
use tokio::runtime::Builder;

// A delivery allocates about a thousand times, which takes a fifth of its processor time with the allocator of the C library.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// How long an invocation waits until its spans are exported.
const FLUSH_TIME: Duration = Duration::from_secs(1);

fn main() -> Result<(), lambda_runtime::Error> {
    // An instance handles one invocation at a time, so a pool of threads for programs would only cost time.
    on_program_thread(|| {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        // As a task of its own: a wake-up of the future that blocks the thread needs a system call.
        runtime.block_on(runtime.spawn(run()))?
    })?
}

async fn run() -> Result<(), lambda_runtime::Error> {
    let spans = Arc::new(telemetry::init_lambda());
    let function = create_function().await;
    let function = function.inspect_err(|error| tracing::error!("{error}"))?;
    let function = Arc::new(function);
    let invoke = move |event: LambdaEvent<_>| {
        let (function, spans) = (Arc::clone(&function), Arc::clone(&spans));
        async move {
            let answer = function.invoke(event).await;
            // Lambda may freeze the process after the answer.
            spans.flush(FLUSH_TIME).await;
            answer
        }
    };
    // Without the runtime's own span: that of the function has the id of the request.
    Runtime::new(service_fn(invoke)).run().await
}

/// Creates the function from the config and the environment. What most deliveries need is set up here and not by the first
/// delivery: a function starts at full speed, and its sender waits less.
async fn create_function() -> Result<Function, lambda_runtime::Error> {
    let config = Config::find(CompileMode::Lazy).and_then(Config::check_writable_secrets)?;
    let secrets_manager = Arc::new(SecretsManager::new());
    let mut secrets = config.secret_uses().into_iter();
    if secrets.any(|secret| secret.reference.is_in_secrets_manager()) {
        secrets_manager.prepare().await;
    }
    let aws_mode = aws::mode();
    let (store, mode): (Arc<dyn Store>, ExecutionMode) = match &aws_mode {
        Mode::Inline => {
            // Each instance has a store of its own, so a list would show a chance part of the deliveries.
            let store = MemoryStore::new().without_delivery_log();
            (Arc::new(store), ExecutionMode::Inline)
        }
        Mode::Durable { table, queue_url } => (
            Arc::new(DynamoStore::new(table)),
            ExecutionMode::Durable(Arc::new(SqsWakeUps::new(queue_url))),
        ),
        Mode::Incomplete => {
            return Err("only one of MASSHOOK_TABLE and MASSHOOK_QUEUE_URL is set; set both, or neither for inline mode".into());
        }
    };
    let emf = aws::emf_settings();
    let app = App::new(
        config,
        Dependencies {
            clock: Arc::new(SystemClock),
            store,
            secrets_manager,
            mode,
            runtime_api: runtime_api(),
            sns_endpoint: aws::sns_endpoint()?,
            metrics: match &emf {
                Some(_) => Metrics::of_invocations(),
                None => Metrics::default(),
            },
        },
    );
    let app = Arc::new(app.with_memory_limit(memory_limit()));
    app.prepare();
    let queue_url = match &aws_mode {
        Mode::Durable { queue_url, .. } => Some(queue_url.as_str()),
        Mode::Inline | Mode::Incomplete => None,
    };
    let function = Function::new(app, queue_url);
    Ok(match emf {
        Some(settings) => function.with_metrics(settings, telemetry::write_metrics),
        None => function,
    })
}

/// The memory of the function in bytes.
#[expect(
    clippy::disallowed_methods,
    reason = "Lambda sets this variable, not the user"
)]
fn memory_limit() -> Option<usize> {
    let megabytes = std::env::var("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").ok()?;
    Some(megabytes.parse::<usize>().ok()?.saturating_mul(1 << 20))
}

/// The address of the Lambda runtime API. Callbacks must not reach it, because a request there can answer invocations.
#[expect(
    clippy::disallowed_methods,
    reason = "Lambda sets this variable, not the user"
)]
fn runtime_api() -> Option<SocketAddr> {
    std::env::var("AWS_LAMBDA_RUNTIME_API").ok()?.parse().ok()
}
