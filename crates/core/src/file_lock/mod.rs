//! Exclusive and shared locks on a file, between processes and within one (`flock`).
//!
//! The kernel frees a lock when its holder dies: there is no stale lock, no lease and no age.
//!
//! Invariants
//! - L-1 A lock is held only on the file that the path leads to: after each grant the locked file
//!   is compared with the path, and the attempt starts again if the file was replaced.
//! - L-2 Waiting is done in a blocking `flock`, by one thread per process and path; who polls
//!   beside processes that block starves.
//! - L-3 A wait that is over, by its deadline or because its caller took it back, keeps no lock: a
//!   late grant goes to the next in line, or is released at once.
//! - L-4 A lock file is never written to and never removed.
//! - L-5 A lock call that fails keeps no lock, whether it was granted or not: what it may have
//!   locked is freed and closed.
//!
//! Waiting is the commit path ([`crate::group_commit`]) with groups of one: an operation is "give
//! me the lock", its result the locked file.
//!
//! Recovery: none needed.
//!
//! Not promised: exclusion from programs that use `fcntl` locks, or on network file systems.

mod lock_file;

use std::fmt::{self, Debug};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tidemark_storage::{File, LockMode, Site, Storage};

pub(crate) use self::lock_file::LockFile;
use crate::error::{Error, Result};
use crate::event::Events;
use crate::group_commit::{
    Engine, Enqueued, GroupCommit, Limits, LockWait, Outbox, Pending, Request, Sink, Ticket,
};
use crate::path::RealPath;
use crate::poison::Poison;
use crate::registry::Registry;

/// Mode of a lock file that is made.
const NEW_FILE_MODE: u32 = 0o600;

/// A lock that is held. Dropping it frees it.
pub struct FileLock {
    file: Arc<dyn File>,
    path: PathBuf,
}

impl FileLock {
    /// Takes the lock if nobody has to be waited for. Blocks on the file system, not on the lock.
    ///
    /// # Errors
    /// As for [`LockRequests::open`].
    pub fn try_acquire(
        storage: &Arc<dyn Storage>,
        path: &Path,
        mode: LockMode,
        allow_network: bool,
    ) -> Result<Option<Self>> {
        let real = RealPath::resolve(storage.as_ref(), path)?;
        crate::path::durability(storage.as_ref(), &real.directory, allow_network)?;
        let mut lock = LockFile::new(storage, real.file.clone(), NEW_FILE_MODE);
        let granted = lock.try_acquire(mode)?;
        let path = real.file;
        Ok(lock.take().filter(|_| granted).map(|file| Self { file, path }))
    }

    /// Waits for the lock on the caller's thread: the straight-line form that simulations drive.
    /// `is_wanted` is asked once it is granted: a late grant is released at once (L-3).
    ///
    /// # Errors
    /// As for [`LockRequests::open`].
    pub fn acquire_inline(
        storage: &Arc<dyn Storage>,
        path: &Path,
        mode: LockMode,
        is_wanted: impl FnOnce() -> bool,
    ) -> Result<Option<Self>> {
        let real = RealPath::resolve(storage.as_ref(), path)?;
        let lock = LockFile::new(storage, real.file.clone(), NEW_FILE_MODE);
        let mut engine = LockEngine { lock, path: real.file };
        engine.acquire(mode, &LockWait::unwatched())?;
        if !is_wanted() {
            engine.release();
            return Ok(None);
        }
        let path = engine.path;
        Ok(engine.lock.take().map(|file| Self { file, path }))
    }

    /// The lock file's real path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // The explicit call matters while a child process, forked and not yet executed, shares the
        // descriptor: closing alone would leave the lock with it.
        let _freed = self.file.unlock(Site::LockRelease);
    }
}

impl Debug for FileLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileLock({})", self.path.display())
    }
}

/// The open lock queues of a process.
pub type LockRegistry = Registry<LockQueue>;

/// Who waits for one lock file in this process.
#[derive(Debug)]
pub struct LockQueue {
    commit: GroupCommit<LockMode, FileLock>,
    storage: Arc<dyn Storage>,
}

