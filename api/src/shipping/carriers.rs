//! Carriers as data: who they are, what they offer, where, and for how much.
//!
//! A carrier, a service and a zone are named by their code, and saving one makes or changes it.
//! Rates and surcharges are replaced as a whole, so that no tariff is ever half of an old one.

use std::collections::BTreeSet;

use entity::{
    CarrierId, CarrierServiceId, CarrierZoneId, Currency, Rate, TimeZone, Weekdays, carrier,
    carrier_rate, carrier_service, carrier_surcharge, carrier_zone,
};
use rust_decimal::Decimal;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect, Select,
};
use serde_json::{Value as Json, json};

use super::tariffs::bare;
use crate::checks::{Checks, expect_version};
use crate::events::{Changes, Entry, Event};
use crate::failure::{Code, Failure, Problem};
use crate::tx::Tx;

/// How many steps a service's rates may have in a zone.
pub const MOST_RATES: usize = 200;

/// How many surcharges a service may have.
pub const MOST_SURCHARGES: usize = 50;

/// How many days a parcel may be under way.
const MOST_DAYS: i64 = 60;

/// What [`save`] needs.
#[derive(Clone, Debug)]
pub struct SaveCarrier {
    /// Its name in feeds, and at EasyPost.
    pub code: String,
    /// Its name on screens.
    pub name: String,
    /// Who is asked for its labels.
    pub adapter: carrier::Adapter,
    /// Where customers follow a parcel.
    pub tracking_url: Option<String>,
    /// What the numbers that we give begin with.
    pub tracking_prefix: String,
    /// The secret that its messages are signed with; none = as before.
    pub webhook_secret: Option<String>,
    /// Whether parcels are given to it.
    pub active: bool,
    /// The version that the caller has seen.
    pub expected_version: Option<i64>,
}

/// Makes or changes a carrier.
pub async fn save(tx: &Tx, cmd: SaveCarrier) -> Result<carrier::Model, Failure> {
    let mut checks = Checks::new();
    let code = checks.code("input.code", &cmd.code);
    let name = checks.name("input.name", &cmd.name);
    let tracking_url = checks.text("input.trackingUrl", cmd.tracking_url.as_deref());
    checks.hold(
        tracking_url.as_ref().is_none_or(|url| {
            let web = url.starts_with("https://") || url.starts_with("http://");
            web && url.contains("{number}") && !url.contains(char::is_whitespace)
        }),
        Code::InvalidInput,
        "input.trackingUrl",
        "it is a web address with {number} in it",
    );
    let prefix = cmd.tracking_prefix.trim().to_ascii_uppercase();
    checks.hold(
        prefix.len() <= 6 && prefix.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        Code::InvalidInput,
        "input.trackingPrefix",
        "it has at most 6 letters and digits",
    );
    checks.hold(
        cmd.webhook_secret
            .as_ref()
            .is_none_or(|secret| (16..=200).contains(&secret.len())),
        Code::InvalidInput,
        "input.webhookSecret",
        "a secret has 16 to 200 bytes",
    );
    checks.done()?;
    let rows = carrier::Entity::find().filter(carrier::Column::Code.eq(code.as_str()));
    let known = locked(tx, rows).await?;
    let version = known.as_ref().map_or(0, |row| row.version);
    expect_version("carrier", version, cmd.expected_version)?;
    let row = carrier::Model {
        id: known.as_ref().map_or_else(|| tx.id(), |row| row.id),
        code,
        name,
        adapter: cmd.adapter,
        tracking_url,
        tracking_prefix: prefix,
        webhook_secret: cmd
            .webhook_secret
            .or_else(|| known.as_ref()?.webhook_secret.clone()),
        active: cmd.active,
        version: version + 1,
        created_at: known.as_ref().map_or(tx.now, |row| row.created_at),
    };
    write(tx, row.clone(), known.is_none(), &row.code).await?;
    changed(tx, &row, Changes::between(known.as_ref(), &row));
    Ok(row)
}

