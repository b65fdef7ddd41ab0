//! What state streams share: a snapshot, then every change exactly once, in the order of the log.
//!
//! A stream shows the rows of one table that match a condition. An event names the row that it
//! changed; the row is then read afresh: shown if it matches, removed if it did and no longer does.

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use async_graphql::{Context, Enum, Object};
use async_stream::try_stream;
use chrono::{DateTime, Utc};
use entity::ChannelId;
use futures_util::Stream;
use sea_orm::{
    ColumnTrait, Condition, DbBackend, EntityTrait, ModelTrait, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait,
};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use uuid::Uuid;

use super::cursor::Cursor;
use super::errors::{bad_input, fault};
use super::{app, principal};
use crate::access::Principal;
use crate::app::App;
use crate::events::{self, Logged};
use crate::http::Course;

/// How many events a subscriber may have missed to go on from its cursor; one that was away for
/// longer gets a snapshot.
pub(super) const MOST_MISSED: i64 = 50_000;

/// How many events of a page make a stream ask how far it is behind.
const MANY: usize = 500;

/// How many rows a snapshot shows at most; a board that wants more needs a filter.
pub(super) const MOST_SHOWN: u64 = 10_000;

/// How long any stream may be quiet before it says that it lives.
pub(super) const HEARTBEAT: std::time::Duration = std::time::Duration::from_secs(15);

/// What an item of a stream says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum UpdateKind {
    /// The node as it is at the beginning.
    Snapshot,
    /// The beginning is over; from here on come changes.
    SnapshotEnd,
    /// The node has changed, or has come to match the filter.
    Upsert,
    /// The node has ceased to match the filter; only its identifier is given.
    Remove,
    /// Nothing has happened for a while; the cursor is fresh.
    Heartbeat,
    /// The cursor cannot be resumed from; forget everything, a snapshot follows.
    Resync,
}

/// What an item of a stream says besides its node, and where the stream stands after it.
pub struct Moment {
    kind: UpdateKind,
    cursor: String,
    seq: i64,
    event: Option<String>,
    occurred_at: Option<DateTime<Utc>>,
}

/// What an item of a stream says besides its node.
#[Object]
impl Moment {
    /// What it says.
    async fn kind(&self) -> UpdateKind {
        self.kind
    }

    /// Where the stream stands after it; give it as `after` to go on from here.
    async fn cursor(&self) -> &str {
        &self.cursor
    }

    /// The position of its event in the log; that of the whole snapshot for its items.
    async fn seq(&self) -> i64 {
        self.seq
    }

    /// What happened: `order.received`, `order.confirmed` …; null where nothing did.
    async fn event(&self) -> Option<&str> {
        self.event.as_deref()
    }

    /// When it happened.
    async fn occurred_at(&self) -> Option<DateTime<Utc>> {
        self.occurred_at
    }
}

/// One item of a stream.
pub struct Item<M> {
    /// What it says.
    pub moment: Moment,
    /// The row that it is about; none where it is about none.
    pub id: Option<Uuid>,
    /// The row; none where it is about none, and for REMOVE.
    pub row: Option<M>,
}

/// What a stream shows.
pub struct Followed<E: EntityTrait> {
    /// Which rows, those that the caller may not see left out.
    pub matching: Condition,
    /// The column of their identifier.
    pub id: E::Column,
    /// The column of the order on whose timeline their changes stand.
    pub order_id: E::Column,
    /// Reads a row's identifier.
    pub key: fn(&E::Model) -> Uuid,
    /// The row that an event is about.
    pub named: fn(&Logged) -> Option<Uuid>,
}

/// A cursor works only for its own stream, filter and channels.
pub fn scope_of(principal: &Principal, stream: &str, filter: &impl std::fmt::Debug) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{stream} {:?} {filter:?}", principal.channels).hash(&mut hasher);
    hasher.finish()
}

/// A stream of one subscriber, or of many that follow the same.
pub struct Feed<E: EntityTrait> {
    app: Arc<App>,
    followed: Followed<E>,
    channels: Option<BTreeSet<ChannelId>>,
    scope: u64,
    /// Where the stream stands, and which rows it has shown and not removed: its transport may
    /// share it, and then others have a part in both.
    course: Arc<Course>,
}

