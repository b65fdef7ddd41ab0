//! Makes the units that an order lacks an order of their own, so that the rest goes on.
//!
//! Both keep the agreed prices: what was due for the one order is due for the two together, to the
//! minor unit. The shipping charge stays with the first, which is linked from the other. Nothing
//! that is held moves: only units that are missing or waited for go, and those keep their places in
//! the queues.

use std::collections::{BTreeMap, BTreeSet};

use entity::order::{FulfillmentStatus, PaymentMethod, PaymentStatus, ReturnStatus, Stage, Status};
use entity::{
    ExceptionId, LineId, OrderId, PromotionId, order, order_exception, order_line, payment,
    promotion_use,
};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryTrait};
use serde_json::{Value as Json, json};

use super::aggregate::{Aggregate, missing};
use super::allocation::Allocation;
use super::lifecycle::Action;
use super::revise::rewrite;
use super::{Changed, lock_with_stock, open_exception, square};
use crate::catalogue::Reference;
use crate::events::Event;
use crate::exceptions::{self, Finding};
use crate::failure::{Code, Failure, Problem};
use crate::payments;
use crate::pricing::{PricingError, apportion};
use crate::tx::Tx;

/// What [`split`] needs.
#[derive(Clone, Debug)]
pub struct Split {
    /// Which order.
    pub order_id: OrderId,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
    /// What goes.
    pub part: Part,
    /// What people are to call the other order.
    pub number: String,
}

/// Which units become an order of their own.
#[derive(Clone, Debug)]
pub enum Part {
    /// Those that these lines lack or wait for; of all lines, if none is named.
    Waiting(BTreeSet<LineId>),
    /// Those that an exception about too little stock is about; what there is stays.
    Short(ExceptionId),
}

/// A line taken apart.
struct Divided {
    /// What stays, as it is to be; none if nothing does.
    stays: Option<order_line::Model>,
    /// What goes, as a line of the other order.
    goes: order_line::Model,
    /// The tax that goes with it where the customer is exempt, in minor units.
    exempted: i64,
    /// What each promotion no longer takes off the first order, in minor units.
    promotions: BTreeMap<PromotionId, i64>,
}

/// Splits an order in one transaction: both orders or none.
pub async fn split(tx: &Tx, reference: &Reference, cmd: &Split) -> Result<Changed, Failure> {
    let id = cmd.order_id;
    let mut allocation = lock_with_stock(tx, reference, id).await?;
    let units = units(&allocation, cmd)?;
    let Some(first) = allocation.orders.get_mut(&id) else {
        return Err(Problem::not_found("order").at("input.id").into());
    };
    first.expect_version(cmd.expected_version)?;
    // Only units that nobody has go, so what a warehouse has begun with stays as it is.
    if !first.is_begun() {
        first.transition(tx, Action::Edit, Code::OrderNotEditable)?;
        first.order.confirmed_at = None;
    }
    if units.is_empty() {
        return Err(refusal("no unit of it is missing or waited for").into());
    }
    let wanted: i64 = first
        .lines
        .iter()
        .map(|line| line.quantity - line.cancelled)
        .sum();
    if units.values().sum::<i64>() >= wanted {
        return Err(refusal("all of its units are missing: nothing would be left of it").into());
    }

    let other_id: OrderId = tx.id();
    let divided = take_apart(tx, first, &units, other_id)
        .map_err(|error| Failure::Internal(format!("a line that cannot be divided: {error}")))?;
    let mut other = other_order(tx, first, cmd, other_id, &divided);
    let due = other.order.total_minor;
    reduce(first, &other.order);
    write(tx, first, &mut other, &divided).await?;
    first.record(
        tx,
        Event::OrderSplit {
            into: other_id,
            lines: other
                .lines
                .iter()
                .map(|line| json!({ "sku": line.sku, "quantity": line.quantity }))
                .collect(),
            amount: due,
        },
    );
    stop_alike(tx, first, &mut other, &divided);

    // The first gives back before the other asks: together they need no more than before.
    let instrument = instrument(tx, first).await?;
    let given_back = square(tx, first, None).await?;
    let mut effects = square(tx, &mut other, instrument.as_deref()).await?;
    effects.extend(given_back);
    allocation.orders.insert(other_id, other);
    for (from, line) in &divided {
        if line.goes.backordered > 0 {
            allocation
                .move_place(tx, *from, other_id, line.goes.id)
                .await?;
        }
    }
    allocation.hold_missing(tx, id);
    allocation.hold_missing(tx, other_id);
    allocation.put_back(tx);
    Ok(Changed {
        order_id: id,
        effects,
    })
}

