//! Verifies JSON Web Tokens. The record determines the algorithm; the token's `alg` must equal it.

use std::collections::BTreeMap;

use base64::Engine;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde_json::Value;

use super::any_of;
use super::encoding::{BASE64_URL, text_key};
use super::error::VerifyError;
use super::mac::{AnyMac, is_hash_of};
use super::public_key::{KeyKind, PublicKey, rsa_keys};
use super::received::strip_prefix_ignore_case;
use super::request::{RequestParts, missing};
use crate::scheme::{Algorithm, Jws, JwsAlgorithm, fill_params};

/// Maximum time by which a token's `iat` and `nbf` may be in the future.
const MAX_CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(300);

/// Maximum number of seconds, in the year 5138; larger numbers are milliseconds.
const MAX_SECONDS: f64 = 1e11;

/// Judges everything in a token but its signature and the body. Anybody can send a token, so no key is fetched for one that
/// fails here.
pub(super) fn judge(
    jws: &Jws,
    parts: &RequestParts<'_>,
    params: &BTreeMap<String, String>,
    now: Timestamp,
) -> Result<(), VerifyError> {
    let text = token_text(jws, parts)?;
    let token = ParsedToken::read_for(jws, &text)?;
    token.check_claims(jws, params)?;
    token.check_times(jws.must_expire, now).map(drop)
}

/// Checks the token. Returns its `iat`, if it has one.
pub(super) fn check(
    jws: &Jws,
    parts: &RequestParts<'_>,
    params: &BTreeMap<String, String>,
    secrets: &[SecretString],
    now: Timestamp,
) -> Result<Option<Timestamp>, VerifyError> {
    let text = token_text(jws, parts)?;
    let token = ParsedToken::read_for(jws, &text)?;
    let fetched = parts.request.fetched_keys();
    if secrets.is_empty() && fetched.is_none() {
        return Err(VerifyError::MissingSecret);
    }
    token.check_signature(jws.algorithm, secrets, fetched)?;
    token.check_claims(jws, params)?;
    if let Some(claim) = &jws.body_hash_claim {
        let hash = token.claims[claim].as_str().unwrap_or_default();
        if !is_hash_of(hash.as_bytes(), parts.request.body) {
            return Err(VerifyError::OtherBody);
        }
    }
    token.check_times(jws.must_expire, now)
}

/// The token's text, without its prefix.
fn token_text(jws: &Jws, parts: &RequestParts<'_>) -> Result<String, VerifyError> {
    let value = parts.one(&jws.token.at)?;
    let value = value.ok_or_else(|| missing(&jws.token.at))?;
    let text = std::str::from_utf8(&value).map_err(|_| malformed(jws))?;
    let prefix = jws.token.prefix.as_deref().unwrap_or_default();
    let text = strip_prefix_ignore_case(prefix, text.trim()).ok_or_else(|| malformed(jws))?;
    Ok(text.to_owned())
}

fn malformed(jws: &Jws) -> VerifyError {
    VerifyError::MalformedSignature {
        part: jws.token.at.to_string(),
        expected: format!("a JSON Web Token with {}", jws.algorithm),
    }
}

struct ParsedToken<'a> {
    signed: &'a str,
    header: Value,
    claims: Value,
    signature: Vec<u8>,
}

impl<'a> ParsedToken<'a> {
    /// Reads a token with the record's algorithm.
    fn read_for(jws: &Jws, text: &'a str) -> Result<Self, VerifyError> {
        let token = Self::read(text).ok_or_else(|| malformed(jws))?;
        let has_algorithm = token.header["alg"].as_str() == Some(&jws.algorithm.to_string());
        // Critical extensions (RFC 7515 section 4.1.11): none are supported.
        match has_algorithm && token.header.get("crit").is_none() {
            true => Ok(token),
            false => Err(malformed(jws)),
        }
    }

    fn read(text: &'a str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let object = |part: &str| {
            let bytes = BASE64_URL.decode(part).ok()?;
            let value: Value = serde_json::from_slice(&bytes).ok()?;
            Some(value).filter(Value::is_object)
        };
        Some(Self {
            signed,
            header: object(header)?,
            claims: object(claims)?,
            signature: BASE64_URL.decode(signature).ok()?,
        })
    }

    fn check_signature(
        &self,
        algorithm: JwsAlgorithm,
        secrets: &[SecretString],
        fetched: Option<&str>,
    ) -> Result<(), VerifyError> {
        let by_secret = any_of(secrets, |secret| match algorithm {
            JwsAlgorithm::Hs256 => {
                let mut mac = AnyMac::new(Algorithm::Sha256, text_key(secret)?.as_bytes());
                mac.update(self.signed.as_bytes());
                Ok(mac.matches(&self.signature))
            }
            JwsAlgorithm::Rs256 => Ok(self.is_signed_with(&PublicKey::read_rsa(secret)?)),
        });
        by_secret.or_else(|error| {
            let fetched = fetched.filter(|_| algorithm == JwsAlgorithm::Rs256);
            let keys = rsa_keys(fetched.unwrap_or_default(), self.header["kid"].as_str());
            match keys.iter().any(|key| self.is_signed_with(key)) {
                true => Ok(()),
                false => Err(error),
            }
        })
    }

    fn is_signed_with(&self, key: &PublicKey) -> bool {
        let kind = KeyKind::Rsa(Algorithm::Sha256);
        key.verifies(kind, self.signed.as_bytes(), &self.signature)
    }

    fn check_claims(
        &self,
        jws: &Jws,
        params: &BTreeMap<String, String>,
    ) -> Result<(), VerifyError> {
        for (claim, expected) in &jws.claims {
            let expected = fill_params(expected, params).map_err(VerifyError::MissingParam)?;
            let is_expected = |value: &Value| value.as_str() == Some(&expected);
            let found = &self.claims[claim];
            // The audience may be a list (RFC 7519 section 4.1.3).
            let listed =
                claim == "aud" && found.as_array().is_some_and(|l| l.iter().any(is_expected));
            if !is_expected(found) && !listed {
                let claim = claim.clone();
                return Err(VerifyError::WrongClaim { claim });
            }
        }
        Ok(())
    }

    fn check_times(
        &self,
        must_expire: bool,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, VerifyError> {
        let wrong = |claim: &str| VerifyError::WrongClaim {
            claim: claim.to_owned(),
        };
        let time = |claim: &str| match self.claims.get(claim) {
            None => Ok(None),
            Some(value) => parse_numeric_date(value)
                .map(Some)
                .ok_or_else(|| wrong(claim)),
        };
        match time("exp")? {
            None if must_expire => return Err(wrong("exp")),
            Some(expiry) if expiry <= now => return Err(VerifyError::Expired),
            Some(_) | None => {}
        }
        let issued = time("iat")?;
        for start in [issued, time("nbf")?].into_iter().flatten() {
            let ahead = now.duration_until(start);
            if ahead > MAX_CLOCK_SKEW {
                let tolerance = MAX_CLOCK_SKEW;
                return Err(VerifyError::FromTheFuture { ahead, tolerance });
            }
        }
        Ok(issued)
    }
}

/// Parses seconds since 1970, with or without a fraction; some senders use milliseconds.
fn parse_numeric_date(value: &Value) -> Option<Timestamp> {
    let number = value.as_f64()?;
    let seconds = if number > MAX_SECONDS {
        number / 1_000.0
    } else {
        number
    };
    let since = SignedDuration::try_from_secs_f64(seconds).ok()?;
    Timestamp::from_duration(since).ok()
}
