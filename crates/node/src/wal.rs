//! An open write-ahead log.
//!
//! Hot paths are free functions that take a handle: a method of a class costs twice as much. A
//! list of records crosses as its bytes, one record after another, and the size of each. What is
//! read: `wal_read`, `wal_follower`.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use napi::bindgen_prelude::{BigInt, External, Object, Uint8Array};
use napi::{Either, Env, Error, Result, Status};
use napi_derive::napi;
use tidemark_core::event::Observer;
use tidemark_core::group_commit::Sink;
use tidemark_core::wal::{
    Io, Records, RecoveryMode, SyncOverride, Wal, WalOp, WalOptions as CoreOptions, WalOutcome,
};

use crate::channel::Channel;
use crate::drain::Drain;
use crate::failure::Failure;
use crate::hub::{Hub, HubInner};
use crate::metrics;
use crate::payload::{Message, Payload};
use crate::process::PROCESS;
use crate::sink::StoreSink;

/// A log on its way from the thread that opened it to its environment.
pub(crate) struct OpenedWal {
    wal: Arc<Wal>,
    sink: Arc<dyn Sink<WalOutcome>>,
    /// Kept for as long as the environment wants to hear of events.
    _observer: Arc<dyn Observer>,
    id: u32,
    exit_drain: Duration,
}

impl OpenedWal {
    fn new(wal: Wal, id: u32, channel: &Arc<Channel>, exit_drain: Duration) -> Self {
        let sink = Arc::new(StoreSink { store: id, channel: Arc::clone(channel) });
        let observer: Arc<dyn Observer> = Arc::clone(&sink) as Arc<dyn Observer>;
        wal.subscribe(&observer);
        Self { wal: Arc::new(wal), sink, _observer: observer, id, exit_drain }
    }
}

/// A log in the hands of its environment. Collected as garbage, it is closed.
pub struct WalHandle {
    opened: OpenedWal,
    hub: Rc<HubInner>,
}

impl WalHandle {
    pub(crate) fn new(opened: OpenedWal, hub: Rc<HubInner>) -> Self {
        hub.register(Arc::clone(&opened.wal) as Arc<dyn Drain>, opened.exit_drain);
        Self { opened, hub }
    }

    pub(crate) const fn wal(&self) -> &Arc<Wal> {
        &self.opened.wal
    }

    pub(crate) fn hub(&self) -> &Rc<HubInner> {
        &self.hub
    }

    fn enqueue(&self, env: &Env, ticket: u32, op: WalOp) -> Result<Either<bool, Failure>> {
        let OpenedWal { wal, sink, id, .. } = &self.opened;
        self.hub.enqueued(env, *id, wal, wal.enqueue(op, u64::from(ticket), sink))
    }
}

impl Drop for WalHandle {
    fn drop(&mut self) {
        // The hub keeps the log until what it accepted is settled.
        self.opened.wal.close(|| ());
        self.hub.forget_finished();
    }
}

/// The options of a log; the facade has checked and completed them.
#[expect(clippy::struct_excessive_bools, reason = "JavaScript gives them as such")]
#[napi(object)]
pub struct WalOptions {
    /// `immediate`, `immediate_async` or `interval_<milliseconds>`.
    pub sync: String,
    /// Whether segments are mapped.
    pub mapped: bool,
    /// Size of new segments.
    pub segment_bytes: u32,
    /// Size of the largest record.
    pub max_record_bytes: Option<u32>,
    /// Whether a torn tail is refused.
    pub strict: bool,
    /// Whether nothing is written.
    pub read_only: bool,
    /// Bytes that may be queued or in commit.
    pub max_in_flight_bytes: u32,
    /// How long the end of the process waits for what was accepted, in milliseconds.
    pub exit_drain_ms: u32,
    /// Whether to open on a file system whose locks and syncs may not reach the disk.
    pub allow_network_fs: bool,
}

/// What appends a list beside its records.
#[napi(object)]
pub struct WalBatch {
    /// The LSN that the first record must get.
    pub expect: Option<BigInt>,
    /// Whether the hard state changes, too.
    pub sets_hard_state: bool,
    /// What it becomes.
    pub hard_state: Option<Uint8Array>,
}

/// A number that the facade has checked.
pub(crate) fn lsn(number: &BigInt) -> Result<u64> {
    match number.get_u64() {
        (false, lsn, true) => Ok(lsn),
        _ => Err(malformed()),
    }
}

/// Arguments that are not what the facade sends.
fn malformed() -> Error {
    Error::new(Status::InvalidArg, "other arguments than the facade's".to_owned())
}

