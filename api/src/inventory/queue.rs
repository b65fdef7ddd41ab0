//! Who waits for which units. The queue is the variant's, but its places compete only where the
//! same warehouse serves their channels.

use std::collections::BTreeSet;

use entity::{
    ChannelId, OrderId, VariantId, WarehouseId, backorder, channel_warehouse, reservation, stock,
    warehouse,
};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, JoinType, QueryFilter,
    QueryOrder, QuerySelect, RelationTrait, Select,
};

use super::sources;
use crate::tx::Tx;

/// The queues, each place beside the warehouses whose units it is for.
fn queues() -> Select<backorder::Entity> {
    backorder::Entity::find()
        .join(JoinType::InnerJoin, backorder::Relation::ServedBy.def())
        .join(
            JoinType::InnerJoin,
            channel_warehouse::Relation::Warehouse.def(),
        )
        .filter(warehouse::Column::Active.eq(true))
        .filter(backorder::Column::Status.eq(backorder::Status::Waiting))
}

/// The end of one channel's part of a queue.
#[derive(FromQueryResult)]
pub(super) struct End {
    pub(super) variant_id: VariantId,
    channel_id: ChannelId,
    pub(super) last: i64,
}

/// Where the queues of variants end, channel by channel.
pub(super) async fn ends(tx: &Tx, variants: &BTreeSet<VariantId>) -> Result<Vec<End>, DbErr> {
    backorder::Entity::find()
        .select_only()
        .column(backorder::Column::VariantId)
        .column(backorder::Column::ChannelId)
        .column_as(backorder::Column::Position.max(), "last")
        .filter(backorder::Column::VariantId.is_in(variants.iter().copied()))
        .filter(backorder::Column::Status.eq(backorder::Status::Waiting))
        .group_by(backorder::Column::VariantId)
        .group_by(backorder::Column::ChannelId)
        .into_model()
        .all(tx.db())
        .await
}

/// What those who wait in these queues wait for.
pub(super) async fn awaited(
    tx: &Tx,
    ends: &[End],
) -> Result<BTreeSet<(VariantId, WarehouseId)>, DbErr> {
    if ends.is_empty() {
        return Ok(BTreeSet::new());
    }
    let channels: BTreeSet<ChannelId> = ends.iter().map(|end| end.channel_id).collect();
    let serving = channel_warehouse::Entity::find()
        .join(
            JoinType::InnerJoin,
            channel_warehouse::Relation::Warehouse.def(),
        )
        .filter(warehouse::Column::Active.eq(true))
        .filter(channel_warehouse::Column::ChannelId.is_in(channels))
        .all(tx.db())
        .await?;
    let pairs = ends.iter().flat_map(|end| {
        let own = serving.iter();
        own.filter(|row| row.channel_id == end.channel_id)
            .map(|row| (end.variant_id, row.warehouse_id))
    });
    Ok(pairs.collect())
}

/// Those who wait for units of a variant in these warehouses, first come first, so many of them
/// at most: nobody who is left out waits for units there before somebody who is not.
pub async fn waiters(
    tx: &Tx,
    variant: VariantId,
    warehouses: &[WarehouseId],
    most: u64,
) -> Result<Vec<backorder::Model>, DbErr> {
    let mut waiters = queues()
        .filter(backorder::Column::VariantId.eq(variant))
        .filter(channel_warehouse::Column::WarehouseId.is_in(warehouses.iter().copied()))
        .order_by_asc(backorder::Column::Position)
        .limit(most)
        .all(tx.db())
        .await?;
    // Who is served by several of them is found as often.
    waiters.dedup_by_key(|waiter| waiter.id);
    Ok(waiters)
}

/// The variants that somebody waits for while a warehouse that serves them has units.
pub async fn servable(db: &impl ConnectionTrait) -> Result<Vec<VariantId>, DbErr> {
    let there = channel_warehouse::Entity::belongs_to(stock::Entity)
        .from(channel_warehouse::Column::WarehouseId)
        .to(stock::Column::WarehouseId);
    let variant = (backorder::Entity, backorder::Column::VariantId);
    queues()
        .select_only()
        .column(backorder::Column::VariantId)
        .distinct()
        .join(JoinType::InnerJoin, there.into())
        .filter(Expr::col((stock::Entity, stock::Column::VariantId)).equals(variant))
        .filter(sources::free().gt(0))
        .into_tuple()
        .all(db)
        .await
}

/// The stock rows of which orders hold units. Holds come and go under the rows' locks only.
pub async fn held_by(
    tx: &Tx,
    orders: &[OrderId],
) -> Result<BTreeSet<(VariantId, WarehouseId)>, DbErr> {
    let rows: Vec<(VariantId, WarehouseId)> = reservation::Entity::find()
        .select_only()
        .column(reservation::Column::VariantId)
        .column(reservation::Column::WarehouseId)
        .distinct()
        .filter(reservation::Column::OrderId.is_in(orders.iter().copied()))
        .filter(
            reservation::Column::Status
                .is_in([reservation::Status::Active, reservation::Status::Allocated]),
        )
        .into_tuple()
        .all(tx.db())
        .await?;
    Ok(rows.into_iter().collect())
}
