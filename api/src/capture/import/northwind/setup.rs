//! What must be there before the orders: channel, warehouse, products with their stock, customers.
//! What is there under its code already is left as it is.

use std::collections::HashMap;

use chrono::Duration;
use entity::channel::{FailedCheckPolicy, RoundingMode, RoundingScope, TaxMode};
use entity::{
    BinId, ChannelId, Currency, Money, PriceListId, TimeZone, WarehouseId, bin, channel,
    price_list, product, warehouse,
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::{CHANNEL, Category, Customer, Northwind, Product, sku};
use crate::capture::address::parse_country;
use crate::capture::contact::Phone;
use crate::catalogue::prices::{Tier, VariantPrices};
use crate::catalogue::products::{Discontinue, NewVariant};
use crate::catalogue::{self, Reference, channels, customers, prices, products, warehouses};
use crate::failure::{Code, Failure, Problem};
use crate::inventory::inbound;
use crate::orders::stock;
use crate::tx::Tx;

/// The code of the warehouse.
pub const WAREHOUSE: &str = "NW";

/// How long soft holds live: 90 days, the most that a channel may have.
const HOLD_SECS: i64 = 90 * 24 * 60 * 60;

/// How long after its release an order should be dispatched.
const DISPATCH_SECS: i64 = 24 * 60 * 60;

/// When a delivery is expected of which nobody knows the date.
const DELIVERY_DAYS: i64 = 14;

/// Where the company sells from.
#[derive(Clone, Debug)]
pub struct Site {
    channel: ChannelId,
    warehouse: WarehouseId,
    price_list: PriceListId,
    bins: HashMap<u32, BinId>,
}

/// Makes the channel, the price list, and the warehouse with its bins.
pub async fn site(tx: &Tx, northwind: &Northwind) -> Result<Site, Failure> {
    let warehouse = match warehouse::Entity::find()
        .filter(warehouse::Column::Code.eq(WAREHOUSE))
        .one(tx.db())
        .await?
    {
        Some(row) => row.id,
        None => {
            let cmd = warehouses::Create {
                code: WAREHOUSE.to_owned(),
                name: "Northwind".to_owned(),
                country: "US".to_owned(),
            };
            warehouses::create(tx, cmd).await?.id
        }
    };
    let mut bins = HashMap::new();
    for category in &northwind.categories {
        bins.insert(category.id, category_bin(tx, warehouse, category).await?);
    }
    let channel = match channel::Entity::find()
        .filter(channel::Column::Code.eq(CHANNEL))
        .one(tx.db())
        .await?
    {
        Some(row) => row.id,
        None => {
            let cmd = channels::Create {
                code: CHANNEL.to_owned(),
                name: "Northwind".to_owned(),
                currency: Currency::USD,
                time_zone: TimeZone::UTC,
                tax_mode: TaxMode::Exclusive,
                rounding_mode: RoundingMode::HalfUp,
                rounding_scope: RoundingScope::PerLine,
                price_tolerance_minor: 0,
                failed_check_policy: FailedCheckPolicy::Review,
                requires_authorization: false,
                reservation_ttl_secs: HOLD_SECS,
                dispatch_within_secs: DISPATCH_SECS,
                warehouses: vec![warehouse],
            };
            channels::create(tx, cmd).await?.id
        }
    };
    let price_list = match price_list::Entity::find()
        .filter(price_list::Column::Code.eq(CHANNEL))
        .one(tx.db())
        .await?
    {
        Some(row) => row.id,
        None => {
            let cmd = prices::Create {
                code: CHANNEL.to_owned(),
                currency: Currency::USD,
                channel_id: Some(channel),
                group_code: None,
                rank: 0,
                valid_from: None,
                valid_until: None,
            };
            prices::create(tx, cmd).await?.id
        }
    };
    Ok(Site {
        channel,
        warehouse,
        price_list,
        bins,
    })
}

async fn category_bin(
    tx: &Tx,
    warehouse_id: WarehouseId,
    category: &Category,
) -> Result<BinId, Failure> {
    let code = category.name.to_uppercase().replace(['/', ' '], "-");
    let found = bin::Entity::find()
        .filter(bin::Column::WarehouseId.eq(warehouse_id))
        .filter(bin::Column::Code.eq(code.as_str()))
        .one(tx.db())
        .await?;
    if let Some(row) = found {
        return Ok(row.id);
    }
    let cmd = warehouses::CreateBin {
        warehouse_id,
        code,
        zone: category.name.clone(),
        aisle: format!("{:02}", category.id),
        bay: String::new(),
        level: String::new(),
        position: String::new(),
    };
    Ok(warehouses::create_bin(tx, cmd).await?.id)
}

/// Makes a product with its variant, price, stock and expected delivery, all or nothing; says
/// whether it did.
pub async fn product(
    tx: &Tx,
    reference: &Reference,
    site: &Site,
    product: &Product,
) -> Result<bool, Failure> {
    let code = sku(product.id);
    let there = product::Entity::find()
        .filter(product::Column::Code.eq(code.as_str()))
        .one(tx.db())
        .await?;
    if there.is_some() {
        return Ok(false);
    }
    let unit = product.quantity_per_unit.trim();
    let cmd = products::Create {
        code: code.clone(),
        title: product.product_name.clone(),
        description: (!unit.is_empty()).then(|| unit.to_owned()),
        metadata: Vec::new(),
        variants: vec![NewVariant {
            sku: code,
            title: product.product_name.clone(),
            backorderable: true,
            tax_category: "STANDARD".to_owned(),
            weight_grams: 0,
            dangerous_goods: false,
            length_mm: None,
            width_mm: None,
            height_mm: None,
            codes: Vec::new(),
            channels: vec![site.channel],
        }],
    };
    let created = products::create(tx, cmd).await?;
    let Some(variant) = created.variants.first() else {
        return Err(Failure::Internal(
            "a product without its variant".to_owned(),
        ));
    };
    let price = Money::from_decimal(product.unit_price, Currency::USD).map_err(|error| {
        Problem::new(Code::AmountInvalid, error.to_string()).at("input.unitPrice")
    })?;
    let tier = Tier {
        min_quantity: 1,
        unit_price_minor: price.minor,
    };
    let cmd = prices::Set {
        price_list_id: site.price_list,
        prices: vec![VariantPrices {
            variant_id: variant.id,
            tiers: vec![tier],
        }],
    };
    prices::set(tx, cmd).await?;
    if product.discontinued != 0 {
        products::discontinue(
            tx,
            Discontinue {
                id: variant.id,
                expected_version: None,
            },
        )
        .await?;
    }
    if product.units_in_stock > 0 {
        let cmd = stock::Receive {
            variant_id: variant.id,
            warehouse_id: site.warehouse,
            bin_id: site.bins.get(&product.category_id).copied(),
            quantity: product.units_in_stock,
            inbound_id: None,
            document: Some("Northwind: UnitsInStock".to_owned()),
        };
        stock::receive(tx, reference, &cmd).await?;
    }
    if product.units_on_order > 0 {
        let cmd = inbound::Expect {
            variant_id: variant.id,
            warehouse_id: site.warehouse,
            quantity: product.units_on_order,
            expected_at: tx.now + Duration::days(DELIVERY_DAYS),
            supplier: None,
            reference: Some("Northwind: UnitsOnOrder".to_owned()),
        };
        inbound::expect(tx, &cmd).await?;
    }
    Ok(true)
}

/// Makes a customer; says whether it did. Refused where its address has no city or no country.
pub async fn customer(tx: &Tx, row: &Customer) -> Result<bool, Failure> {
    let mut problems = Vec::new();
    let mut wrong = |field: &str, message: String| {
        problems.push(
            Problem::new(Code::AddressInvalid, message).at(&format!("input.address.{field}")),
        );
    };
    if row.city.trim().is_empty() {
        wrong("city", "the address has no city".to_owned());
    }
    let country = parse_country(&row.country);
    if row.country.trim().is_empty() {
        wrong("country", "the address has no country".to_owned());
    } else if country.is_none() {
        wrong("country", format!("{:?} is no country", row.country));
    }
    if !problems.is_empty() {
        return Err(Failure::Refused(problems));
    }
    let code = row.id.trim();
    if catalogue::find_customer(tx.db(), None, Some(code))
        .await?
        .is_some()
    {
        return Ok(false);
    }
    let cmd = customers::Create {
        code: code.to_owned(),
        name: row.company_name.clone(),
        email: None,
        phone: Phone::parse(&row.phone, country)
            .ok()
            .map(|phone| phone.to_string()),
        group_code: None,
        tax_exempt: false,
        terms_days: None,
        credit_limit: None,
    };
    customers::create(tx, cmd).await?;
    Ok(true)
}
