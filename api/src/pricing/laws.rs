//! What holds for every quote, over random carts and promotions in three currencies.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use entity::channel::{RoundingMode, RoundingScope, TaxMode};
use entity::promotion::Model;
use entity::{Currency, PromotionId};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::json;
use uuid::Uuid;

use super::samples::{
    amount, buy_x_get_y, cart, free_shipping, now, percent, taxed_line, taxed_shipping,
};
use super::*;

/// A cart that owns its promotions.
#[derive(Clone, Debug)]
struct Case {
    cart: Cart<'static>,
    promotions: Vec<Model>,
}

impl Case {
    fn cart(&self) -> Cart<'_> {
        Cart {
            promotions: &self.promotions,
            ..self.cart.clone()
        }
    }

    fn quote(&self) -> Quote {
        price(&self.cart()).unwrap()
    }
}

const CURRENCIES: [Currency; 3] = [Currency::EUR, Currency::JPY, Currency::KWD];
const CODES: [&str; 5] = ["ALFA", "BRAVO", "CHARLIE", "DELTA", "ECHO"];
const RATES: [&str; 6] = ["0", "0.05", "0.07", "0.19", "0.2", "0.08875"];

fn any_line() -> impl Strategy<Value = CartLine> {
    let sku = select(vec!["A", "B", "C"]);
    let price = prop_oneof![0_i64..30, 0_i64..200_000];
    (sku, 1_i64..40, price, select(RATES.to_vec()))
        .prop_map(|(sku, quantity, price, rate)| taxed_line(sku, quantity, price, rate))
}

fn any_gift() -> impl Strategy<Value = Model> {
    let share = select(vec!["0.05", "0.1", "0.155", "0.333333", "0.5", "1"]);
    prop_oneof![
        share.prop_map(|share| percent("", share)),
        prop_oneof![1_i64..500, 1_i64..1_000_000].prop_map(|minor| amount("", minor)),
        Just(free_shipping("")),
        (1..4, 1..4).prop_map(|(buy, get)| buy_x_get_y("", buy, get)),
    ]
}

/// A promotion, mostly one that runs; the index makes its identifier and its code.
fn any_promotion(index: usize, currency: Currency) -> impl Strategy<Value = Model> {
    let skus = select(vec![
        None,
        None,
        Some(json!(["A"])),
        Some(json!(["B", "C"])),
    ]);
    let minimum = select(vec![0, 0, 5_000]);
    let switches = (
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.1),
    );
    (any_gift(), skus, minimum, 0..3, switches).prop_map(
        move |(gift, skus, min_subtotal_minor, priority, (exclusive, automatic, over))| Model {
            id: PromotionId(Uuid::from_u128(100 + index as u128)),
            code: (!automatic).then(|| CODES[index].to_owned()),
            currency: Some(currency),
            skus,
            min_subtotal_minor,
            priority,
            exclusive,
            valid_until: over.then(now),
            ..gift
        },
    )
}

fn any_case() -> impl Strategy<Value = Case> {
    let rules = (
        select(vec![TaxMode::Inclusive, TaxMode::Exclusive]),
        select(vec![RoundingMode::HalfUp, RoundingMode::HalfEven]),
        select(vec![RoundingScope::PerLine, RoundingScope::PerUnit]),
        prop::bool::weighted(0.2),
    );
    let shipping = prop::option::of((0_i64..5_000, select(RATES.to_vec())));
    let codes = prop::collection::vec(select(CODES.to_vec()), 0..5);
    select(CURRENCIES.to_vec()).prop_flat_map(move |currency| {
        let promotions: Vec<_> = (0..CODES.len())
            .map(|index| any_promotion(index, currency))
            .collect();
        let lines = prop::collection::vec(any_line(), 0..8);
        (
            lines,
            promotions,
            codes.clone(),
            shipping.clone(),
            rules.clone(),
        )
            .prop_map(move |(lines, promotions, codes, shipping, rules)| {
                let (tax_mode, rounding_mode, rounding_scope, tax_exempt) = rules;
                let cart = Cart {
                    currency,
                    tax_mode,
                    rounding_mode,
                    rounding_scope,
                    tax_exempt,
                    codes: codes.into_iter().map(str::to_lowercase).collect(),
                    shipping: shipping.and_then(|(price, rate)| taxed_shipping(price, rate)),
                    ..cart(lines)
                };
                Case { cart, promotions }
            })
    })
}

