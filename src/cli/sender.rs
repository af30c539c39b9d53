//! Options of `masshook send` and `masshook event`: select the sender and the route, and sign a sample delivery.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use clap::Args;
use http::HeaderName;
use secrecy::SecretString;
use serde_json::Value;

use super::config_file::ConfigFile;
use super::sample_delivery::{SampleDelivery, set_value};
use crate::aws::secrets::SecretsManager;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, SchemeConfig, VerifyConfig};
use crate::secrets::Secrets;
use crate::trigger::Trigger;
use webhook_verify::sample::sample;
use webhook_verify::scheme::{PRESETS, Scheme};
use webhook_verify::verify::{OutgoingWebhook, sign};

/// Options that select and change a sample delivery.
#[derive(Debug, Args)]
pub(super) struct SenderArgs {
    /// Sender, by the name of its scheme in a route's `verify`: stripe, typeform, … For `event` also `schedule`.
    source: String,
    /// Route; not needed if only one route verifies this sender.
    #[arg(long)]
    route: Option<String>,
    /// Set a value in the body before it is signed: a dotted path, a JSON pointer or a form field. A value that is not JSON
    /// is a string. May be repeated.
    #[arg(long = "override", value_name = "KEY=VALUE")]
    overrides: Vec<KeyValue>,
    /// Set a header, for example the one that names the event type. May be repeated.
    #[arg(long = "header", value_name = "NAME=VALUE")]
    headers: Vec<KeyValue>,
    /// File with the body, instead of the sender's sample.
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// Delivery id, if the sender's scheme has one; default: a new one each time.
    #[arg(long)]
    id: Option<String>,
    /// Omit the signature, to see the delivery refused.
    #[arg(long)]
    unsigned: bool,
    #[command(flatten)]
    pub(super) config: ConfigFile,
}

/// `key=value`.
#[derive(Clone, Debug)]
struct KeyValue(String, String);

impl FromStr for KeyValue {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
        Ok(Self(key.to_owned(), value.to_owned()))
    }
}

impl SenderArgs {
    /// The sender's scheme.
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// The requested delivery id.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Applies the options to an event of AWS, which is not signed.
    ///
    /// # Errors
    /// Options that do not fit the event.
    pub(super) fn apply_to_event(&self, body: &Value) -> Result<Value, String> {
        if let Some(KeyValue(name, _)) = self.headers.first() {
            return Err(format!("a {} has no header `{name}`", self.source));
        }
        let mut event = OutgoingWebhook::new("", body.to_string());
        if let Some(path) = &self.body {
            event.body = read_file(path)?;
        }
        for KeyValue(key, value) in &self.overrides {
            set_value(&mut event, key, value)?;
        }
        serde_json::from_slice(&event.body)
            .map_err(|error| format!("the body is not JSON: {error}"))
    }

