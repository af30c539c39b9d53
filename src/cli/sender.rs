//! Options of `masshook send` and `masshook event`: select the sender and the route, and sign a sample delivery.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use clap::Args;
use http::HeaderName;
use secrecy::SecretString;
use serde_json::Value;

use super::config_file::ConfigFile;
use super::dev::folder::{FOLDER, RUNNING_CONFIG};
use super::init::senders::Sender;
use super::sample_delivery::{SampleDelivery, apply_example, set_value};
use super::terminal::read_input;
use crate::app::EventForm;
use crate::aws::secrets::SecretsManager;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Route, RouteExample, SchemeConfig, VerifyConfig};
use crate::inbound::cloud_events::ContentMode;
use crate::secrets::Secrets;
use crate::trigger::Trigger;
use webhook_verify::sample::sample;
use webhook_verify::scheme::PRESETS;
use webhook_verify::verify::{OutgoingWebhook, sign};

/// Options that select and change a sample delivery.
#[derive(Debug, Args)]
pub(super) struct SenderArgs {
    /// Sender, by the name of its scheme in a route's `verify` (stripe, typeform, …), or a route. Not needed if the config
    /// has one route. For `event` also `schedule`.
    source: Option<String>,
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
    /// File with the body, or `-` for stdin, instead of the sender's sample.
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// Delivery id, if the sender's scheme has one, or id of the CloudEvent; default: a new one each time.
    #[arg(long)]
    id: Option<String>,
    /// Send a CloudEvent in binary mode, its attributes in `ce-` headers; for routes with `cloudevents`.
    #[arg(long)]
    binary: bool,
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
    /// The requested sender or route.
    pub(super) fn source(&self) -> Option<&str> {
        self.source.as_deref()
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
            let source = self.source().unwrap_or("schedule");
            return Err(format!("a {source} has no header `{name}`"));
        }
        let mut event = OutgoingWebhook::new("", body.to_string());
        if let Some(path) = &self.body {
            event.body = read_input(path)?;
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
                None => Err(no_route(config, requested)),
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
        let Selection {
            route,
            sender,
            proof,
        } = self.select(config)?;
        let id = match &self.id {
            Some(id) => id.clone(),
            None => format!("msg_{:016x}", fastrand::u64(..)),
        };
        let settings = config.routes.get(&route);
        let takes_events = settings.is_some_and(|route| route.cloudevents.is_some());
        let mut delivery = sample(&sender, &id);
        match &self.body {
            Some(path) => delivery.body = read_input(path)?,
            // A sender without a sample of its own sends the example of its route, if there is one.
            None if takes_events || !PRESETS.contains(&sender.as_str()) => {
                if let Some(example) = self.example(config, &route) {
                    apply_example(&example, &mut delivery)?;
                }
            }
            None => {}
        }
        match takes_events {
            true => self.make_event(&mut delivery, &id)?,
            false if self.binary => {
                return Err(format!(
                    "route `{route}` takes no CloudEvents; --binary is for routes with `cloudevents`"
                ));
            }
            false => {}
        }
        let public_url = settings.and_then(|route| route.public_url.as_ref());
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
            sign(&proof.scheme, &secrets, SystemClock.now(), &mut delivery)
                .map_err(|error| format!("cannot sign a delivery of {sender} here: {error}"))?;
        }
        Ok(SampleDelivery {
            route,
            sender,
            delivery,
            secrets,
        })
    }

    /// Makes a delivery a CloudEvent, unless the headers of the command line do.
    fn make_event(&self, delivery: &mut OutgoingWebhook, id: &str) -> Result<(), String> {
        let is_marker = |KeyValue(name, _): &KeyValue| name.eq_ignore_ascii_case("ce-specversion");
        if self.headers.iter().any(is_marker) {
            return Ok(());
        }
        let form = EventForm {
            mode: match self.binary {
                true => ContentMode::Binary,
                false => ContentMode::Structured,
            },
            id: id.to_owned(),
            time: SystemClock.now().to_string(),
            is_new: self.body.is_none() || self.id.is_some(),
        };
        form.apply_to(delivery)
    }

    /// The example of a route beside the config.
    fn example(&self, config: &Config, route: &str) -> Option<RouteExample> {
        let path = self.config.path().ok()?;
        let folder = path.parent().unwrap_or(Path::new(""));
        // The running config of `masshook dev` is in its folder, below the config and its examples.
        let folder = match folder.file_name().is_some_and(|name| name == FOLDER) {
            true => folder.parent().unwrap_or(folder),
            false => folder,
        };
        RouteExample::of_route(folder, route, config.routes.len() == 1)
    }

    async fn read_secrets(&self, proof: &SchemeConfig) -> Result<Vec<SecretString>, String> {
        if self.unsigned {
            return Ok(Vec::new());
        }
        let secrets = Secrets::new(Arc::new(SystemClock), Arc::new(SecretsManager::new()));
        let all = secrets.all(&proof.secrets).await;
        all.map_err(|error| {
            let running = Path::new(FOLDER).join(RUNNING_CONFIG);
            let is_other = self.config.path().is_ok_and(|path| path != running);
            match is_other && running.is_file() {
                true => format!(
                    "{error}; `masshook dev` signs with secrets that it made up: --config {}",
                    running.display()
                ),
                false => error.to_string(),
            }
        })
    }

    /// The route, the sender, and how the route verifies it.
    fn select<'a>(&self, config: &'a Config) -> Result<Selection<'a>, String> {
        let Some(source) = self.source() else {
            return self.select_route(config, self.route.as_deref());
        };
        let routes = &config.routes;
        // Senders that `masshook init` knows need no preset of their own.
        let known = Sender::scheme_of(source);
        let scheme = known.as_deref().unwrap_or(source);
        let is_sender = PRESETS.contains(&scheme) || scheme == "custom";
        let verifying: Vec<(&String, &SchemeConfig)> = routes
            .iter()
            .filter_map(|(name, route)| proof_of(route, scheme).map(|proof| (name, proof)))
            .collect();
        let is_route = routes.contains_key(source) && self.route.is_none();
        if is_route && (verifying.is_empty() || known.is_some()) {
            return self.select_route(config, Some(source));
        }
        if !is_sender {
            return Err(no_sender(config, source));
        }
        let selection = |route: &str, proof| Selection {
            route: route.to_owned(),
            sender: scheme.to_owned(),
            proof,
        };
        if let Some(name) = &self.route {
            let route = routes.get(name).ok_or_else(|| no_route(config, name))?;
            let proof = proof_of(route, scheme);
            let is_open = matches!(route.verify, VerifyConfig::Disabled(_));
            if proof.is_none() && !is_open && !self.unsigned {
                return Err(format!(
                    "route `{name}` does not verify {source}: {}",
                    route.verify
                ));
            }
            return Ok(selection(name, proof));
        }
        match verifying[..] {
            [(name, proof)] => Ok(selection(name, Some(proof))),
            [] => Err(format!(
                "no route of the config verifies {source}; name one: {}",
                names(config)
            )),
            _ => {
                let names: Vec<&str> = verifying.iter().map(|(name, _)| name.as_str()).collect();
                Err(format!(
                    "several routes verify {source}; select one with --route: {}",
                    names.join(", ")
                ))
            }
        }
    }

    /// A route by its name, or the only one, with its first scheme.
    fn select_route<'a>(
        &self,
        config: &'a Config,
        name: Option<&str>,
    ) -> Result<Selection<'a>, String> {
        let name = match name {
            Some(name) => name,
            None => only_route(config)?,
        };
        let route = config.routes.get(name);
        let route = route.ok_or_else(|| no_route(config, name))?;
        let proof = route.verify.schemes().first();
        Ok(Selection {
            route: name.to_owned(),
            sender: proof
                .map_or("custom", |proof| proof.scheme.name())
                .to_owned(),
            proof,
        })
    }
}

