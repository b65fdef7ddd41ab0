//! What is planned: who sends what, which orders are picked together, what parcels are packed in.

use std::hash::Hash;

use async_graphql::dataloader::Loader;
use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use entity::{FulfillmentOrderId, OrderId, PickListId, WaveId, wave};
use serde::Serialize;
use serde_json::json;

use super::queries::of_everybody;
use super::{Carton, FulfillmentOrder, PickList, Wave, WaveGrouping};
use crate::access::Scope;
use crate::app::Answered;
use crate::failure::{Code, Failure, Problem};
use crate::fulfillment::{cartons, lists, routing, waves};
use crate::graphql::command::{payloads, run};
use crate::graphql::errors::{UserError, fault, outcome};
use crate::graphql::ids::{from_global, from_globals, from_optional};
use crate::graphql::loaders::{LoadError, Loaders, load};
use crate::graphql::once::{mark_replayed, once};
use crate::graphql::orders::{Order, order_of};
use crate::graphql::shelf::changeable;
use crate::graphql::{Allowed, actor, app};
use crate::orders::Changed;
use crate::tx::Tx;

/// What `fulfillmentOrderMove` needs.
#[derive(Clone, Debug, InputObject, Serialize)]
pub struct FulfillmentOrderMoveInput {
    /// Which work (NOT_FOUND).
    pub id: ID,
    /// The warehouse that is to do it; if not given, whichever the channel's rules choose now.
    pub warehouse_id: Option<ID>,
    /// Why: 1 to 4,000 characters.
    pub reason: String,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Units of a line.
#[derive(Clone, Debug, InputObject, Serialize)]
pub struct LineUnitsInput {
    /// The order's line.
    pub line_id: ID,
    /// How many units.
    pub quantity: i64,
}

/// What `fulfillmentOrderSplit` needs.
#[derive(Clone, Debug, InputObject, Serialize)]
pub struct FulfillmentOrderSplitInput {
    /// Which work (NOT_FOUND).
    pub id: ID,
    /// The units that become work of their own; some must stay.
    #[graphql(validator(max_items = 5000))]
    pub lines: Vec<LineUnitsInput>,
    /// Why: 1 to 4,000 characters.
    pub reason: String,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// What `fulfillmentOrderMerge` needs.
#[derive(Clone, Debug, InputObject, Serialize)]
pub struct FulfillmentOrderMergeInput {
    /// Which work: of one order and warehouse, open, in no wave.
    #[graphql(validator(max_items = 100))]
    pub ids: Vec<ID>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// What `fulfillmentOrderHold` needs.
#[derive(Clone, Debug, InputObject, Serialize)]
pub struct FulfillmentOrderHoldInput {
    /// Which work (NOT_FOUND).
    pub id: ID,
    /// Why: 1 to 4,000 characters.
    pub reason: String,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// What `fulfillmentOrderRelease` needs.
#[derive(Clone, Debug, InputObject, Serialize)]
pub struct FulfillmentOrderReleaseInput {
    /// Which work (NOT_FOUND).
    pub id: ID,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// What work a wave is put together of. What is left out does not matter.
#[derive(Clone, Debug, Default, InputObject, Serialize)]
pub struct WaveCriteriaInput {
    /// Orders of these channels.
    pub channel_ids: Option<Vec<ID>>,
    /// Orders of these service levels: `STANDARD`, `EXPRESS` …
    pub service_levels: Option<Vec<String>>,
    /// Orders to these countries: ISO 3166-1 alpha-2. A shipping zone is its countries.
    pub countries: Option<Vec<String>>,
    /// Work with any of these variants.
    pub variant_ids: Option<Vec<ID>>,
    /// Orders that should leave before this moment: a carrier's cut-off.
    pub dispatch_before: Option<DateTime<Utc>>,
    /// Work of one line only, or of several only.
    pub single_line: Option<bool>,
    /// Exactly this work.
    #[graphql(validator(max_items = 500))]
    pub fulfillment_order_ids: Option<Vec<ID>>,
}

/// What `waveCreate` needs.
#[derive(Clone, Debug, InputObject, Serialize)]
pub struct WaveCreateInput {
    /// Where it is picked (NOT_FOUND).
    pub warehouse_id: ID,
    /// What work; all that is open if not given.
    #[graphql(default)]
    pub criteria: WaveCriteriaInput,
    /// What makes a pick list of its own; one list for all if not given.
    pub grouping: Option<WaveGrouping>,
    /// The most fulfillment orders, those that should leave first; 100 if not given, at most 500.
    pub most: Option<u64>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

impl WaveCreateInput {
    fn command(&self) -> Result<waves::Create, Problem> {
        let criteria = &self.criteria;
        let ids = |ids: &Option<Vec<ID>>| ids.clone().unwrap_or_default();
        Ok(waves::Create {
            warehouse_id: from_global(&self.warehouse_id, "input.warehouseId")?,
            criteria: waves::Criteria {
                channel_ids: criteria
                    .channel_ids
                    .is_some()
                    .then(|| from_globals(&ids(&criteria.channel_ids), "input.criteria.channelIds"))
                    .transpose()?,
                service_levels: criteria.service_levels.clone(),
                countries: criteria
                    .countries
                    .as_ref()
                    .map(|all| all.iter().map(|one| one.trim().to_uppercase()).collect()),
                variant_ids: criteria
                    .variant_ids
                    .is_some()
                    .then(|| from_globals(&ids(&criteria.variant_ids), "input.criteria.variantIds"))
                    .transpose()?,
                dispatch_before: criteria.dispatch_before,
                single_line: criteria.single_line,
                fulfillment_order_ids: criteria
                    .fulfillment_order_ids
                    .is_some()
                    .then(|| {
                        from_globals(
                            &ids(&criteria.fulfillment_order_ids),
                            "input.criteria.fulfillmentOrderIds",
                        )
                    })
                    .transpose()?,
            },
            grouping: self.grouping.unwrap_or(WaveGrouping::OneList).into(),
            most: self.most.unwrap_or(100),
        })
    }
}

/// What `waveRelease` and `waveCancel` need.
#[derive(Clone, Debug, InputObject, Serialize)]
pub struct WaveInput {
    /// Which wave (NOT_FOUND).
    pub id: ID,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// What `pickListCreate` needs.
#[derive(Clone, Debug, InputObject, Serialize)]
pub struct PickListCreateInput {
    /// The warehouse (NOT_FOUND).
    pub warehouse_id: ID,
    /// Which work goes onto it: open, in no wave.
    #[graphql(validator(max_items = 500))]
    pub fulfillment_order_ids: Vec<ID>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// What `cartonSave` needs.
#[derive(Clone, Debug, InputObject)]
pub struct CartonSaveInput {
    /// Which kind (NOT_FOUND); a new one if not given.
    pub id: Option<ID>,
    /// The version that you decided on (STALE_VERSION).
    pub expected_version: Option<i64>,
    /// Its name in feeds: 1 to 64 characters, no blanks; unique (CODE_TAKEN).
    pub code: String,
    /// Its name on screens, 1 to 300 characters.
    pub name: String,
    /// Inner length, in millimetres.
    pub length_mm: i32,
    /// Inner width, in millimetres.
    pub width_mm: i32,
    /// Inner height, in millimetres.
    pub height_mm: i32,
    /// What it weighs empty, in grams.
    pub tare_grams: i64,
    /// What it may weigh full, in grams.
    pub max_grams: i64,
    /// Whether it is packed in; it is if not given.
    #[graphql(default = true)]
    pub active: bool,
}

payloads! {
    /// What `cartonSave` came to.
    CartonSavePayload {
        /// The kind of carton as it is now; null if it was refused.
        carton: Carton
    }
}

/// What a change of the warehouses' work on an order came to.
#[derive(SimpleObject)]
pub struct FulfillmentOrderPayload {
    /// The order, with what the warehouses have of it now; null if it was refused.
    pub order: Option<Order>,
    /// Why nothing was done; empty if it was.
    pub user_errors: Vec<UserError>,
    /// Whether this is the answer to an earlier request with the same key.
    pub replayed: bool,
}

/// Work that could not be released, and why.
#[derive(SimpleObject)]
pub struct LeftOut {
    /// The work.
    pub fulfillment_order: Option<FulfillmentOrder>,
    /// Why.
    pub reason: String,
}

/// What a change of a wave came to.
#[derive(SimpleObject)]
pub struct WavePayload {
    /// The wave as it is now; null if it was refused.
    pub wave: Option<Wave>,
    /// The work that was left out of a release, each with why; it may go into another wave.
    pub left_out: Vec<LeftOut>,
    /// Why nothing was done; empty if it was.
    pub user_errors: Vec<UserError>,
    /// Whether this is the answer to an earlier request with the same key.
    pub replayed: bool,
}

/// What `pickListCreate` came to.
#[derive(SimpleObject)]
pub struct PickListCreatePayload {
    /// The list; null if it was refused.
    pub pick_list: Option<PickList>,
    /// The work that was left out, each with why.
    pub left_out: Vec<LeftOut>,
    /// Why nothing was done; empty if it was.
    pub user_errors: Vec<UserError>,
    /// Whether this is the answer to an earlier request with the same key.
    pub replayed: bool,
}

/// Runs a command once for its key, unless its input was refused before.
pub(super) async fn run_once<I, C, Case>(
    ctx: &Context<'_>,
    operation: &'static str,
    input: &I,
    key: Option<&str>,
    cmd: Result<C, Problem>,
    case: impl Fn(std::sync::Arc<Tx>, C) -> Case,
) -> Result<(Option<Answered>, Vec<UserError>)>
where
    I: Serialize,
    C: Clone,
    Case: Future<Output = Result<serde_json::Value, Failure>>,
{
    let asked = once(ctx, operation, input, key).and_then(|once| Ok((once, cmd?)));
    let result = match asked {
        Err(problem) => Err(problem.into()),
        Ok((once, cmd)) => {
            let case = &case;
            app(ctx)
                .write_once(&actor(ctx)?, once.as_ref(), move |tx| {
                    let cmd = cmd.clone();
                    async move { case(tx, cmd).await }
                })
                .await
        }
    };
    let (answered, user_errors) = outcome(result)?;
    if answered.as_ref().is_some_and(|answered| answered.replayed) {
        mark_replayed(ctx);
    }
    Ok((answered, user_errors))
}

/// What a saved answer names.
pub(super) fn named<T: serde::de::DeserializeOwned>(
    answered: Option<&Answered>,
    name: &str,
) -> Result<Option<T>> {
    let Some(answered) = answered else {
        return Ok(None);
    };
    serde_json::from_value(answered.answer[name].clone())
        .map(Some)
        .map_err(|_| {
            fault(Failure::Internal(
                "a saved answer without its subject".to_owned(),
            ))
        })
}

/// What a saved answer names, as it is now.
pub(super) async fn read_named<I, N>(
    ctx: &Context<'_>,
    answered: Option<&Answered>,
    name: &str,
) -> Result<Option<N>>
where
    I: serde::de::DeserializeOwned + Send + Sync + Hash + Eq + Clone + 'static,
    Loaders: Loader<I, Error = LoadError>,
    <Loaders as Loader<I>>::Value: Into<N>,
{
    let id: Option<I> = named(answered, name)?;
    Ok(match id {
        Some(id) => load(ctx, id).await?.map(Into::into),
        None => None,
    })
}

/// The work under an identifier, if the caller sees its order.
async fn work(
    ctx: &Context<'_>,
    id: &ID,
    field: &str,
) -> Result<Result<FulfillmentOrderId, Problem>> {
    let id: FulfillmentOrderId = match from_global(id, field) {
        Ok(id) => id,
        Err(problem) => return Ok(Err(problem)),
    };
    let seen = match load(ctx, id).await? {
        Some(row) => order_of(ctx, row.order_id).await?,
        None => None,
    };
    Ok(match seen {
        Some(order) => changeable(ctx, order.id, field).map(|()| id),
        None => Err(Problem::not_found("FulfillmentOrder").at(field)),
    })
}

fn answer(changed: &Changed) -> serde_json::Value {
    json!({ "order": changed.order_id })
}

async fn order_payload(
    ctx: &Context<'_>,
    (answered, user_errors): (Option<Answered>, Vec<UserError>),
) -> Result<FulfillmentOrderPayload> {
    Ok(FulfillmentOrderPayload {
        order: read_named::<OrderId, _>(ctx, answered.as_ref(), "order").await?,
        user_errors,
        replayed: answered.is_some_and(|answered| answered.replayed),
    })
}

/// What was left out of a release, from its saved answer.
async fn left_out(ctx: &Context<'_>, answered: Option<&Answered>) -> Result<Vec<LeftOut>> {
    let Some(rows) = answered.and_then(|answered| answered.answer["leftOut"].as_array()) else {
        return Ok(Vec::new());
    };
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let id: Option<FulfillmentOrderId> = serde_json::from_value(row[0].clone()).ok();
        all.push(LeftOut {
            fulfillment_order: match id {
                Some(id) => load(ctx, id).await?.map(FulfillmentOrder),
                None => None,
            },
            reason: row[1].as_str().unwrap_or_default().to_owned(),
        });
    }
    Ok(all)
}

async fn wave_payload(
    ctx: &Context<'_>,
    (answered, user_errors): (Option<Answered>, Vec<UserError>),
) -> Result<WavePayload> {
    Ok(WavePayload {
        wave: read_named::<WaveId, _>(ctx, answered.as_ref(), "wave").await?,
        left_out: left_out(ctx, answered.as_ref()).await?,
        user_errors,
        replayed: answered.is_some_and(|answered| answered.replayed),
    })
}

fn wave_answer(row: &wave::Model) -> serde_json::Value {
    json!({ "wave": row.id })
}

/// An identifier of what has orders of every channel, for who sees all of them.
pub(super) fn everybodys<N: crate::graphql::ids::Node>(
    ctx: &Context<'_>,
    id: &ID,
    field: &str,
) -> Result<Result<N, Problem>> {
    Ok(match of_everybody(ctx)? {
        true => from_global(id, field),
        false => Err(Problem::not_found(N::KIND).at(field)),
    })
}

/// Plans of the warehouses' work.
#[derive(Default)]
pub struct PlanMutation;

/// Plans of the warehouses' work.
#[Object]
impl PlanMutation {
    /// Gives work that nobody has begun to another warehouse, with its stock. Refusals: NOT_FOUND,
    /// FULFILLMENT_STATE_INVALID, ROUTE_UNAVAILABLE (the warehouse does not have all of it, or does
    /// not serve the channel), INVALID_INPUT, IDEMPOTENCY_KEY_REUSED, IN_PROGRESS. Needs the scope
    /// FULFILLMENT_MANAGE.
    #[graphql(guard = "Allowed(Scope::FulfillmentManage)")]
    async fn fulfillment_order_move(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which work, and where to.")] input: FulfillmentOrderMoveInput,
    ) -> Result<FulfillmentOrderPayload> {
        let cmd = work(ctx, &input.id, "input.id").await?.and_then(|id| {
            Ok(routing::Relocate {
                id,
                warehouse_id: from_optional(input.warehouse_id.as_ref(), "input.warehouseId")?,
                reason: input.reason.clone(),
            })
        });
        let reference = &app(ctx).reference().await.map_err(fault)?;
        let key = input.idempotency_key.as_deref();
        let done =
            run_once(
                ctx,
                "fulfillmentOrderMove",
                &input,
                key,
                cmd,
                move |tx, cmd| async move {
                    Ok(answer(&routing::relocate(&tx, reference, &cmd).await?))
                },
            )
            .await?;
        order_payload(ctx, done).await
    }

