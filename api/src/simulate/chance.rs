//! Chance that can be repeated: the same seed gives the same stream.

/// A stream of chance: xorshift64*, by George Marsaglia and Sebastiano Vigna. Good enough for a
/// crowd of shoppers, and for nothing that must not be guessed.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Chance {
        // Neighbouring seeds must not give similar streams, and zero would give none.
        let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Chance((mixed ^ (mixed >> 31)) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`; 0 if that is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        // The upper bits are the better ones; the bias is far below what anybody could see.
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// Whether something happens that does so `times` in a thousand.
    pub fn in_thousand(&mut self, times: u64) -> bool {
        self.below(1_000) < times
    }

    /// One of some things.
    pub fn pick<'a, T>(&mut self, things: &'a [T]) -> &'a T {
        let place = self.below(things.len() as u64);
        &things[usize::try_from(place).unwrap_or(0)]
    }

    /// The place of one of some things, each as likely as its weight.
    pub fn weighted(&mut self, weights: impl Iterator<Item = u64> + Clone) -> usize {
        let mut left = self.below(weights.clone().sum());
        for (place, weight) in weights.enumerate() {
            if left < weight {
                return place;
            }
            left -= weight;
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_its_own_stream_again_and_again() {
        let stream = |seed| {
            let mut chance = Chance::new(seed);
            [0; 8].map(|_| chance.below(1_000_000))
        };
        assert_eq!(stream(7), stream(7));
        assert_ne!(stream(7), stream(8));
        assert_ne!(stream(0), [0; 8]);
    }

    #[test]
    fn likelihoods_are_about_what_they_say() {
        let mut chance = Chance::new(1);
        let happened = (0..100_000).filter(|_| chance.in_thousand(10)).count();
        assert!((800..1_200).contains(&happened), "{happened}");
        let mut drawn = [0_u32; 3];
        for _ in 0..60_000 {
            drawn[chance.weighted([3, 2, 1].into_iter())] += 1;
        }
        assert!(drawn[0] > drawn[1] && drawn[1] > drawn[2], "{drawn:?}");
        assert!((29_000..31_000).contains(&drawn[0]), "{drawn:?}");
    }
}
