//! Picking: a list has one picker; every unit, or case, is scanned at its bin; what is not there is
//! taken from another bin or waits for a person.

use std::collections::{BTreeMap, BTreeSet};

use entity::scan::Station;
use entity::{
    BinId, FulfillmentOrderId, OrderId, PickListId, VariantId, bin, bin_stock, fulfillment_line,
    fulfillment_order, order, order_line, pick_list, pick_task, stock, stock_movement, variant,
};
use sea_orm::sea_query::{Expr, ExprTrait, Func, Query, SimpleExpr};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use serde_json::json;

use super::lists::{self, lock_list, save_list};
use super::scans::{self, Place, Read, Scanned};
use crate::catalogue::{Reference, products};
use crate::events::Event;
use crate::failure::{Code, Failure, Problem};
use crate::inventory::{self, Movement, Relocation, Shelf};
use crate::orders::{self, aggregate};
use crate::tx::Tx;

/// Takes a list to pick it. Whoever has it already keeps it; nobody else gets it.
pub async fn claim(tx: &Tx, id: PickListId) -> Result<pick_list::Model, Failure> {
    let mut list = found(lock_list(tx, id).await?)?;
    match &list.picker {
        Some(picker) if *picker == tx.actor.name => return Ok(list),
        Some(_) => return Err(taken(&list).into()),
        None => {}
    }
    if list.status == pick_list::Status::Done {
        return Err(done().into());
    }
    list.status = pick_list::Status::Picking;
    list.picker = Some(tx.actor.name.clone());
    list.claimed_at = Some(tx.now);
    let picker = list.picker.clone();
    save_list(tx, &mut list, Event::PickListClaimed { picker }).await?;
    Ok(list)
}

/// Gives a list back for somebody else to go on with. Whoever plans the work may take it from a
/// picker.
pub async fn hand_back(
    tx: &Tx,
    id: PickListId,
    planner: bool,
) -> Result<pick_list::Model, Failure> {
    let mut list = found(lock_list(tx, id).await?)?;
    if list.status != pick_list::Status::Picking {
        return Err(
            Problem::new(Code::FulfillmentStateInvalid, "nobody has the list")
                .at("input.id")
                .into(),
        );
    }
    if !planner && list.picker.as_deref() != Some(tx.actor.name.as_str()) {
        return Err(taken(&list).into());
    }
    list.status = pick_list::Status::Open;
    list.picker = None;
    list.claimed_at = None;
    save_list(tx, &mut list, Event::PickListClaimed { picker: None }).await?;
    Ok(list)
}

fn found(list: Option<pick_list::Model>) -> Result<pick_list::Model, Problem> {
    list.ok_or_else(|| Problem::not_found("pick list").at("input.id"))
}

fn taken(list: &pick_list::Model) -> Problem {
    Problem::new(Code::PickListTaken, "somebody else has the list")
        .at("input.id")
        .with(json!({ "picker": list.picker, "since": list.claimed_at }))
}

fn done() -> Problem {
    Problem::new(Code::FulfillmentStateInvalid, "the list is done").at("input.id")
}

/// A list that the caller is picking.
async fn own_list(tx: &Tx, id: PickListId) -> Result<pick_list::Model, Failure> {
    let list = found(pick_list::Entity::find_by_id(id).one(tx.db()).await?)?;
    if list.status == pick_list::Status::Done {
        return Err(done().into());
    }
    if list.picker.is_none() {
        return Err(Problem::new(
            Code::FulfillmentStateInvalid,
            "take the list before you pick it",
        )
        .at("input.id")
        .into());
    }
    if list.picker.as_deref() != Some(tx.actor.name.as_str()) {
        return Err(taken(&list).into());
    }
    Ok(list)
}

/// What [`scan`] needs.
#[derive(Clone, Debug)]
pub struct ScanPick {
    /// The list.
    pub list_id: PickListId,
    /// The bin's label, if the scanner reads that, too.
    pub bin: Option<String>,
    /// What was read.
    pub read: Read,
}

