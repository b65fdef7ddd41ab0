//! Apportioning by the largest remainder: parts that always add up.

use std::cmp::Reverse;

use super::PricingError;

/// Splits `amount_minor` in proportion to `weights`, one part for each, by the largest remainder.
///
/// - The parts add up to the amount, always.
/// - Each part is the exact share rounded down or up. So where weights are caps (the remaining
///   values of lines) and the amount is at most their sum, no part exceeds its cap.
/// - What is left after rounding down goes, a minor unit each, to the largest remainders; between
///   equal ones to the lower index.
/// - A weight of zero gets nothing; if all are zero, the amount is split evenly.
/// - A negative amount is split like its opposite.
///
/// Refuses negative weights, and an amount without any weight to carry it.
pub fn apportion(amount_minor: i64, weights: &[i64]) -> Result<Vec<i64>, PricingError> {
    if weights.iter().any(|weight| *weight < 0) {
        return Err(PricingError::NotApportionable);
    }
    if amount_minor == 0 {
        return Ok(vec![0; weights.len()]);
    }
    if weights.is_empty() {
        return Err(PricingError::NotApportionable);
    }
    let even = weights.iter().all(|weight| *weight == 0);
    let weight = |index: usize| if even { 1 } else { i128::from(weights[index]) };
    let total: i128 = (0..weights.len()).map(weight).sum();

    // Products of two 64-bit numbers: nothing here can leave 128 bits.
    let amount = i128::from(amount_minor.unsigned_abs());
    let mut parts: Vec<i128> = (0..weights.len())
        .map(|index| amount * weight(index) / total)
        .collect();
    // Fewer than there are remainders above zero, so that a part without one is never raised.
    let left = amount - parts.iter().sum::<i128>();
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    by_remainder.sort_by_key(|index| Reverse(amount * weight(*index) % total));
    for index in by_remainder
        .into_iter()
        .zip(0..left)
        .map(|(index, _)| index)
    {
        parts[index] += 1;
    }

    let sign = i128::from(amount_minor.signum());
    parts
        .into_iter()
        .map(|part| i64::try_from(sign * part).map_err(|_| PricingError::OutOfRange))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_largest_remainders_get_what_is_left() {
        assert_eq!(apportion(100, &[1, 1, 1]), Ok(vec![34, 33, 33]));
        assert_eq!(apportion(10, &[26, 33, 41]), Ok(vec![3, 3, 4]));
        assert_eq!(apportion(1, &[1, 2, 2]), Ok(vec![0, 1, 0]));
        assert_eq!(apportion(-100, &[1, 1, 1]), Ok(vec![-34, -33, -33]));
    }

    #[test]
    fn zero_weights_get_nothing_unless_all_are_zero() {
        assert_eq!(apportion(5, &[0, 3, 0]), Ok(vec![0, 5, 0]));
        assert_eq!(apportion(5, &[0, 0]), Ok(vec![3, 2]));
        assert_eq!(apportion(0, &[0, 0]), Ok(vec![0, 0]));
        assert_eq!(apportion(0, &[]), Ok(vec![]));
    }

    #[test]
    fn nothing_to_carry_the_amount_or_a_negative_weight_is_refused() {
        assert_eq!(apportion(1, &[]), Err(PricingError::NotApportionable));
        assert_eq!(apportion(1, &[2, -1]), Err(PricingError::NotApportionable));
        assert_eq!(apportion(0, &[-1]), Err(PricingError::NotApportionable));
    }

    #[test]
    fn the_extremes_fit() {
        assert_eq!(apportion(i64::MIN, &[i64::MAX]), Ok(vec![i64::MIN]));
        let parts = apportion(i64::MAX, &[i64::MAX, i64::MAX]).unwrap();
        assert_eq!(parts, vec![i64::MAX / 2 + 1, i64::MAX / 2]);
    }

    proptest! {
        #[test]
        fn parts_add_up_and_are_the_exact_shares_rounded_down_or_up(
            amount in any::<i64>(),
            weights in prop::collection::vec(prop_oneof![0_i64..4, 0..=i64::MAX], 1..20),
        ) {
            let parts = apportion(amount, &weights).unwrap();
            let sum: i128 = parts.iter().copied().map(i128::from).sum();
            prop_assert_eq!(sum, i128::from(amount));
            let total: i128 = weights.iter().copied().map(i128::from).sum();
            if total > 0 {
                for (part, weight) in parts.iter().zip(&weights) {
                    let product = i128::from(amount) * i128::from(*weight);
                    let down = product.div_euclid(total);
                    let up = down + i128::from(product.rem_euclid(total) != 0);
                    prop_assert!((down..=up).contains(&i128::from(*part)));
                }
            }
        }

        #[test]
        fn no_part_exceeds_its_cap(
            caps in prop::collection::vec(0_i64..50, 1..20),
            share in 0_i64..=1000,
        ) {
            let amount = caps.iter().sum::<i64>() * share / 1000;
            for (part, cap) in apportion(amount, &caps).unwrap().iter().zip(&caps) {
                prop_assert!((0..=*cap).contains(part));
            }
        }

        #[test]
        fn a_larger_weight_never_gets_the_smaller_part(
            amount in 0_i64..10_000,
            weights in prop::collection::vec(0_i64..50, 1..20),
        ) {
            let parts = apportion(amount, &weights).unwrap();
            for (i, j) in (0..weights.len()).flat_map(|i| (0..i).map(move |j| (i, j))) {
                if weights[i] < weights[j] {
                    prop_assert!(parts[i] <= parts[j]);
                } else if weights[i] == weights[j] {
                    // `j` stands first: it gets the odd minor unit, if either does.
                    prop_assert!(parts[j] - parts[i] == 0 || parts[j] - parts[i] == 1);
                }
            }
        }
    }
}
