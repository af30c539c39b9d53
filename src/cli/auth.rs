//! `masshook auth`: a grant code, or a client's own leave, becomes a proven secret where the config says that it is.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::check::client;
use super::finding::{Bearing, Finding, are_good, lines};
use super::scopes::judged;
use super::{Verdict, complain, say};
use crate::aws::secrets::SecretsManager;
use crate::config::{Config, Connection, Scope};
use crate::secrets::place::{Place, Unwritable};
use crate::secrets::{Environment, Files, SecretStore};
use crate::zoho::data_center::ApiBase;
use crate::zoho::token::{ClientKey, Credentials, GrantCode, TokenGrant};
use crate::zoho::{self, Client};

/// Where the client's secret may stand, so that no list of processes shows it.
const CLIENT_SECRET: &str = "MASSHOOK_CLIENT_SECRET";

/// `masshook auth`.
#[derive(Debug, Args)]
pub(super) struct Auth {
    #[command(flatten)]
    way: Way,
    /// The client's id, from the API console.
    #[arg(long, value_name = "ID", required_unless_present = "scopes")]
    client_id: Option<String>,
    /// A file that holds the client's secret; else MASSHOOK_CLIENT_SECRET, else the first line of stdin.
    #[arg(long, value_name = "PATH")]
    client_secret_file: Option<String>,
    /// The connection; default: the one called `default`, or the only one.
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    /// One JSON document on stdout, and nothing else there.
    #[arg(long)]
    pub(super) json: bool,
    /// The config file; default: MASSHOOK_CONFIG, ./masshook.yaml, /opt/masshook.yaml.
    #[arg(long)]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Way {
    /// The code that "Generate Code" of a self client shows. It is good once, and for some minutes.
    #[arg(long)]
    code: Option<SecretString>,
    /// Client credentials instead of a code: `ZohoCRM.` and the Org ID.
    #[arg(long, value_name = "ID")]
    soid: Option<String>,
    /// Only prints the scopes to ask for in the API console.
    #[arg(long)]
    scopes: bool,
}

/// Runs the command.
pub(super) async fn run(auth: Auth, config: &Config) -> Verdict {
    let named = auth.connection.as_deref();
    let named = named.or_else(|| config.default_connection());
    let found = named.and_then(|name| config.connections.get_key_value(name));
    let Some((name, connection)) = found else {
        let known: Vec<&str> = config.connections.keys().map(String::as_str).collect();
        return unusable(
            &format!("--connection is one of {}", known.join(", ")),
            auth.json,
        );
    };
    let scopes = connection.scopes(&config.uses(name));
    if auth.way.scopes {
        show(&scopes, auth.json);
        return Verdict::Done;
    }
    // What can go wrong here goes wrong before the code is used.
    let secrets_manager = SecretsManager::new();
    let place = match Place::of(&connection.credentials, Some(&secrets_manager)).await {
        Ok(place) => place,
        Err(why @ Unwritable::Environment(_)) => {
            let message = format!(
                "{why} under `credentials`, or set the variable yourself to a JSON object with client_id, client_secret and refresh_token"
            );
            return unusable(&message, auth.json);
        }
        Err(why) => return unusable(&why.to_string(), auth.json),
    };
    let secret = match client_secret(auth.client_secret_file.as_deref()).await {
        Ok(secret) => secret,
        Err(why) => return unusable(&why, auth.json),
    };
    let key = ClientKey {
        id: auth.client_id.unwrap_or_default(),
        secret,
    };
    let client = client(name, connection);
    let mut findings = Vec::new();
    let obtained = match (auth.way.code, auth.way.soid) {
        (Some(code), _) => exchanged(&client, GrantCode { client: key, code }, &mut findings).await,
        (None, soid) => {
            let credentials =
                Credentials::of_client(key, soid.unwrap_or_default(), string_of(&scopes));
            own(&client, credentials, &mut findings).await
        }
    };
    if let Some((credentials, granted)) = obtained {
        findings.extend(judged_scopes(&scopes, &granted));
        findings.extend(data_center(connection, &granted));
        let saved = match place.write(credentials.secret()).await {
            Ok(()) => (Bearing::Good, connection.credentials.to_string()),
            Err(why) => (Bearing::Bad, why.to_string()),
        };
        findings.push(Finding::new("saved", saved.0, saved.1));
    }
    let good = are_good(&findings);
    if auth.json {
        let findings: Vec<Value> = findings.iter().map(Finding::json).collect();
        say(&json!({"ok": good, "connection": name, "findings": findings}).to_string());
    } else {
        let accounts = connection.accounts();
        let lines = lines(&findings).join("\n");
        say(&format!("connection {name}, {accounts}\n{lines}"));
    }
    match good {
        true => Verdict::Done,
        false => Verdict::Negative,
    }
}

pub(super) fn unusable(why: &str, json: bool) -> Verdict {
    match json {
        true => say(&json!({"ok": false, "error": why}).to_string()),
        false => complain(why),
    }
    Verdict::Unusable
}

/// As the API console and the accounts server take it.
fn string_of(scopes: &[Scope]) -> String {
    let names: Vec<&str> = scopes.iter().map(|scope| scope.name).collect();
    names.join(",")
}

