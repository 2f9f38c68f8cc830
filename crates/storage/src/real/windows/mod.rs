//! A Windows machine: [`Storage`] over the calls of its own interface.
//!
//! Compiled and linked for `x86_64-pc-windows-gnu`, and run under Wine; never run on Windows
//! itself, so that nothing is called proven here ([`volume`]).
//!
//! - Files are opened so that others may read, write, rename and remove them meanwhile, as on
//!   Unix, and no program that is started inherits them. A link is not followed (S2): it is opened
//!   itself, and refused.
//! - Locks are mandatory here and lie where no data is ([`lock`]).
//! - A file is replaced while others have it open, which NTFS can do from Windows 10 on. Other
//!   file systems cannot: there whoever reads it is waited for, and no store keeps open what it
//!   replaces.

mod calls;
pub(crate) mod errno;
mod file;
mod lock;
mod map;
mod paths;
mod stat;
mod view;
mod volume;

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::os::windows::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use windows_sys::Win32::Foundation::GENERIC_READ;
use windows_sys::Win32::Storage::FileSystem::{
    FILE_ADD_FILE, FILE_ADD_SUBDIRECTORY, FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT,
    FILE_READ_ATTRIBUTES,
};

use self::errno::at;
use self::file::RealFile;
pub(crate) use self::map::wake_all;
pub use self::paths::is_plain;
use super::{RealStorage, clock};
use crate::{
    Access, Create, File, FileKind, FileSystem, Open, OsError, Result, Site, Stat, Storage,
};

impl Storage for RealStorage {
    fn open(&self, _site: Site, path: &Path, how: Open) -> Result<Box<dyn File>> {
        let open = |flags| {
            #[expect(clippy::disallowed_methods, reason = "Storage::open is made of this")]
            let mut options = OpenOptions::new();
            options.read(true).write(how.access == Access::ReadWrite).custom_flags(flags);
            options.create_new(matches!(how.create, Create::New { .. }));
            options.open(path).map_err(at("CreateFileW"))
        };
        let mut file = open(FILE_FLAG_OPEN_REPARSE_POINT)?;
        let found = stat::describe(&file)?;
        if found.kind == FileKind::Symlink {
            return Err(OsError::new(OsError::ELOOP, "CreateFileW"));
        }
        if how.create == Create::Never && stat::is_stand_in(&file)? {
            file = open(0)?;
            // A link that has taken its place meanwhile was followed.
            if stat::describe(&file)?.id != found.id {
                return Err(OsError::new(OsError::ELOOP, "CreateFileW"));
            }
        }
        Ok(Box::new(RealFile::new(file, how.access)))
    }

    fn rename(&self, _site: Site, from: &Path, to: &Path) -> Result<()> {
        paths::rename(from, to)
    }

    fn remove(&self, _site: Site, path: &Path) -> Result<()> {
        paths::remove(path)
    }

    /// There are no permission bits here: it gets the access list that its parent gives it.
    fn make_dir(&self, _site: Site, path: &Path, _mode: u32) -> Result<()> {
        #[expect(clippy::disallowed_methods, reason = "Storage::make_dir is made of this")]
        fs::create_dir(path).map_err(at("CreateDirectoryW"))
    }

    fn remove_dir(&self, _site: Site, path: &Path) -> Result<()> {
        #[expect(clippy::disallowed_methods, reason = "Storage::remove_dir is made of this")]
        fs::remove_dir(path).map_err(at("RemoveDirectoryW"))
    }

    fn read_dir(&self, _site: Site, path: &Path) -> Result<Vec<OsString>> {
        #[expect(clippy::disallowed_methods, reason = "Storage::read_dir is made of this")]
        let entries = fs::read_dir(path).map_err(at("FindFirstFileExW"))?;
        let name = |entry: std::io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name());
        entries.map(name).collect::<std::io::Result<_>>().map_err(at("FindNextFileW"))
    }

    fn open_dir(&self, _site: Site, path: &Path) -> Result<Box<dyn File>> {
        let open = |more: Option<u32>| {
            #[expect(clippy::disallowed_methods, reason = "Storage::open_dir is made of this")]
            let mut options = OpenOptions::new();
            options.access_mode(GENERIC_READ | more.unwrap_or_default());
            let directory = options.custom_flags(FILE_FLAG_BACKUP_SEMANTICS).open(path);
            let directory = directory.map_err(at("CreateFileW"))?;
            let access = if more.is_some() { Access::ReadWrite } else { Access::Read };
            match stat::describe(&directory)?.kind {
                FileKind::Directory => Ok(RealFile::directory(directory, access, path)),
                _ => Err(OsError::new(OsError::ENOTDIR, "CreateFileW")),
            }
        };
        // A sync takes the right to add one or the other, which not everybody has who may read it:
        // then it is the sync that is refused, and not a look at what the directory holds.
        let mut opened = open(Some(FILE_ADD_FILE));
        for less in [Some(FILE_ADD_SUBDIRECTORY), None] {
            if opened.as_ref().is_err_and(|error| is_refusal(error.errno)) {
                opened = open(less);
            }
        }
        Ok(Box::new(opened?))
    }

    fn sync_dir(&self, site: Site, path: &Path) -> Result<()> {
        self.open_dir(site, path)?.sync_all(site)
    }

    fn stat(&self, _site: Site, path: &Path) -> Result<Stat> {
        stat::describe(&look_at(path, FILE_FLAG_BACKUP_SEMANTICS)?)
    }

    fn stat_link(&self, _site: Site, path: &Path) -> Result<Stat> {
        let flags = FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT;
        stat::describe(&look_at(path, flags)?)
    }

    fn real_path(&self, _site: Site, path: &Path) -> Result<PathBuf> {
        paths::real_path(path)
    }

    fn file_system(&self, _site: Site, path: &Path) -> Result<FileSystem> {
        volume::file_system(path)
    }

    fn maps_large_files(&self) -> bool {
        false
    }

    fn replaces_open_files(&self) -> bool {
        false
    }

    fn folds_names(&self) -> bool {
        true
    }

    fn monotonic(&self) -> Duration {
        clock::monotonic()
    }

    fn unix_time(&self) -> Duration {
        clock::unix_time()
    }

    fn random(&self, _site: Site, into: &mut [u8]) -> Result<()> {
        let failed = OsError::new(OsError::EIO, "BCryptGenRandom");
        if calls::random(into) { Ok(()) } else { Err(failed) }
    }
}

/// Whether an error says that something may not be written to.
const fn is_refusal(errno: i32) -> bool {
    matches!(errno, OsError::EACCES | OsError::EROFS)
}

/// Opens what a path leads to, only to describe it.
fn look_at(path: &Path, flags: u32) -> Result<fs::File> {
    #[expect(clippy::disallowed_methods, reason = "Storage::stat is made of this")]
    let mut options = OpenOptions::new();
    options.access_mode(FILE_READ_ATTRIBUTES).custom_flags(flags);
    options.open(path).map_err(at("CreateFileW"))
}
