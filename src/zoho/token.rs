//! Access tokens, and the accounts server's answers to requests for them. Pure.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use super::Error;
use super::data_center::ApiBase;
use crate::clock::after;
use crate::codes::{self, Cause, Class};
use crate::outcome::Refusal;

/// A token is not used in its last minute: it might expire during the call.
const MARGIN: Duration = Duration::from_secs(60);

/// An access token and where it may be used.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token.
    pub access: SecretString,
    /// Where CRM calls go.
    pub api: ApiBase,
    /// When it expires, by this machine's clock.
    pub expires_at: Timestamp,
}

impl Token {
    /// Whether it can be used for another call.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        after(now, MARGIN) < self.expires_at
    }
}

/// A token as the accounts server grants it.
#[derive(Debug)]
pub struct TokenGrant {
    /// The token.
    pub access: SecretString,
    /// The refresh token, which only the exchange of a grant code returns.
    pub refresh: Option<SecretString>,
    /// The scopes granted, if the answer named them.
    pub scopes: Option<Vec<String>>,
    /// The API host that the token belongs to, if the answer named one.
    pub api_domain: Option<String>,
    /// How long the token is valid.
    pub lifetime: Duration,
    /// When the accounts server granted it, by the server's clock, if the answer has a date.
    pub granted_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Wire {
    access_token: Option<SecretString>,
    refresh_token: Option<SecretString>,
    scope: Option<Value>,
    api_domain: Option<String>,
    // Some answers have strings for numbers. A token must not be dropped for the form of its lifetime.
    expires_in: Option<Value>,
    expires_in_sec: Option<Value>,
    error: Option<Value>,
    error_description: Option<Value>,
    status: Option<Value>,
}

fn seconds(value: Option<&Value>) -> Option<u64> {
    let value = value?;
    let number = value
        .as_f64()
        .or_else(|| value.as_str()?.trim().parse().ok())?;
    Some(number.clamp(0.0, 1e12) as u64)
}

/// The shortest lifetime that is believed, in seconds. With less, the margin alone would make every call request a token.
const MIN_LIFETIME: u64 = 120;

/// Judges the accounts server's answer by the presence of `access_token`. The HTTP status says nothing (most errors are
/// 200s), and the error's text may be in any language.
///
/// # Errors
/// [`Error::RetryLater`] or [`Error::Denied`].
pub fn parse_grant(status: u16, body: &[u8]) -> Result<TokenGrant, Error> {
    let Ok(wire) = serde_json::from_slice::<Wire>(body) else {
        let message =
            format!("the accounts server answered HTTP {status} with something that is not JSON");
        return Err(classify(Refusal::with(Cause::AccountsUnreadable, message)));
    };
    match &wire.access_token {
        Some(access) => Ok(wire.grant(access.clone())),
        None => Err(classify(wire.refusal(status))),
    }
}

impl Wire {
    fn grant(&self, access: SecretString) -> TokenGrant {
        // Old answers have `expires_in` in milliseconds beside `expires_in_sec`.
        let lifetime = match (
            seconds(self.expires_in_sec.as_ref()),
            seconds(self.expires_in.as_ref()),
        ) {
            (Some(seconds), _) => seconds,
            (None, Some(number)) if number > 86_400 => number / 1000,
            (None, Some(number)) => number,
            (None, None) => 3600,
        };
        // The request separates scopes by commas, the answer by spaces.
        let scopes = self.scope.as_ref().and_then(Value::as_str).map(|scopes| {
            let scopes = scopes.split([' ', ',']).filter(|scope| !scope.is_empty());
            scopes.map(str::to_owned).collect()
        });
        TokenGrant {
            access,
            refresh: self.refresh_token.clone(),
            scopes,
            api_domain: self.api_domain.clone(),
            lifetime: Duration::from_secs(lifetime.max(MIN_LIFETIME)),
            granted_at: None,
        }
    }

