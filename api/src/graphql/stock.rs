//! Stock, its ledger and expected deliveries on the wire.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use entity::{
    BinId, InboundId, VariantId, WarehouseId, inbound_supply, stock, stock_movement, stock_source,
    variant,
};
use sea_orm::sea_query::{ExprTrait, Query};
use sea_orm::{ColumnTrait, Condition, EntityTrait, Order, QueryFilter};
use serde::Serialize;
use serde_json::json;

use super::catalogue::confined;
use super::catalogue::products::{Variant, listed};
use super::catalogue::warehouses::{Bin, Warehouse};
use super::command::{payloads, run_on_reference};
use super::errors::{UserError, fault, outcome};
use super::filters::{
    DateTimeFilter, IdFilter, IntFilter, IntRange, StringFilter, condition, enum_filter, filter,
};
use super::ids::{from_global, from_optional, to_global};
use super::loaders::{IncomingTo, SourceOf, load};
use super::once::{mark_replayed, once_required};
use super::orders::order_of;
use super::pagination::{Rows, Sort, cost, page};
use super::stock_sources::StockFreshness;
use super::{Allowed, actor, app};
use crate::access::Scope;
use crate::app::Answered;
use crate::failure::{Failure, Problem};
use crate::inventory::{self, SetSafety, inbound, sources};
use crate::orders::stock as orders_stock;

/// Why stock figures changed. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "stock_movement::Kind")]
pub enum StockMovementKind {
    /// Goods came in.
    Receive,
    /// Units were held softly.
    Hold,
    /// Units were held for good at once (a waiter was served).
    Allocate,
    /// A hold was let go.
    Release,
    /// A soft hold ran out.
    Expire,
    /// Units left their bin.
    Pick,
    /// Units left the building.
    Ship,
    /// A count corrected the figure.
    Adjust,
    /// Units came back to stock.
    Return,
    /// Units were lost or broken.
    WriteOff,
    /// Units moved between warehouses.
    Transfer,
}

/// Where an expected delivery stands. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "inbound_supply::Status")]
pub enum InboundSupplyStatus {
    /// Nothing has arrived yet.
    Expected,
    /// Some of it has arrived.
    PartlyReceived,
    /// All of it has arrived.
    Received,
    /// It will not come.
    Cancelled,
}

/// How many units a warehouse has of a variant, and how many of them are promised.
pub struct Stock {
    row: stock::Model,
    known: Option<Known>,
}

/// What is known of a stock row besides: read for many rows at once.
#[derive(Clone, Debug)]
pub struct Known {
    /// Who states it; none = nobody does.
    pub source: Option<Arc<stock_source::Model>>,
    /// Units that are on their way.
    pub incoming: i64,
}

impl From<stock::Model> for Stock {
    fn from(row: stock::Model) -> Self {
        Stock { row, known: None }
    }
}

impl Stock {
    /// A stock row with what is known of it.
    pub fn with(row: stock::Model, known: Known) -> Self {
        Stock {
            row,
            known: Some(known),
        }
    }

    /// Who states it.
    async fn source(&self, ctx: &Context<'_>) -> Result<Option<Arc<stock_source::Model>>> {
        match &self.known {
            Some(known) => Ok(known.source.clone()),
            None => load(ctx, SourceOf(self.row.warehouse_id)).await,
        }
    }

    /// How much of it is kept back, in percent of the units on hand.
    async fn withheld_percent(&self, ctx: &Context<'_>) -> Result<i64> {
        let source = self.source(ctx).await?;
        Ok(source.map_or(0, |source| source.withheld_percent))
    }
}

/// How many units a warehouse has of a variant, and how many of them are promised.
#[Object]
impl Stock {
    /// Of what.
    async fn variant(&self, ctx: &Context<'_>) -> Result<Option<Variant>> {
        Ok(load(ctx, self.row.variant_id).await?.map(Variant))
    }

