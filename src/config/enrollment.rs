//! Checks of enrolled secrets: the location of each is used by one route only, and can be written.

use std::collections::BTreeMap;

use super::{Config, ConfigError};
use crate::secrets::location;
use strict_reader::{Location, Problems};

impl Config {
    /// Reports enrolled secrets whose location the config also uses for another secret, which a handshake would overwrite.
    pub(super) fn check_enrolled_secrets(&self, problems: &mut Problems) {
        let mut uses: BTreeMap<String, usize> = BTreeMap::new();
        for used in self.secret_uses() {
            *uses.entry(used.reference.to_string()).or_default() += 1;
        }
        for (name, route) in &self.routes {
            let mut enrolled = route.verify.enrolled_secrets();
            if let Some(reference) =
                enrolled.find(|reference| uses.get(&reference.to_string()) > Some(&1))
            {
                let message = format!(
                    "{reference} is also used elsewhere in this config; an enrolled secret needs a location of its own"
                );
                problems.add(&Location::of(&["routes", name, "verify"]), message);
            }
        }
    }

    /// Returns the config if every enrolled secret can be written to its location, as far as that can be checked without a
    /// network call.
    ///
    /// # Errors
    /// [`ConfigError::SecretNotWritable`].
    pub fn check_writable_secrets(self) -> Result<Self, ConfigError> {
        let mut problems = Problems::default();
        for (name, route) in &self.routes {
            for reference in route.verify.enrolled_secrets() {
                if let Err(error) = location::check_ready(reference, route.reenroll) {
                    let at = Location::of(&["routes", name, "verify", "secret"]);
                    problems.add(&at, format!("{error}; the enrolled secret is stored there"));
                }
            }
        }
        problems
            .finish(Some(self))
            .map_err(ConfigError::SecretNotWritable)
    }
}
