//! From a released order to a parcel that has left: which warehouse sends what, in which wave, from
//! which bin, scanned twice, packed, labelled, handed over.
//!
//! What the warehouses have of an order is part of the order ([`crate::orders::work`]); this room is
//! what people do with it. Every command locks the stock rows that it touches, then the orders, as
//! everybody does. A scan that is refused changes nothing but is written down and counted.

use entity::order::Status as OrderStatus;
use entity::{FulfillmentOrderId, OrderId, counter, fulfillment_order};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter};
use serde_json::json;

use crate::failure::{Code, Failure, Problem};
use crate::orders::aggregate::{self, Aggregate};
use crate::orders::work::Work;
use crate::tx::Tx;

pub mod cartons;
pub mod dispatch;
pub mod labels;
pub mod lists;
pub mod packing;
pub mod paper;
pub mod picking;
pub mod routing;
pub mod scans;
pub mod tracking;
pub mod waves;

/// Draws the next number of a kind.
async fn next_number(tx: &Tx, counter: &str, prefix: &str) -> Result<String, DbErr> {
    let drawn = counter::Entity::update_many()
        .col_expr(
            counter::Column::Value,
            Expr::col(counter::Column::Value).add(1_i64),
        )
        .filter(counter::Column::Name.eq(counter))
        .exec_with_returning(tx.db())
        .await?;
    drawn
        .first()
        .map(|row| format!("{prefix}{:05}", row.value))
        .ok_or_else(|| DbErr::RecordNotFound(format!("the counter {counter}")))
}

/// The order that work is of.
async fn order_of(tx: &Tx, id: FulfillmentOrderId) -> Result<OrderId, Failure> {
    let row = fulfillment_order::Entity::find_by_id(id)
        .one(tx.db())
        .await?
        .ok_or_else(|| Problem::not_found("fulfillment order").at("input.id"))?;
    Ok(row.order_id)
}

/// Locks one order.
async fn lock_order(tx: &Tx, id: OrderId) -> Result<Aggregate, Failure> {
    match aggregate::lock(tx, [id]).await?.remove(&id) {
        Some(aggregate) => Ok(aggregate),
        None => Err(crate::orders::archive::absent(tx.db(), id).await?.into()),
    }
}

/// The work under an id, of a locked order, if it was not taken away.
fn work_of(aggregate: &Aggregate, id: FulfillmentOrderId) -> Result<&Work, Problem> {
    aggregate.work(id).ok_or_else(|| {
        Problem::new(
            Code::FulfillmentStateInvalid,
            "the work was taken away from the warehouse",
        )
        .at("input.id")
        .with(json!({ "status": fulfillment_order::Status::Cancelled }))
    })
}

/// Refuses work that is not in one of these states.
fn expect(work: &Work, allowed: &[fulfillment_order::Status]) -> Result<(), Problem> {
    if allowed.contains(&work.row.status) {
        return Ok(());
    }
    let status = work.row.status;
    let name = serde_json::to_value(status).unwrap_or_default();
    let name = name.as_str().unwrap_or_default().replace('_', " ");
    Err(Problem::new(
        Code::FulfillmentStateInvalid,
        format!("{} is {}", work.row.number, name.to_lowercase()),
    )
    .with(json!({ "status": status })))
}

/// Why nothing of an order may be released or leave now.
fn stopped(aggregate: &Aggregate) -> Option<&'static str> {
    if aggregate.order.status != OrderStatus::Confirmed {
        Some("the order is not released to the warehouse")
    } else if aggregate.is_blocked() {
        Some("a hold or an exception stops the order")
    } else {
        None
    }
}
