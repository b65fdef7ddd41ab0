//! What of an order's total falls to which shipment, to the minor unit.
//!
//! Every figure is cut where the units are: what falls to the units up to here is rounded, and a
//! shipment has what that grew by. So the shares add up to the order's figures whatever shipments
//! it comes to and in whatever order they are charged, no share is negative, and each is within a
//! minor unit a line of the exact one. The delivery charge is cut by what the goods are worth.

use std::collections::{BTreeMap, BTreeSet};

use entity::{LineId, ShipmentId, order_line};

use super::aggregate::Aggregate;

/// A shipment's share of its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Of each line that it has units of.
    pub lines: Vec<LineShare>,
    /// Of the delivery charge, without tax, in minor units.
    pub delivery_net: i64,
    /// Of the tax on the delivery charge, in minor units.
    pub delivery_tax: i64,
    /// Whether nothing of the order is left for another shipment.
    pub is_last: bool,
}

/// A shipment's share of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineShare {
    /// The line.
    pub line_id: LineId,
    /// How many units of it are in the shipment.
    pub units: i64,
    /// Of its discounts, in minor units.
    pub discount: i64,
    /// After discounts, without tax, in minor units.
    pub net: i64,
    /// Of its tax, in minor units.
    pub tax: i64,
}

impl Share {
    /// What is due for the shipment, in minor units.
    pub fn total(&self) -> i64 {
        let lines: i64 = self.lines.iter().map(|line| line.net + line.tax).sum();
        lines + self.delivery_net + self.delivery_tax
    }
}

/// What is cut: the figures of an order.
struct Whole<'a> {
    lines: &'a [order_line::Model],
    total: i64,
    shipping_tax: i64,
}

/// The share of a shipment, when some others have been charged already.
pub fn of(aggregate: &Aggregate, charged: &BTreeSet<ShipmentId>, shipment: ShipmentId) -> Share {
    let mut before: BTreeMap<LineId, i64> = BTreeMap::new();
    let mut here: BTreeMap<LineId, i64> = BTreeMap::new();
    for work in &aggregate.work {
        let units = match work.shipment.as_ref().map(|own| own.id) {
            Some(id) if id == shipment => &mut here,
            Some(id) if charged.contains(&id) => &mut before,
            _ => continue,
        };
        for line in &work.lines {
            *units.entry(line.line_id).or_default() += line.quantity;
        }
    }
    let whole = Whole {
        lines: &aggregate.lines,
        total: aggregate.order.total_minor,
        shipping_tax: aggregate.order.shipping_tax_minor,
    };
    cut(&whole, &before, &here)
}

fn cut(whole: &Whole<'_>, before: &BTreeMap<LineId, i64>, here: &BTreeMap<LineId, i64>) -> Share {
    let mut share = Share {
        is_last: true,
        ..Share::default()
    };
    // What the goods up to here are worth, and all of them; their number if they are worth nothing.
    let (mut from, mut to, mut all) = ((0, 0), (0, 0), (0, 0));
    let mut goods = 0;
    for line in whole.lines {
        let wanted = line.quantity - line.cancelled;
        let first = before.get(&line.id).copied().unwrap_or_default();
        let units = here.get(&line.id).copied().unwrap_or_default();
        let last = first + units;
        let part = |figure| up_to(figure, last, wanted) - up_to(figure, first, wanted);
        goods += line.gross_minor;
        share.is_last &= last >= wanted;
        if wanted > 0 {
            let worth =
                |units| up_to(line.net_minor, units, wanted) + up_to(line.tax_minor, units, wanted);
            from = (from.0 + worth(first), from.1 + first);
            to = (to.0 + worth(last), to.1 + last);
            all = (all.0 + line.gross_minor, all.1 + wanted);
        }
        if units > 0 {
            share.lines.push(LineShare {
                line_id: line.id,
                units,
                discount: part(line.discount_minor),
                net: part(line.net_minor),
                tax: part(line.tax_minor),
            });
        }
    }
    let (from, to, all) = match all.0 {
        0 => (from.1, to.1, all.1),
        _ => (from.0, to.0, all.0),
    };
    let part = |figure| up_to(figure, to, all) - up_to(figure, from, all);
    share.delivery_tax = part(whole.shipping_tax);
    share.delivery_net = part(whole.total - goods - whole.shipping_tax);
    share
}

