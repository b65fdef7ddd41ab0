//! The merchant's own rules over an order: what they see of one that has just been judged, and
//! of those that were stored, and what they find.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use entity::order::{Source, Status};
use entity::{
    AddressId, ChannelId, CustomerId, ExceptionRuleId, OrderId, VariantId, address, channel,
    customer, order, order_exception, order_line, variant,
};
use sea_orm::{
    ActiveEnum, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect,
};
use serde_json::Value as Json;

use super::address::{PostalAddress, Verification};
use super::check::Draft;
use super::facts::Facts;
use super::history::{Earlier, Who, histories};
use super::open::verdict;
use super::submission::Submission;
use crate::catalogue::{ChannelPolicy, Reference};
use crate::exceptions::Finding;
use crate::exceptions::rules::{
    AddressContext, Answer, Count, Expression, Fault, History, LineContext, OrderContext,
    Particulars, RuleSet,
};

/// How many orders are read at a time. The four counts of each are parts of one statement, of
/// which SQLite takes 500.
const CHUNK: usize = 100;

/// How many lines a trial reads in all.
pub const MOST_LINES_TRIED: i64 = 50_000;

/// What the rules find wrong with an order that has just been judged.
#[allow(
    clippy::too_many_arguments,
    reason = "each is one thing that rules see of an order"
)]
pub async fn judge(
    db: &impl ConnectionTrait,
    rules: &RuleSet,
    submission: &Submission,
    channel: &ChannelPolicy,
    facts: &Facts,
    draft: &Draft,
    source: Source,
    now: DateTime<Utc>,
) -> Result<Vec<Finding>, DbErr> {
    if !rules.judge_any(channel.row.id) {
        return Ok(Vec::new());
    }
    let customer = facts.customer.as_ref().map(|customer| customer.id);
    let earlier = Earlier {
        who: Who::ordered(customer, draft.email.as_deref()),
        than: now,
        except: None,
        channels: None,
    };
    let histories = histories(db, &rules.history(channel.row.id), &[earlier]).await?;
    let mut seen = seen(submission, &channel.row, facts, draft, source);
    seen.history = histories.into_iter().next().unwrap_or_default();
    Ok(rules.judge(&seen))
}

/// What the rules find wrong with a change of a stored order, and which of them it concerns: those
/// that see something else than before. What others found stays as it is.
pub async fn judge_change(
    db: &impl ConnectionTrait,
    reference: &Reference,
    rules: &RuleSet,
    before: &order::Model,
    change: &Change<'_>,
) -> Result<(BTreeSet<ExceptionRuleId>, Vec<Finding>), DbErr> {
    let counts = rules.history(before.channel_id);
    let orders = std::slice::from_ref(before);
    let was = match rules.judge_any(before.channel_id) {
        true => stored(db, reference, orders, &counts, None).await?.pop(),
        false => None,
    };
    let Some(was) = was else {
        return Ok(Default::default());
    };
    let (old, new) = (earlier(before, None), earlier(change.order, None));
    let history = match old.who == new.who {
        true => was.history.clone(),
        false => histories(db, &counts, &[new])
            .await?
            .pop()
            .unwrap_or_default(),
    };
    let found = change.findings.iter().map(|finding| finding.code.as_str());
    let findings: BTreeSet<String> = was.findings.iter().cloned().chain(found).collect();
    let lines = change.lines.iter().enumerate();
    let is = OrderContext {
        history,
        shipping: change.shipping.map_or_else(|| was.shipping.clone(), place),
        billing: match (change.billing, change.shipping) {
            (Some(billing), _) => place(billing),
            (None, Some(shipping)) if before.billing_address_id.is_none() => place(shipping),
            (None, _) => was.billing.clone(),
        },
        lines: lines
            .map(|(at, line)| stored_line(at, line, change.order, change.discontinued))
            .collect(),
        findings: findings.into_iter().collect(),
        order: particulars(change.order),
        ..was.clone()
    };
    Ok(rules.judge_change(&was, &is))
}

