//! How the queue of exceptions stands, and how long settling takes: a few queries over indexes,
//! whatever the size of the history.

use async_graphql::{Context, SimpleObject};
use chrono::{DateTime, TimeDelta, Utc};
use entity::order_exception::{Column, Entity, Severity};
use sea_orm::sea_query::{Expr, Func, Order, Query};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait,
};

use super::enums::ExceptionSeverity;
use super::queries::{UNSETTLED, visible_exceptions};
use crate::graphql::errors::{bad_input, fault};
use crate::graphql::{app, principal};

/// How many settled exceptions the times are worked out from: the newest.
const MOST_SETTLED: u64 = 100_000;

/// How long a period may be, in days.
const LONGEST_PERIOD: i64 = 366;

/// How long a period is when nobody says, in days.
const USUAL_PERIOD: i64 = 30;

/// How the queue of exceptions stands, and how long settling takes.
#[derive(SimpleObject)]
pub struct ExceptionStats {
    /// The exceptions that are not settled, those out of sight included, by team and severity.
    open: Vec<OpenExceptions>,
    /// How many are not settled.
    open_count: i64,
    /// How many of them should have been by now.
    overdue_count: i64,
    /// How many seconds the oldest of them has waited; null if there is none.
    oldest_age_secs: Option<i64>,
    /// How long settling took in the period.
    settled: SettledExceptions,
}

/// The exceptions of a team and a severity that are not settled.
#[derive(SimpleObject)]
pub struct OpenExceptions {
    /// The team.
    queue: String,
    /// How bad they are.
    severity: ExceptionSeverity,
    /// How many there are.
    count: i64,
    /// How many of them should have been settled by now.
    overdue_count: i64,
    /// How many seconds the oldest has waited.
    oldest_age_secs: i64,
}

/// How long settling took, of what was settled in a period.
#[derive(SimpleObject)]
pub struct SettledExceptions {
    /// From when.
    from: DateTime<Utc>,
    /// Until when, that moment left out.
    until: DateTime<Utc>,
    /// How many were settled; at most 100,000, the newest.
    count: i64,
    /// Half of them took at most so many seconds; null if there are none.
    median_secs: Option<i64>,
    /// Nine in ten of them took at most so many seconds; null if there are none.
    p90_secs: Option<i64>,
}

#[derive(FromQueryResult)]
struct Group {
    queue: String,
    severity: Severity,
    waiting: i64,
    late: i64,
    oldest: DateTime<Utc>,
}

/// Reads the figures of what the caller may see.
pub async fn read(
    ctx: &Context<'_>,
    from: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
) -> async_graphql::Result<ExceptionStats> {
    let app = app(ctx);
    let now = app.clock.now();
    let until = until.unwrap_or(now);
    let from = from.unwrap_or(until - TimeDelta::days(USUAL_PERIOD));
    if from >= until || until - from > TimeDelta::days(LONGEST_PERIOD) {
        return Err(bad_input(&format!(
            "from must be before until, by at most {LONGEST_PERIOD} days"
        )));
    }
    let mine = visible_exceptions(principal(ctx)?);
    let age = |since: DateTime<Utc>| std::cmp::max(0, (now - since).num_seconds());
    let late = Expr::case(Column::DueAt.lt(now), 1);
    let groups: Vec<Group> = Entity::find()
        .select_only()
        .column(Column::Queue)
        .column(Column::Severity)
        .column_as(Column::Id.count(), "waiting")
        .column_as(Expr::from(Func::count(late)), "late")
        .column_as(Column::OpenedAt.min(), "oldest")
        .filter(mine.clone())
        .filter(Column::Status.is_in(UNSETTLED))
        .group_by(Column::Queue)
        .group_by(Column::Severity)
        .order_by_asc(Column::Queue)
        .order_by_asc(Column::Severity)
        .into_model()
        .all(&app.db.read)
        .await
        .map_err(fault)?;
    Ok(ExceptionStats {
        open_count: groups.iter().map(|group| group.waiting).sum(),
        overdue_count: groups.iter().map(|group| group.late).sum(),
        oldest_age_secs: groups.iter().map(|group| age(group.oldest)).max(),
        open: groups
            .into_iter()
            .map(|group| OpenExceptions {
                queue: group.queue,
                severity: group.severity.into(),
                count: group.waiting,
                overdue_count: group.late,
                oldest_age_secs: age(group.oldest),
            })
            .collect(),
        settled: settled(&app.db.read, mine, from, until)
            .await
            .map_err(fault)?,
    })
}

/// The times of a period, by nearest rank: of n in ascending order, the one at ⌈n × share⌉.
async fn settled(
    db: &impl ConnectionTrait,
    mine: Condition,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<SettledExceptions, sea_orm::DbErr> {
    let newest = Entity::find()
        .select_only()
        .column(Column::SettledSecs)
        .filter(mine)
        .filter(Column::ResolvedAt.gte(from))
        .filter(Column::ResolvedAt.lt(until))
        .filter(Column::SettledSecs.is_not_null())
        .order_by_desc(Column::ResolvedAt)
        .limit(MOST_SETTLED)
        .into_query();
    let counting = Query::select()
        .expr_as(Func::count(Expr::col(Column::SettledSecs)), "settled")
        .from_subquery(newest.clone(), "newest")
        .to_owned();
    let count: i64 = match db.query_one(&counting).await? {
        Some(row) => row.try_get("", "settled")?,
        None => 0,
    };
    let ranked = async |percent: i64| -> Result<Option<i64>, sea_orm::DbErr> {
        let place = (count * percent + 99) / 100;
        let Ok(before) = u64::try_from(place - 1) else {
            return Ok(None);
        };
        let one = Query::select()
            .column(Column::SettledSecs)
            .from_subquery(newest.clone(), "newest")
            .order_by(Column::SettledSecs, Order::Asc)
            .limit(1)
            .offset(before)
            .to_owned();
        match db.query_one(&one).await? {
            Some(row) => Ok(Some(row.try_get("", "settled_secs")?)),
            None => Ok(None),
        }
    };
    Ok(SettledExceptions {
        from,
        until,
        count,
        median_secs: ranked(50).await?,
        p90_secs: ranked(90).await?,
    })
}
