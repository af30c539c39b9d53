//! One Zoho org: its credentials, its addresses, its limits.

use schemars::JsonSchema;
use serde_json::Value;
use url::Url;

use crate::http::target::is_this_machine;
use crate::secrets::SecretRef;
use crate::zoho::data_center::{DataCenter, Environment};
use crate::zoho::limits::Edition;
use strict_reader::{Node, Object, Problems};

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
    /// A writable secret, secretsmanager:NAME, through which processes share their access token.
    pub token_cache: Option<SecretRef>,
    /// The org's edition. It decides how many calls may be under way at once, unless `max_concurrency` says so.
    #[schemars(default)]
    pub edition: Edition,
    /// Calls to Zoho under way at once, in all processes together. Zoho allows 5 to 25, by edition, which is the default;
    /// other programs of the org are not counted in.
    #[schemars(default, range(min = 1, max = 25))]
    pub max_concurrency: usize,
    /// While fewer API credits than this remain of the last 24 hours', new work waits. Zoho tells how many remain once
    /// half of the day's are used.
    #[schemars(default)]
    pub credit_floor: u64,
    /// Whether updates are held against the org's fields before they are sent: `strict`, or `off`.
    #[schemars(default)]
    pub guard: Guarding,
}

/// Whether updates are held against the org's fields before anything is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum Guarding {
    /// What Zoho would refuse ends its job before a call is made. Where the token may not read the org's fields, that is
    /// said once, and updates are sent as they are.
    #[default]
    Strict,
    /// Updates are sent as they are.
    Off,
}

impl Guarding {
    fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        match node.value {
            Value::String(word) if word == "strict" => Some(Self::Strict),
            Value::String(word) if word == "off" => Some(Self::Off),
            // What older YAML makes of a bare `off`.
            Value::Bool(false) => Some(Self::Off),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => {
                node.problem(problems, "must be `strict` or `off`");
                None
            }
        }
    }
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
        let token_cache = object.optional("token_cache").and_then(|node| {
            let reference: SecretRef = node.parse(problems)?;
            if reference.writable_name().is_none() {
                let message =
                    "must be a whole secret in Secrets Manager: write secretsmanager:NAME";
                node.problem(problems, message);
            }
            if credentials.as_ref() == Some(&reference) {
                let message = "is the secret of the credentials; the token needs one of its own";
                node.problem(problems, message);
            }
            Some(reference)
        });
        let edition = object
            .optional("edition")
            .map_or(Some(Edition::default()), |node| node.parse(problems));
        let max_concurrency = object
            .optional("max_concurrency")
            .map(|node| node.whole(1..=25, problems));
        let credit_floor = object
            .optional("credit_floor")
            .map_or(Some(0), |node| node.whole(0..=u64::MAX, problems));
        let guard = object
            .optional("guard")
            .map_or(Some(Guarding::default()), |node| {
                Guarding::read(&node, problems)
            });
        object.finish(problems);
        Some(Self {
            credentials: credentials?,
            data_center: data_center?,
            environment: environment?,
            accounts_url,
            api_url,
            token_cache,
            edition: edition?,
            max_concurrency: match max_concurrency {
                Some(given) => usize::try_from(given?).ok()?,
                None => edition?.at_once(),
            },
            credit_floor: credit_floor?,
            guard: guard?,
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
    let here = url.host().is_some_and(|host| is_this_machine(&host));
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
    if url.scheme() != "https" && !(url.scheme() == "http" && here) {
        node.problem(
            problems,
            "must be https://; http:// is for this machine only",
        );
    }
    Some(url)
}
