//! A job's history as lines of text.

use std::time::Duration;

use jiff::Timestamp;

use crate::cli::text::count_of;
use crate::job::history::{HistoryEntry, HistoryEvent};

/// How waiting is drawn.
const WAIT: &str = "····";

/// A timeline: the time of each entry, how long it took, and what happened. A day is named when it begins.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    day: String,
}

impl Timeline {
    /// The lines of the next entry.
    pub(super) fn lines(&mut self, entry: &HistoryEntry) -> Vec<String> {
        let day = entry.at.strftime("%Y-%m-%d").to_string();
        let mut lines = Vec::new();
        if day != self.day {
            lines.push(format!("  {day} UTC"));
            self.day = day;
        }
        let is_wait = is_wait(entry.event);
        let took = match (is_wait, entry.until) {
            (true, Some(until)) => text_between(entry.at, until),
            _ => entry
                .took_ms
                .map(Duration::from_millis)
                .map(duration_text)
                .unwrap_or_default(),
        };
        let time = entry.at.strftime("%H:%M:%S%.3f");
        lines.push(
            format!("  {time}  {took:>9}  {}", describe(entry))
                .trim_end()
                .to_owned(),
        );
        lines
    }
}

fn is_wait(event: HistoryEvent) -> bool {
    matches!(event, HistoryEvent::Waiting | HistoryEvent::Throttled)
}

/// The time from one moment to another.
pub(super) fn text_between(from: Timestamp, to: Timestamp) -> String {
    duration_text(Duration::try_from(to.duration_since(from)).unwrap_or_default())
}

/// A duration with about three digits.
pub(super) fn duration_text(duration: Duration) -> String {
    let (millis, seconds) = (duration.as_millis(), duration.as_secs());
    match seconds {
        0 => format!("{millis} ms"),
        1..10 => format!("{:.2} s", duration.as_secs_f64()),
        10..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// What happened.
fn describe(entry: &HistoryEntry) -> String {
    let mut parts = Vec::new();
    let number = entry.call.unwrap_or_default();
    let name = match entry.event {
        HistoryEvent::Received => "received".to_owned(),
        HistoryEvent::Verified => "verified".to_owned(),
        HistoryEvent::Mapped => "mapped".to_owned(),
        HistoryEvent::Queued => "accepted".to_owned(),
        HistoryEvent::LookedUp => "looked up".to_owned(),
        HistoryEvent::Planned => "planned".to_owned(),
        HistoryEvent::Call => format!("call {number}"),
        HistoryEvent::Poll => match entry.count {
            Some(count) => format!("call {number} polled {count} times"),
            None => format!("call {number} polled"),
        },
        HistoryEvent::Waiting | HistoryEvent::Throttled => {
            let call = entry
                .call
                .map(|call| format!(" call {call}"))
                .unwrap_or_default();
            format!("{WAIT}{call} waits")
        }
        HistoryEvent::Superseded => format!("call {number} superseded"),
        HistoryEvent::Callback => {
            let attempt = entry.attempt.unwrap_or(1);
            let host = entry.host.as_deref().unwrap_or("the receiver");
            format!("callback {attempt} to {host}")
        }
        HistoryEvent::Finished => "finished".to_owned(),
        HistoryEvent::Summary => "not listed".to_owned(),
    };
    let outcome = [
        entry.status.map(|status| status.to_string()),
        entry.code.clone(),
    ];
    let outcome: Vec<String> = outcome.into_iter().flatten().collect();
    if !outcome.is_empty() {
        parts.push(outcome.join(" "));
    }
    if entry.event != HistoryEvent::Finished {
        parts.extend(entry.records.map(|records| count_of(records, "record")));
    }
    if let Some(jobs) = entry.shared_jobs.filter(|jobs| *jobs > 1) {
        parts.push(format!("shared by {jobs} jobs"));
    }
    parts.extend(entry.detail.clone());
    if let (true, Some(until)) = (is_wait(entry.event), entry.until) {
        parts.push(format!("until {}", until.strftime("%H:%M:%S")));
    }
    match parts.is_empty() {
        true => name,
        false => format!("{name}: {}", parts.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_about_three_digits() {
        let texts = [
            0, 412, 999, 1_000, 9_994, 12_345, 65_000, 3_725_000, 90_000_000,
        ];
        let texts = texts.map(|millis| duration_text(Duration::from_millis(millis)));
        let expected = [
            "0 ms",
            "412 ms",
            "999 ms",
            "1.00 s",
            "9.99 s",
            "12.3 s",
            "1 min 5 s",
            "1 h 2 min",
            "1 d 1 h",
        ];
        assert_eq!(texts, expected);
    }
}
