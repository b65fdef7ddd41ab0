//! The warehouses' work on the wire: what each has of an order, waves, pick lists, shipments with
//! their packages, cartons.

use async_graphql::{Context, Enum, ID, Json, Object, Result};
use chrono::{DateTime, Utc};
use entity::{
    carton, fulfillment_line, fulfillment_order, package, package_line, pick_list, pick_task,
    shipment, wave,
};

use super::catalogue::products::Variant;
use super::catalogue::warehouses::{Bin, Warehouse};
use super::ids::to_global;
use super::labels::TrackingEvent;
use super::loaders::{
    FulfillmentLinesOf, PackageLinesOf, PackagesOf, ShipmentsOfWork, TasksOf, TrackingOf, load,
};
use super::orders::{Order, OrderLine, order_of};
use super::scalars::{Money, money};

mod floor;
mod plan;
mod queries;

pub use floor::{FloorMutation, shipment as seen_shipment};
pub use plan::PlanMutation;
pub use queries::FulfillmentQuery;

/// Where a warehouse's work on an order stands. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "fulfillment_order::Status")]
pub enum FulfillmentOrderStatus {
    /// It waits to be picked.
    Open,
    /// A person stopped this part of the order.
    OnHold,
    /// It is on a pick list.
    InProgress,
    /// It has left.
    Closed,
    /// It was taken away from the warehouse.
    Cancelled,
}

/// Where a wave stands. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "wave::Status")]
pub enum WaveStatus {
    /// Work is put together; nothing is on a list yet.
    Open,
    /// It is on pick lists.
    Released,
    /// Nothing on its lists is left to pick.
    Done,
    /// It was given up before its release.
    Cancelled,
}

/// What makes a pick list of its own. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, serde::Serialize)]
#[graphql(remote = "wave::Grouping")]
pub enum WaveGrouping {
    /// Nothing: one list for the whole wave.
    OneList,
    /// Each zone of the warehouse.
    WarehouseZone,
    /// Each SKU.
    Sku,
    /// Each service level of the orders.
    ServiceLevel,
}

/// Where a pick list stands. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "pick_list::Status")]
pub enum PickListStatus {
    /// Nobody has it.
    Open,
    /// A picker has it.
    Picking,
    /// Nothing on it is left to pick.
    Done,
}

/// Where a row of a pick list stands. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "pick_task::Status")]
pub enum PickTaskStatus {
    /// Units are to be picked.
    Open,
    /// All were picked.
    Done,
    /// Some were not there.
    Short,
    /// The rest is no longer wanted.
    Cancelled,
}

/// Where a shipment stands in the warehouse. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "shipment::Status")]
pub enum ShipmentStatus {
    /// Being picked.
    Pending,
    /// Everything was picked.
    Picked,
    /// Everything is in closed packages.
    Packed,
    /// Every package has its label.
    Labeled,
    /// It has left.
    Dispatched,
    /// It will not leave.
    Cancelled,
}

/// What the carrier has said. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "shipment::TrackingStatus")]
pub enum TrackingStatus {
    /// Nothing that is understood.
    Unknown,
    /// The carrier knows of it.
    PreTransit,
    /// The carrier has scanned it.
    CarrierPickedUp,
    /// It is on its way.
    InTransit,
    /// It is on the last van.
    OutForDelivery,
    /// Nobody took it.
    AttemptedDelivery,
    /// The customer has it.
    Delivered,
    /// It comes back.
    ReturnToSender,
    /// It is lost or broken.
    Failure,
}

/// Where a package stands. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "package::Status")]
pub enum PackageStatus {
    /// Things are put into it.
    Open,
    /// It holds what it should, scanned twice.
    Closed,
    /// It was emptied.
    Cancelled,
}

macro_rules! wraps {
    ($($name:ident of $entity:ident),* $(,)?) => {$(
        impl From<$entity::Model> for $name {
            fn from(row: $entity::Model) -> Self {
                $name(row)
            }
        }
    )*};
}

wraps! {
    FulfillmentOrder of fulfillment_order,
    FulfillmentLine of fulfillment_line,
    Wave of wave,
    PickList of pick_list,
    PickTask of pick_task,
    Shipment of shipment,
    Package of package,
    PackageLine of package_line,
    Carton of carton,
}

