//! A small believable merchant for first looks and tests: coffee, tea and what they are made
//! with, sold in a web shop, on a marketplace and to businesses.

use chrono::Duration;
use entity::channel::{FailedCheckPolicy, RoundingMode, RoundingScope, TaxMode};
use entity::{
    BinId, ChannelId, Currency, PriceListId, ProductId, Rate, ShippingZoneId, TimeZone, VariantId,
    WarehouseId, bin, bin_stock, carton, channel, channel_warehouse, customer, customer_group,
    inbound_supply, legal_entity, listing, price, price_list, product, promotion, shipping_rate,
    shipping_zone, stock, stock_movement, stock_source, tax_rate, variant, variant_code, warehouse,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, Set};
use serde_json::json;

use crate::app::App;
use crate::catalogue::channels::{
    DEFAULT_ARCHIVES_SECS, DEFAULT_COMPLETES_SECS, DEFAULT_PICKUP_SECS, DEFAULT_RETRY_SECS,
    DEFAULT_RETURN_DAYS, DEFAULT_ROUTING,
};
use crate::catalogue::{changed, code_key};
use crate::documents::Party;
use crate::events::Changes;
use crate::failure::Failure;
use crate::inventory::{Movement, Shelf, set_bins, sources};
use crate::invoicing::sellers;
use crate::tx::{Actor, Tx};

mod carriers;
mod history;
mod rules;

pub use history::open;

/// A product: code, title, tax category, grams a unit, price in cents, whether it may wait for
/// stock, units in the first warehouse, units in the second; then its sizes or flavours.
struct Item {
    code: &'static str,
    title: &'static str,
    tax: &'static str,
    grams: i64,
    cents: i64,
    waits: bool,
    stock: (i64, i64),
    variants: &'static [(&'static str, &'static str)],
}

