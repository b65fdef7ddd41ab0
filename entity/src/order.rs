//! Orders: one row holds each axis of an order's state.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{AddressId, ChannelId, Currency, CustomerId, OrderId};

/// The order's own decision; the other axes follow from elsewhere.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Being composed by staff.
    Draft,
    /// Taken; checks, payment and stock are not all green yet.
    Received,
    /// Every gate is green: released to staging.
    Confirmed,
    /// Delivered, captured, invoiced and settled.
    Completed,
    /// Called off.
    Cancelled,
    /// Refused by a person after a check failed.
    Rejected,
    /// Never paid; its hold ran out.
    Expired,
}

/// Derived from the payment's amounts.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PaymentStatus {
    /// Nothing is authorised yet.
    Pending,
    /// The amount due is authorised.
    Authorized,
    /// Some of the total is captured.
    PartiallyPaid,
    /// All of it is captured.
    Paid,
    /// Some of what was captured went back.
    PartiallyRefunded,
    /// All of it went back.
    Refunded,
    /// The authorisation was given back.
    Voided,
    /// The authorisation ran out.
    Expired,
    /// The gateway has not given a definite answer.
    Unknown,
}

/// Derived from the shipments.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FulfillmentStatus {
    /// Nothing is under way.
    Unfulfilled,
    /// Stopped.
    OnHold,
    /// Being picked or packed.
    InProgress,
    /// Some of it has left.
    PartiallyFulfilled,
    /// All of it has left.
    Fulfilled,
}

/// Derived from the returns.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReturnStatus {
    /// Nothing comes back.
    None,
    /// A return was asked for.
    Requested,
    /// Something is on its way back.
    InProgress,
    /// What came back was looked at.
    Inspected,
    /// It is settled.
    Returned,
}

/// Where the order stands on the live board; derived and indexed.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Stage {
    /// Checks, payment or stock are pending.
    Validating,
    /// A hold or a blocking exception stops it.
    OnHold,
    /// It waits for stock.
    Backordered,
    /// Ready for the warehouse.
    Staged,
    /// Being picked.
    Picking,
    /// Being packed.
    Packing,
    /// Labelled; waits for the carrier.
    Ready,
    /// With the carrier.
    Shipped,
    /// With the customer.
    Delivered,
    /// Settled.
    Completed,
    /// Cancelled, rejected or expired.
    Cancelled,
}

/// How the order came in.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Source {
    /// One by one, over the API.
    Api,
    /// In a batch, over the API.
    Bulk,
    /// From a file.
    Import,
    /// Entered by staff.
    Staff,
    /// From a storefront's webhook.
    Webhook,
}

/// How the order is paid.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PaymentMethod {
    /// By a card, through a gateway.
    Card,
    /// On the customer's account, within its credit limit.
    Account,
    /// Settled outside (a marketplace, an invoice in advance).
    External,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "order")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: OrderId,
    /// What people call it; unique.
    #[sea_orm(unique)]
    pub number: String,
    /// Where it came from.
    pub channel_id: ChannelId,
    /// Its name at the channel; unique there.
    pub external_reference: Option<String>,
    /// SHA-256 of what was submitted, so that a repeated reference with another body is seen.
    pub fingerprint: String,
    /// How it came in.
    pub source: Source,
    /// Whose it is; none = a guest's.
    pub customer_id: Option<CustomerId>,
    /// Who ordered, as given.
    pub customer_name: String,
    /// Where its notices go.
    pub email: Option<String>,
    /// E.164.
    pub phone: Option<String>,
    /// The group whose prices it got.
    pub customer_group: Option<String>,
    /// Where it goes.
    pub shipping_address_id: AddressId,
    /// Where the bill goes; none = where it goes.
    pub billing_address_id: Option<AddressId>,
    /// The order's own decision.
    pub status: Status,
    /// Derived from its payment.
    pub payment_status: PaymentStatus,
    /// Derived from its shipments.
    pub fulfillment_status: FulfillmentStatus,
    /// Derived from its returns.
    pub return_status: ReturnStatus,
    /// Where it stands on the live board.
    pub stage: Stage,
    /// Since when it stands there.
    pub stage_since: DateTimeUtc,
    /// Until when it should be dispatched; promised when it is released to staging.
    pub dispatch_by: Option<DateTimeUtc>,
    /// How it is paid.
    pub payment_method: PaymentMethod,
    /// The shipping service: `STANDARD`, `EXPRESS` …
    pub service_level: String,
    /// The currency of every amount of it.
    pub currency: Currency,
    /// Whether its prices contain the tax.
    pub tax_included: bool,
    /// Whether it is charged no tax.
    pub tax_exempt: bool,
    /// Sum of the lines before discounts, in minor units.
    pub subtotal_minor: i64,
    /// Discounts on the lines, in minor units.
    pub discount_minor: i64,
    /// Shipping charge before its discount, in minor units.
    pub shipping_minor: i64,
    /// Discount on shipping, in minor units.
    pub shipping_discount_minor: i64,
    /// Tax on shipping, in minor units.
    pub shipping_tax_minor: i64,
    /// All tax, that on shipping included, in minor units.
    pub tax_minor: i64,
    /// Tax taken out of tax-inclusive prices for an exempt customer, in minor units.
    pub exempted_minor: i64,
    /// What is due in all, in minor units.
    pub total_minor: i64,
    /// What the channel said the total is, in minor units.
    pub submitted_total_minor: Option<i64>,
    /// The codes that were given, with their verdicts: `[{code, verdict, discount}]`.
    #[sea_orm(column_type = "JsonBinary")]
    pub promotion_codes: Json,
    /// Key-values that everyone who sees the order sees.
    #[sea_orm(column_type = "JsonBinary")]
    pub metadata: Json,
    /// Key-values for staff.
    #[sea_orm(column_type = "JsonBinary")]
    pub private_metadata: Json,
    /// Why it was called off.
    pub cancel_reason: Option<String>,
    /// When the customer ordered.
    pub placed_at: DateTimeUtc,
    /// When it came in.
    pub received_at: DateTimeUtc,
    /// When it was released to staging.
    pub confirmed_at: Option<DateTimeUtc>,
    /// When it was completed, cancelled, rejected or expired.
    pub closed_at: Option<DateTimeUtc>,
    /// When it last changed.
    pub updated_at: DateTimeUtc,
    /// +1 with every change; the version of its newest event.
    pub version: i64,
    /// The order that it was split off.
    pub split_from_order_id: Option<OrderId>,
    /// Whether it has units that no warehouse was told to send yet.
    pub unrouted: bool,
    /// When somebody looks next whether it is complete or is to be put away; none = nobody has to.
    pub settles_at: Option<DateTimeUtc>,
}

/// The joins that are read often.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// What its money has come to.
    #[sea_orm(
        belongs_to = "crate::payment::Entity",
        from = "Column::Id",
        to = "crate::payment::Column::OrderId"
    )]
    Payment,
}

impl Related<crate::payment::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Payment.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
