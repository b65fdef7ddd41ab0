//! Actions on many orders: starting them, what became of each order, and their progress.

use std::collections::{BTreeMap, BTreeSet};

use async_graphql::{Context, Enum, ID, InputObject, Object, OneofObject, Subscription};
use chrono::{DateTime, Utc};
use entity::{BulkOperationId, ChannelId, OrderId, bulk_operation, bulk_row, order};
use futures_util::Stream;
use sea_orm::{ColumnTrait, EntityTrait, Order as Direction, QueryFilter};
use serde::Serialize;

use super::queries::{OrderWhere, visible};
use super::search::matching;
use super::{Order, order_of};
use crate::access::{Principal, Scope};
use crate::app::App;
use crate::failure::{Code, Failure, Problem};
use crate::graphql::command::payloads;
use crate::graphql::errors::{bad_input, fault, outcome};
use crate::graphql::ids::{from_global, from_globals, to_global};
use crate::graphql::loaders::load;
use crate::graphql::once::{mark_replayed, once};
use crate::graphql::pagination::{Rows, Sort, cost, page};
use crate::graphql::progress::{Progress, follow};
use crate::graphql::{Allowed, actor, app, principal};
use crate::orders::bulk::{self, Selection, Start, Work};
use crate::orders::queue::Receiver;

/// How many orders can be named one by one.
const MOST_NAMED: usize = 1_000;

/// What is done to each order of an operation. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::bulk_operation::Action")]
pub enum BulkAction {
    /// It is cancelled.
    Cancel,
    /// It is stopped.
    Hold,
    /// Every hold that stands on it is lifted.
    ReleaseHold,
    /// Its gates are tried again, and it is released to staging if all are green.
    Confirm,
    /// Its open exceptions are given to somebody.
    Assign,
    /// Tags are put on it.
    AddTags,
    /// Tags are taken off it.
    RemoveTags,
}

/// Where an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::bulk_operation::State")]
pub enum BulkOperationState {
    /// Orders wait to be done.
    Running,
    /// Every order has its outcome.
    Completed,
    /// Somebody stopped it; what was done stays done.
    Cancelled,
}

/// What became of an order in an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::bulk_row::Outcome")]
pub enum BulkOutcome {
    /// Not done yet.
    Pending,
    /// Done; in a dry run, it would be.
    Changed,
    /// Refused, with a code; nothing was changed.
    Refused,
    /// A fault of ours; nothing was changed.
    Failed,
    /// The operation was stopped before.
    Skipped,
}

/// Which orders: exactly one of these. The selection is taken once, when the operation starts.
#[derive(Clone, Debug, OneofObject)]
pub enum OrderSelection {
    /// These, 1 to 1,000. One that is not there, or that you may not see, is refused as such in
    /// its row.
    Ids(Vec<ID>),
    /// All that match and that you may see, at most 10,000.
    Where(Box<OrderWhere>),
    /// All that a query finds, written as for `orders(query:)`, at most 10,000. One without a word
    /// finds everything that you may see.
    Query(String),
}

/// An action on many orders that has its reason.
#[derive(Clone, Debug, InputObject)]
pub struct OrderBulkStopInput {
    /// Which orders.
    pub orders: OrderSelection,
    /// Why, on each order's timeline: 1 to 4,000 characters.
    pub reason: String,
    /// Whether only to say what it would come to. Nothing is changed.
    #[graphql(default)]
    pub dry_run: bool,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    pub idempotency_key: Option<String>,
}

/// An action on many orders.
#[derive(Clone, Debug, InputObject)]
pub struct OrderBulkInput {
    /// Which orders.
    pub orders: OrderSelection,
    /// Whether only to say what it would come to. Nothing is changed.
    #[graphql(default)]
    pub dry_run: bool,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    pub idempotency_key: Option<String>,
}

/// Gives the exceptions of many orders to somebody.
#[derive(Clone, Debug, InputObject)]
pub struct OrderBulkAssignInput {
    /// Which orders.
    pub orders: OrderSelection,
    /// To whom. Not given: to nobody of the queue.
    pub owner: Option<String>,
    /// To which team's queue. Not given: each exception stays in its own.
    pub queue: Option<String>,
    /// Whether only to say what it would come to. Nothing is changed.
    #[graphql(default)]
    pub dry_run: bool,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    pub idempotency_key: Option<String>,
}

