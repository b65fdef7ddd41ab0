//! The tax on a line or on shipping, after discounts.

use entity::Rate;
use entity::channel::{RoundingMode, RoundingScope, TaxMode};

use super::round::{contained_tax, multiply};
use super::{Cart, PricingError};

/// How a cart is taxed.
#[derive(Clone, Copy, Debug)]
pub(super) struct TaxRules {
    mode: TaxMode,
    rounding: RoundingMode,
    scope: RoundingScope,
    exempt: bool,
}

/// An amount with its tax; `net + tax = gross`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taxed {
    pub(super) net: i64,
    pub(super) tax: i64,
    pub(super) gross: i64,
    /// The tax that the value contained and that nobody pays.
    pub(super) exempted: i64,
}

impl TaxRules {
    /// The rules that a cart follows.
    pub(super) fn of(cart: &Cart) -> Self {
        TaxRules {
            mode: cart.tax_mode,
            rounding: cart.rounding_mode,
            scope: cart.rounding_scope,
            exempt: cart.tax_exempt,
        }
    }

    /// Taxes what is left of a line after discounts; shipping counts as one unit.
    ///
    /// - EXCLUSIVE: the value is net, and the tax is added to it.
    /// - INCLUSIVE: the value is gross, and the tax is taken out of it.
    /// - Exempt: no tax is added, and the tax that a value contains is taken off, rounded as it
    ///   would have been charged. The customer pays what is net for everyone else.
    pub(super) fn tax(self, value: i64, quantity: i64, rate: Rate) -> Result<Taxed, PricingError> {
        match (self.mode, self.exempt) {
            (TaxMode::Exclusive, true) => Ok(Taxed {
                net: value,
                tax: 0,
                gross: value,
                exempted: 0,
            }),
            (TaxMode::Exclusive, false) => {
                let tax = self.rounded(value, quantity, |value| {
                    multiply(value, rate, self.rounding)
                })?;
                let gross = value.checked_add(tax).ok_or(PricingError::OutOfRange)?;
                Ok(Taxed {
                    net: value,
                    tax,
                    gross,
                    exempted: 0,
                })
            }
            (TaxMode::Inclusive, exempt) => {
                let tax = self.rounded(value, quantity, |value| {
                    contained_tax(value, rate, self.rounding)
                })?;
                // A part of the value, which is not negative: this cannot overflow.
                let net = value - tax;
                Ok(if exempt {
                    Taxed {
                        net,
                        tax: 0,
                        gross: net,
                        exempted: tax,
                    }
                } else {
                    Taxed {
                        net,
                        tax,
                        gross: value,
                        exempted: 0,
                    }
                })
            }
        }
    }

