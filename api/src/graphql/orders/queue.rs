//! Working the queue of exceptions: whose one is, what is done about it in place, several at once.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};
use entity::{ExceptionId, LineId, order_exception};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::Serialize;

use super::OrderException;
use super::edit::commit;
use super::mutations::{OrderPayload, command, refused};
use super::stats::{self, ExceptionStats};
use crate::access::Scope;
use crate::capture::correct::Correction;
use crate::exceptions::Remedy;
use crate::failure::{Code, Failure, Problem};
use crate::graphql::errors::{UserError, fault};
use crate::graphql::ids::{from_global, from_globals, to_global};
use crate::graphql::loaders::load;
use crate::graphql::orders::order_of;
use crate::graphql::{Allowed, app};
use crate::http::IdempotencyKey;
use crate::orders::queue::{self, Assign, Named, Receiver, Reopen, Snooze, Take};
use crate::orders::split::{Part, Split, split};
use crate::orders::{self, Changed};
use crate::tx::Tx;

/// The most exceptions that one bulk request names.
const MOST_EXCEPTIONS: usize = 100;

/// What can be done about an exception where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "Remedy")]
pub enum ExceptionAction {
    /// `exceptionResolve`, with your reason.
    Override,
    /// `exceptionAcceptAddress`.
    AcceptAddress,
    /// `exceptionReprice`.
    Reprice,
    /// `exceptionAcceptTheirs`.
    AcceptTheirs,
    /// `orderEditCommit`: correct the data; what it puts right is settled.
    Edit,
    /// `exceptionSplitOff`.
    SplitOff,
    /// `orderRetryPayment`.
    RetryPayment,
    /// `orderRetryVoid`.
    RetryVoid,
    /// `paymentCapture`.
    RetryCapture,
    /// `paymentReauthorize`.
    Reauthorize,
    /// `orderRetryRefund`.
    RetryRefund,
    /// `orderCancel`.
    Cancel,
}

/// Whether a suggested action is open now.
#[derive(SimpleObject)]
pub struct SuggestedAction {
    /// The action.
    pub action: ExceptionAction,
    /// Whether it is open now.
    pub enabled: bool,
    /// Why not.
    pub disabled_reason: Option<String>,
}

