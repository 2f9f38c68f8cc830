//! The primitives under the stores, stopped at every call: the atomic write and the file lock.
//!
//! `SEED=n` repeats the interleaving n alone, `TORTURE=n` tries n times as many.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crash_support;

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crash_support::{race_for_a_lock_file_that_is_replaced, seeds};
use tidemark_core::LockMode;
use tidemark_core::atomic_write::{AtomicWriteOptions, write_file_atomic};
use tidemark_core::file_lock::FileLock;
use tidemark_sim::{Actor, CrashState, Disk, Explore, Plan, Process, Schedule, Stop, World};
use tidemark_storage::{Open, Site};

const TARGET: &str = "/data/target";
const LOCK: &str = "/data/lock";
const OLD: [u8; 700] = [b'o'; 700];
const NEW: [u8; 1300] = [b'n'; 1300];

fn write(process: &Process, content: &'static [u8], durable: bool) -> (Actor, Arc<AtomicBool>) {
    let done = Arc::new(AtomicBool::new(false));
    let (storage, tell) = (process.storage(), Arc::clone(&done));
    let actor = Actor::new(process, "writer", move || {
        let options = AtomicWriteOptions { durable, ..AtomicWriteOptions::default() };
        write_file_atomic(&storage, Path::new(TARGET), content, options).unwrap();
        tell.store(true, Ordering::SeqCst);
    });
    (actor, done)
}

fn old_target() -> Disk {
    let mut disk = Disk::new();
    disk.write_durable(TARGET, OLD, 0o640);
    disk
}

/// The next write works, keeps the mode and sweeps what the stopped one left (T-3).
fn next_write_works(disk: &Disk, mode: u32) {
    let world = World::new(disk.clone(), 1);
    let options = AtomicWriteOptions::default();
    let storage = world.process().storage();
    write_file_atomic(&storage, Path::new(TARGET), b"next", options).unwrap();
    assert_eq!(world.disk().read(TARGET).unwrap(), b"next");
    assert_eq!(world.disk().names("/data"), ["target"]);
    assert_eq!(world.disk().stat(TARGET).unwrap().mode, mode);
}

/// AW-1, AW-2: old content or new, whole; once it succeeded, the new.
#[test]
fn an_atomic_write_leaves_the_old_content_or_the_new_and_after_success_the_new() {
    let check = |state: &CrashState, done: &Arc<AtomicBool>| {
        let found = state.disk.read(TARGET).unwrap();
        let done = done.load(Ordering::SeqCst);
        assert!(found == NEW || (found == OLD && !done), "done: {done}");
        next_write_works(&state.disk, 0o640);
    };
    let body = |world: &World| {
        let (actor, done) = write(&world.process(), &NEW, true);
        (vec![actor], done)
    };
    let explore = Explore::new(&old_target(), 256, 1);
    let judged_count = explore.power_cuts(body, check) + explore.kills(body, check);
    assert!(judged_count > 45, "{judged_count} states only");
}

/// AW-1, AW-2, where there was nothing before.
#[test]
fn an_atomic_write_of_a_new_file_leaves_nothing_or_the_whole_of_it() {
    let check = |state: &CrashState, done: &Arc<AtomicBool>| {
        let (found, done) = (state.disk.read(TARGET), done.load(Ordering::SeqCst));
        assert!(found.is_none() || found.as_deref() == Some(&NEW));
        assert!(found.is_some() || !done);
        next_write_works(&state.disk, 0o600);
    };
    let body = |world: &World| {
        let (actor, done) = write(&world.process(), &NEW, true);
        (vec![actor], done)
    };
    let explore = Explore::new(&Disk::new(), 256, 1);
    let judged_count = explore.power_cuts(body, check) + explore.kills(body, check);
    assert!(judged_count > 45, "{judged_count} states only");
}

