//! The history as JSON: `history` in `GET /jobs/{id}`.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Entry, History, Omitted, Step};
use crate::clock::after;
use crate::job::Job;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HistoryEvent {
    /// The delivery or the update request arrived.
    Received,
    /// Its signature was verified.
    Verified,
    /// It was mapped to update requests.
    Mapped,
    /// The job was accepted.
    Queued,
    /// Names, fields or records were read from Zoho.
    LookedUp,
    /// The calls were planned.
    Planned,
    /// A call was sent.
    Call,
    /// The status of a Zoho job was read.
    Poll,
    /// The job waits.
    Waiting,
    /// The job waits because of Zoho's limits.
    Throttled,
    /// Records were left to a newer delivery.
    Superseded,
    /// A callback was sent.
    Callback,
    /// The last call became final.
    Finished,
    /// Steps that are only counted.
    Summary,
}

impl HistoryEvent {
    /// Whether it is before the acceptance of the job.
    fn is_arrival(self) -> bool {
        matches!(self, Self::Received | Self::Verified | Self::Mapped)
    }

    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Verified => "verified",
            Self::Mapped => "mapped",
            Self::Queued => "queued",
            Self::LookedUp => "looked_up",
            Self::Planned => "planned",
            Self::Call => "call",
            Self::Poll => "poll",
            Self::Waiting => "waiting",
            Self::Throttled => "throttled",
            Self::Superseded => "superseded",
            Self::Callback => "callback",
            Self::Finished => "finished",
            Self::Summary => "summary",
        }
    }
}

/// One entry. Keys without a value are left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryEntry {
    /// When it began.
    pub at: Timestamp,
    /// What happened.
    pub event: HistoryEvent,
    /// How long it took. For polls in succession, their sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// The number of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<usize>,
    /// The HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// A code of Zoho or masshook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The number of records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// How many jobs shared the call; 1 if the job was alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_jobs: Option<u64>,
    /// Unique prefixes of the ids of some of the other jobs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared_with: Vec<String>,
    /// When a wait ends, or when a callback is sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The number of the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u64>,
    /// The receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// How many steps the entry stands for, if more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// When the last of them began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Timestamp>,
    /// More about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl HistoryEntry {
    fn new(at: Timestamp, event: HistoryEvent) -> Self {
        Self {
            at,
            event,
            took_ms: None,
            call: None,
            status: None,
            code: None,
            records: None,
            shared_jobs: None,
            shared_with: Vec::new(),
            until: None,
            attempt: None,
            host: None,
            count: None,
            last_at: None,
            detail: None,
        }
    }
}

impl Job {
    /// The history as entries, ordered by the time at which they began. Empty for a job of a version without histories.
    pub fn history_entries(&self) -> Vec<HistoryEntry> {
        let History { entries, omitted } = &self.history;
        if self.history.is_empty() {
            return Vec::new();
        }
        let mut shown = Vec::with_capacity(entries.len() + 5);
        for entry in entries {
            self.show(entry, &mut shown);
        }
        let arrival = shown
            .iter()
            .take_while(|entry| entry.event.is_arrival())
            .count();
        shown.insert(
            arrival,
            HistoryEntry::new(self.moment(0), HistoryEvent::Queued),
        );
        if let Some(end) = self.end_entry() {
            // Its callback may begin in the same millisecond.
            let is_later = |entry: &HistoryEntry| {
                entry.at > end.at || (entry.at == end.at && entry.event == HistoryEvent::Callback)
            };
            let place = shown.iter().position(is_later).unwrap_or(shown.len());
            shown.insert(place, end);
        }
        if omitted.count() > 0 {
            let summary = self.summary_entry(omitted);
            let place = shown.partition_point(|entry| entry.at < summary.at);
            shown.insert(place, summary);
        }
        shown
    }

    /// The moment so many milliseconds after the acceptance.
    fn moment(&self, offset: i64) -> Timestamp {
        let start = self.created_at.as_millisecond();
        Timestamp::from_millisecond(start.saturating_add(offset)).unwrap_or(self.created_at)
    }

