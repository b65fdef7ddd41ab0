//! Exports: rows of one kind as a file, made part by part in the background.
//!
//! What an export holds is fixed when it is asked for. Each part is a transaction that reads the
//! next rows by their key, keeps them as text and moves the export's place behind them: a crash or
//! a second node neither loses nor doubles a row.

mod rows;
mod write;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use entity::export::{Column, Entity, Format, Kind, Model, State};
use entity::{ChannelId, ExportId, TimeZone, export, export_part};
use sea_orm::sea_query::{Expr, ExprTrait, LockBehavior, LockType};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, Set,
};
use serde_json::json;

use crate::access::Scope;
use crate::events::{Entry, Event};
use crate::failure::{Code, Failure, Problem};
use crate::tx::Tx;

/// How many rows a part has at most.
pub const PART: u64 = 1_000;

/// How many rows an export has at most.
pub const MOST_ROWS: u64 = 5_000_000;

/// How many exports are made side by side, and expire at once.
const AT_ONCE: u64 = 20;

/// What reading an export of a kind takes.
pub fn scope(kind: Kind) -> Scope {
    match kind {
        Kind::Orders | Kind::OrderLines | Kind::Exceptions => Scope::OrdersRead,
        Kind::Shipments => Scope::FulfillmentRead,
        Kind::Invoices | Kind::InvoiceLines | Kind::LedgerEntries => Scope::FinanceRead,
        Kind::Stock | Kind::StockMovements => Scope::StockRead,
    }
}

/// What [`request`] needs.
#[derive(Clone, Debug)]
pub struct Request {
    /// What its rows are.
    pub kind: Kind,
    /// How they are written.
    pub format: Format,
    /// Only rows of these channels; none = all.
    pub channels: Option<BTreeSet<ChannelId>>,
    /// Whether it has the columns with personal data.
    pub personal: bool,
    /// The first moment whose rows it has.
    pub since: Option<DateTime<Utc>>,
    /// The first moment whose rows it no longer has; none, or one to come = now.
    pub until: Option<DateTime<Utc>>,
    /// Whose local times stand beside the moments.
    pub time_zone: Option<TimeZone>,
}

/// Asks for an export. It is made in the background.
pub async fn request(tx: &Tx, cmd: Request) -> Result<Model, Failure> {
    let until = cmd
        .until
        .map_or(tx.now, |until| std::cmp::min(until, tx.now));
    if cmd
        .since
        .zip(cmd.until)
        .is_some_and(|(since, until)| since >= until)
    {
        let message = "`to` must be later than `from`";
        return Err(Problem::new(Code::InvalidInput, message)
            .at("input.to")
            .into());
    }
    let row = Model {
        id: tx.id(),
        kind: cmd.kind,
        format: cmd.format,
        state: State::Running,
        channels: cmd.channels.as_ref().map(|channels| json!(channels)),
        personal: cmd.personal,
        since: cmd.since,
        until,
        time_zone: cmd.time_zone,
        place: None,
        rows_total: None,
        rows_done: 0,
        parts: 0,
        bytes: 0,
        failure: None,
        created_by: tx.actor.name.clone(),
        created_at: tx.now,
        finished_at: None,
        expires_at: None,
    };
    tx.defer_rows(vec![row.clone().into_active_model()], |insert| insert);
    let event = Event::ExportRequested {
        kind: row.kind,
        format: row.format,
    };
    emit(tx, &row, 1, event);
    Ok(row)
}

/// The channels whose rows an export has; none = all.
pub fn channels(row: &Model) -> Option<BTreeSet<ChannelId>> {
    let channels = row.channels.clone()?;
    Some(serde_json::from_value(channels).unwrap_or_default())
}

/// What a file of an export is called.
pub fn file_name(row: &Model) -> String {
    let kind = sea_orm::ActiveEnum::to_value(&row.kind).to_lowercase();
    let day = row.until.format("%Y-%m-%dT%H%M%SZ");
    format!("{}-{day}.{}", kind.replace('_', "-"), row.format.ending())
}

/// The exports whose parts are to be made, oldest first.
pub async fn running(db: &impl ConnectionTrait) -> Result<Vec<ExportId>, DbErr> {
    ids(db, Column::State.eq(State::Running), Column::CreatedAt).await
}

/// The exports that can no longer be read, but are still kept.
pub async fn expired(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
) -> Result<Vec<ExportId>, DbErr> {
    let old = Column::State
        .eq(State::Completed)
        .and(Column::ExpiresAt.lte(now));
    ids(db, old, Column::ExpiresAt).await
}

async fn ids(
    db: &impl ConnectionTrait,
    which: Expr,
    order: Column,
) -> Result<Vec<ExportId>, DbErr> {
    Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(which)
        .order_by_asc(order)
        .limit(AT_ONCE)
        .into_tuple()
        .all(db)
        .await
}

