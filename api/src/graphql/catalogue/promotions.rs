//! Promotions on the wire.

use async_graphql::{Context, Enum, ID, InputObject, MaybeUndefined, Object, OneofObject, Result};
use chrono::{DateTime, Utc};
use entity::{ChannelId, Rate, promotion};
use sea_orm::{ColumnTrait, EntityTrait, Order, QueryFilter};

use super::channels::Channel;
use super::{for_seen_channels, seen_channel_if_any, sees};
use crate::access::Scope;
use crate::catalogue::promotions::{self, Benefit};
use crate::failure::{Code, Problem};
use crate::graphql::command::{payloads, run_on_reference};
use crate::graphql::errors::fault;
use crate::graphql::filters::{
    DateTimeFilter, IdFilter, StringFilter, condition, enum_filter, filter,
};
use crate::graphql::ids::{from_global, to_global};
use crate::graphql::loaders::load;
use crate::graphql::pagination::{Rows, Sort, cost, page};
use crate::graphql::scalars::{CurrencyCode, Decimal, Money, minor, money};
use crate::graphql::{Allowed, app};

/// What a promotion gives. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "promotion::PromotionKind")]
pub enum PromotionKind {
    /// A share of the price of the lines that it applies to.
    Percent,
    /// A fixed amount, spread over the lines that it applies to.
    Amount,
    /// The shipping charge.
    FreeShipping,
    /// For every `buyQuantity` units of a line, `getQuantity` more are free.
    #[graphql(name = "BUY_X_GET_Y")]
    BuyXGetY,
}

/// A discount that customers get by a code, or everyone while it runs.
pub struct Promotion(pub promotion::Model);

impl From<promotion::Model> for Promotion {
    fn from(row: promotion::Model) -> Self {
        Promotion(row)
    }
}

impl Promotion {
    fn money(&self, minor: Option<i64>) -> Option<Money> {
        Some(money(minor?, self.0.currency?))
    }
}

/// A discount that customers get by a code, or everyone while it runs.
#[Object]
impl Promotion {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// The code that a customer types, in capitals; null = it applies by itself.
    async fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// Its name on orders and screens.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The one channel that it runs in; null = all.
    async fn channel(&self, ctx: &Context<'_>) -> Result<Option<Channel>> {
        match self.0.channel_id {
            Some(id) if sees(ctx, Some(id)) => Ok(load(ctx, id).await?.map(Channel)),
            _ => Ok(None),
        }
    }

    /// What it gives.
    async fn kind(&self) -> PromotionKind {
        self.0.kind.into()
    }

    /// The share, of PERCENT: 0.15 is 15 %.
    async fn percent(&self) -> Option<Decimal> {
        self.0.percent.map(|rate| Decimal(rate.0))
    }

    /// The amount, of AMOUNT.
    async fn amount(&self) -> Option<Money> {
        self.money(self.0.amount_minor)
    }

    /// How many units of a line must be bought, of BUY_X_GET_Y.
    async fn buy_quantity(&self) -> Option<i32> {
        self.0.buy_quantity
    }

    /// How many more are then free, of BUY_X_GET_Y.
    async fn get_quantity(&self) -> Option<i32> {
        self.0.get_quantity
    }

    /// The SKUs that it applies to; null = every line.
    async fn skus(&self) -> Option<Vec<&str>> {
        let skus = self.0.skus.as_ref()?.as_array()?;
        Some(skus.iter().filter_map(|sku| sku.as_str()).collect())
    }

    /// The least value of the order's lines before discounts; null = none.
    async fn min_subtotal(&self) -> Option<Money> {
        self.money(Some(self.0.min_subtotal_minor).filter(|minor| *minor > 0))
    }

    /// Where it stands in the stacking order: lower first, then by code.
    async fn priority(&self) -> i32 {
        self.0.priority
    }

    /// Whether it refuses to be combined with any other promotion.
    async fn exclusive(&self) -> bool {
        self.0.exclusive
    }

    /// How many orders may use it; null = no limit.
    async fn usage_limit(&self) -> Option<i64> {
        self.0.usage_limit
    }

    /// How many orders use it.
    async fn usage_count(&self) -> i64 {
        self.0.usage_count
    }

    /// The first moment that it is valid; null = always was.
    async fn valid_from(&self) -> Option<DateTime<Utc>> {
        self.0.valid_from
    }

