//! Amazon SNS: a canonical text of named fields, and a certificate whose address the message names.
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

/// Checks a message: with the certificates that the route holds in its secrets, or else with the one that was fetched for
/// it. Either way the message must name one of Amazon's.
pub(super) fn check(
    parts: &RequestParts<'_>,
    params: &BTreeMap<String, String>,
    secrets: &[SecretString],
) -> Result<(), VerifyError> {
    let message = parts.json().ok_or_else(malformed)?;
    let topics = params.get("topic");
    let topics = topics.ok_or_else(|| VerifyError::MissingParam("topic".to_owned()))?;
    certificate_url(message).ok_or(VerifyError::ForeignCertificate)?;
    let text = canonical_text(message).ok_or_else(malformed)?;
    let algorithm = match field(message, "SignatureVersion") {
        Some("1") => Algorithm::Sha1,
        Some("2") => Algorithm::Sha256,
        Some(_) | None => return Err(malformed()),
    };
    let signature = field(message, "Signature").and_then(|text| BASE64.decode(text).ok());
    let signature = signature.ok_or_else(malformed)?;
    let kind = KeyKind::Rsa(algorithm);
    let verifies = |key: &PublicKey| key.verifies(kind, text.as_bytes(), &signature);
    if secrets.is_empty() {
        let key = fetched(parts)?;
        if !verifies(&key) {
            return Err(VerifyError::NoMatch);
        }
    } else {
        any_of(secrets, |secret| Ok(verifies(&PublicKey::rsa_of(secret)?)))?;
    }
    // Anybody can have SNS sign a message, from a topic of their own.
    let topic = field(message, "TopicArn").unwrap_or_default();
    let mut allowed = topics.split([',', ' ']).filter(|topic| !topic.is_empty());
    if allowed.any(|allowed| allowed == topic) {
        Ok(())
    } else {
        Err(VerifyError::WrongTopic)
    }
}

/// The key of the certificate that was fetched.
fn fetched(parts: &RequestParts<'_>) -> Result<PublicKey, VerifyError> {
    let certificate = parts.request.fetched_keys();
    let certificate =
        certificate.ok_or_else(|| VerifyError::NoKeys("no certificate was fetched".to_owned()))?;
    PublicKey::from_pem(certificate)
        .ok_or_else(|| VerifyError::NoKeys("the certificate cannot be read".to_owned()))
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

/// The fields that are signed, in their order: name, line end, value, line end.
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

/// The address of the certificate, if it is one of Amazon SNS.
pub(super) fn certificate_url(message: &Value) -> Option<String> {
    let url = sns_url(field(message, "SigningCertURL")?)?;
    let is_certificate = url.path().ends_with(".pem") && url.query().is_none();
    is_certificate.then(|| url.to_string())
}

/// Where a subscription is confirmed with a GET: for a verified message of the type `SubscriptionConfirmation`, and
/// only if the address is one of Amazon SNS.
pub fn subscribe_url(body: &[u8]) -> Option<Url> {
    let message: Value = serde_json::from_slice(body).ok()?;
    if field(&message, "Type")? != "SubscriptionConfirmation" {
        return None;
    }
    sns_url(field(&message, "SubscribeURL")?)
}

/// An address of Amazon SNS: at `sns.<region>.amazonaws.com`, or `.com.cn`, on the port of https.
pub fn sns_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let host = url.host_str()?.strip_prefix("sns.")?;
    let region = host
        .strip_suffix(".amazonaws.com")
        .or_else(|| host.strip_suffix(".amazonaws.com.cn"))?;
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let plain = url.scheme() == "https"
        && url.port().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none();
    (plain && region.len() >= 3 && region.bytes().all(letter)).then_some(url)
}
