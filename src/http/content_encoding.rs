//! Decodes gzip bodies of responses, up to a maximum length of the decoded body.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, Response};

use super::{BodyLimit, Truncated};

/// Why a body cannot be decoded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DecodeError {
    /// The encoding is not gzip, or is damaged.
    Corrupt(String),
    /// The decoded body is larger than the limit.
    TooLarge(usize),
}

/// Decodes the body of a response to a request that accepts gzip. The limit applies to the decoded body, of which no more
/// is ever in memory.
pub(super) fn decode(
    response: Response<Bytes>,
    limit: BodyLimit,
) -> Result<Response<Bytes>, DecodeError> {
    let (mut parts, body) = response.into_parts();
    let Some(encoding) = encoding(&parts.headers) else {
        return Ok(Response::from_parts(parts, body));
    };
    // Answers without a body have the header too.
    if body.is_empty() {
        return Ok(Response::from_parts(parts, body));
    }
    if encoding != "gzip" && encoding != "x-gzip" {
        return Err(DecodeError::Corrupt(
            "its content encoding was not asked for".to_owned(),
        ));
    }
    let max = limit.bytes();
    let mut decoded = Vec::new();
    // One byte more than the limit shows that the body is too long.
    let bound = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    let read = MultiGzDecoder::new(body.as_ref())
        .take(bound)
        .read_to_end(&mut decoded);
    match limit {
        BodyLimit::Refuse(_) if decoded.len() > max => return Err(DecodeError::TooLarge(max)),
        BodyLimit::Truncate(_) if decoded.len() > max => {
            decoded.truncate(max);
            parts.extensions.insert(Truncated);
        }
        BodyLimit::Refuse(_) | BodyLimit::Truncate(_) => {
            read.map_err(|error| DecodeError::Corrupt(format!("its gzip encoding: {error}")))?;
        }
    }
    parts.headers.remove(CONTENT_ENCODING);
    parts.headers.remove(CONTENT_LENGTH);
    Ok(Response::from_parts(parts, decoded.into()))
}

/// The content encoding in lower case; `None` without one.
fn encoding(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(CONTENT_ENCODING).iter();
    let value = values.next()?.to_str().unwrap_or("?").trim();
    let value = value.to_ascii_lowercase();
    let is_encoded = !value.is_empty() && value != "identity";
    match values.next() {
        Some(_) => Some("several".to_owned()),
        None => is_encoded.then_some(value),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(body).expect("encoded");
        encoder.finish().expect("encoded")
    }

    fn response(encoding: &str, body: Vec<u8>) -> Response<Bytes> {
        Response::builder()
            .header(CONTENT_ENCODING, encoding)
            .header(CONTENT_LENGTH, body.len())
            .body(body.into())
            .expect("a response")
    }

    #[test]
    fn gzip_bomb_is_refused() {
        let bomb = gzip(&vec![0; 16 << 20]);
        assert!(bomb.len() < 32 << 10);
        let decoded = decode(response("gzip", bomb.clone()), BodyLimit::Refuse(1 << 20));
        assert_eq!(decoded.err(), Some(DecodeError::TooLarge(1 << 20)));
        let cut = decode(response("gzip", bomb), BodyLimit::Truncate(1000)).expect("cut");
        assert_eq!(cut.body().len(), 1000);
        assert!(cut.extensions().get::<Truncated>().is_some());
    }

    #[test]
    fn damaged_or_unknown_encoding_is_an_error() {
        let mut damaged = gzip(b"{\"data\":[]}");
        damaged.truncate(damaged.len() - 6);
        for (encoding, body) in [
            ("gzip", damaged),
            ("gzip", b"{\"data\":[]}".to_vec()),
            ("br", gzip(b"{}")),
            ("gzip, gzip", gzip(b"{}")),
        ] {
            let decoded = decode(response(encoding, body), BodyLimit::Refuse(1000));
            assert!(
                matches!(decoded, Err(DecodeError::Corrupt(_))),
                "{encoding}"
            );
        }
    }

    #[test]
    fn body_without_encoding_is_unchanged() {
        for (encoding, body) in [("identity", "{}"), ("", "{}"), ("gzip", "")] {
            let decoded = decode(response(encoding, body.into()), BodyLimit::Refuse(10));
            assert_eq!(decoded.expect("decoded").body(), body);
        }
    }

    proptest! {
        #[test]
        fn decoded_body_is_the_encoded_one(
            body in prop::collection::vec(any::<u8>(), 1..3000),
            spelling in "gzip|GZIP|x-gzip| gzip ",
        ) {
            let decoded = decode(response(&spelling, gzip(&body)), BodyLimit::Refuse(body.len()));
            let decoded = decoded.expect("decoded");
            prop_assert_eq!(decoded.body().as_ref(), body.as_slice());
            prop_assert!(decoded.headers().get(CONTENT_ENCODING).is_none());
            let short = decode(response(&spelling, gzip(&body)), BodyLimit::Refuse(body.len() - 1));
            prop_assert_eq!(short.err(), Some(DecodeError::TooLarge(body.len() - 1)));
        }
    }
}