    /// Where.
    async fn warehouse(&self, ctx: &Context<'_>) -> Result<Option<Warehouse>> {
        Ok(load(ctx, self.row.warehouse_id).await?.map(Warehouse))
    }

    /// Units that are there.
    async fn on_hand(&self) -> i64 {
        self.row.on_hand
    }

    /// Units that are held for orders, softly or for good.
    async fn reserved(&self) -> i64 {
        self.row.reserved
    }

    /// Units that are never promised.
    async fn safety(&self) -> i64 {
        self.row.safety
    }

    /// Units that can be promised: on hand less reserved less safety less withheld, and none if that
    /// is negative. While others wait for them, because this warehouse serves their channel, a new
    /// order gets none.
    async fn available(&self, ctx: &Context<'_>) -> Result<i64> {
        let percent = self.withheld_percent(ctx).await?;
        Ok(inventory::available(&self.row, percent))
    }

    /// Units that are kept back because the source of the figure is stale; by its policy.
    async fn withheld(&self, ctx: &Context<'_>) -> Result<i64> {
        let percent = self.withheld_percent(ctx).await?;
        Ok(sources::withheld(self.row.on_hand, percent))
    }

    /// How far the figure is to be believed; null if no source states it, so that the bookings here
    /// are all there is.
    async fn freshness(&self, ctx: &Context<'_>) -> Result<Option<StockFreshness>> {
        let source = self.source(ctx).await?;
        Ok(source.map(|source| StockFreshness::new(source, app(ctx).clock.now())))
    }

    /// Units that are on their way: what is expected and has not arrived.
    async fn incoming(&self, ctx: &Context<'_>) -> Result<i64> {
        if let Some(known) = &self.known {
            return Ok(known.incoming);
        }
        let key = IncomingTo(self.row.variant_id, self.row.warehouse_id);
        Ok(load(ctx, key).await?.unwrap_or_default())
    }

    /// +1 with every change of the row; give it back as `expectedVersion`.
    async fn version(&self) -> i64 {
        self.row.version
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.row.updated_at
    }
}

/// One entry of the stock ledger. A stock row is the sum of its movements.
pub struct StockMovement(pub stock_movement::Model);

impl From<stock_movement::Model> for StockMovement {
    fn from(row: stock_movement::Model) -> Self {
        StockMovement(row)
    }
}

/// One entry of the stock ledger. A stock row is the sum of its movements.
#[Object]
impl StockMovement {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// What moved.
    async fn variant(&self, ctx: &Context<'_>) -> Result<Option<Variant>> {
        Ok(load(ctx, self.0.variant_id).await?.map(Variant))
    }

    /// Where.
    async fn warehouse(&self, ctx: &Context<'_>) -> Result<Option<Warehouse>> {
        Ok(load(ctx, self.0.warehouse_id).await?.map(Warehouse))
    }

    /// The bin, if on hand changed.
    async fn bin(&self, ctx: &Context<'_>) -> Result<Option<Bin>> {
        match self.0.bin_id {
            Some(id) => Ok(load(ctx, id).await?.map(Bin)),
            None => Ok(None),
        }
    }

    /// Why.
    async fn kind(&self) -> StockMovementKind {
        self.0.kind.into()
    }

    /// Change of the units that are there.
    async fn delta_on_hand(&self) -> i64 {
        self.0.delta_on_hand
    }

    /// Change of the units that are held.
    async fn delta_reserved(&self) -> i64 {
        self.0.delta_reserved
    }

    /// Why, in words.
    async fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// The paper behind it: delivery note, count sheet.
    async fn document(&self) -> Option<&str> {
        self.0.document.as_deref()
    }

    /// The identifier of the order that it is for; null if it is for none, or for one that you do
    /// not see.
    async fn order_id(&self, ctx: &Context<'_>) -> Result<Option<ID>> {
        let Some(id) = self.0.order_id else {
            return Ok(None);
        };
        if confined(ctx)?.is_none() {
            return Ok(Some(to_global(id)));
        }
        let order = order_of(ctx, id).await?;
        Ok(order.map(|order| to_global(order.id)))
    }

