//! How job statuses are forwarded.

use schemars::JsonSchema;

use super::{OneOrMany, read_secrets};
use crate::http::target::{HostPattern, Policy};
use crate::secrets::SecretRef;
use strict_reader::{Node, Problems};

/// How job statuses are forwarded.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Callbacks {
    /// `whsec_` secrets that sign callbacks (Standard Webhooks); several while rotating.
    #[schemars(default, with = "OneOrMany<SecretRef>")]
    pub signing_secret: Vec<SecretRef>,
    /// Hosts that callbacks may go to: `ops.example.com`, `*.example.com`, with `:port` for another than 443. Without
    /// this list, any public host.
    #[schemars(default, with = "Vec<String>")]
    pub allowed_hosts: Vec<HostPattern>,
    /// Whether callbacks may go to this machine over http (in a container: to `host.docker.internal`). Only for local work.
    #[schemars(default)]
    pub allow_loopback: bool,
}

impl Callbacks {
    /// Which URLs callbacks may go to.
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
        let allow_loopback = object
            .optional("allow_loopback")
            .map_or(Some(false), |node| node.boolean(problems));
        object.finish(problems);
        Some(Self {
            signing_secret,
            allowed_hosts,
            allow_loopback: allow_loopback?,
        })
    }
}