    /// Adds the entries of a step.
    fn show(&self, entry: &Entry, shown: &mut Vec<HistoryEntry>) {
        let at = self.moment(entry.at);
        match &entry.step {
            Step::Received { verified, mapped } => show_arrival(at, *verified, *mapped, shown),
            Step::Prepared { took, code } => match code {
                Some(code) => shown.push(self.failed_preparation(at, *took, code)),
                None => self.show_plan(at, *took, shown),
            },
            Step::Wait { .. } => {
                let wait = self.wait_entry(at, &entry.step);
                let callback = shown
                    .last_mut()
                    .filter(|last| last.event == HistoryEvent::Callback);
                if let Some(callback) = callback {
                    callback.until = wait.until;
                }
                shown.push(wait);
            }
            Step::Call { .. } => shown.push(self.call_entry(at, &entry.step)),
            Step::Poll { .. } => shown.push(self.poll_entry(at, &entry.step)),
            Step::Reread {
                seq,
                took,
                found,
                code,
            } => {
                let found = code.is_none().then_some(*found);
                shown.push(HistoryEntry {
                    took_ms: Some(*took),
                    call: Some(*seq),
                    code: code.clone(),
                    records: found,
                    detail: Some(match found {
                        Some(found) => format!("records of the call read: {found} updated"),
                        None => "records of the call not read".to_owned(),
                    }),
                    ..HistoryEntry::new(at, HistoryEvent::LookedUp)
                });
            }
            Step::Superseded { seq, records } => shown.push(HistoryEntry {
                call: Some(*seq),
                records: Some(*records),
                detail: self
                    .order
                    .map(|order| format!("a newer delivery than {} was sent", order.key.value)),
                ..HistoryEntry::new(at, HistoryEvent::Superseded)
            }),
            Step::Callback { .. } => shown.push(self.callback_entry(at, &entry.step)),
        }
    }

    fn wait_entry(&self, at: Timestamp, step: &Step) -> HistoryEntry {
        let mut wait = HistoryEntry::new(at, HistoryEvent::Waiting);
        if let Step::Wait {
            until,
            reason,
            call,
        } = step
        {
            if reason.is_throttle() {
                wait.event = HistoryEvent::Throttled;
            }
            wait.until = Some(self.moment(*until));
            wait.call = *call;
            wait.detail = Some(reason.description().to_owned());
        }
        wait
    }

    fn call_entry(&self, at: Timestamp, step: &Step) -> HistoryEntry {
        let mut entry = HistoryEntry::new(at, HistoryEvent::Call);
        if let Step::Call {
            seq,
            took,
            status,
            code,
            refused,
            sharing,
        } = step
        {
            entry.took_ms = *took;
            entry.call = Some(*seq);
            entry.status = *status;
            entry.code.clone_from(code);
            entry.records = self.records_of(*seq);
            entry.shared_jobs = took.map(|_| sharing.others + 1);
            entry.shared_with = sharing.ids.iter().map(|id| format!("job_{id}")).collect();
            entry.detail = match (took, refused) {
                (None, _) => Some("sent; its answer was not recorded".to_owned()),
                (Some(_), 0) => None,
                (Some(_), refused) => Some(format!("{refused} refused")),
            };
        }
        entry
    }

    fn poll_entry(&self, at: Timestamp, step: &Step) -> HistoryEntry {
        let mut entry = HistoryEntry::new(at, HistoryEvent::Poll);
        if let Step::Poll {
            seq,
            took,
            status,
            code,
            count,
            last,
        } = step
        {
            entry.took_ms = Some(*took);
            entry.call = Some(*seq);
            entry.status = *status;
            entry.code.clone_from(code);
            if *count > 1 {
                entry.count = Some(*count);
                entry.last_at = Some(self.moment(*last));
            }
        }
        entry
    }

