//! Checks secrets that are sent with the delivery.

use base64::Engine;
use http::header::AUTHORIZATION;
use secrecy::SecretString;

use super::encoding::{BASE64, text_key};
use super::error::VerifyError;
use super::mac::constant_time_eq;
use super::received::strip_prefix_ignore_case;
use super::request::{RequestParts, missing};
use crate::scheme::{SharedSecret, ValueSelector};

/// Checks the secret at its location; with several values, each must be the secret.
pub(super) fn equals(
    equals: &SharedSecret,
    parts: &RequestParts<'_>,
    secrets: &[SecretString],
) -> Result<(), VerifyError> {
    let token = &equals.token;
    let found = parts.all(&token.at).ok_or_else(|| missing(&token.at))?;
    let prefix = token.prefix.as_deref().unwrap_or_default();
    let given = found
        .iter()
        .map(|text| strip_prefix_ignore_case(prefix, text));
    let given: Option<Vec<&str>> = given.collect();
    let given = given.ok_or_else(|| wrong_token(&token.at))?;
    any_secret(secrets, &token.at, |secret| {
        // All values are compared, so that the duration does not depend on the number of matches.
        let matches = given
            .iter()
            .map(|text| constant_time_eq(text.as_bytes(), secret));
        matches.fold(true, |all, one| all & one)
    })
}

/// Checks HTTP Basic credentials.
pub(super) fn basic(parts: &RequestParts<'_>, secrets: &[SecretString]) -> Result<(), VerifyError> {
    let at = ValueSelector::Header(AUTHORIZATION);
    let given = credentials("Basic ", &at, parts)?;
    let given = BASE64.decode(given.trim()).map_err(|_| wrong_token(&at))?;
    any_secret(secrets, &at, |secret| constant_time_eq(&given, secret))
}

/// Checks a bearer token.
pub(super) fn bearer(
    parts: &RequestParts<'_>,
    secrets: &[SecretString],
) -> Result<(), VerifyError> {
    let at = ValueSelector::Header(AUTHORIZATION);
    let given = credentials("Bearer ", &at, parts)?;
    any_secret(secrets, &at, |secret| {
        constant_time_eq(given.trim().as_bytes(), secret)
    })
}

fn credentials(
    prefix: &str,
    at: &ValueSelector,
    parts: &RequestParts<'_>,
) -> Result<String, VerifyError> {
    let value = parts.one(at)?.ok_or_else(|| missing(at))?;
    let text = std::str::from_utf8(&value).map_err(|_| wrong_token(at))?;
    let given = strip_prefix_ignore_case(prefix, text.trim()).ok_or_else(|| wrong_token(at))?;
    Ok(given.to_owned())
}

fn wrong_token(at: &ValueSelector) -> VerifyError {
    VerifyError::WrongToken {
        part: at.to_string(),
    }
}

fn any_secret(
    secrets: &[SecretString],
    at: &ValueSelector,
    matches: impl Fn(&[u8]) -> bool,
) -> Result<(), VerifyError> {
    let mut error = wrong_token(at);
    let mut matched = false;
    for (index, secret) in secrets.iter().enumerate() {
        match text_key(secret) {
            Ok(secret) => matched |= matches(secret.as_bytes()),
            Err(cause) => {
                let position = index + 1;
                error = VerifyError::InvalidSecret { position, cause };
            }
        }
    }
    if matched { Ok(()) } else { Err(error) }
}
