//! Applies a judged change to an order that the warehouse does not have yet: what is no longer
//! wanted goes back, what is wanted in addition is held, the money follows from the ledger, and
//! the order goes through its gates again.

use std::collections::{BTreeMap, BTreeSet};

use entity::{
    AddressId, ExceptionId, LineId, PromotionId, VariantId, address, order, order_line, promotion,
    promotion_use,
};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbErr, EntityTrait, Iterable, QueryFilter, QueryTrait, Set,
};
use serde_json::{Value as Json, json};

use super::aggregate::{Aggregate, missing};
use super::allocation::Allocation;
use super::lifecycle::Action;
use super::{Changed, open_exception, settle_found, square};
use crate::catalogue::Reference;
use crate::events::Event;
use crate::exceptions::Finding;
use crate::failure::{Code, Failure, Problem};
use crate::tx::Tx;

/// A change of an order, judged against one version of it.
#[derive(Clone, Debug)]
pub struct Revision {
    /// The order as it is to be: its figures, contact, addresses. Its version is the one that the
    /// change was judged against.
    pub order: order::Model,
    /// The lines that stay or are added, as they are to be. What is held for them is not looked at.
    pub lines: Vec<order_line::Model>,
    /// The lines that go.
    pub removed: BTreeSet<LineId>,
    /// The lines whose SKU may not be backordered.
    pub strict: BTreeSet<LineId>,
    /// The addresses that are new.
    pub addresses: Vec<(AddressId, address::ActiveModel)>,
    /// What each promotion that applies takes off, in minor units.
    pub promotions: BTreeMap<PromotionId, i64>,
    /// What is wrong with it now, each with the line that it is about.
    pub findings: Vec<(Finding, Option<LineId>)>,
    /// The open exceptions that the change puts right.
    pub settles: BTreeSet<ExceptionId>,
    /// Whether the channel refuses what a check finds.
    pub refuses: bool,
    /// The card to ask for more money; none = the one that was asked last.
    pub instrument: Option<String>,
    /// Why, in words.
    pub reason: Option<String>,
    /// What changes, as it is.
    pub before: Json,
    /// What changes, as it is to be.
    pub after: Json,
}

/// Applies a revision. Refused with STALE_VERSION if the order has moved on since it was judged,
/// and with PROMOTION_LIMIT_REACHED if another order took the last use of a promotion.
pub async fn revise(
    tx: &Tx,
    reference: &Reference,
    revision: &Revision,
) -> Result<Changed, Failure> {
    let id = revision.order.id;
    let wanted = revision.lines.iter().filter_map(|line| line.variant_id);
    let variants: BTreeSet<VariantId> = super::allocation::variants_of(tx, &[id])
        .await?
        .into_iter()
        .chain(wanted)
        .collect();
    let mut allocation = Allocation::lock(tx, reference, variants, &[id]).await?;
    let Some(aggregate) = allocation.orders.get_mut(&id) else {
        return Err(super::archive::absent(tx.db(), id).await?.into());
    };
    aggregate.expect_version(Some(revision.order.version))?;
    aggregate.transition(tx, Action::Edit, Code::OrderNotEditable)?;
    let status = aggregate.order.status;
    aggregate.order = revision.order.clone();
    aggregate.order.status = status;
    aggregate.order.confirmed_at = None;

    give_up(tx, &mut allocation, revision).await?;
    let addresses = revision.addresses.iter().map(|(_, row)| row.clone());
    tx.defer_rows(addresses.collect(), |insert| insert);
    if let Some(aggregate) = allocation.orders.get_mut(&id) {
        rewrite(tx, aggregate, &revision.lines, &revision.removed);
    }
    tx.flush().await?;
    apply_promotions(tx, revision).await?;

    let short = shortages(&allocation, revision);
    if revision.refuses && !short.is_empty() {
        return Err(Failure::Refused(
            short
                .into_iter()
                .map(|(finding, _)| finding.refusal())
                .collect(),
        ));
    }
    let mut effects = Vec::new();
    if let Some(aggregate) = allocation.orders.get_mut(&id) {
        aggregate.record(
            tx,
            Event::OrderEdited {
                reason: revision.reason.clone(),
                before: revision.before.clone(),
                after: revision.after.clone(),
            },
        );
        settle_found(tx, aggregate, "the order was edited", |open| {
            revision.settles.contains(&open.id)
        });
        for (mut finding, line) in revision.findings.iter().cloned().chain(short) {
            finding.line =
                line.and_then(|line| aggregate.lines.iter().position(|one| one.id == line));
            open_exception(tx, aggregate, &finding);
        }
        effects = square(tx, aggregate, revision.instrument.as_deref()).await?;
    }
    allocation.hold_missing(tx, id);
    // Places in the queue that were just written may be served next.
    tx.flush().await?;
    allocation.serve_waiters(tx);
    allocation.put_back(tx);
    Ok(Changed {
        order_id: id,
        effects,
    })
}

