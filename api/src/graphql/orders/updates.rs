//! `orderUpdates`: a snapshot, then every change exactly once, in the order of the log.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Subscription};
use async_stream::try_stream;
use chrono::{DateTime, Utc};
use entity::{ChannelId, OrderId, order};
use futures_util::Stream;
use sea_orm::{
    ColumnTrait, Condition, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use super::Order;
use super::queries::OrderWhere;
use super::search::matching;
use crate::access::{Principal, Scope};
use crate::app::App;
use crate::events::{self, Logged};
use crate::graphql::cursor::Cursor;
use crate::graphql::errors::{bad_input, fault};
use crate::graphql::ids::to_global;
use crate::graphql::{Allowed, app, principal};

/// How many events a subscriber may have missed to go on from its cursor; one that was away for
/// longer gets a snapshot.
const MOST_MISSED: i64 = 50_000;

/// How many orders a snapshot shows at most; a board that wants more needs a filter.
const MOST_SHOWN: u64 = 10_000;

/// How long a stream may be quiet before it says that it lives.
const HEARTBEAT: std::time::Duration = std::time::Duration::from_secs(15);

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

/// One item of `orderUpdates`.
pub struct OrderUpdate {
    kind: UpdateKind,
    cursor: String,
    seq: i64,
    event: Option<String>,
    occurred_at: Option<DateTime<Utc>>,
    order_id: Option<OrderId>,
    order: Option<order::Model>,
}

/// One item of `orderUpdates`. Apply an order if its `version` is above what you have: an item
/// shows the order as it is when it is sent, which may be ahead of its event.
#[Object]
impl OrderUpdate {
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

    /// The order's identifier; null where it is about none.
    async fn order_id(&self) -> Option<ID> {
        self.order_id.map(to_global)
    }

    /// The order; null where it is about none, and for REMOVE.
    async fn order(&self) -> Option<Order> {
        self.order.clone().map(Order)
    }
}

/// Following orders.
#[derive(Default)]
pub struct OrderSubscription;

#[Subscription]
impl OrderSubscription {
    /// The orders that match, then every change of them: exactly once, in the order of the log,
    /// without a gap between the two. An order that ceases to match is removed. After a
    /// disconnect, give the last cursor as `after` and go on where you were. Needs the scope
    /// ORDERS_READ.
    #[graphql(guard = "Allowed(Scope::OrdersRead)")]
    async fn order_updates(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which orders; none = all that you may see.", name = "where")]
        filter: Option<OrderWhere>,
        #[graphql(
            desc = "What people type: `status:received customer:\"Alfreds\" total:>500`. With \
                    `where`, both must match."
        )]
        query: Option<String>,
        #[graphql(desc = "The cursor to go on from; the snapshot is then left out.")] after: Option<
            String,
        >,
        #[graphql(desc = "Whether to begin with the orders as they are.", default = true)]
        snapshot: bool,
    ) -> async_graphql::Result<impl Stream<Item = async_graphql::Result<OrderUpdate>>> {
        let caller = principal(ctx)?;
        let scope = scope_of(caller, filter.as_ref(), query.as_deref());
        let feed = Feed {
            app: app(ctx).clone(),
            matching: matching(caller, filter.as_ref(), query.as_deref())?,
            channels: caller.channels.clone(),
            scope,
            shown: HashSet::new(),
        };
        let after = after
            .map(|text| Cursor::read(&text, feed.scope))
            .transpose()?;
        Ok(feed.run(after, snapshot))
    }
}

/// A cursor works only for its own filter and channels.
fn scope_of(principal: &Principal, filter: Option<&OrderWhere>, query: Option<&str>) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    format!("{:?} {filter:?} {query:?}", principal.channels).hash(&mut hasher);
    hasher.finish()
}

/// One subscriber's stream.
struct Feed {
    app: Arc<App>,
    matching: Condition,
    channels: Option<BTreeSet<ChannelId>>,
    scope: u64,
    /// The orders that the subscriber has been shown and not told to remove.
    shown: HashSet<OrderId>,
}

