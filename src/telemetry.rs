//! Logs: JSON lines on Lambda, readable on a terminal. `RUST_LOG` filters; the default says what happened to jobs.

use tracing_subscriber::EnvFilter;

/// Sets logging up for the Lambda program.
pub fn on_lambda() {
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter("masshook=info,warn"))
        .with_current_span(true)
        .with_span_list(false)
        .with_target(false)
        .init();
}

/// Sets logging up for a terminal: `default` is the filter without `RUST_LOG`.
pub fn on_terminal(default: &str) {
    tracing_subscriber::fmt()
        .with_env_filter(filter(default))
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
}

fn filter(default: &str) -> EnvFilter {
    // An empty variable, as templates leave it, is no wish for silence.
    match EnvFilter::try_from_default_env() {
        Ok(filter) if !filter.to_string().is_empty() => filter,
        Ok(_) | Err(_) => EnvFilter::new(default),
    }
}
