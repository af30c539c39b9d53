//! COQL, Zoho's query language: the subset that a look-up of ids needs, with all of its conditions.

mod parser;

use std::collections::BTreeSet;

use crate::org::field::FieldType;

/// A parsed query, not yet checked against the module.
#[derive(Debug)]
pub(crate) struct CoqlQuery {
    pub(crate) columns: Vec<String>,
    /// Whether it selects `COUNT(id)`.
    pub(crate) count: bool,
    pub(crate) module: String,
    pub(crate) view: Option<String>,
    pub(crate) condition: CoqlCondition,
    /// The field, and whether the order is descending.
    pub(crate) order: Option<(String, bool)>,
    pub(crate) limit: usize,
    pub(crate) offset: usize,
}

/// The condition of a query.
#[derive(Debug)]
pub(crate) enum CoqlCondition {
    All(Vec<CoqlCondition>),
    Any(Vec<CoqlCondition>),
    Comparison(String, CoqlOperator),
}

/// The comparison of a field with lower-case values.
#[derive(Debug)]
pub(crate) enum CoqlOperator {
    /// `is null`, or with `false` `is not null`.
    Null(bool),
    /// `in`, or with `true` `not in`.
    In(BTreeSet<String>, bool),
    Less(String),
    LessOrEqual(String),
    Greater(String),
    GreaterOrEqual(String),
    Like(String),
}

impl CoqlOperator {
    /// Returns true if a field of this type supports the operator. Multi-line text supports null checks only.
    pub(crate) fn supports(&self, kind: FieldType) -> bool {
        match self {
            Self::Null(_) => true,
            Self::In(..) => kind != FieldType::Textarea,
            Self::Less(_) | Self::LessOrEqual(_) | Self::Greater(_) | Self::GreaterOrEqual(_) => {
                matches!(
                    kind,
                    FieldType::BigInt
                        | FieldType::Integer
                        | FieldType::Currency
                        | FieldType::Percent
                        | FieldType::Date
                        | FieldType::DateTime
                )
            }
            Self::Like(_) => matches!(
                kind,
                FieldType::Text
                    | FieldType::Email
                    | FieldType::Phone
                    | FieldType::Website
                    | FieldType::Picklist
            ),
        }
    }

    /// The operator as error details show it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Null(_) => "is null",
            Self::In(..) => "in",
            Self::Less(_) => "<",
            Self::LessOrEqual(_) => "<=",
            Self::Greater(_) => ">",
            Self::GreaterOrEqual(_) => ">=",
            Self::Like(_) => "like",
        }
    }
}

impl CoqlCondition {
    /// All comparisons of the condition.
    pub(crate) fn comparisons(&self) -> Vec<(&str, &CoqlOperator)> {
        match self {
            Self::All(all) | Self::Any(all) => all.iter().flat_map(Self::comparisons).collect(),
            Self::Comparison(field, operator) => vec![(field, operator)],
        }
    }
}
