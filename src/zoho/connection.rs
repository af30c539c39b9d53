//! How one Zoho org is reached, as the config describes it.

use schemars::JsonSchema;
use url::Url;

use super::data_center::{ApiBase, DataCenter, Environment};
use super::limits::Edition;
use crate::secrets::SecretRef;
use crate::update::ApiVersion;

/// One Zoho org.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Connection {
    /// A JSON secret: client_id, client_secret, refresh_token; or client_id, client_secret, grant_type:
    /// client_credentials, soid.
    pub credentials: SecretRef,
    /// The data centre of the org. Default: `us`.
    #[schemars(default)]
    pub data_center: DataCenter,
    /// Which of the org's environments the credentials are for. Default: `production`.
    #[schemars(default)]
    pub environment: Environment,
    /// The version of the CRM API: `v7`, or `v8`, which also has mass updates of `Cases`. Default: `v7`.
    #[schemars(default)]
    pub api_version: ApiVersion,
    /// Overrides the data centre's accounts server.
    #[schemars(extend("pattern" = "^https?://."))]
    pub accounts_url: Option<Url>,
    /// Overrides the API host that the token names.
    #[schemars(extend("pattern" = "^https?://."))]
    pub api_url: Option<Url>,
    /// A writable secret, secretsmanager:NAME, through which processes share their access token.
    pub token_cache: Option<SecretRef>,
    /// The org's edition. It sets the default of `max_concurrency`.
    pub edition: Option<Edition>,
    /// Calls to Zoho under way at once, in all processes together. Calls of other programs are not counted. Default: what
    /// Zoho allows the edition, 5 to 25; 5 without an `edition`.
    #[schemars(with = "Option<usize>", range(min = 1, max = 25))]
    pub max_concurrency: usize,
    /// New work waits while fewer API credits than this remain of the last 24 hours'. Zoho reports the remaining credits
    /// once half of the day's are used.
    #[schemars(default)]
    pub credit_floor: u64,
    /// Whether updates are validated against the org's fields before they are sent. Default: `strict`.
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
    /// The base of all API calls, if it does not depend on the token: the override, or a simulator. An accounts server on
    /// this machine is a simulator, and so is its API.
    pub(super) fn fixed_api(&self) -> Option<&Url> {
        let simulator = self.accounts_url.as_ref();
        let simulator = simulator.filter(|url| url.scheme() == "http");
        self.api_url.as_ref().or(simulator)
    }

    /// Whether calls need TLS, unlike those to a simulator.
    pub fn uses_tls(&self) -> bool {
        self.fixed_api().is_none_or(|url| url.scheme() != "http")
    }

    /// The API base of a token that another process has stored, if this connection may send the token there.
    pub fn stored_api(&self, stored: &str) -> Option<ApiBase> {
        match self.fixed_api() {
            Some(fixed) => {
                let fixed = ApiBase::configured(fixed);
                (fixed.join("") == stored).then_some(fixed)
            }
            None => ApiBase::named(stored, self.environment).ok(),
        }
    }

    /// The URL of the accounts server, without a trailing slash.
    pub fn accounts(&self) -> String {
        self.accounts_url.as_ref().map_or_else(
            || format!("https://{}", self.data_center.accounts_host()),
            |url| url.as_str().trim_end_matches('/').to_owned(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(accounts_url: Option<&str>, api_url: Option<&str>) -> Connection {
        let url = |text: &str| text.parse().expect("a URL");
        Connection {
            credentials: "env:ZOHO".parse().expect("a reference"),
            data_center: DataCenter::Eu,
            environment: Environment::Production,
            api_version: ApiVersion::V7,
            accounts_url: accounts_url.map(url),
            api_url: api_url.map(url),
            token_cache: None,
            edition: None,
            max_concurrency: 5,
            credit_floor: 0,
            guard: MetadataGuard::Strict,
        }
    }

    #[test]
    fn stored_api_must_be_zohos_or_configured() {
        const SIMULATOR: &str = "http://127.0.0.1:8099";
        const PROXY: &str = "https://zoho-proxy.example/eu";
        let zoho = connection(None, None);
        let simulated = connection(Some(SIMULATOR), None);
        let proxied = connection(None, Some(PROXY));
        let accepts = |connection: &Connection, stored| connection.stored_api(stored).is_some();
        assert!(accepts(&zoho, "https://www.zohoapis.eu"));
        assert!(accepts(&simulated, SIMULATOR));
        assert!(accepts(&proxied, PROXY));
        for foreign in [
            "https://evil.example",
            "http://www.zohoapis.eu",
            "https://www.zohoapis.eu.evil.example",
            "https://www.zohoapis.eu@evil.example",
            "https://www.zohoapis.eu:444",
            "https://www.zohoapis.eu/evil",
            "http://169.254.169.254",
            "http://127.0.0.1:1",
            "",
            "no URL",
        ] {
            for connection in [&zoho, &simulated, &proxied] {
                assert!(!accepts(connection, foreign), "{foreign}");
            }
        }
        // Every stored base is one that the connection would use now.
        assert!(!accepts(&zoho, SIMULATOR) && !accepts(&zoho, PROXY));
        assert!(!accepts(&simulated, "https://www.zohoapis.eu"));
        assert!(!accepts(&proxied, "https://www.zohoapis.eu"));
        let sandbox = Connection {
            environment: Environment::Sandbox,
            ..zoho
        };
        let api = sandbox
            .stored_api("https://www.zohoapis.eu")
            .expect("Zoho's");
        assert_eq!(api.join(""), "https://sandbox.zohoapis.eu");
    }
}
