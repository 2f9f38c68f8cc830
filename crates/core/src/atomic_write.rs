//! Replaces a file's content in one step: readers see the old content or the new, never a mixture,
//! also after a power cut.
//!
//! ```text
//! temporary (O_EXCL, locked) -> write -> fsync -> rename over the target -> fsync of the directory
//! ```
//!
//! Invariants
//! - AW-1 The target is replaced by a rename, never written in place.
//! - AW-2 With `durable`, the content is synced before the rename and the name before success.
//! - AW-3 A failure before the rename leaves the target as it was. A failed sync of the directory
//!   after it is indeterminate, and so is a failed rename unless it certainly did nothing (T-4).
//!
//! Recovery: the next write in the directory sweeps the temporary of a writer that died.
//!
//! Not promised: an order between two writers of one file; take a lock for that.

use std::path::Path;
use std::sync::Arc;

use tidemark_storage::{Site, Storage};

use crate::error::{Error, Result};
use crate::path::RealPath;
use crate::temporary::{self, Temporary};

/// How to replace a file.
#[derive(Clone, Copy, Debug)]
pub struct AtomicWriteOptions {
    /// Permission bits of the file; without them an existing file keeps its mode, and a new one
    /// gets 0600.
    pub mode: Option<u32>,
    /// Whether to sync file and directory. Without it a power cut may bring the old content back,
    /// or leave an empty or damaged file.
    pub durable: bool,
}

impl Default for AtomicWriteOptions {
    fn default() -> Self {
        Self { mode: None, durable: true }
    }
}

/// Replaces the content of a file, or makes it. A symbolic link is followed to its target; mode
/// and, where permitted, owner stay.
///
/// # Durability
/// On success the new content survives a power cut, unless `durable` is off.
///
/// # Errors
/// `TIDEMARK_INVALID_ARGUMENT` for a path that cannot be a file's; `TIDEMARK_NO_SPACE`,
/// `TIDEMARK_IO`, indeterminate if the directory's sync failed, or the rename with its outcome
/// unknown.
pub fn write_file_atomic(
    storage: &Arc<dyn Storage>,
    path: &Path,
    content: &[u8],
    options: AtomicWriteOptions,
) -> Result<()> {
    const NEW_FILE_MODE: u32 = 0o600;
    let real = RealPath::resolve(storage.as_ref(), path)?;
    temporary::sweep(storage.as_ref(), &real.directory);
    let replaced = match storage.stat(Site::AtomicStat, &real.file) {
        Ok(stat) => Some(stat),
        Err(os) if os.is_not_found() => None,
        Err(os) => return Err(Error::os("look at", &real.file, os)),
    };
    // Opened before anything changes: without permission or descriptors this is a definite failure.
    let open = || {
        let directory = storage.open_dir(Site::DirectoryOpen, &real.directory)?;
        directory.prepare_sync(Site::SyncPrepare).map(|()| directory)
    };
    let directory = options.durable.then(open).transpose();
    let directory = directory.map_err(|os| Error::os("open the directory", &real.directory, os))?;
    let mode = options.mode.unwrap_or(NEW_FILE_MODE);
    let temporary = Temporary::create(storage, &real.directory, mode)?;
    if let Some(mut replaced) = replaced {
        replaced.mode = options.mode.unwrap_or(replaced.mode);
        temporary.take_after(&replaced)?;
    }
    temporary.write(content)?;
    if options.durable {
        temporary.sync(Site::AtomicSync)?;
    }
    drop(temporary.rename(Site::AtomicRename, &real.file)?);
    if let Some(directory) = directory {
        directory
            .sync_all(Site::AtomicSyncDir)
            .map_err(|os| Error::os("sync the directory", &real.directory, os).indeterminate())?;
    }
    Ok(())
}
