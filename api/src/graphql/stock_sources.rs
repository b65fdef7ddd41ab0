//! Sources of stock figures on the wire: what they are, what they say, and whether it is to be
//! believed.

use std::sync::Arc;

use async_graphql::{
    Context, Enum, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject, Subscription,
};
use async_stream::try_stream;
use chrono::{DateTime, Utc};
use entity::{StockSourceId, VariantId, WarehouseId, stock_drift, stock_source};
use futures_util::Stream;
use sea_orm::{DbErr, EntityTrait, Order, QueryFilter, QueryOrder};
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use super::catalogue::products::Variant;
use super::catalogue::warehouses::Warehouse;
use super::command::{payloads, run};
use super::errors::{UserError, fault};
use super::filters::{DateTimeFilter, IdFilter, condition, enum_filter, filter};
use super::ids::{from_global, from_globals, to_global};
use super::loaders::{load, load_all};
use super::once::{mark_replayed, once_required};
use super::pagination::{Rows, Sort, cost, page};
use super::progress::PACE;
use super::reader::HEARTBEAT;
use super::stock::of_seen_variants;
use super::{Allowed, actor, app};
use crate::access::Scope;
use crate::app::{App, Sync, Synced};
use crate::events::Event;
use crate::failure::{Code, Failure, Problem};
use crate::inventory::sources;
use crate::orders::feeds::{Row, Taken};

/// What a source of stock figures is. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "stock_source::Kind")]
pub enum StockSourceKind {
    /// A warehouse management system.
    Wms,
    /// The till of a store.
    Store,
    /// The feed of a partner.
    Partner,
}

/// What becomes of a source's stock while the source is stale. What is held for orders already
/// stays held, whatever the policy. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "stock_source::Policy")]
pub enum StaleStockPolicy {
    /// People hear of it; all of the stock is promised as before.
    AlertOnly,
    /// A part of the units on hand is kept back: `bufferPercent` for each budget that has gone by
    /// since the newest figures, `bufferCapPercent` at most.
    Buffer,
    /// Nothing of the stock is promised.
    NotSellable,
}

/// What is wrong with a source. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum StockAlertCode {
    /// Its newest figures are older than its budget.
    StockFeedStale,
    /// It goes on stating figures of which none has changed for too long.
    StockFeedStill,
    /// Its last full snapshot left out SKUs that its warehouses have.
    StockFeedIncomplete,
}

/// Something that is wrong with a source, until it is right again: nobody settles it by hand.
#[derive(Clone, Debug, SimpleObject)]
pub struct StockAlert {
    /// What.
    pub code: StockAlertCode,
    /// Since when; null for STOCK_FEED_INCOMPLETE, where each drift has its own time.
    pub since: Option<DateTime<Utc>>,
    /// What is wrong, in a sentence.
    pub summary: String,
}

/// How far a stock figure is to be believed.
pub struct StockFreshness {
    source: Arc<stock_source::Model>,
    at: DateTime<Utc>,
}

impl StockFreshness {
    /// That of a source at a moment.
    pub fn new(source: Arc<stock_source::Model>, at: DateTime<Utc>) -> Self {
        StockFreshness { source, at }
    }
}

/// How far a stock figure is to be believed.
#[Object]
impl StockFreshness {
    /// Who states it.
    async fn source(&self) -> StockSource {
        StockSource((*self.source).clone())
    }

    /// When the source's newest figures were true; null if it has said nothing yet.
    async fn observed_at(&self) -> Option<DateTime<Utc>> {
        self.source.observed_at
    }

    /// How old they are, in seconds. Of a source that has said nothing yet, its own age.
    async fn age_secs(&self) -> i64 {
        sources::age(&self.source, self.at).num_seconds()
    }

    /// Whether they are older than the source's budget.
    async fn stale(&self) -> bool {
        self.source.stale_since.is_some()
    }

    /// How much of the stock is kept back for that, in percent of the units on hand.
    async fn withheld_percent(&self) -> i64 {
        self.source.withheld_percent
    }
}

/// Who states how many units lie in some warehouses. Each warehouse has one source at most.
pub struct StockSource(pub stock_source::Model);

impl From<stock_source::Model> for StockSource {
    fn from(row: stock_source::Model) -> Self {
        StockSource(row)
    }
}

