//! Named rounding to whole minor units.
//!
//! A rate is taken apart into two integers and every amount is rounded exactly once, from the
//! exact quotient. A decimal division would first cut the quotient after 28 digits, and what the
//! cut makes of a half decides a minor unit.

use std::cmp::Ordering;

use entity::Rate;
use entity::channel::RoundingMode;
use rust_decimal::Decimal;

use super::PricingError;

/// Rounds a decimal number of minor units to whole ones.
pub fn round_minor(amount: Decimal, mode: RoundingMode) -> Result<i64, PricingError> {
    let (numerator, denominator) = fraction(amount);
    round_quotient(numerator, denominator, mode)
}

/// `amount_minor × rate`, rounded: a discount, or the tax on a net amount.
pub fn multiply(amount_minor: i64, rate: Rate, mode: RoundingMode) -> Result<i64, PricingError> {
    let (numerator, denominator) = fraction(rate.0);
    round_product(amount_minor, numerator, denominator, mode)
}

/// The part of a gross amount that is tax, `gross × rate ÷ (1 + rate)`, rounded.
pub fn contained_tax(
    gross_minor: i64,
    rate: Rate,
    mode: RoundingMode,
) -> Result<i64, PricingError> {
    let (numerator, denominator) = fraction(rate.0);
    round_product(gross_minor, numerator, numerator + denominator, mode)
}

/// `amount_minor × numerator ÷ denominator`, rounded.
pub(super) fn round_product(
    amount_minor: i64,
    numerator: i128,
    denominator: i128,
    mode: RoundingMode,
) -> Result<i64, PricingError> {
    let product = i128::from(amount_minor)
        .checked_mul(numerator)
        .ok_or(PricingError::OutOfRange)?;
    round_quotient(product, denominator, mode)
}

fn round_quotient(
    numerator: i128,
    denominator: i128,
    mode: RoundingMode,
) -> Result<i64, PricingError> {
    if denominator <= 0 {
        return Err(PricingError::OutOfRange);
    }
    let whole = numerator / denominator;
    let rest = (numerator % denominator).abs();
    // `rest` against the rest of the denominator, not `2 × rest` against it: that could overflow.
    let away_from_zero = match rest.cmp(&(denominator - rest)) {
        Ordering::Less => false,
        Ordering::Greater => true,
        Ordering::Equal => match mode {
            RoundingMode::HalfUp => true,
            RoundingMode::HalfEven => whole % 2 != 0,
        },
    };
    let rounded = if away_from_zero {
        whole + numerator.signum()
    } else {
        whole
    };
    i64::try_from(rounded).map_err(|_| PricingError::OutOfRange)
}

/// A decimal as the quotient of two integers; both stay below 2^97, so that they can be added.
fn fraction(decimal: Decimal) -> (i128, i128) {
    let decimal = decimal.normalize();
    (decimal.mantissa(), 10_i128.pow(decimal.scale()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use RoundingMode::{HalfEven, HalfUp};
    use proptest::prelude::*;
    use rust_decimal::RoundingStrategy;
    use rust_decimal::prelude::ToPrimitive;

    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    #[test]
    fn a_half_goes_away_from_zero_or_to_the_even_neighbour() {
        let cases = [
            ("0.5", 1, 0),
            ("1.5", 2, 2),
            ("2.5", 3, 2),
            ("-0.5", -1, 0),
            ("-2.5", -3, -2),
            ("-3.5", -4, -4),
            ("2.4999999999999999999999999", 2, 2),
            ("2.5000000000000000000000001", 3, 3),
            ("7.00", 7, 7),
        ];
        for (amount, up, even) in cases {
            let amount: Decimal = amount.parse().unwrap();
            assert_eq!(round_minor(amount, HalfUp), Ok(up), "{amount}");
            assert_eq!(round_minor(amount, HalfEven), Ok(even), "{amount}");
        }
    }

    #[test]
    fn the_contained_tax_is_rounded_from_the_exact_quotient() {
        assert_eq!(contained_tax(1190, rate("0.19"), HalfUp), Ok(190));
        assert_eq!(contained_tax(999, rate("0.19"), HalfUp), Ok(160));
        // 3 × 0.2 ÷ 1.2 is half a minor unit exactly.
        assert_eq!(contained_tax(3, rate("0.20"), HalfUp), Ok(1));
        assert_eq!(contained_tax(3, rate("0.20"), HalfEven), Ok(0));
        assert_eq!(contained_tax(9, rate("0.2"), HalfEven), Ok(2));
        assert_eq!(contained_tax(5, rate("0"), HalfUp), Ok(0));
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        assert_eq!(multiply(i64::MAX, rate("1"), HalfUp), Ok(i64::MAX));
        assert_eq!(
            multiply(i64::MAX, rate("1.1"), HalfUp),
            Err(PricingError::OutOfRange)
        );
        assert_eq!(
            multiply(i64::MAX, Rate(Decimal::MAX), HalfUp),
            Err(PricingError::OutOfRange)
        );
        assert_eq!(
            round_minor(Decimal::MIN, HalfEven),
            Err(PricingError::OutOfRange)
        );
        assert_eq!(
            contained_tax(1, rate("-1"), HalfUp),
            Err(PricingError::OutOfRange)
        );
    }

    proptest! {
        #[test]
        fn rounding_agrees_with_that_of_the_decimal_type(mantissa in any::<i64>(), scale in 0_u32..12) {
            let amount = Decimal::new(mantissa, scale);
            let expect = |strategy| amount.round_dp_with_strategy(0, strategy).to_i64().unwrap();
            prop_assert_eq!(
                round_minor(amount, HalfUp),
                Ok(expect(RoundingStrategy::MidpointAwayFromZero))
            );
            prop_assert_eq!(
                round_minor(amount, HalfEven),
                Ok(expect(RoundingStrategy::MidpointNearestEven))
            );
        }

        #[test]
        fn the_contained_tax_is_at_most_half_a_minor_unit_off(
            gross in -1_000_000_000_i64..1_000_000_000,
            millis in 0_i64..2_000,
        ) {
            let rate = Rate(Decimal::new(millis, 3));
            for mode in [HalfUp, HalfEven] {
                let tax = contained_tax(gross, rate, mode).unwrap();
                let off = i128::from(tax) * i128::from(1000 + millis)
                    - i128::from(gross) * i128::from(millis);
                prop_assert!(2 * off.abs() <= i128::from(1000 + millis));
            }
        }
    }
}
