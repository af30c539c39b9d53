//! The JSON form of a log line: an object with the time, the level, the fields of the event, and its spans.
//!
//! The fields of a span are formatted once, and copied into the line of each of its events. The formatter of
//! `tracing-subscriber` parses them again for every line.

use std::fmt::{self, Debug};

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, SpanRef};

/// Bytes of a usual line.
const USUAL_LINE: usize = 1_024;

/// Formats events as JSON lines. The spans must have their fields formatted by [`JsonMembers`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct JsonLines;

impl<S> FormatEvent<S, JsonMembers> for JsonLines
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonMembers>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Vec::with_capacity(USUAL_LINE);
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        line.extend_from_slice(b"{\"timestamp\":");
        push_value(&mut line, &time)?;
        line.extend_from_slice(b",\"level\":");
        push_value(&mut line, event.metadata().level().as_str())?;
        line.extend_from_slice(b",\"fields\":{");
        event.record(&mut Members(&mut line));
        line.push(b'}');
        if let Some(scope) = context.event_scope() {
            let mut spans = scope.from_root().peekable();
            let mut list = Vec::with_capacity(USUAL_LINE / 2);
            while let Some(span) = spans.next() {
                let start = list.len();
                push_span(&mut list, &span)?;
                if spans.peek().is_some() {
                    list.push(b',');
                } else {
                    line.extend_from_slice(b",\"span\":");
                    line.extend_from_slice(&list[start..]);
                }
            }
            line.extend_from_slice(b",\"spans\":[");
            line.append(&mut list);
            line.push(b']');
        }
        line.extend_from_slice(b"}\n");
        writer.write_str(str::from_utf8(&line).map_err(|_| fmt::Error)?)
    }
}

/// Appends a span: its fields and its name.
fn push_span<S>(line: &mut Vec<u8>, span: &SpanRef<'_, S>) -> fmt::Result
where
    S: for<'lookup> LookupSpan<'lookup>,
{
    line.push(b'{');
    if let Some(fields) = span.extensions().get::<FormattedFields<JsonMembers>>()
        && !fields.is_empty()
    {
        line.extend_from_slice(fields.as_bytes());
        line.push(b',');
    }
    line.extend_from_slice(b"\"name\":");
    push_value(line, span.name())?;
    line.push(b'}');
    Ok(())
}

fn push_value(line: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) -> fmt::Result {
    serde_json::to_writer(line, value).map_err(|_| fmt::Error)
}

/// Formats the fields of a span as the members of a JSON object, without its braces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct JsonMembers;

impl<'writer> FormatFields<'writer> for JsonMembers {
    fn format_fields<R: RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        let mut members = Vec::new();
        fields.record(&mut Members(&mut members));
        writer.write_str(str::from_utf8(&members).map_err(|_| fmt::Error)?)
    }

    fn add_fields(
        &self,
        current: &'writer mut FormattedFields<Self>,
        fields: &Record<'_>,
    ) -> fmt::Result {
        let mut is_repeated = false;
        fields.record(&mut |field: &Field, _: &dyn Debug| {
            is_repeated |= current.contains(&format!("{:?}:", field.name()));
        });
        if !current.is_empty() {
            current.fields.push(',');
        }
        self.format_fields(current.as_writer(), fields)?;
        if is_repeated {
            // The last value of a member stays.
            let members: Map<String, Value> =
                serde_json::from_str(&format!("{{{current}}}")).map_err(|_| fmt::Error)?;
            let object = Value::from(members).to_string();
            current.fields = object[1..object.len() - 1].to_owned();
        }
        Ok(())
    }
}

/// Appends fields as members of a JSON object.
struct Members<'a>(&'a mut Vec<u8>);

impl Members<'_> {
    fn push(&mut self, field: &Field, value: &(impl Serialize + ?Sized)) {
        let start = self.0.len();
        if !matches!(self.0.last(), None | Some(b'{')) {
            self.0.push(b',');
        }
        let written = push_value(self.0, field.name()).and_then(|()| {
            self.0.push(b':');
            push_value(self.0, value)
        });
        if written.is_err() {
            self.0.truncate(start);
        }
    }
}

impl Visit for Members<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.push(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, &value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.push(field, &value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.push(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, value);
    }

    /// Values that are recorded by their `Display`, and the message, arrive here too.
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.push(field, &Shown(value));
    }
}

/// A value as the text that it is shown as.
struct Shown<'a>(&'a dyn Debug);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:?}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::telemetry::captured::CapturedLines;

    /// The lines of what `log` logs, each without its time.
    fn lines_of(log: impl FnOnce()) -> Vec<Value> {
        let lines = CapturedLines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .fmt_fields(JsonMembers)
            .event_format(JsonLines)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        let parse = |line: &str| {
            let mut line: Value = serde_json::from_str(line).expect("JSON");
            let time = line["timestamp"].take();
            let time = time.as_str().expect("a time");
            time.parse::<jiff::Timestamp>().expect("RFC 3339");
            line.as_object_mut().expect("an object").remove("timestamp");
            line
        };
        lines.text().lines().map(parse).collect()
    }

    #[test]
    fn line_has_the_fields_of_its_event_and_spans() {
        let lines = lines_of(|| {
            tracing::warn!(count = 3, "no span");
            let outer = tracing::info_span!("outer", id = 7_u64, late = tracing::field::Empty);
            let _outer = outer.enter();
            let inner = tracing::info_span!("inner");
            let _inner = inner.enter();
            outer.record("late", "value");
            tracing::info!(
                negative = -1,
                float = 0.5,
                flag = true,
                wide = u128::MAX,
                none = Option::<u8>::None,
                shown = %'x',
                debug = ?"y",
                "{} of {}",
                1,
                2
            );
        });
        let outer = json!({"id": 7, "late": "value", "name": "outer"});
        let inner = json!({"name": "inner"});
        let wide: Value = serde_json::from_str(&u128::MAX.to_string()).expect("a number");
        assert_eq!(
            lines,
            [
                json!({"level": "WARN", "fields": {"message": "no span", "count": 3}}),
                json!({
                    "level": "INFO",
                    "fields": {
                        "message": "1 of 2", "negative": -1, "float": 0.5, "flag": true, "wide": wide, "shown": "x",
                        "debug": "\"y\"",
                    },
                    "span": inner.clone(),
                    "spans": [outer, inner],
                }),
            ]
        );
    }

    #[test]
    fn field_that_is_recorded_again_has_its_last_value() {
        let lines = lines_of(|| {
            let span = tracing::info_span!("span", first = 1, again = "\"again\":1");
            span.record("again", 2);
            span.record("again", "three");
            span.in_scope(|| tracing::info!("done"));
        });
        assert_eq!(
            lines[0]["span"],
            json!({"first": 1, "again": "three", "name": "span"})
        );
    }

    #[test]
    fn hostile_text_stays_in_its_field() {
        let hostile = "a\",\"level\":\"ERROR\n{\\\u{1b}[2J\u{0}";
        let lines = lines_of(|| {
            let span = tracing::info_span!("span", path = hostile, late = tracing::field::Empty);
            span.record("late", tracing::field::display(hostile));
            span.in_scope(|| tracing::info!(shown = %hostile, "{hostile}"));
        });
        assert_eq!(
            lines,
            [json!({
                "level": "INFO",
                "fields": {"message": hostile, "shown": hostile},
                "span": {"path": hostile, "late": hostile, "name": "span"},
                "spans": [{"path": hostile, "late": hostile, "name": "span"}],
            })]
        );
    }
}