    /// The requested route, or the only one that listens to a trigger.
    ///
    /// # Errors
    /// No such route, or several.
    pub(super) fn route_listening_to<'a>(
        &self,
        config: &'a Config,
        trigger: Trigger,
    ) -> Result<&'a str, String> {
        let routes = config.routes.iter();
        let listening = routes.filter(|(_, route)| route.accepts_trigger(trigger));
        let names: Vec<&str> = listening.map(|(name, _)| name.as_str()).collect();
        match (&self.route, &names[..]) {
            (Some(requested), _) => match names.iter().find(|name| *name == requested) {
                Some(name) => Ok(name),
                None if config.routes.contains_key(requested) => Err(format!(
                    "route `{requested}` does not listen to `{trigger}`; add it to the route's `on`"
                )),
                None => Err(format!("there is no route `{requested}` in the config")),
            },
            (None, [name]) => Ok(name),
            (None, []) => Err(format!("no route of the config listens to `{trigger}`")),
            (None, _) => Err(format!(
                "several routes listen to `{trigger}`; select one with --route: {}",
                names.join(", ")
            )),
        }
    }

    /// The sample delivery, signed with the secrets that the config names.
    ///
    /// # Errors
    /// Options that do not fit the config or the sender.
    pub(super) async fn sign_sample(&self, config: &Config) -> Result<SampleDelivery, String> {
        let (route, proof) = self.find_route(config)?;
        let id = match &self.id {
            Some(id) => id.clone(),
            None => format!("msg_{:016x}", fastrand::u64(..)),
        };
        let mut delivery = sample(&self.source, &id);
        if let Some(path) = &self.body {
            delivery.body = read_file(path)?;
        }
        let public_url = config
            .routes
            .get(&route)
            .and_then(|route| route.public_url.as_ref());
        delivery.public_url = public_url.map(ToString::to_string);
        for KeyValue(name, value) in &self.headers {
            let header: HeaderName = name
                .parse()
                .map_err(|_| format!("`{name}` is not a header name"))?;
            delivery
                .set_header(&header, value)
                .map_err(|error| error.to_string())?;
        }
        let mut secrets = Vec::new();
        if let Some(proof) = proof {
            if self.body.is_none() || self.id.is_some() {
                delivery
                    .replace_delivery_id(&proof.scheme)
                    .map_err(|error| error.to_string())?;
            }
            secrets = self.read_secrets(proof).await?;
        }
        for KeyValue(key, value) in &self.overrides {
            set_value(&mut delivery, key, value)?;
        }
        if let Some(proof) = proof.filter(|_| !self.unsigned) {
            sign(&proof.scheme, &secrets, SystemClock.now(), &mut delivery).map_err(|error| {
                format!("cannot sign a delivery of {} here: {error}", self.source)
            })?;
        }
        Ok(SampleDelivery {
            route,
            delivery,
            secrets,
        })
    }

    async fn read_secrets(&self, proof: &SchemeConfig) -> Result<Vec<SecretString>, String> {
        if self.unsigned {
            return Ok(Vec::new());
        }
        let secrets = Secrets::new(Arc::new(SystemClock), Arc::new(SecretsManager::new()));
        let all = secrets.all(&proof.secrets).await;
        all.map_err(|error| error.to_string())
    }

    /// The route, and how it verifies the sender.
    fn find_route<'a>(
        &self,
        config: &'a Config,
    ) -> Result<(String, Option<&'a SchemeConfig>), String> {
        let source = self.source.as_str();
        if !PRESETS.contains(&source) && source != "custom" {
            let hint = Scheme::nearest_preset(source).map_or_else(
                || format!("known: {}, custom", PRESETS.join(", ")),
                |nearest| format!("did you mean `{nearest}`?"),
            );
            return Err(format!("there is no sender `{source}`; {hint}"));
        }
        let proof_of = |verify: &'a VerifyConfig| match verify {
            VerifyConfig::Disabled(_) | VerifyConfig::ByAws => None,
            VerifyConfig::Schemes(proofs) => {
                proofs.iter().find(|proof| proof.scheme.name() == source)
            }
        };
        if let Some(name) = &self.route {
            let route = config
                .routes
                .get(name)
                .ok_or_else(|| format!("there is no route `{name}` in the config"))?;
            let proof = proof_of(&route.verify);
            if proof.is_none()
                && !matches!(route.verify, VerifyConfig::Disabled(_))
                && !self.unsigned
            {
                return Err(format!(
                    "route `{name}` does not verify {source}: {}",
                    route.verify
                ));
            }
            return Ok((name.clone(), proof));
        }
        let found: Vec<(&String, &SchemeConfig)> = config
            .routes
            .iter()
            .filter_map(|(name, route)| proof_of(&route.verify).map(|proof| (name, proof)))
            .collect();
        match found[..] {
            [(name, proof)] => Ok((name.clone(), Some(proof))),
            [] => Err(format!(
                "no route of the config verifies {source}; select one with --route"
            )),
            _ => {
                let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
                Err(format!(
                    "several routes verify {source}; select one with --route: {}",
                    names.join(", ")
                ))
            }
        }
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}
