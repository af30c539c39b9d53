//! What a rejection reports: to the sender, to the log, and to the terminal.

use serde_json::{Value, json};

use strict_reader::Problem;

use super::Rejection;
use crate::mapping::{EvalError, OutputError};

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
        if let Self::Unmappable { outputs, .. } = self {
            let error = |output: &OutputError| json!({"output": output.output, "pointer": output.pointer, "detail": output.message});
            outputs.iter().map(error).collect()
        } else if let Self::Invalid(problems) = self {
            let error = |problem: &Problem| json!({"pointer": problem.at.pointer(), "detail": problem.message});
            problems.iter().map(error).collect()
        } else if let Self::Mapping { key, error, .. } = self
            && let Some(location) = error.location()
        {
            let mut found = json!({"program": key.to_string(), "line": location.line, "column": location.column, "text": location.text});
            if let EvalError::Failed(failure) = error
                && let Some(part) = failure.part()
            {
                found["input"] = part.input_shape.clone().into();
            }
            vec![found]
        } else if let Self::AmbiguousId { candidates, .. } = self {
            candidates.iter().map(|id| json!({ "id": id })).collect()
        } else if let Self::CountDiffers { expected, found } = self {
            vec![json!({"expected": expected, "found": found})]
        } else if let Self::InvalidParameter {
            parameter,
            detail,
            allowed,
        } = self
        {
            let mut error = json!({"parameter": parameter, "detail": detail});
            if !allowed.is_empty() {
                error["allowed"] = json!(allowed);
            }
            vec![error]
        } else if let Self::Callback(detail) = self {
            vec![json!({"pointer": "/callback_url", "detail": detail})]
        } else {
            Vec::new()
        }
    }

    /// The rejection as RFC 9457 problem details.
    pub fn problem(&self) -> Value {
        let (status, code) = self.status_and_code();
        let mut problem = json!({
            "type": format!("urn:masshook:problem:{code}"),
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "code": code,
            "detail": self.to_string(),
        });
        let errors = self.errors();
        if !errors.is_empty() {
            problem["errors"] = Value::Array(errors);
        }
        problem
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
