//! The accounts server of one data centre: its client, grant codes, refresh tokens and access tokens.

mod grant;
mod responses;

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use self::grant::{AccessToken, RateQuota, RefreshGrant};
use crate::data_center::{DataCenter, DataCenterHost};
use crate::faults::Faults;
use crate::response::{ApiResponse, EndpointResult, reject};

/// The lifetime of a grant code, unless the API console selects another one.
pub(crate) const GRANT_CODE_LIFETIME: SignedDuration = SignedDuration::from_secs(180);

/// Refresh tokens that one client may get in a quota window.
const REFRESH_TOKENS_PER_WINDOW: usize = 10;

/// A code of the API console, which can be exchanged for a refresh token once.
#[derive(Debug)]
struct GrantCode {
    value: String,
    scopes: Vec<String>,
    redirect_uri: Option<String>,
    expires_at: Timestamp,
}

/// The input of the API console's "Generate Code".
#[derive(Debug)]
pub(crate) struct GrantCodeRequest {
    pub(crate) scopes: Vec<String>,
    pub(crate) redirect_uri: Option<String>,
    pub(crate) lifetime: SignedDuration,
}

/// The accounts server of one data centre.
#[derive(Debug)]
pub(crate) struct Accounts {
    data_center: DataCenter,
    grants: VecDeque<RefreshGrant>,
    /// Holds the access tokens of the client-credentials grant.
    client_grant: RefreshGrant,
    codes: Vec<GrantCode>,
    exchanges: RateQuota,
    tokens_issued: u64,
    /// The number of tokens and codes generated so far; makes each value unique.
    sequence: u64,
}

/// The parameters of a token request, from the query and the body.
type Parameters = BTreeMap<String, String>;

/// A new access token, and the new refresh token of a code exchange.
type TokenResult = EndpointResult<(AccessToken, Option<String>)>;

impl Accounts {
    /// The accounts server of a data centre, with one refresh token.
    pub(crate) fn new(data_center: DataCenter) -> Self {
        let first = RefreshGrant::new(data_center.refresh_token().to_owned(), None);
        Self {
            data_center,
            grants: VecDeque::from([first]),
            client_grant: RefreshGrant::default(),
            codes: Vec::new(),
            exchanges: RateQuota::default(),
            tokens_issued: 0,
            sequence: 0,
        }
    }

    /// `POST /oauth/v2/token`. Errors have HTTP status 200, an `error` and no `access_token`.
    pub(crate) fn token(
        &mut self,
        parameters: &Parameters,
        faults: &Faults,
        host: &DataCenterHost,
        now: Timestamp,
    ) -> ApiResponse {
        let parameter = |name: &str| parameters.get(name).map_or("", String::as_str);
        if let Some(error) = &faults.token_error {
            return responses::oauth_error(error);
        }
        if parameter("client_id") != self.data_center.client_id() {
            return responses::oauth_error("invalid_client");
        }
        if parameter("client_secret") != self.data_center.client_secret() {
            return responses::oauth_error("invalid_client_secret");
        }
        let result = match parameter("grant_type") {
            "refresh_token" => self.refresh(parameter("refresh_token"), faults, now),
            "authorization_code" => {
                self.exchange(parameter("code"), parameter("redirect_uri"), faults, now)
            }
            "client_credentials" => {
                self.client_credentials(parameter("soid"), parameter("scope"), faults, now)
            }
            _ => reject(responses::oauth_error("unsupported_grant_type")),
        };
        match result {
            Ok((access, refresh_token)) => responses::token(&access, refresh_token, faults, host),
            Err(rejection) => *rejection,
        }
    }

    fn refresh(&mut self, refresh_token: &str, faults: &Faults, now: Timestamp) -> TokenResult {
        let position = |grant: &RefreshGrant| grant.refresh_token == refresh_token;
        let Some(at) = self.grants.iter().position(position) else {
            return reject(responses::oauth_error("invalid_code"));
        };
        if !self.grants[at].quota.take(faults.mints_per_window, now) {
            return reject(responses::throttled(faults));
        }
        let value = self.next_access_token();
        Ok((self.grants[at].issue(value, faults, now), None))
    }

    /// Exchanges a grant code for a refresh token and an access token.
    fn exchange(
        &mut self,
        code: &str,
        redirect_uri: &str,
        faults: &Faults,
        now: Timestamp,
    ) -> TokenResult {
        self.codes.retain(|code| code.expires_at > now);
        let Some(at) = self.codes.iter().position(|known| known.value == code) else {
            return reject(responses::oauth_error("invalid_code"));
        };
        // The code of a self client has no redirect URI.
        let expected = self.codes[at].redirect_uri.as_deref();
        if expected.is_some_and(|expected| expected != redirect_uri) {
            return reject(responses::oauth_error("invalid_redirect_uri"));
        }
        if !self.exchanges.take(REFRESH_TOKENS_PER_WINDOW, now) {
            return reject(responses::oauth_error("access_denied"));
        }
        let code = self.codes.remove(at);
        let refresh_token = self.next_value();
        let mut grant = RefreshGrant::new(refresh_token.clone(), Some(code.scopes));
        let access = grant.issue(self.next_access_token(), faults, now);
        // Beyond the limit, a new refresh token revokes the oldest one with its access tokens.
        while self.grants.len() >= faults.live_refresh_tokens.max(1) {
            self.grants.pop_front();
        }
        self.grants.push_back(grant);
        Ok((access, Some(refresh_token)))
    }

