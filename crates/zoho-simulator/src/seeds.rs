//! What the org is born with: each record's values and condition are a function of its place.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::fields::Kind;
use crate::schema::Schema;

/// The user that the simulator's tokens act for.
pub(crate) const USER_NAME: &str = "Patricia Boyle";
/// The user's id.
pub(crate) const USER_ID: &str = "5725767000000411001";

/// A user, as records name one.
#[derive(Serialize)]
pub(crate) struct User {
    name: &'static str,
    id: &'static str,
}

/// The user.
pub(crate) fn user() -> User {
    User {
        name: USER_NAME,
        id: USER_ID,
    }
}

/// The one layout that every module has.
pub(crate) const LAYOUT_ID: &str = "5725767000000091055";

/// When every seeded record was made.
const SEEDED_AT: &str = "2024-02-01T13:22:56Z";

/// Why a single record cannot be updated, as far as Zoho documents it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Clean,
    Locked,
    InBlueprint,
    NotApproved,
    StopProcessing,
    NoPermission,
    /// A converted lead; in Leads only.
    Converted,
}

/// The conditions of a module's last records, in order; all records before them are clean.
pub(crate) const LAST: [Condition; 6] = [
    Condition::Locked,
    Condition::InBlueprint,
    Condition::NotApproved,
    Condition::StopProcessing,
    Condition::NoPermission,
    Condition::Converted,
];

/// A module with fewer records than this has clean ones only.
pub(crate) const LEAST_FOR_CONDITIONS: u64 = 20;

impl Condition {
    /// The name in `world` and in the admin's answers.
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

/// Leads with e-mail addresses that look-ups stumble over: place, field, name in `world`, address.
pub(crate) const MAILBOXES: [(u64, &str, &str, &str); 10] = [
    (1900, "Email", "shared", "team@example.com"),
    (1901, "Email", "shared", "team@example.com"),
    (1902, "Email", "shared", "team@example.com"),
    (1903, "Email", "apostrophe", "o'brien@example.com"),
    (1904, "Email", "backslash", r"back\slash@example.com"),
    (1905, "Email", "plus", "p+boyle@example.com"),
    (1906, "Email", "mixed_case", "Anna.Smith@Example.com"),
    (1907, "Email", "non_ascii", "zoë@example.com"),
    // Contains another lead's address, as Zoho's `equals` is satisfied with.
    (1908, "Email", "longer", "not-lead1@example.com"),
    (1909, "Secondary_Email", "secondary", "second@example.com"),
];

/// The moment at which every seeded record was made.
pub(crate) fn created() -> Timestamp {
    SEEDED_AT.parse().unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Zoho's way to write a moment: the org's offset, no fraction.
pub(crate) fn zoho_time(moment: Timestamp) -> String {
    let whole = Timestamp::from_second(moment.as_second()).unwrap_or(moment);
    let offset = jiff::tz::Offset::from_seconds(19_800).unwrap_or(jiff::tz::Offset::UTC);
    whole.display_with_offset(offset).to_string()
}

/// The value that a record was born with: plausible, and the same in every run.
pub(crate) fn seeded(schema: &Schema, place: u64, name: &str) -> Value {
    let Some(field) = schema.field(name) else {
        return Value::Null;
    };
    let number = place + 1;
    let one = schema.name.to_lowercase();
    let mailbox = MAILBOXES
        .iter()
        .find(|(at, own, ..)| schema.name == "Leads" && *at == place && *own == name);
    if let Some((_, _, _, address)) = mailbox {
        return json!(address);
    }
    match field.kind {
        Kind::Email if name == "Email" => {
            json!(format!("{}{number}@example.com", one.trim_end_matches('s')))
        }
        Kind::Email | Kind::Textarea => Value::Null,
        Kind::Text => json!(format!("{} {number}", name.replace('_', " "))),
        Kind::Phone => json!(format!("+1 555 {number:07}")),
        Kind::Website => json!(format!("https://{number}.example.com")),
        Kind::Picklist => {
            let options: Vec<&str> = field
                .choices()
                .filter(|choice| choice.used && choice.actual != "-None-")
                .map(|choice| choice.actual)
                .collect();
            json!(options[place as usize % options.len()])
        }
        Kind::Multiselect => json!(
            field
                .choices()
                .take(1)
                .map(|choice| choice.actual)
                .collect::<Vec<_>>()
        ),
        Kind::Integer => json!(place % 500),
        Kind::BigInt => json!((900_000_000_000_000_000 + place).to_string()),
        Kind::Formula => json!((place % 100) as f64),
        Kind::Currency => json!((place % 1000 * 100) as f64),
        Kind::Percent => json!((place % 11 * 10) as f64),
        Kind::Boolean => json!(false),
        Kind::Date => json!("2026-12-31"),
        Kind::DateTime => json!(zoho_time(created())),
        Kind::Owner => json!(user()),
        Kind::Layout => json!({"id": LAYOUT_ID, "display_label": "Standard"}),
        Kind::Lookup => Value::Null,
        Kind::Subform | Kind::FileUpload => json!([]),
    }
}
