//! A blocking call that finds nothing queued and the engine free commits on its own thread: what it
//! costs is the commit, without two hand-overs between threads.
//!
//! The engine is under a mutex that is held from before an operation leaves the queue until its
//! group is done; whoever has it while the queue is empty is next in line, so that the order of
//! acceptance holds (GC-2). It is never waited for: whoever does not get it queues up.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::outbox::{Blocking, Outbox, Pending, Receipt, Sink};
use super::queue::Shared;
use super::{Engine, LockWait, committer};
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

pub(super) fn direct<E: Engine>(
    shared: &Arc<Shared<E::Op, E::Output>>,
    slot: &Arc<Slot<E>>,
) -> Direct<E::Op, E::Output>
where
    E::Op: Clone,
{
    let (shared, slot) = (Arc::clone(shared), Arc::clone(slot));
    Arc::new(move |op, size_bytes| {
        let mut guard = slot.try_lock()?;
        let engine = guard.as_mut()?;
        if !shared.begin_direct(size_bytes) {
            return None;
        }
        let blocking = Arc::new(Blocking::default());
        let sink: Arc<dyn Sink<E::Output>> = Arc::clone(&blocking) as _;
        let receipt = Receipt::new(0, sink);
        let pending = Pending { op: op.clone(), receipt, size_bytes, deadline: None };
        let told = Arc::new(AtomicUsize::new(0));
        let committed = AssertUnwindSafe(|| commit(&shared, engine, pending, &told));
        if catch_unwind(committed).is_err() {
            // Under the engine's mutex: nobody else commits before that. The commit thread ends
            // then, and takes the engine along.
            committer::after_panic(&shared);
            shared.committed(size_bytes);
            // What the engine had settled was counted as the outbox was dropped.
            shared.settled(1_usize.saturating_sub(told.load(Ordering::Relaxed)));
        }
        // An engine that keeps the receipt settles it on the commit thread.
        drop(guard);
        Some(blocking.wait())
    })
}

fn commit<E: Engine>(
    shared: &Arc<Shared<E::Op, E::Output>>,
    engine: &mut E,
    pending: Pending<E::Op, E::Output>,
    told: &Arc<AtomicUsize>,
) {
    let claim = E::claim(&pending.op);
    let mut bytes = pending.size_bytes;
    let (counted, told) = (Arc::clone(shared), Arc::clone(told));
    let mut outbox = Outbox::new(move |count| {
        counted.settled(count);
        told.fetch_add(count, Ordering::Relaxed);
    });
    if let Err(error) = engine.acquire(claim, &LockWait::unwatched()) {
        outbox.settle(pending.receipt, Err(error));
    } else {
        let rest = committer::commit_timed(shared, engine, vec![pending], &mut outbox);
        engine.release();
        bytes -= rest.iter().map(|pending| pending.size_bytes).sum::<usize>();
        shared.put_back(rest);
    }
    outbox.send();
    shared.committed(bytes);
    if engine.due().is_some() {
        shared.look_again();
    }
}
