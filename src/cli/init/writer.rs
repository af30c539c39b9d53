//! Writes the files of a new config, of which none may exist.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::made_up;
use super::project::{Project, ProjectPlan, missing_ignores, shown};
use super::senders::SecretsPlace;
use crate::cli::check::notes::example_urls;
use crate::cli::dev::folder::{FOLDER, RUNNING_CONFIG};
use crate::cli::secret_maker::{fits, new_secret, placeholder_key};
use crate::cli::text::{cd_command, shell_quoted};
use crate::config::{SecretPurpose, SecretUse};
use crate::zoho::credentials::PLACEHOLDER;

const CONFIG: &str = "masshook.yaml";
const EVENT: &str = "event.json";
const EXPECTED: &str = "expected.json";
const IGNORE: &str = ".gitignore";

/// Where a sample of the sender can be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sample {
    /// With the secrets of the config.
    Signable,
    /// With the secrets that `masshook dev` makes up, because those of the config are not on this machine yet.
    SignableInDev,
    /// Nowhere else: only the sender has the key.
    OnlyBySender,
}

impl Sample {
    fn of(plan: &ProjectPlan, project: &Project) -> Self {
        let uses = project.config.secret_uses();
        let is_elsewhere = |used: &SecretUse<'_>| match used.purpose {
            SecretPurpose::Verification(_) => plan.secrets == SecretsPlace::Aws,
            SecretPurpose::Enrolled(_) => true,
            SecretPurpose::Credentials
            | SecretPurpose::TokenCache
            | SecretPurpose::ApiKey
            | SecretPurpose::ConsoleKey
            | SecretPurpose::CallbackSigning
            | SecretPurpose::HandshakeToken => false,
        };
        match plan.sender.needs_private_key() {
            true => Self::OnlyBySender,
            false if uses.iter().any(is_elsewhere) => Self::SignableInDev,
            false => Self::Signable,
        }
    }
}

/// What was written, and what to do next.
pub(super) struct Written {
    folder: PathBuf,
    route: String,
    sender: String,
    sample: Sample,
    files: Vec<String>,
    /// Secrets that were there before.
    kept: Vec<String>,
    /// Secrets that the sender or Zoho issues, each with what to do.
    to_replace: Vec<(String, String)>,
    /// Keys of the config whose values are made up, each with its value.
    settings: Vec<(String, String)>,
    /// Commands that create the secrets in AWS.
    aws: Vec<String>,
}

/// Checks that no file is in the way.
///
/// # Errors
/// The files that are.
pub(super) fn check_free(folder: &Path) -> Result<(), String> {
    let there = [CONFIG, EVENT, EXPECTED].into_iter();
    let there = there.filter(|name| folder.join(name).symlink_metadata().is_ok());
    let there: Vec<String> = there
        .map(|name| folder.join(name).display().to_string())
        .collect();
    let verb = match there.len() {
        0 => return Ok(()),
        1 => "exists",
        _ => "exist",
    };
    Err(format!(
        "{} {verb} already, so nothing was written; take another folder with --dir",
        there.join(", ")
    ))
}

/// Writes the files.
///
/// # Errors
/// Those of the file system, with the path.
pub(super) fn write(
    folder: &Path,
    plan: &ProjectPlan,
    project: &Project,
) -> Result<Written, String> {
    let mut written = Written {
        folder: folder.to_owned(),
        route: plan.route.clone(),
        sender: plan.sender.name.clone(),
        sample: Sample::of(plan, project),
        files: Vec::new(),
        kept: Vec::new(),
        to_replace: Vec::new(),
        settings: example_urls(&project.config),
        aws: Vec::new(),
    };
    let uses = project.config.secret_uses();
    for used in &uses {
        is_stored(folder, used)?;
    }
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    written.ignore()?;
    for used in uses {
        match plan.secrets {
            SecretsPlace::Files => written.secret_file(&used, plan)?,
            SecretsPlace::Aws => written.aws_secret(&used, plan),
        }
    }
    written.file(EVENT, &project.event, 0o644)?;
    written.file(EXPECTED, &project.expected, 0o644)?;
    // The config comes last: with it, the folder is complete.
    written.file(CONFIG, &project.config_text, 0o644)?;
    Ok(written)
}

