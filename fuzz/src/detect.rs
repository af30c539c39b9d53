//! Lambda events.

use masshook::lambda::{self, Trigger};
use serde_json::Value;
use serde_json::value::RawValue;

/// Tells what the event is, and asserts that it says so itself.
pub fn run(data: &[u8]) {
    let Ok(event) = serde_json::from_slice::<&RawValue>(data) else {
        return;
    };
    let trigger = match lambda::detect(event) {
        Ok(trigger) => trigger,
        Err(error) => {
            let said = error.to_string();
            assert!(
                !said.is_empty() && said.len() < 4_096,
                "{} bytes",
                said.len()
            );
            return;
        }
    };
    let event: Option<Value> = serde_json::from_str(event.get()).ok();
    let says = |key: &str| event.as_ref().is_none_or(|event| event.get(key).is_some());
    match trigger {
        Trigger::Http(request) => {
            assert!(says("requestContext"));
            let request = lambda::request_of(*request);
            assert!(request.uri().path().starts_with('/'), "{}", request.uri());
        }
        Trigger::Update(request) => {
            assert!(says("module") && event.is_none_or(|event| event == request));
        }
        Trigger::Delivery(arrival) => {
            assert!(says("route"));
            assert!(arrival.body.len() <= data.len());
            let named = event.as_ref().and_then(|event| event["route"].as_str());
            assert!(named.is_none_or(|named| named == arrival.route));
        }
        Trigger::WakeUps(records) => {
            let listed = event.as_ref().and_then(|event| event["Records"].as_array());
            assert!(listed.is_none_or(|listed| listed.len() == records.len()));
        }
        Trigger::Sweep => assert!(says("sweep")),
    }
}
