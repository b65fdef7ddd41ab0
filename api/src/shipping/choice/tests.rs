use chrono::Datelike;
use entity::carrier_surcharge::Kind;
use entity::{
    CarrierId, CarrierRateId, CarrierServiceId, CarrierZoneId, Rate, TimeZone, Weekdays,
    carrier_rate, carrier_service, carrier_zone,
};
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::shipping::tariffs::Zone;

/// Thursday, an hour before the cut-off in Vienna.
fn thursday() -> DateTime<Utc> {
    "2026-11-26T14:00:00Z".parse().unwrap()
}

fn zone(id: u128, countries: &[&str], prefixes: &[&str]) -> Zone {
    let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Zone {
        row: carrier_zone::Model {
            id: CarrierZoneId(Uuid::from_u128(id)),
            carrier_id: CarrierId(Uuid::nil()),
            code: format!("zone-{id}"),
            countries: json!(countries),
            postal_prefixes: json!(prefixes),
            from_countries: json!([]),
            extra_days: 0,
        },
        countries: own(countries),
        prefixes: own(prefixes),
        origins: Vec::new(),
    }
}

/// A service that takes up to 5 kg to zone 1 for a price.
fn service(code: &str, price: i64, days: i32) -> Service {
    let id = CarrierServiceId(Uuid::from_u128(code.bytes().map(u128::from).sum()));
    Service {
        row: carrier_service::Model {
            id,
            carrier_id: CarrierId(Uuid::nil()),
            code: code.to_owned(),
            name: code.to_owned(),
            service_level: "STANDARD".to_owned(),
            cut_off_minutes: 16 * 60,
            time_zone: "Europe/Vienna".parse().unwrap_or(TimeZone::UTC),
            pickup_weekdays: Weekdays::WORKING,
            delivery_weekdays: Weekdays::WITH_SATURDAY,
            transit_days: days,
            max_grams: Some(5_000),
            max_length_mm: Some(1_200),
            max_girth_mm: None,
            volumetric_divisor: None,
            po_boxes: false,
            dangerous_goods: false,
            only_countries: json!([]),
            except_countries: json!([]),
            active: true,
            version: 1,
        },
        only: Vec::new(),
        except: Vec::new(),
        rates: [(1_000, price), (5_000, price * 2)]
            .into_iter()
            .map(|(up_to_grams, price_minor)| carrier_rate::Model {
                id: CarrierRateId(Uuid::nil()),
                service_id: id,
                zone_id: CarrierZoneId(Uuid::from_u128(1)),
                currency: Currency::EUR,
                up_to_grams,
                price_minor,
            })
            .collect(),
        surcharges: Vec::new(),
    }
}

fn surcharge(kind: Kind) -> carrier_surcharge::Model {
    carrier_surcharge::Model {
        service_id: CarrierServiceId(Uuid::nil()),
        position: 1,
        kind,
        percent: None,
        amount_minor: None,
        currency: None,
        countries: json!([]),
        postal_prefixes: json!([]),
        above_length_mm: None,
        above_girth_mm: None,
        above_grams: None,
    }
}

fn tariff(code: &str, services: Vec<Service>) -> Tariff {
    Tariff {
        carrier: carrier::Model {
            id: CarrierId(Uuid::nil()),
            code: code.to_owned(),
            name: code.to_owned(),
            adapter: carrier::Adapter::Table,
            tracking_url: None,
            tracking_prefix: String::new(),
            webhook_secret: None,
            active: true,
            version: 1,
            created_at: thursday(),
        },
        zones: vec![zone(1, &["AT"], &[])],
        services,
    }
}

fn tariffs(services: Vec<Service>) -> Tariffs {
    Tariffs {
        carriers: vec![tariff("POST", services)],
    }
}

fn sending() -> Sending {
    Sending {
        parcels: vec![Parcel {
            weight_grams: 800,
            dimensions: None,
        }],
        origin: "AT".to_owned(),
        destination: Destination {
            country: "AT".to_owned(),
            postal_code: Some("1010".to_owned()),
            po_box: false,
            residential: true,
        },
        service_level: None,
        promised_by: None,
        ready_at: thursday(),
        dangerous_goods: false,
        currency: Currency::EUR,
    }
}

fn reasons(tariffs: &Tariffs, sending: &Sending) -> Vec<(String, Reason)> {
    let choice = choose(tariffs, &Offers::NotAsked, sending);
    let all = choice.candidates.into_iter();
    all.map(|candidate| (candidate.service, candidate.reason))
        .collect()
}

