//! `masshook auth`: obtains credentials for a connection, verifies them and saves them as the secret that the config names.

mod callback_key;
mod grant;

use std::io::IsTerminal;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use self::callback_key::CallbackKey;
use self::grant::{data_center_finding, exchange_code, scope_findings, verify_client_credentials};
use super::config_file::{ConfigFile, report_config_error};
use super::finding::{Finding, Severity, json_list, none_bad, text_lines};
use super::scopes::scope_string;
use super::styled::{StyledText, Tone};
use super::table::fitted;
use super::terminal::{ExitStatus, OutputFormat, print_error};
use super::zoho_client::zoho_client;
use crate::aws::secrets::SecretsManager;
use crate::config::{Config, Scope};
use crate::secrets::location::{SecretLocation, SecretWriteError};
use crate::secrets::{EnvironmentSecrets, FileSecrets, SecretStore};
use crate::zoho::Connection;
use crate::zoho::credentials::{ClientKey, Credentials, GrantCode};

/// The environment variable for the client secret. Unlike an argument, it does not appear in process lists.
const CLIENT_SECRET_VARIABLE: &str = "MASSHOOK_CLIENT_SECRET";

/// Reported if the arguments name no task.
const NOTHING_TO_DO: &str = "name what to do: `--scopes` prints the scopes to request in the API console, `--client-id ID --code CODE` (or \
    `--client-id ID --soid ID`) obtains credentials, and `--callback-key KIND` makes a key that signs callbacks";

/// Arguments of `masshook auth`.
#[derive(Debug, Args)]
pub(super) struct AuthArgs {
    #[command(flatten)]
    grant: GrantArgs,
    /// Client id, from the API console.
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// File with the client secret; default: MASSHOOK_CLIENT_SECRET, or the first line of stdin.
    #[arg(long, value_name = "PATH")]
    client_secret_file: Option<String>,
    /// Connection; default: the one named `default`, or the only one.
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    #[command(flatten)]
    output: OutputFormat,
    #[command(flatten)]
    config: ConfigFile,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
struct GrantArgs {
    /// Grant code from "Generate Code" of a self client. It is valid once, for a few minutes.
    #[arg(long, requires = "client_id")]
    code: Option<SecretString>,
    /// Use client credentials instead of a code; the value is `ZohoCRM.` and the Org ID.
    #[arg(long, value_name = "ID", requires = "client_id")]
    soid: Option<String>,
    /// Only print the scopes to request in the API console.
    #[arg(long)]
    scopes: bool,
    /// Make a key that signs callbacks, save it in the first empty place of `callbacks.signing_secret`, and print its public
    /// key.
    #[arg(long, value_name = "KIND")]
    callback_key: Option<CallbackKey>,
}

impl GrantArgs {
    /// Whether they name no task.
    fn is_empty(&self) -> bool {
        let is_named = [
            self.code.is_some(),
            self.soid.is_some(),
            self.scopes,
            self.callback_key.is_some(),
        ];
        !is_named.contains(&true)
    }
}

/// Runs the command.
pub(super) async fn run(args: AuthArgs) -> ExitStatus {
    let output = args.output;
    if args.grant.is_empty() {
        return output.usage_error(NOTHING_TO_DO);
    }
    let config = match args.config.load() {
        Ok(config) => config,
        Err(error) => return report_config_error(&error, output),
    };
    match authorize(args, &config).await {
        Ok(status) => status,
        Err(message) => output.usage_error(&message),
    }
}

/// Runs the command with a loaded config.
///
/// # Errors
/// Invalid arguments. They are detected before the grant code is used, because it is valid only once.
async fn authorize(args: AuthArgs, config: &Config) -> Result<ExitStatus, String> {
    if let Some(kind) = args.grant.callback_key {
        return callback_key::make(kind, config, args.output).await;
    }
    let (name, connection) = find_connection(config, args.connection.as_deref())?;
    let scopes = connection.scopes(&config.scoped_features(name));
    if args.grant.scopes {
        print_scopes(&scopes, args.output);
        return Ok(ExitStatus::Success);
    }
    let secrets_manager = SecretsManager::new();
    let place = SecretLocation::of(&connection.credentials, Some(&secrets_manager)).await;
    let place = place.map_err(|why| match matches!(why, SecretWriteError::Environment(_)) {
        true => format!(
            "{why} under `credentials`, or set the variable yourself to a JSON object with client_id, client_secret and refresh_token"
        ),
        false => why.to_string(),
    })?;
    let key = ClientKey {
        id: args.client_id.unwrap_or_default(),
        secret: read_client_secret(args.client_secret_file.as_deref()).await?,
    };
    let client = zoho_client(name, connection);
    let mut findings = Vec::new();
    let obtained = match args.grant.code {
        Some(code) => exchange_code(&client, GrantCode { client: key, code }, &mut findings).await,
        None => {
            let soid = args.grant.soid.unwrap_or_default();
            let credentials = Credentials::of_client(key, soid, scope_string(&scopes));
            verify_client_credentials(&client, credentials, &mut findings).await
        }
    };
    if let Some((credentials, granted)) = obtained {
        findings.extend(scope_findings(&scopes, &granted));
        findings.extend(data_center_finding(connection, &granted));
        let (severity, message) = match place.write(credentials.secret()).await {
            Ok(()) => (Severity::Ok, connection.credentials.to_string()),
            Err(why) => (Severity::Bad, why.to_string()),
        };
        findings.push(Finding::new("saved", severity, message));
    }
    let ok = none_bad(&findings);
    let accounts = connection.accounts();
    let mut text = StyledText::default();
    text.push(Tone::Heading, format!("connection {name}, {accounts}"));
    text.append(text_lines(&findings));
    args.output.print(
        &json!({"ok": ok, "connection": name, "findings": json_list(&findings)}),
        text,
    );
    Ok(ExitStatus::from_success(ok))
}

fn find_connection<'a>(
    config: &'a Config,
    requested: Option<&'a str>,
) -> Result<(&'a str, &'a Connection), String> {
    let name = requested.or_else(|| config.default_connection());
    let found = name.and_then(|name| config.connections.get_key_value(name));
    let (name, connection) = found.ok_or_else(|| {
        let known: Vec<&str> = config.connections.keys().map(String::as_str).collect();
        format!("--connection must be one of {}", known.join(", "))
    })?;
    Ok((name, connection))
}

