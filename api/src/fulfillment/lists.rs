//! Pick lists: which units are taken from which bin, in walking order, into which slot of the cart.
//!
//! No unit is on two lists: what a bin has free is what lies in it less what open rows will take
//! from it, and both are read under the lock of the stock row.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use entity::bin::Purpose;
use entity::wave::Grouping;
use entity::{
    BinId, FulfillmentOrderId, LineId, OrderId, PickListId, PickTaskId, ShipmentId, VariantId,
    WarehouseId, WaveId, bin, bin_stock, fulfillment_line, fulfillment_order, pick_list, pick_task,
    shipment, stock_movement, variant,
};
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, JoinType, QueryFilter,
    QueryOrder, QuerySelect, Set,
};
use serde_json::json;

use super::{next_number, stopped};
use crate::events::{Entry, Event};
use crate::exceptions::Finding;
use crate::failure::{Code, Failure, Problem};
use crate::inventory::{self, Relocation, Shelf};
use crate::orders::aggregate::{self, Aggregate};
use crate::orders::open_exception;
use crate::tx::Tx;

/// Units of a line that are to be picked.
#[derive(Clone, Debug)]
pub struct Need {
    /// Whose work it is.
    pub work: FulfillmentOrderId,
    /// The line.
    pub line: LineId,
    /// What.
    pub variant: VariantId,
    /// How many units.
    pub units: i64,
    /// The place of the order on the cart.
    pub slot: i32,
}

/// Free units in a bin.
#[derive(Clone, Debug)]
pub struct Spot {
    /// The bin.
    pub bin: BinId,
    /// Where it lies in the walk: zone, aisle, bay, level, position, code. What lies at staging
    /// comes last, on the way out.
    pub walk: Walk,
    /// How many units nobody is going to take.
    pub free: i64,
}

/// Where a bin lies in the walk.
pub type Walk = (bool, [String; 6]);

/// Where a bin lies in the walk.
pub fn walk(bin: &bin::Model) -> Walk {
    (
        bin.purpose == Purpose::Staging,
        [
            bin.zone.clone(),
            bin.aisle.clone(),
            bin.bay.clone(),
            bin.level.clone(),
            bin.position.clone(),
            bin.code.clone(),
        ],
    )
}

/// Units of a need, from one bin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Take {
    /// Which need.
    pub need: usize,
    /// From which bin.
    pub bin: BinId,
    /// How many units.
    pub units: i64,
}

/// Chooses bins. All needs of a variant are looked at together: one bin that has everything is
/// better than two, one that is visited anyway better than another, and then the first in the walk;
/// where no bin has everything, the fullest are emptied first. Needs are served in their order. Says
/// what is taken, and how many units of which need are in no bin.
pub fn allocate(
    needs: &[Need],
    spots: &mut BTreeMap<VariantId, Vec<Spot>>,
) -> (Vec<Take>, BTreeMap<usize, i64>) {
    let mut takes = Vec::new();
    let mut missing = BTreeMap::new();
    let mut visited: BTreeSet<BinId> = BTreeSet::new();
    let mut variants: Vec<VariantId> = Vec::new();
    for need in needs {
        if !variants.contains(&need.variant) {
            variants.push(need.variant);
        }
    }
    for variant in variants {
        let own: Vec<usize> = (0..needs.len())
            .filter(|place| needs[*place].variant == variant)
            .collect();
        let mut left: i64 = own.iter().map(|place| needs[*place].units).sum();
        let empty = &mut Vec::new();
        let spots = spots.get_mut(&variant).unwrap_or(empty);
        let mut chosen: Vec<(BinId, i64)> = Vec::new();
        while left > 0 {
            let best = spots
                .iter_mut()
                .filter(|spot| spot.free > 0)
                .min_by_key(|spot| {
                    let whole = spot.free >= left;
                    let size = if whole { 0 } else { -spot.free };
                    (
                        !whole,
                        size,
                        !visited.contains(&spot.bin),
                        spot.walk.clone(),
                    )
                });
            let Some(best) = best else {
                break;
            };
            let units = std::cmp::min(best.free, left);
            best.free -= units;
            left -= units;
            visited.insert(best.bin);
            chosen.push((best.bin, units));
        }
        let mut bins = chosen.into_iter();
        let mut bin = bins.next();
        for place in own {
            let mut wants = needs[place].units;
            while let Some((id, has)) = bin.as_mut().filter(|_| wants > 0) {
                let units = std::cmp::min(*has, wants);
                takes.push(Take {
                    need: place,
                    bin: *id,
                    units,
                });
                wants -= units;
                *has -= units;
                if *has == 0 {
                    bin = bins.next();
                }
            }
            if wants > 0 {
                missing.insert(place, wants);
            }
        }
    }
    (takes, missing)
}

