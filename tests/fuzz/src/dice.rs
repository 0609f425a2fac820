//! Chance that can be had again: the same seed, the same throws, on every machine and in every version.

use std::hash::{BuildHasher, RandomState};

/// A sequence of throws (SplitMix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The sequence of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 if there is none.
    pub fn below(&mut self, end: usize) -> usize {
        (self.any() % end.max(1) as u64) as usize
    }

    /// True once in so many throws; never for 0.
    pub fn one_in(&mut self, odds: usize) -> bool {
        odds > 0 && self.below(odds) == 0
    }

    /// One of these.
    ///
    /// # Panics
    /// If there are none.
    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    /// A random UUID, as text.
    pub fn uuid(&mut self) -> String {
        let hex = format!("{:016x}{:016x}", self.any(), self.any());
        format!("{}-{}-7{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    }
}

/// A seed nobody has chosen.
pub(crate) fn fresh_seed() -> u64 {
    // Keys of a hash map are the standard library's only randomness.
    RandomState::new().hash_one(0)
}
