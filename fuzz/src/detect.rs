//! Lambda events.

use masshook::lambda::Invocation;
use serde_json::Value;
use serde_json::value::RawValue;

/// Tells what the event is, and asserts that it says so itself.
pub fn run(data: &[u8]) {
    let Ok(event) = serde_json::from_slice::<&RawValue>(data) else {
        return;
    };
    let detected = match Invocation::parse(event) {
        Ok(detected) => detected,
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
    match detected {
        Invocation::Http(request) => {
            assert!(says("requestContext"));
            match request.into_request() {
                Ok(request) => {
                    assert!(request.uri().path().starts_with('/'), "{}", request.uri());
                }
                Err(rejection) => assert!(rejection.status().is_client_error(), "{rejection}"),
            }
        }
        Invocation::UpdateRequest(request) => {
            assert!(says("module") && request.get().len() <= data.len());
        }
        Invocation::Delivery(arrival) => {
            assert!(says("route"));
            assert!(arrival.body.len() <= data.len());
            let named = event.as_ref().and_then(|event| event["route"].as_str());
            assert!(named.is_none_or(|named| named == arrival.route));
        }
        Invocation::AwsEvents(notices) => {
            assert!(says("Records") || says("detail-type"));
            for notice in notices {
                assert!(notice.body.len() <= data.len());
                assert!(!notice.origin.trigger.has_signatures());
            }
        }
        Invocation::SqsBatch(messages) => {
            let listed = event.as_ref().and_then(|event| event["Records"].as_array());
            assert!(listed.is_none_or(|listed| listed.len() == messages.len()));
            for message in messages {
                assert!(message.to_event().body.len() <= data.len());
            }
        }
        Invocation::Sweep => assert!(says("sweep")),
    }
}
