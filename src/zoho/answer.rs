//! What Zoho's answers mean. Pure. An answer is judged by its entries and codes, never by its HTTP status alone: a 202
//! may be a refusal, a 200 and a 207 may contain refusals, a 400 may contain only per-record ones.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;

use crate::codes::{self, Cause, Class, FailureScope};
use crate::outcome::{Failure, Progress, Refusal};
use crate::update::RecordId;

/// An answer as it came over the wire.
#[derive(Clone, Copy, Debug)]
pub struct RawAnswer<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: &'a [u8],
    /// What a `Retry-After` header asked for.
    pub retry_after: Option<Duration>,
    /// API credits that remain, if a header said so: Zoho tells once half of the day's are used.
    pub credits: Option<u64>,
}

/// What went wrong, by what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The access token is not valid (any more).
    InvalidToken(Refusal),
    /// Not now: throttled, broken, or busy. Zoho may have said how long to wait.
    Later(Refusal, Option<Duration>),
    /// Never, for this call.
    Refused(Refusal),
    /// Never, for any call of this job: scope, permission, module.
    Denied(Refusal),
}

/// The meaning of an answer to a call that updates records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpdateAnswer {
    /// The records were updated but for these.
    Settled(Vec<Failure>),
    /// Zoho made a job of it.
    Accepted {
        /// The job's id.
        zoho_job_id: String,
    },
    /// Whether it was carried out is not known, and it was not to be sent again for that.
    Unclear(Refusal),
}

/// The meaning of an answer to a status GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ZohoJobStatus {
    /// Not finished.
    Running(Progress),
    /// Finished.
    Ended {
        /// The last counts.
        counts: Progress,
        /// Whether it completed, rather than failed.
        completed: bool,
    },
    /// Zoho does not know the job.
    Unknown,
}

/// Judges the answer to a mass-update POST that named `ids`, or none for a custom view.
///
/// # Errors
/// [`Trouble`], where nothing (or nothing certain) was updated.
pub fn update(raw: &RawAnswer<'_>, ids: &[RecordId]) -> Result<UpdateAnswer, Trouble> {
    let Entries { list, top_level } = entries(raw)?;
    match list.first() {
        Some(entry) if top_level => Err(entry.trouble(raw)),
        Some(entry) if ids.is_empty() => scheduled(raw, entry),
        Some(_) => by_record(raw, &list, ids, ids.len() > 1),
        None => Err(unreadable(raw)),
    }
}

/// Judges the answer to an update of records, those of `ids` in this order. Unlike with a mass update, each of its entries
/// is about the record in its place, even if there is only one: what Zoho says of a field names no record.
///
/// # Errors
/// [`Trouble`], where nothing (or nothing certain) was updated.
pub fn records(raw: &RawAnswer<'_>, ids: &[RecordId]) -> Result<UpdateAnswer, Trouble> {
    let Entries { list, top_level } = entries(raw)?;
    match list.first() {
        Some(entry) if top_level => Err(entry.trouble(raw)),
        Some(_) => by_record(raw, &list, ids, true),
        None => Err(unreadable(raw)),
    }
}

fn scheduled(raw: &RawAnswer<'_>, entry: &Entry) -> Result<UpdateAnswer, Trouble> {
    if !entry.success {
        return Err(entry.trouble(raw));
    }
    let zoho_job_id = entry.text("job_id").ok_or_else(|| unreadable(raw))?;
    Ok(UpdateAnswer::Accepted { zoho_job_id })
}