/// Names an exception to act on.
#[derive(Serialize, InputObject)]
pub struct ExceptionInput {
    /// The exception.
    pub id: ID,
    /// The version of its order that you decided on; STALE_VERSION if it has moved on.
    pub expected_version: Option<i64>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Gives an exception to somebody.
#[derive(Serialize, InputObject)]
pub struct ExceptionAssignInput {
    /// The exception.
    pub id: ID,
    /// To whom: a person or a team's member, by the name that your house uses, at most 200
    /// characters. Not given: to nobody of the queue.
    pub owner: Option<String>,
    /// To which team's queue, at most 200 characters. Not given: it stays in its own.
    pub queue: Option<String>,
    /// The version of its order that you decided on; STALE_VERSION if it has moved on.
    pub expected_version: Option<i64>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Takes an exception.
#[derive(Serialize, InputObject)]
pub struct ExceptionTakeInput {
    /// The exception.
    pub id: ID,
    /// Whether to take it even from somebody who has it.
    #[graphql(default)]
    pub force: bool,
    /// The version of its order that you decided on; STALE_VERSION if it has moved on.
    pub expected_version: Option<i64>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Puts an exception out of sight.
#[derive(Serialize, InputObject)]
pub struct ExceptionSnoozeInput {
    /// The exception.
    pub id: ID,
    /// Until when: a moment of the next 90 days. Not given: it comes back now.
    pub until: Option<DateTime<Utc>>,
    /// The version of its order that you decided on; STALE_VERSION if it has moved on.
    pub expected_version: Option<i64>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Opens a settled exception again.
#[derive(Serialize, InputObject)]
pub struct ExceptionReopenInput {
    /// The settled exception.
    pub id: ID,
    /// Why: 1 to 4,000 characters.
    pub reason: String,
    /// The version of its order that you decided on; STALE_VERSION if it has moved on.
    pub expected_version: Option<i64>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Gives several exceptions to somebody.
#[derive(InputObject)]
pub struct ExceptionBulkAssignInput {
    /// The exceptions: 1 to 100.
    pub ids: Vec<ID>,
    /// To whom. Not given: to nobody of the queue.
    pub owner: Option<String>,
    /// To which team's queue. Not given: each stays in its own.
    pub queue: Option<String>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 250 visible ASCII characters.
    pub idempotency_key: Option<String>,
}

/// Settles several exceptions by your word.
#[derive(InputObject)]
pub struct ExceptionBulkResolveInput {
    /// The exceptions: 1 to 100.
    pub ids: Vec<ID>,
    /// How they were settled, in words: 1 to 4,000 characters.
    pub resolution: String,
    /// Whether they were found to be no exceptions.
    #[graphql(default)]
    pub dismiss: bool,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 250 visible ASCII characters.
    pub idempotency_key: Option<String>,
}

/// Makes what an order lacks an order of its own.
#[derive(Serialize, InputObject)]
pub struct OrderSplitInput {
    /// The order.
    pub id: ID,
    /// The version that you decided on; STALE_VERSION if it has moved on.
    pub expected_version: i64,
    /// The lines whose missing and waiting units go; of all lines if none is given.
    #[graphql(default)]
    pub line_ids: Vec<ID>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// What a command did to an exception.
#[derive(SimpleObject)]
pub struct ExceptionPayload {
    /// The exception as it is now, with its order; null if the command was refused.
    exception: Option<OrderException>,
    /// Why it was refused; empty if it was not.
    user_errors: Vec<UserError>,
    /// Whether this is the answer to an earlier request with the same key.
    replayed: bool,
}

/// What became of several exceptions, row by row in the order of the input.
#[derive(SimpleObject)]
pub struct ExceptionBulkPayload {
    /// What became of each. Error paths begin at the row's own input.
    rows: Vec<ExceptionPayload>,
    /// How many were changed, replays included.
    accepted: usize,
    /// How many were refused.
    refused: usize,
    /// Why the request as a whole was refused; empty if it was not.
    user_errors: Vec<UserError>,
}

/// The queue's figures.
#[derive(Default)]
pub struct QueueQuery;

#[Object]
impl QueueQuery {
    /// How the queue of exceptions stands, and how long settling took in a period: of the last 30
    /// days if none is given, of at most 366. Needs the scope ORDERS_READ.
    #[graphql(guard = "Allowed(Scope::OrdersRead)")]
    async fn exception_stats(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Settled at this moment or later.")] from: Option<DateTime<Utc>>,
        #[graphql(desc = "Settled before this moment; now if not given.")] until: Option<
            DateTime<Utc>,
        >,
    ) -> async_graphql::Result<ExceptionStats> {
        stats::read(ctx, from, until).await
    }
}

/// Working the queue.
#[derive(Default)]
pub struct QueueMutation;

#[Object]
impl QueueMutation {
    /// Gives an exception to a person, to a team's queue, or to both, whoever had it before.
    /// Errors: EXCEPTION_NOT_OPEN, INVALID_INPUT, NOT_FOUND, STALE_VERSION. Needs the scope
    /// ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn exception_assign(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which exception, and to whom.")] input: ExceptionAssignInput,
    ) -> async_graphql::Result<ExceptionPayload> {
        assign(ctx, &input).await
    }

    /// Takes an exception for yourself. Errors: EXCEPTION_NOT_OPEN, EXCEPTION_TAKEN with who has
    /// it, NOT_FOUND, STALE_VERSION. Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn exception_take(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which exception.")] input: ExceptionTakeInput,
    ) -> async_graphql::Result<ExceptionPayload> {
        let input = &input;
        let key = input.idempotency_key.as_deref();
        let case = move |tx: Arc<Tx>, id| async move {
            let cmd = Take {
                exception: named(id, input.expected_version),
                force: input.force,
            };
            queue::take(&tx, &cmd).await
        };
        on_exception(ctx, "exceptionTake", input, &input.id, key, case).await
    }

    /// Gives an exception back to its team, whoever has it. Errors: EXCEPTION_NOT_OPEN, NOT_FOUND,
    /// STALE_VERSION. Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn exception_unassign(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which exception.")] input: ExceptionInput,
    ) -> async_graphql::Result<ExceptionPayload> {
        let input = &input;
        let key = input.idempotency_key.as_deref();
        let case = move |tx: Arc<Tx>, id| async move {
            queue::unassign(&tx, named(id, input.expected_version)).await
        };
        on_exception(ctx, "exceptionUnassign", input, &input.id, key, case).await
    }

    /// Puts an exception out of sight until a moment. It stops its order all the same, and is due
    /// when it was. Errors: EXCEPTION_NOT_OPEN, INVALID_INPUT, NOT_FOUND, STALE_VERSION. Needs the
    /// scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn exception_snooze(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which exception, and until when.")] input: ExceptionSnoozeInput,
    ) -> async_graphql::Result<ExceptionPayload> {
        let input = &input;
        let key = input.idempotency_key.as_deref();
        let case = move |tx: Arc<Tx>, id| async move {
            let cmd = Snooze {
                exception: named(id, input.expected_version),
                until: input.until,
            };
            queue::snooze(&tx, &cmd).await
        };
        on_exception(ctx, "exceptionSnooze", input, &input.id, key, case).await
    }

