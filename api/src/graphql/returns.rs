//! Returns and refunds, on the wire.

use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use entity::return_order::{Column, Entity, Model};
use entity::{
    Currency, OrderId, ReturnId, ReturnLineId, WarehouseId, refund, refund_line, return_line,
    return_unit,
};
use sea_orm::{ColumnTrait, Condition, EntityTrait, Order as Direction, QueryFilter};
use serde::Serialize;
use serde_json::json;

use super::catalogue::confined;
use super::catalogue::warehouses::{Bin, Warehouse};
use super::errors::{UserError, bad_input, fault, outcome};
use super::ids::{from_global, from_optional, to_global};
use super::loaders::{RefundLinesOf, ReturnLinesOf, ReturnUnitsOf, load};
use super::once::{mark_replayed, once};
use super::orders::{Order, OrderLine, order_of};
use super::pagination::{Rows, Sort, cost, page};
use super::scalars::{Money, money};
use super::shelf::changeable;
use super::stock::StockMovement;
use super::{Allowed, actor, app, principal};
use crate::access::Scope;
use crate::failure::{Failure, Problem};
use crate::orders::Changed;
use crate::payments::Effect;
use crate::returns::inspection::{Finding, Inspect, Of, inspect};
use crate::returns::lifecycle::Action;
use crate::returns::refund::{Ahead, Refund as Pay};
use crate::returns::{self, Decide, Decision, Receive, Request, Ship, Wanted};
use crate::tx::Tx;

/// How far a return is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize)]
#[graphql(remote = "entity::return_order::Status")]
pub enum ReturnState {
    /// Somebody asked for it; nobody has decided.
    Requested,
    /// It may come.
    Approved,
    /// It may not.
    Declined,
    /// It is on its way.
    InTransit,
    /// Something of it is at the dock.
    Received,
    /// What became of every unit of it is known.
    Inspected,
    /// It is settled.
    Closed,
    /// It was called off.
    Cancelled,
}

/// Why something comes back. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize)]
#[graphql(remote = "entity::return_line::Reason")]
pub enum ReturnReason {
    /// It is not wanted any more.
    NoLongerWanted,
    /// It does not fit.
    WrongSize,
    /// It does not work. Nothing is kept for restocking.
    Defective,
    /// It came broken. Nothing is kept for restocking.
    Damaged,
    /// It is not what was promised. Nothing is kept for restocking.
    NotAsDescribed,
    /// Something else came. Nothing is kept for restocking.
    WrongItem,
    /// It came too late. Nothing is kept for restocking.
    TooLate,
    /// Something else; see the note.
    Other,
}

/// What state units are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize)]
#[graphql(remote = "entity::return_unit::Condition")]
pub enum ReturnCondition {
    /// As they left.
    New,
    /// Unpacked and not used.
    Opened,
    /// Used.
    Used,
    /// Broken.
    Damaged,
    /// They do not work.
    Defective,
    /// They did not come.
    NotSeen,
}

/// What became of units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize)]
#[graphql(remote = "entity::return_unit::Disposition")]
pub enum ReturnDisposition {
    /// They are in stock again, by a movement RETURN.
    Restocked,
    /// They came and are of no use: movements RETURN and WRITE_OFF.
    WrittenOff,
    /// They did not come.
    Missing,
}

/// What can be done to a return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum ReturnAction {
    /// `returnApprove`.
    Approve,
    /// `returnDecline`.
    Decline,
    /// `returnShip`.
    Ship,
    /// `returnReceive`.
    Receive,
    /// `returnInspect`.
    Inspect,
    /// `returnRefund`.
    Refund,
    /// `returnClose`.
    Close,
    /// `returnCancel`.
    Cancel,
}

impl ReturnAction {
    fn of(action: Action) -> Option<ReturnAction> {
        Some(match action {
            Action::Approve => ReturnAction::Approve,
            Action::Decline => ReturnAction::Decline,
            Action::Ship => ReturnAction::Ship,
            Action::Receive => ReturnAction::Receive,
            Action::Inspect => ReturnAction::Inspect,
            Action::Refund => ReturnAction::Refund,
            Action::Close => ReturnAction::Close,
            Action::Cancel => ReturnAction::Cancel,
            // It follows from what was found.
            Action::Complete => return None,
        })
    }
}

/// Whether an action is open in the present state of a return.
#[derive(SimpleObject)]
pub struct AvailableReturnAction {
    /// The action.
    action: ReturnAction,
    /// Whether it is open now.
    enabled: bool,
    /// Why not.
    disabled_reason: Option<String>,
}

/// What a customer gives back of an order.
#[derive(Clone)]
pub struct Return(pub Model);

impl From<Model> for Return {
    fn from(row: Model) -> Self {
        Return(row)
    }
}

/// What a customer gives back of an order.
#[Object]
impl Return {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// What people call it, and write on the parcel (RMA number); unique.
    async fn number(&self) -> &str {
        &self.0.number
    }

