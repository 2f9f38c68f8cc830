//! Temporary files that replace others, and the sweeping of those whose writer died.
//!
//! ```text
//! .tidemark-<32 hex digits, random>.tmp
//! ```
//!
//! Invariants
//! - T-1 A temporary's name is random (128 bits) and its file made with `O_EXCL`: two writers never
//!   share one, in whatever containers and with whatever process ids.
//! - T-2 Its writer has it locked from before its first byte until it is renamed or removed.
//! - T-3 A sweeper unlinks only what it could lock; a lock is granted only when the writer is gone.
//!   (A sweeper may get in between create and lock. The writer then finds its file locked or
//!   without a name, and starts again with another.)
//! - T-4 A rename that fails was done or not. It is one step, and nobody else takes a locked
//!   temporary's name away: while the name is there, nothing was done.
//!
//! Recovery: the next write in the same directory sweeps.
//!
//! Not promised: that a directory which nobody writes to is ever swept.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tidemark_storage::{File, FileKind, LockMode, Open, OsError, Site, Stat, Storage};

use crate::error::{Error, ErrorKind, Result};

const PREFIX: &str = ".tidemark-";
const SUFFIX: &str = ".tmp";
/// Attempts to make a temporary before somebody must be interfering on purpose.
const ATTEMPTS_MAX: usize = 16;
/// Temporaries that one sweep removes; the rest is left to the next.
const SWEEP_MAX: usize = 64;

/// A temporary file that this writer has locked (T-2). Dropping it removes it, unless it was
/// renamed.
#[derive(Debug)]
pub(crate) struct Temporary {
    storage: Arc<dyn Storage>,
    path: PathBuf,
    file: Option<Box<dyn File>>,
}

impl Temporary {
    /// Makes one in a directory, with exactly this mode.
    pub(crate) fn create(storage: &Arc<dyn Storage>, directory: &Path, mode: u32) -> Result<Self> {
        for _ in 0..ATTEMPTS_MAX {
            let path = directory.join(random_name(storage.as_ref())?);
            let failed = |os| Error::os("make the temporary file", &path, os);
            let file = match storage.open(Site::TempCreate, &path, Open::new_file(mode)) {
                Ok(file) => file,
                Err(os) if os.errno == OsError::EEXIST => continue,
                Err(os) => return Err(failed(os)),
            };
            let temporary = Self { storage: Arc::clone(storage), path, file: Some(file) };
            if temporary.is_ours()? {
                return Ok(temporary);
            }
        }
        let message = format!("temporary files in {} keep disappearing", directory.display());
        Err(Error::new(ErrorKind::Io, message).at(directory))
    }

    /// Locks it, and sees whether a sweeper was faster (T-3).
    fn is_ours(&self) -> Result<bool> {
        let failed = |os| Error::os("lock the temporary file", &self.path, os);
        let file = self.file()?;
        let locked = file.try_lock(Site::TempLock, LockMode::Exclusive).map_err(failed)?;
        Ok(locked && file.stat(Site::TempLock).map_err(failed)?.link_count > 0)
    }

    /// The file, to fill it in another way than by [`Temporary::write`].
    pub(crate) fn file(&self) -> Result<&dyn File> {
        self.file.as_deref().ok_or_else(Error::closed)
    }

    /// Gives it the mode and, where permitted, the owner of the file that it will replace: root
    /// that writes a user's file must not lock them out.
    pub(crate) fn take_after(&self, replaced: &Stat) -> Result<()> {
        let file = self.file()?;
        let failed = |os| Error::os("set the mode of", &self.path, os);
        let own = file.stat(Site::TempOwner).map_err(failed)?;
        let same_owner = (own.user_id, own.group_id) == (replaced.user_id, replaced.group_id);
        if !same_owner {
            // Refused to who may not give files away; the content counts more than the owner.
            let _permitted = file.set_owner(Site::TempOwner, replaced.user_id, replaced.group_id);
        }
        // A change of owner takes the set-user-id and set-group-id bits away.
        if own.mode != replaced.mode || !same_owner {
            file.set_mode(Site::TempOwner, replaced.mode).map_err(failed)?;
        }
        Ok(())
    }

    /// Writes its whole content.
    pub(crate) fn write(&self, content: &[u8]) -> Result<()> {
        let failed = |os| Error::os("write the temporary file", &self.path, os);
        self.file()?.write_all(Site::TempWrite, content, 0).map_err(failed)
    }

    /// Describes it as it is now.
    pub(crate) fn stat(&self, site: Site) -> Result<Stat> {
        self.file()?.stat(site).map_err(|os| Error::os("look at", &self.path, os))
    }

    /// Brings content and description to the medium.
    pub(crate) fn sync(&self, site: Site) -> Result<()> {
        let failed = |os| Error::os("sync the temporary file", &self.path, os);
        self.file()?.sync_all(site).map_err(failed)
    }

