//! The client of Zoho's accounts server and CRM API, with only the verbs that masshook uses.

pub mod answer;
pub mod data_center;
pub mod find;
pub mod limits;
pub mod metadata;
pub mod shelf;
pub mod slots;
pub mod token;

use std::future::Future;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, DATE, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::codes::Cause;
use crate::config::{Connection, Guarding};
use crate::failpoint::reach;
use crate::http::{Cap, Http, SendError};
use crate::outcome::Refusal;
use crate::retry::{Policy, retry_after};
use crate::secrets::{SecretError, Secrets};
use crate::update::{ModuleName, RecordId};
use answer::{Raw, Tracked, Trouble, Update};
use data_center::{ApiBase, DataCenter};
use limits::{COMPLEX_AT_ONCE, Credits, is_complex};
use shelf::{Shelved, TokenShelf};
use slots::{AllTaken, Slot, SlotShelf, Slots};
use token::{Credentials, Token, TokenError};

/// How often one call is sent within one turn, before the job is left to wait.
const RETRIES: Policy = Policy {
    attempts: 4,
    base: Duration::from_millis(500),
    cap: Duration::from_secs(8),
};

/// The wait of a call whose retries within the turn are used up.
const NEXT_TURN: Duration = Duration::from_secs(15);

/// How long a call waits at least whose connection's slots are all taken by other processes.
const BUSY: Duration = Duration::from_secs(1);

/// How many API credits remain; Zoho sends it once half of the day's are used.
const CREDITS_REMAINING: &str = "x-api-credits-remaining";

/// Bytes of an answer that are read: 500 entries take some 200 kB.
const MAX_ANSWER: Cap = Cap::Refuse(4 << 20);

/// One Zoho org, as its API is used.
#[derive(Debug)]
pub struct Client {
    name: String,
    connection: Connection,
    http: Http,
    secrets: Arc<Secrets>,
    clock: Arc<dyn Clock>,
    /// One refresh at a time: whoever waits for the lock finds the fresh token.
    access: Mutex<Access>,
    /// Where tokens are shared with other processes, if anywhere.
    shelf: Option<Arc<dyn TokenShelf>>,
    /// Nothing is sent before this moment: Zoho has asked one of our calls to wait.
    held_until: std::sync::Mutex<Option<Timestamp>>,
    credits: std::sync::Mutex<Credits>,
    slots: Slots,
    /// Further slots, for calls that Zoho calls complex.
    complex: Slots,
    metadata: metadata::Metadata,
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
    silent: Option<(Timestamp, Failed)>,
    /// The data centre that the last token is for, by its accounts server's word.
    center: Option<DataCenter>,
}

/// How long refused credentials are not tried again.
const REFUSED_FOR: Duration = Duration::from_secs(60);

/// How long one process may take to ask for a token that all share.
const SHELF_LOCK: Duration = Duration::from_secs(45);

/// How soon to look again whether somebody else has got the token, and how often.
const SHELF_LOOK: Duration = Duration::from_millis(250);
const SHELF_LOOKS: u32 = 40;

/// An answer, and how often the request was sent for it.
#[derive(Debug)]
pub struct Sent<T> {
    /// Times that the request went out.
    pub attempts: u32,
    /// What came of it.
    pub outcome: Result<T, Failed>,
}

/// Why there is no answer to a call, by what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// Try again after this long.
    Later(Refusal, Duration),
    /// This call will never work.
    Refused(Refusal),
    /// No call of the job will ever work.
    Denied(Refusal),
}

impl Failed {
    /// Whether the token lacks a scope: everything that its other scopes cover still works.
    pub fn lacks_scope(&self) -> bool {
        match self {
            Self::Refused(refusal) | Self::Denied(refusal) => {
                refusal.cause() == Some(Cause::ScopeMissing)
            }
            Self::Later(..) => false,
        }
    }

    /// The same, with other advice.
    fn advising(self, advice: &str) -> Self {
        let advice = Some(advice.to_owned());
        match self {
            Self::Later(refusal, wait) => Self::Later(Refusal { advice, ..refusal }, wait),
            Self::Refused(refusal) => Self::Refused(Refusal { advice, ..refusal }),
            Self::Denied(refusal) => Self::Denied(Refusal { advice, ..refusal }),
        }
    }
}

