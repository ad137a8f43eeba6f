//! Whose turn it is: classes share by weight, and none starves.

use crate::meta::pin_row::PinClass;

/// One round: of thirteen turns, eight are critical, four normal, one is background.
const ROUND: [PinClass; 13] = {
    use PinClass::{Background as B, Critical as C, Normal as N};
    [C, C, N, C, C, N, C, B, C, N, C, C, N]
};

/// The turns so far.
#[derive(Debug, Default)]
pub(super) struct Turns(usize);

impl Turns {
    /// The next class among those that have something to do; a turn that nobody takes is the next one's.
    pub(super) fn next(&mut self, has: impl Fn(PinClass) -> bool) -> Option<PinClass> {
        for _ in 0..ROUND.len() {
            let class = ROUND[self.0 % ROUND.len()];
            self.0 = (self.0 + 1) % ROUND.len();
            if has(class) {
                return Some(class);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_starves_and_no_turn_is_lost() {
        let mut turns = Turns::default();
        let mut count = [0; 3];
        for _ in 0..130 {
            count[usize::from(turns.next(|_| true).unwrap().byte())] += 1;
        }
        assert_eq!(count, [80, 40, 10]);
        assert!((0..20).all(|_| turns.next(|class| class == PinClass::Background) == Some(PinClass::Background)));
        assert_eq!(turns.next(|_| false), None);
    }
}
