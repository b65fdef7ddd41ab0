//! What lies in which bin. The bins of a warehouse add up to its stock on hand; who changes what
//! lies in them holds the stock row's lock.

use std::collections::BTreeSet;

use entity::bin::Purpose;
use entity::{BinId, OrderId, VariantId, WarehouseId, bin, bin_stock, stock_movement};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query, SimpleExpr};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, Set};

use crate::tx::Tx;

/// What the bin of a row is for.
fn purpose() -> SimpleExpr {
    let purpose = Query::select()
        .column((bin::Entity, bin::Column::Purpose))
        .from(bin::Entity)
        .and_where(
            Expr::col((bin::Entity, bin::Column::Id))
                .equals((bin_stock::Entity, bin_stock::Column::BinId)),
        )
        .to_owned();
    SimpleExpr::SubQuery(None, Box::new(purpose.into()))
}

/// The units that lie in the bins of a warehouse that goods are kept in, fullest bin first.
pub async fn bins(
    tx: &Tx,
    variant: VariantId,
    warehouse: WarehouseId,
) -> Result<Vec<bin_stock::Model>, DbErr> {
    bin_stock::Entity::find()
        .filter(bin_stock::Column::VariantId.eq(variant))
        .filter(bin_stock::Column::WarehouseId.eq(warehouse))
        .filter(purpose().eq(Purpose::Storage))
        .order_by_desc(bin_stock::Column::Quantity)
        .order_by_asc(bin_stock::Column::BinId)
        .all(tx.db())
        .await
}

/// The same of several stock rows at once, what lies at staging last.
pub async fn bins_of(
    tx: &Tx,
    of: &BTreeSet<(VariantId, WarehouseId)>,
) -> Result<Vec<bin_stock::Model>, DbErr> {
    let variants: BTreeSet<VariantId> = of.iter().map(|key| key.0).collect();
    let warehouses: BTreeSet<WarehouseId> = of.iter().map(|key| key.1).collect();
    bin_stock::Entity::find()
        .filter(bin_stock::Column::VariantId.is_in(variants))
        .filter(bin_stock::Column::WarehouseId.is_in(warehouses))
        // STORAGE comes after STAGING.
        .order_by_desc(purpose())
        .order_by_desc(bin_stock::Column::Quantity)
        .order_by_asc(bin_stock::Column::BinId)
        .all(tx.db())
        .await
}

/// The bin that goods are put into when nobody says where: the warehouse's first by code.
pub async fn receiving_bin(tx: &Tx, warehouse: WarehouseId) -> Result<Option<bin::Model>, DbErr> {
    bin::Entity::find()
        .filter(bin::Column::WarehouseId.eq(warehouse))
        .filter(bin::Column::Purpose.eq(Purpose::Storage))
        .order_by_asc(bin::Column::Code)
        .one(tx.db())
        .await
}

/// Writes how much lies in bins. The stock rows above them are locked.
pub fn set_bins(tx: &Tx, bins: impl IntoIterator<Item = bin_stock::Model>) {
    let rows = bins.into_iter().map(|bin| bin_stock::ActiveModel {
        bin_id: Set(bin.bin_id),
        variant_id: Set(bin.variant_id),
        warehouse_id: Set(bin.warehouse_id),
        quantity: Set(bin.quantity),
    });
    tx.defer_rows(rows.collect(), |insert| {
        insert.on_conflict(
            OnConflict::columns([bin_stock::Column::BinId, bin_stock::Column::VariantId])
                .update_column(bin_stock::Column::Quantity)
                .to_owned(),
        )
    });
}

/// Where a warehouse puts what it has picked, made when it is first needed.
pub async fn staging_bin(tx: &Tx, warehouse: WarehouseId) -> Result<bin::Model, DbErr> {
    let find = || {
        bin::Entity::find()
            .filter(bin::Column::WarehouseId.eq(warehouse))
            .filter(bin::Column::Purpose.eq(Purpose::Staging))
    };
    if let Some(bin) = find().one(tx.db()).await? {
        return Ok(bin);
    }
    let row = bin::ActiveModel {
        id: Set(tx.id()),
        warehouse_id: Set(warehouse),
        code: Set(STAGING.to_owned()),
        zone: Set(String::new()),
        aisle: Set(String::new()),
        bay: Set(String::new()),
        level: Set(String::new()),
        position: Set(String::new()),
        locked: Set(false),
        purpose: Set(Purpose::Staging),
    };
    // Another picker may make it at the same moment.
    bin::Entity::insert(row)
        .on_conflict_do_nothing()
        .exec_without_returning(tx.db())
        .await?;
    let made = find().one(tx.db()).await?;
    made.ok_or_else(|| {
        DbErr::RecordNotFound(format!("a bin other than staging is called {STAGING}"))
    })
}

/// What the label of a staging bin says.
pub const STAGING: &str = "STAGING";

/// Units that go from one bin of a warehouse to another.
#[derive(Clone, Copy, Debug)]
pub struct Relocation {
    /// What.
    pub variant_id: VariantId,
    /// Where.
    pub warehouse_id: WarehouseId,
    /// From which bin.
    pub from: BinId,
    /// Into which.
    pub to: BinId,
    /// How many units.
    pub units: i64,
    /// For which order.
    pub order_id: Option<OrderId>,
}

/// Moves units between bins: stock on hand stays what it is. The caller has locked the stock row
/// and has seen that the units are there.
pub fn relocate(
    tx: &Tx,
    kind: stock_movement::Kind,
    moved: Relocation,
    from: &bin_stock::Model,
    to: Option<&bin_stock::Model>,
) {
    if moved.from == moved.to {
        return;
    }
    let bin = |bin_id, quantity| bin_stock::Model {
        bin_id,
        variant_id: moved.variant_id,
        warehouse_id: moved.warehouse_id,
        quantity,
    };
    set_bins(
        tx,
        [
            bin(moved.from, from.quantity - moved.units),
            bin(moved.to, to.map_or(0, |to| to.quantity) + moved.units),
        ],
    );
    record(tx, kind, moved);
}

/// The two entries of the ledger for units that change their bin.
pub fn record(tx: &Tx, kind: stock_movement::Kind, moved: Relocation) {
    let entry = |bin_id, delta| stock_movement::ActiveModel {
        id: Set(tx.id()),
        variant_id: Set(moved.variant_id),
        warehouse_id: Set(moved.warehouse_id),
        bin_id: Set(Some(bin_id)),
        kind: Set(kind),
        delta_on_hand: Set(delta),
        delta_reserved: Set(0),
        reason: Set(None),
        document: Set(None),
        order_id: Set(moved.order_id),
        actor: Set(tx.actor.name.clone()),
        operation_key: Set(format!("bin:{}", tx.id::<uuid::Uuid>())),
        occurred_at: Set(tx.now),
    };
    let entries = vec![
        entry(moved.from, -moved.units),
        entry(moved.to, moved.units),
    ];
    tx.defer_rows(entries, |insert| insert);
}
