//! A Zoho client without an app, for commands that inspect a connection.

use std::sync::Arc;

use crate::aws::secrets::SecretsManager;
use crate::clock::SystemClock;
use crate::http::{Http, HttpSettings};
use crate::secrets::Secrets;
use crate::zoho::Client;
use crate::zoho::Connection;

/// Creates the client of a connection.
pub(super) fn zoho_client(name: &str, connection: &Connection) -> Client {
    let clock = Arc::new(SystemClock);
    let secrets = Secrets::new(clock.clone(), Arc::new(SecretsManager::new()));
    let configured_urls = [&connection.accounts_url, &connection.api_url];
    let trusted_hosts = configured_urls.into_iter().flatten();
    let trusted_hosts = trusted_hosts.filter_map(|url| url.host_str().map(str::to_owned));
    let http = Http::new(HttpSettings {
        trusted_hosts: trusted_hosts.collect(),
        ..HttpSettings::default()
    });
    Client::new(
        name.to_owned(),
        connection.clone(),
        http,
        Arc::new(secrets),
        clock,
    )
}
