//! Validates records that an update request creates: the field by which Zoho finds duplicates, what only new records get,
//! and the fields without which Zoho creates no record. Pure.

use super::value;
use super::{FieldProblem, unknown_field};
use crate::codes::Cause;
use crate::update::{Assignment, FieldName, Match, ModuleName};
use crate::zoho::metadata::{Field, FieldKind, Uniqueness};

/// What the org's metadata says about the records that a `match` creates.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CreationCheck {
    /// What only new records get, as it is to be sent.
    pub create: Vec<Assignment>,
    /// The changes and their reasons.
    pub notes: Vec<String>,
    /// Whether the values are to be sent as numbers.
    pub numeric: bool,
    /// Whether Zoho tells values apart that differ only in their letter case.
    pub case_sensitive: bool,
}

/// Checks that Zoho finds duplicates by a field; if it does not, a repeated call would create a record twice. Without
/// `fields` there is no metadata.
///
/// # Errors
/// Zoho does not, or it is not known.
pub fn check_duplicates(
    fields: &[Field],
    module: &ModuleName,
    name: &FieldName,
) -> Result<CreationCheck, FieldProblem> {
    let field = fields.iter().find(|field| field.name == *name);
    let unique = field.and_then(|field| field.unique);
    let check = CreationCheck {
        numeric: field.is_some_and(|field| field.kind == FieldKind::Integer),
        case_sensitive: unique == Some(Uniqueness::CaseSensitive),
        ..CreationCheck::default()
    };
    let standard = module.duplicate_check_field();
    if unique.is_some() || name.as_str() == standard {
        return Ok(check);
    }
    let (message, cure) = match fields.is_empty() {
        true => (
            format!(
                "records can be created by `{name}` only if it is unique, and the org's fields cannot be read"
            ),
            format!(
                "give the token the scope ZohoCRM.settings.fields.READ, or match `{standard}`, by which Zoho finds duplicates in {module} anyway"
            ),
        ),
        false => (
            format!(
                "records cannot be created by `{name}`: it is not unique, so Zoho would not find a duplicate"
            ),
            format!(
                "tick \"Do not allow duplicate values\" for the field in the CRM, or match `{standard}`, by which Zoho finds duplicates in {module} anyway"
            ),
        ),
    };
    Err(FieldProblem::new(
        name,
        Cause::MatchNotUnique,
        message,
        cure,
    ))
}

/// Validates what the new records of a `match` get. `fields` are the module's, `set` is what all records of the request get.
///
/// # Errors
/// All problems: those of `create` in its order, then the fields that are missing.
pub fn check_creation(
    fields: &[Field],
    module: &ModuleName,
    query: &Match,
    set: &[Assignment],
) -> Result<CreationCheck, Vec<FieldProblem>> {
    let mut problems = Vec::new();
    let mut check = check_duplicates(fields, module, &query.field).unwrap_or_else(|problem| {
        problems.push(problem);
        CreationCheck::default()
    });
    for assignment in &query.create {
        match check_new(fields, assignment) {
            Ok(checked) => {
                check.notes.extend(checked.notes);
                check.create.push(Assignment {
                    field: assignment.field.clone(),
                    value: checked.value,
                });
            }
            Err(problem) => problems.push(problem),
        }
    }
    let is_set = |field: &&Field| {
        let mut all = set.iter().chain(&query.create);
        field.name == query.field || all.any(|assignment| assignment.field == field.name)
    };
    let missing = fields.iter().filter(|field| is_required(field));
    problems.extend(missing.filter(|field| !is_set(field)).map(|field| {
        let name = &field.name;
        let message = format!("a new record of {module} needs `{name}`");
        let cure =
            format!("add `{name}` to `match.create`, or to `fields` if every record is to get it");
        FieldProblem::new(name, Cause::FieldRequired, message, cure)
    }));
    match problems.is_empty() {
        true => Ok(check),
        false => Err(problems),
    }
}

/// Whether a new record must be given a value of the field. Zoho itself fills owners, layouts and check boxes.
fn is_required(field: &Field) -> bool {
    let is_filled = matches!(
        field.data_type.as_str(),
        "ownerlookup" | "layout" | "boolean"
    );
    field.mandatory && field.creatable && field.visible && !is_filled
}

