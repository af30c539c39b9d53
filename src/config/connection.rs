//! Reads the entries of `connections`.

use serde_json::Value;
use url::Url;

use super::values::{read_or, read_url};
use crate::http::target::is_this_machine;
use crate::secrets::SecretRef;
use crate::update::ApiVersion;
use crate::zoho::data_center::{DataCenter, Environment};
use crate::zoho::limits::Edition;
use crate::zoho::{Connection, MetadataGuard};
use strict_reader::{Node, Object, Problems};

fn read_guard(node: &Node<'_>, problems: &mut Problems) -> Option<MetadataGuard> {
    match node.value {
        Value::String(text) if text == "strict" => Some(MetadataGuard::Strict),
        Value::String(text) if text == "off" => Some(MetadataGuard::Off),
        // YAML 1.1 reads a bare `off` as false.
        Value::Bool(false) => Some(MetadataGuard::Off),
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => {
            node.problem(problems, "must be `strict` or `off`");
            None
        }
    }
}

/// Reads one entry of `connections`.
pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Connection> {
    let mut object = node.object(problems)?;
    let credentials = object
        .required("credentials", problems)
        .and_then(|node| node.parse(problems));
    let default = DataCenter::default();
    let data_center = read_or(&mut object, "data_center", default, problems, Node::parse);
    let default = Environment::default();
    let environment = read_or(&mut object, "environment", default, problems, Node::parse);
    let default = ApiVersion::default();
    let api_version = read_or(&mut object, "api_version", default, problems, Node::parse);
    let accounts_url = read_override(&mut object, "accounts_url", problems);
    let api_url = read_override(&mut object, "api_url", problems);
    let token_cache = object.optional("token_cache").and_then(|node| {
        let reference: SecretRef = node.parse(problems)?;
        if reference.writable_name().is_none() {
            let message = "must be a whole secret in Secrets Manager: write secretsmanager:NAME";
            node.problem(problems, message);
        }
        if credentials.as_ref() == Some(&reference) {
            let message = "is the secret of the credentials; the token needs a secret of its own";
            node.problem(problems, message);
        }
        Some(reference)
    });
    let edition = object.optional("edition");
    let edition = edition.map(|node| node.parse::<Edition>(problems));
    let max_concurrency = object
        .optional("max_concurrency")
        .map(|node| node.whole(1..=25, problems));
    let credit_floor = read_or(
        &mut object,
        "credit_floor",
        0,
        problems,
        |node, problems| node.whole(0..=u64::MAX, problems),
    );
    let guard = MetadataGuard::default();
    let guard = read_or(&mut object, "guard", guard, problems, read_guard);
    object.finish(problems);
    Some(Connection {
        credentials: credentials?,
        data_center: data_center?,
        environment: environment?,
        api_version: api_version?,
        accounts_url,
        api_url,
        token_cache,
        edition: match edition {
            Some(given) => Some(given?),
            None => None,
        },
        max_concurrency: match max_concurrency {
            Some(given) => usize::try_from(given?).ok()?,
            None => edition.flatten().unwrap_or_default().max_concurrency(),
        },
        credit_floor: credit_floor?,
        guard: guard?,
    })
}

/// Reads the override of a Zoho address: an https origin, or an http origin on this machine.
fn read_override(
    object: &mut Object<'_>,
    key: &'static str,
    problems: &mut Problems,
) -> Option<Url> {
    let node = object.optional(key)?;
    let url = read_url(&node, problems)?;
    let is_local = url.host().is_some_and(|host| is_this_machine(&host));
    let is_origin = matches!(url.path(), "" | "/")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !is_origin {
        node.problem(
            problems,
            "must be an origin such as https://host:port, without user, path, query and fragment",
        );
    }
    if url.scheme() != "https" && !(url.scheme() == "http" && is_local) {
        node.problem(
            problems,
            "must be https://; http:// is for this machine only",
        );
    }
    Some(url)
}