    /// Who did it: `key:…`, `worker:…`.
    async fn actor(&self) -> &str {
        &self.0.actor
    }

    /// When.
    async fn occurred_at(&self) -> DateTime<Utc> {
        self.0.occurred_at
    }
}

/// A delivery that a supplier has promised.
pub struct InboundSupply(pub inbound_supply::Model);

impl From<inbound_supply::Model> for InboundSupply {
    fn from(row: inbound_supply::Model) -> Self {
        InboundSupply(row)
    }
}

/// A delivery that a supplier has promised.
#[Object]
impl InboundSupply {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// What comes.
    async fn variant(&self, ctx: &Context<'_>) -> Result<Option<Variant>> {
        Ok(load(ctx, self.0.variant_id).await?.map(Variant))
    }

    /// Where to.
    async fn warehouse(&self, ctx: &Context<'_>) -> Result<Option<Warehouse>> {
        Ok(load(ctx, self.0.warehouse_id).await?.map(Warehouse))
    }

    /// How many units were promised.
    async fn quantity(&self) -> i64 {
        self.0.quantity
    }

    /// How many have arrived; more than was promised if the supplier was generous.
    async fn received(&self) -> i64 {
        self.0.received
    }

    /// When.
    async fn expected_at(&self) -> DateTime<Utc> {
        self.0.expected_at
    }

    /// From whom.
    async fn supplier(&self) -> Option<&str> {
        self.0.supplier.as_deref()
    }

    /// The purchase order.
    async fn reference(&self) -> Option<&str> {
        self.0.reference.as_deref()
    }

    /// Where it stands.
    async fn status(&self) -> InboundSupplyStatus {
        self.0.status.into()
    }

