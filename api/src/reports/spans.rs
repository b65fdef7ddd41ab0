//! Spans of time in bins, so that how long things took can be added up and still be asked for the
//! longest of the quickest half: sixteen bins for each doubling, each at most a sixteenth wide.

/// How many bits of a span are kept.
const BITS: u32 = 4;

/// The bin of a span, in seconds. One that is below nothing is nothing.
pub fn bin(secs: i64) -> i32 {
    let secs = u64::try_from(secs).unwrap_or_default();
    let doublings = match secs.checked_ilog2() {
        Some(own) if own >= BITS => own - BITS,
        _ => return i32::try_from(secs).unwrap_or_default(),
    };
    let kept = (secs >> doublings) - (1 << BITS);
    let bin = ((u64::from(doublings) + 1) << BITS) + kept;
    i32::try_from(bin).unwrap_or(i32::MAX)
}

/// The span in the middle of a bin, in seconds: at most a thirty-second off whatever is in it.
pub fn middle(bin: i32) -> i64 {
    let bin = i64::from(std::cmp::max(bin, 0));
    let (doublings, kept) = ((bin >> BITS) - 1, bin & ((1 << BITS) - 1));
    if doublings < 0 {
        return bin;
    }
    let doublings = std::cmp::min(doublings, 57);
    let width = 1_i64 << doublings;
    (((1 << BITS) + kept) << doublings) + (width - 1) / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn p4b_short_spans_are_exact() {
        for secs in 0..32 {
            assert_eq!(middle(bin(secs)), secs);
        }
        assert_eq!(bin(-5), 0);
    }

    proptest! {
        #[test]
        fn p4b_a_bin_is_close_to_all_that_is_in_it_and_longer_spans_have_later_bins(
            one in 0_i64..10_000_000_000, more in 0_i64..1_000_000,
        ) {
            let close = middle(bin(one));
            prop_assert!((close - one).abs() * 32 <= one, "{} for {}", close, one);
            prop_assert!(bin(one + more) >= bin(one));
        }
    }
}