#[rustfmt::skip]
const ITEMS: &[Item] = &[
    Item { code: "ESP", title: "Espresso Roast", tax: "REDUCED", grams: 270, cents: 890, waits: true, stock: (400, 150), variants: &[("250", "250 g"), ("250-DECAF", "250 g, decaffeinated"), ("250-GROUND", "250 g, ground")] },
    Item { code: "ESP-KG", title: "Espresso Roast", tax: "REDUCED", grams: 1_040, cents: 2_790, waits: true, stock: (180, 60), variants: &[("BEAN", "1 kg"), ("DECAF", "1 kg, decaffeinated")] },
    Item { code: "FIL", title: "Filter Roast", tax: "REDUCED", grams: 270, cents: 950, waits: true, stock: (320, 120), variants: &[("ETH", "Ethiopia, 250 g"), ("KEN", "Kenya, 250 g"), ("COL", "Colombia, 250 g"), ("GUA", "Guatemala, 250 g")] },
    Item { code: "FIL-KG", title: "Filter Roast", tax: "REDUCED", grams: 1_040, cents: 3_090, waits: true, stock: (90, 40), variants: &[("ETH", "Ethiopia, 1 kg"), ("COL", "Colombia, 1 kg")] },
    Item { code: "TEA-BLK", title: "Black Tea", tax: "REDUCED", grams: 130, cents: 790, waits: true, stock: (260, 90), variants: &[("ASSAM", "Assam, 100 g"), ("DARJ", "Darjeeling, 100 g"), ("EARL", "Earl Grey, 100 g")] },
    Item { code: "TEA-GRN", title: "Green Tea", tax: "REDUCED", grams: 130, cents: 890, waits: true, stock: (220, 80), variants: &[("SENCHA", "Sencha, 100 g"), ("GYO", "Gyokuro, 100 g"), ("JASMINE", "Jasmine, 100 g")] },
    Item { code: "TEA-HRB", title: "Herbal Infusion", tax: "REDUCED", grams: 90, cents: 590, waits: true, stock: (300, 110), variants: &[("MINT", "Peppermint, 70 g"), ("CHAM", "Chamomile, 70 g"), ("ROOI", "Rooibos, 70 g")] },
    Item { code: "MUG", title: "Stoneware Mug", tax: "STANDARD", grams: 380, cents: 1_490, waits: true, stock: (140, 60), variants: &[("WHITE", "white"), ("BLUE", "blue"), ("MOSS", "moss green"), ("RUST", "rust")] },
    Item { code: "CUP-ESP", title: "Espresso Cup, Set of 4", tax: "STANDARD", grams: 620, cents: 2_490, waits: true, stock: (70, 25), variants: &[("WHITE", "white"), ("BLACK", "black")] },
    Item { code: "GLASS", title: "Double-Walled Glass, Set of 2", tax: "STANDARD", grams: 410, cents: 1_990, waits: true, stock: (85, 30), variants: &[("S", "80 ml"), ("M", "250 ml"), ("L", "400 ml")] },
    Item { code: "MOKA", title: "Moka Pot", tax: "STANDARD", grams: 650, cents: 2_990, waits: true, stock: (60, 20), variants: &[("3", "3 cups"), ("6", "6 cups"), ("9", "9 cups")] },
    Item { code: "PRESS", title: "French Press", tax: "STANDARD", grams: 780, cents: 3_490, waits: true, stock: (55, 20), variants: &[("350", "350 ml"), ("1000", "1 l")] },
    Item { code: "DRIP", title: "Pour-Over Dripper", tax: "STANDARD", grams: 340, cents: 2_190, waits: true, stock: (75, 25), variants: &[("01", "size 01"), ("02", "size 02")] },
    Item { code: "FILT", title: "Paper Filters, 100 pieces", tax: "STANDARD", grams: 160, cents: 590, waits: true, stock: (500, 200), variants: &[("01", "size 01"), ("02", "size 02"), ("04", "size 04")] },
    Item { code: "KETTLE", title: "Gooseneck Kettle", tax: "STANDARD", grams: 1_350, cents: 6_990, waits: false, stock: (24, 8), variants: &[("STEEL", "brushed steel"), ("BLACK", "matt black")] },
    Item { code: "SCALE", title: "Brewing Scale", tax: "STANDARD", grams: 520, cents: 4_990, waits: false, stock: (30, 10), variants: &[("STD", "0.1 g")] },
    Item { code: "GRIND-H", title: "Hand Grinder", tax: "STANDARD", grams: 610, cents: 8_900, waits: false, stock: (18, 6), variants: &[("STEEL", "steel burrs"), ("CERAM", "ceramic burrs")] },
    Item { code: "GRIND-E", title: "Electric Grinder", tax: "STANDARD", grams: 3_200, cents: 21_900, waits: false, stock: (9, 3), variants: &[("BLACK", "black"), ("SILVER", "silver")] },
    Item { code: "MACH", title: "Espresso Machine", tax: "STANDARD", grams: 9_800, cents: 64_900, waits: false, stock: (5, 2), variants: &[("ONE", "single boiler"), ("DUO", "dual boiler")] },
    Item { code: "TAMP", title: "Tamper", tax: "STANDARD", grams: 420, cents: 2_790, waits: true, stock: (40, 15), variants: &[("54", "54 mm"), ("58", "58 mm")] },
    Item { code: "TEAPOT", title: "Teapot", tax: "STANDARD", grams: 940, cents: 3_990, waits: true, stock: (35, 12), variants: &[("CAST", "cast iron"), ("GLASS", "glass")] },
    Item { code: "TIN", title: "Storage Tin", tax: "STANDARD", grams: 210, cents: 990, waits: true, stock: (160, 70), variants: &[("S", "250 g"), ("L", "500 g")] },
    Item { code: "SYRUP", title: "Syrup, 250 ml", tax: "REDUCED", grams: 480, cents: 690, waits: true, stock: (130, 50), variants: &[("VAN", "vanilla"), ("CAR", "caramel"), ("HAZ", "hazelnut")] },
    Item { code: "GIFT", title: "Gift Box", tax: "STANDARD", grams: 1_150, cents: 4_490, waits: false, stock: (45, 15), variants: &[("COFFEE", "coffee"), ("TEA", "tea")] },
];

/// A customer: code, name, e-mail address, group, and how much it may owe, in cents.
struct Buyer(
    &'static str,
    &'static str,
    &'static str,
    Option<&'static str>,
    Option<i64>,
);