/// Prints the scopes as one string to copy, and then the purpose of each.
fn print_scopes(scopes: &[Scope], output: OutputFormat) {
    let names = |needed| -> Vec<&str> {
        let scopes = scopes.iter().filter(|scope| scope.needed == needed);
        scopes.map(|scope| scope.name).collect()
    };
    let lines = scopes.iter().map(|scope| {
        let need = if scope.needed { "needed" } else { "optional" };
        format!(
            "  {need:<9} {:<34} {}",
            scope.name,
            fitted(scope.what_for, 47)
        )
    });
    let lines: Vec<String> = lines.collect();
    let joined = scope_string(scopes);
    output.print(
        &json!({"scope": joined, "needed": names(true), "optional": names(false)}),
        format!("{joined}\n\n{}", lines.join("\n")),
    );
}

async fn read_client_secret(file: Option<&str>) -> Result<SecretString, String> {
    let secret = match file {
        Some(file) => {
            let secret = FileSecrets.get(file).await;
            secret.map_err(|missing| format!("--client-secret-file {file}: {}", missing.why))?
        }
        None => match EnvironmentSecrets.get(CLIENT_SECRET_VARIABLE).await {
            Ok(secret) => secret,
            Err(_) => read_secret_from_stdin()?,
        },
    };
    match secret.expose_secret().trim() {
        "" => Err(format!(
            "there is no client secret: name a file with --client-secret-file, set {CLIENT_SECRET_VARIABLE}, or write it to stdin"
        )),
        trimmed => Ok(trimmed.to_owned().into()),
    }
}

fn read_secret_from_stdin() -> Result<SecretString, String> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        print_error("Enter the client secret from the API console:");
    }
    let mut line = String::new();
    let read = stdin.read_line(&mut line);
    read.map_err(|error| format!("the client secret cannot be read: {error}"))?;
    Ok(line.into())
}
