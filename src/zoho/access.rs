//! A connection's access tokens: kept while they are fresh, shared with other processes, and asked for by one at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use url::Url;

use super::answer::Trouble;
use super::data_center::{ApiBase, DataCenter};
use super::token::{Credentials, Token, TokenError, TokenGrant, parse_grant};
use super::token_cache::{CachedToken, TokenCache};
use super::{Error, MAX_ANSWER, NEXT_TURN, Told, sent_at, unsent};
use crate::clock::{Clock, after};
use crate::codes::Cause;
use crate::config::Connection;
use crate::failpoint::reach;
use crate::http::Http;
use crate::http::target::is_this_machine;
use crate::outcome::Refusal;
use crate::secrets::{SecretError, Secrets};

/// The tokens of one connection.
#[derive(Debug)]
pub(super) struct Tokens {
    /// The connection's name.
    name: String,
    connection: Arc<Connection>,
    http: Http,
    secrets: Arc<Secrets>,
    clock: Arc<dyn Clock>,
    /// One refresh at a time: whoever waits for the lock finds the fresh token.
    access: Mutex<Access>,
    /// Where tokens are shared with other processes, if anywhere.
    shelf: Option<Arc<dyn TokenCache>>,
    /// Whether it has failed, and the log says so.
    outage: AtomicBool,
}

/// What is known of a connection's access token.
#[derive(Debug, Default)]
struct Access {
    token: Option<Token>,
    /// The host that the last token belonged to, for answers that name none.
    api: Option<ApiBase>,
    /// The last token that Zoho refused before its time: it may still stand on the shelf.
    refused: Option<SecretString>,
    /// Why no token is to be asked for before a moment: silence ends a throttle, asking again makes it longer, and
    /// credentials that were refused are not tried by every call again.
    silent: Option<(Timestamp, Error)>,
    /// The data centre that the last token is for, by its accounts server's word.
    center: Option<DataCenter>,
    /// The scopes of the last token that was asked for here, if Zoho named them.
    scopes: Option<Vec<String>>,
    /// How far this machine's clock is ahead of Zoho's, as far as Zoho's answers say.
    ahead: SignedDuration,
}

/// What a connection's access token is good for.
#[derive(Clone, Debug)]
pub struct TokenStatus {
    /// Where it may be used: `https://www.zohoapis.eu`.
    pub api: String,
    /// The scopes that were granted, if Zoho named them.
    pub scopes: Option<Vec<String>>,
    /// How far this machine's clock is ahead of Zoho's; less than nothing if it is behind.
    pub ahead: SignedDuration,
}

/// A clock that is off by more than this is worth a warning; dates in answers are a second's work of two machines.
pub const CLOCK_OFF: SignedDuration = SignedDuration::from_secs(60);

/// A token's end is taken from Zoho's own word if that is so far from what this machine's clock made of it.
const END_OFF: SignedDuration = SignedDuration::from_secs(30);

/// How long refused credentials are not tried again.
const REFUSED_FOR: Duration = Duration::from_secs(60);

/// How long one process may take to ask for a token that all share.
const SHELF_LOCK: Duration = Duration::from_secs(45);

/// How soon to look again whether somebody else has got the token, and how often.
const SHELF_LOOK: Duration = Duration::from_millis(250);
const SHELF_LOOKS: u32 = 40;

impl Access {
    /// What the shelf says, if that makes asking needless: a good token, or that Zoho gives none for now.
    fn known_of(&self, shelved: CachedToken, now: Timestamp) -> Option<Result<Token, Error>> {
        let known = self.refused.as_ref().map(ExposeSecret::expose_secret);
        let good =
            |token: &Token| token.is_fresh(now) && known != Some(token.access.expose_secret());
        if let Some(token) = shelved.token.filter(good) {
            return Some(Ok(token));
        }
        let until = shelved.throttled_until.filter(|until| now < *until)?;
        let wait = Duration::try_from(until.duration_since(now)).unwrap_or_default();
        let why = "Zoho gives no tokens for now, as another process was told";
        Some(Err(Error::RetryLater(
            Refusal::with(Cause::TokenThrottled, why),
            wait,
        )))
    }
}

