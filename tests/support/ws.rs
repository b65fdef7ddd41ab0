//! A client of the `graphql-transport-ws` subprotocol.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// How long a test waits for a message before it fails; a quiet stream beats every 15 seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a socket or one of its operations came to its end.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// The server completed the operation.
    Completed,
    /// The server refused the operation or broke it off, with these errors.
    Failed(Value),
    /// The server closed the socket, with this code; none if it just hung up.
    Closed(Option<u16>, String),
}

/// An open socket. Messages of several operations may come in any order; each is kept for the
/// one who asks for it.
pub struct Socket {
    wire: WebSocketStream<MaybeTlsStream<TcpStream>>,
    kept: VecDeque<Value>,
    operations: u32,
    closed: Option<Ended>,
}

impl Socket {
    /// Opens a socket and is let in with a key.
    pub async fn connect(address: SocketAddr, key: &str) -> Socket {
        let mut socket = Socket::open(address).await;
        let payload = json!({ "authorization": format!("Bearer {key}") });
        socket
            .say(json!({ "type": "connection_init", "payload": payload }))
            .await;
        match socket.hear().await {
            Ok(message) => assert_eq!(message["type"], "connection_ack", "{message:#}"),
            Err(ended) => panic!("not let in: {ended:?}"),
        }
        socket
    }

    /// Opens a socket and says nothing yet.
    pub async fn open(address: SocketAddr) -> Socket {
        let mut request = format!("ws://{address}/graphql/ws")
            .into_client_request()
            .expect("a request");
        request.headers_mut().insert(
            "Sec-WebSocket-Protocol",
            "graphql-transport-ws".parse().expect("a value"),
        );
        let (wire, _) = timeout(PATIENCE, connect_async(request))
            .await
            .expect("a socket in time")
            .expect("a socket");
        Socket {
            wire,
            kept: VecDeque::new(),
            operations: 0,
            closed: None,
        }
    }

    /// Sends a message.
    pub async fn say(&mut self, message: Value) {
        let message = Message::text(message.to_string());
        // That the server has hung up is heard when its answer is waited for.
        let _ = timeout(PATIENCE, self.wire.send(message))
            .await
            .expect("a message taken in time");
    }

    /// Begins an operation and returns its id. Nothing says when a subscription listens; ask for
    /// its first item, or make what it is to hear.
    pub async fn subscribe(&mut self, query: &str, variables: Value) -> String {
        self.operations += 1;
        let id = self.operations.to_string();
        let payload = json!({ "query": query, "variables": variables });
        self.say(json!({ "id": id, "type": "subscribe", "payload": payload }))
            .await;
        id
    }

    /// The next item of an operation, as data. An item with errors, and any end, fails the test.
    pub async fn next(&mut self, id: &str) -> Value {
        match self.event(id).await {
            Ok(payload) if payload.get("errors").is_none() => payload["data"].clone(),
            Ok(payload) => panic!("operation {id} has errors: {payload:#}"),
            Err(ended) => panic!("operation {id} has ended: {ended:?}"),
        }
    }

    /// The next item of an operation with its errors, or how it ended.
    pub async fn event(&mut self, id: &str) -> Result<Value, Ended> {
        let message = loop {
            if let Some(place) = self.kept.iter().position(|kept| kept["id"] == id) {
                break self.kept.remove(place).expect("the message just found");
            }
            let message = self.hear().await?;
            self.kept.push_back(message);
        };
        match message["type"].as_str() {
            Some("next") => Ok(message["payload"].clone()),
            Some("complete") => Err(Ended::Completed),
            Some("error") => Err(Ended::Failed(message["payload"].clone())),
            _ => panic!("not a message of an operation: {message:#}"),
        }
    }

    /// Whether an operation says nothing for a while. Use it only where silence is the point.
    pub async fn silent(&mut self, id: &str, span: Duration) -> bool {
        timeout(span, self.event(id)).await.is_err()
    }

    /// Ends an operation; what is on its way may still come.
    pub async fn complete(&mut self, id: &str) {
        self.say(json!({ "id": id, "type": "complete" })).await;
    }

    /// Waits until the server closes the socket, and says with which code and reason.
    pub async fn close_code(&mut self) -> (Option<u16>, String) {
        loop {
            match self.hear().await {
                Ok(message) => self.kept.push_back(message),
                Err(Ended::Closed(code, reason)) => return (code, reason),
                Err(ended) => panic!("not an end of a socket: {ended:?}"),
            }
        }
    }

    /// Closes the socket.
    pub async fn close(mut self) {
        let _ = self.wire.close(None).await;
    }

    /// The next message that is not about keeping the line warm.
    pub async fn hear(&mut self) -> Result<Value, Ended> {
        if let Some(ended) = &self.closed {
            return Err(ended.clone());
        }
        timeout(PATIENCE, self.read())
            .await
            .expect("a message in time")
    }

    async fn read(&mut self) -> Result<Value, Ended> {
        let ended = loop {
            match self.wire.next().await {
                Some(Ok(Message::Text(text))) => {
                    let message: Value = serde_json::from_str(&text).expect("JSON");
                    match message["type"].as_str() {
                        Some("ping") => self.say(json!({ "type": "pong" })).await,
                        Some("pong") => {}
                        _ => return Ok(message),
                    }
                }
                Some(Ok(Message::Close(frame))) => {
                    break match frame {
                        Some(frame) => {
                            Ended::Closed(Some(frame.code.into()), frame.reason.to_string())
                        }
                        None => Ended::Closed(None, String::new()),
                    };
                }
                Some(Ok(Message::Binary(_))) => panic!("a binary message"),
                // Pings of the protocol below are answered there.
                Some(Ok(_)) => {}
                Some(Err(Error::ConnectionClosed)) | None => {
                    break Ended::Closed(None, String::new());
                }
                Some(Err(error)) => break Ended::Closed(None, error.to_string()),
            }
        };
        self.closed = Some(ended.clone());
        Err(ended)
    }
}
