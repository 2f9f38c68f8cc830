//! What is to happen in a round, from a seed: how writers live and end, and what they do.

use std::collections::VecDeque;

use tidemark_core::wal::{Io, SyncLevel, SyncOverride, WalOptions};

use super::kill_support::{Phased, Random};
use super::model::{Asked, State};
use super::phase::{Aim, Phase};

/// Lives of writers in a round, besides those that a torn write calls for.
pub(crate) const LIVES: usize = 20;
/// Entries after which a writer purges for certain.
const ENTRIES_MAX: usize = 90;
/// The largest record: a batch of these fits in the smallest segment.
const RECORD_BYTES_MAX: u64 = 2600;

/// How a writer's life ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// Stopped and killed where it is aimed at.
    Aimed(Aim),
    /// After so many lines of its own, and a moment more: so many turns of an empty loop.
    Random { lines: u64, spins: u64 },
    /// It closes the log after so many operations.
    Closes { ops: u64 },
}

/// The phases to aim at: each once, in random order, and again.
#[derive(Debug, Default)]
pub(crate) struct Deck(Vec<Phase>);

impl Deck {
    fn draw(&mut self, random: &mut Random) -> Phase {
        if self.0.is_empty() {
            let follow_others = [Phase::Quarantine, Phase::Remove];
            let all = Phase::ALL.iter().copied();
            self.0 = all.filter(|phase| !follow_others.contains(phase)).collect();
            random.shuffle(&mut self.0);
        }
        self.0.pop().expect("it was filled")
    }
}

/// How the writers of one round end.
pub(crate) fn ends(random: &mut Random, deck: &mut Deck) -> VecDeque<End> {
    let mut ends = VecDeque::new();
    for number in 0..LIVES {
        match number % 6 {
            0..4 => {
                let phase = deck.draw(random);
                let most = match phase {
                    Phase::Idle | Phase::Write | Phase::Torn | Phase::Sync | Phase::Publish => 8,
                    phase if phase.is_of_a_recovery() => 1,
                    _ => 2,
                };
                ends.push_back(End::Aimed(Aim { phase, passing: random.up_to(most) }));
                // A tail is only there to be set aside after a torn write, and a spare to be
                // removed after a segment was given up.
                let next = match phase {
                    Phase::Torn => Some(Phase::Quarantine),
                    Phase::RecycleSyncDir => Some(Phase::Remove),
                    _ => None,
                };
                ends.extend(next.map(|phase| End::Aimed(Aim { phase, passing: 1 })));
            }
            4 => ends
                .push_back(End::Random { lines: random.up_to(240), spins: random.up_to(20_000) }),
            _ if number == 5 => ends.push_back(End::Closes { ops: random.up_to(60) }),
            _ => ends.push_back(End::Random { lines: random.up_to(60), spins: random.up_to(900) }),
        }
    }
    ends
}

/// The options of a round: both ways of input and output, all levels of syncs.
pub(crate) fn options(seed: u64) -> WalOptions {
    let levels = ["immediate", "immediate_async", "interval_3"];
    let level = levels[usize::try_from(seed / 2 % 3).expect("an index")];
    WalOptions {
        sync: level.parse::<SyncLevel>().expect("a level"),
        io: if seed.is_multiple_of(2) { Io::Positional } else { Io::Mapped },
        segment_bytes: if (seed / 6).is_multiple_of(2) { 32 << 10 } else { 64 << 10 },
        ..WalOptions::default()
    }
}

/// What a writer asks for, with the sizes of records and of the hard state.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) asked: Asked,
    pub(crate) sizes: Vec<usize>,
    pub(crate) hard_bytes: usize,
    pub(crate) sync: Option<SyncOverride>,
}

impl Wish {
    /// Whether its result says that it is on the medium.
    pub(crate) fn is_durable(&self, level: SyncLevel) -> bool {
        match (&self.asked, self.sync) {
            (Asked::Append { .. }, None) => level == SyncLevel::Immediate,
            (Asked::Append { .. }, Some(level)) => level == SyncOverride::Immediate,
            _ => true,
        }
    }
}

/// What one writer does, one operation after the other.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) random: Random,
    /// The log as it will be when all that was asked for is done.
    pub(crate) state: State,
}

impl Work {
    /// The next operation.
    pub(crate) fn next(&mut self, op: u64) -> Wish {
        let mut wish = Wish {
            asked: self.ask(),
            sizes: Vec::new(),
            hard_bytes: usize::try_from(self.random.up_to(1200)).expect("small"),
            sync: match self.random.up_to(6) {
                1 => Some(SyncOverride::Immediate),
                2 => Some(SyncOverride::ImmediateAsync),
                _ => None,
            },
        };
        if let Asked::Append { full, .. } = &wish.asked {
            let most = if self.random.up_to(3) == 1 { RECORD_BYTES_MAX } else { 90 };
            let mut size = || usize::try_from(15 + self.random.up_to(most)).expect("small");
            wish.sizes = full.iter().map(|full| if *full { size().max(16) } else { 0 }).collect();
        }
        self.state.apply(op, &wish.asked);
        wish
    }

    fn ask(&mut self) -> Asked {
        let (first, next) = (self.state.first, self.state.next());
        if self.state.entries.len() > ENTRIES_MAX {
            return Asked::Purge(next - self.random.up_to(40));
        }
        let random = &mut self.random;
        match random.up_to(100) {
            0..=48 => append(random, 1, None),
            49..=66 => append(random, 4, None),
            67..=72 => append(random, 3, Some(next)),
            // Refused: another LSN is next.
            73..=74 => append(random, 2, Some(next + random.clone().up_to(9))),
            75..=80 => Asked::HardState(random.up_to(4) > 1),
            81..=86 => {
                Asked::Truncate((next - 1).saturating_sub(random.up_to(12) - 1).max(first - 1))
            }
            87 => Asked::Truncate(next + random.up_to(3)),
            88..=93 => Asked::Purge((first + random.up_to(30)).min(next)),
            94 => Asked::Purge(next + random.up_to(5)),
            _ => Asked::Sync,
        }
    }
}

fn append(random: &mut Random, most: u64, expect: Option<u64>) -> Asked {
    let count = random.up_to(most);
    let full = (0..count).map(|_| random.up_to(25) > 1).collect();
    let hard = match random.up_to(12) {
        1 | 2 => Some(true),
        3 => Some(false),
        _ => None,
    };
    Asked::Append { full, expect, hard }
}