/// What must hold for any cart that has a price.
fn check_totals(cart: &Cart, quote: &Quote) -> Result<(), TestCaseError> {
    let wide = |amount: i64| i128::from(amount);
    let sum = |amount: fn(&QuotedLine) -> i64| {
        quote.lines.iter().map(amount).map(i128::from).sum::<i128>()
    };
    let shipping = &quote.shipping;
    let added = match cart.tax_mode {
        TaxMode::Exclusive => wide(quote.tax_minor),
        TaxMode::Inclusive => 0,
    };
    // I5, once from the order's own amounts and once from its parts.
    prop_assert_eq!(
        wide(quote.subtotal_minor) - wide(quote.discount_minor)
            + wide(quote.shipping_minor)
            + added
            - wide(quote.exempted_minor),
        wide(quote.total_minor)
    );
    prop_assert_eq!(sum(|line| line.subtotal_minor), wide(quote.subtotal_minor));
    prop_assert_eq!(
        sum(|line| line.discount_minor) + wide(shipping.discount_minor),
        wide(quote.discount_minor)
    );
    prop_assert_eq!(
        sum(|line| line.tax_minor) + wide(shipping.tax_minor),
        wide(quote.tax_minor)
    );
    prop_assert_eq!(
        sum(|line| line.exempted_minor) + wide(shipping.exempted_minor),
        wide(quote.exempted_minor)
    );
    prop_assert_eq!(
        sum(|line| line.gross_minor) + wide(shipping.gross_minor),
        wide(quote.total_minor)
    );
    prop_assert_eq!(quote.lines.len(), cart.lines.len());
    for (line, asked) in quote.lines.iter().zip(&cart.lines) {
        let discounts = line.discounts.iter().map(|discount| discount.amount_minor);
        prop_assert_eq!(line.subtotal_minor, asked.unit_price_minor * asked.quantity);
        prop_assert_eq!(discounts.sum::<i64>(), line.discount_minor);
        prop_assert!((0..=line.subtotal_minor).contains(&line.discount_minor));
        prop_assert!(line.net_minor >= 0 && line.tax_minor >= 0 && line.exempted_minor >= 0);
        prop_assert_eq!(line.net_minor + line.tax_minor, line.gross_minor);
        let left = line.subtotal_minor - line.discount_minor;
        let taxable = match cart.tax_mode {
            TaxMode::Exclusive => line.net_minor,
            TaxMode::Inclusive => line.gross_minor + line.exempted_minor,
        };
        prop_assert_eq!(left, taxable);
    }
    prop_assert!((0..=shipping.charge_minor).contains(&shipping.discount_minor));
    prop_assert!(shipping.net_minor >= 0 && shipping.tax_minor >= 0);
    prop_assert_eq!(
        shipping.net_minor + shipping.tax_minor,
        shipping.gross_minor
    );
    Ok(())
}

