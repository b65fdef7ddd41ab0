//! What a source of stock figures says, put into the ledger: on hand is set, never available, and
//! whatever follows from it follows as from a count by hand.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use entity::{
    StockSourceId, VariantId, WarehouseId, bin_stock, stock_drift, stock_movement, stock_statement,
    variant_code,
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};

use super::stock::{MOST_UNITS, settle};
use crate::catalogue::{Reference, code_key};
use crate::failure::{Code, Failure};
use crate::inventory::sources::CLOCK_TOLERANCE;
use crate::inventory::statements::{self, Key};
use crate::inventory::{self, Movement, Shelf};
use crate::tx::Tx;

/// How many rows one transaction takes at most: nobody waits long for its locks.
pub const BATCH: usize = 250;

/// A feed, whatever rows of it come.
#[derive(Clone, Debug)]
pub struct Feed {
    /// Whose it is.
    pub source: StockSourceId,
    /// The source's code: the reason of what it changes.
    pub code: String,
    /// The warehouses that the source speaks for, by their codes.
    pub warehouses: BTreeMap<String, WarehouseId>,
    /// When its figures were true.
    pub observed_at: DateTime<Utc>,
    /// Its version, where the source counts them.
    pub version: Option<i64>,
}

/// A figure.
#[derive(Clone, Debug)]
pub struct Row {
    /// Of what: any code of it but a case's.
    pub sku: String,
    /// Where, by code.
    pub warehouse: String,
    /// Units that are there.
    pub on_hand: i64,
    /// When that was true, if not when the whole feed was.
    pub observed_at: Option<DateTime<Utc>>,
}

/// What became of a figure.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Taken {
    /// Units on hand before it; none if it was refused.
    pub before: Option<i64>,
    /// Units on hand after it; none if it was refused.
    pub on_hand: Option<i64>,
    /// Whether it is another than the source's last one.
    pub moved: bool,
    /// Why it was refused.
    pub refused: Option<Refusal>,
}

/// Why a figure was refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Refusal {
    /// For programs.
    pub code: Code,
    /// For people.
    pub message: String,
}

impl Taken {
    fn refused(code: Code, message: String) -> Taken {
        Taken {
            refused: Some(Refusal { code, message }),
            ..Taken::default()
        }
    }

    /// Whether it changed a figure of ours.
    pub fn changed(&self) -> bool {
        self.before != self.on_hand
    }
}

/// A figure that is about something.
struct Figure {
    place: usize,
    key: Key,
    units: i64,
    at: DateTime<Utc>,
}

