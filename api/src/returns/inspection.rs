//! What became of units that came back: into a bin, written off, or never there.

use entity::return_unit::{Condition, Disposition};
use entity::{
    BinId, MovementId, ReturnId, ReturnLineId, VariantId, WarehouseId, order_line, return_line,
    return_order, return_unit, stock_movement,
};
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};
use serde_json::json;

use super::lifecycle::Action;
use super::{Held, came, find, mark_order, missing, optional, write};
use crate::catalogue::{Reference, products};
use crate::checks::Checks;
use crate::events::Event;
use crate::failure::{Code, Failure, Problem};
use crate::inventory::{self, Movement, Shelf};
use crate::orders::allocation::Allocation;
use crate::orders::{archive, stock, text};
use crate::tx::Tx;

/// The most units that one finding is of.
const MOST_UNITS: i64 = 1_000_000;

/// The most findings that are written down at once.
const MOST_FINDINGS: usize = 250;

/// What was found of some units that are alike.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What they are of.
    pub of: Of,
    /// How many.
    pub quantity: i64,
    /// Their state.
    pub condition: Condition,
    /// What becomes of them.
    pub disposition: Disposition,
    /// The bin that they are put into; none = where the rest of them lies.
    pub bin_id: Option<BinId>,
    /// What is written of them.
    pub note: Option<String>,
    /// Where a photo of them is.
    pub photo: Option<String>,
}

/// What units of a return are of.
#[derive(Clone, Debug)]
pub enum Of {
    /// A line of it.
    Line(ReturnLineId),
    /// Something that nobody expected, by its SKU, a barcode, or as it was described.
    Stray(String),
}

