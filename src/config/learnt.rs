//! Where the secrets are kept that senders hand over: each in a place of its own, which takes it.

use std::collections::BTreeMap;

use super::{Config, ConfigError};
use crate::secrets::place;
use strict_reader::{Location, Problems};

impl Config {
    /// Whatever a sender hands over must not take the place of another secret.
    pub(super) fn check_learnt(&self, problems: &mut Problems) {
        let mut uses: BTreeMap<String, usize> = BTreeMap::new();
        let connections = self.connections.values();
        let of_connections = connections.flat_map(|connection| {
            Some(&connection.credentials)
                .into_iter()
                .chain(&connection.token_cache)
        });
        let of_routes = self.routes.values().flat_map(|route| {
            let proofs = route.verify.secrets();
            proofs.chain(&route.handshake_secret)
        });
        let all = of_connections
            .chain(&self.api.key)
            .chain(&self.callbacks.signing_secret)
            .chain(of_routes);
        for reference in all {
            *uses.entry(reference.to_string()).or_default() += 1;
        }
        for (name, route) in &self.routes {
            let mut learning = route.verify.learning();
            if let Some(reference) =
                learning.find(|reference| uses.get(&reference.to_string()) > Some(&1))
            {
                let message = format!(
                    "{reference} is used elsewhere in this config too; what the sender hands over needs a place of its own"
                );
                problems.add(&Location::of(&["routes", name, "verify"]), message);
            }
        }
    }

    /// The same, if the secrets that senders hand over can be kept where it says, as far as this machine can tell without
    /// asking another.
    ///
    /// # Errors
    /// [`ConfigError::Unkeepable`].
    pub fn keeping(self) -> Result<Self, ConfigError> {
        let mut problems = Problems::default();
        for (name, route) in &self.routes {
            for reference in route.verify.learning() {
                if let Err(why) = place::ready(reference, route.relearn) {
                    let at = Location::of(&["routes", name, "verify", "secret"]);
                    problems.add(
                        &at,
                        format!("{why}; the sender's secret is to be kept there"),
                    );
                }
            }
        }
        problems.finish(Some(self)).map_err(ConfigError::Unkeepable)
    }
}
