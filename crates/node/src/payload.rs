//! What comes back, as JavaScript values.
//!
//! Messages are plain arrays, the first element a tag; one call carries all of a group:
//!
//! ```text
//! [0, ticket, true, payload]      settled
//! [0, ticket, false, Failure]     failed
//! [1, store, name, ...]           event
//! [2, store]                      room in the queue of a store
//! ```
//!
//! What operations of a log came to is left in memory that is shared: `channel`.

use std::rc::Rc;

use napi::bindgen_prelude::{
    Array, BigInt, External, Null, Uint8Array, Uint8ArraySlice, Uint32ArraySlice,
};
use napi::{Env, Result};
use tidemark_core::checkpoint::{Checkpoint, DeleteOutcome, Outcome, ResumeKey};
use tidemark_core::event::Event;
use tidemark_core::file_lock::FileLock;
use tidemark_core::wal::Entries as LogEntries;

use crate::channel::Appended;
use crate::checkpoint_store::{OpenedStore, StoreHandle};
use crate::failure::Failure;
use crate::file_lock::LockHandle;
use crate::hub::HubInner;
use crate::wal::{OpenedWal, WalHandle};

/// What one operation came to.
pub(crate) enum Payload {
    /// Done, with nothing to tell: `[]`.
    Done,
    /// Of a put, `[applied, sequence, event id, ...]`; of a delete, `['deleted', ...]`.
    Outcome(Outcome),
    /// Every checkpoint: `[digests, sequence, event id, name, ...]`.
    Entries(Vec<(ResumeKey, Checkpoint)>),
    /// A store that was opened, and whether its file is damaged: `[store, damaged]`.
    Store(OpenedStore),
    /// A lock that was granted: `[lock]`; `[]` where it was only tried.
    Lock(Option<FileLock>),
    /// A log that was opened: `[log]`.
    Wal(OpenedWal),
    /// Entries of a log: `[LSN of the first, bytes, where each ends]`.
    LogEntries(LogEntries),
}

/// What comes back through the channel.
pub(crate) enum Message {
    /// An operation ended.
    Settled { ticket: u32, result: tidemark_core::Result<Payload> },
    /// A store tells something.
    Event { store: u32, event: Event },
    /// A store that refused an operation for lack of room may have some.
    Credit { store: u32 },
    /// Operations of a log succeeded.
    Appended(Vec<Appended>),
}

const TAG_SETTLED: u32 = 0;
const TAG_EVENT: u32 = 1;
const TAG_CREDIT: u32 = 2;

impl Payload {
    /// An array on the environment's thread.
    pub(crate) fn into_js<'env>(self, env: &'env Env, hub: &Rc<HubInner>) -> Result<Array<'env>> {
        let mut array = env.create_array(0)?;
        match self {
            Self::Done => {}
            Self::Outcome(Outcome::Put(puts)) => {
                for put in puts {
                    array.insert(put.applied)?;
                    push_checkpoint(&mut array, &put.current)?;
                }
            }
            Self::Outcome(Outcome::Delete(deletes)) => {
                for outcome in deletes {
                    array.insert(match outcome {
                        DeleteOutcome::Deleted => "deleted",
                        DeleteOutcome::Absent => "absent",
                        DeleteOutcome::Superseded => "superseded",
                    })?;
                }
            }
            Self::Entries(entries) => push_entries(&mut array, &entries)?,
            Self::Store(opened) => {
                let damaged = opened.damaged;
                array.insert(External::new(StoreHandle::new(opened, Rc::clone(hub))))?;
                array.insert(damaged)?;
            }
            Self::Lock(lock) => {
                if let Some(lock) = lock {
                    array.insert(External::new(LockHandle::new(lock)))?;
                }
            }
            Self::Wal(opened) => {
                array.insert(External::new(WalHandle::new(opened, Rc::clone(hub))))?;
            }
            Self::LogEntries(entries) => push_log_entries(env, &mut array, entries)?,
        }
        Ok(array)
    }
}

