//! What a review of the log found by reading it, held to ever after.

use std::num::NonZeroU64;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::{fs, thread};

use tidemark_core::ErrorKind;
use tidemark_core::group_commit::{commit_inline, finish_inline};
use tidemark_core::wal::{SyncLevel, Visibility, WalOp, WalOptions, WalParts, WalTrail};
use tidemark_sim::{Disk, Fault, World};
use tidemark_storage::{OsError, Site};

use super::rig::{Machine, ask, ended, put, segments};
use super::sim::Desk;
use super::support::{Hooked, Scratch, eventually};
use super::wal_support::{LOG, append, found_on, record, small};

fn interval(millis: u64) -> WalOptions {
    let millis = NonZeroU64::new(millis).expect("not zero");
    WalOptions { sync: SyncLevel::Interval(millis), ..small() }
}

/// SG-2: a close whose last sync failed leaves its mark in memory. The frame after it must not call
/// it synced: a power cut that loses the mark and keeps the frame would look like damage.
#[test]
fn sg2_a_mark_that_was_only_in_memory_is_proven_before_it_is_built_on() {
    let mut judged = 0;
    // Sizes with which the mark ends in another sector than it begins in.
    for size in [240, 248, 256, 264] {
        let world = World::new(Disk::new(), 1);
        let process = world.process();
        let fails = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&fails);
        let storage = Hooked::over(process.storage(), move |site| {
            let failed = asked.load(Ordering::Acquire) && site == Site::SegmentSync;
            failed.then_some(OsError::EIO)
        });
        let mut parts = WalParts::open_inline(&storage, Path::new(LOG), small()).unwrap();
        commit_inline(&mut parts.engine, vec![append(1, size)], |_, _| ()).unwrap();
        fails.store(true, Ordering::Release);
        finish_inline(parts.engine);
        process.kill();
        let second = world.process().storage();
        let mut parts =
            WalParts::open_inline(&second, Path::new(LOG), interval(3_600_000)).unwrap();
        assert!(parts.recovery().was_closed, "the mark is in the cache");
        commit_inline(&mut parts.engine, vec![append(2, 600)], |_, _| ()).unwrap();
        for (choice, disk) in world.disk().crashes(256, 1) {
            let found = found_on(&disk, small());
            let entries =
                found.unwrap_or_else(|error| panic!("{size}, {choice}: {error:?}")).entries;
            assert_eq!(entries.first(), Some(&record(1, size)), "{size}, {choice}");
            judged += 1;
        }
    }
    assert!(judged > 50, "{judged} states only");
}

/// C12: the writer purges, and removes what it may, after a reader has looked how far the log is
/// and before it lists the segments.
#[test]
fn a_purge_under_an_opening_reader_is_no_damage() {
    let mut desk = Desk::small();
    for number in 1..=12 {
        desk.commit(&[append(number, 9000)]);
    }
    let world = desk.world.clone();
    let before = world.disk().names(LOG).len();
    let writer = Mutex::new(Some(desk));
    let purged = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&purged);
    let has_looked = AtomicBool::new(false);
    let storage = Hooked::over(world.process().storage(), move |site| {
        if site == Site::StateLoad {
            has_looked.store(true, Ordering::Release);
        }
        let lists = site == Site::SegmentList && has_looked.load(Ordering::Acquire);
        let taken = if lists { writer.lock().unwrap().take() } else { None };
        if let Some(mut desk) = taken {
            desk.commit(&[WalOp::Purge { before: 9 }]);
            *keep.lock().unwrap() = Some(desk);
        }
        None
    });
    let options = WalOptions { read_only: true, ..small() };
    let trail = WalTrail::open_inline(&storage, Path::new(LOG), options).unwrap();
    assert!(world.disk().names(LOG).len() < before, "segments are gone");
    assert_eq!(trail.handle.first_lsn().unwrap(), 9);
    assert_eq!(trail.handle.last_lsn(Visibility::Durable).unwrap(), 12);
}

/// W-2, C7: a kill between the purge and the removal of what it made superfluous.
#[test]
fn w2_what_a_purge_left_behind_goes_when_the_log_is_opened() {
    let mut desk = Desk::small();
    for number in 1..=12 {
        desk.commit(&[append(number, 9000)]);
    }
    for result in desk.try_commit(&[WalOp::Purge { before: 12 }]) {
        result.unwrap();
    }
    let (world, model) = desk.kill();
    let count = |world: &World| {
        let names = world.disk().names(LOG);
        names.iter().filter(|name| Path::new(name).extension() == Some("segment".as_ref())).count()
    };
    assert!(count(&world) > 10, "nothing was removed");
    let desk = Desk::on(&world, small(), model);
    let (world, _) = desk.close();
    assert!(count(&world) <= 3, "{:?}", world.disk().names(LOG));
}