fn refusal(message: &str) -> Problem {
    Problem::new(Code::OrderStateInvalid, message).at("input.id")
}

/// How many units of which lines go.
fn units(allocation: &Allocation<'_>, cmd: &Split) -> Result<BTreeMap<LineId, i64>, Problem> {
    let Some(order) = allocation.orders.get(&cmd.order_id) else {
        return Ok(BTreeMap::new());
    };
    match &cmd.part {
        Part::Waiting(named) => {
            let unknown = |id: &&LineId| order.lines.iter().all(|line| line.id != **id);
            if named.iter().any(|id| unknown(&id)) {
                return Err(Problem::not_found("line").at("input.lineIds"));
            }
            Ok(order
                .lines
                .iter()
                .filter(|line| named.is_empty() || named.contains(&line.id))
                .map(|line| (line.id, missing(line) + line.backordered))
                .filter(|(_, units)| *units > 0)
                .collect())
        }
        Part::Short(exception) => {
            let exception = order
                .exceptions
                .iter()
                .find(|open| open.id == *exception)
                .ok_or_else(super::queue::not_open)?;
            let variant = order
                .lines
                .iter()
                .find(|line| Some(line.id) == exception.line_id)
                .and_then(|line| line.variant_id)
                .filter(|_| exception.code == Code::InsufficientStock.as_str())
                .ok_or_else(|| refusal("the exception is not about too little stock"))?;
            let of_it = || {
                order
                    .lines
                    .iter()
                    .filter(|line| line.variant_id == Some(variant))
            };
            let lacking: i64 = of_it().map(missing).sum();
            let mut short = lacking - allocation.available(cmd.order_id, variant);
            let mut units = BTreeMap::new();
            for line in of_it().rev() {
                let goes = std::cmp::min(missing(line), short);
                if goes > 0 {
                    units.insert(line.id, goes);
                    short -= goes;
                }
            }
            Ok(units)
        }
    }
}

/// Takes the lines apart, in their order.
fn take_apart(
    tx: &Tx,
    first: &Aggregate,
    units: &BTreeMap<LineId, i64>,
    other: OrderId,
) -> Result<Vec<(LineId, Divided)>, PricingError> {
    let mut divided = Vec::with_capacity(units.len());
    for line in &first.lines {
        let Some(goes) = units.get(&line.id) else {
            continue;
        };
        let mut parts = divide(line, *goes, first.order.tax_included)?;
        parts.goes.id = tx.id();
        parts.goes.order_id = other;
        parts.goes.position = i32::try_from(divided.len()).unwrap_or(i32::MAX);
        divided.push((line.id, parts));
    }
    Ok(divided)
}

/// Divides a line in two whose figures add up to its own. Units that are held stay.
fn divide(
    line: &order_line::Model,
    goes: i64,
    tax_included: bool,
) -> Result<Divided, PricingError> {
    let stays = line.quantity - line.cancelled - goes;
    let subtotals = [
        line.unit_price_minor * stays,
        line.subtotal_minor - line.unit_price_minor * stays,
    ];
    let discounts = apportion(line.discount_minor, &subtotals)?;
    let after = [subtotals[0] - discounts[0], subtotals[1] - discounts[1]];
    let taxes = apportion(line.tax_minor, &after)?;
    let charged = if tax_included {
        line.gross_minor
    } else {
        line.net_minor
    };
    let exempted = apportion(after[0] + after[1] - charged, &after)?;
    let sources: Vec<&Json> = line.discounts.as_array().into_iter().flatten().collect();
    let amounts: Vec<i64> = sources
        .iter()
        .map(|source| source["amount"].as_i64().unwrap_or_default())
        .collect();
    let kept = apportion(discounts[0], &amounts)?;
    let mut promotions = BTreeMap::new();
    let mut kept_sources = Vec::new();
    for ((source, amount), kept) in sources.into_iter().zip(amounts).zip(kept) {
        if let Ok(promotion) = serde_json::from_value::<PromotionId>(source["promotionId"].clone())
        {
            *promotions.entry(promotion).or_default() += amount - kept;
        }
        if kept > 0 {
            let mut source = source.clone();
            source["amount"] = json!(kept);
            kept_sources.push(source);
        }
    }
    // What a promotion took off is agreed for the other order: it is not asked to apply there.
    let agreed = (discounts[1] > 0).then(|| json!({ "promotionId": null, "amount": discounts[1] }));
    let waiting = std::cmp::min(goes, line.backordered);
    let part = |at: usize, quantity: i64, discounts_of: Json| {
        let base = after[at] - exempted[at];
        let (net, gross) = if tax_included {
            (base - taxes[at], base)
        } else {
            (base, base + taxes[at])
        };
        order_line::Model {
            quantity,
            cancelled: 0,
            subtotal_minor: subtotals[at],
            discount_minor: discounts[at],
            discounts: discounts_of,
            net_minor: net,
            tax_minor: taxes[at],
            gross_minor: gross,
            ..line.clone()
        }
    };
    Ok(Divided {
        stays: (stays > 0).then(|| part(0, stays, json!(kept_sources))),
        goes: order_line::Model {
            reserved: 0,
            allocated: 0,
            backordered: waiting,
            ..part(1, goes, agreed.into_iter().collect())
        },
        exempted: exempted[1],
        promotions,
    })
}

