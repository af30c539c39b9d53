//! The meaning of Zoho's codes: one table (`codes/table.rs`) from a code to a typed cause, a class and a cure. If one code
//! has several meanings, the message and its details decide. Pure; every judge of an answer uses it.
//!
//! A row is found by a code and a text. The text is Zoho's message with its `details` ([`wording`]). A job stores both, so
//! the advice for a record is looked up when the job is shown.

mod table;

use std::time::Duration;

use serde_json::Value;

pub use table::Cause;

/// How masshook reacts to a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Briefly broken or busy: the same call is sent again.
    Retry,
    /// Not before this wait, unless Zoho names a time.
    Wait(Duration),
    /// The access token is not accepted: another one is fetched, once.
    Reauthenticate,
    /// Never, for everything in the [`FailureScope`].
    Permanent(FailureScope),
    /// One record was not updated. The other records of the call have entries of their own.
    Partial,
}

/// What a permanent refusal ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureScope {
    /// This call.
    Call,
    /// Every call of the job: the module, the scope, the credentials.
    Job,
}

impl Class {
    /// Its name in the error reference.
    pub fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Wait(_) => "wait",
            Self::Reauthenticate => "re-authenticate",
            Self::Permanent(_) => "permanent",
            Self::Partial => "partial",
        }
    }

    /// The wait if Zoho names no time.
    pub fn wait(self) -> Option<Duration> {
        match self {
            Self::Wait(wait) => Some(wait),
            Self::Retry | Self::Reauthenticate | Self::Permanent(_) | Self::Partial => None,
        }
    }
}

/// The source of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The CRM API, as `{code, details, message, status}`.
    Crm,
    /// The accounts server, as `{"error": code}`.
    Accounts,
    /// masshook itself, where Zoho sends no code.
    Masshook,
}

/// One meaning of one code.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// The meaning, as a type.
    pub cause: Cause,
    /// The code; `xx` at its end stands for any two digits.
    pub code: &'static str,
    /// Texts of which one must occur, in any case, for this meaning. An empty list is the meaning in all other cases.
    pub says: &'static [&'static str],
    /// The source of the code.
    pub origin: Origin,
    /// The HTTP statuses that were seen or are documented with it.
    pub statuses: &'static [u16],
    /// How masshook reacts.
    pub class: Class,
    /// What happened.
    pub happened: &'static str,
    /// What to do.
    pub cure: &'static str,
    /// Zoho's message, as it is documented or was seen.
    pub message: &'static str,
    /// Zoho's `details` with that message, as JSON.
    pub details: &'static str,
}

/// The cure of a code that is in no row.
const UNKNOWN: &str =
    "masshook does not know this code and does not retry; look it up in Zoho's documentation";

/// The whole table, in the order in which it is searched.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    table::ROWS.iter()
}

/// The meaning of a code with a text; none for a code that is in no row.
pub fn find(code: &str, text: &str) -> Option<&'static Row> {
    let text = text.to_lowercase();
    rows().find(|row| {
        let says = row.says.is_empty() || row.says.iter().any(|said| text.contains(said));
        row.is_for(code) && says
    })
}

/// What to do about a code with a text; for an unknown code, a text that says so.
pub fn cure(code: &str, text: &str) -> &'static str {
    find(code, text).map_or(UNKNOWN, |row| row.cure)
}

impl Row {
    fn is_for(&self, code: &str) -> bool {
        match self.code.strip_suffix("xx") {
            None => self.code == code,
            Some(start) => code
                .strip_prefix(start)
                .is_some_and(|rest| rest.len() == 2 && rest.bytes().all(|b| b.is_ascii_digit())),
        }
    }
}

impl Cause {
    /// The first row with this cause.
    pub fn row(self) -> &'static Row {
        // Causes and rows are written by the same macro, in the same order.
        &table::ROWS[self as usize]
    }
}

/// The maximum length of a quoted detail, in characters.
const QUOTED: usize = 160;

/// Zoho's keys of `details` that name the subject.
const SUBJECTS: [&str; 5] = [
    "api_name",
    "param_name",
    "param_names",
    "column_name",
    "mapped_field",
];

/// Zoho's keys of `details` that describe valid values, with their labels.
const BOUNDS: [(&str, &str); 13] = [
    ("maximum_length", "maximum length"),
    ("maximum_decimal_place", "maximum decimal places"),
    ("range", "allowed range"),
    ("expected_data_type", "expected data type"),
    ("supported_values", "supported values"),
    ("limit", "allowed limit"),
    ("regex", "required pattern"),
    ("permissions", "missing permissions"),
    ("supported_version", "supported version"),
    ("clause", "clause"),
    ("operator", "operator"),
    ("near", "near"),
    ("reason", "reason"),
];

