//! One trace, from a caller's request to what is made of its events for those who follow them, on
//! whichever node they are.

use std::sync::{Arc, Mutex, OnceLock};

use api::app::App;
use api::db::Db;
use api::payments::gateway::Sandbox;
use api::server::{self, Background};
use opentelemetry::Value as Attribute;
use opentelemetry::trace::{TraceId, TracerProvider};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter};
use serde_json::json;
use support::merchant::{SUBMIT, basket};
use support::{Backend, Place, Setup, Socket, TestApp, both_backends, redis};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::fanout::joined;

both_backends!(a_trace_goes_on_from_a_request_to_each_delivery);

/// Keeps the spans of those traces that a caller wants kept.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(spans);
        Ok(())
    }
}

impl Kept {
    /// What this process keeps.
    fn spans() -> Kept {
        static KEPT: OnceLock<Kept> = OnceLock::new();
        let begin = || {
            let kept = Kept::default();
            let provider = SdkTracerProvider::builder()
                .with_simple_exporter(kept.clone())
                .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOff)))
                .build();
            let ours = Targets::new().with_target("api", LevelFilter::INFO);
            let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
            tracing_subscriber::registry()
                .with(layer.with_filter(ours))
                .init();
            kept
        };
        KEPT.get_or_init(begin).clone()
    }

    fn of(&self, trace: &str) -> Vec<SpanData> {
        let trace = TraceId::from_hex(trace).unwrap();
        let spans = self.0.lock().unwrap();
        let mine = spans
            .iter()
            .filter(|span| span.span_context.trace_id() == trace);
        mine.cloned().collect()
    }
}

/// How many deliveries of an event a trace has; each goes on from where the event was written.
fn deliveries(spans: &[SpanData], event: &str) -> usize {
    let (delivered, others): (Vec<_>, Vec<_>) =
        spans.iter().partition(|span| span.name == "delivery");
    for span in &delivered {
        let written = |other: &&SpanData| other.span_context.span_id() == span.parent_span_id;
        assert!(others.iter().any(written), "{span:?} of {others:?}");
    }
    let event = Attribute::from(event.to_owned());
    let of_event = |span: &&&SpanData| {
        let mut attributes = span.attributes.iter();
        attributes.any(|attribute| attribute.key.as_str() == "event" && attribute.value == event)
    };
    delivered.iter().filter(of_event).count()
}

/// Submits an order in a trace.
async fn submit(app: &TestApp, parent: &str) {
    let input = json!({ "input": basket() });
    let request = app.request(Some(&app.admin_key), SUBMIT, input);
    let answer = app.send(request.header("traceparent", parent)).await;
    assert_eq!(
        answer.data()["orderSubmit"]["userErrors"],
        json!([]),
        "{parent}"
    );
}

const UPDATES: &str = "subscription { orderUpdates { kind event order { id } } }";
const EVENTS: &str = "subscription { events { kind event { event } } }";
const LEVELS: &str = "subscription { stockLevels { kind event } }";

/// Waits for an item of an event.
async fn until(socket: &mut Socket, id: &str, field: &str, event: &str) {
    loop {
        let item = socket.next(id).await[field]["event"].take();
        if item == event || item["event"] == event {
            return;
        }
    }
}

async fn a_trace_goes_on_from_a_request_to_each_delivery(app: &TestApp) {
    let kept = Kept::spans();
    app.open_shop().await;
    app.settle().await;
    let mut socket = app.socket().await;
    let mut boards = Vec::new();
    for _ in 0..3 {
        boards.push(socket.subscribe(UPDATES, json!({})).await);
    }
    joined(app, 3, 1).await;
    let events = socket.subscribe(EVENTS, json!({})).await;
    let levels = socket.subscribe(LEVELS, json!({})).await;
    socket.next(&events).await;
    while socket.next(&levels).await["stockLevels"]["kind"] != "SNAPSHOT_END" {}
    let trace = format!("{:032x}", u128::from(app.address.port()) + 0xA1);
    submit(app, &format!("00-{trace}-00f067aa0ba902b7-01")).await;
    app.settle().await;
    for board in &boards {
        until(&mut socket, board, "orderUpdates", "order.received").await;
    }
    until(&mut socket, &events, "events", "order.received").await;
    until(&mut socket, &levels, "stockLevels", "stock.changed").await;
    let spans = kept.of(&trace);
    let begun = spans.iter().find(|span| span.name == "graphql").unwrap();
    assert_eq!(begun.parent_span_id.to_string(), "00f067aa0ba902b7");
    // Once for the group, and once for who is alone.
    assert_eq!(deliveries(&spans, "order.received"), 2);
    assert!(deliveries(&spans, "stock.changed") >= 2);
    // What nobody keeps leaves no trace.
    let trace = format!("{:032x}", u128::from(app.address.port()) + 0xB2_0000);
    submit(app, &format!("00-{trace}-00f067aa0ba902b7-00")).await;
    app.settle().await;
    until(&mut socket, &events, "events", "order.received").await;
    assert!(kept.of(&trace).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_goes_on_over_the_bus() {
    let kept = Kept::spans();
    let Some(settings) = redis::settings() else {
        return;
    };
    let Some(place) = Place::migrated(Backend::Postgres).await else {
        return;
    };
    let settings = settings.each_ref().map(|(name, value)| (*name, &**value));
    let setup = Setup {
        settings: &settings,
        ..Setup::default()
    };
    let app = TestApp::on(place, setup).await;
    app.open_shop().await;
    app.settle().await;
    let config = app.app.config.clone();
    let db = Db::connect(&config.database).await.unwrap();
    let other = App::new(
        db,
        app.clock.clone(),
        config,
        Arc::new(Sandbox),
        app.mailbox.clone(),
    );
    let running = server::start(other.clone(), Background::ByHand).unwrap();
    let feeds = [app.app.clone(), other.clone()]
        .map(|app| tokio::spawn(async move { app.hub.run().await }));
    let mut socket = Socket::connect(running.address, &app.admin_key).await;
    let events = socket.subscribe(EVENTS, json!({})).await;
    socket.next(&events).await;
    let trace = format!("{:032x}", u128::from(app.address.port()) + 0xC3_0000_0000);
    submit(&app, &format!("00-{trace}-00f067aa0ba902b7-01")).await;
    until(&mut socket, &events, "events", "order.received").await;
    assert_eq!(deliveries(&kept.of(&trace), "order.received"), 1);
    socket.close().await;
    for feed in feeds {
        feed.abort();
    }
    running.stop().await;
    let _ = other.db.clone().close().await;
    app.finish().await;
}
