//! The client of Zoho's accounts server and CRM API, limited to the operations that masshook uses.
//!
//! [`Client`] sends calls ([`transport`]): it waits for throttles, credits and free [`concurrency`], adds an access token
//! ([`access`]), judges the answer ([`answer`], pure) and decides about another attempt ([`attempt`], pure).

mod access;
pub mod answer;
mod attempt;
pub mod concurrency;
mod connection;
pub mod credentials;
pub mod data_center;
mod error;
pub mod find;
mod headers;
pub mod limits;
pub mod metadata;
pub mod scope;
mod status;
pub mod token;
pub mod token_cache;
mod transport;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use jiff::Timestamp;
use serde_json::Value;

use crate::clock::Clock;
use crate::http::{BodyLimit, Http};
use crate::metrics::{ConnectionGauges, ConnectionMetrics, RequestKind, SUCCESS};
use crate::outcome::SentRequest;
use crate::plan::{AnswerForm, CallKind, json_text};
use crate::secrets::Secrets;
use crate::sync;
use crate::update::{ApiVersion, ModuleName, RecordId};
use access::AccessTokens;
pub use access::{CLOCK_TOLERANCE, TokenStatus};
use answer::{RawAnswer, UpdateAnswer, ViewSelection, ZohoJobStatus};
use attempt::NEXT_TURN;
pub use attempt::Repeat;
use concurrency::{ConcurrencyLimit, SharedPermits};
pub use connection::{Connection, MetadataGuard};
pub use error::Error;
use limits::{COMPLEX_AT_ONCE, Credits};
pub use status::ConnectionStatus;
use status::ErrorLog;
use token::TokenGrant;
use token_cache::TokenCache;
use transport::ApiRequest;

/// Bytes of an answer that are read. An answer with 500 entries has about 200 kB.
const MAX_ANSWER: BodyLimit = BodyLimit::Refuse(4 << 20);

/// While an update may be sent.
#[derive(Clone, Copy)]
pub struct SendWindow<'a> {
    /// Nothing is sent or awaited after this time.
    pub give_up: Timestamp,
    /// Evaluated right before each attempt: an update may wait long for its turn, and be pointless by then.
    pub is_open: &'a (dyn Fn() -> bool + Sync),
}

/// A call that updates or creates records.
#[derive(Clone, Copy, Debug)]
pub struct UpdateCall<'a> {
    /// The module.
    pub module: &'a ModuleName,
    /// The kind of the call.
    pub kind: CallKind,
    /// Its JSON.
    pub body: &'a Value,
    /// The records that it updates; none if they are those of a custom view, or new ones.
    pub ids: &'a [RecordId],
    /// The number of records in its body, known and new ones.
    pub rows: usize,
}

impl SendWindow<'_> {
    /// A window that only time closes.
    pub fn until(give_up: Timestamp) -> Self {
        let is_open = &|| true;
        Self { give_up, is_open }
    }
}

/// The client of one Zoho org.
#[derive(Debug)]
pub struct Client {
    name: String,
    connection: Arc<Connection>,
    http: Http,
    clock: Arc<dyn Clock>,
    tokens: AccessTokens,
    /// Zoho has asked for a pause: no call is sent before this time.
    throttled_until: Mutex<Option<Timestamp>>,
    credits: Mutex<Credits>,
    errors: Mutex<ErrorLog>,
    concurrency: ConcurrencyLimit,
    /// A second limit, for the calls that Zoho calls complex.
    complex_concurrency: ConcurrencyLimit,
    metadata: metadata::MetadataCache,
    metrics: ConnectionMetrics,
}

/// The outcome of a call, with the requests that were sent for it.
#[derive(Debug)]
pub struct CallResult<T> {
    /// The requests, in the order in which they were sent.
    pub requests: Vec<SentRequest>,
    /// The judged answer, or why there is none.
    pub outcome: Result<T, Error>,
}

impl<T> CallResult<T> {
    /// The number of requests.
    pub fn attempts(&self) -> u32 {
        u32::try_from(self.requests.len()).unwrap_or(u32::MAX)
    }
}

impl Client {
    /// Creates a client. It fetches nothing before the first call.
    pub fn new(
        name: String,
        connection: Connection,
        http: Http,
        secrets: Arc<Secrets>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let limit = connection.max_concurrency;
        let concurrency = ConcurrencyLimit::new(name.clone(), limit, clock.clone());
        let complex = format!("{name}/complex");
        let complex_concurrency = ConcurrencyLimit::new(complex, COMPLEX_AT_ONCE, clock.clone());
        let connection = Arc::new(connection);
        let tokens = AccessTokens::new(
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
            throttled_until: Mutex::default(),
            credits: Mutex::default(),
            errors: Mutex::default(),
            concurrency,
            complex_concurrency,
            metadata: metadata::MetadataCache::default(),
            metrics: ConnectionMetrics::default(),
        }
    }

    /// Counts what the client does.
    #[must_use]
    pub fn with_metrics(self, metrics: ConnectionMetrics) -> Self {
        Self {
            tokens: self.tokens.with_metrics(metrics.clone()),
            metrics,
            ..self
        }
    }

    /// Counts one answered call that `job_calls` calls of jobs shared.
    pub fn count_shared_call(&self, job_calls: usize) {
        self.metrics.count_shared_call(job_calls);
    }