/// A message with its `details`: the field, and what Zoho would accept.
pub fn wording(message: &str, details: &Value) -> String {
    let text_of = |key: &str| details.get(key).and_then(Value::as_str);
    let path_text = text_of("json_path").unwrap_or_default();
    // The record itself is no field of the call.
    let is_record = match text_of("api_name") {
        Some("id") => path_text.starts_with("$.data") && path_text.matches('.').count() == 2,
        Some("ids") => path_text.starts_with("$.ids["),
        Some(_) | None => false,
    };
    let mut added: Vec<String> = SUBJECTS
        .iter()
        .filter(|key| **key != "api_name" || !is_record)
        .filter_map(|key| details.get(*key).map(quoted))
        .map(|name| format!("`{name}`"))
        .collect();
    // A path that only repeats the field's name is left out.
    let path = details.get("json_path").map(quoted);
    let repeats = |path: &String| {
        let name = details.get("api_name").and_then(Value::as_str);
        name.is_some_and(|name| {
            path.starts_with("$.data")
                && path.ends_with(&format!(".{name}"))
                && path.matches('.').count() < 3
        })
    };
    added.extend(
        path.filter(|path| !repeats(path))
            .map(|path| format!("at {path}")),
    );
    let bounds = BOUNDS.iter();
    added.extend(
        bounds.filter_map(|(key, name)| Some(format!("{name} {}", quoted(details.get(*key)?)))),
    );
    match (message.trim(), added.as_slice()) {
        (message, []) => message.to_owned(),
        ("", added) => added.join(", "),
        (message, added) => format!("{message} ({})", added.join(", ")),
    }
}

