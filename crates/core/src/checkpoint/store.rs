//! The handle on an open checkpoint store, the same for every kind of store.
//!
//! Handles share an instance: one view, one commit path, one I/O thread. The last handle to close
//! ends it (GC-8).

use std::any::Any;
use std::fmt::{self, Debug};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidemark_storage::Storage;

use super::merge::{Condition, DeleteOutcome, Op, Outcome, PutOutcome};
use super::view::View;
use super::{Checkpoint, EVENT_ID_BYTES_MAX, ResumeKey};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Events, Observer};
use crate::group_commit::{Engine, Enqueued, GroupCommit, Limits, Request, Sink, Ticket};
use crate::io_thread::IoThread;
use crate::latch::Latch;
use crate::metrics::{Metric, Metrics};
use crate::poison::Poison;

/// What an acknowledged write survives, as far as the file system can promise it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A killed process, a crash of the operating system and a power cut.
    Proven,
    /// A killed process; beyond that the file system cannot be trusted, or does not tell.
    Unproven,
    /// Nothing: it is kept in memory.
    None,
}

/// What was repaired since a store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Files that were moved into quarantine, by their new names.
    pub quarantined: Vec<PathBuf>,
}

/// What is behind the memory of a store.
pub(crate) trait Backing: Debug + Send + Sync {
    /// Brings the view up to what is on disk. Blocks.
    fn refresh(&self) -> Result<()>;
    /// What the store can promise.
    fn durability(&self) -> Durability;
    /// Why it can promise no more, if that is the file system's fault.
    fn weakness(&self) -> Option<&str> {
        None
    }
    /// What was repaired.
    fn recovery(&self) -> RecoveryReport {
        RecoveryReport::default()
    }
    /// What it counts.
    fn metrics(&self) -> Metrics;
    /// Closes what is open: the store has ended.
    fn release(&self) {}
}

/// What a store is made of.
pub(crate) struct Parts {
    pub(crate) backing: Box<dyn Backing>,
    pub(crate) view: Arc<View>,
    pub(crate) events: Events,
    /// Shared with the engine, if the engine may poison the store.
    pub(crate) poison: Option<Poison>,
    pub(crate) lock_timeout: Option<Duration>,
    pub(crate) storage: Arc<dyn Storage>,
}

/// What the handles of one store share.
#[derive(Debug)]
pub(crate) struct Instance {
    commit: GroupCommit<Op, Outcome>,
    backing: Box<dyn Backing>,
    view: Arc<View>,
    events: Events,
    io: IoThread,
    lock_timeout: Mutex<Option<Duration>>,
    storage: Arc<dyn Storage>,
}

/// Held by the commit thread: when it ends, nothing of the store stays open, whatever handles on
/// it JavaScript has not collected yet.
#[derive(Debug)]
struct Tenure {
    instance: Arc<Instance>,
    _owner: Arc<dyn Any + Send + Sync>,
}

impl Drop for Tenure {
    fn drop(&mut self) {
        self.instance.io.end();
        self.instance.backing.release();
    }
}

/// A handle on an open checkpoint store. Dropping it closes it without waiting.
pub struct Store {
    instance: Arc<Instance>,
    closed: AtomicBool,
}

impl Instance {
    /// Adds a handle; nothing if the instance has ended or is poisoned.
    /// Also tells how many there are now.
    pub(crate) fn attach(self: &Arc<Self>) -> Option<(Store, usize)> {
        let users = self.commit.attach()?;
        Some((Store { instance: Arc::clone(self), closed: AtomicBool::new(false) }, users))
    }

    /// How long later operations wait for the lock.
    pub(crate) fn set_lock_timeout(&self, timeout: Option<Duration>) {
        *self.lock_timeout.lock().unwrap_or_else(PoisonError::into_inner) = timeout;
    }

    fn deadline(&self) -> Option<Duration> {
        let timeout = *self.lock_timeout.lock().unwrap_or_else(PoisonError::into_inner);
        timeout.map(|timeout| self.storage.monotonic().saturating_add(timeout))
    }
}

impl Store {
    /// A store whose commit thread has not started yet.
    pub(crate) fn new(parts: Parts) -> Self {
        let poison = parts.poison.unwrap_or_else(|| Poison::new(parts.events.clone()));
        let storage = Arc::clone(&parts.storage);
        let instance = Arc::new(Instance {
            commit: GroupCommit::new(Limits::default(), poison, storage),
            backing: parts.backing,
            view: parts.view,
            events: parts.events,
            io: IoThread::default(),
            lock_timeout: Mutex::new(parts.lock_timeout),
            storage: parts.storage,
        });
        Self { instance, closed: AtomicBool::new(false) }
    }

