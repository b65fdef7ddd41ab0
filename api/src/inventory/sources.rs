//! Who states how many units lie in a warehouse, and whether that is still to be believed.
//!
//! A source is fresh while its newest figures are within its budget. Past it the source is stale,
//! and by its policy a part of its stock, or all of it, is kept back from new promises; what is
//! held already stays held. Each warehouse has one source at most. One that has none is counted by
//! its own bookings alone, which are never stale.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use entity::stock_source::{Kind, Model, Policy};
use entity::{StockSourceId, WarehouseId, stock_source, stock_source_warehouse, warehouse};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel,
    QueryFilter, QueryOrder, QuerySelect,
};
use serde_json::json;

use super::statements;
use crate::checks::{Checks, expect_version};
use crate::events::{Entry, Event};
use crate::failure::{Code, Failure, Problem};
use crate::tx::Tx;

/// The longest budget, and the longest time for which figures may stay the same, in seconds.
const LONGEST_SECS: i64 = 30 * 86_400;

/// How far a source's clock may be ahead of ours.
pub const CLOCK_TOLERANCE: TimeDelta = TimeDelta::seconds(120);

/// How much of a stock row's warehouse is kept back, in percent, in a query over stock rows.
pub fn withheld_percent() -> Expr {
    Expr::cust(
        "COALESCE((SELECT f.withheld_percent FROM stock_source_warehouse v
            JOIN stock_source f ON f.id = v.source_id
            WHERE v.warehouse_id = stock.warehouse_id), 0)",
    )
}

/// What can be promised of a stock row, in a query over stock rows: what `Shelf::free` says, and
/// below nothing where that says none.
pub fn free() -> Expr {
    Expr::cust(
        "stock.on_hand - stock.reserved - stock.safety - (stock.on_hand * COALESCE((
            SELECT f.withheld_percent FROM stock_source_warehouse v
            JOIN stock_source f ON f.id = v.source_id
            WHERE v.warehouse_id = stock.warehouse_id), 0) + 99) / 100",
    )
}

/// How many of so many units a percentage keeps back: a part of a unit is a unit.
pub fn withheld(on_hand: i64, percent: i64) -> i64 {
    (on_hand * percent + 99) / 100
}

/// Whether a source is to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Freshness {
    /// Since when it is stale; none = it is not.
    stale_since: Option<DateTime<Utc>>,
    /// How much of its stock is kept back, in percent of the units on hand.
    withheld_percent: i64,
    /// Since when its figures have been the same for too long; none = they have not.
    still_since: Option<DateTime<Utc>>,
}

/// How old a source's newest figures are. Of one that has said nothing yet, its own age.
pub fn age(source: &Model, now: DateTime<Utc>) -> TimeDelta {
    let since = now - source.observed_at.unwrap_or(source.created_at);
    std::cmp::max(TimeDelta::zero(), since)
}

/// What a source's times come to at a moment.
fn judge(source: &Model, now: DateTime<Utc>) -> Freshness {
    let mut freshness = Freshness {
        stale_since: None,
        withheld_percent: 0,
        still_since: None,
    };
    if !source.active {
        return freshness;
    }
    let budget = TimeDelta::seconds(source.budget_secs);
    let age = age(source, now);
    if age > budget {
        freshness.stale_since = Some(now - age + budget);
        freshness.withheld_percent = match source.policy {
            Policy::AlertOnly => 0,
            Policy::NotSellable => 100,
            Policy::Buffer => {
                // Past the budget one has gone by, however little past.
                let budgets = age.num_seconds() / source.budget_secs;
                let grown = source.buffer_percent.saturating_mul(budgets);
                std::cmp::min(source.buffer_cap_percent, grown)
            }
        };
    }
    // By the source's own times: one that says nothing is silent, and not still.
    if let (Some(observed), Some(after)) = (source.observed_at, source.still_after_secs) {
        let changed = source.changed_at.unwrap_or(source.created_at);
        let too_long = changed + TimeDelta::seconds(after);
        freshness.still_since = (observed > too_long).then_some(too_long);
    }
    freshness
}

