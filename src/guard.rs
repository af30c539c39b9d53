//! Validates assignments against the org's field metadata before anything is sent. Pure. The result is the assignments to
//! send, with a note for each change, or all problems at once.
//!
//! Only unambiguous values are changed: a display value becomes its actual value, and dates and times get Zoho's format.
//! Validation is idempotent. It permits what the metadata does not cover.

mod creation;
mod moment;
mod value;

use crate::codes::Cause;
use crate::outcome::Refusal;
use crate::update::{ApiVersion, Assignment, FieldName, ModuleName, StepKind, UpdateMethod};
use crate::zoho::metadata::{Field, FieldKind};
pub use creation::{CreationCheck, check_creation, check_duplicates};
use strict_reader::nearest;

/// Assignments that passed the validation.
#[derive(Clone, Debug, PartialEq)]
pub struct GuardedUpdate {
    /// The assignments to send.
    pub assignments: Vec<Assignment>,
    /// The changes and their reasons.
    pub notes: Vec<String>,
    /// The update method. `auto` has become `records` if a mass update cannot set one of the fields.
    pub method: UpdateMethod,
}

/// One assignment that Zoho would refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldProblem {
    /// The field.
    pub field: FieldName,
    /// The problem, and what to do.
    pub refusal: Refusal,
}

impl FieldProblem {
    fn new(field: &FieldName, cause: Cause, message: String, cure: String) -> Self {
        Self {
            field: field.clone(),
            refusal: Refusal {
                advice: Some(cure),
                ..Refusal::with(cause, message)
            },
        }
    }
}

/// Combines problems into one refusal, with the code of the first and all messages. `None` without problems.
pub fn refusal(problems: Vec<FieldProblem>) -> Option<Refusal> {
    let several = problems.len() > 1;
    let mut problems = problems.into_iter().map(|problem| problem.refusal);
    let first = problems.next()?;
    if !several {
        return Some(first);
    }
    let message = |refusal: &Refusal| {
        let cure = refusal.advice.as_deref().unwrap_or_default();
        format!("{}: {cure}", refusal.message)
    };
    let all: Vec<String> = [message(&first)]
        .into_iter()
        .chain(problems.map(|next| message(&next)))
        .collect();
    Some(Refusal {
        message: all.join("; "),
        advice: Some("correct all of these: nothing was sent".to_owned()),
        ..first
    })
}

