//! Events of message triggers and direct invocations: EventBridge, SNS, SQS.

use std::collections::BTreeMap;

use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};

use super::envelope::{ACCOUNT, EnvelopeBuilder, REGION, event_bridge_time, random_uuid};

impl EnvelopeBuilder<'_> {
    /// The body as JSON; any other body as `{"body": text}`.
    fn detail(&self) -> Value {
        let body = &self.sample.delivery.body;
        serde_json::from_slice(body).unwrap_or_else(|_| json!({"body": self.body().0}))
    }

    pub(super) fn event_bridge(&self) -> Value {
        json!({
            "version": "0",
            "id": random_uuid(),
            "detail-type": "Webhook",
            "source": self.source,
            "account": ACCOUNT,
            "time": event_bridge_time(self.now),
            "region": REGION,
            "resources": [],
            "detail": self.detail(),
        })
    }

    pub(super) fn sns(&self) -> Value {
        let topic = format!("arn:aws:sns:{REGION}:{ACCOUNT}:{}", self.sample.route);
        let attribute = |value: &Value| json!({"Type": "String", "Value": value});
        json!({"Records": [{
            "EventSource": "aws:sns",
            "EventVersion": "1.0",
            "EventSubscriptionArn": format!("{topic}:2bcfbf39-05c3-41de-beaa-fcfcc21c8f55"),
            "Sns": {
                "Type": "Notification",
                "MessageId": random_uuid(),
                "TopicArn": topic,
                "Subject": null,
                "Message": self.body().0,
                "Timestamp": self.now.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string(),
                "SignatureVersion": "1",
                "Signature": "",
                "SigningCertUrl": "",
                "UnsubscribeUrl": "",
                "MessageAttributes": self.attributes(attribute),
            },
        }]})
    }

    pub(super) fn sqs(&self, body: &str, ending: &str) -> Value {
        let millis = self.now.as_millisecond().to_string();
        let attribute = |value: &Value| json!({"dataType": "String", "stringValue": value});
        json!({"Records": [{
            "messageId": random_uuid(),
            "receiptHandle": "MessageReceiptHandle",
            "body": body,
            "attributes": {
                "ApproximateReceiveCount": "1",
                "SentTimestamp": millis,
                "SenderId": ACCOUNT,
                "ApproximateFirstReceiveTimestamp": millis,
            },
            "messageAttributes": self.attributes(attribute),
            "eventSource": "aws:sqs",
            "eventSourceARN": format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{}{ending}", self.sample.route),
            "awsRegion": REGION,
        }]})
    }

    /// The sender's headers as message attributes.
    fn attributes(&self, attribute: impl Fn(&Value) -> Value) -> Map<String, Value> {
        let delivery = &self.sample.delivery;
        let own = delivery
            .headers
            .keys()
            .filter(|name| **name != CONTENT_TYPE);
        own.filter_map(|name| {
            let value = self.headers.get(name.as_str())?;
            Some((name.to_string(), attribute(value)))
        })
        .collect()
    }

    pub(super) fn direct(&self) -> Value {
        let delivery = &self.sample.delivery;
        let (body, is_base64) = self.body();
        let query: BTreeMap<String, String> = form_urlencoded::parse(delivery.query.as_bytes())
            .into_owned()
            .collect();
        let own = delivery.headers.keys().map(ToString::to_string);
        let headers: Map<String, Value> = own
            .filter_map(|name| Some((name.clone(), self.headers.get(&name)?.clone())))
            .collect();
        json!({
            "route": self.sample.route,
            "headers": headers,
            "query": query,
            "body": body,
            "isBase64Encoded": is_base64,
        })
    }
}
