//! Where the rig joins the parts of the app that are still being built. Each function says what
//! its body becomes; when all have, this file goes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App as Service, HttpServer};
use api::access::Principal;
use api::app::App;
use api::db::Db;
use api::http::{Endpoint, Gate, GateError, Pass, configure, wire};
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

/// SEAM 1: becomes `api::server::Running`.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    handle: ServerHandle,
}

impl Running {
    pub(crate) async fn stop(self) {
        self.handle.stop(false).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The order is given at once; nobody waits for it.
        drop(self.handle.stop(false));
    }
}

/// SEAM 1: becomes `api::server::start(app).await.expect("the server")`; the types below and
/// actix-web in Cargo.toml go.
pub(crate) async fn serve(app: Arc<App>) -> Running {
    let gate = Arc::new(Door(app.clone()));
    let endpoint = Endpoint::new(api::graphql::schema(app), gate, Handle::current());
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let server = HttpServer::new(move || {
                let endpoint = endpoint.clone();
                Service::new().configure(|cfg| configure(cfg, endpoint))
            })
            .on_connect(wire::keep)
            .workers(1)
            .disable_signals()
            .shutdown_timeout(1)
            .keep_alive(Duration::from_secs(5))
            .bind(("127.0.0.1", 0))
            .expect("a port");
            let address = server.addrs()[0];
            let server = server.run();
            let _ = tell.send((address, server.handle()));
            server.await.expect("a server that stops well");
        });
    });
    let (address, handle) = told.await.expect("the server's address");
    Running { address, handle }
}

struct Door(Arc<App>);

impl Gate for Door {
    fn open(&self, credentials: Option<String>) -> BoxFuture<'static, Result<Pass, GateError>> {
        let app = self.0.clone();
        Box::pin(async move {
            let key = credentials.ok_or(GateError::Missing)?;
            let found: Option<Principal> = app
                .authenticate(&key)
                .await
                .map_err(|_| GateError::Unavailable)?;
            found.map(Pass::of).ok_or(GateError::Invalid)
        })
    }
}

/// SEAM 2: becomes `api::workers::settle(app).await.expect("workers without failures")`.
pub(crate) async fn settle(app: &App) {
    for _ in 0..1_000 {
        let sent = app.hub.turn().await.expect("a turn of the event feed");
        let asked = app.reconcile_payments().await.expect("reconciled payments");
        if sent + asked == 0 {
            return;
        }
    }
    panic!("the workers find no end");
}

/// SEAM 3: becomes
/// `api::integrity::verify(db).await.expect("the report").iter().map(|d| format!("{d:?}")).collect()`.
pub(crate) async fn differences(_: &Db) -> Vec<String> {
    Vec::new()
}

/// SEAM 4: becomes `Some(api::graphql::sdl())`, or goes and its one caller, `it/schema.rs`, calls
/// that itself.
pub fn graphql_sdl() -> Option<String> {
    None
}
