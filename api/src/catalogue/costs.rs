//! What units cost the merchant, by which stock is valued.

use std::collections::{BTreeMap, BTreeSet};

use entity::{Money, VariantId, variant, variant_cost};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect};

use crate::checks::Checks;
use crate::events::{Entry, Event};
use crate::failure::{Code, Failure, Problem};
use crate::tx::Tx;

/// What a unit of a variant costs from now on.
#[derive(Clone, Debug)]
pub struct Cost {
    /// The variant's SKU, as written.
    pub sku: String,
    /// How much; none = not known.
    pub amount: Option<Money>,
}

/// Writes what units cost, all of them or none, and returns their variants as they were named. The
/// variants' rows are locked, so that of two who say it the later one is right.
pub async fn save(tx: &Tx, costs: Vec<Cost>) -> Result<Vec<VariantId>, Failure> {
    use variant::{Column, Entity};
    let mut variants = Entity::find()
        .filter(Column::Sku.is_in(costs.iter().map(|cost| cost.sku.as_str())))
        .order_by_asc(Column::Id);
    if tx.locks_rows() {
        variants = variants.lock_exclusive();
    }
    let variants = variants.all(tx.db()).await?.into_iter();
    let variants: BTreeMap<String, VariantId> = variants.map(|row| (row.sku, row.id)).collect();
    let known = variant_cost::Entity::find()
        .filter(variant_cost::Column::VariantId.is_in(variants.values().copied()));
    let known = known.all(tx.db()).await?.into_iter();
    let known: BTreeMap<VariantId, variant_cost::Model> =
        known.map(|row| (row.variant_id, row)).collect();

    let (mut checks, mut seen) = (Checks::new(), BTreeSet::new());
    let (mut named, mut rows) = (Vec::new(), Vec::new());
    for (place, cost) in costs.iter().enumerate() {
        let field = format!("input.costs.{place}.sku");
        let Some(id) = variants.get(&cost.sku).copied() else {
            checks.refuse(Problem::not_found("variant").at(&field));
            continue;
        };
        let once = seen.insert(id);
        checks.hold(once, Code::InvalidInput, &field, "a SKU is named once");
        named.push(id);
        let before = known.get(&id);
        let row = variant_cost::Model {
            variant_id: id,
            currency: cost.amount.map(|amount| amount.currency),
            amount_minor: cost.amount.map(|amount| amount.minor),
            version: before.map_or(1, |before| before.version + 1),
            updated_at: tx.now,
        };
        let same = match before {
            Some(before) => {
                (before.currency, before.amount_minor) == (row.currency, row.amount_minor)
            }
            None => row.amount_minor.is_none(),
        };
        if !same {
            rows.push((cost.sku.clone(), before, row));
        }
    }
    checks.done()?;
    for (sku, before, row) in &rows {
        tx.emit(Entry {
            aggregate_type: "variant_cost",
            aggregate_id: row.variant_id.to_string(),
            version: row.version,
            channel_id: None,
            order_id: None,
            moved: None,
            event: Event::VariantCostSaved {
                sku: sku.clone(),
                before: before.and_then(|before| before.amount_minor),
                currency_before: before.and_then(|before| before.currency),
                after: row.amount_minor,
                currency_after: row.currency,
            },
        });
    }
    let rows = rows.into_iter().map(|(_, _, row)| row.into_active_model());
    tx.defer_rows(rows.collect(), |insert| {
        use variant_cost::Column::*;
        insert.on_conflict(
            OnConflict::column(VariantId)
                .update_columns([Currency, AmountMinor, Version, UpdatedAt])
                .to_owned(),
        )
    });
    Ok(named)
}