#[rustfmt::skip]
const CUSTOMERS: &[Buyer] = &[
    Buyer("C-1001", "Anna Leitner", "anna.leitner@mail.example", None, None),
    Buyer("C-1002", "Jonas Weber", "jonas.weber@mail.example", None, None),
    Buyer("C-1003", "Sofía Marín", "sofia.marin@mail.example", None, None),
    Buyer("C-1004", "Émile Laurent", "emile.laurent@mail.example", None, None),
    Buyer("C-1005", "Zuzanna Wójcik", "zuzanna.wojcik@mail.example", None, None),
    Buyer("C-1006", "Mats Lindqvist", "mats.lindqvist@mail.example", Some("vip"), None),
    Buyer("C-1007", "Giulia Conti", "giulia.conti@mail.example", Some("vip"), None),
    Buyer("C-1008", "Pieter de Wit", "pieter.dewit@mail.example", None, None),
    Buyer("B-2001", "Kaffeehaus am Ring GmbH", "einkauf@kaffeehaus.example", Some("trade"), Some(500_000)),
    Buyer("B-2002", "Café Océano S.L.", "compras@oceano.example", Some("trade"), Some(250_000)),
    Buyer("B-2003", "Nordlys Bageri ApS", "indkob@nordlys.example", Some("trade"), Some(150_000)),
    Buyer("B-2004", "Büro Sonnenschein KG", "office@sonnenschein.example", Some("trade"), Some(60_000)),
];

/// The standard and reduced tax rates of the countries that the merchant ships to.
const TAXES: &[(&str, &str, &str)] = &[
    ("AT", "0.20", "0.10"),
    ("BE", "0.21", "0.06"),
    ("DE", "0.19", "0.07"),
    ("DK", "0.25", "0.25"),
    ("ES", "0.21", "0.10"),
    ("FR", "0.20", "0.055"),
    ("IT", "0.22", "0.10"),
    ("NL", "0.21", "0.09"),
    ("PL", "0.23", "0.05"),
    ("SE", "0.25", "0.12"),
];

/// A variant of the demo merchant as everybody can buy it. Prices are cents a unit, from a
/// quantity on.
pub struct Offer {
    /// Its SKU.
    pub sku: String,
    /// Its title.
    pub title: String,
    /// What anybody pays.
    pub retail: [(i64, i64); 2],
    /// What trade customers pay, without tax.
    pub trade: [(i64, i64); 2],
}

/// What the demo merchant sells.
pub fn offers() -> impl Iterator<Item = Offer> {
    ITEMS.iter().flat_map(|item| {
        item.variants.iter().map(|(suffix, name)| Offer {
            sku: format!("{}-{suffix}", item.code),
            title: format!("{}, {name}", item.title),
            retail: retail(item.cents),
            trade: trade(item.cents),
        })
    })
}

/// A tenth off from twelve units on.
fn retail(cents: i64) -> [(i64, i64); 2] {
    [(1, cents), (12, cents * 9 / 10)]
}

/// Trade pays net and a quarter less.
fn trade(cents: i64) -> [(i64, i64); 2] {
    [(1, cents * 3 / 4), (24, cents * 7 / 10)]
}

/// Fills a database without channels; returns whether it did.
pub async fn seed(app: &App) -> Result<bool, Failure> {
    fill(app, true).await
}

/// The same without rules and without a source of stock figures, so that nothing but the checks
/// stops an order, and stock is what a test says.
pub async fn seed_without_rules(app: &App) -> Result<bool, Failure> {
    fill(app, false).await
}

async fn fill(app: &App, with_rules: bool) -> Result<bool, Failure> {
    if channel::Entity::find().one(&app.db.read).await?.is_some() {
        return Ok(false);
    }
    app.write(&Actor::worker("seed"), move |tx| async move {
        let warehouses = merchant(&tx).await?;
        if with_rules {
            rules::rules(&tx).await?;
            till(&tx, &warehouses).await?;
            seller(&tx).await?;
        }
        Ok(())
    })
    .await?;
    app.invalidate_reference();
    Ok(true)
}

/// Who the demo merchant is to the tax office.
const SELLER: &str = "ROASTERY";

