//! Keys, attributes and their values. Moments are milliseconds since 1970, but for `ends`, which DynamoDB reads itself
//! and wants in seconds.

use std::collections::HashMap;
use std::io::{Read, Write};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::job::store::ItemLocation;

/// An item of the table.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The sort key of everything but parts.
pub(super) const HEAD: &str = "head";

/// The indexes' partitions: one partition would take a thousand writes a second at most.
pub(super) const SHARDS: u32 = 8;

/// The partition of an index that something belongs to.
pub(super) fn shard(kind: &str, id: &str) -> String {
    let number = id.bytes().map(u32::from).sum::<u32>() % SHARDS;
    format!("{kind}#{number}")
}

/// The whole key of something that is not a part.
pub(super) fn key(pk: &str) -> Item {
    Item::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(HEAD))])
}

/// The whole item of something that is not a part, with the attributes that it has.
pub(super) fn whole<'a>(
    pk: &str,
    attributes: impl IntoIterator<Item = (&'a str, Option<AttributeValue>)>,
) -> Item {
    let attributes = attributes.into_iter();
    let mut item = key(pk);
    item.extend(attributes.filter_map(|(name, value)| Some((name.to_owned(), value?))));
    item
}

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn ms(at: Timestamp) -> AttributeValue {
    number(at.as_millisecond())
}

pub(super) fn seconds(at: Timestamp) -> AttributeValue {
    number(at.as_second())
}

pub(super) fn bytes(value: Vec<u8>) -> AttributeValue {
    AttributeValue::B(Blob::new(value))
}

/// The name of a status, as its JSON has it.
pub(super) fn name(status: &impl Serialize) -> Option<AttributeValue> {
    match serde_json::to_value(status) {
        Ok(Value::String(name)) => Some(text(name)),
        _ => None,
    }
}

/// A text attribute.
pub(super) fn get<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

/// A status by its name.
pub(super) fn get_named<T: DeserializeOwned>(item: &Item, name: &str) -> Option<T> {
    serde_json::from_value(Value::String(get(item, name)?.to_owned())).ok()
}

/// A number attribute.
pub(super) fn get_number<T: std::str::FromStr>(item: &Item, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// A moment.
pub(super) fn get_ms(item: &Item, name: &str) -> Option<Timestamp> {
    Timestamp::from_millisecond(get_number(item, name)?).ok()
}

/// A binary attribute.
pub(super) fn get_bytes<'a>(item: &'a Item, name: &str) -> Option<&'a [u8]> {
    item.get(name)?.as_b().ok().map(AsRef::as_ref)
}

/// Whether the item is over, even if DynamoDB has not deleted it yet; that takes it days at times.
pub(super) fn has_ended(item: &Item, now: Timestamp) -> bool {
    get_number::<i64>(item, "ends").is_some_and(|ends| ends <= now.as_second())
}

/// The attribute that says which parts hold a piece.
pub(super) fn parts_name(piece: &str) -> String {
    format!("{piece}_parts")
}

/// Where a piece is, as its attribute says it. Whether its parts are has_ttl only they know.
pub(super) fn place_text(place: &ItemLocation) -> Option<AttributeValue> {
    match place {
        ItemLocation::Inline => None,
        ItemLocation::Parts {
            generation, count, ..
        } => Some(text(format!("{generation}/{count}"))),
    }
}

/// Where a piece is.
pub(super) fn get_place(item: &Item, piece: &str) -> ItemLocation {
    let parts = get(item, &parts_name(piece)).and_then(|text| text.split_once('/'));
    match parts {
        None => ItemLocation::Inline,
        Some((generation, count)) => ItemLocation::Parts {
            generation: generation.to_owned(),
            // An unreadable count finds no parts, and the job is then unreadable.
            count: count.parse().unwrap_or(u32::MAX),
            has_ttl: false,
        },
    }
}

/// A document, made small: ids and states repeat themselves, and every kilobyte written costs.
pub(super) fn pack(document: &[u8]) -> Vec<u8> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory cannot fail; if it did, the reader would notice by the checksum.
    let _ = packed.write_all(document);
    packed.finish().unwrap_or_default()
}

/// The document.
pub(super) fn unpack(packed: &[u8]) -> Result<Vec<u8>, String> {
    let mut document = Vec::new();
    let read = ZlibDecoder::new(packed).read_to_end(&mut document);
    read.map(|_| document)
        .map_err(|error| format!("it is damaged: {error}"))
}

/// The document, which is text.
pub(super) fn unpack_text(packed: &[u8]) -> Result<String, String> {
    String::from_utf8(unpack(packed)?).map_err(|error| format!("it is damaged: {error}"))
}
