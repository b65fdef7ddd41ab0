//! The figures that Prometheus reads: their names, and the moments at which they move.
//!
//! Every name stands here once, with what it counts; docs/operations.md has the same table, and a
//! test compares them. Labels have few values: none is an identifier or comes from a caller.

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Unit, counter, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;

/// What kind of figure one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How long something took, in seconds.
    Histogram,
}

/// A figure.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// Its name in Prometheus.
    pub name: &'static str,
    /// What kind it is.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub meaning: &'static str,
}

macro_rules! figures {
    ($($name:ident $kind:ident [$($label:literal),*] $meaning:literal)+) => {
        /// Every figure, in the order of the manual.
        pub const ALL: &[Figure] = &[$(Figure {
            name: stringify!($name),
            kind: Kind::$kind,
            labels: &[$($label),*],
            meaning: $meaning,
        }),+];
    };
}

figures! {
    oms_operations_total Counter ["transport", "kind", "outcome"]
        "GraphQL operations that ended, by outcome: ok, errors (the answer has some), refused (not executed)."
    oms_operation_seconds Histogram ["transport", "kind"]
        "How long queries and mutations took."
    oms_transactions_total Counter ["outcome"]
        "Use cases that ended: committed, refused (coded), failed (a fault of ours or of the database)."
    oms_transactions_repeated_total Counter []
        "Transactions that lost a race and were run again."
    oms_transaction_seconds Histogram []
        "How long a use case took, its repetitions included."
    oms_sockets Gauge []
        "WebSockets and event streams that are open."
    oms_subscriptions Gauge []
        "Subscriptions that run."
    oms_socket_closes_total Counter ["code"]
        "WebSockets that ended, by close code; 1006 if the client was simply gone."
    oms_deliveries_total Counter []
        "Results of subscriptions that were handed to a connection."
    oms_executions_total Counter []
        "Results of subscriptions that were made: fewer than deliveries, as those who follow the same share them."
    oms_worker_rounds_total Counter []
        "Rounds of the background work."
    oms_worker_failures_total Counter []
        "Parts of a round that failed; the next round tries them again."
    oms_log_position Gauge []
        "The newest position of the event log."
    oms_log_floor Gauge []
        "The newest position that a reader may not resume from before."
    oms_log_delivered Gauge []
        "The newest position that this node has delivered; behind oms_log_position by the feed's lag."
    oms_log_gaps_total Counter []
        "How often this node read the log for what it heard about too late or not at all."
    oms_bus_away Gauge []
        "1 while this node does not hear the others over Redis and reads the log instead; 0 otherwise."
    oms_outbox_events Gauge []
        "Events that are committed and have no position yet (PostgreSQL)."
    oms_outbox_age_seconds Gauge []
        "For how long the oldest of them has waited."
    oms_orders Gauge ["stage"]
        "Orders at each stage."
    oms_orders_at_risk Gauge ["stage"]
        "Orders that are late for their dispatch, or soon will be."
    oms_exceptions_open Gauge ["severity"]
        "Exceptions that wait for a person."
    oms_backorders_waiting Gauge []
        "Order lines that wait for stock."
    oms_stock_sources_stale Gauge []
        "Sources of stock figures whose newest figures are older than they may be."
    oms_payment_effects_unsettled Gauge ["state"]
        "Calls to payment gateways that are not settled: READY, SENT, UNKNOWN."
    oms_payment_effects_age_seconds Gauge []
        "For how long the oldest of them has been unsettled."
    oms_messages_waiting Gauge []
        "Messages to people that are still to be sent."
    oms_messages_age_seconds Gauge []
        "For how long the oldest of them is owed."
    oms_messages_sent_total Counter []
        "Messages that the mail server took."
    oms_messages_failed_total Counter ["reason"]
        "Messages that are not tried again, by reason; those without an address are not among them."
    oms_database_connections Gauge ["pool", "state"]
        "Connections of this node's pools, idle and used."
}

/// The figures of this process.
#[derive(Clone)]
pub struct Figures(PrometheusHandle);

/// Seconds; a query takes some thousandths, an import's transaction some tenths.
const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Begins to count; what happened before was not counted. Once a process: later calls return the
/// same figures.
pub fn begin() -> Figures {
    static BEGUN: OnceLock<Figures> = OnceLock::new();
    BEGUN
        .get_or_init(|| {
            let recorder = PrometheusBuilder::new()
                .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
                .map(PrometheusBuilder::build_recorder);
            // The buckets are not empty, which is the only thing that could be wrong.
            let recorder = recorder.unwrap_or_else(|_| PrometheusBuilder::new().build_recorder());
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("somebody else counts already: /metrics will say nothing");
            }
            for figure in ALL {
                match figure.kind {
                    Kind::Counter => metrics::describe_counter!(figure.name, figure.meaning),
                    Kind::Gauge => metrics::describe_gauge!(figure.name, figure.meaning),
                    Kind::Histogram => {
                        metrics::describe_histogram!(figure.name, Unit::Seconds, figure.meaning);
                    }
                }
            }
            Collector::default().describe();
            Figures(handle)
        })
        .clone()
}

