//! Reads many rows at once: the fields of a page ask one by one, the database is asked once.

use std::any::Any;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use async_graphql::Context;
use async_graphql::dataloader::{DataLoader, Loader};
use entity::inbound_supply::Status as Arrival;
use entity::{
    OrderId, VariantId, WarehouseId, archived_order, document, fulfillment_order, inbound_supply,
    order, shipment, stock_source,
};
use futures_util::future::try_join_all;
use sea_orm::sea_query::UnionType;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, Order as Direction,
    QueryFilter, QueryOrder, QuerySelect, QueryTrait,
};
use uuid::Uuid;

use super::errors::fault;
use super::shelf::{row_of, shelf};
use crate::app::App;
use crate::inventory::sources;
use crate::orders::archive::{self, Archived};

/// Loads whatever has an id, in batches. It keeps nothing between requests.
pub struct Loaders {
    app: Arc<App>,
}

/// The batching loader over an app.
pub fn loader(app: Arc<App>) -> DataLoader<Loaders> {
    DataLoader::new(Loaders { app }, tokio::spawn)
}

impl Loaders {
    /// Where everything is read from.
    pub fn read(&self) -> &DatabaseConnection {
        &self.app.db.read
    }
}

/// A loading that failed, shared by all who waited for it.
pub type LoadError = Arc<DbErr>;

/// Loads what belongs to one key, together with the others that are asked for now.
pub async fn load<K>(
    ctx: &Context<'_>,
    key: K,
) -> async_graphql::Result<Option<<Loaders as Loader<K>>::Value>>
where
    K: Send + Sync + Hash + Eq + Clone + 'static,
    Loaders: Loader<K, Error = LoadError>,
    <Loaders as Loader<K>>::Value: 'static,
{
    let shelf = shelf(ctx);
    // Whether an order was put away is asked of the table that it left: it may be back.
    let order = (&key as &dyn Any).downcast_ref::<OrderId>().copied();
    if order.is_none()
        && let Some(found) = shelf.and_then(|shelf| shelf.find(&key))
    {
        return Ok(Some(found));
    }
    let loader = ctx.data_unchecked::<DataLoader<Loaders>>();
    let found = loader
        .load_one(key.clone())
        .await
        .map_err(|error| fault((*error).clone()))?;
    let Some(shelf) = shelf else {
        return Ok(found);
    };
    if found.is_some() {
        if let Some(id) = order {
            shelf.is_back(id);
        }
        return Ok(found);
    }
    let Some(row) = row_of(&key) else {
        return Ok(None);
    };
    let archived = put_away(loader, row).await?;
    Ok(archived.and_then(|archived| {
        shelf.place(&archived);
        shelf.find(&key)
    }))
}

async fn put_away(
    loader: &DataLoader<Loaders>,
    row: Uuid,
) -> async_graphql::Result<Option<Arc<Archived>>> {
    let found = loader.load_one(PutAway(row)).await;
    found.map_err(|error| fault((*error).clone()))
}

/// The order that was put away with a row, by the row's identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PutAway(pub Uuid);

impl Loader<PutAway> for Loaders {
    type Value = Arc<Archived>;
    type Error = LoadError;

    async fn load(&self, keys: &[PutAway]) -> Result<HashMap<PutAway, Self::Value>, LoadError> {
        let ids: Vec<Uuid> = keys.iter().map(|key| key.0).collect();
        let found = archive::with_rows(&self.app.db.read, &ids).await?;
        let found = found.into_iter();
        Ok(found.map(|(id, order)| (PutAway(id), order)).collect())
    }
}

/// Loads what belongs to several keys, in their order; what is not there is left out.
pub async fn load_all<K>(
    ctx: &Context<'_>,
    keys: impl IntoIterator<Item = K>,
) -> async_graphql::Result<Vec<<Loaders as Loader<K>>::Value>>
where
    K: Send + Sync + Hash + Eq + Clone + 'static,
    Loaders: Loader<K, Error = LoadError>,
{
    let keys: Vec<K> = keys.into_iter().collect();
    // Side by side, so that they are loaded together.
    let found = try_join_all(keys.into_iter().map(|key| load(ctx, key))).await?;
    Ok(found.into_iter().flatten().collect())
}

/// How many units of a variant are on their way to a warehouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IncomingTo(pub VariantId, pub WarehouseId);

impl Loader<IncomingTo> for Loaders {
    type Value = i64;
    type Error = LoadError;