    /// Its order.
    async fn order(&self, ctx: &Context<'_>) -> Result<Option<Order>> {
        Ok(order_of(ctx, self.0.order_id).await?.map(Order))
    }

    /// How far it is.
    async fn status(&self) -> ReturnState {
        self.0.status.into()
    }

    /// Whether it was asked for before it came.
    async fn announced(&self) -> bool {
        self.0.announced
    }

    /// What whoever asked for it wrote.
    async fn note(&self) -> Option<&str> {
        self.0.note.as_deref()
    }

    /// Why it was declined, called off or closed by a person.
    async fn end_reason(&self) -> Option<&str> {
        self.0.end_reason.as_deref()
    }

    /// Who brings it.
    async fn carrier(&self) -> Option<&str> {
        self.0.carrier.as_deref()
    }

    /// The parcel that it comes in; others may be in it, too.
    async fn tracking_number(&self) -> Option<&str> {
        self.0.tracking_number.as_deref()
    }

    /// Where it came to.
    async fn warehouse(&self, ctx: &Context<'_>) -> Result<Option<Warehouse>> {
        match self.0.warehouse_id {
            Some(id) => Ok(load(ctx, id).await?.map(Warehouse)),
            None => Ok(None),
        }
    }

    /// Its lines.
    async fn lines(&self, ctx: &Context<'_>) -> Result<Vec<ReturnLine>> {
        let rows = load(ctx, ReturnLinesOf(self.0.id)).await?;
        let rows = rows.unwrap_or_default().into_iter();
        Ok(rows.map(ReturnLine).collect())
    }

    /// What was found of its units, oldest first.
    async fn units(&self, ctx: &Context<'_>) -> Result<Vec<ReturnUnit>> {
        let rows = load(ctx, ReturnUnitsOf(self.0.id)).await?;
        let rows = rows.unwrap_or_default().into_iter();
        Ok(rows.map(ReturnUnit).collect())
    }

    /// Who asked for it.
    async fn requested_by(&self) -> &str {
        &self.0.requested_by
    }

    /// When that was.
    async fn requested_at(&self) -> DateTime<Utc> {
        self.0.requested_at
    }

    /// When it was approved.
    async fn approved_at(&self) -> Option<DateTime<Utc>> {
        self.0.approved_at
    }

    /// When it was said to be on its way.
    async fn shipped_at(&self) -> Option<DateTime<Utc>> {
        self.0.shipped_at
    }

    /// When something of it came first.
    async fn received_at(&self) -> Option<DateTime<Utc>> {
        self.0.received_at
    }

    /// When what became of every unit was known.
    async fn inspected_at(&self) -> Option<DateTime<Utc>> {
        self.0.inspected_at
    }

    /// When it ended.
    async fn closed_at(&self) -> Option<DateTime<Utc>> {
        self.0.closed_at
    }

    /// +1 with every change.
    async fn version(&self) -> i64 {
        self.0.version
    }

    /// What may come next, from the lifecycle's own table.
    async fn available_actions(&self) -> Vec<AvailableReturnAction> {
        let all = returns::available_actions(&self.0).into_iter();
        all.filter_map(|(action, disabled_reason)| {
            Some(AvailableReturnAction {
                action: ReturnAction::of(action)?,
                enabled: disabled_reason.is_none(),
                disabled_reason,
            })
        })
        .collect()
    }
}

/// Units of an order's line that come back.
pub struct ReturnLine(return_line::Model);

/// Units of an order's line that come back.
#[Object]
impl ReturnLine {
    /// Its identifier: `returnReceive` and `returnInspect` take it.
    async fn line_id(&self) -> ID {
        to_global(self.0.id)
    }

    /// The order's line.
    async fn order_line(&self, ctx: &Context<'_>) -> Result<Option<OrderLine>> {
        let Some(of) = order_of(ctx, self.0.order_id).await? else {
            return Ok(None);
        };
        let row = load(ctx, self.0.line_id).await?;
        Ok(row.map(|row| OrderLine::new(row, of.currency)))
    }

    /// How many units are to come.
    async fn quantity(&self) -> i64 {
        self.0.quantity
    }

    /// How many have come.
    async fn received(&self) -> i64 {
        self.0.received
    }

    /// How many have been paid for.
    async fn refunded(&self) -> i64 {
        self.0.refunded
    }

    /// Why.
    async fn reason(&self) -> ReturnReason {
        self.0.reason.into()
    }

    /// What was written to that.
    async fn note(&self) -> Option<&str> {
        self.0.note.as_deref()
    }
}

/// Units of a return that are alike, and what became of them.
pub struct ReturnUnit(return_unit::Model);

/// Units of a return that are alike, and what became of them.
#[Object]
impl ReturnUnit {
    /// The line that they are of; null = nobody expected them.
    async fn line_id(&self) -> Option<ID> {
        self.0.return_line_id.map(to_global)
    }