impl Figures {
    /// All of them in the text format of Prometheus, with those of the process.
    pub fn render(&self) -> String {
        Collector::default().collect();
        self.0.run_upkeep();
        self.0.render()
    }
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Without errors.
    Ok,
    /// With errors in its answer.
    Errors,
    /// It was not executed.
    Refused,
}

impl Outcome {
    /// That of an answer with these errors.
    pub fn of<E>(errors: &[E]) -> Outcome {
        match errors {
            [] => Outcome::Ok,
            _ => Outcome::Errors,
        }
    }
}

/// An operation has ended.
pub fn operation_ended(
    transport: &'static str,
    kind: &'static str,
    outcome: Outcome,
    took: Duration,
) {
    let outcome = match outcome {
        Outcome::Ok => "ok",
        Outcome::Errors => "errors",
        Outcome::Refused => "refused",
    };
    counter!("oms_operations_total", "transport" => transport, "kind" => kind, "outcome" => outcome)
        .increment(1);
    if kind != "subscription" {
        histogram!("oms_operation_seconds", "transport" => transport, "kind" => kind).record(took);
    }
}

/// A use case has ended.
pub fn transaction_ended(outcome: &'static str, took: Duration) {
    counter!("oms_transactions_total", "outcome" => outcome).increment(1);
    histogram!("oms_transaction_seconds").record(took);
}

/// A transaction lost a race.
pub fn transaction_repeated() {
    counter!("oms_transactions_repeated_total").increment(1);
}

/// A connection that is open as long as this lives.
pub struct Open(&'static str);

/// A socket or an event stream is open.
pub fn socket_open() -> Open {
    opened("oms_sockets")
}

/// A subscription runs.
pub fn subscription_open() -> Open {
    opened("oms_subscriptions")
}

fn opened(name: &'static str) -> Open {
    gauge!(name).increment(1);
    Open(name)
}

impl Drop for Open {
    fn drop(&mut self) {
        gauge!(self.0).decrement(1);
    }
}

/// A socket has ended.
pub fn socket_closed(code: u16) {
    counter!("oms_socket_closes_total", "code" => code.to_string()).increment(1);
}

/// Results were handed to a connection.
pub fn delivered(results: u64) {
    counter!("oms_deliveries_total").increment(results);
}

/// A result was made, for one connection or for many.
pub fn executed() {
    counter!("oms_executions_total").increment(1);
}

/// The workers have made a round.
pub fn round_ended(failures: usize) {
    counter!("oms_worker_rounds_total").increment(1);
    counter!("oms_worker_failures_total").increment(failures as u64);
}

/// The mail server has taken a message.
pub fn message_sent() {
    counter!("oms_messages_sent_total").increment(1);
}

/// A message is not tried again.
pub fn message_given_up(reason: String) {
    counter!("oms_messages_failed_total", "reason" => reason).increment(1);
}

/// This node has delivered the log up to here.
pub fn log_delivered(position: i64) {
    gauge!("oms_log_delivered").set(position as f64);
}

/// This node has read the log since what it heard was not what is next.
pub fn log_gap() {
    counter!("oms_log_gaps_total").increment(1);
}

/// Says what a gauge is now.
pub fn is_now(name: &'static str, value: f64) {
    debug_assert!(ALL.iter().any(|figure| figure.name == name), "{name}");
    gauge!(name).set(value);
}

/// How many connections a pool has.
pub fn connections(pool: &'static str, idle: f64, used: f64) {
    for (state, count) in [("idle", idle), ("used", used)] {
        gauge!("oms_database_connections", "pool" => pool, "state" => state).set(count);
    }
}

/// The same of a gauge with a label.
pub fn of_is_now(name: &'static str, label: &'static str, of: String, value: f64) {
    debug_assert!(ALL.iter().any(|figure| figure.name == name), "{name}");
    gauge!(name, label => of).set(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> String {
        let mut table = "| figure | kind | labels | what it says |\n|---|---|---|---|\n".to_owned();
        for figure in ALL {
            let kind = format!("{:?}", figure.kind).to_lowercase();
            let labels: Vec<String> = figure
                .labels
                .iter()
                .map(|name| format!("`{name}`"))
                .collect();
            table += &format!(
                "| `{}` | {kind} | {} | {} |\n",
                figure.name,
                labels.join(", "),
                figure.meaning
            );
        }
        table
    }

    #[test]
    fn the_manual_has_every_figure() {
        let manual = include_str!("../../../docs/operations.md");
        let table = table();
        assert!(
            manual.contains(&table),
            "docs/operations.md should have\n\n{table}"
        );
    }

    #[test]
    fn the_dashboard_shows_figures_that_there_are() {
        let dashboard = include_str!("../../../docs/grafana.json");
        let _: serde_json::Value = serde_json::from_str(dashboard).expect("JSON");
        let mut shown = 0;
        for (place, _) in dashboard.match_indices("oms_") {
            let rest = &dashboard[place..];
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            let name = &rest[..end.unwrap_or(rest.len())];
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|part| name.strip_suffix(part))
                .unwrap_or(name);
            assert!(ALL.iter().any(|figure| figure.name == base), "{name}");
            shown += 1;
        }
        assert!(shown >= 15, "{shown}");
    }
}