/// How many times a picker stops at a bin for these, all in one walk.
pub fn visits(takes: &[Take]) -> usize {
    let bins: BTreeSet<BinId> = takes.iter().map(|take| take.bin).collect();
    bins.len()
}

/// How many times a picker would stop at a bin, one order after another.
pub fn visits_singly(needs: &[Need], spots: &BTreeMap<VariantId, Vec<Spot>>) -> usize {
    let mut spots = spots.clone();
    let mut works: Vec<FulfillmentOrderId> = Vec::new();
    for need in needs {
        if !works.contains(&need.work) {
            works.push(need.work);
        }
    }
    works
        .into_iter()
        .map(|work| {
            let own: Vec<Need> = needs
                .iter()
                .filter(|need| need.work == work)
                .cloned()
                .collect();
            visits(&allocate(&own, &mut spots).0)
        })
        .sum()
}

/// The bins of a warehouse that have free units of variants, and the bins themselves. The stock
/// rows are locked.
pub async fn free_spots(
    tx: &Tx,
    warehouse: WarehouseId,
    variants: &BTreeSet<VariantId>,
) -> Result<(BTreeMap<VariantId, Vec<Spot>>, HashMap<BinId, bin::Model>), DbErr> {
    let filled = bin_stock::Entity::find()
        .filter(bin_stock::Column::WarehouseId.eq(warehouse))
        .filter(bin_stock::Column::VariantId.is_in(variants.iter().copied()))
        .filter(bin_stock::Column::Quantity.gt(0))
        .all(tx.db())
        .await?;
    let bins: HashMap<BinId, bin::Model> = bin::Entity::find()
        .filter(bin::Column::Id.is_in(filled.iter().map(|row| row.bin_id)))
        .all(tx.db())
        .await?
        .into_iter()
        .map(|bin| (bin.id, bin))
        .collect();
    let mut taken: HashMap<(BinId, VariantId), i64> = HashMap::new();
    for task in open_tasks(tx, warehouse, variants).await? {
        *taken.entry((task.bin_id, task.variant_id)).or_default() += task.quantity - task.picked;
    }
    let in_hand = in_hand(tx, warehouse, variants).await?;
    let mut spots: BTreeMap<VariantId, Vec<Spot>> = BTreeMap::new();
    for row in filled {
        let Some(bin) = bins.get(&row.bin_id).filter(|bin| !bin.locked) else {
            continue;
        };
        let mut free = row.quantity;
        free -= taken
            .get(&(row.bin_id, row.variant_id))
            .copied()
            .unwrap_or_default();
        if bin.purpose == Purpose::Staging {
            free -= in_hand.get(&row.variant_id).copied().unwrap_or_default();
        }
        if free > 0 {
            spots.entry(row.variant_id).or_default().push(Spot {
                bin: row.bin_id,
                walk: walk(bin),
                free,
            });
        }
    }
    Ok((spots, bins))
}

/// The rows that are still to be picked, of work that was not taken away.
async fn open_tasks(
    tx: &Tx,
    warehouse: WarehouseId,
    variants: &BTreeSet<VariantId>,
) -> Result<Vec<pick_task::Model>, DbErr> {
    pick_task::Entity::find()
        .filter(pick_task::Column::WarehouseId.eq(warehouse))
        .filter(pick_task::Column::VariantId.is_in(variants.iter().copied()))
        .filter(pick_task::Column::Status.eq(pick_task::Status::Open))
        .filter(pick_task::Column::FulfillmentOrderId.in_subquery(in_progress(warehouse)))
        .all(tx.db())
        .await
}

/// The work of a warehouse that is on pick lists.
fn in_progress(warehouse: WarehouseId) -> sea_orm::sea_query::SelectStatement {
    Query::select()
        .column(fulfillment_order::Column::Id)
        .from(fulfillment_order::Entity)
        .and_where(fulfillment_order::Column::WarehouseId.eq(warehouse))
        .and_where(fulfillment_order::Column::Status.eq(fulfillment_order::Status::InProgress))
        .to_owned()
}

