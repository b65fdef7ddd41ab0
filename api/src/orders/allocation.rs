//! A change of stock with everything that it can touch, locked in the one order: stock rows
//! first, then the orders concerned, those of waiters included.

use std::collections::{BTreeMap, BTreeSet};

use entity::order::Status;
use entity::{
    LineId, OrderId, VariantId, WarehouseId, backorder, order_line, reservation, stock_movement,
};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QueryTrait};

use super::aggregate::{self, Aggregate, missing};
use crate::catalogue::Reference;
use crate::events::Event;
use crate::failure::Failure;
use crate::inventory::{self, Demand, Shelf, Strength};
use crate::tx::Tx;

/// How many waiters of a variant one transaction serves at most; the allocation worker goes on
/// with the rest.
const WAITERS: u64 = 200;

/// The stock rows of some variants, those who wait for them, and orders: all locked.
pub struct Allocation<'a> {
    reference: &'a Reference,
    /// The stock rows.
    pub shelf: Shelf,
    /// The orders: those asked for, and those of waiters.
    pub orders: BTreeMap<OrderId, Aggregate>,
    waiters: Vec<backorder::Model>,
}

/// The variants of an order's lines. Lines do not change their variant, so no lock is needed.
pub async fn variants_of(tx: &Tx, orders: &[OrderId]) -> Result<BTreeSet<VariantId>, Failure> {
    Ok(order_line::Entity::find()
        .filter(order_line::Column::OrderId.is_in(orders.iter().copied()))
        .all(tx.db())
        .await?
        .into_iter()
        .filter_map(|line| line.variant_id)
        .collect())
}

