//! `orderUpdates` and `exceptionQueue`: the streams of orders and of what waits for a person.

use async_graphql::{Context, ID, MergedObject, Object, Subscription};
use entity::{ExceptionId, OrderId, order, order_exception};
use futures_util::{Stream, StreamExt};

use super::queries::{ExceptionWhere, OrderWhere, queue, visible_exceptions};
use super::search::matching;
use super::{Order, OrderException};
use crate::access::Scope;
use crate::graphql::errors::bad_input;
use crate::graphql::feed::{Feed, Followed, Item, Moment, scope_of};
use crate::graphql::ids::to_global;
use crate::graphql::shelf::shelf;
use crate::graphql::{Allowed, app, principal};

/// One item of `orderUpdates`. Apply an order if its `version` is above what you have: an item
/// shows the order as it is when it is sent, which may be ahead of its event.
#[derive(MergedObject)]
pub struct OrderUpdate(Moment, UpdatedOrder);

/// The order of an item.
pub struct UpdatedOrder {
    id: Option<OrderId>,
    row: Option<order::Model>,
}

/// The order of an item.
#[Object]
impl UpdatedOrder {
    /// The order's identifier; null where it is about none.
    async fn order_id(&self) -> Option<ID> {
        self.id.map(to_global)
    }

    /// The order; null where it is about none, and for REMOVE.
    async fn order(&self, ctx: &Context<'_>) -> Option<Order> {
        let row = self.row.clone()?;
        if let Some(shelf) = shelf(ctx) {
            shelf.is_back(row.id);
        }
        Some(Order(row))
    }
}

impl From<Item<order::Model>> for OrderUpdate {
    fn from(item: Item<order::Model>) -> Self {
        let order = UpdatedOrder {
            id: item.id.map(OrderId),
            row: item.row,
        };
        OrderUpdate(item.moment, order)
    }
}

/// One item of `exceptionQueue`. It shows the exception as it is when the item is sent, which may be
/// ahead of its event.
#[derive(MergedObject)]
pub struct ExceptionUpdate(Moment, UpdatedException);

/// The exception of an item.
pub struct UpdatedException {
    id: Option<ExceptionId>,
    row: Option<order_exception::Model>,
}

/// The exception of an item.
#[Object]
impl UpdatedException {
    /// The exception's identifier; null where it is about none.
    async fn exception_id(&self) -> Option<ID> {
        self.id.map(to_global)
    }

    /// The exception; null where it is about none, and for REMOVE.
    async fn exception(&self) -> Option<OrderException> {
        self.row.clone().map(OrderException::from)
    }
}

impl From<Item<order_exception::Model>> for ExceptionUpdate {
    fn from(item: Item<order_exception::Model>) -> Self {
        let exception = UpdatedException {
            id: item.id.map(ExceptionId),
            row: item.row,
        };
        ExceptionUpdate(item.moment, exception)
    }
}

/// Following orders and their exceptions.
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
        let scope = scope_of(caller, "orderUpdates", &(&filter, &query));
        let followed = Followed {
            matching: matching(caller, filter.as_ref(), query.as_deref())?,
            id: order::Column::Id,
            order_id: order::Column::Id,
            key: |row: &order::Model| row.id.0,
            named: |logged| logged.order_id().map(|id| id.0),
        };
        let feed = Feed::<order::Entity>::new(ctx, scope, followed)?;
        Ok(feed
            .run(after, snapshot)?
            .map(|item| item.map(OrderUpdate::from)))
    }

    /// The queue of exceptions, then every change of it, as `orderUpdates`: an exception that is
    /// settled, is put out of sight or ceases to match otherwise is removed; one that comes back
    /// is shown again. What `where` leaves open is as in `exceptions`; `overdue` changes with the
    /// time and not by an event, and is an error here (BAD_USER_INPUT): compare `dueAt` yourself.
    /// Needs the scope ORDERS_READ.
    #[graphql(guard = "Allowed(Scope::OrdersRead)")]
    async fn exception_queue(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "Which exceptions; none = all that you may see.",
            name = "where"
        )]
        filter: Option<ExceptionWhere>,
        #[graphql(desc = "The cursor to go on from; the snapshot is then left out.")] after: Option<
            String,
        >,
        #[graphql(desc = "Whether to begin with the queue as it is.", default = true)]
        snapshot: bool,
    ) -> async_graphql::Result<impl Stream<Item = async_graphql::Result<ExceptionUpdate>>> {
        let caller = principal(ctx)?;
        let scope = scope_of(caller, "exceptionQueue", &filter);
        let timed = |one: &ExceptionWhere| one.overdue.is_some();
        if filter.as_ref().is_some_and(|filter| filter.speaks(&timed)) {
            return Err(bad_input("a stream cannot be filtered by overdue"));
        }
        let now = app(ctx).clock.now();
        let followed = Followed {
            matching: visible_exceptions(caller).add(queue(filter, now)?),
            id: order_exception::Column::Id,
            order_id: order_exception::Column::OrderId,
            key: |row: &order_exception::Model| row.id.0,
            named: |logged| logged.event.as_ref()?.exception(),
        };
        let feed = Feed::<order_exception::Entity>::new(ctx, scope, followed)?;
        Ok(feed
            .run(after, snapshot)?
            .map(|item| item.map(ExceptionUpdate::from)))
    }
}
