//! What comes back: a return is asked for, approved, received, inspected unit by unit, and paid for
//! once what became of its units is known.
//!
//! Everything about a return happens under the lock of its order, so of two commands the later one
//! sees what the first did. A return is part of its order: it is put away and found again with it.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use entity::order::ReturnStatus;
use entity::return_line::Reason;
use entity::return_order::Status;
use entity::return_unit::Disposition;
use entity::{
    LineId, OrderId, ReturnId, WarehouseId, return_line, return_order, return_unit, warehouse,
};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter,
    QueryOrder, QueryTrait,
};
use serde_json::json;

use crate::catalogue::Reference;
use crate::checks::Checks;
use crate::events::Event;
use crate::failure::{Code, Failure, Problem};
use crate::orders::aggregate::Aggregate;
use crate::orders::lifecycle::Action as OrderAction;
use crate::orders::{archive, lock_one, text};
use crate::tx::Tx;

pub mod inspection;
pub mod lifecycle;
pub mod refund;

use lifecycle::Action;

/// The most lines that a return has.
const MOST_LINES: usize = 250;

/// A return with its lines, whose order is locked.
pub struct Held {
    /// Its order.
    pub order: Aggregate,
    /// Its row.
    pub row: return_order::Model,
    /// Its lines.
    pub lines: Vec<return_line::Model>,
    /// What was found of its units.
    pub units: Vec<return_unit::Model>,
}

impl Held {
    /// Locks the order of a return and reads the return.
    async fn lock(tx: &Tx, id: ReturnId) -> Result<Held, Failure> {
        let row = find(tx.db(), id).await?;
        let order = lock_one(tx, row.order_id).await?;
        Held::read(tx, order, id).await
    }

    /// Reads a return of an order that is locked.
    async fn read(tx: &Tx, order: Aggregate, id: ReturnId) -> Result<Held, Failure> {
        let row = find(tx.db(), id).await?;
        let lines = return_line::Entity::find()
            .filter(return_line::Column::ReturnId.eq(id))
            .order_by_asc(return_line::Column::Position)
            .all(tx.db())
            .await?;
        let units = return_unit::Entity::find()
            .filter(return_unit::Column::ReturnId.eq(id))
            .all(tx.db())
            .await?;
        Ok(Held {
            order,
            row,
            lines,
            units,
        })
    }

    /// Moves the status by the lifecycle's law, or refuses.
    fn step(&mut self, action: Action) -> Result<(), Problem> {
        match lifecycle::next(self.row.status, action) {
            Some(to) => {
                self.row.status = to;
                Ok(())
            }
            None => Err(state_invalid(self.row.status)),
        }
    }

    /// Writes the return and its order back.
    async fn save(mut self, tx: &Tx) -> Result<ReturnId, Failure> {
        let id = self.row.id;
        write(tx, &mut self.row);
        mark_order(tx, &mut self.order, &self.row).await?;
        self.order.save(tx);
        Ok(id)
    }
}

async fn find(db: &impl ConnectionTrait, id: ReturnId) -> Result<return_order::Model, Failure> {
    let row = return_order::Entity::find_by_id(id).one(db).await?;
    Ok(row.ok_or_else(|| Problem::not_found("Return").at("input.id"))?)
}

fn state_invalid(status: Status) -> Problem {
    let name = format!("{status:?}").to_lowercase();
    Problem::new(Code::ReturnStateInvalid, format!("the return is {name}"))
        .at("input.id")
        .with(json!({ "status": status }))
}

/// How many units of a line of a return came, as far as they were looked at.
pub fn came(units: &[return_unit::Model], line: &return_line::Model) -> i64 {
    counted(units, line, |unit| unit.disposition != Disposition::Missing)
}

/// How many units of a line of a return are known not to come.
pub fn missing(units: &[return_unit::Model], line: &return_line::Model) -> i64 {
    counted(units, line, |unit| unit.disposition == Disposition::Missing)
}

