//! The transports in front of a toy schema, on a real server and with real clients.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, middleware, web};
use async_graphql::{
    Context, EmptySubscription, Error, ErrorExtensions, Object, Result, Schema, Subscription,
};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, Stream, StreamExt};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use super::{
    Course, Endpoint, FanOut, Gate, GateError, IdempotencyKey, Pass, Readiness, RequestId,
    configure, wire,
};

mod hostile;
mod over_http;
mod over_sse;
mod over_websocket;
mod shared;

struct Principal(String);

/// What the toy's resolvers did, and what the test tells them.
#[derive(Default)]
struct World {
    done: AtomicUsize,
    started: AtomicUsize,
    subscriptions: AtomicUsize,
    connections: AtomicUsize,
    revoked: Notify,
    /// The newest position of the toy's log.
    ticks: watch::Sender<i64>,
    /// How often a tick was selected.
    selected: AtomicUsize,
}

struct Query;

#[Object]
impl Query {
    async fn hello(&self) -> &str {
        "world"
    }
    async fn me<'a>(&self, ctx: &'a Context<'_>) -> Result<&'a str> {
        Ok(&ctx.data::<Principal>()?.0)
    }
    async fn request_id<'a>(&self, ctx: &'a Context<'_>) -> Result<&'a str> {
        Ok(&ctx.data::<RequestId>()?.0)
    }
    async fn number(&self, n: i32) -> i32 {
        n
    }
    async fn list(&self, of: Vec<i32>) -> Vec<i32> {
        of
    }
    async fn node(&self) -> Node {
        Node
    }
    async fn optional_surprise(&self) -> Result<Option<i32>> {
        Err(Error::new("connection to 10.0.0.5 lost"))
    }
    async fn held(&self) -> Result<Option<i32>> {
        Err(Error::new("It is held.").extend_with(|_, e| e.set("code", "CONFLICT")))
    }
    async fn panics(&self) -> Option<i32> {
        "nothing".parse().map(Some).expect("secret text")
    }
    async fn slow(&self, ms: u64) -> u64 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        ms
    }
    async fn long(&self) -> String {
        "x".repeat(20_000)
    }
}

struct Node;

#[Object]
impl Node {
    async fn node(&self) -> Node {
        Node
    }
    async fn value(&self) -> i32 {
        1
    }
}

struct Mutation;

#[Object]
impl Mutation {
    async fn slow_write(&self, ctx: &Context<'_>, ms: u64) -> Result<bool> {
        let world = ctx.data::<Arc<World>>()?;
        world.started.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(ms)).await;
        world.done.fetch_add(1, Ordering::SeqCst);
        Ok(true)
    }
    async fn write(&self, ctx: &Context<'_>, n: i32) -> Result<i32> {
        let world = ctx.data::<Arc<World>>()?;
        world.done.fetch_add(1, Ordering::SeqCst);
        Ok(n)
    }
    async fn key(&self, ctx: &Context<'_>) -> Option<String> {
        ctx.data_opt::<IdempotencyKey>().map(|key| key.0.clone())
    }
}

struct Feed;

struct Tick(i64, String);

#[Object]
impl Tick {
    async fn seq(&self, ctx: &Context<'_>) -> Result<i64> {
        ctx.data::<Arc<World>>()?
            .selected
            .fetch_add(1, Ordering::SeqCst);
        Ok(self.0)
    }
    async fn text(&self) -> &str {
        &self.1
    }
}

/// Counts a subscription for as long as it lives.
struct Alive(Arc<World>);

/// Counts a connection for as long as the server holds it.
struct Held(Arc<World>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.subscriptions.fetch_sub(1, Ordering::SeqCst);
    }
}