    /// The refusal of an answer without a token.
    fn refusal(&self, status: u16) -> Refusal {
        let code = self.error.as_ref().and_then(Value::as_str);
        let code: String = code.unwrap_or_default().chars().take(100).collect();
        if let Some(row) = codes::find(&code, "") {
            return Refusal::of(row.cause);
        }
        // The throttle has no code: its `error` is a sentence, in the language of the account.
        let throttled = self.status.as_ref().and_then(Value::as_str) == Some("failure")
            || self.error_description.is_some()
            || (status == 400 && (!code.is_ascii() || code.contains(' ')));
        if throttled {
            return Refusal::of(Cause::TokenThrottled);
        }
        if status >= 500 || code.is_empty() {
            let message = format!("the accounts server answered HTTP {status} without a token");
            return Refusal::with(Cause::AccountsUnavailable, message);
        }
        Refusal::zoho(
            code,
            "the accounts server refused the credentials".to_owned(),
        )
    }
}

/// Classifies a refusal by the table of codes.
fn classify(refusal: Refusal) -> Error {
    match codes::find(&refusal.code, &refusal.message).map(|row| row.class) {
        Some(Class::Wait(wait)) => Error::RetryLater(refusal, wait),
        Some(Class::Retry | Class::Reauthenticate | Class::Permanent(_) | Class::Partial)
        | None => Error::Denied(refusal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secret(text: &str) -> SecretString {
        text.to_owned().into()
    }

    #[test]
    fn grant_contains_scopes_and_refresh_token() {
        let of = |body: &str| parse_grant(200, body.as_bytes()).expect("a token");
        let found = of(r#"{"access_token":"a","refresh_token":"r","scope":"A.b.READ C.d.ALL"}"#);
        assert_eq!(
            found.scopes,
            Some(vec!["A.b.READ".to_owned(), "C.d.ALL".to_owned()])
        );
        assert!(found.refresh.is_some());
        let bare = of(r#"{"access_token":"a"}"#);
        assert!(bare.scopes.is_none() && bare.refresh.is_none());
    }

    #[test]
    fn answer_is_judged_by_presence_of_token() {
        let of = |status, body: &str| parse_grant(status, body.as_bytes());
        let lives = |body| of(200, body).expect("a token").lifetime.as_secs();
        assert_eq!(lives(r#"{"access_token":"a","expires_in":3600}"#), 3600);
        assert_eq!(
            lives(r#"{"access_token":"a","expires_in":3600000,"expires_in_sec":3600}"#),
            3600
        );
        assert_eq!(lives(r#"{"access_token":"a","expires_in":3600000}"#), 3600);
        assert_eq!(
            lives(r#"{"access_token":"a","expires_in":"3600","status":1}"#),
            3600
        );
        assert_eq!(
            lives(r#"{"access_token":"a","expires_in":0}"#),
            MIN_LIFETIME
        );
        for (status, body) in [
            (
                200,
                r#"{"error_description":"You have made too many requests","error":"Access Denied","status":"failure"}"#,
            ),
            (
                400,
                r#"{"error_description":"您已连续提出过多请求，请稍后再试。","error":"拒绝访问","status":"failure"}"#,
            ),
            (400, r#"{"error":"拒绝访问"}"#),
        ] {
            assert!(
                matches!(of(status, body), Err(Error::RetryLater(_, wait)) if wait.as_secs() == 600),
                "{body}"
            );
        }
        assert!(
            matches!(of(200, r#"{"error":"invalid_client"}"#), Err(Error::Denied(why)) if why.code == "invalid_client")
        );
        assert!(matches!(of(200, "<html>"), Err(Error::RetryLater(..))));
        assert!(matches!(of(500, "{}"), Err(Error::RetryLater(..))));
    }

    proptest! {
        #[test]
        fn any_answer_is_judged_without_panic(status in 100_u16..600, body in "\\PC{0,80}") {
            let _ = parse_grant(status, body.as_bytes());
        }

        #[test]
        fn token_is_not_fresh_in_its_last_minute(lives in 0_i64..4000, age in 0_i64..5000) {
            let now = Timestamp::from_second(1_700_000_000).expect("a moment");
            let expires_at = Timestamp::from_second(1_700_000_000 + lives - age).expect("a moment");
            let token = Token { access: secret("a"), api: ApiBase::of(Default::default(), Default::default()), expires_at };
            prop_assert_eq!(token.is_fresh(now), lives - age > 60);
        }
    }
}