    /// When it was entered.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}

/// Which stock. Fields of one input must all match.
#[derive(Clone, Debug, Default, InputObject)]
pub struct StockWhere {
    /// By variant.
    pub variant_id: Option<IdFilter>,
    /// By the variant's SKU.
    pub sku: Option<StringFilter>,
    /// By warehouse.
    pub warehouse_id: Option<IdFilter>,
    /// By the units that are there.
    pub on_hand: Option<IntFilter>,
    /// By the units that are held.
    pub reserved: Option<IntFilter>,
    /// By on hand less reserved less safety less withheld, which is negative where a count has eaten
    /// into safety.
    pub available: Option<IntRange>,
    /// By when it last changed.
    pub updated_at: Option<DateTimeFilter>,
    /// All of these must match. At most 20.
    #[graphql(validator(max_items = 20))]
    pub and: Option<Vec<StockWhere>>,
    /// One of these must match. At most 20.
    #[graphql(validator(max_items = 20))]
    pub or: Option<Vec<StockWhere>>,
    /// This must not match.
    pub not: Option<Box<StockWhere>>,
}

filter!(StockWhere, |it| [
    it.variant_id
        .as_ref()
        .map(|f| f.on::<VariantId>(stock::Column::VariantId)),
    it.sku.as_ref().map(with_sku),
    it.warehouse_id
        .as_ref()
        .map(|f| f.on::<WarehouseId>(stock::Column::WarehouseId)),
    it.on_hand.as_ref().map(|f| f.on(stock::Column::OnHand)),
    it.reserved.as_ref().map(|f| f.on(stock::Column::Reserved)),
    it.available.as_ref().map(with_available),
    it.updated_at
        .as_ref()
        .map(|f| f.on(stock::Column::UpdatedAt)),
]);

fn with_sku(sku: &StringFilter) -> Condition {
    let variants = Query::select()
        .column(variant::Column::Id)
        .from(variant::Entity)
        .cond_where(sku.on(variant::Column::Sku))
        .to_owned();
    Condition::all().add(stock::Column::VariantId.in_subquery(variants))
}

fn with_available(range: &IntRange) -> Condition {
    let available = sources::free();
    Condition::all()
        .add_option(range.gte.map(|least| available.clone().gte(least)))
        .add_option(range.lt.map(|end| available.clone().lt(end)))
}

enum_filter! {
    /// What an expected delivery's status must be.
    InboundSupplyStatusFilter of InboundSupplyStatus as inbound_supply::Status
}

/// Which expected deliveries. Fields of one input must all match.
#[derive(Clone, Debug, Default, InputObject)]
pub struct InboundSupplyWhere {
    /// By variant.
    pub variant_id: Option<IdFilter>,
    /// By warehouse.
    pub warehouse_id: Option<IdFilter>,
    /// By where it stands.
    pub status: Option<InboundSupplyStatusFilter>,
    /// By when it is expected.
    pub expected_at: Option<DateTimeFilter>,
    /// By the purchase order.
    pub reference: Option<StringFilter>,
    /// All of these must match. At most 20.
    #[graphql(validator(max_items = 20))]
    pub and: Option<Vec<InboundSupplyWhere>>,
    /// One of these must match. At most 20.
    #[graphql(validator(max_items = 20))]
    pub or: Option<Vec<InboundSupplyWhere>>,
    /// This must not match.
    pub not: Option<Box<InboundSupplyWhere>>,
}

filter!(InboundSupplyWhere, |it| [
    it.variant_id
        .as_ref()
        .map(|f| f.on::<VariantId>(inbound_supply::Column::VariantId)),
    it.warehouse_id
        .as_ref()
        .map(|f| f.on::<WarehouseId>(inbound_supply::Column::WarehouseId)),
    it.status
        .as_ref()
        .map(|f| f.on(inbound_supply::Column::Status)),
    it.expected_at
        .as_ref()
        .map(|f| f.on(inbound_supply::Column::ExpectedAt)),
    it.reference
        .as_ref()
        .map(|f| f.on(inbound_supply::Column::Reference)),
]);

/// What is of variants that the caller sees: all, or those that its channels sell.
pub(super) fn of_seen_variants(ctx: &Context<'_>, column: impl ColumnTrait) -> Result<Condition> {
    Ok(match confined(ctx)? {
        None => Condition::all(),
        Some(channels) => Condition::all().add(column.in_subquery(listed(channels))),
    })
}

/// Reads of stock.
#[derive(Default)]
pub struct StockQuery;

/// Reads of stock.
#[Object]
impl StockQuery {
    /// The stock of the variants that you see, in every warehouse. Needs the scope STOCK_READ.
    #[graphql(
        guard = "Allowed(Scope::StockRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn stock(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "where", desc = "Which; all if not given.")] filter: Option<StockWhere>,
        #[graphql(desc = "How many, 50 unless told, at most 250.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
    ) -> Result<Rows<Stock>> {
        let rows = stock::Entity::find()
            .filter(of_seen_variants(ctx, stock::Column::VariantId)?)
            .filter(condition(filter.as_ref())?);
        let sort = Sort {
            column: stock::Column::VariantId,
            id: stock::Column::WarehouseId,
            order: Order::Asc,
            key: |row: &stock::Model| (row.variant_id.0, row.warehouse_id.0),
        };
        page(app(ctx), rows, sort, first, after, Stock::from).await
    }

