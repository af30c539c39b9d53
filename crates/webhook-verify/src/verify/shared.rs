//! Secrets that are sent along as they are.

use base64::Engine;
use http::header::AUTHORIZATION;
use secrecy::SecretString;

use super::encoding::{BASE64, text_key};
use super::error::VerifyError;
use super::mac::same;
use super::received::cut_prefix;
use super::request::{RequestParts, missing};
use crate::scheme::{SharedSecret, ValueSelector};

/// Whether the secret stands in its place, and if that has several, in every one.
pub(super) fn equals(
    equals: &SharedSecret,
    parts: &RequestParts<'_>,
    secrets: &[SecretString],
) -> Result<(), VerifyError> {
    let token = &equals.token;
    let found = parts.all(&token.at).ok_or_else(|| missing(&token.at))?;
    let prefix = token.prefix.as_deref().unwrap_or_default();
    let given = found.iter().map(|text| cut_prefix(prefix, text));
    let given: Option<Vec<&str>> = given.collect();
    let given = given.ok_or_else(|| wrong(&token.at))?;
    any_secret(secrets, &token.at, |secret| {
        // Every one is compared, so that the time does not tell how many were right.
        let right = given.iter().map(|text| same(text.as_bytes(), secret));
        right.fold(true, |all, one| all & one)
    })
}

/// HTTP Basic.
pub(super) fn basic(parts: &RequestParts<'_>, secrets: &[SecretString]) -> Result<(), VerifyError> {
    let at = ValueSelector::Header(AUTHORIZATION);
    let given = credentials("Basic ", &at, parts)?;
    let given = BASE64.decode(given.trim()).map_err(|_| wrong(&at))?;
    any_secret(secrets, &at, |secret| same(&given, secret))
}

/// A bearer token.
pub(super) fn bearer(
    parts: &RequestParts<'_>,
    secrets: &[SecretString],
) -> Result<(), VerifyError> {
    let at = ValueSelector::Header(AUTHORIZATION);
    let given = credentials("Bearer ", &at, parts)?;
    any_secret(secrets, &at, |secret| same(given.trim().as_bytes(), secret))
}

fn credentials(
    prefix: &str,
    at: &ValueSelector,
    parts: &RequestParts<'_>,
) -> Result<String, VerifyError> {
    let value = parts.one(at)?.ok_or_else(|| missing(at))?;
    let text = std::str::from_utf8(&value).map_err(|_| wrong(at))?;
    let given = cut_prefix(prefix, text.trim()).ok_or_else(|| wrong(at))?;
    Ok(given.to_owned())
}

fn wrong(at: &ValueSelector) -> VerifyError {
    VerifyError::WrongToken {
        part: at.to_string(),
    }
}

fn any_secret(
    secrets: &[SecretString],
    at: &ValueSelector,
    matches: impl Fn(&[u8]) -> bool,
) -> Result<(), VerifyError> {
    let mut refusal = wrong(at);
    let mut matched = false;
    for (index, secret) in secrets.iter().enumerate() {
        match text_key(secret) {
            Ok(secret) => matched |= matches(secret.as_bytes()),
            Err(cause) => {
                let position = index + 1;
                refusal = VerifyError::InvalidSecret { position, cause };
            }
        }
    }
    if matched { Ok(()) } else { Err(refusal) }
}
