//! What the operating system answers when it says no.

use std::fmt;

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
    pub const ENOENT: i32 = rustix::io::Errno::NOENT.raw_os_error();
    /// `EEXIST`: something is there already.
    pub const EEXIST: i32 = rustix::io::Errno::EXIST.raw_os_error();
    /// `EIO`: the device failed.
    pub const EIO: i32 = rustix::io::Errno::IO.raw_os_error();
    /// `ENOSPC`: the file system is full.
    pub const ENOSPC: i32 = rustix::io::Errno::NOSPC.raw_os_error();
    /// `EDQUOT`: the user's quota is used up.
    pub const EDQUOT: i32 = rustix::io::Errno::DQUOT.raw_os_error();
    /// `EFBIG`: the file would pass the process's or the file system's size limit.
    pub const EFBIG: i32 = rustix::io::Errno::FBIG.raw_os_error();
    /// `ENOTDIR`: a component of the path is not a directory.
    pub const ENOTDIR: i32 = rustix::io::Errno::NOTDIR.raw_os_error();
    /// `EISDIR`: the path is a directory.
    pub const EISDIR: i32 = rustix::io::Errno::ISDIR.raw_os_error();
    /// `ELOOP`: a symbolic link where none may be, or a cycle of them.
    pub const ELOOP: i32 = rustix::io::Errno::LOOP.raw_os_error();
    /// `ENOMEM`: the process may have no more memory.
    pub const ENOMEM: i32 = rustix::io::Errno::NOMEM.raw_os_error();
    /// `EACCES`: the mode of the file or of a directory forbids it.
    pub const EACCES: i32 = rustix::io::Errno::ACCESS.raw_os_error();
    /// `EPERM`: only a more privileged user may do this.
    pub const EPERM: i32 = rustix::io::Errno::PERM.raw_os_error();
    /// `ENOTEMPTY`: the directory still holds something.
    pub const ENOTEMPTY: i32 = rustix::io::Errno::NOTEMPTY.raw_os_error();
    /// `ENXIO`: a FIFO without a reader, or a device without a driver.
    pub const ENXIO: i32 = rustix::io::Errno::NXIO.raw_os_error();
    /// `EINVAL`: the call makes no sense for this file.
    pub const EINVAL: i32 = rustix::io::Errno::INVAL.raw_os_error();
    /// `EROFS`: the file system is mounted read-only.
    pub const EROFS: i32 = rustix::io::Errno::ROFS.raw_os_error();
    /// `ENOSYS`: not implemented here.
    pub const ENOSYS: i32 = rustix::io::Errno::NOSYS.raw_os_error();

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
