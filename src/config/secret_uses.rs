//! The secrets that a config names, with the purpose of each.

use super::{Config, SchemeConfig};
use crate::secrets::SecretRef;
use strict_reader::Location;
use webhook_verify::scheme::Scheme;

/// What a secret is used for.
#[derive(Clone, Copy, Debug)]
pub enum SecretPurpose<'c> {
    /// Credentials of a connection.
    Credentials,
    /// Where a connection caches its access token.
    TokenCache,
    /// The bearer key of `/jobs`.
    ApiKey,
    /// A key of the console.
    ConsoleKey,
    /// Signs callbacks.
    CallbackSigning,
    /// Verifies the deliveries of a route.
    Verification(&'c Scheme),
    /// Verifies the deliveries of a route, and is stored by the sender's handshake.
    Enrolled(&'c Scheme),
    /// The verify token of a route's handshakes.
    HandshakeToken,
}

/// One use of a secret.
#[derive(Clone, Debug)]
pub struct SecretUse<'c> {
    /// The key of the config.
    pub at: Location,
    /// Where the secret is.
    pub reference: &'c SecretRef,
    /// What it is used for.
    pub purpose: SecretPurpose<'c>,
}

impl Config {
    /// Every use of a secret, in the order of the config's keys.
    pub fn secret_uses(&self) -> Vec<SecretUse<'_>> {
        let mut uses = Vec::new();
        let mut add = |keys: &[&str], reference, purpose| {
            uses.push(SecretUse {
                at: Location::of(keys),
                reference,
                purpose,
            });
        };
        for (name, connection) in &self.connections {
            let keys = ["connections", name, "credentials"];
            add(&keys, &connection.credentials, SecretPurpose::Credentials);
            if let Some(cache) = &connection.token_cache {
                let keys = ["connections", name, "token_cache"];
                add(&keys, cache, SecretPurpose::TokenCache);
            }
        }
        if let Some(key) = &self.api.key {
            add(&["api", "key"], key, SecretPurpose::ApiKey);
        }
        if let Some(key) = &self.console.key {
            add(&["console", "key"], key, SecretPurpose::ConsoleKey);
        }
        if let Some(key) = &self.console.metrics_key {
            add(&["console", "metrics_key"], key, SecretPurpose::ConsoleKey);
        }
        for secret in &self.callbacks.signing_secret {
            let keys = ["callbacks", "signing_secret"];
            add(&keys, secret, SecretPurpose::CallbackSigning);
        }
        for (name, route) in &self.routes {
            for config in route.verify.schemes() {
                for secret in &config.secrets {
                    let keys = ["routes", name, "verify", "secret"];
                    add(&keys, secret, config.purpose());
                }
            }
            for secret in &route.handshake_secret {
                let keys = ["routes", name, "handshake_secret"];
                add(&keys, secret, SecretPurpose::HandshakeToken);
            }
        }
        uses
    }
}

impl SchemeConfig {
    fn purpose(&self) -> SecretPurpose<'_> {
        match self.scheme.enrolls_secret() {
            true => SecretPurpose::Enrolled(&self.scheme),
            false => SecretPurpose::Verification(&self.scheme),
        }
    }
}
