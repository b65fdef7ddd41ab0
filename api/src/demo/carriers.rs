//! Three carriers that exist nowhere: one around the warehouses, one for Europe, one for the world.

use entity::{
    Currency, Rate, TimeZone, Weekdays, carrier, carrier_rate, carrier_service, carrier_surcharge,
    carrier_zone,
};
use sea_orm::IntoActiveModel;
use serde_json::json;

use crate::catalogue::changed;
use crate::events::Changes;
use crate::tx::Tx;

/// A carrier: code, name, what its numbers begin with, its zones and its services.
struct Own {
    code: &'static str,
    name: &'static str,
    prefix: &'static str,
    zones: &'static [(&'static str, &'static [&'static str], i32)],
    services: &'static [Offer],
}

/// A service: code, name, level, cut-off in minutes, days, most grams, volumetric divisor, whether
/// post-office boxes are served, the part of the rate that fuel costs, and for each zone the prices
/// in cents of the [`STEPS`].
struct Offer {
    code: &'static str,
    name: &'static str,
    level: &'static str,
    cut_off: i32,
    days: i32,
    max_grams: i64,
    divisor: i32,
    po_boxes: bool,
    fuel: &'static str,
    prices: &'static [[i64; 5]],
}

/// Up to which weights the prices are, in grams.
const STEPS: [i64; 5] = [1_000, 2_000, 5_000, 10_000, 31_500];

#[rustfmt::skip]
const CARRIERS: &[Own] = &[
    Own {
        code: "ALPENPOST", name: "Alpenpost", prefix: "AP",
        zones: &[("home", &["AT", "DE"], 0), ("neighbours", &["CH", "CZ", "HU", "IT", "LI", "SI", "SK"], 1)],
        services: &[
            Offer { code: "PAKET", name: "Paket", level: "STANDARD", cut_off: 990, days: 2, max_grams: 31_500, divisor: 6_000, po_boxes: true, fuel: "0.04", prices: &[[390, 450, 590, 890, 1_690], [690, 790, 990, 1_490, 2_690]] },
            Offer { code: "PREMIUM", name: "Paket Premium", level: "EXPRESS", cut_off: 960, days: 1, max_grams: 31_500, divisor: 6_000, po_boxes: false, fuel: "0.04", prices: &[[890, 990, 1_190, 1_690, 2_890], [1_490, 1_690, 1_990, 2_690, 4_290]] },
        ],
    },
    Own {
        code: "EUROKURIER", name: "Eurokurier", prefix: "EK",
        zones: &[
            ("west", &["AT", "BE", "CH", "DE", "DK", "FR", "LI", "LU", "NL"], 0),
            ("east", &["CZ", "EE", "HU", "LT", "LV", "PL", "SI", "SK"], 1),
            ("rim", &["BG", "CY", "ES", "FI", "GB", "GR", "HR", "IE", "IT", "MT", "NO", "PT", "RO", "SE"], 2),
        ],
        services: &[
            Offer { code: "ROAD", name: "Road", level: "STANDARD", cut_off: 1_020, days: 2, max_grams: 31_500, divisor: 5_000, po_boxes: false, fuel: "0.12", prices: &[[480, 540, 690, 990, 1_790], [640, 720, 890, 1_290, 2_190], [890, 990, 1_290, 1_890, 3_290]] },
            Offer { code: "OVERNIGHT", name: "Overnight", level: "EXPRESS", cut_off: 1_080, days: 1, max_grams: 31_500, divisor: 5_000, po_boxes: false, fuel: "0.12", prices: &[[1_090, 1_190, 1_490, 2_190, 3_690], [1_490, 1_690, 2_090, 2_990, 4_990], [1_990, 2_290, 2_890, 4_190, 6_990]] },
        ],
    },
    Own {
        code: "GLOBUS", name: "Globus Logistics", prefix: "GL",
        zones: &[("europe", &["AT", "BE", "DE", "DK", "ES", "FR", "IT", "NL", "PL", "SE"], 0), ("world", &["*"], 3)],
        services: &[
            Offer { code: "ECONOMY", name: "Economy", level: "STANDARD", cut_off: 900, days: 4, max_grams: 70_000, divisor: 5_000, po_boxes: true, fuel: "0.18", prices: &[[790, 890, 1_090, 1_590, 2_790], [1_990, 2_490, 3_990, 6_490, 13_900]] },
            Offer { code: "PRIORITY", name: "Priority", level: "EXPRESS", cut_off: 1_050, days: 1, max_grams: 70_000, divisor: 5_000, po_boxes: false, fuel: "0.18", prices: &[[1_690, 1_890, 2_390, 3_490, 5_990], [3_490, 4_490, 6_990, 10_900, 22_900]] },
        ],
    },
];