impl Written {
    /// Writes a new file.
    fn file(&mut self, name: &str, text: &str, mode: u32) -> Result<(), String> {
        let path = self.folder.join(name);
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(mode).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| format!("{}: {error}", path.display()))?;
        self.files.push(name.to_owned());
        Ok(())
    }

    /// Adds what Git must ignore, and keeps what the file contains.
    fn ignore(&mut self) -> Result<(), String> {
        let path = self.folder.join(IGNORE);
        let existing = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        let missing = missing_ignores(&existing);
        if missing.is_empty() {
            return Ok(());
        }
        let gap = match existing.is_empty() || existing.ends_with('\n') {
            true => "",
            false => "\n",
        };
        let text = format!("{gap}{}\n", missing.join("\n"));
        let file = OpenOptions::new().append(true).create(true).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| format!("{}: {error}", path.display()))?;
        self.files.push(IGNORE.to_owned());
        Ok(())
    }

    /// What to do with a secret that is made up.
    fn advice(&self, purpose: &SecretPurpose<'_>) -> Option<String> {
        match purpose {
            SecretPurpose::Credentials => Some(
                "is a placeholder: `masshook auth --client-id ID --code CODE` replaces it"
                    .to_owned(),
            ),
            SecretPurpose::Verification(_) if self.sample == Sample::OnlyBySender => Some(format!(
                "is a placeholder: replace it by the public key that {} shows",
                self.sender
            )),
            SecretPurpose::Verification(_) => {
                // The names of formats are not the names of senders.
                let sender = match self.sender.as_str() {
                    "cloudevents" | "standard-webhooks" => "the sender",
                    named => named,
                };
                Some(format!(
                    "is made up: give it to {sender}, or replace it by the one that {sender} shows"
                ))
            }
            SecretPurpose::Enrolled(_) => {
                Some(format!("is stored by the handshake of {}", self.sender))
            }
            SecretPurpose::HandshakeToken => {
                Some(format!("is the verify token to enter at {}", self.sender))
            }
            SecretPurpose::TokenCache
            | SecretPurpose::ApiKey
            | SecretPurpose::ConsoleKey
            | SecretPurpose::CallbackSigning => None,
        }
    }

    /// Makes the secret of a reference to a file, unless it exists.
    fn secret_file(&mut self, used: &SecretUse<'_>, plan: &ProjectPlan) -> Result<(), String> {
        let Some(file) = used.reference.file() else {
            return Ok(());
        };
        let (name, path) = (file.display().to_string(), self.folder.join(file));
        if let Some(parent) = path.parent() {
            let mut builder = DirBuilder::new();
            let made = builder.recursive(true).mode(0o700).create(parent);
            made.map_err(|error| format!("{}: {error}", parent.display()))?;
        }
        let is_kept = is_stored(&self.folder, used)?;
        // What another run made up is still made up.
        let is_own = is_kept && !is_made_up(used, &path);
        let advice = self.advice(&used.purpose).filter(|_| !is_own);
        self.to_replace
            .extend(advice.map(|advice| (name.clone(), advice)));
        if matches!(used.purpose, SecretPurpose::Enrolled(_)) {
            return Ok(());
        }
        if is_kept {
            if let Some(mode) = file_mode(&path).filter(|mode| mode & 0o077 != 0) {
                let why = format!("is open to other users (mode {mode:04o}): chmod 600 it");
                self.to_replace.push((name.clone(), why));
            }
            self.kept.push(name);
            return Ok(());
        }
        let text = secret_text(&used.purpose, plan)
            .ok_or_else(|| format!("no secret can be made for {}", used.at))?;
        self.file(&name, &format!("{text}\n"), 0o600)?;
        match matches!(used.purpose, SecretPurpose::Verification(_)) {
            true => made_up::record(&path, &text, self.sample == Sample::OnlyBySender)
                .map_err(|error| format!("the list beside {}: {error}", path.display())),
            false => Ok(()),
        }
    }

    /// Notes the command that creates a secret in AWS.
    fn aws_secret(&mut self, used: &SecretUse<'_>, plan: &ProjectPlan) {
        let Some(name) = used.reference.writable_name() else {
            return;
        };
        let create = format!(
            "aws secretsmanager create-secret --name {}",
            shell_quoted(name)
        );
        self.aws.push(match used.purpose {
            SecretPurpose::Credentials => "masshook auth --client-id ID --code CODE".to_owned(),
            SecretPurpose::CallbackSigning => {
                format!("{create} --secret-string \"whsec_$(openssl rand -base64 32)\"")
            }
            SecretPurpose::HandshakeToken => {
                format!("{create} --secret-string \"$(openssl rand -hex 16)\"")
            }
            // The handshake stores the first value.
            SecretPurpose::Enrolled(_) => create,
            SecretPurpose::Verification(_) => {
                let name = &plan.sender.name;
                format!("{create} --secret-string file:///dev/stdin   # paste the secret of {name}, then Ctrl-D")
            }
            SecretPurpose::TokenCache | SecretPurpose::ApiKey | SecretPurpose::ConsoleKey => create,
        });
    }

    /// The commands that come next.
    fn next(&self) -> Vec<String> {
        let folder = shown(&self.folder);
        let enter = (folder != ".").then(|| cd_command(&folder));
        let commands = [
            "masshook check".to_owned(),
            "masshook dev".to_owned(),
            self.try_command(),
        ];
        enter.into_iter().chain(commands).collect()
    }

    /// The command that tries the route.
    fn try_command(&self) -> String {
        match self.sample {
            Sample::OnlyBySender => format!("masshook preview {EVENT}"),
            Sample::Signable => format!("masshook send {}", self.route),
            Sample::SignableInDev => {
                format!(
                    "masshook send {} --config {FOLDER}/{RUNNING_CONFIG}",
                    self.route
                )
            }
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let to_replace = self.to_replace.iter();
        let to_replace: serde_json::Map<String, Value> = to_replace
            .map(|(name, advice)| (name.clone(), advice.as_str().into()))
            .collect();
        let settings = self.settings.iter();
        let settings: serde_json::Map<String, Value> = settings
            .map(|(key, url)| (key.clone(), url.as_str().into()))
            .collect();
        json!({
            "ok": true,
            "folder": shown(&self.folder),
            "route": self.route,
            "files": self.files,
            "kept": self.kept,
            "secrets": to_replace,
            "settings": settings,
            "aws": self.aws,
            "next": self.next(),
        })
    }

    pub(super) fn to_text(&self) -> String {
        let mut lines = vec![format!(
            "A config for {} in {}: {}",
            self.sender,
            shown(&self.folder),
            self.files.join(", ")
        )];
        if !self.kept.is_empty() {
            lines.push(format!("Kept: {}", self.kept.join(", ")));
        }
        lines.push("\nNext:".to_owned());
        let purposes = |command: &str| match command {
            "masshook check" => "  # check all of it",
            "masshook dev" if self.sample == Sample::OnlyBySender => {
                "  # run it against a simulated Zoho, which refuses samples: only the sender can sign"
            }
            "masshook dev" => "  # run it against a simulated Zoho, then in another terminal:",
            command if command.starts_with("masshook preview") => {
                "  # show what the route does with the sample"
            }
            _ => "",
        };
        let next = self.next();
        lines.extend(
            next.iter()
                .map(|command| format!("  {command}{}", purposes(command))),
        );
        let is_ready = [
            self.to_replace.is_empty(),
            self.settings.is_empty(),
            self.aws.is_empty(),
        ];
        if is_ready.contains(&false) {
            lines.push("\nBefore it goes live:".to_owned());
        }
        let replaced = self.to_replace.iter();
        lines.extend(replaced.map(|(name, advice)| format!("  {name} {advice}")));
        lines.extend(self.settings.iter().map(|(key, url)| {
            format!("  {key} in {CONFIG} is an example: replace {url} by your own, or remove it")
        }));
        lines.extend(self.aws.iter().map(|command| format!("  {command}")));
        lines.join("\n")
    }
}