/// Tags for many orders.
#[derive(Clone, Debug, InputObject)]
pub struct OrderBulkTagsInput {
    /// Which orders.
    pub orders: OrderSelection,
    /// The tags: 1 to 50, each of 1 to 50 characters. Case does not matter.
    pub tags: Vec<String>,
    /// Whether only to say what it would come to. Nothing is changed.
    #[graphql(default)]
    pub dry_run: bool,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    pub idempotency_key: Option<String>,
}

/// Stops an operation.
#[derive(Clone, Debug, InputObject)]
pub struct BulkOperationCancelInput {
    /// Which operation.
    pub id: ID,
}

/// An action on many orders.
#[derive(Clone)]
pub struct BulkOperation {
    row: bulk_operation::Model,
    counts: BTreeMap<String, i64>,
}

impl BulkOperation {
    async fn read(app: &App, id: BulkOperationId) -> Result<Option<BulkOperation>, Failure> {
        // The counts first: a state that is later than they are does not say that it has ended
        // while rows seem to wait, except where it was read between the two.
        let counts = bulk::counts(&app.db.read, id).await?;
        let row = bulk_operation::Entity::find_by_id(id)
            .one(&app.db.read)
            .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let counts = match row.state {
            bulk_operation::State::Running => counts,
            // Nothing changes any more.
            _ => bulk::counts(&app.db.read, id).await?,
        };
        Ok(Some(BulkOperation { row, counts }))
    }

    /// The operation over its row, if the caller sees it.
    pub async fn of(
        ctx: &Context<'_>,
        row: bulk_operation::Model,
    ) -> async_graphql::Result<Option<BulkOperation>> {
        if !sees(principal(ctx)?, &row) {
            return Ok(None);
        }
        BulkOperation::read(app(ctx), row.id).await.map_err(fault)
    }

    fn count(&self, outcome: &str) -> i64 {
        self.counts.get(outcome).copied().unwrap_or(0)
    }
}

impl Progress for BulkOperation {
    fn has_ended(&self) -> bool {
        self.row.state != bulk_operation::State::Running
    }

    fn is_as(&self, before: &Self) -> bool {
        self.counts == before.counts
    }
}

/// Whether a caller sees an operation: one that is confined to channels sees those whose starter
/// was confined to some of them.
fn sees(principal: &Principal, row: &bulk_operation::Model) -> bool {
    let Some(mine) = &principal.channels else {
        return true;
    };
    let of: Option<BTreeSet<ChannelId>> = row
        .channels
        .clone()
        .and_then(|channels| serde_json::from_value(channels).ok());
    of.is_some_and(|of| of.is_subset(mine))
}

/// An action on many orders: each is changed by itself, by the command that changes a single one.
#[Object]
impl BulkOperation {
    /// Its identifier. Inside is the correlation id of what it did on the orders' timelines.
    pub async fn id(&self) -> ID {
        to_global(self.row.id)
    }

    /// What is done to each order.
    async fn action(&self) -> BulkAction {
        self.row.action.into()
    }

    /// Why; null for an action that needs no reason.
    async fn reason(&self) -> Option<&str> {
        self.row.input["reason"].as_str()
    }

    /// The tags that are put on or taken off; null for another action.
    async fn tags(&self) -> Option<Vec<&str>> {
        let tags = self.row.input["tags"].as_array()?;
        Some(tags.iter().filter_map(|tag| tag.as_str()).collect())
    }

    /// To whom exceptions are given; null for another action, or if to nobody of the queue.
    async fn owner(&self) -> Option<&str> {
        self.row.input["to"]["owner"].as_str()
    }

    /// To which team's queue exceptions are given; null for another action, or if each stays in its
    /// own.
    async fn queue(&self) -> Option<&str> {
        self.row.input["to"]["queue"].as_str()
    }

    /// Whether it only says what it would come to.
    async fn dry_run(&self) -> bool {
        self.row.dry_run
    }

    /// Where it stands.
    async fn state(&self) -> BulkOperationState {
        self.row.state.into()
    }

    /// How many orders were selected.
    async fn total(&self) -> i64 {
        self.row.total
    }

    /// How many are not done yet.
    async fn pending(&self) -> i64 {
        self.count("PENDING")
    }

    /// How many were changed; in a dry run, how many would be.
    async fn changed(&self) -> i64 {
        self.count("CHANGED")
    }

    /// How many were refused.
    async fn refused(&self) -> i64 {
        self.count("REFUSED")
    }

