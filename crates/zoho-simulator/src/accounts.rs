//! Zoho's accounts server of one data centre: its client, grant codes, refresh tokens, access tokens, and their quotas.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::data_center::{DataCenter, Place};
use crate::faults::Faults;

/// An access token lives one hour.
const LIFE: SignedDuration = SignedDuration::from_secs(3600);

/// A grant code lives three minutes, unless the console says otherwise.
pub(crate) const CODE_LIFE: SignedDuration = SignedDuration::from_secs(180);

/// The window of every quota: 10 access tokens per refresh token, and 10 refresh tokens per client, in 10 minutes.
const WINDOW: SignedDuration = SignedDuration::from_secs(600);

/// Refresh tokens that one client may get in a window.
const GRANTS_PER_WINDOW: usize = 10;

/// A live access token.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    value: String,
    /// When it dies.
    pub(crate) ends: Timestamp,
    /// The scopes asked for; none: all that are granted.
    pub(crate) scopes: Option<Vec<String>>,
}

/// What was minted within the window.
#[derive(Debug, Default)]
struct Quota(VecDeque<Timestamp>);

impl Quota {
    /// Counts one more, unless there were `most` within the window.
    fn take(&mut self, most: usize, now: Timestamp) -> bool {
        self.0.retain(|at| now.duration_since(*at) < WINDOW);
        let free = self.0.len() < most;
        if free {
            self.0.push_back(now);
        }
        free
    }
}

/// What a user granted for good: a refresh token, or a client's own leave to ask for access.
#[derive(Debug, Default)]
struct Grant {
    /// The refresh token; empty for the client's own.
    refresh_token: String,
    scopes: Option<Vec<String>>,
    mints: Quota,
    live: VecDeque<Access>,
}

/// A code of the API console, to be exchanged once.
#[derive(Debug)]
struct Code {
    value: String,
    scopes: Vec<String>,
    redirect_uri: Option<String>,
    ends: Timestamp,
}

/// What the API console asks for, to make a code.
#[derive(Debug)]
pub(crate) struct CodeWish {
    pub(crate) scopes: Vec<String>,
    pub(crate) redirect_uri: Option<String>,
    pub(crate) life: SignedDuration,
}

/// The accounts server of one data centre.
#[derive(Debug)]
pub(crate) struct Accounts {
    center: DataCenter,
    grants: VecDeque<Grant>,
    /// Tokens of the client-credentials grant.
    own: Grant,
    codes: Vec<Code>,
    exchanges: Quota,
    /// How many access tokens were ever minted.
    pub(crate) minted: u64,
    /// How many tokens and codes were ever made, so that each is another.
    made: u64,
}

/// Parameters, from the query and the body alike.
pub(crate) type Parameters = BTreeMap<String, String>;

impl Accounts {
    /// The server of this data centre, with its one refresh token.
    pub(crate) fn new(center: DataCenter) -> Self {
        let first = Grant {
            refresh_token: center.refresh_token().to_owned(),
            ..Grant::default()
        };
        Self {
            center,
            grants: VecDeque::from([first]),
            own: Grant::default(),
            codes: Vec::new(),
            exchanges: Quota::default(),
            minted: 0,
            made: 0,
        }
    }

    /// `POST /oauth/v2/token`. Errors are HTTP 200 with an `error` and without an `access_token`.
    pub(crate) fn token(
        &mut self,
        parameters: &Parameters,
        faults: &Faults,
        place: &Place,
        now: Timestamp,
    ) -> Answer {
        let given = |name: &str| parameters.get(name).map_or("", String::as_str);
        if let Some(error) = &faults.token_error {
            return refused(error);
        }
        if given("client_id") != self.center.client_id() {
            return refused("invalid_client");
        }
        if given("client_secret") != self.center.client_secret() {
            return refused("invalid_client_secret");
        }
        let minted = match given("grant_type") {
            "refresh_token" => self.refresh(given("refresh_token"), faults, now),
            "authorization_code" => {
                self.exchange(given("code"), given("redirect_uri"), faults, now)
            }
            "client_credentials" => self.for_the_client(given("soid"), given("scope"), faults, now),
            _ => Err(Box::new(refused("unsupported_grant_type"))),
        };
        match minted {
            Ok((access, refresh_token)) => success(&access, refresh_token, faults, place),
            Err(refusal) => *refusal,
        }
    }