/// What [`inspect`] needs.
#[derive(Clone, Debug)]
pub struct Inspect {
    /// Which return.
    pub id: ReturnId,
    /// Where it lies; none = where it came to.
    pub warehouse_id: Option<WarehouseId>,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// Writes down what became of units of a return. What is good again is in stock at once, and whoever
/// waits for it gets it in the same transaction.
pub async fn inspect(tx: &Tx, reference: &Reference, cmd: &Inspect) -> Result<ReturnId, Failure> {
    let row = find(tx.db(), cmd.id).await?;
    let warehouse = cmd.warehouse_id.or(row.warehouse_id);
    let mut checks = Checks::new();
    let some = !cmd.findings.is_empty() && cmd.findings.len() <= MOST_FINDINGS;
    let message = format!("1 to {MOST_FINDINGS} findings are written down at once");
    checks.hold(some, Code::InvalidInput, "input.units", &message);
    for (place, finding) in cmd.findings.iter().enumerate() {
        let field = format!("input.units.{place}.quantity");
        checks.count(&field, finding.quantity, 1, MOST_UNITS);
    }
    checks.done()?;
    // Stock is locked before orders, and booked before it is known who gets it; what does not fit
    // the return takes all of it back.
    let goods = goods(tx, cmd).await?;
    let variants = goods.iter().filter_map(|goods| goods.variant_id);
    let mut shelf = Shelf::lock(tx, variants).await?;
    let mut units = Vec::with_capacity(goods.len());
    for (place, (finding, goods)) in cmd.findings.iter().zip(goods).enumerate() {
        let mut unit = unit(tx, &row, finding, goods)?;
        if let (true, Some(variant)) = (came_back(finding), unit.variant_id) {
            let Some(warehouse) = warehouse else {
                let message = "nothing says where the units are";
                let problem = Problem::new(Code::InvalidInput, message);
                return Err(problem.at("input.warehouseId").into());
            };
            let at = (variant, warehouse);
            let booked = book(tx, &mut shelf, &row, finding, at, &unit).await;
            let (movement, bin) = booked.map_err(|failure| at_place(failure, place))?;
            unit.movement_id = Some(movement);
            unit.bin_id = Some(bin);
        }
        units.push(unit);
    }
    let mut allocation = Allocation::around(tx, reference, shelf, &[row.order_id]).await?;
    let Some(order) = allocation.orders.remove(&row.order_id) else {
        return Err(archive::absent(tx.db(), row.order_id).await?.into());
    };
    let mut held = Held::read(tx, order, cmd.id).await?;
    held.step(Action::Inspect)?;
    let mut checks = Checks::new();
    let mut said = Vec::new();
    for (place, (finding, unit)) in cmd.findings.iter().zip(&units).enumerate() {
        judge(&held, finding, unit, &mut checks, place);
        said.push(json!({ "sku": unit.sku, "quantity": unit.quantity,
            "condition": unit.condition, "disposition": unit.disposition }));
        held.units.push(unit.clone());
        let own = held.lines.iter();
        let own = own.filter(|line| unit.return_line_id == Some(line.id) && came_back(finding));
        for line_id in own.map(|line| line.line_id).collect::<Vec<_>>() {
            if let Some(line) = held.order.line_mut(line_id) {
                line.returned += unit.quantity;
            }
        }
    }
    checks.done()?;
    held.order.record(
        tx,
        Event::OrderReturnInspected {
            return_id: held.row.id.0,
            units: json!(said),
        },
    );
    let is_known = |line: &return_line::Model| {
        came(&held.units, line) + missing(&held.units, line) >= line.quantity
    };
    if held.lines.iter().all(is_known) {
        held.step(Action::Complete)?;
        held.row.inspected_at = Some(tx.now);
    }
    let Held { order, mut row, .. } = held;
    let mut order = order;
    write(tx, &mut row);
    mark_order(tx, &mut order, &row).await?;
    allocation.orders.insert(row.order_id, order);
    allocation.serve_waiters(tx);
    allocation.put_back(tx);
    let rows = units.into_iter().map(IntoActiveModel::into_active_model);
    let rows: Vec<return_unit::ActiveModel> = rows.collect();
    tx.defer_rows(rows, |insert| insert);
    Ok(row.id)
}

fn came_back(finding: &Finding) -> bool {
    finding.disposition != Disposition::Missing
}

/// What a finding is of.
struct Goods {
    line: Option<ReturnLineId>,
    variant_id: Option<VariantId>,
    sku: String,
}

/// What each finding is of, as far as somebody knows. None of it changes.
async fn goods(tx: &Tx, cmd: &Inspect) -> Result<Vec<Goods>, Failure> {
    let mut all = Vec::with_capacity(cmd.findings.len());
    for (place, finding) in cmd.findings.iter().enumerate() {
        let absent = |kind: &str, name: &str| {
            Problem::not_found(kind).at(&format!("input.units.{place}.{name}"))
        };
        all.push(match &finding.of {
            Of::Line(id) => {
                let line = return_line::Entity::find_by_id(*id)
                    .filter(return_line::Column::ReturnId.eq(cmd.id))
                    .one(tx.db())
                    .await?;
                let line = line.ok_or_else(|| absent("ReturnLine", "lineId"))?;
                let of = order_line::Entity::find_by_id(line.line_id);
                let of = of.one(tx.db()).await?;
                let of = of.ok_or_else(|| absent("ReturnLine", "lineId"))?;
                Goods {
                    line: Some(line.id),
                    variant_id: of.variant_id,
                    sku: of.sku,
                }
            }
            Of::Stray(said) => {
                let said = text("sku", said)?;
                let variant = products::identify(tx, &said).await?;
                let variant = variant.map(|(variant, _)| variant);
                Goods {
                    line: None,
                    variant_id: variant.as_ref().map(|variant| variant.id),
                    sku: variant.map_or(said, |variant| variant.sku),
                }
            }
        });
    }
    Ok(all)
}

/// A row that says what was found.
fn unit(
    tx: &Tx,
    of: &return_order::Model,
    finding: &Finding,
    goods: Goods,
) -> Result<return_unit::Model, Failure> {
    Ok(return_unit::Model {
        id: tx.id(),
        return_id: of.id,
        order_id: of.order_id,
        return_line_id: goods.line,
        variant_id: goods.variant_id,
        sku: goods.sku,
        quantity: finding.quantity,
        condition: finding.condition,
        disposition: finding.disposition,
        movement_id: None,
        bin_id: None,
        note: optional("note", finding.note.as_deref())?,
        photo: optional("photo", finding.photo.as_deref())?,
        inspected_by: tx.actor.name.clone(),
        inspected_at: tx.now,
    })
}

/// Holds a finding against what came.
fn judge(
    held: &Held,
    finding: &Finding,
    unit: &return_unit::Model,
    checks: &mut Checks,
    place: usize,
) {
    let field = |name: &str| format!("input.units.{place}.{name}");
    let is_missing = !came_back(finding);
    if is_missing != (finding.condition == Condition::NotSeen) {
        let message = "units that did not come are MISSING and NOT_SEEN, and no others";
        checks.refuse(Problem::new(Code::InvalidInput, message).at(&field("condition")));
    }
    let line = held.lines.iter();
    let line = line
        .clone()
        .find(|line| unit.return_line_id == Some(line.id));
    match (&finding.of, line) {
        (Of::Line(_), Some(line)) => {
            let most = match is_missing {
                true => line.quantity - line.received - missing(&held.units, line),
                false => line.received - came(&held.units, line),
            };
            checks.count(&field("quantity"), finding.quantity, 1, most);
        }
        (Of::Line(_), None) => {
            checks.refuse(Problem::not_found("ReturnLine").at(&field("lineId")));
        }
        (Of::Stray(_), _) if is_missing => {
            let message = "what nobody expected cannot be missing";
            checks.refuse(Problem::new(Code::InvalidInput, message).at(&field("disposition")));
        }
        (Of::Stray(said), _)
            if unit.variant_id.is_none() && finding.disposition == Disposition::Restocked =>
        {
            let message = format!("nobody knows the SKU {said:?}, so it cannot be put into stock");
            checks.refuse(Problem::new(Code::SkuUnknown, message).at(&field("sku")));
        }
        (Of::Stray(_), _) => {}
    }
}

/// Books units in, and out again if they are of no use. Says which movement says what became of
/// them, and the bin.
async fn book(
    tx: &Tx,
    shelf: &mut Shelf,
    of: &return_order::Model,
    finding: &Finding,
    (variant, warehouse): (VariantId, WarehouseId),
    unit: &return_unit::Model,
) -> Result<(MovementId, BinId), Failure> {
    // What an earlier finding put there counts.
    tx.flush().await?;
    let mut bin = stock::find_bin(tx, variant, warehouse, finding.bin_id).await?;
    let id = bin.bin_id;
    let movement = |kind, on_hand, name: &str| Movement {
        variant_id: variant,
        warehouse_id: warehouse,
        bin_id: Some(id),
        kind,
        on_hand,
        reserved: 0,
        reason: Some(format!("{:?}", unit.condition).to_lowercase()),
        document: Some(of.number.clone()),
        order_id: Some(of.order_id),
        operation_key: format!("{name}:{}", unit.id),
    };
    let quantity = finding.quantity;
    let came = movement(stock_movement::Kind::Return, quantity, "return");
    let booked = shelf.change(tx, came);
    if finding.disposition == Disposition::WrittenOff {
        let gone = movement(stock_movement::Kind::WriteOff, -quantity, "write-off");
        return Ok((shelf.change(tx, gone), id));
    }
    bin.quantity += quantity;
    inventory::set_bins(tx, [bin]);
    Ok((booked, id))
}

/// A refusal of a finding's bin.
fn at_place(failure: Failure, place: usize) -> Failure {
    match failure {
        Failure::Refused(problems) => {
            let field = format!("input.units.{place}.binId");
            let placed = problems.into_iter().map(|problem| problem.at(&field));
            Failure::Refused(placed.collect())
        }
        other => other,
    }
}
