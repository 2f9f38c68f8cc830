//! Storage with a hook before each call: it may fail the call or hold it up, or cut
//! a write short.

use std::ffi::OsString;
use std::fmt::{self, Debug};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tidemark_core::{LockMode, RealStorage, Storage};
use tidemark_storage::{
    File, FileSystem, Interrupt, Map, Open, OsError, Pages, Result, Site, Stat,
};

/// Who watches the calls of a storage.
pub(crate) trait Watch: Send + Sync {
    /// A call is about to be made; an errno fails it instead.
    fn before(&self, site: Site) -> Option<i32>;

    /// How much is written of these bytes before [`Watch::torn`] is called; nothing for all.
    fn tear(&self, _site: Site, _bytes: &[u8]) -> Option<usize> {
        None
    }

    /// How long a wait lasts at most that would last for `timeout`.
    fn patience(&self, _site: Site, timeout: Duration) -> Duration {
        timeout
    }

    /// A part was written: the rest follows if this returns.
    fn torn(&self, _site: Site) {}

    /// What is told of a file system.
    fn file_system(&self, found: FileSystem) -> FileSystem {
        found
    }
}

impl<F: Fn(Site) -> Option<i32> + Send + Sync> Watch for F {
    fn before(&self, site: Site) -> Option<i32> {
        self(site)
    }
}

/// Storage whose calls are announced by their site.
#[derive(Clone)]
pub(crate) struct Hooked {
    storage: Arc<dyn Storage>,
    watch: Arc<dyn Watch>,
}

impl Hooked {
    /// The machine's own storage.
    pub(crate) fn storage(
        hook: impl Fn(Site) -> Option<i32> + Send + Sync + 'static,
    ) -> Arc<dyn Storage> {
        Self::watched(Arc::new(hook))
    }

    pub(crate) fn over(
        storage: Arc<dyn Storage>,
        hook: impl Fn(Site) -> Option<i32> + Send + Sync + 'static,
    ) -> Arc<dyn Storage> {
        Arc::new(Self { storage, watch: Arc::new(hook) })
    }

    pub(crate) fn watched(watch: Arc<dyn Watch>) -> Arc<dyn Storage> {
        Arc::new(Self { storage: Arc::new(RealStorage), watch })
    }

    fn ask(&self, site: Site) -> Result<()> {
        self.watch.before(site).map_or(Ok(()), |errno| Err(OsError::new(errno, "hooked")))
    }
}

impl Debug for Hooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooked")
    }
}

impl Storage for Hooked {
    fn open(&self, site: Site, path: &Path, how: Open) -> Result<Box<dyn File>> {
        self.ask(site)?;
        let file = self.storage.open(site, path, how)?;
        Ok(Box::new(HookedFile { file, hooked: self.clone() }))
    }

    fn rename(&self, site: Site, from: &Path, to: &Path) -> Result<()> {
        self.ask(site).and_then(|()| self.storage.rename(site, from, to))
    }

    fn remove(&self, site: Site, path: &Path) -> Result<()> {
        self.ask(site).and_then(|()| self.storage.remove(site, path))
    }

    fn make_dir(&self, site: Site, path: &Path, mode: u32) -> Result<()> {
        self.ask(site).and_then(|()| self.storage.make_dir(site, path, mode))
    }

    fn remove_dir(&self, site: Site, path: &Path) -> Result<()> {
        self.ask(site).and_then(|()| self.storage.remove_dir(site, path))
    }

    fn read_dir(&self, site: Site, path: &Path) -> Result<Vec<OsString>> {
        self.ask(site).and_then(|()| self.storage.read_dir(site, path))
    }

    fn open_dir(&self, site: Site, path: &Path) -> Result<Box<dyn File>> {
        self.ask(site)?;
        let file = self.storage.open_dir(site, path)?;
        Ok(Box::new(HookedFile { file, hooked: self.clone() }))
    }

    fn sync_dir(&self, site: Site, path: &Path) -> Result<()> {
        self.ask(site).and_then(|()| self.storage.sync_dir(site, path))
    }

    fn stat(&self, site: Site, path: &Path) -> Result<Stat> {
        self.ask(site).and_then(|()| self.storage.stat(site, path))
    }

    fn stat_link(&self, site: Site, path: &Path) -> Result<Stat> {
        self.ask(site).and_then(|()| self.storage.stat_link(site, path))
    }

    fn real_path(&self, site: Site, path: &Path) -> Result<PathBuf> {
        self.ask(site).and_then(|()| self.storage.real_path(site, path))
    }

    fn file_system(&self, site: Site, path: &Path) -> Result<FileSystem> {
        self.ask(site)?;
        self.storage.file_system(site, path).map(|found| self.watch.file_system(found))
    }

    fn monotonic(&self) -> Duration {
        self.storage.monotonic()
    }

    fn unix_time(&self) -> Duration {
        self.storage.unix_time()
    }

    fn random(&self, site: Site, into: &mut [u8]) -> Result<()> {
        self.ask(site).and_then(|()| self.storage.random(site, into))
    }
}