    /// Opens a settled exception again, as a new one that points to it; the payload has the new
    /// one. One that stops its order takes a confirmed order back behind its gates, unless the
    /// warehouse has it. Errors: EXCEPTION_NOT_SETTLED, INVALID_INPUT, NOT_FOUND,
    /// ORDER_STATE_INVALID, STALE_VERSION. Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn exception_reopen(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which exception, and why.")] input: ExceptionReopenInput,
    ) -> async_graphql::Result<ExceptionPayload> {
        let input = &input;
        let key = input.idempotency_key.as_deref();
        let case = move |tx: Arc<Tx>, id| async move {
            let cmd = Reopen {
                exception: named(id, input.expected_version),
                reason: input.reason.clone(),
            };
            queue::reopen(&tx, &cmd).await
        };
        let mut payload = on_exception(ctx, "exceptionReopen", input, &input.id, key, case).await?;
        if let Some(settled) = payload.exception.take() {
            payload.exception = order_exception::Entity::find()
                .filter(order_exception::Column::ReopensId.eq(settled.row.id))
                .one(&app(ctx).db.read)
                .await
                .map_err(fault)?
                .map(OrderException::from);
        }
        Ok(payload)
    }

    /// Gives up to 100 exceptions to somebody, each by itself: one that is refused leaves the
    /// others alone. Errors of a row are those of `exceptionAssign`. Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn exception_bulk_assign(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which exceptions, and to whom.")] input: ExceptionBulkAssignInput,
    ) -> async_graphql::Result<ExceptionBulkPayload> {
        if let Some(refused) = wrong_count(&input.ids) {
            return Ok(refused);
        }
        let mut rows = Vec::with_capacity(input.ids.len());
        for (place, id) in input.ids.iter().enumerate() {
            let one = ExceptionAssignInput {
                id: id.clone(),
                owner: input.owner.clone(),
                queue: input.queue.clone(),
                expected_version: None,
                idempotency_key: row_key(ctx, input.idempotency_key.as_deref(), place),
            };
            rows.push(assign(ctx, &one).await.unwrap_or_else(|_| unavailable()));
        }
        Ok(rows.into())
    }

