//! One action on many orders. The selection is taken once, when the operation starts; each order is
//! then changed in a transaction of its own by the command that changes a single one, which also
//! writes the row's outcome: whatever crashes, and however many nodes work, nothing is done twice.

use std::collections::{BTreeMap, BTreeSet};

use entity::bulk_operation::{self, Action, State};
use entity::bulk_row::{self, Outcome};
use entity::{BulkOperationId, ChannelId, OrderId, archived_order, order};
use sea_orm::sea_query::{Expr, LockBehavior, LockType, Query, UpdateStatement};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, Order,
    QueryFilter, QueryOrder, QuerySelect, QueryTrait, Set,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::queue::{self, Receiver};
use super::tags::{self, Tags, add_tags, remove_tags};
use super::{Changed, Confirm, End, Hold, ReleaseHold, cancel, confirm, hold, release_hold, text};
use crate::catalogue::Reference;
use crate::events::{Entry, Event};
use crate::failure::{Code, Failure, Problem};
use crate::tx::Tx;

/// The most orders that one operation changes.
pub const MOST_ORDERS: u64 = 10_000;

/// How many rows are done at a time; the operation goes on in the next round.
pub const BATCH: u64 = 200;

/// Which orders an operation is about.
#[derive(Clone, Debug)]
pub struct Selection {
    /// What they must match, the caller's channels included.
    pub matching: Condition,
    /// Those that were named: each gets a row, and is refused as not found if it does not match.
    pub named: Option<BTreeSet<OrderId>>,
}

/// What is done to each order, and what that needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "action",
    content = "input",
    rename_all = "SCREAMING_SNAKE_CASE",
    rename_all_fields = "camelCase"
)]
pub enum Work {
    /// It is cancelled.
    Cancel {
        /// Why.
        reason: String,
    },
    /// It is stopped.
    Hold {
        /// Why.
        reason: String,
    },
    /// Every hold that stands on it is lifted.
    ReleaseHold,
    /// Its gates are tried again, and it is released to staging if all are green.
    Confirm,
    /// Its open exceptions are given to somebody.
    Assign {
        /// To whom.
        to: Receiver,
    },
    /// Tags are put on it.
    AddTags {
        /// Which tags.
        tags: Vec<String>,
    },
    /// Tags are taken off it.
    RemoveTags {
        /// Which tags.
        tags: Vec<String>,
    },
}

impl Work {
    /// What an operation does.
    pub fn of(operation: &bulk_operation::Model) -> Result<Work, Failure> {
        let (action, input) = (operation.action, &operation.input);
        serde_json::from_value(json!({ "action": action, "input": input }))
            .map_err(|error| Failure::Internal(format!("a bulk operation's input: {error}")))
    }

    /// Refused where every order would be refused for the same reason.
    fn checked(self) -> Result<Work, Failure> {
        Ok(match self {
            Work::Cancel { reason } => Work::Cancel {
                reason: text("reason", &reason)?,
            },
            Work::Hold { reason } => Work::Hold {
                reason: text("reason", &reason)?,
            },
            Work::Assign { to } => Work::Assign { to: to.checked()? },
            Work::AddTags { tags } => Work::AddTags {
                tags: tags::checked(&tags)?,
            },
            Work::RemoveTags { tags } => Work::RemoveTags {
                tags: tags::checked(&tags)?,
            },
            Work::ReleaseHold | Work::Confirm => self,
        })
    }

    /// As it is kept: the action, and the rest.
    fn stored(&self) -> Result<(Action, serde_json::Value), Failure> {
        let fault = |error| Failure::Internal(format!("a bulk operation's input: {error}"));
        let mut whole = serde_json::to_value(self).map_err(fault)?;
        let action = serde_json::from_value(whole["action"].take()).map_err(fault)?;
        Ok((action, whole["input"].take()))
    }
}

/// What [`start`] needs.
#[derive(Clone, Debug)]
pub struct Start {
    /// What is done to each order.
    pub work: Work,
    /// Whether it only says what it would come to.
    pub dry_run: bool,
    /// Which orders.
    pub selection: Selection,
    /// The channels that the caller is confined to; none = all.
    pub channels: Option<BTreeSet<ChannelId>>,
}

