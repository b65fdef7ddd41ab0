//! The running server: the schema behind the transports, the event feed and the workers beside
//! them, and an orderly end.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::dev::ServerHandle;
use actix_web::{App as HttpApp, HttpServer};
use entity::ApiKeyId;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::access::Principal;
use crate::app::App;
use crate::graphql;
use crate::http::{self, Endpoint, FanOut, Gate, GateError, Limits, Pass, Readiness, Sockets};
use crate::workers;

/// A server that takes requests.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// The subscriptions that it shares among its clients.
    pub fan_out: Arc<FanOut>,
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
    /// The ends of the keys in use, each watched once however many clients show it.
    ends: Arc<Mutex<HashMap<ApiKeyId, WeakShared<BoxFuture<'static, ()>>>>>,
}

impl Keys {
    fn of(app: Arc<App>) -> Keys {
        Keys {
            app,
            ends: Arc::default(),
        }
    }
}

impl Gate for Keys {
    fn open(&self, credentials: Option<String>) -> BoxFuture<'static, Result<Pass, GateError>> {
        let (app, ends) = (self.app.clone(), self.ends.clone());
        Box::pin(async move {
            let key = credentials.ok_or(GateError::Missing)?;
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
        Arc::new(Keys::of(app.clone())),
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
    let fan_out = endpoint.fan_out.clone();

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
            tokio::select! {
                () = feed.hub.run() => {}
                _ = stopped_feed.wait_for(|stop| *stop) => {}
            }
        }));
        tasks.push(tokio::spawn(workers::run_projections(
            app.clone(),
            stopped.clone(),
        )));
        tasks.push(tokio::spawn(workers::run(app, stopped)));
    }
    Ok(Running {
        address,
        fan_out,
        handle,
        stop,
        tasks,
    })
}

/// Ready while the database answers and its schema is ours.
fn readiness(app: Arc<App>) -> Readiness {
    Readiness::asking(move || {
        let app = app.clone();
        async move {
            match crate::events::position(&app.db.read).await {
                Ok(_) => Ok(()),
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
