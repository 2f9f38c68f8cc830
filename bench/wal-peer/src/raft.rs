//! The crate `hiqlite-wal`, level `Immediate`, as its users reach it: through the interface that it
//! has, which is openraft's `RaftLogStorage`.
//!
//! - single: `blocking_append` of one entry of Raft, whose payload is the record. The entry is made
//!   before the clock starts; it is encoded, sent to the writer and awaited within the time, on a
//!   runtime of this thread alone.

use std::io::Cursor;
use std::time::Duration;

use hiqlite_wal::{LogStore, LogSync};
use openraft::storage::RaftLogStorageExt;
use openraft::{CommittedLeaderId, Entry, EntryPayload, LogId};
use tokio::runtime::Runtime;

use crate::jobs::{Subject, timed};
use crate::{RECORD_BYTES, Result, SEGMENT_BYTES};

openraft::declare_raft_types!(
    /// A text is what is encoded fastest: its bytes are copied in one piece.
    pub(crate) Types: D = String, R = u64, NodeId = u64, SnapshotData = Cursor<Vec<u8>>
);

/// An open log.
pub(crate) struct Log {
    runtime: Runtime,
    store: Option<LogStore<Types>>,
    last: u64,
}

impl Log {
    /// A new log in a directory of its own.
    pub(crate) fn create(directory: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let start = LogStore::start(directory.to_owned(), LogSync::Immediate, SEGMENT_BYTES);
        let store = Some(runtime.block_on(start)?);
        Ok(Self { runtime, store, last: 0 })
    }
}

impl Subject for Log {
    fn single(&mut self) -> Result<Duration> {
        self.last += 1;
        let entry = Entry::<Types> {
            log_id: LogId::new(CommittedLeaderId::new(1, 0), self.last),
            payload: EntryPayload::Normal("Z".repeat(RECORD_BYTES)),
        };
        let store = self.store.as_mut().ok_or("the log is closed")?;
        timed(|| Ok(self.runtime.block_on(store.blocking_append([entry]))?))
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let Some(store) = self.store.take() else { return };
        if let Err(error) = self.runtime.block_on(store.stop()) {
            eprintln!("wal-peer: the log was not closed: {error}");
        }
    }
}
