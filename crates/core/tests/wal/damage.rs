//! Every byte of a small log changed, every file cut at every length, files of other logs, files
//! missing, renamed and doubled: an error with the right code, or exactly what was there; for the
//! last group that nothing proves, without it. Never anything else, and never a panic.

use std::fs;
use std::path::{Path, PathBuf};

use tidemark_core::ErrorKind;
use tidemark_core::wal::{WalOp, WalOptions};

use super::defects_read::read_all;
use super::rig::{Machine, contents, copy_log, killed_copy, put, segments};
use super::support::Scratch;
use super::wal_support::{Model, append_many, hard_state, record, small};

/// A log to damage, and what it may be found to hold.
struct Victim {
    scratch: Scratch,
    log: PathBuf,
    allowed: Vec<Model>,
}

impl Victim {
    /// A log of two segments with every kind of frame.
    fn new(salt: u32, closes: bool) -> Self {
        let scratch = Scratch::new();
        let log = scratch.path("log");
        let wal = Machine::new().open(&log);
        wal.call(&append_many(salt..salt + 3, 700)).unwrap();
        wal.call(&WalOp::SetHardState(hard_state("term 1"))).unwrap();
        put(&wal, record(salt + 3, 5000));
        put(&wal, record(salt + 4, 4000));
        wal.call(&WalOp::Truncate { after: 4 }).unwrap();
        put(&wal, record(salt + 5, 9000));
        wal.call(&WalOp::Purge { before: 2 }).unwrap();
        put(&wal, record(salt + 6, 300));
        let before = contents(&wal).unwrap();
        put(&wal, record(salt + 7, 300));
        let all = contents(&wal).unwrap();
        assert_eq!(segments(&log).len(), 2, "two segments");
        if closes {
            wal.close_blocking();
            return Self { scratch, log, allowed: vec![all] };
        }
        let left = killed_copy(&scratch, &log, "left");
        wal.close_blocking();
        Self { scratch, log: left, allowed: vec![all, before] }
    }

    /// Does something to a copy, opens it, reads everything, and judges.
    fn judge(&self, what: &str, harm: impl FnOnce(&Path)) {
        let copy = self.scratch.path("copy");
        copy_log(&self.log, &copy);
        harm(&copy);
        match read_all(&copy) {
            Ok(found) => {
                assert!(
                    self.allowed.contains(&found),
                    "{what}: {} entries from {}, hard state {:?}",
                    found.entries.len(),
                    found.first,
                    found.hard_state
                );
            }
            Err(error) => {
                let is_right = matches!(
                    error.kind(),
                    ErrorKind::Corrupt | ErrorKind::UnsupportedFileVersion | ErrorKind::Conflict
                );
                assert!(is_right, "{what}: {error:?}");
            }
        }
        fs::remove_dir_all(&copy).unwrap();
    }
}

/// Bytes of a file that mean something, and some of those that do not.
fn offsets(bytes: &[u8]) -> Vec<usize> {
    let last = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
    let means = |at: &usize| {
        let near = at.saturating_sub(72)..(at + 72).min(bytes.len());
        bytes[near].iter().any(|byte| *byte != 0)
    };
    // Long records: every byte of their ends, and one in some of the rest.
    let sampled = |at: &usize| {
        let window = &bytes[at.saturating_sub(8)..(at + 9).min(bytes.len())];
        let repeats = window.windows(5).all(|five| five[0] == five[4]);
        !repeats || at.is_multiple_of(61)
    };
    (0..=last).filter(means).filter(sampled).collect()
}

/// Turns one bit over, at each place; the bit goes round.
fn flips_everywhere(closes: bool) {
    let victim = Victim::new(1, closes);
    let mut count = 0;
    for path in segments(&victim.log) {
        let bytes = fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_owned();
        for at in offsets(&bytes) {
            let bit = (at + at / 8) % 8;
            count += 1;
            victim.judge(&format!("{}, byte {at}, bit {bit}", name.display()), |copy| {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << bit;
                fs::write(copy.join(&name), bytes).unwrap();
            });
        }
    }
    assert!(count > 1000, "{count} places only");
}

#[test]
fn c12_a_bit_that_turned_over_anywhere_in_a_closed_log_is_an_error_or_means_nothing() {
    flips_everywhere(true);
}

#[test]
fn c12_a_bit_that_turned_over_in_a_log_that_was_not_closed_costs_at_most_the_unproven_group() {
    flips_everywhere(false);
}

/// All bits of each byte, where a format can be deceived: headers of the file, of frames, of the
/// seal, and their tables.
#[test]
fn c12_no_bit_of_any_header_can_change_unseen() {
    let victim = Victim::new(1, true);
    for path in segments(&victim.log) {
        let bytes = fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_owned();
        let seal = bytes.len() - 4096;
        for at in (0..64).chain(4096..4096 + 64 + 16 + 24).chain(seal..seal + 96) {
            for bit in 0..8 {
                victim.judge(&format!("{}, byte {at}, bit {bit}", name.display()), |copy| {
                    let mut bytes = bytes.clone();
                    bytes[at] ^= 1 << bit;
                    fs::write(copy.join(&name), bytes).unwrap();
                });
            }
        }
    }
}

