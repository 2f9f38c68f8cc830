//! `flock`: a lock belongs to an open file description and goes with it.
//!
//! As on Linux, converting a lock first frees it: a conversion that has to wait, or is refused,
//! has lost the lock that it came with.

use tidemark_storage::LockMode;

use crate::node::NodeId;
use crate::world::State;

impl State {
    /// Takes the lock if nobody has to be waited for.
    pub(crate) fn try_lock(&mut self, handle: u64, mode: LockMode) -> bool {
        let Some(open) = self.handles.get_mut(&handle) else { return false };
        if open.lock == Some(mode) {
            return true;
        }
        open.lock = None;
        if self.must_wait(handle, mode) {
            return false;
        }
        if let Some(open) = self.handles.get_mut(&handle) {
            open.lock = Some(mode);
        }
        true
    }

    /// Whether somebody else's lock stands in the way.
    pub(crate) fn must_wait(&self, handle: u64, mode: LockMode) -> bool {
        let Some(node) = self.handles.get(&handle).map(|open| open.node) else { return false };
        self.handles.iter().any(|(other, open)| {
            *other != handle
                && open.node == node
                && open
                    .lock
                    .is_some_and(|held| held == LockMode::Exclusive || mode == LockMode::Exclusive)
        })
    }

    pub(crate) fn unlock(&mut self, handle: u64) {
        if let Some(open) = self.handles.get_mut(&handle) {
            open.lock = None;
        }
    }

    /// A process that holds a lock on the file.
    pub(crate) fn lock_holder(&self, node: NodeId) -> Option<u32> {
        let mut locked = self.handles.values().filter(|open| open.lock.is_some());
        locked.find(|open| open.node == node).map(|open| open.pid)
    }
}
