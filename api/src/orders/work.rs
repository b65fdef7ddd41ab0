//! What the warehouses have of an order: its fulfillment orders with their lines, and the shipment
//! of each. They are part of the order: whoever changes them holds the order's lock, and the
//! order's stage follows from them in the same commit.

use std::collections::BTreeMap;

use entity::order::{Stage, Status};
use entity::{
    FulfillmentOrderId, LineId, OrderId, ShipmentId, WarehouseId, fulfillment_line,
    fulfillment_order, shipment,
};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QueryTrait,
};

use crate::tx::Tx;

/// The work of one warehouse on an order that was not taken away from it.
#[derive(Clone, Debug)]
pub struct Work {
    /// The fulfillment order.
    pub row: fulfillment_order::Model,
    /// What it has of the order's lines.
    pub lines: Vec<fulfillment_line::Model>,
    /// Its shipment, from the moment that it is on a pick list.
    pub shipment: Option<shipment::Model>,
    /// Whether its rows are new, and what of them is.
    new: bool,
    new_shipment: bool,
    changed: bool,
}

impl Work {
    /// New work, not written yet.
    pub fn new(row: fulfillment_order::Model, lines: Vec<fulfillment_line::Model>) -> Work {
        Work {
            row,
            lines,
            shipment: None,
            new: true,
            new_shipment: false,
            changed: true,
        }
    }

    /// Gives it its shipment, which is not written yet.
    pub fn open_shipment(&mut self, shipment: shipment::Model) {
        self.shipment = Some(shipment);
        self.new_shipment = true;
        self.changed = true;
    }

    /// Its status, to change.
    pub fn row_mut(&mut self) -> &mut fulfillment_order::Model {
        self.changed = true;
        &mut self.row
    }

    /// Its shipment, to change.
    pub fn shipment_mut(&mut self) -> Option<&mut shipment::Model> {
        self.changed = true;
        self.shipment.as_mut()
    }

    /// What it has of a line, to change.
    pub fn line_mut(&mut self, line: LineId) -> Option<&mut fulfillment_line::Model> {
        self.changed = true;
        self.lines.iter_mut().find(|own| own.line_id == line)
    }

    /// What it has of a line.
    pub fn line(&self, line: LineId) -> Option<&fulfillment_line::Model> {
        self.lines.iter().find(|own| own.line_id == line)
    }

    /// Whether it is not over: its units are still to leave.
    pub fn is_open(&self) -> bool {
        use fulfillment_order::Status::{InProgress, OnHold, Open};
        matches!(self.row.status, Open | OnHold | InProgress)
    }

    /// How many units it has.
    pub fn units(&self) -> i64 {
        self.lines.iter().map(|line| line.quantity).sum()
    }

    /// Whether every unit was picked, and there are some.
    pub fn is_picked(&self) -> bool {
        self.units() > 0 && self.lines.iter().all(|line| line.picked == line.quantity)
    }

    /// Whether every unit was picked and packed, and there are some.
    pub fn is_packed(&self) -> bool {
        self.is_picked() && self.lines.iter().all(|line| line.packed == line.quantity)
    }

    /// Brings a shipment that is being picked or packed to where its units are.
    pub(super) fn settle(&mut self) {
        use shipment::Status::{Pending, Picked};
        let reached = if self.is_picked() { Picked } else { Pending };
        if let Some(shipment) = &mut self.shipment
            && matches!(shipment.status, Pending | Picked)
            && shipment.status != reached
        {
            shipment.status = reached;
            self.changed = true;
        }
    }

    /// Where it stands on the live board.
    pub fn stage(&self) -> Stage {
        use fulfillment_order::Status as Of;
        use shipment::{Status, TrackingStatus};
        match self.row.status {
            Of::Open | Of::OnHold | Of::Cancelled => Stage::Staged,
            Of::InProgress => match self.shipment.as_ref().map(|shipment| shipment.status) {
                Some(Status::Picked | Status::Packed) => Stage::Packing,
                Some(Status::Labeled) => Stage::Ready,
                _ => Stage::Picking,
            },
            Of::Closed => {
                let delivered = self
                    .shipment
                    .as_ref()
                    .is_some_and(|shipment| shipment.tracking_status == TrackingStatus::Delivered);
                match delivered {
                    true => Stage::Delivered,
                    false => Stage::Shipped,
                }
            }
        }
    }

