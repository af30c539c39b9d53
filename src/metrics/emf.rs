//! The facts of one Lambda invocation as a log line in CloudWatch's Embedded Metric Format: CloudWatch makes metrics of it,
//! without a request that the invocation would wait for.
//!
//! A line has the dimensions that its facts have: none, `Route` and `Connection`. An invocation of one route is one line.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Gauges;
use crate::job::JobStatus;

/// Values of one metric in a line. CloudWatch takes no more.
pub const MAX_VALUES: usize = 100;

/// The unit of a metric, as CloudWatch names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmfUnit {
    /// A number of things.
    Count,
    /// A duration.
    Milliseconds,
    /// A longer duration.
    Seconds,
}

impl EmfUnit {
    fn as_str(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Milliseconds => "Milliseconds",
            Self::Seconds => "Seconds",
        }
    }
}

/// How the facts of an invocation become the value of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aggregation {
    /// Their sum.
    Sum,
    /// Each of them, so that CloudWatch can compute percentiles.
    Each,
    /// The last of them.
    Last,
}

/// A metric of CloudWatch.
#[derive(Debug, PartialEq, Eq)]
pub struct EmfMetric {
    /// Its name.
    pub name: &'static str,
    /// Its unit.
    pub unit: EmfUnit,
    aggregation: Aggregation,
}

macro_rules! metrics {
    ($($constant:ident = $name:literal $unit:ident $aggregation:ident;)*) => {
        $(pub(super) static $constant: EmfMetric = EmfMetric {
            name: $name,
            unit: EmfUnit::$unit,
            aggregation: Aggregation::$aggregation,
        };)*

        /// Every metric.
        pub static METRICS: &[&EmfMetric] = &[$(&$constant),*];
    };
}

metrics! {
    ACCEPTED_DELIVERIES = "AcceptedDeliveries" Count Sum;
    DUPLICATE_DELIVERIES = "DuplicateDeliveries" Count Sum;
    IGNORED_DELIVERIES = "IgnoredDeliveries" Count Sum;
    REFUSED_DELIVERIES = "RefusedDeliveries" Count Sum;
    UNMAPPABLE_DELIVERIES = "UnmappableDeliveries" Count Sum;
    SUCCEEDED_JOBS = "SucceededJobs" Count Sum;
    PARTIALLY_SUCCEEDED_JOBS = "PartiallySucceededJobs" Count Sum;
    FAILED_JOBS = "FailedJobs" Count Sum;
    PARKED_JOBS = "ParkedJobs" Count Sum;
    JOB_DURATION = "JobDuration" Milliseconds Each;
    UPDATED_RECORDS = "UpdatedRecords" Count Sum;
    FAILED_RECORDS = "FailedRecords" Count Sum;
    UNKNOWN_RECORDS = "UnknownRecords" Count Sum;
    SUPERSEDED_RECORDS = "SupersededRecords" Count Sum;
    CREATED_RECORDS = "CreatedRecords" Count Sum;
    ZOHO_REQUESTS = "ZohoRequests" Count Sum;
    FAILED_ZOHO_REQUESTS = "FailedZohoRequests" Count Sum;
    ZOHO_REQUEST_DURATION = "ZohoRequestDuration" Milliseconds Each;
    SAVED_ZOHO_CALLS = "SavedZohoCalls" Count Sum;
    ZOHO_THROTTLES = "ZohoThrottles" Count Sum;
    ZOHO_CREDITS_REMAINING = "ZohoCreditsRemaining" Count Last;
    TOKEN_FAILURES = "TokenFailures" Count Sum;
    TOKEN_LIFETIME = "TokenLifetime" Seconds Last;
    DELIVERED_CALLBACKS = "DeliveredCallbacks" Count Sum;
    FAILED_CALLBACKS = "FailedCallbacks" Count Sum;
    UNDELIVERABLE_CALLBACKS = "UndeliverableCallbacks" Count Sum;
    DEAD_LETTERS = "DeadLetters" Count Last;
    OLDEST_DUE_AGE = "OldestDueAge" Seconds Last;
}

/// The metrics of records, in the order of their outcomes.
pub(super) static RECORDS: [&EmfMetric; 5] = [
    &UPDATED_RECORDS,
    &FAILED_RECORDS,
    &UNKNOWN_RECORDS,
    &SUPERSEDED_RECORDS,
    &CREATED_RECORDS,
];

pub(super) fn jobs(status: JobStatus) -> &'static EmfMetric {
    match status {
        JobStatus::Succeeded => &SUCCEEDED_JOBS,
        JobStatus::PartiallySucceeded => &PARTIALLY_SUCCEEDED_JOBS,
        JobStatus::Failed | JobStatus::Queued | JobStatus::Running => &FAILED_JOBS,
    }
}

/// Which metrics a function publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmfSettings {
    /// The namespace of the metrics.
    pub namespace: String,
    /// Whether each route and connection has metrics of its own. CloudWatch charges for each of them.
    pub by_name: bool,
}

/// The values of one metric.
#[derive(Clone, Debug, PartialEq)]
struct Series {
    metric: &'static EmfMetric,
    values: Vec<f64>,
}

