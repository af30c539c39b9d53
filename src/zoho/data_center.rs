//! Zoho's data centres, and the hosts that a token may be sent to. Pure.

use std::fmt;
use std::str::FromStr;

use url::Url;

use strict_reader::nearest;

/// A Zoho data centre. Accounts, tokens and records of one are unknown to all others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, schemars::JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum DataCenter {
    /// United States, `.com`.
    #[default]
    Us,
    /// Europe, `.eu`.
    Eu,
    /// India, `.in`.
    In,
    /// Australia, `.com.au`.
    Au,
    /// Japan, `.jp`.
    Jp,
    /// China, `.com.cn`.
    Cn,
    /// Canada; its accounts server is under `zohocloud.ca`.
    Ca,
    /// Saudi Arabia, `.sa`.
    Sa,
    /// United Kingdom, `.uk`.
    Uk,
    /// United Arab Emirates, `.ae`.
    Ae,
}

/// An environment of an org. A refresh token is bound to one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, schemars::JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum Environment {
    /// The org's real records.
    #[default]
    Production,
    /// A copy of the org for tests.
    Sandbox,
    /// A developer edition.
    Developer,
}

impl DataCenter {
    const ALL: [(Self, &'static str); 10] = [
        (Self::Us, "us"),
        (Self::Eu, "eu"),
        (Self::In, "in"),
        (Self::Au, "au"),
        (Self::Jp, "jp"),
        (Self::Cn, "cn"),
        (Self::Ca, "ca"),
        (Self::Sa, "sa"),
        (Self::Uk, "uk"),
        (Self::Ae, "ae"),
    ];

    /// The top-level domain of its API hosts.
    fn domain(self) -> &'static str {
        match self {
            Self::Us => "com",
            Self::Eu => "eu",
            Self::In => "in",
            Self::Au => "com.au",
            Self::Jp => "jp",
            Self::Cn => "com.cn",
            Self::Ca => "ca",
            Self::Sa => "sa",
            Self::Uk => "uk",
            Self::Ae => "ae",
        }
    }

    /// The host of its accounts server.
    pub fn accounts_host(self) -> String {
        match self {
            Self::Ca => "accounts.zohocloud.ca".to_owned(),
            Self::Us
            | Self::Eu
            | Self::In
            | Self::Au
            | Self::Jp
            | Self::Cn
            | Self::Sa
            | Self::Uk
            | Self::Ae => {
                format!("accounts.zoho.{}", self.domain())
            }
        }
    }

    /// The host of its CRM API.
    pub fn api_host(self, environment: Environment) -> String {
        format!("{}.zohoapis.{}", environment.host(), self.domain())
    }

    /// The data centre and environment of a Zoho API host; none for any other host.
    fn of_api_host(host: &str) -> Option<(Self, Environment)> {
        let environments = [
            Environment::Production,
            Environment::Sandbox,
            Environment::Developer,
        ];
        let pairs = Self::ALL
            .iter()
            .flat_map(|(center, _)| environments.map(|environment| (*center, environment)));
        pairs
            .into_iter()
            .find(|(center, environment)| center.api_host(*environment) == host)
    }
}

impl Environment {
    /// The keyword in the config.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Sandbox => "sandbox",
            Self::Developer => "developer",
        }
    }

    fn host(self) -> &'static str {
        match self {
            Self::Production => "www",
            Self::Sandbox => "sandbox",
            Self::Developer => "developer",
        }
    }
}

impl fmt::Display for DataCenter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL
            .iter()
            .find(|(center, _)| center == self)
            .map_or("us", |(_, name)| name);
        formatter.write_str(name)
    }
}

/// An unknown name of a data centre, an environment or an edition.
#[derive(Debug, thiserror::Error)]
#[error("`{found}` is none of {known}{}", hint.map(|hint| format!("; did you mean `{hint}`?")).unwrap_or_default())]
pub struct UnknownName {
    pub(super) found: String,
    pub(super) known: &'static str,
    pub(super) hint: Option<&'static str>,
}

impl FromStr for DataCenter {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let exact = Self::ALL.iter().find(|(_, name)| *name == text);
        exact.map(|(center, _)| *center).ok_or_else(|| UnknownName {
            found: text.to_owned(),
            known: "us, eu, in, au, jp, cn, ca, sa, uk, ae",
            hint: if text == "com" { Some("us") } else { None },
        })
    }
}