/// Whether the demo merchant, with its rules, is who sells here.
pub async fn is_there(db: &impl ConnectionTrait) -> Result<bool, DbErr> {
    let found = legal_entity::Entity::find()
        .filter(legal_entity::Column::Code.eq(SELLER))
        .one(db)
        .await?;
    Ok(found.is_some())
}

/// Who sells in every channel.
async fn seller(tx: &Tx) -> Result<(), Failure> {
    let some = |text: &str| Some(text.to_owned());
    let channels = channel::Entity::find().all(tx.db()).await?;
    let cmd = sellers::Save {
        code: SELLER.to_owned(),
        party: Party {
            name: "Alpenrösterei GmbH".to_owned(),
            line1: "Lindengasse 41".to_owned(),
            city: "Wien".to_owned(),
            postal_code: some("1070"),
            country: "AT".to_owned(),
            vat_id: some("ATU12345675"),
            registration: some("FN 123456a"),
            email: some("office@roastery.example"),
            iban: some("AT611904300234573201"),
            bic: some("BKAUATWWXXX"),
            ..Party::default()
        },
        invoice_prefix: "R-".to_owned(),
        credit_note_prefix: "G-".to_owned(),
        channels: channels.into_iter().map(|channel| channel.id).collect(),
        expected_version: None,
    };
    sellers::save(tx, cmd).await?;
    Ok(())
}

async fn merchant(tx: &Tx) -> Result<Vec<Site>, Failure> {
    let warehouses = warehouses(tx);
    let channels = channels(tx, &warehouses);
    let variants = products(tx, &channels);
    taxes_and_shipping(tx);
    cartons(tx);
    carriers::carriers(tx);
    promotions(tx);
    customers(tx);
    // What follows reads stock rows and bins, so they must be there.
    tx.flush().await?;
    receive(tx, &warehouses, &variants).await?;
    Ok(warehouses)
}

/// The source that speaks for the store.
pub const TILL: &str = "berlin-till";

/// The second warehouse is a store's back room, whose till says what is there, while it is switched
/// on: `oms simulate` does that.
async fn till(tx: &Tx, warehouses: &[Site]) -> Result<(), Failure> {
    let store = sources::Create {
        code: TILL.to_owned(),
        name: "Till of the Berlin store".to_owned(),
        kind: stock_source::Kind::Store,
        warehouses: warehouses.get(1).map(|site| site.id).into_iter().collect(),
        budget_secs: 900,
        policy: stock_source::Policy::AlertOnly,
        buffer_percent: 10,
        buffer_cap_percent: 50,
        still_after_secs: Some(86_400),
        active: false,
    };
    sources::create(tx, store).await?;
    Ok(())
}

struct Site {
    id: WarehouseId,
    bins: Vec<BinId>,
}

fn warehouses(tx: &Tx) -> Vec<Site> {
    let mut sites = Vec::new();
    let mut rows = Vec::new();
    let mut bins = Vec::new();
    for (code, name, country, street, postal_code) in [
        ("VIE", "Vienna", "AT", "Laxenburger Strasse 151", "1100"),
        ("BER", "Berlin", "DE", "Westhafenstrasse 1", "13353"),
    ] {
        let id: WarehouseId = tx.id();
        rows.push(warehouse::ActiveModel {
            id: Set(id),
            code: Set(code.to_owned()),
            name: Set(name.to_owned()),
            country: Set(country.to_owned()),
            active: Set(true),
            created_at: Set(tx.now),
            street: Set(Some(street.to_owned())),
            postal_code: Set(Some(postal_code.to_owned())),
            city: Set(Some(name.to_owned())),
            phone: Set(None),
            two_person_check: Set(false),
        });
        let mut site = Site {
            id,
            bins: Vec::new(),
        };
        for (zone, aisles) in [("A", 3), ("B", 2)] {
            for aisle in 1..=aisles {
                for bay in 1..=4 {
                    for level in 1..=2 {
                        let bin: BinId = tx.id();
                        site.bins.push(bin);
                        bins.push(bin::ActiveModel {
                            id: Set(bin),
                            warehouse_id: Set(id),
                            code: Set(format!("{zone}-{aisle:02}-{bay:02}-{level}")),
                            zone: Set(zone.to_owned()),
                            aisle: Set(format!("{aisle:02}")),
                            bay: Set(format!("{bay:02}")),
                            level: Set(level.to_string()),
                            position: Set("1".to_owned()),
                            locked: Set(false),
                            purpose: Set(bin::Purpose::Storage),
                        });
                    }
                }
            }
        }
        sites.push(site);
    }
    tx.defer_rows(rows, |insert| insert);
    tx.defer_rows(bins, |insert| insert);
    sites
}

