//! Keys, attributes and their values. Moments are milliseconds since 1970, except `ends`: DynamoDB's TTL attribute is in
//! seconds.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
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

/// The key of a head item.
pub(super) fn key(pk: &str) -> Item {
    Item::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(HEAD))])
}

/// A head item with those attributes that have a value.
pub(super) fn head_item<'a>(
    pk: &str,
    attributes: impl IntoIterator<Item = (&'a str, Option<AttributeValue>)>,
) -> Item {
    let mut item = key(pk);
    item.extend(self::attributes(attributes));
    item
}

/// Those attributes that have a value.
pub(super) fn attributes<'a>(
    attributes: impl IntoIterator<Item = (&'a str, Option<AttributeValue>)>,
) -> impl Iterator<Item = (String, AttributeValue)> {
    let attributes = attributes.into_iter();
    attributes.filter_map(|(name, value)| Some((name.to_owned(), value?)))
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

/// The size that AWS charges for, of an item without lists and maps.
pub(super) fn size(item: &Item) -> usize {
    let value_size = |value: &AttributeValue| {
        let size = value.as_s().map(String::len);
        let size = size.or_else(|_| value.as_b().map(|bytes| bytes.as_ref().len()));
        // Two digits in a byte, and one byte more.
        let size = size.or_else(|_| value.as_n().map(|number| number.len().div_ceil(2) + 1));
        size.unwrap_or(1)
    };
    item.iter()
        .map(|(name, value)| name.len() + value_size(value))
        .sum()
}

/// The write units of an item of this size.
pub(super) fn write_units(size: usize) -> usize {
    size.div_ceil(1024)
}
