//! What can be done to orders: one field a business verb, each with one input and a payload of
//! the node and its refusals.

use std::sync::{Arc, Mutex};

use async_graphql::{Context, Enum, ID, InputObject, Json, Object, SimpleObject};
use chrono::{DateTime, Utc};
use entity::order::Source;
use entity::{HoldId, OrderId, order};
use sea_orm::EntityTrait;
use serde::Serialize;

use super::Order;
use super::enums::PaymentMethod;
use crate::access::Scope;
use crate::capture::Submission;
use crate::capture::submission::{
    SubmittedAddress, SubmittedCustomer, SubmittedLine, SubmittedPayment,
};
use crate::failure::{Code, Failure, Problem};
use crate::graphql::errors::{UserError, fault, outcome};
use crate::graphql::ids::{from_global, to_global};
use crate::graphql::loaders::load;
use crate::graphql::once::{mark_replayed, once};
use crate::graphql::scalars::{Decimal, minor};
use crate::graphql::shelf::{changeable, shelf};
use crate::graphql::{Allowed, actor, app, principal};
use crate::http::IdempotencyKey;
use crate::orders::{self, Changed};
use crate::tx::Tx;

/// The most orders that one bulk request has.
const MOST_ORDERS: usize = 100;

/// An order to take.
#[derive(Clone, Debug, InputObject)]
pub struct OrderSubmitInput {
    /// The channel's code.
    pub channel: String,
    /// The order's name at the channel; unique there. Submitting it again with the same contents
    /// gives the same order; with others, EXTERNAL_REFERENCE_TAKEN.
    pub external_reference: Option<String>,
    /// When the customer ordered; now if not given. Prices and tax are those of that moment.
    pub placed_at: Option<DateTime<Utc>>,
    /// ISO 4217; must be the channel's, which it is if not given.
    pub currency: Option<String>,
    /// Who orders.
    pub customer: CustomerInput,
    /// Where it goes.
    pub shipping_address: AddressInput,
    /// Where the bill goes; where the order goes if not given.
    pub billing_address: Option<AddressInput>,
    /// What is ordered: 1 to 5,000 lines.
    pub lines: Vec<OrderLineInput>,
    /// The promotion codes that the customer typed, in any case.
    #[graphql(default)]
    pub promotion_codes: Vec<String>,
    /// The shipping service, at most 200 characters; `STANDARD` if not given.
    pub service_level: Option<String>,
    /// What the channel charged for shipping, in the order's currency. It is what the order is
    /// charged; a difference to our rate is an exception (SHIPPING_MISMATCH), and so is a charge
    /// for which we have no rate (SHIPPING_UNAVAILABLE), unless no rates are kept for the channel
    /// and its currency at all.
    pub shipping_charge: Option<Decimal>,
    /// What the channel says the total is, in the order's currency. A difference to ours is an
    /// exception with both breakdowns.
    pub total: Option<Decimal>,
    /// How it is paid.
    pub payment: PaymentInput,
    /// Key-values to keep with the order, as an object.
    pub metadata: Option<Json<serde_json::Value>>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    pub idempotency_key: Option<String>,
}

/// Who orders: a known customer by code, or a guest by name.
#[derive(Clone, Debug, InputObject)]
pub struct CustomerInput {
    /// The customer's code; a guest if not given.
    pub code: Option<String>,
    /// The name, at most 300 characters; a known customer's own if not given.
    pub name: Option<String>,
    /// Where notices go.
    pub email: Option<String>,
    /// A telephone number, national to the shipping country or international.
    pub phone: Option<String>,
}

/// A postal address.
#[derive(Clone, Debug, InputObject)]
pub struct AddressInput {
    /// Who receives; who orders if not given.
    pub name: Option<String>,
    /// The company.
    pub organisation: Option<String>,
    /// Street and number.
    pub line1: String,
    /// Floor, flat, building.
    pub line2: Option<String>,
    /// The place.
    pub city: String,
    /// State, province or county.
    pub region: Option<String>,
    /// The postal code.
    pub postal_code: Option<String>,
    /// ISO 3166-1 alpha-2, or the country's English name.
    pub country: String,
}

