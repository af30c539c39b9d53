//! Logging: JSON lines on Lambda, readable or JSON lines of a server. `RUST_LOG` overrides the default filter.
//!
//! A log that cannot be written never fails or delays its caller: writers count lost lines instead of reporting errors, and a
//! server's lines are written by a thread of their own.

#[cfg(test)]
mod captured;
mod fields;
mod json_lines;
mod lines;
#[cfg(not(feature = "otlp"))]
#[path = "telemetry/no_otlp.rs"]
mod otlp;
#[cfg(feature = "otlp")]
mod otlp;
mod queue;
mod writer;

use std::fmt;
use std::io::{IsTerminal, Write as _};
use std::time::Duration;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt as lines_of};

use fields::SingleLineFields;
use json_lines::{JsonLines, JsonMembers};
use lines::TextLines;
pub use otlp::SpanExport;
pub(crate) use otlp::continue_trace;
pub use queue::LogQueue;
use writer::{DirectWriter, JsonWriter};

/// How long [`ServerLog`] waits for its last lines to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// The form of a server's log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Readable lines.
    #[default]
    Text,
    /// JSON, one object in each line.
    Json,
}

/// Initializes logging for the Lambda program. Lines are written at once, because the function may be frozen after each
/// response. Returns the export of spans, which is to be flushed before the end of each invocation.
pub fn init_lambda() -> SpanExport {
    let layer = lines_of::layer()
        .log_internal_errors(false)
        .fmt_fields(JsonMembers)
        .event_format(JsonLines)
        .with_writer(|| DirectWriter::json(std::io::stdout()));
    init(layer, filter("masshook=info,warn"))
}

/// Initializes the lines, which pass the filter, and the export of spans.
fn init(lines: impl Layer<Registry> + Send + Sync, filter: EnvFilter) -> SpanExport {
    let export = SpanExport::from_environment();
    match export.as_ref().ok().and_then(SpanExport::layer) {
        // What is exported does not depend on the lines' filter.
        Some(spans) => {
            let lines = lines.with_filter(filter);
            Registry::default().with(lines).with(spans).init();
        }
        // A filter of one layer costs more than one of all.
        None => Registry::default().with(lines).with(filter).init(),
    }
    export.unwrap_or_else(|why| {
        tracing::error!("spans are not exported: {why}");
        SpanExport::default()
    })
}

/// Writes a line of metrics to stdout, as the log of the Lambda program does. It is JSON.
pub fn write_metrics(line: &str) {
    let line = format!("{line}\n");
    // The writer reports no error.
    let _ = DirectWriter::json(std::io::stdout()).write_all(line.as_bytes());
}

/// Initializes logging to stderr for a command that prints its result and ends. `default` is the filter if `RUST_LOG` is not
/// set.
pub fn init_command(default: &str) {
    tracing_subscriber::fmt()
        .with_ansi(has_colors())
        .log_internal_errors(false)
        .event_format(TextLines)
        .with_env_filter(filter(default))
        .fmt_fields(SingleLineFields)
        .with_writer(|| DirectWriter::text(std::io::stderr()))
        .init();
}

/// Initializes logging to stderr for a server: lines pass through a bounded queue, so that a reader that stops reading
/// cannot stop the server. Panics are logged in the same way.
pub fn init_server(default: &str, format: LogFormat) -> ServerLog {
    let queue = LogQueue::start(writer::stderr());
    let lines = queue.clone();
    let layer = lines_of::layer().log_internal_errors(false);
    let filter = filter(default);
    let spans = match format {
        LogFormat::Text => {
            let layer = layer
                .with_ansi(has_colors())
                .event_format(TextLines)
                .fmt_fields(SingleLineFields)
                .with_writer(move || lines.clone());
            init(layer, filter)
        }
        LogFormat::Json => {
            let layer = layer
                .fmt_fields(JsonMembers)
                .event_format(JsonLines)
                .with_writer(move || JsonWriter(lines.clone()));
            init(layer, filter)
        }
    };
    // The default hook writes to stderr itself, and waits for its reader.
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    ServerLog {
        _spans: spans,
        _lines: LastLines(queue),
    }
}

/// The log of a server. Dropping it waits a moment until the last spans are exported and the last lines are written.
pub struct ServerLog {
    // Dropped first, because it may log.
    _spans: SpanExport,
    _lines: LastLines,
}

struct LastLines(LogQueue);

impl fmt::Debug for ServerLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerLog").finish_non_exhaustive()
    }
}

impl Drop for LastLines {
    fn drop(&mut self) {
        self.0.flush(FLUSH_TIMEOUT);
    }
}

/// Whether stderr shows colours: it is a terminal, and `NO_COLOR` is not set.
fn has_colors() -> bool {
    std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn filter(default: &str) -> EnvFilter {
    // Templates may set the variable to an empty string, which does not mean "log nothing".
    match EnvFilter::try_from_default_env() {
        Ok(filter) if !filter.to_string().is_empty() => filter,
        Ok(_) | Err(_) => EnvFilter::new(default),
    }
}