    /// Makes units of work that nobody has begun work of their own in the same warehouse: to be
    /// stopped, moved or sent by themselves. Refusals: NOT_FOUND, FULFILLMENT_STATE_INVALID,
    /// QUANTITY_INVALID, INVALID_INPUT, IDEMPOTENCY_KEY_REUSED, IN_PROGRESS. Needs the scope
    /// FULFILLMENT_MANAGE.
    #[graphql(guard = "Allowed(Scope::FulfillmentManage)")]
    async fn fulfillment_order_split(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which units of which work.")] input: FulfillmentOrderSplitInput,
    ) -> Result<FulfillmentOrderPayload> {
        let cmd = work(ctx, &input.id, "input.id").await?.and_then(|id| {
            Ok(routing::Split {
                id,
                lines: units(&input.lines, "input.lines")?,
                reason: input.reason.clone(),
            })
        });
        let key = input.idempotency_key.as_deref();
        let done = run_once(
            ctx,
            "fulfillmentOrderSplit",
            &input,
            key,
            cmd,
            |tx, cmd| async move { Ok(answer(&routing::split(&tx, &cmd).await?)) },
        )
        .await?;
        order_payload(ctx, done).await
    }

    /// Makes several pieces of work of an order in one warehouse one again. Refusals: NOT_FOUND,
    /// FULFILLMENT_STATE_INVALID, INVALID_INPUT, IDEMPOTENCY_KEY_REUSED, IN_PROGRESS. Needs the
    /// scope FULFILLMENT_MANAGE.
    #[graphql(guard = "Allowed(Scope::FulfillmentManage)")]
    async fn fulfillment_order_merge(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which work.")] input: FulfillmentOrderMergeInput,
    ) -> Result<FulfillmentOrderPayload> {
        let mut ids = Ok(Vec::with_capacity(input.ids.len()));
        for (place, id) in input.ids.iter().enumerate() {
            let id = work(ctx, id, &format!("input.ids.{place}")).await?;
            ids = ids.and_then(|mut ids: Vec<FulfillmentOrderId>| {
                ids.push(id?);
                Ok(ids)
            });
        }
        let cmd = ids.map(|ids| routing::Merge { ids });
        let key = input.idempotency_key.as_deref();
        let done = run_once(
            ctx,
            "fulfillmentOrderMerge",
            &input,
            key,
            cmd,
            |tx, cmd| async move { Ok(answer(&routing::merge(&tx, &cmd).await?)) },
        )
        .await?;
        order_payload(ctx, done).await
    }

