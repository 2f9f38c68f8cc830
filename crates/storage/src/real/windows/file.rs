//! One open file, or directory, of this machine.
//!
//! - A directory cannot be locked. Its lock is that of a file `LOCK` in it, which the first lock
//!   makes, which nobody can remove or rename while somebody has it open, and which stays.
//! - What was opened to be read cannot be synced. It is opened once more for that, patiently,
//!   because a scanner may be in the way; who may not write to a file at all believes it as it is.
//!   A directory that may not be written to is not believed: what renamed a file there may not have
//!   synced it. Where the whole volume is read only, nothing is left to be synced.
//! - Not every file system can sync a directory. Where this one does not know the call, its journal
//!   of names, if it has one, is what there is, and [`super::volume`] proves nothing. Any other
//!   answer is a failure.

use std::fs;
use std::io;
use std::os::windows::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_OPEN_REPARSE_POINT, FILE_SHARE_READ, FILE_SHARE_WRITE,
};

use super::errno::{UNKNOWN, at};
use super::lock::Held;
use super::map::RealMap;
use super::paths::patiently;
use super::{calls, is_refusal, stat, volume};
use crate::{Access, File, FileKind, LockMode, Map, OsError, Pages, Result, Site, Stat};

/// The file that stands for the lock of the directory which holds it.
const LOCK_NAME: &str = "LOCK";
/// Large enough that system calls do not count.
const PIECE_SIZE: usize = 64 << 10;

/// An open file; closing it (dropping this and its maps) frees its lock.
#[derive(Debug)]
pub(super) struct RealFile {
    open: Arc<Opened>,
    access: Access,
    /// Where it is, if it is a directory.
    directory: Option<PathBuf>,
    lock_file: OnceLock<fs::File>,
    /// What is synced instead of a file that was opened to be read; nothing where there is nothing
    /// to be synced.
    to_sync: OnceLock<Option<fs::File>>,
}

/// What a map keeps open.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: fs::File,
    held: Held,
}

impl RealFile {
    pub(super) fn new(file: fs::File, access: Access) -> Self {
        let open = Arc::new(Opened { file, held: Held::default() });
        Self { open, access, directory: None, lock_file: OnceLock::new(), to_sync: OnceLock::new() }
    }

    pub(super) fn directory(file: fs::File, access: Access, path: &Path) -> Self {
        Self { directory: Some(path.to_owned()), ..Self::new(file, access) }
    }

    fn file(&self) -> &fs::File {
        &self.open.file
    }

    /// What is locked instead of it, or itself.
    fn to_lock(&self) -> Result<&fs::File> {
        let Some(directory) = &self.directory else { return Ok(self.file()) };
        if let Some(file) = self.lock_file.get() {
            return Ok(file);
        }
        #[expect(clippy::disallowed_methods, reason = "File::lock is made of this")]
        let opened = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .share_mode(FILE_SHARE_READ | FILE_SHARE_WRITE)
            .custom_flags(FILE_FLAG_OPEN_REPARSE_POINT)
            .open(directory.join(LOCK_NAME))
            .map_err(at("CreateFileW"))?;
        if stat::describe(&opened)?.kind != FileKind::Regular {
            return Err(OsError::new(OsError::ELOOP, "CreateFileW"));
        }
        Ok(self.lock_file.get_or_init(|| opened))
    }

    fn acquire(&self, site: Site, mode: LockMode, waits: bool) -> Result<bool> {
        self.open.held.acquire(self.to_lock()?, site, mode, waits)
    }

    /// Makes the file reach to an end; the blocks of what is new read as zeros.
    fn grow(&self, offset: u64, size_bytes: u64, write: bool) -> Result<()> {
        let held = self.file().metadata().map_err(at("GetFileInformationByHandle"))?;
        if self.access == Access::Read {
            return Err(OsError::new(OsError::EACCES, "SetFileInformationByHandle"));
        }
        let end = offset.checked_add(size_bytes).filter(|end| i64::try_from(*end).is_ok());
        let end = end.ok_or(OsError::new(OsError::EINVAL, "SetFileInformationByHandle"))?;
        if end <= held.len() {
            return Ok(());
        }
        // What does not fit is refused before anything is written, rather than by filling the disk.
        let grown = self.file().set_len(end).map_err(at("SetFileInformationByHandle"));
        let made =
            if write { grown.and_then(|()| self.write_zeros(held.len(), end)) } else { grown };
        if made.is_err() {
            // Best effort: gives the room back, and the first error is the one that matters.
            let _ = self.file().set_len(held.len());
        }
        made
    }

    fn write_zeros(&self, start: u64, end: u64) -> Result<()> {
        let zeros = vec![0; PIECE_SIZE];
        let mut done = start;
        while done < end {
            let left = usize::try_from(end - done).unwrap_or(usize::MAX).min(PIECE_SIZE);
            let piece = zeros.get(..left).unwrap_or(&zeros);
            match self.file().seek_write(piece, done).map_err(at("WriteFile"))? {
                0 => return Err(OsError::new(OsError::EIO, "WriteFile")),
                count => done += count as u64,
            }
        }
        Ok(())
    }

