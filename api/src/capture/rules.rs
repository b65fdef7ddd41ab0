//! The merchant's own rules over an order: what they see of one that has just been judged, and
//! of those that were stored, and what they find.

use std::collections::{BTreeMap, BTreeSet};

use entity::order::Source;
use entity::{
    AddressId, ChannelId, CustomerId, OrderId, VariantId, address, channel, customer, order,
    order_exception, order_line, variant,
};
use sea_orm::{
    ActiveEnum, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect,
};
use serde_json::Value as Json;

use super::address::{PostalAddress, Verification};
use super::check::Draft;
use super::facts::{Earlier, Facts, Who, histories};
use super::open::verdict;
use super::submission::Submission;
use crate::catalogue::{ChannelPolicy, Reference};
use crate::exceptions::Finding;
use crate::exceptions::rules::{
    AddressContext, Answer, Count, Expression, Fault, LineContext, OrderContext, RuleSet,
};

/// How many orders are read at a time. The four counts of each are parts of one statement, of
/// which SQLite takes 500.
const CHUNK: usize = 100;

/// What the rules find wrong with an order that has just been judged.
pub fn judge(
    rules: &RuleSet,
    submission: &Submission,
    channel: &ChannelPolicy,
    facts: &Facts,
    draft: &Draft,
    source: Source,
) -> Vec<Finding> {
    if !rules.judge_any(channel.row.id) {
        return Vec::new();
    }
    rules.judge(&seen(submission, &channel.row, facts, draft, source))
}

/// What the rules find wrong with orders as they are stored now, order by order: what they would
/// find if they came today. Nothing is written; that is for whoever asks.
pub async fn judge_again(
    db: &impl ConnectionTrait,
    reference: &Reference,
    rules: &RuleSet,
    orders: &[order::Model],
) -> Result<BTreeMap<OrderId, Vec<Finding>>, DbErr> {
    let counts = orders
        .iter()
        .flat_map(|order| rules.history(order.channel_id))
        .collect();
    let seen = stored(db, reference, orders, &counts, None).await?;
    Ok(orders
        .iter()
        .zip(seen)
        .map(|(order, seen)| (order.id, rules.judge(&seen)))
        .collect())
}

/// What an expression says of stored orders, newest first.
#[derive(Debug, Default)]
pub struct Trial {
    /// How many it was asked of.
    pub asked: usize,
    /// Those for which it holds, with the values that it saw.
    pub matched: Vec<(order::Model, Json)>,
    /// Those for which it could not be evaluated.
    pub failed: Vec<(order::Model, Fault)>,
}

/// Which orders an expression is tried on.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Those of one channel; none = of all.
    pub channel: Option<ChannelId>,
    /// The channels that the caller sees, none = all: of the others it learns nothing, not even by
    /// what their customers ordered before.
    pub seen: Option<&'a BTreeSet<ChannelId>>,
    /// How many, the newest.
    pub newest: u64,
}

/// Asks an expression of orders as they are stored now. Nothing is written.
pub async fn try_out(
    db: &impl ConnectionTrait,
    reference: &Reference,
    expression: &Expression,
    sample: Sample<'_>,
) -> Result<Trial, DbErr> {
    let seen = |channels: &BTreeSet<_>| order::Column::ChannelId.is_in(channels.iter().copied());
    let which = Condition::all()
        .add_option(sample.channel.map(|id| order::Column::ChannelId.eq(id)))
        .add_option(sample.seen.map(seen));
    let orders = order::Entity::find()
        .filter(which)
        .order_by_desc(order::Column::ReceivedAt)
        .order_by_desc(order::Column::Id)
        .limit(sample.newest)
        .all(db)
        .await?;
    let counts = expression.history().collect();
    let mut trial = Trial::default();
    for orders in orders.chunks(CHUNK) {
        let seen = stored(db, reference, orders, &counts, sample.seen).await?;
        for (order, seen) in orders.iter().zip(seen) {
            trial.asked += 1;
            match expression.ask(&seen) {
                Ok(Answer { holds: false, .. }) => {}
                Ok(Answer { facts, .. }) => trial.matched.push((order.clone(), facts)),
                Err(fault) => trial.failed.push((order.clone(), fault)),
            }
        }
    }
    Ok(trial)
}

