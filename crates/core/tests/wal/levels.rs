//! When a sync follows what was written, and what a log tells and counts: C4 to C6, E-2, and the
//! events `slowSync`, `poisoned` and `noSpace`.

use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use tidemark_core::event::Event;
use tidemark_core::group_commit::{DirectEngine, Engine, Enqueued, commit_inline, due_inline};
use tidemark_core::wal::{
    Records, SyncLevel, SyncOverride, Visibility, WalOp, WalOptions, WalOutcome,
};
use tidemark_core::{ErrorKind, Storage};
use tidemark_sim::{Disk, World};
use tidemark_storage::{OsError, Site};

use super::rig::{Machine, Watcher, metric, put};
use super::sim::Desk;
use super::support::{HANG, Hooked, Mailbox, Scratch, real};
use super::wal_support::{LOG, append, record, small};

const NEVER_MS: u64 = 3_600_000;

fn level(sync: SyncLevel) -> WalOptions {
    WalOptions { sync, ..small() }
}

fn interval(millis: u64) -> WalOptions {
    level(SyncLevel::Interval(NonZeroU64::new(millis).unwrap()))
}

fn with_level(number: u32, sync: SyncOverride) -> WalOp {
    let records = Arc::new(Records::one(record(number, 100)));
    WalOp::Append { records, expect: None, hard_state: None, sync: Some(sync) }
}

/// The time in the world. Looking at it takes time, but very little.
fn now(desk: &Desk) -> Duration {
    desk.world.process().storage().monotonic()
}

fn durable_last(desk: &Desk) -> u64 {
    desk.parts.ends(Visibility::Durable).1 - 1
}

/// C5, D30: the original's ticker knows nothing of the oldest byte. Here a sync is due no later
/// than N after it was written, whatever came since.
#[test]
fn c5_a_sync_is_due_n_after_the_oldest_unsynced_byte() {
    let mut desk = Desk::new(interval(200));
    assert_eq!(desk.parts.engine.due(), None, "nothing is unsynced");
    let before = now(&desk);
    desk.try_commit(&[append(1, 100)]);
    let after = now(&desk);
    let delay = Duration::from_millis(200);
    let due = desk.parts.engine.due().unwrap();
    assert!(before + delay <= due && due <= after + delay, "{before:?} {due:?} {after:?}");
    for number in 2..10 {
        desk.world.with_disk(|disk| disk.advance(Duration::from_millis(10)));
        desk.try_commit(&[append(number, 100)]);
        assert_eq!(desk.parts.engine.due(), Some(due), "later bytes do not put it off");
        assert_eq!(durable_last(&desk), 0);
    }
    assert!(due_inline(&mut desk.parts.engine));
    assert_eq!(durable_last(&desk), 9);
    assert_eq!(desk.parts.engine.due(), None);
}

/// C5: who never pauses does not keep the sync away: the group that comes when it is due syncs.
#[test]
fn c5_constant_load_does_not_put_the_sync_off() {
    let mut desk = Desk::new(interval(200));
    for number in 1..200 {
        desk.try_commit(&[append(number, 50)]);
        let undurable = desk.model.next() - 1 - durable_last(&desk);
        assert!(undurable <= 5, "{undurable} groups of 50 ms each are not durable after 200 ms");
        desk.world.with_disk(|disk| disk.advance(Duration::from_millis(50)));
    }
}

/// C5: the same of calls that block, each of which commits on its caller's thread.
#[test]
fn c5_constant_calls_do_not_put_the_sync_off() {
    let mut desk = Desk::new(interval(200));
    for number in 1..200 {
        let called = desk.parts.engine.commit_one(&append(number, 50));
        assert_eq!(
            called.unwrap(),
            WalOutcome::Appended { first: number.into(), last: number.into() }
        );
        let undurable = u64::from(number) - durable_last(&desk);
        assert!(undurable <= 5, "{undurable} calls of 50 ms each are not durable after 200 ms");
        desk.world.with_disk(|disk| disk.advance(Duration::from_millis(50)));
    }
}

