//! A reader in another process, while one writer dies and the next one recovers: segments are cut
//! and replaced under it, and what it has open of them must not be what it reads from (R-4, C12).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use support::{Hooked, Scratch, eventually, real};
use tidemark_core::Storage;
use tidemark_core::wal::{Io, Visibility, Wal, WalOp, WalOptions, WalRegistry};
use tidemark_storage::{OsError, Site};

fn options(io: Io) -> WalOptions {
    WalOptions { segment_bytes: 32 << 10, io, ..WalOptions::default() }
}

fn open(storage: &Arc<dyn Storage>, log: &Path, options: WalOptions) -> Wal {
    Wal::open(&WalRegistry::default(), storage, log, options).unwrap()
}

/// A segment has room for four of these.
fn record(lsn: u64) -> Vec<u8> {
    vec![u8::try_from(lsn).unwrap(); 3000]
}

fn append(wal: &Wal, lsn: u64) {
    wal.call(&WalOp::append(record(lsn))).unwrap();
}

/// Where a reader stands still instead of waiting for its writer, once it is closed.
#[derive(Default)]
struct Gate {
    /// Whether it is closed, and whether somebody stands there.
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        while state.0 {
            state.1 = true;
            self.changed.notify_all();
            state = self.changed.wait(state).unwrap();
        }
    }

    fn close(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 = true;
        while !state.1 {
            state = self.changed.wait(state).unwrap();
        }
    }

    fn open(&self) {
        self.state.lock().unwrap().0 = false;
        self.changed.notify_all();
    }
}

/// A writer that appends and gives up, so that nothing proves what it wrote last; a reader that has
/// read all of it; a second writer, which has done its work before the reader looks again.
fn takeover(io: Io, before: u64) {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let fails = Arc::new(AtomicBool::new(false));
    let failing = Arc::clone(&fails);
    let storage = Hooked::storage(move |site| {
        (site == Site::SegmentWrite && failing.load(Ordering::Acquire)).then_some(OsError::EIO)
    });
    let first = open(&storage, &log, options(io));
    append(&first, 1);
    let gate = Arc::<Gate>::default();
    let watched = Arc::clone(&gate);
    let reading = Hooked::storage(move |site| {
        if site == Site::StateWait {
            watched.pass();
        }
        None
    });
    let reader = open(&reading, &log, WalOptions { read_only: true, ..options(io) });
    (2..=before).for_each(|lsn| append(&first, lsn));
    let read_all = |last: u64| {
        eventually("the reader follows the writer", || {
            reader.last_lsn(Visibility::Durable).unwrap() == last
        });
        for lsn in 1..=last {
            let entries = reader.read(lsn, lsn, 4096, Visibility::Durable).unwrap();
            assert!(entries.records.get(0).unwrap() == record(lsn), "{io:?}, LSN {lsn}");
        }
    };
    read_all(before);
    gate.close();
    fails.store(true, Ordering::Release);
    let error = first.call(&WalOp::append(vec![0; 9])).unwrap_err();
    assert!(error.is_indeterminate(), "{error:?}");
    first.close_blocking();
    let second = open(&real(), &log, options(io));
    assert!(second.recovery().copied_bytes > 0, "its end is not proven");
    let last = before + 3;
    (before + 1..=last).for_each(|lsn| append(&second, lsn));
    gate.open();
    read_all(last);
}

/// Nothing of the only segment is proven: its recovery takes its number, and the file that the
/// reader had open has lost its name.
#[test]
fn r4_a_reader_reads_on_when_a_recovery_replaces_a_segment() {
    for io in [Io::Positional, Io::Mapped] {
        takeover(io, 1);
    }
}

/// The second segment is cut behind what is proven: a map of all of it is lost.
#[test]
fn r4_a_reader_reads_on_when_a_recovery_cuts_a_segment() {
    for io in [Io::Positional, Io::Mapped] {
        takeover(io, 7);
    }
}
