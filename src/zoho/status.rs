//! What this process knows about a connection, without a request.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Client;
use crate::outcome::Refusal;
use crate::sync;

/// The state of a connection in this process.
#[derive(Clone, Debug)]
pub struct ConnectionStatus {
    /// The connection's name in the config.
    pub name: String,
    /// Where CRM calls go, once a token has been obtained.
    pub api_domain: Option<String>,
    /// When this process obtained its access token, and when it expires.
    pub token: Option<(Timestamp, Timestamp)>,
    /// Why there is no access token.
    pub token_problem: Option<String>,
    /// When the next attempt to get one is made.
    pub token_retry_at: Option<Timestamp>,
    /// API credits that remain, once Zoho reports them.
    pub credits_left: Option<u64>,
    /// Below so many credits new work waits.
    pub credit_floor: u64,
    /// Calls under way.
    pub in_flight: usize,
    /// Calls that may be under way at once.
    pub limit: usize,
    /// Zoho has asked for a pause until then.
    pub throttled_until: Option<Timestamp>,
    /// How often Zoho has asked for a pause since the start.
    pub throttles: u64,
    /// The last error.
    pub last_error: Option<(Timestamp, Refusal)>,
    settings: Value,
}

impl Client {
    /// What this process knows about the connection. No request is made.
    pub fn status(&self) -> ConnectionStatus {
        let now = self.clock.now();
        let token = self.tokens.snapshot();
        let connection = &self.connection;
        let throttled_until = *sync::lock(&self.throttled_until);
        let errors = sync::lock(&self.errors).clone();
        ConnectionStatus {
            name: self.name.clone(),
            api_domain: token.api,
            token: token.times.filter(|(_, expires)| *expires > now),
            token_problem: token.problem.map(|refusal| refusal.message),
            token_retry_at: token.retry_at,
            credits_left: sync::lock(&self.credits).remaining(),
            credit_floor: connection.credit_floor,
            in_flight: self.concurrency.in_use(),
            limit: connection.max_concurrency,
            throttled_until: throttled_until.filter(|until| *until > now),
            throttles: errors.throttles,
            last_error: errors.last,
            settings: json!({
                "data_center": connection.data_center.to_string(),
                "environment": connection.environment.as_str(),
                "edition": connection.edition.map(|edition| edition.to_string()),
                "accounts_url": connection.accounts(),
            }),
        }
    }
}

/// The errors of a connection since the start.
#[derive(Clone, Debug, Default)]
pub(super) struct ErrorLog {
    pub(super) throttles: u64,
    pub(super) last: Option<(Timestamp, Refusal)>,
}

impl ConnectionStatus {
    /// The status as the console shows it.
    pub fn to_json(&self) -> Value {
        let time = |time: Timestamp| format!("{time:.3}");
        let mut status = self.settings.clone();
        let more = json!({
            "name": self.name,
            "api_domain": self.api_domain,
            "token": {
                "obtained_at": self.token.map(|(obtained, _)| time(obtained)),
                "expires_at": self.token.map(|(_, expires)| time(expires)),
                "problem": self.token_problem,
                "retry_at": self.token_retry_at.map(time),
            },
            "credits": {
                "left": self.credits_left,
                // Zoho reports no limit with its answers.
                "limit": Value::Null,
                "floor": self.credit_floor,
                "waiting": self.credits_left.is_some_and(|left| left < self.credit_floor),
            },
            "in_flight": {"now": self.in_flight, "limit": self.limit},
            "throttled_until": self.throttled_until.map(time),
            "throttles": self.throttles,
            "last_error": self.last_error.as_ref().map(|(at, refusal)| json!({
                "at": time(*at),
                "code": refusal.code,
                "message": refusal.message,
                "advice": refusal.advice,
            })),
        });
        if let (Some(status), Value::Object(more)) = (status.as_object_mut(), more) {
            status.extend(more);
        }
        status
    }
}