impl<E> Feed<E>
where
    E: EntityTrait,
    E::Model: ModelTrait<Entity = E> + Send + Sync,
{
    /// A stream of the caller.
    pub fn new(
        ctx: &Context<'_>,
        scope: u64,
        followed: Followed<E>,
    ) -> async_graphql::Result<Feed<E>> {
        Ok(Feed {
            app: app(ctx).clone(),
            followed,
            channels: principal(ctx)?.channels.clone(),
            scope,
            course: ctx.data_opt::<Arc<Course>>().cloned().unwrap_or_default(),
        })
    }

    /// Runs the stream: from a cursor if there is one, else from a snapshot if one is wanted.
    pub fn run(
        self,
        after: Option<String>,
        mut snapshot: bool,
    ) -> async_graphql::Result<impl Stream<Item = async_graphql::Result<Item<E::Model>>>> {
        let after = self.course.after().or(after.as_deref());
        let after = after
            .map(|text| Cursor::read(text, self.scope))
            .transpose()?;
        Ok(try_stream! {
            self.course.turn().await;
            // First the hub, then the position, then the state. What happens from here on is in
            // the buffer; the state is at the position or ahead of it, never behind.
            let mut live = self.app.hub.subscribe().await.map_err(fault)?;
            let position = events::position(&self.app.db.read).await.map_err(fault)?;
            let epoch = position.epoch;
            let mut sent = position.last_seq;
            if let Some(after) = after {
                if after.resumes(position) && position.last_seq - after.seq <= MOST_MISSED {
                    sent = after.seq;
                    snapshot = false;
                    self.course.shows(self.shown_at(sent).await?);
                } else {
                    snapshot = true;
                    yield self.item(UpdateKind::Resync, epoch, sent, None, None);
                }
            }
            if snapshot {
                for row in self.rows().await? {
                    self.course.shows([(self.followed.key)(&row)]);
                    yield self.item(UpdateKind::Snapshot, epoch, sent, None, Some(row));
                }
                yield self.item(UpdateKind::SnapshotEnd, epoch, sent, None, None);
            } else if after.is_none() {
                self.course.shows(self.ids(self.followed.matching.clone()).await?);
            }
            // Whatever the log has behind what was sent; then what the hub brings. The log has no
            // holes, so anything but the next position means that the log must be read again.
            let mut behind = true;
            let mut quiet_until = Instant::now() + HEARTBEAT;
            loop {
                while behind {
                    let page = events::page(&self.app.db.read, sent).await.map_err(fault)?;
                    let many = page.len() >= MANY;
                    behind = !page.is_empty();
                    for row in page {
                        sent = row.seq;
                        if let Some(item) = self.delta(epoch, &Logged::new(row)).await? {
                            yield item;
                            quiet_until = Instant::now() + HEARTBEAT;
                        }
                    }
                    if many && self.is_left_behind(sent).await? {
                        self.course.left_behind();
                        return;
                    }
                }
                if self.course.is_alone() {
                    self.course.reached(sent, &self.cursor(epoch, sent));
                }
                match tokio::time::timeout_at(quiet_until, live.recv()).await {
                    Err(_) => {
                        yield self.item(UpdateKind::Heartbeat, epoch, sent, None, None);
                        quiet_until = Instant::now() + HEARTBEAT;
                    }
                    Ok(Ok(logged)) if logged.row.seq <= sent => {}
                    Ok(Ok(logged)) if logged.row.seq == sent + 1 => {
                        sent = logged.row.seq;
                        if let Some(item) = self.delta(epoch, &logged).await? {
                            yield item;
                            quiet_until = Instant::now() + HEARTBEAT;
                        }
                        behind = self.course.is_alone();
                    }
                    Ok(Ok(_)) | Ok(Err(RecvError::Lagged(_))) => behind = true,
                    Ok(Err(RecvError::Closed)) => break,
                }
            }
        })
    }

    /// The rows that match, by id. Refused if they are too many: nothing is left out silently.
    async fn rows(&self) -> async_graphql::Result<Vec<E::Model>> {
        let rows = E::find()
            .filter(self.followed.matching.clone())
            .order_by_asc(self.followed.id)
            .limit(MOST_SHOWN + 1)
            .all(&self.app.db.read)
            .await
            .map_err(fault)?;
        if rows.len() as u64 > MOST_SHOWN {
            return Err(bad_input(&format!(
                "more than {MOST_SHOWN} rows match: narrow the filter, or leave out the snapshot"
            )));
        }
        Ok(rows)
    }

    async fn ids(&self, which: Condition) -> async_graphql::Result<HashSet<Uuid>> {
        let ids: Vec<Uuid> = E::find()
            .select_only()
            .column(self.followed.id)
            .filter(which)
            .into_tuple()
            .all(&self.app.db.read)
            .await
            .map_err(fault)?;
        Ok(ids.into_iter().collect())
    }

    /// The rows that a subscriber at a position may have been shown: those that match now, and
    /// those of orders that have changed since. What matches is read first, then what waits for its
    /// position, then the log: an event that moves on meanwhile is still met once.
    async fn shown_at(&self, since: i64) -> async_graphql::Result<HashSet<Uuid>> {
        let of_orders = |orders| Condition::all().add(self.followed.order_id.in_subquery(orders));
        let mut ids = self.ids(self.followed.matching.clone()).await?;
        if self.app.db.backend == DbBackend::Postgres {
            use entity::outbox::{Column, Entity};
            let mine = self
                .channels
                .as_ref()
                .map(|channels| Column::ChannelId.is_in(channels.iter().copied()));
            let waiting = Entity::find()
                .select_only()
                .column(Column::OrderId)
                .filter(Column::OrderId.is_not_null())
                .filter(Condition::all().add_option(mine))
                .into_query();
            ids.extend(self.ids(of_orders(waiting)).await?);
        }
        use entity::event_log::{Column, Entity};
        let mine = self
            .channels
            .as_ref()
            .map(|channels| Column::ChannelId.is_in(channels.iter().copied()));
        let changed = Entity::find()
            .select_only()
            .column(Column::OrderId)
            .distinct()
            .filter(Column::Seq.gt(since))
            .filter(Column::OrderId.is_not_null())
            .filter(Condition::all().add_option(mine))
            .into_query();
        ids.extend(self.ids(of_orders(changed)).await?);
        Ok(ids)
    }

    /// What an event means to this subscriber: the row as it is now if it matches, its removal if
    /// it did and no longer does, nothing otherwise.
    async fn delta(
        &self,
        epoch: Uuid,
        logged: &Logged,
    ) -> async_graphql::Result<Option<Item<E::Model>>> {
        let seq = logged.row.seq;
        let Some(id) = (self.followed.named)(logged) else {
            self.course.passes(seq);
            return Ok(None);
        };
        let row = E::find()
            .filter(self.followed.id.eq(id))
            .filter(self.followed.matching.clone())
            .one(&self.app.db.read)
            .await
            .map_err(fault)?;
        Ok(match row {
            Some(row) => {
                self.course.shows([id]);
                Some(self.item(
                    UpdateKind::Upsert,
                    epoch,
                    seq,
                    Some((logged, id)),
                    Some(row),
                ))
            }
            None if self.course.hides(seq, id) => {
                Some(self.item(UpdateKind::Remove, epoch, seq, Some((logged, id)), None))
            }
            None => None,
        })
    }

    fn cursor(&self, epoch: Uuid, seq: i64) -> String {
        let scope = self.scope;
        Cursor { epoch, seq, scope }.write()
    }

    /// Whether there is more behind a position than any subscriber may have missed.
    async fn is_left_behind(&self, sent: i64) -> async_graphql::Result<bool> {
        let position = events::position(&self.app.db.read).await.map_err(fault)?;
        Ok(position.last_seq - sent > MOST_MISSED)
    }

    fn item(
        &self,
        kind: UpdateKind,
        epoch: Uuid,
        seq: i64,
        event: Option<(&Logged, Uuid)>,
        row: Option<E::Model>,
    ) -> Item<E::Model> {
        let logged = event.map(|(logged, _)| logged);
        let cursor = self.cursor(epoch, seq);
        // Who resumes within a snapshot would miss the rest of it.
        let whole = !matches!(kind, UpdateKind::Snapshot | UpdateKind::Resync);
        self.course.says(seq, whole.then_some(&*cursor));
        Item {
            moment: Moment {
                kind,
                cursor,
                seq,
                event: logged.map(|logged| logged.row.event_type.clone()),
                occurred_at: logged.map(|logged| logged.row.occurred_at),
            },
            id: event
                .map(|(_, id)| id)
                .or_else(|| row.as_ref().map(self.followed.key)),
            row,
        }
    }
}
