//! Sends calls to the CRM API, each as often as [`attempt`](super::attempt) decides.

use std::future::Future;
use std::sync::MutexGuard;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Response};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use tracing::{Instrument, Span};
use url::Url;

use super::answer::RawAnswer;
use super::attempt::{Attempt, NEXT_TURN, Next, Repeat, next};
use super::concurrency::{LimitReached, Permit};
use super::headers::{AnswerTimes, raw_answer};
use super::limits::{Credits, is_complex};
use super::token::Token;
use super::{CallResult, Client, Error, MAX_ANSWER, time_left};
use crate::clock::after;
use crate::codes::Cause;
use crate::failpoint::fail_point;
use crate::http::HttpRequest;
use crate::metrics::{RequestKind, SUCCESS};
use crate::outcome::{Refusal, SentRequest};
use crate::sync;

/// The minimum wait of a call while other processes hold every permit of the connection.
const BUSY_WAIT: Duration = Duration::from_secs(1);

/// An answer about more than a few dozen records, in bytes.
const LARGE_ANSWER: usize = 16 << 10;

/// A call to the CRM API.
#[derive(Debug)]
pub(super) struct ApiRequest<'a> {
    pub(super) kind: RequestKind,
    pub(super) method: Method,
    /// The rest of the path after the API's version, with the query: `coql`.
    pub(super) endpoint: &'a str,
    pub(super) body: Bytes,
    pub(super) repeat: Repeat,
    /// Nothing is sent or awaited after this time.
    pub(super) give_up: Timestamp,
}

impl<'a> ApiRequest<'a> {
    /// A GET.
    pub(super) fn get(kind: RequestKind, endpoint: &'a str, give_up: Timestamp) -> Self {
        Self {
            kind,
            method: Method::GET,
            endpoint,
            body: Bytes::new(),
            repeat: Repeat::Safe,
            give_up,
        }
    }

    /// A COQL query, which is a POST that changes nothing.
    pub(super) fn coql(query: &str, give_up: Timestamp) -> Self {
        Self {
            kind: RequestKind::Query,
            method: Method::POST,
            endpoint: "coql",
            body: Bytes::from(serde_json::json!({"select_query": query}).to_string()),
            repeat: Repeat::Safe,
            give_up,
        }
    }
}

/// The permits of one call: a complex call needs two.
struct CallPermits<'a> {
    _complex: Option<Permit<'a>>,
    _any: Permit<'a>,
}

