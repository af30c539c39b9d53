//! Logging: JSON lines on Lambda, readable lines on a terminal. `RUST_LOG` overrides the default filter.

use tracing_subscriber::EnvFilter;

/// Initializes logging for the Lambda program.
pub fn init_lambda() {
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter("masshook=info,warn"))
        .with_current_span(true)
        .with_span_list(false)
        .with_target(false)
        .init();
}

/// Initializes logging to stderr. `default` is the filter if `RUST_LOG` is not set.
pub fn init_terminal(default: &str) {
    tracing_subscriber::fmt()
        .with_env_filter(filter(default))
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
}

fn filter(default: &str) -> EnvFilter {
    // Templates may set the variable to an empty string, which does not mean "log nothing".
    match EnvFilter::try_from_default_env() {
        Ok(filter) if !filter.to_string().is_empty() => filter,
        Ok(_) | Err(_) => EnvFilter::new(default),
    }
}
