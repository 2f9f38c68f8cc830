//! What it costs to hand something to another thread, and to be woken by it.
//!
//! Two threads, a mutex and a condition variable, as between a caller and the thread that commits;
//! nobody spins. Bare, a round is half of a round trip: one hop, with both threads warm. With the
//! floor as its work, a round is what any commit thread without a cost of its own would take: two
//! hops to CPUs that slept for as long as the disk took.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::Result;
use crate::jobs::{Subject, timed};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Caller,
    Other,
    /// The other thread is to end.
    Over,
    /// The other thread has ended, and printed why.
    Failed,
}

struct Table {
    turn: Mutex<Turn>,
    changed: Condvar,
}

impl Table {
    /// Nobody panics while it is held, and a turn is never half changed.
    fn lock(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give(&self, turn: Turn) {
        *self.lock() = turn;
        self.changed.notify_one();
    }

    /// Waits until it is no longer the turn of somebody.
    fn wait_while(&self, whose: Turn) -> Turn {
        let wait = self.changed.wait_while(self.lock(), |turn| *turn == whose);
        *wait.unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that does its work when it gets a turn, and gives it back.
pub(crate) struct HandOver {
    table: Arc<Table>,
    other: Option<JoinHandle<()>>,
    hops: u32,
}

impl HandOver {
    /// Without any work: a round is one hop.
    pub(crate) fn bare() -> Self {
        Self::of(2, || Ok(()))
    }

    /// A round is the work of this subject, done by another thread.
    pub(crate) fn around(mut subject: impl Subject + Send + 'static) -> Self {
        Self::of(1, move || subject.single().map(drop))
    }

    fn of(hops: u32, mut work: impl FnMut() -> Result<()> + Send + 'static) -> Self {
        let table = Arc::new(Table { turn: Mutex::new(Turn::Caller), changed: Condvar::new() });
        let theirs = Arc::clone(&table);
        let other = std::thread::spawn(move || {
            while theirs.wait_while(Turn::Caller) == Turn::Other {
                let done = work();
                theirs.give(if done.is_ok() { Turn::Caller } else { Turn::Failed });
                if let Err(error) = done {
                    eprintln!("wal-peer: the other thread: {error}");
                    break;
                }
            }
        });
        Self { table, other: Some(other), hops }
    }
}

impl Subject for HandOver {
    fn single(&mut self) -> Result<Duration> {
        let there_and_back = timed(|| {
            self.table.give(Turn::Other);
            match self.table.wait_while(Turn::Other) {
                Turn::Caller => Ok(()),
                Turn::Other | Turn::Over | Turn::Failed => Err("the other thread ended".into()),
            }
        })?;
        Ok(there_and_back / self.hops)
    }
}

impl Drop for HandOver {
    fn drop(&mut self) {
        self.table.give(Turn::Over);
        if self.other.take().is_some_and(|other| other.join().is_err()) {
            eprintln!("wal-peer: the other thread panicked");
        }
    }
}