/// Counts units that were scanned at their bin: they go to staging, into their order's slot.
pub async fn scan(tx: &Tx, cmd: &ScanPick) -> Result<Scanned, Failure> {
    let list = own_list(tx, cmd.list_id).await?;
    let at = Place {
        station: Station::Pick,
        warehouse_id: list.warehouse_id,
        pick_list_id: Some(list.id),
        package_id: None,
    };
    let Some((variant, each)) = products::identify(tx, &cmd.read.code).await? else {
        let left = left_on(tx, list.id).await?;
        return Ok(scans::refuse(
            tx,
            at,
            &cmd.read,
            None,
            None,
            scans::unknown(),
            left,
        ));
    };
    let worth = scans::worth(&cmd.read, each)?;
    lock_stock(tx, variant.id, &list).await?;
    let rows = pick_task::Entity::find()
        .filter(pick_task::Column::PickListId.eq(list.id))
        .filter(pick_task::Column::VariantId.eq(variant.id))
        .order_by_asc(pick_task::Column::Position)
        .order_by_asc(pick_task::Column::Slot)
        .all(tx.db())
        .await?;
    let orders_of = orders_of(tx, rows.iter().map(|row| row.fulfillment_order_id)).await?;
    let mut orders = aggregate::lock(tx, orders_of.values().copied()).await?;
    // Only what is still wanted: work may have been taken away, or made smaller, meanwhile.
    let mut wanted: Vec<(pick_task::Model, OrderId, i64)> = Vec::new();
    let mut lacks: BTreeMap<(FulfillmentOrderId, entity::LineId), i64> = BTreeMap::new();
    for row in rows
        .iter()
        .filter(|row| row.status == pick_task::Status::Open)
    {
        let Some(order) = orders_of.get(&row.fulfillment_order_id) else {
            continue;
        };
        let work = orders
            .get(order)
            .and_then(|order| order.work(row.fulfillment_order_id));
        let Some(work) =
            work.filter(|work| work.row.status == fulfillment_order::Status::InProgress)
        else {
            continue;
        };
        let lacks = lacks.entry((work.row.id, row.line_id)).or_insert_with(|| {
            let line = work.line(row.line_id);
            line.map_or(0, |line| line.quantity - line.picked)
        });
        let units = std::cmp::min(row.quantity - row.picked, *lacks);
        if units > 0 {
            *lacks -= units;
            wanted.push((row.clone(), *order, units));
        }
    }
    let everything: i64 = wanted.iter().map(|(_, _, units)| units).sum();
    let refusal = match &cmd.bin {
        _ if rows.is_empty() => {
            Some(Problem::new(Code::ScanNotWanted, "this item is not on the list").at("input.code"))
        }
        _ if everything == 0 => Some(scans::over(worth, 0)),
        Some(label) => {
            let label = label.trim();
            let bins = bins(tx, wanted.iter().map(|(row, _, _)| row.bin_id)).await?;
            let here = |id: BinId| bins.get(&id).is_some_and(|code| code == label);
            let right: Vec<&String> = bins.values().collect();
            if wanted.iter().any(|(row, _, _)| here(row.bin_id)) {
                wanted.retain(|(row, _, _)| here(row.bin_id));
                None
            } else {
                Some(
                    Problem::new(
                        Code::ScanWrongBin,
                        format!("take it from {}", right.first().map_or("", |code| code)),
                    )
                    .at("input.bin")
                    .with(json!({ "bins": right })),
                )
            }
        }
        None => {
            // Without a bin's label it is the first bin of the walk that still has some to give.
            if let Some(first) = wanted.first().map(|(row, _, _)| row.bin_id) {
                wanted.retain(|(row, _, _)| row.bin_id == first);
            }
            None
        }
    };
    let here: i64 = wanted.iter().map(|(_, _, units)| units).sum();
    let refusal = refusal.or_else(|| (worth > here).then(|| scans::over(worth, here)));
    if let Some(problem) = refusal {
        let left = left_on(tx, list.id).await?;
        return Ok(scans::refuse(
            tx,
            at,
            &cmd.read,
            Some(variant),
            None,
            problem,
            left,
        ));
    }
    let bin = wanted[0].0.bin_id;
    let there = bin_stock::Entity::find_by_id((bin, variant.id))
        .one(tx.db())
        .await?;
    let has = there.as_ref().map_or(0, |row| row.quantity);
    if has < worth {
        let problem = Problem::new(
            Code::PickUnavailable,
            format!("by the books the bin has {has} units: report it short, or count it"),
        )
        .at("input.code")
        .with(json!({ "units": has }));
        let left = left_on(tx, list.id).await?;
        return Ok(scans::refuse(
            tx,
            at,
            &cmd.read,
            Some(variant),
            None,
            problem,
            left,
        ));
    }
    let mut left = worth;
    let mut id = None;
    let mut slots: BTreeMap<i32, i64> = BTreeMap::new();
    let mut moved: BTreeMap<OrderId, i64> = BTreeMap::new();
    for (row, order, units) in &wanted {
        let units = std::cmp::min(*units, left);
        if units == 0 {
            break;
        }
        left -= units;
        *slots.entry(row.slot).or_default() += units;
        *moved.entry(*order).or_default() += units;
        write_task(tx, row, row.picked + units);
        id = Some(scans::accept(tx, at, &cmd.read, variant.id, *order, units));
        if let Some(aggregate) = orders.get_mut(order) {
            picked(tx, aggregate, row, units);
        }
    }
    to_staging(tx, &list, &variant, there, worth, &moved).await?;
    for aggregate in orders.into_values() {
        aggregate.save(tx);
    }
    tx.flush().await?;
    let left = left_on(tx, list.id).await?;
    if left == 0 {
        lists::close(tx, list.id).await?;
    }
    Ok(Scanned {
        id: id.unwrap_or_else(|| tx.id()),
        refusal: None,
        variant: Some(variant),
        units: worth,
        slots: slots.into_iter().collect(),
        left,
    })
}