/// What a sample is sent to, and how it is signed.
struct Selection<'a> {
    route: String,
    sender: String,
    /// None if the delivery is not verified.
    proof: Option<&'a SchemeConfig>,
}

/// How a route verifies a sender.
fn proof_of<'a>(route: &'a Route, sender: &str) -> Option<&'a SchemeConfig> {
    let mut schemes = route.verify.schemes().iter();
    schemes.find(|config| config.scheme.name() == sender)
}

/// The only route of a config.
///
/// # Errors
/// There are none, or several.
pub(super) fn only_route(config: &Config) -> Result<&str, String> {
    match config.routes.len() {
        1 => Ok(config.routes.keys().next().map_or("", String::as_str)),
        0 => Err("the config has no route".to_owned()),
        _ => Err(format!(
            "the config has several routes; name one: {}",
            names(config)
        )),
    }
}

/// Why a route cannot be used that the config does not have.
pub(super) fn no_route(config: &Config, name: &str) -> String {
    let routes = config.routes.keys().map(String::as_str);
    let hint = match strict_reader::nearest(name, routes) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("it has {}", names(config)),
    };
    format!("there is no route `{name}` in the config; {hint}")
}

fn no_sender(config: &Config, name: &str) -> String {
    let routes = config.routes.keys().map(String::as_str);
    let known = PRESETS.iter().copied().chain(["custom"]).chain(routes);
    let hint = match strict_reader::nearest(name, known) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!(
            "the routes of the config are {}, and the senders are those of `scheme` in `masshook schema`",
            names(config)
        ),
    };
    format!("there is no sender `{name}` and no such route; {hint}")
}

/// The routes of a config, of which a list shows few.
fn names(config: &Config) -> String {
    const SHOWN: usize = 12;
    let mut shown: Vec<&str> = config
        .routes
        .keys()
        .map(String::as_str)
        .take(SHOWN)
        .collect();
    if shown.is_empty() {
        return "no routes".to_owned();
    }
    if config.routes.len() > SHOWN {
        shown.push("…");
    }
    shown.join(", ")
}