    async fn load(&self, keys: &[IncomingTo]) -> Result<HashMap<IncomingTo, i64>, LoadError> {
        Ok(incoming(&self.app.db.read, keys).await?)
    }
}

/// How many units are on their way, all of these at once.
pub async fn incoming(
    db: &impl ConnectionTrait,
    keys: &[IncomingTo],
) -> Result<HashMap<IncomingTo, i64>, DbErr> {
    use inbound_supply::Column;
    let rows = inbound_supply::Entity::find()
        .filter(Column::VariantId.is_in(keys.iter().map(|key| key.0)))
        .filter(Column::Status.is_in([Arrival::Expected, Arrival::PartlyReceived]))
        .all(db)
        .await?;
    let mut found: HashMap<IncomingTo, i64> = keys.iter().map(|key| (*key, 0)).collect();
    for row in rows {
        if let Some(sum) = found.get_mut(&IncomingTo(row.variant_id, row.warehouse_id)) {
            // A delivery may bring more than was promised.
            *sum += (row.quantity - row.received).max(0);
        }
    }
    Ok(found)
}

/// Who states the stock of a warehouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceOf(pub WarehouseId);

impl Loader<SourceOf> for Loaders {
    type Value = Arc<stock_source::Model>;
    type Error = LoadError;

    async fn load(&self, keys: &[SourceOf]) -> Result<HashMap<SourceOf, Self::Value>, LoadError> {
        let warehouses = keys.iter().map(|key| key.0);
        let found = sources::of_warehouses(&self.app.db.read, warehouses).await?;
        let found = found.into_iter();
        Ok(found.map(|(id, source)| (SourceOf(id), source)).collect())
    }
}

/// Loads rows by their own id.
macro_rules! by_id {
    ($($entity:ident by $id:ident),* $(,)?) => {$(
        impl Loader<entity::$id> for Loaders {
            type Value = entity::$entity::Model;
            type Error = LoadError;

            async fn load(
                &self,
                ids: &[entity::$id],
            ) -> Result<HashMap<entity::$id, Self::Value>, LoadError> {
                let rows = entity::$entity::Entity::find()
                    .filter(entity::$entity::Column::Id.is_in(ids.iter().copied()))
                    .all(&self.app.db.read)
                    .await?;
                Ok(rows.into_iter().map(|row| (row.id, row)).collect())
            }
        }
    )*};
}

by_id! {
    address by AddressId,
    api_key by ApiKeyId,
    backorder by BackorderId,
    bin by BinId,
    bulk_operation by BulkOperationId,
    carrier by CarrierId,
    carrier_service by CarrierServiceId,
    carrier_zone by CarrierZoneId,
    carton by CartonId,
    channel by ChannelId,
    customer by CustomerId,
    customer_payment by CustomerPaymentId,
    document by DocumentId,
    exception_rule by ExceptionRuleId,
    fulfillment_order by FulfillmentOrderId,
    hold by HoldId,
    import by ImportId,
    inbound_supply by InboundId,
    invoice by InvoiceId,
    legal_entity by LegalEntityId,
    message by MessageId,
    message_template by MessageTemplateId,
    note by NoteId,
    order by OrderId,
    order_exception by ExceptionId,
    order_line by LineId,
    package by PackageId,
    payment by PaymentId,
    payment_transaction by TransactionId,
    pick_list by PickListId,
    pick_task by PickTaskId,
    price_list by PriceListId,
    product by ProductId,
    promotion by PromotionId,
    reservation by ReservationId,
    return_order by ReturnId,
    saved_view by SavedViewId,
    settlement by SettlementId,
    settlement_difference by SettlementDifferenceId,
    settlement_line by SettlementLineId,
    shipment by ShipmentId,
    shipping_rate by ShippingRateId,
    shipping_zone by ShippingZoneId,
    stock_drift by DriftId,
    stock_movement by MovementId,
    stock_source by StockSourceId,
    tax_rate by TaxRateId,
    variant by VariantId,
    warehouse by WarehouseId,
    wave by WaveId,
}

