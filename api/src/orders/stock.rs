//! Stock that comes, is corrected, or becomes free: whatever is available afterwards goes to
//! those who wait, oldest first, in the same transaction.

use std::collections::{BTreeMap, BTreeSet};

use entity::{
    BinId, ChannelId, InboundId, LineId, OrderId, VariantId, WarehouseId, backorder, bin,
    bin_stock, fulfillment_line, fulfillment_order, reservation, stock_movement,
};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, Set};

use super::allocation::Allocation;
use crate::catalogue::Reference;
use crate::exceptions::Finding;
use crate::failure::{Code, Failure, Problem};
use crate::inventory::{self, Movement, Shelf, inbound};
use crate::tx::Tx;

/// The most units that one receipt or count may have.
pub(super) const MOST_UNITS: i64 = 1_000_000_000;

/// What [`receive`] needs.
pub struct Receive {
    /// What came.
    pub variant_id: VariantId,
    /// Where.
    pub warehouse_id: WarehouseId,
    /// The bin that it was put into; none = the warehouse's first.
    pub bin_id: Option<BinId>,
    /// How many units.
    pub quantity: i64,
    /// The delivery that was expected, if it was.
    pub inbound_id: Option<InboundId>,
    /// The paper behind it.
    pub document: Option<String>,
}

/// Books goods in and gives them to those who wait.
pub async fn receive(tx: &Tx, reference: &Reference, cmd: &Receive) -> Result<(), Failure> {
    if !(1..=MOST_UNITS).contains(&cmd.quantity) {
        return Err(quantity_invalid("input.quantity").into());
    }
    let mut shelf = Shelf::lock(tx, [cmd.variant_id]).await?;
    let mut bin = find_bin(tx, cmd.variant_id, cmd.warehouse_id, cmd.bin_id).await?;
    bin.quantity += cmd.quantity;
    shelf.change(
        tx,
        Movement {
            variant_id: cmd.variant_id,
            warehouse_id: cmd.warehouse_id,
            bin_id: Some(bin.bin_id),
            kind: stock_movement::Kind::Receive,
            on_hand: cmd.quantity,
            reserved: 0,
            reason: None,
            document: cmd.document.clone(),
            order_id: None,
            operation_key: operation(tx),
        },
    );
    inventory::set_bins(tx, [bin]);
    if let Some(id) = cmd.inbound_id {
        inbound::arrive(tx, id, cmd.variant_id, cmd.quantity).await?;
    }
    let mut allocation = Allocation::around(tx, reference, shelf, &[]).await?;
    allocation.serve_waiters(tx);
    allocation.put_back(tx);
    Ok(())
}

/// What [`adjust`] needs.
pub struct Adjust {
    /// What was counted.
    pub variant_id: VariantId,
    /// Where.
    pub warehouse_id: WarehouseId,
    /// The bin; none = the one with the most of it.
    pub bin_id: Option<BinId>,
    /// How many units more or less there are than the books say.
    pub delta: i64,
    /// Why.
    pub reason: String,
    /// The paper behind it.
    pub document: Option<String>,
}

/// Corrects a stock figure by a count. A count is never falsified: where it falls below what is
/// held, the youngest holds go back to the head of the queue, and each of their orders gets an
/// exception.
pub async fn adjust(tx: &Tx, reference: &Reference, cmd: &Adjust) -> Result<(), Failure> {
    let reason = super::text("reason", &cmd.reason)?;
    if cmd.delta == 0 || cmd.delta.unsigned_abs() > MOST_UNITS.unsigned_abs() {
        return Err(quantity_invalid("input.delta").into());
    }
    let mut shelf = Shelf::lock(tx, [cmd.variant_id]).await?;
    let mut bin = find_bin(tx, cmd.variant_id, cmd.warehouse_id, cmd.bin_id).await?;
    if bin.quantity + cmd.delta < 0 {
        return Err(Problem::new(
            Code::StockBelowReserved,
            format!("the bin holds {} units", bin.quantity),
        )
        .at("input.delta")
        .with(serde_json::json!({ "onHand": bin.quantity }))
        .into());
    }
    bin.quantity += cmd.delta;
    shelf.change(
        tx,
        Movement {
            variant_id: cmd.variant_id,
            warehouse_id: cmd.warehouse_id,
            bin_id: Some(bin.bin_id),
            kind: stock_movement::Kind::Adjust,
            on_hand: cmd.delta,
            reserved: 0,
            reason: Some(reason),
            document: cmd.document.clone(),
            order_id: None,
            operation_key: operation(tx),
        },
    );
    inventory::set_bins(tx, [bin]);
    settle(tx, reference, shelf).await
}

/// Puts right what corrected figures have left. Where more is held than is there, the youngest
/// holds go back to the head of the queue, and each of their orders gets an exception; otherwise
/// whoever waits for what has become free gets it.
pub(super) async fn settle(tx: &Tx, reference: &Reference, shelf: Shelf) -> Result<(), Failure> {
    cover(tx, reference, shelf, &[]).await?.put_back(tx);
    Ok(())
}

