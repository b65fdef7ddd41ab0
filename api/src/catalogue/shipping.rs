//! Tax rates by destination, shipping zones, and what shipping costs in them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use entity::{
    ChannelId, Currency, Rate, ShippingZoneId, channel, shipping_rate, shipping_zone, tax_rate,
};
use rust_decimal::Decimal;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::json;

use super::products::tax_category;
use super::rows;
use crate::checks::Checks;
use crate::failure::{Code, Failure, Problem};
use crate::tx::Tx;

/// What [`set_tax_rate`] needs.
#[derive(Clone, Debug)]
pub struct SetTaxRate {
    /// ISO 3166-1 alpha-2 of the destination.
    pub country: String,
    /// The state or province; none = the whole country.
    pub region: Option<String>,
    /// What is taxed: `STANDARD`, `SHIPPING` …
    pub category: String,
    /// 0.19 is 19 %.
    pub rate: Rate,
    /// The first moment that it is valid.
    pub valid_from: Option<DateTime<Utc>>,
    /// The first moment that it is no longer valid.
    pub valid_until: Option<DateTime<Utc>>,
}

/// Sets the tax rate of a category at a destination. A rate that begins at the same moment is
/// replaced; one that is valid at the same time otherwise is in the way.
pub async fn set_tax_rate(tx: &Tx, cmd: SetTaxRate) -> Result<tax_rate::Model, Failure> {
    let mut checks = Checks::new();
    let mut row = tax_rate::Model {
        id: tx.id(),
        country: checks.country("input.country", &cmd.country),
        region: checks.text("input.region", cmd.region.as_deref()),
        category: tax_category(&mut checks, "input.category", &cmd.category),
        rate: cmd.rate,
        valid_from: cmd.valid_from,
        valid_until: cmd.valid_until,
    };
    checks.hold(
        (Decimal::ZERO..=Decimal::ONE).contains(&row.rate.0),
        Code::InvalidInput,
        "input.rate",
        "the rate must be between 0 and 1: 0.19 is 19 %",
    );
    checks.window("input.validUntil", row.valid_from, row.valid_until);
    checks.done()?;
    rows::lock_table(tx, "tax_rate").await?;
    let others = tax_rate::Entity::find()
        .filter(tax_rate::Column::Country.eq(row.country.as_str()))
        .filter(tax_rate::Column::Category.eq(row.category.as_str()))
        .all(tx.db())
        .await?;
    let same_region = |other: &&tax_rate::Model| match (&other.region, &row.region) {
        (None, None) => true,
        (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
        _ => false,
    };
    let others: Vec<&tax_rate::Model> = others.iter().filter(same_region).collect();
    let replaced = others
        .iter()
        .find(|other| other.valid_from == row.valid_from)
        .map(|other| other.id);
    let in_the_way = others
        .iter()
        .find(|other| Some(other.id) != replaced && overlap(other, &row));
    if let Some(other) = in_the_way {
        return Err(
            Problem::new(Code::InvalidInput, "another rate is valid at the same time")
                .at("input.validFrom")
                .with(json!({
                    "rate": other.rate.to_string(),
                    "validFrom": other.valid_from,
                    "validUntil": other.valid_until,
                }))
                .into(),
        );
    }
    let changes = match replaced {
        Some(id) => {
            row.id = id;
            rows::replace(tx, row.clone()).await?
        }
        None => rows::insert(tx, row.clone()).await?,
    };
    let code = format!("{}/{}", row.country, row.category);
    rows::changed_once(tx, "tax_rate", row.id, &code, changes);
    Ok(row)
}

fn overlap(a: &tax_rate::Model, b: &tax_rate::Model) -> bool {
    let begins_before_end = |from: Option<DateTime<Utc>>, until: Option<DateTime<Utc>>| {
        from.zip(until).is_none_or(|(from, until)| from < until)
    };
    begins_before_end(a.valid_from, b.valid_until) && begins_before_end(b.valid_from, a.valid_until)
}

/// What [`create_zone`] needs.
#[derive(Clone, Debug)]
pub struct CreateZone {
    /// Its name in feeds.
    pub code: String,
    /// Its name on screens.
    pub name: String,
    /// ISO 3166-1 alpha-2 codes; `*` alone = every country that no other zone has.
    pub countries: Vec<String>,
}

/// Makes a shipping zone. A country is in one zone at most.
pub async fn create_zone(tx: &Tx, cmd: CreateZone) -> Result<shipping_zone::Model, Failure> {
    let mut checks = Checks::new();
    checks.hold(
        !cmd.countries.is_empty(),
        Code::InvalidInput,
        "input.countries",
        "name at least one country, or *",
    );
    let everywhere = cmd.countries == ["*"];
    let countries: Vec<String> = cmd
        .countries
        .iter()
        .enumerate()
        .map(|(place, country)| {
            if everywhere {
                country.clone()
            } else {
                checks.country(&format!("input.countries.{place}"), country)
            }
        })
        .collect();
    let row = shipping_zone::Model {
        id: tx.id(),
        code: checks.code("input.code", &cmd.code),
        name: checks.name("input.name", &cmd.name),
        countries: json!(countries),
    };
    rows::lock_table(tx, "shipping_zone").await?;
    let zones = shipping_zone::Entity::find().all(tx.db()).await?;
    let held: BTreeMap<&str, &str> = zones
        .iter()
        .flat_map(|zone| {
            let countries = zone.countries.as_array().into_iter().flatten();
            countries.filter_map(|country| Some((country.as_str()?, zone.code.as_str())))
        })
        .collect();
    let mut seen = BTreeSet::new();
    for (place, country) in countries.iter().enumerate() {
        let field = format!("input.countries.{place}");
        if let Some(zone) = held.get(country.as_str()) {
            let details = json!({ "country": country, "zone": zone });
            checks.refuse(rows::name_taken(&field, country).with(details));
        } else if !seen.insert(country) {
            checks.refuse(rows::name_taken(&field, country));
        }
    }
    checks.done()?;
    let changes = rows::insert(tx, row.clone())
        .await
        .map_err(|failure| rows::taken(failure, "input.code", &row.code))?;
    rows::changed_once(tx, "shipping_zone", row.id, &row.code, changes);
    Ok(row)
}

/// What [`set_rate`] needs.
#[derive(Clone, Debug)]
pub struct SetRate {
    /// Where.
    pub zone_id: ShippingZoneId,
    /// The one channel that it is for; none = all.
    pub channel_id: Option<ChannelId>,
    /// The service: `STANDARD`, `EXPRESS` …
    pub service_level: String,
    /// From this weight on.
    pub min_weight_grams: i64,
    /// Below this weight; none = without limit.
    pub max_weight_grams: Option<i64>,
    /// The charge, in minor units.
    pub price_minor: i64,
    /// Of the charge.
    pub currency: Currency,
    /// From this order value on it is free, in minor units; none = never.
    pub free_over_minor: Option<i64>,
}

/// Sets what a service costs in a zone from a weight on. A rate of the same zone, channel,
/// service, currency and least weight is replaced. Where several rates fit a parcel, the cheapest
/// is charged.
pub async fn set_rate(tx: &Tx, cmd: SetRate) -> Result<shipping_rate::Model, Failure> {
    let mut checks = Checks::new();
    let mut row = shipping_rate::Model {
        id: tx.id(),
        zone_id: cmd.zone_id,
        channel_id: cmd.channel_id,
        service_level: checks
            .code("input.serviceLevel", &cmd.service_level)
            .to_uppercase(),
        min_weight_grams: cmd.min_weight_grams,
        max_weight_grams: cmd.max_weight_grams,
        price_minor: cmd.price_minor,
        currency: cmd.currency,
        free_over_minor: cmd.free_over_minor,
    };
    checks.count("input.minWeightGrams", row.min_weight_grams, 0, i64::MAX);
    checks.hold(
        row.max_weight_grams
            .is_none_or(|most| most > row.min_weight_grams),
        Code::InvalidInput,
        "input.maxWeightGrams",
        "the limit must be above the least weight",
    );
    checks.amount("input.price", row.price_minor);
    checks.amount("input.freeOver", row.free_over_minor.unwrap_or_default());
    let zone = shipping_zone::Entity::find_by_id(row.zone_id)
        .one(tx.db())
        .await?;
    if zone.is_none() {
        checks.refuse(Problem::not_found("shipping zone").at("input.zoneId"));
    }
    if let Some(id) = row.channel_id
        && !rows::exists::<channel::Entity>(tx, id).await?
    {
        checks.refuse(Problem::not_found("channel").at("input.channelId"));
    }
    checks.done()?;
    rows::lock_table(tx, "shipping_rate").await?;
    let replaced = shipping_rate::Entity::find()
        .filter(shipping_rate::Column::ZoneId.eq(row.zone_id))
        .filter(shipping_rate::Column::ServiceLevel.eq(row.service_level.as_str()))
        .all(tx.db())
        .await?
        .into_iter()
        .find(|other| {
            other.channel_id == row.channel_id
                && other.currency == row.currency
                && other.min_weight_grams == row.min_weight_grams
        });
    let changes = match replaced {
        Some(other) => {
            row.id = other.id;
            rows::replace(tx, row.clone()).await?
        }
        None => rows::insert(tx, row.clone()).await?,
    };
    let zone = zone.map(|zone| zone.code).unwrap_or_default();
    rows::changed_once(
        tx,
        "shipping_rate",
        row.id,
        &format!("{zone}/{}", row.service_level),
        changes,
    );
    Ok(row)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use entity::TaxRateId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn rates_that_follow_each_other_do_not_overlap() {
        let at = |days| Some(DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(days));
        let rate = |valid_from, valid_until| tax_rate::Model {
            id: TaxRateId(Uuid::from_u128(1)),
            country: "DE".to_owned(),
            region: None,
            category: "STANDARD".to_owned(),
            rate: Rate::default(),
            valid_from,
            valid_until,
        };
        let old = rate(None, at(10));
        assert!(!overlap(&old, &rate(at(10), None)));
        assert!(overlap(&old, &rate(at(9), None)));
        assert!(overlap(&old, &rate(None, None)));
        assert!(!overlap(&rate(at(10), at(20)), &old));
    }
}
