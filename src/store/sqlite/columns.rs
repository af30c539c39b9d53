//! Conversions between columns and values. Moments are milliseconds since 1970.

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Encodes a moment.
pub(super) fn ms(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// Decodes a moment.
pub(super) fn moment(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)
}

/// Encodes a limit.
pub(super) fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Encodes a status by its name in JSON.
pub(super) fn name(status: &impl Serialize) -> Option<String> {
    match serde_json::to_value(status) {
        Ok(Value::String(name)) => Some(name),
        _ => None,
    }
}

/// Decodes a status.
pub(super) fn from_name<T: DeserializeOwned>(column: usize, name: String) -> rusqlite::Result<T> {
    serde_json::from_value(Value::String(name)).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            rusqlite::types::Type::Text,
            Box::new(error),
        )
    })
}
