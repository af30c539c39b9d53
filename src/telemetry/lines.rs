//! The readable form of a log line: time, level, message, and the fields that the message does not contain.

use std::fmt::{self, Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::printable::single_line;

/// Bytes of a value that is left out if the message contains it. A shorter one may occur there by chance.
const MIN_REPEATED: usize = 3;

/// The field whose lines follow the line of the event. No stranger chooses any of its text.
const CONTINUATION: &str = "lines";

/// Formats events as readable lines. Warnings and errors also show the fields of their spans: where something went wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TextLines;

impl<S, N> FormatEvent<S, N> for TextLines
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        let mut fields = EventFields::default();
        event.record(&mut fields);
        let mut line = single_line(&fields.message).into_owned();
        let is_tail = |name: &str| name == CONTINUATION;
        for (name, value) in fields.others.iter().filter(|(name, _)| !is_tail(name)) {
            if value.len() < MIN_REPEATED || !contains_word(&fields.message, value) {
                let _ = write!(line, " {name}={}", single_line(value));
            }
        }
        if level <= Level::WARN {
            for span in context.event_scope().into_iter().flatten() {
                let extensions = span.extensions();
                if let Some(fields) = extensions.get::<FormattedFields<N>>()
                    && !fields.is_empty()
                {
                    let _ = write!(line, " {}", single_line(fields));
                }
            }
        }
        for (_, value) in fields.others.iter().filter(|(name, _)| is_tail(name)) {
            for continued in value.lines() {
                let _ = write!(line, "\n    {}", single_line(continued));
            }
        }
        SystemTime.format_time(&mut writer)?;
        match writer.has_ansi_escapes() {
            true => writeln!(
                writer,
                " \u{1b}[{}m{level:>5}\u{1b}[0m {line}",
                color(level)
            ),
            false => writeln!(writer, " {level:>5} {line}"),
        }
    }
}

/// The colour of a level, as an ANSI code.
fn color(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    }
}

/// The message of an event, and its other fields as text.
#[derive(Default)]
pub(super) struct EventFields {
    message: String,
    pub(super) others: Vec<(&'static str, String)>,
}

impl Visit for EventFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }

    /// Values that are recorded by their `Display`, and the message, arrive here too.
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format!("{value:?}"));
    }
}

impl EventFields {
    fn put(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            name => self.others.push((name, value)),
        }
    }
}

/// Whether a text contains a value as a word of its own.
fn contains_word(text: &str, value: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    !value.is_empty()
        && text.match_indices(value).any(|(start, found)| {
            let before = text[..start].chars().next_back();
            let after = text[start + found.len()..].chars().next();
            !before.is_some_and(is_part) && !after.is_some_and(is_part)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_is_found_as_a_word_only() {
        let text = "202 form dlv_1 -> job_22 queued";
        for word in ["202", "form", "dlv_1", "job_22"] {
            assert!(contains_word(text, word), "{word}");
        }
        for part in ["20", "job_2", "2", "orm", ""] {
            assert!(!contains_word(text, part), "{part}");
        }
        assert!(contains_word("a=1, ä 1", "1"));
    }
}
