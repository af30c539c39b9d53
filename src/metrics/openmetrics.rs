//! The OpenMetrics text of `/metrics`.

use std::fmt;

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::counters::{FINAL_STATUSES, Histogram, RECORD_OUTCOMES};
use super::labels::{CallbackOutcome, DeliveryOutcome};
use super::{Gauges, Metrics};
use crate::trigger::Trigger;

/// The media type of the text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Metrics {
    /// The OpenMetrics text of all numbers and of these gauges.
    pub fn render(&self, gauges: Gauges) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Scrape {
            metrics: self.clone(),
            gauges,
        }));
        let mut text = String::new();
        // Writing to a string never fails.
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        text
    }
}

/// One scrape.
#[derive(Debug)]
struct Scrape {
    metrics: Metrics,
    gauges: Gauges,
}

/// Labels of one sample.
type Labels<'a> = &'a [(&'a str, &'a str)];

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_deliveries_and_jobs(&mut encoder)?;
        self.encode_zoho(&mut encoder)?;
        self.encode_callbacks(&mut encoder)?;
        self.encode_delivery_log(&mut encoder)?;
        self.encode_gauges(&mut encoder)
    }
}

impl Scrape {
    fn encode_deliveries_and_jobs(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let routes = self.metrics.all_routes();
        let help = "Deliveries by route, trigger and outcome";
        let mut family = counter(encoder, "masshook_deliveries", help)?;
        for route in &routes {
            for (trigger, trigger_name) in Trigger::ALL {
                for outcome in DeliveryOutcome::ALL {
                    let labels: Labels<'_> = &[
                        ("route", &route.name),
                        ("trigger", trigger_name),
                        ("outcome", outcome.as_str()),
                    ];
                    let count = route.deliveries(trigger, outcome).get();
                    // A route listens to one or two triggers.
                    if count > 0 || trigger == Trigger::Http {
                        count_of(&mut family, labels, count)?;
                    }
                }
            }
        }
        let help = "Jobs that finished, by route and status";
        let mut family = counter(encoder, "masshook_jobs_finished", help)?;
        for route in &routes {
            for status in FINAL_STATUSES {
                let labels: Labels<'_> = &[("route", &route.name), ("status", status.as_str())];
                count_of(&mut family, labels, route.jobs(status).get())?;
            }
        }
        let help = "Time from the acceptance of a job to its end";
        let mut family = histogram(encoder, "masshook_job_duration", help)?;
        for route in &routes {
            distribution_of(&mut family, &[("route", &route.name)], &route.durations)?;
        }
        let help = "Records of finished jobs, by route, module and outcome";
        let mut family = counter(encoder, "masshook_records", help)?;
        for route in &routes {
            for (module, counters) in route.modules() {
                for (outcome, counter) in RECORD_OUTCOMES.into_iter().zip(counters) {
                    let labels: Labels<'_> = &[
                        ("route", &route.name),
                        ("module", module),
                        ("outcome", outcome),
                    ];
                    if counter.get() > 0 {
                        count_of(&mut family, labels, counter.get())?;
                    }
                }
            }
        }
        Ok(())
    }

    fn encode_zoho(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let connections = self.metrics.all_connections();
        let help = "Requests to Zoho, by connection, kind and code of the answer";
        let mut family = counter(encoder, "masshook_zoho_requests", help)?;
        for connection in &connections {
            for (kind, code, count) in connection.request_counts() {
                let labels: Labels<'_> = &[
                    ("connection", &connection.name),
                    ("kind", kind.as_str()),
                    ("code", code),
                ];
                count_of(&mut family, labels, count)?;
            }
        }
        let help = "Time from a request to Zoho to its answer";
        let mut family = histogram(encoder, "masshook_zoho_request_duration", help)?;
        for connection in &connections {
            let labels: Labels<'_> = &[("connection", &connection.name)];
            distribution_of(&mut family, labels, &connection.durations)?;
        }
        let help = "Calls that jobs would have needed alone, minus the calls that were made";
        let mut family = counter(encoder, "masshook_zoho_calls_saved", help)?;
        for connection in &connections {
            let labels: Labels<'_> = &[("connection", &connection.name)];
            count_of(&mut family, labels, connection.saved.get())?;
        }
        let help = "Pauses of a connection that Zoho asked for";
        let mut family = counter(encoder, "masshook_zoho_throttles", help)?;
        for connection in &connections {
            let labels: Labels<'_> = &[("connection", &connection.name)];
            count_of(&mut family, labels, connection.throttles.get())?;
        }
        Ok(())
    }

    fn encode_callbacks(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Attempts to deliver a callback, by outcome";
        let mut family = counter(encoder, "masshook_callback_attempts", help)?;
        for outcome in CallbackOutcome::ALL {
            let count = self.metrics.shared.callbacks[outcome as usize].get();
            count_of(&mut family, &[("outcome", outcome.as_str())], count)?;
        }
        Ok(())
    }

    fn encode_delivery_log(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Deliveries that the log of deliveries lacks, by reason";
        let mut family = counter(encoder, "masshook_delivery_log_lost", help)?;
        let gauges = &self.gauges;
        for (reason, count) in [
            ("too_many", gauges.log_left_out),
            ("not_written", gauges.log_failed),
        ] {
            count_of(&mut family, &[("reason", reason)], count)?;
        }
        Ok(())
    }

    fn encode_gauges(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Gauges {
            dead_letters,
            oldest_due,
            connections,
            ..
        } = &self.gauges;
        let help =
            "API credits that remain, once Zoho reports them: when half of the day's are used";
        let mut family = gauge(encoder, "masshook_zoho_credits_remaining", help, None)?;
        for connection in connections {
            if let Some(credits) = connection.credits_remaining {
                let labels: Labels<'_> = &[("connection", &connection.name)];
                value_of(&mut family, labels, credits as f64)?;
            }
        }
        let help = "When the access token of a connection expires";
        let name = "masshook_token_expiry_timestamp";
        let mut family = gauge(encoder, name, help, Some(&Unit::Seconds))?;
        for connection in connections {
            if let Some(at) = connection.token_expires_at {
                let labels: Labels<'_> = &[("connection", &connection.name)];
                value_of(&mut family, labels, seconds(at))?;
            }
        }
        let help = "Deliveries that need an operator";
        let mut family = gauge(encoder, "masshook_dead_letters", help, None)?;
        if let Some(count) = dead_letters {
            value_of(&mut family, &[], *count as f64)?;
        }
        let help = "When the job was due that waits longest; absent if no job is due";
        let name = "masshook_oldest_due_timestamp";
        let mut family = gauge(encoder, name, help, Some(&Unit::Seconds))?;
        if let Some(at) = oldest_due {
            value_of(&mut family, &[], seconds(*at))?;
        }
        let help = "The version of masshook";
        let mut family =
            encoder.encode_descriptor("masshook_build", help, None, MetricType::Info)?;
        let version: Labels<'_> = &[("version", env!("CARGO_PKG_VERSION"))];
        family.encode_info(&version)
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1_000.0
}

fn counter<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    help: &str,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    encoder.encode_descriptor(name, help, None, MetricType::Counter)
}

fn gauge<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    help: &str,
    unit: Option<&'a Unit>,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    encoder.encode_descriptor(name, help, unit, MetricType::Gauge)
}

/// A family of distributions of seconds.
fn histogram<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    help: &str,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)
}

fn count_of(family: &mut MetricEncoder<'_>, labels: Labels<'_>, count: u64) -> fmt::Result {
    let mut sample = family.encode_family(&labels)?;
    sample.encode_counter::<NoLabelSet, _, f64>(&count, None)
}

fn value_of(family: &mut MetricEncoder<'_>, labels: Labels<'_>, value: f64) -> fmt::Result {
    family.encode_family(&labels)?.encode_gauge(&value)
}

fn distribution_of(
    family: &mut MetricEncoder<'_>,
    labels: Labels<'_>,
    durations: &Histogram,
) -> fmt::Result {
    let (sum, buckets) = (durations.sum(), durations.buckets());
    let count = buckets.iter().map(|(_, count)| count).sum();
    let mut sample = family.encode_family(&labels)?;
    sample.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
}