    /// Stops a part of an order that nobody has begun; the rest goes on. Refusals: NOT_FOUND,
    /// FULFILLMENT_STATE_INVALID, INVALID_INPUT, IDEMPOTENCY_KEY_REUSED, IN_PROGRESS. Needs the
    /// scope FULFILLMENT_MANAGE.
    #[graphql(guard = "Allowed(Scope::FulfillmentManage)")]
    async fn fulfillment_order_hold(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which work, and why.")] input: FulfillmentOrderHoldInput,
    ) -> Result<FulfillmentOrderPayload> {
        let cmd = work(ctx, &input.id, "input.id").await?;
        let key = input.idempotency_key.as_deref();
        let reason = &input.reason;
        let done = run_once(
            ctx,
            "fulfillmentOrderHold",
            &input,
            key,
            cmd,
            move |tx, id| async move { Ok(answer(&routing::hold(&tx, id, reason).await?)) },
        )
        .await?;
        order_payload(ctx, done).await
    }

    /// Lets a stopped part of an order go on. Refusals: NOT_FOUND, FULFILLMENT_STATE_INVALID,
    /// IDEMPOTENCY_KEY_REUSED, IN_PROGRESS. Needs the scope FULFILLMENT_MANAGE.
    #[graphql(guard = "Allowed(Scope::FulfillmentManage)")]
    async fn fulfillment_order_release(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which work.")] input: FulfillmentOrderReleaseInput,
    ) -> Result<FulfillmentOrderPayload> {
        let cmd = work(ctx, &input.id, "input.id").await?;
        let key = input.idempotency_key.as_deref();
        let done = run_once(
            ctx,
            "fulfillmentOrderRelease",
            &input,
            key,
            cmd,
            |tx, id| async move { Ok(answer(&routing::release(&tx, id).await?)) },
        )
        .await?;
        order_payload(ctx, done).await
    }

