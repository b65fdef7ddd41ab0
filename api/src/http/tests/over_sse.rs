//! Streams of events over HTTP.

use super::shared::{TICKS, tick_of};
use super::*;
use crate::http::Sockets;

/// A stream of events as a client reads it.
struct Events {
    response: reqwest::Response,
    unread: String,
}

/// One event.
#[derive(Debug, Default, PartialEq)]
struct Event {
    name: String,
    data: String,
    id: Option<String>,
}

impl Events {
    async fn of(request: RequestBuilder) -> Events {
        let response = request.header("Accept", "text/event-stream").send().await;
        let response = response.unwrap();
        assert_eq!(response.status(), 200);
        let kind = response.headers()["content-type"].to_str().unwrap();
        assert_eq!(kind, "text/event-stream; charset=utf-8");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Events {
            response,
            unread: String::new(),
        }
    }

    /// The next event or comment; none at the end of the stream.
    async fn next(&mut self) -> Option<Event> {
        let block = loop {
            if let Some(end) = self.unread.find("\n\n") {
                let block = self.unread[..end].to_owned();
                self.unread.drain(..end + 2);
                break block;
            }
            let chunk = tokio::time::timeout(Duration::from_secs(10), self.response.chunk());
            let bytes = chunk.await.expect("silence").unwrap()?;
            self.unread.push_str(std::str::from_utf8(&bytes).unwrap());
        };
        let mut event = Event::default();
        for line in block.lines() {
            match line.split_once(':').unwrap() {
                ("event", name) => event.name = name.trim().to_owned(),
                ("data", data) => event.data = data.trim().to_owned(),
                ("id", id) => event.id = Some(id.trim().to_owned()),
                ("", _) => event.name = "comment".to_owned(),
                other => panic!("{other:?}"),
            }
        }
        Some(event)
    }

    /// The result in the next event.
    async fn result(&mut self) -> (Value, Option<String>) {
        let mut event = self.next().await.unwrap();
        while event.name == "comment" {
            event = self.next().await.unwrap();
        }
        assert_eq!(event.name, "next", "{event:?}");
        (serde_json::from_str(&event.data).unwrap(), event.id)
    }

    /// The tick in the next event, comments passed over.
    async fn tick(&mut self) -> i64 {
        tick_of(&self.result().await.0)
    }

    async fn completes(&mut self) {
        let event = self.next().await.unwrap();
        assert_eq!((event.name.as_str(), event.data.as_str()), ("complete", ""));
        assert_eq!(self.next().await, None);
    }
}

/// A server that finds out soon that a client is gone: when it writes.
async fn warm() -> Server {
    Server::with(adjusted(|s| s.ping_every = Duration::from_millis(100))).await
}