/// The scopes in one line to copy, then each with what it is for.
fn show(scopes: &[Scope], json: bool) {
    if json {
        let of = |needed| -> Vec<&str> {
            let scopes = scopes.iter().filter(|scope| scope.needed == needed);
            scopes.map(|scope| scope.name).collect()
        };
        say(
            &json!({"scope": string_of(scopes), "needed": of(true), "optional": of(false)})
                .to_string(),
        );
        return;
    }
    let lines = scopes.iter().map(|scope| {
        let need = if scope.needed { "needed" } else { "optional" };
        format!("  {need:<9} {:<34} {}", scope.name, scope.what_for)
    });
    let lines: Vec<String> = lines.collect();
    say(&format!("{}\n\n{}", string_of(scopes), lines.join("\n")));
}

async fn client_secret(file: Option<&str>) -> Result<SecretString, String> {
    let secret = match file {
        Some(file) => {
            let secret = Files.get(file).await;
            secret.map_err(|missing| format!("--client-secret-file {file}: {}", missing.why))?
        }
        None => match Environment.get(CLIENT_SECRET).await {
            Ok(secret) => secret,
            Err(_) => {
                let stdin = std::io::stdin();
                if stdin.is_terminal() {
                    complain("The client secret, from the API console, and Enter:");
                }
                let mut line = String::new();
                let read = stdin.read_line(&mut line);
                read.map_err(|error| format!("the client secret cannot be read: {error}"))?;
                line.into()
            }
        },
    };
    match secret.expose_secret().trim() {
        "" => Err(format!(
            "there is no client secret: name a file with --client-secret-file, set {CLIENT_SECRET}, or write it to stdin"
        )),
        trimmed => Ok(trimmed.to_owned().into()),
    }
}

/// Exchanges a code, and proves that what it became is good for more.
async fn exchanged(
    client: &Client,
    code: GrantCode,
    findings: &mut Vec<Finding>,
) -> Option<(Credentials, TokenGrant)> {
    let mut granted = match client.grant(code.form()).await {
        Ok(granted) => granted,
        Err(failed) => {
            findings.push(Finding::of("grant code", Err(failed)));
            return None;
        }
    };
    let Some(refresh_token) = granted.refresh.take() else {
        let found = "Zoho gave NO REFRESH TOKEN for it, so access would end within the hour; nothing was saved. Make the code as a self client, or with access_type=offline and prompt=consent";
        findings.push(Finding::new("grant code", Bearing::Bad, found.to_owned()));
        return None;
    };
    let found = "exchanged for a refresh token".to_owned();
    findings.push(Finding::new("grant code", Bearing::Good, found));
    let credentials = code.into_credentials(refresh_token);
    let proof = client.grant(credentials.form()).await;
    // A refresh token that could not be tried just now is as good as the code was: it is not thrown away.
    let lost = matches!(proof, Err(zoho::Error::Refused(_) | zoho::Error::Denied(_)));
    let proof = proof.map(|proof| (Bearing::Good, lives(&proof)));
    findings.push(Finding::of("refresh", proof));
    (!lost).then_some((credentials, granted))
}

/// Proves that the client is given a token of its own.
async fn own(
    client: &Client,
    credentials: Credentials,
    findings: &mut Vec<Finding>,
) -> Option<(Credentials, TokenGrant)> {
    match client.grant(credentials.form()).await {
        Ok(granted) => {
            findings.push(Finding::new("token", Bearing::Good, lives(&granted)));
            Some((credentials, granted))
        }
        Err(failed) => {
            findings.push(Finding::of("token", Err(failed)));
            None
        }
    }
}

fn lives(granted: &TokenGrant) -> String {
    format!("gave an access token for {} s", granted.lifetime.as_secs())
}

/// The scopes granted, against those that this config needs.
fn judged_scopes(scopes: &[Scope], granted: &TokenGrant) -> Vec<Finding> {
    match &granted.scopes {
        // What the routes' modules are is not known here.
        Some(granted) => judged(scopes, granted, &BTreeSet::new()),
        None => {
            let found = "Zoho does not say which were granted; `masshook check --live` tries them";
            vec![Finding::new("scopes", Bearing::Note, found.to_owned())]
        }
    }
}

/// The data centre that the token is for, by the accounts server's word, against the config's.
fn data_center(connection: &Connection, granted: &TokenGrant) -> Option<Finding> {
    let named = granted.api_domain.as_deref()?;
    let (bearing, found) = match ApiBase::named(named, connection.environment) {
        Ok(api) => match api.data_center()? {
            center if center == connection.data_center => (Bearing::Good, center.to_string()),
            center => (
                Bearing::Note,
                format!(
                    "the token is for {center}, the connection says {}: write `data_center: {center}` there",
                    connection.data_center
                ),
            ),
        },
        // In Zoho's place stands what the operator named; calls go where the config says.
        Err(_) if connection.accounts_url.is_some() || connection.api_url.is_some() => return None,
        Err(foreign) => (Bearing::Bad, foreign.to_string()),
    };
    Some(Finding::new("data centre", bearing, found))
}