/// Who states how many units lie in some warehouses. Each warehouse has one source at most.
#[Object]
impl StockSource {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// Its name in feeds; unique.
    async fn code(&self) -> &str {
        &self.0.code
    }

    /// Its name on screens.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What it is.
    async fn kind(&self) -> StockSourceKind {
        self.0.kind.into()
    }

    /// The warehouses that it speaks for.
    async fn warehouses(&self, ctx: &Context<'_>) -> Result<Vec<Warehouse>> {
        let ids = sources::spoken_for(&app(ctx).db.read, self.0.id)
            .await
            .map_err(fault)?;
        let rows = load_all(ctx, ids).await?;
        Ok(rows.into_iter().map(Warehouse).collect())
    }

    /// How old its newest figures may be, in seconds.
    async fn budget_secs(&self) -> i64 {
        self.0.budget_secs
    }

    /// What becomes of its stock while it is stale.
    async fn policy(&self) -> StaleStockPolicy {
        self.0.policy.into()
    }

    /// What BUFFER keeps back for each budget that has gone by, in percent of the units on hand.
    async fn buffer_percent(&self) -> i64 {
        self.0.buffer_percent
    }

    /// The most that BUFFER keeps back, in percent of the units on hand.
    async fn buffer_cap_percent(&self) -> i64 {
        self.0.buffer_cap_percent
    }

    /// How long it may go on stating figures of which none changes, in seconds; null = for ever.
    async fn still_after_secs(&self) -> Option<i64> {
        self.0.still_after_secs
    }

    /// Whether it is listened to and watched.
    async fn active(&self) -> bool {
        self.0.active
    }

    /// When its newest figures were true; null if it has said nothing yet.
    async fn observed_at(&self) -> Option<DateTime<Utc>> {
        self.0.observed_at
    }

    /// When it was last heard of.
    async fn received_at(&self) -> Option<DateTime<Utc>> {
        self.0.received_at
    }

    /// The highest version of its feeds, where it counts them.
    async fn feed_version(&self) -> Option<i64> {
        self.0.feed_version
    }

    /// When a figure of its was last another than its one before, by its own time.
    async fn changed_at(&self) -> Option<DateTime<Utc>> {
        self.0.changed_at
    }

    /// How old its newest figures are, in seconds. If it has said nothing yet, its own age.
    async fn age_secs(&self, ctx: &Context<'_>) -> i64 {
        sources::age(&self.0, app(ctx).clock.now()).num_seconds()
    }

    /// Since when it is stale; null if it is not. Noticed within a second.
    async fn stale_since(&self) -> Option<DateTime<Utc>> {
        self.0.stale_since
    }

    /// How much of its stock is kept back now, in percent of the units on hand.
    async fn withheld_percent(&self) -> i64 {
        self.0.withheld_percent
    }

    /// Since when its figures have all stayed the same for too long; null if they have not.
    async fn still_since(&self) -> Option<DateTime<Utc>> {
        self.0.still_since
    }

    /// How many SKUs of its warehouses its last full snapshot left out. Their figures stay as they
    /// are: silence is no count.
    async fn missing(&self) -> i64 {
        self.0.missing
    }

    /// What is wrong with it now; empty if nothing is.
    async fn alerts(&self) -> Vec<StockAlert> {
        alerts(&self.0)
    }

    /// +1 with every change and with every feed; give it back as `expectedVersion`.
    async fn version(&self) -> i64 {
        self.0.version
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }
}

fn alerts(source: &stock_source::Model) -> Vec<StockAlert> {
    let name = &source.name;
    let stale = source.stale_since.map(|since| StockAlert {
        code: StockAlertCode::StockFeedStale,
        since: Some(since),
        summary: match source.withheld_percent {
            0 => format!("{name} has gone silent"),
            percent => format!("{name} has gone silent; {percent} % of its stock is kept back"),
        },
    });
    let still = source.still_since.map(|since| StockAlert {
        code: StockAlertCode::StockFeedStill,
        since: Some(since),
        summary: format!("no figure of {name} has changed for too long"),
    });
    let incomplete = (source.missing > 0).then(|| StockAlert {
        code: StockAlertCode::StockFeedIncomplete,
        since: None,
        summary: format!("{name} leaves out {} SKUs", source.missing),
    });
    stale.into_iter().chain(still).chain(incomplete).collect()
}