#[Subscription]
impl Feed {
    async fn count(&self, to: i32) -> impl Stream<Item = i32> {
        stream::iter(1..=to)
    }
    async fn forever(&self, ctx: &Context<'_>) -> Result<impl Stream<Item = i32> + use<>> {
        let world = ctx.data::<Arc<World>>()?.clone();
        world.subscriptions.fetch_add(1, Ordering::SeqCst);
        let alive = Alive(world);
        Ok(stream::iter([0]).chain(stream::pending()).map(move |n| {
            let _ = &alive;
            n
        }))
    }
    async fn flood(&self, ctx: &Context<'_>) -> Result<impl Stream<Item = String> + use<>> {
        let world = ctx.data::<Arc<World>>()?.clone();
        world.subscriptions.fetch_add(1, Ordering::SeqCst);
        let alive = Alive(world);
        Ok(stream::repeat(()).map(move |()| {
            let _ = &alive;
            "x".repeat(10_000)
        }))
    }
    /// A stream by position: one item for each, those divisible by three left out.
    async fn ticks(
        &self,
        ctx: &Context<'_>,
        after: Option<String>,
        size: Option<usize>,
    ) -> Result<impl Stream<Item = Tick> + use<>> {
        let world = ctx.data::<Arc<World>>()?.clone();
        world.subscriptions.fetch_add(1, Ordering::SeqCst);
        let alive = Alive(world.clone());
        let course = ctx.data_opt::<Arc<Course>>().cloned().unwrap_or_default();
        let after = course.after().map(str::to_owned).or(after);
        let text = "x".repeat(size.unwrap_or(1));
        Ok(async_stream::stream! {
            let _alive = alive;
            course.turn().await;
            let mut log = world.ticks.subscribe();
            let mut sent = match &after {
                Some(after) => after.parse().unwrap(),
                None => {
                    let last = *log.borrow();
                    course.says(last, Some(&last.to_string()));
                    yield Tick(last, String::new());
                    last
                }
            };
            loop {
                let last = *log.borrow_and_update();
                while sent < last {
                    sent += 1;
                    if sent % 3 == 0 {
                        course.passes(sent);
                    } else {
                        course.says(sent, Some(&sent.to_string()));
                        yield Tick(sent, text.clone());
                    }
                }
                if course.is_alone() {
                    course.reached(sent, &sent.to_string());
                }
                if log.changed().await.is_err() {
                    return;
                }
            }
        })
    }
    async fn breaks(&self) -> impl Stream<Item = i32> {
        stream::iter([1, 0]).map(|n| 1 / n)
    }
}

type Toy = Schema<Query, Mutation, Feed>;

/// Lets `good` and `brief` in, the latter until the world says otherwise.
struct Door(Arc<World>);

impl Gate for Door {
    fn open(
        &self,
        credentials: Option<String>,
    ) -> BoxFuture<'static, std::result::Result<Pass, GateError>> {
        let world = self.0.clone();
        Box::pin(async move {
            match credentials.as_deref() {
                None => Err(GateError::Missing),
                Some("good") => Ok(Pass {
                    rights: Some("all".into()),
                    ..Pass::of(Principal("good".into()))
                }),
                Some("other") => Ok(Pass {
                    rights: Some("less".into()),
                    ..Pass::of(Principal("other".into()))
                }),
                Some("brief") => Ok(Pass {
                    rights: Some("all".into()),
                    ends: Some(Box::pin(async move { world.revoked.notified().await })),
                    ..Pass::of(Principal("brief".into()))
                }),
                Some("slow") => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    Ok(Pass::of(Principal("slow".into())))
                }
                Some("down") => Err(GateError::Unavailable),
                Some("broken") => panic!("the door fell off"),
                Some(_) => Err(GateError::Invalid),
            }
        })
    }
}

/// A server with the toy schema, gone when dropped.
struct Server {
    at: SocketAddr,
    world: Arc<World>,
    fan_out: Arc<FanOut>,
    drain: watch::Sender<bool>,
    handle: ServerHandle,
    client: reqwest::Client,
}

