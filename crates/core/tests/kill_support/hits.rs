//! Where processes were killed, counted.

use std::fmt;
use std::marker::PhantomData;

use super::Phased;

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    random: usize,
    aimed: usize,
}

/// Kills by phase: at random moments, and those that were aimed there.
#[derive(Clone, Debug)]
pub(crate) struct Hits<P> {
    counts: Vec<Count>,
    phases: PhantomData<P>,
}

impl<P: Phased> Default for Hits<P> {
    fn default() -> Self {
        Self { counts: vec![Count::default(); P::ALL.len()], phases: PhantomData }
    }
}

impl<P: Phased> Hits<P> {
    pub(crate) fn count(&mut self, phase: P, aimed: bool) {
        let count = &mut self.counts[phase.index()];
        *(if aimed { &mut count.aimed } else { &mut count.random }) += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, more) in self.counts.iter_mut().zip(&other.counts) {
            mine.random += more.random;
            mine.aimed += more.aimed;
        }
    }

    pub(crate) fn random(&self) -> usize {
        self.counts.iter().map(|count| count.random).sum()
    }

    pub(crate) fn aimed(&self) -> usize {
        self.counts.iter().map(|count| count.aimed).sum()
    }

    pub(crate) fn kills(&self) -> usize {
        self.random() + self.aimed()
    }

    /// A phase in which nobody was killed.
    pub(crate) fn left_out(&self) -> Option<P> {
        let counted = P::ALL.iter().copied().zip(&self.counts);
        counted.into_iter().find(|(_, count)| count.random + count.aimed == 0).map(|it| it.0)
    }
}

/// A line for each phase.
impl<P: Phased> fmt::Display for Hits<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {:<15}{:>9}{:>7}", "killed in", "random", "aimed")?;
        for (phase, count) in P::ALL.iter().zip(&self.counts) {
            writeln!(f, "  {:<15}{:>9}{:>7}", phase.name(), count.random, count.aimed)?;
        }
        Ok(())
    }
}
