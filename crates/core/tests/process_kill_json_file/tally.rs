//! What was done and hit, counted.

use std::fmt;

use super::kill_support::Hits;
use super::phase::Phase;
use super::plan::WRITERS;

/// The counts of one round, or of many.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) rounds: usize,
    pub(crate) operations: usize,
    pub(crate) acknowledged: usize,
    pub(crate) looks: usize,
    /// Aims that the writer did not reach; it was killed at random.
    pub(crate) missed: usize,
    hits: Hits<Phase>,
    holding: usize,
}

impl Tally {
    pub(crate) fn of_one_round() -> Self {
        Self { rounds: 1, ..Self::default() }
    }

    /// Counts a kill. Who was stopped before freeing the lock held it, who was hit at random in
    /// that phase may have been done.
    pub(crate) fn kill(&mut self, phase: Phase, aimed: bool) {
        self.hits.count(phase, aimed);
        let held = phase.holds_the_lock() || aimed && phase == Phase::Releasing;
        self.holding += usize::from(held);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.rounds += other.rounds;
        self.operations += other.operations;
        self.acknowledged += other.acknowledged;
        self.looks += other.looks;
        self.missed += other.missed;
        self.holding += other.holding;
        self.hits.add(&other.hits);
    }

    pub(crate) fn kills(&self) -> usize {
        self.hits.kills()
    }

    /// Fails unless enough processes were killed where it hurts.
    pub(crate) fn assert_thorough(&self, kills: usize) {
        assert!(self.kills() >= kills, "only {} kills", self.kills());
        assert!(10 * self.holding >= self.kills(), "too few held the lock\n{self}");
        assert_eq!(self.hits.left_out(), None, "nobody was killed there\n{self}");
    }

    /// All in one line.
    pub(crate) fn line(&self) -> String {
        let Self { operations, acknowledged, holding, looks, .. } = self;
        let (kills, random, aimed) = (self.kills(), self.hits.random(), self.hits.aimed());
        format!(
            "{operations} operations, {acknowledged} acknowledged, {kills} kills \
             ({random} random, {aimed} aimed, {holding} holding the lock), {looks} looks"
        )
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rounds, missed) = (self.rounds, self.missed);
        writeln!(f, "kill-fuzz: {rounds} rounds of {WRITERS} writers, {}", self.line())?;
        write!(f, "{}", self.hits)?;
        write!(f, "  {} of {} held the lock", self.holding, self.kills())?;
        if missed > 0 { write!(f, "; {missed} aims were missed") } else { Ok(()) }
    }
}