impl Client {
    /// A client; nothing is fetched before the first call.
    pub fn new(
        name: String,
        connection: Connection,
        http: Http,
        secrets: Arc<Secrets>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let most = connection.max_concurrency;
        let slots = Slots::new(name.clone(), most, clock.clone());
        let complex = Slots::new(format!("{name}/complex"), COMPLEX_AT_ONCE, clock.clone());
        Self {
            name,
            connection,
            http,
            secrets,
            clock,
            access: Mutex::default(),
            shelf: None,
            held_until: std::sync::Mutex::default(),
            credits: std::sync::Mutex::default(),
            slots,
            complex,
            metadata: metadata::Metadata::default(),
        }
    }

    /// The same client, sharing its tokens.
    pub fn sharing(self, shelf: Arc<dyn TokenShelf>) -> Self {
        Self {
            shelf: Some(shelf),
            ..self
        }
    }

    /// Whether updates are to be held against the org's fields before they are sent.
    pub fn is_guarded(&self) -> bool {
        self.connection.guard == Guarding::Strict
    }

    /// The same client, sharing its slots: all processes together keep to `max_concurrency`.
    pub fn sharing_slots(self, shelf: Arc<dyn SlotShelf>) -> Self {
        Self {
            slots: self.slots.shared(shelf.clone()),
            complex: self.complex.shared(shelf),
            ..self
        }
    }

    /// Gives back the shared slots that no call is using: the end of a turn.
    pub async fn rest(&self) {
        self.slots.give_back().await;
        self.complex.give_back().await;
    }

    /// Where the access token may be used, once there is one.
    ///
    /// # Errors
    /// [`Failed`]: there is no token.
    pub async fn api(&self) -> Result<String, Failed> {
        Ok(self.token().await?.api.join(""))
    }

    /// Calls to this org that may be under way at once.
    pub fn max_concurrency(&self) -> usize {
        self.connection.max_concurrency
    }

    /// Sends a mass update of `ids`, or of a custom view if there are none.
    ///
    /// It is repeated after an answer that leaves open whether it was carried out: the same values are set again, and an
    /// option that is appended twice stands there once.
    pub async fn mass_update(
        &self,
        path: &str,
        body: &Value,
        ids: &[RecordId],
        give_up: Timestamp,
    ) -> Sent<Update> {
        let body = Bytes::from(body.to_string());
        self.call(Method::POST, path, body, give_up, |raw| {
            answer::update(raw, ids)
        })
        .await
    }

    /// Asks how a Zoho job is.
    pub async fn job_status(
        &self,
        module: &ModuleName,
        zoho_job_id: &str,
        give_up: Timestamp,
    ) -> Sent<Tracked> {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("job_id", zoho_job_id)
            .finish();
        let path = format!("{}?{query}", crate::plan::mass_update_path(module));
        self.call(Method::GET, &path, Bytes::new(), give_up, answer::tracked)
            .await
    }