fn is(service: &str, reason: Reason) -> (String, Reason) {
    (service.to_owned(), reason)
}

#[test]
fn f3_the_cheapest_that_keeps_the_promise_wins_and_each_loser_hears_why() {
    let table = tariffs(vec![
        service("slow", 300, 5),
        service("late-twin", 500, 2),
        service("a-twin", 500, 1),
        service("b-twin", 500, 1),
        service("dear", 900, 1),
    ]);
    let mut wanted = sending();
    wanted.promised_by = Some("2026-11-30T23:00:00Z".parse().unwrap());
    assert_eq!(
        reasons(&table, &wanted),
        [
            is("a-twin", Reason::Chosen),
            is("b-twin", Reason::Tied),
            is("late-twin", Reason::Slower),
            is("dear", Reason::Dearer),
            is("slow", Reason::TooLate),
        ]
    );
    wanted.promised_by = None;
    assert_eq!(reasons(&table, &wanted)[0], is("slow", Reason::Chosen));
}

#[test]
fn f3_when_nobody_keeps_the_promise_the_soonest_goes_and_the_choice_says_so() {
    let table = tariffs(vec![
        service("cheap", 100, 3),
        service("soon", 500, 1),
        service("soon-dear", 600, 1),
    ]);
    let mut wanted = sending();
    wanted.promised_by = Some(thursday());
    let choice = choose(&table, &Offers::NotAsked, &wanted);
    assert!(!choice.keeps_promise);
    assert_eq!(
        reasons(&table, &wanted),
        [
            is("soon", Reason::Chosen),
            is("soon-dear", Reason::Dearer),
            is("cheap", Reason::Slower),
        ]
    );
}

#[test]
fn f3_what_a_service_does_not_take_it_says() {
    let table = tariffs(vec![service("one", 100, 1)]);
    let one = |change: fn(&mut Sending)| {
        let mut wanted = sending();
        change(&mut wanted);
        reasons(&table, &wanted)[0].1
    };
    assert_eq!(one(|_| ()), Reason::Chosen);
    assert_eq!(
        one(|it| it.service_level = Some("EXPRESS".to_owned())),
        Reason::OtherServiceLevel
    );
    assert_eq!(
        one(|it| it.destination.country = "DE".to_owned()),
        Reason::NotServed
    );
    assert_eq!(one(|it| it.destination.po_box = true), Reason::PoBoxRefused);
    assert_eq!(
        one(|it| it.dangerous_goods = true),
        Reason::DangerousGoodsRefused
    );
    assert_eq!(one(|it| it.parcels[0].weight_grams = 5_000), Reason::Chosen);
    assert_eq!(
        one(|it| it.parcels[0].weight_grams = 5_001),
        Reason::Overweight
    );
    assert_eq!(
        one(|it| it.parcels[0].dimensions = Some(Dimensions {
            length_mm: 10,
            width_mm: 1_201,
            height_mm: 10
        })),
        Reason::Oversize
    );
    assert_eq!(one(|it| it.currency = Currency::USD), Reason::NoRate);
}

#[test]
fn f3_a_weight_on_the_edge_is_still_in_its_step_and_size_counts_as_weight() {
    let mut bulky = service("one", 100, 1);
    bulky.row.volumetric_divisor = Some(5_000);
    let table = tariffs(vec![bulky]);
    let cost = |grams, sides: Option<(i32, i32, i32)>| {
        let mut wanted = sending();
        wanted.parcels[0] = Parcel {
            weight_grams: grams,
            dimensions: sides.map(|(length_mm, width_mm, height_mm)| Dimensions {
                length_mm,
                width_mm,
                height_mm,
            }),
        };
        let choice = choose(&table, &Offers::NotAsked, &wanted);
        let only = &choice.candidates[0];
        (only.billable_grams, only.cost_minor)
    };
    assert_eq!(cost(1_000, None), (1_000, Some(100)));
    assert_eq!(cost(1_001, None), (1_001, Some(200)));
    // 20 × 25 × 10 cm are 5,000 cm³: a kilogram. A millimetre more is the next gram.
    assert_eq!(cost(10, Some((200, 250, 100))), (1_000, Some(100)));
    assert_eq!(cost(10, Some((200, 250, 101))), (1_010, Some(200)));
}

