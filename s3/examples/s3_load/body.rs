//! Bodies: random bytes, another stamp at the head of each MiB for each key.

/// Bytes of one piece of a body; a store's chunk is no longer than this.
const PIECE: usize = 1 << 20;
/// Bytes of a piece's stamp.
pub(crate) const STAMP: usize = 16;

/// What all bodies of a run are made of.
pub(crate) struct Bodies {
    noise: Vec<u8>,
    size: usize,
    seed: u64,
}

impl Bodies {
    /// Bodies of `size` bytes; those of another `seed` have other stamps.
    pub(crate) fn new(size: usize, seed: u64) -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let words = (0..PIECE.min(size) / 8 + 1).flat_map(|_| next(&mut state).to_le_bytes());
        Self { noise: words.take(PIECE.min(size)).collect(), size, seed }
    }

    /// Bytes of a body.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// The pieces of a key's body: each a stamp and what follows it.
    pub(crate) fn pieces(&self, key: u64) -> impl Iterator<Item = ([u8; STAMP], &[u8])> {
        (0..self.size.div_ceil(PIECE)).map(move |index| {
            let length = PIECE.min(self.size - index * PIECE);
            let mut stamp = [0; STAMP];
            stamp[..8].copy_from_slice(&(key ^ self.seed << 32).to_le_bytes());
            stamp[8..].copy_from_slice(&(index as u64).to_le_bytes());
            (stamp, &self.noise[STAMP.min(length)..length])
        })
    }

    /// Whether `bytes` is the key's body.
    pub(crate) fn is(&self, key: u64, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        for (stamp, noise) in self.pieces(key) {
            let Some((head, tail)) = rest.split_at_checked(STAMP + noise.len()) else { return false };
            if head[..STAMP] != stamp || head[STAMP..] != *noise {
                return false;
            }
            rest = tail;
        }
        rest.is_empty()
    }
}

/// xorshift64*.
pub(crate) fn next(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d)
}
