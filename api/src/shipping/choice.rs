//! Which carrier takes a shipment: every candidate with its cost, its date and why it lost.
//!
//! A pure function of the tariffs and of what is sent, so the same choice can be made again and
//! explained. The cheapest service that keeps the promise wins; of equally cheap ones the sooner,
//! then the first by the carrier's code, then by the service's. If none keeps the promise, the
//! soonest wins, the cheapest of those, and [`Choice::keeps_promise`] says that the promise is
//! broken.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use entity::channel::RoundingMode;
use entity::{Currency, address, carrier, carrier_surcharge};
use serde::{Deserialize, Serialize};

use super::calendar;
use super::tariffs::{Service, Surcharge, Tariff, Tariffs, has, longest_prefix};
use crate::pricing;

/// How large a parcel is, in millimetres, in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dimensions {
    /// One side.
    pub length_mm: i32,
    /// Another.
    pub width_mm: i32,
    /// The third.
    pub height_mm: i32,
}

impl Dimensions {
    /// The sides, longest first.
    fn sides(self) -> [i64; 3] {
        let mut sides = [self.length_mm, self.width_mm, self.height_mm].map(i64::from);
        sides.sort_unstable_by(|a, b| b.cmp(a));
        sides
    }

    /// The longest side.
    pub fn longest(self) -> i64 {
        self.sides()[0]
    }

    /// The longest side and the way around the others.
    pub fn girth(self) -> i64 {
        let [longest, middle, shortest] = self.sides();
        longest + 2 * (middle + shortest)
    }

    /// What it counts as at so many cubic centimetres a kilogram, in grams, rounded up.
    fn volumetric_grams(self, divisor: i32) -> i64 {
        let cubic_mm: i128 = self.sides().into_iter().map(i128::from).product();
        let divisor = i128::from(std::cmp::max(divisor, 1));
        // A cubic millimetre a gram is a cubic centimetre a kilogram.
        i64::try_from((cubic_mm + divisor - 1) / divisor).unwrap_or(i64::MAX)
    }
}

/// A parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parcel {
    /// What it weighs.
    pub weight_grams: i64,
    /// How large it is; none = not known, and then only its weight counts.
    pub dimensions: Option<Dimensions>,
}

impl Parcel {
    /// What it is billed as by a service: what it weighs, or what its size counts as, if that is
    /// more.
    fn billable_grams(self, service: &Service) -> i64 {
        let sized = self
            .dimensions
            .zip(service.row.volumetric_divisor)
            .map_or(0, |(size, divisor)| size.volumetric_grams(divisor));
        std::cmp::max(self.weight_grams, sized)
    }
}

/// Where a shipment goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destination {
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// The postal code.
    pub postal_code: Option<String>,
    /// Whether it is a post-office box.
    pub po_box: bool,
    /// Whether somebody lives there.
    pub residential: bool,
}

impl From<&address::Model> for Destination {
    fn from(row: &address::Model) -> Self {
        Destination {
            country: row.country.clone(),
            postal_code: row.postal_code.clone(),
            po_box: row.po_box,
            residential: row.organisation.is_none(),
        }
    }
}

/// What is to be sent.
#[derive(Clone, Debug)]
pub struct Sending {
    /// The parcels.
    pub parcels: Vec<Parcel>,
    /// The country that they leave from: ISO 3166-1 alpha-2.
    pub origin: String,
    /// Where to.
    pub destination: Destination,
    /// What the customer chose: `STANDARD`, `EXPRESS` …; none = any.
    pub service_level: Option<String>,
    /// When the customer was told to have it; none = nothing was promised.
    pub promised_by: Option<DateTime<Utc>>,
    /// When the carrier may take it.
    pub ready_at: DateTime<Utc>,
    /// Whether dangerous goods are among it.
    pub dangerous_goods: bool,
    /// What is paid in.
    pub currency: Currency,
}

/// What a carrier itself asks for all the parcels by one of its services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// The carrier, in any case.
    pub carrier: String,
    /// The service, in any case.
    pub service: String,
    /// How much, in minor units.
    pub cost_minor: i64,
    /// Of the cost.
    pub currency: Currency,
    /// How many delivery days it says that it takes.
    pub days: Option<i32>,
}

