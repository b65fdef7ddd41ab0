//! What differs, as a function of what there is: our transaction and all lines that are about it,
//! in whatever order and files they came.

use std::collections::BTreeMap;

use entity::settlement_difference::Kind;
use entity::settlement_line::Kind as LineKind;
use entity::{Currency, Money, Rate, gateway_terms, settlement_line};
use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};

/// Something that differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Differs {
    /// What.
    pub kind: Kind,
    /// What should be there.
    pub expected: Money,
    /// What is there.
    pub found: Money,
}

/// What is agreed for a charge.
#[derive(Clone, Copy, Debug)]
pub struct Fees {
    rate: Rate,
    fixed_minor: i64,
    currency: Option<Currency>,
}

impl Fees {
    /// Those of a gateway; none if nothing is agreed.
    pub fn of(terms: &gateway_terms::Model) -> Option<Fees> {
        Some(Fees {
            rate: terms.fee_rate?,
            fixed_minor: terms.fee_fixed_minor,
            currency: terms.fee_currency,
        })
    }

    /// What may be kept of a charge, half a minor unit up; none if the charge is not agreed upon.
    fn of_charge(self, gross: Money) -> Option<i64> {
        if self.currency.is_some_and(|own| own != gross.currency) {
            return None;
        }
        let share = Decimal::from(gross.minor).checked_mul(self.rate.0)?;
        let share = share.round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero);
        share.to_i64()?.checked_add(self.fixed_minor)
    }
}

/// Holds the lines about a capture or a refund against it; what a refund takes is below zero.
pub fn of_transaction(
    amount: Money,
    lines: &[settlement_line::Model],
    fees: Option<Fees>,
) -> Vec<Differs> {
    let mut sums: BTreeMap<&str, Money> = BTreeMap::new();
    for line in lines {
        let none = Money::new(0, line.currency);
        sums.entry(line.currency.code()).or_insert(none).minor += line.gross_minor;
    }
    let own = || lines.iter().filter(|line| line.currency == amount.currency);
    let is_main =
        |line: &&settlement_line::Model| matches!(line.kind, LineKind::Charge | LineKind::Refund);
    let mut found = Vec::new();
    // What came in another currency came in place of ours, unless ours came as well.
    let mut expected = match own().next() {
        Some(_) => Money::new(0, amount.currency),
        None => amount,
    };
    for (_, sum) in sums
        .iter()
        .filter(|(code, _)| **code != amount.currency.code())
    {
        found.push(Differs {
            kind: Kind::OtherCurrency,
            expected,
            found: *sum,
        });
        expected.minor = 0;
    }
    let Some(sum) = sums.get(amount.currency.code()).copied() else {
        return found;
    };
    let several = own().filter(is_main).count() > 1;
    if several || sum != amount {
        found.push(Differs {
            kind: match several {
                true => Kind::Duplicate,
                false => Kind::WrongAmount,
            },
            expected: amount,
            found: sum,
        });
    }
    let charges = || own().filter(|line| line.kind == LineKind::Charge);
    let agreed = fees.and_then(|fees| match several {
        true => charges()
            .map(|line| fees.of_charge(Money::new(line.gross_minor, line.currency)))
            .sum(),
        false if amount.minor > 0 => fees.of_charge(sum),
        false => None,
    });
    let kept: i64 = own().map(|line| line.fee_minor).sum();
    if let Some(agreed) = agreed.filter(|agreed| *agreed != kept && charges().next().is_some()) {
        found.push(Differs {
            kind: Kind::Fee,
            expected: Money::new(agreed, amount.currency),
            found: Money::new(kept, amount.currency),
        });
    }
    found
}

/// Holds the lines about a dispute that we know of against it.
pub fn of_dispute(amount: Money, lines: &[settlement_line::Model]) -> Vec<Differs> {
    let taken = lines
        .iter()
        .filter(|line| line.kind == LineKind::Chargeback);
    let taken: Vec<_> = taken.collect();
    let Some(first) = taken.first() else {
        return Vec::new();
    };
    let sum = Money::new(
        taken.iter().map(|line| line.gross_minor).sum(),
        first.currency,
    );
    let expected = Money::new(-amount.minor, amount.currency);
    match sum == expected {
        true => Vec::new(),
        false => vec![Differs {
            kind: Kind::Chargeback,
            expected,
            found: sum,
        }],
    }
}

/// What is to be said of a line that is about nothing that we know; none if it needs nothing.
pub fn of_stray(line: &settlement_line::Model) -> Option<Differs> {
    let kind = match line.kind {
        LineKind::Fee | LineKind::Payout => return None,
        LineKind::Refund | LineKind::RefundReversal => Kind::Refund,
        LineKind::Chargeback | LineKind::ChargebackReversal => Kind::Chargeback,
        LineKind::Charge | LineKind::ChargeReversal | LineKind::Other => Kind::Unknown,
    };
    Some(Differs {
        kind,
        expected: Money::new(0, line.currency),
        found: Money::new(line.gross_minor, line.currency),
    })
}

/// Holds what a payout says in a currency against its lines; nothing if it does not say it.
pub fn of_payout(lines_minor: i64, said_minor: Option<i64>, currency: Currency) -> Option<Differs> {
    let said = -said_minor?;
    (said != lines_minor).then_some(Differs {
        kind: Kind::Payout,
        expected: Money::new(lines_minor, currency),
        found: Money::new(said, currency),
    })
}