/// What [`save_service`] needs.
#[derive(Clone, Debug)]
pub struct SaveService {
    /// The carrier.
    pub carrier_id: CarrierId,
    /// Its name in feeds, and at EasyPost.
    pub code: String,
    /// Its name on screens.
    pub name: String,
    /// What customers chose that it fulfils.
    pub service_level: String,
    /// When the day's parcels are taken: `16:30`.
    pub cut_off: String,
    /// Whose clocks show that.
    pub time_zone: String,
    /// The days on which parcels are taken.
    pub pickup_weekdays: Weekdays,
    /// The days on which parcels are delivered.
    pub delivery_weekdays: Weekdays,
    /// How many delivery days behind the pick-up a parcel arrives.
    pub transit_days: i32,
    /// What a parcel may weigh, in grams.
    pub max_grams: Option<i64>,
    /// How long a parcel's longest side may be, in millimetres.
    pub max_length_mm: Option<i32>,
    /// What the longest side and the way around the others may add up to, in millimetres.
    pub max_girth_mm: Option<i32>,
    /// How many cubic centimetres count as a kilogram.
    pub volumetric_divisor: Option<i32>,
    /// Whether post-office boxes are served.
    pub po_boxes: bool,
    /// Whether dangerous goods are taken.
    pub dangerous_goods: bool,
    /// The only countries served; empty = those of the zones.
    pub only_countries: Vec<String>,
    /// Countries not served.
    pub except_countries: Vec<String>,
    /// Whether it is chosen.
    pub active: bool,
    /// The version that the caller has seen.
    pub expected_version: Option<i64>,
}

/// Makes or changes a service of a carrier.
pub async fn save_service(tx: &Tx, cmd: SaveService) -> Result<carrier_service::Model, Failure> {
    let mut checks = Checks::new();
    let code = checks.code("input.code", &cmd.code);
    let name = checks.name("input.name", &cmd.name);
    let level = checks.code("input.serviceLevel", &cmd.service_level);
    let cut_off = minutes(&cmd.cut_off);
    checks.hold(
        cut_off.is_some(),
        Code::InvalidInput,
        "input.cutOff",
        "a time of day is written as 16:30, 24:00 at most",
    );
    let zone = cmd.time_zone.parse::<TimeZone>();
    if let Err(error) = &zone {
        checks.refuse(Problem::new(Code::InvalidInput, error.to_string()).at("input.timeZone"));
    }
    for (field, days) in [
        ("input.pickupWeekdays", cmd.pickup_weekdays),
        ("input.deliveryWeekdays", cmd.delivery_weekdays),
    ] {
        let message = "name at least one day";
        checks.hold(!days.is_empty(), Code::InvalidInput, field, message);
    }
    checks.count("input.transitDays", cmd.transit_days.into(), 0, MOST_DAYS);
    for (field, limit) in [
        ("input.maxGrams", cmd.max_grams),
        ("input.maxLengthMm", cmd.max_length_mm.map(i64::from)),
        ("input.maxGirthMm", cmd.max_girth_mm.map(i64::from)),
        (
            "input.volumetricDivisor",
            cmd.volumetric_divisor.map(i64::from),
        ),
    ] {
        checks.count(field, limit.unwrap_or(1), 1, i64::MAX);
    }
    let only = countries(&mut checks, "input.onlyCountries", &cmd.only_countries);
    let except = countries(&mut checks, "input.exceptCountries", &cmd.except_countries);
    let owner = owner(tx, cmd.carrier_id).await?;
    if owner.is_none() {
        checks.refuse(Problem::not_found("carrier").at("input.carrierId"));
    }
    checks.done()?;
    let rows = carrier_service::Entity::find()
        .filter(carrier_service::Column::CarrierId.eq(cmd.carrier_id))
        .filter(carrier_service::Column::Code.eq(code.as_str()));
    let known = locked(tx, rows).await?;
    let version = known.as_ref().map_or(0, |row| row.version);
    expect_version("carrier service", version, cmd.expected_version)?;
    let row = carrier_service::Model {
        id: known.as_ref().map_or_else(|| tx.id(), |row| row.id),
        carrier_id: cmd.carrier_id,
        code,
        name,
        service_level: level.to_uppercase(),
        cut_off_minutes: cut_off.unwrap_or_default(),
        time_zone: zone.unwrap_or(TimeZone::UTC),
        pickup_weekdays: cmd.pickup_weekdays,
        delivery_weekdays: cmd.delivery_weekdays,
        transit_days: cmd.transit_days,
        max_grams: cmd.max_grams,
        max_length_mm: cmd.max_length_mm,
        max_girth_mm: cmd.max_girth_mm,
        volumetric_divisor: cmd.volumetric_divisor,
        po_boxes: cmd.po_boxes,
        dangerous_goods: cmd.dangerous_goods,
        only_countries: only,
        except_countries: except,
        active: cmd.active,
        version: version + 1,
    };
    write(tx, row.clone(), known.is_none(), &row.code).await?;
    let changes = Changes::between(known.as_ref(), &row);
    touch(tx, owner, changes.within(&row.code)).await?;
    Ok(row)
}

