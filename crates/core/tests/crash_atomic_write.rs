//! `write_file_atomic` in every form, stopped at every call, alone and beside another writer, twice
//! in a row, and with every call failing.
//!
//! AW-1 (replaced by a rename), AW-2 (with `durable`, synced before success), AW-3 (what fails is
//! definite or says that it is not), T-2, T-3, T-4. `SEED=n` repeats the interleaving n alone,
//! `TORTURE=n` tries n times as many.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crash_support;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crash_support::seeds;
use tidemark_core::atomic_write::{AtomicWriteOptions, write_file_atomic};
use tidemark_sim::{Actor, Choice, CrashState, Disk, Explore, Fault, FaultKind, Schedule, World};
use tidemark_storage::{OsError, Site};

const TARGET: &str = "/data/target";
const LINK: &str = "/links/link";
const OLD: &[u8] = &[b'o'; 700];
const NEW: &[u8] = &[b'n'; 1300];
const RIVAL: &[u8] = &[b'r'; 900];
const NEXT: &[u8] = b"next";

/// One form of the write.
#[derive(Clone, Copy, Debug)]
struct Form {
    exists: bool,
    linked: bool,
    mode: Option<u32>,
    durable: bool,
}

impl Form {
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for exists in [false, true] {
            for mode in [None, Some(0o604)] {
                for durable in [true, false] {
                    all.push(Self { exists, linked: false, mode, durable });
                }
            }
        }
        let linked = Self { exists: true, linked: true, mode: None, durable: true };
        all.extend([linked, Self { durable: false, ..linked }]);
        all
    }

    fn start(self) -> Disk {
        let mut disk = Disk::new();
        if self.exists {
            disk.write_durable(TARGET, OLD, 0o640);
        }
        if self.linked {
            disk.mkdir("/links", 0o700);
            disk.symlink(TARGET, LINK);
        }
        disk
    }

    fn write(self, world: &World, name: &str, content: &'static [u8]) -> (Actor, Arc<AtomicBool>) {
        let (process, done) = (world.process(), Arc::new(AtomicBool::new(false)));
        let (storage, tell) = (process.storage(), Arc::clone(&done));
        let path = Path::new(if self.linked { LINK } else { TARGET });
        let options = AtomicWriteOptions { mode: self.mode, durable: self.durable };
        let actor = Actor::new(&process, name, move || {
            write_file_atomic(&storage, path, content, options).unwrap();
            tell.store(true, Ordering::SeqCst);
        });
        (actor, done)
    }

    /// What a stop left is what it may be.
    fn is_whole(self, state: &CrashState, done: &AtomicBool, others: &[&[u8]]) {
        let (found, done) = (state.disk.read(TARGET), done.load(Ordering::SeqCst));
        let cut = state.killed.is_none();
        let Some(found) = found else {
            assert!(!self.exists && !(done && (self.durable || !cut)), "{self:?}: it is gone");
            return;
        };
        let mode = state.disk.stat(TARGET).unwrap().mode;
        let is_new = found == NEW || others.iter().any(|other| found == **other);
        if self.exists && found == OLD {
            assert!(!(done && (self.durable || !cut)), "{self:?}: done, and the old content");
            assert_eq!(mode, 0o640, "{self:?}");
        } else if self.durable || !cut {
            assert!(is_new, "{self:?}: neither the old content nor the new");
            let kept = if self.exists { 0o640 } else { 0o600 };
            assert_eq!(mode, self.mode.unwrap_or(kept), "{self:?}");
        }
        if self.linked {
            assert!(state.disk.names("/links") == ["link"], "{self:?}: the link was replaced");
        }
    }
}

/// The next write, stopped at each call: it leaves what was there, or what it writes. Done, it
/// leaves nothing else.
fn next_write_survives(form: Form, first: &Disk, disks: &Cell<usize>) {
    let before = first.read(TARGET);
    let durable = Form { durable: true, ..form };
    let body = |world: &World| {
        let (actor, done) = durable.write(world, "next", NEXT);
        (vec![actor], done)
    };
    let check = |state: &CrashState, done: &Arc<AtomicBool>| {
        let found = state.disk.read(TARGET);
        let is_next = found.as_deref() == Some(NEXT);
        assert!(is_next || (found == before && !done.load(Ordering::SeqCst)), "{form:?}");
        if is_next && state.call == state.report.calls && state.killed.is_some() {
            assert_eq!(state.disk.names("/data"), ["target"], "T-3: {form:?}");
        }
        disks.set(disks.get() + 1);
    };
    let explore = Explore::new(first, 1, 1);
    explore.power_cuts(body, check);
    explore.kills(body, check);
}