    /// Their SKU, or what was written of them.
    async fn sku(&self) -> &str {
        &self.0.sku
    }

    /// How many.
    async fn quantity(&self) -> i64 {
        self.0.quantity
    }

    /// Their state.
    async fn condition(&self) -> ReturnCondition {
        self.0.condition.into()
    }

    /// What became of them.
    async fn disposition(&self) -> ReturnDisposition {
        self.0.disposition.into()
    }

    /// The movement of stock that booked it; null if they did not come, nobody knows what they are,
    /// or you lack the scope STOCK_READ.
    async fn movement(&self, ctx: &Context<'_>) -> Result<Option<StockMovement>> {
        match self.0.movement_id.filter(|_| may(ctx, Scope::StockRead)) {
            Some(id) => Ok(load(ctx, id).await?.map(Into::into)),
            None => Ok(None),
        }
    }

    /// The bin that they were put into.
    async fn bin(&self, ctx: &Context<'_>) -> Result<Option<Bin>> {
        match self.0.bin_id {
            Some(id) => Ok(load(ctx, id).await?.map(Into::into)),
            None => Ok(None),
        }
    }

    /// What was written of them.
    async fn note(&self) -> Option<&str> {
        self.0.note.as_deref()
    }

    /// Where a photo of them is.
    async fn photo(&self) -> Option<&str> {
        self.0.photo.as_deref()
    }

    /// Who looked at them.
    async fn inspected_by(&self) -> &str {
        &self.0.inspected_by
    }

    /// When.
    async fn inspected_at(&self) -> DateTime<Utc> {
        self.0.inspected_at
    }
}

fn may(ctx: &Context<'_>, scope: Scope) -> bool {
    principal(ctx).is_ok_and(|caller| caller.may(scope))
}

/// A decision to give money back. What the gateway was asked for it are the payment's transactions
/// of the kind REFUND.
pub struct Refund {
    row: refund::Model,
    currency: Currency,
}

impl Refund {
    /// A decision about an order in a currency.
    pub fn new(row: refund::Model, currency: Currency) -> Refund {
        Refund { row, currency }
    }
}

/// A decision to give money back. What the gateway was asked for it are the payment's transactions
/// of the kind REFUND.
#[Object]
impl Refund {
    /// How much goes back.
    async fn amount(&self) -> Money {
        money(self.row.amount_minor, self.currency)
    }

    /// What was kept of it for restocking.
    async fn fee(&self) -> Money {
        money(self.row.fee_minor, self.currency)
    }

    /// The return that it is for; null = nothing comes back for it.
    #[graphql(name = "return")]
    async fn of_return(&self, ctx: &Context<'_>) -> Result<Option<Return>> {
        match self.row.return_id {
            Some(id) => Ok(load(ctx, id).await?.map(Return)),
            None => Ok(None),
        }
    }

    /// Why, if nothing comes back for it.
    async fn reason(&self) -> Option<&str> {
        self.row.reason.as_deref()
    }

    /// Why it was paid before what became of the units was known.
    async fn override_reason(&self) -> Option<&str> {
        self.row.override_reason.as_deref()
    }

    /// What it is made of.
    async fn lines(&self, ctx: &Context<'_>) -> Result<Vec<RefundLine>> {
        let rows = load(ctx, RefundLinesOf(self.row.id)).await?;
        let rows = rows.unwrap_or_default().into_iter();
        Ok(rows
            .map(|row| RefundLine::new(row, self.currency))
            .collect())
    }

    /// Who decided on it.
    async fn requested_by(&self) -> &str {
        &self.row.requested_by
    }

    /// When.
    async fn requested_at(&self) -> DateTime<Utc> {
        self.row.requested_at
    }
}

/// What of a refund is for units of a line, for the delivery, or for no units.
#[derive(SimpleObject)]
pub struct RefundLine {
    /// The shipment whose money it is.
    shipment_id: ID,
    /// The order's line; null = the delivery.
    order_line_id: Option<ID>,
    /// How many units; 0 = an amount for none.
    quantity: i64,
    /// How much goes back.
    amount: Money,
    /// What was kept of it.
    fee: Money,
}

impl RefundLine {
    fn new(row: refund_line::Model, currency: Currency) -> RefundLine {
        RefundLine {
            shipment_id: to_global(row.shipment_id),
            order_line_id: row.line_id.map(to_global),
            quantity: row.quantity,
            amount: money(row.amount_minor, currency),
            fee: money(row.fee_minor, currency),
        }
    }
}

/// Which returns.
#[derive(Default, InputObject)]
pub struct ReturnWhere {
    /// In any of these states.
    pub status: Option<Vec<ReturnState>>,
    /// In this parcel.
    pub tracking_number: Option<String>,
    /// With this number.
    pub number: Option<String>,
    /// That came to this warehouse.
    pub warehouse_id: Option<ID>,
}

