//! What the operating system answers when it says no.

use std::fmt;

use crate::real::errno;

/// A system call that failed: its number and its name, nothing interpreted.
///
/// The caller adds the path and decides what the failure means for its promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OsError {
    /// The `errno` of the failed call.
    pub errno: i32,
    /// The name of the system call, as in its manual page (`fsync`, `renameat`).
    pub syscall: &'static str,
}

/// The result of one call into the operating system.
pub type Result<T> = std::result::Result<T, OsError>;

impl OsError {
    /// `ENOENT`: nothing is there.
    pub const ENOENT: i32 = errno::ENOENT;
    /// `EEXIST`: something is there already.
    pub const EEXIST: i32 = errno::EEXIST;
    /// `EIO`: the device failed.
    pub const EIO: i32 = errno::EIO;
    /// `ENOSPC`: the file system is full.
    pub const ENOSPC: i32 = errno::ENOSPC;
    /// `EDQUOT`: the user's quota is used up.
    pub const EDQUOT: i32 = errno::EDQUOT;
    /// `EFBIG`: the file would pass the process's or the file system's size limit.
    pub const EFBIG: i32 = errno::EFBIG;
    /// `ENOTDIR`: a component of the path is not a directory.
    pub const ENOTDIR: i32 = errno::ENOTDIR;
    /// `EISDIR`: the path is a directory.
    pub const EISDIR: i32 = errno::EISDIR;
    /// `ELOOP`: a symbolic link where none may be, or a cycle of them.
    pub const ELOOP: i32 = errno::ELOOP;
    /// `ENOMEM`: the process may have no more memory.
    pub const ENOMEM: i32 = errno::ENOMEM;
    /// `EACCES`: the mode of the file or of a directory forbids it.
    pub const EACCES: i32 = errno::EACCES;
    /// `EPERM`: only a more privileged user may do this.
    pub const EPERM: i32 = errno::EPERM;
    /// `ENOTEMPTY`: the directory still holds something.
    pub const ENOTEMPTY: i32 = errno::ENOTEMPTY;
    /// `ENXIO`: a FIFO without a reader, or a device without a driver.
    pub const ENXIO: i32 = errno::ENXIO;
    /// `EINVAL`: the call makes no sense for this file.
    pub const EINVAL: i32 = errno::EINVAL;
    /// `EROFS`: the file system is mounted read-only.
    pub const EROFS: i32 = errno::EROFS;
    /// `ENOSYS`: not implemented here.
    pub const ENOSYS: i32 = errno::ENOSYS;

    /// Names the call that failed.
    #[must_use]
    pub const fn new(errno: i32, syscall: &'static str) -> Self {
        Self { errno, syscall }
    }

    /// Whether nothing was found at the path.
    #[must_use]
    pub const fn is_not_found(&self) -> bool {
        self.errno == Self::ENOENT
    }

    /// Whether the device or the user's quota is full.
    #[must_use]
    pub const fn is_no_space(&self) -> bool {
        matches!(self.errno, Self::ENOSPC | Self::EDQUOT)
    }
}

impl fmt::Display for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.syscall, std::io::Error::from_raw_os_error(self.errno))
    }
}

impl std::error::Error for OsError {}