/// Units that lie at staging for orders that have not left.
async fn in_hand(
    tx: &Tx,
    warehouse: WarehouseId,
    variants: &BTreeSet<VariantId>,
) -> Result<HashMap<VariantId, i64>, DbErr> {
    let mut found = HashMap::new();
    for line in fulfillment_line::Entity::find()
        .filter(fulfillment_line::Column::VariantId.is_in(variants.iter().copied()))
        .filter(fulfillment_line::Column::Picked.gt(0))
        .filter(fulfillment_line::Column::FulfillmentOrderId.in_subquery(in_progress(warehouse)))
        .all(tx.db())
        .await?
    {
        *found.entry(line.variant_id).or_default() += line.picked;
    }
    Ok(found)
}

/// What [`move_units`] needs.
#[derive(Clone, Debug)]
pub struct MoveUnits {
    /// What.
    pub variant_id: VariantId,
    /// From which bin.
    pub from: BinId,
    /// Into which bin of the same warehouse.
    pub to: BinId,
    /// How many units.
    pub units: i64,
}

/// Moves units from one bin to another: replenishment, tidying up, putting away what lies at staging
/// for nobody. What is on pick lists, or waits to leave, stays.
pub async fn move_units(tx: &Tx, cmd: &MoveUnits) -> Result<(), Failure> {
    let bin = async |id: BinId, field: &str| -> Result<bin::Model, Failure> {
        let found = bin::Entity::find_by_id(id).one(tx.db()).await?;
        found.ok_or_else(|| Problem::not_found("bin").at(field).into())
    };
    let (from, to) = (
        bin(cmd.from, "input.fromBinId").await?,
        bin(cmd.to, "input.toBinId").await?,
    );
    if from.warehouse_id != to.warehouse_id || from.id == to.id {
        return Err(Problem::new(
            Code::InvalidInput,
            "two different bins of one warehouse are needed",
        )
        .at("input.toBinId")
        .into());
    }
    let _shelf = Shelf::lock(tx, [cmd.variant_id]).await?;
    let of = BTreeSet::from([cmd.variant_id]);
    let (spots, _) = free_spots(tx, from.warehouse_id, &of).await?;
    let free = spots
        .get(&cmd.variant_id)
        .into_iter()
        .flatten()
        .find(|spot| spot.bin == from.id)
        .map_or(0, |spot| spot.free);
    if !(1..=free).contains(&cmd.units) {
        return Err(Problem::new(
            Code::QuantityInvalid,
            format!("{free} units of it may be taken from {}", from.code),
        )
        .at("input.quantity")
        .with(json!({ "free": free, "locked": from.locked }))
        .into());
    }
    let lies = async |id: BinId| {
        bin_stock::Entity::find_by_id((id, cmd.variant_id))
            .one(tx.db())
            .await
    };
    let (there, before) = (lies(from.id).await?, lies(to.id).await?);
    if let Some(there) = there {
        let moved = Relocation {
            variant_id: cmd.variant_id,
            warehouse_id: from.warehouse_id,
            from: from.id,
            to: to.id,
            units: cmd.units,
            order_id: None,
        };
        let kind = stock_movement::Kind::Transfer;
        inventory::relocate(tx, kind, moved, &there, before.as_ref());
    }
    Ok(())
}

/// What a release came to.
#[derive(Debug, Default)]
pub struct Released {
    /// The lists that were made.
    pub lists: Vec<PickListId>,
    /// The work that is on them.
    pub work: Vec<FulfillmentOrderId>,
    /// The work that was left out, each with why.
    pub left_out: Vec<(FulfillmentOrderId, String)>,
    /// How many times a picker stops at a bin.
    pub visits: i64,
    /// How many times it would be, one order after another.
    pub visits_singly: i64,
}

