//! GraphQL over HTTP and WebSocket, for any executor.
//!
//! Promises: a document is weighed before the schema sees it; an operation that began runs to its
//! end, whatever its client does; every error has a code and a request id; no answer is cached or
//! sniffed. What this module will not do: know who a caller is (the app's [`Gate`] does), know the
//! schema, or accept batches or uploads.
//!
//! In reading order: [`request`] takes a request apart, [`limits`] weighs its document,
//! [`operation`] joins both into something that may run, [`execute`] runs it, [`response`] writes
//! the answer; [`graphql`] is the handler that calls them in this order. [`websocket`] does the same
//! for a socket and [`sse`] for a stream of events: there [`run`] runs it, and [`fanout`] shares it
//! among those who follow the same. [`documents`] sends what was printed to whoever has its signed
//! address, and [`exports`] what was exported. [`console`] sends the pages that people look at.

use std::sync::Arc;
use std::time::Duration;

use actix_web::middleware::Compress;
use actix_web::web;
use async_graphql::Executor;
use tokio::runtime::Handle;
use tokio::sync::watch;
use uuid::Uuid;

mod apq;
mod body;
pub mod console;
mod course;
mod documents;
mod execute;
mod exports;
mod fanout;
mod gate;
mod graphql;
mod health;
mod limits;
mod negotiate;
mod operation;
mod refusal;
mod request;
mod request_id;
mod response;
mod run;
mod scan;
mod sse;
pub mod webhooks;
mod websocket;
pub mod wire;

#[cfg(test)]
mod tests;

pub use apq::PersistedQueries;
pub use course::Course;
pub use documents::{Documents, NoDocument, Sent, SignedAddress};
pub use exports::{Exports, SentParts};
pub use fanout::{FanOut, FanOutCounts};
pub use gate::{Gate, GateError, Pass};
pub use health::Readiness;
pub use limits::Limits;
pub use request_id::{IdempotencyKey, RequestId};
pub use websocket::Sockets;

/// Everything that the transports need from the app. Cheap to clone: each server thread has one.
#[derive(Clone)]
pub struct Endpoint<E> {
    /// Runs the operations, usually the schema itself.
    pub executor: E,
    /// Says who may come in.
    pub gate: Arc<dyn Gate>,
    /// Where operations run. It must outlive the server: a client that goes away, or a server
    /// thread that ends, must not cancel an operation.
    pub runtime: Handle,
    /// How large a document may be.
    pub limits: Arc<Limits>,
    /// The documents known by their hash.
    pub persisted: PersistedQueries,
    /// How sockets are held.
    pub sockets: Arc<Sockets>,
    /// The subscriptions that are shared.
    pub fan_out: Arc<FanOut>,
    /// Becomes true when the server drains: sockets then close with 1012 and readiness ends.
    pub shutdown: watch::Receiver<bool>,
    /// Says whether the server can take requests.
    pub readiness: Readiness,
    /// Finds documents by signed addresses.
    pub documents: Documents,
    /// Finds exports by signed addresses.
    pub exports: Exports,
    /// How long a client waits for an operation. The operation itself is not stopped: stopping it
    /// could leave its database connection inside a transaction.
    pub patience: Duration,
}

impl<E: Executor> Endpoint<E> {
    /// An endpoint with the default limits, always ready and never draining.
    pub fn new(executor: E, gate: Arc<dyn Gate>, runtime: Handle) -> Self {
        Endpoint {
            executor,
            gate,
            runtime,
            limits: Arc::new(Limits::default()),
            persisted: PersistedQueries::default(),
            sockets: Arc::new(Sockets::default()),
            fan_out: Arc::default(),
            shutdown: watch::channel(false).1,
            readiness: Readiness::always(),
            documents: Documents::none(),
            exports: Exports::none(),
            patience: Duration::from_secs(30),
        }
    }
}

/// Mounts `/graphql` (POST, GET, both as a stream of events, and the WebSocket upgrade),
/// `/graphql/ws`, `/documents/{id}`, `/exports/{id}`, `/livez` and `/readyz`.
pub fn configure<E: Executor>(cfg: &mut web::ServiceConfig, endpoint: Endpoint<E>) {
    cfg.app_data(web::Data::new(endpoint))
        .route("/livez", web::get().to(health::livez))
        .route("/readyz", web::get().to(health::readyz::<E>))
        .route("/documents/{id}", web::to(documents::serve::<E>))
        .route("/exports/{id}", web::to(exports::serve::<E>))
        // Not under Compress: a socket is a stream, and a compressor holds bytes back.
        .route("/graphql/ws", web::to(websocket::upgrade::<E>))
        .service(
            web::resource("/graphql")
                .guard(websocket::IsUpgrade)
                .route(web::to(websocket::upgrade::<E>)),
        )
        .service(
            web::resource("/graphql")
                .guard(sse::WantsEvents)
                .route(web::to(sse::serve::<E>)),
        )
        .service(
            web::resource("/graphql")
                .wrap(Compress::default())
                .route(web::to(graphql::serve::<E>)),
        );
}

/// A random part of a time, so that clients that lose their server together do not come back
/// together.
#[allow(
    clippy::disallowed_methods,
    reason = "it is no identifier, just the random number that is at hand"
)]
fn share_of(whole: Duration) -> Duration {
    let [byte, ..] = Uuid::new_v4().into_bytes();
    whole * u32::from(byte) / 256
}
