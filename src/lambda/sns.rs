//! SNS notifications: as Lambda receives them, and as the bodies of SQS messages.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;

use crate::inbound::AwsEvent;
use crate::trigger::Origin;

/// An SNS notification. Its signature is not checked: AWS delivered it under the function's own permissions.
#[derive(Deserialize)]
pub(super) struct SnsNotification {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(rename = "MessageId")]
    id: String,
    #[serde(rename = "TopicArn")]
    topic: String,
    #[serde(rename = "Subject")]
    subject: Option<String>,
    #[serde(rename = "Message")]
    message: String,
    #[serde(rename = "MessageAttributes", default)]
    attributes: BTreeMap<String, SnsAttribute>,
}

/// A message attribute. Binary values are in base64, lists in JSON.
#[derive(Deserialize)]
struct SnsAttribute {
    #[serde(rename = "Value")]
    value: String,
}

impl SnsNotification {
    /// Reads the `Sns` object of a record.
    pub(super) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Reads the body of an SQS message; `None` if it is not a notification, as with raw message delivery.
    pub(super) fn from_sqs_body(text: &str) -> Option<Self> {
        let notification = Self::parse(text).ok()?;
        (notification.kind == "Notification" && notification.topic.starts_with("arn:"))
            .then_some(notification)
    }

    /// Converts it to an event. The event's id is the same for every redelivery and every subscription.
    pub(super) fn into_event(self, origin: Origin) -> AwsEvent {
        let mut origin = origin
            .with("id", Some(&self.id))
            .with("topic", Some(&self.topic))
            .with("subject", self.subject.as_deref());
        let attributes = self.attributes.into_iter();
        let attributes = attributes.map(|(name, attribute)| (name, attribute.value));
        origin.attributes.extend(attributes);
        AwsEvent {
            origin,
            retry_id: None,
            body: Bytes::from(self.message),
        }
    }
}
