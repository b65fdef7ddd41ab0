//! The running server: the schema behind the transports, the event feed and the workers beside
//! them, and an orderly end.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::{App as HttpApp, HttpServer};
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::app::App;
use crate::graphql;
use crate::http::{self, Endpoint, Gate, GateError, Limits, Pass, Readiness, Sockets};
use crate::workers;

/// A server that takes requests.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    handle: ServerHandle,
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
}

impl Gate for Keys {
    fn open(&self, credentials: Option<String>) -> BoxFuture<'static, Result<Pass, GateError>> {
        let app = self.app.clone();
        Box::pin(async move {
            let key = credentials.ok_or(GateError::Missing)?;
            match app.authenticate(&key).await {
                Ok(Some(principal)) => {
                    let mut pass = Pass::of(principal);
                    pass.ends = Some(Box::pin(ended(app, key)));
                    Ok(pass)
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

/// Completes when a key stops being good: it is looked at every two seconds while it is in use.
async fn ended(app: Arc<App>, key: String) {
    loop {
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        // A database that is away says nothing about the key.
        if let Ok(None) = app.authenticate(&key).await {
            return;
        }
    }
}

/// Binds, and serves until [`Running::stop`].
pub fn start(app: Arc<App>, background: Background) -> std::io::Result<Running> {
    let (stop, stopped) = watch::channel(false);
    let mut endpoint = Endpoint::new(
        graphql::schema(app.clone()),
        Arc::new(Keys { app: app.clone() }),
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

    let mut server = HttpServer::new(move || {
        let endpoint = endpoint.clone();
        HttpApp::new().configure(move |cfg| http::configure(cfg, endpoint))
    })
    .on_connect(http::wire::keep)
    .disable_signals()
    .shutdown_timeout(app.config.server.shutdown_secs);
    if app.config.server.threads > 0 {
        server = server.workers(app.config.server.threads);
    }
    let server = server.bind(&app.config.server.listen)?;
    let address = *server
        .addrs()
        .first()
        .ok_or(std::io::ErrorKind::AddrNotAvailable)?;
    let server = server.run();
    let handle = server.handle();
    let mut tasks = vec![tokio::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the server ended");
        }
    })];
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
        tasks.push(tokio::spawn(workers::run(app, stopped)));
    }
    Ok(Running {
        address,
        handle,
        stop,
        tasks,
    })
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

impl Running {
    /// Says goodbye to the sockets, lets running requests finish, and ends the background work.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        self.handle.stop(true).await;
        for task in self.tasks {
            let _ = task.await;
        }
    }
}