/// Some units of a SKU.
#[derive(Clone, Debug, InputObject)]
pub struct OrderLineInput {
    /// Our SKU, an alias or a barcode; case, blanks and separators do not matter.
    pub sku: String,
    /// How many units: 1 to 1,000,000.
    pub quantity: i64,
    /// What the channel charged for a unit, in the order's currency. It is what the line is
    /// charged; a difference to our price is an exception.
    pub unit_price: Option<Decimal>,
    /// What the channel took off the whole line, in the order's currency.
    pub discount: Option<Decimal>,
    /// The channel's title; a difference to ours is flagged.
    pub title: Option<String>,
}

/// How an order is paid.
#[derive(Clone, Debug, InputObject)]
pub struct PaymentInput {
    /// By card, on account, or outside.
    pub method: PaymentMethod,
    /// The card's token at the gateway; needed for CARD. The sandbox knows `tok_approve`,
    /// `tok_decline`, `tok_insufficient_funds`, `tok_timeout_before`, `tok_timeout_after`,
    /// `tok_late` and `tok_silent`.
    pub token: Option<String>,
}

impl From<AddressInput> for SubmittedAddress {
    fn from(input: AddressInput) -> Self {
        SubmittedAddress {
            name: input.name,
            organisation: input.organisation,
            line1: input.line1,
            line2: input.line2,
            city: input.city,
            region: input.region,
            postal_code: input.postal_code,
            country: input.country,
        }
    }
}

impl From<OrderLineInput> for SubmittedLine {
    fn from(input: OrderLineInput) -> Self {
        SubmittedLine {
            sku: input.sku,
            quantity: input.quantity,
            unit_price: input.unit_price.map(Into::into),
            discount: input.discount.map(Into::into),
            title: input.title,
        }
    }
}

impl From<OrderSubmitInput> for Submission {
    fn from(input: OrderSubmitInput) -> Self {
        Submission {
            channel: input.channel,
            external_reference: input.external_reference,
            placed_at: input.placed_at,
            currency: input.currency,
            customer: SubmittedCustomer {
                code: input.customer.code,
                name: input.customer.name,
                email: input.customer.email,
                phone: input.customer.phone,
            },
            shipping_address: input.shipping_address.into(),
            billing_address: input.billing_address.map(Into::into),
            lines: input.lines.into_iter().map(Into::into).collect(),
            promotion_codes: input.promotion_codes,
            service_level: input.service_level,
            shipping_charge: input.shipping_charge.map(Into::into),
            total: input.total.map(Into::into),
            payment: SubmittedPayment {
                method: input.payment.method.into(),
                token: input.payment.token,
            },
            metadata: input.metadata.map(|Json(metadata)| metadata),
        }
    }
}

/// What a command did to an order.
#[derive(SimpleObject)]
pub struct OrderPayload {
    /// The order as it is now; null if the command was refused.
    pub(super) order: Option<Order>,
    /// Why it was refused; empty if it was not.
    pub(super) user_errors: Vec<UserError>,
    /// Whether this is the answer to an earlier request with the same key or reference.
    pub(super) replayed: bool,
}

/// What a batch should do when some of its orders are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum BulkErrorPolicy {
    /// Take the others.
    RejectFailedRows,
    /// Stop at the first; those before it stay taken.
    StopAtFirstError,
}

/// Orders to take together.
#[derive(InputObject)]
pub struct OrderBulkSubmitInput {
    /// The orders: 1 to 100. Each is taken or refused by itself.
    pub orders: Vec<OrderSubmitInput>,
    /// What to do when some are refused.
    #[graphql(default_with = "BulkErrorPolicy::RejectFailedRows")]
    pub error_policy: BulkErrorPolicy,
}

/// What became of a batch, row by row in the order of the input.
#[derive(SimpleObject)]
pub struct OrderBulkPayload {
    /// What became of each order; those after a stop are missing.
    rows: Vec<OrderPayload>,
    /// How many were taken, replays included.
    accepted: usize,
    /// How many were refused.
    refused: usize,
    /// Why the batch as a whole was refused; empty if it was not.
    user_errors: Vec<UserError>,
}

