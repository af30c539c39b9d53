//! The fields of a log line, message included, each on the line that it belongs to.

use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

use super::lines::EventFields;
use crate::printable::single_line;

/// The fields of a span as `name=value`, with control characters escaped. Senders choose much of what is logged: paths,
/// headers, bodies, URLs and Zoho's messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct SingleLineFields;

impl<'writer> FormatFields<'writer> for SingleLineFields {
    fn format_fields<R: RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> std::fmt::Result {
        let mut found = EventFields::default();
        fields.record(&mut found);
        let shown = found.others.iter();
        let shown = shown.map(|(name, value)| format!("{name}={}", single_line(value)));
        writer.write_str(&shown.collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::captured::CapturedLines;
    use crate::telemetry::lines::TextLines;

    /// Whatever a message, a field or a span contains, an event is one line without an escape sequence.
    #[test]
    fn hostile_text_stays_on_its_line() {
        let lines = CapturedLines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .event_format(TextLines)
            .fmt_fields(SingleLineFields)
            .with_writer(move || writer.clone())
            .finish();
        let hostile = "a\n2026-01-01T00:00:00Z  INFO forged\r\u{1b}[2J\u{9b}31m\u{85}\u{2028}\u{2029}\u{202e}";
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("span", path = %hostile, late = tracing::field::Empty);
            span.record("late", hostile);
            let _entered = span.enter();
            // A field that the message contains would be left out.
            let (text, shown) = (format!("text {hostile}"), format!("shown {hostile}"));
            tracing::error!(text, %shown, debug = ?hostile, "message {hostile}");
        });
        let text = lines.text();
        assert!(
            text.contains("message a\\n2026-01-01T00:00:00Z  INFO forged"),
            "{text}"
        );
        let line = text.strip_suffix('\n').expect("a line");
        assert_eq!(single_line(line), line, "{line:?}");
        assert_eq!(line.matches("INFO forged").count(), 6, "{line}");
    }
}
