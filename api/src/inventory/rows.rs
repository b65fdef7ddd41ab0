//! The stock rows themselves: there is one for every variant in every warehouse, so that whoever
//! wants to change the stock of a variant has something to lock.

use entity::{VariantId, WarehouseId, stock, variant, warehouse};
use sea_orm::sea_query::{Expr, OnConflict, Query};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter};

use super::Shelf;
use crate::checks::Checks;
use crate::events::{Entry, Event};
use crate::failure::{Failure, Problem};
use crate::tx::Tx;

/// The most units that are ever kept back.
const MOST_SAFETY: i64 = 1_000_000_000;

/// Gives new variants a row in every warehouse.
pub async fn open_for_variants(tx: &Tx, variants: &[VariantId]) -> Result<(), DbErr> {
    // Variants and warehouses that are made at the same time do not see each other: the later
    // one must wait, and then finds the earlier.
    advisory(tx, "pg_advisory_xact_lock_shared").await?;
    for part in variants.chunks(1_000) {
        open(tx, variant::Column::Id.is_in(part.iter().copied())).await?;
    }
    Ok(())
}

/// Gives a new warehouse a row for every variant.
pub async fn open_for_warehouse(tx: &Tx, warehouse: WarehouseId) -> Result<(), DbErr> {
    advisory(tx, "pg_advisory_xact_lock").await?;
    open(tx, warehouse::Column::Id.eq(warehouse)).await
}

async fn advisory(tx: &Tx, function: &str) -> Result<(), DbErr> {
    if tx.locks_rows() {
        tx.db()
            .execute_unprepared(&format!("SELECT {function}(hashtext('stock rows'))"))
            .await?;
    }
    Ok(())
}

async fn open(tx: &Tx, which: Expr) -> Result<(), DbErr> {
    let pairs = Query::select()
        .column((variant::Entity, variant::Column::Id))
        .column((warehouse::Entity, warehouse::Column::Id))
        .exprs([0_i64; 4].map(Expr::val))
        .expr(Expr::val(tx.now))
        .from(variant::Entity)
        .from(warehouse::Entity)
        .cond_where(Condition::all().add(which))
        .to_owned();
    let mut insert = Query::insert();
    insert
        .into_table(stock::Entity)
        .columns([
            stock::Column::VariantId,
            stock::Column::WarehouseId,
            stock::Column::OnHand,
            stock::Column::Reserved,
            stock::Column::Safety,
            stock::Column::Version,
            stock::Column::UpdatedAt,
        ])
        .on_conflict(
            OnConflict::columns([stock::Column::VariantId, stock::Column::WarehouseId])
                .do_nothing()
                .to_owned(),
        );
    insert
        .select_from(pairs)
        .map_err(|error| DbErr::Custom(error.to_string()))?;
    tx.db().execute(&insert).await?;
    Ok(())
}

/// Refuses a variant or a warehouse that is not there, before anything is booked on it.
pub async fn require(tx: &Tx, variant: VariantId, warehouse: WarehouseId) -> Result<(), Failure> {
    let mut checks = Checks::new();
    let known = variant::Entity::find_by_id(variant).one(tx.db()).await?;
    if known.is_none() {
        checks.refuse(Problem::not_found("variant").at("input.variantId"));
    }
    let known = warehouse::Entity::find_by_id(warehouse)
        .one(tx.db())
        .await?;
    if known.is_none() {
        checks.refuse(Problem::not_found("warehouse").at("input.warehouseId"));
    }
    checks.done()
}

/// What [`set_safety`] needs.
#[derive(Clone, Copy, Debug)]
pub struct SetSafety {
    /// Of what.
    pub variant_id: VariantId,
    /// Where.
    pub warehouse_id: WarehouseId,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
    /// How many units are never promised.
    pub safety: i64,
}

/// Sets how many units of a stock row are never promised. Units that are held already stay held.
pub async fn set_safety(tx: &Tx, cmd: SetSafety) -> Result<stock::Model, Failure> {
    require(tx, cmd.variant_id, cmd.warehouse_id).await?;
    let mut checks = Checks::new();
    checks.count("input.safety", cmd.safety, 0, MOST_SAFETY);
    checks.done()?;
    // What becomes free is given away next, so the variant's rows are locked as for that.
    let mut row = Shelf::lock(tx, [cmd.variant_id])
        .await?
        .rows()
        .find(|row| row.warehouse_id == cmd.warehouse_id)
        .cloned()
        .ok_or_else(|| Problem::not_found("stock"))?;
    crate::checks::expect_version("stock", row.version, cmd.expected_version)?;
    let before = std::mem::replace(&mut row.safety, cmd.safety);
    row.version += 1;
    row.updated_at = tx.now;
    stock::Entity::update_many()
        .col_expr(stock::Column::Safety, Expr::value(row.safety))
        .col_expr(stock::Column::Version, Expr::value(row.version))
        .col_expr(stock::Column::UpdatedAt, Expr::value(row.updated_at))
        .filter(stock::Column::VariantId.eq(row.variant_id))
        .filter(stock::Column::WarehouseId.eq(row.warehouse_id))
        .exec(tx.db())
        .await?;
    tx.emit(Entry {
        aggregate_type: "stock",
        aggregate_id: format!("{}/{}", row.variant_id, row.warehouse_id),
        version: row.version,
        channel_id: None,
        order_id: None,
        moved: None,
        event: Event::StockSafetySet {
            variant_id: row.variant_id,
            warehouse_id: row.warehouse_id,
            before,
            safety: row.safety,
        },
    });
    Ok(row)
}
