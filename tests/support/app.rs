//! The whole app on a database of its own, reached as its users reach it.

use std::net::SocketAddr;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use api::access::{self, CreateKey};
use api::app::App;
use api::config::DatabaseConfig;
use api::db::Db;
use api::http::FanOutCounts;
use api::notifications::{Mailer, mailer};
use api::payments::PaymentGateway;
use api::payments::gateway::Sandbox;
use api::server::{self, Background, Running};
use api::tx::Actor;
use api::{integrity, workers};
use entity::api_key::Role;
use reqwest::RequestBuilder;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::{Value, json};

use crate::clock::MockClock;
use crate::mail::Mailbox;
use crate::places::{Backend, Place};
use crate::ws::Socket;

/// How long background work, and a server that stops, may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a journey on an app of its own. Says so and passes if the back end is not there.
pub async fn journey(backend: Backend, steps: impl AsyncFnOnce(&TestApp)) {
    let Some(place) = Place::migrated(backend).await else {
        return;
    };
    let app = TestApp::on(place, Setup::default()).await;
    steps(&app).await;
    app.finish().await;
}

/// How a test's app differs from the usual one.
pub struct Setup<'a> {
    /// Settings: `("OMS__SECTION__KEY", "value")`.
    pub settings: &'a [(&'a str, &'a str)],
    /// The payment gateway.
    pub gateway: Arc<dyn PaymentGateway>,
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Setup {
            settings: &[],
            gateway: Arc::new(Sandbox),
        }
    }
}

/// The app as `oms serve` builds it, except that a test moves its clock and says when its
/// background work is done.
///
/// End it with [`TestApp::finish`], which settles it and fails if it left events unpublished or
/// figures that do not add up. When it is dropped instead, it is checked as it is.
pub struct TestApp {
    /// The parts, for what has no API.
    pub app: Arc<App>,
    /// Its clock.
    pub clock: Arc<MockClock>,
    /// Where its messages go, unless a setting says otherwise.
    pub mailbox: Arc<Mailbox>,
    /// What it runs on.
    pub backend: Backend,
    /// A key that may do everything.
    pub admin_key: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where its figures are, if a setting says so.
    pub metrics: Option<SocketAddr>,
    http: reqwest::Client,
    running: Option<Running>,
    place: Option<Place>,
}

/// An answer over HTTP.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body.
    pub body: Value,
}

impl Answer {
    /// The data of an answer without errors.
    #[track_caller]
    pub fn data(self) -> Value {
        self.checked().unwrap_or_else(|message| panic!("{message}"))
    }

    fn checked(mut self) -> Result<Value, String> {
        if self.status == 200 && self.body.get("errors").is_none() {
            Ok(self.body["data"].take())
        } else {
            Err(format!("{}: {:#}", self.status, self.body))
        }
    }

    /// The code of the first error.
    #[track_caller]
    pub fn code(&self) -> &str {
        self.body["errors"][0]["extensions"]["code"]
            .as_str()
            .unwrap_or_else(|| panic!("no error code in {:#}", self.body))
    }
}

impl TestApp {
    /// An app on a database of its own. Panics if the back end is not there; [`journey`] and
    /// [`TestApp::on`] are for tests that are then skipped.
    pub async fn start(backend: Backend) -> TestApp {
        let place = Place::migrated(backend).await;
        let place = place.unwrap_or_else(|| panic!("{backend} is not there"));
        TestApp::on(place, Setup::default()).await
    }

    /// An app on a database that is there.
    pub async fn on(place: Place, setup: Setup<'_>) -> TestApp {
        let config = place.config(setup.settings);
        let db = Db::connect(&config.database).await.expect("the database");
        if place.backend == Backend::Sqlite {
            db.migrate().await.expect("the schema");
        }
        let clock = Arc::new(MockClock::new());
        let mailbox = Arc::new(Mailbox::default());
        let mailer: Arc<dyn Mailer> = match (&*config.mail.smtp_url, &*config.mail.folder) {
            ("", "") => mailbox.clone(),
            _ => mailer::of(&config.mail).expect("a mailer"),
        };
        let app = App::new(db, clock.clone(), config, setup.gateway, mailer);
        let admin_key = key(&app, Role::Admin).await;
        let running = server::start(app.clone(), Background::ByHand).expect("the server");
        TestApp {
            app,
            clock,
            mailbox,
            backend: place.backend,
            admin_key,
            address: running.address,
            metrics: running.metrics,
            http: crate::http(),
            running: Some(running),
            place: Some(place),
        }
    }

    /// A key for a role that is confined to no channel.
    pub async fn key(&self, role: Role) -> String {
        key(&self.app, role).await
    }

    /// Runs an operation as an administrator. Any error fails the test; refusals in a payload's
    /// `userErrors` are data.
    #[track_caller]
    pub fn gql(&self, query: &str, variables: Value) -> impl Future<Output = Value> {
        self.gql_as(&self.admin_key, query, variables)
    }