/// The level of one call: 0 the log's own, 1 immediate, 2 immediate, but asynchronous.
const fn level(sync: u32) -> Option<SyncOverride> {
    match sync {
        0 => None,
        1 => Some(SyncOverride::Immediate),
        _ => Some(SyncOverride::ImmediateAsync),
    }
}

fn append(records: Records, sync: u32) -> WalOp {
    let records = Arc::new(records);
    WalOp::Append { records, expect: None, hard_state: None, sync: level(sync) }
}

/// Opens a log, on a thread of its own; the ticket is the log's id from then on.
///
/// # Errors
/// If the environment is going away.
#[napi(catch_unwind)]
pub fn wal_open(
    env: &Env,
    hub: &Hub,
    ticket: u32,
    path: String,
    options: WalOptions,
) -> Result<()> {
    let exit_drain = Duration::from_millis(u64::from(options.exit_drain_ms));
    let bytes = |bytes: u32| usize::try_from(bytes).unwrap_or(usize::MAX);
    let channel = Arc::clone(&hub.inner.channel);
    hub.inner.run_once(env, ticket, move || {
        let core = CoreOptions {
            sync: options.sync.parse()?,
            io: if options.mapped { Io::Mapped } else { Io::Positional },
            segment_bytes: options.segment_bytes,
            record_bytes_max: options.max_record_bytes.map(bytes),
            recovery: if options.strict { RecoveryMode::Strict } else { RecoveryMode::Tail },
            read_only: options.read_only,
            in_flight_bytes_max: bytes(options.max_in_flight_bytes),
            allow_network_fs: options.allow_network_fs,
        };
        let wal = Wal::open(&PROCESS.wals, &PROCESS.storage, &PathBuf::from(path), core)?;
        Ok(Payload::Wal(OpenedWal::new(wal, ticket, &channel, exit_drain)))
    })
}

/// Hands a record over: true if accepted, false if there is no room (a message tells when there
/// may be). `sync` is 0 for the log's own level, 1 for immediate, 2 for `immediate_async`.
///
/// # Errors
/// If the environment is going away.
#[napi(catch_unwind)]
pub fn wal_append(
    env: &Env,
    wal: &External<WalHandle>,
    ticket: u32,
    record: &[u8],
    sync: u32,
) -> Result<Either<bool, Failure>> {
    wal.enqueue(env, ticket, append(Records::one(record.to_vec()), sync))
}

/// As `walAppend`, at the log's level, and waits for the LSN. Blocks.
#[napi(catch_unwind)]
pub fn wal_append_sync(wal: &External<WalHandle>, record: &[u8]) -> Either<BigInt, Failure> {
    match wal.wal().call(&append(Records::one(record.to_vec()), 0)) {
        Ok(outcome) => Either::A(BigInt::from(outcome_lsns(outcome)[0])),
        Err(error) => Either::B(Failure::from(error)),
    }
}

/// Hands a list over, as `walAppend` does a record: the bytes of all, and the size of each.
///
/// # Errors
/// For sizes that do not add up.
#[napi(catch_unwind)]
pub fn wal_append_many(
    env: &Env,
    wal: &External<WalHandle>,
    ticket: u32,
    records: &[u8],
    sizes: &[u32],
    sync: u32,
    batch: Option<WalBatch>,
) -> Result<Either<bool, Failure>> {
    let records = Records::packed(records.to_vec(), sizes).ok_or_else(malformed)?;
    let mut op = append(records, sync);
    if let WalOp::Append { expect, hard_state, .. } = &mut op
        && let Some(batch) = batch
    {
        *expect = batch.expect.as_ref().map(lsn).transpose()?;
        *hard_state = batch.sets_hard_state.then(|| batch.hard_state.as_deref().map(Arc::from));
    }
    wal.enqueue(env, ticket, op)
}

/// Hands a new hard state over, or none.
///
/// # Errors
/// If the environment is going away.
#[napi(catch_unwind)]
pub fn wal_set_hard_state(
    env: &Env,
    wal: &External<WalHandle>,
    ticket: u32,
    state: Option<&[u8]>,
) -> Result<Either<bool, Failure>> {
    wal.enqueue(env, ticket, WalOp::SetHardState(state.map(Arc::from)))
}

/// Takes back every entry after an LSN.
///
/// # Errors
/// If the environment is going away.
#[napi(catch_unwind)]
pub fn wal_truncate(
    env: &Env,
    wal: &External<WalHandle>,
    ticket: u32,
    after: BigInt,
) -> Result<Either<bool, Failure>> {
    wal.enqueue(env, ticket, WalOp::Truncate { after: lsn(&after)? })
}