/// The same, with some orders locked besides, for the caller to write back.
pub async fn cover<'a>(
    tx: &Tx,
    reference: &'a Reference,
    shelf: Shelf,
    besides: &[OrderId],
) -> Result<Allocation<'a>, Failure> {
    let short: BTreeMap<_, _> = shelf
        .rows()
        .filter(|row| row.reserved > row.on_hand)
        .map(|row| {
            let key = (row.variant_id, row.warehouse_id);
            (key, row.reserved - row.on_hand)
        })
        .collect();
    let youngest = youngest_holds(tx, &short).await?;
    let holders: Vec<_> = youngest
        .iter()
        .map(|(held, _)| held.order_id)
        .chain(besides.iter().copied())
        .collect();
    let mut allocation = Allocation::around(tx, reference, shelf, &holders).await?;
    if short.is_empty() {
        allocation.serve_waiters(tx);
    } else {
        // With the orders locked, no hold of theirs becomes firm any more.
        for (held, units) in youngest_holds(tx, &short).await? {
            allocation.take_back(tx, &held, units).await?;
        }
    }
    // Where holds were taken back, the queue as it was read no longer has its head; the allocation
    // worker serves the new one.
    Ok(allocation)
}

/// The youngest holds of stock rows that come to so many units of each, and how many units of each
/// hold those are. The rows are locked, so they stay the same; only firm they may become.
async fn youngest_holds(
    tx: &Tx,
    short: &BTreeMap<(VariantId, WarehouseId), i64>,
) -> Result<Vec<(reservation::Model, i64)>, DbErr> {
    if short.is_empty() {
        return Ok(Vec::new());
    }
    let variants: BTreeSet<VariantId> = short.keys().map(|key| key.0).collect();
    let warehouses: BTreeSet<WarehouseId> = short.keys().map(|key| key.1).collect();
    let mut held = reservation::Entity::find()
        .filter(reservation::Column::VariantId.is_in(variants))
        .filter(reservation::Column::WarehouseId.is_in(warehouses))
        .filter(
            reservation::Column::Status
                .is_in([reservation::Status::Active, reservation::Status::Allocated]),
        )
        .order_by_desc(reservation::Column::CreatedAt)
        .order_by_desc(reservation::Column::Id)
        .all(tx.db())
        .await?;
    let picked = picked(tx, &held).await?;
    // What a picker has in hand goes last.
    held.sort_by_key(|row| picked.contains(&(row.line_id, row.warehouse_id)));
    let mut missing = short.clone();
    Ok(held
        .into_iter()
        .filter_map(|row| {
            let left = missing.get_mut(&(row.variant_id, row.warehouse_id))?;
            let units = std::cmp::min(*left, row.quantity);
            *left -= units;
            (units > 0).then_some((row, units))
        })
        .collect())
}

/// The lines among these holds that units were picked for, each with its warehouse.
async fn picked(
    tx: &Tx,
    held: &[reservation::Model],
) -> Result<BTreeSet<(LineId, WarehouseId)>, DbErr> {
    let rows = fulfillment_line::Entity::find()
        .filter(fulfillment_line::Column::LineId.is_in(held.iter().map(|row| row.line_id)))
        .filter(fulfillment_line::Column::Picked.gt(0))
        .all(tx.db())
        .await?;
    if rows.is_empty() {
        return Ok(BTreeSet::new());
    }
    let work = fulfillment_order::Entity::find()
        .filter(
            fulfillment_order::Column::Id.is_in(rows.iter().map(|row| row.fulfillment_order_id)),
        )
        .filter(fulfillment_order::Column::Status.eq(fulfillment_order::Status::InProgress))
        .all(tx.db())
        .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let of = work.iter().find(|of| of.id == row.fulfillment_order_id)?;
            Some((row.line_id, of.warehouse_id))
        })
        .collect())
}