/// A stored order as it would be.
pub struct Change<'a> {
    /// The order.
    pub order: &'a order::Model,
    /// Its lines that something is wanted of.
    pub lines: &'a [order_line::Model],
    /// The variants among them that are no longer sold.
    pub discontinued: &'a BTreeSet<VariantId>,
    /// Where it goes, if that changes.
    pub shipping: Option<&'a (PostalAddress, Verification)>,
    /// Where the bill goes, if that changes.
    pub billing: Option<&'a (PostalAddress, Verification)>,
    /// What the checks find wrong with the change.
    pub findings: &'a [Finding],
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

/// Asks an expression of orders as they are stored now, until they have had
/// [`MOST_LINES_TRIED`]. Nothing is written.
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
    let few = few_lines(db, &orders).await?;
    let mut trial = Trial::default();
    for orders in orders[..few].chunks(CHUNK) {
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

/// How many of these orders have [`MOST_LINES_TRIED`] among them; one at least, if there is one.
async fn few_lines(db: &impl ConnectionTrait, orders: &[order::Model]) -> Result<usize, DbErr> {
    use order_line::Column;
    let lines: BTreeMap<OrderId, i64> = order_line::Entity::find()
        .select_only()
        .column(Column::OrderId)
        .column_as(Column::Id.count(), "lines")
        .filter(Column::OrderId.is_in(orders.iter().map(|order| order.id)))
        .group_by(Column::OrderId)
        .into_tuple()
        .all(db)
        .await?
        .into_iter()
        .collect();
    let mut left = MOST_LINES_TRIED;
    let fits = |order: &&order::Model| {
        left -= lines.get(&order.id).copied().unwrap_or_default();
        left >= 0
    };
    let few = orders.iter().take_while(fits).count();
    Ok(std::cmp::min(few.max(1), orders.len()))
}

/// What rules see of an order that has just been judged, but for what its customer ordered before.
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
            discontinued: line.discontinued().is_some(),
        }
    });
    let codes = quote.promotions.iter();
    let findings: BTreeSet<String> = draft.findings.iter().map(|one| one.code.as_str()).collect();
    let order = Particulars {
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
        source: source.to_value(),
        group: customer.and_then(|customer| customer.group_code.clone()),
        email: draft.email.clone(),
    };
    OrderContext {
        channel_id: channel.id,
        channel: channel.code.clone(),
        order,
        placed_locally: channel.time_zone.local(draft.placed_at),
        customer: customer.map(|customer| customer.code.clone()),
        history: History::new(),
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
                order: particulars(order),
                placed_locally: zone.local(order.placed_at),
                customer: order
                    .customer_id
                    .and_then(|id| customers.get(&id))
                    .map(|customer| customer.code.clone()),
                history,
                shipping: address(order.shipping_address_id),
                billing: address(
                    order
                        .billing_address_id
                        .unwrap_or(order.shipping_address_id),
                ),
                lines: lines
                    .iter()
                    .filter(|line| is_wanted(line, order))
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

fn particulars(order: &order::Model) -> Particulars {
    Particulars {
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
        source: order.source.to_value(),
        group: order.customer_group.clone(),
        email: order.email.clone(),
    }
}

/// Whether a line is still part of its order; all are of one that was called off as a whole.
fn is_wanted(line: &order_line::Model, order: &order::Model) -> bool {
    let ended = [Status::Cancelled, Status::Rejected, Status::Expired];
    line.cancelled < line.quantity || ended.contains(&order.status)
}

fn earlier(order: &order::Model, channels: Option<&BTreeSet<ChannelId>>) -> Earlier {
    Earlier {
        who: Who::ordered(order.customer_id, order.email.as_deref()),
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
    line: &order_line::Model,
    order: &order::Model,
    discontinued: &BTreeSet<VariantId>,
) -> LineContext {
    LineContext {
        place,
        sku: line.sku.clone(),
        quantity: line.quantity,
        currency: order.currency,
        unit_price_minor: line.unit_price_minor,
        list_price_minor: line.list_price_minor,
        discount_minor: line.discount_minor,
        total_minor: line.gross_minor,
        known: line.variant_id.is_some(),
        discontinued: line.variant_id.is_some_and(|id| discontinued.contains(&id)),
    }
}

fn promotion_codes(verdicts: &Json) -> Vec<String> {
    let verdicts = verdicts.as_array().into_iter().flatten();
    verdicts
        .filter_map(|verdict| Some(verdict["code"].as_str()?.to_owned()))
        .collect()
}
