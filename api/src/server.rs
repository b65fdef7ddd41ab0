//! The running server: the schema behind the transports, the event feed and the workers beside
//! them, and an orderly end.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::{App as HttpApp, HttpResponse, HttpServer, web};
use chrono::{DateTime, Utc};
use entity::ApiKeyId;
use entity::order_exception::Severity;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use sea_orm::{ActiveEnum, DbErr, Iterable};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::access::{self, Principal};
use crate::app::App;
use crate::demo;
use crate::documents::links::NotOpened;
use crate::exports;
use crate::graphql;
use crate::http::console::Visitors;
use crate::http::{
    self, Documents, Endpoint, Exports, FanOut, Gate, GateError, Limits, NoDocument, Pass,
    Readiness, Sent, SentParts, Sockets,
};
use crate::reports::readings;
use crate::telemetry::figures;
use crate::workers;

/// A server that takes requests.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// The subscriptions that it shares among its clients.
    pub fan_out: Arc<FanOut>,
    /// Where Prometheus finds the figures, if anywhere.
    pub metrics: Option<SocketAddr>,
    handles: Vec<ServerHandle>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// What runs beside the transports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Background {
    /// The event feed and the workers.
    Running,
    /// Nothing: somebody turns them by hand.
    ByHand,
}

/// Lets callers in by their API key.
struct Keys {
    app: Arc<App>,
    /// The key that the console's pages are given on this machine, if any.
    visitor: Option<Arc<str>>,
    /// The ends of the keys in use, each watched once however many clients show it.
    ends: Arc<Mutex<HashMap<ApiKeyId, WeakShared<BoxFuture<'static, ()>>>>>,
}

impl Keys {
    fn of(app: Arc<App>, visitor: Option<Arc<str>>) -> Keys {
        Keys {
            app,
            visitor,
            ends: Arc::default(),
        }
    }
}

impl Gate for Keys {
    fn open(&self, credentials: Option<String>) -> BoxFuture<'static, Result<Pass, GateError>> {
        let (app, ends) = (self.app.clone(), self.ends.clone());
        let visitor = self.visitor.clone();
        Box::pin(async move {
            let key = credentials.ok_or(GateError::Missing)?;
            if visitor.is_some_and(|visitor| access::is_same(&visitor, &key)) {
                let principal = Principal::visitor();
                let rights = Some(rights_of(&principal));
                return Ok(Pass {
                    rights,
                    ..Pass::of(principal)
                });
            }
            match app.authenticate(&key).await {
                Ok(Some(principal)) => {
                    let rights = Some(rights_of(&principal));
                    let ends = principal.key_id.map(|id| {
                        let mut ends = ends.lock().unwrap_or_else(PoisonError::into_inner);
                        watched(&mut ends, id, || ended(app, key)).boxed()
                    });
                    Ok(Pass {
                        ends,
                        rights,
                        ..Pass::of(principal)
                    })
                }
                Ok(None) => Err(GateError::Invalid),
                Err(error) => {
                    tracing::error!(%error, "a key could not be checked");
                    Err(GateError::Unavailable)
                }
            }
        })
    }
}

/// Everything about a caller that decides what it may see: whoever has the same sees the same.
fn rights_of(principal: &Principal) -> Arc<str> {
    let Principal {
        actor: _,
        role,
        channels,
        key_id: _,
    } = principal;
    format!("{role:?} {channels:?}").into()
}

/// The end of a key that somebody watches already, or one that is watched from now on.
fn watched<F: Future<Output = ()> + Send + 'static>(
    ends: &mut HashMap<ApiKeyId, WeakShared<BoxFuture<'static, ()>>>,
    id: ApiKeyId,
    watch: impl FnOnce() -> F,
) -> Shared<BoxFuture<'static, ()>> {
    if let Some(end) = ends.get(&id).and_then(WeakShared::upgrade) {
        return end;
    }
    ends.retain(|_, end| end.upgrade().is_some());
    let end = watch().boxed().shared();
    // None only if it has come already, and then nobody need find it.
    if let Some(weak) = end.downgrade() {
        ends.insert(id, weak);
    }
    end
}

