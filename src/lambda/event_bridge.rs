//! Events of EventBridge: of rules and schedules, of custom buses, and the records of pipes. Custom buses and pipes send
//! several in a list.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::error::InvokeError;
use super::sqs::SqsMessage;
use crate::inbound::AwsEvent;
use crate::trigger::{Origin, Trigger};

/// The entry of the system metadata with the event's id.
const EVENT_ID: &str = "aws:EventId";

/// The elements of a list.
pub(super) enum EventList {
    /// Records of a pipe from SQS.
    Sqs(Vec<SqsMessage>),
    /// Any other elements, each an event of its own.
    Events(Vec<AwsEvent>),
}

impl EventList {
    /// Reads a list. Its elements are events and nothing else: whoever publishes to the bus determines their content, and must
    /// not be able to send an update request.
    pub(super) fn parse(list: &RawValue) -> Result<Self, InvokeError> {
        let unreadable = |error: serde_json::Error| {
            InvokeError::unknown_event(format!("the list of events cannot be read: {error}"))
        };
        let elements: Vec<&RawValue> = serde_json::from_str(list.get()).map_err(unreadable)?;
        let is_sqs = |element: &&RawValue| Record::of(element).is_from("aws:sqs");
        if !elements.is_empty() && elements.iter().all(is_sqs) {
            let messages = serde_json::from_str(list.get()).map_err(unreadable)?;
            return Ok(Self::Sqs(messages));
        }
        Ok(Self::Events(elements.into_iter().map(event_of).collect()))
    }
}

/// The keys by which elements differ.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Record {
    #[serde(rename = "eventSource")]
    source: Option<String>,
    #[serde(rename = "eventID", alias = "messageID")]
    id: Option<String>,
    #[serde(rename = "messageId")]
    message_id: Option<String>,
    topic: Option<String>,
    partition: Option<u64>,
    offset: Option<u64>,
}

impl Record {
    /// Reads the keys of a record; an element of another form has none.
    fn of(element: &RawValue) -> Self {
        serde_json::from_str(element.get()).unwrap_or_default()
    }

    fn is_from(&self, service: &str) -> bool {
        self.source.as_deref() == Some(service)
    }

    /// The id of the record, the same for every redelivery.
    fn id(&self) -> Option<String> {
        let position = || {
            let (topic, partition) = (self.topic.as_ref()?, self.partition?);
            Some(format!("{topic}/{partition}/{}", self.offset?))
        };
        let id = self.id.clone().or_else(|| self.message_id.clone());
        id.or_else(position).filter(|_| self.source.is_some())
    }

    /// The id with which a pipe retries the record alone.
    fn retry_id(&self) -> Option<String> {
        match self.source.as_deref() {
            Some("aws:sqs") => self.message_id.clone(),
            Some("aws:kinesis" | "aws:dynamodb") => self.id.clone(),
            Some(_) | None => None,
        }
    }
}

/// Reads one element of a list: an event of a bus, a record of a pipe, or any other JSON.
fn event_of(element: &RawValue) -> AwsEvent {
    if let Some(event) = event_of_bus(element) {
        return event;
    }
    let record = Record::of(element);
    if record.is_from("aws:sqs")
        && let Ok(message) = serde_json::from_str::<SqsMessage>(element.get())
    {
        let event = message.to_event();
        return AwsEvent {
            retry_id: record.retry_id(),
            ..event
        };
    }
    AwsEvent {
        origin: Origin::of(Trigger::EventBridge)
            .with("id", record.id().as_deref())
            .with("source", record.source.as_deref()),
        retry_id: record.retry_id(),
        body: body_of(element),
    }
}

/// Reads an event of a rule, a schedule or a custom bus; `None` if it is something else.
pub(super) fn event_of_bus(event: &RawValue) -> Option<AwsEvent> {
    #[derive(Deserialize)]
    struct BusEvent<'a> {
        #[serde(rename = "detail-type")]
        detail_type: Option<Value>,
        source: Option<Value>,
        #[serde(borrow)]
        detail: Option<&'a RawValue>,
        id: Option<String>,
        #[serde(rename = "replay-name")]
        replay_name: Option<String>,
        #[serde(rename = "Data", borrow)]
        data: Option<&'a RawValue>,
        #[serde(rename = "Metadata", default)]
        metadata: Option<Map<String, Value>>,
        #[serde(rename = "SystemMetadata")]
        system_metadata: Option<Map<String, Value>>,
    }
    let repaired = strict_reader::replace_lone_surrogates(event.get().as_bytes());
    let parsed: BusEvent<'_> = serde_json::from_slice(&repaired.text).ok()?;
    if let (Some(data), Some(system)) = (parsed.data, parsed.system_metadata) {
        let inner = event_of_bus(data);
        let inner = inner.map_or_else(|| Origin::of(Trigger::EventBridge), |inner| inner.origin);
        return Some(AwsEvent {
            origin: with_metadata(inner, &system, parsed.metadata.unwrap_or_default()),
            retry_id: None,
            body: body_of(data),
        });
    }
    let is_event =
        parsed.detail_type.is_some() && parsed.source.is_some() && parsed.detail.is_some();
    is_event.then(|| AwsEvent {
        origin: Origin::of(Trigger::EventBridge)
            .with("id", parsed.id.as_deref())
            .with("replay-name", parsed.replay_name.as_deref()),
        retry_id: None,
        body: Bytes::copy_from_slice(event.get().as_bytes()),
    })
}

