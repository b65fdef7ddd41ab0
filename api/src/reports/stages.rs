//! How many orders stand at each stage, since when, and which of them are late: the live board's
//! header.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use entity::order::Stage;
use entity::{ChannelId, event_log, stage_tally};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{
    ActiveEnum, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, Iterable, QueryFilter,
    QuerySelect, Set, Statement, Value,
};

use super::projection;
use crate::failure::Failure;
use crate::tx::Tx;

/// The projection's name.
pub const NAME: &str = "stage_tally";

/// How many positions of the log one transaction takes at most.
const BATCH: i64 = 2_000;

/// How long before its promised dispatch an order is at risk.
pub const WARN: TimeDelta = TimeDelta::hours(2);

/// Late orders of one stage and channel are counted up to here.
pub const MOST_LATE: i64 = 10_000;

/// What a stage comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageCount {
    /// The stage.
    pub stage: Stage,
    /// How many orders stand there.
    pub orders: i64,
    /// Since when the one does that came first; none if there is none, or if they stay for good.
    pub oldest_since: Option<DateTime<Utc>>,
    /// How many of them should be dispatched within [`WARN`], or should have been. A channel is
    /// counted up to [`MOST_LATE`].
    pub at_risk: i64,
}

/// Every stage, as the log had it at a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageCounts {
    /// The position that is in the figures; they may be ahead of it, never behind.
    pub seq: i64,
    /// Every stage, in the order of a life.
    pub stages: Vec<StageCount>,
}

/// Moves the tally forward by one batch, and says by how many positions. Nothing to do if another
/// node is at it.
pub async fn advance(tx: &Tx) -> Result<usize, Failure> {
    let Some(batch) = projection::take(tx, NAME, BATCH).await? else {
        return Ok(0);
    };
    use event_log::Column;
    let moves: Vec<(Option<ChannelId>, Option<Stage>, Option<Stage>)> = event_log::Entity::find()
        .select_only()
        .column(Column::ChannelId)
        .column(Column::StageFrom)
        .column(Column::StageTo)
        .filter(Column::Seq.gt(batch.after))
        .filter(Column::Seq.lte(batch.until))
        .filter(Column::StageTo.is_not_null())
        .into_tuple()
        .all(tx.db())
        .await?;
    // In one order, so that nobody who locks these rows waits for us while we wait for them.
    let mut deltas: BTreeMap<(ChannelId, String), (Stage, i64)> = BTreeMap::new();
    for (channel, from, to) in moves {
        let Some(channel) = channel else { continue };
        for (stage, delta) in [(from, -1), (to, 1)] {
            if let Some(stage) = stage {
                let key = (channel, stage.to_value());
                deltas.entry(key).or_insert((stage, 0)).1 += delta;
            }
        }
    }
    let rows = deltas
        .into_iter()
        .filter(|(_, (_, delta))| *delta != 0)
        .map(|((channel, _), (stage, delta))| stage_tally::ActiveModel {
            channel_id: Set(channel),
            stage: Set(stage),
            orders: Set(delta),
        })
        .collect();
    tx.defer_rows(rows, |insert| {
        use stage_tally::{Column, Entity};
        let sum = Expr::col((Entity, Column::Orders)).add(Expr::col(("excluded", Column::Orders)));
        insert.on_conflict(
            OnConflict::columns([Column::ChannelId, Column::Stage])
                .value(Column::Orders, sum)
                .to_owned(),
        )
    });
    Ok(batch.positions())
}

/// The stages as the tally has them: all channels, or some. The oldest order and those at risk are
/// found by index, whatever the number of orders.
pub async fn read(
    db: &impl ConnectionTrait,
    channels: Option<&BTreeSet<ChannelId>>,
    now: DateTime<Utc>,
) -> Result<StageCounts, DbErr> {
    // The position first: what is counted then is there already.
    let seq = projection::position(db, NAME).await?;
    let mut stages: Vec<StageCount> = Stage::iter()
        .map(|stage| StageCount {
            stage,
            orders: 0,
            oldest_since: None,
            at_risk: 0,
        })
        .collect();
    for row in db.query_all_raw(query(db, channels, now)).await? {
        let stage: Stage = row.try_get("", "stage")?;
        let Some(count) = stages.iter_mut().find(|count| count.stage == stage) else {
            continue;
        };
        let since: Option<DateTime<Utc>> = row.try_get("", "since")?;
        count.orders += row.try_get::<i64>("", "orders")?;
        count.at_risk += row.try_get::<i64>("", "at_risk")?;
        count.oldest_since = match (count.oldest_since, since) {
            (Some(one), Some(other)) => Some(std::cmp::min(one, other)),
            (one, other) => one.or(other),
        };
    }
    Ok(StageCounts { seq, stages })
}

/// One row a channel and stage that has orders.
pub fn query(
    db: &impl ConnectionTrait,
    channels: Option<&BTreeSet<ChannelId>>,
    now: DateTime<Utc>,
) -> Statement {
    let mut values: Vec<Value> = vec![(now + WARN).into()];
    let mut mine = String::new();
    if let Some(channels) = channels {
        values.extend(channels.iter().map(|channel| Value::from(*channel)));
        let places: Vec<String> = (2..=values.len())
            .map(|place| format!("${place}"))
            .collect();
        mine = format!("AND t.channel_id IN ({})", places.join(", "));
    }
    let sql = format!(
        r#"SELECT t.stage, t.orders,
            CASE WHEN t.stage NOT IN ('COMPLETED', 'CANCELLED') THEN (
                SELECT MIN(o.stage_since) FROM "order" o
                WHERE o.channel_id = t.channel_id AND o.stage = t.stage) END AS since,
            CASE WHEN t.stage NOT IN ('SHIPPED', 'DELIVERED', 'COMPLETED', 'CANCELLED') THEN (
                SELECT COUNT(*) FROM (
                    SELECT 1 FROM "order" o
                    WHERE o.channel_id = t.channel_id AND o.stage = t.stage
                        AND o.dispatch_by <= $1 LIMIT {MOST_LATE}) late)
                ELSE 0 END AS at_risk
        FROM stage_tally t WHERE t.orders > 0 {mine}"#
    );
    Statement::from_sql_and_values(db.get_database_backend(), sql, values)
}
