//! Reads `connections` of the config.

use serde_json::Value;
use url::Url;

use crate::http::target::is_this_machine;
use crate::secrets::SecretRef;
use crate::zoho::data_center::{DataCenter, Environment};
use crate::zoho::limits::Edition;
use crate::zoho::{Connection, MetadataGuard};
use strict_reader::{Node, Object, Problems};

fn read_guard(node: &Node<'_>, problems: &mut Problems) -> Option<MetadataGuard> {
    match node.value {
        Value::String(word) if word == "strict" => Some(MetadataGuard::Strict),
        Value::String(word) if word == "off" => Some(MetadataGuard::Off),
        // What older YAML makes of a bare `off`.
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
    let data_center = object
        .optional("data_center")
        .map_or(Some(DataCenter::default()), |node| node.parse(problems));
    let environment = object
        .optional("environment")
        .map_or(Some(Environment::default()), |node| node.parse(problems));
    let accounts_url = read_override(&mut object, "accounts_url", problems);
    let api_url = read_override(&mut object, "api_url", problems);
    let token_cache = object.optional("token_cache").and_then(|node| {
        let reference: SecretRef = node.parse(problems)?;
        if reference.writable_name().is_none() {
            let message = "must be a whole secret in Secrets Manager: write secretsmanager:NAME";
            node.problem(problems, message);
        }
        if credentials.as_ref() == Some(&reference) {
            let message = "is the secret of the credentials; the token needs one of its own";
            node.problem(problems, message);
        }
        Some(reference)
    });
    let edition = object
        .optional("edition")
        .map_or(Some(Edition::default()), |node| node.parse(problems));
    let max_concurrency = object
        .optional("max_concurrency")
        .map(|node| node.whole(1..=25, problems));
    let credit_floor = object
        .optional("credit_floor")
        .map_or(Some(0), |node| node.whole(0..=u64::MAX, problems));
    let guard = object
        .optional("guard")
        .map_or(Some(MetadataGuard::default()), |node| {
            read_guard(&node, problems)
        });
    object.finish(problems);
    Some(Connection {
        credentials: credentials?,
        data_center: data_center?,
        environment: environment?,
        accounts_url,
        api_url,
        token_cache,
        edition: edition?,
        max_concurrency: match max_concurrency {
            Some(given) => usize::try_from(given?).ok()?,
            None => edition?.max_concurrency(),
        },
        credit_floor: credit_floor?,
        guard: guard?,
    })
}

/// An override of Zoho's addresses: https, or http on this machine.
fn read_override(
    object: &mut Object<'_>,
    key: &'static str,
    problems: &mut Problems,
) -> Option<Url> {
    let node = object.optional(key)?;
    let url: Url = node
        .string(problems)?
        .parse()
        .ok()
        .filter(Url::has_host)
        .or_else(|| {
            node.problem(problems, "is not a URL");
            None
        })?;
    let here = url.host().is_some_and(|host| is_this_machine(&host));
    let origin = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !origin || !matches!(url.path(), "" | "/") {
        node.problem(
            problems,
            "must be an origin, such as https://host:port, and nothing after it",
        );
    }
    if url.scheme() != "https" && !(url.scheme() == "http" && here) {
        node.problem(
            problems,
            "must be https://; http:// is for this machine only",
        );
    }
    Some(url)
}