    async fn call<T>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        give_up: Timestamp,
        judge: impl Fn(&Raw<'_>) -> Result<T, Trouble>,
    ) -> Sent<T> {
        let mut attempts = 0;
        let mut replayed = false;
        let mut unclear = false;
        let failed = |attempts, failed| Sent {
            attempts,
            outcome: Err(failed),
        };
        if let Some(waits) = self.short_of_credits(&method) {
            return failed(attempts, waits);
        }
        loop {
            if let Some(wait) = self.held() {
                if after(self.clock.now(), wait) >= give_up {
                    return failed(attempts, Failed::Later(Refusal::of(Cause::Held), wait));
                }
                self.clock.sleep(wait).await;
            }
            let token = match self.in_time(give_up, self.token()).await {
                Some(Ok(token)) => token,
                Some(Err(error)) => {
                    if let Failed::Later(why, wait) = &error {
                        tracing::warn!(
                            connection = self.name,
                            zoho.code = why.code,
                            wait_s = wait.as_secs(),
                            "no access token: {}",
                            why.message
                        );
                    }
                    return failed(attempts, error);
                }
                None => {
                    let message = "the accounts server did not answer in time";
                    let why = Refusal::with(Cause::TimedOut, message);
                    return failed(attempts, Failed::Later(why, NEXT_TURN));
                }
            };
            let slots = match self.in_time(give_up, self.slot(&method, path)).await {
                Some(Ok(slots)) => slots,
                Some(Err(AllTaken)) | None => {
                    let wait = BUSY.mul_f64(1.0 + fastrand::f64());
                    let why = Refusal::of(Cause::ConnectionBusy);
                    return failed(attempts, Failed::Later(why, wait));
                }
            };
            attempts += 1;
            reach("zoho.sending");
            let answer = self
                .send(&token, &method, path, body.clone(), give_up)
                .await;
            reach("zoho.answered");
            let trouble = match answer {
                Ok(response) => {
                    let raw = self.raw(&response);
                    let judged = judge(&raw);
                    if judged.is_ok() || raw.credits.is_some() {
                        self.credits().note(raw.credits);
                    }
                    match judged {
                        Ok(answer) => {
                            return Sent {
                                attempts,
                                outcome: Ok(answer),
                            };
                        }
                        Err(trouble) => trouble,
                    }
                }
                Err(trouble) => trouble,
            };
            drop(slots);
            let (refusal, asked) = match trouble {
                Trouble::InvalidToken(_) if !replayed => {
                    replayed = true;
                    self.forget(&token).await;
                    continue;
                }
                Trouble::InvalidToken(refusal) => {
                    let refusal = self.stale(refusal, &token).await;
                    return failed(attempts, Failed::Denied(refusal));
                }
                Trouble::Refused(refusal)
                    if unclear && refusal.cause() == Some(Cause::NoRecords) =>
                {
                    let unknown = Refusal::of(Cause::OutcomeUnknown);
                    return failed(attempts, Failed::Refused(unknown));
                }
                Trouble::Refused(refusal) => return failed(attempts, Failed::Refused(refusal)),
                Trouble::Denied(refusal) => return failed(attempts, Failed::Denied(refusal)),
                Trouble::Later(refusal, asked) => (refusal, asked),
            };
            // From here on Zoho may or may not have carried the call out.
            unclear = true;
            if let Some(asked) = asked.filter(|_| refusal.cause() != Some(Cause::ViewBusy)) {
                self.hold(asked);
            }
            let wait = RETRIES.wait(attempts, asked, fastrand::f64());
            let wait = wait.filter(|wait| after(self.clock.now(), *wait) < give_up);
            tracing::warn!(
                connection = self.name,
                zoho.code = refusal.code,
                attempt = attempts,
                again = wait.is_some(),
                "Zoho call failed: {}",
                refusal.message
            );
            match wait {
                Some(wait) => self.clock.sleep(wait).await,
                None => {
                    return failed(
                        attempts,
                        Failed::Later(refusal, asked.unwrap_or_default().max(NEXT_TURN)),
                    );
                }
            }
        }
    }

    /// What `work` comes to, unless that takes until `give_up`.
    async fn in_time<T>(&self, give_up: Timestamp, work: impl Future<Output = T>) -> Option<T> {
        let left = Duration::try_from(give_up.duration_since(self.clock.now())).unwrap_or_default();
        tokio::time::timeout(left, work).await.ok()
    }

    async fn send(
        &self,
        token: &Token,
        method: &Method,
        path: &str,
        body: Bytes,
        give_up: Timestamp,
    ) -> Result<Response<Bytes>, Trouble> {
        let authorization = format!("Zoho-oauthtoken {}", token.access.expose_secret());
        let mut authorization = HeaderValue::try_from(authorization)
            .map_err(|_| Trouble::InvalidToken(Refusal::of(Cause::TokenInvalid)))?;
        authorization.set_sensitive(true);
        let mut request = Request::builder()
            .method(method.clone())
            .uri(token.api.join(path))
            .header(AUTHORIZATION, authorization);
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(body)
            .map_err(|error| Trouble::Denied(Refusal::with(Cause::BadUrl, error.to_string())))?;
        match self
            .in_time(give_up, self.http.send(request, MAX_ANSWER))
            .await
        {
            Some(answer) => answer.map_err(|error| unsent(&error)),
            None => Err(Trouble::Later(
                Refusal::with(Cause::TimedOut, "the turn was over before Zoho answered"),
                None,
            )),
        }
    }

    /// The right to have this call under way.
    async fn slot(
        &self,
        method: &Method,
        path: &str,
    ) -> Result<(Option<Slot<'_>>, Slot<'_>), AllTaken> {
        let complex = match is_complex(method, path) {
            true => Some(self.complex.acquire().await?),
            false => None,
        };
        Ok((complex, self.slots.acquire().await?))
    }

    fn credits(&self) -> MutexGuard<'_, Credits> {
        self.credits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// New work waits while the org's credits are below the connection's floor. Reading goes on: what Zoho has taken is
    /// followed to its end.
    fn short_of_credits(&self, method: &Method) -> Option<Failed> {
        if *method == Method::GET {
            return None;
        }
        let floor = self.connection.credit_floor;
        let (remaining, wait) = self.credits().wait(floor, self.clock.now())?;
        let message = format!(
            "{remaining} API credits remain of the last 24 hours', and `credit_floor` of the connection `{}` is {floor}: new work waits",
            self.name
        );
        tracing::warn!(
            connection = self.name,
            zoho.credits = remaining,
            wait_s = wait.as_secs(),
            "{message}"
        );
        Some(Failed::Later(
            Refusal::with(Cause::CreditsLow, message),
            wait,
        ))
    }