/// Puts them in, at rates in euros.
pub(super) fn carriers(tx: &Tx) {
    let (mut carriers, mut zones, mut services) = (Vec::new(), Vec::new(), Vec::new());
    let (mut rates, mut surcharges) = (Vec::new(), Vec::new());
    for own in CARRIERS {
        let row = carrier::Model {
            id: tx.id(),
            code: own.code.to_owned(),
            name: own.name.to_owned(),
            adapter: carrier::Adapter::Table,
            tracking_url: Some(format!(
                "https://track.{}.example/{{number}}",
                own.code.to_lowercase()
            )),
            tracking_prefix: own.prefix.to_owned(),
            webhook_secret: None,
            active: true,
            version: 1,
            created_at: tx.now,
        };
        let changes = Changes::between(None, &row);
        changed(tx, "carrier", row.id, 1, &row.code, changes);
        let mut parts = Vec::new();
        for (code, countries, extra_days) in own.zones {
            let zone = carrier_zone::Model {
                id: tx.id(),
                carrier_id: row.id,
                code: (*code).to_owned(),
                countries: json!(countries),
                postal_prefixes: json!([]),
                from_countries: json!([]),
                extra_days: *extra_days,
            };
            parts.push(zone.id);
            zones.push(zone.into_active_model());
        }
        for offer in own.services {
            let service = service(tx, row.id, offer);
            let price = |zone, up_to_grams, price_minor| carrier_rate::Model {
                id: tx.id(),
                service_id: service.id,
                zone_id: zone,
                currency: Currency::EUR,
                up_to_grams,
                price_minor,
            };
            for (zone, prices) in parts.iter().zip(offer.prices) {
                let steps = STEPS.into_iter().zip(prices);
                rates.extend(
                    steps.map(|(grams, cents)| price(*zone, grams, *cents).into_active_model()),
                );
                // What is heavier than the last step goes on pallets, if at all.
                if offer.max_grams > STEPS[4] {
                    let heavy = price(*zone, offer.max_grams, prices[4] * 2);
                    rates.push(heavy.into_active_model());
                }
            }
            let fuel = carrier_surcharge::Model {
                service_id: service.id,
                position: 1,
                kind: carrier_surcharge::Kind::Fuel,
                percent: Some(offer.fuel.parse::<Rate>().unwrap_or_default()),
                amount_minor: None,
                currency: None,
                countries: json!([]),
                postal_prefixes: json!([]),
                above_length_mm: None,
                above_girth_mm: None,
                above_grams: None,
            };
            let long = carrier_surcharge::Model {
                position: 2,
                kind: carrier_surcharge::Kind::Oversize,
                percent: None,
                amount_minor: Some(1_500),
                currency: Some(Currency::EUR),
                above_length_mm: Some(1_200),
                above_girth_mm: Some(3_000),
                ..fuel.clone()
            };
            surcharges.extend([fuel, long].map(IntoActiveModel::into_active_model));
            services.push(service.into_active_model());
        }
        carriers.push(row.into_active_model());
    }
    tx.defer_rows(carriers, |insert| insert);
    tx.defer_rows(zones, |insert| insert);
    tx.defer_rows(services, |insert| insert);
    tx.defer_rows(rates, |insert| insert);
    tx.defer_rows(surcharges, |insert| insert);
}

fn service(tx: &Tx, carrier_id: entity::CarrierId, offer: &Offer) -> carrier_service::Model {
    carrier_service::Model {
        id: tx.id(),
        carrier_id,
        code: offer.code.to_owned(),
        name: offer.name.to_owned(),
        service_level: offer.level.to_owned(),
        cut_off_minutes: offer.cut_off,
        time_zone: "Europe/Vienna".parse().unwrap_or(TimeZone::UTC),
        pickup_weekdays: Weekdays::WORKING,
        delivery_weekdays: Weekdays::WITH_SATURDAY,
        transit_days: offer.days,
        max_grams: Some(offer.max_grams),
        max_length_mm: Some(2_000),
        max_girth_mm: Some(4_000),
        volumetric_divisor: Some(offer.divisor),
        po_boxes: offer.po_boxes,
        dangerous_goods: false,
        only_countries: json!([]),
        except_countries: json!([]),
        active: true,
        version: 1,
    }
}