/// The other order: the same customer, addresses and service, without a shipping charge.
fn other_order(
    tx: &Tx,
    first: &Aggregate,
    cmd: &Split,
    id: OrderId,
    divided: &[(LineId, Divided)],
) -> Aggregate {
    let lines: Vec<order_line::Model> = divided.iter().map(|(_, line)| line.goes.clone()).collect();
    let sum = |figure: fn(&order_line::Model) -> i64| lines.iter().map(figure).sum::<i64>();
    let (subtotal, discount) = (
        sum(|line| line.subtotal_minor),
        sum(|line| line.discount_minor),
    );
    let tax = sum(|line| line.tax_minor);
    let exempted = divided.iter().map(|(_, line)| line.exempted).sum::<i64>();
    let on_top = if first.order.tax_included { 0 } else { tax };
    let order = order::Model {
        id,
        number: cmd.number.clone(),
        external_reference: None,
        status: Status::Received,
        payment_status: PaymentStatus::Pending,
        fulfillment_status: FulfillmentStatus::Unfulfilled,
        return_status: ReturnStatus::None,
        stage: Stage::Validating,
        stage_since: tx.now,
        dispatch_by: None,
        subtotal_minor: subtotal,
        discount_minor: discount,
        shipping_minor: 0,
        shipping_discount_minor: 0,
        shipping_tax_minor: 0,
        tax_minor: tax,
        exempted_minor: exempted,
        total_minor: subtotal - discount - exempted + on_top,
        submitted_total_minor: None,
        promotion_codes: json!([]),
        cancel_reason: None,
        received_at: tx.now,
        confirmed_at: None,
        closed_at: None,
        updated_at: tx.now,
        version: 0,
        split_from_order_id: Some(cmd.order_id),
        ..first.order.clone()
    };
    let waiting = lines.iter().map(|line| line.backordered).sum();
    let received = Event::OrderReceived {
        number: order.number.clone(),
        total: order.total_minor,
        lines: lines.len(),
        held: 0,
        backordered: waiting,
    };
    let mut other = Aggregate::new(order, lines);
    other.record(tx, received);
    other.record(tx, Event::OrderSplitOff { from: cmd.order_id });
    other
}

/// Takes what is due for the other order off the first one.
fn reduce(first: &mut Aggregate, other: &order::Model) {
    let order = &mut first.order;
    order.subtotal_minor -= other.subtotal_minor;
    order.discount_minor -= other.discount_minor;
    order.tax_minor -= other.tax_minor;
    order.exempted_minor -= other.exempted_minor;
    order.total_minor -= other.total_minor;
}

