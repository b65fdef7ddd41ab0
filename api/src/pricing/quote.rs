//! What a cart costs.

use entity::PromotionId;
use serde::Serialize;

use super::Rejection;

/// What a cart costs, line by line. Every amount is in minor units of the cart's currency. As
/// JSON it is the breakdown that an exception shows.
///
/// These hold to the minor unit:
/// - `subtotal − discount + shipping + tax added − tax exempted = total`, where the tax added is
///   `tax_minor` if prices are exclusive of tax, and zero if they contain it;
/// - each of these six is the sum over the lines and shipping;
/// - the gross amounts of the lines and of shipping add up to the total;
/// - `net + tax = gross`, and no amount is negative, on every line and on shipping;
/// - what the verdicts say was taken off adds up to `discount_minor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Quote {
    /// The lines, in the order of the cart.
    pub lines: Vec<QuotedLine>,
    /// Shipping; all zero if nothing is shipped.
    pub shipping: QuotedShipping,
    /// The value of the lines before discounts.
    pub subtotal_minor: i64,
    /// What promotions took off the lines and off shipping.
    pub discount_minor: i64,
    /// The shipping charge before promotions.
    pub shipping_minor: i64,
    /// The tax, whether added or contained.
    pub tax_minor: i64,
    /// The tax that prices contained and an exempt customer does not pay.
    pub exempted_minor: i64,
    /// What the customer pays.
    pub total_minor: i64,
    /// A verdict for each submitted code, in the order of submission, then one for each automatic
    /// promotion that applied, in stacking order.
    pub promotions: Vec<PromotionVerdict>,
}

/// What one line costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QuotedLine {
    /// The price of one unit, before discounts.
    pub unit_price_minor: i64,
    /// Unit price × quantity.
    pub subtotal_minor: i64,
    /// What promotions took off.
    pub discount_minor: i64,
    /// The same, promotion by promotion, in stacking order.
    pub discounts: Vec<AppliedDiscount>,
    /// What is left, without tax.
    pub net_minor: i64,
    /// The tax on it.
    pub tax_minor: i64,
    /// What the customer pays for the line.
    pub gross_minor: i64,
    /// The tax that the price contained and an exempt customer does not pay.
    pub exempted_minor: i64,
}

/// What shipping costs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct QuotedShipping {
    /// The charge before promotions.
    pub charge_minor: i64,
    /// What promotions took off.
    pub discount_minor: i64,
    /// The same, promotion by promotion, in stacking order.
    pub discounts: Vec<AppliedDiscount>,
    /// What is left, without tax.
    pub net_minor: i64,
    /// The tax on it.
    pub tax_minor: i64,
    /// What the customer pays for shipping.
    pub gross_minor: i64,
    /// The tax that the charge contained and an exempt customer does not pay.
    pub exempted_minor: i64,
}

/// What one promotion took off one line or off shipping; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AppliedDiscount {
    /// The promotion.
    pub promotion_id: PromotionId,
    /// What it took off.
    pub amount_minor: i64,
}

/// What became of a code, or of an automatic promotion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PromotionVerdict {
    /// The code in upper case, without blanks; none for an automatic promotion.
    pub code: Option<String>,
    /// The promotion; none if the code is unknown.
    pub promotion_id: Option<PromotionId>,
    /// What became of it.
    pub outcome: PromotionOutcome,
}

/// Whether a promotion applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PromotionOutcome {
    /// It took this much off, more than nothing, lines and shipping together. Only such a
    /// promotion counts as used.
    Applied {
        /// What it took off.
        discount_minor: i64,
    },
    /// It took nothing off.
    Rejected(Rejection),
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::super::price;
    use super::super::samples::{cart, line};

    #[test]
    fn c4a_a_breakdown_shows_amounts_and_verdicts_by_their_names() {
        let mut cart = cart(vec![line("A", 2, 500)]);
        cart.codes = vec!["gone".to_owned()];
        let breakdown = serde_json::to_value(price(&cart).unwrap()).unwrap();
        assert_eq!(breakdown["lines"][0]["subtotal_minor"], json!(1000));
        assert_eq!(breakdown["total_minor"], json!(1490));
        assert_eq!(
            breakdown["promotions"],
            json!([{
                "code": "GONE",
                "promotion_id": null,
                "outcome": { "REJECTED": "PROMOTION_UNKNOWN" },
            }])
        );
    }
}