fn counted(
    units: &[return_unit::Model],
    line: &return_line::Model,
    is: impl Fn(&return_unit::Model) -> bool,
) -> i64 {
    let own = |unit: &&return_unit::Model| unit.return_line_id == Some(line.id) && is(unit);
    units.iter().filter(own).map(|unit| unit.quantity).sum()
}

/// What of an order's lines is on its way back or has come: of a return that is not over what was
/// asked for, of one that is settled what came or was paid for.
pub async fn taken(
    db: &impl ConnectionTrait,
    order: OrderId,
) -> Result<BTreeMap<LineId, i64>, DbErr> {
    let returns = return_order::Entity::find()
        .filter(return_order::Column::OrderId.eq(order))
        .all(db)
        .await?;
    let mut all = BTreeMap::new();
    if returns.is_empty() {
        return Ok(all);
    }
    let lines = return_line::Entity::find()
        .filter(return_line::Column::OrderId.eq(order))
        .all(db)
        .await?;
    let units = return_unit::Entity::find()
        .filter(return_unit::Column::OrderId.eq(order))
        .all(db)
        .await?;
    for line in &lines {
        let of = returns.iter().find(|row| row.id == line.return_id);
        let counts = match of.map(|row| row.status) {
            None | Some(Status::Declined | Status::Cancelled) => 0,
            Some(Status::Closed) => std::cmp::max(came(&units, line), line.refunded),
            Some(_) => line.quantity,
        };
        *all.entry(line.line_id).or_default() += counts;
    }
    Ok(all)
}

/// Until when a line can be returned: so many days after the last of it was delivered, or left, if
/// nothing is known of its delivery. None if nothing of it has left.
fn window(aggregate: &Aggregate, line: LineId, days: i64) -> Option<DateTime<Utc>> {
    let of_line = aggregate.work.iter().filter(|work| {
        let mut lines = work.lines.iter();
        lines.any(|own| own.line_id == line)
    });
    let shipments = of_line.filter_map(|work| work.shipment.as_ref());
    let latest = shipments
        .filter_map(|shipment| shipment.delivered_at.or(shipment.dispatched_at))
        .max()?;
    Some(latest + TimeDelta::days(days))
}

/// Units of a line that are to come back.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The order's line.
    pub line_id: LineId,
    /// How many units.
    pub quantity: i64,
    /// Why.
    pub reason: Reason,
    /// What is written to that.
    pub note: Option<String>,
}

/// What [`request`] needs.
#[derive(Clone, Debug)]
pub struct Request {
    /// The order, put away or not.
    pub order_id: OrderId,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
    /// What is to come back.
    pub lines: Vec<Wanted>,
    /// What whoever asks for it writes.
    pub note: Option<String>,
    /// Whether it is asked for though the time for it is over.
    pub accepts_late: bool,
    /// Where all of it lies already, if it came without being announced.
    pub came_to: Option<WarehouseId>,
    /// Who brings or brought it, and the parcel.
    pub parcel: Option<(String, String)>,
}

