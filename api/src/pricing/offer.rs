//! What a promotion takes off, by itself, of what is left of a cart.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};

use entity::Rate;
use entity::channel::RoundingMode;
use entity::promotion::{self, PromotionKind};
use rust_decimal::Decimal;

use super::apportion::apportion;
use super::round::{multiply, round_product};
use super::sum::sum;
use super::{CartLine, PricingError, Rejection};

/// An amount for each line of a cart, and one for its shipping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Values {
    pub(super) lines: Vec<i64>,
    pub(super) shipping: i64,
}

impl Values {
    /// All of them together.
    pub(super) fn sum(&self) -> Result<i64, PricingError> {
        sum(self.lines.iter().copied().chain([self.shipping]))
    }

    /// Takes each of the other's amounts off its own.
    pub(super) fn reduce_by(&mut self, taken: &Values) {
        for (left, taken) in self.lines.iter_mut().zip(&taken.lines) {
            *left -= taken;
        }
        self.shipping -= taken.shipping;
    }
}

/// What a promotion takes off and of which SKUs, read from its row.
#[derive(Clone, Debug)]
pub(super) struct Offer<'a> {
    gift: Gift,
    /// None = every line.
    skus: Option<HashSet<&'a str>>,
}

#[derive(Clone, Copy, Debug)]
enum Gift {
    Percent(Rate),
    Amount(i64),
    FreeShipping,
    BuyXGetY { buy: i64, get: i64 },
}

impl<'a> Offer<'a> {
    /// Reads a row; one that lacks what its kind needs is misconfigured.
    pub(super) fn read(promotion: &'a promotion::Model) -> Result<Self, Rejection> {
        let gift = match promotion.kind {
            PromotionKind::Percent => promotion
                .percent
                .filter(|percent| percent.0 > Decimal::ZERO && percent.0 <= Decimal::ONE)
                .map(Gift::Percent),
            PromotionKind::Amount => promotion
                .amount_minor
                .filter(|amount| *amount > 0)
                .map(Gift::Amount),
            PromotionKind::FreeShipping => Some(Gift::FreeShipping),
            PromotionKind::BuyXGetY => promotion
                .buy_quantity
                .zip(promotion.get_quantity)
                .filter(|(buy, get)| *buy > 0 && *get > 0)
                .map(|(buy, get)| Gift::BuyXGetY {
                    buy: buy.into(),
                    get: get.into(),
                }),
        };
        let skus = match &promotion.skus {
            None | Some(serde_json::Value::Null) => None,
            Some(skus) => Some(
                skus.as_array()
                    .and_then(|skus| skus.iter().map(|sku| sku.as_str()).collect())
                    .ok_or(Rejection::Misconfigured)?,
            ),
        };
        gift.map(|gift| Offer { gift, skus })
            .ok_or(Rejection::Misconfigured)
    }

    /// What it takes off, given what earlier promotions left; never more than that.
    ///
    /// - PERCENT: of what is left of each line, rounded line by line, so that what a line costs
    ///   does not depend on the others.
    /// - AMOUNT: spread over what is left of the lines by the largest remainder; more than they
    ///   are worth takes all of it.
    /// - FREE_SHIPPING: all that is left of the charge, if any line is meant.
    /// - BUY_X_GET_Y: see [`free_units`].
    pub(super) fn take(
        &self,
        lines: &[CartLine],
        left: &Values,
        mode: RoundingMode,
    ) -> Result<Values, PricingError> {
        let mut taken = Values {
            lines: vec![0; lines.len()],
            shipping: 0,
        };
        let meant: Vec<usize> = (0..lines.len())
            .filter(|index| self.means(&lines[*index]))
            .collect();
        match self.gift {
            Gift::Percent(percent) => {
                for index in meant {
                    taken.lines[index] = multiply(left.lines[index], percent, mode)?;
                }
            }
            Gift::Amount(amount_minor) => {
                let caps: Vec<i64> = meant.iter().map(|index| left.lines[*index]).collect();
                let all = sum(caps.iter().copied())?;
                let parts = apportion(amount_minor.min(all), &caps)?;
                for (index, part) in meant.into_iter().zip(parts) {
                    taken.lines[index] = part;
                }
            }
            Gift::FreeShipping => {
                if !meant.is_empty() {
                    taken.shipping = left.shipping;
                }
            }
            Gift::BuyXGetY { buy, get } => {
                for (index, free) in free_units(lines, &meant, left, buy, get) {
                    taken.lines[index] = round_product(
                        left.lines[index],
                        free.into(),
                        lines[index].quantity.into(),
                        mode,
                    )?;
                }
            }
        }
        Ok(taken)
    }

