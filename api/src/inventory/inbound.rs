//! Deliveries that are expected. Their arrival is booked with the stock that they bring.

use chrono::{DateTime, Utc};
use entity::inbound_supply::Status;
use entity::{InboundId, VariantId, WarehouseId, inbound_supply};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use super::rows;
use crate::checks::Checks;
use crate::events::{Changes, Entry, Event};
use crate::failure::{Code, Failure, Problem};
use crate::tx::Tx;

/// The most units of one delivery.
const MOST_UNITS: i64 = 1_000_000_000;

/// What [`expect`] needs.
#[derive(Clone, Debug)]
pub struct Expect {
    /// What comes.
    pub variant_id: VariantId,
    /// Where to.
    pub warehouse_id: WarehouseId,
    /// How many units.
    pub quantity: i64,
    /// When.
    pub expected_at: DateTime<Utc>,
    /// From whom.
    pub supplier: Option<String>,
    /// The purchase order.
    pub reference: Option<String>,
}

/// Enters a delivery that is expected.
pub async fn expect(tx: &Tx, cmd: &Expect) -> Result<inbound_supply::Model, Failure> {
    rows::require(tx, cmd.variant_id, cmd.warehouse_id).await?;
    let mut checks = Checks::new();
    checks.count("input.quantity", cmd.quantity, 1, MOST_UNITS);
    let row = inbound_supply::Model {
        id: tx.id(),
        variant_id: cmd.variant_id,
        warehouse_id: cmd.warehouse_id,
        quantity: cmd.quantity,
        received: 0,
        expected_at: cmd.expected_at,
        supplier: checks.text("input.supplier", cmd.supplier.as_deref()),
        reference: checks.text("input.reference", cmd.reference.as_deref()),
        status: Status::Expected,
        created_at: tx.now,
    };
    checks.done()?;
    let insert: inbound_supply::ActiveModel = row.clone().into();
    inbound_supply::Entity::insert(insert)
        .exec_without_returning(tx.db())
        .await?;
    changed(tx, None, &row);
    Ok(row)
}

/// Counts what has arrived of a delivery. What was cancelled and comes after all is counted, too,
/// and the rest of it is expected no more than before.
pub async fn arrive(
    tx: &Tx,
    id: InboundId,
    variant: VariantId,
    quantity: i64,
) -> Result<(), Failure> {
    let mut row = lock(tx, id)
        .await?
        .filter(|row| row.variant_id == variant)
        .ok_or_else(|| Problem::not_found("inbound supply").at("input.inboundSupplyId"))?;
    let before = row.clone();
    row.received += quantity;
    row.status = match row.status {
        _ if row.received >= row.quantity => Status::Received,
        Status::Cancelled => Status::Cancelled,
        _ => Status::PartlyReceived,
    };
    inbound_supply::Entity::update_many()
        .col_expr(inbound_supply::Column::Received, Expr::value(row.received))
        .col_expr(inbound_supply::Column::Status, Expr::value(row.status))
        .filter(inbound_supply::Column::Id.eq(row.id))
        .exec(tx.db())
        .await?;
    changed(tx, Some(&before), &row);
    Ok(())
}

/// What [`cancel`] needs.
#[derive(Clone, Copy, Debug)]
pub struct Cancel {
    /// Which delivery.
    pub id: InboundId,
}

/// Says that (the rest of) a delivery will not come. Doing it twice changes nothing.
pub async fn cancel(tx: &Tx, cmd: Cancel) -> Result<inbound_supply::Model, Failure> {
    let mut row = lock(tx, cmd.id)
        .await?
        .ok_or_else(|| Problem::not_found("inbound supply").at("input.id"))?;
    match row.status {
        Status::Expected | Status::PartlyReceived => {}
        Status::Cancelled => return Ok(row),
        Status::Received => {
            return Err(
                Problem::new(Code::InvalidInput, "all of the delivery has arrived")
                    .at("input.id")
                    .into(),
            );
        }
    }
    let before = row.clone();
    row.status = Status::Cancelled;
    inbound_supply::Entity::update_many()
        .col_expr(inbound_supply::Column::Status, Expr::value(row.status))
        .filter(inbound_supply::Column::Id.eq(row.id))
        .exec(tx.db())
        .await?;
    changed(tx, Some(&before), &row);
    Ok(row)
}

async fn lock(tx: &Tx, id: InboundId) -> Result<Option<inbound_supply::Model>, DbErr> {
    let mut found = inbound_supply::Entity::find_by_id(id);
    if tx.locks_rows() {
        found = found.lock_exclusive();
    }
    found.one(tx.db()).await
}

/// Rows have no version, so each change is an aggregate of its own in the log.
fn changed(tx: &Tx, before: Option<&inbound_supply::Model>, row: &inbound_supply::Model) {
    let change: Uuid = tx.id();
    tx.emit(Entry {
        aggregate_type: "inbound_supply",
        aggregate_id: format!("{}/{change}", row.id),
        version: 1,
        channel_id: None,
        order_id: None,
        moved: None,
        event: Event::CatalogueChanged {
            kind: "inbound_supply".to_owned(),
            code: row.id.to_string(),
            changes: Changes::between(before, row),
        },
    });
}
