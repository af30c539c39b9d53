//! Export of spans by OTLP over HTTP, in builds with the feature `otlp`. OpenTelemetry's standard environment variables configure
//! it, and nothing is exported unless one of them names an endpoint.

use std::env::var_os;
use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanKind, TracerProvider};
use opentelemetry::{KeyValue, Value};
use opentelemetry_http::{HeaderExtractor, HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tokio::runtime::Handle;
use tracing::{Level, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use crate::http::{BodyLimit, DirectHttp};

/// The variables that name an endpoint.
const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];

/// The variables that name a protocol.
const PROTOCOLS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
];

/// The variables of the time limit of a request, in milliseconds.
const TIMEOUTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
];

/// The time limit of a request, if no variable sets it.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the last spans of a process may take.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// The limit of a collector's answer.
const MAX_ANSWER: BodyLimit = BodyLimit::Truncate(64 << 10);

/// The export of this process's spans.
#[derive(Default)]
pub struct SpanExport(Option<SdkTracerProvider>);

impl fmt::Debug for SpanExport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("SpanExport");
        shown.field("is_on", &self.0.is_some()).finish()
    }
}

impl SpanExport {
    /// The export that the environment configures. It uses the runtime of the caller.
    ///
    /// # Errors
    /// What is wrong with the environment.
    pub(super) fn from_environment() -> Result<Self, String> {
        let is_off = text_of("OTEL_SDK_DISABLED").is_some_and(|text| text == "true")
            || text_of("OTEL_TRACES_EXPORTER").is_some_and(|text| text == "none");
        if is_off || first_of(&ENDPOINTS).is_none() {
            return Ok(Self(None));
        }
        let timeout = first_of(&TIMEOUTS).and_then(|text| text.parse().ok());
        let client = CollectorClient {
            http: DirectHttp::default(),
            runtime: Handle::current(),
            timeout: timeout.map_or(DEFAULT_TIMEOUT, Duration::from_millis),
        };
        let builder = opentelemetry_otlp::SpanExporter::builder().with_http();
        let builder = builder.with_http_client(client);
        let builder = match first_of(&PROTOCOLS).as_deref() {
            None => builder.with_protocol(Protocol::HttpBinary),
            Some("grpc") => {
                return Err("the protocol grpc is not supported: use http/protobuf".to_owned());
            }
            Some(_) => builder,
        };
        let exporter = builder.build().map_err(|error| error.to_string())?;
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_batch_exporter(NamedSpans(exporter))
            .build();
        Ok(Self(Some(provider)))
    }

    /// The layer that records spans, if they are exported.
    pub(super) fn layer<S>(&self) -> Option<impl Layer<S> + use<S>>
    where
        S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    {
        let tracer = self.0.as_ref()?.tracer("masshook");
        let layer = tracing_opentelemetry::layer()
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_target(false)
            .with_tracer(tracer);
        Some(layer.with_filter(Targets::new().with_target("masshook", Level::INFO)))
    }

    /// Exports the spans that have ended, and waits up to `time`.
    pub async fn flush(&self, time: Duration) {
        let Some(provider) = self.0.clone() else {
            return;
        };
        // It blocks its thread, while the request needs the runtime's.
        let flushing = tokio::task::spawn_blocking(move || provider.force_flush());
        // The exporter logs its failures.
        let _ = tokio::time::timeout(time, flushing).await;
    }
}

impl Drop for SpanExport {
    fn drop(&mut self) {
        if let Some(provider) = &self.0 {
            // The exporter logs its failures.
            let _ = provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT);
        }
    }
}

/// Makes the span a part of the trace that the headers of its request name.
pub(crate) fn continue_trace(span: &Span, headers: &HeaderMap) {
    static PROPAGATOR: LazyLock<TraceContextPropagator> = LazyLock::new(Default::default);
    if headers.contains_key("traceparent") {
        // Without an exporter there is no layer that could take it.
        let _ = span.set_parent(PROPAGATOR.extract(&HeaderExtractor(headers)));
    }
}

/// What the spans are of.
fn resource() -> Resource {
    let builder = Resource::builder()
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    let attributes = text_of("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let is_named = text_of("OTEL_SERVICE_NAME").is_some() || attributes.contains("service.name=");
    match is_named {
        true => builder.build(),
        false => {
            let name = text_of("AWS_LAMBDA_FUNCTION_NAME");
            let name = name.unwrap_or_else(|| "masshook".to_owned());
            builder.with_service_name(name).build()
        }
    }
}

fn first_of(names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| text_of(name))
}

/// The value of a variable that is not empty.
fn text_of(name: &str) -> Option<String> {
    let value = var_os(name)?.into_string().ok()?;
    (!value.is_empty()).then_some(value)
}

/// The client for the collector. The exporter has a thread of its own, and requests need a runtime.
#[derive(Debug)]
struct CollectorClient {
    http: DirectHttp,
    runtime: Handle,
    timeout: Duration,
}

#[async_trait]
impl HttpClient for CollectorClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (http, timeout) = (self.http.clone(), self.timeout);
        let sending = async move { http.send(request, MAX_ANSWER, timeout).await };
        Ok(self.runtime.spawn(sending).await??)
    }
}

/// Names spans as OpenTelemetry's conventions do, and exports them.
#[derive(Debug)]
struct NamedSpans<E>(E);

impl<E: SpanExporter> SpanExporter for NamedSpans<E> {
    fn export(&self, mut batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        batch.iter_mut().for_each(name_span);
        self.0.export(batch)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

/// Sets name, kind and attributes of a span. Strangers choose the paths of requests, so names have only their beginnings.
fn name_span(span: &mut SpanData) {
    let text = |span: &SpanData, key: &str| {
        let attribute = span
            .attributes
            .iter()
            .find(|attribute| attribute.key.as_str() == key);
        attribute.map(|attribute| attribute.value.as_str().into_owned())
    };
    match span.name.as_ref() {
        "request" => {
            let method = text(span, "http.method").unwrap_or_default();
            let path = text(span, "url.path").unwrap_or_default();
            let template = match path.trim_start_matches('/').split_once('/') {
                Some(("hooks", _)) => " /hooks/{route}",
                Some(("jobs", _)) => " /jobs/{id}",
                Some(("deliveries", _)) => " /deliveries/{id}",
                _ if path == "/jobs" => " /jobs",
                _ => "",
            };
            span.name = format!("{method}{template}").into();
            span.span_kind = SpanKind::Server;
        }
        "invocation" => {
            let kind = text(span, "kind").unwrap_or_default();
            span.name = format!("invocation {kind}").into();
            span.span_kind = SpanKind::Server;
        }
        "job" => {
            let work = text(span, "work").unwrap_or_default();
            span.name = format!("job {work}").into();
        }
        "zoho" => {
            let kind = text(span, "zoho.request").unwrap_or_default();
            span.name = format!("zoho {kind}").into();
            span.span_kind = SpanKind::Client;
        }
        "callback" => span.span_kind = SpanKind::Client,
        _ => {}
    }
    for attribute in &mut span.attributes {
        match attribute.key.as_str() {
            "http.method" => attribute.key = "http.request.method".into(),
            "http.status" => {
                attribute.key = "http.response.status_code".into();
                if let Value::String(status) = &attribute.value
                    && let Ok(status) = status.as_str().parse::<i64>()
                {
                    attribute.value = Value::I64(status);
                }
            }
            _ => {}
        }
    }
}
