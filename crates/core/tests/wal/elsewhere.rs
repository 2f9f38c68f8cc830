//! Readers in other processes who come upon what another process is just doing: a writer that
//! takes over, one that purges, one that stands still (R-4, R-5, SO-1, SO-2, C12).

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fs, thread};

use tidemark_core::segment::{Frame, Log, LogOptions, Opened, Replay};
use tidemark_core::wal::{
    Follower, SyncLevel, Visibility, Wal, WalOp, WalOptions, WalParts, WalTrail,
};
use tidemark_core::{ErrorKind, Result, Storage};
use tidemark_sim::{Disk, World};
use tidemark_storage::{OsError, Site};

use super::rig::{Machine, ask, given, put, segments};
use super::sim::{Desk, seen};
use super::support::{HANG, Hold, Hooked, Scratch, Watch, eventually};
use super::wal_support::{LOG, append, append_many, record, small};

use Visibility::{Durable, Written};

fn read_only(options: WalOptions) -> WalOptions {
    WalOptions { read_only: true, ..options }
}

/// A reader under which another process takes over.
struct TakeOver {
    /// Of the reader.
    storage: Arc<dyn Storage>,
    /// Counted down once it is set; as it was at first when it is done.
    left: Arc<AtomicUsize>,
    /// Whoever took over, if that did not fail.
    next: Arc<Mutex<Option<WalParts>>>,
}

/// Storage of a reader that lets another process take over before a call of a number.
fn taken_over_at(world: &World, at_call: usize, fails: Option<Site>) -> TakeOver {
    let left = Arc::new(AtomicUsize::new(usize::MAX));
    let next: Arc<Mutex<Option<WalParts>>> = Arc::default();
    let (own, kept, world) = (Arc::clone(&left), Arc::clone(&next), world.clone());
    let reader = world.process().storage();
    let storage = Hooked::over(reader, move |_| {
        let due = own.load(Ordering::SeqCst) != usize::MAX
            && own.fetch_sub(1, Ordering::SeqCst) == usize::MAX - 1 - at_call;
        if due {
            own.store(usize::MAX, Ordering::SeqCst);
            let process = world.process();
            let storage = Hooked::over(process.storage(), move |site| {
                (Some(site) == fails).then_some(OsError::EIO)
            });
            match WalParts::open_inline(&storage, Path::new(LOG), large()) {
                Ok(parts) => *kept.lock().unwrap() = Some(parts),
                Err(error) => {
                    assert!(fails.is_some(), "{error:?}");
                    process.kill();
                }
            }
        }
        None
    });
    TakeOver { storage, left, next }
}

fn large() -> WalOptions {
    WalOptions { segment_bytes: 4 << 20, ..WalOptions::default() }
}

/// R-5, C12: a recovery cuts the segment that the reader reads from, or puts another one in its
/// place, before, between and after the reader's calls; it goes on, or fails at some point and is
/// killed. Entries that are there are no damage.
#[test]
fn a_recovery_under_a_reader_is_no_damage() {
    let mut taken = 0;
    let stops = [
        None,
        // Between the name of what it made and the mark in it, and behind that.
        Some(Site::RecoverSyncDir),
        Some(Site::SegmentSync),
        Some(Site::RecoverSealSync),
        Some(Site::RecoverTrim),
        Some(Site::StateOpen),
    ];
    for bounds in [&[1, 12][..], &[1, 4, 8, 12]] {
        for fails in stops {
            for at_call in 0..8 {
                let mut desk = Desk::new(large());
                for group in bounds.windows(2) {
                    // Frames that do not fit into one window: each read makes calls.
                    desk.commit(&[append_many(group[0]..group[1], 90_000)]);
                }
                let TakeOver { storage, left, next } = taken_over_at(&desk.world, at_call, fails);
                let options = read_only(large());
                let trail = WalTrail::open_inline(&storage, Path::new(LOG), options).unwrap();
                let model = desk.model.clone();
                drop(desk.kill());
                left.store(usize::MAX - 1, Ordering::SeqCst);
                let what = format!("groups at {bounds:?}, {fails:?}, call {at_call}");
                // From the end: the frames that are cut off are read first.
                for (index, entry) in model.entries.iter().enumerate().rev() {
                    let lsn = index as u64 + 1;
                    let found = trail.handle.read(lsn, lsn, usize::MAX, Durable);
                    let found = found.unwrap_or_else(|error| panic!("{what}, {lsn}: {error:?}"));
                    assert_eq!(found.records.get(0), Some(entry.as_slice()), "{what}, {lsn}");
                }
                taken += usize::from(left.load(Ordering::SeqCst) == usize::MAX);
                drop(next);
            }
        }
    }
    assert!(taken > 24, "{taken} recoveries only");
}