    /// What is synced in its place, if anything is.
    fn to_sync(&self) -> Result<Option<&fs::File>> {
        if self.access == Access::ReadWrite {
            return Ok(Some(self.file()));
        }
        if let Some(found) = self.to_sync.get() {
            return Ok(found.as_ref());
        }
        let found = match &self.directory {
            Some(directory) => refuse_unless_read_only(directory)?,
            None => self.open_to_sync()?,
        };
        Ok(self.to_sync.get_or_init(|| found).as_ref())
    }

    /// The same file, opened to be written to; nothing if it may not be written to.
    fn open_to_sync(&self) -> Result<Option<fs::File>> {
        let open = || match calls::open_to_write(self.file()) {
            // Whom the access list refuses is not refused for a moment.
            Err(error) if error.raw_os_error().is_some_and(is_refusal) => Ok(Err(error)),
            opened => opened.map(Ok),
        };
        let refused = match patiently(open).map_err(at("ReOpenFile"))? {
            Ok(opened) => return Ok(Some(opened)),
            Err(refused) => refused,
        };
        // A file that only waits to be closed answers the same, whoever may write to it.
        match stat::describe(self.file())?.link_count {
            0 => Err(at("ReOpenFile")(refused)),
            _ => Ok(None),
        }
    }

    fn sync(&self) -> Result<()> {
        let Some(file) = self.to_sync()? else { return Ok(()) };
        // Not retried: whether the bytes are still there to be written is then unknown.
        match file.sync_all() {
            Err(error) if self.directory.is_some() && is_unknown(&error) => Ok(()),
            synced => synced.map_err(at("FlushFileBuffers")),
        }
    }
}

/// Nothing is to be synced in a directory of a volume that is only read.
fn refuse_unless_read_only(directory: &Path) -> Result<Option<fs::File>> {
    if volume::file_system(directory)?.read_only {
        return Ok(None);
    }
    Err(OsError::new(OsError::EACCES, "FlushFileBuffers"))
}

/// Whether the file system does not know how to sync a directory.
fn is_unknown(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| UNKNOWN.contains(&code))
}

impl File for RealFile {
    fn read_at(&self, _site: Site, into: &mut [u8], offset: u64) -> Result<usize> {
        self.file().seek_read(into, offset).map_err(at("ReadFile"))
    }

    fn write_at(&self, _site: Site, from: &[u8], offset: u64) -> Result<usize> {
        self.file().seek_write(from, offset).map_err(at("WriteFile"))
    }

    fn set_len(&self, _site: Site, size_bytes: u64) -> Result<()> {
        self.file().set_len(size_bytes).map_err(at("SetFileInformationByHandle"))
    }

    fn allocate(&self, _site: Site, offset: u64, size_bytes: u64, _pages: Pages) -> Result<()> {
        self.grow(offset, size_bytes, true)
    }

    fn reserve(&self, _site: Site, offset: u64, size_bytes: u64) -> Result<()> {
        self.grow(offset, size_bytes, false)
    }

    fn prepare_sync(&self, _site: Site) -> Result<()> {
        self.to_sync().map(drop)
    }

    fn sync_data(&self, _site: Site) -> Result<()> {
        self.sync()
    }

    fn sync_all(&self, _site: Site) -> Result<()> {
        self.sync()
    }

    fn stat(&self, _site: Site) -> Result<Stat> {
        stat::describe(self.file())
    }

    /// There are no permission bits here: a file has the access list that its directory gives it.
    fn set_mode(&self, _site: Site, _mode: u32) -> Result<()> {
        Ok(())
    }

    /// Nor owners in numbers.
    fn set_owner(&self, _site: Site, _user_id: u32, _group_id: u32) -> Result<()> {
        Ok(())
    }

    fn lock(&self, site: Site, mode: LockMode) -> Result<()> {
        self.acquire(site, mode, true).map(drop)
    }

    fn try_lock(&self, site: Site, mode: LockMode) -> Result<bool> {
        self.acquire(site, mode, false)
    }

    fn unlock(&self, _site: Site) -> Result<()> {
        // To make the file of a directory's lock is the first lock's part.
        if self.directory.is_some() && self.lock_file.get().is_none() {
            return Ok(());
        }
        self.open.held.release(self.to_lock()?)
    }

    /// Nobody tells.
    fn lock_holder(&self, _site: Site) -> Option<u32> {
        None
    }

    fn map(&self, _site: Site, size_bytes: usize) -> Result<Box<dyn Map>> {
        let writes = self.access == Access::ReadWrite;
        RealMap::new(&self.open, size_bytes, writes).map(|map| Box::new(map) as Box<dyn Map>)
    }
}