    /// Settles up to 100 exceptions by your word, each by itself: one that is refused leaves the
    /// others alone. Errors of a row are those of `exceptionResolve`. Needs the scope
    /// ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn exception_bulk_resolve(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which exceptions, and how they were settled.")]
        input: ExceptionBulkResolveInput,
    ) -> async_graphql::Result<ExceptionBulkPayload> {
        if let Some(refused) = wrong_count(&input.ids) {
            return Ok(refused);
        }
        let reference = &app(ctx).reference().await.map_err(fault)?;
        let input = &input;
        let operation = match input.dismiss {
            true => "exceptionDismiss",
            false => "exceptionResolve",
        };
        let mut rows = Vec::with_capacity(input.ids.len());
        for (place, id) in input.ids.iter().enumerate() {
            let key = row_key(ctx, input.idempotency_key.as_deref(), place);
            let case = move |tx: Arc<Tx>, exception_id| async move {
                let cmd = orders::ResolveException {
                    exception_id,
                    expected_version: None,
                    resolution: input.resolution.clone(),
                    dismiss: input.dismiss,
                };
                orders::resolve_exception(&tx, reference, &cmd).await
            };
            let print = (id, &input.resolution, input.dismiss);
            let row = on_exception(ctx, operation, &print, id, key.as_deref(), case).await;
            rows.push(row.unwrap_or_else(|_| unavailable()));
        }
        Ok(rows.into())
    }

    /// Takes the address that the verification suggests: the order's address is replaced and
    /// verified again, and the exception is settled. Errors: those of `orderEditCommit`, and
    /// EXCEPTION_NOT_OPEN, ORDER_STATE_INVALID if none is suggested. Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn exception_accept_address(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which exception.")] input: ExceptionInput,
    ) -> async_graphql::Result<ExceptionPayload> {
        correct(ctx, "exceptionAcceptAddress", &input, Correction::Address).await
    }

    /// Charges our price, or our shipping rate, instead of the channel's, and settles the
    /// exception; the difference in money is asked for or given back. For PRICE_MISMATCH and
    /// SHIPPING_MISMATCH. Errors: those of `orderEditCommit`, and EXCEPTION_NOT_OPEN,
    /// ORDER_STATE_INVALID if there is nothing to reprice. Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn exception_reprice(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which exception.")] input: ExceptionInput,
    ) -> async_graphql::Result<ExceptionPayload> {
        correct(ctx, "exceptionReprice", &input, Correction::Price).await
    }

    /// Leaves the channel's price or shipping charge as it is, and settles the exception with both
    /// figures. For PRICE_MISMATCH and SHIPPING_MISMATCH. Errors: EXCEPTION_NOT_OPEN, NOT_FOUND,
    /// ORDER_STATE_INVALID, STALE_VERSION. Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn exception_accept_theirs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which exception.")] input: ExceptionInput,
    ) -> async_graphql::Result<ExceptionPayload> {
        let Some(exception) = visible(ctx, &input.id).await? else {
            return Ok(not_found());
        };
        let resolution = match orders::remedies::accepted(&exception) {
            Ok(resolution) => &resolution.clone(),
            Err(problem) => return Ok(refused(problem).into()),
        };
        let reference = &app(ctx).reference().await.map_err(fault)?;
        let input = &input;
        let key = input.idempotency_key.as_deref();
        let case = move |tx: Arc<Tx>, exception_id| async move {
            let cmd = orders::ResolveException {
                exception_id,
                expected_version: input.expected_version,
                resolution: resolution.clone(),
                dismiss: false,
            };
            orders::resolve_exception(&tx, reference, &cmd).await
        };
        on_exception(ctx, "exceptionAcceptTheirs", input, &input.id, key, case).await
    }

    /// Makes the units that are missing an order of their own, so that the rest goes on: at the
    /// agreed prices, without a second shipping charge, paid by the same method. What is due for
    /// the two together is what was due before. The other order waits for stock with an exception
    /// of its own; see `order.splitOffs`. For INSUFFICIENT_STOCK. Errors: EXCEPTION_NOT_OPEN,
    /// NOT_FOUND, ORDER_NOT_EDITABLE, ORDER_STATE_INVALID if nothing is missing or nothing would
    /// be left, STALE_VERSION. Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn exception_split_off(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which exception.")] input: ExceptionInput,
    ) -> async_graphql::Result<ExceptionPayload> {
        let Some(exception) = visible(ctx, &input.id).await? else {
            return Ok(not_found());
        };
        let reference = &app(ctx).reference().await.map_err(fault)?;
        let number = &app(ctx).next_order_number().await.map_err(fault)?;
        let input = &input;
        let order_id = exception.order_id;
        let key = input.idempotency_key.as_deref();
        let case = move |tx: Arc<Tx>, id| async move {
            let cmd = Split {
                order_id,
                expected_version: input.expected_version,
                part: Part::Short(id),
                number: number.clone(),
            };
            split(&tx, reference, &cmd).await
        };
        on_exception(ctx, "exceptionSplitOff", input, &input.id, key, case).await
    }

    /// Makes the units that an order lacks or waits for an order of their own, as
    /// `exceptionSplitOff` does; units that wait keep their place in the queue. Errors: NOT_FOUND,
    /// ORDER_NOT_EDITABLE, ORDER_STATE_INVALID if nothing is missing or nothing would be left,
    /// STALE_VERSION. Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn order_split(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which order, and which of its lines.")] input: OrderSplitInput,
    ) -> async_graphql::Result<OrderPayload> {
        let lines = match from_globals::<LineId>(&input.line_ids, "input.lineIds") {
            Ok(lines) => &lines.into_iter().collect(),
            Err(problem) => return Ok(refused(problem)),
        };
        let reference = &app(ctx).reference().await.map_err(fault)?;
        let number = &app(ctx).next_order_number().await.map_err(fault)?;
        let input = &input;
        let key = input.idempotency_key.as_deref();
        let case = move |tx: Arc<Tx>, order_id| async move {
            let cmd = Split {
                order_id,
                expected_version: Some(input.expected_version),
                part: Part::Waiting(Clone::clone(lines)),
                number: number.clone(),
            };
            split(&tx, reference, &cmd).await
        };
        command(ctx, "orderSplit", input, &input.id, key, case).await
    }
}

fn named(id: ExceptionId, expected_version: Option<i64>) -> Named {
    Named {
        id,
        expected_version,
    }
}

async fn assign(
    ctx: &Context<'_>,
    input: &ExceptionAssignInput,
) -> async_graphql::Result<ExceptionPayload> {
    let key = input.idempotency_key.as_deref();
    let case = move |tx: Arc<Tx>, id| async move {
        let cmd = Assign {
            exception: named(id, input.expected_version),
            to: Receiver {
                owner: input.owner.clone(),
                queue: input.queue.clone(),
            },
        };
        queue::assign(&tx, &cmd).await
    };
    on_exception(ctx, "exceptionAssign", input, &input.id, key, case).await
}