    fn callback_entry(&self, at: Timestamp, step: &Step) -> HistoryEntry {
        let mut entry = HistoryEntry::new(at, HistoryEvent::Callback);
        if let Step::Callback {
            took,
            status,
            attempt,
            is_final,
            error,
        } = step
        {
            let url = self.callback.as_ref().map(|callback| &callback.url);
            entry.took_ms = Some(*took);
            entry.status = *status;
            entry.attempt = Some(*attempt);
            entry.host = url.and_then(|url| url.host_str()).map(str::to_owned);
            entry.detail = match (is_final, error) {
                (true, error) => error.clone(),
                (false, None) => Some("progress".to_owned()),
                (false, Some(error)) => Some(format!("progress: {error}")),
            };
        }
        entry
    }

    fn failed_preparation(&self, at: Timestamp, took: u64, code: &str) -> HistoryEntry {
        let needs_records = self.preparation.lookup.is_some() || self.request.resolved().is_none();
        let event = match needs_records {
            true => HistoryEvent::LookedUp,
            false => HistoryEvent::Planned,
        };
        HistoryEntry {
            took_ms: Some(took),
            code: Some(code.to_owned()),
            ..HistoryEntry::new(at, event)
        }
    }

    fn show_plan(&self, mut at: Timestamp, took: u64, shown: &mut Vec<HistoryEntry>) {
        let mut planning = Some(took);
        if let Some(lookup) = &self.preparation.lookup {
            let (field, matched, values) = (&lookup.field, lookup.matched, lookup.values);
            shown.push(HistoryEntry {
                took_ms: planning.take(),
                records: Some(lookup.ids),
                detail: Some(format!("{field}: {matched} of {values} values found")),
                ..HistoryEntry::new(at, HistoryEvent::LookedUp)
            });
            at = after(at, Duration::from_millis(took));
        }
        shown.push(HistoryEntry {
            took_ms: planning,
            records: Some(self.counts().total),
            detail: Some(match self.calls.len() {
                0 => "no record matches".to_owned(),
                1 => "1 call".to_owned(),
                calls => format!("{calls} calls"),
            }),
            ..HistoryEntry::new(at, HistoryEvent::Planned)
        });
    }

    /// The number of the records of a call; for a custom view, as Zoho last counted them.
    fn records_of(&self, seq: usize) -> Option<u64> {
        let state = self.call(seq)?;
        match state.call.target.records() {
            Some(records) => Some(records as u64),
            None => state.progress.map(|progress| progress.total),
        }
    }

    fn end_entry(&self) -> Option<HistoryEntry> {
        let at = self.moment(self.since_start(self.finished_at?));
        let counts = self.counts();
        Some(HistoryEntry {
            code: self.error.as_ref().map(|error| error.code.clone()),
            records: Some(counts.updated + counts.created.unwrap_or_default()),
            detail: Some(self.status().as_str().replace('_', " ")),
            ..HistoryEntry::new(at, HistoryEvent::Finished)
        })
    }

    fn summary_entry(&self, omitted: &Omitted) -> HistoryEntry {
        let counts = [
            (omitted.calls, "call"),
            (omitted.polls, "poll"),
            (omitted.callbacks, "callback"),
            (omitted.waits, "wait"),
            (omitted.others, "other step"),
        ];
        let present = counts.iter().filter(|(count, _)| *count > 0);
        let texts = present.map(|(count, noun)| {
            let plural = if *count == 1 { "" } else { "s" };
            format!("{count} {noun}{plural}")
        });
        HistoryEntry {
            count: Some(omitted.count()),
            last_at: Some(self.moment(omitted.to)),
            detail: Some(texts.collect::<Vec<_>>().join(", ")),
            ..HistoryEntry::new(self.moment(omitted.from), HistoryEvent::Summary)
        }
    }
}

fn show_arrival(
    mut at: Timestamp,
    verified: Option<u64>,
    mapped: Option<u64>,
    shown: &mut Vec<HistoryEntry>,
) {
    shown.push(HistoryEntry::new(at, HistoryEvent::Received));
    let steps = [
        (verified, HistoryEvent::Verified),
        (mapped, HistoryEvent::Mapped),
    ];
    for (took, event) in steps {
        if let Some(took) = took {
            shown.push(HistoryEntry {
                took_ms: Some(took),
                ..HistoryEntry::new(at, event)
            });
            at = after(at, Duration::from_millis(took));
        }
    }
}
