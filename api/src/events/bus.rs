//! Carries what one node has stamped to the others, and says when it cannot.
//!
//! The log is the truth, and a message only makes it sooner: what is lost, doubled, late or
//! nonsense costs a query, never an event. Redis drops messages without a word (a publisher is
//! told of success while a subscriber is not back yet), so nothing here relies on it; the gaps are
//! found by their positions.

use bytes::Bytes;
use entity::event_log;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, ProtocolVersion, PushKind};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::config::RedisConfig;

/// The largest message, in bytes; what would be larger only says how far the log is.
pub const LARGEST: usize = 256 * 1024;

/// How many messages wait for a node; one that is slower reads the log.
const BUFFER: usize = 64;

/// How long Redis may take to connect and to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a node waits before it tries to reach Redis again.
const RETRY: Duration = Duration::from_millis(250);

/// What one node tells the others: events at their positions, or only how far the log is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// Which log: another one after a restore.
    pub epoch: Uuid,
    /// The newest position that the sender knows.
    pub last: i64,
    /// The events up to that position, without holes; none in a heartbeat, and where they would
    /// be too large.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<event_log::Model>,
}

impl Envelope {
    /// As it is sent.
    pub fn write(&self) -> Bytes {
        let whole = serde_json::to_vec(self).unwrap_or_default();
        if whole.len() <= LARGEST {
            return whole.into();
        }
        let hint = Envelope {
            epoch: self.epoch,
            last: self.last,
            events: Vec::new(),
        };
        serde_json::to_vec(&hint).unwrap_or_default().into()
    }

    /// As it came; none if it is too large, is none of ours or contradicts itself.
    pub fn read(message: &[u8]) -> Option<Envelope> {
        if message.len() > LARGEST {
            return None;
        }
        let envelope: Envelope = serde_json::from_slice(message).ok()?;
        let newest_first = envelope.events.iter().rev();
        let contiguous = (0..)
            .zip(newest_first)
            .all(|(back, row)| envelope.last.checked_sub(back) == Some(row.seq));
        contiguous.then_some(envelope)
    }
}

/// What a node hears.
#[derive(Clone, Debug)]
pub enum Heard {
    /// From here on every message comes; those of before may be lost.
    Joined,
    /// No message comes until it is joined again.
    Lost,
    /// A message, as it came.
    Message(Bytes),
}

/// The way between the nodes.
#[derive(Clone)]
pub enum Bus {
    /// Between the hubs of one process; the default, with one hub.
    Process(broadcast::Sender<Heard>),
    /// Between all nodes that use one Redis and one prefix.
    Redis(Redis),
}

/// A channel of a Redis server.
#[derive(Clone)]
pub struct Redis {
    url: String,
    channel: String,
    said: broadcast::Sender<Bytes>,
}

/// One node's ear; it hears while it is kept.
pub struct Ear {
    heard: broadcast::Receiver<Heard>,
    /// Ends with the ear.
    _carrier: JoinSet<()>,
}

impl Bus {
    /// The bus that the settings name.
    pub fn of(config: &RedisConfig) -> Bus {
        if config.url.is_empty() {
            return Bus::process();
        }
        Bus::Redis(Redis {
            url: config.url.clone(),
            channel: format!("{}events", config.prefix),
            said: broadcast::channel(BUFFER).0,
        })
    }

    /// A bus within this process.
    pub fn process() -> Bus {
        Bus::Process(broadcast::channel(BUFFER).0)
    }

    /// Whether it brings what other processes say.
    pub fn leaves_the_process(&self) -> bool {
        matches!(self, Bus::Redis(_))
    }

    /// Says something to every node, this one included. Nobody waits for it, and it may be lost.
    pub fn say(&self, envelope: &Envelope) {
        // Where nobody listens, nothing is written.
        match self {
            Bus::Process(heard) if heard.receiver_count() > 0 => {
                let _ = heard.send(Heard::Message(envelope.write()));
            }
            Bus::Redis(redis) if redis.said.receiver_count() > 0 => {
                let _ = redis.said.send(envelope.write());
            }
            Bus::Process(_) | Bus::Redis(_) => {}
        }
    }

    /// Listens from here on. A node does so once.
    pub fn join(&self) -> Ear {
        let mut carrier = JoinSet::new();
        let heard = match self {
            Bus::Process(heard) => heard.subscribe(),
            Bus::Redis(redis) => {
                let (sender, heard) = broadcast::channel(BUFFER);
                carrier.spawn(redis.clone().carry(sender));
                heard
            }
        };
        Ear {
            heard,
            _carrier: carrier,
        }
    }
}