/// How a feed and the ledger differed. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "stock_drift::Kind")]
pub enum StockDriftKind {
    /// The feed had another figure. The ledger was corrected by it.
    Figure,
    /// A full snapshot left the SKU out. The ledger stayed as it was.
    Missing,
}

/// Where a feed and the ledger differed, as it was found.
pub struct StockDrift(pub stock_drift::Model);

impl From<stock_drift::Model> for StockDrift {
    fn from(row: stock_drift::Model) -> Self {
        StockDrift(row)
    }
}

/// Where a feed and the ledger differed, as it was found.
#[Object]
impl StockDrift {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// Whose feed.
    async fn source(&self, ctx: &Context<'_>) -> Result<Option<StockSource>> {
        Ok(load(ctx, self.0.source_id).await?.map(StockSource))
    }

    /// Of what.
    async fn variant(&self, ctx: &Context<'_>) -> Result<Option<Variant>> {
        Ok(load(ctx, self.0.variant_id).await?.map(Variant))
    }

    /// Where.
    async fn warehouse(&self, ctx: &Context<'_>) -> Result<Option<Warehouse>> {
        Ok(load(ctx, self.0.warehouse_id).await?.map(Warehouse))
    }

    /// How they differed.
    async fn kind(&self) -> StockDriftKind {
        self.0.kind.into()
    }

    /// The units on hand that the feed stated; null if it left the SKU out.
    async fn stated(&self) -> Option<i64> {
        self.0.stated
    }

    /// The units on hand that the ledger had for that moment.
    async fn had(&self) -> i64 {
        self.0.had
    }

    /// Stated less had; null if the feed left the SKU out.
    async fn difference(&self) -> Option<i64> {
        self.0.stated.map(|stated| stated - self.0.had)
    }

    /// The moment that the feed spoke of.
    async fn observed_at(&self) -> DateTime<Utc> {
        self.0.observed_at
    }

    /// When the feed came.
    async fn found_at(&self) -> DateTime<Utc> {
        self.0.found_at
    }
}

enum_filter! {
    /// How a feed and the ledger must have differed.
    StockDriftKindFilter of StockDriftKind as stock_drift::Kind
}

/// Which differences. Fields of one input must all match.
#[derive(Clone, Debug, Default, InputObject)]
pub struct StockDriftWhere {
    /// By source.
    pub source_id: Option<IdFilter>,
    /// By variant.
    pub variant_id: Option<IdFilter>,
    /// By warehouse.
    pub warehouse_id: Option<IdFilter>,
    /// By how they differed.
    pub kind: Option<StockDriftKindFilter>,
    /// By when the feed came.
    pub found_at: Option<DateTimeFilter>,
    /// All of these must match. At most 20.
    #[graphql(validator(max_items = 20))]
    pub and: Option<Vec<StockDriftWhere>>,
    /// One of these must match. At most 20.
    #[graphql(validator(max_items = 20))]
    pub or: Option<Vec<StockDriftWhere>>,
    /// This must not match.
    pub not: Option<Box<StockDriftWhere>>,
}

filter!(StockDriftWhere, |it| [
    it.source_id
        .as_ref()
        .map(|f| f.on::<StockSourceId>(stock_drift::Column::SourceId)),
    it.variant_id
        .as_ref()
        .map(|f| f.on::<VariantId>(stock_drift::Column::VariantId)),
    it.warehouse_id
        .as_ref()
        .map(|f| f.on::<WarehouseId>(stock_drift::Column::WarehouseId)),
    it.kind.as_ref().map(|f| f.on(stock_drift::Column::Kind)),
    it.found_at
        .as_ref()
        .map(|f| f.on(stock_drift::Column::FoundAt)),
]);

/// Reads of stock sources.
#[derive(Default)]
pub struct StockSourceQuery;