/// Lets go of the units that are no longer wanted.
async fn give_up(
    tx: &Tx,
    allocation: &mut Allocation<'_>,
    revision: &Revision,
) -> Result<(), Failure> {
    let id = revision.order.id;
    let kept: BTreeMap<LineId, i64> = revision
        .lines
        .iter()
        .map(|line| (line.id, line.quantity))
        .collect();
    let less: BTreeMap<LineId, i64> = allocation
        .orders
        .get(&id)
        .into_iter()
        .flat_map(|aggregate| &aggregate.lines)
        .filter_map(|line| {
            let had = line.quantity - line.cancelled;
            let less = had - kept.get(&line.id).copied().unwrap_or(0);
            (less > 0).then_some((line.id, less))
        })
        .collect();
    allocation.give_up(tx, id, &less).await
}

/// Writes an order with other figures, its lines as they are to be, and those that go. What is held
/// for a line stays.
pub(super) fn rewrite(
    tx: &Tx,
    aggregate: &mut Aggregate,
    lines_to_be: &[order_line::Model],
    removed: &BTreeSet<LineId>,
) {
    let order: order::ActiveModel = aggregate.order.clone().into();
    tx.defer(
        order::Entity::update_many()
            .set(order.reset_all())
            .filter(order::Column::Id.eq(aggregate.order.id))
            .into_query(),
    );
    let old = std::mem::take(&mut aggregate.lines);
    let last = old.iter().map(|line| line.position).max().unwrap_or(-1);
    let mut lines: BTreeMap<LineId, order_line::Model> =
        old.into_iter().map(|line| (line.id, line)).collect();
    for (place, line) in (1..).zip(lines_to_be) {
        let held = lines.get(&line.id);
        let line = match held {
            Some(held) => order_line::Model {
                position: held.position,
                reserved: held.reserved,
                allocated: held.allocated,
                backordered: held.backordered,
                cancelled: 0,
                ..line.clone()
            },
            None => order_line::Model {
                position: last + place,
                ..line.clone()
            },
        };
        lines.insert(line.id, line);
    }
    for id in removed {
        if let Some(line) = lines.get_mut(id) {
            *line = called_off(line);
        }
    }
    let mut lines: Vec<order_line::Model> = lines.into_values().collect();
    lines.sort_by_key(|line| line.position);
    let rows: Vec<order_line::ActiveModel> = lines.iter().cloned().map(Into::into).collect();
    aggregate.lines = lines;
    tx.defer_rows(rows, |insert| {
        let all =
            order_line::Column::iter().filter(|column| !matches!(column, order_line::Column::Id));
        insert.on_conflict(
            OnConflict::column(order_line::Column::Id)
                .update_columns(all)
                .to_owned(),
        )
    });
}

/// A line that is taken off its order: it stays for the record, with nothing due for it.
fn called_off(line: &order_line::Model) -> order_line::Model {
    order_line::Model {
        reserved: 0,
        allocated: 0,
        backordered: 0,
        cancelled: line.quantity,
        subtotal_minor: 0,
        discount_minor: 0,
        discounts: json!([]),
        net_minor: 0,
        tax_minor: 0,
        gross_minor: 0,
        ..line.clone()
    }
}

