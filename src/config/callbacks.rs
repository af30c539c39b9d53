//! Status callbacks: who signs them and where they may go.

use schemars::JsonSchema;
use url::Url;

use super::schema::OneOrMany;
use super::values::{read_or, read_secrets};
use crate::http::target::{HostPattern, Policy};
use crate::job::CallbackFormat;
use crate::secrets::SecretRef;
use strict_reader::{Node, Problems};

/// Signing of status callbacks, and the hosts that may receive them.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Callbacks {
    /// Keys that sign callbacks (Standard Webhooks): a `whsec_` secret, which receivers share, or a `whsk_` private key
    /// (Ed25519), of which receivers need the public key only. Callbacks have a signature of each.
    #[schemars(default, with = "OneOrMany<SecretRef>")]
    pub signing_secret: Vec<SecretRef>,
    /// The form of callbacks.
    #[schemars(default)]
    pub format: CallbackFormat,
    /// The name under which masshook asks the host of a receiver for permission before it sends callbacks there, once per host
    /// and day (`WebHook-Request-Origin` of CloudEvents webhooks), such as `masshook.example.com`. Without it masshook does
    /// not ask.
    #[schemars(regex(pattern = "^[^\\s,*]+$"))]
    pub request_origin: Option<String>,
    /// Hosts that may receive callbacks: `ops.example.com` or `*.example.com`, with `:port` for a port other than 443.
    /// Default: any public host.
    #[schemars(
        default,
        with = "Vec<String>",
        length(min = 1),
        inner(regex(pattern = "^[^\\s/?#@]+$"))
    )]
    pub allowed_hosts: Vec<HostPattern>,
    /// Whether callbacks may go to this machine over http (in a container, to `host.docker.internal`). For local
    /// development only.
    #[schemars(default)]
    pub allow_loopback: bool,
    /// Where callbacks to other machines are sent instead. It is no key of the config: `masshook dev` sets it.
    #[schemars(skip)]
    pub receiver: Option<Url>,
}

impl Callbacks {
    /// Returns the policy that decides which URLs may receive callbacks.
    pub fn policy(&self) -> Policy {
        Policy {
            allowed_hosts: self.allowed_hosts.clone(),
            allow_loopback: self.allow_loopback,
            ..Policy::default()
        }
    }

    pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = node.object(problems)?;
        let signing_secret = read_secrets(&mut object, "signing_secret", problems);
        let default = CallbackFormat::default();
        let format = read_or(&mut object, "format", default, problems, Node::parse);
        let request_origin = object.optional("request_origin");
        let request_origin = request_origin.and_then(|node| read_origin(&node, problems));
        let allowed_hosts = object.optional("allowed_hosts");
        let allowed_hosts = allowed_hosts
            .and_then(|node| {
                let hosts = node.list(problems)?;
                if hosts.is_empty() {
                    node.problem(
                        problems,
                        "is empty; name hosts, or leave the key out to allow any public host",
                    );
                }
                Some(hosts)
            })
            .unwrap_or_default();
        let allowed_hosts = allowed_hosts
            .iter()
            .filter_map(|node| node.parse(problems))
            .collect();
        let allow_loopback = read_or(
            &mut object,
            "allow_loopback",
            false,
            problems,
            Node::boolean,
        );
        object.finish(problems);
        Some(Self {
            signing_secret,
            format: format?,
            request_origin,
            allowed_hosts,
            allow_loopback: allow_loopback?,
            receiver: None,
        })
    }
}

/// Reads the name of this sender, which stands in a header.
fn read_origin(node: &Node<'_>, problems: &mut Problems) -> Option<String> {
    let name = node.string(problems)?;
    let is_name = |byte: u8| byte.is_ascii_graphic() && !b",*".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_name) {
        node.problem(
            problems,
            "is not a name of this sender, such as masshook.example.com",
        );
    }
    Some(name.to_owned())
}
