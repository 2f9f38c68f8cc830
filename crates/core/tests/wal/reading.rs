//! What cold reads cost and what they depend on (D29, RD-1, RD-2, WN-1 to WN-3): a window is read
//! ahead, and whoever reads on goes on where it was.

use std::fs;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidemark_core::wal::{Io, SyncLevel, Visibility, Wal, WalOp, WalOptions, WalTrail};
use tidemark_core::{ErrorKind, Storage};
use tidemark_storage::Site;

use super::rig::{Machine, given, metric, put, range, segments};
use super::sim::Desk;
use super::support::{Hooked, Scratch, eventually, inode, real};
use super::wal_support::{LOG, append, append_many, record, small};

use Visibility::Durable;

/// Nothing is synced but by a close: a log is made quickly.
fn lazy(segment_bytes: u32) -> WalOptions {
    let sync = SyncLevel::Interval(NonZeroU64::new(3_600_000).unwrap());
    WalOptions { segment_bytes, sync, ..WalOptions::default() }
}

/// Counts the calls that read segments.
#[derive(Clone, Default)]
struct Calls(Arc<AtomicU64>);

impl Calls {
    fn storage(&self) -> Arc<dyn Storage> {
        let own = Arc::clone(&self.0);
        Hooked::storage(move |site| {
            own.fetch_add(u64::from(site == Site::SegmentRead), Ordering::SeqCst);
            None
        })
    }

    /// How many a job costs.
    fn of<T>(&self, job: impl FnOnce() -> T) -> (T, u64) {
        let before = self.0.load(Ordering::SeqCst);
        let done = job();
        (done, self.0.load(Ordering::SeqCst) - before)
    }
}

fn lone(wal: &Wal, lsn: u64) -> Vec<u8> {
    let found = wal.read(lsn, lsn, usize::MAX, Durable).unwrap();
    assert_eq!((found.first, found.records.len()), (lsn, 1));
    found.records.get(0).unwrap().to_vec()
}

/// Appends a record that tells its LSN.
fn fill(wal: &Wal, lsn: u64, size_bytes: usize) {
    assert_eq!(put(wal, record(number(lsn), size_bytes)), lsn);
}

/// Appends more than is kept in memory.
fn flood(wal: &Wal) {
    for _ in 0..3 {
        put(wal, vec![0; 4 << 20]);
    }
}

fn number(lsn: u64) -> u32 {
    u32::try_from(lsn).unwrap()
}

/// D29: the original scans from the start of a segment for every read. Here a lone cold read costs
/// at most two calls wherever the entry is, also where its segment has to be opened for it.
#[test]
fn d29_a_cold_read_costs_a_few_calls_wherever_the_entry_is() {
    const ENTRIES: u64 = 40_000;
    for segment_bytes in [1 << 20, 16 << 20] {
        let scratch = Scratch::new();
        let log = scratch.path("log");
        let wal = Machine::new().try_open(&log, lazy(segment_bytes)).unwrap();
        (1..=ENTRIES).for_each(|lsn| fill(&wal, lsn, 128));
        wal.close_blocking();
        let calls = Calls::default();
        let wal = Machine::on(calls.storage()).try_open(&log, lazy(segment_bytes)).unwrap();
        // Far apart, so that no read is answered by what was read for another one.
        for lsn in (1..=ENTRIES).step_by(1_201).chain((1..=ENTRIES).rev().step_by(977)) {
            let (found, cost) = calls.of(|| lone(&wal, lsn));
            assert_eq!(found, record(number(lsn), 128), "LSN {lsn}");
            assert!(cost <= 2, "LSN {lsn} took {cost} reads");
        }
        wal.close_blocking();
    }
}