    /// How many failed by a fault of ours.
    async fn failed(&self) -> i64 {
        self.count("FAILED")
    }

    /// How many were left as they are because the operation was stopped.
    async fn skipped(&self) -> i64 {
        self.count("SKIPPED")
    }

    /// Who started it.
    async fn started_by(&self) -> &str {
        &self.row.started_by
    }

    /// When it started.
    async fn started_at(&self) -> DateTime<Utc> {
        self.row.started_at
    }

    /// When its last order was done, or it was stopped; null while it runs.
    async fn finished_at(&self) -> Option<DateTime<Utc>> {
        self.row.finished_at
    }

    /// What became of each order, in the order of the selection: the oldest first.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn rows(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only those with this outcome.")] outcome: Option<BulkOutcome>,
        #[graphql(desc = "How many; at most 250, 50 if not given.")] first: Option<i32>,
        #[graphql(desc = "The cursor behind which the page begins.")] after: Option<String>,
    ) -> async_graphql::Result<Rows<BulkRow>> {
        let mut rows =
            bulk_row::Entity::find().filter(bulk_row::Column::OperationId.eq(self.row.id));
        if let Some(outcome) = outcome {
            let outcome = bulk_row::Outcome::from(outcome);
            rows = rows.filter(bulk_row::Column::Outcome.eq(outcome));
        }
        let sort = Sort {
            column: bulk_row::Column::Position,
            id: bulk_row::Column::OrderId,
            order: Direction::Asc,
            key: |row: &bulk_row::Model| (row.position, row.order_id.0),
        };
        page(app(ctx), rows, sort, first, after, BulkRow).await
    }
}

/// What became of one order.
pub struct BulkRow(bulk_row::Model);

/// What became of one order of an operation.
#[Object]
impl BulkRow {
    /// Its place in the selection: 1, 2, 3 …
    async fn position(&self) -> i64 {
        self.0.position
    }

    /// The order's identifier.
    async fn order_id(&self) -> ID {
        to_global(self.0.order_id)
    }

    /// The order as it is now; null if it is not there, or you may not see it.
    async fn order(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Order>> {
        Ok(order_of(ctx, self.0.order_id).await?.map(Order))
    }

    /// What became of it.
    async fn outcome(&self) -> BulkOutcome {
        self.0.outcome.into()
    }

    /// Why it was refused, for programs; null if it was not.
    async fn code(&self) -> Option<Code> {
        let code = self.0.code.clone()?;
        serde_json::from_value(code.into()).ok()
    }

    /// Why it was refused, for people, in English; null if it was not.
    async fn message(&self) -> Option<&str> {
        self.0.message.as_deref()
    }

    /// When it was done; null while it waits.
    async fn done_at(&self) -> Option<DateTime<Utc>> {
        self.0.done_at
    }
}

payloads! {
    /// What the start, or the stop, of an action on many orders came to.
    BulkOperationPayload {
        /// The operation. One of at most 100 orders has ended already; a larger one goes on: follow
        /// it with `bulkProgress`. Null if it was refused.
        operation: BulkOperation
    }
}

/// Reading operations.
#[derive(Default)]
pub struct BulkQuery;

#[Object]
impl BulkQuery {
    /// An action on many orders; null if there is none that you may see. Needs the scope
    /// ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn bulk_operation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which operation.")] id: ID,
    ) -> async_graphql::Result<Option<BulkOperation>> {
        match from_global::<BulkOperationId>(&id, "id") {
            Ok(id) => match load(ctx, id).await? {
                Some(row) => BulkOperation::of(ctx, row).await,
                None => Ok(None),
            },
            Err(_) => Ok(None),
        }
    }
}

/// Acting on many orders.
#[derive(Default)]
pub struct BulkMutation;

