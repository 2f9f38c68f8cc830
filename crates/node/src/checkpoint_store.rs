//! An open checkpoint store, whatever its kind.
//!
//! Hot paths are free functions that take a handle: a method of a class costs twice as much.
//! Records cross as packed bytes:
//!
//! ```text
//! put      digest, 32 bytes | sequence, u64 LE
//! delete   digest, 32 bytes | sequence, u64 LE | condition: 0 always, 1 up to the sequence,
//!                                                            2 unchanged
//! get      digest, 32 bytes | room for the sequence, u64 LE
//! ```

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use napi::bindgen_prelude::{Array, External, Null, Object, Uint8ArraySlice};
use napi::{Either, Env, Error, Result, Status};
use napi_derive::napi;
use tidemark_core::checkpoint::{
    Checkpoint, Condition, KEY_FORMAT_VERSION, Op, Outcome, ResumeKey, Store,
};
use tidemark_core::event::Observer;
use tidemark_core::group_commit::Sink;

use crate::channel::Channel;
use crate::drain::Drain;
use crate::failure::Failure;
use crate::hub::HubInner;
use crate::metrics;
use crate::payload::{Message, Payload};
use crate::sink::StoreSink;

const DIGEST_BYTES: usize = 32;
const PUT_BYTES: usize = DIGEST_BYTES + 8;
const DELETE_BYTES: usize = PUT_BYTES + 1;

/// A store on its way from the thread that opened it to its environment.
pub(crate) struct OpenedStore {
    store: Arc<Store>,
    sink: Arc<dyn Sink<Outcome>>,
    /// Kept for as long as the environment wants to hear of events.
    _observer: Arc<dyn Observer>,
    id: u32,
    exit_drain: Duration,
    pub(crate) damaged: bool,
}

impl OpenedStore {
    pub(crate) fn new(
        store: Store,
        id: u32,
        channel: &Arc<Channel>,
        exit_drain: Duration,
        damaged: bool,
    ) -> Self {
        let sink = Arc::new(StoreSink { store: id, channel: Arc::clone(channel) });
        let observer: Arc<dyn Observer> = Arc::clone(&sink) as Arc<dyn Observer>;
        store.subscribe(&observer);
        Self { store: Arc::new(store), sink, _observer: observer, id, exit_drain, damaged }
    }
}

/// A store in the hands of its environment. Collected as garbage, it is closed.
pub struct StoreHandle {
    opened: OpenedStore,
    hub: Rc<HubInner>,
}

impl StoreHandle {
    pub(crate) fn new(opened: OpenedStore, hub: Rc<HubInner>) -> Self {
        hub.register(Arc::clone(&opened.store) as Arc<dyn Drain>, opened.exit_drain);
        Self { opened, hub }
    }

    fn enqueue(&self, env: &Env, ticket: u32, op: Op) -> Result<Either<bool, Failure>> {
        let OpenedStore { store, sink, id, .. } = &self.opened;
        self.hub.enqueued(env, *id, store, store.enqueue(op, u64::from(ticket), sink))
    }

    /// Runs a job on the store's I/O thread; its result comes back under the ticket.
    fn run_io(
        &self,
        env: &Env,
        ticket: u32,
        job: impl FnOnce(&Store) -> tidemark_core::Result<Payload> + Send + 'static,
    ) -> Result<()> {
        let store = Arc::clone(&self.opened.store);
        let job = move || job(&store);
        self.hub.run_on(env, ticket, job, |job| self.opened.store.run_io(job))
    }
}

impl Drop for StoreHandle {
    fn drop(&mut self) {
        // The hub keeps the store until what it accepted is settled.
        self.opened.store.close(|| ());
        self.hub.forget_finished();
    }
}

/// Bytes that are not what the facade sends.
fn malformed() -> Error {
    Error::new(Status::InvalidArg, "a record of another length than the facade's".to_owned())
}

fn digest_and_sequence(record: &[u8]) -> Result<(ResumeKeyBytes, u64)> {
    let (digest, rest) = record.split_first_chunk::<DIGEST_BYTES>().ok_or_else(malformed)?;
    let (sequence, _) = rest.split_first_chunk::<8>().ok_or_else(malformed)?;
    Ok((*digest, u64::from_le_bytes(*sequence)))
}

type ResumeKeyBytes = [u8; DIGEST_BYTES];