/// Small amounts meet the roundings, large ones the ends of the range.
fn any_amount() -> impl Strategy<Value = i64> {
    prop_oneof![-2_i64..100, Just(i64::MAX), any::<i64>(), 0..=i64::MAX / 50]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn c4c_totals_hold_to_the_minor_unit(case in any_case()) {
        check_totals(&case.cart(), &case.quote())?;
    }

    #[test]
    fn c4c_an_exempt_order_pays_what_is_net_for_others(case in any_case()) {
        let mut exempt = case.clone();
        exempt.cart.tax_exempt = true;
        let mut taxed = case;
        taxed.cart.tax_exempt = false;
        let (exempt, taxed) = (exempt.quote(), taxed.quote());
        prop_assert_eq!(exempt.tax_minor, 0);
        prop_assert_eq!(taxed.exempted_minor, 0);
        prop_assert_eq!(exempt.total_minor, taxed.total_minor - taxed.tax_minor);
        prop_assert_eq!(exempt.promotions, taxed.promotions);
    }

    #[test]
    fn c4b_verdicts_account_for_every_discount(case in any_case()) {
        let quote = case.quote();
        let mut taken: HashMap<PromotionId, i64> = HashMap::new();
        let places = quote.lines.iter().map(|line| &line.discounts);
        for discount in places.chain([&quote.shipping.discounts]).flatten() {
            prop_assert!(discount.amount_minor > 0);
            *taken.entry(discount.promotion_id).or_default() += discount.amount_minor;
        }
        let mut stated = HashMap::new();
        for verdict in &quote.promotions {
            if let PromotionOutcome::Applied { discount_minor } = verdict.outcome {
                stated.insert(verdict.promotion_id.unwrap(), discount_minor);
            }
        }
        prop_assert_eq!(stated.values().sum::<i64>(), quote.discount_minor);
        prop_assert_eq!(&stated, &taken);

        // Each code has one verdict; nothing applies that is over, or without its code.
        let mut codes: Vec<String> = case.cart.codes.iter().map(|c| c.to_uppercase()).collect();
        codes.sort();
        codes.dedup();
        let mut judged: Vec<String> =
            quote.promotions.iter().filter_map(|verdict| verdict.code.clone()).collect();
        judged.sort();
        prop_assert_eq!(&judged, &codes);
        for promotion in case.promotions.iter().filter(|p| taken.contains_key(&p.id)) {
            prop_assert!(promotion.valid_until.is_none());
            prop_assert!(promotion.min_subtotal_minor <= quote.subtotal_minor);
            prop_assert!(promotion.code.as_ref().is_none_or(|code| codes.contains(code)));
            prop_assert!(!promotion.exclusive || taken.len() == 1);
        }
    }

    #[test]
    fn c4b_neither_the_order_of_rows_nor_of_codes_matters(
        case in any_case(),
        swaps in prop::collection::vec((any::<Index>(), any::<Index>()), 1..8),
    ) {
        let mut shuffled = case.clone();
        for (a, b) in swaps {
            let rows = &mut shuffled.promotions;
            rows.swap(a.index(CODES.len()), b.index(CODES.len()));
            let codes = &mut shuffled.cart.codes;
            if let count @ 1.. = codes.len() {
                codes.swap(a.index(count), b.index(count));
            }
        }
        let by_promotion = |mut quote: Quote| {
            quote.promotions.sort_by_key(|v| (v.promotion_id, v.code.clone()));
            quote
        };
        prop_assert_eq!(by_promotion(shuffled.quote()), by_promotion(case.quote()));
    }

    #[test]
    fn c4b_a_promotion_that_stacks_never_raises_the_total(
        case in any_case(),
        mut extra in any_promotion(0, Currency::EUR),
    ) {
        // Percentages without exclusive ones: the order of the others stays as it is.
        let mut case = case;
        case.promotions.retain(|p| !p.exclusive && p.percent.is_some());
        case.cart.codes = CODES.iter().map(|code| (*code).to_owned()).collect();
        let before = case.quote().total_minor;
        extra.id = PromotionId(Uuid::from_u128(1));
        extra.code = None;
        extra.currency = Some(case.cart.currency);
        extra.exclusive = false;
        extra.priority = i32::MAX;
        case.promotions.push(extra);
        let quote = case.quote();
        // Rounding per unit may add a minor unit of tax for each unit whose worth changed.
        if case.cart.rounding_scope == RoundingScope::PerLine {
            prop_assert!(quote.total_minor <= before);
        }
    }

    #[test]
    fn amounts_of_any_size_are_priced_exactly_or_refused(
        lines in prop::collection::vec((any_amount(), any_amount(), select(RATES.to_vec())), 1..4),
        shipping in any_amount(),
        off in 1..=i64::MAX,
        buy in 1..=i32::MAX,
        inclusive in any::<bool>(),
        per_unit in any::<bool>(),
    ) {
        let promotions = [
            amount("ALFA", off),
            buy_x_get_y("BRAVO", buy, i32::MAX),
            percent("CHARLIE", "0.3333333333333333333333333333"),
        ];
        let lines = lines
            .into_iter()
            .map(|(quantity, price, rate)| taxed_line("A", quantity, price, rate))
            .collect();
        let mut cart = cart(lines);
        cart.tax_mode = if inclusive { TaxMode::Inclusive } else { TaxMode::Exclusive };
        cart.rounding_scope =
            if per_unit { RoundingScope::PerUnit } else { RoundingScope::PerLine };
        cart.shipping = taxed_shipping(shipping, "0.19");
        cart.promotions = &promotions;
        for codes in [vec![], vec!["ALFA", "BRAVO"], vec!["CHARLIE"]] {
            cart.codes = codes.into_iter().map(str::to_owned).collect();
            if let Ok(quote) = price(&cart) {
                check_totals(&cart, &quote)?;
            }
        }
    }
}
