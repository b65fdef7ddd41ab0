//! Orders as clients see them: what they are, how they are found, what is done to them, and how
//! they are followed.

use async_graphql::{ComplexObject, Context, ID, Json, Object, SimpleObject};
use chrono::{DateTime, Utc};
use entity::{
    backorder, dispute, event_log, hold, note, order, order_exception, order_line, payment,
    payment_transaction, reservation,
};

use super::errors::fault;
use super::fulfillment::{FulfillmentOrder, Shipment};
use super::ids::to_global;
use super::invoices::Invoice;
use super::loaders::{
    BackordersOf, DisputesOf, ExceptionsOf, HoldsOf, InvoicesOf, LinesOf, MessagesOf, NotesOf,
    PaymentsOf, RefundsOf, ReservationsOf, ReturnsOf, ShipmentsOf, SplitOffsOf, TagsOf, TimelineOf,
    TransactionsOf, WorkOf, load, load_all,
};
use super::messages::Message;
use super::principal;
use super::returns::{Refund, Return};
use super::scalars::{CurrencyCode, Decimal, Money, money};
use super::shelf::archived_at;
use crate::access::Scope;
use crate::capture::correct::is_about_billing;
use crate::exceptions::rules::context::is_history;
use crate::failure::Code;
use crate::orders::lifecycle::Action;
use crate::orders::remedies::{Grounds, remedies};

pub mod archive;
pub mod bulk;
pub mod edit;
pub mod enums;
pub mod mutations;
pub mod queries;
pub mod search;
pub mod queue;
pub mod stats;
pub mod updates;
pub mod views;

use enums::*;

pub use archive::ArchiveQuery;
pub use bulk::{BulkMutation, BulkOperation, BulkQuery, BulkSubscription};
pub use edit::{OrderEditMutation, OrderEditQuery};
pub use mutations::OrderMutation;
pub use queries::OrderQuery;
pub use queue::{QueueMutation, QueueQuery};
pub use updates::OrderSubscription;
pub use views::{SavedViewMutation, SavedViewQuery};

/// The order that something is of, if the caller sees it.
pub async fn order_of(
    ctx: &Context<'_>,
    id: entity::OrderId,
) -> async_graphql::Result<Option<order::Model>> {
    let caller = principal(ctx)?;
    let row = load(ctx, id).await?;
    Ok(row.filter(|order| caller.sees(order.channel_id)))
}

/// An order.
pub struct Order(pub order::Model);

impl From<order::Model> for Order {
    fn from(row: order::Model) -> Self {
        Order(row)
    }
}

/// An order: who bought what, where it stands on every axis, and what may be done with it.
#[Object]
impl Order {
    /// Its identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// What people call it; unique.
    async fn number(&self) -> &str {
        &self.0.number
    }

    /// The channel that it came from.
    async fn channel_id(&self) -> ID {
        to_global(self.0.channel_id)
    }

    /// Its name at the channel; unique there.
    async fn external_reference(&self) -> Option<&str> {
        self.0.external_reference.as_deref()
    }

    /// How it came in.
    async fn source(&self) -> OrderSource {
        self.0.source.into()
    }

    /// The order's own decision.
    async fn status(&self) -> OrderStatus {
        self.0.status.into()
    }

    /// What its payment's amounts say.
    async fn payment_status(&self) -> PaymentStatus {
        self.0.payment_status.into()
    }

    /// What its shipments say.
    async fn fulfillment_status(&self) -> FulfillmentStatus {
        self.0.fulfillment_status.into()
    }

    /// What its returns say.
    async fn return_status(&self) -> ReturnStatus {
        self.0.return_status.into()
    }

    /// Where it stands on the live board.
    async fn stage(&self) -> OrderStage {
        self.0.stage.into()
    }

    /// Since when it stands there.
    async fn stage_since(&self) -> DateTime<Utc> {
        self.0.stage_since
    }

    /// Until when it should be dispatched, as promised when it was released to staging; null before.
    async fn dispatch_by(&self) -> Option<DateTime<Utc>> {
        self.0.dispatch_by
    }

    /// How it is paid.
    async fn payment_method(&self) -> PaymentMethod {
        self.0.payment_method.into()
    }

    /// The shipping service that was asked for: `STANDARD`, `EXPRESS` …
    async fn service_level(&self) -> &str {
        &self.0.service_level
    }

