//! The enums of orders as the schema shows them: a mirror of the columns', so that a new value of a
//! column does not join the public API unseen. Values may be added; treat unknown ones as such.

use async_graphql::Enum;

/// The order's own decision; the other axes follow from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::order::Status")]
pub enum OrderStatus {
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::order::PaymentStatus")]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::order::FulfillmentStatus")]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::order::ReturnStatus")]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::order::Stage")]
pub enum OrderStage {
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::order::Source")]
pub enum OrderSource {
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::order::PaymentMethod")]
pub enum PaymentMethod {
    /// By a card, through a gateway.
    Card,
    /// On the customer's account, within its credit limit.
    Account,
    /// Settled outside (a marketplace, an invoice in advance).
    External,
}

/// Where an exception stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::order_exception::Status")]
pub enum ExceptionStatus {
    /// Nobody has taken it.
    Open,
    /// Somebody has.
    Assigned,
    /// It is settled; what it stopped may go on.
    Resolved,
    /// It was no exception.
    Dismissed,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::order_exception::Severity")]
pub enum ExceptionSeverity {
    /// Look when there is time.
    Low,
    /// Look today.
    Medium,
    /// Look now.
    High,
    /// Money or stock is at stake.
    Critical,
}

/// What is asked of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::payment_transaction::Kind")]
pub enum PaymentTransactionKind {
    /// Set an amount aside.
    Authorization,
    /// Take it.
    Capture,
    /// Give it back before it was taken.
    Void,
    /// Give it back after it was taken.
    Refund,
}

/// What is known of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::payment_transaction::State")]
pub enum PaymentTransactionState {
    /// Not asked yet.
    Ready,
    /// Asked; the answer is under way.
    Sent,
    /// No definite answer; it will be asked about, never asked for again.
    Unknown,
    /// Done.
    Succeeded,
    /// Refused.
    Declined,
    /// The gateway never did it.
    NotExecuted,
}

/// How a dispute stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::dispute::State")]
pub enum DisputeState {
    /// The money is gone, and may come back.
    Open,
    /// It came back.
    Won,
    /// It did not.
    Lost,
}

/// Where a reservation stands. One compare-and-set decides between its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::reservation::Status")]
pub enum ReservationStatus {
    /// Held softly, until it expires.
    Active,
    /// Held for good.
    Allocated,
    /// Gone.
    Shipped,
    /// Let go.
    Released,
    /// Its time ran out.
    Expired,
}

/// Where a place in the queue stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::backorder::Status")]
pub enum BackorderStatus {
    /// It waits for stock.
    Waiting,
    /// Stock came and was allocated to it.
    Allocated,
    /// It was given up.
    Cancelled,
}

/// What the customer said when told of the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::backorder::Answer")]
pub enum BackorderAnswer {
    /// No answer yet.
    None,
    /// Keep the place.
    Wait,
    /// Cancel for a full refund.
    Cancel,
}
