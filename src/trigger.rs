//! What brought an event here. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use strict_reader::nearest;

/// What brings events to routes, by the words of a route's `on`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// An HTTP request, whichever way it came: HTTP API, REST API, Function URL, load balancer, the local server.
    Http,
    /// Amazon EventBridge: rules, partner buses, schedules.
    EventBridge,
    /// Amazon SNS, subscribed to the function itself. (SNS that calls a URL is `http`.)
    Sns,
    /// A queue of Amazon SQS, also one that is subscribed to SNS.
    Sqs,
    /// A direct invocation that names the route.
    Direct,
}

impl Trigger {
    /// All of them.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Http, "http"),
        (Self::EventBridge, "eventbridge"),
        (Self::Sns, "sns"),
        (Self::Sqs, "sqs"),
        (Self::Direct, "direct"),
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::EventBridge => "eventbridge",
            Self::Sns => "sns",
            Self::Sqs => "sqs",
            Self::Direct => "direct",
        }
    }

    /// Whether what it brings is a delivery with headers that may carry a proof. For the others AWS itself decides who
    /// may send, by the permissions of the bus, the topic and the queue.
    pub fn brings_proof(self) -> bool {
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

/// Not the word of a trigger.
#[derive(Debug, thiserror::Error)]
#[error("`{word}` is no trigger; {hint}")]
pub struct UnknownTrigger {
    word: String,
    hint: String,
}

impl FromStr for Trigger {
    type Err = UnknownTrigger;

    fn from_str(word: &str) -> Result<Self, UnknownTrigger> {
        let found = Self::ALL.iter().find(|(_, known)| *known == word);
        found.map(|(trigger, _)| *trigger).ok_or_else(|| {
            let words = || Self::ALL.iter().map(|(_, known)| *known);
            let hint = nearest(word, words()).map_or_else(
                || format!("known: {}", words().collect::<Vec<_>>().join(", ")),
                |known| format!("did you mean `{known}`?"),
            );
            let word = word.chars().take(80).collect();
            UnknownTrigger { word, hint }
        })
    }
}

/// Where an event came from.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// What brought it.
    pub trigger: Trigger,
    /// What AWS says of it, such as its id, its queue or its topic. With the trigger's word under `type` this is
    /// `$trigger`.
    #[serde(default)]
    pub about: BTreeMap<String, String>,
    /// The attributes of a message; they stand where the headers of a request do.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

impl Default for Origin {
    fn default() -> Self {
        Self::of(Trigger::Http)
    }
}

impl fmt::Debug for Origin {
    /// Without the values of the attributes: keys may travel in them.
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
    /// An origin of which no more is known.
    pub fn of(trigger: Trigger) -> Self {
        Self {
            trigger,
            about: BTreeMap::new(),
            attributes: BTreeMap::new(),
        }
    }

    /// The same, with something that is known of it.
    #[must_use]
    pub fn with(mut self, name: &str, value: Option<&str>) -> Self {
        let pair = value.map(|value| (name.to_owned(), value.to_owned()));
        self.about.extend(pair);
        self
    }

    /// The id under which AWS delivers the event, again and again if need be.
    pub fn id(&self) -> Option<&str> {
        self.about.get("id").map(String::as_str)
    }

    /// `$trigger`.
    pub fn variable(&self) -> BTreeMap<String, String> {
        let kind = ("type".to_owned(), self.trigger.to_string());
        self.about.clone().into_iter().chain([kind]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_written() {
        for (trigger, word) in Trigger::ALL {
            assert_eq!(word.parse::<Trigger>().expect("a trigger"), trigger);
            assert_eq!(trigger.to_string(), word);
            assert_eq!(serde_json::json!(trigger), word);
        }
        let error = |word: &str| word.parse::<Trigger>().expect_err("none").to_string();
        insta::assert_snapshot!(error("event-bridge"), @"`event-bridge` is no trigger; did you mean `eventbridge`?");
        insta::assert_snapshot!(error("kinesis"), @"`kinesis` is no trigger; known: http, eventbridge, sns, sqs, direct");
    }

    #[test]
    fn attributes_are_not_printed() {
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
