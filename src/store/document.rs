//! The JSON documents in which jobs are stored: one for the request and one for everything else, each with its version. A new
//! form gets a new version; the old versions stay readable.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::StoreError;
use crate::job::{Job, JobId};
use crate::update::UpdateMethod;

/// The first version, of every document that each version of masshook understands.
const FIRST: u32 = 1;

/// The version of jobs whose records may be updated other than by mass updates. A masshook that does not know this version
/// parks such a job, instead of sending mass updates for it.
const RECORD_UPDATES: u32 = 2;

/// The versions that this program can read.
const KNOWN: std::ops::RangeInclusive<u32> = FIRST..=RECORD_UPDATES;

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

/// Encodes a job's request.
pub(crate) fn encode_request(job: &Job) -> Result<String, StoreError> {
    versioned(version(job), &job.request)
}

/// Encodes a job without its request.
pub(crate) fn encode_state(job: &Job) -> Result<String, StoreError> {
    versioned(version(job), job)
}

/// The earliest version that understands the job.
fn version(job: &Job) -> u32 {
    match job.request.update_by {
        UpdateMethod::MassUpdate => FIRST,
        UpdateMethod::Records | UpdateMethod::Auto => RECORD_UPDATES,
    }
}

/// Decodes a job from its two documents.
pub(crate) fn decode_job(id: &JobId, request: &str, state: &str) -> Result<Job, StoreError> {
    let decode = || -> Result<Job, String> {
        let state = unwrap(state)?.get().trim_start();
        let rest = state
            .strip_prefix('{')
            .ok_or("its state is not an object")?;
        let whole = format!("{{\"request\":{},{rest}", unwrap(request)?.get());
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
    versioned(FIRST, data)
}

fn versioned<T: Serialize>(v: u32, data: &T) -> Result<String, StoreError> {
    serde_json::to_string(&Envelope { v, data })
        .map_err(|error| StoreError::Failed(error.to_string()))
}

/// Decodes a value.
pub(crate) fn decode<T: DeserializeOwned>(document: &str) -> Result<T, String> {
    parse(unwrap(document)?.get())
}

fn unwrap(document: &str) -> Result<&RawValue, String> {
    let Version { v } = parse(document)?;
    if !KNOWN.contains(&v) {
        return Err(format!(
            "its version is {v}, and this program knows {FIRST} to {RECORD_UPDATES}"
        ));
    }
    parse::<Data<'_>>(document).map(|document| document.data)
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

    /// Jobs that an older masshook would misread have a version that it does not know.
    #[test]
    fn job_has_earliest_version_that_understands_it() {
        for (update_by, version) in [("mass_update", 1), ("records", 2), ("auto", 2)] {
            let request = json!({"module": "Leads", "fields": {"A": 1}, "ids": ["7"], "update_by": update_by});
            let request = UpdateRequest::parse(&request).expect("a request");
            let id = JobId::derive("r", "d", 1);
            let connection = "default".to_owned();
            let job = Job::new(id, None, connection, request, None, Timestamp::UNIX_EPOCH);
            let request = encode_request(&job).expect("a document");
            let state = encode_state(&job).expect("a document");
            let start = format!(r#"{{"v":{version},"#);
            assert!(
                request.starts_with(&start) && state.starts_with(&start),
                "{request}"
            );
            assert_eq!(decode_job(&job.id, &request, &state).expect("a job"), job);
            // A version 1 document has no `update_by`.
            assert_eq!(request.contains("update_by"), version == 2, "{request}");
        }
    }
}
