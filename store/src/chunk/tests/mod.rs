//! Tests of the store as a whole, beyond what [`super::conformance`] asks of it.

mod basics;
mod concurrent;
mod crash;
pub(super) mod index_double;

/// Small numbers from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}
