//! Reads of the warehouses' work.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use entity::{
    OrderId, WarehouseId, carton, fulfillment_order, order, pick_list, scan, shipment, wave,
};
use sea_orm::sea_query::Query as Select;
use sea_orm::{ColumnTrait, Condition, EntityTrait, Order, QueryFilter, QuerySelect};

use super::{
    Carton, FulfillmentOrder, FulfillmentOrderStatus, PickList, PickListStatus, Shipment,
    ShipmentStatus, Wave, WaveStatus,
};
use crate::access::Scope;
use crate::fulfillment::packing;
use crate::graphql::catalogue::confined;
use crate::graphql::errors::fault;
use crate::graphql::filters::{DateTimeFilter, IdFilter, condition, enum_filter, filter};
use crate::graphql::ids::{from_global, to_global};
use crate::graphql::loaders::load;
use crate::graphql::orders::order_of;
use crate::graphql::pagination::{Rows, Sort, cost, page};
use crate::graphql::{Allowed, app};

enum_filter! {
    /// What a fulfillment order's status must be.
    FulfillmentOrderStatusFilter of FulfillmentOrderStatus as fulfillment_order::Status
}
enum_filter! {
    /// What a shipment's status must be.
    ShipmentStatusFilter of ShipmentStatus as shipment::Status
}
enum_filter! {
    /// What a wave's status must be.
    WaveStatusFilter of WaveStatus as wave::Status
}
enum_filter! {
    /// What a pick list's status must be.
    PickListStatusFilter of PickListStatus as pick_list::Status
}

/// Declares a `where` input over a table of the warehouses' work.
macro_rules! wheres {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident on $entity:ident with $status:ident {
            $($(#[doc = $of:literal])+ $field:ident: $filter:ty => $column:ident $(as $id:ty)?),* $(,)?
        }
    )*) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, Default, InputObject)]
        pub struct $name {
            /// By where it stands.
            pub status: Option<$status>,
            $($(#[doc = $of])+ pub $field: Option<$filter>,)*
            /// All of these must match. At most 20.
            #[graphql(validator(max_items = 20))]
            pub and: Option<Vec<$name>>,
            /// One of these must match. At most 20.
            #[graphql(validator(max_items = 20))]
            pub or: Option<Vec<$name>>,
            /// This must not match.
            pub not: Option<Box<$name>>,
        }

        filter!($name, |it| [
            it.status.as_ref().map(|f| f.on($entity::Column::Status)),
            $(it.$field.as_ref().map(|f| f.on$(::<$id>)?($entity::Column::$column)),)*
        ]);
    )*};
}

wheres! {
    /// Which fulfillment orders. Fields of one input must all match.
    FulfillmentOrderWhere on fulfillment_order with FulfillmentOrderStatusFilter {
        /// By warehouse.
        warehouse_id: IdFilter => WarehouseId as WarehouseId,
        /// By order.
        order_id: IdFilter => OrderId as OrderId,
        /// By wave.
        wave_id: IdFilter => WaveId as entity::WaveId,
        /// By when it was made.
        created_at: DateTimeFilter => CreatedAt,
    }
    /// Which shipments. Fields of one input must all match.
    ShipmentWhere on shipment with ShipmentStatusFilter {
        /// By warehouse.
        warehouse_id: IdFilter => WarehouseId as WarehouseId,
        /// By order.
        order_id: IdFilter => OrderId as OrderId,
        /// By when it was made.
        created_at: DateTimeFilter => CreatedAt,
        /// By when it left.
        dispatched_at: DateTimeFilter => DispatchedAt,
    }
    /// Which waves. Fields of one input must all match.
    WaveWhere on wave with WaveStatusFilter {
        /// By warehouse.
        warehouse_id: IdFilter => WarehouseId as WarehouseId,
        /// By when it was made.
        created_at: DateTimeFilter => CreatedAt,
    }
    /// Which pick lists. Fields of one input must all match.
    PickListWhere on pick_list with PickListStatusFilter {
        /// By warehouse.
        warehouse_id: IdFilter => WarehouseId as WarehouseId,
        /// By wave.
        wave_id: IdFilter => WaveId as entity::WaveId,
        /// By when it was made.
        created_at: DateTimeFilter => CreatedAt,
    }
}

/// What is of orders that the caller sees.
fn of_seen_orders(ctx: &Context<'_>, column: impl ColumnTrait) -> Result<Condition> {
    Ok(match confined(ctx)? {
        None => Condition::all(),
        Some(channels) => Condition::all().add(
            column.in_subquery(
                Select::select()
                    .column(order::Column::Id)
                    .from(order::Entity)
                    .and_where(order::Column::ChannelId.is_in(channels.iter().copied()))
                    .to_owned(),
            ),
        ),
    })
}

/// Waves and pick lists have orders of every channel: who is confined to some sees none.
pub(super) fn of_everybody(ctx: &Context<'_>) -> Result<bool> {
    Ok(confined(ctx)?.is_none())
}

