//! Where a stream stands: opaque to clients, good only for the stream that gave it out.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::errors::bad_input;
use crate::events::Position;

/// A position in the log, as one stream saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Which log: another one after a restore.
    pub epoch: Uuid,
    /// The position.
    pub seq: i64,
    /// The filter and channels of the stream.
    pub scope: u64,
}

impl Cursor {
    /// The text that clients keep.
    pub fn write(&self) -> String {
        let mut bytes = Vec::with_capacity(32);
        bytes.extend(self.epoch.as_bytes());
        bytes.extend(self.seq.to_be_bytes());
        bytes.extend(self.scope.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Whether the log can be read on from here with nothing missed: it is the same log, and what
    /// lies behind is still kept.
    pub fn resumes(&self, now: Position) -> bool {
        self.epoch == now.epoch && (now.floor_seq..=now.last_seq).contains(&self.seq)
    }

    /// Reads a cursor back; refuses what is none, and another stream's.
    pub fn read(text: &str, scope: u64) -> async_graphql::Result<Cursor> {
        let cursor = URL_SAFE_NO_PAD
            .decode(text)
            .ok()
            .filter(|bytes| bytes.len() == 32)
            .and_then(|bytes| {
                Some(Cursor {
                    epoch: Uuid::from_slice(bytes.get(..16)?).ok()?,
                    seq: i64::from_be_bytes(bytes.get(16..24)?.try_into().ok()?),
                    scope: u64::from_be_bytes(bytes.get(24..)?.try_into().ok()?),
                })
            });
        match cursor {
            Some(cursor) if cursor.scope == scope => Ok(cursor),
            Some(_) => Err(bad_input(
                "the cursor belongs to a stream with another filter",
            )),
            None => Err(bad_input("the cursor is none of ours")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_works_only_for_its_own_stream() {
        let cursor = Cursor {
            epoch: Uuid::nil(),
            seq: 7,
            scope: 1,
        };
        let text = cursor.write();
        assert_eq!(Cursor::read(&text, 1).unwrap(), cursor);
        assert!(Cursor::read(&text, 2).is_err());
        assert!(Cursor::read(&text[1..], 1).is_err());
        assert!(Cursor::read("", 1).is_err());
    }
}