/// The facts of one invocation: the values of each metric, by route and connection. Either may be empty.
#[derive(Clone, Debug, Default)]
pub struct Facts(BTreeMap<(String, String), BTreeMap<&'static str, Series>>);

impl Facts {
    pub(super) fn add(
        &mut self,
        metric: &'static EmfMetric,
        route: &str,
        connection: &str,
        value: f64,
    ) {
        let key = (route.to_owned(), connection.to_owned());
        let series = self.0.entry(key).or_default().entry(metric.name);
        let values = &mut series
            .or_insert_with(|| Series {
                metric,
                values: Vec::new(),
            })
            .values;
        match (metric.aggregation, values.last_mut()) {
            (Aggregation::Sum, Some(sum)) => *sum += value,
            (Aggregation::Last, Some(last)) => *last = value,
            (Aggregation::Each, _) | (_, None) => values.push(value),
        }
    }

    pub(super) fn observe(&mut self, gauges: &Gauges, now: Timestamp) {
        if let Some(count) = gauges.dead_letters {
            self.add(&DEAD_LETTERS, "", "", count as f64);
        }
        if gauges.due_is_known {
            let age = gauges.oldest_due.map(|at| now.duration_since(at));
            let age = age.map_or(0.0, |age| age.as_secs_f64().max(0.0));
            self.add(&OLDEST_DUE_AGE, "", "", age);
        }
        for connection in &gauges.connections {
            if let Some(credits) = connection.credits_remaining {
                let metric = &ZOHO_CREDITS_REMAINING;
                self.add(metric, "", &connection.name, credits as f64);
            }
            if let Some(at) = connection.token_expires_at {
                let left = at.duration_since(now).as_secs_f64().max(0.0);
                self.add(&TOKEN_LIFETIME, "", &connection.name, left);
            }
        }
    }

    /// The lines of these facts. `properties` are added to each line, and are no dimensions.
    pub fn lines(
        self,
        settings: &EmfSettings,
        now: Timestamp,
        properties: &[(&str, &str)],
    ) -> Vec<String> {
        let mut lines = Vec::new();
        for mut line in self.into_groups(settings.by_name) {
            while !line.series.is_empty() {
                lines.push(line.take_document(settings, now, properties).to_string());
            }
        }
        lines
    }

    /// The facts of each line: those of one route and its connection. Facts without a route join the only route of their
    /// connection, if there is one.
    fn into_groups(self, by_name: bool) -> Vec<LineFacts> {
        if !by_name {
            let mut all = Self::default();
            for series in self.0.into_values().flat_map(BTreeMap::into_values) {
                for value in series.values {
                    all.add(series.metric, "", "", value);
                }
            }
            return all.0.into_values().map(LineFacts::without_names).collect();
        }
        let named: BTreeSet<(String, String)> = self
            .0
            .keys()
            .filter(|(route, _)| !route.is_empty())
            .cloned()
            .collect();
        let only_of = |connection: &str| {
            let mut of_connection = named.iter().filter(|(_, own)| {
                own == connection || (connection.is_empty() && named.len() == 1)
            });
            of_connection
                .next()
                .filter(|_| of_connection.next().is_none())
        };
        let mut groups: BTreeMap<(String, String), LineFacts> = BTreeMap::new();
        for ((route, connection), series) in self.0 {
            let host = match route.is_empty() {
                true => only_of(&connection).cloned(),
                false => None,
            };
            let key = host.unwrap_or_else(|| (route.clone(), connection.clone()));
            let group = groups.entry(key.clone()).or_insert_with(|| LineFacts {
                route: key.0,
                connection: key.1,
                series: Vec::new(),
            });
            let dimensions = (!route.is_empty(), !connection.is_empty());
            let series = series.into_values().map(|series| (dimensions, series));
            group.series.extend(series);
        }
        groups.into_values().collect()
    }
}

/// Whether a metric has the dimension `Route`, and whether it has `Connection`.
type HasDimensions = (bool, bool);

/// The facts of one line.
struct LineFacts {
    route: String,
    connection: String,
    series: Vec<(HasDimensions, Series)>,
}

impl LineFacts {
    fn without_names(series: BTreeMap<&'static str, Series>) -> Self {
        let series = series.into_values().map(|series| ((false, false), series));
        Self {
            route: String::new(),
            connection: String::new(),
            series: series.collect(),
        }
    }

    /// The document of one line. Values beyond [`MAX_VALUES`] stay for the next one.
    fn take_document(
        &mut self,
        settings: &EmfSettings,
        now: Timestamp,
        properties: &[(&str, &str)],
    ) -> Value {
        let mut document = Map::new();
        let mut directives: BTreeMap<HasDimensions, Vec<Value>> = BTreeMap::new();
        for (dimensions, series) in &mut self.series {
            let Series { metric, values } = series;
            let rest = values.split_off(values.len().min(MAX_VALUES));
            let taken = std::mem::replace(values, rest);
            let definition = json!({"Name": metric.name, "Unit": metric.unit.as_str()});
            directives.entry(*dimensions).or_default().push(definition);
            // One value is a number: both forms are valid, and this one is shorter.
            let value = match taken.as_slice() {
                [one] => number(*one),
                many => many.iter().copied().map(number).collect(),
            };
            document.insert(metric.name.to_owned(), value);
        }
        self.series.retain(|(_, series)| !series.values.is_empty());
        let directives: Vec<Value> = directives
            .into_iter()
            .map(|((route, connection), metrics)| {
                let mut dimensions = vec![json!([])];
                dimensions.extend(route.then(|| json!(["Route"])));
                dimensions.extend(connection.then(|| json!(["Connection"])));
                json!({"Namespace": settings.namespace, "Dimensions": dimensions, "Metrics": metrics})
            })
            .collect();
        let metadata = json!({"Timestamp": now.as_millisecond(), "CloudWatchMetrics": directives});
        let mut line = Map::from_iter([("_aws".to_owned(), metadata)]);
        for (name, value) in [("Route", &self.route), ("Connection", &self.connection)] {
            if !value.is_empty() {
                line.insert(name.to_owned(), json!(value));
            }
        }
        for (name, value) in properties {
            line.insert((*name).to_owned(), json!(value));
        }
        line.extend(document);
        Value::Object(line)
    }
}

/// A number without a needless fraction, with at most three decimal places.
fn number(value: f64) -> Value {
    let rounded = (value * 1_000.0).round() / 1_000.0;
    match rounded.fract() == 0.0 && rounded.abs() < 9e15 {
        true => json!(rounded as i64),
        false => json!(rounded),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(by_name: bool) -> EmfSettings {
        EmfSettings {
            namespace: "masshook/test".to_owned(),
            by_name,
        }
    }

    fn documents(facts: Facts, by_name: bool) -> Vec<Value> {
        let lines = facts.lines(
            &settings(by_name),
            Timestamp::UNIX_EPOCH,
            &[("Cause", "http")],
        );
        let parse = |line: String| serde_json::from_str(&line).expect("JSON");
        lines.into_iter().map(parse).collect()
    }

    #[test]
    fn one_route_and_its_connection_share_a_line() {
        let mut facts = Facts::default();
        facts.add(&SUCCEEDED_JOBS, "form", "default", 1.0);
        facts.add(&SUCCEEDED_JOBS, "form", "default", 1.0);
        facts.add(&ZOHO_REQUESTS, "", "default", 3.0);
        facts.add(&JOB_DURATION, "form", "default", 12.3456);
        facts.add(&JOB_DURATION, "form", "default", 40.0);
        facts.add(&PARKED_JOBS, "", "", 1.0);
        let documents = documents(facts, true);
        let expected = json!({
            "_aws": {"Timestamp": 0, "CloudWatchMetrics": [
                {"Namespace": "masshook/test", "Dimensions": [[]], "Metrics": [{"Name": "ParkedJobs", "Unit": "Count"}]},
                {"Namespace": "masshook/test", "Dimensions": [[], ["Connection"]], "Metrics": [{"Name": "ZohoRequests", "Unit": "Count"}]},
                {"Namespace": "masshook/test", "Dimensions": [[], ["Route"], ["Connection"]], "Metrics": [
                    {"Name": "JobDuration", "Unit": "Milliseconds"}, {"Name": "SucceededJobs", "Unit": "Count"}
                ]},
            ]},
            "Route": "form", "Connection": "default", "Cause": "http",
            "ParkedJobs": 1, "ZohoRequests": 3, "JobDuration": [12.346, 40], "SucceededJobs": 2,
        });
        assert_eq!(documents, [expected]);
    }

    /// A dimension has one value in a line, so facts of several routes need several lines.
    #[test]
    fn facts_of_two_routes_are_two_lines_and_one_for_both() {
        let mut facts = Facts::default();
        facts.add(&FAILED_JOBS, "a", "default", 1.0);
        facts.add(&FAILED_JOBS, "b", "default", 1.0);
        facts.add(&ZOHO_REQUESTS, "", "default", 3.0);
        let routes: Vec<Value> = documents(facts.clone(), true)
            .iter()
            .map(|line| line["Route"].clone())
            .collect();
        assert_eq!(routes, [Value::Null, json!("a"), json!("b")]);
        let together = documents(facts, false);
        assert_eq!(together.len(), 1);
        assert_eq!(together[0]["FailedJobs"], 2);
        let directive = &together[0]["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Dimensions"], json!([[]]));
    }

    #[test]
    fn values_beyond_the_limit_go_to_further_lines() {
        let mut facts = Facts::default();
        for _ in 0..250 {
            facts.add(&ZOHO_REQUEST_DURATION, "", "default", 5.0);
            facts.add(&ZOHO_REQUESTS, "", "default", 1.0);
        }
        let documents = documents(facts, true);
        let counts = documents.iter().map(|line| {
            let values = line["ZohoRequestDuration"].as_array().map(Vec::len);
            (values, line["ZohoRequests"].as_u64())
        });
        let counts: Vec<_> = counts.collect();
        assert_eq!(
            counts,
            [(Some(100), Some(250)), (Some(100), None), (Some(50), None)]
        );
    }
}