/// Brings what a source is taken for up to what its times say, and tells of what has changed by
/// that. Whether anything has.
fn judge_anew(tx: &Tx, source: &mut Model) -> bool {
    let now = judge(source, tx.now);
    let before = Freshness {
        stale_since: source.stale_since,
        withheld_percent: source.withheld_percent,
        still_since: source.still_since,
    };
    if now == before {
        return false;
    }
    (source.stale_since, source.still_since) = (now.stale_since, now.still_since);
    source.withheld_percent = now.withheld_percent;
    let staleness = |of: Freshness| of.stale_since.map(|since| (since, of.withheld_percent));
    if staleness(now) != staleness(before) {
        let event = match now.stale_since {
            Some(since) => Event::StockSourceStale {
                since,
                withheld_percent: now.withheld_percent,
            },
            None => Event::StockSourceFresh {},
        };
        record(tx, source, event);
    }
    if now.still_since != before.still_since {
        let event = match now.still_since {
            Some(since) => Event::StockSourceStill { since },
            None => Event::StockSourceMoving {},
        };
        record(tx, source, event);
    }
    true
}

/// Writes an event of a source down, as its next version.
fn record(tx: &Tx, source: &mut Model, event: Event) {
    source.version += 1;
    source.updated_at = tx.now;
    tx.emit(Entry {
        aggregate_type: "stock_source",
        aggregate_id: source.id.to_string(),
        version: source.version,
        channel_id: None,
        order_id: None,
        moved: None,
        event,
    });
}

/// What [`create`] needs.
#[derive(Clone, Debug)]
pub struct Create {
    /// Its name in feeds.
    pub code: String,
    /// Its name on screens.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The warehouses that it speaks for.
    pub warehouses: Vec<WarehouseId>,
    /// How old its newest figures may be.
    pub budget_secs: i64,
    /// What becomes of its stock while it is stale.
    pub policy: Policy,
    /// What BUFFER keeps back for each budget that has gone by.
    pub buffer_percent: i64,
    /// The most that BUFFER keeps back.
    pub buffer_cap_percent: i64,
    /// How long its figures may all stay the same.
    pub still_after_secs: Option<i64>,
    /// Whether it is listened to and watched.
    pub active: bool,
}

/// Makes a source. Until it has spoken, its age is its own.
pub async fn create(tx: &Tx, cmd: Create) -> Result<Model, Failure> {
    let mut checks = Checks::new();
    let mut row = Model {
        id: tx.id(),
        code: checks.code("input.code", &cmd.code),
        name: checks.name("input.name", &cmd.name),
        kind: cmd.kind,
        budget_secs: cmd.budget_secs,
        policy: cmd.policy,
        buffer_percent: cmd.buffer_percent,
        buffer_cap_percent: cmd.buffer_cap_percent,
        still_after_secs: cmd.still_after_secs,
        active: cmd.active,
        observed_at: None,
        received_at: None,
        feed_version: None,
        changed_at: None,
        stale_since: None,
        withheld_percent: 0,
        still_since: None,
        missing: 0,
        version: 0,
        created_at: tx.now,
        updated_at: tx.now,
    };
    check_settings(&mut checks, &row);
    check_warehouses(tx, &mut checks, row.id, &cmd.warehouses).await?;
    checks.done()?;
    saved(tx, &mut row, &cmd.warehouses);
    stock_source::Entity::insert(row.clone().into_active_model())
        .exec_without_returning(tx.db())
        .await
        .map_err(|error| taken(error.into(), &row.code))?;
    speak_for(tx, row.id, &cmd.warehouses).await?;
    Ok(row)
}

/// What [`update`] needs. What is none stays as it is.
#[derive(Clone, Debug)]
pub struct Update {
    /// Which source.
    pub id: StockSourceId,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
    /// Its name on screens.
    pub name: Option<String>,
    /// The warehouses that it speaks for, all of them.
    pub warehouses: Option<Vec<WarehouseId>>,
    /// How old its newest figures may be.
    pub budget_secs: Option<i64>,
    /// What becomes of its stock while it is stale.
    pub policy: Option<Policy>,
    /// What BUFFER keeps back for each budget that has gone by.
    pub buffer_percent: Option<i64>,
    /// The most that BUFFER keeps back.
    pub buffer_cap_percent: Option<i64>,
    /// How long its figures may all stay the same; none inside = for ever.
    pub still_after_secs: Option<Option<i64>>,
    /// Whether it is listened to and watched.
    pub active: Option<bool>,
}