    /// Puts a wave together of open work that is in none, those orders first that should leave
    /// first. Refusals: NOT_FOUND, WAVE_EMPTY, TOO_MANY, IDEMPOTENCY_KEY_REUSED, IN_PROGRESS. Needs
    /// the scope FULFILLMENT_MANAGE.
    #[graphql(guard = "Allowed(Scope::FulfillmentManage)")]
    async fn wave_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What work, and how it is divided.")] input: WaveCreateInput,
    ) -> Result<WavePayload> {
        let cmd = match of_everybody(ctx)? {
            true => input.command(),
            false => Err(Problem::not_found("Warehouse").at("input.warehouseId")),
        };
        let key = input.idempotency_key.as_deref();
        let done = run_once(ctx, "waveCreate", &input, key, cmd, |tx, cmd| async move {
            Ok(wave_answer(&waves::create(&tx, &cmd).await?))
        })
        .await?;
        wave_payload(ctx, done).await
    }

    /// Releases a wave: its work goes onto pick lists, with a slot on the cart for each order. What
    /// cannot be picked now is left out of it. Refusals: NOT_FOUND, FULFILLMENT_STATE_INVALID,
    /// WAVE_EMPTY, IDEMPOTENCY_KEY_REUSED, IN_PROGRESS. Needs the scope FULFILLMENT_MANAGE.
    #[graphql(guard = "Allowed(Scope::FulfillmentManage)")]
    async fn wave_release(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which wave.")] input: WaveInput,
    ) -> Result<WavePayload> {
        let cmd = everybodys::<WaveId>(ctx, &input.id, "input.id")?;
        let key = input.idempotency_key.as_deref();
        let done = run_once(ctx, "waveRelease", &input, key, cmd, |tx, id| async move {
            let (row, released) = waves::release(&tx, id).await?;
            Ok(json!({ "wave": row.id, "leftOut": released.left_out }))
        })
        .await?;
        wave_payload(ctx, done).await
    }

