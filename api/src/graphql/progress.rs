//! Following work that is done piece by piece, until it has ended.

use std::time::Duration;

use async_graphql::Result;
use async_stream::try_stream;
use futures_util::Stream;
use tokio::time::{Instant, sleep};

use super::reader::HEARTBEAT;

/// How often at most a subscriber hears of what is told as a whole each time.
pub(super) const PACE: Duration = Duration::from_millis(250);

/// What is worked off, at a moment.
pub(super) trait Progress: Clone {
    /// Whether nothing more will come of it.
    fn has_ended(&self) -> bool;

    /// Whether it has come no further than it had.
    fn is_as(&self, before: &Self) -> bool;
}

/// The work as it is, then whenever it has come on, and at least every 15 seconds; ends with it.
/// Each item is read from what is committed.
pub(super) fn follow<P, R>(
    mut now: P,
    read: impl Fn() -> R + Send + 'static,
) -> impl Stream<Item = Result<P>>
where
    P: Progress + Send + 'static,
    R: Future<Output = Result<Option<P>>> + Send,
{
    try_stream! {
        loop {
            let (told, at) = (now.clone(), Instant::now());
            yield now;
            if told.has_ended() {
                break;
            }
            now = loop {
                sleep(PACE).await;
                let Some(read) = read().await? else { return };
                if read.has_ended() || !read.is_as(&told) || at.elapsed() >= HEARTBEAT {
                    break read;
                }
            };
        }
    }
}
