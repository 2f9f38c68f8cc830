//! A reader in another process whose own calls fail, or who comes upon damage before anybody else:
//! it neither takes the place where it stands for the end of the log (C8, C12, SO-4) nor takes back
//! what it has shown, and what a writer has acknowledged it sees at once.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use tidemark_core::wal::{Follower, SyncLevel, Visibility, Wal, WalOp, WalOptions, WalTrail};
use tidemark_core::{ErrorKind, Result, Storage};
use tidemark_storage::{OsError, Site};

use super::rig::{Machine, ask, ended, given, put, segments};
use super::sim::{Desk, seen};
use super::support::{HANG, Hooked, Scratch, eventually};
use super::wal_support::{LOG, append, append_many, hard_state, record, small};

use Visibility::Durable;

/// The process has no descriptor left.
const EMFILE: i32 = 24;

fn read_only() -> WalOptions {
    WalOptions { read_only: true, ..small() }
}

/// The LSNs that a follower has for now, and how it ends.
fn taken(follower: &Arc<Follower>) -> (Vec<u64>, Option<ErrorKind>) {
    let mut lsns = Vec::new();
    loop {
        match given(follower, false) {
            Ok(Some(entries)) => lsns.extend(entries.iter().map(|(lsn, _)| lsn)),
            Ok(None) => return (lsns, None),
            Err(error) => return (lsns, Some(error.kind())),
        }
    }
}

fn first_segment() -> std::path::PathBuf {
    Path::new(LOG).join("00000001.segment")
}

/// A read that fails is tried again without what is read ahead.
const READS: usize = 2;

/// Storage of a reader in a process of its own, and how many of its next reads of segments fail.
fn failing(desk: &Desk) -> (Arc<dyn Storage>, Arc<AtomicUsize>) {
    let fails = Arc::<AtomicUsize>::default();
    let asked = Arc::clone(&fails);
    let storage = Hooked::over(desk.world.process().storage(), move |site| {
        let failed = site == Site::SegmentRead
            && asked
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                .is_ok();
        failed.then_some(OsError::EIO)
    });
    (storage, fails)
}

/// that as many LSNs are proven as were shown says nothing of a truncate, a purge or a hard
/// state that no frame proves. A read that fails once makes the reader look again.
#[test]
fn r4_a_read_that_fails_after_the_writers_death_takes_nothing_back() {
    let last_words = [
        WalOp::Truncate { after: 11 },
        WalOp::SetHardState(hard_state("term 2")),
        WalOp::Purge { before: 3 },
    ];
    for op in last_words {
        let mut desk = Desk::small();
        for number in 1..=9 {
            desk.commit(&[append(number, 6000)]);
        }
        desk.commit(&[WalOp::SetHardState(hard_state("term 1"))]);
        let (storage, fails) = failing(&desk);
        let mut trail = WalTrail::open_inline(&storage, Path::new(LOG), read_only()).unwrap();
        let follower = trail.handle.follow(10, Durable).unwrap();
        desk.commit(&[append_many(10..14, 100)]);
        assert!(desk.try_commit(std::slice::from_ref(&op))[0].is_ok());
        trail.advance().unwrap();
        assert_eq!(seen(&trail, Durable).unwrap(), desk.model, "{op:?}");
        let (world, model) = desk.kill();
        fails.store(READS, Ordering::SeqCst);
        assert!(trail.handle.read(4, 4, 1, Durable).is_ok(), "the second time");
        assert_eq!(fails.load(Ordering::SeqCst), 0, "it had to read again");
        assert_eq!(seen(&trail, Durable).unwrap(), model, "{op:?}");
        let all: Vec<_> = (10..model.next()).collect();
        assert_eq!(taken(&follower), (all, None), "{op:?}");
        let desk = Desk::on(&world, small(), model);
        trail.advance().unwrap();
        assert_eq!(seen(&trail, Durable).unwrap(), desk.model, "{op:?}: the next writer agrees");
    }
}

