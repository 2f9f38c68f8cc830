//! What the tests of the log share: a model of it, and a run of it on the simulated disk that
//! knows what was acknowledged when the world stopped.
#![allow(dead_code, reason = "each test uses its part of this")]

use std::path::Path;
use std::sync::{Arc, Mutex};

use tidemark_core::Result;
use tidemark_core::group_commit::{DirectEngine, commit_inline, due_inline, finish_inline};
use tidemark_core::wal::{
    HardState, Records, SyncLevel, SyncOverride, Visibility, WalEngine, WalOp, WalOptions,
    WalOutcome, WalParts,
};
use tidemark_sim::{Actor, Disk, World};

pub(crate) const LOG: &str = "/data/log";

/// Small segments: a handful of entries of some KiB fill one.
pub(crate) fn small() -> WalOptions {
    WalOptions { segment_bytes: 32 << 10, ..WalOptions::default() }
}

/// A log as a vector of entries: what everybody would expect of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) first: u64,
    pub(crate) entries: Vec<Vec<u8>>,
    pub(crate) hard_state: HardState,
}

impl Default for Model {
    fn default() -> Self {
        Self { first: 1, entries: Vec::new(), hard_state: None }
    }
}

impl Model {
    pub(crate) fn next(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Does what an operation that succeeds does.
    pub(crate) fn apply(&mut self, op: &WalOp) {
        match op {
            WalOp::Append { records, hard_state, .. } => {
                self.entries.extend(records.iter().map(<[u8]>::to_vec));
                if let Some(hard_state) = hard_state {
                    self.hard_state.clone_from(hard_state);
                }
            }
            WalOp::SetHardState(hard_state) => self.hard_state.clone_from(hard_state),
            WalOp::Truncate { after } => {
                self.entries.truncate(usize::try_from(after + 1 - self.first).unwrap());
            }
            WalOp::Purge { before } if *before > self.first => {
                let gone = usize::try_from(before - self.first).unwrap();
                self.entries.drain(..gone.min(self.entries.len()));
                self.first = *before;
            }
            WalOp::Purge { .. } | WalOp::Sync => {}
        }
    }

    /// What a log holds.
    pub(crate) fn of(parts: &WalParts) -> Result<Self> {
        let (first, next) = parts.ends(Visibility::Durable);
        let chunks = parts.entries(Visibility::Durable)?;
        let mut entries = Vec::new();
        for chunk in chunks {
            assert_eq!(chunk.first, first + entries.len() as u64, "a hole");
            entries.extend(chunk.records.iter().map(<[u8]>::to_vec));
        }
        assert_eq!(next, first + entries.len() as u64, "the end is not where the entries end");
        Ok(Self { first, entries, hard_state: parts.hard_state() })
    }
}

/// What was acknowledged when the world stopped.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Operations handed over.
    pub(crate) begun: usize,
    /// All operations before this number are on the medium.
    pub(crate) durable: usize,
    /// All operations before this number are written.
    pub(crate) written: usize,
}

/// Groups of operations, one commit each, and how they are run.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) options: WalOptions,
    pub(crate) groups: Vec<Vec<WalOp>>,
    /// Whether the log is closed at the end.
    pub(crate) closes: bool,
}

impl Script {
    pub(crate) fn new(groups: Vec<Vec<WalOp>>) -> Self {
        Self { options: small(), groups, closes: true }
    }

    /// The states of the log: before anything, and after each operation.
    pub(crate) fn states(&self, start: &Model) -> Vec<Model> {
        let mut states = vec![start.clone()];
        for op in self.groups.iter().flatten() {
            let mut next = states.last().cloned().unwrap();
            next.apply(op);
            states.push(next);
        }
        states
    }

    /// An actor that opens the log, commits the groups and closes it.
    pub(crate) fn actor(&self, world: &World) -> (Vec<Actor>, Arc<Mutex<Progress>>) {
        let process = world.process();
        let storage = process.storage();
        let progress = Arc::<Mutex<Progress>>::default();
        let (script, told) = (self.clone(), Arc::clone(&progress));
        let actor = Actor::new(&process, "writer", move || {
            let mut parts =
                WalParts::open_inline(&storage, Path::new(LOG), script.options).unwrap();
            let mut before = 0;
            for (turn, group) in script.groups.iter().enumerate() {
                told.lock().unwrap().begun = before + group.len();
                let levels: Vec<bool> = group.iter().map(|op| script.is_durable(op)).collect();
                let told = Arc::clone(&told);
                let on_settled = move |index: usize, result: &Result<WalOutcome>| {
                    if std::thread::panicking() {
                        // The world has stopped: nobody hears of this.
                        return;
                    }
                    assert!(result.is_ok(), "{result:?}");
                    let mut told = told.lock().unwrap();
                    // A group is written in one piece, and synced as a whole.
                    told.written = told.written.max(before + index + 1);
                    if levels.get(index) == Some(&true) {
                        told.durable = told.durable.max(before + index + 1);
                    }
                };
                let settled = commit(&mut parts.engine, turn, group, on_settled);
                assert_eq!(settled.len(), group.len());
                while due_inline(&mut parts.engine) {}
                before += group.len();
            }
            if script.closes {
                finish_inline(parts.engine);
                let mut told = told.lock().unwrap();
                told.durable = before;
            }
        });
        (vec![actor], progress)
    }

    /// Whether the result of an operation says that it is on the medium.
    fn is_durable(&self, op: &WalOp) -> bool {
        match op {
            WalOp::Append { sync, .. } => match sync {
                Some(sync) => *sync == SyncOverride::Immediate,
                None => self.options.sync == SyncLevel::Immediate,
            },
            _ => true,
        }
    }
}

/// Commits a group. A lone operation goes every other time the way of a call that blocks.
pub(crate) fn commit(
    engine: &mut WalEngine,
    turn: usize,
    group: &[WalOp],
    on_settled: impl Fn(usize, &Result<WalOutcome>) + Send + Sync + 'static,
) -> Vec<Result<WalOutcome>> {
    match group {
        [op] if turn.is_multiple_of(2) => {
            let result = engine.commit_one(op);
            on_settled(0, &result);
            vec![result]
        }
        _ => commit_inline(engine, group.to_vec(), on_settled).unwrap(),
    }
}

/// Opens what a stop left, in a world of its own, and tells what it holds.
pub(crate) fn found_on(disk: &Disk, options: WalOptions) -> Result<Model> {
    let world = World::new(disk.clone(), 7);
    let storage = world.process().storage();
    let parts = WalParts::open_inline(&storage, Path::new(LOG), options)?;
    Model::of(&parts)
}

/// A record that tells what it is: a number, repeated to a size.
pub(crate) fn record(number: u32, size_bytes: usize) -> Vec<u8> {
    number.to_le_bytes().into_iter().cycle().take(size_bytes).collect()
}

/// An append of one record.
pub(crate) fn append(number: u32, size_bytes: usize) -> WalOp {
    WalOp::append(record(number, size_bytes))
}

/// An append of several records.
pub(crate) fn append_many(numbers: std::ops::Range<u32>, size_bytes: usize) -> WalOp {
    WalOp::append_all(numbers.map(|number| record(number, size_bytes)).collect::<Records>())
}

/// A hard state.
#[expect(clippy::unnecessary_wraps, reason = "a hard state may also be none")]
pub(crate) fn hard_state(text: &str) -> HardState {
    Some(Arc::from(text.as_bytes()))
}