impl Message {
    /// An array on the environment's thread.
    pub(crate) fn into_js<'env>(self, env: &'env Env, hub: &Rc<HubInner>) -> Result<Array<'env>> {
        let mut message = env.create_array(0)?;
        match self {
            Self::Settled { ticket, result } => {
                message.insert(TAG_SETTLED)?;
                message.insert(ticket)?;
                message.insert(result.is_ok())?;
                match result {
                    Ok(payload) => message.insert(payload.into_js(env, hub)?)?,
                    Err(error) => message.insert(Failure::from(error))?,
                }
            }
            Self::Event { store, event } => {
                message.insert(TAG_EVENT)?;
                message.insert(store)?;
                push_event(&mut message, &event)?;
            }
            Self::Credit { store } => {
                message.insert(TAG_CREDIT)?;
                message.insert(store)?;
            }
            // Told by the channel itself, as a number.
            Self::Appended(_) => {}
        }
        Ok(message)
    }
}

/// Sequence and event id.
fn push_checkpoint(array: &mut Array<'_>, checkpoint: &Checkpoint) -> Result<()> {
    array.insert(BigInt::from(checkpoint.last_committed_sequence))?;
    match &checkpoint.last_event_id {
        None => array.insert(Null),
        Some(event_id) => array.insert(event_id.as_ref()),
    }
}

fn push_entries(array: &mut Array<'_>, entries: &[(ResumeKey, Checkpoint)]) -> Result<()> {
    let digests: Vec<u8> = entries.iter().flat_map(|(key, _)| *key.digest()).collect();
    array.insert(Uint8Array::from(digests))?;
    for (key, checkpoint) in entries {
        push_checkpoint(array, checkpoint)?;
        match key.name() {
            None => array.insert(Null)?,
            Some(name) => array.insert(name)?,
        }
    }
    Ok(())
}

/// Small ones are copied into the heap of JavaScript, which costs less than to have it tell when
/// it is done with ours.
const COPIED_BYTES_MAX: usize = 16 << 10;

fn push_log_entries(env: &Env, array: &mut Array<'_>, entries: LogEntries) -> Result<()> {
    array.insert(BigInt::from(entries.first))?;
    let (bytes, ends) = entries.records.into_packed();
    if bytes.len() <= COPIED_BYTES_MAX {
        array.insert(Uint8ArraySlice::copy_from(env, bytes)?)?;
    } else {
        array.insert(Uint8ArraySlice::from_data(env, bytes)?)?;
    }
    // A read is bounded by a number of 32 bits, and a record by the size of a segment.
    let ends = ends.into_iter().map(|end| u32::try_from(end).unwrap_or(u32::MAX));
    array.insert(Uint32ArraySlice::copy_from(env, ends.collect::<Vec<_>>())?)
}

fn push_event(message: &mut Array<'_>, event: &Event) -> Result<()> {
    match event {
        Event::Regressed { key, from, to } => {
            message.insert("regressed")?;
            message.insert(Uint8Array::from(key.digest().to_vec()))?;
            push_checkpoint(message, from)?;
            to.as_ref().map_or(Ok(()), |to| push_checkpoint(message, to))
        }
        Event::Quarantined { path, quarantine } => {
            message.insert("quarantined")?;
            message.insert(path.to_string_lossy().as_ref())?;
            message.insert(quarantine.to_string_lossy().as_ref())
        }
        Event::Poisoned { error } => {
            message.insert("poisoned")?;
            message.insert(Failure::from(error))
        }
        Event::NoSpace { error } => {
            message.insert("noSpace")?;
            message.insert(Failure::from(error))
        }
        Event::SlowSync { duration } => {
            message.insert("slowSync")?;
            message.insert(duration.as_secs_f64() * 1e3)
        }
        // A kind that the core adds is added above; until then it is not told.
        _ => message.insert("unknown"),
    }
}