/// Completes when a key stops being good: it is looked at every two seconds while it is in use.
async fn ended(app: Arc<App>, key: String) {
    loop {
        tokio::time::sleep(Duration::from_secs(2)).await;
        // A database that is away says nothing about the key.
        if let Ok(None) = app.authenticate(&key).await {
            return;
        }
    }
}

/// Binds, and serves until [`Running::stop`].
pub fn start(app: Arc<App>, background: Background) -> std::io::Result<Running> {
    let (stop, stopped) = watch::channel(false);
    let visitor = visitor(&app);
    let mut endpoint = Endpoint::new(
        graphql::schema(app.clone()),
        Arc::new(Keys::of(app.clone(), visitor.clone())),
        tokio::runtime::Handle::current(),
    );
    endpoint.limits = Arc::new(Limits {
        introspection: app.config.server.introspection,
        ..Limits::default()
    });
    endpoint.sockets = Arc::new(Sockets {
        origins: app.config.server.allowed_origins.clone(),
        ..Sockets::default()
    });
    endpoint.shutdown = stopped.clone();
    endpoint.readiness = readiness(app.clone());
    endpoint.documents = documents(app.clone());
    endpoint.exports = exported(app.clone());
    let fan_out = endpoint.fan_out.clone();

    let webhooks = http::webhooks::Webhooks::of(app.clone());
    let visitors = visitors(app.clone(), visitor);
    let mut server = HttpServer::new(move || {
        let (endpoint, webhooks) = (endpoint.clone(), webhooks.clone());
        let visitors = visitors.clone();
        HttpApp::new()
            .configure(move |cfg| http::configure(cfg, endpoint))
            .configure(move |cfg| http::webhooks::configure(cfg, webhooks))
            .configure(move |cfg| http::console::configure(cfg, visitors))
    })
    .on_connect(http::wire::keep)
    .keep_alive(Duration::from_secs(app.config.server.keep_alive_secs))
    .disable_signals()
    .shutdown_timeout(app.config.server.shutdown_secs);
    if app.config.server.threads > 0 {
        server = server.workers(app.config.server.threads);
    }
    let server = server.bind(&app.config.server.listen)?;
    let address = first(server.addrs())?;
    let server = server.run();
    let mut handles = vec![server.handle()];
    let mut servers = vec![server];
    let mut metrics = None;
    if let Some((address, server)) = watch_over(app.clone())? {
        metrics = Some(address);
        handles.push(server.handle());
        servers.push(server);
    }
    let mut tasks: Vec<JoinHandle<()>> = servers
        .into_iter()
        .map(|server| {
            tokio::spawn(async move {
                if let Err(error) = server.await {
                    tracing::error!(%error, "a server ended");
                }
            })
        })
        .collect();
    if background == Background::Running {
        let feed = app.clone();
        let mut stopped_feed = stopped.clone();
        tasks.push(tokio::spawn(async move {
            let stop = async { drop(stopped_feed.wait_for(|stop| *stop).await) };
            feed.hub.run_until(stop).await;
        }));
        tasks.push(tokio::spawn(workers::run_projections(
            app.clone(),
            stopped.clone(),
        )));
        tasks.push(tokio::spawn(workers::run_messages(
            app.clone(),
            stopped.clone(),
        )));
        tasks.push(tokio::spawn(workers::run_exports(
            app.clone(),
            stopped.clone(),
        )));
        tasks.push(tokio::spawn(workers::run(app, stopped)));
    }
    Ok(Running {
        address,
        fan_out,
        metrics,
        handles,
        stop,
        tasks,
    })
}