    /// The first moment that it is no longer valid; null = always will be.
    async fn valid_until(&self) -> Option<DateTime<Utc>> {
        self.0.valid_until
    }

    /// Whether it runs, within its window.
    async fn active(&self) -> bool {
        self.0.active
    }

    /// +1 with every change, but not with its use; give it back as `expectedVersion`.
    async fn version(&self) -> i64 {
        self.0.version
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}

enum_filter! {
    /// What a promotion's kind must be.
    PromotionKindFilter of PromotionKind as promotion::PromotionKind
}

/// Which promotions. Fields of one input must all match.
#[derive(Clone, Debug, Default, InputObject)]
pub struct PromotionWhere {
    /// By code; codes are kept in capitals.
    pub code: Option<StringFilter>,
    /// By name.
    pub name: Option<StringFilter>,
    /// By kind.
    pub kind: Option<PromotionKindFilter>,
    /// By the one channel that it runs in.
    pub channel_id: Option<IdFilter>,
    /// By whether it runs.
    pub active: Option<bool>,
    /// By when it was made.
    pub created_at: Option<DateTimeFilter>,
    /// All of these must match. At most 20.
    #[graphql(validator(max_items = 20))]
    pub and: Option<Vec<PromotionWhere>>,
    /// One of these must match. At most 20.
    #[graphql(validator(max_items = 20))]
    pub or: Option<Vec<PromotionWhere>>,
    /// This must not match.
    pub not: Option<Box<PromotionWhere>>,
}

filter!(PromotionWhere, |it| [
    it.code.as_ref().map(|f| f.on(promotion::Column::Code)),
    it.name.as_ref().map(|f| f.on(promotion::Column::Name)),
    it.kind.as_ref().map(|f| f.on(promotion::Column::Kind)),
    it.channel_id
        .as_ref()
        .map(|f| f.on::<ChannelId>(promotion::Column::ChannelId)),
    it.active.map(|yes| promotion::Column::Active.eq(yes)),
    it.created_at
        .as_ref()
        .map(|f| f.on(promotion::Column::CreatedAt)),
]);

/// Reads of promotions.
#[derive(Default)]
pub struct PromotionQuery;

/// Reads of promotions.
#[Object]
impl PromotionQuery {
    /// The promotions of the channels that you see, newest first. Needs the scope CATALOGUE_READ.
    #[graphql(
        guard = "Allowed(Scope::CatalogueRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn promotions(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "where", desc = "Which; all if not given.")] filter: Option<
            PromotionWhere,
        >,
        #[graphql(desc = "How many, 50 unless told, at most 250.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
    ) -> Result<Rows<Promotion>> {
        let rows = promotion::Entity::find()
            .filter(for_seen_channels(ctx, promotion::Column::ChannelId)?)
            .filter(condition(filter.as_ref())?);
        let sort = Sort {
            column: promotion::Column::CreatedAt,
            id: promotion::Column::Id,
            order: Order::Desc,
            key: |row: &promotion::Model| (row.created_at, row.id.0),
        };
        page(app(ctx), rows, sort, first, after, Promotion).await
    }

    /// A promotion; null if there is none, or none that you see. Needs the scope CATALOGUE_READ.
    #[graphql(guard = "Allowed(Scope::CatalogueRead)")]
    async fn promotion(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global identifier.")] id: ID,
    ) -> Result<Option<Promotion>> {
        Ok(find(ctx, &id, "id").await?.ok().map(Promotion))
    }
}

/// The promotion that a caller names, if it sees it.
async fn find(
    ctx: &Context<'_>,
    id: &ID,
    field: &str,
) -> Result<Result<promotion::Model, Problem>> {
    let missing = Problem::not_found("Promotion").at(field);
    Ok(match from_global::<entity::PromotionId>(id, field) {
        Err(problem) => Err(problem),
        Ok(id) => promotion::Entity::find_by_id(id)
            .one(&app(ctx).db.read)
            .await
            .map_err(fault)?
            .filter(|row| sees(ctx, row.channel_id))
            .ok_or(missing),
    })
}