impl Drop for Server {
    fn drop(&mut self) {
        // The order is given at once; nobody waits for it.
        drop(self.handle.stop(false));
    }
}

impl Server {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A server whose endpoint a test has adjusted. Runs on a thread of its own, as the app's does.
    async fn with(adjust: impl FnOnce(&mut Endpoint<Toy>)) -> Self {
        let world = Arc::new(World::default());
        let schema = Schema::build(Query, Mutation, Feed)
            .data(world.clone())
            .finish();
        let mut endpoint = Endpoint::new(schema, Arc::new(Door(world.clone())), Handle::current());
        let (drain, shutdown) = watch::channel(false);
        endpoint.shutdown = shutdown;
        adjust(&mut endpoint);
        let fan_out = endpoint.fan_out.clone();

        let held = world.clone();
        let (tell, told) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = HttpServer::new(move || {
                    App::new()
                        .configure(|cfg| configure(cfg, endpoint.clone()))
                        .service(
                            web::resource("/packed")
                                .wrap(middleware::Compress::default())
                                .route(web::get().to(pack)),
                        )
                })
                .on_connect(move |connection, data| {
                    wire::keep(connection, data);
                    held.connections.fetch_add(1, Ordering::SeqCst);
                    data.insert(Held(held.clone()));
                })
                .workers(1)
                .disable_signals()
                .bind(("127.0.0.1", 0))
                .unwrap();
                let at = server.addrs()[0];
                let server = server.run();
                tell.send((at, server.handle())).ok();
                server.await.unwrap();
            });
        });
        let (at, handle) = told.await.unwrap();
        Server {
            at,
            world,
            fan_out,
            drain,
            handle,
            client: crate::tls::plain().build().expect("a client of HTTP"),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.at)
    }

    /// A POST that the gate lets in.
    fn post(&self, body: &Value) -> RequestBuilder {
        self.client
            .post(self.url("/graphql"))
            .bearer_auth("good")
            .json(body)
    }

    fn query(&self, query: &str) -> RequestBuilder {
        self.post(&json!({ "query": query }))
    }

    /// A GET that the gate lets in.
    fn get(&self, parameters: &[(&str, &str)]) -> RequestBuilder {
        let pairs = serde_urlencoded(parameters);
        self.client
            .get(self.url(&format!("/graphql?{pairs}")))
            .bearer_auth("good")
    }
}

fn serde_urlencoded(parameters: &[(&str, &str)]) -> String {
    let encode =
        |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02X}")).collect() };
    let pairs: Vec<_> = parameters
        .iter()
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .collect();
    pairs.join("&")
}

/// A body of a request, to be fetched compressed: a small one, or one that grows to 32 MiB.
async fn pack(size: web::Query<Vec<(String, String)>>) -> HttpResponse {
    let padding = match size.0.first() {
        Some((_, size)) if size == "bomb" => 32 * 1024 * 1024,
        _ => 100,
    };
    HttpResponse::Ok()
        .content_type("application/json")
        .body(format!(
            "{{\"query\":\"{{hello}}\"{}}}",
            " ".repeat(padding)
        ))
}

/// An answer taken apart.
struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Value,
}

impl Answer {
    fn code(&self) -> &str {
        self.body["errors"][0]["extensions"]["code"]
            .as_str()
            .unwrap_or_else(|| panic!("no code in {}", self.body))
    }
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}"));
    Answer {
        status,
        headers,
        body,
    }
}

/// Waits until something is so, for five seconds at most.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..500 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

/// A schema of queries alone is served too; the endpoint is generic.
#[test]
fn any_executor_can_be_mounted() {
    let schema = Schema::new(Query, async_graphql::EmptyMutation, EmptySubscription);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let door = Arc::new(Door(Arc::default()));
    let endpoint = Endpoint::new(schema, door, runtime.handle().clone());
    drop(App::new().configure(|cfg| configure(cfg, endpoint)));
}