#[Object]
impl BulkMutation {
    /// Cancels orders, each as `orderCancel` does. An order that cannot be cancelled, or is
    /// already, is refused in its row (ORDER_NOT_CANCELLABLE). Errors: IDEMPOTENCY_KEY_REUSED,
    /// INVALID_INPUT, NOT_FOUND, TOO_MANY. Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn order_bulk_cancel(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which orders, and why.")] input: OrderBulkStopInput,
    ) -> async_graphql::Result<BulkOperationPayload> {
        let work = Work::Cancel {
            reason: input.reason,
        };
        let (dry_run, key) = (input.dry_run, input.idempotency_key);
        start(ctx, "orderBulkCancel", work, input.orders, dry_run, key).await
    }

    /// Stops orders, each as `orderHold` does; an order that is held gets one hold more. Errors:
    /// IDEMPOTENCY_KEY_REUSED, INVALID_INPUT, NOT_FOUND, TOO_MANY. Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn order_bulk_hold(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which orders, and why.")] input: OrderBulkStopInput,
    ) -> async_graphql::Result<BulkOperationPayload> {
        let work = Work::Hold {
            reason: input.reason,
        };
        let (dry_run, key) = (input.dry_run, input.idempotency_key);
        start(ctx, "orderBulkHold", work, input.orders, dry_run, key).await
    }

    /// Lifts every hold that stands on the orders, each as `orderReleaseHold` does. An order
    /// without one is refused in its row (HOLD_NOT_ACTIVE). Errors: IDEMPOTENCY_KEY_REUSED,
    /// NOT_FOUND, TOO_MANY. Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn order_bulk_release_hold(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which orders.")] input: OrderBulkInput,
    ) -> async_graphql::Result<BulkOperationPayload> {
        let (dry_run, key) = (input.dry_run, input.idempotency_key);
        start(
            ctx,
            "orderBulkReleaseHold",
            Work::ReleaseHold,
            input.orders,
            dry_run,
            key,
        )
        .await
    }

    /// Tries the gates of orders again, asks for stock that they lack, and releases to staging what
    /// is green. It overrides nothing: an order with a closed gate is refused in its row
    /// (ORDER_STATE_INVALID), which names the gates. Whatever turns an order's last gate green
    /// releases it at once, so this finds something only where a gate has changed without the
    /// order, as when a channel no longer asks for the money first. Errors:
    /// IDEMPOTENCY_KEY_REUSED, NOT_FOUND, TOO_MANY. Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn order_bulk_confirm(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which orders.")] input: OrderBulkInput,
    ) -> async_graphql::Result<BulkOperationPayload> {
        let (dry_run, key) = (input.dry_run, input.idempotency_key);
        start(
            ctx,
            "orderBulkConfirm",
            Work::Confirm,
            input.orders,
            dry_run,
            key,
        )
        .await
    }

    /// Gives all open exceptions of the orders to a person, to a team, or to a person of a team,
    /// whoever had them before. An order without an open exception is refused in its row
    /// (EXCEPTION_NOT_OPEN). Errors: IDEMPOTENCY_KEY_REUSED, INVALID_INPUT, NOT_FOUND, TOO_MANY.
    /// Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn order_bulk_assign(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which orders, and to whom.")] input: OrderBulkAssignInput,
    ) -> async_graphql::Result<BulkOperationPayload> {
        let to = Receiver {
            owner: input.owner,
            queue: input.queue,
        };
        let (dry_run, key) = (input.dry_run, input.idempotency_key);
        start(
            ctx,
            "orderBulkAssign",
            Work::Assign { to },
            input.orders,
            dry_run,
            key,
        )
        .await
    }

    /// Puts tags on orders, each as `orderAddTags` does. An order that has them already is not
    /// changed, and counts as changed. Errors: IDEMPOTENCY_KEY_REUSED, INVALID_INPUT, NOT_FOUND,
    /// TOO_MANY. Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn order_bulk_add_tags(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which tags, on which orders.")] input: OrderBulkTagsInput,
    ) -> async_graphql::Result<BulkOperationPayload> {
        let (dry_run, key) = (input.dry_run, input.idempotency_key);
        start(
            ctx,
            "orderBulkAddTags",
            Work::AddTags { tags: input.tags },
            input.orders,
            dry_run,
            key,
        )
        .await
    }

    /// Takes tags off orders, each as `orderRemoveTags` does. An order that has none of them is not
    /// changed, and counts as changed. Errors: IDEMPOTENCY_KEY_REUSED, INVALID_INPUT, NOT_FOUND,
    /// TOO_MANY. Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn order_bulk_remove_tags(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which tags, off which orders.")] input: OrderBulkTagsInput,
    ) -> async_graphql::Result<BulkOperationPayload> {
        let (dry_run, key) = (input.dry_run, input.idempotency_key);
        start(
            ctx,
            "orderBulkRemoveTags",
            Work::RemoveTags { tags: input.tags },
            input.orders,
            dry_run,
            key,
        )
        .await
    }

    /// Stops an operation: orders that are not done yet are left as they are, and what was done
    /// stays done. Errors: NOT_FOUND, OPERATION_NOT_RUNNING. Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn bulk_operation_cancel(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which operation.")] input: BulkOperationCancelInput,
    ) -> async_graphql::Result<BulkOperationPayload> {
        let found = match from_global::<BulkOperationId>(&input.id, "input.id") {
            Ok(id) => load(ctx, id).await?,
            Err(_) => None,
        };
        let caller = principal(ctx)?;
        let Some(row) = found.filter(|row| sees(caller, row)) else {
            let absent = Problem::not_found("BulkOperation").at("input.id");
            return Ok((None::<BulkOperation>, vec![absent.into()]).into());
        };
        let stopped = app(ctx)
            .write(&actor(ctx)?, move |tx| async move {
                bulk::stop(&tx, row.id).await
            })
            .await;
        let (stopped, user_errors) = outcome(stopped)?;
        let operation = match stopped {
            Some(()) => BulkOperation::read(app(ctx), row.id).await.map_err(fault)?,
            None => None,
        };
        Ok((operation, user_errors).into())
    }
}