/// Takes the selection, oldest order first. Nothing is done to the orders yet.
pub async fn start(tx: &Tx, cmd: &Start) -> Result<BulkOperationId, Failure> {
    let (action, input) = cmd.work.clone().checked()?.stored()?;
    let id: BulkOperationId = tx.id();
    let row = bulk_operation::Model {
        id,
        action,
        input,
        dry_run: cmd.dry_run,
        state: State::Running,
        total: 0,
        channels: cmd.channels.as_ref().map(|channels| json!(channels)),
        started_by: tx.actor.name.clone(),
        started_at: tx.now,
        finished_at: None,
    };
    bulk_operation::Entity::insert(row.into_active_model())
        .exec_without_returning(tx.db())
        .await?;
    let mut total = select(tx, id, cmd.selection.matching.clone()).await?;
    if total > MOST_ORDERS {
        let message = format!("more than {MOST_ORDERS} orders match: narrow the filter");
        return Err(Problem::new(Code::TooMany, message)
            .at("input.orders")
            .into());
    }
    if let Some(named) = &cmd.selection.named {
        total += refuse_absent(tx, id, named, total).await?;
    }
    let total = i64::try_from(total).unwrap_or(i64::MAX);
    tx.defer(
        bulk_operation::Entity::update_many()
            .col_expr(bulk_operation::Column::Total, Expr::value(total))
            .filter(bulk_operation::Column::Id.eq(id))
            .into_query(),
    );
    let event = Event::BulkStarted {
        action,
        orders: total,
        dry_run: cmd.dry_run,
    };
    emit(tx, id, 1, event);
    Ok(id)
}

/// Writes a row for each order that matches, one more than there may be at most, in one statement.
async fn select(tx: &Tx, id: BulkOperationId, matching: Condition) -> Result<u64, Failure> {
    use bulk_row::Column;
    let mut orders = Query::select();
    orders
        .expr(Expr::val(id))
        .expr(Expr::cust("ROW_NUMBER() OVER (ORDER BY received_at, id)"))
        .column(order::Column::Id)
        .expr(Expr::val("PENDING"))
        .from(order::Entity)
        .cond_where(matching)
        .order_by(order::Column::ReceivedAt, Order::Asc)
        .order_by(order::Column::Id, Order::Asc)
        .limit(MOST_ORDERS + 1);
    let mut insert = Query::insert();
    insert.into_table(bulk_row::Entity).columns([
        Column::OperationId,
        Column::Position,
        Column::OrderId,
        Column::Outcome,
    ]);
    insert
        .select_from(orders)
        .map_err(|error| Failure::Internal(error.to_string()))?;
    Ok(tx.db().execute(&insert).await?.rows_affected())
}

/// Gives the orders that were named and do not match a row that says so.
async fn refuse_absent(
    tx: &Tx,
    id: BulkOperationId,
    named: &BTreeSet<OrderId>,
    taken: u64,
) -> Result<u64, Failure> {
    let found: Vec<OrderId> = bulk_row::Entity::find()
        .select_only()
        .column(bulk_row::Column::OrderId)
        .filter(bulk_row::Column::OperationId.eq(id))
        .into_tuple()
        .all(tx.db())
        .await?;
    let found: BTreeSet<OrderId> = found.into_iter().collect();
    let lacking: Vec<OrderId> = named.difference(&found).copied().collect();
    let put_away: BTreeSet<OrderId> = archived_order::Entity::find()
        .select_only()
        .column(archived_order::Column::Id)
        .filter(archived_order::Column::Id.is_in(lacking.iter().copied()))
        .into_tuple()
        .all(tx.db())
        .await?
        .into_iter()
        .collect();
    let absent = |id| match put_away.contains(id) {
        true => Problem::archived(),
        false => Problem::not_found("Order"),
    };
    let rows: Vec<bulk_row::ActiveModel> = lacking
        .iter()
        .zip(taken + 1..)
        .map(|(id, place)| (id, place, absent(id)))
        .map(|(order_id, place, absent)| bulk_row::ActiveModel {
            operation_id: Set(id),
            position: Set(i64::try_from(place).unwrap_or(i64::MAX)),
            order_id: Set(*order_id),
            outcome: Set(Outcome::Refused),
            code: Set(Some(absent.code.as_str())),
            message: Set(Some(absent.message.clone())),
            done_at: Set(Some(tx.now)),
        })
        .collect();
    let count = rows.len() as u64;
    tx.defer_rows(rows, |insert| insert);
    Ok(count)
}