/// Whose a row is.
macro_rules! owner_of {
    (event_log, $row:ident) => {
        $row.order_id
    };
    (return_line, $row:ident) => {
        Some($row.return_id)
    };
    (return_unit, $row:ident) => {
        Some($row.return_id)
    };
    (refund_line, $row:ident) => {
        Some($row.refund_id)
    };
    (variant, $row:ident) => {
        Some($row.product_id)
    };
    (variant_code, $row:ident) => {
        Some($row.variant_id)
    };
    (variant_cost, $row:ident) => {
        Some($row.variant_id)
    };
    (stock, $row:ident) => {
        Some($row.variant_id)
    };
    (listing, $row:ident) => {
        Some($row.variant_id)
    };
    (price, $row:ident) => {
        Some($row.variant_id)
    };
    (channel_warehouse, $row:ident) => {
        Some($row.channel_id)
    };
    (tracking_event, $row:ident) => {
        $row.package_id
    };
    (carrier_service, $row:ident) => {
        Some($row.carrier_id)
    };
    (carrier_zone, $row:ident) => {
        Some($row.carrier_id)
    };
    (carrier_rate, $row:ident) => {
        Some($row.service_id)
    };
    (carrier_surcharge, $row:ident) => {
        Some($row.service_id)
    };
    (shipping_rate, $row:ident) => {
        Some($row.zone_id)
    };
    (message_attempt, $row:ident) => {
        Some($row.message_id)
    };
    (address, $row:ident) => {
        $row.customer_id
    };
    (invoice_line, $row:ident) => {
        Some($row.invoice_id)
    };
    (invoice_standing, $row:ident) => {
        Some($row.invoice_id)
    };
    (payment_allocation, $row:ident) => {
        Some($row.payment_id)
    };
    (invoice_series, $row:ident) => {
        Some($row.legal_entity_id)
    };
    (legal_entity_channel, $row:ident) => {
        Some($row.legal_entity_id)
    };
    (fulfillment_line, $row:ident) => {
        Some($row.fulfillment_order_id)
    };
    (pick_list, $row:ident) => {
        $row.wave_id
    };
    (pick_task, $row:ident) => {
        Some($row.pick_list_id)
    };
    (package, $row:ident) => {
        Some($row.shipment_id)
    };
    (package_line, $row:ident) => {
        Some($row.package_id)
    };
    ($other:ident, $row:ident) => {
        Some($row.order_id)
    };
}

/// Loads the rows that belong to an owner, each in an order of its own. What one transaction made
/// has the same moment, so there the identifier says what came first.
macro_rules! belonging {
    ($(
        $(#[$doc:meta])*
        $key:ident($owner:ident) => $entity:ident by $column:ident
            ordered $order:ident $(then $then:ident)?
    ),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $key(pub entity::$owner);

        impl Loader<$key> for Loaders {
            type Value = Vec<entity::$entity::Model>;
            type Error = LoadError;

            async fn load(&self, keys: &[$key]) -> Result<HashMap<$key, Self::Value>, LoadError> {
                use entity::$entity::{Column, Entity};
                let rows = Entity::find()
                    .filter(Column::$column.is_in(keys.iter().map(|key| key.0)))
                    .order_by_asc(Column::$order)
                    $(.order_by_asc(Column::$then))?
                    .all(&self.app.db.read)
                    .await?;
                let mut found: HashMap<$key, Self::Value> =
                    keys.iter().map(|key| (*key, Vec::new())).collect();
                for row in rows {
                    if let Some(owner) = owner_of!($entity, row) {
                        found.entry($key(owner)).or_default().push(row);
                    }
                }
                Ok(found)
            }
        }
    )*};
}