/// Ends an order.
#[derive(Serialize, InputObject)]
pub struct OrderEndInput {
    /// The order.
    pub id: ID,
    /// Why: 1 to 4,000 characters.
    pub reason: String,
    /// The version that you decided on; STALE_VERSION if it has moved on.
    pub expected_version: Option<i64>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Stops an order.
#[derive(Serialize, InputObject)]
pub struct OrderHoldInput {
    /// The order.
    pub id: ID,
    /// Why: 1 to 4,000 characters.
    pub reason: String,
    /// The version that you decided on; STALE_VERSION if it has moved on.
    pub expected_version: Option<i64>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Gives an amount back.
#[derive(Serialize, InputObject)]
pub struct OrderRefundInput {
    /// The order.
    pub id: ID,
    /// The version of it that you decided on; STALE_VERSION if it has moved on.
    pub expected_version: Option<i64>,
    /// How much, in the order's currency.
    pub amount: Decimal,
    /// Why: 1 to 4,000 characters; it stands on the credit note.
    pub reason: String,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Asks again for what the gateway did not give back.
#[derive(Serialize, InputObject)]
pub struct OrderRetryRefundInput {
    /// The order.
    pub id: ID,
    /// The version of it that you decided on; STALE_VERSION if it has moved on.
    pub expected_version: Option<i64>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Takes an order out of the archive.
#[derive(Serialize, InputObject)]
pub struct OrderReopenInput {
    /// The order, which was put away.
    pub id: ID,
    /// Why: 1 to 4,000 characters.
    pub reason: String,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Lifts a hold.
#[derive(Serialize, InputObject)]
pub struct OrderReleaseHoldInput {
    /// The order.
    pub id: ID,
    /// Which of its holds.
    pub hold_id: ID,
    /// The version that you decided on; STALE_VERSION if it has moved on.
    pub expected_version: Option<i64>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Writes a note.
#[derive(Serialize, InputObject)]
pub struct OrderAddNoteInput {
    /// The order.
    pub id: ID,
    /// What it says: 1 to 4,000 characters.
    pub body: String,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Puts tags on an order, or takes them off.
#[derive(Serialize, InputObject)]
pub struct OrderTagsInput {
    /// The order.
    pub id: ID,
    /// The tags: 1 to 50, each of 1 to 50 characters. Case does not matter.
    pub tags: Vec<String>,
    /// The version that you decided on; STALE_VERSION if it has moved on.
    pub expected_version: Option<i64>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Tries another card.
#[derive(Serialize, InputObject)]
pub struct OrderRetryPaymentInput {
    /// The order.
    pub id: ID,
    /// The card's token at the gateway.
    pub token: String,
    /// The version that you decided on; STALE_VERSION if it has moved on.
    pub expected_version: Option<i64>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Asks again for money that the gateway would not give back.
#[derive(Serialize, InputObject)]
pub struct OrderRetryVoidInput {
    /// The order.
    pub id: ID,
    /// The version that you decided on; STALE_VERSION if it has moved on.
    pub expected_version: Option<i64>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Asks again for what is due for shipments.
#[derive(Serialize, InputObject)]
pub struct PaymentCaptureInput {
    /// The order.
    pub id: ID,
    /// The version that you decided on; STALE_VERSION if it has moved on.
    pub expected_version: Option<i64>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Has what is due set aside afresh.
#[derive(Serialize, InputObject)]
pub struct PaymentReauthorizeInput {
    /// The order.
    pub id: ID,
    /// The card's token at the gateway; not given: the card that was asked last.
    pub token: Option<String>,
    /// The version that you decided on; STALE_VERSION if it has moved on.
    pub expected_version: Option<i64>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Settles an exception.
#[derive(Serialize, InputObject)]
pub struct ExceptionSettleInput {
    /// The exception.
    pub id: ID,
    /// How it was settled, in words: 1 to 4,000 characters.
    pub resolution: String,
    /// The version of its order that you decided on; STALE_VERSION if it has moved on.
    pub expected_version: Option<i64>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Changing orders.
#[derive(Default)]
pub struct OrderMutation;

#[Object]
impl OrderMutation {
    /// Takes an order: checks customer, address, SKUs, prices, promotions, tax and shipping, holds
    /// stock, asks for the money, and releases it to staging if everything is green. What a check
    /// finds stops the order for a person or refuses it, by the channel's policy.
    ///
    /// Errors: ADDRESS_INVALID, AMOUNT_INVALID, CHANNEL_INACTIVE, CHANNEL_NOT_FOUND,
    /// CREDIT_LIMIT_EXCEEDED, CREDIT_NOT_GRANTED, CURRENCY_MISMATCH, CURRENCY_UNKNOWN,
    /// CUSTOMER_NOT_FOUND, EMAIL_INVALID, EXTERNAL_REFERENCE_TAKEN, IDEMPOTENCY_KEY_REUSED,
    /// INSUFFICIENT_STOCK, INVALID_INPUT, LINES_MISSING, NAME_INVALID, PAYMENT_INVALID,
    /// PHONE_INVALID, PRICE_MISMATCH, PRICE_MISSING, PROMOTION_LIMIT_REACHED, PROMOTION_REJECTED,
    /// QUANTITY_INVALID, SHIPPING_MISMATCH, SHIPPING_UNAVAILABLE, SKU_DISCONTINUED,
    /// SKU_NOT_LISTED, SKU_UNKNOWN, TOO_MANY, TOTAL_MISMATCH. Needs the scope ORDERS_SUBMIT.
    #[graphql(guard = "Allowed(Scope::OrdersSubmit)")]
    async fn order_submit(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order.")] input: OrderSubmitInput,
    ) -> async_graphql::Result<OrderPayload> {
        submit(ctx, input, Source::Api, None).await
    }