/// A follower that reads cold across the same: no conflict, no hole (R-4, F-1).
#[test]
fn a_recovery_under_a_follower_is_no_conflict() {
    for at_call in 0..8 {
        let mut desk = Desk::new(large());
        for group in [1..4, 4..8, 8..12] {
            desk.commit(&[append_many(group, 90_000)]);
        }
        let TakeOver { storage, left, next } = taken_over_at(&desk.world, at_call, None);
        let options = read_only(large());
        let mut trail = WalTrail::open_inline(&storage, Path::new(LOG), options).unwrap();
        let model = desk.model.clone();
        drop(desk.kill());
        let follower = trail.handle.follow(1, Durable).unwrap();
        left.store(usize::MAX - 1, Ordering::SeqCst);
        let mut all = Vec::new();
        while all.len() < model.entries.len() {
            let (tell, told) = channel();
            follower.next(1, false, move |given| tell.send(given).unwrap());
            let entries = told.recv_timeout(HANG).unwrap();
            let entries = entries.unwrap_or_else(|error| panic!("{at_call}: {error:?}")).unwrap();
            assert_eq!(entries.first, all.len() as u64 + 1, "F-1");
            all.extend(entries.records.iter().map(<[u8]>::to_vec));
        }
        assert_eq!(all, model.entries, "call {at_call}");
        trail.advance().unwrap();
        assert_eq!(seen(&trail, Durable).unwrap(), model, "call {at_call}");
        drop(next);
    }
}

/// C8: damage is told all the same, with and without a writer.
#[test]
fn damage_is_told_to_a_reader_elsewhere() {
    for closes in [false, true] {
        let scratch = Scratch::new();
        let log = scratch.path("log");
        let wal = Machine::new().open(&log);
        for number in 1..=9 {
            put(&wal, record(number, 6000));
        }
        let reader = Machine::new().reader(&log);
        if closes {
            wal.close_blocking();
        }
        let path = segments(&log)[0].clone();
        let mut bytes = fs::read(&path).unwrap();
        bytes[9000] ^= 1;
        fs::write(&path, bytes).unwrap();
        let error = reader.read(1, 1, usize::MAX, Durable).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "closes {closes}");
        assert_eq!(error.path(), Some(path.as_path()), "C8: it says where");
        assert!(error.offset().is_some(), "C8");
        assert!(reader.read(9, 9, usize::MAX, Durable).is_ok(), "the rest");
    }
}

