//! The words of the two subprotocols.
//!
//! They differ in names and in small things: the older one has no ping of its own but a message
//! that keeps the line warm, and its `error` carries one error, not a list.

use std::sync::Arc;

use async_graphql::ServerError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// A subprotocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `graphql-transport-ws`, the current one.
    Current,
    /// `graphql-ws`, of the subscriptions-transport-ws library.
    Older,
}

/// What a client asks for.
#[derive(Debug, PartialEq)]
pub(super) enum Ask {
    Init(Map<String, Value>),
    Ping(Option<Value>),
    Pong,
    Subscribe { id: String, payload: Value },
    Complete { id: String },
    Leave,
}

/// A message as it comes in; which fields it needs depends on its type.
#[derive(Deserialize)]
struct Message {
    r#type: String,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    payload: Option<Value>,
}

/// What stands before a result in its message: written once for an operation, sent with all of its
/// results.
#[derive(Clone)]
pub(super) struct Label(Arc<str>);

impl Label {
    /// The message with a result, which is JSON already, in parts.
    pub fn around<'a>(&'a self, result: &'a str) -> [&'a str; 3] {
        [&self.0, result, "}"]
    }
}

/// A message as it goes out.
#[derive(Serialize)]
struct Out<'a, P> {
    id: &'a str,
    r#type: &'static str,
    payload: P,
}

impl Dialect {
    /// The dialect with this name.
    pub fn named(name: &str) -> Option<Self> {
        [Dialect::Current, Dialect::Older]
            .into_iter()
            .find(|dialect| dialect.name() == name)
    }

    /// The name in the handshake.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::Current => "graphql-transport-ws",
            Dialect::Older => "graphql-ws",
        }
    }

    /// Reads a message; the error is a reason to close with 4400, and quotes nothing.
    pub fn read(self, text: &str) -> Result<Ask, &'static str> {
        let message: Message =
            serde_json::from_str(text).map_err(|_| "The message is not JSON with a type")?;
        match (self, message.r#type.as_str()) {
            (_, "connection_init") => match message.payload {
                None | Some(Value::Null) => Ok(Ask::Init(Map::new())),
                Some(Value::Object(payload)) => Ok(Ask::Init(payload)),
                Some(_) => Err("The payload of connection_init is not an object"),
            },
            (Dialect::Current, "ping") => Ok(Ask::Ping(message.payload)),
            (Dialect::Current, "pong") => Ok(Ask::Pong),
            (Dialect::Current, "subscribe") | (Dialect::Older, "start") => {
                match (message.id, message.payload) {
                    (Some(id), Some(payload @ Value::Object(_))) => {
                        Ok(Ask::Subscribe { id, payload })
                    }
                    _ => Err("An operation needs an id and a payload"),
                }
            }
            (Dialect::Current, "complete") | (Dialect::Older, "stop") => {
                let id = message.id.ok_or("The message needs an id")?;
                Ok(Ask::Complete { id })
            }
            (Dialect::Older, "connection_terminate") => Ok(Ask::Leave),
            _ => Err("The message is of an unknown type"),
        }
    }

    /// The client is let in.
    pub fn ack(self) -> String {
        r#"{"type":"connection_ack"}"#.to_owned()
    }

    /// The client is not let in; the current dialect says so by its close code alone.
    pub fn rejected(self, message: &str) -> Option<String> {
        let text = json!({ "type": "connection_error", "payload": { "message": message } });
        (self == Dialect::Older).then(|| text.to_string())
    }

    /// Sent at intervals, so that neither side takes the other for gone.
    pub fn keep_alive(self) -> String {
        match self {
            Dialect::Current => r#"{"type":"ping"}"#.to_owned(),
            Dialect::Older => r#"{"type":"ka"}"#.to_owned(),
        }
    }

    /// The answer to a ping, with its payload.
    pub fn pong(self, payload: Option<Value>) -> String {
        match payload {
            None => r#"{"type":"pong"}"#.to_owned(),
            Some(payload) => json!({ "type": "pong", "payload": payload }).to_string(),
        }
    }

    /// The label of an operation.
    pub fn label(self, id: &str) -> Label {
        let kind = match self {
            Dialect::Current => "next",
            Dialect::Older => "data",
        };
        let id = Value::from(id);
        Label(format!(r#"{{"id":{id},"type":"{kind}","payload":"#).into())
    }

    /// An operation that was not executed. It ends the operation.
    pub fn error(self, id: &str, errors: &[ServerError]) -> Result<String, serde_json::Error> {
        match self {
            Dialect::Current => serde_json::to_string(&Out {
                id,
                r#type: "error",
                payload: errors,
            }),
            Dialect::Older => serde_json::to_string(&Out {
                id,
                r#type: "error",
                payload: errors.first(),
            }),
        }
    }

    /// The operation has no more results.
    pub fn complete(self, id: &str) -> String {
        json!({ "id": id, "type": "complete" }).to_string()
    }
}

/// The authorisation in the payload of `connection_init`, whatever its case.
pub(super) fn authorization(payload: &Map<String, Value>) -> Option<&str> {
    payload
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("authorization"))
        .and_then(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_reads_its_own_words_only() {
        let current = |text: &str| Dialect::Current.read(text);
        assert_eq!(
            current(r#"{"type":"connection_init"}"#),
            Ok(Ask::Init(Map::new()))
        );
        assert_eq!(
            current(r#"{"type":"complete","id":"1"}"#),
            Ok(Ask::Complete { id: "1".into() })
        );
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"type":"start","id":"1","payload":{}}"#,
            r#"{"type":"subscribe","id":1,"payload":{}}"#,
            r#"{"type":"subscribe","id":"1"}"#,
            r#"{"type":"subscribe","payload":{}}"#,
            r#"{"type":"complete"}"#,
            r#"{"type":"connection_init","payload":7}"#,
        ] {
            assert!(current(bad).is_err(), "{bad}");
        }
        let older = |text: &str| Dialect::Older.read(text);
        assert!(older(r#"{"type":"start","id":"1","payload":{}}"#).is_ok());
        assert!(older(r#"{"type":"subscribe","id":"1","payload":{}}"#).is_err());
        assert_eq!(older(r#"{"type":"connection_terminate"}"#), Ok(Ask::Leave));
    }
}