/// Gives up every entry before an LSN.
///
/// # Errors
/// If the environment is going away.
#[napi(catch_unwind)]
pub fn wal_purge(
    env: &Env,
    wal: &External<WalHandle>,
    ticket: u32,
    before: BigInt,
) -> Result<Either<bool, Failure>> {
    wal.enqueue(env, ticket, WalOp::Purge { before: lsn(&before)? })
}

/// Asks for a sync of all that was handed over before.
///
/// # Errors
/// If the environment is going away.
#[napi(catch_unwind)]
pub fn wal_sync(
    env: &Env,
    wal: &External<WalHandle>,
    ticket: u32,
) -> Result<Either<bool, Failure>> {
    wal.enqueue(env, ticket, WalOp::Sync)
}

/// Takes an operation back; false if it is in a commit or settled already.
///
/// # Errors
/// If the environment is going away.
#[napi(catch_unwind)]
pub fn wal_withdraw(env: &Env, wal: &External<WalHandle>, ticket: u32) -> Result<bool> {
    let withdrawn = wal.wal().withdraw(u64::from(ticket), &wal.opened.sink);
    if withdrawn {
        wal.hub.pending.remove(env, &wal.hub.channel, 1)?;
    }
    Ok(withdrawn)
}

/// What a log can promise, and what opening it found.
#[napi(object)]
pub struct WalInfo {
    /// `proven`, `unproven` or `none`.
    pub durability: String,
    /// Why it is not `proven`, if the file system is to blame.
    pub weakness: Option<String>,
    /// Whether the log had been closed: there was nothing to mend.
    pub was_closed: bool,
    /// Bytes that were read to find the end.
    pub scanned_bytes: f64,
    /// Bytes that were valid but not proven, and were written again.
    pub copied_bytes: f64,
    /// Bytes of a torn tail.
    pub cut_bytes: f64,
    /// Files in quarantine that hold them.
    pub quarantined: Vec<String>,
    /// For a reader without a writer: the last LSN that is proven.
    pub proven_last: Option<BigInt>,
}

/// What a log can promise, and what opening it found.
#[napi(catch_unwind)]
#[must_use]
pub fn wal_info(wal: &External<WalHandle>) -> WalInfo {
    #[expect(clippy::cast_precision_loss, reason = "no segment has 2^53 bytes")]
    let number = |bytes: u64| bytes as f64;
    let wal = wal.wal();
    let recovery = wal.recovery();
    let quarantined = recovery.quarantined.iter();
    WalInfo {
        durability: metrics::durability(wal.durability()),
        weakness: wal.weakness().map(str::to_owned),
        was_closed: recovery.was_closed,
        scanned_bytes: number(recovery.scanned_bytes),
        copied_bytes: number(recovery.copied_bytes),
        cut_bytes: number(recovery.cut_bytes),
        quarantined: quarantined.map(|path| path.to_string_lossy().into_owned()).collect(),
        proven_last: recovery.proven_last.map(BigInt::from),
    }
}

/// The figures of a log.
///
/// # Errors
/// If the environment is going away.
#[napi(catch_unwind, ts_return_type = "StoreMetrics")]
pub fn wal_metrics<'env>(env: &'env Env, wal: &External<WalHandle>) -> Result<Object<'env>> {
    metrics::into_js(env, wal.wal().metrics())
}

/// Closes a log; settles when nothing of it is open any more, or at once if another handle is.
///
/// # Errors
/// If the environment is going away.
#[napi(catch_unwind)]
pub fn wal_close(env: &Env, wal: &External<WalHandle>, ticket: u32) -> Result<()> {
    wal.hub.pending.add(env, &wal.hub.channel)?;
    let channel = Arc::clone(&wal.hub.channel);
    wal.wal().close(move || {
        channel.send(vec![Message::Settled { ticket, result: Ok(Payload::Done) }]);
    });
    Ok(())
}

/// Finishes what was accepted and closes a log. Blocks.
#[napi(catch_unwind)]
pub fn wal_close_sync(wal: &External<WalHandle>) {
    wal.wal().close_blocking();
    wal.hub().forget_finished();
}

/// The two numbers that tell what an operation came to.
pub(crate) const fn outcome_lsns(outcome: WalOutcome) -> [u64; 2] {
    match outcome {
        WalOutcome::Appended { first, last } => [first, last],
        WalOutcome::Synced(last) => [last, last],
        WalOutcome::Done => [0, 0],
    }
}