    /// The ledger of a variant, newest first. Needs the scope STOCK_READ.
    #[graphql(
        guard = "Allowed(Scope::StockRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn stock_movements(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Of which variant.")] variant_id: ID,
        #[graphql(desc = "In which warehouse; all if not given.")] warehouse_id: Option<ID>,
        #[graphql(desc = "How many, 50 unless told, at most 250.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
    ) -> Result<Rows<StockMovement>> {
        let exactly = |id: ID| IdFilter {
            eq: Some(id),
            ..Default::default()
        };
        let in_warehouse = warehouse_id
            .map(|id| exactly(id).on::<WarehouseId>(stock_movement::Column::WarehouseId));
        let rows = stock_movement::Entity::find()
            .filter(exactly(variant_id).on::<VariantId>(stock_movement::Column::VariantId))
            .filter(Condition::all().add_option(in_warehouse))
            .filter(of_seen_variants(ctx, stock_movement::Column::VariantId)?);
        let sort = Sort {
            column: stock_movement::Column::OccurredAt,
            id: stock_movement::Column::Id,
            order: Order::Desc,
            key: |row: &stock_movement::Model| (row.occurred_at, row.id.0),
        };
        page(app(ctx), rows, sort, first, after, StockMovement).await
    }

    /// The expected deliveries of the variants that you see, the next to come first.
    /// Needs the scope STOCK_READ.
    #[graphql(
        guard = "Allowed(Scope::StockRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn inbound_supplies(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "where", desc = "Which; all if not given.")] filter: Option<
            InboundSupplyWhere,
        >,
        #[graphql(desc = "How many, 50 unless told, at most 250.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
    ) -> Result<Rows<InboundSupply>> {
        let rows = inbound_supply::Entity::find()
            .filter(of_seen_variants(ctx, inbound_supply::Column::VariantId)?)
            .filter(condition(filter.as_ref())?);
        let sort = Sort {
            column: inbound_supply::Column::ExpectedAt,
            id: inbound_supply::Column::Id,
            order: Order::Asc,
            key: |row: &inbound_supply::Model| (row.expected_at, row.id.0),
        };
        page(app(ctx), rows, sort, first, after, InboundSupply).await
    }
}