/// Judges entries that tell of records; `placed` if one that names no record is about that in its place.
fn by_record(
    raw: &RawAnswer<'_>,
    entries: &[Entry],
    ids: &[RecordId],
    placed: bool,
) -> Result<UpdateAnswer, Trouble> {
    let by_id: HashMap<String, RecordId> = ids.iter().map(|id| (id.to_string(), *id)).collect();
    let in_order = entries.len() == ids.len();
    let mut failures: HashMap<RecordId, Failure> = HashMap::new();
    let mut answered = Vec::with_capacity(ids.len());
    for (index, entry) in entries.iter().enumerate() {
        let named = entry.text("id").and_then(|id| by_id.get(&id).copied());
        // A refusal of a whole mass update is one entry that names no record of ours. With a single id it cannot be told
        // apart by its place, only by what it names.
        let positional = if in_order && placed {
            ids.get(index).copied()
        } else {
            None
        };
        match named.or(positional) {
            Some(id) => {
                answered.push(id);
                if !entry.success {
                    failures.insert(id, entry.failure(id));
                }
            }
            None if entry.success && in_order => answered.extend(ids.get(index)),
            None if entry.success => {}
            None => return Err(entry.trouble(raw)),
        }
    }
    if answered.is_empty() {
        return Err(unreadable(raw));
    }
    // If every entry says "not now", that is no verdict on any record.
    let transient = |entry: &Entry| {
        !entry.success
            && matches!(
                entry.trouble(raw),
                Trouble::Later(..) | Trouble::InvalidToken(_)
            )
    };
    if let Some(first) = entries.first().filter(|_| entries.iter().all(transient)) {
        return Err(first.trouble(raw));
    }
    let answered: std::collections::HashSet<RecordId> = answered.into_iter().collect();
    let silent = |id: &RecordId| Failure {
        id: *id,
        code: Cause::NotAnswered.row().code.to_owned(),
        message: Cause::NotAnswered.row().happened.to_owned(),
    };
    let in_request_order = ids.iter().filter_map(|id| {
        failures
            .remove(id)
            .or_else(|| (!answered.contains(id)).then(|| silent(id)))
    });
    Ok(UpdateAnswer::Settled(in_request_order.collect()))
}

/// Judges the answer to a status GET.
///
/// # Errors
/// [`Trouble`], where nothing was learnt of the job.
pub fn tracked(raw: &RawAnswer<'_>) -> Result<ZohoJobStatus, Trouble> {
    // Unknown jobs: 404 with an empty body (v3 to v7 pages), 400 naming `job_id` (2026 specification), and Zoho's
    // general "nothing here", 204.
    if raw.status == 204 {
        return Ok(ZohoJobStatus::Unknown);
    }
    let document: Value = match parse(raw) {
        Ok(document) => document,
        Err(_) if raw.status == 404 => return Ok(ZohoJobStatus::Unknown),
        Err(trouble) => return Err(trouble),
    };
    let data = &document["data"];
    let item = data.get(0).unwrap_or(data);
    if let Some(status) = key(item, "status")
        .and_then(Value::as_str)
        .filter(|_| key(item, "total_count").is_some())
    {
        let count = |name| key(item, name).and_then(Value::as_u64).unwrap_or_default();
        let counts = Progress {
            total: count("total_count"),
            updated: count("updated_count"),
            not_updated: count("not_updated_count"),
            failed: count("failed_count"),
        };
        return Ok(match status.to_ascii_uppercase().as_str() {
            "COMPLETED" => ZohoJobStatus::Ended {
                counts,
                completed: true,
            },
            "FAILED" => ZohoJobStatus::Ended {
                counts,
                completed: false,
            },
            // SCHEDULED, QUEUED, RUNNING, SUSPENDED, and whatever Zoho may add: only a known end is an end.
            _ => ZohoJobStatus::Running(counts),
        });
    }
    let Some(entry) = entries(raw)?.list.into_iter().next() else {
        return Err(unreadable(raw));
    };
    match entry.refusal().cause() {
        Some(Cause::NotFound | Cause::ZohoJobUnknown) => Ok(ZohoJobStatus::Unknown),
        Some(_) | None => Err(entry.trouble(raw)),
    }
}

/// Judges the answer to a question for what stands under `key`: the whole document, or null if Zoho has nothing to tell,
/// which it says with 204 and no body.
///
/// # Errors
/// [`Trouble`], where nothing was learnt.
pub fn found(raw: &RawAnswer<'_>, key: &str) -> Result<Value, Trouble> {
    if raw.status == 204 {
        return Ok(Value::Null);
    }
    let document = parse(raw)?;
    if (200..300).contains(&raw.status) && document.get(key).is_some() {
        return Ok(document);
    }
    match entries(raw)?.list.into_iter().find(|entry| !entry.success) {
        Some(entry) => Err(entry.trouble(raw)),
        None => Err(unreadable(raw)),
    }
}

