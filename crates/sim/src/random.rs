//! A small seeded generator: the same seed gives the same numbers on every machine.
//!
//! `SplitMix64`. Good enough to choose interleavings and to draw names nobody guesses in a
//! simulation; not fit for anything else.

/// A stream of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if there is none.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = (bound as u64).max(1);
        // The bias of the remainder is of no consequence here. It fits: it is below `bound`.
        usize::try_from(self.next() % bound).unwrap_or(0)
    }

    /// True in `parts` of 256 cases.
    pub(crate) const fn chance(&mut self, parts: u64) -> bool {
        self.next() & 0xFF < parts
    }

    pub(crate) fn fill(&mut self, into: &mut [u8]) {
        for chunk in into.chunks_mut(8) {
            for (to, from) in chunk.iter_mut().zip(self.next().to_le_bytes()) {
                *to = from;
            }
        }
    }
}
