//! Locks and shared values in SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use secrecy::{ExposeSecret, SecretString};

use super::columns::ms;
use super::session::Session;
use super::{SqliteStore, job_rows};
use crate::job::JobId;
use crate::store::error::StoreError;
use crate::store::lock::{Lock, LockHolder};
use crate::store::{KeyValue, Locks};

#[async_trait]
impl Locks for SqliteStore {
    async fn lock(
        &self,
        name: &str,
        holder: &LockHolder,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Lock>, StoreError> {
        let lock = Lock {
            name: name.to_owned(),
            holder: holder.clone(),
            until,
        };
        self.write(move |session| {
            let taken = take_lock(&session.connection, &lock, now)?;
            Ok(taken.then(|| lock.clone()))
        })
        .await
    }

    async fn unlock(&self, name: &str, holder: &LockHolder) -> Result<(), StoreError> {
        let (name, holder) = (name.to_owned(), holder.clone());
        self.write(move |session| {
            session
                .connection
                .prepare_cached("DELETE FROM locks WHERE name = ?1 AND holder = ?2")?
                .execute([&name, holder.as_str()])?;
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl KeyValue for SqliteStore {
    async fn value(&self, key: &str) -> Result<Option<SecretString>, StoreError> {
        let key = key.to_owned();
        let value = self.read(move |session| {
            session
                .connection
                .prepare_cached("SELECT value FROM shared_values WHERE key = ?1")?
                .query_row([&key], |row| row.get::<_, String>(0))
                .optional()
        });
        Ok(value.await?.map(SecretString::from))
    }

    async fn put_value(
        &self,
        key: &str,
        value: &SecretString,
        lock: &Lock,
    ) -> Result<(), StoreError> {
        let (key, value, held) = (key.to_owned(), value.clone(), lock.clone());
        let put = self.write(move |session| put_value(&session.connection, &key, &value, &held));
        if put.await? {
            Ok(())
        } else {
            Err(StoreError::LockLost(lock.name.clone()))
        }
    }
}

/// Takes a lock. Returns false if another holder has it.
fn take_lock(connection: &Connection, lock: &Lock, now: Timestamp) -> rusqlite::Result<bool> {
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

/// Deletes every lock except those of unfinished jobs, for which Zoho may still be working. There are few locks.
pub(super) fn break_locks(session: &Session) -> rusqlite::Result<()> {
    let connection = &session.connection;
    let mut holders = connection.prepare_cached("SELECT DISTINCT holder FROM locks")?;
    let holders = holders.query_map([], |row| row.get(0))?;
    for holder in holders.collect::<rusqlite::Result<Vec<String>>>()? {
        if !job_rows::is_unfinished(session, &JobId::from_outside(&holder))? {
            let delete = "DELETE FROM locks WHERE holder = ?1";
            connection.prepare_cached(delete)?.execute([&holder])?;
        }
    }
    Ok(())
}

/// Writes a value. Returns false if the lock has another holder, or none.
fn put_value(
    connection: &Connection,
    key: &str,
    value: &SecretString,
    lock: &Lock,
) -> rusqlite::Result<bool> {
    let put = connection
        .prepare_cached(
            "INSERT INTO shared_values (key, value)
             SELECT ?1, ?2 FROM locks WHERE locks.name = ?3 AND holder = ?4
             ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        )?
        .execute(params![
            key,
            value.expose_secret(),
            lock.name,
            lock.holder.as_str(),
        ])?;
    Ok(put == 1)
}
