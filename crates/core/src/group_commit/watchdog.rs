//! Rejects tickets at their deadline while the commit thread waits for a lock (GC-6).
//!
//! It sleeps until the earliest deadline that it knows and is not woken for later ones, so that
//! a store whose lock is contended all the time pays nothing for it.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::queue::{Shared, Watchdog};

/// The body of the watchdog thread; it ends with the commit thread.
pub(super) fn run<Op, T>(shared: &Arc<Shared<Op, T>>) {
    let mut queue = shared.lock();
    while !queue.exited {
        let earliest = queue.earliest_deadline().filter(|_| queue.waiting.is_some());
        let Some(earliest) = earliest else {
            queue.watchdog = Watchdog::Idle;
            queue = shared.watch.wait(queue).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        let now = shared.storage.monotonic();
        if earliest > now {
            queue.watchdog = Watchdog::Timed(earliest);
            let woken = shared.watch.wait_timeout(queue, earliest.saturating_sub(now));
            queue = woken.unwrap_or_else(PoisonError::into_inner).0;
            continue;
        }
        // Taken only now: what makes the error keeps the lock file open.
        let Some(waiting) = queue.waiting.clone() else { continue };
        drop(queue);
        let late = |deadline: Option<Duration>| deadline.is_some_and(|deadline| deadline <= now);
        let count = shared.reject(|pending| late(pending.deadline), || (waiting.timeout)());
        shared.metrics.lock_timeouts.add(count as u64);
        queue = shared.lock();
    }
}