/// Counts picked units of work; what is picked whole goes on to the packing table.
fn picked(tx: &Tx, aggregate: &mut aggregate::Aggregate, row: &pick_task::Model, units: i64) {
    let Some(work) = aggregate.work_mut(row.fulfillment_order_id) else {
        return;
    };
    if let Some(line) = work.line_mut(row.line_id) {
        line.picked += units;
    }
    let left = work
        .lines
        .iter()
        .map(|line| line.quantity - line.picked)
        .sum();
    aggregate.record(
        tx,
        Event::OrderPicked {
            fulfillment_order_id: row.fulfillment_order_id,
            line_id: row.line_id,
            units,
            left,
        },
    );
}

fn write_task(tx: &Tx, row: &pick_task::Model, picked: i64) {
    use pick_task::{Column, Status};
    use sea_orm::QueryTrait;
    let status = match picked == row.quantity {
        true => Status::Done,
        false => Status::Open,
    };
    tx.defer(
        pick_task::Entity::update_many()
            .col_expr(Column::Picked, Expr::value(picked))
            .col_expr(Column::Status, Expr::value(status))
            .filter(Column::Id.eq(row.id))
            .into_query(),
    );
}

/// Locks the stock row that a list takes units from: whoever changes what lies in bins has it.
async fn lock_stock(tx: &Tx, variant: VariantId, list: &pick_list::Model) -> Result<(), DbErr> {
    if tx.locks_rows() {
        stock::Entity::find_by_id((variant, list.warehouse_id))
            .lock_exclusive()
            .one(tx.db())
            .await?;
    }
    Ok(())
}

/// Brings picked units to staging, with the ledger's entries for each order.
async fn to_staging(
    tx: &Tx,
    list: &pick_list::Model,
    variant: &variant::Model,
    from: Option<bin_stock::Model>,
    units: i64,
    orders: &BTreeMap<OrderId, i64>,
) -> Result<(), Failure> {
    let staging = inventory::staging_bin(tx, list.warehouse_id).await?;
    let Some(from) = from.filter(|from| from.bin_id != staging.id) else {
        return Ok(());
    };
    let there = bin_stock::Entity::find_by_id((staging.id, variant.id))
        .one(tx.db())
        .await?;
    inventory::set_bins(
        tx,
        [
            bin_stock::Model {
                quantity: from.quantity - units,
                ..from.clone()
            },
            bin_stock::Model {
                bin_id: staging.id,
                variant_id: variant.id,
                warehouse_id: list.warehouse_id,
                quantity: there.map_or(0, |row| row.quantity) + units,
            },
        ],
    );
    for (order, units) in orders {
        let moved = Relocation {
            variant_id: variant.id,
            warehouse_id: list.warehouse_id,
            from: from.bin_id,
            to: staging.id,
            units: *units,
            order_id: Some(*order),
        };
        inventory::record(tx, stock_movement::Kind::Pick, moved);
    }
    Ok(())
}