/// A key for the console's pages on this machine, good until the process ends. There is none where
/// others can reach the server, nor where a pepper says that it is meant for more than a look.
fn visitor(app: &App) -> Option<Arc<str>> {
    let alone = !app.config.is_public() && app.config.access.pepper.is_empty();
    alone.then(|| access::visitor_key().into())
}

/// Gives the key out while what is served is the demo.
fn visitors(app: Arc<App>, key: Option<Arc<str>>) -> Visitors {
    Visitors::asking(tokio::runtime::Handle::current(), move || {
        let (app, key) = (app.clone(), key.clone());
        async move {
            let key = key?;
            match demo::is_there(&app.db.read).await {
                Ok(there) => there.then_some(key),
                Err(error) => {
                    tracing::warn!(%error, "whether this is the demo is not known");
                    None
                }
            }
        }
    })
}

fn first(addresses: Vec<SocketAddr>) -> std::io::Result<SocketAddr> {
    let first = addresses.first().copied();
    Ok(first.ok_or(std::io::ErrorKind::AddrNotAvailable)?)
}

/// Serves the figures to Prometheus, apart from the API: they are not for everyone who may order.
fn watch_over(app: Arc<App>) -> std::io::Result<Option<(SocketAddr, Server)>> {
    let listen = app.config.telemetry.metrics_listen.clone();
    if listen.is_empty() {
        return Ok(None);
    }
    let figures = figures::begin();
    let runtime = tokio::runtime::Handle::current();
    let serve = move || {
        let (app, figures, runtime) = (app.clone(), figures.clone(), runtime.clone());
        let answer = move || {
            let (app, figures) = (app.clone(), figures.clone());
            let reading = runtime.spawn(async move { take_readings(&app).await });
            async move {
                // What this process counts is told though the database be away.
                if let Ok(Err(error)) | Err(error) = reading
                    .await
                    .map_err(|error| DbErr::Custom(error.to_string()))
                {
                    tracing::warn!(%error, "what waits in the database is not known");
                }
                HttpResponse::Ok()
                    .content_type("text/plain; version=0.0.4; charset=utf-8")
                    .body(figures.render())
            }
        };
        HttpApp::new().route("/metrics", web::get().to(answer))
    };
    let server = HttpServer::new(serve)
        .workers(1)
        .disable_signals()
        .shutdown_timeout(1)
        .bind(&listen)?;
    let address = first(server.addrs())?;
    tracing::info!(%address, "figures at /metrics");
    Ok(Some((address, server.run())))
}

/// Sets the gauges that are read where they are kept.
async fn take_readings(app: &App) -> Result<(), DbErr> {
    let now = app.clock.now();
    let readings = readings::read(&app.db.read, now).await?;
    let age = |since: Option<DateTime<Utc>>| {
        since.map_or(0.0, |since| (now - since).as_seconds_f64().max(0.0))
    };
    let is = figures::is_now;
    is("oms_log_position", readings.log.last_seq as f64);
    is("oms_log_floor", readings.log.floor_seq as f64);
    is("oms_outbox_events", readings.outbox as f64);
    is("oms_outbox_age_seconds", age(readings.outbox_since));
    is("oms_backorders_waiting", readings.backorders as f64);
    is("oms_stock_sources_stale", readings.stale_sources as f64);
    is(
        "oms_payment_effects_age_seconds",
        age(readings.effects_since),
    );
    is("oms_messages_waiting", readings.messages as f64);
    is("oms_messages_age_seconds", age(readings.messages_since));
    let of = figures::of_is_now;
    for count in &readings.stages.stages {
        let stage = count.stage.to_value();
        of("oms_orders", "stage", stage.clone(), count.orders as f64);
        of("oms_orders_at_risk", "stage", stage, count.at_risk as f64);
    }
    // A severity or a state that nothing has any more is 0, not what it last was.
    for severity in Severity::iter().map(|severity| severity.to_value()) {
        let count = count_of(&readings.exceptions, &severity);
        of("oms_exceptions_open", "severity", severity, count);
    }
    for state in ["READY", "SENT", "UNKNOWN"] {
        let count = count_of(&readings.effects, state);
        of(
            "oms_payment_effects_unsettled",
            "state",
            state.to_owned(),
            count,
        );
    }
    for (pool, idle, used) in app.db.connections() {
        figures::connections(pool, f64::from(idle), f64::from(used));
    }
    Ok(())
}

