//! The simulator's whole state, and the way of one request through it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::accounts::{self, Accounts, Parameters};
use crate::answer::Answer;
use crate::data_center::Place;
use crate::endpoint::{Endpoint, Need};
use crate::faults::Faults;
use crate::jobs::Jobs;
use crate::limits::{self, Credits};
use crate::log::{Log, Seen};
use crate::mass_update::{self, Org};
use crate::mischief::Treatment;
use crate::records;
use crate::schema::UNSUPPORTED;
use crate::seeds::zoho_time;
use crate::time_source::TimeSource;
use crate::world::World;

/// One HTTP request, taken apart.
#[derive(Debug)]
pub(crate) struct Request {
    /// Which data centre was asked.
    pub(crate) center: usize,
    pub(crate) endpoint: Endpoint,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    /// The first query parameter with this name.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Parameters of the query and of a form body; the body wins.
    fn parameters(&self) -> Parameters {
        let mut all: BTreeMap<String, String> = self.query.iter().cloned().collect();
        all.extend(form_urlencoded::parse(&self.body).into_owned());
        all
    }
}

/// All that the simulator knows.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) world: World,
    /// Where each data centre listens.
    pub(crate) places: Vec<Place>,
    /// The accounts server of each.
    pub(crate) accounts: Vec<Accounts>,
    pub(crate) jobs: Jobs,
    pub(crate) credits: Credits,
    pub(crate) faults: Faults,
    pub(crate) log: Log,
    pub(crate) dice: fastrand::Rng,
    pub(crate) time_source: TimeSource,
    /// How far the admin has moved the clock.
    pub(crate) ahead: SignedDuration,
    pub(crate) latency: Duration,
    pub(crate) job_duration: Duration,
}

impl State {
    /// The present moment, moved by the admin.
    pub(crate) fn now(&self) -> Timestamp {
        self.time_source
            .now()
            .saturating_add(self.ahead)
            .unwrap_or(Timestamp::MAX)
    }

    /// Lets the jobs come to where they stand.
    pub(crate) fn settle(&mut self) {
        let now = self.now();
        self.jobs.advance(&mut self.world, now);
    }

    /// Notes a request and decides how it is treated. A CRM request is in flight from now on.
    pub(crate) fn arrive(&mut self, request: &Request) -> Treatment {
        let seen = Seen {
            kind: request.endpoint.kind(),
            method: &request.method,
            path: &request.path,
            query: &request.query,
            headers: &request.headers,
            body: &request.body,
        };
        let now = self.now();
        self.log.note(&seen, now);
        if !request.endpoint.accounts() {
            self.log.in_flight += 1;
            self.log.max_in_flight = self.log.max_in_flight.max(self.log.in_flight);
            let complex = limits::complex(request);
            self.log.complex_in_flight += usize::from(complex);
            if self.log.in_flight > limits::concurrency(&self.faults)
                || complex && self.log.complex_in_flight > self.faults.sub_concurrency
            {
                return Treatment::refused(limits::too_many(&self.faults));
            }
        }
        Treatment::of(
            &request.endpoint,
            &mut self.faults,
            &mut self.dice,
            self.latency,
        )
    }

    /// Does what the request asks for.
    pub(crate) fn serve(&mut self, request: &Request) -> Answer {
        self.settle();
        let now = self.now();
        match &request.endpoint {
            Endpoint::Token => self.token(request, now),
            Endpoint::TokenAlias => {
                let grant = request.parameters().remove("grant_type");
                if grant.is_none_or(|grant| grant != "client_credentials") {
                    return Answer::json(200, json!({"error": "unsupported_grant_type"}));
                }
                self.token(request, now)
            }
            Endpoint::Revoke => self.accounts[request.center].revoke(&request.parameters()),
            Endpoint::ServerInfo => accounts::server_info(&self.places),
            Endpoint::Unknown => Answer::error(
                404,
                "INVALID_URL_PATTERN",
                json!({}),
                "Please check if the URL trying to access is a correct one",
            ),
            // The status is not documented.
            Endpoint::OtherVersion => Answer::error(
                400,
                "API_NOT_SUPPORTED",
                json!({"supported_version": 7}),
                "the API version given is not supported",
            ),
            Endpoint::WrongMethod => Answer::error(
                400,
                "INVALID_REQUEST_METHOD",
                json!({}),
                "The http request method type is not a valid one",
            ),
            Endpoint::MassUpdate(_)
            | Endpoint::MassUpdateStatus(_)
            | Endpoint::Fields(_)
            | Endpoint::Modules(_)
            | Endpoint::CustomViews(_)
            | Endpoint::Territories(_)
            | Endpoint::ChildTerritories(_)
            | Endpoint::Search(_)
            | Endpoint::Coql
            | Endpoint::Record(..)
            | Endpoint::PutRecords(_)
            | Endpoint::Apis
            | Endpoint::Org
            | Endpoint::Users
            | Endpoint::Count(_) => self.serve_crm(request, now),
        }
    }

