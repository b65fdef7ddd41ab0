//! Reading anything by its identifier alone: `node` and `nodes`.
//!
//! Some things have an identifier and are read only where they stand. An address is seen through
//! its order or its customer, which decide who may, and a dispute through its payment; an entry of
//! a timeline is a line of the log and not a thing that changes; exports, settlements and their
//! differences have queries of their own.

use async_graphql::{Context, ID, Interface, Object, Result};
use futures_util::future::try_join_all;
use uuid::Uuid;

use super::carriers::{Carrier, CarrierService, CarrierZone};
use super::catalogue::channels::Channel;
use super::catalogue::prices::PriceList;
use super::catalogue::products::{Product, Variant, sees_product, sees_variant};
use super::catalogue::promotions::Promotion;
use super::catalogue::shipping::{ShippingRate, ShippingZone, TaxRate};
use super::catalogue::warehouses::{Bin, Warehouse};
use super::catalogue::{confined, sees};
use super::customers::Customer;
use super::documents::{self, Document};
use super::errors::bad_input;
use super::fulfillment::{Carton, FulfillmentOrder, Package, PickList, PickTask, Shipment, Wave};
use super::ids::{self, parse};
use super::imports::OrderImport;
use super::invoices::{Invoice, LegalEntity};
use super::keys::ApiKey;
use super::loaders::load;
use super::messages::{Message, MessageTemplate};
use super::orders::views::SavedView;
use super::orders::{
    Backorder, BulkOperation, Hold, Note, Order, OrderException, OrderLine, Payment,
    PaymentTransaction, Reservation, order_of,
};
use super::principal;
use super::returns::Return;
use super::rules::ExceptionRule;
use super::stock::{InboundSupply, StockMovement};
use super::stock_sources::{StockDrift, StockSource};
use crate::access::Scope;

/// The most things that are read at once.
const MOST_NODES: usize = 100;

/// Declares what can be read by its identifier alone, a type a line: by which identifier, with
/// which scope, and the type over its row if the caller sees that.
macro_rules! nodes {
    (
        |$ctx:ident, $row:ident|
        $($node:ident by $id:ident with $scope:ident => $seen:expr;)*
    ) => {
        /// What can be read by its identifier alone.
        #[derive(Interface)]
        #[graphql(field(name = "id", ty = "ID", desc = "Its global identifier."))]
        #[allow(
            clippy::large_enum_variant,
            reason = "it lives only from its row to its answer"
        )]
        pub enum Node {
            $(
                #[doc = concat!("One ", stringify!($node), ".")]
                $node($node),
            )*
        }

        /// Finds what an identifier names, if the caller sees it.
        async fn find($ctx: &Context<'_>, kind: &str, id: Uuid) -> Result<Option<Node>> {
            match kind {
                $(<entity::$id as ids::Node>::KIND => {
                    if !principal($ctx)?.may(Scope::$scope) {
                        return Ok(None);
                    }
                    let Some($row) = load($ctx, entity::$id(id)).await? else {
                        return Ok(None);
                    };
                    let seen: Option<$node> = $seen;
                    Ok(seen.map(Node::from))
                })*
                _ => Ok(None),
            }
        }
    };
}