/// R-4, C8: without a writer the last group is not proven. What was shown of it stays while damage
/// is told, and while what came later cannot be read.
#[test]
fn what_was_shown_stays_when_its_writer_is_dead() {
    let hour = NonZeroU64::new(3_600_000).unwrap();
    let options = WalOptions { sync: SyncLevel::Interval(hour), ..small() };
    let mut desk = Desk::new(options);
    for number in 1..=9 {
        desk.commit(&[append(number, 6000)]);
    }
    desk.commit(&[WalOp::Sync]);
    let fails = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&fails);
    let storage = Hooked::over(desk.world.process().storage(), move |site| {
        let failed = site == Site::SegmentRead && asked.swap(false, Ordering::SeqCst);
        failed.then_some(OsError::EIO)
    });
    let mut trail = WalTrail::open_inline(&storage, Path::new(LOG), read_only(small())).unwrap();
    let follower = trail.handle.follow(1, Written).unwrap();
    desk.try_commit(&[append(10, 100)]);
    trail.advance().unwrap();
    assert_eq!(taken(&follower).len(), 10);
    desk.try_commit(&[append(11, 100)]);
    let (world, model) = desk.kill();
    fails.store(true, Ordering::SeqCst);
    trail.advance().unwrap();
    assert!(!fails.load(Ordering::SeqCst), "it had to read again");
    assert_eq!(trail.handle.last_lsn(Written).unwrap(), 10);
    let first = Path::new(LOG).join("00000001.segment");
    let whole = world.disk().read(&first).unwrap();
    let mut damaged = whole.clone();
    damaged[9000] ^= 1;
    world.with_disk(|disk| disk.edit_in_place(&first, &damaged));
    let error = trail.handle.read(1, 1, 1, Written).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(trail.handle.last_lsn(Written).unwrap(), 10);
    world.with_disk(|disk| disk.edit_in_place(&first, &whole));
    let desk = Desk::on(&world, options, model);
    trail.advance().unwrap();
    assert_eq!(taken(&follower), [11], "F-1: no conflict, each once");
    assert_eq!(seen(&trail, Written).unwrap(), desk.model);
}

/// A segment that was removed is told with the first LSN that is left, also to who has not heard
/// of the purge yet.
#[test]
fn what_was_purged_under_a_reader_elsewhere_says_what_is_left() {
    let mut desk = Desk::small();
    for number in 1..=12 {
        desk.commit(&[append(number, 9000)]);
    }
    let trail = desk.trail();
    let follower = trail.handle.follow(1, Durable).unwrap();
    desk.commit(&[WalOp::Purge { before: 9 }]);
    let error = trail.handle.read(1, 1, 1, Durable).unwrap_err();
    assert_eq!((error.kind(), error.sequence()), (ErrorKind::Expired, Some(9)));
    let error = given(&follower, false).unwrap_err();
    assert_eq!((error.kind(), error.sequence()), (ErrorKind::Expired, Some(9)));
    assert!(trail.handle.read(9, 9, 1, Durable).is_ok());
}

/// The LSNs that a follower has for now.
fn taken(follower: &Arc<Follower>) -> Vec<u64> {
    let parts = std::iter::from_fn(|| given(follower, false).unwrap());
    parts.flat_map(|entries| entries.iter().map(|(lsn, _)| lsn).collect::<Vec<_>>()).collect()
}

/// F-2, R-4: what a reader has seen as written is not taken back because it had to read again
/// under the same writer.
#[test]
fn reading_again_under_one_writer_is_no_conflict() {
    let hour = NonZeroU64::new(3_600_000).unwrap();
    let options = WalOptions { sync: SyncLevel::Interval(hour), ..small() };
    let mut desk = Desk::new(options);
    desk.commit(&[append_many(1..4, 100), WalOp::Sync]);
    let fails = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&fails);
    let storage = Hooked::over(desk.world.process().storage(), move |site| {
        let failed = site == Site::SegmentRead && asked.swap(false, Ordering::SeqCst);
        failed.then_some(OsError::EIO)
    });
    let mut trail = WalTrail::open_inline(&storage, Path::new(LOG), read_only(small())).unwrap();
    let [written, durable] =
        [Written, Durable].map(|visibility| trail.handle.follow(1, visibility).unwrap());
    desk.try_commit(&[append_many(4..8, 100)]);
    trail.advance().unwrap();
    assert_eq!(taken(&written), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(taken(&durable), [1, 2, 3]);
    desk.try_commit(&[append(8, 100)]);
    fails.store(true, Ordering::SeqCst);
    trail.advance().unwrap();
    assert!(!fails.load(Ordering::SeqCst), "it had to read again");
    assert_eq!(trail.handle.last_lsn(Written).unwrap(), 8, "what was shown stays");
    assert_eq!(taken(&written), [8], "F-1");
    assert!(taken(&durable).is_empty());
    desk.commit(&[WalOp::Sync]);
    trail.advance().unwrap();
    assert_eq!(taken(&durable), [4, 5, 6, 7, 8], "F-1");
    assert_eq!(seen(&trail, Durable).unwrap(), desk.model);
}

