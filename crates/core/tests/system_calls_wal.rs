//! What the log costs in calls of the operating system: counted by a storage that is watched where
//! the log runs; a reader has a registry of its own, as if it were another process.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(test)]
mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::{Hooked, Scratch, Watch, eventually, real};
use tidemark_core::group_commit::{Enqueued, Sink};
use tidemark_core::wal::{
    Follower, Io, Visibility, Wal, WalOp, WalOptions, WalOutcome, WalRegistry,
};
use tidemark_core::{RealStorage, Storage};
use tidemark_storage::Site;

const SEGMENT_BYTES: u32 = 64 << 10;
const RECORD_BYTES: usize = 3000;

/// How often each site was called.
#[derive(Clone, Default)]
struct Counts(Arc<Mutex<BTreeMap<Site, usize>>>);

impl Counts {
    fn storage(&self) -> Arc<dyn Storage> {
        let counts = self.clone();
        Hooked::storage(move |site| {
            *counts.0.lock().unwrap().entry(site).or_default() += 1;
            None
        })
    }

    fn of(&self, site: Site) -> usize {
        self.0.lock().unwrap().get(&site).copied().unwrap_or(0)
    }
}

fn options(io: Io) -> WalOptions {
    WalOptions { segment_bytes: SEGMENT_BYTES, io, ..WalOptions::default() }
}

fn open(storage: &Arc<dyn Storage>, scratch: &Scratch, options: WalOptions) -> Wal {
    Wal::open(&WalRegistry::default(), storage, &scratch.path("log"), options).unwrap()
}

fn append(wal: &Wal) -> u64 {
    match wal.call(&WalOp::append(vec![7; RECORD_BYTES])).unwrap() {
        WalOutcome::Appended { last, .. } => last,
        other => panic!("an append came to {other:?}"),
    }
}

/// Segments are recycled: after the first ones no file is made, and nothing is filled with zeros,
/// however long the log is used. Each segment is waited for, so that the background keeps up.
#[test]
fn an_append_and_purge_loop_over_ten_segments_makes_no_file_after_the_first() {
    let (counts, scratch) = (Counts::default(), Scratch::new());
    let wal = open(&counts.storage(), &scratch, options(Io::Positional));
    let rolled = |rolls: usize| {
        while counts.of(Site::SegmentSeal) < rolls {
            append(&wal);
        }
        let last = append(&wal);
        let recycled = counts.of(Site::RecycleSyncDir);
        wal.call(&WalOp::Purge { before: last }).unwrap();
        eventually("what was purged is recycled", || counts.of(Site::RecycleSyncDir) > recycled);
    };
    (1..=3).for_each(rolled);
    let made = [Site::PrepareFill, Site::TempCreate].map(|site| counts.of(site));
    (4..=13).for_each(rolled);
    let later = [Site::PrepareFill, Site::TempCreate].map(|site| counts.of(site));
    assert_eq!(later, made, "filled, created");
    assert!(counts.of(Site::PrepareRename) >= 10, "segments were begun");
    wal.close_blocking();
}

/// P1: a group costs one write and one sync, no more and no less, however many are in it.
#[test]
fn p1_a_group_costs_one_write_and_one_sync() {
    struct Count(std::sync::mpsc::Sender<()>);
    impl Sink<WalOutcome> for Count {
        fn deliver(&self, settled: Vec<tidemark_core::group_commit::Settled<WalOutcome>>) {
            for one in settled {
                one.result.unwrap();
                self.0.send(()).unwrap();
            }
        }
    }
    for io in [Io::Positional, Io::Mapped] {
        let (counts, scratch) = (Counts::default(), Scratch::new());
        let wal = open(&counts.storage(), &scratch, options(io));
        let lone = [Site::SegmentWrite, Site::SegmentSync];
        let before = lone.map(|site| counts.of(site));
        for _ in 0..5 {
            append(&wal);
        }
        assert_eq!(lone.map(|site| counts.of(site)), before.map(|count| count + 5), "{io:?}");
        let groups = |wal: &Wal| match wal.metrics().iter().find(|(name, _)| *name == "groups") {
            Some((_, tidemark_core::metrics::Metric::Counter(groups))) => *groups,
            other => panic!("no such metric: {other:?}"),
        };
        let (before, groups_before) = (lone.map(|site| counts.of(site)), groups(&wal));
        let (tell, told) = std::sync::mpsc::channel();
        let sink: Arc<dyn Sink<WalOutcome>> = Arc::new(Count(tell));
        for ticket in 0..64 {
            let enqueued = wal.enqueue(WalOp::append(vec![1; 20]), ticket, &sink).unwrap();
            assert_eq!(enqueued, Enqueued::Accepted);
        }
        wal.wake();
        (0..64).for_each(|_| told.recv().unwrap());
        let (after, groups_after) = (lone.map(|site| counts.of(site)), groups(&wal));
        let groups = usize::try_from(groups_after - groups_before).unwrap();
        assert!(groups <= 3, "64 callers were in {groups} groups");
        assert_eq!(after, before.map(|count| count + groups), "{io:?}");
        wal.close_blocking();
    }
}

