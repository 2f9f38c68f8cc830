//! The defects D1 to D15 and D24 of the log that this one equals, where they are seen by whoever
//! writes: the same behaviours here. Each test says what the original does.

use std::sync::Arc;

use tidemark_core::ErrorKind;
use tidemark_core::wal::{
    Records, SyncOverride, Visibility, WalOp, WalOptions, WalOutcome, WalParts,
};

use super::rig::{Machine, contents, given, killed_copy, put, range, refused, segments, texts};
use super::support::Scratch;
use super::wal_support::{Model, append_many, hard_state, record, small};

/// D3: the original's header is stale after the first append; after a kill a clean start sees
/// 1 of 5 flushed records.
#[test]
fn d3_all_five_records_are_there_after_a_kill() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let wal = Machine::new().open(&log);
    for text in ["one", "two", "three", "four", "five"] {
        put(&wal, text);
    }
    let left = killed_copy(&scratch, &log, "left");
    assert_eq!(texts(&Machine::new().open(&left)), ["one", "two", "three", "four", "five"]);
}

/// D4: the original truncates in memory only; after a kill, 4 to 6 are back.
#[test]
fn d4_truncated_records_do_not_come_back() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let wal = Machine::new().open(&log);
    for text in ["1", "2", "3", "4", "5", "6"] {
        put(&wal, text);
    }
    wal.call(&WalOp::Truncate { after: 3 }).unwrap();
    let left = killed_copy(&scratch, &log, "left");
    let again = Machine::new().open(&left);
    assert_eq!(texts(&again), ["1", "2", "3"]);
    assert_eq!(put(&again, "four"), 4, "the LSN is used again");
}

/// D5: the original adopts the stale tail when sizes line up: 1 2 3 NEW4 old5 old6.
#[test]
fn d5_the_abandoned_branch_is_not_adopted_when_sizes_line_up() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let machine = Machine::new();
    let wal = machine.open(&log);
    for text in ["old1", "old2", "old3", "old4", "old5", "old6"] {
        put(&wal, text);
    }
    wal.call(&WalOp::Truncate { after: 3 }).unwrap();
    put(&wal, "NEW4");
    let expected = ["old1", "old2", "old3", "NEW4"];
    let left = killed_copy(&scratch, &log, "left");
    assert_eq!(texts(&Machine::new().open(&left)), expected);
    wal.close_blocking();
    assert_eq!(texts(&machine.open(&log)), expected);
}

/// D6: a crash right after a roll makes the original's next truncate a no-op; old and new
/// record 5 are both there, and the start after that fails.
#[test]
fn d6_a_truncate_right_after_a_roll_and_a_crash_cuts() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let wal = Machine::new().open(&log);
    // The last of them is the first in its segment; before it, the next segment is only prepared.
    let mut left = Vec::new();
    for lsn in 1..=12_u32 {
        put(&wal, record(lsn, 5000));
        left.push((lsn, killed_copy(&scratch, &log, &format!("left-{lsn}"))));
    }
    assert!(segments(&log).len() > 2, "it has rolled");
    for (lsn, path) in left {
        let machine = Machine::new();
        let again = machine.open(&path);
        assert_eq!(again.last_lsn(Visibility::Durable).unwrap(), u64::from(lsn));
        again.call(&WalOp::Truncate { after: u64::from(lsn - 1) }).unwrap();
        assert_eq!(put(&again, "new"), u64::from(lsn));
        again.close_blocking();
        let found = contents(&machine.open(&path)).unwrap().entries;
        assert_eq!(found.len(), lsn as usize);
        assert_eq!(found.last().unwrap(), b"new", "LSN {lsn}: the new one, once");
    }
}

/// D7: a record that is too large panics the original's writer, or leaves its segment half
/// made, so that the next small append panics.
#[test]
fn d7_a_record_of_any_size_is_taken_or_refused_and_the_next_one_is_taken() {
    let scratch = Scratch::new();
    let machine = Machine::new();
    let wal = machine.open(&scratch.path("log"));
    let largest = small().batch_bytes_max();
    let mut taken = Vec::new();
    for size in [largest - 1, largest, largest + 1, largest + 16, 32 << 10, 1 << 20] {
        let op = WalOp::append(vec![7; size]);
        if size <= largest {
            wal.call(&op).unwrap();
            taken.push(vec![7; size]);
        } else {
            assert_eq!(refused(&wal, &op), ErrorKind::TooLarge, "{size} bytes");
        }
        put(&wal, "small");
        taken.push(b"small".to_vec());
    }
    let many: Records = (0..100).map(|_| vec![7_u8; 1000]).collect();
    assert_eq!(refused(&wal, &WalOp::append_all(many)), ErrorKind::TooLarge, "a batch too large");
    assert_eq!(contents(&wal).unwrap().entries, taken);
    wal.close_blocking();
    assert_eq!(contents(&machine.open(&scratch.path("log"))).unwrap().entries, taken);
}

