//! Opaque identifiers with the type inside: base64 of `Order:<uuid>`.

use async_graphql::ID;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::failure::Problem;

/// The kinds of nodes, as they stand in identifiers.
pub trait Node: From<Uuid> {
    /// The type's name in the schema.
    const KIND: &'static str;
    /// The identifier inside.
    fn uuid(self) -> Uuid;
}

macro_rules! nodes {
    ($($id:ident => $kind:literal),* $(,)?) => {$(
        impl Node for entity::$id {
            const KIND: &'static str = $kind;
            fn uuid(self) -> Uuid {
                self.0
            }
        }
    )*};
}

nodes! {
    AddressId => "Address",
    ApiKeyId => "ApiKey",
    BackorderId => "Backorder",
    BinId => "Bin",
    BulkOperationId => "BulkOperation",
    CarrierId => "Carrier",
    CarrierServiceId => "CarrierService",
    CarrierZoneId => "CarrierZone",
    CartonId => "Carton",
    ChannelId => "Channel",
    CustomerId => "Customer",
    DriftId => "StockDrift",
    DisputeId => "Dispute",
    DocumentId => "Document",
    EventId => "Event",
    ExceptionId => "OrderException",
    ExceptionRuleId => "ExceptionRule",
    ExportId => "Export",
    FulfillmentOrderId => "FulfillmentOrder",
    HoldId => "Hold",
    ImportId => "OrderImport",
    InboundId => "InboundSupply",
    InvoiceId => "Invoice",
    LegalEntityId => "LegalEntity",
    LineId => "OrderLine",
    MessageId => "Message",
    MessageTemplateId => "MessageTemplate",
    MovementId => "StockMovement",
    NoteId => "Note",
    OrderId => "Order",
    PackageId => "Package",
    PaymentId => "Payment",
    TransactionId => "PaymentTransaction",
    PickListId => "PickList",
    PickTaskId => "PickTask",
    PriceListId => "PriceList",
    ProductId => "Product",
    PromotionId => "Promotion",
    ReservationId => "Reservation",
    ReturnId => "Return",
    ReturnLineId => "ReturnLine",
    SavedViewId => "SavedView",
    SettlementDifferenceId => "SettlementDifference",
    SettlementId => "Settlement",
    ShipmentId => "Shipment",
    ShippingRateId => "ShippingRate",
    ShippingZoneId => "ShippingZone",
    StockSourceId => "StockSource",
    TaxRateId => "TaxRate",
    VariantId => "Variant",
    WarehouseId => "Warehouse",
    WaveId => "Wave",
}

/// The identifier that clients see.
pub fn to_global<N: Node>(id: N) -> ID {
    ID(URL_SAFE_NO_PAD.encode(format!("{}:{}", N::KIND, id.uuid())))
}

/// The kind and the identifier inside; none if it is not one of ours.
pub fn parse(id: &ID) -> Option<(String, Uuid)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(id.as_bytes()).ok()?).ok()?;
    let (kind, uuid) = text.split_once(':')?;
    Some((kind.to_owned(), uuid.parse().ok()?))
}

/// The identifier inside, if it is of the wanted kind. An identifier of another kind answers as
/// one that is not there.
pub fn from_global<N: Node>(id: &ID, field: &str) -> Result<N, Problem> {
    match parse(id) {
        Some((kind, uuid)) if kind == N::KIND => Ok(uuid.into()),
        _ => Err(Problem::not_found(N::KIND).at(field)),
    }
}

/// The same for a list.
pub fn from_globals<N: Node>(ids: &[ID], field: &str) -> Result<Vec<N>, Problem> {
    ids.iter()
        .enumerate()
        .map(|(place, id)| from_global(id, &format!("{field}.{place}")))
        .collect()
}

/// The same for one that may be missing.
pub fn from_optional<N: Node>(id: Option<&ID>, field: &str) -> Result<Option<N>, Problem> {
    id.map(|id| from_global(id, field)).transpose()
}