/// The operations that have rows to be done, oldest first.
pub async fn running(db: &impl ConnectionTrait) -> Result<Vec<BulkOperationId>, DbErr> {
    bulk_operation::Entity::find()
        .select_only()
        .column(bulk_operation::Column::Id)
        .filter(bulk_operation::Column::State.eq(State::Running))
        .order_by_asc(bulk_operation::Column::StartedAt)
        .limit(20)
        .into_tuple()
        .all(db)
        .await
}

/// The next rows to be done.
pub async fn pending(
    db: &impl ConnectionTrait,
    id: BulkOperationId,
    most: u64,
) -> Result<Vec<bulk_row::Model>, DbErr> {
    bulk_row::Entity::find()
        .filter(bulk_row::Column::OperationId.eq(id))
        .filter(bulk_row::Column::Outcome.eq(Outcome::Pending))
        .order_by_asc(bulk_row::Column::Position)
        .limit(most)
        .all(db)
        .await
}

/// How many rows have each outcome.
pub async fn counts(
    db: &impl ConnectionTrait,
    id: BulkOperationId,
) -> Result<BTreeMap<String, i64>, DbErr> {
    let counts: Vec<(String, i64)> = bulk_row::Entity::find()
        .select_only()
        .column(bulk_row::Column::Outcome)
        .column_as(bulk_row::Column::Position.count(), "rows")
        .filter(bulk_row::Column::OperationId.eq(id))
        .group_by(bulk_row::Column::Outcome)
        .into_tuple()
        .all(db)
        .await?;
    Ok(counts.into_iter().collect())
}

/// Does one row: changes the order and writes the outcome, together. Nothing if somebody else has
/// done it or is at it.
pub async fn carry_on(
    tx: &Tx,
    reference: &Reference,
    operation: &bulk_operation::Model,
    row: &bulk_row::Model,
) -> Result<Option<Changed>, Failure> {
    let mut claim = bulk_row::Entity::find_by_id((row.operation_id, row.position))
        .filter(bulk_row::Column::Outcome.eq(Outcome::Pending));
    if tx.locks_rows() {
        QueryTrait::query(&mut claim)
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    }
    if claim.one(tx.db()).await?.is_none() {
        return Ok(None);
    }
    let changed = act(tx, reference, operation, row.order_id).await?;
    tx.defer(noted(tx, row, Outcome::Changed, None));
    Ok(Some(changed))
}

/// The command that changes a single order.
async fn act(
    tx: &Tx,
    reference: &Reference,
    operation: &bulk_operation::Model,
    order_id: OrderId,
) -> Result<Changed, Failure> {
    let expected_version = None;
    match Work::of(operation)? {
        Work::Cancel { reason } => {
            let cmd = End {
                order_id,
                expected_version,
                reason,
            };
            cancel(tx, reference, &cmd).await
        }
        Work::Hold { reason } => {
            let cmd = Hold {
                order_id,
                expected_version,
                reason,
            };
            hold(tx, &cmd).await
        }
        Work::ReleaseHold => {
            let cmd = ReleaseHold {
                order_id,
                hold_id: None,
                expected_version,
            };
            release_hold(tx, reference, &cmd).await
        }
        Work::Confirm => confirm(tx, reference, &Confirm { order_id }).await,
        Work::Assign { to } => queue::assign_all(tx, order_id, &to).await,
        Work::AddTags { tags } => {
            let cmd = Tags {
                order_id,
                expected_version,
                tags,
            };
            add_tags(tx, &cmd).await
        }
        Work::RemoveTags { tags } => {
            let cmd = Tags {
                order_id,
                expected_version,
                tags,
            };
            remove_tags(tx, &cmd).await
        }
    }
}