    /// The access token: the kept one, or a new one.
    async fn token(&self) -> Result<Token, Failed> {
        let mut access = self.access.lock().await;
        let now = self.clock.now();
        if let Some(token) = access.token.as_ref().filter(|token| token.is_fresh(now)) {
            return Ok(token.clone());
        }
        if let Some((until, why)) = access.silent.as_ref().filter(|(until, _)| now < *until) {
            let wait = Duration::try_from(until.duration_since(now)).unwrap_or_default();
            return Err(match why.clone() {
                Failed::Later(why, _) => Failed::Later(why, wait),
                never @ (Failed::Refused(_) | Failed::Denied(_)) => never,
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
                    ..Access::default()
                };
                Ok(token)
            }
            Err(failed) => {
                let wait = match &failed {
                    Failed::Later(_, wait) => *wait,
                    Failed::Refused(_) | Failed::Denied(_) => REFUSED_FOR,
                };
                access.silent = Some((after(self.clock.now(), wait), failed.clone()));
                Err(failed)
            }
        }
    }

    /// The token on the shelf; if there is no good one, exactly one process asks for another.
    async fn shared(&self, shelf: &dyn TokenShelf, access: &mut Access) -> Result<Token, Failed> {
        for _ in 0..SHELF_LOOKS {
            let now = self.clock.now();
            let shelved = match shelf.read(&self.name).await {
                Ok(shelved) => shelved,
                Err(why) => {
                    tracing::warn!(connection = self.name, "tokens are not shared: {why}");
                    return self.refresh(access).await;
                }
            };
            let refused = |token: &Token| {
                let known = access.refused.as_ref().map(ExposeSecret::expose_secret);
                known == Some(token.access.expose_secret())
            };
            if let Some(token) = shelved
                .token
                .filter(|token| token.is_fresh(now) && !refused(token))
            {
                return Ok(token);
            }
            if let Some(until) = shelved.silent_until.filter(|until| now < *until) {
                let wait = Duration::try_from(until.duration_since(now)).unwrap_or_default();
                return Err(Failed::Later(
                    Refusal::with(
                        Cause::TokenThrottled,
                        "Zoho gives no tokens for now, as another process was told",
                    ),
                    wait,
                ));
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
                    tracing::warn!(connection = self.name, "tokens are not shared: {why}");
                    return self.refresh(access).await;
                }
            }
        }
        Err(Failed::Later(Refusal::of(Cause::TokenPending), NEXT_TURN))
    }

    async fn refresh_onto(
        &self,
        shelf: &dyn TokenShelf,
        access: &mut Access,
        holder: &str,
        until: Timestamp,
    ) -> Result<Token, Failed> {
        // Between the look and the lock somebody may have put one there.
        if let Ok(Shelved {
            token: Some(token), ..
        }) = shelf.read(&self.name).await
        {
            let known = access.refused.as_ref().map(ExposeSecret::expose_secret);
            if token.is_fresh(self.clock.now()) && known != Some(token.access.expose_secret()) {
                return Ok(token);
            }
        }
        let outcome = self.refresh(access).await;
        reach("token.granted");
        let shelved = match &outcome {
            Ok(token) => Shelved {
                token: Some(token.clone()),
                silent_until: None,
            },
            Err(Failed::Later(_, wait)) => Shelved {
                token: None,
                silent_until: Some(after(self.clock.now(), *wait)),
            },
            Err(Failed::Refused(_) | Failed::Denied(_)) => return outcome,
        };
        if let Err(why) = shelf.write(&self.name, &shelved, holder, until).await {
            tracing::warn!(connection = self.name, "the token is not shared: {why}");
        }
        reach("token.shelved");
        outcome
    }

    /// Drops a token that Zoho has refused, unless somebody has replaced it already.
    async fn forget(&self, refused: &Token) {
        let mut access = self.access.lock().await;
        let same = |token: &Token| token.access.expose_secret() == refused.access.expose_secret();
        if access.token.as_ref().is_some_and(same) {
            access.refused = access.token.take().map(|token| token.access);
        }
    }

    /// How long Zoho has asked all calls of this connection to wait.
    fn held(&self) -> Option<Duration> {
        let held_until = self
            .held_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let left = (*held_until)?.duration_since(self.clock.now());
        Duration::try_from(left).ok().filter(|left| !left.is_zero())
    }

    fn hold(&self, wait: Duration) {
        let until = after(self.clock.now(), wait);
        let mut held_until = self
            .held_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *held_until = Some(held_until.map_or(until, |known| known.max(until)));
    }

    async fn refresh(&self, access: &mut Access) -> Result<Token, Failed> {
        let reference = &self.connection.credentials;
        let secret = self.secrets.get(reference).await.map_err(secret_failed)?;
        let credentials = Credentials::parse(&secret).map_err(|error| {
            let message = format!("the secret {reference} {error}");
            Failed::Denied(Refusal::with(Cause::BadCredentials, message))
        })?;
        let asked_at = self.clock.now();
        let granted = self.grant(credentials.form()).await?;
        let lives = granted.lives;
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
    /// [`Failed`]: there is none.
    pub async fn grant(&self, form: Bytes) -> Result<token::Granted, Failed> {
        let granted = self.ask_for_token(form).await;
        granted.map_err(|error| match error {
            TokenError::Later(refusal, wait) => Failed::Later(refusal, wait),
            TokenError::Rejected(refusal) => Failed::Denied(refusal),
        })
    }

    async fn ask_for_token(&self, form: Bytes) -> Result<token::Granted, TokenError> {
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
        let granted = token::granted(response.status().as_u16(), response.body());
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
        granted: token::Granted,
        access: &mut Access,
    ) -> Result<(SecretString, ApiBase), Failed> {
        let Connection {
            data_center,
            environment,
            accounts_url,
            api_url,
            ..
        } = &self.connection;
        // The accounts server of this machine is a simulator, and so is its API.
        let simulator = accounts_url.as_ref().filter(|url| url.scheme() == "http");
        let named = granted
            .api_domain
            .map(|named| ApiBase::named(&named, *environment));
        let configured = api_url.as_ref().or(simulator).map(ApiBase::configured);
        access.center = named
            .as_ref()
            .and_then(|named| named.as_ref().ok()?.data_center());
        let api = match (configured, named) {
            (Some(configured), _) => configured,
            (None, Some(named)) => named.map_err(|foreign| {
                Failed::Denied(Refusal::with(Cause::ForeignApiDomain, foreign.to_string()))
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
    async fn stale(&self, refusal: Refusal, token: &Token) -> Refusal {
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
        Refusal::new(
            &refusal.code,
            message,
            "the API host and the token are of different data centres or environments: check `data_center`, `environment` and `api_url` of the connection",
        )
    }

    /// An answer with what its headers say. Dates are read by the sender's own clock, as ours may be off.
    fn raw<'a>(&self, response: &'a Response<Bytes>) -> Raw<'a> {
        let header = |name: &str| response.headers().get(name)?.to_str().ok();
        let date = header(DATE.as_str()).and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        let now = date.map_or_else(|| self.clock.now(), |date| date.timestamp());
        Raw {
            status: response.status().as_u16(),
            body: response.body(),
            retry_after: header(RETRY_AFTER.as_str()).and_then(|hint| retry_after(hint, now)),
            credits: header(CREDITS_REMAINING).and_then(|text| text.trim().parse().ok()),
        }
    }
}

fn secret_failed(error: SecretError) -> Failed {
    let message = error.to_string();
    match error {
        SecretError::Later { .. } => {
            Failed::Later(Refusal::with(Cause::SecretLater, message), NEXT_TURN)
        }
        SecretError::Unavailable { .. } | SecretError::Malformed { .. } => {
            Failed::Denied(Refusal::with(Cause::SecretMissing, message))
        }
    }
}

/// A request without an answer.
fn unsent(error: &SendError) -> Trouble {
    let refusal = |cause| Refusal::with(cause, error.to_string());
    match error {
        SendError::Refused { .. } => Trouble::Denied(refusal(Cause::AddressRefused)),
        SendError::Connect { .. } => Trouble::Later(refusal(Cause::Unreachable), None),
        SendError::Timeout { .. } => Trouble::Later(refusal(Cause::TimedOut), None),
        SendError::Broken { .. } | SendError::TooLarge { .. } => {
            Trouble::Later(refusal(Cause::BrokenAnswer), None)
        }
    }
}

fn after(now: Timestamp, wait: Duration) -> Timestamp {
    now.saturating_add(wait).unwrap_or(Timestamp::MAX)
}
