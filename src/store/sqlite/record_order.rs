//! The order of records in SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::columns::ms;
use super::session::Session;
use super::{SqliteStore, maintenance};
use crate::clock::after;
use crate::store::{
    ClaimResult, ClaimedRecord, OrderSearch, RecordClaim, RecordOrder, RecordOrders, StoreError,
    document,
};

#[async_trait]
impl RecordOrders for SqliteStore {
    async fn claim_records(
        &self,
        claims: Vec<RecordClaim>,
        now: Timestamp,
    ) -> Result<Vec<ClaimResult>, StoreError> {
        self.write(move |session| {
            let claims = claims.iter();
            claims.map(|claim| take(session, claim, now)).collect()
        })
        .await
    }

    async fn settle_records(
        &self,
        records: Vec<(ClaimedRecord, bool)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(move |session| {
            for (ClaimedRecord { claim, .. }, was_sent) in &records {
                let settled = read(session, &claim.name, now)?.settle(&claim.holder, *was_sent);
                if let Some(order) = settled {
                    put(session, claim, &order, now)?;
                }
            }
            Ok(())
        })
        .await
    }

    async fn find_orders(&self, search: &OrderSearch) -> Result<Vec<String>, StoreError> {
        let search = search.clone();
        self.list_rows(move |session| {
            let matcher = search.matcher();
            let mut select = session
                .connection
                .prepare_cached("SELECT name FROM record_orders")?;
            let mut rows = select.query([])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let name: String = row.get(0)?;
                if matcher.is_meant(&name) {
                    found.push(name);
                }
            }
            Ok(found)
        })
        .await
    }

    async fn delete_orders(&self, names: &[String]) -> Result<(), StoreError> {
        let names = names.to_vec();
        self.write(move |session| {
            maintenance::overwriting(&session.connection, |connection| {
                let mut delete =
                    connection.prepare_cached("DELETE FROM record_orders WHERE name = ?1")?;
                names
                    .iter()
                    .try_for_each(|name| delete.execute([name]).map(drop))
            })
        })
        .await
    }
}

/// The time by which orders expire: that of retention, or the clock's in a store that keeps jobs by number.
fn time(session: &Session, now: Timestamp) -> Timestamp {
    match session.keeps_by_number() {
        true => now,
        false => session.horizon(),
    }
}

fn take(session: &Session, claim: &RecordClaim, now: Timestamp) -> rusqlite::Result<ClaimResult> {
    match read(session, &claim.name, now)?.claim(claim, now) {
        Ok(stored) => {
            put(session, claim, &stored, now)?;
            let claim = claim.clone();
            Ok(ClaimResult::Claimed(Box::new(ClaimedRecord {
                claim,
                stored,
            })))
        }
        Err(refused) => Ok(refused),
    }
}

/// The order of a record. One that cannot be read counts as absent: it would block the record for good.
fn read(session: &Session, name: &str, now: Timestamp) -> rusqlite::Result<RecordOrder> {
    let stored = session
        .connection
        .prepare_cached("SELECT stored FROM record_orders WHERE name = ?1 AND ended > ?2")?
        .query_row(params![name, ms(time(session, now))], |row| {
            row.get::<_, String>(0)
        })
        .optional()?;
    let decoded = stored.map(|stored| document::decode(&stored));
    Ok(decoded.transpose().unwrap_or_default().unwrap_or_default())
}

fn put(
    session: &Session,
    claim: &RecordClaim,
    order: &RecordOrder,
    now: Timestamp,
) -> rusqlite::Result<()> {
    if order.is_empty() {
        let mut delete = session
            .connection
            .prepare_cached("DELETE FROM record_orders WHERE name = ?1")?;
        delete.execute([&claim.name])?;
        return Ok(());
    }
    let stored = document::encode(order)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    let ended = after(time(session, now), claim.lifetime(now));
    session
        .connection
        .prepare_cached(
            "INSERT INTO record_orders (name, stored, ended) VALUES (?1, ?2, ?3)
             ON CONFLICT (name) DO UPDATE SET stored = ?2, ended = ?3",
        )?
        .execute(params![claim.name, stored, ms(ended)])?;
    Ok(())
}