    /// Takes up to 100 orders, each by itself: the answer says row by row what became of them.
    /// Error paths begin at the row's own input. Needs the scope ORDERS_SUBMIT.
    #[graphql(guard = "Allowed(Scope::OrdersSubmit)")]
    async fn order_bulk_submit(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The orders.")] input: OrderBulkSubmitInput,
    ) -> async_graphql::Result<OrderBulkPayload> {
        if !(1..=MOST_ORDERS).contains(&input.orders.len()) {
            let problem =
                Problem::new(Code::TooMany, "a batch has 1 to 100 orders").at("input.orders");
            return Ok(OrderBulkPayload {
                rows: Vec::new(),
                accepted: 0,
                refused: input.orders.len(),
                user_errors: vec![problem.into()],
            });
        }
        let mut rows = Vec::with_capacity(input.orders.len());
        for (place, order) in input.orders.into_iter().enumerate() {
            // What the others came to must not be lost with one that failed.
            let row = submit(ctx, order, Source::Bulk, Some(place))
                .await
                .unwrap_or_else(|_| {
                    refused(Problem::new(
                        Code::Unavailable,
                        "not taken for now; try it again",
                    ))
                });
            let failed = row.order.is_none();
            rows.push(row);
            if failed && input.error_policy == BulkErrorPolicy::StopAtFirstError {
                break;
            }
        }
        let accepted = rows.iter().filter(|row| row.order.is_some()).count();
        Ok(OrderBulkPayload {
            refused: rows.len() - accepted,
            accepted,
            rows,
            user_errors: Vec::new(),
        })
    }

    /// Cancels an order that has not shipped yet: its stock goes to those who wait, and its money,
    /// credit and promotion uses go back. Errors: INVALID_INPUT, NOT_FOUND,
    /// ORDER_NOT_CANCELLABLE, STALE_VERSION. Needs the scope ORDERS_SUBMIT.
    #[graphql(guard = "Allowed(Scope::OrdersSubmit)")]
    async fn order_cancel(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which order, and why.")] input: OrderEndInput,
    ) -> async_graphql::Result<OrderPayload> {
        let reference = &app(ctx).reference().await.map_err(fault)?;
        let input = &input;
        let key = input.idempotency_key.as_deref();
        command(
            ctx,
            "orderCancel",
            input,
            &input.id,
            key,
            move |tx, order_id| async move {
                orders::cancel(&tx, reference, &input.command(order_id)).await
            },
        )
        .await
    }

    /// Refuses an order that failed a check; otherwise as `orderCancel`. Errors: INVALID_INPUT,
    /// NOT_FOUND, ORDER_NOT_REJECTABLE, STALE_VERSION. Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn order_reject(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which order, and why.")] input: OrderEndInput,
    ) -> async_graphql::Result<OrderPayload> {
        let reference = &app(ctx).reference().await.map_err(fault)?;
        let input = &input;
        let key = input.idempotency_key.as_deref();
        command(
            ctx,
            "orderReject",
            input,
            &input.id,
            key,
            move |tx, order_id| async move {
                orders::reject(&tx, reference, &input.command(order_id)).await
            },
        )
        .await
    }

