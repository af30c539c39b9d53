//! An update request held against what the org says of its fields, before anything is sent. Pure: from the metadata and
//! the assignments to the assignments as they will be sent, with notes on what was changed, or every problem at once.
//!
//! Only what leaves no doubt is changed: a display value becomes its actual value, a date or a moment is written as Zoho
//! writes it. MetadataGuard what was guarded changes nothing. What the metadata does not say is not forbidden.

mod moment;
mod value;

use crate::codes::Cause;
use crate::outcome::Refusal;
use crate::update::{Assignment, FieldName, UpdateMethod};
use crate::zoho::metadata::{Field, FieldKind};
use strict_reader::nearest;

/// Assignments that the org's fields take.
#[derive(Clone, Debug, PartialEq)]
pub struct GuardedUpdate {
    /// The assignments as they are to be sent.
    pub assignments: Vec<Assignment>,
    /// What was changed, and why.
    pub notes: Vec<String>,
    /// The ways that are left: where a field cannot be set by a mass update, `auto` has become `records`.
    pub method: UpdateMethod,
}

/// One thing that Zoho would refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldProblem {
    /// The field.
    pub field: FieldName,
    /// What is wrong, and the cure.
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

/// Several problems in one refusal: the code of the first, and every message with its cure.
pub fn refusal(problems: Vec<FieldProblem>) -> Option<Refusal> {
    let several = problems.len() > 1;
    let mut problems = problems.into_iter().map(|problem| problem.refusal);
    let first = problems.next()?;
    if !several {
        return Some(first);
    }
    let told = |refusal: &Refusal| {
        let cure = refusal.advice.as_deref().unwrap_or_default();
        format!("{}: {cure}", refusal.message)
    };
    let all: Vec<String> = [told(&first)]
        .into_iter()
        .chain(problems.map(|next| told(&next)))
        .collect();
    Some(Refusal {
        message: all.join("; "),
        advice: Some("mend all of these: nothing was sent".to_owned()),
        ..first
    })
}

/// Holds `assignments` against `fields`. Without fields nothing is known, and everything passes as it is.
///
/// # Errors
/// Every problem, in the order of the assignments.
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
            problems.push(unknown(name, fields));
            continue;
        };
        match settable(field, method) {
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

/// Why records cannot be found by the values of a field, if that is known: a look-up by it would find nothing, and say
/// nothing. Zoho compares a multi-select picklist with all of its options at once, and a multi-line text not at all.
pub fn unmatchable(fields: &[Field], name: &FieldName) -> Option<FieldProblem> {
    let field = fields.iter().find(|field| field.name == *name)?;
    let unsuitable = matches!(field.kind, FieldKind::MultiSelect | FieldKind::List);
    (unsuitable || field.data_type == "textarea").then(|| {
        let data_type = &field.data_type;
        let message = format!("records cannot be found by `{name}` ({data_type})");
        let cure = Cause::MatchUnsuitable.row().cure.to_owned();
        FieldProblem::new(name, Cause::MatchUnsuitable, message, cure)
    })
}

fn unknown(name: &FieldName, fields: &[Field]) -> FieldProblem {
    let names = || fields.iter().map(|field| field.name.as_str());
    // Who reads the screens writes labels.
    let by_label = || {
        let label = fields.iter().map(|field| field.label.as_str());
        let near = nearest(&name.as_str().replace('_', " "), label)?;
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

/// The way in which a field can be set.
fn settable(field: &Field, method: UpdateMethod) -> Result<UpdateMethod, FieldProblem> {
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
            "leave it out: Zoho changes owners through its change-owner calls",
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

/// What a value of this kind looks like, for cures.
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
        FieldKind::Other => "what Zoho's documentation says",
    }
}

#[cfg(test)]
mod tests;