/// Puts work of a warehouse onto pick lists. Work that is stopped, taken away or on a list already
/// is left out; so is work of which units are in no bin that can be picked from, and its order waits
/// for a person, who is told where they are.
pub async fn release(
    tx: &Tx,
    warehouse: WarehouseId,
    wave: Option<WaveId>,
    work: &[(OrderId, FulfillmentOrderId)],
    grouping: Grouping,
) -> Result<Released, Failure> {
    let ids: Vec<FulfillmentOrderId> = work.iter().map(|(_, id)| *id).collect();
    let variants: BTreeSet<VariantId> = fulfillment_line::Entity::find()
        .filter(fulfillment_line::Column::FulfillmentOrderId.is_in(ids.iter().copied()))
        .all(tx.db())
        .await?
        .into_iter()
        .map(|line| line.variant_id)
        .collect();
    let _shelf = Shelf::lock(tx, variants.iter().copied()).await?;
    let mut orders = aggregate::lock(tx, work.iter().map(|(order, _)| *order)).await?;
    let mut released = Released::default();
    let mut needs: Vec<Need> = Vec::new();
    let mut slot = 0;
    for (order, id) in work {
        match ready(orders.get(order), *id, warehouse, wave) {
            Ok(lines) => {
                slot += 1;
                needs.extend(lines.into_iter().map(|line| Need { slot, ..line }));
                released.work.push(*id);
            }
            Err(reason) => released.left_out.push((*id, reason)),
        }
    }
    let (mut spots, bins) = free_spots(tx, warehouse, &variants).await?;
    let before = spots.clone();
    let (takes, missing) = allocate(&needs, &mut spots);
    let short: BTreeSet<FulfillmentOrderId> =
        missing.keys().map(|place| needs[*place].work).collect();
    for (place, units) in &missing {
        let need = &needs[*place];
        let Some(order) = work.iter().find(|(_, id)| *id == need.work) else {
            continue;
        };
        if let Some(aggregate) = orders.get_mut(&order.0) {
            unavailable(tx, aggregate, need, *units, warehouse).await?;
        }
    }
    released.work.retain(|id| !short.contains(id));
    for id in &short {
        let reason = "units are in no bin that can be picked from".to_owned();
        released.left_out.push((*id, reason));
    }
    let takes: Vec<Take> = takes
        .into_iter()
        .filter(|take| !short.contains(&needs[take.need].work))
        .collect();
    let picked: Vec<Need> = needs
        .iter()
        .filter(|need| !short.contains(&need.work))
        .cloned()
        .collect();
    released.visits = i64::try_from(visits(&takes)).unwrap_or(i64::MAX);
    released.visits_singly = i64::try_from(visits_singly(&picked, &before)).unwrap_or(i64::MAX);
    let service: HashMap<FulfillmentOrderId, String> = work
        .iter()
        .filter_map(|(order, id)| Some((*id, orders.get(order)?.order.service_level.clone())))
        .collect();
    let skus = skus(tx, &variants).await?;
    // What makes a list of its own; the blank name is one list for all.
    let name = |take: &Take| match grouping {
        Grouping::OneList => String::new(),
        Grouping::WarehouseZone => bins[&take.bin].zone.clone(),
        Grouping::Sku => skus[&needs[take.need].variant].clone(),
        Grouping::ServiceLevel => service[&needs[take.need].work].clone(),
    };
    let mut named: BTreeMap<String, Vec<Take>> = BTreeMap::new();
    for take in takes {
        named.entry(name(&take)).or_default().push(take);
    }
    for (name, takes) in named {
        let id = write_list(tx, warehouse, wave, name, takes, &needs, &bins, &skus).await?;
        released.lists.push(id);
    }
    for (order, id) in work {
        let Some(aggregate) = orders.get_mut(order) else {
            continue;
        };
        if released.work.contains(id) {
            let slot = needs
                .iter()
                .find(|need| need.work == *id)
                .map_or(1, |need| need.slot);
            start(tx, aggregate, *id, wave, slot);
        } else if let Some(work) = aggregate.work_mut(*id) {
            work.row_mut().wave_id = None;
        }
    }
    for aggregate in orders.into_values() {
        aggregate.save(tx);
    }
    Ok(released)
}

/// What is to be picked of work, or why it is not its turn.
fn ready(
    aggregate: Option<&Aggregate>,
    id: FulfillmentOrderId,
    warehouse: WarehouseId,
    wave: Option<WaveId>,
) -> Result<Vec<Need>, String> {
    let aggregate = aggregate.ok_or("the order is gone")?;
    if let Some(reason) = stopped(aggregate) {
        return Err(reason.to_owned());
    }
    let work = aggregate
        .work(id)
        .ok_or("it was taken away from the warehouse")?;
    if work.row.status != fulfillment_order::Status::Open {
        return Err("it is stopped or on a list already".to_owned());
    }
    if work.row.warehouse_id != warehouse {
        return Err("it is another warehouse's".to_owned());
    }
    if work.row.wave_id != wave {
        return Err("it is in a wave".to_owned());
    }
    Ok(work
        .lines
        .iter()
        .filter(|line| line.quantity > 0)
        .map(|line| Need {
            work: id,
            line: line.line_id,
            variant: line.variant_id,
            units: line.quantity,
            slot: 0,
        })
        .collect())
}

