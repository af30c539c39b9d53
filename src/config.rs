//! The configuration `masshook.yaml`, parsed into types in one pass. Unknown keys are refused. All problems are reported at
//! once, each with its location in the file.

mod base_path;
mod callbacks;
mod cloud_events;
mod connection;
mod console;
mod delivery_log;
mod document;
mod duration;
mod enrollment;
mod error;
mod key_use;
mod limits;
mod public_url;
mod read;
mod route;
mod route_example;
mod schema;
mod scopes;
mod secret_uses;
#[cfg(test)]
mod tests;
mod values;
mod verify;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde_json::Value;

use crate::job::{CallbackOn, OnUnknownOutcome, TRACK_FOR};
use crate::secrets::SecretRef;
use crate::zoho::Connection;
pub use base_path::{BasePath, is_api_path};
pub use callbacks::Callbacks;
pub use cloud_events::{BinaryEventId, CloudEvents, EVENT_IDENTITY};
pub use console::{Console, HostAndPort};
pub use delivery_log::DeliveryLogSettings;
pub use document::{ConfigDocument, map_secret_references};
use duration::DurationSchema;
pub use error::ConfigError;
pub use limits::{Limits, MAX_BODY_BYTES};
pub use public_url::PublicUrl;
pub use route::Route;
pub use route_example::RouteExample;
pub(crate) use schema::allow_null_for_absent;
pub use scopes::{Scope, ScopeCoverage, ScopedFeature};
pub use secret_uses::{SecretPurpose, SecretUse};
use strict_reader::Problem;
pub use verify::{SchemeConfig, VerifyConfig};

/// The configuration of masshook.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Config {
    /// Zoho orgs, each under a name of your choice. A route that names no connection uses `default`.
    #[schemars(extend("minProperties" = 1, "propertyNames" = schema::name()))]
    pub connections: BTreeMap<String, Connection>,
    /// The path under which a proxy, a custom domain or a CDN publishes the HTTP API, such as `/crm`. Paths with and without
    /// it are accepted.
    pub base_path: Option<BasePath>,
    /// Access to the HTTP API under `/jobs`.
    #[schemars(default)]
    pub api: Api,
    /// Access to the console from other machines.
    #[schemars(default)]
    pub console: Console,
    /// Signing of status callbacks, and the hosts that may receive them.
    #[schemars(default)]
    pub callbacks: Callbacks,
    /// How long a job waits for other jobs that make the same change, so that they share calls. Seconds, or a text such as
    /// `2s` or `5m`; at most 300 s. A route may set its own. Requires durable jobs.
    #[schemars(default, with = "DurationSchema", extend("default" = "0s"))]
    pub batch_window: Duration,
    /// How long a Zoho job (the mass update of a custom view) is tracked before masshook's job ends as `failed` with
    /// `TRACKING_TIMED_OUT`. Seconds, or a text such as `90m`, `24h` or `7d`; from one minute to seven days. Time during
    /// which the status could not be polled does not count.
    #[schemars(default, with = "DurationSchema", extend("default" = "24h"))]
    pub track_for: Duration,
    /// What to do if the outcome of a call that adds options to multi-select picklists is unknown: report its records as
    /// `OUTCOME_UNKNOWN`, or read them back.
    #[schemars(default)]
    pub on_unknown_outcome: OnUnknownOutcome,
    /// Which status changes of a job are sent to its callback URL.
    #[schemars(default)]
    pub callback_on: CallbackOn,
    /// The log of deliveries.
    #[schemars(default)]
    pub delivery_log: DeliveryLogSettings,
    /// Limits on the size and processing time of one delivery.
    #[schemars(default)]
    pub limits: Limits,
    /// How deliveries are verified and mapped, each route under the name that occurs in `/hooks/{route}`.
    #[schemars(default, extend("propertyNames" = schema::name()))]
    pub routes: BTreeMap<String, Route>,
}

/// Access to the HTTP API under `/jobs`.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Api {
    /// The bearer key of `/jobs`; without it, `/jobs` is closed.
    pub key: Option<SecretRef>,
}

/// When the jq programs of a config are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompileMode {
    /// Compile each program on its first use, for a short cold start.
    Lazy,
    /// Compile all programs while reading the config, so that compile errors are reported with the other problems.
    Eager,
}

impl Config {
    /// Returns the path of the config file: `MASSHOOK_CONFIG` if it is set, else `./masshook.yaml`, else
    /// `/opt/masshook.yaml`, which a Lambda layer provides.
    ///
    /// # Errors
    /// [`ConfigError::NotFound`].
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the module that reads the environment"
    )]
    pub fn locate() -> Result<PathBuf, ConfigError> {
        if let Ok(path) = std::env::var("MASSHOOK_CONFIG") {
            return Ok(path.into());
        }
        let candidates = ["masshook.yaml", "/opt/masshook.yaml"].map(PathBuf::from);
        let found = candidates.iter().find(|path| path.exists()).cloned();
        found.ok_or_else(|| ConfigError::NotFound(candidates.to_vec()))
    }

    /// Locates and loads the config file.
    ///
    /// # Errors
    /// [`ConfigError::NotFound`], and those of [`Self::load`].
    pub fn find(compile: CompileMode) -> Result<Self, ConfigError> {
        Self::load(&Self::locate()?, compile)
    }

    /// Loads a config file.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`], [`ConfigError::Invalid`].
    pub fn load(path: &Path, compile: CompileMode) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
            path: path.to_owned(),
            error,
        })?;
        let document = ConfigDocument::parse(&text).map(|document| document.in_folder_of(path));
        let config = document.and_then(|document| document.read(compile));
        config.map_err(|problems| ConfigError::Invalid {
            path: path.to_owned(),
            problems,
        })
    }

    /// Parses the text of a config file.
    ///
    /// # Errors
    /// All problems found.
    pub fn parse(text: &str, compile: CompileMode) -> Result<Self, Vec<Problem>> {
        ConfigDocument::parse(text)?.read(compile)
    }

    /// A config without connections and routes: enough to look at a store.
    pub fn empty() -> Self {
        Self {
            connections: BTreeMap::new(),
            base_path: None,
            api: Api::default(),
            console: Console::default(),
            callbacks: Callbacks::default(),
            batch_window: Duration::ZERO,
            track_for: TRACK_FOR,
            on_unknown_outcome: OnUnknownOutcome::default(),
            callback_on: CallbackOn::default(),
            delivery_log: DeliveryLogSettings::default(),
            limits: Limits::default(),
            routes: BTreeMap::new(),
        }
    }

    /// Returns the name of the connection for requests without a route: `default`, or the only connection.
    pub fn default_connection(&self) -> Option<&str> {
        let only = self
            .connections
            .keys()
            .next()
            .filter(|_| self.connections.len() == 1);
        self.connections
            .get_key_value("default")
            .map(|(name, _)| name)
            .or(only)
            .map(String::as_str)
    }

    /// Returns the JSON Schema of the config file, for editors.
    pub fn schema() -> Value {
        let mut schema = schemars::schema_for!(Self);
        schema::allow_null_for_absent(&mut schema);
        schema.to_value()
    }
}