/// Takes some rows of a feed, each by itself: what is wrong with one keeps no other from being
/// taken. What became of them is in their order.
pub async fn state(
    tx: &Tx,
    reference: &Reference,
    feed: &Feed,
    rows: &[Row],
) -> Result<Vec<Taken>, Failure> {
    let mut taken = vec![Taken::default(); rows.len()];
    let figures = figures(tx, feed, rows, &mut taken).await?;
    let keys: BTreeSet<Key> = figures.iter().map(|figure| figure.key).collect();
    let Some(oldest) = figures.iter().map(|figure| figure.at).min() else {
        return Ok(taken);
    };
    let mut shelf = Shelf::lock(tx, keys.iter().map(|key| key.0)).await?;
    let last = statements::last(tx, feed.source, &keys).await?;
    let booked = statements::booked_since(tx, oldest, &keys).await?;
    let mut bins = Bins::of(tx, &keys).await?;
    let had: BTreeMap<Key, i64> = shelf
        .rows()
        .map(|row| ((row.variant_id, row.warehouse_id), row.on_hand))
        .collect();
    let (mut said, mut drift) = (Vec::new(), Vec::new());
    for figure in &figures {
        let (key, last) = (figure.key, last.get(&figure.key));
        let had = had.get(&key).copied().unwrap_or_default();
        let mut statement = stock_statement::Model {
            variant_id: key.0,
            warehouse_id: key.1,
            source_id: feed.source,
            on_hand: Some(figure.units),
            observed_at: Some(figure.at),
            feed_version: feed.version,
            named_at: last
                .and_then(|last| last.named_at)
                .max(Some(feed.observed_at)),
            // A feed from before the snapshot that left it out does not make up for that.
            missing_since: last
                .and_then(|last| last.missing_since)
                .filter(|since| *since > feed.observed_at),
        };
        let outcome = match order(figure, feed, last) {
            Order::Older(message) => Err(message),
            Order::Known => Ok(0),
            Order::Newer => {
                let since: i64 = booked
                    .get(&key)
                    .into_iter()
                    .flatten()
                    .filter(|(at, _)| *at > figure.at)
                    .map(|(_, delta)| delta)
                    .sum();
                let (then, units) = (had - since, figure.units + since);
                if units < 0 {
                    Err(format!(
                        "{} units are less than what was taken out since then",
                        figure.units
                    ))
                } else {
                    Ok(figure.units - then)
                }
            }
        };
        let delta = match outcome {
            Ok(delta) if delta > 0 && !bins.can_take(tx, key).await? => {
                let message = "the warehouse has no bins".to_owned();
                taken[figure.place] = Taken::refused(Code::InvalidInput, message);
                continue;
            }
            Ok(delta) => delta,
            Err(message) => {
                taken[figure.place] = Taken::refused(Code::StockFigureOutdated, message);
                // It was named all the same, and what is held of it stays.
                if let Some(last) = last {
                    statement.on_hand = last.on_hand;
                    statement.observed_at = last.observed_at;
                    statement.feed_version = last.feed_version;
                    said.push(statement);
                }
                continue;
            }
        };
        for (bin, units) in bins.spread(key, delta) {
            shelf.change(
                tx,
                Movement {
                    variant_id: key.0,
                    warehouse_id: key.1,
                    bin_id: Some(bin),
                    kind: stock_movement::Kind::Adjust,
                    on_hand: units,
                    reserved: 0,
                    reason: Some(format!("stated by {}", feed.code)),
                    document: feed.version.map(|version| format!("feed {version}")),
                    order_id: None,
                    operation_key: statements::operation(tx),
                },
            );
        }
        if delta != 0 {
            drift.push(stock_drift::Model {
                id: tx.id(),
                source_id: feed.source,
                variant_id: key.0,
                warehouse_id: key.1,
                kind: stock_drift::Kind::Figure,
                stated: Some(figure.units),
                had: figure.units - delta,
                observed_at: figure.at,
                found_at: tx.now,
            });
        }
        taken[figure.place] = Taken {
            before: Some(had),
            on_hand: Some(had + delta),
            moved: last.and_then(|last| last.on_hand) != Some(figure.units),
            refused: None,
        };
        said.push(statement);
    }
    inventory::set_bins(tx, bins.touched());
    statements::write(tx, said, drift);
    settle(tx, reference, shelf).await?;
    Ok(taken)
}

