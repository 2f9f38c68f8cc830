//! The machine as one process sees it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidemark_storage::{Access, File, FileSystem, Open, OsError, Result, Site, Stat, Storage};

use crate::call::At;
use crate::file::SimFile;
use crate::path::Last;
use crate::world::World;

/// A process's [`Storage`].
#[derive(Debug)]
pub(crate) struct SimStorage {
    world: World,
    pid: u32,
}

impl SimStorage {
    pub(crate) const fn new(world: World, pid: u32) -> Self {
        Self { world, pid }
    }

    const fn at<'a>(
        &self,
        site: Site,
        op: &'static str,
        syscall: &'static str,
        path: Option<&'a Path>,
    ) -> At<'a> {
        At { pid: self.pid, site, op, syscall, path }
    }
}

impl Storage for SimStorage {
    fn open(&self, site: Site, path: &Path, how: Open) -> Result<Box<dyn File>> {
        let at = self.at(site, "open", "open", Some(path));
        let handle = self.world.call(&at, |turn| {
            let node = turn.disk.open(path, how)?;
            turn.lie()?;
            Ok(turn.add_handle(self.pid, node, how.access, path.to_owned()))
        })?;
        Ok(Box::new(SimFile::new(self.world.clone(), self.pid, handle, path.to_owned())))
    }

    fn rename(&self, site: Site, from: &Path, to: &Path) -> Result<()> {
        let at = self.at(site, "rename", "rename", Some(to));
        self.world.call(&at, |turn| turn.disk.rename(from, to))
    }

    fn remove(&self, site: Site, path: &Path) -> Result<()> {
        let at = self.at(site, "remove", "unlink", Some(path));
        self.world.call(&at, |turn| turn.disk.unlink(path))
    }

    fn make_dir(&self, site: Site, path: &Path, mode: u32) -> Result<()> {
        let at = self.at(site, "make_dir", "mkdir", Some(path));
        self.world.call(&at, |turn| turn.disk.make_dir(path, mode))
    }

    fn remove_dir(&self, site: Site, path: &Path) -> Result<()> {
        let at = self.at(site, "remove_dir", "rmdir", Some(path));
        self.world.call(&at, |turn| turn.disk.remove_dir(path))
    }

    fn read_dir(&self, site: Site, path: &Path) -> Result<Vec<OsString>> {
        let at = self.at(site, "read_dir", "getdents", Some(path));
        self.world.call(&at, |turn| turn.disk.find_directory(path).map(|id| turn.disk.list(id)))
    }

    fn open_dir(&self, site: Site, path: &Path) -> Result<Box<dyn File>> {
        let at = self.at(site, "open_dir", "open", Some(path));
        let handle = self.world.call(&at, |turn| {
            let node = turn.disk.find_directory(path)?;
            Ok(turn.add_handle(self.pid, node, Access::Read, path.to_owned()))
        })?;
        Ok(Box::new(SimFile::new(self.world.clone(), self.pid, handle, path.to_owned())))
    }

    fn sync_dir(&self, site: Site, path: &Path) -> Result<()> {
        let at = self.at(site, "sync_dir", "fsync", Some(path));
        let sync = |id, disk: &mut crate::Disk| disk.sync(id, true);
        self.world.call_or(
            &at,
            |turn| turn.disk.find_directory(path).and_then(|id| sync(id, &mut turn.disk)),
            |state| {
                if let Ok(id) = state.disk.find_directory(path) {
                    state.disk.fail_sync(id, true);
                }
            },
        )
    }

    fn stat(&self, site: Site, path: &Path) -> Result<Stat> {
        let at = self.at(site, "stat", "stat", Some(path));
        self.world
            .call(&at, |turn| turn.disk.find(path, Last::Follow).map(|id| turn.disk.describe(id)))
    }

    fn stat_link(&self, site: Site, path: &Path) -> Result<Stat> {
        let at = self.at(site, "stat_link", "lstat", Some(path));
        self.world
            .call(&at, |turn| turn.disk.find(path, Last::Keep).map(|id| turn.disk.describe(id)))
    }

    fn real_path(&self, site: Site, path: &Path) -> Result<PathBuf> {
        let at = self.at(site, "real_path", "realpath", Some(path));
        self.world.call(&at, |turn| {
            let place = turn.disk.walk(path, Last::Follow)?;
            place.node.ok_or(OsError::ENOENT).map(|_| place.real_path())
        })
    }

    fn file_system(&self, site: Site, path: &Path) -> Result<FileSystem> {
        let at = self.at(site, "file_system", "statfs", Some(path));
        self.world.call(&at, |turn| {
            turn.disk.find(path, Last::Follow).map(|_| turn.disk.file_system.clone())
        })
    }

    fn maps_large_files(&self) -> bool {
        !self.world.with_disk(|disk| disk.like_windows)
    }

    fn replaces_open_files(&self) -> bool {
        !self.world.with_disk(|disk| disk.like_windows)
    }

    fn folds_names(&self) -> bool {
        self.world.with_disk(|disk| disk.like_windows)
    }

    fn monotonic(&self) -> Duration {
        self.world.read_clock(self.pid)
    }

    fn unix_time(&self) -> Duration {
        self.world.read_clock(self.pid) + crate::disk::START
    }

    fn random(&self, site: Site, into: &mut [u8]) -> Result<()> {
        let at = self.at(site, "random", "getrandom", None);
        self.world.call(&at, |turn| {
            turn.random.fill(into);
            Ok(())
        })
    }
}
