//! Notifications of Amazon SNS, as Lambda is given them and as they stand in the messages of a queue.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;

use crate::app::Notice;
use crate::inbound::trigger::Origin;

/// A notification. Its signature is for those who cannot be sure where it came from; here AWS itself brought it.
#[derive(Deserialize)]
pub(super) struct Notification {
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
    attributes: BTreeMap<String, Attribute>,
}

/// An attribute; a binary one is in base64, a list is JSON.
#[derive(Deserialize)]
struct Attribute {
    #[serde(rename = "Value")]
    value: String,
}

impl Notification {
    /// Reads one.
    pub(super) fn read(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The notification that a queue's message is wrapped in, unless the subscription delivers raw messages.
    pub(super) fn around(text: &str) -> Option<Self> {
        let notification = Self::read(text).ok()?;
        (notification.kind == "Notification" && notification.topic.starts_with("arn:"))
            .then_some(notification)
    }

    /// The event that it stands for. It keeps its id if it is delivered again, and if it comes by several ways.
    pub(super) fn notice(self, origin: Origin) -> Notice {
        let mut origin = origin
            .with("id", Some(&self.id))
            .with("topic", Some(&self.topic))
            .with("subject", self.subject.as_deref());
        let attributes = self.attributes.into_iter();
        let attributes = attributes.map(|(name, attribute)| (name, attribute.value));
        origin.attributes.extend(attributes);
        Notice {
            origin,
            body: Bytes::from(self.message),
        }
    }
}