/// What [`save_zone`] needs.
#[derive(Clone, Debug)]
pub struct SaveZone {
    /// The carrier.
    pub carrier_id: CarrierId,
    /// Its name in feeds.
    pub code: String,
    /// ISO 3166-1 alpha-2 codes; `*` alone = every country that no other zone has.
    pub countries: Vec<String>,
    /// What postal codes begin with there; empty = whole countries.
    pub postal_prefixes: Vec<String>,
    /// The countries that parcels leave from; empty = those that no other zone names.
    pub from_countries: Vec<String>,
    /// How many delivery days more it takes there.
    pub extra_days: i32,
}

/// Makes or changes a zone of a carrier.
pub async fn save_zone(tx: &Tx, cmd: SaveZone) -> Result<carrier_zone::Model, Failure> {
    let mut checks = Checks::new();
    let code = checks.code("input.code", &cmd.code);
    checks.hold(
        !cmd.countries.is_empty(),
        Code::InvalidInput,
        "input.countries",
        "name at least one country, or *",
    );
    let everywhere = cmd.countries == ["*"];
    let countries = match everywhere {
        true => json!(["*"]),
        false => countries(&mut checks, "input.countries", &cmd.countries),
    };
    let prefixes = prefixes(&mut checks, "input.postalPrefixes", &cmd.postal_prefixes);
    checks.hold(
        cmd.postal_prefixes.is_empty() || cmd.countries.len() == 1 && !everywhere,
        Code::InvalidInput,
        "input.postalPrefixes",
        "postal codes are those of one country",
    );
    let from_countries = self::countries(&mut checks, "input.fromCountries", &cmd.from_countries);
    checks.count("input.extraDays", cmd.extra_days.into(), 0, MOST_DAYS);
    let owner = owner(tx, cmd.carrier_id).await?;
    if owner.is_none() {
        checks.refuse(Problem::not_found("carrier").at("input.carrierId"));
    }
    checks.done()?;
    let rows = carrier_zone::Entity::find()
        .filter(carrier_zone::Column::CarrierId.eq(cmd.carrier_id))
        .filter(carrier_zone::Column::Code.eq(code.as_str()));
    let known = locked(tx, rows).await?;
    let row = carrier_zone::Model {
        id: known.as_ref().map_or_else(|| tx.id(), |row| row.id),
        carrier_id: cmd.carrier_id,
        code,
        countries,
        postal_prefixes: prefixes,
        from_countries,
        extra_days: cmd.extra_days,
    };
    write(tx, row.clone(), known.is_none(), &row.code).await?;
    let changes = Changes::between(known.as_ref(), &row);
    touch(tx, owner, changes.within(&row.code)).await?;
    Ok(row)
}

/// What [`replace_rates`] needs.
#[derive(Clone, Debug)]
pub struct ReplaceRates {
    /// The service.
    pub service_id: CarrierServiceId,
    /// Where to.
    pub zone_id: CarrierZoneId,
    /// Of the prices.
    pub currency: Currency,
    /// Up to how many grams, for how many minor units; none = it does not go there.
    pub rates: Vec<(i64, i64)>,
}

