//! The log of a writer in another process, shared by the thread that follows it and by readers who
//! come upon something that does not fit.
//!
//! Invariants
//! - SO-1 The thread sleeps while nothing comes, and holds nothing meanwhile that readers wait for.
//! - SO-2 Whoever ends it wakes it, whatever it is about to do: no wake-up is lost.
//! - SO-3 When it has ended nothing is open any more, whoever still has a handle.

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
    /// As for [`Trailer::advance`]; whoever waits has heard of it.
    pub(super) fn advance(&self) -> Result<()> {
        self.look().map(drop)
    }

    fn look(&self) -> Result<Option<Next>> {
        let mut trailer = self.lock();
        let Some(trailer) = trailer.as_mut() else { return Ok(None) };
        let signal = trailer.advance().inspect_err(|error| self.view.end(error.clone()))?;
        Ok(signal.zip(trailer.page()).map(|(signal, page)| Next { page: Arc::clone(page), signal }))
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

/// The body of the thread: follows until it is stopped, or an error ends the log.
pub(super) fn follow(source: &Source, stop: &Stop) {
    while !stop.is_set() {
        match source.look() {
            Ok(Some(Next { page, signal })) => {
                if let Err(error) = page.wait(signal, LOOK_PERIOD, Some(&stop.interrupt)) {
                    source.view.end(error);
                    break;
                }
            }
            Ok(None) => stop.wait(),
            Err(_told) => break,
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