belonging! {
    /// The lines of an order.
    LinesOf(OrderId) => order_line by OrderId ordered Position,
    /// The holds of an order, lifted ones included.
    HoldsOf(OrderId) => hold by OrderId ordered PlacedAt then Id,
    /// The exceptions of an order, settled ones included.
    ExceptionsOf(OrderId) => order_exception by OrderId ordered OpenedAt then Id,
    /// The notes on an order.
    NotesOf(OrderId) => note by OrderId ordered CreatedAt then Id,
    /// The returns of an order.
    ReturnsOf(OrderId) => return_order by OrderId ordered RequestedAt then Id,
    /// The lines of a return.
    ReturnLinesOf(ReturnId) => return_line by ReturnId ordered Position,
    /// What was found of a return's units.
    ReturnUnitsOf(ReturnId) => return_unit by ReturnId ordered InspectedAt then Id,
    /// What was decided to be given back of an order's money.
    RefundsOf(OrderId) => refund by OrderId ordered RequestedAt then Id,
    /// What a refund is made of.
    RefundLinesOf(RefundId) => refund_line by RefundId ordered Position,
    /// The messages about an order.
    MessagesOf(OrderId) => message by OrderId ordered CreatedAt then Id,
    /// The invoices and credit notes of an order.
    InvoicesOf(OrderId) => invoice by OrderId ordered IssuedAt then Id,
    /// The lines of an invoice.
    InvoiceLinesOf(InvoiceId) => invoice_line by InvoiceId ordered Position,
    /// Where an invoice stands.
    StandingOf(InvoiceId) => invoice_standing by InvoiceId ordered InvoiceId,
    /// What a payment on account pays.
    AllocationsOf(CustomerPaymentId) => payment_allocation by PaymentId ordered InvoiceId,
    /// The series of a seller.
    SeriesOf(LegalEntityId) => invoice_series by LegalEntityId ordered Kind,
    /// The channels of a seller.
    ChannelsOf(LegalEntityId) => legal_entity_channel by LegalEntityId ordered ChannelId,
    /// The tries to send a message.
    AttemptsOf(MessageId) => message_attempt by MessageId ordered Number,
    /// The tags on an order.
    TagsOf(OrderId) => order_tag by OrderId ordered Key,
    /// The payment of an order.
    PaymentsOf(OrderId) => payment by OrderId ordered CreatedAt then Id,
    /// What was asked of the gateway for an order.
    TransactionsOf(OrderId) => payment_transaction by OrderId ordered CreatedAt then Id,
    /// What customers have taken back of an order.
    DisputesOf(OrderId) => dispute by OrderId ordered OpenedAt then Id,
    /// The stock held for an order, ended holds included.
    ReservationsOf(OrderId) => reservation by OrderId ordered CreatedAt then Id,
    /// The places of an order in queues for stock.
    BackordersOf(OrderId) => backorder by OrderId ordered Position then Id,
    /// The events of an order.
    TimelineOf(OrderId) => event_log by OrderId ordered Seq,
    /// What the warehouses have of an order, and had.
    WorkOf(OrderId) => fulfillment_order by OrderId ordered Position,
    /// The shipments of an order, cancelled ones included.
    ShipmentsOf(OrderId) => shipment by OrderId ordered CreatedAt then Id,
    /// What a warehouse's work has of the order's lines.
    FulfillmentLinesOf(FulfillmentOrderId) => fulfillment_line by FulfillmentOrderId
        ordered LineId,
    /// The pick lists of a wave.
    ListsOf(WaveId) => pick_list by WaveId ordered Number,
    /// The rows of a pick list, in walking order.
    TasksOf(PickListId) => pick_task by PickListId ordered Position then Slot,
    /// What a carrier said of a package.
    TrackingOf(PackageId) => tracking_event by PackageId ordered OccurredAt then Id,
    /// The packages of a shipment, emptied ones included.
    PackagesOf(ShipmentId) => package by ShipmentId ordered Position,
    /// What a package should hold.
    PackageLinesOf(PackageId) => package_line by PackageId ordered LineId,
    /// The variants of a product.
    VariantsOf(ProductId) => variant by ProductId ordered Sku,
    /// The codes of a variant.
    CodesOf(VariantId) => variant_code by VariantId ordered Code,
    /// What a unit of a variant costs.
    CostOf(VariantId) => variant_cost by VariantId ordered VariantId,
    /// The stock of a variant, by warehouse.
    StockOf(VariantId) => stock by VariantId ordered WarehouseId,
    /// The channels that sell a variant.
    ListingsOf(VariantId) => listing by VariantId ordered ChannelId,
    /// The prices of a variant in every list.
    PricesOf(VariantId) => price by VariantId ordered MinQuantity then PriceListId,
    /// The warehouses that serve a channel, first asked first.
    WarehousesOf(ChannelId) => channel_warehouse by ChannelId ordered Priority then WarehouseId,
    /// The services of a carrier.
    ServicesOf(CarrierId) => carrier_service by CarrierId ordered Code,
    /// The zones of a carrier.
    CarrierZonesOf(CarrierId) => carrier_zone by CarrierId ordered Code,
    /// The rates of a carrier's service.
    CarrierRatesOf(CarrierServiceId) => carrier_rate by ServiceId ordered ZoneId then UpToGrams,
    /// The surcharges of a carrier's service.
    SurchargesOf(CarrierServiceId) => carrier_surcharge by ServiceId ordered Position,
    /// The shipping rates of a zone.
    RatesOf(ShippingZoneId) => shipping_rate by ZoneId ordered MinWeightGrams then Id,
    /// The address book of a customer.
    AddressesOf(CustomerId) => address by CustomerId ordered CreatedAt then Id,
}