impl Client {
    /// Sends a call until it succeeds, fails for good, or its turn ends.
    pub(super) async fn call<T>(
        &self,
        request: &ApiRequest<'_>,
        judge: impl Fn(&RawAnswer<'_>) -> Result<T, Error>,
    ) -> CallResult<T> {
        self.call_while(request, &|| true, judge, |_| SUCCESS).await
    }

    /// The same as [`Self::call`], but starts no attempt once `is_open` is false, and counts an answer under its `code`.
    pub(super) async fn call_while<T>(
        &self,
        request: &ApiRequest<'_>,
        is_open: &(dyn Fn() -> bool + Sync),
        judge: impl Fn(&RawAnswer<'_>) -> Result<T, Error>,
        code: impl Fn(&T) -> &str,
    ) -> CallResult<T> {
        let mut requests = Vec::new();
        let outcome = self
            .attempt_call(request, is_open, judge, code, &mut requests)
            .await;
        CallResult { requests, outcome }
    }

    async fn attempt_call<T>(
        &self,
        request: &ApiRequest<'_>,
        is_open: &(dyn Fn() -> bool + Sync),
        judge: impl Fn(&RawAnswer<'_>) -> Result<T, Error>,
        code: impl Fn(&T) -> &str,
        requests: &mut Vec<SentRequest>,
    ) -> Result<T, Error> {
        self.check_credits(&request.method)?;
        let mut reauthenticated = false;
        loop {
            let throttled = self.wait_for_throttle(request.give_up).await?;
            let token = self.token(request.give_up).await?;
            let queued_at = self.clock.elapsed();
            let permits = self.permits(request).await?;
            if !is_open() {
                let refusal = Refusal::of(Cause::ConnectionBusy);
                return Err(Error::RetryLater(refusal, NEXT_TURN));
            }
            let (sent_at, start) = (self.clock.now(), self.clock.elapsed());
            fail_point("zoho.sending");
            let response = self
                .send(&token, request)
                .instrument(self.span(request))
                .await;
            fail_point("zoho.answered");
            let took = self.clock.elapsed().saturating_sub(start);
            let status = response.as_ref().ok().map(|response| response.status());
            let answer = self.judge_under(permits, &token, response, &judge).await;
            let error = answer.as_ref().err();
            let code = match &answer {
                Ok(answer) => code(answer),
                Err(error) => error.refusal().code.as_str(),
            };
            self.metrics.count_request(request.kind, code, took);
            requests.push(SentRequest {
                sent_at,
                took,
                status: status.map(|status| status.as_u16()),
                error: error.map(|error| error.refusal().clone()),
                throttled,
                queued: start.saturating_sub(queued_at),
                retry_in: None,
            });
            let pause = error.and_then(connection_pause);
            let number = u32::try_from(requests.len()).unwrap_or(u32::MAX);
            let attempt = Attempt {
                number,
                reauthenticated,
                repeat: request.repeat,
                left: time_left(self.clock.now(), request.give_up),
                random: fastrand::f64(),
            };
            match next(&attempt, answer) {
                Next::Return(Err(Error::Reauthenticate(refusal))) => {
                    let refusal = self.tokens.explain_rejection(refusal, &token).await;
                    return Err(Error::Denied(refusal));
                }
                Next::Return(outcome) => {
                    if let Err(error) = &outcome {
                        self.report(number, error, pause);
                    }
                    return outcome;
                }
                Next::Retry(wait, refusal) => {
                    self.throttle(pause);
                    self.log_failure(number, &refusal, true);
                    if let Some(request) = requests.last_mut() {
                        request.retry_in = Some(wait);
                    }
                    self.clock.sleep(wait).await;
                }
                Next::Reauthenticate => {
                    reauthenticated = true;
                    self.tokens.invalidate(&token).await;
                }
            }
        }
    }

    /// Logs the error that ends a call, and pauses the connection if Zoho asked for that.
    fn report(&self, attempts: u32, error: &Error, pause: Option<Duration>) {
        self.note_error(error.refusal());
        match error {
            Error::OutcomeUnknown(refusal) => tracing::warn!(
                connection = self.name,
                zoho.code = refusal.code,
                attempt = attempts,
                "outcome of a Zoho call unknown: {}",
                refusal.message
            ),
            Error::RetryLater(refusal, _) => {
                self.throttle(pause);
                self.log_failure(attempts, refusal, false);
            }
            // The engine logs these with their job.
            Error::Reauthenticate(_) | Error::Refused(_) | Error::Denied(_) => {}
        }
    }

    /// Keeps an error for the status of the connection.
    fn note_error(&self, refusal: &Refusal) {
        sync::lock(&self.errors).last = Some((self.clock.now(), refusal.clone()));
    }

    fn log_failure(&self, attempt: u32, refusal: &Refusal, retry: bool) {
        self.note_error(refusal);
        tracing::warn!(
            connection = self.name,
            zoho.code = refusal.code,
            attempt,
            retry,
            "Zoho call failed: {}",
            refusal.message
        );
    }

    /// The access token, unless the accounts server takes until `give_up`.
    async fn token(&self, give_up: Timestamp) -> Result<Token, Error> {
        let Some(token) = self.in_time(give_up, self.tokens.get()).await else {
            let message = "the accounts server did not answer in time";
            let refusal = Refusal::with(Cause::TimedOut, message);
            return Err(Error::RetryLater(refusal, NEXT_TURN));
        };
        if let Err(Error::RetryLater(refusal, wait)) = &token {
            self.metrics.count_token_failure();
            tracing::warn!(
                connection = self.name,
                zoho.code = refusal.code,
                wait_s = wait.as_secs(),
                "no access token: {}",
                refusal.message
            );
        }
        token
    }

    /// Waits for the permits of one call until its turn ends.
    async fn permits(&self, request: &ApiRequest<'_>) -> Result<CallPermits<'_>, Error> {
        let acquire = async {
            let complex = match is_complex(&request.method, request.endpoint) {
                true => Some(self.complex_concurrency.acquire().await?),
                false => None,
            };
            Ok(CallPermits {
                _complex: complex,
                _any: self.concurrency.acquire().await?,
            })
        };
        match self.in_time(request.give_up, acquire).await {
            Some(Ok(permits)) => Ok(permits),
            Some(Err(LimitReached)) | None => {
                let wait = BUSY_WAIT.mul_f64(1.0 + fastrand::f64());
                let refusal = Refusal::of(Cause::ConnectionBusy);
                Err(Error::RetryLater(refusal, wait))
            }
        }
    }

    /// The span of a request to Zoho.
    fn span(&self, request: &ApiRequest<'_>) -> Span {
        tracing::info_span!(
            "zoho",
            connection = self.name,
            zoho.request = request.kind.as_str()
        )
    }

    async fn send(
        &self,
        token: &Token,
        request: &ApiRequest<'_>,
    ) -> Result<Response<Bytes>, Error> {
        let authorization = format!("Zoho-oauthtoken {}", token.access.expose_secret());
        let mut authorization = HeaderValue::try_from(authorization)
            .map_err(|_| Error::Reauthenticate(Refusal::of(Cause::TokenInvalid)))?;
        authorization.set_sensitive(true);
        let path = self.api_version().path(request.endpoint);
        let url = Url::parse(&token.api.join(&path))?;
        let http_request = HttpRequest::new(request.method.clone(), url, request.body.clone());
        let mut http_request = http_request.accept_gzip();
        http_request.headers.insert(AUTHORIZATION, authorization);
        if !request.body.is_empty() {
            let json = HeaderValue::from_static("application/json");
            http_request.headers.insert(CONTENT_TYPE, json);
        }
        let sending = self.http.send(http_request, MAX_ANSWER);
        match self.in_time(request.give_up, sending).await {
            Some(answer) => answer.map_err(Error::from),
            None => {
                let message = "the turn was over before Zoho answered";
                let refusal = Refusal::with(Cause::TimedOut, message);
                Err(Error::RetryLater(refusal, Duration::ZERO))
            }
        }
    }

    /// Judges an answer and gives back the permits of its call, in the order that lets the next call go out soon.
    async fn judge_under<T>(
        &self,
        permits: CallPermits<'_>,
        token: &Token,
        response: Result<Response<Bytes>, Error>,
        judge: impl Fn(&RawAnswer<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let response = response?;
        if takes_long_to_judge(&response) {
            drop(permits);
            tokio::task::yield_now().await;
        }
        self.judge(token, &response, judge)
    }

    /// Judges an answer, and notes what its headers say about the token and the org's credits.
    fn judge<T>(
        &self,
        token: &Token,
        response: &Response<Bytes>,
        judge: impl Fn(&RawAnswer<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.tokens.observe(token, AnswerTimes::of(response));
        let raw = raw_answer(response, self.clock.now());
        let judged = judge(&raw);
        if judged.is_ok() || raw.credits.is_some() {
            self.credits().note(raw.credits);
        }
        judged
    }

    /// The output of `work`, unless it takes until `give_up`.
    fn in_time<T>(
        &self,
        give_up: Timestamp,
        work: impl Future<Output = T>,
    ) -> impl Future<Output = Option<T>> {
        let left = time_left(self.clock.now(), give_up);
        tokio::time::timeout(left, work).map(Result::ok)
    }

    fn credits(&self) -> MutexGuard<'_, Credits> {
        sync::lock(&self.credits)
    }

    /// Delays new work while the org's credits are below the connection's floor. Reads continue, so that updates that Zoho
    /// has accepted are followed to their end.
    fn check_credits(&self, method: &Method) -> Result<(), Error> {
        let floor = self.connection.credit_floor;
        let low = match *method == Method::GET {
            true => None,
            false => self.credits().wait(floor, self.clock.now()),
        };
        let Some((remaining, wait)) = low else {
            return Ok(());
        };
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
        let refusal = Refusal::with(Cause::CreditsLow, message);
        Err(Error::RetryLater(refusal, wait))
    }

    /// Waits until the pause that Zoho asked for is over, if that is before `give_up`. Returns how long it waited.
    async fn wait_for_throttle(&self, give_up: Timestamp) -> Result<Duration, Error> {
        let now = self.clock.now();
        let wait = self.throttled_until().map(|until| time_left(now, until));
        match wait.filter(|wait| !wait.is_zero()) {
            None => Ok(Duration::ZERO),
            Some(wait) if after(now, wait) >= give_up => Err(Error::RetryLater(
                Refusal::of(Cause::ConnectionThrottled),
                wait,
            )),
            Some(wait) => {
                self.clock.sleep(wait).await;
                Ok(wait)
            }
        }
    }

    /// Pauses all calls of this connection.
    fn throttle(&self, pause: Option<Duration>) {
        if let Some(pause) = pause {
            if !pause.is_zero() {
                self.metrics.count_throttle();
                sync::lock(&self.errors).throttles += 1;
            }
            let until = after(self.clock.now(), pause);
            let mut throttled_until = self.throttled_until();
            *throttled_until = Some(throttled_until.map_or(until, |known| known.max(until)));
        }
    }

    fn throttled_until(&self) -> MutexGuard<'_, Option<Timestamp>> {
        sync::lock(&self.throttled_until)
    }
}

/// Whether the next call is sent before an answer is judged, and not after it: the answer is large, and no refusal that could
/// concern the next call.
fn takes_long_to_judge(response: &Response<Bytes>) -> bool {
    response.status().is_success() && response.body().len() > LARGE_ANSWER
}

/// The pause of the whole connection that an answer asks for. A busy custom view concerns only that view.
fn connection_pause(error: &Error) -> Option<Duration> {
    let pause = error.retry_after()?;
    (error.refusal().cause() != Some(Cause::ViewBusy)).then_some(pause)
}