/// Marks work as begun, with the shipment that it becomes.
fn start(
    tx: &Tx,
    aggregate: &mut Aggregate,
    id: FulfillmentOrderId,
    wave_id: Option<WaveId>,
    slot: i32,
) {
    let number = aggregate.order.number.clone();
    let order_id = aggregate.order.id;
    let Some(work) = aggregate.work_mut(id) else {
        return;
    };
    let row = work.row_mut();
    row.status = fulfillment_order::Status::InProgress;
    let (warehouse_id, position) = (row.warehouse_id, row.position);
    let shipment_id: ShipmentId = tx.id();
    work.open_shipment(shipment::Model {
        id: shipment_id,
        number: format!("{number}-S{position}"),
        order_id,
        fulfillment_order_id: id,
        warehouse_id,
        status: shipment::Status::Pending,
        tracking_status: shipment::TrackingStatus::Unknown,
        carrier: None,
        service: None,
        choice: None,
        cost_minor: None,
        currency: None,
        promised_at: None,
        dispatched_at: None,
        delivered_at: None,
        created_at: tx.now,
        updated_at: tx.now,
        missed_at: None,
    });
    aggregate.record(
        tx,
        Event::OrderPickingStarted {
            fulfillment_order_id: id,
            shipment_id,
            slot,
            wave_id,
        },
    );
}

/// Says to a person that units which are held for an order are in no bin that can be picked from,
/// and where they are instead.
pub async fn unavailable(
    tx: &Tx,
    aggregate: &mut Aggregate,
    need: &Need,
    units: i64,
    warehouse: WarehouseId,
) -> Result<(), Failure> {
    if aggregate.has_open(Code::PickUnavailable) {
        return Ok(());
    }
    let filled = bin_stock::Entity::find()
        .filter(bin_stock::Column::VariantId.eq(need.variant))
        .filter(bin_stock::Column::WarehouseId.eq(warehouse))
        .filter(bin_stock::Column::Quantity.gt(0))
        .all(tx.db())
        .await?;
    let bins: Vec<bin::Model> = bin::Entity::find()
        .filter(bin::Column::Id.is_in(filled.iter().map(|row| row.bin_id)))
        .all(tx.db())
        .await?;
    let tasks = open_tasks(tx, warehouse, &BTreeSet::from([need.variant])).await?;
    let places: Vec<_> = filled
        .iter()
        .filter_map(|row| {
            let bin = bins.iter().find(|bin| bin.id == row.bin_id)?;
            let listed: i64 = tasks
                .iter()
                .filter(|task| task.bin_id == bin.id)
                .map(|task| task.quantity - task.picked)
                .sum();
            Some(json!({
                "bin": bin.code,
                "units": row.quantity,
                "locked": bin.locked,
                "onPickLists": listed,
            }))
        })
        .collect();
    let place = aggregate.lines.iter().position(|line| line.id == need.line);
    let sku = place.map_or("", |place| aggregate.lines[place].sku.as_str());
    let finding = Finding {
        code: Code::PickUnavailable,
        line: place,
        field: "lines".to_owned(),
        message: format!("{units} units of {sku} are in no bin that can be picked from"),
        details: json!({ "sku": sku, "units": units, "bins": places }),
        rule: None,
    };
    open_exception(tx, aggregate, &finding);
    Ok(())
}

/// The SKUs of variants.
async fn skus(
    tx: &Tx,
    variants: &BTreeSet<VariantId>,
) -> Result<HashMap<VariantId, String>, DbErr> {
    let rows: Vec<(VariantId, String)> = variant::Entity::find()
        .select_only()
        .column(variant::Column::Id)
        .column(variant::Column::Sku)
        .filter(variant::Column::Id.is_in(variants.iter().copied()))
        .into_tuple()
        .all(tx.db())
        .await?;
    Ok(rows.into_iter().collect())
}

#[allow(clippy::too_many_arguments, reason = "one step of one use case")]
async fn write_list(
    tx: &Tx,
    warehouse: WarehouseId,
    wave: Option<WaveId>,
    name: String,
    mut takes: Vec<Take>,
    needs: &[Need],
    bins: &HashMap<BinId, bin::Model>,
    skus: &HashMap<VariantId, String>,
) -> Result<PickListId, Failure> {
    let id: PickListId = tx.id();
    let list = pick_list::Model {
        id,
        number: next_number(tx, "pick_list_number", "P").await?,
        warehouse_id: warehouse,
        wave_id: wave,
        name: Some(name).filter(|name| !name.is_empty()),
        status: pick_list::Status::Open,
        picker: None,
        claimed_at: None,
        created_at: tx.now,
        closed_at: None,
        version: 0,
    };
    takes.sort_by_cached_key(|take| {
        let need = &needs[take.need];
        (
            walk(&bins[&take.bin]),
            skus[&need.variant].clone(),
            need.slot,
        )
    });
    let mut position = -1;
    let mut stop = None;
    let mut rows = Vec::with_capacity(takes.len());
    for take in takes {
        let need = &needs[take.need];
        if stop != Some((take.bin, need.variant)) {
            stop = Some((take.bin, need.variant));
            position += 1;
        }
        rows.push(task(tx, id, position, warehouse, need, &take));
    }
    tx.defer_rows(vec![list.into_active_model()], |insert| insert);
    tx.defer_rows(rows, |insert| insert);
    Ok(id)
}

