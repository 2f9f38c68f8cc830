//! The crate `hiqlite-wal`, level `Immediate`, each job in its best case.
//!
//! Driven through the channel that its own `RaftLogStorage::append` sends to, without what Raft
//! adds: entries need no encoding, no task waits for another. An append is done when its callback
//! was called, the first moment at which it is on the disk (the `ack` comes before the sync).
//!
//! - single: the record and the end mark are in the channel before the append is handed over, so
//!   the writer never waits for them.
//! - together: its writer takes one append after the other and syncs each; it joins nobody's
//!   appends. So one thread hands over all and then awaits all: its queue is never empty, and no
//!   64 threads fight for two CPUs. Whoever wants fewer syncs has to collect in front of it,
//!   which is what a bulk of 64 shows.
//! - bulk: one append of all records: one sync, and one more where a segment ends. The records are
//!   in its channel before the clock starts; passing them on while the writer takes them was never
//!   faster.
//! - purge: everything but the last record, as its own `RaftLogStorage::purge` asks for it. Files
//!   of segments are unlinked; it uses none again.
//! - open: after a clean close, when it believes its headers and checks no record.

use std::io::{self, Cursor};
use std::sync::mpsc;
use std::time::Duration;

use hiqlite_wal::{Action, LogStore, LogSync};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::jobs::{Subject, timed};
use crate::{RECORD_BYTES, Result, SEGMENT_BYTES};

openraft::declare_raft_types!(
    /// It is generic over what Raft decides on; nothing of that is used here.
    pub(crate) Types: D = u64, R = u64, NodeId = u64, SnapshotData = Cursor<Vec<u8>>
);

type Store = LogStore<Types>;
/// What it takes from the channel of an append: an id and a record, or the end mark.
type Item = Option<(u64, Vec<u8>)>;
type Done = std::result::Result<(), io::Error>;

fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().build()
}

async fn start(directory: &str) -> Result<Store> {
    Ok(Store::start(directory.to_owned(), LogSync::Immediate, SEGMENT_BYTES).await?)
}

/// An open log.
pub(crate) struct Log {
    runtime: Runtime,
    store: Option<Store>,
    last: u64,
}

impl Log {
    /// A new log in a directory of its own.
    pub(crate) fn create(directory: &str) -> Result<Self> {
        let runtime = runtime()?;
        let store = Some(runtime.block_on(start(directory))?);
        Ok(Self { runtime, store, last: 0 })
    }

    /// Ids have to be dense.
    fn record(&mut self, bytes: usize) -> (u64, Vec<u8>) {
        self.last += 1;
        (self.last, vec![0x5a; bytes])
    }

    /// Hands an append over; its callback reports to `done`.
    fn append(&self, rx: flume::Receiver<Item>, done: mpsc::Sender<Done>) -> Result<()> {
        let (ack, acked) = oneshot::channel();
        let callback = Box::new(move |result| {
            // Its thread must not end for the reason that nobody listens.
            if done.send(result).is_err() {
                eprintln!("wal-peer: an append ended that nobody awaits");
            }
            // Kept until here: it logs an error when it cannot send the ack.
            drop(acked);
        });
        let store = self.store.as_ref().ok_or("the log is closed")?;
        let sent = store.writer.send(Action::Append { rx, callback, ack });
        // The error would hand the callback back, which cannot be passed on.
        sent.map_err(|_| "the writer of the log has ended".into())
    }

    /// So many records of this size with one answer.
    fn batch(&mut self, count: usize, bytes: usize) -> Result<Duration> {
        let (tx, rx) = flume::bounded(count + 1);
        for _ in 0..count {
            tx.send(Some(self.record(bytes)))?;
        }
        tx.send(None)?;
        let (done, end) = mpsc::channel();
        timed(|| {
            self.append(rx, done)?;
            Ok(end.recv()??)
        })
    }

    fn close(&mut self) -> Result<()> {
        if let Some(store) = self.store.take() {
            self.runtime.block_on(store.stop())?;
        }
        Ok(())
    }
}

impl Subject for Log {
    fn single(&mut self) -> Result<Duration> {
        self.together(1)
    }

    fn together(&mut self, size: usize) -> Result<Duration> {
        let mut filled = Vec::with_capacity(size);
        for _ in 0..size {
            let (tx, rx) = flume::bounded(2);
            tx.send(Some(self.record(RECORD_BYTES)))?;
            tx.send(None)?;
            filled.push(rx);
        }
        let (done, end) = mpsc::channel();
        timed(|| {
            for rx in filled {
                self.append(rx, done.clone())?;
            }
            for _ in 0..size {
                end.recv()??;
            }
            Ok(())
        })
    }

    fn bulk(&mut self, size: usize) -> Result<Duration> {
        self.batch(size, RECORD_BYTES)
    }

    fn purge(&mut self) -> Result<Duration> {
        let store = self.store.as_ref().ok_or("the log is closed")?;
        let (ack, done) = oneshot::channel();
        // What Raft knows the last one by: kept as it is, and asked for by nobody here.
        let last_log = Some(self.last.to_le_bytes().to_vec());
        let remove = Action::Remove { from: 0, until: self.last, last_log, ack };
        timed(|| {
            store.writer.send(remove).map_err(|_| "the writer of the log has ended")?;
            Ok(done.blocking_recv()??)
        })
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            eprintln!("wal-peer: the log was not closed: {error}");
        }
    }
}

/// Large, so that filling is quick: a clean open looks at no record.
const FILLING_BYTES: usize = 64 << 10;

/// Fills a new log with so many bytes of records, and closes it.
pub(crate) fn fill(directory: &str, bytes: u64) -> Result<()> {
    let mut log = Log::create(directory)?;
    let in_batch = SEGMENT_BYTES as usize / FILLING_BYTES;
    for _ in 0..bytes.div_ceil(u64::from(SEGMENT_BYTES)) {
        log.batch(in_batch, FILLING_BYTES)?;
    }
    log.close()
}

/// A log that was closed.
pub(crate) struct Closed {
    runtime: Runtime,
    directory: String,
}

impl Closed {
    pub(crate) fn at(directory: &str) -> Result<Self> {
        Ok(Self { runtime: runtime()?, directory: directory.to_owned() })
    }
}

impl Subject for Closed {
    fn single(&mut self) -> Result<Duration> {
        Err("this subject appends nothing".into())
    }

    fn open(&mut self) -> Result<Duration> {
        let mut opened = None;
        let took = timed(|| {
            opened = Some(self.runtime.block_on(start(&self.directory))?);
            Ok(())
        })?;
        if let Some(store) = opened {
            self.runtime.block_on(store.stop())?;
        }
        Ok(took)
    }
}