/// Changes a source; what it is taken for follows at once.
pub async fn update(tx: &Tx, cmd: Update) -> Result<Model, Failure> {
    let mut row = lock(tx, cmd.id)
        .await?
        .ok_or_else(|| Problem::not_found("stock source").at("input.id"))?;
    expect_version("stock source", row.version, cmd.expected_version)?;
    let mut checks = Checks::new();
    if let Some(name) = cmd.name {
        row.name = checks.name("input.name", &name);
    }
    row.budget_secs = cmd.budget_secs.unwrap_or(row.budget_secs);
    row.policy = cmd.policy.unwrap_or(row.policy);
    row.buffer_percent = cmd.buffer_percent.unwrap_or(row.buffer_percent);
    row.buffer_cap_percent = cmd.buffer_cap_percent.unwrap_or(row.buffer_cap_percent);
    row.still_after_secs = cmd.still_after_secs.unwrap_or(row.still_after_secs);
    row.active = cmd.active.unwrap_or(row.active);
    check_settings(&mut checks, &row);
    if let Some(warehouses) = &cmd.warehouses {
        check_warehouses(tx, &mut checks, row.id, warehouses).await?;
    }
    checks.done()?;
    if let Some(warehouses) = &cmd.warehouses {
        speak_for(tx, row.id, warehouses).await?;
        row.missing = statements::forget_others(tx, row.id, warehouses).await?;
    }
    let warehouses = spoken_for(tx.db(), row.id).await?;
    saved(tx, &mut row, &warehouses);
    judge_anew(tx, &mut row);
    replace(tx, &row).await?;
    Ok(row)
}

/// A feed, as its source is told of it when all of its rows are through.
#[derive(Clone, Copy, Debug)]
pub struct Fed {
    /// Which source.
    pub id: StockSourceId,
    /// When the figures were true.
    pub observed_at: DateTime<Utc>,
    /// The version of the feed, where the source counts them.
    pub feed_version: Option<i64>,
    /// Whether it was the end of a full snapshot.
    pub full: bool,
    /// How many rows it had.
    pub rows: usize,
    /// How many of them changed a figure of ours.
    pub changed: usize,
    /// How many of them were refused.
    pub refused: usize,
    /// Whether any figure was another than the source's last one.
    pub moved: bool,
}

/// Notes that a source has spoken, and what that makes of it.
pub async fn fed(tx: &Tx, feed: &Fed) -> Result<Model, Failure> {
    let mut row = lock(tx, feed.id)
        .await?
        .ok_or_else(|| Problem::not_found("stock source").at("input.source"))?;
    row.observed_at = std::cmp::max(row.observed_at, Some(feed.observed_at));
    row.feed_version = std::cmp::max(row.feed_version, feed.feed_version);
    row.received_at = Some(tx.now);
    if feed.moved {
        row.changed_at = std::cmp::max(row.changed_at, Some(feed.observed_at));
    }
    row.missing = statements::missing(tx, row.id).await?;
    let event = Event::StockSourceFed {
        observed_at: feed.observed_at,
        full: feed.full,
        rows: feed.rows,
        changed: feed.changed,
        refused: feed.refused,
        missing: row.missing,
    };
    record(tx, &mut row, event);
    judge_anew(tx, &mut row);
    replace(tx, &row).await?;
    Ok(row)
}

/// The sources that are not taken for what their times say.
pub async fn misjudged(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
) -> Result<Vec<StockSourceId>, DbErr> {
    let mut sources = stock_source::Entity::find().all(db).await?;
    sources.retain(|source| {
        let taken_for = Freshness {
            stale_since: source.stale_since,
            withheld_percent: source.withheld_percent,
            still_since: source.still_since,
        };
        judge(source, now) != taken_for
    });
    Ok(sources.into_iter().map(|source| source.id).collect())
}

/// Takes a source for what its times say. Whether that is news.
pub async fn watch(tx: &Tx, id: StockSourceId) -> Result<bool, Failure> {
    let Some(mut row) = lock(tx, id).await? else {
        return Ok(false);
    };
    let changed = judge_anew(tx, &mut row);
    if changed {
        replace(tx, &row).await?;
    }
    Ok(changed)
}

/// The warehouses that a source speaks for.
pub async fn spoken_for(
    db: &impl ConnectionTrait,
    id: StockSourceId,
) -> Result<Vec<WarehouseId>, DbErr> {
    use stock_source_warehouse::{Column, Entity};
    Entity::find()
        .select_only()
        .column(Column::WarehouseId)
        .filter(Column::SourceId.eq(id))
        .order_by_asc(Column::WarehouseId)
        .into_tuple()
        .all(db)
        .await
}

