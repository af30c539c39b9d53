//! What a process has done since its start, as numbers: counters for `/metrics` ([`openmetrics`]), and on Lambda the same
//! facts of one invocation as an EMF line ([`emf`]).
//!
//! Recording costs an atomic per event. Labels are names from the config, or members of fixed sets; everything else counts
//! under [`OTHER`], so that no sender can create time series.

mod counters;
pub mod emf;
mod gauges;
mod labels;
pub mod openmetrics;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::job::{Counts, JobStatus};
use crate::sync;
use crate::trigger::Trigger;
use counters::{ConnectionCounters, Counter, RouteCounters};
use emf::{EmfMetric, Facts};
pub use gauges::{ConnectionGauges, Gauges};
pub use labels::{CallbackOutcome, DeliveryOutcome, RequestKind, SUCCESS};

/// The label of everything whose name is not in the config. No route, connection, module or code can have this name.
pub const OTHER: &str = "(other)";

/// The label `route` of the jobs of `POST /jobs`. No route can have this name.
pub const NO_ROUTE: &str = "/jobs";

/// The numbers of one process, under the names of one config. Clones, and views for other configs, share the numbers.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    shared: Arc<Shared>,
    routes: Arc<BTreeMap<String, RouteView>>,
    connections: Arc<BTreeMap<String, Arc<ConnectionCounters>>>,
}

/// A route of the config in use.
#[derive(Debug)]
struct RouteView {
    counters: Arc<RouteCounters>,
    connection: String,
}

/// The numbers of a process, whatever its config. Names are added when a config is loaded, never while something is counted.
#[derive(Debug)]
struct Shared {
    routes: Mutex<BTreeMap<String, Arc<RouteCounters>>>,
    connections: Mutex<BTreeMap<String, Arc<ConnectionCounters>>>,
    other_route: Arc<RouteCounters>,
    no_route: Arc<RouteCounters>,
    other_connection: Arc<ConnectionCounters>,
    callbacks: [Counter; CallbackOutcome::ALL.len()],
    /// The facts of the invocation in progress, on Lambda.
    invocation: Option<Mutex<Facts>>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            routes: Mutex::default(),
            connections: Mutex::default(),
            other_route: Arc::new(RouteCounters::new(OTHER)),
            no_route: Arc::new(RouteCounters::new(NO_ROUTE)),
            other_connection: Arc::new(ConnectionCounters::new(OTHER)),
            callbacks: Default::default(),
            invocation: None,
        }
    }
}

impl Shared {
    /// Adds to a metric of the invocation in progress.
    fn add(&self, metric: &'static EmfMetric, route: &str, connection: &str, value: f64) {
        if let Some(invocation) = &self.invocation {
            sync::lock(invocation).add(metric, route, connection, value);
        }
    }
}

/// The sums of a process, over all labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Deliveries, whatever their outcome.
    pub deliveries: u64,
    /// Deliveries that were refused.
    pub refused: u64,
    /// Jobs that finished.
    pub jobs: u64,
    /// Records that were updated.
    pub records: u64,
    /// Requests to Zoho.
    pub calls: u64,
    /// Calls that jobs would have needed alone, minus the calls that were made.
    pub calls_saved: u64,
    /// Pauses that Zoho asked for.
    pub throttles: u64,
}

impl Metrics {
    /// Numbers that also collect the facts of each invocation; see [`Metrics::take_facts`].
    pub fn of_invocations() -> Self {
        let shared = Shared {
            invocation: Some(Mutex::default()),
            ..Shared::default()
        };
        Self {
            shared: Arc::new(shared),
            ..Self::default()
        }
    }

