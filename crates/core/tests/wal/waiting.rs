//! Followers are woken by what they may see, and nobody who appends waits for them (F-3, V-3, V-4,
//! WT-2).

use std::num::NonZeroU64;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use tidemark_core::wal::{SyncLevel, SyncOverride, Visibility, WalOp, WalOptions};

use super::rig::{Machine, ask, put};
use super::support::{HANG, Scratch};
use super::wal_support::small;

/// A follower whose caller takes its time with what it was given holds up nobody: neither results,
/// nor syncs, nor other calls.
#[test]
fn an_append_does_not_wait_for_its_followers() {
    let hour = NonZeroU64::new(3_600_000).unwrap();
    let levels = [SyncLevel::Immediate, SyncLevel::ImmediateAsync, SyncLevel::Interval(hour)];
    for sync in levels {
        for visibility in [Visibility::Durable, Visibility::Written] {
            let scratch = Scratch::new();
            let options = WalOptions { sync, ..small() };
            let wal = Arc::new(Machine::new().try_open(&scratch.path("log"), options).unwrap());
            let follower = wal.follow(1, visibility).unwrap();
            let (release, held) = channel::<()>();
            let (tell, reached) = channel();
            let held = Mutex::new(held);
            follower.next(1 << 20, true, move |given| {
                tell.send(given).unwrap();
                // Until the test lets go, or has failed.
                let _let_go = held.lock().unwrap().recv();
            });
            let (done, appended) = channel();
            let writing = Arc::clone(&wal);
            let appending = thread::spawn(move || {
                for number in 0..3 {
                    put(&writing, format!("record {number}"));
                }
                writing.call(&WalOp::Sync).unwrap();
                done.send(()).unwrap();
            });
            let in_time = appended.recv_timeout(HANG / 4);
            let given = reached.recv_timeout(HANG).unwrap().unwrap().unwrap();
            assert_eq!(given.first, 1);
            drop(release);
            in_time.unwrap_or_else(|_| panic!("{sync:?}, {visibility:?}: appends wait"));
            appending.join().unwrap();
            wal.close_blocking();
        }
    }
}

/// V-3: what is only written wakes who asked for that, and nobody else.
#[test]
fn a_follower_hears_of_what_it_may_see() {
    let hour = NonZeroU64::new(3_600_000).unwrap();
    let options = WalOptions { sync: SyncLevel::Interval(hour), ..small() };
    let scratch = Scratch::new();
    let wal = Machine::new().try_open(&scratch.path("log"), options).unwrap();
    let [written, durable] = [Visibility::Written, Visibility::Durable]
        .map(|visibility| ask(&wal.follow(1, visibility).unwrap(), true));
    put(&wal, "written");
    assert!(written.recv_timeout(HANG).unwrap().unwrap().is_some());
    // Who is woken in vain asks again: what is told is the same. Who must be woken is not left out.
    assert!(durable.try_recv().is_err());
    let op = WalOp::Append {
        records: Arc::new([b"durable"].iter().collect()),
        expect: Some(2),
        hard_state: None,
        sync: Some(SyncOverride::Immediate),
    };
    wal.call(&op).unwrap();
    let given = durable.recv_timeout(HANG).unwrap().unwrap().unwrap();
    assert_eq!(given.records.len(), 2);
}

/// V-3: a truncate and a purge wake those that they concern, wherever these wait.
#[test]
fn a_follower_that_waits_hears_of_a_truncate_and_of_a_purge() {
    let scratch = Scratch::new();
    let wal = Machine::new().open(&scratch.path("log"));
    for text in ["a", "b", "c"] {
        put(&wal, text);
    }
    let kind = |answer: std::sync::mpsc::Receiver<super::rig::Given>| {
        answer.recv_timeout(HANG).unwrap().unwrap_err().kind()
    };
    let waiting = wal.follow(4, Visibility::Durable).unwrap();
    let answer = ask(&waiting, true);
    wal.call(&WalOp::Truncate { after: 1 }).unwrap();
    assert_eq!(kind(answer), tidemark_core::ErrorKind::Conflict);
    let waiting = wal.follow(2, Visibility::Written).unwrap();
    let answer = ask(&waiting, true);
    wal.call(&WalOp::Purge { before: 50 }).unwrap();
    assert_eq!(kind(answer), tidemark_core::ErrorKind::Expired);
    let waiting = wal.follow(50, Visibility::Durable).unwrap();
    let answer = ask(&waiting, true);
    wal.close_blocking();
    assert_eq!(kind(answer), tidemark_core::ErrorKind::Closed);
}

/// F-3: what was truncated before a loop had read it was never given: the loop waits for what takes
/// its place.
#[test]
fn a_truncate_of_what_was_not_read_yet_is_no_conflict() {
    let scratch = Scratch::new();
    let wal = Machine::new().open(&scratch.path("log"));
    put(&wal, "never read");
    wal.close_blocking();
    // Opened again, it has nothing in memory, and reads through its I/O thread.
    let wal = Machine::new().open(&scratch.path("log"));
    let (release, held) = channel::<()>();
    let job = move || {
        let _let_go = held.recv();
    };
    wal.run_io(job).unwrap();
    let answer = ask(&wal.follow(1, Visibility::Durable).unwrap(), true);
    wal.call(&WalOp::Truncate { after: 0 }).unwrap();
    drop(release);
    put(&wal, "in its place");
    let given = answer.recv_timeout(HANG).unwrap().unwrap().unwrap();
    let given: Vec<_> = given.iter().collect();
    assert_eq!(given, [(1, b"in its place".as_slice())]);
    wal.close_blocking();
}
