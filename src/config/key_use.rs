//! Checks that no stranger can have a delivery signed: what masshook signs for others with a secret must not be what the secret
//! proves.

use std::collections::BTreeSet;

use super::{Config, Route, SchemeConfig, VerifyConfig};
use crate::secrets::SecretRef;
use strict_reader::{Location, Problem, Problems};
use webhook_verify::scheme::{SchemeSpec, SignedChallenge, ValueSelector};

/// A part of anybody's request that a response of a route signs, and the secrets that may sign it.
struct OpenSignature<'c> {
    part: &'c ValueSelector,
    secrets: &'c [SecretRef],
    challenge: SignedChallenge,
}

impl Config {
    /// Reports references that sign what strangers choose and also verify deliveries.
    pub(super) fn check_key_use(&self, problems: &mut Problems) {
        self.check_key_use_by(&ToString::to_string, problems);
    }

    /// Returns the problems of [`Config::check_key_use`], if references with the same `identity` have the same secret.
    pub fn shared_key_problems(&self, identity: &dyn Fn(&SecretRef) -> String) -> Vec<Problem> {
        let mut problems = Problems::default();
        self.check_key_use_by(identity, &mut problems);
        problems.finish::<()>(None).err().unwrap_or_default()
    }

    /// Whether a response of the route signs a part of anybody's request.
    pub fn signs_for_anybody(&self, route: &Route) -> bool {
        !open_signatures(route).is_empty()
    }

    fn check_key_use_by(&self, identity: &dyn Fn(&SecretRef) -> String, problems: &mut Problems) {
        for (name, route) in &self.routes {
            let at = Location::of(&["routes", name, "verify"]);
            for signature in open_signatures(route) {
                if let Some(message) = self.problem_with(name, &signature, identity) {
                    problems.add(&at, message);
                }
            }
            let callbacks = &self.callbacks.signing_secret;
            let schemes = route.verify.schemes().iter();
            let mut schemes = schemes.filter(|config| {
                let mut specs = config.scheme.specs().iter();
                specs.any(SchemeSpec::is_signed_by_callbacks)
            });
            if let Some(secret) =
                schemes.find_map(|config| common(&config.secrets, callbacks, identity))
            {
                let message = format!(
                    "{secret} also signs callbacks (`callbacks.signing_secret`): a receiver of a callback could send it back as a delivery; use two secrets"
                );
                problems.add(&at, message);
            }
        }
    }

    /// The problem if an open signature of the route `name` could prove a delivery of any route.
    fn problem_with(
        &self,
        name: &str,
        signature: &OpenSignature<'_>,
        identity: &dyn Fn(&SecretRef) -> String,
    ) -> Option<String> {
        let is_at_risk = |config: &&SchemeConfig| {
            common(&config.secrets, signature.secrets, identity).is_some()
                && config.scheme.spec_signed_by(signature.challenge).is_some()
        };
        let mut routes = self.routes.iter();
        let (other, config) = routes.find_map(|(other, route)| {
            let mut schemes = route.verify.schemes().iter();
            Some((other, schemes.find(is_at_risk)?))
        })?;
        let secret = common(&config.secrets, signature.secrets, identity)?;
        let part = signature.part;
        let deliveries = match other == name {
            true => "a delivery".to_owned(),
            false => format!("a delivery of route `{other}`, which has the same secret"),
        };
        let own = match signature.challenge {
            SignedChallenge::AnyText => "give the handshake a secret that verifies no deliveries",
            SignedChallenge::Token => {
                "give the handshake a secret of its own (`handshake_secret`), or `verified: true`"
            }
        };
        let limit = match (signature.challenge, other == name) {
            (SignedChallenge::Token, true) => format!(
                ", or, if the sender's challenges are tokens (1 to 128 letters, digits, `-`, `_`, `+` and `/`), add `token: true` to the condition for {part} under `when`: then no delivery may be a token"
            ),
            (SignedChallenge::Token | SignedChallenge::AnyText, _) => String::new(),
        };
        Some(format!(
            "the answer signs {part} of anybody's request with {secret}, and that can be the signature of {deliveries}: a stranger could have a delivery signed; {own}{limit}"
        ))
    }
}

/// What the responses of a route sign for anybody who asks.
fn open_signatures<'c>(route: &'c Route) -> Vec<OpenSignature<'c>> {
    let own = &route.handshake_secret[..];
    match &route.verify {
        VerifyConfig::ByAws => Vec::new(),
        VerifyConfig::Disabled(handshakes) => {
            let handshakes = handshakes.iter();
            let parts = handshakes.flat_map(|handshake| handshake.signed_parts());
            let signature = |part| OpenSignature {
                part,
                secrets: own,
                challenge: SignedChallenge::AnyText,
            };
            parts.map(signature).collect()
        }
        VerifyConfig::Schemes(schemes) => {
            let (secrets, challenge) = match own.is_empty() {
                true => (None, SignedChallenge::Token),
                false => (Some(own), SignedChallenge::AnyText),
            };
            let of_handshake = |config: &'c SchemeConfig| {
                Some(OpenSignature {
                    part: config.scheme.part_signed_for_anybody()?,
                    secrets: secrets.unwrap_or(&config.secrets),
                    challenge,
                })
            };
            let of_reply = |config: &'c SchemeConfig| {
                Some(OpenSignature {
                    part: config.scheme.uncovered_reply_part()?,
                    secrets: &config.secrets,
                    challenge: SignedChallenge::Token,
                })
            };
            let schemes = schemes.iter();
            schemes
                .flat_map(|config| [of_handshake(config), of_reply(config)])
                .flatten()
                .collect()
        }
    }
}

/// The first secret that two lists name.
fn common<'a>(
    one: &'a [SecretRef],
    other: &[SecretRef],
    identity: &dyn Fn(&SecretRef) -> String,
) -> Option<&'a SecretRef> {
    let other: BTreeSet<String> = other.iter().map(identity).collect();
    one.iter().find(|secret| other.contains(&identity(secret)))
}