impl ReturnWhere {
    fn condition(self) -> std::result::Result<Condition, Problem> {
        let warehouse = from_optional::<WarehouseId>(self.warehouse_id.as_ref(), "where")?;
        let states = self.status.map(|states| {
            let states = states.into_iter().map(entity::return_order::Status::from);
            Column::Status.is_in(states.collect::<Vec<_>>())
        });
        Ok(Condition::all()
            .add_option(states)
            .add_option(
                self.tracking_number
                    .map(|number| Column::TrackingNumber.eq(number)),
            )
            .add_option(self.number.map(|number| Column::Number.eq(number)))
            .add_option(warehouse.map(|id| Column::WarehouseId.eq(id))))
    }
}

/// Reading returns.
#[derive(Default)]
pub struct ReturnQuery;

#[Object]
impl ReturnQuery {
    /// Returns of orders that were not put away, those first that were asked for last. Needs the
    /// scope ORDERS_READ.
    #[graphql(
        guard = "Allowed(Scope::OrdersRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn returns(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "where", desc = "Which; all if not given.")] wanted: Option<ReturnWhere>,
        #[graphql(desc = "How many; at most 250, 50 if not given.")] first: Option<i32>,
        #[graphql(desc = "The cursor behind which the page begins.")] after: Option<String>,
    ) -> Result<Rows<Return>> {
        let wanted = wanted.unwrap_or_default().condition();
        let wanted = wanted.map_err(|problem| bad_input(&problem.message))?;
        let mine = confined(ctx)?.map(|channels| Column::ChannelId.is_in(channels.iter().copied()));
        let sort = Sort {
            column: Column::RequestedAt,
            id: Column::Id,
            order: Direction::Desc,
            key: |row: &Model| (row.requested_at, row.id.0),
        };
        let rows = Entity::find().filter(wanted.add_option(mine));
        page(app(ctx), rows, sort, first, after, Return).await
    }

    /// A return; null if there is none, or of a channel that is not yours. Needs the scope
    /// ORDERS_READ.
    #[graphql(name = "return", guard = "Allowed(Scope::OrdersRead)")]
    async fn one_return(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global identifier.")] id: ID,
    ) -> Result<Option<Return>> {
        match from_global::<ReturnId>(&id, "id") {
            Ok(id) => seen(ctx, id).await,
            Err(_) => Ok(None),
        }
    }
}

/// A return, if the caller sees its order.
async fn seen(ctx: &Context<'_>, id: ReturnId) -> Result<Option<Return>> {
    let Some(row) = load(ctx, id).await? else {
        return Ok(None);
    };
    Ok(order_of(ctx, row.order_id).await?.map(|_| Return(row)))
}

/// Units of a line that are to come back.
#[derive(Clone, Serialize, InputObject)]
pub struct ReturnRequestLineInput {
    /// The order's line; once a return.
    pub line_id: ID,
    /// How many units: at most those that have left and are on no return (NOTHING_TO_RETURN).
    pub quantity: i64,
    /// Why.
    pub reason: ReturnReason,
    /// What is to be said of it, at most 4,000 characters.
    pub note: Option<String>,
}

