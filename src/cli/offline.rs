//! An app without a durable store, for commands that only evaluate the config.

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;

use crate::app::{App, Dependencies};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::engine::ExecutionMode;
use crate::metrics::Metrics;
use crate::secrets::{SecretStore, SecretStoreError, Secrets};
use crate::store::memory::MemoryStore;

/// Creates an app that performs no network calls.
pub(super) fn offline_app(config: Config) -> App {
    app_without_jobs(config, no_secrets())
}

/// A secret store without secrets, for commands that call no other machine.
pub(super) fn no_secrets() -> Arc<dyn SecretStore> {
    Arc::new(NoSecrets)
}

/// The secrets of this machine.
pub(super) fn local_secrets() -> Secrets {
    Secrets::new(Arc::new(SystemClock), no_secrets())
}

/// Creates an app that reads secrets from `secrets_manager`, and has no durable store.
pub(super) fn app_without_jobs(config: Config, secrets_manager: Arc<dyn SecretStore>) -> App {
    App::new(
        config,
        Dependencies {
            clock: Arc::new(SystemClock),
            store: Arc::new(MemoryStore::new()),
            secrets_manager,
            mode: ExecutionMode::Inline,
            runtime_api: None,
            sns_endpoint: None,
            metrics: Metrics::default(),
        },
    )
}

/// A secret store without secrets.
#[derive(Debug)]
struct NoSecrets;

#[async_trait]
impl SecretStore for NoSecrets {
    async fn get(&self, _: &str) -> Result<SecretString, SecretStoreError> {
        Err(SecretStoreError {
            why: "this command works offline".to_owned(),
            transient: false,
        })
    }
}