/// Writes both orders, what is parents before their children; they can be relied on from then on.
async fn write(
    tx: &Tx,
    first: &mut Aggregate,
    other: &mut Aggregate,
    divided: &[(LineId, Divided)],
) -> Result<(), Failure> {
    let mut lines = Vec::new();
    let mut removed = BTreeSet::new();
    for line in first
        .lines
        .iter()
        .filter(|line| line.cancelled < line.quantity)
    {
        match divided.iter().find(|(id, _)| *id == line.id) {
            None => lines.push(line.clone()),
            Some((
                _,
                Divided {
                    stays: Some(stays), ..
                },
            )) => lines.push(stays.clone()),
            Some((id, _)) => {
                removed.insert(*id);
            }
        }
    }
    for (id, line) in divided {
        if let Some(left) = first.line_mut(*id) {
            left.backordered -= line.goes.backordered;
        }
    }
    rewrite(tx, first, &lines, &removed);
    let row: order::ActiveModel = other.order.clone().into();
    tx.defer_rows(vec![row], |insert| insert);
    let rows: Vec<order_line::ActiveModel> = other.lines.iter().cloned().map(Into::into).collect();
    tx.defer_rows(rows, |insert| insert);
    let gateway = match (&first.payment, other.order.payment_method) {
        (Some(payment), _) => payment.gateway.as_str(),
        (None, PaymentMethod::Account) => "account",
        (None, PaymentMethod::External) => "external",
        (None, PaymentMethod::Card) => "sandbox",
    };
    let (id, currency) = (other.order.id, other.order.currency);
    let payment: payment::Model = payments::new_payment(tx, tx.id(), id, gateway, currency, 0);
    payments::open(tx, payment.clone());
    other.payment = Some(payment);
    let mut promotions: BTreeMap<PromotionId, i64> = BTreeMap::new();
    for (promotion, amount) in divided.iter().flat_map(|(_, line)| &line.promotions) {
        *promotions.entry(*promotion).or_default() += amount;
    }
    for (promotion, amount) in promotions {
        use promotion_use::Column;
        tx.defer(
            promotion_use::Entity::update_many()
                .col_expr(
                    Column::AmountMinor,
                    Expr::col(Column::AmountMinor).sub(amount),
                )
                .filter(Column::OrderId.eq(first.order.id))
                .filter(Column::PromotionId.eq(promotion))
                .into_query(),
        );
    }
    tx.flush().await?;
    Ok(())
}

/// What stops the first order stops the other one too, as far as it is about it: what is wrong with
/// its lines, with the customer or the address, and what people have stopped. Each order's money is
/// its own.
fn stop_alike(
    tx: &Tx,
    first: &mut Aggregate,
    other: &mut Aggregate,
    divided: &[(LineId, Divided)],
) {
    let other_id = other.order.id;
    for hold in &first.holds {
        let hold = exceptions::place_hold(tx, other_id, &hold.reason);
        other.record(
            tx,
            Event::OrderHeld {
                hold_id: hold.id.0,
                reason: hold.reason.clone(),
            },
        );
        other.holds.push(hold);
    }
    let short = Code::InsufficientStock.as_str();
    let mut copies: Vec<order_exception::Model> = Vec::new();
    let resolution = format!("units were split off as order {}", other.order.number);
    let mut is_settled = BTreeSet::new();
    for open in &first.exceptions {
        let line = open
            .line_id
            .and_then(|id| divided.iter().find(|(line, _)| *line == id));
        if open.code == short {
            let variant_of = |id: LineId| {
                let line = first.lines.iter().find(|line| line.id == id);
                line.and_then(|line| line.variant_id)
            };
            let variant = open.line_id.and_then(variant_of);
            if divided
                .iter()
                .any(|(_, line)| line.goes.variant_id == variant)
            {
                is_settled.insert(open.id);
            }
        } else if let Some((_, line)) = line {
            copies.push(exceptions::alike(tx, open, other_id, Some(line.goes.id)));
            if line.stays.is_none() {
                is_settled.insert(open.id);
            }
        } else if open.line_id.is_none() && !is_about_money(&open.code) {
            copies.push(exceptions::alike(tx, open, other_id, None));
        }
    }
    let is_short: BTreeSet<_> = first
        .exceptions
        .iter()
        .filter(|open| is_settled.contains(&open.id) && open.code == short)
        .filter_map(|open| open.line_id)
        .filter_map(|id| first.lines.iter().find(|line| line.id == id)?.variant_id)
        .collect();
    super::settle_found(tx, first, &resolution, |open| is_settled.contains(&open.id));
    for copy in &copies {
        other.record(
            tx,
            Event::OrderExceptionOpened {
                exception_id: copy.id.0,
                code: copy.code.clone(),
                blocking: copy.blocking,
            },
        );
    }
    other.exceptions.extend(copies.iter().cloned());
    exceptions::write(tx, copies);
    let lacking: Vec<Finding> = other
        .lines
        .iter()
        .filter(|line| line.variant_id.is_some_and(|id| is_short.contains(&id)))
        .map(|line| Finding::shortage(line, line.quantity, 0))
        .collect();
    for finding in lacking {
        open_exception(tx, other, &finding);
    }
}