/// Validates `assignments` against `fields`. Without fields there is no metadata, and every assignment passes unchanged.
///
/// # Errors
/// All problems, in the order of the assignments.
pub fn guard(
    fields: &[Field],
    assignments: &[Assignment],
    over_write: bool,
    method: UpdateMethod,
) -> Result<GuardedUpdate, Vec<FieldProblem>> {
    let mut guarded = GuardedUpdate {
        assignments: Vec::with_capacity(assignments.len()),
        notes: Vec::new(),
        method,
    };
    if fields.is_empty() {
        guarded.assignments = assignments.to_vec();
        return Ok(guarded);
    }
    let mut problems = Vec::new();
    for Assignment { field: name, value } in assignments {
        let Some(field) = fields.iter().find(|field| field.name == *name) else {
            problems.push(unknown_field(name, fields));
            continue;
        };
        match method_for(field, method) {
            Ok(UpdateMethod::Auto | UpdateMethod::MassUpdate) => {}
            Ok(UpdateMethod::Records) => {
                if guarded.method == UpdateMethod::Auto {
                    let note = format!(
                        "no mass update sets `{name}`, so the records themselves are updated"
                    );
                    guarded.notes.push(note);
                }
                guarded.method = UpdateMethod::Records;
            }
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        }
        match value::check(field, value, over_write) {
            Ok(checked) => {
                guarded.notes.extend(checked.notes);
                guarded.assignments.push(Assignment {
                    field: name.clone(),
                    value: checked.value,
                });
            }
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() {
        Ok(guarded)
    } else {
        Err(problems)
    }
}

/// Checks that a version of Zoho's API can update a module by `method`. Returns a note if the records themselves have to be
/// updated, because the version has no mass updates of the module.
///
/// # Errors
/// A mass update is required.
pub fn module_note(
    version: ApiVersion,
    module: &ModuleName,
    method: UpdateMethod,
) -> Result<Option<String>, Refusal> {
    if version.has_mass_update(module) {
        return Ok(None);
    }
    match method {
        UpdateMethod::Records => Ok(None),
        UpdateMethod::Auto => Ok(Some(format!(
            "Zoho's API {version} has no mass updates of `{module}`, so the records themselves are updated"
        ))),
        UpdateMethod::MassUpdate => {
            let message = format!("Zoho's API {version} has no mass updates of `{module}`");
            let cure = "write `api_version: v8` in the connection; or name the records by `ids` or `match`, and write \
                        `update_by: records` (or `auto`) in the route";
            Err(Refusal {
                advice: Some(cure.to_owned()),
                ..Refusal::with(Cause::ModuleNotSupported, message)
            })
        }
    }
}

/// Returns the problem with a look-up by a field, if records cannot be found by its values. Zoho would return no records and
/// no error: it compares all options of a multi-select picklist at once, and does not compare multi-line texts.
pub fn match_problem(fields: &[Field], name: &FieldName) -> Option<FieldProblem> {
    let field = fields.iter().find(|field| field.name == *name)?;
    let unsuitable = matches!(field.kind, FieldKind::MultiSelect | FieldKind::List);
    (unsuitable || field.data_type == "textarea").then(|| {
        let data_type = &field.data_type;
        let message = format!("records cannot be found by `{name}` ({data_type})");
        let cure = Cause::MatchUnsuitable.row().cure.to_owned();
        FieldProblem::new(name, Cause::MatchUnsuitable, message, cure)
    })
}

/// Returns the problem with a step of a job, if the module does not support it: a module with tags has the field `Tag`, one
/// whose records have owners has the field `Owner`. Without fields there is no metadata, and every step passes.
pub fn step_problem(fields: &[Field], module: &ModuleName, step: StepKind) -> Option<FieldProblem> {
    let (name, message) = match step {
        StepKind::Create | StepKind::Fields => return None,
        StepKind::AddTags | StepKind::RemoveTags => ("Tag", format!("`{module}` has no tags")),
        StepKind::Owner => ("Owner", format!("the records of `{module}` have no owner")),
    };
    let name: FieldName = name.parse().ok()?;
    let is_supported = fields.is_empty() || fields.iter().any(|field| field.name == name);
    let cure = Cause::ActionNotSupported.row().cure.to_owned();
    (!is_supported).then(|| FieldProblem::new(&name, Cause::ActionNotSupported, message, cure))
}

fn unknown_field(name: &FieldName, fields: &[Field]) -> FieldProblem {
    let names = || fields.iter().map(|field| field.name.as_str());
    // The mapping may use the label that Zoho's screens show.
    let by_label = || {
        let labels = fields.iter().map(|field| field.label.as_str());
        let near = nearest(&name.as_str().replace('_', " "), labels)?;
        let field = fields.iter().find(|field| field.label == near)?;
        Some(field.name.as_str())
    };
    let hint = nearest(name.as_str(), names()).or_else(by_label);
    let cure = match hint {
        Some(near) => format!("write `{near}`, if that is what is meant"),
        None => {
            "take the field's API name from Setup > Developer Space > APIs in the CRM".to_owned()
        }
    };
    let message = format!("the module has no field `{name}` that the token's user sees");
    FieldProblem::new(name, Cause::FieldUnknown, message, cure)
}

/// Returns the update method that can set a field.
fn method_for(field: &Field, method: UpdateMethod) -> Result<UpdateMethod, FieldProblem> {
    let Field {
        name, data_type, ..
    } = field;
    let problem =
        |cause, message, cure: &str| Err(FieldProblem::new(name, cause, message, cure.to_owned()));
    if !field.visible {
        return problem(
            Cause::FieldNotVisible,
            format!("`{name}` is not visible to the user who made the token"),
            "show the field to that user's profile, or leave it out",
        );
    }
    if field.read_only {
        return problem(
            Cause::FieldReadOnly,
            format!("`{name}` cannot be changed by the user who made the token"),
            "give that user's profile the right to edit the field, or leave it out",
        );
    }
    if data_type == "ownerlookup" {
        return problem(
            Cause::NotMassUpdatable,
            format!("`{name}` is a record's owner"),
            "leave it out, and name the owner in the key `owner` beside `fields`",
        );
    }
    if method == UpdateMethod::MassUpdate && !field.mass_update {
        return problem(
            Cause::NotMassUpdatable,
            format!("`{name}` ({data_type}) cannot be changed by a Zoho mass update"),
            "name its records by `ids` or `match` and write `update_by: records` (or `auto`) in the route, or leave it out",
        );
    }
    Ok(if field.mass_update {
        method
    } else {
        UpdateMethod::Records
    })
}

/// An example of a value of this kind, for error messages.
fn example(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Text | FieldKind::Picklist => "a string: `\"…\"`; jq's `tostring` makes one",
        FieldKind::MultiSelect => "a list of strings: `[\"…\"]`",
        FieldKind::Integer => "a whole number without quotes; jq's `tonumber` makes one",
        FieldKind::BigInteger => "a string of digits: `\"12345\"`",
        FieldKind::Decimal => "a number without quotes; jq's `tonumber` makes one",
        FieldKind::Boolean => "`true` or `false` without quotes; jq's `== \"true\"` makes one",
        FieldKind::Date => "a string `\"YYYY-MM-DD\"`",
        FieldKind::DateTime => {
            "a string `\"YYYY-MM-DDThh:mm:ss+hh:mm\"`; jq's `todate` makes one of seconds"
        }
        FieldKind::Object => "an object with an id: `{\"id\": \"…\"}`",
        FieldKind::List => "a list of objects",
        FieldKind::Other => "a value of the form in Zoho's documentation",
    }
}

#[cfg(test)]
mod tests;