impl Tokens {
    /// No token yet; the first is asked for when it is needed.
    pub(super) fn new(
        name: String,
        connection: Arc<Connection>,
        http: Http,
        secrets: Arc<Secrets>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            name,
            connection,
            http,
            secrets,
            clock,
            access: Mutex::default(),
            shelf: None,
            outage: AtomicBool::new(false),
        }
    }

    /// The same, shared with other processes.
    pub(super) fn with_token_cache(self, shelf: Arc<dyn TokenCache>) -> Self {
        Self {
            shelf: Some(shelf),
            ..self
        }
    }

    /// The access token: the kept one, or a new one.
    pub(super) async fn get(&self) -> Result<Token, Error> {
        let mut access = self.access.lock().await;
        let now = self.clock.now();
        if let Some(token) = access.token.as_ref().filter(|token| token.is_fresh(now)) {
            return Ok(token.clone());
        }
        if let Some((until, why)) = access.silent.as_ref().filter(|(until, _)| now < *until) {
            let wait = Duration::try_from(until.duration_since(now)).unwrap_or_default();
            return Err(match why.clone() {
                Error::RetryLater(why, _) => Error::RetryLater(why, wait),
                never @ (Error::Refused(_) | Error::Denied(_)) => never,
            });
        }
        let outcome = match &self.shelf {
            Some(shelf) => self.shared(shelf.as_ref(), &mut access).await,
            None => self.refresh(&mut access).await,
        };
        match outcome {
            Ok(token) => {
                *access = Access {
                    token: Some(token.clone()),
                    api: Some(token.api.clone()),
                    center: access.center,
                    scopes: access.scopes.take(),
                    ahead: access.ahead,
                    ..Access::default()
                };
                Ok(token)
            }
            Err(failed) => {
                let wait = match &failed {
                    Error::RetryLater(_, wait) => *wait,
                    Error::Refused(_) | Error::Denied(_) => REFUSED_FOR,
                };
                access.silent = Some((after(self.clock.now(), wait), failed.clone()));
                Err(failed)
            }
        }
    }

    /// What the access token is good for; one is asked for if there is none.
    pub(super) async fn token_status(&self) -> Result<TokenStatus, Error> {
        let token = self.get().await?;
        let access = self.access.lock().await;
        Ok(TokenStatus {
            api: token.api.join(""),
            scopes: access.scopes.clone(),
            ahead: access.ahead,
        })
    }

    /// Learns from an answer when the token that it was asked with ends: a token from the shelf had its end from another
    /// machine's clock, and one that was asked for here from this one's, which may have been set meanwhile.
    pub(super) fn learn(&self, used: &Token, told: Told) {
        // Whoever holds the lock is about to have another token.
        let Ok(mut access) = self.access.try_lock() else {
            return;
        };
        let now = self.clock.now();
        self.compare_clocks(&mut access, told.at, now);
        let (Some(at), Some(ends)) = (told.at, told.token_ends) else {
            return;
        };
        let same = |token: &&mut Token| token.access.expose_secret() == used.access.expose_secret();
        let Some(token) = access.token.as_mut().filter(same) else {
            return;
        };
        // Both moments are of Zoho's clock, so the time between them is right whatever this machine's says.
        let ends = after(now, ends.duration_since(at));
        if ends.duration_since(token.expires_at).abs() > END_OFF {
            tracing::info!(connection = self.name, %ends, "Zoho says when the access token ends");
            token.expires_at = ends;
        }
    }

    /// Notes how far this machine's clock is ahead of Zoho's, and says it when it first matters.
    fn compare_clocks(&self, access: &mut Access, at: Option<Timestamp>, now: Timestamp) {
        let Some(at) = at else { return };
        let ahead = now.duration_since(at);
        if ahead.abs() > CLOCK_OFF && access.ahead.abs() <= CLOCK_OFF {
            let which = if ahead.is_positive() {
                "ahead of"
            } else {
                "behind"
            };
            tracing::warn!(
                connection = self.name,
                off_s = ahead.as_secs(),
                "this machine's clock is {} s {which} Zoho's: set it, or signatures of deliveries and callbacks are refused",
                ahead.abs().as_secs()
            );
        }
        access.ahead = ahead;
    }

    /// The token on the shelf; if there is no good one, exactly one process asks for another.
    async fn shared(&self, shelf: &dyn TokenCache, access: &mut Access) -> Result<Token, Error> {
        for _ in 0..SHELF_LOOKS {
            let now = self.clock.now();
            let shelved = match shelf.read(&self.name).await {
                Ok(shelved) => shelved,
                Err(why) => {
                    self.is_out(&why);
                    return self.refresh(access).await;
                }
            };
            if let Some(known) = access.known_of(shelved, now) {
                self.is_back();
                return known;
            }
            let until = after(now, SHELF_LOCK);
            match shelf.lock(&self.name, now, until).await {
                Ok(Some(holder)) => {
                    reach("token.locked");
                    let outcome = self.refresh_onto(shelf, access, &holder, until).await;
                    shelf.unlock(&self.name, &holder).await;
                    reach("token.unlocked");
                    return outcome;
                }
                // Somebody else is asking for it just now.
                Ok(None) => self.clock.sleep(SHELF_LOOK).await,
                Err(why) => {
                    self.is_out(&why);
                    return self.refresh(access).await;
                }
            }
        }
        Err(Error::RetryLater(
            Refusal::of(Cause::TokenPending),
            NEXT_TURN,
        ))
    }

    async fn refresh_onto(
        &self,
        shelf: &dyn TokenCache,
        access: &mut Access,
        holder: &str,
        until: Timestamp,
    ) -> Result<Token, Error> {
        // Between the look and the lock somebody may have got one, or been told to wait.
        if let Ok(shelved) = shelf.read(&self.name).await
            && let Some(known) = access.known_of(shelved, self.clock.now())
        {
            return known;
        }
        let outcome = self.refresh(access).await;
        reach("token.granted");
        let shelved = match &outcome {
            Ok(token) => CachedToken {
                token: Some(token.clone()),
                throttled_until: None,
            },
            Err(Error::RetryLater(_, wait)) => CachedToken {
                token: None,
                throttled_until: Some(after(self.clock.now(), *wait)),
            },
            Err(Error::Refused(_) | Error::Denied(_)) => return outcome,
        };
        match shelf.write(&self.name, &shelved, holder, until).await {
            Ok(()) => self.is_back(),
            Err(why) => self.is_out(&why),
        }
        reach("token.shelved");
        outcome
    }

    /// The shelf has failed, and this process goes on alone. Alarms look for this: it is said once for each outage, not
    /// again with every token.
    fn is_out(&self, why: &str) {
        if !self.outage.swap(true, Ordering::Relaxed) {
            tracing::warn!(connection = self.name, "tokens are not shared: {why}");
        }
    }

    /// A token, or the wish for silence, has come from the shelf or gone there.
    fn is_back(&self) {
        if self.outage.swap(false, Ordering::Relaxed) {
            tracing::info!(connection = self.name, "tokens are shared again");
        }
    }

    /// Drops a token that Zoho has refused, unless somebody has replaced it already.
    pub(super) async fn forget(&self, refused: &Token) {
        let mut access = self.access.lock().await;
        let same = |token: &Token| token.access.expose_secret() == refused.access.expose_secret();
        if access.token.as_ref().is_some_and(same) {
            access.refused = access.token.take().map(|token| token.access);
        }
    }

    async fn refresh(&self, access: &mut Access) -> Result<Token, Error> {
        let reference = &self.connection.credentials;
        let secret = self.secrets.get(reference).await.map_err(secret_failed)?;
        let credentials = Credentials::parse(&secret).map_err(|error| {
            let message = format!("the secret {reference} {error}");
            Error::Denied(Refusal::with(Cause::BadCredentials, message))
        })?;
        let asked_at = self.clock.now();
        let granted = self.grant(credentials.form()).await?;
        let lives = granted.lifetime;
        self.compare_clocks(access, granted.at, self.clock.now());
        access.scopes = granted.scopes.clone();
        let (value, api) = self.place(granted, access)?;
        tracing::info!(
            connection = self.name,
            lives_s = lives.as_secs(),
            "access token refreshed"
        );
        Ok(Token {
            access: value,
            api,
            expires_at: after(asked_at, lives),
        })
    }

    /// Asks the accounts server for a token, which is not kept.
    ///
    /// # Errors
    /// [`Error`]: there is none.
    pub(super) async fn grant(&self, form: Bytes) -> Result<TokenGrant, Error> {
        let granted = self.ask_for_token(form).await;
        granted.map_err(|error| match error {
            TokenError::Later(refusal, wait) => Error::RetryLater(refusal, wait),
            TokenError::Rejected(refusal) => Error::Denied(refusal),
        })
    }

    async fn ask_for_token(&self, form: Bytes) -> Result<TokenGrant, TokenError> {
        let accounts = self.connection.accounts();
        let request = Request::post(format!("{accounts}/oauth/v2/token"))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        let request = request.map_err(|error| {
            TokenError::Rejected(Refusal::with(Cause::BadUrl, error.to_string()))
        })?;
        let response =
            self.http
                .send(request, MAX_ANSWER)
                .await
                .map_err(|error| match unsent(&error) {
                    Trouble::Denied(refusal) | Trouble::Refused(refusal) => {
                        TokenError::Rejected(refusal)
                    }
                    Trouble::Later(refusal, wait) => {
                        TokenError::Later(refusal, wait.unwrap_or(NEXT_TURN))
                    }
                    Trouble::InvalidToken(refusal) => TokenError::Later(refusal, NEXT_TURN),
                })?;
        let granted = parse_grant(response.status().as_u16(), response.body());
        let granted = granted.map(|granted| TokenGrant {
            at: sent_at(&response),
            ..granted
        });
        granted.map_err(|error| match error {
            TokenError::Rejected(why) if why.cause() == Some(Cause::ClientUnknown) => {
                let center = self.connection.data_center;
                let message = format!(
                    "{accounts} (data centre {center}) does not know the client id: it is wrong, or was registered in another data centre"
                );
                TokenError::Rejected(Refusal::with(Cause::ClientUnknown, message))
            }
            other @ (TokenError::Later(..) | TokenError::Rejected(_)) => other,
        })
    }

    /// Where a granted token may be used.
    fn place(
        &self,
        granted: TokenGrant,
        access: &mut Access,
    ) -> Result<(SecretString, ApiBase), Error> {
        let Connection {
            data_center,
            environment,
            accounts_url,
            api_url,
            ..
        } = self.connection.as_ref();
        // The accounts server of this machine is a simulator, and so is its API.
        let simulator = accounts_url.as_ref().filter(|url| url.scheme() == "http");
        let local = granted.api_domain.as_deref().is_none_or(is_local);
        let named = granted
            .api_domain
            .map(|named| ApiBase::named(&named, *environment));
        let simulator = simulator.filter(|_| local || matches!(named, Some(Ok(_))));
        let configured = api_url.as_ref().or(simulator).map(ApiBase::configured);
        access.center = named
            .as_ref()
            .and_then(|named| named.as_ref().ok()?.data_center());
        let api = match (configured, named) {
            (Some(configured), _) => configured,
            (None, Some(named)) => named.map_err(|foreign| {
                Error::Denied(Refusal::with(Cause::ForeignApiDomain, foreign.to_string()))
            })?,
            (None, None) => {
                let previous = access.api.clone();
                previous.unwrap_or_else(|| ApiBase::of(*data_center, *environment))
            }
        };
        if let Some(found) = access.center.filter(|found| found != data_center) {
            tracing::warn!(
                connection = self.name,
                "the token is for data centre {found}, the connection says {data_center}; calls go to {}",
                api.join("")
            );
        }
        Ok((granted.access, api))
    }

    /// A token that was fresh from the accounts server was refused: it is not the token that is wrong, but the place.
    pub(super) async fn stale(&self, refusal: Refusal, token: &Token) -> Refusal {
        let here = token.api.data_center();
        let configured = self.connection.data_center;
        let where_to = match self.access.lock().await.center {
            Some(center) if here != Some(center) || center != configured => {
                format!(": the token is for {center}, the connection says {configured}")
            }
            Some(_) | None => String::new(),
        };
        let message = format!(
            "{} refuses a token that its accounts server has just given ({}){where_to}",
            token.api.join(""),
            refusal.message
        );
        let advice = "the API host and the token are of different data centres or environments: check `data_center`, `environment` and `api_url` of the connection";
        Refusal {
            message,
            advice: Some(advice.to_owned()),
            ..refusal
        }
    }
}

