//! Promotions: codes and automatic discounts.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use entity::promotion::PromotionKind;
use entity::{ChannelId, Currency, PromotionId, Rate, channel, promotion, variant};
use rust_decimal::Decimal;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::json;

use super::rows;
use crate::checks::{Checks, expect_version};
use crate::failure::{Code, Failure, Problem};
use crate::tx::Tx;

/// The most SKUs that a promotion names.
const MOST_SKUS: usize = 1_000;

/// What a promotion gives.
#[derive(Clone, Copy, Debug)]
pub enum Benefit {
    /// A share of the price of the lines that it applies to: above 0, at most 1.
    Percent(Rate),
    /// A fixed amount, in minor units of the promotion's currency.
    Amount(i64),
    /// The shipping charge.
    FreeShipping,
    /// For every so many units of a line, so many more are free.
    BuyXGetY {
        /// How many must be bought.
        buy: i32,
        /// How many more are then free.
        get: i32,
    },
}

/// What [`create`] needs.
#[derive(Clone, Debug)]
pub struct Create {
    /// The code that a customer types; none = it applies by itself.
    pub code: Option<String>,
    /// Its name on orders and screens.
    pub name: String,
    /// The one channel that it runs in; none = all.
    pub channel_id: Option<ChannelId>,
    /// What it gives.
    pub benefit: Benefit,
    /// The currency of its amounts; needed for an amount and for a minimum.
    pub currency: Option<Currency>,
    /// The SKUs that it applies to; none = every line.
    pub skus: Option<Vec<String>>,
    /// The least value of the order's lines before discounts, in minor units.
    pub min_subtotal_minor: i64,
    /// Where it stands in the stacking order: lower first.
    pub priority: i32,
    /// Whether it refuses to be combined with any other promotion.
    pub exclusive: bool,
    /// How many orders may use it; none = no limit.
    pub usage_limit: Option<i64>,
    /// The first moment that it is valid.
    pub valid_from: Option<DateTime<Utc>>,
    /// The first moment that it is no longer valid.
    pub valid_until: Option<DateTime<Utc>>,
}

/// Makes a promotion that runs at once, within its window.
pub async fn create(tx: &Tx, cmd: Create) -> Result<promotion::Model, Failure> {
    let mut checks = Checks::new();
    let code = cmd
        .code
        .as_deref()
        .map(|code| checks.code("input.code", code).to_uppercase());
    let mut row = promotion::Model {
        id: tx.id(),
        code,
        name: checks.name("input.name", &cmd.name),
        channel_id: cmd.channel_id,
        kind: PromotionKind::FreeShipping,
        percent: None,
        amount_minor: None,
        currency: cmd.currency,
        buy_quantity: None,
        get_quantity: None,
        skus: None,
        min_subtotal_minor: cmd.min_subtotal_minor,
        priority: cmd.priority,
        exclusive: cmd.exclusive,
        usage_limit: cmd.usage_limit,
        usage_count: 0,
        valid_from: cmd.valid_from,
        valid_until: cmd.valid_until,
        active: true,
        version: 1,
        created_at: tx.now,
    };
    give(&mut checks, &mut row, cmd.benefit);
    check(&mut checks, &row);
    if let Some(skus) = &cmd.skus {
        row.skus = Some(json!(check_skus(tx, &mut checks, skus).await?));
    }
    if let Some(id) = row.channel_id {
        check_channel(tx, &mut checks, id, row.currency).await?;
    }
    checks.done()?;
    let changes = rows::insert(tx, row.clone())
        .await
        .map_err(|failure| rows::taken(failure, "input.code", name_of(&row)))?;
    rows::changed(tx, "promotion", row.id, row.version, name_of(&row), changes);
    Ok(row)
}

/// What [`update`] needs. What is none stays as it is; what the promotion gives cannot be changed.
#[derive(Clone, Debug)]
pub struct Update {
    /// Which promotion.
    pub id: PromotionId,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
    /// Its name on orders and screens.
    pub name: Option<String>,
    /// Where it stands in the stacking order: lower first.
    pub priority: Option<i32>,
    /// Whether it refuses to be combined with any other promotion.
    pub exclusive: Option<bool>,
    /// How many orders may use it; none = no limit.
    pub usage_limit: Option<Option<i64>>,
    /// The first moment that it is valid.
    pub valid_from: Option<Option<DateTime<Utc>>>,
    /// The first moment that it is no longer valid.
    pub valid_until: Option<Option<DateTime<Utc>>>,
    /// Whether it runs.
    pub active: Option<bool>,
}

/// Changes a promotion. Orders that used it keep what it gave them.
pub async fn update(tx: &Tx, cmd: Update) -> Result<promotion::Model, Failure> {
    let mut row = lock(tx, cmd.id, cmd.expected_version).await?;
    let mut checks = Checks::new();
    if let Some(name) = cmd.name {
        row.name = checks.name("input.name", &name);
    }
    row.priority = cmd.priority.unwrap_or(row.priority);
    row.exclusive = cmd.exclusive.unwrap_or(row.exclusive);
    row.usage_limit = cmd.usage_limit.unwrap_or(row.usage_limit);
    row.valid_from = cmd.valid_from.unwrap_or(row.valid_from);
    row.valid_until = cmd.valid_until.unwrap_or(row.valid_until);
    row.active = cmd.active.unwrap_or(row.active);
    check(&mut checks, &row);
    checks.done()?;
    touch(tx, row).await
}

