//! Access tokens: how one is asked for, and what the accounts server's answers mean.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::data_center::ApiBase;
use crate::clock::after;
use crate::codes::{self, Cause, Class};
use crate::outcome::Refusal;

/// A token is not used in its last minute: it might end under way.
const MARGIN: Duration = Duration::from_secs(60);

/// The scopes that a client-credentials token is asked for, unless the secret names others.
const SCOPES: &str = "ZohoCRM.mass_update.UPDATE,ZohoCRM.mass_update.READ";

/// A connection's credentials, as they stand in its secret.
#[derive(Debug)]
pub struct Credentials {
    client: ClientKey,
    grant: Grant,
}

#[derive(Debug)]
enum Grant {
    RefreshToken(SecretString),
    ClientCredentials { soid: String, scope: String },
}

/// The secret is not what it should be. What it holds is never repeated.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCredentials {
    /// Not a JSON object.
    #[error("is not a JSON object with client_id, client_secret and refresh_token")]
    NotAnObject,
    /// A key is missing, or its value is not a string.
    #[error("has no `{0}` (a string)")]
    Missing(&'static str),
    /// Neither grant.
    #[error(
        "has a `grant_type` that is not supported: use a refresh_token, or grant_type client_credentials with soid"
    )]
    UnknownGrant,
}

impl Credentials {
    /// Reads a connection's secret.
    ///
    /// # Errors
    /// [`BadCredentials`].
    pub fn parse(secret: &SecretString) -> Result<Self, BadCredentials> {
        let document: Value = serde_json::from_str(secret.expose_secret())
            .map_err(|_| BadCredentials::NotAnObject)?;
        let text = |key| {
            document
                .get(key)
                .and_then(Value::as_str)
                .map(str::trim)
                .filter(|text| !text.is_empty())
        };
        let needed = |key| text(key).ok_or(BadCredentials::Missing(key));
        if !document.is_object() {
            return Err(BadCredentials::NotAnObject);
        }
        let grant = match text("grant_type") {
            None | Some("refresh_token") => Grant::RefreshToken(needed("refresh_token")?.into()),
            Some("client_credentials") => Grant::ClientCredentials {
                soid: needed("soid")?.to_owned(),
                scope: text("scope").unwrap_or(SCOPES).to_owned(),
            },
            Some(_) => return Err(BadCredentials::UnknownGrant),
        };
        Ok(Self {
            client: ClientKey {
                id: needed("client_id")?.to_owned(),
                secret: needed("client_secret")?.into(),
            },
            grant,
        })
    }

    /// A client's own leave to ask for tokens, without a user's grant.
    pub fn of_client(client: ClientKey, soid: String, scope: String) -> Self {
        Self {
            client,
            grant: Grant::ClientCredentials { soid, scope },
        }
    }

    /// The secret that [`Credentials::parse`] reads.
    pub fn secret(&self) -> SecretString {
        let mut document = json!({
            "client_id": self.client.id,
            "client_secret": self.client.secret.expose_secret(),
        });
        match &self.grant {
            Grant::RefreshToken(token) => document["refresh_token"] = json!(token.expose_secret()),
            Grant::ClientCredentials { soid, scope } => {
                document["grant_type"] = json!("client_credentials");
                document["soid"] = json!(soid);
                document["scope"] = json!(scope);
            }
        }
        document.to_string().into()
    }

    /// The form that asks for a token.
    pub fn form(&self) -> Bytes {
        match &self.grant {
            Grant::RefreshToken(token) => self.client.form(&[
                ("grant_type", "refresh_token"),
                ("refresh_token", token.expose_secret()),
            ]),
            Grant::ClientCredentials { soid, scope } => self.client.form(&[
                ("grant_type", "client_credentials"),
                ("soid", soid),
                ("scope", scope),
            ]),
        }
    }
}

/// What the API console gave a client.
#[derive(Clone, Debug)]
pub struct ClientKey {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: SecretString,
}

impl ClientKey {
    /// It goes into the body: query strings end up in logs.
    fn form(&self, grant: &[(&str, &str)]) -> Bytes {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("client_id", &self.id);
        form.append_pair("client_secret", self.secret.expose_secret());
        form.extend_pairs(grant);
        Bytes::from(form.finish())
    }
}

/// A code of the API console, which becomes a refresh token once.
#[derive(Debug)]
pub struct GrantCode {
    /// Whose code it is.
    pub client: ClientKey,
    /// The code.
    pub code: SecretString,
}

