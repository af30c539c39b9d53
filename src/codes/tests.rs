//! Tests of the table of codes.

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

/// What the token's user does not see looks as if it did not exist, so the cure names both.
#[test]
fn cure_names_visibility_where_the_cause_does() {
    let has = |text: &str, words: &[&str]| words.iter().any(|word| text.contains(word));
    let hidden = [
        "not for the token's user",
        "that the token's user sees",
        "does not see the field",
        "hidden from the profile",
    ];
    let mut checked = 0;
    for row in rows().filter(|row| has(row.happened, &hidden)) {
        assert!(
            has(row.cure, &["user", "profile"]),
            "{:?}: {}",
            row.cause,
            row.cure
        );
        checked += 1;
    }
    assert!(checked >= 9, "{checked} rows");
    let by_query = find(
        "INVALID_QUERY",
        "column given seems to be invalid (`Credit_Limit`)",
    );
    assert_eq!(by_query.map(|row| row.cause), Some(Cause::QueryInvalid));
}

/// Only custom views are shared with users; territories are not.
#[test]
fn cure_of_a_territory_shares_no_view() {
    let mut checked = 0;
    for row in rows().filter(|row| row.happened.contains("territor")) {
        let is_both = row.happened.contains("view");
        assert!(
            is_both || !row.cure.contains("share"),
            "{:?}: {}",
            row.cause,
            row.cure
        );
        checked += 1;
    }
    assert!(checked >= 3, "{checked} rows");
    let cause = |text: &str| find("NAME_UNKNOWN", text).map(|row| row.cause);
    assert_eq!(
        cause("no territory has the name `Nowhere`; did you mean `North`?"),
        Some(Cause::TerritoryNameUnknown)
    );
    assert_eq!(
        cause("no custom view of Leads has the name `territory`"),
        Some(Cause::ViewNameUnknown)
    );
}

#[test]
fn cure_of_a_module_names_the_way_to_it() {
    let cure = |cause: Cause| cause.row().cure;
    assert!(cure(Cause::ModuleNotSupported).contains("`update_by: records`"));
    for cause in [Cause::ModuleUnknown, Cause::UrlUnknown] {
        assert!(cure(cause).contains("`Events` for Meetings"), "{cause:?}");
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