fn key(digest: ResumeKeyBytes, name: Option<&String>) -> Result<ResumeKey> {
    match name {
        None => Ok(ResumeKey::from_parts(digest, KEY_FORMAT_VERSION)),
        Some(name) => ResumeKey::named(name)
            .map_err(|error| Error::new(Status::InvalidArg, error.message().to_owned())),
    }
}

/// Puts from packed records; `texts` are an event id and a name for each.
fn puts(records: &[u8], texts: &[Option<String>]) -> Result<Op> {
    let mut puts = Vec::with_capacity(texts.len() / 2);
    let (records, rest) = records.as_chunks::<PUT_BYTES>();
    let (texts, unpaired) = texts.as_chunks::<2>();
    if !rest.is_empty() || !unpaired.is_empty() || records.len() != texts.len() {
        return Err(malformed());
    }
    for (record, [event_id, name]) in records.iter().zip(texts) {
        let (digest, sequence) = digest_and_sequence(record)?;
        puts.push((key(digest, name.as_ref())?, Checkpoint::new(sequence, event_id.as_deref())));
    }
    Ok(Op::Put(puts))
}

/// Deletes from packed records; `event_ids` has one for each, for the condition "unchanged".
fn deletes(records: &[u8], event_ids: &[Option<String>]) -> Result<Op> {
    let (records, rest) = records.as_chunks::<DELETE_BYTES>();
    if !rest.is_empty() || records.len() != event_ids.len() {
        return Err(malformed());
    }
    let mut deletes = Vec::with_capacity(records.len());
    for (record, event_id) in records.iter().zip(event_ids) {
        let (digest, sequence) = digest_and_sequence(record)?;
        let condition = match record.last() {
            Some(0) => Condition::Always,
            Some(1) => Condition::UpTo(sequence),
            Some(2) => Condition::Unchanged(Checkpoint::new(sequence, event_id.as_deref())),
            _ => return Err(malformed()),
        };
        deletes.push((ResumeKey::from_parts(digest, KEY_FORMAT_VERSION), condition));
    }
    Ok(Op::Delete(deletes))
}

/// Looks a key up in memory. `record` holds the digest and gets the sequence; the result is the
/// event id, or undefined if there is no checkpoint.
///
/// # Errors
/// For a record of another length.
#[napi(catch_unwind, ts_return_type = "string | null | undefined | Failure")]
pub fn store_get(
    store: &External<StoreHandle>,
    mut record: Uint8ArraySlice<'_>,
) -> Result<Either<Either<String, Null>, Either<(), Failure>>> {
    // SAFETY: JavaScript runs on this thread only, so that nobody else has the bytes meanwhile;
    // the facade's record is its own and not shared.
    let record = unsafe { record.as_mut() };
    let Some((digest, sequence)) = record.split_first_chunk_mut::<DIGEST_BYTES>() else {
        return Err(malformed());
    };
    let key = ResumeKey::from_parts(*digest, KEY_FORMAT_VERSION);
    let found = match store.opened.store.get(&key) {
        Ok(Some(found)) => found,
        Ok(None) => return Ok(Either::B(Either::A(()))),
        Err(error) => return Ok(Either::B(Either::B(Failure::from(error)))),
    };
    let room = sequence.first_chunk_mut::<8>().ok_or_else(malformed)?;
    *room = found.last_committed_sequence.to_le_bytes();
    Ok(Either::A(match found.last_event_id {
        Some(event_id) => Either::A(event_id.as_ref().to_owned()),
        None => Either::B(Null),
    }))
}

/// Hands puts over: true if accepted, false if there is no room (a message tells when there may
/// be). Each one's texts are its event id and its key's name.
///
/// # Errors
/// For records that do not match.
#[napi(catch_unwind)]
pub fn store_put(
    env: &Env,
    store: &External<StoreHandle>,
    ticket: u32,
    records: &[u8],
    texts: Vec<Option<String>>,
) -> Result<Either<bool, Failure>> {
    store.enqueue(env, ticket, puts(records, &texts)?)
}

