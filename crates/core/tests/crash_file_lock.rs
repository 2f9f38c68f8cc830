//! The file lock with processes that wait for it, share it, give up, and die.
//!
//! L-1 (a lock is held only on the file that the path leads to), L-3 (a late grant keeps nothing),
//! L-4 (a lock file stays), L-5 (a lock call that fails keeps no lock). `SEED=n` repeats the
//! interleaving n alone, `TORTURE=n` tries n times as many.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crash_support;

use std::cell::Cell;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crash_support::seeds;
use tidemark_core::LockMode;
use tidemark_core::file_lock::{FileLock, LockRegistry, LockRequests};
use tidemark_sim::{Actor, CrashState, Disk, Explore, Fault, FaultKind, Schedule, World};
use tidemark_storage::{OsError, Site};

const LOCK: &str = "/data/lock";
const WAIT: Duration = Duration::from_secs(60);

/// Who came in and went out, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    pid: u32,
    mode: LockMode,
    enters: bool,
}

type Log = Arc<Mutex<Vec<Step>>>;

/// How a process asks for the lock.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// It waits as long as it takes.
    Waits,
    /// It has given up when the lock is granted.
    IsTooLate,
    /// It takes the lock only if it is free.
    Tries,
}

/// A process that asks for the lock twice, and looks around while it has it.
fn user(world: &World, name: &str, mode: LockMode, way: Way, log: &Log) -> Actor {
    let process = world.process();
    let (storage, pid, log) = (process.storage(), process.pid(), Arc::clone(log));
    Actor::new(&process, name, move || {
        for _ in 0..2 {
            let path = Path::new(LOCK);
            let lock = match way {
                Way::Waits => FileLock::acquire_inline(&storage, path, mode, || true),
                Way::IsTooLate => FileLock::acquire_inline(&storage, path, mode, || false),
                Way::Tries => FileLock::try_acquire(&storage, path, mode, false),
            };
            let Some(lock) = lock.unwrap() else { continue };
            log.lock().unwrap().push(Step { pid, mode, enters: true });
            let _others_run = storage.stat(Site::Test, Path::new("/data"));
            let _others_run = storage.stat(Site::Test, Path::new("/data"));
            log.lock().unwrap().push(Step { pid, mode, enters: false });
            drop(lock);
        }
    })
}

fn crowd(world: &World) -> (Vec<Actor>, Log) {
    use LockMode::{Exclusive, Shared};
    let log = Log::default();
    let actors = vec![
        user(world, "first", Exclusive, Way::Waits, &log),
        user(world, "second", Exclusive, Way::Waits, &log),
        user(world, "late", Exclusive, Way::IsTooLate, &log),
        user(world, "reader", Shared, Way::Waits, &log),
        user(world, "another reader", Shared, Way::Waits, &log),
        user(world, "guest", Shared, Way::Tries, &log),
    ];
    (actors, log)
}

/// Nobody came in beside somebody else whom the lock keeps apart from him. Who was killed inside
/// was there until his last step.
fn is_kept_apart(log: &Log, killed: Option<u32>) -> Vec<Step> {
    let steps = log.lock().unwrap().clone();
    for (index, step) in steps.iter().enumerate().filter(|(_, step)| step.enters) {
        let before = steps.iter().take(index);
        for other in before.filter(|other| other.enters && other.pid != step.pid) {
            let went = |later: &&Step| later.pid == other.pid && !later.enters;
            let later = steps.iter().skip(index);
            let entered = steps.iter().take(index).filter(|it| it.pid == other.pid && it.enters);
            let left = steps.iter().take(index).filter(went);
            let inside = entered.count() > left.count()
                && (killed != Some(other.pid) || later.clone().any(|it| it.pid == other.pid));
            let shared = other.mode == LockMode::Shared && step.mode == LockMode::Shared;
            assert!(!inside || shared, "{step:?} came in beside {other:?}: {steps:?}");
        }
    }
    steps
}

fn is_free(disk: &Disk) {
    let world = World::new(disk.clone(), 1);
    let storage = world.process().storage();
    let lock = FileLock::try_acquire(&storage, Path::new(LOCK), LockMode::Exclusive, false);
    assert!(lock.unwrap().is_some(), "a stale lock");
    assert_eq!(world.disk().read(LOCK).unwrap(), b"", "L-4: nothing is written to it");
    assert_eq!(world.disk().names("/data"), ["lock"], "L-4: it stays, and nothing else does");
}