    fn refresh(&mut self, given: &str, faults: &Faults, now: Timestamp) -> Minted {
        let known = |grant: &Grant| grant.refresh_token == given;
        let Some(at) = self.grants.iter().position(known) else {
            return Err(Box::new(refused("invalid_code")));
        };
        if !self.grants[at].mints.take(faults.mints_per_window, now) {
            return Err(Box::new(throttled(faults)));
        }
        let value = self.mint();
        let grant = &mut self.grants[at];
        let scopes = grant.scopes.clone();
        Ok((grant.give(value, scopes, faults, now), None))
    }

    /// A code becomes a refresh token and an access token, once.
    fn exchange(&mut self, code: &str, redirect: &str, faults: &Faults, now: Timestamp) -> Minted {
        self.codes.retain(|code| code.ends > now);
        let Some(at) = self.codes.iter().position(|known| known.value == code) else {
            return Err(Box::new(refused("invalid_code")));
        };
        // A self client's code has no address to go back to.
        let expected = self.codes[at].redirect_uri.as_deref();
        if expected.is_some_and(|expected| expected != redirect) {
            return Err(Box::new(refused("invalid_redirect_uri")));
        }
        if !self.exchanges.take(GRANTS_PER_WINDOW, now) {
            return Err(Box::new(refused("access_denied")));
        }
        let code = self.codes.remove(at);
        let mut grant = Grant {
            refresh_token: self.make(),
            scopes: Some(code.scopes),
            ..Grant::default()
        };
        let value = self.mint();
        let access = grant.give(value, grant.scopes.clone(), faults, now);
        let refresh_token = grant.refresh_token.clone();
        // One more than allowed ends the first, and the access tokens with it.
        while self.grants.len() >= faults.live_refresh_tokens.max(1) {
            self.grants.pop_front();
        }
        self.grants.push_back(grant);
        Ok((access, Some(refresh_token)))
    }

    fn for_the_client(
        &mut self,
        soid: &str,
        scope: &str,
        faults: &Faults,
        now: Timestamp,
    ) -> Minted {
        let digits = soid.strip_prefix("ZohoCRM.").unwrap_or_default();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Box::new(refused("missing_org_info")));
        }
        let Some(scopes) = scopes(scope) else {
            return Err(Box::new(refused("invalid_scope")));
        };
        let value = self.mint();
        Ok((self.own.give(value, Some(scopes), faults, now), None))
    }

    /// The API console makes a code for its client.
    pub(crate) fn code(&mut self, wish: CodeWish, now: Timestamp) -> String {
        let value = self.make();
        self.codes.push(Code {
            value: value.clone(),
            scopes: wish.scopes,
            redirect_uri: wish.redirect_uri,
            ends: now.saturating_add(wish.life).unwrap_or(Timestamp::MAX),
        });
        value
    }

    fn mint(&mut self) -> String {
        self.minted += 1;
        self.make()
    }

    /// A new token or code. Its halves only look random: it is guessable, and nothing is behind it.
    fn make(&mut self) -> String {
        self.made += 1;
        let number = u128::from(self.made);
        let center = self
            .center
            .name()
            .bytes()
            .fold(0, |sum, byte| sum * 0x100 + u128::from(byte));
        format!(
            "1000.{:032x}.{center:08x}{number:024x}",
            number * 0x9e37_79b9_7f4a_7c15 + center
        )
    }

    /// `POST /oauth/v2/token/revoke`, and the newer `/oauth/v2/revoke/token`. A refresh token takes its access tokens
    /// with it.
    pub(crate) fn revoke(&mut self, parameters: &Parameters) -> Answer {
        let token = parameters.get("token").map_or("", String::as_str);
        let before = self.tokens();
        self.grants.retain(|grant| grant.refresh_token != token);
        for grant in self.all() {
            grant.live.retain(|access| access.value != token);
        }
        if self.tokens() == before {
            return Answer::json(400, json!({"error": "invalid_token"}));
        }
        Answer::json(200, json!({"status": "success"}))
    }

    fn tokens(&self) -> usize {
        let grants = self.grants.iter().chain([&self.own]);
        grants.map(|grant| 1 + grant.live.len()).sum()
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Grant> {
        self.grants.iter_mut().chain([&mut self.own])
    }

    /// The live access token with this value.
    pub(crate) fn find(&mut self, value: &str, now: Timestamp) -> Option<&Access> {
        self.all().for_each(|grant| grant.drop_dead(now));
        let grants = self.grants.iter().chain([&self.own]);
        grants
            .flat_map(|grant| &grant.live)
            .find(|access| access.value == value)
    }

    /// Ends every access token's life.
    pub(crate) fn expire_all(&mut self) {
        self.all().for_each(|grant| grant.live.clear());
    }
}