/// The rows that are about a variant in one of the source's warehouses; why the others are not
/// taken is noted.
async fn figures(
    tx: &Tx,
    feed: &Feed,
    rows: &[Row],
    taken: &mut [Taken],
) -> Result<Vec<Figure>, Failure> {
    let codes: BTreeSet<String> = rows.iter().map(|row| code_key(&row.sku)).collect();
    let known: BTreeMap<String, VariantId> = variant_code::Entity::find()
        .filter(variant_code::Column::CodeKey.is_in(codes))
        // A case's barcode stands for several units; a figure is of one.
        .filter(variant_code::Column::Kind.ne(variant_code::Kind::Case))
        .all(tx.db())
        .await?
        .into_iter()
        .map(|code| (code.code_key, code.variant_id))
        .collect();
    let latest = tx.now + CLOCK_TOLERANCE;
    let mut figures = Vec::with_capacity(rows.len());
    let mut seen = BTreeSet::new();
    for (place, row) in rows.iter().enumerate() {
        let at = row.observed_at.unwrap_or(feed.observed_at);
        let warehouse = feed.warehouses.get(row.warehouse.trim());
        let variant = known.get(&code_key(&row.sku));
        let refusal = match (variant, warehouse) {
            (None, _) => Some((Code::SkuUnknown, "no such SKU".to_owned())),
            (_, None) => Some((
                Code::WarehouseForeign,
                format!("{} does not speak for this warehouse", feed.code),
            )),
            _ if !(0..=MOST_UNITS).contains(&row.on_hand) => Some((
                Code::QuantityInvalid,
                format!("on hand must be between 0 and {MOST_UNITS}"),
            )),
            _ if at > latest => Some((
                Code::ClockSkew,
                format!("{at} is in the future; it is {} here", tx.now),
            )),
            (Some(variant), Some(warehouse)) => {
                let key = (*variant, *warehouse);
                if seen.insert(key) {
                    let units = row.on_hand;
                    figures.push(Figure {
                        place,
                        key,
                        units,
                        at,
                    });
                    None
                } else {
                    let message = "the feed names it twice".to_owned();
                    Some((Code::InvalidInput, message))
                }
            }
        };
        if let Some((code, message)) = refusal {
            taken[place] = Taken::refused(code, message);
        }
    }
    Ok(figures)
}

/// How a figure stands to the one that is held.
enum Order {
    /// It says something new.
    Newer,
    /// It says the same of the same moment: the feed came twice.
    Known,
    /// It must not be taken.
    Older(String),
}

/// A figure is newer by its time, and of the same time by its version.
fn order(figure: &Figure, feed: &Feed, last: Option<&stock_statement::Model>) -> Order {
    let Some((units, at)) = last.and_then(|last| last.on_hand.zip(last.observed_at)) else {
        return Order::Newer;
    };
    let versions = feed.version.zip(last.and_then(|last| last.feed_version));
    if figure.at < at || versions.is_some_and(|(own, held)| own < held) {
        return Order::Older(format!("a figure of {at} is held, which is newer"));
    }
    if figure.at > at || versions.is_some_and(|(own, held)| own > held) {
        return Order::Newer;
    }
    if figure.units == units {
        return Order::Known;
    }
    Order::Older(format!(
        "another figure of the same moment is held: {units}"
    ))
}

/// The bins of some stock rows: a source states what a warehouse has, and bins add up to it.
struct Bins {
    /// The bins of each, fullest first.
    filled: BTreeMap<Key, Vec<bin_stock::Model>>,
    /// Where a warehouse's goods are put when nobody says where.
    receiving: BTreeMap<WarehouseId, Option<entity::BinId>>,
    touched: BTreeSet<Key>,
}

impl Bins {
    async fn of(tx: &Tx, keys: &BTreeSet<Key>) -> Result<Bins, Failure> {
        let mut filled: BTreeMap<Key, Vec<bin_stock::Model>> = BTreeMap::new();
        for bin in inventory::bins_of(tx, keys).await? {
            filled
                .entry((bin.variant_id, bin.warehouse_id))
                .or_default()
                .push(bin);
        }
        Ok(Bins {
            filled,
            receiving: BTreeMap::new(),
            touched: BTreeSet::new(),
        })
    }

    /// Whether there is a bin for more units.
    async fn can_take(&mut self, tx: &Tx, key: Key) -> Result<bool, Failure> {
        if self.filled.contains_key(&key) {
            return Ok(true);
        }
        let receiving = match self.receiving.get(&key.1) {
            Some(known) => *known,
            None => {
                let bin = inventory::receiving_bin(tx, key.1).await?;
                let bin = bin.map(|bin| bin.id);
                self.receiving.insert(key.1, bin);
                bin
            }
        };
        if let Some(bin_id) = receiving {
            let empty = bin_stock::Model {
                bin_id,
                variant_id: key.0,
                warehouse_id: key.1,
                quantity: 0,
            };
            self.filled.insert(key, vec![empty]);
        }
        Ok(receiving.is_some())
    }