/// What one warehouse sends of an order.
pub struct FulfillmentOrder(pub fulfillment_order::Model);

/// What one warehouse sends of an order.
#[Object]
impl FulfillmentOrder {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// What people call it: the order's number and its place; unique.
    async fn number(&self) -> &str {
        &self.0.number
    }

    /// The order; null if it is of a channel that is not yours.
    async fn order(&self, ctx: &Context<'_>) -> Result<Option<Order>> {
        Ok(order_of(ctx, self.0.order_id).await?.map(Order))
    }

    /// The warehouse.
    async fn warehouse(&self, ctx: &Context<'_>) -> Result<Option<Warehouse>> {
        Ok(load(ctx, self.0.warehouse_id).await?.map(Warehouse))
    }

    /// Where it stands.
    async fn status(&self) -> FulfillmentOrderStatus {
        self.0.status.into()
    }

    /// What it has of the order's lines.
    async fn lines(&self, ctx: &Context<'_>) -> Result<Vec<FulfillmentLine>> {
        let rows = load(ctx, FulfillmentLinesOf(self.0.id)).await?;
        Ok(rows
            .unwrap_or_default()
            .into_iter()
            .map(FulfillmentLine)
            .collect())
    }

    /// Why this warehouse: the rules that were asked, what each candidate could send, and what
    /// decided. `{rules, asked, candidates: [{warehouse, units, distance, priority, chosen}], reason}`
    /// for what the rules chose; `{reason, by, from}` for what a person did.
    async fn routing(&self) -> Json<serde_json::Value> {
        Json(self.0.routing.clone())
    }

    /// Why it is stopped; null if it is not.
    async fn hold_reason(&self) -> Option<&str> {
        self.0.hold_reason.as_deref()
    }

    /// The wave that it is in; null if it is in none.
    async fn wave(&self, ctx: &Context<'_>) -> Result<Option<Wave>> {
        match self.0.wave_id {
            Some(id) => Ok(load(ctx, id).await?.map(Wave)),
            None => Ok(None),
        }
    }

    /// Its shipments, cancelled ones included; none before it is on a pick list.
    async fn shipments(&self, ctx: &Context<'_>) -> Result<Vec<Shipment>> {
        let rows = load(ctx, ShipmentsOfWork(self.0.id)).await?;
        Ok(rows.unwrap_or_default().into_iter().map(Shipment).collect())
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// When it left or was taken away.
    async fn closed_at(&self) -> Option<DateTime<Utc>> {
        self.0.closed_at
    }
}

/// Units of a line that one warehouse sends.
pub struct FulfillmentLine(pub fulfillment_line::Model);

/// Units of a line that one warehouse sends.
#[Object]
impl FulfillmentLine {
    /// The order's line.
    async fn line(&self, ctx: &Context<'_>) -> Result<Option<OrderLine>> {
        line_of(ctx, self.0.line_id).await
    }

    /// What it is.
    async fn variant(&self, ctx: &Context<'_>) -> Result<Option<Variant>> {
        Ok(load(ctx, self.0.variant_id).await?.map(Variant))
    }

    /// How many units.
    async fn quantity(&self) -> i64 {
        self.0.quantity
    }

    /// How many were scanned at their bin.
    async fn picked(&self) -> i64 {
        self.0.picked
    }

    /// How many were scanned again into a package.
    async fn packed(&self) -> i64 {
        self.0.packed
    }
}

/// A line of an order that the caller sees.
async fn line_of(ctx: &Context<'_>, id: entity::LineId) -> Result<Option<OrderLine>> {
    let Some(row) = load(ctx, id).await? else {
        return Ok(None);
    };
    let order = order_of(ctx, row.order_id).await?;
    Ok(order.map(|order| OrderLine::new(row, order.currency)))
}

/// Work of many orders that is picked in one walk.
pub struct Wave(pub wave::Model);

/// Work of many orders that is picked in one walk.
#[Object]
impl Wave {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// What people call it; unique.
    async fn number(&self) -> &str {
        &self.0.number
    }

