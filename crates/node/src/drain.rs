//! What accepts work that must not be lost when its environment ends: an open store of any kind.

use std::time::Duration;

use tidemark_core::checkpoint::Store;
use tidemark_core::wal::Wal;

/// An open store, as the hub sees it.
pub(crate) trait Drain {
    /// Begins with what was handed over.
    fn wake(&self);
    /// Waits until everything accepted is settled; false if that took longer. Blocks.
    fn drain(&self, timeout: Duration) -> bool;
    /// Whether this handle is closed and everything accepted is settled.
    fn is_finished(&self) -> bool;
    /// Closes this handle without waiting; `done` is called when that is over.
    fn close(&self, done: Box<dyn FnOnce() + Send>);
}

impl Drain for Store {
    fn wake(&self) {
        self.wake();
    }

    fn drain(&self, timeout: Duration) -> bool {
        self.drain(timeout)
    }

    fn is_finished(&self) -> bool {
        self.is_finished()
    }

    fn close(&self, done: Box<dyn FnOnce() + Send>) {
        self.close(done);
    }
}

impl Drain for Wal {
    fn wake(&self) {
        self.wake();
    }

    fn drain(&self, timeout: Duration) -> bool {
        self.drain(timeout)
    }

    fn is_finished(&self) -> bool {
        self.is_finished()
    }

    fn close(&self, done: Box<dyn FnOnce() + Send>) {
        self.close(done);
    }
}
