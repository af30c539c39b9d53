//! Verifies messages of Amazon SNS: a canonical text of selected fields, and a certificate from a URL in the message.
//!
//! <https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html>

use std::collections::BTreeMap;

use base64::Engine;
use secrecy::SecretString;
use serde_json::Value;
use url::Url;

use super::any_of;
use super::encoding::BASE64;
use super::error::VerifyError;
use super::public_key::{KeyKind, PublicKey};
use super::request::RequestParts;
use crate::scheme::Algorithm;

/// Maximum characters of the id in a certificate's path. Amazon uses 32.
const MAX_CERTIFICATE_ID: usize = 64;

const NOTIFICATION: [&str; 6] = [
    "Message",
    "MessageId",
    "Subject",
    "Timestamp",
    "TopicArn",
    "Type",
];
const CONFIRMATION: [&str; 7] = [
    "Message",
    "MessageId",
    "SubscribeURL",
    "Timestamp",
    "Token",
    "TopicArn",
    "Type",
];

/// A message whose content is that of an allowed topic. Its signature is not checked yet.
pub(super) struct JudgedMessage {
    text: String,
    signature: Vec<u8>,
    kind: KeyKind,
    /// The URL of the certificate.
    pub(super) certificate_url: Url,
}

/// Judges everything in a message but its signature. Anybody can send a message, so nothing is fetched for one that fails
/// here.
pub(super) fn judge(
    parts: &RequestParts<'_>,
    params: &BTreeMap<String, String>,
) -> Result<JudgedMessage, VerifyError> {
    let topics = params.get("topic");
    let topics = topics.ok_or_else(|| VerifyError::MissingParam("topic".to_owned()))?;
    let message = parts.json().ok_or_else(malformed)?;
    let text = canonical_text(message).ok_or_else(malformed)?;
    let algorithm = match field(message, "SignatureVersion") {
        Some("1") => Algorithm::Sha1,
        Some("2") => Algorithm::Sha256,
        Some(_) | None => return Err(malformed()),
    };
    let signature = field(message, "Signature").and_then(|text| BASE64.decode(text).ok());
    let signature = signature.ok_or_else(malformed)?;
    // SNS also signs messages of foreign topics.
    let topic = field(message, "TopicArn").unwrap_or_default();
    let mut allowed = topics.split([',', ' ']).filter(|topic| !topic.is_empty());
    if !allowed.any(|allowed| allowed == topic) {
        return Err(VerifyError::WrongTopic);
    }
    let url = field(message, "SigningCertURL").and_then(certificate_url);
    let certificate_url = url.ok_or(VerifyError::ForeignCertificate)?;
    if !is_in_region_of(&certificate_url, topic) {
        return Err(VerifyError::ForeignCertificate);
    }
    Ok(JudgedMessage {
        text,
        signature,
        kind: KeyKind::Rsa(algorithm),
        certificate_url,
    })
}

/// Checks a message with the certificates in the secrets or, without any, with the fetched one. In both cases the
/// certificate URL in the message must be one of Amazon SNS.
pub(super) fn check(
    parts: &RequestParts<'_>,
    params: &BTreeMap<String, String>,
    secrets: &[SecretString],
) -> Result<(), VerifyError> {
    let message = judge(parts, params)?;
    let verifies =
        |key: &PublicKey| key.verifies(message.kind, message.text.as_bytes(), &message.signature);
    if !secrets.is_empty() {
        return any_of(secrets, |secret| {
            Ok(verifies(&PublicKey::read_rsa(secret)?))
        });
    }
    match verifies(&fetched_key(parts)?) {
        true => Ok(()),
        false => Err(VerifyError::NoMatch),
    }
}

/// The key of the fetched certificate.
fn fetched_key(parts: &RequestParts<'_>) -> Result<PublicKey, VerifyError> {
    let certificate = parts.request.fetched_keys();
    let certificate =
        certificate.ok_or_else(|| VerifyError::NoKeys("no certificate was fetched".to_owned()))?;
    PublicKey::from_pem(certificate)
        .ok_or_else(|| VerifyError::UnknownCertificate("it cannot be read".to_owned()))
}

fn malformed() -> VerifyError {
    VerifyError::MalformedSignature {
        part: "the body".to_owned(),
        expected: "an SNS message with Type, Signature and SignatureVersion 1 or 2; is raw message delivery on?"
            .to_owned(),
    }
}

fn field<'a>(message: &'a Value, name: &str) -> Option<&'a str> {
    message.get(name)?.as_str()
}

/// The signed fields in order: name, line feed, value, line feed.
fn canonical_text(message: &Value) -> Option<String> {
    let names = match field(message, "Type")? {
        "Notification" => &NOTIFICATION[..],
        "SubscriptionConfirmation" | "UnsubscribeConfirmation" => &CONFIRMATION[..],
        _ => return None,
    };
    let mut text = String::new();
    for name in names {
        match message.get(name) {
            Some(Value::String(value)) => {
                text.push_str(name);
                text.push('\n');
                text.push_str(value);
                text.push('\n');
            }
            Some(Value::Null) | None if *name == "Subject" => {}
            _ => return None,
        }
    }
    Some(text)
}

/// The URL of a certificate, if it has the form that Amazon SNS uses:
/// `https://sns.<region>.amazonaws.com/SimpleNotificationService-<id>.pem`.
fn certificate_url(text: &str) -> Option<Url> {
    let url = sns_url(text)?;
    let id = url.path().strip_prefix("/SimpleNotificationService-")?;
    let id = id.strip_suffix(".pem")?;
    let is_id = (1..=MAX_CERTIFICATE_ID).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_id && url.query().is_none()).then_some(url)
}

/// Whether a URL of Amazon SNS belongs to the region and the partition of a topic.
fn is_in_region_of(url: &Url, topic: &str) -> bool {
    let mut arn = topic.split(':');
    let (partition, region) = (arn.nth(1), arn.nth(1));
    let (Some(partition), Some(region)) = (partition, region) else {
        return false;
    };
    let domain = match partition {
        "aws-cn" => "amazonaws.com.cn",
        _ => "amazonaws.com",
    };
    url.host_str() == Some(&format!("sns.{region}.{domain}"))
}

/// The URL that confirms a subscription with a GET request: for a verified message of the type
/// `SubscriptionConfirmation`, and only if the URL is one of Amazon SNS in the topic's region.
pub fn subscribe_url(body: &[u8]) -> Option<Url> {
    let repaired = strict_reader::replace_lone_surrogates(body);
    let message: Value = serde_json::from_slice(&repaired.text).ok()?;
    if field(&message, "Type")? != "SubscriptionConfirmation" {
        return None;
    }
    let url = sns_url(field(&message, "SubscribeURL")?)?;
    is_in_region_of(&url, field(&message, "TopicArn")?).then_some(url)
}

/// Parses a URL of Amazon SNS: `https://sns.<region>.amazonaws.com`, or `.com.cn`, with the default port.
pub fn sns_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let host = url.host_str()?.strip_prefix("sns.")?;
    let region = host
        .strip_suffix(".amazonaws.com")
        .or_else(|| host.strip_suffix(".amazonaws.com.cn"))?;
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_canonical = url.scheme() == "https"
        && url.port().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none();
    (is_canonical && region.len() >= 3 && region.bytes().all(letter)).then_some(url)
}
