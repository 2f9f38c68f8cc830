//! A machine: a disk, its open files, its processes, and the run that is going on.
//!
//! Invariants:
//!
//! - W1 All of it stands behind one mutex; nothing waits while it holds it.
//! - W2 A dead process has no open file and no lock, and executes no call.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidemark_storage::{Access, LockMode, Site};

use crate::disk::Disk;
use crate::node::{Answer, EBADF, NodeId};
use crate::plan::{Fault, Plan};
use crate::process::Process;
use crate::random::Random;
use crate::schedule::Run;

/// The first process's number.
const FIRST_PID: u32 = 1000;

/// A machine with a disk, on which processes run. Cloning gives another handle on the same one.
#[derive(Clone)]
pub struct World {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    state: Mutex<State>,
    /// Told whenever an actor has ended.
    pub(crate) ended: Condvar,
}

pub(crate) struct State {
    pub(crate) disk: Disk,
    pub(crate) seed: u64,
    pub(crate) handles: BTreeMap<u64, Handle>,
    next_handle: u64,
    next_pid: u32,
    dead: BTreeSet<u32>,
    off: bool,
    pub(crate) random: Random,
    pub(crate) counts: BTreeMap<Site, u64>,
    pub(crate) faults: Vec<Armed>,
    pub(crate) run: Option<Run>,
}

/// An open file description.
pub(crate) struct Handle {
    pub(crate) node: NodeId,
    pub(crate) pid: u32,
    pub(crate) access: Access,
    pub(crate) path: PathBuf,
    pub(crate) lock: Option<LockMode>,
    /// The file itself and its maps: a map keeps the description, and so its lock.
    pub(crate) references: u32,
}

/// A fault, and how many calls that it could have hit went by.
pub(crate) struct Armed {
    pub(crate) fault: Fault,
    pub(crate) seen: u64,
    /// Whether it ends with the run.
    pub(crate) of_run: bool,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

impl World {
    /// A machine that has just started on this disk: nothing is open, nobody runs.
    #[must_use]
    pub fn new(disk: Disk, seed: u64) -> Self {
        let state = State {
            disk,
            seed,
            handles: BTreeMap::new(),
            next_handle: 0,
            next_pid: FIRST_PID,
            dead: BTreeSet::new(),
            off: false,
            random: Random::new(seed ^ 0x0072_616E_646F_6D00),
            counts: BTreeMap::new(),
            faults: Vec::new(),
            run: None,
        };
        Self { inner: Arc::new(Inner { state: Mutex::new(state), ended: Condvar::new() }) }
    }

    /// Starts a process.
    ///
    /// # Panics
    /// If the machine is without power: what is left is its disk.
    #[must_use]
    pub fn process(&self) -> Process {
        let mut state = self.state();
        let (off, pid) = (state.off, state.next_pid);
        state.next_pid += 1;
        drop(state);
        assert!(!off, "the machine is off: make a new world on one of its disks");
        Process::new(self.clone(), pid)
    }

    /// The disk as it is, with what is cached of it; open files and locks are not part of it.
    ///
    /// After a power cut, what may be left is [`Disk::crashes`] of this.
    #[must_use]
    pub fn disk(&self) -> Disk {
        let mut disk = self.state().disk.clone();
        disk.close_all();
        disk
    }

    /// Lets an operator at the disk, between two calls. The disk must stay the same one.
    pub fn with_disk<T>(&self, work: impl FnOnce(&mut Disk) -> T) -> T {
        work(&mut self.state().disk)
    }

    /// How many calls were executed at a site, in runs and outside of them.
    #[must_use]
    pub fn count(&self, site: Site) -> u64 {
        self.state().counts.get(&site).copied().unwrap_or(0)
    }

    /// Makes a later call fail, in a run or outside of one. Calls are counted from now.
    pub fn inject(&self, fault: Fault) {
        self.state().faults.push(Armed { fault, seen: 0, of_run: false });
    }

    /// The time since the start of the simulation. Looking at it takes time.
    pub(crate) fn read_clock(&self, pid: u32) -> Duration {
        let mut state = self.state();
        if !state.is_dead(pid) {
            state.disk.tick();
        }
        state.disk.now()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // Whatever panicked while it looked at the state has left it as a call leaves it.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(crate) fn arm(&mut self, plan: &Plan) {
        let armed = plan.faults.iter().map(|fault| Armed { fault: *fault, seen: 0, of_run: true });
        self.faults.extend(armed);
    }

    pub(crate) fn is_dead(&self, pid: u32) -> bool {
        self.off || self.dead.contains(&pid)
    }

    /// Opens a node: a new open file description.
    pub(crate) fn add_handle(
        &mut self,
        pid: u32,
        node: NodeId,
        access: Access,
        path: PathBuf,
    ) -> u64 {
        self.disk.hold(node);
        self.next_handle += 1;
        let handle = Handle { node, pid, access, path, lock: None, references: 1 };
        self.handles.insert(self.next_handle, handle);
        self.next_handle
    }

    pub(crate) fn handle(&self, handle: u64) -> Answer<&Handle> {
        self.handles.get(&handle).ok_or(EBADF)
    }

    /// The node of a file that is open for writing.
    pub(crate) fn writable(&self, handle: u64, otherwise: i32) -> Answer<NodeId> {
        let handle = self.handle(handle)?;
        if handle.access == Access::ReadWrite { Ok(handle.node) } else { Err(otherwise) }
    }

    /// Counts one reference more: a map.
    pub(crate) fn refer(&mut self, handle: u64) -> Answer<Access> {
        let open = self.handles.get_mut(&handle).ok_or(EBADF)?;
        open.references += 1;
        Ok(open.access)
    }

    /// Lets go of a description; the last reference closes it and frees its lock.
    pub(crate) fn close(&mut self, handle: u64) {
        let Some(open) = self.handles.get_mut(&handle) else { return };
        open.references -= 1;
        if open.references == 0
            && let Some(closed) = self.handles.remove(&handle)
        {
            self.disk.release(closed.node);
        }
    }

    /// SIGKILL: the kernel closes the process's files, and its actors stop where they are.
    pub(crate) fn kill(&mut self, pid: u32) {
        self.dead.insert(pid);
        let closed: Vec<u64> = self
            .handles
            .iter()
            .filter(|(_, handle)| handle.pid == pid)
            .map(|(handle, _)| *handle)
            .collect();
        for handle in closed {
            if let Some(closed) = self.handles.remove(&handle) {
                self.disk.release(closed.node);
            }
        }
        if let Some(run) = &mut self.run {
            run.stop_actors(|of| of == pid);
        }
    }

    /// The machine stops: nothing executes any more.
    pub(crate) fn power_off(&mut self) {
        self.off = true;
        self.handles.clear();
        if let Some(run) = &mut self.run {
            run.stop_actors(|_| true);
        }
    }
}
