//! The tokens that continue a list. A token is bound to the parameters of its request, and valid for 24 hours.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::request::Request;
use crate::response::{ApiResponse, EndpointResult, reject};

/// The lifetime of a token.
const LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// Parameters that may differ between the request that returned a token and one that uses it.
const UNBOUND: [&str; 2] = ["page", "page_token"];

/// A place in a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PageToken {
    pub(super) offset: usize,
    pub(super) page: usize,
    expires_at: i64,
    /// A hash of the path and the bound parameters.
    parameters: u64,
}

impl PageToken {
    pub(super) fn new(request: &Request, offset: usize, page: usize, now: Timestamp) -> Self {
        Self {
            offset,
            page,
            expires_at: Self::expiry(now).as_second(),
            parameters: parameters_hash(request),
        }
    }

    /// When a token that is returned now expires.
    pub(super) fn expiry(now: Timestamp) -> Timestamp {
        now.saturating_add(LIFETIME).unwrap_or(Timestamp::MAX)
    }

    pub(super) fn encode(&self) -> String {
        format!(
            "{:08x}{:08x}{:016x}{:016x}",
            self.offset, self.page, self.expires_at, self.parameters
        )
    }

    /// Reads the token of a request.
    pub(super) fn decode(text: &str, request: &Request, now: Timestamp) -> EndpointResult<Self> {
        let error = |code, message| {
            let details = json!({"param_name": "page_token"});
            reject(ApiResponse::error(400, code, details, message))
        };
        let number = |from: usize, to: usize| {
            let digits = text.get(from..to)?;
            u64::from_str_radix(digits, 16).ok()
        };
        let parts = (text.len() == 48)
            .then(|| {
                Some((
                    number(0, 8)?,
                    number(8, 16)?,
                    number(16, 32)?,
                    number(32, 48)?,
                ))
            })
            .flatten();
        let Some((offset, page, expires_at, parameters)) = parts else {
            return error("INVALID_DATA", "The token given seems to be invalid");
        };
        let token = Self {
            offset: usize::try_from(offset).unwrap_or(usize::MAX),
            page: usize::try_from(page).unwrap_or(usize::MAX),
            expires_at: i64::try_from(expires_at).unwrap_or(i64::MAX),
            parameters,
        };
        if token.parameters != parameters_hash(request) {
            return error(
                "TOKEN_BOUND_DATA_MISMATCH",
                "The page_token given seems to be invalid or input param is added, altered, or deleted",
            );
        }
        if token.expires_at <= now.as_second() {
            return error("EXPIRED_VALUE", "The token given has expired");
        }
        Ok(token)
    }
}

/// FNV-1a over the path and the sorted parameters.
fn parameters_hash(request: &Request) -> u64 {
    let mut bound: Vec<(&str, &str)> = request
        .query
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| !UNBOUND.contains(name))
        .collect();
    bound.sort_unstable();
    let text = format!("{} {bound:?}", request.path);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
