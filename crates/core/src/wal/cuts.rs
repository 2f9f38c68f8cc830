//! The truncates of an open log, for readers that read on: was anything at or beyond this LSN cut
//! off since they last looked?

use std::collections::VecDeque;

/// Truncates that are told apart; older ones are taken for the next younger.
const KNOWN_MAX: usize = 1024;

/// One truncate: its number, and the lowest next LSN that it or a later one led to.
#[derive(Clone, Copy, Debug)]
struct Cut {
    epoch: u64,
    next: u64,
}

/// The truncates of an open log. Those that a later one reached below are forgotten: the list
/// rises in both of its columns.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    epoch: u64,
    known: VecDeque<Cut>,
}

impl Cuts {
    /// Number of truncates so far.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// After a truncate the next entry gets this LSN.
    pub(super) fn push(&mut self, next: u64) {
        self.epoch += 1;
        while self.known.back().is_some_and(|last| last.next >= next) {
            self.known.pop_back();
        }
        self.known.push_back(Cut { epoch: self.epoch, next });
        if self.known.len() > KNOWN_MAX
            && let Some(oldest) = self.known.pop_front()
            && let Some(second) = self.known.front_mut()
        {
            // Who knows the older one only is told of too much, never of too little.
            second.next = second.next.min(oldest.next);
        }
    }

    /// The lowest next LSN that the truncates after number `epoch` led to.
    pub(super) fn lowest_since(&self, epoch: u64) -> Option<u64> {
        let after = self.known.partition_point(|cut| cut.epoch <= epoch);
        self.known.get(after).map(|cut| cut.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_hears_of_the_lowest_cut_since_it_looked() {
        let mut cuts = Cuts::default();
        let steps = [50, 10, 30, 20, 90, 40];
        for next in steps {
            cuts.push(next);
        }
        for seen in 0..steps.len() {
            let lowest = steps[seen..].iter().min().copied();
            assert_eq!(cuts.lowest_since(seen as u64), lowest, "after {seen}");
        }
        assert_eq!(cuts.lowest_since(cuts.epoch()), None);
    }

    #[test]
    fn memory_is_bounded_and_nothing_is_missed() {
        let mut cuts = Cuts::default();
        for next in 1..=10_000 {
            cuts.push(next);
        }
        assert!(cuts.known.len() <= KNOWN_MAX);
        assert!(cuts.lowest_since(0).is_some_and(|lowest| lowest <= 1));
        assert_eq!(cuts.lowest_since(9_999), Some(10_000));
    }
}
