//! The triggers of routes, and the origin of an event. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use strict_reader::nearest;

/// A source of events, as named in a route's `on`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// An HTTP request through an HTTP API, a REST API, a Function URL, a load balancer or the local server.
    Http,
    /// Amazon EventBridge: rules, partner buses, schedules.
    EventBridge,
    /// An Amazon SNS topic that invokes the function. (SNS that calls a URL is `http`.)
    Sns,
    /// An Amazon SQS queue, which may be subscribed to SNS.
    Sqs,
    /// A direct invocation that names the route.
    Direct,
}

impl Trigger {
    /// All triggers with their config keywords.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Http, "http"),
        (Self::EventBridge, "eventbridge"),
        (Self::Sns, "sns"),
        (Self::Sqs, "sqs"),
        (Self::Direct, "direct"),
    ];

    /// The config keyword.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::EventBridge => "eventbridge",
            Self::Sns => "sns",
            Self::Sqs => "sqs",
            Self::Direct => "direct",
        }
    }

    /// Whether its events have headers that may contain a signature. Events of the other triggers are authenticated by AWS,
    /// through the permissions of the bus, the topic or the queue.
    pub fn has_signatures(self) -> bool {
        match self {
            Self::Http | Self::Direct => true,
            Self::EventBridge | Self::Sns | Self::Sqs => false,
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// An unknown trigger keyword.
#[derive(Debug, thiserror::Error)]
#[error("`{keyword}` is not a trigger; {hint}")]
pub struct UnknownTrigger {
    keyword: String,
    hint: String,
}

impl FromStr for Trigger {
    type Err = UnknownTrigger;

    fn from_str(keyword: &str) -> Result<Self, UnknownTrigger> {
        let found = Self::ALL.iter().find(|(_, known)| *known == keyword);
        found.map(|(trigger, _)| *trigger).ok_or_else(|| {
            let keywords = || Self::ALL.iter().map(|(_, known)| *known);
            let hint = nearest(keyword, keywords()).map_or_else(
                || format!("known: {}", keywords().collect::<Vec<_>>().join(", ")),
                |known| format!("did you mean `{known}`?"),
            );
            let keyword = keyword.chars().take(80).collect();
            UnknownTrigger { keyword, hint }
        })
    }
}

/// The trigger of an event, with its metadata.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The trigger.
    pub trigger: Trigger,
    /// Metadata from AWS, such as the id, the queue or the topic. Together with the trigger's keyword under `type` it is
    /// the jq variable `$trigger`.
    #[serde(default)]
    pub about: BTreeMap<String, String>,
    /// The attributes of a message, which mappings read like the headers of a request.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

impl Default for Origin {
    fn default() -> Self {
        Self::of(Trigger::Http)
    }
}

impl fmt::Debug for Origin {
    /// Omits the values of the attributes, which may contain credentials.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Origin")
            .field("trigger", &self.trigger)
            .field("about", &self.about)
            .field("attributes", &self.attributes.keys())
            .finish()
    }
}

impl Origin {
    /// An origin without metadata.
    pub fn of(trigger: Trigger) -> Self {
        Self {
            trigger,
            about: BTreeMap::new(),
            attributes: BTreeMap::new(),
        }
    }

    /// Adds an entry of metadata, if it has a value.
    #[must_use]
    pub fn with(mut self, name: &str, value: Option<&str>) -> Self {
        let pair = value.map(|value| (name.to_owned(), value.to_owned()));
        self.about.extend(pair);
        self
    }

    /// The id of the event, the same for every redelivery.
    pub fn id(&self) -> Option<&str> {
        self.about.get("id").map(String::as_str)
    }

    /// The value of the jq variable `$trigger`.
    pub fn variable(&self) -> BTreeMap<String, String> {
        let kind = ("type".to_owned(), self.trigger.to_string());
        self.about.clone().into_iter().chain([kind]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trigger_keyword_round_trips() {
        for (trigger, keyword) in Trigger::ALL {
            assert_eq!(keyword.parse::<Trigger>().expect("a trigger"), trigger);
            assert_eq!(trigger.to_string(), keyword);
            assert_eq!(serde_json::json!(trigger), keyword);
        }
        let error = |keyword: &str| keyword.parse::<Trigger>().expect_err("none").to_string();
        insta::assert_snapshot!(error("event-bridge"), @"`event-bridge` is not a trigger; did you mean `eventbridge`?");
        insta::assert_snapshot!(error("kinesis"), @"`kinesis` is not a trigger; known: http, eventbridge, sns, sqs, direct");
    }

    #[test]
    fn origin_debug_omits_attribute_values() {
        let mut origin = Origin::of(Trigger::Sqs).with("id", Some("m1"));
        origin.attributes = [("key".to_owned(), "hunter2".to_owned())].into();
        assert!(!format!("{origin:?}").contains("hunter2"));
        assert_eq!(origin.id(), Some("m1"));
        assert_eq!(
            serde_json::json!(origin.variable()),
            serde_json::json!({"id": "m1", "type": "sqs"})
        );
    }
}
