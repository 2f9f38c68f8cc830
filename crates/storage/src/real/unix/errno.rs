//! The numbers of this system's errors, by the names that [`crate::OsError`] has for them.

use rustix::io::Errno;

pub(crate) const ENOENT: i32 = Errno::NOENT.raw_os_error();
pub(crate) const EEXIST: i32 = Errno::EXIST.raw_os_error();
pub(crate) const EIO: i32 = Errno::IO.raw_os_error();
pub(crate) const ENOSPC: i32 = Errno::NOSPC.raw_os_error();
pub(crate) const EDQUOT: i32 = Errno::DQUOT.raw_os_error();
pub(crate) const EFBIG: i32 = Errno::FBIG.raw_os_error();
pub(crate) const ENOTDIR: i32 = Errno::NOTDIR.raw_os_error();
pub(crate) const EISDIR: i32 = Errno::ISDIR.raw_os_error();
pub(crate) const ELOOP: i32 = Errno::LOOP.raw_os_error();
pub(crate) const ENOMEM: i32 = Errno::NOMEM.raw_os_error();
pub(crate) const EACCES: i32 = Errno::ACCESS.raw_os_error();
pub(crate) const EPERM: i32 = Errno::PERM.raw_os_error();
pub(crate) const ENOTEMPTY: i32 = Errno::NOTEMPTY.raw_os_error();
pub(crate) const ENXIO: i32 = Errno::NXIO.raw_os_error();
pub(crate) const EINVAL: i32 = Errno::INVAL.raw_os_error();
pub(crate) const EROFS: i32 = Errno::ROFS.raw_os_error();
pub(crate) const ENOSYS: i32 = Errno::NOSYS.raw_os_error();
