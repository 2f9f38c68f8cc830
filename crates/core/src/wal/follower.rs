//! Reads a log on and on: a place in it, from which each call gives what came since.
//!
//! Invariants
//! - F-1 Entries are given once each, in order, without a hole.
//! - F-2 What was given and is then truncated is told (`TIDEMARK_CONFLICT`), never papered over;
//!   what was purged before it was given, too (`TIDEMARK_EXPIRED`).
//! - F-3 Waiting costs nothing: no thread, no polling.
//! - F-4 Whoever waits is told that the handle is closed, whenever that happens.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::op::Entries;
use super::options::Visibility;
use super::reader::Reader;
use super::view::{Found, Look, Seen};
use super::waiters::WaiterId;
use crate::error::{Error, Result};
use crate::io_thread::{IoThread, caught};

/// What a follower knows.
#[derive(Debug)]
struct Place {
    next: u64,
    /// The number of the last truncate that it knows of.
    epoch: u64,
    /// The error that ended it: it gives nothing more.
    ended: Option<Error>,
}

/// The call that is being answered.
#[derive(Debug, Default)]
struct Request {
    is_wanted: bool,
    /// Under which name it waits, if it does.
    waiter: Option<WaiterId>,
}

/// A place in a log that moves on with what is read.
#[derive(Debug)]
pub struct Follower {
    place: Mutex<Place>,
    request: Mutex<Request>,
    visibility: Visibility,
    reader: Reader,
    io: Arc<IoThread>,
    /// Whether its handle was closed.
    closed: Arc<AtomicBool>,
}

impl Follower {
    pub(super) fn new(
        reader: Reader,
        io: Arc<IoThread>,
        closed: Arc<AtomicBool>,
        from: u64,
        visibility: Visibility,
    ) -> Result<Self> {
        if from == 0 {
            return Err(Error::invalid_argument("LSNs start at 1"));
        }
        let place = Place { next: from, epoch: reader.view().epoch(), ended: None };
        Ok(Self {
            place: Mutex::new(place),
            request: Mutex::default(),
            visibility,
            reader,
            io,
            closed,
        })
    }

    /// Gives what came since the last call, up to a number of bytes but at least one entry, to
    /// `done`: at once from memory, else on the log's I/O thread. With `wait` it may take until
    /// there is something; without, nothing is said if there is nothing.
    ///
    /// One call at a time: the next one after `done`.
    ///
    /// # Errors
    /// Through `done`: `TIDEMARK_CONFLICT`, `TIDEMARK_EXPIRED` (F-2), `TIDEMARK_CLOSED`,
    /// `TIDEMARK_POISONED`, `TIDEMARK_CORRUPT`, `TIDEMARK_IO`. It gives nothing after an error.
    pub fn next(
        self: &Arc<Self>,
        bytes_max: usize,
        wait: bool,
        done: impl FnOnce(Result<Option<Entries>>) + Send + 'static,
    ) {
        self.request.lock().unwrap_or_else(PoisonError::into_inner).is_wanted = true;
        self.step(bytes_max, wait, done);
    }

    /// Takes a call of [`Follower::next`] back that waits: its `done` is dropped, and nobody waits
    /// for it any more. What is being read meanwhile is given all the same.
    pub fn withdraw(&self) {
        let mut request = self.request.lock().unwrap_or_else(PoisonError::into_inner);
        request.is_wanted = false;
        let waiter = request.waiter.take();
        drop(request);
        if let Some(waiter) = waiter {
            self.reader.view().forget(waiter);
        }
    }

    fn step(
        self: &Arc<Self>,
        bytes_max: usize,
        wait: bool,
        done: impl FnOnce(Result<Option<Entries>>) + Send + 'static,
    ) {
        let look = match self.look(bytes_max) {
            Ok(look) => look,
            Err(error) => return done(Err(error)),
        };
        if wait {
            self.give_or_wait(&look, done);
        } else {
            self.give(&look, self.reader.view().look(&look), false, done);
        }
    }

