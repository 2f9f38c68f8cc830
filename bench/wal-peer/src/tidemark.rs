//! Our own log from Rust, level `immediate`, in both ways of reading and writing segments.
//!
//! - single: one call that blocks until the record is on the medium.
//! - together: all are handed over, as a program does in one go, and then awaited; each has an
//!   answer of its own.
//! - bulk: lists of 1,024 records, handed over in one go. They are made before the clock starts.
//! - purge: everything; the files of its segments are used again.
//! - open: after a clean close.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use tidemark_core::group_commit::{Enqueued, Settled, Sink};
use tidemark_core::wal::{
    Io, Records, Visibility, Wal, WalOp, WalOptions, WalOutcome, WalRegistry,
};
use tidemark_core::{RealStorage, Storage};

use crate::jobs::{Subject, timed};
use crate::{RECORD_BYTES, Result, SEGMENT_BYTES};

/// Records of one list of a bulk.
const LIST: usize = 1024;

fn options(io: &str) -> Result<WalOptions> {
    let io = match io {
        "pwrite" => Io::Positional,
        "mmap" => Io::Mapped,
        _ => return Err("io is pwrite or mmap".into()),
    };
    Ok(WalOptions { io, segment_bytes: SEGMENT_BYTES, ..WalOptions::default() })
}

fn open(directory: &str, options: WalOptions) -> Result<Wal> {
    let storage: Arc<dyn Storage> = Arc::new(RealStorage);
    Ok(Wal::open(&WalRegistry::default(), &storage, &PathBuf::from(directory), options)?)
}

/// Passes answers on to who waits for them.
struct Answers(Mutex<mpsc::Sender<Settled<WalOutcome>>>);

impl Sink<WalOutcome> for Answers {
    fn deliver(&self, settled: Vec<Settled<WalOutcome>>) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for one in settled {
            if sender.send(one).is_err() {
                eprintln!("wal-peer: an append ended that nobody awaits");
            }
        }
    }
}

/// An open log.
pub(crate) struct Log {
    wal: Wal,
    sink: Arc<dyn Sink<WalOutcome>>,
    answers: mpsc::Receiver<Settled<WalOutcome>>,
}

impl Log {
    /// A new log in a directory of its own.
    pub(crate) fn create(directory: &str, io: &str) -> Result<Self> {
        let wal = open(directory, options(io)?)?;
        let (sender, answers) = mpsc::channel();
        Ok(Self { wal, sink: Arc::new(Answers(Mutex::new(sender))), answers })
    }

    /// Hands all over in one go, and awaits all.
    fn commit(&self, ops: Vec<WalOp>) -> Result<Duration> {
        timed(|| {
            let count = ops.len();
            for (ticket, op) in ops.into_iter().enumerate() {
                if self.wal.enqueue(op, ticket as u64, &self.sink)? == Enqueued::Full {
                    return Err("more than is taken at once".into());
                }
            }
            self.wal.wake();
            for _ in 0..count {
                self.answers.recv()?.result?;
            }
            Ok(())
        })
    }
}

impl Subject for Log {
    fn single(&mut self) -> Result<Duration> {
        let op = WalOp::append(vec![0x5a; RECORD_BYTES]);
        timed(|| Ok(self.wal.call(&op).map(drop)?))
    }

    fn together(&mut self, size: usize) -> Result<Duration> {
        self.commit((0..size).map(|_| WalOp::append(vec![0x5a; RECORD_BYTES])).collect())
    }

    fn bulk(&mut self, size: usize) -> Result<Duration> {
        let list = |count| (0..count).map(|_| [0x5a; RECORD_BYTES]).collect::<Records>();
        let counts = (0..size).step_by(LIST).map(|start| LIST.min(size - start));
        self.commit(counts.map(|count| WalOp::append_all(list(count))).collect())
    }

    fn purge(&mut self) -> Result<Duration> {
        let before = self.wal.last_lsn(Visibility::Durable)? + 1;
        timed(|| Ok(self.wal.call(&WalOp::Purge { before }).map(drop)?))
    }
}

/// Fills a new log with so many bytes of records, and closes it.
pub(crate) fn fill(directory: &str, bytes: u64) -> Result<()> {
    const FILLING_BYTES: usize = 64 << 10;
    let wal = open(directory, options("pwrite")?)?;
    let op = WalOp::append_all((0..64).map(|_| [0x5a; FILLING_BYTES]).collect());
    for _ in 0..bytes.div_ceil(64 * FILLING_BYTES as u64) {
        wal.call(&op)?;
    }
    wal.close_blocking();
    Ok(())
}

/// A log that was closed.
pub(crate) struct Closed {
    directory: String,
}

impl Closed {
    pub(crate) fn at(directory: &str) -> Self {
        Self { directory: directory.to_owned() }
    }
}

impl Subject for Closed {
    fn single(&mut self) -> Result<Duration> {
        Err("this subject appends nothing".into())
    }

    fn open(&mut self) -> Result<Duration> {
        let mut opened = None;
        let took = timed(|| {
            opened = Some(open(&self.directory, options("pwrite")?)?);
            Ok(())
        })?;
        if let Some(wal) = opened {
            wal.close_blocking();
        }
        Ok(took)
    }
}