/// Nobody waits for ever for a writer that was stopped while it gave a segment another name.
#[test]
fn a_segment_that_stays_locked_is_told() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let wal = Machine::new().open(&log);
    for number in 1..=9 {
        put(&wal, record(number, 6000));
    }
    let reader = Machine::new().reader(&log);
    wal.close_blocking();
    let held = Hold::take(&segments(&log)[0]);
    let own = Some(std::process::id());
    let error = reader.read(1, 1, 1, Durable).unwrap_err();
    assert_eq!((error.kind(), error.holder()), (ErrorKind::LockTimeout, own));
    let error = Machine::new().try_open(&log, read_only(small())).unwrap_err();
    assert_eq!((error.kind(), error.holder()), (ErrorKind::LockTimeout, own));
    drop(held);
    assert!(reader.read(1, 1, 1, Durable).is_ok());
    assert!(Machine::new().try_open(&log, read_only(small())).is_ok());
}

/// Waits on the page of a writer: counted, and without an end of their own, so that a wake-up that
/// is lost is a hang.
#[derive(Default)]
struct Waits {
    calls: Mutex<BTreeMap<Site, usize>>,
    /// What is done before the next call of a site, one after the other.
    next: Mutex<VecDeque<(Site, Action)>>,
}

type Action = Box<dyn FnOnce() + Send>;

impl Waits {
    fn count(&self) -> usize {
        self.calls.lock().unwrap().get(&Site::StateWait).copied().unwrap_or(0)
    }

    fn before(&self, site: Site, action: impl FnOnce() + Send + 'static) {
        self.next.lock().unwrap().push_back((site, Box::new(action)));
    }
}

struct Patient(Arc<Waits>);

impl Watch for Patient {
    fn before(&self, site: Site) -> Option<i32> {
        let mut next = self.0.next.lock().unwrap();
        let is_due = next.front().is_some_and(|(wanted, _)| *wanted == site);
        let action = if is_due { next.pop_front() } else { None };
        drop(next);
        if let Some((_, action)) = action {
            action();
        }
        *self.0.calls.lock().unwrap().entry(site).or_default() += 1;
        None
    }

    fn patience(&self, _site: Site, _timeout: Duration) -> Duration {
        Duration::from_secs(3600)
    }
}

fn patient_reader(log: &Path) -> (Arc<Waits>, Wal) {
    let waits = Arc::<Waits>::default();
    let storage = Hooked::watched(Arc::new(Patient(Arc::clone(&waits))));
    let reader = Machine::on(storage).try_open(log, read_only(small())).unwrap();
    eventually("the reader waits", || waits.count() > 0);
    (waits, reader)
}

/// SO-2: a close that comes between the thread's last look and its wait.
#[test]
fn closing_a_reader_that_is_about_to_wait_ends_it() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let wal = Machine::new().open(&log);
    let (waits, reader) = patient_reader(&log);
    let ((tell, closed), (over, told)) = (channel(), channel());
    // It looks when everything is told, so that nothing but the close can wake it.
    waits.before(Site::StateLoad, move || told.recv_timeout(HANG).unwrap());
    waits.before(Site::StateWait, move || {
        reader.close(move || tell.send(()).unwrap());
    });
    put(&wal, "what wakes it");
    over.send(()).unwrap();
    closed.recv_timeout(HANG).expect("it has ended");
}

