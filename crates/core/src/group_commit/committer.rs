//! The commit thread: acquire, take a group, commit it, release, deliver. It has the engine's mutex
//! for as long, and while it waits for nothing but work nobody has it.

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use super::direct::Slot;
use super::lock_wait::{LockWait, WaitPort};
use super::outbox::Delivery;
use super::queue::{Next, Shared, TimeoutError, Waiting, Watchdog};
use super::{Engine, Outbox, watchdog};
use crate::error::{Error, ErrorKind, Result};

/// The body of the commit thread. A panic of the engine, also on a caller's thread, poisons the
/// store and ends this one; what was in the commit settles as its receipts are dropped (GC-1).
///
/// Whoever closed the store is told when engine and owner, and what they had open, are gone.
pub(super) fn run<E: Engine>(
    shared: &Arc<Shared<E::Op, E::Output>>,
    slot: &Slot<E>,
    owner: Arc<dyn Any + Send + Sync>,
) {
    let survived = catch_unwind(AssertUnwindSafe(|| serve(shared, slot))).is_ok();
    if !survived {
        after_panic(shared);
        shared.forget_taken();
    }
    // Also the engine of a thread that panicked lets go of what it had open.
    let let_go = AssertUnwindSafe(|| {
        if let Some(mut engine) = slot.lock().take() {
            engine.let_go();
        }
    });
    drop(catch_unwind(let_go));
    if shared.has_panicked() {
        // What the engine had kept was told as it was dropped.
        shared.forget_taken();
    }
    drop(owner);
    shared.exited();
}

/// Nobody knows what a commit that panicked has done: nothing more is committed.
pub(super) fn after_panic<Op, T>(shared: &Shared<Op, T>) {
    let message = "a commit panicked; please report this bug";
    shared.poison.set(&Error::new(ErrorKind::Internal, message).indeterminate());
    shared.end();
    reject_poisoned(shared);
}

fn serve<E: Engine>(shared: &Arc<Shared<E::Op, E::Output>>, slot: &Slot<E>) {
    let sent = Arc::clone(shared);
    let mut outbox = Outbox::new(move |delivery, count| match delivery {
        Delivery::Begins => sent.metrics.operations.add(count as u64),
        Delivery::Over => sent.settled(count),
    });
    let wait = LockWait(Arc::new(Port(Arc::clone(shared))));
    let mut due = slot.lock().as_ref().and_then(E::due);
    loop {
        let next = shared.next(E::claim, due);
        let mut guard = slot.lock();
        let Some(engine) = guard.as_mut() else { return };
        if shared.has_panicked() {
            // In a caller's commit, while this thread was on its way to the engine.
            return;
        }
        let mut bytes = 0;
        match next {
            Next::Again => {}
            Next::Work(_) if shared.poison.is_set() => reject_poisoned(shared),
            Next::Work(claim) => bytes = commit_group(shared, engine, claim, &wait, &mut outbox),
            Next::Due => engine.on_due(&mut outbox),
            Next::Closed => {
                engine.finish(&mut outbox);
                outbox.send();
                return;
            }
            Next::Ended => return,
        }
        due = engine.due();
        // Before the results: whoever gets one and calls again shall find the engine free. It would
        // queue up otherwise, and so would its next call, and the one after that.
        drop(guard);
        outbox.send();
        if shared.committed(bytes) {
            // Nothing is left to do. Whoever got a result goes first, where there are few
            // processors on this one: what it hands over next is found without a wake, and it is
            // done before the next sync begins, which takes longer beside it.
            thread::yield_now();
        }
    }
}

/// Commits the group that is first in the queue; the bytes that it had. What it came to is in the
/// outbox.
fn commit_group<E: Engine>(
    shared: &Shared<E::Op, E::Output>,
    engine: &mut E,
    claim: E::Claim,
    wait: &LockWait,
    outbox: &mut Outbox<E::Output>,
) -> usize {
    if let Err(error) = engine.acquire(claim, wait) {
        shared.reject(|pending| E::claim(&pending.op) == claim, || error);
        return 0;
    }
    if shared.poison.is_set() {
        // Found out by a reader, while this thread waited for the lock.
        engine.release();
        reject_poisoned(shared);
        return 0;
    }
    let (group, mut bytes) = shared.take(E::claim, claim);
    let mut rest = Vec::new();
    if !group.is_empty() {
        rest = timed(shared, || engine.commit(group, outbox));
    }
    engine.release();
    bytes -= rest.iter().map(|pending| pending.size_bytes).sum::<usize>();
    shared.put_back(rest);
    bytes
}

/// Commits a group, and counts it.
pub(super) fn timed<Op, T, R>(shared: &Shared<Op, T>, commit: impl FnOnce() -> R) -> R {
    let began = shared.storage.monotonic();
    let committed = commit();
    shared.metrics.groups.add(1);
    shared.metrics.commit_us.record(shared.storage.monotonic().saturating_sub(began));
    committed
}

/// GC-7.
fn reject_poisoned<Op, T>(shared: &Shared<Op, T>) {
    if let Err(error) = shared.poison.check() {
        shared.reject(|_| true, || error);
    }
}

/// Lets the watchdog know that this thread waits for a lock.
struct Port<Op, T>(Arc<Shared<Op, T>>);

impl<Op: Send + 'static, T: Send + 'static> WaitPort for Port<Op, T> {
    fn begin(&self, timeout: TimeoutError) -> Result<()> {
        let shared = &self.0;
        let since = shared.storage.monotonic();
        let mut queue = shared.lock();
        if queue.watchdog == Watchdog::NotStarted {
            let thread = Arc::clone(shared);
            // Without it nobody would time out: better not to wait. The next wait tries again.
            super::spawn("tidemark-watch", move || watchdog::run(&thread))?;
            queue.watchdog = Watchdog::Idle;
        }
        queue.waiting = Some(Waiting { timeout, since });
        if queue.watchdog.misses(queue.earliest_deadline()) {
            shared.watch.notify_one();
        }
        // Who has closed the store does not wait for this lock (GC-8).
        let told = if queue.users == 0 { mem::take(&mut queue.on_exit) } else { Vec::new() };
        drop(queue);
        for done in told {
            done();
        }
        Ok(())
    }

    fn end(&self) {
        let waiting = self.0.lock().waiting.take();
        if let Some(waiting) = waiting {
            let waited = self.0.storage.monotonic().saturating_sub(waiting.since);
            self.0.metrics.lock_wait_us.record(waited);
        }
    }
}
