//! The data centres that are played. Each has an address, a client and tokens of its own, unknown to the others; behind
//! each stands the same org, because one is enough to tell them apart.

use serde_json::{Value, json};

/// A data centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DataCenter {
    /// The simulator's own address.
    Us,
    /// Its client is registered nowhere else: the American one meets `invalid_client`.
    Eu,
    /// The American client is registered here too, with another secret, as with Zoho's "Multi DC" switched on.
    In,
}

/// A data centre and where it listens.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) center: DataCenter,
    pub(crate) url: String,
}

impl DataCenter {
    /// All of them, the simulator's own first.
    pub(crate) const ALL: [Self; 3] = [Self::Us, Self::Eu, Self::In];

    /// Zoho's word for it, as in `GET /oauth/serverinfo`.
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

    /// Whether a CRM request came for a host of Zoho's that is not this data centre's API: since v2.1 nothing else is
    /// served. Any other name is one of the simulator's own.
    pub(crate) fn refuses(self, headers: &http::HeaderMap) -> bool {
        let host = headers.get(http::header::HOST);
        let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
        let name = host.split(':').next().unwrap_or_default();
        let own = ["www", "sandbox", "developer"]
            .map(|environment| format!("{environment}.zohoapis.{}", self.domain()));
        let zohos = name
            .split('.')
            .any(|label| matches!(label, "zoho" | "zohoapis" | "zohocloud"));
        zohos && !own.iter().any(|own| own == name)
    }

    /// The client that is registered.
    pub(crate) fn client_id(self) -> &'static str {
        match self {
            Self::Us | Self::In => "1000.SIMULATEDCLIENT0123456789ABCDEF",
            Self::Eu => "1000.SIMULATEDCLIENTEU3456789ABCDEF",
        }
    }

    /// Its secret. A secret that opens nothing but a simulator may be known.
    pub(crate) fn client_secret(self) -> &'static str {
        match self {
            Self::Us => "5e1f0c0ffee5e1f0c0ffee5e1f0c0ffee5e1f0c0ff",
            Self::Eu => "e00e0c0ffee5e1f0c0ffee5e1f0c0ffee5e1f0c0ff",
            Self::In => "1d1a0c0ffee5e1f0c0ffee5e1f0c0ffee5e1f0c0ff",
        }
    }

    /// The refresh token that exists from the start.
    pub(crate) fn refresh_token(self) -> &'static str {
        match self {
            Self::Us => "1000.0123456789abcdef0123456789abcdef.fedcba9876543210fedcba9876543210",
            Self::Eu => "1000.e0e1e2e3e4e5e6e7e0e1e2e3e4e5e6e7.fedcba9876543210fedcba9876543210",
            Self::In => "1000.d0d1d2d3d4d5d6d7d0d1d2d3d4d5d6d7.fedcba9876543210fedcba9876543210",
        }
    }
}

impl Place {
    /// A connection's credentials here, as the announcement tells them.
    pub(crate) fn credentials(&self) -> Value {
        json!({
            "client_id": self.center.client_id(),
            "client_secret": self.center.client_secret(),
            "refresh_token": self.center.refresh_token(),
            "accounts_url": self.url,
        })
    }
}
