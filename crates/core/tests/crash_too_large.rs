//! A put that would make the file too large, in a group with others.
//!
//! JF-12: only what is too large by itself is refused; what shares its group is committed, each
//! operation as a whole and in order (GC-2), whatever stops it.
#![cfg(feature = "planted-bugs")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crash_support;

use std::path::Path;

use crash_support::{
    Entries, Observer, STATE, Scenario, checkpoint, delete, disk_with, entries, key, put,
};
use tidemark_core::checkpoint::{JsonFileOptions, JsonFileStore, Op, Outcome};
use tidemark_core::group_commit::commit_inline;
use tidemark_core::{Error, ErrorKind};
use tidemark_sim::{Actor, CrashState, Explore, Fault, Process, World};
use tidemark_storage::{OsError, Site};

/// Room for some six checkpoints.
const FILE_BYTES_MAX: u64 = 1200;

fn two_keys() -> Entries {
    entries(&[(1, 10), (2, 20)])
}

/// Ten checkpoints in one commit: more than the file has room for.
fn too_many(by: &str) -> Op {
    put(&(10..20).map(|of| (of, 1)).collect::<Vec<_>>(), by)
}

fn commit(process: &Process, observer: &Observer, group: Vec<Op>) -> Vec<Result<Outcome, Error>> {
    let options = JsonFileOptions::default();
    let parts = JsonFileStore::open_parts(&process.storage(), Path::new(STATE), options).unwrap();
    let mut engine = parts.engine.with_file_bytes_max(FILE_BYTES_MAX);
    let asked: Vec<usize> = group.iter().map(|op| observer.asks(process.pid(), op)).collect();
    let ears = observer.clone();
    let tell = move |index: usize, result: &Result<Outcome, Error>| {
        let Some(id) = asked.get(index) else { return };
        match result {
            Ok(outcome) => ears.hears(*id, outcome),
            // A stop in the middle answers as well, while it unwinds: the outcome is unknown.
            Err(error) if error.is_indeterminate() => {}
            Err(_) => ears.is_refused(*id),
        }
    };
    commit_inline(&mut engine, group, tell).unwrap()
}

fn kinds(results: Vec<Result<Outcome, Error>>) -> Vec<Option<ErrorKind>> {
    let kind = |error: Error| {
        assert!(!error.is_indeterminate(), "{error:?}");
        error.kind()
    };
    results.into_iter().map(|result| result.err().map(kind)).collect()
}

fn found(world: &World) -> Entries {
    let storage = world.process().storage();
    let options = JsonFileOptions::default();
    let parts = JsonFileStore::open_parts(&storage, Path::new(STATE), options).unwrap();
    parts.reader.refresh().unwrap();
    parts.reader.view().entries().into_iter().collect()
}

#[test]
fn a_put_that_is_too_large_is_refused_and_the_others_of_its_group_commit_in_order() {
    let small = || {
        let first = [put(&[(1, 11)], "a"), put(&[(3, 1)], "b"), delete(2)];
        let second = [put(&[(2, 3)], "c"), put(&[(1, 12)], "d"), put(&[(1, 5)], "e")];
        first.into_iter().chain(second)
    };
    let expected = [(1, checkpoint(12, "d")), (2, checkpoint(3, "c")), (3, checkpoint(1, "b"))];
    let expected = Entries::from(expected.map(|(of, value)| (key(of), value)));
    for at in 0..=6 {
        for more in [false, true] {
            let world = World::new(disk_with(&two_keys()), 1);
            let mut group: Vec<Op> = small().collect();
            group.insert(at, too_many("large"));
            if more {
                group.push(too_many("larger"));
            }
            let mut refused = vec![None; group.len()];
            refused[at] = Some(ErrorKind::TooLarge);
            if more {
                refused[7] = Some(ErrorKind::TooLarge);
            }
            let results = commit(&world.process(), &Observer::new(&two_keys()), group);
            assert_eq!(kinds(results), refused, "at {at}");
            assert_eq!(found(&world), expected, "at {at}");
            assert_eq!(world.disk().unsynced(), 0);
        }
    }
}

#[test]
fn a_group_of_nothing_but_too_large_puts_writes_nothing() {
    let world = World::new(disk_with(&two_keys()), 1);
    let group = (0..9).map(|_| too_many("large")).collect();
    let results = commit(&world.process(), &Observer::new(&two_keys()), group);
    assert_eq!(kinds(results), vec![Some(ErrorKind::TooLarge); 9]);
    assert_eq!(world.count(Site::TempCreate), 0);
    assert_eq!(found(&world), two_keys());
}

/// A group that fits as a whole is not taken apart, though its parts would not fit one by one.
#[test]
fn a_group_that_makes_room_for_itself_is_one_commit() {
    let initial = entries(&[(1, 10), (2, 20), (3, 30), (4, 40)]);
    let world = World::new(disk_with(&initial), 1);
    let puts = put(&[(5, 1), (6, 1), (7, 1), (8, 1)], "a");
    let group = vec![puts, delete(1), delete(2), delete(3), delete(4)];
    let results = commit(&world.process(), &Observer::new(&initial), group);
    assert_eq!(kinds(results), [None; 5]);
    assert_eq!(world.count(Site::JsonRename), 1);
}

/// JF-7, JF-12: of a group that was taken apart, only the part whose directory could not be synced
/// has an unknown outcome; what was not begun is definite.
#[test]
fn what_follows_a_part_of_unknown_outcome_was_certainly_not_done() {
    let world = World::new(disk_with(&two_keys()), 1);
    world.inject(Fault::fail(Site::JsonSyncDir, 0, OsError::EIO));
    let group = vec![put(&[(1, 11)], "a"), too_many("large"), put(&[(3, 1)], "b"), delete(2)];
    let results = commit(&world.process(), &Observer::new(&two_keys()), group);
    let told = results.into_iter().map(|result| {
        let error = result.unwrap_err();
        (error.kind(), error.is_indeterminate())
    });
    let poisoned = (ErrorKind::Poisoned, false);
    assert_eq!(told.collect::<Vec<_>>(), [(ErrorKind::Io, true), poisoned, poisoned, poisoned]);
    assert_eq!(world.count(Site::JsonRename), 1);
}

#[test]
fn a_group_with_a_put_that_is_too_large_survives_every_stop() {
    let scenario = Scenario::new(&two_keys(), Vec::new());
    let body = |world: &World| {
        let (process, observer) = (world.process(), Observer::new(&two_keys()));
        let (own, told) = (process.clone(), observer.clone());
        let actor = Actor::new(&process, "writer", move || {
            let group = vec![
                put(&[(1, 11), (3, 1)], "a"),
                too_many("large"),
                delete(2),
                put(&[(1, 12)], "b"),
            ];
            drop(commit(&own, &told, group));
        });
        (vec![actor], observer)
    };
    let check = |state: &CrashState, observer: &Observer| {
        let observer = observer.fork();
        observer.gone(state.killed);
        scenario.recovers(&state.disk, &observer, 1).unwrap();
        observer.gone(None);
        for disk in state.disk.power_cuts(8, 1) {
            scenario.recovers(&disk, &observer, 1).unwrap();
        }
    };
    let explore = Explore::new(&scenario.start, 64, 1);
    let judged_count = explore.power_cuts(body, check) + explore.kills(body, check);
    assert!(judged_count > 100, "{judged_count} states only");
}
