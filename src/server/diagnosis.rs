//! Why hyper refused a request: it answers with a bare status, and the head of the request shows the reason. Pure.

#[cfg(test)]
mod tests;

use crate::api::{MAX_HEADERS, check_header_count};
use crate::inbound::rejection::Rejection;

/// The start of a connection that speaks HTTP/2 without asking.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// Longest piece of a request that a rejection quotes.
const MAX_QUOTE: usize = 60;

/// Whether a head is the start of HTTP/2.
pub(super) fn is_http2(head: &[u8]) -> bool {
    head.starts_with(HTTP2_PREFACE)
}

/// The rejection of a head that hyper refuses with a status; `None` for other statuses than those of refused heads.
pub(super) fn diagnose(head: &[u8], status: &str, max_body_bytes: usize) -> Option<Rejection> {
    let head = Head::parse(head);
    match status {
        "400" => Some(
            head.version_problem()
                .or_else(|| head.length_problem(max_body_bytes))
                .or_else(|| head.encoding_problem())
                .unwrap_or_else(|| malformed("its request line or a header is malformed")),
        ),
        "414" => Some(Rejection::UrlTooLong),
        // hyper has the same status for a body that is too large for its arithmetic.
        "431" => Some(
            check_header_count(head.headers.len())
                .err()
                .or_else(|| head.length_problem(max_body_bytes))
                .unwrap_or(Rejection::HeadTooLarge),
        ),
        _ => None,
    }
}

fn malformed(what: &str) -> Rejection {
    Rejection::BodyNotReceived(format!("it is not valid HTTP: {what}"))
}

/// The lines of a head, or of the part of it that has arrived.
struct Head<'a> {
    request_line: &'a [u8],
    headers: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Head<'a> {
    fn parse(bytes: &'a [u8]) -> Self {
        let lines = bytes.split(|byte| *byte == b'\n');
        let mut lines = lines.map(<[u8]>::trim_ascii_end);
        // Empty lines before a request are ignored, as by hyper.
        let request_line = lines.find(|line| !line.is_empty()).unwrap_or_default();
        let headers = lines.take_while(|line| !line.is_empty()).map(|line| {
            let colon = line.iter().position(|byte| *byte == b':');
            let (name, value) = line.split_at(colon.unwrap_or(line.len()));
            (name, value.get(1..).unwrap_or_default().trim_ascii())
        });
        Self {
            request_line,
            // One more than allowed suffices to name the limit.
            headers: headers.take(MAX_REPORTED_HEADERS).collect(),
        }
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let named = move |header: &&(&[u8], &[u8])| header.0.eq_ignore_ascii_case(name.as_bytes());
        self.headers.iter().filter(named).map(|(_, value)| *value)
    }

    /// A version other than 1.0 and 1.1.
    fn version_problem(&self) -> Option<Rejection> {
        let version = self.request_line.rsplit(|byte| *byte == b' ').next()?;
        let number = version.strip_prefix(b"HTTP/")?;
        let is_number = number
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b'.');
        let is_known = matches!(number, b"1.0" | b"1.1");
        (is_number && !is_known).then_some(Rejection::HttpVersion)
    }

    fn length_problem(&self, max_body_bytes: usize) -> Option<Rejection> {
        let lengths: Vec<&[u8]> = self.values("content-length").collect();
        let first = lengths.first()?;
        if lengths.iter().any(|length| length != first) {
            return Some(malformed(
                "it has several different `Content-Length` headers",
            ));
        }
        let is_number = !first.is_empty() && first.iter().all(u8::is_ascii_digit);
        if !is_number {
            let value = quote(first);
            return Some(malformed(&format!(
                "its `Content-Length` is `{value}`, which is no number of bytes"
            )));
        }
        let digits = std::str::from_utf8(first).unwrap_or_default();
        let fits = digits
            .parse()
            .is_ok_and(|length: usize| length <= max_body_bytes);
        (!fits).then_some(Rejection::TooLarge {
            limit: max_body_bytes,
        })
    }

    fn encoding_problem(&self) -> Option<Rejection> {
        let last = self.values("transfer-encoding").last()?;
        let coding = last.rsplit(|byte| *byte == b',').next().unwrap_or_default();
        let is_chunked = coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
        (!is_chunked).then(|| {
            let value = quote(last);
            malformed(&format!(
                "its `Transfer-Encoding` is `{value}`, and only `chunked` is understood"
            ))
        })
    }
}

/// Number of headers up to which a rejection counts them.
const MAX_REPORTED_HEADERS: usize = 100 * MAX_HEADERS;

fn quote(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    text.chars().take(MAX_QUOTE).collect()
}
