//! Sums that are refused when they do not fit.

use super::PricingError;

/// Adds amounts up.
pub(super) fn sum(amounts: impl IntoIterator<Item = i64>) -> Result<i64, PricingError> {
    amounts
        .into_iter()
        .try_fold(0_i64, |sum, amount| sum.checked_add(amount))
        .ok_or(PricingError::OutOfRange)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_that_does_not_fit_is_an_error() {
        assert_eq!(sum([]), Ok(0));
        assert_eq!(sum([i64::MAX - 1, 1]), Ok(i64::MAX));
        assert_eq!(sum([i64::MAX, 1]), Err(PricingError::OutOfRange));
        assert_eq!(sum([i64::MIN, -1]), Err(PricingError::OutOfRange));
    }
}