/// What `stockReceive` needs.
#[derive(Clone, Debug, InputObject, Serialize)]
pub struct StockReceiveInput {
    /// What came (NOT_FOUND).
    pub variant_id: ID,
    /// Where (NOT_FOUND).
    pub warehouse_id: ID,
    /// The bin that it was put into (NOT_FOUND); if not given the one with the most of it, or else
    /// the warehouse's first.
    pub bin_id: Option<ID>,
    /// How many units: 1 to 1,000,000,000.
    pub quantity: i64,
    /// The delivery that was expected, if it was (NOT_FOUND).
    pub inbound_supply_id: Option<ID>,
    /// The paper behind it: the delivery note.
    pub document: Option<String>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. One of the
    /// two is required (INVALID_INPUT). Kept 72 hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

impl StockReceiveInput {
    fn command(&self) -> Result<orders_stock::Receive, Problem> {
        Ok(orders_stock::Receive {
            variant_id: from_global::<VariantId>(&self.variant_id, "input.variantId")?,
            warehouse_id: from_global::<WarehouseId>(&self.warehouse_id, "input.warehouseId")?,
            bin_id: from_optional::<BinId>(self.bin_id.as_ref(), "input.binId")?,
            quantity: self.quantity,
            inbound_id: from_optional::<InboundId>(
                self.inbound_supply_id.as_ref(),
                "input.inboundSupplyId",
            )?,
            document: self.document.clone(),
        })
    }
}

/// What `stockAdjust` needs.
#[derive(Clone, Debug, InputObject, Serialize)]
pub struct StockAdjustInput {
    /// What was counted (NOT_FOUND).
    pub variant_id: ID,
    /// Where (NOT_FOUND).
    pub warehouse_id: ID,
    /// The bin (NOT_FOUND); if not given the one with the most of it, or else the warehouse's
    /// first.
    pub bin_id: Option<ID>,
    /// How many units more (or, negative, less) there are than the books say: not 0, at most
    /// 1,000,000,000 either way.
    pub delta: i64,
    /// Why: 1 to 4,000 characters.
    pub reason: String,
    /// The paper behind it: the count sheet.
    pub document: Option<String>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. One of the
    /// two is required (INVALID_INPUT). Kept 72 hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

impl StockAdjustInput {
    fn command(&self) -> Result<orders_stock::Adjust, Problem> {
        Ok(orders_stock::Adjust {
            variant_id: from_global::<VariantId>(&self.variant_id, "input.variantId")?,
            warehouse_id: from_global::<WarehouseId>(&self.warehouse_id, "input.warehouseId")?,
            bin_id: from_optional::<BinId>(self.bin_id.as_ref(), "input.binId")?,
            delta: self.delta,
            reason: self.reason.clone(),
            document: self.document.clone(),
        })
    }
}

/// What `stockSetSafety` needs.
#[derive(Clone, Debug, InputObject)]
pub struct StockSetSafetyInput {
    /// Of what (NOT_FOUND).
    pub variant_id: ID,
    /// Where (NOT_FOUND).
    pub warehouse_id: ID,
    /// The version that you decided on (STALE_VERSION).
    pub expected_version: Option<i64>,
    /// How many units are never promised: 0 to 1,000,000,000.
    pub safety: i64,
}

impl StockSetSafetyInput {
    fn command(&self) -> Result<SetSafety, Problem> {
        Ok(SetSafety {
            variant_id: from_global(&self.variant_id, "input.variantId")?,
            warehouse_id: from_global(&self.warehouse_id, "input.warehouseId")?,
            expected_version: self.expected_version,
            safety: self.safety,
        })
    }
}

/// What `inboundSupplyCreate` needs.
#[derive(Clone, Debug, InputObject, Serialize)]
pub struct InboundSupplyCreateInput {
    /// What comes (NOT_FOUND).
    pub variant_id: ID,
    /// Where to (NOT_FOUND).
    pub warehouse_id: ID,
    /// How many units: 1 to 1,000,000,000.
    pub quantity: i64,
    /// When.
    pub expected_at: DateTime<Utc>,
    /// From whom, at most 4,000 characters.
    pub supplier: Option<String>,
    /// The purchase order, at most 4,000 characters.
    pub reference: Option<String>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. One of the
    /// two is required (INVALID_INPUT). Kept 72 hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

impl InboundSupplyCreateInput {
    fn command(&self) -> Result<inbound::Expect, Problem> {
        Ok(inbound::Expect {
            variant_id: from_global(&self.variant_id, "input.variantId")?,
            warehouse_id: from_global(&self.warehouse_id, "input.warehouseId")?,
            quantity: self.quantity,
            expected_at: self.expected_at,
            supplier: self.supplier.clone(),
            reference: self.reference.clone(),
        })
    }
}

/// What `inboundSupplyCancel` needs.
#[derive(Clone, Debug, InputObject)]
pub struct InboundSupplyCancelInput {
    /// Which delivery (NOT_FOUND).
    pub id: ID,
}

payloads! {
    /// What `stockSetSafety` came to.
    StockSetSafetyPayload {
        /// The stock after the change; null if it was refused.
        stock: Stock
    }
    /// What `inboundSupplyCancel` came to.
    InboundSupplyCancelPayload {
        /// The delivery after the change; null if it was refused.
        inbound_supply: InboundSupply
    }
}

/// What `inboundSupplyCreate` came to.
#[derive(SimpleObject)]
pub struct InboundSupplyCreatePayload {
    /// The expected delivery as it is now; null if it was refused.
    pub inbound_supply: Option<InboundSupply>,
    /// Why nothing was done; empty if it was.
    pub user_errors: Vec<UserError>,
    /// Whether this is the answer to an earlier request with the same key.
    pub replayed: bool,
}

/// What a booking of stock came to.
#[derive(SimpleObject)]
pub struct StockBookingPayload {
    /// The stock as it is now; null if the booking was refused.
    pub stock: Option<Stock>,
    /// Why nothing was booked; empty if it was.
    pub user_errors: Vec<UserError>,
    /// Whether this is the answer to an earlier request with the same key.
    pub replayed: bool,
}

/// Splits what was done once, now or before, and marks the response if it was before.
pub(super) fn done_once(
    ctx: &Context<'_>,
    result: Result<Answered, Failure>,
) -> Result<(Option<Answered>, Vec<UserError>)> {
    let (answered, user_errors) = outcome(result)?;
    if answered.as_ref().is_some_and(|answered| answered.replayed) {
        mark_replayed(ctx);
    }
    Ok((answered, user_errors))
}

/// Reads the delivery that was entered, as it is now.
async fn entered(
    ctx: &Context<'_>,
    result: Result<Answered, Failure>,
) -> Result<InboundSupplyCreatePayload> {
    let (answered, user_errors) = done_once(ctx, result)?;
    let row = match &answered {
        Some(answered) => {
            let id: InboundId = serde_json::from_value(answered.answer["inboundSupply"].clone())
                .map_err(|_| Failure::Internal("a saved answer without its delivery".to_owned()))
                .map_err(fault)?;
            load(ctx, id).await?
        }
        None => None,
    };
    Ok(InboundSupplyCreatePayload {
        inbound_supply: row.map(InboundSupply),
        user_errors,
        replayed: answered.is_some_and(|answered| answered.replayed),
    })
}

/// Reads the row that was booked on, as it is now.
async fn booked(
    ctx: &Context<'_>,
    key: Option<(VariantId, WarehouseId)>,
    result: Result<Answered, Failure>,
) -> Result<StockBookingPayload> {
    let (answered, user_errors) = done_once(ctx, result)?;
    let row = match key.filter(|_| answered.is_some()) {
        Some(key) => stock::Entity::find_by_id(key)
            .one(&app(ctx).db.read)
            .await
            .map_err(fault)?,
        None => None,
    };
    Ok(StockBookingPayload {
        stock: row.map(Stock::from),
        user_errors,
        replayed: answered.is_some_and(|answered| answered.replayed),
    })
}

/// Changes of stock.
#[derive(Default)]
pub struct StockMutation;

/// Changes of stock.
#[Object]
impl StockMutation {
    /// Books goods in, and gives them to the orders that wait for them, oldest first: those of the
    /// channels that the warehouse serves. Refusals:
    /// NOT_FOUND, QUANTITY_INVALID, INVALID_INPUT (no idempotency key; a warehouse without bins),
    /// IDEMPOTENCY_KEY_REUSED, IN_PROGRESS. Needs the scope STOCK_MANAGE.
    #[graphql(guard = "Allowed(Scope::StockManage)")]
    async fn stock_receive(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What came, and where it is.")] input: StockReceiveInput,
    ) -> Result<StockBookingPayload> {
        let key = input.idempotency_key.as_deref();
        let claim = once_required(ctx, "stockReceive", &input, key);
        let (once, cmd) = match claim.and_then(|once| Ok((once, input.command()?))) {
            Ok(asked) => asked,
            Err(problem) => return booked(ctx, None, Err(problem.into())).await,
        };
        let reference = app(ctx).reference().await.map_err(fault)?;
        let (cmd, reference) = (&cmd, &*reference);
        let result = app(ctx)
            .write_once(&actor(ctx)?, Some(&once), move |tx| async move {
                inventory::require(&tx, cmd.variant_id, cmd.warehouse_id).await?;
                orders_stock::receive(&tx, reference, cmd).await?;
                Ok(json!({}))
            })
            .await;
        // The delivery that was expected is so no longer.
        app(ctx).invalidate_reference();
        booked(ctx, Some((cmd.variant_id, cmd.warehouse_id)), result).await
    }

