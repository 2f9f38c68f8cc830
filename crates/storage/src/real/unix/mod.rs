//! A Unix machine: [`Storage`] over system calls, made through libc so that tools which interpose
//! it see them.

mod allocate;
mod bus_guard;
pub(crate) mod errno;
mod file;
mod map;
mod mapping;
mod write;

#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod system;
#[cfg(target_os = "macos")]
#[path = "macos.rs"]
mod system;

#[cfg(target_os = "linux")]
mod mount;
#[cfg(target_os = "macos")]
#[path = "mount_macos.rs"]
mod mount;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{self, AtFlags, CWD, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use self::file::{RealFile, stat_from};
pub(crate) use self::map::wake_all;
use super::{RealStorage, clock, words};
use crate::{Access, Create, File, FileSystem, Open, OsError, Result, Site, Stat, Storage};

/// Names the system call in an error.
pub(crate) fn at(syscall: &'static str) -> impl Fn(Errno) -> OsError {
    move |errno| OsError::new(errno.raw_os_error(), syscall)
}

/// Whether a name means this very file to every program: here each does.
#[must_use]
pub const fn is_plain(_name: &OsStr) -> bool {
    true
}

impl Storage for RealStorage {
    fn open(&self, _site: Site, path: &Path, how: Open) -> Result<Box<dyn File>> {
        let access = match how.access {
            Access::Read => OFlags::RDONLY,
            Access::ReadWrite => OFlags::RDWR,
        };
        let fixed = OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let (create, mode) = match how.create {
            Create::Never => (OFlags::empty(), Mode::empty()),
            Create::New { mode } => (OFlags::CREATE | OFlags::EXCL, system::mode(mode)),
        };
        let descriptor =
            retry_on_intr(|| fs::open(path, access | fixed | create, mode)).map_err(at("open"))?;
        let file = RealFile::new(descriptor);
        if let Create::New { mode } = how.create {
            // The umask has taken bits away; the promise is this mode exactly.
            file.set_mode(Site::TempCreate, mode)?;
        }
        Ok(Box::new(file))
    }

    fn rename(&self, _site: Site, from: &Path, to: &Path) -> Result<()> {
        fs::rename(from, to).map_err(at("rename"))
    }

    fn remove(&self, _site: Site, path: &Path) -> Result<()> {
        fs::unlink(path).map_err(at("unlink"))
    }

    fn make_dir(&self, _site: Site, path: &Path, mode: u32) -> Result<()> {
        fs::mkdir(path, system::mode(mode)).map_err(at("mkdir"))?;
        system::set_directory_mode(path, system::mode(mode))
    }

    fn remove_dir(&self, _site: Site, path: &Path) -> Result<()> {
        fs::unlinkat(CWD, path, AtFlags::REMOVEDIR).map_err(at("rmdir"))
    }

    fn read_dir(&self, _site: Site, path: &Path) -> Result<Vec<OsString>> {
        let directory = open_directory(path)?;
        let mut names = Vec::new();
        for entry in fs::Dir::new(directory).map_err(at("getdents"))? {
            let entry = entry.map_err(at("getdents"))?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn open_dir(&self, _site: Site, path: &Path) -> Result<Box<dyn File>> {
        Ok(Box::new(RealFile::new(open_directory(path)?)))
    }

    fn sync_dir(&self, _site: Site, path: &Path) -> Result<()> {
        system::sync_all(&open_directory(path)?).map_err(at("fsync"))
    }

    fn stat(&self, _site: Site, path: &Path) -> Result<Stat> {
        fs::stat(path).map(|stat| stat_from(&stat)).map_err(at("stat"))
    }

    fn stat_link(&self, _site: Site, path: &Path) -> Result<Stat> {
        fs::lstat(path).map(|stat| stat_from(&stat)).map_err(at("lstat"))
    }

    fn real_path(&self, _site: Site, path: &Path) -> Result<PathBuf> {
        #[expect(clippy::disallowed_methods, reason = "this is what Storage::real_path is made of")]
        std::fs::canonicalize(path)
            .map_err(|error| OsError::new(error.raw_os_error().unwrap_or(OsError::EIO), "realpath"))
    }

    fn file_system(&self, _site: Site, path: &Path) -> Result<FileSystem> {
        mount::file_system(path)
    }

    fn monotonic(&self) -> Duration {
        clock::monotonic()
    }

    fn unix_time(&self) -> Duration {
        clock::unix_time()
    }

    fn random(&self, _site: Site, into: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
            done += system::random(rest).map_err(at("getrandom"))?;
        }
        Ok(())
    }
}

/// Opens a directory to list or sync it.
fn open_directory(path: &Path) -> Result<rustix::fd::OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    retry_on_intr(|| fs::open(path, flags, Mode::empty())).map_err(at("open"))
}
