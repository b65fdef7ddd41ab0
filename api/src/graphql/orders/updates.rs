//! `orderUpdates`: a snapshot, then every change exactly once, in the order of the log.

use std::collections::HashSet;
use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Subscription};
use async_stream::try_stream;
use chrono::{DateTime, Utc};
use entity::{OrderId, order};
use futures_util::Stream;
use sea_orm::{
    AccessMode, ColumnTrait, Condition, DatabaseTransaction, EntityTrait, IsolationLevel,
    QueryFilter, QueryOrder, QuerySelect, TransactionOptions, TransactionTrait,
};
use tokio::sync::broadcast::error::RecvError;

use super::Order;
use super::queries::{OrderWhere, visible};
use crate::access::{Principal, Scope};
use crate::app::App;
use crate::events::{self, Logged};
use crate::failure::Failure;
use crate::graphql::cursor::Cursor;
use crate::graphql::errors::{bad_input, fault};
use crate::graphql::filters::condition;
use crate::graphql::ids::to_global;
use crate::graphql::{Allowed, app, principal};

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
        #[graphql(desc = "The cursor to go on from; the snapshot is then left out.")] after: Option<
            String,
        >,
        #[graphql(desc = "Whether to begin with the orders as they are.", default = true)]
        snapshot: bool,
    ) -> async_graphql::Result<impl Stream<Item = async_graphql::Result<OrderUpdate>>> {
        let scope = scope_of(principal(ctx)?, filter.as_ref())?;
        let feed = Feed {
            app: app(ctx).clone(),
            matching: visible(principal(ctx)?).add(condition(filter.as_ref())?),
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
fn scope_of(principal: &Principal, filter: Option<&OrderWhere>) -> async_graphql::Result<u64> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    format!("{:?} {filter:?}", principal.channels).hash(&mut hasher);
    Ok(hasher.finish())
}

/// One subscriber's stream.
struct Feed {
    app: Arc<App>,
    matching: Condition,
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
            // Before the state is read: what happens from now on is in the buffer.
            let mut live = self.app.hub.subscribe().await.map_err(fault)?;
            let state = self.snapshot().await?;
            let position = events::position(&state).await.map_err(fault)?;
            let mut sent = position.last_seq;
            if let Some(after) = after {
                let known = after.epoch == position.epoch
                    && after.seq >= position.floor_seq
                    && after.seq <= position.last_seq;
                if known {
                    sent = after.seq;
                    snapshot = false;
                    // What the subscriber was shown before is what matches now or has changed since.
                    self.shown = self.ids(&state, sent).await?;
                } else {
                    snapshot = true;
                    yield self.item(UpdateKind::Resync, position.epoch, sent, None, None);
                }
            }
            let mut first_view = Vec::new();
            if snapshot {
                first_view = self.rows(&state).await?;
            } else if after.is_none() {
                self.shown = self.ids(&state, sent).await?;
            }
            // The view ends before anything is sent: a slow reader must not keep it open.
            state.rollback().await.map_err(fault)?;
            if snapshot {
                for row in first_view {
                    self.shown.insert(row.id);
                    yield self.item(UpdateKind::Snapshot, position.epoch, sent, None, Some(row));
                }
                yield self.item(UpdateKind::SnapshotEnd, position.epoch, sent, None, None);
            }
            // Whatever is in the log behind the state: for a resumed stream, what it missed.
            loop {
                let page = events::page(&self.app.db.read, sent).await.map_err(fault)?;
                if page.is_empty() { break }
                for row in page {
                    sent = row.seq;
                    if let Some(item) = self.delta(position.epoch, &Logged::new(row)).await? {
                        yield item;
                    }
                }
            }
            loop {
                match tokio::time::timeout(HEARTBEAT, live.recv()).await {
                    Err(_) => {
                        yield self.item(UpdateKind::Heartbeat, position.epoch, sent, None, None);
                    }
                    Ok(Ok(logged)) if logged.row.seq <= sent => {}
                    Ok(Ok(logged)) => {
                        sent = logged.row.seq;
                        if let Some(item) = self.delta(position.epoch, &logged).await? {
                            yield item;
                        }
                    }
                    // Too slow for the buffer: the log has what fell out of it.
                    Ok(Err(RecvError::Lagged(_))) => loop {
                        let page = events::page(&self.app.db.read, sent).await.map_err(fault)?;
                        if page.is_empty() { break }
                        for row in page {
                            sent = row.seq;
                            if let Some(item) = self.delta(position.epoch, &Logged::new(row)).await? {
                                yield item;
                            }
                        }
                    },
                    Ok(Err(RecvError::Closed)) => break,
                }
            }
        }
    }

    /// A view of the database in which the state and the log's position belong together. On
    /// PostgreSQL it comes from the pool whose connections survive a subscriber that goes away
    /// while the transaction begins.
    #[allow(
        clippy::disallowed_methods,
        reason = "a snapshot is read-only and no use case"
    )]
    async fn snapshot(&self) -> async_graphql::Result<DatabaseTransaction> {
        let options = TransactionOptions {
            isolation_level: (self.app.db.backend == sea_orm::DbBackend::Postgres)
                .then_some(IsolationLevel::RepeatableRead),
            access_mode: (self.app.db.backend == sea_orm::DbBackend::Postgres)
                .then_some(AccessMode::ReadOnly),
            ..Default::default()
        };
        let db = &self.app.db;
        let pool = match db.backend {
            sea_orm::DbBackend::Postgres => &db.write,
            _ => &db.read,
        };
        pool.begin_with_options(options)
            .await
            .map_err(|error| fault(Failure::from(error)))
    }

    /// The orders that match, by id. Refused if they are too many: nothing is left out silently.
    async fn rows(&self, state: &DatabaseTransaction) -> async_graphql::Result<Vec<order::Model>> {
        let rows = order::Entity::find()
            .filter(self.matching.clone())
            .order_by_asc(order::Column::Id)
            .limit(MOST_SHOWN + 1)
            .all(state)
            .await
            .map_err(fault)?;
        if rows.len() as u64 > MOST_SHOWN {
            return Err(bad_input(&format!(
                "more than {MOST_SHOWN} orders match: narrow the filter, or leave out the snapshot"
            )));
        }
        Ok(rows)
    }

    /// The orders that match now, and those that matched at a position and have changed since:
    /// the latter are told apart when their events are replayed.
    async fn ids(
        &self,
        state: &DatabaseTransaction,
        since: i64,
    ) -> async_graphql::Result<HashSet<OrderId>> {
        let mut ids: HashSet<OrderId> = order::Entity::find()
            .select_only()
            .column(order::Column::Id)
            .filter(self.matching.clone())
            .into_tuple()
            .all(state)
            .await
            .map_err(fault)?
            .into_iter()
            .collect();
        ids.extend(
            entity::event_log::Entity::find()
                .select_only()
                .column(entity::event_log::Column::OrderId)
                .filter(entity::event_log::Column::Seq.gt(since))
                .filter(entity::event_log::Column::OrderId.is_not_null())
                .into_tuple::<OrderId>()
                .all(state)
                .await
                .map_err(fault)?,
        );
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
