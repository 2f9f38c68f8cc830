//! What is to happen in a wave, from a seed: who dies when, and what writers do.

use std::collections::VecDeque;

use super::kill_support::{Phased, Random};
use super::phase::{Aim, Phase};

/// Writers in a round.
pub(crate) const WRITERS: usize = 4;
/// Planned deaths in a wave; then all die together.
const DEATHS: usize = 16;
/// How many of them are aimed at a phase. With those at the end, half of all deaths are random.
const AIMED: usize = 10;

/// How a writer's life ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// Stopped and killed where it is aimed at.
    Aimed(Aim),
    /// After so many lines of its own, and a moment more: so many turns of an empty loop.
    Random { lines: u64, spins: u64 },
    /// With all others, at the end of the wave.
    WithTheWave,
}

/// A writer's life: where its work comes from, and how it ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    pub(crate) seed: u64,
    pub(crate) end: End,
}

/// The phases to aim at: each once, in random order, and again.
#[derive(Debug, Default)]
pub(crate) struct Deck(Vec<Phase>);

impl Deck {
    fn draw(&mut self, random: &mut Random) -> Phase {
        if self.0.is_empty() {
            self.0 = Phase::ALL.to_vec();
            random.shuffle(&mut self.0);
        }
        self.0.pop().expect("it was filled")
    }
}

/// The lives of each writer in one wave.
pub(crate) fn lives(random: &mut Random, deck: &mut Deck) -> Vec<VecDeque<Life>> {
    let mut ends: Vec<End> = (0..DEATHS)
        .map(|number| {
            if number < AIMED {
                End::Aimed(Aim { phase: deck.draw(random), passing: random.up_to(8) })
            } else {
                End::Random { lines: random.up_to(150), spins: random.up_to(20_000) }
            }
        })
        .collect();
    random.shuffle(&mut ends);
    let mut life = |end| Life { seed: random.next(), end };
    let of_one = |ends: &[End]| {
        let ends = ends.iter().copied().chain([End::WithTheWave]);
        ends.map(&mut life).collect()
    };
    ends.chunks(DEATHS / WRITERS).map(of_one).collect()
}

/// What a writer asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Put { key: String, sequence: u64 },
    Delete { key: String },
}

/// What one writer does, one operation after the other.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) writer: usize,
    pub(crate) random: Random,
    /// The last sequence that it put to its own keys and those of all.
    pub(crate) sequence: u64,
    /// The largest step to the next one.
    pub(crate) step: u64,
}

impl Work {
    /// Keys of its own and shared ones, which nobody deletes, grow; those that come and go take
    /// any sequence, so that a lower one follows a delete.
    pub(crate) fn next(&mut self) -> Wish {
        let number = self.random.next() % 3;
        match self.random.next() % 100 {
            0..40 => self.grow(format!("own{}.{}", self.writer, number % 2)),
            40..60 => self.grow(format!("shared{}", number % 2)),
            60..82 => {
                Wish::Put { key: format!("churn{number}"), sequence: self.random.up_to(1000) }
            }
            _ => Wish::Delete { key: format!("churn{number}") },
        }
    }

    fn grow(&mut self, key: String) -> Wish {
        self.sequence += self.random.up_to(self.step);
        Wish::Put { key, sequence: self.sequence }
    }
}

/// Whether sequences of a key only grow: it is never deleted.
pub(crate) fn only_grows(key: &str) -> bool {
    !key.starts_with("churn")
}