    /// Starts the commit thread, which keeps `owner` until it ends.
    pub(crate) fn start<E>(&self, engine: E, owner: Arc<dyn Any + Send + Sync>) -> Result<()>
    where
        E: Engine<Op = Op, Output = Outcome>,
    {
        let tenure = Tenure { instance: Arc::clone(&self.instance), _owner: owner };
        self.instance.commit.start(engine, Arc::new(tenure))
    }

    pub(crate) fn instance(&self) -> &Arc<Instance> {
        &self.instance
    }

    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(Error::closed()) } else { Ok(()) }
    }

    /// The checkpoint of a key, as this process knows it. Touches no disk.
    ///
    /// # Errors
    /// `TIDEMARK_CLOSED`.
    pub fn get(&self, key: &ResumeKey) -> Result<Option<Checkpoint>> {
        self.check_open()?;
        Ok(self.instance.view.get(key))
    }

    /// Every checkpoint that this process knows, sorted by digest. Touches no disk.
    ///
    /// # Errors
    /// `TIDEMARK_CLOSED`.
    pub fn entries(&self) -> Result<Vec<(ResumeKey, Checkpoint)>> {
        self.check_open()?;
        Ok(self.instance.view.entries())
    }

    /// Number of checkpoints that this process knows.
    ///
    /// # Errors
    /// `TIDEMARK_CLOSED`.
    pub fn len(&self) -> Result<usize> {
        self.check_open()?;
        Ok(self.instance.view.len())
    }

    /// Whether this process knows of none.
    ///
    /// # Errors
    /// `TIDEMARK_CLOSED`.
    pub fn is_empty(&self) -> Result<bool> {
        self.len().map(|len| len == 0)
    }

    /// Brings what this process knows up to what is on disk. Blocks on I/O, never on a lock.
    ///
    /// # Durability
    /// What becomes visible is durable: file and directory are synced before.
    ///
    /// # Errors
    /// `TIDEMARK_CLOSED`, `TIDEMARK_IO`, and whatever the file's content deserves.
    pub fn refresh(&self) -> Result<()> {
        self.check_open()?;
        self.instance.backing.refresh()
    }

    /// Runs a job on this store's I/O thread, after those that were given before.
    ///
    /// # Errors
    /// `TIDEMARK_IO` if the system gives no thread.
    pub fn run_io(&self, job: impl FnOnce() + Send + 'static) -> Result<()> {
        self.instance.io.run(job)
    }

    /// Hands an operation over; its result goes to the sink. The commit begins with
    /// [`Store::wake`], so that all that a caller hands over in one go is one group.
    ///
    /// # Durability
    /// The result comes when what it reports is durable.
    ///
    /// # Errors
    /// `TIDEMARK_CLOSED`, `TIDEMARK_POISONED`; `TIDEMARK_INVALID_ARGUMENT` for an event id over
    /// [`EVENT_ID_BYTES_MAX`]; `TIDEMARK_UNSUPPORTED_KEY_FORMAT_VERSION`.
    pub fn enqueue(
        &self,
        op: Op,
        ticket: Ticket,
        sink: &Arc<dyn Sink<Outcome>>,
    ) -> Result<Enqueued> {
        self.check_open()?;
        let size_bytes = check_op(&op)?;
        let deadline = self.instance.deadline();
        let request = Request { op, size_bytes, deadline, ticket, sink, wake: false };
        self.instance.commit.enqueue(request)
    }

    /// Begins with what was handed over.
    pub fn wake(&self) {
        self.instance.commit.wake();
    }

    /// Takes an operation back; false if it is in a commit or settled already.
    #[must_use]
    pub fn withdraw(&self, ticket: Ticket, sink: &Arc<dyn Sink<Outcome>>) -> bool {
        self.instance.commit.withdraw(ticket, sink)
    }

    /// Hands an operation over and waits for its result. Blocks.
    ///
    /// # Errors
    /// As for [`Store::enqueue`], and whatever the operation comes to.
    pub fn call(&self, op: &Op) -> Result<Outcome> {
        self.check_open()?;
        let size_bytes = check_op(op)?;
        self.instance.commit.call(op, size_bytes, self.instance.deadline())
    }

    /// Puts one checkpoint and waits. Blocks.
    ///
    /// # Errors
    /// As for [`Store::call`].
    pub fn put(&self, key: &ResumeKey, checkpoint: Checkpoint) -> Result<PutOutcome> {
        match self.call(&Op::Put(vec![(key.clone(), checkpoint)]))? {
            Outcome::Put(outcomes) => outcomes.into_iter().next().ok_or_else(mismatch),
            Outcome::Delete(_) => Err(mismatch()),
        }
    }

    /// Deletes one checkpoint and waits. Blocks.
    ///
    /// # Errors
    /// As for [`Store::call`].
    pub fn delete(&self, key: &ResumeKey, when: Condition) -> Result<DeleteOutcome> {
        match self.call(&Op::Delete(vec![(key.clone(), when)]))? {
            Outcome::Delete(outcomes) => outcomes.into_iter().next().ok_or_else(mismatch),
            Outcome::Put(_) => Err(mismatch()),
        }
    }

    /// Tells an observer of this store's events, for as long as somebody else keeps it.
    pub fn subscribe(&self, observer: &Arc<dyn Observer>) {
        self.instance.events.subscribe(observer);
    }

    /// What an acknowledged write survives.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.instance.backing.durability()
    }

    /// Why it survives no more than that, if the file system is to blame.
    #[must_use]
    pub fn weakness(&self) -> Option<&str> {
        self.instance.backing.weakness()
    }

    /// What was repaired since this store was opened.
    #[must_use]
    pub fn recovery(&self) -> RecoveryReport {
        self.instance.backing.recovery()
    }

    /// What this store counts; the names are API.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let commit = self.instance.commit.metrics();
        let (operations, bytes) = self.instance.commit.depth();
        let mut metrics = vec![
            ("keys", Metric::Gauge(self.instance.view.len() as u64)),
            ("inFlightOperations", Metric::Gauge(operations as u64)),
            ("inFlightBytes", Metric::Gauge(bytes as u64)),
            ("operations", Metric::Counter(commit.operations.get())),
            ("groups", Metric::Counter(commit.groups.get())),
            ("withdrawn", Metric::Counter(commit.withdrawn.get())),
            ("lockTimeouts", Metric::Counter(commit.lock_timeouts.get())),
            ("commitUs", Metric::Latency(commit.commit_us.summary())),
            ("lockWaitUs", Metric::Latency(commit.lock_wait_us.summary())),
        ];
        metrics.extend(self.instance.backing.metrics());
        metrics
    }

    /// Waits until everything accepted by this store, through whatever handle, is settled; false
    /// if that took longer than `timeout`. Blocks.
    #[must_use]
    pub fn drain(&self, timeout: Duration) -> bool {
        self.instance.commit.drain(timeout)
    }

    /// Whether this handle is closed and everything accepted is settled.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.closed.load(Ordering::Acquire) && self.instance.commit.depth().0 == 0
    }

    /// Closes this handle. What was accepted is finished (GC-8); `done` is called when nothing of
    /// this handle holds a descriptor any more, or at once if another handle is open or the lock
    /// is still being waited for. Closing twice does nothing more.
    pub fn close(&self, done: impl FnOnce() + Send + 'static) {
        if self.closed.swap(true, Ordering::AcqRel) {
            done();
        } else {
            self.instance.commit.detach(done);
        }
    }

    /// Finishes what was accepted, closes this handle and waits. Blocks.
    pub fn close_blocking(&self) {
        if self.instance.commit.depth().0 > 0 {
            // Operations settle in order: after this one, all that were accepted before it have.
            let _whatever_became_of_it = self.call(&Op::Put(Vec::new()));
        }
        let closed = Arc::new(Latch::default());
        let done = Arc::clone(&closed);
        self.close(move || done.set());
        closed.wait();
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close(|| ());
    }
}

impl Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({:?})", self.instance.backing)
    }
}

fn mismatch() -> Error {
    let message = "an operation came back as another; please report this bug";
    Error::new(ErrorKind::Internal, message).indeterminate()
}

/// Refuses what no store takes, and tells what the operation counts for in the queue's limits.
fn check_op(op: &Op) -> Result<usize> {
    const ELEMENT_BYTES: usize = 128;
    let mut size_bytes = 0;
    match op {
        Op::Put(puts) => {
            for (key, checkpoint) in puts {
                key.check_format_version()?;
                let id_bytes = checkpoint.last_event_id.as_deref().map_or(0, str::len);
                if id_bytes > EVENT_ID_BYTES_MAX {
                    let message = format!(
                        "an event id has at most {EVENT_ID_BYTES_MAX} bytes of UTF-8, this one \
                         has {id_bytes}"
                    );
                    return Err(Error::invalid_argument(message)
                        .with_sequence(checkpoint.last_committed_sequence));
                }
                size_bytes += ELEMENT_BYTES + id_bytes;
            }
        }
        Op::Delete(deletes) => {
            for (key, _) in deletes {
                key.check_format_version()?;
                size_bytes += ELEMENT_BYTES;
            }
        }
    }
    Ok(size_bytes)
}