#[test]
fn f3_the_cut_off_decides_the_day_and_weekends_count_as_the_service_says() {
    let one = service("one", 100, 1).row;
    let arrives = |ready: &str| {
        let pickup = calendar::pickup(&one, ready.parse().unwrap());
        (pickup.day(), calendar::arrival(&one, pickup, 1).day())
    };
    // Vienna is an hour ahead of UTC in winter.
    assert_eq!(arrives("2026-11-26T14:59:00Z"), (26, 27));
    assert_eq!(arrives("2026-11-26T15:00:00Z"), (27, 28));
    // Friday's cut-off has passed: taken on Monday.
    assert_eq!(arrives("2026-11-27T15:00:00Z"), (30, 1));
    // Taken on Friday, delivered on Saturday; two days would be Monday.
    assert_eq!(arrives("2026-11-27T14:00:00Z"), (27, 28));
    let friday = calendar::pickup(&one, "2026-11-27T14:00:00Z".parse().unwrap());
    let monday = calendar::arrival(&one, friday, 2);
    assert_eq!(monday.day(), 30);
    let end = calendar::end(&one, monday).to_rfc3339();
    assert_eq!(end, "2026-11-30T22:59:59+00:00");
}

#[test]
fn f3_surcharges_are_itemised_and_asked_only_where_they_apply() {
    let mut one = service("one", 1_000, 1);
    let add = |one: &mut Service, row: carrier_surcharge::Model, prefixes: &[&str]| {
        one.surcharges.push(Surcharge {
            row,
            countries: Vec::new(),
            prefixes: prefixes.iter().map(|text| (*text).to_owned()).collect(),
        });
    };
    let amount = |kind, minor| carrier_surcharge::Model {
        amount_minor: Some(minor),
        currency: Some(Currency::EUR),
        ..surcharge(kind)
    };
    let fuel = carrier_surcharge::Model {
        percent: Some("0.1225".parse::<Rate>().unwrap()),
        ..surcharge(Kind::Fuel)
    };
    let long = carrier_surcharge::Model {
        above_length_mm: Some(1_000),
        ..amount(Kind::Oversize, 700)
    };
    let dollars = carrier_surcharge::Model {
        currency: Some(Currency::USD),
        ..amount(Kind::Fuel, 999)
    };
    add(&mut one, fuel, &[]);
    add(&mut one, amount(Kind::Remote, 250), &["6 9", "10"]);
    add(&mut one, amount(Kind::Residential, 90), &[]);
    add(&mut one, long, &[]);
    add(&mut one, dollars, &[]);
    let table = tariffs(vec![one]);
    let mut wanted = sending();
    wanted.parcels.push(Parcel {
        weight_grams: 500,
        dimensions: Some(Dimensions {
            length_mm: 1_001,
            width_mm: 10,
            height_mm: 10,
        }),
    });
    let choice = choose(&table, &Offers::NotAsked, &wanted);
    let line = |kind, amount_minor| CostLine { kind, amount_minor };
    assert_eq!(
        choice.candidates[0].lines,
        [
            line(CostKind::Base, 2_000),
            // 122.5 twice, each rounded.
            line(CostKind::Fuel, 246),
            line(CostKind::Remote, 500),
            line(CostKind::Oversize, 700),
            line(CostKind::Residential, 180),
        ]
    );
    assert_eq!(choice.candidates[0].cost_minor, Some(3_626));
    wanted.destination.postal_code = Some("6800".to_owned());
    wanted.destination.residential = false;
    let choice = choose(&table, &Offers::NotAsked, &wanted);
    assert_eq!(choice.candidates[0].cost_minor, Some(2_946));
}

#[test]
fn f3_the_nearest_zone_is_that_of_the_longest_beginning() {
    let mut own = tariff("POST", Vec::new());
    own.zones = vec![
        zone(4, &["*"], &[]),
        zone(1, &["AT"], &[]),
        zone(2, &["AT"], &["6"]),
        zone(3, &["AT"], &["69"]),
    ];
    let code = |country, postal_code| {
        let found = own.zone("AT", country, postal_code);
        found.map(|zone| &*zone.row.code)
    };
    assert_eq!(code("AT", Some("1010")), Some("zone-1"));
    assert_eq!(code("AT", Some("A-6020")), Some("zone-1"));
    assert_eq!(code("AT", Some(" 60 20")), Some("zone-2"));
    assert_eq!(code("AT", Some("6900")), Some("zone-3"));
    assert_eq!(code("AT", None), Some("zone-1"));
    assert_eq!(code("JP", None), Some("zone-4"));
    own.zones.remove(0);
    assert_eq!(own.zone("AT", "JP", None).map(|zone| zone.row.id), None);
}