    fn means(&self, line: &CartLine) -> bool {
        self.skus
            .as_ref()
            .is_none_or(|skus| skus.contains(line.sku.as_str()))
    }
}

/// How many units of which lines are free.
///
/// The lines of a SKU count as one. Its units are taken in groups of X + Y, of which X are paid
/// for and Y are free; in a last group that is not full, what exceeds X is free. So one more unit
/// never makes a cart cheaper. The units that are worth least by now are the free ones, and
/// between equal ones those of the line that stands first.
fn free_units(
    lines: &[CartLine],
    meant: &[usize],
    left: &Values,
    buy: i64,
    get: i64,
) -> Vec<(usize, i64)> {
    let mut by_sku: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for index in meant {
        by_sku.entry(&lines[*index].sku).or_default().push(*index);
    }
    let mut free_units = Vec::new();
    for mut indexes in by_sku.into_values() {
        let units: i128 = indexes
            .iter()
            .map(|index| i128::from(lines[*index].quantity))
            .sum();
        let (buy, get) = (i128::from(buy), i128::from(get));
        let mut free = units / (buy + get) * get + (units % (buy + get) - buy).max(0);

        indexes.sort_by(|a, b| unit_value_order(lines, left, *a, *b));
        for index in indexes {
            let here = i64::try_from(free).map_or(lines[index].quantity, |free| {
                free.min(lines[index].quantity)
            });
            free -= i128::from(here);
            free_units.push((index, here));
        }
    }
    free_units
}