/// What whoever speaks for carriers said of their prices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Offers {
    /// Nobody was asked.
    #[default]
    NotAsked,
    /// There was no answer.
    Silent,
    /// These, and no others.
    Said(Vec<Offered>),
}

/// Where a cost comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, async_graphql::Enum)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[graphql(name = "CarrierRating")]
pub enum Rating {
    /// From our table of its rates.
    Table,
    /// From the carrier, just now.
    Live,
    /// From our table, since the carrier did not answer.
    Fallback,
}

/// Why a service was chosen or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, async_graphql::Enum)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[graphql(name = "CarrierReason")]
pub enum Reason {
    /// It is the one.
    Chosen,
    /// It is not what the customer chose.
    OtherServiceLevel,
    /// It does not go there.
    NotServed,
    /// It does not serve post-office boxes.
    PoBoxRefused,
    /// It takes no dangerous goods.
    DangerousGoodsRefused,
    /// A parcel is too heavy for it.
    Overweight,
    /// A parcel is too long or too bulky for it.
    Oversize,
    /// It has no rate for the weight there, in the currency.
    NoRate,
    /// It arrives after the promise, and another does not.
    TooLate,
    /// It costs more.
    Dearer,
    /// It costs the same, or the promise is broken anyway, and it arrives later.
    Slower,
    /// It is as good as the chosen one, whose code comes first.
    Tied,
}

/// What a line of a cost is for.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    async_graphql::Enum,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[graphql(name = "CarrierCostKind")]
pub enum CostKind {
    /// The rate itself.
    Base,
    /// What fuel costs at present.
    Fuel,
    /// The destination is hard to reach.
    Remote,
    /// A parcel is long, bulky or heavy.
    Oversize,
    /// Nobody is at home for certain.
    Residential,
}

impl From<carrier_surcharge::Kind> for CostKind {
    fn from(kind: carrier_surcharge::Kind) -> Self {
        match kind {
            carrier_surcharge::Kind::Fuel => CostKind::Fuel,
            carrier_surcharge::Kind::Remote => CostKind::Remote,
            carrier_surcharge::Kind::Oversize => CostKind::Oversize,
            carrier_surcharge::Kind::Residential => CostKind::Residential,
        }
    }
}

/// A line of a cost, all parcels together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CostLine {
    /// What for.
    pub kind: CostKind,
    /// How much, in minor units.
    pub amount_minor: i64,
}

/// A service that was considered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// The carrier's code.
    pub carrier: String,
    /// The carrier's name.
    pub carrier_name: String,
    /// The service's code.
    pub service: String,
    /// The service's name.
    pub service_name: String,
    /// What customers chose that it fulfils.
    pub service_level: String,
    /// Where its cost comes from.
    pub rating: Rating,
    /// The carrier's zone of the destination; none = it has none.
    pub zone: Option<String>,
    /// What the parcels are billed as together, in grams.
    pub billable_grams: i64,
    /// What the cost is made of; empty if it was refused before its cost was asked.
    pub lines: Vec<CostLine>,
    /// The cost, in minor units.
    pub cost_minor: Option<i64>,
    /// The day on which the carrier takes it.
    pub picked_up_on: Option<NaiveDate>,
    /// When the customer has it.
    pub promised_at: Option<DateTime<Utc>>,
    /// Why it was chosen or not.
    pub reason: Reason,
}

/// A choice with all that was considered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Choice {
    /// The candidates: the chosen one first, then those that lost to it, best first, then those
    /// that could not take it, by code.
    pub candidates: Vec<Candidate>,
    /// Of the costs.
    pub currency: Currency,
    /// Whether the chosen one arrives as promised.
    pub keeps_promise: bool,
}

impl Choice {
    /// The one; none if nobody can take it.
    pub fn chosen(&self) -> Option<&Candidate> {
        let first = self.candidates.first();
        first.filter(|candidate| candidate.reason == Reason::Chosen)
    }
}

