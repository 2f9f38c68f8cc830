//! One open file: positional I/O, sync, lock, map.

use std::fmt::Debug;

use crate::{Map, Result, Site, Stat};

/// What an open file may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and writing.
    ReadWrite,
}

/// Whether opening may create the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Create {
    /// The file must exist (`ENOENT` if not).
    Never,
    /// The file must not exist (`O_EXCL`: `EEXIST` if it does). It gets exactly this mode,
    /// whatever the umask.
    New {
        /// Permission bits.
        mode: u32,
    },
}

/// How to open a file. Symbolic links are never followed, FIFOs never block, descriptors are
/// never inherited (S2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// What the file will be used for.
    pub access: Access,
    /// Whether it may or must be made.
    pub create: Create,
}

impl Open {
    /// An existing file, to read.
    pub const READ: Self = Self { access: Access::Read, create: Create::Never };
    /// An existing file, to read and write.
    pub const READ_WRITE: Self = Self { access: Access::ReadWrite, create: Create::Never };

    /// A file that nobody has made yet, to read and write.
    #[must_use]
    pub const fn new_file(mode: u32) -> Self {
        Self { access: Access::ReadWrite, create: Create::New { mode } }
    }
}

/// How a file is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockMode {
    /// Beside other shared holders.
    Shared,
    /// Alone.
    Exclusive,
}

/// How the page cache keeps what a file is filled with: as one call wrote it, for as long as it is
/// there. A piece that is stored into through a map is written back as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// Some at once: later writes of many pages take half the time, and one of a single page no
    /// longer than it did.
    Together,
    /// One by one: a store through a map is written back with its own page.
    Single,
}

/// One open file. Dropping it, and its maps, closes it and frees its lock (S5).
///
/// `read_at` and `write_at` may do less than they were asked for, as the system calls may; the
/// methods that end in `_exact` and `_all` go on until they are done.
pub trait File: Debug + Send + Sync {
    /// Reads at an offset; 0 at the end of the file.
    ///
    /// # Errors
    /// Whatever `pread` answers, but `EINTR`.
    fn read_at(&self, site: Site, into: &mut [u8], offset: u64) -> Result<usize>;

    /// Writes at an offset, growing the file where needed.
    ///
    /// # Errors
    /// Whatever `pwrite` answers, but `EINTR`.
    fn write_at(&self, site: Site, from: &[u8], offset: u64) -> Result<usize>;

    /// Cuts the file, or grows it with a hole.
    ///
    /// # Errors
    /// Whatever `ftruncate` answers.
    fn set_len(&self, site: Site, size_bytes: u64) -> Result<()>;

    /// Makes the file reach to the end of a range, with blocks that exist and are written with
    /// zeros, so that a later write there neither allocates nor needs a journal commit. What the
    /// file holds already stays as it is, holes included: the zeros begin at its end. Not durable
    /// until synced. Nobody else may grow the file meanwhile. `pages` is how the cache keeps them.
    ///
    /// # Errors
    /// `ENOSPC` or `EDQUOT` where the blocks cannot be had, `EBADF` for a file that was opened to
    /// be read, `ESPIPE` for what is no regular file, `EINVAL` or `EFBIG` for an end that no file
    /// can have. The file is then as long as it was.
    fn allocate(&self, site: Site, offset: u64, size_bytes: u64, pages: Pages) -> Result<()>;

    /// As [`File::allocate`], but the blocks need only exist and read as zeros: quicker to have,
    /// while the first write into each needs a journal commit.
    ///
    /// # Errors
    /// As for [`File::allocate`].
    fn reserve(&self, site: Site, offset: u64, size_bytes: u64) -> Result<()>;

    /// Gets what a sync needs and may not be had, a permission or a descriptor. Who must tell that
    /// from a failed sync calls this first: nothing was tried then.
    ///
    /// # Errors
    /// Whatever `open` answers; `EACCES` for a directory whose names this process may not sync.
    fn prepare_sync(&self, _site: Site) -> Result<()> {
        Ok(())
    }

    /// Brings content, and what is needed to read it back, to the medium (`fdatasync`).
    ///
    /// # Errors
    /// Whatever the medium answers. A failed sync is final (S4).
    fn sync_data(&self, site: Site) -> Result<()>;

    /// Brings content and description to the medium (`fsync`; `F_FULLFSYNC` on macOS).
    ///
    /// # Errors
    /// Whatever the medium answers. A failed sync is final (S4).
    fn sync_all(&self, site: Site) -> Result<()>;

    /// Describes the open file, wherever its name points by now.
    ///
    /// # Errors
    /// Whatever `fstat` answers.
    fn stat(&self, site: Site) -> Result<Stat>;

    /// Sets the permission bits, whatever the umask.
    ///
    /// # Errors
    /// `EPERM` where the file is somebody else's.
    fn set_mode(&self, site: Site, mode: u32) -> Result<()>;

    /// Gives the file to an owner and a group.
    ///
    /// # Errors
    /// `EPERM` where that takes more privilege.
    fn set_owner(&self, site: Site, user_id: u32, group_id: u32) -> Result<()>;

    /// Locks the whole file (`flock`), waiting in the kernel for as long as it takes (S3).
    ///
    /// # Errors
    /// Whatever `flock` answers, but `EINTR`.
    fn lock(&self, site: Site, mode: LockMode) -> Result<()>;

    /// Locks the whole file if nobody has to be waited for; false otherwise.
    ///
    /// # Errors
    /// Whatever `flock` answers, but `EINTR` and `EWOULDBLOCK`.
    fn try_lock(&self, site: Site, mode: LockMode) -> Result<bool>;

    /// Frees the lock.
    ///
    /// # Errors
    /// Whatever `flock` answers.
    fn unlock(&self, site: Site) -> Result<()>;

    /// The process that holds a lock on this file, where the system tells.
    fn lock_holder(&self, site: Site) -> Option<u32>;

    /// Maps the first bytes of the file, shared with every other process that maps it. A file that
    /// was opened to be read gives a map that can only be read. The map keeps the file open, and
    /// so its lock held (S5), until it is dropped.
    ///
    /// # Errors
    /// `EINVAL` for an empty map or one past the end of the file, `ENODEV` for what is no regular
    /// file, `ENOMEM` where there are too many maps.
    fn map(&self, site: Site, size_bytes: usize) -> Result<Box<dyn Map>>;

    /// Reads until the buffer is full or the file ends; returns the number of bytes read.
    ///
    /// # Errors
    /// As for [`File::read_at`].
    fn read_full(&self, site: Site, into: &mut [u8], offset: u64) -> Result<usize> {
        let mut done = 0;
        while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.read_at(site, rest, offset + done as u64)? {
                0 => break,
                count => done += count,
            }
        }
        Ok(done)
    }

    /// Writes the whole buffer.
    ///
    /// # Errors
    /// As for [`File::write_at`]; `EIO` should a write ever accept nothing.
    fn write_all(&self, site: Site, from: &[u8], offset: u64) -> Result<()> {
        let mut done = 0;
        while let Some(rest) = from.get(done..).filter(|rest| !rest.is_empty()) {
            match self.write_at(site, rest, offset + done as u64)? {
                0 => return Err(crate::OsError::new(crate::OsError::EIO, "pwrite")),
                count => done += count,
            }
        }
        Ok(())
    }
}