/// Who states the stock of these warehouses, where anybody does.
pub async fn of_warehouses(
    db: &impl ConnectionTrait,
    warehouses: impl IntoIterator<Item = WarehouseId>,
) -> Result<BTreeMap<WarehouseId, Arc<Model>>, DbErr> {
    use stock_source_warehouse::{Column, Entity};
    let found = Entity::find()
        .find_also_related(stock_source::Entity)
        .filter(Column::WarehouseId.is_in(warehouses))
        .all(db)
        .await?;
    let mut shared: BTreeMap<StockSourceId, Arc<Model>> = BTreeMap::new();
    let mut of = BTreeMap::new();
    for (link, source) in found {
        let Some(source) = source else { continue };
        let source = shared.entry(source.id).or_insert_with(|| Arc::new(source));
        of.insert(link.warehouse_id, source.clone());
    }
    Ok(of)
}

/// A source by its code, with its warehouses by theirs.
pub async fn find(
    db: &impl ConnectionTrait,
    code: &str,
) -> Result<Option<(Model, BTreeMap<String, WarehouseId>)>, DbErr> {
    let found = stock_source::Entity::find()
        .filter(stock_source::Column::Code.eq(code.trim()))
        .one(db)
        .await?;
    let Some(source) = found else {
        return Ok(None);
    };
    let ids = spoken_for(db, source.id).await?;
    let warehouses = warehouse::Entity::find()
        .filter(warehouse::Column::Id.is_in(ids))
        .all(db)
        .await?;
    let by_code = warehouses.into_iter().map(|row| (row.code, row.id));
    Ok(Some((source, by_code.collect())))
}

async fn lock(tx: &Tx, id: StockSourceId) -> Result<Option<Model>, DbErr> {
    let mut found = stock_source::Entity::find_by_id(id);
    if tx.locks_rows() {
        found = found.lock_exclusive();
    }
    found.one(tx.db()).await
}

/// Writes a locked source whole.
async fn replace(tx: &Tx, row: &Model) -> Result<(), DbErr> {
    stock_source::Entity::update(row.clone().into_active_model().reset_all())
        .exec(tx.db())
        .await?;
    Ok(())
}

fn saved(tx: &Tx, row: &mut Model, warehouses: &[WarehouseId]) {
    let event = Event::StockSourceSaved {
        code: row.code.clone(),
        warehouses: warehouses.to_vec(),
        budget_secs: row.budget_secs,
        policy: row.policy,
        active: row.active,
    };
    record(tx, row, event);
}

fn check_settings(checks: &mut Checks, row: &Model) {
    checks.count("input.budgetSecs", row.budget_secs, 1, LONGEST_SECS);
    checks.count("input.bufferPercent", row.buffer_percent, 1, 100);
    checks.count("input.bufferCapPercent", row.buffer_cap_percent, 1, 100);
    if let Some(after) = row.still_after_secs {
        checks.count("input.stillAfterSecs", after, 1, LONGEST_SECS);
    }
}

/// Each warehouse must exist, be named once, and have no other source.
async fn check_warehouses(
    tx: &Tx,
    checks: &mut Checks,
    id: StockSourceId,
    asked: &[WarehouseId],
) -> Result<(), Failure> {
    let known: BTreeSet<WarehouseId> = warehouse::Entity::find()
        .filter(warehouse::Column::Id.is_in(asked.iter().copied()))
        .all(tx.db())
        .await?
        .into_iter()
        .map(|row| row.id)
        .collect();
    use stock_source_warehouse::{Column, Entity};
    let others: BTreeMap<WarehouseId, StockSourceId> = Entity::find()
        .filter(Column::WarehouseId.is_in(asked.iter().copied()))
        .filter(Column::SourceId.ne(id))
        .all(tx.db())
        .await?
        .into_iter()
        .map(|row| (row.warehouse_id, row.source_id))
        .collect();
    let mut seen = BTreeSet::new();
    for (place, warehouse) in asked.iter().enumerate() {
        let field = format!("input.warehouseIds.{place}");
        if !known.contains(warehouse) {
            checks.refuse(Problem::not_found("warehouse").at(&field));
        }
        if let Some(other) = others.get(warehouse) {
            checks.refuse(spoken_for_already(Some(*other)).at(&field));
        }
        checks.hold(
            seen.insert(*warehouse),
            Code::InvalidInput,
            &field,
            "the warehouse is named twice",
        );
    }
    Ok(())
}

fn spoken_for_already(by: Option<StockSourceId>) -> Problem {
    Problem::new(
        Code::WarehouseTaken,
        "another source speaks for this warehouse",
    )
    .with(json!({ "source": by }))
}