/// Opens a return: asked for, or at the dock already. An order that was put away is taken out.
pub async fn request(tx: &Tx, reference: &Reference, cmd: &Request) -> Result<ReturnId, Failure> {
    let reason = "something of it is to be returned".to_owned();
    archive::take_out(tx, cmd.order_id, reason).await?;
    let mut aggregate = lock_one(tx, cmd.order_id).await?;
    aggregate.expect_version(cmd.expected_version)?;
    aggregate.transition(tx, OrderAction::Return, Code::OrderStateInvalid)?;
    let note = optional("note", cmd.note.as_deref())?;
    if let Some(id) = cmd.came_to {
        warehouse_is_there(tx, id).await?;
    }
    let days = reference.channel(aggregate.order.channel_id);
    let days = days.map_or(0, |channel| channel.row.return_window_days);
    let is_late = |line: LineId| {
        let until = window(&aggregate, line, days);
        until.filter(|until| *until < tx.now || days == 0)
    };
    let taken = taken(tx.db(), cmd.order_id).await?;
    let mut checks = Checks::new();
    let some = !cmd.lines.is_empty() && cmd.lines.len() <= MOST_LINES;
    let message = format!("a return has 1 to {MOST_LINES} lines");
    checks.hold(some, Code::InvalidInput, "input.lines", &message);
    let id: ReturnId = tx.id();
    let mut lines: Vec<return_line::Model> = Vec::new();
    let mut said = Vec::new();
    for (place, wanted) in cmd.lines.iter().enumerate() {
        let field = |name: &str| format!("input.lines.{place}.{name}");
        let own = aggregate.lines.iter().find(|one| one.id == wanted.line_id);
        let Some(line) = own.filter(|own| lines.iter().all(|one| one.line_id != own.id)) else {
            let message = "the order has no such line, or it is named twice";
            checks.refuse(Problem::new(Code::NotFound, message).at(&field("lineId")));
            continue;
        };
        let most = line.shipped - taken.get(&line.id).copied().unwrap_or_default();
        if wanted.quantity < 1 || wanted.quantity > most {
            let message = match most {
                ..=0 => format!("nothing of {} is left to be returned", line.sku),
                _ => format!("1 to {most} units of {} can be returned", line.sku),
            };
            checks.refuse(
                Problem::new(Code::NothingToReturn, message)
                    .at(&field("quantity"))
                    .with(json!({ "sku": line.sku, "returnable": most, "asked": wanted.quantity })),
            );
            continue;
        }
        let may_be_late = cmd.accepts_late || cmd.came_to.is_some();
        if let Some(until) = is_late(line.id).filter(|_| !may_be_late) {
            let message = format!(
                "{} could be returned until {}",
                line.sku,
                until.date_naive()
            );
            checks.refuse(
                Problem::new(Code::ReturnWindowClosed, message)
                    .at(&field("lineId"))
                    .with(json!({ "sku": line.sku, "until": until, "windowDays": days })),
            );
            continue;
        }
        said.push(json!({ "sku": line.sku, "quantity": wanted.quantity, "reason": wanted.reason }));
        lines.push(return_line::Model {
            id: tx.id(),
            return_id: id,
            order_id: cmd.order_id,
            line_id: line.id,
            position: i32::try_from(place).unwrap_or(i32::MAX),
            quantity: wanted.quantity,
            received: cmd.came_to.map_or(0, |_| wanted.quantity),
            refunded: 0,
            reason: wanted.reason,
            note: optional("note", wanted.note.as_deref())?,
        });
    }
    checks.done()?;
    let earlier = return_order::Entity::find()
        .filter(return_order::Column::OrderId.eq(cmd.order_id))
        .count(tx.db())
        .await?;
    let (carrier, tracking_number) = parcel(cmd.parcel.as_ref())?.unzip();
    let number = format!("{}-R{}", aggregate.order.number, earlier + 1);
    let is_here = cmd.came_to.is_some();
    let row = return_order::Model {
        id,
        number: number.clone(),
        order_id: cmd.order_id,
        channel_id: aggregate.order.channel_id,
        status: if is_here {
            Status::Received
        } else {
            Status::Requested
        },
        announced: !is_here,
        note,
        end_reason: None,
        carrier,
        tracking_number,
        warehouse_id: cmd.came_to,
        requested_by: tx.actor.name.clone(),
        requested_at: tx.now,
        approved_at: None,
        shipped_at: None,
        received_at: is_here.then_some(tx.now),
        inspected_at: None,
        closed_at: None,
        version: 1,
        updated_at: tx.now,
    };
    aggregate.record(
        tx,
        Event::OrderReturnRequested {
            return_id: id.0,
            number,
            announced: !is_here,
            lines: json!(said),
        },
    );
    if let Some(warehouse_id) = cmd.came_to {
        aggregate.record(
            tx,
            Event::OrderReturnReceived {
                return_id: id.0,
                warehouse_id,
                quantity: lines.iter().map(|line| line.quantity).sum(),
                left: 0,
            },
        );
    }
    mark_order(tx, &mut aggregate, &row).await?;
    tx.defer_rows(vec![row.into_active_model()], |insert| insert);
    let rows = lines.into_iter().map(IntoActiveModel::into_active_model);
    let rows: Vec<return_line::ActiveModel> = rows.collect();
    tx.defer_rows(rows, |insert| insert);
    aggregate.save(tx);
    Ok(id)
}

