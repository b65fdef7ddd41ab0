//! Messages and close codes over WebSocket.

use futures_util::SinkExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::*;
use crate::http::Sockets;

/// A client that shows every message, pings aside.
pub(super) struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

async fn open(
    server: &Server,
    path: &str,
    headers: &[(&'static str, &str)],
) -> tungstenite::Result<Client> {
    let url = format!("ws://{}{path}", server.at);
    let mut request = url.into_client_request()?;
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    connect_async(request)
        .await
        .map(|(stream, _)| Client(stream))
}

const CURRENT: (&str, &str) = ("Sec-WebSocket-Protocol", "graphql-transport-ws");
const OLDER: (&str, &str) = ("Sec-WebSocket-Protocol", "graphql-ws");

impl Client {
    pub(super) async fn connect(server: &Server) -> Self {
        open(server, "/graphql/ws", &[CURRENT]).await.unwrap()
    }

    /// A client that was let in.
    pub(super) async fn admitted(server: &Server) -> Self {
        let mut client = Self::connect(server).await;
        client.init("Bearer good").await;
        client
    }

    pub(super) async fn init(&mut self, authorization: &str) {
        let payload = json!({"authorization": authorization});
        self.say(json!({"type": "connection_init", "payload": payload}))
            .await;
        assert_eq!(self.hear().await, json!({"type": "connection_ack"}));
    }

    pub(super) async fn say(&mut self, message: Value) {
        self.0
            .send(Message::text(message.to_string()))
            .await
            .unwrap();
    }

    pub(super) async fn subscribe(&mut self, id: &str, query: &str) {
        let payload = json!({"query": query});
        self.say(json!({"type": "subscribe", "id": id, "payload": payload}))
            .await;
    }

    pub(super) async fn message(&mut self) -> Message {
        let next = timeout(Duration::from_secs(10), self.0.next());
        next.await.expect("silence").expect("the end").unwrap()
    }

    /// The next message that is text.
    pub(super) async fn hear(&mut self) -> Value {
        loop {
            match self.message().await {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("not text: {other:?}"),
            }
        }
    }

    /// The code with which the server closes, whatever comes before.
    async fn close_code(&mut self) -> u16 {
        self.last_words().await.1
    }

    /// What comes before the server closes, and its code and reason.
    pub(super) async fn last_words(&mut self) -> (Vec<Value>, u16, String) {
        let mut before = Vec::new();
        loop {
            match self.message().await {
                Message::Text(text) => before.push(serde_json::from_str(&text).unwrap()),
                Message::Close(frame) => {
                    let frame = frame.expect("a code");
                    return (before, frame.code.into(), frame.reason.to_string());
                }
                _ => {}
            }
        }
    }
}

pub(super) fn adjusted(adjust: impl FnOnce(&mut Sockets)) -> impl FnOnce(&mut Endpoint<Toy>) {
    move |endpoint| {
        let mut sockets = Sockets::default();
        adjust(&mut sockets);
        endpoint.sockets = Arc::new(sockets);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_answered_to_its_end() {
    let server = Server::start().await;
    for path in ["/graphql/ws", "/graphql"] {
        let mut client = open(&server, path, &[CURRENT]).await.unwrap();
        client.init("Bearer good").await;
        client.subscribe("1", "subscription { count(to: 2) }").await;
        for n in 1..=2 {
            let expected = json!({"id": "1", "type": "next", "payload": {"data": {"count": n}}});
            assert_eq!(client.hear().await, expected);
        }
        assert_eq!(client.hear().await, json!({"id": "1", "type": "complete"}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_and_mutations_run_over_the_socket_with_the_clients_pass() {
    let server = Server::start().await;
    let mut client = Client::admitted(&server).await;
    client.subscribe("q", "{ me requestId }").await;
    let next = client.hear().await;
    assert_eq!(next["payload"]["data"]["me"], "good");
    assert!(
        next["payload"]["data"]["requestId"]
            .as_str()
            .unwrap()
            .ends_with("-1")
    );
    assert_eq!(client.hear().await["type"], "complete");
    // The id is free again.
    client.subscribe("q", "mutation { write(n: 3) }").await;
    assert_eq!(client.hear().await["payload"]["data"]["write"], 3);
    assert_eq!(client.hear().await["type"], "complete");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_cannot_run_is_an_error_and_frees_its_id() {
    let server = Server::start().await;
    let mut client = Client::admitted(&server).await;
    let aliases: String = (0..31).map(|n| format!("a{n}: hello ")).collect();
    for (query, code) in [
        ("{ nonsense }", "GRAPHQL_VALIDATION_FAILED"),
        ("{", "GRAPHQL_PARSE_FAILED"),
        (
            "subscription { count(to: \"x\") }",
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            "subscription { count(to: 1) forever }",
            "GRAPHQL_VALIDATION_FAILED",
        ),
        ("query($n: Int!) { number(n: $n) }", "BAD_USER_INPUT"),
        (&format!("{{ {aliases} }}"), "GRAPHQL_VALIDATION_FAILED"),
    ] {
        client.subscribe("1", query).await;
        let error = client.hear().await;
        assert_eq!(
            (&error["type"], &error["id"]),
            (&json!("error"), &json!("1")),
            "{query}"
        );
        assert_eq!(error["payload"][0]["extensions"]["code"], code, "{query}");
        assert!(error["payload"][0]["extensions"]["requestId"].is_string());
    }
    client
        .say(json!({"type": "subscribe", "id": "1", "payload": {}}))
        .await;
    assert_eq!(
        client.hear().await["payload"][0]["extensions"]["code"],
        "BAD_USER_INPUT"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_ends_its_operation_and_not_the_socket() {
    let server = Server::start().await;
    let mut client = Client::admitted(&server).await;
    for query in ["subscription { breaks }", "{ panics }"] {
        client.subscribe("1", query).await;
        let mut message = client.hear().await;
        if message["type"] == "next" {
            message = client.hear().await;
        }
        assert_eq!(message["type"], "error", "{message}");
        assert_eq!(message["payload"][0]["extensions"]["code"], "INTERNAL");
        assert!(!message.to_string().contains("secret"));
    }
    client.subscribe("1", "{ hello }").await;
    assert_eq!(client.hear().await["type"], "next");
}

#[tokio::test(flavor = "multi_thread")]
async fn complete_from_the_client_ends_the_subscription() {
    let server = Server::start().await;
    let mut client = Client::admitted(&server).await;
    client.subscribe("1", "subscription { forever }").await;
    assert_eq!(client.hear().await["type"], "next");
    client.say(json!({"type": "complete", "id": "1"})).await;
    until("it ended", || {
        server.world.subscriptions.load(Ordering::SeqCst) == 0
    })
    .await;
    client
        .say(json!({"type": "complete", "id": "unknown"}))
        .await;
    client.subscribe("1", "subscription { count(to: 1) }").await;
    assert_eq!(client.hear().await["payload"]["data"]["count"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_for_an_id_that_was_completed_does_not_reach_its_next_use() {
    let server = Server::start().await;
    let mut client = Client::admitted(&server).await;
    client.subscribe("1", "{ slow(ms: 200) }").await;
    client.say(json!({"type": "complete", "id": "1"})).await;
    client.subscribe("1", "subscription { forever }").await;
    assert_eq!(
        client.hear().await["payload"]["data"],
        json!({"forever": 0})
    );
    tokio::time::sleep(Duration::from_millis(400)).await;
    client.say(json!({"type": "ping"})).await;
    assert_eq!(client.hear().await["type"], "pong");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_ends_its_subscriptions_but_not_its_mutation() {
    let server = Server::start().await;
    let mut client = Client::admitted(&server).await;
    client.subscribe("1", "subscription { forever }").await;
    assert_eq!(client.hear().await["type"], "next");
    client
        .subscribe("2", "mutation { slowWrite(ms: 300) }")
        .await;
    until("it started", || {
        server.world.started.load(Ordering::SeqCst) == 1
    })
    .await;
    drop(client);
    until("it ended", || {
        server.world.subscriptions.load(Ordering::SeqCst) == 0
    })
    .await;
    until("it was done", || {
        server.world.done.load(Ordering::SeqCst) == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_is_answered_before_and_after_the_ack() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    client.say(json!({"type": "ping"})).await;
    assert_eq!(client.hear().await, json!({"type": "pong"}));
    client.init("Bearer good").await;
    client
        .say(json!({"type": "ping", "payload": {"a": 1}}))
        .await;
    assert_eq!(
        client.hear().await,
        json!({"type": "pong", "payload": {"a": 1}})
    );
    client.say(json!({"type": "pong"})).await;
    client
        .0
        .send(Message::Ping(vec![1, 2].into()))
        .await
        .unwrap();
    assert_eq!(client.message().await, Message::Pong(vec![1, 2].into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_none_close_with_4400() {
    let server = Server::start().await;
    for message in [
        "",
        "{",
        "[]",
        "{}",
        r#"{"type":"start","id":"1","payload":{}}"#,
    ] {
        let mut client = Client::admitted(&server).await;
        client.0.send(Message::text(message)).await.unwrap();
        assert_eq!(client.close_code().await, 4400, "{message}");
    }
    let mut client = Client::admitted(&server).await;
    client.0.send(Message::binary(vec![1])).await.unwrap();
    assert_eq!(client.close_code().await, 4400);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_closed_with_4401_and_4403() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    client.subscribe("1", "{ hello }").await;
    assert_eq!(client.close_code().await, 4401);
    for (payload, code) in [
        (json!(null), 4401),
        (json!({"Authorization": "Basic x"}), 4401),
        (json!({"authorization": "Bearer bad"}), 4403),
        (json!({"authorization": "down"}), 1013),
        (json!({"authorization": "broken"}), 1013),
    ] {
        let mut client = Client::connect(&server).await;
        client
            .say(json!({"type": "connection_init", "payload": payload}))
            .await;
        assert_eq!(client.close_code().await, code, "{payload}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribing_while_the_gate_still_judges_closes_with_4401() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    let payload = json!({"authorization": "slow"});
    client
        .say(json!({"type": "connection_init", "payload": payload}))
        .await;
    client.subscribe("1", "{ hello }").await;
    assert_eq!(client.close_code().await, 4401);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_taken_from_the_upgrade_when_init_has_none() {
    let server = Server::start().await;
    let headers = [CURRENT, ("Authorization", "Bearer good")];
    let mut client = open(&server, "/graphql/ws", &headers).await.unwrap();
    client.say(json!({"type": "connection_init"})).await;
    assert_eq!(client.hear().await["type"], "connection_ack");
    let mut client = open(&server, "/graphql/ws", &headers).await.unwrap();
    let payload = json!({"authorization": "bad"});
    client
        .say(json!({"type": "connection_init", "payload": payload}))
        .await;
    assert_eq!(client.close_code().await, 4403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_ends_closes_the_socket_with_4403() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    client.init("brief").await;
    client.subscribe("1", "subscription { forever }").await;
    assert_eq!(client.hear().await["type"], "next");
    server.world.revoked.notify_waiters();
    assert_eq!(client.close_code().await, 4403);
    until("it ended", || {
        server.world.subscriptions.load(Ordering::SeqCst) == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_subprotocol_or_none_closes_with_4406() {
    let server = Server::start().await;
    let mut client = open(&server, "/graphql/ws", &[]).await.unwrap();
    assert_eq!(client.close_code().await, 4406);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_without_init_closes_with_4408() {
    let server = Server::with(adjusted(|s| s.init_within = Duration::from_millis(200))).await;
    let begun = Instant::now();
    let mut client = Client::connect(&server).await;
    // To answer pings, or to send some, is not to say who one is.
    client.say(json!({"type": "ping"})).await;
    assert_eq!(client.close_code().await, 4408);
    assert!(begun.elapsed() < Duration::from_secs(3));
    let mut admitted = Client::admitted(&server).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    admitted.subscribe("1", "{ hello }").await;
    assert_eq!(admitted.hear().await["type"], "next");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_in_use_closes_with_4409() {
    let server = Server::start().await;
    let mut client = Client::admitted(&server).await;
    client.subscribe("1", "subscription { forever }").await;
    client.subscribe("1", "subscription { forever }").await;
    assert_eq!(client.close_code().await, 4409);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_init_closes_with_4429() {
    let server = Server::start().await;
    for first in ["good", "slow"] {
        let mut client = Client::connect(&server).await;
        for authorization in [first, "good"] {
            let payload = json!({"authorization": authorization});
            client
                .say(json!({"type": "connection_init", "payload": payload}))
                .await;
        }
        assert_eq!(client.close_code().await, 4429, "{first}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_holds_so_many_operations_and_no_more() {
    let server = Server::start().await;
    let mut client = Client::admitted(&server).await;
    for n in 0..32 {
        client
            .subscribe(&n.to_string(), "subscription { forever }")
            .await;
        assert_eq!(client.hear().await["type"], "next");
    }
    client.subscribe("more", "subscription { forever }").await;
    let error = client.hear().await;
    assert_eq!(
        (&error["type"], &error["id"]),
        (&json!("error"), &json!("more"))
    );
    assert_eq!(error["payload"][0]["extensions"]["code"], "THROTTLED");
    client.say(json!({"type": "complete", "id": "0"})).await;
    client.subscribe("more", "subscription { forever }").await;
    assert_eq!(client.hear().await["type"], "next");
}

fn frame(code: OpCode, last: bool, payload: &[u8]) -> Message {
    Message::Frame(Frame::message(payload.to_vec(), code, last))
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_capped_whole_or_in_parts() {
    let server = Server::start().await;
    let text = OpCode::Data(Data::Text);
    let more = OpCode::Data(Data::Continue);
    let filler = " ".repeat(5_000);
    // A stranger may send 4 KiB.
    let mut client = Client::connect(&server).await;
    client.0.send(Message::text(filler.as_str())).await.unwrap();
    assert_eq!(client.close_code().await, 1009);
    let mut client = Client::connect(&server).await;
    client
        .0
        .send(frame(text, false, &filler.as_bytes()[..3_000]))
        .await
        .unwrap();
    client
        .0
        .send(frame(more, false, &filler.as_bytes()[..3_000]))
        .await
        .unwrap();
    assert_eq!(client.close_code().await, 1009);
    // Who is let in may send 256 KiB.
    let ping = r#"{"type":"ping"}"#;
    let mut client = Client::admitted(&server).await;
    let padded = |bytes: usize| format!("{ping}{}", " ".repeat(bytes - ping.len()));
    client
        .0
        .send(Message::text(padded(256 * 1024)))
        .await
        .unwrap();
    assert_eq!(client.hear().await["type"], "pong");
    client
        .0
        .send(frame(text, false, &ping.as_bytes()[..5]))
        .await
        .unwrap();
    client.0.send(Message::Ping(vec![].into())).await.unwrap();
    client
        .0
        .send(frame(more, true, &ping.as_bytes()[5..]))
        .await
        .unwrap();
    assert_eq!(client.hear().await["type"], "pong");
    client
        .0
        .send(Message::text(padded(256 * 1024 + 1)))
        .await
        .unwrap();
    assert_eq!(client.close_code().await, 1009);
    let mut client = Client::admitted(&server).await;
    client.0.send(frame(text, false, b" ")).await.unwrap();
    for _ in 0..60 {
        // The server may have hung up before the last of them.
        let _ = client.0.send(frame(more, false, filler.as_bytes())).await;
    }
    assert_eq!(client.close_code().await, 1009);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_frame_closes_its_socket_and_holds_up_no_other() {
    let server = Server::start().await;
    // Not masked; a pong in parts; announced as a gibibyte, of which not much has come.
    let unmasked = [&[0x81, 2][..], b"{}"].concat();
    let parted = vec![0x0a, 0x80, 0, 0, 0, 0];
    let endless = [
        &[0x81, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0][..],
        &[b' '; 5_000],
    ]
    .concat();
    for (bytes, code) in [(unmasked, 1002), (parted, 1002), (endless, 1009)] {
        let mut client = Client::connect(&server).await;
        let stream = client.0.get_mut();
        stream.write_all(&bytes).await.unwrap();
        assert_eq!(client.close_code().await, code);
        // It stays, and the server's only thread serves the next.
        let mut other = Client::admitted(&server).await;
        other.subscribe("1", "{ hello }").await;
        assert_eq!(other.hear().await["type"], "next");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_pings_and_closes_on_silence() {
    let server = Server::with(adjusted(|s| s.ping_every = Duration::from_millis(150))).await;
    let mut client = Client::admitted(&server).await;
    // Reading answers the frames, so the socket lives for as long as it is read.
    for _ in 0..5 {
        assert_eq!(client.hear().await, json!({"type": "ping"}));
    }
    let mut silent = Client::admitted(&server).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(silent.close_code().await, 1001);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_cut() {
    let server = Server::with(adjusted(|s| {
        s.write_within = Duration::from_millis(300);
        s.close_within = Duration::from_millis(300);
    }))
    .await;
    let mut client = Client::admitted(&server).await;
    client.subscribe("1", "subscription { flood }").await;
    until("it runs", || {
        server.world.subscriptions.load(Ordering::SeqCst) == 1
    })
    .await;
    until("it was cut", || {
        server.world.subscriptions.load(Ordering::SeqCst) == 0
    })
    .await;
    // Still unread, and yet the server holds nothing of it.
    until("it is let go", || {
        server.world.connections.load(Ordering::SeqCst) == 0
    })
    .await;
    drop(client);
    // Another client never noticed.
    let mut other = Client::admitted(&server).await;
    other.subscribe("1", "{ hello }").await;
    assert_eq!(other.hear().await["type"], "next");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_closes_all_sockets_with_1012_each_in_its_time() {
    let server = Server::with(adjusted(|s| s.drain_over = Duration::from_millis(500))).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(Client::admitted(&server).await);
    }
    server.drain.send(true).unwrap();
    let begun = Instant::now();
    for client in &mut clients {
        assert_eq!(client.close_code().await, 1012);
    }
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_page_gets_no_socket() {
    let server = Server::with(adjusted(|s| {
        s.origins = vec!["https://console.example".into()]
    }))
    .await;
    for (origin, path) in [
        ("https://evil.example", "/graphql/ws"),
        ("https://evil.example", "/graphql"),
        ("null", "/graphql/ws"),
    ] {
        match open(&server, path, &[CURRENT, ("Origin", origin)]).await {
            Err(tungstenite::Error::Http(response)) => assert_eq!(response.status(), 403),
            Err(other) => panic!("{origin}: {other}"),
            Ok(_) => panic!("{origin} was let in"),
        }
    }
    let console = [CURRENT, ("Origin", "https://console.example")];
    assert!(open(&server, "/graphql/ws", &console).await.is_ok());
    let own = Server::start().await;
    let same = format!("http://{}", own.at);
    assert!(
        open(&own, "/graphql/ws", &[CURRENT, ("Origin", &same)])
            .await
            .is_ok()
    );
    let other = [CURRENT, ("Origin", "http://localhost:1")];
    assert!(open(&own, "/graphql/ws", &other).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_path_without_an_upgrade_is_a_426() {
    let server = Server::start().await;
    let answer = answer(server.client.get(server.url("/graphql/ws"))).await;
    assert_eq!((answer.status, answer.code()), (426, "BAD_USER_INPUT"));
    assert_eq!(answer.header("upgrade"), "websocket");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_older_dialect_is_spoken_too() {
    let server = Server::with(adjusted(|s| s.ping_every = Duration::from_millis(300))).await;
    let mut client = open(&server, "/graphql/ws", &[OLDER]).await.unwrap();
    let payload = json!({"Authorization": "slow"});
    // Its clients do not wait for the ack.
    client
        .say(json!({"type": "connection_init", "payload": payload}))
        .await;
    let payload = json!({"query": "subscription { count(to: 1) }"});
    client
        .say(json!({"type": "start", "id": "1", "payload": payload}))
        .await;
    assert_eq!(client.hear().await["type"], "connection_ack");
    let data = json!({"id": "1", "type": "data", "payload": {"data": {"count": 1}}});
    assert_eq!(client.hear().await, data);
    assert_eq!(client.hear().await, json!({"id": "1", "type": "complete"}));
    let payload = json!({"query": "{ nonsense }"});
    client
        .say(json!({"type": "start", "id": "2", "payload": payload}))
        .await;
    let error = client.hear().await;
    assert_eq!(
        error["payload"]["extensions"]["code"],
        "GRAPHQL_VALIDATION_FAILED"
    );
    assert_eq!(client.hear().await, json!({"type": "ka"}));
    client.say(json!({"type": "connection_terminate"})).await;
    assert_eq!(client.close_code().await, 1000);

    let mut stranger = open(&server, "/graphql/ws", &[OLDER]).await.unwrap();
    stranger
        .say(json!({"type": "connection_init", "payload": {}}))
        .await;
    assert_eq!(stranger.hear().await["type"], "connection_error");
    assert_eq!(stranger.close_code().await, 4401);
}