#[test]
fn c8_a_file_cut_anywhere_is_an_error_or_costs_at_most_the_unproven_group() {
    for closes in [true, false] {
        let victim = Victim::new(1, closes);
        for path in segments(&victim.log) {
            let bytes = fs::read(&path).unwrap();
            let name = path.file_name().unwrap().to_owned();
            let edges = (0..bytes.len()).step_by(512);
            let near = offsets(&bytes).into_iter().step_by(17);
            for len in edges.chain(near) {
                victim.judge(&format!("{} cut to {len}", name.display()), |copy| {
                    fs::write(copy.join(&name), &bytes[..len]).unwrap();
                });
            }
        }
    }
}

#[test]
fn w1_files_of_another_log_missing_renamed_or_doubled_are_refused() {
    for closes in [true, false] {
        let victim = Victim::new(1, closes);
        let other = Victim::new(100, closes);
        let names = segments(&victim.log);
        let number = |number: u32| format!("{number:08x}.segment");
        victim.judge("the first file missing", |copy| {
            fs::remove_file(copy.join(number(1))).unwrap();
        });
        for (own, theirs) in names.iter().zip(segments(&other.log)) {
            let name = own.file_name().unwrap();
            victim.judge("a file of another log", |copy| {
                fs::copy(&theirs, copy.join(name)).unwrap();
            });
        }
        victim.judge("swapped files", |copy| {
            fs::rename(copy.join(number(1)), copy.join("away")).unwrap();
            fs::rename(copy.join(number(2)), copy.join(number(1))).unwrap();
            fs::rename(copy.join("away"), copy.join(number(2))).unwrap();
        });
        for (from, to) in [(1, 3), (2, 3), (1, 9), (2, 9), (2, 1)] {
            victim.judge(&format!("{from} doubled as {to}"), |copy| {
                fs::copy(copy.join(number(from)), copy.join(number(to))).unwrap();
            });
            if (from, to) != (2, 1) {
                victim.judge(&format!("{from} renamed to {to}"), |copy| {
                    fs::rename(copy.join(number(from)), copy.join(number(to))).unwrap();
                });
            }
        }
        victim.judge("a hard link", |copy| {
            fs::hard_link(copy.join(number(1)), copy.join("another name")).unwrap();
        });
        victim.judge("a file of zeros", |copy| {
            fs::write(copy.join(number(3)), vec![0; 32 << 10]).unwrap();
        });
        victim.judge("strays that mean nothing", |copy| {
            for name in ["0000000A.segment", "1.segment", "00000001.segment.bak", "x.spare"] {
                fs::write(copy.join(name), b"not ours").unwrap();
            }
        });
    }
}

/// What the document does not promise to see: without the last segment, the log ends where that
/// one began, at a state that it once had.
#[test]
fn the_last_segment_missing_leaves_the_log_as_it_was_before_it() {
    let victim = Victim::new(1, true);
    fs::remove_file(segments(&victim.log).pop().unwrap()).unwrap();
    let found = read_all(&victim.log).unwrap();
    assert_eq!((found.first, found.next()), (1, 5));
    assert_eq!(found.entries[1..4], victim.allowed[0].entries[..3]);
}

/// A directory with a `state` and no segments has lost them: it is not a new log.
#[test]
fn w1_all_segments_lost_is_told_while_the_state_is_there() {
    let victim = Victim::new(1, true);
    for path in segments(&victim.log) {
        fs::remove_file(path).unwrap();
    }
    for read_only in [true, false] {
        let options = WalOptions { read_only, ..small() };
        let error = Machine::new().try_open(&victim.log, options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "read_only {read_only}: {error:?}");
    }
}

/// The state page is a hint: whatever is in it, nothing is recovered from it.
#[test]
fn p2_a_damaged_state_page_changes_nothing() {
    let victim = Victim::new(1, true);
    let size = fs::metadata(victim.log.join("state")).unwrap().len();
    for bytes in
        [vec![], vec![0; 100], vec![0xFF; 4096], vec![0xA5; usize::try_from(size).unwrap()]]
    {
        let copy = victim.scratch.path("copy");
        copy_log(&victim.log, &copy);
        fs::write(copy.join("state"), &bytes).unwrap();
        for read_only in [true, false, true] {
            let options = WalOptions { read_only, ..small() };
            let wal = Machine::new().try_open(&copy, options).unwrap();
            assert_eq!(contents(&wal).unwrap(), victim.allowed[0], "{} bytes", bytes.len());
        }
        fs::remove_dir_all(copy).unwrap();
    }
}