/// What [`decide`] needs.
#[derive(Clone, Debug)]
pub struct Decide {
    /// Which return.
    pub id: ReturnId,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
    /// What becomes of it.
    pub decision: Decision,
}

/// What a person decides about a return.
#[derive(Clone, Debug)]
pub enum Decision {
    /// It may come.
    Approve,
    /// It may not, and why.
    Decline(String),
    /// It is called off, and why.
    Cancel(String),
    /// It is settled as it is, and why.
    Close(String),
}

/// Approves, declines, calls off or closes a return.
pub async fn decide(tx: &Tx, cmd: &Decide) -> Result<ReturnId, Failure> {
    let mut held = Held::lock(tx, cmd.id).await?;
    expect_version(&held.row, cmd.expected_version)?;
    let return_id = held.row.id.0;
    match &cmd.decision {
        Decision::Approve => {
            held.step(Action::Approve)?;
            held.row.approved_at = Some(tx.now);
            held.order
                .record(tx, Event::OrderReturnApproved { return_id });
        }
        Decision::Decline(reason) => {
            held.step(Action::Decline)?;
            held.end(tx, text("reason", reason)?, "DECLINED");
        }
        Decision::Cancel(reason) => {
            held.step(Action::Cancel)?;
            if !held.units.is_empty() || held.lines.iter().any(|line| line.refunded > 0) {
                let message = "what became of some of it is known already";
                return Err(Problem::new(Code::ReturnStateInvalid, message).into());
            }
            held.end(tx, text("reason", reason)?, "CANCELLED");
        }
        Decision::Close(reason) => {
            let waiting = uninspected(&held);
            if waiting > 0 {
                return Err(not_inspected(waiting).into());
            }
            held.step(Action::Close)?;
            let reason = text("reason", reason)?;
            held.row.end_reason = Some(reason.clone());
            held.close(tx, Some(reason));
        }
    }
    held.save(tx).await
}

impl Held {
    fn end(&mut self, tx: &Tx, reason: String, status: &str) {
        self.row.closed_at = Some(tx.now);
        self.row.end_reason = Some(reason.clone());
        self.order.record(
            tx,
            Event::OrderReturnEnded {
                return_id: self.row.id.0,
                status: status.to_owned(),
                reason,
            },
        );
    }

    fn close(&mut self, tx: &Tx, reason: Option<String>) {
        self.row.closed_at = Some(tx.now);
        let return_id = self.row.id.0;
        self.order
            .record(tx, Event::OrderReturnClosed { return_id, reason });
    }
}

/// What [`ship`] needs.
#[derive(Clone, Debug)]
pub struct Ship {
    /// Which return.
    pub id: ReturnId,
    /// Who brings it.
    pub carrier: String,
    /// The parcel.
    pub tracking_number: String,
}