/// Asks for a return.
#[derive(Serialize, InputObject)]
pub struct ReturnRequestInput {
    /// The order; one that was put away is taken out of the archive.
    pub order_id: ID,
    /// The version of the order that you decided on; STALE_VERSION if it has moved on.
    pub expected_version: Option<i64>,
    /// What is to come back: 1 to 250 lines.
    #[graphql(validator(max_items = 250))]
    pub lines: Vec<ReturnRequestLineInput>,
    /// What is to be said of it, at most 4,000 characters.
    pub note: Option<String>,
    /// Whether it is asked for though the time for it is over. Needs the scope ORDERS_MANAGE.
    #[graphql(default)]
    pub accept_late: bool,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Takes in what came back without being announced.
#[derive(Serialize, InputObject)]
pub struct ReturnReceiveUnannouncedInput {
    /// The order that it is of.
    pub order_id: ID,
    /// Where it came to.
    pub warehouse_id: ID,
    /// What came: 1 to 250 lines.
    #[graphql(validator(max_items = 250))]
    pub lines: Vec<ReturnRequestLineInput>,
    /// What is to be said of it, at most 4,000 characters.
    pub note: Option<String>,
    /// Who brought it.
    pub carrier: Option<String>,
    /// The parcel; needs the carrier.
    pub tracking_number: Option<String>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Lets a return come.
#[derive(Serialize, InputObject)]
pub struct ReturnApproveInput {
    /// The return.
    pub id: ID,
    /// The version of it that you decided on; STALE_VERSION if it has moved on.
    pub expected_version: Option<i64>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Ends a return, with a reason.
#[derive(Serialize, InputObject)]
pub struct ReturnEndInput {
    /// The return.
    pub id: ID,
    /// The version of it that you decided on; STALE_VERSION if it has moved on.
    pub expected_version: Option<i64>,
    /// Why: 1 to 4,000 characters.
    pub reason: String,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Says in which parcel a return is on its way.
#[derive(Serialize, InputObject)]
pub struct ReturnShipInput {
    /// The return.
    pub id: ID,
    /// Who brings it.
    pub carrier: String,
    /// The parcel; several returns may be in one.
    pub tracking_number: String,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Units of a line of a return.
#[derive(Serialize, InputObject)]
pub struct ReturnLineUnitsInput {
    /// The return's line (`ReturnLine.lineId`).
    pub line_id: ID,
    /// How many units.
    pub quantity: i64,
}

/// Counts what came of a return at the dock.
#[derive(Serialize, InputObject)]
pub struct ReturnReceiveInput {
    /// The return.
    pub id: ID,
    /// Where it came to.
    pub warehouse_id: ID,
    /// What came now; what came before is not counted again.
    #[graphql(validator(max_items = 250))]
    pub lines: Vec<ReturnLineUnitsInput>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// What was found of some units that are alike.
#[derive(Serialize, InputObject)]
pub struct ReturnUnitInput {
    /// The return's line that they are of (`ReturnLine.lineId`); not given = nobody expected them.
    pub line_id: Option<ID>,
    /// What they are, if nobody expected them: a SKU, an alias, a barcode, or any description.
    pub sku: Option<String>,
    /// How many.
    pub quantity: i64,
    /// Their state; NOT_SEEN if they did not come.
    pub condition: ReturnCondition,
    /// What becomes of them.
    pub disposition: ReturnDisposition,
    /// The bin that they are put into; where the rest of them lies if not given.
    pub bin_id: Option<ID>,
    /// What is to be said of them, at most 4,000 characters.
    pub note: Option<String>,
    /// Where a photo of them is, at most 4,000 characters.
    pub photo: Option<String>,
}

/// Writes down what became of units of a return.
#[derive(Serialize, InputObject)]
pub struct ReturnInspectInput {
    /// The return.
    pub id: ID,
    /// Where the units are; where the return came to if not given.
    pub warehouse_id: Option<ID>,
    /// What was found now: 1 to 250 findings.
    #[graphql(validator(max_items = 250))]
    pub units: Vec<ReturnUnitInput>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Pays for units before what became of them is known.
#[derive(Serialize, InputObject)]
pub struct ReturnOverrideInput {
    /// Why: 1 to 4,000 characters. It stands in the log.
    pub reason: String,
    /// The units.
    #[graphql(validator(max_items = 250))]
    pub lines: Vec<ReturnLineUnitsInput>,
}

/// Pays for the units of a return.
#[derive(Serialize, InputObject)]
pub struct ReturnRefundInput {
    /// The return.
    pub id: ID,
    /// The version of it that you decided on; STALE_VERSION if it has moved on.
    pub expected_version: Option<i64>,
    /// Whether nothing is kept for restocking.
    #[graphql(default)]
    pub waive_fee: bool,
    /// Whether what is left of the delivery's charge goes back as well; as the channel says if not
    /// given.
    pub delivery: Option<bool>,
    /// Units that are paid for before what became of them is known. Needs the scope FINANCE_MANAGE.
    #[graphql(name = "override")]
    pub ahead: Option<ReturnOverrideInput>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// What a command did to a return.
#[derive(SimpleObject)]
pub struct ReturnPayload {
    /// The return as it is now; null if the command was refused.
    #[graphql(name = "return")]
    node: Option<Return>,
    /// Why it was refused; empty if it was not.
    user_errors: Vec<UserError>,
    /// Whether this is the answer to an earlier request with the same key.
    replayed: bool,
}

/// Changing returns.
#[derive(Default)]
pub struct ReturnMutation;

#[Object]
impl ReturnMutation {
    /// Asks for units of an order to come back. Only what has left and is on no other return can be
    /// asked for, and only so many days after its delivery (`Channel.returnWindowDays`). Errors:
    /// INVALID_INPUT, NOT_FOUND, NOTHING_TO_RETURN, ORDER_STATE_INVALID, RETURN_WINDOW_CLOSED,
    /// STALE_VERSION. Needs the scope ORDERS_SUBMIT.
    #[graphql(guard = "Allowed(Scope::OrdersSubmit)")]
    async fn return_request(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What of which order, and why.")] input: ReturnRequestInput,
    ) -> Result<ReturnPayload> {
        if input.accept_late && !may(ctx, Scope::OrdersManage) {
            return Err(super::errors::forbidden(Scope::OrdersManage));
        }
        let order = order_id(ctx, &input.order_id).await?;
        let cmd = order.and_then(|order_id| {
            Ok(Request {
                order_id,
                expected_version: input.expected_version,
                lines: wanted(&input.lines)?,
                note: input.note.clone(),
                accepts_late: input.accept_late,
                came_to: None,
                parcel: None,
            })
        });
        let key = input.idempotency_key.as_deref();
        let reference = &app(ctx).reference().await.map_err(fault)?;
        run(
            ctx,
            "returnRequest",
            &input,
            key,
            cmd,
            move |tx, cmd| async move {
                Ok((returns::request(&tx, reference, &cmd).await?, Vec::new()))
            },
        )
        .await
    }

