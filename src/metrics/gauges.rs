//! Values that are read when somebody asks for them.

use jiff::Timestamp;

/// The state of the store and of the connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Dead letters in the store, if they could be counted.
    pub dead_letters: Option<u64>,
    /// When the job was due that waits longest, if one is due.
    pub oldest_due: Option<Timestamp>,
    /// Whether the due jobs could be read.
    pub due_is_known: bool,
    /// Entries that the log of deliveries lacks because too many came at once.
    pub log_left_out: u64,
    /// Entries that the log of deliveries lacks because they could not be written.
    pub log_failed: u64,
    /// The connections of the config.
    pub connections: Vec<ConnectionGauges>,
}

/// The state of one connection, as far as this process knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionGauges {
    /// The name.
    pub name: String,
    /// API credits that remain. Zoho reports them once half of the day's credits are used.
    pub credits_remaining: Option<u64>,
    /// When the access token expires, if there is one.
    pub token_expires_at: Option<Timestamp>,
}
