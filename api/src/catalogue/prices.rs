//! Price lists and their prices.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use entity::{
    ChannelId, Currency, PriceListId, VariantId, channel, customer_group, price, price_list,
    variant,
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use super::rows;
use crate::checks::Checks;
use crate::events::Changes;
use crate::failure::{Code, Failure, Problem};
use crate::tx::Tx;

/// How many rows one statement writes: far below what either database binds.
const ROWS: usize = 5_000;

/// Of how many variants a change is told price by price.
const MOST_TOLD: usize = 100;

/// What [`create`] needs.
#[derive(Clone, Debug)]
pub struct Create {
    /// Its name in feeds.
    pub code: String,
    /// The currency of its prices.
    pub currency: Currency,
    /// The one channel that it is for; none = all.
    pub channel_id: Option<ChannelId>,
    /// The one group of customers that it is for; none = all.
    pub group_code: Option<String>,
    /// Higher wins.
    pub rank: i32,
    /// The first moment that it is valid.
    pub valid_from: Option<DateTime<Utc>>,
    /// The first moment that it is no longer valid.
    pub valid_until: Option<DateTime<Utc>>,
}

/// Makes a price list without prices.
pub async fn create(tx: &Tx, cmd: Create) -> Result<price_list::Model, Failure> {
    let mut checks = Checks::new();
    let row = price_list::Model {
        id: tx.id(),
        code: checks.code("input.code", &cmd.code),
        currency: cmd.currency,
        channel_id: cmd.channel_id,
        group_code: cmd.group_code,
        rank: cmd.rank,
        valid_from: cmd.valid_from,
        valid_until: cmd.valid_until,
    };
    checks.window("input.validUntil", row.valid_from, row.valid_until);
    if let Some(id) = row.channel_id {
        let found = channel::Entity::find_by_id(id).one(tx.db()).await?;
        match found {
            None => checks.refuse(Problem::not_found("channel").at("input.channelId")),
            Some(channel) => checks.hold(
                channel.currency == row.currency,
                Code::CurrencyMismatch,
                "input.currency",
                &format!("the channel sells in {}", channel.currency),
            ),
        }
    }
    if let Some(group) = &row.group_code
        && !rows::exists::<customer_group::Entity>(tx, group.clone()).await?
    {
        checks.refuse(Problem::not_found("customer group").at("input.groupCode"));
    }
    checks.done()?;
    let changes = rows::insert(tx, row.clone())
        .await
        .map_err(|failure| rows::taken(failure, "input.code", &row.code))?;
    rows::changed_once(tx, "price_list", row.id, &row.code, changes);
    Ok(row)
}

/// What [`update`] needs. What is none stays as it is.
#[derive(Clone, Debug)]
pub struct Update {
    /// Which price list.
    pub id: PriceListId,
    /// Higher wins.
    pub rank: Option<i32>,
    /// The first moment that it is valid.
    pub valid_from: Option<Option<DateTime<Utc>>>,
    /// The first moment that it is no longer valid.
    pub valid_until: Option<Option<DateTime<Utc>>>,
}

/// Changes when a price list is valid, and which it beats.
pub async fn update(tx: &Tx, cmd: Update) -> Result<price_list::Model, Failure> {
    let mut row = rows::lock(tx, price_list::Entity::find_by_id(cmd.id))
        .await?
        .ok_or_else(|| Problem::not_found("price list").at("input.id"))?;
    row.rank = cmd.rank.unwrap_or(row.rank);
    row.valid_from = cmd.valid_from.unwrap_or(row.valid_from);
    row.valid_until = cmd.valid_until.unwrap_or(row.valid_until);
    let mut checks = Checks::new();
    checks.window("input.validUntil", row.valid_from, row.valid_until);
    checks.done()?;
    let changes = rows::replace(tx, row.clone()).await?;
    rows::changed_once(tx, "price_list", row.id, &row.code, changes);
    Ok(row)
}

/// What a unit costs from a quantity on.
#[derive(Clone, Copy, Debug)]
pub struct Tier {
    /// From how many units of the line on; the first tier begins at 1.
    pub min_quantity: i64,
    /// What each unit then costs, in minor units of the list's currency.
    pub unit_price_minor: i64,
}

/// All the tiers of a variant.
#[derive(Clone, Debug)]
pub struct VariantPrices {
    /// Which variant.
    pub variant_id: VariantId,
    /// Its tiers; none = it leaves the list.
    pub tiers: Vec<Tier>,
}

/// What [`set`] needs.
#[derive(Clone, Debug)]
pub struct Set {
    /// Which price list.
    pub price_list_id: PriceListId,
    /// The variants whose tiers are replaced. The others stay as they are.
    pub prices: Vec<VariantPrices>,
}