/// What parcels are packed in, small to large.
fn cartons(tx: &Tx) {
    let rows = [
        ("S", "Small carton", [200, 150, 100], 60, 3_000),
        ("M", "Medium carton", [300, 220, 160], 140, 8_000),
        ("L", "Large carton", [450, 320, 250], 320, 20_000),
        ("XL", "Extra large carton", [600, 400, 400], 650, 31_000),
    ]
    .map(
        |(code, name, [length, width, height], tare, most)| carton::ActiveModel {
            id: Set(tx.id()),
            code: Set(code.to_owned()),
            name: Set(name.to_owned()),
            length_mm: Set(length),
            width_mm: Set(width),
            height_mm: Set(height),
            tare_grams: Set(tare),
            max_grams: Set(most),
            active: Set(true),
            version: Set(1),
        },
    );
    tx.defer_rows(rows.to_vec(), |insert| insert);
}

fn channels(tx: &Tx, sites: &[Site]) -> Vec<ChannelId> {
    let mut ids = Vec::new();
    let mut rows = Vec::new();
    let mut serving = Vec::new();
    for (code, name, tax_mode, policy) in [
        (
            "web",
            "Web shop",
            TaxMode::Inclusive,
            FailedCheckPolicy::Refuse,
        ),
        (
            "marketplace",
            "Marketplace",
            TaxMode::Inclusive,
            FailedCheckPolicy::Review,
        ),
        (
            "b2b",
            "Business customers",
            TaxMode::Exclusive,
            FailedCheckPolicy::Review,
        ),
    ] {
        let id: ChannelId = tx.id();
        ids.push(id);
        changed(tx, "channel", id, 1, code, Changes::default());
        rows.push(channel::ActiveModel {
            id: Set(id),
            code: Set(code.to_owned()),
            name: Set(name.to_owned()),
            currency: Set(Currency::EUR),
            time_zone: Set("Europe/Vienna".parse().unwrap_or(TimeZone::UTC)),
            tax_mode: Set(tax_mode),
            rounding_mode: Set(RoundingMode::HalfUp),
            rounding_scope: Set(RoundingScope::PerLine),
            price_tolerance_minor: Set(0),
            failed_check_policy: Set(policy),
            requires_authorization: Set(true),
            reservation_ttl_secs: Set(900),
            dispatch_within_secs: Set(86_400),
            active: Set(true),
            version: Set(1),
            created_at: Set(tx.now),
            routing: Set(json!(DEFAULT_ROUTING)),
            pickup_within_secs: Set(DEFAULT_PICKUP_SECS),
            capture_retry_secs: Set(DEFAULT_RETRY_SECS),
            reauthorizes: Set(false),
            completes_after_secs: Set(DEFAULT_COMPLETES_SECS),
            archives_after_secs: Set(DEFAULT_ARCHIVES_SECS),
            return_window_days: Set(DEFAULT_RETURN_DAYS),
            restocking_fee: Set(Rate::default()),
            refunds_delivery: Set(true),
        });
        for (priority, site) in (0..).zip(sites) {
            serving.push(channel_warehouse::ActiveModel {
                channel_id: Set(id),
                warehouse_id: Set(site.id),
                priority: Set(priority),
            });
        }
    }
    tx.defer_rows(rows, |insert| insert);
    tx.defer_rows(serving, |insert| insert);
    ids
}

struct Stocked {
    id: VariantId,
    units: (i64, i64),
}

