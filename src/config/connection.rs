//! One Zoho org: its credentials, its addresses, its limits.

use schemars::JsonSchema;
use url::Url;

use crate::reader::{Node, Object, Problems};
use crate::secrets::SecretRef;
use crate::zoho::data_center::{DataCenter, Environment};

/// One Zoho org.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Connection {
    /// A JSON secret: client_id, client_secret, refresh_token; or client_id, client_secret, grant_type:
    /// client_credentials, soid.
    pub credentials: SecretRef,
    /// Where the org lives.
    #[schemars(default)]
    pub data_center: DataCenter,
    /// Which of the org's environments the credentials are for.
    #[schemars(default)]
    pub environment: Environment,
    /// Another accounts server than the data centre's.
    pub accounts_url: Option<Url>,
    /// Another API host than the one that the token names.
    pub api_url: Option<Url>,
    /// Calls to Zoho under way at once. Zoho allows 5 to 25, by edition, for all programs together.
    #[schemars(default, range(min = 1, max = 25))]
    pub max_concurrency: usize,
}

impl Connection {
    /// Its accounts server's address, without a slash at its end.
    pub fn accounts(&self) -> String {
        self.accounts_url.as_ref().map_or_else(
            || format!("https://{}", self.data_center.accounts_host()),
            |url| url.as_str().trim_end_matches('/').to_owned(),
        )
    }

    pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = node.object(problems)?;
        let credentials = object
            .required("credentials", problems)
            .and_then(|node| node.parse(problems));
        let data_center = object
            .optional("data_center")
            .map_or(Some(DataCenter::default()), |node| node.parse(problems));
        let environment = object
            .optional("environment")
            .map_or(Some(Environment::default()), |node| node.parse(problems));
        let accounts_url = read_override(&mut object, "accounts_url", problems);
        let api_url = read_override(&mut object, "api_url", problems);
        let max_concurrency = object
            .optional("max_concurrency")
            .map_or(Some(5), |node| node.whole(1..=25, problems));
        object.finish(problems);
        Some(Self {
            credentials: credentials?,
            data_center: data_center?,
            environment: environment?,
            accounts_url,
            api_url,
            max_concurrency: usize::try_from(max_concurrency?).ok()?,
        })
    }
}

/// An override of Zoho's addresses: https, or http on this machine.
fn read_override(
    object: &mut Object<'_>,
    key: &'static str,
    problems: &mut Problems,
) -> Option<Url> {
    let node = object.optional(key)?;
    let url: Url = node
        .string(problems)?
        .parse()
        .ok()
        .filter(Url::has_host)
        .or_else(|| {
            node.problem(problems, "is not a URL");
            None
        })?;
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let origin = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !origin || !matches!(url.path(), "" | "/") {
        node.problem(
            problems,
            "must be an origin, such as https://host:port, and nothing after it",
        );
    }
    if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
        node.problem(
            problems,
            "must be https://; http:// is for this machine only",
        );
    }
    Some(url)
}
