//! One open file of a process.

use std::path::PathBuf;

use tidemark_storage::{Access, File, FileKind, LockMode, Map, OsError, Pages, Result, Site, Stat};

use crate::call::{At, Injected, leave, pause};
use crate::content::checked;
use crate::map::SimMap;
use crate::node::{EBADF, ENODEV};
use crate::schedule::Status;
use crate::world::World;

/// An open file. Dropping it closes it: not a call of its own, but part of what surrounds it.
#[derive(Debug)]
pub(crate) struct SimFile {
    pub(crate) world: World,
    pid: u32,
    pub(crate) handle: u64,
    path: PathBuf,
}

impl SimFile {
    pub(crate) const fn new(world: World, pid: u32, handle: u64, path: PathBuf) -> Self {
        Self { world, pid, handle, path }
    }

    pub(crate) fn at(&self, site: Site, op: &'static str, syscall: &'static str) -> At<'_> {
        At { pid: self.pid, site, op, syscall, path: Some(&self.path) }
    }

    pub(crate) fn sync(&self, at: &At<'_>, all: bool) -> Result<()> {
        self.world.call_or(
            at,
            |turn| {
                let node = turn.handle(self.handle)?.node;
                turn.disk.sync(node, all)
            },
            |state| {
                if let Ok(node) = state.handle(self.handle).map(|open| open.node) {
                    state.disk.fail_sync(node, all);
                }
            },
        )
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        // Nothing to do for a process that is gone: the kernel has closed its files (W2).
        self.world.state().close(self.handle);
    }
}

impl File for SimFile {
    fn read_at(&self, site: Site, into: &mut [u8], offset: u64) -> Result<usize> {
        self.world.call(&self.at(site, "read_at", "pread"), |turn| {
            // The kernel looks at the offset before it looks at the file, and so below.
            checked(offset)?;
            let node = turn.handle(self.handle)?.node;
            turn.disk.read_at(node, into, offset)
        })
    }

    fn write_at(&self, site: Site, from: &[u8], offset: u64) -> Result<usize> {
        self.world.call(&self.at(site, "write_at", "pwrite"), |turn| {
            checked(offset)?;
            let node = turn.writable(self.handle, EBADF)?;
            let from = match turn.injected {
                Injected::Short(count) => from.get(..count).unwrap_or(from),
                _ => from,
            };
            turn.disk.write_at(node, from, offset)
        })
    }

    fn set_len(&self, site: Site, size_bytes: u64) -> Result<()> {
        self.world.call(&self.at(site, "set_len", "ftruncate"), |turn| {
            // The C library's types cannot say such a size; the file is not even looked at.
            i64::try_from(size_bytes).map_err(|_| OsError::EFBIG)?;
            let node = turn.writable(self.handle, OsError::EINVAL)?;
            turn.disk.set_len(node, size_bytes)
        })
    }

    fn allocate(&self, site: Site, offset: u64, size_bytes: u64, _pages: Pages) -> Result<()> {
        self.world.call(&self.at(site, "allocate", "fallocate"), |turn| {
            let node = turn.writable(self.handle, EBADF)?;
            turn.disk.allocate(node, offset, size_bytes)
        })
    }

    fn reserve(&self, site: Site, offset: u64, size_bytes: u64) -> Result<()> {
        self.allocate(site, offset, size_bytes, Pages::Together)
    }

    fn sync_data(&self, site: Site) -> Result<()> {
        self.sync(&self.at(site, "sync_data", "fdatasync"), false)
    }

    fn sync_all(&self, site: Site) -> Result<()> {
        self.sync(&self.at(site, "sync_all", "fsync"), true)
    }

    fn stat(&self, site: Site) -> Result<Stat> {
        self.world.call(&self.at(site, "stat", "fstat"), |turn| {
            turn.handle(self.handle).map(|open| turn.disk.describe(open.node))
        })
    }

    fn set_mode(&self, site: Site, mode: u32) -> Result<()> {
        self.world.call(&self.at(site, "set_mode", "fchmod"), |turn| {
            let node = turn.handle(self.handle)?.node;
            turn.disk.set_mode(node, mode)
        })
    }

    fn set_owner(&self, site: Site, user_id: u32, group_id: u32) -> Result<()> {
        self.world.call(&self.at(site, "set_owner", "fchown"), |turn| {
            let node = turn.handle(self.handle)?.node;
            turn.disk.set_owner(node, user_id, group_id)
        })
    }

    fn lock(&self, site: Site, mode: LockMode) -> Result<()> {
        let at = self.at(site, "lock", "flock");
        let mut turn = self.world.enter(&at)?;
        if let Injected::Fail(errno) = turn.injected {
            return leave(turn, &at, Err(errno));
        }
        while !turn.try_lock(self.handle, mode) {
            let Some(me) = turn.actor else {
                let holder = turn.handle(self.handle).ok().and_then(|o| turn.lock_holder(o.node));
                drop(turn);
                panic!("{} would deadlock: locked by {holder:?}", self.path.display());
            };
            turn = pause(turn, me, Status::Blocked { handle: self.handle, mode });
        }
        leave(turn, &at, Ok(()))
    }

    fn try_lock(&self, site: Site, mode: LockMode) -> Result<bool> {
        self.world
            .call(&self.at(site, "try_lock", "flock"), |turn| Ok(turn.try_lock(self.handle, mode)))
    }

    fn unlock(&self, site: Site) -> Result<()> {
        self.world.call(&self.at(site, "unlock", "flock"), |turn| {
            turn.unlock(self.handle);
            Ok(())
        })
    }

    fn lock_holder(&self, site: Site) -> Option<u32> {
        let holder = self.world.call(&self.at(site, "lock_holder", "read"), |turn| {
            turn.handle(self.handle).map(|open| turn.lock_holder(open.node))
        });
        holder.ok().flatten()
    }

    fn map(&self, site: Site, size_bytes: usize) -> Result<Box<dyn Map>> {
        let access = self.world.call(&self.at(site, "map", "mmap"), |turn| {
            let open = turn.handle(self.handle)?;
            let image = &turn.disk.node(open.node).cached;
            if image.kind() != FileKind::Regular {
                return Err(ENODEV);
            }
            if size_bytes == 0 || size_bytes > image.size() {
                return Err(OsError::EINVAL);
            }
            turn.lie()?;
            turn.refer(self.handle)
        })?;
        let file = Self::new(self.world.clone(), self.pid, self.handle, self.path.clone());
        Ok(Box::new(SimMap::new(file, size_bytes, access == Access::ReadWrite)))
    }
}
