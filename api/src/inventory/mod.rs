//! What can be promised: stock rows, their ledger, what is held of them and who waits.
//!
//! Everything goes through a [`Shelf`]: the stock rows of some variants, locked in one order,
//! changed in memory by the rules, and written back whole. The database's checks hold whatever
//! the rules say: `0 <= reserved <= on_hand`.
//!
//! Who waits for a variant waits for its units in the warehouses that serve the order's channel.
//! A line gets none of a warehouse's units while others wait for them, even if there are some:
//! nobody overtakes. Waiters whose channel the warehouse does not serve are not before it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use entity::{
    BackorderId, BinId, ChannelId, LineId, MovementId, OrderId, ReservationId, VariantId,
    WarehouseId, backorder, reservation, stock, stock_movement, variant,
};
use sea_orm::sea_query::{LockType, OnConflict};
use sea_orm::{
    ColumnTrait, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QueryResult,
    QuerySelect, QueryTrait, Set,
};

use crate::events::{Entry, Event};
use crate::tx::Tx;

mod bins;
pub mod inbound;
mod queue;
mod rows;
pub mod sources;
pub mod statements;

pub use bins::{
    Relocation, STAGING, bins, bins_of, receiving_bin, record, relocate, set_bins, staging_bin,
};
pub use queue::{held_by, servable, waiters};
pub use rows::{SetSafety, open_for_variants, open_for_warehouse, require, set_safety};

/// The stock rows of some variants, locked until the transaction ends.
pub struct Shelf {
    rows: BTreeMap<(VariantId, WarehouseId), stock::Model>,
    touched: BTreeSet<(VariantId, WarehouseId)>,
    /// What stale sources keep back, in percent of the units on hand.
    withheld: BTreeMap<WarehouseId, i64>,
    /// Where each queue ends.
    queues: HashMap<VariantId, i64>,
    /// What somebody waits for.
    awaited: BTreeSet<(VariantId, WarehouseId)>,
    movements: Vec<stock_movement::ActiveModel>,
    reservations: Vec<reservation::ActiveModel>,
    backorders: Vec<backorder::ActiveModel>,
}

/// What a line wants.
#[derive(Clone, Copy, Debug)]
pub struct Demand {
    /// The order.
    pub order_id: OrderId,
    /// Its line.
    pub line_id: LineId,
    /// Its channel.
    pub channel_id: ChannelId,
    /// What it wants.
    pub variant_id: VariantId,
    /// How many units.
    pub quantity: i64,
}

/// How units are held.
#[derive(Clone, Copy, Debug)]
pub enum Strength {
    /// Until a moment, unless the order is confirmed before.
    Soft(DateTime<Utc>),
    /// For good.
    Firm,
}

impl Shelf {
    /// Locks the stock rows of variants, in the order that everyone uses, and learns where their
    /// queues end and which rows they are for. The queues are read by statements of their own,
    /// after the lock is won: a sub-query of the locking statement would still see the queue as it
    /// was before the wait.
    pub async fn lock(
        tx: &Tx,
        variants: impl IntoIterator<Item = VariantId>,
    ) -> Result<Shelf, DbErr> {
        let variants: BTreeSet<VariantId> = variants.into_iter().collect();
        let mut shelf = Shelf {
            rows: BTreeMap::new(),
            touched: BTreeSet::new(),
            withheld: BTreeMap::new(),
            queues: HashMap::new(),
            awaited: BTreeSet::new(),
            movements: Vec::new(),
            reservations: Vec::new(),
            backorders: Vec::new(),
        };
        if variants.is_empty() {
            return Ok(shelf);
        }
        let mut query = stock::Entity::find()
            .column_as(sources::withheld_percent(), WITHHELD_PERCENT)
            .filter(stock::Column::VariantId.is_in(variants.iter().copied()))
            .order_by_asc(stock::Column::VariantId)
            .order_by_asc(stock::Column::WarehouseId);
        if tx.locks_rows() {
            query = query.lock_exclusive();
        }
        let mut rows = query.clone().into_model::<Shelved>().all(tx.db()).await?;
        let stocked: BTreeSet<VariantId> = rows.iter().map(|one| one.row.variant_id).collect();
        let unstocked: Vec<VariantId> = variants.difference(&stocked).copied().collect();
        if !unstocked.is_empty() && tx.locks_rows() {
            // Every variant has its rows from the first; where they are missing, the variant
            // itself is what everybody waits at. Foreign keys may still look at it meanwhile.
            let mut owners = variant::Entity::find()
                .filter(variant::Column::Id.is_in(unstocked))
                .order_by_asc(variant::Column::Id);
            QueryTrait::query(&mut owners).lock(LockType::NoKeyUpdate);
            owners.all(tx.db()).await?;
            rows = query.into_model::<Shelved>().all(tx.db()).await?;
        }
        for Shelved {
            row,
            withheld_percent,
        } in rows
        {
            shelf.withheld.insert(row.warehouse_id, withheld_percent);
            shelf.rows.insert((row.variant_id, row.warehouse_id), row);
        }
        let ends = queue::ends(tx, &variants).await?;
        for end in &ends {
            let last = shelf.queues.entry(end.variant_id).or_insert(end.last);
            *last = end.last.max(*last);
        }
        shelf.awaited = queue::awaited(tx, &ends).await?;
        Ok(shelf)
    }