impl GrantCode {
    /// The form that exchanges it.
    pub fn form(&self) -> Bytes {
        self.client.form(&[
            ("grant_type", "authorization_code"),
            ("code", self.code.expose_secret()),
        ])
    }

    /// What it was exchanged for.
    pub fn into_credentials(self, refresh_token: SecretString) -> Credentials {
        Credentials {
            client: self.client,
            grant: Grant::RefreshToken(refresh_token),
        }
    }
}

/// An access token and where it may be used.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token itself.
    pub access: SecretString,
    /// Where CRM calls go.
    pub api: ApiBase,
    /// When it ends, by our clock.
    pub expires_at: Timestamp,
}

impl Token {
    /// Whether it can still be used.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        after(now, MARGIN) < self.expires_at
    }
}

/// What the accounts server granted.
#[derive(Debug)]
pub struct TokenGrant {
    /// The token.
    pub access: SecretString,
    /// The refresh token, which only an exchanged code brings.
    pub refresh: Option<SecretString>,
    /// The scopes granted, if the answer named them.
    pub scopes: Option<Vec<String>>,
    /// The host that it belongs to, if the answer named one.
    pub api_domain: Option<String>,
    /// How long it lives.
    pub lifetime: Duration,
    /// When it was given, by the accounts server's clock, if the answer said so.
    pub at: Option<Timestamp>,
}

/// Why there is no token, by what to do about it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The accounts server does not answer properly now.
    #[error("{0}")]
    Later(Refusal, Duration),
    /// It never will, with these credentials.
    #[error("{0}")]
    Rejected(Refusal),
}