/// Reads of stock sources.
#[Object]
impl StockSourceQuery {
    /// The sources of stock figures, by code. Needs the scope STOCK_READ.
    #[graphql(
        guard = "Allowed(Scope::StockRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn stock_sources(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 50 unless told, at most 250.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
    ) -> Result<Rows<StockSource>> {
        let sort = Sort {
            column: stock_source::Column::Code,
            id: stock_source::Column::Id,
            order: Order::Asc,
            key: |row: &stock_source::Model| (row.code.clone(), row.id.0),
        };
        let rows = stock_source::Entity::find();
        page(app(ctx), rows, sort, first, after, StockSource).await
    }

    /// A source of stock figures; null if there is none. Needs the scope STOCK_READ.
    #[graphql(guard = "Allowed(Scope::StockRead)")]
    async fn stock_source(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global identifier.")] id: ID,
    ) -> Result<Option<StockSource>> {
        match from_global::<StockSourceId>(&id, "id") {
            Ok(id) => Ok(load(ctx, id).await?.map(StockSource)),
            Err(_) => Ok(None),
        }
    }

    /// Where feeds and the ledger differed, the newest first, for the variants that you see: what
    /// the feed said, what the ledger had for that moment, when, and by how much.
    /// Needs the scope STOCK_READ.
    #[graphql(
        guard = "Allowed(Scope::StockRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn stock_drift(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "where", desc = "Which; all if not given.")] filter: Option<
            StockDriftWhere,
        >,
        #[graphql(desc = "How many, 50 unless told, at most 250.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
    ) -> Result<Rows<StockDrift>> {
        let rows = stock_drift::Entity::find()
            .filter(of_seen_variants(ctx, stock_drift::Column::VariantId)?)
            .filter(condition(filter.as_ref())?);
        let sort = Sort {
            column: stock_drift::Column::FoundAt,
            id: stock_drift::Column::Id,
            order: Order::Desc,
            key: |row: &stock_drift::Model| (row.found_at, row.id.0),
        };
        page(app(ctx), rows, sort, first, after, StockDrift).await
    }
}

/// What `stockSourceCreate` needs.
#[derive(Clone, Debug, InputObject)]
pub struct StockSourceCreateInput {
    /// Its name in feeds: 1 to 64 characters, no blanks; unique (CODE_TAKEN).
    pub code: String,
    /// Its name on screens, 1 to 300 characters.
    pub name: String,
    /// What it is.
    pub kind: StockSourceKind,
    /// The warehouses that it speaks for (NOT_FOUND, WAREHOUSE_TAKEN).
    pub warehouse_ids: Vec<ID>,
    /// How old its newest figures may be, in seconds: 1 to 2,592,000, which is 30 days.
    #[graphql(default = 900)]
    pub budget_secs: i64,
    /// What becomes of its stock while it is stale.
    #[graphql(default_with = "StaleStockPolicy::AlertOnly")]
    pub policy: StaleStockPolicy,
    /// What BUFFER keeps back for each budget that has gone by, in percent: 1 to 100.
    #[graphql(default = 10)]
    pub buffer_percent: i64,
    /// The most that BUFFER keeps back, in percent: 1 to 100.
    #[graphql(default = 50)]
    pub buffer_cap_percent: i64,
    /// How long it may go on stating figures of which none changes, in seconds: 1 to 2,592,000;
    /// for ever if not given.
    pub still_after_secs: Option<i64>,
}

impl StockSourceCreateInput {
    fn command(self) -> Result<sources::Create, Problem> {
        Ok(sources::Create {
            warehouses: from_globals(&self.warehouse_ids, "input.warehouseIds")?,
            code: self.code,
            name: self.name,
            kind: self.kind.into(),
            budget_secs: self.budget_secs,
            policy: self.policy.into(),
            buffer_percent: self.buffer_percent,
            buffer_cap_percent: self.buffer_cap_percent,
            still_after_secs: self.still_after_secs,
            active: true,
        })
    }
}

/// What `stockSourceUpdate` needs. What is left out stays as it is.
#[derive(Clone, Debug, InputObject)]
pub struct StockSourceUpdateInput {
    /// Which source (NOT_FOUND).
    pub id: ID,
    /// The version that you decided on (STALE_VERSION).
    pub expected_version: Option<i64>,
    /// Its name on screens, 1 to 300 characters.
    pub name: Option<String>,
    /// The warehouses that it speaks for, all of them (NOT_FOUND, WAREHOUSE_TAKEN).
    pub warehouse_ids: Option<Vec<ID>>,
    /// How old its newest figures may be, in seconds: 1 to 2,592,000.
    pub budget_secs: Option<i64>,
    /// What becomes of its stock while it is stale.
    pub policy: Option<StaleStockPolicy>,
    /// What BUFFER keeps back for each budget that has gone by, in percent: 1 to 100.
    pub buffer_percent: Option<i64>,
    /// The most that BUFFER keeps back, in percent: 1 to 100.
    pub buffer_cap_percent: Option<i64>,
    /// How long it may go on stating figures of which none changes, in seconds; null = for ever.
    pub still_after_secs: MaybeUndefined<i64>,
    /// Whether it is listened to and watched. One that is not is never stale.
    pub active: Option<bool>,
}