    /// The rows, as they are after what was done so far.
    pub fn rows(&self) -> impl Iterator<Item = &stock::Model> {
        self.rows.values()
    }

    /// The rows that somebody waits for.
    pub fn awaited(&self) -> impl Iterator<Item = &stock::Model> {
        self.awaited.iter().filter_map(|key| self.rows.get(key))
    }

    /// How many units of a variant can be promised from these warehouses: none of those that
    /// others wait for.
    pub fn available(&self, variant: VariantId, warehouses: &[WarehouseId]) -> i64 {
        self.unawaited(variant, warehouses)
            .filter_map(|warehouse| self.rows.get(&(variant, warehouse)))
            .map(|row| self.free(row))
            .sum()
    }

    /// What can be promised of a row, to whomever: what is on hand, less what is held, never
    /// promised, or kept back because nobody knows whether it is still there.
    pub fn free(&self, row: &stock::Model) -> i64 {
        let withheld = self.withheld.get(&row.warehouse_id);
        available(row, withheld.copied().unwrap_or_default())
    }

    /// Holds what is available for a line and says how many units that is.
    ///
    /// The first warehouse that has everything is taken; otherwise each gives what it has, in
    /// the channel's order.
    pub fn hold(
        &mut self,
        tx: &Tx,
        demand: Demand,
        warehouses: &[WarehouseId],
        strength: Strength,
    ) -> i64 {
        let warehouses: Vec<WarehouseId> = self.unawaited(demand.variant_id, warehouses).collect();
        self.take(tx, demand, &warehouses, strength)
    }

    /// Holds units for a line in one warehouse for good, as far as they can be promised there.
    pub fn hold_in(&mut self, tx: &Tx, demand: Demand, warehouse: WarehouseId) -> i64 {
        self.hold(tx, demand, &[warehouse], Strength::Firm)
    }

    /// The warehouses among these whose units of a variant nobody waits for.
    fn unawaited(
        &self,
        variant: VariantId,
        warehouses: &[WarehouseId],
    ) -> impl Iterator<Item = WarehouseId> {
        warehouses
            .iter()
            .copied()
            .filter(move |warehouse| !self.awaited.contains(&(variant, *warehouse)))
    }