impl Feed {
    fn run(
        mut self,
        after: Option<Cursor>,
        mut snapshot: bool,
    ) -> impl Stream<Item = async_graphql::Result<OrderUpdate>> {
        try_stream! {
            // First the hub, then the position, then the state. What happens from here on is in
            // the buffer; the state is at the position or ahead of it, never behind.
            let mut live = self.app.hub.subscribe().await.map_err(fault)?;
            let position = events::position(&self.app.db.read).await.map_err(fault)?;
            let epoch = position.epoch;
            let mut sent = position.last_seq;
            if let Some(after) = after {
                let known = after.epoch == epoch
                    && after.seq >= position.floor_seq
                    && after.seq <= position.last_seq
                    && position.last_seq - after.seq <= MOST_MISSED;
                if known {
                    sent = after.seq;
                    snapshot = false;
                    self.shown = self.shown_at(sent).await?;
                } else {
                    snapshot = true;
                    yield self.item(UpdateKind::Resync, epoch, sent, None, None);
                }
            }
            if snapshot {
                for row in self.rows().await? {
                    self.shown.insert(row.id);
                    yield self.item(UpdateKind::Snapshot, epoch, sent, None, Some(row));
                }
                yield self.item(UpdateKind::SnapshotEnd, epoch, sent, None, None);
            } else if after.is_none() {
                self.shown = self.matching_ids().await?;
            }
            // Whatever the log has behind what was sent; then what the hub brings. The log has no
            // holes, so anything but the next position means that the log must be read again.
            let mut behind = true;
            let mut quiet_until = Instant::now() + HEARTBEAT;
            loop {
                while behind {
                    let page = events::page(&self.app.db.read, sent).await.map_err(fault)?;
                    behind = !page.is_empty();
                    for row in page {
                        sent = row.seq;
                        if let Some(item) = self.delta(epoch, &Logged::new(row)).await? {
                            yield item;
                            quiet_until = Instant::now() + HEARTBEAT;
                        }
                    }
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
                    }
                    Ok(Ok(_)) | Ok(Err(RecvError::Lagged(_))) => behind = true,
                    Ok(Err(RecvError::Closed)) => break,
                }
            }
        }
    }

    /// The orders that match, by id. Refused if they are too many: nothing is left out silently.
    async fn rows(&self) -> async_graphql::Result<Vec<order::Model>> {
        let rows = order::Entity::find()
            .filter(self.matching.clone())
            .order_by_asc(order::Column::Id)
            .limit(MOST_SHOWN + 1)
            .all(&self.app.db.read)
            .await
            .map_err(fault)?;
        if rows.len() as u64 > MOST_SHOWN {
            return Err(bad_input(&format!(
                "more than {MOST_SHOWN} orders match: narrow the filter, or leave out the snapshot"
            )));
        }
        Ok(rows)
    }

    async fn matching_ids(&self) -> async_graphql::Result<HashSet<OrderId>> {
        let ids: Vec<OrderId> = order::Entity::find()
            .select_only()
            .column(order::Column::Id)
            .filter(self.matching.clone())
            .into_tuple()
            .all(&self.app.db.read)
            .await
            .map_err(fault)?;
        Ok(ids.into_iter().collect())
    }

    /// The orders that a subscriber at a position may have been shown: those that match now, and
    /// those that have changed since. What matches is read first, then what waits for its
    /// position, then the log: an event that moves on meanwhile is still met once.
    async fn shown_at(&self, since: i64) -> async_graphql::Result<HashSet<OrderId>> {
        let mut ids = self.matching_ids().await?;
        let db = &self.app.db.read;
        if self.app.db.backend == DbBackend::Postgres {
            use entity::outbox::{Column, Entity};
            let mine = self
                .channels
                .as_ref()
                .map(|channels| Column::ChannelId.is_in(channels.iter().copied()));
            let waiting: Vec<OrderId> = Entity::find()
                .select_only()
                .column(Column::OrderId)
                .filter(Column::OrderId.is_not_null())
                .filter(Condition::all().add_option(mine))
                .into_tuple()
                .all(db)
                .await
                .map_err(fault)?;
            ids.extend(waiting);
        }
        use entity::event_log::{Column, Entity};
        let mine = self
            .channels
            .as_ref()
            .map(|channels| Column::ChannelId.is_in(channels.iter().copied()));
        let changed: Vec<OrderId> = Entity::find()
            .select_only()
            .column(Column::OrderId)
            .distinct()
            .filter(Column::Seq.gt(since))
            .filter(Column::OrderId.is_not_null())
            .filter(Condition::all().add_option(mine))
            .into_tuple()
            .all(db)
            .await
            .map_err(fault)?;
        ids.extend(changed);
        Ok(ids)
    }

    /// What an event means to this subscriber: the order as it is now if it matches, its removal
    /// if it did and no longer does, nothing otherwise.
    async fn delta(
        &mut self,
        epoch: uuid::Uuid,
        logged: &Logged,
    ) -> async_graphql::Result<Option<OrderUpdate>> {
        let Some(id) = logged.order_id() else {
            return Ok(None);
        };
        let row = order::Entity::find_by_id(id)
            .filter(self.matching.clone())
            .one(&self.app.db.read)
            .await
            .map_err(fault)?;
        let seq = logged.row.seq;
        Ok(match row {
            Some(row) => {
                self.shown.insert(id);
                Some(self.item(UpdateKind::Upsert, epoch, seq, Some(logged), Some(row)))
            }
            None if self.shown.remove(&id) => {
                Some(self.item(UpdateKind::Remove, epoch, seq, Some(logged), None))
            }
            None => None,
        })
    }

    fn item(
        &self,
        kind: UpdateKind,
        epoch: uuid::Uuid,
        seq: i64,
        logged: Option<&Logged>,
        order: Option<order::Model>,
    ) -> OrderUpdate {
        OrderUpdate {
            kind,
            cursor: Cursor {
                epoch,
                seq,
                scope: self.scope,
            }
            .write(),
            seq,
            event: logged.map(|logged| logged.row.event_type.clone()),
            occurred_at: logged.map(|logged| logged.row.occurred_at),
            order_id: logged
                .and_then(Logged::order_id)
                .or_else(|| order.as_ref().map(|order| order.id)),
            order,
        }
    }
}
