//! The client of Zoho's accounts server and CRM API, with only the verbs that masshook uses.

mod access;
pub mod answer;
pub mod concurrency;
pub mod data_center;
pub mod find;
pub mod limits;
pub mod metadata;
pub mod token;
pub mod token_cache;

use std::future::Future;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, DATE, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::clock::{Clock, after};
use crate::codes::Cause;
use crate::config::{Connection, Guarding};
use crate::failpoint::reach;
use crate::http::{Cap, Http, SendError};
use crate::outcome::Refusal;
use crate::plan::Way;
use crate::retry::{Policy, retry_after};
use crate::secrets::Secrets;
use crate::update::{ModuleName, RecordId};
use access::Tokens;
pub use access::{CLOCK_OFF, TokenStatus};
use answer::{RawAnswer, Trouble, UpdateAnswer, ZohoJobStatus};
use concurrency::{ConcurrencyLimit, LimitReached, SharedPermits, Slot};
use limits::{COMPLEX_AT_ONCE, Credits, is_complex};
use token::Token;
use token_cache::TokenCache;

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

/// When the access token ends, as an ISO time; no document promises it.
const TOKEN_RESET: &str = "x-accesstoken-reset";

/// Bytes of an answer that are read: 500 entries take some 200 kB.
const MAX_ANSWER: Cap = Cap::Refuse(4 << 20);

/// One Zoho org, as its API is used.
#[derive(Debug)]
pub struct Client {
    name: String,
    connection: Arc<Connection>,
    http: Http,
    clock: Arc<dyn Clock>,
    tokens: Tokens,
    /// Nothing is sent before this moment: Zoho has asked one of our calls to wait.
    held_until: std::sync::Mutex<Option<Timestamp>>,
    credits: std::sync::Mutex<Credits>,
    slots: ConcurrencyLimit,
    /// Further slots, for calls that Zoho calls complex.
    complex: ConcurrencyLimit,
    metadata: metadata::Metadata,
}

/// An answer, and how often the request was sent for it.
#[derive(Debug)]
pub struct CallResult<T> {
    /// Times that the request went out.
    pub attempts: u32,
    /// What came of it.
    pub outcome: Result<T, Error>,
}

/// Why there is no answer to a call, by what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Try again after this long.
    RetryLater(Refusal, Duration),
    /// This call will never work.
    Refused(Refusal),
    /// No call of the job will ever work.
    Denied(Refusal),
}

impl Error {
    /// Whether the token lacks a scope: everything that its other scopes cover still works.
    pub fn lacks_scope(&self) -> bool {
        match self {
            Self::Refused(refusal) | Self::Denied(refusal) => {
                refusal.cause() == Some(Cause::ScopeMissing)
            }
            Self::RetryLater(..) => false,
        }
    }