    /// Where it is picked.
    async fn warehouse(&self, ctx: &Context<'_>) -> Result<Option<Warehouse>> {
        Ok(load(ctx, self.0.warehouse_id).await?.map(Warehouse))
    }

    /// Where it stands.
    async fn status(&self) -> WaveStatus {
        self.0.status.into()
    }

    /// What makes a list of its own.
    async fn grouping(&self) -> WaveGrouping {
        self.0.grouping.into()
    }

    /// What its work was chosen by, as it was asked for.
    async fn criteria(&self) -> Json<serde_json::Value> {
        Json(self.0.criteria.clone())
    }

    /// How many fulfillment orders it has; once released, how many it was released with.
    async fn orders(&self) -> i64 {
        self.0.orders
    }

    /// How many times a picker stops at a bin for it; 0 before its release.
    async fn bin_visits(&self) -> i64 {
        self.0.bin_visits
    }

    /// How many times a picker would stop at a bin, one order after another; 0 before its release.
    async fn bin_visits_singly(&self) -> i64 {
        self.0.bin_visits_singly
    }

    /// Its pick lists.
    async fn pick_lists(&self, ctx: &Context<'_>) -> Result<Vec<PickList>> {
        let rows = load(ctx, super::loaders::ListsOf(self.0.id)).await?;
        Ok(rows.unwrap_or_default().into_iter().map(PickList).collect())
    }

    /// The work that is in it.
    async fn fulfillment_orders(&self, ctx: &Context<'_>) -> Result<Vec<FulfillmentOrder>> {
        let rows = load(ctx, super::loaders::WorkOfWave(self.0.id)).await?;
        Ok(rows
            .unwrap_or_default()
            .into_iter()
            .map(FulfillmentOrder)
            .collect())
    }

    /// Who made it: `key:…`.
    async fn created_by(&self) -> &str {
        &self.0.created_by
    }

    /// When.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// When it went onto pick lists.
    async fn released_at(&self) -> Option<DateTime<Utc>> {
        self.0.released_at
    }

    /// When it was done or given up.
    async fn closed_at(&self) -> Option<DateTime<Utc>> {
        self.0.closed_at
    }
}

/// What one picker takes from which bins, in walking order.
pub struct PickList(pub pick_list::Model);

/// What one picker takes from which bins, in walking order.
#[Object]
impl PickList {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// What people call it; unique.
    async fn number(&self) -> &str {
        &self.0.number
    }

    /// Where.
    async fn warehouse(&self, ctx: &Context<'_>) -> Result<Option<Warehouse>> {
        Ok(load(ctx, self.0.warehouse_id).await?.map(Warehouse))
    }

    /// The wave that it is of; null if it is of none.
    async fn wave(&self, ctx: &Context<'_>) -> Result<Option<Wave>> {
        match self.0.wave_id {
            Some(id) => Ok(load(ctx, id).await?.map(Wave)),
            None => Ok(None),
        }
    }

    /// What makes it a list of its own: a zone, an SKU, a service level.
    async fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// Where it stands.
    async fn status(&self) -> PickListStatus {
        self.0.status.into()
    }

    /// Who has it; null = nobody.
    async fn picker(&self) -> Option<&str> {
        self.0.picker.as_deref()
    }

    /// Its rows, in walking order: zone, aisle, bay, level, position. Rows of one bin and SKU
    /// follow each other, a row a slot.
    async fn tasks(&self, ctx: &Context<'_>) -> Result<Vec<PickTask>> {
        let rows = load(ctx, TasksOf(self.0.id)).await?;
        Ok(rows.unwrap_or_default().into_iter().map(PickTask).collect())
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// When it was done.
    async fn closed_at(&self) -> Option<DateTime<Utc>> {
        self.0.closed_at
    }
}

/// Units of one line, from one bin, into one slot of the cart.
pub struct PickTask(pub pick_task::Model);

/// Units of one line, from one bin, into one slot of the cart.
#[Object]
impl PickTask {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// Its place in the walk, from 0; rows of one bin and SKU share it.
    async fn position(&self) -> i32 {
        self.0.position
    }

    /// The place of the order on the cart, from 1.
    async fn slot(&self) -> i32 {
        self.0.slot
    }