#[test]
fn every_form_of_an_atomic_write_survives_two_stops_in_a_row() {
    let disks = Cell::new(0);
    for form in Form::all() {
        let body = |world: &World| {
            let (actor, done) = form.write(world, "writer", NEW);
            (vec![actor], done)
        };
        let check = |state: &CrashState, done: &Arc<AtomicBool>| {
            form.is_whole(state, done, &[]);
            disks.set(disks.get() + 1);
            let again = state.disk.power_cuts(1, 1).next().unwrap_or_else(|| state.disk.clone());
            next_write_survives(form, &again, &disks);
        };
        let explore = Explore::new(&form.start(), 16, 1);
        explore.power_cuts(body, check);
        explore.kills(body, check);
    }
    eprintln!("{} states", disks.get());
    assert!(disks.get() > 5000, "{} states only", disks.get());
}

/// T-2, T-3: another writer's whole run, or what a kill leaves of it, between any two calls of the
/// first; and any interleaving with both.
#[test]
fn every_form_of_an_atomic_write_survives_a_rival_that_lives_or_dies() {
    let disks = Cell::new(0);
    for form in Form::all() {
        let body = |world: &World| {
            let (actor, done) = form.write(world, "writer", NEW);
            let (rival, _) = form.write(world, "rival", RIVAL);
            (vec![actor, rival], done)
        };
        let check = |state: &CrashState, done: &Arc<AtomicBool>| {
            form.is_whole(state, done, &[RIVAL]);
            disks.set(disks.get() + 1);
        };
        for switch in 0..20 {
            let schedule = Schedule::SwitchAt(switch);
            let explore = Explore { schedule, ..Explore::new(&form.start(), 1, switch) };
            explore.kills(body, check);
        }
        for seed in seeds(2) {
            let explore = Explore::new(&form.start(), 4, seed);
            explore.power_cuts(body, check);
            explore.kills(body, check);
        }
    }
    eprintln!("{} states", disks.get());
    assert!(disks.get() > 5000 || std::env::var("SEED").is_ok(), "{} states only", disks.get());
}

fn next_write_works(form: Form, disk: Disk) {
    let world = World::new(disk, 1);
    let storage = world.process().storage();
    let path = Path::new(if form.linked { LINK } else { TARGET });
    write_file_atomic(&storage, path, NEXT, AtomicWriteOptions::default()).unwrap();
    let after = world.disk().after_power_cut(&Choice::Nothing);
    assert_eq!(after.read(TARGET).as_deref(), Some(NEXT), "{form:?}");
    assert_eq!(world.disk().names("/data"), ["target"], "T-3: {form:?}");
}

/// A write whose nth call at a site fails; what it answers, and the disk that it leaves.
fn fail(form: Form, faults: &[Fault]) -> (World, Option<bool>) {
    let world = World::new(form.start(), 1);
    for fault in faults {
        world.inject(*fault);
    }
    let storage = world.process().storage();
    let path = Path::new(if form.linked { LINK } else { TARGET });
    let options = AtomicWriteOptions { mode: form.mode, durable: form.durable };
    let written = write_file_atomic(&storage, path, NEW, options);
    (world, written.err().map(|error| error.is_indeterminate()))
}

/// AW-3: each call fails, with and without its effect. What is told as definite was not done; what
/// succeeded was; the next write works and sweeps.
#[test]
fn a_failed_atomic_write_is_definite_or_says_that_it_is_not() {
    let mut reached = BTreeSet::new();
    for form in Form::all() {
        let (dry, _) = fail(form, &[]);
        for site in Site::ALL {
            for nth in 0..dry.count(*site) {
                for what in [FaultKind::Fail, FaultKind::FailAfterEffect] {
                    let fault = Fault::fail(*site, nth, OsError::EIO).with(what);
                    let (world, failed) = fail(form, &[fault]);
                    let found = world.disk().read(TARGET);
                    match failed {
                        None => assert_eq!(found.as_deref(), Some(NEW), "{form:?} {fault:?}"),
                        Some(false) => {
                            let old = form.exists.then_some(OLD);
                            assert_eq!(found.as_deref(), old, "{form:?} {fault:?}");
                        }
                        Some(true) => drop(reached.insert(*site)),
                    }
                    next_write_works(form, world.disk());
                }
            }
        }
    }
    assert_eq!(reached, BTreeSet::from([Site::AtomicRename, Site::AtomicSyncDir]));
}
