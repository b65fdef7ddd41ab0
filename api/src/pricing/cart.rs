//! What is to be priced.

use chrono::{DateTime, Utc};
use entity::channel::{RoundingMode, RoundingScope, TaxMode};
use entity::{ChannelId, Currency, Rate, promotion};

use super::PricingError;

/// Everything that decides a price. Every amount is in minor units of `currency`.
#[derive(Clone, Debug)]
pub struct Cart<'a> {
    /// The currency of every amount.
    pub currency: Currency,
    /// Whether prices contain the tax.
    pub tax_mode: TaxMode,
    /// How tax and discounts are rounded.
    pub rounding_mode: RoundingMode,
    /// What the tax is rounded on.
    pub rounding_scope: RoundingScope,
    /// The moment of the order, which decides what promotions are valid.
    pub now: DateTime<Utc>,
    /// The channel of the order.
    pub channel_id: ChannelId,
    /// What is bought.
    pub lines: Vec<CartLine>,
    /// What shipping costs; none = nothing is shipped.
    pub shipping: Option<ShippingCharge>,
    /// The automatic promotions, and those that the codes were found to be. A promotion whose
    /// code was not submitted is ignored.
    pub promotions: &'a [promotion::Model],
    /// The codes as submitted, in any case and with blanks around them.
    pub codes: Vec<String>,
    /// Whether the customer pays no tax: a business with a certificate, or goods that leave the
    /// country at prices without its tax.
    ///
    /// Where prices contain the tax it is taken out of them, by each line's own rate. To sell
    /// zero-rated goods at the full price, give the line a rate of zero instead.
    pub tax_exempt: bool,
}

/// Some units of a SKU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CartLine {
    /// What is bought, spelled as in the catalogue.
    pub sku: String,
    /// How many units, at least one.
    pub quantity: i64,
    /// The price of one, before discounts.
    pub unit_price_minor: i64,
    /// What the seller and the buyer have agreed to take off the line, before any promotion.
    pub agreed_discount_minor: i64,
    /// Its tax rate: 19 % is `0.19`.
    pub tax_rate: Rate,
}

/// What shipping costs before promotions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShippingCharge {
    /// The charge.
    pub price_minor: i64,
    /// Its tax rate.
    pub tax_rate: Rate,
}

impl Cart<'_> {
    /// The value of each line before discounts; refuses a line that cannot be priced.
    pub(super) fn subtotals(&self) -> Result<Vec<i64>, PricingError> {
        if let Some(shipping) = &self.shipping {
            require_price(shipping.price_minor, shipping.tax_rate, None)?;
        }
        self.lines
            .iter()
            .enumerate()
            .map(|(index, line)| {
                if line.quantity < 1 {
                    return Err(PricingError::QuantityInvalid { line: index });
                }
                require_price(line.unit_price_minor, line.tax_rate, Some(index))?;
                line.unit_price_minor
                    .checked_mul(line.quantity)
                    .ok_or(PricingError::OutOfRange)
            })
            .collect()
    }

    /// What the lines are worth once the agreed discounts are off.
    pub(super) fn agreed_values(&self, subtotals: &[i64]) -> Result<Vec<i64>, PricingError> {
        self.lines
            .iter()
            .zip(subtotals)
            .enumerate()
            .map(|(index, (line, subtotal))| {
                if (0..=*subtotal).contains(&line.agreed_discount_minor) {
                    Ok(subtotal - line.agreed_discount_minor)
                } else {
                    Err(PricingError::DiscountInvalid { line: index })
                }
            })
            .collect()
    }
}

fn require_price(
    price_minor: i64,
    tax_rate: Rate,
    line: Option<usize>,
) -> Result<(), PricingError> {
    if price_minor < 0 {
        Err(PricingError::PriceNegative { line })
    } else if tax_rate < Rate::default() {
        Err(PricingError::TaxRateInvalid { line })
    } else {
        Ok(())
    }
}
