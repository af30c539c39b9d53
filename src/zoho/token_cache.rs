//! The access token that all processes share: one refresh for each connection and lifetime, however many start cold.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;

use super::token::Token;

/// What is shared of a connection's token.
#[derive(Clone, Debug, Default)]
pub struct CachedToken {
    /// The token, if there is one.
    pub token: Option<Token>,
    /// No token is to be asked for before this moment.
    pub throttled_until: Option<Timestamp>,
}

/// A place where processes share tokens. Its errors are texts: without it, each process goes on alone.
#[async_trait]
pub trait TokenCache: fmt::Debug + Send + Sync {
    /// What is there.
    ///
    /// # Errors
    /// The place does not answer.
    async fn read(&self, connection: &str) -> Result<CachedToken, String>;

    /// The right to ask for a token until a moment, unless somebody else has it. The text identifies the holder.
    ///
    /// # Errors
    /// The place does not answer.
    async fn lock(
        &self,
        connection: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<String>, String>;

    /// Puts something there, under a right that still holds.
    ///
    /// # Errors
    /// The place does not answer, or the right is somebody else's by now.
    async fn write(
        &self,
        connection: &str,
        shelved: &CachedToken,
        holder: &str,
        until: Timestamp,
    ) -> Result<(), String>;

    /// Gives the right back.
    async fn unlock(&self, connection: &str, holder: &str);
}