/// D7: beside a hard state of the largest size, the largest batch fits in every segment.
#[test]
fn d7_the_largest_batch_fits_whatever_the_hard_state() {
    let scratch = Scratch::new();
    let machine = Machine::new();
    let wal = machine.open(&scratch.path("log"));
    let state = Some(Arc::from(vec![1; 2048]));
    for lsn in 1..=4 {
        wal.call(&WalOp::SetHardState(state.clone())).unwrap();
        assert_eq!(put(&wal, vec![9; small().batch_bytes_max()]), lsn);
    }
    let too_large = Some(Arc::from(vec![1; 2049]));
    assert_eq!(refused(&wal, &WalOp::SetHardState(too_large)), ErrorKind::TooLarge);
    wal.close_blocking();
    let again = machine.open(&scratch.path("log"));
    assert_eq!(again.hard_state().unwrap(), state);
    assert_eq!(again.last_lsn(Visibility::Durable).unwrap(), 4);
}

/// D8: the original takes an empty payload, and then no range that contains it can be read.
#[test]
fn d8_an_empty_record_is_read_like_every_other() {
    let scratch = Scratch::new();
    let machine = Machine::new();
    let wal = machine.open(&scratch.path("log"));
    for text in ["", "a", "", "", "b"] {
        put(&wal, text);
    }
    assert_eq!(texts(&wal), ["", "a", "", "", "b"]);
    wal.close_blocking();
    let again = machine.open(&scratch.path("log"));
    assert_eq!(texts(&again), ["", "a", "", "", "b"], "from the file");
    assert_eq!(range(&again, 3, 3).unwrap(), [b""]);
    let one = again.read(1, 5, 0, Visibility::Durable).unwrap();
    assert!(!one.records.is_empty(), "at least one, even if it is empty");
}

/// D9: truncating to just before the first LSN of an older segment leaves the original
/// without a writable map, and the next append panics.
#[test]
fn d9_a_truncate_to_the_start_of_any_segment_leaves_a_log_to_append_to() {
    for after in (0..12).rev() {
        let scratch = Scratch::new();
        let machine = Machine::new();
        let wal = machine.open(&scratch.path("log"));
        let mut model = Model::default();
        for number in 1..=12 {
            put(&wal, record(number, 5000));
            model.entries.push(record(number, 5000));
        }
        wal.call(&WalOp::Truncate { after }).unwrap();
        model.entries.truncate(usize::try_from(after).unwrap());
        assert_eq!(put(&wal, "next"), after + 1);
        model.entries.push(b"next".to_vec());
        assert_eq!(contents(&wal).unwrap(), model, "after {after}");
        wal.close_blocking();
        assert_eq!(contents(&machine.open(&scratch.path("log"))).unwrap(), model, "after {after}");
    }
}

/// D10: purge never fires in the original when the first id is 0: the log grows for ever.
#[test]
fn d10_a_log_that_is_purged_does_not_grow() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let wal = Machine::new().open(&log);
    for number in 1..=60_u32 {
        let lsn = put(&wal, record(number, 5000));
        if number % 5 == 0 {
            wal.call(&WalOp::Purge { before: lsn }).unwrap();
        }
    }
    wal.close_blocking();
    let count = segments(&log).len();
    assert!(count <= 4, "{count} segments for one or two entries");
}

/// D11: a purge beyond the end deletes every file of the original, fails, and is not
/// recorded.
#[test]
fn d11_a_purge_beyond_the_end_is_recorded_and_the_next_append_gets_its_lsn() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let machine = Machine::new();
    let wal = machine.open(&log);
    for number in 1..=9 {
        put(&wal, record(number, 5000));
    }
    wal.call(&WalOp::Purge { before: 1000 }).unwrap();
    let ends = |wal: &tidemark_core::wal::Wal| {
        (wal.first_lsn().unwrap(), wal.last_lsn(Visibility::Durable).unwrap())
    };
    assert_eq!(ends(&wal), (1000, 999));
    let left = killed_copy(&scratch, &log, "left");
    assert_eq!(ends(&Machine::new().open(&left)), (1000, 999), "after a kill");
    wal.close_blocking();
    let again = machine.open(&log);
    assert_eq!(ends(&again), (1000, 999), "after a close");
    assert_eq!(put(&again, "after the snapshot"), 1000);
    assert_eq!(texts(&again), ["after the snapshot"]);
}