/// Whether the file of a secret is there. It then must be fit for its purpose.
fn is_stored(folder: &Path, used: &SecretUse<'_>) -> Result<bool, String> {
    let Some(path) = used.reference.file().map(|file| folder.join(file)) else {
        return Ok(false);
    };
    if path.symlink_metadata().is_err() {
        return Ok(false);
    }
    let text = std::fs::read_to_string(&path);
    let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
    match fits(&used.purpose, text.trim_end()) {
        true => Ok(true),
        false => Err(format!(
            "{} exists already and is no secret for {}; move it away, or take another folder with --dir",
            path.display(),
            used.at
        )),
    }
}

/// Whether the secret in a file is a placeholder, or one to be told to the sender.
fn is_made_up(used: &SecretUse<'_>, path: &Path) -> bool {
    match used.purpose {
        SecretPurpose::Credentials => {
            std::fs::read_to_string(path).is_ok_and(|text| text.trim_end() == PLACEHOLDER)
        }
        SecretPurpose::Verification(_) => made_up::find(path).is_some(),
        SecretPurpose::HandshakeToken => true,
        SecretPurpose::Enrolled(_)
        | SecretPurpose::TokenCache
        | SecretPurpose::ApiKey
        | SecretPurpose::ConsoleKey
        | SecretPurpose::CallbackSigning => false,
    }
}

/// The permissions of a file; none if they cannot be read.
pub(in crate::cli) fn file_mode(path: &Path) -> Option<u32> {
    let file = std::fs::metadata(path).ok()?;
    Some(file.permissions().mode() & 0o777)
}

/// A made-up secret for a purpose.
fn secret_text(purpose: &SecretPurpose<'_>, plan: &ProjectPlan) -> Option<String> {
    match purpose {
        SecretPurpose::Credentials => Some(PLACEHOLDER.to_owned()),
        SecretPurpose::Verification(_) if plan.sender.template.login => {
            new_secret(purpose).map(|password| format!("masshook:{password}"))
        }
        SecretPurpose::Verification(_)
        | SecretPurpose::Enrolled(_)
        | SecretPurpose::CallbackSigning
        | SecretPurpose::HandshakeToken
        | SecretPurpose::ApiKey
        | SecretPurpose::ConsoleKey
        | SecretPurpose::TokenCache => new_secret(purpose).or_else(|| placeholder_key(purpose)),
    }
}