    fn take(
        &mut self,
        tx: &Tx,
        demand: Demand,
        warehouses: &[WarehouseId],
        strength: Strength,
    ) -> i64 {
        let has = |shelf: &Shelf, warehouse: &WarehouseId| {
            shelf
                .rows
                .get(&(demand.variant_id, *warehouse))
                .map_or(0, |row| shelf.free(row))
        };
        let whole = warehouses
            .iter()
            .find(|warehouse| has(self, warehouse) >= demand.quantity)
            .copied();
        let sources = whole.map_or_else(|| warehouses.to_vec(), |warehouse| vec![warehouse]);
        let mut missing = demand.quantity;
        for warehouse in sources {
            let quantity = has(self, &warehouse).min(missing);
            if quantity <= 0 {
                continue;
            }
            missing -= quantity;
            let (kind, status, expires_at) = match strength {
                Strength::Soft(until) => (
                    stock_movement::Kind::Hold,
                    reservation::Status::Active,
                    Some(until),
                ),
                Strength::Firm => (
                    stock_movement::Kind::Allocate,
                    reservation::Status::Allocated,
                    None,
                ),
            };
            let id: ReservationId = tx.id();
            self.reservations.push(reservation::ActiveModel {
                id: Set(id),
                order_id: Set(demand.order_id),
                line_id: Set(demand.line_id),
                variant_id: Set(demand.variant_id),
                warehouse_id: Set(warehouse),
                quantity: Set(quantity),
                status: Set(status),
                expires_at: Set(expires_at),
                created_at: Set(tx.now),
                updated_at: Set(tx.now),
            });
            self.change(
                tx,
                Movement {
                    variant_id: demand.variant_id,
                    warehouse_id: warehouse,
                    bin_id: None,
                    kind,
                    on_hand: 0,
                    reserved: quantity,
                    reason: None,
                    document: None,
                    order_id: Some(demand.order_id),
                    operation_key: format!("hold:{id}"),
                },
            );
        }
        demand.quantity - missing
    }

    /// Puts a line at the end of its variant's queue, to wait for units in these warehouses.
    pub fn wait(
        &mut self,
        tx: &Tx,
        demand: Demand,
        warehouses: &[WarehouseId],
        expected_at: Option<DateTime<Utc>>,
    ) {
        let rows = warehouses.iter().map(|id| (demand.variant_id, *id));
        self.awaited.extend(rows);
        let position = self
            .queues
            .get(&demand.variant_id)
            .map_or(1, |last| last + 1);
        self.queues.insert(demand.variant_id, position);
        let id: BackorderId = tx.id();
        self.backorders.push(backorder::ActiveModel {
            id: Set(id),
            order_id: Set(demand.order_id),
            line_id: Set(demand.line_id),
            channel_id: Set(demand.channel_id),
            variant_id: Set(demand.variant_id),
            position: Set(position),
            quantity: Set(demand.quantity),
            status: Set(backorder::Status::Waiting),
            answer: Set(backorder::Answer::None),
            expected_at: Set(expected_at),
            created_at: Set(tx.now),
            updated_at: Set(tx.now),
        });
    }

    /// Serves a waiter as far as stock goes and says how many units it got.
    pub fn serve(
        &mut self,
        tx: &Tx,
        waiter: &backorder::Model,
        warehouses: &[WarehouseId],
        strength: Strength,
    ) -> i64 {
        let demand = Demand {
            order_id: waiter.order_id,
            line_id: waiter.line_id,
            channel_id: waiter.channel_id,
            variant_id: waiter.variant_id,
            quantity: waiter.quantity,
        };
        self.take(tx, demand, warehouses, strength)
    }

    /// Makes the soft holds that this shelf has made for an order firm.
    pub fn firm_up(&mut self, order: OrderId) {
        for reservation in &mut self.reservations {
            if *reservation.order_id.as_ref() != order {
                continue;
            }
            reservation.status = Set(reservation::Status::Allocated);
            reservation.expires_at = Set(None);
        }
    }

    /// Lets a reservation's units go. The caller has moved the reservation to its end by a
    /// compare-and-set, or made it smaller; the movement says which end, under a name of its own.
    pub fn let_go(
        &mut self,
        tx: &Tx,
        held: &reservation::Model,
        kind: stock_movement::Kind,
        operation_key: String,
    ) {
        self.change(
            tx,
            Movement {
                variant_id: held.variant_id,
                warehouse_id: held.warehouse_id,
                bin_id: None,
                kind,
                on_hand: 0,
                reserved: -held.quantity,
                reason: None,
                document: None,
                order_id: Some(held.order_id),
                operation_key,
            },
        );
    }