/// What a promotion gives: exactly one of these.
#[derive(Clone, Debug, OneofObject)]
pub enum PromotionBenefitInput {
    /// A share of the lines that it applies to: above 0, at most 1; 0.15 is 15 %.
    Percent(Decimal),
    /// A fixed amount, in major units of `currency`, spread over the lines that it applies to.
    Amount(Decimal),
    /// The shipping charge; give `true`.
    FreeShipping(bool),
    /// So many units of a line free for every so many bought.
    #[graphql(name = "buyXGetY")]
    BuyXGetY(BuyXGetYInput),
}

/// So many units of a line free for every so many bought.
#[derive(Clone, Copy, Debug, InputObject)]
#[graphql(name = "BuyXGetYInput")]
pub struct BuyXGetYInput {
    /// How many units must be bought: 1 to 1,000,000.
    pub buy_quantity: i32,
    /// How many more are then free: 1 to 1,000,000.
    pub get_quantity: i32,
}

/// What `promotionCreate` needs.
#[derive(Clone, Debug, InputObject)]
pub struct PromotionCreateInput {
    /// The code that a customer types, kept in capitals: 1 to 64 characters, no blanks; unique
    /// (CODE_TAKEN). Without one the promotion applies by itself.
    pub code: Option<String>,
    /// Its name on orders and screens, 1 to 300 characters.
    pub name: String,
    /// The one channel that it runs in; all if not given (NOT_FOUND).
    pub channel_id: Option<ID>,
    /// What it gives; it cannot be changed later.
    pub benefit: PromotionBenefitInput,
    /// The currency of its amounts; needed for an amount and for a minimum (CURRENCY_MISMATCH).
    pub currency: Option<CurrencyCode>,
    /// The SKUs that it applies to, 1 to 1,000; every line if not given (SKU_UNKNOWN).
    pub skus: Option<Vec<String>>,
    /// The least value of the order's lines before discounts, in major units of `currency`.
    pub min_subtotal: Option<Decimal>,
    /// Where it stands in the stacking order: lower first, then by code.
    #[graphql(default)]
    pub priority: i32,
    /// Whether it refuses to be combined with any other promotion.
    #[graphql(default)]
    pub exclusive: bool,
    /// How many orders may use it; no limit if not given.
    pub usage_limit: Option<i64>,
    /// The first moment that it is valid.
    pub valid_from: Option<DateTime<Utc>>,
    /// The first moment that it is no longer valid.
    pub valid_until: Option<DateTime<Utc>>,
}

impl PromotionCreateInput {
    fn command(self, ctx: &Context<'_>) -> Result<promotions::Create, Problem> {
        let currency = self.currency.map(|currency| currency.0);
        let in_minor = |amount, field: &str| match currency {
            Some(currency) => minor(amount, currency, field),
            None => Err(
                Problem::new(Code::InvalidInput, "an amount needs a currency").at("input.currency"),
            ),
        };
        let benefit = match self.benefit {
            PromotionBenefitInput::Percent(share) => Benefit::Percent(Rate(share.0.normalize())),
            PromotionBenefitInput::Amount(amount) => {
                Benefit::Amount(in_minor(amount, "input.benefit.amount")?)
            }
            PromotionBenefitInput::FreeShipping(true) => Benefit::FreeShipping,
            PromotionBenefitInput::FreeShipping(false) => {
                return Err(Problem::new(Code::InvalidInput, "it gives nothing")
                    .at("input.benefit.freeShipping"));
            }
            PromotionBenefitInput::BuyXGetY(units) => Benefit::BuyXGetY {
                buy: units.buy_quantity,
                get: units.get_quantity,
            },
        };
        let min_subtotal_minor = match self.min_subtotal {
            Some(amount) => in_minor(amount, "input.minSubtotal")?,
            None => 0,
        };
        Ok(promotions::Create {
            code: self.code,
            name: self.name,
            channel_id: seen_channel_if_any(ctx, self.channel_id.as_ref(), "input.channelId")?,
            benefit,
            currency,
            skus: self.skus,
            min_subtotal_minor,
            priority: self.priority,
            exclusive: self.exclusive,
            usage_limit: self.usage_limit,
            valid_from: self.valid_from,
            valid_until: self.valid_until,
        })
    }
}

