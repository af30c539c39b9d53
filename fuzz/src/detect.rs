//! Target of the Lambda event parser. The input is a Lambda event.

use masshook::lambda::Invocation;
use serde_json::Value;
use serde_json::value::RawValue;

/// Detects the kind of the event, and asserts that the event has the keys of that kind.
pub fn run(data: &[u8]) {
    let Ok(event) = serde_json::from_slice::<&RawValue>(data) else {
        return;
    };
    let detected = match Invocation::parse(event) {
        Ok(detected) => detected,
        Err(error) => {
            let message = error.to_string();
            assert!(
                !message.is_empty() && message.len() < 4_096,
                "{} bytes",
                message.len()
            );
            return;
        }
    };
    let event: Option<Value> = serde_json::from_str(event.get()).ok();
    let has = |key: &str| event.as_ref().is_none_or(|event| event.get(key).is_some());
    match detected {
        Invocation::Http(request) => {
            assert!(has("requestContext"));
            match request.into_request() {
                Ok(request) => {
                    assert!(request.uri().path().starts_with('/'), "{}", request.uri());
                }
                Err(rejection) => assert!(rejection.status().is_client_error(), "{rejection}"),
            }
        }
        Invocation::UpdateRequest(request) => {
            assert!(has("module") && request.get().len() <= data.len());
        }
        Invocation::Delivery(delivery) => {
            assert!(has("route"));
            assert!(delivery.body.len() <= data.len());
            let named = event.as_ref().and_then(|event| event["route"].as_str());
            assert!(named.is_none_or(|named| named == delivery.route));
        }
        Invocation::AwsEvents(events) => {
            assert!(has("Records") || has("detail-type"));
            for event in events {
                assert!(event.body.len() <= data.len());
                assert!(!event.origin.trigger.has_signatures());
            }
        }
        Invocation::SqsBatch(messages) => {
            let listed = event.as_ref().and_then(|event| event["Records"].as_array());
            assert!(listed.is_none_or(|listed| listed.len() == messages.len()));
            for message in messages {
                assert!(message.to_event().body.len() <= data.len());
            }
        }
        Invocation::Sweep => assert!(has("sweep")),
    }
}