/// AW-1 without `durable`: whole after a kill. After a power cut the old content, or a file in
/// which what did not reach the medium is missing or zero; never anything else.
#[test]
fn an_atomic_write_that_is_not_durable_is_whole_until_the_power_goes() {
    let body = |world: &World| {
        let (actor, done) = write(&world.process(), &NEW, false);
        (vec![actor], done)
    };
    let explore = Explore::new(&old_target(), 256, 1);
    explore.kills(body, |state, done| {
        let (found, done) = (state.disk.read(TARGET).unwrap(), done.load(Ordering::SeqCst));
        assert!(found == NEW || (found == OLD && !done), "done: {done}");
    });
    let (lost_count, torn_count) = (Cell::new(0), Cell::new(0));
    explore.power_cuts(body, |state, done| {
        let found = state.disk.read(TARGET).unwrap();
        let of_new = |(at, byte): (usize, &u8)| *byte == 0 || NEW.get(at) == Some(byte);
        assert!(found == OLD || found.iter().enumerate().all(of_new));
        lost_count.set(lost_count.get() + u32::from(found == OLD && done.load(Ordering::SeqCst)));
        torn_count.set(torn_count.get() + u32::from(found != OLD && found != NEW));
        // The mode is not synced either: the file may have that of a new one.
        let mode = state.disk.stat(TARGET).unwrap().mode;
        assert!(mode == 0o640 || mode == 0o600, "{mode:o}");
        next_write_works(&state.disk, mode);
    });
    assert!(lost_count.get() > 0 && torn_count.get() > 0, "durable would mean nothing");
}

/// T-1, T-2, T-3, JF-6: nobody sweeps the temporary of a writer that lives, whatever the
/// interleaving, and whoever is last wins as a whole.
#[test]
fn two_atomic_writers_never_sweep_each_other() {
    const OTHER: [u8; 600] = [b'x'; 600];
    let body = |world: &World| {
        let (first, _) = write(&world.process(), &NEW, true);
        let (second, _) = write(&world.process(), &OTHER, true);
        (vec![first, second], ())
    };
    let mut judged_count = 0;
    let calls = 40;
    let schedules = (0..calls).map(Schedule::SwitchAt).chain([Schedule::RoundRobin]);
    for schedule in schedules {
        let world = World::new(old_target(), 1);
        let (actors, ()) = body(&world);
        assert_eq!(world.run(actors, &Plan { schedule, ..Plan::default() }).deadlock, None);
        let found = world.disk().read(TARGET).unwrap();
        assert!(found == NEW || found == OTHER, "{schedule:?}");
        assert_eq!(world.disk().names("/data"), ["target"], "{schedule:?}");
    }
    for seed in seeds(8) {
        judged_count += Explore::new(&old_target(), 1, seed).power_cuts(body, |state, ()| {
            let found = state.disk.read(TARGET).unwrap();
            assert!(found == OLD || found == NEW || found == OTHER);
            next_write_works(&state.disk, 0o640);
        });
    }
    assert!(judged_count > 500 || std::env::var("SEED").is_ok(), "{judged_count} states only");
}

/// A process that takes the lock so often and, while it has it, counts up in two steps.
fn counter(process: &Process, name: &str, held: &Arc<AtomicU64>, done: &Arc<AtomicU64>) -> Actor {
    let (storage, held, done) = (process.storage(), Arc::clone(held), Arc::clone(done));
    Actor::new(process, name, move || {
        let mut turn_count = 0;
        for _ in 0..200 {
            if turn_count == 3 {
                return;
            }
            let lock = FileLock::try_acquire(&storage, Path::new(LOCK), LockMode::Exclusive, false);
            let Some(lock) = lock.unwrap() else { continue };
            assert_eq!(held.fetch_add(1, Ordering::SeqCst), 0, "L-1: two have the lock at once");
            let _others_run = storage.stat(Site::Test, Path::new("/data"));
            let _others_run = storage.stat(Site::Test, Path::new("/data"));
            held.fetch_sub(1, Ordering::SeqCst);
            drop(lock);
            turn_count += 1;
            done.fetch_add(1, Ordering::SeqCst);
        }
    })
}

/// L-1: a lock keeps two processes apart, whoever makes the lock file.
#[test]
fn a_file_lock_keeps_two_processes_apart() {
    for seed in seeds(100) {
        let world = World::new(Disk::new(), seed);
        let (held, done) = (Arc::default(), Arc::default());
        let actor = |name| counter(&world.process(), name, &held, &done);
        let actors = vec![actor("a"), actor("b"), actor("c")];
        assert_eq!(world.run(actors, &Plan::default()).deadlock, None, "SEED={seed}");
        assert!(done.load(Ordering::SeqCst) >= 8, "SEED={seed}: they do not get on");
        assert_eq!(world.disk().names("/data"), ["lock"], "L-4: the file stays");
    }
}