/// Considers every active service of every active carrier.
pub fn choose(tariffs: &Tariffs, offers: &Offers, sending: &Sending) -> Choice {
    let mut candidates: Vec<Candidate> = tariffs
        .carriers
        .iter()
        .filter(|tariff| tariff.carrier.active)
        .flat_map(|tariff| {
            let services = tariff.services.iter();
            let active = services.filter(|service| service.row.active);
            active.map(|service| consider(tariff, service, offers, sending))
        })
        .collect();
    let in_time = |candidate: &Candidate| {
        candidate.reason == Reason::Chosen
            && sending
                .promised_by
                .is_none_or(|by| candidate.promised_at.is_some_and(|at| at <= by))
    };
    let keeps_promise = candidates.iter().any(&in_time);
    if keeps_promise {
        for candidate in &mut candidates {
            if candidate.reason == Reason::Chosen && !in_time(candidate) {
                candidate.reason = Reason::TooLate;
            }
        }
    }
    candidates.sort_by(|a, b| {
        let standing = |candidate: &Candidate| match candidate.reason {
            Reason::Chosen => 0,
            Reason::TooLate => 1,
            _ => 2,
        };
        let by_merit = match (keeps_promise, standing(a)) {
            (_, 2) => Ordering::Equal,
            (true, _) => (a.cost_minor, a.promised_at).cmp(&(b.cost_minor, b.promised_at)),
            (false, _) => (a.promised_at, a.cost_minor).cmp(&(b.promised_at, b.cost_minor)),
        };
        standing(a)
            .cmp(&standing(b))
            .then(by_merit)
            .then_with(|| (&a.carrier, &a.service).cmp(&(&b.carrier, &b.service)))
    });
    if let Some((best, others)) = candidates.split_first_mut() {
        let lost = others.iter_mut();
        for other in lost.filter(|other| other.reason == Reason::Chosen) {
            other.reason = if other.promised_at > best.promised_at
                && (!keeps_promise || other.cost_minor == best.cost_minor)
            {
                Reason::Slower
            } else if other.cost_minor > best.cost_minor {
                Reason::Dearer
            } else {
                Reason::Tied
            };
        }
    }
    Choice {
        candidates,
        currency: sending.currency,
        keeps_promise,
    }
}

/// What a service comes to by itself: `Chosen` stands for one that could take it.
fn consider(tariff: &Tariff, service: &Service, offers: &Offers, sending: &Sending) -> Candidate {
    let Destination {
        country,
        postal_code,
        po_box,
        ..
    } = &sending.destination;
    let row = &service.row;
    let zone = tariff.zone(&sending.origin, country, postal_code.as_deref());
    let billable = |parcel: &Parcel| parcel.billable_grams(service);
    let mut candidate = Candidate {
        carrier: tariff.carrier.code.clone(),
        carrier_name: tariff.carrier.name.clone(),
        service: row.code.clone(),
        service_name: row.name.clone(),
        service_level: row.service_level.clone(),
        rating: match (tariff.carrier.adapter, offers) {
            (carrier::Adapter::Table, _) | (_, Offers::NotAsked) => Rating::Table,
            (carrier::Adapter::Easypost, Offers::Silent) => Rating::Fallback,
            (carrier::Adapter::Easypost, Offers::Said(_)) => Rating::Live,
        },
        zone: zone.map(|zone| zone.row.code.clone()),
        billable_grams: sending
            .parcels
            .iter()
            .map(billable)
            .fold(0, i64::saturating_add),
        lines: Vec::new(),
        cost_minor: None,
        picked_up_on: None,
        promised_at: None,
        reason: Reason::Chosen,
    };
    let parcels = || sending.parcels.iter();
    let beyond = |limit: Option<i32>, size: fn(Dimensions) -> i64| {
        let limit = limit.map(i64::from);
        parcels().any(|parcel| {
            parcel
                .dimensions
                .zip(limit)
                .is_some_and(|(dimensions, limit)| size(dimensions) > limit)
        })
    };
    let other_level = |level: &String| *level != row.service_level;
    let not_served = zone.is_none()
        || (!service.only.is_empty() && !has(&service.only, country))
        || has(&service.except, country);
    let too_heavy = |limit: i64| parcels().any(|parcel| parcel.weight_grams > limit);
    let refused = if sending.service_level.as_ref().is_some_and(other_level) {
        Some(Reason::OtherServiceLevel)
    } else if not_served {
        Some(Reason::NotServed)
    } else if *po_box && !row.po_boxes {
        Some(Reason::PoBoxRefused)
    } else if sending.dangerous_goods && !row.dangerous_goods {
        Some(Reason::DangerousGoodsRefused)
    } else if row.max_grams.is_some_and(too_heavy) {
        Some(Reason::Overweight)
    } else if beyond(row.max_length_mm, Dimensions::longest)
        || beyond(row.max_girth_mm, Dimensions::girth)
    {
        Some(Reason::Oversize)
    } else {
        None
    };
    let (Some(zone), None) = (zone, refused) else {
        candidate.reason = refused.unwrap_or(Reason::NotServed);
        return candidate;
    };
    let (lines, days) = match offers {
        Offers::Said(offered) if candidate.rating == Rating::Live => {
            let own = offered
                .iter()
                .filter(|own| {
                    own.carrier.eq_ignore_ascii_case(&tariff.carrier.code)
                        && own.service.eq_ignore_ascii_case(&row.code)
                        && own.currency == sending.currency
                })
                .min_by_key(|own| (own.cost_minor, own.days));
            let lines = own.map(|own| BTreeMap::from([(CostKind::Base, own.cost_minor)]));
            (lines, own.and_then(|own| own.days))
        }
        _ => (table_cost(service, zone.row.id, sending), None),
    };
    let total = lines.as_ref().and_then(|lines| {
        let mut amounts = lines.values();
        amounts.try_fold(0_i64, |sum, amount| sum.checked_add(*amount))
    });
    let (Some(lines), Some(total)) = (lines, total) else {
        candidate.reason = Reason::NoRate;
        return candidate;
    };
    let line = |(kind, amount_minor)| CostLine { kind, amount_minor };
    candidate.lines = lines.into_iter().map(line).collect();
    candidate.cost_minor = Some(total);
    let pickup = calendar::pickup(row, sending.ready_at);
    let days = days.unwrap_or(row.transit_days + zone.row.extra_days);
    candidate.picked_up_on = Some(pickup);
    candidate.promised_at = Some(calendar::end(row, calendar::arrival(row, pickup, days)));
    candidate
}

