//! The clients of Zoho, one for each connection of a config, and the hosts that the config trusts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use url::Url;

use super::permits::StorePermits;
use super::token_cache::{SecretTokenCache, StoreTokenCache};
use crate::clock::Clock;
use crate::config::Config;
use crate::http::Http;
use crate::metrics::Metrics;
use crate::secrets::Secrets;
use crate::store::Store;
use crate::zoho::Client;
use crate::zoho::concurrency::SharedPermits;
use crate::zoho::token_cache::TokenCache;

/// Hosts that the operator has configured, which may be loopback addresses.
pub(super) fn trusted_hosts(config: &Config, sns_endpoint: Option<&Url>) -> BTreeSet<String> {
    let connections = config.connections.values();
    let overrides =
        connections.flat_map(|connection| [&connection.accounts_url, &connection.api_url]);
    overrides
        .flatten()
        .chain(&config.callbacks.receiver)
        .chain(sns_endpoint)
        .filter_map(|url| url.host_str().map(str::to_owned))
        .collect()
}

/// One client for each connection. With a `store`, clients of all processes share tokens and the concurrency limit.
pub(super) fn zoho_clients(
    config: &Config,
    http: &Http,
    secrets: &Arc<Secrets>,
    clock: &Arc<dyn Clock>,
    metrics: &Metrics,
    store: Option<&Arc<dyn Store>>,
) -> BTreeMap<String, Client> {
    let permits =
        store.map(|store| Arc::new(StorePermits::new(store.clone())) as Arc<dyn SharedPermits>);
    let clients = config.connections.iter().map(|(name, connection)| {
        let client = Client::new(
            name.clone(),
            connection.clone(),
            http.clone(),
            secrets.clone(),
            clock.clone(),
        )
        .with_metrics(metrics.connection(name));
        let secret = connection.token_cache.as_ref();
        let secret = secret.and_then(|reference| reference.writable_name());
        let shared = Arc::new(connection.clone());
        let cache = match (secret, store) {
            (Some(secret), _) => {
                let name = secret.to_owned();
                let cache = SecretTokenCache::new(secrets.clone(), name, shared);
                Some(Arc::new(cache) as Arc<dyn TokenCache>)
            }
            (None, Some(store)) => {
                let (values, locks) = (store.clone(), store.clone());
                let cache = StoreTokenCache::new(values, locks, shared, secrets.clone());
                Some(Arc::new(cache) as Arc<dyn TokenCache>)
            }
            (None, None) => None,
        };
        let client = match cache {
            Some(cache) => client.with_token_cache(cache),
            None => client,
        };
        let client = match &permits {
            Some(permits) => client.with_shared_permits(permits.clone()),
            None => client,
        };
        (name.clone(), client)
    });
    clients.collect()
}
