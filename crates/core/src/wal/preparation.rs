//! The next segment, made in the background before it is needed, and old ones given back.
//!
//! Both are done by one thread, in order: what a purge gives up is there for the next segment.
//!
//! Closing gives up what is half made, and waits for what was given back to be removed.
//!
//! Recovery: none needed; a segment that was being made has no name yet.

use std::fmt::{self, Debug};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::metrics::WalMetrics;
use crate::error::Result;
use crate::io_thread::{IoThread, caught};
use crate::segment::{Log, Segment, numbers_used_up};

/// How far the next segment is.
#[derive(Debug)]
enum Next {
    /// Nobody makes it.
    Idle,
    /// It is being made.
    Running,
    /// Made, or why not.
    Done(Result<Arc<Segment>>),
}

#[derive(Debug)]
struct Slot {
    next: Mutex<Next>,
    changed: Condvar,
}

/// Where segments come from and go to.
pub(super) struct Preparation {
    log: Log,
    slot: Arc<Slot>,
    metrics: Arc<WalMetrics>,
    /// Nothing: everything is done on the caller's thread, as simulations need it.
    thread: Option<IoThread>,
}

impl Preparation {
    pub(super) fn new(log: Log, metrics: Arc<WalMetrics>, in_background: bool) -> Self {
        let slot = Arc::new(Slot { next: Mutex::new(Next::Idle), changed: Condvar::new() });
        Self { log, slot, metrics, thread: in_background.then(IoThread::default) }
    }

    /// Has the segment after `active` made, unless that was asked for before.
    pub(super) fn begin(&self, active: u32) {
        let mut next = self.slot.lock();
        if matches!(*next, Next::Idle) {
            *next = Next::Running;
            drop(next);
            self.start(active);
        }
    }

    /// The segment after `active`; waits for it where it is being made, and tries once more where
    /// that has failed: there may be room by now.
    ///
    /// # Errors
    /// `TIDEMARK_NO_SPACE`, `TIDEMARK_IO`.
    pub(super) fn take(&self, active: u32) -> Result<Arc<Segment>> {
        self.log.set_needed_now(true);
        let taken = self.wait_for(active);
        self.log.set_needed_now(false);
        taken
    }

    fn wait_for(&self, active: u32) -> Result<Arc<Segment>> {
        let mut again = true;
        let mut next = self.slot.lock();
        loop {
            match std::mem::replace(&mut *next, Next::Running) {
                Next::Idle => {
                    again = false;
                    drop(next);
                    self.start(active);
                    next = self.slot.lock();
                }
                Next::Running => {
                    next = self.slot.changed.wait(next).unwrap_or_else(PoisonError::into_inner);
                }
                Next::Done(Err(_)) if again => *next = Next::Idle,
                Next::Done(done) => {
                    *next = Next::Idle;
                    return done;
                }
            }
        }
    }

    /// Makes it, here or in the background.
    fn start(&self, active: u32) {
        let (log, slot) = (self.log.clone(), Arc::clone(&self.slot));
        let metrics = Arc::clone(&self.metrics);
        let make = move || {
            let made = caught(|| log.prepare(active.checked_add(1).ok_or_else(numbers_used_up)?));
            metrics.prepares.add(u64::from(made.is_ok()));
            *slot.lock() = Next::Done(made);
            slot.changed.notify_all();
        };
        let Some(thread) = &self.thread else { return make() };
        if let Err(error) = thread.run(make) {
            *self.slot.lock() = Next::Done(Err(error));
        }
    }

    /// Gives back the segments before number `first`. What cannot be given back now is given back
    /// after the next purge, or when the log is opened.
    pub(super) fn remove_before(&self, first: u32) {
        let log = self.log.clone();
        let metrics = Arc::clone(&self.metrics);
        let remove = move || {
            if caught(|| log.remove_before(first)).is_err() {
                metrics.failed_removals.add(1);
            }
        };
        match &self.thread {
            Some(thread) => {
                if thread.run(remove).is_err() {
                    self.metrics.failed_removals.add(1);
                }
            }
            None => remove(),
        }
    }

    /// Gives up what is being made, and makes nothing more: the log is about to be closed.
    pub(super) fn stop(&self) {
        self.log.stop_preparing();
    }

    /// Waits until everything begun is done, or given up.
    pub(super) fn finish(&self) {
        self.stop();
        if let Some(thread) = &self.thread {
            let _done = thread.drain(std::time::Duration::MAX);
            thread.end();
        }
    }
}

impl Drop for Preparation {
    /// Whatever ends the engine: no file is made or removed once the log's lock is free.
    fn drop(&mut self) {
        self.finish();
    }
}

impl Slot {
    fn lock(&self) -> std::sync::MutexGuard<'_, Next> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Debug for Preparation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Preparation")
    }
}