/// RD-1: the frame of a large batch, or of a large entry, is the second of the two calls; the third
/// opens a segment.
#[test]
fn d29_a_large_frame_costs_no_more_calls() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let wal = Machine::new().try_open(&log, lazy(16 << 20)).unwrap();
    let mut lsns = Vec::new();
    for size in [100, 3_900, 4_000, 60_000, 70_000, 1_000_000, 1_100_000, 5_000_000] {
        for _ in 0..3 {
            put(&wal, vec![1; 30_000]);
            lsns.push((put(&wal, record(7, size)), size));
        }
    }
    let batch = append_many(0..3_000, 500);
    wal.call(&batch).unwrap();
    let last = wal.last_lsn(Visibility::Written).unwrap();
    lsns.extend([0, 1, 1_499, 2_999].map(|back| (last - back, 500)));
    wal.close_blocking();
    for (lsn, size) in lsns {
        let calls = Calls::default();
        let wal = Machine::on(calls.storage()).try_open(&log, lazy(16 << 20)).unwrap();
        let (found, cost) = calls.of(|| lone(&wal, lsn));
        assert_eq!(found.len(), size, "LSN {lsn}");
        assert!(cost <= 3, "LSN {lsn} of {size} bytes took {cost} reads");
        wal.close_blocking();
    }
}

/// RD-1: reading on costs one call for each 64 KiB, or for more, in whatever steps it is done, by
/// one read after another or by a follower.
#[test]
fn d29_reading_on_costs_a_call_for_each_window() {
    const ENTRIES: u64 = 20_000;
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let wal = Machine::new().try_open(&log, lazy(1 << 20)).unwrap();
    (1..=ENTRIES).for_each(|lsn| fill(&wal, lsn, 200));
    wal.close_blocking();
    let files = segments(&log);
    let size: u64 = files.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    let most = size / (64 << 10) + 3 * files.len() as u64;
    let calls = Calls::default();
    let wal = Machine::on(calls.storage()).try_open(&log, lazy(1 << 20)).unwrap();
    for bytes_max in [1, 5_000, 1 << 20] {
        let read_all = || {
            let mut next = 1;
            while next <= ENTRIES {
                let found = wal.read(next, u64::MAX, bytes_max, Durable).unwrap();
                assert_eq!(found.first, next);
                assert_eq!(found.records.get(0).unwrap(), record(number(next), 200));
                next += found.records.len() as u64;
            }
        };
        let ((), cost) = calls.of(read_all);
        assert!(cost <= most, "{cost} reads of {size} bytes in steps of {bytes_max}");
        let follower = wal.follow(1, Durable).unwrap();
        let follow_all = || {
            let mut count = 0;
            while let Some(entries) = given(&follower, false).unwrap() {
                count += entries.records.len() as u64;
            }
            assert_eq!(count, ENTRIES);
        };
        let ((), cost) = calls.of(follow_all);
        assert!(cost <= most, "{cost} reads of {size} bytes by a follower");
    }
    wal.close_blocking();
}

/// RD-1: reading on costs one call for each 256 KiB also where entries are larger than a step: none
/// is read twice because the one before took it along in part.
#[test]
fn rd1_reading_on_through_large_entries_reads_each_byte_about_once() {
    const TOTAL_BYTES: u64 = 6 << 20;
    for size in [30_000, 70_000, 100_000, 200_000] {
        let scratch = Scratch::new();
        let log = scratch.path("log");
        let wal = Machine::new().try_open(&log, lazy(32 << 20)).unwrap();
        let count = TOTAL_BYTES / size;
        (1..=count).for_each(|lsn| fill(&wal, lsn, usize::try_from(size).unwrap()));
        wal.close_blocking();
        let calls = Calls::default();
        let wal = Machine::on(calls.storage()).try_open(&log, lazy(32 << 20)).unwrap();
        let follower = wal.follow(1, Durable).unwrap();
        let follow_all = || {
            std::iter::from_fn(|| given(&follower, false).unwrap())
                .map(|entries| entries.records.len() as u64)
                .sum::<u64>()
        };
        let (found, cost) = calls.of(follow_all);
        assert_eq!(found, count);
        // The end of a step may lie in an entry, which then begins the next one.
        let step = size.max((256 << 10) - size);
        let most = TOTAL_BYTES / step + 8;
        assert!(cost <= most, "{cost} reads for {count} entries of {size} bytes");
        wal.close_blocking();
    }
}