    /// Gives a wave up before its release. Refusals: NOT_FOUND, FULFILLMENT_STATE_INVALID,
    /// IDEMPOTENCY_KEY_REUSED, IN_PROGRESS. Needs the scope FULFILLMENT_MANAGE.
    #[graphql(guard = "Allowed(Scope::FulfillmentManage)")]
    async fn wave_cancel(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which wave.")] input: WaveInput,
    ) -> Result<WavePayload> {
        let cmd = everybodys::<WaveId>(ctx, &input.id, "input.id")?;
        let key = input.idempotency_key.as_deref();
        let done = run_once(ctx, "waveCancel", &input, key, cmd, |tx, id| async move {
            Ok(wave_answer(&waves::cancel(&tx, id).await?))
        })
        .await?;
        wave_payload(ctx, done).await
    }

    /// Puts work onto a pick list of its own, without a wave. Refusals: NOT_FOUND, WAVE_EMPTY
    /// (nothing of it can be picked now), IDEMPOTENCY_KEY_REUSED, IN_PROGRESS. Needs the scope
    /// FULFILLMENT_MANAGE.
    #[graphql(guard = "Allowed(Scope::FulfillmentManage)")]
    async fn pick_list_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which work.")] input: PickListCreateInput,
    ) -> Result<PickListCreatePayload> {
        let mut pairs = Ok(Vec::with_capacity(input.fulfillment_order_ids.len()));
        for (place, id) in input.fulfillment_order_ids.iter().enumerate() {
            let field = format!("input.fulfillmentOrderIds.{place}");
            let row = match work(ctx, id, &field).await? {
                Ok(id) => load(ctx, id)
                    .await?
                    .ok_or_else(|| Problem::not_found("FulfillmentOrder").at(&field)),
                Err(problem) => Err(problem),
            };
            pairs = pairs.and_then(|mut pairs: Vec<_>| {
                let row = row?;
                pairs.push((row.order_id, row.id));
                Ok(pairs)
            });
        }
        let cmd = pairs.and_then(|pairs| {
            let warehouse: entity::WarehouseId =
                from_global(&input.warehouse_id, "input.warehouseId")?;
            Ok((warehouse, pairs))
        });
        let key = input.idempotency_key.as_deref();
        let (answered, user_errors) = run_once(
            ctx,
            "pickListCreate",
            &input,
            key,
            cmd,
            |tx, (warehouse, pairs)| async move {
                let one = wave::Grouping::OneList;
                let released = lists::release(&tx, warehouse, None, &pairs, one).await?;
                let Some(list) = released.lists.first() else {
                    return Err(
                        Problem::new(Code::WaveEmpty, "nothing of it can be picked now")
                            .at("input.fulfillmentOrderIds")
                            .with(json!({ "leftOut": released.left_out }))
                            .into(),
                    );
                };
                Ok(json!({ "pickList": list, "leftOut": released.left_out }))
            },
        )
        .await?;
        Ok(PickListCreatePayload {
            pick_list: read_named::<PickListId, _>(ctx, answered.as_ref(), "pickList").await?,
            left_out: left_out(ctx, answered.as_ref()).await?,
            user_errors,
            replayed: answered.is_some_and(|answered| answered.replayed),
        })
    }