fn task(
    tx: &Tx,
    list: PickListId,
    position: i32,
    warehouse: WarehouseId,
    need: &Need,
    take: &Take,
) -> pick_task::ActiveModel {
    let id: PickTaskId = tx.id();
    pick_task::ActiveModel {
        id: Set(id),
        pick_list_id: Set(list),
        position: Set(position),
        slot: Set(need.slot),
        fulfillment_order_id: Set(need.work),
        line_id: Set(need.line),
        variant_id: Set(need.variant),
        warehouse_id: Set(warehouse),
        bin_id: Set(take.bin),
        quantity: Set(take.units),
        picked: Set(0),
        status: Set(pick_task::Status::Open),
    }
}

/// Puts what begun work still lacks, and no row will bring, onto its list, from bins that have it.
/// What is in no bin waits for a person. The stock rows and the order are locked, and what was
/// written to the rows of lists before is in the database. Says how many units found a bin.
pub async fn top_up(
    tx: &Tx,
    aggregate: &mut Aggregate,
    id: FulfillmentOrderId,
) -> Result<i64, Failure> {
    let Some(work) = aggregate.work(id) else {
        return Ok(0);
    };
    let warehouse = work.row.warehouse_id;
    let rows = pick_task::Entity::find()
        .filter(pick_task::Column::FulfillmentOrderId.eq(id))
        .order_by_asc(pick_task::Column::Position)
        .all(tx.db())
        .await?;
    let Some(last) = rows.last().cloned() else {
        return Ok(0);
    };
    let mut needs = Vec::new();
    for line in &work.lines {
        let coming: i64 = rows
            .iter()
            .filter(|row| row.line_id == line.line_id && row.status == pick_task::Status::Open)
            .map(|row| row.quantity - row.picked)
            .sum();
        let units = line.quantity - line.picked - coming;
        if units > 0 {
            needs.push(Need {
                work: id,
                line: line.line_id,
                variant: line.variant_id,
                units,
                slot: last.slot,
            });
        }
    }
    if needs.is_empty() {
        return Ok(0);
    }
    let variants = needs.iter().map(|need| need.variant).collect();
    let (mut spots, _) = free_spots(tx, warehouse, &variants).await?;
    let (takes, missing) = allocate(&needs, &mut spots);
    let end = pick_task::Entity::find()
        .filter(pick_task::Column::PickListId.eq(last.pick_list_id))
        .order_by_desc(pick_task::Column::Position)
        .one(tx.db())
        .await?
        .map_or(0, |row| row.position);
    let found = takes.iter().map(|take| take.units).sum();
    let mut added = Vec::new();
    for (place, take) in (1..).zip(&takes) {
        let need = &needs[take.need];
        added.push(task(
            tx,
            last.pick_list_id,
            end + place,
            warehouse,
            need,
            take,
        ));
    }
    if !added.is_empty() {
        pick_task::Entity::insert_many(added)
            .exec_without_returning(tx.db())
            .await?;
        reopen(tx, last.pick_list_id).await?;
    }
    for (place, units) in missing {
        unavailable(tx, aggregate, &needs[place], units, warehouse).await?;
    }
    Ok(found)
}

/// Takes units off the rows of begun work that it wants no more: a count has taken them back. Says
/// how many. The order is locked.
pub async fn trim(tx: &Tx, aggregate: &Aggregate, id: FulfillmentOrderId) -> Result<i64, Failure> {
    use pick_task::{Column, Entity, Status};
    let Some(work) = aggregate.work(id) else {
        return Ok(0);
    };
    let rows = Entity::find()
        .filter(Column::FulfillmentOrderId.eq(id))
        .filter(Column::Status.eq(Status::Open))
        .order_by_desc(Column::Position)
        .all(tx.db())
        .await?;
    let mut trimmed = 0;
    for line in &work.lines {
        let own = || rows.iter().filter(|row| row.line_id == line.line_id);
        let coming: i64 = own().map(|row| row.quantity - row.picked).sum();
        let mut surplus = coming - (line.quantity - line.picked);
        for row in own() {
            let takes = std::cmp::min(surplus, row.quantity - row.picked);
            if takes <= 0 {
                continue;
            }
            surplus -= takes;
            trimmed += takes;
            let left = row.quantity - takes;
            let update = Entity::update_many().filter(Column::Id.eq(row.id));
            let update = match (left, left == row.picked) {
                (0, _) => update.col_expr(Column::Status, Expr::value(Status::Cancelled)),
                (_, true) => update
                    .col_expr(Column::Quantity, Expr::value(left))
                    .col_expr(Column::Status, Expr::value(Status::Done)),
                (_, false) => update.col_expr(Column::Quantity, Expr::value(left)),
            };
            update.exec(tx.db()).await?;
        }
    }
    Ok(trimmed)
}

