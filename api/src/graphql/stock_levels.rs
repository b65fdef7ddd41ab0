//! `stockLevels`: a snapshot of stock, then its changes, conflated.
//!
//! Stock rows have no identifier of their own and change more often than anybody looks, so this is
//! no [`Feed`](super::feed::Feed): what has changed is gathered, and a row is read and shown at most
//! once in each interval, as it is then. What is gathered is never dropped, so the last thing shown
//! of a row is the newest.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Context, ID, Result, SimpleObject, Subscription};
use async_stream::try_stream;
use chrono::{DateTime, Utc};
use entity::{InboundId, StockSourceId, VariantId, WarehouseId, inbound_supply, stock};
use futures_util::Stream;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use tokio::time::Instant;
use tracing::Span;
use uuid::Uuid;

use super::cursor::Cursor;
use super::errors::{bad_input, fault};
use super::feed::{MOST_SHOWN, UpdateKind, scope_of};
use super::filters::condition;
use super::ids::to_global;
use super::loaders::{IncomingTo, incoming};
use super::reader::{self, Anew, Reader, Step};
use super::stock::{Known, Stock, StockWhere, of_seen_variants};
use super::{Allowed, app, principal};
use crate::access::Scope;
use crate::app::App;
use crate::events::{Event, Logged};
use crate::http::Course;
use crate::inventory::sources;
use crate::telemetry::traces::delivery;

/// How often a row is shown at most.
const PACE: Duration = Duration::from_millis(100);

/// How many rows are read at once.
const READ_AT_ONCE: usize = 500;

/// A stock row's key.
type Key = (VariantId, WarehouseId);

/// One item of `stockLevels`. Apply a stock row if its `version` is at least what you have: an item
/// shows it as it is when it is sent, which may be ahead of its event, and stands for all events of
/// the row since the last.
#[derive(SimpleObject)]
pub struct StockUpdate {
    /// What it says.
    pub kind: UpdateKind,
    /// Where the stream stands after it; give it as `after` to go on from here. Whatever may not
    /// have been shown by then is shown again.
    pub cursor: String,
    /// The position of its newest event in the log; that of the whole snapshot for its items.
    pub seq: i64,
    /// What happened last: `stock.changed`, `stock_source.stale` …; null where nothing did.
    pub event: Option<String>,
    /// When that happened.
    pub occurred_at: Option<DateTime<Utc>>,
    /// The variant's identifier; null where it is about none.
    pub variant_id: Option<ID>,
    /// The warehouse's identifier; null where it is about none.
    pub warehouse_id: Option<ID>,
    /// The stock; null where it is about none, and for REMOVE.
    pub stock: Option<Stock>,
    /// Ends with the item, when it has been written.
    #[graphql(skip)]
    _delivery: Span,
}

/// Following stock.
#[derive(Default)]
pub struct StockLevelSubscription;

#[Subscription]
impl StockLevelSubscription {
    /// The stock that matches, of the variants that you see, then its changes without a gap: each
    /// SKU and warehouse at most ten times a second, and always ending on the newest. What its
    /// source's going stale, or coming back, makes of the available units is a change too, and so is
    /// a delivery that is entered or called off. A row that ceases to match is removed. After a
    /// disconnect, give the last cursor as `after` and go on where you were; if that is not
    /// possible any more, RESYNC and a new snapshot follow. Needs the scope STOCK_READ.
    #[graphql(guard = "Allowed(Scope::StockRead)")]
    async fn stock_levels(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which; none = all that you may see.", name = "where")] filter: Option<
            StockWhere,
        >,
        #[graphql(desc = "The cursor to go on from; the snapshot is then left out.")] after: Option<
            String,
        >,
        #[graphql(desc = "Whether to begin with the stock as it is.", default = true)]
        snapshot: bool,
    ) -> Result<impl Stream<Item = Result<StockUpdate>>> {
        let scope = scope_of(principal(ctx)?, "stockLevels", &filter);
        let course = ctx.data_opt::<Arc<Course>>().cloned().unwrap_or_default();
        let after = reader::after(&course, after.as_deref(), scope)?;
        let visible = of_seen_variants(ctx, stock::Column::VariantId)?;
        let levels = Levels {
            app: app(ctx).clone(),
            matching: visible.clone().add(condition(filter.as_ref())?),
            visible,
            at: Cursor {
                epoch: Uuid::nil(),
                seq: 0,
                scope,
            },
            shown: HashSet::new(),
            may_have_seen: 0,
            course,
        };
        Ok(levels.run(after, snapshot))
    }
}

