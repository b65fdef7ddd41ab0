//! What the carriers offer, as it was at one moment: the small tables, joined once.

use std::collections::HashMap;

use entity::{
    CarrierId, CarrierServiceId, CarrierZoneId, Currency, carrier, carrier_rate, carrier_service,
    carrier_surcharge, carrier_zone,
};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait};
use serde_json::Value as Json;

/// Every carrier with what it offers.
#[derive(Clone, Debug, Default)]
pub struct Tariffs {
    /// The carriers, in no order.
    pub carriers: Vec<Tariff>,
}

/// What one carrier offers.
#[derive(Clone, Debug)]
pub struct Tariff {
    /// Its row.
    pub carrier: carrier::Model,
    /// Where its rates differ.
    pub zones: Vec<Zone>,
    /// What it offers.
    pub services: Vec<Service>,
}

/// A part of the world with rates of its own.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Its row.
    pub row: carrier_zone::Model,
    /// The countries; `*` = every one that no other zone has.
    pub countries: Vec<String>,
    /// What postal codes begin with there; empty = whole countries.
    pub prefixes: Vec<String>,
    /// The countries that it is for parcels from; empty = those that no other zone names.
    pub origins: Vec<String>,
}

/// A service with what it costs.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its row.
    pub row: carrier_service::Model,
    /// The only countries served; empty = those of the zones.
    pub only: Vec<String>,
    /// Countries not served.
    pub except: Vec<String>,
    /// Its rates.
    pub rates: Vec<carrier_rate::Model>,
    /// Its surcharges, in their order.
    pub surcharges: Vec<Surcharge>,
}

/// A surcharge.
#[derive(Clone, Debug)]
pub struct Surcharge {
    /// Its row.
    pub row: carrier_surcharge::Model,
    /// Where it is asked; empty = everywhere.
    pub countries: Vec<String>,
    /// What postal codes begin with where it is asked; empty = any.
    pub prefixes: Vec<String>,
}

impl Tariffs {
    /// Reads every table.
    pub async fn load(db: &impl ConnectionTrait) -> Result<Tariffs, DbErr> {
        let mut zones: HashMap<CarrierId, Vec<Zone>> = HashMap::new();
        for row in carrier_zone::Entity::find().all(db).await? {
            let zone = Zone {
                countries: texts(&row.countries),
                prefixes: texts(&row.postal_prefixes),
                origins: texts(&row.from_countries),
                row,
            };
            zones.entry(zone.row.carrier_id).or_default().push(zone);
        }
        let mut rates: HashMap<CarrierServiceId, Vec<carrier_rate::Model>> = HashMap::new();
        for row in carrier_rate::Entity::find().all(db).await? {
            rates.entry(row.service_id).or_default().push(row);
        }
        let mut surcharges: HashMap<CarrierServiceId, Vec<Surcharge>> = HashMap::new();
        for row in carrier_surcharge::Entity::find().all(db).await? {
            let surcharge = Surcharge {
                countries: texts(&row.countries),
                prefixes: texts(&row.postal_prefixes),
                row,
            };
            let of = surcharges.entry(surcharge.row.service_id).or_default();
            of.push(surcharge);
        }
        let mut services: HashMap<CarrierId, Vec<Service>> = HashMap::new();
        for row in carrier_service::Entity::find().all(db).await? {
            let mut surcharges = surcharges.remove(&row.id).unwrap_or_default();
            surcharges.sort_by_key(|surcharge| surcharge.row.position);
            let service = Service {
                only: texts(&row.only_countries),
                except: texts(&row.except_countries),
                rates: rates.remove(&row.id).unwrap_or_default(),
                surcharges,
                row,
            };
            services
                .entry(service.row.carrier_id)
                .or_default()
                .push(service);
        }
        let carriers = carrier::Entity::find().all(db).await?;
        Ok(Tariffs {
            carriers: carriers
                .into_iter()
                .map(|carrier| Tariff {
                    zones: zones.remove(&carrier.id).unwrap_or_default(),
                    services: services.remove(&carrier.id).unwrap_or_default(),
                    carrier,
                })
                .collect(),
        })
    }

    /// A carrier by its code.
    pub fn carrier(&self, code: &str) -> Option<&Tariff> {
        self.carriers
            .iter()
            .find(|tariff| tariff.carrier.code == code)
    }
}

impl Tariff {
    /// A service by its code.
    pub fn service(&self, code: &str) -> Option<&Service> {
        self.services
            .iter()
            .find(|service| service.row.code == code)
    }

    /// The zone of a destination for parcels from a country: of the zones that name the origin,
    /// else of those that name none, the one that knows the longest beginning of the postal code,
    /// else the one that has the whole country, else the one that has every other country. Of
    /// several, the first by code.
    pub fn zone(&self, origin: &str, country: &str, postal_code: Option<&str>) -> Option<&Zone> {
        let fit = |zone: &Zone| {
            let from_here = has(&zone.origins, origin);
            if !from_here && !zone.origins.is_empty() {
                return None;
            }
            let named = has(&zone.countries, country);
            if !named && !has(&zone.countries, "*") {
                return None;
            }
            let prefix = longest_prefix(&zone.prefixes, postal_code)?;
            Some((from_here, named, prefix))
        };
        self.zones
            .iter()
            .filter_map(|zone| Some((fit(zone)?, zone)))
            .max_by(|(a, one), (b, other)| a.cmp(b).then(other.row.code.cmp(&one.row.code)))
            .map(|(_, zone)| zone)
    }
}

impl Service {
    /// The rate of a billable weight: that of the lowest step which it does not exceed.
    pub fn rate(&self, zone: CarrierZoneId, currency: Currency, grams: i64) -> Option<i64> {
        self.rates
            .iter()
            .filter(|rate| {
                rate.zone_id == zone && rate.currency == currency && grams <= rate.up_to_grams
            })
            .min_by_key(|rate| rate.up_to_grams)
            .map(|rate| rate.price_minor)
    }
}

/// Whether a list has a country.
pub fn has(countries: &[String], country: &str) -> bool {
    countries.iter().any(|own| own == country)
}

/// How many characters of a postal code the list knows; 0 if the list is empty, and none if it
/// knows no beginning of it.
pub fn longest_prefix(prefixes: &[String], postal_code: Option<&str>) -> Option<usize> {
    if prefixes.is_empty() {
        return Some(0);
    }
    let code = bare(postal_code?);
    let known = prefixes.iter().map(|prefix| bare(prefix));
    known
        .filter(|prefix| code.starts_with(prefix.as_str()))
        .map(|prefix| prefix.len())
        .max()
}

/// A postal code without what people put between its characters.
pub fn bare(postal_code: &str) -> String {
    postal_code
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_uppercase())
        .collect()
}

/// The texts of a JSON array.
pub fn texts(list: &Json) -> Vec<String> {
    let texts = list.as_array().into_iter().flatten();
    texts
        .filter_map(|text| text.as_str().map(str::to_owned))
        .collect()
}
