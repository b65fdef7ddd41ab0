//! Whether a promotion may apply to a cart at all, before it is known what it would take off.

use entity::promotion;
use serde::{Serialize, Serializer};

use super::Cart;

/// Why a promotion did not apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Rejection {
    /// No promotion has this code.
    #[error("no promotion has this code")]
    Unknown,
    /// It does not run.
    #[error("the promotion does not run")]
    Inactive,
    /// It begins later.
    #[error("the promotion has not begun")]
    NotYetValid,
    /// It is over.
    #[error("the promotion is over")]
    Expired,
    /// It runs in another channel.
    #[error("the promotion runs in another channel")]
    WrongChannel,
    /// It is of another currency.
    #[error("the promotion is of another currency")]
    WrongCurrency,
    /// It has an amount or a minimum, and nobody said of which currency.
    #[error("the promotion lacks the currency of its amounts")]
    CurrencyMissing,
    /// What it takes off is missing or makes no sense.
    #[error("the promotion is not set up completely")]
    Misconfigured,
    /// As many orders as may use it do.
    #[error("the promotion was used as often as it may be")]
    LimitReached,
    /// The lines are worth less than it asks for.
    #[error("the order is worth less than the promotion asks for")]
    BelowMinimum,
    /// It takes nothing off this cart: no line is meant, none has enough units, or other
    /// promotions left nothing to take.
    #[error("the promotion takes nothing off this order")]
    NotApplicable,
    /// It cannot be combined, or another one that applied cannot.
    #[error("the promotion cannot be combined with another one")]
    ExclusiveConflict,
}

impl Rejection {
    /// The code that callers tell the reasons apart by.
    pub fn code(self) -> &'static str {
        match self {
            Rejection::Unknown => "PROMOTION_UNKNOWN",
            Rejection::Inactive => "PROMOTION_INACTIVE",
            Rejection::NotYetValid => "PROMOTION_NOT_YET_VALID",
            Rejection::Expired => "PROMOTION_EXPIRED",
            Rejection::WrongChannel => "PROMOTION_WRONG_CHANNEL",
            Rejection::WrongCurrency => "PROMOTION_WRONG_CURRENCY",
            Rejection::CurrencyMissing => "PROMOTION_CURRENCY_MISSING",
            Rejection::Misconfigured => "PROMOTION_MISCONFIGURED",
            Rejection::LimitReached => "PROMOTION_LIMIT_REACHED",
            Rejection::BelowMinimum => "PROMOTION_BELOW_MINIMUM",
            Rejection::NotApplicable => "PROMOTION_NOT_APPLICABLE",
            Rejection::ExclusiveConflict => "PROMOTION_EXCLUSIVE_CONFLICT",
        }
    }
}

/// Written as its code.
impl Serialize for Rejection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

/// Checks what does not depend on the other promotions, in the order of [`Rejection`].
///
/// - The window contains its first moment and not its last.
/// - A currency, once stated, must be the cart's, whatever the promotion takes off.
/// - The minimum is compared with the lines before discounts, without shipping.
/// - The usage limit is only explained here; it is held where uses are counted. Whoever prices
///   an order anew that already counts as a use passes a row without it.
pub(super) fn eligible(
    promotion: &promotion::Model,
    cart: &Cart,
    subtotal_minor: i64,
) -> Result<(), Rejection> {
    let has_amounts =
        promotion.kind == promotion::PromotionKind::Amount || promotion.min_subtotal_minor > 0;
    let wrong_channel = promotion.channel_id.is_some_and(|id| id != cart.channel_id);
    let wrong_currency = promotion
        .currency
        .is_some_and(|currency| currency != cart.currency);
    let used_up = promotion
        .usage_limit
        .is_some_and(|limit| promotion.usage_count >= limit);

    let refusals = [
        (!promotion.active, Rejection::Inactive),
        (
            promotion.valid_from.is_some_and(|from| cart.now < from),
            Rejection::NotYetValid,
        ),
        (
            promotion.valid_until.is_some_and(|until| cart.now >= until),
            Rejection::Expired,
        ),
        (wrong_channel, Rejection::WrongChannel),
        (wrong_currency, Rejection::WrongCurrency),
        (
            has_amounts && promotion.currency.is_none(),
            Rejection::CurrencyMissing,
        ),
        (used_up, Rejection::LimitReached),
        (
            subtotal_minor < promotion.min_subtotal_minor,
            Rejection::BelowMinimum,
        ),
    ];
    match refusals.into_iter().find(|(refused, _)| *refused) {
        Some((_, rejection)) => Err(rejection),
        None => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use chrono::TimeDelta;
    use entity::{ChannelId, Currency};
    use uuid::Uuid;

    use super::super::samples::{amount, cart, line, now, percent};
    use super::*;

    fn verdict(promotion: &promotion::Model) -> Result<(), Rejection> {
        eligible(promotion, &cart(vec![line("A", 1, 1000)]), 1000)
    }

    #[test]
    fn c4b_a_promotion_is_valid_from_its_first_moment_until_before_its_last() {
        let tick = TimeDelta::milliseconds(1);
        let window = |from, until| {
            let mut promotion = percent("TEN", "0.1");
            promotion.valid_from = Some(from);
            promotion.valid_until = Some(until);
            verdict(&promotion)
        };
        assert_eq!(window(now(), now() + tick), Ok(()));
        assert_eq!(
            window(now() + tick, now() + tick * 2),
            Err(Rejection::NotYetValid)
        );
        assert_eq!(window(now() - tick, now()), Err(Rejection::Expired));
    }

    #[test]
    fn c4b_a_promotion_that_does_not_run_here_is_refused_with_its_reason() {
        let mut promotion = percent("TEN", "0.1");
        assert_eq!(verdict(&promotion), Ok(()));
        promotion.usage_limit = Some(3);
        promotion.usage_count = 2;
        assert_eq!(verdict(&promotion), Ok(()));
        promotion.usage_count = 3;
        assert_eq!(verdict(&promotion), Err(Rejection::LimitReached));
        promotion.currency = Some(Currency::JPY);
        assert_eq!(verdict(&promotion), Err(Rejection::WrongCurrency));
        promotion.channel_id = Some(ChannelId(Uuid::from_u128(99)));
        assert_eq!(verdict(&promotion), Err(Rejection::WrongChannel));
        promotion.active = false;
        assert_eq!(verdict(&promotion), Err(Rejection::Inactive));
    }

    #[test]
    fn c4b_the_minimum_itself_is_enough() {
        let mut promotion = percent("TEN", "0.1");
        promotion.currency = Some(Currency::EUR);
        promotion.min_subtotal_minor = 1000;
        assert_eq!(verdict(&promotion), Ok(()));
        promotion.min_subtotal_minor = 1001;
        assert_eq!(verdict(&promotion), Err(Rejection::BelowMinimum));
    }

    #[test]
    fn c4b_an_amount_or_a_minimum_without_a_currency_is_refused() {
        let mut promotion = amount("FIVE", 500);
        promotion.currency = None;
        assert_eq!(verdict(&promotion), Err(Rejection::CurrencyMissing));
        let mut promotion = percent("TEN", "0.1");
        promotion.min_subtotal_minor = 1;
        assert_eq!(verdict(&promotion), Err(Rejection::CurrencyMissing));
    }
}