/// Gives a list that was done back to whoever takes it: there is something on it again.
async fn reopen(tx: &Tx, id: PickListId) -> Result<(), DbErr> {
    use pick_list::{Column, Status};
    pick_list::Entity::update_many()
        .col_expr(Column::Status, Expr::value(Status::Open))
        .col_expr(Column::Picker, Expr::value(None::<String>))
        .col_expr(
            Column::ClosedAt,
            Expr::value(None::<chrono::DateTime<chrono::Utc>>),
        )
        .filter(Column::Id.eq(id))
        .filter(Column::Status.eq(Status::Done))
        .exec(tx.db())
        .await?;
    Ok(())
}

/// The lists with nothing left to pick that do not say so: the rest of what was on them is no longer
/// wanted.
pub async fn finished(db: &impl ConnectionTrait) -> Result<Vec<PickListId>, DbErr> {
    let wanted = Query::select()
        .column((pick_task::Entity, pick_task::Column::PickListId))
        .from(pick_task::Entity)
        .join(
            JoinType::InnerJoin,
            fulfillment_order::Entity,
            Expr::col((fulfillment_order::Entity, fulfillment_order::Column::Id))
                .equals((pick_task::Entity, pick_task::Column::FulfillmentOrderId)),
        )
        .and_where(
            Expr::col((pick_task::Entity, pick_task::Column::Status)).eq(pick_task::Status::Open),
        )
        .and_where(
            Expr::col((fulfillment_order::Entity, fulfillment_order::Column::Status))
                .eq(fulfillment_order::Status::InProgress),
        )
        .to_owned();
    pick_list::Entity::find()
        .select_only()
        .column(pick_list::Column::Id)
        .filter(pick_list::Column::Status.ne(pick_list::Status::Done))
        .filter(pick_list::Column::Id.not_in_subquery(wanted))
        .limit(200)
        .into_tuple()
        .all(db)
        .await
}

/// Closes a list with nothing left to pick, and its wave with it if it was the last. Says whether it
/// was. Rows of work that was taken away are given up.
pub async fn close(tx: &Tx, id: PickListId) -> Result<bool, Failure> {
    let Some(list) = lock_list(tx, id).await? else {
        return Ok(false);
    };
    if list.status == pick_list::Status::Done {
        return Ok(false);
    }
    let open = pick_task::Entity::find()
        .filter(pick_task::Column::PickListId.eq(id))
        .filter(pick_task::Column::Status.eq(pick_task::Status::Open))
        .all(tx.db())
        .await?;
    let live = fulfillment_order::Entity::find()
        .filter(
            fulfillment_order::Column::Id.is_in(open.iter().map(|row| row.fulfillment_order_id)),
        )
        .filter(fulfillment_order::Column::Status.eq(fulfillment_order::Status::InProgress))
        .one(tx.db())
        .await?;
    if live.is_some() {
        return Ok(false);
    }
    if !open.is_empty() {
        pick_task::Entity::update_many()
            .col_expr(
                pick_task::Column::Status,
                Expr::value(pick_task::Status::Cancelled),
            )
            .filter(pick_task::Column::Id.is_in(open.iter().map(|row| row.id)))
            .exec(tx.db())
            .await?;
    }
    close_list(tx, list).await?;
    Ok(true)
}

/// Locks a list.
pub(super) async fn lock_list(tx: &Tx, id: PickListId) -> Result<Option<pick_list::Model>, DbErr> {
    let mut query = pick_list::Entity::find_by_id(id);
    if tx.locks_rows() {
        query = query.lock_exclusive();
    }
    query.one(tx.db()).await
}

