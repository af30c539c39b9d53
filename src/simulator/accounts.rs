//! Zoho's accounts server: access tokens, their quotas and their end.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::answer::Answer;
use super::faults::Faults;

/// The client that is registered. A secret that opens nothing but a simulator may be known.
pub(super) const CLIENT_ID: &str = "1000.SIMULATEDCLIENT0123456789ABCDEF";
/// Its secret.
pub(super) const CLIENT_SECRET: &str = "5e1f0c0ffee5e1f0c0ffee5e1f0c0ffee5e1f0c0ff";
/// The one refresh token.
pub(super) const REFRESH_TOKEN: &str =
    "1000.0123456789abcdef0123456789abcdef.fedcba9876543210fedcba9876543210";

/// An access token lives one hour.
const LIFE: SignedDuration = SignedDuration::from_secs(3600);

/// The window of the mint throttle: 10 access tokens per refresh token in 10 minutes.
const WINDOW: SignedDuration = SignedDuration::from_secs(600);

/// A live access token.
#[derive(Clone, Debug)]
pub(super) struct Token {
    value: String,
    /// When it dies.
    pub(super) ends: Timestamp,
    /// The scopes asked for at minting; none: all that are granted.
    pub(super) scopes: Option<Vec<String>>,
}

/// The accounts server.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    live: VecDeque<Token>,
    mints: VecDeque<Timestamp>,
    refresh_revoked: bool,
    /// How many access tokens were ever minted.
    pub(super) minted: u64,
}

/// Parameters, from the query and the body alike.
pub(super) type Parameters = BTreeMap<String, String>;

impl Accounts {
    /// `POST /oauth/v2/token`. Errors are HTTP 200 with an `error` and without an `access_token`.
    pub(super) fn token(
        &mut self,
        parameters: &Parameters,
        faults: &Faults,
        own_url: &str,
        now: Timestamp,
    ) -> Answer {
        let given = |name: &str| parameters.get(name).map_or("", String::as_str);
        if let Some(error) = &faults.token_error {
            return refused(error);
        }
        if given("client_id") != CLIENT_ID {
            return refused("invalid_client");
        }
        if given("client_secret") != CLIENT_SECRET {
            return refused("invalid_client_secret");
        }
        let scopes = match given("grant_type") {
            "refresh_token" => {
                if self.refresh_revoked || given("refresh_token") != REFRESH_TOKEN {
                    return refused("invalid_code");
                }
                self.mints.retain(|at| now.duration_since(*at) < WINDOW);
                if self.mints.len() >= faults.mints_per_window {
                    return throttled(faults);
                }
                self.mints.push_back(now);
                None
            }
            "client_credentials" => {
                let soid = given("soid");
                let digits = soid.strip_prefix("ZohoCRM.").unwrap_or_default();
                if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    return refused("missing_org_info");
                }
                let scopes: Vec<String> = given("scope")
                    .split([',', ' '])
                    .filter(|scope| !scope.is_empty())
                    .map(str::to_owned)
                    .collect();
                if scopes.is_empty() || scopes.iter().any(|scope| !scope.starts_with("Zoho")) {
                    return refused("invalid_scope");
                }
                Some(scopes)
            }
            _ => return refused("unsupported_grant_type"),
        };
        let token = self.mint(scopes, faults, now);
        success(&token, faults, own_url)
    }

    fn mint(&mut self, scopes: Option<Vec<String>>, faults: &Faults, now: Timestamp) -> Token {
        self.minted += 1;
        self.drop_dead(now);
        while self.live.len() >= faults.live_tokens.max(1) {
            self.live.pop_front();
        }
        // The halves only look random: a token is guessable here, and nothing is behind it.
        let token = Token {
            value: format!(
                "1000.{:032x}.{:032x}",
                u128::from(self.minted) * 0x9e37_79b9_7f4a_7c15,
                self.minted
            ),
            ends: now.saturating_add(LIFE).unwrap_or(Timestamp::MAX),
            scopes,
        };
        self.live.push_back(token.clone());
        token
    }

    /// `POST /oauth/v2/token/revoke`, and the newer `/oauth/v2/revoke/token`.
    pub(super) fn revoke(&mut self, parameters: &Parameters) -> Answer {
        let token = parameters.get("token").map_or("", String::as_str);
        if token == REFRESH_TOKEN && !self.refresh_revoked {
            self.refresh_revoked = true;
            self.live.clear();
        } else if let Some(at) = self.live.iter().position(|live| live.value == token) {
            self.live.remove(at);
        } else {
            return Answer::json(400, json!({"error": "invalid_token"}));
        }
        Answer::json(200, json!({"status": "success"}))
    }

    /// The live token with this value.
    pub(super) fn find(&mut self, value: &str, now: Timestamp) -> Option<&Token> {
        self.drop_dead(now);
        self.live.iter().find(|token| token.value == value)
    }

    /// Ends every access token's life.
    pub(super) fn expire_all(&mut self) {
        self.live.clear();
    }

    fn drop_dead(&mut self, now: Timestamp) {
        self.live.retain(|token| token.ends > now);
    }
}

/// `GET /oauth/serverinfo`: every data centre is this simulator.
pub(super) fn server_info(own_url: &str) -> Answer {
    let locations: serde_json::Map<String, Value> =
        ["us", "eu", "in", "au", "jp", "ca", "sa", "uk", "ae"]
            .iter()
            .map(|location| ((*location).to_owned(), json!(own_url)))
            .collect();
    Answer::json(200, json!({"result": "success", "locations": locations}))
}

fn refused(error: &str) -> Answer {
    Answer::json(200, json!({"error": error}))
}

/// Recorded bodies of the mint throttle: even `error` follows the account's language.
fn throttled(faults: &Faults) -> Answer {
    let (description, error) = if faults.localised_error {
        ("您已连续提出过多请求，请稍后再试。", "拒绝访问")
    } else {
        (
            "You have made too many requests continuously. Please try again after some time.",
            "Access Denied",
        )
    };
    Answer::json(
        faults.throttle_status,
        json!({"error_description": description, "error": error, "status": "failure"}),
    )
}

fn success(token: &Token, faults: &Faults, own_url: &str) -> Answer {
    let mut body = json!({"access_token": token.value});
    if !faults.omit_scope {
        // Asked for with commas, answered with spaces.
        body["scope"] = match &token.scopes {
            Some(scopes) => json!(scopes.join(" ")),
            None => json!(faults.granted().join(" ")),
        };
    }
    if !faults.omit_api_domain {
        body["api_domain"] = json!(faults.api_domain.as_deref().unwrap_or(own_url));
    }
    // The answer says `Bearer`, although the header must say `Zoho-oauthtoken`.
    body["token_type"] = json!("Bearer");
    let seconds = LIFE.as_secs();
    if faults.expires_in_ms {
        body["expires_in_sec"] = json!(seconds);
        body["expires_in"] = json!(seconds * 1000);
    } else {
        body["expires_in"] = json!(seconds);
    }
    Answer::json(200, body)
}
