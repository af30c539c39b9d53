//! The tags that an update request adds to its records, or removes from them.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use strict_reader::{Node, Problems};

/// Most characters of a tag's name.
pub const MAX_TAG_CHARS: usize = 25;

/// Most tags that one update request adds, or removes.
pub(super) const MAX_TAGS: usize = 100;

/// The name of a tag: 1 to [`MAX_TAG_CHARS`] characters, without spaces around it.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(inline)]
pub struct TagName(String);

/// Why a text is not the name of a tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTag {
    /// It has no characters but spaces.
    #[error("is empty; leave it out")]
    Empty,
    /// It is longer than Zoho permits.
    #[error("has {0} characters, and the name of a tag has at most {MAX_TAG_CHARS}; shorten it")]
    TooLong(usize),
    /// It contains a control character.
    #[error("has a control character (a line break, a tab or the like), which no tag has")]
    Control,
    /// It contains the character that separates tags.
    #[error("has a comma, which separates tags in Zoho; write each tag as an entry of its own")]
    Comma,
}

impl FromStr for TagName {
    type Err = InvalidTag;

    fn from_str(text: &str) -> Result<Self, InvalidTag> {
        let name = text.trim_matches(' ');
        let characters = name.chars().count();
        match characters {
            0 => Err(InvalidTag::Empty),
            _ if characters > MAX_TAG_CHARS => Err(InvalidTag::TooLong(characters)),
            _ if name.chars().any(char::is_control) => Err(InvalidTag::Control),
            _ if name.contains(',') => Err(InvalidTag::Comma),
            _ => Ok(Self(name.to_owned())),
        }
    }
}

impl TryFrom<String> for TagName {
    type Error = InvalidTag;

    fn try_from(text: String) -> Result<Self, InvalidTag> {
        text.parse()
    }
}

impl From<TagName> for String {
    fn from(name: TagName) -> Self {
        name.0
    }
}

impl fmt::Display for TagName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TagName {
    /// The name as Zoho shows it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The tags to add and to remove. No tag is in both lists or twice in one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagChanges {
    /// The tags to add.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<TagName>,
    /// The tags to remove.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<TagName>,
}

impl TagChanges {
    /// Whether no tag is added or removed.
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }

    pub(super) fn to_json(&self) -> Value {
        let names = |tags: &[TagName]| json!(tags.iter().map(TagName::as_str).collect::<Vec<_>>());
        let lists = [("add", &self.add), ("remove", &self.remove)].into_iter();
        let lists = lists.filter(|(_, tags)| !tags.is_empty());
        let lists = lists.map(|(key, tags)| (key.to_owned(), names(tags)));
        Value::Object(lists.collect::<Map<String, Value>>())
    }

    /// Reads the lists of tags. Each may be empty, as a sender's list of tags may be.
    pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = node.object(problems)?;
        let mut list = |key| match object.optional(key) {
            Some(node) => read_names(&node, problems),
            None => Some(Vec::new()),
        };
        let (add, remove) = (list("add"), list("remove"));
        object.finish(problems);
        let changes = Self {
            add: add?,
            remove: remove?,
        };
        if let Some(tag) = changes.add.iter().find(|tag| changes.remove.contains(tag)) {
            let message = format!("adds and removes the tag `{tag}`; keep the one that you mean");
            node.problem(problems, message);
        }
        Some(changes)
    }
}

/// Reads a list of tags, which may be empty, and drops duplicates.
fn read_names(node: &Node<'_>, problems: &mut Problems) -> Option<Vec<TagName>> {
    let items = node.list(problems)?;
    let mut seen = HashSet::with_capacity(items.len());
    let names: Option<Vec<TagName>> = items.iter().map(|item| item.parse(problems)).collect();
    let mut names = names?;
    names.retain(|name: &TagName| seen.insert(name.clone()));
    if names.len() > MAX_TAGS {
        let message = format!(
            "names {} tags, and at most {MAX_TAGS} go into one job",
            names.len()
        );
        node.problem(problems, message);
    }
    Some(names)
}
