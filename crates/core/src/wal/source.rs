//! The log of a writer in another process, shared by the thread that follows it and by readers who
//! come upon something that does not fit.
//!
//! Invariants
//! - SO-1 The thread sleeps while nothing comes, and holds nothing meanwhile that readers wait for.
//! - SO-2 Whoever ends it wakes it, whatever it is about to do: no wake-up is lost.
//! - SO-3 When it has ended nothing is open any more, whoever still has a handle.
//! - SO-4 What may pass is tried again, and told to who waits if it does not pass soon. Damage ends
//!   the log where it is, for good and for everybody: nobody takes that end for the log's (C12).

use std::fmt::{self, Debug};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidemark_storage::Interrupt;

use super::page::Page;
use super::read_only::Trailer;
use super::view::View;
use crate::error::Result;
use crate::segment::Log;

/// How often a reader looks whether there is a writer, while nothing comes.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
/// After so many failures in a row, those who wait are told.
const FAILURES_MAX: u32 = 5;

/// Where a log comes from that another process writes to.
pub(super) struct Source {
    view: Arc<View>,
    /// Nothing once nobody follows any more.
    trailer: Mutex<Option<Trailer>>,
}

/// What to wait on for more.
struct Next {
    page: Arc<Page>,
    signal: u64,
}

impl Source {
    pub(super) fn new(trailer: Trailer) -> Self {
        Self { view: Arc::clone(&trailer.view), trailer: Mutex::new(Some(trailer)) }
    }

    /// Shows what was announced since the last time.
    ///
    /// # Errors
    /// As for [`Trailer::advance`].
    pub(super) fn advance(&self) -> Result<()> {
        self.look().map(drop)
    }

    /// Shows what was announced and not walked yet, for who has found nothing: what a writer has
    /// acknowledged is there, whether or not the thread has heard of it. Whether there may be more
    /// now.
    ///
    /// # Errors
    /// As for [`Trailer::advance`].
    pub(super) fn catch_up(&self) -> Result<bool> {
        let trailer = self.lock();
        let is_behind = trailer.as_ref().map_or(Ok(false), Trailer::is_behind)?;
        if is_behind {
            self.look_with(trailer)?;
        }
        Ok(is_behind)
    }

    fn look(&self) -> Result<Option<Next>> {
        self.look_with(self.lock())
    }

    fn look_with(&self, mut held: MutexGuard<'_, Option<Trailer>>) -> Result<Option<Next>> {
        let Some(trailer) = held.as_mut() else { return Ok(None) };
        match trailer.advance() {
            Ok(signal) => Ok(signal
                .zip(trailer.page())
                .map(|(signal, page)| Next { page: Arc::clone(page), signal })),
            Err(error) => {
                if trailer.is_final(&error) {
                    self.view.break_off(error.clone());
                    // Before anybody else has the lock, who would show more and then never again.
                    let broken = held.take();
                    drop(held);
                    drop(broken);
                }
                Err(error)
            }
        }
    }

    /// Whether what was read from the files of this log has to be read again, because somebody has
    /// changed them. The view has what they hold now.
    pub(super) fn has_changed(&self, log: &Log) -> bool {
        self.lock().as_mut().is_some_and(|trailer| trailer.has_changed(log))
    }

    /// Nobody follows any more.
    fn close(&self) {
        let trailer = self.lock().take();
        drop(trailer);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Trailer>> {
        self.trailer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a thread that follows is ended.
#[derive(Default)]
pub(super) struct Stop {
    state: Mutex<StopState>,
    changed: Condvar,
    interrupt: Interrupt,
}

#[derive(Default)]
struct StopState {
    is_set: bool,
    has_ended: bool,
    done: Option<Box<dyn FnOnce() + Send>>,
}

impl Stop {
    /// Ends the thread; `done` is called when it has ended.
    pub(super) fn set(&self, done: Box<dyn FnOnce() + Send>) {
        let mut state = self.lock();
        state.is_set = true;
        if state.has_ended {
            drop(state);
            return done();
        }
        state.done = Some(done);
        drop(state);
        self.changed.notify_all();
        self.interrupt.raise();
    }

    pub(super) fn is_set(&self) -> bool {
        self.lock().is_set
    }

    pub(super) fn has_ended(&self) -> bool {
        self.lock().has_ended
    }

    /// Tells who has asked for it that nothing is open any more.
    pub(super) fn ended(&self) {
        let mut state = self.lock();
        state.has_ended = true;
        let done = state.done.take();
        drop(state);
        if let Some(done) = done {
            done();
        }
    }

    /// Waits for a while, or until it is set.
    fn wait(&self) {
        let state = self.lock();
        if !state.is_set {
            drop(self.changed.wait_timeout(state, LOOK_PERIOD));
        }
    }

    fn lock(&self) -> MutexGuard<'_, StopState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of the thread: follows until it is stopped. If damage has ended the log, it waits for
/// that: what it lets go of at its end is in use until then.
pub(super) fn follow(source: &Source, stop: &Stop) {
    let mut failures = 0;
    while !stop.is_set() {
        let next = source.look();
        if next.is_ok() {
            if failures >= FAILURES_MAX {
                source.view.go_on();
            }
            failures = 0;
        }
        match next {
            Ok(Some(Next { page, signal })) => {
                if page.wait(signal, LOOK_PERIOD, Some(&stop.interrupt)).is_err() {
                    // It looks all the same, less often.
                    stop.wait();
                }
            }
            Ok(None) => stop.wait(),
            Err(error) => {
                failures += 1;
                if failures == FAILURES_MAX {
                    source.view.end(error);
                }
                stop.wait();
            }
        }
    }
    source.close();
}

impl Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("view", &self.view).finish_non_exhaustive()
    }
}

impl Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stop({})", self.is_set())
    }
}
