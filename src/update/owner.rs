//! The owner that an update request gives its records.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strict_reader::{Node, Problems};

use super::UserId;

/// Most characters of an e-mail address.
const MAX_EMAIL_CHARS: usize = 254;

/// The e-mail address of a user of the CRM.
#[derive(Clone, Debug, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserEmail(String);

/// A text that is not an e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not an e-mail address of a user: `name@example.com`, at most {MAX_EMAIL_CHARS} characters"
)]
pub struct InvalidEmail;

impl FromStr for UserEmail {
    type Err = InvalidEmail;

    fn from_str(text: &str) -> Result<Self, InvalidEmail> {
        let text = text.trim_matches(' ');
        let parts = text.split_once('@');
        let has_parts = parts.is_some_and(|(name, domain)| {
            !name.is_empty() && !domain.is_empty() && !domain.contains('@')
        });
        let is_printable = !text.contains(|c: char| c.is_control() || c.is_whitespace());
        match has_parts && is_printable && text.chars().count() <= MAX_EMAIL_CHARS {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidEmail),
        }
    }
}

impl TryFrom<String> for UserEmail {
    type Error = InvalidEmail;

    fn try_from(text: String) -> Result<Self, InvalidEmail> {
        text.parse()
    }
}

impl From<UserEmail> for String {
    fn from(email: UserEmail) -> Self {
        email.0
    }
}

/// Addresses are compared without regard to case.
impl PartialEq for UserEmail {
    fn eq(&self, other: &Self) -> bool {
        self.is(&other.0)
    }
}

impl fmt::Display for UserEmail {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl UserEmail {
    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the same address as `text`, in any case.
    pub fn is(&self, text: &str) -> bool {
        self.0.to_lowercase() == text.to_lowercase()
    }
}

/// A user of the CRM, by id or by e-mail address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserReference {
    /// By id.
    Id(UserId),
    /// By the e-mail address, which has to be looked up.
    Email(UserEmail),
}

/// A change of the owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerChange {
    /// The new owner.
    pub user: UserReference,
    /// Whether Zoho notifies the new owner by e-mail.
    pub notify: bool,
}

/// A change of the owner to a user whose id is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewOwner {
    /// The new owner.
    pub id: UserId,
    /// Whether Zoho notifies the new owner by e-mail.
    pub notify: bool,
}

impl OwnerChange {
    /// The change with the user's id; none if the user has to be looked up.
    pub fn resolved(&self) -> Option<NewOwner> {
        match self.user {
            UserReference::Id(id) => Some(NewOwner {
                id,
                notify: self.notify,
            }),
            UserReference::Email(_) => None,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        match &self.user {
            UserReference::Id(id) => json!({"id": id.to_string(), "notify": self.notify}),
            UserReference::Email(email) => json!({"email": email.as_str(), "notify": self.notify}),
        }
    }

    /// Reads a change of the owner. `view`: the records are those of a custom view.
    pub(super) fn read(node: &Node<'_>, view: bool, problems: &mut Problems) -> Option<Self> {
        let mut object = node.object(problems)?;
        let id = object.optional("id");
        let email = object.optional("email");
        let notify_node = object.optional("notify");
        let notify = notify_node
            .as_ref()
            .map_or(Some(false), |node| node.boolean(problems));
        object.finish(problems);
        if let (true, Some(true), Some(node)) = (view, notify, &notify_node) {
            node.problem(
                problems,
                "Zoho notifies nobody when it changes the owner of a custom view's records; leave it out, or name the records by \
                 `ids` or `match`",
            );
        }
        let user = match (id, email) {
            (Some(id), None) => UserId::read(&id, problems).map(UserReference::Id),
            (None, Some(email)) => email.parse(problems).map(UserReference::Email),
            (Some(_), Some(_)) | (None, None) => {
                node.problem(problems, "needs either the `id` or the `email` of a user");
                None
            }
        };
        Some(Self {
            user: user?,
            notify: notify?,
        })
    }
}