    /// What this process knows about the connection's credits and token.
    pub fn gauges(&self) -> ConnectionGauges {
        ConnectionGauges {
            name: self.name.clone(),
            credits_remaining: sync::lock(&self.credits).remaining(),
            token_expires_at: self.tokens.expires_at(),
        }
    }

    /// Shares access tokens with other processes through `cache`.
    pub fn with_token_cache(self, cache: Arc<dyn TokenCache>) -> Self {
        Self {
            tokens: self.tokens.with_cache(cache),
            ..self
        }
    }

    /// Shares the concurrency limit with other processes: all of them together keep to `max_concurrency`.
    pub fn with_shared_permits(self, permits: Arc<dyn SharedPermits>) -> Self {
        Self {
            concurrency: self.concurrency.shared(permits.clone()),
            complex_concurrency: self.complex_concurrency.shared(permits),
            ..self
        }
    }

    /// Whether updates are validated against the org's fields before they are sent.
    pub fn is_guarded(&self) -> bool {
        self.connection.guard == MetadataGuard::Strict
    }

    /// The version of the API that all calls use.
    pub fn api_version(&self) -> ApiVersion {
        self.connection.api_version
    }

    /// Calls to this org that may be under way at once.
    pub fn max_concurrency(&self) -> usize {
        self.connection.max_concurrency
    }

    /// Releases the shared permits that no call is using, at the end of a turn.
    pub async fn release_idle(&self) {
        self.concurrency.release_idle().await;
        self.complex_concurrency.release_idle().await;
    }

    /// Where and for what the access token is valid. Fetches one if there is none.
    ///
    /// # Errors
    /// There is no token.
    pub async fn token_status(&self) -> Result<TokenStatus, Error> {
        self.tokens.status().await
    }

    /// Requests a token from the accounts server, and does not keep it.
    ///
    /// # Errors
    /// The accounts server grants none.
    pub async fn grant(&self, form: Bytes) -> Result<TokenGrant, Error> {
        self.tokens.grant(form).await
    }

    /// Sends a call that updates or creates records.
    ///
    /// If `repeat` is [`Repeat::Never`] and the outcome of an attempt is unknown, the result is [`Error::OutcomeUnknown`].
    /// A result without attempts means that the window was closed before the first one.
    pub async fn update(
        &self,
        call: UpdateCall<'_>,
        repeat: Repeat,
        window: SendWindow<'_>,
    ) -> CallResult<UpdateAnswer> {
        let UpdateCall {
            module,
            kind,
            body,
            ids,
            rows,
        } = call;
        let endpoint = kind.endpoint(module);
        let method = match kind {
            CallKind::Immediate
            | CallKind::Scheduled
            | CallKind::AddTags
            | CallKind::RemoveTags
            | CallKind::ChangeOwner
            | CallKind::MassChangeOwner
            | CallKind::Upsert => Method::POST,
            CallKind::Records => Method::PUT,
        };
        let request = ApiRequest {
            kind: match kind {
                CallKind::Immediate => RequestKind::Immediate,
                CallKind::Scheduled => RequestKind::Scheduled,
                CallKind::Records => RequestKind::Records,
                CallKind::Upsert => RequestKind::Upsert,
                CallKind::AddTags | CallKind::RemoveTags => RequestKind::Tags,
                CallKind::ChangeOwner | CallKind::MassChangeOwner => RequestKind::Owner,
            },
            method,
            endpoint: &endpoint,
            body: Bytes::from(json_text(body)),
            repeat,
            give_up: window.give_up,
        };
        let judge = |raw: &RawAnswer<'_>| match kind.answer_form() {
            AnswerForm::Results => answer::mass_update(raw, ids),
            AnswerForm::Job => {
                let cvid = body["cvid"].as_str().unwrap_or_default();
                let territory = body["territory"]["id"].as_str();
                let owner = body["owner"]["id"].as_str();
                let selection = ViewSelection {
                    cvid,
                    territory,
                    owner,
                };
                answer::view_update(raw, selection)
            }
            AnswerForm::Rows => answer::record_update(raw, ids),
            AnswerForm::NewRows => {
                let field = body["duplicate_check_fields"][0].as_str();
                answer::upsert(raw, rows, field.unwrap_or_default())
            }
        };
        self.call_while(&request, window.is_open, judge, |answer| {
            answer.refusal_of(rows).unwrap_or(SUCCESS)
        })
        .await
    }

    /// Reads the status of a Zoho job that a call of this kind has started.
    pub async fn job_status(
        &self,
        module: &ModuleName,
        kind: CallKind,
        zoho_job_id: &str,
        give_up: Timestamp,
    ) -> CallResult<ZohoJobStatus> {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("job_id", zoho_job_id)
            .finish();
        let endpoint = format!("{}?{query}", kind.endpoint(module));
        let request = ApiRequest::get(RequestKind::Poll, &endpoint, give_up);
        let judge = |raw: &RawAnswer<'_>| answer::job_status(raw, zoho_job_id);
        self.call(&request, judge).await
    }
}

/// The time from `now` to `until`; zero if `until` has passed.
fn time_left(now: Timestamp, until: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(now)).unwrap_or_default()
}
