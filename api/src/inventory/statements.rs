//! What sources last said, SKU by SKU, and where that differed from the ledger.
//!
//! A figure says what was there at its moment, so it is held against what the ledger had for that
//! moment: what was booked here since is not undone by it. A SKU that a full snapshot leaves out is
//! not taken for none. Silence is no count: its figure stays, and the difference is reported.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use entity::{
    StockSourceId, VariantId, WarehouseId, stock, stock_drift, stock_movement, stock_statement,
};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query};
use sea_orm::{
    ColumnTrait, Condition, DbErr, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect,
};

use crate::failure::Failure;
use crate::tx::Tx;

/// What the names of movements begin with by which feeds correct the ledger.
const BY_FEED: &str = "feed:";

/// How many SKUs that were left out one transaction notes at most.
pub const MISSING_AT_ONCE: u64 = 500;

/// A stock row's key.
pub type Key = (VariantId, WarehouseId);

/// A name for a movement by which a feed corrects the ledger.
pub fn operation(tx: &Tx) -> String {
    format!("{BY_FEED}{}", tx.id::<uuid::Uuid>())
}

/// What a source last said of these. What another source said of them before does not count.
pub async fn last(
    tx: &Tx,
    source: StockSourceId,
    of: &BTreeSet<Key>,
) -> Result<BTreeMap<Key, stock_statement::Model>, DbErr> {
    use stock_statement::Column;
    let rows = stock_statement::Entity::find()
        .filter(Column::SourceId.eq(source))
        .filter(Column::VariantId.is_in(variants(of)))
        .filter(Column::WarehouseId.is_in(warehouses(of)))
        .all(tx.db())
        .await?;
    let rows = rows.into_iter();
    Ok(rows
        .map(|row| ((row.variant_id, row.warehouse_id), row))
        .collect())
}

/// What was booked on these since a moment, each with its own: corrections by feeds are what their
/// sources knew, and not booked here.
pub async fn booked_since(
    tx: &Tx,
    since: DateTime<Utc>,
    of: &BTreeSet<Key>,
) -> Result<BTreeMap<Key, Vec<(DateTime<Utc>, i64)>>, DbErr> {
    use stock_movement::Column;
    let rows: Vec<(VariantId, WarehouseId, DateTime<Utc>, i64)> = stock_movement::Entity::find()
        .select_only()
        .column(Column::VariantId)
        .column(Column::WarehouseId)
        .column(Column::OccurredAt)
        .column(Column::DeltaOnHand)
        .filter(Column::VariantId.is_in(variants(of)))
        .filter(Column::WarehouseId.is_in(warehouses(of)))
        .filter(Column::OccurredAt.gt(since))
        .filter(Column::DeltaOnHand.ne(0))
        .filter(Column::OperationKey.not_like(format!("{BY_FEED}%")))
        .into_tuple()
        .all(tx.db())
        .await?;
    let mut booked: BTreeMap<Key, Vec<(DateTime<Utc>, i64)>> = BTreeMap::new();
    for (variant, warehouse, at, delta) in rows {
        booked
            .entry((variant, warehouse))
            .or_default()
            .push((at, delta));
    }
    Ok(booked)
}

/// Writes what was said and where it differed. The stock rows are locked.
pub fn write(tx: &Tx, mut said: Vec<stock_statement::Model>, drift: Vec<stock_drift::Model>) {
    // In the order in which those that are missing are noted, who does not lock the stock rows.
    said.sort_by_key(|row| (row.variant_id, row.warehouse_id));
    let said = said.into_iter().map(|row| row.into_active_model());
    tx.defer_rows(said.collect(), |insert| {
        use stock_statement::Column::*;
        insert.on_conflict(
            OnConflict::columns([VariantId, WarehouseId])
                .update_columns([
                    SourceId,
                    OnHand,
                    ObservedAt,
                    FeedVersion,
                    NamedAt,
                    MissingSince,
                ])
                .to_owned(),
        )
    });
    write_drift(tx, drift);
}

fn write_drift(tx: &Tx, drift: Vec<stock_drift::Model>) {
    let rows: Vec<_> = drift
        .into_iter()
        .map(|row| row.into_active_model())
        .collect();
    tx.defer_rows(rows, |insert| insert);
}