/// E-2: with `immediate_async` the write is told, by a call that blocks as well; a sync that fails
/// after it poisons the log.
#[test]
fn a_call_that_asks_for_written_does_not_hear_of_the_sync() {
    let scratch = Scratch::new();
    let (fails, storage) = failing(Site::SegmentSync, OsError::EIO);
    let wal = Machine::on(storage).open(&scratch.path("log"));
    put(&wal, "durable");
    fails.store(true, Ordering::SeqCst);
    let written = wal.call(&with_level(2, SyncOverride::ImmediateAsync));
    assert_eq!(written.unwrap(), WalOutcome::Appended { first: 2, last: 2 });
    let later = wal.call(&append(3, 100)).unwrap_err();
    assert_eq!(later.kind(), ErrorKind::Poisoned);
}

/// C4: with `immediate_async` the result comes after the write, and the sync at once after that.
#[test]
fn c4_a_sync_follows_at_once_what_was_told_as_written() {
    let mut desk = Desk::new(level(SyncLevel::ImmediateAsync));
    let world = desk.world.clone();
    let (tell, told) = channel();
    let syncs = world.count(Site::SegmentSync);
    let on_settled = move |_: usize, _: &_| {
        let _test_is_over = tell.send(world.count(Site::SegmentSync));
    };
    commit_inline(&mut desk.parts.engine, vec![append(1, 100)], on_settled).unwrap();
    assert_eq!(told.recv().unwrap(), syncs, "told before the sync");
    assert_eq!(desk.world.count(Site::SegmentSync), syncs + 1, "which has followed");
    assert_eq!(durable_last(&desk), 1);
}

/// E-2: with `immediate`, nothing is told before its sync.
#[test]
fn c1_a_result_comes_after_the_sync_that_it_waits_for() {
    let mut desk = Desk::small();
    let world = desk.world.clone();
    let (tell, told) = channel();
    let syncs = world.count(Site::SegmentSync);
    let on_settled = move |_: usize, _: &_| {
        let _test_is_over = tell.send(world.count(Site::SegmentSync));
    };
    let group = vec![append(1, 100), append(2, 100)];
    commit_inline(&mut desk.parts.engine, group, on_settled).unwrap();
    assert_eq!([told.recv().unwrap(), told.recv().unwrap()], [syncs + 1; 2]);
}

#[test]
fn a_call_has_its_own_level() {
    let mut desk = Desk::new(interval(NEVER_MS));
    desk.try_commit(&[append(1, 100)]);
    assert_eq!(durable_last(&desk), 0, "the log's level");
    desk.try_commit(&[with_level(2, SyncOverride::Immediate)]);
    assert_eq!(durable_last(&desk), 2, "and everything before it");
    desk.try_commit(&[append(3, 100)]);
    assert_eq!(durable_last(&desk), 2);
    desk.try_commit(&[with_level(4, SyncOverride::ImmediateAsync)]);
    assert_eq!(durable_last(&desk), 4, "the sync followed at once");
    desk.try_commit(&[append(5, 100)]);
    let synced = desk.try_commit(&[WalOp::Sync]).remove(0).unwrap();
    assert_eq!(synced, WalOutcome::Synced(5), "C6");
    assert_eq!(durable_last(&desk), 5);
    desk.try_commit(&[append(6, 100), WalOp::Truncate { after: 5 }]);
    assert_eq!(desk.found(), desk.model, "C7: always durable");
}

/// P4: who waits together is synced together.
#[test]
fn sixty_four_appends_at_once_cost_one_or_two_syncs() {
    let scratch = Scratch::new();
    let wal = Machine::new().open(&scratch.path("log"));
    put(&wal, "first");
    let before = metric(&wal, "syncs");
    let mailbox = Mailbox::<WalOutcome>::new();
    for ticket in 0..64 {
        let op = WalOp::append(record(u32::try_from(ticket).unwrap(), 100));
        assert_eq!(wal.enqueue(op, ticket, &mailbox.sink).unwrap(), Enqueued::Accepted);
    }
    wal.wake();
    for lsn in 2..66 {
        let (ticket, outcome) = mailbox.next();
        assert_eq!(
            (ticket, outcome.unwrap()),
            (lsn - 2, WalOutcome::Appended { first: lsn, last: lsn })
        );
    }
    let syncs = metric(&wal, "syncs") - before;
    assert!((1..=2).contains(&syncs), "{syncs} syncs");
    assert_eq!(metric(&wal, "entries"), 65);
}