fn quoted(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(quoted).collect::<Vec<_>>().join(", "),
        Value::Object(map) => match (map.get("from"), map.get("to")) {
            (Some(from), Some(to)) => format!("{} to {}", quoted(from), quoted(to)),
            _ => value.to_string(),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    };
    let mut text: String = text.chars().filter(|c| !c.is_control()).collect();
    if let Some((end, _)) = text.char_indices().nth(QUOTED) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The error reference: the table as Markdown.
pub fn reference() -> String {
    let mut out = String::from(
        "| code | message contains | class | cause | cure |\n| --- | --- | --- | --- | --- |\n",
    );
    let says = |row: &Row| match row.says {
        [] => String::new(),
        [one, ..] => format!("“{one}”").replace('|', "\\|"),
    };
    for row in rows() {
        let class = row.class.name();
        out.push_str(&format!(
            "| `{}` | {} | {class} | {} | {} |\n",
            row.code,
            says(row),
            row.happened,
            row.cure
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[test]
    fn every_row_is_found_by_its_own_example() {
        for row in rows() {
            let details: Value = serde_json::from_str(row.details).expect(row.details);
            let text = wording(row.message, &details);
            let code = row.code.replace("xx", "07");
            assert_eq!(
                find(&code, &text).map(|found| found.cause),
                Some(row.cause),
                "{code}: {text}"
            );
            assert_eq!(row.cause.row(), row);
            assert!(
                !row.happened.is_empty() && row.cure.len() > 10,
                "{:?}",
                row.cause
            );
            assert!(row.says.iter().all(|said| *said == said.to_lowercase()));
            assert!(
                row.statuses.is_empty() == (row.origin == Origin::Masshook),
                "{:?}",
                row.cause
            );
        }
    }

    #[test]
    fn known_code_has_a_meaning_for_any_text() {
        let mut last: BTreeMap<&str, &Row> = BTreeMap::new();
        for row in rows() {
            if let Some(before) = last.insert(row.code, row) {
                assert!(
                    !before.says.is_empty(),
                    "{:?} hides {:?}",
                    before.cause,
                    row.cause
                );
            }
        }
        for row in last.values() {
            assert!(
                row.says.is_empty(),
                "{} has no meaning of its own",
                row.code
            );
        }
    }

    /// Texts of one code from Zoho's pages that need different cures.
    #[test]
    #[expect(clippy::too_many_lines, reason = "one table of cases")]
    fn texts_of_one_code_have_their_own_causes() {
        use Cause::*;
        let invalid_id = "the id given seems to be invalid";
        for (code, message, details, expected) in [
            (
                "INVALID_DATA",
                invalid_id,
                json!({"id": "1"}),
                RecordUnknown,
            ),
            ("INVALID_DATA", invalid_id, json!({}), RecordUnknown),
            (
                "INVALID_DATA",
                invalid_id,
                json!({"api_name": "id", "json_path": "$.data[0].id"}),
                RecordUnknown,
            ),
            (
                "INVALID_DATA",
                invalid_id,
                json!({"api_name": "ids", "json_path": "$.ids[2]"}),
                RecordUnknown,
            ),
            (
                "INVALID_DATA",
                invalid_id,
                json!({"api_name": "id", "json_path": "$.data[0].Account_Name.id"}),
                RelatedRecordUnknown,
            ),
            (
                "INVALID_DATA",
                invalid_id,
                json!({"api_name": "Account_Name"}),
                RelatedRecordUnknown,
            ),
            (
                "INVALID_DATA",
                invalid_id,
                json!({"api_name": "cvid", "json_path": "$.cvid"}),
                ViewUnknown,
            ),
            (
                "INVALID_DATA",
                invalid_id,
                json!({"api_name": "id", "json_path": "$.territory.id"}),
                TerritoryUnknown,
            ),
            (
                "NOT_APPROVED",
                "record not approved",
                json!({"id": "1"}),
                RecordNotApproved,
            ),
            (
                "NOT_APPROVED",
                "Cannot update record that is not approved yet",
                json!({}),
                ImageNotApproved,
            ),
            (
                "RECORD_LOCKED",
                "Cannot update record that is not approved yet",
                json!({}),
                RecordInReview,
            ),
            (
                "RECORD_LOCKED",
                "You cannot perform this operation as the record is locked.",
                json!({}),
                RecordLocked,
            ),
            (
                "NO_PERMISSION",
                "permission denied",
                json!({}),
                PermissionDenied,
            ),
            (
                "NO_PERMISSION",
                "Permission denied to update",
                json!({}),
                UpdateForbidden,
            ),
            (
                "NO_PERMISSION",
                "Permission denied to read records",
                json!({}),
                ReadForbidden,
            ),
            (
                "NO_PERMISSION",
                "Field Edit Permission not given",
                json!({"api_name": "City"}),
                FieldEditForbidden,
            ),
            (
                "NO_PERMISSION",
                "Customview not accessible",
                json!({}),
                ViewForbidden,
            ),
            (
                "NO_PERMISSION",
                "permission denied",
                json!({"permissions": ["Crm_Implied_Api_Access"]}),
                ApiAccessOff,
            ),
            (
                "AUTHORIZATION_FAILED",
                "User does not have sufficient privilege to update records",
                json!({}),
                UpdateNotAuthorized,
            ),
            (
                "INVALID_MODULE",
                "The given module is not supported in API",
                json!({}),
                ModuleNotServed,
            ),
            (
                "INVALID_MODULE",
                "The module name given is invalid.",
                json!({}),
                ModuleUnknown,
            ),
            (
                "INVALID_QUERY",
                "column given seems to be invalid",
                json!({"column_name": "Converted__s"}),
                ConvertedUnknown,
            ),
            (
                "INVALID_QUERY",
                "invalid query formed",
                json!({"column_name": "Emial"}),
                QueryInvalid,
            ),
            (
                "DUPLICATE_DATA",
                "duplicate data",
                json!({"api_name": "Email", "json_path": "$.data[0].Email"}),
                ValueNotUnique,
            ),
            (
                "DUPLICATE_DATA",
                "duplicate data",
                json!({"id": "1"}),
                DuplicateData,
            ),
        ] {
            let text = wording(message, &details);
            let found = find(code, &text).map(|row| row.cause);
            assert_eq!(found, Some(expected), "{code}: {text}");
        }
        for cause in [PermissionDenied, UpdateForbidden, ReadForbidden] {
            assert_eq!(
                cause.row().class,
                Class::Permanent(FailureScope::Job),
                "{cause:?}"
            );
        }
    }

    #[test]
    fn unknown_code_matches_no_row() {
        for code in [
            "INVALID",
            "invalid_data",
            "HTTP_5",
            "HTTP_5000",
            "HTTP_5ab",
            "",
        ] {
            assert_eq!(find(code, "invalid data"), None, "{code}");
            assert!(cure(code, "").contains("does not know this code"));
        }
    }

    #[test]
    fn details_are_appended_to_the_message() {
        let of = |details: Value| wording("invalid data", &details);
        insta::assert_snapshot!(
            [
                of(json!({})),
                of(json!({"api_name": "Company", "json_path": "$.data[0].Company", "maximum_length": 120})),
                of(json!({"api_name": "Rating", "supported_values": ["Hot", "Cold"]})),
                of(json!({"api_name": "Rate", "range": {"from": 0, "to": 100}})),
                of(json!({"api_name": "Topics", "expected_data_type": "jsonarray"})),
                of(json!({"api_name": "ids", "limit": 500})),
                of(json!({"api_name": "Phone", "regex": "^[0-9]+$"})),
                of(json!({"api_name": "id", "json_path": "$.data[0].User_lookup.id"})),
                of(json!({"api_name": "id", "json_path": "$.data[7].id"})),
                of(json!({"api_name": "ids", "json_path": "$.ids[3]"})),
                of(json!({"permissions": ["Crm_Implied_Api_Access"]})),
                of(json!({"param_names": ["criteria", "email"]})),
                wording("", &json!({"param_name": "job_id"})),
            ]
            .join("\n"),
            @r"
        invalid data
        invalid data (`Company`, maximum length 120)
        invalid data (`Rating`, supported values Hot, Cold)
        invalid data (`Rate`, allowed range 0 to 100)
        invalid data (`Topics`, expected data type jsonarray)
        invalid data (`ids`, allowed limit 500)
        invalid data (`Phone`, required pattern ^[0-9]+$)
        invalid data (`id`, at $.data[0].User_lookup.id)
        invalid data
        invalid data (at $.ids[3])
        invalid data (missing permissions Crm_Implied_Api_Access)
        invalid data (`criteria, email`)
        `job_id`
        "
        );
        let long = of(json!({"supported_values": ["x".repeat(500)], "near": "a\nb"}));
        assert!(
            long.chars().count() < 250 && long.ends_with("…, near ab)"),
            "{long}"
        );
    }
}