    /// Runs an operation as the holder of a key, as [`TestApp::gql`] does.
    #[track_caller]
    pub fn gql_as(&self, key: &str, query: &str, variables: Value) -> impl Future<Output = Value> {
        // A failure is to name the line of the test, which only a plain function knows.
        let at = Location::caller();
        async move {
            let answer = self.answer_as(Some(key), query, variables).await;
            match answer.checked() {
                Ok(data) => data,
                Err(message) => panic!("{at}: {message}"),
            }
        }
    }

    /// Runs an operation, and returns whatever the server answers.
    pub async fn answer_as(&self, key: Option<&str>, query: &str, variables: Value) -> Answer {
        self.send(self.request(key, query, variables)).await
    }

    /// An operation as a request, for tests that add to it.
    pub fn request(&self, key: Option<&str>, query: &str, variables: Value) -> RequestBuilder {
        let request = self
            .http
            .post(self.url("/graphql"))
            .json(&json!({ "query": query, "variables": variables }));
        match key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// Sends a request and reads the answer.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("a body");
        let body = serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}"));
        Answer {
            status,
            headers,
            body,
        }
    }

    /// The address of something that the server serves.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What its subscriptions have cost so far.
    pub fn fan_out(&self) -> FanOutCounts {
        let running = self.running.as_ref();
        running
            .map(|running| running.fan_out.counts())
            .unwrap_or_default()
    }

    /// A WebSocket as an administrator.
    pub async fn socket(&self) -> Socket {
        self.socket_as(&self.admin_key).await
    }

    /// A WebSocket as the holder of a key.
    pub async fn socket_as(&self, key: &str) -> Socket {
        Socket::connect(self.address, key).await
    }

    /// Does what is due at the clock's time, and publishes what happened, until there is no more.
    /// Nothing waits: a test moves the clock to make more due.
    pub async fn settle(&self) {
        let settled = workers::settle(&self.app);
        let settled = tokio::time::timeout(PATIENCE, settled).await;
        settled
            .expect("background work that comes to an end")
            .expect("background work without failures");
    }

    /// Settles the app, stops it, removes its data, and fails if something is not as it must be.
    pub async fn finish(mut self) {
        self.settle().await;
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
        let found = complaints(&self.app.db).await;
        let _ = self.app.db.clone().close().await;
        if let Some(place) = self.place.take() {
            place.remove().await;
        }
        assert!(found.is_empty(), "at the end:\n{}", found.join("\n"));
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else {
            return;
        };
        let failed = std::thread::panicking();
        let running = self.running.take();
        let config = self.app.config.database.clone();
        // A destructor cannot wait in the test's runtime, so another one looks.
        let looked = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime")
                .block_on(async move {
                    if let Some(running) = running {
                        // The test's runtime may be too narrow to help with that.
                        let _ = tokio::time::timeout(Duration::from_secs(2), running.stop()).await;
                    }
                    let found = match failed {
                        true => Vec::new(),
                        false => complaints_at(&config).await,
                    };
                    place.remove().await;
                    found
                })
        });
        let found = looked
            .join()
            .unwrap_or_else(|_| vec!["the check itself failed".to_owned()]);
        assert!(
            failed || found.is_empty(),
            "at the end of a test that did not finish its app:\n{}",
            found.join("\n")
        );
    }
}

async fn key(app: &App, role: Role) -> String {
    let cmd = CreateKey {
        name: format!("{role:?} of a test"),
        role,
        channels: None,
        expires_at: None,
    };
    let access = &app.config.access;
    let cmd = &cmd;
    app.write(&Actor::worker("test"), move |tx| async move {
        access::create_key(&tx, &access.pepper, &access.environment, cmd).await
    })
    .await
    .expect("a key")
    .key
}

async fn complaints_at(config: &DatabaseConfig) -> Vec<String> {
    let db = Db::connect(config).await.expect("the database");
    let found = complaints(&db).await;
    let _ = db.close().await;
    found
}

/// Everything about an app's data that is not as it must be at rest.
async fn complaints(db: &Db) -> Vec<String> {
    let differences = integrity::verify(&db.read).await;
    let mut found: Vec<_> = differences
        .expect("the integrity report")
        .into_iter()
        .map(|one| format!("{}, {}: {}", one.invariant, one.rule, one.subject))
        .collect();
    if db.backend == DbBackend::Postgres {
        let sql = "SELECT id, aggregate_type, aggregate_id, event_type FROM outbox ORDER BY id";
        let rows = db
            .read
            .query_all_raw(Statement::from_string(db.backend, sql))
            .await
            .expect("the outbox");
        for row in rows {
            let text = |column| row.try_get::<String>("", column).expect(column);
            found.push(format!(
                "unpublished: {} of {} {}",
                text("event_type"),
                text("aggregate_type"),
                text("aggregate_id"),
            ));
        }
    }
    found
}