#[derive(Deserialize)]
struct Wire {
    access_token: Option<SecretString>,
    refresh_token: Option<SecretString>,
    scope: Option<Value>,
    api_domain: Option<String>,
    // Numbers have been seen as strings; a token must not be thrown away for the form of its lifetime.
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

/// Shorter lives than this are no lifetime: the margin alone would make every call ask for a new token.
const SHORTEST_LIFE: u64 = 120;

/// Judges the accounts server's answer: a token is there or it is not; the HTTP status says nothing (most errors are
/// 200s), and the error's text may be in any language.
///
/// # Errors
/// [`TokenError`].
pub fn parse_grant(status: u16, body: &[u8]) -> Result<TokenGrant, TokenError> {
    let Ok(wire) = serde_json::from_slice::<Wire>(body) else {
        let message =
            format!("the accounts server answered HTTP {status} with something that is not JSON");
        return Err(judged(Refusal::with(Cause::AccountsUnreadable, message)));
    };
    if let Some(access) = wire.access_token {
        // Legacy answers have `expires_in` in milliseconds beside `expires_in_sec`.
        let seconds = match (
            seconds(wire.expires_in_sec.as_ref()),
            seconds(wire.expires_in.as_ref()),
        ) {
            (Some(seconds), _) => seconds,
            (None, Some(number)) if number > 86_400 => number / 1000,
            (None, Some(number)) => number,
            (None, None) => 3600,
        };
        let lifetime = Duration::from_secs(seconds.max(SHORTEST_LIFE));
        // Asked for with commas, answered with spaces.
        let scopes = wire.scope.as_ref().and_then(Value::as_str).map(|scopes| {
            let scopes = scopes.split([' ', ',']).filter(|scope| !scope.is_empty());
            scopes.map(str::to_owned).collect()
        });
        return Ok(TokenGrant {
            access,
            refresh: wire.refresh_token,
            scopes,
            api_domain: wire.api_domain,
            lifetime,
            at: None,
        });
    }
    let code = wire.error.as_ref().and_then(Value::as_str);
    let code: String = code.unwrap_or_default().chars().take(100).collect();
    if let Some(row) = codes::find(&code, "") {
        return Err(judged(Refusal::of(row.cause)));
    }
    // The throttle has no code: its `error` is a sentence, and in the language of the account.
    let throttled = wire.status.as_ref().and_then(Value::as_str) == Some("failure")
        || wire.error_description.is_some()
        || (status == 400 && (!code.is_ascii() || code.contains(' ')));
    if throttled {
        return Err(judged(Refusal::of(Cause::TokenThrottled)));
    }
    if status >= 500 || code.is_empty() {
        let message = format!("the accounts server answered HTTP {status} without a token");
        return Err(judged(Refusal::with(Cause::AccountsUnavailable, message)));
    }
    let message = "the accounts server refused the credentials".to_owned();
    Err(judged(Refusal::zoho(code, message)))
}

/// What follows from a refusal, by the table of codes.
fn judged(refusal: Refusal) -> TokenError {
    match codes::find(&refusal.code, &refusal.message).map(|row| row.class) {
        Some(Class::Wait(wait)) => TokenError::Later(refusal, wait),
        Some(Class::Retry | Class::Reauthenticate | Class::Permanent(_) | Class::Partial)
        | None => TokenError::Rejected(refusal),
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
    fn both_grants_are_read() {
        let refresh = secret(
            r#"{"client_id":"1000.A","client_secret":"s&s","refresh_token":"1000.r","accounts_url":"x"}"#,
        );
        let form = Credentials::parse(&refresh).expect("credentials").form();
        assert_eq!(
            form,
            "client_id=1000.A&client_secret=s%26s&grant_type=refresh_token&refresh_token=1000.r"
        );
        let client = secret(
            r#"{"client_id":"1000.A","client_secret":"s","grant_type":"client_credentials","soid":"ZohoCRM.7"}"#,
        );
        let form = Credentials::parse(&client).expect("credentials").form();
        assert_eq!(
            form,
            "client_id=1000.A&client_secret=s&grant_type=client_credentials&soid=ZohoCRM.7&scope=ZohoCRM.mass_update.UPDATE%2CZohoCRM.mass_update.READ"
        );
    }

    #[test]
    fn a_code_becomes_the_secret_that_is_read() {
        let client = ClientKey {
            id: "1000.A".to_owned(),
            secret: secret("s&s"),
        };
        let code = GrantCode {
            client: client.clone(),
            code: secret("1000.c"),
        };
        assert_eq!(
            code.form(),
            "client_id=1000.A&client_secret=s%26s&grant_type=authorization_code&code=1000.c"
        );
        let credentials = code.into_credentials(secret("1000.r"));
        let own = Credentials::of_client(client, "ZohoCRM.7".to_owned(), "a,b".to_owned());
        for credentials in [credentials, own] {
            let read = Credentials::parse(&credentials.secret()).expect("credentials");
            assert_eq!(read.form(), credentials.form());
        }
    }

    #[test]
    fn a_grant_says_what_it_is_good_for() {
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
    fn a_bad_secret_is_named_and_not_repeated() {
        for (text, error) in [
            ("hunter2", BadCredentials::NotAnObject),
            (r#"["hunter2"]"#, BadCredentials::NotAnObject),
            (
                r#"{"client_id":"hunter2","client_secret":"hunter2"}"#,
                BadCredentials::Missing("refresh_token"),
            ),
            (
                r#"{"client_id":7,"client_secret":"hunter2","refresh_token":"hunter2"}"#,
                BadCredentials::Missing("client_id"),
            ),
            (
                r#"{"grant_type":"password","client_secret":"hunter2"}"#,
                BadCredentials::UnknownGrant,
            ),
        ] {
            let found = Credentials::parse(&secret(text)).expect_err("bad");
            assert_eq!(found, error);
            assert!(!found.to_string().contains("hunter2"));
        }
        let good =
            secret(r#"{"client_id":"1000.A","client_secret":"hunter2","refresh_token":"hunter3"}"#);
        let shown = format!("{:?}", Credentials::parse(&good).expect("credentials"));
        assert!(!shown.contains("hunter"), "{shown}");
    }

    #[test]
    fn a_token_is_judged_by_its_presence() {
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
            SHORTEST_LIFE
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
                matches!(of(status, body), Err(TokenError::Later(_, wait)) if wait.as_secs() == 600),
                "{body}"
            );
        }
        assert!(
            matches!(of(200, r#"{"error":"invalid_client"}"#), Err(TokenError::Rejected(why)) if why.code == "invalid_client")
        );
        assert!(matches!(of(200, "<html>"), Err(TokenError::Later(..))));
        assert!(matches!(of(500, "{}"), Err(TokenError::Later(..))));
    }

    proptest! {
        #[test]
        fn no_answer_makes_the_judge_panic(status in 100_u16..600, body in "\\PC{0,80}") {
            let _ = parse_grant(status, body.as_bytes());
        }

        #[test]
        fn a_token_is_not_used_in_its_last_minute(lives in 0_i64..4000, age in 0_i64..5000) {
            let now = Timestamp::from_second(1_700_000_000).expect("a moment");
            let expires_at = Timestamp::from_second(1_700_000_000 + lives - age).expect("a moment");
            let token = Token { access: secret("a"), api: ApiBase::of(Default::default(), Default::default()), expires_at };
            prop_assert_eq!(token.is_fresh(now), lives - age > 60);
        }
    }
}
