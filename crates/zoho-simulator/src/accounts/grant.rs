//! Refresh tokens with their access tokens, and the quotas on issuing them.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use crate::faults::Faults;

/// The lifetime of an access token.
pub(crate) const ACCESS_TOKEN_LIFETIME: SignedDuration = SignedDuration::from_secs(3600);

/// The window of both quotas: 10 access tokens per refresh token, and 10 refresh tokens per client.
const QUOTA_WINDOW: SignedDuration = SignedDuration::from_secs(600);

/// A valid access token.
#[derive(Clone, Debug)]
pub(crate) struct AccessToken {
    pub(crate) value: String,
    pub(crate) expires_at: Timestamp,
    /// The requested scopes; `None` means all scopes that the user granted.
    pub(crate) scopes: Option<Vec<String>>,
}

/// The times at which tokens were issued within the quota window.
#[derive(Debug, Default)]
pub(crate) struct RateQuota(VecDeque<Timestamp>);

impl RateQuota {
    /// Takes one from the quota. Returns `false` if `max` were taken within the window.
    pub(crate) fn take(&mut self, max: usize, now: Timestamp) -> bool {
        self.0.retain(|at| now.duration_since(*at) < QUOTA_WINDOW);
        let available = self.0.len() < max;
        if available {
            self.0.push_back(now);
        }
        available
    }
}

/// A refresh token, or the client's own grant, with its access tokens.
#[derive(Debug, Default)]
pub(crate) struct RefreshGrant {
    /// The refresh token; empty for the client's own grant.
    pub(crate) refresh_token: String,
    /// The scopes of the access tokens; `None` means all scopes that the user granted.
    pub(crate) scopes: Option<Vec<String>>,
    pub(crate) quota: RateQuota,
    pub(crate) access_tokens: VecDeque<AccessToken>,
}

impl RefreshGrant {
    pub(crate) fn new(refresh_token: String, scopes: Option<Vec<String>>) -> Self {
        Self {
            refresh_token,
            scopes,
            ..Self::default()
        }
    }

    /// Issues an access token. Beyond the limit, it revokes the oldest ones.
    pub(crate) fn issue(&mut self, value: String, faults: &Faults, now: Timestamp) -> AccessToken {
        self.remove_expired(now);
        while self.access_tokens.len() >= faults.live_tokens.max(1) {
            self.access_tokens.pop_front();
        }
        let access = AccessToken {
            value,
            expires_at: now
                .saturating_add(ACCESS_TOKEN_LIFETIME)
                .unwrap_or(Timestamp::MAX),
            scopes: self.scopes.clone(),
        };
        self.access_tokens.push_back(access.clone());
        access
    }

    pub(crate) fn remove_expired(&mut self, now: Timestamp) {
        self.access_tokens.retain(|access| access.expires_at > now);
    }
}