    /// Takes in what came back without being announced: a return that is at the dock already, however
    /// late. Errors: INVALID_INPUT, NOT_FOUND, NOTHING_TO_RETURN, ORDER_STATE_INVALID. Needs the scope
    /// FULFILLMENT_WORK.
    #[graphql(guard = "Allowed(Scope::FulfillmentWork)")]
    async fn return_receive_unannounced(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What came of which order, and where.")]
        input: ReturnReceiveUnannouncedInput,
    ) -> Result<ReturnPayload> {
        let order = order_id(ctx, &input.order_id).await?;
        let cmd = order.and_then(|order_id| {
            Ok(Request {
                order_id,
                expected_version: None,
                lines: wanted(&input.lines)?,
                note: input.note.clone(),
                accepts_late: true,
                came_to: Some(from_global(&input.warehouse_id, "input.warehouseId")?),
                parcel: input.carrier.clone().zip(input.tracking_number.clone()),
            })
        });
        let key = input.idempotency_key.as_deref();
        let reference = &app(ctx).reference().await.map_err(fault)?;
        let operation = "returnReceiveUnannounced";
        run(
            ctx,
            operation,
            &input,
            key,
            cmd,
            move |tx, cmd| async move {
                Ok((returns::request(&tx, reference, &cmd).await?, Vec::new()))
            },
        )
        .await
    }

    /// Lets a return come. Errors: NOT_FOUND, RETURN_STATE_INVALID, STALE_VERSION. Needs the scope
    /// ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn return_approve(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which return.")] input: ReturnApproveInput,
    ) -> Result<ReturnPayload> {
        let cmd = return_id(ctx, &input.id).await?.map(|id| Decide {
            id,
            expected_version: input.expected_version,
            decision: Decision::Approve,
        });
        let key = input.idempotency_key.as_deref();
        run(ctx, "returnApprove", &input, key, cmd, decide).await
    }

    /// Refuses that a return comes. Errors: INVALID_INPUT, NOT_FOUND, RETURN_STATE_INVALID,
    /// STALE_VERSION. Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn return_decline(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which return, and why.")] input: ReturnEndInput,
    ) -> Result<ReturnPayload> {
        end(ctx, "returnDecline", input, Decision::Decline).await
    }

    /// Calls a return off of which nothing has come. Errors: INVALID_INPUT, NOT_FOUND,
    /// RETURN_STATE_INVALID, STALE_VERSION. Needs the scope ORDERS_SUBMIT.
    #[graphql(guard = "Allowed(Scope::OrdersSubmit)")]
    async fn return_cancel(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which return, and why.")] input: ReturnEndInput,
    ) -> Result<ReturnPayload> {
        end(ctx, "returnCancel", input, Decision::Cancel).await
    }

    /// Settles a return as it is: units that were not paid for are not. What did not come may be
    /// returned by another return. Errors: INVALID_INPUT, NOT_FOUND, RETURN_NOT_INSPECTED,
    /// RETURN_STATE_INVALID, STALE_VERSION. Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn return_close(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which return, and why.")] input: ReturnEndInput,
    ) -> Result<ReturnPayload> {
        end(ctx, "returnClose", input, Decision::Close).await
    }

    /// Says in which parcel a return is on its way; said again, the parcel is another one. Errors:
    /// INVALID_INPUT, NOT_FOUND, RETURN_STATE_INVALID. Needs the scope ORDERS_SUBMIT.
    #[graphql(guard = "Allowed(Scope::OrdersSubmit)")]
    async fn return_ship(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which return, and the parcel.")] input: ReturnShipInput,
    ) -> Result<ReturnPayload> {
        let cmd = return_id(ctx, &input.id).await?.map(|id| Ship {
            id,
            carrier: input.carrier.clone(),
            tracking_number: input.tracking_number.clone(),
        });
        let key = input.idempotency_key.as_deref();
        run(ctx, "returnShip", &input, key, cmd, |tx, cmd| async move {
            Ok((returns::ship(&tx, &cmd).await?, Vec::new()))
        })
        .await
    }

    /// Counts units of a return at the dock. They are in nobody's stock until they were looked at.
    /// More than are to come are refused: what nobody expected is said by `returnInspect`. Errors:
    /// INVALID_INPUT, NOT_FOUND, QUANTITY_INVALID, RETURN_STATE_INVALID. Needs the scope
    /// FULFILLMENT_WORK.
    #[graphql(guard = "Allowed(Scope::FulfillmentWork)")]
    async fn return_receive(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which return, where, and what came.")] input: ReturnReceiveInput,
    ) -> Result<ReturnPayload> {
        let id = return_id(ctx, &input.id).await?;
        let cmd = id.and_then(|id| {
            Ok(Receive {
                id,
                warehouse_id: from_global(&input.warehouse_id, "input.warehouseId")?,
                lines: units_of(&input.lines, "input.lines")?,
            })
        });
        let key = input.idempotency_key.as_deref();
        run(
            ctx,
            "returnReceive",
            &input,
            key,
            cmd,
            |tx, cmd| async move { Ok((returns::receive(&tx, &cmd).await?, Vec::new())) },
        )
        .await
    }