/// Whether an `api_domain` is an address of this machine.
fn is_local(api_domain: &str) -> bool {
    let url: Option<Url> = api_domain.parse().ok();
    url.and_then(|url| url.host().map(|host| is_this_machine(&host)))
        .unwrap_or_default()
}

fn secret_failed(error: SecretError) -> Error {
    let message = error.to_string();
    match error {
        SecretError::Later { .. } => {
            Error::RetryLater(Refusal::with(Cause::SecretLater, message), NEXT_TURN)
        }
        SecretError::Unavailable { .. } | SecretError::Malformed { .. } => {
            Error::Denied(Refusal::with(Cause::SecretMissing, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::config::{Config, Programs};
    use crate::http::HttpSettings;
    use crate::secrets::Environment;
    use async_trait::async_trait;
    use std::sync::atomic::AtomicUsize;

    /// A shelf on which somebody leaves word between our look and our lock.
    #[derive(Debug, Default)]
    struct Overtaken(AtomicUsize);

    #[async_trait]
    impl TokenCache for Overtaken {
        async fn read(&self, _: &str) -> Result<CachedToken, String> {
            let told = self.0.fetch_add(1, Ordering::Relaxed) > 0;
            Ok(CachedToken {
                token: None,
                throttled_until: told.then_some(Timestamp::constant(300, 0)),
            })
        }

        async fn lock(
            &self,
            _: &str,
            _: Timestamp,
            _: Timestamp,
        ) -> Result<Option<String>, String> {
            Ok(Some("we".to_owned()))
        }

        async fn write(
            &self,
            _: &str,
            _: &CachedToken,
            _: &str,
            _: Timestamp,
        ) -> Result<(), String> {
            Err("nobody was to be asked".to_owned())
        }

        async fn unlock(&self, _: &str, _: &str) {}
    }

    #[tokio::test]
    async fn a_throttle_that_another_process_met_meanwhile_is_kept_to() {
        let text = "connections: {crm: {data_center: us, credentials: 'file:/nowhere/zoho.json'}}\nroutes: {}";
        let config = Config::parse(text, Programs::Lazily).expect("a config");
        let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
        let tokens = Tokens::new(
            "crm".to_owned(),
            Arc::new(config.connections["crm"].clone()),
            Http::new(HttpSettings::default()),
            Arc::new(Secrets::new(clock.clone(), Arc::new(Environment))),
            clock,
        );
        let failed = tokens
            .with_token_cache(Arc::new(Overtaken::default()))
            .get()
            .await;
        match failed {
            Err(Error::RetryLater(why, wait)) => {
                assert_eq!(why.cause(), Some(Cause::TokenThrottled));
                assert_eq!(wait, Duration::from_secs(300));
            }
            other => panic!("{other:?}"),
        }
    }
}