/// What [`deactivate`] needs.
#[derive(Clone, Copy, Debug)]
pub struct Deactivate {
    /// Which promotion.
    pub id: PromotionId,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
}

/// Ends a promotion at once. Doing it twice changes nothing.
pub async fn deactivate(tx: &Tx, cmd: Deactivate) -> Result<promotion::Model, Failure> {
    let mut row = lock(tx, cmd.id, cmd.expected_version).await?;
    if !row.active {
        return Ok(row);
    }
    row.active = false;
    touch(tx, row).await
}

async fn lock(
    tx: &Tx,
    id: PromotionId,
    expected: Option<i64>,
) -> Result<promotion::Model, Failure> {
    let row = rows::lock(tx, promotion::Entity::find_by_id(id))
        .await?
        .ok_or_else(|| Problem::not_found("promotion").at("input.id"))?;
    expect_version("promotion", row.version, expected)?;
    Ok(row)
}

async fn touch(tx: &Tx, mut row: promotion::Model) -> Result<promotion::Model, Failure> {
    row.version += 1;
    let changes = rows::replace(tx, row.clone()).await?;
    rows::changed(tx, "promotion", row.id, row.version, name_of(&row), changes);
    Ok(row)
}

fn name_of(row: &promotion::Model) -> &str {
    row.code.as_deref().unwrap_or(&row.name)
}

fn give(checks: &mut Checks, row: &mut promotion::Model, benefit: Benefit) {
    match benefit {
        Benefit::Percent(share) => {
            row.kind = PromotionKind::Percent;
            row.percent = Some(share);
            checks.hold(
                share.0 > Decimal::ZERO && share.0 <= Decimal::ONE,
                Code::InvalidInput,
                "input.benefit.percent",
                "the share must be above 0 and at most 1: 0.15 is 15 %",
            );
        }
        Benefit::Amount(minor) => {
            row.kind = PromotionKind::Amount;
            row.amount_minor = Some(minor);
            checks.hold(
                minor > 0,
                Code::AmountInvalid,
                "input.benefit.amount",
                "the amount must be above 0",
            );
        }
        Benefit::FreeShipping => row.kind = PromotionKind::FreeShipping,
        Benefit::BuyXGetY { buy, get } => {
            row.kind = PromotionKind::BuyXGetY;
            row.buy_quantity = Some(buy);
            row.get_quantity = Some(get);
            for (name, quantity) in [("buyQuantity", buy), ("getQuantity", get)] {
                let field = format!("input.benefit.buyXGetY.{name}");
                checks.count(&field, quantity.into(), 1, 1_000_000);
            }
        }
    }
}

fn check(checks: &mut Checks, row: &promotion::Model) {
    checks.amount("input.minSubtotal", row.min_subtotal_minor);
    checks.window("input.validUntil", row.valid_from, row.valid_until);
    let needs_currency = row.kind == PromotionKind::Amount || row.min_subtotal_minor > 0;
    checks.hold(
        row.currency.is_some() || !needs_currency,
        Code::InvalidInput,
        "input.currency",
        "an amount and a minimum need a currency",
    );
    if let Some(limit) = row.usage_limit
        && limit < row.usage_count
    {
        checks.refuse(
            Problem::new(
                Code::InvalidInput,
                format!("{} orders use it already", row.usage_count),
            )
            .at("input.usageLimit")
            .with(json!({ "usageCount": row.usage_count })),
        );
    }
    if let Some(limit) = row.usage_limit {
        checks.count("input.usageLimit", limit, 0, i64::MAX);
    }
}

async fn check_channel(
    tx: &Tx,
    checks: &mut Checks,
    id: ChannelId,
    currency: Option<Currency>,
) -> Result<(), Failure> {
    match channel::Entity::find_by_id(id).one(tx.db()).await? {
        None => checks.refuse(Problem::not_found("channel").at("input.channelId")),
        Some(channel) => checks.hold(
            currency.is_none_or(|currency| currency == channel.currency),
            Code::CurrencyMismatch,
            "input.currency",
            &format!("the channel sells in {}", channel.currency),
        ),
    }
    Ok(())
}

/// The SKUs as their variants have them.
async fn check_skus(
    tx: &Tx,
    checks: &mut Checks,
    asked: &[String],
) -> Result<BTreeSet<String>, Failure> {
    checks.hold(
        (1..=MOST_SKUS).contains(&asked.len()),
        Code::TooMany,
        "input.skus",
        "name 1 to 1,000 SKUs, or leave the field out",
    );
    let wanted: BTreeSet<String> = asked.iter().map(|sku| sku.trim().to_owned()).collect();
    let known: BTreeSet<String> = variant::Entity::find()
        .filter(variant::Column::Sku.is_in(wanted))
        .all(tx.db())
        .await?
        .into_iter()
        .map(|row| row.sku)
        .collect();
    for (place, sku) in asked.iter().enumerate() {
        if !known.contains(sku.trim()) {
            checks.refuse(
                Problem::new(Code::SkuUnknown, format!("no SKU {:?}", sku.trim()))
                    .at(&format!("input.skus.{place}")),
            );
        }
    }
    Ok(known)
}
