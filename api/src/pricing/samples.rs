//! Carts and promotions for the tests of this domain.

use chrono::{DateTime, TimeDelta, Utc};
use entity::channel::{RoundingMode, RoundingScope, TaxMode};
use entity::promotion::{Model, PromotionKind};
use entity::{ChannelId, Currency, PromotionId, Rate};
use uuid::Uuid;

use super::{Cart, CartLine, ShippingCharge};

/// The moment of every order.
pub(super) fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

/// A rate, read from text.
pub(super) fn rate(text: &str) -> Rate {
    text.parse().expect("a decimal")
}

/// Units of a SKU, without tax.
pub(super) fn line(sku: &str, quantity: i64, unit_price_minor: i64) -> CartLine {
    CartLine {
        sku: sku.to_owned(),
        quantity,
        unit_price_minor,
        agreed_discount_minor: 0,
        tax_rate: Rate::default(),
    }
}

/// Units of a SKU with a tax rate.
pub(super) fn taxed_line(
    sku: &str,
    quantity: i64,
    unit_price_minor: i64,
    tax_rate: &str,
) -> CartLine {
    CartLine {
        tax_rate: rate(tax_rate),
        ..line(sku, quantity, unit_price_minor)
    }
}

/// A shipping charge with a tax rate.
pub(super) fn taxed_shipping(price_minor: i64, tax_rate: &str) -> Option<ShippingCharge> {
    Some(ShippingCharge {
        price_minor,
        tax_rate: rate(tax_rate),
    })
}

/// A cart in euros with prices exclusive of tax, rounded half up and per line, and untaxed
/// shipping of 4.90.
pub(super) fn cart(lines: Vec<CartLine>) -> Cart<'static> {
    Cart {
        currency: Currency::EUR,
        tax_mode: TaxMode::Exclusive,
        rounding_mode: RoundingMode::HalfUp,
        rounding_scope: RoundingScope::PerLine,
        now: now(),
        channel_id: ChannelId(Uuid::from_u128(1)),
        lines,
        shipping: Some(ShippingCharge {
            price_minor: 490,
            tax_rate: Rate::default(),
        }),
        promotions: &[],
        codes: Vec::new(),
        tax_exempt: false,
    }
}

/// A share of every line.
pub(super) fn percent(code: &str, percent: &str) -> Model {
    Model {
        percent: Some(rate(percent)),
        ..promotion(code, PromotionKind::Percent)
    }
}

/// An amount in euros.
pub(super) fn amount(code: &str, amount_minor: i64) -> Model {
    Model {
        amount_minor: Some(amount_minor),
        currency: Some(Currency::EUR),
        ..promotion(code, PromotionKind::Amount)
    }
}

/// The shipping charge.
pub(super) fn free_shipping(code: &str) -> Model {
    promotion(code, PromotionKind::FreeShipping)
}

/// Free units of every SKU.
pub(super) fn buy_x_get_y(code: &str, buy: i32, get: i32) -> Model {
    Model {
        buy_quantity: Some(buy),
        get_quantity: Some(get),
        ..promotion(code, PromotionKind::BuyXGetY)
    }
}

/// A promotion that runs everywhere and always; its identifier is spelled by its code.
fn promotion(code: &str, kind: PromotionKind) -> Model {
    let id = code.bytes().fold(1, |id, byte| id << 8 | u128::from(byte));
    Model {
        id: PromotionId(Uuid::from_u128(id)),
        code: Some(code.to_owned()),
        name: code.to_owned(),
        channel_id: None,
        kind,
        percent: None,
        amount_minor: None,
        currency: None,
        buy_quantity: None,
        get_quantity: None,
        skus: None,
        min_subtotal_minor: 0,
        priority: 0,
        exclusive: false,
        usage_limit: None,
        usage_count: 0,
        valid_from: None,
        valid_until: None,
        active: true,
        version: 1,
        created_at: now(),
    }
}
