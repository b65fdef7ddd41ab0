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
use tracing::Span;
use uuid::Uuid;

use super::cursor::Cursor;
use super::errors::{bad_input, fault};
use super::reader::{self, Anew, Reader, Step};
use super::{app, principal};
use crate::access::Principal;
use crate::app::App;
use crate::events::Logged;
use crate::http::Course;

/// How many rows a snapshot shows at most; a board that wants more needs a filter.
pub(super) const MOST_SHOWN: u64 = 10_000;

/// The event by which an order leaves its table.
const ARCHIVED: &str = "order.archived";

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
    /// Ends with the item, when it has been written.
    _delivery: Span,
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
        snapshot: bool,
    ) -> async_graphql::Result<impl Stream<Item = async_graphql::Result<Item<E::Model>>>> {
        let after = reader::after(&self.course, after.as_deref(), self.scope)?;
        Ok(try_stream! {
            let (app, course) = (self.app.clone(), self.course.clone());
            let (all, anew) = (Condition::all(), Anew::AtTheEnd);
            let reader = Reader::begin(app, course, all, anew, self.scope, after);
            let mut reader = reader.await.map_err(fault)?;
            while let Some(step) = reader.next(None).await.map_err(fault)? {
                match step {
                    Step::Begun if !snapshot => {
                        self.course.shows(self.ids(self.followed.matching.clone()).await?);
                    }
                    Step::Resumed => self.course.shows(self.shown_at(reader.at().seq).await?),
                    Step::Begun | Step::Lost => {
                        if matches!(step, Step::Lost) {
                            yield self.item(UpdateKind::Resync, reader.at(), None, None);
                        }
                        for row in self.rows().await? {
                            self.course.shows([(self.followed.key)(&row)]);
                            yield self.item(UpdateKind::Snapshot, reader.at(), None, Some(row));
                        }
                        yield self.item(UpdateKind::SnapshotEnd, reader.at(), None, None);
                        reader.spoke();
                    }
                    Step::Event(logged) => {
                        if let Some(item) = self.delta(reader.at(), &logged).await? {
                            yield item;
                            reader.spoke();
                        }
                    }
                    Step::Quiet => {
                        yield self.item(UpdateKind::Heartbeat, reader.at(), None, None);
                    }
                    Step::Due => {}
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
    /// those of orders that have changed since, also if these were put away. What matches is read first, then what waits for its
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
                .filter(Condition::all().add_option(mine));
            let put_away = waiting.clone().filter(Column::EventType.eq(ARCHIVED));
            let put_away: Vec<Uuid> = put_away
                .into_tuple()
                .all(&self.app.db.read)
                .await
                .map_err(fault)?;
            ids.extend(put_away);
            ids.extend(self.ids(of_orders(waiting.into_query())).await?);
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
            .filter(Condition::all().add_option(mine));
        let put_away = changed.clone().filter(Column::EventType.eq(ARCHIVED));
        let put_away: Vec<Uuid> = put_away
            .into_tuple()
            .all(&self.app.db.read)
            .await
            .map_err(fault)?;
        ids.extend(put_away);
        ids.extend(self.ids(of_orders(changed.into_query())).await?);
        Ok(ids)
    }

    /// What an event means to this subscriber: the row as it is now if it matches, its removal if
    /// it did and no longer does, nothing otherwise.
    async fn delta(
        &self,
        at: Cursor,
        logged: &Logged,
    ) -> async_graphql::Result<Option<Item<E::Model>>> {
        let Some(id) = (self.followed.named)(logged) else {
            self.course.passes(at.seq);
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
                Some(self.item(UpdateKind::Upsert, at, Some((logged, id)), Some(row)))
            }
            None if self.course.hides(at.seq, id) => {
                Some(self.item(UpdateKind::Remove, at, Some((logged, id)), None))
            }
            None => None,
        })
    }

    fn item(
        &self,
        kind: UpdateKind,
        at: Cursor,
        event: Option<(&Logged, Uuid)>,
        row: Option<E::Model>,
    ) -> Item<E::Model> {
        let logged = event.map(|(logged, _)| logged);
        let cursor = at.write();
        // Who resumes within a snapshot would miss the rest of it.
        let whole = !matches!(kind, UpdateKind::Snapshot | UpdateKind::Resync);
        self.course.says(at.seq, whole.then_some(&*cursor));
        Item {
            moment: Moment {
                kind,
                cursor,
                seq: at.seq,
                event: logged.map(|logged| logged.row.event_type.clone()),
                occurred_at: logged.map(|logged| logged.row.occurred_at),
                _delivery: logged.map_or_else(Span::none, |logged| logged.delivery()),
            },
            id: event
                .map(|(_, id)| id)
                .or_else(|| row.as_ref().map(self.followed.key)),
            row,
        }
    }
}
