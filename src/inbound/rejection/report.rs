//! What a rejection reports: to the sender, to the log, and to the terminal.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use strict_reader::Problem;

use super::Rejection;
use crate::mapping::{EvalError, OutputError, ProgramKey};

impl Rejection {
    /// Details for the log that the sender must not see.
    pub fn internal(&self) -> Option<String> {
        if let Self::Secret(error) = self {
            Some(error.to_string())
        } else if let Self::SecretNotStored(error) = self {
            Some(error.to_string())
        } else if let Self::Store(error) = self {
            Some(error.to_string())
        } else if let Self::Queue(error) = self {
            Some(error.to_string())
        } else if let Self::Unreadable { reason, .. } = self {
            Some(reason.clone())
        } else if let Self::Drive(error) = self {
            Some(error.clone())
        } else {
            None
        }
    }

    /// A hint for the log that the sender must not see.
    pub fn log_hint(&self) -> Option<String> {
        if let Self::NoSuchRoute { nearest, .. } = self {
            let nearest = nearest.as_ref()?;
            Some(format!("the most similar route is `{nearest}`"))
        } else {
            None
        }
    }

    /// Details for the terminal only, because they may contain personal data.
    pub fn terminal_details(&self) -> Option<String> {
        if let Self::Mapping { error, .. } = self {
            Some(error.details())
        } else {
            None
        }
    }

    /// [`Self::terminal_details`] or, without any, all errors; several lines, for the terminal only.
    pub fn long_details(&self) -> Option<String> {
        self.terminal_details().or_else(|| {
            let errors: Vec<String> = self.errors().iter().map(Value::to_string).collect();
            (!errors.is_empty()).then(|| errors.join("\n"))
        })
    }

    /// The text of the rejection with its individual errors, for people.
    pub fn text_with_errors(&self) -> String {
        let texts: Vec<String> = self.errors().iter().map(error_text).collect();
        match texts.is_empty() {
            true => self.to_string(),
            false => format!("{self}: {}", texts.join("; ")),
        }
    }

    /// The individual errors, for rejections that may have several.
    pub fn errors(&self) -> Vec<Value> {
        let errors = self.error_details().into_iter();
        errors.map(|error| json!(error)).collect()
    }

    fn error_details(&self) -> Vec<ErrorDetail> {
        let none = ErrorDetail::default;
        if let Self::Unmappable { outputs, .. } = self {
            let error = |output: &OutputError| ErrorDetail {
                output: Some(output.output),
                pointer: Some(output.pointer.clone()),
                detail: Some(output.message.clone()),
                ..none()
            };
            outputs.iter().map(error).collect()
        } else if let Self::Invalid(problems) = self {
            let error = |problem: &Problem| ErrorDetail::at(problem.at.pointer(), &problem.message);
            problems.iter().map(error).collect()
        } else if let Self::Mapping { key, error, .. } = self {
            program_error(*key, error).into_iter().collect()
        } else if let Self::AmbiguousId { candidates, .. } = self {
            let candidate = |id: &String| ErrorDetail {
                id: Some(id.clone()),
                ..none()
            };
            candidates.iter().map(candidate).collect()
        } else if let Self::CountDiffers { expected, found } = self {
            vec![ErrorDetail {
                expected: Some(*expected),
                found: Some(*found),
                ..none()
            }]
        } else if let Self::InvalidParameter {
            parameter,
            detail,
            allowed,
        } = self
        {
            vec![ErrorDetail {
                parameter: Some(parameter.clone()),
                detail: Some(detail.clone()),
                allowed: allowed.clone(),
                ..none()
            }]
        } else if let Self::Callback(detail) = self {
            vec![ErrorDetail::at("/callback_url".to_owned(), detail)]
        } else {
            Vec::new()
        }
    }

    /// The rejection as RFC 9457 problem details.
    pub fn problem(&self) -> Value {
        let (status, code) = self.status_and_code();
        json!(ProblemDetails {
            kind: format!("urn:masshook:problem:{code}"),
            title: status.canonical_reason(),
            status: status.as_u16(),
            code,
            detail: self.to_string(),
            errors: self.error_details(),
        })
    }
}

/// The error of a program, if its location is known.
fn program_error(key: ProgramKey, error: &EvalError) -> Option<ErrorDetail> {
    let location = error.location()?;
    let input = if let EvalError::Failed(failure) = error {
        failure.part().map(|part| part.input_shape.clone())
    } else {
        None
    };
    Some(ErrorDetail {
        program: Some(key.to_string()),
        line: Some(location.line),
        column: Some(location.column),
        text: Some(location.text.clone()),
        input,
        ..ErrorDetail::default()
    })
}

/// Why a request is refused (RFC 9457).
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProblemDetails {
    /// `urn:masshook:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The name of the HTTP status.
    title: Option<&'static str>,
    /// The HTTP status.
    status: u16,
    /// The stable code.
    code: &'static str,
    /// What happened, and what to do.
    detail: String,
    /// The individual errors, if there are several or if they have a location.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ErrorDetail>,
}

/// One of several errors, or the location of one. Which keys it has depends on the code of the problem.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct ErrorDetail {
    /// The number of the output of `map`, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<usize>,
    /// The JSON pointer of the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    /// The parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The values or names that are allowed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<&'static str>,
    /// The program.
    #[serde(skip_serializing_if = "Option::is_none")]
    program: Option<String>,
    /// The line in the program, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// The column in the line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    /// The text of the line.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The shape of the input of the part that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<String>,
    /// A whole id.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// The number that the caller expects.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<usize>,
    /// The number that was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<usize>,
}

impl ErrorDetail {
    fn at(pointer: String, detail: &str) -> Self {
        Self {
            pointer: Some(pointer),
            detail: Some(detail.to_owned()),
            ..Self::default()
        }
    }
}

/// One of [`Rejection::errors`] as text: what is wrong, and where.
fn error_text(error: &Value) -> String {
    match (error["pointer"].as_str(), error["detail"].as_str()) {
        (Some(""), Some(detail)) => detail.to_owned(),
        (Some(pointer), Some(detail)) => format!("`{pointer}` {detail}"),
        _ => match (&error["program"], &error["line"], &error["column"]) {
            (Value::String(program), line, column) => {
                format!("`{program}`, line {line}, column {column}")
            }
            _ => error.to_string(),
        },
    }
}