    /// Stops an order until `orderReleaseHold`. Errors: INVALID_INPUT, NOT_FOUND,
    /// ORDER_NOT_HOLDABLE, STALE_VERSION. Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn order_hold(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which order, and why.")] input: OrderHoldInput,
    ) -> async_graphql::Result<OrderPayload> {
        let input = &input;
        let key = input.idempotency_key.as_deref();
        command(
            ctx,
            "orderHold",
            input,
            &input.id,
            key,
            move |tx, order_id| async move {
                let cmd = orders::Hold {
                    order_id,
                    expected_version: input.expected_version,
                    reason: input.reason.clone(),
                };
                orders::hold(&tx, &cmd).await
            },
        )
        .await
    }

    /// Takes an order out of the archive, so that it can be changed: it is as it was when it was put
    /// away, and is put away again when it has been left alone for as long as its channel says.
    /// Errors: INVALID_INPUT, NOT_FOUND, ORDER_STATE_INVALID (it was not put away). Needs the scope
    /// ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn order_reopen(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which order, and why.")] input: OrderReopenInput,
    ) -> async_graphql::Result<OrderPayload> {
        let input = &input;
        let id = match visible(ctx, &input.id).await? {
            Ok(id) => id,
            Err(problem) => return Ok(refused(problem)),
        };
        let key = input.idempotency_key.as_deref();
        command_on(
            ctx,
            "orderReopen",
            input,
            id,
            key,
            move |tx, order_id| async move {
                let cmd = orders::archive::Reopen {
                    order_id,
                    reason: input.reason.clone(),
                };
                orders::archive::reopen(&tx, &cmd).await
            },
        )
        .await
    }

    /// Lifts a hold; the order goes on if that was the last thing that stopped it. Errors:
    /// HOLD_NOT_ACTIVE, NOT_FOUND, ORDER_STATE_INVALID, STALE_VERSION. Needs the scope
    /// ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn order_release_hold(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which hold of which order.")] input: OrderReleaseHoldInput,
    ) -> async_graphql::Result<OrderPayload> {
        let reference = &app(ctx).reference().await.map_err(fault)?;
        let input = &input;
        let key = input.idempotency_key.as_deref();
        command(
            ctx,
            "orderReleaseHold",
            input,
            &input.id,
            key,
            move |tx, order_id| async move {
                let cmd = orders::ReleaseHold {
                    order_id,
                    hold_id: Some(from_global::<HoldId>(&input.hold_id, "input.holdId")?),
                    expected_version: input.expected_version,
                };
                orders::release_hold(&tx, reference, &cmd).await
            },
        )
        .await
    }

    /// Writes a note on an order, whatever its state. Errors: INVALID_INPUT, NOT_FOUND. Needs the
    /// scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn order_add_note(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which order, and what to write.")] input: OrderAddNoteInput,
    ) -> async_graphql::Result<OrderPayload> {
        let input = &input;
        let key = input.idempotency_key.as_deref();
        command(
            ctx,
            "orderAddNote",
            input,
            &input.id,
            key,
            move |tx, order_id| async move {
                let cmd = orders::AddNote {
                    order_id,
                    body: input.body.clone(),
                };
                orders::add_note(&tx, &cmd).await
            },
        )
        .await
    }

    /// Puts tags on an order, whatever its state. One that is there already stays as it was first
    /// written; if all are, nothing changes. An order has at most 50. Errors: INVALID_INPUT,
    /// NOT_FOUND, STALE_VERSION, TOO_MANY. Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn order_add_tags(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which tags, on which order.")] input: OrderTagsInput,
    ) -> async_graphql::Result<OrderPayload> {
        let input = &input;
        let key = input.idempotency_key.as_deref();
        command(
            ctx,
            "orderAddTags",
            input,
            &input.id,
            key,
            move |tx, order_id| async move {
                orders::tags::add_tags(&tx, &input.command(order_id)).await
            },
        )
        .await
    }

    /// Takes tags off an order, whatever its state. If none of them is there, nothing changes.
    /// Errors: INVALID_INPUT, NOT_FOUND, STALE_VERSION, TOO_MANY. Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn order_remove_tags(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which tags, off which order.")] input: OrderTagsInput,
    ) -> async_graphql::Result<OrderPayload> {
        let input = &input;
        let key = input.idempotency_key.as_deref();
        command(
            ctx,
            "orderRemoveTags",
            input,
            &input.id,
            key,
            move |tx, order_id| async move {
                orders::tags::remove_tags(&tx, &input.command(order_id)).await
            },
        )
        .await
    }