/// Says in which parcel a return is on its way.
pub async fn ship(tx: &Tx, cmd: &Ship) -> Result<ReturnId, Failure> {
    let mut held = Held::lock(tx, cmd.id).await?;
    held.step(Action::Ship)?;
    let said = (cmd.carrier.clone(), cmd.tracking_number.clone());
    let (carrier, tracking_number) = parcel(Some(&said))?.unwrap_or_default();
    held.row.carrier = Some(carrier.clone());
    held.row.tracking_number = Some(tracking_number.clone());
    held.row.shipped_at = held.row.shipped_at.or(Some(tx.now));
    held.order.record(
        tx,
        Event::OrderReturnShipped {
            return_id: held.row.id.0,
            carrier,
            tracking_number,
        },
    );
    held.save(tx).await
}

/// What [`receive`] needs.
#[derive(Clone, Debug)]
pub struct Receive {
    /// Which return.
    pub id: ReturnId,
    /// Where it came to.
    pub warehouse_id: WarehouseId,
    /// How many units of which lines of the return came.
    pub lines: Vec<(entity::ReturnLineId, i64)>,
}

/// Counts units of a return at the dock. They are nobody's stock until they were looked at.
pub async fn receive(tx: &Tx, cmd: &Receive) -> Result<ReturnId, Failure> {
    warehouse_is_there(tx, cmd.warehouse_id).await?;
    let mut held = Held::lock(tx, cmd.id).await?;
    held.step(Action::Receive)?;
    let mut checks = Checks::new();
    let message = "at least one line is needed";
    checks.hold(
        !cmd.lines.is_empty(),
        Code::InvalidInput,
        "input.lines",
        message,
    );
    let mut quantity = 0;
    for (place, (line_id, units)) in cmd.lines.iter().enumerate() {
        let field = |name: &str| format!("input.lines.{place}.{name}");
        let Held {
            lines,
            units: found,
            ..
        } = &mut held;
        let Some(line) = lines.iter_mut().find(|line| line.id == *line_id) else {
            checks.refuse(Problem::not_found("ReturnLine").at(&field("lineId")));
            continue;
        };
        let most = line.quantity - line.received - missing(found, line);
        checks.count(&field("quantity"), *units, 1, most);
        if (1..=most).contains(units) {
            line.received += units;
            quantity += units;
        }
    }
    checks.done()?;
    let expected: i64 = held.lines.iter().map(|line| line.quantity).sum();
    let received: i64 = held.lines.iter().map(|line| line.received).sum();
    held.row.warehouse_id = Some(cmd.warehouse_id);
    held.row.received_at = held.row.received_at.or(Some(tx.now));
    held.order.record(
        tx,
        Event::OrderReturnReceived {
            return_id: held.row.id.0,
            warehouse_id: cmd.warehouse_id,
            quantity,
            left: expected - received,
        },
    );
    write_lines(tx, &held.lines);
    held.save(tx).await
}

/// How many units that came were not looked at.
fn uninspected(held: &Held) -> i64 {
    let of = |line: &return_line::Model| line.received - came(&held.units, line);
    held.lines.iter().map(of).sum()
}

fn not_inspected(units: i64) -> Problem {
    let message = format!("what became of {units} units that came is not known");
    Problem::new(Code::ReturnNotInspected, message)
        .at("input.id")
        .with(json!({ "units": units }))
}

async fn warehouse_is_there(tx: &Tx, id: WarehouseId) -> Result<(), Failure> {
    let row = warehouse::Entity::find_by_id(id).one(tx.db()).await?;
    match row {
        Some(_) => Ok(()),
        None => Err(Problem::not_found("Warehouse")
            .at("input.warehouseId")
            .into()),
    }
}

/// A text that may be absent.
fn optional(field: &str, said: Option<&str>) -> Result<Option<String>, Problem> {
    let said = said.map(str::trim).filter(|said| !said.is_empty());
    said.map(|said| text(field, said)).transpose()
}

/// Who brings a parcel, and its number.
fn parcel(said: Option<&(String, String)>) -> Result<Option<(String, String)>, Failure> {
    let Some((carrier, number)) = said else {
        return Ok(None);
    };
    let mut checks = Checks::new();
    let carrier = checks.name("input.carrier", carrier);
    let number = checks.name("input.trackingNumber", number);
    checks.done()?;
    Ok(Some((carrier, number)))
}