    /// Its customer's identifier; null for a guest, or without the scope CUSTOMERS_READ.
    async fn customer_id(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<ID>> {
        Ok(if principal(ctx)?.may(Scope::CustomersRead) {
            self.0.customer_id.map(to_global)
        } else {
            None
        })
    }

    /// Its customer; null for a guest, or without the scope CUSTOMERS_READ.
    async fn customer(
        &self,
        ctx: &Context<'_>,
    ) -> async_graphql::Result<Option<super::customers::Customer>> {
        let Some(id) = self.0.customer_id else {
            return Ok(None);
        };
        if !principal(ctx)?.may(Scope::CustomersRead) {
            return Ok(None);
        }
        Ok(load(ctx, id).await?.map(super::customers::Customer))
    }

    /// Who ordered; null without the scope PERSONAL_DATA_READ.
    async fn customer_name(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<&str>> {
        Ok(personal(ctx)?.then_some(self.0.customer_name.as_str()))
    }

    /// Where its notices go; null without the scope PERSONAL_DATA_READ.
    async fn email(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<&str>> {
        Ok(self
            .0
            .email
            .as_deref()
            .filter(|_| personal(ctx).unwrap_or(false)))
    }

    /// The customer's telephone number, E.164; null without the scope PERSONAL_DATA_READ.
    async fn phone(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<&str>> {
        Ok(self
            .0
            .phone
            .as_deref()
            .filter(|_| personal(ctx).unwrap_or(false)))
    }

    /// Where it goes, with the verdict of its verification; null without the scope
    /// PERSONAL_DATA_READ.
    async fn shipping_address(
        &self,
        ctx: &Context<'_>,
    ) -> async_graphql::Result<Option<super::customers::Address>> {
        address(ctx, Some(self.0.shipping_address_id)).await
    }

    /// Where the bill goes; null where it goes to the shipping address, or without the scope
    /// PERSONAL_DATA_READ.
    async fn billing_address(
        &self,
        ctx: &Context<'_>,
    ) -> async_graphql::Result<Option<super::customers::Address>> {
        address(ctx, self.0.billing_address_id).await
    }

    /// What the warehouses have of it, and had; null without the scope FULFILLMENT_READ.
    async fn fulfillment_orders(
        &self,
        ctx: &Context<'_>,
    ) -> async_graphql::Result<Option<Vec<FulfillmentOrder>>> {
        if !principal(ctx)?.may(Scope::FulfillmentRead) {
            return Ok(None);
        }
        let rows = load(ctx, WorkOf(self.0.id)).await?.unwrap_or_default();
        Ok(Some(rows.into_iter().map(FulfillmentOrder).collect()))
    }

    /// Its shipments, cancelled ones included; null without the scope FULFILLMENT_READ.
    async fn shipments(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Vec<Shipment>>> {
        if !principal(ctx)?.may(Scope::FulfillmentRead) {
            return Ok(None);
        }
        let rows = load(ctx, ShipmentsOf(self.0.id)).await?.unwrap_or_default();
        Ok(Some(rows.into_iter().map(Shipment).collect()))
    }

    /// The currency of every amount of it.
    async fn currency(&self) -> CurrencyCode {
        CurrencyCode(self.0.currency)
    }

    /// Whether its prices contain the tax.
    async fn tax_included(&self) -> bool {
        self.0.tax_included
    }

    /// Sum of the lines before discounts.
    async fn subtotal(&self) -> Money {
        self.money(self.0.subtotal_minor)
    }

    /// Discounts on the lines.
    async fn discount(&self) -> Money {
        self.money(self.0.discount_minor)
    }

    /// Shipping charge before its discount.
    async fn shipping_charge(&self) -> Money {
        self.money(self.0.shipping_minor)
    }

    /// Discount on shipping.
    async fn shipping_discount(&self) -> Money {
        self.money(self.0.shipping_discount_minor)
    }

    /// All tax, that on shipping included. Contained in the prices where `taxIncluded`.
    async fn tax(&self) -> Money {
        self.money(self.0.tax_minor)
    }

    /// Tax taken out of tax-inclusive prices because the customer is exempt.
    async fn tax_exempted(&self) -> Money {
        self.money(self.0.exempted_minor)
    }

    /// What is due in all: subtotal − discount + shippingCharge − shippingDiscount − taxExempted,
    /// plus tax where it is not included.
    async fn total(&self) -> Money {
        self.money(self.0.total_minor)
    }

    /// What the channel said the total is.
    async fn submitted_total(&self) -> Option<Money> {
        self.0.submitted_total_minor.map(|minor| self.money(minor))
    }

    /// The promotion codes that were given, each with its verdict, and the automatic promotions
    /// that applied: `[{code, promotion_id, outcome}]`, amounts in minor units.
    async fn promotion_verdicts(&self) -> Json<serde_json::Value> {
        Json(self.0.promotion_codes.clone())
    }

    /// Key-values that everyone who sees the order sees.
    async fn metadata(&self) -> Json<serde_json::Value> {
        Json(self.0.metadata.clone())
    }

    /// Key-values for staff; null without the scope ORDERS_MANAGE.
    async fn private_metadata(
        &self,
        ctx: &Context<'_>,
    ) -> async_graphql::Result<Option<Json<serde_json::Value>>> {
        Ok(principal(ctx)?
            .may(Scope::OrdersManage)
            .then(|| Json(self.0.private_metadata.clone())))
    }

    /// Why it was called off.
    async fn cancel_reason(&self) -> Option<&str> {
        self.0.cancel_reason.as_deref()
    }

    /// When the customer ordered.
    async fn placed_at(&self) -> DateTime<Utc> {
        self.0.placed_at
    }

    /// When it came in.
    async fn received_at(&self) -> DateTime<Utc> {
        self.0.received_at
    }

    /// When it was released to staging.
    async fn confirmed_at(&self) -> Option<DateTime<Utc>> {
        self.0.confirmed_at
    }

    /// When it was put away: it was over for as long as its channel says. It is read as any other
    /// order, and found by `order`, `node` and `archivedOrders`; to be changed it is opened again
    /// by `orderReopen`. Null if it was not.
    async fn archived_at(&self, ctx: &Context<'_>) -> Option<DateTime<Utc>> {
        archived_at(ctx, self.0.id)
    }

    /// When it was completed, cancelled, rejected or expired.
    async fn closed_at(&self) -> Option<DateTime<Utc>> {
        self.0.closed_at
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }

    /// +1 with every change; give it as `expectedVersion` to act on what you saw.
    async fn version(&self) -> i64 {
        self.0.version
    }

    /// The order that it was split off; null if it came in by itself.
    async fn split_from(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Order>> {
        let Some(id) = self.0.split_from_order_id else {
            return Ok(None);
        };
        Ok(load(ctx, id).await?.map(Order))
    }

    /// The orders that were split off it, oldest first.
    async fn split_offs(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<Order>> {
        let ids = load(ctx, SplitOffsOf(self.0.id)).await?.unwrap_or_default();
        Ok(load_all(ctx, ids).await?.into_iter().map(Order).collect())
    }

    /// Its lines, in their order.
    async fn lines(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<OrderLine>> {
        let rows = load(ctx, LinesOf(self.0.id)).await?.unwrap_or_default();
        Ok(rows
            .into_iter()
            .map(|row| OrderLine::new(row, self.0.currency))
            .collect())
    }

    /// Its payment; null before there is one, or without the scope PAYMENTS_READ.
    async fn payment(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Payment>> {
        if !principal(ctx)?.may(Scope::PaymentsRead) {
            return Ok(None);
        }
        let rows = load(ctx, PaymentsOf(self.0.id)).await?.unwrap_or_default();
        Ok(rows.into_iter().next().map(Payment))
    }

    /// What stops it: the holds that people placed, lifted ones included, oldest first.
    async fn holds(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<Hold>> {
        let rows = load(ctx, HoldsOf(self.0.id)).await?.unwrap_or_default();
        Ok(rows.into_iter().map(Hold::from).collect())
    }

    /// What is or was wrong with it, oldest first.
    async fn exceptions(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<OrderException>> {
        let rows = load(ctx, ExceptionsOf(self.0.id))
            .await?
            .unwrap_or_default();
        Ok(rows.into_iter().map(OrderException::from).collect())
    }

    /// The stock that is or was held for it.
    async fn reservations(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<Reservation>> {
        let rows = load(ctx, ReservationsOf(self.0.id))
            .await?
            .unwrap_or_default();
        Ok(rows.into_iter().map(Reservation::from).collect())
    }

    /// Its places in the queues for stock.
    async fn backorders(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<Backorder>> {
        let rows = load(ctx, BackordersOf(self.0.id))
            .await?
            .unwrap_or_default();
        Ok(rows.into_iter().map(Backorder::from).collect())
    }

    /// The tags on it, as they were first written, in the order of the alphabet.
    async fn tags(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<String>> {
        let rows = load(ctx, TagsOf(self.0.id)).await?.unwrap_or_default();
        Ok(rows.into_iter().map(|row| row.tag).collect())
    }

    /// The notes that people wrote on it; null without the scope ORDERS_MANAGE.
    async fn notes(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Vec<Note>>> {
        if !principal(ctx)?.may(Scope::OrdersManage) {
            return Ok(None);
        }
        let rows = load(ctx, NotesOf(self.0.id)).await?.unwrap_or_default();
        Ok(Some(rows.into_iter().map(Note::from).collect()))
    }

    /// Its invoices and credit notes, oldest first; null without the scope FINANCE_READ.
    async fn invoices(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Vec<Invoice>>> {
        if !principal(ctx)?.may(Scope::FinanceRead) {
            return Ok(None);
        }
        let rows = load(ctx, InvoicesOf(self.0.id)).await?.unwrap_or_default();
        Ok(Some(rows.into_iter().map(Invoice::from).collect()))
    }

    /// What comes or came back of it, oldest first.
    async fn returns(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<Return>> {
        let rows = load(ctx, ReturnsOf(self.0.id)).await?.unwrap_or_default();
        Ok(rows.into_iter().map(Return).collect())
    }

    /// What was decided to be given back of its money, oldest first; null without the scope
    /// PAYMENTS_READ.
    async fn refunds(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Vec<Refund>>> {
        if !principal(ctx)?.may(Scope::PaymentsRead) {
            return Ok(None);
        }
        let rows = load(ctx, RefundsOf(self.0.id)).await?.unwrap_or_default();
        let rows = rows.into_iter();
        Ok(Some(
            rows.map(|row| Refund::new(row, self.0.currency)).collect(),
        ))
    }

    /// The messages about it that people are owed or were sent, oldest first.
    async fn messages(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<Message>> {
        let rows = load(ctx, MessagesOf(self.0.id)).await?.unwrap_or_default();
        Ok(rows.into_iter().map(Message::from).collect())
    }

    /// Everything that happened to it, oldest first: who, when, what. An event appears here a few
    /// milliseconds after its mutation was answered.
    async fn timeline(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<TimelineEntry>> {
        let rows = load(ctx, TimelineOf(self.0.id)).await?.unwrap_or_default();
        Ok(rows.into_iter().map(TimelineEntry::from).collect())
    }

    /// What may come next, from the lifecycle's own table. Of an order that was put away nothing is
    /// open, for the reason ORDER_ARCHIVED.
    async fn available_actions(
        &self,
        ctx: &Context<'_>,
    ) -> async_graphql::Result<Vec<AvailableAction>> {
        if archived_at(ctx, self.0.id).is_some() {
            let closed = |action: Action| AvailableAction {
                action: action.into(),
                enabled: false,
                disabled_reason: Some(Code::OrderArchived.as_str()),
            };
            let open_to_people = crate::orders::actions_of_people();
            return Ok(open_to_people.map(closed).collect());
        }
        let holds = load(ctx, HoldsOf(self.0.id)).await?.unwrap_or_default();
        let exceptions = load(ctx, ExceptionsOf(self.0.id))
            .await?
            .unwrap_or_default();
        let payments = load(ctx, PaymentsOf(self.0.id)).await?.unwrap_or_default();
        let transactions = load(ctx, TransactionsOf(self.0.id))
            .await?
            .unwrap_or_default();
        let reference = super::app(ctx).reference().await.map_err(fault)?;
        let around = crate::orders::Around {
            holds: &holds,
            exceptions: &exceptions,
            payment: payments.first(),
            transactions: &transactions,
            authorization_required: reference.authorization_required(self.0.channel_id),
        };
        Ok(crate::orders::available_actions(&self.0, &around)
            .into_iter()
            .map(|(action, disabled_reason)| AvailableAction {
                action: action.into(),
                enabled: disabled_reason.is_none(),
                disabled_reason,
            })
            .collect())
    }
}

impl Order {
    fn money(&self, minor: i64) -> Money {
        money(minor, self.0.currency)
    }
}

fn personal(ctx: &Context<'_>) -> async_graphql::Result<bool> {
    Ok(principal(ctx)?.may(Scope::PersonalDataRead))
}

async fn address(
    ctx: &Context<'_>,
    id: Option<entity::AddressId>,
) -> async_graphql::Result<Option<super::customers::Address>> {
    let Some(id) = id.filter(|_| personal(ctx).unwrap_or(false)) else {
        return Ok(None);
    };
    Ok(load(ctx, id).await?.map(super::customers::Address))
}

/// A line of an order.
pub struct OrderLine {
    row: order_line::Model,
    currency: entity::Currency,
}

impl OrderLine {
    /// From its row, in its order's currency.
    pub fn new(row: order_line::Model, currency: entity::Currency) -> Self {
        OrderLine { row, currency }
    }
}

/// A line of an order: some units of a SKU, with their price and where they stand.
#[Object]
impl OrderLine {
    /// Its identifier.
    pub async fn id(&self) -> ID {
        to_global(self.row.id)
    }

    /// Its place on the order, from 0.
    async fn position(&self) -> i32 {
        self.row.position
    }

    /// The variant that was ordered; null if the SKU is not known.
    async fn variant_id(&self) -> Option<ID> {
        self.row.variant_id.map(to_global)
    }

    /// Our SKU, or the submitted one if it is not known.
    async fn sku(&self) -> &str {
        &self.row.sku
    }

    /// Our title when it was ordered, or the submitted one.
    async fn title(&self) -> &str {
        &self.row.title
    }

    /// The channel's title.
    async fn submitted_title(&self) -> Option<&str> {
        self.row.submitted_title.as_deref()
    }

    /// How many units were ordered.
    async fn quantity(&self) -> i64 {
        self.row.quantity
    }

    /// Units held softly: the hold expires unless the order is confirmed.
    async fn reserved(&self) -> i64 {
        self.row.reserved
    }

    /// Units held for good.
    async fn allocated(&self) -> i64 {
        self.row.allocated
    }

    /// Units that wait for stock.
    async fn backordered(&self) -> i64 {
        self.row.backordered
    }

    /// Units that were scanned at their bin, those that have left included.
    async fn picked(&self) -> i64 {
        self.row.picked
    }

    /// Units that were scanned again into a package, those that have left included.
    async fn packed(&self) -> i64 {
        self.row.packed
    }

    /// Units that have left.
    async fn shipped(&self) -> i64 {
        self.row.shipped
    }

    /// Units called off.
    async fn cancelled(&self) -> i64 {
        self.row.cancelled
    }

    /// Units that came back.
    async fn returned(&self) -> i64 {
        self.row.returned
    }

    /// What a unit is charged at: the submitted price if there is one, else ours.
    async fn unit_price(&self) -> Money {
        money(self.row.unit_price_minor, self.currency)
    }

    /// What our price list said when it was ordered.
    async fn list_price(&self) -> Option<Money> {
        self.row
            .list_price_minor
            .map(|minor| money(minor, self.currency))
    }

    /// How it is taxed.
    async fn tax_category(&self) -> &str {
        &self.row.tax_category
    }

    /// The tax rate: `0.19` is 19 %.
    async fn tax_rate(&self) -> Decimal {
        Decimal(self.row.tax_rate.0)
    }

    /// Unit price × quantity.
    async fn subtotal(&self) -> Money {
        money(self.row.subtotal_minor, self.currency)
    }

    /// Discounts on it.
    async fn discount(&self) -> Money {
        money(self.row.discount_minor, self.currency)
    }

    /// Where the discounts come from: `[{promotionId, amount}]`, amounts in minor units; no
    /// promotion means that the channel and its customer agreed on it.
    async fn discounts(&self) -> Json<serde_json::Value> {
        Json(self.row.discounts.clone())
    }

    /// After discounts, without tax.
    async fn net(&self) -> Money {
        money(self.row.net_minor, self.currency)
    }

    /// The tax.
    async fn tax(&self) -> Money {
        money(self.row.tax_minor, self.currency)
    }

    /// After discounts, with tax.
    async fn gross(&self) -> Money {
        money(self.row.gross_minor, self.currency)
    }
}

/// The payment of an order.
pub struct Payment(pub payment::Model);

impl From<payment::Model> for Payment {
    fn from(row: payment::Model) -> Self {
        Payment(row)
    }
}

/// What an order's money has come to.
#[Object]
impl Payment {
    /// Its identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// Who moves the money: `sandbox`, `account`, `external`.
    async fn gateway(&self) -> &str {
        &self.0.gateway
    }

    /// What may be captured.
    async fn authorized(&self) -> Money {
        money(self.0.authorized_minor, self.0.currency)
    }

    /// What was captured.
    async fn captured(&self) -> Money {
        money(self.0.captured_minor, self.0.currency)
    }

    /// What was refunded.
    async fn refunded(&self) -> Money {
        money(self.0.refunded_minor, self.0.currency)
    }

    /// Whether the authorisation was given back.
    async fn voided(&self) -> bool {
        self.0.voided
    }

    /// When the authorisation runs out.
    async fn authorization_expires_at(&self) -> Option<DateTime<Utc>> {
        self.0.authorization_expires_at
    }

    /// What was asked of the gateway, oldest first.
    async fn transactions(
        &self,
        ctx: &Context<'_>,
    ) -> async_graphql::Result<Vec<PaymentTransaction>> {
        let rows = load(ctx, TransactionsOf(self.0.order_id))
            .await?
            .unwrap_or_default();
        Ok(rows
            .into_iter()
            .map(|row| PaymentTransaction::new(row, self.0.currency))
            .collect())
    }

    /// What customers have taken back of it through their banks, oldest first.
    async fn disputes(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<Dispute>> {
        let rows = load(ctx, DisputesOf(self.0.order_id)).await?;
        Ok(rows
            .unwrap_or_default()
            .into_iter()
            .map(Dispute::from)
            .collect())
    }
}

/// Captured money that a customer takes back through a bank.
#[derive(SimpleObject)]
pub struct Dispute {
    /// Its identifier.
    id: ID,
    /// The capture.
    transaction_id: ID,
    /// The gateway's name for it.
    reference: String,
    /// How much.
    amount: Money,
    /// The gateway's reason.
    reason: String,
    /// How it stands.
    state: DisputeState,
    /// When we heard of it.
    opened_at: DateTime<Utc>,
    /// When we heard how it ended.
    closed_at: Option<DateTime<Utc>>,
}

impl From<dispute::Model> for Dispute {
    fn from(row: dispute::Model) -> Self {
        Dispute {
            id: to_global(row.id),
            transaction_id: to_global(row.transaction_id),
            amount: money(row.amount_minor, row.currency),
            reference: row.reference,
            reason: row.reason,
            state: row.state.into(),
            opened_at: row.opened_at,
            closed_at: row.closed_at,
        }
    }
}

/// One effect at a payment gateway.
#[derive(SimpleObject)]
pub struct PaymentTransaction {
    /// Its identifier; the idempotency key at the gateway.
    #[graphql(owned)]
    pub id: ID,
    /// What was asked.
    kind: PaymentTransactionKind,
    /// What is known of the answer.
    state: PaymentTransactionState,
    /// How much.
    amount: Money,
    /// How often the gateway was called.
    attempts: i32,
    /// Why it was refused.
    decline_code: Option<String>,
    /// The gateway's name for it.
    gateway_reference: Option<String>,
    /// When it was intended.
    created_at: DateTime<Utc>,
    /// When it last changed.
    updated_at: DateTime<Utc>,
}

impl PaymentTransaction {
    /// From its row, in its payment's currency.
    pub fn new(row: payment_transaction::Model, currency: entity::Currency) -> Self {
        PaymentTransaction {
            id: to_global(row.id),
            kind: row.kind.into(),
            state: row.state.into(),
            amount: money(row.amount_minor, currency),
            attempts: row.attempts,
            decline_code: row.decline_code,
            gateway_reference: row.gateway_reference,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// A hold: it stops its order until somebody lifts it.
#[derive(SimpleObject)]
pub struct Hold {
    /// Its identifier.
    #[graphql(owned)]
    pub id: ID,
    /// Why.
    reason: String,
    /// Who placed it: `key:…`, `worker:…`, `cli:…`.
    placed_by: String,
    /// When.
    placed_at: DateTime<Utc>,
    /// Who lifted it.
    released_by: Option<String>,
    /// When; null while it stands.
    released_at: Option<DateTime<Utc>>,
}

impl From<hold::Model> for Hold {
    fn from(row: hold::Model) -> Self {
        Hold {
            id: to_global(row.id),
            reason: row.reason,
            placed_by: row.placed_by,
            placed_at: row.placed_at,
            released_by: row.released_by,
            released_at: row.released_at,
        }
    }
}

/// Something that is wrong with an order and waits for a person. A blocking one stops its order,
/// and only its order.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct OrderException {
    /// Its identifier.
    #[graphql(owned)]
    pub id: ID,
    /// The line that it is about.
    line_id: Option<ID>,
    /// What is wrong: an ErrorCode, such as `PRICE_MISMATCH`.
    code: String,
    /// How bad it is.
    severity: ExceptionSeverity,
    /// Whether it stops the order.
    blocking: bool,
    /// Where it stands.
    status: ExceptionStatus,
    /// The team whose it is.
    queue: String,
    /// Who has taken it.
    owner: Option<String>,
    /// What is wrong, in a sentence.
    summary: String,
    /// The rule that made it, which may be gone since; null if a check did.
    rule_id: Option<ID>,
    /// The rule's version when it did.
    rule_version: Option<i64>,
    /// When it was found.
    opened_at: DateTime<Utc>,
    /// When it should be settled.
    due_at: DateTime<Utc>,
    /// Since when its owner has it.
    assigned_at: Option<DateTime<Utc>>,
    /// Until when it is out of sight; null if it is in sight.
    snoozed_until: Option<DateTime<Utc>>,
    /// When it was settled.
    resolved_at: Option<DateTime<Utc>>,
    /// Who settled it.
    resolved_by: Option<String>,
    /// How.
    resolution: Option<String>,
    /// How many seconds it took from when it was found until it was settled; null until it is.
    time_to_resolve_secs: Option<i64>,
    /// The settled exception that it opens again.
    reopens_id: Option<ID>,
    #[graphql(skip)]
    row: order_exception::Model,
}

#[ComplexObject]
impl OrderException {
    /// The facts. A check's: both values, what is available; amounts in minor units. A rule's:
    /// its code, name, version and expression, and under `facts` the values that it saw, numbers
    /// as decimal text in major units, personal data left out; empty without the scope RULES_READ.
    async fn details(&self, ctx: &Context<'_>) -> async_graphql::Result<Json<serde_json::Value>> {
        let caller = principal(ctx)?;
        if self.rule_id.is_none() {
            return Ok(Json(self.row.details.clone()));
        }
        if !caller.may(Scope::RulesRead) {
            return Ok(Json(serde_json::json!({})));
        }
        let mut details = self.row.details.clone();
        if caller.channels.is_some()
            && let Some(facts) = details["facts"].as_object_mut()
        {
            // They count orders of other channels too.
            facts.retain(|name, _| !is_history(name));
        }
        Ok(Json(details))
    }

    /// The order that it is on.
    async fn order(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Order>> {
        let row = load(ctx, self.row.order_id).await?;
        Ok(row.map(Order))
    }

    /// How many seconds it has waited, or did until it was settled.
    async fn age_secs(&self, ctx: &Context<'_>) -> i64 {
        let until = self
            .resolved_at
            .unwrap_or_else(|| super::app(ctx).clock.now());
        std::cmp::max(0, (until - self.opened_at).num_seconds())
    }

    /// Whether it should have been settled by now and is not.
    async fn overdue(&self, ctx: &Context<'_>) -> bool {
        self.resolved_at.is_none() && self.due_at < super::app(ctx).clock.now()
    }

    /// What may be done about it, the best first: whether each is open now, and if not, why.
    async fn suggested_actions(
        &self,
        ctx: &Context<'_>,
    ) -> async_graphql::Result<Vec<queue::SuggestedAction>> {
        let id = self.row.order_id;
        let Some(order) = load(ctx, id).await? else {
            return Ok(Vec::new());
        };
        let lines = load(ctx, LinesOf(id)).await?.unwrap_or_default();
        let exceptions = load(ctx, ExceptionsOf(id)).await?.unwrap_or_default();
        let payments = load(ctx, PaymentsOf(id)).await?.unwrap_or_default();
        let transactions = load(ctx, TransactionsOf(id)).await?.unwrap_or_default();
        let about = match order.billing_address_id {
            Some(billing) if is_about_billing(&self.row) => billing,
            _ => order.shipping_address_id,
        };
        let address = load(ctx, about).await?;
        let reference = super::app(ctx).reference().await.map_err(fault)?;
        let grounds = Grounds {
            around: crate::orders::Around {
                holds: &[],
                exceptions: &exceptions,
                payment: payments.first(),
                transactions: &transactions,
                authorization_required: reference.authorization_required(order.channel_id),
            },
            lines: &lines,
            address_is_suggested: address.is_some_and(|address| address.suggestion.is_some()),
        };
        Ok(remedies(&self.row, &order, &grounds)
            .into_iter()
            .map(|(remedy, disabled_reason)| queue::SuggestedAction {
                action: remedy.into(),
                enabled: disabled_reason.is_none(),
                disabled_reason,
            })
            .collect())
    }
}

impl From<order_exception::Model> for OrderException {
    fn from(row: order_exception::Model) -> Self {
        OrderException {
            row: row.clone(),
            id: to_global(row.id),
            line_id: row.line_id.map(to_global),
            code: row.code,
            severity: row.severity.into(),
            blocking: row.blocking,
            status: row.status.into(),
            queue: row.queue,
            owner: row.owner,
            summary: row.summary,
            rule_id: row.rule_id.map(to_global),
            rule_version: row.rule_version,
            opened_at: row.opened_at,
            due_at: row.due_at,
            assigned_at: row.assigned_at,
            snoozed_until: row.snoozed_until,
            resolved_at: row.resolved_at,
            resolved_by: row.resolved_by,
            resolution: row.resolution,
            time_to_resolve_secs: row.settled_secs,
            reopens_id: row.reopens_id.map(to_global),
        }
    }
}

/// Units of a variant in a warehouse that are held for a line.
#[derive(SimpleObject)]
pub struct Reservation {
    /// Its identifier.
    #[graphql(owned)]
    pub id: ID,
    /// The line that it is for.
    line_id: ID,
    /// What is held.
    variant_id: ID,
    /// Where.
    warehouse_id: ID,
    /// How many units.
    quantity: i64,
    /// Where it stands.
    status: ReservationStatus,
    /// When a soft hold runs out.
    expires_at: Option<DateTime<Utc>>,
}

impl From<reservation::Model> for Reservation {
    fn from(row: reservation::Model) -> Self {
        Reservation {
            id: to_global(row.id),
            line_id: to_global(row.line_id),
            variant_id: to_global(row.variant_id),
            warehouse_id: to_global(row.warehouse_id),
            quantity: row.quantity,
            status: row.status.into(),
            expires_at: row.expires_at,
        }
    }
}

/// A line's place in the queue for a variant. Oldest first; nobody overtakes.
#[derive(SimpleObject)]
pub struct Backorder {
    /// Its identifier.
    #[graphql(owned)]
    pub id: ID,
    /// The line that waits.
    line_id: ID,
    /// What it waits for.
    variant_id: ID,
    /// Its place: among those whom the same warehouse serves, lower is served first. Units in a
    /// warehouse that does not serve the order's channel are no concern of it.
    position: i64,
    /// How many units it waits for.
    quantity: i64,
    /// Where it stands.
    status: BackorderStatus,
    /// What the customer said.
    answer: BackorderAnswer,
    /// When stock is expected in a warehouse that serves the order's channel; null = honestly
    /// unknown.
    expected_at: Option<DateTime<Utc>>,
    /// Since when it waits.
    created_at: DateTime<Utc>,
}

impl From<backorder::Model> for Backorder {
    fn from(row: backorder::Model) -> Self {
        Backorder {
            id: to_global(row.id),
            line_id: to_global(row.line_id),
            variant_id: to_global(row.variant_id),
            position: row.position,
            quantity: row.quantity,
            status: row.status.into(),
            answer: row.answer.into(),
            expected_at: row.expected_at,
            created_at: row.created_at,
        }
    }
}

/// A note that a person wrote.
#[derive(SimpleObject)]
pub struct Note {
    /// Its identifier.
    #[graphql(owned)]
    pub id: ID,
    /// What it says.
    body: String,
    /// Who wrote it.
    author: String,
    /// When.
    created_at: DateTime<Utc>,
}

impl From<note::Model> for Note {
    fn from(row: note::Model) -> Self {
        Note {
            id: to_global(row.id),
            body: row.body,
            author: row.author,
            created_at: row.created_at,
        }
    }
}

/// One thing that happened to an order.
#[derive(SimpleObject)]
pub struct TimelineEntry {
    /// The event's identifier, the same wherever it is delivered.
    id: ID,
    /// Its position in the log.
    seq: i64,
    /// What happened: `order.received`, `order.confirmed` …
    event: String,
    /// The order's version after it; the document's, if it happened to a document of the order.
    version: i64,
    /// Who did it: `key:…`, `worker:…`, `cli:…`.
    actor: String,
    /// The request or tick that it came from.
    correlation_id: String,
    /// The changed facts.
    details: Json<serde_json::Value>,
    /// When.
    occurred_at: DateTime<Utc>,
}

impl From<event_log::Model> for TimelineEntry {
    fn from(row: event_log::Model) -> Self {
        TimelineEntry {
            id: to_global(row.id),
            seq: row.seq,
            event: row.event_type,
            version: row.aggregate_version,
            actor: row.actor,
            correlation_id: row.correlation_id,
            details: Json(row.payload),
            occurred_at: row.occurred_at,
        }
    }
}

/// What can be done to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, async_graphql::Enum)]
#[graphql(remote = "Action")]
pub enum OrderAction {
    /// Released to staging by the system when every gate is green.
    Confirm,
    /// `orderCancel`.
    Cancel,
    /// `orderReject`.
    Reject,
    /// Ended by the system when its hold ran out unpaid.
    Expire,
    /// `orderHold`.
    Hold,
    /// `orderReleaseHold`.
    ReleaseHold,
    /// `exceptionResolve` and `exceptionDismiss`.
    ResolveException,
    /// `exceptionReopen`.
    ReopenException,
    /// `orderRetryPayment`.
    RetryPayment,
    /// `orderEditCommit`.
    Edit,
    /// `orderRetryVoid`.
    RetryVoid,
    /// `paymentCapture`.
    RetryCapture,
    /// `paymentReauthorize`.
    Reauthorize,
    /// `returnRequest`.
    Return,
    /// `orderRefund`.
    Refund,
    /// `orderRetryRefund`.
    RetryRefund,
    /// `orderAddNote`.
    AddNote,
    /// `orderAddTags` and `orderRemoveTags`.
    Tag,
    /// Ended by the system when everything is delivered and settled.
    Complete,
}

/// Whether an action is open in the present state.
#[derive(SimpleObject)]
pub struct AvailableAction {
    /// The action.
    action: OrderAction,
    /// Whether it is open now.
    enabled: bool,
    /// Why not.
    disabled_reason: Option<String>,
}
