//! The simulated data centres. Each has its own address, OAuth client and tokens, which the others reject. All of them
//! serve the same org.

use serde_json::{Value, json};

/// A data centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DataCenter {
    /// The simulator's own address.
    Us,
    /// Its client is registered nowhere else; the client of `Us` gets `invalid_client`.
    Eu,
    /// The client of `Us` is registered here too, with another secret, as with Zoho's "Multi DC" enabled.
    In,
}

/// A data centre and its base URL.
#[derive(Clone, Debug)]
pub(crate) struct DataCenterHost {
    pub(crate) data_center: DataCenter,
    pub(crate) url: String,
}

impl DataCenter {
    /// All data centres, the simulator's own first.
    pub(crate) const ALL: [Self; 3] = [Self::Us, Self::Eu, Self::In];

    /// The name in `GET /oauth/serverinfo`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::Eu => "eu",
            Self::In => "in",
        }
    }

    /// The top-level domain of its hosts.
    fn domain(self) -> &'static str {
        match self {
            Self::Us => "com",
            Self::Eu => "eu",
            Self::In => "in",
        }
    }

    /// Returns true if the `Host` header names a Zoho host other than this data centre's API hosts, the only ones that
    /// serve the API since v2.1. Any other name is an address of the simulator.
    pub(crate) fn rejects_host(self, headers: &http::HeaderMap) -> bool {
        let host = headers.get(http::header::HOST);
        let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
        let name = host.split(':').next().unwrap_or_default();
        let api_hosts = ["www", "sandbox", "developer"]
            .map(|environment| format!("{environment}.zohoapis.{}", self.domain()));
        let is_zoho = name
            .split('.')
            .any(|label| matches!(label, "zoho" | "zohoapis" | "zohocloud"));
        is_zoho && !api_hosts.iter().any(|host| host == name)
    }

    /// The id of the registered OAuth client.
    pub(crate) fn client_id(self) -> &'static str {
        match self {
            Self::Us | Self::In => "1000.SIMULATEDCLIENT0123456789ABCDEF",
            Self::Eu => "1000.SIMULATEDCLIENTEU3456789ABCDEF",
        }
    }

    /// The secret of the registered OAuth client. It is valid for the simulator only, so it may be public.
    pub(crate) fn client_secret(self) -> &'static str {
        match self {
            Self::Us => "5e1f0c0ffee5e1f0c0ffee5e1f0c0ffee5e1f0c0ff",
            Self::Eu => "e00e0c0ffee5e1f0c0ffee5e1f0c0ffee5e1f0c0ff",
            Self::In => "1d1a0c0ffee5e1f0c0ffee5e1f0c0ffee5e1f0c0ff",
        }
    }

    /// The refresh token that exists at start.
    pub(crate) fn refresh_token(self) -> &'static str {
        match self {
            Self::Us => "1000.0123456789abcdef0123456789abcdef.fedcba9876543210fedcba9876543210",
            Self::Eu => "1000.e0e1e2e3e4e5e6e7e0e1e2e3e4e5e6e7.fedcba9876543210fedcba9876543210",
            Self::In => "1000.d0d1d2d3d4d5d6d7d0d1d2d3d4d5d6d7.fedcba9876543210fedcba9876543210",
        }
    }
}

impl DataCenterHost {
    /// The credentials that the announcement contains for this data centre.
    pub(crate) fn credentials(&self) -> Value {
        json!({
            "client_id": self.data_center.client_id(),
            "client_secret": self.data_center.client_secret(),
            "refresh_token": self.data_center.refresh_token(),
            "accounts_url": self.url,
        })
    }
}
