//! A blocking call that finds nothing queued and the engine free commits on its own thread: what it
//! costs is the commit, without two hand-overs between threads.
//!
//! The engine is under a mutex that is held from before an operation leaves the queue until its
//! group is done; whoever has it while the queue is empty is next in line, so that the order of
//! acceptance holds (GC-2). It is never waited for: whoever does not get it queues up.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::outbox::lost;
use super::queue::Shared;
use super::{DirectEngine, committer};
use crate::error::Result;

/// An engine, shared by the commit thread and by those who call; nothing once it has finished.
pub(super) struct Slot<E>(Mutex<Option<E>>);

impl<E> Slot<E> {
    pub(super) const fn new(engine: E) -> Self {
        Self(Mutex::new(Some(engine)))
    }

    /// After a panic too: somebody has to drop the engine.
    pub(super) fn lock(&self) -> MutexGuard<'_, Option<E>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing also after a panic of the commit thread, which has yet to poison the store: the
    /// engine commits nothing more.
    fn try_lock(&self) -> Option<MutexGuard<'_, Option<E>>> {
        self.0.try_lock().ok()
    }
}

/// Commits one operation on the caller's thread; nothing if others come first.
pub(super) type Direct<Op, T> = Arc<dyn Fn(&Op, usize) -> Option<Result<T>> + Send + Sync>;

pub(super) fn direct<E: DirectEngine>(
    shared: &Arc<Shared<E::Op, E::Output>>,
    slot: &Arc<Slot<E>>,
) -> Direct<E::Op, E::Output> {
    let (shared, slot) = (Arc::clone(shared), Arc::clone(slot));
    Arc::new(move |op, size_bytes| {
        let mut guard = slot.try_lock()?;
        let engine = guard.as_mut()?;
        if !shared.begin_direct(size_bytes) {
            return None;
        }
        let commit = || {
            let result = committer::timed(&shared, || engine.commit_one(op));
            (result, engine.due().is_some())
        };
        let (result, is_due) = catch_unwind(AssertUnwindSafe(commit)).unwrap_or_else(|_| {
            // Under the engine's mutex: nobody else commits before that. The commit thread ends
            // then, and takes the engine along.
            committer::after_panic(&shared);
            (Err(lost()), false)
        });
        shared.end_direct(size_bytes, is_due);
        Some(result)
    })
}