    /// The same numbers under the names of a config: its routes, each with its connection, and its connections.
    #[must_use]
    pub fn with_names<'a>(
        &self,
        routes: impl Iterator<Item = (&'a str, &'a str)>,
        connections: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mut known = sync::lock(&self.shared.routes);
        let routes = routes.map(|(name, connection)| {
            let counters = known.entry(name.to_owned());
            let counters = counters.or_insert_with(|| Arc::new(RouteCounters::new(name)));
            let view = RouteView {
                counters: counters.clone(),
                connection: connection.to_owned(),
            };
            (name.to_owned(), view)
        });
        let routes = routes.collect();
        drop(known);
        let mut known = sync::lock(&self.shared.connections);
        let connections = connections.map(|name| {
            let counters = known.entry(name.to_owned());
            let counters = counters.or_insert_with(|| Arc::new(ConnectionCounters::new(name)));
            (name.to_owned(), counters.clone())
        });
        let connections = connections.collect();
        drop(known);
        Self {
            shared: self.shared.clone(),
            routes: Arc::new(routes),
            connections: Arc::new(connections),
        }
    }

    /// The numbers of one connection.
    pub fn connection(&self, name: &str) -> ConnectionMetrics {
        let counters = self.connections.get(name);
        let counters = counters.unwrap_or(&self.shared.other_connection).clone();
        ConnectionMetrics {
            counters,
            shared: self.shared.clone(),
        }
    }

    /// Counts a delivery, or an update request under [`NO_ROUTE`], by its outcome.
    pub fn count_delivery(&self, route: &str, trigger: Trigger, outcome: DeliveryOutcome) {
        let (counters, connection) = self.route(route);
        counters.deliveries(trigger, outcome).add(1);
        let metric = labels::emf_metric_of(outcome);
        self.shared.add(metric, &counters.name, connection, 1.0);
    }

    /// Counts a verified delivery that could not be mapped, beside its outcome.
    pub fn count_unmappable(&self, route: &str) {
        let (counters, connection) = self.route(route);
        let metric = &emf::UNMAPPABLE_DELIVERIES;
        self.shared.add(metric, &counters.name, connection, 1.0);
    }

    /// Counts a finished job with its records and its duration.
    pub fn count_finished_job(&self, job: FinishedJob<'_>) {
        let (counters, _) = self.route_or_none(job.route);
        counters.jobs(job.status).add(1);
        counters.durations.observe(job.duration);
        let (route, connection) = (&counters.name, self.connection_label(job.connection));
        let add = |metric, value| self.shared.add(metric, route, connection, value);
        add(emf::jobs(job.status), 1.0);
        add(&emf::JOB_DURATION, job.duration.as_secs_f64() * 1_000.0);
        let Counts {
            updated,
            created,
            failed,
            pending,
            superseded,
            ..
        } = job.counts;
        let records = counters.records(job.module);
        for ((counter, metric), count) in records.iter().zip(&emf::RECORDS).zip([
            updated,
            failed,
            pending,
            superseded.unwrap_or_default(),
            created.unwrap_or_default(),
        ]) {
            if count > 0 {
                counter.add(count);
                add(metric, count as f64);
            }
        }
    }

    /// Counts a job that needs an operator.
    pub fn count_parked_job(&self) {
        self.shared.add(&emf::PARKED_JOBS, "", "", 1.0);
    }

    /// Counts an attempt to deliver a callback.
    pub fn count_callback(&self, route: Option<&str>, connection: &str, outcome: CallbackOutcome) {
        self.shared.callbacks[outcome as usize].add(1);
        let (counters, _) = self.route_or_none(route);
        let connection = self.connection_label(connection);
        let metric = outcome.emf_metric();
        self.shared.add(metric, &counters.name, connection, 1.0);
    }

    /// Records gauges for the invocation in progress.
    pub fn observe_gauges(&self, gauges: &Gauges, now: jiff::Timestamp) {
        if let Some(invocation) = &self.shared.invocation {
            sync::lock(invocation).observe(gauges, now);
        }
    }

    /// The facts of the invocation in progress, which begin anew; none unless this process collects them.
    pub fn take_facts(&self) -> Option<Facts> {
        let invocation = self.shared.invocation.as_ref()?;
        Some(std::mem::take(&mut *sync::lock(invocation)))
    }

    /// The sums over all labels.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for route in self.all_routes() {
            route.add_to(&mut totals);
        }
        for connection in self.all_connections() {
            connection.add_to(&mut totals);
        }
        totals
    }

    /// The counters of a route and its connection.
    fn route(&self, name: &str) -> (&RouteCounters, &str) {
        match self.routes.get(name) {
            Some(view) => (&view.counters, &view.connection),
            None if name == NO_ROUTE => (&self.shared.no_route, ""),
            None => (&self.shared.other_route, ""),
        }
    }

    /// The counters of a job's route.
    fn route_or_none(&self, name: Option<&str>) -> (&RouteCounters, &str) {
        self.route(name.unwrap_or(NO_ROUTE))
    }

    fn connection_label<'a>(&self, name: &'a str) -> &'a str {
        match self.connections.contains_key(name) {
            true => name,
            false => OTHER,
        }
    }

    /// Every route that was in a config of this process, and the two that stand for none.
    fn all_routes(&self) -> Vec<Arc<RouteCounters>> {
        let known = sync::lock(&self.shared.routes);
        let shared = [&self.shared.no_route, &self.shared.other_route];
        known.values().chain(shared).cloned().collect()
    }

    fn all_connections(&self) -> Vec<Arc<ConnectionCounters>> {
        let known = sync::lock(&self.shared.connections);
        let shared = [&self.shared.other_connection];
        known.values().chain(shared).cloned().collect()
    }
}