/// Whether an exception is about what is due for an order, and how it is paid: squaring decides
/// that afresh for each of the two.
fn is_about_money(code: &str) -> bool {
    [
        Code::PaymentDeclined,
        Code::PaymentExpired,
        Code::PaymentInvalid,
        Code::VoidDeclined,
        Code::CreditLimitExceeded,
        Code::CreditNotGranted,
        Code::TotalMismatch,
        Code::ShippingMismatch,
        Code::PromotionRejected,
        Code::PromotionLimitReached,
    ]
    .iter()
    .any(|about| code == about.as_str())
}

/// The card to ask for the other order: the one that was asked last, unless it was declined.
async fn instrument(tx: &Tx, first: &Aggregate) -> Result<Option<String>, Failure> {
    if first.has_open(Code::PaymentDeclined) || first.has_open(Code::PaymentExpired) {
        return Ok(None);
    }
    Ok(payments::last_instrument(tx, first.order.id).await?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use entity::Rate;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    /// A line that was priced: `exempt` is the share of its value, in percent, that the customer is
    /// exempt from.
    fn priced(
        quantity: i64,
        price: i64,
        agreed: i64,
        promised: i64,
        tax: i64,
        exempt: i64,
        included: bool,
    ) -> order_line::Model {
        let subtotal = price * quantity;
        let agreed = std::cmp::min(agreed, subtotal);
        let promised = std::cmp::min(promised, subtotal - agreed);
        let after = subtotal - agreed - promised;
        let exempted = if included { after * exempt / 100 } else { 0 };
        let tax = if exempted > 0 { 0 } else { after * tax / 100 };
        let (net, gross) = match included {
            true => (after - exempted - tax, after - exempted),
            false => (after, after + tax),
        };
        order_line::Model {
            id: LineId(Uuid::nil()),
            order_id: OrderId(Uuid::nil()),
            position: 0,
            variant_id: None,
            sku: "PEN".to_owned(),
            title: "Pen".to_owned(),
            submitted_title: None,
            quantity,
            reserved: 0,
            allocated: 0,
            backordered: 0,
            picked: 0,
            packed: 0,
            shipped: 0,
            cancelled: 0,
            returned: 0,
            unit_price_minor: price,
            list_price_minor: Some(price),
            tax_category: "STANDARD".to_owned(),
            tax_rate: Rate(rust_decimal::Decimal::new(tax, 2)),
            subtotal_minor: subtotal,
            discount_minor: agreed + promised,
            discounts: json!([{ "promotionId": null, "amount": agreed },
                { "promotionId": Uuid::from_u128(7), "amount": promised }]),
            net_minor: net,
            tax_minor: tax,
            gross_minor: gross,
        }
    }

    fn sum_of(discounts: &Json) -> i64 {
        let all = discounts.as_array().unwrap().iter();
        all.map(|one| one["amount"].as_i64().unwrap()).sum()
    }

    proptest! {
        #[test]
        fn two_parts_are_worth_the_whole_and_each_is_sound(
            quantity in 1_i64..200,
            going in 0_i64..200,
            price in 0_i64..100_000,
            agreed in 0_i64..200_000,
            promised in 0_i64..200_000,
            tax in 0_i64..40,
            exempt in 0_i64..20,
            included: bool,
        ) {
            let line = priced(quantity, price, agreed, promised, tax, exempt, included);
            let goes = 1 + going % quantity;
            let divided = divide(&line, goes, included).unwrap();
            prop_assert_eq!(divided.stays.is_none(), goes == quantity);
            let mut parts = vec![divided.goes];
            parts.extend(divided.stays);
            let sum = |figure: fn(&order_line::Model) -> i64| parts.iter().map(figure).sum::<i64>();
            prop_assert_eq!(sum(|part| part.quantity), line.quantity);
            prop_assert_eq!(sum(|part| part.subtotal_minor), line.subtotal_minor);
            prop_assert_eq!(sum(|part| part.discount_minor), line.discount_minor);
            prop_assert_eq!(sum(|part| part.net_minor), line.net_minor);
            prop_assert_eq!(sum(|part| part.tax_minor), line.tax_minor);
            prop_assert_eq!(sum(|part| part.gross_minor), line.gross_minor);
            for part in &parts {
                prop_assert_eq!(part.subtotal_minor, part.unit_price_minor * part.quantity);
                prop_assert!((0..=part.subtotal_minor).contains(&part.discount_minor));
                prop_assert_eq!(sum_of(&part.discounts), part.discount_minor);
                prop_assert_eq!(part.net_minor + part.tax_minor, part.gross_minor);
                prop_assert!(part.net_minor >= 0 && part.tax_minor >= 0);
            }
        }
    }
}