/// What rules see of an order that has just been judged.
fn seen(
    submission: &Submission,
    channel: &channel::Model,
    facts: &Facts,
    draft: &Draft,
    source: Source,
) -> OrderContext {
    let quote = &draft.quote;
    let customer = facts.customer.as_ref();
    let shipping = place(&draft.shipping);
    let quoted = submission.lines.iter().zip(&quote.lines);
    let lines = draft.lines.iter().zip(quoted).enumerate();
    let lines = lines.map(|(place, (line, (submitted, quoted)))| {
        let variant = line.offered.as_ref().map(|offered| &offered.variant);
        LineContext {
            place,
            sku: variant.map_or_else(|| submitted.sku.trim().to_owned(), |own| own.sku.clone()),
            quantity: submitted.quantity,
            currency: draft.currency,
            unit_price_minor: quoted.unit_price_minor,
            list_price_minor: line.list_price_minor,
            discount_minor: quoted.discount_minor,
            total_minor: quoted.gross_minor,
            known: variant.is_some(),
            discontinued: variant.is_some_and(is_discontinued),
        }
    });
    let codes = quote.promotions.iter();
    let findings: BTreeSet<String> = draft.findings.iter().map(|one| one.code.as_str()).collect();
    OrderContext {
        channel_id: channel.id,
        channel: channel.code.clone(),
        currency: draft.currency,
        total_minor: quote.total_minor,
        subtotal_minor: quote.subtotal_minor,
        discount_minor: quote.discount_minor - quote.shipping.discount_minor,
        shipping_minor: quote.shipping_minor - quote.shipping.discount_minor,
        tax_minor: quote.tax_minor,
        service_level: draft.service_level.clone(),
        payment_method: submission.payment.method.to_value(),
        promotion_codes: codes.filter_map(|verdict| verdict.code.clone()).collect(),
        placed_at: draft.placed_at,
        placed_locally: channel.time_zone.local(draft.placed_at),
        source: source.to_value(),
        customer: customer.map(|customer| customer.code.clone()),
        group: customer.and_then(|customer| customer.group_code.clone()),
        email: draft.email.clone(),
        history: facts.history.clone(),
        billing: draft
            .billing
            .as_ref()
            .map_or_else(|| shipping.clone(), place),
        shipping,
        lines: lines.collect(),
        findings: findings.into_iter().collect(),
    }
}

fn place((address, verification): &(PostalAddress, Verification)) -> AddressContext {
    AddressContext {
        country: address.country.code().to_owned(),
        region: address.region.clone().unwrap_or_default(),
        postal_code: address.postal_code.clone().unwrap_or_default(),
        city: address.city.clone(),
        verdict: verdict(verification).to_value(),
        po_box: verification.po_box,
    }
}

fn is_discontinued(variant: &variant::Model) -> bool {
    variant.status == variant::Status::Discontinued
}

