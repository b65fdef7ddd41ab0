//! A type for each table's identifier, so that an order's id cannot pass as a customer's.

use std::fmt;

use sea_orm::{DbErr, DeriveValueType, TryFromU64};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, DeriveValueType, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl TryFromU64 for $name {
            fn try_from_u64(_: u64) -> Result<Self, DbErr> {
                Err(DbErr::ConvertFromU64(stringify!($name)))
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                $name(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

ids! {
    /// Identifies an address.
    AddressId,
    /// Identifies an API key.
    ApiKeyId,
    /// Identifies a place in the queue for stock.
    BackorderId,
    /// Identifies a bin of a warehouse.
    BinId,
    /// Identifies an action on many orders.
    BulkOperationId,
    /// Identifies a channel.
    ChannelId,
    /// Identifies a customer.
    CustomerId,
    /// Identifies a document.
    DocumentId,
    /// Identifies an event of the log.
    EventId,
    /// Identifies an exception on an order.
    ExceptionId,
    /// Identifies a rule that makes exceptions.
    ExceptionRuleId,
    /// Identifies an export.
    ExportId,
    /// Identifies a hold on an order.
    HoldId,
    /// Identifies an import of orders.
    ImportId,
    /// Identifies a difference between a feed and the ledger.
    DriftId,
    /// Identifies an expected delivery of stock.
    InboundId,
    /// Identifies a job.
    JobId,
    /// Identifies a line of an order.
    LineId,
    /// Identifies a message to somebody.
    MessageId,
    /// Identifies the wording of messages.
    MessageTemplateId,
    /// Identifies a decision to give money back.
    RefundId,
    /// Identifies a return.
    ReturnId,
    /// Identifies a line of a return.
    ReturnLineId,
    /// Identifies units that came back.
    ReturnUnitId,
    /// Identifies a movement of stock.
    MovementId,
    /// Identifies a note on an order.
    NoteId,
    /// Identifies an order.
    OrderId,
    /// Identifies the payment of an order.
    PaymentId,
    /// Identifies one effect at a payment gateway.
    TransactionId,
    /// Identifies a price list.
    PriceListId,
    /// Identifies a product.
    ProductId,
    /// Identifies a promotion.
    PromotionId,
    /// Identifies a reservation of stock.
    ReservationId,
    /// Identifies a search that somebody keeps.
    SavedViewId,
    /// Identifies a shipping rate.
    ShippingRateId,
    /// Identifies a shipping zone.
    ShippingZoneId,
    /// Identifies a tax rate.
    TaxRateId,
    /// Identifies a variant of a product.
    VariantId,
    /// Identifies a source of stock figures.
    StockSourceId,
    /// Identifies a warehouse.
    WarehouseId,
    /// Identifies a carrier.
    CarrierId,
    /// Identifies a rate of a carrier.
    CarrierRateId,
    /// Identifies a service of a carrier.
    CarrierServiceId,
    /// Identifies a zone of a carrier.
    CarrierZoneId,
    /// Identifies the purchase of a label.
    LabelId,
    /// Identifies a kind of carton.
    CartonId,
    /// Identifies a warehouse's work on an order.
    FulfillmentOrderId,
    /// Identifies a parcel of a shipment.
    PackageId,
    /// Identifies a pick list.
    PickListId,
    /// Identifies a row of a pick list.
    PickTaskId,
    /// Identifies a scan in a warehouse.
    ScanId,
    /// Identifies a shipment.
    ShipmentId,
    /// Identifies something that a carrier said.
    TrackingEventId,
    /// Identifies a wave.
    WaveId,
    /// Identifies an invoice or a credit note.
    InvoiceId,
    /// Identifies money that a customer has paid on account.
    CustomerPaymentId,
    /// Identifies what of such money pays an invoice.
    PaymentAllocationId,
    /// Identifies a posting of the ledger.
    LedgerEntryId,
    /// Identifies who sells.
    LegalEntityId,
    /// Identifies a dispute over captured money.
    DisputeId,
    /// Identifies a file of what a gateway has paid out.
    SettlementId,
    /// Identifies a line of such a file.
    SettlementLineId,
    /// Identifies a difference between such a file and what we know.
    SettlementDifferenceId,
}