fn products(tx: &Tx, channels: &[ChannelId]) -> Vec<Stocked> {
    let retail_list: PriceListId = tx.id();
    let trade_list: PriceListId = tx.id();
    let lists = [
        ("retail", retail_list, None, 0),
        ("trade", trade_list, Some("trade"), 10),
    ];
    let lists: Vec<price_list::ActiveModel> = lists
        .into_iter()
        .map(|(code, id, group, rank)| price_list::ActiveModel {
            id: Set(id),
            code: Set(code.to_owned()),
            currency: Set(Currency::EUR),
            channel_id: Set(None),
            group_code: Set(group.map(str::to_owned)),
            rank: Set(rank),
            valid_from: Set(None),
            valid_until: Set(None),
        })
        .collect();
    let mut products = Vec::new();
    let mut variants = Vec::new();
    let mut codes = Vec::new();
    let mut listings = Vec::new();
    let mut prices = Vec::new();
    let mut stocked = Vec::new();
    for (number, item) in (1_u64..).zip(ITEMS) {
        let product_id: ProductId = tx.id();
        changed(tx, "product", product_id, 1, item.code, Changes::default());
        products.push(product::ActiveModel {
            id: Set(product_id),
            code: Set(item.code.to_owned()),
            title: Set(item.title.to_owned()),
            description: Set(None),
            metadata: Set(json!({})),
            version: Set(1),
            created_at: Set(tx.now),
            updated_at: Set(tx.now),
        });
        for (place, (suffix, name)) in (1_u64..).zip(item.variants) {
            let id: VariantId = tx.id();
            let sku = format!("{}-{suffix}", item.code);
            changed(tx, "variant", id, 1, &sku, Changes::default());
            stocked.push(Stocked {
                id,
                units: item.stock,
            });
            variants.push(variant::ActiveModel {
                id: Set(id),
                product_id: Set(product_id),
                sku: Set(sku.clone()),
                title: Set(format!("{}, {name}", item.title)),
                status: Set(variant::Status::Active),
                backorderable: Set(item.waits),
                tax_category: Set(item.tax.to_owned()),
                weight_grams: Set(item.grams),
                dangerous_goods: Set(false),
                length_mm: Set(None),
                width_mm: Set(None),
                height_mm: Set(None),
                version: Set(1),
                created_at: Set(tx.now),
                updated_at: Set(tx.now),
            });
            for (code, kind, units) in [
                (sku, variant_code::Kind::Sku, 1),
                (
                    gtin(901_234_500_000 + number * 100 + place),
                    variant_code::Kind::Gtin,
                    1,
                ),
            ] {
                codes.push(variant_code::ActiveModel {
                    code_key: Set(code_key(&code)),
                    code: Set(code),
                    variant_id: Set(id),
                    kind: Set(kind),
                    units: Set(units),
                });
            }
            for channel in channels {
                listings.push(listing::ActiveModel {
                    channel_id: Set(*channel),
                    variant_id: Set(id),
                });
            }
            let prices_of = [
                (retail_list, retail(item.cents)),
                (trade_list, trade(item.cents)),
            ];
            for (list, quantity, cents) in prices_of
                .into_iter()
                .flat_map(|(list, tiers)| tiers.map(|(quantity, cents)| (list, quantity, cents)))
            {
                prices.push(price::ActiveModel {
                    price_list_id: Set(list),
                    variant_id: Set(id),
                    min_quantity: Set(quantity),
                    unit_price_minor: Set(cents),
                });
            }
        }
    }
    tx.defer_rows(products, |insert| insert);
    tx.defer_rows(variants, |insert| insert);
    tx.defer_rows(codes, |insert| insert);
    tx.defer_rows(listings, |insert| insert);
    tx.defer_rows(lists, |insert| insert);
    tx.defer_rows(prices, |insert| insert);
    stocked
}

/// A GTIN-13 from its first twelve digits: the thirteenth makes the weighted sum a multiple of
/// ten (GS1 General Specifications, 7.9).
fn gtin(body: u64) -> String {
    let sum: u64 = body
        .to_string()
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, digit)| u64::from(digit - b'0') * if place % 2 == 0 { 3 } else { 1 })
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