    /// Corrects a stock figure by a count. Where the count falls below what is held for orders,
    /// the youngest holds go back to the head of the queue, and each of their orders gets an
    /// exception. Refusals: NOT_FOUND, QUANTITY_INVALID, STOCK_BELOW_RESERVED (the bin has less),
    /// INVALID_INPUT (no idempotency key; no reason), IDEMPOTENCY_KEY_REUSED, IN_PROGRESS.
    /// Needs the scope STOCK_MANAGE.
    #[graphql(guard = "Allowed(Scope::StockManage)")]
    async fn stock_adjust(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What was counted, and by how much it differs.")] input: StockAdjustInput,
    ) -> Result<StockBookingPayload> {
        let key = input.idempotency_key.as_deref();
        let claim = once_required(ctx, "stockAdjust", &input, key);
        let (once, cmd) = match claim.and_then(|once| Ok((once, input.command()?))) {
            Ok(asked) => asked,
            Err(problem) => return booked(ctx, None, Err(problem.into())).await,
        };
        let reference = app(ctx).reference().await.map_err(fault)?;
        let (cmd, reference) = (&cmd, &*reference);
        let result = app(ctx)
            .write_once(&actor(ctx)?, Some(&once), move |tx| async move {
                inventory::require(&tx, cmd.variant_id, cmd.warehouse_id).await?;
                orders_stock::adjust(&tx, reference, cmd).await?;
                Ok(json!({}))
            })
            .await;
        booked(ctx, Some((cmd.variant_id, cmd.warehouse_id)), result).await
    }

