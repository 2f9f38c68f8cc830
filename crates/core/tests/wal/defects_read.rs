//! The defects D16 to D23 of the log that this one equals, where they are seen by whoever
//! opens and reads: damage, other processes, and readers that are behind. Each test says what the
//! original does.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidemark_core::wal::{RecoveryMode, Visibility, WalOp, WalOptions};
use tidemark_core::{ErrorKind, Result};
use tidemark_storage::{OsError, Site};

use super::rig::{Machine, contents, ended, given, killed_copy, put, range, segments, texts};
use super::support::{Hooked, Scratch};
use super::wal_support::{Model, record, small};

/// Opens a log and reads everything.
pub(crate) fn read_all(log: &Path) -> Result<Model> {
    let wal = Machine::new().try_open(log, small())?;
    let found = contents(&wal);
    wal.close_blocking();
    found
}

/// A closed log of so many segments and more, and what it holds.
fn closed(scratch: &Scratch, count: u32) -> (std::path::PathBuf, Model) {
    let log = scratch.path("log");
    let wal = Machine::new().open(&log);
    for number in 1..=count * 3 {
        put(&wal, record(number, 6000));
    }
    let model = contents(&wal).unwrap();
    wal.close_blocking();
    (log, model)
}

/// Turns bits over at an offset of a file.
fn damage(path: &Path, offset: usize, mask: u8) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset] ^= mask;
    fs::write(path, bytes).unwrap();
}

/// D16: the original's lock is a marker: two processes pass it, and after a crash nobody does.
#[test]
fn d16_one_writer_at_a_time_and_none_after_a_kill_is_in_the_way() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let wal = Machine::new().open(&log);
    put(&wal, "mine");
    let error = Machine::new().try_open(&log, small()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert_eq!(error.holder(), Some(std::process::id()), "C11: it says who");
    let left = killed_copy(&scratch, &log, "left");
    assert_eq!(texts(&Machine::new().open(&left)), ["mine"], "a dead writer holds nothing");
    wal.close_blocking();
    assert_eq!(texts(&Machine::new().open(&log)), ["mine"]);
}

/// D17: a segment whose header cannot be read is skipped by the original: its tail or head is
/// lost without a word, and the next roll fails.
#[test]
fn d17_a_segment_with_a_bad_header_is_corruption_and_not_skipped() {
    for index in 0..3 {
        for offset in [0, 9, 12, 17, 24, 40, 44, 48, 56, 4095] {
            let scratch = Scratch::new();
            let (log, _) = closed(&scratch, 2);
            let path = segments(&log)[index].clone();
            let before = fs::read(&path).unwrap();
            damage(&path, offset, 1);
            let error = read_all(&log).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "segment {index}, byte {offset}");
            assert_eq!(error.path(), Some(path.as_path()), "C8: it says where");
            let after = fs::read(&path).unwrap();
            assert_eq!(before.len(), after.len(), "nothing is deleted or written");
            damage(&path, offset, 1);
            assert_eq!(fs::read(&path).unwrap(), before);
            assert!(read_all(&log).is_ok(), "mended by hand, it opens");
        }
    }
}

/// D17: a file of zeros under the next name is not an empty segment, and no reason to die at
/// the roll: names are given to whole segments only.
#[test]
fn d17_a_zeroed_file_with_a_segments_name_is_corruption() {
    let scratch = Scratch::new();
    let (log, _) = closed(&scratch, 1);
    let number = segments(&log).len() + 1;
    fs::write(log.join(format!("{number:08x}.segment")), vec![0; 32 << 10]).unwrap();
    assert_eq!(read_all(&log).unwrap_err().kind(), ErrorKind::Corrupt);
}

/// D18: a flipped length makes the original's start panic; a zeroed last record cannot
/// be healed at all.
#[test]
fn d18_a_damaged_length_is_an_error_and_no_panic() {
    let scratch = Scratch::new();
    let (log, model) = closed(&scratch, 1);
    let path = segments(&log).pop().unwrap();
    // Sizes of the link's body and records, and of the first frame behind it.
    for offset in (4096 + 12..4096 + 24).chain(4096 + 64..4096 + 80).chain(4224 + 12..4224 + 24) {
        for bit in 0..8 {
            damage(&path, offset, 1 << bit);
            match read_all(&log) {
                Ok(found) => assert_eq!(found, model, "byte {offset}, bit {bit}"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {offset}"),
            }
            damage(&path, offset, 1 << bit);
        }
    }
}

/// D18: zeros in place of the last record. Below a mark that is corruption; above what is
/// proven it is a torn tail, which goes into quarantine, or is refused in strict mode.
#[test]
fn d18_a_zeroed_last_record_is_refused_or_set_aside() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let wal = Machine::new().open(&log);
    put(&wal, "first");
    put(&wal, "second");
    put(&wal, "third, which nothing proves");
    let [left, strict] = ["left", "strict"].map(|name| killed_copy(&scratch, &log, name));
    wal.close_blocking();
    let zero = |log: &Path| {
        let path = segments(log).pop().unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.windows(5).position(|window| window == b"third").unwrap();
        bytes[at..at + 27].fill(0);
        fs::write(&path, bytes).unwrap();
    };
    zero(&log);
    assert_eq!(read_all(&log).unwrap_err().kind(), ErrorKind::Corrupt, "a mark proves it");
    zero(&strict);
    let options = WalOptions { recovery: RecoveryMode::Strict, ..small() };
    let error = Machine::new().try_open(&strict, options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    zero(&left);
    let again = Machine::new().open(&left);
    assert_eq!(texts(&again), ["first", "second"]);
    let recovery = again.recovery();
    assert!(!recovery.was_closed && recovery.cut_bytes > 0, "{recovery:?}");
    assert!(recovery.quarantined.iter().all(|path| path.is_file()), "{recovery:?}");
    assert!(!recovery.quarantined.is_empty(), "C8: nothing is deleted");
}

/// D19: zeroed data in a sealed segment passes the original's check and fails when it is
/// read: here it is never returned, and says where.
#[test]
fn d19_damage_in_a_sealed_segment_is_told_when_it_is_read() {
    let scratch = Scratch::new();
    let (log, model) = closed(&scratch, 2);
    let path = segments(&log)[0].clone();
    let mut bytes = fs::read(&path).unwrap();
    bytes[8192..12288].fill(0);
    fs::write(&path, bytes).unwrap();
    let wal = Machine::new().open(&log);
    let error = contents(&wal).unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::Corrupt, Some(path.as_path())));
    assert!(error.offset().is_some(), "C8");
    let last = model.next() - 1;
    assert_eq!(&range(&wal, last, last).unwrap()[0], model.entries.last().unwrap(), "the rest");
    let follower = wal.follow(1, Visibility::Durable).unwrap();
    assert_eq!(ended(&follower), ErrorKind::Corrupt, "C12: it does not just end");
}