/// What rules see of stored orders, in their order. The catalogue is today's, and so is what has
/// become of earlier orders, which are counted in these channels, or in all.
async fn stored(
    db: &impl ConnectionTrait,
    reference: &Reference,
    orders: &[order::Model],
    counts: &BTreeSet<Count>,
    channels: Option<&BTreeSet<ChannelId>>,
) -> Result<Vec<OrderContext>, DbErr> {
    let ids = || orders.iter().map(|order| order.id);
    let mut lines: BTreeMap<OrderId, Vec<order_line::Model>> = BTreeMap::new();
    for line in order_line::Entity::find()
        .filter(order_line::Column::OrderId.is_in(ids()))
        .order_by_asc(order_line::Column::Position)
        .all(db)
        .await?
    {
        lines.entry(line.order_id).or_default().push(line);
    }
    let variants: BTreeSet<VariantId> = lines
        .values()
        .flatten()
        .filter_map(|line| line.variant_id)
        .collect();
    let discontinued: BTreeSet<VariantId> = variant::Entity::find()
        .filter(variant::Column::Id.is_in(variants))
        .filter(variant::Column::Status.eq(variant::Status::Discontinued))
        .all(db)
        .await?
        .into_iter()
        .map(|row| row.id)
        .collect();
    let addresses = orders.iter().flat_map(|order| {
        let billing = order.billing_address_id;
        [Some(order.shipping_address_id), billing]
            .into_iter()
            .flatten()
    });
    let addresses: BTreeMap<AddressId, address::Model> = address::Entity::find()
        .filter(address::Column::Id.is_in(addresses))
        .all(db)
        .await?
        .into_iter()
        .map(|row| (row.id, row))
        .collect();
    let customers: BTreeSet<CustomerId> = orders.iter().filter_map(|o| o.customer_id).collect();
    let customers: BTreeMap<CustomerId, customer::Model> = customer::Entity::find()
        .filter(customer::Column::Id.is_in(customers))
        .all(db)
        .await?
        .into_iter()
        .map(|row| (row.id, row))
        .collect();
    let mut findings: BTreeMap<OrderId, BTreeSet<String>> = BTreeMap::new();
    for exception in order_exception::Entity::find()
        .filter(order_exception::Column::OrderId.is_in(ids()))
        .filter(order_exception::Column::RuleId.is_null())
        .all(db)
        .await?
    {
        let of_order = findings.entry(exception.order_id).or_default();
        of_order.insert(exception.code);
    }
    let earlier: Vec<Earlier> = orders.iter().map(|one| earlier(one, channels)).collect();
    let histories = histories(db, counts, &earlier).await?;
    Ok(orders
        .iter()
        .zip(histories)
        .map(|(order, history)| {
            let address = |id| addresses.get(&id).map(stored_place).unwrap_or_default();
            let lines = lines.remove(&order.id).unwrap_or_default();
            let channel = reference.channel(order.channel_id).map(|known| &known.row);
            let zone = channel.map_or(entity::TimeZone::UTC, |channel| channel.time_zone);
            OrderContext {
                channel_id: order.channel_id,
                channel: channel
                    .map(|channel| channel.code.clone())
                    .unwrap_or_default(),
                currency: order.currency,
                total_minor: order.total_minor,
                subtotal_minor: order.subtotal_minor,
                discount_minor: order.discount_minor,
                shipping_minor: order.shipping_minor - order.shipping_discount_minor,
                tax_minor: order.tax_minor,
                service_level: order.service_level.clone(),
                payment_method: order.payment_method.to_value(),
                promotion_codes: promotion_codes(&order.promotion_codes),
                placed_at: order.placed_at,
                placed_locally: zone.local(order.placed_at),
                source: order.source.to_value(),
                customer: order
                    .customer_id
                    .and_then(|id| customers.get(&id))
                    .map(|customer| customer.code.clone()),
                group: order.customer_group.clone(),
                email: order.email.clone(),
                history,
                shipping: address(order.shipping_address_id),
                billing: address(
                    order
                        .billing_address_id
                        .unwrap_or(order.shipping_address_id),
                ),
                lines: lines
                    .into_iter()
                    .enumerate()
                    .map(|(place, line)| stored_line(place, line, order, &discontinued))
                    .collect(),
                findings: findings
                    .remove(&order.id)
                    .map(|codes| codes.into_iter().collect())
                    .unwrap_or_default(),
            }
        })
        .collect())
}

fn earlier(order: &order::Model, channels: Option<&BTreeSet<ChannelId>>) -> Earlier {
    let guest = || order.email.clone().map(Who::Guest);
    Earlier {
        who: order.customer_id.map(Who::Customer).or_else(guest),
        than: order.received_at,
        except: Some(order.id),
        channels: channels.cloned(),
    }
}

fn stored_place(row: &address::Model) -> AddressContext {
    AddressContext {
        country: row.country.clone(),
        region: row.region.clone().unwrap_or_default(),
        postal_code: row.postal_code.clone().unwrap_or_default(),
        city: row.city.clone(),
        verdict: row.verdict.to_value(),
        po_box: row.po_box,
    }
}

fn stored_line(
    place: usize,
    line: order_line::Model,
    order: &order::Model,
    discontinued: &BTreeSet<VariantId>,
) -> LineContext {
    LineContext {
        place,
        quantity: line.quantity - line.cancelled,
        currency: order.currency,
        unit_price_minor: line.unit_price_minor,
        list_price_minor: line.list_price_minor,
        discount_minor: line.discount_minor,
        total_minor: line.gross_minor,
        known: line.variant_id.is_some(),
        discontinued: line.variant_id.is_some_and(|id| discontinued.contains(&id)),
        sku: line.sku,
    }
}

fn promotion_codes(verdicts: &Json) -> Vec<String> {
    let verdicts = verdicts.as_array().into_iter().flatten();
    verdicts
        .filter_map(|verdict| Some(verdict["code"].as_str()?.to_owned()))
        .collect()
}
