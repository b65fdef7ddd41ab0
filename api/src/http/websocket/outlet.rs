//! What goes out to one client: the body of the answer to its upgrade.
//!
//! The connection asks for bytes whenever it can write. It gets what the socket has said, then what
//! the groups have for the operations that have joined one. So an item goes from its group into the
//! connection's buffer, with all that wait in one write, and the socket sleeps on.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use actix_http::ws::{CloseReason, Codec, Message};
use actix_web::body::{BodySize, MessageBody};
use actix_web::web::{Bytes, BytesMut};
use bytes::BufMut;
use futures_util::task::AtomicWaker;
use tokio_util::codec::Encoder;

use super::protocol::Label;
use crate::http::fanout::{Found, Membership};
use crate::telemetry::figures;

/// How many bytes of the socket may wait for the connection before the socket waits too.
const ROOM: usize = 16 * 1024;

/// About how many bytes of items the connection is given at a time.
const AT_A_TIME: usize = 16 * 1024;

/// The longest header of a frame that is not masked.
const HEADER: usize = 10;

/// The socket's end. The body ends when it is dropped.
pub(super) struct Outlet(Rc<RefCell<State>>);

/// The connection's end. The socket hears of it when it is dropped.
pub(super) struct Body(Rc<RefCell<State>>);

/// The connection is gone.
#[derive(Debug)]
pub(super) struct Gone;

/// What the socket must see to.
pub(super) enum Stir {
    /// The group of the operation with this ticket has left it behind or has ended.
    Alone(u64, Membership),
    /// The connection is gone.
    Gone,
}

#[derive(Default)]
struct State {
    /// What the socket has said, in frames.
    said: BytesMut,
    members: Vec<Member>,
    /// Those that must go on alone.
    alone: Vec<Member>,
    /// How often the connection has taken something.
    taken: u64,
    /// What that was at the last look, if an item waited then.
    looked: Option<u64>,
    shut: bool,
    gone: bool,
    connection: AtomicWaker,
    socket: AtomicWaker,
}

/// An operation whose results come from a group.
struct Member {
    ticket: u64,
    label: Label,
    membership: Membership,
}

/// Both ends.
pub(super) fn outlet() -> (Outlet, Body) {
    let state = Rc::<RefCell<State>>::default();
    (Outlet(state.clone()), Body(state))
}

impl Outlet {
    /// Says a message, given in parts, once there is room. Nothing is said if this is dropped
    /// before.
    pub async fn text(&self, parts: &[&str]) -> Result<(), Gone> {
        self.room().await?;
        let mut state = self.0.borrow_mut();
        write_text(&mut state.said, parts);
        state.connection.wake();
        Ok(())
    }

    /// Says a control frame, once there is room.
    pub async fn control(&self, message: Message) -> Result<(), Gone> {
        self.room().await?;
        self.0.borrow_mut().encode(message);
        Ok(())
    }

    /// Takes leave: the last that goes out.
    pub fn close(&self, reason: CloseReason) {
        let mut state = self.0.borrow_mut();
        state.encode(Message::Close(Some(reason)));
        state.shut();
    }

    /// From here on an operation's results come from a group.
    pub fn join(&self, ticket: u64, label: Label, membership: Membership) {
        let mut state = self.0.borrow_mut();
        state.members.push(Member {
            ticket,
            label,
            membership,
        });
        state.connection.wake();
    }

    /// An operation ends.
    pub fn leave(&self, ticket: u64) {
        let mut state = self.0.borrow_mut();
        state.members.retain(|member| member.ticket != ticket);
        state.alone.retain(|member| member.ticket != ticket);
    }

    /// Waits for what the socket must see to.
    pub async fn stirred(&self) -> Stir {
        poll_fn(|context| {
            let mut state = self.0.borrow_mut();
            if state.gone {
                return Poll::Ready(Stir::Gone);
            }
            if let Some(member) = state.alone.pop() {
                return Poll::Ready(Stir::Alone(member.ticket, member.membership));
            }
            state.socket.register(context.waker());
            Poll::Pending
        })
        .await
    }