nodes! {
    |ctx, row|
    ApiKey by ApiKeyId with KeysManage => confined(ctx)?.is_none().then(|| row.into());
    Backorder by BackorderId with OrdersRead =>
        order_of(ctx, row.order_id).await?.map(|_| row.into());
    Bin by BinId with CatalogueRead => Some(row.into());
    BulkOperation by BulkOperationId with OrdersManage => BulkOperation::of(ctx, row).await?;
    Carrier by CarrierId with CatalogueRead => Some(row.into());
    CarrierService by CarrierServiceId with CatalogueRead => Some(row.into());
    CarrierZone by CarrierZoneId with CatalogueRead => Some(row.into());
    Carton by CartonId with FulfillmentRead => Some(row.into());
    Channel by ChannelId with CatalogueRead => sees(ctx, Some(row.id)).then(|| row.into());
    Customer by CustomerId with CustomersRead => Some(row.into());
    Document by DocumentId with FulfillmentRead =>
        documents::sees(ctx, &row).then(|| row.into());
    ExceptionRule by ExceptionRuleId with RulesRead =>
        sees(ctx, row.channel_id).then(|| row.into());
    FulfillmentOrder by FulfillmentOrderId with FulfillmentRead =>
        order_of(ctx, row.order_id).await?.map(|_| row.into());
    Hold by HoldId with OrdersRead => order_of(ctx, row.order_id).await?.map(|_| row.into());
    InboundSupply by InboundId with StockRead =>
        sees_variant(ctx, row.variant_id).await?.then(|| row.into());
    Invoice by InvoiceId with FinanceRead => sees(ctx, Some(row.channel_id)).then(|| row.into());
    LegalEntity by LegalEntityId with FinanceRead => Some(row.into());
    Message by MessageId with OrdersRead =>
        sees(ctx, Some(row.channel_id)).then(|| row.into());
    MessageTemplate by MessageTemplateId with CatalogueRead =>
        sees(ctx, row.channel_id).then(|| row.into());
    Note by NoteId with OrdersManage => order_of(ctx, row.order_id).await?.map(|_| row.into());
    Order by OrderId with OrdersRead => sees(ctx, Some(row.channel_id)).then(|| row.into());
    OrderException by ExceptionId with OrdersRead =>
        order_of(ctx, row.order_id).await?.map(|_| row.into());
    OrderImport by ImportId with OrdersRead =>
        sees(ctx, Some(row.channel_id)).then(|| row.into());
    OrderLine by LineId with OrdersRead =>
        order_of(ctx, row.order_id).await?.map(|of| OrderLine::new(row, of.currency));
    Package by PackageId with FulfillmentRead => {
        let of = load(ctx, row.shipment_id).await?;
        match of {
            Some(of) => order_of(ctx, of.order_id).await?.map(|_| row.into()),
            None => None,
        }
    };
    Payment by PaymentId with PaymentsRead =>
        order_of(ctx, row.order_id).await?.map(|_| row.into());
    PaymentTransaction by TransactionId with PaymentsRead =>
        order_of(ctx, row.order_id).await?.map(|of| PaymentTransaction::new(row, of.currency));
    PickList by PickListId with FulfillmentRead =>
        confined(ctx)?.is_none().then(|| row.into());
    PickTask by PickTaskId with FulfillmentRead =>
        confined(ctx)?.is_none().then(|| row.into());
    PriceList by PriceListId with CatalogueRead => sees(ctx, row.channel_id).then(|| row.into());
    Product by ProductId with CatalogueRead => sees_product(ctx, row.id).await?.then(|| row.into());
    Promotion by PromotionId with CatalogueRead => sees(ctx, row.channel_id).then(|| row.into());
    Reservation by ReservationId with OrdersRead =>
        order_of(ctx, row.order_id).await?.map(|_| row.into());
    Return by ReturnId with OrdersRead =>
        order_of(ctx, row.order_id).await?.map(|_| row.into());
    SavedView by SavedViewId with OrdersRead =>
        crate::orders::views::sees(principal(ctx)?, &row).then(|| row.into());
    Shipment by ShipmentId with FulfillmentRead =>
        order_of(ctx, row.order_id).await?.map(|_| row.into());
    ShippingRate by ShippingRateId with CatalogueRead =>
        sees(ctx, row.channel_id).then(|| row.into());
    ShippingZone by ShippingZoneId with CatalogueRead => Some(row.into());
    StockDrift by DriftId with StockRead =>
        sees_variant(ctx, row.variant_id).await?.then(|| row.into());
    StockMovement by MovementId with StockRead =>
        sees_variant(ctx, row.variant_id).await?.then(|| row.into());
    StockSource by StockSourceId with StockRead => Some(row.into());
    TaxRate by TaxRateId with CatalogueRead => Some(row.into());
    Variant by VariantId with CatalogueRead => sees_variant(ctx, row.id).await?.then(|| row.into());
    Warehouse by WarehouseId with CatalogueRead => Some(row.into());
    Wave by WaveId with FulfillmentRead => confined(ctx)?.is_none().then(|| row.into());
}

/// The kind and the identifier inside; refuses what is none of ours.
fn named(id: &ID, argument: &str) -> Result<(String, Uuid)> {
    parse(id).ok_or_else(|| bad_input(&format!("{argument} is no identifier of ours")))
}

/// Reading by identifier.
#[derive(Default)]
pub struct NodeQuery;

/// Reading by identifier.
#[Object]
impl NodeQuery {
    /// What an identifier names. Null if it is not there or you may not see it, which look alike:
    /// it is of a channel that is not yours, its type needs a scope that you lack, or it is an
    /// address, a dispute, an export, a settlement, a difference of one or an entry of a timeline,
    /// which are read where they stand. What is no identifier
    /// at all is an error (BAD_USER_INPUT). Needs no scope.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global identifier, of any type.")] id: ID,
    ) -> Result<Option<Node>> {
        let (kind, id) = named(&id, "id")?;
        find(ctx, &kind, id).await
    }

    /// What several identifiers name, in their order, each as `node` would say it. More than 100
    /// are an error (BAD_USER_INPUT). Needs no scope.
    #[graphql(complexity = "1 + ids.len() * child_complexity")]
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global identifiers, of any types; at most 100.")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Node>>> {
        if ids.len() > MOST_NODES {
            return Err(bad_input(&format!(
                "ids has at most {MOST_NODES} identifiers"
            )));
        }
        let mut all = Vec::with_capacity(ids.len());
        for (place, id) in ids.iter().enumerate() {
            all.push(named(id, &format!("ids.{place}"))?);
        }
        // Side by side, so that those of a type are loaded together.
        try_join_all(all.iter().map(|(kind, id)| find(ctx, kind, *id))).await
    }
}