/// The newest event about something.
#[derive(Clone, Debug)]
struct News {
    seq: i64,
    event: String,
    occurred_at: DateTime<Utc>,
    trace_parent: Option<String>,
}

/// What has changed and was not shown since.
#[derive(Default)]
struct Gathered {
    rows: BTreeMap<Key, News>,
    /// Sources on which the figures of all their warehouses depend.
    sources: BTreeMap<StockSourceId, News>,
    /// What may have changed every row.
    all: Option<News>,
}

impl Gathered {
    fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.sources.is_empty() && self.all.is_none()
    }
}

/// One subscriber's stream.
struct Levels {
    app: Arc<App>,
    /// Which rows, those that the caller may not see left out.
    matching: Condition,
    /// Those that the caller may see.
    visible: Condition,
    /// Where everything before has been shown.
    at: Cursor,
    /// The rows that the subscriber has been shown and not told to remove.
    shown: HashSet<Key>,
    /// Up to which position the subscriber may have been shown what `shown` does not know of,
    /// before it came back.
    may_have_seen: i64,
    /// Told where each item stands, for a transport that names items by their cursors. It never
    /// hears of positions without an item, so the stream is not shared.
    course: Arc<Course>,
}

impl Levels {
    fn run(
        mut self,
        after: Option<Cursor>,
        snapshot: bool,
    ) -> impl Stream<Item = Result<StockUpdate>> {
        try_stream! {
            let (all, anew) = (Condition::all(), Anew::AtTheEnd);
            // A course of its own, since the stream is not to be shared.
            let (app, course) = (self.app.clone(), Arc::default());
            let reader = Reader::begin(app, course, all, anew, self.at.scope, after);
            let mut reader = reader.await.map_err(fault)?;
            let mut gathered = Gathered::default();
            let mut next = Instant::now();
            loop {
                let now = Instant::now();
                if !gathered.is_empty() && !reader.is_behind() && now >= next {
                    next = now + PACE;
                    let items = self.changes(std::mem::take(&mut gathered), reader.at()).await?;
                    self.at = reader.at();
                    for item in items {
                        yield self.say(item);
                        reader.spoke();
                    }
                }
                let due = (!gathered.is_empty()).then_some(next);
                let Some(step) = reader.next(due).await.map_err(fault)? else { break };
                match step {
                    Step::Begun if !snapshot => {
                        self.at = reader.at();
                        self.shown = self.keys(Condition::all()).await?.into_iter().collect();
                    }
                    Step::Resumed => {
                        self.at = reader.at();
                        self.may_have_seen = reader.end();
                        self.shown = self.keys(Condition::all()).await?.into_iter().collect();
                    }
                    Step::Begun | Step::Lost => {
                        self.at = reader.at();
                        gathered = Gathered::default();
                        if matches!(step, Step::Lost) {
                            yield self.say(self.mark(UpdateKind::Resync));
                        }
                        let rows = self.all().await?;
                        self.shown = rows.iter().map(key).collect();
                        for part in rows.chunks(READ_AT_ONCE) {
                            for level in self.known(part.to_vec()).await? {
                                yield self.say(self.snapshot(level));
                            }
                        }
                        yield self.say(self.mark(UpdateKind::SnapshotEnd));
                        reader.spoke();
                    }
                    Step::Event(logged) => self.gather(&mut gathered, &logged).await?,
                    Step::Quiet => {
                        if gathered.is_empty() {
                            self.at = reader.at();
                        }
                        yield self.say(self.mark(UpdateKind::Heartbeat));
                    }
                    Step::Due => {}
                }
            }
        }
    }