/// The orders that work is of.
async fn orders_of(
    tx: &Tx,
    work: impl Iterator<Item = FulfillmentOrderId>,
) -> Result<BTreeMap<FulfillmentOrderId, OrderId>, DbErr> {
    let rows: Vec<(FulfillmentOrderId, OrderId)> = fulfillment_order::Entity::find()
        .select_only()
        .column(fulfillment_order::Column::Id)
        .column(fulfillment_order::Column::OrderId)
        .filter(fulfillment_order::Column::Id.is_in(work))
        .into_tuple()
        .all(tx.db())
        .await?;
    Ok(rows.into_iter().collect())
}

/// The labels of bins.
async fn bins(tx: &Tx, ids: impl Iterator<Item = BinId>) -> Result<BTreeMap<BinId, String>, DbErr> {
    let rows = bin::Entity::find()
        .filter(bin::Column::Id.is_in(ids))
        .all(tx.db())
        .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.code)).collect())
}

/// How many units are left to pick on a list.
async fn left_on(tx: &Tx, id: PickListId) -> Result<i64, DbErr> {
    let rows = pick_task::Entity::find()
        .filter(pick_task::Column::PickListId.eq(id))
        .filter(pick_task::Column::Status.eq(pick_task::Status::Open))
        .all(tx.db())
        .await?;
    let live: BTreeSet<FulfillmentOrderId> = fulfillment_order::Entity::find()
        .filter(
            fulfillment_order::Column::Id.is_in(rows.iter().map(|row| row.fulfillment_order_id)),
        )
        .filter(fulfillment_order::Column::Status.eq(fulfillment_order::Status::InProgress))
        .all(tx.db())
        .await?
        .into_iter()
        .map(|row| row.id)
        .collect();
    Ok(rows
        .iter()
        .filter(|row| live.contains(&row.fulfillment_order_id))
        .map(|row| row.quantity - row.picked)
        .sum())
}

/// What [`short`] needs.
#[derive(Clone, Debug)]
pub struct Short {
    /// The list.
    pub list_id: PickListId,
    /// The bin.
    pub bin_id: BinId,
    /// What is short there.
    pub variant_id: VariantId,
    /// How many units lie there, apart from what was scanned already.
    pub found: i64,
    /// Why, if the picker knows: broken, mixed up.
    pub reason: Option<String>,
}

/// What a short pick came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shortage {
    /// How many units were not there.
    pub short: i64,
    /// How many of them are taken from other bins instead.
    pub elsewhere: i64,
}

/// Takes a picker's word that a bin has fewer units than the list wants. The count is booked; the
/// units come from other bins if there are some, and otherwise their orders wait: for units that
/// nobody has, at the head of the queue, with an exception each.
pub async fn short(tx: &Tx, reference: &Reference, cmd: &Short) -> Result<Shortage, Failure> {
    let list = own_list(tx, cmd.list_id).await?;
    let mut shelf = Shelf::lock(tx, [cmd.variant_id]).await?;
    let rows = pick_task::Entity::find()
        .filter(pick_task::Column::PickListId.eq(list.id))
        .filter(pick_task::Column::BinId.eq(cmd.bin_id))
        .filter(pick_task::Column::VariantId.eq(cmd.variant_id))
        .filter(pick_task::Column::Status.eq(pick_task::Status::Open))
        .order_by_asc(pick_task::Column::Slot)
        .all(tx.db())
        .await?;
    let wanted: i64 = rows.iter().map(|row| row.quantity - row.picked).sum();
    if rows.is_empty() || !(0..wanted).contains(&cmd.found) {
        return Err(Problem::new(
            Code::QuantityInvalid,
            format!("{wanted} units are to be taken from there; fewer must have been found"),
        )
        .at("input.found")
        .into());
    }
    // The rows that the found units do not reach end here.
    let mut found = cmd.found;
    let mut lost: BTreeMap<(FulfillmentOrderId, entity::LineId), i64> = BTreeMap::new();
    for row in &rows {
        let wants = row.quantity - row.picked;
        let keeps = std::cmp::min(found, wants);
        found -= keeps;
        if keeps == wants {
            continue;
        }
        *lost
            .entry((row.fulfillment_order_id, row.line_id))
            .or_default() += wants - keeps;
        shorten(tx, row, keeps).await?;
    }
    count(tx, &mut shelf, &list, cmd, wanted).await?;
    let orders_of = orders_of(tx, lost.keys().map(|(work, _)| *work)).await?;
    let concerned: Vec<OrderId> = orders_of.values().copied().collect();
    let mut allocation = orders::stock::cover(tx, reference, shelf, &concerned).await?;
    tx.flush().await?;
    let mut shortage = Shortage::default();
    for ((work, line), units) in lost {
        shortage.short += units;
        let Some(aggregate) = orders_of
            .get(&work)
            .and_then(|order| allocation.orders.get_mut(order))
        else {
            continue;
        };
        let elsewhere = lists::top_up(tx, aggregate, work).await?;
        shortage.elsewhere += elsewhere;
        aggregate.record(
            tx,
            Event::OrderPickShort {
                fulfillment_order_id: work,
                line_id: line,
                units,
                found_elsewhere: elsewhere,
            },
        );
    }
    allocation.put_back(tx);
    tx.flush().await?;
    lists::close(tx, list.id).await?;
    Ok(shortage)
}