/// What the table says that all parcels cost; none if it has no rate for one of them.
fn table_cost(
    service: &Service,
    zone: entity::CarrierZoneId,
    sending: &Sending,
) -> Option<BTreeMap<CostKind, i64>> {
    let mut lines = BTreeMap::new();
    let mut add = |kind: CostKind, amount: i64| {
        let sum: &mut i64 = lines.entry(kind).or_default();
        *sum = sum.checked_add(amount)?;
        Some(())
    };
    for parcel in &sending.parcels {
        let base = service.rate(zone, sending.currency, parcel.billable_grams(service))?;
        add(CostKind::Base, base)?;
        let surcharges = service.surcharges.iter();
        for surcharge in surcharges.filter(|own| is_asked(own, parcel, sending)) {
            let amount = match surcharge.row.percent {
                Some(percent) => pricing::multiply(base, percent, RoundingMode::HalfUp).ok()?,
                None => surcharge.row.amount_minor?,
            };
            add(surcharge.row.kind.into(), amount)?;
        }
    }
    Some(lines)
}

/// Whether a surcharge is asked for a parcel.
fn is_asked(surcharge: &Surcharge, parcel: &Parcel, sending: &Sending) -> bool {
    let row = &surcharge.row;
    let destination = &sending.destination;
    let there = surcharge.countries.is_empty() || has(&surcharge.countries, &destination.country);
    let postal_code = destination.postal_code.as_deref();
    let here = longest_prefix(&surcharge.prefixes, postal_code).is_some();
    let currency = row.currency.is_none_or(|own| own == sending.currency);
    let above = |limit: Option<i32>, size: fn(Dimensions) -> i64| {
        parcel
            .dimensions
            .zip(limit)
            .is_some_and(|(own, limit)| size(own) > i64::from(limit))
    };
    let of_its_kind = match row.kind {
        carrier_surcharge::Kind::Fuel | carrier_surcharge::Kind::Remote => true,
        carrier_surcharge::Kind::Residential => destination.residential,
        carrier_surcharge::Kind::Oversize => {
            above(row.above_length_mm, Dimensions::longest)
                || above(row.above_girth_mm, Dimensions::girth)
                || row
                    .above_grams
                    .is_some_and(|limit| parcel.weight_grams > limit)
        }
    };
    there && here && currency && of_its_kind
}

#[cfg(test)]
mod tests;