/// Validates one value that only new records get.
fn check_new(
    fields: &[Field],
    assignment: &Assignment,
) -> Result<value::CheckedValue, FieldProblem> {
    let Assignment { field: name, value } = assignment;
    let field = fields.iter().find(|field| field.name == *name);
    let field = field.ok_or_else(|| unknown_field(name, fields))?;
    let problem = |cause: Cause, message| {
        let cure = cause.row().cure.to_owned();
        Err(FieldProblem::new(name, cause, message, cure))
    };
    if !field.visible {
        let message = format!("`{name}` is not visible to the user who made the token");
        return problem(Cause::FieldNotVisible, message);
    }
    if !field.creatable {
        let message =
            format!("`{name}` cannot be given to a new record by the user who made the token");
        return problem(Cause::FieldReadOnly, message);
    }
    // The record is new, so there are no options to add to.
    value::check(field, value, true)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn field(name: &str, kind: FieldKind) -> Field {
        Field {
            name: name.parse().expect("a name"),
            label: name.to_owned(),
            data_type: "text".to_owned(),
            kind,
            length: Some(10),
            decimal_place: None,
            mass_update: true,
            visible: true,
            read_only: false,
            creatable: true,
            mandatory: false,
            unique: None,
            options: Vec::new(),
        }
    }

    fn fields() -> Vec<Field> {
        let required = |name| Field {
            mandatory: true,
            ..field(name, FieldKind::Text)
        };
        vec![
            field("Email", FieldKind::Text),
            field("City", FieldKind::Text),
            required("Last_Name"),
            required("Company"),
            Field {
                data_type: "ownerlookup".to_owned(),
                ..required("Owner")
            },
            Field {
                creatable: false,
                ..required("Number")
            },
            Field {
                unique: Some(Uniqueness::IgnoresCase),
                ..field("Member", FieldKind::Integer)
            },
            Field {
                unique: Some(Uniqueness::CaseSensitive),
                ..field("Key", FieldKind::Text)
            },
        ]
    }

    fn check(by: &str, create: Value) -> Result<CreationCheck, Vec<(String, String)>> {
        let request = json!({"module": "Leads", "fields": {"Rating": "Active"},
            "match": {"field": by, "values": ["1"], "on_none": "create", "create": create}});
        let request = crate::update::UpdateRequest::parse(&request).expect("a request");
        let crate::update::Selector::Match(query) = &request.selector else {
            panic!("a match")
        };
        check_creation(&fields(), &request.module, query, &request.fields).map_err(|problems| {
            let pair = |problem: FieldProblem| (problem.field.to_string(), problem.refusal.code);
            problems.into_iter().map(pair).collect()
        })
    }

    #[test]
    fn new_record_needs_its_mandatory_fields() {
        let pair = |name: &str, code: &str| (name.to_owned(), code.to_owned());
        let missing = [
            pair("Last_Name", "FIELD_REQUIRED"),
            pair("Company", "FIELD_REQUIRED"),
        ];
        assert_eq!(check("Email", json!({})), Err(missing.to_vec()));
        let problems = check(
            "Email",
            json!({"Last_Name": "Too long a name", "Number": "1", "None": 1, "Company": ""}),
        );
        let expected = [
            pair("Last_Name", "VALUE_TOO_LONG"),
            pair("Number", "FIELD_READ_ONLY"),
            pair("None", "FIELD_UNKNOWN"),
            pair("Company", "VALUE_MISSING"),
        ];
        assert_eq!(problems, Err(expected.to_vec()));
        let checked = check("Email", json!({"Last_Name": "A", "Company": "B"}));
        assert_eq!(checked.map(|check| check.create.len()), Ok(2));
    }

    #[test]
    fn records_are_created_by_unique_fields_only() {
        let whole = json!({"Last_Name": "A", "Company": "B"});
        let codes = |by| check(by, whole.clone()).map_err(|problems| problems[0].1.clone());
        assert_eq!(
            codes("City").map(|_| ()),
            Err("MATCH_FIELD_NOT_UNIQUE".to_owned())
        );
        let flags = |by| codes(by).map(|check| (check.numeric, check.case_sensitive));
        assert_eq!(flags("Email"), Ok((false, false)));
        assert_eq!(flags("Member"), Ok((true, false)));
        assert_eq!(flags("Key"), Ok((false, true)));
        // Without metadata only Zoho's own fields are known.
        let known = |module: &str, name: &str| {
            let module = module.parse().expect("a module");
            check_duplicates(&[], &module, &name.parse().expect("a name")).is_ok()
        };
        assert!(known("Leads", "Email") && known("Accounts", "Account_Name"));
        assert!(known("Subscriptions", "Name") && !known("Leads", "Member"));
    }
}
