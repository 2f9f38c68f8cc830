//! Processes and the actors that run in them.

use std::fmt;
use std::sync::Arc;

use tidemark_storage::Storage;

use crate::storage::SimStorage;
use crate::world::World;

/// A process of a simulated machine. Cloning gives another handle on the same one.
#[derive(Clone, Debug)]
pub struct Process {
    world: World,
    pid: u32,
    storage: Arc<SimStorage>,
}

impl Process {
    pub(crate) fn new(world: World, pid: u32) -> Self {
        let storage = Arc::new(SimStorage::new(world.clone(), pid));
        Self { world, pid, storage }
    }

    /// The number of the process, unique in its world.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// The machine as this process sees it.
    ///
    /// From the thread of an actor, a call waits for its turn in the run. From any other thread
    /// it just executes; a `lock` that would have to wait panics there, as nobody would free it.
    /// After the process's end every call from such a thread answers `EIO`.
    #[must_use]
    pub fn storage(&self) -> Arc<dyn Storage> {
        Arc::<SimStorage>::clone(&self.storage)
    }

    /// Kills the process: its files are closed, its locks are free, it executes nothing more.
    pub fn kill(&self) {
        self.world.state().kill(self.pid);
    }
}

/// A thread of a process, in a run.
///
/// Actors exchange the baton at storage calls only. So an actor must not wait in any other way
/// for another one (on a mutex that is held across a storage call, say): the run would stand
/// still, and panics after a while.
///
/// A stopped actor unwinds from its next call, silently; a mutex that it holds is then poisoned.
pub struct Actor {
    pub(crate) pid: u32,
    pub(crate) name: String,
    pub(crate) body: Box<dyn FnOnce() + Send>,
}

impl Actor {
    /// A thread of `process` that executes `body`. The name is for traces.
    #[must_use]
    pub fn new(process: &Process, name: &str, body: impl FnOnce() + Send + 'static) -> Self {
        Self { pid: process.pid, name: name.to_owned(), body: Box::new(body) }
    }
}

impl fmt::Debug for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Actor")
            .field("pid", &self.pid)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