    /// Tries another card for an order whose payment was declined. Errors: IN_PROGRESS, NOT_FOUND,
    /// ORDER_STATE_INVALID, PAYMENT_INVALID, STALE_VERSION. Needs the scope ORDERS_SUBMIT.
    #[graphql(guard = "Allowed(Scope::OrdersSubmit)")]
    async fn order_retry_payment(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which order, and which card.")] input: OrderRetryPaymentInput,
    ) -> async_graphql::Result<OrderPayload> {
        let input = &input;
        let key = input.idempotency_key.as_deref();
        command(
            ctx,
            "orderRetryPayment",
            input,
            &input.id,
            key,
            move |tx, order_id| async move {
                let cmd = orders::RetryPayment {
                    order_id,
                    expected_version: input.expected_version,
                    instrument: input.token.clone(),
                };
                orders::retry_payment(&tx, &cmd).await
            },
        )
        .await
    }

    /// Asks the gateway again to give back authorised money, after it refused to (VOID_DECLINED).
    /// The order may have ended. If the gateway has given it back in another way, settle the
    /// exception with `exceptionResolve`. Errors: IN_PROGRESS, NOT_FOUND, ORDER_STATE_INVALID,
    /// STALE_VERSION. Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn order_retry_void(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which order.")] input: OrderRetryVoidInput,
    ) -> async_graphql::Result<OrderPayload> {
        let input = &input;
        let key = input.idempotency_key.as_deref();
        command(
            ctx,
            "orderRetryVoid",
            input,
            &input.id,
            key,
            move |tx, order_id| async move {
                let cmd = orders::voids::Retry {
                    order_id,
                    expected_version: input.expected_version,
                };
                orders::voids::retry(&tx, &cmd).await
            },
        )
        .await
    }

    /// Asks the gateway again, now, for what is due for the shipments that have left and that it
    /// refused (CAPTURE_FAILED); it is asked by itself, too, for a week. Errors: IN_PROGRESS,
    /// NOT_FOUND, ORDER_STATE_INVALID, STALE_VERSION. Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn payment_capture(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which order.")] input: PaymentCaptureInput,
    ) -> async_graphql::Result<OrderPayload> {
        let input = &input;
        let key = input.idempotency_key.as_deref();
        command(
            ctx,
            "paymentCapture",
            input,
            &input.id,
            key,
            move |tx, order_id| async move {
                let cmd = orders::captures::Retry {
                    order_id,
                    expected_version: input.expected_version,
                };
                orders::captures::retry(&tx, &cmd).await
            },
        )
        .await
    }

    /// Gives an amount back though nothing comes back for it, by a credit note, to the captures that
    /// it came from, the oldest first. Errors: AMOUNT_INVALID, INVALID_INPUT, NOT_FOUND,
    /// ORDER_STATE_INVALID, REFUND_DISPUTED, REFUND_EXCEEDS_CAPTURED, STALE_VERSION. Needs the scope
    /// ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn order_refund(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How much of which order, and why.")] input: OrderRefundInput,
    ) -> async_graphql::Result<OrderPayload> {
        let input = &input;
        let key = input.idempotency_key.as_deref();
        let of = match from_global::<OrderId>(&input.id, "input.id") {
            Ok(id) => super::order_of(ctx, id).await?,
            Err(_) => None,
        };
        let Some(of) = of else {
            return Ok(refused(Problem::not_found("Order").at("input.id")));
        };
        let amount_minor = match minor(input.amount, of.currency, "input.amount") {
            Ok(minor) => minor,
            Err(problem) => return Ok(refused(problem)),
        };
        command(
            ctx,
            "orderRefund",
            input,
            &input.id,
            key,
            move |tx, order_id| async move {
                let cmd = orders::refunds::Refund {
                    order_id,
                    expected_version: input.expected_version,
                    amount_minor,
                    reason: input.reason.clone(),
                };
                orders::refunds::refund(&tx, &cmd).await
            },
        )
        .await
    }

    /// Asks the gateway again for money that it did not give back (REFUND_FAILED). Errors:
    /// IN_PROGRESS, NOT_FOUND, ORDER_STATE_INVALID, REFUND_DISPUTED, STALE_VERSION. Needs the scope
    /// ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn order_retry_refund(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which order.")] input: OrderRetryRefundInput,
    ) -> async_graphql::Result<OrderPayload> {
        let input = &input;
        let key = input.idempotency_key.as_deref();
        command(
            ctx,
            "orderRetryRefund",
            input,
            &input.id,
            key,
            move |tx, order_id| async move {
                let cmd = orders::refunds::Retry {
                    order_id,
                    expected_version: input.expected_version,
                };
                orders::refunds::retry(&tx, &cmd).await
            },
        )
        .await
    }

