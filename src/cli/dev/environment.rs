//! What surrounds the server of `masshook dev`: the simulator, and the config adapted to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;
use url::Url;
use webhook_verify::scheme::PRESETS;
use zoho_simulator::{Settings, Simulator};

use super::adapted_config::{SimulatedCenter, adapted};
use super::folder::{DevFolder, shown};
use super::made_secrets::MadeSecrets;
use super::org_needs::org_needs;
use crate::app::{SecretScope, SecretState};
use crate::cli::callback_receiver::CallbackReceiver;
use crate::cli::offline::{local_secrets, offline_app};
use crate::config::{CompileMode, Config, ConfigDocument, ConfigError};
use crate::sync;

/// The simulator and the config.
pub(super) struct DevEnvironment {
    folder: DevFolder,
    config_path: PathBuf,
    simulator: Simulator,
    centers: BTreeMap<String, SimulatedCenter>,
    receiver_url: Url,
    receiver_secrets: Arc<Mutex<Vec<SecretString>>>,
}

/// A loaded config, adapted to this machine.
pub(super) struct Loaded {
    /// The config to run.
    pub(super) config: Config,
    /// What was adapted, for the log.
    pub(super) notes: Vec<String>,
    /// Files of secrets that do not exist, so that others were made up.
    pub(super) awaited_secrets: Vec<PathBuf>,
    /// The file with which other commands do the same as the server.
    config_for_commands: PathBuf,
}

impl Loaded {
    /// The file with which other commands do the same as the server.
    pub(super) fn config_for_commands(&self) -> &Path {
        &self.config_for_commands
    }
}

impl DevEnvironment {
    /// Starts the simulator.
    pub(super) async fn start(
        folder: DevFolder,
        config_path: PathBuf,
        receiver: &CallbackReceiver,
    ) -> Result<Self, String> {
        let settings = Settings {
            latency: Duration::from_millis(120),
            job_duration: Duration::from_secs(4),
            ..Settings::default()
        };
        let simulator = Simulator::start(settings).await;
        let simulator = simulator.map_err(|error| format!("the simulator: {error}"))?;
        let announcement = simulator.announcement();
        let mut centers = BTreeMap::new();
        let announced = announcement["data_centers"].as_object();
        for (name, credentials) in announced.into_iter().flatten() {
            let url = credentials["accounts_url"].as_str().unwrap_or_default();
            let file = folder.secret_file(&format!("simulator-{name}.json"));
            folder.write_secret(&file, &credentials.to_string())?;
            let center = SimulatedCenter {
                url: url.to_owned(),
                credentials: format!("file:{}", file.display()),
            };
            centers.insert(name.clone(), center);
        }
        Ok(Self {
            folder,
            config_path,
            simulator,
            centers,
            receiver_url: receiver.url().clone(),
            receiver_secrets: receiver.secrets(),
        })
    }

    /// The folder of this command.
    pub(super) fn folder(&self) -> &DevFolder {
        &self.folder
    }

    /// The user's config file.
    pub(super) fn config_path(&self) -> &Path {
        &self.config_path
    }

    /// Loads the user's config, adapts it, and extends the simulator's org by what its routes need.
    ///
    /// # Errors
    /// Everything that is wrong with the config.
    pub(super) async fn load(&self) -> Result<Loaded, Vec<String>> {
        let one = |why: String| vec![why];
        let text = std::fs::read_to_string(&self.config_path)
            .map_err(|error| one(format!("{}: {error}", shown(&self.config_path))))?;
        let path = self.config_path.clone();
        let parsed = tokio::task::spawn_blocking(move || parse(&text, &path))
            .await
            .map_err(|error| one(error.to_string()))?
            .map_err(|problems| self.located(problems))?;
        let ParsedConfig {
            config,
            document,
            is_usable_elsewhere,
        } = parsed;
        let app = offline_app(config);
        let usable: BTreeMap<String, bool> = app
            .check_secrets(SecretScope::Local)
            .await
            .into_iter()
            .map(|check| {
                let usable = matches!(
                    check.state,
                    SecretState::Usable | SecretState::WithPublicKey(_) | SecretState::Doubtful(_)
                );
                (check.reference, usable)
            })
            .collect();
        let is_usable = |reference: &str| usable.get(reference).copied().unwrap_or(false);
        let secrets = MadeSecrets::make(
            app.config(),
            |used| is_usable(&used.reference.to_string()),
            &self.folder,
        )
        .map_err(one)?;
        self.simulator
            .extend(&org_needs(&app, &self.config_path).await);
        let running = adapted(document, &self.centers, &secrets.references);
        let running = format!("{running:#}\n");
        let path = self.folder.write_running_config(&running).map_err(one)?;
        let mut config = Config::parse(&running, CompileMode::Eager)
            .map_err(|problems| self.located(problems))?;
        config.callbacks.receiver = Some(self.receiver_url.clone());
        self.expect_signatures(&config).await;
        let has_own_secrets = secrets.made.iter().all(|reference| {
            reference.starts_with("file:") && secrets.references.get(reference) == Some(reference)
        });
        Ok(Loaded {
            notes: notes(&secrets, has_own_secrets),
            awaited_secrets: secrets.awaited_files(),
            config_for_commands: match has_own_secrets && is_usable_elsewhere {
                true => self.config_path.clone(),
                false => path,
            },
            config,
        })
    }