/// What is wanted of SKUs that may not be backordered and is not there. Lines of one SKU are taken
/// together.
fn shortages(allocation: &Allocation<'_>, revision: &Revision) -> Vec<(Finding, Option<LineId>)> {
    let Some(aggregate) = allocation.orders.get(&revision.order.id) else {
        return Vec::new();
    };
    let mut wanted: BTreeMap<VariantId, (i64, &order_line::Model)> = BTreeMap::new();
    for line in &aggregate.lines {
        let (Some(variant), true) = (line.variant_id, revision.strict.contains(&line.id)) else {
            continue;
        };
        if missing(line) > 0 {
            let entry = wanted.entry(variant).or_insert((0, line));
            entry.0 += missing(line);
            entry.1 = line;
        }
    }
    wanted
        .into_iter()
        .filter_map(|(variant, (quantity, line))| {
            let available = allocation.available(revision.order.id, variant);
            (quantity > available)
                .then(|| (Finding::shortage(line, quantity, available), Some(line.id)))
        })
        .collect()
}

/// Counts the promotions that apply now and did not, and gives back those that no longer do.
async fn apply_promotions(tx: &Tx, revision: &Revision) -> Result<(), Failure> {
    use promotion_use::Column;
    let order = revision.order.id;
    let used: BTreeMap<PromotionId, i64> = promotion_use::Entity::find()
        .filter(Column::OrderId.eq(order))
        .all(tx.db())
        .await?
        .into_iter()
        .map(|used| (used.promotion_id, used.amount_minor))
        .collect();
    let all: BTreeSet<PromotionId> = used
        .keys()
        .chain(revision.promotions.keys())
        .copied()
        .collect();
    for promotion in all {
        match (used.get(&promotion), revision.promotions.get(&promotion)) {
            (None, Some(amount)) => {
                if !use_promotion(tx, promotion).await? {
                    return Err(Problem::new(
                        Code::PromotionLimitReached,
                        "the promotion's last use was taken meanwhile",
                    )
                    .at("input.promotionCodes")
                    .into());
                }
                let row = promotion_use::ActiveModel {
                    promotion_id: Set(promotion),
                    order_id: Set(order),
                    amount_minor: Set(*amount),
                    used_at: Set(tx.now),
                };
                tx.defer_rows(vec![row], |insert| insert);
            }
            (Some(_), None) => give_back_promotion(tx, promotion, order).await?,
            (Some(was), Some(amount)) if was != amount => tx.defer(
                promotion_use::Entity::update_many()
                    .col_expr(Column::AmountMinor, Expr::value(*amount))
                    .filter(Column::OrderId.eq(order))
                    .filter(Column::PromotionId.eq(promotion))
                    .into_query(),
            ),
            _ => {}
        }
    }
    Ok(())
}

/// Counts one use of a promotion; no if it has reached its limit. Promotions are taken in the
/// order of their ids.
pub async fn use_promotion(tx: &Tx, id: PromotionId) -> Result<bool, DbErr> {
    use promotion::Column;
    let counted = promotion::Entity::update_many()
        .col_expr(Column::UsageCount, Expr::col(Column::UsageCount).add(1))
        .filter(Column::Id.eq(id))
        .filter(
            sea_orm::Condition::any()
                .add(Column::UsageLimit.is_null())
                .add(Expr::col(Column::UsageCount).lt(Expr::col(Column::UsageLimit))),
        )
        .exec(tx.db())
        .await?
        .rows_affected;
    Ok(counted > 0)
}

/// Gives an order's use of a promotion back.
pub async fn give_back_promotion(
    tx: &Tx,
    id: PromotionId,
    order: entity::OrderId,
) -> Result<(), DbErr> {
    use promotion::Column;
    promotion::Entity::update_many()
        .col_expr(Column::UsageCount, Expr::col(Column::UsageCount).sub(1))
        .filter(Column::Id.eq(id))
        .exec(tx.db())
        .await?;
    promotion_use::Entity::delete_by_id((id, order))
        .exec(tx.db())
        .await?;
    Ok(())
}
