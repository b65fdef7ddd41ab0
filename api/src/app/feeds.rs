//! Takes a feed of stock figures: a bounded part in each transaction, each part once for the feed's
//! key, so that whoever was cut off sends the same again and goes on where it ended.

use chrono::{DateTime, Utc};
use entity::stock_source;
use serde_json::json;

use super::{App, Once};
use crate::checks::Checks;
use crate::failure::{Code, Failure, Problem};
use crate::inventory::sources::{self, CLOCK_TOLERANCE, Fed};
use crate::inventory::statements::{MISSING_AT_ONCE, note_missing};
use crate::orders::feeds::{self, BATCH, Feed, Row, Taken};
use crate::tx::Actor;

/// The most rows of one feed.
pub const MOST_ROWS: usize = 50_000;

/// What [`App::sync_stock`] needs.
#[derive(Clone, Debug)]
pub struct Sync {
    /// Whose feed it is, by code.
    pub source: String,
    /// When its figures were true.
    pub observed_at: DateTime<Utc>,
    /// Its version, where the source counts them.
    pub version: Option<i64>,
    /// Whether it names everything that the source has, with the feeds of the same moment that came
    /// before it.
    pub full: bool,
    /// Whether more of the same snapshot follows.
    pub more: bool,
    /// The figures.
    pub rows: Vec<Row>,
}

/// What a feed came to.
#[derive(Clone, Debug)]
pub struct Synced {
    /// What became of its rows, in their order.
    pub rows: Vec<Taken>,
    /// Whether it had been taken before.
    pub replayed: bool,
}

impl App {
    /// Takes a feed. A row that is refused keeps no other from being taken.
    pub async fn sync_stock(
        &self,
        actor: &Actor,
        once: &Once,
        cmd: &Sync,
    ) -> Result<Synced, Failure> {
        let done_before = self.replay(actor, once).await?.is_some();
        let (source, feed) = self.feed(cmd, done_before).await?;
        let (reference, feed) = (&self.reference().await?, &feed);
        let mut rows: Vec<Taken> = Vec::with_capacity(cmd.rows.len());
        for (place, part) in cmd.rows.chunks(BATCH).enumerate() {
            // No caller's key has a blank, so a part's key is nobody else's.
            let part_once = Once {
                key: format!("{} {place}", once.key),
                ..once.clone()
            };
            let answered = self
                .write_once(actor, Some(&part_once), move |tx| async move {
                    let taken = feeds::state(&tx, reference, feed, part).await?;
                    Ok(json!(taken))
                })
                .await?;
            let taken: Vec<Taken> = serde_json::from_value(answered.answer)
                .map_err(|_| Failure::Internal("a saved answer without its rows".to_owned()))?;
            rows.extend(taken);
        }
        let is_end = cmd.full && !cmd.more;
        // What a newer feed names is not for an older snapshot to miss.
        let is_newest = source.observed_at.is_none_or(|at| at <= cmd.observed_at);
        if is_end && is_newest && !done_before {
            let warehouses: Vec<_> = feed.warehouses.values().copied().collect();
            let warehouses = &warehouses;
            loop {
                let noted = self
                    .write(actor, move |tx| async move {
                        note_missing(&tx, feed.source, warehouses, feed.observed_at).await
                    })
                    .await?;
                if noted < MISSING_AT_ONCE {
                    break;
                }
            }
        }
        let fed = &Fed {
            id: feed.source,
            observed_at: cmd.observed_at,
            feed_version: cmd.version,
            full: is_end,
            rows: rows.len(),
            changed: rows.iter().filter(|row| row.changed()).count(),
            refused: rows.iter().filter(|row| row.refused.is_some()).count(),
            moved: rows.iter().any(|row| row.moved),
        };
        let answered = self
            .write_once(actor, Some(once), move |tx| async move {
                let source = sources::fed(&tx, fed).await?;
                Ok(json!({ "source": source.id }))
            })
            .await?;
        Ok(Synced {
            rows,
            replayed: answered.replayed,
        })
    }

    /// The feed as its rows are judged by. One that was taken before is not refused any more.
    async fn feed(
        &self,
        cmd: &Sync,
        done_before: bool,
    ) -> Result<(stock_source::Model, Feed), Failure> {
        let (source, warehouses) = sources::find(&self.db.read, &cmd.source)
            .await?
            .ok_or_else(|| Problem::not_found("stock source").at("input.source"))?;
        let now = self.clock.now();
        let mut checks = Checks::new();
        checks.hold(
            source.active || done_before,
            Code::InvalidInput,
            "input.source",
            "the source is not listened to",
        );
        checks.hold(
            cmd.observed_at <= now + CLOCK_TOLERANCE,
            Code::ClockSkew,
            "input.observedAt",
            &format!("{} is in the future; it is {now} here", cmd.observed_at),
        );
        checks.hold(
            cmd.rows.len() <= MOST_ROWS,
            Code::TooMany,
            "input.rows",
            &format!("a feed has at most {MOST_ROWS} rows"),
        );
        checks.done()?;
        let feed = Feed {
            source: source.id,
            code: source.code.clone(),
            warehouses,
            observed_at: cmd.observed_at,
            version: cmd.version,
        };
        Ok((source, feed))
    }
}
