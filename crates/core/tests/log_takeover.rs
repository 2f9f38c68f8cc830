//! A reader in another process, while one writer dies and the next one recovers: segments are cut
//! and replaced under it, and what it has open of them must not be what it reads from (R-4, C12).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(test)]
mod support;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex};

use support::{HANG, Hooked, Scratch, eventually, real};
use tidemark_core::wal::{Io, Visibility, Wal, WalOp, WalOptions, WalRegistry};
use tidemark_core::{ErrorKind, Storage};
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

/// A first writer whose device can be made to fail, and a reader that can be made to stand still.
struct Stage {
    io: Io,
    scratch: Scratch,
    fails: Arc<AtomicBool>,
    first: Wal,
    gate: Arc<Gate>,
    reader: Wal,
}

impl Stage {
    /// One entry is there when the reader opens the log.
    fn new(io: Io) -> Self {
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
        Self { io, scratch, fails, first, gate, reader }
    }

    /// The first writer gives up, so that nothing proves what it wrote last; a second one takes
    /// over, while the reader stands still.
    fn take_over(&self) -> Wal {
        self.fails.store(true, Ordering::Release);
        let error = self.first.call(&WalOp::append(vec![0; 9])).unwrap_err();
        assert!(error.is_indeterminate(), "{error:?}");
        self.first.close_blocking();
        let second = open(&real(), &self.scratch.path("log"), options(self.io));
        assert!(second.recovery().copied_bytes > 0, "its end is not proven");
        second
    }

    fn wait_for(&self, last: u64) {
        eventually("the reader follows", || {
            self.reader.last_lsn(Visibility::Durable).unwrap() == last
        });
    }

    /// Everything is there for the reader, one by one.
    fn read_all(&self, last: u64) {
        self.wait_for(last);
        for lsn in 1..=last {
            let entries = self.reader.read(lsn, lsn, 4096, Visibility::Durable).unwrap();
            assert!(entries.records.get(0).unwrap() == record(lsn), "{:?}, LSN {lsn}", self.io);
        }
    }
}

/// The reader has read all of a number of entries; the second writer has done its work before the
/// reader looks again.
fn takeover(io: Io, before: u64) {
    let stage = Stage::new(io);
    (2..=before).for_each(|lsn| append(&stage.first, lsn));
    stage.read_all(before);
    stage.gate.close();
    let second = stage.take_over();
    (before + 1..=before + 3).for_each(|lsn| append(&second, lsn));
    stage.gate.open();
    stage.read_all(before + 3);
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

/// What a follower read is truncated and written anew, then the writer dies, all before the reader
/// looks again: it is told, and does not go on with what comes after (F-2).
#[test]
fn f2_a_truncate_before_a_recovery_is_told() {
    for io in [Io::Positional, Io::Mapped] {
        let stage = Stage::new(io);
        append(&stage.first, 2);
        stage.wait_for(2);
        let follower = stage.reader.follow(1, Visibility::Durable).unwrap();
        let (tell, told) = channel();
        let next = || {
            let tell = tell.clone();
            follower.next(1 << 20, true, move |given| tell.send(given).unwrap());
            told.recv_timeout(HANG).unwrap()
        };
        let mut read = 0;
        while read < 2 {
            read += next().unwrap().unwrap().records.len();
        }
        stage.gate.close();
        stage.first.call(&WalOp::Truncate { after: 1 }).unwrap();
        append(&stage.first, 22);
        append(&stage.first, 33);
        let second = stage.take_over();
        append(&second, 4);
        stage.gate.open();
        assert_eq!(next().unwrap_err().kind(), ErrorKind::Conflict, "{io:?}");
    }
}