    /// Makes or changes a kind of carton. Refusals: NOT_FOUND, STALE_VERSION, CODE_TAKEN,
    /// QUANTITY_INVALID, NAME_INVALID, INVALID_INPUT. Needs the scope FULFILLMENT_MANAGE.
    #[graphql(guard = "Allowed(Scope::FulfillmentManage)")]
    async fn carton_save(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The kind of carton.")] input: CartonSaveInput,
    ) -> Result<CartonSavePayload> {
        let cmd = from_optional(input.id.as_ref(), "input.id").map(|id| cartons::Save {
            id,
            expected_version: input.expected_version,
            code: input.code,
            name: input.name,
            length_mm: input.length_mm,
            width_mm: input.width_mm,
            height_mm: input.height_mm,
            tare_grams: input.tare_grams,
            max_grams: input.max_grams,
            active: input.active,
        });
        Ok(run(ctx, cmd, cartons::save).await?.into())
    }
}

/// Units of lines, by their identifiers.
pub(super) fn units(
    lines: &[LineUnitsInput],
    field: &str,
) -> Result<Vec<(entity::LineId, i64)>, Problem> {
    lines
        .iter()
        .enumerate()
        .map(|(place, line)| {
            let id = from_global(&line.line_id, &format!("{field}.{place}.lineId"))?;
            Ok((id, line.quantity))
        })
        .collect()
}