    fn token(&mut self, request: &Request, now: Timestamp) -> Answer {
        let place = &self.places[request.center];
        self.accounts[request.center].token(&request.parameters(), &self.faults, place, now)
    }

    fn serve_crm(&mut self, request: &Request, now: Timestamp) -> Answer {
        if self.places[request.center].center.refuses(&request.headers) {
            return Answer::error(
                400,
                "INVALID_HOST",
                json!({}),
                "the host given seems to be invalid",
            );
        }
        let (ends, scopes) = match self.authenticate(request, now) {
            Ok(found) => found,
            Err(refusal) => return *refusal,
        };
        let answer = self.serve_authenticated(request, &scopes, now);
        let answer = answer.with("X-ACCESSTOKEN-RESET", zoho_time(ends));
        match self.credits.header(self.faults.credits) {
            Some(remaining) => answer.with("X-API-CREDITS-REMAINING", remaining),
            None => answer,
        }
    }

    /// The end of the request's token, and the scopes that it carries.
    fn authenticate(
        &mut self,
        request: &Request,
        now: Timestamp,
    ) -> Result<(Timestamp, Vec<String>), Box<Answer>> {
        let header = request.headers.get(http::header::AUTHORIZATION);
        let header = header.and_then(|value| value.to_str().ok());
        // The token answer says `Bearer`, but this prefix alone is taken.
        let Some(value) = header.and_then(|value| value.strip_prefix("Zoho-oauthtoken ")) else {
            let refusal = Answer::error(
                401,
                "AUTHENTICATION_FAILURE",
                json!({}),
                "Authentication failed",
            );
            return Err(Box::new(refusal));
        };
        let token = match self.accounts[request.center].find(value.trim(), now) {
            Some(token) if !self.faults.foreign_data_center => token,
            _ => {
                let code = &self.faults.invalid_token_code;
                return Err(Box::new(Answer::error(
                    401,
                    code,
                    json!({}),
                    "invalid oauth token",
                )));
            }
        };
        let granted = self.faults.granted();
        let scopes = match &token.scopes {
            None => granted.iter().map(|scope| (*scope).to_owned()).collect(),
            Some(asked) => asked.clone(),
        };
        Ok((token.ends, scopes))
    }

    fn serve_authenticated(
        &mut self,
        request: &Request,
        scopes: &[String],
        now: Timestamp,
    ) -> Answer {
        if self.faults.no_api_access {
            return Answer::error(
                403,
                "NO_PERMISSION",
                json!({"permissions": ["Crm_Implied_Api_Access"]}),
                "permission denied",
            );
        }
        if let Some(refusal) = self.refuse_scope(request.endpoint.needs(), scopes) {
            return refusal;
        }
        let price = limits::price(request, &self.faults);
        if !self.credits.pay(price, self.faults.credits, now) {
            return limits::too_many(&self.faults);
        }
        let (Endpoint::MassUpdate(module) | Endpoint::MassUpdateStatus(module)) = &request.endpoint
        else {
            return crate::helpers::serve(self, request, scopes, now)
                .unwrap_or_else(|refusal| *refusal);
        };
        if UNSUPPORTED.contains(&module.as_str()) {
            return records::unsupported_module();
        }
        if self.world.module(module).is_none() {
            return records::invalid_module();
        }
        if matches!(request.endpoint, Endpoint::MassUpdateStatus(_)) {
            let job = request.parameter("job_id");
            return self.jobs.status(module, job, &self.faults, now);
        }
        let mut org = Org {
            world: &mut self.world,
            jobs: &mut self.jobs,
            faults: &self.faults,
            job_duration: self.job_duration,
            now,
        };
        let answer = mass_update::post(&mut org, module, &request.body);
        // A job of no duration is over at once.
        self.settle();
        answer
    }

    /// The refusal if one of the needs is not met.
    pub(crate) fn refuse_scope(&self, needs: Vec<Need>, scopes: &[String]) -> Option<Answer> {
        let custom = |need: &Need| {
            need.module()
                .and_then(|name| self.world.module(name))
                .is_some_and(|module| module.schema.custom)
        };
        let met = |need: &Need| need.met(scopes.iter().map(String::as_str), custom(need));
        (!needs.iter().all(met)).then(|| {
            Answer::error(
                401,
                "OAUTH_SCOPE_MISMATCH",
                json!({}),
                &self.faults.scope_message,
            )
        })
    }

    /// The counts of `GET /_sim/stats`.
    pub(crate) fn stats(&self) -> Value {
        let mut stats = self.log.stats();
        let minted: u64 = self.accounts.iter().map(|accounts| accounts.minted).sum();
        stats.insert("tokens_minted".to_owned(), json!(minted));
        stats.insert("credits_used".to_owned(), json!(self.credits.used));
        Value::Object(stats)
    }
}