/// L-1, where holders take the lock file away: who had it open already must see that it is not the
/// one that the path leads to any more.
#[test]
fn a_file_lock_keeps_two_processes_apart_though_holders_remove_its_file() {
    let mut removed_count = 0;
    for seed in seeds(300) {
        let world = World::new(Disk::new(), seed);
        let (held, done) = (Arc::default(), Arc::default());
        let removed = Arc::<AtomicU64>::default();
        let (storage, tell) = (world.process().storage(), Arc::clone(&removed));
        let taker = Actor::new(&world.process(), "remover", move || {
            for _ in 0..20 {
                let path = Path::new(LOCK);
                let lock = FileLock::try_acquire(&storage, path, LockMode::Exclusive, false);
                // Kept to the end of the block: it is the holder who removes it.
                if let Some(_held) = lock.unwrap() {
                    storage.remove(Site::Test, path).unwrap();
                    tell.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        let actor = |name| counter(&world.process(), name, &held, &done);
        let actors = vec![actor("a"), actor("b"), taker];
        assert_eq!(world.run(actors, &Plan::default()).deadlock, None, "SEED={seed}");
        removed_count += removed.load(Ordering::SeqCst);
    }
    assert!(removed_count > 0, "nobody removed anything");
}

/// The kernel frees the lock of a killed holder: there is no stale lock.
#[test]
fn a_killed_holder_frees_its_file_lock() {
    let dry = {
        let world = World::new(Disk::new(), 1);
        let actors = vec![counter(&world.process(), "a", &Arc::default(), &Arc::default())];
        world.run(actors, &Plan::default()).calls
    };
    let mut held_count = 0;
    for at_call in 0..dry {
        let world = World::new(Disk::new(), 1);
        let process = world.process();
        let (held, done) = (Arc::<AtomicU64>::default(), Arc::default());
        let stop = Some(Stop::Kill { process: process.pid(), at_call });
        let actors = vec![counter(&process, "a", &held, &done)];
        assert!(world.run(actors, &Plan { stop, ..Plan::default() }).stopped);
        held_count += held.load(Ordering::SeqCst);
        let storage = world.process().storage();
        let lock = FileLock::try_acquire(&storage, Path::new(LOCK), LockMode::Exclusive, false);
        assert!(lock.unwrap().is_some(), "killed at call {at_call}");
    }
    assert!(held_count > 3, "nobody was killed while it had the lock");
}

/// L-1: a lock is held only on the file that the path leads to. A waiter that is granted the lock
/// on a file which was taken away meanwhile starts again, and keeps no lock on the old one.
#[test]
fn a_lock_on_a_file_that_was_replaced_counts_for_nothing() {
    for replace in [false, true] {
        let world = World::new(Disk::new(), 1);
        let (a, b) = (world.process().storage(), world.process().storage());
        let lock = Path::new(LOCK);
        let acquire = |storage| FileLock::try_acquire(storage, lock, LockMode::Exclusive, false);
        let first = acquire(&a).unwrap().unwrap();
        assert!(acquire(&b).unwrap().is_none());
        a.remove(Site::Test, lock).unwrap();
        if replace {
            drop(a.open(Site::Test, lock, Open::new_file(0o600)).unwrap());
        }
        let second = acquire(&b).unwrap().unwrap();
        assert!(acquire(&a).unwrap().is_none(), "the path leads to the second one's file");
        drop(first);
        assert!(acquire(&a).unwrap().is_none(), "freeing the old one frees nothing");
        drop(second);
        assert!(acquire(&a).unwrap().is_some());
    }
}

/// L-1, JF-2, through the store: two writers, and a holder that takes the lock file away.
#[test]
fn a_lock_file_that_is_replaced_lets_no_two_writers_in() {
    let found = race_for_a_lock_file_that_is_replaced(|engine| engine, seeds(300));
    assert!(found.is_none(), "{found:?}");
}
