//! The unit price of a quantity, out of the price lists that an order may buy from.

use std::cmp::Reverse;

use super::PricingError;

/// A tier of a price list that is valid for the order: its customer group, channel, currency and
/// moment were matched before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceCandidate {
    /// Where its list stands among the others: the higher wins (more specific, then priority).
    pub list_rank: i64,
    /// The quantity that the tier begins at, itself included.
    pub min_quantity: i64,
    /// The price of one unit in this tier.
    pub unit_price_minor: i64,
}

/// Chooses the tier that prices `quantity` units.
///
/// The highest list that has any tier for the quantity decides, even where a lower one is
/// cheaper: a negotiated price is a price. In it the tier that begins last wins, and between two
/// that begin alike (two lists of the same rank) the lower price.
pub fn unit_price(
    candidates: &[PriceCandidate],
    quantity: i64,
) -> Result<&PriceCandidate, PricingError> {
    candidates
        .iter()
        .filter(|candidate| candidate.min_quantity <= quantity)
        .max_by_key(|candidate| {
            (
                candidate.list_rank,
                candidate.min_quantity,
                Reverse(candidate.unit_price_minor),
            )
        })
        .ok_or(PricingError::NoPrice)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tier(list_rank: i64, min_quantity: i64, unit_price_minor: i64) -> PriceCandidate {
        PriceCandidate {
            list_rank,
            min_quantity,
            unit_price_minor,
        }
    }

    #[test]
    fn c4a_a_tier_begins_at_its_own_quantity() {
        let tiers = [tier(0, 1, 1000), tier(0, 10, 900), tier(0, 100, 800)];
        let price = |quantity| unit_price(&tiers, quantity).unwrap().unit_price_minor;
        assert_eq!([price(1), price(9)], [1000, 1000]);
        assert_eq!([price(10), price(99)], [900, 900]);
        assert_eq!([price(100), price(i64::MAX)], [800, 800]);
    }

    #[test]
    fn c4a_the_highest_list_with_a_tier_decides_even_if_it_is_dearer() {
        let tiers = [tier(1, 1, 1000), tier(1, 50, 500), tier(2, 10, 950)];
        let price = |quantity| unit_price(&tiers, quantity).unwrap().unit_price_minor;
        // Too few for the higher list: the lower one still has a price.
        assert_eq!(price(9), 1000);
        assert_eq!(price(10), 950);
        assert_eq!(price(60), 950);
    }

    #[test]
    fn c4a_between_equal_tiers_the_lower_price_wins() {
        let tiers = [tier(1, 1, 1000), tier(1, 1, 990), tier(1, 1, 995)];
        assert_eq!(unit_price(&tiers, 1).unwrap().unit_price_minor, 990);
    }

    #[test]
    fn c4a_a_quantity_below_every_tier_has_no_price() {
        assert_eq!(unit_price(&[], 1), Err(PricingError::NoPrice));
        assert_eq!(
            unit_price(&[tier(0, 5, 100)], 4),
            Err(PricingError::NoPrice)
        );
    }

    proptest! {
        #[test]
        fn no_candidate_that_fits_beats_the_chosen_one_in_any_order(
            mut candidates in prop::collection::vec(
                (0_i64..3, 0_i64..20, 0_i64..5).prop_map(|(rank, min, price)| tier(rank, min, price)),
                1..12,
            ),
            quantity in 1_i64..20,
        ) {
            let chosen = unit_price(&candidates, quantity).copied();
            for other in candidates.iter().filter(|other| other.min_quantity <= quantity) {
                let chosen = chosen.unwrap();
                prop_assert!(chosen.min_quantity <= quantity);
                prop_assert!(other.list_rank <= chosen.list_rank);
                if other.list_rank == chosen.list_rank {
                    prop_assert!(other.min_quantity <= chosen.min_quantity);
                    if other.min_quantity == chosen.min_quantity {
                        prop_assert!(other.unit_price_minor >= chosen.unit_price_minor);
                    }
                }
            }
            candidates.reverse();
            prop_assert_eq!(unit_price(&candidates, quantity).copied(), chosen);
        }
    }
}