/// A place in a lock queue. Dropping it does not take back what was asked for.
#[derive(Debug)]
pub struct LockRequests {
    queue: Arc<LockQueue>,
}

impl LockRequests {
    /// Opens the queue of a lock file, which need not exist yet.
    ///
    /// # Errors
    /// `TIDEMARK_INVALID_ARGUMENT` for a path that cannot be a regular file's, `TIDEMARK_IO`,
    /// `TIDEMARK_UNSUPPORTED` on a network file system.
    pub fn open(
        registry: &LockRegistry,
        storage: &Arc<dyn Storage>,
        path: &Path,
        allow_network: bool,
    ) -> Result<Self> {
        let real = RealPath::resolve(storage.as_ref(), path)?;
        crate::path::durability(storage.as_ref(), &real.directory, allow_network)?;
        let attach = |queue: &Arc<LockQueue>| {
            Ok(queue.commit.attach().map(|_users| Self { queue: Arc::clone(queue) }))
        };
        registry.open(real.id.clone(), attach, || {
            let poison = Poison::new(Events::default());
            let limits = Limits { group_ops_max: 1, ..Limits::default() };
            let queue = Arc::new(LockQueue {
                commit: GroupCommit::new(limits, poison, Arc::clone(storage)),
                storage: Arc::clone(storage),
            });
            let lock = LockFile::new(storage, real.file.clone(), NEW_FILE_MODE);
            let owner = Arc::clone(&queue);
            queue.commit.start(LockEngine { lock, path: real.file }, owner)?;
            Ok((Arc::clone(&queue), Self { queue }))
        })
    }

    /// Asks for the lock; it goes to the sink when it is granted.
    ///
    /// # Errors
    /// `TIDEMARK_POISONED` if the queue's thread panicked.
    pub fn enqueue(
        &self,
        mode: LockMode,
        timeout: Duration,
        ticket: Ticket,
        sink: &Arc<dyn Sink<FileLock>>,
    ) -> Result<Enqueued> {
        let deadline = Some(self.queue.storage.monotonic().saturating_add(timeout));
        let request = Request { op: mode, size_bytes: 0, deadline, ticket, sink, wake: true };
        self.queue.commit.enqueue(request)
    }

    /// Takes a request back; false if it is granted already.
    #[must_use]
    pub fn withdraw(&self, ticket: Ticket, sink: &Arc<dyn Sink<FileLock>>) -> bool {
        self.queue.commit.withdraw(ticket, sink)
    }

    /// Asks for the lock and waits. Blocks.
    ///
    /// # Errors
    /// `TIDEMARK_LOCK_TIMEOUT`, `TIDEMARK_IO`.
    pub fn acquire(&self, mode: LockMode, timeout: Duration) -> Result<FileLock> {
        let deadline = self.queue.storage.monotonic().saturating_add(timeout);
        self.queue.commit.call(&mode, 0, Some(deadline))
    }
}

impl Drop for LockRequests {
    fn drop(&mut self) {
        self.queue.commit.detach(|| ());
    }
}

/// Waits for the lock, and gives it away.
#[derive(Debug)]
struct LockEngine {
    lock: LockFile,
    path: PathBuf,
}

impl Engine for LockEngine {
    type Op = LockMode;
    type Output = FileLock;
    type Claim = LockMode;

    fn claim(op: &LockMode) -> LockMode {
        *op
    }

    fn acquire(&mut self, mode: LockMode, wait: &LockWait) -> Result<()> {
        self.lock.acquire(mode, wait)
    }

    fn commit(
        &mut self,
        group: Vec<Pending<LockMode, FileLock>>,
        outbox: &mut Outbox<FileLock>,
    ) -> Vec<Pending<LockMode, FileLock>> {
        for Pending { receipt, .. } in group {
            let path = self.path.clone();
            let lock = self.lock.take().map(|file| FileLock { file, path });
            outbox.settle(receipt, lock.ok_or_else(Error::closed));
        }
        Vec::new()
    }

    /// Frees what nobody wanted any more (L-3); nothing if it was given away.
    fn release(&mut self) {
        self.lock.release();
    }
}