/// SO-1: a writer that stands still between two stores is waited for, and heard at once when it
/// goes on.
#[test]
fn a_writer_that_stands_still_while_it_tells_is_waited_for() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let (storage, stores, stand_still) = stopping_writer();
    let wal = Arc::new(Machine::on(storage).open(&log));
    put(&wal, "first");
    let (waits, reader) = patient_reader(&log);
    let follower = reader.follow(2, Durable).unwrap();
    let coming = ask(&follower, true);
    // It tells what is written with two stores and a load, and what is durable with two more.
    let (stopped, go_on) = stand_still(5);
    let stopped = Mutex::new(stopped);
    waits.before(Site::StateLoad, move || {
        // Woken by what is written, it looks when the writer is between the other two.
        stopped.lock().unwrap().recv_timeout(HANG).unwrap();
    });
    let before = waits.count();
    let writing = Arc::clone(&wal);
    let appending = thread::spawn(move || put(&writing, "second"));
    eventually("it waits for the rest", || waits.count() > before);
    assert!(coming.try_recv().is_err(), "P-1: nothing is told yet");
    assert_eq!(stores.load(Ordering::SeqCst), 5);
    go_on.send(()).unwrap();
    let entries = coming.recv_timeout(HANG).expect("it is woken").unwrap().unwrap();
    assert_eq!(entries.iter().collect::<Vec<_>>(), [(2, b"second".as_slice())]);
    assert_eq!(appending.join().unwrap(), 2);
    reader.close_blocking();
}

type StandStill = Box<dyn Fn(usize) -> (Receiver<()>, Sender<()>)>;

/// Storage of a writer that can be told to stand still before the store of a number: it says so,
/// and goes on when it is told to.
fn stopping_writer() -> (Arc<dyn Storage>, Arc<AtomicUsize>, StandStill) {
    type Stop = (usize, Sender<()>, Receiver<()>);
    let stop: Arc<Mutex<Option<Stop>>> = Arc::default();
    let stores = Arc::<AtomicUsize>::default();
    let (asked, counted) = (Arc::clone(&stop), Arc::clone(&stores));
    let storage = Hooked::storage(move |site| {
        // Words are stored, and the signal is loaded before it is stored.
        if site == Site::StateStore {
            let mut stop = asked.lock().unwrap();
            let at = counted.fetch_add(1, Ordering::SeqCst) + 1;
            let due = stop.take_if(|(number, ..)| *number == at);
            drop(stop);
            if let Some((_, tell, told)) = due {
                tell.send(()).unwrap();
                told.recv_timeout(HANG).unwrap();
            }
        }
        None
    });
    let again = Arc::clone(&stores);
    let stand_still = move |number| {
        let ((tell, stopped), (go_on, told)) = (channel(), channel());
        again.store(0, Ordering::SeqCst);
        *stop.lock().unwrap() = Some((number, tell, told));
        (stopped, go_on)
    };
    (storage, stores, Box::new(stand_still))
}

/// A user of the engine of segments that writes what no log of entries does.
struct Forger;

impl Replay for Forger {
    fn complete(&mut self, _segment: u32, _preamble: &[u8], _summary: &[u8]) -> Result<()> {
        Ok(())
    }

    fn begin(&mut self, _segment: u32, _size_bytes: u32, _preamble: &[u8]) -> Result<()> {
        Ok(())
    }

    fn frame(&mut self, _frame: &Frame) -> Result<()> {
        Ok(())
    }

    /// First and next LSN 1, no hard state.
    fn preamble(&self) -> Vec<u8> {
        [1_u64, 1, 0].iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn summary(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// A number that no LSN has, in a frame whose checksums hold, is damage and not taken for one.
#[test]
fn numbers_that_no_lsn_has_are_refused() {
    for (kind, number) in [(18, u64::MAX), (18, 0), (17, u64::MAX), (17, 5)] {
        let mut disk = Disk::new();
        disk.mkdir(LOG, 0o700);
        let world = World::new(disk, 1);
        let storage = world.process().storage();
        let options = LogOptions::new(*b"wal\0\0\0\0\0", 32 << 10);
        let opened = Log::open(&storage, Path::new(LOG), &options, &mut Forger);
        let Opened { mut writer, .. } = opened.unwrap();
        writer.stage(kind, 0, number, []);
        writer.write().unwrap();
        writer.sync().unwrap();
        writer.close_mark().unwrap();
        writer.sync().unwrap();
        drop(writer);
        let error = WalParts::open_inline(&storage, Path::new(LOG), small()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "kind {kind}, number {number}");
        let trail = WalTrail::open_inline(&storage, Path::new(LOG), read_only(small()));
        assert_eq!(trail.unwrap_err().kind(), ErrorKind::Corrupt, "kind {kind}, number {number}");
    }
}