fn taxes_and_shipping(tx: &Tx) {
    let mut rows = Vec::new();
    for (country, standard, reduced) in TAXES {
        for (category, rate) in [
            ("STANDARD", standard),
            ("REDUCED", reduced),
            ("SHIPPING", standard),
        ] {
            rows.push(tax_rate::ActiveModel {
                id: Set(tx.id()),
                country: Set((*country).to_owned()),
                region: Set(None),
                category: Set(category.to_owned()),
                rate: Set(rate.parse::<Rate>().unwrap_or_default()),
                valid_from: Set(None),
                valid_until: Set(None),
            });
        }
    }
    tx.defer_rows(rows, |insert| insert);
    let mut zones = Vec::new();
    let mut rates = Vec::new();
    for (code, name, countries, factor) in [
        ("home", "Austria and Germany", json!(["AT", "DE"]), 1),
        (
            "eu",
            "European Union",
            json!(["BE", "DK", "ES", "FR", "IT", "NL", "PL", "SE"]),
            2,
        ),
        ("world", "Rest of the world", json!(["*"]), 5),
    ] {
        let id: ShippingZoneId = tx.id();
        zones.push(shipping_zone::ActiveModel {
            id: Set(id),
            code: Set(code.to_owned()),
            name: Set(name.to_owned()),
            countries: Set(countries),
        });
        for (service, min, max, cents, free) in [
            ("STANDARD", 0, Some(5_000), 490, Some(6_000)),
            ("STANDARD", 5_000, Some(31_500), 990, None),
            ("STANDARD", 31_500, None, 3_900, None),
            ("EXPRESS", 0, Some(5_000), 1_290, None),
            ("EXPRESS", 5_000, Some(31_500), 2_490, None),
        ] {
            rates.push(shipping_rate::ActiveModel {
                id: Set(tx.id()),
                zone_id: Set(id),
                channel_id: Set(None),
                service_level: Set(service.to_owned()),
                min_weight_grams: Set(min),
                max_weight_grams: Set(max),
                price_minor: Set(cents * factor),
                currency: Set(Currency::EUR),
                free_over_minor: Set(free.filter(|_| factor < 5)),
            });
        }
    }
    tx.defer_rows(zones, |insert| insert);
    tx.defer_rows(rates, |insert| insert);
}

fn promotions(tx: &Tx) {
    let base = |code: &str, name: &str, kind: promotion::PromotionKind| promotion::ActiveModel {
        id: Set(tx.id()),
        code: Set(Some(code.to_owned())),
        name: Set(name.to_owned()),
        channel_id: Set(None),
        kind: Set(kind),
        percent: Set(None),
        amount_minor: Set(None),
        currency: Set(None),
        buy_quantity: Set(None),
        get_quantity: Set(None),
        skus: Set(None),
        min_subtotal_minor: Set(0),
        priority: Set(10),
        exclusive: Set(false),
        usage_limit: Set(None),
        usage_count: Set(0),
        valid_from: Set(None),
        valid_until: Set(None),
        active: Set(true),
        version: Set(1),
        created_at: Set(tx.now),
    };
    let mut welcome = base(
        "WELCOME10",
        "10 % for new customers",
        promotion::PromotionKind::Percent,
    );
    welcome.percent = Set("0.10".parse().ok());
    let mut five = base(
        "MINUS5",
        "5 € off from 40 €",
        promotion::PromotionKind::Amount,
    );
    five.amount_minor = Set(Some(500));
    five.currency = Set(Some(Currency::EUR));
    five.min_subtotal_minor = Set(4_000);
    let mut mugs = base(
        "MUGS3FOR2",
        "Three mugs for two",
        promotion::PromotionKind::BuyXGetY,
    );
    mugs.buy_quantity = Set(Some(2));
    mugs.get_quantity = Set(Some(1));
    mugs.skus = Set(Some(json!([
        "MUG-WHITE",
        "MUG-BLUE",
        "MUG-MOSS",
        "MUG-RUST"
    ])));
    let post = base(
        "FREEPOST",
        "Free shipping",
        promotion::PromotionKind::FreeShipping,
    );
    let mut first = base(
        "FIRST100",
        "20 % for the first hundred",
        promotion::PromotionKind::Percent,
    );
    first.percent = Set("0.20".parse().ok());
    first.exclusive = Set(true);
    first.usage_limit = Set(Some(100));
    let all = vec![welcome, five, mugs, post, first];
    for promotion in &all {
        changed(
            tx,
            "promotion",
            promotion.id.as_ref(),
            1,
            promotion.name.as_ref(),
            Changes::default(),
        );
    }
    tx.defer_rows(all, |insert| insert);
}