/// C5: what is written does not wait longer for its sync because the next segment is waited for.
#[test]
fn c5_an_interval_holds_while_the_next_segment_is_made() {
    let scratch = Scratch::new();
    let (release, held) = channel::<()>();
    let (held, armed) = (Mutex::new(held), Arc::new(AtomicBool::new(false)));
    let asked = Arc::clone(&armed);
    let storage = Hooked::storage(move |site| {
        if site == Site::PrepareSync && asked.load(Ordering::Acquire) {
            // Until the test lets go, or has failed.
            let _let_go = held.lock().unwrap().recv();
        }
        None
    });
    let wal = Machine::on(storage).try_open(&scratch.path("log"), interval(5)).unwrap();
    armed.store(true, Ordering::Release);
    thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for number in 1..=3 {
                put(&wal, record(number, 9000));
            }
        });
        eventually("what is written is synced", || wal.last_lsn(Visibility::Durable).unwrap() >= 1);
        assert!(!writing.is_finished(), "it waits for the next segment");
        armed.store(false, Ordering::Release);
        drop(release);
    });
}

/// F-3: what waits for nobody is not kept until the next append.
#[test]
fn a_follower_that_is_taken_back_is_forgotten() {
    let scratch = Scratch::new();
    let wal = Machine::new().open(&scratch.path("log"));
    let token = Arc::new(());
    for _ in 0..100 {
        let follower = wal.follow(1, Visibility::Durable).unwrap();
        let kept = Arc::clone(&token);
        follower.next(1 << 20, true, move |_given| drop(kept));
        follower.withdraw();
    }
    assert_eq!(Arc::strong_count(&token), 1);
}

/// Readers of one log in one process are one: one thread, one page, one view.
#[test]
fn readers_of_a_process_share_what_they_have_open() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let writer = Machine::new().open(&log);
    put(&writer, "a");
    let machine = Machine::new();
    let pages = || {
        let open = fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
        open.filter(|path| *path == log.join("state")).count()
    };
    let before = pages();
    let readers: Vec<_> = (0..5).map(|_| machine.reader(&log)).collect();
    assert_eq!(pages() - before, 1);
    drop(readers);
    eventually("nothing is open", || pages() == before);
    let again = machine.reader(&log);
    assert_eq!(again.last_lsn(Visibility::Durable).unwrap(), 1);
    assert!(!segments(&log).is_empty());
}

/// E-3, R-4: who follows from another process hears that the writer gave up, instead of waiting for
/// what cannot come; the same handle follows the next writer.
#[test]
fn a_writer_that_gave_up_is_told_to_followers_elsewhere_and_the_next_one_is_followed() {
    let mut desk = Desk::small();
    desk.commit(&[append(1, 100)]);
    let mut trail = desk.trail();
    desk.world.inject(Fault::fail(Site::SegmentSync, 0, OsError::EIO));
    let failed = desk.try_commit(&[append(2, 100)]).remove(0).unwrap_err();
    assert!(failed.is_indeterminate());
    trail.advance().unwrap();
    let waiting = trail.handle.follow(2, Visibility::Durable).unwrap();
    assert_eq!(ended(&waiting), ErrorKind::Poisoned);
    assert!(trail.handle.read(1, 1, 1, Visibility::Durable).is_ok(), "what was there stays");
    let (world, _) = desk.kill();
    let next = world.process().storage();
    let mut parts = WalParts::open_inline(&next, Path::new(LOG), small()).unwrap();
    trail.advance().unwrap();
    let after = parts.ends(Visibility::Durable).1;
    let follower = trail.handle.follow(after, Visibility::Durable).unwrap();
    let coming = ask(&follower, true);
    commit_inline(&mut parts.engine, vec![append(3, 100)], |_, _| ()).unwrap();
    trail.advance().unwrap();
    let entries = coming.try_recv().expect("it was woken").unwrap().unwrap();
    assert_eq!(entries.iter().next(), Some((after, record(3, 100).as_slice())));
}
