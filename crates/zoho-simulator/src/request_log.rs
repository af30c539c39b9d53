//! The log of received requests: counts by kind, and the requests with their secrets masked.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::form;
use crate::request::Request;

/// Every request kind, in the order of `GET /_sim/stats`.
pub(crate) const REQUEST_KINDS: [&str; 28] = [
    "token",
    "revoke",
    "serverinfo",
    "mass_update_post",
    "mass_update_get",
    "add_tags",
    "remove_tags",
    "change_owner",
    "mass_change_owner_post",
    "mass_change_owner_get",
    "fields",
    "modules",
    "custom_views",
    "territories",
    "search",
    "coql",
    "records_list",
    "records_get",
    "records_put",
    "upsert",
    "apis",
    "org",
    "users",
    "count",
    "not_simulated",
    "other_version",
    "wrong_method",
    "unknown",
];

/// The number of requests kept. Older ones are dropped, so that a long load test does not exhaust memory.
const MAX_LOGGED_REQUESTS: usize = 20_000;

/// Query and form parameters whose values are masked.
const SECRET_PARAMETERS: [&str; 5] = [
    "client_secret",
    "refresh_token",
    "access_token",
    "token",
    "code",
];

/// Replaces a secret.
const MASK: &str = "***";

/// The requests received so far, with their secrets masked.
#[derive(Debug, Default)]
pub(crate) struct RequestLog {
    counts: BTreeMap<&'static str, u64>,
    requests: VecDeque<Value>,
    received: u64,
}

impl RequestLog {
    /// Counts and logs a request.
    pub(crate) fn record(&mut self, request: &Request, at: Timestamp) {
        let kind = request.endpoint.kind();
        *self.counts.entry(kind).or_default() += 1;
        self.received += 1;
        if self.requests.len() == MAX_LOGGED_REQUESTS {
            self.requests.pop_front();
        }
        let query: Map<String, Value> = masked(request.query.iter().cloned());
        let headers: Map<String, Value> = request
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), json!(header(name.as_str(), value))))
            .collect();
        self.requests.push_back(json!({
            "seq": self.received,
            "kind": kind,
            "at": at.to_string(),
            "method": request.method,
            "path": request.path,
            "query": query,
            "headers": headers,
            "body": body(kind, request),
        }));
    }

    /// The number of requests by kind.
    pub(crate) fn counts(&self) -> Map<String, Value> {
        REQUEST_KINDS
            .iter()
            .map(|kind| {
                (
                    (*kind).to_owned(),
                    json!(self.counts.get(kind).copied().unwrap_or(0)),
                )
            })
            .collect()
    }

    /// The response of `GET /_sim/requests`.
    pub(crate) fn requests(&self) -> Value {
        let dropped = self.received - self.requests.len() as u64;
        json!({"requests": self.requests, "dropped": dropped})
    }
}

fn masked(pairs: impl Iterator<Item = (String, String)>) -> Map<String, Value> {
    pairs
        .map(|(name, value)| {
            let value = if SECRET_PARAMETERS.contains(&name.as_str()) {
                MASK.to_owned()
            } else {
                value
            };
            (name, Value::String(value))
        })
        .collect()
}

fn header(name: &str, value: &http::HeaderValue) -> String {
    let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
    match name {
        "authorization" => match text.split_once(' ') {
            Some((scheme, _)) => format!("{scheme} {MASK}"),
            None => MASK.to_owned(),
        },
        "cookie" => MASK.to_owned(),
        _ => text,
    }
}

fn body(kind: &str, request: &Request) -> Value {
    let body = &request.body;
    if body.is_empty() {
        return Value::Null;
    }
    if matches!(kind, "token" | "revoke") {
        let parameters = form::body_parameters(&request.headers, body);
        return Value::Object(masked(parameters.into_iter()));
    }
    serde_json::from_slice(body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).into_owned()))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::endpoint::Endpoint;

    #[test]
    fn secrets_are_masked_in_query_headers_and_body() {
        let mut headers = http::HeaderMap::new();
        headers.insert(
            "authorization",
            "Zoho-oauthtoken 1000.secret".parse().unwrap(),
        );
        let query = [
            ("refresh_token".to_owned(), "secret".to_owned()),
            ("job_id".to_owned(), "7".to_owned()),
        ];
        let request = Request {
            data_center: 0,
            endpoint: Endpoint::Token,
            method: "POST".to_owned(),
            path: "/oauth/v2/token".to_owned(),
            query: query.to_vec(),
            headers,
            body: Bytes::from_static(b"client_secret=secret&grant_type=refresh_token"),
        };
        let mut log = RequestLog::default();
        log.record(&request, Timestamp::UNIX_EPOCH);
        let logged = log.requests();
        let text = logged.to_string();
        assert!(
            !text.contains("\"secret\"") && !text.contains("1000.secret"),
            "{logged}"
        );
        assert_eq!(
            logged["requests"][0]["headers"]["authorization"],
            "Zoho-oauthtoken ***"
        );
        assert_eq!(logged["requests"][0]["query"]["job_id"], "7");
        assert_eq!(logged["requests"][0]["body"]["grant_type"], "refresh_token");
        let mut multipart = request;
        multipart.headers.insert(
            "content-type",
            "multipart/form-data; boundary=B".parse().unwrap(),
        );
        multipart.body = Bytes::from_static(
            b"--B\r\nContent-Disposition: form-data; name=\"client_secret\"\r\n\r\nsecret\r\n--B--\r\n",
        );
        log.record(&multipart, Timestamp::UNIX_EPOCH);
        let logged = log.requests();
        assert_eq!(
            logged["requests"][1]["body"],
            json!({"client_secret": "***"})
        );
        assert_eq!(log.counts()["token"], 2);
        assert_eq!(log.counts()["coql"], 0);
    }
}