    /// Rounds the tax on the whole value, or on each unit.
    ///
    /// A discounted line seldom divides by its quantity. Its units are then worth what
    /// apportioning the line over them gives: some a minor unit more than the others. Each of
    /// the two kinds is taxed once and multiplied.
    fn rounded(
        self,
        value: i64,
        quantity: i64,
        tax: impl Fn(i64) -> Result<i64, PricingError>,
    ) -> Result<i64, PricingError> {
        match self.scope {
            RoundingScope::PerLine => tax(value),
            RoundingScope::PerUnit => {
                let (worth, dearer_units) = (value / quantity, value % quantity);
                let times = |tax: i64, units: i64| tax.checked_mul(units);
                let cheaper = times(tax(worth)?, quantity - dearer_units);
                let dearer = match dearer_units {
                    0 => Some(0),
                    units => times(tax(worth + 1)?, units),
                };
                cheaper
                    .zip(dearer)
                    .and_then(|(cheaper, dearer)| cheaper.checked_add(dearer))
                    .ok_or(PricingError::OutOfRange)
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use RoundingMode::{HalfEven, HalfUp};
    use RoundingScope::{PerLine, PerUnit};
    use TaxMode::{Exclusive, Inclusive};
    use proptest::prelude::*;
    use rust_decimal::Decimal;

    use super::super::apportion::apportion;
    use super::*;

    fn rules(mode: TaxMode, rounding: RoundingMode, scope: RoundingScope) -> TaxRules {
        TaxRules {
            mode,
            rounding,
            scope,
            exempt: false,
        }
    }

    fn taxed(rules: TaxRules, value: i64, quantity: i64, rate: &str) -> (i64, i64, i64) {
        let taxed = rules.tax(value, quantity, rate.parse().unwrap()).unwrap();
        assert_eq!(taxed.exempted, 0);
        (taxed.net, taxed.tax, taxed.gross)
    }

    #[test]
    fn c4c_tax_is_added_to_net_prices_and_taken_out_of_gross_ones() {
        let added = rules(Exclusive, HalfUp, PerLine);
        assert_eq!(taxed(added, 1000, 1, "0.19"), (1000, 190, 1190));
        let contained = rules(Inclusive, HalfUp, PerLine);
        assert_eq!(taxed(contained, 1190, 1, "0.19"), (1000, 190, 1190));
        assert_eq!(taxed(contained, 1000, 1, "0.19"), (840, 160, 1000));
    }

    #[test]
    fn c4c_rounding_per_line_and_per_unit_differ() {
        // 10 % of 0.05 is half a cent: a cent a unit, or half a cent ten times.
        assert_eq!(taxed(rules(Exclusive, HalfUp, PerLine), 50, 10, "0.1").1, 5);
        assert_eq!(
            taxed(rules(Exclusive, HalfUp, PerUnit), 50, 10, "0.1").1,
            10
        );
        assert_eq!(
            taxed(rules(Exclusive, HalfEven, PerUnit), 50, 10, "0.1").1,
            0
        );
        assert_eq!(taxed(rules(Inclusive, HalfUp, PerLine), 30, 10, "0.2").1, 5);
        assert_eq!(
            taxed(rules(Inclusive, HalfUp, PerUnit), 30, 10, "0.2").1,
            10
        );
    }

    #[test]
    fn c4c_the_units_of_a_discounted_line_are_taxed_as_apportioned() {
        // Three units worth 44 together: 15, 15 and 14, of which a tenth is 1.5, 1.5 and 1.4.
        let per_unit = rules(Exclusive, HalfUp, PerUnit);
        assert_eq!(taxed(per_unit, 44, 3, "0.1").1, 2 + 2 + 1);
        assert_eq!(taxed(rules(Exclusive, HalfUp, PerLine), 44, 3, "0.1").1, 4);
        // Fewer minor units than units.
        assert_eq!(taxed(rules(Exclusive, HalfUp, PerUnit), 2, 3, "0.5").1, 2);
        assert_eq!(taxed(rules(Exclusive, HalfUp, PerUnit), 0, 3, "0.5").1, 0);
    }

    #[test]
    fn c4c_an_exempt_customer_pays_what_is_net_for_others() {
        let mut exempt = rules(Exclusive, HalfUp, PerLine);
        exempt.exempt = true;
        let rate = "0.19".parse().unwrap();
        let free_of_tax = |net, exempted| {
            Ok(Taxed {
                net,
                tax: 0,
                gross: net,
                exempted,
            })
        };
        assert_eq!(exempt.tax(1000, 1, rate), free_of_tax(1000, 0));
        exempt.mode = Inclusive;
        assert_eq!(exempt.tax(1190, 1, rate), free_of_tax(1000, 190));
        assert_eq!(exempt.tax(1000, 1, rate), free_of_tax(840, 160));
    }

    #[test]
    fn c4c_a_zero_rate_leaves_the_price_as_it_is_in_both_modes() {
        for mode in [Exclusive, Inclusive] {
            for scope in [PerLine, PerUnit] {
                let rules = rules(mode, HalfUp, scope);
                assert_eq!(taxed(rules, 1001, 3, "0"), (1001, 0, 1001));
            }
        }
    }

    #[test]
    fn an_amount_that_does_not_fit_is_an_error() {
        let tax = |value, quantity, rate: &str| {
            rules(Exclusive, HalfUp, PerUnit).tax(value, quantity, rate.parse().unwrap())
        };
        // The gross amount, the tax of equal units, and that of unequal ones.
        assert_eq!(tax(i64::MAX, 7, "0.1"), Err(PricingError::OutOfRange));
        assert_eq!(tax(i64::MAX / 4 * 2, 2, "3"), Err(PricingError::OutOfRange));
        assert_eq!(tax(i64::MAX, 2, "1.5"), Err(PricingError::OutOfRange));
    }

    proptest! {
        #[test]
        fn rounding_per_unit_is_the_sum_over_the_apportioned_units(
            value in 0_i64..5_000,
            quantity in 1_i64..40,
            millis in 0_i64..400,
            inclusive in any::<bool>(),
            even in any::<bool>(),
        ) {
            let rate = Rate(Decimal::new(millis, 3));
            let mode = if inclusive { Inclusive } else { Exclusive };
            let rounding = if even { HalfEven } else { HalfUp };
            let units = apportion(value, &vec![1; quantity as usize]).unwrap();
            let sum: i64 = units
                .into_iter()
                .map(|unit| rules(mode, rounding, PerLine).tax(unit, 1, rate).unwrap().tax)
                .sum();
            let per_unit = rules(mode, rounding, PerUnit).tax(value, quantity, rate).unwrap();
            prop_assert_eq!(per_unit.tax, sum);
        }

        #[test]
        fn tax_is_at_most_half_a_minor_unit_off_for_each_rounding(
            value in 0_i64..1_000_000_000,
            quantity in 1_i64..100,
            millis in 0_i64..2_000,
            inclusive in any::<bool>(),
            per_unit in any::<bool>(),
        ) {
            let mode = if inclusive { Inclusive } else { Exclusive };
            let (scope, roundings) = if per_unit { (PerUnit, quantity) } else { (PerLine, 1) };
            let rate = Rate(Decimal::new(millis, 3));
            let taxed = rules(mode, HalfUp, scope).tax(value, quantity, rate).unwrap();
            prop_assert_eq!(taxed.net + taxed.tax, taxed.gross);
            prop_assert_eq!(value, if inclusive { taxed.gross } else { taxed.net });
            // tax = net × rate exactly, before rounding, in both modes; in thousandths here.
            let scale = if inclusive { 1000 + millis } else { 1000 };
            let off = taxed.tax * scale - value * millis;
            prop_assert!(2 * off.abs() <= scale * roundings, "{:?}", taxed);
        }
    }
}
