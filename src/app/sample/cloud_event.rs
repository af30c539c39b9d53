//! A sample delivery as a CloudEvent 1.0, in structured or binary mode.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderName;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value};
use webhook_verify::verify::OutgoingWebhook;

use crate::inbound::cloud_events::{ContentMode, STRUCTURED_TYPE, is_json, is_structured};

/// The `source` and the `type` of an event that is made of another body. A body with a `type` of its own keeps it.
const SOURCE: &str = "/masshook/send";
const TYPE: &str = "com.example.sample";

const JSON: &str = "application/json";

/// How a sample becomes a CloudEvent.
#[derive(Clone, Debug)]
pub struct EventForm {
    /// The mode, unless the sample is in binary mode already.
    pub mode: ContentMode,
    /// The id of the event.
    pub id: String,
    /// The time of the event.
    pub time: String,
    /// Whether the id and the time replace those of a sample that is an event already.
    pub is_new: bool,
}

impl EventForm {
    /// Makes a delivery a CloudEvent, or a new one.
    ///
    /// # Errors
    /// Attributes that cannot be written in a header.
    pub fn apply_to(&self, delivery: &mut OutgoingWebhook) -> Result<(), String> {
        if matches!(ContentMode::of(&delivery.headers), Ok(ContentMode::Binary)) {
            if self.is_new {
                set_attribute(delivery, "id", &self.id)?;
                set_attribute(delivery, "time", &self.time)?;
            }
            return Ok(());
        }
        let (mut event, is_new) = match is_structured(&delivery.body) {
            true => (members(&delivery.body), self.is_new),
            false => (event_around(delivery), true),
        };
        for (name, value) in [("id", &self.id), ("time", &self.time)] {
            if is_new {
                event.insert(name.to_owned(), value.as_str().into());
            }
        }
        match self.mode {
            ContentMode::Structured => {
                delivery.body = Value::Object(event).to_string().into_bytes();
                set_header(delivery, &CONTENT_TYPE, STRUCTURED_TYPE)
            }
            ContentMode::Binary => write_binary(delivery, event),
        }
    }
}

fn members(body: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(body).unwrap_or_default()
}

/// An event whose data is the body of a delivery.
fn event_around(delivery: &OutgoingWebhook) -> Map<String, Value> {
    let content_type = delivery.headers.get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or(JSON);
    let data = serde_json::from_slice::<Value>(&delivery.body);
    let data = data.ok().filter(|_| is_json(content_type));
    let own_type = data.as_ref().and_then(|data| data["type"].as_str());
    let own_type = own_type.filter(|text| !text.is_empty()).unwrap_or(TYPE);
    let attributes = [
        ("specversion", "1.0"),
        ("type", own_type),
        ("source", SOURCE),
        ("id", ""),
        ("time", ""),
        ("datacontenttype", content_type),
    ];
    let attributes = attributes.map(|(name, value)| (name.to_owned(), Value::from(value)));
    let mut event: Map<String, Value> = attributes.into_iter().collect();
    let (name, value) = match data {
        Some(data) => ("data", data),
        None => ("data_base64", STANDARD.encode(&delivery.body).into()),
    };
    event.insert(name.to_owned(), value);
    event
}

/// Writes the attributes into headers, and the data into the body.
fn write_binary(
    delivery: &mut OutgoingWebhook,
    mut event: Map<String, Value>,
) -> Result<(), String> {
    let (data, encoded) = (event.remove("data"), event.remove("data_base64"));
    let content_type = event.remove("datacontenttype");
    let content_type = content_type.as_ref().and_then(Value::as_str);
    let content_type = content_type.unwrap_or(JSON);
    let data = data.filter(|data| !data.is_null());
    delivery.body = match (data, encoded.as_ref().and_then(Value::as_str)) {
        (Some(Value::String(text)), _) if !is_json(content_type) => text.into_bytes(),
        (Some(data), _) => data.to_string().into_bytes(),
        (None, Some(encoded)) => STANDARD
            .decode(encoded)
            .map_err(|_| "`data_base64` of the event is not base64".to_owned())?,
        (None, None) => Vec::new(),
    };
    match delivery.body.is_empty() {
        true => {
            delivery.headers.remove(CONTENT_TYPE);
        }
        false => set_header(delivery, &CONTENT_TYPE, content_type)?,
    }
    for (name, value) in &event {
        match value {
            Value::Null => {}
            Value::String(text) => set_attribute(delivery, name, text)?,
            Value::Bool(_) | Value::Number(_) => {
                set_attribute(delivery, name, &value.to_string())?;
            }
            Value::Array(_) | Value::Object(_) => {
                return Err(format!(
                    "the attribute `{name}` of the event is a list or an object, which no header can contain"
                ));
            }
        }
    }
    Ok(())
}