/// A log of the whole machinery, with threads, on a simulated disk whose syncs take a while.
#[test]
fn a_sync_of_more_than_a_second_is_told_and_a_quick_one_is_not() {
    let world = World::new(Disk::new(), 1);
    let slow = Arc::new(AtomicBool::new(false));
    let (own, clock) = (Arc::clone(&slow), world.clone());
    let storage = Hooked::over(world.process().storage(), move |site| {
        if site == Site::SegmentSync && own.load(Ordering::SeqCst) {
            clock.with_disk(|disk| disk.advance(Duration::from_millis(1500)));
        }
        None
    });
    let wal = Machine::on(storage).open(Path::new(LOG));
    let watcher = Watcher::of(&wal);
    put(&wal, "quick");
    assert!(watcher.told().is_empty());
    slow.store(true, Ordering::SeqCst);
    put(&wal, "slow");
    let Event::SlowSync { duration } = watcher.next() else { panic!("another event") };
    assert!(duration >= Duration::from_millis(1500), "{duration:?}");
    slow.store(false, Ordering::SeqCst);
    put(&wal, "quick");
    assert!(watcher.told().is_empty());
    assert_eq!(metric(&wal, "syncUs"), metric(&wal, "syncs"));
}

/// Fails a site while a switch is on.
fn failing(site: Site, errno: i32) -> (Arc<AtomicBool>, Arc<dyn Storage>) {
    let on = Arc::new(AtomicBool::new(false));
    let own = Arc::clone(&on);
    let hook = move |now: Site| (now == site && own.load(Ordering::SeqCst)).then_some(errno);
    (on, Hooked::over(real(), hook))
}

#[test]
fn c9_a_failed_sync_is_told_once_and_ends_followers() {
    let scratch = Scratch::new();
    let (fails, storage) = failing(Site::SegmentSync, OsError::EIO);
    let machine = Machine::on(storage);
    let wal = machine.open(&scratch.path("log"));
    put(&wal, "durable");
    let watcher = Watcher::of(&wal);
    let follower = wal.follow(2, Visibility::Durable).unwrap();
    let waiting = super::rig::ask(&follower, true);
    fails.store(true, Ordering::SeqCst);
    let error = wal.call(&WalOp::append("lost")).unwrap_err();
    assert_eq!((error.kind(), error.is_indeterminate()), (ErrorKind::Io, true));
    assert!(matches!(watcher.next(), Event::Poisoned { error } if error.is_indeterminate()));
    let ended = waiting.recv_timeout(HANG).unwrap().unwrap_err();
    assert_eq!(ended.kind(), ErrorKind::Poisoned);
    fails.store(false, Ordering::SeqCst);
    for _ in 0..3 {
        let later = wal.call(&WalOp::append("refused")).unwrap_err();
        assert_eq!((later.kind(), later.is_indeterminate()), (ErrorKind::Poisoned, false));
    }
    assert!(watcher.told().is_empty(), "once");
    assert_eq!(wal.last_lsn(Visibility::Durable).unwrap(), 1, "the durable end froze");
    let again = machine.try_open(&scratch.path("log"), small()).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Poisoned, "until its handles are closed");
    wal.close_blocking();
    let wal = machine.open(&scratch.path("log"));
    assert!(put(&wal, "works again") >= 2);
}

#[test]
fn c10_a_full_disk_is_told_once_an_episode() {
    let scratch = Scratch::new();
    let (full, storage) = failing(Site::PrepareFill, OsError::ENOSPC);
    let wal = Machine::on(storage).open(&scratch.path("log"));
    let watcher = Watcher::of(&wal);
    let mut expected = Vec::new();
    for episode in 1..=2 {
        full.store(true, Ordering::SeqCst);
        let mut refused = 0;
        while refused < 5 {
            match wal.call(&WalOp::append(record(episode, 5000))) {
                Ok(_) => expected.push(record(episode, 5000)),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::NoSpace);
                    assert!(!error.is_indeterminate(), "definite");
                    refused += 1;
                }
            }
        }
        let told = watcher.told();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(matches!(&told[0], Event::NoSpace { error } if !error.is_indeterminate()));
        full.store(false, Ordering::SeqCst);
        put(&wal, record(episode, 9000));
        expected.push(record(episode, 9000));
    }
    assert_eq!(super::rig::contents(&wal).unwrap().entries, expected);
}
