//! The JSON documents in which jobs are stored: one for the request and one for everything else, each with its version. A
//! change that an older program would misread, or that this program would misread in older documents, raises the version. A
//! program that does not know a job's version parks the job.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::StoreError;
use crate::job::{Job, JobId};

/// The versions of the documents of a job. Versions 1 and 2 had other field names. Version 4 is that of jobs that also change
/// tags or the owner: a program that does not know these would leave them out. All other jobs keep version 3, so that an older
/// program can go on with them.
const JOB_VERSION: u32 = 3;
const ACTIONS_VERSION: u32 = 4;

/// The version of all other documents.
const VERSION: u32 = 1;

/// A document with its version.
#[derive(Serialize)]
struct Envelope<'a, T> {
    v: u32,
    data: &'a T,
}

/// The version alone. It is read first, because a document of another version may have any form.
#[derive(Deserialize)]
struct Version {
    v: u32,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

/// The version of the documents of `job`.
fn job_version(job: &Job) -> u32 {
    match job.request.has_actions() {
        true => ACTIONS_VERSION,
        false => JOB_VERSION,
    }
}

/// The data of a document of a job.
fn unwrap_job(document: &str) -> Result<&str, String> {
    unwrap(&[JOB_VERSION, ACTIONS_VERSION], document)
}

/// Encodes a job's request.
pub(crate) fn encode_request(job: &Job) -> Result<String, StoreError> {
    versioned(job_version(job), &job.request)
}

/// Encodes a job without its request.
pub(crate) fn encode_state(job: &Job) -> Result<String, StoreError> {
    versioned(job_version(job), job)
}

/// Decodes a job from its two documents.
pub(crate) fn decode_job(id: &JobId, request: &str, state: &str) -> Result<Job, StoreError> {
    let decode = || -> Result<Job, String> {
        let state = unwrap_job(state)?.trim_start();
        let rest = state
            .strip_prefix('{')
            .ok_or("its state is not an object")?;
        let whole = format!("{{\"request\":{},{rest}", unwrap_job(request)?);
        let job: Job = parse(&whole)?;
        if job.id == *id {
            Ok(job)
        } else {
            Err(format!("it contains the id {}", job.id))
        }
    };
    decode().map_err(|reason| StoreError::Unreadable {
        id: id.clone(),
        reason,
    })
}

/// Encodes any value.
pub(crate) fn encode<T: Serialize>(data: &T) -> Result<String, StoreError> {
    versioned(VERSION, data)
}

fn versioned<T: Serialize>(v: u32, data: &T) -> Result<String, StoreError> {
    serde_json::to_string(&Envelope { v, data })
        .map_err(|error| StoreError::Failed(error.to_string()))
}

/// The data of a document as [`versioned`] writes it. The reader of the data finds out whether it is whole.
fn data_of_written(version: u32, document: &str) -> Option<&str> {
    let rest = document.strip_prefix("{\"v\":")?;
    let (v, rest) = rest.split_once(',')?;
    let data = rest.strip_prefix("\"data\":")?.strip_suffix('}')?;
    (v.parse() == Ok(version)).then_some(data)
}

/// Decodes a value.
pub(crate) fn decode<T: DeserializeOwned>(document: &str) -> Result<T, String> {
    parse(unwrap(&[VERSION], document)?)
}

/// The data of a document, which must have one of these versions.
fn unwrap<'a>(versions: &[u32], document: &'a str) -> Result<&'a str, String> {
    let mut written = versions.iter();
    if let Some(data) = written.find_map(|version| data_of_written(*version, document)) {
        return Ok(data);
    }
    let Version { v } = parse(document)?;
    if !versions.contains(&v) {
        let read: Vec<String> = versions.iter().map(ToString::to_string).collect();
        return Err(format!(
            "its version is {v}, and this program reads version {}",
            read.join(" and ")
        ));
    }
    parse::<Data<'_>>(document).map(|document| document.data.get())
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    // Only the position of a syntax error is reported, because the message may quote the document.
    serde_json::from_str(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => error.to_string(),
        serde_json::error::Category::Io
        | serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof => format!(
            "it is not JSON (line {}, column {})",
            error.line(),
            error.column()
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::update::UpdateRequest;
    use jiff::Timestamp;
    use serde_json::json;

    fn job(update_by: &str) -> Job {
        let request =
            json!({"module": "Leads", "fields": {"A": 1}, "ids": ["7"], "update_by": update_by});
        let request = UpdateRequest::parse(&request).expect("a request");
        let id = JobId::derive("r", "d", 1);
        let connection = "default".to_owned();
        Job::new(id, None, connection, request, None, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn job_round_trips_in_current_version() {
        for update_by in ["mass_update", "records", "auto"] {
            let job = job(update_by);
            let request = encode_request(&job).expect("a document");
            let state = encode_state(&job).expect("a document");
            assert!(
                request.starts_with(r#"{"v":3,"#) && state.starts_with(r#"{"v":3,"#),
                "{request}"
            );
            assert_eq!(decode_job(&job.id, &request, &state).expect("a job"), job);
            // The default is not stored.
            let is_stored = request.contains("update_by");
            assert_eq!(is_stored, update_by != "mass_update", "{request}");
        }
    }

    /// Version 3 knows no tags and no owner.
    #[test]
    fn job_with_actions_has_a_version_of_its_own() {
        for actions in [
            json!({"tags": {"add": ["Webinar"]}}),
            json!({"owner": {"email": "ann@example.com"}}),
            json!({"tags": {"remove": ["Cold"]}, "owner": {"id": "5"}, "fields": {"A": 1}}),
        ] {
            let mut request = json!({"module": "Leads", "ids": ["7"]});
            let actions = actions.as_object().expect("an object").clone();
            request.as_object_mut().expect("an object").extend(actions);
            let request = UpdateRequest::parse(&request).expect("a request");
            let job = Job {
                request,
                ..job("records")
            };
            let request = encode_request(&job).expect("a document");
            let state = encode_state(&job).expect("a document");
            assert!(request.starts_with(r#"{"v":4,"#) && state.starts_with(r#"{"v":4,"#));
            assert_eq!(decode_job(&job.id, &request, &state).expect("a job"), job);
        }
    }

    /// Fields were renamed after versions 1 and 2. Their values must not be replaced by defaults.
    #[test]
    fn other_job_versions_are_unreadable() {
        let job = job("records");
        let request = encode_request(&job).expect("a document");
        let state = encode_state(&job).expect("a document");
        for version in [1, 2, 5] {
            let other =
                |document: &str| document.replacen("\"v\":3", &format!("\"v\":{version}"), 1);
            for (request, state) in [
                (other(&request), state.clone()),
                (request.clone(), other(&state)),
            ] {
                let error = decode_job(&job.id, &request, &state).expect_err("another version");
                let expected = format!("its version is {version}");
                assert!(error.to_string().contains(&expected), "{error}");
                assert!(
                    matches!(error, StoreError::Unreadable { .. }),
                    "the job is parked: {error:?}"
                );
            }
        }
    }

    #[test]
    fn missing_field_makes_job_unreadable() {
        let job = job("records");
        let request = encode_request(&job).expect("a document");
        let state = encode_state(&job).expect("a document");
        for field in [
            "preparation",
            "on_unknown_outcome",
            "track_for",
            "request_hash",
        ] {
            let renamed = state.replace(&format!("\"{field}\":"), "\"former\":");
            assert_ne!(renamed, state);
            let error = decode_job(&job.id, &request, &renamed).expect_err("a missing field");
            assert!(error.to_string().contains(field), "{error}");
        }
    }
}