/// Writes that a locked list is done.
pub(super) async fn close_list(tx: &Tx, mut list: pick_list::Model) -> Result<(), Failure> {
    list.status = pick_list::Status::Done;
    list.closed_at = Some(tx.now);
    save_list(tx, &mut list, Event::PickListDone {}).await?;
    if let Some(wave) = list.wave_id {
        super::waves::close(tx, wave).await?;
    }
    Ok(())
}

/// Writes a locked list with what happened to it.
pub(super) async fn save_list(
    tx: &Tx,
    list: &mut pick_list::Model,
    event: Event,
) -> Result<(), DbErr> {
    use pick_list::Column;
    list.version += 1;
    pick_list::Entity::update_many()
        .col_expr(Column::Status, Expr::value(list.status))
        .col_expr(Column::Picker, Expr::value(list.picker.clone()))
        .col_expr(Column::ClaimedAt, Expr::value(list.claimed_at))
        .col_expr(Column::ClosedAt, Expr::value(list.closed_at))
        .col_expr(Column::Version, Expr::value(list.version))
        .filter(Column::Id.eq(list.id))
        .exec(tx.db())
        .await?;
    tx.emit(Entry {
        aggregate_type: "pick_list",
        aggregate_id: list.id.to_string(),
        version: list.version,
        channel_id: None,
        order_id: None,
        moved: None,
        event,
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn spot(n: u128, free: i64) -> Spot {
        Spot {
            bin: BinId(Uuid::from_u128(n)),
            walk: (false, std::array::from_fn(|_| format!("{n:03}"))),
            free,
        }
    }

    fn need(work: u128, variant: u128, units: i64) -> Need {
        Need {
            work: FulfillmentOrderId(Uuid::from_u128(work)),
            line: LineId(Uuid::from_u128(work * 100 + variant)),
            variant: VariantId(Uuid::from_u128(variant)),
            units,
            slot: 1,
        }
    }

    #[test]
    fn one_bin_that_has_everything_is_better_than_two_and_the_fullest_are_emptied_first() {
        let variant = VariantId(Uuid::from_u128(1));
        let mut spots = BTreeMap::from([(variant, vec![spot(1, 2), spot(2, 3), spot(3, 9)])]);
        let needs = [need(1, 1, 2), need(2, 1, 3)];
        let (takes, missing) = allocate(&needs, &mut spots.clone());
        assert_eq!(visits(&takes), 1);
        assert!(missing.is_empty());
        let needs = [need(1, 1, 10), need(2, 1, 5)];
        let (takes, missing) = allocate(&needs, &mut spots);
        assert_eq!(visits(&takes), 3);
        assert_eq!(takes[0].bin, BinId(Uuid::from_u128(3)));
        assert_eq!(missing, BTreeMap::from([(1, 1)]));
    }

    proptest! {
        #[test]
        fn t2_a_wave_takes_what_is_wanted_and_never_more_stops_than_order_by_order(
            stock in prop::collection::vec(prop::collection::vec(0i64..9, 1..6), 1..4),
            wanted in prop::collection::vec((1u128..6, 0usize..4, 1i64..7), 1..20),
        ) {
            let mut spots: BTreeMap<VariantId, Vec<Spot>> = BTreeMap::new();
            for (n, bins) in (0u128..).zip(&stock) {
                let own = (0u128..).zip(bins).map(|(b, free)| spot(n * 10 + b, *free)).collect();
                spots.insert(VariantId(Uuid::from_u128(n)), own);
            }
            let needs: Vec<Need> = wanted.iter().map(|(work, variant, units)| {
                need(*work, (*variant % stock.len()) as u128, *units)
            }).collect();
            let before = spots.clone();
            let (takes, missing) = allocate(&needs, &mut spots);
            for (place, need) in needs.iter().enumerate() {
                let got: i64 = takes.iter().filter(|t| t.need == place).map(|t| t.units).sum();
                prop_assert_eq!(got + missing.get(&place).copied().unwrap_or(0), need.units);
            }
            for (variant, bins) in &before {
                let mut left = 0;
                for one in bins {
                    let taken: i64 = takes.iter()
                        .filter(|t| t.bin == one.bin && needs[t.need].variant == *variant)
                        .map(|t| t.units).sum();
                    prop_assert!(taken <= one.free);
                    left += one.free - taken;
                }
                let short: i64 = missing.iter()
                    .filter(|(place, _)| needs[**place].variant == *variant)
                    .map(|(_, units)| units).sum();
                prop_assert!(short == 0 || left == 0, "units were left in bins and somebody got none");
            }
            if missing.is_empty() {
                prop_assert!(visits(&takes) <= visits_singly(&needs, &before));
            }
        }
    }
}
