//! The commit path: operations queue up, one thread commits them in groups, each gets a result.
//!
//! Knows neither checkpoints nor files: a store brings an [`Engine`], the log will bring another.
//! The protocol and its invariants GC-1 to GC-11 are in `docs/commit-path.md`.
//!
//! ```text
//! caller --enqueue--> queue --a group--> commit thread: acquire, commit, release --deliver--> sink
//!                       ^                      | blocked in a lock
//!                       +--- watchdog: rejects tickets at their deadline meanwhile
//! ```
//!
//! Recovery: none here; what was accepted and not settled dies with the process.
//!
//! Not promised: a bound on how long a sync takes; fairness beyond the order of arrival.

mod committer;
mod direct;
mod inline;
mod lock_wait;
mod outbox;
mod queue;
mod watchdog;

#[cfg(test)]
mod tests;

use std::any::Any;
use std::fmt::{self, Debug};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tidemark_storage::Storage;

use self::direct::{Direct, Slot};
pub use self::inline::{commit_inline, due_inline, finish_inline};
pub use self::lock_wait::LockWait;
pub use self::outbox::{Blocking, Outbox, Pending, Receipt, Settled, Sink, Ticket};
pub use self::queue::CommitMetrics;
use self::queue::Shared;
use crate::error::{Error, ErrorKind, Result};
use crate::poison::Poison;

/// What a store does with its operations. Called on its commit thread, but for what
/// [`DirectEngine`] says.
pub trait Engine: Send + 'static {
    /// What a caller asks for.
    type Op: Send + 'static;
    /// What the caller gets.
    type Output: Send + 'static;
    /// What must be acquired for an operation. A group holds only equal claims.
    type Claim: Copy + PartialEq + Send;

    /// What must be acquired for this operation.
    fn claim(op: &Self::Op) -> Self::Claim;

    /// Acquires what a commit needs, such as a file lock. Whatever may wait long is done inside
    /// [`LockWait::during`], so that tickets time out meanwhile (GC-6).
    ///
    /// # Errors
    /// Rejects everything that is queued with this claim.
    fn acquire(&mut self, claim: Self::Claim, wait: &LockWait) -> Result<()>;

    /// Commits a group: at least one operation, in the order of acceptance, of one claim. Each
    /// receipt is settled through the outbox when its result is true on the medium (GC-5); an
    /// engine may keep some until [`Engine::on_due`].
    ///
    /// Returns the end of the group that it has not begun with because what it acquired does not
    /// count any more; that is queued again, first and in its order (GC-10).
    fn commit(
        &mut self,
        group: Vec<Pending<Self::Op, Self::Output>>,
        outbox: &mut Outbox<Self::Output>,
    ) -> Vec<Pending<Self::Op, Self::Output>>;

    /// Frees what [`Engine::acquire`] took. Called after every success of it.
    fn release(&mut self);

    /// When the engine wants to be called though nothing is queued (in [`Storage::monotonic`]
    /// time).
    fn due(&self) -> Option<Duration> {
        None
    }

    /// Called at [`Engine::due`], or later.
    fn on_due(&mut self, _outbox: &mut Outbox<Self::Output>) {}

    /// Called when nobody uses the queue any more and it is empty: settle what was kept. The thread
    /// ends next; nobody can attach any more.
    fn finish(&mut self, _outbox: &mut Outbox<Self::Output>) {}

    /// Called last, also after a panic: frees what others wait for. It is not left to the end of
    /// the descriptors, which a process just being started may share for a moment.
    fn let_go(&mut self) {}
}

/// An engine that never waits for a lock, so that a blocking caller may commit on its own thread.
pub trait DirectEngine: Engine {
    /// Commits an operation, as a group of its own: returns when its result is true, on the medium
    /// as far as the operation asks for that. Called on the caller's thread, as is then
    /// [`Engine::due`].
    ///
    /// # Errors
    /// Whatever the operation comes to.
    fn commit_one(&mut self, op: &Self::Op) -> Result<Self::Output>;
}

/// The limits of one commit path.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes that may be queued or in commit (GC-4).
    pub in_flight_bytes_max: usize,
    /// Bytes in one group; bounds how long a group holds the lock.
    pub group_bytes_max: usize,
    /// Operations in one group.
    pub group_ops_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { in_flight_bytes_max: 16 << 20, group_bytes_max: 4 << 20, group_ops_max: usize::MAX }
    }
}

/// What became of an attempt to enqueue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// The queue has it; it will be settled.
    Accepted,
    /// There is no room; [`Sink::credit`] tells when to try again. Nothing was kept.
    Full,
}

/// An operation on its way in.
pub struct Request<'a, Op, T> {
    /// What to do.
    pub op: Op,
    /// What it counts for in [`Limits`].
    pub size_bytes: usize,
    /// When to give up waiting for a lock, in [`Storage::monotonic`] time.
    pub deadline: Option<Duration>,
    /// The caller's number for it; unique within the sink.
    pub ticket: Ticket,
    /// Where the result goes.
    pub sink: &'a Arc<dyn Sink<T>>,
    /// Whether the commit thread is to begin at once, or the caller has more to hand over and will
    /// call [`GroupCommit::wake`] when that is done.
    pub wake: bool,
}