/// P1: what a block holds already is not written again once its rest is too small.
#[test]
fn p1_a_lone_small_append_writes_one_block() {
    struct Sizes(Mutex<std::sync::mpsc::Sender<usize>>);
    impl Watch for Sizes {
        fn before(&self, _site: Site) -> Option<i32> {
            None
        }
        fn tear(&self, site: Site, bytes: &[u8]) -> Option<usize> {
            if site == Site::SegmentWrite {
                self.0.lock().unwrap().send(bytes.len()).unwrap();
            }
            None
        }
    }
    for io in [Io::Positional, Io::Mapped] {
        let (tell, told) = std::sync::mpsc::channel();
        let storage = Hooked::watched(Arc::new(Sizes(Mutex::new(tell))));
        let scratch = Scratch::new();
        let wal = open(&storage, &scratch, options(io));
        for _ in 0..100 {
            wal.call(&WalOp::append(vec![7; 256])).unwrap();
        }
        let written: Vec<usize> = told.try_iter().collect();
        assert_eq!(written, [4096; 100], "{io:?}");
        wal.close_blocking();
    }
}

/// a reader that has only the page and the files, as one in another process, makes a call a
/// second while nothing comes. How long it takes to wake up is printed.
#[test]
fn r3_following_costs_a_call_or_two_a_second() {
    let (counts, scratch) = (Counts::default(), Scratch::new());
    let wal = open(&real(), &scratch, options(Io::Positional));
    append(&wal);
    let only_read = WalOptions { read_only: true, ..options(Io::Positional) };
    let reader = open(&counts.storage(), &scratch, only_read);
    eventually("the reader waits", || counts.of(Site::StateWait) > 0);
    let (began, before) = (RealStorage.monotonic(), calls(&counts));
    let past = || RealStorage.monotonic().saturating_sub(began);
    // A machine that is slow makes fewer calls in that time, never more.
    eventually("three seconds are over", || past() > Duration::from_secs(3));
    let made = calls(&counts) - before;
    let seconds = usize::try_from(past().as_secs()).unwrap();
    println!("{made} calls in {seconds} s of following");
    assert!(made <= 2 * (seconds + 1), "{made} calls in {seconds} s");
    let (mut heard, mut seen): (Vec<_>, Vec<_>) = (0..200).map(|_| wake_up(&wal, &reader)).unzip();
    heard.sort_unstable();
    seen.sort_unstable();
    println!("an append is acknowledged {:?} after it began (p50)", heard[100]);
    println!("another reader has it {:?} (p50), {:?} (p99) after it began", seen[100], seen[197]);
    reader.close_blocking();
    wal.close_blocking();
}

/// WT-2: each follower of the process gets each entry. What 64 of them add to an append that is
/// waited for is printed.
#[test]
fn followers_of_the_process_get_every_entry() {
    const APPENDS: u64 = 400;
    let scratch = Scratch::new();
    let wal = open(&real(), &scratch, WalOptions::default());
    for count in [0, 1, 64, 0] {
        let from = wal.last_lsn(Visibility::Written).unwrap() + 1;
        let (tell, told) = std::sync::mpsc::channel();
        for _ in 0..count {
            let follower = wal.follow(from, Visibility::Durable).unwrap();
            follow_on(follower, from, from + APPENDS, tell.clone());
        }
        let mut took: Vec<Duration> = (0..APPENDS)
            .map(|_| {
                let began = RealStorage.monotonic();
                wal.call(&WalOp::append(vec![1; 256])).unwrap();
                RealStorage.monotonic().saturating_sub(began)
            })
            .collect();
        (0..count).for_each(|_| told.recv().unwrap());
        took.sort_unstable();
        println!("an append takes {:?} (p50) beside {count} followers", took[took.len() / 2]);
    }
    wal.close_blocking();
}

/// Follows up to an LSN, and tells when it is there.
fn follow_on(follower: Arc<Follower>, next: u64, end: u64, tell: std::sync::mpsc::Sender<()>) {
    if next == end {
        return tell.send(()).unwrap();
    }
    let own = Arc::clone(&follower);
    own.next(1 << 20, true, move |given| {
        let entries = given.unwrap().unwrap();
        assert_eq!(entries.first, next, "F-1");
        follow_on(follower, next + entries.records.len() as u64, end, tell);
    });
}

/// The calls that are more than a load from memory.
fn calls(counts: &Counts) -> usize {
    let loads = [Site::StateLoad];
    counts.0.lock().unwrap().iter().filter(|(site, _)| !loads.contains(site)).map(|(_, n)| n).sum()
}

/// How long an append takes until its caller hears of it, and until a follower has it.
fn wake_up(wal: &Wal, reader: &Wal) -> (Duration, Duration) {
    let last = reader.last_lsn(Visibility::Durable).unwrap();
    let follower = reader.follow(last + 1, Visibility::Durable).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    follower.next(1 << 20, true, move |given| {
        tell.send((RealStorage.monotonic(), given.unwrap())).unwrap();
    });
    let began = RealStorage.monotonic();
    wal.call(&WalOp::append(vec![1; 20])).unwrap();
    let heard = RealStorage.monotonic();
    let (seen, _entries) = told.recv().unwrap();
    (heard.saturating_sub(began), seen.saturating_sub(began))
}
