//! Whole messages out of frames, each with a cap on what may be gathered.

use actix_ws::{Item, Message, MessageStream, ProtocolError};

/// What a client sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A whole text message.
    Text(String),
    /// A ping with its payload, to be sent back.
    Ping(Vec<u8>),
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
    /// `None` only while the cap is changed.
    stream: Option<MessageStream>,
    /// What has come of a message in parts.
    parts: Vec<u8>,
    most: usize,
}

impl Frames {
    /// Messages of at most `most` bytes.
    pub fn new(stream: MessageStream, most: usize) -> Self {
        Frames {
            stream: Some(stream.max_frame_size(most)),
            parts: Vec::new(),
            most,
        }
    }

    /// Allows messages of `most` bytes from now on.
    pub fn allow(&mut self, most: usize) {
        self.most = most;
        self.stream = self.stream.take().map(|stream| stream.max_frame_size(most));
    }

    /// What the client sent next. Loses nothing when it is dropped before it is ready.
    pub async fn next(&mut self) -> Heard {
        let Some(stream) = &mut self.stream else {
            return Heard::Gone;
        };
        match stream.recv().await {
            None => Heard::Gone,
            Some(Ok(message)) => self.take(message),
            Some(Err(ProtocolError::Overflow)) => Heard::TooLong,
            Some(Err(ProtocolError::Io(error))) => match error.kind() {
                std::io::ErrorKind::InvalidData => Heard::NotText,
                _ => Heard::Gone,
            },
            Some(Err(_)) => Heard::Broken,
        }
    }

    fn take(&mut self, message: Message) -> Heard {
        match message {
            Message::Text(text) => Heard::Text(text.to_string()),
            Message::Ping(payload) => Heard::Ping(payload.to_vec()),
            Message::Pong(_) | Message::Nop => Heard::Sign,
            Message::Close(_) => Heard::Close,
            Message::Binary(_) | Message::Continuation(Item::FirstBinary(_)) => Heard::NotText,
            Message::Continuation(Item::FirstText(part)) => {
                self.parts.clear();
                self.gather(&part)
            }
            Message::Continuation(Item::Continue(part)) => self.gather(&part),
            Message::Continuation(Item::Last(part)) => match self.gather(&part) {
                Heard::Sign => String::from_utf8(std::mem::take(&mut self.parts))
                    .map_or(Heard::NotText, Heard::Text),
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