impl StockSourceUpdateInput {
    fn command(self) -> Result<sources::Update, Problem> {
        let warehouses = self.warehouse_ids.as_deref();
        Ok(sources::Update {
            id: from_global(&self.id, "input.id")?,
            expected_version: self.expected_version,
            name: self.name,
            warehouses: warehouses
                .map(|ids| from_globals(ids, "input.warehouseIds"))
                .transpose()?,
            budget_secs: self.budget_secs,
            policy: self.policy.map(Into::into),
            buffer_percent: self.buffer_percent,
            buffer_cap_percent: self.buffer_cap_percent,
            still_after_secs: match self.still_after_secs {
                MaybeUndefined::Undefined => None,
                MaybeUndefined::Null => Some(None),
                MaybeUndefined::Value(secs) => Some(Some(secs)),
            },
            active: self.active,
        })
    }
}

/// A figure of a feed.
#[derive(Clone, Debug, InputObject, Serialize)]
pub struct InventorySyncRowInput {
    /// Of what: its SKU, or another code of it (SKU_UNKNOWN).
    pub sku: String,
    /// Where, by code: one of the source's warehouses (WAREHOUSE_FOREIGN).
    pub warehouse: String,
    /// Units that are there, held ones included: 0 to 1,000,000,000. Never what is available, which
    /// is always computed here.
    pub on_hand: i64,
    /// When that was true, if not when the whole feed was.
    pub observed_at: Option<DateTime<Utc>>,
}

/// What `inventorySync` needs.
#[derive(Clone, Debug, InputObject, Serialize)]
pub struct InventorySyncInput {
    /// The source whose feed it is, by code (NOT_FOUND).
    pub source: String,
    /// When the figures were true, by the source's clock, which may be ahead of ours by two minutes
    /// (CLOCK_SKEW).
    pub observed_at: DateTime<Utc>,
    /// The version of the feed, where the source counts them: of figures of the same moment, the
    /// one of the higher version is newer, and one of a lower version is never taken.
    pub version: Option<i64>,
    /// Whether it is a full snapshot: what it leaves out is reported as missing and keeps its
    /// figure. A feed that is not full says nothing of what it leaves out; one without rows says
    /// that nothing has changed.
    pub full: bool,
    /// Whether more of the same snapshot follows, under the same `observedAt` and a key of its own:
    /// what is missing is looked at with the last.
    #[graphql(default)]
    pub more: bool,
    /// The figures: as many as a request may hold, at most 50,000 (TOO_MANY).
    pub rows: Vec<InventorySyncRowInput>,
    /// Makes a repetition have the effect of one, and takes up a feed that was cut off where it
    /// ended; or give the header `Idempotency-Key`. One of the two is required (INVALID_INPUT).
    /// Kept 72 hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

impl InventorySyncInput {
    fn command(&self) -> Sync {
        let rows = self.rows.iter().map(|row| Row {
            sku: row.sku.clone(),
            warehouse: row.warehouse.clone(),
            on_hand: row.on_hand,
            observed_at: row.observed_at,
        });
        Sync {
            source: self.source.clone(),
            observed_at: self.observed_at,
            version: self.version,
            full: self.full,
            more: self.more,
            rows: rows.collect(),
        }
    }
}

/// What became of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum InventorySyncOutcome {
    /// It changed the units on hand.
    Set,
    /// It was taken, and the units on hand were as it says.
    Unchanged,
    /// It was not taken; `code` says why.
    Refused,
}

/// What became of a row of a feed.
#[derive(Clone, Debug, SimpleObject)]
pub struct InventorySyncRow {
    /// Its place in the feed, from 0.
    pub index: usize,
    /// What came of it.
    pub outcome: InventorySyncOutcome,
    /// Units on hand before it; null if it was refused.
    pub before: Option<i64>,
    /// Units on hand after it: what it states, and what was booked here since then. Null if it was
    /// refused.
    pub on_hand: Option<i64>,
    /// Why it was refused: SKU_UNKNOWN, WAREHOUSE_FOREIGN, QUANTITY_INVALID, CLOCK_SKEW,
    /// STOCK_FIGURE_OUTDATED (a newer one is held), INVALID_INPUT (the feed names it twice; the
    /// warehouse has no bins).
    pub code: Option<Code>,
    /// Why, for people.
    pub message: Option<String>,
}