/// An access token, and the refresh token if one came with it.
type Minted = Result<(Access, Option<String>), Box<Answer>>;

impl Grant {
    /// One more access token; the oldest ones end if there are too many.
    fn give(
        &mut self,
        value: String,
        scopes: Option<Vec<String>>,
        faults: &Faults,
        now: Timestamp,
    ) -> Access {
        self.drop_dead(now);
        while self.live.len() >= faults.live_tokens.max(1) {
            self.live.pop_front();
        }
        let access = Access {
            value,
            ends: now.saturating_add(LIFE).unwrap_or(Timestamp::MAX),
            scopes,
        };
        self.live.push_back(access.clone());
        access
    }

    fn drop_dead(&mut self, now: Timestamp) {
        self.live.retain(|access| access.ends > now);
    }
}

/// The scopes of a list; none if there are none, or one of them is no scope of Zoho's.
pub(crate) fn scopes(list: &str) -> Option<Vec<String>> {
    let scopes: Vec<String> = list
        .split([',', ' '])
        .filter(|scope| !scope.is_empty())
        .map(str::to_owned)
        .collect();
    let known = !scopes.is_empty() && scopes.iter().all(|scope| scope.starts_with("Zoho"));
    known.then_some(scopes)
}

fn refused(error: &str) -> Answer {
    Answer::json(200, json!({"error": error}))
}

/// Recorded bodies of the mint throttle: even `error` follows the account's language.
fn throttled(faults: &Faults) -> Answer {
    let (description, error) = if faults.localised_error {
        ("您已连续提出过多请求，请稍后再试。", "拒绝访问")
    } else {
        (
            "You have made too many requests continuously. Please try again after some time.",
            "Access Denied",
        )
    };
    Answer::json(
        faults.throttle_status,
        json!({"error_description": description, "error": error, "status": "failure"}),
    )
}

fn success(
    access: &Access,
    refresh_token: Option<String>,
    faults: &Faults,
    place: &Place,
) -> Answer {
    let mut body = json!({"access_token": access.value});
    if let Some(refresh_token) = refresh_token.filter(|_| !faults.omit_refresh_token) {
        body["refresh_token"] = json!(refresh_token);
    }
    if !faults.omit_scope {
        // Asked for with commas, answered with spaces.
        body["scope"] = match &access.scopes {
            Some(scopes) => json!(scopes.join(" ")),
            None => json!(faults.granted().join(" ")),
        };
    }
    if !faults.omit_api_domain {
        body["api_domain"] = json!(faults.api_domain.as_deref().unwrap_or(&place.url));
    }
    // The answer says `Bearer`, although the header must say `Zoho-oauthtoken`.
    body["token_type"] = json!("Bearer");
    let seconds = LIFE.as_secs();
    if faults.expires_in_ms {
        body["expires_in_sec"] = json!(seconds);
        body["expires_in"] = json!(seconds * 1000);
    } else {
        body["expires_in"] = json!(seconds);
    }
    Answer::json(200, body)
}

/// `GET /oauth/serverinfo`: where the data centres' accounts servers are.
pub(crate) fn server_info(places: &[Place]) -> Answer {
    let locations: serde_json::Map<String, Value> = places
        .iter()
        .map(|place| (place.center.name().to_owned(), json!(place.url)))
        .collect();
    Answer::json(200, json!({"result": "success", "locations": locations}))
}