/// Ends a row with what was picked, or leaves it with what was found besides.
async fn shorten(tx: &Tx, row: &pick_task::Model, keeps: i64) -> Result<(), DbErr> {
    use pick_task::{Column, Status};
    let quantity = row.picked + keeps;
    let update = pick_task::Entity::update_many().filter(Column::Id.eq(row.id));
    let update = match (keeps, row.picked) {
        // A row wants something; one of which nothing was found says what it wanted.
        (0, _) => update.col_expr(Column::Status, Expr::value(Status::Short)),
        _ => update.col_expr(Column::Quantity, Expr::value(quantity)),
    };
    update.exec(tx.db()).await?;
    Ok(())
}

/// Books what a picker found in a bin, if the books say more.
async fn count(
    tx: &Tx,
    shelf: &mut Shelf,
    list: &pick_list::Model,
    cmd: &Short,
    wanted: i64,
) -> Result<(), Failure> {
    let Some(there) = bin_stock::Entity::find_by_id((cmd.bin_id, cmd.variant_id))
        .one(tx.db())
        .await?
    else {
        return Ok(());
    };
    let delta = cmd.found - there.quantity;
    if delta >= 0 {
        return Ok(());
    }
    let reason = match cmd.reason.as_deref().map(str::trim) {
        Some(reason) if !reason.is_empty() => {
            format!("short pick: {}", orders::text("reason", reason)?)
        }
        _ => format!("short pick: {} of {wanted} units found", cmd.found),
    };
    shelf.change(
        tx,
        Movement {
            variant_id: cmd.variant_id,
            warehouse_id: list.warehouse_id,
            bin_id: Some(cmd.bin_id),
            kind: stock_movement::Kind::Adjust,
            on_hand: delta,
            reserved: 0,
            reason: Some(reason),
            document: Some(list.number.clone()),
            order_id: None,
            operation_key: format!("book:{}", tx.id::<uuid::Uuid>()),
        },
    );
    inventory::set_bins(
        tx,
        [bin_stock::Model {
            quantity: cmd.found,
            ..there
        }],
    );
    Ok(())
}