    /// Takes it away from the warehouse. What was picked already lies at staging, for nobody.
    pub(super) fn withdraw(&mut self, tx: &Tx) {
        self.changed = true;
        self.row.status = fulfillment_order::Status::Cancelled;
        self.row.closed_at = Some(tx.now);
        if let Some(shipment) = &mut self.shipment {
            shipment.status = shipment::Status::Cancelled;
        }
    }

    /// Writes what changed.
    fn save(&mut self, tx: &Tx) {
        if !self.changed {
            return;
        }
        self.row.updated_at = tx.now;
        if self.new {
            insert(tx, vec![self.row.clone().into_active_model()]);
            let lines = self.lines.iter().cloned();
            insert(tx, lines.map(IntoActiveModel::into_active_model).collect());
        } else {
            use fulfillment_order::Column;
            let row = &self.row;
            tx.defer(
                fulfillment_order::Entity::update_many()
                    .col_expr(Column::Status, Expr::value(row.status))
                    .col_expr(Column::WaveId, Expr::value(row.wave_id))
                    .col_expr(Column::HoldReason, Expr::value(row.hold_reason.clone()))
                    .col_expr(Column::UpdatedAt, Expr::value(row.updated_at))
                    .col_expr(Column::ClosedAt, Expr::value(row.closed_at))
                    .filter(Column::Id.eq(row.id))
                    .into_query(),
            );
            for line in &self.lines {
                use fulfillment_line::Column;
                tx.defer(
                    fulfillment_line::Entity::update_many()
                        .col_expr(Column::Quantity, Expr::value(line.quantity))
                        .col_expr(Column::Picked, Expr::value(line.picked))
                        .col_expr(Column::Packed, Expr::value(line.packed))
                        .filter(Column::FulfillmentOrderId.eq(line.fulfillment_order_id))
                        .filter(Column::LineId.eq(line.line_id))
                        .into_query(),
                );
            }
        }
        let Some(shipment) = &mut self.shipment else {
            return;
        };
        shipment.updated_at = tx.now;
        if self.new_shipment {
            insert(tx, vec![shipment.clone().into_active_model()]);
            return;
        }
        use shipment::Column;
        tx.defer(
            shipment::Entity::update_many()
                .col_expr(Column::Status, Expr::value(shipment.status))
                .col_expr(
                    Column::TrackingStatus,
                    Expr::value(shipment.tracking_status),
                )
                .col_expr(Column::Carrier, Expr::value(shipment.carrier.clone()))
                .col_expr(Column::Service, Expr::value(shipment.service.clone()))
                .col_expr(Column::Choice, Expr::value(shipment.choice.clone()))
                .col_expr(Column::CostMinor, Expr::value(shipment.cost_minor))
                .col_expr(Column::Currency, Expr::value(shipment.currency))
                .col_expr(Column::PromisedAt, Expr::value(shipment.promised_at))
                .col_expr(Column::DispatchedAt, Expr::value(shipment.dispatched_at))
                .col_expr(Column::DeliveredAt, Expr::value(shipment.delivered_at))
                .col_expr(Column::MissedAt, Expr::value(shipment.missed_at))
                .col_expr(Column::UpdatedAt, Expr::value(shipment.updated_at))
                .filter(Column::Id.eq(shipment.id))
                .into_query(),
        );
    }
}

fn insert<A: ActiveModelTrait>(tx: &Tx, rows: Vec<A>) {
    tx.defer_rows(rows, |insert| insert);
}

/// The work on some orders that was not taken away, in the order's own order.
pub(super) async fn of(tx: &Tx, orders: &[OrderId]) -> Result<BTreeMap<OrderId, Vec<Work>>, DbErr> {
    let mut found: BTreeMap<OrderId, Vec<Work>> = BTreeMap::new();
    if orders.is_empty() {
        return Ok(found);
    }
    let rows = fulfillment_order::Entity::find()
        .filter(fulfillment_order::Column::OrderId.is_in(orders.iter().copied()))
        .filter(fulfillment_order::Column::Status.ne(fulfillment_order::Status::Cancelled))
        .order_by_asc(fulfillment_order::Column::Position)
        .all(tx.db())
        .await?;
    if rows.is_empty() {
        return Ok(found);
    }
    let ids: Vec<FulfillmentOrderId> = rows.iter().map(|row| row.id).collect();
    let mut lines: BTreeMap<FulfillmentOrderId, Vec<fulfillment_line::Model>> = BTreeMap::new();
    for line in fulfillment_line::Entity::find()
        .filter(fulfillment_line::Column::FulfillmentOrderId.is_in(ids.iter().copied()))
        .order_by_asc(fulfillment_line::Column::LineId)
        .all(tx.db())
        .await?
    {
        lines
            .entry(line.fulfillment_order_id)
            .or_default()
            .push(line);
    }
    let mut shipments: BTreeMap<FulfillmentOrderId, shipment::Model> = shipment::Entity::find()
        .filter(shipment::Column::FulfillmentOrderId.is_in(ids))
        .filter(shipment::Column::Status.ne(shipment::Status::Cancelled))
        .all(tx.db())
        .await?
        .into_iter()
        .map(|shipment| (shipment.fulfillment_order_id, shipment))
        .collect();
    for row in rows {
        found.entry(row.order_id).or_default().push(Work {
            lines: lines.remove(&row.id).unwrap_or_default(),
            shipment: shipments.remove(&row.id),
            row,
            new: false,
            new_shipment: false,
            changed: false,
        });
    }
    Ok(found)
}

