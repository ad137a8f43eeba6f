//! Tests of the store as a whole, beyond what [`super::conformance`] asks of it.

mod basics;
mod concurrent;
mod crash;
pub(super) mod index_double;
mod moves;
mod rulings;
mod uploads;

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

/// How often the long tests are to be repeated with other seeds: `PINFOLD_TEST_ROUNDS`, 1 by default.
fn rounds() -> u32 {
    std::env::var("PINFOLD_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}