    /// From where.
    async fn bin(&self, ctx: &Context<'_>) -> Result<Option<Bin>> {
        Ok(load(ctx, self.0.bin_id).await?.map(Bin))
    }

    /// What to take.
    async fn variant(&self, ctx: &Context<'_>) -> Result<Option<Variant>> {
        Ok(load(ctx, self.0.variant_id).await?.map(Variant))
    }

    /// Whose units they are.
    async fn fulfillment_order(&self, ctx: &Context<'_>) -> Result<Option<FulfillmentOrder>> {
        Ok(load(ctx, self.0.fulfillment_order_id)
            .await?
            .map(FulfillmentOrder))
    }

    /// How many units.
    async fn quantity(&self) -> i64 {
        self.0.quantity
    }

    /// How many were scanned.
    async fn picked(&self) -> i64 {
        self.0.picked
    }

    /// Where it stands.
    async fn status(&self, ctx: &Context<'_>) -> Result<PickTaskStatus> {
        if self.0.status != pick_task::Status::Open {
            return Ok(self.0.status.into());
        }
        // Work that was taken away is no longer wanted from that moment on.
        let of = load(ctx, self.0.fulfillment_order_id).await?;
        let wanted = of.is_some_and(|of| of.status == fulfillment_order::Status::InProgress);
        Ok(match wanted {
            true => PickTaskStatus::Open,
            false => PickTaskStatus::Cancelled,
        })
    }
}

/// What leaves a warehouse together for one order.
pub struct Shipment(pub shipment::Model);

/// What leaves a warehouse together for one order.
#[Object]
impl Shipment {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// What people call it; unique.
    async fn number(&self) -> &str {
        &self.0.number
    }

    /// The order; null if it is of a channel that is not yours.
    async fn order(&self, ctx: &Context<'_>) -> Result<Option<Order>> {
        Ok(order_of(ctx, self.0.order_id).await?.map(Order))
    }

    /// The warehouse's work that it is of.
    async fn fulfillment_order(&self, ctx: &Context<'_>) -> Result<Option<FulfillmentOrder>> {
        Ok(load(ctx, self.0.fulfillment_order_id)
            .await?
            .map(FulfillmentOrder))
    }

    /// Where it leaves from.
    async fn warehouse(&self, ctx: &Context<'_>) -> Result<Option<Warehouse>> {
        Ok(load(ctx, self.0.warehouse_id).await?.map(Warehouse))
    }

    /// Where it stands in the warehouse.
    async fn status(&self) -> ShipmentStatus {
        self.0.status.into()
    }

    /// What the carrier has said.
    async fn tracking_status(&self) -> TrackingStatus {
        self.0.tracking_status.into()
    }

    /// The carrier's code; null before it has its labels.
    async fn carrier(&self) -> Option<&str> {
        self.0.carrier.as_deref()
    }

    /// The carrier's service; null before it has its labels.
    async fn service(&self) -> Option<&str> {
        self.0.service.as_deref()
    }

    /// Why this carrier: every candidate with its cost, its date and why it lost; null before it
    /// has its labels, or if they were bought elsewhere.
    async fn carrier_choice(&self) -> Option<Json<serde_json::Value>> {
        self.0.choice.clone().map(Json)
    }

    /// What the carrier asks for it.
    async fn cost(&self) -> Option<Money> {
        Some(money(self.0.cost_minor?, self.0.currency?))
    }

    /// When the customer should have it.
    async fn promised_at(&self) -> Option<DateTime<Utc>> {
        self.0.promised_at
    }

    /// Its packages, emptied ones included.
    async fn packages(&self, ctx: &Context<'_>) -> Result<Vec<Package>> {
        let rows = load(ctx, PackagesOf(self.0.id)).await?;
        Ok(rows.unwrap_or_default().into_iter().map(Package).collect())
    }

    /// What its carrier said of its parcels, in the order in which it happened.
    #[graphql(complexity = "1 + 20 * child_complexity")]
    async fn tracking_events(&self, ctx: &Context<'_>) -> Result<Vec<TrackingEvent>> {
        let packages = load(ctx, PackagesOf(self.0.id)).await?.unwrap_or_default();
        let mut said = Vec::new();
        for package in packages {
            said.extend(load(ctx, TrackingOf(package.id)).await?.unwrap_or_default());
        }
        said.sort_by_key(|event| (event.occurred_at, event.id));
        Ok(said.into_iter().map(TrackingEvent).collect())
    }