impl InventorySyncRow {
    fn new((index, taken): (usize, Taken)) -> Self {
        InventorySyncRow {
            index,
            outcome: match &taken.refused {
                Some(_) => InventorySyncOutcome::Refused,
                None if taken.changed() => InventorySyncOutcome::Set,
                None => InventorySyncOutcome::Unchanged,
            },
            before: taken.before,
            on_hand: taken.on_hand,
            code: taken.refused.as_ref().map(|refused| refused.code),
            message: taken.refused.map(|refused| refused.message),
        }
    }
}

/// What `inventorySync` came to.
#[derive(SimpleObject)]
pub struct InventorySyncPayload {
    /// The source as it is now; null if the feed was refused.
    pub source: Option<StockSource>,
    /// What became of each row, in their order; empty if the feed was refused.
    pub rows: Vec<InventorySyncRow>,
    /// How many rows changed the units on hand.
    pub set: usize,
    /// How many rows said what was there already.
    pub unchanged: usize,
    /// How many rows were refused.
    pub refused: usize,
    /// Why nothing was taken; empty if the feed was.
    pub user_errors: Vec<UserError>,
    /// Whether this is the answer to an earlier request with the same key.
    pub replayed: bool,
}

payloads! {
    /// What `stockSourceCreate` came to.
    StockSourceCreatePayload {
        /// The new source; null if it was refused.
        stock_source: StockSource
    }
    /// What `stockSourceUpdate` came to.
    StockSourceUpdatePayload {
        /// The source after the change; null if it was refused.
        stock_source: StockSource
    }
}

/// What a feed came to, with its source as it is now.
async fn synced(
    ctx: &Context<'_>,
    source: &str,
    result: Result<Synced, Failure>,
) -> Result<InventorySyncPayload> {
    let (synced, user_errors) = super::errors::outcome(result)?;
    let Some(synced) = synced else {
        return Ok(InventorySyncPayload {
            source: None,
            rows: Vec::new(),
            set: 0,
            unchanged: 0,
            refused: 0,
            user_errors,
            replayed: false,
        });
    };
    if synced.replayed {
        mark_replayed(ctx);
    }
    let source = sources::find(&app(ctx).db.read, source)
        .await
        .map_err(fault)?;
    let rows = synced.rows.into_iter().enumerate();
    let rows: Vec<_> = rows.map(InventorySyncRow::new).collect();
    let count = |outcome| rows.iter().filter(|row| row.outcome == outcome).count();
    Ok(InventorySyncPayload {
        source: source.map(|(source, _)| StockSource(source)),
        set: count(InventorySyncOutcome::Set),
        unchanged: count(InventorySyncOutcome::Unchanged),
        refused: count(InventorySyncOutcome::Refused),
        rows,
        user_errors,
        replayed: synced.replayed,
    })
}

/// Changes of stock sources.
#[derive(Default)]
pub struct StockSourceMutation;

