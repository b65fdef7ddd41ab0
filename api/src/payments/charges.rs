//! What shipments owe: a row for each from the moment that its carrier has it, so that none is
//! charged twice.

use chrono::{DateTime, Utc};
use entity::charge::{Column, Entity, Model};
use entity::{OrderId, ShipmentId, payment};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect,
};

use crate::tx::Tx;

/// How many charges are taken up in a round.
const ROUND: u64 = 100;

/// The charges of an order, oldest first.
pub async fn of_order(db: &impl ConnectionTrait, order: OrderId) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::OrderId.eq(order))
        .order_by_asc(Column::Position)
        .all(db)
        .await
}

/// Opens the charge of a shipment. Its order is locked; a second one is refused by the database.
pub async fn open(
    tx: &Tx,
    payment: &payment::Model,
    shipment_id: ShipmentId,
    position: i32,
    amount_minor: i64,
) -> Result<Model, DbErr> {
    let charge = Model {
        shipment_id,
        order_id: payment.order_id,
        payment_id: payment.id,
        position,
        amount_minor,
        captured_minor: 0,
        attempts: 0,
        next_try_at: None,
        opened_at: tx.now,
        captured_at: None,
    };
    Entity::insert(charge.clone().into_active_model())
        .exec_without_returning(tx.db())
        .await?;
    Ok(charge)
}

/// Writes what has become of a charge.
pub async fn write(tx: &Tx, charge: &Model) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::CapturedMinor, Expr::value(charge.captured_minor))
        .col_expr(Column::Attempts, Expr::value(charge.attempts))
        .col_expr(Column::NextTryAt, Expr::value(charge.next_try_at))
        .col_expr(Column::CapturedAt, Expr::value(charge.captured_at))
        .filter(Column::ShipmentId.eq(charge.shipment_id))
        .exec(tx.db())
        .await?;
    Ok(())
}

/// The orders with charges that are to be tried again, the longest overdue first.
pub async fn due(db: &impl ConnectionTrait, now: DateTime<Utc>) -> Result<Vec<OrderId>, DbErr> {
    let mut orders: Vec<OrderId> = Entity::find()
        .select_only()
        .column(Column::OrderId)
        .filter(Column::NextTryAt.lte(now))
        .filter(Expr::col(Column::CapturedMinor).lt(Expr::col(Column::AmountMinor)))
        .order_by_asc(Column::NextTryAt)
        .limit(ROUND)
        .into_tuple()
        .all(db)
        .await?;
    orders.dedup();
    Ok(orders)
}
