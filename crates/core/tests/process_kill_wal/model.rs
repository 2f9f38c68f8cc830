//! What everybody would expect of a log: a vector of entries, and what operations make of it.

use std::collections::VecDeque;

use tidemark_core::ErrorKind;

/// An entry, by who wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    /// It has no bytes.
    Empty,
    Of {
        op: u64,
        index: u32,
    },
}

/// A log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) first: u64,
    pub(crate) entries: VecDeque<Tag>,
    /// The operation that set the hard state.
    pub(crate) hard: Option<u64>,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A batch: of each record whether it has bytes; whether it sets or clears the hard state.
    Append {
        full: Vec<bool>,
        expect: Option<u64>,
        hard: Option<bool>,
    },
    HardState(bool),
    Truncate(u64),
    Purge(u64),
    Sync,
}

/// What it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Appended { first: u64, last: u64 },
    Synced(u64),
    Done,
    Refused(&'static str),
}

impl Default for State {
    fn default() -> Self {
        Self { first: 1, entries: VecDeque::new(), hard: None }
    }
}

impl State {
    pub(crate) fn next(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Does an operation, unless it is refused.
    pub(crate) fn apply(&mut self, op: u64, asked: &Asked) -> Outcome {
        let next = self.next();
        match asked {
            Asked::Append { expect, .. } if expect.is_some_and(|expect| expect != next) => {
                Outcome::Refused(ErrorKind::Conflict.code())
            }
            Asked::Append { full, hard, .. } => {
                let tags = (0..).zip(full).map(|(index, full)| match full {
                    true => Tag::Of { op, index },
                    false => Tag::Empty,
                });
                self.entries.extend(tags);
                if let Some(sets) = hard {
                    self.hard = sets.then_some(op);
                }
                Outcome::Appended { first: next, last: self.next() - 1 }
            }
            Asked::HardState(sets) => {
                self.hard = sets.then_some(op);
                Outcome::Done
            }
            Asked::Truncate(after) if *after >= next => {
                Outcome::Refused(ErrorKind::NotFound.code())
            }
            Asked::Truncate(after) if after + 1 < self.first => {
                Outcome::Refused(ErrorKind::Expired.code())
            }
            Asked::Truncate(after) => {
                self.entries.truncate(count(after + 1 - self.first));
                Outcome::Done
            }
            Asked::Purge(before) => {
                let gone = count(before.saturating_sub(self.first)).min(self.entries.len());
                self.entries.drain(..gone);
                self.first = self.first.max(*before);
                Outcome::Done
            }
            Asked::Sync => Outcome::Synced(next - 1),
        }
    }
}

fn count(entries: u64) -> usize {
    usize::try_from(entries).expect("a log of a test is small")
}

impl Asked {
    /// As words of a line.
    pub(crate) fn line(&self) -> String {
        let sets = |sets: bool| if sets { "set" } else { "clear" };
        match self {
            Self::Append { full, expect, hard } => {
                let full: String = full.iter().map(|full| if *full { '1' } else { '0' }).collect();
                let expect = expect.map_or_else(|| "-".to_owned(), |expect| expect.to_string());
                format!("append {full} {expect} {}", hard.map_or("-", sets))
            }
            Self::HardState(is_set) => format!("hard {}", sets(*is_set)),
            Self::Truncate(after) => format!("truncate {after}"),
            Self::Purge(before) => format!("purge {before}"),
            Self::Sync => "sync".to_owned(),
        }
    }

    /// From words of a line.
    pub(crate) fn of(words: &[&str]) -> Self {
        let number = |word: &str| -> u64 { word.parse().expect("a number") };
        match *words {
            ["append", full, expect, hard] => Self::Append {
                full: full.chars().map(|full| full == '1').collect(),
                expect: (expect != "-").then(|| number(expect)),
                hard: (hard != "-").then_some(hard == "set"),
            },
            ["hard", to] => Self::HardState(to == "set"),
            ["truncate", after] => Self::Truncate(number(after)),
            ["purge", before] => Self::Purge(number(before)),
            ["sync"] => Self::Sync,
            _ => panic!("no such operation: {words:?}"),
        }
    }
}

impl Outcome {
    /// As words of a line.
    pub(crate) fn line(self) -> String {
        match self {
            Self::Appended { first, last } => format!("appended {first} {last}"),
            Self::Synced(last) => format!("synced {last}"),
            Self::Done => "done".to_owned(),
            Self::Refused(code) => format!("refused {code}"),
        }
    }
}