fn expect_version(row: &return_order::Model, expected: Option<i64>) -> Result<(), Problem> {
    crate::checks::expect_version("return", row.version, expected)
}

/// Writes a return back.
fn write(tx: &Tx, row: &mut return_order::Model) {
    use return_order::{Column, Entity};
    row.version += 1;
    row.updated_at = tx.now;
    tx.defer(
        Entity::update_many()
            .col_expr(Column::Status, Expr::value(row.status))
            .col_expr(Column::EndReason, Expr::value(row.end_reason.clone()))
            .col_expr(Column::Carrier, Expr::value(row.carrier.clone()))
            .col_expr(
                Column::TrackingNumber,
                Expr::value(row.tracking_number.clone()),
            )
            .col_expr(Column::WarehouseId, Expr::value(row.warehouse_id))
            .col_expr(Column::ApprovedAt, Expr::value(row.approved_at))
            .col_expr(Column::ShippedAt, Expr::value(row.shipped_at))
            .col_expr(Column::ReceivedAt, Expr::value(row.received_at))
            .col_expr(Column::InspectedAt, Expr::value(row.inspected_at))
            .col_expr(Column::ClosedAt, Expr::value(row.closed_at))
            .col_expr(Column::Version, Expr::value(row.version))
            .col_expr(Column::UpdatedAt, Expr::value(row.updated_at))
            .filter(Column::Id.eq(row.id))
            .into_query(),
    );
}

/// Writes back what came of lines and was paid for.
fn write_lines(tx: &Tx, lines: &[return_line::Model]) {
    use return_line::{Column, Entity};
    for line in lines {
        tx.defer(
            Entity::update_many()
                .col_expr(Column::Received, Expr::value(line.received))
                .col_expr(Column::Refunded, Expr::value(line.refunded))
                .filter(Column::Id.eq(line.id))
                .into_query(),
        );
    }
}

/// Works out what an order's returns say of it, this one as it is now.
async fn mark_order(
    tx: &Tx,
    aggregate: &mut Aggregate,
    row: &return_order::Model,
) -> Result<(), DbErr> {
    let others = return_order::Entity::find()
        .filter(return_order::Column::OrderId.eq(aggregate.order.id))
        .filter(return_order::Column::Id.ne(row.id))
        .all(tx.db())
        .await?;
    let all = others.iter().chain([row]).map(|row| row.status);
    aggregate.order.return_status = status_of(all);
    aggregate.touch();
    Ok(())
}

/// What the returns of an order say of it: what is open counts before what is settled.
pub fn status_of(all: impl Iterator<Item = Status>) -> ReturnStatus {
    let said = all.filter_map(|status| {
        Some(match status {
            Status::Requested => ReturnStatus::Requested,
            Status::Approved | Status::InTransit | Status::Received => ReturnStatus::InProgress,
            Status::Inspected => ReturnStatus::Inspected,
            Status::Closed => ReturnStatus::Returned,
            Status::Declined | Status::Cancelled => return None,
        })
    });
    let rank = |status: &ReturnStatus| match status {
        ReturnStatus::None => 0,
        ReturnStatus::Returned => 1,
        ReturnStatus::Inspected => 2,
        ReturnStatus::Requested => 3,
        ReturnStatus::InProgress => 4,
    };
    said.max_by_key(rank).unwrap_or(ReturnStatus::None)
}

/// What can be done to a return now: each action, and if it is closed, why.
pub fn available_actions(row: &return_order::Model) -> Vec<(Action, Option<String>)> {
    Action::OF_PEOPLE
        .into_iter()
        .map(|action| {
            let closed = lifecycle::next(row.status, action)
                .is_none()
                .then(|| state_invalid(row.status).message);
            (action, closed)
        })
        .collect()
}