/// Replaces what a service costs in a zone, in one currency.
pub async fn replace_rates(tx: &Tx, cmd: ReplaceRates) -> Result<carrier_service::Model, Failure> {
    let mut checks = Checks::new();
    checks.hold(
        cmd.rates.len() <= MOST_RATES,
        Code::TooMany,
        "input.rates",
        "at most 200 steps",
    );
    let mut steps = BTreeSet::new();
    for (place, (up_to, price)) in cmd.rates.iter().enumerate() {
        checks.count(
            &format!("input.rates.{place}.upToGrams"),
            *up_to,
            1,
            i64::MAX,
        );
        checks.amount(&format!("input.rates.{place}.price"), *price);
        checks.hold(
            steps.insert(up_to),
            Code::InvalidInput,
            &format!("input.rates.{place}.upToGrams"),
            "another step ends there",
        );
    }
    let (service, owner) = service(tx, &mut checks, cmd.service_id).await?;
    let zone = carrier_zone::Entity::find_by_id(cmd.zone_id)
        .one(tx.db())
        .await?;
    let of_carrier = zone.filter(|zone| {
        let carrier = owner.as_ref().map(|owner| owner.id);
        carrier.is_none_or(|carrier| carrier == zone.carrier_id)
    });
    if of_carrier.is_none() {
        checks.refuse(Problem::not_found("zone of the carrier").at("input.zoneId"));
    }
    checks.done()?;
    let replaced = Condition::all()
        .add(carrier_rate::Column::ServiceId.eq(cmd.service_id))
        .add(carrier_rate::Column::ZoneId.eq(cmd.zone_id))
        .add(carrier_rate::Column::Currency.eq(cmd.currency));
    let before = carrier_rate::Entity::find()
        .filter(replaced.clone())
        .order_by_asc(carrier_rate::Column::UpToGrams)
        .all(tx.db())
        .await?;
    carrier_rate::Entity::delete_many()
        .filter(replaced)
        .exec(tx.db())
        .await?;
    let rates = cmd.rates.into_iter();
    let rows: Vec<_> = rates
        .map(|(up_to_grams, price_minor)| carrier_rate::Model {
            id: tx.id(),
            service_id: cmd.service_id,
            zone_id: cmd.zone_id,
            currency: cmd.currency,
            up_to_grams,
            price_minor,
        })
        .collect();
    let name = format!("rates.{}", cmd.currency.code());
    let changes = Changes::of_rows(name, &before, &rows);
    insert_all(tx, rows).await?;
    touch(tx, owner, changes.within(&service.code)).await?;
    Ok(service)
}

/// A surcharge as it is to be.
#[derive(Clone, Debug)]
pub struct NewSurcharge {
    /// What it is for.
    pub kind: carrier_surcharge::Kind,
    /// How much of the rate.
    pub percent: Option<Decimal>,
    /// How much for a parcel, in minor units.
    pub amount: Option<(i64, Currency)>,
    /// Where it is asked; empty = everywhere.
    pub countries: Vec<String>,
    /// What postal codes begin with where it is asked; empty = any.
    pub postal_prefixes: Vec<String>,
    /// For parcels longer than this, in millimetres.
    pub above_length_mm: Option<i32>,
    /// For parcels whose longest side and way around the others add up to more, in millimetres.
    pub above_girth_mm: Option<i32>,
    /// For parcels that weigh more than this, in grams.
    pub above_grams: Option<i64>,
}

/// What [`replace_surcharges`] needs.
#[derive(Clone, Debug)]
pub struct ReplaceSurcharges {
    /// The service.
    pub service_id: CarrierServiceId,
    /// All of its surcharges.
    pub surcharges: Vec<NewSurcharge>,
}

