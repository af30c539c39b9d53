//! Publishes the facts of each invocation as lines in CloudWatch's Embedded Metric Format.

use std::fmt;

use lambda_runtime::Context;

use crate::app::App;
use crate::metrics::emf::EmfSettings;

/// Sweeps start once a minute. The gauges of the store are read in one of so many minutes, because each read is billed.
const GAUGE_MINUTES: i64 = 5;

/// Writes the metrics of invocations.
pub(super) struct Publisher {
    settings: EmfSettings,
    write: Box<dyn Fn(&str) + Send + Sync>,
}

impl fmt::Debug for Publisher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Publisher")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Publisher {
    pub(super) fn new(settings: EmfSettings, write: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let write = Box::new(write);
        Self { settings, write }
    }

    /// Adds the gauges of the store to the facts of a sweep, now and then.
    pub(super) async fn observe_store(&self, app: &App) {
        if app.now().as_second().div_euclid(60) % GAUGE_MINUTES == 0 {
            app.metrics().observe_gauges(&app.gauges().await, app.now());
        }
    }

    /// Writes the lines of the invocation that ends. They are written before its answer: after it, the function may be frozen.
    pub(super) fn publish(&self, app: &App, kind: &str, context: &Context) {
        let now = app.now();
        app.metrics().observe_gauges(&app.connection_gauges(), now);
        let Some(facts) = app.metrics().take_facts() else {
            return;
        };
        let properties = [
            ("Invocation", kind),
            ("RequestId", context.request_id.as_str()),
        ];
        for line in facts.lines(&self.settings, now, &properties) {
            (self.write)(&line);
        }
    }
}