/// A job that has finished, as [`Metrics::count_finished_job`] counts it.
#[derive(Clone, Copy, Debug)]
pub struct FinishedJob<'a> {
    /// The route of its delivery.
    pub route: Option<&'a str>,
    /// Its connection.
    pub connection: &'a str,
    /// Its module, which may come from a mapping.
    pub module: &'a str,
    /// Its status.
    pub status: JobStatus,
    /// Its records.
    pub counts: Counts,
    /// The time from its acceptance to its end.
    pub duration: Duration,
}

/// The numbers of one connection. Clones share them.
#[derive(Clone, Debug)]
pub struct ConnectionMetrics {
    counters: Arc<ConnectionCounters>,
    shared: Arc<Shared>,
}

impl Default for ConnectionMetrics {
    /// Numbers outside of a process: for a client without an app.
    fn default() -> Self {
        Metrics::default().connection(OTHER)
    }
}

impl ConnectionMetrics {
    /// Counts a request to Zoho by the code of its answer: [`SUCCESS`], or a code of the table of codes.
    pub fn count_request(&self, kind: RequestKind, code: &str, duration: Duration) {
        self.counters.requests(kind, code).add(1);
        self.counters.durations.observe(duration);
        self.add(&emf::ZOHO_REQUESTS, 1.0);
        if code != SUCCESS {
            self.add(&emf::FAILED_ZOHO_REQUESTS, 1.0);
        }
        let milliseconds = duration.as_secs_f64() * 1_000.0;
        self.add(&emf::ZOHO_REQUEST_DURATION, milliseconds);
    }

    /// Counts one answered call that `jobs_calls` calls of jobs shared.
    pub fn count_shared_call(&self, job_calls: usize) {
        let saved = job_calls.saturating_sub(1);
        if saved > 0 {
            self.counters.saved.add(saved as u64);
            self.add(&emf::SAVED_ZOHO_CALLS, saved as f64);
        }
    }

    /// Counts a pause that Zoho asked for.
    pub fn count_throttle(&self) {
        self.counters.throttles.add(1);
        self.add(&emf::ZOHO_THROTTLES, 1.0);
    }

    /// Counts a refusal of the credentials, the token or the connection's rights, and a token that cannot be shared.
    pub fn count_token_failure(&self) {
        self.add(&emf::TOKEN_FAILURES, 1.0);
    }

    fn add(&self, metric: &'static EmfMetric, value: f64) {
        self.shared.add(metric, "", &self.counters.name, value);
    }
}
