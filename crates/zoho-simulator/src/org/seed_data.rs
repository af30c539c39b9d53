//! The seeded records: values and condition are functions of the record's index.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::org::field::{AUTO_NUMBER_PREFIX, FieldType};
use crate::org::schema::Schema;

/// The user for whom all tokens act.
pub(crate) const USER_NAME: &str = "Patricia Boyle";
pub(crate) const USER_ID: &str = "5725767000000411001";

/// A user, as records reference one.
#[derive(Serialize)]
pub(crate) struct User {
    name: &'static str,
    id: &'static str,
}

/// The user for whom all tokens act.
pub(crate) fn user() -> User {
    User {
        name: USER_NAME,
        id: USER_ID,
    }
}

/// The layout of every module.
pub(crate) const LAYOUT_ID: &str = "5725767000000091055";

/// The layout of every module, as records contain it.
pub(crate) fn layout() -> Value {
    json!({"id": LAYOUT_ID, "name": "Standard", "display_label": "Standard"})
}

/// The creation time of every seeded record.
const SEED_TIME: &str = "2024-02-01T13:22:56Z";

/// The documented reasons why a single record cannot be updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordCondition {
    Clean,
    Locked,
    InBlueprint,
    NotApproved,
    StopProcessing,
    NoPermission,
    /// A converted lead, in Leads only.
    Converted,
}

/// The conditions of a module's last records, in order. All other records are clean.
pub(crate) const SEEDED_CONDITIONS: [RecordCondition; 6] = [
    RecordCondition::Locked,
    RecordCondition::InBlueprint,
    RecordCondition::NotApproved,
    RecordCondition::StopProcessing,
    RecordCondition::NoPermission,
    RecordCondition::Converted,
];

/// In a module with fewer records all of them are clean.
pub(crate) const MIN_RECORDS_FOR_CONDITIONS: u64 = 20;

impl RecordCondition {
    /// The name in `world` and in `GET /_sim/records`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Locked => "locked",
            Self::InBlueprint => "in_blueprint",
            Self::NotApproved => "not_approved",
            Self::StopProcessing => "stop_processing",
            Self::NoPermission => "no_permission",
            Self::Converted => "converted",
        }
    }
}

/// Leads with e-mail addresses that are hard to look up: index, field, name in `world`, address.
pub(crate) const SEEDED_EMAILS: [(u64, &str, &str, &str); 10] = [
    (1900, "Email", "shared", "team@example.com"),
    (1901, "Email", "shared", "team@example.com"),
    (1902, "Email", "shared", "team@example.com"),
    (1903, "Email", "apostrophe", "o'brien@example.com"),
    (1904, "Email", "backslash", r"back\slash@example.com"),
    (1905, "Email", "plus", "p+boyle@example.com"),
    (1906, "Email", "mixed_case", "Anna.Smith@Example.com"),
    (1907, "Email", "non_ascii", "zoë@example.com"),
    // Contains another lead's address, so that Zoho's `equals` also matches it.
    (1908, "Email", "longer", "not-lead1@example.com"),
    (1909, "Secondary_Email", "secondary", "second@example.com"),
];

/// The creation time of every seeded record.
pub(crate) fn seeded_at() -> Timestamp {
    static SEEDED_AT: LazyLock<Timestamp> =
        LazyLock::new(|| SEED_TIME.parse().unwrap_or(Timestamp::UNIX_EPOCH));
    *SEEDED_AT
}

/// Formats a time as Zoho does: with the org's offset, without fractional seconds.
pub(crate) fn format_zoho_time(time: Timestamp) -> String {
    let whole = Timestamp::from_second(time.as_second()).unwrap_or(time);
    let offset = jiff::tz::Offset::from_seconds(19_800).unwrap_or(jiff::tz::Offset::UTC);
    whole.display_with_offset(offset).to_string()
}

/// The seeded value of a field, the same in every run.
pub(crate) fn seeded_value(schema: &Schema, index: u64, name: &str) -> Value {
    let Some(field) = schema.field(name) else {
        return Value::Null;
    };
    let number = index + 1;
    let module = schema.name.to_lowercase();
    let email = SEEDED_EMAILS
        .iter()
        .find(|(at, field, ..)| schema.name == "Leads" && *at == index && *field == name);
    if let Some((_, _, _, address)) = email {
        return json!(address);
    }
    match field.field_type {
        FieldType::Email if name == "Email" => {
            json!(format!(
                "{}{number}@example.com",
                module.trim_end_matches('s')
            ))
        }
        FieldType::Email | FieldType::Textarea => Value::Null,
        FieldType::Text => json!(format!("{} {number}", name.replace('_', " "))),
        FieldType::Phone => json!(format!("+1 555 {number:07}")),
        FieldType::Website => json!(format!("https://{number}.example.com")),
        FieldType::Picklist => {
            let options: Vec<&str> = field
                .picklist_options()
                .filter(|option| option.used && option.actual != "-None-")
                .map(|option| option.actual)
                .collect();
            json!(options[index as usize % options.len()])
        }
        FieldType::Multiselect => json!(
            field
                .picklist_options()
                .take(1)
                .map(|option| option.actual)
                .collect::<Vec<_>>()
        ),
        FieldType::Integer => json!(index % 500),
        FieldType::BigInt => json!((900_000_000_000_000_000 + index).to_string()),
        FieldType::Formula => json!((index % 100) as f64),
        FieldType::Currency => json!((index % 1000 * 100) as f64),
        FieldType::Percent => json!((index % 11 * 10) as f64),
        FieldType::Boolean => json!(false),
        FieldType::Date => json!("2026-12-31"),
        FieldType::DateTime => json!(format_zoho_time(seeded_at())),
        FieldType::Owner => json!(user()),
        FieldType::Layout => layout(),
        FieldType::AutoNumber => json!(format!("{AUTO_NUMBER_PREFIX}{number}")),
        FieldType::RollupSummary => json!(0.0),
        FieldType::Lookup => Value::Null,
        FieldType::Subform | FieldType::FileUpload => json!([]),
    }
}
