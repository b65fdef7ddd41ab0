//! Amounts of invoices and of what is taken back of them, to the minor unit: pure functions.

use entity::{Currency, LineId, Rate};
use serde::Serialize;

use crate::pricing::{self, PricingError};

/// Amounts of one line, in minor units; `gross = net + tax`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Amounts {
    /// Units.
    pub quantity: i64,
    /// What comes off, without tax.
    pub discount: i64,
    /// What is left, without tax.
    pub net: i64,
    /// The tax.
    pub tax: i64,
}

impl Amounts {
    /// With tax.
    pub fn gross(&self) -> i64 {
        self.net + self.tax
    }

    /// Both together.
    pub fn and(self, other: Amounts) -> Amounts {
        Amounts {
            quantity: self.quantity + other.quantity,
            discount: self.discount + other.discount,
            net: self.net + other.net,
            tax: self.tax + other.tax,
        }
    }

    /// What is left of it; never below zero.
    pub fn less(self, other: Amounts) -> Amounts {
        let left = |all: i64, gone: i64| std::cmp::max(all - gone, 0);
        Amounts {
            quantity: left(self.quantity, other.quantity),
            discount: left(self.discount, other.discount),
            net: left(self.net, other.net),
            tax: left(self.tax, other.tax),
        }
    }

    /// What so many of its units come to, after what was charged before.
    pub fn of_units(self, units: i64, before: Amounts) -> Amounts {
        let rest = self.less(before);
        if units >= rest.quantity || self.quantity <= 0 {
            return rest;
        }
        let reached = i128::from(before.quantity + units);
        let due = |all: i64, gone: i64, rest: i64| -> i64 {
            let due = i128::from(all) * reached / i128::from(self.quantity);
            // Never above what is left of 64 bits.
            let due = due - i128::from(gone);
            i64::try_from(due).unwrap_or(rest).clamp(0, rest)
        };
        // The amount with tax is cut, as it is what people pay for a unit; where a unit has a whole
        // price without tax, that comes out whole as well.
        let gross = due(self.gross(), before.gross(), rest.gross());
        let tax = due(self.tax, before.tax, rest.tax);
        Amounts {
            quantity: units,
            discount: due(self.discount, before.discount, rest.discount),
            net: (gross - tax).clamp(0, rest.net),
            tax,
        }
    }

    /// The same at another amount with tax: net and tax keep their proportion.
    pub fn at_gross(self, gross: i64) -> Result<Amounts, PricingError> {
        if gross == self.gross() {
            return Ok(self);
        }
        if self.gross() == 0 {
            return Ok(Amounts { net: gross, ..self });
        }
        let parts = pricing::apportion(gross, &[self.net, self.tax])?;
        Ok(Amounts {
            net: parts[0],
            tax: parts[1],
            ..self
        })
    }
}

/// What of an order one shipment is charged for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Portion {
    /// Of its lines.
    pub lines: Vec<(LineId, Amounts)>,
    /// Of the delivery.
    pub delivery: Amounts,
}

impl Portion {
    /// Everything with tax.
    pub fn gross(&self) -> i64 {
        let lines: i64 = self.lines.iter().map(|(_, part)| part.gross()).sum();
        lines + self.delivery.gross()
    }

    /// The same at what was captured, if that is another amount: the order may have changed since
    /// it was decided on. The parts add up to it, whatever it is.
    pub fn at(mut self, amount: i64) -> Result<Portion, PricingError> {
        if self.gross() == amount {
            return Ok(self);
        }
        let mut weights: Vec<i64> = self.lines.iter().map(|(_, part)| part.gross()).collect();
        weights.push(self.delivery.gross());
        let fitted = pricing::apportion(amount, &weights)?;
        for ((_, part), gross) in self.lines.iter_mut().zip(&fitted) {
            *part = part.at_gross(*gross)?;
        }
        let delivery = fitted.last().copied().unwrap_or_default();
        self.delivery = self.delivery.at_gross(delivery)?;
        Ok(self)
    }
}