impl FromStr for Environment {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        match text {
            "production" => Ok(Self::Production),
            "sandbox" => Ok(Self::Sandbox),
            "developer" => Ok(Self::Developer),
            _ => Err(UnknownName {
                found: text.to_owned(),
                known: "production, sandbox, developer",
                hint: nearest(text, ["production", "sandbox", "developer"].into_iter()),
            }),
        }
    }
}

/// The base URL of CRM calls, which carry the access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiBase(Url);

/// A token answer named a host that is no Zoho API host.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the accounts server named `{0}` as API domain, which is not a Zoho API host; nothing was sent there"
)]
pub struct ForeignApiDomain(String);

impl ApiBase {
    /// The operator's override.
    pub fn configured(url: &Url) -> Self {
        Self(url.clone())
    }

    /// The API host of a data centre, for an answer that names none.
    pub fn of(center: DataCenter, environment: Environment) -> Self {
        Self::https(&center.api_host(environment))
    }

    /// The API host that the `api_domain` of a token answer names, in the connection's environment.
    ///
    /// # Errors
    /// [`ForeignApiDomain`] for anything but `https://` and one of Zoho's API hosts.
    pub fn named(api_domain: &str, environment: Environment) -> Result<Self, ForeignApiDomain> {
        let foreign = || ForeignApiDomain(api_domain.chars().take(100).collect());
        let url: Url = api_domain.parse().map_err(|_| foreign())?;
        let plain = url.scheme() == "https"
            && url.port().is_none()
            && url.username().is_empty()
            && url.password().is_none()
            && matches!(url.path(), "" | "/")
            && url.query().is_none();
        let found = url.host_str().and_then(DataCenter::of_api_host);
        match found {
            Some((center, _)) if plain => Ok(Self::of(center, environment)),
            Some(_) | None => Err(foreign()),
        }
    }

    /// The data centre of this host; none for an override.
    pub fn data_center(&self) -> Option<DataCenter> {
        self.0
            .host_str()
            .and_then(DataCenter::of_api_host)
            .map(|(center, _)| center)
    }

    /// The URL of a path, which starts with a slash.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0.as_str().trim_end_matches('/'))
    }

    fn https(host: &str) -> Self {
        let url = format!("https://{host}").parse();
        Self(url.expect("the hosts of the table are valid"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_follow_the_table_of_data_centers() {
        let hosts: Vec<String> = DataCenter::ALL
            .iter()
            .map(|(center, _)| {
                format!(
                    "{center} {} {}",
                    center.accounts_host(),
                    center.api_host(Environment::Sandbox)
                )
            })
            .collect();
        insta::assert_snapshot!(hosts.join("\n"), @r"
        us accounts.zoho.com sandbox.zohoapis.com
        eu accounts.zoho.eu sandbox.zohoapis.eu
        in accounts.zoho.in sandbox.zohoapis.in
        au accounts.zoho.com.au sandbox.zohoapis.com.au
        jp accounts.zoho.jp sandbox.zohoapis.jp
        cn accounts.zoho.com.cn sandbox.zohoapis.com.cn
        ca accounts.zohocloud.ca sandbox.zohoapis.ca
        sa accounts.zoho.sa sandbox.zohoapis.sa
        uk accounts.zoho.uk sandbox.zohoapis.uk
        ae accounts.zoho.ae sandbox.zohoapis.ae
        ");
    }

    #[test]
    fn api_domain_must_be_a_zoho_api_host() {
        let eu = ApiBase::named("https://www.zohoapis.eu", Environment::Production)
            .expect("a Zoho host");
        assert_eq!(
            eu.join("/crm/v7/Leads"),
            "https://www.zohoapis.eu/crm/v7/Leads"
        );
        assert_eq!(eu.data_center(), Some(DataCenter::Eu));
        let sandbox =
            ApiBase::named("https://www.zohoapis.eu/", Environment::Sandbox).expect("a Zoho host");
        assert_eq!(sandbox.join("/x"), "https://sandbox.zohoapis.eu/x");
        for poisoned in [
            "http://www.zohoapis.com",
            "https://www.zohoapis.com.evil.example",
            "https://www.zohoapis.com@evil.example",
            "https://evil.example/www.zohoapis.com",
            "https://www.zohoapis.com:8443",
            "https://user@www.zohoapis.com",
            "https://zohoapis.com",
            "https://169.254.169.254",
            "//www.zohoapis.com",
            "",
        ] {
            assert!(
                ApiBase::named(poisoned, Environment::Production).is_err(),
                "{poisoned}"
            );
        }
    }
}