/// Storage that cannot open a segment while it is told so.
fn without_descriptors() -> (Arc<dyn Storage>, Arc<AtomicBool>, Arc<AtomicUsize>) {
    let (fails, failures) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let (asked, counted) = (Arc::clone(&fails), Arc::clone(&failures));
    let storage = Hooked::storage(move |site| {
        let failed = site == Site::SegmentOpen && asked.load(Ordering::SeqCst);
        counted.fetch_add(usize::from(failed), Ordering::SeqCst);
        failed.then_some(EMFILE)
    });
    (storage, fails, failures)
}

/// A writer over some segments, and a reader that could open none of those behind the first.
struct Starved {
    _scratch: Scratch,
    _writer: Wal,
    reader: Wal,
    fails: Arc<AtomicBool>,
    failures: Arc<AtomicUsize>,
}

impl Starved {
    fn new() -> Self {
        let scratch = Scratch::new();
        let log = scratch.path("log");
        let writer = Machine::new().open(&log);
        put(&writer, "first");
        let (storage, fails, failures) = without_descriptors();
        let reader = Machine::on(storage).try_open(&log, read_only()).unwrap();
        fails.store(true, Ordering::SeqCst);
        for number in 2..=20 {
            put(&writer, record(number, 6000));
        }
        eventually("the reader fails", || failures.load(Ordering::SeqCst) > 0);
        Self { _scratch: scratch, _writer: writer, reader, fails, failures }
    }
}

/// SO-4, C12: the reader's process had no descriptor for a moment.
#[test]
fn so4_a_reader_that_failed_for_a_moment_goes_on() {
    let starved = Starved::new();
    let waiting = starved.reader.follow(20, Durable).unwrap();
    let coming = ask(&waiting, true);
    let error = starved.reader.read(20, 20, 1, Durable).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "C12: LSN 20 is there");
    let follower = starved.reader.follow(1, Durable).unwrap();
    assert_eq!(
        taken(&follower).1,
        Some(ErrorKind::Io),
        "C12: nor does a loop end as if it was not"
    );
    starved.fails.store(false, Ordering::SeqCst);
    // Nobody asks for anything: the thread tries again by itself.
    let entries = coming.recv_timeout(HANG).expect("it goes on").unwrap().unwrap();
    assert_eq!(entries.first, 20);
    let follower = starved.reader.follow(1, Durable).unwrap();
    assert_eq!(taken(&follower), ((1..=20).collect(), None));
}

/// SO-4: what does not pass is told to who waits, and may pass all the same.
#[test]
fn so4_a_reader_that_keeps_failing_says_so_and_goes_on_when_it_can() {
    let starved = Starved::new();
    let waiting = starved.reader.follow(20, Durable).unwrap();
    assert_eq!(ended(&waiting), ErrorKind::Io);
    assert!(starved.failures.load(Ordering::SeqCst) > 1, "it has tried more than once");
    starved.fails.store(false, Ordering::SeqCst);
    eventually("whoever comes may wait", || {
        let follower = starved.reader.follow(21, Durable).unwrap();
        let coming = ask(&follower, true);
        let waits = coming.try_recv().is_err();
        follower.withdraw();
        waits
    });
    assert_eq!(starved.reader.read(20, 20, 1, Durable).unwrap().first, 20);
}

/// Flips a bit of a record that was written, which nobody has read yet.
fn damaged(bytes: &[u8], number: u32) -> Vec<u8> {
    // Its beginning tells it from others.
    let wanted = record(number, 8);
    let at = bytes.windows(8).position(|window| window == wanted).unwrap();
    let mut damaged = bytes.to_vec();
    damaged[at] ^= 1;
    damaged
}

fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