impl Allocation<'_> {
    /// Takes units of a hold back because they are not there: its line goes to the head of the queue
    /// for them, and its order waits for a person.
    async fn take_back(
        &mut self,
        tx: &Tx,
        held: &reservation::Model,
        units: i64,
    ) -> Result<(), Failure> {
        let Some(aggregate) = self.orders.get_mut(&held.order_id) else {
            return Ok(());
        };
        use reservation::Column;
        let was_soft = held.status == reservation::Status::Active;
        let update = reservation::Entity::update_many()
            .col_expr(Column::UpdatedAt, Expr::value(tx.now))
            .filter(Column::Id.eq(held.id))
            .filter(Column::Status.eq(held.status));
        let update = match units == held.quantity {
            true => update.col_expr(Column::Status, Expr::value(reservation::Status::Released)),
            false => update.col_expr(Column::Quantity, Expr::value(held.quantity - units)),
        };
        if update.exec(tx.db()).await?.rows_affected == 0 {
            return Ok(());
        }
        // From here on, the units that are taken back.
        let held = &reservation::Model {
            quantity: units,
            ..held.clone()
        };
        let sku = aggregate.line_mut(held.line_id).map(|line| {
            if was_soft {
                line.reserved -= held.quantity;
            } else {
                line.allocated -= held.quantity;
            }
            line.backordered += held.quantity;
            line.sku.clone()
        });
        aggregate.reduce_work(tx, held.line_id, held.warehouse_id, held.quantity);
        let place = aggregate
            .lines
            .iter()
            .position(|line| line.id == held.line_id);
        let finding = Finding {
            code: Code::InsufficientStock,
            line: place,
            field: "lines".to_owned(),
            message: format!(
                "a count found {} units of {} too few for this order",
                held.quantity,
                sku.unwrap_or_default()
            ),
            details: serde_json::json!({ "quantity": held.quantity }),
            rule: None,
        };
        super::open_exception(tx, aggregate, &finding);
        let name = format!("free:{}:{}", held.id, tx.id::<uuid::Uuid>());
        self.shelf
            .let_go(tx, held, stock_movement::Kind::Release, name);
        put_at_head(tx, held, aggregate.order.channel_id).await
    }
}

/// Puts a line at the head of its variant's queue, before everybody who waits there. A line that
/// waits already gets the units added to its place.
async fn put_at_head(
    tx: &Tx,
    held: &reservation::Model,
    channel_id: ChannelId,
) -> Result<(), Failure> {
    use backorder::{Column, Entity, Status};
    let waiting = Entity::find()
        .filter(Column::VariantId.eq(held.variant_id))
        .filter(Column::Status.eq(Status::Waiting))
        .order_by_asc(Column::Position)
        .all(tx.db())
        .await?;
    let head = waiting.first().map_or(1, |first| first.position - 1);
    if let Some(own) = waiting.iter().find(|row| row.line_id == held.line_id) {
        let update = backorder::ActiveModel {
            id: Set(own.id),
            quantity: Set(own.quantity + held.quantity),
            position: Set(head),
            updated_at: Set(tx.now),
            ..Default::default()
        };
        Entity::update(update).exec(tx.db()).await?;
        return Ok(());
    }
    let row = backorder::ActiveModel {
        id: Set(tx.id()),
        order_id: Set(held.order_id),
        line_id: Set(held.line_id),
        channel_id: Set(channel_id),
        variant_id: Set(held.variant_id),
        position: Set(head),
        quantity: Set(held.quantity),
        status: Set(Status::Waiting),
        answer: Set(backorder::Answer::None),
        expected_at: Set(None),
        created_at: Set(tx.now),
        updated_at: Set(tx.now),
    };
    Entity::insert(row).exec_without_returning(tx.db()).await?;
    Ok(())
}

/// Gives free stock of a variant to those who wait for it. Says how many got some.
pub async fn serve(tx: &Tx, reference: &Reference, variant: VariantId) -> Result<usize, Failure> {
    let mut allocation = Allocation::lock(tx, reference, BTreeSet::from([variant]), &[]).await?;
    let served = allocation.serve_waiters(tx);
    allocation.put_back(tx);
    Ok(served)
}

/// The bin to book into, as it is now: the one that is asked for, the one with the most of it, or
/// the one where goods come in.
pub async fn find_bin(
    tx: &Tx,
    variant: VariantId,
    warehouse: WarehouseId,
    asked: Option<BinId>,
) -> Result<bin_stock::Model, Failure> {
    let filled = inventory::bins(tx, variant, warehouse).await?;
    let id = match asked {
        Some(id) => {
            bin::Entity::find_by_id(id)
                .one(tx.db())
                .await?
                .filter(|bin| bin.warehouse_id == warehouse)
                .ok_or_else(|| Problem::not_found("bin").at("input.binId"))?
                .id
        }
        None => match filled.first() {
            Some(bin) => bin.bin_id,
            None => {
                inventory::receiving_bin(tx, warehouse)
                    .await?
                    .ok_or_else(|| {
                        Problem::new(Code::InvalidInput, "the warehouse has no bins")
                            .at("input.warehouseId")
                    })?
                    .id
            }
        },
    };
    Ok(filled
        .into_iter()
        .find(|bin| bin.bin_id == id)
        .unwrap_or(bin_stock::Model {
            bin_id: id,
            variant_id: variant,
            warehouse_id: warehouse,
            quantity: 0,
        }))
}

fn operation(tx: &Tx) -> String {
    format!("book:{}", tx.id::<uuid::Uuid>())
}

fn quantity_invalid(field: &str) -> Problem {
    Problem::new(
        Code::QuantityInvalid,
        format!("the quantity must be between 1 and {MOST_UNITS}"),
    )
    .at(field)
}