    /// Puts a change where it is most likely: what is more into the fullest bin, what is less out
    /// of the fullest first. Says which bin changed by how much.
    fn spread(&mut self, key: Key, delta: i64) -> Vec<(entity::BinId, i64)> {
        let mut left = delta;
        let mut changes = Vec::new();
        for bin in self.filled.get_mut(&key).into_iter().flatten() {
            let units = std::cmp::max(left, -bin.quantity);
            if units != 0 {
                bin.quantity += units;
                left -= units;
                changes.push((bin.bin_id, units));
            }
        }
        if !changes.is_empty() {
            self.touched.insert(key);
        }
        changes
    }

    /// The bins of what has changed.
    fn touched(self) -> impl Iterator<Item = bin_stock::Model> {
        let Bins {
            filled, touched, ..
        } = self;
        filled
            .into_iter()
            .filter(move |(key, _)| touched.contains(key))
            .flat_map(|(_, bins)| bins)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn moment(secs: i64) -> DateTime<Utc> {
        DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(secs)
    }

    fn held(units: i64, at: i64, version: Option<i64>) -> stock_statement::Model {
        stock_statement::Model {
            variant_id: VariantId(uuid::Uuid::nil()),
            warehouse_id: WarehouseId(uuid::Uuid::nil()),
            source_id: StockSourceId(uuid::Uuid::nil()),
            on_hand: Some(units),
            observed_at: Some(moment(at)),
            feed_version: version,
            named_at: Some(moment(at)),
            missing_since: None,
        }
    }

    #[test]
    fn x2_a_figure_is_newer_by_its_time_and_of_one_time_by_its_version() {
        let judged = |units: i64, at: i64, version: Option<i64>, last: &stock_statement::Model| {
            let feed = Feed {
                source: last.source_id,
                code: "wms".to_owned(),
                warehouses: BTreeMap::new(),
                observed_at: moment(at),
                version,
            };
            let figure = Figure {
                place: 0,
                key: (last.variant_id, last.warehouse_id),
                units,
                at: moment(at),
            };
            match order(&figure, &feed, Some(last)) {
                Order::Newer => "newer",
                Order::Known => "known",
                Order::Older(_) => "older",
            }
        };
        let last = held(5, 100, Some(7));
        assert_eq!(judged(9, 101, None, &last), "newer");
        assert_eq!(judged(9, 99, None, &last), "older");
        assert_eq!(judged(5, 100, None, &last), "known");
        assert_eq!(judged(9, 100, None, &last), "older");
        assert_eq!(judged(9, 100, Some(8), &last), "newer");
        assert_eq!(judged(9, 101, Some(6), &last), "older");
        assert_eq!(judged(9, 99, Some(8), &last), "older");
    }

    #[test]
    fn x2_bins_give_the_fullest_first_and_never_more_than_they_have() {
        let key = (VariantId(uuid::Uuid::nil()), WarehouseId(uuid::Uuid::nil()));
        let bin = |number: u128, quantity| bin_stock::Model {
            bin_id: entity::BinId(uuid::Uuid::from_u128(number)),
            variant_id: key.0,
            warehouse_id: key.1,
            quantity,
        };
        let spread = |delta| {
            let mut bins = Bins {
                filled: BTreeMap::from([(key, vec![bin(1, 5), bin(2, 3)])]),
                receiving: BTreeMap::new(),
                touched: BTreeSet::new(),
            };
            let changes = bins.spread(key, delta);
            let left: Vec<i64> = bins.touched().map(|bin| bin.quantity).collect();
            (
                changes.iter().map(|change| change.1).collect::<Vec<_>>(),
                left,
            )
        };
        assert_eq!(spread(4), (vec![4], vec![9, 3]));
        assert_eq!(spread(-4), (vec![-4], vec![1, 3]));
        assert_eq!(spread(-6), (vec![-5, -1], vec![0, 2]));
        assert_eq!(spread(0), (vec![], vec![]));
    }
}
