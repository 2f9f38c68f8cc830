//! What a log holds, as somebody who opens it sees it.

use std::path::Path;

use tidemark_core::wal::{Entries, HardState, Visibility, Wal, WalOptions, WalRegistry};
use tidemark_core::{Error, ErrorKind, Result};

use super::history::{Kind, Violation};
use super::model::{State, Tag};
use super::record::{setter, tag};
use super::support::real;

/// Read at once: less than a batch may have, so that batches come in parts as well.
const READ_BYTES: usize = 4096;

/// What a third process sees: without a living writer what is proven, else what is durable.
pub(crate) fn look(log: &Path, options: WalOptions) -> Result<State, Violation> {
    let registry = WalRegistry::default();
    let options = WalOptions { read_only: true, ..options };
    let failed = |error: Error| {
        let damaged = error.kind() == ErrorKind::Corrupt;
        let kind = if damaged { Kind::Unreadable } else { Kind::Failed };
        Violation::new(kind, format!("the observer: {error:?}"))
    };
    let wal = Wal::open(&registry, &real(), log, options).map_err(failed)?;
    let seen = state_of(&wal, Visibility::Durable);
    wal.close_blocking();
    seen
}

/// All that an open log shows.
pub(crate) fn state_of(wal: &Wal, visibility: Visibility) -> Result<State, Violation> {
    let failed = |error: Error| Violation::new(Kind::Failed, format!("a read: {error:?}"));
    let first = wal.first_lsn().map_err(failed)?;
    let last = wal.last_lsn(visibility).map_err(failed)?;
    let hard = hard(&wal.hard_state().map_err(failed)?)?;
    let mut state = State { first, hard, ..State::default() };
    while state.next() <= last {
        let next = state.next();
        take(&mut state, &wal.read(next, last, READ_BYTES, visibility).map_err(failed)?)?;
    }
    Ok(state)
}

/// Adds entries at the end.
pub(crate) fn take(state: &mut State, chunk: &Entries) -> Result<(), Violation> {
    if chunk.first != state.next() || chunk.records.is_empty() {
        let what =
            format!("{} entries from {} for {}", chunk.records.len(), chunk.first, state.next());
        return Err(Violation::new(Kind::Hole, what));
    }
    for (lsn, bytes) in chunk.iter() {
        let changed = || Violation::new(Kind::Changed, format!("LSN {lsn}: {bytes:02x?}"));
        state.entries.push_back(tag(bytes).ok_or_else(changed)?);
    }
    Ok(())
}

/// Who set a hard state.
pub(crate) fn hard(state: &HardState) -> Result<Option<u64>, Violation> {
    let changed = || Violation::new(Kind::Changed, format!("the hard state: {state:02x?}"));
    state.as_deref().map(|bytes| setter(bytes).ok_or_else(changed)).transpose()
}

/// Entries of one operation in a row. Operation 0 stands for those without bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) lsn: u64,
    pub(crate) op: u64,
    pub(crate) index: u32,
    pub(crate) count: u32,
}

/// Entries from an LSN on, run by run.
pub(crate) fn runs(first: u64, tags: impl IntoIterator<Item = Tag>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (lsn, tag) in (first..).zip(tags) {
        let (op, index) = match tag {
            Tag::Empty => (0, 0),
            Tag::Of { op, index } => (op, index),
        };
        match runs.last_mut() {
            Some(run) if run.op == op && (op == 0 || run.index + run.count == index) => {
                run.count += 1;
            }
            _ => runs.push(Run { lsn, op, index, count: 1 }),
        }
    }
    runs
}

impl Run {
    /// As words of a line.
    pub(crate) fn line(&self) -> String {
        format!("{} {} {} {}", self.lsn, self.op, self.index, self.count)
    }

    /// From words of a line.
    pub(crate) fn of(words: &[&str]) -> Self {
        let number = |word: &str| -> u64 { word.parse().expect("a number") };
        let small = |word: &str| u32::try_from(number(word)).expect("small");
        match *words {
            [lsn, op, index, count] => {
                Self { lsn: number(lsn), op: number(op), index: small(index), count: small(count) }
            }
            _ => panic!("no run: {words:?}"),
        }
    }

    /// Its entries.
    pub(crate) fn tags(self) -> impl Iterator<Item = Tag> {
        (self.index..).take(self.count as usize).map(move |index| match self.op {
            0 => Tag::Empty,
            op => Tag::Of { op, index },
        })
    }
}