/// Commits the edit that puts an exception right.
async fn correct(
    ctx: &Context<'_>,
    operation: &'static str,
    input: &ExceptionInput,
    correction: Correction,
) -> async_graphql::Result<ExceptionPayload> {
    let Some(exception) = visible(ctx, &input.id).await? else {
        return Ok(not_found());
    };
    let order = to_global(exception.order_id);
    let judged = app(ctx).judge_correction(&exception, input.expected_version, correction);
    let key = input.idempotency_key.as_deref();
    let done = commit(
        ctx,
        operation,
        &order,
        exception.order_id,
        input,
        key,
        judged,
    )
    .await?;
    shown(ctx, exception.id, done).await
}

/// An exception on an order that the caller sees. Another's answers as one that is not there.
pub(super) async fn visible(
    ctx: &Context<'_>,
    id: &ID,
) -> async_graphql::Result<Option<order_exception::Model>> {
    let Ok(id) = from_global::<ExceptionId>(id, "input.id") else {
        return Ok(None);
    };
    let Some(exception) = load(ctx, id).await? else {
        return Ok(None);
    };
    let order = order_of(ctx, exception.order_id).await?;
    Ok(order.map(|_| exception))
}

/// The refusal of an exception that is not there.
fn not_found() -> ExceptionPayload {
    refused(Problem::not_found("OrderException").at("input.id")).into()
}

fn unavailable() -> ExceptionPayload {
    let message = "not done for now; try it again";
    refused(Problem::new(Code::Unavailable, message)).into()
}

/// Runs a command on an exception that the caller may see, on its order and once for its key, and
/// shows the exception as it is afterwards.
async fn on_exception<Case>(
    ctx: &Context<'_>,
    operation: &'static str,
    input: &impl Serialize,
    id: &ID,
    key: Option<&str>,
    case: impl Fn(Arc<Tx>, ExceptionId) -> Case,
) -> async_graphql::Result<ExceptionPayload>
where
    Case: Future<Output = Result<Changed, Failure>>,
{
    let Some(exception) = visible(ctx, id).await? else {
        return Ok(not_found());
    };
    let (order, id) = (to_global(exception.order_id), exception.id);
    let case = &case;
    let on_order = move |tx, _| case(tx, id);
    let done = command(ctx, operation, input, &order, key, on_order).await?;
    shown(ctx, id, done).await
}

/// What a command did, with the exception as it is now.
async fn shown(
    ctx: &Context<'_>,
    id: ExceptionId,
    done: OrderPayload,
) -> async_graphql::Result<ExceptionPayload> {
    let row = match done.order {
        None => None,
        Some(_) => order_exception::Entity::find_by_id(id)
            .one(&app(ctx).db.read)
            .await
            .map_err(fault)?,
    };
    Ok(ExceptionPayload {
        exception: row.map(OrderException::from),
        user_errors: done.user_errors,
        replayed: done.replayed,
    })
}

impl From<OrderPayload> for ExceptionPayload {
    fn from(refused: OrderPayload) -> Self {
        ExceptionPayload {
            exception: None,
            user_errors: refused.user_errors,
            replayed: refused.replayed,
        }
    }
}

impl From<Vec<ExceptionPayload>> for ExceptionBulkPayload {
    fn from(rows: Vec<ExceptionPayload>) -> Self {
        let accepted = rows.iter().filter(|row| row.exception.is_some()).count();
        ExceptionBulkPayload {
            refused: rows.len() - accepted,
            accepted,
            rows,
            user_errors: Vec::new(),
        }
    }
}

fn wrong_count(ids: &[ID]) -> Option<ExceptionBulkPayload> {
    if (1..=MOST_EXCEPTIONS).contains(&ids.len()) {
        return None;
    }
    let problem =
        Problem::new(Code::TooMany, "a request names 1 to 100 exceptions").at("input.ids");
    Some(ExceptionBulkPayload {
        rows: Vec::new(),
        accepted: 0,
        refused: ids.len(),
        user_errors: vec![problem.into()],
    })
}

/// The rows of a request share its key, but each is done once by itself.
fn row_key(ctx: &Context<'_>, key: Option<&str>, place: usize) -> Option<String> {
    let header = || ctx.data::<IdempotencyKey>().ok().map(|key| key.0.as_str());
    let key = key.or_else(header)?;
    Some(format!(
        "{}/{place}",
        key.chars().take(250).collect::<String>()
    ))
}