/// How often scans came to something, within a time.
#[derive(SimpleObject)]
pub struct ScanFigure {
    /// `ACCEPTED`, or the code of the refusal.
    pub verdict: String,
    /// How many scans.
    pub scans: i64,
}

/// A carton with what goes into it.
#[derive(SimpleObject)]
pub struct PackingProposal {
    /// The carton; null = no kind of carton takes it.
    pub carton: Option<Carton>,
    /// What goes into it.
    pub lines: Vec<PackingProposalLine>,
    /// What the contents and the carton should weigh, in grams.
    pub expected_grams: i64,
}

/// Units of a line that go into a carton.
#[derive(SimpleObject)]
pub struct PackingProposalLine {
    /// The order's line.
    pub line_id: ID,
    /// How many units.
    pub quantity: i64,
}

/// Reads of the warehouses' work.
#[derive(Default)]
pub struct FulfillmentQuery;

/// Reads of the warehouses' work.
#[Object]
impl FulfillmentQuery {
    /// What warehouses have of orders, the newest first. Needs the scope FULFILLMENT_READ.
    #[graphql(
        guard = "Allowed(Scope::FulfillmentRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn fulfillment_orders(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "where", desc = "Which; all if not given.")] filter: Option<
            FulfillmentOrderWhere,
        >,
        #[graphql(desc = "How many, 50 unless told, at most 250.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
    ) -> Result<Rows<FulfillmentOrder>> {
        let rows = fulfillment_order::Entity::find()
            .filter(condition(filter.as_ref())?)
            .filter(of_seen_orders(ctx, fulfillment_order::Column::OrderId)?);
        let sort = Sort {
            column: fulfillment_order::Column::CreatedAt,
            id: fulfillment_order::Column::Id,
            order: Order::Desc,
            key: |row: &fulfillment_order::Model| (row.created_at, row.id.0),
        };
        page(app(ctx), rows, sort, first, after, FulfillmentOrder).await
    }

    /// What a warehouse has of an order; null if there is none, or of a channel that is not yours.
    /// Needs the scope FULFILLMENT_READ.
    #[graphql(guard = "Allowed(Scope::FulfillmentRead)")]
    async fn fulfillment_order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global identifier.")] id: ID,
    ) -> Result<Option<FulfillmentOrder>> {
        let Ok(id) = from_global::<entity::FulfillmentOrderId>(&id, "id") else {
            return Ok(None);
        };
        let Some(row) = load(ctx, id).await? else {
            return Ok(None);
        };
        Ok(order_of(ctx, row.order_id).await?.map(|_| row.into()))
    }

    /// Shipments, the newest first. Needs the scope FULFILLMENT_READ.
    #[graphql(
        guard = "Allowed(Scope::FulfillmentRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn shipments(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "where", desc = "Which; all if not given.")] filter: Option<ShipmentWhere>,
        #[graphql(desc = "How many, 50 unless told, at most 250.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
    ) -> Result<Rows<Shipment>> {
        let rows = shipment::Entity::find()
            .filter(condition(filter.as_ref())?)
            .filter(of_seen_orders(ctx, shipment::Column::OrderId)?);
        let sort = Sort {
            column: shipment::Column::CreatedAt,
            id: shipment::Column::Id,
            order: Order::Desc,
            key: |row: &shipment::Model| (row.created_at, row.id.0),
        };
        page(app(ctx), rows, sort, first, after, Shipment).await
    }

    /// A shipment; null if there is none, or of a channel that is not yours. Needs the scope
    /// FULFILLMENT_READ.
    #[graphql(guard = "Allowed(Scope::FulfillmentRead)")]
    async fn shipment(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global identifier.")] id: ID,
    ) -> Result<Option<Shipment>> {
        let Ok(id) = from_global::<entity::ShipmentId>(&id, "id") else {
            return Ok(None);
        };
        let Some(row) = load(ctx, id).await? else {
            return Ok(None);
        };
        Ok(order_of(ctx, row.order_id).await?.map(|_| row.into()))
    }

    /// How a shipment would be packed: the smallest carton that takes what is to go into no package
    /// yet, or several, by volume, weight and longest edges. It is not a plan of where each item
    /// lies; the packer's word stands above it. Needs the scope FULFILLMENT_READ.
    #[graphql(guard = "Allowed(Scope::FulfillmentRead)")]
    async fn packing_proposal(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Of which shipment.")] shipment_id: ID,
    ) -> Result<Vec<PackingProposal>> {
        let Ok(id) = from_global::<entity::ShipmentId>(&shipment_id, "shipmentId") else {
            return Ok(Vec::new());
        };
        let Some(row) = load(ctx, id).await? else {
            return Ok(Vec::new());
        };
        if order_of(ctx, row.order_id).await?.is_none() {
            return Ok(Vec::new());
        }
        let proposed = packing::propose(&app(ctx).db.read, id)
            .await
            .map_err(fault)?;
        Ok(proposed
            .into_iter()
            .map(|one| PackingProposal {
                carton: one.carton.map(Carton),
                lines: one
                    .units
                    .into_iter()
                    .map(|(line, quantity)| PackingProposalLine {
                        line_id: to_global(line),
                        quantity,
                    })
                    .collect(),
                expected_grams: one.grams,
            })
            .collect())
    }

    /// Waves, the newest first; none if your key is confined to channels. Needs the scope
    /// FULFILLMENT_READ.
    #[graphql(
        guard = "Allowed(Scope::FulfillmentRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn waves(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "where", desc = "Which; all if not given.")] filter: Option<WaveWhere>,
        #[graphql(desc = "How many, 50 unless told, at most 250.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
    ) -> Result<Rows<Wave>> {
        let seen = of_everybody(ctx)?;
        let rows = wave::Entity::find()
            .filter(condition(filter.as_ref())?)
            .filter(Condition::all().add_option((!seen).then(|| wave::Column::Id.is_null())));
        let sort = Sort {
            column: wave::Column::CreatedAt,
            id: wave::Column::Id,
            order: Order::Desc,
            key: |row: &wave::Model| (row.created_at, row.id.0),
        };
        page(app(ctx), rows, sort, first, after, Wave).await
    }

    /// A wave; null if there is none, or if your key is confined to channels. Needs the scope
    /// FULFILLMENT_READ.
    #[graphql(guard = "Allowed(Scope::FulfillmentRead)")]
    async fn wave(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global identifier.")] id: ID,
    ) -> Result<Option<Wave>> {
        match from_global::<entity::WaveId>(&id, "id") {
            Ok(id) if of_everybody(ctx)? => Ok(load(ctx, id).await?.map(Wave)),
            _ => Ok(None),
        }
    }

    /// Pick lists, the newest first; none if your key is confined to channels. Needs the scope
    /// FULFILLMENT_READ.
    #[graphql(
        guard = "Allowed(Scope::FulfillmentRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn pick_lists(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "where", desc = "Which; all if not given.")] filter: Option<PickListWhere>,
        #[graphql(desc = "How many, 50 unless told, at most 250.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
    ) -> Result<Rows<PickList>> {
        let seen = of_everybody(ctx)?;
        let rows = pick_list::Entity::find()
            .filter(condition(filter.as_ref())?)
            .filter(Condition::all().add_option((!seen).then(|| pick_list::Column::Id.is_null())));
        let sort = Sort {
            column: pick_list::Column::CreatedAt,
            id: pick_list::Column::Id,
            order: Order::Desc,
            key: |row: &pick_list::Model| (row.created_at, row.id.0),
        };
        page(app(ctx), rows, sort, first, after, PickList).await
    }

    /// A pick list; null if there is none, or if your key is confined to channels. Needs the scope
    /// FULFILLMENT_READ.
    #[graphql(guard = "Allowed(Scope::FulfillmentRead)")]
    async fn pick_list(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global identifier.")] id: ID,
    ) -> Result<Option<PickList>> {
        match from_global::<entity::PickListId>(&id, "id") {
            Ok(id) if of_everybody(ctx)? => Ok(load(ctx, id).await?.map(PickList)),
            _ => Ok(None),
        }
    }

    /// How many scans were accepted, and how many refused by which code, in the warehouses since a
    /// moment. Needs the scope FULFILLMENT_READ.
    #[graphql(guard = "Allowed(Scope::FulfillmentRead)")]
    async fn scan_figures(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Since when.")] since: DateTime<Utc>,
        #[graphql(desc = "In which warehouse; all if not given.")] warehouse_id: Option<ID>,
    ) -> Result<Vec<ScanFigure>> {
        if !of_everybody(ctx)? {
            return Ok(Vec::new());
        }
        let there = match warehouse_id.map(|id| from_global::<WarehouseId>(&id, "warehouseId")) {
            None => None,
            Some(Ok(id)) => Some(scan::Column::WarehouseId.eq(id)),
            Some(Err(_)) => return Ok(Vec::new()),
        };
        let rows: Vec<(String, i64)> = scan::Entity::find()
            .select_only()
            .column(scan::Column::Verdict)
            .column_as(scan::Column::Id.count(), "scans")
            .filter(scan::Column::ScannedAt.gte(since))
            .filter(Condition::all().add_option(there))
            .group_by(scan::Column::Verdict)
            .into_tuple()
            .all(&app(ctx).db.read)
            .await
            .map_err(fault)?;
        let mut figures: Vec<ScanFigure> = rows
            .into_iter()
            .map(|(verdict, scans)| ScanFigure { verdict, scans })
            .collect();
        figures.sort_by(|one, other| one.verdict.cmp(&other.verdict));
        Ok(figures)
    }

    /// The kinds of cartons, by code. Needs the scope FULFILLMENT_READ.
    #[graphql(
        guard = "Allowed(Scope::FulfillmentRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn cartons(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 50 unless told, at most 250.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
    ) -> Result<Rows<Carton>> {
        let sort = Sort {
            column: carton::Column::Code,
            id: carton::Column::Id,
            order: Order::Asc,
            key: |row: &carton::Model| (row.code.clone(), row.id.0),
        };
        page(app(ctx), carton::Entity::find(), sort, first, after, Carton).await
    }
}