    /// Has what is still to be captured of a released order set aside afresh, where the
    /// authorisation runs out or has (AUTHORIZATION_EXPIRING, CAPTURE_FAILED). What was set aside
    /// before goes back when the answer has come, and captures that came to nothing are tried
    /// again. Errors: IN_PROGRESS, NOT_FOUND, ORDER_STATE_INVALID, PAYMENT_INVALID, STALE_VERSION.
    /// Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn payment_reauthorize(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which order, and which card.")] input: PaymentReauthorizeInput,
    ) -> async_graphql::Result<OrderPayload> {
        let input = &input;
        let key = input.idempotency_key.as_deref();
        command(
            ctx,
            "paymentReauthorize",
            input,
            &input.id,
            key,
            move |tx, order_id| async move {
                let cmd = orders::captures::Reauthorize {
                    order_id,
                    expected_version: input.expected_version,
                    instrument: input.token.clone(),
                };
                orders::captures::reauthorize(&tx, &cmd).await
            },
        )
        .await
    }

    /// Settles an exception by your word: the order goes on if that was the last thing that
    /// stopped it. For VOID_DECLINED your word is that the money is back. Errors:
    /// EXCEPTION_NOT_OPEN, INVALID_INPUT, NOT_FOUND, ORDER_STATE_INVALID, STALE_VERSION. Needs the
    /// scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn exception_resolve(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which exception, and how it was settled.")] input: ExceptionSettleInput,
    ) -> async_graphql::Result<OrderPayload> {
        settle_exception(ctx, "exceptionResolve", &input, false).await
    }

    /// Says that it was no exception; otherwise as `exceptionResolve`. Needs the scope
    /// ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn exception_dismiss(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which exception, and why it is none.")] input: ExceptionSettleInput,
    ) -> async_graphql::Result<OrderPayload> {
        settle_exception(ctx, "exceptionDismiss", &input, true).await
    }
}

impl OrderEndInput {
    fn command(&self, order_id: OrderId) -> orders::End {
        orders::End {
            order_id,
            expected_version: self.expected_version,
            reason: self.reason.clone(),
        }
    }
}

impl OrderTagsInput {
    fn command(&self, order_id: OrderId) -> orders::tags::Tags {
        orders::tags::Tags {
            order_id,
            expected_version: self.expected_version,
            tags: self.tags.clone(),
        }
    }
}

async fn submit(
    ctx: &Context<'_>,
    mut input: OrderSubmitInput,
    source: Source,
    place: Option<usize>,
) -> async_graphql::Result<OrderPayload> {
    // The rows of a batch share the request's header, but not their keys.
    let key = input.idempotency_key.take().or_else(|| {
        let header = ctx.data::<IdempotencyKey>().ok()?;
        place.map(|place| format!("{}/{place}", header.0.chars().take(250).collect::<String>()))
    });
    let submission = Submission::from(input);
    let claim = match once(ctx, "orderSubmit", &submission, key.as_deref()) {
        Ok(claim) => claim,
        Err(problem) => return Ok(refused(problem)),
    };
    let taken = app(ctx)
        .submit_order(
            principal(ctx)?,
            &actor(ctx)?,
            &submission,
            source,
            claim.as_ref(),
        )
        .await;
    let (taken, user_errors) = outcome(taken)?;
    if taken.is_some_and(|taken| taken.replayed) {
        mark_replayed(ctx);
    }
    Ok(OrderPayload {
        order: match taken {
            Some(taken) => read(ctx, taken.order_id).await?,
            None => None,
        },
        user_errors,
        replayed: taken.is_some_and(|taken| taken.replayed),
    })
}