/// What the same key must come with again.
#[derive(Serialize)]
struct Same<'a> {
    orders: String,
    work: &'a Work,
    dry_run: bool,
}

async fn start(
    ctx: &Context<'_>,
    operation: &'static str,
    work: Work,
    orders: OrderSelection,
    dry_run: bool,
    key: Option<String>,
) -> async_graphql::Result<BulkOperationPayload> {
    let refused = |problem: Problem| Ok((None::<BulkOperation>, vec![problem.into()]).into());
    let caller = principal(ctx)?;
    let same = Same {
        orders: format!("{orders:?}"),
        work: &work,
        dry_run,
    };
    let claim = match once(ctx, operation, &same, key.as_deref()) {
        Ok(claim) => claim,
        Err(problem) => return refused(problem),
    };
    let selection = match orders {
        OrderSelection::Where(filter) => Selection {
            matching: matching(caller, Some(&*filter), None)?,
            named: None,
        },
        OrderSelection::Query(query) => Selection {
            matching: matching(caller, None, Some(&query))?,
            named: None,
        },
        OrderSelection::Ids(ids) if !(1..=MOST_NAMED).contains(&ids.len()) => {
            let message = format!("name 1 to {MOST_NAMED} orders, or give a filter");
            return refused(Problem::new(Code::TooMany, message).at("input.orders.ids"));
        }
        OrderSelection::Ids(ids) => {
            let named: BTreeSet<OrderId> = match from_globals(&ids, "input.orders.ids") {
                Ok(ids) => ids.into_iter().collect(),
                Err(problem) => return refused(problem),
            };
            Selection {
                matching: visible(caller).add(order::Column::Id.is_in(named.iter().copied())),
                named: Some(named),
            }
        }
    };
    let cmd = Start {
        work,
        dry_run,
        selection,
        channels: caller.channels.clone(),
    };
    let started = app(ctx)
        .start_bulk(&actor(ctx)?, claim.as_ref(), &cmd)
        .await;
    let (started, user_errors) = outcome(started)?;
    let operation = match started {
        Some(started) => {
            if started.replayed {
                mark_replayed(ctx);
            }
            BulkOperation::read(app(ctx), started.id)
                .await
                .map_err(fault)?
        }
        None => None,
    };
    Ok((operation, user_errors).into())
}

/// Following operations.
#[derive(Default)]
pub struct BulkSubscription;

#[Subscription]
impl BulkSubscription {
    /// An action on many orders as it is, then whenever it has come on, at most four times a
    /// second, and at least every 15 seconds; it ends when the operation has ended. Each item is
    /// read from what is committed. Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn bulk_progress(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which operation.")] id: ID,
    ) -> async_graphql::Result<impl Stream<Item = async_graphql::Result<BulkOperation>>> {
        let absent = || bad_input("there is no such operation");
        let id = from_global::<BulkOperationId>(&id, "id").map_err(|_| absent())?;
        let found = BulkOperation::read(app(ctx), id).await.map_err(fault)?;
        let caller = principal(ctx)?;
        let first = found
            .filter(|operation| sees(caller, &operation.row))
            .ok_or_else(absent)?;
        let app = app(ctx).clone();
        Ok(follow(first, move || {
            let app = app.clone();
            async move { BulkOperation::read(&app, id).await.map_err(fault) }
        }))
    }
}