    /// When it left.
    async fn dispatched_at(&self) -> Option<DateTime<Utc>> {
        self.0.dispatched_at
    }

    /// When it arrived.
    async fn delivered_at(&self) -> Option<DateTime<Utc>> {
        self.0.delivered_at
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}

/// A parcel.
pub struct Package(pub package::Model);

/// A parcel.
#[Object]
impl Package {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// Its place in the shipment, from 1.
    async fn position(&self) -> i32 {
        self.0.position
    }

    /// Where it stands.
    async fn status(&self) -> PackageStatus {
        self.0.status.into()
    }

    /// The code of its carton; null if none takes it.
    async fn carton(&self) -> Option<&str> {
        self.0.carton.as_deref()
    }

    /// What it should hold, and does.
    async fn lines(&self, ctx: &Context<'_>) -> Result<Vec<PackageLine>> {
        let rows = load(ctx, PackageLinesOf(self.0.id)).await?;
        Ok(rows
            .unwrap_or_default()
            .into_iter()
            .map(PackageLine)
            .collect())
    }

    /// What its contents and its carton should weigh, in grams.
    async fn expected_grams(&self) -> i64 {
        self.0.expected_grams
    }

    /// What it weighs, in grams; null while it is open.
    async fn weight_grams(&self) -> Option<i64> {
        self.0.weight_grams
    }

    /// Its name at the carrier; null before it has its label.
    async fn tracking_number(&self) -> Option<&str> {
        self.0.tracking_number.as_deref()
    }

    /// Where the customer can follow it.
    async fn tracking_url(&self) -> Option<&str> {
        self.0.tracking_url.as_deref()
    }

    /// Who packed it; null while it is open.
    async fn packer(&self) -> Option<&str> {
        self.0.packer.as_deref()
    }

    /// The shipment that it is of.
    async fn shipment(&self, ctx: &Context<'_>) -> Result<Option<Shipment>> {
        Ok(load(ctx, self.0.shipment_id).await?.map(Shipment))
    }

    /// When it was closed.
    async fn closed_at(&self) -> Option<DateTime<Utc>> {
        self.0.closed_at
    }
}

/// Units of a line in a package.
pub struct PackageLine(pub package_line::Model);

/// Units of a line in a package.
#[Object]
impl PackageLine {
    /// The order's line.
    async fn line(&self, ctx: &Context<'_>) -> Result<Option<OrderLine>> {
        line_of(ctx, self.0.line_id).await
    }

    /// What it is.
    async fn variant(&self, ctx: &Context<'_>) -> Result<Option<Variant>> {
        Ok(load(ctx, self.0.variant_id).await?.map(Variant))
    }

    /// How many units it should hold.
    async fn expected(&self) -> i64 {
        self.0.expected
    }

    /// How many were scanned into it.
    async fn packed(&self) -> i64 {
        self.0.packed
    }
}

/// A kind of carton that parcels are packed in.
pub struct Carton(pub carton::Model);

/// A kind of carton that parcels are packed in.
#[Object]
impl Carton {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// Its name in feeds; unique.
    async fn code(&self) -> &str {
        &self.0.code
    }

    /// Its name on screens.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Inner length, in millimetres.
    async fn length_mm(&self) -> i32 {
        self.0.length_mm
    }

    /// Inner width, in millimetres.
    async fn width_mm(&self) -> i32 {
        self.0.width_mm
    }

    /// Inner height, in millimetres.
    async fn height_mm(&self) -> i32 {
        self.0.height_mm
    }

    /// What it weighs empty, in grams.
    async fn tare_grams(&self) -> i64 {
        self.0.tare_grams
    }

    /// What it may weigh full, in grams.
    async fn max_grams(&self) -> i64 {
        self.0.max_grams
    }

    /// Whether it is packed in.
    async fn active(&self) -> bool {
        self.0.active
    }

    /// +1 with every change; give it back as `expectedVersion`.
    async fn version(&self) -> i64 {
        self.0.version
    }
}