async fn settle_exception(
    ctx: &Context<'_>,
    operation: &'static str,
    input: &ExceptionSettleInput,
    dismiss: bool,
) -> async_graphql::Result<OrderPayload> {
    let Some(exception) = super::queue::visible(ctx, &input.id).await? else {
        return Ok(refused(Problem::not_found("OrderException").at("input.id")));
    };
    let (order, exception_id) = (to_global(exception.order_id), exception.id);
    let reference = &app(ctx).reference().await.map_err(fault)?;
    let key = input.idempotency_key.as_deref();
    command(
        ctx,
        operation,
        input,
        &order,
        key,
        move |tx, _| async move {
            let cmd = orders::ResolveException {
                exception_id,
                expected_version: input.expected_version,
                resolution: input.resolution.clone(),
                dismiss,
            };
            orders::resolve_exception(&tx, reference, &cmd).await
        },
    )
    .await
}

/// Runs a command on an order that the caller may see, once for its key, makes the calls that it
/// then owes, and shows the order as it is afterwards. Another's order answers as one that is not
/// there.
pub(super) async fn command<Case>(
    ctx: &Context<'_>,
    operation: &'static str,
    input: &impl Serialize,
    id: &ID,
    key: Option<&str>,
    case: impl Fn(Arc<Tx>, OrderId) -> Case,
) -> async_graphql::Result<OrderPayload>
where
    Case: Future<Output = Result<Changed, Failure>>,
{
    let id = match visible(ctx, id).await? {
        Ok(id) => id,
        Err(problem) => return Ok(refused(problem)),
    };
    if let Err(problem) = changeable(ctx, id, "input.id") {
        return Ok(refused(problem));
    }
    command_on(ctx, operation, input, id, key, case).await
}

/// The order under an identifier, if the caller may see it.
async fn visible(ctx: &Context<'_>, id: &ID) -> async_graphql::Result<Result<OrderId, Problem>> {
    let missing = || Problem::not_found("Order").at("input.id");
    let Ok(id) = from_global::<OrderId>(id, "input.id") else {
        return Ok(Err(missing()));
    };
    let caller = principal(ctx)?;
    let seen = read(ctx, id)
        .await?
        .filter(|order| caller.sees(order.0.channel_id));
    Ok(seen.map(|_| id).ok_or_else(missing))
}

/// Runs a command on an order that the caller sees, whether it was put away or not.
async fn command_on<Case>(
    ctx: &Context<'_>,
    operation: &'static str,
    input: &impl Serialize,
    id: OrderId,
    key: Option<&str>,
    case: impl Fn(Arc<Tx>, OrderId) -> Case,
) -> async_graphql::Result<OrderPayload>
where
    Case: Future<Output = Result<Changed, Failure>>,
{
    let claim = match once(ctx, operation, input, key) {
        Ok(claim) => claim,
        Err(problem) => return Ok(refused(problem)),
    };
    let owed = &Mutex::new(Vec::new());
    let case = &case;
    let result = app(ctx)
        .write_once(&actor(ctx)?, claim.as_ref(), move |tx| async move {
            let changed = case(tx, id).await?;
            // The case may run again; what it owed the first time was rolled back with it.
            *owed.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = changed.effects;
            Ok(serde_json::json!({ "order": id }))
        })
        .await;
    let (done, user_errors) = outcome(result)?;
    let Some(done) = done else {
        return Ok(OrderPayload {
            order: None,
            user_errors,
            replayed: false,
        });
    };
    if done.replayed {
        mark_replayed(ctx);
    } else {
        let effects =
            std::mem::take(&mut *owed.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
        let changed = Changed {
            order_id: id,
            effects,
        };
        if let Err(failure) = app(ctx).carry_out(changed).await {
            // The command is done; what is owed to the gateway is left to the reconciler.
            tracing::error!(order_id = %id, %failure, "a gateway call will be made later");
        }
    }
    Ok(OrderPayload {
        order: read(ctx, id).await?,
        user_errors,
        replayed: done.replayed,
    })
}

pub(super) fn refused(problem: Problem) -> OrderPayload {
    OrderPayload {
        order: None,
        user_errors: vec![problem.into()],
        replayed: false,
    }
}

pub(super) async fn read(ctx: &Context<'_>, id: OrderId) -> async_graphql::Result<Option<Order>> {
    let row = order::Entity::find_by_id(id)
        .one(&app(ctx).db.read)
        .await
        .map_err(fault)?;
    Ok(match row {
        Some(row) => {
            if let Some(shelf) = shelf(ctx) {
                shelf.is_back(id);
            }
            Some(row)
        }
        // It may have been put away.
        None => load(ctx, id).await?,
    }
    .map(Order))
}
