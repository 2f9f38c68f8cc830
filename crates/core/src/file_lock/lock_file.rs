//! One lock file: opening or making it, locking it, and seeing that it is still the one that the
//! path leads to.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidemark_storage::{File, FileId, FileKind, LockMode, Open, OsError, Site, Stat, Storage};

use crate::error::{Error, ErrorKind, Result};
use crate::group_commit::LockWait;

/// How often the lock file may be replaced under us before somebody must be doing it on purpose.
const ATTEMPTS_MAX: usize = 1000;

/// A lock file, open from its first use on.
#[derive(Debug)]
pub(crate) struct LockFile {
    storage: Arc<dyn Storage>,
    path: PathBuf,
    /// Mode of a lock file that is made.
    mode: u32,
    file: Option<Arc<dyn File>>,
    verify: bool,
}

impl LockFile {
    pub(crate) fn new(storage: &Arc<dyn Storage>, path: PathBuf, mode: u32) -> Self {
        Self { storage: Arc::clone(storage), path, mode, file: None, verify: true }
    }

    /// Plants the bug of a lock that is not looked at again (a replaced lock file lets two in).
    #[cfg(feature = "planted-bugs")]
    pub(crate) fn without_verification(&mut self) {
        self.verify = false;
    }

    /// Locks, waiting in the kernel as long as it takes (L-2); `wait` lets tickets time out.
    pub(crate) fn acquire(&mut self, mode: LockMode, wait: &LockWait) -> Result<()> {
        for _ in 0..ATTEMPTS_MAX {
            let file = self.open()?;
            let granted = match file.try_lock(Site::LockAcquire, mode) {
                Ok(false) => {
                    let (path, held) = (self.path.clone(), Arc::clone(&file));
                    let late = move || timeout(&path, held.lock_holder(Site::LockAcquire));
                    wait.during(late, || file.lock(Site::LockAcquire, mode))?
                }
                tried => tried.map(drop),
            };
            granted.map_err(|os| self.failed(os))?;
            if !self.verify || self.keep_if_current(file.as_ref())? {
                return Ok(());
            }
            self.file = None;
        }
        Err(self.interference())
    }

    /// Locks if nobody has to be waited for; false otherwise.
    pub(crate) fn try_acquire(&mut self, mode: LockMode) -> Result<bool> {
        for _ in 0..ATTEMPTS_MAX {
            let file = self.open()?;
            let granted = file.try_lock(Site::LockAcquire, mode);
            if !granted.map_err(|os| self.failed(os))? {
                return Ok(false);
            }
            if self.keep_if_current(file.as_ref())? {
                return Ok(true);
            }
            self.file = None;
        }
        Err(self.interference())
    }

    /// Whether the lock that was granted still counts: the path still leads to the locked file
    /// (L-1). Another file there may have let somebody else in.
    pub(crate) fn still_counts(&self) -> Result<bool> {
        match &self.file {
            Some(file) if self.verify => self.is_current(Site::LockRecheck, file.as_ref()),
            _ => Ok(true),
        }
    }

    /// What a failed attempt to lock comes to. Whether the lock was granted is unknown, so that it
    /// is freed, and the file closed (L-5).
    fn failed(&mut self, os: OsError) -> Error {
        self.release();
        self.file = None;
        Error::os("lock", &self.path, os)
    }

    /// Frees the lock; the file stays open for the next time.
    pub(crate) fn release(&mut self) {
        if let Some(file) = &self.file
            && file.unlock(Site::LockRelease).is_err()
        {
            // Closing frees it in any case.
            self.file = None;
        }
    }

    /// Gives the locked file away; the next use opens it again.
    pub(crate) fn take(&mut self) -> Option<Arc<dyn File>> {
        self.file.take()
    }

    fn open(&mut self) -> Result<Arc<dyn File>> {
        if let Some(file) = &self.file {
            return Ok(Arc::clone(file));
        }
        let file = self.open_or_create()?;
        let stat = file.stat(Site::LockOpen).map_err(|os| Error::os("look at", &self.path, os))?;
        self.check_regular(&stat)?;
        Ok(Arc::clone(self.file.insert(Arc::from(file))))
    }

    fn check_regular(&self, stat: &Stat) -> Result<()> {
        if stat.kind == FileKind::Regular {
            return Ok(());
        }
        let message =
            format!("the lock file {} is not a regular file; remove it", self.path.display());
        Err(Error::invalid_argument(message).at(&self.path))
    }

    fn open_or_create(&self) -> Result<Box<dyn File>> {
        for _ in 0..ATTEMPTS_MAX {
            // What is no file is not even opened: a FIFO would wake who waits at its other end, a
            // device may do anything, and a socket answers with an error that tells nothing.
            if let Ok(stat) = self.storage.stat_link(Site::LockOpen, &self.path) {
                self.check_regular(&stat)?;
            }
            match self.storage.open(Site::LockOpen, &self.path, Open::READ_WRITE) {
                Err(os) if os.is_not_found() => {}
                opened => return opened.map_err(|os| Error::os("open", &self.path, os)),
            }
            let how = Open::new_file(self.mode);
            match self.storage.open(Site::LockCreate, &self.path, how) {
                Err(os) if os.errno == OsError::EEXIST => {}
                made => return made.map_err(|os| Error::os("make the lock file", &self.path, os)),
            }
        }
        Err(self.interference())
    }

    /// Keeps the lock if it is on the file that the path leads to (L-1); frees it otherwise, also
    /// if that cannot be told.
    fn keep_if_current(&mut self, file: &dyn File) -> Result<bool> {
        let current = self.is_current(Site::LockVerify, file);
        if !matches!(current, Ok(true)) {
            self.release();
        }
        current
    }

    /// Whether the locked file is the one that the path leads to (L-1).
    fn is_current(&self, site: Site, file: &dyn File) -> Result<bool> {
        let failed = |os| Error::os("look at", &self.path, os);
        let held: FileId = file.stat(site).map_err(failed)?.id;
        match self.storage.stat_link(site, &self.path) {
            Ok(named) => Ok(named.id == held),
            Err(os) if os.is_not_found() => Ok(false),
            Err(os) => Err(failed(os)),
        }
    }

    /// Somebody replaces the lock file faster than anything can be done under it.
    fn interference(&self) -> Error {
        let message = format!("the lock file {} keeps being replaced", self.path.display());
        Error::new(ErrorKind::Io, message).at(&self.path)
    }
}

/// What a ticket gets whose lock was not granted in time.
fn timeout(path: &Path, holder: Option<u32>) -> Error {
    let who = holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
    let message = format!(
        "{who} kept {} locked for too long; nothing was written; let it finish, or end it",
        path.display()
    );
    Error::new(ErrorKind::LockTimeout, message).at(path).held_by(holder)
}
