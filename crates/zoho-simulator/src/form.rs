//! The parameters of requests to the accounts server: in the query, in a form body of either documented type, and in a
//! Basic header.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_TYPE};

/// The parameters of a body: `multipart/form-data`, or otherwise `application/x-www-form-urlencoded`.
pub(crate) fn body_parameters(headers: &HeaderMap, body: &[u8]) -> Vec<(String, String)> {
    let content_type = headers.get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    match content_type.and_then(boundary) {
        Some(boundary) => multipart(&String::from_utf8_lossy(body), &boundary),
        None => form_urlencoded::parse(body).into_owned().collect(),
    }
}

/// The boundary of a `multipart/form-data` body.
fn boundary(content_type: &str) -> Option<String> {
    let mut parts = content_type.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parts.find_map(|part| parameter(part, "boundary"))
}

/// The value of `name=value` or `name="value"`.
fn parameter(text: &str, name: &str) -> Option<String> {
    let (key, value) = text.trim().split_once('=')?;
    let is_named = key.trim().eq_ignore_ascii_case(name);
    is_named.then(|| value.trim().trim_matches('"').to_owned())
}

/// The fields of a multipart body. A part without a name is skipped.
fn multipart(body: &str, boundary: &str) -> Vec<(String, String)> {
    let delimiter = format!("--{boundary}");
    let parts = body.split(&delimiter).skip(1);
    let parts = parts.take_while(|part| !part.starts_with("--"));
    let field = |part: &str| {
        let (head, value) = part.split_once("\r\n\r\n")?;
        let value = value.strip_suffix("\r\n").unwrap_or(value);
        let disposition = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim()
                .eq_ignore_ascii_case("content-disposition")
                .then_some(value)
        })?;
        let name = disposition
            .split(';')
            .find_map(|part| parameter(part, "name"))?;
        Some((name, value.to_owned()))
    };
    parts.filter_map(field).collect()
}

/// The client id and secret of a Basic header; both are empty if it is malformed.
pub(crate) fn basic_credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim()).ok();
    let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
    let (id, secret) = pair.unwrap_or_default();
    Some((id.to_owned(), secret.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(http::HeaderName, &str)]) -> HeaderMap {
        let pair =
            |(name, value): &(http::HeaderName, &str)| (name.clone(), value.parse().unwrap());
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn both_body_types_have_the_same_parameters() {
        let expected = [("a", "1 2"), ("b", "x=y&z\r\nw"), ("c", "")];
        let encoded = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(expected)
            .finish();
        let urlencoded = headers(&[(CONTENT_TYPE, "application/x-www-form-urlencoded")]);
        let mut multipart = String::new();
        for (name, value) in expected {
            multipart.push_str(&format!(
                "--BOUND\r\nContent-Disposition: form-data; name=\"{name}\"\r\nContent-Type: text/plain\r\n\r\n{value}\r\n"
            ));
        }
        multipart.push_str("--BOUND--\r\n");
        for content_type in [
            "multipart/form-data; boundary=BOUND",
            "Multipart/Form-Data;charset=utf-8; boundary=\"BOUND\"",
        ] {
            let parsed = body_parameters(
                &headers(&[(CONTENT_TYPE, content_type)]),
                multipart.as_bytes(),
            );
            assert_eq!(parsed, body_parameters(&urlencoded, encoded.as_bytes()));
            assert_eq!(parsed.len(), 3);
        }
    }

    #[test]
    fn basic_header_has_client_id_and_secret() {
        let of = |header: &str| basic_credentials(&headers(&[(AUTHORIZATION, header)]));
        let pair = |id: &str, secret: &str| Some((id.to_owned(), secret.to_owned()));
        assert_eq!(of("Basic aWQ6c2VjOnJldA=="), pair("id", "sec:ret"));
        assert_eq!(of("basic aWQ6c2VjOnJldA=="), pair("id", "sec:ret"));
        assert_eq!(of("Basic ???"), pair("", ""));
        assert_eq!(of("Zoho-oauthtoken 1000.a"), None);
        assert_eq!(basic_credentials(&HeaderMap::new()), None);
    }
}
