//! One group, committed on the caller's thread: the straight-line form that simulations drive.

use std::sync::{Arc, Mutex, PoisonError};

use super::Engine;
use super::lock_wait::{LockWait, WaitPort};
use super::outbox::{Outbox, Pending, Receipt, Settled, Sink};
use crate::error::{Error, Result};

/// Acquires, commits `ops` as one group, releases, and returns a result per operation, in their
/// order. `on_settled` hears of each result at the moment at which a caller would: a simulation
/// that stops the world learns from it what had been acknowledged by then.
///
/// # Errors
/// Whatever [`Engine::acquire`] answers; nothing that was not settled was committed then.
///
/// # Panics
/// If the operations have different claims, or the engine keeps a receipt.
pub fn commit_inline<E: Engine>(
    engine: &mut E,
    ops: Vec<E::Op>,
    on_settled: impl Fn(usize, &Result<E::Output>) + Send + Sync + 'static,
) -> Result<Vec<Result<E::Output>>> {
    let Some(claim) = ops.first().map(E::claim) else { return Ok(Vec::new()) };
    assert!(ops.iter().all(|op| E::claim(op) == claim), "one group has one claim");
    let count = ops.len();
    let ledger = Arc::new(Ledger { results: Mutex::new(Vec::new()), on_settled });
    let sink: Arc<dyn Sink<E::Output>> = Arc::clone(&ledger) as Arc<dyn Sink<E::Output>>;
    let pending = |(index, op)| Pending {
        op,
        receipt: Receipt::new(index as u64, Arc::clone(&sink)),
        size_bytes: 0,
        deadline: None,
    };
    let mut group: Vec<_> = ops.into_iter().enumerate().map(pending).collect();
    let mut outbox = Outbox::new(|_, _| ());
    while !group.is_empty() {
        if let Err(error) = engine.acquire(claim, &LockWait::unwatched()) {
            for pending in group {
                pending.receipt.forget();
            }
            return Err(error);
        }
        group = engine.commit(group, &mut outbox);
        engine.release();
        outbox.send();
    }
    let mut results =
        std::mem::take(&mut *ledger.results.lock().unwrap_or_else(PoisonError::into_inner));
    assert_eq!(results.len(), count, "an inline engine settles everything in its commit");
    results.sort_by_key(|settled| settled.ticket);
    Ok(results.into_iter().map(|settled| settled.result).collect())
}

/// Has the engine do what is due, though nothing is queued; true if anything was.
pub fn due_inline<E: Engine>(engine: &mut E) -> bool {
    let due = engine.due().is_some();
    if due {
        engine.on_due(&mut Outbox::new(|_, _| ()));
    }
    due
}

/// Has the engine finish, as when nobody uses its queue any more.
pub fn finish_inline<E: Engine>(mut engine: E) {
    engine.finish(&mut Outbox::new(|_, _| ()));
    engine.let_go();
}

struct Ledger<T, F> {
    results: Mutex<Vec<Settled<T>>>,
    on_settled: F,
}

impl<T: Send, F: Fn(usize, &Result<T>) + Send + Sync> Sink<T> for Ledger<T, F> {
    fn deliver(&self, settled: Vec<Settled<T>>) {
        for one in &settled {
            (self.on_settled)(usize::try_from(one.ticket).unwrap_or(usize::MAX), &one.result);
        }
        self.results.lock().unwrap_or_else(PoisonError::into_inner).extend(settled);
    }
}

impl LockWait {
    /// A wait that nobody times out.
    pub(crate) fn unwatched() -> Self {
        Self(Arc::new(NoWatchdog))
    }
}

struct NoWatchdog;

impl WaitPort for NoWatchdog {
    fn begin(&self, _timeout: Arc<dyn Fn() -> Error + Send + Sync>) -> Result<()> {
        Ok(())
    }

    fn end(&self) {}
}