/// One `{code, details, message, status}`.
#[derive(Debug)]
struct Entry {
    code: String,
    message: String,
    details: Value,
    success: bool,
}

impl Entry {
    fn read(value: &Value) -> Option<Self> {
        let code = value.get("code")?.as_str()?.to_owned();
        if code.is_empty() {
            return None;
        }
        let status = value
            .get("status")
            .and_then(Value::as_str)
            .unwrap_or_default();
        Some(Self {
            success: status.eq_ignore_ascii_case("success")
                || (status.is_empty() && code == "SUCCESS"),
            message: value
                .get("message")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            details: value.get("details").cloned().unwrap_or_default(),
            code,
        })
    }

    /// A detail that is an id or a name: a string, or a whole number.
    fn text(&self, name: &str) -> Option<String> {
        match self.details.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) if number.is_u64() => Some(number.to_string()),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => None,
        }
    }

    fn failure(&self, id: RecordId) -> Failure {
        Failure {
            id,
            code: self.code.clone(),
            message: codes::wording(&self.message, &self.details),
        }
    }

    fn refusal(&self) -> Refusal {
        Refusal::zoho(
            self.code.clone(),
            codes::wording(&self.message, &self.details),
        )
    }

    fn trouble(&self, raw: &RawAnswer<'_>) -> Trouble {
        let asked = self.details.get("retry_after").and_then(Value::as_u64);
        let asked = asked.map(Duration::from_secs).or(raw.retry_after);
        judge(self.refusal(), asked, raw)
    }
}

/// What follows from a refusal, by the table of codes. Where the table has no such code, the HTTP status still tells
/// "not now" from "never".
fn judge(refusal: Refusal, asked: Option<Duration>, raw: &RawAnswer<'_>) -> Trouble {
    if raw.status == 429 && raw.credits == Some(0) {
        // The status is the same as for too many calls at once; the credits tell the two apart.
        let spent = Cause::CreditsSpent.row();
        let message = format!("{} ({})", refusal.message, spent.says.join(", "));
        return Trouble::Later(
            Refusal {
                code: refusal.code,
                ..Refusal::with(Cause::CreditsSpent, message)
            },
            asked.or(spent.class.wait()),
        );
    }
    match codes::find(&refusal.code, &refusal.message).map(|row| row.class) {
        Some(Class::Reauthenticate) => Trouble::InvalidToken(refusal),
        Some(class @ Class::Wait(_)) => Trouble::Later(refusal, asked.or(class.wait())),
        Some(Class::Retry) => Trouble::Later(refusal, asked),
        None if raw.status == 429 || raw.status >= 500 => Trouble::Later(refusal, asked),
        Some(Class::Permanent(FailureScope::Job)) => Trouble::Denied(refusal),
        Some(Class::Permanent(FailureScope::Call) | Class::Partial) | None => {
            Trouble::Refused(refusal)
        }
    }
}

/// The entries of an answer, from any of Zoho's three envelopes.
struct Entries {
    list: Vec<Entry>,
    /// Whether the answer is one entry about the whole call, outside `data`.
    top_level: bool,
}

fn entries(raw: &RawAnswer<'_>) -> Result<Entries, Trouble> {
    let document = parse(raw)?;
    let list = match &document["data"] {
        Value::Array(items) => items.iter().map(Entry::read).collect(),
        Value::Object(_) => Entry::read(&document["data"]).map(|entry| vec![entry]),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Entry::read(&document).map(|entry| vec![entry])
        }
    };
    let top_level = document.get("data").is_none();
    list.map(|list| Entries { list, top_level })
        .ok_or_else(|| unreadable(raw))
}

fn parse(raw: &RawAnswer<'_>) -> Result<Value, Trouble> {
    serde_json::from_slice(raw.body).map_err(|_| unreadable(raw))
}