/// C8, C12: an entry that was acknowledged is damaged before the reader walks it. SO-4: a read that
/// fails afterwards revives nothing, even where the damage is gone.
#[test]
fn c12_damage_in_the_readers_way_is_no_end_of_the_log() {
    let mut desk = Desk::small();
    for number in 1..=3 {
        desk.commit(&[append(number, 100)]);
    }
    let (storage, fails) = failing(&desk);
    let mut trail = WalTrail::open_inline(&storage, Path::new(LOG), read_only()).unwrap();
    let [follower, waiting] = [1, 4].map(|lsn| trail.handle.follow(lsn, Durable).unwrap());
    let coming = ask(&waiting, true);
    desk.commit(&[append_many(4..8, 300)]);
    let whole = desk.world.disk().read(first_segment()).unwrap();
    let edit = |bytes: &[u8]| {
        desk.world.with_disk(|disk| disk.edit_in_place(first_segment(), bytes));
    };
    edit(&damaged(&whole, 5));
    assert_eq!(kind(trail.advance()), Some(ErrorKind::Corrupt));
    let corrupt = |when: &str| {
        let handle = &trail.handle;
        assert_eq!(kind(handle.read(6, 6, 1, Durable)), Some(ErrorKind::Corrupt), "{when}");
        assert_eq!(kind(handle.read_hot(6, 6, 1, Durable)), Some(ErrorKind::Corrupt), "{when}");
        assert_eq!(kind(handle.last_lsn(Durable)), Some(ErrorKind::Corrupt), "{when}");
        assert_eq!(kind(handle.hard_state()), Some(ErrorKind::Corrupt), "{when}");
        let late = handle.follow(5, Durable).unwrap();
        assert_eq!(ended(&late), ErrorKind::Corrupt, "{when}: nobody waits for nothing");
    };
    assert_eq!(kind(coming.recv_timeout(HANG).unwrap()), Some(ErrorKind::Corrupt));
    corrupt("at once");
    edit(&whole);
    fails.store(READS, Ordering::SeqCst);
    assert!(trail.handle.read(1, 1, 1, Durable).is_ok(), "what was shown can be read");
    assert_eq!(fails.load(Ordering::SeqCst), 0, "at the second attempt");
    corrupt("after a read that failed");
    let (lsns, end) = taken(&follower);
    assert!(lsns.len() <= 4 && lsns.starts_with(&[1, 2, 3]), "{lsns:?}");
    assert_eq!(end, Some(ErrorKind::Corrupt));
}

/// C12, SO-3: the same with the thread that follows, which ends with the last handle. Who opens the
/// log meanwhile finds out for himself.
#[test]
fn c12_damage_that_the_thread_comes_upon_is_told_to_all() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let writer = Machine::new().open(&log);
    put(&writer, record(1, 300));
    let path = segments(&log)[0].clone();
    let armed = Arc::<AtomicBool>::default();
    let (asked, edited) = (Arc::clone(&armed), path.clone());
    let whole = Arc::<Mutex<Vec<u8>>>::default();
    let kept = Arc::clone(&whole);
    let machine = Machine::on(Hooked::storage(move |site| {
        if site == Site::SegmentRead && asked.swap(false, Ordering::SeqCst) {
            let bytes = fs::read(&edited).unwrap();
            fs::write(&edited, damaged(&bytes, 2)).unwrap();
            *kept.lock().unwrap() = bytes;
        }
        None
    }));
    let reader = machine.try_open(&log, read_only()).unwrap();
    let follower = reader.follow(2, Durable).unwrap();
    let coming = ask(&follower, true);
    armed.store(true, Ordering::SeqCst);
    put(&writer, record(2, 300));
    assert_eq!(kind(coming.recv_timeout(HANG).unwrap()), Some(ErrorKind::Corrupt));
    assert_eq!(kind(reader.last_lsn(Durable)), Some(ErrorKind::Corrupt));
    assert_eq!(reader.read(1, 1, 1, Durable).unwrap().first, 1);
    let again = machine.try_open(&log, read_only());
    assert_eq!(kind(again), Some(ErrorKind::Corrupt), "it is damaged");
    fs::write(&path, &*whole.lock().unwrap()).unwrap();
    let again = machine.try_open(&log, read_only()).unwrap();
    assert_eq!(again.last_lsn(Durable).unwrap(), 2, "it was mended");
    reader.close_blocking();
    again.close_blocking();
}

