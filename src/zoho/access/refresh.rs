//! Requests to the accounts server, and the API host that a granted token belongs to.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{AccessTokens, TokenState};
use crate::clock::after;
use crate::codes::Cause;
use crate::http::HttpRequest;
use crate::http::target::is_this_machine;
use crate::metrics::{RequestKind, SUCCESS};
use crate::outcome::Refusal;
use crate::secrets::SecretError;
use crate::zoho::attempt::NEXT_TURN;
use crate::zoho::credentials::Credentials;
use crate::zoho::data_center::ApiBase;
use crate::zoho::headers::sent_at;
use crate::zoho::token::{Token, TokenGrant, parse_grant};
use crate::zoho::{Connection, Error, MAX_ANSWER};

impl AccessTokens {
    /// Requests a token with the connection's credentials. If they are refused, they may have been replaced since they were
    /// cached: they are read again.
    pub(super) async fn refresh(&self, state: &mut TokenState) -> Result<Token, Error> {
        let reference = &self.connection.credentials;
        let cached = self.secrets.get(reference).await;
        let outcome = match &cached {
            Ok(secret) => self.refresh_with(secret, state).await,
            Err(error) => Err(secret_error(error)),
        };
        let Err(Error::Denied(_)) = &outcome else {
            return outcome;
        };
        self.secrets.forget(reference).await;
        match (self.secrets.get(reference).await, cached) {
            (Ok(current), Ok(cached)) if current.expose_secret() == cached.expose_secret() => {
                outcome
            }
            (Ok(current), _) => self.refresh_with(&current, state).await,
            (Err(_), _) => outcome,
        }
    }

    async fn refresh_with(
        &self,
        secret: &SecretString,
        state: &mut TokenState,
    ) -> Result<Token, Error> {
        let reference = &self.connection.credentials;
        let credentials = Credentials::parse(secret).map_err(|error| {
            let message = format!("the secret {reference} {error}");
            Error::Denied(Refusal::with(Cause::BadCredentials, message))
        })?;
        let requested_at = self.clock.now();
        let grant = self.grant(credentials.form()).await?;
        let lifetime = grant.lifetime;
        self.compare_clocks(state, grant.granted_at, self.clock.now());
        state.scopes.clone_from(&grant.scopes);
        let (access, api) = self.resolve_api(grant, state)?;
        tracing::info!(
            connection = self.name,
            lifetime_s = lifetime.as_secs(),
            "access token refreshed"
        );
        Ok(Token {
            access,
            api,
            expires_at: after(requested_at, lifetime),
        })
    }

    /// Requests a token from the accounts server, and does not keep it.
    ///
    /// # Errors
    /// The accounts server grants none.
    pub(in crate::zoho) async fn grant(&self, form: Bytes) -> Result<TokenGrant, Error> {
        let sent_at = self.clock.elapsed();
        let granted = self.request_grant(form).await;
        let took = self.clock.elapsed().saturating_sub(sent_at);
        let code = granted
            .as_ref()
            .err()
            .map(|error| error.refusal().code.as_str());
        let code = code.unwrap_or(SUCCESS);
        self.metrics.count_request(RequestKind::Token, code, took);
        granted
    }

    async fn request_grant(&self, form: Bytes) -> Result<TokenGrant, Error> {
        let accounts = self.connection.accounts();
        let url = Url::parse(&format!("{accounts}/oauth/v2/token"))?;
        let mut request = HttpRequest::new(Method::POST, url, form).accept_gzip();
        let encoded = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers.insert(CONTENT_TYPE, encoded);
        let response = self
            .http
            .send(request, MAX_ANSWER)
            .await
            .map_err(|error| Error::from(error).wait_at_least(NEXT_TURN))?;
        match parse_grant(response.status().as_u16(), response.body()) {
            Ok(grant) => Ok(TokenGrant {
                granted_at: sent_at(&response),
                ..grant
            }),
            Err(Error::Denied(refusal)) if refusal.cause() == Some(Cause::ClientUnknown) => {
                let center = self.connection.data_center;
                let message = format!(
                    "{accounts} (data centre {center}) does not know the client id: it is wrong, or was registered in another data centre"
                );
                Err(Error::Denied(Refusal::with(Cause::ClientUnknown, message)))
            }
            Err(other) => Err(other),
        }
    }

    /// Decides to which API host calls with a granted token go.
    fn resolve_api(
        &self,
        grant: TokenGrant,
        state: &mut TokenState,
    ) -> Result<(SecretString, ApiBase), Error> {
        let Connection {
            data_center,
            environment,
            api_url,
            ..
        } = self.connection.as_ref();
        let fixed = self.connection.fixed_api();
        let local = grant.api_domain.as_deref().is_none_or(is_local);
        let named = grant
            .api_domain
            .map(|named| ApiBase::named(&named, *environment));
        // A simulator that names a foreign host is none.
        let trusted = api_url.is_some() || local || matches!(named, Some(Ok(_)));
        let configured = fixed.filter(|_| trusted).map(ApiBase::configured);
        state.center = named
            .as_ref()
            .and_then(|named| named.as_ref().ok()?.data_center());
        let api = match (configured, named) {
            (Some(configured), _) => configured,
            (None, Some(named)) => named.map_err(|foreign| {
                Error::Denied(Refusal::with(Cause::ForeignApiDomain, foreign.to_string()))
            })?,
            (None, None) => {
                let previous = state.api.clone();
                previous.unwrap_or_else(|| ApiBase::of(*data_center, *environment))
            }
        };
        if let Some(found) = state.center.filter(|found| found != data_center) {
            tracing::warn!(
                connection = self.name,
                "the token is for data centre {found}, the connection says {data_center}; calls go to {}",
                api.join("")
            );
        }
        Ok((grant.access, api))
    }
}

/// Whether an `api_domain` is an address of this machine.
fn is_local(api_domain: &str) -> bool {
    let url: Option<Url> = api_domain.parse().ok();
    url.and_then(|url| url.host().map(|host| is_this_machine(&host)))
        .unwrap_or_default()
}

fn secret_error(error: &SecretError) -> Error {
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
