//! `masshook secrets`: lists the secrets that a config needs, and makes those that are masshook's own.

use std::sync::Arc;

use clap::{Args, Subcommand};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::check::writable_secrets;
use super::config_file::{ConfigFile, report_config_error};
use super::finding::{json_list, text_lines};
use super::offline::{app_without_jobs, no_secrets};
use super::secret_maker::new_secret;
use super::styled::Tone;
use super::table::{Cell, fitted, table, terminal_width};
use super::terminal::{ExitStatus, OutputFormat};
use super::text::{count_of, shell_quoted};
use crate::app::{SecretCheck, SecretScope, SecretState};
use crate::aws::secrets::SecretsManager;
use crate::config::{Config, SecretPurpose, SecretUse};
use crate::secrets::SecretRef;
use crate::secrets::location::SecretLocation;

/// Arguments of `masshook secrets`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct SecretsArgs {
    #[command(subcommand)]
    command: Option<SecretsCommand>,
    #[command(flatten)]
    list: ListArgs,
}

/// A subcommand of `masshook secrets`.
#[derive(Debug, Subcommand)]
enum SecretsCommand {
    /// Make the secrets that are masshook's own and are missing
    ///
    /// Makes signing secrets of callbacks, keys of the API and the console, and verify tokens. A secret in a file is written
    /// with mode 0600; for other places the command that creates it is printed. A secret that exists stays as it is.
    Make(MakeArgs),
}

/// Arguments of the list.
#[derive(Debug, Args)]
struct ListArgs {
    /// Also read the secrets that are in AWS.
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    output: OutputFormat,
    #[command(flatten)]
    config: ConfigFile,
}

/// Arguments of `masshook secrets make`.
#[derive(Debug, Args)]
struct MakeArgs {
    #[command(flatten)]
    output: OutputFormat,
    #[command(flatten)]
    config: ConfigFile,
}

/// Runs the command.
pub(super) async fn run(args: SecretsArgs) -> ExitStatus {
    let (output, config) = match &args.command {
        Some(SecretsCommand::Make(args)) => (args.output, &args.config),
        None => (args.list.output, &args.list.config),
    };
    let config = match config.load() {
        Ok(config) => config,
        Err(error) => return report_config_error(&error, output),
    };
    match args.command {
        Some(SecretsCommand::Make(_)) => make(&config, output).await,
        None => list(config, args.list.live, output).await,
    }
}

async fn list(config: Config, live: bool, output: OutputFormat) -> ExitStatus {
    let (store, scope): (Arc<dyn crate::secrets::SecretStore>, _) = match live {
        true => (Arc::new(SecretsManager::new()), SecretScope::All),
        false => (no_secrets(), SecretScope::Local),
    };
    let app = app_without_jobs(config, store);
    let checks = app.check_secrets(scope).await;
    let uses = app.config().secret_uses();
    let purposes = uses.iter().map(|used| purpose_text(&used.purpose));
    // Behind the uses come problems of several secrets together.
    let purposes = purposes.chain(std::iter::repeat("several"));
    let rows: Vec<SecretRow> = purposes
        .zip(checks)
        .map(|(purpose, check)| SecretRow { purpose, check })
        .collect();
    let ok = rows.iter().all(|row| row.state() != "bad");
    let secrets: Vec<Value> = rows.iter().map(SecretRow::to_json).collect();
    let cells: Vec<[Cell; 4]> = rows.iter().map(SecretRow::cells).collect();
    let mut text = match cells.is_empty() {
        true => "The config needs no secrets.".into(),
        false => table(
            ["STATE", "FOR", "USED BY", "SECRET"],
            &cells,
            terminal_width(),
        ),
    };
    let problems = rows.iter().filter(|row| row.state() != "ok");
    for row in problems {
        let state = row.state();
        let message = fitted(&format!("{state}: {}", row.check), 0);
        text.push_plain("\n");
        text.push(row.tone(), state);
        text.push_plain(&message[state.len()..]);
    }
    let notes = writable_secrets(app.config());
    text.append(text_lines(&notes));
    let document = json!({"ok": ok, "secrets": secrets, "notes": json_list(&notes)});
    output.print(&document, text);
    ExitStatus::from_success(ok)
}