/// Adds the metadata of a custom bus: what EventBridge assigns, and the publisher's keys as attributes.
fn with_metadata(
    mut origin: Origin,
    system: &Map<String, Value>,
    metadata: Map<String, Value>,
) -> Origin {
    for (name, value) in system {
        let name = match name.as_str() {
            EVENT_ID => "id".to_owned(),
            name => kebab_case(name.strip_prefix("aws:").unwrap_or(name)),
        };
        origin = origin.with(&name, value.as_str());
    }
    let attributes = metadata
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())));
    origin.attributes.extend(attributes);
    origin
}

/// Converts a name such as `DeliveryType` to the form of EventBridge's other fields: `delivery-type`.
fn kebab_case(name: &str) -> String {
    let mut kebab = String::with_capacity(name.len() + 4);
    for character in name.chars() {
        if character.is_ascii_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.push(character.to_ascii_lowercase());
    }
    kebab
}

/// The body of an element: the text of a string, or the JSON text of anything else.
fn body_of(element: &RawValue) -> Bytes {
    match serde_json::from_str::<String>(element.get()) {
        Ok(text) => Bytes::from(text),
        Err(_) => Bytes::copy_from_slice(element.get().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use serde_json::value::to_raw_value;

    use super::*;

    fn events(list: &Value) -> Vec<AwsEvent> {
        match EventList::parse(&to_raw_value(list).expect("JSON")) {
            Ok(EventList::Events(events)) => events,
            Ok(EventList::Sqs(_)) => panic!("a batch of SQS messages"),
            Err(error) => panic!("{error}"),
        }
    }

    fn shown(event: &AwsEvent) -> Value {
        json!([
            event.origin.variable(),
            event.retry_id,
            String::from_utf8_lossy(&event.body),
        ])
    }

    #[test]
    fn each_element_is_an_event_of_its_own() {
        let classic = json!({"id": "e1", "source": "s", "detail-type": "t", "detail": {}, "replay-name": "r"});
        let system =
            json!({"aws:EventId": "e2", "aws:DeliveryType": "REPLAY", "aws:ReplayName": "again"});
        let list = json!([
            classic,
            {"Data": classic, "Metadata": {}, "SystemMetadata": system},
            {"Data": {"ids": [1]}, "Metadata": {"kind": "order"}, "SystemMetadata": system},
            {"Data": "text", "SystemMetadata": {"aws:EventId": "e3"}},
            {"eventSource": "aws:kinesis", "eventID": "shard:1", "data": "e30="},
            {"eventSource": "aws:kafka", "topic": "t", "partition": 2, "offset": 7, "value": "e30="},
            {"eventSource": "aws:sqs", "messageId": "m1", "body": "{}", "eventSourceARN": "arn:q"},
            {"ids": [2]},
            "line",
            7,
        ]);
        let events = events(&list);
        let all: Vec<Value> = events.iter().map(shown).collect();
        let text = classic.to_string();
        assert_eq!(
            json!(all),
            json!([
                [{"id": "e1", "replay-name": "r", "type": "eventbridge"}, null, text],
                [{"id": "e2", "replay-name": "again", "delivery-type": "REPLAY", "type": "eventbridge"}, null, text],
                [{"id": "e2", "replay-name": "again", "delivery-type": "REPLAY", "type": "eventbridge"}, null, "{\"ids\":[1]}"],
                [{"id": "e3", "type": "eventbridge"}, null, "text"],
                [{"id": "shard:1", "source": "aws:kinesis", "type": "eventbridge"}, "shard:1", list[4].to_string()],
                [{"id": "t/2/7", "source": "aws:kafka", "type": "eventbridge"}, null, list[5].to_string()],
                [{"id": "m1", "queue": "arn:q", "type": "sqs"}, "m1", "{}"],
                [{"type": "eventbridge"}, null, "{\"ids\":[2]}"],
                [{"type": "eventbridge"}, null, "line"],
                [{"type": "eventbridge"}, null, "7"],
            ])
        );
        assert_eq!(events[2].origin.attributes["kind"], "order");
    }

    #[test]
    fn list_of_sqs_records_is_a_batch() {
        let record = json!({"eventSource": "aws:sqs", "messageId": "m1", "body": "{}"});
        let list = to_raw_value(&json!([record, record])).expect("JSON");
        assert!(matches!(EventList::parse(&list), Ok(EventList::Sqs(all)) if all.len() == 2));
        assert!(events(&json!([])).is_empty());
    }

    /// A publisher determines the content of a list.
    #[test]
    fn list_contains_no_update_requests_or_deliveries() {
        for element in [
            json!({"module": "Leads", "ids": ["1"], "fields": {}}),
            json!({"route": "form", "body": {}}),
            json!({"sweep": true}),
            json!({"requestContext": {"http": {"method": "POST"}}, "rawPath": "/jobs"}),
        ] {
            let events = events(&json!([element]));
            assert_eq!(events[0].origin.trigger, Trigger::EventBridge);
            assert_eq!(events[0].body, element.to_string());
        }
    }
}