impl<'a> Allocation<'a> {
    /// Locks stock, then orders.
    pub async fn lock(
        tx: &Tx,
        reference: &'a Reference,
        variants: BTreeSet<VariantId>,
        orders: &[OrderId],
    ) -> Result<Allocation<'a>, Failure> {
        let shelf = Shelf::lock(tx, variants).await?;
        Allocation::around(tx, reference, shelf, orders).await
    }

    /// Locks the orders around stock that is locked: those asked for, and those that wait for what
    /// is free there, or for what may become free because the orders asked for hold it.
    pub async fn around(
        tx: &Tx,
        reference: &'a Reference,
        shelf: Shelf,
        orders: &[OrderId],
    ) -> Result<Allocation<'a>, Failure> {
        let held = if shelf.awaited().next().is_some() && !orders.is_empty() {
            inventory::held_by(tx, orders).await?
        } else {
            BTreeSet::new()
        };
        let mut wanted: BTreeMap<VariantId, Vec<WarehouseId>> = BTreeMap::new();
        for row in shelf.awaited() {
            let key = (row.variant_id, row.warehouse_id);
            if shelf.free(row) > 0 || held.contains(&key) {
                wanted.entry(key.0).or_default().push(key.1);
            }
        }
        let mut waiters = Vec::new();
        for (variant, warehouses) in wanted {
            waiters.extend(inventory::waiters(tx, variant, &warehouses, WAITERS).await?);
        }
        let concerned = orders
            .iter()
            .copied()
            .chain(waiters.iter().map(|w| w.order_id));
        let orders = aggregate::lock(tx, concerned).await?;
        Ok(Allocation {
            reference,
            shelf,
            orders,
            waiters,
        })
    }

    /// The warehouses that serve an order's channel, first asked first.
    fn warehouses(&self, order: OrderId) -> &'a [WarehouseId] {
        self.orders
            .get(&order)
            .and_then(|aggregate| self.reference.channel(aggregate.order.channel_id))
            .map_or(&[], |channel| channel.warehouses.as_slice())
    }

    /// How long a soft hold for an order lives.
    fn hold_time(&self, order: OrderId) -> chrono::TimeDelta {
        let channel = self
            .orders
            .get(&order)
            .and_then(|aggregate| self.reference.channel(aggregate.order.channel_id));
        chrono::TimeDelta::seconds(channel.map_or(900, |channel| channel.row.reservation_ttl_secs))
    }

    /// Gives what is available to those who wait, oldest first. The head of a queue takes what
    /// there is where its channel is served, even if it wants more; nobody overtakes it there.
    /// Returns how many got some.
    pub fn serve_waiters(&mut self, tx: &Tx) -> usize {
        let mut served = 0;
        for mut waiter in std::mem::take(&mut self.waiters) {
            let warehouses = self.warehouses(waiter.order_id);
            let required = self.authorization_required(waiter.order_id);
            let until = tx.now + self.hold_time(waiter.order_id);
            let Some(aggregate) = self.orders.get_mut(&waiter.order_id) else {
                continue;
            };
            if waiter.status != backorder::Status::Waiting {
                continue;
            }
            // An order that is stopped or not paid for gets its units for a time only: if nothing
            // comes of it, they go to the next in line. One that was confirmed has earned them.
            let ready = aggregate.order.status == Status::Confirmed
                || !aggregate.is_blocked() && aggregate.is_paid_for(tx, required);
            let strength = if ready {
                Strength::Firm
            } else {
                Strength::Soft(until)
            };
            let got = self.shelf.serve(tx, &waiter, warehouses, strength);
            if got == 0 {
                continue;
            }
            served += 1;
            waiter.quantity -= got;
            write_waiter(tx, &waiter, backorder::Status::Allocated);
            if let Some(line) = aggregate.line_mut(waiter.line_id) {
                line.backordered -= got;
                if ready {
                    line.allocated += got;
                } else {
                    line.reserved += got;
                }
            }
            let waiting = aggregate.lines.iter().map(|line| line.backordered).sum();
            aggregate.record(
                tx,
                Event::OrderBackorderAllocated {
                    variant_id: waiter.variant_id,
                    quantity: got,
                    waiting,
                },
            );
        }
        served
    }

    /// Gives up an order's places in queues.
    pub fn cancel_waiting(&mut self, tx: &Tx, order: OrderId) {
        for waiter in self
            .waiters
            .iter_mut()
            .filter(|waiter| waiter.order_id == order)
        {
            waiter.status = backorder::Status::Cancelled;
        }
        use backorder::Column;
        tx.defer(
            backorder::Entity::update_many()
                .col_expr(Column::Status, Expr::value(backorder::Status::Cancelled))
                .col_expr(Column::UpdatedAt, Expr::value(tx.now))
                .filter(Column::OrderId.eq(order))
                .filter(Column::Status.eq(backorder::Status::Waiting))
                .into_query(),
        );
    }

    /// Gives a line's place in a queue to a line of another order, which was written already.
    pub async fn move_place(
        &mut self,
        tx: &Tx,
        from: LineId,
        order: OrderId,
        line: LineId,
    ) -> Result<(), Failure> {
        use backorder::{Column, Status};
        backorder::Entity::update_many()
            .col_expr(Column::OrderId, Expr::value(order))
            .col_expr(Column::LineId, Expr::value(line))
            .col_expr(Column::UpdatedAt, Expr::value(tx.now))
            .filter(Column::LineId.eq(from))
            .filter(Column::Status.eq(Status::Waiting))
            .exec(tx.db())
            .await?;
        for waiter in self
            .waiters
            .iter_mut()
            .filter(|waiter| waiter.line_id == from)
        {
            (waiter.order_id, waiter.line_id) = (order, line);
        }
        Ok(())
    }

    /// How many units of a variant can be promised to an order.
    pub fn available(&self, order: OrderId, variant: VariantId) -> i64 {
        self.shelf.available(variant, self.warehouses(order))
    }

    /// Lets go of units of an order's lines: first those that it neither has nor waits for, then
    /// its places in queues, then what is held for it, soft before firm.
    pub async fn give_up(
        &mut self,
        tx: &Tx,
        order: OrderId,
        units: &BTreeMap<LineId, i64>,
    ) -> Result<(), Failure> {
        let Some(aggregate) = self.orders.get_mut(&order) else {
            return Ok(());
        };
        let version = aggregate.order.version;
        let mut left: BTreeMap<LineId, i64> = BTreeMap::new();
        for (id, units) in units {
            let Some(line) = aggregate.line_mut(*id) else {
                continue;
            };
            let mut more = units - std::cmp::min(*units, missing(line));
            let waiting = std::cmp::min(more, line.backordered);
            if waiting > 0 {
                line.backordered -= waiting;
                more -= waiting;
                wait_for_less(tx, &mut self.waiters, *id, waiting).await?;
            }
            if more > 0 {
                left.insert(*id, more);
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        use reservation::{Column, Status};
        let held = reservation::Entity::find()
            .filter(Column::LineId.is_in(left.keys().copied()))
            .filter(Column::Status.is_in([Status::Active, Status::Allocated]))
            // ACTIVE comes before ALLOCATED.
            .order_by_asc(Column::Status)
            .order_by_desc(Column::Id)
            .all(tx.db())
            .await?;
        for mut held in held {
            let Some(more) = left.get_mut(&held.line_id).filter(|more| **more > 0) else {
                continue;
            };
            let freed = std::cmp::min(*more, held.quantity);
            *more -= freed;
            let update = reservation::Entity::update_many()
                .col_expr(Column::UpdatedAt, Expr::value(tx.now))
                .filter(Column::Id.eq(held.id));
            let update = if freed == held.quantity {
                update.col_expr(Column::Status, Expr::value(Status::Released))
            } else {
                update.col_expr(Column::Quantity, Expr::value(held.quantity - freed))
            };
            update.exec(tx.db()).await?;
            if let Some(line) = aggregate.line_mut(held.line_id) {
                match held.status {
                    Status::Active => line.reserved -= freed,
                    _ => line.allocated -= freed,
                }
            }
            held.quantity = freed;
            let name = format!("free:{}:{version}", held.id);
            self.shelf
                .let_go(tx, &held, stock_movement::Kind::Release, name);
        }
        Ok(())
    }

    /// Moves units that are held for a line for good from one warehouse to another. Says how many
    /// went: no more than can be promised there.
    pub async fn relocate(
        &mut self,
        tx: &Tx,
        order: OrderId,
        line: LineId,
        (from, to): (WarehouseId, WarehouseId),
        units: i64,
    ) -> Result<i64, Failure> {
        use reservation::{Column, Status};
        let Some(aggregate) = self.orders.get(&order) else {
            return Ok(0);
        };
        let Some(variant_id) = aggregate
            .lines
            .iter()
            .find(|own| own.id == line)
            .and_then(|own| own.variant_id)
        else {
            return Ok(0);
        };
        let demand = Demand {
            order_id: order,
            line_id: line,
            channel_id: aggregate.order.channel_id,
            variant_id,
            quantity: std::cmp::min(units, self.shelf.available(variant_id, &[to])),
        };
        let moved = self.shelf.hold_in(tx, demand, to);
        let mut left = moved;
        let held = reservation::Entity::find()
            .filter(Column::LineId.eq(line))
            .filter(Column::WarehouseId.eq(from))
            .filter(Column::Status.eq(Status::Allocated))
            .order_by_desc(Column::Id)
            .all(tx.db())
            .await?;
        for mut held in held {
            let freed = std::cmp::min(left, held.quantity);
            if freed == 0 {
                break;
            }
            left -= freed;
            let update = reservation::Entity::update_many()
                .col_expr(Column::UpdatedAt, Expr::value(tx.now))
                .filter(Column::Id.eq(held.id));
            let update = if freed == held.quantity {
                update.col_expr(Column::Status, Expr::value(Status::Released))
            } else {
                update.col_expr(Column::Quantity, Expr::value(held.quantity - freed))
            };
            update.exec(tx.db()).await?;
            held.quantity = freed;
            let name = format!("free:{}:{}", held.id, tx.id::<uuid::Uuid>());
            self.shelf
                .let_go(tx, &held, stock_movement::Kind::Release, name);
        }
        Ok(moved)
    }

    /// Holds what an order wants and does not have, or lets it wait. Lines with an open exception
    /// of their own wait for the person first.
    pub fn hold_missing(&mut self, tx: &Tx, order: OrderId) {
        let warehouses = self.warehouses(order);
        let until = tx.now + self.hold_time(order);
        let Some(aggregate) = self.orders.get_mut(&order) else {
            return;
        };
        let stopped: BTreeSet<_> = aggregate
            .exceptions
            .iter()
            .filter(|exception| exception.blocking)
            .filter_map(|exception| exception.line_id)
            .collect();
        let mut held = 0;
        let mut waits = 0;
        let wanted: Vec<(Demand, bool)> = aggregate
            .lines
            .iter()
            .filter(|line| !stopped.contains(&line.id) && missing(line) > 0)
            .filter_map(|line| {
                let demand = Demand {
                    order_id: order,
                    line_id: line.id,
                    channel_id: aggregate.order.channel_id,
                    variant_id: line.variant_id?,
                    quantity: missing(line),
                };
                Some((demand, line.backordered > 0))
            })
            .collect();
        for (mut demand, is_waiting) in wanted {
            let got = self
                .shelf
                .hold(tx, demand, warehouses, Strength::Soft(until));
            let line = aggregate.line_mut(demand.line_id);
            demand.quantity -= got;
            held += got;
            waits += demand.quantity;
            if let Some(line) = line {
                line.reserved += got;
                line.backordered += demand.quantity;
            }
            if demand.quantity > 0 && is_waiting {
                wait_for_more(tx, &demand);
            } else if demand.quantity > 0 {
                let expected = self
                    .reference
                    .expected(demand.variant_id, warehouses, tx.now);
                self.shelf.wait(tx, demand, warehouses, expected);
            }
        }
        if held > 0 || waits > 0 {
            aggregate.record(
                tx,
                Event::OrderStockHeld {
                    quantity: held,
                    backordered: waits,
                },
            );
        }
    }

    /// Whether the order's channel asks for authorised ≥ due before staging.
    pub fn authorization_required(&self, order: OrderId) -> bool {
        self.orders.get(&order).is_none_or(|aggregate| {
            self.reference
                .authorization_required(aggregate.order.channel_id)
        })
    }

    /// Confirms what has become green and writes everything back.
    pub fn put_back(mut self, tx: &Tx) {
        let orders: Vec<OrderId> = self.orders.keys().copied().collect();
        for order in orders {
            let required = self.authorization_required(order);
            if let Some(aggregate) = self.orders.get_mut(&order) {
                let within = self.reference.dispatch_within(aggregate.order.channel_id);
                aggregate.confirm_if_green(tx, required, within);
                if aggregate.became_firm() {
                    self.shelf.firm_up(order);
                }
            }
        }
        for aggregate in self.orders.into_values() {
            aggregate.save(tx);
        }
        self.shelf.put_back(tx);
    }
}

/// Adds units to a line's place in the queue.
fn wait_for_more(tx: &Tx, demand: &Demand) {
    use backorder::Column;
    tx.defer(
        backorder::Entity::update_many()
            .col_expr(
                Column::Quantity,
                Expr::col(Column::Quantity).add(demand.quantity),
            )
            .col_expr(Column::UpdatedAt, Expr::value(tx.now))
            .filter(Column::LineId.eq(demand.line_id))
            .filter(Column::Status.eq(backorder::Status::Waiting))
            .into_query(),
    );
}

/// Takes units off a line's place in the queue.
async fn wait_for_less(
    tx: &Tx,
    waiters: &mut [backorder::Model],
    line: LineId,
    units: i64,
) -> Result<(), Failure> {
    use backorder::{Column, Status};
    let place = backorder::Entity::find()
        .filter(Column::LineId.eq(line))
        .filter(Column::Status.eq(Status::Waiting))
        .one(tx.db())
        .await?;
    let Some(place) = place else {
        return Ok(());
    };
    let left = place.quantity - units;
    let update = backorder::Entity::update_many()
        .col_expr(Column::UpdatedAt, Expr::value(tx.now))
        .filter(Column::Id.eq(place.id));
    // A place that is given up keeps the quantity it last waited for, since none is not a wait.
    let update = if left > 0 {
        update.col_expr(Column::Quantity, Expr::value(left))
    } else {
        update.col_expr(Column::Status, Expr::value(Status::Cancelled))
    };
    update.exec(tx.db()).await?;
    if let Some(waiter) = waiters.iter_mut().find(|waiter| waiter.id == place.id) {
        if left > 0 {
            waiter.quantity = left;
        } else {
            waiter.status = Status::Cancelled;
        }
    }
    Ok(())
}

/// Writes what a waiter still waits for; with nothing left, the place ends as `end`.
fn write_waiter(tx: &Tx, waiter: &backorder::Model, end: backorder::Status) {
    use backorder::Column;
    let update = backorder::Entity::update_many()
        .col_expr(Column::UpdatedAt, Expr::value(tx.now))
        .filter(Column::Id.eq(waiter.id));
    // A place that was served keeps the quantity it last waited for, since none is not a wait.
    let update = if waiter.quantity > 0 {
        update.col_expr(Column::Quantity, Expr::value(waiter.quantity))
    } else {
        update.col_expr(Column::Status, Expr::value(end))
    };
    tx.defer(update.into_query());
}