/// As `storePut`, and waits for the result. Blocks.
///
/// # Errors
/// For records that do not match.
#[napi(catch_unwind, ts_return_type = "Array<unknown> | Failure")]
pub fn store_put_sync<'env>(
    env: &'env Env,
    store: &External<StoreHandle>,
    records: &[u8],
    texts: Vec<Option<String>>,
) -> Result<Either<Array<'env>, Failure>> {
    match store.opened.store.call(&puts(records, &texts)?) {
        Ok(outcome) => Ok(Either::A(Payload::Outcome(outcome).into_js(env, &store.hub)?)),
        Err(error) => Ok(Either::B(Failure::from(error))),
    }
}

/// Hands deletes over, as `storePut` does puts.
///
/// # Errors
/// For records that do not match.
#[napi(catch_unwind)]
pub fn store_delete(
    env: &Env,
    store: &External<StoreHandle>,
    ticket: u32,
    records: &[u8],
    event_ids: Vec<Option<String>>,
) -> Result<Either<bool, Failure>> {
    store.enqueue(env, ticket, deletes(records, &event_ids)?)
}

/// Takes an operation back; false if it is in a commit or settled already.
///
/// # Errors
/// If the environment is going away.
#[napi(catch_unwind)]
pub fn store_withdraw(env: &Env, store: &External<StoreHandle>, ticket: u32) -> Result<bool> {
    let withdrawn = store.opened.store.withdraw(u64::from(ticket), &store.opened.sink);
    if withdrawn {
        store.hub.pending.remove(env, &store.hub.channel, 1)?;
    }
    Ok(withdrawn)
}

/// Brings memory up to the disk.
///
/// # Errors
/// If the environment is going away.
#[napi(catch_unwind)]
pub fn store_refresh(env: &Env, store: &External<StoreHandle>, ticket: u32) -> Result<()> {
    store.run_io(env, ticket, |store| store.refresh().map(|()| Payload::Done))
}

/// Brings memory up to the disk, and lists everything.
///
/// # Errors
/// If the environment is going away.
#[napi(catch_unwind)]
pub fn store_entries(env: &Env, store: &External<StoreHandle>, ticket: u32) -> Result<()> {
    store.run_io(env, ticket, |store| {
        store.refresh()?;
        store.entries().map(Payload::Entries)
    })
}

/// Number of checkpoints in memory.
#[napi(catch_unwind)]
#[must_use]
pub fn store_size(store: &External<StoreHandle>) -> u32 {
    store.opened.store.len().ok().and_then(|len| u32::try_from(len).ok()).unwrap_or_default()
}

/// What a store can promise, and what was repaired.
#[napi(object)]
pub struct StoreInfo {
    /// `proven`, `unproven` or `none`.
    pub durability: String,
    /// Why it is not `proven`, if the file system is to blame.
    pub weakness: Option<String>,
    /// Files that were moved into quarantine.
    pub quarantined: Vec<String>,
}

/// What a store can promise, and what was repaired.
#[napi(catch_unwind)]
#[must_use]
pub fn store_info(store: &External<StoreHandle>) -> StoreInfo {
    let store = &store.opened.store;
    let recovery = store.recovery().quarantined.into_iter();
    StoreInfo {
        durability: metrics::durability(store.durability()),
        weakness: store.weakness().map(str::to_owned),
        quarantined: recovery.map(|path| path.to_string_lossy().into_owned()).collect(),
    }
}

/// The figures of a store.
///
/// # Errors
/// If the environment is going away.
#[napi(catch_unwind, ts_return_type = "StoreMetrics")]
pub fn store_metrics<'env>(env: &'env Env, store: &External<StoreHandle>) -> Result<Object<'env>> {
    metrics::into_js(env, store.opened.store.metrics())
}

/// Closes a store; settles when nothing of it is open any more, or at once if another handle is
/// open or its lock is still being waited for.
///
/// # Errors
/// If the environment is going away.
#[napi(catch_unwind)]
pub fn store_close(env: &Env, store: &External<StoreHandle>, ticket: u32) -> Result<()> {
    store.hub.pending.add(env, &store.hub.channel)?;
    let channel = Arc::clone(&store.hub.channel);
    store.opened.store.close(move || {
        channel.send(vec![Message::Settled { ticket, result: Ok(Payload::Done) }]);
    });
    Ok(())
}

/// Finishes what was accepted and closes a store. Blocks.
#[napi(catch_unwind)]
pub fn store_close_sync(store: &External<StoreHandle>) {
    store.opened.store.close_blocking();
    store.hub.forget_finished();
}