    /// Writes down what became of units of a return: put into a bin, written off, or never there.
    /// What is restocked is in stock at once, and whoever waits for it gets it. When all of its units
    /// are known, the return is INSPECTED. Errors: INVALID_INPUT, NOT_FOUND, QUANTITY_INVALID,
    /// RETURN_STATE_INVALID, SKU_UNKNOWN. Needs the scope FULFILLMENT_WORK.
    #[graphql(guard = "Allowed(Scope::FulfillmentWork)")]
    async fn return_inspect(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which return, and what was found.")] input: ReturnInspectInput,
    ) -> Result<ReturnPayload> {
        let id = return_id(ctx, &input.id).await?;
        let cmd = id.and_then(|id| {
            let units = input.units.iter().enumerate();
            Ok(Inspect {
                id,
                warehouse_id: from_optional(input.warehouse_id.as_ref(), "input.warehouseId")?,
                findings: units
                    .map(|(place, unit)| finding(unit, place))
                    .collect::<std::result::Result<_, Problem>>()?,
            })
        });
        let key = input.idempotency_key.as_deref();
        let reference = &app(ctx).reference().await.map_err(fault)?;
        run(
            ctx,
            "returnInspect",
            &input,
            key,
            cmd,
            move |tx, cmd| async move { Ok((inspect(&tx, reference, &cmd).await?, Vec::new())) },
        )
        .await
    }

