//! A log on the simulated disk, driven from the test's own thread, beside a model of it.

use std::path::Path;
use std::sync::Arc;

use tidemark_core::group_commit::{commit_inline, due_inline, finish_inline};
use tidemark_core::wal::{Visibility, WalOp, WalOptions, WalOutcome, WalParts, WalTrail};
use tidemark_core::{Result, Storage};
use tidemark_sim::{Actor, Disk, Plan, Process, Report, World};

use super::wal_support::{LOG, Model, commit, small};

/// More steps than anything that is due ever takes.
const DUE_MAX: usize = 100;

/// A process that has a log open.
pub(crate) struct Desk {
    pub(crate) world: World,
    process: Process,
    pub(crate) parts: WalParts,
    /// What the log holds, by what succeeded.
    pub(crate) model: Model,
    /// Groups that were committed.
    turn: usize,
}

impl Desk {
    pub(crate) fn new(options: WalOptions) -> Self {
        let world = World::new(Disk::new(), 1);
        Self::on(&world, options, Model::default())
    }

    pub(crate) fn small() -> Self {
        Self::new(small())
    }

    /// Opens the log of a world, which is expected to hold this.
    pub(crate) fn on(world: &World, options: WalOptions, model: Model) -> Self {
        let process = world.process();
        Self::over(world, &process, &process.storage(), options, model)
    }

    pub(crate) fn over(
        world: &World,
        process: &Process,
        storage: &Arc<dyn Storage>,
        options: WalOptions,
        model: Model,
    ) -> Self {
        let parts = WalParts::open_inline(storage, Path::new(LOG), options).unwrap();
        assert_eq!(Model::of(&parts).unwrap(), model, "what is opened is what was left");
        Self { world: world.clone(), process: process.clone(), parts, model, turn: 0 }
    }

    /// Commits a group, and applies to the model what succeeded.
    pub(crate) fn try_commit(&mut self, group: &[WalOp]) -> Vec<Result<WalOutcome>> {
        let results = commit(&mut self.parts.engine, self.turn, group, |_, _| ());
        self.turn += 1;
        for (op, result) in group.iter().zip(&results) {
            if result.is_ok() {
                self.model.apply(op);
            }
        }
        results
    }

    /// The same, where all must succeed; does what is due then.
    pub(crate) fn commit(&mut self, group: &[WalOp]) {
        for (op, result) in group.iter().zip(self.try_commit(group)) {
            assert!(result.is_ok(), "{op:?}: {result:?}");
        }
        self.settle();
    }

    /// Does what is due, which must come to an end.
    pub(crate) fn settle(&mut self) {
        let done = (0..DUE_MAX).take_while(|_| due_inline(&mut self.parts.engine)).count();
        assert!(done < DUE_MAX, "something is due for ever");
    }

    pub(crate) fn found(&self) -> Model {
        Model::of(&self.parts).unwrap()
    }

    /// Whether every way in which the power may go now leaves the model.
    pub(crate) fn survives_a_power_cut(&self, options: WalOptions, what: &str) {
        for (choice, disk) in self.world.disk().crashes(32, 1) {
            let found = super::wal_support::found_on(&disk, options)
                .unwrap_or_else(|error| panic!("{what}, {choice}: {error:?}"));
            assert_eq!(found, self.model, "{what}, {choice}");
        }
    }

    pub(crate) fn close(self) -> (World, Model) {
        finish_inline(self.parts.engine);
        (self.world, self.model)
    }

    /// Kills the process: its locks are free, the cache stays.
    pub(crate) fn kill(self) -> (World, Model) {
        self.process.kill();
        (self.world, self.model)
    }

    /// A reader in another process.
    pub(crate) fn trail(&self) -> WalTrail {
        trail(&self.world)
    }
}

/// A reader in a process of its own.
pub(crate) fn trail(world: &World) -> WalTrail {
    let options = WalOptions { read_only: true, ..small() };
    WalTrail::open_inline(&world.process().storage(), Path::new(LOG), options).unwrap()
}

/// What a reader sees.
pub(crate) fn seen(trail: &WalTrail, visibility: Visibility) -> Result<Model> {
    let handle = &trail.handle;
    let first = handle.first_lsn()?;
    let (mut next, last) = (first, handle.last_lsn(visibility)?);
    let mut entries = Vec::new();
    while next <= last {
        let chunk = handle.read(next, last, usize::MAX, visibility)?;
        assert_eq!(chunk.first, next, "a hole");
        assert!(!chunk.records.is_empty(), "C12: at least one record or an error");
        next += chunk.records.len() as u64;
        entries.extend(chunk.records.iter().map(<[u8]>::to_vec));
    }
    Ok(Model { first, entries, hard_state: handle.hard_state()? })
}

impl Desk {
    /// Opens the log of a world, whatever it holds.
    pub(crate) fn on_any(world: &World) -> Self {
        let process = world.process();
        let parts = WalParts::open_inline(&process.storage(), Path::new(LOG), small()).unwrap();
        let model = Model::of(&parts).unwrap();
        Self { world: world.clone(), process, parts, model, turn: 0 }
    }

    /// A reader that knew this writer, which is dead now.
    pub(crate) fn trail_and_kill(self) -> WalTrail {
        let trail = self.trail();
        drop(self.kill());
        trail
    }
}

impl Desk {
    /// Commits a group and does what is due, in a run that a plan stops somewhere.
    pub(crate) fn run(self, group: &[WalOp], plan: &Plan) -> (World, Report) {
        let Self { world, process, mut parts, .. } = self;
        let group = group.to_vec();
        let actor = Actor::new(&process, "writer", move || {
            let _results = commit_inline(&mut parts.engine, group, |_, _| ());
            while due_inline(&mut parts.engine) {}
        });
        let report = world.run(vec![actor], plan);
        (world, report)
    }
}