/// A secret in the list.
struct SecretRow {
    purpose: &'static str,
    check: SecretCheck,
}

impl SecretRow {
    fn state(&self) -> &'static str {
        match self.check.state {
            SecretState::Usable | SecretState::WithPublicKey(_) => "ok",
            SecretState::Doubtful(_) => "doubtful",
            SecretState::NotEnrolled => "awaited",
            SecretState::Remote => "not read",
            SecretState::Unavailable(_) | SecretState::Unusable(_) => "bad",
        }
    }

    fn tone(&self) -> Tone {
        match self.state() {
            "ok" => Tone::Good,
            "bad" => Tone::Bad,
            _ => Tone::Doubtful,
        }
    }

    fn cells(&self) -> [Cell; 4] {
        let reference = match self.check.reference.as_str() {
            "" => "-",
            reference => reference,
        };
        [
            Cell::toned(self.tone(), self.state()),
            self.purpose.into(),
            self.check.at.as_str().into(),
            reference.into(),
        ]
    }

    fn to_json(&self) -> Value {
        let check = &self.check;
        json!({
            "state": self.state(),
            "for": self.purpose,
            "secret": check.reference,
            "used_by": check.at,
            "found": check.to_string(),
        })
    }
}

fn purpose_text(purpose: &SecretPurpose<'_>) -> &'static str {
    match purpose {
        SecretPurpose::Credentials => "credentials of Zoho",
        SecretPurpose::TokenCache => "cached token",
        SecretPurpose::ApiKey => "key of the API",
        SecretPurpose::ConsoleKey => "key of the console",
        SecretPurpose::CallbackSigning => "signing callbacks",
        SecretPurpose::Verification(_) => "verifying deliveries",
        SecretPurpose::Enrolled(_) => "verifying, from handshake",
        SecretPurpose::HandshakeToken => "handshakes",
    }
}

async fn make(config: &Config, output: OutputFormat) -> ExitStatus {
    let mut results: Vec<(String, Made)> = Vec::new();
    for used in config.secret_uses() {
        let reference = used.reference.to_string();
        let is_known = results.iter().any(|(known, _)| *known == reference);
        if is_own(&used.purpose) && !is_known {
            results.push((reference, make_one(&used).await));
        }
    }
    let is_failed = |made: &Made| matches!(made, Made::Failed(_));
    let ok = !results.iter().any(|(_, made)| is_failed(made));
    let entries: Vec<Value> = results
        .iter()
        .map(|(reference, made)| made.to_json(reference))
        .collect();
    let mut lines: Vec<String> = results
        .iter()
        .map(|(reference, made)| made.to_text(reference))
        .collect();
    let made = results
        .iter()
        .filter(|(_, made)| matches!(made, Made::Written));
    lines.push(format!("made {}", count_of(made.count() as u64, "secret")));
    output.print(&json!({"ok": ok, "secrets": entries}), lines.join("\n"));
    ExitStatus::from_success(ok)
}

/// Whether masshook may choose the secret, because no other party issues it.
fn is_own(purpose: &SecretPurpose<'_>) -> bool {
    match purpose {
        SecretPurpose::CallbackSigning
        | SecretPurpose::ApiKey
        | SecretPurpose::ConsoleKey
        | SecretPurpose::HandshakeToken => true,
        SecretPurpose::Credentials
        | SecretPurpose::TokenCache
        | SecretPurpose::Verification(_)
        | SecretPurpose::Enrolled(_) => false,
    }
}

/// Result of making one secret.
enum Made {
    /// It was written.
    Written,
    /// There is one.
    Exists,
    /// The command that creates it.
    Command(String),
    /// It cannot be written.
    Failed(String),
}

impl Made {
    fn to_text(&self, reference: &str) -> String {
        match self {
            Self::Written => format!("made    {reference}"),
            Self::Exists => format!("exists  {reference}"),
            Self::Command(command) => format!("create  {reference} with\n        {command}"),
            Self::Failed(why) => format!("BAD     {why}"),
        }
    }

    fn to_json(&self, reference: &str) -> Value {
        let (result, detail) = match self {
            Self::Written => ("made", None),
            Self::Exists => ("exists", None),
            Self::Command(command) => ("command", Some(command)),
            Self::Failed(why) => ("failed", Some(why)),
        };
        json!({"secret": reference, "result": result, "detail": detail})
    }
}

async fn make_one(used: &SecretUse<'_>) -> Made {
    let reference = used.reference;
    if let Some(command) = creation_command(reference, &used.purpose) {
        return Made::Command(command);
    }
    let Some(text) = new_secret(&used.purpose) else {
        return Made::Failed(format!("no random secret can be made for {reference}"));
    };
    match write_file(reference, text.into()).await {
        Ok(true) => Made::Written,
        Ok(false) => Made::Exists,
        Err(why) => Made::Failed(why),
    }
}

/// Writes a secret into its file, unless there is one.
async fn write_file(reference: &SecretRef, secret: SecretString) -> Result<bool, String> {
    let location = SecretLocation::of(reference, None).await;
    let location = location.map_err(|error| error.to_string())?;
    let written = location.write_if_absent(secret).await;
    written.map_err(|error| error.to_string())
}

/// The command that creates a secret which is not in a file. It makes the secret itself, so no output contains one.
fn creation_command(reference: &SecretRef, purpose: &SecretPurpose<'_>) -> Option<String> {
    let value = match purpose {
        SecretPurpose::CallbackSigning => "whsec_$(openssl rand -base64 32)",
        SecretPurpose::Credentials
        | SecretPurpose::TokenCache
        | SecretPurpose::ApiKey
        | SecretPurpose::ConsoleKey
        | SecretPurpose::Verification(_)
        | SecretPurpose::Enrolled(_)
        | SecretPurpose::HandshakeToken => "$(openssl rand -hex 32)",
    };
    let text = reference.to_string();
    let (place, name) = text.split_once(':')?;
    let quoted = shell_quoted(name);
    match (place, name.split_once('#')) {
        (_, Some((whole, key))) => Some(format!(
            "printf '%s' \"{value}\"   # the key `{key}` of the JSON in {place}:{whole}"
        )),
        ("env", None) => Some(format!("export {quoted}=\"{value}\"")),
        ("secretsmanager", None) => Some(format!(
            "aws secretsmanager create-secret --name {quoted} --secret-string \"{value}\""
        )),
        ("ssm", None) => Some(format!(
            "aws ssm put-parameter --name {quoted} --type SecureString --value \"{value}\""
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_make_the_secret_themselves() {
        let command = |reference: &str| {
            let reference: SecretRef = reference.parse().expect("a reference");
            creation_command(&reference, &SecretPurpose::CallbackSigning)
        };
        insta::assert_snapshot!(command("secretsmanager:masshook/callback").expect("one"), @r#"aws secretsmanager create-secret --name masshook/callback --secret-string "whsec_$(openssl rand -base64 32)""#);
        insta::assert_snapshot!(command("ssm:/masshook/callback").expect("one"), @r#"aws ssm put-parameter --name /masshook/callback --type SecureString --value "whsec_$(openssl rand -base64 32)""#);
        insta::assert_snapshot!(command("env:CALLBACK").expect("one"), @r#"export CALLBACK="whsec_$(openssl rand -base64 32)""#);
        assert_eq!(command("file:secrets/callback"), None);
    }
}