/// Makes a source speak for these warehouses and no others.
async fn speak_for(tx: &Tx, id: StockSourceId, warehouses: &[WarehouseId]) -> Result<(), Failure> {
    use stock_source_warehouse::{ActiveModel, Column, Entity, Model};
    Entity::delete_many()
        .filter(Column::SourceId.eq(id))
        .exec(tx.db())
        .await?;
    if warehouses.is_empty() {
        return Ok(());
    }
    let rows = warehouses.iter().map(|warehouse| {
        ActiveModel::from(Model {
            warehouse_id: *warehouse,
            source_id: id,
        })
    });
    let written = Entity::insert_many(rows)
        .exec_without_returning(tx.db())
        .await;
    written.map_err(|error| {
        let failure = Failure::from(error);
        match failure.unique_violation() {
            // Somebody was quicker.
            Some(_) => spoken_for_already(None).at("input.warehouseIds").into(),
            None => failure,
        }
    })?;
    Ok(())
}

fn taken(failure: Failure, code: &str) -> Failure {
    if failure.unique_violation().is_some() {
        let problem = Problem::new(Code::CodeTaken, format!("{code:?} is taken"));
        problem.at("input.code").into()
    } else {
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(policy: Policy) -> Model {
        let noon = DateTime::<Utc>::UNIX_EPOCH;
        Model {
            id: StockSourceId(uuid::Uuid::nil()),
            code: "wms".to_owned(),
            name: "WMS".to_owned(),
            kind: Kind::Wms,
            budget_secs: 600,
            policy,
            buffer_percent: 10,
            buffer_cap_percent: 35,
            still_after_secs: Some(3_600),
            active: true,
            observed_at: Some(noon),
            received_at: Some(noon),
            feed_version: None,
            changed_at: Some(noon),
            stale_since: None,
            withheld_percent: 0,
            still_since: None,
            missing: 0,
            version: 1,
            created_at: noon,
            updated_at: noon,
        }
    }

    fn after(secs: i64) -> DateTime<Utc> {
        DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(secs)
    }

    #[test]
    fn x2_what_is_kept_back_grows_with_age_up_to_its_cap_and_is_nothing_within_the_budget() {
        let percents = |policy| {
            let source = source(policy);
            [0, 600, 601, 1_199, 1_200, 1_800, 2_400, 1_000_000]
                .map(|secs| judge(&source, after(secs)).withheld_percent)
        };
        assert_eq!(percents(Policy::Buffer), [0, 0, 10, 10, 20, 30, 35, 35]);
        assert_eq!(
            percents(Policy::NotSellable),
            [0, 0, 100, 100, 100, 100, 100, 100]
        );
        assert_eq!(percents(Policy::AlertOnly), [0; 8]);
        let stale = judge(&source(Policy::AlertOnly), after(5_000));
        assert_eq!(stale.stale_since, Some(after(600)));
    }

    #[test]
    fn x2_a_clock_ahead_makes_no_source_younger_than_now_and_an_idle_one_is_not_judged() {
        let mut ahead = source(Policy::NotSellable);
        ahead.observed_at = Some(after(100));
        assert_eq!(age(&ahead, after(0)), TimeDelta::zero());
        assert_eq!(judge(&ahead, after(0)).stale_since, None);
        ahead.active = false;
        assert_eq!(judge(&ahead, after(1_000_000)).withheld_percent, 0);
    }

    #[test]
    fn x2_figures_that_all_stay_the_same_are_still_and_silence_is_not() {
        let mut source = source(Policy::AlertOnly);
        assert_eq!(judge(&source, after(100_000)).still_since, None);
        source.observed_at = Some(after(3_600));
        assert_eq!(judge(&source, after(3_600)).still_since, None);
        source.observed_at = Some(after(3_601));
        assert_eq!(judge(&source, after(3_601)).still_since, Some(after(3_600)));
        source.changed_at = Some(after(3_601));
        assert_eq!(judge(&source, after(3_601)).still_since, None);
    }

    #[test]
    fn x2_a_part_of_a_unit_that_is_kept_back_is_a_unit() {
        assert_eq!(
            [0, 1, 10, 11].map(|units| withheld(units, 10)),
            [0, 1, 1, 2]
        );
        assert_eq!(withheld(7, 100), 7);
        assert_eq!(withheld(7, 0), 0);
    }
}