    /// The same, with other advice.
    fn advising(self, advice: &str) -> Self {
        let advice = Some(advice.to_owned());
        match self {
            Self::RetryLater(refusal, wait) => {
                Self::RetryLater(Refusal { advice, ..refusal }, wait)
            }
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
        let slots = ConcurrencyLimit::new(name.clone(), most, clock.clone());
        let complex =
            ConcurrencyLimit::new(format!("{name}/complex"), COMPLEX_AT_ONCE, clock.clone());
        let connection = Arc::new(connection);
        let tokens = Tokens::new(
            name.clone(),
            connection.clone(),
            http.clone(),
            secrets,
            clock.clone(),
        );
        Self {
            name,
            connection,
            http,
            clock,
            tokens,
            held_until: std::sync::Mutex::default(),
            credits: std::sync::Mutex::default(),
            slots,
            complex,
            metadata: metadata::Metadata::default(),
        }
    }

    /// The same client, sharing its tokens.
    pub fn with_token_cache(self, shelf: Arc<dyn TokenCache>) -> Self {
        Self {
            tokens: self.tokens.with_token_cache(shelf),
            ..self
        }
    }

    /// Whether updates are to be held against the org's fields before they are sent.
    pub fn is_guarded(&self) -> bool {
        self.connection.guard == Guarding::Strict
    }

    /// The same client, sharing its slots: all processes together keep to `max_concurrency`.
    pub fn with_shared_permits(self, shelf: Arc<dyn SharedPermits>) -> Self {
        Self {
            slots: self.slots.shared(shelf.clone()),
            complex: self.complex.shared(shelf),
            ..self
        }
    }

    /// Gives back the shared slots that no call is using: the end of a turn.
    pub async fn release_idle(&self) {
        self.slots.release().await;
        self.complex.release().await;
    }

    /// What the access token is good for, once there is one.
    ///
    /// # Errors
    /// [`Error`]: there is no token.
    pub async fn token_status(&self) -> Result<TokenStatus, Error> {
        self.tokens.token_status().await
    }

    /// Asks the accounts server for a token, which is not kept.
    ///
    /// # Errors
    /// [`Error`]: there is none.
    pub async fn grant(&self, form: Bytes) -> Result<token::TokenGrant, Error> {
        self.tokens.grant(form).await
    }

    /// Calls to this org that may be under way at once.
    pub fn max_concurrency(&self) -> usize {
        self.connection.max_concurrency
    }

    /// Sends a call that updates `ids`, or a custom view if there are none.
    ///
    /// After an answer that leaves open whether it was carried out it is sent again, as the same values are set again;
    /// unless it is to be sent `once`. Then it comes to [`UpdateAnswer::Unclear`].
    pub async fn update(
        &self,
        module: &ModuleName,
        way: Way,
        body: &Value,
        ids: &[RecordId],
        once: bool,
        give_up: Timestamp,
    ) -> CallResult<UpdateAnswer> {
        let (path, body) = (way.path(module), Bytes::from(body.to_string()));
        let method = match way {
            Way::MassUpdate => Method::POST,
            Way::Records => Method::PUT,
        };
        let judge = |raw: &RawAnswer<'_>| match way {
            Way::MassUpdate => answer::update(raw, ids),
            Way::Records => answer::records(raw, ids),
        };
        let unclear = |why| once.then_some(UpdateAnswer::Unclear(why));
        self.call_or(method, &path, body, give_up, judge, unclear)
            .await
    }

    /// Asks how a Zoho job is.
    pub async fn job_status(
        &self,
        module: &ModuleName,
        zoho_job_id: &str,
        give_up: Timestamp,
    ) -> CallResult<ZohoJobStatus> {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("job_id", zoho_job_id)
            .finish();
        let path = format!("{}?{query}", crate::plan::mass_update_path(module));
        self.call(Method::GET, &path, Bytes::new(), give_up, answer::tracked)
            .await
    }

    /// A call that may be sent again whatever came of it.
    async fn call<T>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        give_up: Timestamp,
        judge: impl Fn(&RawAnswer<'_>) -> Result<T, Trouble>,
    ) -> CallResult<T> {
        self.call_or(method, path, body, give_up, judge, |_| None)
            .await
    }