/// D13: a truncate overwrites the original's purge frontier with nothing, and the restart fails.
#[test]
fn d13_a_truncate_keeps_the_purge_frontier() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let machine = Machine::new();
    let wal = machine.open(&log);
    wal.call(&append_many(1..11, 100)).unwrap();
    wal.call(&WalOp::Purge { before: 4 }).unwrap();
    wal.call(&WalOp::Truncate { after: 6 }).unwrap();
    let expected = contents(&wal).unwrap();
    assert_eq!((expected.first, expected.next()), (4, 7));
    let left = killed_copy(&scratch, &log, "left");
    assert_eq!(contents(&Machine::new().open(&left)).unwrap(), expected);
    wal.close_blocking();
    let again = machine.open(&log);
    assert_eq!(contents(&again).unwrap(), expected);
    again.call(&WalOp::Truncate { after: 3 }).unwrap();
    assert_eq!(again.first_lsn().unwrap(), 4, "even where nothing is left");
    let error = again.call(&WalOp::Truncate { after: 2 }).unwrap_err();
    assert_eq!((error.kind(), error.sequence()), (ErrorKind::Expired, Some(4)));
    assert_eq!(refused(&again, &WalOp::Truncate { after: 9 }), ErrorKind::NotFound);
}

/// D24: the original accepts ids with gaps; here an LSN is given, and who expects another
/// one is refused, with the one that is next.
#[test]
fn d24_an_lsn_that_does_not_follow_is_refused() {
    let scratch = Scratch::new();
    let wal = Machine::new().open(&scratch.path("log"));
    let expecting = |lsn: u64| WalOp::Append {
        records: Arc::new(Records::one(b"x".to_vec())),
        expect: Some(lsn),
        hard_state: Some(hard_state("with it")),
        sync: None,
    };
    wal.call(&expecting(1)).unwrap();
    for wrong in [1, 3, u64::MAX] {
        let error = wal.call(&expecting(wrong)).unwrap_err();
        assert_eq!((error.kind(), error.sequence()), (ErrorKind::Conflict, Some(2)));
        assert!(!error.is_indeterminate(), "E-4");
    }
    assert_eq!(refused(&wal, &expecting(0)), ErrorKind::InvalidArgument);
    let outcome = wal.call(&expecting(2)).unwrap();
    assert_eq!(outcome, WalOutcome::Appended { first: 2, last: 2 }, "nothing was used up");
}

/// D28: the original never waits for its readers when it shuts down, and unwraps I/O in a
/// destructor. Here the end of a handle is heard by who reads, and can be waited for.
#[test]
fn d28_closing_ends_who_waits_and_what_was_accepted_is_done() {
    let scratch = Scratch::new();
    let machine = Machine::new();
    let log = scratch.path("log");
    let wal = machine.open(&log);
    let options = WalOptions { read_only: true, ..small() };
    let reader = machine.try_open(&log, options).unwrap();
    let follower = wal.follow(1, Visibility::Durable).unwrap();
    let other = reader.follow(1, Visibility::Durable).unwrap();
    let waiting = super::rig::ask(&follower, true);
    let sync = Some(SyncOverride::ImmediateAsync);
    let records = Arc::new(Records::one(b"last".to_vec()));
    wal.call(&WalOp::Append { records, expect: None, hard_state: None, sync }).unwrap();
    assert_eq!(waiting.recv().unwrap().unwrap().unwrap().first, 1);
    let waiting = super::rig::ask(&follower, true);
    wal.close(|| ());
    assert_eq!(waiting.recv().unwrap().unwrap_err().kind(), ErrorKind::Closed);
    assert!(given(&other, true).unwrap().is_some(), "another handle reads on");
    let waiting = super::rig::ask(&other, true);
    reader.close_blocking();
    assert_eq!(waiting.recv().unwrap().unwrap_err().kind(), ErrorKind::Closed);
    reader.close_blocking();
    assert_eq!(wal.call(&WalOp::Sync).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(texts(&machine.open(&log)), ["last"]);
}

/// D28: dropping a log whose disk fails does not panic.
#[test]
fn d28_a_log_that_cannot_be_closed_well_is_dropped_without_a_panic() {
    use tidemark_sim::{Disk, Fault, World};
    use tidemark_storage::{OsError, Site};
    let world = World::new(Disk::new(), 1);
    let storage = world.process().storage();
    for site in [Site::SegmentWrite, Site::SegmentSync] {
        let path = std::path::Path::new(super::wal_support::LOG);
        let mut parts = WalParts::open_inline(&storage, path, small()).unwrap();
        let ops = vec![WalOp::append("x")];
        assert!(
            tidemark_core::group_commit::commit_inline(&mut parts.engine, ops, |_, _| ()).unwrap()
                [0]
            .is_ok()
        );
        world.inject(Fault::fail(site, 0, OsError::EIO));
        tidemark_core::group_commit::finish_inline(parts.engine);
    }
    let parts =
        WalParts::open_inline(&storage, std::path::Path::new(super::wal_support::LOG), small());
    assert_eq!(Model::of(&parts.unwrap()).unwrap().entries.len(), 2, "nothing is lost");
}
