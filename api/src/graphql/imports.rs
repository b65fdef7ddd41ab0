//! Runs over files of orders: what came of them, and how far they are.

use async_graphql::{Context, Enum, ID, Object, Result, Subscription};
use chrono::{DateTime, Utc};
use entity::{ImportId, import, import_error};
use futures_util::Stream;
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, Order as Direction, QueryFilter, QueryOrder, QuerySelect,
};

use super::catalogue::channels::Channel;
use super::catalogue::{confined, sees};
use super::errors::{bad_input, fault};
use super::ids::{from_global, to_global};
use super::loaders::load;
use super::pagination::{Rows, Sort, cost, page};
use super::progress::{Progress, follow};
use super::{Allowed, app};
use crate::access::Scope;
use crate::failure::{Code, Failure};

/// How many errors are read at once.
const MOST_ERRORS: i32 = 250;

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::import::Status")]
pub enum OrderImportStatus {
    /// Orders are being taken.
    Running,
    /// Every order of the file was taken or refused.
    Completed,
    /// It stopped; repeating it goes on where it ended.
    Failed,
}

/// A run over a file of orders.
#[derive(Clone)]
pub struct OrderImport(import::Model);

impl From<import::Model> for OrderImport {
    fn from(row: import::Model) -> Self {
        OrderImport(row)
    }
}

impl Progress for OrderImport {
    fn has_ended(&self) -> bool {
        self.0.status != import::Status::Running
    }

    fn is_as(&self, before: &Self) -> bool {
        self.0 == before.0
    }
}

/// A run over a file of orders. Its orders are known by their references, so that repeating it
/// changes nothing.
#[Object]
impl OrderImport {
    /// Its identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// The file's name.
    async fn source(&self) -> &str {
        &self.0.source
    }

    /// `csv`, `jsonl`, or the name of a mapping.
    async fn format(&self) -> &str {
        &self.0.format
    }

    /// The channel that the orders belong to.
    async fn channel(&self, ctx: &Context<'_>) -> Result<Channel> {
        let row = load(ctx, self.0.channel_id).await?;
        row.map(Channel::from).ok_or_else(|| {
            fault(Failure::Internal(
                "an import without its channel".to_owned(),
            ))
        })
    }

    /// Where it stands.
    async fn status(&self) -> OrderImportStatus {
        self.0.status.into()
    }

    /// How many orders were read so far. Written every hundred orders, and at least once a second.
    async fn processed(&self) -> i64 {
        self.0.processed
    }

    /// How many of them were taken, those with exceptions among them.
    async fn accepted(&self) -> i64 {
        self.0.accepted
    }

    /// How many of them had been taken before.
    async fn replayed(&self) -> i64 {
        self.0.replayed
    }

    /// How many of them were refused.
    async fn refused(&self) -> i64 {
        self.0.refused
    }

    /// Who started it.
    async fn started_by(&self) -> &str {
        &self.0.started_by
    }

    /// When it started.
    async fn started_at(&self) -> DateTime<Utc> {
        self.0.started_at
    }

    /// When it ended; null while it runs, or if it was killed and nobody has repeated it.
    async fn finished_at(&self) -> Option<DateTime<Utc>> {
        self.0.finished_at
    }

    /// Why orders were refused, in the order of the file.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn errors(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many; at most 250, 50 if not given.")] first: Option<i32>,
        #[graphql(desc = "Only those of rows behind this one.")] after_row: Option<i64>,
    ) -> Result<Vec<OrderImportError>> {
        let first = first.unwrap_or(50);
        if !(0..=MOST_ERRORS).contains(&first) {
            return Err(bad_input(&format!("first is 0 to {MOST_ERRORS}")));
        }
        let rows = import_error::Entity::find()
            .filter(import_error::Column::ImportId.eq(self.0.id))
            .filter(import_error::Column::RowNumber.gt(after_row.unwrap_or(0)))
            .order_by_asc(import_error::Column::RowNumber)
            .order_by_asc(import_error::Column::Item)
            .limit(u64::try_from(first).unwrap_or(0))
            .all(&app(ctx).db.read)
            .await
            .map_err(fault)?;
        Ok(rows.into_iter().map(OrderImportError).collect())
    }
}

/// Why an order of a file was refused.
pub struct OrderImportError(import_error::Model);

/// Why an order of a file was refused.
#[Object]
impl OrderImportError {
    /// The row of the file, counted from 1.
    async fn row_number(&self) -> i64 {
        self.0.row_number
    }

    /// The order's reference; null if it could not be read.
    async fn external_reference(&self) -> Option<&str> {
        self.0.external_reference.as_deref()
    }

    /// What is wrong, for programs; null if this version of the program does not know it.
    async fn code(&self) -> Option<Code> {
        serde_json::from_value(self.0.code.clone().into()).ok()
    }

    /// Where, as a path; null if it is about the whole order.
    async fn field(&self) -> Option<&str> {
        self.0.field.as_deref()
    }

    /// What is wrong, for people, in English.
    async fn message(&self) -> &str {
        &self.0.message
    }
}

async fn seen(ctx: &Context<'_>, id: &ID) -> Result<Option<OrderImport>> {
    let Ok(id) = from_global::<ImportId>(id, "id") else {
        return Ok(None);
    };
    let row = load(ctx, id).await?;
    Ok(row
        .filter(|row| sees(ctx, Some(row.channel_id)))
        .map(OrderImport))
}

/// Reading runs.
#[derive(Default)]
pub struct ImportQuery;

#[Object]
impl ImportQuery {
    /// A run over a file of orders; null if there is none that you may see. Needs the scope
    /// ORDERS_READ.
    #[graphql(guard = "Allowed(Scope::OrdersRead)")]
    async fn order_import(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which run.")] id: ID,
    ) -> Result<Option<OrderImport>> {
        seen(ctx, &id).await
    }

    /// Runs over files of orders, the newest first. Needs the scope ORDERS_READ.
    #[graphql(
        guard = "Allowed(Scope::OrdersRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn order_imports(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many; at most 250, 50 if not given.")] first: Option<i32>,
        #[graphql(desc = "The cursor behind which the page begins.")] after: Option<String>,
    ) -> Result<Rows<OrderImport>> {
        let mine = confined(ctx)?
            .map(|channels| import::Column::ChannelId.is_in(channels.iter().copied()));
        let rows = import::Entity::find().filter(Condition::all().add_option(mine));
        let sort = Sort {
            column: import::Column::StartedAt,
            id: import::Column::Id,
            order: Direction::Desc,
            key: |row: &import::Model| (row.started_at, row.id.0),
        };
        page(app(ctx), rows, sort, first, after, OrderImport).await
    }
}

/// Following runs.
#[derive(Default)]
pub struct ImportSubscription;

#[Subscription]
impl ImportSubscription {
    /// A run over a file of orders as it is, then whenever it has come on, at most four times a
    /// second, and at least every 15 seconds; it ends when the run has ended. Each item is read
    /// from what is committed. Needs the scope ORDERS_READ.
    #[graphql(guard = "Allowed(Scope::OrdersRead)")]
    async fn import_progress(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which run.")] id: ID,
    ) -> Result<impl Stream<Item = Result<OrderImport>>> {
        let first = seen(ctx, &id)
            .await?
            .ok_or_else(|| bad_input("there is no such import"))?;
        let (app, id) = (app(ctx).clone(), first.0.id);
        Ok(follow(first, move || {
            let app = app.clone();
            async move {
                let row = app.find_import(id).await.map_err(fault)?;
                Ok(row.map(OrderImport))
            }
        }))
    }
}