    /// Looks for an operation with an item that waits, though the connection has taken nothing since
    /// the last look. Its cursor resumes it.
    pub fn stuck(&self) -> Option<Option<Arc<str>>> {
        let mut state = self.0.borrow_mut();
        let mut members = state.members.iter();
        let cursor = members
            .find(|member| member.membership.waits())
            .map(|member| member.membership.cursor());
        let now = cursor.is_some().then_some(state.taken);
        let before = std::mem::replace(&mut state.looked, now);
        cursor.filter(|_| now == before)
    }

    async fn room(&self) -> Result<(), Gone> {
        poll_fn(|context| {
            let state = self.0.borrow();
            if state.gone {
                return Poll::Ready(Err(Gone));
            }
            if state.said.len() < ROOM {
                return Poll::Ready(Ok(()));
            }
            state.socket.register(context.waker());
            Poll::Pending
        })
        .await
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.0.borrow_mut().shut();
    }
}

impl State {
    fn encode(&mut self, message: Message) {
        // Only a message in parts can be refused.
        let _ = Codec::new().encode(message, &mut self.said);
        self.connection.wake();
    }

    /// Nothing more is said.
    fn shut(&mut self) {
        self.shut = true;
        self.members.clear();
        self.alone.clear();
        self.connection.wake();
    }

    /// Takes what the groups have, from each about its share.
    fn take(&mut self, bytes: &mut BytesMut, waker: &Waker) {
        let share = AT_A_TIME / self.members.len().max(1);
        let (mut index, mut taken) = (0, 0);
        while let Some(member) = self.members.get_mut(index) {
            member.membership.watch(waker);
            let full = bytes.len() + share;
            let found = loop {
                match member.membership.next() {
                    Found::Item(item) => {
                        write_text(bytes, &member.label.around(&item.json));
                        taken += 1;
                        if bytes.len() >= full {
                            break Found::Nothing;
                        }
                    }
                    found => break found,
                }
            };
            if let Found::Alone = found {
                self.alone.push(self.members.swap_remove(index));
                self.socket.wake();
            } else {
                index += 1;
            }
        }
        if taken > 0 {
            figures::delivered(taken);
        }
    }
}

impl MessageBody for Body {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let state = &mut *self.0.borrow_mut();
        let mut bytes = std::mem::take(&mut state.said);
        if bytes.len() >= ROOM {
            state.socket.wake();
        }
        state.take(&mut bytes, context.waker());
        if !bytes.is_empty() {
            state.taken += 1;
            return Poll::Ready(Some(Ok(bytes.freeze())));
        }
        if state.shut {
            return Poll::Ready(None);
        }
        state.connection.register(context.waker());
        Poll::Pending
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let mut state = self.0.borrow_mut();
        state.gone = true;
        state.socket.wake();
    }
}

/// Writes a message as one frame.
fn write_text(bytes: &mut BytesMut, parts: &[&str]) {
    let length = parts.iter().map(|part| part.len()).sum();
    bytes.reserve(HEADER + length);
    bytes.put_u8(0x81);
    match length {
        0..126 => bytes.put_u8(length as u8),
        126..65_536 => {
            bytes.put_u8(126);
            bytes.put_u16(length as u16);
        }
        _ => {
            bytes.put_u8(127);
            bytes.put_u64(length as u64);
        }
    }
    for part in parts {
        bytes.put_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use actix_http::ws::{Codec, Frame};
    use tokio_util::codec::Decoder;

    use super::*;

    #[test]
    fn a_message_of_any_length_is_one_frame() {
        let mut reader = Codec::new().client_mode().max_size(usize::MAX);
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let text = "x".repeat(length);
            let mut bytes = BytesMut::new();
            write_text(&mut bytes, &[&text[..length / 3], "", &text[length / 3..]]);
            let frame = reader.decode(&mut bytes).expect("a frame");
            assert_eq!(frame, Some(Frame::Text(text.into())));
            assert!(bytes.is_empty());
        }
    }
}
