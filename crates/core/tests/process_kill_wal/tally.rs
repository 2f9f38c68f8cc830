//! What was done and hit, counted.

use std::fmt;

use super::kill_support::Hits;
use super::phase::Phase;

/// The counts of one round, or of many.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) rounds: usize,
    pub(crate) operations: usize,
    pub(crate) acknowledged: usize,
    /// Looks of a third process: at the dead, and at writers that stand still.
    pub(crate) looks: usize,
    pub(crate) looks_at_writers: usize,
    /// Aims that the writer did not reach; it was killed at random.
    pub(crate) missed: usize,
    /// Logs that were closed, and those found so.
    pub(crate) closed: usize,
    pub(crate) found_closed: usize,
    /// Recoveries that wrote something again, and those that set a tail aside.
    pub(crate) copied: usize,
    pub(crate) quarantined: usize,
    /// Entries that the reader was given, how often it had to begin again, and was killed.
    pub(crate) read: u64,
    pub(crate) begun_again: usize,
    pub(crate) dead_readers: usize,
    hits: Hits<Phase>,
}

impl Tally {
    pub(crate) fn of_one_round() -> Self {
        Self { rounds: 1, ..Self::default() }
    }

    pub(crate) fn kill(&mut self, phase: Phase, aimed: bool) {
        self.hits.count(phase, aimed);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.rounds += other.rounds;
        self.operations += other.operations;
        self.acknowledged += other.acknowledged;
        self.looks += other.looks;
        self.looks_at_writers += other.looks_at_writers;
        self.missed += other.missed;
        self.closed += other.closed;
        self.found_closed += other.found_closed;
        self.copied += other.copied;
        self.quarantined += other.quarantined;
        self.read += other.read;
        self.begun_again += other.begun_again;
        self.dead_readers += other.dead_readers;
        self.hits.add(&other.hits);
    }

    pub(crate) fn kills(&self) -> usize {
        self.hits.kills()
    }

    /// Fails unless enough processes were killed where it hurts, and somebody looked.
    pub(crate) fn assert_thorough(&self, kills: usize) {
        assert!(self.kills() >= kills, "only {} kills\n{self}", self.kills());
        assert_eq!(self.hits.left_out(), None, "nobody was killed there\n{self}");
        assert!(self.closed > 0 && self.found_closed > 0, "nothing was closed\n{self}");
        assert!(self.copied > 0 && self.quarantined > 0, "nothing was mended\n{self}");
        assert!(self.read > 0 && self.begun_again > 0, "nobody read\n{self}");
        assert!(self.looks > 0 && self.looks_at_writers > 0, "nobody looked\n{self}");
        assert!(self.dead_readers > 0, "no reader was killed\n{self}");
    }

    /// All in one line.
    pub(crate) fn line(&self) -> String {
        let Self { operations, acknowledged, copied, quarantined, read, begun_again, .. } = self;
        let (kills, random, aimed) = (self.kills(), self.hits.random(), self.hits.aimed());
        format!(
            "{operations} operations, {acknowledged} acknowledged, {kills} kills ({random} \
             random, {aimed} aimed), {copied} recoveries wrote again and {quarantined} set \
             aside, a reader was given {read} entries and began again {begun_again} times"
        )
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, looks, looks_at_writers, missed, closed, dead_readers, .. } = self;
        writeln!(f, "kill-fuzz of the log: {rounds} rounds, {}", self.line())?;
        write!(
            f,
            "{}  {looks} looks at the dead, {looks_at_writers} at writers that stood still; \
             {closed} closed; {dead_readers} readers killed; {missed} aims were missed",
            self.hits
        )
    }
}