impl Ear {
    /// What comes next. A node that was too slow to hear everything is told that it has joined
    /// anew.
    pub async fn next(&mut self) -> Heard {
        match self.heard.recv().await {
            Ok(heard) => heard,
            Err(RecvError::Lagged(_)) => Heard::Joined,
            // Whoever hears nothing for a while reads the log by itself.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl Redis {
    /// Holds the one connection, for what is said and what is heard, and makes it anew for ever.
    async fn carry(self, heard: broadcast::Sender<Heard>) {
        let mut told = false;
        loop {
            match self.connect(&heard).await {
                Ok((connection, gone)) => {
                    tracing::info!("Redis carries the events between the nodes");
                    // What was said while Redis was away is in the log.
                    let said = self.said.subscribe();
                    let _ = heard.send(Heard::Joined);
                    let error = self.publish(connection, said, gone).await;
                    tracing::warn!(%error, "Redis is away: the log is read instead");
                    let _ = heard.send(Heard::Lost);
                    told = true;
                }
                Err(error) if !told => {
                    tracing::warn!(%error, "Redis is away: the log is read instead");
                    told = true;
                }
                Err(error) => tracing::debug!(%error, "Redis is still away"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// A connection that is subscribed, and how its end is heard of.
    async fn connect(
        &self,
        heard: &broadcast::Sender<Heard>,
    ) -> redis::RedisResult<(MultiplexedConnection, Arc<Notify>)> {
        let info = self.url.as_str().into_connection_info()?;
        // Only the newer protocol brings messages and answers on one connection.
        let settings = info
            .redis_settings()
            .clone()
            .set_protocol(ProtocolVersion::RESP3);
        let client = Client::open(info.set_redis_settings(settings))?;
        let gone = Arc::new(Notify::new());
        let (heard, ended) = (heard.clone(), gone.clone());
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_push_sender(move |push: redis::PushInfo| {
                if push.kind == PushKind::Disconnection {
                    ended.notify_one();
                }
                match redis::Msg::from_push_info(push) {
                    Some(message) => {
                        let payload = message.get_payload_bytes();
                        // One that is too large is heard of as one that cannot be read.
                        let kept = if payload.len() > LARGEST {
                            &[]
                        } else {
                            payload
                        };
                        let message = Bytes::copy_from_slice(kept);
                        heard.send(Heard::Message(message)).map(drop)
                    }
                    None => Ok(()),
                }
            });
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        connection.subscribe(&self.channel).await?;
        Ok((connection, gone))
    }

    /// Publishes what is said until the connection ends.
    async fn publish(
        &self,
        mut connection: MultiplexedConnection,
        mut said: broadcast::Receiver<Bytes>,
        gone: Arc<Notify>,
    ) -> String {
        loop {
            let message = tokio::select! {
                () = gone.notified() => return "the connection ended".to_owned(),
                message = said.recv() => message,
            };
            let Ok(message) = message else {
                // More was said than could be sent: it is in the log.
                continue;
            };
            let mut publish = redis::cmd("PUBLISH");
            publish.arg(&self.channel).arg(&message[..]);
            if let Err(error) = publish.exec_async(&mut connection).await {
                return error.to_string();
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::disallowed_methods)]
mod tests {
    use chrono::Utc;
    use entity::EventId;
    use proptest::prelude::*;

    use super::*;

    fn row(seq: i64, payload: &str) -> event_log::Model {
        event_log::Model {
            seq,
            id: EventId(Uuid::now_v7()),
            aggregate_type: "order".to_owned(),
            aggregate_id: Uuid::nil().to_string(),
            aggregate_version: seq,
            event_type: "order.confirmed".to_owned(),
            channel_id: None,
            order_id: None,
            stage_from: None,
            stage_to: Some(entity::order::Stage::Staged),
            actor: "worker:test".to_owned(),
            correlation_id: String::new(),
            trace_parent: (seq % 2 == 0).then(|| format!("00-{seq:032x}-{seq:016x}-01")),
            payload: serde_json::json!({ "note": payload }),
            occurred_at: Utc::now(),
        }
    }

    fn envelope(seqs: impl IntoIterator<Item = i64>, last: i64, payload: &str) -> Envelope {
        Envelope {
            epoch: Uuid::new_v4(),
            last,
            events: seqs.into_iter().map(|seq| row(seq, payload)).collect(),
        }
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        for sent in [envelope(5..=7, 7, ""), envelope([], 7, "")] {
            assert_eq!(Envelope::read(&sent.write()), Some(sent));
        }
    }

    #[test]
    fn what_would_be_too_large_only_says_how_far_the_log_is() {
        let large = envelope(1..=4, 4, &"x".repeat(LARGEST / 3));
        let sent = large.write();
        assert!(sent.len() < 100, "{}", sent.len());
        let heard = Envelope::read(&sent).unwrap();
        assert_eq!((heard.epoch, heard.last), (large.epoch, 4));
        assert!(heard.events.is_empty());
        assert!(Envelope::read(&vec![b' '; LARGEST + 1]).is_none());
    }

    #[test]
    fn what_contradicts_itself_is_not_read() {
        for wrong in [
            envelope([5, 7], 7, ""),
            envelope([5, 6], 7, ""),
            envelope([6, 5], 6, ""),
            envelope([7, 7], 7, ""),
        ] {
            assert_eq!(Envelope::read(&wrong.write()), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_heard_is_a_panic(message: Vec<u8>, text in ".*", last: i64, seq: i64) {
            let _ = Envelope::read(&message);
            let _ = Envelope::read(text.as_bytes());
            let wrong = envelope([seq], last, "");
            let read = Envelope::read(&wrong.write());
            prop_assert_eq!(read.is_some(), seq == last);
        }
    }
}
