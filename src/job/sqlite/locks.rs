//! The statements about locks and shared tokens.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use secrecy::{ExposeSecret, SecretString};

use super::schema::{moment, ms};
use crate::job::store::{Lock, LockHolder, SharedToken};

/// Takes a lock; false if somebody else has it.
pub(super) fn lock(connection: &Connection, lock: &Lock, now: Timestamp) -> rusqlite::Result<bool> {
    let taken = connection
        .prepare_cached(
            "INSERT INTO locks (name, holder, until) VALUES (?1, ?2, ?3)
             ON CONFLICT (name) DO UPDATE SET holder = ?2, until = ?3 WHERE until <= ?4 OR holder = ?2",
        )?
        .execute(params![
            lock.name,
            lock.holder.as_str(),
            ms(lock.until),
            ms(now)
        ])?;
    Ok(taken == 1)
}

pub(super) fn unlock(
    connection: &Connection,
    name: &str,
    holder: &LockHolder,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM locks WHERE name = ?1 AND holder = ?2")?
        .execute([name, holder.as_str()])?;
    Ok(())
}

/// Ends every lock but those that an unfinished job holds: Zoho may still be at work for it.
pub(super) fn free(connection: &Connection) -> rusqlite::Result<()> {
    let delete =
        "DELETE FROM locks WHERE holder NOT IN (SELECT id FROM jobs WHERE finished_at IS NULL)";
    connection.prepare_cached(delete)?.execute([])?;
    Ok(())
}

pub(super) fn token(connection: &Connection, name: &str) -> rusqlite::Result<Option<SharedToken>> {
    connection
        .prepare_cached("SELECT value, expires_at, throttled_until FROM tokens WHERE name = ?1")?
        .query_row([name], |row| {
            let value: Option<String> = row.get(0)?;
            let throttled: Option<i64> = row.get(2)?;
            Ok(SharedToken {
                value: value.map(SecretString::from),
                expires_at: moment(row.get(1)?),
                throttled_until: throttled.map(moment),
            })
        })
        .optional()
}

/// Stores a token; false if the lock is no longer its holder's.
pub(super) fn put_token(
    connection: &Connection,
    name: &str,
    token: &SharedToken,
    lock: &Lock,
) -> rusqlite::Result<bool> {
    let put = connection
        .prepare_cached(
            "INSERT INTO tokens (name, value, expires_at, throttled_until)
             SELECT ?1, ?2, ?3, ?4 FROM locks WHERE locks.name = ?5 AND holder = ?6
             ON CONFLICT (name) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at,
                                              throttled_until = excluded.throttled_until",
        )?
        .execute(params![
            name,
            token.value.as_ref().map(ExposeSecret::expose_secret),
            ms(token.expires_at),
            token.throttled_until.map(ms),
            lock.name,
            lock.holder.as_str(),
        ])?;
    Ok(put == 1)
}