    /// Lets the receiver verify with the secrets that sign callbacks now.
    async fn expect_signatures(&self, config: &Config) {
        let secrets = local_secrets();
        let signing = secrets.all(&config.callbacks.signing_secret).await;
        *sync::lock(&self.receiver_secrets) = signing.unwrap_or_default();
    }

    /// The problems, each with the file.
    fn located(&self, problems: Vec<strict_reader::Problem>) -> Vec<String> {
        let error = ConfigError::Invalid {
            path: PathBuf::from(shown(&self.config_path)),
            problems,
        };
        error.to_string().lines().map(str::to_owned).collect()
    }

    /// Stops the simulator.
    pub(super) async fn stop(self) {
        self.simulator.stop().await;
    }
}

/// The user's config with loopback allowed.
struct ParsedConfig {
    config: Config,
    document: Value,
    /// Whether other commands can read the file: it needs no callbacks to this machine, or allows them itself.
    is_usable_elsewhere: bool,
}

fn parse(text: &str, path: &Path) -> Result<ParsedConfig, Vec<strict_reader::Problem>> {
    let document = ConfigDocument::parse(text)?.in_folder_of(path);
    let is_usable_elsewhere = document.read(CompileMode::Lazy).is_ok();
    let document = document.with_loopback_callbacks();
    let config = document.read(CompileMode::Eager)?;
    Ok(ParsedConfig {
        config,
        document: document.into_value(),
        is_usable_elsewhere,
    })
}

fn notes(secrets: &MadeSecrets, is_own: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if !secrets.made.is_empty() && !is_own {
        notes.push(format!(
            "made-up secrets stand for {}; they are in masshook-dev/secrets",
            secrets.made.join(", ")
        ));
    }
    if !secrets.impossible.is_empty() {
        notes.push(format!(
            "no secret can be made up for {}: it verifies with a key whose other half only the sender has, so samples of this sender are refused here",
            secrets.impossible.join(", ")
        ));
    }
    notes
}

impl Loaded {
    /// The command that sends a sample to the server, whose address `masshook send` finds.
    pub(super) fn sample_command(&self, address: SocketAddr) -> String {
        let senders: Vec<(&str, &str)> = self.config.routes.iter().flat_map(senders_of).collect();
        let Some((route, sender)) = senders.first() else {
            let route = self.config.routes.iter().next();
            return match route {
                Some((route, settings)) if !settings.verify.schemes().is_empty() => format!(
                    "only the sender can sign a sample; see `masshook preview --route {route} EVENT`"
                ),
                Some((route, _)) => format!(
                    "curl -d '{{}}' -H 'content-type: application/json' http://{address}/hooks/{route}"
                ),
                None => "add a route to the config and save it".to_owned(),
            };
        };
        let is_only = senders.iter().filter(|(_, other)| other == sender).count() == 1;
        let source = match (*sender, is_only) {
            // A custom scheme has no name of its own.
            ("custom", _) => (*route).to_owned(),
            (_, true) => (*sender).to_owned(),
            (_, false) => format!("{sender} --route {route}"),
        };
        format!("masshook send {source}")
    }
}

/// The senders of a route whose samples can be signed here.
fn senders_of<'c>(
    (name, route): (&'c String, &'c crate::config::Route),
) -> Vec<(&'c str, &'c str)> {
    let schemes = route.verify.schemes().iter().map(|config| &config.scheme);
    let signed = schemes.filter(|scheme| {
        let mut delivery = webhook_verify::sample::sample(scheme.name(), "sample-1");
        delivery.public_url = route.public_url.as_ref().map(ToString::to_string);
        let key = [SecretString::from("00112233445566778899aabbccddeeff")];
        let now = jiff::Timestamp::UNIX_EPOCH;
        webhook_verify::verify::sign(scheme, &key, now, &mut delivery).is_ok()
    });
    signed
        .map(|scheme| (name.as_str(), scheme.name()))
        .filter(|(_, sender)| PRESETS.contains(sender) || *sender == "custom")
        .collect()
}