/// WN-2: what is wrong behind an entry, in what is read ahead, is nothing to it.
#[test]
fn an_entry_that_is_whole_is_read_whatever_is_behind_it() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let wal = Machine::new().try_open(&log, lazy(1 << 20)).unwrap();
    (1..=60).for_each(|lsn| fill(&wal, lsn, 1_000));
    let filler = vec![0; 900_000];
    put(&wal, filler.clone());
    put(&wal, filler);
    wal.close_blocking();
    let path = segments(&log)[0].clone();
    let bytes = fs::read(&path).unwrap();
    let at = bytes.windows(8).position(|window| window == &record(30, 8)[..]).unwrap();
    let header = at - 8 - 64;
    for damaged in [header, header + 12, header + 40, at - 4, at, at + 999] {
        let mut changed = bytes.clone();
        changed[damaged] ^= 0x10;
        fs::write(&path, &changed).unwrap();
        for io in [Io::Positional, Io::Mapped] {
            let options = WalOptions { io, ..lazy(1 << 20) };
            let wal = Machine::new().try_open(&log, options).unwrap();
            for lsn in [1, 28, 29] {
                assert_eq!(lone(&wal, lsn), record(number(lsn), 1_000), "byte {damaged}");
            }
            let error = wal.read(30, 30, usize::MAX, Durable).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {damaged}");
            assert_eq!(error.path(), Some(path.as_path()), "C8: it says where");
            let offset = error.offset().unwrap();
            assert!(offset.abs_diff(header as u64) <= 4096, "{offset} is not at {header}");
            assert_eq!(lone(&wal, 29), record(29, 1_000), "also after that");
            wal.close_blocking();
        }
    }
}

/// Where segments are mapped a small write goes through the map and a large one by a call: both are
/// read through the map, by the writer and by a reader beside it, and both are there after a close.
#[test]
fn what_a_call_wrote_beside_a_map_is_read_through_it() {
    const SIZES: [usize; 6] = [40, 100_000, 40, 32_500, 300_000, 2_500_000];
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let mapped = |read_only| WalOptions {
        segment_bytes: 8 << 20,
        io: Io::Mapped,
        read_only,
        ..WalOptions::default()
    };
    let machine = Machine::new();
    let wal = machine.try_open(&log, mapped(false)).unwrap();
    // A machine of its own stands for another process.
    let beside = Machine::new().try_open(&log, mapped(true)).unwrap();
    let all = || (1..).zip(SIZES);
    for (lsn, size) in all() {
        fill(&wal, lsn, size);
    }
    // None of it is in memory any more.
    flood(&wal);
    for (wal, who) in [(&wal, "the writer"), (&beside, "a reader")] {
        for (lsn, size) in all() {
            assert_eq!(lone(wal, lsn), record(number(lsn), size), "{who}, LSN {lsn}");
        }
    }
    beside.close_blocking();
    wal.close_blocking();
    for io in [Io::Mapped, Io::Positional] {
        let again = machine.try_open(&log, WalOptions { io, ..mapped(false) }).unwrap();
        for (lsn, size) in all() {
            assert_eq!(lone(&again, lsn), record(number(lsn), size), "{io:?}, LSN {lsn}");
        }
        again.close_blocking();
    }
}

/// WN-1: what is not written yet is not read, and so not believed later.
#[test]
fn nothing_beyond_the_published_end_is_kept() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let options = lazy(32 << 20);
    let machine = Machine::new();
    let wal = machine.try_open(&log, options).unwrap();
    (1..=10).for_each(|lsn| fill(&wal, lsn, 300));
    wal.close_blocking();
    let wal = machine.try_open(&log, options).unwrap();
    assert_eq!(lone(&wal, 10), record(10, 300), "from the disk");
    (11..=20).for_each(|lsn| fill(&wal, lsn, 300));
    // More than is kept in memory.
    flood(&wal);
    wal.call(&WalOp::Sync).unwrap();
    for lsn in 1..=20 {
        assert_eq!(lone(&wal, lsn), record(number(lsn), 300), "LSN {lsn}");
    }
}

/// What a truncate killed is not found by who stood behind it, nor by who stood before.
#[test]
fn who_reads_on_after_a_truncate_reads_what_took_its_place() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let machine = Machine::new();
    let wal = machine.try_open(&log, lazy(32 << 20)).unwrap();
    (1..=50).for_each(|lsn| fill(&wal, lsn, 300));
    wal.close_blocking();
    let wal = machine.try_open(&log, lazy(32 << 20)).unwrap();
    for stood in [40, 10, 30] {
        assert_eq!(lone(&wal, stood).len(), 300);
        wal.call(&WalOp::Truncate { after: 20 }).unwrap();
        for lsn in 21..=60 {
            put(&wal, record(1_000 * number(stood) + number(lsn), 300));
        }
        flood(&wal);
        wal.call(&WalOp::Sync).unwrap();
        for lsn in [40, 41, 21, 20, 22, 60, 21] {
            let wanted = if lsn <= 20 { 0 } else { 1_000 * number(stood) };
            assert_eq!(lone(&wal, lsn), record(wanted + number(lsn), 300), "LSN {lsn}");
        }
        if stood == 10 {
            wal.call(&WalOp::Truncate { after: 60 }).unwrap();
        }
    }
}