    /// Notes what an event changes.
    async fn gather(&self, gathered: &mut Gathered, logged: &Logged) -> Result<()> {
        let Some(event) = &logged.event else {
            return Ok(());
        };
        let news = || News {
            seq: logged.row.seq,
            event: logged.row.event_type.clone(),
            occurred_at: logged.row.occurred_at,
            trace_parent: logged.row.trace_parent.clone(),
        };
        match event {
            Event::StockChanged {
                variant_id,
                warehouse_id,
                ..
            }
            | Event::StockSafetySet {
                variant_id,
                warehouse_id,
                ..
            } => {
                gathered.rows.insert((*variant_id, *warehouse_id), news());
            }
            Event::StockSourceStale { .. } | Event::StockSourceFresh {} => {
                if let Ok(id) = logged.row.aggregate_id.parse::<Uuid>() {
                    gathered.sources.insert(id.into(), news());
                }
            }
            // It may speak for other warehouses than before.
            Event::StockSourceSaved { .. } => gathered.all = Some(news()),
            Event::CatalogueChanged { kind, code, .. } if kind == "inbound_supply" => {
                let Ok(id) = code.parse::<Uuid>() else {
                    return Ok(());
                };
                let row = inbound_supply::Entity::find_by_id(InboundId(id))
                    .one(&self.app.db.read)
                    .await
                    .map_err(fault)?;
                if let Some(row) = row {
                    gathered
                        .rows
                        .insert((row.variant_id, row.warehouse_id), news());
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What was gathered as items: rows as they are now if they match, their removal if they did and
    /// no longer do. Only the last has a cursor behind all of them.
    async fn changes(&mut self, gathered: Gathered, behind: Cursor) -> Result<Vec<StockUpdate>> {
        let mut news = gathered.rows;
        let mut spread = BTreeMap::new();
        let mut keys: Vec<Key> = Vec::new();
        for (source, of_source) in gathered.sources {
            let warehouses = sources::spoken_for(&self.app.db.read, source)
                .await
                .map_err(fault)?;
            spread.extend(warehouses.into_iter().map(|id| (id, of_source.clone())));
        }
        if !spread.is_empty() || gathered.all.is_some() {
            let column = stock::Column::WarehouseId;
            let within = match gathered.all {
                Some(_) => Condition::all(),
                None => Condition::all().add(column.is_in(spread.keys().copied())),
            };
            keys.extend(self.keys(within).await?);
            // What was shown and matches no more is told of too.
            let all = gathered.all.is_some();
            let mine = |key: &&Key| all || spread.contains_key(&key.1);
            keys.extend(self.shown.iter().filter(mine));
        }
        for key in keys {
            let newest = [spread.get(&key.1), gathered.all.as_ref()];
            let newest = newest.into_iter().flatten().max_by_key(|news| news.seq);
            if let Some(newest) = newest {
                let own = news.entry(key).or_insert_with(|| newest.clone());
                if own.seq < newest.seq {
                    *own = newest.clone();
                }
            }
        }
        let news: Vec<(Key, News)> = news.into_iter().collect();
        let mut items = Vec::new();
        for part in news.chunks(READ_AT_ONCE) {
            let keys: BTreeSet<Key> = part.iter().map(|(key, _)| *key).collect();
            let rows = self.matching(among(&keys)).all(&self.app.db.read).await;
            let mut rows = rows.map_err(fault)?;
            rows.retain(|row| keys.contains(&key(row)));
            let seen_before = self.seen_before(part, &rows).await?;
            self.shown.extend(seen_before);
            let mut levels: BTreeMap<Key, Stock> = BTreeMap::new();
            for (key, level) in self.known(rows).await? {
                levels.insert(key, level);
            }
            for (key, news) in part {
                let level = levels.remove(key);
                let kind = match level {
                    Some(_) => {
                        self.shown.insert(*key);
                        UpdateKind::Upsert
                    }
                    None if self.shown.remove(key) => UpdateKind::Remove,
                    None => continue,
                };
                items.push(StockUpdate {
                    kind,
                    cursor: self.at.write(),
                    seq: news.seq,
                    event: Some(news.event.clone()),
                    occurred_at: Some(news.occurred_at),
                    variant_id: Some(to_global(key.0)),
                    warehouse_id: Some(to_global(key.1)),
                    stock: level,
                    _delivery: delivery(news.trace_parent.as_deref(), &news.event, news.seq),
                });
            }
        }
        if let Some(last) = items.last_mut() {
            last.cursor = behind.write();
        }
        Ok(items)
    }

    /// The rows that do not match and that a subscriber who came back may have been shown before:
    /// those that it may see, if they changed while it was away.
    async fn seen_before(
        &self,
        news: &[(Key, News)],
        matching: &[stock::Model],
    ) -> Result<BTreeSet<Key>> {
        let matching: BTreeSet<Key> = matching.iter().map(key).collect();
        let asked: BTreeSet<Key> = news
            .iter()
            .filter(|(key, news)| news.seq <= self.may_have_seen && !matching.contains(key))
            .map(|(key, _)| *key)
            .collect();
        if asked.is_empty() {
            return Ok(asked);
        }
        let rows = stock::Entity::find()
            .filter(self.visible.clone())
            .filter(among(&asked))
            .all(&self.app.db.read)
            .await
            .map_err(fault)?;
        Ok(rows
            .iter()
            .map(key)
            .filter(|key| asked.contains(key))
            .collect())
    }

    fn matching(&self, within: Condition) -> Select<stock::Entity> {
        stock::Entity::find()
            .filter(self.matching.clone())
            .filter(within)
            .order_by_asc(stock::Column::VariantId)
            .order_by_asc(stock::Column::WarehouseId)
    }

    /// Which rows match.
    async fn keys(&self, within: Condition) -> Result<Vec<Key>> {
        self.matching(within)
            .select_only()
            .column(stock::Column::VariantId)
            .column(stock::Column::WarehouseId)
            .into_tuple()
            .all(&self.app.db.read)
            .await
            .map_err(fault)
    }

    /// The rows of the snapshot. Refused if they are too many: nothing is left out silently.
    async fn all(&self) -> Result<Vec<stock::Model>> {
        let rows = self
            .matching(Condition::all())
            .limit(MOST_SHOWN + 1)
            .all(&self.app.db.read)
            .await
            .map_err(fault)?;
        if rows.len() as u64 > MOST_SHOWN {
            return Err(bad_input(&format!(
                "more than {MOST_SHOWN} rows match: narrow the filter, or leave out the snapshot"
            )));
        }
        Ok(rows)
    }

    /// Rows with what else is shown of them.
    async fn known(&self, rows: Vec<stock::Model>) -> Result<Vec<(Key, Stock)>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let db = &self.app.db.read;
        let warehouses: BTreeSet<WarehouseId> = rows.iter().map(|row| row.warehouse_id).collect();
        let of = sources::of_warehouses(db, warehouses)
            .await
            .map_err(fault)?;
        let coming: Vec<IncomingTo> = rows
            .iter()
            .map(|row| IncomingTo(row.variant_id, row.warehouse_id))
            .collect();
        let coming = incoming(db, &coming).await.map_err(fault)?;
        let levels = rows.into_iter().map(|row| {
            let to = IncomingTo(row.variant_id, row.warehouse_id);
            let known = Known {
                source: of.get(&row.warehouse_id).cloned(),
                incoming: coming.get(&to).copied().unwrap_or_default(),
            };
            (key(&row), Stock::with(row, known))
        });
        Ok(levels.collect())
    }

    fn snapshot(&self, (key, level): (Key, Stock)) -> StockUpdate {
        StockUpdate {
            variant_id: Some(to_global(key.0)),
            warehouse_id: Some(to_global(key.1)),
            stock: Some(level),
            ..self.mark(UpdateKind::Snapshot)
        }
    }

    /// An item on its way to the transport. Who resumes within a snapshot would miss the rest of it.
    fn say(&self, item: StockUpdate) -> StockUpdate {
        let whole = !matches!(item.kind, UpdateKind::Snapshot | UpdateKind::Resync);
        self.course.says(item.seq, whole.then_some(&*item.cursor));
        item
    }

    /// An item that is about no row.
    fn mark(&self, kind: UpdateKind) -> StockUpdate {
        StockUpdate {
            kind,
            cursor: self.at.write(),
            seq: self.at.seq,
            event: None,
            occurred_at: None,
            variant_id: None,
            warehouse_id: None,
            stock: None,
            _delivery: Span::none(),
        }
    }
}

fn key(row: &stock::Model) -> Key {
    (row.variant_id, row.warehouse_id)
}

/// The rows of these keys, and perhaps some more.
fn among(keys: &BTreeSet<Key>) -> Condition {
    let variants: BTreeSet<VariantId> = keys.iter().map(|key| key.0).collect();
    let warehouses: BTreeSet<WarehouseId> = keys.iter().map(|key| key.1).collect();
    Condition::all()
        .add(stock::Column::VariantId.is_in(variants))
        .add(stock::Column::WarehouseId.is_in(warehouses))
}