/// What `promotionUpdate` needs. What is left out stays as it is.
#[derive(Clone, Debug, InputObject)]
pub struct PromotionUpdateInput {
    /// Which promotion (NOT_FOUND).
    pub id: ID,
    /// The version that you decided on (STALE_VERSION).
    pub expected_version: Option<i64>,
    /// Its name on orders and screens, 1 to 300 characters.
    pub name: Option<String>,
    /// Where it stands in the stacking order: lower first, then by code.
    pub priority: Option<i32>,
    /// Whether it refuses to be combined with any other promotion.
    pub exclusive: Option<bool>,
    /// How many orders may use it, not below how many do; null = no limit.
    pub usage_limit: MaybeUndefined<i64>,
    /// The first moment that it is valid; null = always was.
    pub valid_from: MaybeUndefined<DateTime<Utc>>,
    /// The first moment that it is no longer valid; null = always will be.
    pub valid_until: MaybeUndefined<DateTime<Utc>>,
    /// Whether it runs, within its window.
    pub active: Option<bool>,
}

impl PromotionUpdateInput {
    fn command(self, row: &promotion::Model) -> promotions::Update {
        promotions::Update {
            id: row.id,
            expected_version: self.expected_version,
            name: self.name,
            priority: self.priority,
            exclusive: self.exclusive,
            usage_limit: self.usage_limit.into(),
            valid_from: self.valid_from.into(),
            valid_until: self.valid_until.into(),
            active: self.active,
        }
    }
}

/// What `promotionDeactivate` needs.
#[derive(Clone, Debug, InputObject)]
pub struct PromotionDeactivateInput {
    /// Which promotion (NOT_FOUND).
    pub id: ID,
    /// The version that you decided on (STALE_VERSION).
    pub expected_version: Option<i64>,
}

payloads! {
    /// What `promotionCreate` came to.
    PromotionCreatePayload {
        /// The new promotion; null if it was refused.
        promotion: Promotion
    }
    /// What `promotionUpdate` came to.
    PromotionUpdatePayload {
        /// The promotion after the change; null if it was refused.
        promotion: Promotion
    }
    /// What `promotionDeactivate` came to.
    PromotionDeactivatePayload {
        /// The promotion after the change; null if it was refused.
        promotion: Promotion
    }
}

/// Changes of promotions.
#[derive(Default)]
pub struct PromotionMutation;

/// Changes of promotions.
#[Object]
impl PromotionMutation {
    /// Makes a promotion that runs at once, within its window. Refusals: CODE_TAKEN, NOT_FOUND,
    /// SKU_UNKNOWN, CURRENCY_MISMATCH, AMOUNT_INVALID, QUANTITY_INVALID, NAME_INVALID, TOO_MANY,
    /// INVALID_INPUT. Needs the scope CATALOGUE_MANAGE.
    #[graphql(guard = "Allowed(Scope::CatalogueManage)")]
    async fn promotion_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What the promotion is to be.")] input: PromotionCreateInput,
    ) -> Result<PromotionCreatePayload> {
        let cmd = input.command(ctx);
        Ok(run_on_reference(ctx, cmd, promotions::create).await?.into())
    }

    /// Changes a promotion, but not what it gives. Orders that used it keep what it gave them.
    /// Refusals: NOT_FOUND, STALE_VERSION, NAME_INVALID, INVALID_INPUT (a limit below its use).
    /// Needs the scope CATALOGUE_MANAGE.
    #[graphql(guard = "Allowed(Scope::CatalogueManage)")]
    async fn promotion_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change.")] input: PromotionUpdateInput,
    ) -> Result<PromotionUpdatePayload> {
        let row = find(ctx, &input.id, "input.id").await?;
        let cmd = row.map(|row| input.command(&row));
        Ok(run_on_reference(ctx, cmd, promotions::update).await?.into())
    }

    /// Ends a promotion at once. Doing it twice changes nothing. Refusals: NOT_FOUND,
    /// STALE_VERSION. Needs the scope CATALOGUE_MANAGE.
    #[graphql(guard = "Allowed(Scope::CatalogueManage)")]
    async fn promotion_deactivate(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which promotion.")] input: PromotionDeactivateInput,
    ) -> Result<PromotionDeactivatePayload> {
        let row = find(ctx, &input.id, "input.id").await?;
        let cmd = row.map(|row| promotions::Deactivate {
            id: row.id,
            expected_version: input.expected_version,
        });
        Ok(run_on_reference(ctx, cmd, promotions::deactivate)
            .await?
            .into())
    }
}
