//! Keys, attributes and their values. Moments are milliseconds since 1970, except `ends`: DynamoDB's TTL attribute is in
//! seconds.

use std::collections::HashMap;
use std::io::{Read, Write};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use jiff::Timestamp;

use crate::store::ItemLocation;

/// An item of the table.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The sort key of every item that is not a part.
pub(super) const HEAD: &str = "head";

/// The number of partitions of an index. One partition would limit it to a thousand writes a second.
pub(super) const SHARDS: u32 = 8;

/// The index partition of an id.
pub(super) fn shard(kind: &str, id: &str) -> String {
    format!("{kind}#{}", shard_number(id))
}

/// The number of an id's index partition.
pub(super) fn shard_number(id: &str) -> u32 {
    id.bytes().map(u32::from).sum::<u32>() % SHARDS
}

/// The size up to which the best compression takes no time worth mentioning.
const SMALL_DOCUMENT: usize = 64 * 1024;

/// The key of a head item.
pub(super) fn key(pk: &str) -> Item {
    Item::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(HEAD))])
}

/// A head item with those attributes that have a value.
pub(super) fn head_item<'a>(
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

/// Reads a text attribute.
pub(super) fn get<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

/// Reads a number.
pub(super) fn get_number<T: std::str::FromStr>(item: &Item, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// Reads a moment.
pub(super) fn get_ms(item: &Item, name: &str) -> Option<Timestamp> {
    Timestamp::from_millisecond(get_number(item, name)?).ok()
}

/// Reads a moment in seconds.
pub(super) fn get_seconds(item: &Item, name: &str) -> Option<Timestamp> {
    Timestamp::from_second(get_number(item, name)?).ok()
}

/// Reads binary data.
pub(super) fn get_bytes<'a>(item: &'a Item, name: &str) -> Option<&'a [u8]> {
    item.get(name)?.as_b().ok().map(AsRef::as_ref)
}

/// Whether the item has expired. DynamoDB may delete it days later.
pub(super) fn has_expired(item: &Item, now: Timestamp) -> bool {
    get_number::<i64>(item, "ends").is_some_and(|ends| ends <= now.as_second())
}

/// The attribute that names the parts of a document.
fn parts_attribute(document: &str) -> String {
    format!("{document}_parts")
}

/// Encodes a document's location. The TTL is not encoded, because only the parts know it.
pub(super) fn location_text(location: &ItemLocation) -> Option<AttributeValue> {
    match location {
        ItemLocation::Inline => None,
        ItemLocation::Parts {
            generation, count, ..
        } => Some(text(format!("{generation}/{count}"))),
    }
}

/// Reads a document's location.
pub(super) fn get_location(item: &Item, document: &str) -> ItemLocation {
    let parts = get(item, &parts_attribute(document)).and_then(|text| text.split_once('/'));
    match parts {
        None => ItemLocation::Inline,
        Some((generation, count)) => ItemLocation::Parts {
            generation: generation.to_owned(),
            // An unreadable count matches no parts, and the job is then unreadable.
            count: count.parse().unwrap_or(u32::MAX),
            ends: None,
        },
    }
}

/// Compresses a document. Ids and states are repetitive, and AWS charges for every kilobyte written.
pub(super) fn pack(document: &[u8]) -> Vec<u8> {
    let level = match document.len() <= SMALL_DOCUMENT {
        true => Compression::best(),
        false => Compression::fast(),
    };
    let mut packed = ZlibEncoder::new(Vec::new(), level);
    // Writing to memory cannot fail; if it did, the checksum would fail on reading.
    let _ = packed.write_all(document);
    packed.finish().unwrap_or_default()
}

/// Decompresses a document.
pub(super) fn unpack(packed: &[u8]) -> Result<Vec<u8>, String> {
    let mut document = Vec::new();
    let read = ZlibDecoder::new(packed).read_to_end(&mut document);
    read.map(|_| document)
        .map_err(|error| format!("it is damaged: {error}"))
}

/// Decompresses a text document.
pub(super) fn unpack_text(packed: &[u8]) -> Result<String, String> {
    String::from_utf8(unpack(packed)?).map_err(|error| format!("it is damaged: {error}"))
}