fn customers(tx: &Tx) {
    let groups = [("trade", "Trade"), ("vip", "Regulars")];
    let groups: Vec<customer_group::ActiveModel> = groups
        .into_iter()
        .map(|(code, name)| customer_group::ActiveModel {
            code: Set(code.to_owned()),
            name: Set(name.to_owned()),
        })
        .collect();
    let rows: Vec<customer::ActiveModel> = CUSTOMERS
        .iter()
        .map(
            |Buyer(code, name, email, group, limit)| customer::ActiveModel {
                id: Set(tx.id()),
                code: Set((*code).to_owned()),
                name: Set((*name).to_owned()),
                email: Set(Some((*email).to_owned())),
                phone: Set(None),
                group_code: Set(group.map(str::to_owned)),
                tax_exempt: Set(false),
                terms_days: Set(limit.map(|_| 30)),
                credit_limit_minor: Set(*limit),
                credit_currency: Set(limit.map(|_| Currency::EUR)),
                credit_used_minor: Set(0),
                version: Set(1),
                created_at: Set(tx.now),
                updated_at: Set(tx.now),
            },
        )
        .collect();
    for customer in &rows {
        changed(
            tx,
            "customer",
            customer.id.as_ref(),
            1,
            customer.code.as_ref(),
            Changes::default(),
        );
    }
    tx.defer_rows(groups, |insert| insert);
    tx.defer_rows(rows, |insert| insert);
}

/// Books the opening stock in, bin by bin, and a delivery that is on its way.
async fn receive(tx: &Tx, sites: &[Site], variants: &[Stocked]) -> Result<(), Failure> {
    let rows: Vec<stock::ActiveModel> = variants
        .iter()
        .flat_map(|variant| sites.iter().map(move |site| (variant.id, site.id)))
        .map(|(variant, warehouse)| stock::ActiveModel {
            variant_id: Set(variant),
            warehouse_id: Set(warehouse),
            on_hand: Set(0),
            reserved: Set(0),
            safety: Set(0),
            version: Set(0),
            updated_at: Set(tx.now),
        })
        .collect();
    tx.defer_rows(rows, |insert| insert);
    tx.flush().await?;
    let mut shelf = Shelf::lock(tx, variants.iter().map(|variant| variant.id)).await?;
    for (place, variant) in variants.iter().enumerate() {
        for (site, units) in sites.iter().zip([variant.units.0, variant.units.1]) {
            let bin = site.bins[place % site.bins.len()];
            shelf.change(
                tx,
                Movement {
                    variant_id: variant.id,
                    warehouse_id: site.id,
                    bin_id: Some(bin),
                    kind: stock_movement::Kind::Receive,
                    on_hand: units,
                    reserved: 0,
                    reason: Some("opening stock".to_owned()),
                    document: None,
                    order_id: None,
                    operation_key: format!("opening:{}:{}", variant.id, site.id),
                },
            );
            set_bins(
                tx,
                [bin_stock::Model {
                    bin_id: bin,
                    variant_id: variant.id,
                    warehouse_id: site.id,
                    quantity: units,
                }],
            );
        }
    }
    shelf.put_back(tx);
    let coming: Vec<inbound_supply::ActiveModel> = variants
        .iter()
        .step_by(5)
        .filter_map(|variant| Some((variant, sites.first()?)))
        .map(|(variant, site)| inbound_supply::ActiveModel {
            id: Set(tx.id()),
            variant_id: Set(variant.id),
            warehouse_id: Set(site.id),
            quantity: Set(variant.units.0),
            received: Set(0),
            expected_at: Set(tx.now + Duration::days(9)),
            supplier: Set(Some("Hafenkontor Import".to_owned())),
            reference: Set(None),
            status: Set(inbound_supply::Status::Expected),
            created_at: Set(tx.now),
        })
        .collect();
    tx.defer_rows(coming, |insert| insert);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::gtin;

    #[test]
    fn a_gtin_has_its_check_digit() {
        assert_eq!(gtin(400_638_133_393), "4006381333931");
    }
}