    fn give_or_wait(
        self: &Arc<Self>,
        look: &Look,
        done: impl FnOnce(Result<Option<Entries>>) + Send + 'static,
    ) {
        // Whoever waits is called again by the view, and only then.
        let bytes_max = look.bytes_max;
        let done = Arc::new(Mutex::new(Some(done)));
        let (again, later) = (Arc::clone(self), Arc::clone(&done));
        let seen = self.reader.view().look_or_wait(look, move || {
            if let Some(done) = take(&later).filter(|_| again.is_wanted()) {
                again.step(bytes_max, true, done);
            }
        });
        let seen = match seen {
            Ok((_, Some(waiter))) => return self.waits_as(waiter, &done),
            Ok((seen, None)) => Ok(seen),
            Err(error) => Err(error),
        };
        if let Some(done) = take(&done) {
            self.give(look, seen, true, done);
        }
    }

    fn is_wanted(&self) -> bool {
        self.request.lock().unwrap_or_else(PoisonError::into_inner).is_wanted
    }

    /// Remembers under which name it waits, unless the call was taken back meanwhile, or the handle
    /// closed: a close that came before this one waited has woken nobody.
    fn waits_as<F>(&self, waiter: WaiterId, done: &Mutex<Option<F>>)
    where
        F: FnOnce(Result<Option<Entries>>),
    {
        // Only now: who closes says so first and wakes then.
        let is_closed = self.closed.load(Ordering::Acquire);
        let mut request = self.request.lock().unwrap_or_else(PoisonError::into_inner);
        let is_wanted = request.is_wanted;
        if is_wanted && !is_closed {
            // It may have been woken meanwhile, and wait again under a later name.
            request.waiter = request.waiter.max(Some(waiter));
            return;
        }
        drop(request);
        self.reader.view().forget(waiter);
        if let Some(done) = take(done).filter(|_| is_wanted) {
            done(Err(Error::closed()));
        }
    }

    fn look(&self, bytes_max: usize) -> Result<Look> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::closed());
        }
        let place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        place.ended.clone().map_or(Ok(()), Err)?;
        let (from, visibility) = (place.next, self.visibility);
        Ok(Look { from, to: u64::MAX, bytes_max, visibility, epoch: Some(place.epoch) })
    }

    fn give(
        self: &Arc<Self>,
        look: &Look,
        seen: Result<Seen>,
        wait: bool,
        done: impl FnOnce(Result<Option<Entries>>) + Send + 'static,
    ) {
        let seen = match seen {
            Ok(seen) => seen,
            Err(error) => return done(Err(self.end(error))),
        };
        match seen.found {
            Found::Nothing if !self.reader.is_trailing() => done(Ok(None)),
            Found::Hot(hot) => {
                self.reader.forget();
                done(Ok(Some(self.moved(hot.copy(), seen.epoch))));
            }
            Found::Nothing | Found::Place(..) => {
                let (own, look) = (Arc::clone(self), *look);
                let done = Arc::new(Mutex::new(Some(done)));
                let (job_done, failed) = (Arc::clone(&done), done);
                let job = move || {
                    let read = caught(|| own.reader.find(&look));
                    let Some(done) = take(&job_done) else { return };
                    match read {
                        Ok(Some((entries, epoch))) => done(Ok(Some(own.moved(entries, epoch)))),
                        // It was truncated before it was read: nothing that was given is gone.
                        Ok(None) if wait => own.step(look.bytes_max, true, done),
                        Ok(None) => done(Ok(None)),
                        Err(error) => done(Err(own.end(error))),
                    }
                };
                if let Err(error) = self.io.run(job)
                    && let Some(done) = take(&failed)
                {
                    done(Err(error));
                }
            }
        }
    }

    /// Moves on behind what is given, as the log was after truncate number `epoch`.
    fn moved(&self, entries: Entries, epoch: u64) -> Entries {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        place.next = entries.first + entries.records.len() as u64;
        place.epoch = epoch;
        entries
    }

    fn end(&self, error: Error) -> Error {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).ended = Some(error.clone());
        error
    }
}

fn take<T>(slot: &Mutex<Option<T>>) -> Option<T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

#[cfg(test)]
#[path = "follower_tests.rs"]
mod tests;
