//! How one Zoho org is reached, as the config describes it.

use schemars::JsonSchema;
use url::Url;

use super::data_center::{DataCenter, Environment};
use super::limits::Edition;
use crate::secrets::SecretRef;

/// One Zoho org.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Connection {
    /// A JSON secret: client_id, client_secret, refresh_token; or client_id, client_secret, grant_type:
    /// client_credentials, soid.
    pub credentials: SecretRef,
    /// The data centre of the org.
    #[schemars(default)]
    pub data_center: DataCenter,
    /// Which of the org's environments the credentials are for.
    #[schemars(default)]
    pub environment: Environment,
    /// Overrides the data centre's accounts server.
    #[schemars(extend("pattern" = "^https?://."))]
    pub accounts_url: Option<Url>,
    /// Overrides the API host that the token names.
    #[schemars(extend("pattern" = "^https?://."))]
    pub api_url: Option<Url>,
    /// A writable secret, secretsmanager:NAME, through which processes share their access token.
    pub token_cache: Option<SecretRef>,
    /// The org's edition. It sets the default of `max_concurrency`.
    #[schemars(default)]
    pub edition: Edition,
    /// Calls to Zoho under way at once, in all processes together. Zoho allows 5 to 25, by edition, which is the default.
    /// Calls of other programs are not counted.
    #[schemars(with = "Option<usize>", range(min = 1, max = 25))]
    pub max_concurrency: usize,
    /// New work waits while fewer API credits than this remain of the last 24 hours'. Zoho reports the remaining credits
    /// once half of the day's are used.
    #[schemars(default)]
    pub credit_floor: u64,
    /// Whether updates are validated against the org's fields before they are sent: `strict`, or `off`.
    #[schemars(default)]
    pub guard: MetadataGuard,
}

/// Whether updates are validated against the org's fields before they are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum MetadataGuard {
    /// An update that Zoho would refuse fails before a call is made. If the token may not read the org's fields, a warning
    /// is logged once, and updates are sent as they are.
    #[default]
    Strict,
    /// Updates are sent as they are.
    Off,
}

impl Connection {
    /// The URL of the accounts server, without a trailing slash.
    pub fn accounts(&self) -> String {
        self.accounts_url.as_ref().map_or_else(
            || format!("https://{}", self.data_center.accounts_host()),
            |url| url.as_str().trim_end_matches('/').to_owned(),
        )
    }
}