/// Writes what changed of an order's work.
pub(super) fn save(tx: &Tx, work: &mut [Work]) {
    for one in work {
        one.save(tx);
    }
}

impl super::aggregate::Aggregate {
    /// The work under this id, to change.
    pub fn work_mut(&mut self, id: FulfillmentOrderId) -> Option<&mut Work> {
        self.touch();
        self.work.iter_mut().find(|work| work.row.id == id)
    }

    /// The work under this id.
    pub fn work(&self, id: FulfillmentOrderId) -> Option<&Work> {
        self.work.iter().find(|work| work.row.id == id)
    }

    /// The work whose shipment this is.
    pub fn work_of_shipment(&self, id: ShipmentId) -> Option<&Work> {
        self.work
            .iter()
            .find(|work| work.shipment.as_ref().is_some_and(|own| own.id == id))
    }

    /// Whether a warehouse has begun to pick it, or has handed a part of it over.
    pub fn is_begun(&self) -> bool {
        use fulfillment_order::Status::{Closed, InProgress};
        self.order.status == Status::Confirmed
            && self
                .work
                .iter()
                .any(|work| matches!(work.row.status, InProgress | Closed))
    }

    /// Units that are held for good and that no warehouse was told to send, by line.
    pub fn unrouted(&self) -> BTreeMap<LineId, i64> {
        let mut left: BTreeMap<LineId, i64> = self
            .lines
            .iter()
            .map(|line| (line.id, line.allocated))
            .collect();
        for work in self.work.iter().filter(|work| work.is_open()) {
            for line in &work.lines {
                if let Some(left) = left.get_mut(&line.line_id) {
                    *left -= line.quantity;
                }
            }
        }
        left.retain(|_, units| *units > 0);
        left
    }

    /// Takes units of a line, in a warehouse, away from the work that has them: first those that
    /// nobody has picked yet. Work that has nothing left is taken away.
    pub(super) fn reduce_work(&mut self, tx: &Tx, line: LineId, at: WarehouseId, units: i64) {
        let mut left = units;
        for take_picked in [false, true] {
            for work in self.work.iter_mut() {
                if !work.is_open() || work.row.warehouse_id != at {
                    continue;
                }
                let Some(own) = work.lines.iter_mut().find(|own| own.line_id == line) else {
                    continue;
                };
                let takes = match take_picked {
                    false => std::cmp::min(left, own.quantity - own.picked),
                    true => std::cmp::min(left, own.quantity),
                };
                if takes <= 0 {
                    continue;
                }
                left -= takes;
                own.quantity -= takes;
                own.picked = std::cmp::min(own.picked, own.quantity);
                own.packed = std::cmp::min(own.packed, own.picked);
                work.changed = true;
                if work.units() == 0 {
                    work.withdraw(tx);
                }
            }
        }
        self.touch();
    }

    /// Writes what changed of the work alone: nothing happened to the order by it.
    pub fn save_work(mut self, tx: &Tx) {
        save(tx, &mut self.work);
    }

    /// Picked and packed units, from the work: what the lines' figures follow from.
    pub(super) fn progress(&self) -> BTreeMap<LineId, (i64, i64)> {
        let mut figures: BTreeMap<LineId, (i64, i64)> = BTreeMap::new();
        for work in &self.work {
            if work.row.status == fulfillment_order::Status::Cancelled {
                continue;
            }
            for line in &work.lines {
                let entry = figures.entry(line.line_id).or_default();
                entry.0 += line.picked;
                entry.1 += line.packed;
            }
        }
        figures
    }
}
