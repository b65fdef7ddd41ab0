//! What the program tells those who run it: its log, its traces, its figures.

use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogConfig, TelemetryConfig};
use crate::tls;

pub mod figures;
pub mod traces;

/// How long a collector may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends the traces that wait when it is dropped.
pub struct Telemetry(Option<SdkTracerProvider>);

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(provider) = &self.0
            && let Err(error) = provider.shutdown()
        {
            eprintln!("the last traces were not sent: {error}");
        }
    }
}

/// Starts the log, and the traces if somebody takes them. Once a process, before the runtime: the
/// exporter has a thread of its own.
pub fn start(log: &LogConfig, telemetry: &TelemetryConfig) -> Result<Telemetry, String> {
    // The filter was checked with the other settings.
    let filter = || EnvFilter::new(&log.filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if log.format == "json" {
        lines.json().flatten_event(true).boxed()
    } else {
        lines.with_target(false).boxed()
    };
    let provider = match telemetry.otlp_endpoint.as_str() {
        "" => None,
        endpoint => Some(provider(endpoint, telemetry.trace_percent)?),
    };
    let spans = provider.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("oms"))
            .with_filter(filter())
    });
    tracing_subscriber::registry()
        .with(lines.with_filter(filter()))
        .with(spans)
        .try_init()
        .map_err(|error| format!("the log did not start: {error}"))?;
    Ok(Telemetry(provider))
}

fn provider(endpoint: &str, percent: u32) -> Result<SdkTracerProvider, String> {
    // It is asked from a thread of its own, and must not be made in a runtime.
    let client = std::thread::spawn(|| {
        tls::install();
        let builder = reqwest::blocking::Client::builder();
        builder.timeout(PATIENCE).tls_certs_only([]).build()
    });
    let client = client
        .join()
        .map_err(|_| "the client of the collector was not made".to_owned())?
        .map_err(|error| format!("OMS__TELEMETRY__OTLP_ENDPOINT: {error}"))?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .build()
        .map_err(|error| format!("OMS__TELEMETRY__OTLP_ENDPOINT: {error}"))?;
    let share = f64::from(percent) / 100.0;
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
            share,
        ))))
        .with_resource(Resource::builder().with_service_name("oms").build())
        .build())
}