    /// Pays for the units of a return that came and of which it is known what became: their share of
    /// what was captured, with discounts and tax, less the channel's fee for restocking, by a credit
    /// note, to the payment that it came from. Refused while units that came were not looked at;
    /// units that are paid for before that, or that never come, need `override`. A return of which
    /// all is known and paid for is closed. Errors: INVALID_INPUT, NOT_FOUND, QUANTITY_INVALID,
    /// REFUND_DISPUTED, REFUND_EXCEEDS_CAPTURED, RETURN_NOT_INSPECTED, RETURN_STATE_INVALID,
    /// STALE_VERSION. Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn return_refund(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which return, and what is to be kept.")] input: ReturnRefundInput,
    ) -> Result<ReturnPayload> {
        if input.ahead.is_some() && !may(ctx, Scope::FinanceManage) {
            return Err(super::errors::forbidden(Scope::FinanceManage));
        }
        let id = return_id(ctx, &input.id).await?;
        let cmd = id.and_then(|id| {
            let ahead = input.ahead.as_ref().map(|ahead| {
                Ok::<_, Problem>(Ahead {
                    reason: ahead.reason.clone(),
                    lines: units_of(&ahead.lines, "input.override.lines")?,
                })
            });
            Ok(Pay {
                id,
                expected_version: input.expected_version,
                waives_fee: input.waive_fee,
                delivery: input.delivery,
                ahead: ahead.transpose()?,
            })
        });
        let key = input.idempotency_key.as_deref();
        let reference = &app(ctx).reference().await.map_err(fault)?;
        run(
            ctx,
            "returnRefund",
            &input,
            key,
            cmd,
            move |tx, cmd| async move {
                let (id, changed) = returns::refund::refund(&tx, reference, &cmd).await?;
                Ok((id, changed.effects))
            },
        )
        .await
    }
}

async fn decide(tx: Arc<Tx>, cmd: Decide) -> std::result::Result<Done, Failure> {
    Ok((returns::decide(&tx, &cmd).await?, Vec::new()))
}

async fn end(
    ctx: &Context<'_>,
    operation: &'static str,
    input: ReturnEndInput,
    decision: impl Fn(String) -> Decision,
) -> Result<ReturnPayload> {
    let cmd = return_id(ctx, &input.id).await?.map(|id| Decide {
        id,
        expected_version: input.expected_version,
        decision: decision(input.reason.clone()),
    });
    let key = input.idempotency_key.as_deref();
    run(ctx, operation, &input, key, cmd, decide).await
}

fn wanted(lines: &[ReturnRequestLineInput]) -> std::result::Result<Vec<Wanted>, Problem> {
    let lines = lines.iter().enumerate();
    lines
        .map(|(place, line)| {
            Ok(Wanted {
                line_id: from_global(&line.line_id, &format!("input.lines.{place}.lineId"))?,
                quantity: line.quantity,
                reason: line.reason.into(),
                note: line.note.clone(),
            })
        })
        .collect()
}

fn units_of(
    lines: &[ReturnLineUnitsInput],
    field: &str,
) -> std::result::Result<Vec<(ReturnLineId, i64)>, Problem> {
    let lines = lines.iter().enumerate();
    lines
        .map(|(place, line)| {
            let id = from_global(&line.line_id, &format!("{field}.{place}.lineId"))?;
            Ok((id, line.quantity))
        })
        .collect()
}

fn finding(unit: &ReturnUnitInput, place: usize) -> std::result::Result<Finding, Problem> {
    let field = |name: &str| format!("input.units.{place}.{name}");
    let of = match (&unit.line_id, &unit.sku) {
        (Some(id), None) => Of::Line(from_global(id, &field("lineId"))?),
        (None, Some(sku)) => Of::Stray(sku.clone()),
        _ => {
            let message = "either lineId or sku is needed";
            let problem = Problem::new(crate::failure::Code::InvalidInput, message);
            return Err(problem.at(&field("lineId")));
        }
    };
    Ok(Finding {
        of,
        quantity: unit.quantity,
        condition: unit.condition.into(),
        disposition: unit.disposition.into(),
        bin_id: from_optional(unit.bin_id.as_ref(), &field("binId"))?,
        note: unit.note.clone(),
        photo: unit.photo.clone(),
    })
}

/// The order under an identifier, if the caller sees it, put away or not.
async fn order_id(ctx: &Context<'_>, id: &ID) -> Result<std::result::Result<OrderId, Problem>> {
    let missing = || Problem::not_found("Order").at("input.orderId");
    let Ok(id) = from_global::<OrderId>(id, "input.orderId") else {
        return Ok(Err(missing()));
    };
    Ok(order_of(ctx, id).await?.map(|_| id).ok_or_else(missing))
}

/// The return under an identifier, if the caller sees it and it was not put away.
async fn return_id(ctx: &Context<'_>, id: &ID) -> Result<std::result::Result<ReturnId, Problem>> {
    let missing = || Problem::not_found("Return").at("input.id");
    let Ok(id) = from_global::<ReturnId>(id, "input.id") else {
        return Ok(Err(missing()));
    };
    let Some(found) = seen(ctx, id).await? else {
        return Ok(Err(missing()));
    };
    Ok(changeable(ctx, found.0.order_id, "input.id").map(|()| id))
}

/// A return that was changed, and what is now owed to a gateway.
type Done = (ReturnId, Vec<Effect>);

/// Runs a command once for its key, makes the calls that it then owes, and shows the return as it is
/// afterwards.
async fn run<C, Case>(
    ctx: &Context<'_>,
    operation: &'static str,
    input: &impl Serialize,
    key: Option<&str>,
    cmd: std::result::Result<C, Problem>,
    case: impl Fn(Arc<Tx>, C) -> Case,
) -> Result<ReturnPayload>
where
    C: Clone,
    Case: Future<Output = std::result::Result<Done, Failure>>,
{
    let asked = once(ctx, operation, input, key).and_then(|once| Ok((once, cmd?)));
    let (claim, cmd) = match asked {
        Ok(asked) => asked,
        Err(problem) => {
            return Ok(ReturnPayload {
                node: None,
                user_errors: vec![problem.into()],
                replayed: false,
            });
        }
    };
    let owed = &Mutex::new(Vec::new());
    let (case, cmd) = (&case, &cmd);
    let result = app(ctx)
        .write_once(&actor(ctx)?, claim.as_ref(), move |tx| async move {
            let (id, effects) = case(tx, cmd.clone()).await?;
            // The case may run again; what it owed the first time was rolled back with it.
            *owed.lock().unwrap_or_else(PoisonError::into_inner) = effects;
            Ok(json!({ "return": id }))
        })
        .await;
    let (done, user_errors) = outcome(result)?;
    let Some(done) = done else {
        return Ok(ReturnPayload {
            node: None,
            user_errors,
            replayed: false,
        });
    };
    let id: ReturnId = serde_json::from_value(done.answer["return"].clone()).map_err(|_| {
        fault(Failure::Internal(
            "a saved answer without its return".to_owned(),
        ))
    })?;
    let row = Entity::find_by_id(id);
    if done.replayed {
        mark_replayed(ctx);
    } else {
        let effects = std::mem::take(&mut *owed.lock().unwrap_or_else(PoisonError::into_inner));
        let row = row.clone().one(&app(ctx).db.read).await.map_err(fault)?;
        if let Some(order_id) = row.map(|row| row.order_id) {
            let changed = Changed { order_id, effects };
            if let Err(failure) = app(ctx).carry_out(changed).await {
                // The command is done; what is owed to the gateway is left to the reconciler.
                tracing::error!(%order_id, %failure, "a gateway call will be made later");
            }
        }
    }
    let row = row.one(&app(ctx).db.read).await.map_err(fault)?;
    if let (Some(row), Some(shelf)) = (&row, super::shelf::shelf(ctx)) {
        shelf.is_back(row.order_id);
    }
    Ok(ReturnPayload {
        node: row.map(Return),
        user_errors,
        replayed: done.replayed,
    })
}