/// Replaces what a service asks on top.
pub async fn replace_surcharges(
    tx: &Tx,
    cmd: ReplaceSurcharges,
) -> Result<carrier_service::Model, Failure> {
    use carrier_surcharge::Kind;
    let mut checks = Checks::new();
    checks.hold(
        cmd.surcharges.len() <= MOST_SURCHARGES,
        Code::TooMany,
        "input.surcharges",
        "at most 50",
    );
    let mut rows = Vec::new();
    for (position, new) in (1..).zip(cmd.surcharges) {
        let field = |name: &str| format!("input.surcharges.{}.{name}", position - 1);
        checks.hold(
            new.percent.is_some() != new.amount.is_some(),
            Code::InvalidInput,
            &field("percent"),
            "it is either a part of the rate or an amount",
        );
        checks.hold(
            new.percent
                .is_none_or(|part| (Decimal::ZERO..=Decimal::TEN).contains(&part)),
            Code::InvalidInput,
            &field("percent"),
            "it is between 0 and 10: 0.15 is 15 %",
        );
        let sizes = [
            new.above_length_mm.map(i64::from),
            new.above_girth_mm.map(i64::from),
            new.above_grams,
        ];
        checks.hold(
            sizes.into_iter().flatten().all(|size| size > 0),
            Code::QuantityInvalid,
            &field("kind"),
            "a size is above 0",
        );
        checks.hold(
            (new.kind == Kind::Oversize) == sizes.iter().any(Option::is_some),
            Code::InvalidInput,
            &field("kind"),
            "OVERSIZE says above which size, and no other does",
        );
        checks.hold(
            new.kind != Kind::Remote
                || !new.countries.is_empty()
                || !new.postal_prefixes.is_empty(),
            Code::InvalidInput,
            &field("countries"),
            "REMOTE says where",
        );
        rows.push(carrier_surcharge::Model {
            service_id: cmd.service_id,
            position,
            kind: new.kind,
            percent: new.percent.map(|part| Rate(part.normalize())),
            amount_minor: new.amount.map(|(minor, _)| minor),
            currency: new.amount.map(|(_, currency)| currency),
            countries: countries(&mut checks, &field("countries"), &new.countries),
            postal_prefixes: prefixes(&mut checks, &field("postalPrefixes"), &new.postal_prefixes),
            above_length_mm: new.above_length_mm,
            above_girth_mm: new.above_girth_mm,
            above_grams: new.above_grams,
        });
    }
    let (service, owner) = service(tx, &mut checks, cmd.service_id).await?;
    checks.done()?;
    let of_service = carrier_surcharge::Column::ServiceId.eq(cmd.service_id);
    let before = carrier_surcharge::Entity::find()
        .filter(of_service.clone())
        .order_by_asc(carrier_surcharge::Column::Position)
        .all(tx.db())
        .await?;
    carrier_surcharge::Entity::delete_many()
        .filter(of_service)
        .exec(tx.db())
        .await?;
    let changes = Changes::of_rows("surcharges", &before, &rows);
    insert_all(tx, rows).await?;
    touch(tx, owner, changes.within(&service.code)).await?;
    Ok(service)
}

/// Minutes after midnight, from `16:30`.
fn minutes(text: &str) -> Option<i32> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let number = |digits: &str| -> Option<i32> {
        let plain = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse().ok())?
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let all = hours * 60 + minutes;
    (minutes < 60 && all <= 1440).then_some(all)
}

fn countries(checks: &mut Checks, field: &str, codes: &[String]) -> Json {
    let mut seen = BTreeSet::new();
    let codes = codes.iter().enumerate();
    let all: Vec<String> = codes
        .map(|(place, code)| {
            let place = format!("{field}.{place}");
            let code = checks.country(&place, code);
            let message = "it is in the list already";
            checks.hold(
                seen.insert(code.clone()),
                Code::InvalidInput,
                &place,
                message,
            );
            code
        })
        .collect();
    json!(all)
}

fn prefixes(checks: &mut Checks, field: &str, prefixes: &[String]) -> Json {
    let prefixes = prefixes.iter().enumerate();
    let all: Vec<String> = prefixes
        .map(|(place, prefix)| {
            let prefix = bare(prefix);
            checks.hold(
                (1..=12).contains(&prefix.len()),
                Code::InvalidInput,
                &format!("{field}.{place}"),
                "it has 1 to 12 letters and digits",
            );
            prefix
        })
        .collect();
    json!(all)
}