#[test]
fn f3_a_zone_that_names_the_origin_comes_before_those_for_any() {
    let mut own = tariff("POST", Vec::new());
    let mut from_germany = zone(3, &["*"], &[]);
    from_germany.origins = vec!["DE".to_owned()];
    own.zones = vec![zone(1, &["AT"], &[]), zone(2, &["*"], &[]), from_germany];
    let code = |origin, country| {
        let found = own.zone(origin, country, None);
        found.map(|zone| &*zone.row.code)
    };
    assert_eq!(code("AT", "AT"), Some("zone-1"));
    assert_eq!(code("AT", "JP"), Some("zone-2"));
    assert_eq!(code("DE", "AT"), Some("zone-3"));
    own.zones.remove(1);
    assert_eq!(own.zone("AT", "JP", None).map(|zone| zone.row.id), None);
}

#[test]
fn f3_a_carrier_that_does_not_answer_is_rated_by_the_table_and_says_so() {
    let mut asked = tariff("Post", vec![service("Parcel", 500, 2)]);
    asked.carrier.adapter = carrier::Adapter::Easypost;
    let table = Tariffs {
        carriers: vec![asked],
    };
    let rated = |offers: &Offers| {
        let choice = choose(&table, offers, &sending());
        let only = choice.candidates[0].clone();
        (only.rating, only.cost_minor, only.reason)
    };
    let said = |carrier: &str| {
        Offers::Said(vec![Offered {
            carrier: carrier.to_owned(),
            service: "PARCEL".to_owned(),
            cost_minor: 432,
            currency: Currency::EUR,
            days: Some(1),
        }])
    };
    assert_eq!(
        rated(&said("POST")),
        (Rating::Live, Some(432), Reason::Chosen)
    );
    assert_eq!(rated(&said("Other")), (Rating::Live, None, Reason::NoRate));
    let fallback = rated(&Offers::Silent);
    assert_eq!(fallback, (Rating::Fallback, Some(500), Reason::Chosen));
    let table = rated(&Offers::NotAsked);
    assert_eq!(table, (Rating::Table, Some(500), Reason::Chosen));
}

prop_compose! {
    fn services()(prices in prop::collection::vec((1_i64..6, 0_i32..4, any::<bool>()), 1..8))
        -> Vec<Service> {
        let all = prices.into_iter().enumerate();
        all.map(|(number, (price, days, express))| {
            let mut one = service(&format!("s{number}"), price * 100, days);
            if express {
                one.row.service_level = "EXPRESS".to_owned();
            }
            one
        })
        .collect()
    }
}

proptest! {
    #[test]
    fn f3_a_permuted_table_gives_the_same_choice(
        (services, permuted) in services().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        within in prop::option::of(0_i64..6),
        level in prop::option::of(prop::sample::select(vec!["STANDARD", "EXPRESS"])),
    ) {
        let mut wanted = sending();
        wanted.promised_by = within.map(|days| thursday() + chrono::TimeDelta::days(days));
        wanted.service_level = level.map(str::to_owned);
        let one = choose(&tariffs(services), &Offers::NotAsked, &wanted);
        let other = choose(&tariffs(permuted), &Offers::NotAsked, &wanted);
        prop_assert_eq!(one, other);
    }

    #[test]
    fn f3_one_more_that_loses_changes_nothing_for_the_others(
        services in services(),
        within in prop::option::of(0_i64..6),
        place in 0_usize..8,
    ) {
        let mut wanted = sending();
        wanted.promised_by = within.map(|days| thursday() + chrono::TimeDelta::days(days));
        let with = choose(&tariffs(services.clone()), &Offers::NotAsked, &wanted);
        let winner = with.chosen().map(|chosen| chosen.service.clone());
        // Any of those that lost can go.
        let losers: Vec<usize> = (0..services.len())
            .filter(|place| Some(&services[*place].row.code) != winner.as_ref())
            .collect();
        prop_assume!(!losers.is_empty());
        let mut fewer = services;
        fewer.remove(losers[place % losers.len()]);
        let without = choose(&tariffs(fewer), &Offers::NotAsked, &wanted);
        prop_assert_eq!(without.chosen().map(|chosen| chosen.service.clone()), winner);
        prop_assert_eq!(without.keeps_promise, with.keeps_promise);
    }

    #[test]
    fn f3_the_lines_add_up_to_the_cost(services in services(), grams in 1_i64..5_001) {
        let mut wanted = sending();
        wanted.parcels[0].weight_grams = grams;
        for candidate in choose(&tariffs(services), &Offers::NotAsked, &wanted).candidates {
            let sum: i64 = candidate.lines.iter().map(|line| line.amount_minor).sum();
            prop_assert_eq!(candidate.cost_minor.unwrap_or(0), sum);
        }
    }
}