/// Begun work of which other units are on lists than are wanted: some are on none, or rows want
/// some that were taken away from the work meanwhile.
pub async fn misaligned(
    db: &impl ConnectionTrait,
) -> Result<Vec<(OrderId, FulfillmentOrderId)>, DbErr> {
    use fulfillment_line::Column as Line;
    let task = |column: pick_task::Column| Expr::col((pick_task::Entity, column));
    let line = |column: Line| Expr::col((fulfillment_line::Entity, column));
    let coming = Query::select()
        .expr(Func::coalesce([
            Expr::from(Func::sum(
                task(pick_task::Column::Quantity).sub(task(pick_task::Column::Picked)),
            )),
            Expr::val(0_i64),
        ]))
        .from(pick_task::Entity)
        .and_where(
            task(pick_task::Column::FulfillmentOrderId)
                .equals((fulfillment_line::Entity, Line::FulfillmentOrderId)),
        )
        .and_where(task(pick_task::Column::LineId).equals((fulfillment_line::Entity, Line::LineId)))
        .and_where(task(pick_task::Column::Status).eq(pick_task::Status::Open))
        .to_owned();
    let coming = SimpleExpr::SubQuery(None, Box::new(coming.into()));
    let misaligned = Query::select()
        .column((fulfillment_line::Entity, Line::FulfillmentOrderId))
        .from(fulfillment_line::Entity)
        .and_where(line(Line::Quantity).sub(line(Line::Picked)).ne(coming))
        .to_owned();
    use fulfillment_order::{Column, Entity, Status};
    Entity::find()
        .select_only()
        .column(Column::OrderId)
        .column(Column::Id)
        .filter(Column::Status.eq(Status::InProgress))
        .filter(Column::Id.in_subquery(misaligned))
        .order_by_asc(Column::CreatedAt)
        .limit(50)
        .into_tuple()
        .all(db)
        .await
}

/// Brings the rows of lists to what begun work wants: takes off what it wants no more, and puts on
/// what it lacks, if that is in a bin now. Says how many units changed.
pub async fn align(tx: &Tx, order: OrderId, work: FulfillmentOrderId) -> Result<i64, Failure> {
    let variants = orders::allocation::variants_of(tx, &[order]).await?;
    let _shelf = Shelf::lock(tx, variants).await?;
    let mut aggregate = super::lock_order(tx, order).await?;
    if !aggregate
        .work(work)
        .is_some_and(|work| work.row.status == fulfillment_order::Status::InProgress)
    {
        return Ok(0);
    }
    let before = aggregate.order.version;
    let trimmed = lists::trim(tx, &aggregate, work).await?;
    let found = lists::top_up(tx, &mut aggregate, work).await?;
    if found > 0 {
        let code = Code::PickUnavailable.as_str();
        orders::settle_found(tx, &mut aggregate, "the units are in a bin now", |open| {
            open.code == code
        });
    }
    if found > 0 || aggregate.order.version != before {
        aggregate.save(tx);
    }
    Ok(found + trimmed)
}

/// Whose item this is, if it waits to be packed for somebody else in the warehouse.
pub(super) async fn owner(
    tx: &Tx,
    warehouse: entity::WarehouseId,
    variant: VariantId,
    but: OrderId,
) -> Result<Option<String>, DbErr> {
    let waiting = Query::select()
        .column((
            fulfillment_order::Entity,
            fulfillment_order::Column::OrderId,
        ))
        .from(fulfillment_order::Entity)
        .inner_join(
            fulfillment_line::Entity,
            Expr::col((
                fulfillment_line::Entity,
                fulfillment_line::Column::FulfillmentOrderId,
            ))
            .equals((fulfillment_order::Entity, fulfillment_order::Column::Id)),
        )
        .and_where(
            Expr::col((
                fulfillment_order::Entity,
                fulfillment_order::Column::WarehouseId,
            ))
            .eq(warehouse),
        )
        .and_where(
            Expr::col((fulfillment_order::Entity, fulfillment_order::Column::Status))
                .eq(fulfillment_order::Status::InProgress),
        )
        .and_where(
            Expr::col((
                fulfillment_line::Entity,
                fulfillment_line::Column::VariantId,
            ))
            .eq(variant),
        )
        .and_where(
            Expr::col((fulfillment_line::Entity, fulfillment_line::Column::Picked)).gt(Expr::col(
                (fulfillment_line::Entity, fulfillment_line::Column::Packed),
            )),
        )
        .to_owned();
    order::Entity::find()
        .select_only()
        .column(order::Column::Number)
        .filter(order::Column::Id.in_subquery(waiting))
        .filter(order::Column::Id.ne(but))
        .order_by_asc(order::Column::ConfirmedAt)
        .into_tuple()
        .one(tx.db())
        .await
}

/// The SKU of a line, for a scanner's screen.
pub(super) fn sku(lines: &[order_line::Model], id: entity::LineId) -> String {
    lines
        .iter()
        .find(|line| line.id == id)
        .map_or_else(String::new, |line| line.sku.clone())
}