/// Compares what a unit of one line is worth with a unit of another, without dividing.
fn unit_value_order(lines: &[CartLine], left: &Values, a: usize, b: usize) -> Ordering {
    let crosswise = |value: usize, quantity: usize| {
        i128::from(left.lines[value]) * i128::from(lines[quantity].quantity)
    };
    crosswise(a, b).cmp(&crosswise(b, a))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::samples::{amount, buy_x_get_y, free_shipping, line, percent};
    use super::*;

    fn taken(promotion: &promotion::Model, lines: &[CartLine], left: &[i64]) -> Vec<i64> {
        let left = Values {
            lines: left.to_vec(),
            shipping: 490,
        };
        let taken = Offer::read(promotion)
            .unwrap()
            .take(lines, &left, RoundingMode::HalfUp)
            .unwrap();
        taken.lines
    }

    fn values(lines: &[CartLine]) -> Vec<i64> {
        lines
            .iter()
            .map(|line| line.unit_price_minor * line.quantity)
            .collect()
    }

    #[test]
    fn c4b_a_percentage_is_taken_of_what_is_left_of_each_line_that_is_meant() {
        let lines = [line("A", 1, 1005), line("B", 1, 1000), line("C", 3, 999)];
        let mut ten = percent("TEN", "0.1");
        assert_eq!(taken(&ten, &lines, &[1005, 1000, 900]), [101, 100, 90]);
        ten.skus = Some(json!(["A", "C"]));
        assert_eq!(taken(&ten, &lines, &[1005, 1000, 900]), [101, 0, 90]);
        let all = percent("ALL", "1");
        assert_eq!(taken(&all, &lines, &[1005, 0, 7]), [1005, 0, 7]);
    }

    #[test]
    fn c4b_an_amount_is_spread_and_capped_by_the_lines_that_are_meant() {
        let lines = [line("A", 1, 1000), line("B", 1, 1000), line("C", 1, 1000)];
        let mut ten = amount("TEN", 1000);
        assert_eq!(taken(&ten, &lines, &[1000, 1000, 1000]), [334, 333, 333]);
        assert_eq!(taken(&ten, &lines, &[300, 0, 100]), [300, 0, 100]);
        ten.skus = Some(json!(["B"]));
        assert_eq!(taken(&ten, &lines, &[1000, 700, 1000]), [0, 700, 0]);
        ten.skus = Some(json!([]));
        assert_eq!(taken(&ten, &lines, &[1000, 1000, 1000]), [0, 0, 0]);
    }

    #[test]
    fn c4b_free_shipping_takes_the_charge_if_a_line_is_meant() {
        let left = Values {
            lines: vec![100],
            shipping: 490,
        };
        let mut free = free_shipping("SHIP");
        let shipping = |promotion: &promotion::Model| {
            Offer::read(promotion)
                .unwrap()
                .take(&[line("A", 1, 100)], &left, RoundingMode::HalfUp)
                .unwrap()
                .shipping
        };
        assert_eq!(shipping(&free), 490);
        free.skus = Some(json!(["B"]));
        assert_eq!(shipping(&free), 0);
    }

    #[test]
    fn c4b_of_each_group_bought_the_units_that_follow_are_free() {
        let free = |buy, get, quantity| {
            let lines = [line("A", quantity, 100)];
            taken(&buy_x_get_y("BXGY", buy, get), &lines, &values(&lines))[0] / 100
        };
        let two_get_one: Vec<i64> = (1..=7).map(|quantity| free(2, 1, quantity)).collect();
        assert_eq!(two_get_one, [0, 0, 1, 1, 1, 2, 2]);
        let two_get_two: Vec<i64> = (1..=7).map(|quantity| free(2, 2, quantity)).collect();
        assert_eq!(two_get_two, [0, 0, 1, 2, 2, 2, 3]);
    }

    #[test]
    fn c4b_two_lines_of_a_sku_count_as_one_and_the_cheapest_units_are_free() {
        let two_get_one = buy_x_get_y("BXGY", 2, 1);
        let lines = [line("A", 2, 500), line("B", 2, 100), line("A", 1, 400)];
        assert_eq!(taken(&two_get_one, &lines, &values(&lines)), [0, 0, 400]);
        // Nine units: three are free, of which the cheaper line has two only.
        let lines = [line("A", 7, 500), line("A", 2, 400)];
        assert_eq!(taken(&two_get_one, &lines, &values(&lines)), [500, 800]);
        // Worth the same: the line that stands first.
        let lines = [line("A", 2, 500), line("A", 1, 500)];
        assert_eq!(taken(&two_get_one, &lines, &values(&lines)), [500, 0]);
        // An earlier promotion made the dearer line the cheaper one.
        let lines = [line("A", 2, 500), line("A", 1, 400)];
        assert_eq!(taken(&two_get_one, &lines, &[601, 400]), [301, 0]);
    }

    #[test]
    fn c4b_a_row_that_lacks_what_its_kind_needs_is_misconfigured() {
        let broken = [
            percent("P", "0"),
            percent("P", "1.01"),
            percent("P", "-0.1"),
            amount("A", 0),
            buy_x_get_y("B", 0, 1),
            buy_x_get_y("B", 1, 0),
            promotion::Model {
                percent: None,
                ..percent("P", "1")
            },
            promotion::Model {
                skus: Some(json!("A")),
                ..percent("P", "1")
            },
            promotion::Model {
                skus: Some(json!([1])),
                ..percent("P", "1")
            },
        ];
        for promotion in &broken {
            let read = Offer::read(promotion).map(|_| ());
            assert_eq!(read, Err(Rejection::Misconfigured), "{promotion:?}");
        }
    }

    proptest! {
        #[test]
        fn one_more_unit_never_makes_a_cart_cheaper(
            buy in 1..5,
            get in 1..5,
            quantity in 1_i64..60,
            price in 0_i64..1000,
        ) {
            let promotion = buy_x_get_y("BXGY", buy, get);
            let pays = |quantity| {
                let lines = [line("A", quantity, price)];
                quantity * price - taken(&promotion, &lines, &values(&lines))[0]
            };
            prop_assert!(pays(quantity) <= pays(quantity + 1));
            // X bought units pay for X + Y, however many.
            let group = i64::from(buy + get);
            prop_assert_eq!(pays(quantity * group), quantity * i64::from(buy) * price);
        }
    }
}
