//! From an accepted operation to its result: receipts, the outbox that collects results, and the
//! sinks that they go to.
//!
//! A [`Receipt`] cannot be copied and settles itself as a caught bug when it is dropped unsettled,
//! so that "exactly once" (GC-1) is kept by its type.

use std::fmt::{self, Debug};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::error::{Error, ErrorKind, Result};

/// A caller's number for an operation; unique within its sink.
pub type Ticket = u64;

/// A result on its way back.
#[derive(Debug)]
pub struct Settled<T> {
    /// The caller's number for the operation.
    pub ticket: Ticket,
    /// What it came to.
    pub result: Result<T>,
}

/// Where results go. Called on the store's own threads: it must return at once.
pub trait Sink<T>: Send + Sync {
    /// Takes the results of a group (GC-9).
    fn deliver(&self, settled: Vec<Settled<T>>);

    /// Tells a sink that was refused for lack of room that there may be some now (GC-4).
    fn credit(&self) {}
}

/// The right to settle one operation, once.
pub struct Receipt<T> {
    ticket: Ticket,
    sink: Option<Arc<dyn Sink<T>>>,
}

impl<T> Receipt<T> {
    pub(super) fn new(ticket: Ticket, sink: Arc<dyn Sink<T>>) -> Self {
        Self { ticket, sink: Some(sink) }
    }

    /// Whether this is the receipt of that operation.
    pub(super) fn is(&self, ticket: Ticket, sink: &Arc<dyn Sink<T>>) -> bool {
        self.ticket == ticket && self.sink.as_ref().is_some_and(|own| Arc::ptr_eq(own, sink))
    }

    /// Gives the receipt back unsettled: the caller took the operation back.
    pub(super) fn forget(mut self) {
        self.sink = None;
    }
}

/// What an operation comes to whose commit panicked or forgot it.
pub(super) fn lost() -> Error {
    let message = "a commit ended without a result; please report this bug";
    Error::new(ErrorKind::Internal, message).indeterminate()
}

impl<T> Drop for Receipt<T> {
    fn drop(&mut self) {
        if let Some(sink) = self.sink.take() {
            sink.deliver(vec![Settled { ticket: self.ticket, result: Err(lost()) }]);
        }
    }
}

impl<T> Debug for Receipt<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receipt({})", self.ticket)
    }
}

/// An accepted operation and the right to settle it.
#[derive(Debug)]
pub struct Pending<Op, T> {
    /// What to do.
    pub op: Op,
    /// The right to settle it.
    pub receipt: Receipt<T>,
    pub(super) size_bytes: usize,
    pub(super) deadline: Option<std::time::Duration>,
}

impl<Op, T> Pending<Op, T> {
    /// Takes the operation out of its place in the group.
    pub fn split(self) -> (Op, Pending<(), T>) {
        let Self { op, receipt, size_bytes, deadline } = self;
        (op, Pending { op: (), receipt, size_bytes, deadline })
    }
}

impl<T> Pending<(), T> {
    /// Puts an operation back into its place.
    pub fn with<Op>(self, op: Op) -> Pending<Op, T> {
        let Self { receipt, size_bytes, deadline, .. } = self;
        Pending { op, receipt, size_bytes, deadline }
    }
}

/// Results for one sink.
type Letter<T> = (Arc<dyn Sink<T>>, Vec<Settled<T>>);

/// The results of one group, sorted by where they go.
pub struct Outbox<T> {
    letters: Vec<Letter<T>>,
    /// What is dropped when the letters are on their way.
    afterwards: Vec<Box<dyn Send>>,
    /// Told of each delivery, and how many operations it settles.
    on_delivery: Box<dyn Fn(Delivery, usize) + Send>,
}

/// How far a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// Whoever gets a result next finds it counted.
    Begins,
    /// All results are where they go.
    Over,
}

impl<T> Outbox<T> {
    pub(super) fn new(on_delivery: impl Fn(Delivery, usize) + Send + 'static) -> Self {
        Self { letters: Vec::new(), afterwards: Vec::new(), on_delivery: Box::new(on_delivery) }
    }

    /// Puts a result in; it leaves with [`Outbox::send`] or when the commit ends.
    pub fn settle(&mut self, mut receipt: Receipt<T>, result: Result<T>) {
        let Some(sink) = receipt.sink.take() else { return };
        let settled = Settled { ticket: receipt.ticket, result };
        match self.letters.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &sink)) {
            Some((_, letter)) => letter.push(settled),
            None => self.letters.push((sink, vec![settled])),
        }
    }

    /// Keeps something until the results are on their way, because dropping it takes time that
    /// nobody needs to wait for.
    pub fn drop_afterwards(&mut self, what: impl Send + 'static) {
        self.afterwards.push(Box::new(what));
    }

    /// Delivers what was put in, one call per sink (GC-9).
    pub fn send(&mut self) {
        let letters = mem::take(&mut self.letters);
        let count = letters.iter().map(|(_, letter)| letter.len()).sum();
        if count > 0 {
            (self.on_delivery)(Delivery::Begins, count);
            for (sink, letter) in letters {
                sink.deliver(letter);
            }
            (self.on_delivery)(Delivery::Over, count);
        }
        self.afterwards.clear();
    }
}

impl<T> Drop for Outbox<T> {
    /// What was settled before the engine panicked is still true, and still told (GC-1).
    fn drop(&mut self) {
        self.send();
    }
}

impl<T> Debug for Outbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outbox({} sinks)", self.letters.len())
    }
}

/// A sink for one caller that blocks until its one result is there.
#[derive(Debug)]
pub struct Blocking<T> {
    state: Mutex<Awaited<T>>,
    changed: Condvar,
}

/// What a blocked caller waits for.
#[derive(Debug)]
struct Awaited<T> {
    result: Option<Result<T>>,
    /// Whether there may be room.
    has_credit: bool,
    /// Whether anybody waits by now: to tell costs a call of the system.
    has_waiter: bool,
}

impl<T> Default for Blocking<T> {
    fn default() -> Self {
        let state = Awaited { result: None, has_credit: false, has_waiter: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }
}

impl<T: Send> Blocking<T> {
    /// Waits for the result.
    ///
    /// # Errors
    /// Whatever the operation came to.
    pub fn wait(&self) -> Result<T> {
        self.wait_for(|state| state.result.take())
    }

    /// Waits until there may be room.
    pub(super) fn wait_for_credit(&self) {
        self.wait_for(|state| mem::take(&mut state.has_credit).then_some(()));
    }

    fn wait_for<R>(&self, take: impl Fn(&mut Awaited<T>) -> Option<R>) -> R {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(taken) = take(&mut state) {
                return taken;
            }
            state.has_waiter = true;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.has_waiter = false;
        }
    }

    fn change(&self, change: impl FnOnce(&mut Awaited<T>)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        if state.has_waiter {
            self.changed.notify_all();
        }
    }
}

impl<T: Send> Sink<T> for Blocking<T> {
    fn deliver(&self, settled: Vec<Settled<T>>) {
        let result = settled.into_iter().next().map(|settled| settled.result);
        self.change(|state| state.result = result);
    }

    fn credit(&self) {
        self.change(|state| state.has_credit = true);
    }
}