/// An answer that says nothing in Zoho's JSON: a gateway's page, an empty body. A 2xx without a readable verdict may or
/// may not have updated anything; setting the same values again is harmless, claiming success is not.
fn unreadable(raw: &RawAnswer<'_>) -> Trouble {
    let code = format!("HTTP_{}", raw.status);
    let happened = codes::find(&code, "").map_or("Zoho sends no code", |row| row.happened);
    judge(
        Refusal::zoho(code, happened.to_owned()),
        raw.retry_after,
        raw,
    )
}

/// A key of the status answer, whose case Zoho's APIs do not agree on.
fn key<'a>(item: &'a Value, name: &str) -> Option<&'a Value> {
    item.as_object()?
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn raw(status: u16, body: &str) -> RawAnswer<'_> {
        RawAnswer {
            status,
            body: body.as_bytes(),
            retry_after: None,
            credits: None,
        }
    }

    fn ids(ids: &[u64]) -> Vec<RecordId> {
        ids.iter()
            .map(|id| id.to_string().parse().expect("an id"))
            .collect()
    }

    const BOTH: &str = r#"{"data":[
        {"code":"SUCCESS","details":{"id":"11"},"message":"record updated","status":"success"},
        {"code":"INVALID_DATA","details":{"id":"12"},"message":"the id given seems to be invalid","status":"error"}]}"#;

    #[test]
    fn a_mixed_answer_is_the_same_under_every_status() {
        for status in [200, 207, 400] {
            let Ok(UpdateAnswer::Settled(failures)) = update(&raw(status, BOTH), &ids(&[11, 12]))
            else {
                panic!("{status}")
            };
            assert_eq!(failures.len(), 1);
            assert_eq!(
                (
                    failures[0].id.to_string().as_str(),
                    failures[0].code.as_str()
                ),
                ("12", "INVALID_DATA")
            );
        }
    }

    #[test]
    fn what_is_said_of_a_field_is_about_the_record_in_its_place() {
        let field = r#"{"code":"INVALID_DATA","details":{"api_name":"City","json_path":"$.data[0].City"},"message":"invalid data","status":"error"}"#;
        let alone = format!(r#"{{"data":[{field}]}}"#);
        let Ok(UpdateAnswer::Settled(failures)) = records(&raw(400, &alone), &ids(&[11])) else {
            panic!("a verdict on the record")
        };
        assert_eq!(failures[0].id.to_string(), "11");
        // A mass update is refused as a whole by the same words.
        assert!(matches!(
            update(&raw(400, &alone), &ids(&[11])),
            Err(Trouble::Refused(_))
        ));
        let both = format!(
            r#"{{"data":[{field},{{"code":"SUCCESS","details":{{"id":"12"}},"message":"record updated","status":"success"}}]}}"#
        );
        for status in [200, 207] {
            let Ok(UpdateAnswer::Settled(failures)) = records(&raw(status, &both), &ids(&[11, 12]))
            else {
                panic!("{status}")
            };
            assert_eq!(
                failures
                    .iter()
                    .map(|failure| failure.id.to_string())
                    .collect::<Vec<_>>(),
                ["11"]
            );
        }
        let denied = r#"{"code":"OAUTH_SCOPE_MISMATCH","details":{},"message":"Unauthorized","status":"error"}"#;
        assert!(matches!(
            records(&raw(401, denied), &ids(&[11])),
            Err(Trouble::Denied(_))
        ));
        let busy =
            r#"{"data":[{"code":"TOO_MANY_REQUESTS","details":{},"message":"","status":"error"}]}"#;
        assert!(matches!(
            records(&raw(429, busy), &ids(&[11])),
            Err(Trouble::Later(..))
        ));
    }

    #[test]
    fn what_is_asked_for_is_there_or_not_or_refused() {
        let of = |status, body| found(&raw(status, body), "fields");
        assert!(of(200, r#"{"fields":[]}"#).is_ok_and(|found| found["fields"].is_array()));
        assert_eq!(of(204, ""), Ok(Value::Null));
        let scope = r#"{"code":"OAUTH_SCOPE_MISMATCH","details":{},"message":"Unauthorized","status":"error"}"#;
        for status in [401, 200] {
            assert!(matches!(of(status, scope), Err(Trouble::Denied(_))));
        }
        assert!(matches!(of(200, "<p>welcome</p>"), Err(Trouble::Later(..))));
        assert!(matches!(
            of(200, r#"{"modules":[]}"#),
            Err(Trouble::Later(..))
        ));
        assert!(matches!(of(429, ""), Err(Trouble::Later(..))));
    }

    #[test]
    fn a_202_can_be_a_refusal_in_every_envelope() {
        let error = r#"{"code":"ALREADY_SCHEDULED","details":{"api_name":"cvid"},"message":"running","status":"error"}"#;
        for body in [
            error.to_owned(),
            format!(r#"{{"data":[{error}]}}"#),
            format!(r#"{{"data":{error}}}"#),
        ] {
            for status in [202, 400] {
                let answer = update(&raw(status, &body), &[]);
                assert!(
                    matches!(answer, Err(Trouble::Later(_, Some(wait))) if wait.as_secs() == 30),
                    "{status} {body}: {answer:?}"
                );
            }
        }
    }

    #[test]
    fn a_scheduled_job_is_found_in_both_envelopes() {
        let entry = r#"{"code":"SUCCESS","details":{"job_id":"554023000000506003"},"message":"ok","status":"success"}"#;
        for body in [
            format!(r#"{{"data":[{entry}]}}"#),
            format!(r#"{{"data":{entry}}}"#),
        ] {
            assert_eq!(
                update(&raw(200, &body), &[]),
                Ok(UpdateAnswer::Accepted {
                    zoho_job_id: "554023000000506003".to_owned()
                })
            );
        }
    }

    #[test]
    fn a_refusal_of_the_whole_call_is_not_blamed_on_records() {
        let body = r#"{"data":[{"code":"INVALID_DATA","details":{"api_name":"Pipeline","id":"99"},
            "message":"picklist not found in record layout","status":"error"}]}"#;
        for ids in [ids(&[11]), ids(&[11, 12, 13])] {
            let answer = update(&raw(400, body), &ids);
            assert!(
                matches!(&answer, Err(Trouble::Refused(why)) if why.message.contains("`Pipeline`")),
                "{answer:?}"
            );
        }
    }

    #[test]
    fn records_that_zoho_does_not_mention_are_not_claimed() {
        let body = r#"{"data":[{"code":"SUCCESS","details":{"id":"12"},"message":"record updated","status":"success"}]}"#;
        let Ok(UpdateAnswer::Settled(failures)) = update(&raw(200, body), &ids(&[11, 12, 13]))
        else {
            panic!("settled")
        };
        let silent: Vec<_> = failures
            .iter()
            .map(|failure| (failure.id.to_string(), failure.code.as_str()))
            .collect();
        assert_eq!(
            silent,
            [
                ("11".to_owned(), "NOT_ANSWERED"),
                ("13".to_owned(), "NOT_ANSWERED")
            ]
        );
    }

    #[test]
    fn pages_and_silence_are_judged_by_status() {
        let page = "<html><body><h1>502 Bad Gateway</h1></body></html>";
        let of = |status, body| update(&raw(status, body), &ids(&[11]));
        assert!(matches!(of(502, page), Err(Trouble::Later(..))));
        assert!(matches!(of(200, page), Err(Trouble::Later(..))));
        assert!(matches!(of(204, ""), Err(Trouble::Later(..))));
        assert!(matches!(of(429, ""), Err(Trouble::Later(..))));
        assert!(matches!(of(401, page), Err(Trouble::InvalidToken(_))));
        assert!(matches!(of(301, page), Err(Trouble::Denied(_))));
        assert!(matches!(of(403, page), Err(Trouble::Refused(_))));
    }

    #[test]
    fn throttles_are_heard_in_all_their_forms() {
        let body = r#"{"code":"TOO_MANY_REQUESTS","message":"Rate limit exceeded.","status":"error","details":{"retry_after":60}}"#;
        let answer = update(&raw(429, body), &ids(&[11]));
        assert!(
            matches!(answer, Err(Trouble::Later(_, Some(wait))) if wait == Duration::from_secs(60))
        );
        let header = RawAnswer {
            retry_after: Some(Duration::from_secs(7)),
            ..raw(429, "")
        };
        assert!(
            matches!(update(&header, &ids(&[11])), Err(Trouble::Later(_, Some(wait))) if wait.as_secs() == 7)
        );
    }

    #[test]
    fn a_job_is_tracked_to_its_known_end_only() {
        let body = |status: &str| {
            format!(
                r#"{{"data":[{{"Status":"{status}","Failed_Count":1,"Updated_Count":30,"Not_Updated_Count":19,"Total_Count":50}}]}}"#
            )
        };
        let counts = Progress {
            total: 50,
            updated: 30,
            not_updated: 19,
            failed: 1,
        };
        for running in ["SCHEDULED", "QUEUED", "RUNNING", "SUSPENDED", "in progress"] {
            assert_eq!(
                tracked(&raw(200, &body(running))),
                Ok(ZohoJobStatus::Running(counts)),
                "{running}"
            );
        }
        assert_eq!(
            tracked(&raw(200, &body("completed"))),
            Ok(ZohoJobStatus::Ended {
                counts,
                completed: true
            })
        );
        assert_eq!(
            tracked(&raw(200, &body("FAILED"))),
            Ok(ZohoJobStatus::Ended {
                counts,
                completed: false
            })
        );
    }

    #[test]
    fn an_unknown_job_is_unknown_in_every_form() {
        let new = r#"{"code":"INVALID_DATA","details":{"param_name":"job_id"},"message":"The jobid given seems to be invalid","status":"error"}"#;
        let old = r#"{"code":"NOT_FOUND","details":{},"message":"","status":"error"}"#;
        for (status, body) in [(204, ""), (404, ""), (404, old)] {
            assert_eq!(
                tracked(&raw(status, body)),
                Ok(ZohoJobStatus::Unknown),
                "{status} {body}"
            );
        }
        // This one comes as a top-level error.
        assert_eq!(tracked(&raw(400, new)), Ok(ZohoJobStatus::Unknown));
    }

    proptest! {
        #[test]
        fn no_answer_makes_the_judge_panic_or_claim_more_than_it_says(
            status in 100_u16..600,
            entries in prop::collection::vec((
                "SUCCESS|INVALID_DATA|ALREADY_SCHEDULED|INTERNAL_ERROR|[A-Z_]{0,9}",
                "success|error|[a-z]{0,3}",
                "11|12|13|[0-9]{0,20}",
            ), 0..4),
            envelope in 0..4_u8,
        ) {
            let list: Vec<Value> = entries
                .iter()
                .map(|(code, status, id)| serde_json::json!({
                    "code": code, "status": status, "message": "", "details": {"id": id, "job_id": id},
                }))
                .collect();
            let body = match (envelope, list.first()) {
                (0, _) => serde_json::json!({"data": list}),
                (1, Some(entry)) => serde_json::json!({"data": entry}),
                (2, Some(entry)) => entry.clone(),
                _ => serde_json::json!({"data": "?"}),
            };
            let body = body.to_string();
            let ids = ids(&[11, 12]);
            if let Ok(UpdateAnswer::Settled(failures)) = update(&raw(status, &body), &ids) {
                let failed: Vec<String> = failures.iter().map(|failure| failure.id.to_string()).collect();
                for id in ["11", "12"] {
                    let updated = entries.iter().any(|(code, status, named)| {
                        let success = status == "success" || (status.is_empty() && code == "SUCCESS");
                        success && (named == id || entries.len() == 2)
                    });
                    prop_assert!(updated || failed.iter().any(|failed| failed == id), "{} in {}", id, body);
                }
            }
            let _ = tracked(&raw(status, &body));
        }
    }
}