fn adjusted(adjust: impl FnOnce(&mut Sockets)) -> impl FnOnce(&mut Endpoint<Toy>) {
    super::over_websocket::adjusted(adjust)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_operation_is_answered_by_events() {
    let server = Server::start().await;
    let mut events = Events::of(server.query("subscription { count(to: 2) }")).await;
    for n in 1..=2 {
        assert_eq!(events.result().await, (json!({"data": {"count": n}}), None));
    }
    events.completes().await;
    let query = [("query", "query Q { hello } mutation M { write(n: 1) }")];
    let named = |name| [query[0], ("operationName", name)];
    let mut events = Events::of(server.get(&named("Q"))).await;
    assert_eq!(events.result().await.0, json!({"data": {"hello": "world"}}));
    events.completes().await;
    let key = server.query("mutation { key }");
    let mut events = Events::of(key.header("Idempotency-Key", "k-1")).await;
    assert_eq!(events.result().await.0, json!({"data": {"key": "k-1"}}));
    events.completes().await;
    // A mutation by GET is refused here too.
    let refused = server
        .get(&named("M"))
        .header("Accept", "text/event-stream");
    let refused = answer(refused).await;
    assert_eq!((refused.status, refused.header("allow")), (405, "POST"));
    assert_eq!(server.world.done.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_a_document_is_an_event_and_a_stranger_is_a_401() {
    let server = Server::start().await;
    for (query, code) in [
        ("{ nonsense }", "GRAPHQL_VALIDATION_FAILED"),
        ("{", "GRAPHQL_PARSE_FAILED"),
        (
            "subscription { a: hello b: hello }",
            "GRAPHQL_VALIDATION_FAILED",
        ),
        ("subscription { breaks }", "INTERNAL"),
    ] {
        let mut events = Events::of(server.query(query)).await;
        let (mut result, _) = events.result().await;
        if query.contains("breaks") {
            assert_eq!(result["data"]["breaks"], 1);
            (result, _) = events.result().await;
        }
        assert_eq!(result["errors"][0]["extensions"]["code"], code, "{result}");
        assert!(result["errors"][0]["extensions"]["requestId"].is_string());
        events.completes().await;
    }
    let stranger = server.client.post(server.url("/graphql"));
    let stranger = stranger.json(&json!({"query": "subscription { count(to: 1) }"}));
    let stranger = answer(stranger.header("Accept", "text/event-stream")).await;
    assert_eq!((stranger.status, stranger.code()), (401, "UNAUTHENTICATED"));
    // Without the header a subscription is no request for this path.
    let plain = answer(server.query("subscription { count(to: 1) }")).await;
    assert_eq!(plain.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_goes_on_behind_the_last_event_that_it_has() {
    let server = warm().await;
    let mut events = Events::of(server.query(TICKS)).await;
    assert_eq!(events.tick().await, 0);
    let mut heard = server.tick(4);
    let mut last = None;
    for seq in &heard {
        let (result, id) = events.result().await;
        assert_eq!(tick_of(&result), *seq);
        last = id;
    }
    assert_eq!(last.as_deref(), Some("4"));
    drop(events);
    let missed = server.tick(7);
    let again = server.query(TICKS).header("Last-Event-ID", last.unwrap());
    let mut events = Events::of(again).await;
    for seq in missed {
        assert_eq!(events.tick().await, seq);
    }
    server.shared_by(1).await;
    heard = server.tick(2);
    assert_eq!(events.tick().await, heard[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_sockets_share_one_execution() {
    let server = warm().await;
    let mut events = Vec::new();
    for _ in 0..10 {
        let mut one = Events::of(server.query(TICKS)).await;
        assert_eq!(one.tick().await, 0);
        events.push(one);
    }
    let mut socket = super::over_websocket::Client::admitted(&server).await;
    socket.subscribe("1", TICKS).await;
    socket.hear().await;
    server.shared_by(11).await;
    let before = server.world.selected.load(Ordering::SeqCst);
    for seq in server.tick(3) {
        for one in &mut events {
            assert_eq!(one.tick().await, seq);
        }
        assert_eq!(tick_of(&socket.hear().await["payload"]), seq);
    }
    assert_eq!(server.world.selected.load(Ordering::SeqCst), before + 2);
    drop((events, socket));
    until("nobody follows", || {
        server.world.subscriptions.load(Ordering::SeqCst) == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_kept_warm_and_ends_with_its_key_or_its_server() {
    let server = Server::with(adjusted(|s| {
        s.ping_every = Duration::from_millis(100);
        s.drain_over = Duration::from_millis(300);
    }))
    .await;
    let open = |key: &str| {
        let request = server.client.post(server.url("/graphql")).bearer_auth(key);
        Events::of(request.json(&json!({"query": TICKS})))
    };
    let (mut good, mut brief) = (open("good").await, open("brief").await);
    assert_eq!((good.tick().await, brief.tick().await), (0, 0));
    assert_eq!(good.next().await.unwrap().name, "comment");
    server.shared_by(2).await;
    server.world.revoked.notify_one();
    while let Some(event) = brief.next().await {
        assert_eq!(event.name, "comment");
    }
    server.shared_by(1).await;
    server.drain.send(true).unwrap();
    while let Some(event) = good.next().await {
        assert_eq!(event.name, "comment");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_not_read_is_cut() {
    let server = Server::with(adjusted(|s| s.write_within = Duration::from_millis(300))).await;
    let events = Events::of(server.query("subscription { flood }")).await;
    until("it was cut", || {
        server.world.subscriptions.load(Ordering::SeqCst) == 0
            && server.world.connections.load(Ordering::SeqCst) == 0
    })
    .await;
    drop(events);
}
