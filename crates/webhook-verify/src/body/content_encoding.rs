//! Decodes content encodings (RFC 9110 section 8.4), up to a maximum length.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use super::{BodyError, clip};

/// Decodes the content encoding of a body, up to `limit` bytes.
pub(super) fn decode<'a>(
    content_encoding: Option<&str>,
    body: &'a [u8],
    limit: usize,
) -> Result<Cow<'a, [u8]>, BodyError> {
    let names = content_encoding.unwrap_or_default().split(',');
    let names = names.map(|name| name.trim().to_ascii_lowercase());
    let names: Vec<String> = names
        .filter(|name| !name.is_empty() && name != "identity")
        .collect();
    let decoded = match &names[..] {
        [] if body.len() > limit => return Err(BodyError::TooLarge { limit }),
        [] => return Ok(Cow::Borrowed(body)),
        // API Gateway and some senders leave the header on an empty body.
        [_] if body.is_empty() => return Ok(Cow::Borrowed(body)),
        [name] if name == "gzip" || name == "x-gzip" => read(MultiGzDecoder::new(body), limit),
        // The format is zlib; some senders omit its frame.
        [name] if name == "deflate" => match read(ZlibDecoder::new(body), limit) {
            Err(BodyError::Corrupt) => read(DeflateDecoder::new(body), limit),
            other => other,
        },
        several => return Err(BodyError::ContentEncoding(clip(&several.join(", ")))),
    };
    decoded.map(Cow::Owned)
}

fn read(decoder: impl Read, limit: usize) -> Result<Vec<u8>, BodyError> {
    let mut decoded = Vec::new();
    // Reads one byte more than allowed, to detect a body that is too long without decoding the rest.
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    decoder
        .take(bound)
        .read_to_end(&mut decoded)
        .map_err(|_| BodyError::Corrupt)?;
    if decoded.len() > limit {
        return Err(BodyError::TooLarge { limit });
    }
    Ok(decoded)
}