/// How far the tax of a group may be from its rate times what is taxed: the standard's own check
/// takes less than one whole unit of the currency for rounding.
fn leeway(currency: Currency) -> i64 {
    10_i64.pow(currency.exponent()) - 1
}

/// The tax that a group of lines taxed alike says, and what that leaves for rounding. Orders round
/// tax by line or by unit, and their invoices say what was agreed; only where that is too far from
/// the rate for the standard is the rate's own tax said, and the total rounded by the difference.
pub fn said_tax(
    currency: Currency,
    rate: Rate,
    net: i64,
    tax: i64,
) -> Result<(i64, i64), PricingError> {
    let strict = pricing::multiply(net, rate, entity::channel::RoundingMode::HalfUp)?;
    match (tax - strict).abs() <= leeway(currency) {
        true => Ok((tax, 0)),
        false => Ok((strict, tax - strict)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn amounts(quantity: i64, net: i64, tax: i64) -> Amounts {
        Amounts {
            quantity,
            discount: 0,
            net,
            tax,
        }
    }

    #[test]
    fn units_cost_their_share_and_the_last_ones_the_rest() {
        let all = amounts(3, 1_000, 190);
        let mut before = Amounts::default();
        let mut nets = Vec::new();
        for _ in 0..3 {
            let part = all.of_units(1, before);
            nets.push(part.net);
            before = before.and(part);
        }
        assert_eq!(nets, [333, 334, 333]);
        assert_eq!(
            amounts(3, 2_500, 500)
                .of_units(1, Amounts::default())
                .gross(),
            1_000
        );
        assert_eq!(before, all);
        let exact = amounts(10, 9_990, 1_898).of_units(3, Amounts::default());
        assert_eq!(exact.net, 2_997);
    }

    #[test]
    fn the_tax_is_that_of_the_order_unless_it_is_too_far_from_its_rate() {
        let rate = "0.19".parse().unwrap();
        let said = |currency, net, tax| said_tax(currency, rate, net, tax).unwrap();
        assert_eq!(said(Currency::EUR, 1_000, 190), (190, 0));
        assert_eq!(said(Currency::EUR, 1_000, 193), (193, 0));
        assert_eq!(said(Currency::EUR, 70_000, 10_000), (13_300, -3_300));
        assert_eq!(said(Currency::JPY, 1_000, 191), (190, 1));
    }

    proptest! {
        #[test]
        fn a_line_is_taken_back_once_in_whatever_parts(
            (quantity, net, tax, discount) in (1_i64..9, 0_i64..20_000, 0_i64..4_000, 0_i64..900),
            steps in prop::collection::vec(1_i64..4, 1..10),
        ) {
            let all = Amounts { discount, ..amounts(quantity, net, tax) };
            let mut gone = Amounts::default();
            for units in steps {
                let part = all.of_units(std::cmp::min(units, quantity - gone.quantity), gone);
                prop_assert!(part.net >= 0 && part.tax >= 0 && part.discount >= 0);
                gone = gone.and(part);
                if gone.quantity == quantity {
                    break;
                }
            }
            let rest = all.of_units(quantity, gone);
            prop_assert_eq!(gone.and(rest), all);
        }

        #[test]
        fn a_portion_comes_to_whatever_was_captured(
            lines in prop::collection::vec((0_i64..20_000, 0_i64..4_000), 1..6),
            delivery in (0_i64..900, 0_i64..200),
            amount in 1_i64..50_000,
        ) {
            let line = LineId(uuid::Uuid::nil());
            let of = |(net, tax): &(i64, i64)| (line, amounts(1, *net, *tax));
            let portion = Portion {
                lines: lines.iter().map(of).collect(),
                delivery: amounts(1, delivery.0, delivery.1),
            };
            let same = portion.clone().at(portion.gross()).unwrap();
            prop_assert_eq!(&same, &portion);
            let fitted = portion.at(amount).unwrap();
            prop_assert_eq!(fitted.gross(), amount);
            prop_assert!(fitted.lines.iter().all(|(_, part)| part.net >= 0 && part.tax >= 0));
        }
    }
}