/// L-1, L-3: whoever is killed, wherever: the others get their turns, one at a time; then the lock
/// is free, and it is free after a power cut.
#[test]
fn a_lock_keeps_processes_apart_whoever_of_them_dies() {
    let (judged_count, shared_count) = (Cell::new(0_u64), Cell::new(0_u64));
    let check = |state: &CrashState, log: &Log| {
        let steps = is_kept_apart(log, state.killed);
        let together = |two: &[Step]| two.iter().all(|it| it.enters);
        shared_count
            .set(shared_count.get() + steps.windows(2).filter(|w| together(w)).count() as u64);
        if let Some(killed) = state.killed {
            // Everybody else had two turns, but for who came too late and who only tried.
            let turns = steps.iter().filter(|step| step.pid != killed && !step.enters).count();
            assert!(turns >= 6, "{turns} turns: {steps:?}");
        }
        is_free(&state.disk);
        judged_count.set(judged_count.get() + 1);
    };
    for seed in seeds(4) {
        let explore = Explore::new(&Disk::new(), 4, seed);
        explore.kills(crowd, check);
        explore.power_cuts(crowd, check);
    }
    assert!(judged_count.get() > 1000 || std::env::var("SEED").is_ok(), "{judged_count:?}");
    assert!(shared_count.get() > 0, "nobody ever shared the lock");
    eprintln!("{} states", judged_count.get());
}

/// The same with all the others between any two calls of the first.
#[test]
fn a_lock_keeps_processes_apart_wherever_one_is_held_up() {
    let mut reached = 0;
    for switch in 0..40 {
        let schedule = Schedule::SwitchAt(switch);
        let explore = Explore { schedule, ..Explore::new(&Disk::new(), 1, switch) };
        let killed_first = |world: &World| {
            let (mut actors, log) = crowd(world);
            actors.truncate(4);
            (actors, log)
        };
        reached += explore.kills(killed_first, |state, log| {
            is_kept_apart(log, state.killed);
            is_free(&state.disk);
        });
    }
    assert!(reached > 1000, "{reached} states only");
}

/// L-5: a lock that was granted with an error is not kept, by whom it was asked for in a queue that
/// goes on, and by whom it was tried.
#[test]
fn a_lock_call_that_fails_keeps_no_lock() {
    for what in [FaultKind::Fail, FaultKind::FailAfterEffect] {
        for mode in [LockMode::Exclusive, LockMode::Shared] {
            let world = World::new(Disk::new(), 1);
            let (own, other) = (world.process().storage(), world.process().storage());
            let registry = LockRegistry::default();
            let requests = LockRequests::open(&registry, &own, Path::new(LOCK), false).unwrap();
            let fault = Fault::fail(Site::LockAcquire, 0, OsError::EIO).with(what);
            let is_free = || {
                let mode = LockMode::Exclusive;
                FileLock::try_acquire(&other, Path::new(LOCK), mode, false).unwrap().is_some()
            };
            world.inject(fault);
            requests.acquire(mode, WAIT).unwrap_err();
            assert!(is_free(), "{what:?} {mode:?}: the queue keeps it");
            world.inject(fault);
            FileLock::try_acquire(&own, Path::new(LOCK), mode, false).unwrap_err();
            assert!(is_free(), "{what:?} {mode:?}: who tried keeps it");
            let lock = requests.acquire(mode, WAIT).unwrap();
            assert!(!is_free());
            drop(lock);
            assert!(is_free());
        }
    }
}

/// L-5, where the unlock itself lies or fails: closing frees the lock in any case.
#[test]
fn a_lock_whose_unlock_fails_is_free_all_the_same() {
    for what in [FaultKind::Fail, FaultKind::FailAfterEffect] {
        let world = World::new(Disk::new(), 1);
        let (own, other) = (world.process().storage(), world.process().storage());
        let acquire = |storage| {
            FileLock::try_acquire(storage, Path::new(LOCK), LockMode::Exclusive, false).unwrap()
        };
        world.inject(Fault::fail(Site::LockRelease, 0, OsError::EIO).with(what));
        drop(acquire(&own).unwrap());
        assert!(acquire(&other).is_some(), "{what:?}");
    }
}