/// The orders that were split off an order, those that were put away included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SplitOffsOf(pub OrderId);

impl Loader<SplitOffsOf> for Loaders {
    type Value = Vec<OrderId>;
    type Error = LoadError;

    async fn load(
        &self,
        keys: &[SplitOffsOf],
    ) -> Result<HashMap<SplitOffsOf, Self::Value>, LoadError> {
        let of = || keys.iter().map(|key| key.0);
        let mut all = order::Entity::find()
            .select_only()
            .column_as(order::Column::SplitFromOrderId, "first")
            .column_as(order::Column::Id, "id")
            .column_as(order::Column::ReceivedAt, "received_at")
            .filter(order::Column::SplitFromOrderId.is_in(of()))
            .into_query();
        let archived = archived_order::Entity::find()
            .select_only()
            .column_as(archived_order::Column::SplitFromOrderId, "first")
            .column_as(archived_order::Column::Id, "id")
            .column_as(archived_order::Column::ReceivedAt, "received_at")
            .filter(archived_order::Column::SplitFromOrderId.is_in(of()))
            .into_query();
        all.union(UnionType::All, archived)
            .order_by("received_at", Direction::Asc)
            .order_by("id", Direction::Asc);
        let mut found: HashMap<SplitOffsOf, Self::Value> =
            keys.iter().map(|key| (*key, Vec::new())).collect();
        for row in self.app.db.read.query_all(&all).await? {
            let first: OrderId = row.try_get("", "first")?;
            let id = row.try_get("", "id")?;
            found.entry(SplitOffsOf(first)).or_default().push(id);
        }
        Ok(found)
    }
}

/// What was printed for something, void documents included.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PrintedFor(pub String);

impl Loader<PrintedFor> for Loaders {
    type Value = Vec<document::Model>;
    type Error = LoadError;

    async fn load(
        &self,
        keys: &[PrintedFor],
    ) -> Result<HashMap<PrintedFor, Self::Value>, LoadError> {
        use document::{Column, Entity};
        let rows = Entity::find()
            .filter(Column::Subject.is_in(keys.iter().map(|key| key.0.as_str())))
            .order_by_asc(Column::CreatedAt)
            .order_by_asc(Column::Id)
            .all(&self.app.db.read)
            .await?;
        let mut found: HashMap<PrintedFor, Self::Value> = HashMap::new();
        for row in rows {
            let key = PrintedFor(row.subject.clone());
            found.entry(key).or_default().push(row);
        }
        Ok(found)
    }
}

/// The work that is in a wave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WorkOfWave(pub entity::WaveId);

impl Loader<WorkOfWave> for Loaders {
    type Value = Vec<fulfillment_order::Model>;
    type Error = LoadError;

    async fn load(
        &self,
        keys: &[WorkOfWave],
    ) -> Result<HashMap<WorkOfWave, Self::Value>, LoadError> {
        use fulfillment_order::{Column, Entity};
        let rows = Entity::find()
            .filter(Column::WaveId.is_in(keys.iter().map(|key| key.0)))
            .order_by_asc(Column::CreatedAt)
            .order_by_asc(Column::Id)
            .all(&self.app.db.read)
            .await?;
        let mut found: HashMap<WorkOfWave, Self::Value> = HashMap::new();
        for row in rows {
            if let Some(wave) = row.wave_id {
                found.entry(WorkOfWave(wave)).or_default().push(row);
            }
        }
        Ok(found)
    }
}

/// The shipments of a warehouse's work, cancelled ones included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ShipmentsOfWork(pub entity::FulfillmentOrderId);

impl Loader<ShipmentsOfWork> for Loaders {
    type Value = Vec<shipment::Model>;
    type Error = LoadError;

    async fn load(
        &self,
        keys: &[ShipmentsOfWork],
    ) -> Result<HashMap<ShipmentsOfWork, Self::Value>, LoadError> {
        use shipment::{Column, Entity};
        let rows = Entity::find()
            .filter(Column::FulfillmentOrderId.is_in(keys.iter().map(|key| key.0)))
            .order_by_asc(Column::CreatedAt)
            .order_by_asc(Column::Id)
            .all(&self.app.db.read)
            .await?;
        let mut found: HashMap<ShipmentsOfWork, Self::Value> = HashMap::new();
        for row in rows {
            let key = ShipmentsOfWork(row.fulfillment_order_id);
            found.entry(key).or_default().push(row);
        }
        Ok(found)
    }
}