    /// Sets how many units are never promised. Units that are held already stay held; what becomes
    /// free goes to the orders that wait for it. Refusals: NOT_FOUND, STALE_VERSION,
    /// QUANTITY_INVALID. Needs the scope STOCK_MANAGE.
    #[graphql(guard = "Allowed(Scope::StockManage)")]
    async fn stock_set_safety(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Of what, where, and how many.")] input: StockSetSafetyInput,
    ) -> Result<StockSetSafetyPayload> {
        let cmd = match input.command() {
            Ok(cmd) => cmd,
            Err(problem) => return Ok(outcome::<Stock>(Err(problem.into()))?.into()),
        };
        let reference = app(ctx).reference().await.map_err(fault)?;
        let reference = &*reference;
        let result = app(ctx)
            .write(&actor(ctx)?, move |tx| async move {
                inventory::set_safety(&tx, cmd).await?;
                orders_stock::serve(&tx, reference, cmd.variant_id).await
            })
            .await;
        let (done, user_errors) = outcome(result)?;
        let row = stock::Entity::find_by_id((cmd.variant_id, cmd.warehouse_id))
            .one(&app(ctx).db.read)
            .await
            .map_err(fault)?;
        Ok((done.and(row), user_errors).into())
    }

    /// Enters a delivery that is expected: an order that comes to wait from now on is told its
    /// date. Refusals: NOT_FOUND, QUANTITY_INVALID, INVALID_INPUT (no idempotency key; a text that
    /// is too long), IDEMPOTENCY_KEY_REUSED, IN_PROGRESS. Needs the scope STOCK_MANAGE.
    #[graphql(guard = "Allowed(Scope::StockManage)")]
    async fn inbound_supply_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What comes, where to and when.")] input: InboundSupplyCreateInput,
    ) -> Result<InboundSupplyCreatePayload> {
        let key = input.idempotency_key.as_deref();
        let claim = once_required(ctx, "inboundSupplyCreate", &input, key);
        let (once, cmd) = match claim.and_then(|once| Ok((once, input.command()?))) {
            Ok(asked) => asked,
            Err(problem) => return entered(ctx, Err(problem.into())).await,
        };
        let cmd = &cmd;
        let result = app(ctx)
            .write_once(&actor(ctx)?, Some(&once), move |tx| async move {
                let row = inbound::expect(&tx, cmd).await?;
                Ok(json!({ "inboundSupply": row.id }))
            })
            .await;
        // Whatever came of it: a commit whose answer was lost is a commit all the same.
        app(ctx).invalidate_reference();
        entered(ctx, result).await
    }

    /// Says that (the rest of) a delivery will not come. Doing it twice changes nothing. Refusals:
    /// NOT_FOUND, INVALID_INPUT (all of it has arrived). Needs the scope STOCK_MANAGE.
    #[graphql(guard = "Allowed(Scope::StockManage)")]
    async fn inbound_supply_cancel(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which delivery.")] input: InboundSupplyCancelInput,
    ) -> Result<InboundSupplyCancelPayload> {
        let cmd = from_global(&input.id, "input.id").map(|id| inbound::Cancel { id });
        Ok(run_on_reference(ctx, cmd, inbound::cancel).await?.into())
    }
}
