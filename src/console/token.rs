//! The token of the console: random for each start, or the configured key.

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::sync;

/// Wrong tokens that are answered at once.
const BURST: u32 = 20;

/// Time after which one more wrong token is answered with 401.
const REFILL: Duration = Duration::from_secs(1);

/// What a request must present.
#[derive(Clone, Debug)]
pub enum Credential {
    /// The token of this start.
    Token(Token),
    /// The key that the config names.
    ConfiguredKey,
}

/// A random token, shown once when the console starts.
#[derive(Clone)]
pub struct Token(SecretString);

impl Token {
    /// Draws a token of 256 random bits.
    ///
    /// # Errors
    /// A message, if the operating system provides no random numbers.
    pub fn random() -> Result<Self, String> {
        let mut bytes = [0; 32];
        aws_lc_rs::rand::fill(&mut bytes)
            .map_err(|_| "the operating system provides no random numbers".to_owned())?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes).into()))
    }

    /// The token as text, for the address that is printed.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Compares in constant time.
    pub(super) fn matches(&self, given: &str) -> bool {
        given.as_bytes().ct_eq(self.expose().as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token")
    }
}

/// Bounds the rate of wrong tokens. A right token always passes, so that a flood of wrong ones locks nobody out.
#[derive(Debug)]
pub(super) struct WrongTokens(Mutex<Allowance>);

#[derive(Debug)]
struct Allowance {
    left: u32,
    refilled: Instant,
}

impl WrongTokens {
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(Allowance {
            left: BURST,
            refilled: now,
        }))
    }

    /// Counts a wrong token. Returns whether the limit allows it.
    pub(super) fn count(&self, now: Instant) -> bool {
        let mut allowance = sync::lock(&self.0);
        let passed = now.saturating_duration_since(allowance.refilled).as_secs();
        let gained = u32::try_from(passed / REFILL.as_secs()).unwrap_or(u32::MAX);
        if gained > 0 {
            allowance.left = allowance.left.saturating_add(gained).min(BURST);
            allowance.refilled = now;
        }
        let is_allowed = allowance.left > 0;
        allowance.left = allowance.left.saturating_sub(1);
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_tokens_differ_and_match_only_themselves() {
        let (one, other) = (Token::random().unwrap(), Token::random().unwrap());
        assert_eq!(one.expose().len(), 43);
        assert!(one.matches(one.expose()) && !one.matches(other.expose()));
        assert!(!one.matches("") && !one.matches(&one.expose()[..42]));
        assert_eq!(format!("{one:?}"), "Token");
    }

    #[test]
    fn wrong_tokens_are_limited_and_refill() {
        let start = Instant::now();
        let wrong = WrongTokens::new(start);
        assert!((0..BURST).all(|_| wrong.count(start)));
        assert!(!wrong.count(start));
        assert!(!wrong.count(start + REFILL / 2));
        assert!(wrong.count(start + 2 * REFILL));
        assert!(wrong.count(start + 2 * REFILL));
        assert!(!wrong.count(start + 2 * REFILL));
        let later = start + 100 * BURST * REFILL;
        assert!((0..BURST).all(|_| wrong.count(later)));
        assert!(!wrong.count(later));
    }
}