/// What of a figure falls to so many of its parts, rounded to the nearest minor unit.
fn up_to(figure: i64, parts: i64, of: i64) -> i64 {
    if of <= 0 {
        return 0;
    }
    let (figure, parts, of) = (i128::from(figure), i128::from(parts), i128::from(of));
    let cut = (2 * figure * parts + of).div_euclid(2 * of);
    i64::try_from(cut).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use entity::{OrderId, Rate};
    use proptest::prelude::*;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn line(place: u128, quantity: i64, discount: i64, net: i64, tax: i64) -> order_line::Model {
        order_line::Model {
            id: LineId(Uuid::from_u128(place)),
            order_id: OrderId(Uuid::nil()),
            position: 0,
            variant_id: None,
            sku: String::new(),
            title: String::new(),
            submitted_title: None,
            quantity,
            reserved: 0,
            allocated: 0,
            backordered: 0,
            picked: 0,
            packed: 0,
            shipped: 0,
            cancelled: 0,
            returned: 0,
            unit_price_minor: 0,
            list_price_minor: None,
            tax_category: String::new(),
            tax_rate: Rate::default(),
            subtotal_minor: net + discount,
            discount_minor: discount,
            discounts: json!([]),
            net_minor: net,
            tax_minor: tax,
            gross_minor: net + tax,
        }
    }

    #[test]
    fn p1_the_last_shipment_takes_the_rest() {
        let lines = [line(1, 3, 0, 100, 0)];
        let whole = Whole {
            lines: &lines,
            total: 110,
            shipping_tax: 2,
        };
        let id = lines[0].id;
        let one = BTreeMap::from([(id, 1)]);
        let totals: Vec<i64> = [0, 1, 2]
            .into_iter()
            .map(|before| cut(&whole, &BTreeMap::from([(id, before)]), &one).total())
            .collect();
        assert_eq!(totals.iter().sum::<i64>(), 110);
        assert!(
            totals.iter().all(|total| (36..=38).contains(total)),
            "{totals:?}"
        );
    }

    #[test]
    fn p1_goods_that_are_worth_nothing_are_delivered_by_their_number() {
        let lines = [line(1, 2, 500, 0, 0)];
        let whole = Whole {
            lines: &lines,
            total: 99,
            shipping_tax: 0,
        };
        let id = lines[0].id;
        let one = BTreeMap::from([(id, 1)]);
        let first = cut(&whole, &BTreeMap::new(), &one);
        let second = cut(&whole, &one, &one);
        assert_eq!((first.total(), second.total()), (50, 49));
    }

    type Figures = (i64, i64, i64, i64);

    fn orders() -> impl Strategy<Value = (Vec<Figures>, i64, i64, Vec<Vec<usize>>)> {
        let figures = (1..6_i64, 0..50_000_i64, 0..100_000_i64, 0..20_000_i64);
        (
            proptest::collection::vec(figures, 1..5),
            0..5_000_i64,
            0..1_000_i64,
            proptest::collection::vec(proptest::collection::vec(0..6_usize, 5), 1..6),
        )
    }

    proptest! {
        #[test]
        fn p1_shares_are_never_negative_and_add_up_to_the_minor_unit(
            (figures, delivery, shipping_tax, wishes) in orders(),
        ) {
            let lines: Vec<_> = (1_u128..)
                .zip(&figures)
                .map(|(place, (quantity, discount, net, tax))| {
                    line(place, *quantity, *discount, *net, *tax)
                })
                .collect();
            let goods: i64 = lines.iter().map(|line| line.gross_minor).sum();
            let total = goods + delivery + shipping_tax;
            let whole = Whole { lines: &lines, total, shipping_tax };
            let mut left: BTreeMap<LineId, i64> =
                lines.iter().map(|line| (line.id, line.quantity)).collect();
            let mut before: BTreeMap<LineId, i64> = BTreeMap::new();
            let mut sums = (0, 0, 0);
            // What nobody wished for goes with the last.
            let last = vec![usize::MAX; lines.len()];
            for wish in wishes.iter().chain([&last]) {
                let here: BTreeMap<LineId, i64> = lines
                    .iter()
                    .zip(wish)
                    .map(|(line, wish)| {
                        let wish = i64::try_from(*wish).unwrap_or(i64::MAX);
                        (line.id, std::cmp::min(wish, left[&line.id]))
                    })
                    .collect();
                let share = cut(&whole, &before, &here);
                prop_assert!(share.total() >= 0);
                for line in &share.lines {
                    prop_assert!(line.net >= 0 && line.tax >= 0 && line.discount >= 0);
                    let own = lines.iter().find(|own| own.id == line.line_id).unwrap();
                    let exact = i128::from(own.net_minor) * i128::from(line.units);
                    let got = i128::from(line.net) * i128::from(own.quantity);
                    prop_assert!((exact - got).abs() <= i128::from(own.quantity));
                    sums.1 += line.discount;
                    sums.2 += line.tax;
                }
                sums.0 += share.total();
                sums.2 += share.delivery_tax;
                for (id, units) in here {
                    *before.entry(id).or_default() += units;
                    *left.get_mut(&id).unwrap() -= units;
                }
            }
            prop_assert_eq!(sums.0, total);
            prop_assert_eq!(sums.1, lines.iter().map(|line| line.discount_minor).sum::<i64>());
            let tax: i64 = lines.iter().map(|line| line.tax_minor).sum();
            prop_assert_eq!(sums.2, tax + shipping_tax);
        }
    }
}