/// D20: the original's CRC covers neither id nor length: a changed id makes a range shorter
/// without an error. Here every bit of a frame's header counts.
#[test]
fn d20_no_bit_of_a_frames_header_can_change_unseen() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let wal = Machine::new().open(&log);
    for text in ["one", "two", "three"] {
        put(&wal, text);
    }
    wal.close_blocking();
    let path = segments(&log).pop().unwrap();
    let bytes = fs::read(&path).unwrap();
    let record = bytes.windows(3).position(|window| window == b"two").unwrap();
    // Before the record: its line in the table, and the header.
    for offset in record - 8 - 64..record - 8 {
        for bit in 0..8 {
            damage(&path, offset, 1 << bit);
            assert_eq!(read_all(&log).unwrap_err().kind(), ErrorKind::Corrupt, "{offset}, {bit}");
            damage(&path, offset, 1 << bit);
        }
    }
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

/// D21, D22: a reader of the original keeps its old map, and the place of its last
/// read, after a truncate: it returns records of a deleted file, or starts in the middle of one.
#[test]
fn d21_d22_a_reader_sees_what_was_written_after_a_truncate() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let machine = Machine::new();
    let wal = machine.open(&log);
    for number in 1..=12 {
        put(&wal, record(number, 5000));
    }
    wal.close_blocking();
    // From now on nothing of it is in memory.
    let wal = machine.open(&log);
    let reader = machine.reader(&log);
    let elsewhere = Machine::new().reader(&log);
    let whole = range(&reader, 1, 12).unwrap();
    assert_eq!(whole.len(), 12);
    assert_eq!(range(&elsewhere, 1, 12).unwrap(), whole);
    let followers = [&reader, &elsewhere].map(|wal| wal.follow(1, Visibility::Durable).unwrap());
    for follower in &followers {
        let mut count = 0;
        while let Some(entries) = given(follower, false).unwrap() {
            count += entries.records.len();
        }
        assert_eq!(count, 12);
    }
    wal.call(&WalOp::Truncate { after: 2 }).unwrap();
    for number in 3..=14 {
        put(&wal, record(1000 + number, 4321));
    }
    let expected = contents(&wal).unwrap();
    assert_eq!(expected.entries[2], record(1003, 4321));
    assert_eq!(contents(&reader).unwrap(), expected);
    for follower in &followers {
        assert_eq!(ended(follower), ErrorKind::Conflict, "F-2");
    }
    super::support::eventually("the other process sees the end", || {
        elsewhere.last_lsn(Visibility::Durable).unwrap() == 14
    });
    assert_eq!(contents(&elsewhere).unwrap(), expected);
    wal.close_blocking();
    assert_eq!(contents(&machine.open(&log)).unwrap(), expected);
}

/// D23: a read error in the original's last segment ends the stream as if it were the end; in
/// another one the reader's thread panics.
#[test]
fn d23_a_read_error_is_told_in_whatever_segment_it_is() {
    let scratch = Scratch::new();
    let (log, model) = closed(&scratch, 2);
    let fails = Arc::new(AtomicU64::new(0));
    let own = Arc::clone(&fails);
    let storage = Hooked::storage(move |site| {
        (site == Site::SegmentRead && own.load(Ordering::SeqCst) > 0).then_some(OsError::EIO)
    });
    for (lsn, entry) in (1..).zip(&model.entries) {
        // From now on nothing of it is in memory.
        let wal = Machine::on(Arc::clone(&storage)).open(&log);
        fails.store(1, Ordering::SeqCst);
        let error = wal.read(lsn, u64::MAX, usize::MAX, Visibility::Durable).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "LSN {lsn}");
        let follower = wal.follow(lsn, Visibility::Durable).unwrap();
        assert_eq!(ended(&follower), ErrorKind::Io, "LSN {lsn}");
        fails.store(0, Ordering::SeqCst);
        assert_eq!(range(&wal, lsn, lsn).unwrap(), std::slice::from_ref(entry));
        wal.close_blocking();
    }
}
