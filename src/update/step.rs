//! The kinds of changes that an update request makes. They run one after the other.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One kind of change to the records of a job. The steps of a job run in the order of the variants: the owner last, because
/// the token's user may lose access to a record that gets another owner.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// Creates records. It runs beside the first calls that set fields on other records.
    Create,
    /// Sets fields.
    Fields,
    /// Adds tags.
    AddTags,
    /// Removes tags.
    RemoveTags,
    /// Changes the owner.
    Owner,
}

impl StepKind {
    /// Every step, in the order in which they run.
    pub const ALL: [Self; 5] = [
        Self::Create,
        Self::Fields,
        Self::AddTags,
        Self::RemoveTags,
        Self::Owner,
    ];

    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Fields => "fields",
            Self::AddTags => "add_tags",
            Self::RemoveTags => "remove_tags",
            Self::Owner => "owner",
        }
    }

    /// What the step changes about a record.
    pub fn change(self) -> ChangeKind {
        match self {
            Self::Create | Self::Fields => ChangeKind::Fields,
            Self::AddTags | Self::RemoveTags => ChangeKind::Tags,
            Self::Owner => ChangeKind::Owner,
        }
    }

    /// What the step does, in texts.
    pub fn label(self) -> &'static str {
        match self {
            Self::Create => "new records",
            Self::Fields => "fields",
            Self::AddTags => "tags to add",
            Self::RemoveTags => "tags to remove",
            Self::Owner => "owner",
        }
    }
}

/// What a step changes about a record. Adding and removing tags is one change: a tag that a delivery adds is one that an older
/// delivery must not remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// Its fields, or the record itself.
    Fields,
    /// Its tags.
    Tags,
    /// Its owner.
    Owner,
}

impl fmt::Display for StepKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}
