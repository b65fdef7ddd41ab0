//! Whole messages out of frames, each with a cap on what may be gathered.

use actix_http::ws::{Codec, Frame, Item, ProtocolError};
use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::StreamExt;
use tokio_util::codec::Decoder;

/// The longest header of a frame.
const HEADER: usize = 14;

/// What a client sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A whole text message.
    Text(String),
    /// A ping with its payload, to be sent back.
    Ping(Bytes),
    /// Anything that only shows that the client lives: a pong, a part of a message.
    Sign,
    /// The client takes its leave.
    Close,
    /// A message longer than allowed.
    TooLong,
    /// A binary message, or a text that is no UTF-8: no dialect has those.
    NotText,
    /// Not WebSocket.
    Broken,
    /// The connection is gone.
    Gone,
}

/// The messages of one client.
pub(super) struct Frames {
    payload: Payload,
    /// What has come of a frame.
    unread: BytesMut,
    codec: Codec,
    /// What has come of a message in parts.
    parts: Vec<u8>,
    most: usize,
}

impl Frames {
    /// Messages of at most `most` bytes.
    pub fn new(payload: Payload, most: usize) -> Self {
        Frames {
            payload,
            unread: BytesMut::new(),
            codec: Codec::new().max_size(most),
            parts: Vec::new(),
            most,
        }
    }

    /// Allows messages of `most` bytes from now on.
    pub fn allow(&mut self, most: usize) {
        self.most = most;
        self.codec = self.codec.clone().max_size(most);
    }

    /// What the client sent next. Loses nothing when it is dropped before it is ready.
    pub async fn next(&mut self) -> Heard {
        loop {
            match self.codec.decode(&mut self.unread) {
                Ok(Some(frame)) => return self.take(frame),
                // The codec looks at the length of a frame that is whole.
                Ok(None) if self.unread.len() > self.most + HEADER => return Heard::TooLong,
                Ok(None) => {}
                Err(ProtocolError::Overflow) => return Heard::TooLong,
                Err(_) => return Heard::Broken,
            }
            if self.unread.is_empty() {
                // A client that listens is not worth a buffer.
                self.unread = BytesMut::new();
            }
            match self.payload.next().await {
                Some(Ok(bytes)) => self.unread.extend_from_slice(&bytes),
                Some(Err(_)) | None => return Heard::Gone,
            }
        }
    }

    /// Waits until the client hangs up, whatever it still sends.
    pub async fn gone(&mut self) {
        while let Some(Ok(_)) = self.payload.next().await {}
    }

    fn take(&mut self, frame: Frame) -> Heard {
        match frame {
            Frame::Text(text) => heard(text.into()),
            Frame::Ping(payload) => Heard::Ping(payload),
            Frame::Pong(_) => Heard::Sign,
            Frame::Close(_) => Heard::Close,
            Frame::Binary(_) | Frame::Continuation(Item::FirstBinary(_)) => Heard::NotText,
            Frame::Continuation(Item::FirstText(part)) => {
                self.parts.clear();
                self.gather(&part)
            }
            Frame::Continuation(Item::Continue(part)) => self.gather(&part),
            Frame::Continuation(Item::Last(part)) => match self.gather(&part) {
                Heard::Sign => heard(std::mem::take(&mut self.parts)),
                too_long => too_long,
            },
        }
    }

    fn gather(&mut self, part: &[u8]) -> Heard {
        if self.parts.len() + part.len() > self.most {
            return Heard::TooLong;
        }
        self.parts.extend_from_slice(part);
        Heard::Sign
    }
}

fn heard(text: Vec<u8>) -> Heard {
    String::from_utf8(text).map_or(Heard::NotText, Heard::Text)
}
