//! What was asked of the simulator: counts by kind, and the requests themselves with their secrets masked.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Map, Value, json};

/// Every kind that a request can be of, in the order in which `GET /_sim/stats` shows them.
pub(crate) const KINDS: [&str; 20] = [
    "token",
    "revoke",
    "serverinfo",
    "mass_update_post",
    "mass_update_get",
    "fields",
    "modules",
    "custom_views",
    "territories",
    "search",
    "coql",
    "records_get",
    "records_put",
    "apis",
    "org",
    "users",
    "count",
    "other_version",
    "wrong_method",
    "unknown",
];

/// Requests kept; older ones are dropped, so that a long load test does not fill the memory.
const KEPT: usize = 20_000;

/// Parameters and body keys that carry a secret.
const SECRET: [&str; 5] = [
    "client_secret",
    "refresh_token",
    "access_token",
    "token",
    "code",
];

/// What stands in a secret's place.
const MASK: &str = "***";

/// A request as it came in.
pub(crate) struct Seen<'a> {
    pub(crate) kind: &'static str,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a [(String, String)],
    pub(crate) headers: &'a http::HeaderMap,
    pub(crate) body: &'a [u8],
}

/// The requests received so far.
#[derive(Debug, Default)]
pub(crate) struct Log {
    counts: BTreeMap<&'static str, u64>,
    requests: VecDeque<Value>,
    received: u64,
    /// CRM requests under way at this moment.
    pub(crate) in_flight: usize,
    /// The most that ever were.
    pub(crate) max_in_flight: usize,
    /// Those of them that count against the narrower limit, too.
    pub(crate) complex_in_flight: usize,
}

impl Log {
    /// Notes a request.
    pub(crate) fn note(&mut self, seen: &Seen<'_>, at: jiff::Timestamp) {
        *self.counts.entry(seen.kind).or_default() += 1;
        self.received += 1;
        if self.requests.len() == KEPT {
            self.requests.pop_front();
        }
        let query: Map<String, Value> = masked(seen.query.iter().cloned());
        let headers: Map<String, Value> = seen
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), json!(header(name.as_str(), value))))
            .collect();
        self.requests.push_back(json!({
            "seq": self.received,
            "kind": seen.kind,
            "at": at.to_string(),
            "method": seen.method,
            "path": seen.path,
            "query": query,
            "headers": headers,
            "body": body(seen),
        }));
    }

    /// The counts of `GET /_sim/stats`.
    pub(crate) fn stats(&self) -> Map<String, Value> {
        let mut stats: Map<String, Value> = KINDS
            .iter()
            .map(|kind| {
                (
                    (*kind).to_owned(),
                    json!(self.counts.get(kind).copied().unwrap_or(0)),
                )
            })
            .collect();
        stats.insert("max_in_flight".to_owned(), json!(self.max_in_flight));
        stats
    }

    /// The answer of `GET /_sim/requests`.
    pub(crate) fn requests(&self) -> Value {
        let dropped = self.received - self.requests.len() as u64;
        json!({"requests": self.requests, "dropped": dropped})
    }
}

fn masked(pairs: impl Iterator<Item = (String, String)>) -> Map<String, Value> {
    pairs
        .map(|(name, value)| {
            let value = if SECRET.contains(&name.as_str()) {
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

fn body(seen: &Seen<'_>) -> Value {
    if seen.body.is_empty() {
        return Value::Null;
    }
    let form = matches!(seen.kind, "token" | "revoke");
    if form {
        return Value::Object(masked(form_urlencoded::parse(seen.body).into_owned()));
    }
    serde_json::from_slice(seen.body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(seen.body).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        let mut headers = http::HeaderMap::new();
        headers.insert(
            "authorization",
            "Zoho-oauthtoken 1000.secret".parse().unwrap(),
        );
        let query = [
            ("refresh_token".to_owned(), "secret".to_owned()),
            ("job_id".to_owned(), "7".to_owned()),
        ];
        let mut log = Log::default();
        log.note(
            &Seen {
                kind: "token",
                method: "POST",
                path: "/oauth/v2/token",
                query: &query,
                headers: &headers,
                body: b"client_secret=secret&grant_type=refresh_token",
            },
            jiff::Timestamp::UNIX_EPOCH,
        );
        let told = log.requests();
        let text = told.to_string();
        assert!(
            !text.contains("\"secret\"") && !text.contains("1000.secret"),
            "{told}"
        );
        assert_eq!(
            told["requests"][0]["headers"]["authorization"],
            "Zoho-oauthtoken ***"
        );
        assert_eq!(told["requests"][0]["query"]["job_id"], "7");
        assert_eq!(told["requests"][0]["body"]["grant_type"], "refresh_token");
        assert_eq!(log.stats()["token"], 1);
        assert_eq!(log.stats()["coql"], 0);
    }
}