/// Writes why a row came to nothing.
pub async fn refuse(
    tx: &Tx,
    row: &bulk_row::Model,
    outcome: Outcome,
    problem: &Problem,
) -> Result<(), Failure> {
    tx.defer(noted(tx, row, outcome, Some(problem)));
    Ok(())
}

/// Writes what a dry run of a row came to.
pub async fn allow(tx: &Tx, row: &bulk_row::Model) -> Result<(), Failure> {
    tx.defer(noted(tx, row, Outcome::Changed, None));
    Ok(())
}

/// A row's outcome, unless it has one.
fn noted(
    tx: &Tx,
    row: &bulk_row::Model,
    outcome: Outcome,
    problem: Option<&Problem>,
) -> UpdateStatement {
    use bulk_row::Column;
    bulk_row::Entity::update_many()
        .col_expr(Column::Outcome, Expr::value(outcome))
        .col_expr(
            Column::Code,
            Expr::value(problem.map(|problem| problem.code.as_str())),
        )
        .col_expr(
            Column::Message,
            Expr::value(problem.map(|problem| problem.message.clone())),
        )
        .col_expr(Column::DoneAt, Expr::value(tx.now))
        .filter(Column::OperationId.eq(row.operation_id))
        .filter(Column::Position.eq(row.position))
        .filter(Column::Outcome.eq(Outcome::Pending))
        .into_query()
}

/// Ends an operation all of whose rows are done. Says whether it did.
pub async fn finish(tx: &Tx, id: BulkOperationId) -> Result<bool, Failure> {
    let operation = lock(tx, id).await?;
    let counts = counts(tx.db(), id).await?;
    let of = |outcome: &str| counts.get(outcome).copied().unwrap_or(0);
    if operation.state != State::Running || of("PENDING") > 0 {
        return Ok(false);
    }
    end(tx, id, State::Completed);
    let event = Event::BulkFinished {
        changed: of("CHANGED"),
        refused: of("REFUSED"),
        failed: of("FAILED"),
    };
    emit(tx, id, 2, event);
    Ok(true)
}

/// Stops an operation: rows that are not done yet are skipped.
pub async fn stop(tx: &Tx, id: BulkOperationId) -> Result<(), Failure> {
    let operation = lock(tx, id).await?;
    if operation.state != State::Running {
        return Err(
            Problem::new(Code::OperationNotRunning, "the operation has ended already")
                .at("input.id")
                .into(),
        );
    }
    use bulk_row::Column;
    // Waits for the rows that are being done.
    let skipped = bulk_row::Entity::update_many()
        .col_expr(Column::Outcome, Expr::value(Outcome::Skipped))
        .col_expr(Column::DoneAt, Expr::value(tx.now))
        .filter(Column::OperationId.eq(id))
        .filter(Column::Outcome.eq(Outcome::Pending))
        .exec(tx.db())
        .await?
        .rows_affected;
    end(tx, id, State::Cancelled);
    let skipped = i64::try_from(skipped).unwrap_or(i64::MAX);
    emit(tx, id, 2, Event::BulkCancelled { skipped });
    Ok(())
}

async fn lock(tx: &Tx, id: BulkOperationId) -> Result<bulk_operation::Model, Failure> {
    let mut operation = bulk_operation::Entity::find_by_id(id);
    if tx.locks_rows() {
        QueryTrait::query(&mut operation).lock(LockType::Update);
    }
    operation
        .one(tx.db())
        .await?
        .ok_or_else(|| Problem::not_found("BulkOperation").at("input.id").into())
}

fn end(tx: &Tx, id: BulkOperationId, state: State) {
    use bulk_operation::Column;
    tx.defer(
        bulk_operation::Entity::update_many()
            .col_expr(Column::State, Expr::value(state))
            .col_expr(Column::FinishedAt, Expr::value(tx.now))
            .filter(Column::Id.eq(id))
            .into_query(),
    );
}

fn emit(tx: &Tx, id: BulkOperationId, version: i64, event: Event) {
    tx.emit(Entry {
        aggregate_type: "bulk_operation",
        aggregate_id: id.to_string(),
        version,
        channel_id: None,
        order_id: None,
        moved: None,
        event,
    });
}