    /// Renames it over the target. A failure is definite, the target as before, if the temporary
    /// still has its name (T-4); otherwise it is indeterminate.
    pub(crate) fn rename(mut self, site: Site, target: &Path) -> Result<Box<dyn File>> {
        self.storage.rename(site, &self.path, target).map_err(|os| {
            let error = Error::os("put the temporary file in the place of", target, os);
            if self.has_its_name() { error } else { error.indeterminate() }
        })?;
        let file = self.file.take().ok_or_else(Error::closed)?;
        // Nobody sweeps what has another name; the lock has done its work.
        let _freed = file.unlock(Site::TempLock);
        Ok(file)
    }

    /// Whether it is certain that it was not renamed.
    fn has_its_name(&self) -> bool {
        let named = self.storage.stat_link(Site::TempRenamed, &self.path);
        named.is_ok_and(|named| self.stat(Site::TempRenamed).is_ok_and(|own| own.id == named.id))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.file.is_some() {
            // A stray that cannot be removed now is swept by the next write.
            let _removed = self.storage.remove(Site::TempRemove, &self.path);
        }
    }
}

fn random_name(storage: &dyn Storage) -> Result<String> {
    let random: [u8; 16] = random(storage, Site::TempName)?;
    Ok(format!("{PREFIX}{:032x}{SUFFIX}", u128::from_le_bytes(random)))
}

/// Draws random bytes.
pub(crate) fn random<const N: usize>(storage: &dyn Storage, site: Site) -> Result<[u8; N]> {
    let mut random = [0; N];
    storage.random(site, &mut random).map_err(|os| {
        Error::new(ErrorKind::Io, format!("the system gives no randomness: {os}")).caused_by(os)
    })?;
    Ok(random)
}

/// What a sweep saw.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Swept {
    /// Names in the directory.
    pub(crate) names: usize,
    /// Temporaries removed.
    pub(crate) removed: u64,
}

/// Removes the temporaries of dead writers. What cannot be removed is left: sweeping must not fail
/// a write.
pub(crate) fn sweep(storage: &dyn Storage, directory: &Path) -> Swept {
    let mut swept = Swept::default();
    let Ok(names) = storage.read_dir(Site::SweepList, directory) else { return swept };
    swept.names = names.len();
    let strays = names.iter().filter(|name| is_temporary(name)).take(SWEEP_MAX);
    for name in strays {
        swept.removed += u64::from(remove_stray(storage, &directory.join(name)));
    }
    let abandoned = names.iter().filter(|name| is_original_temporary(name)).take(SWEEP_MAX);
    for name in abandoned {
        swept.removed += u64::from(remove_original_stray(storage, &directory.join(name)));
    }
    swept
}

/// Whether a sweep takes what has this name for a temporary.
pub(crate) fn is_temporary(name: &OsStr) -> bool {
    let random = name
        .to_str()
        .and_then(|name| name.strip_prefix(PREFIX))
        .and_then(|name| name.strip_suffix(SUFFIX));
    random.is_some_and(|hex| hex.len() == 32 && hex.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

fn remove_stray(storage: &dyn Storage, path: &Path) -> bool {
    let locked = || -> Result<bool, OsError> {
        // What is no file is not ours, and not even opened.
        if storage.stat_link(Site::SweepLock, path)?.kind != FileKind::Regular {
            return Ok(false);
        }
        let file = storage.open(Site::SweepLock, path, Open::READ)?;
        let stat = file.stat(Site::SweepLock)?;
        if stat.kind != FileKind::Regular || !file.try_lock(Site::SweepLock, LockMode::Exclusive)? {
            return Ok(false);
        }
        // Renamed since it was opened: the name is gone, or somebody else's.
        if storage.stat_link(Site::SweepLock, path)?.id != stat.id {
            return Ok(false);
        }
        storage.remove(Site::SweepRemove, path)?;
        Ok(true)
    };
    locked().unwrap_or(false)
}

/// The original leaves `.atomicwrite` + 6 characters, a directory with one `tmpfile.tmp`, behind
/// when it is killed. It locks none of them, so that age decides: an hour is far longer than any
/// write takes.
fn is_original_temporary(name: &OsStr) -> bool {
    let random = name.to_str().and_then(|name| name.strip_prefix(".atomicwrite"));
    random.is_some_and(|rest| rest.len() == 6 && rest.bytes().all(|c| c.is_ascii_alphanumeric()))
}

fn remove_original_stray(storage: &dyn Storage, path: &Path) -> bool {
    const OLD: Duration = Duration::from_secs(3600);
    let removed = || -> Result<bool, OsError> {
        let stat = storage.stat_link(Site::SweepLock, path)?;
        let modified = Duration::from_secs(u64::try_from(stat.modified.seconds).unwrap_or(0));
        let age = storage.unix_time().saturating_sub(modified);
        if stat.kind != FileKind::Directory || age < OLD {
            return Ok(false);
        }
        match storage.remove(Site::SweepRemove, &path.join("tmpfile.tmp")) {
            Err(os) if !os.is_not_found() => return Err(os),
            _ => storage.remove_dir(Site::SweepRemove, path)?,
        }
        Ok(true)
    };
    removed().unwrap_or(false)
}
