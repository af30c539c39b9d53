//! The shape in which jobs are stored: two documents, the request and everything else, each with its version. A new
//! shape gets a new version; the old ones stay readable.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::store::StoreError;
use super::{Job, JobId};
use crate::update::Method;

/// The first version: of every document that programs of any version read as it is meant.
const FIRST: u32 = 1;

/// The version of jobs whose records may be updated by something else than mass updates. A program that does not know it
/// would send them as mass updates: it puts such a job aside.
const METHODS: u32 = 2;

/// The versions that this program knows.
const KNOWN: std::ops::RangeInclusive<u32> = FIRST..=METHODS;

/// What stands around a document.
#[derive(Serialize)]
struct Envelope<'a, T> {
    v: u32,
    data: &'a T,
}

/// What is looked at first: a document of another version may have any form.
#[derive(Deserialize)]
struct Version {
    v: u32,
}

#[derive(Deserialize)]
struct Opened<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

/// The document of a job's request.
pub(crate) fn request(job: &Job) -> Result<String, StoreError> {
    versioned(version(job), &job.request)
}

/// The document of everything else.
pub(crate) fn state(job: &Job) -> Result<String, StoreError> {
    versioned(version(job), job)
}

/// The earliest version whose programs do with the job what is meant.
fn version(job: &Job) -> u32 {
    match job.request.update_by {
        Method::MassUpdate => FIRST,
        Method::Records | Method::Auto => METHODS,
    }
}

/// The job of two documents.
pub(crate) fn job(id: &JobId, request: &str, state: &str) -> Result<Job, StoreError> {
    let read = || -> Result<Job, String> {
        let state = unwrap(state)?.get().trim_start();
        let rest = state
            .strip_prefix('{')
            .ok_or("its state is not an object")?;
        let whole = format!("{{\"request\":{},{rest}", unwrap(request)?.get());
        let job: Job = parse(&whole)?;
        if job.id == *id {
            Ok(job)
        } else {
            Err(format!("it says that it is job {}", job.id))
        }
    };
    read().map_err(|why| StoreError::Unreadable {
        id: id.clone(),
        why,
    })
}

/// A document around any value.
pub(crate) fn wrap<T: Serialize>(data: &T) -> Result<String, StoreError> {
    versioned(FIRST, data)
}

fn versioned<T: Serialize>(v: u32, data: &T) -> Result<String, StoreError> {
    serde_json::to_string(&Envelope { v, data })
        .map_err(|error| StoreError::Failed(error.to_string()))
}

/// The value of a document.
pub(crate) fn open<T: DeserializeOwned>(document: &str) -> Result<T, String> {
    parse(unwrap(document)?.get())
}

fn unwrap(document: &str) -> Result<&RawValue, String> {
    let Version { v } = parse(document)?;
    if !KNOWN.contains(&v) {
        return Err(format!(
            "its version is {v}, and this program knows {FIRST} to {METHODS}"
        ));
    }
    parse::<Opened<'_>>(document).map(|opened| opened.data)
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    // Of what is wrong only the place is told: the rest may quote the document.
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

/// The place of something in a list that has the latest first: its moment and, for those of one moment, its id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ListKey(String);

impl ListKey {
    /// The key of something.
    pub(crate) fn new(at: Timestamp, id: &str) -> Self {
        // Moments before 1970 sort as 1970: nothing was accepted then.
        Self(format!("{:015}#{id}", at.as_millisecond().max(0)))
    }

    /// A key as it came from outside; it need not be the key of anything.
    pub(crate) fn from_outside(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The key's text; it sorts as the key does.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}