fn count_of(counts: &[(String, i64)], name: &str) -> f64 {
    let found = counts.iter().find(|(counted, _)| counted == name);
    found.map_or(0.0, |(_, count)| *count as f64)
}

/// Ready while the database answers and its schema is ours. Without Redis everything goes on, a
/// little later.
fn readiness(app: Arc<App>) -> Readiness {
    Readiness::asking(move || {
        let app = app.clone();
        async move {
            match crate::events::position(&app.db.read).await {
                Ok(_) if app.hub.is_degraded() => Ok(vec![
                    "Redis does not answer; the log is read instead".to_owned(),
                ]),
                Ok(_) => Ok(Vec::new()),
                Err(error) => {
                    tracing::warn!(%error, "not ready");
                    Err(vec!["the database does not answer".to_owned()])
                }
            }
        }
    })
}

/// Sends what was printed.
fn documents(app: Arc<App>) -> Documents {
    Documents::finding(move |address| {
        let app = app.clone();
        async move {
            let opened = app
                .open_document(&address.id, &address.expires, &address.signature)
                .await;
            match opened {
                Ok(Ok(Some(document))) => Ok(Sent {
                    content_type: document.row.content_type,
                    file_name: document.row.file_name,
                    hash: document.row.sha256,
                    bytes: document.bytes.into(),
                    remaining_secs: document.remaining_secs,
                }),
                Ok(Ok(None)) => Err(NoDocument::Missing),
                Ok(Err(NotOpened::Forged)) => Err(NoDocument::Forged),
                Ok(Err(NotOpened::Expired)) => Err(NoDocument::Expired),
                Err(failure) if failure.unavailable() => {
                    tracing::warn!(%failure, "the database is busy or away");
                    Err(NoDocument::Unavailable)
                }
                Err(failure) => {
                    tracing::error!(%failure, "a document could not be read");
                    Err(NoDocument::Failed)
                }
            }
        }
    })
}

/// Sends what was exported.
fn exported(app: Arc<App>) -> Exports {
    Exports::finding(move |address| {
        let app = app.clone();
        async move {
            let opened = app
                .open_export(&address.id, &address.expires, &address.signature)
                .await;
            let row = match opened {
                Ok(Ok(Some(export))) => export.row,
                Ok(Ok(None)) => return Err(NoDocument::Missing),
                Ok(Err(NotOpened::Forged)) => return Err(NoDocument::Forged),
                Ok(Err(NotOpened::Expired)) => return Err(NoDocument::Expired),
                Err(failure) if failure.unavailable() => {
                    tracing::warn!(%failure, "the database is busy or away");
                    return Err(NoDocument::Unavailable);
                }
                Err(failure) => {
                    tracing::error!(%failure, "an export could not be read");
                    return Err(NoDocument::Failed);
                }
            };
            let id = row.id;
            Ok(SentParts {
                content_type: row.format.content_type().to_owned(),
                file_name: exports::file_name(&row),
                size: u64::try_from(row.bytes).unwrap_or_default(),
                parts: row.parts,
                read: Arc::new(move |position| {
                    let app = app.clone();
                    async move {
                        let part = app.export_part(id, position).await;
                        if let Err(failure) = &part {
                            tracing::error!(%id, %failure, "a part could not be read");
                        }
                        part.ok().map(Into::into)
                    }
                    .boxed()
                }),
            })
        }
    })
}

impl Running {
    /// Says goodbye to the sockets, lets running requests finish, and ends the background work.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        for handle in self.handles {
            handle.stop(true).await;
        }
        for task in self.tasks {
            let _ = task.await;
        }
    }
}