/// WN-3, SG-7: who has read a segment does not keep it from being used again.
#[test]
fn a_segment_that_was_read_is_recycled() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let machine = Machine::new();
    let wal = machine.try_open(&log, lazy(64 << 10)).unwrap();
    (1..=12).for_each(|lsn| fill(&wal, lsn, 15_000));
    wal.close_blocking();
    let wal = machine.try_open(&log, lazy(64 << 10)).unwrap();
    let follower = wal.follow(1, Durable).unwrap();
    assert_eq!(lone(&wal, 1), record(1, 15_000));
    assert!(given(&follower, false).unwrap().is_some());
    assert_eq!(lone(&wal, 1), record(1, 15_000), "the first segment is what was read last");
    let first = inode(&segments(&log)[0]);
    wal.call(&WalOp::Purge { before: 5 }).unwrap();
    let spares = || {
        let entries = fs::read_dir(&log).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|it| it == "spare")).collect::<Vec<_>>()
    };
    eventually("its file is a spare", || spares().iter().any(|path| inode(path) == first));
}

/// SG-7: a reader in another process that keeps up holds the newest segment and no other, so that
/// a purge makes as many spares as without it.
#[test]
fn a_reader_that_keeps_up_lets_segments_be_recycled() {
    let spares = |reads: bool| {
        let mut desk = Desk::small();
        desk.commit(&[append(1, 6_000)]);
        let mut trail = reads.then(|| desk.trail());
        for n in 2..=12 {
            desk.commit(&[append(n, 6_000)]);
            if let Some(trail) = &mut trail {
                trail.advance().unwrap();
                assert_eq!(trail.handle.last_lsn(Durable).unwrap(), u64::from(n));
            }
        }
        desk.commit(&[WalOp::Purge { before: 12 }]);
        desk.commit(&[append(13, 10)]);
        let names = desk.world.disk().names(LOG);
        names.iter().filter(|name| name.contains(".spare")).count()
    };
    assert_eq!(spares(false), 4, "as many as are kept");
    assert_eq!(spares(true), 4);
}

/// The files of a log that this process has open, and that have no name any more.
fn nameless(log: &Path) -> usize {
    let open = fs::read_dir("/proc/self/fd").unwrap();
    let paths = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let gone = paths.filter(|path| path.to_string_lossy().ends_with(" (deleted)"));
    gone.filter(|path| path.starts_with(log)).count()
}

/// What a reader in another process has read of a segment does not keep its space once the reader
/// has seen the purge.
#[test]
fn a_reader_closes_what_was_purged() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let wal = Machine::new().open(&log);
    (1..=30).for_each(|lsn| fill(&wal, lsn, 6_000));
    let reader = Machine::new().reader(&log);
    assert_eq!(
        range(&reader, 1, 30).unwrap().len(),
        30,
        "from the disk, one segment after another"
    );
    let held = segments(&log);
    wal.call(&WalOp::Purge { before: 30 }).unwrap();
    let purged = &held[..held.len() - 2];
    assert!(purged.len() > 10, "more than are kept open");
    eventually("the files are gone", || !purged.iter().any(|path| path.exists()));
    eventually("it has seen the purge", || reader.first_lsn().unwrap() == 30);
    eventually("their space is back", || nameless(&log) == 0);
    assert_eq!(range(&reader, 30, 30).unwrap(), [record(30, 6_000)]);
    reader.close_blocking();
    wal.close_blocking();
}