    /// Records one movement and changes its stock row by it. Says which movement that is.
    pub fn change(&mut self, tx: &Tx, movement: Movement) -> MovementId {
        let id: MovementId = tx.id();
        let key = (movement.variant_id, movement.warehouse_id);
        let row = self.rows.entry(key).or_insert_with(|| stock::Model {
            variant_id: movement.variant_id,
            warehouse_id: movement.warehouse_id,
            on_hand: 0,
            reserved: 0,
            safety: 0,
            version: 0,
            updated_at: tx.now,
        });
        row.on_hand += movement.on_hand;
        row.reserved += movement.reserved;
        if self.touched.insert(key) {
            row.version += 1;
            row.updated_at = tx.now;
        }
        self.movements.push(stock_movement::ActiveModel {
            id: Set(id),
            variant_id: Set(movement.variant_id),
            warehouse_id: Set(movement.warehouse_id),
            bin_id: Set(movement.bin_id),
            kind: Set(movement.kind),
            delta_on_hand: Set(movement.on_hand),
            delta_reserved: Set(movement.reserved),
            reason: Set(movement.reason),
            document: Set(movement.document),
            order_id: Set(movement.order_id),
            actor: Set(tx.actor.name.clone()),
            operation_key: Set(movement.operation_key),
            occurred_at: Set(tx.now),
        });
        id
    }

    /// Writes everything back, with one event for each stock row that changed.
    pub fn put_back(self, tx: &Tx) {
        let rows: Vec<stock::Model> = self
            .touched
            .iter()
            .filter_map(|key| self.rows.get(key).cloned())
            .collect();
        for row in &rows {
            tx.emit(Entry {
                aggregate_type: "stock",
                aggregate_id: format!("{}/{}", row.variant_id, row.warehouse_id),
                version: row.version,
                channel_id: None,
                order_id: None,
                moved: None,
                event: Event::StockChanged {
                    variant_id: row.variant_id,
                    warehouse_id: row.warehouse_id,
                    on_hand: row.on_hand,
                    reserved: row.reserved,
                    safety: row.safety,
                },
            });
        }
        // The rows are locked, so writing them whole loses nobody's change.
        let rows: Vec<stock::ActiveModel> = rows.into_iter().map(whole).collect();
        tx.defer_rows(rows, |insert| {
            insert.on_conflict(
                OnConflict::columns([stock::Column::VariantId, stock::Column::WarehouseId])
                    .update_columns([
                        stock::Column::OnHand,
                        stock::Column::Reserved,
                        stock::Column::Version,
                        stock::Column::UpdatedAt,
                    ])
                    .to_owned(),
            )
        });
        tx.defer_rows(self.reservations, |insert| insert);
        tx.defer_rows(self.backorders, |insert| insert);
        tx.defer_rows(self.movements, |insert| insert);
    }
}

/// One change of a stock row.
#[derive(Clone, Debug)]
pub struct Movement {
    /// What moves.
    pub variant_id: VariantId,
    /// Where.
    pub warehouse_id: WarehouseId,
    /// The bin, if on hand changes.
    pub bin_id: Option<BinId>,
    /// Why.
    pub kind: stock_movement::Kind,
    /// Change of on hand.
    pub on_hand: i64,
    /// Change of reserved.
    pub reserved: i64,
    /// Why, in words.
    pub reason: Option<String>,
    /// The paper behind it.
    pub document: Option<String>,
    /// The order that it is for.
    pub order_id: Option<OrderId>,
    /// Names the operation; the database takes each name once.
    pub operation_key: String,
}

/// What can be promised of a stock row whose source keeps so much of it back. It is below nothing
/// when a count has eaten into safety, or more is held than the source vouches for.
pub fn available(row: &stock::Model, withheld_percent: i64) -> i64 {
    let withheld = sources::withheld(row.on_hand, withheld_percent);
    std::cmp::max(0, row.on_hand - row.reserved - row.safety - withheld)
}

/// The name of what is read beside a stock row.
const WITHHELD_PERCENT: &str = "withheld_percent";

/// A stock row, and how much of its warehouse's stock is kept back.
struct Shelved {
    row: stock::Model,
    withheld_percent: i64,
}

impl FromQueryResult for Shelved {
    fn from_query_result(found: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        Ok(Shelved {
            row: stock::Model::from_query_result(found, prefix)?,
            withheld_percent: found.try_get(prefix, WITHHELD_PERCENT)?,
        })
    }
}

/// A row to write whole, new or changed.
fn whole(row: stock::Model) -> stock::ActiveModel {
    stock::ActiveModel {
        variant_id: Set(row.variant_id),
        warehouse_id: Set(row.warehouse_id),
        on_hand: Set(row.on_hand),
        reserved: Set(row.reserved),
        safety: Set(row.safety),
        version: Set(row.version),
        updated_at: Set(row.updated_at),
    }
}