/// Replaces the tiers of some variants in a price list.
pub async fn set(tx: &Tx, cmd: Set) -> Result<price_list::Model, Failure> {
    let list = rows::lock(tx, price_list::Entity::find_by_id(cmd.price_list_id))
        .await?
        .ok_or_else(|| Problem::not_found("price list").at("input.priceListId"))?;
    let mut checks = Checks::new();
    check_variants(tx, &mut checks, &cmd.prices).await?;
    for (place, prices) in cmd.prices.iter().enumerate() {
        check_tiers(&mut checks, place, &prices.tiers);
    }
    checks.done()?;
    let changes = changes(tx, &cmd).await?;
    for part in cmd.prices.chunks(ROWS) {
        price::Entity::delete_many()
            .filter(price::Column::PriceListId.eq(list.id))
            .filter(price::Column::VariantId.is_in(part.iter().map(|prices| prices.variant_id)))
            .exec(tx.db())
            .await?;
    }
    let rows = cmd.prices.iter();
    let rows: Vec<price::ActiveModel> = rows
        .flat_map(|prices| rows_of(list.id, prices).map(price::ActiveModel::from))
        .collect();
    for part in rows.chunks(ROWS) {
        price::Entity::insert_many(part.to_vec())
            .exec_without_returning(tx.db())
            .await?;
    }
    rows::changed_once(tx, "price_list", list.id, &list.code, changes);
    Ok(list)
}

/// The prices that are not as they were, by variant. Nothing of a list that is loaded by the
/// hundred, which would fill the log.
async fn changes(tx: &Tx, cmd: &Set) -> Result<Changes, Failure> {
    if cmd.prices.len() > MOST_TOLD {
        return Ok(Changes::default());
    }
    let variants = cmd.prices.iter().map(|prices| prices.variant_id);
    let held = price::Entity::find()
        .filter(price::Column::PriceListId.eq(cmd.price_list_id))
        .filter(price::Column::VariantId.is_in(variants))
        .order_by_asc(price::Column::MinQuantity)
        .all(tx.db())
        .await?;
    let mut changes = Changes::default();
    for prices in &cmd.prices {
        let held = held
            .iter()
            .filter(|row| row.variant_id == prices.variant_id);
        let mut set: Vec<_> = rows_of(cmd.price_list_id, prices).collect();
        set.sort_by_key(|row| row.min_quantity);
        let name = prices.variant_id.to_string();
        changes
            .0
            .extend(Changes::of_rows(name, &held.cloned().collect::<Vec<_>>(), &set).0);
    }
    Ok(changes)
}

fn rows_of(list: PriceListId, prices: &VariantPrices) -> impl Iterator<Item = price::Model> {
    prices.tiers.iter().map(move |tier| price::Model {
        price_list_id: list,
        variant_id: prices.variant_id,
        min_quantity: tier.min_quantity,
        unit_price_minor: tier.unit_price_minor,
    })
}

async fn check_variants(
    tx: &Tx,
    checks: &mut Checks,
    prices: &[VariantPrices],
) -> Result<(), Failure> {
    let mut known = BTreeSet::new();
    for part in prices.chunks(ROWS) {
        let found = variant::Entity::find()
            .filter(variant::Column::Id.is_in(part.iter().map(|prices| prices.variant_id)))
            .all(tx.db())
            .await?;
        known.extend(found.into_iter().map(|row| row.id));
    }
    let mut seen = BTreeSet::new();
    for (place, prices) in prices.iter().enumerate() {
        let field = format!("input.prices.{place}.variantId");
        if !known.contains(&prices.variant_id) {
            checks.refuse(Problem::not_found("variant").at(&field));
        } else if !seen.insert(prices.variant_id) {
            let twice = Problem::new(Code::InvalidInput, "the variant is named twice");
            checks.refuse(twice.at(&field));
        }
    }
    Ok(())
}

/// Each tier begins at a quantity of its own, and one of them begins at 1: otherwise a small order
/// would have no price.
fn check_tiers(checks: &mut Checks, place: usize, tiers: &[Tier]) {
    let path = format!("input.prices.{place}.tiers");
    let mut seen = BTreeSet::new();
    for (tier_place, tier) in tiers.iter().enumerate() {
        let field = format!("{path}.{tier_place}");
        checks.count(
            &format!("{field}.minQuantity"),
            tier.min_quantity,
            1,
            1_000_000,
        );
        checks.amount(&format!("{field}.unitPrice"), tier.unit_price_minor);
        checks.hold(
            seen.insert(tier.min_quantity),
            Code::InvalidInput,
            &format!("{field}.minQuantity"),
            "two tiers begin at the same quantity",
        );
    }
    checks.hold(
        tiers.is_empty() || seen.contains(&1),
        Code::InvalidInput,
        &path,
        "one tier must begin at a quantity of 1",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_begin_at_one_and_at_different_quantities() {
        let fits = |tiers: &[(i64, i64)]| {
            let tiers: Vec<Tier> = tiers
                .iter()
                .map(|(min_quantity, unit_price_minor)| Tier {
                    min_quantity: *min_quantity,
                    unit_price_minor: *unit_price_minor,
                })
                .collect();
            let mut checks = Checks::new();
            check_tiers(&mut checks, 0, &tiers);
            checks.done().is_ok()
        };
        assert!(fits(&[]));
        assert!(fits(&[(10, 90), (1, 100)]));
        assert!(!fits(&[(10, 90)]));
        assert!(!fits(&[(1, 100), (1, 90)]));
        assert!(!fits(&[(1, -1)]));
        assert!(!fits(&[(0, 100), (1, 100)]));
    }
}