/// V-4: a look at what is in memory is bounded, and a range is given whole all the same: up to its
/// end, or to its room for bytes, and not to the end of a look.
#[test]
fn a_range_of_many_small_entries_is_given_whole() {
    const ENTRIES: u64 = 5_000;
    let scratch = Scratch::new();
    let wal = Machine::new().try_open(&scratch.path("log"), lazy(1 << 20)).unwrap();
    (1..=ENTRIES).for_each(|lsn| fill(&wal, lsn, 4));
    wal.call(&WalOp::Sync).unwrap();
    let cold = metric(&wal, "coldReads");
    for (from, to, bytes_max, count) in [
        (1, u64::MAX, usize::MAX, ENTRIES),
        (1, 3_000, usize::MAX, 3_000),
        (7, u64::MAX, 4 * 2_500, 2_500),
        (7, u64::MAX, 4 * 2_048, 2_048),
        (9, u64::MAX, 0, 1),
    ] {
        let found = wal.read(from, to, bytes_max, Durable).unwrap();
        assert_eq!((found.first, found.records.len() as u64), (from, count), "to {to}");
        for (lsn, data) in found.iter() {
            assert_eq!(data, record(number(lsn), 4), "LSN {lsn}");
        }
        // In one look or not at all: what is told from there is never cut short.
        if let Some(hot) = wal.read_hot(from, to, bytes_max, Durable).unwrap() {
            assert_eq!(hot.records.len() as u64, count, "to {to}");
        }
    }
    let follower = wal.follow(1, Durable).unwrap();
    let mut next = 1;
    while let Some(entries) = given(&follower, false).unwrap() {
        assert_eq!(entries.first, next, "F-1");
        next += entries.records.len() as u64;
    }
    assert_eq!(next, ENTRIES + 1);
    assert_eq!(metric(&wal, "coldReads"), cold, "all of it was in memory");
    wal.close_blocking();
}

/// V-4: the room of a range is the same whether its entries are in memory, in one segment or in
/// several. Behind an entry that alone is too large comes nothing, not even an empty one.
#[test]
fn the_room_of_a_range_does_not_depend_on_where_its_entries_are() {
    const SIZES: [usize; 6] = [49, 0, 6_000, 0, 6_000, 0];
    let scratch = Scratch::new();
    let log = scratch.path("log");
    for _ in 0..2 {
        let wal = Machine::new().open(&log);
        if wal.last_lsn(Durable).unwrap() == 0 {
            for size in SIZES {
                put(&wal, vec![7; size]);
            }
        }
        for from in 0..SIZES.len() {
            for room in [0, 1, 48, 49, 50, 6_000, 6_048, 6_049, 6_050, 12_048, usize::MAX] {
                let mut sum = 0;
                let fits = SIZES[from..].iter().take_while(|size| {
                    sum += **size;
                    sum <= room
                });
                let expected = fits.count().max(1);
                let found = wal.read(from as u64 + 1, u64::MAX, room, Durable).unwrap();
                assert_eq!(found.records.len(), expected, "{room} bytes from {from} on");
            }
        }
        wal.close_blocking();
    }
}

/// F-2: what a reader has read may have been replaced and then purged before it knew of the next
/// writer. At the first LSN that is left nothing is purged that it has yet to read, and nobody can
/// tell what became of the rest: it is told.
#[test]
fn what_was_replaced_and_purged_behind_a_readers_back_is_told() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let wal = Machine::new().open(&log);
    for number in 1..=5 {
        put(&wal, format!("old {number}"));
    }
    let reads = WalOptions { read_only: true, ..small() };
    let mut trail = WalTrail::open_inline(&real(), &log, reads).unwrap();
    let follower = trail.handle.follow(1, Visibility::Durable).unwrap();
    let mut read = 0;
    while let Some(entries) = given(&follower, false).unwrap() {
        read += entries.records.len();
    }
    assert_eq!(read, 5);
    wal.close_blocking();
    let wal = Machine::new().open(&log);
    wal.call(&WalOp::Truncate { after: 0 }).unwrap();
    let oldest = segments(&log)[0].clone();
    let large = usize::try_from(small().segment_bytes / 4).unwrap();
    for number in 1..=12 {
        put(&wal, record(number, large));
    }
    wal.call(&WalOp::Purge { before: 6 }).unwrap();
    eventually("the first segment is gone", || !oldest.exists());
    trail.advance().unwrap();
    assert_eq!(given(&follower, false).unwrap_err().kind(), ErrorKind::Conflict);
    let again = trail.handle.follow(6, Visibility::Durable).unwrap();
    assert_eq!(given(&again, false).unwrap().unwrap().first, 6);
    wal.close_blocking();
}