/// Notes some of the SKUs of a source's warehouses that its full snapshot of a moment left out and
/// that are not noted yet, and says how many: those that have units, and those that it named before.
pub async fn note_missing(
    tx: &Tx,
    source: StockSourceId,
    warehouses: &[WarehouseId],
    observed_at: DateTime<Utc>,
) -> Result<u64, Failure> {
    use stock_statement::{Column, Entity};
    let said = |more: Condition| {
        let own = (Entity, Column::VariantId);
        let mut query = Query::select();
        query
            .expr(Expr::val(1))
            .from(Entity)
            .and_where(Expr::col(own).equals((stock::Entity, stock::Column::VariantId)))
            .and_where(
                Expr::col((Entity, Column::WarehouseId))
                    .equals((stock::Entity, stock::Column::WarehouseId)),
            )
            .and_where(Expr::col((Entity, Column::SourceId)).eq(source))
            .cond_where(more);
        Expr::exists(query.to_owned())
    };
    let col = |column| Expr::col((Entity, column));
    let settled = Condition::any()
        .add(col(Column::NamedAt).gte(observed_at))
        .add(col(Column::MissingSince).is_not_null());
    let wanted = Condition::any().add(stock::Column::OnHand.gt(0)).add(said(
        Condition::all().add(col(Column::OnHand).is_not_null()),
    ));
    let rows = stock::Entity::find()
        .filter(stock::Column::WarehouseId.is_in(warehouses.iter().copied()))
        .filter(wanted)
        .filter(said(settled).not())
        .order_by_asc(stock::Column::VariantId)
        .order_by_asc(stock::Column::WarehouseId)
        .limit(MISSING_AT_ONCE)
        .all(tx.db())
        .await?;
    let missing = rows.iter().map(|row| {
        stock_statement::Model {
            variant_id: row.variant_id,
            warehouse_id: row.warehouse_id,
            source_id: source,
            on_hand: None,
            observed_at: None,
            feed_version: None,
            named_at: None,
            missing_since: Some(observed_at),
        }
        .into_active_model()
    });
    tx.defer_rows(missing.collect(), |insert| {
        // A newer feed may have named it since it was read.
        let unnamed = Condition::any()
            .add(col(Column::NamedAt).is_null())
            .add(col(Column::NamedAt).lt(observed_at));
        insert.on_conflict(
            OnConflict::columns([Column::VariantId, Column::WarehouseId])
                .update_columns([Column::SourceId, Column::MissingSince])
                .action_cond_where(unnamed)
                .to_owned(),
        )
    });
    let drift = rows.iter().map(|row| stock_drift::Model {
        id: tx.id(),
        source_id: source,
        variant_id: row.variant_id,
        warehouse_id: row.warehouse_id,
        kind: stock_drift::Kind::Missing,
        stated: None,
        had: row.on_hand,
        observed_at,
        found_at: tx.now,
    });
    write_drift(tx, drift.collect());
    Ok(rows.len() as u64)
}

/// How many SKUs a source's full snapshots leave out.
pub(super) async fn missing(tx: &Tx, source: StockSourceId) -> Result<i64, DbErr> {
    use stock_statement::{Column, Entity};
    let count = Entity::find()
        .filter(Column::SourceId.eq(source))
        .filter(Column::MissingSince.is_not_null())
        .count(tx.db())
        .await?;
    Ok(i64::try_from(count).unwrap_or(i64::MAX))
}

/// Forgets what a source said of warehouses that it no longer speaks for. How many SKUs its full
/// snapshots leave out of those that are left.
pub(super) async fn forget_others(
    tx: &Tx,
    source: StockSourceId,
    warehouses: &[WarehouseId],
) -> Result<i64, DbErr> {
    use stock_statement::{Column, Entity};
    Entity::delete_many()
        .filter(Column::SourceId.eq(source))
        .filter(Column::WarehouseId.is_not_in(warehouses.iter().copied()))
        .exec(tx.db())
        .await?;
    missing(tx, source).await
}

fn variants(of: &BTreeSet<Key>) -> BTreeSet<VariantId> {
    of.iter().map(|key| key.0).collect()
}

fn warehouses(of: &BTreeSet<Key>) -> BTreeSet<WarehouseId> {
    of.iter().map(|key| key.1).collect()
}