    fn client_credentials(
        &mut self,
        soid: &str,
        scope: &str,
        faults: &Faults,
        now: Timestamp,
    ) -> TokenResult {
        let digits = soid.strip_prefix("ZohoCRM.").unwrap_or_default();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return reject(responses::oauth_error("missing_org_info"));
        }
        let Some(scopes) = parse_scopes(scope) else {
            return reject(responses::oauth_error("invalid_scope"));
        };
        let value = self.next_access_token();
        self.client_grant.scopes = Some(scopes);
        Ok((self.client_grant.issue(value, faults, now), None))
    }

    /// Generates a grant code, as the API console does.
    pub(crate) fn create_code(&mut self, request: GrantCodeRequest, now: Timestamp) -> String {
        let value = self.next_value();
        self.codes.push(GrantCode {
            value: value.clone(),
            scopes: request.scopes,
            redirect_uri: request.redirect_uri,
            expires_at: now
                .saturating_add(request.lifetime)
                .unwrap_or(Timestamp::MAX),
        });
        value
    }

    fn next_access_token(&mut self) -> String {
        self.tokens_issued += 1;
        self.next_value()
    }

    /// Generates the value of a token or code. It only looks random: it is predictable, and protects nothing.
    fn next_value(&mut self) -> String {
        self.sequence += 1;
        let number = u128::from(self.sequence);
        let data_center = self
            .data_center
            .name()
            .bytes()
            .fold(0, |sum, byte| sum * 0x100 + u128::from(byte));
        format!(
            "1000.{:032x}.{data_center:08x}{number:024x}",
            number * 0x9e37_79b9_7f4a_7c15 + data_center
        )
    }

    /// The number of access tokens issued so far.
    pub(crate) fn tokens_issued(&self) -> u64 {
        self.tokens_issued
    }

    /// `POST /oauth/v2/token/revoke`, and the newer `/oauth/v2/revoke/token`. Revoking a refresh token also revokes its
    /// access tokens.
    pub(crate) fn revoke(&mut self, parameters: &Parameters) -> ApiResponse {
        let parameter = |name: &str| parameters.get(name).map(String::as_str);
        let token = parameter("token").unwrap_or_default();
        // The newer page authenticates the client, the older one does not.
        if parameter("client_id").is_some_and(|id| id != self.data_center.client_id()) {
            return ApiResponse::json(400, json!({"error": "invalid_client"}));
        }
        let secret = parameter("client_secret");
        if secret.is_some_and(|secret| secret != self.data_center.client_secret()) {
            return ApiResponse::json(400, json!({"error": "invalid_client_secret"}));
        }
        let before = self.token_count();
        self.grants.retain(|grant| grant.refresh_token != token);
        for grant in self.all_grants() {
            grant.access_tokens.retain(|access| access.value != token);
        }
        if self.token_count() == before {
            return ApiResponse::json(400, json!({"error": "invalid_token"}));
        }
        ApiResponse::json(200, json!({"status": "success"}))
    }

    fn token_count(&self) -> usize {
        let grants = self.grants.iter().chain([&self.client_grant]);
        grants.map(|grant| 1 + grant.access_tokens.len()).sum()
    }

    fn all_grants(&mut self) -> impl Iterator<Item = &mut RefreshGrant> {
        self.grants.iter_mut().chain([&mut self.client_grant])
    }

    /// The valid access token with this value.
    pub(crate) fn find(&mut self, value: &str, now: Timestamp) -> Option<&AccessToken> {
        self.all_grants()
            .for_each(|grant| grant.remove_expired(now));
        let grants = self.grants.iter().chain([&self.client_grant]);
        grants
            .flat_map(|grant| &grant.access_tokens)
            .find(|access| access.value == value)
    }

    /// Expires every access token.
    pub(crate) fn expire_all(&mut self) {
        self.all_grants()
            .for_each(|grant| grant.access_tokens.clear());
    }
}

/// Parses a list of scopes. Returns `None` if it is empty or contains an entry that is not a Zoho scope.
pub(crate) fn parse_scopes(list: &str) -> Option<Vec<String>> {
    let scopes: Vec<String> = list
        .split([',', ' '])
        .filter(|scope| !scope.is_empty())
        .map(str::to_owned)
        .collect();
    let valid = !scopes.is_empty() && scopes.iter().all(|scope| scope.starts_with("Zoho"));
    valid.then_some(scopes)
}

/// `GET /oauth/serverinfo`: the URLs of the data centres' accounts servers.
pub(crate) fn server_info(hosts: &[DataCenterHost]) -> ApiResponse {
    let locations: serde_json::Map<String, Value> = hosts
        .iter()
        .map(|host| (host.data_center.name().to_owned(), json!(host.url)))
        .collect();
    ApiResponse::json(200, json!({"result": "success", "locations": locations}))
}