/// A service and its carrier, locked.
async fn service(
    tx: &Tx,
    checks: &mut Checks,
    id: CarrierServiceId,
) -> Result<(carrier_service::Model, Option<carrier::Model>), Failure> {
    let Some(service) = carrier_service::Entity::find_by_id(id).one(tx.db()).await? else {
        let mut all = std::mem::take(checks);
        all.refuse(Problem::not_found("carrier service").at("input.serviceId"));
        return match all.done() {
            Err(failure) => Err(failure),
            Ok(()) => Err(Problem::not_found("carrier service").into()),
        };
    };
    let owner = owner(tx, service.carrier_id).await?;
    Ok((service, owner))
}

/// The carrier that a change is about, locked: its parts change one after another.
async fn owner(tx: &Tx, id: CarrierId) -> Result<Option<carrier::Model>, Failure> {
    locked(tx, carrier::Entity::find_by_id(id)).await
}

async fn locked<E: EntityTrait>(tx: &Tx, rows: Select<E>) -> Result<Option<E::Model>, Failure> {
    let rows = match tx.locks_rows() {
        true => rows.lock_exclusive(),
        false => rows,
    };
    Ok(rows.one(tx.db()).await?)
}

/// Writes a row, new or whole over the old one.
async fn write<M, A>(tx: &Tx, row: M, new: bool, code: &str) -> Result<(), Failure>
where
    M: IntoActiveModel<A>,
    A: ActiveModelTrait + Send,
    <A::Entity as EntityTrait>::Model: IntoActiveModel<A>,
{
    if !new {
        A::Entity::update(row.into_active_model().reset_all())
            .exec(tx.db())
            .await?;
        return Ok(());
    }
    let inserted = A::Entity::insert(row.into_active_model())
        .exec_without_returning(tx.db())
        .await;
    inserted.map(|_| ()).map_err(|error| {
        let failure = Failure::from(error);
        match failure.unique_violation() {
            Some(_) => Problem::new(Code::CodeTaken, format!("{code:?} is taken"))
                .at("input.code")
                .into(),
            None => failure,
        }
    })
}

async fn insert_all<M, A>(tx: &Tx, rows: Vec<M>) -> Result<(), Failure>
where
    M: IntoActiveModel<A>,
    A: ActiveModelTrait,
{
    if !rows.is_empty() {
        let rows = rows.into_iter().map(IntoActiveModel::into_active_model);
        A::Entity::insert_many(rows)
            .exec_without_returning(tx.db())
            .await?;
    }
    Ok(())
}

/// Says that a carrier changed with one of its parts.
async fn touch(tx: &Tx, carrier: Option<carrier::Model>, changes: Changes) -> Result<(), Failure> {
    if let Some(mut row) = carrier {
        row.version += 1;
        write(tx, row.clone(), false, &row.code).await?;
        changed(tx, &row, changes);
    }
    Ok(())
}

fn changed(tx: &Tx, row: &carrier::Model, changes: Changes) {
    tx.emit(Entry {
        aggregate_type: "carrier",
        aggregate_id: row.id.to_string(),
        version: row.version,
        channel_id: None,
        order_id: None,
        moved: None,
        event: Event::CatalogueChanged {
            kind: "carrier".to_owned(),
            code: row.code.clone(),
            changes,
        },
    });
}

#[cfg(test)]
mod tests {
    use super::minutes;

    #[test]
    fn a_cut_off_is_a_time_of_day() {
        assert_eq!(minutes(" 16:30 "), Some(990));
        assert_eq!(minutes("00:00"), Some(0));
        assert_eq!(minutes("24:00"), Some(1440));
        for wrong in ["24:01", "16:60", "1630", "-1:00", "4:30", "16:3", "+4:30"] {
            assert_eq!(minutes(wrong), None, "{wrong}");
        }
    }
}