/// Changes of stock sources.
#[Object]
impl StockSourceMutation {
    /// Makes a source of stock figures. Until it has spoken, its age is its own. Refusals:
    /// CODE_TAKEN, NAME_INVALID, NOT_FOUND, WAREHOUSE_TAKEN, QUANTITY_INVALID, INVALID_INPUT.
    /// Needs the scope STOCK_MANAGE.
    #[graphql(guard = "Allowed(Scope::StockManage)")]
    async fn stock_source_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What the source is to be.")] input: StockSourceCreateInput,
    ) -> Result<StockSourceCreatePayload> {
        let cmd = input.command();
        Ok(run(ctx, cmd, sources::create).await?.into())
    }

    /// Changes a source of stock figures; what it is taken for follows at once. Refusals: NOT_FOUND,
    /// STALE_VERSION, NAME_INVALID, WAREHOUSE_TAKEN, QUANTITY_INVALID, INVALID_INPUT.
    /// Needs the scope STOCK_MANAGE.
    #[graphql(guard = "Allowed(Scope::StockManage)")]
    async fn stock_source_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change.")] input: StockSourceUpdateInput,
    ) -> Result<StockSourceUpdatePayload> {
        let cmd = input.command();
        Ok(run(ctx, cmd, sources::update).await?.into())
    }

    /// Takes what a source says of its stock, a full snapshot or a part. Each row sets the units on
    /// hand as they were at its time: what was booked here since stays on top of it. A row that is
    /// refused keeps no other from being taken. Where a figure falls below what is held for orders,
    /// the youngest holds go back to the head of the queue, and each of their orders gets an
    /// exception (INSUFFICIENT_STOCK); what is more goes to whoever waits. Each difference is an
    /// entry of the ledger and of `stockDrift`. The rows are taken some at a time; a request that
    /// was cut off goes on where it ended when it is sent again. Refusals: NOT_FOUND, CLOCK_SKEW,
    /// TOO_MANY, INVALID_INPUT (no idempotency key; the source is not listened to),
    /// IDEMPOTENCY_KEY_REUSED, IN_PROGRESS. Needs the scope STOCK_MANAGE.
    #[graphql(guard = "Allowed(Scope::StockManage)")]
    async fn inventory_sync(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose figures, of when, and what they are.")] input: InventorySyncInput,
    ) -> Result<InventorySyncPayload> {
        let key = input.idempotency_key.as_deref();
        let result = match once_required(ctx, "inventorySync", &input, key) {
            Ok(once) => {
                let (actor, cmd) = (actor(ctx)?, input.command());
                app(ctx).sync_stock(&actor, &once, &cmd).await
            }
            Err(problem) => Err(problem.into()),
        };
        synced(ctx, &input.source, result).await
    }
}

/// Every source of stock figures, as they are at a moment.
#[derive(SimpleObject)]
pub struct StockSourcesUpdate {
    /// When this was said; ages are those of this moment.
    pub at: DateTime<Utc>,
    /// The sources, by code.
    pub sources: Vec<StockSource>,
}

/// Following stock sources.
#[derive(Default)]
pub struct StockSourceSubscription;

#[Subscription]
impl StockSourceSubscription {
    /// Every source of stock figures with what is wrong with it: at once, then soon after something
    /// about one changes, at most four times a second, and at least every 15 seconds. Every item is
    /// whole and replaces the one before it, so there is nothing to resume.
    /// Needs the scope STOCK_READ.
    #[graphql(guard = "Allowed(Scope::StockRead)")]
    async fn stock_sources(
        &self,
        ctx: &Context<'_>,
    ) -> Result<impl Stream<Item = Result<StockSourcesUpdate>>> {
        Ok(follow(app(ctx).clone()))
    }
}

fn follow(app: Arc<App>) -> impl Stream<Item = Result<StockSourcesUpdate>> {
    try_stream! {
        // First the hub, then the sources: what happens from here on is heard.
        let mut live = app.hub.subscribe().await.map_err(fault)?;
        loop {
            let told = Instant::now();
            yield StockSourcesUpdate {
                at: app.clock.now(),
                sources: all(&app).await.map_err(fault)?,
            };
            loop {
                match tokio::time::timeout_at(told + HEARTBEAT, live.recv()).await {
                    Ok(Ok(logged)) if !is_of_source(logged.event.as_ref()) => {}
                    Ok(Err(RecvError::Closed)) => {
                        // The log is another one.
                        live = app.hub.subscribe().await.map_err(fault)?;
                        break;
                    }
                    Ok(_) => {
                        tokio::time::sleep_until(told + PACE).await;
                        break;
                    }
                    Err(_) => break,
                }
            }
        }
    }
}

async fn all(app: &App) -> Result<Vec<StockSource>, DbErr> {
    let rows = stock_source::Entity::find()
        .order_by_asc(stock_source::Column::Code)
        .all(&app.db.read)
        .await?;
    Ok(rows.into_iter().map(StockSource).collect())
}

fn is_of_source(event: Option<&Event>) -> bool {
    matches!(
        event,
        Some(
            Event::StockSourceSaved { .. }
                | Event::StockSourceFed { .. }
                | Event::StockSourceStale { .. }
                | Event::StockSourceFresh {}
                | Event::StockSourceStill { .. }
                | Event::StockSourceMoving {}
        )
    )
}