impl<Op: Debug, T> Debug for Request<'_, Op, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({}, {:?})", self.ticket, self.op)
    }
}

/// One commit path: a queue and the thread that empties it. Shared by the handles of a store.
pub struct GroupCommit<Op, T> {
    shared: Arc<Shared<Op, T>>,
    /// For stores whose callers may commit on their own threads.
    direct: OnceLock<Direct<Op, T>>,
}

impl<Op: Send + 'static, T: Send + 'static> GroupCommit<Op, T> {
    /// A queue with one user attached and no thread yet.
    #[must_use]
    pub fn new(limits: Limits, poison: Poison, storage: Arc<dyn Storage>) -> Self {
        let shared = Arc::new(Shared::new(limits, poison, storage));
        Self { shared, direct: OnceLock::new() }
    }

    /// Starts the commit thread. It keeps `owner` until it ends: a store that is opened again
    /// while the thread still waits for a lock can be found, and served by the same thread (GC-8).
    ///
    /// # Errors
    /// `TIDEMARK_IO` if the system gives no thread.
    pub fn start<E>(&self, engine: E, owner: Arc<dyn Any + Send + Sync>) -> Result<()>
    where
        E: Engine<Op = Op, Output = T>,
    {
        self.start_slot(Arc::new(Slot::new(engine)), owner)
    }

    /// As [`GroupCommit::start`], for an engine that never waits for a lock: a blocking call that
    /// finds nothing queued commits on its own thread.
    ///
    /// # Errors
    /// As for [`GroupCommit::start`].
    pub fn start_direct<E>(&self, engine: E, owner: Arc<dyn Any + Send + Sync>) -> Result<()>
    where
        E: DirectEngine<Op = Op, Output = T>,
    {
        let slot = Arc::new(Slot::new(engine));
        let _the_first = self.direct.set(direct::direct(&self.shared, &slot));
        self.start_slot(slot, owner)
    }

    fn start_slot<E>(&self, slot: Arc<Slot<E>>, owner: Arc<dyn Any + Send + Sync>) -> Result<()>
    where
        E: Engine<Op = Op, Output = T>,
    {
        let shared = Arc::clone(&self.shared);
        spawn("tidemark-commit", move || committer::run(&shared, &slot, owner))
    }

    /// Hands an operation over.
    ///
    /// # Errors
    /// `TIDEMARK_CLOSED`, `TIDEMARK_POISONED`.
    pub fn enqueue(&self, request: Request<'_, Op, T>) -> Result<Enqueued> {
        self.shared.enqueue(request)
    }

    /// Has the commit thread begin, after requests that did not.
    pub fn wake(&self) {
        self.shared.wake();
    }

    /// Takes back what is still queued (GC-3). False: it is in a commit or settled already.
    #[must_use]
    pub fn withdraw(&self, ticket: Ticket, sink: &Arc<dyn Sink<T>>) -> bool {
        self.shared.withdraw(ticket, sink)
    }

    /// Hands an operation over, waiting for room, and waits for its result. Blocks.
    ///
    /// # Errors
    /// Whatever the operation comes to.
    pub fn call(&self, op: &Op, size_bytes: usize, deadline: Option<Duration>) -> Result<T>
    where
        Op: Clone,
    {
        if let Some(result) = self.direct.get().and_then(|direct| direct(op, size_bytes)) {
            return result;
        }
        let blocking = Arc::new(Blocking::default());
        let sink: Arc<dyn Sink<T>> = Arc::clone(&blocking) as Arc<dyn Sink<T>>;
        loop {
            let request = Request {
                op: op.clone(),
                size_bytes,
                deadline,
                ticket: 0,
                sink: &sink,
                wake: true,
            };
            match self.enqueue(request)? {
                Enqueued::Accepted => return blocking.wait(),
                Enqueued::Full => blocking.wait_for_credit(),
            }
        }
    }

    /// Waits until everything accepted is settled; false if that took longer than `timeout`.
    #[must_use]
    pub fn drain(&self, timeout: Duration) -> bool {
        self.shared.drain(timeout)
    }

    /// Adds a user, and tells how many there are now. Nothing: the thread has ended or the store
    /// is poisoned; start another one.
    #[must_use]
    pub fn attach(&self) -> Option<usize> {
        self.shared.attach()
    }

    /// Removes a user; the last one closes the queue (GC-8). `done` is called when the thread has
    /// ended and dropped the engine, or at once if others use it or it waits for a lock.
    pub fn detach(&self, done: impl FnOnce() + Send + 'static) {
        self.shared.detach(Box::new(done));
    }

    /// Whether anybody has it open.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.shared.is_used()
    }

    /// What this path counts.
    #[must_use]
    pub fn metrics(&self) -> &CommitMetrics {
        &self.shared.metrics
    }

    /// Operations queued or in commit, and their bytes.
    #[must_use]
    pub fn depth(&self) -> (usize, usize) {
        self.shared.depth()
    }
}

impl<Op, T> Debug for GroupCommit<Op, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupCommit")
    }
}

/// Starts one of our threads.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body).map(drop).map_err(|error| {
        Error::new(ErrorKind::Io, format!("the system gives no thread: {error}")).caused_by(error)
    })
}