#[derive(Debug)]
struct HookedFile {
    file: Box<dyn File>,
    hooked: Hooked,
}

impl File for HookedFile {
    fn read_at(&self, site: Site, into: &mut [u8], offset: u64) -> Result<usize> {
        self.hooked.ask(site).and_then(|()| self.file.read_at(site, into, offset))
    }

    fn write_at(&self, site: Site, from: &[u8], offset: u64) -> Result<usize> {
        self.hooked.ask(site)?;
        if let Some(part) = self.hooked.watch.tear(site, from) {
            self.file.write_all(site, &from[..part], offset)?;
            self.hooked.watch.torn(site);
        }
        self.file.write_at(site, from, offset)
    }

    fn set_len(&self, site: Site, size_bytes: u64) -> Result<()> {
        self.hooked.ask(site).and_then(|()| self.file.set_len(site, size_bytes))
    }

    fn allocate(&self, site: Site, offset: u64, size_bytes: u64, pages: Pages) -> Result<()> {
        self.hooked.ask(site).and_then(|()| self.file.allocate(site, offset, size_bytes, pages))
    }

    fn reserve(&self, site: Site, offset: u64, size_bytes: u64) -> Result<()> {
        self.hooked.ask(site).and_then(|()| self.file.reserve(site, offset, size_bytes))
    }

    fn prepare_sync(&self, site: Site) -> Result<()> {
        self.hooked.ask(site).and_then(|()| self.file.prepare_sync(site))
    }

    fn sync_data(&self, site: Site) -> Result<()> {
        self.hooked.ask(site).and_then(|()| self.file.sync_data(site))
    }

    fn sync_all(&self, site: Site) -> Result<()> {
        self.hooked.ask(site).and_then(|()| self.file.sync_all(site))
    }

    fn stat(&self, site: Site) -> Result<Stat> {
        self.hooked.ask(site).and_then(|()| self.file.stat(site))
    }

    fn set_mode(&self, site: Site, mode: u32) -> Result<()> {
        self.hooked.ask(site).and_then(|()| self.file.set_mode(site, mode))
    }

    fn set_owner(&self, site: Site, user_id: u32, group_id: u32) -> Result<()> {
        self.hooked.ask(site).and_then(|()| self.file.set_owner(site, user_id, group_id))
    }

    fn lock(&self, site: Site, mode: LockMode) -> Result<()> {
        self.hooked.ask(site).and_then(|()| self.file.lock(site, mode))
    }

    fn try_lock(&self, site: Site, mode: LockMode) -> Result<bool> {
        self.hooked.ask(site).and_then(|()| self.file.try_lock(site, mode))
    }

    fn unlock(&self, site: Site) -> Result<()> {
        self.hooked.ask(site).and_then(|()| self.file.unlock(site))
    }

    fn lock_holder(&self, site: Site) -> Option<u32> {
        self.file.lock_holder(site)
    }

    fn map(&self, site: Site, size_bytes: usize) -> Result<Box<dyn Map>> {
        self.hooked.ask(site)?;
        let map = self.file.map(site, size_bytes)?;
        Ok(Box::new(HookedMap { map, hooked: self.hooked.clone() }))
    }
}

#[derive(Debug)]
struct HookedMap {
    map: Box<dyn Map>,
    hooked: Hooked,
}

impl Map for HookedMap {
    fn len(&self) -> usize {
        self.map.len()
    }

    fn load(&self, site: Site, offset: usize) -> Result<u64> {
        self.hooked.ask(site).and_then(|()| self.map.load(site, offset))
    }

    fn store(&self, site: Site, offset: usize, word: u64) -> Result<()> {
        self.hooked.ask(site).and_then(|()| self.map.store(site, offset, word))
    }

    fn read(&self, site: Site, offset: usize, into: &mut [u8]) -> Result<()> {
        self.hooked.ask(site).and_then(|()| self.map.read(site, offset, into))
    }

    fn write(&self, site: Site, offset: usize, from: &[u8]) -> Result<()> {
        self.hooked.ask(site)?;
        if let Some(part) = self.hooked.watch.tear(site, from) {
            self.map.write(site, offset, &from[..part])?;
            self.hooked.watch.torn(site);
        }
        self.map.write(site, offset, from)
    }

    fn wait(&self, site: Site, offset: usize, seen: u64, timeout: Duration) -> Result<()> {
        self.hooked.ask(site).and_then(|()| self.map.wait(site, offset, seen, timeout))
    }

    fn wait_or(
        &self,
        site: Site,
        offset: usize,
        seen: u64,
        timeout: Duration,
        interrupt: Option<&Interrupt>,
    ) -> Result<()> {
        self.hooked.ask(site)?;
        let timeout = self.hooked.watch.patience(site, timeout);
        self.map.wait_or(site, offset, seen, timeout, interrupt)
    }

    fn wake(&self, site: Site, offset: usize) -> Result<()> {
        self.hooked.ask(site).and_then(|()| self.map.wake(site, offset))
    }

    fn sync(&self, site: Site) -> Result<()> {
        self.hooked.ask(site).and_then(|()| self.map.sync(site))
    }
}