/// Sets an attribute in binary mode, percent-encoded as section 3.1.3.2 of the HTTP binding says.
fn set_attribute(delivery: &mut OutgoingWebhook, name: &str, text: &str) -> Result<(), String> {
    let header: HeaderName = format!("ce-{name}")
        .parse()
        .map_err(|_| format!("`{name}` is not a name of an attribute"))?;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'!'..=b'~' if byte != b'"' && byte != b'%' => encoded.push(char::from(byte)),
            // Writing to a string does not fail.
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    set_header(delivery, &header, &encoded)
}

fn set_header(delivery: &mut OutgoingWebhook, name: &HeaderName, text: &str) -> Result<(), String> {
    let set = delivery.set_header(name, text);
    set.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::inbound::cloud_events::{Attributes, StructuredEvent};

    fn form(mode: ContentMode, is_new: bool) -> EventForm {
        EventForm {
            mode,
            id: "new".to_owned(),
            time: "2026-01-02T00:00:00Z".to_owned(),
            is_new,
        }
    }

    fn delivery(content_type: &'static str, body: &str) -> OutgoingWebhook {
        let mut delivery = OutgoingWebhook::new("1", body);
        let value = http::HeaderValue::from_static(content_type);
        delivery.headers.insert(CONTENT_TYPE, value);
        delivery
    }

    fn attributes(headers: &HeaderMap) -> Attributes {
        Attributes::of_headers(headers).expect("attributes")
    }

    #[test]
    fn other_body_becomes_the_data() {
        let mut structured = delivery(JSON, r#"{"type": "order.paid", "a": 1}"#);
        let mut binary = structured.clone();
        let apply = |mode, delivery: &mut OutgoingWebhook| form(mode, false).apply_to(delivery);
        apply(ContentMode::Structured, &mut structured).expect("applied");
        apply(ContentMode::Binary, &mut binary).expect("applied");
        let event = StructuredEvent::read(&structured.body).expect("an event");
        assert_eq!(event.attributes, attributes(&binary.headers));
        assert_eq!(event.attributes.as_map()["type"], "order.paid");
        assert_eq!(event.attributes.as_map()["id"], "new");
        let data: Value = serde_json::from_slice(&binary.body).expect("JSON");
        assert_eq!(data, json!({"type": "order.paid", "a": 1}));
    }

    #[test]
    fn form_is_carried_as_it_is() {
        let kind = "application/x-www-form-urlencoded";
        for mode in [ContentMode::Structured, ContentMode::Binary] {
            let mut delivery = delivery(kind, "a=1&b=%20");
            form(mode, true).apply_to(&mut delivery).expect("applied");
            if mode == ContentMode::Structured {
                let event: Value = serde_json::from_slice(&delivery.body).expect("JSON");
                assert_eq!(event["data_base64"], STANDARD.encode("a=1&b=%20"));
                assert_eq!(event["datacontenttype"], kind);
            } else {
                assert_eq!(delivery.body, b"a=1&b=%20");
                assert_eq!(delivery.headers[CONTENT_TYPE], kind);
            }
        }
    }

    #[test]
    fn own_event_keeps_its_id_unless_new() {
        let own = r#"{"specversion": "1.0", "id": "own", "source": "/s", "type": "t"}"#;
        for (is_new, id) in [(false, "own"), (true, "new")] {
            let mut delivery = delivery(JSON, own);
            let written = form(ContentMode::Binary, is_new).apply_to(&mut delivery);
            written.expect("applied");
            assert_eq!(attributes(&delivery.headers).as_map()["id"], id);
            assert!(delivery.body.is_empty());
            // What is in binary mode stays in it.
            let written = form(ContentMode::Structured, true).apply_to(&mut delivery);
            written.expect("applied");
            assert_eq!(attributes(&delivery.headers).as_map()["id"], "new");
        }
        let mut list = delivery(JSON, &own.replace("\"t\"", "\"t\", \"x\": [1]"));
        let refused = form(ContentMode::Binary, true).apply_to(&mut list);
        assert!(refused.expect_err("a list").contains("`x`"));
    }

    proptest! {
        #[test]
        fn attribute_round_trips(text in "[^\\p{Cc}\"]{1,40}") {
            let mut delivery = OutgoingWebhook::new("1", "");
            for (name, value) in [("specversion", "1.0"), ("id", "1"), ("source", "/"), ("type", "t")] {
                set_attribute(&mut delivery, name, value).expect("set");
            }
            set_attribute(&mut delivery, "ext", &text).expect("set");
            let read = attributes(&delivery.headers);
            prop_assert_eq!(&read.as_map()["ext"], &text);
        }
    }
}