/// an LSN may come from the writer by another way, faster than the thread that follows.
#[test]
fn r6_what_was_acknowledged_is_read_at_once_in_any_process() {
    let mut desk = Desk::small();
    // Nobody calls it but its user.
    let trail = desk.trail();
    let follower = trail.handle.follow(1, Durable).unwrap();
    for number in 1..=20 {
        desk.commit(&[append(number, 5000)]);
        let lsn = u64::from(number);
        if number % 2 == 0 {
            let hot = trail.handle.read_hot(lsn, lsn, 1, Durable).unwrap();
            assert!(hot.is_none(), "not from memory, and not refused");
            let found = trail.handle.read(lsn, lsn, 1, Durable).unwrap();
            assert_eq!(found.records.get(0), Some(record(number, 5000).as_slice()));
        } else {
            assert_eq!(taken(&follower).0.last(), Some(&lsn));
        }
        assert_eq!(trail.handle.last_lsn(Durable).unwrap(), lsn, "then it is known");
    }
    desk.commit(&[WalOp::Truncate { after: 18 }]);
    assert_eq!(kind(trail.handle.read(21, 21, 1, Durable)), Some(ErrorKind::NotFound));
    assert_eq!(trail.handle.last_lsn(Durable).unwrap(), 18);
    desk.commit(&[append_many(19..21, 10)]);
    assert_eq!(taken(&follower), (vec![], Some(ErrorKind::Conflict)), "F-2: it had another 19");
}

/// who asks for what is not there costs some loads, and no call.
#[test]
fn r6_what_is_not_there_yet_costs_no_call_of_the_system() {
    let mut desk = Desk::small();
    desk.commit(&[append_many(1..4, 100)]);
    let calls = Arc::<Mutex<BTreeMap<Site, usize>>>::default();
    let counted = Arc::clone(&calls);
    let storage = Hooked::over(desk.world.process().storage(), move |site| {
        *counted.lock().unwrap().entry(site).or_default() += 1;
        None
    });
    let trail = WalTrail::open_inline(&storage, Path::new(LOG), read_only()).unwrap();
    assert_eq!(kind(trail.handle.read(4, 4, 1, Durable)), Some(ErrorKind::NotFound));
    calls.lock().unwrap().clear();
    assert_eq!(kind(trail.handle.read(4, 4, 1, Durable)), Some(ErrorKind::NotFound));
    let sites: Vec<_> = calls.lock().unwrap().keys().copied().collect();
    assert_eq!(sites, [Site::StateLoad]);
}

/// RD-2: who is far behind takes what it walks over in pieces, and shows each of them.
#[test]
fn rd2_a_reader_that_is_far_behind_does_not_hold_all_that_it_has_missed() {
    const ENTRIES: u64 = 60;
    const BYTES: usize = 200_000;
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let sync = SyncLevel::Interval(NonZeroU64::new(3_600_000).unwrap());
    let options = WalOptions { sync, ..WalOptions::default() };
    let writer = Machine::new().try_open(&log, options).unwrap();
    let reader = Arc::<OnceLock<Wal>>::default();
    let (stopped, released) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
    let shown = Arc::<Mutex<Vec<u64>>>::default();
    let (own, stops, goes, notes) =
        (Arc::clone(&reader), Arc::clone(&stopped), Arc::clone(&released), Arc::clone(&shown));
    let storage = Hooked::storage(move |site| {
        if site == Site::StateWait {
            stops.store(true, Ordering::SeqCst);
            eventually("it may go on", || goes.load(Ordering::SeqCst));
        }
        if site == Site::SegmentRead
            && let Some(reader) = own.get()
        {
            notes.lock().unwrap().push(reader.last_lsn(Durable).unwrap());
        }
        None
    });
    let opened = Machine::on(storage).try_open(&log, read_only()).unwrap();
    reader.set(opened).unwrap();
    eventually("the thread stands still", || stopped.load(Ordering::SeqCst));
    for number in 1..=ENTRIES {
        put(&writer, record(u32::try_from(number).unwrap(), BYTES));
    }
    writer.call(&WalOp::Sync).unwrap();
    released.store(true, Ordering::SeqCst);
    let reader = reader.get().unwrap();
    eventually("it has caught up", || reader.last_lsn(Durable).unwrap() == ENTRIES);
    let mut shown = shown.lock().unwrap().clone();
    shown.push(ENTRIES);
    let most = shown.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    // A MiB, and the entry that makes it one.
    assert!(most <= (1 << 20) / BYTES as u64 + 1, "{shown:?}");
    reader.close_blocking();
}
