//! Why a price could not be worked out.

/// Why a price could not be worked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PricingError {
    /// An amount left the 64 bits of minor units, or a rate is too fine to be multiplied exactly.
    #[error("an amount is out of range")]
    OutOfRange,
    /// A line asks for less than one unit.
    #[error("line {line}: the quantity must be at least 1")]
    QuantityInvalid {
        /// The line's index in the cart.
        line: usize,
    },
    /// A price is below zero.
    #[error("{}: the price must not be negative", place(*.line))]
    PriceNegative {
        /// The line's index in the cart; none = the shipping charge.
        line: Option<usize>,
    },
    /// An agreed discount is below zero or above the line's value.
    #[error("line {line}: the discount must be between zero and the line's value")]
    DiscountInvalid {
        /// The line's index in the cart.
        line: usize,
    },
    /// A tax rate is below zero.
    #[error("{}: the tax rate must not be negative", place(*.line))]
    TaxRateInvalid {
        /// The line's index in the cart; none = the shipping charge.
        line: Option<usize>,
    },
    /// An amount was to be apportioned over nothing, or by a negative weight.
    #[error("the amount cannot be apportioned over these weights")]
    NotApportionable,
    /// No price list has a tier for this quantity.
    #[error("no price list has a price for this quantity")]
    NoPrice,
    /// No shipping rate takes this weight.
    #[error("no shipping rate takes this weight")]
    NoShippingRate,
}

impl PricingError {
    /// The code that callers tell the errors apart by.
    pub fn code(self) -> &'static str {
        match self {
            PricingError::OutOfRange => "AMOUNT_OUT_OF_RANGE",
            PricingError::QuantityInvalid { .. } => "QUANTITY_INVALID",
            PricingError::PriceNegative { .. } => "PRICE_NEGATIVE",
            PricingError::DiscountInvalid { .. } => "DISCOUNT_INVALID",
            PricingError::TaxRateInvalid { .. } => "TAX_RATE_INVALID",
            PricingError::NotApportionable => "NOT_APPORTIONABLE",
            PricingError::NoPrice => "NO_PRICE",
            PricingError::NoShippingRate => "NO_SHIPPING_RATE",
        }
    }

    /// Whether the same input may be priced later: never, since nothing else decides a price.
    pub fn retryable(self) -> bool {
        match self {
            PricingError::OutOfRange
            | PricingError::QuantityInvalid { .. }
            | PricingError::PriceNegative { .. }
            | PricingError::DiscountInvalid { .. }
            | PricingError::TaxRateInvalid { .. }
            | PricingError::NotApportionable
            | PricingError::NoPrice
            | PricingError::NoShippingRate => false,
        }
    }
}

fn place(line: Option<usize>) -> String {
    line.map_or_else(|| "shipping".to_owned(), |line| format!("line {line}"))
}