/// Makes the next part of an export. Says whether it did: not if it has ended, or if another node
/// is at it.
pub async fn advance(tx: &Tx, id: ExportId, keep: TimeDelta) -> Result<bool, Failure> {
    let Some(mut row) = lock(tx, id, LockBehavior::SkipLocked).await? else {
        return Ok(false);
    };
    if row.state != State::Running {
        return Ok(false);
    }
    if row.rows_total.is_none() {
        let total = rows::count(tx.db(), &row).await?;
        row.rows_total = Some(i64::try_from(total).unwrap_or(i64::MAX));
        if total > MOST_ROWS {
            fail(tx, row, Code::TooMany);
            return Ok(true);
        }
    }
    let page = rows::page(tx.db(), &row).await?;
    let written = page.rows;
    row.rows_done += i64::try_from(written).unwrap_or(i64::MAX);
    row.bytes += page.bytes.len() as i64;
    if let Some(place) = page.place {
        row.place = Some(json!(place));
    }
    if !page.bytes.is_empty() {
        row.parts += 1;
        let part = export_part::ActiveModel {
            export_id: Set(id),
            position: Set(row.parts),
            bytes: Set(page.bytes),
        };
        tx.defer_rows(vec![part], |insert| insert);
    }
    match written < PART {
        true => {
            row.expires_at = Some(tx.now + keep);
            end(tx, row, State::Completed);
        }
        false => save(tx, &row),
    }
    Ok(true)
}

/// Writes down that an export cannot be made by a fault of ours. Says whether it did.
pub async fn give_up(tx: &Tx, id: ExportId) -> Result<bool, Failure> {
    match lock(tx, id, LockBehavior::Nowait).await? {
        Some(row) if row.state == State::Running => {
            forget_parts(tx, id).await?;
            fail(tx, row, Code::Internal);
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// Stops an export that is being made, and forgets what was made of it.
pub async fn cancel(tx: &Tx, id: ExportId) -> Result<Model, Failure> {
    let mut found = Entity::find_by_id(id);
    if tx.locks_rows() {
        QueryTrait::query(&mut found).lock(LockType::Update);
    }
    let row = found.one(tx.db()).await?;
    let row = row.ok_or_else(|| Problem::not_found("Export").at("input.id"))?;
    if row.state != State::Running {
        let message = "the export has ended already";
        let problem = Problem::new(Code::OperationNotRunning, message);
        return Err(problem.at("input.id").into());
    }
    forget_parts(tx, id).await?;
    Ok(end(tx, row, State::Cancelled))
}

/// Forgets the parts of an export whose time is over. Says whether it did.
pub async fn expire(tx: &Tx, id: ExportId) -> Result<bool, Failure> {
    let Some(mut row) = lock(tx, id, LockBehavior::SkipLocked).await? else {
        return Ok(false);
    };
    if row.state != State::Completed || row.expires_at.is_none_or(|until| until > tx.now) {
        return Ok(false);
    }
    forget_parts(tx, id).await?;
    row.state = State::Expired;
    save(tx, &row);
    Ok(true)
}

async fn lock(tx: &Tx, id: ExportId, busy: LockBehavior) -> Result<Option<Model>, DbErr> {
    let mut found = Entity::find_by_id(id);
    if tx.locks_rows() {
        QueryTrait::query(&mut found).lock_with_behavior(LockType::Update, busy);
    }
    found.one(tx.db()).await
}

async fn forget_parts(tx: &Tx, id: ExportId) -> Result<(), DbErr> {
    export_part::Entity::delete_many()
        .filter(export_part::Column::ExportId.eq(id))
        .exec(tx.db())
        .await?;
    Ok(())
}

fn fail(tx: &Tx, mut row: Model, code: Code) {
    row.failure = Some(code.as_str());
    end(tx, row, State::Failed);
}

/// Ends an export, and says so.
fn end(tx: &Tx, mut row: Model, state: State) -> Model {
    row.state = state;
    row.finished_at = Some(tx.now);
    save(tx, &row);
    let event = Event::ExportFinished {
        kind: row.kind,
        state,
        rows: row.rows_done,
        bytes: row.bytes,
        failure: row.failure.clone(),
    };
    emit(tx, &row, 2, event);
    row
}

/// Writes where an export stands.
fn save(tx: &Tx, row: &Model) {
    tx.defer(
        export::Entity::update_many()
            .col_expr(Column::State, Expr::value(row.state))
            .col_expr(Column::Place, Expr::value(row.place.clone()))
            .col_expr(Column::RowsTotal, Expr::value(row.rows_total))
            .col_expr(Column::RowsDone, Expr::value(row.rows_done))
            .col_expr(Column::Parts, Expr::value(row.parts))
            .col_expr(Column::Bytes, Expr::value(row.bytes))
            .col_expr(Column::Failure, Expr::value(row.failure.clone()))
            .col_expr(Column::FinishedAt, Expr::value(row.finished_at))
            .col_expr(Column::ExpiresAt, Expr::value(row.expires_at))
            .filter(Column::Id.eq(row.id))
            .into_query(),
    );
}

/// Says it to those who see the channel, if it is of one.
fn emit(tx: &Tx, row: &Model, version: i64, event: Event) {
    let mut of = channels(row).unwrap_or_default().into_iter();
    tx.emit(Entry {
        aggregate_type: "export",
        aggregate_id: row.id.to_string(),
        version,
        channel_id: of.next().filter(|_| of.next().is_none()),
        order_id: None,
        moved: None,
        event,
    });
}
