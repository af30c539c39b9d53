//! The cache of access tokens that all processes share: one refresh per connection and token lifetime, however many
//! processes start at once.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;

use super::token::Token;

/// The cached state of a connection's access token.
#[derive(Clone, Debug, Default)]
pub struct CachedToken {
    /// The token, if there is one.
    pub token: Option<Token>,
    /// No process requests a token before this time.
    pub throttled_until: Option<Timestamp>,
}

/// A cache in which processes share access tokens. Its errors are texts: if it fails, each process continues alone.
#[async_trait]
pub trait TokenCache: fmt::Debug + Send + Sync {
    /// Reads the entry of a connection.
    ///
    /// # Errors
    /// The cache does not answer.
    async fn read(&self, connection: &str) -> Result<CachedToken, String>;

    /// Locks the entry until `until`, for the process that requests a token. Returns the lock's holder, or `None` if
    /// another process holds the lock.
    ///
    /// # Errors
    /// The cache does not answer.
    async fn lock(
        &self,
        connection: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<String>, String>;

    /// Writes the entry under a lock that is still held.
    ///
    /// # Errors
    /// The cache does not answer, or another process holds the lock by now.
    async fn write(
        &self,
        connection: &str,
        entry: &CachedToken,
        holder: &str,
        until: Timestamp,
    ) -> Result<(), String>;

    /// Releases the lock.
    async fn unlock(&self, connection: &str, holder: &str);
}