    /// A call that ends with what `otherwise` makes of an answer that leaves open whether it was carried out, if anything.
    async fn call_or<T>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        give_up: Timestamp,
        judge: impl Fn(&RawAnswer<'_>) -> Result<T, Trouble>,
        otherwise: impl Fn(Refusal) -> Option<T>,
    ) -> CallResult<T> {
        let mut attempts = 0;
        let mut replayed = false;
        let mut unclear = false;
        let failed = |attempts, failed| CallResult {
            attempts,
            outcome: Err(failed),
        };
        if let Some(waits) = self.short_of_credits(&method) {
            return failed(attempts, waits);
        }
        loop {
            if let Some(wait) = self.held() {
                if after(self.clock.now(), wait) >= give_up {
                    return failed(attempts, Error::RetryLater(Refusal::of(Cause::Held), wait));
                }
                self.clock.sleep(wait).await;
            }
            let token = match self.in_time(give_up, self.tokens.get()).await {
                Some(Ok(token)) => token,
                Some(Err(error)) => {
                    if let Error::RetryLater(why, wait) = &error {
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
                    return failed(attempts, Error::RetryLater(why, NEXT_TURN));
                }
            };
            let slots = match self.in_time(give_up, self.slot(&method, path)).await {
                Some(Ok(slots)) => slots,
                Some(Err(LimitReached)) | None => {
                    let wait = BUSY.mul_f64(1.0 + fastrand::f64());
                    let why = Refusal::of(Cause::ConnectionBusy);
                    return failed(attempts, Error::RetryLater(why, wait));
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
                    self.tokens.learn(&token, Told::by(&response));
                    let raw = self.raw(&response);
                    let judged = judge(&raw);
                    if judged.is_ok() || raw.credits.is_some() {
                        self.credits().note(raw.credits);
                    }
                    match judged {
                        Ok(answer) => {
                            return CallResult {
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
                    self.tokens.forget(&token).await;
                    continue;
                }
                Trouble::InvalidToken(refusal) => {
                    let refusal = self.tokens.stale(refusal, &token).await;
                    return failed(attempts, Error::Denied(refusal));
                }
                Trouble::Refused(refusal)
                    if unclear && refusal.cause() == Some(Cause::NoRecords) =>
                {
                    let unknown = Refusal::of(Cause::OutcomeUnknown);
                    return failed(attempts, Error::Refused(unknown));
                }
                Trouble::Refused(refusal) => return failed(attempts, Error::Refused(refusal)),
                Trouble::Denied(refusal) => return failed(attempts, Error::Denied(refusal)),
                Trouble::Later(refusal, asked) => (refusal, asked),
            };
            if let Some(answer) = leaves_open(&refusal)
                .then(|| otherwise(refusal.clone()))
                .flatten()
            {
                tracing::warn!(
                    connection = self.name,
                    zoho.code = refusal.code,
                    attempt = attempts,
                    "it is not known whether Zoho carried a call out: {}",
                    refusal.message
                );
                return CallResult {
                    attempts,
                    outcome: Ok(answer),
                };
            }
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
                        Error::RetryLater(refusal, asked.unwrap_or_default().max(NEXT_TURN)),
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
    ) -> Result<(Option<Slot<'_>>, Slot<'_>), LimitReached> {
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
    fn short_of_credits(&self, method: &Method) -> Option<Error> {
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
        Some(Error::RetryLater(
            Refusal::with(Cause::CreditsLow, message),
            wait,
        ))
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

    /// An answer with what its headers say. Dates are read by the sender's own clock, as ours may be off.
    fn raw<'a>(&self, response: &'a Response<Bytes>) -> RawAnswer<'a> {
        let header = |name: &str| response.headers().get(name)?.to_str().ok();
        let now = sent_at(response).unwrap_or_else(|| self.clock.now());
        RawAnswer {
            status: response.status().as_u16(),
            body: response.body(),
            retry_after: header(RETRY_AFTER.as_str()).and_then(|hint| retry_after(hint, now)),
            credits: header(CREDITS_REMAINING).and_then(|text| text.trim().parse().ok()),
        }
    }
}

/// What an answer tells of Zoho's clock.
#[derive(Clone, Copy, Debug)]
struct Told {
    /// When it was sent.
    at: Option<Timestamp>,
    /// When the token that it was asked with ends.
    token_ends: Option<Timestamp>,
}

impl Told {
    fn by(response: &Response<Bytes>) -> Self {
        let ends = response.headers().get(TOKEN_RESET);
        let ends = ends.and_then(|ends| ends.to_str().ok()?.trim().parse().ok());
        Self {
            at: sent_at(response),
            token_ends: ends,
        }
    }
}

/// When an answer was sent, by its sender's clock.
fn sent_at(response: &Response<Bytes>) -> Option<Timestamp> {
    let date = response.headers().get(DATE)?.to_str().ok()?;
    let date = jiff::fmt::rfc2822::parse(date).ok()?;
    Some(date.timestamp())
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

/// Whether a call may have been carried out although this came of it. What Zoho says of throttles, and that no connection
/// came about, leaves nothing open.
fn leaves_open(refusal: &Refusal) -> bool {
    matches!(
        refusal.cause(),
        None | Some(
            Cause::TimedOut
                | Cause::BrokenAnswer
                | Cause::InternalError
                | Cause::ServiceUnavailable
                | Cause::ServerFailed
                | Cause::AnswerUnreadable
        )
    )
}
