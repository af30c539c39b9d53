//! Encodings of signatures and keys.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use super::error::InvalidSecret;
use crate::scheme::{Encoding, SecretEncoding, SecretFormat};

/// Accepts base64 with and without padding. Unused trailing bits must be zero, so that each signature has one encoding.
const LENIENT_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT_PADDING);
pub(super) const BASE64_URL: GeneralPurpose =
    GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT_PADDING);

pub(super) fn decode(encoding: Encoding, text: &str) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Hex => hex::decode(text).ok(),
        Encoding::Base64 => BASE64.decode(text).ok(),
        Encoding::Base64Url => BASE64_URL.decode(text).ok(),
    }
}

pub(super) fn encode(encoding: Encoding, bytes: &[u8]) -> String {
    match encoding {
        Encoding::Hex => hex::encode(bytes),
        Encoding::Base64 => BASE64.encode(bytes),
        Encoding::Base64Url => BASE64_URL.encode(bytes),
    }
}

/// The secret's text without its prefix. White space has no meaning in base64 and hexadecimal; it comes from copying.
pub(super) fn stripped(secret: &SecretString, format: &SecretFormat) -> Zeroizing<String> {
    let text = secret.expose_secret();
    let text = match format.encoding {
        SecretEncoding::Utf8 => text.to_owned(),
        // PEM has words.
        SecretEncoding::Base64 | SecretEncoding::Hex if text.contains("-----") => text.to_owned(),
        SecretEncoding::Base64 | SecretEncoding::Hex => text.split_ascii_whitespace().collect(),
    };
    let text = Zeroizing::new(text);
    let stripped = format
        .strip_prefix
        .iter()
        .find_map(|prefix| text.strip_prefix(prefix.as_str()))
        .map(str::to_owned);
    stripped.map_or(text, Zeroizing::new)
}

pub(super) fn key_bytes(
    secret: &SecretString,
    format: &SecretFormat,
) -> Result<Zeroizing<Vec<u8>>, InvalidSecret> {
    let text = stripped(secret, format);
    let text = text.as_str();
    let key = match format.encoding {
        SecretEncoding::Utf8 => text.as_bytes().to_vec(),
        SecretEncoding::Base64 => BASE64.decode(text).map_err(|_| InvalidSecret::NotBase64)?,
        SecretEncoding::Hex => hex::decode(text).map_err(|_| InvalidSecret::NotHex)?,
    };
    // A key that can be guessed would make deliveries forgeable.
    if key.trim_ascii().is_empty() {
        return Err(InvalidSecret::Empty);
    }
    Ok(Zeroizing::new(key))
}

/// The secret's text itself, which must not be blank.
pub(super) fn text_key(secret: &SecretString) -> Result<&str, InvalidSecret> {
    let text = secret.expose_secret();
    if text.trim().is_empty() {
        return Err(InvalidSecret::Empty);
    }
    Ok(text)
}
