//! Who waits for more of a log, and how they are woken.
//!
//! Invariants
//! - WT-1 Whoever waits is woken once, and then asks again.
//! - WT-2 The thread that commits calls nobody: it hands those to be woken over to a thread of
//!   their own. What they do then, such as copying entries, delays no commit and no result.

use std::fmt::{self, Debug};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use super::options::Visibility;
use crate::io_thread::IoThread;

type Wake = Box<dyn FnOnce() + Send>;

/// Names who waits, for [`Waiters::remove`].
pub(super) type WaiterId = u64;

/// Somebody who waits for what comes at or behind an LSN.
struct Waiter {
    id: WaiterId,
    from: u64,
    visibility: Visibility,
    wake: Wake,
}

/// Those who wait.
#[derive(Default)]
pub(super) struct Waiters {
    list: Vec<Waiter>,
    last_id: WaiterId,
}

/// Those who are to be woken, once no lock is held any more.
#[derive(Default)]
#[must_use]
pub(super) struct Woken(Vec<Waiter>);

impl Waiters {
    pub(super) fn add(&mut self, from: u64, visibility: Visibility, wake: Wake) -> WaiterId {
        self.last_id += 1;
        self.list.push(Waiter { id: self.last_id, from, visibility, wake });
        self.last_id
    }

    /// Nobody waits under this name any more; what it holds is the caller's to drop.
    pub(super) fn remove(&mut self, id: WaiterId) -> Woken {
        let index = self.list.iter().position(|waiter| waiter.id == id);
        Woken(index.map(|index| self.list.swap_remove(index)).into_iter().collect())
    }

    /// Takes out those for whom there is something, if this is the first LSN that is not there.
    pub(super) fn take_below(&mut self, next: impl Fn(Visibility) -> u64) -> Woken {
        let is_due = |waiter: &mut Waiter| waiter.from < next(waiter.visibility);
        Woken(self.list.extract_if(.., is_due).collect())
    }

    /// Takes out all.
    pub(super) fn take_all(&mut self) -> Woken {
        Woken(mem::take(&mut self.list))
    }
}

impl Woken {
    fn call(self) {
        for waiter in self.0 {
            (waiter.wake)();
        }
    }
}

/// Where those who are woken go on.
#[derive(Debug, Default)]
pub(super) struct Waker {
    /// Nothing: on the thread that wakes them, as simulations need it, and who only follows.
    thread: Mutex<Option<Arc<IoThread>>>,
}

impl Waker {
    /// From now on they go on in a thread of their own, until [`Waker::end`].
    pub(super) fn start(&self) {
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::default());
    }

    pub(super) fn wake(&self, woken: Woken) {
        if woken.0.is_empty() {
            return;
        }
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(thread) = thread else { return woken.call() };
        let woken = Arc::new(Mutex::new(woken));
        let later = Arc::clone(&woken);
        if thread.run(move || take(&later).call()).is_err() {
            // The system gives no thread: rather late than never.
            take(&woken).call();
        }
    }

    /// Nobody commits any more. Those who were handed over go on; the thread ends then.
    pub(super) fn end(&self) {
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn take(woken: &Mutex<Woken>) -> Woken {
    mem::take(&mut *woken.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Debug for Waiters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Waiters({})", self.list.len())
    }
}
